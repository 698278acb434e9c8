/* adapters/shared/listener.c - alone responsible for a listening socket and for how many may come
 * in.
 *
 *     listen fd --poll, loop 0--> accept4 x 64 --> over the limit? --> choose a loop --> accepted
 *                                      |
 *                                      +-- EMFILE: free the reserve, accept, close, take it again;
 *                                      |   rest
 *                                      +-- what all may have together is used up: close
 *
 * Happy path: one batch of accepts a turn; a descriptor for loop 0 is handed over at once, one for
 * another loop travels in a node of its own.
 *
 * Failures: at open, each with the setting to change, and nothing stays open. Later: no descriptor,
 * no memory: the peer is closed, counted, and the listener rests WEIR_LISTENER_REST_MS; connections
 * that are open never notice.
 *
 * Invariants
 * [N1] all_open counts what was handed to `accepted` with over == false and not yet released.
 * [N2] After stop has been waited for, `accepted` is not called again.
 * [N3] Polling and resting exclude one another. */
#include "adapters/shared/listener.h"

#include "adapters/shared/descriptors.h"
#include "adapters/shared/settings.h"
#include "adapters/shared/stats.h"
#include "core/base/assert.h"
#include "core/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, LOG_EVERY_MS = 1000 };

struct weir_listener {
    weir_listener_config config;
    char text[WEIR_LISTENER_ADDRESS_MAX];
    char path[WEIR_LISTENER_ADDRESS_MAX]; /* empty: TCP */
    uint16_t port;
    int fd;
    int reserve_fd;    /* loop 0 */
    unsigned next;     /* loop 0: which loop gets the next one of many */
    uint64_t quiet_ms; /* loop 0: no line of log before this time */
    uv_poll_t poll;    /* loop 0 */
    uv_timer_t rest;   /* loop 0 */
    unsigned handles;  /* loop 0: that are not closed yet */
    uv_sem_t closed;
    weir_call stop_call;
    bool stopped; /* main thread, both */
    bool waited;
    weir_counter *all_open; /* own, or those of config.with */
    weir_counter accepted;
    weir_counter open;
    weir_counter over;
    weir_counter over_open;
    weir_counter descriptors;
};

typedef struct handoff {
    weir_call call;
    weir_listener *listener;
    int fd;
    bool over;
} handoff;

/* ---- Accepting ----------------------------------------------------------------------------- */

static void log_sometimes(weir_listener *listener, const char *what)
{
    uint64_t now_ms = weir_loop_now_ms(weir_loops_at(listener->config.loops, 0));
    if (now_ms < listener->quiet_ms) {
        return;
    }
    listener->quiet_ms = now_ms + LOG_EVERY_MS;
    weir_log(WEIR_LOG_WARN, listener->config.section, "listener=%s refused=\"%s\"", listener->text,
             what);
}

static void handoff_run(weir_loop *loop, void *arg)
{
    handoff *hand = arg;
    weir_listener *listener = hand->listener;
    int fd = hand->fd;
    bool over = hand->over;
    free(hand);
    listener->config.accepted(listener->config.arg, loop, fd, over);
}

/* Few connections share the first loop: what one publishes for another stays on one thread. Many go
 * round the loops. */
static unsigned choose_loop(weir_listener *listener)
{
    const weir_loops *loops = listener->config.loops;
    if (weir_counter_get(listener->all_open) <= weir_loops_together(loops)) {
        return 0;
    }
    return listener->next++ % weir_loops_count(loops);
}

static void give(weir_listener *listener, int fd, bool over)
{
    unsigned index = choose_loop(listener);
    weir_loop *loop = weir_loops_at(listener->config.loops, index);
    handoff *hand = NULL;
    if (index == 0) {
        listener->config.accepted(listener->config.arg, loop, fd, over);
        return;
    }
    hand = malloc(sizeof(*hand));
    if (hand == NULL) {
        (void)close(fd);
        weir_listener_release(listener, over);
        weir_counter_add(&listener->descriptors, 1);
        return;
    }
    *hand = (handoff){
        .call = {.fn = handoff_run, .arg = hand}, .listener = listener, .fd = fd, .over = over};
    weir_loop_post(loop, &hand->call);
}

