/* adapters/proto/mqtt/session.h - one MQTT connection's state machine, without I/O.
 *
 * Bytes, completions and time come in; bytes (a weir_buffer) and port operations go out. The
 * transport owns the socket, the buffers, the timers and the registry of client ids. How it drives
 * a session:
 *
 *   loop set up   context.port, .ops, .limits, .hooks, .quiet_user; weir_mqtt_context_init
 *   each turn     context.now_ms, .wall_ms
 *   accept        weir_mqtt_session_create(context, user)
 *   readable      err = weir_mqtt_session_input(session, bytes, out, &used)
 *                   keep bytes[used..] for the next call, append what is read next
 *                   WEIR_OK      it took every whole packet: go on reading
 *                   WEIR_AGAIN   blocked: stop reading; call input again with the same rest
 *                                after the next step, and after each completion and claimed()
 *                   WEIR_CLOSED  write what `out` has, then close the socket and call end()
 *   completion    weir_mqtt_session_complete(session, completion, out): WEIR_OK or WEIR_CLOSED
 *                 (pointers it kept are zeroed; drop the completion afterwards)
 *   turn's end    weir_mqtt_session_drained(session, bytes still unwritten) after the turn's write,
 *                 when there was input, a completion or a write of this session. It may submit
 *                 credit: the loop must step again. WEIR_AGAIN: call it again after that step
 *   timer         at weir_mqtt_session_deadline_ms: weir_mqtt_session_tick(session, out)
 *   turn's end    weir_mqtt_context_turn_end(context), once, after the last completion
 *   EOF, reset    weir_mqtt_session_end(session)
 *   end           WEIR_OK: everything has come back: destroy. WEIR_AGAIN: call end again after the
 *                 next step and after each completion of this session, which still go to complete()
 *                 (with any buffer as `out`: nothing is written any more)
 *
 * Completions of what is submitted without confirmation (publishes of QoS 0, answers of shared
 * subscriptions) have context.quiet_user as `user` and come only on failure: hand them to
 * weir_mqtt_context_quiet. All of it on the loop's thread.
 *
 * Take-over: a CONNECT calls hooks->claim with the client id. OK: the id is the session's (CONNACK
 * leaves). AGAIN: another session holds it; the transport calls weir_mqtt_session_stop(old,
 * WEIR_MQTT_TAKEN_OVER) on that one's thread, and weir_mqtt_session_claimed(this one) when its
 * DISCONNECT was written [MQTT-3.1.4-3]; until then input answers WEIR_AGAIN. hooks->release tells
 * that a session that had claimed its id is over (called once, from end()). */
#ifndef WEIR_ADAPTERS_PROTO_MQTT_SESSION_H
#define WEIR_ADAPTERS_PROTO_MQTT_SESSION_H

#include "weir/limits.h"
#include "weir/port.h"

#include "adapters/proto/mqtt/codec.h"
#include "core/base/buffer.h"

typedef struct weir_mqtt_session weir_mqtt_session;
typedef struct weir_mqtt_wire_cache weir_mqtt_wire_cache;

/* The part of include/weir/port.h that a session needs, with the same promises. A transport fills
 * it with the functions themselves: WEIR_MQTT_PORT_OPS; tests with a fake. */
typedef struct weir_mqtt_port_ops {
    weir_err (*publish)(weir_port *port, const weir_publish *publish, void *user, uint64_t token);
    weir_err (*subscriber_open)(weir_port *port, void *user, weir_subscriber **subscriber);
    weir_err (*subscriber_close)(weir_port *port, weir_subscriber *subscriber, void *user,
                                 uint64_t token);
    weir_err (*subscribe)(weir_port *port, weir_subscriber *subscriber,
                          const weir_subscribe *subscribe, void *user, uint64_t token);
    weir_err (*unsubscribe)(weir_port *port, weir_subscriber *subscriber, weir_bytes filter,
                            void *user, uint64_t token);
    weir_err (*credit)(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                       uint64_t bytes);
    weir_err (*groups)(weir_port *port, weir_bytes name, void *user, uint64_t token);
    weir_err (*member_join)(weir_port *port, const weir_join *join, void *user, uint64_t token);
    weir_err (*member_leave)(weir_port *port, weir_member *member, bool orderly, void *user,
                             uint64_t token);
    weir_err (*member_beat)(weir_port *port, weir_member *member);
    weir_err (*take)(weir_port *port, weir_member *member, const weir_take *take, void *user,
                     uint64_t token);
    weir_err (*take_cancel)(weir_port *port, weir_member *member);
    weir_err (*settle)(weir_port *port, weir_member *member, const weir_settle *settle, void *user,
                       uint64_t token);
} weir_mqtt_port_ops;

