/* PUBLISH in, PUBACK out: order, refusals, aliases, headers, and what happens when there is no
 * room. */
#include "tests/unit/proto_mqtt/fake.h"

static weir_err publish(rig *r, const char *name, uint8_t qos, uint16_t id)
{
    weir_mqtt_packet packet = publish_packet(name, "payload", qos, id);
    return rig_send(r, &packet, NULL, 0);
}

static void expect_puback(rig *r, uint16_t id, uint8_t reason)
{
    weir_mqtt_packet packet;
    rig_read(r, WEIR_MQTT_PUBACK, &packet);
    assert_int_equal(packet.id, id);
    assert_int_equal(packet.reason, reason);
}

static void expect_disconnect(rig *r, uint8_t reason)
{
    weir_mqtt_packet packet;
    if (weir_mqtt_session_version(r->session) == 5) {
        rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
        assert_int_equal(packet.reason, reason);
    }
    rig_silent(r);
}

static void qos_0_is_published_without_confirmation(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        weir_mqtt_packet packet = publish_packet("a/b", "payload", 0, 0);
        packet.publish.retain = true;
        assert_int_equal(rig_send(r, &packet, NULL, 0), WEIR_OK);
        fake_op *op = rig_last(r, FAKE_PUBLISH);
        assert_string_equal(op->name, "a/b");
        assert_string_equal(op->value, "payload");
        assert_int_equal(op->publish.attributes, 1 | WEIR_RECORD_RETAIN);
        assert_true(op->publish.no_confirm);
        assert_true(op->publish.publisher != 0);
        assert_ptr_equal(op->user, &r->quiet);
        rig_silent(r);
        rig_end(r, 0); /* nothing is waited for */
        rig_close(r);
    }
}

static void an_empty_payload_is_empty_and_not_null(void **state)
{
    rig *r = rig_connected(4, NULL, 0);
    weir_mqtt_packet packet = publish_packet("a", "", 0, 0);
    (void)state;
    assert_int_equal(rig_send(r, &packet, NULL, 0), WEIR_OK);
    assert_non_null(rig_last(r, FAKE_PUBLISH)->publish.value.ptr);
    assert_int_equal(rig_last(r, FAKE_PUBLISH)->publish.value.len, 0);
    rig_close(r);
}

static void puback_leaves_when_the_completion_arrives(void **state)
{
    rig *r = rig_connected(4, NULL, 0);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 77), WEIR_OK);
    rig_silent(r);
    fake_op *op = rig_last(r, FAKE_PUBLISH);
    assert_int_equal(op->publish.attributes, 2);
    assert_false(op->publish.no_confirm);
    assert_ptr_equal(op->user, &r->user);
    assert_int_equal(rig_complete(r, op, WEIR_OK, WEIR_LEVEL_DISK), WEIR_OK);
    assert_int_equal(r->out.len, 4);
    assert_memory_equal(r->out.ptr, "\x40\x02\x00\x4d", 4);
    rig_close(r);
}

static void pubacks_leave_in_the_order_of_the_publishes(void **state) /* [MQTT-4.6.0-2] */
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    for (uint16_t i = 0; i < 100; i++) {
        assert_int_equal(publish(r, "a", 1, (uint16_t)(i + 1)), WEIR_OK);
    }
    for (size_t i = 99; i > 0; i--) {
        assert_int_equal(rig_complete(r, &r->port.ops[i], WEIR_OK, WEIR_LEVEL_DISK), WEIR_OK);
        rig_silent(r);
    }
    assert_int_equal(rig_complete(r, &r->port.ops[0], WEIR_OK, WEIR_LEVEL_DISK), WEIR_OK);
    for (uint16_t i = 0; i < 100; i++) {
        expect_puback(r, (uint16_t)(i + 1), 0);
    }
    rig_silent(r);
    assert_in_range(weir_mqtt_session_memory_bytes(r->session), 1, 299); /* the ring is gone */
    rig_close(r);
}

static const struct {
    weir_err err;
    uint8_t reason;
} refusals[] = {
    {WEIR_TOO_LARGE, 0x97}, {WEIR_LIMIT, 0x97},     {WEIR_DISK_FULL, 0x97},
    {WEIR_READ_ONLY, 0x97}, {WEIR_NO_MEMORY, 0x97}, {WEIR_NOT_FOUND, 0x90},
    {WEIR_NESTED, 0x90},    {WEIR_IO, 0x80},        {WEIR_FENCED, 0x80},
};

