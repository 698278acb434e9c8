/* tests/sim/model_retained.c - the oracle's values retained under names: [P8].
 *
 *   a topic's     the record that came last in its partition; known once the partition was read whole
 *   a live name's any record from the last safe one on: no log tells which
 *
 * After a recovery all that is retained is read at once (begin, seen ..., end) and compared; what is
 * not known for sure is then taken as it was found. */
#include "tests/sim/model.h"

/* A name's retained value may have been set by records that nobody will read again. */
void model_retained_unknown(sim_model *model, uint32_t topic, bool all)
{
    for (uint32_t i = 0; i < model->send_count; i++) {
        const model_send *send = &model->sends[i];
        bool open = send->state == SENT_OPEN || send->state == SENT_MAYBE || all;
        if (send->topic == topic && (send->attributes & WEIR_RECORD_RETAIN) != 0 && open &&
            send->incarnation == model->topics[topic].incarnation) {
            model->retained[topic][send->key].unknown = true;
        }
    }
}

void model_retained_reckon(sim_model *model, uint32_t index, model_log *log)
{
    for (int64_t offset = log->retained_to; offset < log->end; offset++) {
        uint32_t number = log->slots[offset].send;
        const model_send *send = number == MODEL_NONE ? NULL : &model->sends[number];
        if (send != NULL && (send->attributes & WEIR_RECORD_RETAIN) != 0) {
            model_retained *retained = &model->retained[index][send->key];
            retained->send = send->value_bytes > 0 ? number : MODEL_NONE;
            /* Records of one name stand in one partition, but for those without a key. */
            retained->unknown = model->topics[index].grown ||
                                (send->key == 0 && model->topics[index].options.partitions > 1);
        } else if (send == NULL) {
            model_retained_unknown(model, index, true);
        }
    }
    log->retained_to = log->end;
}

/* ---- What readers see ------------------------------------------------------------------------ */

static bool retained_may_be_seen(const model_send *send, uint32_t topic)
{
    bool here = send->topic == topic || (topic == MODEL_TOPICS && send->loose);
    return here && (send->attributes & WEIR_RECORD_RETAIN) != 0 && send->value_bytes > 0 &&
           send->state != SENT_REFUSED && send->state != SENT_LOST;
}

uint32_t model_seen_retained(sim_model *model, uint32_t topic, const weir_record *record)
{
    uint32_t number = model_number(record);
    if (number >= model->send_count) {
        model_fail(model, "[P8] what is retained in topic %u was never sent", topic);
        return MODEL_NONE;
    }
    const model_send *send = &model->sends[number];
    if (!retained_may_be_seen(send, topic)) {
        model_fail(model, "[P8] record %u (state %d, topic %u) is retained in topic %u", number,
                   send->state, send->topic, topic);
        return MODEL_NONE;
    }
    if (!model_bytes_right(model, number, record, topic == MODEL_TOPICS)) {
        model_fail(model,
                   "[P8] record %u (key %u, attributes %u, %d bytes) is retained with %zu bytes of "
                   "key, attributes %u and %zu bytes of value",
                   number, send->key, send->attributes, send->value_bytes, record->key.len,
                   record->attributes, record->value.len);
        return MODEL_NONE;
    }
    return number;
}

/* ---- After a recovery ------------------------------------------------------------------------ */

static void each_retained(sim_model *model,
                          void (*each)(sim_model *model, model_retained *retained))
{
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
            each(model, &model->retained[i][key]);
        }
        for (uint32_t i = 0; i < MODEL_PORTS; i++) {
            each(model, &model->live[i][key]);
        }
    }
}

static void seen_none(sim_model *model, model_retained *retained)
{
    (void)model;
    retained->seen = MODEL_NONE;
}

void model_retained_begin(sim_model *model)
{
    each_retained(model, seen_none);
}

void model_retained_seen(sim_model *model, uint32_t number)
{
    model_send *send = &model->sends[number];
    model_retained *retained = send->topic == MODEL_TOPICS
                                   ? &model->live[send->port][send->key]
                                   : &model->retained[send->topic][send->key];
    if (retained->seen != MODEL_NONE || (send->attributes & WEIR_RECORD_RETAIN) == 0) {
        model_fail(model, "[P8] record %u is retained beside record %u", number, retained->seen);
    }
    retained->seen = number;
    send->state = send->state == SENT_MAYBE ? SENT_ACKED : send->state; /* it was found */
}

static void retained_compare(sim_model *model, model_retained *retained)
{
    if (!retained->unknown && retained->seen != retained->send) {
        model_fail(model, "[P8] record %d is retained, should be record %d", (int)retained->seen,
                   (int)retained->send);
    }
    retained->send = retained->seen;
}

/* Live names: anything from the last safe one on may be it. */
static void live_reckon(sim_model *model, uint32_t port, uint32_t key)
{
    model_retained *retained = &model->live[port][key];
    bool right = retained->seen == retained->send;
    for (uint32_t i = retained->settled; i < model->send_count; i++) {
        const model_send *send = &model->sends[i];
        if (send->topic != MODEL_TOPICS || send->port != port || send->key != key ||
            (send->attributes & WEIR_RECORD_RETAIN) == 0 || send->state == SENT_REFUSED ||
            send->state == SENT_LOST) {
            continue;
        }
        bool safe = send->state == SENT_ACKED && send->level >= model->survives;
        bool it = retained->seen == (send->value_bytes > 0 ? i : MODEL_NONE);
        right = it || (right && !safe);
    }
    if (!right) {
        model_fail(model, "[P8] live/p%u/k%u: record %d is retained", port, key,
                   (int)retained->seen);
    }
    retained->send = retained->seen;
    retained->settled = model->send_count;
}

void model_retained_end(sim_model *model)
{
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        for (uint32_t i = 0; i < MODEL_TOPICS && !model->failed; i++) {
            retained_compare(model, &model->retained[i][key]);
        }
        for (uint32_t i = 0; i < MODEL_PORTS && !model->failed; i++) {
            live_reckon(model, i, key);
        }
    }
}
