/* bench/weir1/setup.c - a run's memory, and its connections from none to READY.
 *
 *   CONNECTING --writable--> [GET, UPGRADING --101-->] hello, GREETING --ok--> READY
 *                                     (JSON's subscriber: subscribe, SUBSCRIBING --ok--> READY;
 *                                      a queue's member: join, JOINING --ok--> READY)
 *
 * A refusal ends the run with a sentence.
 *
 * [U1] Whatever was opened is closed by load_close, from any point of failure. */
#include "bench/weir1/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_S_MAX = 60, WAIT_MS = 100, SOCKET_BUFFER_BYTES = 4 * 1024 * 1024 };

static weir_err work_check(load *own)
{
    const weir_weir1_work *work = own->work;
    bool flow = work->task == WEIR_WEIR1_FLOW;
    bool closed = work->rate_per_second == 0 || work->task == WEIR_WEIR1_READ;
    if (work->publishers == 0 || (work->subscribers == 0 && work->task != WEIR_WEIR1_PUBLISH) ||
        work->publishers > WEIR_BENCH_PEERS_MAX || work->subscribers > WEIR_BENCH_PEERS_MAX ||
        work->batch_records == 0 || (closed && work->window < work->batch_records) ||
        work->window / work->batch_records >= LOAD_REQUESTS ||
        (closed && flow && work->in_flight < work->batch_records) ||
        (work->task == WEIR_WEIR1_READ && (work->fill_bytes == 0 || work->json)) ||
        (load_is_queue(own) && (work->json || work->publishers != 1 || work->lease_records == 0)) ||
        (work->task == WEIR_WEIR1_PACED && work->rate_per_second == 0) ||
        (work->task == WEIR_WEIR1_DRAIN && (work->fill_bytes == 0 || work->rate_per_second > 0))) {
        return weir_result_fail(own->flow.result, WEIR_INVALID, "the workload is not one");
    }
    /* PUBLISH has one reader, which counts what was stored. */
    own->peer_count = work->publishers + (work->task == WEIR_WEIR1_PUBLISH ? 1 : work->subscribers);
    return WEIR_OK;
}

/* In whole messages, so that the last one goes as well. */
static uint64_t sent_most(const weir_weir1_work *work)
{
    uint64_t batch = work->batch_records;
    uint64_t records = (work->fill_bytes + work->payload_bytes - 1) / work->payload_bytes;
    uint64_t each = (records + work->publishers - 1) / work->publishers;
    if (work->task == WEIR_WEIR1_PACED) {
        return LOAD_PACED_RECORDS_MAX;
    }
    return work->task == WEIR_WEIR1_READ || work->task == WEIR_WEIR1_DRAIN
               ? (each + batch - 1) / batch * batch
               : UINT64_MAX;
}

static uint8_t role_of_others(const load *own)
{
    if (load_is_queue(own)) {
        return LOAD_MEMBER;
    }
    return own->work->task == WEIR_WEIR1_FLOW ? LOAD_SUBSCRIBER : LOAD_READER;
}

weir_err load_open(load *own)
{
    weir_err err = work_check(own);
    if (err == WEIR_OK) {
        err = weir_flow_open(&own->flow);
    }
    if (err != WEIR_OK) {
        return err;
    }
    own->run = (uint32_t)weir_now_ns() ^ ((uint32_t)getpid() << 8);
    own->peers = calloc(own->peer_count, sizeof(*own->peers));
    own->accounts = calloc((size_t)own->work->publishers * own->peer_count, sizeof(*own->accounts));
    own->sent_most = sent_most(own->work);
    err = load_is_queue(own) ? weir_tally_init(&own->tally, own->sent_most) : WEIR_OK;
    if (own->peers == NULL || own->accounts == NULL || err != WEIR_OK) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory for the run");
    }
    for (uint32_t i = 0; i < own->peer_count; i++) {
        load_peer *peer = &own->peers[i];
        peer->stream.fd = -1;
        peer->role = i < own->work->publishers ? (uint8_t)LOAD_PUBLISHER : role_of_others(own);
        peer->index = peer->role == LOAD_PUBLISHER ? i : i - own->work->publishers;
        err = peer->role == LOAD_PUBLISHER ? load_publisher_prepare(own, peer) : WEIR_OK;
        if (err != WEIR_OK) {
            return weir_result_fail(own->flow.result, err,
                                    "a message of these records cannot be made: %s",
                                    weir_err_text(err));
        }
    }
    return WEIR_OK;
}

