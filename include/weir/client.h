/* include/weir/client.h - weir.v1 from a program: blocking and simple. docs/weir.v1.md is what it
 * speaks. Link with what `pkg-config --libs weir-client` says; examples/client.c is a whole
 * program.
 *
 *     weir_client *client;
 *     weir_fault fault;
 *     if (weir_client_open("unix:/var/lib/weir/weir.sock", NULL, &client, &fault) == WEIR_OK) {
 *         weir_publish record = {.name = WEIR_TEXT("plant/dev1"), .value = WEIR_TEXT("21.5")};
 *         weir_published where;
 *         weir_err err = weir_client_publish(client, &record, &where);
 *         if (err != WEIR_OK) {
 *             fprintf(stderr, "%s\n", weir_client_error(client));
 *         }
 *         weir_client_close(client);
 *     } else {
 *         fprintf(stderr, "%s\n", fault.text);
 *     }
 *
 * A client is used by one thread at a time. Calls wait at most the client's timeout_ms (TIMEOUT:
 * the answer may still come, and is then ignored). CLOSED: the connection is gone; open another.
 * Any error the gateway answers comes back as its code, with its sentence in weir_client_error().
 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include "weir/base.h"
#include "weir/limits.h"
#include "weir/port.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_client weir_client;

/* Zeroed fields take the default named. */
typedef struct weir_client_options {
    const char *name;    /* told in hello; "weir-client" */
    const char *token;   /* for gateways that ask for one; none */
    uint32_t timeout_ms; /* 30,000 */
} weir_client_options;

/* ---- Life -------------------------------------------------------------------------------------
 */

/* Connects and says hello. url: "unix:/path/weir.sock" (or the path alone, beginning with / or .),
 * "fd:3", a connected stream socket that becomes the client's, "ws://127.0.0.1:9347/v1" (WebSocket;
 * an address in numbers, [::1] or localhost, which is 127.0.0.1; the gateway's pings are answered
 * within calls that wait, so call weir_client_next more often than http.ping_ms), or nng's URL of
 * REP with nng+ before it, "nng+tcp://127.0.0.1:9348" (nothing is pushed there: subscribe is
 * NOT_OFFERED). INVALID: no such scheme or address. NOT_OFFERED: wss://. NOT_FOUND: no gateway
 * listens there. What a WebSocket's answer is that opens none: PROTOCOL, MALFORMED, UNSUPPORTED,
 * NOT_AUTHORIZED, LIMIT, TOO_LARGE. VERSION, TIMEOUT, CLOSED, IO, NO_MEMORY. Fills *fault (may be
 * NULL). */
WEIR_API weir_err weir_client_open(const char *url, const weir_client_options *options,
                                   weir_client **client, weir_fault *fault);
/* Says goodbye (waiting at most a second for the answer) and frees. NULL is harmless. */
WEIR_API void weir_client_close(weir_client *client);

/* The sentence about the newest failure; "" when there was none. Valid until the next call. */
WEIR_API const char *weir_client_error(const weir_client *client);
/* The member the gateway found at fault ("topic"); "" when it named none. */
WEIR_API const char *weir_client_error_field(const weir_client *client);
/* Readable when the gateway has sent something; watch it, never read it. After it turned readable,
 * or when weir_client_pending() is true, weir_client_next(client, 0, ..) may have an event. */
WEIR_API int weir_client_fd(const weir_client *client);
WEIR_API bool weir_client_pending(const weir_client *client);
/* What hello told: the gateway's name and version; limits (those it does not tell are 0). */
WEIR_API const char *weir_client_server(const weir_client *client);
WEIR_API const weir_limits *weir_client_limits(const weir_client *client);
/* The gateway said that it is closing: finish, and connect again later. */
WEIR_API bool weir_client_draining(const weir_client *client);
WEIR_API void weir_client_timeout(weir_client *client, uint32_t timeout_ms);

/* ---- Publishing -------------------------------------------------------------------------------
 */

