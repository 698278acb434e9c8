/* tests/unit/proto_mqtt/share.h - MQTT sessions on a real engine whose clock can be moved: what is
 * subscribed, what comes, what becomes of it in the group. */
#ifndef WEIR_TESTS_UNIT_PROTO_MQTT_SHARE_H
#define WEIR_TESTS_UNIT_PROTO_MQTT_SHARE_H

#include "tests/unit/engine/group_queue.h"
#include "tests/unit/proto_mqtt/fake.h"

enum { SOON_MS = 10, QUIET_ROUNDS = 20 };

static size_t refuse_at; /* the port has no room for this operation, counted down; 0: for all */

static inline bool port_is_full(void)
{
    return refuse_at > 0 && --refuse_at == 0;
}

#define FULL_OR(call) (port_is_full() ? WEIR_AGAIN : (call))

static inline weir_err full_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    return FULL_OR(weir_port_groups(port, name, user, token));
}

static inline weir_err full_join(weir_port *port, const weir_join *asked, void *user,
                                 uint64_t token)
{
    return FULL_OR(weir_port_member_join(port, asked, user, token));
}

static inline weir_err full_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                                  uint64_t token)
{
    return FULL_OR(weir_port_member_leave(port, member, orderly, user, token));
}

static inline weir_err full_beat(weir_port *port, weir_member *member)
{
    return FULL_OR(weir_port_member_beat(port, member));
}

static inline weir_err full_take(weir_port *port, weir_member *member, const weir_take *asked,
                                 void *user, uint64_t token)
{
    return FULL_OR(weir_port_take(port, member, asked, user, token));
}

static inline weir_err full_cancel(weir_port *port, weir_member *member)
{
    return FULL_OR(weir_port_take_cancel(port, member));
}

static inline weir_err full_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                                   void *user, uint64_t token)
{
    return FULL_OR(weir_port_settle(port, member, settle, user, token));
}

static const weir_mqtt_port_ops real_ops = {.publish = weir_port_publish,
                                            .subscriber_open = weir_port_subscriber_open,
                                            .subscriber_close = weir_port_subscriber_close,
                                            .subscribe = weir_port_subscribe,
                                            .unsubscribe = weir_port_unsubscribe,
                                            .credit = weir_port_credit,
                                            .groups = full_groups,
                                            .member_join = full_join,
                                            .member_leave = full_leave,
                                            .member_beat = full_beat,
                                            .take = full_take,
                                            .take_cancel = full_cancel,
                                            .settle = full_settle};

/* ---- A client: a rig whose port is the engine's ------------------------------------------------ */

static inline rig *client_open(fixture *f, uint8_t version, const char *id,
                               const weir_mqtt_property *list, size_t count)
{
    rig *r = rig_open();
    weir_mqtt_packet packet = connect_packet(version, id);
    assert_int_equal(weir_port_open(f->engine, &r->context.port), WEIR_OK);
    r->context.ops = &real_ops;
    r->context.now_ms = moved_monotonic_ns(f->config.env) / 1000000;
    r->context.wall_ms = moved_wall_ms(f->config.env);
    assert_int_equal(rig_send_as(r, version, &packet, list, count), WEIR_OK);
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    assert_int_equal(packet.reason, 0);
    return r;
}

/* One turn. True when something came. */
static inline bool client_turn(fixture *f, rig *r)
{
    weir_completion done;
    bool any = false;
    r->context.now_ms = moved_monotonic_ns(f->config.env) / 1000000;
    r->context.wall_ms = moved_wall_ms(f->config.env);
    weir_port_step(r->context.port);
    while (weir_port_drain(r->context.port, &done, 1) > 0) {
        any = true;
        if (done.user == &r->quiet) {
            weir_mqtt_context_quiet(&r->context, &done);
        } else {
            (void)weir_mqtt_session_complete(r->session, &done, &r->out);
        }
        weir_completion_drop(&done);
    }
    (void)weir_mqtt_session_drained(r->session, r->out.len);
    if (r->context.now_ms >= weir_mqtt_session_deadline_ms(r->session)) {
        (void)weir_mqtt_session_tick(r->session, &r->out);
    }
    return any;
}

/* Until nothing comes any more; the engine's own threads get a moment each time. */
static inline void settle_down(fixture *f, rig *r)
{
    for (int quiet = 0; quiet < QUIET_ROUNDS;) {
        quiet = client_turn(f, r) ? 0 : quiet + 1;
        weir_port_step(f->port);
    }
}

