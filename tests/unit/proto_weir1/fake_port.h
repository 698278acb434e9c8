/* tests/unit/proto_weir1/fake_port.h - a port that only remembers, and chunks to complete with.
 *
 * What the session submits is copied into port->ops; the test completes each operation by hand, in
 * any order. port->room bounds how many submissions are taken before WEIR_AGAIN. A program includes
 * this header in one file. */
#ifndef WEIR_TESTS_FAKE_PORT_H
#define WEIR_TESTS_FAKE_PORT_H

#include "adapters/proto/weir1/frame.h"
#include "adapters/proto/weir1/session.h"
#include "core/base/buffer.h"
#include "core/batch/batch.h"

#include <stdlib.h>
#include <string.h>

#define FAKE_UNUSED __attribute__((unused))

#ifndef FAKE_OPS_MAX /* a fuzzer makes a port for each input, and wants a small one */
#define FAKE_OPS_MAX 4096
#endif

enum { FAKE_TEXT_MAX = 300, FAKE_RECORDS_MAX = 64, FAKE_RANGES_MAX = 4 };

/* ---- Chunks: a RecordBatch built here ----------------------------------------------------------
 */

struct weir_chunk {
    char topic[64];
    uint32_t partition;
    uint32_t count;
    weir_bytes batch;
    uint32_t positions[FAKE_RECORDS_MAX];
    weir_batch_builder builder;
    uint8_t memory[65536];
};

weir_bytes weir_chunk_topic(const weir_chunk *chunk)
{
    return weir_bytes_of(chunk->topic);
}

uint32_t weir_chunk_partition(const weir_chunk *chunk)
{
    return chunk->partition;
}

uint32_t weir_chunk_count(const weir_chunk *chunk)
{
    return chunk->count;
}

weir_bytes weir_chunk_batch(const weir_chunk *chunk)
{
    return chunk->batch;
}

void weir_chunk_record(const weir_chunk *chunk, uint32_t index, weir_record *record)
{
    weir_batch_head head;
    size_t used = 0;
    if (weir_batch_head_decode(chunk->batch, &head) != WEIR_OK ||
        weir_batch_record_decode(chunk->batch, &head, chunk->positions[index], record, &used) !=
            WEIR_OK) {
        abort();
    }
}

FAKE_UNUSED static void fake_chunk_begin(weir_chunk *chunk, const char *topic, uint32_t partition)
{
    memset(chunk, 0, offsetof(weir_chunk, memory));
    strcpy(chunk->topic, topic);
    chunk->partition = partition;
    weir_batch_begin(&chunk->builder, chunk->memory, sizeof(chunk->memory));
}

FAKE_UNUSED static void fake_chunk_add(weir_chunk *chunk, weir_bytes key, weir_bytes value,
                                       const weir_header *headers, uint32_t header_count)
{
    static uint8_t rest[32768];
    size_t len = weir_record_rest_encode(value, headers, header_count, rest);
    if (weir_batch_add(&chunk->builder, 0, key, (weir_bytes){rest, len},
                       &chunk->positions[chunk->count]) != WEIR_OK) {
        abort();
    }
    chunk->count++;
}

FAKE_UNUSED static void fake_chunk_end(weir_chunk *chunk, int64_t base_offset)
{
    chunk->batch = weir_batch_finish(&chunk->builder, base_offset, 0, 1700000000000);
}

/* ---- The port ----------------------------------------------------------------------------------
 */

typedef enum fake_kind {
    FAKE_PUBLISH = 1,
    FAKE_PRODUCE,
    FAKE_FETCH,
    FAKE_CANCEL,
    FAKE_OPEN,
    FAKE_CLOSE,
    FAKE_SUBSCRIBE,
    FAKE_CREDIT,
    FAKE_CREATE,
    FAKE_LEVEL,
    FAKE_DELETE,
    FAKE_TOPICS,
    FAKE_OFFSETS,
    FAKE_TRIM,
    FAKE_GROUP, /* create, alter, delete, reset: `action` */
    FAKE_GROUPS,
    FAKE_JOIN,
    FAKE_LEAVE,
    FAKE_BEAT,
    FAKE_REVOKED,
    FAKE_TAKE,
    FAKE_TAKE_CANCEL,
    FAKE_SETTLE,
    FAKE_WHY
} fake_kind;

