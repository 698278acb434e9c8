/* Engine time: taken from the wall once, then monotonic; never behind what was journalled. */
#include "tests/unit/engine/support.h"

static int64_t wall_now_ms;

static int64_t wall_of_the_test(weir_env *env)
{
    (void)env;
    return wall_now_ms;
}

static void a_wall_clock_that_steps_back_moves_no_timestamp_back(void **state)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    static weir_env_ops ops;
    (void)state;
    const weir_env_ops *own = d.faulty->ops;
    ops = *own;
    ops.wall_ms = wall_of_the_test;
    d.faulty->ops = &ops;

    wall_now_ms = 1000000000000;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    int64_t before = publish(f->port, "t/a", "1").published.timestamp_ms;
    assert_true(before >= 1000000000000);
    wall_now_ms = 1;
    int64_t after = publish(f->port, "t/a", "2").published.timestamp_ms;
    assert_true(after >= before);
    fixture_kill(f);
    fixture_open(f); /* a restart with the clock still wrong */
    assert_true(publish(f->port, "t/a", "3").published.timestamp_ms >= after);
    fixture_close(f);
    wall_now_ms = 2000000000000;
    fixture_open(f); /* and with it far ahead: time follows, nothing is lost */
    assert_true(publish(f->port, "t/a", "4").published.timestamp_ms >= 2000000000000);
    assert_record(f->port, "t", 0, "a", "1");
    fixture_end(f);
    d.faulty->ops = own;
    faulty_env_destroy(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wall_clock_that_steps_back_moves_no_timestamp_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
