/* bench/drivers/nng.c - nng clients, against a raw socket, against nng, against Weir.
 *
 *   kind          client here   raw, nng: counterpart     Weir
 *   SUB, PULL     receives      sends                     is fed records in batches over its PULL
 *   PUSH          sends         counts                    what it took is read from its PUB
 *   ROUND_TRIP    REQ           echoes                    answers a ping of weir.v1
 *
 * The client's buffers hold 8192 messages received and 4096 to send. A raw socket and Weir's feed
 * keep at most in_flight messages before the client, so that nothing has to be dropped; nng's own
 * PUB sends as fast as it can and drops, which is its way.
 *
 * [K1] Whoever receives, `had` of the shared memory counts it, and `done` follows it. */
#include "bench/drivers/sp.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SEND_MESSAGES = 4096,
    RECEIVE_MESSAGES = 8192,
    WAIT_MS = 100,
    CLOCK_EACH = 16,
    REST_NS = 1000000,
};

#define SUB_NAME  "bench/0000"
#define WORK_NAME "work/0000"

static bool check(weir_drive *own, int status, const char *what)
{
    return status == 0 ||
           weir_drive_fail(own, WEIR_PROTOCOL, "nng, %s: %s", what, nng_strerror(status));
}

static bool is_mode(const weir_drive *own, const char *mode)
{
    return strcmp(own->target.mode, mode) == 0;
}

static void rest(void)
{
    const struct timespec time = {0, REST_NS};
    nanosleep(&time, NULL);
}

/* ---- The other side, by nng --------------------------------------------------------------------
 */

static int other_open(const weir_drive *own, nng_socket *socket)
{
    int (*const opens[WEIR_BENCH_KINDS])(nng_socket *) = {
        [WEIR_BENCH_SUB] = nng_pub0_open,
        [WEIR_BENCH_PULL] = nng_push0_open,
        [WEIR_BENCH_PUSH] = nng_pull0_open,
        [WEIR_BENCH_ROUND_TRIP] = nng_rep0_open,
    };
    return opens[own->work->kind](socket);
}

static void joined(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    weir_counterpart *shared = arg;
    (void)pipe;
    (void)event;
    atomic_store(&shared->connected, true);
}

static bool other_listen(weir_drive *own, weir_counterpart *shared, nng_socket *socket)
{
    nng_listener listener;
    nng_sockaddr address;
    (void)nng_pipe_notify(*socket, NNG_PIPE_EV_ADD_POST, joined, shared);
    (void)nng_socket_set_int(*socket, NNG_OPT_SENDBUF, SEND_MESSAGES);
    (void)nng_socket_set_int(*socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES);
    (void)own;
    if (nng_listen(*socket, "tcp://127.0.0.1:0", &listener, 0) != 0 ||
        nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address) != 0) {
        return false;
    }
    atomic_store(&shared->port, ntohs(address.s_in.sa_port));
    return true;
}

static void other_send(weir_drive *own, weir_counterpart *shared, nng_socket socket)
{
    uint64_t now_ns = 0;
    while (!atomic_load(&shared->connected)) {
        rest();
    }
    for (uint64_t i = 0; !atomic_load(&shared->stopping); i++) {
        nng_msg *message;
        now_ns = i % CLOCK_EACH == 0 ? weir_now_ns() : now_ns;
        weir_drive_next(own, now_ns);
        if (nng_msg_alloc(&message, 0) != 0 ||
            nng_msg_append(message, own->payload, own->work->payload_bytes) != 0) {
            break;
        }
        while (nng_sendmsg(socket, message, 0) == NNG_ETIMEDOUT) {
            if (atomic_load(&shared->stopping)) {
                own->sequence--; /* it was not sent */
                break;
            }
        }
    }
    atomic_store(&shared->sent, own->sequence);
    atomic_store(&shared->stopped, true);
    for (;;) {
        rest(); /* its last messages leave; the driver ends it */
    }
}

