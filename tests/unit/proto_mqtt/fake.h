/* tests/unit/proto_mqtt/fake.h - a rig around one session: a port that remembers what it was asked,
 * and helpers that speak to the session in packets. Chunks are real ones, of core/log. */
#ifndef WEIR_TESTS_UNIT_PROTO_MQTT_FAKE_H
#define WEIR_TESTS_UNIT_PROTO_MQTT_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/proto/mqtt/session.h"
#include "core/batch/batch.h"
#include "core/engine/state.h"
#include "core/log/chunk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_INLINE static inline __attribute__((unused))

enum { FAKE_OPS_MAX = 2048, FAKE_TEXT_MAX = 128, FAKE_HEADERS_MAX = 256 };

typedef enum fake_kind {
    FAKE_PUBLISH = 1,
    FAKE_OPEN,
    FAKE_CLOSE,
    FAKE_SUBSCRIBE,
    FAKE_UNSUBSCRIBE,
    FAKE_CREDIT,
    FAKE_GROUPS,
    FAKE_JOIN,
    FAKE_LEAVE,
    FAKE_TAKE,
    FAKE_SETTLE,
    FAKE_CARE, /* a beat, or a take that is cancelled */
} fake_kind;

typedef struct fake_op {
    fake_kind kind;
    void *user;
    uint64_t token;
    char name[FAKE_TEXT_MAX]; /* of a publish, or the filter */
    char topic[FAKE_TEXT_MAX];
    char key[FAKE_TEXT_MAX];
    char value[FAKE_TEXT_MAX];
    char headers[FAKE_HEADERS_MAX]; /* "a=b;c=d;" */
    bool has_key;
    weir_publish publish;     /* spans invalid */
    weir_subscribe subscribe; /* the same */
    weir_take take;
    weir_settle settle; /* the same */
    uint64_t records;
    uint64_t bytes;
} fake_op;

typedef struct fake_port {
    fake_op ops[FAKE_OPS_MAX];
    size_t count;
    size_t room;          /* operations until AGAIN */
    weir_err publish_err; /* given at once */
    weir_err subscribe_err;
} fake_port;

typedef struct rig {
    weir_limits limits;
    weir_mqtt_context context;
    fake_port port;
    weir_mqtt_session *session;
    weir_buffer out;
    weir_buffer in;
    uint8_t admit_reason;
    weir_err claim_err;
    int claims;
    int releases;
    char claimed[FAKE_TEXT_MAX];
    weir_group_info group; /* that the fake port tells of */
    uint64_t leases;       /* that it gave */
    int quiet;             /* its address is quiet_user */
    int user;              /* its address is user */
} rig;

/* ---- The port -------------------------------------------------------------------------------- */

FAKE_INLINE fake_port *fake_of(weir_port *port)
{
    return (fake_port *)(void *)port;
}

FAKE_INLINE void fake_copy(char out[FAKE_TEXT_MAX], weir_bytes in)
{
    size_t len = in.len < FAKE_TEXT_MAX - 1 ? in.len : FAKE_TEXT_MAX - 1;
    if (len > 0) {
        memcpy(out, in.ptr, len);
    }
    out[len] = 0;
}

FAKE_INLINE fake_op *fake_op_new(weir_port *port, fake_kind kind, void *user, uint64_t token)
{
    fake_port *fake = fake_of(port);
    if (fake->room == 0) {
        return NULL;
    }
    fake->room--;
    assert_true(fake->count < FAKE_OPS_MAX);
    fake_op *op = &fake->ops[fake->count++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    op->user = user;
    op->token = token;
    return op;
}

FAKE_INLINE weir_err fake_publish(weir_port *port, const weir_publish *publish, void *user,
                                  uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_PUBLISH, user, token);
    if (op == NULL) {
        return WEIR_AGAIN;
    }
    fake_copy(op->name, publish->name);
    fake_copy(op->topic, publish->topic);
    fake_copy(op->key, publish->key);
    fake_copy(op->value, publish->value);
    op->has_key = publish->key.ptr != NULL;
    op->publish = *publish;
    for (uint32_t i = 0; i < publish->header_count; i++) {
        size_t at = strlen(op->headers);
        snprintf(op->headers + at, FAKE_HEADERS_MAX - at, "%.*s=%.*s;",
                 (int)publish->headers[i].name.len, (const char *)publish->headers[i].name.ptr,
                 (int)publish->headers[i].value.len, (const char *)publish->headers[i].value.ptr);
    }
    if (fake_of(port)->publish_err != WEIR_OK) {
        fake_of(port)->count--;
    }
    return fake_of(port)->publish_err;
}

