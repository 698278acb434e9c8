/* The parts of groups: topics come, grow and go; starts move; groups are moved. Whatever happens,
 * the counters add up [G1]. */
#include "tests/unit/engine/group.h"
#include "tests/unit/engine/life.h"

static void setup(fixture *f)
{
    fixture_begin(f);
    declare(f->port, "a", WEIR_LEVEL_OS);
}

static void restart(fixture *f)
{
    fixture_kill(f);
    fixture_open(f);
}

static uint32_t partition_count(fixture *f, const char *name)
{
    weir_completion done = group_of(f->port, name);
    uint32_t count = done.groups.groups[0].partition_count;
    weir_completion_drop(&done);
    return count;
}

static void a_group_begins_at_the_beginning_or_at_the_end(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    publish_many(f.port, "a", 5);
    weir_bytes topics[] = {weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 1};
    assert_int_equal(group_create_with(f.port, "begin", &options), WEIR_OK);
    options.start = WEIR_PLACE_END;
    assert_int_equal(group_create_with(f.port, "end", &options), WEIR_OK);
    publish_many(f.port, "a", 2);
    for (int round = 0; round < 2; round++) {
        weir_group_partition begin = group_partition(f.port, "begin", 0);
        weir_group_partition end = group_partition(f.port, "end", 0);
        assert_int_equal(begin.start, 0);
        assert_int_equal(begin.lag, 7);
        assert_true(begin.lag_ms > 0);
        assert_int_equal(end.start, 5);
        assert_int_equal(end.committed, 5);
        assert_int_equal(end.lag, 2);
        assert_int_equal(end.fates[WEIR_FATE_PENDING], 2);
        group_adds_up(f.port, "begin");
        group_adds_up(f.port, "end");
        restart(&f);
    }
    fixture_end(&f);
}

static void a_filter_group_reads_topics_declared_later_from_their_beginning(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    assert_int_equal(group_create_filter(f.port, "g", "plant/+/temp", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(partition_count(&f, "g"), 0);
    declare(f.port, "plant", WEIR_LEVEL_OS);
    declare(f.port, "other", WEIR_LEVEL_OS);
    publish_many(f.port, "plant/x/temp", 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(partition_count(&f, "g"), 1);
        weir_group_partition part = group_partition(f.port, "g", 0);
        assert_int_equal(part.start, 0);
        assert_int_equal(part.end, 3);
        group_adds_up(f.port, "g");
        restart(&f);
    }
    fixture_end(&f);
}

static void a_topic_that_grows_grows_its_groups(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    weir_topic_options more = {.partitions = 70};
    assert_int_equal(weir_port_topic_alter(f.port, weir_bytes_of("a"), &more, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    assert_int_equal(partition_count(&f, "g"), 70);
    restart(&f);
    assert_int_equal(partition_count(&f, "g"), 70);
    assert_int_equal(group_partition(f.port, "g", 69).partition, 69);
    group_adds_up(f.port, "g");
    fixture_end(&f);
}

static void what_a_deleted_topic_had_is_counted_for_ever(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    declare(f.port, "b", WEIR_LEVEL_OS);
    weir_bytes topics[] = {weir_bytes_of("a"), weir_bytes_of("b")};
    weir_group_options options = {.topics = topics, .topic_count = 2};
    publish_many(f.port, "a", 4);
    publish_many(f.port, "b", 2);
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    assert_int_equal(topic_delete(f.port, "a"), WEIR_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(partition_count(&f, "g"), 1);
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_TOPIC_DELETED), 4);
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_PENDING), 2);
        group_adds_up(f.port, "g");
        restart(&f);
    }
    declare(f.port, "a", WEIR_LEVEL_OS); /* another of that name, read from its beginning */
    publish_many(f.port, "a", 1);
    assert_int_equal(partition_count(&f, "g"), 2);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_PENDING), 3);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_TOPIC_DELETED), 4);
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_int_equal(stats.fate_topic_deleted, 4); /* over the restarts */
    assert_int_equal(stats.groups, 1);
    fixture_end(&f);
}

