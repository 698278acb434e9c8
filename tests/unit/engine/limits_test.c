/* Every limit that the engine itself holds: at its value, and one over. */
#include "tests/unit/engine/support.h"

#include "core/engine/state.h"

static void begin_with(fixture *f, weir_limits limits)
{
    fixture_prepare(f);
    f->config.limits = limits;
    fixture_open(f);
}

static weir_stats stats_of(fixture *f)
{
    weir_stats stats;
    weir_port_step(f->port);
    weir_engine_stats(f->engine, &stats);
    return stats;
}

static void a_record_of_the_largest_size_fits_and_one_byte_more_does_not(void **state)
{
    fixture f;
    static uint8_t value[2049];
    (void)state;
    begin_with(&f, (weir_limits){.record_bytes_max = 2048});
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_header header = {WEIR_TEXT("name"), WEIR_TEXT("value")};
    weir_publish record = {.topic = WEIR_TEXT("t"),
                           .key = WEIR_TEXT("key"),
                           .value = {value, 2048 - 3 - 9},
                           .headers = &header,
                           .header_count = 1};
    assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    record.value.len++;
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_TOO_LARGE);
    assert_int_equal(stats_of(&f).refused_record_bytes, 1);
    /* By name the key is what stands behind the topic: it counts, the topic does not. */
    record = (weir_publish){.name = WEIR_TEXT("t/key"), .value = {value, 2048 - 3}};
    assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    record.value.len++;
    assert_int_equal(publish_record(f.port, &record).err, WEIR_TOO_LARGE);
    assert_int_equal(stats_of(&f).refused_record_bytes, 2);
    fixture_end(&f);
}

static void names_and_levels_have_their_limits(void **state)
{
    fixture f;
    char name[301];
    (void)state;
    begin_with(&f, (weir_limits){.name_bytes_max = 299, .levels_max = 8});
    memset(name, 'x', sizeof(name));
    name[299] = '\0';
    assert_int_equal(publish(f.port, name, "v").err, WEIR_OK);
    name[299] = 'x';
    name[300] = '\0';
    weir_publish record = {.name = weir_bytes_of(name)};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_NAME_INVALID);
    assert_int_equal(stats_of(&f).refused_name, 1);
    assert_int_equal(publish(f.port, "1/2/3/4/5/6/7/8", "v").err, WEIR_OK);
    assert_int_equal(publish(f.port, "1/2/3/4/5/6/7/8/9", "v").err, WEIR_NAME_INVALID);
    assert_int_equal(stats_of(&f).refused_levels, 1);
    weir_subscriber *subscriber = subscriber_open(f.port, 1);
    subscribe(f.port, subscriber, "1/2/3/4/5/6/7/#");
    weir_subscribe wanted = {.filter = WEIR_TEXT("1/2/3/4/5/6/7/8/#")};
    weir_port_subscribe(f.port, subscriber, &wanted, NULL, 0);
    assert_int_equal(next_of(f.port, WEIR_COMPLETION_SUBSCRIBE).err, WEIR_NAME_INVALID);
    assert_int_equal(stats_of(&f).refused_levels, 2);
    fixture_end(&f);
}

static void headers_have_a_limit_and_names_of_the_gateways_own_are_refused(void **state)
{
    fixture f;
    weir_header headers[4];
    (void)state;
    begin_with(&f, (weir_limits){.headers_max = 3});
    for (int i = 0; i < 4; i++) {
        headers[i] = (weir_header){WEIR_TEXT("same"), WEIR_BYTES_NULL};
    }
    weir_publish record = {.name = WEIR_TEXT("a"), .headers = headers, .header_count = 3};
    assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    record.header_count = 4;
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_LIMIT);
    assert_int_equal(stats_of(&f).refused_headers, 1);
    headers[0].name = WEIR_TEXT("weir-origin");
    record.header_count = 1;
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_INVALID);
    fixture_end(&f);
}

static void topics_and_partitions_have_their_limits(void **state)
{
    fixture f;
    (void)state;
    begin_with(&f, (weir_limits){.topics_max = 2, .partitions_max = 5});
    assert_int_equal(declare_with(f.port, "a", (weir_topic_options){.partitions = 5}), WEIR_OK);
    assert_int_equal(declare_with(f.port, "b", (weir_topic_options){.partitions = 6}), WEIR_LIMIT);
    assert_int_equal(declare_with(f.port, "b", (weir_topic_options){0}), WEIR_OK);
    assert_int_equal(declare_with(f.port, "c", (weir_topic_options){0}), WEIR_LIMIT);
    weir_stats stats = stats_of(&f);
    assert_int_equal(stats.refused_topics, 1);
    assert_int_equal(stats.refused_partitions, 1);
    fixture_end(&f);
}

static void a_subscriber_holds_so_many_filters(void **state)
{
    fixture f;
    char filter[16];
    (void)state;
    begin_with(&f, (weir_limits){.subscriptions_max = 3});
    weir_subscriber *subscriber = subscriber_open(f.port, 1);
    for (int i = 0; i < 3; i++) {
        snprintf(filter, sizeof(filter), "f%d", i);
        subscribe(f.port, subscriber, filter);
    }
    subscribe(f.port, subscriber, "f2"); /* the same again is no further one */
    weir_subscribe wanted = {.filter = WEIR_TEXT("f4")};
    weir_port_subscribe(f.port, subscriber, &wanted, NULL, 0);
    assert_int_equal(next_of(f.port, WEIR_COMPLETION_SUBSCRIBE).err, WEIR_LIMIT);
    assert_int_equal(stats_of(&f).refused_subscriptions, 1);
    fixture_end(&f);
}

