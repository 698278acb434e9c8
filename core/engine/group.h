/* core/engine/group.h - consumer groups inside the engine: their objects, and who calls whom.
 *
 *   weir_group ---- weir_group_part (one per topic and partition that it reads)
 *       |                |  stream: committed, handed     queue: weir_settlement *
 *       |                |  fates: adds up over [start, visible)
 *       +-- weir_member (one per join; memory only)
 *
 *   groups.c        create, alter, delete, expiry; what a join may make
 *   group_options.c what a group is told, as it is kept
 *   group_parts.c   parts as topics come, grow and go; starts that move
 *   group_reset.c   resets
 *   group_info.c    what is told of a group
 *   group_save.c    entries 20 to 23, snapshot kinds GROUP and GROUP_PART
 *   group_port.c    submission
 *   member.c        join, leave, beat; takes that wait
 *   member_read.c   reading for takes, from the tail or by a job
 *   stream*.c       generations, assignment (assign.c), takes, commits, entries 24 and 25
 *   settlement*.c   a queue part's records: ranges of states, leases; pure, no engine
 *   queue*.c        takes, settlements, leases that end, entries 26 and 27
 *   overflow.c      queues that have more than they may
 *   fates.c         counters; what becomes a line of `__fates` (fate_lines.c)
 *   why.c           one record's story
 *   dead_letter.c   dead letters
 *
 * [G1] Every record of [part.start, visible) is pending or has one fate: the counters add up.
 * [G2] No settled record is handed out again; a late answer changes nothing.
 * [G3] A partition has at most one owner in a generation, and its successor begins behind what the
 *      owner committed.
 * [G4] What moves a record to the dead-letter topic settles it in the same unit.
 * [G5] At-most-once: the unit that accepts has its topic's level before the record leaves.
 * [G6] What happened to a record is a line of its story in the same unit, once. */
#ifndef WEIR_CORE_ENGINE_GROUP_H
#define WEIR_CORE_ENGINE_GROUP_H

#include "core/base/buffer.h"
#include "core/engine/fate_lines.h"
#include "core/engine/ops.h"
#include "core/engine/snapshot.h"

typedef struct weir_settlement weir_settlement; /* settlement.h */

struct weir_group_part {
    weir_group *group;
    weir_partition *partition; /* NULL: recovery found its topic gone; removed then */
    uint32_t topic_id;
    uint32_t index;
    weir_saved saved;
    uint64_t held_unit;
    weir_link partition_link;        /* partition.group_parts */
    weir_link ready_link;            /* group.ready: there may be something to hand out */
    int64_t start;                   /* where the group began here, or was reset to */
    uint64_t fates[WEIR_FATE_COUNT]; /* PENDING is derived */
    uint64_t unmatched;              /* passed over: not of the filter; no record of this group */
    /* stream */
    int64_t committed;
    int64_t
        handed; /* memory: behind what its owner was handed; committed after a change of owner */
    int64_t handed_durable;    /* at-most-once: committed by a unit, which may not be durable yet */
    weir_member *owner;        /* confirmed */
    weir_member *target;       /* whom the newest generation gives it to */
    weir_link owner_link;      /* its owner's parts */
    uint64_t owned_generation; /* in which the owner got it */
    uint64_t asked_generation; /* in which the owner was told to give it up; 0: it was not */
    bool told;                 /* the owner knows that it has it */
    uint8_t handed_mode;       /* weir_mode in which [committed, handed) was handed out */
    struct weir_passes *passes; /* of [committed, handed): what is no record to hand out */
    uint8_t *metadata;          /* of the last commit */
    uint32_t metadata_bytes;
    bool lost; /* its place was removed, and `removed` is error (or end, until it is there) */
    /* queue */
    weir_settlement *settlement;
    struct weir_queue_part *queue; /* queue.c's own */
    uint64_t leased_times;
    uint64_t failed_times;
    /* fates.c: it is named in the lines of this round, by this number; behind its last line there */
    uint32_t fates_round;
    uint32_t fates_number;
    int64_t fates_next;
};