FAKE_INLINE weir_err fake_open(weir_port *port, void *user, weir_subscriber **subscriber)
{
    fake_op *op = fake_op_new(port, FAKE_OPEN, user, 0);
    *subscriber = op != NULL ? (weir_subscriber *)(void *)fake_of(port) : NULL;
    return op != NULL ? WEIR_OK : WEIR_AGAIN;
}

FAKE_INLINE weir_err fake_close(weir_port *port, weir_subscriber *subscriber, void *user,
                                uint64_t token)
{
    assert_ptr_equal(subscriber, port);
    return fake_op_new(port, FAKE_CLOSE, user, token) != NULL ? WEIR_OK : WEIR_AGAIN;
}

FAKE_INLINE weir_err fake_subscribe(weir_port *port, weir_subscriber *subscriber,
                                    const weir_subscribe *subscribe, void *user, uint64_t token)
{
    assert_ptr_equal(subscriber, port);
    if (fake_of(port)->subscribe_err != WEIR_OK) {
        return fake_of(port)->subscribe_err;
    }
    fake_op *op = fake_op_new(port, FAKE_SUBSCRIBE, user, token);
    if (op == NULL) {
        return WEIR_AGAIN;
    }
    fake_copy(op->name, subscribe->filter);
    op->subscribe = *subscribe;
    return WEIR_OK;
}

FAKE_INLINE weir_err fake_unsubscribe(weir_port *port, weir_subscriber *subscriber,
                                      weir_bytes filter, void *user, uint64_t token)
{
    assert_ptr_equal(subscriber, port);
    fake_op *op = fake_op_new(port, FAKE_UNSUBSCRIBE, user, token);
    if (op == NULL) {
        return WEIR_AGAIN;
    }
    fake_copy(op->name, filter);
    return WEIR_OK;
}

FAKE_INLINE weir_err fake_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                                 uint64_t bytes)
{
    assert_ptr_equal(subscriber, port);
    fake_op *op = fake_op_new(port, FAKE_CREDIT, NULL, 0);
    if (op == NULL) {
        return WEIR_AGAIN;
    }
    op->records = records;
    op->bytes = bytes;
    return WEIR_OK;
}

FAKE_INLINE weir_err fake_done(const fake_op *op)
{
    return op != NULL ? WEIR_OK : WEIR_AGAIN;
}

FAKE_INLINE weir_err fake_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_GROUPS, user, token);
    if (op != NULL) {
        fake_copy(op->name, name);
    }
    return fake_done(op);
}

FAKE_INLINE weir_err fake_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_JOIN, user, token);
    if (op != NULL) {
        fake_copy(op->name, join->group);
        fake_copy(op->key, join->name);
        fake_copy(op->value, join->origin);
    }
    return fake_done(op);
}

FAKE_INLINE weir_err fake_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                                uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_LEAVE, user, token);
    assert_ptr_equal(member, port);
    if (op != NULL) {
        op->records = orderly;
    }
    return fake_done(op);
}

FAKE_INLINE weir_err fake_beat(weir_port *port, weir_member *member)
{
    assert_ptr_equal(member, port);
    return fake_done(fake_op_new(port, FAKE_CARE, NULL, 0));
}

FAKE_INLINE weir_err fake_take(weir_port *port, weir_member *member, const weir_take *take,
                               void *user, uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_TAKE, user, token);
    assert_ptr_equal(member, port);
    if (op != NULL) {
        op->take = *take;
    }
    return fake_done(op);
}

FAKE_INLINE weir_err fake_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                                 void *user, uint64_t token)
{
    fake_op *op = fake_op_new(port, FAKE_SETTLE, user, token);
    assert_ptr_equal(member, port);
    assert_true(settle->range_count > 0);
    if (op != NULL) {
        op->settle = *settle;
        fake_copy(op->value, settle->reason);
    }
    return fake_done(op);
}

static const weir_mqtt_port_ops fake_ops __attribute__((unused)) = {
    fake_publish, fake_open,   fake_close, fake_subscribe, fake_unsubscribe,
    fake_credit,  fake_groups, fake_join,  fake_leave,     fake_beat,
    fake_take,    fake_beat,   fake_settle};

/* ---- The hooks ------------------------------------------------------------------------------- */

FAKE_INLINE uint8_t rig_admit(void *arg, weir_mqtt_session *session,
                              const weir_mqtt_connect *connect)
{
    (void)session;
    (void)connect;
    return ((rig *)arg)->admit_reason;
}

FAKE_INLINE weir_err rig_claim(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    rig *r = arg;
    (void)session;
    r->claims++;
    fake_copy(r->claimed, client_id);
    return r->claim_err;
}

