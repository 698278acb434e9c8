/* Records out: packets, QoS, windows, credit, properties, expiry, and the cache that fan-out
 * shares. */
#include "tests/unit/proto_mqtt/fake.h"

enum { QOS_0 = 1, QOS_1 = 2 }; /* record attributes */

static void expect_publish(rig *r, const char *name, const char *value, uint8_t qos,
                           weir_mqtt_packet *packet)
{
    rig_read(r, WEIR_MQTT_PUBLISH, packet);
    assert_bytes(packet->publish.name, name);
    assert_bytes(packet->publish.payload, value);
    assert_int_equal(packet->publish.qos, qos);
    assert_false(packet->publish.dup);
}

static weir_err puback(rig *r, uint16_t id, uint8_t reason)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBACK, .id = id, .reason = reason};
    return rig_send(r, &packet, NULL, 0);
}

static void names_are_those_of_topic_and_key(void **state)
{
    const fake_record stored[] = {{.key = "b/c", .value = "1"},
                                  {.key = NULL, .value = "2"},
                                  {.key = "", .value = "3"},
                                  {.key = "50%+", .value = "4"}};
    const fake_record live[] = {{.key = "live/name", .value = "5"}};
    weir_mqtt_packet packet;
    weir_mqtt_property property;
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        uint32_t slot = rig_subscribed(r, "#", 0, 0);
        weir_chunk *chunk = chunk_of("t", stored, 4, r->context.wall_ms);
        assert_int_equal(rig_deliver(r, chunk, 0, 4, slot, NULL, false), WEIR_OK);
        expect_publish(r, "t/b/c", "1", 0, &packet);
        expect_publish(r, "t", "2", 0, &packet);
        expect_publish(r, "t/", "3", 0, &packet);
        expect_publish(r, "t/50%25%2B", "4", 0, &packet);
        if (version == 5) {
            weir_bytes rest = packet.properties.raw;
            assert_true(weir_mqtt_property_next(&rest, &property));
            assert_bytes(property.text, "weir-key-encoded");
            assert_bytes(property.value, "1");
        }
        weir_chunk_drop(chunk);
        chunk = chunk_of("", live, 1, r->context.wall_ms);
        assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
        expect_publish(r, "live/name", "5", 0, &packet);
        rig_silent(r);
        weir_chunk_drop(chunk);
        rig_close(r);
    }
}

static void the_qos_is_the_lower_of_granted_and_published(void **state)
{
    const fake_record records[] = {{.value = "0", .attributes = QOS_0},
                                   {.value = "1", .attributes = QOS_1},
                                   {.value = "n", .attributes = 0}}; /* not from MQTT */
    weir_mqtt_packet packet;
    rig *r = rig_connected(4, NULL, 0);
    (void)state;
    uint32_t zero = rig_subscribed(r, "t", 0, 0), one = rig_subscribed(r, "t/#", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, 3, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 3, zero, NULL, false), WEIR_OK);
    expect_publish(r, "t", "0", 0, &packet);
    expect_publish(r, "t", "1", 0, &packet);
    expect_publish(r, "t", "n", 0, &packet);
    assert_int_equal(rig_deliver(r, chunk, 0, 3, one, NULL, false), WEIR_OK);
    expect_publish(r, "t", "0", 0, &packet);
    expect_publish(r, "t", "1", 1, &packet);
    assert_int_equal(packet.publish.id, 1);
    expect_publish(r, "t", "n", 1, &packet);
    assert_int_equal(packet.publish.id, 2);
    assert_int_equal(r->context.stats.publishes_sent, 6);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void overlapping_filters_give_one_copy_with_everything(void **state)
{
    const fake_record record = {.value = "v", .attributes = QOS_1 | WEIR_RECORD_RETAIN};
    weir_mqtt_packet packet;
    weir_mqtt_property property;
    rig *r = rig_connected(5, NULL, 0); /* [MQTT-3.3.4-2], [MQTT-3.3.4-4] */
    (void)state;
    const uint32_t slots[] = {rig_subscribed(r, "t", 0, 70), rig_subscribed(r, "t/#", 1 | 8, 9000),
                              rig_subscribed(r, "#", 0, 0)};
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, 0, slots_of(slots, 3), false), WEIR_OK);
    expect_publish(r, "t", "v", 1, &packet);
    assert_true(packet.publish.retain); /* one of them has Retain As Published */
    weir_bytes rest = packet.properties.raw;
    assert_true(weir_mqtt_property_next(&rest, &property));
    assert_int_equal(property.number, 70);
    assert_true(weir_mqtt_property_next(&rest, &property));
    assert_int_equal(property.number, 9000);
    assert_false(weir_mqtt_property_next(&rest, &property));
    rig_silent(r);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void retain_is_set_as_the_standard_says(void **state) /* [MQTT-3.3.1-8], -12, -13 */
{
    const fake_record records[] = {{.value = "r", .attributes = QOS_0 | WEIR_RECORD_RETAIN},
                                   {.value = "-", .attributes = QOS_0}};
    const struct {
        uint8_t options;
        bool retained, first, second;
    } cases[] = {{0, false, false, false},
                 {8, false, true, false},
                 {0, true, true, true},
                 {8, true, true, true}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        rig *r = rig_connected(5, NULL, 0);
        weir_mqtt_packet packet;
        uint32_t slot = rig_subscribed(r, "t", cases[i].options, 0);
        weir_chunk *chunk = chunk_of("t", records, 2, r->context.wall_ms);
        assert_int_equal(rig_deliver(r, chunk, 0, 2, slot, NULL, cases[i].retained), WEIR_OK);
        expect_publish(r, "t", "r", 0, &packet);
        assert_int_equal(packet.publish.retain, cases[i].first);
        expect_publish(r, "t", "-", 0, &packet);
        assert_int_equal(packet.publish.retain, cases[i].second);
        weir_chunk_drop(chunk);
        rig_close(r);
    }
}

