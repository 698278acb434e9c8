/* bench/weir1/weir1.c - a run from its first connect to the last record that is counted.
 *
 *   PUBLISH  connect | warm-up | measured | drain | read back: every record that was sent is there
 *   READ     connect | fill    | warm-up  | measured
 *   FLOW     connect | warm-up | measured | drain
 *
 * What is counted for losses is the whole run; what is divided by seconds is the measured part. A
 * loop turn reads every ready connection once, then sends what the window or the schedule allows.
 *
 * Failures: a closed connection or an error frame to a fetch ends the run with a sentence in the
 * result; a refused publish is counted. A closed loop that sees no progress for STALL_MS gives up
 * what is under way, counts a stall, and goes on.
 *
 * [G1] lost, duplicated and reordered are per (reader, publisher, sequence), warm-up included; READ:
 *      of each whole reading. */
#include "bench/weir1/private.h"

#include "bench/meter.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum {
    STALL_MS = 1000,
    DRAIN_MS_MAX = 10000,
    DRAIN_QUIET_MS = 3000,
    FILL_S_MAX = 60,
    READ_BACK_S_MAX = 60,
    WAIT_MS = 50,
    POLL_US_MAX = 60, /* of an open loop, before the next intended time */
};

/* ---- Turns -------------------------------------------------------------------------------------
 */

