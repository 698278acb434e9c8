/* adapters/websocket/web.h - what the files of this adapter share: the adapter, a lane of it on
 * each loop, and the counters.
 *
 *   adapter --- lane (loop 0) --- link, link, link      one link a connection
 *           \-- lane (loop 1) --- link, link
 *
 * The adapter's own fields do not change between start and stop, but for the counters and
 * `draining`; a lane and its links belong to their loop's thread. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_WEB_H
#define WEIR_ADAPTERS_WEBSOCKET_WEB_H

#include "adapters/proto/mqtt/session.h"
#include "adapters/proto/weir1/session.h"
#include "adapters/proto/websocket/handshake.h"
#include "adapters/shared/listener.h"
#include "adapters/shared/loop.h"
#include "adapters/shared/stats.h"
#include "weir/adapter.h"

#include <pthread.h>

#define WEIR_WEB_SECTION "http"

enum {
    WEIR_WEB_PORT = 9347,
    WEIR_WEB_UPGRADE_MS_MAX = 5000,  /* from accept to a complete request head */
    WEIR_WEB_PING_MS = 30000,        /* of silence, before the peer is asked whether it lives */
    WEIR_WEB_STALL_MS_MAX = 30000,   /* a peer that takes nothing of what waits for it */
    WEIR_WEB_MESSAGE_MS_MAX = 60000, /* from a message's begin to its end, and 1 ms more a byte */
    WEIR_WEB_ANSWER_MS_MAX = 30000,  /* a plain HTTP request, from its head to its last byte */
    WEIR_WEB_REQUESTS_MAX = 64,      /* plain HTTP requests at once, of one loop */
    WEIR_WEB_PONG_BYTES_MAX =
        16384,                   /* output that waits, before only the newest ping is answered */
    WEIR_WEB_STOP_MS_MAX = 3000, /* what stop waits for completions of closed connections */
};

/* X(field, metric name, help). Names of limits' metrics are those of include/weir/limits.h. */
#define WEIR_WEB_STATS_LIST(X)                                                                     \
    X(opened_weir1, "weir_websocket_opened_weir_v1_total", "Connections upgraded to weir.v1.")     \
    X(opened_mqtt, "weir_websocket_opened_mqtt_total", "Connections upgraded to MQTT.")            \
    X(opened_echo, "weir_websocket_opened_echo_total", "Connections upgraded to echo.")            \
    X(open_links, "weir_websocket_connections", "gauge: open WebSocket connections.")              \
    X(requests, "weir_http_requests_total", "Plain HTTP requests answered.")                       \
    X(heads_refused, "weir_http_refused_head_total", "Heads refused: malformed or too large.")     \
    X(heads_slow, "weir_http_refused_slow_total", "Limit http.upgrade_ms_max.")                    \
    X(requests_refused, "weir_http_refused_busy_total",                                            \
      "Plain requests refused: too many at once.")                                                 \
    X(upgrades_refused, "weir_websocket_refused_upgrade_total", "Upgrades refused.")               \
    X(origins_refused, "weir_websocket_refused_origin_total",                                      \
      "Upgrades refused for their Origin.")                                                        \
    X(frames_refused, "weir_websocket_refused_frames_total", "Connections closed for bad frames.") \
    X(messages_too_big, "weir_websocket_refused_size_total",                                       \
      "Connections closed with 1009: bytes or fragments of a message.")                            \
    X(pings_skipped, "weir_websocket_pings_skipped_total",                                         \
      "Pings answered by the answer to a newer one: the peer did not read.")                       \
    X(silent, "weir_websocket_silent_total", "Connections closed: no answer to a ping.")           \
    X(dribbled, "weir_websocket_dribbled_total",                                                   \
      "Connections closed: a message took over 60 s and came slower than 1 KiB/s.")                \
    X(stalled, "weir_websocket_stalled_total", "Connections closed: the peer took nothing.")       \
    X(paused_output, "weir_websocket_paused_output_total",                                         \
      "Times reading stopped because a peer did not take its answers.")                            \
    X(v1_messages_in, "weir_v1_websocket_messages_received_total", "weir.v1 messages taken.")      \
    X(v1_messages_out, "weir_v1_websocket_messages_sent_total", "weir.v1 messages written.")       \
    X(v1_records_in, "weir_v1_websocket_records_received_total", "Records published by weir.v1.")  \
    X(v1_records_out, "weir_v1_websocket_records_sent_total", "Records sent by weir.v1.")          \
    X(v1_refused, "weir_v1_websocket_refused_total", "weir.v1 commands answered with an error.")   \
    X(v1_dropped, "weir_v1_websocket_dropped_total", "Records dropped for slow subscriptions.")    \
    X(v1_paused_output, "weir_v1_websocket_paused_output_total",                                   \
      "Times subscriptions paused: limit output_bytes_max.")                                       \
    X(v1_paused_in_flight, "weir_v1_websocket_paused_in_flight_total",                             \
      "Times reading paused: limit in_flight_max.")                                                \
    X(v1_narrowed_fetch, "weir_refused_fetch_total",                                               \
      "Fetches given fewer bytes than they asked for: limit fetch_bytes_max.")                     \
    X(v1_refused_wait, "weir_refused_fetch_wait_total", "Limit fetch_wait_ms_max.")                \
    X(v1_refused_fetches, "weir_refused_fetches_total", "Limit fetches_max.")                      \
    X(v1_refused_members, "weir_refused_session_members_total", "Limit members_per_session_max.")

