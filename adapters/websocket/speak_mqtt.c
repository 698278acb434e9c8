/* adapters/websocket/speak_mqtt.c - MQTT inside WebSocket: binary frames are one stream of packets,
 * cut anywhere (MQTT 5.0 section 6).
 *
 *   pieces  [ pack|et pa|cket ]  -> session_input; the beginning of a packet is kept for the next
 * piece session -> link->gather -> at the turn's end one binary frame with all its packets
 *
 * Happy path: a piece holds whole packets and is read where it lies. Text frames never come here:
 * the reader refuses them with 1003 [MQTT-6.0.0-1].
 *
 * The session answers AGAIN (the port is full, its id is still another's): the link is blocked,
 * what was not used is kept, and given again at a turn's end. Whatever ends the session
 * (DISCONNECT, a malformed packet, take-over) closes with 1000 when it was orderly and 1008 when
 * not.
 *
 * [M1] link->message holds what the session has not used, and all of it is given again, first.
 * [M2] No session call after session_end, but complete and session_end itself.
 * [M3] The speech is freed when session_end said OK and no news of the registry is on its way. */
#include "adapters/websocket/speak_mqtt.h"

#include "adapters/shared/client_ids.h"
#include "adapters/websocket/link.h"
#include "core/base/assert.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* What a link's session points to. */
typedef struct speech {
    weir_mqtt_session *session; /* NULL once it has ended */
    weir_web_link *link;
    weir_client_id_member member;
    uint32_t outstanding; /* operations whose answer a client waits for */
    bool credit_waits;    /* the port had no room for it */
    bool retry_now;       /* something came that may unblock */
} speech;

static speech *speech_of(const weir_web_link *link)
{
    return link->session;
}

static weir_web_link *link_of_session(weir_mqtt_session *session)
{
    weir_sink *sink = weir_mqtt_session_user(session);
    return (weir_web_link *)((char *)sink - offsetof(weir_web_link, sink));
}

/* Before every call of a session: its times are this turn's. */
static weir_mqtt_session *session_enter(const weir_web_link *link)
{
    weir_web_lane *lane = link->lane;
    uint64_t now_ms = weir_loop_now_ms(lane->loop);
    if (lane->mqtt.now_ms != now_ms) {
        struct timespec wall;
        (void)clock_gettime(CLOCK_REALTIME, &wall);
        lane->mqtt.now_ms = now_ms;
        lane->mqtt.wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    }
    weir_loop_at_turn_end(lane->loop, &lane->mqtt_turn_end);
    return speech_of(link)->session;
}

/* ---- The session's wishes ------------------------------------------------------------------ */

static void count_outstanding(void *user)
{
    weir_web_link *link = (weir_web_link *)((char *)user - offsetof(weir_web_link, sink));
    speech_of(link)->outstanding++;
}

static weir_err port_publish(weir_port *port, const weir_publish *publish, void *user,
                             uint64_t token)
{
    weir_err err = weir_port_publish(port, publish, user, token);
    if (err == WEIR_OK && !publish->no_confirm) {
        count_outstanding(user);
    }
    return err;
}

static weir_err port_subscribe(weir_port *port, weir_subscriber *subscriber,
                               const weir_subscribe *subscribe, void *user, uint64_t token)
{
    weir_err err = weir_port_subscribe(port, subscriber, subscribe, user, token);
    if (err == WEIR_OK) {
        count_outstanding(user);
    }
    return err;
}

static weir_err port_unsubscribe(weir_port *port, weir_subscriber *subscriber, weir_bytes filter,
                                 void *user, uint64_t token)
{
    weir_err err = weir_port_unsubscribe(port, subscriber, filter, user, token);
    if (err == WEIR_OK) {
        count_outstanding(user);
    }
    return err;
}

/* Whether credit, or something of a shared subscription, was submitted since somebody looked last:
 * outside a read nobody else would step. */
static _Thread_local bool submitted;

static weir_err note(weir_err err)
{
    submitted = submitted || err == WEIR_OK;
    return err;
}

static void step_wanted(const weir_web_link *link)
{
    if (submitted) {
        submitted = false;
        weir_loop_kick(link->lane->loop);
    }
}