static void refused_publishes_are_told_in_5(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        rig *r = rig_connected(5, NULL, 0);
        weir_mqtt_packet packet;
        assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
        assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), refusals[i].err, 0), WEIR_OK);
        rig_read(r, WEIR_MQTT_PUBACK, &packet);
        assert_int_equal(packet.reason, refusals[i].reason);
        assert_true(weir_bytes_equal(weir_mqtt_text(&packet.properties, WEIR_MQTT_REASON_STRING),
                                     weir_bytes_of(weir_err_text(refusals[i].err))));
        assert_int_equal(r->context.stats.publishes_refused, 1);
        rig_close(r);
    }
}

/* Of a retained message, too: its key may make the name longer than it can be. */
static void a_name_that_the_engine_refuses_is_told_with_its_limits(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_mqtt_packet packet;
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_NAME_INVALID, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_PUBACK, &packet);
    assert_int_equal(packet.reason, 0x90);
    weir_bytes text = weir_mqtt_text(&packet.properties, WEIR_MQTT_REASON_STRING);
    assert_non_null(memmem(text.ptr, text.len, "1024 bytes and 128 levels", 25));
    rig_close(r);
}

static void a_name_of_the_gateways_own_is_refused_as_such(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_mqtt_packet packet;
    (void)state;
    assert_int_equal(publish(r, "$SYS/x", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_NOT_AUTHORIZED, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_PUBACK, &packet);
    assert_int_equal(packet.reason, 0x87);
    assert_bytes(weir_mqtt_text(&packet.properties, WEIR_MQTT_REASON_STRING),
                 "Names that begin with $ are the gateway's own: nobody can publish to one.");
    rig_close(r);
}

/* The gateway stops, and whether the record is kept nobody knows: no PUBACK says either. */
static void what_nobody_knows_is_neither_acknowledged_nor_refused(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_mqtt_packet packet;
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_CLOSED, 0), WEIR_CLOSED);
    rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.reason, WEIR_MQTT_SHUTTING_DOWN);
    assert_int_equal(r->context.stats.publishes_refused, 0);
    rig_close(r);
}

static void reason_strings_stay_away_when_not_wanted(void **state) /* [MQTT-3.1.2-29] */
{
    weir_mqtt_property quiet = {.name = WEIR_MQTT_REQUEST_PROBLEM, .number = 0};
    rig *r = rig_connected(5, &quiet, 1);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_LIMIT, 0), WEIR_OK);
    assert_int_equal(r->out.len, 5);
    assert_memory_equal(r->out.ptr, "\x40\x03\x00\x05\x97", 5);
    rig_close(r);
}

static void a_refusal_over_the_clients_maximum_loses_its_text(void **state) /* [MQTT-3.4.2-2] */
{
    weir_mqtt_property most = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 40};
    rig *r = rig_connected(5, &most, 1);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_DISK_FULL, 0), WEIR_OK);
    assert_int_equal(r->out.len, 5);
    rig_close(r);
}

static void refused_publishes_close_before_5_and_nothing_refused_is_acknowledged(void **state)
{
    rig *r = rig_connected(4, NULL, 0);
    (void)state;
    for (uint16_t i = 1; i <= 3; i++) {
        assert_int_equal(publish(r, "a", 1, i), WEIR_OK);
    }
    assert_int_equal(rig_complete(r, &r->port.ops[1], WEIR_DISK_FULL, 0), WEIR_OK);
    assert_int_equal(rig_complete(r, &r->port.ops[2], WEIR_OK, WEIR_LEVEL_OS), WEIR_OK);
    assert_int_equal(rig_complete(r, &r->port.ops[0], WEIR_OK, WEIR_LEVEL_OS), WEIR_CLOSED);
    expect_puback(r, 1, 0);
    rig_silent(r);
    rig_end(r, 3);
    rig_close(r);
}

static void a_publish_refused_at_once_waits_for_its_turn(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 1), WEIR_OK);
    r->port.publish_err = WEIR_TOO_LARGE;
    assert_int_equal(publish(r, "a", 1, 2), WEIR_OK);
    rig_silent(r);
    assert_int_equal(rig_complete(r, &r->port.ops[0], WEIR_OK, WEIR_LEVEL_OS), WEIR_OK);
    expect_puback(r, 1, 0);
    expect_puback(r, 2, 0x97);
    assert_int_equal(publish(r, "a", 0, 0), WEIR_OK);
    assert_int_equal(r->context.stats.quiet_refused, 1);
    rig_close(r);
}

static void a_late_failure_of_qos_0_is_counted(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_completion completion = {.type = WEIR_COMPLETION_PUBLISH, .err = WEIR_DISK_FULL};
    (void)state;
    weir_mqtt_context_quiet(&r->context, &completion);
    assert_int_equal(r->context.stats.quiet_refused, 1);
    rig_close(r);
}