/* One record: name, or topic with key; attributes may have WEIR_RECORD_RETAIN. publisher and self
 * are ignored. Waits for the level unless no_confirm is set (then *published, which may be NULL, is
 * untouched). A record whose JSON is too long for one message goes as a frame, and is confirmed,
 * when it has a declared topic and is not to be retained. NOT_FOUND, NAME_INVALID, TOO_LARGE,
 * LIMIT, ... */
WEIR_API weir_err weir_client_publish(weir_client *client, const weir_publish *record,
                                      weir_published *published);

/* Effectively once: a record with `producer` and a rising `publishing_id` is stored once, however
 * often it is sent; published->duplicate tells that it was there. where: the last id that `producer`
 * published to a partition; *known false: none. */
WEIR_API weir_err weir_client_producer_where(weir_client *client, weir_bytes producer,
                                             weir_bytes topic, uint32_t partition, bool *known,
                                             uint64_t *publishing_id);
/* An id for the heads of idempotent batches (weir_port_produce_batch tells their rules). */
WEIR_API weir_err weir_client_producer_open(weir_client *client, int64_t *producer_id,
                                            int16_t *epoch);

/* Many records: send gathers and sends them in batches, with a window of batches under way; it
 * waits only while the window is full. Results are told in the order of their batches' answers. */
typedef struct weir_client_result {
    uint64_t token; /* of send */
    weir_err err;
    const char *text; /* the gateway's sentence when err is not OK; borrowed for the call */
    weir_published published;
} weir_client_result;
typedef void (*weir_client_result_fn)(void *arg, const weir_client_result *result);

/* Who is told of each result, from within send, push and flush; NULL: nobody. Must not call back.
 */
WEIR_API void weir_client_on_result(weir_client *client, weir_client_result_fn fn, void *arg);
WEIR_API weir_err weir_client_send(weir_client *client, const weir_publish *record, uint64_t token);
/* Sends what was gathered, without waiting for answers (before waiting for more input, say). */
WEIR_API weir_err weir_client_push(weir_client *client);
/* Sends, and waits until everything sent is answered. Returns the first failure since the last
 * flush. */
WEIR_API weir_err weir_client_flush(weir_client *client);

/* A RecordBatch v2 (or several, back to back) for one partition, as a binary frame. */
WEIR_API weir_err weir_client_produce(weir_client *client, weir_bytes topic, uint32_t partition,
                                      weir_bytes batch, weir_published *published);

/* ---- Reading ----------------------------------------------------------------------------------
 */

typedef struct weir_client_record {
    uint64_t subscription; /* 0: of a fetch */
    weir_bytes name;       /* the full name */
    weir_bytes topic;      /* null: live */
    weir_bytes key;        /* null: none */
    weir_bytes value;      /* null: a tombstone */
    uint32_t partition;
    int64_t offset;
    int64_t time_ms;
    bool live;
    bool retained;
    weir_mode
        mode; /* of a group's member: in which it was handed out; DEFAULT: an older gateway's */
    const weir_header
        *headers; /* content-type, expiry, reply, correlation, traceparent among them */
    uint32_t header_count;
    uint64_t member; /* of a group's member; 0: none */
    uint64_t epoch;  /* of a queue group: with `lease` the token that settles it */
    uint64_t lease;  /* 0: there is nothing to settle it with */
    uint32_t leased; /* times it was handed out, this one included */
    uint32_t failed; /* times that counted as failures */
} weir_client_record;

typedef struct weir_client_subscribe {
    weir_bytes filter; /* or: */
    weir_bytes topic;
    weir_start_kind start; /* as in weir_subscribe */
    int64_t value;
    const weir_position *positions;
    uint32_t position_count;
    uint64_t
        credit; /* records the gateway may send before weir_client_credit; 0: as many as are read */
    bool retained;
    bool until_end;
    bool drop_when_slow; /* rather than wait for this client */
} weir_client_subscribe;

typedef enum weir_client_event_kind {
    WEIR_CLIENT_RECORD = 1,
    WEIR_CLIENT_DROPPED,  /* count */
    WEIR_CLIENT_GAP,      /* from, to */
    WEIR_CLIENT_ENDED,    /* until_end: all there was has come */
    WEIR_CLIENT_DRAIN,    /* the gateway is closing */
    WEIR_CLIENT_ASSIGNED, /* assigned: what a stream member owns now */
    WEIR_CLIENT_STOPPED,  /* comes with the error for which a member is pushed nothing more, until
                           * weir_client_member_credit */
} weir_client_event_kind;

