/* CONNECT to CONNACK, keep-alive, the will, take-over, and the end of a session. */
#include "tests/unit/proto_mqtt/fake.h"

static void connect_is_answered_with_what_is_not_offered(void **state)
{
    rig *r = rig_open();
    weir_mqtt_property expiry = {.name = WEIR_MQTT_SESSION_EXPIRY, .number = 3600};
    weir_mqtt_packet packet = connect_packet(5, "client");
    (void)state;
    assert_int_equal(rig_send_as(r, 5, &packet, &expiry, 1), WEIR_OK);
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    assert_int_equal(packet.reason, 0);
    assert_false(packet.session_present); /* [MQTT-3.2.2-2] */
    const weir_mqtt_properties *p = &packet.properties;
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_MAXIMUM_QOS, 9), 1);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_SESSION_EXPIRY, 9), 0);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_SHARED_AVAILABLE, 1), 1);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_RECEIVE_MAXIMUM, 9), 1024);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_MAXIMUM_PACKET_SIZE, 9), 1114112);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_TOPIC_ALIAS_MAXIMUM, 9), 64);
    assert_false(weir_mqtt_has(p, WEIR_MQTT_ASSIGNED_CLIENT_ID));
    assert_false(weir_mqtt_has(p, WEIR_MQTT_SERVER_KEEP_ALIVE));
    assert_string_equal(r->claimed, "client");
    assert_int_equal(r->context.stats.connects, 1);
    assert_int_equal(r->context.stats.not_persistent, 1);
    rig_end(r, 0);
    assert_int_equal(r->releases, 1);
    rig_close(r);
}

static void connack_is_four_bytes_before_5(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 4; version++) {
        rig *r = rig_open();
        weir_mqtt_packet packet = connect_packet(version, "client");
        packet.connect.clean = false;
        assert_int_equal(rig_send_as(r, version, &packet, NULL, 0), WEIR_OK);
        assert_int_equal(r->out.len, 4);
        assert_memory_equal(r->out.ptr, "\x20\x02\x00\x00", 4); /* session present 0 */
        assert_int_equal(r->context.stats.not_persistent, 1);
        rig_close(r);
    }
}

static void connect_in_single_bytes_is_the_same(void **state)
{
    rig *r = rig_open();
    weir_buffer bytes = {0};
    weir_mqtt_packet packet = connect_packet(5, "client");
    (void)state;
    packet_append(&bytes, 5, &packet, NULL, 0);
    for (size_t i = 0; i < bytes.len; i++) {
        rig_silent(r);
        assert_int_equal(rig_bytes(r, bytes.ptr + i, 1), WEIR_OK);
    }
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    weir_buffer_fini(&bytes);
    rig_close(r);
}

static void expect_refusal(rig *r, const weir_mqtt_packet *connect, const weir_mqtt_property *list,
                           size_t count, int reason)
{
    weir_mqtt_packet packet;
    uint8_t closed = 0;
    assert_int_equal(rig_send_as(r, connect->connect.version, connect, list, count), WEIR_CLOSED);
    if (reason < 0) {
        rig_silent(r);
    } else {
        rig_read(r, WEIR_MQTT_CONNACK, &packet);
        assert_int_equal(packet.reason, reason);
        rig_silent(r);
    }
    assert_non_null(weir_mqtt_session_close_text(r->session, &closed));
    assert_int_equal(r->context.stats.connects, 0);
    rig_end(r, 0);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 0); /* no will of a refused CONNECT */
    rig_close(r);
}

static void refusals_have_the_code_of_their_version(void **state)
{
    const struct {
        uint8_t reason;
        int code; /* 3.1.1; -1: closed without a word */
    } cases[] = {{0x84, 1}, {0x85, 2}, {0x97, 3}, {0x88, 3},
                 {0x89, 3}, {0x86, 4}, {0x87, 5}, {0x8a, -1}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_mqtt_packet connect = connect_packet(5, "c");
        rig *r = rig_open();
        r->admit_reason = cases[i].reason;
        expect_refusal(r, &connect, NULL, 0, cases[i].reason);
        connect = connect_packet(4, "c");
        r = rig_open();
        r->admit_reason = cases[i].reason;
        expect_refusal(r, &connect, NULL, 0, cases[i].code);
    }
}