static void the_level_is_told_to_those_who_asked(void **state)
{
    weir_mqtt_property ask = {
        .name = WEIR_MQTT_USER_PROPERTY, .text = WEIR_TEXT("weir-levels"), .value = WEIR_TEXT("1")};
    rig *r = rig_connected(5, &ask, 1);
    weir_mqtt_packet packet;
    weir_mqtt_property property;
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_OK, WEIR_LEVEL_DISK), WEIR_OK);
    rig_read(r, WEIR_MQTT_PUBACK, &packet);
    assert_int_equal(packet.reason, 0);
    weir_bytes rest = packet.properties.raw;
    assert_true(weir_mqtt_property_next(&rest, &property));
    assert_bytes(property.text, "weir-level");
    assert_bytes(property.value, "disk");
    rig_close(r);
}

static void no_level_is_told_without_problem_information(void **state) /* [MQTT-3.1.2-29] */
{
    const weir_mqtt_property ask[] = {{.name = WEIR_MQTT_REQUEST_PROBLEM, .number = 0},
                                      {.name = WEIR_MQTT_USER_PROPERTY,
                                       .text = {(const uint8_t *)"weir-levels", 11},
                                       .value = {(const uint8_t *)"1", 1}}};
    rig *r = rig_connected(5, ask, 2);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 5), WEIR_OK);
    assert_int_equal(rig_complete(r, rig_last(r, FAKE_PUBLISH), WEIR_OK, WEIR_LEVEL_DISK), WEIR_OK);
    assert_int_equal(r->out.len, 4);
    rig_close(r);
}

static void qos_2_is_refused_by_ending_the_connection(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        assert_int_equal(publish(r, "a", 2, 5), WEIR_CLOSED);
        expect_disconnect(r, 0x9b);
        assert_int_equal(rig_count(r, FAKE_PUBLISH), 0);
        rig_close(r);
    }
}

static void a_full_port_leaves_the_packet_in_the_input(void **state)
{
    (void)state;
    for (uint8_t qos = 0; qos <= 1; qos++) {
        rig *r = rig_connected(5, NULL, 0);
        r->port.room = 0;
        assert_int_equal(publish(r, "a", qos, qos), WEIR_AGAIN);
        size_t waiting = r->in.len;
        assert_true(waiting > 0);
        assert_int_equal(rig_again(r), WEIR_AGAIN);
        assert_int_equal(r->in.len, waiting);
        assert_int_equal(r->context.stats.blocked, 1);
        r->port.room = 1;
        assert_int_equal(rig_again(r), WEIR_OK);
        assert_int_equal(r->in.len, 0);
        assert_int_equal(rig_count(r, FAKE_PUBLISH), 1);
        rig_close(r);
    }
}

static void a_blocked_client_is_not_silent(void **state)
{
    rig *r = rig_open();
    weir_mqtt_packet packet = connect_packet(5, "c");
    (void)state;
    packet.connect.keep_alive_seconds = 1;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_OK);
    r->port.room = 0;
    assert_int_equal(publish(r, "a", 0, 0), WEIR_AGAIN);
    r->context.now_ms += 1500;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_OK);
    rig_close(r);
}

static void reading_stops_at_in_flight_max_and_goes_on(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    r->limits.in_flight_max = 3;
    for (uint16_t i = 1; i <= 3; i++) {
        assert_int_equal(publish(r, "a", 1, i), WEIR_OK);
    }
    assert_int_equal(publish(r, "a", 1, 4), WEIR_AGAIN);
    assert_int_equal(r->context.stats.paused_in_flight, 1);
    assert_int_equal(rig_again(r), WEIR_AGAIN);
    assert_int_equal(r->context.stats.paused_in_flight, 1);
    assert_int_equal(rig_complete(r, &r->port.ops[0], WEIR_OK, WEIR_LEVEL_OS), WEIR_OK);
    assert_int_equal(rig_again(r), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 4);
    rig_close(r);
}

/* ---- Properties ---- */

static weir_err publish_with(rig *r, const char *name, uint8_t qos, const weir_mqtt_property *list,
                             size_t count)
{
    weir_mqtt_packet packet = publish_packet(name, "p", qos, qos);
    return rig_send(r, &packet, list, count);
}

#define PAIR(name_text, value_text)                                                                \
    {                                                                                              \
        .name = WEIR_MQTT_USER_PROPERTY,                                                           \
        .text = {(const uint8_t *)(name_text), sizeof(name_text) - 1}, .value = {                  \
            (const uint8_t *)(value_text),                                                         \
            sizeof(value_text) - 1                                                                 \
        }                                                                                          \
    }

