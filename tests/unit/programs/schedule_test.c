/* Tests programs/schedule.c: when records are due, at every pace. */
#include "programs/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void due_is(weir_schedule *schedule, const int64_t *times_ms, const int64_t *dues_us,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weir_schedule_next(schedule, times_ms[i]), dues_us[i]);
    }
}

static void recorded_times_are_divided_by_the_speed(void **state)
{
    const int64_t times[] = {1700000000000, 1700000000500, 1700000001000, 1700000061000};
    const int64_t once[] = {0, 500000, 1000000, 61000000};
    const int64_t twice[] = {0, 250000, 500000, 30500000};
    const int64_t half[] = {0, 1000000, 2000000, 122000000};
    weir_schedule a = {.pace = WEIR_PACE_RECORDED, .factor = 1};
    weir_schedule b = {.pace = WEIR_PACE_RECORDED, .factor = 2};
    weir_schedule c = {.pace = WEIR_PACE_RECORDED, .factor = 0.5};
    (void)state;
    due_is(&a, times, once, COUNT(times));
    due_is(&b, times, twice, COUNT(times));
    due_is(&c, times, half, COUNT(times));
}

static void a_time_that_goes_back_is_waited_for_once(void **state)
{
    const int64_t times[] = {1000, 1400, 1350, 1400, 1500};
    const int64_t dues[] = {0, 400000, 400000, 400000, 500000};
    weir_schedule schedule = {.pace = WEIR_PACE_RECORDED, .factor = 1};
    (void)state;
    due_is(&schedule, times, dues, COUNT(times));
}

static void a_long_silence_is_cut_before_the_speed_counts(void **state)
{
    const int64_t times[] = {1000, 1400, 9000, 9100};
    const int64_t dues[] = {0, 200000, 1200000, 1250000};
    weir_schedule schedule = {.pace = WEIR_PACE_RECORDED, .factor = 2, .gap_ms_max = 2000};
    (void)state;
    due_is(&schedule, times, dues, COUNT(times));
}

static void a_million_records_do_not_drift(void **state)
{
    weir_schedule recorded = {.pace = WEIR_PACE_RECORDED, .factor = 3};
    weir_schedule even = {.pace = WEIR_PACE_RATE, .factor = 300};
    int64_t recorded_due = 0;
    int64_t even_due = 0;
    (void)state;
    for (int64_t i = 0; i <= 1000000; i++) {
        recorded_due = weir_schedule_next(&recorded, 1700000000000 + i); /* a third of one each */
        even_due = weir_schedule_next(&even, 0);
    }
    assert_int_equal(recorded_due, 1000000 * 1000 / 3);
    assert_int_equal(even_due, INT64_C(1000000) * 1000000 / 300);
}

static void a_rate_asks_for_no_times_and_the_most_speed_for_no_wait(void **state)
{
    const int64_t times[] = {5, 5, 1, 900000};
    const int64_t even[] = {0, 100000, 200000, 300000};
    const int64_t none[] = {0, 0, 0, 0};
    weir_schedule rate = {.pace = WEIR_PACE_RATE, .factor = 10};
    weir_schedule most = {.pace = WEIR_PACE_MAX};
    (void)state;
    due_is(&rate, times, even, COUNT(times));
    due_is(&most, times, none, COUNT(times));
}

static void a_round_begins_where_the_one_before_ended(void **state)
{
    const int64_t times[] = {1000, 1400};
    const int64_t first[] = {0, 400000};
    const int64_t second[] = {400000, 800000};
    weir_schedule schedule = {.pace = WEIR_PACE_RECORDED, .factor = 1};
    (void)state;
    due_is(&schedule, times, first, 2);
    weir_schedule_round(&schedule);
    due_is(&schedule, times, second, 2);
}

static void times_at_the_ends_of_the_world_do_not_overflow(void **state)
{
    weir_schedule schedule = {.pace = WEIR_PACE_RECORDED, .factor = 1e-6};
    int64_t before = 0;
    const int64_t times[] = {INT64_MIN, 0, INT64_MAX, INT64_MIN, INT64_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        int64_t due = weir_schedule_next(&schedule, times[i]);
        assert_true(due >= before);
        before = due;
        weir_schedule_round(&schedule);
    }
}

static void a_speed_and_a_rate_are_read_in_their_forms_only(void **state)
{
    const char *const wrong_speeds[] = {"",    "x",   "0",   "-1",   "2y",
                                        "2xx", "nan", "inf", "1e12", "maximum"};
    const char *const wrong_rates[] = {"", "/s", "0", "-1/s", "1/m", "100x", "max", "nan"};
    weir_schedule schedule = {0};
    (void)state;
    assert_true(weir_schedule_speed(&schedule, "2.5x"));
    assert_true(schedule.pace == WEIR_PACE_RECORDED && schedule.factor == 2.5);
    assert_true(weir_schedule_speed(&schedule, "0.5") && schedule.factor == 0.5);
    assert_true(weir_schedule_speed(&schedule, "max") && schedule.pace == WEIR_PACE_MAX);
    assert_true(weir_schedule_rate(&schedule, "100/s"));
    assert_true(schedule.pace == WEIR_PACE_RATE && schedule.factor == 100);
    assert_true(weir_schedule_rate(&schedule, "0.1") && schedule.factor == 0.1);
    for (size_t i = 0; i < COUNT(wrong_speeds); i++) {
        assert_false(weir_schedule_speed(&schedule, wrong_speeds[i]));
    }
    for (size_t i = 0; i < COUNT(wrong_rates); i++) {
        assert_false(weir_schedule_rate(&schedule, wrong_rates[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_times_are_divided_by_the_speed),
        cmocka_unit_test(a_time_that_goes_back_is_waited_for_once),
        cmocka_unit_test(a_long_silence_is_cut_before_the_speed_counts),
        cmocka_unit_test(a_million_records_do_not_drift),
        cmocka_unit_test(a_rate_asks_for_no_times_and_the_most_speed_for_no_wait),
        cmocka_unit_test(a_round_begins_where_the_one_before_ended),
        cmocka_unit_test(times_at_the_ends_of_the_world_do_not_overflow),
        cmocka_unit_test(a_speed_and_a_rate_are_read_in_their_forms_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
