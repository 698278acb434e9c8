/* bench/limits/copy.c - how fast bytes go through loopback TCP: from a cached file, and from memory.
 *
 *   sendfile:  child: sendfile(file) again and again     here: recv, counted
 *   tcp:       child: writev of 64 KiB, a vector for each message     here: recv, counted
 *
 * The reader looks at nothing: a catch-up reader of anything does more. */
#include "bench/limits/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    SENDFILE_BYTES = 1024 * 1024,
    FILE_BYTES_LEAST = 384 * 1024 * 1024,
    VECTOR_BYTES = 64 * 1024,
    VECTORS_MAX = 1024
};

static uint64_t file_bytes(const limit_run *run)
{
    uint64_t bytes = (uint64_t)run->work->messages * run->work->payload_bytes;
    bytes =
        bytes > FILE_BYTES_LEAST ? bytes : (uint64_t)FILE_BYTES_LEAST; /* beyond any CPU cache */
    return (bytes / LIMIT_READ_BYTES + 1) * LIMIT_READ_BYTES;
}

static int sendfile_serve(limit_run *run, int fd)
{
    uint64_t bytes = file_bytes(run);
    int file = limit_file(run, 0, bytes);
    off_t at = 0;
    while (file >= 0) {
        ssize_t put = sendfile(fd, file, &at, SENDFILE_BYTES);
        if (put < 0) {
            return errno == EPIPE || errno == ECONNRESET ? 0 : 1;
        }
        at = put == 0 ? 0 : at;
    }
    return 1;
}

static int tcp_serve(limit_run *run, int fd)
{
    size_t message = run->work->payload_bytes;
    size_t count = VECTOR_BYTES / message;
    struct iovec vectors[VECTORS_MAX];
    uint8_t *bytes = calloc(VECTORS_MAX, message);
    count = count < 1 ? 1 : count < VECTORS_MAX ? count : (size_t)VECTORS_MAX;
    while (bytes != NULL) {
        size_t left = count * message;
        for (size_t i = 0; i < count; i++) {
            vectors[i] = (struct iovec){bytes + i * message, message};
        }
        for (size_t first = 0; left > 0;) {
            ssize_t put = writev(fd, vectors + first, (int)(count - first));
            if (put <= 0) {
                return 0;
            }
            left -= (size_t)put;
            while (put > 0 && (size_t)put >= vectors[first].iov_len) {
                put -= (ssize_t)vectors[first++].iov_len;
            }
            if (put > 0) {
                vectors[first].iov_base = (uint8_t *)vectors[first].iov_base + put;
                vectors[first].iov_len -= (size_t)put;
            }
        }
    }
    return 1;
}

static void read_all(limit_run *run)
{
    uint8_t *bytes = malloc(LIMIT_READ_BYTES);
    uint64_t total = 0;
    ssize_t got = bytes == NULL ? 0 : recv(run->fd, bytes, LIMIT_READ_BYTES, 0);
    run->measure_from_ns = weir_now_ns() + run->work->warm_up_ms * NS_PER_MS;
    while (got > 0 && limit_goes_on(run, weir_now_ns())) {
        got = recv(run->fd, bytes, LIMIT_READ_BYTES, 0);
        total += run->measuring && got > 0 ? (uint64_t)got : 0;
    }
    if (got <= 0) {
        (void)limit_fail(run, WEIR_CLOSED, "the sender ended");
    }
    run->result->measured = total / run->work->payload_bytes;
    run->result->delivered = run->result->measured;
    run->result->sent = run->result->measured;
    free(bytes);
}

void limit_sendfile(limit_run *run)
{
    if (limit_serve(run, sendfile_serve) == WEIR_OK) {
        read_all(run);
    }
}

void limit_tcp(limit_run *run)
{
    if (limit_serve(run, tcp_serve) == WEIR_OK) {
        read_all(run);
    }
}
