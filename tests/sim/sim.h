/* tests/sim/sim.h - one simulated run: the real engine, the simulated disk, clients, faults, the model.
 *
 *   operations (from the seed, or fewer of them) --> ops.c: one function each
 *        submit on ports, plant faults            --> the engine, stepped by moves that chance picks
 *        answers, records, notices                --> answers.c --> the model
 *        crashes, restarts                        --> life.c: recovery is read whole and compared
 *
 * A run depends on its seed and its list of operations alone. Each operation has a seed of its own, so
 * that leaving one out changes the others as little as can be. */
#ifndef WEIR_TESTS_SIM_SIM_H
#define WEIR_TESTS_SIM_SIM_H

#include "tests/sim/disk.h"
#include "tests/sim/group_model.h"
#include "tests/sim/model.h"

#include "core/env/failpoint.h"

#define SIM_UNASKED ((uint64_t)1 << 32) /* in a token: a record that is answered only if it fails */
enum {
    SIM_ASKS = 1024,
    SIM_READERS = 6,
    SIM_PRODUCERS = 4,
    SIM_PRODUCER_IDS = 1 << 14,
    SIM_NAMERS = 4,
    SIM_NAMED = 64,
    SIM_MEMBER_PORTS = 2, /* of members alone: they may close */
    SIM_PORTS = MODEL_PORTS + SIM_MEMBER_PORTS,
    SIM_MEMBERS = MODEL_GROUPS + 2, /* at the end each group has one */
    SIM_SEGMENTS = 1024,
    SIM_HELD = 64,
    SIM_ITEMS = 12
};

/* X(NAME, weight among a thousand or so). One request of a client, or one fault. */
#define SIM_OP_LIST(X)                                                                             \
    X(PUBLISH, 300)                                                                                \
    X(PUBLISH_KEYED, 80)                                                                           \
    X(PUBLISH_LIVE, 30)                                                                            \
    X(BATCH, 80)                                                                                   \
    X(BATCH_LARGE, 6)                                                                              \
    X(PRODUCE_ONCE, 50)                                                                            \
    X(PUBLISH_NAMED, 50)                                                                           \
    X(WHERE, 14)                                                                                   \
    X(FETCH, 110)                                                                                  \
    X(SUBSCRIBE, 30)                                                                               \
    X(CREDIT, 60)                                                                                  \
    X(UNSUBSCRIBE, 14)                                                                             \
    X(CREATE, 40)                                                                                  \
    X(DELETE, 10)                                                                                  \
    X(LEVEL, 14)                                                                                   \
    X(ALTER, 12)                                                                                   \
    X(TRIM, 10)                                                                                    \
    X(TOPICS, 10)                                                                                  \
    X(OFFSETS, 20)                                                                                 \
    X(GROUP_CREATE, 30)                                                                            \
    X(GROUP_JOIN, 60)                                                                              \
    X(GROUP_LEAVE, 10)                                                                             \
    X(GROUP_DIE, 5)                                                                                \
    X(GROUP_TAKE, 140)                                                                             \
    X(GROUP_SETTLE, 120)                                                                           \
    X(GROUP_SETTLE_WRONG, 26)                                                                      \
    X(GROUP_BEAT, 20)                                                                              \
    X(GROUP_MODE, 8)                                                                               \
    X(GROUP_ALTER, 6)                                                                              \
    X(GROUP_RESET, 3)                                                                              \
    X(GROUP_DELETE, 2)                                                                             \
    X(GROUP_LIST, 8)                                                                               \
    X(WHY, 16)                                                                                     \
    X(PASS, 60)                                                                                    \
    X(SETTLE, 10)                                                                                  \
    X(AUDIT, 2)                                                                                    \
    X(KILL, 2)                                                                                     \
    X(POWER_CUT, 2)                                                                                \
    X(POWER_CUT_LATE, 1)                                                                           \
    X(DIE_SOON, 2)                                                                                 \
    X(DIE_AT_POINT, 2)                                                                             \
    X(STOP, 1)                                                                                     \
    X(SYNC_FAILS, 1)                                                                               \
    X(WRITE_FAILS, 1)                                                                              \
    X(READ_FAILS, 1)                                                                               \
    X(OPEN_FAILS, 1)                                                                               \
    X(DISK_FULL, 2)                                                                                \
    X(DISK_ROOM, 8)                                                                                \
    X(SLOW, 4)                                                                                     \
    X(FAST, 6)                                                                                     \
    X(CLOCK_JUMP, 6)                                                                               \
    X(CUT_STRAIGHT, 2)                                                                             \
    X(TAKE_OVER, 1)                                                                                \
    X(LOSE_HEADS, 2)                                                                               \
    X(FLIP, 2)                                                                                     \
    X(FLIP_JOURNAL, 2)

