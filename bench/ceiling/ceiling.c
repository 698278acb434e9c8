/* bench/ceiling/ceiling.c - the null broker: one thread, epoll, zero copies where nothing waits.
 *
 *   a turn:  every ready connection: one read -> packets; a run of PUBLISH goes to every subscriber
 * in one write each, straight from the read buffer append, sync once -> every publisher's
 * acknowledgements in one write
 *
 * Identifiers: a PUBLISH above QoS 0 gets the next number of one counter for all subscribers,
 * written over the publisher's own in the read buffer. Each subscriber gets every message, so a
 * number comes back only after 65,535 others.
 *
 * The file is written with zeros once and then used in a circle, so that a sync is no growth of it.
 *
 * [N1] An acknowledgement leaves after the sync of the turn in which its PUBLISH was read. */
#include "bench/ceiling/ceiling.h"

#include "bench/stream.h"

#include "adapters/proto/mqtt/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 1024,
    PEERS_STEP = 1024,
    LOG_BYTES = 32 * 1024 * 1024,
    PUBACK = 0x40,
    PUBREC = 0x50,
    PUBREL = 0x62,
    PUBCOMP = 0x70,
};

typedef struct ceiling_client {
    weir_stream stream; /* first: epoll's pointer is the client's */
    uint8_t version;
    bool owes; /* has acknowledgements in `stream.out` that wait for the turn's sync */
} ceiling_client;

typedef struct ceiling {
    const weir_ceiling_options *options;
    int epoll;
    int log;
    off_t log_at;
    size_t unsynced;
    uint16_t last_id;
    ceiling_client **subscribers;
    size_t subscriber_count;
    ceiling_client **owing; /* in this turn */
    size_t owing_count;
    size_t capacity; /* of both lists */
    size_t client_count;
    uint8_t acks[WEIR_STREAM_CARRY_BYTES_MAX + WEIR_STREAM_READ_BYTES];
    weir_stream_buffer buffer;
} ceiling;

/* ---- The log -----------------------------------------------------------------------------------
 */

static weir_err log_open(ceiling *own)
{
    char path[512];
    uint8_t *zeros = own->buffer.bytes;
    if (!own->options->append) {
        return WEIR_OK;
    }
    snprintf(path, sizeof(path), "%s/ceiling.log", own->options->folder);
    own->log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    memset(zeros, 0, WEIR_STREAM_READ_BYTES);
    for (off_t at = 0; own->log >= 0 && at < LOG_BYTES; at += WEIR_STREAM_READ_BYTES) {
        if (pwrite(own->log, zeros, WEIR_STREAM_READ_BYTES, at) != WEIR_STREAM_READ_BYTES) {
            return WEIR_IO;
        }
    }
    return own->log >= 0 && fdatasync(own->log) == 0 ? WEIR_OK : WEIR_IO;
}

static weir_err log_append(ceiling *own, const uint8_t *bytes, size_t len)
{
    if (!own->options->append) {
        return WEIR_OK;
    }
    if (own->log_at + (off_t)len > LOG_BYTES) {
        own->log_at = 0;
    }
    if (pwrite(own->log, bytes, len, own->log_at) != (ssize_t)len) {
        return WEIR_IO;
    }
    own->log_at += (off_t)len;
    own->unsynced += len;
    return WEIR_OK;
}

/* ---- Clients -----------------------------------------------------------------------------------
 */

static weir_err lists_grow(ceiling *own)
{
    size_t capacity = own->capacity + PEERS_STEP;
    ceiling_client **subscribers;
    ceiling_client **owing;
    if (own->client_count < own->capacity) {
        return WEIR_OK;
    }
    subscribers = realloc(own->subscribers, capacity * sizeof(ceiling_client *));
    own->subscribers = subscribers != NULL ? subscribers : own->subscribers;
    owing = realloc(own->owing, capacity * sizeof(ceiling_client *));
    own->owing = owing != NULL ? owing : own->owing;
    if (subscribers == NULL || owing == NULL) {
        return WEIR_NO_MEMORY;
    }
    own->capacity = capacity;
    return WEIR_OK;
}

static void client_end(ceiling *own, ceiling_client *client)
{
    for (size_t i = 0; i < own->subscriber_count; i++) {
        if (own->subscribers[i] == client) {
            own->subscribers[i] = own->subscribers[--own->subscriber_count];
            break;
        }
    }
    for (size_t i = 0; i < own->owing_count; i++) {
        if (own->owing[i] == client) {
            own->owing[i] = own->owing[--own->owing_count];
            break;
        }
    }
    weir_stream_close(&client->stream);
    free(client);
    own->client_count--;
}