static void what_retention_removes_before_it_is_read_has_expired(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    publish_many(f.port, "a", 10);
    assert_int_equal(topic_trim(f.port, "a", 6), WEIR_OK);
    for (int round = 0; round < 2; round++) {
        weir_group_partition part = group_partition(f.port, "g", 0);
        assert_int_equal(part.start, 0);
        assert_int_equal(part.committed, 6);
        assert_int_equal(part.lag, 4);
        assert_int_equal(part.fates[WEIR_FATE_EXPIRED], 6);
        assert_int_equal(part.fates[WEIR_FATE_PENDING], 4);
        group_adds_up(f.port, "g");
        restart(&f);
    }
    assert_int_equal(topic_trim(f.port, "a", 8), WEIR_OK);
    assert_int_equal(group_partition(f.port, "g", 0).fates[WEIR_FATE_EXPIRED], 8);
    fixture_end(&f);
}

static void a_group_whose_place_was_removed_goes_to_the_end_when_told_so(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    weir_bytes topics[] = {weir_bytes_of("a")};
    weir_group_options options = {.topics = topics, .topic_count = 1, .removed = WEIR_PLACE_END};
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    publish_many(f.port, "a", 10);
    assert_int_equal(topic_trim(f.port, "a", 6), WEIR_OK);
    publish_many(f.port, "a", 1); /* another turn */
    for (int round = 0; round < 2; round++) {
        weir_completion done = group_of(f.port, "g");
        assert_int_equal(done.groups.groups[0].fates[WEIR_FATE_EXPIRED], 6);
        assert_int_equal(done.groups.groups[0].fates[WEIR_FATE_SKIPPED], 4);
        assert_int_equal(done.groups.groups[0].partitions[0].committed, 10);
        weir_completion_drop(&done);
        group_adds_up(f.port, "g");
        restart(&f);
    }
    fixture_end(&f);
}

static weir_err reset(fixture *f, weir_reset_kind kind, int64_t value, bool dry_run,
                      int64_t *committed)
{
    weir_reset wanted = {.group = weir_bytes_of("g"),
                         .partition = -1,
                         .kind = kind,
                         .value = value,
                         .dry_run = dry_run};
    assert_int_equal(weir_port_group_reset(f->port, &wanted, NULL, 7), WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_GROUP);
    weir_err err = done.err;
    *committed = err == WEIR_OK ? done.groups.groups[0].partitions[0].committed : -1;
    weir_completion_drop(&done);
    return err;
}

static void a_dry_run_tells_where_a_reset_goes_and_changes_nothing(void **state)
{
    fixture f;
    int64_t at = 0;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    publish_many(f.port, "a", 10);
    assert_int_equal(reset(&f, WEIR_RESET_END, 0, true, &at), WEIR_OK);
    assert_int_equal(at, 10);
    assert_int_equal(group_partition(f.port, "g", 0).committed, 0);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_SKIPPED), 0);
    assert_int_equal(reset(&f, WEIR_RESET_END, 0, false, &at), WEIR_OK);
    assert_int_equal(at, 10);
    assert_int_equal(group_partition(f.port, "g", 0).committed, 10);
    fixture_end(&f);
}

