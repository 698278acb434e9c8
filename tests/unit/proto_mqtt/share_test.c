/* Shared subscriptions on the real engine: joining, competing, answering, leaving. */
#include "tests/unit/proto_mqtt/share.h"

#include "core/base/log.h"

static const weir_mqtt_property receive_one = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 1};
static const weir_mqtt_property receive_two = {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 2};

/* ---- Joining ----------------------------------------------------------------------------------- */

static void what_a_group_reads_is_how_it_is_joined(void **state)
{
    static const char *const filters[] = {"$share/g/q/#", "$share/g/q", "$share/f/q/a/+"};
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    assert_int_equal(group_create_filter(f.port, "f", "q/a/+", WEIR_MODEL_QUEUE), WEIR_OK);
    for (uint8_t version = 3; version <= 5; version++) {
        rig *r = client_open(&f, version, "client", NULL, 0);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(client_subscribe(&f, r, filters[i], i & 1), i & 1);
        }
        assert_int_equal(group_told(&f, "g").member_count, 2);
        assert_int_equal(group_told(&f, "f").member_count, 1);
        client_end(&f, r, true);
        assert_int_equal(group_told(&f, "g").member_count, 0);
    }
    queue_end(&f);
}

static void a_member_has_the_clients_name_and_its_front_end(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a client", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    weir_completion done = group_of(f.port, "g");
    assert_int_equal(done.groups.groups[0].member_count, 1);
    assert_bytes(done.groups.groups[0].members[0].name, "a client");
    assert_bytes(done.groups.groups[0].members[0].origin, "mqtt");
    weir_completion_drop(&done);
    client_end(&f, r, true);
    queue_end(&f);
}

static void control_characters_of_a_client_id_are_shown_in_its_members_name(void **state)
{
    char longest[WEIR_MEMBER_BYTES_MAX + 1];
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "\033[31ma\nb", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    weir_completion done = group_of(f.port, "g");
    assert_bytes(done.groups.groups[0].members[0].name, "\\x1b[31ma\\x0ab");
    weir_completion_drop(&done);
    client_end(&f, r, true);
    memset(longest, 033, sizeof(longest) - 1); /* four bytes for each */
    longest[sizeof(longest) - 1] = '\0';
    r = client_open(&f, 5, longest, NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    done = group_of(f.port, "g");
    assert_int_equal(done.groups.groups[0].members[0].name.len, WEIR_MEMBER_BYTES_MAX);
    weir_completion_drop(&done);
    client_end(&f, r, true);
    queue_end(&f);
}

static void qos_2_is_granted_1(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 2), 1);
    client_end(&f, r, true);
    queue_end(&f);
}

/* The code, and a Reason String that has these words; in 3.1.1 the code alone. */
static void refused(fixture *f, const char *filter, uint8_t code, const char *words)
{
    weir_mqtt_packet packet;
    char text[512];
    rig *r = client_open(f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe_as(f, r, filter, 1, 0, &packet), code);
    weir_bytes told = weir_mqtt_text(&packet.properties, WEIR_MQTT_REASON_STRING);
    snprintf(text, sizeof(text), "%.*s", (int)told.len, (const char *)told.ptr);
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" does not say: %s", text, words);
    }
    assert_int_equal(r->context.stats.shares_refused, 1);
    assert_int_equal(client_unsubscribe(f, r, filter), 0x11);
    client_end(f, r, true);
    r = client_open(f, 4, "a", NULL, 0);
    assert_int_equal(client_subscribe(f, r, filter, 1), 0x80);
    client_end(f, r, true);
}