static void accept_all(ceiling *own)
{
    const int one = 1;
    for (;;) {
        struct epoll_event event = {.events = EPOLLIN};
        int fd = accept4(own->options->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        ceiling_client *fresh;
        if (fd < 0) {
            return;
        }
        fresh = lists_grow(own) == WEIR_OK ? calloc(1, sizeof(*fresh)) : NULL;
        if (fresh == NULL) {
            close(fd);
            return;
        }
        fresh->stream.fd = fd;
        event.data.ptr = fresh;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)epoll_ctl(own->epoll, EPOLL_CTL_ADD, fd, &event);
        own->client_count++;
    }
}

/* ---- Packets -----------------------------------------------------------------------------------
 */

/* One subscriber that fails is found by its own event; the others get theirs. */
static void forward(ceiling *own, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < own->subscriber_count; i++) {
        ceiling_client *subscriber = own->subscribers[i];
        (void)weir_stream_send(&subscriber->stream, own->epoll, subscriber,
                               (weir_bytes){bytes, len});
    }
}

/* Numbers the packet anew; returns the publisher's identifier, 0 at QoS 0 or when it is cut. */
static uint16_t publish_number(ceiling *own, uint8_t *packet, size_t len, size_t head)
{
    uint8_t *at = packet + head;
    uint16_t id;
    if ((packet[0] & 6) == 0 || len < head + 2 || len < head + 4 + weir_get16(at)) {
        return 0;
    }
    at += 2 + weir_get16(at);
    id = weir_get16(at);
    own->last_id = own->last_id == UINT16_MAX ? 1 : (uint16_t)(own->last_id + 1);
    weir_put16(at, own->last_id);
    return id;
}

static weir_err control_answer(ceiling *own, ceiling_client *client, const uint8_t *bytes,
                               size_t len)
{
    uint8_t out[64];
    uint8_t granted = 0;
    uint8_t options = 0;
    weir_bytes filter;
    weir_mqtt_packet packet;
    weir_mqtt_packet answer = {0};
    size_t used;
    weir_err err = weir_mqtt_decode((weir_bytes){bytes, len}, client->version, &packet, &used);
    if (err != WEIR_OK) {
        return err;
    }
    if (packet.type == WEIR_MQTT_CONNECT) {
        client->version = packet.connect.version;
        answer.type = WEIR_MQTT_CONNACK;
    } else if (packet.type == WEIR_MQTT_SUBSCRIBE && own->subscriber_count < own->capacity) {
        (void)weir_mqtt_filter_next(&packet.payload, true, &filter, &options);
        granted = options & WEIR_MQTT_OPTION_QOS;
        answer.type = WEIR_MQTT_SUBACK;
        answer.id = packet.id;
        answer.payload = (weir_bytes){&granted, 1};
        own->subscribers[own->subscriber_count++] = client;
    } else if (packet.type == WEIR_MQTT_PINGREQ) {
        answer.type = WEIR_MQTT_PINGRESP;
    } else {
        return WEIR_CLOSED;
    }
    used = weir_mqtt_encode(client->version, &answer, NULL, 0, out, sizeof(out));
    return weir_stream_send(&client->stream, own->epoll, client, (weir_bytes){out, used});
}

/* Any packet but PUBLISH; *out: the end of the answers, which are moved on. */
static weir_err control_take(ceiling *own, ceiling_client *client, const uint8_t *packet,
                             size_t len, size_t head, uint8_t **out)
{
    uint16_t id = len >= head + 2 ? weir_get16(packet + head) : 0;
    switch (packet[0] >> 4) {
    case WEIR_MQTT_PUBACK:
    case WEIR_MQTT_PUBCOMP:
        return WEIR_OK;
    case WEIR_MQTT_PUBREC:
        *out = weir_put_ack(*out, PUBREL, id);
        return WEIR_OK;
    case WEIR_MQTT_PUBREL:
        *out = weir_put_ack(*out, PUBCOMP, id);
        return WEIR_OK;
    default:
        return control_answer(own, client, packet, len);
    }
}

/* A run of PUBLISH packets, whole: to the log and to everybody. */
static weir_err run_end(ceiling *own, const uint8_t *bytes, size_t len)
{
    if (len == 0) {
        return WEIR_OK;
    }
    forward(own, bytes, len);
    return log_append(own, bytes, len);
}