FAKE_INLINE void rig_release(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    (void)session;
    (void)client_id;
    ((rig *)arg)->releases++;
}

static const weir_mqtt_hooks rig_hooks
    __attribute__((unused)) = {rig_admit, rig_claim, rig_release};

/* ---- The rig --------------------------------------------------------------------------------- */

FAKE_INLINE rig *rig_open(void)
{
    rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    r->port.room = SIZE_MAX;
    r->context.port = (weir_port *)(void *)&r->port;
    r->context.ops = &fake_ops;
    r->context.limits = &r->limits;
    r->context.hooks = &rig_hooks;
    r->context.hooks_arg = r;
    r->context.quiet_user = &r->quiet;
    r->context.id_prefix = 0x1234;
    r->context.now_ms = 1000000;
    r->context.wall_ms = 1700000000000;
    assert_int_equal(weir_mqtt_context_init(&r->context), WEIR_OK);
    assert_int_equal(weir_mqtt_session_create(&r->context, &r->user, &r->session), WEIR_OK);
    return r;
}

/* Answers an operation. For publishes `level` is what was reached. */
FAKE_INLINE weir_err rig_complete(rig *r, const fake_op *op, weir_err err, int level)
{
    weir_completion completion = {.err = err, .user = op->user, .token = op->token};
    switch (op->kind) {
    case FAKE_PUBLISH:
        completion.type = WEIR_COMPLETION_PUBLISH;
        completion.published.level = (weir_level)level;
        break;
    case FAKE_SUBSCRIBE:
        completion.type = WEIR_COMPLETION_SUBSCRIBE;
        break;
    case FAKE_UNSUBSCRIBE:
        completion.type = WEIR_COMPLETION_UNSUBSCRIBE;
        completion.existed = true;
        break;
    case FAKE_GROUPS:
        completion.type = WEIR_COMPLETION_GROUPS;
        completion.groups.groups = &r->group;
        completion.groups.count = err == WEIR_OK;
        break;
    case FAKE_JOIN:
        completion.type = WEIR_COMPLETION_MEMBER;
        completion.joined = (weir_joined){.member = (weir_member *)(void *)&r->port,
                                          .model = WEIR_MODEL_QUEUE,
                                          .mode = WEIR_MODE_AT_LEAST_ONCE,
                                          .lease_ms = 30000,
                                          .session_ms = 45000};
        break;
    case FAKE_LEAVE:
        completion.type = WEIR_COMPLETION_LEFT;
        break;
    case FAKE_TAKE:
        completion.type = WEIR_COMPLETION_TAKEN;
        break;
    case FAKE_SETTLE:
        completion.type = WEIR_COMPLETION_SETTLED;
        break;
    default:
        completion.type = WEIR_COMPLETION_CLOSED;
        break;
    }
    return weir_mqtt_session_complete(r->session, &completion, &r->out);
}

/* Whether an operation gets a completion when it succeeds. */
FAKE_INLINE bool fake_is_answered(const fake_op *op)
{
    return op->kind == FAKE_SUBSCRIBE || op->kind == FAKE_UNSUBSCRIBE || op->kind == FAKE_CLOSE ||
           op->kind == FAKE_GROUPS || op->kind == FAKE_JOIN || op->kind == FAKE_LEAVE ||
           op->kind == FAKE_TAKE || (op->kind == FAKE_SETTLE && !op->settle.no_confirm) ||
           (op->kind == FAKE_PUBLISH && !op->publish.no_confirm);
}

/* Ends the session; operations from `from` on are answered with success. */
FAKE_INLINE void rig_end(rig *r, size_t from)
{
    r->port.room = SIZE_MAX;
    weir_err err = weir_mqtt_session_end(r->session);
    for (size_t i = from; i < r->port.count; i++) {
        if (fake_is_answered(&r->port.ops[i])) {
            rig_complete(r, &r->port.ops[i], WEIR_OK, WEIR_LEVEL_DISK);
        }
    }
    if (err == WEIR_AGAIN) {
        err = weir_mqtt_session_end(r->session);
    }
    assert_int_equal(err, WEIR_OK);
}

/* Frees everything, with operations still open. */
FAKE_INLINE void rig_close(rig *r)
{
    weir_mqtt_session_destroy(r->session);
    weir_mqtt_context_fini(&r->context);
    weir_buffer_fini(&r->out);
    weir_buffer_fini(&r->in);
    free(r);
}

