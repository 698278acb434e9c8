/* clients/c/stream.c - weir.v1 over a stream socket: lines and frames, one after another.
 *
 *     in   [ done | message ............ | not yet whole ]
 *            ^ start                       read behind it
 *
 * The socket does not block; waiting is poll(2) with a deadline. While a message is being sent,
 * whatever comes is read into `in`: a gateway that waits for this client to read would otherwise
 * wait for a client that waits for it.
 *
 * [T1] Bytes before `start` are done with; a message handed out lies before it. */
#include "clients/c/transport.h"

#include "adapters/proto/weir1/frame.h"
#include "core/base/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, MESSAGE_BYTES_MAX = 1024 * 1024 * 1024 };

struct weir_client_link {
    int fd;
    bool ended; /* the gateway sends nothing more */
    weir_buffer in;
    size_t start;
    weir_v1_splitter splitter;
};

int64_t weir_client_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Opening -----------------------------------------------------------------------------------
 */

static weir_err fault_set(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static weir_err fault_set(weir_fault *fault, weir_err err, int os_errno, const char *format, ...)
{
    va_list arguments;
    *fault = (weir_fault){.err = err, .os_errno = os_errno};
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return err;
}

static weir_err link_create(int fd, weir_client_link **out)
{
    weir_client_link *link = calloc(1, sizeof(*link));
    int flags = fcntl(fd, F_GETFL);
    if (link == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        free(link);
        return link == NULL ? WEIR_NO_MEMORY : WEIR_IO;
    }
    link->fd = fd;
    *out = link;
    return WEIR_OK;
}

static weir_err connect_refused(const char *path, weir_fault *fault)
{
    int reason = errno;
    if (reason == ENOENT || reason == ECONNREFUSED) {
        return fault_set(fault, WEIR_NOT_FOUND, reason,
                         "no gateway listens at %s; start one with weir serve, or name another",
                         path);
    }
    if (reason == EACCES || reason == EPERM) {
        return fault_set(fault, WEIR_NOT_AUTHORIZED, reason,
                         "%s may not be opened by this user; use the account of the gateway", path);
    }
    return fault_set(fault, WEIR_IO, reason,
                     "cannot connect to %s; see whether the gateway that owns it still runs", path);
}

static weir_err unix_open(const char *path, int64_t deadline_ms, weir_client_link **link,
                          weir_fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)deadline_ms; /* connecting to a local socket is immediate, or refused */
    if (strlen(path) >= sizeof(address.sun_path)) {
        return fault_set(fault, WEIR_INVALID, 0, "%s is too long for a socket's path (107 bytes)",
                         path);
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fault_set(fault, WEIR_IO, errno, "no socket could be made for %s", path);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        weir_err refused = connect_refused(path, fault);
        close(fd);
        return refused;
    }
    weir_err err = link_create(fd, link);
    if (err != WEIR_OK) {
        close(fd);
        return fault_set(fault, err, errno, "%s: the connection could not be set up", path);
    }
    return WEIR_OK;
}

static weir_err inherited_open(const char *number, int64_t deadline_ms, weir_client_link **link,
                               weir_fault *fault)
{
    char *end = NULL;
    long fd = strtol(number, &end, 10);
    (void)deadline_ms;
    if (*number == 0 || *end != 0 || fd < 0 || fd > 1048576) {
        return fault_set(fault, WEIR_INVALID, 0, "fd:%s names no descriptor; say fd:3", number);
    }
    weir_err err = link_create((int)fd, link);
    return err == WEIR_OK ? err : fault_set(fault, err, errno, "fd:%s is no usable socket", number);
}

static void stream_close(weir_client_link *link)
{
    if (link != NULL) {
        close(link->fd);
        weir_buffer_fini(&link->in);
        free(link);
    }
}

/* ---- Waiting and reading -----------------------------------------------------------------------
 */

/* Waits for `events`. TIMEOUT. */
static weir_err wait_for(const weir_client_link *link, short events, int64_t deadline_ms)
{
    const bool for_ever = deadline_ms == INT64_MAX;
    for (;;) {
        int64_t left = for_ever ? 60000 : deadline_ms - weir_client_now_ms();
        int wait_ms = left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
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

/* Reads what there is. OK also when there is nothing. CLOSED at the end. */
static weir_err read_some(weir_client_link *link)
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

static weir_bytes unread(const weir_client_link *link)
{
    size_t len = link->in.len - link->start;
    return len == 0 ? WEIR_BYTES_NULL : (weir_bytes){link->in.ptr + link->start, len};
}

static weir_err stream_receive(weir_client_link *link, int64_t deadline_ms, weir_bytes *message)
{
    for (;;) {
        weir_bytes rest = unread(link);
        size_t used = 0;
        weir_err err = weir_v1_split(&link->splitter, rest, MESSAGE_BYTES_MAX, message, &used);
        link->start += used; /* [T1] */
        if (err == WEIR_OK) {
            return WEIR_OK;
        }
        if (err != WEIR_MORE) {
            return WEIR_MALFORMED;
        }
        if (link->ended) {
            return WEIR_CLOSED;
        }
        err = wait_for(link, POLLIN, deadline_ms);
        err = err != WEIR_OK ? err : read_some(link);
        if (err != WEIR_OK && err != WEIR_CLOSED) {
            return err;
        }
    }
}

/* ---- Sending -----------------------------------------------------------------------------------
 */

/* Gives bytes to the socket; reads while it takes none. */
static weir_err stream_send(weir_client_link *link, weir_bytes bytes, int64_t deadline_ms)
{
    while (bytes.len > 0) {
        ssize_t sent = send(link->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes.ptr += sent;
            bytes.len -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            return WEIR_CLOSED;
        }
        weir_err err = wait_for(link, link->ended ? POLLOUT : POLLIN | POLLOUT, deadline_ms);
        err = err != WEIR_OK || link->ended ? err : read_some(link);
        if (err != WEIR_OK && err != WEIR_CLOSED) {
            return err;
        }
    }
    return WEIR_OK;
}

static bool stream_pending(const weir_client_link *link)
{
    return link->in.len > link->start;
}

static int stream_fd(const weir_client_link *link)
{
    return link->fd;
}

const weir_client_transport weir_client_unix = {
    .scheme = "unix:",
    .open = unix_open,
    .send = stream_send,
    .receive = stream_receive,
    .pending = stream_pending,
    .fd = stream_fd,
    .close = stream_close,
};

const weir_client_transport weir_client_inherited = {
    .scheme = "fd:",
    .open = inherited_open,
    .send = stream_send,
    .receive = stream_receive,
    .pending = stream_pending,
    .fd = stream_fd,
    .close = stream_close,
};
