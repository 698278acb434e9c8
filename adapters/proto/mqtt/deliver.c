/* adapters/proto/mqtt/deliver.c - records out to the client, its PUBACKs in, and credit back.
 *
 *   engine --delivery--> [ held ]* --> out buffer --> client --PUBACK--> window
 *      ^                                  |                                |
 *      '---- credit: bytes and QoS 0 ----- drained                         |
 *      '---- credit: QoS 1 records ----------------------------------------'
 *
 * A delivery is a run of one chunk and the filter, or filters, that matched: one copy is sent at
 * the highest granted QoS, with all identifiers [MQTT-3.3.4-3], [MQTT-3.3.4-4]. Its records become
 * packets at once. Only when the client's Receive Maximum is reached does what is left wait in
 * `held` [MQTT-3.3.4-9]; and then everything behind it too, since order is kept [MQTT-4.6.0-6].
 * What can be held is bounded by the credit of bytes.
 *
 * Credit: what is delivered is handed back in batches: bytes, and records that wait for no PUBACK,
 * when the output has drained; the others as they are acknowledged. Records that were skipped count
 * as done.
 *
 * [D1] Ids in flight never exceed the client's Receive Maximum, nor limits.in_flight_max.
 * [D2] held, when there, is not empty. */
#include "adapters/proto/mqtt/state.h"

#include "core/base/assert.h"
#include "core/base/varint.h"

#include <stdlib.h>

enum {
    IDENTIFIERS_MAX =
        64, /* told with one record; more filters than that overlap on no sane client */
    HELD_CAPACITY_MIN = 4,
    CREDIT_RECORDS_UNBOUNDED = 1 << 30, /* QoS 0 alone: bytes are the bound */
    CREDIT_BATCHES = 4,                 /* credit goes back a quarter at a time */
};

/* ---- How to write for this session ----------------------------------------------------------- */

typedef struct delivery_view {
    mqtt_view view;
    uint32_t identifiers[IDENTIFIERS_MAX];
    bool wanted; /* a filter is still there */
} delivery_view;

static void view_add_slot(delivery_view *made, const weir_mqtt_session *session, uint32_t slot)
{
    const mqtt_subscription *subscription = weir_mqtt_slot(session, slot);
    if (subscription == NULL) {
        return;
    }
    mqtt_view *view = &made->view;
    made->wanted = true;
    view->qos = subscription->options.qos > view->qos ? subscription->options.qos : view->qos;
    if (subscription->options.rap && view->retain == MQTT_RETAIN_CLEAR) {
        view->retain = MQTT_RETAIN_KEEP;
    }
    if (subscription->options.identifier != 0 && view->identifier_count < IDENTIFIERS_MAX) {
        made->identifiers[view->identifier_count++] = subscription->options.identifier;
    }
}

static void view_make(delivery_view *made, const weir_mqtt_session *session,
                      const weir_delivery *delivery)
{
    made->wanted = false;
    made->view = (mqtt_view){.packet_max = session->packet_max,
                             .wall_ms = session->context->wall_ms,
                             .version5 = session->version == WEIR_MQTT_5,
                             .retain = delivery->retained ? MQTT_RETAIN_SET : MQTT_RETAIN_CLEAR};
    if (delivery->slots == NULL) {
        view_add_slot(made, session, delivery->slot);
    } else {
        uint32_t count = 0;
        const uint32_t *slots = weir_slots_list(delivery->slots, &count);
        for (uint32_t i = 0; i < count; i++) {
            view_add_slot(made, session, slots[i]);
        }
    }
    made->view.identifiers = made->identifiers;
}

uint32_t weir_mqtt_window_size(const weir_mqtt_session *session)
{
    uint64_t ours = session->context->limits->in_flight_max;
    return ours < session->receive_max ? (uint32_t)ours : session->receive_max;
}

static uint32_t window_free(const weir_mqtt_session *session)
{
    return weir_mqtt_window_size(session) - session->window.count; /* [D1] */
}

static void tally_count(weir_mqtt_session *session, const mqtt_tally *tally)
{
    weir_mqtt_stats *stats = &session->context->stats;
    stats->publishes_sent += tally->sent;
    stats->expired += tally->expired;
    stats->over_client_maximum += tally->too_large;
    stats->headers_dropped += tally->headers_dropped;
    session->spent_records += tally->sent - tally->acknowledged + tally->expired + tally->too_large;
}

/* ---- From the cache -------------------------------------------------------------------------- */