static void what_is_not_declared_so_is_refused_with_what_to_do(void **state)
{
    weir_bytes topics[] = {WEIR_TEXT("q"), WEIR_TEXT("written")};
    const weir_group_options both = {.model = WEIR_MODEL_QUEUE, .topics = topics, .topic_count = 2};
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    assert_int_equal(group_create_filter(f.port, "f", "q/+", WEIR_MODEL_QUEUE), WEIR_OK);
    assert_int_equal(group_create(f.port, "s", "q", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(group_create_with(f.port, "two", &both), WEIR_OK);
    refused(&f, "$share/none/q/#", 0x8f, "weir group create 'none' --model queue --filter 'q/#'");
    refused(&f, "$share/g/q/+", 0x8f, "subscribe to $share/g/q/#");
    refused(&f, "$share/f/q/#", 0x8f, "subscribe to $share/f/q/+");
    refused(&f, "$share/s/q/#", 0x8f, "is a stream group");
    refused(&f, "$share/two/q/#", 0x8f, "several topics");
    refused(&f, "$queue/q", 0x8f, "weir queue create 'q'");
    refused(&f, "$queue/g", 0x8f, "the topic 'q'");
    assert_int_equal(group_told(&f, "s").member_count, 0);
    queue_end(&f);
}

static void who_wants_no_reasons_gets_the_code_alone(void **state) /* [MQTT-3.1.2-29] */
{
    const weir_mqtt_property none = {.name = WEIR_MQTT_REQUEST_PROBLEM, .number = 0};
    const weir_mqtt_property small = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 60};
    const weir_mqtt_property *const lists[] = {&none, &small};
    weir_mqtt_packet packet;
    fixture f;
    (void)state;
    queue_begin(&f);
    for (size_t i = 0; i < 2; i++) {
        rig *r = client_open(&f, 5, "a", lists[i], 1);
        assert_int_equal(client_subscribe_as(&f, r, "$share/none/q/#", 1, 0, &packet), 0x8f);
        assert_false(weir_mqtt_has(&packet.properties, WEIR_MQTT_REASON_STRING));
        client_end(&f, r, true);
    }
    queue_end(&f);
}

static void refusal_logged(void *arg, weir_log_level level, const char *room, const char *line)
{
    (void)level;
    (void)room;
    *(unsigned *)arg += strstr(line, "event=share-refused") != NULL ? 1 : 0;
}

static void the_first_refusals_of_a_second_are_logged_and_the_others_counted(void **state)
{
    unsigned lines = 0;
    fixture f;
    (void)state;
    weir_log_sink(refusal_logged, &lines); /* while no other thread is there to log */
    queue_begin(&f);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    for (unsigned i = 1; i <= 6; i++) {
        assert_int_equal(client_subscribe(&f, r, "$share/none/q/#", 1), 0x8f);
        r->context.share_log_ms = UINT64_MAX; /* a second that lasts */
        assert_int_equal(lines, i < 4 ? i : 4);
    }
    r->context.share_log_ms = 0; /* it is over */
    assert_int_equal(client_subscribe(&f, r, "$share/none/q/#", 1), 0x8f);
    assert_int_equal(lines, 5);
    assert_int_equal(r->context.stats.shares_refused, 7);
    client_end(&f, r, true);
    queue_end(&f);
    weir_log_sink(NULL, NULL);
}

static void a_name_that_breaks_the_rules_is_a_protocol_error(void **state)
{
    static const char *const filters[] = {"$share/",   "$share/g",    "$share/g/",
                                          "$share//q", "$share/a+/q", "$share/#/q"};
    weir_mqtt_packet packet;
    fixture f;
    (void)state; /* [MQTT-4.8.2-1], [MQTT-4.8.2-2] */
    queue_begin(&f);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        rig *r = client_open(&f, 5, "a", NULL, 0);
        assert_int_equal(rig_filter(r, filters[i], 1, 7, 0), WEIR_CLOSED);
        rig_read(r, WEIR_MQTT_DISCONNECT, &packet);
        assert_int_equal(packet.reason, 0x82);
        client_end(&f, r, false);
        r = client_open(&f, 4, "a", NULL, 0);
        assert_int_equal(client_subscribe(&f, r, filters[i], 1), 0x80);
        client_end(&f, r, true);
    }
    queue_end(&f);
}

static void a_queue_topic_is_joined_by_its_name(void **state)
{
    const weir_topic_options options = {.partitions = 1, .kind = WEIR_KIND_QUEUE};
    fixture f;
    (void)state;
    queue_begin(&f);
    assert_int_equal(declare_with(f.port, "jobs/fast", options), WEIR_OK);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "jobs/fast", 1), 0x83); /* a plain one is not */
    assert_int_equal(client_subscribe(&f, r, "$queue/jobs/fast", 1), 1);
    publish_ok(f.port, "jobs/fast/k", "v");
    client_puback(r, client_gets(&f, r, "jobs/fast/k", "v"), 0, NULL);
    settle_down(&f, r);
    assert_int_equal(group_fate(f.port, "jobs/fast", WEIR_FATE_ACCEPTED), 1);
    client_end(&f, r, true);
    queue_end(&f);
}

