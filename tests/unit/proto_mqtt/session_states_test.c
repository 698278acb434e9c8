/* Every packet in every state, every version; and every limit at its value and one over. */
#include "tests/unit/proto_mqtt/fake.h"

/* ---- Packet by state ---- */

typedef enum outcome {
    TAKEN = 0,    /* OK, the packet is used */
    WAITS = -1,   /* AGAIN, nothing is used */
    SILENT = -2,  /* closed without a word */
    ORDERLY = -3, /* closed by the client's wish */
    /* 1 and up: closed, and a 5.0 client is told this reason */
} outcome;

typedef enum situation { NEW, CLAIMING, ACTIVE, CLOSED, SITUATION_COUNT } situation;

static rig *rig_in(situation where, uint8_t version)
{
    weir_mqtt_packet packet = connect_packet(version, "c");
    rig *r = rig_open();
    if (where == NEW) {
        return r;
    }
    r->claim_err = where == CLAIMING ? WEIR_AGAIN : WEIR_OK;
    assert_int_equal(rig_send_as(r, version, &packet, NULL, 0), WEIR_OK);
    if (where == CLOSED) {
        weir_mqtt_session_stop(r->session, WEIR_MQTT_SHUTTING_DOWN, &r->out);
    }
    r->out.len = 0;
    return r;
}

static void make(uint8_t type, uint8_t version, weir_buffer *bytes)
{
    static uint8_t filter[16];
    weir_mqtt_packet packet = {.type = type, .id = 1};
    packet.connect = connect_packet(version, "c").connect;
    packet.publish = publish_packet("a", "p", 0, 0).publish;
    if (type == WEIR_MQTT_SUBSCRIBE || type == WEIR_MQTT_UNSUBSCRIBE) {
        packet.payload = (weir_bytes){filter, weir_mqtt_filter_encode(WEIR_TEXT("a"),
                                                                      type == WEIR_MQTT_SUBSCRIBE,
                                                                      0, filter, sizeof(filter))};
    } else if (type == WEIR_MQTT_SUBACK || type == WEIR_MQTT_UNSUBACK) {
        packet.payload =
            type == WEIR_MQTT_SUBACK || version == 5 ? WEIR_TEXT("\0") : WEIR_BYTES_NULL;
    }
    packet_append(bytes, version, &packet, NULL, 0);
}

/* In NEW every packet but CONNECT is SILENT, in CLAIMING everything waits, in CLOSED nothing is
 * answered; ACTIVE is this column. */
static const int active[16] = {
    [WEIR_MQTT_CONNECT] = 0x82, /* [MQTT-3.1.0-2] */
    [WEIR_MQTT_CONNACK] = 0x82,  [WEIR_MQTT_PUBLISH] = TAKEN,
    [WEIR_MQTT_PUBACK] = 0x82, /* nothing is in flight */
    [WEIR_MQTT_PUBREC] = 0x82,   [WEIR_MQTT_PUBREL] = TAKEN,
    [WEIR_MQTT_PUBCOMP] = 0x82,  [WEIR_MQTT_SUBSCRIBE] = TAKEN,
    [WEIR_MQTT_SUBACK] = 0x82,   [WEIR_MQTT_UNSUBSCRIBE] = TAKEN,
    [WEIR_MQTT_UNSUBACK] = 0x82, [WEIR_MQTT_PINGREQ] = TAKEN,
    [WEIR_MQTT_PINGRESP] = 0x82, [WEIR_MQTT_DISCONNECT] = ORDERLY,
    [WEIR_MQTT_AUTH] = 0x82,
};

static int expected(situation where, uint8_t type, uint8_t version)
{
    switch (where) {
    case NEW: /* [MQTT-3.1.0-1] */
        return type == WEIR_MQTT_CONNECT ? TAKEN : SILENT;
    case CLAIMING:
        return WAITS;
    case CLOSED:
        return SILENT;
    default:
        return type == WEIR_MQTT_AUTH && version < 5 ? 0x81 : active[type];
    }
}

