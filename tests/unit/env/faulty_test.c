/* tests/unit/env/faulty_test.c - planned failures come exactly where they were planned [X1]. */
#include "core/env/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIND(call) (1u << WEIR_CALL_##call)

static weir_env *BELOW;
static weir_env *ENV;
static weir_file *FILE_OPEN;
static char DIRECTORY[64];
static char PATH[128];

static int place_make(void **state)
{
    (void)state;
    strcpy(DIRECTORY, "/tmp/weir-faulty-XXXXXX");
    if (mkdtemp(DIRECTORY) == NULL || weir_env_posix_create(&BELOW) != WEIR_OK ||
        weir_env_faulty_create(BELOW, &ENV) != WEIR_OK) {
        return -1;
    }
    (void)snprintf(PATH, sizeof(PATH), "%s/file", DIRECTORY);
    unsigned flags = WEIR_OPEN_WRITE | WEIR_OPEN_CREATE;
    return BELOW->ops->file_open(BELOW, PATH, flags, &FILE_OPEN) == WEIR_OK ? 0 : -1;
}

static int place_remove(void **state)
{
    (void)state;
    ENV->ops->file_close(ENV, FILE_OPEN);
    (void)unlink(PATH);
    weir_env_faulty_destroy(ENV);
    weir_env_posix_destroy(BELOW);
    return rmdir(DIRECTORY);
}

static weir_err write_byte(uint64_t offset)
{
    struct iovec iov = {(void *)"x", 1};
    return ENV->ops->file_write(ENV, FILE_OPEN, &iov, 1, offset);
}

static bool list_nothing(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

static weir_err call_of_kind(weir_env_call call)
{
    char byte;
    size_t got;
    weir_file *file = NULL;
    weir_err err;
    switch (call) {
    case WEIR_CALL_OPEN:
        err = ENV->ops->file_open(ENV, PATH, WEIR_OPEN_READ, &file);
        ENV->ops->file_close(ENV, file);
        return err;
    case WEIR_CALL_READ:
        return ENV->ops->file_read(ENV, FILE_OPEN, &byte, 1, 0, &got);
    case WEIR_CALL_WRITE:
        return write_byte(0);
    case WEIR_CALL_SYNC:
        return ENV->ops->file_sync(ENV, FILE_OPEN);
    case WEIR_CALL_TRUNCATE:
        return ENV->ops->file_truncate(ENV, FILE_OPEN, 0);
    case WEIR_CALL_ALLOCATE:
        return ENV->ops->file_allocate(ENV, FILE_OPEN, 0, 4096);
    case WEIR_CALL_RENAME:
        return ENV->ops->rename(ENV, PATH, PATH);
    case WEIR_CALL_UNLINK:
        return ENV->ops->unlink(ENV, PATH);
    default:
        return ENV->ops->dir_list(ENV, DIRECTORY, list_nothing, NULL);
    }
}

static void without_a_plan_everything_passes(void **state)
{
    (void)state;
    for (int call = 0; call < WEIR_CALL_COUNT; call++) {
        assert_int_equal(call_of_kind((weir_env_call)call), WEIR_OK);
        assert_int_equal(weir_env_faulty_calls(ENV, 1u << call), 1);
    }
    assert_int_equal(weir_env_faulty_calls(ENV, UINT32_MAX), WEIR_CALL_COUNT);
}

static void each_kind_fails_alone_with_its_reason(void **state)
{
    (void)state;
    for (int planned = 0; planned < WEIR_CALL_COUNT; planned++) {
        for (int call = 0; call < WEIR_CALL_COUNT; call++) {
            weir_env_faulty_plan(ENV, (weir_env_fault_plan){1u << planned, 1, false, WEIR_IO, EIO});
            errno = 0;
            bool fails = call == planned;
            if (call == WEIR_CALL_UNLINK && !fails) {
                continue; /* it would take the file away */
            }
            assert_int_equal(call_of_kind((weir_env_call)call), fails ? WEIR_IO : WEIR_OK);
            assert_true(!fails || errno == EIO);
        }
    }
}

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    weir_env_faulty_plan(ENV, (weir_env_fault_plan){KIND(WRITE), 3, false, WEIR_DISK_FULL, ENOSPC});
    assert_int_equal(write_byte(0), WEIR_OK);
    assert_int_equal(ENV->ops->file_sync(ENV, FILE_OPEN),
                     WEIR_OK); /* not of the kind: not counted */
    assert_int_equal(write_byte(1), WEIR_OK);
    assert_int_equal(write_byte(2), WEIR_DISK_FULL);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(write_byte(3), WEIR_OK);
    assert_int_equal(weir_env_faulty_calls(ENV, KIND(WRITE)), 4);
    assert_int_equal(weir_env_faulty_calls(ENV, KIND(WRITE) | KIND(SYNC)), 5);
}

