/* adapters/nng/out.c - alone responsible for which peer gets which message of PUB and PUSH.
 *
 *   PUB:   subscriber -> deliveries -> record -> message -> every peer; no room: dropped, counted
 *   PUSH:  push.c fetches             -> record -> message -> the next peer with room
 *
 * Happy path: PUB's subscriber has all the credit there is, so the engine never waits for it; each
 * record becomes one message (or joins a batch), encoded once and copied into each peer's output.
 *
 * Failures: a PUB peer whose output holds nng.pub.buffer_bytes misses messages, each counted; what
 * the engine itself had to skip is counted once for each peer. A PUSH message that no peer has room
 * for is never made: its record stays in the topic.
 *
 * [O1] A peer is among the ready ones exactly while `listed`.
 * [O2] PUSH makes a message only while somebody is ready, and no other while one waits: the flush
 * at the beginning of its work gave it away. */
#include "adapters/nng/out_private.h"

#include "core/base/assert.h"

#include <stdlib.h>

/* ---- Peers ------------------------------------------------------------------------------------
 */

static void ready_append(out_peer *peer)
{
    weir_nng_out *out = peer->out;
    if (!peer->listed && out->part == WEIR_NNG_PUSH) {
        peer->listed = true; /* [O1] */
        peer->ready_next = NULL;
        *out->ready_tail = peer;
        out->ready_tail = &peer->ready_next;
    }
}

static void ready_remove(out_peer *peer)
{
    weir_nng_out *out = peer->out;
    out_peer **link = &out->ready;
    if (!peer->listed) {
        return;
    }
    while (*link != peer) {
        link = &(*link)->ready_next;
    }
    *link = peer->ready_next;
    out->ready_tail = *link == NULL ? link : out->ready_tail;
    peer->listed = false; /* [O1] */
}

void weir_nng_out_join(weir_nng_out *out, out_peer *peer)
{
    WEIR_ASSERT(peer->out == out); /* since before any thread of nng's could look */
    peer->joined = true;
    peer->previous = NULL;
    peer->next = out->peers;
    if (peer->next != NULL) {
        peer->next->previous = peer;
    }
    out->peers = peer;
    out->peer_count += peer->endless ? 0 : 1;
    weir_nng_out_room(peer);
}

void weir_nng_out_leave(out_peer *peer)
{
    weir_nng_out *out = peer->out;
    if (!peer->joined) {
        return;
    }
    peer->joined = false;
    ready_remove(peer);
    *(peer->previous != NULL ? &peer->previous->next : &out->peers) = peer->next;
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    out->peer_count -= peer->endless ? 0 : 1;
}

void weir_nng_out_room(out_peer *peer)
{
    weir_nng_out *out = peer->out;
    if (peer->joined && out->part == WEIR_NNG_PUSH && peer->ops->ready(peer)) {
        ready_append(peer);
        weir_loop_at_turn_end(out->adapter->loop, &out->turn_end);
    }
}

bool weir_nng_out_wanted(const weir_nng_out *out)
{
    return out->ready != NULL;
}

/* ---- Messages ---------------------------------------------------------------------------------
 */

static void pub_send(weir_nng_out *out, weir_bytes body)
{
    weir_nng_counters *counters = &out->adapter->counters;
    out_peer *next = NULL;
    weir_counter_add(&counters->pub_records, out->body_records);
    for (out_peer *peer = out->peers; peer != NULL; peer = next) {
        next = peer->next;
        if (peer->ops->give(peer, body, out->body_records)) {
            weir_counter_add(&counters->pub_messages, 1);
        } else {
            weir_counter_add(&counters->pub_dropped, out->body_records);
        }
    }
}

/* False: those that looked ready are going; the message waits for the next that has room. */
static bool push_send(weir_nng_out *out, weir_bytes body)
{
    weir_nng_counters *counters = &out->adapter->counters;
    bool given = false;
    while (!given && out->ready != NULL) {
        out_peer *peer = out->ready;
        ready_remove(peer);
        given = peer->ops->give(peer, body, out->body_records);
        if (given && peer->joined && peer->ops->ready(peer)) {
            ready_append(peer);
        }
    }
    if (given) {
        weir_counter_add(&counters->push_messages, 1);
        weir_counter_add(&counters->push_records, out->body_records);
    }
    return given;
}