void load_close(load *own)
{
    for (uint32_t i = 0; own->peers != NULL && i < own->peer_count; i++) {
        load_peer *peer = &own->peers[i];
        if (peer->stage != LOAD_IDLE) {
            weir_stream_close(&peer->stream);
        }
        weir_load_template_fini(&peer->template);
        free(peer->ws);
        free(peer->in);
        free(peer->times);
    }
    for (size_t i = 0; own->accounts != NULL && i < (size_t)own->work->publishers * own->peer_count;
         i++) {
        weir_account_fini(&own->accounts[i]);
    }
    free(own->peers);
    free(own->accounts);
    weir_tally_fini(&own->tally);
    weir_buffer_fini(&own->ranges);
    weir_buffer_fini(&own->scratch);
    weir_flow_close(&own->flow);
}

/* ---- Greeting ----------------------------------------------------------------------------------
 */

static weir_err text_send(load *own, load_peer *peer, const char *text)
{
    size_t len = strlen(text);
    return load_send(own, peer,
                     (weir_bytes){(const uint8_t *)text, len - (peer->ws != NULL ? 1 : 0)});
}

static weir_err hello_send(load *own, load_peer *peer)
{
    peer->stage = LOAD_GREETING;
    return text_send(own, peer,
                     "{\"cmd\":\"hello\",\"id\":1,\"version\":1,\"client\":\"bench\"}\n");
}

weir_err load_upgraded(load *own, load_peer *peer, weir_bytes bytes, size_t *used)
{
    const weir_ws_rules rules = {
        .role = WEIR_WS_CLIENT, .message_bytes_max = UINT64_MAX, .fragments_max = UINT32_MAX};
    const uint8_t *end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
    if (end == NULL) {
        return WEIR_MORE;
    }
    if (bytes.len < 12 || memcmp(bytes.ptr, "HTTP/1.1 101", 12) != 0) {
        return weir_result_fail(own->flow.result, WEIR_PROTOCOL,
                                "the upgrade to WebSocket was answered \"%.*s\"",
                                (int)(bytes.len < 40 ? bytes.len : 40), (const char *)bytes.ptr);
    }
    peer->ws = malloc(sizeof(*peer->ws));
    if (peer->ws == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory for a connection");
    }
    weir_ws_reader_init(peer->ws, &rules);
    *used = (size_t)(end - bytes.ptr) + 4;
    return hello_send(own, peer);
}

static weir_err upgrade_send(load *own, load_peer *peer)
{
    char head[512];
    int len = snprintf(head, sizeof(head),
                       "GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: weir.v1\r\n\r\n",
                       own->target->port);
    peer->stage = LOAD_UPGRADING;
    return weir_stream_send(&peer->stream, own->flow.epoll, peer,
                            (weir_bytes){(const uint8_t *)head, (size_t)len});
}

weir_err load_connected(load *own, load_peer *peer)
{
    int number = 0;
    socklen_t len = sizeof(number);
    if (getsockopt(peer->stream.fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0 || number != 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "connect: %s", strerror(number));
    }
    return own->work->websocket ? upgrade_send(own, peer) : hello_send(own, peer);
}

static weir_err ready(load *own, load_peer *peer)
{
    peer->stage = LOAD_READY;
    own->ready_count++;
    if (peer->role == LOAD_SUBSCRIBER && !own->work->json) {
        peer->fetching = true;
        return load_fetch(own, peer, 0);
    }
    return WEIR_OK;
}

