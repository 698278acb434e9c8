/* tests/crash/clients.c - the steps of clients that workloads are made of, each a request to the real engine
 * of which the model hears before and after.
 *
 *   step --the model expects it--> port --world_wait--> what was answered holds from here on
 *
 * A step does nothing when the engine is down, or the topic is not there: workloads need not ask. What a
 * producer may have to send again is remembered with its sequence or publishing id. */
#include "tests/crash/clients.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <stdio.h>
#include <string.h>

enum {
    VALUE_MAX = 12 << 10,
    BATCH_MAX = 64 << 10,
    CRC_AT = 17,
    ATTRIBUTES_AT = 21,
    SETTLE_NS = 2000000000,
    MOVES = 8,
};

#define FIRST_WAITS_MS "60000"

bool crash_topic_there(const crash_run *run, uint32_t topic)
{
    return run->w.model.topics[topic].exists == TOPIC_YES;
}

void crash_moves(crash_run *run)
{
    world_moves(&run->w, MOVES);
}

void crash_settle(crash_run *run)
{
    (void)world_settle(&run->w, SETTLE_NS);
}

void crash_pass(crash_run *run, uint64_t ms)
{
    for (uint64_t i = 0; i < 4; i++) {
        sim_disk_pass(run->w.disk, ms * 250000);
        world_on(&run->w);
    }
    crash_moves(run);
}

/* ---- Topics ---------------------------------------------------------------------------------- */

void crash_topic_make(crash_run *run, uint32_t topic, weir_topic_options options)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || w->model.topics[topic].exists != TOPIC_NO) {
        return;
    }
    sim_ask *ask = world_ask(w, ASK_CREATE, 0, &token);
    ask->topic = (uint8_t)topic;
    ask->incarnation = w->model.topics[topic].incarnation;
    options.partitions = options.partitions > 0 ? options.partitions : 1;
    options.level = options.level > 0 ? options.level : WEIR_LEVEL_DISK;
    ask->options = options;
    world_topic_creating(w, topic, &options);
    (void)weir_port_topic_create(w->ports[0], weir_bytes_of(w->model.topics[topic].name), &options,
                                 NULL, token);
    (void)world_wait(w, ask);
}

void crash_topic_delete(crash_run *run, uint32_t topic)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !crash_topic_there(run, topic)) {
        return;
    }
    sim_ask *ask = world_ask(w, ASK_DELETE, 0, &token);
    ask->topic = (uint8_t)topic;
    ask->incarnation = w->model.topics[topic].incarnation;
    world_topic_deleting(w, topic);
    (void)weir_port_topic_delete(w->ports[0], weir_bytes_of(w->model.topics[topic].name), NULL,
                                 token);
    (void)world_wait(w, ask);
}

void crash_topic_level(crash_run *run, uint32_t topic, weir_level level)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    model_topic *of = &w->model.topics[topic];
    if (!world_up(w) || !crash_topic_there(run, topic)) {
        return;
    }
    sim_ask *ask = world_ask(w, ASK_LEVEL, 0, &token);
    ask->topic = (uint8_t)topic;
    ask->incarnation = of->incarnation;
    ask->options.level = level;
    of->level_next = level;
    of->level_low = of->level_low < level ? of->level_low : level;
    of->level_changed = true;
    (void)weir_port_topic_set_level(w->ports[0], weir_bytes_of(of->name), level, NULL, token);
    (void)world_wait(w, ask);
}

/* A request whose answer tells the model nothing by itself. */
static sim_ask *plain_ask(sim_world *w, uint64_t *token)
{
    sim_ask *ask = world_ask(w, ASK_TOPICS, 0, token);
    ask->stale = true;
    return ask;
}

static void answered(crash_run *run, const sim_ask *ask, const char *what)
{
    sim_world *w = &run->w;
    if (world_wait(w, ask) && ask->err != WEIR_OK) {
        model_fail(&w->model, "[P7] %s is answered %s", what, weir_err_name(ask->err));
    }
}