/* What a stream member owns, and what it is asked to give up. Valid until the next call. */
typedef struct weir_client_assigned {
    uint64_t generation;
    const weir_owned *owned;
    uint32_t owned_count;
    const weir_owned *revoked; /* commit what was done of them, then weir_client_revoked */
    uint32_t revoked_count;
    bool fenced; /* the member is out, and is no more: join again */
} weir_client_assigned;

typedef struct weir_client_event {
    weir_client_event_kind kind;
    uint64_t subscription; /* 0: DRAIN */
    uint64_t count;
    int64_t from;
    int64_t to;
    weir_client_record record; /* spans are valid until the next call */
    uint64_t member;           /* of a group; 0: none */
    weir_client_assigned assigned;
} weir_client_event;

WEIR_API weir_err weir_client_subscribe_open(weir_client *client,
                                             const weir_client_subscribe *subscribe,
                                             uint64_t *subscription);
WEIR_API weir_err weir_client_credit(weir_client *client, uint64_t subscription, uint64_t records);
WEIR_API weir_err weir_client_unsubscribe(weir_client *client, uint64_t subscription);
/* The next thing the gateway pushed; waits at most timeout_ms (-1: for ever). TIMEOUT, CLOSED. */
WEIR_API weir_err weir_client_next(weir_client *client, int timeout_ms, weir_client_event *event);

typedef struct weir_client_fetched {
    int64_t start_offset;
    int64_t end_offset;
    int64_t next_offset; /* where to fetch on */
    uint32_t record_count;
} weir_client_fetched;

/* Waits fetch->wait_ms longer than the timeout. Its records are read with weir_client_fetch_record
 * (index below record_count) until the next fetch. */
WEIR_API weir_err weir_client_fetch(weir_client *client, const weir_fetch *fetch,
                                    weir_client_fetched *fetched);
/* Spans are valid until the next call. MALFORMED: the gateway sent what is no record. */
WEIR_API weir_err weir_client_fetch_record(weir_client *client, uint32_t index,
                                           weir_client_record *record);

/* ---- Topics and queries -----------------------------------------------------------------------
 */

typedef struct weir_client_topics {
    weir_topic_info *topics; /* each with its partitions; NULL where the gateway told none */
    uint32_t count;
} weir_client_topics;
WEIR_API void weir_client_topics_free(weir_client_topics *topics);

WEIR_API weir_err weir_client_topic_create(weir_client *client, weir_bytes topic,
                                           const weir_topic_options *options);
/* Whether the newest weir_client_topic_create made its topic; false: it was there, or was refused. */
WEIR_API bool weir_client_topic_created(const weir_client *client);
WEIR_API weir_err weir_client_topic_alter(weir_client *client, weir_bytes topic, weir_level level);
/* Changes what `change` names: level, partitions (only up), cleanup and settings; 0 stays. */
WEIR_API weir_err weir_client_topic_change(weir_client *client, weir_bytes topic,
                                           const weir_topic_options *change);
/* Removes the records of a partition below `before` (WEIR_UNLIMITED: all that are visible). */
WEIR_API weir_err weir_client_topic_trim(weir_client *client, weir_bytes topic, uint32_t partition,
                                         int64_t before);
WEIR_API weir_err weir_client_topic_delete(weir_client *client, weir_bytes topic);
/* All, or the one named (null: all). */
WEIR_API weir_err weir_client_topic_list(weir_client *client, weir_bytes topic,
                                         weir_client_topics *topics);
/* The bounds of each partition; with TIME the first offset at or after time_ms as well. */
WEIR_API weir_err weir_client_topic_offsets(weir_client *client, weir_bytes topic,
                                            weir_offsets_kind kind, int64_t time_ms,
                                            weir_client_topics *topics);
/* what: "stats", "limits", "topics" or "health". *json: the whole answer, valid until the next
 * call. */
