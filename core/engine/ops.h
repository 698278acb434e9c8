/* core/engine/ops.h - operations as they lie in a port's ring: a struct, then its bytes, 8-aligned.
 */
#ifndef WEIR_CORE_ENGINE_OPS_H
#define WEIR_CORE_ENGINE_OPS_H

#include "core/engine/state.h"

#include "core/log/compactor.h"

typedef enum weir_op_type {
    WEIR_OP_PUBLISH = 1,
    WEIR_OP_BATCH,
    WEIR_OP_FETCH,
    WEIR_OP_FETCH_CANCEL,
    WEIR_OP_SUBSCRIBER_OPEN,
    WEIR_OP_SUBSCRIBER_CLOSE,
    WEIR_OP_SUBSCRIBE,
    WEIR_OP_UNSUBSCRIBE,
    WEIR_OP_CREDIT,
    WEIR_OP_TOPIC_CREATE,
    WEIR_OP_TOPIC_ALTER,
    WEIR_OP_TOPIC_TRIM,
    WEIR_OP_TOPIC_DELETE,
    WEIR_OP_TOPICS,
    WEIR_OP_OFFSETS,
    WEIR_OP_PRODUCER_OPEN,
    WEIR_OP_PRODUCER_WHERE,
    WEIR_OP_GROUP_CREATE,
    WEIR_OP_GROUP_ALTER,
    WEIR_OP_GROUP_DELETE,
    WEIR_OP_GROUP_RESET,
    WEIR_OP_GROUPS,
    WEIR_OP_GROUP_SUMS,
    WEIR_OP_MEMBER_JOIN,
    WEIR_OP_MEMBER_LEAVE,
    WEIR_OP_MEMBER_BEAT,
    WEIR_OP_MEMBER_REVOKED,
    WEIR_OP_MEMBER_TAKE,
    WEIR_OP_MEMBER_TAKE_CANCEL,
    WEIR_OP_MEMBER_SETTLE,
    WEIR_OP_WHY,
} weir_op_type;

typedef struct weir_op {
    uint32_t bytes; /* of the whole entry, a multiple of 8 */
    uint8_t type;
    uint8_t attributes; /* publish */
    bool no_confirm;    /* publish, settle: nothing is reserved */
    bool by_topic;      /* publish: topic and key stand apart */
    void *user;
    uint64_t token;
    weir_subscriber *subscriber; /* publish: self */
    union {
        struct {
            uint64_t publisher;
            uint32_t name_bytes; /* or the topic's */
            uint32_t key_bytes;
            uint32_t rest_bytes;
            uint32_t value_bytes; /* of the value alone: 0 clears a retained one */
            uint32_t bytes;       /* value and headers, for the limit of a record */
            bool key_null;
            uint16_t producer_bytes; /* then the data ends with a publishing id and the name */
        } publish;
        struct {
            uint32_t topic_bytes;
            uint32_t partition;
            uint32_t batch_bytes;
            uint32_t record_count;
            uint32_t plain_bytes; /* its plain form lies behind it; 0: it is not compressed */
        } batch;
        struct {
            int64_t offset;
            uint32_t partition;
            uint32_t bytes_max;
            uint32_t wait_ms;
            uint32_t topic_bytes;
            bool peek;
        } fetch;
        struct {
            int64_t value;
            uint32_t slot;
            uint32_t filter_bytes;
            uint32_t position_count;
            uint8_t start;
            uint8_t retained;
            bool no_local;
            bool until_end;
        } subscribe;
        struct {
            uint32_t topic_bytes;
            uint32_t name_bytes;
            uint32_t partition;
        } producer;
        struct {
            uint64_t records;
            uint64_t bytes;
        } credit;
        struct {
            weir_member *member;
            uint64_t generation; /* revoked */
            weir_take take;
            bool orderly; /* leave */
        } member;
        struct {
            weir_topic_options options;
            uint32_t name_bytes;
            int64_t time_ms; /* trim: before which offset */
            uint32_t partition;
            uint8_t offsets_kind;
        } topic;
    };
    uint8_t data[];
} weir_op;

/* A position of a subscribe, in its data behind the filter; then the topic's bytes. */
typedef struct weir_op_position {
    int64_t offset;
    uint32_t partition;
    uint32_t topic_bytes;
} weir_op_position;

/* ---- Between the files of this room ------------------------------------------------------------
 */

