/* adapters/proto/weir1/session.h - one weir.v1 conversation, without I/O: messages and completions
 * in, messages and port operations out. docs/weir.v1.md is the specification.
 *
 * A transport drives it so, on one thread (a loop's):
 *
 *     on accept:      weir_v1_session_create(&config, &session)       config.user is the weir_sink
 *     on bytes:       stream socket: weir_v1_session_stream(session, bytes, &used)
 *                     message transports: weir_v1_session_message(session, message, request)
 *                     Both answer OK (go on), AGAIN (blocked: keep what was not used and stop
 *                     reading), CLOSED (flush the output, then close the connection).
 *     on completion:  weir_v1_session_completion(session, completion)  from the sink's complete;
 *                     ask for the turn's end
 *     at turn end:    weir_v1_session_turn(session)    sends what was gathered, retries what had no
 *                     room; when it is no longer blocked, feed the bytes that were kept; while
 *                     weir_v1_session_wants_turn(session), ask for the next turn's end as well
 *     on output:      weir_v1_session_output(session, bytes waiting in the connection's output)
 *                     whenever that changed much (after each write at least): above
 *                     limits.output_bytes_max subscriptions pause and the session is blocked, until
 *                     less than half of it waits
 *     at time:        no hello after limits.connect_ms_max (weir_v1_session_greeted() is false):
 *                     weir_v1_session_fail(session, WEIR_TIMEOUT, "say hello sooner"), then close
 *     at drain:       weir_v1_session_drain(session); close when weir_v1_session_idle()
 *     on close:       weir_v1_session_close(session), whose members leave it, in order when it was
 *                     draining; keep session and sink, and go on with
 *                     completions and turns, until idle() is true; then weir_v1_session_destroy
 *
 * Output comes through config.emit, one whole message per call. A stream socket appends a newline
 * to TEXT; nothing to BINARY (a frame carries its length). emit may be called within any function
 * here but create and destroy; it must not call back into the session.
 *
 * Transports that push nothing (nng REP) set push = false: every message gets exactly one reply,
 * and `request` tells which message it belongs to. */
#ifndef WEIR_ADAPTERS_PROTO_WEIR1_SESSION_H
#define WEIR_ADAPTERS_PROTO_WEIR1_SESSION_H

#include "weir/adapter.h"
#include "weir/port.h"

#include "core/base/buffer.h"

typedef struct weir_v1_session weir_v1_session;

typedef enum weir_v1_kind { WEIR_V1_TEXT = 1, WEIR_V1_BINARY } weir_v1_kind;

/* The port as the session sees it: each slot is the function of that name in weir/port.h or
 * weir/engine.h. weir_v1_port_real (real_port.c) is the real one; tests bring their own. */