#define WEIR_MQTT_PORT_OPS                                                                         \
    {                                                                                              \
        weir_port_publish, weir_port_subscriber_open, weir_port_subscriber_close,                  \
            weir_port_subscribe, weir_port_unsubscribe, weir_port_credit, weir_port_groups,        \
            weir_port_member_join, weir_port_member_leave, weir_port_member_beat, weir_port_take,  \
            weir_port_take_cancel, weir_port_settle                                                \
    }

/* What a session asks of the transport. Every slot is filled. Called on the loop's thread, from
 * within input() or end(); none may block or call back into the session. */
typedef struct weir_mqtt_hooks {
    /* May this client come in? Returns a 5.0 CONNACK reason code, 0 to admit (connections_max:
     * 0x97, users: 0x86, 0x87). Once per CONNECT. */
    uint8_t (*admit)(void *arg, weir_mqtt_session *session, const weir_mqtt_connect *connect);
    /* OK: `client_id` (copied) is this session's. AGAIN: it will be; see the top. NO_MEMORY. Once.
     */
    weir_err (*claim)(void *arg, weir_mqtt_session *session, weir_bytes client_id);
    /* The session no longer needs its id. Once, if claim was OK or AGAIN. */
    void (*release)(void *arg, weir_mqtt_session *session, weir_bytes client_id);
} weir_mqtt_hooks;

/* Counters of all sessions of a context: X(field, metric name, help). The names of limits' metrics
 * are those of include/weir/limits.h. */
#define WEIR_MQTT_STATS_LIST(X)                                                                    \
    X(packets_received, "weir_mqtt_packets_received_total", "Packets taken from clients.")         \
    X(publishes_received, "weir_mqtt_publishes_received_total", "PUBLISH packets handed on.")      \
    X(publishes_sent, "weir_mqtt_publishes_sent_total", "PUBLISH packets written to clients.")     \
    X(connects, "weir_mqtt_connects_total", "CONNECT packets accepted.")                           \
    X(connects_refused, "weir_mqtt_connects_refused_total", "CONNECT packets refused.")            \
    X(takeovers, "weir_mqtt_takeovers_total", "Sessions ended by their client id coming again.")   \
    X(wills, "weir_mqtt_wills_total", "Will messages published.")                                  \
    X(keep_alive_timeouts, "weir_mqtt_keep_alive_timeouts_total", "Silent clients closed.")        \
    X(malformed, "weir_mqtt_malformed_total", "Connections closed for malformed packets.")         \
    X(protocol_errors, "weir_mqtt_protocol_errors_total",                                          \
      "Connections closed for packets that their state does not allow.")                           \
    X(publishes_refused, "weir_mqtt_publishes_refused_total", "QoS 1 publishes refused.")          \
    X(quiet_refused, "weir_mqtt_publishes_refused_quiet_total",                                    \
      "QoS 0 publishes refused: their clients were not told.")                                     \
    X(not_persistent, "weir_mqtt_sessions_not_persistent_total",                                   \
      "Clients that asked for a session that outlives its connection and got none.")               \
    X(expired, "weir_mqtt_expired_total", "Records not sent because their expiry had passed.")     \
    X(over_client_maximum, "weir_mqtt_dropped_client_maximum_total",                               \
      "Records not sent: over the client's Maximum Packet Size, or no MQTT packet at all.")        \
    X(headers_dropped, "weir_mqtt_headers_dropped_total",                                          \
      "Headers not sent to 5.0 clients because they are not UTF-8 text.")                          \
    X(shares_refused, "weir_mqtt_shares_refused_total", "Shared subscriptions refused.")           \
    X(share_rejected, "weir_mqtt_share_rejected_total",                                            \
      "Records that clients of shared subscriptions rejected: PUBACK 0x80 or above.")              \
    X(share_late, "weir_mqtt_share_late_total",                                                    \
      "Answers of shared subscriptions that came when the lease was over.")                        \
    X(dropped_owed, "weir_mqtt_dropped_slow_total", "Records dropped for slow subscribers.")       \
    X(blocked, "weir_mqtt_blocked_total", "Times a session stopped reading.")                      \
    X(refused_packet_bytes, "weir_refused_packet_bytes_total", "Limit packet_bytes_max.")          \
    X(refused_connect_bytes, "weir_refused_connect_bytes_total", "Limit connect_bytes_max.")       \
    X(refused_connect_slow, "weir_refused_connect_slow_total", "Limit connect_ms_max.")            \
    X(refused_client_id, "weir_refused_client_id_total", "Limit client_id_bytes_max.")             \
    X(refused_name, "weir_refused_name_total", "Limit name_bytes_max.")                            \
    X(refused_levels, "weir_refused_levels_total", "Limit levels_max.")                            \
    X(refused_subscriptions, "weir_refused_subscriptions_total", "Limit subscriptions_max.")       \
    X(refused_filters, "weir_refused_filters_total", "Limit filters_per_packet_max.")              \
    X(refused_headers, "weir_refused_headers_total", "Limit headers_max.")                         \
    X(refused_topic_alias, "weir_refused_topic_alias_total", "Limit topic_alias_max.")             \
    X(paused_in_flight, "weir_paused_in_flight_total", "Limit in_flight_max.")

