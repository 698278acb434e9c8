/* bench/generator/generator.c - a run from its first connect to its last delivery.
 *
 *   connect | warm-up | measured | drain: nothing is sent, what is under way may come |
 *                     ^          ^
 *                     usage of subject and generator is read here
 *
 * What is counted for losses is the whole run; what is divided by seconds is the measured part. A
 * loop turn reads every ready connection once, then sends what the window or the schedule allows.
 *
 * Failures: a closed connection, a refusal or a stall that outlasts the drain end the run with a
 * sentence in the result. A closed loop that sees no progress for STALL_MS gives up what is under
 * way, counts a stall, and goes on: what never comes is then in `lost`.
 *
 * An open loop sleeps until shortly before the next intended time, then polls: a timer that fires
 * late would be measured as the subject's latency.
 *
 * [G1] lost, duplicated and reordered are per (subscriber, publisher, sequence), warm-up included.
 */
#include "bench/generator/private.h"

#include "bench/meter.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    STALL_MS = 1000,
    DRAIN_MS_MAX = 10000,
    DRAIN_QUIET_MS = 3000, /* nothing came for so long: nothing will */
    WAIT_MS = 50,
    POLL_US_MAX = 60, /* of an open loop, before the next intended time */
    IDLE_MS = 500,    /* rests before the memory of idle connections is read */
};

