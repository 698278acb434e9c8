/* include/weir/port.h - how any thread talks to the engine: submit, step, drain.
 *
 * A port belongs to the thread that uses it. Submitting copies the operation into the port's ring
 * (WEIR_AGAIN: the ring is full; nothing was taken). weir_port_step() publishes what was submitted
 * and, when no other thread is stepping the engine, steps it inline; otherwise the owner of the
 * moment takes it. Finished operations come back in submission order per kind of promise: each
 * leaves when the unit it belongs to has its level. weir_port_fd() is readable while drain has
 * something to give that was finished by another thread.
 *
 *     submit -> [ring] -> step: decide, apply, journal, sync -> [completions] -> drain
 *
 * `user` is handed back untouched in every completion of the operation; so is `token`. */
#ifndef WEIR_PORT_H
#define WEIR_PORT_H

#include "weir/base.h"
#include "weir/engine.h"
#include "weir/group.h"
#include "weir/record.h"
#include "weir/topic.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_port weir_port;             /* opaque; valid until weir_port_close() */
typedef struct weir_subscriber weir_subscriber; /* opaque; valid until its CLOSED completion */

/* ---- Operations ---------------------------------------------------------------------------- */

enum { WEIR_PRODUCER_NAME_BYTES_MAX = 256 };

/* One record to publish. Either `name` is set, a full name that the address rule splits into topic
 * and key (or that is live), or `topic` is, with `key` as it stands (NOT_FOUND when undeclared).
 * Everything is copied. */
typedef struct weir_publish {
    weir_bytes name;
    weir_bytes topic;
    weir_bytes key;   /* with topic; null: none */
    weir_bytes value; /* null: a tombstone */
    const weir_header *headers;
    uint32_t header_count;
    uint8_t attributes; /* WEIR_RECORD_*: the front end's QoS; RETAIN sets or clears the retained
                         * value of the full name (an empty or null value clears it). A value is set
                         * only under a name of at most 1024 bytes and 128 levels, key included:
                         * else NAME_INVALID */
    bool no_confirm;    /* no completion when it succeeds; one with err when it fails */
    uint64_t publisher; /* picks the partition of a null key: the same publisher, the same one; 0:
                           none */
    const weir_subscriber
        *self; /* filters with no_local of this subscriber do not get it; may be NULL */
    /* Effectively once: a name (1 to WEIR_PRODUCER_NAME_BYTES_MAX bytes of UTF-8) and an id that
     * rises with each record of that name, gaps allowed. A record whose id is not above the last
     * one of its partition is not stored again: OK, with `duplicate`. The name picks the partition of
     * a null key. Null: none. NOT_OFFERED for live names. */
    weir_bytes producer;
    uint64_t publishing_id;
} weir_publish;

typedef enum weir_start_kind {
    WEIR_START_END = 0,   /* only what becomes visible from now on; live names too */
    WEIR_START_BEGINNING, /* the oldest that is kept */
    WEIR_START_OFFSET,    /* `value` in every partition of every topic that matches */
    WEIR_START_TIME,      /* the first record at or after `value`, Unix milliseconds */
    WEIR_START_LAST,      /* the last `value` records of each partition */
    WEIR_START_POSITIONS, /* as `positions` says; partitions not named there: from the end */
} weir_start_kind;

typedef struct weir_position {
    weir_bytes topic;
    uint32_t partition;
    int64_t offset; /* the next one to read */
} weir_position;

typedef enum weir_retained_mode {
    WEIR_RETAINED_NONE = 0,
    WEIR_RETAINED_SEND,        /* the values retained under names that match, then what comes */
    WEIR_RETAINED_SEND_IF_NEW, /* only when the filter was not subscribed to before */
} weir_retained_mode;

typedef struct weir_subscribe {
    weir_bytes filter;
    uint32_t slot; /* the caller's number for the filter; comes back with each delivery */
    bool no_local;
    weir_retained_mode retained;
    weir_start_kind start;
    int64_t value;
    const weir_position *positions;
    uint32_t position_count;
    bool until_end; /* with a start other than END: an ENDED notice when the end at subscribe time
                     * is reached (weir sub -e) */
} weir_subscribe;

typedef struct weir_fetch {
    weir_bytes topic;
    uint32_t partition;
    int64_t offset;
    uint32_t bytes_max; /* at least one batch is given, whatever its size */
    uint32_t wait_ms;   /* how long to wait for a first record; at most limits.fetch_wait_ms_max */
    bool peek;          /* a queue topic is read without taking; else NOT_OFFERED: join its group */
} weir_fetch;

