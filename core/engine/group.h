/* core/engine/group.h - consumer groups inside the engine: their objects, and who calls whom.
 *
 *   weir_group ---- weir_group_part (one per topic and partition that it reads)
 *       |                |  stream: committed, handed     queue: weir_settlement *
 *       |                |  fates: adds up over [start, visible)
 *       +-- weir_member (one per join; memory only)
 *
 *   groups.c      create, alter, delete, list, reset, expiry; parts as topics come, grow and go
 *   group_save.c  entries 20 to 23, snapshot kinds GROUP and GROUP_PART
 *   group_port.c  submission; completions in one piece
 *   member.c      join, leave, beat; takes that wait; reading for takes, from the tail or by a job
 *   stream.c      generations, assignment (assign.c), commits, entries 24 and 25
 *   settlement.c  a queue part's records: ranges of states, leases; pure, no engine
 *   queue.c       takes, settlements, leases that end, entries 26 and 27
 *   fates.c       counters, `__fates`, why; dead letters
 *
 * [G1] Every record of [part.start, visible) is pending or has one fate: the counters add up.
 * [G2] No settled record is handed out again; a late answer changes nothing.
 * [G3] A partition has at most one owner in a generation, and its successor begins behind what the
 *      owner committed.
 * [G4] What moves a record to the dead-letter topic settles it in the same unit.
 * [G5] At-most-once: the unit that accepts has its topic's level before the record leaves. */
#ifndef WEIR_CORE_ENGINE_GROUP_H
#define WEIR_CORE_ENGINE_GROUP_H

#include "core/engine/ops.h"

typedef struct weir_group weir_group;
typedef struct weir_group_part weir_group_part;
typedef struct weir_settlement weir_settlement; /* settlement.h */

struct weir_group_part {
    weir_group *group;
    weir_partition *partition; /* NULL: recovery found its topic gone; removed then */
    uint32_t topic_id;
    uint32_t index;
    weir_saved saved;
    uint64_t held_unit;
    weir_link partition_link; /* partition.group_parts */
    weir_link ready_link;     /* group.ready: there may be something to hand out */
    int64_t start;            /* where the group began here, or was reset to */
    uint64_t fates[WEIR_FATE_COUNT]; /* PENDING is derived */
    /* stream */
    int64_t committed;
    int64_t handed; /* memory: behind what its owner was handed; committed after a change of owner */
    int64_t handed_durable; /* at-most-once: committed by a unit, which may not be durable yet */
    weir_member *owner;     /* confirmed */
    weir_member *target;    /* whom the newest generation gives it to */
    uint8_t *metadata;      /* of the last commit */
    uint32_t metadata_bytes;
    bool lost; /* its place was removed, and `removed` is error */
    /* queue */
    weir_settlement *settlement;
    uint64_t leased_times;
    uint64_t failed_times;
};

struct weir_group {
    uint32_t id;
    weir_saved saved;
    uint64_t held_unit;
    weir_group_options options; /* spans point to its own memory: `words` */
    uint8_t *words;
    uint32_t name_bytes;
    const uint8_t *name; /* in words */
    bool of_queue_topic; /* goes with it */
    weir_group_part **parts; /* sorted by topic id, partition */
    uint32_t part_count;
    uint32_t part_capacity;
    weir_link members; /* in order of joining */
    uint32_t member_count;
    weir_link ready;
    weir_link takes; /* members whose take waits, in order */
    uint64_t generation;
    uint64_t member_next; /* numbers are not given twice: journalled as part of the generation, and
                           * begun again above the recovery epoch after a start */
    int64_t empty_since_ms; /* engine time; 0: it has members */
    uint64_t late_refused;
    uint64_t rebalances;
    weir_link engine_link; /* engine.groups.all */
    struct weir_stream *stream; /* stream.c's own */
    struct weir_queue *queue;   /* queue.c's own */
};

struct weir_member {
    weir_group *group; /* NULL: the group is gone; only leave is left */
    weir_port *port;
    void *user;
    weir_link group_link;
    weir_link port_link; /* port.members */
    weir_link take_link; /* group.takes */
    uint64_t number;
    uint32_t name_bytes, instance_bytes, origin_bytes;
    uint8_t *words; /* name, instance, origin */
    bool auto_revoke;
    bool fenced;
    uint64_t heard_ns;
    /* its take that waits */
    bool takes;
    weir_take take;
    uint64_t take_token;
    void *take_user;
    uint64_t take_deadline_ns;
    /* what a cold read brought for it */
    struct weir_read *read;
    weir_chunk *cold[WEIR_COLD_CHUNKS_MAX];
    uint32_t cold_count;
    uint64_t leased; /* queue: records it holds */
    struct weir_stream_member *stream;
};

/* engine.groups */
typedef struct weir_group_table {
    weir_map by_name;
    weir_map by_id;
    weir_link all;
    uint32_t id_next;
} weir_group_table;

enum {
    WEIR_ENTRY_GROUP_CREATE = 20,
    WEIR_ENTRY_GROUP_CHANGE = 21,
    WEIR_ENTRY_GROUP_DELETE = 22,
    WEIR_ENTRY_GROUP_PART = 23, /* a part begins, or is reset: its start, with the fate of what it
                                 * passed over */
    WEIR_ENTRY_GENERATION = 24, /* members and assignment as they are now */
    WEIR_ENTRY_COMMIT = 25,
    WEIR_ENTRY_ACQUIRE = 26,
    WEIR_ENTRY_SETTLE = 27,
};

