/* tests/crash/workloads.c - what runs while every storage call is recorded: one workload for each part
 * of the log that moves files or counts on their order.
 *
 * A workload is steps of clients on the real engine; between them the engine gets turns that chance
 * picks. Numbers are small so that files end often: journal files of 64 KiB, segments of 4 KiB,
 * checkpoints every few dozen records. */
#include "tests/crash/crash.h"

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

static uint64_t below(crash_run *run, uint64_t bound)
{
    return sim_random_below(&run->w.chance, bound);
}

static bool topic_there(const crash_run *run, uint32_t topic)
{
    return run->w.model.topics[topic].exists == TOPIC_YES;
}

static void moves(crash_run *run)
{
    world_moves(&run->w, MOVES);
}

static void settle(crash_run *run)
{
    (void)world_settle(&run->w, SETTLE_NS);
}

static void pass(crash_run *run, uint64_t ms)
{
    for (uint64_t i = 0; i < 4; i++) {
        sim_disk_pass(run->w.disk, ms * 250000);
        world_on(&run->w);
    }
    moves(run);
}

/* ---- Topics ---------------------------------------------------------------------------------- */

static void topic_make(crash_run *run, uint32_t topic, weir_topic_options options)
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

static void topic_delete(crash_run *run, uint32_t topic)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !topic_there(run, topic)) {
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

static void topic_level(crash_run *run, uint32_t topic, weir_level level)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    model_topic *of = &w->model.topics[topic];
    if (!world_up(w) || !topic_there(run, topic)) {
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

static void topic_grow(crash_run *run, uint32_t topic, uint32_t partitions)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    weir_topic_options change = {.partitions = partitions};
    if (!world_up(w) || !topic_there(run, topic)) {
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

static void topic_trim(crash_run *run, uint32_t topic, uint32_t partition)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    const model_log *log = &w->model.topics[topic].logs[partition];
    int64_t end = model_known_end(&w->model, topic, partition);
    if (!world_up(w) || !topic_there(run, topic) || end <= log->start) {
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

static void publish(crash_run *run, uint32_t topic, uint8_t key, int32_t bytes, uint8_t attributes)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !topic_there(run, topic)) {
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

static void publish_any(crash_run *run, uint32_t topic, uint64_t bytes_max)
{
    publish(run, topic, (uint8_t)below(run, MODEL_KEYS), 1 + (int32_t)below(run, bytes_max),
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

static void batch(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes)
{
    if (!world_up(&run->w) || !topic_there(run, topic)) {
        return;
    }
    uint32_t first = batch_sends(run, topic, (uint32_t)below(run, MODEL_PORTS), count, bytes);
    batch_submit(run, first, count, -1, 0,
                 (uint32_t)below(run, run->w.model.topics[topic].options.partitions));
}

/* ---- Producers ------------------------------------------------------------------------------- */

static void producer_open(crash_run *run)
{
    sim_world *w = &run->w;
    weir_completion done;
    bool told = false;
    settle(run);
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

static void batch_numbered(crash_run *run, uint32_t topic, uint32_t count, int32_t bytes)
{
    if (!world_up(&run->w) || !topic_there(run, topic) || run->producer < 0) {
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

static void publish_named(crash_run *run, uint32_t topic, int32_t bytes)
{
    sim_world *w = &run->w;
    uint64_t token = 0;
    if (!world_up(w) || !topic_there(run, topic)) {
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
        if (retry->count > 0 && topic_there(run, retry->topic) &&
            run->w.model.topics[retry->topic].incarnation == retry->incarnation) {
            retry_send(run, retry);
        }
    }
}

void crash_appends(crash_run *run)
{
    for (uint32_t topic = 0; topic < MODEL_TOPICS; topic++) {
        if (topic_there(run, topic)) {
            publish(run, topic, (uint8_t)(1 + topic % (MODEL_KEYS - 1)), 40, 0);
            publish(run, topic, 2, 300, WEIR_RECORD_RETAIN);
        }
    }
    settle(run);
    if (world_up(&run->w) && run->w.asks_open > 0) {
        model_fail(&run->w.model, "[P9] after a recovery %u requests are not answered",
                   run->w.asks_open);
    }
}

/* ---- The workloads --------------------------------------------------------------------------- */

static void roll(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)i % 2, 900);
        moves(run);
        if (i % 9 == 8) {
            pass(run, 200);
        }
    }
}

static void checkpoint_configure(weir_engine_config *config)
{
    config->checkpoint_bytes = 8192;
    config->checkpoint_every_ms = 100;
}

static void checkpoint(crash_run *run)
{
    for (uint32_t topic = 0; topic < 4; topic++) {
        topic_make(run, topic,
                   (weir_topic_options){.partitions = 2,
                                        .level = topic % 2 == 0 ? WEIR_LEVEL_DISK : WEIR_LEVEL_OS});
    }
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)below(run, 4), 250);
        world_op(&run->w, &(sim_op){SIM_OP_PUBLISH_LIVE, 0});
        moves(run);
        if (i % 6 == 5) {
            pass(run, 150);
        }
    }
}

static void recycle_configure(weir_engine_config *config)
{
    config->segment_bytes_max = 65536;
    config->checkpoint_bytes = 16384;
}

static void recycle(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        publish(run, (uint32_t)i % 2, (uint8_t)below(run, MODEL_KEYS), 3000, 0);
        moves(run);
        if (i % 12 == 11) {
            pass(run, 500);
        }
    }
}

static void straight_configure(weir_engine_config *config)
{
    config->journal_inline_bytes_max = 2048;
    config->segment_bytes_max = 24576;
}

static void straight(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        uint32_t topic = (uint32_t)i % 2;
        if (below(run, 3) == 0) {
            publish_any(run, topic, 120);
        } else {
            batch(run, topic, 3, 800 + (int32_t)below(run, 700));
        }
        moves(run);
        if (i % 10 == 9) {
            settle(run);
            pass(run, 300);
        }
    }
}

static void retention(crash_run *run)
{
    weir_topic_options small = {.retention_bytes = 8192, .segment_bytes = 4096};
    topic_make(run, 0, small);
    topic_make(
        run, 1,
        (weir_topic_options){.retention_ms = 2000, .segment_bytes = 4096, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 80 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)i % 2, 1200);
        moves(run);
        if (i % 8 == 7) {
            pass(run, 450);
        }
        if (i % 16 == 15) {
            settle(run);
            topic_trim(run, (uint32_t)below(run, 2), 0);
        }
    }
}