#define HEADER(name_text, value_text)                                                              \
    {                                                                                              \
        .name = {(const uint8_t *)(name_text), sizeof(name_text) - 1}, .value = {                  \
            (const uint8_t *)(value_text),                                                         \
            sizeof(value_text) - 1                                                                 \
        }                                                                                          \
    }

static void headers_become_properties(void **state)
{
    const weir_header headers[] = {HEADER("content-type", "t/p"), HEADER("reply", "re"),
                                   HEADER("correlation", "\xff"), HEADER("payload-format", "1"),
                                   HEADER("expiry", "100"),       HEADER("k", "v"),
                                   HEADER("reply", "no/+"),       HEADER("bin", "\xff")};
    const fake_record record = {.value = "v", .headers = headers, .header_count = 8};
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 0, 0);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms - 1999);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
    expect_publish(r, "t", "v", 0, &packet);
    const weir_mqtt_properties *p = &packet.properties;
    assert_bytes(weir_mqtt_text(p, WEIR_MQTT_CONTENT_TYPE), "t/p");
    assert_bytes(weir_mqtt_text(p, WEIR_MQTT_RESPONSE_TOPIC), "re");
    assert_bytes(weir_mqtt_text(p, WEIR_MQTT_CORRELATION_DATA), "\xff");
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_PAYLOAD_FORMAT, 0), 1);
    assert_int_equal(weir_mqtt_number(p, WEIR_MQTT_MESSAGE_EXPIRY, 0), 99); /* [MQTT-3.3.2-6] */
    assert_int_equal(p->pairs, 2); /* k, and the reply that cannot be a Response Topic */
    assert_int_equal(r->context.stats.headers_dropped, 1);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void expired_records_are_not_sent(void **state) /* [MQTT-3.3.2-5] */
{
    const weir_header one[] = {HEADER("expiry", "1")}, odd[] = {HEADER("expiry", "soon")};
    const fake_record records[] = {{.value = "a", .headers = one, .header_count = 1},
                                   {.value = "b", .headers = odd, .header_count = 1}};
    weir_mqtt_packet packet;
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        rig *r = rig_connected(version, NULL, 0);
        uint32_t slot = rig_subscribed(r, "t", 1, 0);
        weir_chunk *chunk = chunk_of("t", records, 2, r->context.wall_ms - 1001);
        assert_int_equal(rig_deliver(r, chunk, 0, 2, slot, NULL, false), WEIR_OK);
        expect_publish(r, "t", "b", 1, &packet);
        rig_silent(r);
        assert_int_equal(packet.publish.id, 1); /* the one that expired took none */
        assert_int_equal(r->context.stats.expired, 1);
        weir_chunk_drop(chunk);
        rig_close(r);
    }
}