typedef struct weir_web_stats {
#define WEIR_WEB_STATS_FIELD(field, metric, help) weir_counter field;
    WEIR_WEB_STATS_LIST(WEIR_WEB_STATS_FIELD)
#undef WEIR_WEB_STATS_FIELD
} weir_web_stats;

typedef struct weir_web_link weir_web_link;
typedef struct weir_web_http weir_web_http; /* http.h */
typedef struct weir_web_lane weir_web_lane;

/* MQTT's counters of one lane as of its last turn, for other threads. */
typedef struct weir_web_mqtt_counters {
#define WEIR_WEB_MQTT_FIELD(field, metric, help) weir_counter field;
    WEIR_MQTT_STATS_LIST(WEIR_WEB_MQTT_FIELD)
#undef WEIR_WEB_MQTT_FIELD
} weir_web_mqtt_counters;

struct weir_web_lane {
    weir_adapter *adapter;
    weir_loop *loop;
    weir_web_link *links; /* all that are not freed yet */
    weir_web_http *http;
    weir_groups groups; /* what the engine told last for /metrics; the lane's */
    weir_mqtt_context mqtt;
    bool mqtt_ready;
    weir_sink mqtt_quiet;
    weir_turn_end mqtt_turn_end;
    weir_web_mqtt_counters mqtt_counters;
    uint64_t names_given; /* to weir.v1 sessions */
    weir_call call;       /* drain's */
};

struct weir_adapter {
    weir_host *host;
    pthread_mutex_t
        starting; /* held while `listener` is being opened: it accepts before open returns */
    weir_listener *listener;
    struct weir_client_ids *client_ids; /* of the process: MQTT over TCP claims there, too */
    struct weir_tls *tls;               /* NULL: plain */
    uint16_t port;
    const char *address;
    bool insecure;
    weir_ws_policy policy;
    uint64_t ping_ms;
    uint64_t upgrade_ms_max;
    uint64_t message_ms_max;
    unsigned lane_count;
    weir_web_lane *lanes;
    _Atomic bool draining;
    _Atomic bool drained_told;
    weir_counter links_live; /* links that exist, closing ones too */
    weir_web_stats stats;
};

/* Adds one to a counter of the adapter's; any thread. */
#define WEIR_WEB_COUNT(adapter, field) weir_counter_add(&(adapter)->stats.field, 1)

/* A link has gone: tells the host when drain waits for the last one. */
void weir_web_link_gone(weir_adapter *adapter);
/* Every counter of the adapter, its listener and MQTT. Any thread. */
void weir_web_stats_each(weir_adapter *adapter,
                         void (*each)(void *arg, const char *metric, uint64_t value), void *arg);

#endif