/* port.c */
/* The port's thread: a zeroed operation with room for its data; and, when it is filled, takes it in.
 * AGAIN, TOO_LARGE. `reserve`: its completion has a slot. */
weir_err weir_port_op_begin(weir_port *port, weir_op_type type, size_t data_bytes, bool reserve,
                            void *user, uint64_t token, weir_op **op);
void weir_port_op_end(weir_port *port, const weir_op *op, bool reserve);
void weir_port_complete(weir_port *port, const weir_completion *completion); /* a reserved slot */
/* Queues an answer until `unit` has `level`; at once when it has. */
void weir_port_answer(weir_port *port, const weir_completion *completion, uint64_t unit,
                      weir_level level);
void weir_port_answers_release(weir_engine *engine, weir_port *port);
bool weir_port_room(const weir_port *port); /* for something unasked */
void weir_port_unasked(weir_port *port, const weir_completion *completion); /* room was asked */
void weir_port_wake(weir_port *port);

/* group_port.c */
void weir_group_completion_drop(weir_completion *completion); /* what one of groups holds */

/* engine.c */
/* Makes sure a unit is open that can take `bytes` more; errors as weir_journal_room. */
weir_err weir_engine_unit(weir_engine *engine, uint64_t bytes);
void weir_engine_unit_end(weir_engine *engine); /* the open one; its batches are closed */
/* The same for what only settles, commits, moves on or alters: it goes on when the disk is full, as
 * long as the journal's reserve lasts, but for its last part. */
weir_err weir_engine_unit_reserve(weir_engine *engine, uint64_t bytes);
/* The same for what frees disk: it has the last part as well, so that settling cannot use up what
 * trimming needs. */
weir_err weir_engine_unit_last(weir_engine *engine, uint64_t bytes);
/* Where the entry's body goes: good until another entry, or room, is asked for, as a line of fates may. */
uint8_t *weir_engine_entry(weir_engine *engine, uint16_t type, size_t len); /* version 1 */
uint8_t *weir_engine_entry_of(weir_engine *engine, uint16_t type, uint8_t version, size_t len);
uint64_t weir_engine_unit_now(const weir_engine *engine); /* the open one's number, or the last */
uint64_t weir_engine_mark(const weir_engine *engine, weir_level level);
void weir_engine_wake(weir_engine *engine); /* any thread */
void weir_engine_job_done(weir_job *job);   /* any thread: hands a job back to the owner */
void weir_engine_turn(weir_engine *engine);

/* topics.c */
weir_err weir_topics_decide_create(weir_engine *engine, weir_bytes name,
                                   weir_topic_options *options, weir_topic **existing);
weir_err weir_topics_apply_create(weir_engine *engine, uint32_t id, weir_bytes name,
                                  const weir_topic_options *options, weir_topic **topic);
weir_topic *weir_topics_find(const weir_engine *engine, weir_bytes name);
weir_topic *weir_topics_find_id(const weir_engine *engine, uint32_t id);
void weir_topics_apply_delete(weir_engine *engine, weir_topic *topic, uint64_t unit);
void weir_topic_free(weir_engine *engine, weir_topic *topic);
void weir_topics_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_topics_segments_dir(const weir_engine *engine, uint32_t topic_id, uint32_t partition,
                              uint64_t term, char *out, size_t size);
void weir_topics_files_remove(const weir_engine *engine, uint32_t topic_id); /* what can be */
/* The first offset at or after a time, or the end; from what is in memory. */
weir_err weir_topic_grow(weir_topic *topic, uint32_t count);
weir_topic *weir_topics_grave(const weir_engine *engine, uint32_t id); /* deleted, and remembered */
weir_err weir_partition_segment_add(weir_partition *partition, weir_segment *segment);

/* options.c */
static inline bool weir_topic_is_queue(const weir_topic_options *options)
{
    return options->kind == WEIR_KIND_QUEUE;
}
/* The engine's own, as `__fates`. */
static inline bool weir_topic_is_own(const weir_topic *topic)
{
    return topic->id >= WEIR_OWN_TOPIC_IDS;
}
/* No filter meets it. */
static inline bool weir_topic_is_apart(const weir_topic *topic)
{
    return weir_topic_is_own(topic) || weir_topic_is_queue(&topic->options);
}
weir_err weir_topic_settings_check(const weir_topic_options *options); /* INVALID */
/* Whether the topic is as asked: what is 0 there is not asked for. */
bool weir_topic_settings_allow(const weir_topic_options *asked, const weir_topic_options *is);
void weir_topic_settings_merge(weir_topic_options *into, const weir_topic_options *change);
/* The options with every default filled in. */
weir_topic_options weir_topic_in_force(const weir_engine *engine,
                                       const weir_topic_options *options);
