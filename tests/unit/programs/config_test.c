/* Tests programs/config.c, yaml.c and keys.c: what weir.yaml and --set may say, and how a mistake
 * is told. */
#include "programs/config.h"
#include "programs/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct loaded {
    weir_config config;
    weir_fault fault;
    weir_err err;
} loaded;

static void load(loaded *own, const char *text)
{
    memset(own, 0, sizeof(*own));
    assert_int_equal(weir_config_init(&own->config), WEIR_OK);
    own->err = weir_config_load(&own->config, "weir.yaml", weir_bytes_of(text), &own->fault);
    if (own->err == WEIR_OK) {
        own->err = weir_config_check(&own->config, &own->fault);
    }
}

static void refused_at(const char *text, unsigned line, unsigned column, const char *says)
{
    loaded own;
    load(&own, text);
    assert_int_equal(own.err, WEIR_INVALID);
    assert_string_equal(own.fault.file, "weir.yaml");
    assert_int_equal(own.fault.line, line);
    assert_int_equal(own.fault.column, column);
    if (strstr(own.fault.text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", own.fault.text, says);
    }
    weir_config_fini(&own.config);
}

static void without_a_file_every_key_has_its_default(void **state)
{
    weir_config config;
    (void)state;
    assert_int_equal(weir_config_init(&config), WEIR_OK);
    assert_string_equal(weir_config_text(&config, WEIR_KEY_mqtt_address), "127.0.0.1");
    assert_int_equal(weir_config_number(&config, WEIR_KEY_mqtt_port), 1883);
    assert_int_equal(weir_config_number(&config, WEIR_KEY_limits_record_bytes_max), 1048576);
    assert_null(weir_config_text(&config, WEIR_KEY_ports));
    weir_config_fini(&config);
    weir_config_fini(&config); /* a second time is harmless */
}

static void an_empty_file_changes_nothing(void **state)
{
    const char *const texts[] = {"", "\n", "# only a remark\n", "---\n...\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        loaded own;
        load(&own, texts[i]);
        if (i < 3) {
            assert_int_equal(own.err, WEIR_OK);
            assert_int_equal(weir_config_number(&own.config, WEIR_KEY_mqtt_port), 1883);
        }
        weir_config_fini(&own.config);
    }
}

static void a_file_sets_keys_topics_and_adapters(void **state)
{
    loaded own;
    (void)state;
    load(
        &own,
        "data: /somewhere\n"
        "mqtt: {port: 0, enabled: no}\n"
        "limits:\n  record_bytes_max: 2048\n"
        "topics:\n"
        "  - {name: site, partitions: 4, durability: os}\n"
        "  - {name: site2}\n"
        "adapters:\n"
        "  - name: lines\n    path: ./lines.so\n    settings: {port: 7000, greeting: hello there}\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_string_equal(weir_config_text(&own.config, WEIR_KEY_data), "/somewhere");
    assert_int_equal(weir_config_number(&own.config, WEIR_KEY_mqtt_port), 0);
    assert_int_equal(weir_config_number(&own.config, WEIR_KEY_mqtt_enabled), 0);
    assert_int_equal(weir_config_number(&own.config, WEIR_KEY_limits_record_bytes_max), 2048);
    assert_int_equal(own.config.topic_count, 2);
    assert_int_equal(own.config.topics[0].options.partitions, 4);
    assert_int_equal(own.config.topics[0].options.level, WEIR_LEVEL_OS);
    assert_int_equal(own.config.topics[1].options.partitions, 1);
    assert_int_equal(own.config.topics[1].options.level, WEIR_LEVEL_DISK);
    assert_string_equal(weir_config_setting(&own.config, "lines", "greeting"), "hello there");
    assert_string_equal(weir_config_setting(&own.config, "mqtt", "port"), "0");
    assert_null(weir_config_setting(&own.config, "lines", "colour"));
    weir_config_fini(&own.config);
}

static void a_mistake_is_told_with_its_line_and_column(void **state)
{
    (void)state;
    refused_at("mqtt:\n  port: 70000\n", 2, 9, "0 to 65535");
    refused_at("mqtt:\n  port: http\n", 2, 9, "\"http\"");
    refused_at("mqtt:\n  port: -1\n", 2, 9, "\"-1\"");
    refused_at("mqtt:\n  enabled: maybe\n", 2, 12, "true or false");
    refused_at("loops: 1\nlive_durability: replicated\n", 2, 18, "no backend");
    refused_at("sync: sometimes\n", 1, 7, "auto, inline or thread");
    refused_at("io: uring\n", 1, 5, "posix");
    refused_at("limits: {record_bytes_max: 5}", 1, 28, "1024");
    refused_at("topics:\n  - {name: a, durability: dsk}\n", 2, 27, "memory, os or disk");
    refused_at("topics:\n  - {name: a, partitions: 0}\n", 2, 27, "partitions");
    refused_at("topics:\n  - name: 'a/+'\n", 2, 11, "without +");
    refused_at("adapters:\n  - name: l\n    path: x\n    settings: {a: [1]}\n", 4, 19, "one word");
}

static void an_unknown_key_is_refused_and_a_near_one_named(void **state)
{
    (void)state;
    refused_at("mqtt:\n  prt: 5\n", 2, 3, "did you mean \"mqtt.port\"");
    refused_at("mqt:\n  port: 5\n", 1, 1, "did you mean \"mqtt\"");
    refused_at("limits:\n  record_byte_max: 5\n", 2, 3, "limits.record_bytes_max");
    refused_at("zzzzzzzzzzzz: 5\n", 1, 1, "weir config");
}

static void what_is_not_yaml_or_of_another_shape_is_refused(void **state)
{
    (void)state;
    refused_at("data: \"x\n", 2, 1, "not YAML");
    refused_at("mqtt: 5\n", 1, 7, "mqtt takes keys with values");
    refused_at("data: [1]\n", 1, 7, "data takes a single value, not a list");
    refused_at("mqtt:\n  port: 1\n  port: 2\n", 3, 3, "second time");
    refused_at("topics:\n  - partitions: 4\n", 2, 17, "name");
}

static void an_alias_is_refused(void **state)
{
    loaded own;
    (void)state;
    load(&own, "data: &a x\nports: *a\n");
    assert_int_equal(own.err, WEIR_INVALID);
    weir_config_fini(&own.config);
}

static void a_file_one_byte_over_its_limit_is_refused(void **state)
{
    char *text = malloc(WEIR_CONFIG_BYTES_MAX + 1);
    loaded own = {.err = WEIR_OK};
    (void)state;
    assert_non_null(text);
    memset(text, '\n', WEIR_CONFIG_BYTES_MAX + 1);
    for (size_t over = 0; over < 2; over++) {
        assert_int_equal(weir_config_init(&own.config), WEIR_OK);
        own.err = weir_config_load(&own.config, "weir.yaml",
                                   (weir_bytes){(uint8_t *)text, WEIR_CONFIG_BYTES_MAX + over},
                                   &own.fault);
        assert_int_equal(own.err, over == 0 ? WEIR_OK : WEIR_INVALID);
        weir_config_fini(&own.config);
    }
    free(text);
}

static void an_address_beyond_loopback_needs_insecure(void **state)
{
    loaded own;
    (void)state;
    refused_at("mqtt:\n  address: 0.0.0.0\n", 2, 12, "--insecure");
    refused_at("mqtt:\n  address: '::'\n", 2, 12, "--insecure");
    refused_at("mqtt:\n  address: 127.0.0.1.example\n", 2, 12, "127.0.0.1");
    refused_at("adapters:\n  - name: l\n    path: x\n    settings: {address: 10.0.0.1}\n", 2, 5,
               "l: \"10.0.0.1\"");
    load(&own, "insecure: true\nmqtt:\n  address: 0.0.0.0\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_string_equal(weir_config_setting(&own.config, "mqtt", "insecure"), "true");
    weir_config_fini(&own.config);
    load(&own, "mqtt:\n  address: ::1\n");
    assert_int_equal(own.err, WEIR_OK);
    weir_config_fini(&own.config);
}

static void nested_topics_both_have_to_say_so(void **state)
{
    loaded own;
    (void)state;
    refused_at("topics:\n  - name: a\n  - {name: a/b, nested: true}\n", 3, 5, "nested: true");
    refused_at("topics:\n  - name: a\n  - name: a\n", 3, 5, "second time");
    load(&own,
         "topics:\n  - {name: a, nested: true}\n  - {name: a/b, nested: true}\n  - name: ab\n");
    assert_int_equal(own.err, WEIR_OK);
    weir_config_fini(&own.config);
}

static void two_adapters_of_one_name_are_refused(void **state)
{
    (void)state;
    refused_at("adapters:\n  - {name: mqtt, path: x}\n", 2, 5, "another name");
    refused_at("adapters:\n  - {name: l, path: x}\n  - {name: l, path: y}\n", 3, 5, "another name");
    refused_at("adapters:\n  - {name: 'a b', path: x}\n", 2, 5, "needs a name");
}

static void set_overrides_the_file(void **state)
{
    loaded own;
    (void)state;
    load(&own, "mqtt: {port: 1}\nadapters:\n  - {name: lines, path: x, settings: {port: 7}}\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_int_equal(weir_config_set_pair(&own.config, "mqtt.port=2", &own.fault), WEIR_OK);
    assert_int_equal(weir_config_number(&own.config, WEIR_KEY_mqtt_port), 2);
    assert_int_equal(weir_config_set_pair(&own.config, "lines.port=8", &own.fault), WEIR_OK);
    assert_int_equal(weir_config_set_pair(&own.config, "lines.more=a=b", &own.fault), WEIR_OK);
    assert_string_equal(weir_config_setting(&own.config, "lines", "port"), "8");
    assert_string_equal(weir_config_setting(&own.config, "lines", "more"), "a=b");
    weir_config_fini(&own.config);
}

static void a_wrong_set_changes_nothing_and_says_what_is_right(void **state)
{
    const char *const pairs[] = {"mqtt.port",      "mqtt.port=", "mqtt.port=70000", "=5",
                                 "nothere.port=5", "mqtt.prt=5", "mqtt=5",          ""};
    weir_config config;
    weir_fault fault;
    (void)state;
    assert_int_equal(weir_config_init(&config), WEIR_OK);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        memset(&fault, 0, sizeof(fault));
        assert_int_equal(weir_config_set_pair(&config, pairs[i], &fault), WEIR_INVALID);
        assert_true(strlen(fault.text) > 10);
    }
    assert_int_equal(weir_config_number(&config, WEIR_KEY_mqtt_port), 1883);
    weir_config_fini(&config);
}

static void each_number_is_taken_at_its_bounds_and_refused_one_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const weir_key_row *row = weir_key_row_of((weir_key)i);
        char sentence[WEIR_KEY_SENTENCE_MAX];
        char text[32];
        uint64_t number = 0;
        if (row->type != WEIR_KEY_UINT) {
            continue;
        }
        for (int over = 0; over < 2; over++) {
            weir_err right = over == 0 ? WEIR_OK : WEIR_INVALID;
            snprintf(text, sizeof(text), "%llu", (unsigned long long)row->most + (unsigned)over);
            assert_int_equal(weir_key_read(row, text, &number, sentence), right);
            if (row->least > 0) {
                snprintf(text, sizeof(text), "%llu",
                         (unsigned long long)row->least - (unsigned)over);
                assert_int_equal(weir_key_read(row, text, &number, sentence), right);
            }
        }
        if (row->fallback != NULL) {
            assert_int_equal(weir_key_read(row, row->fallback, &number, sentence), WEIR_OK);
        }
    }
}

/* [K1] The schema maps each word before a dot onto a slice of the table. */
static void keys_that_share_a_word_are_neighbours(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEIR_KEY_COUNT; i++) {
        const char *name = weir_key_row_of((weir_key)i)->name;
        for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            size_t len = (size_t)(dot - name) + 1;
            bool left = false;
            for (size_t j = i; j < WEIR_KEY_COUNT; j++) {
                bool shares = strncmp(weir_key_row_of((weir_key)j)->name, name, len) == 0;
                assert_false(left && shares);
                left = left || !shares;
            }
        }
    }
}

