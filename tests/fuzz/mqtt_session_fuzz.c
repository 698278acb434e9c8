/* Drives one MQTT session as a transport would, with a client that may send anything and a port
 * that may refuse anything, and holds it to what session.h promises.
 *
 *   input   [ settings | (step, argument ...) ... ]
 *
 * Steps send bytes or whole packets, answer operations in any order of promise and with any error,
 * hand over records, let time pass, stop and take over. Whatever happens:
 *
 * - what the session writes is a stream of whole packets that a server may send;
 * - every operation is answered once, and at the end nothing is pending and no chunk is held;
 * - a member has one take at a time, is told nothing once it leaves, and settles only what it was
 *   handed, each record once.
 *
 * The harness calls abort() when one of these is broken; sanitizers find the rest. */
#include "adapters/proto/mqtt/session.h"
#include "core/base/log.h"
#include "core/batch/batch.h"
#include "core/engine/state.h"
#include "core/log/chunk.h"

#include <stdlib.h>
#include <string.h>

enum {
    OPS_MAX = 512,
    MEMBERS_MAX = 64,
    LEASES_MAX = 1024,
    INPUT_BYTES_MAX = 4096,
    RECORDS = 4,
    STEPS_MAX = 512
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct member {
    bool taking;
    bool leaving;
} member;

typedef struct open_op {
    weir_completion_type type;
    uint64_t token;
    void *user;
    member *member;
    const weir_group_info *group; /* that is told */
} open_op;

typedef struct world {
    weir_limits limits;
    weir_mqtt_context context;
    weir_mqtt_session *session;
    weir_buffer in;
    weir_buffer out;
    open_op ops[OPS_MAX];
    size_t op_count;
    size_t room;
    uint8_t version;
    bool closed;
    weir_err claim;
    uint32_t slots;
    member members[MEMBERS_MAX];
    size_t member_count;
    uint8_t leases[LEASES_MAX]; /* a bit for each record that is under it */
    uint64_t lease_count;
    uint32_t takes;
} world;

static world *now_in; /* the port's functions have no other way to it */

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* ---- The port ---- */

static weir_err accept_op(weir_completion_type type, void *user, uint64_t token)
{
    if (now_in->room == 0 || now_in->op_count == OPS_MAX) {
        return WEIR_AGAIN;
    }
    now_in->room--;
    if (type != 0) {
        now_in->ops[now_in->op_count++] = (open_op){.type = type, .token = token, .user = user};
    }
    return WEIR_OK;
}

static weir_err port_publish(weir_port *port, const weir_publish *publish, void *user,
                             uint64_t token)
{
    (void)port;
    require((publish->name.len > 0) != (publish->topic.len > 0));
    for (uint32_t i = 0; i < publish->header_count; i++) {
        require(weir_mqtt_text_valid(publish->headers[i].name));
    }
    return accept_op(publish->no_confirm ? 0 : WEIR_COMPLETION_PUBLISH, user, token);
}

static weir_err port_open(weir_port *port, void *user, weir_subscriber **subscriber)
{
    weir_err err = accept_op(0, user, 0);
    *subscriber = err == WEIR_OK ? (weir_subscriber *)(void *)now_in : NULL;
    (void)port;
    return err;
}

static weir_err port_close(weir_port *port, weir_subscriber *subscriber, void *user, uint64_t token)
{
    (void)port;
    require(subscriber == (weir_subscriber *)(void *)now_in);
    return accept_op(WEIR_COMPLETION_CLOSED, user, token);
}

static weir_err port_subscribe(weir_port *port, weir_subscriber *subscriber,
                               const weir_subscribe *subscribe, void *user, uint64_t token)
{
    (void)port;
    require(subscriber == (weir_subscriber *)(void *)now_in && subscribe->filter.len > 0);
    now_in->slots = subscribe->slot >= now_in->slots ? subscribe->slot + 1 : now_in->slots;
    return accept_op(WEIR_COMPLETION_SUBSCRIBE, user, token);
}

static weir_err port_unsubscribe(weir_port *port, weir_subscriber *subscriber, weir_bytes filter,
                                 void *user, uint64_t token)
{
    (void)port;
    require(subscriber == (weir_subscriber *)(void *)now_in && filter.len > 0);
    return accept_op(WEIR_COMPLETION_UNSUBSCRIBE, user, token);
}

static weir_err port_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                            uint64_t bytes)
{
    (void)port;
    require(subscriber == (weir_subscriber *)(void *)now_in && (records > 0 || bytes > 0));
    return accept_op(0, NULL, 0);
}