/* Gives each QoS 1 packet of out[start..] its id. The window has room: it was asked. */
static weir_err ids_patch(weir_mqtt_session *session, weir_buffer *out, size_t start)
{
    while (start < out->len) {
        weir_bytes rest = {out->ptr + start, out->len - start};
        weir_mqtt_head head;
        weir_err err = weir_mqtt_head_decode(rest, session->version, &head);
        WEIR_ASSERT(err == WEIR_OK); /* our own bytes */
        uint8_t *body = out->ptr + start + head.head_bytes;
        if ((head.flags & 0x06) != 0) {
            uint16_t id = 0;
            err = weir_mqtt_window_take(&session->window, &id);
            if (err != WEIR_OK) {
                return err;
            }
            weir_put_u16(body + 2 + weir_get_u16(body), id);
        }
        start += head.head_bytes + (size_t)head.remaining;
    }
    return WEIR_OK;
}

/* How many ids can be taken for certain: a gap-ridden window has fewer than its count tells. */
uint32_t weir_mqtt_ids_free(const weir_mqtt_session *session)
{
    uint32_t by_count = window_free(session), by_span = 65535 - session->window.span;
    return by_count < by_span ? by_count : by_span;
}

static bool deliver_cached(weir_mqtt_session *session, const delivery_view *made,
                           const weir_delivery *delivery, weir_buffer *out, weir_err *err)
{
    mqtt_tally tally = {0};
    size_t start = out->len;
    if (!weir_mqtt_wire_cache_write(session->context->cache, &made->view, delivery,
                                    weir_mqtt_ids_free(session), out, &tally)) {
        return false;
    }
    *err = tally.acknowledged > 0 ? ids_patch(session, out, start) : WEIR_OK;
    tally_count(session, &tally);
    return true;
}

/* ---- Record by record ------------------------------------------------------------------------ */

/* Writes what the window has room for. *done: records taken off the front. */
static weir_err deliver_records(weir_mqtt_session *session, const delivery_view *made,
                                const weir_delivery *delivery, weir_buffer *out, uint32_t *done)
{
    weir_bytes topic = weir_chunk_topic(delivery->chunk);
    mqtt_tally tally = {0};
    weir_err err = WEIR_OK;
    uint32_t index = 0;
    for (; index < delivery->count; index++) {
        weir_record record;
        uint16_t id = 0;
        weir_chunk_record(delivery->chunk, delivery->first + index, &record);
        uint32_t sent = tally.sent;
        if (weir_mqtt_record_qos(&made->view, &record) > 0) {
            err = window_free(session) > 0 ? weir_mqtt_window_take(&session->window, &id)
                                           : WEIR_LIMIT;
        }
        if (err == WEIR_OK) {
            err = weir_mqtt_record_write(&made->view, topic, &record, id, out, &tally);
        }
        if (id != 0 && tally.sent == sent) {
            weir_mqtt_window_untake(&session->window); /* skipped: it needs none */
        }
        if (err != WEIR_OK) {
            break;
        }
    }
    tally_count(session, &tally);
    *done = index;
    return err == WEIR_LIMIT ? WEIR_OK : err;
}

/* What the first `count` records of a delivery took from the credit of bytes: their share of the
 * batch, as the engine counts it. */
static uint64_t credit_bytes_of(const weir_delivery *delivery, uint32_t count)
{
    uint64_t bytes = weir_chunk_batch(delivery->chunk).len;
    uint32_t all = weir_chunk_count(delivery->chunk);
    if (count == 0 || count == all) {
        return count == 0 ? 0 : bytes; /* nearly always: no division */
    }
    return bytes * count / all;
}

/* Deals with what is left of a run, as far as the window allows. */
static weir_err run_send(weir_mqtt_session *session, mqtt_run *run, weir_buffer *out)
{
    delivery_view made;
    weir_err err = WEIR_OK;
    weir_delivery left = run->delivery;
    left.first += run->done;
    left.count -= run->done;
    uint32_t done = left.count;
    view_make(&made, session, &left);
    if (!made.wanted) { /* unsubscribed meanwhile: credit goes back, nothing is sent */
        session->spent_records += left.count;
    } else if (session->held != NULL || !deliver_cached(session, &made, &left, out, &err)) {
        err = deliver_records(session, &made, &left, out, &done);
    }
    session->spent_bytes += credit_bytes_of(&run->delivery, run->done + done) -
                            credit_bytes_of(&run->delivery, run->done);
    run->done += done;
    return err;
}

static bool run_is_done(const mqtt_run *run)
{
    return run->done == run->delivery.count;
}

/* ---- Held ------------------------------------------------------------------------------------ */