static void a_reset_goes_by_offset_shift_time_beginning_and_end(void **state)
{
    life_fixture l;
    int64_t at = 0;
    (void)state;
    life_begin(&l);
    fixture *f = &l.f;
    declare(f->port, "a", WEIR_LEVEL_OS);
    assert_int_equal(group_create(f->port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    publish_many(f->port, "a", 4);
    life_turn_clock(10000);
    weir_completion done = publish(f->port, "a", "later");
    int64_t later_ms = done.published.timestamp_ms;
    publish_many(f->port, "a", 3);
    assert_int_equal(reset(f, WEIR_RESET_OFFSET, 3, false, &at), WEIR_OK);
    assert_int_equal(at, 3);
    assert_int_equal(reset(f, WEIR_RESET_OFFSET, 9, false, &at), WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(reset(f, WEIR_RESET_OFFSET, -1, false, &at), WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(reset(f, WEIR_RESET_SHIFT, 2, false, &at), WEIR_OK);
    assert_int_equal(at, 5);
    assert_int_equal(reset(f, WEIR_RESET_SHIFT, -3, false, &at), WEIR_OK);
    assert_int_equal(at, 2);
    assert_int_equal(reset(f, WEIR_RESET_SHIFT, INT64_MIN, false, &at), WEIR_OK);
    assert_int_equal(at, 0);
    assert_int_equal(reset(f, WEIR_RESET_SHIFT, INT64_MAX, false, &at), WEIR_OK);
    assert_int_equal(at, 8);
    assert_int_equal(reset(f, WEIR_RESET_TIME, later_ms - 1000, false, &at), WEIR_OK);
    assert_int_equal(at, 4);
    assert_int_equal(reset(f, WEIR_RESET_TIME, 0, false, &at), WEIR_OK);
    assert_int_equal(at, 0);
    assert_int_equal(reset(f, WEIR_RESET_TIME, later_ms + 100000, false, &at), WEIR_OK);
    assert_int_equal(at, 8);
    assert_int_equal(reset(f, WEIR_RESET_BEGINNING, 0, false, &at), WEIR_OK);
    assert_int_equal(at, 0);
    group_adds_up(f->port, "g");
    life_end(&l);
}

static void what_a_reset_passes_over_is_skipped_and_counted_for_ever(void **state)
{
    fixture f;
    int64_t at = 0;
    (void)state;
    setup(&f);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    publish_many(f.port, "a", 10);
    assert_int_equal(reset(&f, WEIR_RESET_OFFSET, 7, false, &at), WEIR_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_SKIPPED), 7);
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_PENDING), 3);
        assert_int_equal(group_partition(f.port, "g", 0).start, 7);
        group_adds_up(f.port, "g");
        restart(&f);
    }
    assert_int_equal(reset(&f, WEIR_RESET_BEGINNING, 0, false, &at), WEIR_OK);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_PENDING), 10); /* again */
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_SKIPPED), 7);
    group_adds_up(f.port, "g");
    fixture_end(&f);
}

static void a_reset_of_what_the_group_does_not_read_is_not_found(void **state)
{
    fixture f;
    (void)state;
    setup(&f);
    declare(f.port, "b", WEIR_LEVEL_OS);
    assert_int_equal(group_create(f.port, "g", "a", WEIR_MODEL_STREAM), WEIR_OK);
    weir_reset wanted = {.group = weir_bytes_of("nobody"), .partition = -1, .kind = WEIR_RESET_END};
    assert_int_equal(group_reset(f.port, &wanted), WEIR_NOT_FOUND);
    wanted.group = weir_bytes_of("g");
    wanted.topic = weir_bytes_of("b");
    assert_int_equal(group_reset(f.port, &wanted), WEIR_NOT_FOUND);
    wanted.topic = weir_bytes_of("a");
    wanted.partition = 1;
    assert_int_equal(group_reset(f.port, &wanted), WEIR_NOT_FOUND);
    wanted.partition = 0;
    assert_int_equal(group_reset(f.port, &wanted), WEIR_OK);
    wanted.kind = 0;
    assert_int_equal(weir_port_group_reset(f.port, &wanted, NULL, 0), WEIR_INVALID);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_begins_at_the_beginning_or_at_the_end),
        cmocka_unit_test(a_filter_group_reads_topics_declared_later_from_their_beginning),
        cmocka_unit_test(a_topic_that_grows_grows_its_groups),
        cmocka_unit_test(what_a_deleted_topic_had_is_counted_for_ever),
        cmocka_unit_test(what_retention_removes_before_it_is_read_has_expired),
        cmocka_unit_test(a_group_whose_place_was_removed_goes_to_the_end_when_told_so),
        cmocka_unit_test(a_dry_run_tells_where_a_reset_goes_and_changes_nothing),
        cmocka_unit_test(a_reset_goes_by_offset_shift_time_beginning_and_end),
        cmocka_unit_test(what_a_reset_passes_over_is_skipped_and_counted_for_ever),
        cmocka_unit_test(a_reset_of_what_the_group_does_not_read_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
