/* tests/sim/ops.c - the operations of the workload, one function each: a client's request, or time that
 * passes; faults.c has the faults.
 *
 * An operation submits and returns: its answer comes through answers.c after moves that chance picks.
 * What it does depends on its own stream of chance and on the model's state. Where there is nothing to
 * do (no topic yet, no reader) it does nothing. */
#include "tests/sim/sim.h"

#include "core/base/assert.h"
#include "core/batch/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_RECORDS_MAX = 6,
    VALUE_BYTES_MAX = 6000,
    LARGE_BATCH_BYTES = 400 << 10,
    HOUR_MS = 3600 * 1000,
};

static uint64_t below(sim_world *w, uint64_t bound)
{
    return sim_random_below(&w->chance, bound);
}

static bool one_in(sim_world *w, uint32_t n)
{
    return sim_random_chance(&w->chance, n);
}

static uint32_t any_port(sim_world *w)
{
    return (uint32_t)below(w, MODEL_PORTS);
}

/* A topic in that state, by chance; MODEL_NONE: there is none. */
uint32_t world_any_topic(sim_world *w, model_exists exists)
{
    uint32_t first = (uint32_t)below(w, MODEL_TOPICS);
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        uint32_t topic = (first + i) % MODEL_TOPICS;
        if (w->model.topics[topic].exists == exists) {
            return topic;
        }
    }
    return MODEL_NONE;
}

/* ---- Publishing
 * ------------------------------------------------------------------------------------------ */

static int32_t any_value_bytes(sim_world *w)
{
    switch (below(w, 16)) {
    case 0:
        return -1;
    case 1:
        return 0;
    case 2:
        return (int32_t)below(w, VALUE_BYTES_MAX);
    default:
        return 1 + (int32_t)below(w, 160);
    }
}

static model_send any_send(sim_world *w, uint32_t topic, uint32_t port)
{
    model_send send = {.topic = (uint8_t)topic, .port = (uint8_t)port};
    send.key = (uint8_t)below(w, MODEL_KEYS);
    send.value_bytes = any_value_bytes(w);
    send.attributes = one_in(w, 8) ? WEIR_RECORD_RETAIN : (uint8_t)below(w, 4);
    return send;
}

/* An operation whose ring is full was not taken: its records must never be seen. */
static void not_taken(sim_world *w, sim_ask *ask, uint32_t send, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        w->model.sends[send + i].state = SENT_REFUSED;
    }
    if (ask != NULL) {
        world_ask_drop(w, ask);
    }
}

static void submit_publish(sim_world *w, uint32_t send, const weir_publish *publish)
{
    uint64_t token = 0;
    uint32_t port = w->model.sends[send].port;
    sim_ask *ask = publish->no_confirm ? NULL : world_ask(w, ASK_SENDS, port, &token);
    if (ask == NULL && !publish->no_confirm) {
        not_taken(w, NULL, send, 1);
        return;
    }
    if (ask != NULL) {
        ask->send = send;
    } else {
        w->model.sends[send].state = SENT_MAYBE;
        token = SIM_UNASKED | send;
    }
    weir_err err = weir_port_publish(w->ports[port], publish, NULL, token);
    world_say(w, "    record %u to topic %u key %u %d bytes%s: %s, ask %u", send,
              w->model.sends[send].topic, w->model.sends[send].key,
              w->model.sends[send].value_bytes,
              (w->model.sends[send].attributes & WEIR_RECORD_RETAIN) != 0 ? " retained" : "",
              weir_err_name(err), (unsigned)token);
    if (err != WEIR_OK) {
        not_taken(w, ask, send, 1);
    }
}

/* Headers by which queue groups wait with a record, or let it go. */
static uint32_t times_choose(sim_world *w, model_send *send, weir_header *headers, char text[24])
{
    const char *name = "expiry";
    int64_t value = 0;
    switch (below(w, 40)) {
    case 0:
        name = "deliver-at";
        value = send->at_ms = w->stamped_ms + (int64_t)below(w, 600);
        break;
    case 1:
    case 2:
        name = "delay";
        value = send->waits_ms = (int64_t)below(w, 600);
        break;
    case 3:
        value = (int64_t)below(w, 3);
        send->expires = 1 + (int32_t)value;
        break;
    default:
        return 0;
    }
    (void)snprintf(text, 24, "%" PRId64, value);
    *headers = (weir_header){weir_bytes_of(name), weir_bytes_of(text)};
    return 1;
}

