/* An engine that has stopped has nothing more to do: it asks for a turn now and then, never at once. */
#include "tests/unit/engine/life.h"

#include "core/engine/state.h"

enum { TURNS = 10, SETTLING_TURNS = 50 };

/* Times that are over by then: of cleaning up, of a checkpoint, of a compaction. */
static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000;

static void asks_for_no_turn_at_once(life_fixture *l)
{
    life_turn_clock(DAY_MS);
    for (int i = 0; i < SETTLING_TURNS; i++) { /* what was under way ends */
        l->env->ops->lanes_drain(l->env);
        weir_port_step(l->f.port);
    }
    for (int i = 0; i < TURNS; i++) {
        weir_port_step(l->f.port);
        assert_true(atomic_load(&l->f.engine->deadline_ns) > l->f.engine->now_ns);
        life_turn_clock(DAY_MS);
    }
}

/* A topic that is compacted, and for the next checkpoint something to be about. */
static void busy_begin(life_fixture *l)
{
    weir_topic_options options = {.partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT};
    life_begin(l);
    assert_int_equal(declare_with(l->f.port, "t", options), WEIR_OK);
    life_fill_keys(l, 0, 10);
    life_checkpoints(l, 1);
    publish_ok(l->f.port, "t/k0", "10.0 ");
}

static void sync_fails(life_fixture *l)
{
    weir_env_faulty_plan(l->env, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_SYNC,
                                                       .countdown = 1,
                                                       .for_good = true,
                                                       .err = WEIR_IO,
                                                       .os_errno = 5});
    weir_publish doubtful = {.name = WEIR_TEXT("t/k0"), .value = WEIR_TEXT("11.0 ")};
    assert_int_equal(weir_port_publish(l->f.port, &doubtful, NULL, 9), WEIR_OK);
    health_becomes(&l->f, WEIR_HEALTH_STOPPED);
}

static void one_whose_disk_failed_asks_for_no_turn_at_once(void **state)
{
    life_fixture l;
    (void)state;
    busy_begin(&l);
    sync_fails(&l);
    asks_for_no_turn_at_once(&l);
    fixture_kill(&l.f);
    weir_env_faulty_plan(l.env, (weir_env_fault_plan){0});
    fixture_open(&l.f);
    life_end(&l);
}

static void one_that_had_chosen_what_to_compact_asks_for_no_turn_at_once(void **state)
{
    life_fixture l;
    size_t position = 0;
    (void)state;
    busy_begin(&l);
    sync_fails(&l);
    const weir_topic *topic = weir_map_next(&l.f.engine->topics_by_name, &position);
    l.f.engine->compaction.next_partition = topic->partitions[0];
    asks_for_no_turn_at_once(&l);
    assert_non_null(l.f.engine->compaction.next_partition); /* it waits for ever */
    fixture_kill(&l.f);
    weir_env_faulty_plan(l.env, (weir_env_fault_plan){0});
    fixture_open(&l.f);
    life_end(&l);
}

static void newest_file_damage(const life_fixture *l)
{
    char command[512];
    /* A byte of a block behind the topic's, with others behind it. */
    snprintf(command, sizeof(command),
             "set -e; file=$(ls '%s'/journal/*.wal | tail -1); at=$((6 * 4096 + 40)); "
             "byte=$(od -An -tu1 -j $at -N 1 \"$file\"); "
             "printf \"\\\\$(printf %%03o $((byte ^ 85)))\" | "
             "dd of=\"$file\" bs=1 seek=$at conv=notrunc 2>/dev/null",
             l->f.dir);
    assert_int_equal(system(command), 0);
}

static void one_that_reads_a_damaged_directory_asks_for_no_turn_at_once(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    fixture_close(&l.f);
    l.f.config.checkpoint_bytes = 1 << 30; /* or a checkpoint would count on what is damaged */
    fixture_open(&l.f);
    declare(l.f.port, "t", WEIR_LEVEL_DISK);
    life_fill_keys(&l, 0, 3);
    fixture_kill(&l.f);
    newest_file_damage(&l);
    l.f.config.damage = WEIR_DAMAGE_READ_ONLY;
    fixture_open(&l.f);
    assert_int_equal(weir_engine_health_of(l.f.engine), WEIR_HEALTH_STOPPED);
    assert_int_equal(l.f.engine->topics_by_name.count, 1);
    asks_for_no_turn_at_once(&l);
    l.f.config.damage = WEIR_DAMAGE_CUT;
    fixture_kill(&l.f);
    fixture_open(&l.f);
    life_end(&l);
}

static void one_that_was_displaced_asks_for_no_turn_at_once_though_a_fetch_waits(void **state)
{
    life_fixture l;
    weir_fetch wanted = {
        .topic = WEIR_TEXT("t"), .offset = 101, .bytes_max = 4096, .wait_ms = 1000};
    (void)state;
    busy_begin(&l);
    assert_int_equal(weir_port_fetch(l.f.port, &wanted, NULL, 2), WEIR_OK);
    weir_port_step(l.f.port);
    assert_false(weir_link_empty(&l.f.engine->fetches));
    fixture newer = l.f;
    newer.config.take_over = true;
    fixture_open(&newer);
    health_becomes(&l.f, WEIR_HEALTH_FENCED);
    asks_for_no_turn_at_once(&l);
    fixture_kill(&l.f);
    fixture_kill(&newer);
    fixture_open(&l.f);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_whose_disk_failed_asks_for_no_turn_at_once),
        cmocka_unit_test(one_that_had_chosen_what_to_compact_asks_for_no_turn_at_once),
        cmocka_unit_test(one_that_reads_a_damaged_directory_asks_for_no_turn_at_once),
        cmocka_unit_test(one_that_was_displaced_asks_for_no_turn_at_once_though_a_fetch_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