static weir_err port_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    static weir_bytes topic = {(const uint8_t *)"t", 1};
    static weir_group_info queue = {.options = {.model = WEIR_MODEL_QUEUE}};
    static weir_group_info stream = {.options = {.model = WEIR_MODEL_STREAM}};
    (void)port;
    weir_err err = accept_op(WEIR_COMPLETION_GROUPS, user, token);
    queue.options.topics = stream.options.topics = &topic;
    queue.options.topic_count = stream.options.topic_count = 1;
    if (err == WEIR_OK &&
        (weir_bytes_equal(name, WEIR_TEXT("g")) || weir_bytes_equal(name, topic))) {
        now_in->ops[now_in->op_count - 1].group = &queue;
    } else if (err == WEIR_OK && weir_bytes_equal(name, WEIR_TEXT("s"))) {
        now_in->ops[now_in->op_count - 1].group = &stream;
    }
    return err;
}

static weir_err port_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    (void)port;
    require(join->group.len > 0 && join->options == NULL);
    return accept_op(WEIR_COMPLETION_MEMBER, user, token);
}

static member *member_here(weir_member *handle)
{
    member *own = (member *)(void *)handle;
    require(own >= now_in->members && own < now_in->members + now_in->member_count &&
            !own->leaving);
    return own;
}

static weir_err accept_of(member *own, weir_completion_type type, void *user, uint64_t token)
{
    weir_err err = accept_op(type, user, token);
    if (err == WEIR_OK) {
        now_in->ops[now_in->op_count - 1].member = own;
    }
    return err;
}

static weir_err port_leave(weir_port *port, weir_member *handle, bool orderly, void *user,
                           uint64_t token)
{
    member *own = member_here(handle);
    (void)port;
    (void)orderly;
    weir_err err = accept_of(own, WEIR_COMPLETION_LEFT, user, token);
    own->leaving = err == WEIR_OK;
    return err;
}

static weir_err port_care(weir_port *port, weir_member *handle)
{
    (void)port;
    (void)member_here(handle);
    return accept_op(0, NULL, 0);
}

static weir_err port_take(weir_port *port, weir_member *handle, const weir_take *take, void *user,
                          uint64_t token)
{
    member *own = member_here(handle);
    (void)port;
    require(!own->taking && take->records_max > 0);
    weir_err err = accept_of(own, WEIR_COMPLETION_TAKEN, user, token);
    own->taking = err == WEIR_OK;
    return err;
}

static weir_err port_settle(weir_port *port, weir_member *handle, const weir_settle *settle,
                            void *user, uint64_t token)
{
    member *own = member_here(handle);
    (void)port;
    require(settle->range_count > 0 && settle->epoch == 1);
    weir_err err = settle->no_confirm ? accept_op(0, user, token)
                                      : accept_of(own, WEIR_COMPLETION_SETTLED, user, token);
    for (uint32_t i = 0; err == WEIR_OK && i < settle->range_count; i++) {
        const weir_settle_range *range = &settle->ranges[i];
        require(range->lease > 0 && range->lease <= now_in->lease_count && range->first >= 0 &&
                range->last >= range->first && range->last < RECORDS);
        for (int64_t offset = range->first; offset <= range->last; offset++) {
            uint8_t bit = (uint8_t)(1u << offset);
            require((now_in->leases[range->lease - 1] & bit) != 0);
            if (settle->verb != WEIR_VERB_RENEW) {
                now_in->leases[range->lease - 1] &= (uint8_t)~bit;
            }
        }
    }
    return err;
}

