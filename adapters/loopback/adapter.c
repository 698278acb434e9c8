/* adapters/loopback/adapter.c - alone responsible for peers in this process: a pair of queues each.
 *
 *     peer's thread                       loop 0
 *     send  --> [ commands ] --posted-->  take one, submit it, wait for its completion,
 *     receive <-- [ answers, records ] <- say how it went, take the next
 *
 * Happy path: a command wakes loop 0, which submits it; its completion is the answer. Records come
 * while there is credit; the peer gives credit back by receiving.
 *
 * Failures: a command that is none is answered, and ends the connection. A full command queue is
 * the peer's AGAIN. A full port makes the command wait for the next turn. A peer that does not
 * receive has no credit, and the engine drops by its own limit.
 *
 * Invariants
 * [B1] Ends are listed, submitted for and completed on loop 0 only; queues are under the end's
 * lock. [B2] One command of an end is in flight at a time, so answers are in order. [B3] An end is
 * freed when both its sides have let go: the peer by close, loop 0 once the subscriber is closed
 * and nothing is in flight or posted. */
#include "adapters/loopback/adapter.h"

#include "adapters/shared/loop.h"
#include "adapters/shared/settings.h"
#include "adapters/shared/stats.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECTION "loopback"

enum { SERVED_MAX = 16, CREDIT_BYTES = 1048576, NAME_BYTES_MAX = 65535 };

typedef struct message {
    struct message *next;
    bool record; /* counts as credit when it is received */
    size_t len;
    uint8_t bytes[];
} message;

typedef struct queue {
    message *first;
    message **last;
    unsigned count;
} queue;

struct weir_loopback {
    weir_sink sink; /* first */
    weir_adapter *adapter;
    weir_subscriber *subscriber;
    weir_call call;
    weir_loopback *next; /* [B1] */
    weir_loopback **link;
    bool in_flight; /* loop 0 */
    bool closing;   /* loop 0: no further command */
    bool subscriber_closing;
    bool says_bye;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t arrived;
    queue commands;
    queue answers;
    uint64_t credit_records; /* received, not yet granted again */
    uint64_t credit_bytes;
    bool posted;
    bool peer_gone;
    bool weir_gone;
};

struct weir_adapter {
    weir_host *host;
    weir_loop *loop;
    uint64_t connections_max;
    unsigned number;
    weir_loopback *ends; /* loop 0 */
    bool draining;       /* loop 0 */
    bool drained;        /* loop 0 */
    bool stopping;       /* loop 0 */
    uv_sem_t stopped;
    weir_counter connections;
    weir_counter published;
    weir_counter delivered;
    weir_counter refused;
};

/* Whom an address means. A process has few of these. */
static pthread_mutex_t served_lock = PTHREAD_MUTEX_INITIALIZER;
static weir_adapter *served[SERVED_MAX];

/* ---- Queues -------------------------------------------------------------------------------- */

static weir_err queue_put(queue *self, weir_bytes head, weir_bytes tail, bool record)
{
    message *made = malloc(sizeof(*made) + head.len + tail.len);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    *made = (message){.record = record, .len = head.len + tail.len};
    memcpy(made->bytes, head.ptr, head.len);
    if (tail.len > 0) {
        memcpy(made->bytes + head.len, tail.ptr, tail.len);
    }
    *(self->first == NULL ? &self->first : self->last) = made;
    self->last = &made->next;
    self->count++;
    return WEIR_OK;
}

static message *queue_take(queue *self)
{
    message *taken = self->first;
    if (taken != NULL) {
        self->first = taken->next;
        self->count--;
    }
    return taken;
}

static void queue_fini(queue *self)
{
    for (message *each = queue_take(self); each != NULL; each = queue_take(self)) {
        free(each);
    }
}

/* ---- The end, from both sides -------------------------------------------------------------- */