static void another_protocol_level_is_refused_in_its_words(void **state) /* [MQTT-3.1.2-2] */
{
    rig *r = rig_open();
    (void)state;
    assert_int_equal(rig_bytes(r, "\x10\x0d\0\4MQTT\6\2\0\0\0\1c", 15), WEIR_CLOSED);
    assert_memory_equal(r->out.ptr, "\x20", 1);
    assert_int_equal(r->out.ptr[3], 0x84);
    rig_close(r);
    r = rig_open();
    assert_int_equal(rig_bytes(r, "\x10\x0d\0\4MQTT\3\2\0\0\0\1c", 15), WEIR_CLOSED);
    assert_int_equal(r->out.len, 4);
    assert_memory_equal(r->out.ptr, "\x20\x02\x00\x01", 4);
    rig_close(r);
    r = rig_open();
    assert_int_equal(rig_bytes(r, "\x10\x0d\0\4HTTP\4\2\0\0\0\1c", 15), WEIR_CLOSED);
    rig_silent(r);
    rig_close(r);
}

static void an_empty_client_id_is_assigned_where_the_version_has_it(void **state)
{
    weir_mqtt_packet packet = connect_packet(5, "");
    rig *r = rig_open();
    (void)state;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_OK);
    rig_read(r, WEIR_MQTT_CONNACK, &packet); /* [MQTT-3.2.2-16] */
    assert_true(weir_bytes_equal(weir_mqtt_text(&packet.properties, WEIR_MQTT_ASSIGNED_CLIENT_ID),
                                 weir_mqtt_session_client_id(r->session)));
    assert_string_equal(r->claimed, "weir-0000000000001234-1");
    rig_close(r);

    packet = connect_packet(4, "");
    r = rig_open();
    assert_int_equal(rig_send_as(r, 4, &packet, NULL, 0), WEIR_OK);
    rig_close(r);
    packet = connect_packet(4, "");
    packet.connect.clean = false; /* 3.1.1 [MQTT-3.1.3-8] */
    expect_refusal(rig_open(), &packet, NULL, 0, 2);
    packet = connect_packet(3, "");
    expect_refusal(rig_open(), &packet, NULL, 0, 2);
}

static void a_connect_that_breaks_a_rule_is_told_in_5(void **state)
{
    const weir_mqtt_property twice[] = {{.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1},
                                        {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 2}};
    weir_mqtt_packet packet = connect_packet(5, "c");
    (void)state;
    expect_refusal(rig_open(), &packet, twice, 2, 0x82);
    packet.connect.has_will = true;
    packet.connect.will_payload = WEIR_TEXT("");
    packet.connect.will_name = WEIR_TEXT("a/#");
    expect_refusal(rig_open(), &packet, NULL, 0, 0x90);
    packet.connect.version = 4;
    expect_refusal(rig_open(), &packet, NULL, 0, -1);
    packet.connect.will_name = WEIR_TEXT("\xff");
    packet.connect.version = 5;
    expect_refusal(rig_open(), &packet, NULL, 0, -1); /* malformed: not a word */
}

static void an_id_that_cannot_be_kept_is_refused(void **state)
{
    weir_mqtt_packet packet = connect_packet(5, "c");
    rig *r = rig_open();
    (void)state;
    r->claim_err = WEIR_NO_MEMORY;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_CLOSED);
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    assert_int_equal(packet.reason, 0x88);
    rig_end(r, 0);
    assert_int_equal(r->releases, 0); /* it was never claimed */
    rig_close(r);
}