static const weir_mqtt_port_ops port_ops = {
    port_publish, port_open,   port_close, port_subscribe, port_unsubscribe,
    port_credit,  port_groups, port_join,  port_leave,     port_care,
    port_take,    port_care,   port_settle};

/* ---- The hooks ---- */

static uint8_t hook_admit(void *arg, weir_mqtt_session *session, const weir_mqtt_connect *connect)
{
    (void)arg;
    (void)session;
    return connect->user.len == 3 ? WEIR_MQTT_NOT_AUTHORIZED : 0;
}

static weir_err hook_claim(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    (void)session;
    require(client_id.len > 0);
    return ((world *)arg)->claim;
}

static void hook_release(void *arg, weir_mqtt_session *session, weir_bytes client_id)
{
    (void)arg;
    (void)session;
    (void)client_id;
}

static const weir_mqtt_hooks hooks = {hook_admit, hook_claim, hook_release};

/* ---- Records ---- */

static weir_chunk *the_chunk(void)
{
    static weir_chunk *chunk;
    static uint8_t memory[4096], rest[1024];
    static const char *const keys[RECORDS] = {"k", NULL, "a+b/c", "long/key/of/levels"};
    static const weir_header headers[] = {
        {{(const uint8_t *)"content-type", 12}, {(const uint8_t *)"t", 1}},
        {{(const uint8_t *)"expiry", 6}, {(const uint8_t *)"5", 1}},
        {{(const uint8_t *)"bin", 3}, {(const uint8_t *)"\xff", 1}}};
    if (chunk != NULL) {
        return chunk;
    }
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (size_t i = 0; i < RECORDS; i++) {
        uint32_t position = 0;
        size_t len = weir_record_rest_encode(WEIR_TEXT("value"), headers, i == 2 ? 3 : 0, rest);
        require(weir_batch_add(&builder, (uint8_t)(i == 3 ? 5 : i), weir_bytes_of(keys[i]),
                               (weir_bytes){rest, len}, &position) == WEIR_OK);
    }
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    require(topic != NULL);
    weir_bytes batch = weir_batch_finish(&builder, 0, 1, 1000000);
    require(weir_chunk_from_batch(topic, 0, batch, &chunk) == WEIR_OK);
    weir_topic_ref_drop(topic);
    return chunk;
}

static struct weir_slots *slots_of(uint32_t count)
{
    struct weir_slots *slots = malloc(sizeof(*slots) + count * sizeof(slots->slot[0]));
    require(slots != NULL);
    atomic_init(&slots->refs, 1);
    slots->count = count;
    for (uint32_t i = 0; i < count; i++) {
        slots->slot[i] = i;
    }
    return slots;
}

/* ---- What the session says ---- */

static void note(world *w, weir_err err)
{
    require(err == WEIR_OK || err == WEIR_AGAIN || err == WEIR_CLOSED);
    w->closed = w->closed || err == WEIR_CLOSED;
}

static bool server_sends(uint8_t type)
{
    return type == WEIR_MQTT_CONNACK || type == WEIR_MQTT_PUBLISH || type == WEIR_MQTT_PUBACK ||
           type == WEIR_MQTT_PUBCOMP || type == WEIR_MQTT_SUBACK || type == WEIR_MQTT_UNSUBACK ||
           type == WEIR_MQTT_PINGRESP || type == WEIR_MQTT_DISCONNECT;
}

static void output_check(world *w)
{
    size_t at = 0;
    uint8_t version = weir_mqtt_session_version(w->session);
    while (at < w->out.len) {
        weir_mqtt_packet packet;
        size_t used = 0;
        weir_bytes rest = {w->out.ptr + at, w->out.len - at};
        require(weir_mqtt_decode(rest, version, &packet, &used) == WEIR_OK);
        require(server_sends(packet.type));
        at += used;
    }
    w->out.len = 0;
}