typedef enum weir_offsets_kind { WEIR_OFFSETS_BOUNDS = 0, WEIR_OFFSETS_TIME } weir_offsets_kind;

/* ---- Completions --------------------------------------------------------------------------- */

typedef enum weir_completion_type {
    WEIR_COMPLETION_PUBLISH = 1,
    WEIR_COMPLETION_SUBSCRIBE,
    WEIR_COMPLETION_UNSUBSCRIBE,
    WEIR_COMPLETION_CLOSED,   /* the subscriber is gone: nothing more of it will come */
    WEIR_COMPLETION_DELIVERY, /* records for a subscriber; unasked */
    WEIR_COMPLETION_NOTICE,   /* something a subscriber should know; unasked */
    WEIR_COMPLETION_FETCH,
    WEIR_COMPLETION_TOPIC,  /* create, alter or delete */
    WEIR_COMPLETION_TOPICS, /* list */
    WEIR_COMPLETION_OFFSETS,
    WEIR_COMPLETION_BATCH, /* produce_batch */
    WEIR_COMPLETION_PRODUCER,
    WEIR_COMPLETION_GROUP,    /* create, alter, delete, reset */
    WEIR_COMPLETION_GROUPS,   /* list */
    WEIR_COMPLETION_MEMBER,   /* join */
    WEIR_COMPLETION_LEFT,     /* the member is gone: nothing more of it will come */
    WEIR_COMPLETION_ASSIGNED, /* what a stream member owns; unasked */
    WEIR_COMPLETION_TAKEN,
    WEIR_COMPLETION_SETTLED,
    WEIR_COMPLETION_WHY,
} weir_completion_type;

typedef struct weir_published {
    weir_level level; /* reached */
    bool live;        /* no topic: offset and partition mean nothing */
    uint32_t partition;
    int64_t offset; /* of the first record of a batch */
    int64_t timestamp_ms;
    bool duplicate; /* it was stored before, and not again; offset: of then, -1 when unknown */
} weir_published;

typedef struct weir_producer_info {
    int64_t id; /* open: for the heads of this producer's batches */
    int16_t epoch;
    bool known; /* where: it published to this partition before */
    uint64_t publishing_id;
} weir_producer_info;

/* A run of records of one chunk. The receiver owns one count of `chunk` and of `slots`. */
typedef struct weir_delivery {
    weir_subscriber *subscriber;
    weir_chunk *chunk;
    uint32_t first; /* index of the first record in the chunk */
    uint32_t count;
    uint32_t slot;            /* the filter that matched, when slots is NULL */
    struct weir_slots *slots; /* several filters of this subscriber matched; counted */
    bool retained;            /* from the retained values, not fresh */
} weir_delivery;

typedef enum weir_notice_kind {
    WEIR_NOTICE_DROPPED = 1, /* `count` records were not delivered: the subscriber was too slow */
    WEIR_NOTICE_GAP,   /* offsets [from, to) of a partition could not be read (removed, damaged) */
    WEIR_NOTICE_ENDED, /* until_end: everything there was at subscribe time was delivered */
} weir_notice_kind;

typedef struct weir_notice {
    weir_subscriber *subscriber;
    weir_notice_kind kind;
    uint64_t count;
    uint32_t slot;
    int64_t from;
    int64_t to;
} weir_notice;

/* One run in a fetch's answer. */
typedef struct weir_run {
    weir_chunk *chunk;
    uint32_t first;
    uint32_t count;
} weir_run;

typedef struct weir_fetched {
    weir_run *runs; /* the receiver's, with one count of each chunk: weir_completion_drop */
    uint32_t run_count;
    int64_t start_offset; /* of the partition */
    int64_t end_offset;   /* the high watermark: what is visible */
} weir_fetched;

typedef struct weir_partition_info {
    int64_t start_offset;
    int64_t end_offset;   /* high watermark */
    int64_t found_offset; /* for offsets by time: the first at or after it, or end_offset */
} weir_partition_info;

typedef struct weir_topic_info {
    char name[WEIR_TOPIC_BYTES_MAX + 1];
    uint32_t id;
    weir_topic_options options; /* as in force */
    uint64_t held_bytes;        /* that retention would have removed: `retention_unsettled: keep` */
    char held_by[WEIR_TOPIC_BYTES_MAX + 1]; /* the group that is furthest behind there */
    weir_partition_info *partitions;        /* options.partitions of them */
} weir_topic_info;

