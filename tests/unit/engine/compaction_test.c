/* Compaction in the engine: what readers see, what a kill leaves, when old files go. */
#include "tests/unit/engine/life.h"

#include "core/engine/ops.h"

enum { KEYS = LIFE_KEYS, ROUNDS = 30, FEW = 40 };

static const int64_t MONTH_MS = INT64_C(30) * 24 * 3600 * 1000;
static const int64_t HOUR_MS = INT64_C(3600) * 1000;

/* Reads the topic from its start by fetches; every offset rises; returns the records, and for each
 * key the round of the last one. */
static int read_by_fetch(life_fixture *l, int last_round[KEYS])
{
    int records = 0;
    int64_t at = life_bounds(l, "t", 0).start_offset, before = -1;
    for (int k = 0; k < KEYS; k++) {
        last_round[k] = -1;
    }
    for (;;) {
        weir_completion done = fetch(l->f.port, "t", 0, at, 0);
        assert_int_equal(done.err, WEIR_OK);
        if (done.fetched.run_count == 0) {
            assert_int_equal(at, done.fetched.end_offset);
            weir_completion_drop(&done);
            return records;
        }
        for (uint32_t i = 0; i < done.fetched.run_count; i++) {
            const weir_run *run = &done.fetched.runs[i];
            for (uint32_t n = 0; n < run->count; n++) {
                weir_record record;
                int round = 0, key = 0;
                weir_chunk_record(run->chunk, run->first + n, &record);
                assert_true(record.offset >= at && record.offset > before);
                assert_int_equal(sscanf((const char *)record.value.ptr, "%d.%d ", &round, &key), 2);
                assert_true(round > last_round[key]);
                last_round[key] = round;
                before = record.offset;
                records++;
            }
        }
        at = before + 1;
        weir_completion_drop(&done);
    }
}

static void compacted_topic(life_fixture *l)
{
    life_begin(l);
    l->f.config.limits.tail_bytes_max = 1 << 20;
    weir_topic_options options = {.partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT};
    assert_int_equal(declare_with(l->f.port, "t", options), WEIR_OK);
    life_fill_keys(l, 0, ROUNDS);
    life_checkpoints(l, 1);
    life_until_compacted(l, 1);
}

static void the_newest_record_of_each_key_is_read_before_and_after_restarts(void **state)
{
    life_fixture l;
    int last[KEYS];
    (void)state;
    compacted_topic(&l);
    for (int how = 0; how < 4; how++) {
        if (how == 1) {
            fixture_kill(&l.f); /* no checkpoint names what was made: the old ones are in force */
            fixture_open(&l.f);
        } else if (how == 2) {
            fixture_close(&l.f);
            fixture_open(&l.f);
        } else if (how == 3) {
            life_steps(&l, 400); /* compacted, where it was not, and a checkpoint of that */
            fixture_kill(&l.f);
            fixture_open(&l.f); /* the tail is gone: what is read are the segments */
        }
        int records = read_by_fetch(&l, last);
        assert_true(records >= KEYS && records <= ROUNDS * KEYS);
        for (int k = 0; k < KEYS; k++) {
            assert_int_equal(last[k], ROUNDS - 1);
        }
        if (how == 3) {
            assert_true(records < ROUNDS * KEYS / 2);
        }
    }
    life_end(&l);
}

/* Three rounds, which a checkpoint carries; its segments are a month's. */
static void little_topic(life_fixture *l)
{
    life_begin(l);
    fixture_close(&l->f);
    l->f.config.checkpoint_bytes = 1 << 20; /* carries all of it */
    fixture_open(&l->f);
    weir_topic_options options = {
        .partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT, .segment_ms = MONTH_MS};
    assert_int_equal(declare_with(l->f.port, "t", options), WEIR_OK);
    life_fill_keys(l, 0, 3);
}

static void what_is_too_little_for_a_segment_is_compacted_at_a_segments_age(void **state)
{
    life_fixture l;
    int last[KEYS];
    (void)state;
    little_topic(&l);
    life_checkpoints(&l, 1);
    assert_int_equal(life_files(&l, 1, 0, ".log"), 0);
    life_turn_clock(MONTH_MS);
    life_until_compacted(&l, 1);
    assert_int_equal(life_stats(&l).records_compacted, 2 * KEYS);
    publish_ok(l.f.port, "t/k0", "3.0 ");
    fixture_close(&l.f);
    fixture_open(&l.f); /* what memory had is gone */
    assert_int_equal(read_by_fetch(&l, last), KEYS + 1);
    life_end(&l);
}

/* A walk finds it due while a checkpoint is being written that has passed it by, and no other is wanted. */
static void what_becomes_due_while_a_checkpoint_is_written_is_compacted_too(void **state)
{
    life_fixture l;
    (void)state;
    little_topic(&l);
    for (int i = 0; i == 0 || weir_save_wanted(l.f.engine); i++) {
        assert_true(i < LIFE_TURNS_MAX);
        life_turn_clock(61000);
        (void)weir_port_wait(l.f.port, 1);
    }
    weir_partition *partition = weir_topics_find(l.f.engine, WEIR_TEXT("t"))->partitions[0];
    assert_int_equal(partition->flushed_offset, 0);
    weir_unflushed_due(l.f.engine, partition);
    life_turn_clock(MONTH_MS);
    life_until_compacted(&l, 1);
    assert_int_equal(life_stats(&l).records_compacted, 2 * KEYS);
    life_end(&l);
}

