/* adapters/nng/socket.c - alone responsible for opening and closing nng sockets, and for how many
 * connections the front end has.
 *
 *   accepted -> ADD_PRE: counted, or over the limit and closed -> ... -> REM_POST: counted out
 *
 * Happy path: options, listen, read back the port, one notify per event. Failures: each names its
 * setting. The library has one thread that takes connections apart (its "reap" thread, 1.5.2); it
 * waits for ever now and then, and then so does all that waits for it: nng_close, and the close and
 * free of listeners of streams. Those run on a thread of their own that is waited for with a
 * deadline; what hangs is left behind, as the process is about to end.
 *
 * [K1] Every ADD_PRE is followed by exactly one REM_POST, also for a connection that was refused.
 */
#include "adapters/nng/nng_private.h"

#include "adapters/shared/descriptors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nng/transport/ipc/ipc.h>

enum { HANG_MS = 2000, HANG_AGAIN_MS = 100, PORT_TRIES_MAX = 16 };

const char *weir_nng_part_name(weir_nng_part part)
{
    static const char *const names[] = {"rep", "pull", "pub", "push"};
    return names[part];
}

/* How to see who listens there. */
static void who_write(const char *text, char *who, size_t size)
{
    weir_nng_url url = {0};
    weir_err err = weir_nng_url_parse(text, &url);
    if (err == WEIR_OK && (url.transport == WEIR_NNG_TCP || url.transport == WEIR_NNG_WS)) {
        snprintf(who, size, " (ss -ltnp 'sport = :%u' names it)", url.port);
    } else if (err == WEIR_OK && url.transport == WEIR_NNG_IPC) {
        snprintf(who, size, " (ss -lxp names it)");
    }
}

weir_err weir_nng_fault(weir_fault *fault, weir_nng_part part, weir_err err, const char *url,
                        const char *why)
{
    const char *name = weir_nng_part_name(part);
    char who[64] = "";
    if (err == WEIR_EXISTS) {
        who_write(url, who, sizeof(who));
        return weir_fault_set(
            fault, err, 0,
            "nng: %.150s is in use: stop the program that listens there%s, or set "
            "nng.%s.url to another; nng.enabled=false switches this front end "
            "off.",
            url, who, name);
    }
    return weir_fault_set(fault, err, 0,
                          "nng.%s.url: \"%.150s\" cannot be listened on (%s): choose another, or "
                          "the empty one to switch it off.",
                          name, url, why);
}

/* ---- Connections ------------------------------------------------------------------------------
 */

static weir_counter *part_connections(weir_adapter *adapter, weir_nng_part part)
{
    weir_nng_counters *counters = &adapter->counters;
    weir_counter *const own[] = {&counters->rep_connections, &counters->pull_connections,
                                 &counters->pub_connections, &counters->push_connections};
    return own[part];
}

bool weir_nng_connection_add(weir_adapter *adapter, weir_nng_part part)
{
    weir_counter_add(part_connections(adapter, part), 1);
    if (atomic_fetch_add(&adapter->counters.connections, 1) >=
        adapter->host->limits->connections_max) {
        weir_counter_add(&adapter->counters.refused_connections, 1);
        return false;
    }
    weir_counter_add(&adapter->counters.accepted, 1);
    return true;
}

void weir_nng_connection_remove(weir_adapter *adapter, weir_nng_part part)
{
    weir_counter_subtract(part_connections(adapter, part), 1);
    weir_counter_subtract(&adapter->counters.connections, 1);
}

/* On a thread of nng's. */
static void pipe_event(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    weir_nng_socket *socket = arg;
    if (event == NNG_PIPE_EV_ADD_PRE) {
        bool room = weir_nng_connection_add(socket->adapter, socket->part);
        room = weir_descriptors_take(1) && room;
        if (socket->joined != NULL) {
            socket->joined(socket->arg, (uint32_t)nng_pipe_id(pipe));
        }
        if (!room) {
            (void)nng_pipe_close(pipe);
        }
    } else if (event == NNG_PIPE_EV_REM_POST) { /* [K1] */
        weir_nng_connection_remove(socket->adapter, socket->part);
        weir_descriptors_give(1);
        if (socket->left != NULL) {
            socket->left(socket->arg, (uint32_t)nng_pipe_id(pipe));
        }
    }
}

/* ---- Listening --------------------------------------------------------------------------------
 */

static socklen_t address_make(const weir_nng_url *url, struct sockaddr_storage *address)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, url->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        return sizeof(*four);
    }
    (void)inet_pton(AF_INET6, url->host, &six->sin6_addr);
    six->sin6_family = AF_INET6;
    return sizeof(*six);
}