typedef struct weir_topics {
    weir_topic_info *topics; /* the receiver's: weir_completion_drop */
    uint32_t count;
    bool created; /* of topic_create: it was not there before */
} weir_topics;

typedef struct weir_groups {
    weir_group_info *groups; /* the receiver's, in one piece with all they point to */
    uint32_t count;
    uint32_t left_out; /* weir_port_group_sums: there are so many more */
    bool created;      /* of group_create: it was not there before */
} weir_groups;

typedef struct weir_why {
    weir_fate_line *lines; /* the receiver's, in one piece with all below; oldest first */
    uint32_t count;
    int64_t from_ms;   /* what happened before that is not kept any more; 0: all is */
    uint64_t left_out; /* older lines than these: no more than STORY_LINES_MAX are told */
    bool damaged;      /* some of `__fates` could not be read: there may be more */
    weir_record_head record;
    weir_standing *standings; /* of each group that reads the partition (of the one asked for) */
    uint32_t standing_count;
} weir_why;

typedef struct weir_completion {
    weir_completion_type type;
    weir_err err;
    void *user;
    uint64_t token;
    union {
        weir_published published; /* PUBLISH, BATCH */
        weir_delivery delivery;
        weir_notice notice;
        weir_fetched fetched;
        weir_topics topics; /* TOPIC (the one), TOPICS, OFFSETS (the one) */
        weir_producer_info producer;
        weir_groups groups; /* GROUP (the one; none when it failed, unless EXISTS), GROUPS */
        weir_joined joined;
        weir_assigned assigned;
        weir_taken taken;
        weir_settled settled;
        weir_why why;
        bool existed; /* SUBSCRIBE: it replaced the same filter; UNSUBSCRIBE: it was there */
    };
} weir_completion;

/* Gives back what a completion holds (chunks, slots, arrays) and its type, so that dropping it again is
 * harmless. Any thread. */
WEIR_API void weir_completion_drop(weir_completion *completion);

/* The slots of filters that matched, rising. Borrowed while `slots` is kept. */
WEIR_API const uint32_t *weir_slots_list(const struct weir_slots *slots, uint32_t *count);

/* ---- Life cycle ---------------------------------------------------------------------------- */

/* NO_MEMORY, IO. The port is used by one thread at a time; close ends its subscribers and drops
 * what was not drained. Any number of ports. */
WEIR_API weir_err weir_port_open(weir_engine *engine, weir_port **port);
WEIR_API void weir_port_close(weir_port *port);

/* Hands over what was submitted and steps the engine when nobody else does. Never blocks beyond one
 * turn (which includes the journal's sync when that is inline). Call it once per loop turn, and
 * when the deadline of weir_port_next_ms passed. */
WEIR_API void weir_port_step(weir_port *port);

/* Moves up to `max` finished operations into out[], oldest first; never blocks. What a completion
 * holds is the caller's to drop. Returns how many. */
WEIR_API size_t weir_port_drain(weir_port *port, weir_completion *out, size_t max);

/* Readable while another thread has finished something for this port, or wants it to step. Stays
 * the port's: watch it, never read it, never close it. weir_port_step() clears it. */
WEIR_API int weir_port_fd(const weir_port *port);

/* Milliseconds until this port should step even if nothing was submitted; -1: no need. */
WEIR_API int weir_port_next_ms(const weir_port *port);

/* For programs without a loop: steps, and waits until drain has something or timeout_ms passed
 * (-1: for ever). TIMEOUT. */
WEIR_API weir_err weir_port_wait(weir_port *port, int timeout_ms);

WEIR_API weir_engine *weir_port_engine(const weir_port *port);

/* ---- Submissions: WEIR_AGAIN when the ring is full, WEIR_TOO_LARGE and WEIR_INVALID at once;
 *      everything else comes back in the completion. ------------------------------------------ */

WEIR_API weir_err weir_port_publish(weir_port *port, const weir_publish *publish, void *user,
                                    uint64_t token);