typedef struct weir_v1_port_ops {
    weir_err (*publish)(weir_port *port, const weir_publish *publish, void *user, uint64_t token);
    weir_err (*produce_batch)(weir_port *port, weir_bytes topic, uint32_t partition,
                              weir_bytes batch, void *user, uint64_t token);
    weir_err (*producer_open)(weir_port *port, void *user, uint64_t token);
    weir_err (*producer_where)(weir_port *port, weir_bytes producer, weir_bytes topic,
                               uint32_t partition, void *user, uint64_t token);
    weir_err (*fetch)(weir_port *port, const weir_fetch *fetch, void *user, uint64_t token);
    weir_err (*fetch_cancel)(weir_port *port, void *user, uint64_t token);
    weir_err (*subscriber_open)(weir_port *port, void *user, weir_subscriber **subscriber);
    weir_err (*subscriber_close)(weir_port *port, weir_subscriber *subscriber, void *user,
                                 uint64_t token);
    weir_err (*subscribe)(weir_port *port, weir_subscriber *subscriber,
                          const weir_subscribe *subscribe, void *user, uint64_t token);
    weir_err (*credit)(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                       uint64_t bytes);
    weir_err (*topic_create)(weir_port *port, weir_bytes name, const weir_topic_options *options,
                             void *user, uint64_t token);
    weir_err (*topic_alter)(weir_port *port, weir_bytes name, const weir_topic_options *change,
                            void *user, uint64_t token);
    weir_err (*topic_trim)(weir_port *port, weir_bytes name, uint32_t partition, int64_t before,
                           void *user, uint64_t token);
    weir_err (*topic_delete)(weir_port *port, weir_bytes name, void *user, uint64_t token);
    weir_err (*topics)(weir_port *port, weir_bytes name, void *user, uint64_t token);
    weir_err (*offsets)(weir_port *port, weir_bytes topic, weir_offsets_kind kind, int64_t time_ms,
                        void *user, uint64_t token);
    weir_err (*group_create)(weir_port *port, weir_bytes name, const weir_group_options *options,
                             void *user, uint64_t token);
    weir_err (*group_alter)(weir_port *port, weir_bytes name, const weir_group_options *change,
                            void *user, uint64_t token);
    weir_err (*group_delete)(weir_port *port, weir_bytes name, bool force, void *user,
                             uint64_t token);
    weir_err (*groups)(weir_port *port, weir_bytes name, void *user, uint64_t token);
    weir_err (*group_reset)(weir_port *port, const weir_reset *reset, void *user, uint64_t token);
    weir_err (*member_join)(weir_port *port, const weir_join *join, void *user, uint64_t token);
    weir_err (*member_leave)(weir_port *port, weir_member *member, bool orderly, void *user,
                             uint64_t token);
    weir_err (*member_beat)(weir_port *port, weir_member *member);
    weir_err (*member_revoked)(weir_port *port, weir_member *member, uint64_t generation);
    weir_err (*take)(weir_port *port, weir_member *member, const weir_take *take, void *user,
                     uint64_t token);
    weir_err (*take_cancel)(weir_port *port, weir_member *member);
    weir_err (*settle)(weir_port *port, weir_member *member, const weir_settle *settle, void *user,
                       uint64_t token);
    weir_err (*why)(weir_port *port, weir_bytes topic, uint32_t partition, int64_t offset,
                    weir_bytes group, void *user, uint64_t token);
    void (*stats)(weir_port *port, weir_stats *stats);
    weir_engine_health (*health)(weir_port *port);
} weir_v1_port_ops;

extern const weir_v1_port_ops weir_v1_port_real;

/* Everything is borrowed for the session's life but `name`, which is copied. */
typedef struct weir_v1_session_config {
    const weir_v1_port_ops *port_ops;
    weir_port *port;
    void *user; /* the `user` of every port operation: the transport's weir_sink */
    const weir_limits *limits;
    const char
        *name; /* what hello tells as "session": unique among open sessions; at most 64 bytes */
    weir_host *host;    /* for query stats: the front ends' counters; NULL: none are told */
    bool push;          /* the transport can send without being asked; false for nng REP */
    const char *origin; /* of members that join here: "websocket", "nng", "local"; NULL: none */
    void *emit_arg;
    /* One whole outgoing message; `bytes` is borrowed. `request` is what the message it answers
     * came with; 0 for what was not asked for. A transport without memory for it closes the
     * connection. */
    void (*emit)(void *emit_arg, weir_v1_kind kind, weir_bytes bytes, uint64_t request);
    /* A large BINARY message, written where it leaves from: the transport's own output, to append
     * to; then emit_end, always, in the same call of the session's. What is appended when it is
     * NULL, or when memory is short, is nothing. NULL: emit is good enough. */
    weir_buffer *(*emit_begin)(void *emit_arg);
    void (*emit_end)(void *emit_arg);
} weir_v1_session_config;

/* NO_MEMORY. */
weir_err weir_v1_session_create(const weir_v1_session_config *config, weir_v1_session **session);
/* Only when idle. NULL is harmless. */
void weir_v1_session_destroy(weir_v1_session *session);