static void nothing_retained_comes_with_a_shared_subscription(void **state)
{
    fixture f;
    const weir_publish kept = {
        .name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("old"), .attributes = WEIR_RECORD_RETAIN};
    weir_mqtt_packet packet;
    (void)state;
    queue_begin(&f);
    declare(f.port, "q", WEIR_LEVEL_OS);
    assert_int_equal(publish_record(f.port, &kept).err, WEIR_OK);
    const weir_group_options later = {
        .model = WEIR_MODEL_QUEUE, .filter = WEIR_TEXT("q/#"), .start = WEIR_PLACE_END};
    assert_int_equal(group_create_with(f.port, "g", &later), WEIR_OK);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1 | WEIR_MQTT_OPTION_RAP), 1);
    client_silent(&f, r);
    assert_int_equal(publish_record(f.port, &kept).err, WEIR_OK);
    client_read(&f, r, WEIR_MQTT_PUBLISH, &packet);
    assert_true(packet.publish.retain); /* Retain As Published counts */
    client_end(&f, r, true);
    queue_end(&f);
}

/* ---- Records ----------------------------------------------------------------------------------- */

static void members_get_records_by_turns_and_accept_them(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *a = client_open(&f, 5, "a", NULL, 0);
    rig *b = client_open(&f, 4, "b", NULL, 0);
    assert_int_equal(client_subscribe(&f, a, "$share/g/q/#", 1), 1);
    assert_int_equal(client_subscribe(&f, b, "$share/g/q/#", 1), 1);
    for (int i = 0; i < 6; i++) {
        rig *next = i % 2 == 0 ? a : b;
        settle_down(&f, a);
        settle_down(&f, b);
        publish_ok(f.port, "q/k", "v");
        client_puback(next, client_gets(&f, next, "q/k", "v"), 0, NULL);
    }
    client_silent(&f, a);
    client_silent(&f, b);
    fates_become(&f, a, WEIR_FATE_ACCEPTED, 6);
    assert_int_equal(group_told(&f, "g").leased_times, 6);
    client_end(&f, a, true);
    client_end(&f, b, true);
    queue_end(&f);
}

static void the_receive_maximum_is_how_many_a_member_has(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", 5);
    rig *r = client_open(&f, 5, "a", &receive_two, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t first = client_gets(&f, r, "q/k", "v");
    uint16_t second = client_gets(&f, r, "q/k", "v");
    client_silent(&f, r);
    assert_int_equal(group_told(&f, "g").leased_times, 2);
    client_puback(r, second, 0x10, NULL); /* below 0x80 */
    uint16_t third = client_gets(&f, r, "q/k", "v");
    client_silent(&f, r);
    client_puback(r, first, 0, NULL);
    client_puback(r, third, 0, NULL);
    client_gets(&f, r, "q/k", "v");
    client_gets(&f, r, "q/k", "v");
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 3);
    client_end(&f, r, true);
    queue_end(&f);
}

static void many_records_go_through_a_window_that_wraps(void **state)
{
    enum { MANY = 3000 };
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", MANY);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t kept = client_gets(&f, r, "q/k", "v"); /* the oldest is answered last */
    for (int i = 1; i < MANY; i++) {
        client_puback(r, client_gets(&f, r, "q/k", "v"), 0, NULL);
    }
    client_puback(r, kept, 0, NULL);
    fates_become(&f, r, WEIR_FATE_ACCEPTED, MANY);
    assert_int_equal(group_told(&f, "g").leased_times, MANY);
    assert_int_equal(r->context.stats.share_late, 0);
    client_end(&f, r, true);
    queue_end(&f);
}

static void names_identifiers_and_expiry_are_those_of_any_delivery(void **state)
{
    const weir_header headers[] = {{WEIR_TEXT("expiry"), WEIR_TEXT("100")},
                                   {WEIR_TEXT("k"), WEIR_TEXT("v")}};
    const weir_publish record = {.topic = WEIR_TEXT("q"),
                                 .key = WEIR_TEXT("a+b"),
                                 .value = WEIR_TEXT("v"),
                                 .headers = headers,
                                 .header_count = 2};
    weir_mqtt_packet packet;
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    pass_ms(&f, 10000);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe_as(&f, r, "$share/g/q/#", 1, 77, &packet), 1);
    client_read(&f, r, WEIR_MQTT_PUBLISH, &packet);
    assert_bytes(packet.publish.name, "q/a%2Bb");
    assert_int_equal(packet.publish.qos, 1);
    assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_SUBSCRIPTION_ID, 0), 77);
    assert_in_range(weir_mqtt_number(&packet.properties, WEIR_MQTT_MESSAGE_EXPIRY, 0), 80, 90);
    assert_int_equal(packet.properties.pairs, 2); /* weir-key-encoded, and k */
    client_end(&f, r, true);
    queue_end(&f);
}

