/* tests/unit/env/lanes_test.c - jobs in order, one thread a lane [L1] [L2], and events. */
#include "core/env/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

enum { JOBS_COUNT = 2000, WAIT_MS = 60000, THREADS_COUNT = 4 };

typedef struct numbered_job {
    weir_job job; /* first: a job is cast to it */
    atomic_int *next_number;
    int number;
    pthread_t ran_on;
    bool ran;
    bool done;
    weir_event *wait_for;
    weir_event *wake;
} numbered_job;

static weir_env *ENV;
static weir_event *GO;
static weir_event *DONE;
static numbered_job JOBS[JOBS_COUNT];

static int table_make(void **state)
{
    (void)state;
    for (int i = 0; i < JOBS_COUNT; i++) {
        JOBS[i] = (numbered_job){0};
    }
    return weir_env_posix_create(&ENV) == WEIR_OK && ENV->ops->event_open(ENV, &GO) == WEIR_OK &&
                   ENV->ops->event_open(ENV, &DONE) == WEIR_OK
               ? 0
               : -1;
}

static int table_remove(void **state)
{
    (void)state;
    ENV->ops->event_close(ENV, GO);
    ENV->ops->event_close(ENV, DONE);
    weir_env_posix_destroy(ENV);
    return 0;
}

static void job_run(weir_job *job)
{
    numbered_job *numbered = (numbered_job *)job;
    if (numbered->wait_for != NULL) {
        ENV->ops->event_wait(ENV, numbered->wait_for, WAIT_MS);
    }
    numbered->number = atomic_fetch_add(numbered->next_number, 1);
    numbered->ran_on = pthread_self();
    numbered->ran = true;
}

static void job_done(weir_job *job)
{
    numbered_job *numbered = (numbered_job *)job;
    numbered->done = numbered->ran && pthread_equal(numbered->ran_on, pthread_self());
    if (numbered->wake != NULL) {
        ENV->ops->event_signal(ENV, numbered->wake);
    }
}

static void job_prepare(numbered_job *job, atomic_int *next_number)
{
    job->job.run = job_run;
    job->job.done = job_done;
    job->next_number = next_number;
}

static bool is_readable(weir_event *event)
{
    struct pollfd watched = {.fd = ENV->ops->event_fd(ENV, event), .events = POLLIN};
    return poll(&watched, 1, 0) == 1;
}

static void a_lane_runs_its_jobs_in_order_on_one_thread(void **state)
{
    (void)state;
    atomic_int next_number = 0;
    for (int i = 0; i < JOBS_COUNT; i++) {
        job_prepare(&JOBS[i], &next_number);
        ENV->ops->job_submit(ENV, WEIR_LANE_JOURNAL, &JOBS[i].job);
    }
    ENV->ops->lanes_drain(ENV);
    for (int i = 0; i < JOBS_COUNT; i++) {
        assert_true(JOBS[i].done);
        assert_int_equal(JOBS[i].number, i);
        assert_true(pthread_equal(JOBS[i].ran_on, JOBS[0].ran_on));
        assert_false(pthread_equal(JOBS[i].ran_on, pthread_self()));
    }
}

static void a_lane_that_blocks_does_not_hold_up_another(void **state)
{
    (void)state;
    atomic_int next_number = 0;
    job_prepare(&JOBS[0], &next_number);
    job_prepare(&JOBS[1], &next_number);
    JOBS[0].wait_for = GO;
    JOBS[1].wake = DONE;
    ENV->ops->job_submit(ENV, WEIR_LANE_BACKGROUND, &JOBS[0].job);
    ENV->ops->job_submit(ENV, WEIR_LANE_READ, &JOBS[1].job);
    ENV->ops->event_wait(ENV, DONE, WAIT_MS);
    assert_true(is_readable(DONE));
    ENV->ops->event_signal(ENV, GO);
    ENV->ops->lanes_drain(ENV);
    assert_true(JOBS[0].done && JOBS[1].done);
    assert_int_equal(JOBS[0].number, 1);
}

static void draining_an_idle_table_returns(void **state)
{
    (void)state;
    ENV->ops->lanes_drain(ENV);
    ENV->ops->lanes_drain(ENV);
}

static void *submit_share(void *arg)
{
    int first = *(int *)arg;
    for (int i = first; i < JOBS_COUNT; i += THREADS_COUNT) {
        ENV->ops->job_submit(ENV, (weir_lane)(i % WEIR_LANE_COUNT), &JOBS[i].job);
    }
    return NULL;
}

static void any_number_of_threads_may_submit(void **state)
{
    (void)state;
    atomic_int next_number = 0;
    pthread_t threads[THREADS_COUNT];
    int firsts[THREADS_COUNT];
    for (int i = 0; i < JOBS_COUNT; i++) {
        job_prepare(&JOBS[i], &next_number);
    }
    for (int i = 0; i < THREADS_COUNT; i++) {
        firsts[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, submit_share, &firsts[i]), 0);
    }
    for (int i = 0; i < THREADS_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    ENV->ops->lanes_drain(ENV);
    assert_int_equal(next_number, JOBS_COUNT);
    for (int i = 0; i < JOBS_COUNT; i++) {
        assert_true(JOBS[i].done);
        assert_true(pthread_equal(JOBS[i].ran_on, JOBS[i % WEIR_LANE_COUNT].ran_on));
    }
}

static void done_submits_next(weir_job *job)
{
    ENV->ops->job_submit(ENV, WEIR_LANE_READ, &JOBS[1].job);
    job_done(job);
}

static void drain_waits_for_jobs_that_jobs_submit(void **state)
{
    (void)state;
    atomic_int next_number = 0;
    job_prepare(&JOBS[0], &next_number);
    job_prepare(&JOBS[1], &next_number);
    JOBS[0].job.done = done_submits_next;
    ENV->ops->job_submit(ENV, WEIR_LANE_JOURNAL, &JOBS[0].job);
    ENV->ops->lanes_drain(ENV);
    assert_true(JOBS[0].done && JOBS[1].done);
}

static void an_event_stays_signalled_until_it_is_cleared(void **state)
{
    (void)state;
    assert_false(is_readable(GO));
    ENV->ops->event_clear(ENV, GO);
    ENV->ops->event_signal(ENV, GO);
    ENV->ops->event_signal(ENV, GO);
    assert_true(is_readable(GO));
    ENV->ops->event_wait(ENV, GO, -1);
    assert_true(is_readable(GO));
    ENV->ops->event_clear(ENV, GO);
    assert_false(is_readable(GO));
}

static void waiting_ends_at_the_time_given(void **state)
{
    (void)state;
    uint64_t start_ns = ENV->ops->monotonic_ns(ENV);
    ENV->ops->event_wait(ENV, GO, 0);
    ENV->ops->event_wait(ENV, GO, 20);
    assert_true(ENV->ops->monotonic_ns(ENV) - start_ns >= 20000000);
    assert_false(is_readable(GO));
}

#define TABLED(test) cmocka_unit_test_setup_teardown(test, table_make, table_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLED(a_lane_runs_its_jobs_in_order_on_one_thread),
        TABLED(a_lane_that_blocks_does_not_hold_up_another),
        TABLED(draining_an_idle_table_returns),
        TABLED(any_number_of_threads_may_submit),
        TABLED(drain_waits_for_jobs_that_jobs_submit),
        TABLED(an_event_stays_signalled_until_it_is_cleared),
        TABLED(waiting_ends_at_the_time_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
