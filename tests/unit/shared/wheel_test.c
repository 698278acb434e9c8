/* Deadlines come when they are due: not early, not twice, not never. */
#include "adapters/shared/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct probe {
    weir_deadline deadline;
    unsigned calls;
    struct probe *cancels;
} probe;

static void probe_run(weir_deadline *deadline)
{
    probe *self = (probe *)deadline;
    self->calls++;
    if (self->cancels != NULL) {
        weir_wheel_cancel(&self->cancels->deadline);
    }
}

static weir_wheel wheel;

static void a_deadline_is_never_early_and_at_most_one_tick_late(void **state)
{
    (void)state;
    for (uint64_t delay = 1; delay < 200000; delay = delay * 3 / 2 + 1) {
        uint64_t now_ms = 12345;
        uint64_t start_ms = now_ms;
        probe one = {.deadline.run = probe_run};
        weir_wheel_init(&wheel, now_ms);
        (void)weir_wheel_set(&wheel, &one.deadline, start_ms + delay);
        while (one.calls == 0) {
            uint64_t next_ms = weir_wheel_next_ms(&wheel);
            assert_true(next_ms > 0);
            now_ms = next_ms > now_ms ? next_ms : now_ms + 1;
            weir_wheel_run(&wheel, now_ms);
        }
        assert_true(now_ms >= start_ms + delay);
        assert_true(now_ms <= start_ms + delay + 2 * WEIR_DEADLINE_TICK_MS);
        assert_int_equal(weir_wheel_next_ms(&wheel), 0);
        weir_wheel_run(&wheel, now_ms + 1000000);
        assert_int_equal(one.calls, 1);
    }
}

static void a_cancelled_or_moved_deadline_does_not_come_at_its_old_time(void **state)
{
    probe gone = {.deadline.run = probe_run};
    probe moved = {.deadline.run = probe_run};
    (void)state;
    weir_wheel_init(&wheel, 1000);
    (void)weir_wheel_set(&wheel, &gone.deadline, 1500);
    (void)weir_wheel_set(&wheel, &moved.deadline, 1500);
    (void)weir_wheel_set(&wheel, &moved.deadline, 90000);
    weir_wheel_cancel(&gone.deadline);
    weir_wheel_cancel(&gone.deadline); /* twice is harmless */
    weir_wheel_run(&wheel, 5000);
    assert_int_equal(gone.calls + moved.calls, 0);
    weir_wheel_run(&wheel, 91000);
    assert_int_equal(gone.calls, 0);
    assert_int_equal(moved.calls, 1);
}

static void a_callback_may_cancel_another_that_is_due_as_well(void **state)
{
    probe pair[2] = {{.deadline.run = probe_run, .cancels = &pair[1]},
                     {.deadline.run = probe_run, .cancels = &pair[0]}};
    (void)state;
    weir_wheel_init(&wheel, 0);
    (void)weir_wheel_set(&wheel, &pair[0].deadline, 10);
    (void)weir_wheel_set(&wheel, &pair[1].deadline, 10);
    weir_wheel_run(&wheel, 1000);
    assert_int_equal(pair[0].calls + pair[1].calls, 1);
}

static void ten_thousand_deadlines_all_come(void **state)
{
    enum { COUNT = 10000 };
    probe *probes = calloc(COUNT, sizeof(*probes));
    uint64_t now_ms = 777;
    (void)state;
    assert_non_null(probes);
    weir_wheel_init(&wheel, now_ms);
    for (unsigned i = 0; i < COUNT; i++) {
        probes[i].deadline.run = probe_run;
        (void)weir_wheel_set(&wheel, &probes[i].deadline, now_ms + 1 + (i * 7919u) % 120000u);
    }
    for (; weir_wheel_next_ms(&wheel) != 0; now_ms += 17) {
        weir_wheel_run(&wheel, now_ms);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(probes[i].calls, 1);
    }
    free(probes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_never_early_and_at_most_one_tick_late),
        cmocka_unit_test(a_cancelled_or_moved_deadline_does_not_come_at_its_old_time),
        cmocka_unit_test(a_callback_may_cancel_another_that_is_due_as_well),
        cmocka_unit_test(ten_thousand_deadlines_all_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