static void packets_over_the_clients_maximum_are_skipped(void **state) /* [MQTT-3.1.2-24] */
{
    char big[120];
    const fake_record records[] = {{.value = big}, {.value = "small"}};
    weir_mqtt_property most = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 100};
    weir_mqtt_packet packet;
    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    for (int times = 0; times < 3; times++) { /* alone, and with the cache warm */
        rig *r = rig_connected(5, &most, 1);
        uint32_t slot = rig_subscribed(r, "t", 0, 0);
        weir_chunk *chunk = chunk_of("t", records, 2, r->context.wall_ms);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rig_deliver(r, chunk, 0, 2, slot, NULL, false), WEIR_OK);
            expect_publish(r, "t", "small", 0, &packet);
            rig_silent(r);
        }
        assert_int_equal(r->context.stats.over_client_maximum, 3);
        weir_chunk_drop(chunk);
        rig_close(r);
    }
}

static void a_packet_of_exactly_the_clients_maximum_is_sent(void **state)
{
    const fake_record record = {.value = "12345678"};
    weir_mqtt_property most = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE};
    (void)state;
    for (uint32_t size = 40; size <= 41; size++) {
        char value[64] = {0};
        fake_record sized = record;
        memset(value, 'x', size - 6); /* 2 of head, 3 of name, 1 of properties */
        sized.value = value;
        most.number = 40;
        rig *r = rig_connected(5, &most, 1);
        uint32_t slot = rig_subscribed(r, "t", 0, 0);
        weir_chunk *chunk = chunk_of("t", &sized, 1, r->context.wall_ms);
        assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
        assert_int_equal(r->out.len, size == 40 ? 40 : 0);
        weir_chunk_drop(chunk);
        rig_close(r);
    }
}

static void a_name_that_mqtt_cannot_say_is_skipped(void **state)
{
    static char key[70000], encoded[30000];
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    memset(key, 'k', sizeof(key) - 1);
    memset(encoded, '+', sizeof(encoded) - 1); /* three bytes each */
    const fake_record records[] = {
        {.key = key, .value = "1"}, {.key = encoded, .value = "2"}, {.key = "k", .value = "3"}};
    uint32_t slot = rig_subscribed(r, "#", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, 3, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 3, slot, NULL, false), WEIR_OK);
    expect_publish(r, "t/k", "3", 1, &packet);
    assert_int_equal(packet.publish.id, 1);
    rig_silent(r);
    assert_int_equal(r->context.stats.over_client_maximum, 2);
    weir_chunk_drop(chunk);
    rig_close(r);
}

/* ---- Windows and credit ---- */

static void the_receive_maximum_is_never_exceeded_and_order_is_kept(void **state)
{
    enum { RECORDS = 12 };
    fake_record records[RECORDS];
    char values[RECORDS][4];
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 3};
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, &window, 1); /* [MQTT-3.3.4-9] */
    (void)state;
    for (size_t i = 0; i < RECORDS; i++) {
        snprintf(values[i], sizeof(values[i]), "%zu", i);
        records[i] = (fake_record){.value = values[i], .attributes = i % 4 == 3 ? QOS_0 : QOS_1};
    }
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, RECORDS, r->context.wall_ms);
    for (uint32_t i = 0; i < RECORDS; i += 2) {
        assert_int_equal(rig_deliver(r, chunk, i, 2, slot, NULL, false), WEIR_OK);
    }
    uint16_t oldest = 1, newest = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        while (r->out.len == 0) {
            assert_int_equal(newest - oldest + 1, 3); /* full, and that is why it is silent */
            assert_int_equal(puback(r, oldest++, 0), WEIR_OK);
        }
        expect_publish(r, "t", values[i], i % 4 != 3, &packet);
        newest = packet.publish.qos > 0 ? packet.publish.id : newest;
        assert_true(newest - oldest + 1 <= 3);
    }
    rig_silent(r);
    assert_int_equal(atomic_load(&chunk->refs), 1); /* nothing is held any more */
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void a_session_that_ends_gives_back_what_it_held(void **state)
{
    const fake_record records[] = {{.value = "1"}, {.value = "2"}};
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1};
    rig *r = rig_connected(5, &window, 1);
    const uint32_t both[] = {rig_subscribed(r, "t", 1, 0), rig_subscribed(r, "t/#", 1, 0)};
    (void)state;
    weir_chunk *chunk = chunk_of("t", records, 2, r->context.wall_ms);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rig_deliver(r, chunk, 0, 2, 0, slots_of(both, 2), false), WEIR_OK);
    }
    assert_int_equal(atomic_load(&chunk->refs), 11);
    rig_end(r, r->port.count);
    assert_int_equal(atomic_load(&chunk->refs), 1);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void pubacks_in_any_order_free_their_ids(void **state)
{
    fake_record records[200];
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        records[i] = (fake_record){.value = "x"};
    }
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, 200, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 200, slot, NULL, false), WEIR_OK);
    for (uint16_t i = 0; i < 200; i++) {
        uint16_t id = (uint16_t)(1 + (i * 77) % 200);
        assert_int_equal(puback(r, id, i % 2 == 0 ? 0 : 0x80), WEIR_OK);
    }
    assert_int_equal(puback(r, 1, 0), WEIR_CLOSED); /* not in flight */
    weir_chunk_drop(chunk);
    rig_close(r);
}

