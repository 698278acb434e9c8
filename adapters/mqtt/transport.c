/* adapters/mqtt/transport.c - alone responsible for driving sessions: which bytes, completions,
 * times and news reach which session, and when its memory goes.
 *
 *     accept -> client { conn, session, member }
 *
 *     conn:input -----> session_input ----OK----> go on
 *                            |---AGAIN---> blocked list: asked again after a step, a completion,
 *                            |             or 2 ms
 *                            |---CLOSED--> conn closes (flushing), session ends
 *     sink:complete --> session_complete
 *     conn:sent ------> session_drained
 *     conn:deadline --> session_tick
 *     client ids:told --> session_claimed, session_stop(taken over)
 *
 * Happy path: a turn reads every socket once, steps once, and each session appends its answers to
 * its connection's output, which the connection sends at the turn's end. The hub's own turn end
 * then forgets what the wire cache encoded and publishes the counters.
 *
 * Failures: whatever happens to one client (malformed bytes, a reset, no memory) closes that
 * client: its connection and its session end separately, and the object is freed when both are over
 * and no news is on its way.
 *
 * Invariants
 * [T1] A session is called only on its loop, with the hub's times of this turn.
 * [T2] No session call after session_end, but complete() and session_end again, until destroyed.
 * [T3] A client is freed only when its conn is closed, its session destroyed, its member not busy.
 * [T4] `outstanding` counts operations of the client whose completion is due; a drain waits for 0.
 * [T5] A failed QoS 0 publish may complete after its client is gone, and after the transport is:
 * the hub with its quiet sink lives as long as the port, and counts nothing once it stops. */
#include "adapters/mqtt/transport.h"

#include "adapters/mqtt/submit.h"
#include "adapters/proto/mqtt/session.h"
#include "adapters/shared/client_ids.h"
#include "adapters/shared/stats.h"
#include "core/base/assert.h"
#include "core/base/log.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_EVERY_MS = 250,
    RETRY_MS = 2,          /* for blocked sessions that no completion will wake */
    STOP_MS_MAX = 5000,    /* for the engine to give subscribers back */
    INPUT_SLACK_BYTES = 8, /* a packet's fixed header, beside limits.packet_bytes_max */
};

enum { HOLD_BLOCKED = 1, HOLD_PRESSURE = 2, HOLD_DRAIN = 4 }; /* why reading is paused */

typedef struct hub hub;

typedef struct client {
    weir_conn conn;                /* first: conn callbacks cast */
    weir_mqtt_submitter submitter; /* its sink is the session's user; [T4] */
    weir_client_id_member member;
    weir_mqtt_session *session; /* NULL: destroyed */
    hub *hub;
    weir_mqtt_door *door;
    struct client *next; /* all clients of the hub */
    struct client **link;
    struct client *blocked_next;
    uint8_t holds;
    bool over : 1; /* beyond connections_max: to be refused at CONNECT */
    bool conn_gone : 1;
    bool ended : 1;        /* session_end was called */
    bool blocked : 1;      /* in the hub's blocked list */
    bool credit_waits : 1; /* the port had no room for it */
    bool patient : 1;      /* asked again in vain: waits for a completion or the timer */
} client;

struct hub {
    weir_mqtt_transport *transport;
    weir_loop *loop;
    weir_mqtt_context context;
    weir_sink quiet;
    weir_turn_end turn_end;
    uv_timer_t retry;
    client *clients;
    client *blocked;
    uint64_t log_after_ms;
    bool completions; /* some came this turn */
    bool draining;
    bool drained;
    bool stopping;
    weir_counter paused_output;
    weir_counter counters[sizeof(weir_mqtt_stats) / sizeof(uint64_t)];
};

struct weir_mqtt_transport {
    weir_host *host;
    weir_client_ids *ids;
    void (*drained)(void *arg);
    void *drained_arg;
    atomic_uint draining; /* hubs that are not drained yet */
    sem_t stopped;        /* posted once by each hub that has no client left, when stopping */
    unsigned hub_count;
    hub *hubs[]; /* each lives as long as its loop */
};

static void client_end(client *self);
static void client_try(client *self);
static void client_sent(weir_conn *conn, size_t waiting);

