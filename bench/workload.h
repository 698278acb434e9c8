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

/* What is asked. Which driver is able to: bench/driver.h. `measured` of the result counts:
 *
 *   MQTT          deliveries of the MQTT generator
 *   STREAM        publishes acknowledged, many at a time; then all is read back and counted
 *   CATCH_UP      messages read: `messages` are stored before, and read from the first to the last
 *                 again and again
 *   SINGLE        publishes acknowledged, one at a time; latency is from the send to its answer
 *   QUEUE_DRAIN   messages settled: `messages` are stored before, then `subscribers` consumers
 *                 compete for them, each is acknowledged; the time is that of the whole drain
 *   QUEUE_PACED   the same consumers while a publisher sends at rate_per_second; latency is from
 *                 the intended time to the consumer that had it
 *   SUB, PULL     messages an nng SUB or PULL client had from the subject
 *   PUSH          messages the subject had from an nng PUSH client
 *   ROUND_TRIP    answers an nng REQ client had, one request at a time
 *   LIBRARY       deliveries to `subscribers` clients that batch by themselves (libzmq, weir.v1) */
typedef enum weir_bench_kind {
    WEIR_BENCH_MQTT = 0,
    WEIR_BENCH_STREAM,
    WEIR_BENCH_CATCH_UP,
    WEIR_BENCH_SINGLE,
    WEIR_BENCH_QUEUE_DRAIN,
    WEIR_BENCH_QUEUE_PACED,
    WEIR_BENCH_SUB,
    WEIR_BENCH_PULL,
    WEIR_BENCH_PUSH,
    WEIR_BENCH_ROUND_TRIP,
    WEIR_BENCH_LIBRARY,
    WEIR_BENCH_KINDS
} weir_bench_kind;

/* Publishers send to bench/0000, bench/0001, ...; with one name all send to bench/0000. Subscribers
 * take bench/0000, or bench/# when there are several names. */
typedef struct weir_bench_workload {
    weir_bench_kind kind;
    uint8_t version; /* 4: 3.1.1; 5 */
    uint8_t qos;     /* of publishers and subscribers alike */
    bool websocket;
    bool kept_sessions;       /* subscribers: clean session off, 5.0 with an expiry of an hour */
    bool own_names;           /* each publisher has a name of its own */
    uint32_t names;           /* 2 or more: every message goes to the next of so many, in turn */
    uint32_t publishers;      /* at least 1 unless connections is set */
    uint32_t subscribers;     /* the same */
    uint32_t payload_bytes;   /* WEIR_BENCH_PAYLOAD_BYTES_MIN or more */
    uint32_t window;          /* closed loop, QoS 1 and 2: unacknowledged per publisher */
    uint32_t in_flight;       /* closed loop: sent and not yet delivered to every subscriber */
    uint32_t rate_per_second; /* open loop: messages of all publishers together; 0: closed loop */
    uint32_t connections;     /* nothing but this many connects, then idle */
    uint32_t messages;        /* CATCH_UP, QUEUE_DRAIN: stored before it is measured */
    uint32_t warm_up_ms;      /* not measured, but counted for losses */
    uint32_t measure_ms;
} weir_bench_workload;

/* Where the subject is. */
typedef struct weir_bench_target {
    uint16_t port;    /* on 127.0.0.1, of the protocol that the workload speaks */
    char path[32];    /* WebSocket: the request's path */
    pid_t pid;        /* of the subject, for its CPU, memory and bytes written; 0: the driver itself
                    * starts what it measures */
    char mode[24];    /* of the subject, where its driver has several: "quorum", "raw"; else "" */
    char folder[256]; /* of the subject; empty but for its own files */
    /* Weir's other listeners; 0: not offered. */
    uint16_t mqtt_port;
    uint16_t web_port;
    uint16_t reply_port; /* nng REP */
    uint16_t pull_port;
    uint16_t publish_port; /* nng PUB */
    uint16_t push_port;
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