enum { SIM_LARGE_RECORDS = 3, SIM_LARGE_VALUE_BYTES = 100 << 10 }; /* of a large batch */

typedef enum sim_op_kind {
#define SIM_OP_ID(name, weight) SIM_OP_##name,
    SIM_OP_LIST(SIM_OP_ID)
#undef SIM_OP_ID
        SIM_OP_COUNT
} sim_op_kind;

typedef struct sim_op {
    sim_op_kind kind;
    uint64_t seed;
} sim_op;

/* What must happen somewhere in a whole run of many seeds. */
#define SIM_EVENT_LIST(X)                                                                          \
    X(acknowledged_memory)                                                                         \
    X(acknowledged_os)                                                                             \
    X(acknowledged_disk)                                                                           \
    X(acknowledged_batch)                                                                          \
    X(acknowledged_large_batch)                                                                    \
    X(acknowledged_lz4)                                                                            \
    X(acknowledged_zstd)                                                                           \
    X(producer_opened)                                                                             \
    X(duplicate_refused)                                                                           \
    X(named_stored)                                                                                \
    X(named_duplicate)                                                                             \
    X(named_lost)                                                                                  \
    X(where_told)                                                                                  \
    X(group_created)                                                                               \
    X(group_deleted)                                                                               \
    X(group_reset)                                                                                 \
    X(member_joined)                                                                               \
    X(member_died)                                                                                 \
    X(member_fenced)                                                                               \
    X(rebalanced)                                                                                  \
    X(record_taken)                                                                                \
    X(record_taken_once)                                                                           \
    X(record_settled)                                                                              \
    X(record_released)                                                                             \
    X(lease_ended)                                                                                 \
    X(late_answer_refused)                                                                         \
    X(dead_letter)                                                                                 \
    X(dead_letters_counted)                                                                        \
    X(record_waited)                                                                               \
    X(record_expired)                                                                              \
    X(record_superseded)                                                                           \
    X(key_waited)                                                                                  \
    X(position_removed)                                                                            \
    X(client_committed)                                                                            \
    X(member_came_back)                                                                            \
    X(queue_made)                                                                                  \
    X(queue_made_again)                                                                            \
    X(queue_deleted)                                                                               \
    X(queue_deleted_owing)                                                                         \
    X(queue_published)                                                                             \
    X(queue_batch)                                                                                 \
    X(queue_refused)                                                                               \
    X(queue_peeked)                                                                                \
    X(queue_start_moved)                                                                           \
    X(queue_freed)                                                                                 \
    X(queue_hole)                                                                                  \
    X(segments_rewritten)                                                                          \
    X(overflow_dropped)                                                                            \
    X(overflow_letter)                                                                             \
    X(limit_kept)                                                                                  \
    X(unsettled_kept)                                                                              \
    X(mode_changed)                                                                                \
    X(group_altered)                                                                               \
    X(group_drained)                                                                               \
    X(story_open)                                                                                  \
    X(story_ended)                                                                                 \
    X(fates_summed)                                                                                \
    X(record_fetched)                                                                              \
    X(record_delivered)                                                                            \
    X(record_delivered_from_log)                                                                   \
    X(cold_read)                                                                                   \
    X(fetch_waited)                                                                                \
    X(retained_set)                                                                                \
    X(retained_cleared)                                                                            \
    X(retained_compared)                                                                           \
    X(live_published)                                                                              \
    X(topic_created)                                                                               \
    X(topic_deleted)                                                                               \
    X(topic_deleted_under_group)                                                                   \
    X(topic_created_again)                                                                         \
    X(level_changed)                                                                               \
    X(partitions_added)                                                                            \
    X(retention_changed)                                                                           \
    X(trimmed)                                                                                     \
    X(start_moved)                                                                                 \
    X(compacted_topic)                                                                             \
    X(journal_file)                                                                                \
    X(journal_recycled)                                                                            \
    X(segment_made)                                                                                \
    X(segment_rolled)                                                                              \
    X(checkpoint)                                                                                  \
    X(kill)                                                                                        \
    X(power_cut)                                                                                   \
    X(power_cut_after_interval)                                                                    \
    X(death_in_a_call)                                                                             \
    X(death_at_a_failpoint)                                                                        \
    X(death_in_recovery)                                                                           \
    X(clean_stop)                                                                                  \
    X(recovery)                                                                                    \
    X(torn_tail)                                                                                   \
    X(reference_torn)                                                                              \
    X(written_straight)                                                                            \
    X(uncertain_kept)                                                                              \
    X(uncertain_lost)                                                                              \
    X(acknowledged_lost)                                                                           \
    X(sync_failed)                                                                                 \
    X(write_failed)                                                                                \
    X(write_cut_short)                                                                             \
    X(read_failed)                                                                                 \
    X(open_failed)                                                                                 \
    X(engine_stopped)                                                                              \
    X(disk_full)                                                                                   \
    X(disk_full_refused)                                                                           \
    X(disk_full_write)                                                                             \
    X(disk_full_over)                                                                              \
    X(start_refused)                                                                               \
    X(slow_disk)                                                                                   \
    X(clock_jump)                                                                                  \
    X(take_over)                                                                                   \
    X(fenced)                                                                                      \
    X(journal_flipped)                                                                             \
    X(start_damaged)                                                                               \
    X(heads_lost)                                                                                  \
    X(bit_flipped)                                                                                 \
    X(gap_told)

