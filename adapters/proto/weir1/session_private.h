/* adapters/proto/weir1/session_private.h - what the files of the session share.
 *
 *   session.c            the conversation: messages in, what blocks it, how it ends
 *   session_command.c    text commands: found and checked; hello, ping, goodbye, query
 *   session_fetch.c      fetch, and how much fetches may bring
 *   session_topic.c      topic: create, alter, delete, list, offsets, trim
 *   session_publish.c    publish, single and many
 *   session_producer.c   producer: an id, or how far a named one got
 *   session_subscribe.c  subscribe, credit, unsubscribe; deliveries and notices out
 *   session_group.c      group: what groups are told, and what is told of them; why
 *   session_group_why.c  what the errors of group mean
 *   session_member.c     members: join, leave, beat, revoked, assigned
 *   session_lease.c      what members are given: leases asked for and pushed
 *   session_settle.c     what members say of what they were given: settle, commit
 *   session_frame.c      binary frames in
 *   session_complete.c   completions to replies
 *   session_reply.c      replies and errors out, and the operations in flight */
#ifndef WEIR_ADAPTERS_PROTO_WEIR1_SESSION_PRIVATE_H
#define WEIR_ADAPTERS_PROTO_WEIR1_SESSION_PRIVATE_H

#include "adapters/proto/weir1/frame.h"
#include "adapters/proto/weir1/json.h"
#include "adapters/proto/weir1/record_json.h"
#include "adapters/proto/weir1/session.h"

enum {
    WEIR_V1_VERSION = 1,
    WEIR_V1_ID_TEXT_MAX = 64,    /* bytes of an id that is a string */
    WEIR_V1_ID_BYTES_MAX = 400,  /* the same as JSON: each byte may take six, and two quotes */
    WEIR_V1_NAME_BYTES_MAX = 64, /* of the session's name */
    WEIR_V1_GATHER_BYTES = 256 * 1024, /* a records message is sent when it is this long */
    WEIR_V1_WINDOW_RECORDS = 4096, /* what the engine may deliver before the session says more */
    WEIR_V1_FETCH_BYTES = 1024 * 1024,     /* max_bytes of a fetch that names none */
    WEIR_V1_FETCH_BYTES_LEAST = 64 * 1024, /* what a fetch may always give, whatever waits */
    WEIR_V1_RECORDS_MAX = 10000,           /* records of one publish, positions of one subscribe */
};

/* Who is to be answered, and how. */
typedef struct weir_v1_call {
    uint64_t request;       /* the transport's */
    uint64_t frame_request; /* of a frame */
    bool frame;             /* answered in binary */
    bool quiet;             /* confirm: "none": only an error is answered */
    uint16_t id_len;
    char id[WEIR_V1_ID_BYTES_MAX]; /* as JSON; none when id_len is 0 */
} weir_v1_call;

typedef enum weir_v1_op_kind {
    WEIR_V1_OP_PUBLISH = 1,
    WEIR_V1_OP_PUBLISH_MANY, /* one record of a batch of JSON records */
    WEIR_V1_OP_PRODUCE,      /* a produce-batch frame */
    WEIR_V1_OP_FETCH,
    WEIR_V1_OP_FETCH_FRAME,
    WEIR_V1_OP_SUBSCRIBE,
    WEIR_V1_OP_UNSUBSCRIBE, /* the subscriber's close, with an answer */
    WEIR_V1_OP_CLOSE,       /* the subscriber's close, without */
    WEIR_V1_OP_TOPIC,
    WEIR_V1_OP_TOPIC_DELETE,
    WEIR_V1_OP_TOPICS,
    WEIR_V1_OP_OFFSETS,
    WEIR_V1_OP_PRODUCER_OPEN,
    WEIR_V1_OP_PRODUCER_WHERE,
    WEIR_V1_OP_GROUP, /* create, alter, reset, info: answered with the group */
    WEIR_V1_OP_GROUP_DELETE,
    WEIR_V1_OP_GROUPS,
    WEIR_V1_OP_JOIN,
    WEIR_V1_OP_LEAVE,     /* of a member, with an answer */
    WEIR_V1_OP_LEAVE_OWN, /* the same without */
    WEIR_V1_OP_LEASE,     /* a take that was asked for */
    WEIR_V1_OP_PUSH,      /* a take of the session's own, for a member with credit */
    WEIR_V1_OP_SETTLE,
    WEIR_V1_OP_COMMIT,
    WEIR_V1_OP_WHY,
} weir_v1_op_kind;

