/* Large batches are written once: to their segment, before the unit that refers to them. What was
 * acknowledged is there after a kill and after a power cut, and what is missing is never made up. */
#include "tests/unit/engine/background.h"

#include "core/batch/batch.h"

#include <dirent.h>
#include <sys/stat.h>

enum { RECORD_BYTES = 100, LARGE_RECORDS = 100, LARGE_BYTES_MIN = 8 << 10 };

/* Record n of a partition has n as text, filled up. */
static void value_of(int64_t number, char out[RECORD_BYTES + 1])
{
    snprintf(out, RECORD_BYTES + 1, "%-*lld", RECORD_BYTES, (long long)number);
}

static weir_bytes batch_make(uint8_t *memory, size_t size, int64_t first, int count)
{
    weir_batch_builder builder;
    char value[RECORD_BYTES + 1];
    uint8_t rest[RECORD_BYTES + 16];
    uint32_t position;
    weir_batch_begin(&builder, memory, size);
    for (int i = 0; i < count; i++) {
        value_of(first + i, value);
        weir_bytes bytes = {(const uint8_t *)value, RECORD_BYTES};
        size_t len = weir_record_rest_encode(bytes, NULL, 0, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position),
            WEIR_OK);
    }
    return weir_batch_finish(&builder, 0, 0, 0);
}

static uint8_t memory[1 << 20];

static void produce_submit(fixture *f, uint32_t partition, int64_t first, int count, uint64_t token)
{
    weir_bytes batch = batch_make(memory, sizeof(memory), first, count);
    while (weir_port_produce_batch(f->port, WEIR_TEXT("t"), partition, batch, NULL, token) ==
           WEIR_AGAIN) {
        weir_port_step(f->port);
    }
}

static void produce(fixture *f, int64_t first, int count)
{
    produce_submit(f, 0, first, count, 0);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_BATCH);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.published.offset, first);
}

static uint64_t straight_bytes(const fixture *f)
{
    weir_stats stats;
    weir_engine_stats(f->engine, &stats);
    return stats.straight_bytes;
}

/* The whole partition: record i is the i-th. */
static void assert_records(fixture *f, int64_t count)
{
    char value[RECORD_BYTES + 1];
    for (int64_t offset = 0; offset < count;) {
        weir_completion done = fetch(f->port, "t", 0, offset, 0);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.fetched.run_count > 0);
        for (uint32_t r = 0; r < done.fetched.run_count; r++) {
            const weir_run *run = &done.fetched.runs[r];
            for (uint32_t i = 0; i < run->count; i++, offset++) {
                weir_record record;
                weir_chunk_record(run->chunk, run->first + i, &record);
                value_of(offset, value);
                assert_int_equal(record.offset, offset);
                assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
            }
        }
        weir_completion_drop(&done);
    }
    weir_completion end = fetch(f->port, "t", 0, count, 0);
    assert_int_equal(end.fetched.end_offset, count);
    weir_completion_drop(&end);
}

static void begin(fixture *f, weir_level level, weir_sync_mode sync)
{
    fixture_prepare(f);
    f->config.journal_inline_bytes_max = LARGE_BYTES_MIN;
    f->config.checkpoint_bytes = 1 << 30;
    f->config.sync = sync;
    fixture_open(f);
    declare(f->port, "t", level);
}

/* Large ones until some go straight: the first is journalled, and a flush makes the segment. None is under
 * way in the end: while one is, batches go through the journal. */
static int64_t warm(fixture *f, int64_t next)
{
    uint64_t before = straight_bytes(f);
    for (int i = 0; i < 2000 && straight_bytes(f) == before; i++) {
        produce(f, next, LARGE_RECORDS);
        next += LARGE_RECORDS;
        background_rests(f);
    }
    assert_true(straight_bytes(f) > before);
    return next;
}

/* One that went straight: a flush under way sends others through the journal. */
static int64_t produce_straight(fixture *f, int64_t next)
{
    for (int i = 0; i < 2000; i++, next += LARGE_RECORDS) {
        uint64_t before = straight_bytes(f);
        produce(f, next, LARGE_RECORDS);
        if (straight_bytes(f) > before) {
            return next + LARGE_RECORDS;
        }
        background_rests(f);
    }
    fail_msg("none went straight");
    return 0;
}

