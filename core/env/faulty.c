/* core/env/faulty.c - a table that passes every call on to another one, but fails the ones a test
 * chose: for asking what happens when the Nth write, sync or rename does not work.
 *
 *   kinds   OPEN: file_open, file_lock           READ: file_read, file_size
 *           WRITE, SYNC, TRUNCATE, ALLOCATE:     the call of that name
 *           RENAME, UNLINK: the same             DIR: dir_make, dir_sync, dir_list, dir_remove,
 *                                                     space_free
 *
 * A call that is made to fail does not reach the table below and writes no output; errno gets the
 * planned reason. Clock, chance, threads, events and closing are never made to fail. Files and
 * events are the table's below: a test may open a file through one table and close it through the
 * other. Any thread: one mutex guards the plan and the counters.
 *
 * [X1] Every call of a kind counts once, whether it is made to fail or not. */
#include "core/env/env.h"

#include "core/base/assert.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct faulty_env {
    weir_env env;
    weir_env *below;
    pthread_mutex_t mutex;
    weir_env_fault_plan plan;
    uint64_t calls[WEIR_CALL_COUNT];
} faulty_env;

static weir_env *below(weir_env *env)
{
    return ((faulty_env *)env)->below;
}

/* Steps the plan; true when this call is one to fail. */
static bool plan_step(weir_env_fault_plan *plan, weir_env_call call)
{
    if ((plan->kinds & 1u << call) == 0 || plan->countdown == 0) {
        return false;
    }
    if (plan->countdown > 1) {
        plan->countdown--;
        return false;
    }
    plan->countdown = plan->for_good ? 1 : 0;
    return true;
}

/* WEIR_OK: pass the call on. */
static weir_err call_enter(weir_env *env, weir_env_call call)
{
    faulty_env *faulty = (faulty_env *)env;
    (void)pthread_mutex_lock(&faulty->mutex);
    faulty->calls[call]++; /* [X1] */
    bool fails = plan_step(&faulty->plan, call);
    weir_err err = fails ? faulty->plan.err : WEIR_OK;
    int os_errno = faulty->plan.os_errno;
    (void)pthread_mutex_unlock(&faulty->mutex);
    if (fails) {
        errno = os_errno;
    }
    return err;
}

static uint64_t faulty_monotonic_ns(weir_env *env)
{
    return below(env)->ops->monotonic_ns(below(env));
}

static int64_t faulty_wall_ms(weir_env *env)
{
    return below(env)->ops->wall_ms(below(env));
}

static void faulty_random(weir_env *env, void *out, size_t len)
{
    below(env)->ops->random(below(env), out, len);
}

static weir_err faulty_file_open(weir_env *env, const char *path, unsigned flags, weir_file **file)
{
    weir_err err = call_enter(env, WEIR_CALL_OPEN);
    return err != WEIR_OK ? err : below(env)->ops->file_open(below(env), path, flags, file);
}

static void faulty_file_close(weir_env *env, weir_file *file)
{
    below(env)->ops->file_close(below(env), file);
}

static weir_err faulty_file_read(weir_env *env, weir_file *file, void *out, size_t len,
                                 uint64_t offset, size_t *got)
{
    weir_err err = call_enter(env, WEIR_CALL_READ);
    return err != WEIR_OK ? err
                          : below(env)->ops->file_read(below(env), file, out, len, offset, got);
}

static weir_err faulty_file_read_stream(weir_env *env, weir_file *file, void *out, size_t len,
                                        uint64_t offset, size_t *got)
{
    weir_err err = call_enter(env, WEIR_CALL_READ);
    return err != WEIR_OK
               ? err
               : below(env)->ops->file_read_stream(below(env), file, out, len, offset, got);
}

static weir_err faulty_file_write(weir_env *env, weir_file *file, const struct iovec *iov,
                                  int count, uint64_t offset)
{
    weir_err err = call_enter(env, WEIR_CALL_WRITE);
    return err != WEIR_OK ? err : below(env)->ops->file_write(below(env), file, iov, count, offset);
}