static weir_err port_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                            uint64_t bytes)
{
    return note(weir_port_credit(port, subscriber, records, bytes));
}

static weir_err port_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    weir_err err = note(weir_port_groups(port, name, user, token));
    if (err == WEIR_OK) {
        count_outstanding(user);
    }
    return err;
}

static weir_err port_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    weir_err err = note(weir_port_member_join(port, join, user, token));
    if (err == WEIR_OK) {
        count_outstanding(user);
    }
    return err;
}

static weir_err port_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                           uint64_t token)
{
    return note(weir_port_member_leave(port, member, orderly, user, token));
}

static weir_err port_beat(weir_port *port, weir_member *member)
{
    return note(weir_port_member_beat(port, member));
}

static weir_err port_take(weir_port *port, weir_member *member, const weir_take *take, void *user,
                          uint64_t token)
{
    return note(weir_port_take(port, member, take, user, token));
}

static weir_err port_take_cancel(weir_port *port, weir_member *member)
{
    return note(weir_port_take_cancel(port, member));
}

static weir_err port_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                            void *user, uint64_t token)
{
    return note(weir_port_settle(port, member, settle, user, token));
}

static const weir_mqtt_port_ops port_ops = {
    .publish = port_publish,
    .subscriber_open = weir_port_subscriber_open,
    .subscriber_close = weir_port_subscriber_close,
    .subscribe = port_subscribe,
    .unsubscribe = port_unsubscribe,
    .credit = port_credit,
    .groups = port_groups,
    .member_join = port_join,
    .member_leave = port_leave,
    .member_beat = port_beat,
    .take = port_take,
    .take_cancel = port_take_cancel,
    .settle = port_settle,
};

static uint8_t hook_admit(void *arg, weir_mqtt_session *session, const weir_mqtt_connect *connect)
{
    const weir_web_lane *lane = arg;
    (void)session;
    (void)connect;
    return atomic_load(&lane->adapter->draining) ? WEIR_MQTT_SERVER_UNAVAILABLE : WEIR_MQTT_SUCCESS;
}

static weir_err hook_claim(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    const weir_web_lane *lane = arg;
    return weir_client_ids_claim(lane->adapter->client_ids,
                                 &speech_of(link_of_session(session))->member, client_id);
}

static void hook_release(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    const weir_web_lane *lane = arg;
    weir_client_ids_release(lane->adapter->client_ids, &speech_of(link_of_session(session))->member,
                            client_id);
}

static const weir_mqtt_hooks hooks = {
    .admit = hook_admit, .claim = hook_claim, .release = hook_release};

/* ---- Ends ---------------------------------------------------------------------------------- */

static void mqtt_over(weir_web_link *link)
{
    uint8_t reason = 0;
    const char *text = weir_mqtt_session_close_text(speech_of(link)->session, &reason);
    bool orderly = text == NULL || reason < WEIR_MQTT_UNSPECIFIED;
    weir_web_link_close(link, orderly ? WEIR_WS_CODE_NORMAL : WEIR_WS_CODE_POLICY, text);
}

static void mqtt_stop(weir_web_link *link, uint8_t reason, uint16_t code, const char *text)
{
    if (link->state == WEIR_WEB_OPEN) {
        weir_mqtt_session *session = session_enter(link);
        (void)weir_mqtt_session_stop(session, reason, weir_web_link_gather(link));
        weir_web_link_close(link, code, text);
    }
}

static void told(weir_client_id_member *member, bool claimed, bool taken)
{
    speech *own = (speech *)((char *)member - offsetof(speech, member));
    weir_web_link *link = own->link;
    weir_web_link_gathered(link); /* the turn's end: what was blocked, or waits to be freed: [M3] */
    if (link->state != WEIR_WEB_OPEN) {
        return;
    }
    if (taken) {
        mqtt_stop(link, WEIR_MQTT_TAKEN_OVER, WEIR_WS_CODE_POLICY, "The client id came again.");
    } else if (claimed) {
        weir_err err = weir_mqtt_session_claimed(session_enter(link), weir_web_link_gather(link));
        own->retry_now = true;
        weir_loop_kick(link->lane->loop);
        if (err != WEIR_OK) {
            mqtt_over(link);
        }
    }
}