/* How long this turn may sleep. */
static struct timespec wait_for(const generator *own, bool sending, uint64_t now_ns)
{
    uint64_t wait_ns = (uint64_t)WAIT_MS * NS_PER_MS;
    uint64_t rate = own->work->rate_per_second;
    if (sending && rate > 0) {
        uint64_t poll_ns = NS_PER_S / rate / 4;
        uint64_t next_ns = own->schedule_ns + own->scheduled * NS_PER_S / rate;
        poll_ns = poll_ns < POLL_US_MAX * 1000 ? poll_ns : POLL_US_MAX * 1000;
        wait_ns = next_ns > now_ns + poll_ns ? next_ns - now_ns - poll_ns : 0;
    }
    return (struct timespec){(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
}

static weir_err event_take(generator *own, const struct epoll_event *event)
{
    generator_peer *peer = event->data.ptr;
    weir_err err = WEIR_OK;
    if (peer->stage != PEER_READY) {
        return WEIR_OK; /* gone earlier in this turn */
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        err = peer_readable(own, peer);
    }
    if (err == WEIR_OK && (event->events & EPOLLOUT) != 0 && peer->stage == PEER_READY) {
        err = weir_stream_flush(&peer->stream, own->epoll, peer);
    }
    return err == WEIR_OK ? err
                          : generator_fail(own, err, "a connection failed: %s", weir_err_text(err));
}

static weir_err turn(generator *own, bool sending)
{
    struct epoll_event events[GENERATOR_EVENTS_MAX];
    struct timespec wait = wait_for(own, sending, weir_now_ns());
    int count = epoll_pwait2(own->epoll, events, GENERATOR_EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        weir_err err = event_take(own, &events[i]);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return sending ? generator_pump(own, weir_now_ns()) : WEIR_OK;
}

static void stall_look(generator *own, uint64_t now_ns)
{
    if (own->work->rate_per_second == 0 &&
        now_ns > own->progress_ns + (uint64_t)STALL_MS * NS_PER_MS) {
        own->given_up += generator_under_way(own);
        own->progress_ns = now_ns;
        own->result->stalls++;
    }
}

static weir_err send_until(generator *own, uint64_t until_ns)
{
    uint64_t now_ns = weir_now_ns();
    while (now_ns < until_ns) {
        weir_err err = turn(own, true);
        if (err != WEIR_OK) {
            return err;
        }
        now_ns = weir_now_ns();
        stall_look(own, now_ns);
    }
    return WEIR_OK;
}

/* What is under way may still come. */
static weir_err drain(generator *own)
{
    uint64_t until_ns = weir_now_ns() + (uint64_t)DRAIN_MS_MAX * NS_PER_MS;
    own->given_up = 0; /* a late one is late, not lost */
    own->progress_ns = weir_now_ns();
    while (generator_under_way(own) > 0 || own->unacked > 0) {
        uint64_t now_ns = weir_now_ns();
        weir_err err;
        if (now_ns > until_ns || now_ns > own->progress_ns + (uint64_t)DRAIN_QUIET_MS * NS_PER_MS) {
            break;
        }
        err = turn(own, false);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static void losses_count(generator *own)
{
    for (uint32_t s = 0; s < own->work->subscribers; s++) {
        for (uint32_t p = 0; p < own->work->publishers; p++) {
            const weir_account *account = &own->accounts[(size_t)s * own->work->publishers + p];
            own->result->lost += weir_account_lost(account, generator_publisher(own, p)->sequence);
            own->result->duplicated += account->duplicated;
            own->result->reordered += account->reordered;
        }
    }
    own->result->sent = own->sent;
}

static void latencies_read(generator *own)
{
    weir_bench_result *result = own->result;
    result->latency_p50_ns = weir_histogram_quantile(own->latency, 500000);
    result->latency_p90_ns = weir_histogram_quantile(own->latency, 900000);
    result->latency_p99_ns = weir_histogram_quantile(own->latency, 990000);
    result->latency_p999_ns = weir_histogram_quantile(own->latency, 999000);
    result->latency_max_ns = own->latency->max;
    result->late_p50_ns = weir_histogram_quantile(own->late, 500000);
    result->late_p99_ns = weir_histogram_quantile(own->late, 990000);
}

static void flow_run(generator *own)
{
    uint64_t begin_ns = weir_now_ns();
    weir_meter begin;
    weir_meter end;
    own->progress_ns = begin_ns;
    own->schedule_ns = begin_ns + NS_PER_MS;
    if (send_until(own, begin_ns + (uint64_t)own->work->warm_up_ms * NS_PER_MS) != WEIR_OK) {
        return;
    }
    begin = weir_meter_read(own->target->pid);
    own->measuring = true;
    if (send_until(own, begin.at_ns + (uint64_t)own->work->measure_ms * NS_PER_MS) != WEIR_OK) {
        return;
    }
    own->measuring = false;
    end = weir_meter_read(own->target->pid);
    weir_meter_tell(&begin, &end, own->result);
    latencies_read(own);
    if (drain(own) == WEIR_OK) {
        losses_count(own); /* [G1] */
    }
}

/* Connects and nothing else: how many a second, and what one costs while it is idle. */
static void connects_run(generator *own)
{
    const struct timespec rest = {0, (long)IDLE_MS * NS_PER_MS};
    weir_meter begin = weir_meter_read(own->target->pid);
    weir_meter end;
    if (generator_connect(own) != WEIR_OK) {
        return;
    }
    end = weir_meter_read(own->target->pid);
    nanosleep(&rest, NULL);
    (void)weir_usage_of(own->target->pid, &end.subject);
    weir_meter_tell(&begin, &end, own->result);
    own->result->connects_per_second = own->peer_count / own->result->seconds;
    own->result->idle_bytes =
        ((double)end.subject.rss_bytes - (double)begin.subject.rss_bytes) / own->peer_count;
}

void weir_generator_run(const weir_bench_workload *workload, const weir_bench_target *target,
                        weir_bench_result *result)
{
    generator own = {.work = workload, .target = target, .result = result, .epoll = -1};
    *result = (weir_bench_result){.err = WEIR_OK};
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (generator_open(&own) == WEIR_OK) {
        if (workload->connections > 0) {
            connects_run(&own);
        } else if (generator_connect(&own) == WEIR_OK) {
            flow_run(&own);
        }
    }
    own.ending = true;
    generator_close(&own);
}