/* What the errors of group create and alter mean, as far as what is asked tells. */
typedef struct weir_v1_group_why {
    weir_group_options asked; /* of create; of its names only dead_letter, which is below */
    char dead_letter[WEIR_TOPIC_BYTES_MAX];
    char invalid[WEIR_V1_WHY_MAX];
    char not_found[WEIR_V1_WHY_MAX];
} weir_v1_group_why;

/* One operation in the port; its address is the token. */
typedef struct weir_v1_op {
    struct weir_v1_op *previous;
    struct weir_v1_op *next;
    weir_v1_op_kind kind;
    bool cancel_wanted; /* a fetch whose cancel had no room in the port */
    weir_v1_call call;
    struct weir_v1_many *many; /* PUBLISH_MANY */
    uint32_t index;            /* in it */
    struct weir_v1_subscription *subscription;
    struct weir_v1_member *member; /* JOIN to COMMIT */
    int64_t offset;                /* FETCH: asked for; OFFSETS: 1 when by time */
    weir_v1_group_why *why;        /* GROUP, JOIN: what its errors would mean; NULL: not known */
    bool own_topic;                /* FETCH: of a topic of the gateway's own */
    uint32_t bytes_max;            /* FETCH: of session->fetch_bytes */
    char *held_topic; /* FETCH: held, to be fetched again from here; NULL: it is in the port */
    uint32_t held_partition;
    uint32_t partition; /* FETCH, PRODUCE, TOPIC, PRODUCER_WHERE: asked for */
    bool again;         /* FETCH: in the port once more, after it was held */
} weir_v1_op;

typedef struct weir_v1_result {
    weir_published published;
    weir_err err;
    weir_v1_reason *reason; /* the result's; NULL: the error's own sentence */
} weir_v1_result;

/* A publish of many records: answered once, when the last of them is. */
typedef struct weir_v1_many {
    weir_v1_call call;
    uint32_t count;
    uint32_t submitted; /* records looked at */
    uint32_t done;      /* results that are known */
    weir_v1_result results[];
} weir_v1_many;

typedef enum weir_v1_subscription_state {
    WEIR_V1_SUBSCRIPTION_OPENING = 1,
    WEIR_V1_SUBSCRIPTION_OPEN,
    WEIR_V1_SUBSCRIPTION_CLOSING, /* its close is wanted or under way */
} weir_v1_subscription_state;

typedef struct weir_v1_subscription {
    uint64_t number; /* what the peer calls it */
    uint32_t slot;   /* in session->subscriptions */
    weir_v1_subscription_state state;
    weir_subscriber *subscriber;
    bool drop;               /* slow: "drop" */
    bool close_wanted;       /* the port had no room for the close */
    weir_v1_op *closing;     /* the close's operation, made ahead so that closing cannot fail */
    uint64_t credit;         /* records the peer will still take; UINT64_MAX: any */
    uint64_t dropped;        /* not yet told */
    uint64_t engine_records; /* granted to the engine, not yet delivered */
    int64_t engine_bytes;    /* below 0 after a run that was larger: the engine counts so too */
} weir_v1_subscription;

typedef enum weir_v1_member_state {
    WEIR_V1_MEMBER_JOINING = 1,
    WEIR_V1_MEMBER_OPEN,
    WEIR_V1_MEMBER_LEAVING, /* its leave is wanted or under way: its handle is used no more */
} weir_v1_member_state;

typedef struct weir_v1_member {
    struct weir_v1_member *next; /* in session->members */
    uint64_t number;             /* what the peer calls it */
    weir_v1_member_state state;
    weir_member *member;
    weir_model model;
    weir_mode mode;
    uint64_t generation; /* the newest that it was told */
    bool push;           /* it joined with credit */
    bool stopped;        /* its push ended in an error, until there is credit again */
    uint64_t credit;     /* records the peer will still take */
    weir_v1_op *taking;  /* its one take in the port; NULL: none */
    bool orderly;        /* LEAVING */
    bool leave_wanted;   /* the port had no room for the leave */
    weir_v1_op *leaving;
    weir_buffer assigned; /* a transport that pushes nothing: what the next lease tells; as JSON */
} weir_v1_member;

struct weir_v1_session {
    weir_v1_session_config config;
    char name[WEIR_V1_NAME_BYTES_MAX + 1];
    weir_v1_counters counters;