void crash_topic_grow(crash_run *run, uint32_t topic, uint32_t partitions)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    weir_topic_options change = {.partitions = partitions};
    if (!world_up(w) || !crash_topic_there(run, topic)) {
        return;
    }
    sim_ask *ask = plain_ask(w, &token);
    w->model.topics[topic].partitions_next = partitions;
    w->model.topics[topic].grown = true;
    (void)weir_port_topic_alter(w->ports[0], weir_bytes_of(w->model.topics[topic].name), &change,
                                NULL, token);
    answered(run, ask, "adding partitions");
    if (world_up(w)) {
        model_topic_partitions(&w->model, topic, partitions);
    }
}

void crash_topic_trim(crash_run *run, uint32_t topic, uint32_t partition)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    const model_log *log = &w->model.topics[topic].logs[partition];
    int64_t end = model_known_end(&w->model, topic, partition);
    if (!world_up(w) || !crash_topic_there(run, topic) || end <= log->start) {
        return;
    }
    sim_ask *ask = plain_ask(w, &token);
    int64_t before = log->start + (int64_t)below(run, (uint64_t)(end - log->start));
    w->model.topics[topic].trims = true;
    w->model.topics[topic].removes = true;
    (void)weir_port_topic_trim(w->ports[0], weir_bytes_of(w->model.topics[topic].name), partition,
                               before, NULL, token);
    answered(run, ask, "a trim");
    model_log *moved = &w->model.topics[topic].logs[partition];
    if (world_up(w) && before > moved->start) {
        moved->start = before; /* acknowledged: it never goes back */
        moved->end = moved->end > before ? moved->end : before;
    }
}

/* ---- Records --------------------------------------------------------------------------------- */

static void not_taken(crash_run *run, sim_ask *ask, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        run->w.model.sends[first + i].state = SENT_REFUSED;
    }
    world_ask_drop(&run->w, ask);
}

static void record_of(sim_world *w, uint32_t number, uint8_t *value, weir_header *header,
                      weir_publish *record)
{
    const model_send *send = &w->model.sends[number];
    *record = (weir_publish){.headers = header,
                             .header_count = 1,
                             .attributes = send->attributes,
                             .publisher = send->port + 1u,
                             .topic = weir_bytes_of(w->model.topics[send->topic].name),
                             .key = model_key(send->key)};
    record->value = (weir_bytes){send->value_bytes < 0 ? NULL : value,
                                 model_value(number, send->value_bytes, value)};
}

static void name_of(char out[16], uint32_t port)
{
    (void)snprintf(out, 16, "writer%u", port);
}

static void record_submit(crash_run *run, uint32_t number, bool named, sim_ask *ask, uint64_t token)
{
    static uint8_t value[VALUE_MAX];
    sim_world *w = &run->w;
    weir_header headers[2] = {{WEIR_TEXT("n"), {(const uint8_t *)&number, sizeof(number)}},
                              {WEIR_TEXT("delay"), WEIR_TEXT(FIRST_WAITS_MS)}};
    weir_publish record;
    char name[16];
    record_of(w, number, value, headers, &record);
    record.header_count += run->waits ? 1 : 0;
    if (named) {
        name_of(name, w->model.sends[number].port);
        record.producer = weir_bytes_of(name);
        record.publishing_id = number + 1;
    }
    if (weir_port_publish(w->ports[w->model.sends[number].port], &record, NULL, token) != WEIR_OK) {
        not_taken(run, ask, number, 1);
    }
}

void crash_publish(crash_run *run, uint32_t topic, uint8_t key, int32_t bytes, uint8_t attributes)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !crash_topic_there(run, topic)) {
        return;
    }
    model_send send = {.topic = (uint8_t)topic,
                       .port = (uint8_t)below(run, MODEL_PORTS),
                       .key = key,
                       .value_bytes = bytes,
                       .attributes = attributes};
    uint32_t number = model_sends(&w->model, send);
    sim_ask *ask = world_ask(w, ASK_SENDS, send.port, &token);
    ask->send = number;
    record_submit(run, number, false, ask, token);
}

