/* Every allocation of a session's whole life fails once, in turn: the connection ends, or the one
 * packet is refused, and nothing is lost: no memory, no chunk, no completion that is waited for.
 * The room's sources stand here with allocators that count down; names that two of them use are
 * kept apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int countdown; /* 1: the next allocation fails; 0: none does */
static int living;    /* blocks of the room's sources */

static int allocation_fails(void)
{
    return countdown > 0 && --countdown == 0;
}

static void *room_malloc(size_t size)
{
    void *made = allocation_fails() ? NULL : malloc(size == 0 ? 1 : size);
    living += made != NULL;
    return made;
}

static void *room_calloc(size_t count, size_t size)
{
    void *made = allocation_fails() ? NULL : calloc(count, size);
    living += made != NULL;
    return made;
}

static void *room_realloc(void *ptr, size_t size)
{
    void *made = allocation_fails() ? NULL : realloc(ptr, size);
    living += made != NULL && ptr == NULL;
    return made;
}

static void room_free(void *ptr)
{
    living -= ptr != NULL;
    free(ptr);
}

#define malloc  room_malloc
#define calloc  room_calloc
#define realloc room_realloc
#define free    room_free
#include "core/base/buffer.c"
#include "adapters/proto/mqtt/codec.c"
#include "adapters/proto/mqtt/encode.c"
#define rules property_rules
#include "adapters/proto/mqtt/property.c"
#undef rules
#include "adapters/proto/mqtt/mapping.c"
#include "adapters/proto/mqtt/window.c"
#define refuse  connect_refuse
#define refusal connect_refusal
#include "adapters/proto/mqtt/connect.c"
#undef refuse
#undef refusal
#include "adapters/proto/mqtt/publish.c"
#include "adapters/proto/mqtt/subscribe.c"
#include "adapters/proto/mqtt/share.c"
#include "adapters/proto/mqtt/share_flight.c"
#include "adapters/proto/mqtt/share_lease.c"
#include "adapters/proto/mqtt/wire_cache.c"
#include "adapters/proto/mqtt/deliver.c"
#include "adapters/proto/mqtt/session.c"
#undef malloc
#undef calloc
#undef realloc
#undef free

#include "tests/unit/proto_mqtt/fake.h"

static weir_err give(rig *r, const weir_mqtt_packet *packet, const weir_mqtt_property *list,
                     size_t count)
{
    uint8_t wire[2048];
    size_t used = 0, len = weir_mqtt_encode(5, packet, list, count, wire, sizeof(wire));
    assert_in_range(len, 1, sizeof(wire));
    weir_err err = weir_mqtt_session_input(r->session, (weir_bytes){wire, len}, &r->out, &used);
    assert_true(err == WEIR_OK || err == WEIR_CLOSED);
    return err;
}

static void give_connect(rig *r)
{
    const weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 70};
    weir_mqtt_packet packet = connect_packet(5, "");
    packet.connect.has_will = true;
    packet.connect.will_name = WEIR_TEXT("will");
    packet.connect.will_payload = WEIR_TEXT("gone");
    give(r, &packet, &window, 1);
}

static void give_publishes(rig *r)
{
    for (uint16_t i = 1; i <= 40; i++) {
        const weir_mqtt_property list[] = {
            {.name = WEIR_MQTT_TOPIC_ALIAS, .number = i % 4 + 1u},
            {.name = WEIR_MQTT_CONTENT_TYPE, .text = WEIR_TEXT("t")}};
        weir_mqtt_packet packet = publish_packet("a/b", "payload", 1, i);
        give(r, &packet, list, 2);
    }
}

static void give_filters(rig *r, uint8_t type)
{
    for (uint16_t i = 1; i <= 6; i++) {
        uint8_t payload[64];
        char filter[8];
        snprintf(filter, sizeof(filter), "f/%u", i);
        weir_mqtt_packet packet = {.type = type, .id = i};
        packet.payload = (weir_bytes){
            payload, weir_mqtt_filter_encode(weir_bytes_of(filter), type == WEIR_MQTT_SUBSCRIBE, 1,
                                             payload, sizeof(payload))};
        give(r, &packet, NULL, 0);
    }
}