static void give_input(world *w, const void *bytes, size_t len)
{
    size_t used = 0;
    require(weir_buffer_append(&w->in, bytes, len) == WEIR_OK);
    note(w, weir_mqtt_session_input(w->session, weir_buffer_bytes(&w->in), &w->out, &used));
    require(used <= w->in.len);
    weir_buffer_consume(&w->in, used);
}

static void give_packet(world *w, const weir_mqtt_packet *packet)
{
    uint8_t wire[512];
    size_t len = weir_mqtt_encode(w->version, packet, NULL, 0, wire, sizeof(wire));
    require(len > 0 && len <= sizeof(wire));
    give_input(w, wire, len);
}

/* What a take gets: nothing, or some of the records, under a lease or without. */
static void hand_over(world *w, weir_taken *taken)
{
    uint32_t turn = w->takes++;
    uint32_t first = turn % RECORDS;
    taken->mode = turn % 7 == 6 ? WEIR_MODE_AT_MOST_ONCE : WEIR_MODE_AT_LEAST_ONCE;
    taken->epoch = 1;
    taken->lease_ms = turn % 5 == 4 ? -1 : 1000;
    if (turn % 3 == 2 || w->lease_count == LEASES_MAX) {
        return;
    }
    taken->runs = malloc(sizeof(*taken->runs));
    require(taken->runs != NULL);
    taken->run_count = 1;
    taken->runs[0] = (weir_handed){.chunk = weir_chunk_keep(the_chunk()),
                                   .first = first,
                                   .count = turn % 2 == 0 ? 1 : RECORDS - first,
                                   .lease = w->lease_count + 1,
                                   .leased = 1};
    uint32_t bits = ((1u << taken->runs[0].count) - 1) << first;
    w->leases[w->lease_count++] = taken->mode == WEIR_MODE_AT_MOST_ONCE ? 0 : (uint8_t)bits;
}

static void joined(world *w, weir_completion *done)
{
    if (done->err == WEIR_OK && w->member_count == MEMBERS_MAX) {
        done->err = WEIR_LIMIT;
    }
    if (done->err == WEIR_OK) {
        w->members[w->member_count] = (member){.taking = false};
        done->joined =
            (weir_joined){.member = (weir_member *)(void *)&w->members[w->member_count++],
                          .model = WEIR_MODEL_QUEUE,
                          .lease_ms = 1000,
                          .session_ms = 1000};
    }
}

/* Before a member has left, all that it is owed is answered. */
static void complete(world *w, size_t index, weir_err err);
static void complete_before_left(world *w, const member *own)
{
    for (size_t i = w->op_count; i > 0; i--) {
        if (i <= w->op_count && w->ops[i - 1].member == own) {
            complete(w, i - 1, WEIR_CLOSED);
        }
    }
}

static void complete(world *w, size_t index, weir_err err)
{
    open_op op = w->ops[index];
    weir_completion done = {.type = op.type, .err = err, .user = op.user, .token = op.token};
    memmove(&w->ops[index], &w->ops[index + 1], (--w->op_count - index) * sizeof(w->ops[0]));
    switch (op.type) {
    case WEIR_COMPLETION_GROUPS:
        done.err = err == WEIR_OK && op.group == NULL ? WEIR_NOT_FOUND : err;
        done.groups.groups = (weir_group_info *)(uintptr_t)op.group;
        done.groups.count = done.err == WEIR_OK;
        break;
    case WEIR_COMPLETION_MEMBER:
        joined(w, &done);
        break;
    case WEIR_COMPLETION_LEFT:
        done.err = WEIR_OK;
        complete_before_left(w, op.member);
        break;
    case WEIR_COMPLETION_TAKEN:
        op.member->taking = false;
        if (err == WEIR_OK) {
            hand_over(w, &done.taken);
        }
        break;
    default:
        break;
    }
    if (op.type == WEIR_COMPLETION_PUBLISH) {
        done.published.level = WEIR_LEVEL_DISK;
    } else if (op.type == WEIR_COMPLETION_UNSUBSCRIBE) {
        done.existed = true;
    }
    note(w, weir_mqtt_session_complete(w->session, &done, &w->out));
    if (op.type == WEIR_COMPLETION_TAKEN) {
        weir_completion_drop(&done);
    }
}