static void publish(sim_world *w, uint32_t topic, bool keyed)
{
    static uint8_t value[VALUE_BYTES_MAX];
    uint8_t name[64];
    char text[24];
    uint32_t number = model_sends(&w->model, any_send(w, topic, any_port(w)));
    model_send *send = &w->model.sends[number];
    weir_header headers[2] = {{WEIR_TEXT("n"), {(const uint8_t *)&number, sizeof(number)}}};
    weir_publish record = {.headers = headers,
                           .header_count = 1 + times_choose(w, send, &headers[1], text),
                           .attributes = send->attributes,
                           .publisher = send->port + 1,
                           .no_confirm = one_in(w, 12)};
    record.value = (weir_bytes){send->value_bytes < 0 ? NULL : value,
                                model_value(number, send->value_bytes, value)};
    if (keyed) {
        record.topic = weir_bytes_of(w->model.topics[topic].name);
        record.key = model_key(send->key);
    } else {
        record.name = (weir_bytes){name, model_name(&w->model, send, name, sizeof(name))};
    }
    submit_publish(w, number, &record);
}

static void op_publish(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    if (topic != MODEL_NONE) {
        publish(w, topic, false);
    }
}

static void op_publish_keyed(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    if (topic != MODEL_NONE) {
        publish(w, topic, true);
    }
}

static void op_publish_live(sim_world *w)
{
    publish(w, MODEL_TOPICS, false);
}

/* A batch as a client builds it: the records' numbers follow one another. */
weir_bytes world_batch_build(sim_world *w, uint32_t first, uint32_t count, uint8_t *memory,
                             size_t size)
{
    static uint8_t value[SIM_LARGE_VALUE_BYTES];
    static uint8_t rest[SIM_LARGE_VALUE_BYTES + 64];
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, size);
    for (uint32_t i = 0; i < count; i++) {
        const model_send *send = &w->model.sends[first + i];
        uint32_t number = first + i;
        uint32_t position = 0;
        weir_header header = {WEIR_TEXT("n"), {(const uint8_t *)&number, sizeof(number)}};
        weir_bytes bytes = {send->value_bytes < 0 ? NULL : value,
                            model_value(number, send->value_bytes, value)};
        size_t len = weir_record_rest_encode(bytes, &header, 1, rest);
        weir_err err =
            weir_batch_add(&builder, 0, model_key(send->key), (weir_bytes){rest, len}, &position);
        WEIR_ASSERT(err == WEIR_OK);
    }
    return weir_batch_finish(&builder, 0, -1, 0);
}

/* value_bytes: of each record, or a sixteenth less; 0: any. */
void world_batch_to(sim_world *w, uint32_t topic, uint32_t partition, uint32_t count,
                    uint32_t value_bytes)
{
    static uint8_t memory[LARGE_BATCH_BYTES], packed[LARGE_BATCH_BYTES + 4096];
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t first = w->model.send_count;
    for (uint32_t i = 0; i < count; i++) {
        model_send send = any_send(w, topic, port);
        send.attributes = 0;
        send.batch_index = i;
        send.batch_count = count;
        if (value_bytes > 0) {
            send.value_bytes = (int32_t)(value_bytes - below(w, value_bytes / 16));
        }
        (void)model_sends(&w->model, send);
    }
    sim_ask *ask = world_ask(w, ASK_SENDS, port, &token);
    if (ask == NULL) {
        not_taken(w, NULL, first, count);
        return;
    }
    ask->send = first;
    ask->large = value_bytes == SIM_LARGE_VALUE_BYTES;
    weir_bytes bytes = world_batch_build(w, first, count, memory, sizeof(memory));
    if (value_bytes == 0 && one_in(w, 3)) {
        ask->codec = one_in(w, 2) ? 3 : 4;
        bytes = world_batch_compress(bytes, ask->codec, packed, sizeof(packed));
    }
    weir_err err = weir_port_produce_batch(
        w->ports[port], weir_bytes_of(w->model.topics[topic].name), partition, bytes, NULL, token);
    world_say(w, "    batch of %u from record %u to topic %u/%u: %s, ask %u", count, first, topic,
              partition, weir_err_name(err), (unsigned)token);
    if (err != WEIR_OK) {
        not_taken(w, ask, first, count);
    }
}

