/* tests/sim/producers.c - producers that are stored once: by id and sequence, and by publishing id.
 *
 *   IDLE --new batch--> IN_FLIGHT --OK--> IDLE        sent again while IDLE: told that it is a duplicate
 *                          | an error, a crash
 *                          v
 *                       UNKNOWN --the same batch again--> IN_FLIGHT
 *
 * A producer has one batch under way at most, of one partition, and sends it again until it knows. A
 * producer whose topic went, or whose records a crash may have taken, begins anew with another id. */
#include "tests/sim/sim.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CRC_AT = 17, ATTRIBUTES_AT = 21, BATCH_MAX = 4 };

static bool place_same(const sim_world *w, const sim_producer *producer)
{
    const model_topic *topic = &w->model.topics[producer->topic];
    return topic->exists == TOPIC_YES && topic->incarnation == producer->incarnation &&
           topic->options.partitions == producer->partitions && topic->partitions_next == 0;
}

static void begin_anew(sim_producer *producer)
{
    *producer = (sim_producer){0};
}

void world_producers_crashed(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_PRODUCERS; i++) {
        sim_producer *producer = &w->producers[i];
        const model_topic *topic = &w->model.topics[producer->topic];
        if (producer->state == PRODUCER_OPENING || topic->level_low != WEIR_LEVEL_DISK ||
            topic->level_changed) {
            begin_anew(producer);
        } else if (producer->state == PRODUCER_IN_FLIGHT) {
            producer->state = PRODUCER_UNKNOWN;
        }
    }
}

/* ---- Answers
 * ------------------------------------------------------------------------------------------- */

void world_producer_opened(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_producer *producer = &w->producers[ask->reader];
    if (done->err != WEIR_OK) {
        begin_anew(producer);
        return;
    }
    int64_t id = done->producer.id;
    if (id < 0 || id >= SIM_PRODUCER_IDS || w->producer_ids[id]) {
        model_fail(&w->model, "[P12] producer id %" PRId64 " is given out again", id);
        return;
    }
    w->producer_ids[id] = true;
    producer->id = id;
    producer->epoch = done->producer.epoch;
    producer->state = PRODUCER_IDLE;
    world_event(w, SIM_EVENT_producer_opened);
}

static void duplicate_check(sim_world *w, const sim_producer *producer, const weir_completion *done)
{
    const model_send *send = &w->model.sends[producer->first];
    bool told = done->published.offset >= 0 && send->offset >= 0; /* a loose one is not bound */
    if (!done->published.duplicate || (told && done->published.offset != send->offset)) {
        model_fail(&w->model,
                   "[P12] record %u at offset %" PRId64 " was sent again, and stored at %" PRId64,
                   producer->first, send->offset, done->published.offset);
    }
}

static bool refusal_is_wrong(weir_err err)
{
    return err == WEIR_PRODUCER_UNKNOWN || err == WEIR_PRODUCER_FENCED ||
           err == WEIR_OUT_OF_ORDER || err == WEIR_DUPLICATE;
}

void world_producer_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_producer *producer = &w->producers[ask->reader];
    if (producer->state != PRODUCER_IN_FLIGHT || producer->first != ask->send) {
        return;
    }
    if (!place_same(w, producer)) {
        begin_anew(producer);
        return;
    }
    if (refusal_is_wrong(done->err)) {
        model_fail(&w->model,
                   "[P12] record %u, sequence %d of producer %" PRId64 ", is refused: %s",
                   producer->first, producer->sequence, producer->id, weir_err_name(done->err));
    }
    if (done->err == WEIR_OK && ask->again) {
        duplicate_check(w, producer, done);
    }
    if (done->err == WEIR_OK && done->published.duplicate) {
        world_event(w, SIM_EVENT_duplicate_refused);
    }
    producer->state = done->err == WEIR_OK ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
}

/* ---- Idempotent batches
 * ----------------------------------------------------------------------------------- */

static void open_producer(sim_world *w, sim_producer *producer, uint32_t port)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_PRODUCER, port, &token);
    if (ask == NULL) {
        return;
    }
    ask->reader = (uint8_t)(producer - w->producers);
    if (weir_port_producer_open(w->ports[port], NULL, token) == WEIR_OK) {
        producer->state = PRODUCER_OPENING;
    } else {
        world_ask_drop(w, ask);
    }
}

