/* adapters/nng/pull.c - alone responsible for records that come in through PULL.
 *
 *   nng -> one aio -> waiting (nng's thread) -> current -> records -> port -> completions
 *                     \-- full: no receive --/   \-- AGAIN, or in_flight_max: nothing is read on
 * --/
 *
 * Happy path: the aio's callback appends the message to a short list and receives again; the loop
 * is woken when the list was empty. Each record of a message becomes one publish.
 *
 * Failures: a body without NUL is refused whole and counted. A record that the engine refuses is
 * counted; nobody can be told. While the engine has no room nothing is read, so that nng stops
 * reading and the pushing peer waits: nothing is lost for want of room.
 *
 * [P1] At most one receive is under way, and none while the list is full.
 * [P2] The call is posted at most once until it has run. */
#include "adapters/nng/body.h"
#include "adapters/nng/nng_private.h"

#include <nng/protocol/pipeline0/pull.h>

#include <pthread.h>
#include <stdlib.h>

enum { WAITING_MAX = 64 }; /* messages; with limits.packet_bytes_max it bounds the memory */

struct weir_nng_pull {
    weir_sink sink; /* first: completions come here */
    weir_turn_end turn_end;
    weir_adapter *adapter;
    weir_nng_socket socket;
    nng_aio *aio;

    pthread_mutex_t lock; /* the next five: between the callback and the loop */
    nng_msg *waiting[WAITING_MAX];
    unsigned first;
    unsigned count;
    bool receiving; /* [P1] */
    bool posted;    /* [P2] */
    weir_call call;

    nng_msg *current;   /* loop, as all that follows */
    weir_nng_body body; /* what is left of it */
    weir_bytes name;    /* a record that the port had no room for; null: none */
    weir_bytes payload;
    uint64_t publisher;
    uint64_t in_flight;
    bool stopped; /* receives no more */
    bool closed;
};

/* ---- Between the threads ----------------------------------------------------------------------
 */

/* With the lock held. */
static void receive_more(weir_nng_pull *pull)
{
    if (!pull->receiving && !pull->stopped && pull->count < WAITING_MAX) {
        pull->receiving = true;
        nng_recv_aio(pull->socket.id, pull->aio);
    }
}

/* On a thread of nng's. */
static void received(void *arg)
{
    weir_nng_pull *pull = arg;
    int status = nng_aio_result(pull->aio);
    pthread_mutex_lock(&pull->lock);
    pull->receiving = false;
    if (status == 0) {
        pull->waiting[(pull->first + pull->count) % WAITING_MAX] = nng_aio_get_msg(pull->aio);
        nng_aio_set_msg(pull->aio, NULL);
        pull->count++;
    }
    if (status != NNG_ECLOSED && status != NNG_ECANCELED) {
        receive_more(pull);
    }
    if (!pull->posted) {
        pull->posted = true;
        weir_nng_hand(pull->adapter, &pull->call);
    }
    pthread_mutex_unlock(&pull->lock);
}

static nng_msg *message_take(weir_nng_pull *pull)
{
    nng_msg *message = NULL;
    pthread_mutex_lock(&pull->lock);
    if (pull->count > 0) {
        message = pull->waiting[pull->first];
        pull->first = (pull->first + 1) % WAITING_MAX;
        pull->count--;
        receive_more(pull);
    }
    pthread_mutex_unlock(&pull->lock);
    return message;
}

/* ---- Records ----------------------------------------------------------------------------------
 */

static bool current_next(weir_nng_pull *pull)
{
    weir_nng_counters *counters = &pull->adapter->counters;
    weir_bytes bytes = WEIR_BYTES_NULL;
    if (pull->current != NULL) {
        nng_msg_free(pull->current);
    }
    pull->current = message_take(pull);
    if (pull->current == NULL) {
        return false;
    }
    weir_counter_add(&counters->pull_messages, 1);
    bytes = (weir_bytes){nng_msg_body(pull->current), nng_msg_len(pull->current)};
    pull->publisher = 1ull << 63 | (uint32_t)nng_pipe_id(nng_msg_get_pipe(pull->current));
    if (weir_nng_body_open(bytes, &pull->body) != WEIR_OK) {
        pull->body = (weir_nng_body){0};
        weir_counter_add(&counters->pull_refused, 1);
    }
    return true;
}

/* False: no room; the record is kept. */
static bool record_publish(weir_nng_pull *pull, weir_port *port)
{
    weir_nng_counters *counters = &pull->adapter->counters;
    const weir_publish publish = {
        .name = pull->name, .value = pull->payload, .publisher = pull->publisher};
    weir_err err = WEIR_AGAIN;
    if (pull->in_flight < pull->adapter->host->limits->in_flight_max) {
        err = weir_port_publish(port, &publish, &pull->sink, 0);
    }
    if (err == WEIR_AGAIN) {
        return false;
    }
    pull->name = WEIR_BYTES_NULL;
    if (err == WEIR_OK) {
        pull->in_flight++;
        weir_counter_add(&counters->pull_records, 1);
    } else {
        weir_counter_add(&counters->pull_refused, 1);
    }
    return true;
}

