/* bench/drivers/amqp.c - RabbitMQ's queues through librabbitmq: persistent, publisher confirms.
 *
 *   publish:  1000 unconfirmed at most; confirms come alone or for all up to a number
 *   read:     one consumer; of a stream from its first message, prefetch 1000, an ack each 100
 *   queue:    4 consumers, each with a connection, prefetch 1000, an ack for each message
 *
 * The mode of the target is the kind of queue: "classic", "quorum" or "stream". An ack has no
 * answer: a message counts as settled when its ack was written.
 *
 * [A1] Confirms are counted by their numbers, which rise by one from 1 with each publish. */
#include "bench/drivers/broker.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNCONFIRMED_MAX = 1000,
    PREFETCH = 1000,
    STREAM_ACK_EACH = 100,
    CHANNEL = 1,
    FRAME_BYTES_MAX = 131072,
    WAIT_MS = 100,
    PERSISTENT = 2,
};

#define QUEUE "bench"

static struct {
    amqp_connection_state_t link;
    uint64_t published;
    uint64_t confirmed;
} publisher;

static bool reply_check(weir_drive *own, amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return true;
    }
    return weir_drive_fail(own, WEIR_PROTOCOL, "RabbitMQ, %s: %s", what,
                           reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                               ? amqp_error_string2(reply.library_error)
                               : "it closed the channel");
}

static bool status_check(weir_drive *own, int status, const char *what)
{
    return status == AMQP_STATUS_OK || weir_drive_fail(own, WEIR_PROTOCOL, "RabbitMQ, %s: %s", what,
                                                       amqp_error_string2(status));
}

static bool link_open(weir_drive *own, amqp_connection_state_t *link)
{
    amqp_socket_t *socket;
    *link = amqp_new_connection();
    socket = *link != NULL ? amqp_tcp_socket_new(*link) : NULL;
    if (socket == NULL) {
        return weir_drive_fail(own, WEIR_NO_MEMORY, "no memory to connect");
    }
    if (!status_check(own, amqp_socket_open(socket, "127.0.0.1", own->target.port), "connect") ||
        !reply_check(
            own,
            amqp_login(*link, "/", 0, FRAME_BYTES_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"),
            "log-in")) {
        return false;
    }
    (void)amqp_channel_open(*link, CHANNEL);
    return reply_check(own, amqp_get_rpc_reply(*link), "channel");
}

static bool is_stream(const weir_drive *own)
{
    return strcmp(own->target.mode, "stream") == 0;
}

/* Makes the queue; what an earlier run left of one is removed. */
static bool publisher_open(weir_drive *own)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-queue-type"),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    const amqp_table_t arguments = {1, &entry};
    const amqp_bytes_t name = amqp_cstring_bytes(QUEUE);
    entry.value.value.bytes = amqp_cstring_bytes(own->target.mode);
    if (own->work->kind == WEIR_BENCH_CATCH_UP && !is_stream(own)) {
        return weir_drive_fail(own, WEIR_NOT_OFFERED, "only a stream can be read again");
    }
    if (!link_open(own, &publisher.link)) {
        return false;
    }
    (void)amqp_queue_delete(publisher.link, CHANNEL, name, 0, 0);
    if (!reply_check(own, amqp_get_rpc_reply(publisher.link), "delete")) {
        return false;
    }
    (void)amqp_queue_declare(publisher.link, CHANNEL, name, 0, 1, 0, 0, arguments);
    if (!reply_check(own, amqp_get_rpc_reply(publisher.link), "declare")) {
        return false;
    }
    (void)amqp_confirm_select(publisher.link, CHANNEL);
    return reply_check(own, amqp_get_rpc_reply(publisher.link), "confirms");
}

/* One frame. *confirmed: how many publishes it confirms. */
static bool confirm_take(weir_drive *own, const amqp_frame_t *frame, uint64_t *confirmed)
{
    const amqp_basic_ack_t *ack;
    *confirmed = 0;
    if (frame->frame_type != AMQP_FRAME_METHOD) {
        return true;
    }
    if (frame->payload.method.id != AMQP_BASIC_ACK_METHOD) {
        return weir_drive_fail(own, WEIR_PROTOCOL, "RabbitMQ sent %s instead of a confirm",
                               amqp_method_name(frame->payload.method.id));
    }
    ack = frame->payload.method.decoded;
    *confirmed = ack->multiple ? ack->delivery_tag - publisher.confirmed : 1; /* [A1] */
    publisher.confirmed += *confirmed;
    return true;
}

/* Takes confirms until no more than `most` are missing, and all that has come already. */
static bool confirms_take(weir_drive *own, uint64_t most)
{
    while (publisher.published - publisher.confirmed > most ||
           amqp_data_in_buffer(publisher.link) || amqp_frames_enqueued(publisher.link)) {
        amqp_frame_t frame;
        uint64_t confirmed;
        const struct timeval wait = {20, 0};
        if (!status_check(own, amqp_simple_wait_frame_noblock(publisher.link, &frame, &wait),
                          "confirm") ||
            !confirm_take(own, &frame, &confirmed)) {
            return false;
        }
        own->result->acked += confirmed;
        weir_drive_done(own, own->work->kind == WEIR_BENCH_STREAM ? confirmed : 0);
        amqp_maybe_release_buffers(publisher.link);
    }
    return true;
}