/* Gives bytes, behind what is still unused. */
FAKE_INLINE weir_err rig_bytes(rig *r, const void *bytes, size_t len)
{
    size_t used = 0;
    assert_int_equal(weir_buffer_append(&r->in, bytes, len), WEIR_OK);
    weir_err err = weir_mqtt_session_input(r->session, weir_buffer_bytes(&r->in), &r->out, &used);
    assert_true(used <= r->in.len);
    weir_buffer_consume(&r->in, used);
    return err;
}

FAKE_INLINE weir_err rig_again(rig *r)
{
    return rig_bytes(r, "", 0);
}

FAKE_INLINE void packet_append(weir_buffer *to, uint8_t version, const weir_mqtt_packet *packet,
                               const weir_mqtt_property *list, size_t count)
{
    size_t size = weir_mqtt_encode(version, packet, list, count, NULL, 0);
    assert_true(size > 0);
    assert_int_equal(weir_buffer_reserve(to, size), WEIR_OK);
    assert_int_equal(weir_mqtt_encode(version, packet, list, count, to->ptr + to->len, size), size);
    to->len += size;
}

FAKE_INLINE weir_err rig_send_as(rig *r, uint8_t version, const weir_mqtt_packet *packet,
                                 const weir_mqtt_property *list, size_t count)
{
    weir_buffer bytes = {0};
    packet_append(&bytes, version, packet, list, count);
    weir_err err = rig_bytes(r, bytes.ptr, bytes.len);
    weir_buffer_fini(&bytes);
    return err;
}

FAKE_INLINE weir_err rig_send(rig *r, const weir_mqtt_packet *packet,
                              const weir_mqtt_property *list, size_t count)
{
    return rig_send_as(r, weir_mqtt_session_version(r->session), packet, list, count);
}

/* Takes the next packet off the output; its spans live until the next one is taken. */
FAKE_INLINE void rig_read(rig *r, uint8_t type, weir_mqtt_packet *packet)
{
    static uint8_t copy[70000];
    size_t used = 0;
    size_t len = r->out.len < sizeof(copy) ? r->out.len : sizeof(copy);
    uint8_t version = weir_mqtt_session_version(r->session);
    if (len > 0) {
        memcpy(copy, r->out.ptr, len);
    }
    assert_int_equal(weir_mqtt_decode((weir_bytes){copy, len}, version, packet, &used), WEIR_OK);
    assert_string_equal(weir_mqtt_type_name(packet->type), weir_mqtt_type_name(type));
    weir_buffer_consume(&r->out, used);
}

FAKE_INLINE void rig_silent(const rig *r)
{
    assert_int_equal(r->out.len, 0);
}

FAKE_INLINE weir_mqtt_packet connect_packet(uint8_t version, const char *client_id)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNECT};
    packet.connect.version = version;
    packet.connect.clean = true;
    packet.connect.client_id = weir_bytes_of(client_id);
    return packet;
}

/* A session that is connected, its CONNACK read. */
FAKE_INLINE rig *rig_connected(uint8_t version, const weir_mqtt_property *list, size_t count)
{
    rig *r = rig_open();
    weir_mqtt_packet packet = connect_packet(version, "client");
    assert_int_equal(rig_send_as(r, version, &packet, list, count), WEIR_OK);
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    assert_int_equal(packet.reason, 0);
    rig_silent(r);
    return r;
}

FAKE_INLINE weir_mqtt_packet publish_packet(const char *name, const char *payload, uint8_t qos,
                                            uint16_t id)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    packet.publish.name = weir_bytes_of(name);
    packet.publish.payload = weir_bytes_of(payload);
    packet.publish.qos = qos;
    packet.publish.id = id;
    return packet;
}

/* SUBSCRIBE (options >= 0) or UNSUBSCRIBE (-1) of one filter. */
FAKE_INLINE weir_err rig_filter(rig *r, const char *filter, int options, uint16_t id,
                                uint32_t identifier)
{
    uint8_t payload[70000];
    bool subscribe = options >= 0;
    weir_mqtt_packet packet = {.id = id};
    weir_mqtt_property list = {.name = WEIR_MQTT_SUBSCRIPTION_ID, .number = identifier};
    packet.type = subscribe ? WEIR_MQTT_SUBSCRIBE : WEIR_MQTT_UNSUBSCRIBE;
    packet.payload =
        (weir_bytes){payload, weir_mqtt_filter_encode(weir_bytes_of(filter), subscribe,
                                                      (uint8_t)options, payload, sizeof(payload))};
    return rig_send(r, &packet, &list, identifier != 0);
}