weir_err load_greet(load *own, load_peer *peer, weir_bytes message)
{
    if (memmem(message.ptr, message.len, "\"ok\":true", 9) == NULL) {
        return weir_result_fail(own->flow.result, WEIR_PROTOCOL, "a greeting was answered %.*s",
                                (int)(message.len < 120 ? message.len : 120),
                                (const char *)message.ptr);
    }
    if (peer->stage == LOAD_GREETING && peer->role == LOAD_SUBSCRIBER && own->work->json) {
        peer->stage = LOAD_SUBSCRIBING;
        return text_send(own, peer,
                         "{\"cmd\":\"subscribe\",\"id\":2,\"topic\":\"bench\",\"from\":\"end\"}\n");
    }
    if (peer->stage == LOAD_GREETING && peer->role == LOAD_MEMBER) {
        peer->stage = LOAD_JOINING;
        return text_send(own, peer, "{\"cmd\":\"join\",\"id\":2,\"group\":\"jobs\"}\n");
    }
    if (peer->stage == LOAD_JOINING && !weir_load_json_number(message, "member", &peer->member)) {
        return weir_result_fail(own->flow.result, WEIR_PROTOCOL, "a join was answered %.*s",
                                (int)(message.len < 120 ? message.len : 120),
                                (const char *)message.ptr);
    }
    return ready(own, peer);
}

/* ---- Connecting --------------------------------------------------------------------------------
 */

static int tcp_open(const load *own, struct sockaddr_storage *address, socklen_t *len)
{
    const int one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(own->target->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(address, &at, sizeof(at));
    *len = sizeof(at);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    return fd;
}

static int local_open(const load *own, struct sockaddr_storage *address, socklen_t *len)
{
    const int bytes = SOCKET_BUFFER_BYTES; /* the system gives as much as it allows */
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%.*s", (int)sizeof(at.sun_path) - 1,
             own->target->socket);
    memcpy(address, &at, sizeof(at));
    *len = sizeof(at);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    return fd;
}

/* Loopback connects at once: it blocks for no longer than the subject's backlog is full. */
static weir_err connect_begin(load *own, load_peer *peer)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    int fd = own->work->websocket ? tcp_open(own, &address, &len) : local_open(own, &address, &len);
    if (fd < 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "socket: %s", strerror(errno));
    }
    peer->stream.fd = fd;
    peer->stage = LOAD_CONNECTING;
    if (connect(fd, (struct sockaddr *)&address, len) != 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "connect: %s", strerror(errno));
    }
    if (epoll_ctl(own->flow.epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "epoll: %s", strerror(errno));
    }
    return load_connected(own, peer);
}

weir_err load_connect(load *own)
{
    struct epoll_event events[LOAD_CONNECT_EVENTS_MAX];
    uint64_t until_ns = weir_now_ns() + (uint64_t)CONNECT_S_MAX * NS_PER_S;
    for (uint32_t i = 0; i < own->peer_count; i++) {
        weir_err err = connect_begin(own, &own->peers[i]);
        if (err != WEIR_OK) {
            return err;
        }
    }
    while (own->ready_count < own->peer_count) {
        int count = epoll_wait(own->flow.epoll, events, LOAD_CONNECT_EVENTS_MAX, WAIT_MS);
        for (int i = 0; i < count; i++) {
            load_peer *peer = events[i].data.ptr;
            weir_err err = peer->stage == LOAD_GONE ? WEIR_CLOSED : load_readable(own, peer);
            if (err != WEIR_OK) {
                return weir_result_fail(own->flow.result, err, "connecting failed: %s",
                                        weir_err_text(err));
            }
        }
        if (weir_now_ns() > until_ns) {
            return weir_result_fail(own->flow.result, WEIR_TIMEOUT,
                                    "%u of %u connections were ready after %d s", own->ready_count,
                                    own->peer_count, CONNECT_S_MAX);
        }
    }
    return WEIR_OK;
}