typedef enum sim_event {
#define SIM_EVENT_ID(name) SIM_EVENT_##name,
    SIM_EVENT_LIST(SIM_EVENT_ID)
#undef SIM_EVENT_ID
        SIM_EVENT_COUNT
} sim_event;
const char *sim_event_name(sim_event event);
const char *sim_op_name(sim_op_kind kind);
/* False: it has no weight, or comes from an operation that has none. */
bool sim_op_expected(sim_op_kind kind);
bool sim_event_expected(sim_event event);

typedef enum ask_kind {
    ASK_NONE,
    ASK_SENDS,
    ASK_ONCE, /* a batch of a producer that is stored once */
    ASK_PRODUCER,
    ASK_NAMED, /* a record of a publisher with a name */
    ASK_WHERE,
    ASK_FETCH,
    ASK_SUBSCRIBE,
    ASK_UNSUBSCRIBE,
    ASK_CLOSE,
    ASK_CREATE,
    ASK_DELETE,
    ASK_LEVEL,
    ASK_ALTER,
    ASK_TRIM,
    ASK_TOPICS,
    ASK_OFFSETS,
    ASK_GROUP_CREATE, /* and those behind it: of groups.c, members.c, told.c */
    ASK_GROUP_DELETE,
    ASK_GROUP_RESET,
    ASK_GROUP_MODE,
    ASK_GROUP_ALTER,
    ASK_GROUP_LIST,
    ASK_GROUP_DEAD,
    ASK_QUEUE_SET, /* the group of a queue, before anybody joins it */
    ASK_LETTERS,
    ASK_WHY,
    ASK_JOIN,
    ASK_LEAVE,
    ASK_TAKE,
    ASK_SETTLE,
} ask_kind;