static void deliver(world *w, uint8_t argument)
{
    weir_completion done = {.type = WEIR_COMPLETION_DELIVERY};
    uint32_t first = argument % RECORDS;
    done.delivery = (weir_delivery){.chunk = weir_chunk_keep(the_chunk()),
                                    .first = first,
                                    .count = RECORDS - first,
                                    .slot = (argument >> 2) & 3,
                                    .retained = (argument & 0x10) != 0};
    if ((argument & 0x20) != 0) {
        done.delivery.slots = slots_of(3);
    }
    note(w, weir_mqtt_session_complete(w->session, &done, &w->out));
    weir_completion_drop(&done);
}

/* ---- Steps ---- */

typedef struct script {
    const uint8_t *at;
    const uint8_t *end;
} script;

static uint8_t next(script *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

static void send_connect(world *w, script *s)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNECT};
    uint8_t bits = next(s);
    packet.connect = (weir_mqtt_connect){.version = w->version,
                                         .clean = (bits & 1) != 0,
                                         .has_will = (bits & 2) != 0,
                                         .will_qos = bits >> 2 & 1,
                                         .will_retain = (bits & 10) == 10,
                                         .keep_alive_seconds = bits >> 4,
                                         .client_id = WEIR_TEXT("client"),
                                         .will_name = WEIR_TEXT("will"),
                                         .will_payload = WEIR_TEXT("w")};
    give_packet(w, &packet);
}

static void send_publish(world *w, script *s)
{
    static const char *const names[] = {"a", "a/b", "$SYS/x", "t/k"};
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    uint8_t bits = next(s);
    packet.publish = (weir_mqtt_publish){.qos = bits & 1,
                                         .id = (uint16_t)((bits & 1) != 0 ? 1 + next(s) : 0),
                                         .retain = (bits & 2) != 0,
                                         .name = weir_bytes_of(names[bits >> 2 & 3]),
                                         .payload = WEIR_TEXT("p")};
    give_packet(w, &packet);
}

static void send_filters(world *w, script *s, uint8_t type)
{
    static const char *const names[] = {"#",     "a/+", "t/#", "$share/g/t/#",
                                        "a/#/b", "t/k", "+",   "a"};
    static const char *const shares[] = {NULL, "$queue/t", "$share/s/t/#", "$share/g/t"};
    uint8_t payload[256];
    size_t len = 0;
    weir_mqtt_packet packet = {.type = type};
    packet.id = (uint16_t)(1 + next(s));
    for (uint8_t count = next(s) % 4 + 1; count > 0; count--) {
        uint8_t bits = next(s);
        uint8_t options = bits >> 3 & 1;
        if (w->version == WEIR_MQTT_5) {
            options |= bits >> 1 & 0x18;
        }
        const char *name = (bits >> 6) != 0 ? shares[bits >> 6] : names[bits & 7];
        len += weir_mqtt_filter_encode(weir_bytes_of(name), type == WEIR_MQTT_SUBSCRIBE, options,
                                       payload + len, sizeof(payload) - len);
    }
    packet.payload = (weir_bytes){payload, len};
    give_packet(w, &packet);
}

static void send_puback(world *w, script *s)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBACK};
    uint8_t bits = next(s);
    packet.id = (uint16_t)(1 + bits % 16);
    packet.reason = w->version == WEIR_MQTT_5 && (bits & 0x80) != 0 ? WEIR_MQTT_UNSPECIFIED : 0;
    give_packet(w, &packet);
}

static void send_raw(world *w, script *s)
{
    size_t len = next(s), left = (size_t)(s->end - s->at);
    len = len < left ? len : left;
    give_input(w, s->at, len);
    s->at += len;
}