static void large_batches_are_written_once(void **state)
{
    fixture f;
    weir_stats before, after;
    (void)state;
    begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = warm(&f, 0);
    weir_engine_stats(f.engine, &before);
    for (int i = 0; i < 50; i++, next += 1000) {
        produce(&f, next, 1000);
    }
    weir_engine_stats(f.engine, &after);
    uint64_t payload = 50 * 1000 * RECORD_BYTES;
    uint64_t written =
        after.journal_bytes - before.journal_bytes + after.segment_bytes - before.segment_bytes;
    assert_true(written < payload * 3 / 2);
    assert_true(after.straight_bytes - before.straight_bytes > payload);
    assert_records(&f, next);
    fixture_end(&f);
}

static void many_publishes_of_one_turn_are_one_large_batch(void **state)
{
    fixture f;
    (void)state;
    begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = warm(&f, 0);
    uint64_t before = straight_bytes(&f);
    char value[RECORD_BYTES + 1];
    for (int i = 0; i < 500; i++) {
        weir_publish record = {.name = WEIR_TEXT("t")};
        value_of(next + i, value);
        record.value = (weir_bytes){(const uint8_t *)value, RECORD_BYTES};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, (uint64_t)i), WEIR_OK);
    }
    for (int i = 0; i < 500; i++) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_PUBLISH);
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.published.offset, next + i);
    }
    assert_true(straight_bytes(&f) - before > 500 * RECORD_BYTES);
    assert_records(&f, next + 500);
    fixture_kill(&f);
    fixture_open(&f);
    assert_records(&f, next + 500);
    fixture_end(&f);
}

/* An eighth of what is large, produced one at a time until one goes straight, or so many did not. */
static uint64_t straight_of_eighths(weir_level level, int most)
{
    enum { EIGHTH_RECORDS = LARGE_RECORDS / 8 };
    fixture f;
    int64_t next = 0;
    begin(&f, level, WEIR_SYNC_INLINE);
    for (int i = 0; i < most && straight_bytes(&f) == 0; i++, next += EIGHTH_RECORDS) {
        produce(&f, next, EIGHTH_RECORDS);
        background_rests(&f); /* the flush makes the segment */
    }
    uint64_t bytes = straight_bytes(&f);
    assert_records(&f, next);
    fixture_kill(&f);
    fixture_open(&f);
    assert_records(&f, next);
    fixture_end(&f);
    return bytes;
}

static void where_no_answer_waits_for_a_sync_less_is_large(void **state)
{
    (void)state;
    assert_true(straight_of_eighths(WEIR_LEVEL_OS, 20000) > 0);
    assert_int_equal(straight_of_eighths(WEIR_LEVEL_DISK, 300), 0);
}

static void many_batches_of_one_group_are_large_together(void **state)
{
    enum { EACH = LARGE_RECORDS / 8, MANY = 64 };
    fixture f;
    (void)state;
    begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = warm(&f, 0);
    uint64_t before = straight_bytes(&f);
    for (int i = 0; i < MANY; i++) {
        produce_submit(&f, 0, next + i * EACH, EACH, (uint64_t)i);
    }
    for (int i = 0; i < MANY; i++) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_BATCH);
        assert_int_equal(done.err, WEIR_OK);
    }
    assert_true(straight_bytes(&f) - before > MANY / 2 * EACH * RECORD_BYTES);
    assert_records(&f, next + MANY * EACH);
    fixture_kill(&f);
    fixture_open(&f);
    assert_records(&f, next + MANY * EACH);
    fixture_end(&f);
}

