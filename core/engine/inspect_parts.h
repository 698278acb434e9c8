/* core/engine/inspect_parts.h - what the files that look into a data directory share. */
#ifndef WEIR_CORE_ENGINE_INSPECT_PARTS_H
#define WEIR_CORE_ENGINE_INSPECT_PARTS_H

#include "core/engine/inspect.h"
#include "core/engine/ops.h"

enum { WEIR_INSPECT_PATH_BYTES = 4096, WEIR_INSPECT_NAME_BYTES = 96 };

/* Offsets in units that stand behind the damage. */
typedef struct weir_inspect_lost {
    uint32_t topic_id;
    uint32_t partition;
    int64_t from;
    int64_t to;
} weir_inspect_lost;

/* The journal's folder, walked file by file. `env` may be one that changes nothing. */
typedef struct weir_inspect_walk {
    weir_env *env;
    const char *data_dir;
    const weir_inspect_to *to;
    weir_inspect_sum *sum;
    const weir_fault *damage; /* of the journal, as recovery found it; err OK: none */
    bool state_read;          /* up to that damage, or to the end */
    uint64_t torn_number;
    uint64_t torn_position;
    weir_inspect_lost *lost; /* the caller's to free */
    size_t lost_count;
    /* Of a dump. */
    uint64_t from_unit;
    uint64_t to_unit;
    weir_inspect_each each;
    void *each_arg;
} weir_inspect_walk;

/* Tells of each file (to), counts what it knows of (sum), and gathers what was lost. */
weir_err weir_inspect_journal(weir_inspect_walk *walk);
/* Hands every entry to `each`. */
weir_err weir_inspect_journal_dump(weir_inspect_walk *walk);

/* inspect.c. The names in a folder, sorted; an empty list where there is no such folder. `list` is the
 * caller's to free, whatever comes back. */
typedef struct weir_inspect_list {
    char (*list)[WEIR_INSPECT_NAME_BYTES];
    size_t count;
} weir_inspect_list;
weir_err weir_inspect_names(weir_env *env, const char *dir, weir_inspect_list *found);
/* Whether each entry of a .heads file that the segment's state counts is good; file->position: of the
 * first that is not. */
weir_err weir_inspect_heads_check(weir_env *env, const char *path, const weir_segment_state *state,
                                  weir_inspect_file *file, bool *good);
/* Returns err; says `text` in a fault that nobody has filled yet. */
weir_err weir_inspect_fault(weir_fault *fault, weir_err err, const char *text);

#endif