static weir_err faulty_file_write_stream(weir_env *env, weir_file *file, const struct iovec *iov,
                                         int count, uint64_t offset)
{
    weir_err err = call_enter(env, WEIR_CALL_WRITE);
    return err != WEIR_OK
               ? err
               : below(env)->ops->file_write_stream(below(env), file, iov, count, offset);
}

static weir_err faulty_file_sync(weir_env *env, weir_file *file)
{
    weir_err err = call_enter(env, WEIR_CALL_SYNC);
    return err != WEIR_OK ? err : below(env)->ops->file_sync(below(env), file);
}

static weir_err faulty_volume_sync(weir_env *env, weir_file *file)
{
    if (below(env)->ops->volume_sync == NULL) {
        return WEIR_UNSUPPORTED;
    }
    weir_err err = file != NULL ? call_enter(env, WEIR_CALL_SYNC) : WEIR_OK;
    return err != WEIR_OK ? err : below(env)->ops->volume_sync(below(env), file);
}

static weir_err faulty_file_size(weir_env *env, weir_file *file, uint64_t *bytes)
{
    weir_err err = call_enter(env, WEIR_CALL_READ);
    return err != WEIR_OK ? err : below(env)->ops->file_size(below(env), file, bytes);
}

static weir_err faulty_file_truncate(weir_env *env, weir_file *file, uint64_t bytes)
{
    weir_err err = call_enter(env, WEIR_CALL_TRUNCATE);
    return err != WEIR_OK ? err : below(env)->ops->file_truncate(below(env), file, bytes);
}

static weir_err faulty_file_allocate(weir_env *env, weir_file *file, uint64_t offset,
                                     uint64_t bytes)
{
    weir_err err = call_enter(env, WEIR_CALL_ALLOCATE);
    return err != WEIR_OK ? err : below(env)->ops->file_allocate(below(env), file, offset, bytes);
}

static weir_err faulty_file_lock(weir_env *env, weir_file *file)
{
    weir_err err = call_enter(env, WEIR_CALL_OPEN);
    return err != WEIR_OK ? err : below(env)->ops->file_lock(below(env), file);
}

static weir_err faulty_dir_make(weir_env *env, const char *path)
{
    weir_err err = call_enter(env, WEIR_CALL_DIR);
    return err != WEIR_OK ? err : below(env)->ops->dir_make(below(env), path);
}

static weir_err faulty_dir_sync(weir_env *env, const char *path)
{
    weir_err err = call_enter(env, WEIR_CALL_DIR);
    return err != WEIR_OK ? err : below(env)->ops->dir_sync(below(env), path);
}

static weir_err faulty_dir_list(weir_env *env, const char *path,
                                bool (*each)(void *arg, const char *name), void *arg)
{
    weir_err err = call_enter(env, WEIR_CALL_DIR);
    return err != WEIR_OK ? err : below(env)->ops->dir_list(below(env), path, each, arg);
}

static weir_err faulty_rename(weir_env *env, const char *from, const char *to)
{
    weir_err err = call_enter(env, WEIR_CALL_RENAME);
    return err != WEIR_OK ? err : below(env)->ops->rename(below(env), from, to);
}

static weir_err faulty_unlink(weir_env *env, const char *path)
{
    weir_err err = call_enter(env, WEIR_CALL_UNLINK);
    return err != WEIR_OK ? err : below(env)->ops->unlink(below(env), path);
}

static weir_err faulty_dir_remove(weir_env *env, const char *path)
{
    weir_err err = call_enter(env, WEIR_CALL_DIR);
    return err != WEIR_OK ? err : below(env)->ops->dir_remove(below(env), path);
}

static weir_err faulty_space_free(weir_env *env, const char *path, uint64_t *bytes)
{
    weir_err err = call_enter(env, WEIR_CALL_DIR);
    return err != WEIR_OK ? err : below(env)->ops->space_free(below(env), path, bytes);
}

