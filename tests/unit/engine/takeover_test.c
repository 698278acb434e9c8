/* An owner that stands still inside a background job while another takes over, and then goes on,
 * takes nothing from the newer one. A job is held at a storage call, or before it begins. */
#include "tests/unit/engine/support.h"

#include <stdatomic.h>

enum { RECORDS = 1000 };

typedef enum held_at {
    HELD_NOWHERE,
    HELD_AT_UNLINK,     /* of a segment's .log: the first thing that making one does */
    HELD_AFTER_RENAME,  /* that gave a checkpoint its name; older ones are removed next */
    HELD_BEFORE_THE_JOB /* the first one in the background */
} held_at;

/* One table of calls, over the real one, for one env at a time. */
static const weir_env_ops *real;
static _Atomic(int) held_where;
static atomic_bool is_held;
static atomic_bool goes_on;
static weir_job *job_held;
static atomic_bool log_is_full;
static weir_file *_Atomic logs[64]; /* open .log files that were made; the background lane's */
static atomic_int logs_made;
static atomic_int logs_open;
static atomic_int logs_written;
static weir_file *_Atomic log_unsynced; /* the last .log written, when it was not synced since */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void hold(held_at where)
{
    int expected = (int)where;
    if (atomic_compare_exchange_strong(&held_where, &expected, HELD_NOWHERE)) {
        atomic_store(&is_held, true);
        for (int i = 0; i < 10 * WAIT_MS && !atomic_load(&goes_on); i++) {
            usleep(100);
        }
    }
}

static weir_err held_unlink(weir_env *env, const char *path)
{
    if (ends_with(path, ".log")) {
        hold(HELD_AT_UNLINK);
    }
    return real->unlink(env, path);
}

static weir_err held_rename(weir_env *env, const char *from, const char *to)
{
    weir_err err = real->rename(env, from, to);
    if (ends_with(to, ".checkpoint")) {
        hold(HELD_AFTER_RENAME);
    }
    return err;
}

static void held_job_submit(weir_env *env, weir_lane lane, weir_job *job)
{
    int expected = HELD_BEFORE_THE_JOB;
    if (lane == WEIR_LANE_BACKGROUND &&
        atomic_compare_exchange_strong(&held_where, &expected, HELD_NOWHERE)) {
        job_held = job;
        atomic_store(&is_held, true);
        return;
    }
    real->job_submit(env, lane, job);
}

static weir_err counted_open(weir_env *env, const char *path, unsigned flags, weir_file **file)
{
    weir_err err = real->file_open(env, path, flags, file);
    if (err == WEIR_OK && (flags & WEIR_OPEN_EXCLUSIVE) != 0 && ends_with(path, ".log")) {
        atomic_store(&logs[atomic_fetch_add(&logs_made, 1) % 64], *file);
        atomic_fetch_add(&logs_open, 1);
    }
    return err;
}

static weir_file *_Atomic *log_of(const weir_file *file)
{
    for (size_t i = 0; i < 64; i++) {
        if (atomic_load(&logs[i]) == file) {
            return &logs[i];
        }
    }
    return NULL;
}

static weir_err full_write(weir_env *env, weir_file *file, const struct iovec *iov, int count,
                           uint64_t at)
{
    if (log_of(file) != NULL) {
        if (atomic_load(&log_is_full)) {
            return WEIR_DISK_FULL;
        }
        atomic_fetch_add(&logs_written, 1);
        atomic_store(&log_unsynced, file);
    }
    return real->file_write(env, file, iov, count, at);
}

static weir_err counted_sync(weir_env *env, weir_file *file)
{
    if (atomic_load(&log_unsynced) == file) {
        atomic_store(&log_unsynced, NULL);
    }
    return real->file_sync(env, file);
}

static void counted_close(weir_env *env, weir_file *file)
{
    weir_file *_Atomic *log = log_of(file);
    if (log != NULL) {
        atomic_store(log, NULL);
        atomic_fetch_sub(&logs_open, 1);
    }
    real->file_close(env, file);
}