static void a_key_of_three_words_is_read_and_told_with_its_place(void **state)
{
    loaded own;
    (void)state;
    load(
        &own,
        "nng:\n  rep: {url: '', contexts: 64}\n  push:\n    topic: site\nhttp: {tls: {key: k.pem, certificate: 'c.pem'}}\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_string_equal(weir_config_setting(&own.config, "nng", "rep.url"), "");
    assert_string_equal(weir_config_setting(&own.config, "nng", "push.topic"), "site");
    assert_string_equal(weir_config_setting(&own.config, "http", "tls.key"), "k.pem");
    assert_int_equal(weir_config_number(&own.config, WEIR_KEY_nng_rep_contexts), 64);
    weir_config_fini(&own.config);
    refused_at("nng:\n  rep: {contexts: 63}\n", 2, 19, "nng.rep.contexts");
    refused_at("http:\n  tls:\n    key: k.pem\n", 3, 10, "http.tls.certificate");
    refused_at("nng:\n  rep:\n    uri: x\n", 3, 5, "no key");
}

static void the_engine_gets_what_the_keys_say(void **state)
{
    weir_engine_config engine;
    weir_config config;
    weir_fault fault;
    (void)state;
    assert_int_equal(weir_config_init(&config), WEIR_OK);
    assert_int_equal(weir_config_set_pair(&config, "sync=thread", &fault), WEIR_OK);
    assert_int_equal(weir_config_set_pair(&config, "limits.topics_max=7", &fault), WEIR_OK);
    assert_int_equal(weir_config_set_pair(&config, "live_durability=os", &fault), WEIR_OK);
    weir_config_engine(&config, &engine);
    assert_int_equal(engine.sync, WEIR_SYNC_THREAD);
    assert_int_equal(engine.journal_inline_bytes_max, 256 << 10);
    assert_int_equal(engine.limits.topics_max, 7);
    assert_int_equal(engine.live_durability, WEIR_LEVEL_OS);
    assert_int_equal(engine.journal_file_bytes, 64 << 20);
    assert_string_equal(engine.data_dir, "./var/data");
    weir_config_fini(&config);
}

static void a_missing_file_is_not_found(void **state)
{
    weir_config config;
    weir_fault fault = {.err = WEIR_OK};
    (void)state;
    assert_int_equal(weir_config_init(&config), WEIR_OK);
    assert_int_not_equal(weir_config_load_file(&config, "/no/such/weir.yaml", &fault), WEIR_OK);
    assert_int_equal(fault.err, WEIR_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/no/such/weir.yaml"));
    weir_config_fini(&config);
}

static void words_are_as_far_apart_as_their_edits(void **state)
{
    char long_word[200];
    (void)state;
    assert_int_equal(weir_word_distance("port", "port"), 0);
    assert_int_equal(weir_word_distance("prt", "port"), 1);
    assert_int_equal(weir_word_distance("", "port"), 4);
    assert_int_equal(weir_word_distance("kitten", "sitting"), 3);
    memset(long_word, 'x', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    assert_true(weir_word_distance("port", long_word) > 10);
    assert_true(weir_word_distance(long_word, "port") > 10);
}

static void a_file_declares_groups_and_queues(void **state)
{
    loaded own;
    (void)state;
    load(&own, "topics:\n"
               "  - {name: jobs, kind: queue, partitions: 2}\n"
               "  - {name: orders, kind: log, retention_unsettled: keep}\n"
               "  - name: dead\n"
               "groups:\n"
               "  - {name: billing, topics: [orders, dead], mode: at-most-once, start: end}\n"
               "  - {name: alarms, model: queue, filter: 'plant/+/alarm', lease_ms: -1,\n"
               "     dead_letter: dead, delivery_limit: 3, removed: error}\n"
               "  - {name: jobs, model: queue, lease_ms: 5000, max_records: 9,\n"
               "     overflow: drop-oldest}\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_int_equal(own.config.topics[0].options.kind, WEIR_KIND_QUEUE);
    assert_int_equal(own.config.topics[1].options.kind, WEIR_KIND_LOG);
    assert_int_equal(own.config.topics[2].options.kind, WEIR_KIND_DEFAULT);
    assert_int_equal(own.config.topics[1].options.retention_unsettled, WEIR_UNSETTLED_KEEP);
    assert_int_equal(own.config.group_count, 3);
    const weir_group_options *billing = &own.config.groups[0].options;
    assert_int_equal(billing->topic_count, 2);
    assert_true(weir_bytes_equal(billing->topics[1], weir_bytes_of("dead")));
    assert_int_equal(billing->mode, WEIR_MODE_AT_MOST_ONCE);
    assert_int_equal(billing->start, WEIR_PLACE_END);
    assert_int_equal(billing->model, WEIR_MODEL_DEFAULT);
    const weir_group_options *alarms = &own.config.groups[1].options;
    assert_true(weir_bytes_equal(alarms->filter, weir_bytes_of("plant/+/alarm")));
    assert_true(weir_bytes_equal(alarms->dead_letter, weir_bytes_of("dead")));
    assert_int_equal(alarms->lease_ms, -1);
    assert_int_equal(alarms->delivery_limit, 3);
    assert_int_equal(alarms->removed, WEIR_PLACE_ERROR);
    assert_int_equal(own.config.groups[2].options.max_records, 9);
    assert_int_equal(own.config.groups[2].options.overflow, WEIR_OVERFLOW_DROP_OLDEST);
    assert_false(weir_config_group_of_queue(&own.config, &own.config.groups[1]));
    assert_true(weir_config_group_of_queue(&own.config, &own.config.groups[2]));
    weir_config_fini(&own.config);
}

static void a_retention_may_be_unlimited_or_nothing(void **state)
{
    loaded own;
    (void)state;
    load(&own, "topics:\n"
               "  - {name: a, retention_ms: unlimited, retention_bytes: 0}\n"
               "  - {name: b, retention_ms: 0, retention_bytes: -1, segment_bytes: 0}\n");
    assert_int_equal(own.err, WEIR_OK);
    assert_int_equal(own.config.topics[0].options.retention_ms, WEIR_UNLIMITED);
    assert_int_equal(own.config.topics[0].options.retention_bytes, 1);
    assert_int_equal(own.config.topics[1].options.retention_ms, 1);
    assert_int_equal(own.config.topics[1].options.retention_bytes, WEIR_UNLIMITED);
    assert_int_equal(own.config.topics[1].options.segment_bytes, 0);
    weir_config_fini(&own.config);
    refused_at("topics:\n  - {name: a, retention_ms: never}\n", 2, 29, "or unlimited (-1)");
    refused_at("topics:\n  - {name: a, segment_bytes: unlimited}\n", 2, 30, "4096 to");
}

static void what_no_group_can_be_is_told_with_its_place(void **state)
{
    (void)state;
    refused_at("groups:\n  - {name: g, topics: [a], model: heap}\n", 2, 35, "stream or queue");
    refused_at("groups:\n  - {name: g, topics: [a], mode: twice}\n", 2, 34, "at-most-once");
    refused_at("groups:\n  - {name: g, topics: [a], mode: exactly-once}\n", 2, 34, "at-least-once");
    refused_at("groups:\n  - {name: g, topics: [a], lease_ms: 5000}\n", 2, 38, "model: queue");
    refused_at("groups:\n  - {name: g, topics: [a], session_ms: 1}\n", 2, 40, "1000");
    refused_at("groups:\n  - {name: g, model: queue, topics: [a], overflow: 2}\n", 2, 52,
               "drop-oldest");
    refused_at("topics:\n  - {name: t, retention_unsettled: 2}\n", 2, 36, "expire or keep");
    refused_at("groups:\n  - {name: g, topics: [a], start: error}\n", 2, 35, "beginning or end");
    refused_at("groups:\n  - {name: g, topics: [a], filter: '#'}\n", 2, 5, "one of them");
    refused_at("groups:\n  - name: g\n", 2, 5, "one of them");
    refused_at("groups:\n  - {name: a/b, topics: [a]}\n", 2, 5, "without /");
    refused_at("groups:\n  - {name: g, topics: [a]}\n  - {name: g, topics: [b]}\n", 3, 5,
               "second time");
    refused_at("groups:\n  - {name: g, topics: ['a/+']}\n", 2, 5, "legal name");
    refused_at("topics:\n  - {name: q, kind: queue}\ngroups:\n  - {name: g, topics: [q]}\n", 4, 5,
               "group of its own name");
    refused_at("topics:\n  - {name: q, kind: queue}\ngroups:\n  - {name: q, topics: [q]}\n", 4, 5,
               "topic's own");
    refused_at("topics:\n  - {name: q, kind: heap}\n", 2, 21, "log or queue");
    refused_at("topics:\n  - {name: q, kind: queue, cleanup: compact}\n", 2, 37, "compacted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_every_key_has_its_default),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(a_file_sets_keys_topics_and_adapters),
        cmocka_unit_test(a_mistake_is_told_with_its_line_and_column),
        cmocka_unit_test(an_unknown_key_is_refused_and_a_near_one_named),
        cmocka_unit_test(what_is_not_yaml_or_of_another_shape_is_refused),
        cmocka_unit_test(an_alias_is_refused),
        cmocka_unit_test(a_file_one_byte_over_its_limit_is_refused),
        cmocka_unit_test(an_address_beyond_loopback_needs_insecure),
        cmocka_unit_test(nested_topics_both_have_to_say_so),
        cmocka_unit_test(a_file_declares_groups_and_queues),
        cmocka_unit_test(a_retention_may_be_unlimited_or_nothing),
        cmocka_unit_test(what_no_group_can_be_is_told_with_its_place),
        cmocka_unit_test(two_adapters_of_one_name_are_refused),
        cmocka_unit_test(set_overrides_the_file),
        cmocka_unit_test(a_wrong_set_changes_nothing_and_says_what_is_right),
        cmocka_unit_test(each_number_is_taken_at_its_bounds_and_refused_one_over),
        cmocka_unit_test(keys_that_share_a_word_are_neighbours),
        cmocka_unit_test(a_key_of_three_words_is_read_and_told_with_its_place),
        cmocka_unit_test(the_engine_gets_what_the_keys_say),
        cmocka_unit_test(a_missing_file_is_not_found),
        cmocka_unit_test(words_are_as_far_apart_as_their_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
