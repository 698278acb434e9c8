/* clients/c/transport_websocket.c - weir.v1 in WebSocket messages, the client's side (RFC 6455).
 *
 *     ws://127.0.0.1:9347/v1
 *          ^ host, port  ^ path; /v1 when there is none
 *
 *     connect -> GET, Upgrade, key -> 101 with the key's answer -> frames
 *     receive:  frames -> pieces -> `message`      ping -> pong into `due`     close -> close
 *     send:     what is due, then one masked frame
 *
 * The frames are adapters/proto/websocket's, the socket is socket.c's. What the protocol itself has
 * to answer (pongs, the close) waits in `due` until the socket takes it, before anything else is
 * sent: a receive that runs out of time may have sent half of it.
 *
 * Failures: an answer that is no 101 of weir.v1 to this very key opens nothing. A frame against
 * the RFC, or a message above MESSAGE_BYTES_MAX, is answered with its close code, and MALFORMED.
 *
 * [S1] A frame begins only where `due` is empty or behind it. [S2] `message` is written only by
 * receive. [S3] After a close in either direction nothing but `due` is sent. */
#include "clients/c/transport.h"

#include "adapters/proto/websocket/frame.h"
#include "adapters/proto/websocket/handshake.h"
#include "adapters/proto/weir1/json.h"
#include "clients/c/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUBPROTOCOL "weir.v1"

enum {
    MESSAGE_BYTES_MAX = 1024 * 1024 * 1024,
    FRAGMENTS_MAX = 65536,        /* of one message */
    DUE_BYTES_MAX = 16 * 1024,    /* pings are left out while this much is due */
    MESSAGE_KEPT_BYTES = 1 << 20, /* memory that stays between messages */
    HOST_BYTES_MAX = 64,          /* an address in text */
    PORT_BYTES_MAX = 8,
    PATH_BYTES_MAX = 1024,
    KEY_BYTES = 16,
    KEY_TEXT_BYTES = 24, /* base64 of it */
    MASK_BYTES = 4,
};

struct weir_client_link {
    weir_client_socket socket;
    weir_ws_reader reader;
    weir_buffer message; /* [S2] */
    bool given;          /* message was handed out */
    bool closed;         /* [S3] */
    weir_buffer due;     /* [S1] */
    weir_buffer out;     /* the frame that send makes */
};

typedef struct target {
    char host[HOST_BYTES_MAX]; /* without brackets */
    char port[PORT_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    bool bracketed; /* IPv6 */
} target;

/* ---- The address -------------------------------------------------------------------------------
 */

static bool copy(char *out, size_t size, const char *from, size_t len)
{
    if (len >= size) {
        return false;
    }
    memcpy(out, from, len);
    out[len] = 0;
    return true;
}

/* Visible ASCII; a fragment is no part of a request. */
static bool path_ok(const char *path)
{
    for (; *path != 0; path++) {
        if (*path <= ' ' || *path > '~' || *path == '#') {
            return false;
        }
    }
    return true;
}

static bool port_ok(const char *port)
{
    size_t digits = strspn(port, "0123456789");
    long value = strtol(port, NULL, 10);
    return digits > 0 && port[digits] == 0 && value > 0 && value <= UINT16_MAX;
}

/* HOST:PORT[/PATH], HOST in brackets when it has colons. */
static bool target_parse(const char *address, target *to)
{
    const char *slash = strchr(address, '/');
    const char *end = slash != NULL ? slash : address + strlen(address);
    const char *path = slash != NULL ? slash : "/v1";
    const char *colon = memrchr(address, ':', (size_t)(end - address));
    if (colon == NULL) {
        return false;
    }
    size_t host_len = (size_t)(colon - address);
    to->bracketed = host_len > 2 && address[0] == '[' && colon[-1] == ']';
    if (to->bracketed) {
        address++;
        host_len -= 2;
    }
    return host_len > 0 && copy(to->host, sizeof(to->host), address, host_len) &&
           copy(to->port, sizeof(to->port), colon + 1, (size_t)(end - colon - 1)) &&
           port_ok(to->port) && copy(to->path, sizeof(to->path), path, strlen(path)) &&
           path_ok(to->path);
}

/* Numbers only: no name server is asked. *found is freeaddrinfo's. */
static bool target_resolve(const target *to, struct addrinfo **found)
{
    const struct addrinfo hints = {.ai_family = to->bracketed ? AF_INET6 : AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *host = strcmp(to->host, "localhost") == 0 ? "127.0.0.1" : to->host;
    return getaddrinfo(host, to->port, &hints, found) == 0;
}

/* ---- Connecting --------------------------------------------------------------------------------
 */

static weir_err connect_finish(const weir_client_socket *link, int64_t deadline_ms, int *reason)
{
    socklen_t len = sizeof(*reason);
    weir_err err = weir_client_socket_wait(link, POLLOUT, deadline_ms);
    if (err != WEIR_OK) {
        *reason = ETIMEDOUT;
        return err;
    }
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, reason, &len) != 0) {
        *reason = errno;
    }
    return *reason == 0 ? WEIR_OK : *reason == ECONNREFUSED ? WEIR_NOT_FOUND : WEIR_IO;
}