static bool publish(weir_drive *own, uint64_t intended_ns)
{
    const amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                .delivery_mode = PERSISTENT};
    if (!confirms_take(own, UNCONFIRMED_MAX - 1)) {
        return false;
    }
    weir_drive_next(own, intended_ns);
    publisher.published++;
    return status_check(own,
                        amqp_basic_publish(publisher.link, CHANNEL, amqp_empty_bytes,
                                           amqp_cstring_bytes(QUEUE), 0, 0, &properties,
                                           (amqp_bytes_t){own->work->payload_bytes, own->payload}),
                        "publish");
}

static bool complete(weir_drive *own)
{
    return confirms_take(own, 0);
}

static bool publish_one(weir_drive *own, uint64_t intended_ns)
{
    return publish(own, intended_ns) && complete(own);
}

/* ---- Reading -----------------------------------------------------------------------------------
 */

static bool consume(weir_drive *own, amqp_connection_state_t link, bool no_ack)
{
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-stream-offset"),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    const amqp_table_t from_first = {1, &entry};
    entry.value.value.bytes = amqp_cstring_bytes("first");
    (void)amqp_basic_qos(link, CHANNEL, 0, PREFETCH, 0);
    if (!reply_check(own, amqp_get_rpc_reply(link), "prefetch")) {
        return false;
    }
    (void)amqp_basic_consume(link, CHANNEL, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, no_ack,
                             0, is_stream(own) ? from_first : amqp_empty_table);
    return reply_check(own, amqp_get_rpc_reply(link), "consume");
}

/* One message, or none within WAIT_MS. False: broken. */
static bool message_await(weir_drive *own, amqp_connection_state_t link, amqp_envelope_t *envelope,
                          bool *came)
{
    const struct timeval wait = {0, WAIT_MS * 1000};
    amqp_rpc_reply_t reply;
    amqp_maybe_release_buffers(link);
    reply = amqp_consume_message(link, envelope, &wait, 0);
    *came = reply.reply_type == AMQP_RESPONSE_NORMAL;
    return *came ||
           (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_TIMEOUT) ||
           reply_check(own, reply, "read");
}

/* One pass over a stream, or everything that a queue has. Ends early when the measured time does
 * and `timed`, or when nothing comes any more. */
static bool read_pass(weir_drive *own, bool timed, bool *whole)
{
    amqp_connection_state_t link;
    uint64_t count = 0;
    uint64_t came_ns = weir_now_ns();
    bool good = link_open(own, &link) && consume(own, link, !is_stream(own));
    *whole = false;
    while (good && !*whole && (!timed || count % STREAM_ACK_EACH != 0 || weir_drive_goes_on(own))) {
        amqp_envelope_t envelope;
        bool came = false;
        good = message_await(own, link, &envelope, &came);
        if (came) {
            count += weir_drive_read(own, envelope.message.body.bytes, envelope.message.body.len);
            if (is_stream(own) && count % STREAM_ACK_EACH == 0) {
                (void)amqp_basic_ack(link, CHANNEL, envelope.delivery_tag, 1);
            }
            amqp_destroy_envelope(&envelope);
            weir_drive_done(own, timed ? 1 : 0);
            came_ns = count % STREAM_ACK_EACH == 0 ? weir_now_ns() : came_ns;
        }
        *whole = count >= own->sequence ||
                 (!came && weir_now_ns() > came_ns + (uint64_t)WEIR_DRIVE_QUIET_MS * 1000000);
    }
    amqp_destroy_connection(link);
    return good;
}

/* ---- The queue ---------------------------------------------------------------------------------
 */

static void *consumer_body(void *arg)
{
    weir_drive_consumer *consumer = arg;
    weir_drive *own = consumer->own;
    amqp_connection_state_t link;
    bool good = link_open(own, &link) && consume(own, link, false);
    while (good && !atomic_load(&own->stopping)) {
        amqp_envelope_t envelope;
        bool came = false;
        good = message_await(own, link, &envelope, &came);
        if (came) {
            weir_drive_take(consumer, envelope.message.body.bytes, envelope.message.body.len,
                            weir_now_ns());
            good =
                status_check(own, amqp_basic_ack(link, CHANNEL, envelope.delivery_tag, 0), "ack");
            weir_drive_done(own, 1);
            amqp_destroy_envelope(&envelope);
        }
    }
    return NULL; /* the process ends, and the connection with it */
}

/* The queue itself is all that consumers share. */
static bool prepare(weir_drive *own)
{
    (void)own;
    return true;
}

void weir_drive_library(char *text, size_t size)
{
    snprintf(text, size, "librabbitmq %s", amqp_version());
}

void weir_drive_work(weir_drive *own)
{
    static const weir_broker rabbitmq = {.name = "RabbitMQ",
                                         .open = publisher_open,
                                         .publish = publish,
                                         .publish_now = publish, /* a write for each frame */
                                         .publish_one = publish_one,
                                         .complete = complete,
                                         .read_pass = read_pass,
                                         .prepare = prepare,
                                         .consumer = consumer_body};
    weir_broker_drive(own, &rabbitmq);
}