/* ---- The hub's turn ------------------------------------------------------------------------ */

static void hub_times(hub *self)
{
    uint64_t now_ms = weir_loop_now_ms(self->loop);
    if (self->context.now_ms != now_ms) {
        struct timespec wall;
        (void)clock_gettime(CLOCK_REALTIME, &wall);
        self->context.now_ms = now_ms;
        self->context.wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    }
}

/* Before any session is called: [T1]. */
static void hub_enter(hub *self)
{
    hub_times(self);
    weir_loop_at_turn_end(self->loop, &self->turn_end);
}

/* After sessions were called outside conn's input: what they submitted is stepped. */
static void hub_leave(hub *self)
{
    if (weir_mqtt_submitted()) {
        weir_loop_kick(self->loop);
    }
}

static void hub_counters_publish(hub *self)
{
    const uint64_t *values = (const uint64_t *)&self->context.stats;
    for (size_t i = 0; i < sizeof(self->counters) / sizeof(self->counters[0]); i++) {
        atomic_store_explicit(&self->counters[i], values[i], memory_order_relaxed);
    }
}

static void hub_blocked_retry(hub *self, bool all)
{
    client *list = self->blocked;
    self->blocked = NULL;
    while (list != NULL) {
        client *next = list->blocked_next;
        list->blocked_next = NULL;
        list->blocked = false;
        if (all || !list->patient) {
            client_try(list); /* may free it, or put it back */
        } else {
            list->blocked = true;
            list->blocked_next = self->blocked;
            self->blocked = list;
        }
        list = next;
    }
}

static void hub_retry_run(uv_timer_t *timer)
{
    hub *self = timer->data;
    self->completions = true;
    hub_enter(self);
}

static void hub_turn_end(weir_turn_end *end)
{
    hub *self = (hub *)((char *)end - offsetof(hub, turn_end));
    weir_mqtt_context_turn_end(&self->context);
    hub_blocked_retry(self, self->completions);
    self->completions = false;
    if (self->blocked != NULL) {
        (void)uv_timer_start(&self->retry, hub_retry_run, RETRY_MS, 0);
    }
    hub_counters_publish(self);
}

static void hub_drained_check(hub *self)
{
    if (self->draining && !self->drained && self->clients == NULL) {
        weir_mqtt_transport *transport = self->transport;
        self->drained = true;
        if (atomic_fetch_sub(&transport->draining, 1) == 1) {
            transport->drained(transport->drained_arg);
        }
    }
}

static void hub_retry_closed(uv_handle_t *handle)
{
    hub *self = handle->data;
    (void)sem_post(&self->transport->stopped);
}

static void hub_stopped_check(hub *self)
{
    if (self->stopping && self->clients == NULL && !uv_is_closing((uv_handle_t *)&self->retry)) {
        weir_loop_turn_end_cancel(self->loop, &self->turn_end);
        uv_close((uv_handle_t *)&self->retry, hub_retry_closed);
    }
}

/* ---- A client's end ------------------------------------------------------------------------ */

static void client_free_if_over(client *self)
{
    hub *home = self->hub;
    if (!self->conn_gone || self->session != NULL || self->blocked ||
        weir_client_id_member_is_busy(&self->member)) {
        return; /* [T3] */
    }
    *self->link = self->next;
    if (self->next != NULL) {
        self->next->link = self->link;
    }
    weir_listener_release(self->door->listener, self->over);
    free(self);
    hub_drained_check(home);
    hub_stopped_check(home);
}

static void client_block(client *self)
{
    if (!self->blocked) {
        self->blocked = true;
        self->blocked_next = self->hub->blocked;
        self->hub->blocked = self;
    }
}

/* Closings for a peer's fault, a few a second: an operator sees them, a peer cannot fill the disk.
 */