/* The next packet, which has to be of this type. */
static inline void client_read(fixture *f, rig *r, uint8_t type, weir_mqtt_packet *packet)
{
    for (int i = 0; r->out.len == 0 && i < WAIT_MS / SOON_MS; i++) {
        if (!client_turn(f, r) && r->out.len == 0) {
            (void)weir_port_wait(r->context.port, SOON_MS);
        }
    }
    rig_read(r, type, packet);
}

static inline void client_silent(fixture *f, rig *r)
{
    settle_down(f, r);
    rig_silent(r);
}

/* The connection is over: with DISCONNECT, or without. */
static inline void client_end(fixture *f, rig *r, bool orderly)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_DISCONNECT};
    if (orderly) {
        assert_int_equal(rig_send(r, &packet, NULL, 0), WEIR_CLOSED);
    }
    weir_err err = weir_mqtt_session_end(r->session);
    for (int i = 0; err == WEIR_AGAIN && i < WAIT_MS / SOON_MS; i++) {
        weir_completion done;
        if (weir_port_wait(r->context.port, SOON_MS) == WEIR_OK) {
            while (weir_port_drain(r->context.port, &done, 1) > 0) {
                if (done.user != &r->quiet) {
                    (void)weir_mqtt_session_complete(r->session, &done, &r->out);
                }
                weir_completion_drop(&done);
            }
        }
        err = weir_mqtt_session_end(r->session);
    }
    assert_int_equal(err, WEIR_OK);
    weir_port_close(r->context.port);
    r->context.port = NULL;
    rig_close(r);
    weir_port_step(f->port);
}

/* SUBSCRIBE of one filter; its code. */
static inline uint8_t client_subscribe_as(fixture *f, rig *r, const char *filter, int options,
                                          uint32_t identifier, weir_mqtt_packet *packet)
{
    (void)rig_filter(r, filter, options, 7, identifier);
    client_read(f, r, WEIR_MQTT_SUBACK, packet);
    assert_int_equal(packet->payload.len, 1);
    return packet->payload.ptr[0];
}

static inline uint8_t client_subscribe(fixture *f, rig *r, const char *filter, int options)
{
    weir_mqtt_packet packet;
    return client_subscribe_as(f, r, filter, options, 0, &packet);
}

static inline uint8_t client_unsubscribe(fixture *f, rig *r, const char *filter)
{
    weir_mqtt_packet packet;
    assert_int_equal(rig_filter(r, filter, -1, 8, 0), WEIR_OK);
    client_read(f, r, WEIR_MQTT_UNSUBACK, &packet);
    return packet.payload.len > 0 ? packet.payload.ptr[0] : 0;
}

/* A PUBLISH with this name and value; its packet id. */
static inline uint16_t client_gets(fixture *f, rig *r, const char *name, const char *value)
{
    weir_mqtt_packet packet;
    client_read(f, r, WEIR_MQTT_PUBLISH, &packet);
    assert_bytes(packet.publish.name, name);
    assert_bytes(packet.publish.payload, value);
    return packet.publish.id;
}

static inline void client_puback(rig *r, uint16_t id, uint8_t reason, const char *text)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBACK, .id = id, .reason = reason};
    weir_mqtt_property why = {.name = WEIR_MQTT_REASON_STRING, .text = weir_bytes_of(text)};
    assert_int_equal(rig_send(r, &packet, &why, text != NULL), WEIR_OK);
}

/* ---- The group --------------------------------------------------------------------------------- */

static inline weir_group_info group_told(fixture *f, const char *name)
{
    weir_completion done = group_of(f->port, name);
    weir_group_info info = done.groups.groups[0]; /* its arrays are gone with the completion */
    weir_completion_drop(&done);
    return info;
}

static inline uint64_t fates(fixture *f, weir_fate fate)
{
    group_adds_up(f->port, "g");
    return group_fate(f->port, "g", fate);
}

/* Waits until so many records of g have this fate. */
static inline void fates_become(fixture *f, rig *r, weir_fate fate, uint64_t records)
{
    for (int i = 0; fates(f, fate) != records && i < WAIT_MS / SOON_MS; i++) {
        if (!client_turn(f, r)) {
            (void)weir_port_wait(r->context.port, SOON_MS);
        }
    }
    assert_int_equal(fates(f, fate), records);
}

#endif