static void batch(sim_world *w, uint32_t count, uint32_t value_bytes)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    if (topic != MODEL_NONE) {
        uint64_t partitions = w->model.topics[topic].options.partitions;
        world_batch_to(w, topic, (uint32_t)below(w, partitions), count, value_bytes);
    }
}

static void op_batch(sim_world *w)
{
    batch(w, 1 + (uint32_t)below(w, BATCH_RECORDS_MAX), 0);
}

static void op_batch_large(sim_world *w)
{
    batch(w, SIM_LARGE_RECORDS, SIM_LARGE_VALUE_BYTES);
}

/* ---- Reading
 * --------------------------------------------------------------------------------------------- */

static void op_fetch(sim_world *w)
{
    uint64_t token = 0;
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    uint32_t port = any_port(w);
    sim_ask *ask = topic == MODEL_NONE ? NULL : world_ask(w, ASK_FETCH, port, &token);
    if (ask == NULL) {
        return;
    }
    const model_topic *of = &w->model.topics[topic];
    ask->topic = (uint8_t)topic;
    ask->incarnation = of->incarnation;
    ask->partition = (uint8_t)below(w, of->options.partitions);
    const model_log *log = &of->logs[ask->partition];
    ask->end = model_known_end(&w->model, topic, ask->partition);
    int64_t known = ask->end - log->start;
    ask->offset = log->start + (int64_t)below(w, (uint64_t)(known > 0 ? known : 0) + 2);
    weir_fetch wanted = {.topic = weir_bytes_of(of->name),
                         .partition = ask->partition,
                         .offset = ask->offset,
                         .bytes_max = 1u << below(w, 18),
                         .peek = true,
                         .wait_ms = one_in(w, 3) ? (uint32_t)below(w, 100) : 0};
    if (wanted.wait_ms > 0 && ask->offset >= ask->end) {
        world_event(w, SIM_EVENT_fetch_waited);
    }
    if (weir_port_fetch(w->ports[port], &wanted, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

void world_reader_forget(sim_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
}

sim_reader *world_reader_open(sim_world *w, uint32_t port, const weir_subscribe *wanted,
                              uint32_t topic)
{
    uint64_t token = 0;
    uint32_t at = 0;
    while (at < SIM_READERS && w->readers[at].handle != NULL) {
        at++;
    }
    sim_ask *ask = at == SIM_READERS ? NULL : world_ask(w, ASK_SUBSCRIBE, port, &token);
    if (ask == NULL) {
        return NULL;
    }
    sim_reader *reader = &w->readers[at];
    world_reader_forget(reader);
    ask->reader = (uint8_t)at;
    reader->port = (uint8_t)port;
    reader->topic = (uint8_t)topic;
    reader->from_log = wanted->start != WEIR_START_END;
    reader->until_end = wanted->until_end;
    reader->slot = wanted->slot;
    reader->incarnation = topic < MODEL_TOPICS ? w->model.topics[topic].incarnation : 0;
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
        reader->next[p] = -1;
        reader->last[p] = -1;
    }
    weir_err err = weir_port_subscriber_open(w->ports[port], NULL, &reader->handle);
    if (err == WEIR_OK) {
        err = weir_port_subscribe(w->ports[port], reader->handle, wanted, NULL, token);
    }
    if (err != WEIR_OK) {
        world_ask_drop(w, ask);
        reader->ended = reader->handle != NULL;
        return NULL;
    }
    return reader;
}

static void reader_start(sim_world *w, const model_topic *topic, weir_subscribe *wanted)
{
    const model_log *log = &topic->logs[0];
    wanted->start = (weir_start_kind)below(w, WEIR_START_POSITIONS);
    switch (wanted->start) {
    case WEIR_START_OFFSET:
        wanted->value = (int64_t)below(w, (uint64_t)log->count + 1); /* also what is gone */
        break;
    case WEIR_START_TIME:
        wanted->value = 1700000000000 + (int64_t)below(w, 100000);
        break;
    case WEIR_START_LAST:
        wanted->value = (int64_t)below(w, 20);
        break;
    default:
        break;
    }
    wanted->until_end = wanted->start != WEIR_START_END && one_in(w, 4);
}

static void op_subscribe(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    char filter[32];
    if (topic == MODEL_NONE) {
        return;
    }
    const model_topic *of = &w->model.topics[topic];
    uint64_t shape = below(w, 6);
    bool whole = shape < 4;
    (void)snprintf(filter, sizeof(filter), "%s%s", shape == 5 ? "" : of->name,
                   whole        ? "/#"
                   : shape == 4 ? "/dev1/+"
                                : "#");
    weir_subscribe wanted = {.filter = weir_bytes_of(filter), .slot = (uint32_t)below(w, 100)};
    wanted.retained = one_in(w, 2) ? WEIR_RETAINED_SEND : WEIR_RETAINED_NONE;
    reader_start(w, of, &wanted);
    sim_reader *reader =
        world_reader_open(w, any_port(w), &wanted, shape == 5 ? MODEL_TOPICS : topic);
    if (reader == NULL) {
        return;
    }
    reader->whole = whole;
    world_say(w, "    reader %u: %s start %d value %lld", (unsigned)(reader - w->readers), filter,
              wanted.start, (long long)wanted.value);
    bool begins = wanted.start == WEIR_START_BEGINNING && whole && !of->trims && !of->compacts;
    for (uint32_t p = 0; p < of->options.partitions && begins; p++) {
        reader->next[p] = of->logs[p].start;
    }
    (void)weir_port_credit(w->ports[reader->port], reader->handle, 1 + below(w, 100),
                           1 + below(w, 20000));
}

static sim_reader *any_reader(sim_world *w)
{
    sim_reader *reader = &w->readers[below(w, SIM_READERS)];
    return reader->handle != NULL && !reader->closing ? reader : NULL;
}

static void op_credit(sim_world *w)
{
    const sim_reader *reader = any_reader(w);
    if (reader != NULL) {
        (void)weir_port_credit(w->ports[reader->port], reader->handle, 1 + below(w, 300),
                               1 + below(w, 100000));
    }
}

static void op_unsubscribe(sim_world *w)
{
    uint64_t token = 0;
    sim_reader *reader = any_reader(w);
    sim_ask *ask = reader == NULL ? NULL : world_ask(w, ASK_CLOSE, reader->port, &token);
    if (ask == NULL) {
        return;
    }
    ask->reader = (uint8_t)(reader - w->readers);
    if (weir_port_subscriber_close(w->ports[reader->port], reader->handle, NULL, token) ==
        WEIR_OK) {
        reader->closing = true;
    } else {
        world_ask_drop(w, ask);
    }
}

/* ---- Topics
 * ---------------------------------------------------------------------------------------------- */

/* Lists that are under way may be of before or after. */
static void lists_stale(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        w->asks[i].stale |= w->asks[i].kind == ASK_TOPICS;
    }
}

static sim_ask *ask_topic(sim_world *w, ask_kind kind, uint32_t topic, uint32_t port,
                          uint64_t *token)
{
    sim_ask *ask = topic == MODEL_NONE ? NULL : world_ask(w, kind, port, token);
    if (ask != NULL) {
        ask->topic = (uint8_t)topic;
        ask->incarnation = w->model.topics[topic].incarnation;
        lists_stale(w);
    }
    return ask;
}

/* A third of the topics keep everything, the others lose old records in one way or another. */
static void cleanup_choose(sim_world *w, weir_topic_options *options)
{
    uint64_t how = below(w, 6);
    bool queue = options->kind == WEIR_KIND_QUEUE;
    options->segment_bytes = one_in(w, 2) ? 4096 : 0;
    options->segment_ms = one_in(w, 3) ? 500 + (int64_t)below(w, 3000) : 0;
    if (how == 2 || how == 5) {
        options->retention_bytes = 4096 + (int64_t)below(w, 20000);
        options->cleanup = WEIR_CLEANUP_DELETE;
    }
    if (how == 3) {
        options->retention_ms = 1000 + (int64_t)below(w, 20000);
        options->cleanup = WEIR_CLEANUP_DELETE;
    }
    if (how >= 4 && !queue) {
        options->cleanup = how == 4 ? WEIR_CLEANUP_COMPACT : WEIR_CLEANUP_COMPACT_DELETE;
        options->delete_retention_ms = 1 + (int64_t)below(w, 5000);
    }
}

/* What the options allow to go, from the moment that they may be in force. */
static void cleanup_allow(sim_world *w, uint32_t topic, const weir_topic_options *options)
{
    model_topic *of = &w->model.topics[topic];
    of->removes |= options->retention_bytes > 0 || options->retention_ms > 0;
    of->trims |= of->removes || options->kind == WEIR_KIND_QUEUE;
    of->compacts |= (options->cleanup & WEIR_CLEANUP_COMPACT) != 0;
    w->events[SIM_EVENT_compacted_topic] += of->compacts ? 1 : 0;
}

void world_topic_creating(sim_world *w, uint32_t topic, const weir_topic_options *options)
{
    model_topic *of = &w->model.topics[topic];
    of->exists = TOPIC_CREATING;
    of->removes = of->trims = of->compacts = of->holes = false; /* of one that never came to be */
    of->keeps = options->retention_unsettled == WEIR_UNSETTLED_KEEP &&
                options->retention_unsettled_bytes == 0;
    cleanup_allow(w, topic, options);
    if (options->kind == WEIR_KIND_QUEUE) {
        w->groups[MODEL_FREE_GROUPS + topic].exists = GROUP_CREATING;
    }
}

void world_topic_deleting(sim_world *w, uint32_t topic)
{
    w->model.topics[topic].exists = TOPIC_DELETING;
    model_loosen(&w->model, topic);
    if (world_is_queue(w, topic)) {
        w->groups[MODEL_FREE_GROUPS + topic].exists = GROUP_DELETING;
    }
}

/* Retention leaves what groups have not settled: all of it, or little. */
static void keep_choose(sim_world *w, weir_topic_options *options)
{
    bool removes = options->retention_bytes > 0 || options->retention_ms > 0;
    if (options->kind == WEIR_KIND_LOG && removes && !one_in(w, 3)) {
        options->retention_unsettled = WEIR_UNSETTLED_KEEP;
        options->retention_unsettled_bytes = one_in(w, 3) ? 4096 + (int64_t)below(w, 20000) : 0;
    }
}

static void op_create(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t topic = world_any_topic(w, TOPIC_NO);
    sim_ask *ask = ask_topic(w, ASK_CREATE, topic, port, &token);
    if (ask == NULL) {
        return;
    }
    ask->options = (weir_topic_options){.partitions = 1 + (uint32_t)below(w, 3),
                                        .level = (weir_level)(1 + below(w, 3))};
    ask->options.kind = one_in(w, 3) ? WEIR_KIND_QUEUE : WEIR_KIND_LOG;
    cleanup_choose(w, &ask->options);
    keep_choose(w, &ask->options);
    weir_err err = weir_port_topic_create(
        w->ports[port], weir_bytes_of(w->model.topics[topic].name), &ask->options, NULL, token);
    world_say(w, "    topic %u%s level %d partitions %u: %s, ask %u", topic,
              ask->options.kind == WEIR_KIND_QUEUE ? " a queue" : "", ask->options.level,
              ask->options.partitions, weir_err_name(err), (unsigned)token);
    if (err == WEIR_OK) {
        world_topic_creating(w, topic, &ask->options);
    } else {
        world_ask_drop(w, ask);
    }
}

/* A topic that is there, and of which nothing is being changed. */
static uint32_t calm_topic(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    bool calm = topic != MODEL_NONE && w->model.topics[topic].changing == 0 &&
                w->model.topics[topic].level_next == WEIR_LEVEL_DEFAULT &&
                w->model.topics[topic].partitions_next == 0;
    return calm ? topic : MODEL_NONE;
}

/* What is sent again may come when its topic is another: there it is new, and stored twice in all. */
static bool sent_again(const sim_world *w, uint32_t topic)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        const sim_ask *ask = &w->asks[i];
        bool again = (ask->kind == ASK_NAMED || ask->kind == ASK_ONCE) && ask->again;
        if (again && w->model.sends[ask->send].topic == topic) {
            return true;
        }
    }
    return false;
}

