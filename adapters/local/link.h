/* adapters/local/link.h - one connection of the local socket: bytes to a session and back.
 *
 *   OPEN --goodbye, fault, drained--> CLOSING (output leaves) --> GONE --session idle--> freed
 *     \------------ peer's end, error, stop --------------------/
 */
#ifndef WEIR_ADAPTERS_LOCAL_LINK_H
#define WEIR_ADAPTERS_LOCAL_LINK_H

#include "adapters/local/adapter.h"
#include "adapters/proto/weir1/session.h"
#include "adapters/shared/conn.h"
#include "adapters/shared/listener.h"
#include "adapters/shared/stats.h"

#include <pthread.h>

/* X(field of weir_v1_counters, metric) */
#define WEIR_LOCAL_COUNTERS(X)                                                                     \
    X(messages_in, "weir_local_messages_received_total")                                           \
    X(messages_out, "weir_local_messages_sent_total")                                              \
    X(records_in, "weir_local_records_received_total")                                             \
    X(records_out, "weir_local_records_delivered_total")                                           \
    X(refused, "weir_local_refused_total")                                                         \
    X(dropped, "weir_local_dropped_total")                                                         \
    X(paused_output, "weir_local_paused_output_total")                                             \
    X(paused_in_flight, "weir_local_paused_in_flight_total")                                       \
    X(narrowed_fetch, "weir_refused_fetch_total")                                                  \
    X(refused_wait, "weir_refused_fetch_wait_total")                                               \
    X(refused_fetches, "weir_refused_fetches_total")                                               \
    X(refused_members, "weir_refused_session_members_total")

typedef struct weir_local_link weir_local_link;

/* The adapter's part on one loop; touched by that loop's thread only. */
typedef struct weir_local_lane {
    weir_adapter *adapter;
    weir_loop *loop;
    weir_local_link *links;
    weir_call drain_call;
} weir_local_lane;

struct weir_adapter {
    weir_host *host;
    const char *path; /* setting; NULL: weir.sock in the data directory */
    char socket_path[256];
    weir_listener *listener;
    weir_local_lane *lanes;
    unsigned lane_count;
    _Atomic bool draining;
    _Atomic uint64_t held; /* links, and drain calls under way: at 0 after drain, drained is said */
    _Atomic bool drained_told;
    _Atomic uint64_t sessions; /* ever made: names them */
    pthread_mutex_t lock;      /* over open */
    pthread_cond_t none_open;
    uint64_t open; /* links whose memory is not freed */
#define WEIR_LOCAL_COUNTER_FIELD(field, metric) weir_counter field;
    WEIR_LOCAL_COUNTERS(WEIR_LOCAL_COUNTER_FIELD)
#undef WEIR_LOCAL_COUNTER_FIELD
};

/* The listener's `accepted`: takes fd. arg: the adapter. */
void weir_local_link_accept(void *arg, weir_loop *loop, int fd, bool over);
/* Tells the peer of the drain; the link closes when nothing of it is in flight. */
void weir_local_link_drain(weir_local_link *link);
/* Closes at once. */
void weir_local_link_stop(weir_local_link *link);
weir_local_link *weir_local_link_next(const weir_local_link *link);

/* adapter.c: one thing less is held; says drained at the last, once drain was asked for. */
void weir_local_release(weir_adapter *adapter);

#endif