static void step(world *w, script *s)
{
    uint8_t what = next(s);
    switch (what % 16) {
    case 0:
        send_raw(w, s);
        break;
    case 1:
        send_connect(w, s);
        break;
    case 2:
    case 3:
        send_publish(w, s);
        break;
    case 4:
        send_filters(w, s, WEIR_MQTT_SUBSCRIBE);
        break;
    case 5:
        send_filters(w, s, WEIR_MQTT_UNSUBSCRIBE);
        break;
    case 6:
        send_puback(w, s);
        break;
    case 7: /* the oldest */
    case 8: /* any */
        if (w->op_count > 0) {
            size_t index = what % 16 == 7 ? 0 : next(s) % w->op_count;
            uint8_t err = next(s);
            complete(w, index, err < 200 ? WEIR_OK : (weir_err)(err % WEIR_ERR_COUNT));
        }
        break;
    case 9:
    case 10:
        deliver(w, next(s));
        break;
    case 11:
        note(w, weir_mqtt_session_drained(w->session, (size_t)next(s) << 10));
        break;
    case 12:
        w->context.now_ms += (uint64_t)next(s) << 7;
        w->context.wall_ms += next(s);
        note(w, weir_mqtt_session_tick(w->session, &w->out));
        break;
    case 13:
        w->room = next(s);
        give_input(w, "", 0);
        break;
    case 14:
        w->room = SIZE_MAX;
        give_input(w, "", 0);
        weir_mqtt_context_turn_end(&w->context);
        break;
    default:
        if ((what & 0x10) != 0) {
            note(w, weir_mqtt_session_claimed(w->session, &w->out));
        } else if ((what & 0x60) == 0x60) {
            note(w, weir_mqtt_session_stop(w->session, WEIR_MQTT_TAKEN_OVER, &w->out));
        }
        break;
    }
    output_check(w);
}

static void finish(world *w)
{
    weir_err err = WEIR_AGAIN;
    w->room = SIZE_MAX;
    for (int tries = 0; tries < 4 && err == WEIR_AGAIN; tries++) {
        err = weir_mqtt_session_end(w->session);
        while (w->op_count > 0) {
            complete(w, w->op_count - 1, WEIR_OK);
        }
        require(w->out.len == 0);
    }
    require(err == WEIR_OK);
    weir_mqtt_session_destroy(w->session);
    weir_mqtt_context_fini(&w->context);
    require(atomic_load(&the_chunk()->refs) == 1);
    weir_buffer_fini(&w->in);
    weir_buffer_fini(&w->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    script s = {data, data + size};
    if (size < 1 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    weir_log_threshold(WEIR_LOG_ERROR);
    uint8_t settings = next(&s);
    weir_limits limits = WEIR_LIMITS_DEFAULT;
    limits.in_flight_max = (settings & 4) != 0 ? 4 : 1024;
    limits.subscriptions_max = (settings & 8) != 0 ? 3 : 1000;
    limits.output_bytes_max = 16384;
    memset(&w, 0, sizeof(w));
    now_in = &w;
    w.limits = limits;
    w.version = (uint8_t)(WEIR_MQTT_3_1 + settings % 3);
    w.claim = (settings & 0x10) != 0 ? WEIR_AGAIN : WEIR_OK;
    w.room = SIZE_MAX;
    w.context = (weir_mqtt_context){.ops = &port_ops,
                                    .limits = &w.limits,
                                    .hooks = &hooks,
                                    .hooks_arg = &w,
                                    .quiet_user = &w.room,
                                    .now_ms = 1,
                                    .wall_ms = 1000000};
    require(weir_mqtt_context_init(&w.context) == WEIR_OK);
    require(weir_mqtt_session_create(&w.context, &w, &w.session) == WEIR_OK);
    for (int steps = 0; s.at < s.end && steps < STEPS_MAX; steps++) {
        step(&w, &s);
    }
    finish(&w);
    return 0;
}