static size_t answer_all(rig *r, size_t from)
{
    size_t count = r->port.count;
    for (size_t i = from; i < count; i++) {
        if (fake_is_answered(&r->port.ops[i])) {
            rig_complete(r, &r->port.ops[i], i % 5 == 4 ? WEIR_LIMIT : WEIR_OK, WEIR_LEVEL_OS);
        }
    }
    return r->port.count;
}

static void give_pubacks(rig *r)
{
    for (uint16_t i = 1; i <= 120; i++) {
        weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBACK, .id = i};
        give(r, &packet, NULL, 0);
    }
}

/* A shared subscription, its records, PUBACKs for all ids there may be, and the way out. */
static size_t give_share(rig *r, weir_chunk *chunk, size_t answered)
{
    uint8_t payload[64];
    weir_bytes filter = WEIR_TEXT("$share/g/t/#");
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .id = 9};
    packet.payload =
        (weir_bytes){payload, weir_mqtt_filter_encode(filter, true, 1, payload, sizeof(payload))};
    give(r, &packet, NULL, 0);
    for (int round = 0; round < 3; round++) { /* asked, joined */
        size_t count = r->port.count;
        for (size_t i = answered; i < count; i++) {
            if (r->port.ops[i].kind == FAKE_TAKE) {
                rig_take(r, &r->port.ops[i], chunk, 10);
            } else if (fake_is_answered(&r->port.ops[i])) {
                rig_complete(r, &r->port.ops[i], WEIR_OK, WEIR_LEVEL_OS);
            }
        }
        answered = count;
    }
    for (uint16_t i = 60; i <= 150; i++) {
        weir_mqtt_packet ack = {.type = WEIR_MQTT_PUBACK, .id = i};
        give(r, &ack, NULL, 0);
    }
    return answered;
}

/* A life with everything in it. True when no allocation failed. */
static bool live(weir_chunk *chunk, int fail_at)
{
    rig *r = calloc(1, sizeof(*r));
    size_t answered = 0;
    assert_non_null(r);
    living = 0;
    countdown = fail_at;
    r->limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    r->port.room = SIZE_MAX;
    r->group.options = (weir_group_options){.model = WEIR_MODEL_QUEUE, .filter = WEIR_TEXT("t/#")};
    r->context = (weir_mqtt_context){.port = (weir_port *)(void *)&r->port,
                                     .ops = &fake_ops,
                                     .limits = &r->limits,
                                     .hooks = &rig_hooks,
                                     .hooks_arg = r,
                                     .quiet_user = &r->quiet};
    if (weir_mqtt_context_init(&r->context) == WEIR_OK &&
        weir_mqtt_session_create(&r->context, &r->user, &r->session) == WEIR_OK) {
        give_connect(r);
        give_publishes(r);
        answered = answer_all(r, answered);
        give_filters(r, WEIR_MQTT_SUBSCRIBE);
        answered = answer_all(r, answered);
        for (int i = 0; i < 12; i++) {
            rig_deliver(r, chunk, 0, 10, 0, NULL, false);
        }
        answered = give_share(r, chunk, answered);
        give_pubacks(r);
        give_filters(r, WEIR_MQTT_UNSUBSCRIBE);
        answered = answer_all(r, answered);
        weir_err err = weir_mqtt_session_end(r->session);
        for (int i = 0; err == WEIR_AGAIN && i < 4; i++) { /* joins are answered, then leave */
            answered = answer_all(r, answered);
            err = weir_mqtt_session_end(r->session);
        }
        assert_int_equal(err, WEIR_OK);
        weir_mqtt_session_destroy(r->session);
    }
    weir_mqtt_context_fini(&r->context);
    weir_buffer_fini(&r->out);
    bool whole = countdown > 0;
    countdown = 0;
    free(r);
    assert_int_equal(living, 0);
    assert_int_equal(atomic_load(&chunk->refs), 1);
    return whole;
}

static void every_allocation_may_fail(void **state)
{
    fake_record records[10];
    (void)state;
    for (size_t i = 0; i < 10; i++) {
        records[i] = (fake_record){.key = "f/1", .value = "value"};
    }
    weir_chunk *chunk = chunk_of("t", records, 10, 0);
    int fail_at = 1;
    while (!live(chunk, fail_at)) {
        fail_at++;
    }
    assert_in_range(fail_at, 40, 10000);
    weir_chunk_drop(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