    bool greeted;
    bool draining;
    bool silent;  /* the peer sends nothing more */
    bool leaving; /* goodbye was said: no more messages */
    bool ended;   /* nothing more is said or taken */
    bool closed;  /* the connection is gone */
    bool submitted;
    weir_v1_call goodbye;

    weir_v1_splitter splitter;
    weir_v1_fields fields;
    weir_buffer out;    /* the message being written */
    weir_buffer gather; /* a records message that is still growing; empty: none */
    uint64_t gather_number;
    uint64_t gather_count;

    /* The message that the port had no room for, and how far it got. */
    bool parked;
    uint64_t parked_request;
    weir_v1_document parked_document;
    weir_buffer parked_frame;
    weir_v1_many *parked_many;
    weir_v1_subscription *parked_subscription;

    weir_v1_op *ops; /* in flight */
    weir_v1_op *free_ops;
    uint32_t op_count;  /* in flight, of any kind */
    uint32_t in_flight; /* those that count against in_flight_max */
    uint32_t fetches;
    uint64_t fetch_bytes; /* what they may give together */
    bool cancels_wanted;
    uint32_t held; /* fetches whose records came while the output was full [S6] */
    bool held_under_way;

    weir_v1_subscription **subscriptions; /* by slot; holes are NULL */
    uint32_t subscription_slots;
    uint32_t subscription_count;
    uint64_t subscription_last; /* the newest number */
    bool grants_wanted;
    bool closes_wanted;

    weir_v1_member *members;
    uint32_t member_count;
    uint64_t member_last; /* the newest number */
    bool members_wanted;  /* takes or leaves wait for room in the port */

    uint64_t waiting_bytes; /* the connection's output, as far as is known */
    bool paused;
};

/* ---- session_reply.c --------------------------------------------------------------------------
 */

/* An operation to submit, linked among those in flight; NULL: no memory. */
weir_v1_op *weir_v1_op_begin(weir_v1_session *session, weir_v1_op_kind kind,
                             const weir_v1_call *call);
void weir_v1_op_end(weir_v1_session *session, weir_v1_op *op);
static inline uint64_t weir_v1_op_token(const weir_v1_op *op)
{
    return (uint64_t)(uintptr_t)op;
}

/* Begins {"id":..,"ok":true in session->out; the caller appends members (",\"x\":1"). */
weir_v1_writer weir_v1_reply_begin(weir_v1_session *session, const weir_v1_call *call);
/* Closes the object and sends it. */
void weir_v1_reply_end(weir_v1_session *session, weir_v1_writer *writer, const weir_v1_call *call);
void weir_v1_reply_ok(weir_v1_session *session, const weir_v1_call *call);
void weir_v1_reply_error(weir_v1_session *session, const weir_v1_call *call,
                         const weir_v1_reason *reason);
/* Begins {"id":..,"error":{..} of a text call, for an error that tells more; reply_end sends it. */
weir_v1_writer weir_v1_error_begin(weir_v1_session *session, const weir_v1_call *call,
                                   const weir_v1_reason *reason);
/* The error with the sentence that fits it: what a peer should send instead. */
void weir_v1_reason_of(weir_v1_reason *reason, weir_err err);
void weir_v1_reply_err(weir_v1_session *session, const weir_v1_call *call, weir_err err);
/* The same of an operation that may have named a partition. */
void weir_v1_reply_op_err(weir_v1_session *session, const weir_v1_op *op, weir_err err);
/* Sends session->out, after what was gathered. */
void weir_v1_emit(weir_v1_session *session, weir_v1_kind kind, uint64_t request);
/* Where a large BINARY message is appended to, behind what is there; emit_end then says how many
 * bytes it got, 0 after a failure. */
weir_buffer *weir_v1_emit_begin(weir_v1_session *session);
void weir_v1_emit_end(weir_v1_session *session, const weir_buffer *out, size_t bytes,
                      uint64_t request);
/* Sends what was gathered. */
void weir_v1_gather_end(weir_v1_session *session);
/* Memory could not be had for what must be said: the conversation ends here. */
void weir_v1_give_up(weir_v1_session *session);
void weir_v1_write_published(weir_v1_writer *writer, const weir_published *published);

/* ---- session_command.c ------------------------------------------------------------------------
 */

/* Runs one parsed command. AGAIN: the port had no room; run it again later with the same document.
 */
weir_err weir_v1_command_run(weir_v1_session *session, const weir_v1_document *document,
                             uint64_t request);
