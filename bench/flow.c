/* bench/flow.c - turns, stages and stalls.
 *
 * An open loop sleeps until shortly before the next intended time, then polls: a timer that fires
 * late would be measured as the subject's latency.
 *
 * Failures: what an event or the pump told ends the run. A closed loop that sees no progress for
 * STALL_MS gives up what is under way, counts a stall, and goes on: what never comes is then in
 * `lost`. */
#include "bench/flow.h"

#include "bench/meter.h"
#include "bench/result.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    STALL_MS = 1000,
    DRAIN_MS_MAX = 30000,
    MEASURED_DRAIN_MS_MAX = 60000,
    DRAIN_QUIET_MS = 10000, /* nothing came for so long: nothing will */
    WAIT_MS = 50,
    POLL_US_MAX = 60, /* of an open loop, before the next intended time */
    EVENTS_MAX = 1024,
};

weir_err weir_flow_open(weir_flow *flow)
{
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    flow->epoll = epoll_create1(EPOLL_CLOEXEC);
    flow->latency = calloc(1, sizeof(*flow->latency));
    flow->late = calloc(1, sizeof(*flow->late));
    return flow->epoll >= 0 && flow->latency != NULL && flow->late != NULL
               ? WEIR_OK
               : weir_result_fail(flow->result, WEIR_NO_MEMORY, "no memory for the run");
}

void weir_flow_close(weir_flow *flow)
{
    if (flow->epoll >= 0) {
        close(flow->epoll);
    }
    free(flow->latency);
    free(flow->late);
}

/* How long this turn may sleep. */
static struct timespec wait_for(const weir_flow *flow, uint64_t now_ns)
{
    uint64_t wait_ns = (uint64_t)WAIT_MS * NS_PER_MS;
    uint64_t rate = flow->rate_per_second;
    if (flow->sending && rate > 0) {
        uint64_t poll_ns = NS_PER_S / rate * flow->batch / 4;
        uint64_t next_ns =
            flow->schedule_ns + (flow->scheduled + flow->batch - 1) * NS_PER_S / rate;
        poll_ns = poll_ns < POLL_US_MAX * 1000 ? poll_ns : POLL_US_MAX * 1000;
        wait_ns = next_ns > now_ns + poll_ns ? next_ns - now_ns - poll_ns : 0;
    }
    return (struct timespec){(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
}

weir_err weir_flow_turn(weir_flow *flow)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = wait_for(flow, weir_now_ns());
    int count = epoll_pwait2(flow->epoll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        weir_err err = flow->event(flow, &events[i]);
        if (err != WEIR_OK) {
            return weir_result_fail(flow->result, err, "a connection failed: %s",
                                    weir_err_text(err));
        }
    }
    return flow->sending ? flow->pump(flow, weir_now_ns()) : WEIR_OK;
}

static void stall_look(weir_flow *flow, uint64_t now_ns)
{
    if (flow->rate_per_second == 0 && now_ns > flow->progress_ns + (uint64_t)STALL_MS * NS_PER_MS) {
        flow->given_up += flow->under_way(flow);
        flow->progress_ns = now_ns;
        flow->result->stalls++;
    }
}

static weir_err turn_until(weir_flow *flow, uint64_t until_ns)
{
    uint64_t now_ns = weir_now_ns();
    while (now_ns < until_ns) {
        weir_err err = weir_flow_turn(flow);
        if (err != WEIR_OK) {
            return err;
        }
        now_ns = weir_now_ns();
        stall_look(flow, now_ns);
    }
    return WEIR_OK;
}

static void measured_tell(weir_flow *flow, const weir_meter *begin)
{
    weir_meter end = weir_meter_read(flow->pid);
    flow->measuring = false;
    weir_meter_tell(begin, &end, flow->result);
    weir_result_latency(flow->result, flow->latency);
    flow->result->late_p50_ns = weir_histogram_quantile(flow->late, 500000);
    flow->result->late_p99_ns = weir_histogram_quantile(flow->late, 990000);
}

weir_err weir_flow_measure(weir_flow *flow)
{
    weir_meter begin;
    uint64_t now_ns = weir_now_ns();
    weir_err err;
    flow->progress_ns = now_ns;
    flow->schedule_ns = now_ns + NS_PER_MS;
    err = turn_until(flow, now_ns + (uint64_t)flow->warm_up_ms * NS_PER_MS);
    if (err != WEIR_OK) {
        return err;
    }
    begin = weir_meter_read(flow->pid);
    flow->measuring = true;
    err = turn_until(flow, begin.at_ns + (uint64_t)flow->measure_ms * NS_PER_MS);
    if (err != WEIR_OK) {
        return err;
    }
    measured_tell(flow, &begin);
    return WEIR_OK;
}

static weir_err drain(weir_flow *flow, uint64_t most_ms)
{
    uint64_t until_ns = weir_now_ns() + most_ms * NS_PER_MS;
    flow->sending = false;
    flow->given_up = 0; /* a late one is late, not lost */
    flow->progress_ns = weir_now_ns();
    while (flow->under_way(flow) > 0 || flow->unacked > 0) {
        uint64_t now_ns = weir_now_ns();
        weir_err err;
        if (now_ns > until_ns ||
            now_ns > flow->progress_ns + (uint64_t)DRAIN_QUIET_MS * NS_PER_MS) {
            break;
        }
        err = weir_flow_turn(flow);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

weir_err weir_flow_drain(weir_flow *flow)
{
    return drain(flow, DRAIN_MS_MAX);
}

weir_err weir_flow_measure_drain(weir_flow *flow)
{
    weir_meter begin = weir_meter_read(flow->pid);
    weir_err err;
    flow->measuring = true;
    err = drain(flow, MEASURED_DRAIN_MS_MAX);
    if (err == WEIR_OK) {
        measured_tell(flow, &begin);
    }
    return err;
}
