/* bench/generator/setup.c - a run's memory, and its connections from none to READY.
 *
 * At most GENERATOR_CONNECTING_MAX connects are under way at once, so a listener's backlog does not
 * overflow and what is measured is the subject, not the kernel's retries. All of them must be READY
 * within CONNECT_S_MAX.
 *
 * [U1] Whatever was opened is closed by generator_close, from any point of failure. */
#include "bench/generator/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_S_MAX = 60, SPARE_DESCRIPTORS = 64, WAIT_MS = 100 };

static weir_err descriptors_raise(generator *own)
{
    struct rlimit limit;
    rlim_t need = own->peer_count + SPARE_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < need) {
        return weir_result_fail(own->flow.result, WEIR_LIMIT,
                                "%u connections need `ulimit -n` of %lu", own->peer_count,
                                (unsigned long)need);
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0
               ? WEIR_OK
               : weir_result_fail(own->flow.result, WEIR_LIMIT, "setrlimit: %s", strerror(errno));
}

static weir_err workload_check(generator *own)
{
    const weir_bench_workload *work = own->work;
    uint64_t peers = (uint64_t)work->publishers + work->subscribers;
    if (work->connections > 0) {
        peers = work->connections;
    } else if (work->publishers == 0 || work->subscribers == 0 ||
               work->payload_bytes < WEIR_BENCH_PAYLOAD_BYTES_MIN ||
               work->payload_bytes > WEIR_BENCH_PAYLOAD_BYTES_MAX - 1024 ||
               (work->rate_per_second == 0 && work->in_flight == 0) || work->qos > 2 ||
               (work->rate_per_second == 0 && work->qos > 0 && work->window == 0) ||
               work->window > WEIR_BENCH_WINDOW_MAX) {
        return weir_result_fail(own->flow.result, WEIR_INVALID, "the workload is not one");
    }
    if (peers > WEIR_BENCH_PEERS_MAX || (work->version != 4 && work->version != 5)) {
        return weir_result_fail(own->flow.result, WEIR_INVALID, "the workload is not one");
    }
    own->peer_count = (uint32_t)peers;
    return WEIR_OK;
}

weir_err generator_open(generator *own)
{
    weir_err err = workload_check(own);
    if (err == WEIR_OK) {
        err = descriptors_raise(own);
    }
    if (err == WEIR_OK) {
        err = weir_flow_open(&own->flow);
    }
    if (err != WEIR_OK) {
        return err;
    }
    /* Before the templates are made: each carries it. */
    own->run = (uint32_t)weir_now_ns() ^ ((uint32_t)getpid() << 8);
    own->buffer = malloc(sizeof(*own->buffer));
    own->answers = malloc(sizeof(*own->answers));
    own->peers = calloc(own->peer_count, sizeof(*own->peers));
    own->accounts =
        calloc((size_t)own->work->publishers * own->work->subscribers + 1, sizeof(*own->accounts));
    if (own->buffer == NULL || own->answers == NULL || own->peers == NULL ||
        own->accounts == NULL) {
        return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory for the run");
    }
    for (uint32_t i = 0; i < own->peer_count; i++) {
        generator_peer *peer = &own->peers[i];
        peer->stream.fd = -1;
        peer->subscriber = i < own->work->subscribers;
        peer->index = peer->subscriber ? i : i - own->work->subscribers;
        if (!peer->subscriber && own->work->connections == 0 &&
            publisher_prepare(own, peer) != WEIR_OK) {
            return weir_result_fail(own->flow.result, WEIR_NO_MEMORY, "no memory for the run");
        }
    }
    return WEIR_OK;
}

void generator_close(generator *own)
{
    for (uint32_t i = 0; own->peers != NULL && i < own->peer_count; i++) {
        generator_peer *peer = &own->peers[i];
        if (peer->stage != PEER_IDLE) {
            weir_stream_close(&peer->stream);
        }
        free(peer->ws);
        free(peer->ids);
        free(peer->template);
    }
    for (size_t i = 0;
         own->accounts != NULL && i < (size_t)own->work->publishers * own->work->subscribers; i++) {
        weir_account_fini(&own->accounts[i]);
    }
    free(own->buffer);
    free(own->answers);
    free(own->peers);
    free(own->accounts);
    weir_flow_close(&own->flow);
}

static weir_err connect_begin(generator *own, generator_peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(own->target->port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = peer};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return weir_result_fail(own->flow.result, WEIR_IO, "socket: %s", strerror(errno));
    }
    peer->stream.fd = fd;
    peer->stage = PEER_CONNECTING;
    peer->stream.waits_write = true;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS) {
        return weir_result_fail(own->flow.result, WEIR_IO, "connect: %s", strerror(errno));
    }
    return epoll_ctl(own->flow.epoll, EPOLL_CTL_ADD, fd, &event) == 0
               ? WEIR_OK
               : weir_result_fail(own->flow.result, WEIR_IO, "epoll: %s", strerror(errno));
}

static weir_err connect_event(generator *own, const struct epoll_event *event)
{
    generator_peer *peer = event->data.ptr;
    weir_err err = WEIR_OK;
    if (peer->stage == PEER_CONNECTING && (event->events & ~(uint32_t)EPOLLIN) != 0) {
        err = peer_connected(own, peer);
    }
    if (err == WEIR_OK && (event->events & EPOLLOUT) != 0 && peer->stage != PEER_GONE) {
        err = weir_stream_flush(&peer->stream, own->flow.epoll, peer);
    }
    if (err == WEIR_OK && (event->events & ~(uint32_t)EPOLLOUT) != 0 && peer->stage != PEER_GONE) {
        err = peer_readable(own, peer);
    }
    return err;
}

weir_err generator_connect(generator *own)
{
    struct epoll_event events[GENERATOR_CONNECTING_MAX];
    uint64_t until_ns = weir_now_ns() + (uint64_t)CONNECT_S_MAX * NS_PER_S;
    uint32_t begun = 0;
    while (own->ready_count < own->peer_count) {
        int count;
        while (begun < own->peer_count && begun - own->ready_count < GENERATOR_CONNECTING_MAX) {
            weir_err err = connect_begin(own, &own->peers[begun++]);
            if (err != WEIR_OK) {
                return err;
            }
        }
        count = epoll_wait(own->flow.epoll, events, GENERATOR_CONNECTING_MAX, WAIT_MS);
        for (int i = 0; i < count; i++) {
            weir_err err = connect_event(own, &events[i]);
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