void weir_nng_out_flush(weir_nng_out *out)
{
    if (out->body_records == 0) {
        return;
    }
    if (out->part == WEIR_NNG_PUB) {
        pub_send(out, weir_buffer_bytes(&out->body));
    } else if (!push_send(out, weir_buffer_bytes(&out->body))) {
        return; /* [O2] */
    }
    out->body.len = 0;
    out->body_records = 0;
    weir_buffer_relax(&out->body, OUT_BATCH_BYTES * 2);
}

void weir_nng_out_record(weir_nng_out *out, weir_bytes topic, const weir_record *record)
{
    weir_nng_counters *counters = &out->adapter->counters;
    weir_err err = WEIR_OK;
    if (out->batch) {
        err = weir_nng_batch_append(&out->body, topic, record->key, record->value);
    } else {
        err = weir_nng_body_append(&out->body, topic, record->key, record->value);
    }
    if (err != WEIR_OK) {
        weir_counter_add(out->part == WEIR_NNG_PUB ? &counters->pub_dropped : &counters->push_lost,
                         1);
        return;
    }
    out->body_records++;
    if (!out->batch || out->body.len >= OUT_BATCH_BYTES) {
        weir_nng_out_flush(out);
    }
}

/* ---- PUB's subscriber -------------------------------------------------------------------------
 */

static void pub_deliver(weir_nng_out *out, const weir_delivery *delivery)
{
    weir_bytes topic = weir_chunk_topic(delivery->chunk);
    if (out->peers == NULL || out->stopped) {
        return; /* nobody misses it */
    }
    for (uint32_t i = 0; i < delivery->count; i++) {
        weir_record record;
        weir_chunk_record(delivery->chunk, delivery->first + i, &record);
        weir_nng_out_record(out, topic, &record);
    }
    weir_nng_out_flush(out);
}

static void pub_notice(weir_nng_out *out, const weir_notice *notice)
{
    uint64_t missed = notice->count;
    if (notice->kind == WEIR_NOTICE_GAP && notice->to > notice->from) {
        missed = (uint64_t)(notice->to - notice->from);
    }
    if (notice->kind == WEIR_NOTICE_DROPPED || notice->kind == WEIR_NOTICE_GAP) {
        weir_counter_add(&out->adapter->counters.pub_dropped, missed * out->peer_count);
    }
}

static void pub_complete(weir_sink *sink, weir_completion *completion)
{
    weir_nng_out *out = (weir_nng_out *)sink;
    if (completion->type == WEIR_COMPLETION_DELIVERY) {
        pub_deliver(out, &completion->delivery);
        return;
    }
    if (completion->type == WEIR_COMPLETION_NOTICE) {
        pub_notice(out, &completion->notice);
        return;
    }
    out->operations--;
    if (completion->type == WEIR_COMPLETION_CLOSED) {
        out->subscriber = NULL;
    } else if (completion->err != WEIR_OK) {
        char line[160];
        (void)snprintf(line, sizeof(line), "nng.pub.filter \"%.80s\" was refused: %s",
                       out->adapter->pub_filter, weir_err_text(completion->err));
        out->adapter->host->ops->log(out->adapter->host, 3, line);
    }
    weir_loop_at_turn_end(out->adapter->loop, &out->turn_end);
}

/* Opens, subscribes, grants; each again at the next turn's end while the port has no room. True:
 * all is done. */
static bool pub_subscribe(weir_nng_out *out)
{
    weir_port *port = weir_loop_port(out->adapter->loop);
    const weir_subscribe subscribe = {.filter = weir_bytes_of(out->adapter->pub_filter)};
    weir_err err = WEIR_OK;
    if (out->subscriber == NULL) {
        err = weir_port_subscriber_open(port, &out->sink, &out->subscriber);
    }
    if (err == WEIR_OK) {
        err = weir_port_credit(port, out->subscriber, UINT64_MAX, UINT64_MAX);
    }
    if (err == WEIR_OK) {
        err = weir_port_subscribe(port, out->subscriber, &subscribe, &out->sink, 0);
    }
    out->operations += err == WEIR_OK ? 1 : 0;
    return err != WEIR_AGAIN && err != WEIR_NO_MEMORY;
}

/* True: it is under way. */
static bool pub_unsubscribe(weir_nng_out *out)
{
    weir_port *port = weir_loop_port(out->adapter->loop);
    weir_err err = weir_port_subscriber_close(port, out->subscriber, &out->sink, 0);
    out->operations += err == WEIR_OK ? 1 : 0;
    return err == WEIR_OK;
}