static void enhanced_authentication_is_not_offered(void **state)
{
    weir_mqtt_packet packet = connect_packet(5, "c");
    weir_mqtt_property method = {.name = WEIR_MQTT_AUTH_METHOD, .text = WEIR_TEXT("SCRAM")};
    (void)state;
    expect_refusal(rig_open(), &packet, &method, 1, 0x8c);
}

static weir_mqtt_packet connect_with_will(uint8_t version, uint8_t qos, bool retain)
{
    weir_mqtt_packet packet = connect_packet(version, "c");
    packet.connect.has_will = true;
    packet.connect.will_qos = qos;
    packet.connect.will_retain = retain;
    packet.connect.will_name = WEIR_TEXT("will/here");
    packet.connect.will_payload = WEIR_TEXT("gone");
    return packet;
}

static void a_will_with_qos_2_is_refused(void **state) /* [MQTT-3.2.2-12] */
{
    weir_mqtt_packet packet = connect_with_will(5, 2, false);
    (void)state;
    expect_refusal(rig_open(), &packet, NULL, 0, 0x9b);
    packet = connect_with_will(4, 2, false);
    expect_refusal(rig_open(), &packet, NULL, 0, 3);
}

static void a_will_is_published_when_the_connection_just_ends(void **state) /* [MQTT-3.1.2-8] */
{
    const weir_mqtt_property list[] = {
        {.name = WEIR_MQTT_WILL_DELAY, .number = 10},
        {.name = WEIR_MQTT_CONTENT_TYPE, .text = {(const uint8_t *)"t/p", 3}},
        {.name = WEIR_MQTT_USER_PROPERTY,
         .text = {(const uint8_t *)"k", 1},
         .value = {(const uint8_t *)"v", 1}}};
    weir_mqtt_packet packet = connect_with_will(5, 1, true);
    rig *r = rig_open();
    (void)state;
    packet.connect.will_list = list;
    packet.connect.will_list_count = 3;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_OK);
    rig_end(r, 0);
    fake_op *op = rig_last(r, FAKE_PUBLISH);
    assert_string_equal(op->name, "will/here");
    assert_string_equal(op->value, "gone");
    assert_string_equal(op->headers, "content-type=t/p;k=v;");
    assert_int_equal(op->publish.attributes, 2 | WEIR_RECORD_RETAIN);
    assert_int_equal(r->context.stats.wills, 1);
    rig_close(r);
}

static void a_will_waits_for_a_port_that_is_full(void **state)
{
    weir_mqtt_packet packet = connect_with_will(4, 0, false);
    rig *r = rig_open();
    (void)state;
    assert_int_equal(rig_send_as(r, 4, &packet, NULL, 0), WEIR_OK);
    r->port.room = 0;
    assert_int_equal(weir_mqtt_session_end(r->session), WEIR_AGAIN);
    assert_int_equal(r->releases, 0);
    r->port.room = 1;
    assert_int_equal(weir_mqtt_session_end(r->session), WEIR_OK);
    assert_int_equal(weir_mqtt_session_end(r->session), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 1);
    assert_int_equal(r->releases, 1);
    rig_close(r);
}

static size_t wills_after_disconnect(uint8_t version, const char *wire, size_t len)
{
    weir_mqtt_packet packet = connect_with_will(version, 1, false);
    rig *r = rig_open();
    assert_int_equal(rig_send_as(r, version, &packet, NULL, 0), WEIR_OK);
    r->out.len = 0;
    assert_int_equal(rig_bytes(r, wire, len), WEIR_CLOSED);
    rig_end(r, 0);
    size_t wills = rig_count(r, FAKE_PUBLISH);
    rig_close(r);
    return wills;
}

static void an_orderly_disconnect_drops_the_will(void **state) /* [MQTT-3.14.4-3] */
{
    (void)state;
    assert_int_equal(wills_after_disconnect(4, "\xe0\x00", 2), 0);
    assert_int_equal(wills_after_disconnect(5, "\xe0\x00", 2), 0);
    assert_int_equal(wills_after_disconnect(5, "\xe0\x01\x00", 3), 0);
    assert_int_equal(wills_after_disconnect(5, "\xe0\x01\x04", 3), 1);
    assert_int_equal(wills_after_disconnect(5, "\xe0\x01\x81", 3), 1);
    assert_int_equal(wills_after_disconnect(4, "\xf0\x00", 2), 1);
}