static void subscribing_again_changes_the_options_of_the_one_member(void **state)
{
    fixture f;
    weir_mqtt_packet packet;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe_as(&f, r, "$share/g/q/#", 0, 5, &packet), 0);
    assert_int_equal(client_subscribe_as(&f, r, "$share/g/q/#", 1, 9, &packet), 1);
    assert_int_equal(group_told(&f, "g").member_count, 1);
    publish_ok(f.port, "q/k", "v");
    client_read(&f, r, WEIR_MQTT_PUBLISH, &packet);
    assert_int_equal(packet.publish.qos, 1);
    assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_SUBSCRIPTION_ID, 0), 9);
    client_puback(r, packet.publish.id, 0, NULL);
    assert_int_equal(client_unsubscribe(&f, r, "$share/g/q/#"), 0); /* once is enough */
    settle_down(&f, r);
    assert_int_equal(group_told(&f, "g").member_count, 0);
    client_end(&f, r, true);
    queue_end(&f);
}

static void shares_and_plain_filters_of_one_connection_all_get_their_records(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    assert_int_equal(group_create_filter(f.port, "f", "q/+", WEIR_MODEL_QUEUE), WEIR_OK);
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    assert_int_equal(client_subscribe(&f, r, "q/#", 1), 1);
    assert_int_equal(client_subscribe(&f, r, "$share/f/q/+", 1), 1);
    publish_many(f.port, "q/k", 4);
    for (int i = 0; i < 12; i++) {
        uint16_t id = client_gets(&f, r, "q/k", "v");
        client_silent(&f, r); /* one at a time */
        client_puback(r, id, 0, NULL);
    }
    client_silent(&f, r);
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 4);
    assert_int_equal(group_fate(f.port, "f", WEIR_FATE_ACCEPTED), 4);
    client_end(&f, r, true);
    queue_end(&f);
}

/* ---- QoS 0 ------------------------------------------------------------------------------------- */

static void a_record_with_qos_0_is_accepted_before_it_is_written(void **state)
{
    const weir_publish low = {.name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("v"), .attributes = 1};
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", 2);
    for (int granted = 0; granted <= 1; granted++) {
        rig *r = client_open(&f, 5, "a", NULL, 0);
        assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", granted), granted);
        if (granted == 1) { /* the record's own QoS counts, too */
            assert_int_equal(publish_record(f.port, &low).err, WEIR_OK);
        }
        assert_int_equal(client_gets(&f, r, "q/k", "v"), 0);
        assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 2 + granted);
        client_end(&f, r, false);
        assert_int_equal(group_told(&f, "g").failed_times, 0);
    }
    restart(&f, true);
    assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 3);
    queue_end(&f);
}

static void in_a_group_of_mode_at_most_once_there_is_nothing_to_settle(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.mode = WEIR_MODE_AT_MOST_ONCE});
    publish_many(f.port, "q/k", 2);
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    client_puback(r, client_gets(&f, r, "q/k", "v"), 0x80, NULL);
    client_gets(&f, r, "q/k", "v");
    assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 2);
    client_end(&f, r, false);
    assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 2);
    assert_int_equal(group_told(&f, "g").late_refused, 0);
    queue_end(&f);
}

/* ---- Rejecting --------------------------------------------------------------------------------- */

static void dead_letter_says(fixture *f, int64_t offset, const char *text)
{
    weir_header header;
    weir_record record;
    weir_completion done = fetch(f->port, "dead", 0, offset, 10000);
    assert_true(done.fetched.run_count > 0);
    weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &record);
    assert_true(weir_record_header(&record, "weir-dead-text", &header));
    assert_bytes(header.value, text);
    weir_completion_drop(&done);
}