static void op_delete(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t topic = calm_topic(w);
    topic = topic != MODEL_NONE && sent_again(w, topic) ? MODEL_NONE : topic;
    sim_ask *ask = ask_topic(w, ASK_DELETE, topic, port, &token);
    if (ask == NULL) {
        return;
    }
    if (weir_port_topic_delete(w->ports[port], weir_bytes_of(w->model.topics[topic].name), NULL,
                               token) == WEIR_OK) {
        world_topic_deleting(w, topic);
    } else {
        world_ask_drop(w, ask);
    }
}

static void op_level(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t topic = calm_topic(w);
    sim_ask *ask = ask_topic(w, ASK_LEVEL, topic, port, &token);
    if (ask == NULL) {
        return;
    }
    ask->options.level = (weir_level)(1 + below(w, 3));
    if (weir_port_topic_set_level(w->ports[port], weir_bytes_of(w->model.topics[topic].name),
                                  ask->options.level, NULL, token) == WEIR_OK) {
        model_topic *of = &w->model.topics[topic];
        of->level_next = ask->options.level;
        of->level_low = of->level_low < of->level_next ? of->level_low : of->level_next;
        of->level_changed = true;
    } else {
        world_ask_drop(w, ask);
    }
}

static void op_alter(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t topic = calm_topic(w);
    sim_ask *ask = ask_topic(w, ASK_ALTER, topic, port, &token);
    if (ask == NULL) {
        return;
    }
    model_topic *of = &w->model.topics[topic];
    if (one_in(w, 2) && of->options.partitions < MODEL_PARTITIONS &&
        !world_named_in_flight(w, topic)) {
        ask->options.partitions = of->options.partitions + 1;
        of->partitions_next = ask->options.partitions;
    } else {
        ask->options.kind = of->options.kind;
        cleanup_choose(w, &ask->options);
        cleanup_allow(w, topic, &ask->options);
    }
    if (weir_port_topic_alter(w->ports[port], weir_bytes_of(of->name), &ask->options, NULL,
                              token) != WEIR_OK) {
        of->partitions_next = 0;
        world_ask_drop(w, ask);
        return;
    }
    of->changing++;
}

