/* bench/drivers/zmq.c - libzmq, which batches by itself: XPUB that drops nothing to SUB, over TCP.
 *
 *   counterpart: XPUB, SNDHWM 4096, NODROP  -- tcp -->  SUB, RCVHWM 8192: the client
 *
 * With NODROP a full XPUB makes the sender wait instead of dropping. */
#include "bench/drivers/counterpart.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { SEND_MESSAGES = 4096, RECEIVE_MESSAGES = 8192, WAIT_MS = 100, CLOCK_EACH = 64 };

static void publisher(weir_drive *own, weir_counterpart *shared)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_XPUB);
    const int most = SEND_MESSAGES;
    const int yes = 1;
    char address[64];
    size_t len = sizeof(address);
    char subscription[8];
    uint64_t now_ns = 0;
    if (zmq_setsockopt(socket, ZMQ_SNDHWM, &most, sizeof(most)) != 0 ||
        zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &yes, sizeof(yes)) != 0 ||
        zmq_bind(socket, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &len) != 0) {
        return;
    }
    atomic_store(&shared->port, (uint32_t)atoi(strrchr(address, ':') + 1));
    if (zmq_recv(socket, subscription, sizeof(subscription), 0) < 0) {
        return;
    }
    /* A full XPUB blocks in zmq_send. */
    for (uint64_t i = 0; !atomic_load_explicit(&shared->stopping, memory_order_relaxed); i++) {
        now_ns = i % CLOCK_EACH == 0 ? weir_now_ns() : now_ns;
        weir_drive_next(own, now_ns);
        while (zmq_send(socket, own->payload, own->work->payload_bytes, 0) < 0) {
        }
    }
    atomic_store(&shared->sent, own->sequence);
    atomic_store(&shared->stopped, true);
    for (;;) {
        const struct timespec rest = {1, 0};
        nanosleep(&rest, NULL); /* its last messages leave; the driver ends it */
    }
}

static void *subscriber_open(weir_drive *own)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_SUB);
    const int most = RECEIVE_MESSAGES;
    const int wait_ms = WAIT_MS;
    char address[64];
    snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", own->target.port);
    if (zmq_setsockopt(socket, ZMQ_RCVHWM, &most, sizeof(most)) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)) != 0 ||
        zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) != 0 || zmq_connect(socket, address) != 0) {
        (void)weir_drive_fail(own, WEIR_CLOSED, "libzmq: %s", zmq_strerror(zmq_errno()));
        return NULL;
    }
    return socket;
}

/* False: nothing came within WAIT_MS. */
static bool message_take(weir_drive *own, void *socket, zmq_msg_t *message, bool timed)
{
    if (zmq_msg_recv(message, socket, 0) < 0) {
        return false;
    }
    (void)weir_drive_read(own, zmq_msg_data(message), zmq_msg_size(message));
    if (timed) {
        atomic_fetch_add_explicit(&own->done, 1, memory_order_relaxed);
    }
    return true;
}

static void subscribe(weir_drive *own, weir_counterpart *shared)
{
    void *socket = subscriber_open(own);
    zmq_msg_t message;
    int quiet = 0;
    (void)zmq_msg_init(&message);
    for (uint64_t i = 0; socket != NULL && (i % CLOCK_EACH != 0 || weir_drive_goes_on(own)); i++) {
        if (!message_take(own, socket, &message, true) && ++quiet * WAIT_MS > WEIR_DRIVE_QUIET_MS) {
            (void)weir_drive_fail(own, WEIR_TIMEOUT, "libzmq: nothing comes");
            return;
        }
    }
    atomic_store(&shared->stopping, true);
    for (quiet = 0; quiet * WAIT_MS < WEIR_DRIVE_QUIET_MS;) {
        if (atomic_load(&shared->stopped) && own->account.expected >= atomic_load(&shared->sent)) {
            break;
        }
        quiet = socket != NULL && message_take(own, socket, &message, false) ? 0 : quiet + 1;
    }
    own->sequence = atomic_load(&shared->sent);
    weir_drive_read_again(own, true);
}

void weir_drive_library(char *text, size_t size)
{
    int major;
    int minor;
    int patch;
    zmq_version(&major, &minor, &patch);
    snprintf(text, size, "libzmq %d.%d.%d", major, minor, patch);
}

void weir_drive_work(weir_drive *own)
{
    weir_counterpart *shared;
    if (own->work->kind != WEIR_BENCH_LIBRARY) {
        (void)weir_drive_fail(own, WEIR_NOT_OFFERED, "libzmq is not driven with this workload");
        return;
    }
    shared = weir_counterpart_start(own, publisher);
    if (shared != NULL) {
        subscribe(own, shared);
        weir_counterpart_end(own);
    }
}