struct weir_group {
    uint32_t id;
    weir_saved saved;
    uint64_t held_unit;
    weir_group_options options; /* spans point to its own memory: `words` */
    uint8_t *words;
    uint32_t name_bytes;
    const uint8_t *name;     /* in words */
    bool of_queue_topic;     /* goes with it */
    weir_group_part **parts; /* sorted by topic id, partition */
    uint32_t part_count;
    uint32_t part_capacity;
    weir_link members;     /* in order of joining */
    uint32_t member_count; /* with those that are away and keep their place (member.port is NULL) */
    uint32_t present;      /* without them */
    weir_link ready;
    weir_link takes;          /* members whose take waits, in order */
    bool members_work;        /* weir_members_work has something to do for it */
    uint64_t members_due_ns;  /* or will have then, at the earliest; 0: never */
    uint32_t settles_waiting; /* of its members */
    uint64_t generation;
    uint64_t member_next; /* numbers are not given twice: journalled as part of the generation, and
                           * begun again above the recovery epoch after a start */
    int64_t empty_since_ms;               /* engine time; 0: it has members */
    uint64_t fates_gone[WEIR_FATE_COUNT]; /* of parts that are no more; PENDING: 0 */
    uint64_t leased_gone;
    uint64_t failed_gone;
    uint64_t late_refused;
    uint64_t rebalances;
    weir_link engine_link;      /* engine.groups.all */
    weir_link busy_link;        /* engine.groups.busy */
    struct weir_stream *stream; /* stream.c's own */
    struct weir_queue *queue;   /* queue.c's own */
};

/* One that is away but keeps its place (a static one within its session) has no port. */
struct weir_member {
    weir_group *group; /* NULL: it is out, or the group is gone; only leave is left */
    weir_port *port;   /* NULL: nobody holds it */
    void *user;
    weir_link group_link; /* group.members */
    weir_link port_link;  /* port.members */
    weir_link take_link;  /* group.takes */
    uint64_t number;
    uint32_t name_bytes, instance_bytes, origin_bytes;
    uint8_t *words; /* name, instance, origin */
    bool auto_revoke;
    bool fenced; /* it is to be told so */
    /* its newest completion that waits for a unit: nothing unasked overtakes it */
    uint64_t answer_number; /* among those of its port that wait for this level */
    weir_level answer_level;
    uint64_t heard_ns;
    /* its take that waits */
    bool takes;
    bool take_due; /* it is worth trying */
    weir_take take;
    uint64_t take_token;
    void *take_user;
    uint64_t take_deadline_ns;
    /* settles that wait for a record to be read: weir_port_settle, copied, in order */
    struct weir_settle_wait *settles;
    uint32_t settle_count;
    /* what a cold read brought for it, of one partition */
    struct weir_read *read;
    weir_chunk *cold[WEIR_COLD_CHUNKS_MAX];
    uint32_t cold_count;
    uint32_t bad_topic_id; /* of the last read: [bad_from, bad_to) cannot be had; 0: nothing */
    uint32_t bad_partition;
    int64_t bad_from, bad_to;
    weir_err read_err;    /* of the last read, when it may pass */
    uint64_t leased;      /* queue: records it holds */
    uint32_t fates_round; /* fates.c: as a part's */
    uint32_t fates_number;
    struct weir_stream_member *stream;
};

/* NULL: nobody, null. */
static inline weir_bytes weir_member_name(const weir_member *member)
{
    return member == NULL ? WEIR_BYTES_NULL : (weir_bytes){member->words, member->name_bytes};
}
static inline weir_bytes weir_member_origin(const weir_member *member)
{
    return member == NULL
               ? WEIR_BYTES_NULL
               : (weir_bytes){member->words + member->name_bytes + member->instance_bytes,
                              member->origin_bytes};
}

/* ---- Operations: what stands in an operation's data. Their spans and arrays point into the same
 *      data, which the owner reads and does not change. ------------------------------------------ */

typedef struct weir_op_group { /* create, alter, delete, list */
    weir_bytes name;
    weir_group_options options;
    bool force;
} weir_op_group;

typedef struct weir_op_join {
    weir_join join; /* its options are NULL, or point to `options` */
    weir_group_options options;
} weir_op_join;

typedef struct weir_op_why {
    weir_bytes topic;
    weir_bytes group;
    int64_t offset;
    uint32_t partition;
} weir_op_why;