static void a_puback_of_0x80_or_above_rejects_with_its_reason(void **state)
{
    const weir_group_options options = {.dead_letter = WEIR_TEXT("dead")};
    fixture f;
    (void)state;
    queue_begin(&f);
    declare(f.port, "dead", WEIR_LEVEL_OS);
    queue_with(&f, options);
    publish_many(f.port, "q/k", 3);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    client_puback(r, client_gets(&f, r, "q/k", "v"), 0x99, "not my format");
    client_puback(r, client_gets(&f, r, "q/k", "v"), 0x80, NULL);
    client_puback(r, client_gets(&f, r, "q/k", "v"), 0x99, "\033]0;x\a\n");
    fates_become(&f, r, WEIR_FATE_DEAD_LETTERED, 3); /* [MQTT-4.8.2-6] */
    client_silent(&f, r);
    assert_int_equal(group_told(&f, "g").failed_times, 0);
    assert_int_equal(r->context.stats.share_rejected, 3);
    dead_letter_says(&f, 0, "0x99: not my format");
    dead_letter_says(&f, 1, "0x80");
    dead_letter_says(&f, 2, "0x99: \\x1b]0;x\\x07\\x0a"); /* it is told to terminals */
    client_end(&f, r, true);
    queue_end(&f);
}

static void what_is_too_large_for_the_client_is_rejected_once(void **state)
{
    const weir_mqtt_property small = {.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 60};
    const weir_group_options options = {.dead_letter = WEIR_TEXT("dead")};
    char large[101];
    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    large[100] = 0;
    for (int granted = 0; granted <= 1; granted++) {
        fixture f;
        queue_begin(&f);
        declare(f.port, "dead", WEIR_LEVEL_OS);
        queue_with(&f, options);
        rig *r = client_open(&f, 5, "a", &small, 1);
        assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", granted), granted);
        publish_ok(f.port, "q/k", large);
        publish_ok(f.port, "q/k", "v");
        uint16_t id = client_gets(&f, r, "q/k", "v");
        if (granted == 1) {
            client_puback(r, id, 0, NULL);
        }
        fates_become(&f, r, WEIR_FATE_DEAD_LETTERED, 1);
        fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
        client_silent(&f, r);
        dead_letter_says(&f, 0, "packet-too-large");
        assert_int_equal(r->context.stats.over_client_maximum, 1);
        client_end(&f, r, true);
        queue_end(&f);
    }
}

static void what_expires_while_it_waits_for_an_id_expires(void **state)
{
    const weir_header expiry = {WEIR_TEXT("expiry"), WEIR_TEXT("10")};
    const weir_publish mortal = {
        .name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("m"), .headers = &expiry, .header_count = 1};
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "q/#", 1), 1);
    publish_ok(f.port, "q/k", "plain");
    uint16_t id = client_gets(&f, r, "q/k", "plain"); /* the one id is taken */
    assert_int_equal(client_unsubscribe(&f, r, "q/#"), 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    settle_down(&f, r);
    weir_group_info before = group_told(&f, "g");
    assert_int_equal(before.leased_times, 1); /* "plain" again, for the group */
    assert_int_equal(publish_record(f.port, &mortal).err, WEIR_OK);
    client_puback(r, id, 0, NULL);
    id = client_gets(&f, r, "q/k", "plain");
    settle_down(&f, r);
    pass_ms(&f, 20000);
    client_puback(r, id, 0, NULL);
    fates_become(&f, r, WEIR_FATE_EXPIRED, 1);
    client_silent(&f, r);
    client_end(&f, r, true);
    queue_end(&f);
}

/* ---- Ends -------------------------------------------------------------------------------------- */

static void a_connection_that_breaks_counts_a_failure_for_the_record_it_was_at(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", 3);
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    client_gets(&f, r, "q/k", "v");
    client_end(&f, r, false);
    assert_int_equal(group_told(&f, "g").failed_times, 1);
    r = client_open(&f, 4, "b", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q", 1), 1);
    for (int i = 0; i < 3; i++) {
        client_puback(r, client_gets(&f, r, "q/k", "v"), 0, NULL);
    }
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 3);
    client_end(&f, r, true);
    queue_end(&f);
}

static void an_orderly_disconnect_counts_none(void **state)
{
    static const uint8_t reasons[] = {0x00, 0x04, 0x80};
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.delivery_limit = -1});
    publish_many(f.port, "q/k", 3);
    for (size_t i = 0; i < 3; i++) {
        weir_mqtt_packet packet = {.type = WEIR_MQTT_DISCONNECT, .reason = reasons[i]};
        rig *r = client_open(&f, 5, "a", NULL, 0);
        assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
        client_gets(&f, r, "q/k", "v");
        client_gets(&f, r, "q/k", "v");
        assert_int_equal(rig_send(r, &packet, NULL, 0), WEIR_CLOSED);
        client_end(&f, r, false);
        assert_int_equal(group_told(&f, "g").failed_times, reasons[i] < 0x80 ? 0 : 1);
    }
    rig *r = client_open(&f, 5, "a", NULL, 0); /* nor does a gateway that is stopped */
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    client_gets(&f, r, "q/k", "v");
    assert_int_equal(weir_mqtt_session_stop(r->session, WEIR_MQTT_SHUTTING_DOWN, &r->out),
                     WEIR_CLOSED);
    client_end(&f, r, false);
    assert_int_equal(group_told(&f, "g").failed_times, 1);
    queue_end(&f);
}

