/* core/engine/stream.h - what the files of stream groups share: stream.c (who owns what),
 * stream_take.c (handing out), stream_commit.c (what is done), member.c. */
#ifndef WEIR_CORE_ENGINE_STREAM_H
#define WEIR_CORE_ENGINE_STREAM_H

#include "core/engine/group.h"

enum {
    WEIR_PASSES_MAX = 4096,    /* of a part, between what is committed and what was handed out */
    WEIR_PASS_UNMATCHED = 255, /* a kind beside the fates: not of the group's filter */
};

struct weir_stream {
    weir_buffer
        recovered;    /* the generation as journal or checkpoint have it, until it is taken up */
    bool started;     /* it was */
    bool due;         /* a new generation is wanted */
    bool untold;      /* members are to be told of what changed for them */
    uint32_t seats;   /* members of the newest generation */
    uint64_t unit;    /* of the newest generation: told, and handed out under, when it has ... */
    weir_level level; /* ... this level */
};

struct weir_stream_member {
    weir_link parts; /* by owner_link; the one that is served next first */
    uint32_t part_count;
    uint32_t index; /* while a generation is made or written */
    uint64_t told;  /* the generation of its last ASSIGNED; 0: none yet */
    bool tell;
    uint64_t revoke_deadline_ns; /* to give up what it was asked to; 0: nothing */
};

/* Offsets [from, to) that are no record to hand out. */
typedef struct weir_pass {
    int64_t from;
    int64_t to;
    uint8_t kind; /* the fate that they get, or WEIR_PASS_UNMATCHED */
} weir_pass;

/* Rising, not touching one another in the same kind. */
struct weir_passes {
    uint32_t count;
    uint32_t capacity;
    weir_pass *items;
};

/* member.c */
/* A member that is in no list yet. NO_MEMORY. */
weir_err weir_member_make(weir_engine *engine, weir_group *group, const weir_join *join,
                          uint64_t number, weir_member **out);
void weir_member_add(weir_engine *engine, weir_member *member); /* to its group, as the last one */
void weir_member_free(weir_member *member);
/* What it was answered has left: what is unasked may follow. */
bool weir_member_answered(weir_engine *engine, weir_member *member);

/* stream.c */
weir_err weir_stream_member_make(weir_member *member);

/* stream_commit.c */
/* Behind what is committed and the passes that follow it: the next record without an end. */
int64_t weir_stream_place(const weir_group_part *part);
/* False: no memory, or too many. */
bool weir_stream_pass(weir_group_part *part, int64_t from, int64_t to, uint8_t kind);
/* Forgets those at or behind the offset: they will be met again. */
void weir_stream_passes_cut(weir_group_part *part, int64_t offset);

typedef struct weir_stream_commit {
    weir_group_part *part;
    int64_t to;                /* above part.committed */
    const weir_member *member; /* NULL: nobody's */
    weir_fate last;            /* of record to - 1; ACCEPTED, but for a reject or a damaged one */
    weir_bytes reason;
    weir_letter letter; /* that record to - 1 became */
    uint8_t *metadata;  /* taken; NULL: as it was */
    uint32_t metadata_bytes;
} weir_stream_commit;
enum { WEIR_COMMIT_BYTES_MAX = 128 }; /* of an entry without metadata, its head included */
/* What its lines take of the unit: weir_fates_unit. */
uint64_t weir_stream_commit_room(const weir_group_part *part, const weir_member *member,
                                 weir_bytes reason);
/* Writes entry 25 and applies it; the open unit has room. Returns the records that it accepted. */
uint64_t weir_stream_commit_run(weir_engine *engine, const weir_stream_commit *commit);
weir_err weir_stream_commit_replay(weir_engine *engine, weir_bytes body, uint64_t unit);

#endif