/* [N1] Kept until the sync when there is one. */
static weir_err answers_send(ceiling *own, ceiling_client *client, size_t len)
{
    uint8_t *room;
    if (len == 0) {
        return WEIR_OK;
    }
    if (!own->options->sync) {
        return weir_stream_send(&client->stream, own->epoll, client, (weir_bytes){own->acks, len});
    }
    room = weir_stream_room(&client->stream, len);
    if (room == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(room, own->acks, len);
    client->stream.out_len += (uint32_t)len;
    if (!client->owes) {
        client->owes = true;
        own->owing[own->owing_count++] = client;
    }
    return WEIR_OK;
}

static weir_err packets_take(ceiling *own, ceiling_client *client, uint8_t *bytes, size_t len)
{
    size_t at = 0;
    size_t run = 0; /* where the run of PUBLISH packets begins */
    uint8_t *out = own->acks;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && at < len) {
        size_t head = 0;
        size_t packet_len = weir_packet_len(bytes + at, len - at, &head);
        if (packet_len == 0) {
            break;
        }
        if (packet_len == WEIR_PACKET_BAD) {
            return WEIR_MALFORMED;
        }
        if (bytes[at] >> 4 == WEIR_MQTT_PUBLISH) {
            uint16_t id = publish_number(own, bytes + at, packet_len, head);
            out = id == 0 ? out : weir_put_ack(out, (bytes[at] & 6) == 2 ? PUBACK : PUBREC, id);
        } else {
            err = run_end(own, bytes + run, at - run);
            run = at + packet_len;
            err = err == WEIR_OK ? control_take(own, client, bytes + at, packet_len, head, &out)
                                 : err;
        }
        at += packet_len;
    }
    if (err == WEIR_OK) {
        err = run_end(own, bytes + run, at > run ? at - run : 0);
    }
    if (err == WEIR_OK) {
        err = answers_send(own, client, (size_t)(out - own->acks));
    }
    return err == WEIR_OK ? weir_stream_keep(&client->stream, bytes + at, len - at) : err;
}

static void client_event(ceiling *own, ceiling_client *client, uint32_t events)
{
    size_t len = 0;
    weir_err err = WEIR_OK;
    if ((events & EPOLLOUT) != 0 && !client->owes) {
        err = weir_stream_flush(&client->stream, own->epoll, client);
    }
    if (err == WEIR_OK && (events & ~(uint32_t)EPOLLOUT) != 0) {
        err = weir_stream_read(&client->stream, &own->buffer, &len);
        err = err == WEIR_OK ? packets_take(own, client, own->buffer.bytes, len) : err;
    }
    if (err != WEIR_OK && err != WEIR_AGAIN) {
        client_end(own, client);
    }
}

/* ---- The loop ----------------------------------------------------------------------------------
 */

static weir_err turn_end(ceiling *own)
{
    if (own->options->sync && own->unsynced > 0 && fdatasync(own->log) != 0) {
        return WEIR_IO;
    }
    own->unsynced = 0;
    for (size_t i = 0; i < own->owing_count; i++) {
        ceiling_client *client = own->owing[i];
        client->owes = false;
        (void)weir_stream_flush(&client->stream, own->epoll, client);
    }
    own->owing_count = 0;
    return WEIR_OK;
}

static weir_err serve(ceiling *own)
{
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(own->epoll, events, EVENTS_MAX, own->options->polling ? 0 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(own);
            } else {
                client_event(own, events[i].data.ptr, events[i].events);
            }
        }
        if (turn_end(own) != WEIR_OK) {
            fprintf(stderr, "ceiling: fdatasync: %s\n", strerror(errno));
            return WEIR_IO;
        }
    }
}

weir_err weir_ceiling_run(const weir_ceiling_options *options)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    struct rlimit limit;
    ceiling *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return WEIR_NO_MEMORY;
    }
    own->options = options;
    own->log = -1;
    own->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)fcntl(options->listener, F_SETFL, O_NONBLOCK);
    if (own->epoll < 0 || log_open(own) != WEIR_OK ||
        epoll_ctl(own->epoll, EPOLL_CTL_ADD, options->listener, &event) != 0) {
        fprintf(stderr, "ceiling: it cannot start: %s\n", strerror(errno));
        return WEIR_IO;
    }
    return serve(own);
}