static void close_log(const client *self)
{
    uint8_t reason = 0;
    char id[WEIR_LOG_QUOTE_MAX];
    hub *home = self->hub;
    const char *text = weir_mqtt_session_close_text(self->session, &reason);
    if (text == NULL || reason < WEIR_MQTT_UNSPECIFIED || reason == WEIR_MQTT_SHUTTING_DOWN ||
        home->context.now_ms < home->log_after_ms) {
        return;
    }
    home->log_after_ms = home->context.now_ms + LOG_EVERY_MS;
    weir_log(WEIR_LOG_INFO, "mqtt", "client=%s closed=0x%02x why=\"%s\"",
             weir_log_quote(weir_mqtt_session_client_id(self->session), id), reason, text);
}

/* Ends the session, as far as it can be now: [T2]. */
static void client_end(client *self)
{
    if (self->session == NULL) {
        return;
    }
    hub_enter(self->hub);
    if (!self->ended) {
        close_log(self);
    }
    self->ended = true;
    if (weir_mqtt_session_end(self->session) == WEIR_AGAIN) {
        client_block(self);
    } else {
        weir_mqtt_session_destroy(self->session);
        self->session = NULL;
    }
    hub_leave(self->hub);
}

/* The session is over (it said CLOSED, or the peer is gone): what was written still leaves. */
static void client_close(client *self)
{
    if (!self->ended) {
        weir_conn_close(&self->conn);
        client_end(self);
    }
}

/* ---- A client's life ----------------------------------------------------------------------- */

static void client_hold(client *self, uint8_t why)
{
    self->holds |= why;
    weir_conn_pause(&self->conn);
}

static void client_unhold(client *self, uint8_t why)
{
    self->holds &= (uint8_t)~why;
    if (self->holds == 0) {
        weir_conn_resume(&self->conn);
    }
}

/* The deadline moves later with every packet and is looked at when it comes; it is moved only when
 * it became earlier (a short keep-alive after the time to connect). */
static void client_deadline_arm(client *self)
{
    uint64_t due_ms = weir_mqtt_session_deadline_ms(self->session);
    uint64_t set_ms = weir_conn_deadline_at(&self->conn);
    if (due_ms != UINT64_MAX && (set_ms == 0 || due_ms < set_ms)) {
        weir_conn_deadline(&self->conn, due_ms > 0 ? due_ms : 1);
    }
}

static size_t client_input(weir_conn *conn, weir_bytes in)
{
    client *self = (client *)conn;
    size_t used = 0;
    weir_err err = WEIR_OK;
    hub_enter(self->hub);
    err = weir_mqtt_session_input(self->session, in, weir_conn_output(conn), &used);
    weir_conn_written(conn);
    if (err == WEIR_AGAIN) {
        self->patient = self->patient && used == 0;
        client_hold(self, HOLD_BLOCKED);
        client_block(self);
    } else if (err != WEIR_OK) {
        client_close(self);
        return in.len;
    } else {
        self->patient = false;
    }
    client_deadline_arm(self);
    return used;
}

/* A blocked client's turn has come again: give its input once more, or end it. */
static void client_try(client *self)
{
    if (self->session == NULL) {
        client_free_if_over(self);
    } else if (self->ended) {
        self->patient = true;
        client_end(self);
        client_free_if_over(self);
    } else {
        self->patient = true; /* until it gets on */
        if (self->credit_waits) {
            self->credit_waits = false;
            client_sent(&self->conn, weir_conn_output_bytes(&self->conn));
        }
        client_unhold(self, HOLD_BLOCKED);
    }
}

static void client_ended(weir_conn *conn)
{
    client_close((client *)conn);
}

static void client_pressure(weir_conn *conn, bool full)
{
    client *self = (client *)conn;
    if (full) {
        weir_counter_add(&self->hub->paused_output, 1);
        client_hold(self, HOLD_PRESSURE); /* who does not read is not read from */
    } else {
        client_unhold(self, HOLD_PRESSURE);
    }
}

static void client_sent(weir_conn *conn, size_t waiting)
{
    client *self = (client *)conn;
    if (!self->ended) {
        hub_times(self->hub); /* no hub_enter: this is the turn's end, and asks for no other turn */
        if (weir_mqtt_session_drained(self->session, waiting) == WEIR_AGAIN) {
            self->credit_waits = true; /* else its subscriptions could wait for ever */
            client_block(self);
            weir_loop_at_turn_end(self->hub->loop, &self->hub->turn_end);
        }
        hub_leave(self->hub);
    }
}