static uint64_t credit_records(const rig *r)
{
    uint64_t records = 0;
    for (size_t i = 0; i < r->port.count; i++) {
        records += r->port.ops[i].kind == FAKE_CREDIT ? r->port.ops[i].records : 0;
    }
    return records;
}

static uint64_t credit_bytes(const rig *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->port.count; i++) {
        bytes += r->port.ops[i].kind == FAKE_CREDIT ? r->port.ops[i].bytes : 0;
    }
    return bytes;
}

static void all_credit_comes_back_to_the_last_byte(void **state) /* [S5] */
{
    const weir_header expired[] = {HEADER("expiry", "0")};
    const fake_record records[] = {{.value = "1234567890", .attributes = QOS_0},
                                   {.value = "123", .attributes = QOS_1},
                                   {.value = "12", .headers = expired, .header_count = 1},
                                   {.value = "12345", .attributes = QOS_1},
                                   {.value = "1", .attributes = QOS_1}};
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 2};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    r->limits.output_bytes_max = 16384;
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, 5, r->context.wall_ms - 100);
    uint64_t bytes = credit_bytes(r), recs = credit_records(r), given = 0;
    assert_int_equal(bytes, 16384);
    assert_int_equal(recs, 2);
    uint16_t id = 1;
    for (int round = 0; round < 300; round++) {
        assert_int_equal(rig_deliver(r, chunk, 0, 5, slot, NULL, false), WEIR_OK);
        given += chunk->batch_bytes;
        while (id <= (round + 1) * 3) {
            assert_int_equal(puback(r, id++, 0), WEIR_OK);
            assert_int_equal(weir_mqtt_session_drained(r->session, 0), WEIR_OK);
        }
        r->out.len = 0;
    }
    assert_int_equal(credit_records(r) - recs, 300 * 5);
    assert_int_equal(credit_bytes(r) - bytes, given);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void a_full_window_gives_credit_with_the_first_acknowledgement(void **state)
{
    enum { WINDOW = 20 };
    fake_record records[WINDOW];
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = WINDOW};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    for (size_t i = 0; i < WINDOW; i++) {
        records[i] = (fake_record){.value = "1", .attributes = QOS_1};
    }
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, WINDOW, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, WINDOW, slot, NULL, false), WEIR_OK);
    uint64_t before = credit_records(r);
    assert_int_equal(puback(r, 1, 0), WEIR_OK);
    assert_int_equal(credit_records(r) - before, 1); /* else a Nagle client's others wait 40 ms */
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void credit_waits_while_the_output_is_full(void **state)
{
    const fake_record record = {.value = "x", .attributes = QOS_0};
    rig *r = rig_connected(4, NULL, 0);
    (void)state;
    r->limits.output_bytes_max = 16384;
    uint32_t slot = rig_subscribed(r, "t", 0, 0);
    size_t before = rig_count(r, FAKE_CREDIT);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
    }
    assert_int_equal(weir_mqtt_session_drained(r->session, 8193), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_CREDIT), before);
    assert_int_equal(weir_mqtt_session_drained(r->session, 8192), WEIR_OK);
    assert_int_equal(rig_count(r, FAKE_CREDIT), before + 1);
    assert_int_equal(rig_last(r, FAKE_CREDIT)->records, 300);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void records_of_a_filter_that_went_are_dropped_and_their_credit_returns(void **state)
{
    const fake_record record = {.value = "x"};
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, 55, NULL, false), WEIR_OK);
    rig_silent(r);
    assert_int_equal(weir_mqtt_session_drained(r->session, 0), WEIR_OK);
    assert_int_equal(credit_records(r), 2);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void credit_of_records_that_were_all_skipped_returns_at_once(void **state)
{
    const weir_header expired[] = {HEADER("expiry", "0")};
    const fake_record record = {.value = "x", .headers = expired, .header_count = 1};
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms - 1);
    assert_int_equal(credit_records(r), 1);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
    rig_silent(r);
    assert_int_equal(credit_records(r), 2); /* nothing will be written, so nothing will drain */
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void credit_that_found_no_room_is_given_with_the_next_input(void **state)
{
    const fake_record record = {.value = "x", .attributes = QOS_0};
    weir_mqtt_property window = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1};
    rig *r = rig_connected(5, &window, 1);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
    r->out.len = 0;
    r->port.room = 0;
    assert_int_equal(weir_mqtt_session_drained(r->session, 0), WEIR_AGAIN);
    r->port.room = SIZE_MAX;
    assert_int_equal(rig_bytes(r, "\xc0\x00", 2), WEIR_OK);
    assert_int_equal(credit_records(r), 2);
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void dropped_records_are_counted(void **state)
{
    rig *r = rig_connected(5, NULL, 0);
    weir_completion notice = {.type = WEIR_COMPLETION_NOTICE};
    (void)state;
    notice.notice = (weir_notice){.kind = WEIR_NOTICE_DROPPED, .count = 12};
    assert_int_equal(weir_mqtt_session_complete(r->session, &notice, &r->out), WEIR_OK);
    assert_int_equal(r->context.stats.dropped_owed, 12);
    rig_close(r);
}

