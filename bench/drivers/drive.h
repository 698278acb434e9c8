/* bench/drivers/drive.h - what every driver program shares: its order, its stages, its counts.
 *
 *   stdin: order -> main of drive.c -> weir_drive_work of the program -> result: stdout
 *
 *   STREAM, SINGLE, CATCH_UP:   while (weir_drive_goes_on(own)) { send or read; weir_drive_done }
 *   QUEUE_DRAIN:                fill; weir_drive_begin; consumers until all is had; weir_drive_end
 *   QUEUE_PACED:                consumers; weir_drive_pace until it says that the time is over
 *
 * `done` counts what the workload measures; the measured figure is its growth between begin and
 * end. One thread sends and steps the stages; consumers are threads that take and count. */
#ifndef WEIR_BENCH_DRIVE_H
#define WEIR_BENCH_DRIVE_H

#include "bench/account.h"
#include "bench/driver.h"
#include "bench/histogram.h"
#include "bench/meter.h"
#include "bench/tally.h"

#include <pthread.h>

enum {
    WEIR_DRIVE_CONSUMERS_MAX = 16,
    WEIR_DRIVE_QUIET_MS = 10000, /* nothing came for so long: nothing will */
    WEIR_DRIVE_PAYLOAD_BYTES_MAX = 4096,
    WEIR_DRIVE_PACED_MAX = 4000000, /* messages of one paced run */
};

typedef struct weir_drive {
    const weir_bench_workload *work;
    weir_bench_target target;
    weir_bench_result *result;
    uint32_t run;
    uint8_t payload[WEIR_DRIVE_PAYLOAD_BYTES_MAX]; /* the last one made */
    uint64_t sequence;                             /* of the next message */
    _Atomic uint64_t done;
    _Atomic uint64_t progress_ns; /* when `done` last grew */
    _Atomic bool measuring;
    bool ended;
    uint64_t started_ns;
    uint64_t scheduled; /* paced: messages whose time has come */
    uint64_t done_at_begin;
    weir_meter begin;
    weir_meter end;
    weir_account account; /* one reader */
    weir_tally tally;     /* competing consumers */
    weir_histogram *latency;
    pthread_mutex_t latency_mutex;
    _Atomic bool stopping;
} weir_drive;

/* Each program's own. Returns with result->err set on failure. */
void weir_drive_work(weir_drive *own);
/* Each program's own: name and version of its library, "libnats 3.4.1". */
void weir_drive_library(char *text, size_t size);

/* The first failure wins. Always false, for `return`. Any thread. */
bool weir_drive_fail(weir_drive *own, weir_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool weir_drive_failed(weir_drive *own);

/* ---- Sending -----------------------------------------------------------------------------------
 */

/* The payload of the next message in own->payload; the sending thread only. */
void weir_drive_next(weir_drive *own, uint64_t intended_ns);
/* Warm-up, then measured, then false. Reads the meters when a stage ends. */
bool weir_drive_goes_on(weir_drive *own);
void weir_drive_begin(weir_drive *own);
void weir_drive_end(weir_drive *own);
/* Sleeps until the next message is due, and polls for the last of it; *intended_ns is when it was
 * due. False: the time is over. */
bool weir_drive_pace(weir_drive *own, uint64_t *intended_ns);
/* Any thread: `count` more of what is measured. */
void weir_drive_done(weir_drive *own, uint64_t count);
/* Waits until `done` is `count`, or has not grown for WEIR_DRIVE_QUIET_MS. */
bool weir_drive_await(weir_drive *own, uint64_t count);
void weir_drive_latency(weir_drive *own, uint64_t from_ns, uint64_t now_ns);

/* ---- Receiving ---------------------------------------------------------------------------------
 */

/* Counts a payload for the one reader. False: not of this run. */
bool weir_drive_read(weir_drive *own, const void *payload, size_t len);
/* From the first message again: what the account says so far is added to the result. `whole`: all
 * that was sent should have been read. */
void weir_drive_read_again(weir_drive *own, bool whole);

typedef struct weir_drive_consumer {
    weir_drive *own;
    unsigned index;
    uint64_t next; /* for weir_tally_take */
} weir_drive_consumer;

/* Counts a payload for a competing consumer, its latency when it is measured. */
void weir_drive_take(weir_drive_consumer *consumer, const void *payload, size_t len,
                     uint64_t now_ns);
/* Starts `count` threads; fills consumers[]. */
bool weir_drive_consumers_start(weir_drive *own, weir_drive_consumer *consumers, pthread_t *threads,
                                unsigned count, void *(*body)(void *consumer));
void weir_drive_consumers_end(weir_drive *own, pthread_t *threads, unsigned count);
/* lost, duplicated, reordered of the tally into the result. */
void weir_drive_tally_tell(weir_drive *own);

#endif