/* ---- Slots --------------------------------------------------------------------------------- */

static weir_err mqtt_open(weir_web_link *link)
{
    speech *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return WEIR_NO_MEMORY;
    }
    own->link = link;
    own->member.loop = link->lane->loop;
    own->member.told = told;
    link->session = own;
    (void)session_enter(link);
    weir_err err = weir_mqtt_session_create(&link->lane->mqtt, &link->sink, &own->session);
    if (err != WEIR_OK) {
        link->session = NULL;
        free(own);
    }
    return err;
}

/* Gives the session what is kept, or the piece where nothing is: [M1]. */
static void feed(weir_web_link *link, weir_bytes piece)
{
    weir_mqtt_session *session = session_enter(link);
    size_t used = 0;
    bool kept = link->message.len > 0;
    if (kept && weir_buffer_append(&link->message, piece.ptr, piece.len) != WEIR_OK) {
        weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
        return;
    }
    weir_bytes in = kept ? weir_buffer_bytes(&link->message) : piece;
    weir_err err = weir_mqtt_session_input(session, in, weir_web_link_gather(link), &used);
    weir_web_link_gathered(link);
    if (err != WEIR_OK && err != WEIR_AGAIN) {
        mqtt_over(link);
        return;
    }
    if (kept) {
        weir_buffer_consume(&link->message, used);
    } else if (used < in.len) {
        link->message = weir_loop_buffer_take(link->lane->loop);
        if (weir_buffer_append(&link->message, in.ptr + used, in.len - used) != WEIR_OK) {
            weir_conn_reset(&link->conn, WEIR_NO_MEMORY);
            return;
        }
    }
    if (link->message.len == 0) {
        weir_loop_buffer_give(link->lane->loop, &link->message);
    }
    if (link->blocked != (err == WEIR_AGAIN)) {
        weir_web_link_block(link, err == WEIR_AGAIN);
    }
}

static void mqtt_piece(weir_web_link *link, const weir_ws_event *event)
{
    if (event->bytes.len > 0) {
        feed(link, event->bytes);
    }
}

static void mqtt_complete(weir_web_link *link, weir_completion *completion)
{
    speech *own = speech_of(link);
    bool answer = completion->type == WEIR_COMPLETION_PUBLISH ||
                  completion->type == WEIR_COMPLETION_SUBSCRIBE ||
                  completion->type == WEIR_COMPLETION_UNSUBSCRIBE ||
                  completion->type == WEIR_COMPLETION_GROUPS ||
                  completion->type == WEIR_COMPLETION_MEMBER;
    WEIR_ASSERT(own->session != NULL); /* it ends only when nothing is owed to it */
    if (answer && own->outstanding > 0) {
        own->outstanding--;
    }
    own->retry_now = true;
    weir_err err =
        weir_mqtt_session_complete(session_enter(link), completion, weir_web_link_gather(link));
    step_wanted(link);
    if (link->state != WEIR_WEB_OPEN) {
        return;
    }
    if (err != WEIR_OK) {
        mqtt_over(link);
    }
}

static void mqtt_sent(weir_web_link *link, size_t waiting);

static void mqtt_turn(weir_web_link *link)
{
    speech *own = speech_of(link);
    bool credit_waits = own->credit_waits;
    own->credit_waits = false;
    if (link->blocked) {
        own->retry_now = false;
        feed(link, WEIR_TEXT("")); /* the port was stepped since, or something came */
        step_wanted(link);
    }
    if (credit_waits && link->state == WEIR_WEB_OPEN) {
        mqtt_sent(link, weir_conn_output_bytes(&link->conn));
    }
    if (link->state == WEIR_WEB_OPEN && link->drain_told && own->outstanding == 0) {
        mqtt_stop(link, WEIR_MQTT_SHUTTING_DOWN, WEIR_WS_CODE_GOING_AWAY, "The gateway stops.");
    }
}

static void mqtt_sent(weir_web_link *link, size_t waiting)
{
    if (weir_mqtt_session_drained(session_enter(link), waiting) == WEIR_AGAIN) {
        speech_of(link)->credit_waits = true; /* else its subscriptions could wait for ever */
        weir_web_link_block(link, true);
    }
    step_wanted(link);
}