static weir_env *held_env(void)
{
    static weir_env_ops ops;
    weir_env *env = NULL;
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    real = env->ops;
    ops = *real;
    ops.unlink = held_unlink;
    ops.rename = held_rename;
    ops.job_submit = held_job_submit;
    ops.file_open = counted_open;
    ops.file_write = full_write;
    ops.file_write_stream = full_write;
    ops.file_sync = counted_sync;
    ops.file_close = counted_close;
    env->ops = &ops;
    atomic_store(&held_where, HELD_NOWHERE);
    atomic_store(&is_held, false);
    atomic_store(&goes_on, false);
    atomic_store(&log_is_full, false);
    atomic_store(&logs_made, 0);
    atomic_store(&logs_open, 0);
    atomic_store(&log_unsynced, NULL);
    memset(logs, 0, sizeof(logs));
    return env;
}

static void publish_range(fixture *f, int from, int count)
{
    char value[32];
    for (int i = 0; i < count; i++) {
        weir_publish record = {.name = WEIR_TEXT("t/k")};
        snprintf(value, sizeof(value), "%d", from + i);
        record.value = weir_bytes_of(value);
        while (weir_port_publish(f->port, &record, NULL, 0) == WEIR_AGAIN) {
            weir_port_step(f->port);
        }
    }
    for (int i = 0; i < count; i++) {
        assert_int_equal(next_of(f->port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
    }
}

static void assert_range(fixture *f, int64_t count)
{
    char value[32];
    for (int64_t offset = 0; offset < count;) {
        weir_completion done = fetch(f->port, "t", 0, offset, 0);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.fetched.run_count > 0);
        assert_int_equal(done.fetched.end_offset, count);
        const weir_run *run = &done.fetched.runs[0];
        for (uint32_t i = 0; i < run->count; i++, offset++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + i, &record);
            assert_int_equal(record.offset, offset);
            snprintf(value, sizeof(value), "%lld", (long long)offset);
            assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
        }
        weir_completion_drop(&done);
    }
}

static void await_checkpoints(fixture *f, uint64_t count)
{
    weir_stats stats = {0};
    for (int64_t end = wait_end(); stats.checkpoints < count && wait_goes_on(end);) {
        (void)weir_port_wait(f->port, 10);
        weir_engine_stats(f->engine, &stats);
    }
    assert_true(stats.checkpoints >= count);
}

/* Publishes until a job is held; returns how many. */
static int publish_until_held(fixture *f, int from)
{
    int total = from;
    for (int round = 0; round < 100 && !atomic_load(&is_held); round++, total += RECORDS) {
        publish_range(f, total, RECORDS);
        (void)weir_port_wait(f->port, 10);
    }
    assert_true(atomic_load(&is_held));
    return total;
}

static void begin_counted(fixture *f)
{
    fixture_prepare(f);
    f->config.env = held_env();
    f->config.sync = WEIR_SYNC_INLINE;
    f->config.journal_file_bytes = 64 << 10;
    f->config.checkpoint_bytes = 2 << 10;
    f->config.segment_bytes_max = 16 << 10;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
}

/* The newer owner makes the same offsets' segments, and checkpoints that count on them; then the
 * older one goes on, and both are killed. */
static void take_over_while_held(held_at where, int *made_by_the_older)
{
    fixture older, newer;
    int total = 0;
    begin_counted(&older);
    if (where == HELD_BEFORE_THE_JOB) { /* a flush, not the journal making its first spare */
        publish_range(&older, 0, RECORDS);
        total = RECORDS;
        await_checkpoints(&older, 1);
    }
    atomic_store(&held_where, (int)where);
    total = publish_until_held(&older, total);
    int made_before = atomic_load(&logs_made) + atomic_load(&logs_written);
    newer = older;
    newer.config.env = NULL;
    newer.config.take_over = true;
    fixture_open(&newer);
    for (uint64_t round = 1; round <= 4; round++, total += RECORDS) {
        publish_range(&newer, total, RECORDS);
        await_checkpoints(&newer, round);
    }
    if (job_held != NULL) {
        real->job_submit(older.config.env, WEIR_LANE_BACKGROUND, job_held);
        job_held = NULL;
    }
    atomic_store(&goes_on, true);
    health_becomes(&older, WEIR_HEALTH_FENCED);
    fixture_kill(&older);
    *made_by_the_older = atomic_load(&logs_made) + atomic_load(&logs_written) - made_before;
    weir_env_posix_destroy(older.config.env);
    fixture_kill(&newer);
    newer.config.take_over = false;
    fixture_open(&newer);
    assert_range(&newer, total);
    publish_range(&newer, total, RECORDS); /* and its folders are written on */
    await_checkpoints(&newer, 1);
    fixture_kill(&newer);
    fixture_open(&newer);
    assert_range(&newer, total + RECORDS);
    fixture_end(&newer);
}

