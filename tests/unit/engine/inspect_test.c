/* What a look at a data directory calls damage: what is missing, and not what was removed. */
#include "tests/unit/engine/life.h"

#include "core/engine/inspect.h"

enum { RECORDS = 20 };

typedef struct seen {
    unsigned segments;
    unsigned missing; /* or damaged */
    unsigned gone;    /* of them */
    unsigned gaps;
    int64_t gap_from;
} seen;

static void file_seen(void *arg, const weir_inspect_file *file)
{
    seen *all = arg;
    bool bad = file->verdict == WEIR_INSPECT_DAMAGED || file->verdict == WEIR_INSPECT_MISSING;
    all->segments += strcmp(file->kind, "segment") == 0 ? 1 : 0;
    all->missing += bad ? 1 : 0;
    all->gone += file->verdict == WEIR_INSPECT_MISSING ? 1 : 0;
}

static void gap_seen(void *arg, const weir_inspect_gap *gap)
{
    seen *all = arg;
    all->gaps++;
    all->gap_from = gap->from;
}

static seen look(const life_fixture *l)
{
    seen all = {0};
    weir_engine_config config = {.data_dir = l->f.dir};
    weir_inspect_to to = {.arg = &all, .file = file_seen, .gap = gap_seen};
    weir_inspect_sum sum;
    weir_fault fault;
    assert_int_equal(weir_inspect_verify(&config, &to, &sum, &fault), WEIR_OK);
    assert_int_equal(sum.fault.err, WEIR_OK);
    assert_int_equal(sum.damaged, all.missing);
    assert_int_equal(sum.gaps, all.gaps);
    return all;
}

/* Records 0 to 19 in segments that the newest checkpoint names; three to a segment, about. */
static void in_segments(life_fixture *l)
{
    int number = 0;
    life_begin(l);
    declare(l->f.port, "t", WEIR_LEVEL_DISK);
    life_fill(l, "t/a", RECORDS, 1000, &number);
    fixture_close(&l->f);
    fixture_open(&l->f);
    assert_true(life_files(l, 1, 0, ".log") >= 4);
}

/* Until so many of its segments' files are left; no checkpoint is written meanwhile. */
static void trimmed(life_fixture *l, int64_t before, unsigned left)
{
    uint64_t checkpoints = life_stats(l).checkpoints;
    assert_int_equal(life_trim(l, "t", before), WEIR_OK);
    for (int64_t end = wait_end(); life_files(l, 1, 0, ".log") > left;) {
        assert_true(wait_goes_on(end));
        (void)weir_port_wait(l->f.port, 5);
    }
    assert_int_equal(life_stats(l).checkpoints, checkpoints);
}

static void what_was_removed_after_the_last_checkpoint_is_not_missing(void **state)
{
    life_fixture l;
    (void)state;
    in_segments(&l);
    trimmed(&l, RECORDS - 1, 1);
    fixture_kill(&l.f);
    seen all = look(&l);
    assert_int_equal(all.missing, 0);
    assert_int_equal(all.gaps, 0);
    assert_int_equal(all.segments, 1);
    fixture_open(&l.f);
    assert_int_equal(life_bounds(&l, "t", 0).start_offset, RECORDS - 1);
    assert_int_equal(publish_ok(l.f.port, "t/a", "next"), RECORDS);
    life_end(&l);
}

/* The same folder, and another file is gone that nobody has removed rightly. */
static void a_segment_that_is_gone_above_the_start_is_missing(void **state)
{
    char command[256];
    life_fixture l;
    (void)state;
    in_segments(&l);
    trimmed(&l, RECORDS / 2, life_files(&l, 1, 0, ".log") - 2);
    fixture_kill(&l.f);
    snprintf(command, sizeof(command), "rm \"$(ls '%s'/log/1/0/*.log | tail -n 1)\"", l.f.dir);
    assert_int_equal(system(command), 0);
    seen all = look(&l);
    assert_int_equal(all.missing, 1);
    assert_int_equal(all.gone, 1); /* and not damaged: nothing of it is there to be */
    assert_int_equal(all.gaps, 1);
    assert_true(all.gap_from >= RECORDS / 2);
    fixture_open(&l.f);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_removed_after_the_last_checkpoint_is_not_missing),
        cmocka_unit_test(a_segment_that_is_gone_above_the_start_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
