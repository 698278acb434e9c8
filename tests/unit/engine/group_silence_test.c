/* tests/unit/engine/group_silence_test.c - takes whose time is over while something was read, and members
 * that say nothing after an answer. */
#include "tests/unit/engine/group_queue.h"

#include "core/engine/group.h"

enum { SESSION_MS = 10000, HELD_MAX = 4 };

/* A lane for reads that begins nothing before it is told to. */
static const weir_env_ops *lanes_below;
static bool reads_held;
static weir_job *held[HELD_MAX];
static uint32_t held_count;

static void submit_held(weir_env *env, weir_lane lane, weir_job *job)
{
    if (lane == WEIR_LANE_READ && reads_held) {
        assert_true(held_count < HELD_MAX);
        held[held_count++] = job;
    } else {
        lanes_below->job_submit(env, lane, job);
    }
}

static void reads_go_on(const fixture *f)
{
    reads_held = false;
    for (uint32_t i = 0; i < held_count; i++) {
        lanes_below->job_submit(f->config.env, WEIR_LANE_READ, held[i]);
    }
}

/* Topic q has one record, on disk only, and reads are held up. */
static void queue_cold(fixture *f)
{
    static weir_env_ops ops;
    queue_start(f, (weir_group_options){.lease_ms = -1, .session_ms = SESSION_MS});
    publish_ok(f->port, "q/k", "v");
    fixture_close(f);
    lanes_below = f->config.env->ops;
    ops = *lanes_below;
    ops.job_submit = submit_held;
    f->config.env->ops = &ops;
    reads_held = true;
    held_count = 0;
    fixture_open(f);
}

/* The member was given it, says nothing since, and is out when its session is over: another one has the
 * record. */
static void is_out_after_a_session(fixture *f)
{
    given g;
    pass_ms(f, SESSION_MS);
    assert_int_equal(take(f, join(f, "other"), 1, &g), 1);
    assert_int_equal(g.leased[0], 2);
}

static void silence_counts_from_the_answer_to_a_take(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = -1, .session_ms = SESSION_MS});
    weir_member *member = join(&f, "m");
    take_begin(&f, member, 1, 60000);
    pass_ms(&f, SESSION_MS); /* whose take waits, is alive */
    weir_publish record = {.name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("v"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TAKEN);
    given_of(&done, &g);
    assert_int_equal(g.count, 1);
    is_out_after_a_session(&f);
    queue_end(&f);
}

static void silence_counts_after_a_take_that_read_too(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_cold(&f);
    weir_member *member = join(&f, "m");
    take_begin(&f, member, 1, 60000);
    pass_ms(&f, SESSION_MS);
    assert_int_equal(held_count, 1);
    reads_go_on(&f);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TAKEN);
    given_of(&done, &g);
    assert_int_equal(g.count, 1);
    is_out_after_a_session(&f);
    queue_end(&f);
}

/* Both read the only record; one of them gets it. */
static void a_take_that_read_what_another_got_is_answered_at_its_time(void **state)
{
    fixture f;
    given g;
    weir_completion done;
    (void)state;
    queue_cold(&f);
    weir_member *first = join(&f, "first"), *second = join(&f, "second");
    take_begin(&f, first, 1, 60000);
    take_begin(&f, second, 1, 60000);
    pass_ms(&f, SESSION_MS);
    assert_int_equal(held_count, 2);
    reads_go_on(&f);
    done = next_of(f.port, WEIR_COMPLETION_TAKEN);
    given_of(&done, &g);
    assert_int_equal(g.count, 1);
    while (first->read != NULL || second->read != NULL) {
        assert_int_equal(weir_port_wait(f.port, 5), WEIR_TIMEOUT);
    }
    pass_ms(&f, 60000);
    assert_int_equal(weir_port_drain(f.port, &done, 1), 1);
    given_of(&done, &g);
    assert_int_equal(g.count, 0);
    queue_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_counts_from_the_answer_to_a_take),
        cmocka_unit_test(silence_counts_after_a_take_that_read_too),
        cmocka_unit_test(a_take_that_read_what_another_got_is_answered_at_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
