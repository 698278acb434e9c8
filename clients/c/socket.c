/* clients/c/socket.c - a connected socket: reading ahead, waiting, sending.
 *
 *     in   [ done | message ............ | not yet whole ]
 *            ^ start                       read behind it
 *
 * The socket does not block; waiting is poll(2) with a deadline. While a message is being sent,
 * whatever comes is read into `in`: a gateway that waits for this client to read would otherwise
 * wait for a client that waits for it.
 *
 * Failures: a socket that cannot be read or written is CLOSED; bytes that came before are still
 * there to be read. */
#include "clients/c/socket.h"

#include "clients/c/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, WAIT_MS_MAX = 60000 };

int64_t weir_client_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

weir_err weir_client_fault(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
{
    va_list arguments;
    *fault = (weir_fault){.err = err, .os_errno = os_errno};
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return err;
}

weir_err weir_client_socket_init(weir_client_socket *link, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return WEIR_IO;
    }
    *link = (weir_client_socket){.fd = fd};
    return WEIR_OK;
}

void weir_client_socket_fini(weir_client_socket *link)
{
    close(link->fd);
    weir_buffer_fini(&link->in);
}

weir_err weir_client_socket_wait(const weir_client_socket *link, short events, int64_t deadline_ms)
{
    const bool for_ever = deadline_ms == INT64_MAX;
    for (;;) {
        int64_t left = for_ever ? WAIT_MS_MAX : deadline_ms - weir_client_now_ms();
        int wait_ms = left < 0 ? 0 : left > WAIT_MS_MAX ? WAIT_MS_MAX : (int)left;
        struct pollfd one = {.fd = link->fd, .events = events};
        int ready = poll(&one, 1, wait_ms);
        if (ready > 0) {
            return WEIR_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return WEIR_IO;
        }
        if (!for_ever && weir_client_now_ms() >= deadline_ms) {
            return WEIR_TIMEOUT;
        }
    }
}

weir_err weir_client_socket_read(weir_client_socket *link)
{
    if (link->start > 0 && link->start == link->in.len) {
        link->in.len = link->start = 0;
    } else if (link->start > READ_BYTES && link->start > link->in.len / 2) {
        weir_buffer_consume(&link->in, link->start);
        link->start = 0;
    }
    if (weir_buffer_reserve(&link->in, READ_BYTES) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    ssize_t got = 0;
    do {
        got = recv(link->fd, link->in.ptr + link->in.len, READ_BYTES, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        link->in.len += (size_t)got;
        return WEIR_OK;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return WEIR_OK;
    }
    link->ended = true;
    return WEIR_CLOSED;
}

weir_bytes weir_client_socket_unread(const weir_client_socket *link)
{
    size_t len = link->in.len - link->start;
    return len == 0 ? WEIR_BYTES_NULL : (weir_bytes){link->in.ptr + link->start, len};
}

weir_err weir_client_socket_give(weir_client_socket *link, weir_bytes *bytes)
{
    while (bytes->len > 0) {
        ssize_t sent = send(link->fd, bytes->ptr, bytes->len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes->ptr += sent;
            bytes->len -= (size_t)sent;
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return WEIR_OK;
        } else if (sent < 0 && errno != EINTR) {
            return WEIR_CLOSED;
        }
    }
    return WEIR_OK;
}

weir_err weir_client_socket_send(weir_client_socket *link, weir_bytes bytes, int64_t deadline_ms)
{
    for (;;) {
        weir_err err = weir_client_socket_give(link, &bytes);
        if (err != WEIR_OK || bytes.len == 0) {
            return err;
        }
        err = weir_client_socket_wait(link, link->ended ? POLLOUT : POLLIN | POLLOUT, deadline_ms);
        err = err != WEIR_OK || link->ended ? err : weir_client_socket_read(link);
        if (err != WEIR_OK && err != WEIR_CLOSED) {
            return err;
        }
    }
}