static uint64_t mqtt_deadline_ms(const weir_web_link *link)
{
    return weir_mqtt_session_deadline_ms(speech_of(link)->session);
}

static void mqtt_deadline(weir_web_link *link)
{
    weir_mqtt_session *session = session_enter(link);
    if (weir_mqtt_session_tick(session, weir_web_link_gather(link)) != WEIR_OK) {
        mqtt_over(link);
    }
    step_wanted(link);
}

static void mqtt_drain(weir_web_link *link)
{
    (void)link; /* the turn says goodbye, once what was asked is answered */
}

static void mqtt_refused(weir_web_link *link, weir_err err, const char *text)
{
    (void)link; /* the close frame says it */
    (void)err;
    (void)text;
}

static bool mqtt_close(weir_web_link *link, bool first)
{
    speech *own = speech_of(link);
    (void)first;
    if (own->session != NULL && weir_mqtt_session_end(session_enter(link)) == WEIR_OK) {
        weir_mqtt_session_destroy(own->session);
        own->session = NULL;
    }
    weir_loop_kick(link->lane->loop);
    return own->session == NULL && !weir_client_id_member_is_busy(&own->member); /* [M3] */
}

static void mqtt_destroy(weir_web_link *link)
{
    free(speech_of(link));
}

const weir_web_speaker weir_web_mqtt = {
    .text_refused = true,
    .open = mqtt_open,
    .piece = mqtt_piece,
    .complete = mqtt_complete,
    .turn = mqtt_turn,
    .sent = mqtt_sent,
    .deadline_ms = mqtt_deadline_ms,
    .deadline = mqtt_deadline,
    .drain = mqtt_drain,
    .refused = mqtt_refused,
    .close = mqtt_close,
    .destroy = mqtt_destroy,
};

/* ---- The lane's part ----------------------------------------------------------------------- */

static void quiet_complete(weir_sink *sink, weir_completion *completion)
{
    weir_web_lane *lane = (weir_web_lane *)((char *)sink - offsetof(weir_web_lane, mqtt_quiet));
    weir_mqtt_context_quiet(&lane->mqtt, completion);
    weir_loop_at_turn_end(lane->loop, &lane->mqtt_turn_end);
}

static void lane_turn_end(weir_turn_end *end)
{
    weir_web_lane *lane = (weir_web_lane *)((char *)end - offsetof(weir_web_lane, mqtt_turn_end));
    weir_mqtt_context_turn_end(&lane->mqtt);
#define PUBLISH(field, metric, help)                                                               \
    atomic_store_explicit(&lane->mqtt_counters.field, lane->mqtt.stats.field, memory_order_relaxed);
    WEIR_MQTT_STATS_LIST(PUBLISH)
#undef PUBLISH
}

weir_err weir_web_mqtt_lane_open(weir_web_lane *lane)
{
    lane->mqtt_quiet.complete = quiet_complete;
    lane->mqtt_turn_end.run = lane_turn_end;
    lane->mqtt.port = weir_loop_port(lane->loop);
    lane->mqtt.ops = &port_ops;
    lane->mqtt.limits = lane->adapter->host->limits;
    lane->mqtt.hooks = &hooks;
    lane->mqtt.hooks_arg = lane;
    lane->mqtt.quiet_user = &lane->mqtt_quiet;
    if (getrandom(&lane->mqtt.id_prefix, sizeof(lane->mqtt.id_prefix), 0) < 0) {
        lane->mqtt.id_prefix = (uintptr_t)lane ^ uv_hrtime(); /* ids are unique, not secret */
    }
    weir_err err = weir_mqtt_context_init(&lane->mqtt);
    lane->mqtt_ready = err == WEIR_OK;
    return err;
}

void weir_web_mqtt_lane_close(weir_web_lane *lane)
{
    if (lane->mqtt_ready) {
        weir_loop_turn_end_cancel(lane->loop, &lane->mqtt_turn_end);
        weir_mqtt_context_fini(&lane->mqtt);
        lane->mqtt_ready = false;
    }
}
