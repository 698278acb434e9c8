/* tests/unit/nng/gateway.h - an engine, two loops and the nng front end in this process, and
 * clients made of the library. Everything that waits has a deadline of DEADLINE_MS. */
#ifndef WEIR_TESTS_UNIT_NNG_GATEWAY_H
#define WEIR_TESTS_UNIT_NNG_GATEWAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "adapters/nng/adapter.h"
#include "adapters/shared/loop.h"
#include "weir/engine.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/req.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The library forgets connections that wait to be accepted when it closes a socket. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libnng.so\n";
}

enum { DEADLINE_MS = 60000, SETTINGS_MAX = 16 };

typedef struct gateway {
    weir_host host; /* first */
    char dir[64];
    weir_limits limits;
    weir_adapter *adapter;
    const char *settings[SETTINGS_MAX][2];
    char urls[4][256]; /* rep, pull, pub, push */
    atomic_bool drained;
} gateway;

static const char *const gateway_names[] = {"nng.rep", "nng.pull", "nng.pub", "nng.push"};
enum { REP, PULL, PUB, PUSH };

static inline uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A look between two looks at something that must become true. */
static inline void look_again(uint64_t until_ms)
{
    const struct timespec moment = {0, 2000000};
    assert_true(now_ms() < until_ms);
    nanosleep(&moment, NULL);
}

static const char *gateway_setting(weir_host *host, const char *key)
{
    gateway *g = (gateway *)host;
    for (size_t i = 0; i < SETTINGS_MAX && g->settings[i][0] != NULL; i++) {
        if (strcmp(g->settings[i][0], key) == 0) {
            return g->settings[i][1];
        }
    }
    return NULL;
}

static void gateway_announce(weir_host *host, const char *name, const char *address)
{
    gateway *g = (gateway *)host;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, gateway_names[i]) == 0) {
            (void)snprintf(g->urls[i], sizeof(g->urls[i]), "%s", address);
        }
    }
}

static void gateway_drained(weir_host *host)
{
    atomic_store(&((gateway *)host)->drained, true);
}

static void gateway_log(weir_host *host, int level, const char *line)
{
    (void)host;
    if (level > 1) {
        fprintf(stderr, "%s\n", line);
    }
}

static const weir_host_ops gateway_ops = {.setting = gateway_setting,
                                          .announce = gateway_announce,
                                          .drained = gateway_drained,
                                          .log = gateway_log};

static inline void set(gateway *g, const char *key, const char *value)
{
    size_t i = 0;
    while (g->settings[i][0] != NULL && strcmp(g->settings[i][0], key) != 0) {
        i++;
    }
    assert_true(i < SETTINGS_MAX - 1);
    g->settings[i][0] = key;
    g->settings[i][1] = value;
}

/* On any port, without anything started. */
static inline gateway *gateway_make(void)
{
    const weir_limits limits = WEIR_LIMITS_DEFAULT;
    gateway *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    strcpy(g->dir, "/tmp/weir-nng-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    g->limits = limits;
    set(g, "rep.url", "tcp://127.0.0.1:0");
    set(g, "pull.url", "tcp://127.0.0.1:0");
    set(g, "pub.url", "tcp://127.0.0.1:0");
    set(g, "push.url", "tcp://127.0.0.1:0");
    return g;
}

static inline void gateway_start(gateway *g)
{
    weir_fault fault = {0};
    const weir_engine_config config = {.data_dir = g->dir, .limits = g->limits};
    if (weir_engine_open(&config, &g->host.engine, &fault) != WEIR_OK ||
        weir_loops_create(g->host.engine, 2, &g->host.loops, &fault) != WEIR_OK) {
        fail_msg("%s", fault.text);
    }
    g->host.ops = &gateway_ops;
    g->host.limits = &g->limits;
    g->host.data_dir = g->dir;
    if (weir_nng_adapter()->configure(&g->host, &g->adapter, &fault) != WEIR_OK ||
        weir_nng_adapter()->start(g->adapter, &fault) != WEIR_OK) {
        fail_msg("%s", fault.text);
    }
}

static int gateway_remove(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void gateway_end(gateway *g)
{
    if (g->adapter != NULL) {
        weir_nng_adapter()->stop(g->adapter);
    }
    if (g->host.loops != NULL) {
        weir_loops_destroy(g->host.loops);
    }
    if (g->host.engine != NULL) {
        assert_int_equal(weir_engine_close(g->host.engine), WEIR_OK);
    }
    (void)nftw(g->dir, gateway_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(g);
}

typedef struct looked_for {
    const char *metric;
    uint64_t value;
} looked_for;

static void counter_match(void *arg, const char *metric, uint64_t value)
{
    looked_for *wanted = arg;
    if (strcmp(metric, wanted->metric) == 0) {
        wanted->value = value;
    }
}

static inline uint64_t counter(gateway *g, const char *metric)
{
    looked_for wanted = {metric, UINT64_MAX};
    weir_nng_adapter()->stats(g->adapter, counter_match, &wanted);
    assert_true(wanted.value != UINT64_MAX);
    return wanted.value;
}

static inline void counter_reaches(gateway *g, const char *metric, uint64_t value)
{
    uint64_t until_ms = now_ms() + DEADLINE_MS;
    while (counter(g, metric) != value) {
        if (now_ms() >= until_ms) {
            fail_msg("%s is %llu, not %llu", metric, (unsigned long long)counter(g, metric),
                     (unsigned long long)value);
        }
        look_again(until_ms + 1000);
    }
}

/* ---- Clients ----------------------------------------------------------------------------------
 */

static inline nng_socket dialled(int (*open)(nng_socket *socket), const char *url)
{
    nng_socket socket;
    assert_int_equal(open(&socket), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, DEADLINE_MS), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, DEADLINE_MS), 0);
    assert_int_equal(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), 0);
    assert_int_equal(nng_dial(socket, url, NULL, 0), 0);
    return socket;
}