typedef struct fake_op {
    fake_kind kind;
    uint64_t token;
    bool done;
    char name[FAKE_TEXT_MAX]; /* "(null)" for null */
    char topic[FAKE_TEXT_MAX];
    char key[FAKE_TEXT_MAX];
    char value[FAKE_TEXT_MAX];
    size_t value_len;
    char headers[FAKE_TEXT_MAX]; /* name=value;... */
    uint8_t attributes;
    uint32_t partition;
    weir_fetch fetch;
    weir_subscribe subscribe;
    weir_position position; /* the first of subscribe's */
    weir_topic_options options;
    weir_level level;
    weir_offsets_kind offsets;
    int64_t time_ms;
    weir_subscriber *subscriber;
    uint64_t records;
    uint64_t bytes;
    const char *action;
    weir_group_options group_options;
    bool has_options;
    weir_reset reset;
    weir_join join;
    weir_member *member;
    bool orderly;
    bool force;
    uint64_t generation;
    weir_take take;
    weir_settle settle;
    weir_settle_range ranges[FAKE_RANGES_MAX]; /* the first of them; topics are not kept */
    int64_t offset;
} fake_op;

struct weir_member {
    int number;
};

struct weir_subscriber {
    int number;
};

struct weir_port {
    fake_op ops[FAKE_OPS_MAX];
    size_t count;
    int64_t room; /* submissions taken before AGAIN; -1: any number */
    weir_err err; /* what the next submission answers, once; OK: as usual */
    weir_subscriber subscribers[FAKE_OPS_MAX];
    int subscriber_count;
    weir_engine_health health;
};

static void fake_copy(char *to, weir_bytes from)
{
    if (from.ptr == NULL) {
        strcpy(to, "(null)");
        return;
    }
    size_t len = from.len < FAKE_TEXT_MAX - 1 ? from.len : FAKE_TEXT_MAX - 1;
    memcpy(to, from.ptr, len);
    to[len] = 0;
}

static weir_err fake_take(weir_port *port, fake_kind kind, uint64_t token, fake_op **op)
{
    weir_err err = port->err;
    port->err = WEIR_OK;
    if (err != WEIR_OK) {
        return err;
    }
    if (port->room == 0 || port->count == FAKE_OPS_MAX) {
        return WEIR_AGAIN;
    }
    port->room -= port->room > 0;
    *op = &port->ops[port->count++];
    memset(*op, 0, sizeof(**op));
    (*op)->kind = kind;
    (*op)->token = token;
    return WEIR_OK;
}

static weir_err fake_publish(weir_port *port, const weir_publish *publish, void *user,
                             uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_PUBLISH, token, &op);
    (void)user;
    if (err != WEIR_OK) {
        return err;
    }
    fake_copy(op->name, publish->name);
    fake_copy(op->topic, publish->topic);
    fake_copy(op->key, publish->key);
    fake_copy(op->value, publish->value);
    op->value_len = publish->value.len;
    op->attributes = publish->attributes;
    for (uint32_t i = 0; i < publish->header_count; i++) {
        char name[FAKE_TEXT_MAX];
        char value[FAKE_TEXT_MAX];
        fake_copy(name, publish->headers[i].name);
        fake_copy(value, publish->headers[i].value);
        if (strlen(op->headers) + strlen(name) + strlen(value) + 3 < FAKE_TEXT_MAX) {
            strcat(strcat(strcat(strcat(op->headers, name), "="), value), ";");
        }
    }
    return WEIR_OK;
}

static weir_err fake_produce(weir_port *port, weir_bytes topic, uint32_t partition,
                             weir_bytes batch, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_PRODUCE, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, topic);
        fake_copy(op->value, batch);
        op->value_len = batch.len;
        op->partition = partition;
    }
    return err;
}

static weir_err fake_fetch(weir_port *port, const weir_fetch *fetch, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_FETCH, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, fetch->topic);
        op->fetch = *fetch;
        op->fetch.topic = WEIR_BYTES_NULL;
    }
    return err;
}

static weir_err fake_fetch_cancel(weir_port *port, void *user, uint64_t token)
{
    fake_op *op = NULL;
    (void)user;
    return fake_take(port, FAKE_CANCEL, token, &op);
}

static weir_err fake_open(weir_port *port, void *user, weir_subscriber **subscriber)
{
    (void)user;
    if (port->subscriber_count == FAKE_OPS_MAX) {
        return WEIR_NO_MEMORY;
    }
    *subscriber = &port->subscribers[port->subscriber_count];
    (*subscriber)->number = port->subscriber_count++;
    return WEIR_OK;
}

static weir_err fake_close(weir_port *port, weir_subscriber *subscriber, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_CLOSE, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        op->subscriber = subscriber;
    }
    return err;
}

