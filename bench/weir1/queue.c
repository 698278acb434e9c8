/* bench/weir1/queue.c - a member of a queue group: it takes records, counts them and settles each.
 *
 *   join -> member's number      lease-batch -> leased -> counted
 *                                ^                        |
 *                                +-- one write: settle-ranges | lease-batch      settled -> done
 *
 * What a lease brought is settled by one frame, and the next lease goes with it: a member has one
 * lease under way, and as many settles as the subject lets wait. The queue is `jobs`, which the
 * subject declares; its group has the same name.
 *
 * Failures: what the subject does not settle is `refused`; an error frame, or a run that its batch
 * does not hold, ends the run.
 *
 * [Q1] A record counts as had once its settle was answered: under way is what was sent and is not. */
#include "bench/weir1/private.h"

#include "adapters/proto/weir1/frame.h"
#include "core/batch/batch.h"

enum { LEASE_WAIT_MS = 1000 };

bool load_is_queue(const load *own)
{
    return own->work->task == WEIR_WEIR1_DRAIN || own->work->task == WEIR_WEIR1_PACED;
}

static weir_err frame_put(load *own, load_peer *peer, const weir_v1_frame *frame)
{
    weir_err err;
    own->scratch.len = 0;
    err = weir_v1_frame_encode(frame, &own->scratch);
    return err == WEIR_OK ? load_put(own, peer, weir_buffer_bytes(&own->scratch))
                          : weir_result_fail(own->flow.result, err, "no memory to send");
}

static weir_err lease_put(load *own, load_peer *peer)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_LEASE,
                                 .member = peer->member,
                                 .request = ++peer->request,
                                 .records_max = own->work->lease_records,
                                 .bytes_max = LOAD_FETCH_BYTES,
                                 .wait_ms = LEASE_WAIT_MS};
    return frame_put(own, peer, &frame);
}

/* All of own->ranges. */
static weir_err settle_put(load *own, load_peer *peer, uint64_t epoch)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_SETTLE,
                                 .member = peer->member,
                                 .request = ++peer->request,
                                 .verb = WEIR_VERB_ACCEPT,
                                 .epoch = epoch,
                                 .ranges = weir_buffer_bytes(&own->ranges)};
    return frame_put(own, peer, &frame);
}

weir_err load_begin_leasing(load *own)
{
    own->leasing = true;
    for (uint32_t i = own->work->publishers; i < own->peer_count; i++) {
        load_peer *peer = &own->peers[i];
        weir_err err = lease_put(own, peer);
        err = err == WEIR_OK ? weir_stream_flush(&peer->stream, own->flow.epoll, peer) : err;
        if (err != WEIR_OK) {
            return err;
        }
    }
    return WEIR_OK;
}

static void record_take(load *own, load_peer *peer, weir_bytes value, uint64_t now_ns)
{
    weir_load_head head;
    if (!weir_load_head_read(value, false, &head) || head.run != own->run || head.publisher != 0) {
        own->flow.result->alien++;
        return;
    }
    (void)weir_tally_take(&own->tally, &peer->next, head.sequence);
    if (own->flow.measuring && own->work->task == WEIR_WEIR1_PACED) {
        weir_histogram_add(own->flow.latency,
                           now_ns > head.intended_ns ? now_ns - head.intended_ns : 0);
    }
}

/* The records [first, last] of the run, out of their batch. */
static weir_err run_take(load *own, load_peer *peer, const weir_v1_frame_leased *run,
                         weir_bytes batch, uint64_t now_ns)
{
    weir_batch_head head = {0};
    size_t at = WEIR_BATCH_HEAD_BYTES;
    int64_t taken = 0;
    weir_bytes value;
    bool broken = weir_batch_head_decode(batch, &head) != WEIR_OK || head.batch_bytes != batch.len;
    for (int64_t offset = head.base_offset; !broken && offset <= run->last; offset++) {
        if (!weir_load_batch_next(batch, &at, &value, &broken)) {
            break;
        }
        if (offset >= run->first) {
            record_take(own, peer, value, now_ns);
            taken++;
        }
    }
    return broken || taken != run->last - run->first + 1
               ? weir_result_fail(own->flow.result, WEIR_MALFORMED,
                                  "a leased run has records that are not in its batch")
               : WEIR_OK;
}

weir_err load_leased(load *own, load_peer *peer, const weir_v1_frame *frame, uint64_t now_ns)
{
    weir_v1_frame_leased run;
    weir_bytes rest = frame->runs;
    weir_bytes batch = WEIR_BYTES_NULL;
    weir_err err;
    own->ranges.len = 0;
    while ((err = weir_v1_frame_run_take(&rest, &run)) == WEIR_OK) {
        const weir_settle_range range = {.topic = run.topic,
                                         .partition = run.partition,
                                         .first = run.first,
                                         .last = run.last,
                                         .lease = run.lease};
        batch = run.batch.len > 0 ? run.batch : batch;
        err = run_take(own, peer, &run, batch, now_ns);
        err = err == WEIR_OK ? weir_v1_frame_range_put(&own->ranges, &range) : err;
        if (err != WEIR_OK) {
            return err;
        }
    }
    if (err != WEIR_EMPTY) {
        return weir_result_fail(own->flow.result, err, "a leased frame is cut short");
    }
    err = own->ranges.len > 0 ? settle_put(own, peer, frame->epoch) : WEIR_OK;
    err = err == WEIR_OK && !own->ending ? lease_put(own, peer) : err;
    return err == WEIR_OK ? weir_stream_flush(&peer->stream, own->flow.epoll, peer) : err;
}

void load_settled(load *own, const weir_v1_frame *frame)
{
    own->flow.had += frame->settled; /* [Q1] */
    own->flow.result->refused += frame->refused;
    own->flow.result->measured += own->flow.measuring ? frame->settled : 0;
}
