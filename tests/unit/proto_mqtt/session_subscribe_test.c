/* SUBSCRIBE and UNSUBSCRIBE: what is granted, refused, interrupted; slots; the first credit. */
#include "tests/unit/proto_mqtt/fake.h"

static weir_err subscribe_many(rig *r, uint16_t id, const char *const *filters,
                               const uint8_t *options, size_t count)
{
    static uint8_t payload[65536];
    size_t len = 0;
    weir_mqtt_packet packet = {.type = WEIR_MQTT_SUBSCRIBE, .id = id};
    for (size_t i = 0; i < count; i++) {
        len += weir_mqtt_filter_encode(weir_bytes_of(filters[i]), true, options[i], payload + len,
                                       sizeof(payload) - len);
    }
    packet.payload = (weir_bytes){payload, len};
    return rig_send(r, &packet, NULL, 0);
}

static void expect_suback(rig *r, uint16_t id, const char *codes, size_t count)
{
    weir_mqtt_packet packet;
    rig_read(r, WEIR_MQTT_SUBACK, &packet);
    assert_int_equal(packet.id, id);
    assert_int_equal(packet.payload.len, count);
    assert_memory_equal(packet.payload.ptr, codes, count);
}

static void suback_leaves_when_the_engine_has_the_filter(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(rig_filter(r, "a/+", 1, 9, 0), WEIR_OK);
    rig_silent(r);
    assert_int_equal(rig_count(r, FAKE_OPEN), 1);
    fake_op *op = rig_last(r, FAKE_SUBSCRIBE);
    assert_string_equal(op->name, "a/+");
    assert_int_equal(op->subscribe.start, WEIR_START_END);
    assert_int_equal(rig_complete(r, op, WEIR_OK, 0), WEIR_OK);
    expect_suback(r, 9, "\1", 1);
    rig_end(r, 3);
    assert_int_equal(rig_count(r, FAKE_CLOSE), 1);
    rig_close(r);
}

static void the_first_credit_is_the_window_for_qos_1_and_bytes_for_qos_0(void **state)
{
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 10};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    assert_int_equal(rig_filter(r, "a", 1, 9, 0), WEIR_OK);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->records, 10);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->bytes, 1048576);
    rig_close(r);
    r = rig_connected(5, NULL, 0);
    assert_int_equal(rig_filter(r, "a", 2, 9, 0), WEIR_OK);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->records, 1024);
    rig_close(r);
    r = rig_connected(5, NULL, 0);
    assert_int_equal(rig_filter(r, "a", 0, 9, 0), WEIR_OK);
    assert_true(rig_last(r, FAKE_CREDIT)->records > 1000000);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->bytes, 1048576);
    rig_close(r);
}

static void each_filter_gets_its_own_code(void **state)
{
    static const char *const filters[] = {"a", "b/#", "bad/#/x", "$share/g/a/#/b", "ok"};
    static const uint8_t options[] = {0, 1, 0, 0, 2};
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        assert_int_equal(subscribe_many(r, 3, filters, options, 5), WEIR_OK);
        assert_int_equal(rig_count(r, FAKE_SUBSCRIBE), 3);
        size_t answered = 0;
        for (size_t i = 0; i < r->port.count; i++) {
            if (r->port.ops[i].kind == FAKE_SUBSCRIBE) {
                rig_silent(r);
                assert_int_equal(rig_complete(r, &r->port.ops[i],
                                              ++answered == 2 ? WEIR_NOT_AUTHORIZED : WEIR_OK, 0),
                                 WEIR_OK);
            }
        }
        expect_suback(r, 3, version == 5 ? "\x00\x87\x8f\x8f\x01" : "\x00\x80\x80\x80\x01", 5);
        rig_close(r);
    }
}

static void a_shared_filter_with_no_local_is_a_protocol_error(void **state) /* [MQTT-3.8.3-4] */
{
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(rig_filter(r, "$share/g/a", 4, 1, 0), WEIR_CLOSED);
    rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.reason, 0x82);
    assert_int_equal(rig_count(r, FAKE_OPEN), 0);
    rig_close(r);
}