static weir_err fake_subscribe(weir_port *port, weir_subscriber *subscriber,
                               const weir_subscribe *subscribe, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_SUBSCRIBE, token, &op);
    (void)user;
    if (err != WEIR_OK) {
        return err;
    }
    op->subscriber = subscriber;
    op->subscribe = *subscribe;
    fake_copy(op->name, subscribe->filter);
    if (subscribe->position_count > 0) {
        op->position = subscribe->positions[0];
        fake_copy(op->topic, subscribe->positions[0].topic);
    }
    return WEIR_OK;
}

static weir_err fake_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                            uint64_t bytes)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_CREDIT, 0, &op);
    if (err == WEIR_OK) {
        op->subscriber = subscriber;
        op->records = records;
        op->bytes = bytes;
        op->done = true;
    }
    return err;
}

static weir_err fake_create(weir_port *port, weir_bytes name, const weir_topic_options *options,
                            void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_CREATE, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, name);
        op->options = *options;
    }
    return err;
}

static weir_err fake_alter(weir_port *port, weir_bytes name, const weir_topic_options *change,
                           void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_LEVEL, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, name);
        op->options = *change;
        op->level = change->level;
    }
    return err;
}

static weir_err fake_trim(weir_port *port, weir_bytes name, uint32_t partition, int64_t before,
                          void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_TRIM, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, name);
        op->partition = partition;
        op->time_ms = before;
    }
    return err;
}

static weir_err fake_delete(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_DELETE, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, name);
    }
    return err;
}

static weir_err fake_topics(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_TOPICS, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, name);
    }
    return err;
}

static weir_err fake_offsets(weir_port *port, weir_bytes topic, weir_offsets_kind kind,
                             int64_t time_ms, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_OFFSETS, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, topic);
        op->offsets = kind;
        op->time_ms = time_ms;
    }
    return err;
}

/* Texts: name is the group; topic, key and value are what the operation has of them. */
static weir_err fake_group(weir_port *port, const char *action, weir_bytes name,
                           const weir_group_options *options, bool force, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_GROUP, token, &op);
    if (err != WEIR_OK) {
        return err;
    }
    op->action = action;
    op->force = force;
    fake_copy(op->name, name);
    if (options != NULL) {
        op->group_options = *options;
        fake_copy(op->topic, options->topic_count > 0 ? options->topics[0] : options->filter);
        fake_copy(op->value, options->dead_letter);
    }
    return WEIR_OK;
}

static weir_err fake_group_create(weir_port *port, weir_bytes name,
                                  const weir_group_options *options, void *user, uint64_t token)
{
    (void)user;
    return fake_group(port, "create", name, options, false, token);
}

static weir_err fake_group_alter(weir_port *port, weir_bytes name, const weir_group_options *change,
                                 void *user, uint64_t token)
{
    (void)user;
    return fake_group(port, "alter", name, change, false, token);
}

static weir_err fake_group_delete(weir_port *port, weir_bytes name, bool force, void *user,
                                  uint64_t token)
{
    (void)user;
    return fake_group(port, "delete", name, NULL, force, token);
}

static weir_err fake_group_reset(weir_port *port, const weir_reset *reset, void *user,
                                 uint64_t token)
{
    weir_err err = fake_group(port, "reset", reset->group, NULL, false, token);
    (void)user;
    if (err == WEIR_OK) {
        port->ops[port->count - 1].reset = *reset;
        fake_copy(port->ops[port->count - 1].topic, reset->topic);
    }
    return err;
}

static weir_err fake_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_GROUPS, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->name, name);
    }
    return err;
}

static weir_err fake_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_JOIN, token, &op);
    (void)user;
    if (err != WEIR_OK) {
        return err;
    }
    op->join = *join;
    op->has_options = join->options != NULL;
    fake_copy(op->name, join->group);
    fake_copy(op->key, join->name);
    fake_copy(op->value, join->instance);
    fake_copy(op->headers, join->origin);
    if (op->has_options) {
        op->group_options = *join->options;
        fake_copy(op->topic, join->options->topic_count > 0 ? join->options->topics[0]
                                                            : join->options->filter);
    }
    return WEIR_OK;
}

static weir_err fake_member(weir_port *port, fake_kind kind, weir_member *member, uint64_t token,
                            fake_op **op)
{
    weir_err err = fake_take(port, kind, token, op);
    if (err == WEIR_OK) {
        (*op)->member = member;
    }
    return err;
}

static weir_err fake_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                           uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_LEAVE, member, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        op->orderly = orderly;
    }
    return err;
}