/* Small ones go to the journal; the next large one takes them along into the segment. */
static void kill_and_mix(weir_level level, weir_sync_mode sync)
{
    fixture f;
    begin(&f, level, sync);
    int64_t next = 0;
    uint64_t straight = 0;
    for (int round = 0; round < 6; round++) {
        next = warm(&f, next);
        for (int i = 0; i < 30; i++) {
            int count = i % 3 == 0 ? 3 : LARGE_RECORDS + 10 * i;
            produce(&f, next, count);
            next += count;
        }
        straight += straight_bytes(&f);
        round == 3 ? fixture_close(&f) : fixture_kill(&f);
        fixture_open(&f);
        assert_records(&f, next);
    }
    assert_true(straight > 0);
    fixture_end(&f);
}

static void small_and_large_in_turn_survive_kills_in_order(void **state)
{
    (void)state;
    kill_and_mix(WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    kill_and_mix(WEIR_LEVEL_DISK, WEIR_SYNC_THREAD);
    kill_and_mix(WEIR_LEVEL_OS, WEIR_SYNC_THREAD);
    kill_and_mix(WEIR_LEVEL_OS, WEIR_SYNC_INLINE);
}

static void checkpoints_and_rolls_lose_nothing(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        fixture f;
        int64_t next = 0;
        begin(&f, WEIR_LEVEL_DISK, (weir_sync_mode)mode);
        fixture_close(&f);
        f.config.checkpoint_bytes = 200 << 10;
        f.config.segment_bytes_max = 100 << 10;
        f.config.limits.tail_bytes_max = 1 << 20;
        for (int round = 0; round < 8; round++) {
            fixture_open(&f);
            next = warm(&f, next);
            for (int i = 0; i < 60; i++) {
                int count = i % 4 == 0 ? 3 : LARGE_RECORDS;
                produce(&f, next, count);
                next += count;
            }
            assert_records(&f, next);
            fixture_kill(&f);
        }
        fixture_open(&f);
        assert_records(&f, next);
        fixture_end(&f);
    }
}

/* ---- Damage ------------------------------------------------------------------------------------ */

/* The newest segment in the folder of the highest term. */
static void segment_find(const fixture *f, char *out, size_t size)
{
    char dir[160], newest[64] = "", file[64] = "";
    const struct dirent *entry;
    snprintf(dir, sizeof(dir), "%s/log/1/0", f->dir);
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL) {
        if (strlen(entry->d_name) == 16 && strcmp(entry->d_name, newest) > 0) {
            snprintf(newest, sizeof(newest), "%.60s", entry->d_name);
        }
    }
    closedir(listing);
    snprintf(dir, sizeof(dir), "%s/log/1/0/%s", f->dir, newest);
    listing = opendir(dir);
    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL) {
        if (strstr(entry->d_name, ".log") != NULL && strcmp(entry->d_name, file) > 0) {
            snprintf(file, sizeof(file), "%.60s", entry->d_name);
        }
    }
    closedir(listing);
    snprintf(out, size, "%s/%s", dir, file);
}

static void flip_last_byte(const char *path)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
    assert_int_equal(fclose(file), 0);
}

static void a_batch_that_was_synced_and_is_damaged_stops_the_start(void **state)
{
    fixture f;
    weir_fault fault = {0};
    char path[320];
    (void)state;
    begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = produce_straight(&f, warm(&f, 0));
    publish_ok(f.port, "t", "the block of this one carries the mark");
    fixture_kill(&f);
    segment_find(&f, path, sizeof(path));
    flip_last_byte(path);
    assert_int_equal(weir_engine_open(&f.config, &f.engine, &fault), WEIR_DAMAGED);
    assert_non_null(strstr(fault.text, "missing"));
    flip_last_byte(path); /* nothing was changed: with the byte back it is all there */
    fixture_open(&f);
    weir_completion done = fetch(f.port, "t", 0, next, 0);
    assert_int_equal(done.fetched.end_offset, next + 1);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void a_batch_above_every_mark_that_is_not_whole_is_a_torn_tail(void **state)
{
    fixture f;
    char path[320];
    struct stat status;
    (void)state;
    begin(&f, WEIR_LEVEL_OS, WEIR_SYNC_INLINE);
    f.config.os_sync_every_ms = 3600000;
    fixture_close(&f);
    fixture_open(&f);
    int64_t next = warm(&f, 0);
    marked(&f);
    next = produce_straight(&f, next) - LARGE_RECORDS;
    assert_int_equal(produce_straight(&f, next + LARGE_RECORDS), next + 2 * LARGE_RECORDS);
    fixture_kill(&f);
    segment_find(&f, path, sizeof(path));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - 10), 0); /* as a power cut may leave it */
    fixture_open(&f);
    assert_records(&f, next + LARGE_RECORDS);
    produce(&f, next + LARGE_RECORDS, 5);
    fixture_kill(&f);
    fixture_open(&f);
    assert_records(&f, next + LARGE_RECORDS + 5);
    fixture_end(&f);
}

