/* core/engine/port.c - the two rings of a port, and the answers that wait for their unit.
 *
 * Submission ring: bytes, written by the port's thread, taken by the engine's owner.
 *
 *     ring[0]                                     ring_bytes
 *        |....taken....|####handed over####|==submitted==|      |
 *                     head                tail         filled
 *
 * Positions only rise; ring_base is the position of ring[0]. When the ring is empty the port's
 * thread moves ring_base up, so that a ring that keeps being emptied stays in the same few warm
 * pages. An entry never wraps: with no room before the end the caller gets WEIR_AGAIN until the
 * ring is empty.
 *
 * Completion ring: slots. An operation reserves its slot when it is submitted, so that its answer
 * always has room [P1]; what comes unasked (deliveries, notices) uses the rest and waits otherwise
 * [P2]: it is pushed only while fewer than COMPLETIONS_MAX - OPERATIONS_MAX slots are in use. */
#include "core/engine/group.h"

#include "core/base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum {
    WEIR_UNASKED_MAX = WEIR_COMPLETIONS_MAX - WEIR_OPERATIONS_MAX,
    WEIR_UNASKED = 0x100, /* in a ring slot's type: the slot was not reserved */
};

/* ---- The port's thread: submission --------------------------------------------------------------
 */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* A full ring is counted once, however often it is tried before there is room. */
static void full_note(weir_port *port, bool full)
{
    if (full && !port->ring_full) {
        count(&port->engine->paused_port);
    }
    port->ring_full = full;
}

static weir_op *ring_room(weir_port *port, size_t bytes)
{
    uint64_t head = atomic_load_explicit(&port->ring_head, memory_order_acquire);
    if (head == port->ring_filled) {
        port->ring_base = port->ring_filled; /* empty: begin at ring[0] again */
    }
    uint64_t at = port->ring_filled - port->ring_base;
    if (at + bytes > port->ring_bytes) {
        return NULL;
    }
    return (weir_op *)(void *)(port->ring + at);
}

weir_err weir_port_op_begin(weir_port *port, weir_op_type type, size_t data_bytes, bool reserve,
                            void *user, uint64_t token, weir_op **op)
{
    size_t bytes = (sizeof(weir_op) + data_bytes + 7) & ~(size_t)7;
    if (bytes > port->ring_bytes) {
        return WEIR_TOO_LARGE;
    }
    if (reserve && port->reserved_submitted -
                           atomic_load_explicit(&port->reserved_drained, memory_order_relaxed) >=
                       WEIR_OPERATIONS_MAX) {
        return WEIR_AGAIN;
    }
    weir_op *room = ring_room(port, bytes);
    full_note(port, room == NULL);
    if (room == NULL) {
        return WEIR_AGAIN;
    }
    memset(room, 0, sizeof(*room));
    room->bytes = (uint32_t)bytes;
    room->type = (uint8_t)type;
    room->user = user;
    room->token = token;
    *op = room;
    return WEIR_OK;
}

void weir_port_op_end(weir_port *port, const weir_op *op, bool reserve)
{
    port->ring_filled += op->bytes;
    port->reserved_submitted += reserve ? 1 : 0;
}