static void check(rig *r, int want, weir_err err, bool told)
{
    weir_mqtt_packet packet;
    if (want == TAKEN) {
        assert_int_equal(err, WEIR_OK);
        assert_int_equal(r->in.len, 0);
    } else if (want == WAITS) {
        assert_int_equal(err, WEIR_AGAIN);
        assert_int_not_equal(r->in.len, 0);
        rig_silent(r);
    } else {
        assert_int_equal(err, WEIR_CLOSED);
        if (want > 0 && told) {
            rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
            assert_int_equal(packet.reason, want);
        }
        rig_silent(r);
    }
}

static void every_packet_in_every_state_has_its_answer(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        for (situation where = NEW; where < SITUATION_COUNT; where++) {
            for (uint8_t type = WEIR_MQTT_CONNECT; type <= WEIR_MQTT_AUTH; type++) {
                rig *r = rig_in(where, version);
                weir_buffer bytes = {0};
                make(type, version, &bytes);
                weir_err err = rig_bytes(r, bytes.ptr, bytes.len);
                check(r, expected(where, type, version), err, version == 5);
                weir_buffer_fini(&bytes);
                rig_end(r, 0);
                assert_int_equal(r->releases, r->claims);
                rig_close(r);
            }
        }
    }
}

/* The same with the reserved type 0, and with every illegal set of flags. */
static void illegal_first_bytes_end_every_state(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        for (unsigned first = 0; first < 256; first++) {
            const uint8_t wire[] = {(uint8_t)first};
            weir_mqtt_head head;
            weir_err err = weir_mqtt_head_decode(WEIR_BYTES(wire), version, &head);
            rig *r = rig_in(NEW, version);
            bool connect = first == WEIR_MQTT_CONNECT << 4;
            assert_int_equal(rig_bytes(r, wire, 1), connect ? WEIR_OK : WEIR_CLOSED);
            rig_silent(r);
            rig_close(r);
            r = rig_in(ACTIVE, version);
            check(r, err == WEIR_MORE ? TAKEN : 0x81,
                  err == WEIR_MORE ? WEIR_OK : rig_bytes(r, wire, 1), version == 5);
            rig_close(r);
        }
    }
}

static void what_the_codec_refuses_has_its_reason(void **state)
{
    static const struct {
        const char *wire;
        size_t len;
        int reason;
    } cases[] = {{"\x30\x04\x00\x01+\x00", 6, 0x90}, /* [MQTT-3.3.2-2] */
                 {"\x82\x07\x00\x01\x00\x00\x01"
                  "a\x30",
                  9, 0x82},                             /* Retain Handling 3 */
                 {"\x40\x02\x00\x00", 4, 0x81},         /* [MQTT-2.2.1-3] */
                 {"\x30\xff\xff\xff\xff\x01", 6, 0x81}, /* five bytes of length */
                 {"\x10\x02\x00\x00", 4, 0x82},         /* a second CONNECT, malformed too */
                 {"\xc0\x01\x00", 3, 0x81}};
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            rig *r = rig_in(ACTIVE, version);
            bool is_5 = cases[i].len == 9; /* options of 5.0 are malformed before */
            check(r, is_5 && version == 4 ? 0x81 : cases[i].reason,
                  rig_bytes(r, cases[i].wire, cases[i].len), version == 5);
            assert_int_equal(r->context.stats.malformed + r->context.stats.protocol_errors, 1);
            rig_close(r);
        }
    }
}

static void pubrel_of_an_unknown_id_is_answered(void **state)
{
    (void)state;
    rig *r = rig_in(ACTIVE, 5);
    assert_int_equal(rig_bytes(r, "\x62\x02\x00\x09", 4), WEIR_OK);
    assert_int_equal(r->out.len, 5);
    assert_memory_equal(r->out.ptr, "\x70\x03\x00\x09\x92", 5);
    rig_close(r);
    r = rig_in(ACTIVE, 4);
    assert_int_equal(rig_bytes(r, "\x62\x02\x00\x09", 4), WEIR_OK);
    assert_int_equal(r->out.len, 4);
    assert_memory_equal(r->out.ptr, "\x70\x02\x00\x09", 4);
    rig_close(r);
}

