/* bench/drivers/sp.c - SP by hand: greet, feed in batches, sink, echo.
 *
 *   a single:  length u64 | payload
 *   a batch:   length u64 | 00 | count u32 | count times: length u32 | name | 00 | payload
 *
 * [S1] A feed has at most in_flight messages between `sent` and `had`: a SUB client whose buffer is
 * larger than that drops nothing. */
#include "bench/drivers/sp.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    GREETING_BYTES = 8,
    LENGTH_BYTES = 8,
    BATCH_HEAD_BYTES = 5,
    FEED_BYTES_MAX = 65536,
    SINK_BYTES = 262144,
    REST_NS = 20000,
};

static bool bytes_write(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, bytes, len, MSG_NOSIGNAL);
        if (put <= 0) {
            return false;
        }
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

static bool greet(int fd, weir_sp_protocol protocol)
{
    uint8_t greeting[GREETING_BYTES] = {0, 'S', 'P', 0, 0, (uint8_t)protocol, 0, 0};
    const int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return bytes_write(fd, greeting, sizeof(greeting)) &&
           recv(fd, greeting, sizeof(greeting), MSG_WAITALL) == GREETING_BYTES &&
           memcmp(greeting, "\0SP", 4) == 0;
}

int weir_sp_connect(uint16_t port, weir_sp_protocol protocol)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        greet(fd, protocol)) {
        return fd;
    }
    return -1;
}

int weir_sp_serve_one(weir_counterpart *shared, weir_sp_protocol protocol)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    atomic_store(&shared->port, ntohs(address.sin_port));
    fd = accept(listener, NULL, NULL);
    return fd >= 0 && greet(fd, protocol) ? fd : -1;
}

/* ---- Feeding -----------------------------------------------------------------------------------
 */

static uint8_t *put32(uint8_t *out, uint32_t value)
{
    value = htobe32(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

static uint8_t *put64(uint8_t *out, uint64_t value)
{
    value = htobe64(value);
    memcpy(out, &value, sizeof(value));
    return out + sizeof(value);
}

/* `count` messages, as singles or as one batch; returns the end. */
static uint8_t *messages_put(weir_drive *own, uint8_t *out, uint64_t count, const char *name)
{
    uint32_t payload_bytes = own->work->payload_bytes;
    size_t name_bytes = name != NULL ? strlen(name) + 1 : 0;
    uint64_t now_ns = weir_now_ns();
    if (name != NULL) {
        out = put64(out, BATCH_HEAD_BYTES + count * (4 + name_bytes + payload_bytes));
        *out++ = 0;
        out = put32(out, (uint32_t)count);
    }
    for (uint64_t i = 0; i < count; i++) {
        weir_drive_next(own, now_ns);
        if (name != NULL) {
            out = put32(out, (uint32_t)name_bytes + payload_bytes);
            memcpy(out, name, name_bytes);
            out += name_bytes;
        } else {
            out = put64(out, payload_bytes);
        }
        memcpy(out, own->payload, payload_bytes);
        out += payload_bytes;
    }
    return out;
}

void weir_sp_feed(weir_drive *own, weir_counterpart *shared, int fd, const char *name)
{
    static uint8_t bytes[FEED_BYTES_MAX];
    size_t each = LENGTH_BYTES + (name != NULL ? strlen(name) + 1 : 0) + own->work->payload_bytes;
    uint64_t most = (FEED_BYTES_MAX - LENGTH_BYTES - BATCH_HEAD_BYTES) / each;
    while (!atomic_load(&shared->stopping)) {
        const struct timespec rest = {0, REST_NS};
        uint64_t under_way = own->sequence - atomic_load(&shared->had);
        uint64_t count = under_way < own->work->in_flight ? own->work->in_flight - under_way : 0;
        count = count < most ? count : most;
        /* Half of the window at once: else it would end up sending message by message. */
        if (count < most && count < own->work->in_flight / 2) { /* [S1] */
            nanosleep(&rest, NULL);
            continue;
        }
        if (!bytes_write(fd, bytes, (size_t)(messages_put(own, bytes, count, name) - bytes))) {
            break;
        }
    }
    atomic_store(&shared->sent, own->sequence);
    atomic_store(&shared->stopped, true);
}

/* ---- Sinking -----------------------------------------------------------------------------------
 */

static void sink_take(weir_drive *own, weir_counterpart *shared, const uint8_t *payload, size_t len)
{
    uint64_t before = own->account.duplicated;
    if (!weir_drive_read(own, payload, len)) {
        atomic_fetch_add(&shared->alien, 1);
    } else if (own->account.duplicated == before) {
        atomic_store(&shared->had, atomic_load(&shared->had) + 1);
    }
}

void weir_sp_sink(weir_drive *own, weir_counterpart *shared, int fd, size_t skip)
{
    static uint8_t bytes[SINK_BYTES];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes + len, sizeof(bytes) - len, 0);
        size_t at = 0;
        if (got <= 0) {
            return;
        }
        len += (size_t)got;
        while (len - at >= LENGTH_BYTES) {
            uint64_t body;
            memcpy(&body, bytes + at, sizeof(body));
            body = be64toh(body);
            if (body > sizeof(bytes) - LENGTH_BYTES || body < skip) {
                return; /* not what anybody here sends */
            }
            if (len - at < LENGTH_BYTES + body) {
                break;
            }
            sink_take(own, shared, bytes + at + LENGTH_BYTES + skip, (size_t)body - skip);
            at += LENGTH_BYTES + (size_t)body;
        }
        memmove(bytes, bytes + at, len - at);
        len -= at;
        atomic_store(&shared->duplicated, own->account.duplicated);
        atomic_store(&shared->reordered, own->account.reordered);
    }
}

void weir_sp_echo(int fd)
{
    static uint8_t bytes[SINK_BYTES];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0 || !bytes_write(fd, bytes, (size_t)got)) {
            return;
        }
    }
}