WEIR_API weir_err weir_client_query(weir_client *client, const char *what, weir_bytes *json);

/* ---- Consumer groups ---------------------------------------------------------------------------
 *
 *     weir_client_group_join(client, &join, &joined)                      -> joined.member
 *     weir_client_lease(client, member, &take, &leased)                   -> records
 *     weir_client_settle(client, member, &settle, &settled)    queue: each record's lease
 *     weir_client_commit(client, member, &offset, 1, NULL)     stream: the next offset to read
 *     weir_client_leave(client, member, true)
 *
 * What groups promise: weir/group.h and docs/groups.md. A connection that breaks takes its members
 * along, and what they held counts as failed; weir_client_close lets them leave in order.
 */

typedef struct weir_client_groups {
    weir_group_info *groups; /* by name, each in one piece with all it points to */
    uint32_t count;
} weir_client_groups;
WEIR_API void weir_client_groups_free(weir_client_groups *groups); /* a zeroed one is harmless */

/* As weir_port_group_create and so on (weir/port.h), with the same errors. After EXISTS
 * weir_client_error tells what the group is. */
WEIR_API weir_err weir_client_group_create(weir_client *client, weir_bytes group,
                                           const weir_group_options *options);
/* Whether the newest weir_client_group_create made its group; false: it was there, or was refused. */
WEIR_API bool weir_client_group_created(const weir_client *client);
WEIR_API weir_err weir_client_group_alter(weir_client *client, weir_bytes group,
                                          const weir_group_options *change);
WEIR_API weir_err weir_client_group_delete(weir_client *client, weir_bytes group, bool force);
/* All, or the one named (null: all; NOT_FOUND). */
WEIR_API weir_err weir_client_group_list(weir_client *client, weir_bytes group,
                                         weir_client_groups *groups);
/* *groups (may be NULL): the group as it is then, or as it would be (dry_run). */
WEIR_API weir_err weir_client_group_reset(weir_client *client, const weir_reset *reset,
                                          weir_client_groups *groups);

typedef struct weir_client_join {
    weir_bytes group;
    weir_bytes name;     /* of the member, for people; null: the gateway makes one up */
    weir_bytes instance; /* stream: a static member takes its partitions up again; null: none */
    const weir_group_options *options; /* as in weir_join; NULL: the group must exist */
    uint64_t credit;  /* records that are pushed, as events of weir_client_next, before
                      * weir_client_member_credit gives more; 0: none are, ask by
                      * weir_client_lease. NOT_OFFERED over nng. */
    bool auto_revoke; /* as in weir_join: partitions asked back are given up at once */
} weir_client_join;

typedef struct weir_client_joined {
    uint64_t member; /* its number on this connection */
    weir_model model;
    weir_mode mode;
    uint64_t generation;
    int64_t lease_ms;   /* queue: what is not settled by then goes to another; -1: it stays */
    int64_t session_ms; /* say something (any call that names the member) more often than this */
} weir_client_joined;

/* NOT_FOUND: no such group, and no options to make it of. EXISTS: it is another, as the error says.
 * LIMIT. */
WEIR_API weir_err weir_client_group_join(weir_client *client, const weir_client_join *join,
                                         weir_client_joined *joined);
/* What it holds goes back: orderly, or (else) counted as failed. */
WEIR_API weir_err weir_client_leave(weir_client *client, uint64_t member, bool orderly);
WEIR_API weir_err weir_client_beat(weir_client *client, uint64_t member);
/* It gave up what an ASSIGNED event of this generation asked back. */
WEIR_API weir_err weir_client_revoked(weir_client *client, uint64_t member, uint64_t generation);
WEIR_API weir_err weir_client_member_credit(weir_client *client, uint64_t member, uint64_t records);

typedef struct weir_client_leased {
    uint32_t record_count;
    weir_mode mode; /* in which they were handed out, whatever it was at the join, or is later */
    uint64_t generation; /* stream */
    int64_t lease_ms;    /* queue: from now; -1: as long as the member is there */
} weir_client_leased;

