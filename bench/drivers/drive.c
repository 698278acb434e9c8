/* bench/drivers/drive.c - stages, pacing and counts of a driver program, and its main.
 *
 * Happy path: the order comes whole, the program works, the result goes out, the process ends and
 * takes its connections and threads along. A program that is asked nothing (no whole order) ends
 * with code 2.
 *
 * [V1] `measured` is what grew between the two meters, nothing else.
 * [V2] Latency is counted for messages that were meant for the measured time. */
#include "bench/drivers/drive.h"

#include "bench/result.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000u
#define NS_PER_MS 1000000u

enum { LOOK_MS = 2, POLL_NS_MAX = 60000, CODE_NO_ORDER = 2 };

static pthread_mutex_t fail_mutex = PTHREAD_MUTEX_INITIALIZER;

bool weir_drive_fail(weir_drive *own, weir_err err, const char *format, ...)
{
    va_list list;
    pthread_mutex_lock(&fail_mutex);
    if (own->result->err == WEIR_OK) {
        va_start(list, format);
        vsnprintf(own->result->text, sizeof(own->result->text), format, list);
        va_end(list);
        own->result->err = err;
    }
    pthread_mutex_unlock(&fail_mutex);
    return false;
}

bool weir_drive_failed(weir_drive *own)
{
    bool failed;
    pthread_mutex_lock(&fail_mutex);
    failed = own->result->err != WEIR_OK;
    pthread_mutex_unlock(&fail_mutex);
    return failed;
}

/* ---- Sending -----------------------------------------------------------------------------------
 */

void weir_drive_next(weir_drive *own, uint64_t intended_ns)
{
    memcpy(own->payload + 8, &own->sequence, 8);
    memcpy(own->payload + 16, &intended_ns, 8);
    own->sequence++;
}

void weir_drive_done(weir_drive *own, uint64_t count)
{
    if (count > 0) {
        atomic_fetch_add(&own->done, count);
        atomic_store(&own->progress_ns, weir_now_ns());
    }
}

void weir_drive_begin(weir_drive *own)
{
    own->begin = weir_meter_read(own->target.pid);
    own->done_at_begin = atomic_load(&own->done);
    atomic_store(&own->measuring, true);
}

void weir_drive_end(weir_drive *own)
{
    atomic_store(&own->measuring, false);
    own->result->measured = atomic_load(&own->done) - own->done_at_begin; /* [V1] */
    own->end = weir_meter_read(own->target.pid);
    weir_meter_tell(&own->begin, &own->end, own->result);
    own->ended = true;
}

bool weir_drive_goes_on(weir_drive *own)
{
    uint64_t now_ns = weir_now_ns();
    own->started_ns = own->started_ns == 0 ? now_ns : own->started_ns;
    if (weir_drive_failed(own)) {
        return false;
    }
    if (atomic_load(&own->measuring)) {
        if (now_ns >= own->begin.at_ns + (uint64_t)own->work->measure_ms * NS_PER_MS) {
            weir_drive_end(own);
        }
    } else if (!own->ended &&
               now_ns >= own->started_ns + (uint64_t)own->work->warm_up_ms * NS_PER_MS) {
        weir_drive_begin(own);
    }
    return !own->ended;
}