/* Takes the delivery's chunk and slots. */
static weir_err hold(weir_mqtt_session *session, const mqtt_run *run)
{
    mqtt_held *held = session->held;
    if (held == NULL || held->count == held->capacity) {
        uint32_t capacity = held == NULL ? HELD_CAPACITY_MIN : held->capacity * 2;
        mqtt_held *more = malloc(sizeof(*more) + capacity * sizeof(more->runs[0]));
        if (more == NULL) {
            return WEIR_NO_MEMORY;
        }
        *more = (mqtt_held){.capacity = capacity};
        for (uint32_t i = 0; held != NULL && i < held->count; i++) {
            more->runs[more->count++] = held->runs[(held->first + i) % held->capacity];
        }
        free(held);
        session->held = held = more;
    }
    held->runs[(held->first + held->count) % held->capacity] = *run;
    held->count++;
    return WEIR_OK;
}

static void run_drop(const mqtt_run *run)
{
    weir_completion completion = {.type = WEIR_COMPLETION_DELIVERY, .delivery = run->delivery};
    weir_completion_drop(&completion);
}

static void held_pop(weir_mqtt_session *session)
{
    mqtt_held *held = session->held;
    run_drop(&held->runs[held->first]);
    held->first = (held->first + 1) % held->capacity;
    if (--held->count == 0) {
        free(held); /* [D2] */
        session->held = NULL;
    }
}

weir_err weir_mqtt_deliver_held(weir_mqtt_session *session, weir_buffer *out)
{
    while (session->held != NULL && weir_mqtt_ids_free(session) > 0) {
        mqtt_run *run = &session->held->runs[session->held->first];
        weir_err err = run_send(session, run, out);
        if (err != WEIR_OK) {
            return err;
        }
        if (!run_is_done(run)) {
            break;
        }
        held_pop(session);
    }
    return WEIR_OK;
}

/* ---- Doors ----------------------------------------------------------------------------------- */

weir_err weir_mqtt_deliver(weir_mqtt_session *session, weir_delivery *delivery, weir_buffer *out)
{
    mqtt_run run = {.delivery = *delivery};
    weir_err err = session->held == NULL ? run_send(session, &run, out) : WEIR_OK;
    if (err != WEIR_OK || run_is_done(&run)) {
        return err;
    }
    err = hold(session, &run);
    if (err == WEIR_OK) {
        delivery->chunk = NULL; /* taken */
        delivery->slots = NULL;
    }
    return err;
}

weir_err weir_mqtt_deliver_acked(weir_mqtt_session *session, uint16_t id, weir_buffer *out)
{
    if (!weir_mqtt_window_release(&session->window, id)) {
        return WEIR_PROTOCOL;
    }
    session->acked_records++;
    return weir_mqtt_deliver_held(session, out);
}

void weir_mqtt_credit_begin(weir_mqtt_session *session, bool acknowledged)
{
    session->spent_bytes = session->context->limits->output_bytes_max;
    session->spent_records =
        acknowledged ? weir_mqtt_window_size(session) : CREDIT_RECORDS_UNBOUNDED;
}

weir_err weir_mqtt_credit_flush(weir_mqtt_session *session, bool drained)
{
    uint32_t window = weir_mqtt_window_size(session);
    uint64_t bytes_batch = session->context->limits->output_bytes_max / CREDIT_BATCHES;
    /* A full window waits for nothing: a client whose system gathers small packets (Nagle) sends
     * its other PUBACKs only when the first one is answered. */
    bool full = session->window.count + session->acked_records >= window;
    bool acked =
        session->window.count == 0 || full || session->acked_records >= window / CREDIT_BATCHES;
    bool spent = drained && (session->spent_bytes >= bytes_batch ||
                             session->spent_records >= window / CREDIT_BATCHES);
    uint64_t records =
        (acked ? session->acked_records : 0) + (uint64_t)(spent ? session->spent_records : 0);
    uint64_t bytes = spent ? session->spent_bytes : 0;
    if (session->subscriber == NULL || (records == 0 && bytes == 0)) {
        return WEIR_OK;
    }
    const weir_mqtt_context *context = session->context;
    weir_err err = context->ops->credit(context->port, session->subscriber, records, bytes);
    if (err != WEIR_OK) {
        return err;
    }
    if (acked) {
        session->acked_records = 0;
    }
    if (spent) {
        session->spent_records = 0;
        session->spent_bytes = 0;
    }
    return WEIR_OK;
}

void weir_mqtt_deliver_fini(weir_mqtt_session *session)
{
    while (session->held != NULL) {
        held_pop(session);
    }
    weir_mqtt_window_fini(&session->window);
}