static void a_subscriber_from_the_beginning_gets_every_key_and_no_gap(void **state)
{
    life_fixture l;
    int last[KEYS], records = 0, waited = 0;
    (void)state;
    compacted_topic(&l);
    life_checkpoints(&l, 1);
    fixture_close(&l.f);
    fixture_open(&l.f);
    for (int k = 0; k < KEYS; k++) {
        last[k] = -1;
    }
    weir_subscriber *subscriber = subscriber_open(l.f.port, 1000000);
    weir_subscribe wanted = {
        .filter = WEIR_TEXT("t/+"), .start = WEIR_START_BEGINNING, .until_end = true};
    subscribe_with(l.f.port, subscriber, &wanted);
    for (bool ended = false; !ended; waited++) {
        weir_completion got = next_on(l.f.port);
        assert_true(waited < 10000);
        if (got.type == WEIR_COMPLETION_NOTICE) {
            assert_int_equal(got.notice.kind, WEIR_NOTICE_ENDED);
            ended = true;
        }
        for (uint32_t i = 0; got.type == WEIR_COMPLETION_DELIVERY && i < got.delivery.count; i++) {
            weir_record record;
            int round = 0, key = 0;
            weir_chunk_record(got.delivery.chunk, got.delivery.first + i, &record);
            assert_int_equal(sscanf((const char *)record.value.ptr, "%d.%d ", &round, &key), 2);
            assert_true(round > last[key]);
            last[key] = round;
            records++;
        }
        weir_completion_drop(&got);
    }
    assert_true(records < ROUNDS * KEYS);
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(last[k], ROUNDS - 1);
    }
    life_end(&l);
}

static void old_files_go_when_every_checkpoint_names_the_new_ones(void **state)
{
    life_fixture l;
    int last[KEYS];
    (void)state;
    compacted_topic(&l);
    unsigned both = life_files(&l, 1, 0, ".log");
    int64_t end = wait_end();
    while (life_files(&l, 1, 0, ".log") > both / 2 && wait_goes_on(end)) {
        publish_ok(l.f.port, "t/k0", "99.0 x");
        life_turn_clock(61000);
        (void)weir_port_wait(l.f.port, 1);
    }
    assert_true(life_files(&l, 1, 0, ".log") <= both / 2);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    (void)weir_port_step(l.f.port);
    int64_t start = life_bounds(&l, "t", 0).start_offset;
    assert_int_equal(start, 0); /* compaction moves no start */
    (void)last;
    weir_completion done = fetch(l.f.port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_completion_drop(&done);
    life_end(&l);
}

static void records_younger_than_min_compaction_lag_ms_stay(void **state)
{
    life_fixture l;
    int last[KEYS];
    (void)state;
    life_begin(&l);
    weir_topic_options options = {
        .partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT, .min_compaction_lag_ms = 864000000};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    life_fill_keys(&l, 0, ROUNDS);
    life_checkpoints(&l, 1);
    life_steps(&l, 50);
    assert_int_equal(life_stats(&l).compactions, 0);
    assert_int_equal(read_by_fetch(&l, last), ROUNDS * KEYS);
    life_turn_clock(864000000);
    life_until_compacted(&l, 1);
    life_end(&l);
}

static void a_topic_deleted_in_the_midst_of_a_compaction_is_gone(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    weir_topic_options options = {.partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT};
    assert_int_equal(declare_with(l.f.port, "t", options), WEIR_OK);
    life_fill_keys(&l, 0, ROUNDS);
    life_checkpoints(&l, 1);
    life_turn_clock(1001);
    weir_port_step(l.f.port);
    weir_port_step(l.f.port);
    assert_int_equal(weir_port_topic_delete(l.f.port, WEIR_TEXT("t"), NULL, 8), WEIR_OK);
    weir_completion done = next_of(l.f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    life_steps(&l, 20);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(publish_ok(l.f.port, "t/k0", "0.0 new"), 0);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_record(l.f.port, "t", 0, "k0", "0.0 new");
    life_end(&l);
}

static void trims_and_compaction_of_one_partition_do_not_hurt_each_other(void **state)
{
    life_fixture l;
    int last[KEYS];
    (void)state;
    compacted_topic(&l);
    int64_t end = life_bounds(&l, "t", 0).end_offset;
    for (int i = 0; i < 6; i++) {
        life_fill_keys(&l, ROUNDS + i * 5, 5);
        assert_int_equal(life_trim(&l, "t", end / 2 + i * 7), WEIR_OK);
        life_checkpoints(&l, 1);
        life_steps(&l, 3);
    }
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, end / 2 + 35);
    (void)read_by_fetch(&l, last);
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(last[k], ROUNDS + 29);
    }
    life_end(&l);
}

