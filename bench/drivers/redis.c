/* bench/drivers/redis.c - Redis Streams through hiredis: XADD pipelined, XRANGE, XREADGROUP, XACK.
 *
 *   log:    XADD s * d PAYLOAD, 2000 under way;  XRANGE s (LAST + COUNT 1000
 *   queue:  XADD, 1000 under way;  XREADGROUP GROUP g N COUNT 256, then one XACK for all of them
 *
 * Each consumer has a thread and a connection. A message counts as settled once XACK was answered.
 *
 * [E1] The pipeline is refilled by halves, so that the server always has something to do. */
#include "bench/drivers/broker.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIPELINE_LOG = 2000,
    PIPELINE_QUEUE = 1000,
    RANGE_COUNT = 1000,
    GROUP_COUNT = 256,
    ID_BYTES_MAX = 48,
    HEAD_BYTES_MAX = 64,
};

typedef struct pipeline {
    redisContext *context;
    unsigned under_way;
    size_t head_bytes;
    size_t command_bytes;
    char command[HEAD_BYTES_MAX + WEIR_DRIVE_PAYLOAD_BYTES_MAX + 2];
} pipeline;

static pipeline line; /* the publisher's, and what the one reader asks through */

static unsigned window(const weir_drive *own)
{
    return own->work->kind == WEIR_BENCH_QUEUE_DRAIN || own->work->kind == WEIR_BENCH_QUEUE_PACED
               ? PIPELINE_QUEUE
               : PIPELINE_LOG;
}

static redisContext *connect_to(weir_drive *own)
{
    redisContext *context = redisConnect("127.0.0.1", own->target.port);
    if (context == NULL || context->err != 0) {
        (void)weir_drive_fail(own, WEIR_CLOSED, "Redis cannot be reached: %.80s",
                              context != NULL ? context->errstr : "no memory");
        redisFree(context);
        return NULL;
    }
    return context;
}

/* False on an error answer or a broken connection. Takes the reply. */
static bool answer_is_good(weir_drive *own, const redisContext *context, redisReply *reply)
{
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!good) {
        (void)weir_drive_fail(own, WEIR_PROTOCOL, "Redis said: %.120s",
                              reply != NULL ? reply->str : context->errstr);
    }
    freeReplyObject(reply);
    return good;
}

static bool pipeline_open(weir_drive *own)
{
    line.context = connect_to(own);
    line.head_bytes = (size_t)snprintf(
        line.command, HEAD_BYTES_MAX,
        "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nd\r\n$%u\r\n", own->work->payload_bytes);
    line.command_bytes = line.head_bytes + own->work->payload_bytes + 2;
    memcpy(line.command + line.command_bytes - 2, "\r\n", 2);
    return line.context != NULL;
}

static bool pipeline_add(weir_drive *own, uint64_t intended_ns)
{
    weir_drive_next(own, intended_ns);
    memcpy(line.command + line.head_bytes, own->payload, own->work->payload_bytes);
    line.under_way++;
    return redisAppendFormattedCommand(line.context, line.command, line.command_bytes) ==
               REDIS_OK ||
           weir_drive_fail(own, WEIR_NO_MEMORY, "hiredis: %.80s", line.context->errstr);
}

/* Takes answers until no more than `most` are under way. */
static bool pipeline_take(weir_drive *own, unsigned most)
{
    uint64_t count = 0;
    while (line.under_way > most) {
        void *reply = NULL;
        if (redisGetReply(line.context, &reply) != REDIS_OK) {
            reply = NULL;
        }
        if (!answer_is_good(own, line.context, reply)) {
            return false;
        }
        line.under_way--;
        count++;
    }
    own->result->acked += count;
    weir_drive_done(own, own->work->kind == WEIR_BENCH_STREAM ? count : 0);
    return true;
}

static bool publish(weir_drive *own, uint64_t intended_ns)
{
    return pipeline_add(own, intended_ns) &&
           (line.under_way < window(own) || pipeline_take(own, window(own) / 2)); /* [E1] */
}

static bool complete(weir_drive *own)
{
    return pipeline_take(own, 0);
}

static bool publish_one(weir_drive *own, uint64_t intended_ns)
{
    return pipeline_add(own, intended_ns) && complete(own);
}