/* WEIR_OP_GROUP_RESET has a weir_reset, WEIR_OP_MEMBER_SETTLE a weir_settle (whose is op.member). */

enum {
    WEIR_ENTRY_GROUP_CREATE = 20,
    WEIR_ENTRY_GROUP_CHANGE = 21,
    WEIR_ENTRY_GROUP_DELETE = 22, /* version 2: with what the group counted */
    WEIR_ENTRY_GROUP_PART = 23,   /* a part begins, or is reset: its start, with the fate of what it
                                 * passed over */
    WEIR_ENTRY_GENERATION = 24,   /* members and assignment as they are now */
    WEIR_ENTRY_COMMIT = 25,
    WEIR_ENTRY_ACQUIRE = 26,
    WEIR_ENTRY_SETTLE = 27,
    WEIR_ENTRY_FATES = 28,
};

/* groups.c */
weir_err weir_groups_init(weir_engine *engine);
void weir_groups_fini(weir_engine *engine);
void weir_groups_op(weir_engine *engine, weir_port *port, const weir_op *op);
/* Takes what `done` holds; it leaves once what it tells of is durable. */
void weir_groups_answer(weir_engine *engine, weir_port *port, weir_completion *done);
weir_group *weir_group_find(const weir_engine *engine, weir_bytes name);
weir_group *weir_group_find_id(const weir_engine *engine, uint32_t id);
/* What a join may make: OK with *out, or why not. */
weir_err weir_group_want(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                         weir_group **out);
/* The group of a queue topic that is about to be made: OK, EXISTS (one of that name is there), LIMIT,
 * NO_MEMORY. `fields` is what its entry says; then, in the topic's unit and before the topic is
 * applied, make; and tell, behind the topic's entry. */
weir_err weir_group_of_queue_decide(weir_engine *engine, weir_bytes topic, uint32_t partitions,
                                    weir_buffer *fields);
weir_err weir_group_of_queue_make(weir_engine *engine, weir_bytes topic, weir_group **group);
void weir_group_of_queue_tell(weir_engine *engine, weir_group *group, weir_bytes fields);
void weir_groups_work(weir_engine *engine); /* once a turn: expiry, sessions, leases, takes */
/* It has members, leases or delays: weir_groups_work looks after it until it has none of them. */
void weir_group_busy(weir_engine *engine, weir_group *group);
/* How many records a range of a settle names, none of which may be there: what is beyond the end counts
 * for nothing, and a range counts for one at least. */
static inline uint64_t weir_settle_range_records(const weir_group_part *part,
                                                 const weir_settle_range *range)
{
    int64_t end =
        part == NULL || part->partition == NULL ? range->first + 1 : part->partition->next_offset;
    end = end < range->last + 1 ? end : range->last + 1;
    return end > range->first ? (uint64_t)(end - range->first) : 1;
}

/* Another turn follows this one at once: a take may be answered. */
static inline void weir_groups_due(weir_engine *engine)
{
    engine->groups.due = true;
}
uint64_t weir_groups_deadline(const weir_engine *engine);        /* monotonic; UINT64_MAX: none */
void weir_group_changed(weir_engine *engine, weir_group *group); /* saved.h */
void weir_groups_started(
    weir_engine *engine); /* recovered, the clock runs, nothing is served yet */
uint64_t weir_groups_unit_least(const weir_engine *engine); /* newest unit that an object holds */

/* group_options.c: pure but for memory */
/* Fills in every default. INVALID, NOT_OFFERED: what no group can be. */
weir_err weir_group_options_fill(weir_group_options *options);
/* Whether the group is as asked: what is 0 or null there is not asked for. */
bool weir_group_options_allow(const weir_group_options *asked, const weir_group_options *is);
/* What `change` sets, over the options of a group of this model. INVALID: not for that model, or
 * never changed. The result's spans point into both. */
weir_err weir_group_options_merge(weir_group_options *into, const weir_group_options *change);
/* Name and options in memory of the group's own, in place of what it had. NO_MEMORY: unchanged. */
weir_err weir_group_words_set(weir_group *group, weir_bytes name,
                              const weir_group_options *options);
bool weir_group_reads(const weir_group *group, weir_bytes topic, bool is_queue);