static weir_err socket_connect(weir_client_socket *link, const target *to, int64_t deadline_ms,
                               weir_fault *fault)
{
    struct addrinfo *found = NULL;
    const int on = 1;
    int reason = 0;
    if (!target_resolve(to, &found)) {
        return weir_client_fault(fault, WEIR_INVALID, 0,
                                 "%s is no address; names are not looked up, say 127.0.0.1, [::1] "
                                 "or localhost",
                                 to->host);
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    weir_err err = fd < 0 ? WEIR_IO : weir_client_socket_init(link, fd);
    if (err != WEIR_OK) {
        reason = errno;
        freeaddrinfo(found);
        if (fd >= 0) {
            close(fd);
        }
        return weir_client_fault(fault, err, reason, "no socket could be made for %s", to->host);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        reason = errno;
        err = reason == ECONNREFUSED ? WEIR_NOT_FOUND : WEIR_IO;
        if (reason == EINPROGRESS) {
            err = connect_finish(link, deadline_ms, &reason);
        }
    }
    freeaddrinfo(found);
    if (err == WEIR_OK) {
        return WEIR_OK;
    }
    weir_client_socket_fini(link);
    return weir_client_fault(fault, err, reason,
                             "no gateway answers at %s port %s (%s); see its ports file for http",
                             to->host, to->port, strerror(reason));
}

/* ---- The handshake -----------------------------------------------------------------------------
 */

static weir_err key_make(char key[KEY_TEXT_BYTES + 1])
{
    uint8_t bytes[KEY_BYTES];
    weir_buffer text = {0};
    weir_v1_writer writer = {&text, false};
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        return WEIR_IO;
    }
    weir_v1_write_base64(&writer, WEIR_BYTES(bytes));
    bool made = !writer.failed && text.len == KEY_TEXT_BYTES + 2;
    if (made) {
        memcpy(key, text.ptr + 1, KEY_TEXT_BYTES); /* without the quotes */
        key[KEY_TEXT_BYTES] = 0;
    }
    weir_buffer_fini(&text);
    return made ? WEIR_OK : WEIR_NO_MEMORY;
}

static weir_err request_send(weir_client_link *link, const target *to, const char *key,
                             int64_t deadline_ms)
{
    weir_err err = weir_buffer_format(
        &link->out,
        "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n",
        to->path, to->bracketed ? "[" : "", to->host, to->bracketed ? "]" : "", to->port, key);
    err = err != WEIR_OK
              ? err
              : weir_client_socket_send(&link->socket, weir_buffer_bytes(&link->out), deadline_ms);
    link->out.len = 0;
    return err;
}