/* Writes what was added and takes the answers that are there, waiting for none. */
static bool publish_now(weir_drive *own, uint64_t intended_ns)
{
    struct pollfd readable = {.fd = line.context->fd, .events = POLLIN};
    void *reply = NULL;
    int written = 0;
    if (!pipeline_add(own, intended_ns)) {
        return false;
    }
    while (written == 0) {
        if (redisBufferWrite(line.context, &written) != REDIS_OK) {
            return weir_drive_fail(own, WEIR_CLOSED, "hiredis: %.80s", line.context->errstr);
        }
    }
    if (poll(&readable, 1, 0) > 0 && redisBufferRead(line.context) != REDIS_OK) {
        return weir_drive_fail(own, WEIR_CLOSED, "hiredis: %.80s", line.context->errstr);
    }
    while (redisGetReplyFromReader(line.context, &reply) == REDIS_OK && reply != NULL) {
        if (!answer_is_good(own, line.context, reply)) {
            return false;
        }
        line.under_way--;
        own->result->acked++;
        reply = NULL;
    }
    return line.under_way < window(own) || pipeline_take(own, window(own) / 2);
}

/* ---- The log -----------------------------------------------------------------------------------
 */

static bool entry_payload(const redisReply *entry, const redisReply **id, const redisReply **value)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[1]->type != REDIS_REPLY_ARRAY || entry->element[1]->elements != 2) {
        return false;
    }
    *id = entry->element[0];
    *value = entry->element[1]->element[1];
    return true;
}

/* One pass over the stream; ends early when the measured time does and `timed`. */
static bool read_pass(weir_drive *own, bool timed, bool *whole)
{
    redisContext *context = line.context;
    char from[ID_BYTES_MAX] = "-";
    *whole = false;
    while (!timed || weir_drive_goes_on(own)) {
        redisReply *reply = redisCommand(context, "XRANGE s %s + COUNT %d", from, RANGE_COUNT);
        size_t count = reply != NULL && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
        for (size_t i = 0; i < count; i++) {
            const redisReply *id;
            const redisReply *value;
            if (!entry_payload(reply->element[i], &id, &value)) {
                own->result->alien++;
                continue;
            }
            (void)weir_drive_read(own, value->str, value->len);
            if (i == count - 1) {
                snprintf(from, sizeof(from), "(%s", id->str);
            }
        }
        if (!answer_is_good(own, context, reply)) {
            return false;
        }
        weir_drive_done(own, timed ? count : 0);
        if (count == 0) {
            *whole = true;
            return true;
        }
    }
    return true;
}

/* ---- The queue ---------------------------------------------------------------------------------
 */

/* Acknowledges all that one read brought, with one command. */
static bool batch_settle(weir_drive *own, redisContext *context, const redisReply *entries)
{
    const char *words[3 + GROUP_COUNT] = {"XACK", "s", "g"};
    size_t lengths[3 + GROUP_COUNT] = {4, 1, 1};
    int count = 3;
    for (size_t i = 0; i < entries->elements && i < GROUP_COUNT; i++) {
        words[count] = entries->element[i]->element[0]->str;
        lengths[count++] = entries->element[i]->element[0]->len;
    }
    if (!answer_is_good(own, context, redisCommandArgv(context, count, words, lengths))) {
        return false;
    }
    weir_drive_done(own, (uint64_t)(count - 3));
    return true;
}

static bool batch_take(weir_drive_consumer *consumer, redisContext *context,
                       const redisReply *entries)
{
    uint64_t now_ns = weir_now_ns();
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *id;
        const redisReply *value;
        if (!entry_payload(entries->element[i], &id, &value)) {
            return weir_drive_fail(consumer->own, WEIR_PROTOCOL, "Redis gave no stream entry");
        }
        weir_drive_take(consumer, value->str, value->len, now_ns);
    }
    return batch_settle(consumer->own, context, entries);
}

static void *consumer_body(void *arg)
{
    weir_drive_consumer *consumer = arg;
    weir_drive *own = consumer->own;
    redisContext *context = connect_to(own);
    bool good = context != NULL;
    while (good && !atomic_load(&own->stopping)) {
        redisReply *reply =
            redisCommand(context, "XREADGROUP GROUP g c%u COUNT %d BLOCK 100 STREAMS s >",
                         consumer->index, GROUP_COUNT);
        if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
            good = batch_take(consumer, context, reply->element[0]->element[1]);
            freeReplyObject(reply);
        } else {
            good = answer_is_good(own, context, reply); /* nil: nothing came */
        }
    }
    redisFree(context);
    return NULL;
}

static bool prepare(weir_drive *own)
{
    return answer_is_good(own, line.context,
                          redisCommand(line.context, "XGROUP CREATE s g 0 MKSTREAM"));
}

void weir_drive_library(char *text, size_t size)
{
    snprintf(text, size, "hiredis %d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

void weir_drive_work(weir_drive *own)
{
    static const weir_broker redis = {.name = "Redis",
                                      .open = pipeline_open,
                                      .publish = publish,
                                      .publish_now = publish_now,
                                      .publish_one = publish_one,
                                      .complete = complete,
                                      .read_pass = read_pass,
                                      .prepare = prepare,
                                      .consumer = consumer_body};
    weir_broker_drive(own, &redis);
}