size_t weir_topic_settings_bytes(const weir_topic_options *options);
void weir_topic_settings_encode(const weir_topic_options *options, uint8_t *out);
weir_err weir_topic_settings_decode(weir_bytes in, weir_topic_options *options);

/* change.c */
weir_err weir_topics_alter(weir_engine *engine, const weir_topic_options *change,
                           weir_topic *topic);
/* An epoch with bounds of 0, newest. NO_MEMORY. */
weir_err weir_topic_epoch_add(weir_topic *topic, uint32_t partitions, weir_epoch **out);
void weir_topic_epochs_free(weir_topic *topic);
weir_err weir_change_replay_settings(weir_engine *engine, weir_bytes body);
weir_err weir_change_replay_partitions(weir_engine *engine, weir_bytes body);

/* life.c */
weir_err weir_life_trim_op(weir_engine *engine, const weir_op *op, weir_topic *topic);
/* `time_ms`: when it was decided. VERSION: of a cause that is not known. */
weir_err weir_life_replay_trim(weir_engine *engine, weir_bytes body, uint8_t version,
                               int64_t time_ms);
/* The start that it leads to; DAMAGED: the body is no trim's of that version. */
weir_err weir_life_trim_start(weir_bytes body, uint8_t version, int64_t *start);
void weir_life_start(weir_engine *engine, int64_t journalled_ms); /* recovered; the clock runs */
void weir_life_work(weir_engine *engine);
void weir_life_finished(weir_engine *engine);
void weir_life_fini(weir_engine *engine);
uint64_t weir_life_deadline(const weir_engine *engine); /* monotonic; UINT64_MAX: none */
/* Takes the segment's count: its files go when no start can want them. `replaced`: others hold its
 * records since `unit`; else they were trimmed in it. NO_MEMORY. */
weir_err weir_life_obsolete(weir_engine *engine, weir_segment *segment, uint64_t unit,
                            bool replaced);
weir_err weir_life_obsolete_reserve(weir_engine *engine, uint32_t more);
/* Whether files wait for one more base, since others took their place in `unit` or before. */
bool weir_life_replaced(const weir_engine *engine, uint64_t unit);
/* Makes a unit that says nothing new about the partition: it is to be in the next checkpoint. `frees`:
 * disk comes free by that, so that on a full disk it may use the last of the journal's reserve. */
weir_err weir_life_note(weir_engine *engine, weir_partition *partition, bool frees);
/* A topic that is about to be deleted keeps no record: what segments have goes when the unit is
 * durable. The unit has room for an entry for each partition. */
enum { WEIR_TRIM_ENTRY_BYTES = 28 };
void weir_life_empty(weir_engine *engine, weir_topic *topic);
/* trims.c */
weir_err weir_trims_reserve(weir_partition *partition);                      /* NO_MEMORY */
void weir_trims_add(weir_partition *partition, const weir_trimmed *stretch); /* it was reserved */
void weir_trims_forget(weir_partition *partition);
/* The trim that took it; NULL: none that is known did. */
const weir_trimmed *weir_trims_find(const weir_partition *partition, int64_t offset);
/* Why the record at `first` is below the start, in a word that stories tell; *last is lowered to the last
 * one of which that is so, too. NULL: it is not below. */
const char *weir_trims_reason(const weir_partition *partition, int64_t first, int64_t *last);

/* life.c */
/* The last segment is as old as one may be. */
bool weir_life_roll_due(const weir_engine *engine, const weir_partition *partition,
                        const weir_topic_options *options);

/* sweep.c */
void weir_sweep_work(weir_engine *engine);
void weir_sweep_finished(weir_engine *engine);
void weir_sweep_fini(weir_engine *engine);