FAKE_INLINE fake_op *rig_last(rig *r, fake_kind kind)
{
    for (size_t i = r->port.count; i > 0; i--) {
        if (r->port.ops[i - 1].kind == kind) {
            return &r->port.ops[i - 1];
        }
    }
    fail_msg("no operation of kind %d", (int)kind);
    return NULL;
}

FAKE_INLINE size_t rig_count(const rig *r, fake_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < r->port.count; i++) {
        count += r->port.ops[i].kind == kind;
    }
    return count;
}

/* Subscribes, answers, and expects the granted QoS. Returns the slot. */
FAKE_INLINE uint32_t rig_subscribed(rig *r, const char *filter, int options, uint32_t identifier)
{
    weir_mqtt_packet packet;
    assert_int_equal(rig_filter(r, filter, options, 7, identifier), WEIR_OK);
    fake_op *op = rig_last(r, FAKE_SUBSCRIBE);
    uint32_t slot = op->subscribe.slot;
    assert_int_equal(rig_complete(r, op, WEIR_OK, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_SUBACK, &packet);
    assert_int_equal(packet.payload.ptr[0], (options & 3) > 0);
    return slot;
}

/* ---- Records --------------------------------------------------------------------------------- */

typedef struct fake_record {
    const char *key;
    const char *value;
    uint8_t attributes;
    const weir_header *headers;
    uint32_t header_count;
} fake_record;

FAKE_INLINE weir_chunk *chunk_of(const char *topic, const fake_record *records, size_t count,
                                 int64_t timestamp_ms)
{
    static uint8_t memory[262144];
    static uint8_t rest[131072];
    weir_batch_builder builder;
    weir_chunk *chunk = NULL;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (size_t i = 0; i < count; i++) {
        uint32_t position = 0;
        weir_bytes value = weir_bytes_of(records[i].value);
        size_t len =
            weir_record_rest_encode(value, records[i].headers, records[i].header_count, rest);
        assert_int_equal(weir_batch_add(&builder, records[i].attributes,
                                        weir_bytes_of(records[i].key), (weir_bytes){rest, len},
                                        &position),
                         WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 100, 1, timestamp_ms);
    weir_topic_ref *ref = weir_topic_ref_create(1, weir_bytes_of(topic));
    assert_non_null(ref);
    assert_int_equal(weir_chunk_from_batch(ref, 0, batch, &chunk), WEIR_OK);
    weir_topic_ref_drop(ref);
    return chunk;
}

FAKE_INLINE struct weir_slots *slots_of(const uint32_t *list, uint32_t count)
{
    struct weir_slots *slots = malloc(sizeof(*slots) + count * sizeof(slots->slot[0]));
    assert_non_null(slots);
    atomic_init(&slots->refs, 1);
    slots->count = count;
    memcpy(slots->slot, list, count * sizeof(list[0]));
    return slots;
}

/* Hands over records [first, first + count) of a chunk that stays the caller's, for one slot or
 * (slots) several, which are taken. */
FAKE_INLINE weir_err rig_deliver(rig *r, weir_chunk *chunk, uint32_t first, uint32_t count,
                                 uint32_t slot, struct weir_slots *slots, bool retained)
{
    weir_completion completion = {.type = WEIR_COMPLETION_DELIVERY, .user = &r->user};
    completion.delivery = (weir_delivery){.chunk = weir_chunk_keep(chunk),
                                          .first = first,
                                          .count = count,
                                          .slot = slot,
                                          .slots = slots,
                                          .retained = retained};
    weir_err err = weir_mqtt_session_complete(r->session, &completion, &r->out);
    weir_completion_drop(&completion);
    return err;
}

/* Answers a take with a chunk's first records, under one lease. */
FAKE_INLINE weir_err rig_take(rig *r, const fake_op *op, weir_chunk *chunk, uint32_t count)
{
    weir_completion completion = {
        .type = WEIR_COMPLETION_TAKEN, .user = op->user, .token = op->token};
    count = count < op->take.records_max ? count : op->take.records_max;
    completion.taken = (weir_taken){.runs = malloc(sizeof(weir_handed)),
                                    .run_count = 1,
                                    .epoch = 1,
                                    .lease_ms = 30000,
                                    .mode = WEIR_MODE_AT_LEAST_ONCE};
    assert_non_null(completion.taken.runs);
    completion.taken.runs[0] = (weir_handed){
        .chunk = weir_chunk_keep(chunk), .count = count, .lease = ++r->leases, .leased = 1};
    weir_err err = weir_mqtt_session_complete(r->session, &completion, &r->out);
    weir_completion_drop(&completion);
    return err;
}

FAKE_INLINE void assert_bytes(weir_bytes bytes, const char *text)
{
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.ptr, text, bytes.len);
}

#endif