static void disconnect_cannot_ask_for_the_session_that_connect_did_not(void **state)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_DISCONNECT};
    weir_mqtt_property expiry = {.name = WEIR_MQTT_SESSION_EXPIRY, .number = 1};
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_int_equal(rig_send(r, &packet, &expiry, 1), WEIR_CLOSED);
    rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.reason, 0x82);
    rig_close(r);
    expiry.number = 5;
    r = rig_connected(5, &expiry, 1);
    packet = (weir_mqtt_packet){.type = WEIR_MQTT_DISCONNECT};
    assert_int_equal(rig_send(r, &packet, &expiry, 1), WEIR_CLOSED);
    rig_silent(r);
    rig_close(r);
}

static void silence_of_one_and_a_half_keep_alives_closes(void **state) /* [MQTT-3.1.2-22] */
{
    weir_mqtt_packet packet = connect_packet(5, "c");
    rig *r = rig_open();
    (void)state;
    packet.connect.keep_alive_seconds = 10;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_OK);
    r->out.len = 0;
    uint64_t began = r->context.now_ms;
    assert_int_equal(weir_mqtt_session_deadline_ms(r->session), began + 15000);
    r->context.now_ms = began + 14999;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_OK);
    assert_int_equal(rig_bytes(r, "\xc0\x00", 2), WEIR_OK);
    rig_read(r, WEIR_MQTT_PINGRESP, &packet); /* [MQTT-3.12.4-1] */
    r->context.now_ms = began + 14999 + 14999;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_OK);
    r->context.now_ms++;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_CLOSED);
    rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.reason, 0x8d);
    assert_int_equal(r->context.stats.keep_alive_timeouts, 1);
    rig_close(r);
}

static void keep_alive_0_never_closes(void **state)
{
    rig *r = rig_connected(4, NULL, 0);
    (void)state;
    assert_true(weir_mqtt_session_deadline_ms(r->session) == UINT64_MAX);
    r->context.now_ms += (uint64_t)1 << 40;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_OK);
    rig_close(r);
}

static void connect_must_come_in_time_even_when_its_bytes_trickle(void **state)
{
    rig *r = rig_open();
    (void)state;
    r->context.now_ms += 9999;
    assert_int_equal(rig_bytes(r, "\x10", 1), WEIR_OK);
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_OK);
    r->context.now_ms++;
    assert_int_equal(weir_mqtt_session_tick(r->session, &r->out), WEIR_CLOSED);
    rig_silent(r);
    assert_int_equal(r->context.stats.refused_connect_slow, 1);
    rig_close(r);
}

static void a_taken_id_delays_connack_until_it_is_claimed(void **state) /* [MQTT-3.1.4-3] */
{
    rig *r = rig_open();
    weir_mqtt_packet packet = connect_packet(5, "c");
    weir_buffer bytes = {0};
    (void)state;
    packet_append(&bytes, 5, &packet, NULL, 0);
    assert_int_equal(weir_buffer_append(&bytes, "\xc0\x00", 2), WEIR_OK);
    r->claim_err = WEIR_AGAIN;
    assert_int_equal(rig_bytes(r, bytes.ptr, bytes.len), WEIR_AGAIN);
    rig_silent(r);
    assert_int_equal(r->in.len, 2); /* the ping waits */
    assert_int_equal(weir_mqtt_session_claimed(r->session, &r->out), WEIR_OK);
    rig_read(r, WEIR_MQTT_CONNACK, &packet);
    assert_int_equal(rig_again(r), WEIR_OK);
    rig_read(r, WEIR_MQTT_PINGRESP, &packet);
    assert_int_equal(weir_mqtt_session_claimed(r->session, &r->out), WEIR_CLOSED);
    weir_buffer_fini(&bytes);
    rig_end(r, 0);
    assert_int_equal(r->releases, 1);
    rig_close(r);
}