static void properties_become_headers(void **state)
{
    const weir_mqtt_property list[] = {
        {.name = WEIR_MQTT_PAYLOAD_FORMAT, .number = 1},
        {.name = WEIR_MQTT_MESSAGE_EXPIRY, .number = 4294967295},
        {.name = WEIR_MQTT_CONTENT_TYPE, .text = {(const uint8_t *)"t/p", 3}},
        {.name = WEIR_MQTT_RESPONSE_TOPIC, .text = {(const uint8_t *)"re", 2}},
        {.name = WEIR_MQTT_CORRELATION_DATA, .text = {(const uint8_t *)"cd", 2}},
        PAIR("traceparent", "00-ab"),
        PAIR("weir-id", "1"),
        PAIR("traceparent", "again"),
    };
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "a", 1, list, 8), WEIR_OK);
    assert_string_equal(rig_last(r, FAKE_PUBLISH)->headers,
                        "payload-format=1;expiry=4294967295;content-type=t/p;reply=re;"
                        "correlation=cd;traceparent=00-ab;traceparent=again;");
    rig_close(r);
}

static void payload_format_0_says_nothing(void **state)
{
    const weir_mqtt_property list[] = {{.name = WEIR_MQTT_PAYLOAD_FORMAT, .number = 0}};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "a", 0, list, 1), WEIR_OK);
    assert_int_equal(rig_last(r, FAKE_PUBLISH)->publish.header_count, 0);
    rig_close(r);
}

static void weir_key_makes_the_name_a_topic(void **state)
{
    const weir_mqtt_property list[] = {PAIR("weir-key", "k/1")};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "a", 1, list, 1), WEIR_OK);
    fake_op *op = rig_last(r, FAKE_PUBLISH);
    assert_string_equal(op->topic, "a");
    assert_string_equal(op->key, "k/1");
    assert_null(op->publish.name.ptr);
    assert_int_equal(op->publish.header_count, 0);
    assert_int_equal(rig_complete(r, op, WEIR_NOT_FOUND, 0), WEIR_OK);
    expect_puback(r, 1, 0x90);
    rig_close(r);
}

static void weir_id_is_the_publishing_id_of_the_client(void **state)
{
    const weir_mqtt_property list[] = {PAIR("weir-id", "18446744073709551615")};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "a", 1, list, 1), WEIR_OK);
    fake_op *op = rig_last(r, FAKE_PUBLISH);
    assert_true(weir_bytes_equal(op->publish.producer, weir_mqtt_session_client_id(r->session)));
    assert_true(op->publish.publishing_id == UINT64_MAX);
    assert_int_equal(op->publish.header_count, 0);
    assert_int_equal(rig_complete(r, op, WEIR_OK, 0), WEIR_OK);
    expect_puback(r, 1, 0x00);
    rig_close(r);
}

static void a_weir_id_that_is_no_number_is_refused(void **state)
{
    const char *wrong[] = {"", "x", "1x", "-1", "18446744073709551616"};
    const weir_mqtt_property twice[] = {PAIR("weir-id", "1"), PAIR("weir-id", "2")};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        weir_mqtt_property one = PAIR("weir-id", "");
        one.value = weir_bytes_of(wrong[i]);
        assert_int_equal(publish_with(r, "a", 1, &one, 1), WEIR_OK);
        expect_puback(r, 1, 0x83);
    }
    assert_int_equal(publish_with(r, "a", 1, twice, 2), WEIR_OK);
    expect_puback(r, 1, 0x83);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 0);
    rig_close(r);
}

static void reserved_user_properties_are_refused(void **state)
{
    const weir_mqtt_property other[] = {PAIR("weir-origin", "x")};
    const weir_mqtt_property twice[] = {PAIR("weir-key", "a"), PAIR("weir-key", "b")};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "a", 1, other, 1), WEIR_OK);
    expect_puback(r, 1, 0x83);
    assert_int_equal(publish_with(r, "a", 1, twice, 2), WEIR_OK);
    expect_puback(r, 1, 0x83);
    assert_int_equal(publish_with(r, "a", 0, other, 1), WEIR_OK);
    assert_int_equal(r->context.stats.quiet_refused, 1);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 0);
    rig_close(r);
}