/* sparse.c */
bool weir_sparse_rewritten(const weir_segment_state *state); /* its records are not counted */
/* Of a partition of a queue topic. */
typedef struct weir_sparse_place {
    int64_t next; /* where the next look for such segments begins; */
    int64_t seen; /* the last one found some from one before this offset on; 0: none */
} weir_sparse_place;
/* NULL: it has no group now. */
weir_sparse_place *weir_sparse_place_of(const weir_partition *partition);
typedef struct weir_sparse_look {
    uint32_t closed;      /* in: so many segments of the list are closed; */
    uint64_t small_bytes; /* one of so few bytes goes along with its neighbours; */
    uint32_t most;        /* at most so many together; 0: as many as one piece of work takes; */
    int64_t next;         /* from this offset on. Out: where to look next time. */
    uint32_t first;       /* out: the first neighbours in which little is owed; */
    uint32_t count;       /* 0: none */
    uint64_t bytes;       /* that they have */
} weir_sparse_look;
void weir_sparse_find(const weir_partition *partition, weir_sparse_look *look);
/* What is owed of [begin, end), the caller's to free. NO_MEMORY; AGAIN: too much. */
weir_err weir_sparse_ranges(const weir_partition *partition, int64_t begin, int64_t end,
                            weir_kept_range **ranges, uint32_t *count);
/* Whether all that is owed of [begin, end) now is in them. */
bool weir_sparse_covers(const weir_partition *partition, int64_t begin, int64_t end,
                        const weir_kept_range *ranges, uint32_t count);

/* compact.c */
/* Whether the partition is worth a compaction: it is remembered as the next one then. */
void weir_compact_look(weir_engine *engine, weir_partition *partition,
                       const weir_topic_options *options);
void weir_compact_work(weir_engine *engine);
void weir_compact_finished(weir_engine *engine);
void weir_compact_abandon(weir_engine *engine); /* at the end: nothing of it counts */
void weir_compact_fini(weir_engine *engine);
void weir_compact_forget(weir_engine *engine, const weir_topic *topic); /* it is deleted */
uint64_t weir_compact_deadline(const weir_engine *engine);

/* route.c */
/* The topic that a full name is under; NULL: live. */
weir_topic *weir_route_topic(const weir_engine *engine, weir_bytes name);
/* Whether nothing could ever come to this filter: all that it matches is a queue's, whose own group is to
 * be joined, or the engine's own, which may not be there yet. */
bool weir_route_reaches_nothing(const weir_engine *engine, weir_bytes filter);
const weir_route *weir_route_of_name(weir_engine *engine, weir_bytes name);
/* For a topic and key that stand apart. A route that is not remembered is returned in *mine: free
 * it with weir_route_drop when the turn's batches are closed. */
const weir_route *weir_route_of_key(weir_engine *engine, weir_bytes topic, weir_bytes key,
                                    bool key_null, weir_route **mine);
void weir_route_drop(weir_engine *engine, weir_route *route);
void weir_routes_trim(weir_engine *engine); /* between turns */
void weir_routes_fini(weir_engine *engine);

/* turn_write.c */
enum { WEIR_SETTLED_NS = 1000 * 1000 }; /* how long settlements wait for a sync that others want */
void weir_turn_write(weir_engine *engine); /* no unit is open */
void weir_turn_term(weir_engine *engine);  /* is this still our directory? */
void weir_turn_mark(weir_engine *engine);  /* of an idle journal */

/* lookahead.c */
enum { WEIR_TOGETHER_MAX = 16 }; /* operations that look ahead together */
void weir_look_ahead(const weir_engine *engine, const weir_op *const *ops, uint32_t count);

/* produce.c */
void weir_produce_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_produce_batch_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_produce_close_all(weir_engine *engine); /* every open batch becomes an entry */
/* Appends a record of the engine's own, in the open unit: the caller asked for its room. *where is its
 * partition, *offset the one that it will have. NO_MEMORY. */
weir_err weir_produce_own(weir_engine *engine, weir_topic *topic, uint8_t attributes,
                          weir_bytes key, weir_bytes rest, uint32_t *where, int64_t *offset);
/* Takes the chunk. `notes`: one per record, or NULL (recovery, client batches). */
void weir_produce_apply(weir_engine *engine, weir_partition *partition, weir_chunk *chunk,
                        const weir_note *notes, bool retained);
void weir_partition_show(weir_engine *engine); /* moves visible with the marks [E3] */
/* Every record of the chunk that sets or clears a retained value. */
void weir_produce_apply_retained(weir_engine *engine, weir_chunk *chunk);
void weir_partition_show_all(weir_engine *engine); /* recovery, and the clean stop */