static uint8_t *put_bytes(uint8_t *at, weir_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

static bool header_reserved(weir_bytes name)
{
    return name.len >= 5 && memcmp(name.ptr, "weir-", 5) == 0;
}

static weir_err publish_check(weir_port *port, const weir_publish *publish, uint64_t *sum)
{
    weir_engine *engine = port->engine;
    const weir_limits *limits = &engine->limits;
    bool by_name = publish->name.ptr != NULL;
    if (by_name == (publish->topic.ptr != NULL)) {
        return WEIR_INVALID;
    }
    if (publish->header_count > limits->headers_max) {
        count(&engine->refused_headers);
        return WEIR_LIMIT;
    }
    uint64_t bytes = publish->key.len + publish->value.len;
    for (uint32_t i = 0; i < publish->header_count; i++) {
        bytes += publish->headers[i].name.len + publish->headers[i].value.len;
        if (header_reserved(publish->headers[i].name) ||
            !weir_utf8_valid(publish->headers[i].name)) {
            return WEIR_INVALID;
        }
    }
    if (publish->name.len > limits->name_bytes_max || publish->topic.len > limits->name_bytes_max) {
        count(&engine->refused_name);
        return WEIR_NAME_INVALID;
    }
    if (publish->producer.ptr != NULL &&
        (publish->producer.len == 0 || publish->producer.len > WEIR_PRODUCER_NAME_BYTES_MAX ||
         !weir_utf8_valid(publish->producer))) {
        return WEIR_INVALID;
    }
    if (bytes > limits->record_bytes_max) {
        count(&engine->refused_record_bytes);
        return WEIR_TOO_LARGE;
    }
    *sum = bytes - publish->key.len; /* by name, only the engine knows the key */
    return WEIR_OK;
}

weir_err weir_port_publish(weir_port *port, const weir_publish *publish, void *user, uint64_t token)
{
    uint64_t sum = 0;
    weir_err err = publish_check(port, publish, &sum);
    if (err != WEIR_OK) {
        return err;
    }
    bool by_topic = publish->name.ptr == NULL;
    weir_bytes name = by_topic ? publish->topic : publish->name;
    weir_bytes key = by_topic ? publish->key : WEIR_BYTES_NULL;
    size_t rest = weir_record_rest_size(publish->value, publish->headers, publish->header_count);
    size_t once = publish->producer.len > 0 ? publish->producer.len + sizeof(uint64_t) : 0;
    weir_op *op = NULL;
    err = weir_port_op_begin(port, WEIR_OP_PUBLISH, name.len + key.len + rest + once,
                             !publish->no_confirm, user, token, &op);
    if (err != WEIR_OK) {
        return err;
    }
    op->attributes = publish->attributes;
    op->no_confirm = publish->no_confirm;
    op->by_topic = by_topic;
    op->subscriber = (weir_subscriber *)(uintptr_t)publish->self;
    op->publish.publisher = publish->publisher;
    op->publish.name_bytes = (uint32_t)name.len;
    op->publish.key_bytes = (uint32_t)key.len;
    op->publish.key_null = key.ptr == NULL;
    op->publish.rest_bytes = (uint32_t)rest;
    op->publish.value_bytes = (uint32_t)publish->value.len;
    op->publish.bytes = (uint32_t)sum;
    uint8_t *at = put_bytes(put_bytes(op->data, name), key);
    at += weir_record_rest_encode(publish->value, publish->headers, publish->header_count, at);
    op->publish.producer_bytes = (uint16_t)publish->producer.len;
    if (once > 0) {
        memcpy(at, &publish->publishing_id, sizeof(uint64_t));
        put_bytes(at + sizeof(uint64_t), publish->producer);
    }
    weir_port_op_end(port, op, !publish->no_confirm);
    return WEIR_OK;
}

/* The whole check of a client's batch. A compressed one's plain form is in *plain, to be freed. */
static weir_err batch_check(weir_port *port, weir_bytes batch, weir_batch_head *head,
                            uint8_t **plain, size_t *plain_bytes)
{
    const weir_limits *limits = &port->engine->limits;
    const char *reason = NULL;
    weir_err err = weir_batch_check(batch, head, NULL, 0);
    if (err == WEIR_UNSUPPORTED) {
        err = weir_batch_inflate(batch, limits->batch_plain_bytes_max, plain, plain_bytes);
        if (err == WEIR_TOO_LARGE) {
            count(&port->engine->refused_batch_plain);
        }
        batch = (weir_bytes){*plain, *plain_bytes};
        err = err == WEIR_OK ? weir_batch_check_plain(batch, head, NULL, 0) : err;
    }
    if (err == WEIR_OK) {
        err =
            weir_batch_check_client(batch, limits->record_bytes_max, limits->headers_max, &reason);
    }
    return err == WEIR_MORE ? WEIR_MALFORMED : err;
}

static weir_err batch_submit(weir_port *port, weir_bytes topic, uint32_t partition,
                             weir_bytes batch, weir_bytes plain, uint32_t record_count, void *user,
                             uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, WEIR_OP_BATCH, topic.len + batch.len + plain.len, true,
                                      user, token, &op);
    if (err == WEIR_OK) {
        op->batch.topic_bytes = (uint32_t)topic.len;
        op->batch.partition = partition;
        op->batch.batch_bytes = (uint32_t)batch.len;
        op->batch.record_count = record_count;
        op->batch.plain_bytes = (uint32_t)plain.len;
        put_bytes(put_bytes(put_bytes(op->data, topic), batch), plain);
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_produce_batch(weir_port *port, weir_bytes topic, uint32_t partition,
                                 weir_bytes batch, void *user, uint64_t token)
{
    weir_batch_head head;
    uint8_t *plain = NULL;
    size_t plain_bytes = 0;
    weir_err err = batch_check(port, batch, &head, &plain, &plain_bytes);
    if (err == WEIR_OK) {
        err = batch_submit(port, topic, partition, batch, (weir_bytes){plain, plain_bytes},
                           (uint32_t)head.record_count, user, token);
    }
    free(plain);
    return err;
}

weir_err weir_port_fetch(weir_port *port, const weir_fetch *fetch, void *user, uint64_t token)
{
    const weir_limits *limits = &port->engine->limits;
    if (fetch->wait_ms > limits->fetch_wait_ms_max) {
        return WEIR_INVALID;
    }
    weir_op *op = NULL;
    weir_err err =
        weir_port_op_begin(port, WEIR_OP_FETCH, fetch->topic.len, true, user, token, &op);
    if (err != WEIR_OK) {
        return err;
    }
    op->fetch.offset = fetch->offset;
    op->fetch.partition = fetch->partition;
    op->fetch.bytes_max = fetch->bytes_max > limits->fetch_bytes_max
                              ? (uint32_t)limits->fetch_bytes_max
                              : fetch->bytes_max;
    op->fetch.wait_ms = fetch->wait_ms;
    op->fetch.peek = fetch->peek;
    op->fetch.topic_bytes = (uint32_t)fetch->topic.len;
    put_bytes(op->data, fetch->topic);
    weir_port_op_end(port, op, true);
    return WEIR_OK;
}

/* An operation that is nothing but a name and a few numbers. */
static weir_err submit_plain(weir_port *port, weir_op_type type, weir_subscriber *subscriber,
                             bool reserve, void *user, uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, type, 0, reserve, user, token, &op);
    if (err == WEIR_OK) {
        op->subscriber = subscriber;
        weir_port_op_end(port, op, reserve);
    }
    return err;
}

weir_err weir_port_fetch_cancel(weir_port *port, void *user, uint64_t token)
{
    return submit_plain(port, WEIR_OP_FETCH_CANCEL, NULL, false, user, token);
}

weir_err weir_port_producer_open(weir_port *port, void *user, uint64_t token)
{
    return submit_plain(port, WEIR_OP_PRODUCER_OPEN, NULL, true, user, token);
}

weir_err weir_port_producer_where(weir_port *port, weir_bytes producer, weir_bytes topic,
                                  uint32_t partition, void *user, uint64_t token)
{
    weir_op *op = NULL;
    if (producer.len == 0 || producer.len > WEIR_PRODUCER_NAME_BYTES_MAX ||
        topic.len > WEIR_TOPIC_BYTES_MAX) {
        return producer.len == 0 || producer.len > WEIR_PRODUCER_NAME_BYTES_MAX ? WEIR_INVALID
                                                                                : WEIR_NOT_FOUND;
    }
    weir_err err = weir_port_op_begin(port, WEIR_OP_PRODUCER_WHERE, topic.len + producer.len, true,
                                      user, token, &op);
    if (err == WEIR_OK) {
        op->producer.topic_bytes = (uint32_t)topic.len;
        op->producer.name_bytes = (uint32_t)producer.len;
        op->producer.partition = partition;
        put_bytes(put_bytes(op->data, topic), producer);
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_subscriber_open(weir_port *port, void *user, weir_subscriber **subscriber)
{
    weir_subscriber *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->port = port;
    made->user = user;
    weir_link_init(&made->scans);
    weir_link_init(&made->cursors);
    weir_err err = submit_plain(port, WEIR_OP_SUBSCRIBER_OPEN, made, false, user, 0);
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    *subscriber = made;
    return WEIR_OK;
}

weir_err weir_port_subscriber_close(weir_port *port, weir_subscriber *subscriber, void *user,
                                    uint64_t token)
{
    return submit_plain(port, WEIR_OP_SUBSCRIBER_CLOSE, subscriber, true, user, token);
}

static size_t positions_bytes(const weir_subscribe *subscribe)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < subscribe->position_count; i++) {
        bytes += sizeof(weir_op_position) + subscribe->positions[i].topic.len;
    }
    return bytes;
}

static void positions_put(uint8_t *at, const weir_subscribe *subscribe)
{
    for (uint32_t i = 0; i < subscribe->position_count; i++) {
        const weir_position *position = &subscribe->positions[i];
        weir_op_position head = {position->offset, position->partition,
                                 (uint32_t)position->topic.len};
        memcpy(at, &head, sizeof(head));
        at = put_bytes(at + sizeof(head), position->topic);
    }
}

weir_err weir_port_subscribe(weir_port *port, weir_subscriber *subscriber,
                             const weir_subscribe *subscribe, void *user, uint64_t token)
{
    if (subscribe->start > WEIR_START_POSITIONS || subscribe->filter.len > WEIR_FILTER_BYTES_MAX) {
        return subscribe->start > WEIR_START_POSITIONS ? WEIR_INVALID : WEIR_NAME_INVALID;
    }
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, WEIR_OP_SUBSCRIBE,
                                      subscribe->filter.len + positions_bytes(subscribe), true,
                                      user, token, &op);
    if (err != WEIR_OK) {
        return err;
    }
    op->subscriber = subscriber;
    op->subscribe.value = subscribe->value;
    op->subscribe.slot = subscribe->slot;
    op->subscribe.filter_bytes = (uint32_t)subscribe->filter.len;
    op->subscribe.position_count = subscribe->position_count;
    op->subscribe.start = (uint8_t)subscribe->start;
    op->subscribe.retained = (uint8_t)subscribe->retained;
    op->subscribe.no_local = subscribe->no_local;
    op->subscribe.until_end = subscribe->until_end;
    positions_put(put_bytes(op->data, subscribe->filter), subscribe);
    weir_port_op_end(port, op, true);
    return WEIR_OK;
}