/* Reads until the empty line; what is behind it stays unread. */
static weir_err answer_receive(weir_client_socket *link, int64_t deadline_ms, weir_http_head *head)
{
    for (;;) {
        weir_err err = weir_http_answer_read(weir_client_socket_unread(link), head);
        if (err != WEIR_MORE) {
            return err;
        }
        err = weir_client_socket_wait(link, POLLIN, deadline_ms);
        err = err != WEIR_OK ? err : weir_client_socket_read(link);
        if (err != WEIR_OK) {
            return err;
        }
    }
}

static bool field_is(const weir_http_head *head, const char *name, const char *value)
{
    weir_bytes found;
    return weir_http_field_find(head, name, &found) == 1 &&
           weir_bytes_equal(found, weir_bytes_of(value));
}

/* RFC 6455 4.1. NULL: it is what was asked for. */
static const char *answer_wrong(const weir_http_head *head, const char *key)
{
    char accept[WEIR_WS_ACCEPT_BYTES + 1];
    weir_bytes extensions;
    weir_ws_accept_of(weir_bytes_of(key), accept);
    if (!weir_http_field_has(head, "Upgrade", "websocket") ||
        !weir_http_field_has(head, "Connection", "Upgrade")) {
        return "a 101 that is no upgrade to WebSocket";
    }
    if (!field_is(head, "Sec-WebSocket-Accept", accept)) {
        return "the answer to another key than was sent";
    }
    if (!field_is(head, "Sec-WebSocket-Protocol", SUBPROTOCOL)) {
        return "not the subprotocol " SUBPROTOCOL;
    }
    if (weir_http_field_find(head, "Sec-WebSocket-Extensions", &extensions) != 0) {
        return "an extension that nobody asked for";
    }
    return NULL;
}

static weir_err refused(const weir_http_head *head, const target *to, weir_fault *fault)
{
    unsigned status = head->status;
    weir_err err = status == 401 || status == 403 ? WEIR_NOT_AUTHORIZED
                   : status == 503                ? WEIR_LIMIT
                                                  : WEIR_UNSUPPORTED;
    return weir_client_fault(fault, err, 0,
                             "%s port %s refuses %.100s with HTTP status %u; weir.v1 is at /v1",
                             to->host, to->port, to->path, status);
}

static weir_err handshake(weir_client_link *link, const target *to, int64_t deadline_ms,
                          weir_fault *fault)
{
    char key[KEY_TEXT_BYTES + 1];
    weir_http_head head;
    weir_err err = key_make(key);
    err = err != WEIR_OK ? err : request_send(link, to, key, deadline_ms);
    err = err != WEIR_OK ? err : answer_receive(&link->socket, deadline_ms, &head);
    if (err != WEIR_OK) {
        return weir_client_fault(fault, err, 0,
                                 "%s port %s gave no answer of WebSocket (%s); is it the "
                                 "gateway's http port?",
                                 to->host, to->port, weir_err_name(err));
    }
    if (head.status != 101) {
        return refused(&head, to, fault);
    }
    const char *wrong = answer_wrong(&head, key);
    if (wrong != NULL) {
        return weir_client_fault(fault, WEIR_PROTOCOL, 0, "%s port %s sent %s", to->host, to->port,
                                 wrong);
    }
    link->socket.start += head.bytes;
    return WEIR_OK;
}

static void websocket_free(weir_client_link *link)
{
    weir_client_socket_fini(&link->socket);
    weir_buffer_fini(&link->message);
    weir_buffer_fini(&link->due);
    weir_buffer_fini(&link->out);
    free(link);
}

static weir_err websocket_open(const char *address, int64_t deadline_ms, weir_client_link **out,
                               weir_fault *fault)
{
    const weir_ws_rules rules = {.role = WEIR_WS_CLIENT,
                                 .fragments_max = FRAGMENTS_MAX,
                                 .message_bytes_max = MESSAGE_BYTES_MAX};
    target to;
    if (!target_parse(address, &to)) {
        return weir_client_fault(fault, WEIR_INVALID, 0,
                                 "ws://%.200s is no address; say ws://127.0.0.1:9347/v1", address);
    }
    weir_client_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return weir_client_fault(fault, WEIR_NO_MEMORY, 0, "the client needs more memory");
    }
    weir_err err = socket_connect(&link->socket, &to, deadline_ms, fault);
    if (err != WEIR_OK) {
        free(link);
        return err;
    }
    err = handshake(link, &to, deadline_ms, fault);
    if (err != WEIR_OK) {
        websocket_free(link);
        return err;
    }
    weir_ws_reader_init(&link->reader, &rules);
    *out = link;
    return WEIR_OK;
}