/* unflushed.c: what no segment has yet, and what may leave memory */
void weir_tail_shrink(weir_engine *engine); /* gives back memory over the limit [E2] */
void weir_partition_drop_chunks(weir_engine *engine, weir_partition *partition);
/* Lets go of the chunks that end by its start. No flush has it in hand. */
void weir_partition_drop_below(weir_engine *engine, weir_partition *partition);
/* The chunk is in the tail, and in no segment. */
void weir_unflushed_add(weir_engine *engine, weir_partition *partition, const weir_chunk *chunk);
uint32_t weir_unflushed_class(const weir_partition *partition);
uint64_t weir_unflushed_class_end(uint32_t class); /* bytes that one of this class has not */
/* What it has is old enough for a segment, which is closed then: the next checkpoint does not carry
 * it any more. */
void weir_unflushed_due(weir_engine *engine, weir_partition *partition);
/* A flush moved `flushed_offset` over so many bytes of batches; engine.unflushed_bytes was put right. */
void weir_unflushed_written(weir_engine *engine, weir_partition *partition, uint64_t bytes);
/* `flushed_offset` has moved, or chunks were dropped; engine.unflushed_bytes was put right. */
void weir_unflushed_settle(weir_engine *engine, weir_partition *partition);
/* Recovery: a chunk that the state counts already. Takes it. DAMAGED: it is not the next one. */
weir_err weir_partition_tail_add(weir_engine *engine, weir_partition *partition, weir_chunk *chunk);

/* producers.c */
void weir_producers_init(weir_engine *engine);
void weir_producers_fini(weir_engine *engine);
/* OK: the batch is the next one of its producer, or has none; with *duplicate it was stored before,
 * at *offset. Otherwise why it is refused (see weir_port_produce_batch). After OK apply cannot
 * fail. */
weir_err weir_producers_decide(weir_engine *engine, const weir_partition *partition,
                               const weir_batch_head *head, bool *duplicate, int64_t *offset);
/* The chunk has its offset, time and unit; it was decided before. */
void weir_producers_apply(weir_engine *engine, const weir_partition *partition,
                          const weir_chunk *chunk);
weir_err weir_producers_replay_batch(weir_engine *engine, const weir_partition *partition,
                                     const weir_chunk *chunk);
weir_err weir_producers_replay_open(weir_engine *engine, weir_bytes body,
                                    const weir_journal_unit *unit);
weir_err weir_producers_replay_expire(weir_engine *engine, weir_bytes body,
                                      const weir_journal_unit *unit);
weir_err weir_producers_replay_publishing(weir_engine *engine, weir_bytes body,
                                          const weir_journal_unit *unit);
weir_err weir_publishing_decide(weir_engine *engine, const weir_partition *partition,
                                weir_bytes name, uint64_t id, bool *duplicate);
/* Then, before anything changes, its memory; and apply, or what undoes it. */
weir_err weir_publishing_reserve(weir_engine *engine, const weir_partition *partition,
                                 weir_bytes name, weir_publishing **out);
void weir_publishing_apply(weir_engine *engine, weir_publishing *publishing, uint64_t id);
void weir_publishing_unreserve(weir_engine *engine, weir_publishing *publishing);
void weir_publishing_write(weir_engine *engine); /* the open unit's entries */
void weir_producers_expire(weir_engine *engine);
/* What a snapshot has, in place of what was there. Room for one more place; takes `producer`. */
weir_err weir_producer_reserve(weir_producer *producer);
weir_err weir_producer_put(weir_engine *engine, weir_producer *producer, uint64_t unit);
weir_err weir_publishing_put(weir_engine *engine, weir_bytes key, uint64_t last, int64_t used_ms,
                             uint64_t unit);
void weir_producer_drop(weir_engine *engine, int64_t id); /* where there is one */
void weir_publishing_drop(weir_engine *engine, weir_bytes key);
void weir_producers_op(weir_engine *engine, weir_port *port, const weir_op *op);