/* group_parts.c */
weir_group_part *weir_group_part_find(const weir_group *group, uint32_t topic_id,
                                      uint32_t partition);
/* Everything below is settled in every group: a queue topic is trimmed up to there. */
int64_t weir_groups_floor(const weir_partition *partition);
/* Below it every group that reads the partition has settled, or committed, everything; *group: the one
 * that is furthest behind. INT64_MAX: none reads it. */
int64_t weir_groups_unsettled(const weir_partition *partition, uint32_t *group);

/* What comes of a topic's change is entries of their own in its unit, asked for and decided before
 * (NO_MEMORY and as weir_engine_unit: nothing changed), so that a start needs no more than them.
 * weir_groups_topic_room opens the unit for `bytes` more and what the groups need. */
weir_err weir_groups_topic_room(weir_engine *engine, weir_bytes name, bool is_queue,
                                const weir_topic *topic, uint32_t partitions, uint64_t bytes);
void weir_groups_topic_made(weir_engine *engine, weir_topic *topic);
void weir_groups_topic_grown(weir_engine *engine, weir_topic *topic, uint32_t before);
void weir_groups_topic_gone(weir_engine *engine, weir_topic *topic); /* before it is */
/* The partition's start moves to `start` (retention, trim): apply, live and in a replay of `unit`;
 * parts that hold it already are left as they are. */
void weir_groups_start_moved(weir_engine *engine, weir_partition *partition, int64_t start,
                             uint64_t unit);
void weir_groups_shown(weir_engine *engine, weir_partition *partition);   /* visible moved */
void weir_group_part_changed(weir_engine *engine, weir_group_part *part); /* saved.h */
enum { WEIR_GROUP_PART_HEAD_BYTES = 20 };
typedef enum weir_part_event { /* what entry 23 tells of each partition: an offset and a count */
                               WEIR_PART_BEGINS = 1, /* its start; 0 */
                               WEIR_PART_MOVES =
                                   2, /* a reset: its new start, and how many records it skipped */
                               WEIR_PART_ENDS =
                                   3, /* its end, and how many records went with the topic */
} weir_part_event;
enum { WEIR_PART_COUNTERS = WEIR_FATE_COUNT - 1 + 2 }; /* fates, leased, failed */
typedef struct weir_part_told {
    int64_t offset;
    uint64_t count;
    uint64_t counted[WEIR_PART_COUNTERS]; /* moves, ends: what it counted until now */
} weir_part_told;
weir_part_told weir_group_part_told(const weir_group_part *part, int64_t offset, uint64_t count);
/* Bytes of one entry 23 at most, its head in the journal included. */
uint64_t weir_group_part_entry_bytes(uint32_t partitions);
/* Writes the entry and applies it. The unit has room. `told`: one for each of `count` partitions
 * from `first` on. */
void weir_group_parts_tell(weir_engine *engine, weir_group *group, uint32_t topic_id,
                           uint32_t first, uint32_t count, weir_part_event event,
                           const weir_part_told *told);
weir_err weir_group_parts_replay(weir_engine *engine, weir_bytes body, uint64_t unit);
/* Makes a part as it begins, in its place; as weir_saved_loaded or _changed is still to be called.
 * NO_MEMORY. */
weir_err weir_group_part_make(weir_engine *engine, weir_group *group, uint32_t topic_id,
                              uint32_t partition, int64_t start, weir_group_part **out);
void weir_group_part_remove(weir_engine *engine, weir_group_part *part);
void weir_group_part_free(weir_engine *engine, weir_group_part *part); /* at the engine's end */
/* Of [start, next) without a fate. */
uint64_t weir_group_part_pending(const weir_group_part *part, int64_t end);
void weir_groups_partition_forget(weir_partition *partition); /* its topic goes: recovery */

/* group_info.c: all, or the one, in one piece. NO_MEMORY. */
/* What weir_port_group_sums tells. NO_MEMORY. */
weir_err weir_groups_fill_sums(weir_engine *engine, uint32_t max, weir_groups *groups);
weir_err weir_groups_fill(weir_engine *engine, const weir_group *only, weir_groups *groups);