static void a_failure_for_good_lasts_until_the_next_plan(void **state)
{
    (void)state;
    weir_env_faulty_plan(ENV,
                         (weir_env_fault_plan){KIND(SYNC) | KIND(WRITE), 2, true, WEIR_IO, EIO});
    assert_int_equal(write_byte(0), WEIR_OK);
    assert_int_equal(ENV->ops->file_sync(ENV, FILE_OPEN), WEIR_IO);
    assert_int_equal(write_byte(0), WEIR_IO);
    assert_int_equal(ENV->ops->file_sync(ENV, FILE_OPEN), WEIR_IO);
    weir_env_faulty_plan(ENV, (weir_env_fault_plan){0});
    assert_int_equal(write_byte(0), WEIR_OK);
}

static void a_failed_call_does_not_reach_the_table_below(void **state)
{
    (void)state;
    uint64_t bytes = 99;
    weir_env_faulty_plan(ENV, (weir_env_fault_plan){KIND(WRITE), 1, false, WEIR_IO, EIO});
    assert_int_equal(write_byte(0), WEIR_IO);
    weir_env_faulty_plan(ENV, (weir_env_fault_plan){KIND(READ), 1, false, WEIR_IO, EIO});
    assert_int_equal(ENV->ops->file_size(ENV, FILE_OPEN, &bytes), WEIR_IO);
    assert_int_equal(bytes, 99); /* outputs untouched unless WEIR_OK */
    assert_int_equal(ENV->ops->file_size(ENV, FILE_OPEN, &bytes), WEIR_OK);
    assert_int_equal(bytes, 0);
}

static void job_nothing(weir_job *job)
{
    (void)job;
}

static void threads_clock_and_events_pass_through(void **state)
{
    (void)state;
    weir_job job = {job_nothing, job_nothing, NULL};
    weir_event *event = NULL;
    uint8_t chance[8];
    weir_env_faulty_plan(ENV, (weir_env_fault_plan){UINT32_MAX, 1, true, WEIR_IO, EIO});
    ENV->ops->job_submit(ENV, WEIR_LANE_READ, &job);
    ENV->ops->lanes_drain(ENV);
    assert_int_equal(ENV->ops->event_open(ENV, &event), WEIR_OK);
    ENV->ops->event_signal(ENV, event);
    ENV->ops->event_wait(ENV, event, -1);
    ENV->ops->event_clear(ENV, event);
    assert_true(ENV->ops->event_fd(ENV, event) >= 0);
    ENV->ops->event_close(ENV, event);
    ENV->ops->random(ENV, chance, sizeof(chance));
    assert_true(ENV->ops->monotonic_ns(ENV) > 0 && ENV->ops->wall_ms(ENV) > 0);
    assert_int_equal(ENV->ops->process_id(ENV), getpid());
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(without_a_plan_everything_passes),
        PLACED(each_kind_fails_alone_with_its_reason),
        PLACED(the_nth_call_fails_once),
        PLACED(a_failure_for_good_lasts_until_the_next_plan),
        PLACED(a_failed_call_does_not_reach_the_table_below),
        PLACED(threads_clock_and_events_pass_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