/* ---- The cache ---- */

/* One context, several sessions: every session's bytes are those it would have had alone. */
static void the_cache_changes_no_byte(void **state)
{
    enum { SESSIONS = 5 };
    const weir_header headers[] = {HEADER("k", "v"), HEADER("expiry", "50")};
    const fake_record records[] = {
        {.key = "a", .value = "1", .attributes = QOS_0},
        {.key = "b", .value = "22", .attributes = QOS_1, .headers = headers, .header_count = 2},
        {.key = "c+", .value = "", .attributes = 0}};
    (void)state;
    for (unsigned which = 0; which < 2 * 2 * 2 * 2; which++) {
        uint8_t version = (which & 1) != 0 ? 5 : 4, qos = which >> 1 & 1;
        uint8_t rap = version == 5 && (which >> 2 & 1) != 0 ? 8 : 0;
        bool retained = (which >> 3 & 1) != 0;
        rig *shared = rig_open();
        weir_chunk *chunk = chunk_of("t", records, 3, shared->context.wall_ms);
        weir_buffer alone = {0};
        for (int s = 0; s <= SESSIONS; s++) {
            rig *r = rig_connected(version, NULL, 0);
            weir_mqtt_wire_cache *own = r->context.cache;
            if (s > 0) {
                r->context.cache = shared->context.cache;
            }
            uint32_t slot = rig_subscribed(r, "#", qos | rap, 0);
            assert_int_equal(rig_deliver(r, chunk, 0, 3, slot, NULL, retained), WEIR_OK);
            if (s == 0) {
                assert_int_equal(weir_buffer_append(&alone, r->out.ptr, r->out.len), WEIR_OK);
            }
            assert_int_equal(r->out.len, alone.len);
            assert_memory_equal(r->out.ptr, alone.ptr, alone.len);
            r->context.cache = own;
            rig_close(r);
        }
        assert_int_equal(atomic_load(&chunk->refs), 2); /* the cache's own */
        weir_mqtt_context_turn_end(&shared->context);
        assert_int_equal(atomic_load(&chunk->refs), 1);
        weir_chunk_drop(chunk);
        weir_buffer_fini(&alone);
        rig_close(shared);
    }
}

