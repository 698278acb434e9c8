/* bench/drivers/broker.c - each workload as steps of a library's table.
 *
 * Failures: the step that failed has told why; what was started is ended, and the result has no
 * figure. */
#include "bench/drivers/broker.h"

#include <stdatomic.h>

enum { LOOK_EACH = 50 /* messages: the clock is read once for so many */ };

static bool fill(weir_drive *own, const weir_broker *broker)
{
    for (uint32_t i = 0; i < own->work->messages; i++) {
        if (!broker->publish(own, 0)) {
            return false;
        }
    }
    return broker->complete(own);
}

static void read_back(weir_drive *own, const weir_broker *broker)
{
    bool whole;
    if (broker->read_pass(own, false, &whole)) {
        weir_drive_read_again(own, true);
    }
}

static void stream(weir_drive *own, const weir_broker *broker)
{
    uint64_t now_ns = 0;
    for (uint32_t i = 0; i % LOOK_EACH != 0 || weir_drive_goes_on(own); i++) {
        now_ns = i % LOOK_EACH == 0 ? weir_now_ns() : now_ns;
        if (!broker->publish(own, now_ns)) {
            return;
        }
    }
    if (broker->complete(own)) {
        read_back(own, broker);
    }
}

static void catch_up(weir_drive *own, const weir_broker *broker)
{
    bool whole;
    if (!fill(own, broker)) {
        return;
    }
    while (weir_drive_goes_on(own) && broker->read_pass(own, true, &whole)) {
        weir_drive_read_again(own, whole);
    }
}

static void single(weir_drive *own, const weir_broker *broker)
{
    while (weir_drive_goes_on(own)) {
        uint64_t now_ns = weir_now_ns();
        if (!broker->publish_one(own, now_ns)) {
            return;
        }
        weir_drive_done(own, 1);
        if (atomic_load(&own->measuring)) {
            weir_drive_latency(own, now_ns, weir_now_ns());
        }
    }
    read_back(own, broker);
}

/* ---- The queue ---------------------------------------------------------------------------------
 */

/* A library's threads may still call back when the consumers have ended. */
static weir_drive_consumer consumers[WEIR_DRIVE_CONSUMERS_MAX];

static void drain(weir_drive *own, const weir_broker *broker)
{
    pthread_t threads[WEIR_DRIVE_CONSUMERS_MAX];
    if (!fill(own, broker) || !broker->prepare(own)) {
        return;
    }
    weir_drive_begin(own);
    if (weir_drive_consumers_start(own, consumers, threads, own->work->subscribers,
                                   broker->consumer)) {
        (void)weir_drive_await(own, own->sequence);
        weir_drive_end(own);
        weir_drive_consumers_end(own, threads, own->work->subscribers);
    }
}

static void paced(weir_drive *own, const weir_broker *broker)
{
    pthread_t threads[WEIR_DRIVE_CONSUMERS_MAX];
    uint64_t intended_ns;
    if (!broker->prepare(own) ||
        !weir_drive_consumers_start(own, consumers, threads, own->work->subscribers,
                                    broker->consumer)) {
        return;
    }
    while (weir_drive_pace(own, &intended_ns) && broker->publish_now(own, intended_ns)) {
    }
    (void)broker->complete(own);
    (void)weir_drive_await(own, own->sequence);
    weir_drive_consumers_end(own, threads, own->work->subscribers);
}

static void queue(weir_drive *own, const weir_broker *broker)
{
    bool drains = own->work->kind == WEIR_BENCH_QUEUE_DRAIN;
    uint64_t most = drains ? own->work->messages : (uint64_t)WEIR_DRIVE_PACED_MAX;
    if (weir_tally_init(&own->tally, most) != WEIR_OK) {
        (void)weir_drive_fail(own, WEIR_NO_MEMORY, "no memory to count %llu messages",
                              (unsigned long long)most);
        return;
    }
    (drains ? drain : paced)(own, broker);
    weir_drive_tally_tell(own);
}

void weir_broker_drive(weir_drive *own, const weir_broker *broker)
{
    static void (*const workloads[WEIR_BENCH_KINDS])(weir_drive *, const weir_broker *) = {
        [WEIR_BENCH_STREAM] = stream,
        [WEIR_BENCH_CATCH_UP] = catch_up,
        [WEIR_BENCH_SINGLE] = single,
        [WEIR_BENCH_QUEUE_DRAIN] = queue,
        [WEIR_BENCH_QUEUE_PACED] = queue};
    if (own->work->kind >= WEIR_BENCH_KINDS || workloads[own->work->kind] == NULL) {
        (void)weir_drive_fail(own, WEIR_NOT_OFFERED, "%s is not driven with this workload",
                              broker->name);
    } else if (broker->open(own)) {
        workloads[own->work->kind](own, broker);
    }
}