/* retained.c */
weir_err weir_retained_decide(weir_engine *engine, weir_bytes name, uint64_t bytes);
void weir_retained_apply_chunk(weir_engine *engine, weir_chunk *chunk);
void weir_retained_forget(weir_engine *engine, weir_bytes name); /* a checkpoint says so */
/* `record` of `chunk` sets or clears the value retained under its full name. */
void weir_retained_apply(weir_engine *engine, weir_chunk *chunk, const weir_record *record);
void weir_retained_fini(weir_engine *engine);
void weir_scan_start(weir_engine *engine, weir_filter *filter);
void weir_scan_stop(weir_scan *scan);
bool weir_scan_deliver(weir_engine *engine, weir_scan *scan); /* false: it waits */

/* subscribe.c */
void weir_subscribe_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_subscriber_end(weir_engine *engine, weir_subscriber *subscriber);
void weir_subscriber_owe(weir_engine *engine, const weir_match *match, weir_partition *partition,
                         int64_t first, int64_t last);
void weir_subscriber_ready(weir_subscriber *subscriber);
void weir_subscribers_forget_topic(weir_engine *engine, weir_topic *topic);
void weir_owed_pop(weir_engine *engine, weir_subscriber *subscriber);
struct weir_slots *weir_slots_keep(struct weir_slots *slots);
void weir_slots_drop(struct weir_slots *slots);

/* cursor.c */
weir_err weir_cursors_start(weir_engine *engine, weir_filter *filter, const weir_op *op);
void weir_cursors_topic(weir_engine *engine, weir_topic *topic); /* a new topic: filters meet it */
/* The topic has more partitions than `before` now. */
void weir_cursors_grown(weir_engine *engine, weir_topic *topic, uint32_t before);
void weir_cursor_stop(weir_cursor *cursor);
bool weir_cursors_deliver(weir_engine *engine, weir_subscriber *subscriber); /* false: waits */
/* The offset behind the last one that it may hand out now. */
int64_t weir_cursor_limit(const weir_cursor *cursor);
/* Its next record may be handed out. */
static inline bool weir_cursor_due(const weir_cursor *cursor)
{
    return cursor->place == NULL && cursor->next < cursor->partition->visible_offset &&
           cursor->next < weir_cursor_limit(cursor);
}
bool weir_key_matches(weir_bytes filter, weir_chunk *chunk, uint32_t index);

/* deliver.c */
void weir_deliver(weir_engine *engine);
weir_chunk *weir_subscriber_chunk(const weir_subscriber *subscriber,
                                  const weir_partition *partition, int64_t offset);
void weir_subscriber_emit(weir_engine *engine, weir_subscriber *subscriber, weir_chunk *chunk,
                          uint32_t first, uint32_t count, uint32_t slot, struct weir_slots *slots,
                          bool retained);

static inline bool weir_subscriber_can_emit(const weir_subscriber *subscriber)
{
    return subscriber->credit_records > 0 && subscriber->credit_bytes > 0 &&
           weir_port_room(subscriber->port);
}

/* fetch.c */
void weir_fetch_op(weir_engine *engine, weir_port *port, const weir_op *op);
void weir_fetches_ready(weir_engine *engine, weir_partition *partition);
void weir_fetches_expire(weir_engine *engine);
void weir_fetches_end(weir_engine *engine, weir_partition *partition, weir_port *port);
weir_err weir_read_start(weir_engine *engine, weir_partition *partition, int64_t offset,
                         weir_subscriber *subscriber, weir_read **read);
void weir_read_finished(weir_engine *engine, weir_read *read);
void weir_read_let_go(weir_read *read); /* of the segments: it has ended */
void weir_read_free(weir_read *read);

/* ahead.c */
/* What was read for a fetch at the offset, running (its link is in a list) or ended: the caller's.
 * NULL: nothing. */
weir_read *weir_ahead_take(weir_engine *engine, const weir_partition *partition, int64_t offset,
                           uint64_t bytes_max);
/* A fetch's read has ended: begins the next one if the fetch went on where one before it ended. */
void weir_ahead_go_on(weir_engine *engine, weir_partition *partition, const weir_read *read);
void weir_ahead_finished(weir_engine *engine, weir_read *read); /* nobody has asked for it yet */
void weir_ahead_expire(weir_engine *engine);
void weir_ahead_fini(weir_engine *engine);

/* find.c: offsets by time */
weir_find *weir_find_make(weir_engine *engine, uint32_t places,
                          int64_t time_ms); /* NULL: no memory */
void weir_find_free(weir_find *find);       /* one that did not go; with what was asked */
/* At most as many as it was made for. Stays until the find is freed. */
weir_found *weir_find_add(weir_find *find, const weir_partition *partition);
/* True: a job looks; it is taken, `found` is told, and then it is freed. False: nothing is to be
 * looked for, every place has its offset already; still the caller's. */