/* group_reset.c */
void weir_group_reset_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_group_resets_work(weir_engine *engine); /* those whose time was found in this turn */
/* Of those with `removed: end` whose place was; true: the journal had no room for all. */
bool weir_groups_lost_work(weir_engine *engine, weir_group *group);
/* Of [from, to) without an end; from is the part's start. */
uint64_t weir_group_part_between(const weir_group_part *part, int64_t to);

/* groups.c, for group_save.c too */
weir_err weir_group_make(weir_engine *engine, uint32_t id, weir_bytes name,
                         const weir_group_options *options, bool of_queue_topic, weir_group **out);
/* It has these options from now on. NO_MEMORY: as before. */
weir_err weir_group_retell(weir_engine *engine, weir_group *group,
                           const weir_group_options *options);
void weir_group_remove(weir_engine *engine, weir_group *group); /* its parts first, then itself */
/* With its entry, for which so much room was asked: what the group counted stays in the sums. */
void weir_group_delete(weir_engine *engine, weir_group *group);
enum {
    WEIR_GROUP_SUMS_BYTES = 8 * (WEIR_FATE_COUNT + 1), /* of each fate, leased, failed */
    WEIR_GROUP_DELETE_BYTES = 16 + WEIR_GROUP_SUMS_BYTES
};
void weir_group_sums_of(const weir_group *group, weir_group_sums *sums);
void weir_group_sums_add(weir_group_sums *to, const weir_group_sums *sums);
void weir_group_sums_encode(const weir_group_sums *sums, uint8_t *at);
void weir_group_sums_decode(const uint8_t *at, weir_group_sums *sums);

/* group_save.c */
/* Its fields as entries 20 and 21 have them. NO_MEMORY. */
weir_err weir_group_encode(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                           weir_buffer *out);
void weir_group_entry(weir_engine *engine, uint16_t type, uint32_t id, bool of_queue_topic,
                      weir_bytes fields);
enum { WEIR_GROUP_ENTRY_HEAD_BYTES = 8 };
weir_err weir_group_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit);

/* member.c */
void weir_member_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_members_work(weir_engine *engine); /* sessions over, takes over */
uint64_t weir_members_deadline(const weir_engine *engine, const weir_group *group);
void weir_members_end(weir_engine *engine, weir_port *port); /* it closes */
/* Something of the group is over by time then. */
static inline void weir_group_due_at(weir_group *group, uint64_t ns)
{
    if (group->members_due_ns == 0 || ns < group->members_due_ns) {
        group->members_due_ns = ns;
    }
}
/* Gives back what it holds and takes it from its group. Not yet freed, but when nobody holds it. */
void weir_member_out(weir_engine *engine, weir_member *member, bool orderly);
/* Its join was answered with an error after all: nobody ever gets its handle. Frees it. */
void weir_member_unheard(weir_engine *engine, weir_member *member);
/* Its settings or its mode are others now. */
void weir_members_altered(weir_engine *engine, weir_group *group);
/* There may be something to hand out of this part. */
void weir_group_ready(weir_group *group, weir_group_part *part);
/* The member's take is worth another try, when it has one. */
void weir_member_due(weir_member *member);
/* Completes the take: takes runs (counted chunks; NULL: none); waits for `unit` at `level` first (0:
 * for nothing). */
void weir_member_give(weir_engine *engine, weir_member *member, weir_handed *runs, uint32_t count,
                      uint64_t unit, weir_level level);
void weir_member_give_err(weir_engine *engine, weir_member *member, weir_err err);

/* member_read.c */
/* The chunk that has the offset: from the tail, or what the member's cold read brought; borrowed.
 * NULL: not in memory. */
weir_chunk *weir_member_look(const weir_member *member, const weir_partition *partition,
                             int64_t offset);
/* The same; NULL: a read was begun (or one is under way), and the take goes on when it is done; or
 * weir_member_gap tells why there will be none. */
weir_chunk *weir_member_chunk(weir_engine *engine, weir_member *member, weir_partition *partition,
                              int64_t offset);
/* Behind the last one that cannot be read from this offset on (damage); 0: nothing is known of it. */
int64_t weir_member_gap(const weir_member *member, const weir_partition *partition, int64_t offset);
void weir_member_read_done(weir_engine *engine, weir_read *read); /* fetch.c: takes its chunks */
void weir_member_reads_end(weir_member *member);