void crash_publish_any(crash_run *run, uint32_t topic, uint64_t bytes_max)
{
    crash_publish(run, topic, (uint8_t)below(run, MODEL_KEYS), 1 + (int32_t)below(run, bytes_max),
                  below(run, 6) == 0 ? WEIR_RECORD_RETAIN : 0);
}

static weir_bytes batch_build(sim_world *w, uint32_t first, uint32_t count, int64_t producer,
                              int32_t sequence)
{
    static uint8_t memory[BATCH_MAX];
    static uint8_t value[VALUE_MAX];
    static uint8_t rest[VALUE_MAX + 64];
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (uint32_t number = first; number < first + count; number++) {
        const model_send *send = &w->model.sends[number];
        uint32_t position = 0;
        weir_header header = {WEIR_TEXT("n"), {(const uint8_t *)&number, sizeof(number)}};
        weir_bytes bytes = {value, model_value(number, send->value_bytes, value)};
        size_t len = weir_record_rest_encode(bytes, &header, 1, rest);
        weir_err err =
            weir_batch_add(&builder, 0, model_key(send->key), (weir_bytes){rest, len}, &position);
        WEIR_ASSERT(err == WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1000);
    weir_batch_head head;
    if (producer >= 0 && weir_batch_head_decode(batch, &head) == WEIR_OK) {
        head.producer_id = producer;
        head.producer_epoch = 0;
        head.base_sequence = sequence;
        weir_batch_head_encode(&head, memory);
        weir_put_u32(memory + CRC_AT,
                     weir_crc32c(0, memory + ATTRIBUTES_AT, batch.len - ATTRIBUTES_AT));
    }
    return batch;
}

static void batch_submit(crash_run *run, uint32_t first, uint32_t count, int64_t producer,
                         int32_t sequence, uint32_t partition)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    const model_send *send = &w->model.sends[first];
    uint32_t port = send->port;
    sim_ask *ask = world_ask(w, ASK_SENDS, port, &token);
    ask->send = first;
    ask->large = count * (uint32_t)send->value_bytes >= 2048;
    weir_err err = weir_port_produce_batch(
        w->ports[port], weir_bytes_of(w->model.topics[send->topic].name), partition,
        batch_build(w, first, count, producer, sequence), NULL, token);
    if (err != WEIR_OK) {
        not_taken(run, ask, first, count);
    }
}

static uint32_t batch_sends(crash_run *run, uint32_t topic, uint32_t port, uint32_t count,
                            int32_t bytes)
{
    uint32_t first = run->w.model.send_count;
    for (uint32_t i = 0; i < count; i++) {
        model_send send = {.topic = (uint8_t)topic,
                           .port = (uint8_t)port,
                           .key = (uint8_t)below(run, MODEL_KEYS),
                           .batch_index = i,
                           .batch_count = count,
                           .value_bytes = bytes};
        (void)model_sends(&run->w.model, send);
    }
    return first;
}

void crash_batch(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes)
{
    if (!world_up(&run->w) || !crash_topic_there(run, topic)) {
        return;
    }
    uint32_t first = batch_sends(run, topic, (uint32_t)below(run, MODEL_PORTS), count, bytes);
    batch_submit(run, first, count, -1, 0,
                 (uint32_t)below(run, run->w.model.topics[topic].options.partitions));
}

/* ---- Producers ------------------------------------------------------------------------------- */

void crash_producer_open(crash_run *run)
{
    sim_world *w = &run->w;
    weir_completion done;
    bool told = false;
    crash_settle(run);
    if (!world_up(w) || weir_port_producer_open(w->ports[0], NULL, 0) != WEIR_OK) {
        return;
    }
    for (int i = 0; i < 10000 && !told && world_up(w); i++) {
        weir_port_step(w->ports[0]);
        for (int lane = 0; lane < WEIR_LANE_COUNT; lane++) {
            sim_env_lane_run(w->env, (weir_lane)lane);
        }
        sim_disk_pass(w->disk, 100000);
        while (weir_port_drain(w->ports[0], &done, 1) == 1) {
            if (done.type == WEIR_COMPLETION_PRODUCER && done.err == WEIR_OK) {
                run->producer = done.producer.id;
                told = true;
            }
            weir_completion_drop(&done);
        }
    }
    run->sequence = 0;
    WEIR_ASSERT(told || !world_up(w));
}

