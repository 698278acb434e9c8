/* tests/contract/sockets.c - what probes over stream sockets share. */
#include "contract.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int path_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(fd >= 0 && strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int tcp_connect(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *colon = strrchr(text, ':');
    assert(fd >= 0 && colon != NULL);
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool contract_socket_connect(contract_peer *peer, const char *address)
{
    const char *path = strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
    peer->fd = path[0] == '/' ? path_connect(path) : tcp_connect(path);
    return peer->fd >= 0;
}

void contract_socket_send(contract_peer *peer, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(peer->fd, at, len, MSG_NOSIGNAL);
        if (sent < 0) {
            return; /* the next read tells */
        }
        at += sent;
        len -= (size_t)sent;
    }
}

void contract_socket_close(contract_peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
        peer->fd = -1;
    }
    weir_buffer_fini(&peer->in);
}

static int64_t now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

void contract_socket_read(contract_peer *peer, int timeout_ms, contract_event *event,
                          size_t (*decode)(contract_peer *peer, weir_bytes in,
                                           contract_event *event))
{
    int64_t until = now_ms() + timeout_ms;
    for (;;) {
        struct pollfd ready = {.fd = peer->fd, .events = POLLIN};
        ssize_t got = 0;
        size_t used = 0;
        int64_t left = until - now_ms();
        event->type = CONTRACT_NOTHING;
        if (peer->in.len > 0) {
            used = decode(peer, weir_buffer_bytes(&peer->in), event);
        }
        if (used > 0 || event->type != CONTRACT_NOTHING) {
            weir_buffer_consume(&peer->in, used);
            return;
        }
        event->type = CONTRACT_NOTHING;
        if (poll(&ready, 1, left > 0 ? (int)left : 0) <= 0) {
            return;
        }
        assert(weir_buffer_reserve(&peer->in, 65536) == WEIR_OK);
        got = recv(peer->fd, peer->in.ptr + peer->in.len, 65536, 0);
        if (got <= 0) {
            event->type = CONTRACT_END;
            return;
        }
        peer->in.len += (size_t)got;
    }
}

void contract_event_record(contract_event *event, weir_bytes name, weir_bytes value)
{
    assert(name.len < CONTRACT_NAME_MAX && value.len <= CONTRACT_VALUE_MAX);
    event->type = CONTRACT_RECORD;
    memcpy(event->name, name.ptr, name.len);
    event->name[name.len] = '\0';
    if (value.len > 0) {
        memcpy(event->value, value.ptr, value.len);
    }
    event->value_len = value.len;
}
