/* Adding partitions to a topic that lives: where keys go, and in which order readers get them. */
#include "tests/unit/engine/life.h"

enum { KEYS = 40 };

static void publish_round(life_fixture *l, int round)
{
    for (int k = 0; k < KEYS; k++) {
        char name[32], value[32];
        snprintf(name, sizeof(name), "t/key%d", k);
        snprintf(value, sizeof(value), "%d.%d", round, k);
        publish_ok(l->f.port, name, value);
    }
}

static void grow(life_fixture *l, uint32_t partitions)
{
    assert_int_equal(life_alter(l, "t", (weir_topic_options){.partitions = partitions}), WEIR_OK);
}

typedef struct seen {
    int next[KEYS]; /* the round that comes next for the key */
    int records;
    bool wrong;
} seen;

static void see(seen *s, const weir_completion *got)
{
    for (uint32_t i = 0; i < got->delivery.count; i++) {
        weir_record record;
        int round = 0, key = 0;
        weir_chunk_record(got->delivery.chunk, got->delivery.first + i, &record);
        assert_int_equal(sscanf((const char *)record.value.ptr, "%d.%d", &round, &key), 2);
        s->wrong |= round != s->next[key];
        s->next[key] = round + 1;
        s->records++;
    }
}

static weir_subscriber *reader_open(life_fixture *l, const char *filter, uint64_t credit)
{
    weir_subscriber *subscriber = subscriber_open(l->f.port, credit);
    weir_subscribe wanted = {.filter = weir_bytes_of(filter), .start = WEIR_START_BEGINNING};
    subscribe_with(l->f.port, subscriber, &wanted);
    return subscriber;
}

static void read_until(life_fixture *l, seen *s, int records)
{
    while (s->records < records) {
        weir_completion got = next_of(l->f.port, WEIR_COMPLETION_DELIVERY);
        see(s, &got);
        weir_completion_drop(&got);
    }
}

static void a_reader_gets_a_keys_older_records_before_its_newer_ones(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    publish_round(&l, 0);
    grow(&l, 3);
    publish_round(&l, 1);
    publish_round(&l, 2);
    grow(&l, 4); /* keys move between old partitions, too */
    publish_round(&l, 3);
    for (int how = 0; how < 3; how++) {
        seen s = {0};
        /* Few at a time, so that the order comes from the epochs and not from luck. */
        weir_subscriber *subscriber = reader_open(&l, how == 1 ? "t/+" : "t/#", 3);
        while (s.records < 4 * KEYS) {
            weir_completion got = next_of(l.f.port, WEIR_COMPLETION_DELIVERY);
            see(&s, &got);
            assert_int_equal(weir_port_credit(l.f.port, subscriber, got.delivery.count, UINT64_MAX),
                             WEIR_OK);
            weir_completion_drop(&got);
        }
        assert_false(s.wrong);
        assert_int_equal(s.records, 4 * KEYS);
        if (how == 0) {
            fixture_kill(&l.f); /* epochs from the journal */
        } else {
            fixture_close(&l.f); /* and from a checkpoint */
        }
        fixture_open(&l.f);
    }
    life_end(&l);
}

static void a_reader_that_was_there_meets_the_new_partitions(void **state)
{
    life_fixture l;
    seen s = {0};
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    weir_subscriber *subscriber = reader_open(&l, "t/#", 1000000);
    (void)subscriber;
    weir_publish record = {.name = WEIR_TEXT("t/key0"), .value = WEIR_TEXT("0.0")};
    assert_int_equal(weir_port_publish(l.f.port, &record, NULL, 1), WEIR_OK);
    weir_topic_options change = {.partitions = 5};
    assert_int_equal(weir_port_topic_alter(l.f.port, WEIR_TEXT("t"), &change, NULL, 2), WEIR_OK);
    for (int k = 0; k < KEYS; k++) {
        char name[32], value[32];
        snprintf(name, sizeof(name), "t/key%d", k);
        snprintf(value, sizeof(value), "%d.%d", k == 0 ? 1 : 0, k);
        weir_publish more = {.name = weir_bytes_of(name), .value = weir_bytes_of(value)};
        assert_int_equal(weir_port_publish(l.f.port, &more, NULL, 3), WEIR_OK);
    }
    for (int answers = 0; answers < KEYS + 2 || s.records < KEYS + 1;) {
        weir_completion got = next_on(l.f.port);
        if (got.type == WEIR_COMPLETION_DELIVERY) {
            see(&s, &got);
        } else {
            assert_int_equal(got.err, WEIR_OK);
            answers++;
        }
        weir_completion_drop(&got);
    }
    assert_false(s.wrong);
    weir_completion last = fetch(l.f.port, "t", 4, 0, 0);
    assert_int_equal(last.err, WEIR_OK);
    weir_completion_drop(&last);
    life_end(&l);
}

static void partitions_are_only_added(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    weir_topic_options options = {.partitions = 4};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.partitions = 3}), WEIR_INVALID);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.partitions = 4}), WEIR_OK);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.partitions = 1 << 20}), WEIR_LIMIT);
    assert_int_equal(life_alter(&l, "t", (weir_topic_options){.partitions = 6}), WEIR_OK);
    assert_int_equal(life_bounds(&l, "t", 5).end_offset, 0);
    life_end(&l);
}

static void trimming_what_is_below_an_epoch_lets_readers_go_on(void **state)
{
    life_fixture l;
    seen s = {0};
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    publish_round(&l, 0);
    grow(&l, 2);
    publish_round(&l, 1);
    assert_int_equal(life_trim(&l, "t", KEYS), WEIR_OK); /* all of partition 0 before the epoch */
    weir_subscriber *subscriber = reader_open(&l, "t/#", 1000000);
    (void)subscriber;
    for (int k = 0; k < KEYS; k++) {
        s.next[k] = 1;
    }
    read_until(&l, &s, KEYS);
    assert_false(s.wrong);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_gets_a_keys_older_records_before_its_newer_ones),
        cmocka_unit_test(a_reader_that_was_there_meets_the_new_partitions),
        cmocka_unit_test(partitions_are_only_added),
        cmocka_unit_test(trimming_what_is_below_an_epoch_lets_readers_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