/* Of all its shared subscriptions, whatever room the port has. */
static void only_the_oldest_unanswered_record_of_a_connection_fails(void **state)
{
    (void)state;
    for (size_t at = 0; at <= 4; at++) {
        fixture f;
        queue_begin(&f);
        queue_open(&f);
        weir_bytes topics[] = {WEIR_TEXT("q")};
        const weir_group_options options = {
            .model = WEIR_MODEL_QUEUE, .topics = topics, .topic_count = 1};
        assert_int_equal(group_create_with(f.port, "h", &options), WEIR_OK);
        publish_many(f.port, "q/k", 5);
        rig *r = client_open(&f, 5, "a", NULL, 0);
        assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
        uint16_t first = client_gets(&f, r, "q/k", "v");
        for (int i = 1; i < 5; i++) {
            client_gets(&f, r, "q/k", "v");
        }
        assert_int_equal(client_subscribe(&f, r, "$share/h/q/#", 1), 1);
        client_gets(&f, r, "q/k", "v");
        client_puback(r, first, 0, NULL);
        fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
        refuse_at = at;
        client_end(&f, r, false);
        refuse_at = 0;
        assert_int_equal(group_told(&f, "g").failed_times, 1);
        assert_int_equal(group_told(&f, "h").failed_times, 0);
        assert_int_equal(fates(&f, WEIR_FATE_PENDING), 4);
        queue_end(&f);
    }
}

/* Reads until "bad" comes, and breaks then; else it answers. How many it answered. */
static uint32_t reads_until_bad(fixture *f, uint32_t records)
{
    uint32_t answered = 0;
    bool bad = false;
    rig *r = client_open(f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(f, r, "$share/g/q/#", 1), 1);
    while (!bad && answered < records) {
        weir_mqtt_packet packet;
        client_read(f, r, WEIR_MQTT_PUBLISH, &packet);
        bad = weir_bytes_equal(packet.publish.payload, WEIR_TEXT("bad"));
        if (!bad) {
            client_puback(r, packet.publish.id, 0, NULL);
            answered++;
        }
    }
    client_end(f, r, false);
    return answered;
}

static void a_record_that_kills_its_clients_is_dropped_and_its_neighbours_are_accepted(void **state)
{
    fixture f;
    uint32_t answered = 0;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.delivery_limit = 3});
    publish_many(f.port, "q/k", 4);
    publish_ok(f.port, "q/k", "bad");
    publish_many(f.port, "q/k", 7);
    for (int clients = 0; clients < 4; clients++) {
        answered += reads_until_bad(&f, 11 - answered);
    }
    assert_int_equal(answered, 11);
    assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 11);
    assert_int_equal(fates(&f, WEIR_FATE_DROPPED), 1);
    assert_int_equal(group_told(&f, "g").failed_times, 3);
    queue_end(&f);
}

static void what_was_acknowledged_before_the_end_is_accepted(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", 2);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t first = client_gets(&f, r, "q/k", "v");
    uint16_t second = client_gets(&f, r, "q/k", "v");
    client_puback(r, first, 0, NULL);
    refuse_at = 1; /* no room for the accept: it waits in the session */
    client_puback(r, second, 0, NULL);
    client_end(&f, r, false);
    assert_int_equal(fates(&f, WEIR_FATE_ACCEPTED), 2);
    assert_int_equal(group_told(&f, "g").failed_times, 0);
    queue_end(&f);
}

static void after_unsubscribe_nothing_new_comes_and_what_came_is_still_answered(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    publish_ok(f.port, "q/k", "v");
    uint16_t id = client_gets(&f, r, "q/k", "v");
    settle_down(&f, r);
    assert_int_equal(client_unsubscribe(&f, r, "$share/g/q/#"), 0);
    publish_ok(f.port, "q/k", "w");
    client_silent(&f, r);
    assert_int_equal(group_told(&f, "g").member_count, 1); /* [MQTT-3.10.4-3] */
    client_puback(r, id, 0, NULL);
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
    settle_down(&f, r);
    assert_int_equal(group_told(&f, "g").member_count, 0);
    assert_int_equal(group_told(&f, "g").failed_times, 0);
    assert_int_equal(client_unsubscribe(&f, r, "$share/g/q/#"), 0x11);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    client_gets(&f, r, "q/k", "w");
    client_end(&f, r, true);
    queue_end(&f);
}