bool weir_find_go(weir_find *find, weir_port *port, weir_found_fn *found);
/* Of a topic. True: a job looks, and answers at `unit` and `level` then: *done is taken. False:
 * *done is complete, or has an error. */
bool weir_find_offsets(weir_engine *engine, weir_port *port, const weir_topic *topic,
                       int64_t time_ms, weir_completion *done, uint64_t unit, weir_level level);
bool weir_find_finished(weir_read *read); /* false: it is kept, and freed later */

/* straight.c */
/* Whether the closed batch, not yet applied, goes straight to its segment: the open unit then gets
 * a reference to it. */
bool weir_straight_take(weir_engine *engine, weir_partition *partition, weir_chunk *chunk);
bool weir_straight_busy(const weir_partition *partition); /* something of it waits or goes: [X2] */
bool weir_straight_behind(const weir_engine *engine);     /* too much waits: take in less */
/* Names the folder of the partition's next segment. */
uint64_t weir_straight_term(const weir_engine *engine, const weir_partition *partition);
/* Whether a start from a checkpoint that is kept may read the segment by reference: then it is
 * neither removed nor rewritten. */
bool weir_straight_refers(const weir_engine *engine, const weir_segment *segment);
weir_journal_beside weir_straight_beside(weir_engine *engine);
void weir_straight_fini(weir_engine *engine);

/* straight_find.c */
/* What a unit has in place of a large batch. */
typedef struct weir_straight_reference {
    uint32_t topic_id;
    uint32_t partition;
    uint8_t flags; /* WEIR_ENTRY_SETS_RETAINED, WEIR_ENTRY_HAS_PRODUCER */
    int64_t base_offset;
    uint32_t offsets; /* that it takes */
    uint32_t bytes;
    uint32_t crc; /* CRC32C of all its bytes */
} weir_straight_reference;
weir_err weir_straight_find(void *arg, const weir_journal_unit *unit, weir_fault *fault);
weir_err weir_straight_carry(void *arg, const weir_journal_unit *unit, uint8_t *out, size_t *bytes);
/* What was found for the entry being replayed, with its count; NULL: the state has it already. */
weir_chunk *weir_straight_found(weir_engine *engine, const weir_straight_reference *reference);
void weir_straight_found_fini(weir_engine *engine); /* when recovery is over */

/* flush.c */
void weir_flush_work(weir_engine *engine);
void weir_flush_finished(weir_engine *engine);
/* Recovery, and the clean stop: all of this class and above (unflushed.c), on this thread. */
weir_err weir_flush_inline(weir_engine *engine, uint32_t class_least);
/* Before chunks that no segment has are dropped: a flush may have them in hand. */
void weir_flush_keep(const weir_partition *partition);
/* While the journal is replayed, behind a batch of this partition: writes what there is much of. */
weir_err weir_flush_replayed(weir_engine *engine, const weir_partition *partition);
/* What an error of background work means: a full disk, and a lack of memory or file descriptors, are
 * tried again, anything else stops writing. */
void weir_background_failed(weir_engine *engine, weir_err err, const char *what);
void weir_background_went_on(weir_engine *engine); /* it did what it was to do */
/* fetch.c: subscribers whose cold reads lacked memory or descriptors read again, when that is due. */
void weir_reads_retry(weir_engine *engine);
void weir_unsynced_add(weir_engine *engine, weir_partition *partition);
void weir_unsynced_remove(weir_engine *engine, weir_partition *partition);

/* save.c */
void weir_save_work(weir_engine *engine);
void weir_save_finished(weir_engine *engine);
weir_err
weir_flush_everything(weir_engine *engine); /* close: flush, sync, checkpoint, on this thread */
/* Whether there is something that the newest checkpoint has not, or left outside segments. */
bool weir_save_wanted(const weir_engine *engine);
/* Whether a checkpoint waits for a flush: of partitions of this class and above, and of records up
 * to this unit. */
bool weir_save_flushes(const weir_engine *engine, uint32_t *class_least, uint64_t *target);
bool weir_save_bars_flush(const weir_engine *engine);

