/* bench/generator/generator.c - a run from its first connect to its last delivery.
 *
 *   connect | warm-up | measured | drain          (bench/flow.h)
 *
 * What is counted for losses is the whole run; what is divided by seconds is the measured part.
 *
 * Failures: a closed connection, a refusal or a stall that outlasts the drain end the run with a
 * sentence in the result.
 *
 * [G1] lost, duplicated and reordered are per (subscriber, publisher, sequence), warm-up included.
 */
#include "bench/generator/private.h"

#include "bench/meter.h"

#include <string.h>
#include <time.h>

enum { IDLE_MS = 500 /* rests before the memory of idle connections is read */ };

static weir_err event_take(weir_flow *flow, const struct epoll_event *event)
{
    generator *own = (generator *)flow;
    generator_peer *peer = event->data.ptr;
    weir_err err = WEIR_OK;
    if (peer->stage != PEER_READY) {
        return WEIR_OK; /* gone earlier in this turn */
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        err = peer_readable(own, peer);
    }
    if (err == WEIR_OK && (event->events & EPOLLOUT) != 0 && peer->stage == PEER_READY) {
        err = weir_stream_flush(&peer->stream, flow->epoll, peer);
    }
    return err;
}

static void losses_count(generator *own)
{
    for (uint32_t s = 0; s < own->work->subscribers; s++) {
        for (uint32_t p = 0; p < own->work->publishers; p++) {
            weir_result_account(own->flow.result,
                                &own->accounts[(size_t)s * own->work->publishers + p],
                                generator_publisher(own, p)->sequence);
        }
    }
    own->flow.result->sent = own->flow.sent;
}

static void flow_run(generator *own)
{
    own->flow.sending = true;
    if (weir_flow_measure(&own->flow) == WEIR_OK && weir_flow_drain(&own->flow) == WEIR_OK) {
        losses_count(own); /* [G1] */
    }
}

/* Connects and nothing else: how many a second, and what one costs while it is idle. */
static void connects_run(generator *own)
{
    const struct timespec rest = {0, (long)IDLE_MS * NS_PER_MS};
    weir_bench_result *result = own->flow.result;
    weir_meter begin = weir_meter_read(own->target->pid);
    weir_meter end;
    if (generator_connect(own) != WEIR_OK) {
        return;
    }
    end = weir_meter_read(own->target->pid);
    nanosleep(&rest, NULL);
    (void)weir_usage_of(own->target->pid, &end.subject);
    weir_meter_tell(&begin, &end, result);
    result->connects_per_second = own->peer_count / result->seconds;
    result->idle_bytes =
        ((double)end.subject.rss_bytes - (double)begin.subject.rss_bytes) / own->peer_count;
}

void weir_generator_run(const weir_bench_workload *workload, const weir_bench_target *target,
                        weir_bench_result *result)
{
    generator own = {.flow = {.event = event_take,
                              .pump = generator_pump,
                              .under_way = generator_under_way,
                              .result = result,
                              .pid = target->pid,
                              .epoll = -1,
                              .rate_per_second = workload->rate_per_second,
                              .batch = 1,
                              .warm_up_ms = workload->warm_up_ms,
                              .measure_ms = workload->measure_ms},
                     .work = workload,
                     .target = target};
    *result = (weir_bench_result){.err = WEIR_OK};
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