static void options_become_the_engines(void **state)
{
    const struct {
        uint8_t version, options;
        weir_retained_mode mode;
        bool no_local;
    } cases[] = {{5, 0x00, WEIR_RETAINED_SEND, false},
                 {5, 0x14, WEIR_RETAINED_SEND_IF_NEW, true},
                 {5, 0x20, WEIR_RETAINED_NONE, false},
                 {4, 0x01, WEIR_RETAINED_SEND, false}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        rig *r = rig_connected(cases[i].version, NULL, 0);
        assert_int_equal(rig_filter(r, "a", cases[i].options, 1, 0), WEIR_OK);
        assert_int_equal(rig_last(r, FAKE_SUBSCRIBE)->subscribe.retained, cases[i].mode);
        assert_int_equal(rig_last(r, FAKE_SUBSCRIBE)->subscribe.no_local, cases[i].no_local);
        rig_close(r);
    }
}

static void subscribing_again_keeps_the_slot(void **state) /* [MQTT-3.8.4-3] */
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    uint32_t a = rig_subscribed(r, "a", 0, 0), b = rig_subscribed(r, "b", 0, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(rig_subscribed(r, "a", 1, 0), a);
    assert_int_equal(rig_count(r, FAKE_OPEN), 1);
    rig_close(r);
}

static void a_slot_is_free_only_after_the_engine_let_the_filter_go(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_mqtt_packet packet;
    (void)state;
    uint32_t a = rig_subscribed(r, "a", 0, 0);
    assert_int_equal(rig_filter(r, "a", -1, 8, 0), WEIR_OK);
    rig_silent(r);
    assert_int_not_equal(rig_subscribed(r, "b", 0, 0), a);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_UNSUBSCRIBE), WEIR_OK, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_UNSUBACK, &packet);
    assert_int_equal(packet.id, 8);
    assert_int_equal(packet.payload.len, 1);
    assert_int_equal(rig_subscribed(r, "c", 0, 0), a);
    rig_close(r);
}

static void unsubscribing_what_is_not_there_says_so_in_5(void **state) /* [MQTT-3.10.4-5] */
{
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(rig_filter(r, "a", -1, 8, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_UNSUBACK, &packet);
    assert_int_equal(packet.payload.ptr[0], 0x11);
    rig_close(r);
    r = rig_connected(4, NULL, 0);
    assert_int_equal(rig_filter(r, "a", -1, 8, 0), WEIR_OK);
    assert_int_equal(r->out.len, 4);
    assert_memory_equal(r->out.ptr, "\xb0\x02\x00\x08", 4);
    rig_close(r);
}

static void a_full_port_interrupts_a_subscribe_and_it_goes_on_where_it_was(void **state)
{
    static const char *const filters[] = {"a", "b", "c", "d"};
    static const uint8_t options[] = {0, 1, 0, 1};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    r->port.room = 0;
    assert_int_equal(subscribe_many(r, 3, filters, options, 4), WEIR_AGAIN);
    assert_int_equal(r->port.count, 0);
    r->port.room = 4; /* open, credit, two filters */
    assert_int_equal(rig_again(r), WEIR_AGAIN);
    assert_int_equal(rig_count(r, FAKE_SUBSCRIBE), 2);
    for (size_t i = 2; i < 4; i++) {
        assert_int_equal(rig_complete(r, &r->port.ops[i], WEIR_OK, 0), WEIR_OK);
    }
    rig_silent(r);
    r->port.room = SIZE_MAX;
    assert_int_equal(rig_again(r), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_SUBSCRIBE), 4);
    assert_int_equal(rig_count(r, FAKE_OPEN), 1);
    for (size_t i = 4; i < 6; i++) {
        assert_int_equal(rig_complete(r, &r->port.ops[i], WEIR_OK, 0), WEIR_OK);
    }
    expect_suback(r, 3, "\0\1\0\1", 4);
    rig_close(r);
}