static void client_deadline(weir_conn *conn)
{
    client *self = (client *)conn;
    weir_err err = WEIR_OK;
    hub_enter(self->hub);
    if (weir_mqtt_session_deadline_ms(self->session) <= self->hub->context.now_ms) {
        err = weir_mqtt_session_tick(self->session, weir_conn_output(conn));
        weir_conn_written(conn);
    }
    if (err != WEIR_OK) {
        client_close(self);
    } else {
        client_deadline_arm(self);
    }
    hub_leave(self->hub);
}

static void client_closed(weir_conn *conn, weir_err why)
{
    client *self = (client *)conn;
    (void)why;
    self->conn_gone = true;
    if (!self->ended) {
        client_end(self);
    }
    client_free_if_over(self);
}

static const weir_conn_ops client_conn_ops = {
    .input = client_input,
    .ended = client_ended,
    .pressure = client_pressure,
    .deadline = client_deadline,
    .closed = client_closed,
    .sent = client_sent,
};

static void client_stop(client *self, uint8_t reason)
{
    if (!self->ended) {
        hub_enter(self->hub);
        (void)weir_mqtt_session_stop(self->session, reason, weir_conn_output(&self->conn));
        weir_conn_written(&self->conn);
        client_close(self);
    }
}

/* ---- Completions --------------------------------------------------------------------------- */

static void client_complete(weir_sink *sink, weir_completion *completion)
{
    client *self = (client *)((char *)sink - offsetof(client, submitter));
    hub *home = self->hub; /* the client may be gone at the end */
    weir_err err = WEIR_OK;
    hub_enter(home);
    home->completions = true;
    weir_mqtt_submit_done(&self->submitter, completion);
    err = weir_mqtt_session_complete(self->session, completion, weir_conn_output(&self->conn));
    weir_conn_written(&self->conn);
    if (self->ended) {
        client_end(self);
        client_free_if_over(self);
    } else if (err != WEIR_OK) {
        client_close(self);
    } else if (self->hub->draining && self->submitter.outstanding == 0) {
        client_stop(self, WEIR_MQTT_SHUTTING_DOWN);
    } else {
        client_deadline_arm(self); /* leases came, which are to be renewed */
    }
    hub_leave(home);
}

static void quiet_complete(weir_sink *sink, weir_completion *completion)
{
    hub *self = (hub *)((char *)sink - offsetof(hub, quiet));
    if (!self->stopping) { /* [T5] */
        hub_enter(self);
        weir_mqtt_context_quiet(&self->context, completion);
    }
}

/* ---- What sessions ask --------------------------------------------------------------------- */

static client *client_of(weir_mqtt_session *session)
{
    weir_sink *sink = weir_mqtt_session_user(session);
    return (client *)((char *)sink - offsetof(client, submitter));
}

static uint8_t hook_admit(void *arg, weir_mqtt_session *session, const weir_mqtt_connect *connect)
{
    const hub *self = arg;
    (void)connect;
    if (client_of(session)->over) {
        return WEIR_MQTT_QUOTA_EXCEEDED;
    }
    return self->draining ? WEIR_MQTT_SERVER_UNAVAILABLE : WEIR_MQTT_SUCCESS;
}

static weir_err hook_claim(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    const hub *self = arg;
    return weir_client_ids_claim(self->transport->ids, &client_of(session)->member, client_id);
}

static void hook_release(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    const hub *self = arg;
    weir_client_ids_release(self->transport->ids, &client_of(session)->member, client_id);
}

static const weir_mqtt_hooks hooks = {
    .admit = hook_admit, .claim = hook_claim, .release = hook_release};

static void client_told(weir_client_id_member *member, bool claimed, bool taken)
{
    client *self = (client *)((char *)member - offsetof(client, member));
    if (taken) {
        client_stop(self, WEIR_MQTT_TAKEN_OVER);
    } else if (claimed && !self->ended) {
        weir_err err = WEIR_OK;
        hub_enter(self->hub);
        err = weir_mqtt_session_claimed(self->session, weir_conn_output(&self->conn));
        weir_conn_written(&self->conn);
        if (err != WEIR_OK) {
            client_close(self);
        } else {
            client_deadline_arm(self);
            self->patient = false; /* the input that waited behind CONNECT */
        }
        hub_leave(self->hub);
    }
    client_free_if_over(self);
}