/* The bytes of an unproven batch go into the journal at a start: its own file is needed no more. */
static void what_no_mark_proves_is_carried_into_the_journal(void **state)
{
    fixture f;
    char path[320];
    (void)state;
    begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = warm(&f, 0);
    marked(&f); /* all so far is proved */
    next = produce_straight(&f, next) - LARGE_RECORDS;
    fixture_kill(&f);
    segment_find(&f, path, sizeof(path));
    fixture_open(&f);
    fixture_kill(&f);
    flip_last_byte(path);
    fixture_open(&f);
    assert_records(&f, next + LARGE_RECORDS);
    fixture_end(&f);
}

/* ---- Failures ---------------------------------------------------------------------------------- */

static const uint32_t every_kind = (1u << WEIR_CALL_COUNT) - 1;

/* Publishes large and small ones until something refuses; counts what was acknowledged. */
static void life(fixture *f, int64_t *acknowledged)
{
    weir_fault fault;
    f->config.data_dir = f->dir;
    if (weir_engine_open(&f->config, &f->engine, &fault) != WEIR_OK) {
        return;
    }
    assert_int_equal(weir_port_open(f->engine, &f->port), WEIR_OK);
    weir_topic_options options = {.level = WEIR_LEVEL_DISK};
    weir_completion done = {0};
    weir_port_topic_create(f->port, WEIR_TEXT("t"), &options, NULL, 0);
    bool going = true;
    for (int i = 0; i < 40 && going; i++) {
        going = answered_or_ill(f, &done) && done.err == WEIR_OK;
        if (going && done.type == WEIR_COMPLETION_BATCH) {
            *acknowledged += done.token;
        }
        weir_completion_drop(&done);
        done = (weir_completion){0};
        int count = i % 4 == 0 ? 3 : LARGE_RECORDS;
        if (going) {
            produce_submit(f, 0, *acknowledged, count, (uint64_t)count);
        }
    }
    weir_port_close(f->port);
    weir_engine_close(f->engine);
}

static uint64_t one_life(uint64_t countdown, bool for_good, weir_err err, int64_t *acknowledged)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    f->config.journal_file_bytes = 64 << 10;
    f->config.journal_inline_bytes_max = LARGE_BYTES_MIN;
    f->config.checkpoint_bytes = 150 << 10;
    f->config.segment_bytes_max = 100 << 10;
    weir_env_faulty_plan(d.faulty, (weir_env_fault_plan){.kinds = every_kind,
                                                         .countdown = countdown,
                                                         .for_good = for_good,
                                                         .err = err,
                                                         .os_errno = 5});
    *acknowledged = 0;
    life(f, acknowledged);
    uint64_t calls = weir_env_faulty_calls(d.faulty, every_kind);
    f->config.env = NULL;
    fixture_open(f);
    if (*acknowledged > 0) {
        weir_completion done = fetch(f->port, "t", 0, 0, 0);
        int64_t end = done.fetched.end_offset;
        weir_completion_drop(&done);
        assert_true(end >= *acknowledged);
        assert_records(f, end);
    }
    faulty_end(&d);
    return calls;
}

static void no_failing_call_loses_what_was_acknowledged(void **state)
{
    int64_t acknowledged = 0;
    (void)state;
    uint64_t calls = one_life(0, false, WEIR_OK, &acknowledged);
    assert_int_equal(acknowledged, 10 * 3 + 29 * LARGE_RECORDS);
    for (uint64_t n = 30; n <= calls; n += 7) {
        one_life(n, n % 2 == 0, n % 3 == 0 ? WEIR_DISK_FULL : WEIR_IO, &acknowledged);
    }
}