static void sleep_until(uint64_t at_ns)
{
    const struct timespec at = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

bool weir_drive_pace(weir_drive *own, uint64_t *intended_ns)
{
    uint64_t step_ns = NS_PER_S / own->work->rate_per_second;
    uint64_t poll_ns = step_ns / 4 < POLL_NS_MAX ? step_ns / 4 : POLL_NS_MAX;
    if (!weir_drive_goes_on(own) || own->scheduled >= WEIR_DRIVE_PACED_MAX) {
        return false;
    }
    *intended_ns =
        own->started_ns + own->scheduled * (uint64_t)NS_PER_S / own->work->rate_per_second;
    own->scheduled++;
    if (weir_now_ns() + poll_ns < *intended_ns) {
        sleep_until(*intended_ns - poll_ns);
    }
    while (weir_now_ns() < *intended_ns) {
    }
    return true;
}

bool weir_drive_await(weir_drive *own, uint64_t count)
{
    atomic_store(&own->progress_ns, weir_now_ns());
    while (atomic_load(&own->done) < count && !weir_drive_failed(own)) {
        uint64_t now_ns = weir_now_ns();
        if (now_ns > atomic_load(&own->progress_ns) + (uint64_t)WEIR_DRIVE_QUIET_MS * NS_PER_MS) {
            return false;
        }
        sleep_until(now_ns + (uint64_t)LOOK_MS * NS_PER_MS);
    }
    return true;
}

void weir_drive_latency(weir_drive *own, uint64_t from_ns, uint64_t now_ns)
{
    pthread_mutex_lock(&own->latency_mutex);
    weir_histogram_add(own->latency, now_ns > from_ns ? now_ns - from_ns : 0);
    pthread_mutex_unlock(&own->latency_mutex);
}

/* ---- Receiving ---------------------------------------------------------------------------------
 */

/* False: not of this run. */
static bool head_read(const weir_drive *own, const void *payload, size_t len, uint64_t *sequence,
                      uint64_t *intended_ns)
{
    const uint8_t *bytes = payload;
    if (len != own->work->payload_bytes || memcmp(bytes, own->payload, 8) != 0) {
        return false;
    }
    memcpy(sequence, bytes + 8, 8);
    memcpy(intended_ns, bytes + 16, 8);
    return true;
}

bool weir_drive_read(weir_drive *own, const void *payload, size_t len)
{
    uint64_t sequence;
    uint64_t intended_ns;
    if (!head_read(own, payload, len, &sequence, &intended_ns)) {
        own->result->alien++;
        return false;
    }
    own->result->delivered++;
    (void)weir_account_take(&own->account, sequence);
    return true;
}

void weir_drive_read_again(weir_drive *own, bool whole)
{
    weir_result_account(own->result, &own->account, whole ? own->sequence : 0);
    weir_account_fini(&own->account);
}

void weir_drive_take(weir_drive_consumer *consumer, const void *payload, size_t len,
                     uint64_t now_ns)
{
    weir_drive *own = consumer->own;
    uint64_t sequence;
    uint64_t intended_ns;
    if (!head_read(own, payload, len, &sequence, &intended_ns)) {
        atomic_fetch_add(&own->tally.alien, 1);
        return;
    }
    (void)weir_tally_take(&own->tally, &consumer->next, sequence);
    if (atomic_load(&own->measuring) && intended_ns >= own->begin.at_ns) { /* [V2] */
        weir_drive_latency(own, intended_ns, now_ns);
    }
}

bool weir_drive_consumers_start(weir_drive *own, weir_drive_consumer *consumers, pthread_t *threads,
                                unsigned count, void *(*body)(void *consumer))
{
    for (unsigned i = 0; i < count; i++) {
        consumers[i] = (weir_drive_consumer){.own = own, .index = i};
        if (pthread_create(&threads[i], NULL, body, &consumers[i]) != 0) {
            weir_drive_consumers_end(own, threads, i);
            return weir_drive_fail(own, WEIR_NO_MEMORY, "a consumer's thread cannot be started");
        }
    }
    return true;
}

void weir_drive_consumers_end(weir_drive *own, pthread_t *threads, unsigned count)
{
    atomic_store(&own->stopping, true);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

void weir_drive_tally_tell(weir_drive *own)
{
    weir_result_tally(own->result, &own->tally, own->sequence);
}

/* ---- The program -------------------------------------------------------------------------------
 */

static bool order_read(weir_bench_order *order)
{
    size_t len = 0;
    while (len < sizeof(*order)) {
        ssize_t got = read(0, (uint8_t *)order + len, sizeof(*order) - len);
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
    }
    return true;
}

static int library_say(void)
{
    char library[WEIR_BENCH_TEXT_MAX];
    char sizes[64];
    weir_drive_library(library, sizeof(library));
    weir_bench_sizes(sizes, sizeof(sizes));
    printf("%s%s", library, sizes);
    return 0;
}

int main(int argc, char **argv)
{
    static weir_drive own;
    static weir_histogram latency;
    static weir_bench_order order;
    static weir_bench_result result;
    if (argc == 2 && strcmp(argv[1], WEIR_BENCH_ASK_LIBRARY) == 0) {
        return library_say();
    }
    if (!order_read(&order)) {
        fprintf(stderr, "this program is started by `weir bench`\n");
        return CODE_NO_ORDER;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    own = (weir_drive){.work = &order.work,
                       .target = order.target,
                       .result = &result,
                       .run = (uint32_t)(weir_now_ns() >> 10),
                       .latency = &latency};
    pthread_mutex_init(&own.latency_mutex, NULL);
    memset(own.payload, 'w', sizeof(own.payload));
    memset(own.payload, 0, 4); /* publisher 0 */
    memcpy(own.payload + 4, &own.run, 4);
    if (order.work.payload_bytes < WEIR_BENCH_PAYLOAD_BYTES_MIN ||
        order.work.payload_bytes > WEIR_DRIVE_PAYLOAD_BYTES_MAX ||
        order.work.subscribers > WEIR_DRIVE_CONSUMERS_MAX) {
        (void)weir_drive_fail(&own, WEIR_INVALID, "the driver has no room for this workload");
    } else {
        weir_drive_work(&own);
    }
    result.sent = own.sequence;
    weir_result_latency(&result, own.latency);
    /* Threads of a library may still run: nothing of theirs is torn down. */
    _exit(write(1, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}