static inline void say(nng_socket socket, const void *bytes, size_t len)
{
    nng_msg *message = NULL;
    assert_int_equal(nng_msg_alloc(&message, 0), 0);
    assert_int_equal(nng_msg_append(message, bytes, len), 0);
    assert_int_equal(nng_sendmsg(socket, message, 0), 0);
}

static void *let_go_run(void *arg)
{
    nng_close((nng_socket){(uint32_t)(uintptr_t)arg});
    return NULL;
}

/* Closes a client's socket; the library's close hangs now and then and is then left alone. Once it does, all
 * of them do: the others are not waited for. */
static inline void let_go(nng_socket socket)
{
    static atomic_bool hangs;
    pthread_t thread;
    struct timespec until;
    assert_int_equal(pthread_create(&thread, NULL, let_go_run, (void *)(uintptr_t)socket.id), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += atomic_load(&hangs) ? 0 : 3;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        atomic_store(&hangs, true);
        print_message("nng_close hangs\n");
        pthread_detach(thread);
    }
}

/* The next message as text; valid until the call after the next. */
static inline const char *hear(nng_socket socket, size_t *len)
{
    static char *texts[2];
    static unsigned turn;
    nng_msg *message = NULL;
    int status = nng_recvmsg(socket, &message, 0);
    if (status != 0) {
        fail_msg("nothing came: %s", nng_strerror(status));
    }
    turn ^= 1;
    texts[turn] = realloc(texts[turn], nng_msg_len(message) + 1);
    memcpy(texts[turn], nng_msg_body(message), nng_msg_len(message));
    texts[turn][nng_msg_len(message)] = '\0';
    if (len != NULL) {
        *len = nng_msg_len(message);
    }
    nng_msg_free(message);
    return texts[turn];
}

static inline const char *ask(nng_socket socket, const char *text)
{
    say(socket, text, strlen(text));
    return hear(socket, NULL);
}

static inline void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", text, part);
    }
}

/* A REQ socket that has said hello. */
static inline nng_socket greeted(gateway *g)
{
    nng_socket socket = dialled(nng_req0_open, g->urls[REP]);
    has(ask(socket, "{\"cmd\":\"hello\",\"version\":1}"), "\"session\":\"");
    return socket;
}

static inline void topic_create(gateway *g, const char *name)
{
    char text[256];
    nng_socket socket = greeted(g);
    (void)snprintf(text, sizeof(text),
                   "{\"cmd\":\"topic\",\"action\":\"create\",\"topic\":\"%s\",\"durability\":"
                   "\"memory\"}",
                   name);
    has(ask(socket, text), "\"ok\":true");
    let_go(socket);
}

/* A bare TCP connection to a tcp:// URL. */
static inline int connected(const char *url)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const struct timeval patience = {DEADLINE_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* A WebSocket connection to PUSH at a ws://.../out URL, by hand. */
static inline int web_connected(const char *url)
{
    static const char head[] = "GET /out HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                               "Sec-WebSocket-Protocol: push.sp.nanomsg.org\r\n\r\n";
    char port[300];
    char answer[1024] = "";
    size_t len = 0;
    (void)snprintf(port, sizeof(port), "%.*s", (int)(strrchr(url, '/') - url), url);
    int fd = connected(port);
    assert_int_equal(send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL), sizeof(head) - 1);
    while (strstr(answer, "\r\n\r\n") == NULL) {
        assert_true(len < sizeof(answer) - 1 && recv(fd, answer + len, 1, 0) == 1);
        len++;
    }
    has(answer, " 101 ");
    return fd;
}

#endif