static void faulty_job_submit(weir_env *env, weir_lane lane, weir_job *job)
{
    below(env)->ops->job_submit(below(env), lane, job);
}

static void faulty_lanes_drain(weir_env *env)
{
    below(env)->ops->lanes_drain(below(env));
}

static weir_err faulty_event_open(weir_env *env, weir_event **event)
{
    return below(env)->ops->event_open(below(env), event);
}

static void faulty_event_close(weir_env *env, weir_event *event)
{
    below(env)->ops->event_close(below(env), event);
}

static int faulty_event_fd(weir_env *env, weir_event *event)
{
    return below(env)->ops->event_fd(below(env), event);
}

static void faulty_event_signal(weir_env *env, weir_event *event)
{
    below(env)->ops->event_signal(below(env), event);
}

static void faulty_event_clear(weir_env *env, weir_event *event)
{
    below(env)->ops->event_clear(below(env), event);
}

static void faulty_event_wait(weir_env *env, weir_event *event, int timeout_ms)
{
    below(env)->ops->event_wait(below(env), event, timeout_ms);
}

static uint32_t faulty_process_id(weir_env *env)
{
    return below(env)->ops->process_id(below(env));
}

static const weir_env_ops FAULTY_OPS;

weir_err weir_env_faulty_create(weir_env *underneath, weir_env **env)
{
    faulty_env *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&made->mutex, NULL);
    made->env.ops = &FAULTY_OPS;
    made->below = underneath;
    *env = &made->env;
    return WEIR_OK;
}

void weir_env_faulty_plan(weir_env *env, weir_env_fault_plan plan)
{
    faulty_env *faulty = (faulty_env *)env;
    WEIR_ASSERT(plan.countdown == 0 || plan.err != WEIR_OK);
    (void)pthread_mutex_lock(&faulty->mutex);
    faulty->plan = plan;
    (void)pthread_mutex_unlock(&faulty->mutex);
}

uint64_t weir_env_faulty_calls(weir_env *env, uint32_t kinds)
{
    faulty_env *faulty = (faulty_env *)env;
    uint64_t sum = 0;
    (void)pthread_mutex_lock(&faulty->mutex);
    for (int call = 0; call < WEIR_CALL_COUNT; call++) {
        sum += (kinds & 1u << call) != 0 ? faulty->calls[call] : 0;
    }
    (void)pthread_mutex_unlock(&faulty->mutex);
    return sum;
}

void weir_env_faulty_destroy(weir_env *env)
{
    if (env != NULL) {
        faulty_env *faulty = (faulty_env *)env;
        (void)pthread_mutex_destroy(&faulty->mutex);
        free(faulty);
    }
}

static const weir_env_ops FAULTY_OPS = {
    .monotonic_ns = faulty_monotonic_ns,
    .wall_ms = faulty_wall_ms,
    .random = faulty_random,
    .file_open = faulty_file_open,
    .file_close = faulty_file_close,
    .file_read = faulty_file_read,
    .file_read_stream = faulty_file_read_stream,
    .file_write = faulty_file_write,
    .file_write_stream = faulty_file_write_stream,
    .file_sync = faulty_file_sync,
    .volume_sync = faulty_volume_sync,
    .file_size = faulty_file_size,
    .file_truncate = faulty_file_truncate,
    .file_allocate = faulty_file_allocate,
    .file_lock = faulty_file_lock,
    .dir_make = faulty_dir_make,
    .dir_sync = faulty_dir_sync,
    .dir_list = faulty_dir_list,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .dir_remove = faulty_dir_remove,
    .space_free = faulty_space_free,
    .job_submit = faulty_job_submit,
    .lanes_drain = faulty_lanes_drain,
    .event_open = faulty_event_open,
    .event_close = faulty_event_close,
    .event_fd = faulty_event_fd,
    .event_signal = faulty_event_signal,
    .event_clear = faulty_event_clear,
    .event_wait = faulty_event_wait,
    .process_id = faulty_process_id,
};
