/* `retention_unsettled: keep`: retention leaves what a group has not settled, or not committed, up to a
 * limit in bytes; beyond it the oldest expire all the same. */
#include "tests/unit/engine/group_queue.h"
#include "tests/unit/engine/life.h"

enum { RECORDS = 40, RECORD_BYTES = 1000 };

/* 40 records of 1 KB in segments of 4 KB, of which retention would leave 8 KB. */
static void kept_begin(life_fixture *l, int64_t unsettled, int64_t bytes)
{
    life_begin(l);
    weir_topic_options options = {.partitions = 1,
                                  .retention_bytes = 8192,
                                  .retention_unsettled = unsettled,
                                  .retention_unsettled_bytes = bytes};
    assert_int_equal(declare_with(l->f.port, "q", options), WEIR_OK);
}

static void kept_fill(life_fixture *l)
{
    int number = 0;
    life_fill(l, "q/a", RECORDS, RECORD_BYTES, &number);
    life_checkpoints(l, 1);
    for (int i = 0; i < 100; i++) {
        life_steps(l, 1);
    }
}

static int64_t start_of(life_fixture *l)
{
    return life_bounds(l, "q", 0).start_offset;
}

static void wait_start_above(life_fixture *l, int64_t offset)
{
    for (int64_t end = wait_end(); start_of(l) <= offset && wait_goes_on(end);) {
        life_turn_clock(1000);
        life_steps(l, 1);
    }
    assert_true(start_of(l) > offset);
}

/* `by` NULL: whoever holds them. */
static uint64_t held_by(life_fixture *l, const char *by)
{
    assert_int_equal(weir_port_topics(l->f.port, WEIR_TEXT("q"), NULL, 0), WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TOPICS);
    uint64_t bytes = done.topics.topics[0].held_bytes;
    if (by != NULL) {
        assert_string_equal(done.topics.topics[0].held_by, by);
    }
    weir_completion_drop(&done);
    return bytes;
}

/* Once they are in segments, however long the disk takes. */
static void held_becomes(life_fixture *l, const char *by, uint64_t more_than)
{
    for (int i = 0; i < LIFE_TURNS_MAX && held_by(l, NULL) <= more_than; i++) {
        life_steps(l, 1);
    }
    assert_true(held_by(l, by) > more_than);
}

static void what_a_queue_group_has_not_settled_is_kept(void **state)
{
    static given held;
    life_fixture l;
    (void)state;
    kept_begin(&l, WEIR_UNSETTLED_KEEP, 0);
    assert_int_equal(group_create(l.f.port, "g", "q", WEIR_MODEL_QUEUE), WEIR_OK);
    kept_fill(&l);
    assert_int_equal(start_of(&l), 0);
    held_becomes(&l, "g", 15000);
    weir_member *member = join_group(l.f.port, "g", "m");
    take_in_all(&l.f, member, RECORDS, &held);
    assert_int_equal(settle_some(&l.f, member, &held, 0, 15, WEIR_VERB_ACCEPT), WEIR_OK);
    wait_start_above(&l, 0);
    assert_true(start_of(&l) <= 15);
    assert_int_equal(settle_some(&l.f, member, &held, 15, RECORDS, WEIR_VERB_ACCEPT), WEIR_OK);
    wait_start_above(&l, 20);
    assert_int_equal(held_by(&l, ""), 0);
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_EXPIRED), 0);
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_ACCEPTED), RECORDS);
    leave(&l.f, member, true);
    life_end(&l);
}

static void beyond_the_limit_the_oldest_expire(void **state)
{
    life_fixture l;
    (void)state;
    kept_begin(&l, WEIR_UNSETTLED_KEEP, 13000);
    assert_int_equal(group_create(l.f.port, "g", "q", WEIR_MODEL_QUEUE), WEIR_OK);
    kept_fill(&l);
    wait_start_above(&l, 5);
    assert_true(start_of(&l) <= 25); /* 8 KB that retention leaves, and up to 13 KB before it */
    uint64_t bytes = held_by(&l, "g");
    assert_true(bytes > 4000 && bytes <= 13000);
    group_adds_up(l.f.port, "g");
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_EXPIRED), start_of(&l));
    fixture_kill(&l.f);
    fixture_open(&l.f);
    group_adds_up(l.f.port, "g");
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_EXPIRED), start_of(&l));
    life_end(&l);
}

static void what_no_segment_has_yet_is_kept_for_a_group_too(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    kept_begin(&l, WEIR_UNSETTLED_KEEP, 0);
    fixture_close(&l.f);
    l.f.config.checkpoint_bytes = 64 << 20; /* no checkpoint, and so no segment */
    l.f.config.checkpoint_every_ms = 86400000;
    fixture_open(&l.f);
    assert_int_equal(group_create(l.f.port, "g", "q", WEIR_MODEL_QUEUE), WEIR_OK);
    life_fill(&l, "q/a", RECORDS, RECORD_BYTES, &number);
    held_becomes(&l, "g", 30000);
    assert_int_equal(start_of(&l), 0);
    assert_int_equal(group_delete(l.f.port, "g"), WEIR_OK);
    wait_start_above(&l, 30);
    assert_int_equal(life_files(&l, 1, 0, ".log"), 0);
    life_end(&l);
}

static void what_a_stream_group_has_not_committed_is_kept(void **state)
{
    life_fixture l;
    (void)state;
    kept_begin(&l, WEIR_UNSETTLED_KEEP, 0);
    assert_int_equal(group_create(l.f.port, "s", "q", WEIR_MODEL_STREAM), WEIR_OK);
    kept_fill(&l);
    assert_int_equal(start_of(&l), 0);
    held_becomes(&l, "s", 15000);
    assert_int_equal(group_delete(l.f.port, "s"), WEIR_OK); /* nobody waits any more */
    wait_start_above(&l, 20);
    assert_int_equal(held_by(&l, ""), 0);
    life_end(&l);
}

static void retention_wins_by_default(void **state)
{
    life_fixture l;
    (void)state;
    kept_begin(&l, WEIR_UNSETTLED_DEFAULT, 0);
    assert_int_equal(group_create(l.f.port, "g", "q", WEIR_MODEL_QUEUE), WEIR_OK);
    kept_fill(&l);
    wait_start_above(&l, 20);
    assert_int_equal(group_fate(l.f.port, "g", WEIR_FATE_EXPIRED), start_of(&l));
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_queue_group_has_not_settled_is_kept),
        cmocka_unit_test(beyond_the_limit_the_oldest_expire),
        cmocka_unit_test(what_no_segment_has_yet_is_kept_for_a_group_too),
        cmocka_unit_test(what_a_stream_group_has_not_committed_is_kept),
        cmocka_unit_test(retention_wins_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
