/* bench/weir1/weir1.h - the load generator for weir.v1: batched, as a fast client would speak it.
 *
 * One thread, epoll, one read and one write for each connection and turn; over the stream socket or
 * WebSocket; records as JSON or as whole batches in frames. What it counts is what the generator
 * for MQTT counts, in the same result. */
#ifndef WEIR_BENCH_WEIR1_H
#define WEIR_BENCH_WEIR1_H

#include "bench/workload.h"

enum {
    WEIR_WEIR1_JSON_PAYLOAD_BYTES_MIN = 48, /* the head in hexadecimal */
    WEIR_WEIR1_BATCH_RECORDS_MAX = 8192,
    WEIR_WEIR1_PATH_BYTES_MAX = 300,
};

typedef enum weir_weir1_task {
    WEIR_WEIR1_PUBLISH, /* a delivery is an acknowledged record; the log is read back at the end */
    WEIR_WEIR1_READ,    /* the log is filled first, then read from its beginning, again and again */
    WEIR_WEIR1_FLOW,    /* from publishers to subscribers */
    WEIR_WEIR1_DRAIN,   /* the queue is filled, then its members settle all of it */
    WEIR_WEIR1_PACED,   /* its members settle what comes, open loop */
} weir_weir1_task;

/* Plain values. The topic is `bench`, the queue `jobs`, which the subject declares; it is empty when a
 * run begins. */
typedef struct weir_weir1_work {
    weir_weir1_task task;
    bool websocket;           /* else the stream socket */
    bool json;                /* publish and subscribe in text; else produce-batch, fetch-batch */
    uint32_t publishers;      /* at least 1 */
    uint32_t subscribers;     /* FLOW: at least 1; READ: connections that read, each all of it;
                               * DRAIN, PACED: members of the queue's group, of one publisher */
    uint32_t payload_bytes;   /* of one record */
    uint32_t batch_records;   /* of one message or frame */
    uint32_t window;          /* closed loop: records of a publisher that are not acknowledged */
    uint32_t in_flight;       /* FLOW, closed loop: records not yet delivered to everybody */
    uint32_t rate_per_second; /* open loop: records of all publishers; 0: closed loop */
    uint32_t fetch_bytes;     /* max bytes of a fetch-batch; 0: 1 MiB */
    uint32_t lease_records;   /* DRAIN, PACED: that one lease asks for */
    uint64_t fill_bytes;      /* READ, DRAIN: payload bytes that are stored before */
    uint32_t warm_up_ms;
    uint32_t measure_ms;
} weir_weir1_work;

typedef struct weir_weir1_target {
    char socket[WEIR_WEIR1_PATH_BYTES_MAX]; /* the stream socket's path */
    uint16_t port;                          /* WebSocket: on 127.0.0.1, path /v1 */
    pid_t pid;                              /* of the subject */
} weir_weir1_target;

/* Blocks for about warm_up_ms + measure_ms, what READ fills and PUBLISH reads back not counted.
 * result->err tells why there is no figure; losses are no error. A delivery of DRAIN and PACED is a
 * settled record. Latencies: PUBLISH, from the intended time to the acknowledgement; FLOW, PACED, to
 * the read that brought the record; READ, DRAIN: none. */
void weir_weir1_run(const weir_weir1_work *work, const weir_weir1_target *target,
                    weir_bench_result *result);

#endif