static void cached_packets_have_ids_of_their_own_session(void **state)
{
    const fake_record records[] = {
        {.value = "1"}, {.value = "0", .attributes = QOS_0}, {.value = "2"}};
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 1, 0);
    weir_chunk *chunk = chunk_of("t", records, 3, r->context.wall_ms);
    for (uint16_t i = 0; i < 8; i++) {
        assert_int_equal(rig_deliver(r, chunk, 0, 3, slot, NULL, false), WEIR_OK);
        expect_publish(r, "t", "1", 1, &packet);
        assert_int_equal(packet.publish.id, 2 * i + 1);
        expect_publish(r, "t", "0", 0, &packet);
        expect_publish(r, "t", "2", 1, &packet);
        assert_int_equal(packet.publish.id, 2 * i + 2);
    }
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void the_turns_end_forgets_expiry(void **state)
{
    const weir_header headers[] = {HEADER("expiry", "10")};
    const fake_record record = {.value = "v", .headers = headers, .header_count = 1};
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 0, 0);
    weir_chunk *chunk = chunk_of("t", &record, 1, r->context.wall_ms);
    for (uint32_t second = 0; second <= 10; second++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rig_deliver(r, chunk, 0, 1, slot, NULL, false), WEIR_OK);
            expect_publish(r, "t", "v", 0, &packet);
            assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_MESSAGE_EXPIRY, 99),
                             10 - second);
        }
        weir_mqtt_context_turn_end(&r->context);
        r->context.wall_ms += 1000;
    }
    weir_chunk_drop(chunk);
    rig_close(r);
}

static void many_runs_in_one_turn_are_all_right(void **state)
{
    enum { CHUNKS = 600 };
    weir_chunk *chunks[CHUNKS];
    char values[CHUNKS][8];
    weir_mqtt_packet packet;
    rig *r = rig_connected(5, NULL, 0);
    (void)state;
    uint32_t slot = rig_subscribed(r, "t", 0, 0);
    for (size_t i = 0; i < CHUNKS; i++) {
        snprintf(values[i], sizeof(values[i]), "%zu", i);
        const fake_record record = {.value = values[i]};
        chunks[i] = chunk_of("t", &record, 1, r->context.wall_ms);
    }
    for (int times = 0; times < 3; times++) {
        for (size_t i = 0; i < CHUNKS; i++) {
            for (int twice = 0; twice < 3; twice++) {
                assert_int_equal(rig_deliver(r, chunks[i], 0, 1, slot, NULL, false), WEIR_OK);
                expect_publish(r, "t", values[i], 0, &packet);
            }
        }
    }
    weir_mqtt_context_turn_end(&r->context);
    for (size_t i = 0; i < CHUNKS; i++) {
        assert_int_equal(atomic_load(&chunks[i]->refs), 1);
        weir_chunk_drop(chunks[i]);
    }
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_topic_and_key),
        cmocka_unit_test(the_qos_is_the_lower_of_granted_and_published),
        cmocka_unit_test(overlapping_filters_give_one_copy_with_everything),
        cmocka_unit_test(retain_is_set_as_the_standard_says),
        cmocka_unit_test(headers_become_properties),
        cmocka_unit_test(expired_records_are_not_sent),
        cmocka_unit_test(packets_over_the_clients_maximum_are_skipped),
        cmocka_unit_test(a_packet_of_exactly_the_clients_maximum_is_sent),
        cmocka_unit_test(a_name_that_mqtt_cannot_say_is_skipped),
        cmocka_unit_test(the_receive_maximum_is_never_exceeded_and_order_is_kept),
        cmocka_unit_test(a_session_that_ends_gives_back_what_it_held),
        cmocka_unit_test(pubacks_in_any_order_free_their_ids),
        cmocka_unit_test(all_credit_comes_back_to_the_last_byte),
        cmocka_unit_test(a_full_window_gives_credit_with_the_first_acknowledgement),
        cmocka_unit_test(credit_waits_while_the_output_is_full),
        cmocka_unit_test(records_of_a_filter_that_went_are_dropped_and_their_credit_returns),
        cmocka_unit_test(credit_of_records_that_were_all_skipped_returns_at_once),
        cmocka_unit_test(credit_that_found_no_room_is_given_with_the_next_input),
        cmocka_unit_test(dropped_records_are_counted),
        cmocka_unit_test(the_cache_changes_no_byte),
        cmocka_unit_test(cached_packets_have_ids_of_their_own_session),
        cmocka_unit_test(the_turns_end_forgets_expiry),
        cmocka_unit_test(many_runs_in_one_turn_are_all_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