static void any_cut_of_a_conversation_is_the_same_conversation(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        weir_buffer bytes = {0}, whole = {0};
        size_t ops = 0;
        make(WEIR_MQTT_CONNECT, version, &bytes);
        make(WEIR_MQTT_PUBLISH, version, &bytes);
        make(WEIR_MQTT_PINGREQ, version, &bytes);
        make(WEIR_MQTT_UNSUBSCRIBE, version, &bytes);
        make(WEIR_MQTT_PUBREL, version, &bytes);
        make(WEIR_MQTT_SUBSCRIBE, version, &bytes);
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            rig *r = rig_open();
            assert_int_equal(rig_bytes(r, bytes.ptr, cut), WEIR_OK);
            assert_int_equal(rig_bytes(r, bytes.ptr + cut, bytes.len - cut), WEIR_OK);
            if (cut == 0) {
                ops = r->port.count;
                assert_int_equal(weir_buffer_append(&whole, r->out.ptr, r->out.len), WEIR_OK);
            }
            assert_int_equal(r->port.count, ops);
            assert_int_equal(r->out.len, whole.len);
            assert_memory_equal(r->out.ptr, whole.ptr, whole.len);
            rig_close(r);
        }
        weir_buffer_fini(&bytes);
        weir_buffer_fini(&whole);
    }
}

/* ---- Limits ---- */

static void expect_end(rig *r, weir_err err, uint8_t reason, const uint64_t *counter)
{
    weir_mqtt_packet packet;
    assert_int_equal(err, WEIR_CLOSED);
    if (weir_mqtt_session_version(r->session) == 5) {
        rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
        assert_int_equal(packet.reason, reason);
    }
    rig_silent(r);
    assert_int_equal(*counter, 1);
}

static void connect_bytes_max_ends_at_the_head(void **state)
{
    (void)state;
    for (uint32_t over = 0; over <= 1; over++) {
        rig *r = rig_open();
        uint8_t head[8] = {0x10};
        r->limits.connect_bytes_max = 1000;
        size_t len = 1 + weir_mqtt_varint_encode(997 + over, head + 1);
        assert_int_equal(len, 3);
        assert_int_equal(rig_bytes(r, head, len), over ? WEIR_CLOSED : WEIR_OK);
        assert_int_equal(r->context.stats.refused_connect_bytes, over);
        rig_silent(r);
        rig_close(r);
    }
}

static void packet_bytes_max_ends_at_the_head(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        for (uint32_t over = 0; over <= 1; over++) {
            rig *r = rig_connected(version, NULL, 0);
            uint8_t head[8] = {0x30};
            r->limits.packet_bytes_max = 20000;
            size_t len = 1 + weir_mqtt_varint_encode(19996 + over, head + 1);
            weir_err err = rig_bytes(r, head, len);
            if (over == 0) {
                assert_int_equal(err, WEIR_OK);
            } else {
                expect_end(r, err, 0x95, &r->context.stats.refused_packet_bytes);
            }
            rig_close(r);
        }
    }
}

static char *text_of(size_t len, char fill)
{
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, fill, len);
    text[len] = 0;
    return text;
}

static void client_id_bytes_max(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        for (size_t over = 0; over <= 1; over++) {
            rig *r = rig_open();
            char *id = text_of(256 + over, 'c');
            weir_mqtt_packet packet = connect_packet(version, id);
            assert_int_equal(rig_send_as(r, version, &packet, NULL, 0),
                             over ? WEIR_CLOSED : WEIR_OK);
            rig_read(r, WEIR_MQTT_CONNACK, &packet);
            assert_int_equal(packet.reason, over == 0 ? 0 : version == 5 ? 0x85 : 2);
            assert_int_equal(r->context.stats.refused_client_id, over);
            free(id);
            rig_close(r);
        }
    }
}