/* Records of keys of their own, and one that is deleted at once. */
static void few_with_a_tombstone(life_fixture *l, const char *deleted)
{
    char name[48], value[300];
    weir_publish tombstone = {.name = weir_bytes_of(deleted)};
    snprintf(value, sizeof(value), "%250s", "");
    publish_ok(l->f.port, deleted, value);
    weir_completion done = publish_record(l->f.port, &tombstone);
    assert_int_equal(done.err, WEIR_OK);
    for (int i = 0; i < FEW; i++) {
        snprintf(name, sizeof(name), "%s%d", deleted, i);
        publish_ok(l->f.port, name, value);
    }
}

/* All of it in closed segments, compacted at once, with tombstones that go hours later. */
static void clean_topic(life_fixture *l)
{
    life_begin(l);
    weir_topic_options options = {.partitions = 1,
                                  .cleanup = WEIR_CLEANUP_COMPACT,
                                  .segment_ms = HOUR_MS,
                                  .min_compaction_lag_ms = MONTH_MS,
                                  .delete_retention_ms = 20 * HOUR_MS};
    assert_int_equal(declare_with(l->f.port, "t", options), WEIR_OK);
    few_with_a_tombstone(l, "t/a");
    life_turn_clock(5 * HOUR_MS);
    few_with_a_tombstone(l, "t/b");
    life_turn_clock(HOUR_MS);
    const weir_partition *partition = weir_topics_find(l->f.engine, WEIR_TEXT("t"))->partitions[0];
    for (int i = 0; partition->flushed_offset < partition->next_offset || partition->flush_due ||
                    !partition->segment_closed;
         i++) {
        assert_true(i < LIFE_TURNS_MAX);
        life_turn_clock(500);
        (void)weir_port_wait(l->f.port, 1);
    }
    assert_int_equal(life_stats(l).compactions, 0);
    assert_int_equal(life_alter(l, "t", (weir_topic_options){.min_compaction_lag_ms = 1}), WEIR_OK);
    life_until_compacted(l, 1);
    assert_int_equal(life_stats(l).records_compacted, 2); /* those that were deleted */
}

static void until_tombstones_are_gone(life_fixture *l, uint64_t count)
{
    uint64_t before = life_stats(l).records_compacted;
    life_until_compacted(l, life_stats(l).compactions + 1);
    assert_int_equal(life_stats(l).records_compacted, before + count);
}

static void tombstones_that_are_due_go_though_nothing_is_dirty(void **state)
{
    life_fixture l;
    (void)state;
    clean_topic(&l);
    uint64_t compactions = life_stats(&l).compactions;
    life_steps(&l, 20);
    assert_int_equal(life_stats(&l).compactions, compactions); /* their time has not come */
    life_turn_clock(20 * HOUR_MS);
    until_tombstones_are_gone(&l, 2);
    compactions = life_stats(&l).compactions;
    life_turn_clock(100 * HOUR_MS);
    life_steps(&l, 20);
    assert_int_equal(life_stats(&l).compactions, compactions); /* there are none left */
    life_end(&l);
}

static void tombstones_that_are_due_go_after_a_start_though_nothing_is_written(void **state)
{
    life_fixture l;
    (void)state;
    clean_topic(&l);
    fixture_close(&l.f);
    fixture_open(&l.f);
    life_turn_clock(20 * HOUR_MS);
    until_tombstones_are_gone(&l, 2);
    life_end(&l);
}

/* Else the later tombstones would be forgotten. */
static void tombstones_wait_until_all_that_was_compacted_can_be_again(void **state)
{
    life_fixture l;
    (void)state;
    clean_topic(&l);
    uint64_t compactions = life_stats(&l).compactions;
    assert_int_equal(
        life_alter(&l, "t", (weir_topic_options){.min_compaction_lag_ms = 24 * HOUR_MS}), WEIR_OK);
    life_turn_clock(20 * HOUR_MS); /* the records of t/b are 21 hours old, those of t/a 26 */
    life_steps(&l, 100);
    assert_int_equal(life_stats(&l).compactions, compactions);
    life_turn_clock(3 * HOUR_MS);
    until_tombstones_are_gone(&l, 2);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_record_of_each_key_is_read_before_and_after_restarts),
        cmocka_unit_test(what_is_too_little_for_a_segment_is_compacted_at_a_segments_age),
        cmocka_unit_test(what_becomes_due_while_a_checkpoint_is_written_is_compacted_too),
        cmocka_unit_test(a_subscriber_from_the_beginning_gets_every_key_and_no_gap),
        cmocka_unit_test(old_files_go_when_every_checkpoint_names_the_new_ones),
        cmocka_unit_test(records_younger_than_min_compaction_lag_ms_stay),
        cmocka_unit_test(a_topic_deleted_in_the_midst_of_a_compaction_is_gone),
        cmocka_unit_test(trims_and_compaction_of_one_partition_do_not_hurt_each_other),
        cmocka_unit_test(tombstones_that_are_due_go_though_nothing_is_dirty),
        cmocka_unit_test(tombstones_that_are_due_go_after_a_start_though_nothing_is_written),
        cmocka_unit_test(tombstones_wait_until_all_that_was_compacted_can_be_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