/* stream.c */
weir_err weir_stream_make(weir_engine *engine, weir_group *group);
void weir_stream_free(weir_group *group); /* and its members that nobody holds */
weir_err weir_stream_join(weir_engine *engine, weir_member *member);
void weir_stream_left(weir_engine *engine, weir_member *member);
void weir_stream_away(weir_engine *engine, weir_member *member); /* it keeps its place */
void weir_stream_revoked(weir_engine *engine, weir_member *member, uint64_t generation);
/* Parts came or went: they are divided anew. */
void weir_stream_parts_changed(weir_engine *engine, weir_group *group);
void weir_stream_part_free(weir_group_part *part); /* what stream.c keeps of it */
void weir_stream_work(weir_engine *engine,
                      weir_group *group); /* generations; who is told of them */
/* Of a GROUP in a checkpoint: the generation, with members and assignment; all bytes that are left. */
void weir_stream_put(weir_engine *engine, const weir_group *group, weir_writer *to);
weir_err weir_stream_take_saved(weir_engine *engine, weir_group *group, weir_reader *from);
/* Entries 24 and 25. */
weir_err weir_stream_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                            const weir_journal_unit *unit, uint64_t snapshot_unit);

/* stream_take.c */
bool weir_stream_take(weir_engine *engine, weir_member *member); /* false: nothing yet */

/* stream_commit.c */
/* MORE: nothing changed; a record has to be read first, and is being read. */
weir_err weir_stream_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                            weir_settled *settled, uint64_t *unit);
/* committed, handed, lag, metadata; and the oldest offset without an end. */
void weir_stream_part_info(const weir_group_part *part, weir_group_partition *info,
                           int64_t *oldest);

/* queue.c */
weir_err weir_queue_make(weir_engine *engine, weir_group *group);
void weir_queue_free(weir_group *group);
weir_err weir_queue_join(weir_engine *engine, weir_member *member);
void weir_queue_left(weir_engine *engine, weir_member *member, bool orderly);
/* A part begins at part.start, all fresh. NO_MEMORY. */
weir_err weir_queue_part_make(weir_engine *engine, weir_group_part *part);
/* A reset moves the part to `start`: leases and states are forgotten, everything from there on is
 * fresh. Pages that a checkpoint wrote after `unit` are left: call it whatever part.held_unit is. */
void weir_queue_part_reset(weir_engine *engine, weir_group_part *part, int64_t start,
                           uint64_t unit);
uint64_t weir_queue_part_held(const weir_group_part *part); /* newest unit that its pages hold */
void weir_queue_part_gone(weir_engine *engine, weir_group_part *part); /* for snapshots; then: */
void weir_queue_part_free(weir_group_part *part);
void weir_queue_started(weir_engine *engine, weir_group *group); /* leases have their full time */
void weir_queue_altered(weir_group *group); /* what its settings held back may go now */
void weir_queue_work(weir_engine *engine, weir_group *group); /* leases and delays that end */
uint64_t weir_queue_deadline(const weir_engine *engine, const weir_group *group);
/* [part.start, the partition's start) is gone from the log: weir_queue_work settles it. */
void weir_queue_start_moved(weir_engine *engine, weir_group_part *part, weir_fate fate);

/* queue_take.c */
bool weir_queue_take(weir_engine *engine, weir_member *member); /* false: nothing yet */

/* queue_settle.c */
weir_err weir_queue_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                           weir_settled *settled, uint64_t *unit);

/* queue_entry.c: entries 26 and 27 */
weir_err weir_queue_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit);

/* overflow.c */
/* Limits that this group cannot have: INVALID. The options are filled in. */
weir_err weir_overflow_check(const weir_group_options *options, bool of_queue_topic);
/* Whether the partition takes so many more, which come then. QUEUE_FULL. */
weir_err weir_overflow_decide(weir_engine *engine, weir_partition *partition, uint64_t records,
                              uint64_t bytes);
/* Bytes of what is not settled, by the means of batches and segments; -1: no memory, or no partition. */
int64_t weir_overflow_bytes(const weir_group_part *part);
/* Of a queue that has just refused: records whose own expiry is over expire now, and not when their turn
 * comes. A piece in a turn, from where the last one ended; what is on disk alone is read meanwhile.
 * True: some went. */
