/* tests/sim/names.c - publishers with a name: rising publishing ids, and "where was I".
 *
 *   IDLE --a record with a higher id--> IN_FLIGHT --OK--> IDLE      now and then the last one again:
 *                                          | an error, a crash       told that it is a duplicate
 *                                          v
 *                                       UNKNOWN --the same record with the same id--> IN_FLIGHT
 *
 * After a recovery the model says which of a publisher's records are left. What is lost is published
 * again, as a new record with the id it had: the engine must take it, and what is left it must not
 * take. "Where" tells the id of the newest that is left. All of a publisher's records have one key, so
 * they lie in one partition. Whose topic went, grew, or may lose records to retention begins anew with
 * another name. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>

static bool place_same(const sim_world *w, const sim_namer *namer)
{
    const model_topic *topic = &w->model.topics[namer->topic];
    return topic->exists == TOPIC_YES && topic->incarnation == namer->incarnation &&
           topic->options.partitions == namer->partitions && topic->partitions_next == 0 &&
           !topic->trims && !topic->compacts;
}

static void begin_anew(sim_namer *namer)
{
    *namer = (sim_namer){.generation = namer->generation + 1};
}

static weir_bytes name_of(const sim_world *w, const sim_namer *namer, char *text, size_t size)
{
    int len = snprintf(text, size, "namer %u.%u", (unsigned)(namer - w->namers), namer->generation);
    return (weir_bytes){(const uint8_t *)text, (size_t)len};
}

static bool take_place(sim_world *w, sim_namer *namer)
{
    uint32_t topic = (uint32_t)sim_random_below(&w->chance, MODEL_TOPICS);
    const model_topic *of = &w->model.topics[topic];
    namer->topic = (uint8_t)topic;
    namer->incarnation = of->incarnation;
    namer->partitions = of->options.partitions;
    namer->key = (uint8_t)(2 + sim_random_below(&w->chance, MODEL_KEYS - 2));
    namer->placed = place_same(w, namer);
    return namer->placed;
}

static sim_named *newest(sim_namer *namer)
{
    return &namer->sent[(namer->count - 1) % SIM_NAMED];
}

/* ---- Publishing
 * ---------------------------------------------------------------------------------------------- */

static void record_new(sim_world *w, sim_namer *namer, uint32_t port)
{
    model_send send = {.topic = namer->topic, .port = (uint8_t)port, .key = namer->key};
    send.again = true; /* it may be sent again, behind others of its port */
    send.value_bytes = 1 + (int32_t)sim_random_below(&w->chance, 200);
    uint64_t last = namer->count > 0 ? newest(namer)->id : 0;
    namer->count++;
    newest(namer)->id = last + 1 + sim_random_below(&w->chance, 3);
    newest(namer)->send = model_sends(&w->model, send);
}

static void record_send(sim_world *w, sim_namer *namer, bool again)
{
    static uint8_t value[256];
    char name[40];
    uint64_t token = 0;
    const sim_named *last = newest(namer);
    model_send *send = &w->model.sends[last->send];
    sim_ask *ask = world_ask(w, ASK_NAMED, send->port, &token);
    if (ask == NULL) {
        namer->state = again ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
        return;
    }
    ask->send = last->send;
    ask->again = again;
    ask->reader = (uint8_t)(namer - w->namers);
    send->state = send->state == SENT_ACKED ? SENT_ACKED : SENT_OPEN;
    weir_header header = {WEIR_TEXT("n"), {(const uint8_t *)&last->send, sizeof(last->send)}};
    weir_publish record = {.topic = weir_bytes_of(w->model.topics[namer->topic].name),
                           .key = model_key(send->key),
                           .headers = &header,
                           .header_count = 1,
                           .producer = name_of(w, namer, name, sizeof(name)),
                           .publishing_id = last->id};
    record.value = (weir_bytes){value, model_value(last->send, send->value_bytes, value)};
    weir_err err = weir_port_publish(w->ports[send->port], &record, NULL, token);
    world_say(w, "    %s id %" PRIu64 ", record %u to topic %u%s: %s, ask %u", name, last->id,
              last->send, namer->topic, again ? ", again" : "", weir_err_name(err),
              (unsigned)token);
    namer->state = PRODUCER_IN_FLIGHT;
    if (err != WEIR_OK) {
        world_ask_drop(w, ask);
        namer->state = again ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
    }
}