/* Takes a partition that is there; false: there is none. */
static bool take_place(sim_world *w, sim_producer *producer)
{
    uint32_t topic = (uint32_t)sim_random_below(&w->chance, MODEL_TOPICS);
    const model_topic *of = &w->model.topics[topic];
    if (of->exists != TOPIC_YES || of->partitions_next != 0 || of->compacts) {
        return false;
    }
    producer->topic = (uint8_t)topic;
    producer->incarnation = of->incarnation;
    producer->partitions = of->options.partitions;
    producer->partition = (uint32_t)sim_random_below(&w->chance, of->options.partitions);
    producer->placed = true;
    producer->next = 0;
    return true;
}

static void batch_new(sim_world *w, sim_producer *producer, uint32_t port)
{
    producer->first = w->model.send_count;
    producer->count = 1 + (uint32_t)sim_random_below(&w->chance, BATCH_MAX);
    producer->sequence = producer->next;
    producer->next += (int32_t)producer->count;
    for (uint32_t i = 0; i < producer->count; i++) {
        model_send send = {.topic = producer->topic, .port = (uint8_t)port, .batch_index = i};
        send.again = true; /* it may be sent again, behind others of its port */
        send.batch_count = producer->count;
        send.key = (uint8_t)sim_random_below(&w->chance, MODEL_KEYS);
        send.value_bytes = 1 + (int32_t)sim_random_below(&w->chance, 200);
        (void)model_sends(&w->model, send);
    }
}

static weir_bytes with_producer(weir_bytes batch, const sim_producer *producer, uint8_t *memory)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(batch, &head);
    WEIR_ASSERT(err == WEIR_OK);
    head.producer_id = producer->id;
    head.producer_epoch = producer->epoch;
    head.base_sequence = producer->sequence;
    weir_batch_head_encode(&head, memory);
    weir_put_u32(memory + CRC_AT,
                 weir_crc32c(0, memory + ATTRIBUTES_AT, batch.len - ATTRIBUTES_AT));
    return batch;
}

static void batch_send(sim_world *w, sim_producer *producer, uint32_t port, bool again)
{
    static uint8_t memory[16 << 10];
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_ONCE, port, &token);
    if (ask == NULL) {
        producer->state = again ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
        return;
    }
    ask->send = producer->first;
    ask->again = again;
    ask->reader = (uint8_t)(producer - w->producers);
    producer->state = PRODUCER_IN_FLIGHT;
    for (uint32_t i = 0; i < producer->count; i++) {
        model_send *send = &w->model.sends[producer->first + i];
        send->state = send->state == SENT_ACKED ? SENT_ACKED : SENT_OPEN;
    }
    weir_bytes batch = with_producer(
        world_batch_build(w, producer->first, producer->count, memory, sizeof(memory)), producer,
        memory);
    weir_err err = weir_port_produce_batch(w->ports[port],
                                           weir_bytes_of(w->model.topics[producer->topic].name),
                                           producer->partition, batch, NULL, token);
    world_say(w, "    producer %" PRId64 " sequence %d, %u from record %u to topic %u/%u%s: %s",
              producer->id, producer->sequence, producer->count, producer->first, producer->topic,
              producer->partition, again ? ", again" : "", weir_err_name(err));
    if (err != WEIR_OK) {
        world_ask_drop(w, ask);
        producer->state = again ? PRODUCER_IDLE : PRODUCER_UNKNOWN;
    }
}

void world_produce_once(sim_world *w)
{
    sim_producer *producer = &w->producers[sim_random_below(&w->chance, SIM_PRODUCERS)];
    uint32_t port = (uint32_t)sim_random_below(&w->chance, MODEL_PORTS);
    if (producer->placed && !place_same(w, producer)) {
        begin_anew(producer);
    }
    switch (producer->state) {
    case PRODUCER_NONE:
        open_producer(w, producer, port);
        break;
    case PRODUCER_UNKNOWN:
        batch_send(w, producer, port, false);
        break;
    case PRODUCER_IDLE:
        if (!producer->placed && !take_place(w, producer)) {
            break;
        }
        if (producer->count > 0 && sim_random_chance(&w->chance, 4)) {
            batch_send(w, producer, port, true);
        } else {
            batch_new(w, producer, port);
            batch_send(w, producer, port, false);
        }
        break;
    default:
        break;
    }
}
