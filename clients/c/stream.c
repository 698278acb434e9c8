/* clients/c/stream.c - weir.v1 over a stream socket: lines and frames, one after another.
 * socket.c reads, waits and sends; here is where one message ends.
 *
 * [T1] Bytes before the socket's start are done with; a message handed out lies before it. */
#include "clients/c/transport.h"

#include "adapters/proto/weir1/frame.h"
#include "clients/c/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_BYTES_MAX = 1024 * 1024 * 1024 };

struct weir_client_link {
    weir_client_socket socket;
    weir_v1_splitter splitter;
};

/* ---- Opening -----------------------------------------------------------------------------------
 */

static weir_err link_create(int fd, weir_client_link **out)
{
    weir_client_link *link = calloc(1, sizeof(*link));
    if (link == NULL || weir_client_socket_init(&link->socket, fd) != WEIR_OK) {
        free(link);
        return link == NULL ? WEIR_NO_MEMORY : WEIR_IO;
    }
    *out = link;
    return WEIR_OK;
}

static weir_err connect_refused(const char *path, weir_fault *fault)
{
    int reason = errno;
    if (reason == ENOENT || reason == ECONNREFUSED) {
        return weir_client_fault(
            fault, WEIR_NOT_FOUND, reason,
            "no gateway listens at %s; start one with weir serve, or name another", path);
    }
    if (reason == EACCES || reason == EPERM) {
        return weir_client_fault(
            fault, WEIR_NOT_AUTHORIZED, reason,
            "%s may not be opened by this user; use the account of the gateway", path);
    }
    return weir_client_fault(
        fault, WEIR_IO, reason,
        "cannot connect to %s; see whether the gateway that owns it still runs", path);
}

static weir_err unix_open(const char *path, int64_t deadline_ms, weir_client_link **link,
                          weir_fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)deadline_ms; /* connecting to a local socket is immediate, or refused */
    if (strlen(path) >= sizeof(address.sun_path)) {
        return weir_client_fault(fault, WEIR_INVALID, 0,
                                 "%s is too long for a socket's path (107 bytes)", path);
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return weir_client_fault(fault, WEIR_IO, errno, "no socket could be made for %s", path);
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        weir_err refused = connect_refused(path, fault);
        close(fd);
        return refused;
    }
    weir_err err = link_create(fd, link);
    if (err != WEIR_OK) {
        close(fd);
        return weir_client_fault(fault, err, errno, "%s: the connection could not be set up", path);
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
        return weir_client_fault(fault, WEIR_INVALID, 0, "fd:%s names no descriptor; say fd:3",
                                 number);
    }
    weir_err err = link_create((int)fd, link);
    return err == WEIR_OK
               ? err
               : weir_client_fault(fault, err, errno, "fd:%s is no usable socket", number);
}

static void stream_close(weir_client_link *link)
{
    if (link != NULL) {
        weir_client_socket_fini(&link->socket);
        free(link);
    }
}

/* ---- Messages ----------------------------------------------------------------------------------
 */

static weir_err stream_receive(weir_client_link *link, int64_t deadline_ms, weir_bytes *message)
{
    for (;;) {
        weir_bytes rest = weir_client_socket_unread(&link->socket);
        size_t used = 0;
        weir_err err = weir_v1_split(&link->splitter, rest, MESSAGE_BYTES_MAX, message, &used);
        link->socket.start += used; /* [T1] */
        if (err == WEIR_OK) {
            return WEIR_OK;
        }
        if (err != WEIR_MORE) {
            return WEIR_MALFORMED;
        }
        if (link->socket.ended) {
            return WEIR_CLOSED;
        }
        err = weir_client_socket_wait(&link->socket, POLLIN, deadline_ms);
        err = err != WEIR_OK ? err : weir_client_socket_read(&link->socket);
        if (err != WEIR_OK && err != WEIR_CLOSED) {
            return err;
        }
    }
}

static weir_err stream_send(weir_client_link *link, weir_bytes bytes, int64_t deadline_ms)
{
    return weir_client_socket_send(&link->socket, bytes, deadline_ms);
}

static bool stream_pending(const weir_client_link *link)
{
    return link->socket.in.len > link->socket.start;
}

static int stream_fd(const weir_client_link *link)
{
    return link->socket.fd;
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