/* groups.c */
weir_err weir_groups_init(weir_engine *engine);
void weir_groups_fini(weir_engine *engine);
void weir_groups_op(weir_engine *engine, weir_port *port, const weir_op *op);
weir_group *weir_group_find(const weir_engine *engine, weir_bytes name);
weir_group *weir_group_find_id(const weir_engine *engine, uint32_t id);
weir_group_part *weir_group_part_find(const weir_group *group, uint32_t topic_id, uint32_t partition);
/* What a join may make: OK with *out, or why not. */
weir_err weir_group_want(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                         weir_group **out);
void weir_groups_topic_made(weir_engine *engine, weir_topic *topic);  /* in its unit */
void weir_groups_topic_grown(weir_engine *engine, weir_topic *topic, uint32_t before);
void weir_groups_topic_gone(weir_engine *engine, weir_topic *topic); /* apply: fates, parts */
/* The partition's start moved (retention, trim): apply. */
void weir_groups_start_moved(weir_engine *engine, weir_partition *partition);
void weir_groups_shown(weir_engine *engine, weir_partition *partition); /* visible moved */
void weir_groups_work(weir_engine *engine); /* once a turn: expiry, sessions, leases, takes */
uint64_t weir_groups_deadline(const weir_engine *engine); /* monotonic; UINT64_MAX: none */
void weir_group_changed(weir_engine *engine, weir_group *group);          /* saved.h */
void weir_group_part_changed(weir_engine *engine, weir_group_part *part); /* saved.h */
void weir_groups_started(weir_engine *engine); /* recovered, the clock runs, nothing is served yet */

/* group_save.c */
weir_err weir_group_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit);

/* member.c */
void weir_member_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_members_work(weir_engine *engine); /* sessions over, takes over */
void weir_members_end(weir_engine *engine, weir_port *port); /* it closes */
void weir_member_out(weir_engine *engine, weir_member *member, bool orderly); /* not yet freed */
void weir_group_ready(weir_group *group, weir_group_part *part);
/* The chunk that has the offset, or the next record behind it: from the tail, or what the member's
 * cold read brought; borrowed. NULL: a read was begun, and the take goes on when it is done. */
weir_chunk *weir_member_chunk(weir_engine *engine, weir_member *member, weir_partition *partition,
                              int64_t offset);
/* Completes the take: takes runs (counted chunks); waits for `unit` at `level` first. */
void weir_member_give(weir_engine *engine, weir_member *member, weir_handed *runs, uint32_t count,
                      uint64_t unit, weir_level level);
void weir_member_give_err(weir_engine *engine, weir_member *member, weir_err err);

/* stream.c */
weir_err weir_stream_make(weir_engine *engine, weir_group *group);
void weir_stream_free(weir_group *group);
weir_err weir_stream_join(weir_engine *engine, weir_member *member);
void weir_stream_left(weir_engine *engine, weir_member *member);
void weir_stream_revoked(weir_engine *engine, weir_member *member, uint64_t generation);
void weir_stream_parts_changed(weir_engine *engine, weir_group *group);
bool weir_stream_take(weir_engine *engine, weir_member *member); /* false: nothing yet */
weir_err weir_stream_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                            weir_settled *settled, uint64_t *unit);
weir_err weir_stream_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                            const weir_journal_unit *unit, uint64_t snapshot_unit);

/* queue.c */
weir_err weir_queue_make(weir_engine *engine, weir_group *group);
void weir_queue_free(weir_group *group);
weir_err weir_queue_join(weir_engine *engine, weir_member *member);
void weir_queue_left(weir_engine *engine, weir_member *member, bool orderly);
bool weir_queue_take(weir_engine *engine, weir_member *member);
weir_err weir_queue_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                           weir_settled *settled, uint64_t *unit);
void weir_queue_work(weir_engine *engine, weir_group *group); /* leases and delays that end */
uint64_t weir_queue_deadline(const weir_engine *engine, const weir_group *group);
/* [part.start, below) is gone from the log. */
void weir_queue_start_moved(weir_engine *engine, weir_group_part *part, weir_fate fate);
weir_err weir_queue_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit);

/* fates.c */
/* What became of records [first, last] of a part, in the open unit: counts them when it is an end
 * (apply does that in recovery: weir_fate_count), and writes a line of their story. `event` is a word
 * of weir_fate_line. */
typedef struct weir_fate_note {
    const weir_group_part *part;
    int64_t first, last;
    weir_fate fate; /* PENDING: no end */
    const char *event;
    weir_bytes reason;
    const weir_member *member; /* NULL: nobody's */
    uint32_t leased, failed;
} weir_fate_note;
void weir_fate_write(weir_engine *engine, const weir_fate_note *note);
void weir_fate_count(weir_engine *engine, weir_group_part *part, weir_fate fate, uint64_t records);
void weir_fates_close(weir_engine *engine); /* this turn's lines become records of `__fates` */
/* Appends the record to the group's dead-letter topic in the open unit [G4], with headers that say
 * why. Decided before: room (weir_dead_letter_room), topic there. */
weir_err weir_dead_letter_room(weir_engine *engine, const weir_group *group, const weir_chunk *chunk,
                               uint32_t index);
void weir_dead_letter_write(weir_engine *engine, const weir_group_part *part, weir_chunk *chunk,
                            uint32_t index, const char *reason_code, weir_bytes reason,
                            const weir_member *member, uint32_t leased, uint32_t failed);
void weir_why_op(weir_engine *engine, weir_port *port, const weir_op *op);

#endif