static void compaction(crash_run *run)
{
    weir_topic_options keep = {
        .cleanup = WEIR_CLEANUP_COMPACT, .segment_bytes = 4096, .delete_retention_ms = 500};
    topic_make(run, 0, keep);
    keep.level = WEIR_LEVEL_OS;
    topic_make(run, 1, keep);
    for (int i = 0; i < 110 && world_up(&run->w); i++) {
        int32_t bytes = below(run, 8) == 0 ? -1 : 100 + (int32_t)below(run, 900);
        publish(run, (uint32_t)i % 2, (uint8_t)(1 + below(run, 5)), bytes, 0);
        moves(run);
        if (i % 10 == 9) {
            settle(run);
            pass(run, 600);
        }
    }
}

static void topics(crash_run *run)
{
    for (int i = 0; i < 60 && world_up(&run->w); i++) {
        uint32_t topic = (uint32_t)below(run, 3);
        if (topic_there(run, topic) && below(run, 5) == 0) {
            topic_delete(run, topic);
        } else if (!topic_there(run, topic)) {
            topic_make(run, topic,
                       (weir_topic_options){.partitions = 1 + (uint32_t)below(run, 2),
                                            .level = (weir_level)(2 + below(run, 2))});
        }
        publish_any(run, topic, 1500);
        publish_any(run, topic, 400);
        moves(run);
        if (i % 7 == 6) {
            pass(run, 300);
        }
    }
}