/* Waits take->wait_ms longer than the timeout. Its records are read with weir_client_lease_record
 * (index below record_count) until the next lease. What a stream member owns then comes as events
 * of weir_client_next. LEASE_LOST: the member is out, join again. */
WEIR_API weir_err weir_client_lease(weir_client *client, uint64_t member, const weir_take *take,
                                    weir_client_leased *leased);
/* Spans are valid until the next call. */
WEIR_API weir_err weir_client_lease_record(weir_client *client, uint32_t index,
                                           weir_client_record *record);

/* LEASE_LOST: *settled (may be NULL) tells how many were; the others are settled. generation is not
 * looked at. With no_confirm nothing is waited for, and nothing is told of what was refused: the
 * group counts it. */
WEIR_API weir_err weir_client_settle(weir_client *client, uint64_t member,
                                     const weir_settle *settle, weir_settled *settled);
/* One record by the token that it came with. ACCEPT of what was handed out at-most-once is OK, and
 * changes nothing: it was accepted before. So is a commit of what is committed. */
WEIR_API weir_err weir_client_settle_record(weir_client *client, const weir_client_record *record,
                                            weir_verb verb, weir_settled *settled);

/* ---- Leases by batches -------------------------------------------------------------------------
 *
 *     weir_client_lease_batches(client, member, &take, &leased)      runs of records, as they are stored
 *     weir_client_run_next(client, &leased.runs[i], &position, &record)      each record of a run
 *     weir_client_settle_ranges(client, member, &settle, &settled)   a run is a range
 *
 * The same in binary frames, for members that take many records: nothing is turned to text and back,
 * and a lease of a thousand records is settled in a few bytes. What a stream member owns does not
 * come with these over nng: use weir_client_lease there. */

/* Records [first, last] of a partition that were handed over together. */
typedef struct weir_client_leased_run {
    weir_bytes topic;
    uint32_t partition;
    int64_t first;
    int64_t last;
    uint64_t lease; /* 0: nothing settles them; from 2^63 on: handed out at-most-once */
    uint32_t leased;
    uint32_t failed;
    weir_bytes
        batch; /* the RecordBatch v2 in which they are stored, compressed if it was sent so; its
                       * other records are nothing of the member's */
} weir_client_leased_run;

typedef struct weir_client_batches {
    const weir_client_leased_run *runs;
    uint32_t run_count;
    uint64_t epoch;      /* queue: for weir_settle.epoch */
    uint64_t generation; /* stream: for weir_settle.generation */
    int64_t lease_ms;    /* queue: from now; -1: as long as the member is there */
} weir_client_batches;

/* As weir_client_lease. The runs and all they point to hold until the next lease by batches. */
WEIR_API weir_err weir_client_lease_batches(weir_client *client, uint64_t member,
                                            const weir_take *take, weir_client_batches *leased);
/* The next record of a run of the newest lease by batches. *position: 0 before the first one. EMPTY:
 * there are no more. The record's name and headers are valid until the next call, the rest of it as
 * long as the run, but of a compressed batch until another run is read. */
WEIR_API weir_err weir_client_run_next(weir_client *client, const weir_client_leased_run *run,
                                       size_t *position, weir_client_record *record);
/* As weir_client_settle, but metadata, which is INVALID here. */
WEIR_API weir_err weir_client_settle_ranges(weir_client *client, uint64_t member,
                                            const weir_settle *settle, weir_settled *settled);

/* stream: everything below `offset` was read. metadata: null: none. */
WEIR_API weir_err weir_client_commit(weir_client *client, uint64_t member,
                                     const weir_position *positions, uint32_t position_count,
                                     weir_bytes metadata);

typedef weir_why weir_client_story;                             /* in one piece */
WEIR_API void weir_client_story_free(weir_client_story *story); /* a zeroed one is harmless */
/* What became of one record, in one group (null: in all), and how it stands: as weir_port_why. */
WEIR_API weir_err weir_client_why(weir_client *client, weir_bytes topic, uint32_t partition,
                                  int64_t offset, weir_bytes group, weir_client_story *story);

#ifdef __cplusplus
}
#endif

#endif