static void an_older_owner_removes_no_segment_of_a_newer_one(void **state)
{
    int made = 0;
    (void)state;
    take_over_while_held(HELD_AT_UNLINK, &made);
}

static void an_older_owner_removes_no_checkpoint_of_a_newer_one(void **state)
{
    int made = 0;
    (void)state;
    take_over_while_held(HELD_AFTER_RENAME, &made);
}

static void an_older_owner_that_wakes_before_a_flush_makes_nothing(void **state)
{
    int made = 0;
    (void)state;
    take_over_while_held(HELD_BEFORE_THE_JOB, &made);
    assert_int_equal(made, 0);
}

static void no_empty_segment_stays_open_after_a_failed_append(void **state)
{
    fixture f;
    (void)state;
    begin_counted(&f);
    publish_range(&f, 0, RECORDS);
    await_checkpoints(&f, 1);
    atomic_store(&log_is_full, true);
    int made_before = atomic_load(&logs_made);
    publish_range(&f, RECORDS, RECORDS);
    int64_t end = wait_end();
    while (atomic_load(&logs_made) < made_before + 3 && wait_goes_on(end)) {
        (void)weir_port_wait(f.port, 10);
    }
    assert_true(atomic_load(&logs_made) >= made_before + 3);
    assert_true(atomic_load(&logs_open) <= made_before + 1); /* at most the one being tried */
    atomic_store(&log_is_full, false);
    health_becomes(&f, WEIR_HEALTH_OK);
    fixture_kill(&f);
    fixture_open(&f);
    assert_range(&f, 2 * RECORDS);
    weir_env *env = f.config.env;
    fixture_end(&f);
    weir_env_posix_destroy(env);
}

/* The next flush begins another segment, and a checkpoint syncs only the newest. */
static void a_segment_that_is_left_after_a_failed_append_is_synced(void **state)
{
    fixture f;
    (void)state;
    begin_counted(&f);
    f.config.checkpoint_bytes = 1 << 30;
    f.config.segment_bytes_max = 0;
    f.config.limits.tail_bytes_max = 1 << 20;
    weir_env *first = f.config.env;
    fixture_kill(&f);
    weir_env_posix_destroy(first);
    f.config.env = held_env();
    fixture_open(&f);
    int total = 0;
    int64_t end = wait_end();
    for (; atomic_load(&log_unsynced) == NULL && wait_goes_on(end); total += RECORDS) {
        publish_range(&f, total, RECORDS);
    }
    assert_true(atomic_load(&log_unsynced) !=
                NULL); /* flushed, and no checkpoint wants it synced */
    atomic_store(&log_is_full, true);
    end = wait_end();
    while (weir_engine_health_of(f.engine) == WEIR_HEALTH_OK && wait_goes_on(end)) {
        weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("more")};
        for (int k = 0; k < RECORDS; k++) {
            (void)weir_port_publish(f.port, &record, NULL, 0);
        }
        weir_completion done;
        while (weir_port_wait(f.port, 10) == WEIR_OK && weir_port_drain(f.port, &done, 1) == 1) {
            weir_completion_drop(&done);
        }
    }
    assert_int_equal(weir_engine_health_of(f.engine), WEIR_HEALTH_DISK_FULL);
    assert_true(atomic_load(&log_unsynced) == NULL);
    atomic_store(&log_is_full, false);
    weir_env *env = f.config.env;
    fixture_kill(&f);
    fixture_open(&f);
    fixture_end(&f);
    weir_env_posix_destroy(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_owner_removes_no_segment_of_a_newer_one),
        cmocka_unit_test(an_older_owner_removes_no_checkpoint_of_a_newer_one),
        cmocka_unit_test(an_older_owner_that_wakes_before_a_flush_makes_nothing),
        cmocka_unit_test(a_segment_that_is_left_after_a_failed_append_is_synced),
        cmocka_unit_test(no_empty_segment_stays_open_after_a_failed_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