typedef struct weir_mqtt_stats {
#define WEIR_MQTT_STATS_FIELD(field, metric, help) uint64_t field;
    WEIR_MQTT_STATS_LIST(WEIR_MQTT_STATS_FIELD)
#undef WEIR_MQTT_STATS_FIELD
} weir_mqtt_stats;

/* What all sessions of one loop share. The transport sets the first part before init, and the times
 * each turn; it may read the counters on the loop's thread. */
typedef struct weir_mqtt_context {
    weir_port *port;
    const weir_mqtt_port_ops *ops;
    const weir_limits *limits;
    const weir_mqtt_hooks *hooks;
    void *hooks_arg;
    void *quiet_user;   /* `user` of what has no confirmation; lives as long as the port */
    uint64_t id_prefix; /* random, of this loop: begins the client ids the server assigns */
    uint64_t now_ms;    /* monotonic */
    int64_t wall_ms;    /* Unix */

    uint64_t id_count;
    uint64_t share_log_ms;    /* until then refused shares are of the same second */
    uint32_t share_log_lines; /* of that second */
    weir_mqtt_wire_cache *cache;
    weir_mqtt_stats stats;
} weir_mqtt_context;

weir_err weir_mqtt_context_init(weir_mqtt_context *context); /* NO_MEMORY */
void weir_mqtt_context_fini(weir_mqtt_context *context);     /* no session may be left */
/* Forgets what was encoded this turn, and the chunks it came from. */
void weir_mqtt_context_turn_end(weir_mqtt_context *context);
/* A completion whose user is quiet_user: counts it. */
void weir_mqtt_context_quiet(weir_mqtt_context *context, const weir_completion *completion);

/* ---- Life cycle ------------------------------------------------------------------------------ */

/* `user` is the user of the session's operations (the transport's weir_sink). Borrows the context
 * for its life. NO_MEMORY. An idle session takes less than 300 bytes beside its client id. */
weir_err weir_mqtt_session_create(weir_mqtt_context *context, void *user,
                                  weir_mqtt_session **session);
/* After end() answered WEIR_OK (or when the port is closed: nothing comes back any more). */
void weir_mqtt_session_destroy(weir_mqtt_session *session);

/* The connection is over, whoever ended it: publishes the will (unless an orderly DISCONNECT came),
 * closes the subscriber, releases the client id. See the top. */
weir_err weir_mqtt_session_end(weir_mqtt_session *session);

/* ---- Verbs ----------------------------------------------------------------------------------- */

weir_err weir_mqtt_session_input(weir_mqtt_session *session, weir_bytes in, weir_buffer *out,
                                 size_t *used);
weir_err weir_mqtt_session_complete(weir_mqtt_session *session, weir_completion *completion,
                                    weir_buffer *out);
/* The client id that claim() answered AGAIN for is free: CONNACK leaves. CLOSED: it came too late.
 */
weir_err weir_mqtt_session_claimed(weir_mqtt_session *session, weir_buffer *out);
/* `pending_bytes` still wait in the transport's buffer. Hands credit back to the engine when they
 * are few. AGAIN: the port was full; call it again. */
weir_err weir_mqtt_session_drained(weir_mqtt_session *session, size_t pending_bytes);
/* CLOSED: the keep-alive or the time to connect ran out [MQTT-3.1.2-22]. */
weir_err weir_mqtt_session_tick(weir_mqtt_session *session, weir_buffer *out);
/* Says DISCONNECT with the reason (5.0; the others just close) and is CLOSED. For take-over (0x8E),
 * drain (0x8B), an administrator (0x98). The will is published, as the client did not go by itself.
 */
weir_err weir_mqtt_session_stop(weir_mqtt_session *session, uint8_t reason, weir_buffer *out);

/* ---- Queries --------------------------------------------------------------------------------- */

/* When tick() should be called next, monotonic milliseconds; UINT64_MAX: never. It moves with
 * input: look again when the time has come. */
uint64_t weir_mqtt_session_deadline_ms(const weir_mqtt_session *session);
/* The client id, empty before CONNECT. Borrowed until destroy. */
weir_bytes weir_mqtt_session_client_id(const weir_mqtt_session *session);
uint8_t weir_mqtt_session_version(const weir_mqtt_session *session); /* 0 before CONNECT */
void *weir_mqtt_session_user(const weir_mqtt_session *session);
/* Why it was closed: a sentence for the log, and the 5.0 reason code; NULL while it is not. */
const char *weir_mqtt_session_close_text(const weir_mqtt_session *session, uint8_t *reason);
/* Bytes of memory the session holds now, for metrics and tests. */
size_t weir_mqtt_session_memory_bytes(const weir_mqtt_session *session);

#endif