static char *levels_of(size_t levels)
{
    char *text = text_of(2 * levels - 1, 'x');
    for (size_t i = 1; i < levels; i++) {
        text[2 * i - 1] = '/';
    }
    return text;
}

/* A name or filter at a limit and one over: PUBLISH, will and SUBSCRIBE. */
static void check_name(const char *name, bool over, size_t counter_at)
{
    for (uint8_t version = 4; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        const uint64_t *counter =
            (const uint64_t *)(const void *)((const uint8_t *)&r->context.stats + counter_at);
        weir_mqtt_packet packet = publish_packet(name, "p", 0, 0);
        assert_int_equal(rig_send(r, &packet, NULL, 0), WEIR_OK);
        assert_int_equal(rig_count(r, FAKE_PUBLISH), !over);
        assert_int_equal(rig_filter(r, name, 0, 1, 0), WEIR_OK);
        assert_int_equal(rig_count(r, FAKE_SUBSCRIBE), !over);
        if (over) {
            rig_read(r, WEIR_MQTT_SUBACK, &packet);
            assert_int_equal(packet.payload.ptr[0], version == 5 ? 0x8f : 0x80);
        }
        assert_int_equal(*counter, over ? 2 : 0);
        packet = publish_packet(name, "p", 1, 5);
        assert_int_equal(rig_send(r, &packet, NULL, 0),
                         over && version == 4 ? WEIR_CLOSED : WEIR_OK);
        if (over && version == 5) {
            rig_read(r, WEIR_MQTT_PUBACK, &packet);
            assert_int_equal(packet.reason, 0x90);
        }
        rig_silent(r);
        rig_close(r);

        r = rig_open();
        packet = connect_packet(version, "c");
        packet.connect.has_will = true;
        packet.connect.will_name = weir_bytes_of(name);
        packet.connect.will_payload = WEIR_TEXT("");
        assert_int_equal(rig_send_as(r, version, &packet, NULL, 0), over ? WEIR_CLOSED : WEIR_OK);
        if (over && version == 5) {
            rig_read(r, WEIR_MQTT_CONNACK, &packet);
            assert_int_equal(packet.reason, 0x90);
        }
        rig_close(r);
    }
}

static void name_bytes_max(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        char *name = text_of(1024 + over, 'n');
        check_name(name, over != 0, offsetof(weir_mqtt_stats, refused_name));
        free(name);
    }
}

static void levels_max(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        char *name = levels_of(128 + over);
        check_name(name, over != 0, offsetof(weir_mqtt_stats, refused_levels));
        free(name);
    }
}

static void subscriptions_max(void **state)
{
    weir_mqtt_packet packet;
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        r->limits.subscriptions_max = 3;
        rig_subscribed(r, "1", 0, 0);
        rig_subscribed(r, "2", 0, 0);
        rig_subscribed(r, "3", 0, 0);
        assert_int_equal(rig_filter(r, "4", 0, 9, 0), WEIR_OK);
        rig_read(r, WEIR_MQTT_SUBACK, &packet);
        assert_int_equal(packet.payload.ptr[0], version == 5 ? 0x97 : 0x80);
        assert_int_equal(r->context.stats.refused_subscriptions, 1);
        rig_subscribed(r, "2", 1, 0); /* not one more */
        rig_close(r);
    }
}