/* Something that was submitted and will be answered. */
typedef struct sim_ask {
    ask_kind kind;
    uint8_t port;
    uint8_t topic;
    uint8_t partition;
    uint8_t reader;
    bool large;
    uint8_t codec; /* SENDS: of a batch; 0: none */
    bool again;    /* ONCE: it was acknowledged before */
    bool stale;    /* topics changed since: it tells nothing */
    bool settle;   /* TOPICS, OFFSETS: after a recovery */
    uint32_t send;
    uint32_t incarnation;
    int64_t offset; /* FETCH: wanted */
    int64_t end;    /* FETCH, OFFSETS: at least this much was acknowledged when it was asked */
    int64_t next;   /* FETCH: behind what was given */
    weir_topic_options options;
    weir_err err; /* the answer's, for who waits */
} sim_ask;

typedef struct sim_reader {
    weir_subscriber *handle; /* NULL: none */
    uint8_t port;
    uint8_t topic; /* MODEL_TOPICS: "#" */
    bool whole;    /* all of the topic */
    bool from_log;
    bool until_end;
    bool ended;
    bool closing;
    bool audit; /* of the retained values, or of everything at the end */
    uint32_t incarnation;
    uint32_t slot;
    uint64_t records;               /* that came */
    int64_t next[MODEL_PARTITIONS]; /* what comes next; -1: anything higher */
    int64_t last[MODEL_PARTITIONS];
} sim_reader;

typedef enum sim_producer_state {
    PRODUCER_NONE,
    PRODUCER_OPENING,
    PRODUCER_IDLE,
    PRODUCER_IN_FLIGHT,
    PRODUCER_UNKNOWN, /* nobody knows whether its batch was stored: it is sent again */
} sim_producer_state;

typedef struct sim_producer {
    sim_producer_state state;
    bool placed; /* it has its partition */
    int16_t epoch;
    uint8_t topic;
    uint32_t incarnation;
    uint32_t partitions; /* of the topic, then */
    uint32_t partition;
    int64_t id;
    int32_t next;     /* sequence of the batch after the last */
    int32_t sequence; /* of the last one, */
    uint32_t first;   /* its first send */
    uint32_t count;
} sim_producer;

/* What a publisher with a name sent. */
typedef struct sim_named {
    uint64_t id;
    uint32_t send;
} sim_named;

typedef struct sim_namer {
    sim_producer_state state; /* of the newest; NONE and IDLE: it is stored, or there is none */
    bool placed;              /* it has its topic */
    bool known;               /* `partition` was told */
    uint8_t topic;
    uint8_t key;
    uint32_t generation; /* part of its name */
    uint32_t incarnation;
    uint32_t partitions; /* of the topic, then */
    uint32_t partition;
    uint32_t
        count; /* of records it sent, but for those that are lost; the last SIM_NAMED are here */
    sim_named sent[SIM_NAMED];
} sim_namer;

/* A record that a member was handed, and has not answered. */
typedef struct sim_item {
    uint8_t topic;
    uint8_t partition;
    uint32_t incarnation;
    int64_t offset;
    uint64_t stamp; /* its lease; of a stream: the generation */
    uint64_t epoch;
} sim_item;

typedef struct sim_settle {
    sim_item items[SIM_ITEMS];
    uint32_t count;
    weir_verb verb;
    bool failed;
    uint64_t until_ns; /* RELEASE: not before */
    bool over;         /* it is known that nothing of it may be settled */
} sim_settle;

typedef enum sim_member_state {
    MEMBER_NONE,
    MEMBER_JOINING,
    MEMBER_IN,
    MEMBER_LEAVING
} sim_member_state;