static struct timespec wait_for(const load *own, uint64_t now_ns)
{
    uint64_t wait_ns = (uint64_t)WAIT_MS * NS_PER_MS;
    uint64_t rate = own->work->rate_per_second;
    if (own->sending && rate > 0) {
        uint32_t batch = own->work->batch_records;
        uint64_t poll_ns = NS_PER_S / rate * batch / 4;
        uint64_t next_ns = own->schedule_ns + (own->scheduled + batch - 1) * NS_PER_S / rate;
        poll_ns = poll_ns < POLL_US_MAX * 1000 ? poll_ns : POLL_US_MAX * 1000;
        wait_ns = next_ns > now_ns + poll_ns ? next_ns - now_ns - poll_ns : 0;
    }
    return (struct timespec){(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
}

static weir_err event_take(load *own, const struct epoll_event *event)
{
    load_peer *peer = event->data.ptr;
    weir_err err = WEIR_OK;
    if (peer->stage != LOAD_READY) {
        return WEIR_OK; /* gone earlier in this turn */
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        err = load_readable(own, peer);
    }
    if (err == WEIR_OK && (event->events & EPOLLOUT) != 0 && peer->stage == LOAD_READY) {
        err = weir_stream_flush(&peer->stream, own->epoll, peer);
    }
    return err == WEIR_OK ? err
                          : load_fail(own, err, "a connection failed: %s", weir_err_text(err));
}

static weir_err turn(load *own)
{
    struct epoll_event events[LOAD_EVENTS_MAX];
    struct timespec wait = wait_for(own, weir_now_ns());
    int count = epoll_pwait2(own->epoll, events, LOAD_EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        weir_err err = event_take(own, &events[i]);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return own->sending ? load_pump(own, weir_now_ns()) : WEIR_OK;
}

static void stall_look(load *own, uint64_t now_ns)
{
    if (own->work->rate_per_second == 0 &&
        now_ns > own->progress_ns + (uint64_t)STALL_MS * NS_PER_MS) {
        own->given_up += load_under_way(own);
        own->progress_ns = now_ns;
        own->result->stalls++;
    }
}

static weir_err turn_until(load *own, uint64_t until_ns)
{
    uint64_t now_ns = weir_now_ns();
    while (now_ns < until_ns) {
        weir_err err = turn(own);
        if (err != WEIR_OK) {
            return err;
        }
        now_ns = weir_now_ns();
        stall_look(own, now_ns);
    }
    return WEIR_OK;
}

/* What is under way may still come. */
static weir_err drain(load *own)
{
    uint64_t until_ns = weir_now_ns() + (uint64_t)DRAIN_MS_MAX * NS_PER_MS;
    own->sending = false;
    own->given_up = 0; /* a late one is late, not lost */
    own->progress_ns = weir_now_ns();
    while (load_under_way(own) > 0 || own->unacked > 0) {
        uint64_t now_ns = weir_now_ns();
        weir_err err;
        if (now_ns > until_ns || now_ns > own->progress_ns + (uint64_t)DRAIN_QUIET_MS * NS_PER_MS) {
            break;
        }
        err = turn(own);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

/* ---- Parts of a run ----------------------------------------------------------------------------
 */

static weir_err fill(load *own)
{
    uint64_t until_ns = weir_now_ns() + (uint64_t)FILL_S_MAX * NS_PER_S;
    own->sending = true;
    while (own->sent * own->work->payload_bytes < own->work->fill_bytes) {
        weir_err err = turn(own);
        if (err != WEIR_OK) {
            return err;
        }
        if (weir_now_ns() > until_ns) {
            return load_fail(own, WEIR_TIMEOUT, "the log could not be filled in %d s", FILL_S_MAX);
        }
    }
    if (drain(own) != WEIR_OK) {
        return own->result->err;
    }
    return own->unacked == 0 ? WEIR_OK
                             : load_fail(own, WEIR_TIMEOUT, "what fills the log is not answered");
}

/* One reading of all that is stored, counted. [G1] */
static weir_err read_back(load *own)
{
    uint64_t until_ns = weir_now_ns() + (uint64_t)READ_BACK_S_MAX * NS_PER_S;
    load_peer *reader = &own->peers[own->work->publishers];
    weir_err err;
    own->one_pass = true;
    err = load_begin_reading(own);
    while (err == WEIR_OK && reader->passes == 0) {
        err = turn(own);
        if (weir_now_ns() > until_ns) {
            return load_fail(own, WEIR_TIMEOUT, "the log could not be read back in %d s",
                             READ_BACK_S_MAX);
        }
    }
    return err;
}

static void flow_count(load *own)
{
    for (uint32_t s = 0; s < own->work->subscribers; s++) {
        for (uint32_t p = 0; p < own->work->publishers; p++) {
            const weir_account *account = &own->accounts[(size_t)s * own->work->publishers + p];
            own->result->lost += weir_account_lost(account, own->peers[p].sequence);
            own->result->duplicated += account->duplicated;
            own->result->reordered += account->reordered;
        }
    }
}

static void latencies_read(load *own)
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

static weir_err measure(load *own)
{
    weir_meter begin;
    weir_meter end;
    uint64_t now_ns = weir_now_ns();
    own->progress_ns = now_ns;
    own->schedule_ns = now_ns + NS_PER_MS;
    if (turn_until(own, now_ns + (uint64_t)own->work->warm_up_ms * NS_PER_MS) != WEIR_OK) {
        return own->result->err;
    }
    begin = weir_meter_read(own->target->pid);
    own->measuring = true;
    if (turn_until(own, begin.at_ns + (uint64_t)own->work->measure_ms * NS_PER_MS) != WEIR_OK) {
        return own->result->err;
    }
    own->measuring = false;
    end = weir_meter_read(own->target->pid);
    weir_meter_tell(&begin, &end, own->result);
    latencies_read(own);
    return WEIR_OK;
}

static void publish_run(load *own)
{
    own->sending = true;
    if (measure(own) != WEIR_OK || drain(own) != WEIR_OK) {
        return;
    }
    own->result->acked = own->acked;
    own->result->sent = own->sent;
    (void)read_back(own);
}

static void read_run(load *own)
{
    if (fill(own) == WEIR_OK && load_begin_reading(own) == WEIR_OK) {
        (void)measure(own);
    }
    own->result->acked = own->acked;
    own->result->sent = own->sent;
}

static void flow_run(load *own)
{
    own->sending = true;
    if (measure(own) == WEIR_OK && drain(own) == WEIR_OK) {
        flow_count(own);
    }
    own->result->acked = own->acked;
    own->result->sent = own->sent;
}

void weir_weir1_run(const weir_weir1_work *work, const weir_weir1_target *target,
                    weir_bench_result *result)
{
    load own = {.work = work, .target = target, .result = result, .epoll = -1};
    *result = (weir_bench_result){.err = WEIR_OK};
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (load_open(&own) == WEIR_OK && load_connect(&own) == WEIR_OK) {
        switch (work->task) {
        case WEIR_WEIR1_PUBLISH:
            publish_run(&own);
            break;
        case WEIR_WEIR1_READ:
            read_run(&own);
            break;
        case WEIR_WEIR1_FLOW:
            flow_run(&own);
            break;
        }
    }
    own.ending = true;
    load_close(&own);
}