static void pull_work(weir_nng_pull *pull)
{
    weir_port *port = weir_loop_port(pull->adapter->loop);
    for (;;) {
        if (pull->closed) {
            return;
        }
        if (pull->name.ptr != NULL && !record_publish(pull, port)) {
            weir_counter_add(&pull->adapter->counters.pull_paused, 1);
            if (pull->in_flight == 0) { /* no completion will come to go on with */
                weir_loop_at_turn_end(pull->adapter->loop, &pull->turn_end);
            }
            return;
        }
        if (!weir_nng_body_next(&pull->body, &pull->name, &pull->payload) && !current_next(pull)) {
            return;
        }
    }
}

static void called(weir_loop *loop, void *arg)
{
    weir_nng_pull *pull = arg;
    (void)loop;
    pthread_mutex_lock(&pull->lock);
    pull->posted = false;
    pthread_mutex_unlock(&pull->lock);
    pull_work(pull);
    weir_nng_settle(pull->adapter);
}

static void turn_ended(weir_turn_end *end)
{
    weir_nng_pull *pull = (weir_nng_pull *)((char *)end - offsetof(weir_nng_pull, turn_end));
    pull_work(pull);
    weir_nng_settle(pull->adapter);
}

static void complete(weir_sink *sink, weir_completion *completion)
{
    weir_nng_pull *pull = (weir_nng_pull *)sink;
    pull->in_flight--;
    if (completion->err != WEIR_OK) {
        weir_counter_add(&pull->adapter->counters.pull_refused, 1);
    }
    if (pull->name.ptr != NULL || pull->in_flight == 0) {
        weir_loop_at_turn_end(pull->adapter->loop, &pull->turn_end);
    }
}

/* ---- Life -------------------------------------------------------------------------------------
 */

weir_err weir_nng_pull_create(weir_adapter *adapter, weir_nng_pull **pull, weir_fault *fault)
{
    weir_nng_pull *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.pull.");
    }
    made->adapter = adapter;
    made->sink.complete = complete;
    made->turn_end.run = turn_ended;
    made->call = (weir_call){.fn = called, .arg = made};
    made->socket = (weir_nng_socket){.adapter = adapter, .part = WEIR_NNG_PULL};
    (void)pthread_mutex_init(&made->lock, NULL);
    *pull = made; /* destroy undoes what follows */
    if (nng_aio_alloc(&made->aio, received, made) != 0 || nng_pull0_open(&made->socket.id) != 0) {
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, "There is no memory for nng.pull.");
    }
    return weir_nng_socket_listen(&made->socket, fault);
}

void weir_nng_pull_run(weir_nng_pull *pull)
{
    pthread_mutex_lock(&pull->lock);
    receive_more(pull);
    pthread_mutex_unlock(&pull->lock);
}

void weir_nng_pull_drain(weir_nng_pull *pull)
{
    pthread_mutex_lock(&pull->lock);
    pull->stopped = true;
    pthread_mutex_unlock(&pull->lock);
    nng_aio_cancel(pull->aio);
}

void weir_nng_pull_close(weir_nng_pull *pull)
{
    weir_nng_pull_drain(pull);
    pull->closed = true;
    weir_loop_turn_end_cancel(pull->adapter->loop, &pull->turn_end);
}

bool weir_nng_pull_idle(const weir_nng_pull *pull)
{
    return pull->in_flight == 0 && pull->current == NULL;
}

bool weir_nng_pull_closed(const weir_nng_pull *pull)
{
    return pull->in_flight == 0;
}

bool weir_nng_pull_shut(weir_nng_pull *pull)
{
    return weir_nng_socket_close(&pull->socket);
}

static void let_go(weir_loop *loop, void *arg)
{
    weir_nng_pull *pull = arg;
    weir_loop_turn_end_cancel(loop, &pull->turn_end);
}

void weir_nng_pull_destroy(weir_nng_pull *pull)
{
    nng_msg *message = NULL;
    if (pull == NULL) {
        return;
    }
    if (pull->aio != NULL) {
        nng_aio_stop(pull->aio);
        weir_loop_call_wait(pull->adapter->loop, let_go, pull); /* the last call has run: [P2] */
        nng_aio_free(pull->aio);
    }
    while ((message = message_take(pull)) != NULL) {
        nng_msg_free(message);
    }
    if (pull->current != NULL) {
        nng_msg_free(pull->current);
    }
    (void)pthread_mutex_destroy(&pull->lock);
    free(pull);
}
