/* The journal on real files and real lanes: each call of the environment fails in turn, once and
 * for good, and no durable unit is ever lost; a lane wakes the owner. */
#include "tests/unit/journal/support.h"

static uint64_t work(weir_env *env, weir_journal *journal, uint64_t release)
{
    uint64_t durable = weir_journal_durable(journal);
    for (int i = 0; i < 40; i++) {
        size_t body = i == 20 ? 70000 : 1500;
        if (weir_journal_room(journal, 3 * body) != WEIR_OK) { /* a unit of up to three of them */
            break;
        }
        (void)unit_add(journal, body);
        (void)weir_journal_flush(journal, i % 3 != 0);
        if (i % 10 == 5) {
            env->ops->lanes_drain(env);
            (void)weir_journal_poll(journal);
            weir_journal_release(journal, release);
        }
        assert_true(weir_journal_durable(journal) >= durable);
        durable = weir_journal_durable(journal);
    }
    (void)weir_journal_mark(journal);
    env->ops->lanes_drain(env);
    (void)weir_journal_poll(journal);
    durable = weir_journal_durable(journal);
    if (weir_journal_state(journal) == WEIR_READ_ONLY) { /* never again: [J3] */
        (void)weir_journal_flush(journal, true);
        (void)weir_journal_poll(journal);
        assert_int_equal(weir_journal_durable(journal), durable);
    }
    return durable;
}

/* One run in which the nth call of these kinds fails. True: there were so many calls. */
static bool run_failing(fixture *f, weir_env_fault_plan plan, weir_sync_mode sync)
{
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    replayed seen = {0};
    folder_empty(f->folder.journal);
    f->config.env = f->env;
    f->config.sync = sync;
    journal = journal_open(&f->config, &seen);
    uint64_t durable = work(f->env, journal, 10);
    weir_journal_abandon(journal);

    f->config.env = f->faulty;
    f->config.term++;
    uint64_t before = weir_env_faulty_calls(f->faulty, plan.kinds);
    weir_env_faulty_plan(f->faulty, plan);
    seen = (replayed){0};
    weir_err err = weir_journal_open(&f->config, 10, replay_check, &seen, &journal, &fault);
    if (err == WEIR_OK) {
        durable = work(f->env, journal, 20);
        weir_journal_abandon(journal);
    } else {
        assert_int_equal(fault.err, err);
        assert_true(fault.text[0] != '\0');
    }
    f->env->ops->lanes_drain(f->env);
    uint64_t calls = weir_env_faulty_calls(f->faulty, plan.kinds) - before;
    weir_env_faulty_plan(f->faulty, (weir_env_fault_plan){0});

    f->config.term++;
    journal = journal_open_from(&f->config, 20, &seen);
    assert_true(weir_journal_last(journal) >= durable);
    uint64_t last = weir_journal_last(journal);
    assert_int_equal(unit_add(journal, 5), last + 1);
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    return calls >= plan.countdown;
}

static void every_call_that_fails_once_loses_nothing(void **state)
{
    fixture *f = *state;
    for (unsigned kind = 0; kind < WEIR_CALL_COUNT; kind++) {
        bool more = true;
        for (uint64_t n = 1; more && n < 200; n++) {
            const weir_err errs[] = {WEIR_IO, WEIR_DISK_FULL, WEIR_NO_MEMORY};
            weir_err err = errs[n % 3];
            more = run_failing(f, (weir_env_fault_plan){1u << kind, n, false, err, 5},
                               n % 2 == 0 ? WEIR_SYNC_THREAD : WEIR_SYNC_INLINE);
        }
    }
}

static void every_call_that_fails_for_good_loses_nothing(void **state)
{
    fixture *f = *state;
    const uint32_t all = (1u << WEIR_CALL_COUNT) - 1;
    bool more = true;
    for (uint64_t n = 1; more && n < 400; n++) {
        more = run_failing(f, (weir_env_fault_plan){all, n, true, WEIR_IO, 5},
                           n % 3 == 0 ? WEIR_SYNC_THREAD : WEIR_SYNC_INLINE);
    }
}

static void wake_signal(void *arg)
{
    void **pair = arg;
    weir_env *env = pair[0];
    env->ops->event_signal(env, pair[1]);
}

static void a_lane_wakes_the_owner_when_a_write_is_done(void **state)
{
    fixture *f = *state;
    replayed seen;
    weir_event *event;
    assert_int_equal(f->env->ops->event_open(f->env, &event), WEIR_OK);
    void *pair[2] = {f->env, event};
    f->config.env = f->env;
    f->config.sync = WEIR_SYNC_THREAD;
    f->config.wake = wake_signal;
    f->config.wake_arg = pair;
    weir_journal *journal = journal_open(&f->config, &seen);
    for (int i = 0; i < 200; i++) {
        uint64_t number = unit_add(journal, 2000);
        assert_int_equal(weir_journal_flush(journal, true), WEIR_OK);
        while (weir_journal_durable(journal) < number) {
            f->env->ops->event_wait(f->env, event, 10000);
            f->env->ops->event_clear(f->env, event);
            assert_int_equal(weir_journal_poll(journal), WEIR_OK);
        }
    }
    assert_int_equal(weir_journal_close(journal), WEIR_OK);
    f->env->ops->event_close(f->env, event);
    journal = journal_open(&f->config, &seen);
    assert_int_equal(seen.count, 200);
    weir_journal_abandon(journal);
}

static void a_large_journal_opens_within_100_ms_when_new(void **state)
{
    fixture *f = *state;
    replayed seen;
    f->config.env = f->env;
    f->config.file_bytes = 64 << 20;
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < 5; i++) { /* the best of some: the machine may be busy */
        folder_empty(f->folder.journal);
        uint64_t begun_ns = f->env->ops->monotonic_ns(f->env);
        weir_journal *journal = journal_open(&f->config, &seen);
        uint64_t took_ns = f->env->ops->monotonic_ns(f->env) - begun_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        weir_journal_abandon(journal);
    }
    assert_true(best_ns < 100000000);
}

int main(void)
{
    weir_log_sink(log_quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_that_fails_once_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(every_call_that_fails_for_good_loses_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_lane_wakes_the_owner_when_a_write_is_done, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_journal_opens_within_100_ms_when_new, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
