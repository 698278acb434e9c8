/* Why records below a partition's start are gone: a command took them, or retention did. */
#include "core/base/varint.h"
#include "core/engine/ops.h"
#include "tests/unit/engine/life.h"

static weir_partition *partition_of(life_fixture *l)
{
    return weir_topics_find(l->f.engine, WEIR_TEXT("t"))->partitions[0];
}

static void reason_is(const weir_partition *partition, int64_t first, const char *reason,
                      int64_t last)
{
    int64_t end = INT64_MAX - 1;
    assert_string_equal(weir_trims_reason(partition, first, &end), reason);
    assert_int_equal(end, last);
}

static void what_is_gone_is_told_cause_by_cause(void **state)
{
    weir_partition partition = {.start_offset = 100};
    int64_t last = 200;
    (void)state;
    reason_is(&partition, 0, "retention", 99);
    assert_int_equal(weir_trims_reserve(&partition), WEIR_OK);
    weir_trims_add(&partition, &(weir_trimmed){10, 20, 1});
    weir_trims_add(&partition, &(weir_trimmed){20, 30, 2});
    weir_trims_add(&partition, &(weir_trimmed){50, 100, 3});
    reason_is(&partition, 0, "retention", 9);
    reason_is(&partition, 15, "trimmed", 19);
    reason_is(&partition, 20, "trimmed", 29);
    reason_is(&partition, 30, "retention", 49);
    reason_is(&partition, 99, "trimmed", 99);
    assert_null(weir_trims_reason(&partition, 100, &last));
    assert_int_equal(last, 200);
    assert_int_equal(weir_trims_find(&partition, 29)->time_ms, 2);
    last = 12;
    assert_string_equal(weir_trims_reason(&partition, 11, &last), "trimmed");
    assert_int_equal(last, 12); /* it is never raised */
    weir_trims_forget(&partition);
    reason_is(&partition, 15, "retention", 99);
}

static void only_the_newest_trims_are_kept(void **state)
{
    weir_partition partition = {.start_offset = 10 * (WEIR_TRIMS_MAX + 1)};
    (void)state;
    assert_int_equal(weir_trims_reserve(&partition), WEIR_OK);
    for (int64_t i = 0; i <= WEIR_TRIMS_MAX; i++) {
        weir_trims_add(&partition, &(weir_trimmed){10 * i, 10 * i + 5, i});
    }
    assert_int_equal(partition.trim_count, WEIR_TRIMS_MAX);
    reason_is(&partition, 0, "retention", 9);
    reason_is(&partition, 10, "trimmed", 14);
    weir_trims_forget(&partition);
}

static void a_trim_is_known_as_one_after_a_kill_and_from_a_checkpoint(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 30, 1000, &number);
    assert_int_equal(life_trim(&l, "t", 5), WEIR_OK);
    assert_int_equal(life_trim(&l, "t", 17), WEIR_OK);
    int64_t time_ms = weir_trims_find(partition_of(&l), 16)->time_ms;
    for (int round = 0; round < 3; round++) {
        const weir_partition *partition = partition_of(&l);
        assert_int_equal(partition->trim_count, 2);
        reason_is(partition, 0, "trimmed", 4);
        reason_is(partition, 5, "trimmed", 16);
        assert_int_equal(weir_trims_find(partition, 16)->time_ms, time_ms);
        if (round == 1) {
            fixture_close(&l.f); /* nothing is replayed then: a checkpoint has it */
        } else {
            fixture_kill(&l.f);
        }
        fixture_open(&l.f);
    }
    assert_int_equal(life_trim(&l, "t", 20), WEIR_OK);
    reason_is(partition_of(&l), 17, "trimmed", 19);
    life_end(&l);
}

/* Entry 9 as each version has it; `cause`: of version 2. */
static weir_err replayed(life_fixture *l, uint8_t version, int64_t start, uint8_t cause)
{
    uint8_t body[20] = {0};
    weir_put_u32(body, partition_of(l)->topic->id);
    weir_put_u64(body + 8, (uint64_t)start);
    body[16] = cause;
    return weir_life_replay_trim(l->f.engine, (weir_bytes){body, version == 1 ? 16 : 20}, version,
                                 7);
}

static void a_trim_of_the_first_version_reads_as_retention(void **state)
{
    life_fixture l;
    int number = 0;
    int64_t start;
    (void)state;
    life_begin(&l);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill(&l, "t/a", 30, 1000, &number);
    assert_int_equal(replayed(&l, 1, 5, 0), WEIR_OK);
    reason_is(partition_of(&l), 0, "retention", 4);
    assert_int_equal(replayed(&l, 2, 8, 1), WEIR_OK);
    reason_is(partition_of(&l), 5, "retention", 7);
    assert_int_equal(replayed(&l, 2, 12, 2), WEIR_OK);
    reason_is(partition_of(&l), 0, "retention", 7);
    reason_is(partition_of(&l), 8, "trimmed", 11);
    assert_int_equal(weir_trims_find(partition_of(&l), 8)->time_ms, 7);
    assert_int_equal(replayed(&l, 2, 13, 3), WEIR_VERSION); /* of a later version */
    assert_int_equal(replayed(&l, 2, 11, 2), WEIR_DAMAGED); /* a start only rises */
    assert_int_equal(partition_of(&l)->start_offset, 12);
    const uint8_t cut[20] = {0};
    assert_int_equal(weir_life_trim_start((weir_bytes){cut, 16}, 2, &start), WEIR_DAMAGED);
    assert_int_equal(weir_life_trim_start((weir_bytes){cut, 20}, 1, &start), WEIR_DAMAGED);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_gone_is_told_cause_by_cause),
        cmocka_unit_test(only_the_newest_trims_are_kept),
        cmocka_unit_test(a_trim_is_known_as_one_after_a_kill_and_from_a_checkpoint),
        cmocka_unit_test(a_trim_of_the_first_version_reads_as_retention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