/* ---- Time -------------------------------------------------------------------------------------- */

static void a_lease_does_not_end_while_the_connection_lives(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 2000});
    publish_many(f.port, "q/k", 2);
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t id = client_gets(&f, r, "q/k", "v");
    for (int i = 0; i < 40; i++) {
        pass_ms(&f, 300);
        client_silent(&f, r);
    }
    assert_int_equal(group_told(&f, "g").failed_times, 0);
    assert_int_equal(group_told(&f, "g").member_count, 1);
    client_puback(r, id, 0, NULL);
    client_gets(&f, r, "q/k", "v");
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
    assert_int_equal(r->context.stats.share_late, 0);
    client_end(&f, r, true);
    queue_end(&f);
}

static void a_member_that_was_put_out_joins_again(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 2000});
    publish_ok(f.port, "q/k", "v");
    rig *r = client_open(&f, 5, "a", &receive_one, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t id = client_gets(&f, r, "q/k", "v");
    pass_ms(&f, 5000); /* the gateway's loop stood still for so long */
    weir_port_step(f.port);
    client_puback(r, id, 0, NULL);
    id = client_gets(&f, r, "q/k", "v");
    assert_int_equal(group_told(&f, "g").failed_times, 1);
    client_puback(r, id, 0, NULL);
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
    assert_true(r->context.stats.share_late > 0);
    client_end(&f, r, true);
    queue_end(&f);
}

static void what_lost_its_lease_is_answered_after_unsubscribe_too(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_with(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 2000});
    publish_ok(f.port, "q/k", "v");
    rig *r = client_open(&f, 5, "a", &receive_two, 1);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    uint16_t id = client_gets(&f, r, "q/k", "v");
    pass_ms(&f, 5000);
    weir_port_step(f.port);
    uint16_t again = client_gets(&f, r, "q/k", "v"); /* as a new member */
    assert_int_equal(client_unsubscribe(&f, r, "$share/g/q/#"), 0);
    client_puback(r, again, 0, NULL);
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 1);
    settle_down(&f, r);
    assert_int_equal(group_told(&f, "g").member_count, 0);
    client_puback(r, id, 0, NULL);
    client_silent(&f, r);
    client_end(&f, r, true);
    queue_end(&f);
}

static void a_group_that_is_deleted_ends_the_connection(void **state)
{
    weir_mqtt_packet packet;
    fixture f;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    rig *r = client_open(&f, 5, "a", NULL, 0);
    assert_int_equal(client_subscribe(&f, r, "$share/g/q/#", 1), 1);
    settle_down(&f, r);
    assert_int_equal(weir_port_group_delete(f.port, WEIR_TEXT("g"), true, NULL, 5), WEIR_OK);
    assert_int_equal(group_done(f.port), WEIR_OK);
    client_read(&f, r, WEIR_MQTT_DISCONNECT, &packet);
    assert_int_equal(packet.reason, 0x98);
    client_end(&f, r, false);
    queue_end(&f);
}

/* ---- A full port ------------------------------------------------------------------------------- */