typedef struct sim_member {
    sim_member_state state;
    weir_member *handle;
    uint8_t port;
    uint8_t group;
    bool takes;
    bool out;      /* it was told so: it can only leave */
    uint32_t made; /* of its group */
    uint64_t number;
    bool quits; /* at once what it is asked for, or its place is taken: nobody is told when */
    uint8_t has[MODEL_TOPICS];     /* partitions that it was told to own, and has not given up, */
    uint8_t asked[MODEL_TOPICS];   /* those of them that it is asked for */
    uint8_t gave[MODEL_TOPICS];    /* it was asked for them, and gave them up */
    uint64_t has_in;               /* generation */
    uint32_t has_of[MODEL_TOPICS]; /* the topics' incarnations then */
    uint64_t sure_ns;              /* it was surely a member of its group */
    uint64_t heard_ns;             /* it said last that it is there */
    bool lapsed;                   /* it was silent for so long that it may be out, */
    uint64_t lapsed_ns;            /* until then */
    uint64_t revoke; /* the generation in which it was asked to give something up; 0: it was not */
    uint64_t revoke_ns;
    uint32_t held_count;
    sim_item held[SIM_HELD];
} sim_member;

/* What stands in the topic of dead letters: letters.c. */
typedef struct sim_letters {
    uint64_t of[MODEL_GROUPS]; /* of the group as it is called now */
    uint16_t *seen;            /* by send: a bit for each group */
    int64_t next;
    int64_t most; /* so many were ever seen */
    bool missing; /* there is no such topic */
} sim_letters;

typedef struct sim_world {
    uint64_t seed;
    sim_random chance; /* of the operation that runs */
    sim_disk *disk;
    sim_env *env;
    weir_engine *engine;
    weir_engine_config config;
    weir_port *ports[SIM_PORTS];
    sim_model model;
    model_group groups[MODEL_GROUPS];
    sim_member members[SIM_MEMBERS];
    sim_settle settles[SIM_ASKS]; /* by ask */
    bool draining;
    bool drained;                           /* nothing may be pending */
    uint64_t pending[MODEL_GROUPS];         /* as told last */
    uint64_t segments_before[SIM_SEGMENTS]; /* hashes of their paths at this life's start */
    uint32_t segments_before_count;
    uint32_t lists;                      /* of groups, that were asked for */
    bool over[MODEL_GROUPS];             /* more than its limit, of what nobody holds */
    uint64_t letter_fates[MODEL_GROUPS]; /* the same; UINT64_MAX: not told */
    uint64_t fates[WEIR_FATE_COUNT]; /* the metrics, before the groups of a start were asked for */
    sim_letters letters;
    sim_ask asks[SIM_ASKS];
    uint32_t asks_open;
    uint32_t ask_next;
    sim_reader readers[SIM_READERS];
    sim_producer producers[SIM_PRODUCERS];
    bool producer_ids[SIM_PRODUCER_IDS]; /* that were given out */
    sim_namer namers[SIM_NAMERS];
    weir_level survives; /* the least level that crashes since the last recovery must not touch */
    uint64_t events[SIM_EVENT_COUNT];
    uint64_t points[WEIR_FAILPOINT_COUNT];
    uint64_t kills[WEIR_FAILPOINT_COUNT]; /* that it died at */
    uint64_t ops_done[SIM_OP_COUNT];
    uint64_t hash;
    uint64_t starts;
    sim_latency latency;   /* of this life's disk, as it is now */
    uint32_t die_at_point; /* the failpoint + 1; 0: none */
    uint32_t die_at_count;
    uint32_t die_in_start; /* the same, of the next start */
    bool flips;            /* this run damages synced bytes */
    bool faulted;          /* faults are planted, or the disk is full */
    bool was_full;
    bool sync_lost;     /* a sync failed in this life: what is above `disk` is in doubt, [P1] */
    bool damaged;       /* a flipped bit keeps it from starting: the run ends */
    bool quiet;         /* the faults have stopped */
    int64_t time_ms;    /* the engine's time was not beyond it ... */
    uint64_t time_ns;   /* ... then */
    int64_t stamped_ms; /* engine time of the last record that was acknowledged */
    uint64_t jumped_ns; /* the wall clock, last */
    bool trace;
} sim_world;

