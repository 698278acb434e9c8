/* tests/unit/client/scripted.h - a gateway that is a script: a thread at the other end of a socket pair.
 *
 *     const step steps[] = {HELLO, {"wait for a line that has this in it", "then say this"}, THE_END};
 *     weir_client *client = meet(steps, NULL, &g);
 *     part(client, g);                      fails when the script was not followed */
#ifndef WEIR_TESTS_UNIT_CLIENT_SCRIPTED_H
#define WEIR_TESTS_UNIT_CLIENT_SCRIPTED_H

#include "weir/client.h"

#include "adapters/proto/weir1/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_ANSWER                                                                               \
    "{\"id\":1,\"ok\":true,\"version\":1,\"server\":\"weir test\",\"limits\":{\"in_flight_max\":7}}\n"

enum { DEADLINE_MS = 60000, LINE_MAX_BYTES = 1 << 20 };

/* One thing the gateway does: wait for a line that has `expect` in it (NULL: for none), then say.
 */
typedef struct step {
    const char *expect;
    const char *say;
} step;

typedef struct gateway {
    pthread_t thread;
    int fd;
    int client_fd;
    const step *steps;
    void (*free_run)(struct gateway *gateway); /* after the steps; NULL: it closes */
    char problem[512];
    char line[LINE_MAX_BYTES];
    char buffered[LINE_MAX_BYTES];
    size_t buffered_len;
    size_t longest; /* line that came */
} gateway;

static bool read_more(gateway *g)
{
    struct pollfd one = {.fd = g->fd, .events = POLLIN};
    if (poll(&one, 1, DEADLINE_MS) != 1) {
        return false;
    }
    ssize_t got =
        recv(g->fd, g->buffered + g->buffered_len, sizeof(g->buffered) - 1 - g->buffered_len, 0);
    if (got <= 0) {
        return false;
    }
    g->buffered_len += (size_t)got;
    return true;
}

/* The next line, into g->line. False at the end, or when none comes. */
static bool read_line(gateway *g)
{
    char *newline = NULL;
    while ((newline = memchr(g->buffered, '\n', g->buffered_len)) == NULL) {
        if (!read_more(g)) {
            return false;
        }
    }
    size_t len = (size_t)(newline - g->buffered);
    memcpy(g->line, g->buffered, len);
    g->line[len] = 0;
    g->longest = len > g->longest ? len : g->longest;
    g->buffered_len -= len + 1;
    memmove(g->buffered, newline + 1, g->buffered_len);
    return true;
}

static void say(gateway *g, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(g->fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        text += sent;
        len -= (size_t)sent;
    }
}

static void *gateway_run(void *arg)
{
    gateway *g = arg;
    for (const step *at = g->steps; at->expect != NULL || at->say != NULL; at++) {
        if (at->expect != NULL && (!read_line(g) || strstr(g->line, at->expect) == NULL)) {
            snprintf(g->problem, sizeof(g->problem), "expected %.200s, got %.200s", at->expect,
                     g->line);
            break;
        }
        if (at->say != NULL) {
            say(g, at->say, strlen(at->say));
        }
    }
    if (g->free_run != NULL && g->problem[0] == 0) {
        g->free_run(g);
    }
    shutdown(g->fd, SHUT_RDWR);
    return NULL;
}

static gateway *gateway_start(const step *steps, void (*free_run)(gateway *))
{
    int pair[2];
    gateway *g = calloc(1, sizeof(*g));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    g->fd = pair[0];
    g->client_fd = pair[1];
    g->steps = steps;
    g->free_run = free_run;
    assert_int_equal(pthread_create(&g->thread, NULL, gateway_run, g), 0);
    return g;
}

static void gateway_stop(gateway *g)
{
    char problem[512];
    pthread_join(g->thread, NULL);
    strcpy(problem, g->problem);
    close(g->fd);
    free(g);
    assert_string_equal(problem, "");
}

static weir_err connect_to(gateway *g, weir_client **client, weir_fault *fault)
{
    char url[32];
    const weir_client_options options = {.name = "test", .timeout_ms = DEADLINE_MS};
    snprintf(url, sizeof(url), "fd:%d", g->client_fd);
    return weir_client_open(url, &options, client, fault);
}

/* A gateway with a script, and a client that has said hello to it. */
static weir_client *meet(const step *steps, void (*free_run)(gateway *), gateway **g)
{
    weir_client *client = NULL;
    weir_fault fault = {0};
    *g = gateway_start(steps, free_run);
    if (connect_to(*g, &client, &fault) != WEIR_OK) {
        fail_msg("%s", fault.text);
    }
    return client;
}

static void part(weir_client *client, gateway *g)
{
    weir_client_close(client);
    gateway_stop(g);
}

#define HELLO                                                                                      \
    {                                                                                              \
        "\"cmd\":\"hello\"", HELLO_ANSWER                                                          \
    }
#define THE_END                                                                                    \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* The next frame that comes. False: none does. */
__attribute__((unused)) static bool read_frame(gateway *g, weir_v1_frame *frame)
{
    while (weir_v1_frame_decode((weir_bytes){(const uint8_t *)g->buffered, g->buffered_len},
                                frame) == WEIR_MORE) {
        if (!read_more(g)) {
            return false;
        }
    }
    return true;
}

/* Says it as a frame, and forgets the one that was read. */
__attribute__((unused)) static void say_frame(gateway *g, const weir_v1_frame *answer)
{
    weir_buffer wire = {0};
    (void)weir_v1_frame_encode(answer, &wire);
    say(g, (const char *)wire.ptr, wire.len);
    weir_buffer_fini(&wire);
    g->buffered_len = 0;
}

#endif