/* A life with everything in it; the operation `at` finds the port full. */
static void live(size_t at)
{
    const weir_group_options options = {.dead_letter = WEIR_TEXT("dead"), .lease_ms = 1000};
    const weir_mqtt_property list[] = {{.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE, .number = 60},
                                       {.name = WEIR_MQTT_RECEIVE_MAXIMUM, .number = 3}};
    fixture f;
    queue_begin(&f);
    declare(f.port, "dead", WEIR_LEVEL_OS);
    queue_with(&f, options);
    rig *r = client_open(&f, 5, "a", list, 2);
    refuse_at = at;
    (void)rig_filter(r, "$share/g/q/#", 1, 7, 0);
    weir_mqtt_packet packet;
    for (int i = 0; r->out.len == 0 && i < WAIT_MS / SOON_MS; i++) {
        (void)rig_again(r); /* blocked input is given again */
        client_turn(&f, r);
    }
    client_read(&f, r, WEIR_MQTT_SUBACK, &packet);
    publish_ok(f.port, "q/k", "a value that is much too large for this client's packets");
    publish_ok(f.port, "q/k", "v");
    publish_ok(f.port, "q/k", "w");
    const weir_publish low = {.name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("x"), .attributes = 1};
    uint16_t first = client_gets(&f, r, "q/k", "v"), second = client_gets(&f, r, "q/k", "w");
    pass_ms(&f, 500);
    settle_down(&f, r);
    client_puback(r, first, 0, NULL);
    weir_mqtt_packet reject = {.type = WEIR_MQTT_PUBACK, .id = second, .reason = 0x80};
    (void)rig_send(r, &reject, NULL, 0);
    (void)rig_again(r);
    fates_become(&f, r, WEIR_FATE_DEAD_LETTERED, 2);
    assert_int_equal(publish_record(f.port, &low).err, WEIR_OK);
    client_gets(&f, r, "q/k", "x");
    fates_become(&f, r, WEIR_FATE_ACCEPTED, 2);
    publish_ok(f.port, "q/k", "y");
    client_gets(&f, r, "q/k", "y");
    client_end(&f, r, true);
    assert_int_equal(group_told(&f, "g").failed_times, 0);
    assert_int_equal(group_told(&f, "g").member_count, 0);
    assert_int_equal(fates(&f, WEIR_FATE_PENDING), 1);
    queue_end(&f);
}

static void a_port_that_is_full_for_any_operation_loses_nothing(void **state)
{
    (void)state;
    size_t at = 1;
    do {
        live(at++);
    } while (refuse_at == 0);
    refuse_at = 0;
    assert_in_range(at, 12, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_group_reads_is_how_it_is_joined),
        cmocka_unit_test(a_member_has_the_clients_name_and_its_front_end),
        cmocka_unit_test(control_characters_of_a_client_id_are_shown_in_its_members_name),
        cmocka_unit_test(qos_2_is_granted_1),
        cmocka_unit_test(what_is_not_declared_so_is_refused_with_what_to_do),
        cmocka_unit_test(who_wants_no_reasons_gets_the_code_alone),
        cmocka_unit_test(the_first_refusals_of_a_second_are_logged_and_the_others_counted),
        cmocka_unit_test(a_name_that_breaks_the_rules_is_a_protocol_error),
        cmocka_unit_test(a_queue_topic_is_joined_by_its_name),
        cmocka_unit_test(nothing_retained_comes_with_a_shared_subscription),
        cmocka_unit_test(members_get_records_by_turns_and_accept_them),
        cmocka_unit_test(the_receive_maximum_is_how_many_a_member_has),
        cmocka_unit_test(many_records_go_through_a_window_that_wraps),
        cmocka_unit_test(names_identifiers_and_expiry_are_those_of_any_delivery),
        cmocka_unit_test(subscribing_again_changes_the_options_of_the_one_member),
        cmocka_unit_test(shares_and_plain_filters_of_one_connection_all_get_their_records),
        cmocka_unit_test(a_record_with_qos_0_is_accepted_before_it_is_written),
        cmocka_unit_test(in_a_group_of_mode_at_most_once_there_is_nothing_to_settle),
        cmocka_unit_test(a_puback_of_0x80_or_above_rejects_with_its_reason),
        cmocka_unit_test(what_is_too_large_for_the_client_is_rejected_once),
        cmocka_unit_test(what_expires_while_it_waits_for_an_id_expires),
        cmocka_unit_test(a_connection_that_breaks_counts_a_failure_for_the_record_it_was_at),
        cmocka_unit_test(only_the_oldest_unanswered_record_of_a_connection_fails),
        cmocka_unit_test(
            a_record_that_kills_its_clients_is_dropped_and_its_neighbours_are_accepted),
        cmocka_unit_test(an_orderly_disconnect_counts_none),
        cmocka_unit_test(what_was_acknowledged_before_the_end_is_accepted),
        cmocka_unit_test(after_unsubscribe_nothing_new_comes_and_what_came_is_still_answered),
        cmocka_unit_test(a_lease_does_not_end_while_the_connection_lives),
        cmocka_unit_test(a_member_that_was_put_out_joins_again),
        cmocka_unit_test(what_lost_its_lease_is_answered_after_unsubscribe_too),
        cmocka_unit_test(a_group_that_is_deleted_ends_the_connection),
        cmocka_unit_test(a_port_that_is_full_for_any_operation_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