static weir_err websocket_tls_open(const char *address, int64_t deadline_ms,
                                   weir_client_link **link, weir_fault *fault)
{
    (void)deadline_ms;
    (void)link;
    return weir_client_fault(fault, WEIR_NOT_OFFERED, 0,
                             "this client does not speak wss:// (wss://%.200s); use the gateway's "
                             "unix socket, or ws:// to a TLS proxy on this machine",
                             address);
}

/* ---- Frames out --------------------------------------------------------------------------------
 */

/* Appends a whole frame; NO_MEMORY, IO: nothing was appended. */
static weir_err frame_append(weir_buffer *to, weir_ws_opcode opcode, weir_bytes payload)
{
    uint8_t head[WEIR_WS_HEAD_BYTES_MAX], mask[MASK_BYTES];
    if (getrandom(mask, sizeof(mask), 0) != (ssize_t)sizeof(mask)) {
        return WEIR_IO;
    }
    size_t head_len = weir_ws_head_write(head, opcode, true, payload.len, mask);
    weir_err err = weir_buffer_reserve(to, head_len + payload.len);
    if (err != WEIR_OK) {
        return err;
    }
    (void)weir_buffer_append(to, head, head_len);
    if (payload.len > 0) {
        (void)weir_buffer_append(to, payload.ptr, payload.len);
        weir_ws_mask(to->ptr + to->len - payload.len, payload.len, mask, 0);
    }
    return WEIR_OK;
}

/* As much of what is due as the socket takes now. */
static weir_err due_give(weir_client_link *link)
{
    weir_bytes rest = weir_buffer_bytes(&link->due);
    weir_err err = rest.len == 0 ? WEIR_OK : weir_client_socket_give(&link->socket, &rest);
    weir_buffer_consume(&link->due, link->due.len - rest.len);
    return err;
}

static void close_due(weir_client_link *link, uint16_t code, const char *reason)
{
    uint8_t payload[WEIR_WS_CONTROL_BYTES_MAX];
    size_t len = weir_ws_close_payload(payload, code, reason);
    if (!link->closed) {
        link->closed = true; /* [S3] */
        (void)frame_append(&link->due, WEIR_WS_CLOSE, (weir_bytes){payload, len});
        (void)due_give(link);
    }
}

static weir_err websocket_send(weir_client_link *link, weir_bytes bytes, int64_t deadline_ms)
{
    if (link->closed) {
        return WEIR_CLOSED;
    }
    bool text = bytes.len > 0 && bytes.ptr[0] == '{';
    if (text && bytes.ptr[bytes.len - 1] == '\n') {
        bytes.len--; /* a message has its own end */
    }
    link->out.len = 0;
    weir_buffer_relax(&link->out, MESSAGE_KEPT_BYTES);
    weir_err err = frame_append(&link->out, text ? WEIR_WS_TEXT : WEIR_WS_BINARY, bytes);
    if (err == WEIR_OK && link->due.len > 0) { /* [S1] */
        err = weir_client_socket_send(&link->socket, weir_buffer_bytes(&link->due), deadline_ms);
        link->due.len = 0; /* a failed send ends the client */
    }
    return err != WEIR_OK
               ? err
               : weir_client_socket_send(&link->socket, weir_buffer_bytes(&link->out), deadline_ms);
}

/* ---- Messages in -------------------------------------------------------------------------------
 */