/* What the peer hears when new work is refused now; WEIR_OK: it is not. */
weir_err weir_v1_command_allowed(const weir_v1_session *session, weir_v1_reason *reason);
/* The text of a string member. INVALID when it is missing or no string. */
weir_err weir_v1_command_text(const weir_v1_node *command, const char *field, weir_bytes *out,
                              weir_v1_reason *reason);
/* An integer member within [least, most]; the default when it is missing. INVALID. */
weir_err weir_v1_command_number(const weir_v1_node *command, const char *field, int64_t least,
                                int64_t most, int64_t fallback, int64_t *out,
                                weir_v1_reason *reason);
weir_err weir_v1_command_flag(const weir_v1_node *command, const char *field, bool *out,
                              weir_v1_reason *reason);

/* A command's body. OK: submitted or answered. AGAIN: as above. Anything else: refused with
 * *reason, nothing changed. */
typedef weir_err (*weir_v1_command)(weir_v1_session *session, const weir_v1_node *command,
                                    weir_v1_call *call, weir_v1_reason *reason);

/* ---- session_fetch.c --------------------------------------------------------------------------
 */

/* Submits a fetch, at most fetches_max and together at most about fetch_bytes_max at a time. */
weir_err weir_v1_fetch_submit(weir_v1_session *session, weir_v1_op_kind kind, weir_fetch *fetch,
                              uint64_t bytes_max, const weir_v1_call *call, weir_v1_reason *reason);
/* What a fetch or take may give now: those that wait together share one fetch_bytes_max. */
uint32_t weir_v1_fetch_budget(const weir_v1_session *session, uint64_t bytes_max);
/* Keeps the fetch instead of answering it, when the output is full [S6]. False: answer it. */
bool weir_v1_fetch_hold(weir_v1_session *session, weir_v1_op *op, const weir_fetched *fetched);
/* Submits the oldest held fetch again, when the output has room. */
void weir_v1_fetches_again(weir_v1_session *session);
weir_err weir_v1_fetch_wait_check(weir_v1_session *session, uint64_t wait_ms,
                                  weir_v1_reason *reason);
weir_err weir_v1_command_fetch(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);

/* ---- session_topic.c --------------------------------------------------------------------------
 */

weir_err weir_v1_command_topic(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);
/* As topic's action list, of all topics. */
weir_err weir_v1_topics_list(weir_v1_session *session, const weir_v1_call *call);

/* ---- session_publish.c ------------------------------------------------------------------------
 */

/* What is wrong with a name to publish under that the engine refused; NAME_INVALID. */
weir_err weir_v1_name_refuse(const weir_v1_session *session, weir_v1_reason *reason);
weir_err weir_v1_command_publish(weir_v1_session *session, const weir_v1_node *command,
                                 weir_v1_call *call, weir_v1_reason *reason);
void weir_v1_many_done(weir_v1_session *session, weir_v1_many *many);
void weir_v1_many_destroy(weir_v1_many *many);

/* ---- session_producer.c -----------------------------------------------------------------------
 */

weir_err weir_v1_command_producer(weir_v1_session *session, const weir_v1_node *command,
                                  weir_v1_call *call, weir_v1_reason *reason);
void weir_v1_producer_told(weir_v1_session *session, const weir_v1_op *op,
                           const weir_completion *completion);

/* ---- session_subscribe.c ----------------------------------------------------------------------
 */

weir_err weir_v1_command_subscribe(weir_v1_session *session, const weir_v1_node *command,
                                   weir_v1_call *call, weir_v1_reason *reason);