static void a_subscription_identifier_from_a_client_is_a_protocol_error(void **state)
{
    const weir_mqtt_property list[] = {{.name = WEIR_MQTT_SUBSCRIPTION_ID, .number = 1}};
    rig *r = rig_connected(5, NULL, 0); /* [MQTT-3.3.4-6] */
    (void)state;
    assert_int_equal(publish_with(r, "a", 0, list, 1), WEIR_CLOSED);
    expect_disconnect(r, 0x82);
    rig_close(r);
}

static void an_alias_stands_for_its_latest_name(void **state)
{
    const weir_mqtt_property alias[] = {{.name = WEIR_MQTT_TOPIC_ALIAS, .number = 64}};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish_with(r, "first", 0, alias, 1), WEIR_OK);
    assert_int_equal(publish_with(r, "", 1, alias, 1), WEIR_OK);
    assert_string_equal(rig_last(r, FAKE_PUBLISH)->name, "first");
    assert_int_equal(publish_with(r, "second/name", 0, alias, 1), WEIR_OK);
    assert_int_equal(publish_with(r, "", 0, alias, 1), WEIR_OK);
    assert_string_equal(rig_last(r, FAKE_PUBLISH)->name, "second/name");
    rig_close(r);
}

static void aliases_outside_their_range_or_without_a_name_end_the_connection(void **state)
{
    const struct {
        uint32_t alias;
        const char *name;
        uint8_t reason;
    } cases[] = {{0, "a", 0x94}, {65, "a", 0x94}, {65, "", 0x94}, {1, "", 0x82}};
    (void)state; /* [MQTT-3.3.2-8], [MQTT-3.3.2-9] */
    for (size_t i = 0; i < 4; i++) {
        const weir_mqtt_property alias[] = {
            {.name = WEIR_MQTT_TOPIC_ALIAS, .number = cases[i].alias}};
        rig *r = rig_connected(5, NULL, 0);
        assert_int_equal(publish_with(r, cases[i].name, 0, alias, 1), WEIR_CLOSED);
        expect_disconnect(r, cases[i].reason);
        rig_close(r);
    }
}

static void the_end_waits_for_every_completion(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(publish(r, "a", 1, 1), WEIR_OK);
    assert_int_equal(weir_mqtt_session_end(r->session), WEIR_AGAIN);
    assert_int_equal(rig_complete(r, &r->port.ops[0], WEIR_OK, WEIR_LEVEL_OS), WEIR_CLOSED);
    rig_silent(r);
    assert_int_equal(weir_mqtt_session_end(r->session), WEIR_OK);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qos_0_is_published_without_confirmation),
        cmocka_unit_test(an_empty_payload_is_empty_and_not_null),
        cmocka_unit_test(puback_leaves_when_the_completion_arrives),
        cmocka_unit_test(pubacks_leave_in_the_order_of_the_publishes),
        cmocka_unit_test(refused_publishes_are_told_in_5),
        cmocka_unit_test(a_name_that_the_engine_refuses_is_told_with_its_limits),
        cmocka_unit_test(a_name_of_the_gateways_own_is_refused_as_such),
        cmocka_unit_test(what_nobody_knows_is_neither_acknowledged_nor_refused),
        cmocka_unit_test(reason_strings_stay_away_when_not_wanted),
        cmocka_unit_test(a_refusal_over_the_clients_maximum_loses_its_text),
        cmocka_unit_test(refused_publishes_close_before_5_and_nothing_refused_is_acknowledged),
        cmocka_unit_test(a_publish_refused_at_once_waits_for_its_turn),
        cmocka_unit_test(a_late_failure_of_qos_0_is_counted),
        cmocka_unit_test(the_level_is_told_to_those_who_asked),
        cmocka_unit_test(no_level_is_told_without_problem_information),
        cmocka_unit_test(qos_2_is_refused_by_ending_the_connection),
        cmocka_unit_test(a_full_port_leaves_the_packet_in_the_input),
        cmocka_unit_test(a_blocked_client_is_not_silent),
        cmocka_unit_test(reading_stops_at_in_flight_max_and_goes_on),
        cmocka_unit_test(properties_become_headers),
        cmocka_unit_test(payload_format_0_says_nothing),
        cmocka_unit_test(weir_key_makes_the_name_a_topic),
        cmocka_unit_test(weir_id_is_the_publishing_id_of_the_client),
        cmocka_unit_test(a_weir_id_that_is_no_number_is_refused),
        cmocka_unit_test(reserved_user_properties_are_refused),
        cmocka_unit_test(a_subscription_identifier_from_a_client_is_a_protocol_error),
        cmocka_unit_test(an_alias_stands_for_its_latest_name),
        cmocka_unit_test(aliases_outside_their_range_or_without_a_name_end_the_connection),
        cmocka_unit_test(the_end_waits_for_every_completion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