/* OK: `message` is whole. MORE: it is not. */
static weir_err event_take(weir_client_link *link, const weir_ws_event *event)
{
    switch (event->opcode) {
    case WEIR_WS_PING:
        if (link->due.len < DUE_BYTES_MAX) {
            weir_err err = frame_append(&link->due, WEIR_WS_PONG, event->bytes);
            err = err != WEIR_OK ? err : due_give(link);
            return err != WEIR_OK && err != WEIR_CLOSED ? err : WEIR_MORE;
        }
        return WEIR_MORE;
    case WEIR_WS_PONG:
        return WEIR_MORE;
    case WEIR_WS_CLOSE:
        close_due(link, event->code, "");
        return WEIR_CLOSED;
    default:
        break;
    }
    if (event->bytes.len > 0 &&
        weir_buffer_append(&link->message, event->bytes.ptr, event->bytes.len) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    return event->last && link->message.len > 0 ? WEIR_OK : WEIR_MORE; /* an empty one is nothing */
}

/* One event of what was read. MORE: go on, or read when nothing is left. */
static weir_err event_next(weir_client_link *link)
{
    weir_client_socket *from = &link->socket;
    weir_ws_event event;
    size_t used = 0;
    weir_err err = weir_ws_read(&link->reader, from->in.ptr + from->start,
                                from->in.len - from->start, &used, &event);
    from->start += used;
    if (err == WEIR_OK) {
        return event_take(link, &event);
    }
    if (err != WEIR_MORE) {
        close_due(link, weir_ws_fail_code(&link->reader), weir_ws_fail_text(&link->reader));
        return WEIR_MALFORMED;
    }
    return WEIR_MORE;
}

/* Waits and reads; gives what is due meanwhile. */
static weir_err more_read(weir_client_link *link, int64_t deadline_ms)
{
    short events = link->due.len > 0 ? POLLIN | POLLOUT : POLLIN;
    if (link->socket.ended) {
        return WEIR_CLOSED;
    }
    weir_err err = weir_client_socket_wait(&link->socket, events, deadline_ms);
    if (err != WEIR_OK) {
        return err;
    }
    (void)due_give(link); /* when it cannot be written, reading tells */
    err = weir_client_socket_read(&link->socket);
    return err == WEIR_CLOSED ? WEIR_OK : err; /* what came before it is read first */
}

static weir_err websocket_receive(weir_client_link *link, int64_t deadline_ms, weir_bytes *message)
{
    bool late = false; /* one look is given when the deadline is past, not more */
    if (link->given) {
        link->given = false;
        link->message.len = 0;
        weir_buffer_relax(&link->message, MESSAGE_KEPT_BYTES);
    }
    for (;;) {
        weir_err err = link->closed ? WEIR_CLOSED : WEIR_MORE;
        while (err == WEIR_MORE && link->socket.in.len > link->socket.start) {
            err = event_next(link);
        }
        if (err == WEIR_OK) {
            link->given = true;
            *message = weir_buffer_bytes(&link->message);
        }
        if (err != WEIR_MORE) {
            return err;
        }
        if (late) {
            return WEIR_TIMEOUT;
        }
        late = deadline_ms != INT64_MAX && weir_client_now_ms() >= deadline_ms;
        err = more_read(link, deadline_ms);
        if (err != WEIR_OK) {
            return err;
        }
    }
}

static bool websocket_pending(const weir_client_link *link)
{
    return link->socket.in.len > link->socket.start;
}

static int websocket_fd(const weir_client_link *link)
{
    return link->socket.fd;
}

static void websocket_close(weir_client_link *link)
{
    if (link != NULL) {
        close_due(link, WEIR_WS_CODE_NORMAL, "");
        websocket_free(link);
    }
}

const weir_client_transport weir_client_websocket = {
    .scheme = "ws://",
    .open = websocket_open,
    .send = websocket_send,
    .receive = websocket_receive,
    .pending = websocket_pending,
    .fd = websocket_fd,
    .close = websocket_close,
};

const weir_client_transport weir_client_websocket_tls = {
    .scheme = "wss://",
    .open = websocket_tls_open,
    .send = websocket_send,
    .receive = websocket_receive,
    .pending = websocket_pending,
    .fd = websocket_fd,
    .close = websocket_close,
};