/* What is wrong with a filter that the engine refused; NAME_INVALID. */
weir_err weir_v1_filter_refuse(const weir_v1_session *session, weir_v1_reason *reason);
weir_err weir_v1_command_unsubscribe(weir_v1_session *session, const weir_v1_node *command,
                                     weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_credit(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason);
/* Closes the subscriber, now or when the port has room; `answer` (may be NULL) is told. */
void weir_v1_subscription_close(weir_v1_session *session, weir_v1_subscription *subscription,
                                const weir_v1_call *answer);
void weir_v1_subscription_closed(weir_v1_session *session, weir_v1_subscription *subscription);
void weir_v1_subscriptions_close(weir_v1_session *session);
void weir_v1_deliver(weir_v1_session *session, const weir_delivery *delivery);
void weir_v1_notice(weir_v1_session *session, const weir_notice *notice);
/* Gives the engine the credit it may have now, and closes what waits to be closed. */
void weir_v1_subscriptions_turn(weir_v1_session *session);

/* ---- session_group.c --------------------------------------------------------------------------
 */

/* Decoded members of a group; its spans point into the document, `topics` is its own. */
typedef struct weir_v1_group_words {
    weir_group_options options;
    weir_bytes *topics;
    bool any; /* one at least was given */
} weir_v1_group_words;
weir_err weir_v1_group_words_decode(const weir_v1_node *command, weir_v1_group_words *words,
                                    weir_v1_reason *reason);
void weir_v1_group_words_fini(weir_v1_group_words *words);
weir_err weir_v1_command_group(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_why(weir_v1_session *session, const weir_v1_node *command,
                             weir_v1_call *call, weir_v1_reason *reason);
void weir_v1_groups_told(weir_v1_session *session, const weir_v1_op *op,
                         const weir_completion *completion);
void weir_v1_why_told(weir_v1_session *session, const weir_v1_op *op,
                      const weir_completion *completion);

/* ---- session_group_why.c ----------------------------------------------------------------------
 */

/* The caller's to free; NULL: no memory. */
weir_v1_group_why *weir_v1_group_why_create(const weir_group_options *options);
/* In what the group that is there is not as was asked, and what helps; "": nothing of that is seen. */
void weir_v1_group_why_exists(const weir_v1_group_why *why, const weir_group_options *is,
                              char text[WEIR_V1_WHY_MAX]);
weir_v1_group_why *weir_v1_group_why_alter(weir_bytes name, const weir_group_options *change);

/* ---- session_member.c -------------------------------------------------------------------------
 */

weir_err weir_v1_command_join(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_leave(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_beat(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_revoked(weir_v1_session *session, const weir_v1_node *command,
                                 weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_member_credit(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);
/* The open member that the command names. INVALID, NOT_FOUND. */
weir_err weir_v1_member_named(const weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_member **out, weir_v1_reason *reason);
weir_err weir_v1_member_numbered(const weir_v1_session *session, uint64_t number,
                                 weir_v1_member **out, weir_v1_reason *reason);
void weir_v1_joined(weir_v1_session *session, const weir_v1_op *op,
                    const weir_completion *completion);
void weir_v1_assigned(weir_v1_session *session, const weir_assigned *assigned);
/* It leaves, now or when the port has room; `answer` (may be NULL) is told. */
void weir_v1_member_close(weir_v1_session *session, weir_v1_member *member, bool orderly,
                          const weir_v1_call *answer);
void weir_v1_member_closed(weir_v1_session *session, weir_v1_member *member);
void weir_v1_members_close(weir_v1_session *session, bool orderly);
/* It is out: the peer is told, unless an answer did, and the session forgets it. */
void weir_v1_member_fenced(weir_v1_session *session, weir_v1_member *member, bool told);
/* Submits the takes and leaves that there is room for. */
void weir_v1_members_turn(weir_v1_session *session);

/* ---- session_lease.c --------------------------------------------------------------------------
 */

/* In a lease's number: handed out at-most-once. The engine's numbers are below it. */
#define WEIR_V1_LEASE_ONCE (UINT64_C(1) << 63)

weir_err weir_v1_command_lease(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason);
/* The same, of a frame. */
weir_err weir_v1_frame_lease(weir_v1_session *session, const weir_v1_frame *frame,
                             weir_v1_call *call, weir_v1_reason *reason);
void weir_v1_taken(weir_v1_session *session, const weir_v1_op *op,
                   const weir_completion *completion);
/* A take for a member that has credit and none under way. */
void weir_v1_push(weir_v1_session *session, weir_v1_member *member);

/* ---- session_settle.c -------------------------------------------------------------------------
 */

weir_err weir_v1_command_settle(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason);
weir_err weir_v1_command_commit(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason);
/* The same as settle, of a frame. */
weir_err weir_v1_frame_settle(weir_v1_session *session, const weir_v1_frame *frame,
                              weir_v1_call *call, weir_v1_reason *reason);
void weir_v1_settled(weir_v1_session *session, const weir_v1_op *op,
                     const weir_completion *completion);

/* ---- session_frame.c --------------------------------------------------------------------------
 */

/* As weir_v1_command_run, of one whole frame. */
weir_err weir_v1_frame_run(weir_v1_session *session, weir_bytes message, uint64_t request);

/* ---- session.c --------------------------------------------------------------------------------
 */

void weir_v1_fetches_cancel(weir_v1_session *session);
/* Answers goodbye once nothing is in flight. */
void weir_v1_goodbye_check(weir_v1_session *session);

#endif