static void admit(weir_listener *listener, int fd)
{
    if (!weir_descriptors_take(1)) {
        weir_counter_add(&listener->descriptors, 1); /* the peer may look once it is closed */
        (void)close(fd);
        weir_descriptors_give(1);
        log_sometimes(listener, "no file descriptor is left for connections, the rest are the "
                                "engine's own: raise the limit (ulimit -n, LimitNOFILE=)");
        return;
    }
    bool over = weir_counter_get(listener->all_open) >= listener->config.connections_max;
    if (!over) {
        weir_counter_add(&listener->accepted, 1);
        weir_counter_add(listener->all_open, 1); /* [N1] */
        give(listener, fd, false);
        return;
    }
    weir_counter_add(&listener->over, 1);
    log_sometimes(listener, "connections_max is reached: raise it, or find who connects so often");
    if (weir_counter_get(&listener->over_open) >= WEIR_LISTENER_ACCEPTS_MAX) {
        (void)close(fd);
        weir_descriptors_give(1);
        return;
    }
    weir_counter_add(&listener->over_open, 1);
    give(listener, fd, true);
}

/* Turns one waiting peer away with the reserved descriptor: a close it can see. */
static void refuse_one(weir_listener *listener)
{
    int fd = -1;
    weir_counter_add(&listener->descriptors, 1);
    log_sometimes(listener,
                  "no file descriptor is left: raise the limit (ulimit -n, LimitNOFILE=)");
    if (listener->reserve_fd >= 0) {
        (void)close(listener->reserve_fd);
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *rest)
{
    weir_listener *listener = rest->data;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable); /* [N3] */
}

static void rest_begin(weir_listener *listener)
{
    (void)uv_poll_stop(&listener->poll);
    (void)uv_timer_start(&listener->rest, on_rested, WEIR_LISTENER_REST_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    weir_listener *listener = poll->data;
    (void)events;
    if (status < 0) {
        rest_begin(listener);
        return;
    }
    for (unsigned i = 0; i < WEIR_LISTENER_ACCEPTS_MAX; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(listener, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            refuse_one(listener);
            rest_begin(listener);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
        /* The others are of one connection that died while it waited: the next one may live. */
    }
}

/* ---- Opening ------------------------------------------------------------------------------- */

typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
} any_address;

static bool address_parse(const char *text, uint16_t port, any_address *address, socklen_t *len)
{
    *address = (any_address){0};
    if (strcmp(text, "localhost") == 0) {
        text = "127.0.0.1";
    }
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        *len = sizeof(address->v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        *len = sizeof(address->v6);
        return true;
    }
    return false;
}

static bool address_is_loopback(const any_address *address)
{
    if (address->any.sa_family == AF_INET) {
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static weir_err bind_fault(const weir_listener *listener, int number, weir_fault *fault)
{
    const weir_listener_config *config = &listener->config;
    const char *key = config->port_key != NULL ? config->port_key : "port";
    if (number == EADDRINUSE) {
        bool off = config->enabled_key != NULL;
        return weir_fault_set(fault, WEIR_EXISTS, number,
                              "%s: %s:%u is in use: stop the program that listens there (ss -ltnp "
                              "'sport = :%u' names it), or set %s.%s to another%s%s%s.",
                              config->section, config->address, config->port, config->port,
                              config->section, key, off ? "; " : "", off ? config->enabled_key : "",
                              off ? "=false switches this front end off" : "");
    }
    return weir_fault_set(fault, WEIR_IO, number,
                          "%s: cannot listen on %s:%u (%s): change %s.address or %s.%s.",
                          config->section, config->address, config->port, strerror(number),
                          config->section, config->section, key);
}

static weir_err tcp_bind(weir_listener *listener, const any_address *address, socklen_t len,
                         weir_fault *fault)
{
    int one = 1;
    listener->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return bind_fault(listener, errno, fault);
    }
    (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* is inherited */
    if (address->any.sa_family == AF_INET6) {
        (void)setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(listener->fd, &address->any, len) != 0 || listen(listener->fd, BACKLOG) != 0) {
        return bind_fault(listener, errno, fault);
    }
    return WEIR_OK;
}

static void tcp_text(weir_listener *listener)
{
    any_address bound = {0};
    char host[INET6_ADDRSTRLEN] = "";
    socklen_t len = sizeof(bound);
    (void)getsockname(listener->fd, &bound.any, &len);
    if (bound.any.sa_family == AF_INET6) {
        listener->port = ntohs(bound.v6.sin6_port);
        (void)inet_ntop(AF_INET6, &bound.v6.sin6_addr, host, sizeof(host));
        (void)snprintf(listener->text, sizeof(listener->text), "[%s]:%u", host, listener->port);
    } else {
        listener->port = ntohs(bound.v4.sin_port);
        (void)inet_ntop(AF_INET, &bound.v4.sin_addr, host, sizeof(host));
        (void)snprintf(listener->text, sizeof(listener->text), "%s:%u", host, listener->port);
    }
}

static weir_err tcp_open(weir_listener *listener, weir_fault *fault)
{
    any_address address;
    socklen_t len = 0;
    const weir_listener_config *config = &listener->config;
    weir_err err = WEIR_OK;
    if (!address_parse(config->address, config->port, &address, &len)) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "%s.address is \"%.64s\": give a numeric address, 127.0.0.1 or ::1.",
                              config->section, config->address);
    }
    if (!config->insecure && !address_is_loopback(&address)) {
        return weir_fault_set(
            fault, WEIR_INVALID, 0,
            "%s.address is %.64s, where anybody on the network could connect "
            "without a password: use 127.0.0.1, or say insecure if that is meant.",
            config->section, config->address);
    }
    err = tcp_bind(listener, &address, len, fault);
    if (err == WEIR_OK) {
        tcp_text(listener);
    }
    return err;
}

/* True when somebody answers at the socket's path. */
static bool path_answers(const any_address *address)
{
    bool answers = true;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return true; /* it cannot be told: nothing is removed */
    }
    if (connect(fd, &address->any, sizeof(address->local)) != 0) {
        answers = errno != ECONNREFUSED && errno != ENOENT;
    }
    (void)close(fd);
    return answers;
}