static void other_receive(weir_drive *own, weir_counterpart *shared, nng_socket socket)
{
    nng_msg *message;
    while (nng_recvmsg(socket, &message, 0) == 0) {
        if (own->work->kind == WEIR_BENCH_ROUND_TRIP) {
            (void)nng_sendmsg(socket, message, 0);
            continue;
        }
        if (weir_drive_read(own, nng_msg_body(message), nng_msg_len(message))) {
            atomic_store(&shared->had, own->account.expected - weir_account_missing(&own->account));
        } else {
            atomic_fetch_add(&shared->alien, 1);
        }
        atomic_store(&shared->duplicated, own->account.duplicated);
        atomic_store(&shared->reordered, own->account.reordered);
        nng_msg_free(message);
    }
}

static void other_nng(weir_drive *own, weir_counterpart *shared)
{
    nng_socket socket;
    if (other_open(own, &socket) != 0 || !other_listen(own, shared, &socket)) {
        return;
    }
    if (own->work->kind == WEIR_BENCH_SUB || own->work->kind == WEIR_BENCH_PULL) {
        (void)nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, WAIT_MS);
        other_send(own, shared, socket);
    } else {
        other_receive(own, shared, socket);
    }
}

/* ---- The other side, by a raw socket -----------------------------------------------------------
 */

static void other_raw(weir_drive *own, weir_counterpart *shared)
{
    static const weir_sp_protocol protocols[WEIR_BENCH_KINDS] = {
        [WEIR_BENCH_SUB] = WEIR_SP_PUB,
        [WEIR_BENCH_PULL] = WEIR_SP_PUSH,
        [WEIR_BENCH_PUSH] = WEIR_SP_PULL,
        [WEIR_BENCH_ROUND_TRIP] = WEIR_SP_REP,
    };
    int fd = weir_sp_serve_one(shared, protocols[own->work->kind]);
    if (fd < 0) {
        return;
    }
    if (own->work->kind == WEIR_BENCH_PUSH) {
        weir_sp_sink(own, shared, fd, 0);
    } else if (own->work->kind == WEIR_BENCH_ROUND_TRIP) {
        weir_sp_echo(fd);
    } else {
        weir_sp_feed(own, shared, fd, NULL);
    }
    for (;;) {
        rest();
    }
}

/* ---- Weir's other side: a thread that feeds it, or reads what it took --------------------------
 */

typedef struct helper {
    weir_drive *own;
    weir_counterpart *shared;
    int fd;
} helper;

static void *feed_body(void *arg)
{
    const helper *task = arg;
    weir_sp_feed(task->own, task->shared, task->fd,
                 task->own->work->kind == WEIR_BENCH_PULL ? WORK_NAME : SUB_NAME);
    return NULL;
}

static void *sink_body(void *arg)
{
    const helper *task = arg;
    weir_sp_sink(task->own, task->shared, task->fd, sizeof(SUB_NAME));
    return NULL;
}

/* Which of Weir's ports the client dials. */
static uint16_t weir_port(const weir_drive *own)
{
    switch (own->work->kind) {
    case WEIR_BENCH_SUB:
        return own->target.publish_port;
    case WEIR_BENCH_PULL:
        return own->target.push_port;
    case WEIR_BENCH_PUSH:
        return own->target.pull_port;
    default:
        return own->target.reply_port;
    }
}

static bool helper_start(weir_drive *own, helper *task)
{
    bool reads = own->work->kind == WEIR_BENCH_PUSH;
    pthread_t thread;
    if (!is_mode(own, "weir") || own->work->kind == WEIR_BENCH_ROUND_TRIP) {
        return true;
    }
    task->fd = reads ? weir_sp_connect(own->target.publish_port, WEIR_SP_SUB)
                     : weir_sp_connect(own->target.pull_port, WEIR_SP_PUSH);
    if (task->fd < 0 || pthread_create(&thread, NULL, reads ? sink_body : feed_body, task) != 0) {
        return weir_drive_fail(own, WEIR_CLOSED, "weir cannot be reached over nng");
    }
    (void)pthread_detach(thread);
    return true;
}

/* ---- The client --------------------------------------------------------------------------------
 */