/* A RecordBatch v2 built by a client for one partition, or several batches back to back of which
 * each is one. It may be compressed by lz4 or zstd, and is then stored and fetched so; TOO_LARGE:
 * it inflates to more than batch_plain_bytes_max. It is checked here, on the caller's side (MALFORMED, UNSUPPORTED, DAMAGED); the
 * engine sets base offset, timestamp type and time in the head. Copied.
 *
 * A head with a producer id (see weir_port_producer_open), its epoch and the sequence of its first
 * record makes it idempotent, as Kafka's KIP-98 has it: of each producer and partition sequences
 * are dense from 0; one of the last five batches sent again is OK with `duplicate`, an older one
 * DUPLICATE, a gap OUT_OF_ORDER, an older epoch PRODUCER_FENCED, an id that is not known
 * PRODUCER_UNKNOWN. INVALID: it has an id, and an epoch or a sequence below 0. */
WEIR_API weir_err weir_port_produce_batch(weir_port *port, weir_bytes topic, uint32_t partition,
                                          weir_bytes batch, void *user, uint64_t token);

/* A producer id that nobody had before, durably so; PRODUCER completion. LIMIT. It is forgotten
 * when nothing was produced with it for producer_expiry_ms. */
WEIR_API weir_err weir_port_producer_open(weir_port *port, void *user, uint64_t token);
/* "Where was I": the last publishing id of a named producer in one partition; PRODUCER completion.
 * NOT_FOUND: no such topic or partition. */
WEIR_API weir_err weir_port_producer_where(weir_port *port, weir_bytes producer, weir_bytes topic,
                                           uint32_t partition, void *user, uint64_t token);

WEIR_API weir_err weir_port_fetch(weir_port *port, const weir_fetch *fetch, void *user,
                                  uint64_t token);
/* Ends every fetch of this port with that user and token early: it completes, possibly empty. */
WEIR_API weir_err weir_port_fetch_cancel(weir_port *port, void *user, uint64_t token);

/* Opens a subscriber without credit; `user` comes back in its deliveries and notices. */
WEIR_API weir_err weir_port_subscriber_open(weir_port *port, void *user,
                                            weir_subscriber **subscriber);
WEIR_API weir_err weir_port_subscriber_close(weir_port *port, weir_subscriber *subscriber,
                                             void *user, uint64_t token);
/* NOT_OFFERED: the filter is a name under a queue topic, whose records go to the members of the
 * group that is named like it, or all that it matches lies under one. Other wildcards pass such
 * topics by. */
WEIR_API weir_err weir_port_subscribe(weir_port *port, weir_subscriber *subscriber,
                                      const weir_subscribe *subscribe, void *user, uint64_t token);
WEIR_API weir_err weir_port_unsubscribe(weir_port *port, weir_subscriber *subscriber,
                                        weir_bytes filter, void *user, uint64_t token);
/* Adds credit: the engine delivers no more records and (about) bytes than were granted. Sums stop
 * at the largest value instead of wrapping. */
WEIR_API weir_err weir_port_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                                   uint64_t bytes);

/* TOPIC completions. create: OK when it exists with the same options (existing data is kept; an
 * option of WEIR_TOPIC_SETTINGS_LIST or a cleanup that is 0 is the same as any), EXISTS with others,
 * NESTED, LIMIT, NAME_INVALID. */
WEIR_API weir_err weir_port_topic_create(weir_port *port, weir_bytes name,
                                         const weir_topic_options *options, void *user,
                                         uint64_t token);
WEIR_API weir_err weir_port_topic_set_level(weir_port *port, weir_bytes name, weir_level level,
                                            void *user, uint64_t token);
/* Changes what `change` names; what is 0 there stays. partitions: only up (INVALID otherwise); a
 * reader of whole topics gets a key's older records before its newer ones all the same. nested and
 * partition_levels cannot be changed and are not looked at. INVALID, LIMIT, NOT_FOUND. */
WEIR_API weir_err weir_port_topic_alter(weir_port *port, weir_bytes name,
                                        const weir_topic_options *change, void *user,
                                        uint64_t token);
/* Removes the records of a partition below `before` (WEIR_UNLIMITED: all that are visible), for
 * good: they are not read any more once it completes; their disk is freed by and by.
 * OFFSET_OUT_OF_RANGE: beyond the high watermark. */
WEIR_API weir_err weir_port_topic_trim(weir_port *port, weir_bytes name, uint32_t partition,
                                       int64_t before, void *user, uint64_t token);
WEIR_API weir_err weir_port_topic_delete(weir_port *port, weir_bytes name, void *user,
                                         uint64_t token);
