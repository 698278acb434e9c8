/* clients/c/transport_nng.c - weir.v1 over nng's REQ: one message asks, one answers.
 *
 *     send:     an answer is due? receive it into `queue`  -> ask
 *     receive:  the oldest of `queue`, else the answer that is due
 *
 * One request is under way at a time: requests that run beside one another may be stored in another
 * order than they were sent. The library sends nothing again of its own accord: once the connection
 * is gone (it tells so on a thread of its own) everything is CLOSED, so no publish happens twice.
 *
 * nng_dial knows no deadline, and nng_close hangs now and then (1.5.2): each runs on a thread of its
 * own. A dial that takes too long is ended by closing its socket; what hangs is left behind.
 *
 * [N1] `due` is set exactly while a request was sent and its answer not yet received.
 * [N2] Whoever waits is woken when the connection goes: the flag is set before the cancel, and
 * looked at after the beginning. */
#include "clients/c/transport.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECONNECT_MS = 86400000, CLOSE_MS_MAX = 2000, DIAL_MS_MAX = 3600000 };

typedef struct answer {
    struct answer *next;
    nng_msg *message;
} answer;

struct weir_client_link {
    nng_socket socket;
    atomic_bool gone; /* the connection; set on a thread of the library's */
    nng_aio *aio;     /* every send and receive */
    bool due;         /* [N1] */
    answer *queue;    /* received while sending; the oldest first */
    answer **queue_tail;
    nng_msg *given; /* what receive gave last */
    int fd;
    bool shut;  /* the socket */
    bool hangs; /* its close */
};

static weir_err open_fault(weir_fault *fault, weir_err err, const char *url, const char *why)
{
    *fault = (weir_fault){.err = err};
    (void)snprintf(fault->text, sizeof(fault->text),
                   "no gateway answers at %.200s (%s); see its ports file for nng.rep", url, why);
    return err;
}

static weir_err err_of(int status)
{
    switch (status) {
    case 0:
        return WEIR_OK;
    case NNG_ETIMEDOUT:
        return WEIR_TIMEOUT;
    case NNG_ENOMEM:
        return WEIR_NO_MEMORY;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
    case NNG_ENOTSUP:
        return WEIR_INVALID;
    case NNG_ECONNREFUSED:
    case NNG_EUNREACHABLE:
    case NNG_ENOENT:
        return WEIR_NOT_FOUND;
    default:
        return WEIR_CLOSED;
    }
}

/* On a thread of the library's. [N2] */
static void connection_gone(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    weir_client_link *link = arg;
    (void)pipe;
    (void)event;
    atomic_store(&link->gone, true);
    nng_aio_cancel(link->aio);
}

/* Begins a send or receive with the link's aio and waits for its end: [N2]. */
static weir_err aio_run(weir_client_link *link, bool sending, int64_t deadline_ms)
{
    int64_t left = deadline_ms == INT64_MAX ? 0 : deadline_ms - weir_client_now_ms();
    int status = 0;
    if (atomic_load(&link->gone)) {
        return WEIR_CLOSED;
    }
    nng_aio_set_timeout(link->aio, deadline_ms == INT64_MAX ? NNG_DURATION_INFINITE
                                   : left < 1               ? 1
                                   : left > INT32_MAX       ? INT32_MAX
                                                            : (nng_duration)left);
    if (sending) {
        nng_send_aio(link->socket, link->aio);
    } else {
        nng_recv_aio(link->socket, link->aio);
    }
    if (atomic_load(&link->gone)) {
        nng_aio_cancel(link->aio);
    }
    nng_aio_wait(link->aio);
    status = nng_aio_result(link->aio);
    return status == NNG_ECANCELED ? WEIR_CLOSED : err_of(status);
}