/* sim.c: one run, and moving it on. */
typedef struct sim_result {
    bool failed;
    char fault[MODEL_FAULT_BYTES];
    uint32_t op; /* at which it failed */
    uint64_t hash;
    uint64_t events[SIM_EVENT_COUNT];
    uint64_t points[WEIR_FAILPOINT_COUNT];
    uint64_t kills[WEIR_FAILPOINT_COUNT];
    uint64_t ops_done[SIM_OP_COUNT];
} sim_result;
void sim_ops_make(uint64_t seed, sim_op *ops, uint32_t count);
void sim_run(uint64_t seed, const sim_op *ops, uint32_t count, bool trace, sim_result *result);
void world_say(const sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_note(sim_world *w, uint64_t value); /* into the hash */
static inline void world_event(sim_world *w, sim_event event)
{
    w->events[event]++;
}
static inline bool world_up(const sim_world *w)
{
    return w->engine != NULL && !sim_env_dead(w->env) && !w->model.failed;
}
void world_drain(sim_world *w, uint32_t port);
void world_move(sim_world *w);                     /* one thing happens, by chance */
void world_moves(sim_world *w, uint32_t most);     /* none to `most` */
void world_on(sim_world *w);                       /* everything that is due happens once */
bool world_settle(sim_world *w, uint64_t most_ns); /* until nothing is open; false: time is up */
/* A host steps the engine when it asks for it, for as long as `os` may stay unsynced and syncs take; false:
 * something came between. */
bool world_interval(sim_world *w);
void world_latency(sim_world *w, sim_latency latency);
/* The engine's time is not beyond it: it goes with the wall clock, or on with the monotonic one. */
int64_t world_time_most_ms(sim_world *w);
/* Something about topics was asked and is not answered. */
bool world_topics_change(const sim_world *w);
sim_ask *world_ask(sim_world *w, ask_kind kind, uint32_t port, uint64_t *token); /* NULL: full */
void world_ask_drop(sim_world *w, sim_ask *ask);
bool world_wait(sim_world *w, const sim_ask *ask); /* until it is answered */

/* answers.c: what completions say to the model. */
/* Which topic a chunk is of, MODEL_TOPICS for live ones, MODEL_NONE when that one is gone. */
uint32_t world_topic_of(const sim_world *w, const weir_chunk *chunk);
void world_answer(sim_world *w, uint32_t port, weir_completion *done);

/* life.c: starts, crashes, audits. */
void world_start(sim_world *w);
void world_crash(sim_world *w, sim_crash crash);
void world_stop(sim_world *w);
void world_take_over(sim_world *w);
bool world_audit(sim_world *w, bool recovered); /* false: it broke off, by a death */
void world_finish(sim_world *w);                /* faults stop; everything must come to rest */
void world_end(sim_world *w);

/* producers.c */
void world_produce_once(sim_world *w);
void world_producer_opened(sim_world *w, const sim_ask *ask, const weir_completion *done);
void world_producer_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);
void world_producers_crashed(sim_world *w);

/* names.c */
void world_publish_named(sim_world *w);
void world_named_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);
void world_where(sim_world *w);
void world_where_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);
/* Partitions that came now would take its key elsewhere, where its id is not known. */
bool world_named_in_flight(const sim_world *w, uint32_t topic);
void world_named_crashed(sim_world *w);
void world_named_recovered(sim_world *w); /* the model knows what is left */