static void a_session_that_is_taken_over_is_told_and_its_will_is_published(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        weir_mqtt_packet packet = connect_with_will(version, 0, false);
        rig *r = rig_open();
        assert_int_equal(rig_send_as(r, version, &packet, NULL, 0), WEIR_OK);
        r->out.len = 0;
        assert_int_equal(weir_mqtt_session_stop(r->session, WEIR_MQTT_TAKEN_OVER, &r->out),
                         WEIR_CLOSED);
        if (version == 5) {
            rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
            assert_int_equal(packet.reason, 0x8e);
        }
        rig_silent(r);
        assert_int_equal(weir_mqtt_session_stop(r->session, WEIR_MQTT_TAKEN_OVER, &r->out),
                         WEIR_CLOSED);
        rig_silent(r);
        assert_int_equal(r->context.stats.takeovers, 1);
        rig_end(r, 0);
        assert_int_equal(rig_count(r, FAKE_PUBLISH), 1);
        rig_close(r);
    }
}

static void the_will_of_a_connect_that_never_got_its_id_is_dropped(void **state)
{
    weir_mqtt_packet packet = connect_with_will(5, 0, false);
    rig *r = rig_open();
    (void)state;
    r->claim_err = WEIR_AGAIN;
    assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), WEIR_OK);
    rig_end(r, 0);
    assert_int_equal(rig_count(r, FAKE_PUBLISH), 0);
    assert_int_equal(r->releases, 1);
    rig_close(r);
}

static void connack_over_the_clients_maximum_closes(void **state)
{
    weir_mqtt_property most = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 10};
    weir_mqtt_packet packet = connect_packet(5, "c");
    rig *r = rig_open();
    (void)state;
    assert_int_equal(rig_send_as(r, 5, &packet, &most, 1), WEIR_CLOSED);
    rig_silent(r);
    rig_close(r);
}

static void an_idle_session_is_small(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    assert_in_range(weir_mqtt_session_memory_bytes(r->session), 1, 299);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_is_answered_with_what_is_not_offered),
        cmocka_unit_test(connack_is_four_bytes_before_5),
        cmocka_unit_test(connect_in_single_bytes_is_the_same),
        cmocka_unit_test(refusals_have_the_code_of_their_version),
        cmocka_unit_test(another_protocol_level_is_refused_in_its_words),
        cmocka_unit_test(an_empty_client_id_is_assigned_where_the_version_has_it),
        cmocka_unit_test(a_connect_that_breaks_a_rule_is_told_in_5),
        cmocka_unit_test(an_id_that_cannot_be_kept_is_refused),
        cmocka_unit_test(enhanced_authentication_is_not_offered),
        cmocka_unit_test(a_will_with_qos_2_is_refused),
        cmocka_unit_test(a_will_is_published_when_the_connection_just_ends),
        cmocka_unit_test(a_will_waits_for_a_port_that_is_full),
        cmocka_unit_test(an_orderly_disconnect_drops_the_will),
        cmocka_unit_test(disconnect_cannot_ask_for_the_session_that_connect_did_not),
        cmocka_unit_test(silence_of_one_and_a_half_keep_alives_closes),
        cmocka_unit_test(keep_alive_0_never_closes),
        cmocka_unit_test(connect_must_come_in_time_even_when_its_bytes_trickle),
        cmocka_unit_test(a_taken_id_delays_connack_until_it_is_claimed),
        cmocka_unit_test(a_session_that_is_taken_over_is_told_and_its_will_is_published),
        cmocka_unit_test(the_will_of_a_connect_that_never_got_its_id_is_dropped),
        cmocka_unit_test(connack_over_the_clients_maximum_closes),
        cmocka_unit_test(an_idle_session_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
