/* bench/flow.h - the stages of a run that an event loop makes, whatever its protocol.
 *
 *   warm-up | measured | drain: nothing is sent, what is under way may come
 *           ^          ^
 *           usage of subject and generator is read here
 *
 * A turn takes every event that is ready, then sends what the window or the schedule allows. A
 * generator's own struct begins with its flow; it fills the first part, counts in the second.
 * One thread. */
#ifndef WEIR_BENCH_FLOW_H
#define WEIR_BENCH_FLOW_H

#include "bench/histogram.h"
#include "bench/workload.h"

#include <sys/epoll.h>

#define NS_PER_S  1000000000u
#define NS_PER_MS 1000000u

typedef struct weir_flow weir_flow;

struct weir_flow {
    /* What a connection has: read it, write on. Failures are told by weir_result_fail. */
    weir_err (*event)(weir_flow *flow, const struct epoll_event *event);
    /* Sends what the window, or the schedule, allows now. */
    weir_err (*pump)(weir_flow *flow, uint64_t now_ns);
    /* Deliveries that are waited for. */
    uint64_t (*under_way)(const weir_flow *flow);
    weir_bench_result *result;
    pid_t pid;                /* of the subject */
    int epoll;                /* -1: not open */
    uint32_t rate_per_second; /* open loop: of messages; 0: closed loop */
    uint32_t batch;           /* open loop: so many messages are sent together */
    uint32_t warm_up_ms;
    uint32_t measure_ms;

    bool sending;
    bool measuring;
    uint64_t sent;
    uint64_t had;      /* deliveries, each once */
    uint64_t given_up; /* deliveries no longer waited for */
    uint64_t unacked;
    uint64_t progress_ns; /* when something last came */
    weir_histogram *latency;
    weir_histogram *late;
    uint64_t schedule_ns; /* open loop: intended time of message 0 */
    uint64_t scheduled;   /* open loop: messages whose time has come and that were sent */
};

/* NO_MEMORY, IO. Closed in any case by weir_flow_close. */
weir_err weir_flow_open(weir_flow *flow);
void weir_flow_close(weir_flow *flow);
/* One turn; sleeps until something comes, or shortly before the next intended time. */
weir_err weir_flow_turn(weir_flow *flow);
/* Warm-up and measured time; usage and latencies go to the result. */
weir_err weir_flow_measure(weir_flow *flow);
/* The same of what is under way now: nothing more is sent, and the measured time ends with it. */
weir_err weir_flow_measure_drain(weir_flow *flow);
/* Until nothing is under way or unacknowledged, or nothing has come for a while. */
weir_err weir_flow_drain(weir_flow *flow);

#endif
