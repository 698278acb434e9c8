/* The address rule, byte for byte: which topic, key and partition a full name means. */
#include "tests/unit/engine/support.h"

#include "core/base/hash.h"

static void the_longest_declared_prefix_by_whole_levels_is_the_topic(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options nested = {.nested = true};
    declare(f.port, "sensors", WEIR_LEVEL_DISK);
    assert_int_equal(declare_with(f.port, "sensors/deep", nested), WEIR_OK);
    publish_ok(f.port, "sensors/dev1/temp", "a");
    publish_ok(f.port, "sensors/deep/x", "b");
    publish_ok(f.port, "sensors/deeper", "c");
    assert_record(f.port, "sensors", 0, "dev1/temp", "a");
    assert_record(f.port, "sensors/deep", 0, "x", "b");
    assert_record(f.port, "sensors", 1, "deeper", "c");
    fixture_end(&f);
}

static void null_and_empty_keys_and_empty_levels_stay_apart(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "a", WEIR_LEVEL_DISK);
    publish_ok(f.port, "a", "null key");
    publish_ok(f.port, "a/", "empty key");
    publish_ok(f.port, "a//b", "slash key");
    assert_record(f.port, "a", 0, NULL, "null key");
    assert_record(f.port, "a", 1, "", "empty key");
    assert_record(f.port, "a", 2, "/b", "slash key");
    weir_completion live = publish(f.port, "/a", "under no topic");
    assert_true(live.published.live);
    live = publish(f.port, "ab", "not by bytes");
    assert_true(live.published.live);
    fixture_end(&f);
}

static void topics_that_nest_must_be_declared_so(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options plain = {0}, nested = {.nested = true};
    declare(f.port, "a/b", WEIR_LEVEL_DISK);
    assert_int_equal(declare_with(f.port, "a", plain), WEIR_NESTED);
    assert_int_equal(declare_with(f.port, "a/b/c", plain), WEIR_NESTED);
    assert_int_equal(declare_with(f.port, "a", nested), WEIR_OK);
    /* A key of the upper topic that spells a name of the deeper one is refused; the name goes
     * there. */
    weir_publish record = {
        .topic = WEIR_TEXT("a"), .key = WEIR_TEXT("b/x"), .value = WEIR_TEXT("v")};
    weir_completion done = publish_record(f.port, &record);
    assert_int_equal(done.err, WEIR_NESTED);
    publish_ok(f.port, "a/b/x", "v");
    assert_record(f.port, "a/b", 0, "x", "v");
    fixture_end(&f);
}

static void a_record_by_topic_and_key_is_the_record_of_that_name(void **state)
{
    fixture f;
    char text[256] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "sensors", WEIR_LEVEL_OS);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    subscribe(f.port, subscriber, "sensors/+/temp");
    weir_publish record = {.topic = WEIR_TEXT("sensors"),
                           .key = WEIR_TEXT("dev1/temp"),
                           .value = WEIR_TEXT("21"),
                           .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "sensors/dev1/temp=21 ");
    fixture_end(&f);
}

static void a_key_chooses_its_partition_as_kafkas_clients_do(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options seven = {.partitions = 7};
    assert_int_equal(declare_with(f.port, "t", seven), WEIR_OK);
    const char *keys[] = {"21", "foobar", "a-little-bit-long-string"};
    for (size_t i = 0; i < 3; i++) {
        weir_publish record = {.topic = WEIR_TEXT("t"), .key = weir_bytes_of(keys[i])};
        weir_completion done = publish_record(f.port, &record);
        assert_int_equal(done.published.partition,
                         (weir_murmur2(weir_bytes_of(keys[i])) & 0x7fffffff) % 7);
    }
    fixture_end(&f);
}

static void partition_levels_keep_a_devices_records_together(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options options = {.partitions = 16, .partition_levels = 1};
    assert_int_equal(declare_with(f.port, "site", options), WEIR_OK);
    uint32_t first = publish(f.port, "site/dev1/temp", "1").published.partition;
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof(name), "site/dev1/sensor%d", i);
        assert_int_equal(publish(f.port, name, "1").published.partition, first);
    }
    fixture_end(&f);
}

static void null_keys_of_one_publisher_stay_in_one_partition(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options options = {.partitions = 5};
    assert_int_equal(declare_with(f.port, "t", options), WEIR_OK);
    for (int i = 0; i < 10; i++) {
        weir_publish record = {
            .name = WEIR_TEXT("t"), .value = WEIR_TEXT("v"), .publisher = 12345678901234ull};
        assert_int_equal(publish_record(f.port, &record).published.partition,
                         12345678901234ull % 5);
    }
    fixture_end(&f);
}

static void illegal_topic_names_are_refused(void **state)
{
    fixture f;
    char longest[WEIR_TOPIC_BYTES_MAX + 2];
    (void)state;
    fixture_begin(&f);
    const char *bad[] = {"", "/a", "a/", "a//b", "$sys", "a/+", "#", "a\x01", "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(declare_with(f.port, bad[i], (weir_topic_options){0}), WEIR_NAME_INVALID);
    }
    memset(longest, 'x', sizeof(longest));
    longest[WEIR_TOPIC_BYTES_MAX + 1] = '\0';
    assert_int_equal(declare_with(f.port, longest, (weir_topic_options){0}), WEIR_NAME_INVALID);
    longest[WEIR_TOPIC_BYTES_MAX] = '\0';
    assert_int_equal(declare_with(f.port, longest, (weir_topic_options){0}), WEIR_OK);
    fixture_end(&f);
}

static void names_of_the_gateways_own_are_refused_to_publishers(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(publish(f.port, "$SYS/broker/uptime", "1").err, WEIR_NOT_AUTHORIZED);
    assert_int_equal(publish(f.port, "a/+/b", "1").err, WEIR_NAME_INVALID);
    fixture_end(&f);
}

static void declaring_and_deleting_never_remaps_stored_records(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "a", WEIR_LEVEL_DISK);
    publish_ok(f.port, "a/b/c", "before");
    assert_int_equal(declare_with(f.port, "a/b", (weir_topic_options){.nested = true}), WEIR_OK);
    assert_record(f.port, "a", 0, "b/c", "before");
    publish_ok(f.port, "a/b/c", "after");
    assert_record(f.port, "a/b", 0, "c", "after");
    fixture_close(&f);
    fixture_open(&f);
    assert_record(f.port, "a", 0, "b/c", "before");
    assert_record(f.port, "a/b", 0, "c", "after");
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_declared_prefix_by_whole_levels_is_the_topic),
        cmocka_unit_test(null_and_empty_keys_and_empty_levels_stay_apart),
        cmocka_unit_test(topics_that_nest_must_be_declared_so),
        cmocka_unit_test(a_record_by_topic_and_key_is_the_record_of_that_name),
        cmocka_unit_test(a_key_chooses_its_partition_as_kafkas_clients_do),
        cmocka_unit_test(partition_levels_keep_a_devices_records_together),
        cmocka_unit_test(null_keys_of_one_publisher_stay_in_one_partition),
        cmocka_unit_test(illegal_topic_names_are_refused),
        cmocka_unit_test(names_of_the_gateways_own_are_refused_to_publishers),
        cmocka_unit_test(declaring_and_deleting_never_remaps_stored_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