static void end_free(weir_loopback *self)
{
    queue_fini(&self->commands);
    queue_fini(&self->answers);
    pthread_cond_destroy(&self->arrived);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

/* Within the end's lock. */
static void end_post(weir_loopback *self)
{
    if (!self->posted && !self->weir_gone) {
        self->posted = true;
        weir_loop_post(self->adapter->loop, &self->call);
    }
}

static void end_tell(weir_loopback *self, weir_bytes head, weir_bytes tail, bool record)
{
    pthread_mutex_lock(&self->lock);
    if (!self->peer_gone && queue_put(&self->answers, head, tail, record) != WEIR_OK) {
        self->closing = true; /* no memory for an answer: this connection ends, no other */
    }
    pthread_cond_signal(&self->arrived);
    pthread_mutex_unlock(&self->lock);
}

static void end_answer(weir_loopback *self, weir_err err, const char *good)
{
    char text[256];
    if (err == WEIR_OK) {
        (void)snprintf(text, sizeof(text), "OK%s%s", good[0] == '\0' ? "" : " ", good);
    } else {
        weir_counter_add(&self->adapter->refused, 1);
        (void)snprintf(text, sizeof(text), "ERR %s %s", weir_err_name(err), weir_err_text(err));
    }
    end_tell(self, weir_bytes_of(text), WEIR_BYTES_NULL, false);
}

/* ---- Commands, on loop 0 ------------------------------------------------------------------- */

/* The word up to the next space; *rest is what follows it. */
static weir_bytes word_take(weir_bytes *rest)
{
    const uint8_t *space = rest->len == 0 ? NULL : memchr(rest->ptr, ' ', rest->len);
    weir_bytes word = {rest->ptr, space == NULL ? rest->len : (size_t)(space - rest->ptr)};
    rest->ptr += word.len + (space != NULL);
    rest->len -= word.len + (space != NULL);
    return word;
}

static weir_err subscriber_need(weir_loopback *self)
{
    weir_port *port = weir_loop_port(self->adapter->loop);
    weir_err err = WEIR_OK;
    if (self->subscriber != NULL) {
        return WEIR_OK;
    }
    err = weir_port_subscriber_open(port, &self->sink, &self->subscriber);
    if (err == WEIR_OK) {
        pthread_mutex_lock(&self->lock);
        self->credit_records = WEIR_LOOPBACK_RECORDS_MAX;
        self->credit_bytes = CREDIT_BYTES;
        pthread_mutex_unlock(&self->lock);
    }
    return err;
}

/* AGAIN: the port is full. Other errors are the answer. */
static weir_err command_submit(weir_loopback *self, weir_bytes command)
{
    weir_port *port = weir_loop_port(self->adapter->loop);
    weir_bytes rest = command;
    weir_bytes verb = word_take(&rest);
    if (weir_bytes_equal(verb, WEIR_TEXT("PUB")) && rest.len > 0) {
        weir_publish publish = {.name = word_take(&rest)};
        publish.value = rest;
        return weir_port_publish(port, &publish, &self->sink, 0);
    }
    if (weir_bytes_equal(verb, WEIR_TEXT("SUB")) && rest.len > 0) {
        weir_subscribe subscribe = {.filter = rest, .retained = WEIR_RETAINED_SEND};
        weir_err err = subscriber_need(self);
        return err != WEIR_OK
                   ? err
                   : weir_port_subscribe(port, self->subscriber, &subscribe, &self->sink, 0);
    }
    return WEIR_MALFORMED;
}

static void credit_grant(weir_loopback *self)
{
    uint64_t records = 0;
    uint64_t bytes = 0;
    pthread_mutex_lock(&self->lock);
    records = self->credit_records;
    bytes = self->credit_bytes;
    pthread_mutex_unlock(&self->lock);
    if (self->subscriber == NULL || self->subscriber_closing || records == 0 ||
        weir_port_credit(weir_loop_port(self->adapter->loop), self->subscriber, records, bytes) !=
            WEIR_OK) {
        return; /* what was not granted is granted next time */
    }
    pthread_mutex_lock(&self->lock);
    self->credit_records -= records;
    self->credit_bytes -= bytes;
    pthread_mutex_unlock(&self->lock);
}

/* Takes commands until one is in flight, the port is full, or none is left. */
static void commands_run(weir_loopback *self)
{
    while (!self->in_flight && !self->closing) {
        message *command = NULL;
        weir_err err = WEIR_OK;
        pthread_mutex_lock(&self->lock);
        command = self->commands.first;
        pthread_mutex_unlock(&self->lock);
        if (command == NULL) {
            return;
        }
        err = command_submit(self, (weir_bytes){command->bytes, command->len});
        pthread_mutex_lock(&self->lock);
        if (err == WEIR_AGAIN) {
            end_post(self); /* the next turn has stepped the port */
            pthread_mutex_unlock(&self->lock);
            return;
        }
        free(queue_take(&self->commands));
        pthread_mutex_unlock(&self->lock);
        self->in_flight = err == WEIR_OK; /* [B2] */
        if (err != WEIR_OK) {
            end_answer(self, err, "");
            self->closing = err == WEIR_MALFORMED;
        }
    }
}

static void adapter_check(weir_adapter *adapter)
{
    if (adapter->draining && !adapter->drained && adapter->ends == NULL) {
        adapter->drained = true;
        adapter->host->ops->drained(adapter->host);
    }
    if (adapter->stopping && adapter->ends == NULL) {
        adapter->stopping = false;
        uv_sem_post(&adapter->stopped);
    }
}

/* Lets go of a closing end, as far as it can be now: [B3]. May free it. */
static void end_close(weir_loopback *self)
{
    weir_adapter *adapter = self->adapter;
    bool peer_gone = false;
    if (self->in_flight) {
        return;
    }
    if (self->subscriber != NULL) {
        if (!self->subscriber_closing) {
            weir_err err = weir_port_subscriber_close(weir_loop_port(adapter->loop),
                                                      self->subscriber, &self->sink, 0);
            self->subscriber_closing = err == WEIR_OK;
            pthread_mutex_lock(&self->lock);
            if (err != WEIR_OK) {
                end_post(self);
            }
            pthread_mutex_unlock(&self->lock);
        }
        return; /* its CLOSED completion comes back here */
    }
    if (self->says_bye) {
        self->says_bye = false;
        end_tell(self, WEIR_TEXT("BYE"), WEIR_BYTES_NULL, false);
    }
    pthread_mutex_lock(&self->lock);
    if (self->posted) {
        pthread_mutex_unlock(&self->lock);
        return;
    }
    *self->link = self->next;
    if (self->next != NULL) {
        self->next->link = self->link;
    }
    self->weir_gone = true;
    peer_gone = self->peer_gone;
    pthread_cond_signal(&self->arrived);
    pthread_mutex_unlock(&self->lock); /* unless peer_gone, it is the peer's from here on: [B3] */
    weir_counter_subtract(&adapter->connections, 1);
    if (peer_gone) {
        end_free(self);
    }
    adapter_check(adapter);
}

static void end_run(weir_loop *loop, void *arg)
{
    weir_loopback *self = arg;
    (void)loop;
    pthread_mutex_lock(&self->lock);
    self->posted = false;
    self->closing = self->closing || self->peer_gone;
    pthread_mutex_unlock(&self->lock);
    credit_grant(self);
    commands_run(self);
    if (self->closing) {
        end_close(self);
    }
}

/* ---- Completions --------------------------------------------------------------------------- */

static void records_tell(weir_loopback *self, const weir_delivery *delivery)
{
    uint8_t head[4 + NAME_BYTES_MAX + 1] = "MSG ";
    for (uint32_t i = 0; i < delivery->count; i++) {
        weir_record record;
        bool encoded = false;
        size_t len = 0;
        weir_chunk_record(delivery->chunk, delivery->first + i, &record);
        len = weir_record_name(weir_chunk_topic(delivery->chunk), record.key, head + 4,
                               NAME_BYTES_MAX, &encoded);
        if (len > NAME_BYTES_MAX) {
            continue; /* a key that is longer than any name */
        }
        head[4 + len] = ' ';
        end_tell(self, (weir_bytes){head, len + 5}, record.value, true);
        weir_counter_add(&self->adapter->delivered, 1);
    }
}

static void end_complete(weir_sink *sink, weir_completion *completion)
{
    weir_loopback *self = (weir_loopback *)sink;
    char text[64];
    switch (completion->type) {
    case WEIR_COMPLETION_DELIVERY:
        records_tell(self, &completion->delivery);
        return;
    case WEIR_COMPLETION_NOTICE:
        if (completion->notice.kind == WEIR_NOTICE_DROPPED) {
            (void)snprintf(text, sizeof(text), "DROPPED %llu",
                           (unsigned long long)completion->notice.count);
            end_tell(self, weir_bytes_of(text), WEIR_BYTES_NULL, false);
        }
        return;
    case WEIR_COMPLETION_PUBLISH:
        weir_counter_add(&self->adapter->published, completion->err == WEIR_OK ? 1 : 0);
        end_answer(self, completion->err, weir_level_name(completion->published.level));
        self->in_flight = false;
        break;
    case WEIR_COMPLETION_CLOSED:
        self->subscriber = NULL;
        self->closing = true;
        break;
    default:
        end_answer(self, completion->err, "");
        self->in_flight = false;
        break;
    }
    credit_grant(self);
    commands_run(self);
    if (self->closing) {
        end_close(self);
    }
}

/* ---- The peer's side ----------------------------------------------------------------------- */

static void end_begin(weir_loop *loop, void *arg)
{
    weir_loopback *self = arg;
    weir_adapter *adapter = self->adapter;
    self->next = adapter->ends;
    self->link = &adapter->ends;
    if (adapter->ends != NULL) {
        adapter->ends->link = &self->next;
    }
    adapter->ends = self;
    self->closing = adapter->draining || adapter->stopping;
    pthread_mutex_lock(&self->lock);
    self->call.fn = end_run;
    pthread_mutex_unlock(&self->lock);
    end_run(loop, self);
}

/* Within served_lock, so that the adapter does not stop meanwhile. */
static weir_err end_create(weir_adapter *adapter, weir_loopback **end)
{
    pthread_condattr_t monotonic;
    weir_loopback *made = NULL;
    if (weir_counter_get(&adapter->connections) >= adapter->connections_max) {
        weir_counter_add(&adapter->refused, 1);
        return WEIR_LIMIT;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->adapter = adapter;
    made->sink.complete = end_complete;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&made->arrived, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    weir_counter_add(&adapter->connections, 1);
    made->call = (weir_call){.fn = end_begin, .arg = made};
    made->posted = true;
    weir_loop_post(adapter->loop, &made->call);
    *end = made;
    return WEIR_OK;
}

weir_err weir_loopback_connect(const char *address, weir_loopback **end)
{
    unsigned number = SERVED_MAX;
    weir_err err = WEIR_NOT_FOUND;
    if (sscanf(address, SECTION ":%u", &number) != 1 || number >= SERVED_MAX) {
        return WEIR_NOT_FOUND;
    }
    pthread_mutex_lock(&served_lock);
    if (served[number] != NULL) {
        err = end_create(served[number], end);
    }
    pthread_mutex_unlock(&served_lock);
    return err;
}

weir_err weir_loopback_send(weir_loopback *end, weir_bytes command)
{
    weir_err err = WEIR_OK;
    if (command.len > WEIR_LOOPBACK_MESSAGE_MAX) {
        return WEIR_TOO_LARGE;
    }
    pthread_mutex_lock(&end->lock);
    if (end->weir_gone) {
        err = WEIR_CLOSED;
    } else if (end->commands.count >= WEIR_LOOPBACK_COMMANDS_MAX) {
        err = WEIR_AGAIN;
    } else {
        err = queue_put(&end->commands, command, WEIR_BYTES_NULL, false);
        end_post(end);
    }
    pthread_mutex_unlock(&end->lock);
    return err;
}

static struct timespec after_ms(int ms)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

weir_err weir_loopback_receive(weir_loopback *end, int timeout_ms, weir_buffer *message_out)
{
    struct timespec until = after_ms(timeout_ms);
    weir_err err = WEIR_OK;
    message *taken = NULL;
    int waited = 0;
    pthread_mutex_lock(&end->lock);
    while (end->answers.first == NULL && !end->weir_gone && waited == 0) {
        waited = pthread_cond_timedwait(&end->arrived, &end->lock, &until);
    }
    taken = queue_take(&end->answers);
    if (taken == NULL) {
        err = end->weir_gone ? WEIR_CLOSED : WEIR_TIMEOUT;
    } else if (taken->record) {
        end->credit_records++;
        end->credit_bytes += taken->len;
        end_post(end);
    }
    pthread_mutex_unlock(&end->lock);
    if (taken != NULL) {
        message_out->len = 0;
        err = weir_buffer_append(message_out, taken->bytes, taken->len);
        free(taken);
    }
    return err;
}

void weir_loopback_close(weir_loopback *end)
{
    bool last = false;
    if (end == NULL) {
        return;
    }
    pthread_mutex_lock(&end->lock);
    end->peer_gone = true;
    last = end->weir_gone;
    end_post(end);
    pthread_mutex_unlock(&end->lock);
    if (last) {
        end_free(end); /* [B3] */
    }
}

/* ---- The adapter's life -------------------------------------------------------------------- */

static weir_err loopback_configure(weir_host *host, weir_adapter **adapter, weir_fault *fault)
{
    uint64_t connections_max = 0;
    weir_adapter *made = NULL;
    weir_err err = WEIR_OK;
    if (host->loops == NULL) {
        return weir_fault_set(fault, WEIR_INVALID, 0, SECTION ": this host has no I/O threads.");
    }
    err = weir_setting_u64(host, SECTION, "connections_max", host->limits->connections_max, 1,
                           1000000, &connections_max, fault);
    if (err != WEIR_OK) {
        return err;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL || uv_sem_init(&made->stopped, 0) != 0) {
        free(made);
        return weir_fault_set(fault, WEIR_NO_MEMORY, 0, SECTION ": there is no memory to start.");
    }
    made->host = host;
    made->loop = weir_loops_at(host->loops, 0);
    made->connections_max = connections_max;
    made->number = SERVED_MAX;
    *adapter = made;
    return WEIR_OK;
}

static weir_err loopback_start(weir_adapter *self, weir_fault *fault)
{
    char address[32];
    pthread_mutex_lock(&served_lock);
    for (unsigned i = 0; i < SERVED_MAX && self->number == SERVED_MAX; i++) {
        if (served[i] == NULL) {
            served[i] = self;
            self->number = i;
        }
    }
    pthread_mutex_unlock(&served_lock);
    if (self->number == SERVED_MAX) {
        return weir_fault_set(fault, WEIR_LIMIT, 0,
                              SECTION ": %d of them run in this process already: stop one.",
                              SERVED_MAX);
    }
    (void)snprintf(address, sizeof(address), SECTION ":%u", self->number);
    self->host->ops->announce(self->host, SECTION, address);
    return WEIR_OK;
}

/* After this nobody finds the adapter any more, and everybody who did has been posted. */
static void unserve(weir_adapter *self)
{
    pthread_mutex_lock(&served_lock);
    if (self->number < SERVED_MAX && served[self->number] == self) {
        served[self->number] = NULL;
    }
    pthread_mutex_unlock(&served_lock);
}

static void ends_close(weir_adapter *self, bool tell)
{
    weir_loopback *next = NULL;
    for (weir_loopback *end = self->ends; end != NULL; end = next) {
        next = end->next;
        if (tell && !end->closing) {
            end->says_bye = true;
        }
        end->closing = true;
        end_close(end);
    }
    adapter_check(self);
}

static void drain_run(weir_loop *loop, void *arg)
{
    weir_adapter *self = arg;
    (void)loop;
    self->draining = true;
    ends_close(self, true);
}

static void loopback_drain(weir_adapter *self)
{
    unserve(self);
    weir_loop_call(self->loop, drain_run, self);
}

static void stop_run(weir_loop *loop, void *arg)
{
    weir_adapter *self = arg;
    (void)loop;
    self->stopping = true;
    ends_close(self, false);
}

static void loopback_stop(weir_adapter *self)
{
    unserve(self);
    weir_loop_call(self->loop, stop_run, self);
    uv_sem_wait(&self->stopped);
    uv_sem_destroy(&self->stopped);
    free(self);
}

static void loopback_stats(weir_adapter *self,
                           void (*each)(void *arg, const char *metric, uint64_t value), void *arg)
{
    each(arg, "weir_loopback_connections", weir_counter_get(&self->connections));
    each(arg, "weir_loopback_published_total", weir_counter_get(&self->published));
    each(arg, "weir_loopback_delivered_total", weir_counter_get(&self->delivered));
    each(arg, "weir_loopback_refused_total", weir_counter_get(&self->refused));
}

static const weir_adapter_ops ops = {
    .abi = WEIR_ADAPTER_ABI,
    .name = SECTION,
    .version = WEIR_VERSION_TEXT,
    .configure = loopback_configure,
    .start = loopback_start,
    .drain = loopback_drain,
    .stop = loopback_stop,
    .stats = loopback_stats,
};

const weir_adapter_ops *weir_loopback_adapter(void)
{
    return &ops;
}