static bool client_open(weir_drive *own, nng_socket *socket)
{
    int (*const opens[WEIR_BENCH_KINDS])(nng_socket *) = {
        [WEIR_BENCH_SUB] = nng_sub0_open,
        [WEIR_BENCH_PULL] = nng_pull0_open,
        [WEIR_BENCH_PUSH] = nng_push0_open,
        [WEIR_BENCH_ROUND_TRIP] = nng_req0_open,
    };
    char url[64];
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", own->target.port);
    if (!check(own, opens[own->work->kind](socket), "open")) {
        return false;
    }
    (void)nng_socket_set_int(*socket, NNG_OPT_SENDBUF, SEND_MESSAGES);
    (void)nng_socket_set_int(*socket, NNG_OPT_RECVBUF, RECEIVE_MESSAGES);
    (void)nng_socket_set_ms(*socket, NNG_OPT_RECVTIMEO, WAIT_MS);
    (void)nng_socket_set_ms(*socket, NNG_OPT_SENDTIMEO, WEIR_DRIVE_QUIET_MS);
    if (own->work->kind == WEIR_BENCH_SUB) {
        (void)nng_socket_set(*socket, NNG_OPT_SUB_SUBSCRIBE, "", 0);
    }
    return check(own, nng_dial(*socket, url, NULL, 0), "dial");
}

static size_t prefix_bytes(const weir_drive *own)
{
    if (!is_mode(own, "weir")) {
        return 0;
    }
    return own->work->kind == WEIR_BENCH_PULL ? sizeof(WORK_NAME) : sizeof(SUB_NAME);
}

/* [K1] False: nothing came within WAIT_MS. */
static bool message_take(weir_drive *own, weir_counterpart *shared, nng_socket socket,
                         size_t prefix)
{
    nng_msg *message;
    uint64_t before = own->account.duplicated;
    if (nng_recvmsg(socket, &message, 0) != 0) {
        return false;
    }
    if (nng_msg_len(message) < prefix) {
        own->result->alien++;
    } else if (weir_drive_read(own, (uint8_t *)nng_msg_body(message) + prefix,
                               nng_msg_len(message) - prefix) &&
               own->account.duplicated == before) {
        atomic_store(&shared->had, atomic_load(&shared->had) + 1);
        atomic_store(&own->done, atomic_load(&shared->had));
    }
    nng_msg_free(message);
    return true;
}

static void receive(weir_drive *own, weir_counterpart *shared, nng_socket socket)
{
    size_t prefix = prefix_bytes(own);
    unsigned quiet = 0;
    for (uint64_t i = 0; i % CLOCK_EACH != 0 || weir_drive_goes_on(own); i++) {
        quiet = message_take(own, shared, socket, prefix) ? 0 : quiet + 1;
        if (quiet * WAIT_MS > WEIR_DRIVE_QUIET_MS) {
            (void)weir_drive_fail(own, WEIR_TIMEOUT, "nothing comes");
            return;
        }
    }
    atomic_store(&shared->stopping, true);
    for (quiet = 0; quiet * WAIT_MS < WEIR_DRIVE_QUIET_MS;) {
        if (atomic_load(&shared->stopped) && own->account.expected >= atomic_load(&shared->sent)) {
            break;
        }
        quiet = message_take(own, shared, socket, prefix) ? 0 : quiet + 1;
    }
    own->sequence = atomic_load(&shared->sent);
    weir_drive_read_again(own, true);
}

static bool message_send(weir_drive *own, nng_socket socket, const void *head, size_t head_bytes)
{
    nng_msg *message;
    if (!check(own, nng_msg_alloc(&message, 0), "message") ||
        !check(own, nng_msg_append(message, head, head_bytes), "message") ||
        !check(own, nng_msg_append(message, own->payload, own->work->payload_bytes), "message")) {
        return false;
    }
    return check(own, nng_sendmsg(socket, message, 0), "send");
}

static void send_all(weir_drive *own, weir_counterpart *shared, nng_socket socket)
{
    size_t prefix = prefix_bytes(own);
    uint64_t progress_ns;
    uint64_t before;
    for (uint64_t i = 0; i % CLOCK_EACH != 0 || weir_drive_goes_on(own); i++) {
        weir_drive_next(own, 0);
        if (!message_send(own, socket, SUB_NAME, prefix)) {
            return;
        }
        atomic_store(&own->done, atomic_load(&shared->had)); /* [K1] */
    }
    before = atomic_load(&shared->had);
    progress_ns = weir_now_ns();
    while (before < own->sequence &&
           weir_now_ns() < progress_ns + (uint64_t)WEIR_DRIVE_QUIET_MS * 1000000) {
        uint64_t had = atomic_load(&shared->had);
        progress_ns = had != before ? weir_now_ns() : progress_ns;
        before = had;
        rest();
    }
    own->result->delivered = before;
    own->result->lost = own->sequence - before;
    own->result->duplicated = atomic_load(&shared->duplicated);
    own->result->reordered = atomic_load(&shared->reordered);
    own->result->alien = atomic_load(&shared->alien);
}

