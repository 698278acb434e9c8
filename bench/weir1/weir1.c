/* bench/weir1/weir1.c - a run from its first connect to the last record that is counted.
 *
 *   PUBLISH  connect | warm-up | measured | drain | read back: every record that was sent is there
 *   READ     connect | fill    | warm-up  | measured
 *   FLOW     connect | warm-up | measured | drain
 *   DRAIN    connect | fill    | measured: until all is settled
 *   PACED    connect | warm-up | measured | drain
 *
 * What is counted for losses is the whole run; what is divided by seconds is the measured part.
 * Warm-up, measured time and drain are those of bench/flow.h.
 *
 * Failures: a closed connection or an error frame to a fetch ends the run with a sentence in the
 * result; a refused publish is counted.
 *
 * [G1] lost, duplicated and reordered are per (reader, publisher, sequence), warm-up included; READ:
 *      of each whole reading; DRAIN, PACED: of all members together, reordered of each. */
#include "bench/weir1/private.h"

enum { FILL_S_MAX = 60, READ_BACK_S_MAX = 60 };

static weir_err event_take(weir_flow *flow, const struct epoll_event *event)
{
    load *own = (load *)flow;
    load_peer *peer = event->data.ptr;
    weir_err err = WEIR_OK;
    if (peer->stage != LOAD_READY) {
        return WEIR_OK; /* gone earlier in this turn */
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        err = load_readable(own, peer);
    }
    if (err == WEIR_OK && (event->events & EPOLLOUT) != 0 && peer->stage == LOAD_READY) {
        err = weir_stream_flush(&peer->stream, flow->epoll, peer);
    }
    return err;
}

/* ---- Parts of a run ----------------------------------------------------------------------------
 */

static weir_err fill(load *own)
{
    uint64_t until_ns = weir_now_ns() + (uint64_t)FILL_S_MAX * NS_PER_S;
    own->flow.sending = true;
    while (own->flow.sent * own->work->payload_bytes < own->work->fill_bytes) {
        weir_err err = weir_flow_turn(&own->flow);
        if (err != WEIR_OK) {
            return err;
        }
        if (weir_now_ns() > until_ns) {
            return weir_result_fail(own->flow.result, WEIR_TIMEOUT,
                                    "the log could not be filled in %d s", FILL_S_MAX);
        }
    }
    if (weir_flow_drain(&own->flow) != WEIR_OK) {
        return own->flow.result->err;
    }
    return own->flow.unacked == 0 ? WEIR_OK
                                  : weir_result_fail(own->flow.result, WEIR_TIMEOUT,
                                                     "what fills the log is not answered");
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
        err = weir_flow_turn(&own->flow);
        if (weir_now_ns() > until_ns) {
            return weir_result_fail(own->flow.result, WEIR_TIMEOUT,
                                    "the log could not be read back in %d s", READ_BACK_S_MAX);
        }
    }
    return err;
}

static void flow_count(load *own)
{
    for (uint32_t s = 0; s < own->work->subscribers; s++) {
        for (uint32_t p = 0; p < own->work->publishers; p++) {
            weir_result_account(own->flow.result,
                                &own->accounts[(size_t)s * own->work->publishers + p],
                                own->peers[p].sequence);
        }
    }
}

static void publish_run(load *own)
{
    own->flow.sending = true;
    if (weir_flow_measure(&own->flow) != WEIR_OK || weir_flow_drain(&own->flow) != WEIR_OK) {
        return;
    }
    own->flow.result->acked = own->acked;
    own->flow.result->sent = own->flow.sent;
    (void)read_back(own);
}

static void read_run(load *own)
{
    if (fill(own) == WEIR_OK && load_begin_reading(own) == WEIR_OK) {
        (void)weir_flow_measure(&own->flow);
    }
    own->flow.result->acked = own->acked;
    own->flow.result->sent = own->flow.sent;
}

static void flow_run(load *own)
{
    own->flow.sending = true;
    if (weir_flow_measure(&own->flow) == WEIR_OK && weir_flow_drain(&own->flow) == WEIR_OK) {
        flow_count(own);
    }
    own->flow.result->acked = own->acked;
    own->flow.result->sent = own->flow.sent;
}

static void queue_count(load *own)
{
    weir_result_tally(own->flow.result, &own->tally, own->flow.sent);
    if (own->flow.had < own->flow.sent) {
        (void)weir_result_fail(own->flow.result, WEIR_TIMEOUT, "%llu of %llu records are settled",
                               (unsigned long long)own->flow.had,
                               (unsigned long long)own->flow.sent);
    }
    own->flow.result->acked = own->acked;
    own->flow.result->sent = own->flow.sent;
}

static void drain_run(load *own)
{
    if (fill(own) == WEIR_OK && load_begin_leasing(own) == WEIR_OK &&
        weir_flow_measure_drain(&own->flow) == WEIR_OK) {
        queue_count(own);
    }
}

static void paced_run(load *own)
{
    own->flow.sending = true;
    if (load_begin_leasing(own) == WEIR_OK && weir_flow_measure(&own->flow) == WEIR_OK &&
        weir_flow_drain(&own->flow) == WEIR_OK) {
        queue_count(own);
    }
}

void weir_weir1_run(const weir_weir1_work *work, const weir_weir1_target *target,
                    weir_bench_result *result)
{
    load own = {
        .flow = {.event = event_take,
                 .pump = load_pump,
                 .under_way = load_under_way,
                 .result = result,
                 .pid = target->pid,
                 .epoll = -1,
                 .rate_per_second = work->task == WEIR_WEIR1_READ ? 0 : work->rate_per_second,
                 .batch = work->batch_records,
                 .warm_up_ms = work->warm_up_ms,
                 .measure_ms = work->measure_ms},
        .work = work,
        .target = target};
    *result = (weir_bench_result){.err = WEIR_OK};
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
        case WEIR_WEIR1_DRAIN:
            drain_run(&own);
            break;
        case WEIR_WEIR1_PACED:
            paced_run(&own);
            break;
        }
    }
    own.ending = true;
    load_close(&own);
}