/* For want of room the block's bytes get that of the journal's reserve, and writing goes on by
 * itself. */
static void a_full_disk_under_a_large_batch_is_waited_for(void **state)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    (void)state;
    f->config.journal_inline_bytes_max = LARGE_BYTES_MIN;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    int64_t next = warm(f, 0);
    reserve_made(f);
    background_rests(f);
    weir_env_faulty_plan(d.faulty, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_WRITE,
                                                         .countdown = 1,
                                                         .err = WEIR_DISK_FULL,
                                                         .os_errno = 28});
    produce_submit(f, 0, next, LARGE_RECORDS, 0);
    weir_port_step(f->port);
    assert_int_equal(weir_engine_health_of(f->engine), WEIR_HEALTH_DISK_FULL);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_BATCH);
    assert_int_equal(done.err, WEIR_OK);
    health_becomes(f, WEIR_HEALTH_OK); /* when there is a reserve again */
    next += LARGE_RECORDS;
    produce(f, next, LARGE_RECORDS);
    assert_records(f, next + LARGE_RECORDS);
    fixture_kill(f);
    fixture_open(f);
    assert_records(f, next + LARGE_RECORDS);
    faulty_end(&d);
}

static void a_topic_deleted_behind_its_large_batches_stops_no_start(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        fixture f;
        begin(&f, WEIR_LEVEL_OS, (weir_sync_mode)mode);
        int64_t next = warm(&f, 0);
        for (int i = 0; i < 5; i++) {
            produce_submit(&f, 0, next, LARGE_RECORDS, 0);
        }
        assert_int_equal(weir_port_topic_delete(f.port, WEIR_TEXT("t"), NULL, 0), WEIR_OK);
        for (int i = 0; i < 6; i++) {
            weir_completion done = next_on(f.port);
            assert_int_equal(done.err, WEIR_OK);
            weir_completion_drop(&done);
        }
        for (int round = 0; round < 3; round++) {
            fixture_kill(&f);
            fixture_open(&f);
            assert_int_equal(fetch(f.port, "t", 0, 0, 0).err, WEIR_NOT_FOUND);
        }
        fixture_end(&f);
    }
}

/* Turns a byte of the newest checkpoint: the next start falls back to the one before. */
static void newest_checkpoint_damage(const fixture *f)
{
    char dir[128], newest[256] = "", path[512];
    snprintf(dir, sizeof(dir), "%s/state", f->dir);
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        if (strstr(entry->d_name, ".checkpoint") != NULL && strcmp(entry->d_name, newest) > 0) {
            snprintf(newest, sizeof(newest), "%s", entry->d_name);
        }
    }
    closedir(listing);
    assert_string_not_equal(newest, "");
    snprintf(path, sizeof(path), "%s/%s", dir, newest);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 100, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 100, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 0x55, file), byte ^ 0x55);
    assert_int_equal(fclose(file), 0);
}

/* The older checkpoint has the topic, and the journal behind it refers to its batches: whatever the starts in
 * between have removed, this one works. */
