/* bench/weir1/drive.c - what a row asks for, in the generator's own terms.
 *
 *   STREAM    PUBLISH  batches of about BATCH_BYTES, at most a quarter of the window; a window of 0
 *                      is WINDOW_BATCHES of them
 *   SINGLE    PUBLISH  one record, then its answer
 *   CATCH_UP  READ     the log filled with the same batches: `messages` records, and at least
 *                      FILL_BYTES_LEAST, far more than the gateway keeps in memory
 *   LIBRARY   FLOW     LIBRARY_IN_FLIGHT records under way, or more
 *   QUEUE_DRAIN  DRAIN  filled with batches of LEASE_RECORDS, as many as one lease asks for
 *   QUEUE_PACED  PACED  one record in a batch; a lease brings up to LEASE_RECORDS
 *
 * JSON goes in batches of at most JSON_RECORDS_MAX records: the gateway counts each against
 * in_flight_max. */
#include "bench/weir1/drive.h"

#include <stdio.h>
#include <string.h>

enum {
    BATCH_BYTES = 64 * 1024,
    RECORD_OVERHEAD_BYTES = 10, /* of a small record in a batch */
    JSON_RECORDS_MAX = 128,
    WINDOW_BATCHES = 64,
    JSON_WINDOW_RECORDS = 1024, /* the gateway's in_flight_max */
    FETCH_BYTES = 2 * 1024 * 1024,
    LIBRARY_IN_FLIGHT = 4096 + 8192, /* what libzmq's two queues hold in that row */
    FILL_BYTES_LEAST = 384 * 1024 * 1024,
    LEASE_RECORDS = 256, /* as Redis' and JetStream's consumers are given */
};

/* False: a word that is none. */
static bool mode_read(const char *mode, weir_weir1_work *work)
{
    for (const char *at = mode; *at != '\0';) {
        size_t len = strcspn(at, "-");
        if (len == 2 && memcmp(at, "ws", 2) == 0) {
            work->websocket = true;
        } else if (len == 4 && memcmp(at, "json", 4) == 0) {
            work->json = true;
        } else {
            return false;
        }
        at += len + (at[len] == '-' ? 1 : 0);
    }
    return true;
}

static uint32_t window_of(const weir_weir1_work *work)
{
    uint32_t batch = BATCH_BYTES / (work->payload_bytes + RECORD_OVERHEAD_BYTES);
    return work->json ? (uint32_t)JSON_WINDOW_RECORDS : WINDOW_BATCHES * (batch > 0 ? batch : 1);
}

/* As many records as make a good batch, and at least four of them in the window. */
static uint32_t batch_of(const weir_weir1_work *work, uint32_t window)
{
    uint32_t most = work->json ? (uint32_t)JSON_RECORDS_MAX
                               : BATCH_BYTES / (work->payload_bytes + RECORD_OVERHEAD_BYTES);
    most = most < window / 4 ? most : window / 4;
    most = most < WEIR_WEIR1_BATCH_RECORDS_MAX ? most : (uint32_t)WEIR_WEIR1_BATCH_RECORDS_MAX;
    return most > 0 ? most : 1;
}

weir_err weir_weir1_work_of(const weir_bench_workload *workload, const char *mode,
                            weir_weir1_work *work)
{
    weir_weir1_work made = {
        .publishers = workload->publishers,
        .subscribers = workload->subscribers,
        .payload_bytes = workload->payload_bytes,
        .window = workload->window,
        .in_flight = workload->in_flight,
        .rate_per_second = workload->rate_per_second,
        .fetch_bytes = FETCH_BYTES,
        .fill_bytes = (uint64_t)workload->messages * workload->payload_bytes,
        .warm_up_ms = workload->warm_up_ms,
        .measure_ms = workload->measure_ms,
    };
    if (!mode_read(mode, &made)) {
        return WEIR_INVALID;
    }
    made.publishers = made.publishers > 0 ? made.publishers : 1;
    switch (workload->kind) {
    case WEIR_BENCH_STREAM:
        made.task = WEIR_WEIR1_PUBLISH;
        made.window = made.window > 0 ? made.window : window_of(&made);
        made.batch_records = made.rate_per_second > 0 ? 1 : batch_of(&made, made.window);
        break;
    case WEIR_BENCH_SINGLE:
        made.task = WEIR_WEIR1_PUBLISH;
        made.window = 1;
        made.batch_records = 1;
        break;
    case WEIR_BENCH_CATCH_UP:
        made.task = WEIR_WEIR1_READ;
        made.subscribers = made.subscribers > 0 ? made.subscribers : 1;
        made.fill_bytes =
            made.fill_bytes > FILL_BYTES_LEAST ? made.fill_bytes : (uint64_t)FILL_BYTES_LEAST;
        made.batch_records = batch_of(&made, UINT32_MAX);
        made.window = 8 * made.batch_records;
        break;
    case WEIR_BENCH_LIBRARY:
        made.task = WEIR_WEIR1_FLOW;
        made.subscribers = made.subscribers > 0 ? made.subscribers : 1;
        made.in_flight =
            made.in_flight > LIBRARY_IN_FLIGHT ? made.in_flight : (uint32_t)LIBRARY_IN_FLIGHT;
        made.window = made.window > 0 ? made.window : made.in_flight;
        made.batch_records = made.rate_per_second > 0 ? 1 : batch_of(&made, made.in_flight);
        break;
    case WEIR_BENCH_QUEUE_DRAIN:
        made.task = WEIR_WEIR1_DRAIN;
        made.lease_records = LEASE_RECORDS;
        made.batch_records = LEASE_RECORDS;
        made.window = 8 * made.batch_records;
        break;
    case WEIR_BENCH_QUEUE_PACED:
        made.task = WEIR_WEIR1_PACED;
        made.lease_records = LEASE_RECORDS;
        made.batch_records = 1;
        made.window = 1;
        break;
    default:
        return WEIR_INVALID;
    }
    *work = made;
    return WEIR_OK;
}

void weir_weir1_drive(const weir_bench_workload *workload, const weir_bench_target *target,
                      weir_bench_result *result)
{
    weir_weir1_work work;
    weir_weir1_target own = {.port = target->web_port, .pid = target->pid};
    snprintf(own.socket, sizeof(own.socket), "%s/data/weir.sock", target->folder);
    if (weir_weir1_work_of(workload, target->mode, &work) != WEIR_OK) {
        *result = (weir_bench_result){.err = WEIR_INVALID,
                                      .text = "weir.v1's generator has no such workload or mode"};
        return;
    }
    weir_weir1_run(&work, &own, result);
}