/* Whether the thread ended within so many milliseconds. */
static bool joined(pthread_t thread, int64_t patience_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += patience_ms % 1000 * 1000000;
    until.tv_sec += patience_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

static void *close_run(void *arg)
{
    (void)nng_close((nng_socket){(uint32_t)(uintptr_t)arg});
    return NULL;
}

/* False: the close hangs, or there was no thread for it. The socket is left behind. */
static bool link_shut(weir_client_link *link)
{
    pthread_t thread;
    if (link->shut) {
        return !link->hangs;
    }
    link->shut = true;
    link->hangs = true;
    if (pthread_create(&thread, NULL, close_run, (void *)(uintptr_t)link->socket.id) == 0) {
        link->hangs = !joined(thread, CLOSE_MS_MAX);
        if (link->hangs) {
            (void)pthread_detach(thread);
        }
    }
    return !link->hangs;
}

static void nng_link_close(weir_client_link *link)
{
    if (link == NULL || !link_shut(link)) {
        return; /* its threads may still tell that the connection is gone */
    }
    while (link->queue != NULL) {
        answer *oldest = link->queue;
        link->queue = oldest->next;
        nng_msg_free(oldest->message);
        free(oldest);
    }
    nng_msg_free(link->given);
    nng_aio_free(link->aio);
    free(link);
}

static int socket_prepare(weir_client_link *link)
{
    int status = nng_socket_set_size(link->socket, NNG_OPT_RECVMAXSZ, 0);
    status = status
                 ? status
                 : nng_socket_set_ms(link->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    status = status ? status : nng_socket_set_ms(link->socket, NNG_OPT_RECONNMINT, RECONNECT_MS);
    status = status ? status : nng_socket_set_ms(link->socket, NNG_OPT_RECONNMAXT, RECONNECT_MS);
    status = status ? status : nng_socket_get_int(link->socket, NNG_OPT_RECVFD, &link->fd);
    return status ? status
                  : nng_pipe_notify(link->socket, NNG_PIPE_EV_REM_POST, connection_gone, link);
}

typedef struct dialling {
    nng_socket socket;
    int status;
    char url[];
} dialling;

static void *dial_run(void *arg)
{
    dialling *own = arg;
    own->status = nng_dial(own->socket, own->url, NULL, 0);
    return NULL;
}

/* A status of the library's. */
static int dial(weir_client_link *link, const char *url, int64_t deadline_ms)
{
    size_t size = strlen(url) + 1;
    dialling *own = malloc(sizeof(*own) + size);
    int64_t left = deadline_ms == INT64_MAX ? DIAL_MS_MAX : deadline_ms - weir_client_now_ms();
    bool late = false;
    pthread_t thread;
    int status = NNG_ENOMEM;
    if (own == NULL) {
        return status;
    }
    own->socket = link->socket;
    memcpy(own->url, url, size);
    if (pthread_create(&thread, NULL, dial_run, own) != 0) {
        free(own);
        return status;
    }
    late = !joined(thread, left < 0 ? 0 : left > DIAL_MS_MAX ? DIAL_MS_MAX : left);
    if (late && (!link_shut(link) || !joined(thread, CLOSE_MS_MAX))) {
        (void)pthread_detach(thread); /* `own` is the thread's */
        return NNG_ETIMEDOUT;
    }
    status = late ? NNG_ETIMEDOUT : own->status;
    free(own);
    return status;
}

static weir_err nng_link_open(const char *url, int64_t deadline_ms, weir_client_link **out,
                              weir_fault *fault)
{
    weir_client_link *link = calloc(1, sizeof(*link));
    int status = NNG_ENOMEM;
    if (link == NULL) {
        return open_fault(fault, WEIR_NO_MEMORY, url, "no memory");
    }
    link->queue_tail = &link->queue;
    status = nng_aio_alloc(&link->aio, NULL, NULL);
    status = status ? status : nng_req0_open(&link->socket);
    if (status != 0) {
        if (link->aio != NULL) {
            nng_aio_free(link->aio);
        }
        free(link);
        return open_fault(fault, err_of(status), url, nng_strerror(status));
    }
    status = socket_prepare(link);
    status = status ? status : dial(link, url, deadline_ms);
    if (status != 0) {
        nng_link_close(link);
        return open_fault(fault, err_of(status), url, nng_strerror(status));
    }
    *out = link;
    return WEIR_OK;
}

static weir_err answer_receive(weir_client_link *link, int64_t deadline_ms, nng_msg **message)
{
    weir_err err = aio_run(link, false, deadline_ms);
    link->due = false; /* [N1] a receive that ends without its answer gives the request up */
    if (err == WEIR_OK) {
        *message = nng_aio_get_msg(link->aio);
        nng_aio_set_msg(link->aio, NULL);
    }
    return err;
}

/* Makes room for the next request: [N1]. */
static weir_err answer_keep(weir_client_link *link, int64_t deadline_ms)
{
    answer *kept = malloc(sizeof(*kept));
    weir_err err =
        kept == NULL ? WEIR_NO_MEMORY : answer_receive(link, deadline_ms, &kept->message);
    if (err != WEIR_OK) {
        free(kept);
        return err;
    }
    kept->next = NULL;
    *link->queue_tail = kept;
    link->queue_tail = &kept->next;
    return WEIR_OK;
}

static weir_err nng_link_send(weir_client_link *link, weir_bytes bytes, int64_t deadline_ms)
{
    nng_msg *message = NULL;
    weir_err err = link->due ? answer_keep(link, deadline_ms) : WEIR_OK;
    if (err != WEIR_OK) {
        return err;
    }
    if (nng_msg_alloc(&message, 0) != 0 || nng_msg_append(message, bytes.ptr, bytes.len) != 0) {
        nng_msg_free(message);
        return WEIR_NO_MEMORY;
    }
    nng_aio_set_msg(link->aio, message);
    err = aio_run(link, true, deadline_ms);
    if (err != WEIR_OK) {
        nng_msg_free(message);
    }
    nng_aio_set_msg(link->aio, NULL);
    link->due = err == WEIR_OK; /* [N1] */
    return err;
}

static weir_err nng_link_receive(weir_client_link *link, int64_t deadline_ms, weir_bytes *message)
{
    answer *oldest = link->queue;
    weir_err err = WEIR_OK;
    if (oldest == NULL && !link->due) {
        /* Nothing is pushed here; waiting would be for ever. */
        return atomic_load(&link->gone) ? WEIR_CLOSED : WEIR_TIMEOUT;
    }
    nng_msg_free(link->given);
    link->given = NULL;
    if (oldest != NULL) {
        link->queue = oldest->next;
        link->queue_tail = link->queue == NULL ? &link->queue : link->queue_tail;
        link->given = oldest->message;
        free(oldest);
    } else {
        err = answer_receive(link, deadline_ms, &link->given);
    }
    if (err == WEIR_OK) {
        *message = (weir_bytes){nng_msg_body(link->given), nng_msg_len(link->given)};
    }
    return err;
}

static bool nng_link_pending(const weir_client_link *link)
{
    return link->queue != NULL;
}

static int nng_link_fd(const weir_client_link *link)
{
    return link->fd;
}

const weir_client_transport weir_client_nng = {
    .scheme = "nng+",
    .open = nng_link_open,
    .send = nng_link_send,
    .receive = nng_link_receive,
    .pending = nng_link_pending,
    .fd = nng_link_fd,
    .close = nng_link_close,
};