static weir_err path_bind(weir_listener *listener, const any_address *address, weir_fault *fault)
{
    int number = 0;
    /* The mode of the file comes from the socket: nobody else can connect in between. */
    (void)fchmod(listener->fd, 0600);
    if (bind(listener->fd, &address->any, sizeof(address->local)) == 0) {
        return WEIR_OK;
    }
    number = errno;
    if (number == EADDRINUSE && !path_answers(address)) {
        (void)unlink(address->local.sun_path);
        if (bind(listener->fd, &address->any, sizeof(address->local)) == 0) {
            return WEIR_OK;
        }
        number = errno;
    }
    if (number == EADDRINUSE) {
        return weir_fault_set(fault, WEIR_EXISTS, number,
                              "%s: another program listens on %.200s: stop it (ss -lxp names it).",
                              listener->config.section, address->local.sun_path);
    }
    return weir_fault_set(fault, WEIR_IO, number, "%s: cannot listen on %.200s (%s).",
                          listener->config.section, address->local.sun_path, strerror(number));
}

static weir_err path_open(weir_listener *listener, weir_fault *fault)
{
    any_address address = {.local = {.sun_family = AF_UNIX}};
    const char *path = listener->config.path;
    weir_err err = WEIR_OK;
    if (strlen(path) >= sizeof(address.local.sun_path)) {
        return weir_fault_set(
            fault, WEIR_INVALID, ENAMETOOLONG,
            "%s: the path %.200s is longer than the %zu bytes a socket's may have: "
            "choose a shorter data directory.",
            listener->config.section, path, sizeof(address.local.sun_path) - 1);
    }
    memcpy(address.local.sun_path, path, strlen(path) + 1);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return weir_fault_set(fault, WEIR_IO, errno, "%s: no socket (%s).",
                              listener->config.section, strerror(errno));
    }
    err = path_bind(listener, &address, fault);
    if (err != WEIR_OK) {
        return err;
    }
    (void)snprintf(listener->path, sizeof(listener->path), "%s", path);
    (void)snprintf(listener->text, sizeof(listener->text), "%s", path);
    if (listen(listener->fd, BACKLOG) != 0) {
        return weir_fault_set(fault, WEIR_IO, errno, "%s: cannot listen on %.200s (%s).",
                              listener->config.section, path, strerror(errno));
    }
    return WEIR_OK;
}

/* ---- Life ---------------------------------------------------------------------------------- */

typedef struct watch_call {
    weir_listener *listener;
    int status;
} watch_call;

static void on_handle_closed(uv_handle_t *handle)
{
    weir_listener *listener = handle->data;
    if (--listener->handles == 0) {
        uv_sem_post(&listener->closed);
    }
}