/* ---- Coming in ----------------------------------------------------------------------------- */

static client *client_make(hub *home, weir_mqtt_door *door, bool over)
{
    client *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return NULL;
    }
    made->hub = home;
    made->door = door;
    made->over = over;
    made->submitter.sink.complete = client_complete;
    made->member.loop = home->loop;
    made->member.told = client_told;
    if (weir_mqtt_session_create(&home->context, &made->submitter, &made->session) != WEIR_OK) {
        free(made);
        return NULL;
    }
    return made;
}

static weir_err client_open(client *self, int fd)
{
    const weir_limits *limits = self->hub->context.limits;
    weir_conn_config config = {
        .ops = &client_conn_ops,
        .input_max = (uint32_t)limits->packet_bytes_max + INPUT_SLACK_BYTES,
        .output_high = (uint32_t)limits->output_bytes_max,
    };
    weir_err err = WEIR_OK;
    if (self->door->filter != NULL) {
        err = self->door->filter(self->door->filter_arg, fd, &config.filter);
    }
    if (err == WEIR_OK) {
        err = weir_conn_open(&self->conn, self->hub->loop, fd, &config);
        if (err != WEIR_OK && config.filter.ops != NULL) {
            config.filter.ops->destroy(config.filter.filter);
        }
    }
    return err;
}

void weir_mqtt_transport_accepted(void *arg, weir_loop *loop, int fd, bool over)
{
    weir_mqtt_door *door = arg;
    hub *home = door->transport->hubs[weir_loop_index(loop)];
    client *made = NULL;
    hub_enter(home);
    made = home->draining || home->stopping ? NULL : client_make(home, door, over);
    if (made == NULL || client_open(made, fd) != WEIR_OK) {
        if (made != NULL) {
            weir_mqtt_session_destroy(made->session);
            free(made);
        }
        (void)close(fd);
        weir_listener_release(door->listener, over);
        return;
    }
    made->next = home->clients;
    made->link = &home->clients;
    if (home->clients != NULL) {
        home->clients->link = &made->next;
    }
    home->clients = made;
    client_deadline_arm(made);
}

/* ---- Drain and stop ------------------------------------------------------------------------ */

static void hub_drain(weir_loop *loop, void *arg)
{
    hub *self = arg;
    (void)loop;
    self->draining = true;
    hub_enter(self);
    for (client *each = self->clients; each != NULL;) {
        client *next =
            each->next; /* stopping one frees it at the earliest when its conn has closed */
        client_hold(each, HOLD_DRAIN);
        if (each->submitter.outstanding == 0) {
            client_stop(each, WEIR_MQTT_SHUTTING_DOWN);
        }
        each = next;
    }
    hub_drained_check(self);
}

void weir_mqtt_transport_drain(weir_mqtt_transport *transport, void (*drained)(void *arg),
                               void *arg)
{
    transport->drained = drained;
    transport->drained_arg = arg;
    transport->draining = transport->hub_count;
    for (unsigned i = 0; i < transport->hub_count; i++) {
        weir_loop_call(transport->hubs[i]->loop, hub_drain, transport->hubs[i]);
    }
}

static void hub_stop(weir_loop *loop, void *arg)
{
    hub *self = arg;
    (void)loop;
    self->stopping = true;
    hub_enter(self);
    for (client *each = self->clients; each != NULL; each = each->next) {
        weir_conn_reset(&each->conn, WEIR_CLOSED); /* `closed` comes later and ends the session */
    }
    hub_stopped_check(self);
}

/* The engine does not answer: the clients stay as they are, but nothing may stay on the loop. */
static void hub_abandon(weir_loop *loop, void *arg)
{
    hub *self = arg;
    weir_loop_turn_end_cancel(loop, &self->turn_end);
    if (!uv_is_closing((uv_handle_t *)&self->retry)) {
        uv_close((uv_handle_t *)&self->retry, NULL);
    }
}