static void pub_turn(weir_nng_out *out)
{
    bool done = true;
    if (!out->closed && !out->subscribed) {
        done = pub_subscribe(out);
        out->subscribed = done;
    } else if (out->closed && out->subscriber != NULL && !out->unsubscribed) {
        done = pub_unsubscribe(out);
        out->unsubscribed = done; /* once */
    }
    if (!done) {
        weir_loop_at_turn_end(out->adapter->loop, &out->turn_end);
    }
}

static void turn_ended(weir_turn_end *end)
{
    weir_nng_out *out = (weir_nng_out *)((char *)end - offsetof(weir_nng_out, turn_end));
    if (out->part == WEIR_NNG_PUB) {
        pub_turn(out);
    } else if (!out->stopped) {
        weir_nng_push_work(out->push);
    }
    weir_nng_settle(out->adapter);
}

/* ---- Life -------------------------------------------------------------------------------------
 */

weir_err weir_nng_out_create(weir_adapter *adapter, weir_nng_part part, weir_nng_out **out,
                             weir_fault *fault)
{
    weir_nng_out *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.%s.",
                              weir_nng_part_name(part));
    }
    made->adapter = adapter;
    made->part = part;
    made->batch = adapter->batch[part];
    made->sink.complete = pub_complete;
    made->turn_end.run = turn_ended;
    made->ready_tail = &made->ready;
    *out = made; /* destroy undoes what follows */
    if (part == WEIR_NNG_PUSH && weir_nng_push_create(made, &made->push) != WEIR_OK) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.push.");
    }
    switch (adapter->urls[part].transport) {
    case WEIR_NNG_WS:
        made->carrier_ops = &weir_nng_ws_carrier;
        break;
    case WEIR_NNG_INPROC:
        made->carrier_ops = &weir_nng_inproc_carrier;
        break;
    default:
        made->carrier_ops = &weir_nng_stream_carrier;
        break;
    }
    return made->carrier_ops->listen(made, &made->carrier, fault);
}

void weir_nng_out_run(weir_nng_out *out)
{
    if (out->part == WEIR_NNG_PUB) {
        pub_turn(out);
    } else {
        weir_nng_push_run(out->push);
    }
    out->carrier_ops->run(out->carrier);
}

void weir_nng_out_drain(weir_nng_out *out)
{
    out->stopped = true;
}

static size_t waiting_of_all(const weir_nng_out *out)
{
    size_t waiting = 0;
    for (const out_peer *peer = out->peers; peer != NULL; peer = peer->next) {
        waiting += peer->ops->waiting(peer);
    }
    return waiting;
}

bool weir_nng_out_idle(const weir_nng_out *out)
{
    return out->stopped && waiting_of_all(out) == 0;
}

void weir_nng_out_close(weir_nng_out *out)
{
    out_peer *next = NULL;
    out->stopped = true;
    out->closed = true;
    for (out_peer *peer = out->peers; peer != NULL; peer = next) {
        next = peer->next;
        peer->ops->close(peer);
    }
    if (out->push != NULL) {
        weir_nng_push_close(out->push);
        weir_counter_add(&out->adapter->counters.push_lost, out->body_records);
    }
    weir_loop_at_turn_end(out->adapter->loop, &out->turn_end);
}

bool weir_nng_out_closed(const weir_nng_out *out)
{
    return out->peers == NULL && out->leaving_count == 0 && out->operations == 0 &&
           out->subscriber == NULL && (out->push == NULL || weir_nng_push_idle(out->push));
}

void weir_nng_out_unlisten(weir_nng_out *out)
{
    if (out->carrier != NULL) {
        out->carrier_ops->unlisten(out->carrier);
    }
}

bool weir_nng_out_shut(weir_nng_out *out)
{
    out->hangs = out->carrier != NULL && !out->carrier_ops->shut(out->carrier);
    return !out->hangs;
}

static void let_go(weir_loop *loop, void *arg)
{
    weir_nng_out *out = arg;
    weir_loop_turn_end_cancel(loop, &out->turn_end);
}

void weir_nng_out_destroy(weir_nng_out *out)
{
    if (out == NULL) {
        return;
    }
    if (out->carrier != NULL && !out->hangs) {
        out->carrier_ops->destroy(out->carrier);
    }
    weir_loop_call_wait(out->adapter->loop, let_go, out);
    weir_nng_push_destroy(out->push);
    weir_buffer_fini(&out->body);
    if (!out->hangs) {
        free(out);
    }
}