static void op_trim(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    sim_ask *ask = ask_topic(w, ASK_TRIM, topic, port, &token);
    if (ask == NULL) {
        return;
    }
    model_topic *of = &w->model.topics[topic];
    ask->partition = (uint8_t)below(w, of->options.partitions);
    const model_log *log = &of->logs[ask->partition];
    int64_t known = model_known_end(&w->model, topic, ask->partition) - log->start;
    ask->offset = log->start + (int64_t)below(w, (uint64_t)(known > 0 ? known : 0) + 1);
    of->trims = true;
    of->removes = true;
    of->keeps = false;
    if (weir_port_topic_trim(w->ports[port], weir_bytes_of(of->name), ask->partition, ask->offset,
                             NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    of->changing++;
}

bool world_topics_change(const sim_world *w)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        if (w->asks[i].kind >= ASK_CREATE && w->asks[i].kind <= ASK_TRIM) {
            return true;
        }
    }
    return false;
}

static void op_topics(sim_world *w)
{
    uint64_t token = 0;
    uint32_t port = any_port(w);
    sim_ask *ask = world_ask(w, ASK_TOPICS, port, &token);
    if (ask == NULL) {
        return;
    }
    ask->stale = world_topics_change(w);
    if (weir_port_topics(w->ports[port], WEIR_BYTES_NULL, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

static void op_offsets(sim_world *w)
{
    uint64_t token = 0;
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    uint32_t port = any_port(w);
    sim_ask *ask = topic == MODEL_NONE ? NULL : world_ask(w, ASK_OFFSETS, port, &token);
    if (ask == NULL) {
        return;
    }
    const model_topic *of = &w->model.topics[topic];
    ask->topic = (uint8_t)topic;
    ask->incarnation = of->incarnation;
    ask->partition = (uint8_t)below(w, of->options.partitions);
    ask->end = model_known_end(&w->model, topic, ask->partition);
    weir_offsets_kind kind = one_in(w, 2) ? WEIR_OFFSETS_TIME : WEIR_OFFSETS_BOUNDS;
    if (weir_port_offsets(w->ports[port], weir_bytes_of(of->name), kind,
                          1700000000000 + (int64_t)below(w, 100000), NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

/* ---- Time and rest
 * --------------------------------------------------------------------------------------- */

static void op_pass(sim_world *w)
{
    sim_disk_pass(w->disk, below(w, one_in(w, 8) ? 8000000000 : 300000000));
    world_moves(w, 12);
}

static void op_settle(sim_world *w)
{
    (void)world_settle(w, 2000000000);
}

static void op_audit(sim_world *w)
{
    if (weir_engine_health_of(w->engine) == WEIR_HEALTH_OK && !w->faulted) {
        (void)world_audit(w, false);
    }
}

static void op_clock_jump(sim_world *w)
{
    int64_t hours = (int64_t)below(w, 9) - 4;
    (void)world_time_most_ms(w);
    sim_disk_wall_jump(w->disk, hours * HOUR_MS);
    w->jumped_ns = sim_disk_now_ns(w->disk);
    (void)world_time_most_ms(w);
    world_event(w, SIM_EVENT_clock_jump);
}

/* ---- The table
 * ------------------------------------------------------------------------------------------- */

static void (*const OPS[SIM_OP_COUNT])(sim_world *w) = {
    [SIM_OP_PUBLISH] = op_publish,
    [SIM_OP_PUBLISH_KEYED] = op_publish_keyed,
    [SIM_OP_PUBLISH_LIVE] = op_publish_live,
    [SIM_OP_BATCH] = op_batch,
    [SIM_OP_BATCH_LARGE] = op_batch_large,
    [SIM_OP_PRODUCE_ONCE] = world_produce_once,
    [SIM_OP_PUBLISH_NAMED] = world_publish_named,
    [SIM_OP_WHERE] = world_where,
    [SIM_OP_FETCH] = op_fetch,
    [SIM_OP_SUBSCRIBE] = op_subscribe,
    [SIM_OP_CREDIT] = op_credit,
    [SIM_OP_UNSUBSCRIBE] = op_unsubscribe,
    [SIM_OP_CREATE] = op_create,
    [SIM_OP_DELETE] = op_delete,
    [SIM_OP_LEVEL] = op_level,
    [SIM_OP_ALTER] = op_alter,
    [SIM_OP_TRIM] = op_trim,
    [SIM_OP_TOPICS] = op_topics,
    [SIM_OP_OFFSETS] = op_offsets,
    [SIM_OP_GROUP_CREATE] = world_group_create,
    [SIM_OP_GROUP_JOIN] = world_group_join,
    [SIM_OP_GROUP_LEAVE] = world_group_leave,
    [SIM_OP_GROUP_DIE] = world_group_die,
    [SIM_OP_GROUP_TAKE] = world_group_take,
    [SIM_OP_GROUP_SETTLE] = world_group_settle,
    [SIM_OP_GROUP_SETTLE_WRONG] = world_group_settle_wrong,
    [SIM_OP_GROUP_BEAT] = world_group_beat,
    [SIM_OP_GROUP_MODE] = world_group_mode,
    [SIM_OP_GROUP_ALTER] = world_group_alter,
    [SIM_OP_GROUP_RESET] = world_group_reset,
    [SIM_OP_GROUP_DELETE] = world_group_delete,
    [SIM_OP_GROUP_LIST] = world_group_list,
    [SIM_OP_WHY] = world_why,
    [SIM_OP_PASS] = op_pass,
    [SIM_OP_SETTLE] = op_settle,
    [SIM_OP_AUDIT] = op_audit,
    [SIM_OP_KILL] = world_fault_kill,
    [SIM_OP_POWER_CUT] = world_fault_power_cut,
    [SIM_OP_POWER_CUT_LATE] = world_fault_power_cut_late,
    [SIM_OP_DIE_SOON] = world_fault_die_soon,
    [SIM_OP_DIE_AT_POINT] = world_fault_die_at_point,
    [SIM_OP_STOP] = world_fault_stop,
    [SIM_OP_SYNC_FAILS] = world_fault_sync_fails,
    [SIM_OP_WRITE_FAILS] = world_fault_write_fails,
    [SIM_OP_READ_FAILS] = world_fault_read_fails,
    [SIM_OP_OPEN_FAILS] = world_fault_open_fails,
    [SIM_OP_DISK_FULL] = world_fault_disk_full,
    [SIM_OP_DISK_ROOM] = world_fault_disk_room,
    [SIM_OP_SLOW] = world_fault_slow,
    [SIM_OP_FAST] = world_fault_fast,
    [SIM_OP_CLOCK_JUMP] = op_clock_jump,
    [SIM_OP_CUT_STRAIGHT] = world_fault_cut_straight,
    [SIM_OP_TAKE_OVER] = world_fault_take_over,
    [SIM_OP_LOSE_HEADS] = world_fault_heads,
    [SIM_OP_FLIP] = world_fault_flip,
    [SIM_OP_FLIP_JOURNAL] = world_fault_flip_journal,
};

void world_op(sim_world *w, const sim_op *op)
{
    if (world_up(w)) {
        OPS[op->kind](w);
    }
}