/* groups.c, members.c, told.c */
bool world_is_read(const sim_world *w, uint32_t topic); /* by a group that reads others, too */
void world_group_create(sim_world *w);
void world_group_make(sim_world *w, weir_model model);
void world_group_join(sim_world *w);
void world_group_leave(sim_world *w);
void world_group_die(sim_world *w);
/* Members hear what was said to them before a topic goes or comes again under its name. */
void world_groups_hear(sim_world *w);
void world_group_take(sim_world *w);
void world_group_settle(sim_world *w);
void world_group_settle_wrong(sim_world *w);
void world_group_beat(sim_world *w);
void world_group_mode(sim_world *w);
void world_group_alter(sim_world *w);
void world_group_reset(sim_world *w);
void world_group_delete(sim_world *w);
void world_group_list(sim_world *w);
/* stories.c */
void world_why(sim_world *w);
void world_why_answered(sim_world *w, const sim_ask *ask, const weir_completion *done);
/* queues.c: topics of kind queue. */
static inline bool world_is_queue(const sim_world *w, uint32_t topic)
{
    return topic < MODEL_TOPICS && w->model.topics[topic].options.kind == WEIR_KIND_QUEUE;
}
void world_queue_created(sim_world *w, const sim_ask *ask); /* the topic */
void world_queue_deleted(sim_world *w, uint32_t topic);
void world_queue_sent(sim_world *w, const sim_ask *ask, const weir_completion *done);
void world_queue_refused(sim_world *w, uint32_t send);
/* A peek passes over these. */
void world_queue_hole(sim_world *w, uint32_t topic, uint32_t partition, int64_t from, int64_t to);
void world_start_told(sim_world *w, uint32_t topic, uint32_t partition, int64_t start);
void world_segments_remember(sim_world *w); /* at a start */
bool world_queues_freed(sim_world *w);      /* [Q2]; false: it broke off */
bool world_queues_within(sim_world *w);     /* [Q5] */
/* What a topic of either kind may begin at now. */
bool world_offsets_ask(sim_world *w, uint32_t topic, bool recovered);
void world_group_answered(sim_world *w, sim_ask *ask, const weir_completion *done);
void world_group_assigned(sim_world *w, const weir_assigned *assigned);
void world_groups_forget(sim_world *w); /* the process is dead */
bool world_groups_recovered(sim_world *w);
/* What is owed to every group is handed out and settled. */
void world_groups_drain(sim_world *w);

/* compress.c. The same records in `out`, under codec 3 (lz4) or 4 (zstd). */
weir_bytes world_batch_compress(weir_bytes batch, uint32_t codec, uint8_t *out, size_t size);

/* faults.c */
void world_fault_kill(sim_world *w);
void world_fault_power_cut(sim_world *w);
void world_fault_power_cut_late(sim_world *w);
void world_fault_cut_straight(sim_world *w);
void world_fault_die_soon(sim_world *w);
void world_fault_die_at_point(sim_world *w);
void world_fault_stop(sim_world *w);
void world_fault_sync_fails(sim_world *w);
void world_fault_write_fails(sim_world *w);
void world_fault_read_fails(sim_world *w);
void world_fault_open_fails(sim_world *w);
void world_fault_disk_full(sim_world *w);
void world_fault_disk_room(sim_world *w);
void world_fault_slow(sim_world *w);
void world_fault_fast(sim_world *w);
void world_fault_take_over(sim_world *w);
void world_fault_flip(sim_world *w);
void world_fault_flip_journal(sim_world *w);
void world_fault_heads(sim_world *w);

/* ops.c */
/* It was asked for. */
void world_topic_creating(sim_world *w, uint32_t topic, const weir_topic_options *options);
void world_topic_deleting(sim_world *w, uint32_t topic);
/* A topic in that state, by chance; MODEL_NONE: there is none. */
uint32_t world_any_topic(sim_world *w, model_exists exists);
void world_batch_to(sim_world *w, uint32_t topic, uint32_t partition, uint32_t count,
                    uint32_t value_bytes);
weir_bytes world_batch_build(sim_world *w, uint32_t first, uint32_t count, uint8_t *memory,
                             size_t size);
void world_op(sim_world *w, const sim_op *op);
sim_reader *world_reader_open(sim_world *w, uint32_t port, const weir_subscribe *wanted,
                              uint32_t topic);
void world_reader_forget(sim_reader *reader);

#endif