weir_err weir_port_unsubscribe(weir_port *port, weir_subscriber *subscriber, weir_bytes filter,
                               void *user, uint64_t token)
{
    weir_op *op = NULL;
    if (filter.len > WEIR_FILTER_BYTES_MAX) {
        return WEIR_NAME_INVALID;
    }
    weir_err err =
        weir_port_op_begin(port, WEIR_OP_UNSUBSCRIBE, filter.len, true, user, token, &op);
    if (err == WEIR_OK) {
        op->subscriber = subscriber;
        op->subscribe.filter_bytes = (uint32_t)filter.len;
        put_bytes(op->data, filter);
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                          uint64_t bytes)
{
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, WEIR_OP_CREDIT, 0, false, NULL, 0, &op);
    if (err == WEIR_OK) {
        op->subscriber = subscriber;
        op->credit.records = records;
        op->credit.bytes = bytes;
        weir_port_op_end(port, op, false);
    }
    return err;
}

static weir_err submit_topic(weir_port *port, weir_op_type type, weir_bytes name, void *user,
                             uint64_t token, const weir_topic_options *options, int64_t time_ms,
                             weir_offsets_kind kind)
{
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, type, name.len, true, user, token, &op);
    if (err == WEIR_OK) {
        op->topic.options = *options;
        op->topic.name_bytes = (uint32_t)name.len;
        op->topic.time_ms = time_ms;
        op->topic.offsets_kind = (uint8_t)kind;
        put_bytes(op->data, name);
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_topic_create(weir_port *port, weir_bytes name, const weir_topic_options *options,
                                void *user, uint64_t token)
{
    return submit_topic(port, WEIR_OP_TOPIC_CREATE, name, user, token, options, 0, 0);
}

weir_err weir_port_topic_set_level(weir_port *port, weir_bytes name, weir_level level, void *user,
                                   uint64_t token)
{
    if (level == WEIR_LEVEL_DEFAULT) {
        return WEIR_INVALID;
    }
    weir_topic_options options = {.level = level};
    return submit_topic(port, WEIR_OP_TOPIC_ALTER, name, user, token, &options, 0, 0);
}

weir_err weir_port_topic_alter(weir_port *port, weir_bytes name, const weir_topic_options *change,
                               void *user, uint64_t token)
{
    return submit_topic(port, WEIR_OP_TOPIC_ALTER, name, user, token, change, 0, 0);
}

weir_err weir_port_topic_trim(weir_port *port, weir_bytes name, uint32_t partition, int64_t before,
                              void *user, uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = weir_port_op_begin(port, WEIR_OP_TOPIC_TRIM, name.len, true, user, token, &op);
    if (err == WEIR_OK) {
        op->topic.name_bytes = (uint32_t)name.len;
        op->topic.time_ms = before;
        op->topic.partition = partition;
        put_bytes(op->data, name);
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_topic_delete(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    weir_topic_options options = {0};
    return submit_topic(port, WEIR_OP_TOPIC_DELETE, name, user, token, &options, 0, 0);
}

weir_err weir_port_topics(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    weir_topic_options options = {0};
    return submit_topic(port, WEIR_OP_TOPICS, name, user, token, &options, 0, 0);
}

weir_err weir_port_offsets(weir_port *port, weir_bytes topic, weir_offsets_kind kind,
                           int64_t time_ms, void *user, uint64_t token)
{
    weir_topic_options options = {0};
    return submit_topic(port, WEIR_OP_OFFSETS, topic, user, token, &options, time_ms, kind);
}

/* ---- The port's thread: completions
 * --------------------------------------------------------------- */

size_t weir_port_drain(weir_port *port, weir_completion *out, size_t max)
{
    uint64_t head = atomic_load_explicit(&port->completion_head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&port->completion_tail, memory_order_acquire);
    size_t count = 0;
    uint64_t reserved = 0;
    while (head < tail && count < max) {
        out[count] = port->completions[head & (WEIR_COMPLETIONS_MAX - 1)];
        if (((unsigned)out[count].type & WEIR_UNASKED) != 0) {
            out[count].type = (weir_completion_type)((unsigned)out[count].type & ~WEIR_UNASKED);
        } else {
            reserved++;
        }
        count++;
        head++;
    }
    atomic_store_explicit(&port->completion_head, head, memory_order_release);
    atomic_fetch_add_explicit(&port->reserved_drained, reserved, memory_order_relaxed);
    return count;
}

int weir_port_fd(const weir_port *port)
{
    weir_env *env = port->engine->env;
    return env->ops->event_fd(env, port->event);
}

weir_engine *weir_port_engine(const weir_port *port)
{
    return port->engine;
}

void weir_completion_drop(weir_completion *completion)
{
    switch (completion->type) {
    case WEIR_COMPLETION_DELIVERY:
        weir_chunk_drop(completion->delivery.chunk);
        weir_slots_drop(completion->delivery.slots);
        break;
    case WEIR_COMPLETION_FETCH:
        for (uint32_t i = 0; i < completion->fetched.run_count; i++) {
            weir_chunk_drop(completion->fetched.runs[i].chunk);
        }
        free(completion->fetched.runs);
        break;
    case WEIR_COMPLETION_TOPIC:
    case WEIR_COMPLETION_TOPICS:
    case WEIR_COMPLETION_OFFSETS:
        for (uint32_t i = 0; i < completion->topics.count; i++) {
            free(completion->topics.topics[i].partitions);
        }
        free(completion->topics.topics);
        break;
    case WEIR_COMPLETION_GROUP:
    case WEIR_COMPLETION_GROUPS:
    case WEIR_COMPLETION_ASSIGNED:
    case WEIR_COMPLETION_TAKEN:
    case WEIR_COMPLETION_WHY:
        weir_group_completion_drop(completion);
        break;
    case WEIR_COMPLETION_PUBLISH:
    case WEIR_COMPLETION_SUBSCRIBE:
    case WEIR_COMPLETION_UNSUBSCRIBE:
    case WEIR_COMPLETION_CLOSED:
    case WEIR_COMPLETION_PRODUCER:
    case WEIR_COMPLETION_NOTICE:
    case WEIR_COMPLETION_BATCH:
    case WEIR_COMPLETION_MEMBER:
    case WEIR_COMPLETION_LEFT:
    case WEIR_COMPLETION_SETTLED:
        completion->type = (weir_completion_type)0; /* the common ones: they hold nothing */
        return;
    }
    memset(completion, 0, sizeof(*completion));
}

/* ---- The owner
 * ------------------------------------------------------------------------------------- */

static uint64_t slots_used(const weir_port *port)
{
    return atomic_load_explicit(&port->completion_tail, memory_order_relaxed) -
           atomic_load_explicit(&port->completion_head, memory_order_acquire);
}

static void push(weir_port *port, const weir_completion *completion)
{
    uint64_t tail = atomic_load_explicit(&port->completion_tail, memory_order_relaxed);
    WEIR_ASSERT(slots_used(port) < WEIR_COMPLETIONS_MAX); /* [P1] */
    port->completions[tail & (WEIR_COMPLETIONS_MAX - 1)] = *completion;
    atomic_store_explicit(&port->completion_tail, tail + 1, memory_order_release);
    port->wake = true;
}

bool weir_port_room(const weir_port *port)
{
    return slots_used(port) < WEIR_UNASKED_MAX; /* [P2] */
}

void weir_port_unasked(weir_port *port, const weir_completion *completion)
{
    weir_completion marked = *completion;
    marked.type = (weir_completion_type)((unsigned)marked.type | WEIR_UNASKED);
    push(port, &marked);
}

void weir_port_complete(weir_port *port, const weir_completion *completion)
{
    push(port, completion);
}

void weir_port_answer(weir_port *port, const weir_completion *completion, uint64_t unit,
                      weir_level level)
{
    weir_engine *engine = port->engine;
    weir_answers *answers = &port->waiting[level];
    /* What was done is told after the turn's records were given out, however early it is known. */
    bool refused = completion->err != WEIR_OK;
    if (refused && answers->count == 0 && unit <= weir_engine_mark(engine, level)) {
        push(port, completion);
        return;
    }
    if (level == WEIR_LEVEL_DISK && completion->type == WEIR_COMPLETION_SETTLED) {
        engine->settled_ns = engine->settled_ns == 0 ? engine->now_ns : engine->settled_ns;
    } else if (level == WEIR_LEVEL_DISK) {
        engine->disk_wanted = true;
    }
    WEIR_ASSERT(answers->count < WEIR_COMPLETIONS_MAX); /* [P1] */
    if (answers->count == 0) {
        answers->head = 0; /* stay in the same warm pages */
    }
    answers->items[(answers->head + answers->count) & (WEIR_COMPLETIONS_MAX - 1)] =
        (weir_answer){*completion, unit};
    answers->count++;
}

/* What was to be had when its unit is durable, and now is not: a member's records (group.h: [G5]),
 * or the member itself, which is told nothing any more. */
static void answer_withdraw(weir_engine *engine, weir_completion *completion)
{
    completion->err = WEIR_CLOSED;
    if (completion->type == WEIR_COMPLETION_MEMBER) {
        weir_member_unheard(engine, completion->joined.member);
        completion->joined.member = NULL;
    }
    if (completion->type == WEIR_COMPLETION_TAKEN) {
        for (uint32_t i = 0; i < completion->taken.run_count; i++) {
            weir_chunk_drop(completion->taken.runs[i].chunk);
        }
        free(completion->taken.runs);
        completion->taken = (weir_taken){.runs = NULL};
    }
}

/* [E4] Lets go what has reached its level, oldest first; and, when nobody waits any longer, the
 * rest without a word on whether it was kept. */
void weir_port_answers_release(weir_engine *engine, weir_port *port)
{
    bool all = atomic_load_explicit(&engine->no_waiting, memory_order_relaxed);
    for (int level = WEIR_LEVEL_MEMORY; level < WEIR_LEVEL_COUNT; level++) {
        weir_answers *answers = &port->waiting[level];
        uint64_t mark = answers->count > 0 ? weir_engine_mark(engine, (weir_level)level) : 0;
        while (answers->count > 0 && (all || answers->items[answers->head].unit <= mark)) {
            weir_answer *first = &answers->items[answers->head];
            if (first->unit > mark && first->completion.err == WEIR_OK) {
                answer_withdraw(engine, &first->completion);
            }
            push(port, &first->completion);
            answers->head = (answers->head + 1) & (WEIR_COMPLETIONS_MAX - 1);
            answers->count--;
            answers->left++;
        }
    }
}

/* Several threads wake at once. Only the one that finds the event dark lights it, and says so when
 * it is lit: a step never takes a word for an event that it has cleared already, and never leaves
 * a lit event behind that nobody clears. */
void weir_port_wake(weir_port *port)
{
    weir_env *env = port->engine->env;
    int dark = WEIR_SIGNAL_DARK;
    if (atomic_compare_exchange_strong(&port->signal, &dark, WEIR_SIGNAL_LIGHTING)) {
        env->ops->event_signal(env, port->event);
        atomic_store(&port->signal, WEIR_SIGNAL_LIT);
    }
}