static void watch_begin(weir_loop *loop, void *arg)
{
    watch_call *watch = arg;
    weir_listener *listener = watch->listener;
    watch->status = uv_poll_init(weir_loop_uv(loop), &listener->poll, listener->fd);
    if (watch->status != 0) {
        return;
    }
    (void)uv_timer_init(weir_loop_uv(loop), &listener->rest);
    listener->poll.data = listener;
    listener->rest.data = listener;
    listener->handles = 2;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void stop_run(weir_loop *loop, void *arg)
{
    weir_listener *listener = arg;
    (void)loop;
    uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
    uv_close((uv_handle_t *)&listener->rest, on_handle_closed);
    if (listener->path[0] != '\0') {
        (void)unlink(listener->path);
    }
    (void)close(listener->fd);
    listener->fd = -1;
    if (listener->reserve_fd >= 0) {
        (void)close(listener->reserve_fd);
        listener->reserve_fd = -1;
    }
}

static void listener_free(weir_listener *listener)
{
    if (listener->fd >= 0) {
        (void)close(listener->fd);
    }
    if (listener->reserve_fd >= 0) {
        (void)close(listener->reserve_fd);
    }
    uv_sem_destroy(&listener->closed);
    free(listener);
}

static weir_err watch_open(weir_listener *listener, weir_fault *fault)
{
    watch_call watch = {.listener = listener};
    listener->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    weir_loop_call_wait(weir_loops_at(listener->config.loops, 0), watch_begin, &watch);
    if (watch.status != 0) {
        return weir_fault_set(fault, WEIR_IO, -watch.status, "%s: cannot watch %s (%s).",
                              listener->config.section, listener->text, strerror(-watch.status));
    }
    return WEIR_OK;
}

weir_err weir_listener_open(const weir_listener_config *config, weir_listener **listener,
                            weir_fault *fault)
{
    weir_err err = WEIR_OK;
    weir_listener *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "%s: no memory for a listener.",
                              config->section);
    }
    made->config = *config;
    made->all_open = config->with != NULL ? config->with->all_open : &made->open;
    made->fd = -1;
    made->reserve_fd = -1;
    WEIR_ASSERT(uv_sem_init(&made->closed, 0) == 0);
    err = config->path != NULL ? path_open(made, fault) : tcp_open(made, fault);
    if (err == WEIR_OK) {
        *listener = made; /* before the first connection can ask its owner for it */
        err = watch_open(made, fault);
    }
    if (err != WEIR_OK) {
        *listener = NULL;
        if (made->path[0] != '\0') {
            (void)unlink(made->path);
        }
        listener_free(made);
        return err;
    }
    return WEIR_OK;
}

void weir_listener_release(weir_listener *listener, bool over)
{
    weir_counter_subtract(over ? &listener->over_open : listener->all_open, 1);
    weir_descriptors_give(1);
}

void weir_listener_stop(weir_listener *listener)
{
    if (!listener->stopped) {
        listener->stopped = true;
        listener->stop_call = (weir_call){.fn = stop_run, .arg = listener};
        weir_loop_post(weir_loops_at(listener->config.loops, 0), &listener->stop_call);
    }
}

static void nothing_run(weir_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
}

void weir_listener_wait(weir_listener *listener)
{
    if (listener->waited) {
        return;
    }
    listener->waited = true;
    weir_listener_stop(listener);
    uv_sem_wait(&listener->closed);
    for (unsigned i = 0; i < weir_loops_count(listener->config.loops); i++) {
        /* Calls run in order: every descriptor that was on its way has arrived after this. [N2] */
        weir_loop_call_wait(weir_loops_at(listener->config.loops, i), nothing_run, NULL);
    }
}

void weir_listener_close(weir_listener *listener)
{
    if (listener != NULL) {
        weir_listener_wait(listener);
        listener_free(listener);
    }
}

const char *weir_listener_address(const weir_listener *listener)
{
    return listener->text;
}

uint16_t weir_listener_port(const weir_listener *listener)
{
    return listener->port;
}

void weir_listener_stats_get(const weir_listener *listener, weir_listener_stats *stats)
{
    stats->accepted = weir_counter_get(&listener->accepted);
    stats->open = weir_counter_get(listener->all_open);
    stats->over = weir_counter_get(&listener->over);
    stats->descriptors = weir_counter_get(&listener->descriptors);
}