static void filters_per_packet_max(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        for (uint8_t type = WEIR_MQTT_SUBSCRIBE; type <= WEIR_MQTT_UNSUBSCRIBE; type += 2) {
            for (size_t over = 0; over <= 1; over++) {
                rig *r = rig_connected(version, NULL, 0);
                uint8_t payload[1024];
                size_t len = 0;
                for (size_t i = 0; i < 100 + over; i++) {
                    char filter[8];
                    snprintf(filter, sizeof(filter), "%zu", i);
                    len +=
                        weir_mqtt_filter_encode(weir_bytes_of(filter), type == WEIR_MQTT_SUBSCRIBE,
                                                0, payload + len, sizeof(payload) - len);
                }
                weir_mqtt_packet packet = {.type = type, .id = 1, .payload = {payload, len}};
                weir_err err = rig_send(r, &packet, NULL, 0);
                if (over == 0) {
                    assert_int_equal(err, WEIR_OK);
                } else {
                    expect_end(r, err, 0x97, &r->context.stats.refused_filters);
                }
                rig_close(r);
            }
        }
    }
}

static void headers_max(void **state)
{
    static const uint8_t types[] = {WEIR_MQTT_CONNECT, WEIR_MQTT_PUBLISH, WEIR_MQTT_SUBSCRIBE};
    weir_mqtt_property list[65];
    (void)state;
    for (size_t i = 0; i < 65; i++) {
        list[i] = (weir_mqtt_property){
            .name = WEIR_MQTT_USER_PROPERTY, .text = WEIR_TEXT("k"), .value = WEIR_TEXT("v")};
    }
    for (size_t t = 0; t < sizeof(types); t++) {
        for (size_t over = 0; over <= 1; over++) {
            rig *r = types[t] == WEIR_MQTT_CONNECT ? rig_open() : rig_connected(5, NULL, 0);
            uint8_t filter[8];
            weir_mqtt_packet packet = {.type = types[t], .id = 1};
            packet.connect = connect_packet(5, "c").connect;
            packet.publish = publish_packet("a", "p", 0, 0).publish;
            packet.payload = (weir_bytes){
                filter, weir_mqtt_filter_encode(WEIR_TEXT("a"), true, 0, filter, sizeof(filter))};
            weir_err err = rig_send_as(r, 5, &packet, list, 64 + over);
            if (over == 0) {
                assert_int_equal(err, WEIR_OK);
            } else if (types[t] != WEIR_MQTT_CONNECT) {
                expect_end(r, err, 0x97, &r->context.stats.refused_headers);
            } else {
                assert_int_equal(err, WEIR_CLOSED);
                rig_read(r, WEIR_MQTT_CONNACK, &packet);
                assert_int_equal(packet.reason, 0x97);
            }
            rig_close(r);
        }
    }
}

static void record_bytes_max_holds_for_a_will(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        rig *r = rig_open();
        char *payload = text_of(2000 + over, 'p');
        weir_mqtt_packet packet = connect_packet(5, "c");
        r->limits.record_bytes_max = 2000;
        packet.connect.has_will = true;
        packet.connect.will_name = WEIR_TEXT("w");
        packet.connect.will_payload = weir_bytes_of(payload);
        assert_int_equal(rig_send_as(r, 5, &packet, NULL, 0), over ? WEIR_CLOSED : WEIR_OK);
        free(payload);
        rig_close(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_in_every_state_has_its_answer),
        cmocka_unit_test(illegal_first_bytes_end_every_state),
        cmocka_unit_test(what_the_codec_refuses_has_its_reason),
        cmocka_unit_test(pubrel_of_an_unknown_id_is_answered),
        cmocka_unit_test(any_cut_of_a_conversation_is_the_same_conversation),
        cmocka_unit_test(connect_bytes_max_ends_at_the_head),
        cmocka_unit_test(packet_bytes_max_ends_at_the_head),
        cmocka_unit_test(client_id_bytes_max),
        cmocka_unit_test(name_bytes_max),
        cmocka_unit_test(levels_max),
        cmocka_unit_test(subscriptions_max),
        cmocka_unit_test(filters_per_packet_max),
        cmocka_unit_test(headers_max),
        cmocka_unit_test(record_bytes_max_holds_for_a_will),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