static void partitions(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 75 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)i % 2, 700);
        moves(run);
        if (i % 25 == 12) {
            topic_grow(run, 0, 2 + (uint32_t)i / 25);
            topic_grow(run, 1, 2 + (uint32_t)i / 25);
        }
        if (i % 9 == 8) {
            pass(run, 300);
        }
    }
}

/* Clients that lose answers: what was sent is sent again, with everything else that is remembered. */
static void producers(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    producer_open(run);
    for (int i = 0; i < 75 && world_up(&run->w); i++) {
        batch_numbered(run, 0, 1 + (uint32_t)below(run, 3), 60 + (int32_t)below(run, 500));
        moves(run);
        if (i % CRASH_RETRIES ==
            CRASH_RETRIES - 1) { /* no more are under way than are remembered */
            settle(run);
            crash_retries_send(run);
        }
        if (i % 10 == 9) {
            pass(run, 300);
        }
    }
}

static void names(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 2});
    for (int i = 0; i < 85 && world_up(&run->w); i++) {
        publish_named(run, 0, 60 + (int32_t)below(run, 500));
        moves(run);
        if (i % 7 == 6) {
            settle(run);
            crash_retries_send(run);
        }
        if (i % 10 == 9) {
            pass(run, 300);
        }
    }
}

static void levels(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 2});
    topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_MEMORY});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)i % 2, 600);
        moves(run);
        if (i % 8 == 7) {
            topic_level(run, (uint32_t)below(run, 2), (weir_level)(1 + below(run, 3)));
        }
        if (i % 10 == 9) {
            pass(run, 300);
        }
    }
}

/* Stops, kills and power cuts on the way: the calls of their recoveries are points as well. */
static void restarts(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 1});
    topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 60 && world_up(&run->w); i++) {
        if (below(run, 4) == 0) {
            batch(run, (uint32_t)i % 2, 3, 900);
        } else {
            publish_any(run, (uint32_t)i % 2, 700);
        }
        moves(run);
        if (i % 10 == 4) {
            world_crash(&run->w, i % 20 == 4 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        } else if (i % 20 == 19) {
            world_stop(&run->w);
        }
    }
}

static void mixed(crash_run *run)
{
    topic_make(run, 0, (weir_topic_options){.partitions = 2});
    topic_make(run, 1, (weir_topic_options){.retention_bytes = 8192, .level = WEIR_LEVEL_OS});
    topic_make(run, 2,
               (weir_topic_options){.cleanup = WEIR_CLEANUP_COMPACT, .segment_bytes = 4096});
    producer_open(run);
    topic_make(run, 3, (weir_topic_options){.partitions = 1});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        switch (below(run, 6)) {
        case 0:
            batch(run, (uint32_t)below(run, 2), 3, 900);
            break;
        case 1:
            publish(run, 2, (uint8_t)(1 + below(run, 4)), (int32_t)below(run, 700), 0);
            break;
        default:
            publish_any(run, (uint32_t)below(run, 2), 500);
            break;
        }
        moves(run);
        if (i % 15 == 14) {
            settle(run);
            pass(run, 400);
        }
    }
}

static void op(crash_run *run, sim_op_kind kind)
{
    if (world_up(&run->w)) {
        world_op(&run->w, &(sim_op){kind, 0});
    }
}

/* What members do; now and then something that is rare. */
static void members_do(crash_run *run, int i, const sim_op_kind rare[8])
{
    op(run, i % 9 < 2 ? SIM_OP_GROUP_JOIN : SIM_OP_GROUP_TAKE);
    op(run, SIM_OP_GROUP_SETTLE);
    moves(run);
    op(run, SIM_OP_GROUP_SETTLE);
    if (i % 4 == 3) {
        op(run, rare[below(run, 8)]);
    }
    if (i % 10 == 9) {
        pass(run, 400);
    }
}