weir_err weir_mqtt_transport_stop(weir_mqtt_transport *transport)
{
    weir_err err = WEIR_OK;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_MS_MAX / 1000;
    for (unsigned i = 0; i < transport->hub_count; i++) {
        weir_loop_call(transport->hubs[i]->loop, hub_stop, transport->hubs[i]);
    }
    for (unsigned left = transport->hub_count; left > 0;) {
        if (sem_timedwait(&transport->stopped, &until) == 0) {
            left--;
        } else if (errno != EINTR) {
            err = WEIR_TIMEOUT;
            break;
        }
    }
    for (unsigned i = 0; err != WEIR_OK && i < transport->hub_count; i++) {
        weir_loop_call_wait(transport->hubs[i]->loop, hub_abandon, transport->hubs[i]);
    }
    return err;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void hub_begin(weir_loop *loop, void *arg)
{
    hub *self = arg;
    (void)uv_timer_init(weir_loop_uv(loop), &self->retry);
    self->retry.data = self;
    self->context.port = weir_loop_port(loop);
}

static hub *hub_create(weir_mqtt_transport *transport, weir_loop *loop)
{
    hub *made = weir_loop_lasting(loop, sizeof(*made)); /* for its quiet sink: see [T5] */
    if (made == NULL) {
        return NULL;
    }
    made->transport = transport;
    made->loop = loop;
    made->quiet.complete = quiet_complete;
    made->turn_end.run = hub_turn_end;
    made->context.ops = &weir_mqtt_submit_ops;
    made->context.limits = transport->host->limits;
    made->context.hooks = &hooks;
    made->context.hooks_arg = made;
    made->context.quiet_user = &made->quiet;
    if (getrandom(&made->context.id_prefix, sizeof(made->context.id_prefix), 0) < 0 ||
        weir_mqtt_context_init(&made->context) != WEIR_OK) {
        return NULL;
    }
    weir_loop_call_wait(loop, hub_begin, made);
    return made;
}

weir_err weir_mqtt_transport_create(weir_host *host, weir_mqtt_transport **transport)
{
    unsigned count = weir_loops_count(host->loops);
    weir_mqtt_transport *made = calloc(1, sizeof(*made) + count * sizeof(made->hubs[0]));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->host = host;
    WEIR_ASSERT(sem_init(&made->stopped, 0, 0) == 0);
    made->ids = weir_client_ids_keep(host->loops);
    if (made->ids == NULL) {
        weir_mqtt_transport_destroy(made);
        return WEIR_NO_MEMORY;
    }
    for (; made->hub_count < count; made->hub_count++) {
        made->hubs[made->hub_count] = hub_create(made, weir_loops_at(host->loops, made->hub_count));
        if (made->hubs[made->hub_count] == NULL) {
            (void)weir_mqtt_transport_stop(made);
            weir_mqtt_transport_destroy(made);
            return WEIR_NO_MEMORY;
        }
    }
    *transport = made;
    return WEIR_OK;
}

void weir_mqtt_transport_destroy(weir_mqtt_transport *transport)
{
    if (transport == NULL) {
        return;
    }
    for (unsigned i = 0; i < transport->hub_count; i++) {
        weir_mqtt_context_fini(&transport->hubs[i]->context);
    }
    weir_client_ids_drop(transport->ids);
    (void)sem_destroy(&transport->stopped);
    free(transport);
}

void weir_mqtt_transport_stats(const weir_mqtt_transport *transport,
                               void (*each)(void *arg, const char *metric, uint64_t value),
                               void *arg)
{
    static const char *const names[] = {
#define NAME(field, metric, help) metric,
        WEIR_MQTT_STATS_LIST(NAME)
#undef NAME
    };
    uint64_t sum = 0;
    for (unsigned h = 0; h < transport->hub_count; h++) {
        sum += weir_counter_get(&transport->hubs[h]->paused_output);
    }
    each(arg, "weir_paused_output_total", sum);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        sum = 0;
        for (unsigned h = 0; h < transport->hub_count; h++) {
            sum += weir_counter_get(&transport->hubs[h]->counters[i]);
        }
        each(arg, names[i], sum);
    }
}
