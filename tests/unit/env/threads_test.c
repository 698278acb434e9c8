/* tests/unit/env/threads_test.c - lanes where the system gives no thread: jobs run all the same
 * [L2].
 *
 * lanes.c is compiled into this program, with the thread's creation replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

static bool threads_fail;

static int planned_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *arg)
{
    return threads_fail ? EAGAIN : pthread_create(thread, attributes, start, arg);
}

#define pthread_create planned_create
#include "core/env/lanes.c"
#undef pthread_create

typedef struct counted_job {
    weir_job job;
    int number;
    bool here;
} counted_job;

static pthread_t HERE;
static int RUN_COUNT;
static int LOG_COUNT;

static void count_run(weir_job *job)
{
    counted_job *counted = (counted_job *)job;
    counted->number = ++RUN_COUNT;
    counted->here = pthread_equal(HERE, pthread_self());
}

static void count_done(weir_job *job)
{
    (void)job;
}

static void count_line(void *arg, weir_log_level level, const char *room, const char *line)
{
    (void)arg;
    (void)level;
    (void)room;
    (void)line;
    LOG_COUNT++;
}

static void jobs_run_in_place_until_there_is_a_thread(void **state)
{
    (void)state;
    weir_lanes *lanes = NULL;
    counted_job jobs[3] = {0};
    HERE = pthread_self();
    weir_log_sink(count_line, NULL);
    assert_int_equal(weir_lanes_create(&lanes), WEIR_OK);
    for (int i = 0; i < 3; i++) {
        jobs[i].job = (weir_job){count_run, count_done, NULL};
        threads_fail = i < 2;
        weir_lanes_submit(lanes, WEIR_LANE_JOURNAL, &jobs[i].job);
        if (threads_fail) {
            assert_int_equal(jobs[i].number, i + 1);
            assert_true(jobs[i].here);
        }
    }
    weir_lanes_drain(lanes);
    assert_int_equal(jobs[2].number, 3);
    assert_false(jobs[2].here);
    assert_int_equal(LOG_COUNT, 2);
    weir_lanes_destroy(lanes);
    weir_lanes_destroy(NULL);
    weir_log_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_place_until_there_is_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