/* ---- Round trips -------------------------------------------------------------------------------
 */

/* One request of weir.v1, padded to the payload's size by a member that means nothing there. */
static bool request_send(weir_drive *own, nng_socket socket, const char *request)
{
    char text[WEIR_DRIVE_PAYLOAD_BYTES_MAX];
    int len = snprintf(text, sizeof(text), "%s", request);
    int pad = (int)own->work->payload_bytes - len - 10;
    if (pad > 0) {
        snprintf(text + len - 1, sizeof(text) - (size_t)len, ",\"pad\":\"%.*s\"}", pad,
                 (const char *)own->payload + WEIR_BENCH_PAYLOAD_BYTES_MIN);
    }
    return check(own, nng_send(socket, text, strlen(text), 0), "send");
}

/* The answer must be whole: the payload back, or an ok. */
static bool answer_take(weir_drive *own, nng_socket socket, bool is_weir)
{
    nng_msg *message;
    bool good;
    if (!check(own, nng_recvmsg(socket, &message, 0), "answer")) {
        return false;
    }
    if (is_weir) {
        good = memmem(nng_msg_body(message), nng_msg_len(message), "\"ok\":true", 9) != NULL;
        own->result->delivered++;
    } else {
        good = weir_drive_read(own, nng_msg_body(message), nng_msg_len(message));
    }
    nng_msg_free(message);
    own->result->refused += good ? 0 : 1;
    return true;
}

static void round_trips(weir_drive *own, nng_socket socket)
{
    bool is_weir = is_mode(own, "weir");
    (void)nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, WEIR_DRIVE_QUIET_MS);
    if (is_weir && (!request_send(own, socket, "{\"cmd\":\"hello\",\"id\":1,\"version\":1}") ||
                    !answer_take(own, socket, true))) {
        return;
    }
    while (weir_drive_goes_on(own)) {
        uint64_t now_ns = weir_now_ns();
        weir_drive_next(own, now_ns);
        if (!(is_weir ? request_send(own, socket, "{\"cmd\":\"ping\",\"id\":2}")
                      : message_send(own, socket, "", 0)) ||
            !answer_take(own, socket, is_weir)) {
            return;
        }
        weir_drive_done(own, 1);
        if (atomic_load(&own->measuring)) {
            weir_drive_latency(own, now_ns, weir_now_ns());
        }
    }
    if (!is_weir) {
        weir_drive_read_again(own, true);
    }
}

static void client_run(weir_drive *own, weir_counterpart *shared)
{
    static helper task;
    nng_socket socket;
    task = (helper){.own = own, .shared = shared};
    if (!client_open(own, &socket) || !helper_start(own, &task)) {
        return;
    }
    if (own->work->kind == WEIR_BENCH_ROUND_TRIP) {
        round_trips(own, socket);
    } else if (own->work->kind == WEIR_BENCH_PUSH) {
        send_all(own, shared, socket);
    } else {
        receive(own, shared, socket);
    }
}

void weir_drive_library(char *text, size_t size)
{
    snprintf(text, size, "nng %s", nng_version());
}

void weir_drive_work(weir_drive *own)
{
    static weir_counterpart of_weir;
    weir_counterpart *shared = &of_weir;
    if (own->work->kind < WEIR_BENCH_SUB || own->work->kind > WEIR_BENCH_ROUND_TRIP) {
        (void)weir_drive_fail(own, WEIR_NOT_OFFERED, "nng is not driven with this workload");
        return;
    }
    if (is_mode(own, "weir")) {
        own->target.port = weir_port(own);
        client_run(own, shared);
        return;
    }
    shared = weir_counterpart_start(own, is_mode(own, "raw") ? other_raw : other_nng);
    if (shared != NULL) {
        client_run(own, shared);
        weir_counterpart_end(own);
    }
}