static weir_err fake_beat(weir_port *port, weir_member *member)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_BEAT, member, 0, &op);
    if (err == WEIR_OK) {
        op->done = true;
    }
    return err;
}

static weir_err fake_revoked(weir_port *port, weir_member *member, uint64_t generation)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_REVOKED, member, 0, &op);
    if (err == WEIR_OK) {
        op->generation = generation;
        op->done = true;
    }
    return err;
}

static weir_err fake_take_records(weir_port *port, weir_member *member, const weir_take *take,
                                  void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_TAKE, member, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        op->take = *take;
    }
    return err;
}

static weir_err fake_take_cancel(weir_port *port, weir_member *member)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_TAKE_CANCEL, member, 0, &op);
    if (err == WEIR_OK) {
        op->done = true;
    }
    return err;
}

static weir_err fake_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                            void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_member(port, FAKE_SETTLE, member, token, &op);
    (void)user;
    if (err != WEIR_OK) {
        return err;
    }
    op->settle = *settle;
    fake_copy(op->topic, settle->ranges[0].topic);
    fake_copy(op->value, settle->reason);
    fake_copy(op->key, settle->metadata);
    for (uint32_t i = 0; i < settle->range_count && i < FAKE_RANGES_MAX; i++) {
        op->ranges[i] = settle->ranges[i];
    }
    return WEIR_OK;
}

static weir_err fake_why(weir_port *port, weir_bytes topic, uint32_t partition, int64_t offset,
                         weir_bytes group, void *user, uint64_t token)
{
    fake_op *op = NULL;
    weir_err err = fake_take(port, FAKE_WHY, token, &op);
    (void)user;
    if (err == WEIR_OK) {
        fake_copy(op->topic, topic);
        fake_copy(op->name, group);
        op->partition = partition;
        op->offset = offset;
    }
    return err;
}

static void fake_stats(weir_port *port, weir_stats *stats)
{
    stats->records_received = port->count;
}

static weir_engine_health fake_health(weir_port *port)
{
    return port->health;
}

static const weir_v1_port_ops fake_port_ops = {
    .publish = fake_publish,
    .produce_batch = fake_produce,
    .fetch = fake_fetch,
    .fetch_cancel = fake_fetch_cancel,
    .subscriber_open = fake_open,
    .subscriber_close = fake_close,
    .subscribe = fake_subscribe,
    .credit = fake_credit,
    .topic_create = fake_create,
    .topic_alter = fake_alter,
    .topic_trim = fake_trim,
    .topic_delete = fake_delete,
    .topics = fake_topics,
    .offsets = fake_offsets,
    .group_create = fake_group_create,
    .group_alter = fake_group_alter,
    .group_delete = fake_group_delete,
    .groups = fake_groups,
    .group_reset = fake_group_reset,
    .member_join = fake_join,
    .member_leave = fake_leave,
    .member_beat = fake_beat,
    .member_revoked = fake_revoked,
    .take = fake_take_records,
    .take_cancel = fake_take_cancel,
    .settle = fake_settle,
    .why = fake_why,
    .stats = fake_stats,
    .health = fake_health,
};

/* What completes an operation of this kind. */
FAKE_UNUSED static weir_completion_type fake_completion_type(fake_kind kind)
{
    switch (kind) {
    case FAKE_PUBLISH:
        return WEIR_COMPLETION_PUBLISH;
    case FAKE_PRODUCE:
        return WEIR_COMPLETION_BATCH;
    case FAKE_FETCH:
        return WEIR_COMPLETION_FETCH;
    case FAKE_CLOSE:
        return WEIR_COMPLETION_CLOSED;
    case FAKE_SUBSCRIBE:
        return WEIR_COMPLETION_SUBSCRIBE;
    case FAKE_TOPICS:
        return WEIR_COMPLETION_TOPICS;
    case FAKE_OFFSETS:
        return WEIR_COMPLETION_OFFSETS;
    case FAKE_GROUP:
        return WEIR_COMPLETION_GROUP;
    case FAKE_GROUPS:
        return WEIR_COMPLETION_GROUPS;
    case FAKE_JOIN:
        return WEIR_COMPLETION_MEMBER;
    case FAKE_LEAVE:
        return WEIR_COMPLETION_LEFT;
    case FAKE_TAKE:
        return WEIR_COMPLETION_TAKEN;
    case FAKE_SETTLE:
        return WEIR_COMPLETION_SETTLED;
    case FAKE_WHY:
        return WEIR_COMPLETION_WHY;
    default:
        return WEIR_COMPLETION_TOPIC;
    }
}

#endif