/* open.c */
/* Reads a data directory as it stands, without owning it, up to the last good unit: for looking at
 * its state. No port may be opened on it, and weir_engine_abandon ends it. Whoever calls gives an env
 * that changes nothing. OK with *fault filled: the journal is damaged. */
weir_err weir_engine_look(const weir_engine_config *config, weir_engine **engine,
                          weir_fault *fault);
weir_err weir_engine_make(const weir_engine_config *config,
                          weir_engine **engine); /* no files yet */
void weir_engine_free(weir_engine *engine);

/* saved.c: of every object that checkpoints hold */
/* It changed, or is new. */
void weir_saved_changed(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved);
/* The same, for the pass that goes on, even when that has written it. */
void weir_saved_again(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved);
/* It was read from a checkpoint as it is. */
void weir_saved_loaded(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved);
/* It is no more; `identity` is what its kind's forget (snapshot.c) knows it by. Free it afterwards. */
void weir_saved_gone(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved,
                     weir_bytes identity);

/* snapshot.c */
weir_err weir_snapshot_encode(weir_engine *engine, weir_buffer *payload);
weir_err weir_snapshot_decode(weir_engine *engine, weir_bytes payload, weir_fault *fault);

/* entries.c */
enum {
    WEIR_ENTRY_START = 1,
    WEIR_ENTRY_TOPIC_CREATE = 2,
    WEIR_ENTRY_TOPIC_LEVEL = 3,
    WEIR_ENTRY_TOPIC_DELETE = 4,
    WEIR_ENTRY_BATCH = 5,
    WEIR_ENTRY_LIVE_RETAINED = 6,
    WEIR_ENTRY_TOPIC_SETTINGS = 7,
    WEIR_ENTRY_TOPIC_PARTITIONS = 8,
    WEIR_ENTRY_TRIM = 9,
    WEIR_ENTRY_REFERENCE = 10,
    WEIR_ENTRY_PRODUCER = 11,
    WEIR_ENTRY_EXPIRE = 12,
    WEIR_ENTRY_PUBLISHING = 13,
    WEIR_ENTRY_BATCH_HEAD_BYTES = 12,
    WEIR_ENTRY_REFERENCE_BYTES = 32,
    WEIR_ENTRY_TOPIC_HEAD_BYTES = 20,
};
weir_err weir_entry_replay(weir_engine *engine, const weir_journal_unit *unit,
                           uint64_t snapshot_unit, weir_fault *fault);
void weir_entry_start(weir_engine *engine);
void weir_entry_topic_create(weir_engine *engine, uint32_t id, weir_bytes name,
                             const weir_topic_options *options);
void weir_entry_topic_level(weir_engine *engine, uint32_t id, weir_level level);
void weir_entry_topic_delete(weir_engine *engine, uint32_t id);
enum { WEIR_ENTRY_SETS_RETAINED = 1, WEIR_ENTRY_HAS_PRODUCER = 2 }; /* flags; 2: of a reference */
void weir_entry_batch(weir_engine *engine, const weir_partition *partition, bool retained,
                      weir_bytes batch);
/* Of a batch that this turn built (weir_batch_finish at the open unit's time): with a short head. */
void weir_entry_built(weir_engine *engine, const weir_partition *partition, bool retained,
                      const weir_chunk *chunk);
typedef struct weir_entry_batch_parts {
    uint32_t topic_id;
    uint32_t partition;
    uint8_t flags;
    weir_bytes batch;     /* whole, or null: then of */
    weir_batch_head head; /* this, */
    weir_bytes records;   /* and these */
} weir_entry_batch_parts;
/* What the entry has. EMPTY: it is no batch; VERSION; DAMAGED. The batch itself is not looked at. */
weir_err weir_entry_batch_decode(const weir_journal_entry *entry, int64_t unit_ms,
                                 weir_entry_batch_parts *parts);
void weir_entry_live_retained(weir_engine *engine, weir_bytes batch);
void weir_entry_reference(weir_engine *engine, const weir_partition *partition, bool retained,
                          const weir_chunk *chunk);
/* EMPTY: it is no reference; VERSION, DAMAGED. */
weir_err weir_entry_reference_decode(const weir_journal_entry *entry,
                                     weir_straight_reference *reference);
/* The entry of the whole batch, head included, that a reference stands for; returns where the
 * batch's bytes go. */
uint8_t *weir_entry_batch_encode(uint8_t *out, const weir_straight_reference *reference);

#endif