weir_err weir_nng_port_pick(const weir_nng_url *url, uint16_t *port)
{
    struct sockaddr_storage address;
    socklen_t len = address_make(url, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return WEIR_IO;
    }
    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        (void)close(fd);
        return WEIR_IO;
    }
    *port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                               : ((struct sockaddr_in6 *)&address)->sin6_port);
    (void)close(fd);
    return WEIR_OK;
}

static weir_err err_of(int status)
{
    switch (status) {
    case NNG_EADDRINUSE:
        return WEIR_EXISTS;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
    case NNG_EPERM:
        return WEIR_INVALID;
    case NNG_ENOMEM:
        return WEIR_NO_MEMORY;
    default:
        return WEIR_IO;
    }
}

static int listen_once(weir_nng_socket *socket, const char *text, nng_listener *listener)
{
    const weir_nng_url *url = &socket->adapter->urls[socket->part];
    int status = nng_listener_create(listener, socket->id, text);
    if (status != 0) {
        return status;
    }
    status = nng_listener_set_size(*listener, NNG_OPT_RECVMAXSZ,
                                   (size_t)socket->adapter->host->limits->packet_bytes_max);
    if (status == NNG_ENOTSUP && url->transport == WEIR_NNG_INPROC) {
        status = 0; /* nothing is claimed before it is there */
    }
    if (status == 0 && url->transport == WEIR_NNG_IPC) {
        status = nng_listener_set_int(*listener, NNG_OPT_IPC_PERMISSIONS, 0600);
    }
    status = status != 0 ? status : nng_listener_start(*listener, 0);
    if (status != 0) {
        (void)nng_listener_close(*listener);
    }
    return status;
}

/* ws cannot be asked for the port it got: one is picked for it, and another when somebody was
 * faster. */
static int listen_ws(weir_nng_socket *socket, nng_listener *listener)
{
    weir_nng_url *url = &socket->adapter->urls[socket->part];
    bool any = url->port == 0;
    char text[WEIR_NNG_URL_MAX];
    int status = NNG_EADDRINUSE;
    for (unsigned try = 0; status == NNG_EADDRINUSE && try < PORT_TRIES_MAX; try++) {
        if (any && weir_nng_port_pick(url, &url->port) != WEIR_OK) {
            return NNG_EADDRINVAL;
        }
        weir_nng_url_write(url, text);
        status = listen_once(socket, text, listener);
        if (!any) {
            break;
        }
    }
    return status;
}

static int listen_any(weir_nng_socket *socket)
{
    weir_nng_url *url = &socket->adapter->urls[socket->part];
    nng_listener listener = NNG_LISTENER_INITIALIZER;
    char text[WEIR_NNG_URL_MAX];
    int port = 0;
    int status = 0;
    if (url->transport == WEIR_NNG_WS) {
        return listen_ws(socket, &listener);
    }
    weir_nng_url_write(url, text);
    status = listen_once(socket, text, &listener);
    if (status == 0 && url->transport == WEIR_NNG_TCP) {
        status = nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
        url->port = (uint16_t)port;
    }
    return status;
}

weir_err weir_nng_socket_listen(weir_nng_socket *socket, weir_fault *fault)
{
    char text[WEIR_NNG_URL_MAX];
    int status = 0;
    weir_nng_url_write(&socket->adapter->urls[socket->part], text);
    socket->open = true;
    status = nng_pipe_notify(socket->id, NNG_PIPE_EV_ADD_PRE, pipe_event, socket);
    status = status != 0 ? status
                         : nng_pipe_notify(socket->id, NNG_PIPE_EV_REM_POST, pipe_event, socket);
    status = status != 0 ? status : listen_any(socket);
    if (status != 0) {
        return weir_nng_fault(fault, socket->part, err_of(status), text, nng_strerror(status));
    }
    return WEIR_OK;
}

/* ---- Closing ----------------------------------------------------------------------------------
 */

bool weir_nng_bounded(weir_adapter *adapter, void *(*run)(void *arg), void *arg)
{
    int64_t patience_ms = adapter->hangs ? HANG_AGAIN_MS : HANG_MS;
    struct timespec until;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, arg) != 0) {
        adapter->hangs = true;
        return false;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += patience_ms % 1000 * 1000000;
    until.tv_sec += patience_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        (void)pthread_detach(thread);
        adapter->hangs = true;
        return false;
    }
    return true;
}

static void *close_run(void *arg)
{
    (void)nng_close((nng_socket){(uint32_t)(uintptr_t)arg});
    return NULL;
}

bool weir_nng_socket_close(weir_nng_socket *socket)
{
    if (!socket->open) {
        return true;
    }
    socket->open = false;
    return weir_nng_bounded(socket->adapter, close_run, (void *)(uintptr_t)socket->id.id);
}