bool weir_overflow_expire(weir_engine *engine, weir_partition *partition);
/* The partition has another chunk. */
void weir_overflow_appended(weir_engine *engine, weir_partition *partition,
                            const weir_chunk *chunk);
void weir_overflow_altered(weir_engine *engine, weir_group *group); /* of a queue */

/* fates.c */
enum {
    WEIR_FATES_RETENTION_MS = 604800000,
    WEIR_FATES_RETENTION_BYTES = 1 << 30,
    WEIR_FATES_SEGMENT_BYTES = 64 << 20,
    WEIR_FATES_SEGMENT_MS = 86400000,
};
/* What became of records [first, last] of a part, in the open unit: counts them when it is an end
 * (apply does that in recovery: weir_fate_count), and writes a line of their story. */
typedef struct weir_fate_note {
    const weir_group_part *part;
    int64_t first, last;
    weir_fate fate; /* PENDING: no end */
    weir_fate_event event;
    weir_bytes reason;
    const weir_member *member; /* NULL: nobody's */
    uint32_t leased, failed;
    weir_letter letter; /* that it became; the group has a dead-letter topic */
} weir_fate_note;
void weir_fate_write(weir_engine *engine, const weir_fate_note *note);
/* The line alone: whoever calls counts. */
void weir_fate_tell(weir_engine *engine, const weir_fate_note *note);
/* The same for all that is pending of the part below `to`; before it is applied. why: NULL. */
void weir_fates_tell_between(weir_engine *engine, const weir_group_part *part, int64_t to,
                             weir_fate_event event, weir_fate fate, const char *why);
/* Bytes to ask of a unit for so many notes of one part, member and reason (null: none); and
 * weir_engine_unit for them and `bytes` besides: then they are told for sure [G6]. */
uint64_t weir_fates_room(const weir_group_part *part, const weir_member *member, weir_bytes reason,
                         uint64_t lines);
weir_err weir_fates_unit(weir_engine *engine, uint64_t bytes, uint64_t line_bytes);
weir_err weir_fates_unit_reserve(weir_engine *engine, uint64_t bytes, uint64_t line_bytes);
void weir_fate_count(weir_engine *engine, weir_group_part *part, weir_fate fate, uint64_t records);
void weir_fate_shown(weir_engine *engine, weir_fate fate, uint64_t records); /* in the metrics */
void weir_fates_show(weir_engine *engine, const uint64_t *fates); /* the metrics begin with these */
void weir_fates_close(weir_engine *engine); /* the open unit ends: it gets its lines */
weir_err weir_fates_replay(weir_engine *engine, weir_bytes body, uint64_t unit); /* entry 28 */
void weir_fates_started(weir_engine *engine); /* recovered; nothing is told yet */
void weir_fates_forget(weir_engine *engine, const weir_partition *partition); /* a checkpoint's */

/* dead_letter.c */
/* Appends the record to the group's dead-letter topic in the open unit [G4], with headers that say
 * why. Decided before: room (weir_dead_letter_room), topic there. */
weir_err weir_dead_letter_room(weir_engine *engine, const weir_group *group,
                               const weir_chunk *chunk, uint32_t index);
/* Whether it has been a dead letter so often that it ends here: dropped, by WEIR_DEAD_LETTER_LOOP. */
bool weir_dead_letter_loops(const weir_chunk *chunk, uint32_t index);
#define WEIR_DEAD_LETTER_LOOP "dead-letter-loop"
/* What it takes of a unit, its head in the journal included. */
uint64_t weir_dead_letter_bytes(const weir_chunk *chunk, uint32_t index);
/* Returns where it will stand; the topic's name is the topic's. */
weir_letter weir_dead_letter_write(weir_engine *engine, const weir_group_part *part,
                                   weir_chunk *chunk, uint32_t index, const char *reason_code,
                                   weir_bytes reason, const weir_member *member, uint32_t leased,
                                   uint32_t failed);

/* why.c */
void weir_why_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_why_finished(weir_engine *engine, weir_read *read); /* a slice of it: takes the read */
void weir_why_free(struct weir_why_work *work);

#endif