void world_publish_named(sim_world *w)
{
    sim_namer *namer = &w->namers[sim_random_below(&w->chance, SIM_NAMERS)];
    uint32_t port = (uint32_t)sim_random_below(&w->chance, MODEL_PORTS);
    if (namer->placed && !place_same(w, namer)) {
        begin_anew(namer);
    }
    if (!namer->placed && !take_place(w, namer)) {
        return;
    }
    if (namer->state == PRODUCER_UNKNOWN) {
        record_send(w, namer, false);
    } else if (namer->state != PRODUCER_IN_FLIGHT && namer->count > 0 &&
               sim_random_chance(&w->chance, 4)) {
        record_send(w, namer, true);
    } else if (namer->state != PRODUCER_IN_FLIGHT) {
        record_new(w, namer, port);
        record_send(w, namer, false);
    }
}

bool world_named_in_flight(const sim_world *w, uint32_t topic)
{
    for (uint32_t i = 0; i < SIM_NAMERS; i++) {
        if (w->namers[i].state == PRODUCER_IN_FLIGHT && w->namers[i].topic == topic) {
            return true;
        }
    }
    return false;
}

void world_named_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_namer *namer = &w->namers[ask->reader];
    if (namer->state != PRODUCER_IN_FLIGHT || newest(namer)->send != ask->send) {
        return;
    }
    if (!place_same(w, namer)) {
        begin_anew(namer);
        return;
    }
    if (done->err == WEIR_OK && ask->again && !done->published.duplicate) {
        model_fail(&w->model, "[P12] record %u was sent again, and stored at %" PRId64, ask->send,
                   done->published.offset);
    }
    if (done->err == WEIR_OK) {
        namer->partition = done->published.partition;
        namer->known = true;
        w->events[SIM_EVENT_named_stored] += done->published.duplicate ? 0 : 1;
        w->events[SIM_EVENT_named_duplicate] += done->published.duplicate ? 1 : 0;
    }
    namer->state = done->err == WEIR_OK || ask->again ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
}

/* ---- Where was I
 * ----------------------------------------------------------------------------------------------- */

void world_where(sim_world *w)
{
    char name[40];
    uint64_t token = 0;
    sim_namer *namer = &w->namers[sim_random_below(&w->chance, SIM_NAMERS)];
    uint32_t port = (uint32_t)sim_random_below(&w->chance, MODEL_PORTS);
    if (!namer->known || !place_same(w, namer)) {
        return;
    }
    sim_ask *ask = world_ask(w, ASK_WHERE, port, &token);
    if (ask == NULL) {
        return;
    }
    bool open = namer->state != PRODUCER_IDLE; /* the newest may be there or not */
    ask->reader = (uint8_t)(namer - w->namers);
    ask->incarnation = namer->generation;
    ask->send = newest(namer)->send;
    ask->end = namer->count > (open ? 1u : 0u)
                   ? (int64_t)namer->sent[(namer->count - (open ? 2 : 1)) % SIM_NAMED].id
                   : 0;
    if (weir_port_producer_where(w->ports[port], name_of(w, namer, name, sizeof(name)),
                                 weir_bytes_of(w->model.topics[namer->topic].name),
                                 namer->partition, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

void world_where_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_namer *namer = &w->namers[ask->reader];
    if (done->err != WEIR_OK || namer->generation != ask->incarnation || !place_same(w, namer)) {
        return;
    }
    int64_t told = done->producer.known ? (int64_t)done->producer.publishing_id : 0;
    int64_t most = (int64_t)newest(namer)->id;
    if (told < ask->end || told > most) {
        model_fail(&w->model,
                   "[P12] namer %u.%u is told that it was at %" PRId64 ", and was at %" PRId64
                   " at least and %" PRId64 " at most",
                   ask->reader, namer->generation, told, ask->end, most);
    }
    world_event(w, SIM_EVENT_where_told);
}

/* ---- Crashes
 * ------------------------------------------------------------------------------------------------ */

void world_named_crashed(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_NAMERS; i++) {
        sim_namer *namer = &w->namers[i];
        namer->state = namer->placed && namer->count > 0 ? PRODUCER_UNKNOWN : PRODUCER_NONE;
    }
}

/* Everything was read: what is left has an offset. */
static bool is_left(const sim_world *w, uint32_t number)
{
    const model_send *send = &w->model.sends[number];
    return send->state == SENT_ACKED && send->offset >= 0;
}

/* What is lost is forgotten here as it is there: its ids come again, with new records. */
void world_named_recovered(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_NAMERS; i++) {
        sim_namer *namer = &w->namers[i];
        if (!namer->placed) {
            continue;
        }
        uint32_t lost = 0;
        while (namer->count > 0 && lost < SIM_NAMED && !is_left(w, newest(namer)->send)) {
            namer->count--;
            lost++;
        }
        /* What cannot be read may be left all the same. */
        if (!place_same(w, namer) || lost == SIM_NAMED || namer->count == 0 || w->model.gaps) {
            begin_anew(namer);
            continue;
        }
        w->events[SIM_EVENT_named_lost] += lost;
        namer->state = PRODUCER_IDLE;
    }
}