static void an_older_checkpoint_starts_though_a_topic_with_large_batches_went(void **state)
{
    (void)state;
    for (int starts = 1; starts <= 3; starts++) {
        fixture f;
        begin(&f, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
        int64_t next = warm(&f, 0);
        fixture_close(&f); /* the older checkpoint */
        fixture_open(&f);
        next = produce_straight(&f, next);
        (void)produce_straight(&f, next);
        declare(f.port, "other", WEIR_LEVEL_DISK);
        assert_int_equal(weir_port_topic_delete(f.port, WEIR_TEXT("t"), NULL, 0), WEIR_OK);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
        assert_int_equal(done.err, WEIR_OK);
        weir_completion_drop(&done);
        assert_int_equal(publish_ok(f.port, "other/k", "kept"), 0);
        fixture_close(&f); /* the newest */
        for (int i = 0; i < starts; i++) {
            fixture_open(&f); /* removes what is left of deleted topics */
            fixture_kill(&f);
        }
        newest_checkpoint_damage(&f);
        fixture_open(&f);
        assert_int_equal(fetch(f.port, "t", 0, 0, 0).err, WEIR_NOT_FOUND);
        assert_record(f.port, "other", 0, "k", "kept");
        fixture_end(&f);
    }
}

/* What a trim takes leaves no hole in a segment, and is not counted twice. */
static void a_trim_beside_large_batches_keeps_the_log_in_order(void **state)
{
    (void)state;
    for (int mode = WEIR_SYNC_INLINE; mode <= WEIR_SYNC_THREAD; mode++) {
        fixture f;
        begin(&f, WEIR_LEVEL_OS, (weir_sync_mode)mode);
        int64_t next = warm(&f, 0);
        for (int round = 0; round < 40; round++) {
            produce(&f, next, 3); /* journalled; the next large one takes it along */
            next += 3;
            produce_submit(&f, 0, next, LARGE_RECORDS, 0);
            weir_port_step(f.port);
            assert_int_equal(
                weir_port_topic_trim(f.port, WEIR_TEXT("t"), 0, next - round % 3, NULL, 0),
                WEIR_OK);
            next += LARGE_RECORDS;
            for (int i = 0; i < 2; i++) {
                weir_completion done = next_on(f.port);
                assert_int_equal(done.err, WEIR_OK);
                weir_completion_drop(&done);
            }
        }
        fixture_kill(&f);
        fixture_open(&f);
        weir_completion end = fetch(f.port, "t", 0, next, 0);
        assert_int_equal(end.fetched.end_offset, next);
        weir_completion_drop(&end);
        fixture_end(&f);
    }
}

/* A new owner reads what the old one, still alive, wrote straight, and writes none of its files. */
static void a_taken_over_directory_has_its_large_batches(void **state)
{
    fixture old, newer;
    char path[320];
    struct stat before, after;
    (void)state;
    begin(&old, WEIR_LEVEL_DISK, WEIR_SYNC_INLINE);
    int64_t next = warm(&old, 0);
    produce(&old, next, LARGE_RECORDS);
    next += LARGE_RECORDS;
    segment_find(&old, path, sizeof(path));
    assert_int_equal(stat(path, &before), 0);
    newer = old;
    newer.config.take_over = true;
    fixture_open(&newer);
    assert_records(&newer, next);
    produce_submit(&old, 0, next, LARGE_RECORDS, 0); /* the old one wakes */
    health_becomes(&old, WEIR_HEALTH_FENCED);
    next = warm(&newer, next);
    assert_records(&newer, next);
    fixture_kill(&newer);
    fixture_kill(&old);
    newer.config.take_over = false;
    fixture_open(&newer);
    assert_records(&newer, next);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size >= before.st_size);
    fixture_end(&newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_batches_are_written_once),
        cmocka_unit_test(many_publishes_of_one_turn_are_one_large_batch),
        cmocka_unit_test(where_no_answer_waits_for_a_sync_less_is_large),
        cmocka_unit_test(many_batches_of_one_group_are_large_together),
        cmocka_unit_test(small_and_large_in_turn_survive_kills_in_order),
        cmocka_unit_test(checkpoints_and_rolls_lose_nothing),
        cmocka_unit_test(a_batch_that_was_synced_and_is_damaged_stops_the_start),
        cmocka_unit_test(a_batch_above_every_mark_that_is_not_whole_is_a_torn_tail),
        cmocka_unit_test(what_no_mark_proves_is_carried_into_the_journal),
        cmocka_unit_test(no_failing_call_loses_what_was_acknowledged),
        cmocka_unit_test(a_full_disk_under_a_large_batch_is_waited_for),
        cmocka_unit_test(a_topic_deleted_behind_its_large_batches_stops_no_start),
        cmocka_unit_test(an_older_checkpoint_starts_though_a_topic_with_large_batches_went),
        cmocka_unit_test(a_trim_beside_large_batches_keeps_the_log_in_order),
        cmocka_unit_test(a_taken_over_directory_has_its_large_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
