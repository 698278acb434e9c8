/* bench/workload.h - what a row asks of the generator, and what it found.
 *
 * Plain values: any thread, copied freely, valid when zeroed. Times are nanoseconds of
 * CLOCK_MONOTONIC unless the name says otherwise. */
#ifndef WEIR_BENCH_WORKLOAD_H
#define WEIR_BENCH_WORKLOAD_H

#include "weir/base.h"

#include <sys/types.h>

enum {
    WEIR_BENCH_PAYLOAD_BYTES_MIN = 24, /* publisher, run, sequence, intended time */
    WEIR_BENCH_PAYLOAD_BYTES_MAX = 65536,
    WEIR_BENCH_PEERS_MAX = 20000, /* connections of one run */
    WEIR_BENCH_WINDOW_MAX = 30000,
    WEIR_BENCH_TEXT_MAX = 192,
};

/* Publishers send to bench/0000, bench/0001, ...; with one name all send to bench/0000. Subscribers
 * take bench/0000, or bench/# when there are several names. */
typedef struct weir_bench_workload {
    uint8_t version; /* 4: 3.1.1; 5 */
    uint8_t qos;     /* of publishers and subscribers alike */
    bool websocket;
    bool kept_sessions;       /* subscribers: clean session off, 5.0 with an expiry of an hour */
    bool own_names;           /* each publisher has a name of its own */
    uint32_t publishers;      /* at least 1 unless connections is set */
    uint32_t subscribers;     /* the same */
    uint32_t payload_bytes;   /* WEIR_BENCH_PAYLOAD_BYTES_MIN or more */
    uint32_t window;          /* closed loop, QoS 1 and 2: unacknowledged per publisher */
    uint32_t in_flight;       /* closed loop: sent and not yet delivered to every subscriber */
    uint32_t rate_per_second; /* open loop: messages of all publishers together; 0: closed loop */
    uint32_t connections;     /* nothing but this many connects, then idle */
    uint32_t warm_up_ms;      /* not measured, but counted for losses */
    uint32_t measure_ms;
} weir_bench_workload;

/* Where the subject is. */
typedef struct weir_bench_target {
    uint16_t port; /* on 127.0.0.1 */
    char path[32]; /* WebSocket: the request's path */
    pid_t pid;     /* of the subject, for its CPU, memory and bytes written */
} weir_bench_target;

typedef struct weir_bench_result {
    weir_err err; /* OK, or why there is no figure */
    char text[WEIR_BENCH_TEXT_MAX];
    double seconds;     /* measured */
    uint64_t sent;      /* messages, the whole run */
    uint64_t delivered; /* deliveries, the whole run */
    uint64_t measured;  /* deliveries within the measured time */
    uint64_t acked;     /* of publishes, the whole run */
    /* Per subscriber and (publisher, sequence), the whole run. */
    uint64_t lost;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t alien;   /* deliveries that are not of this run */
    uint64_t refused; /* acknowledgements that say no, or of nothing that was sent */
    uint64_t stalls;  /* times that a second went by without progress */
    uint64_t reads; /* of subscribers, measured: deliveries per read tell the subject's batching */
    /* From the intended time of sending to the read that brought it; measured time only. */
    uint64_t latency_p50_ns;
    uint64_t latency_p90_ns;
    uint64_t latency_p99_ns;
    uint64_t latency_p999_ns;
    uint64_t latency_max_ns;
    uint64_t late_p50_ns; /* open loop: how late the generator itself sent */
    uint64_t late_p99_ns;
    double connects_per_second;
    double idle_bytes;  /* memory of the subject per idle connection */
    uint64_t rss_bytes; /* of the subject at the end of the measured time */
    double subject_cpu_s;
    double generator_cpu_s;
    double others_cpu_s;    /* of everything else on the machine: the noise of the run */
    double stolen_cpu_s;    /* that the host took away */
    uint64_t written_bytes; /* pages the subject made dirty (/proc/PID/io), measured time */
    uint64_t device_bytes;  /* to the disks, by the whole machine, measured time */
} weir_bench_result;

#endif