static void a_session_can_end_in_the_middle_of_a_subscribe(void **state)
{
    static const char *const filters[] = {"a", "b"};
    static const uint8_t options[] = {0, 1};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    r->port.room = 3;
    assert_int_equal(subscribe_many(r, 3, filters, options, 2), WEIR_AGAIN);
    rig_end(r, 0);
    rig_close(r);
}

static void credit_that_the_port_had_no_room_for_is_given_at_the_turns_end(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    r->port.room = 1; /* open alone */
    assert_int_equal(rig_filter(r, "a", 1, 1, 0), WEIR_AGAIN);
    r->port.room = 1;
    assert_int_equal(rig_again(r), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_CREDIT), 0);
    assert_int_equal(weir_mqtt_session_drained(r->session, 0), WEIR_AGAIN);
    r->port.room = 1;
    assert_int_equal(weir_mqtt_session_drained(r->session, 0), WEIR_OK);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->records, 1024);
    rig_close(r);
}

static void a_filter_that_cannot_be_replaced_keeps_its_options(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    const fake_record record = {.key = "k", .value = "v"};
    weir_mqtt_packet packet;
    (void)state;
    uint32_t slot = rig_subscribed(r, "t/k", 0, 5);
    assert_int_equal(rig_filter(r, "t/k", 1, 2, 9), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_SUBSCRIBE), WEIR_NO_MEMORY, 0), WEIR_OK);
    expect_suback(r, 2, "\x97", 1);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
    rig_read(r, WEIR_MQTT_PUBLISH, &packet);
    assert_int_equal(packet.publish.qos, 0);
    assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_SUBSCRIPTION_ID, 0), 5);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void a_failure_at_once_is_a_code_like_any_other(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    r->port.subscribe_err = WEIR_NOT_OFFERED;
    assert_int_equal(rig_filter(r, "a", 0, 1, 0), WEIR_OK);
    expect_suback(r, 1, "\x83", 1);
    assert_in_range(weir_mqtt_session_memory_bytes(r->session), 1, 299);
    rig_close(r);
}

static void many_requests_wait_at_once_but_not_any_number(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    char filter[8];
    (void)state;
    for (uint16_t i = 1; i <= 16; i++) {
        snprintf(filter, sizeof(filter), "f%u", i);
        assert_int_equal(rig_filter(r, filter, 0, i, 0), WEIR_OK);
    }
    assert_int_equal(rig_filter(r, "last", 0, 17, 0), WEIR_AGAIN);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_SUBSCRIBE), WEIR_OK, 0), WEIR_OK);
    expect_suback(r, 16, "\0", 1);
    assert_int_equal(rig_again(r), WEIR_OK);
    assert_string_equal(rig_last(r, FAKE_SUBSCRIBE)->name, "last");
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suback_leaves_when_the_engine_has_the_filter),
        cmocka_unit_test(the_first_credit_is_the_window_for_qos_1_and_bytes_for_qos_0),
        cmocka_unit_test(each_filter_gets_its_own_code),
        cmocka_unit_test(a_shared_filter_with_no_local_is_a_protocol_error),
        cmocka_unit_test(options_become_the_engines),
        cmocka_unit_test(subscribing_again_keeps_the_slot),
        cmocka_unit_test(a_slot_is_free_only_after_the_engine_let_the_filter_go),
        cmocka_unit_test(unsubscribing_what_is_not_there_says_so_in_5),
        cmocka_unit_test(a_full_port_interrupts_a_subscribe_and_it_goes_on_where_it_was),
        cmocka_unit_test(a_session_can_end_in_the_middle_of_a_subscribe),
        cmocka_unit_test(credit_that_the_port_had_no_room_for_is_given_at_the_turns_end),
        cmocka_unit_test(a_filter_that_cannot_be_replaced_keeps_its_options),
        cmocka_unit_test(a_failure_at_once_is_a_code_like_any_other),
        cmocka_unit_test(many_requests_wait_at_once_but_not_any_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