/* Takes one whole message: text when it begins with `{` (a newline at its end is allowed), a frame
 * when it does not. AGAIN: nothing was taken; call again after weir_v1_session_turn() unblocked it.
 * CLOSED: after goodbye or a fault that ends the conversation (it has been told). */
weir_err weir_v1_session_message(weir_v1_session *session, weir_bytes message, uint64_t request);

/* Takes the whole lines and frames at the front of a stream's bytes. *used: how many bytes of
 * `bytes` are done with (set on every return). OK: the rest is the beginning of a message; call
 * again with it and what follows. The stream's own state (how far a newline was looked for) is the
 * session's, so the unused bytes must come again, unchanged, at the front. */
weir_err weir_v1_session_stream(weir_v1_session *session, weir_bytes bytes, size_t *used);

/* A completion whose `user` is the session's. What it holds stays the caller's to drop. */
void weir_v1_session_completion(weir_v1_session *session, const weir_completion *completion);

/* Sends the records that were gathered since the last call and retries what the port had no room
 * for. True: operations were submitted, so the port wants a step. */
bool weir_v1_session_turn(weir_v1_session *session);
/* The same of what came since the last of these three calls; sends nothing. */
bool weir_v1_session_submitted(weir_v1_session *session);
/* Tells how many bytes wait in the connection's output. True as weir_v1_session_turn. */
bool weir_v1_session_output(weir_v1_session *session, uint64_t waiting_bytes);

/* Tells the peer an error that belongs to no command and ends the conversation. */
void weir_v1_session_fail(weir_v1_session *session, weir_err err, const char *text);
/* Says drain to the peer and refuses new work (closed); waiting fetches answer now. */
void weir_v1_session_drain(weir_v1_session *session);
/* The peer sends nothing more, though it may read: takes of its members that wait end now, and none
 * begins again, since nobody could settle what they would bring. */
void weir_v1_session_silent(weir_v1_session *session);
/* The connection is gone: nothing is emitted any more; subscribers close, fetches are cancelled. */
void weir_v1_session_close(weir_v1_session *session);

/* message and stream would answer AGAIN: something is parked, in_flight_max is reached, or the
 * output is over its limit. Look again after completion, turn and output. */
bool weir_v1_session_blocked(const weir_v1_session *session);
/* Something waits for room in the port: call turn again once the port was stepped. (A session that
 * is blocked without this waits for a completion.) */
bool weir_v1_session_wants_turn(const weir_v1_session *session);
/* hello was accepted. */
bool weir_v1_session_greeted(const weir_v1_session *session);
/* The conversation is over: flush and close. */
bool weir_v1_session_ended(const weir_v1_session *session);
/* Nothing is in flight in the port: after drain, the connection may be closed; after close, the
 * session destroyed. Open subscriptions count only after close. */
bool weir_v1_session_idle(const weir_v1_session *session);
/* The largest message that is taken now (it is smaller before hello). */
uint64_t weir_v1_session_message_max(const weir_v1_session *session);

/* What the transport adds up over its sessions for stats. */
typedef struct weir_v1_counters {
    uint64_t messages_in;
    uint64_t messages_out;
    uint64_t records_in;
    uint64_t records_out;
    uint64_t refused;          /* commands answered with an error */
    uint64_t dropped;          /* records dropped for subscriptions that asked for slow: "drop" */
    uint64_t paused_output;    /* times subscriptions paused for output_bytes_max */
    uint64_t paused_in_flight; /* times reading paused for in_flight_max */
    uint64_t narrowed_fetch;   /* fetches that got fewer bytes than they asked for */
    uint64_t refused_wait;     /* fetches that would have waited beyond fetch_wait_ms_max */
    uint64_t refused_fetches;  /* fetches beyond fetches_max */
    uint64_t refused_members;  /* joins beyond members_per_session_max */
} weir_v1_counters;
const weir_v1_counters *weir_v1_session_counters(const weir_v1_session *session);

#endif