static void remember(crash_run *run, crash_retry retry)
{
    memmove(run->retries, run->retries + 1, (CRASH_RETRIES - 1) * sizeof(*run->retries));
    retry.incarnation = run->w.model.topics[retry.topic].incarnation;
    run->retries[CRASH_RETRIES - 1] = retry;
}

void crash_batch_numbered(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes)
{
    if (!world_up(&run->w) || !crash_topic_there(run, topic) || run->producer < 0) {
        return;
    }
    uint32_t first = batch_sends(run, topic, 0, count, bytes);
    remember(run, (crash_retry){.first = first,
                                .count = count,
                                .topic = (uint8_t)topic,
                                .sequence = run->sequence});
    batch_submit(run, first, count, run->producer, run->sequence, 0);
    run->sequence += (int32_t)count;
}

void crash_publish_named(crash_run *run, uint32_t topic, int32_t bytes)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !crash_topic_there(run, topic)) {
        return;
    }
    /* One key: a publishing id counts by partition. */
    model_send send = {.topic = (uint8_t)topic, .key = 3, .value_bytes = bytes};
    uint32_t number = model_sends(&w->model, send);
    remember(run,
             (crash_retry){.first = number, .count = 1, .topic = (uint8_t)topic, .named = true});
    sim_ask *ask = world_ask(w, ASK_SENDS, 0, &token);
    ask->send = number;
    record_submit(run, number, true, ask, token);
}

/* Sends it again. What is there must not be stored twice: a second place of a record is a breach. */
static void retry_send(crash_run *run, const crash_retry *retry)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    for (uint32_t i = 0; i < retry->count; i++) {
        model_send *send = &w->model.sends[retry->first + i];
        send->again = true;
        if (send->state == SENT_LOST) {
            send->offset = -1;
            send->partition = -1;
        }
        send->state = send->state == SENT_OPEN ? SENT_OPEN : SENT_MAYBE;
    }
    run->retried++;
    world_say(w, "    records %u to %u again, sequence %d, offset %lld", retry->first,
              retry->first + retry->count - 1, retry->sequence,
              (long long)w->model.sends[retry->first].offset);
    if (retry->named) {
        sim_ask *ask = plain_ask(w, &token);
        record_submit(run, retry->first, true, ask, token);
        answered(run, ask, "a record sent again");
        return;
    }
    batch_submit(run, retry->first, retry->count, run->producer, retry->sequence, retry->partition);
    sim_ask *ask = &w->asks[(w->ask_next - 1) % SIM_ASKS];
    answered(run, ask, "a batch sent again");
}

void crash_retries_send(crash_run *run)
{
    for (uint32_t i = 0; i < CRASH_RETRIES && world_up(&run->w); i++) {
        const crash_retry *retry = &run->retries[i];
        if (retry->count > 0 && crash_topic_there(run, retry->topic) &&
            run->w.model.topics[retry->topic].incarnation == retry->incarnation) {
            retry_send(run, retry);
        }
    }
}

void crash_appends(crash_run *run)
{
    for (uint32_t topic = 0; topic < MODEL_TOPICS; topic++) {
        if (crash_topic_there(run, topic)) {
            crash_publish(run, topic, (uint8_t)(1 + topic % (MODEL_KEYS - 1)), 40, 0);
            crash_publish(run, topic, 2, 300, WEIR_RECORD_RETAIN);
        }
    }
    crash_settle(run);
    if (world_up(&run->w) && run->w.asks_open > 0) {
        model_fail(&run->w.model, "[P9] after a recovery %u requests are not answered",
                   run->w.asks_open);
    }
}