/* Groups of a model over the first two topics, and what their members do. */
static void groups_of(crash_run *run, weir_model model)
{
    static const sim_op_kind RARE[8] = {
        SIM_OP_GROUP_MODE,  SIM_OP_GROUP_RESET,        SIM_OP_GROUP_ALTER,  SIM_OP_GROUP_DIE,
        SIM_OP_GROUP_LEAVE, SIM_OP_GROUP_SETTLE_WRONG, SIM_OP_GROUP_DELETE, SIM_OP_GROUP_CREATE};
    topic_make(run, 0, (weir_topic_options){.partitions = 2});
    topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 3 && world_up(&run->w); i++) {
        world_group_make(&run->w, model);
        settle(run);
    }
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        publish_any(run, (uint32_t)i % 2, 300);
        members_do(run, i, RARE);
    }
}

static void streams(crash_run *run)
{
    groups_of(run, WEIR_MODEL_STREAM);
}

static void queues(crash_run *run)
{
    groups_of(run, WEIR_MODEL_QUEUE);
}

/* Topics of kind queue: limits, members, dead letters, disk that is freed; one goes with all it owes, and
 * is made again. */
static void queue_topics(crash_run *run)
{
    static const sim_op_kind RARE[8] = {
        SIM_OP_GROUP_ALTER, SIM_OP_GROUP_LEAVE, SIM_OP_GROUP_ALTER, SIM_OP_GROUP_DIE,
        SIM_OP_GROUP_MODE,  SIM_OP_GROUP_ALTER, SIM_OP_GROUP_JOIN,  SIM_OP_GROUP_SETTLE_WRONG};
    weir_topic_options first = {.kind = WEIR_KIND_QUEUE, .partitions = 2, .segment_bytes = 4096};
    weir_topic_options second = {.kind = WEIR_KIND_QUEUE, .level = WEIR_LEVEL_OS};
    topic_make(run, 0, first);
    topic_make(run, 1, second);
    settle(run);
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        if (i % 5 == 2) {
            batch(run, (uint32_t)i % 2, 3, 900);
        } else {
            publish_any(run, (uint32_t)i % 2, 300);
        }
        members_do(run, i, RARE);
        if (i == 30) {
            topic_delete(run, 1);
            topic_make(run, 1, second);
            settle(run);
        }
    }
}

/* A queue whose first record waits, and nearly all behind it is settled: its segments are rewritten. */
static void queue_sparse(crash_run *run)
{
    weir_stats stats = {0};
    topic_make(run, 0, (weir_topic_options){.kind = WEIR_KIND_QUEUE, .segment_bytes = 4096});
    settle(run);
    run->waits =
        true; /* the model is not told: the clock of a state may be behind that of the run */
    publish(run, 0, 0, 20, 0);
    run->waits = false;
    settle(run);
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        if (i < 40) {
            batch(run, 0, 4, 200);
        }
        op(run, i % 12 == 0 ? SIM_OP_GROUP_JOIN : SIM_OP_GROUP_TAKE);
        op(run, SIM_OP_GROUP_SETTLE);
        moves(run);
        op(run, SIM_OP_GROUP_SETTLE);
        if (i % 5 == 4) {
            pass(run, 150);
        }
    }
    if (world_up(&run->w)) {
        weir_engine_stats(run->w.engine, &stats);
        if (stats.segments_rewritten == 0) {
            model_fail(&run->w.model, "no segment was rewritten");
        }
    }
}

const crash_workload CRASH_WORKLOADS[] = {
    {"roll", NULL, roll},
    {"checkpoint", checkpoint_configure, checkpoint},
    {"recycle", recycle_configure, recycle},
    {"straight", straight_configure, straight},
    {"retention", NULL, retention},
    {"compaction", NULL, compaction},
    {"topics", NULL, topics},
    {"partitions", NULL, partitions},
    {"producers", NULL, producers},
    {"names", NULL, names},
    {"levels", NULL, levels},
    {"restarts", straight_configure, restarts},
    {"mixed", straight_configure, mixed},
    {"streams", checkpoint_configure, streams},
    {"queues", checkpoint_configure, queues},
    {"queue-topics", checkpoint_configure, queue_topics},
    {"queue-sparse", checkpoint_configure, queue_sparse},
};

uint32_t crash_workload_count(void)
{
    return sizeof(CRASH_WORKLOADS) / sizeof(CRASH_WORKLOADS[0]);
}