static weir_err retain(fixture *f, const char *name, const uint8_t *value, size_t len)
{
    weir_publish record = {
        .name = weir_bytes_of(name), .value = {value, len}, .attributes = WEIR_RECORD_RETAIN};
    return publish_record(f->port, &record).err;
}

static void retained_values_have_a_count_and_a_size(void **state)
{
    fixture f;
    static uint8_t value[4096];
    (void)state;
    begin_with(&f, (weir_limits){.retained_max = 2, .retained_bytes_max = 5000});
    assert_int_equal(retain(&f, "a", value, 10), WEIR_OK);
    assert_int_equal(retain(&f, "b", value, 10), WEIR_OK);
    assert_int_equal(retain(&f, "c", value, 10), WEIR_LIMIT);
    assert_int_equal(stats_of(&f).refused_retained, 1);
    assert_int_equal(retain(&f, "a", value, 20), WEIR_OK); /* a new value for an old name */
    assert_int_equal(retain(&f, "b", value, 0), WEIR_OK);  /* cleared: room for another */
    assert_int_equal(retain(&f, "c", value, 4096), WEIR_OK);
    assert_int_equal(retain(&f, "a", value, 1500), WEIR_LIMIT);
    assert_int_equal(stats_of(&f).refused_retained_bytes, 1);
    fixture_end(&f);
}

static void a_fetch_waits_no_longer_than_the_limit(void **state)
{
    fixture f;
    (void)state;
    begin_with(&f, (weir_limits){.fetch_wait_ms_max = 20});
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_completion done = fetch(f.port, "t", 0, 0, 20);
    weir_completion_drop(&done);
    weir_fetch wanted = {.topic = WEIR_TEXT("t"), .wait_ms = 21};
    assert_int_equal(weir_port_fetch(f.port, &wanted, NULL, 0), WEIR_INVALID);
    fixture_end(&f);
}

static void a_full_ring_says_again_and_nothing_is_lost(void **state)
{
    fixture f;
    static uint8_t value[60000];
    uint64_t sent = 0, answered = 0;
    (void)state;
    begin_with(&f, (weir_limits){.port_bytes_max = 65536, .record_bytes_max = 65536});
    declare(f.port, "t", WEIR_LEVEL_OS);
    weir_publish record = {.name = WEIR_TEXT("t/a"), .value = {value, sizeof(value)}};
    while (weir_port_publish(f.port, &record, NULL, sent) == WEIR_OK) {
        sent++;
    }
    assert_true(sent > 0 && sent < 100);
    assert_int_equal(weir_port_publish(f.port, &record, NULL, sent), WEIR_AGAIN);
    assert_int_equal(stats_of(&f).paused_port, 1); /* full once, tried twice */
    while (answered < sent) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_PUBLISH);
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.token, answered++);
    }
    fixture_end(&f);
}

static void what_is_remembered_of_names_stays_bounded(void **state)
{
    enum { SUBSCRIBERS = 200, NAMES = 20000 };
    fixture f;
    char name[32];
    (void)state;
    begin_with(&f, (weir_limits){0});
    for (int i = 0; i < SUBSCRIBERS; i++) {
        weir_subscriber *subscriber = subscriber_open(f.port, 0);
        subscribe(f.port, subscriber, "#");
        subscribe(f.port, subscriber, "+/#"); /* overlapping: one entry each all the same */
    }
    uint64_t most = 0;
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "live/%d", i);
        weir_publish record = {
            .name = weir_bytes_of(name), .value = WEIR_TEXT("v"), .no_confirm = true};
        while (weir_port_publish(f.port, &record, NULL, 0) == WEIR_AGAIN) {
            weir_port_step(f.port);
        }
        if (i % 100 == 0) {
            weir_port_step(f.port);
        }
        most = f.engine->route_bytes > most ? f.engine->route_bytes : most;
    }
    assert_true(most > 0 && most <= WEIR_ROUTE_BYTES_MAX + (1 << 20));
    fixture_end(&f);
}

static void a_limit_outside_its_range_is_refused_by_name(void **state)
{
    weir_engine *engine = NULL;
    weir_fault fault = {0};
    weir_engine_config config = {.data_dir = "/tmp/weir-never", .limits = {.levels_max = 129}};
    (void)state;
    assert_int_equal(weir_engine_open(&config, &engine, &fault), WEIR_INVALID);
    assert_non_null(strstr(fault.text, "limits.levels_max"));
    assert_non_null(strstr(fault.text, "128"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_of_the_largest_size_fits_and_one_byte_more_does_not),
        cmocka_unit_test(names_and_levels_have_their_limits),
        cmocka_unit_test(headers_have_a_limit_and_names_of_the_gateways_own_are_refused),
        cmocka_unit_test(topics_and_partitions_have_their_limits),
        cmocka_unit_test(a_subscriber_holds_so_many_filters),
        cmocka_unit_test(retained_values_have_a_count_and_a_size),
        cmocka_unit_test(a_fetch_waits_no_longer_than_the_limit),
        cmocka_unit_test(a_full_ring_says_again_and_nothing_is_lost),
        cmocka_unit_test(what_is_remembered_of_names_stays_bounded),
        cmocka_unit_test(a_limit_outside_its_range_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