/* All declared topics, by name, or the one named (NOT_FOUND). */
WEIR_API weir_err weir_port_topics(weir_port *port, weir_bytes name, void *user, uint64_t token);
/* Bounds of each partition of a topic; with TIME also the first offset at or after time_ms. */
WEIR_API weir_err weir_port_offsets(weir_port *port, weir_bytes topic, weir_offsets_kind kind,
                                    int64_t time_ms, void *user, uint64_t token);

/* GROUP completions. create: OK when it exists and is as asked (`created` is false then); EXISTS when
 * it is another (told); NOT_FOUND: a topic or the dead-letter topic is not declared; INVALID: also a
 * filter that only a queue topic, or one of the engine's own, matches; NAME_INVALID, LIMIT, NOT_OFFERED. alter changes what is set there; mode and settings at any time, model and topics
 * never. delete: NOT_FOUND; EXISTS: it has members, and force is false; the group of a queue topic
 * goes with its topic only (INVALID). */
WEIR_API weir_err weir_port_group_create(weir_port *port, weir_bytes name,
                                         const weir_group_options *options, void *user,
                                         uint64_t token);
WEIR_API weir_err weir_port_group_alter(weir_port *port, weir_bytes name,
                                        const weir_group_options *change, void *user,
                                        uint64_t token);
WEIR_API weir_err weir_port_group_delete(weir_port *port, weir_bytes name, bool force, void *user,
                                         uint64_t token);
/* All by name, or the one named (NOT_FOUND), with members and partitions. */
WEIR_API weir_err weir_port_groups(weir_port *port, weir_bytes name, void *user, uint64_t token);
/* `max` of them in short, in no order, as a GROUPS completion that waits for no disk: of each its name,
 * its fates and times, how many members there are (members is NULL), and one partition, which is the
 * sum of all (lag_ms: of the oldest). Fewer than max when they have very many partitions. */
WEIR_API weir_err weir_port_group_sums(weir_port *port, uint32_t max, void *user, uint64_t token);
/* EXISTS: a stream group has members, which must leave first. NOT_FOUND, OFFSET_OUT_OF_RANGE. */
WEIR_API weir_err weir_port_group_reset(weir_port *port, const weir_reset *reset, void *user,
                                        uint64_t token);

/* MEMBER completion, with `user` then in ASSIGNED. NOT_FOUND, EXISTS (the group is of another model
 * or mode), LIMIT, and as create. `leave` returns what it holds (orderly: it is no failure; else
 * one, as a connection that broke); LEFT completion, behind which the handle is no more. */
WEIR_API weir_err weir_port_member_join(weir_port *port, const weir_join *join, void *user,
                                        uint64_t token);
WEIR_API weir_err weir_port_member_leave(weir_port *port, weir_member *member, bool orderly,
                                         void *user, uint64_t token);
/* It is alive; take and settle say so, too. No completion. */
WEIR_API weir_err weir_port_member_beat(weir_port *port, weir_member *member);
/* It gave up what it was asked to in this generation. No completion. */
WEIR_API weir_err weir_port_member_revoked(weir_port *port, weir_member *member,
                                           uint64_t generation);
/* TAKEN completion, empty after wait_ms. One take of a member waits at a time (PROTOCOL). LEASE_LOST:
 * the member is out, join again. OFFSET_OUT_OF_RANGE: removed is `error`, and its place was. DISK_FULL,
 * READ_ONLY, FENCED: what it would be given could not be written down. */
WEIR_API weir_err weir_port_take(weir_port *port, weir_member *member, const weir_take *take,
                                 void *user, uint64_t token);
/* Ends a waiting take early: it completes, possibly empty. */
WEIR_API weir_err weir_port_take_cancel(weir_port *port, weir_member *member);
/* SETTLED completion. LEASE_LOST: some records' lease or generation was over; the others were
 * settled. NOT_OFFERED: the group's mode has nothing to settle (a stream's accept of what is committed
 * is OK all the same, and changes nothing). INVALID: beyond what was handed. */
WEIR_API weir_err weir_port_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                                   void *user, uint64_t token);
/* WHY completion: the story of one record, of one group (null: of all), as `__fates` has it, and how
 * the record stands now. A record that is gone, and a topic that was deleted, have a story for as
 * long as `__fates` keeps it. NOT_FOUND: no such topic (or partition, or group), and no story.
 * OFFSET_OUT_OF_RANGE: beyond the end. */
WEIR_API weir_err weir_port_why(weir_port *port, weir_bytes topic, uint32_t partition,
                                int64_t offset, weir_bytes group, void *user, uint64_t token);

#ifdef __cplusplus
}
#endif

#endif
