/* What was acknowledged is there after a kill; offsets go on; state is that of the journal. */
#include "tests/unit/engine/small_disk.h"
#include "tests/unit/engine/support.h"

static void publish_many(fixture *f, const char *name, int from, int count)
{
    char value[32];
    for (int i = 0; i < count; i++) {
        weir_publish record = {.name = weir_bytes_of(name)};
        snprintf(value, sizeof(value), "%d", from + i);
        record.value = weir_bytes_of(value);
        while (weir_port_publish(f->port, &record, NULL, (uint64_t)i) == WEIR_AGAIN) {
            weir_port_step(f->port);
        }
    }
    for (int i = 0; i < count; i++) {
        weir_completion done = next_of(f->port, WEIR_COMPLETION_PUBLISH);
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.token, i); /* answers come in the order of the publishes */
    }
}

/* Reads the whole partition and checks that record i has value i. */
static void assert_all(fixture *f, const char *topic, int64_t count)
{
    int64_t offset = 0;
    char value[32];
    while (offset < count) {
        weir_completion done = fetch(f->port, topic, 0, offset, 0);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.fetched.run_count > 0);
        assert_int_equal(done.fetched.end_offset, count);
        for (uint32_t r = 0; r < done.fetched.run_count; r++) {
            const weir_run *run = &done.fetched.runs[r];
            for (uint32_t i = 0; i < run->count; i++) {
                weir_record record;
                weir_chunk_record(run->chunk, run->first + i, &record);
                assert_int_equal(record.offset, offset);
                snprintf(value, sizeof(value), "%lld", (long long)offset);
                assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
                offset++;
            }
        }
        weir_completion_drop(&done);
    }
}

static void acknowledged_records_survive_a_kill(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    for (int round = 0; round < 8; round++) {
        publish_many(&f, "t/k", round * 300, 300);
        fixture_kill(&f);
        fixture_open(&f);
        assert_all(&f, "t", (round + 1) * 300);
    }
    fixture_end(&f);
}

static void records_survive_a_clean_stop_and_are_read_from_disk(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_OS);
    publish_many(&f, "t/k", 0, 5000);
    fixture_close(&f);
    fixture_open(&f);
    assert_all(&f, "t", 5000);
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_true(stats.cold_reads > 0);
    publish_many(&f, "t/k", 5000, 100);
    assert_all(&f, "t", 5100);
    fixture_end(&f);
}

static void await_checkpoint(fixture *f)
{
    weir_stats stats = {0};
    for (int64_t end = wait_end(); stats.checkpoints == 0 && wait_goes_on(end);) {
        weir_port_wait(f->port, 10);
        weir_engine_stats(f->engine, &stats);
    }
    assert_true(stats.checkpoints > 0);
}

static void checkpoints_and_recycled_journal_files_lose_nothing(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    fixture_close(&f);
    f.config.journal_file_bytes = 64 << 10;
    f.config.checkpoint_bytes = 40 << 10;
    f.config.segment_bytes_max = 64 << 10;
    f.config.limits.tail_bytes_max = 1 << 20;
    fixture_open(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    int total = 0;
    for (int round = 0; round < 6; round++) {
        for (int burst = 0; burst < 20; burst++) {
            publish_many(&f, "t/k", total, 250);
            total += 250;
        }
        await_checkpoint(&f);
        fixture_kill(&f);
        fixture_open(&f);
        assert_all(&f, "t", total);
    }
    fixture_end(&f);
}

static void a_topics_level_and_deletion_survive_a_kill(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "kept", WEIR_LEVEL_OS);
    declare(f.port, "gone", WEIR_LEVEL_DISK);
    publish_ok(f.port, "gone/x", "1");
    assert_int_equal(
        weir_port_topic_set_level(f.port, WEIR_TEXT("kept"), WEIR_LEVEL_MEMORY, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    assert_int_equal(weir_port_topic_delete(f.port, WEIR_TEXT("gone"), NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    fixture_kill(&f);
    fixture_open(&f);
    assert_int_equal(weir_port_topics(f.port, WEIR_TEXT(""), NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPICS);
    assert_int_equal(done.topics.count, 1);
    assert_string_equal(done.topics.topics[0].name, "kept");
    assert_int_equal(done.topics.topics[0].options.level, WEIR_LEVEL_MEMORY);
    weir_completion_drop(&done);
    declare(f.port, "gone", WEIR_LEVEL_DISK);
    assert_int_equal(publish_ok(f.port, "gone/x", "2"), 0); /* a new topic, not the old one's log */
    fixture_end(&f);
}

static void retained_values_survive_kill_checkpoint_and_their_topics_deletion(void **state)
{
    fixture f;
    char text[256];
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    const char *names[] = {"live/a", "t/b", "t/c"};
    for (int i = 0; i < 3; i++) {
        weir_publish record = {.name = weir_bytes_of(names[i]),
                               .value = WEIR_TEXT("v"),
                               .attributes = WEIR_RECORD_RETAIN};
        weir_completion done = publish_record(f.port, &record);
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.published.level, WEIR_LEVEL_DISK);
    }
    weir_publish clear = {.name = WEIR_TEXT("t/c"), .attributes = WEIR_RECORD_RETAIN};
    assert_int_equal(publish_record(f.port, &clear).err, WEIR_OK);
    for (int round = 0; round < 3; round++) {
        round == 1 ? fixture_close(&f) : fixture_kill(&f);
        fixture_open(&f);
        weir_subscriber *subscriber = subscriber_open(f.port, 100);
        weir_subscribe wanted = {.filter = WEIR_TEXT("#"), .retained = WEIR_RETAINED_SEND};
        assert_int_equal(weir_port_subscribe(f.port, subscriber, &wanted, NULL, 0), WEIR_OK);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_SUBSCRIBE);
        weir_completion_drop(&done);
        text[0] = '\0';
        take_delivery(f.port, text, sizeof(text));
        take_delivery(f.port, text, sizeof(text));
        assert_string_equal(text, "live/a=v t/b=v ");
        assert_nothing(f.port);
        if (round == 1) {
            weir_port_topic_delete(f.port, WEIR_TEXT("t"), NULL, 0);
            done = next_of(f.port, WEIR_COMPLETION_TOPIC);
            weir_completion_drop(&done);
        }
    }
    fixture_end(&f);
}

static void a_second_engine_on_the_directory_is_refused_with_the_owners_pid(void **state)
{
    fixture f;
    weir_engine *second = NULL;
    weir_fault fault = {0};
    char pid[32];
    (void)state;
    fixture_begin(&f);
    assert_int_equal(weir_engine_open(&f.config, &second, &fault), WEIR_LOCKED);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_non_null(strstr(fault.text, pid));
    fixture_end(&f);
}

static void displace(weir_sync_mode mode)
{
    fixture f;
    fixture_begin(&f);
    fixture_close(&f);
    f.config.sync = mode;
    fixture_open(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    publish_many(&f, "t/k", 0, 10);
    fixture newer = f;
    newer.config.take_over = true;
    fixture_open(&newer);
    publish_many(&newer, "t/k", 10, 5);
    /* The old one wakes: its publish is refused or not answered; what it wrote is never read. */
    weir_publish late = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("late")};
    assert_int_equal(weir_port_publish(f.port, &late, NULL, 9), WEIR_OK);
    health_becomes(&f, WEIR_HEALTH_FENCED);
    weir_completion answer = {0};
    if (weir_port_drain(f.port, &answer, 1) == 1) {
        assert_int_equal(answer.err, WEIR_FENCED);
    }
    assert_nothing(f.port);
    publish_many(&newer, "t/k", 15, 5);
    assert_all(&newer, "t", 20);
    fixture_kill(&newer);
    fixture_kill(&f);
    newer.config.take_over = false;
    fixture_open(&newer);
    assert_all(&newer, "t", 20);
    fixture_end(&newer);
}

static void a_displaced_owner_neither_appends_nor_acknowledges(void **state)
{
    (void)state;
    displace(WEIR_SYNC_INLINE);
    displace(WEIR_SYNC_THREAD);
}

static void a_failed_sync_stops_acknowledging_and_a_restart_recovers(void **state)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    (void)state;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    publish_many(f, "t/k", 0, 20);
    disk_broken(&d); /* for good: a spare file of the journal may come first */
    weir_publish doubtful = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("20")};
    assert_int_equal(weir_port_publish(f->port, &doubtful, NULL, 9), WEIR_OK);
    assert_nothing(f->port); /* neither acknowledged nor retried */
    assert_int_equal(weir_engine_health_of(f->engine), WEIR_HEALTH_STOPPED);
    assert_int_equal(publish(f->port, "t/k", "x").err, WEIR_READ_ONLY); /* refused at once */
    assert_all(f, "t", 20); /* reading goes on up to the mark */
    fixture_kill(f);
    disk_works(&d);
    fixture_open(f);
    weir_completion done = fetch(f->port, "t", 0, 0, 0);
    assert_true(done.fetched.end_offset >= 20);
    weir_completion_drop(&done);
    faulty_end(&d);
}

static void delete_topic(fixture *f, const char *name)
{
    assert_int_equal(weir_port_topic_delete(f->port, weir_bytes_of(name), NULL, 0), WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
}

/* Replay passes through the deleted topic's life, with more of it than memory holds. */
static void a_deleted_topic_stops_no_start(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "gone", WEIR_LEVEL_OS);
    declare(f.port, "kept", WEIR_LEVEL_OS);
    publish_many(&f, "gone/k", 0, 500);
    publish_many(&f, "kept/k", 0, 500);
    fixture_close(&f); /* a checkpoint that knows the topic and its segment */
    f.config.limits.tail_bytes_max = 1 << 20;
    f.config.checkpoint_bytes = 1 << 30;
    fixture_open(&f);
    for (int round = 0; round < 60; round++) {
        publish_many(&f, "gone/k", 0, 1000);
    }
    delete_topic(&f, "gone");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            weir_port_wait(f.port, 5); /* time to remove files, if it were wrongly done */
        }
        fixture_kill(&f);
        fixture_open(&f);
        assert_all(&f, "kept", 500);
    }
    fixture_end(&f);
}

static void a_retained_value_is_shown_when_its_record_is(void **state)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    (void)state;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    disk_broken(&d);
    const char *names[] = {"t/x", "live/x"};
    for (int i = 0; i < 2; i++) {
        weir_publish record = {.name = weir_bytes_of(names[i]),
                               .value = WEIR_TEXT("not durable"),
                               .attributes = WEIR_RECORD_RETAIN};
        assert_int_equal(weir_port_publish(f->port, &record, NULL, 0), WEIR_OK);
    }
    weir_port_step(f->port);
    weir_subscriber *subscriber = subscriber_open(f->port, 100);
    weir_subscribe wanted = {.filter = WEIR_TEXT("#"), .retained = WEIR_RETAINED_SEND};
    subscribe_with(f->port, subscriber, &wanted);
    wanted.filter = WEIR_TEXT("t/x");
    subscribe_with(f->port, subscriber, &wanted);
    assert_nothing(f->port);
    fixture_kill(f);
    f->config.env = NULL;
    fixture_open(f);
    faulty_end(&d);
}

/* Takes what was finished; how many answers it was. */
static int drain_all(weir_port *port)
{
    weir_completion done;
    int count = 0;
    while (weir_port_drain(port, &done, 1) == 1) {
        weir_completion_drop(&done);
        count++;
    }
    return count;
}

static void a_checkpoint_that_met_a_full_disk_is_tried_again_soon(void **state)
{
    faulty_fixture d;
    fixture *f = faulty_prepare(&d);
    weir_stats before = {0}, after = {0};
    (void)state;
    f->config.checkpoint_bytes = 64 << 10;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    disk_full(&d, WEIR_CALL_RENAME);
    /* The rename that meets the full disk may be a journal file's as well: then the last publishes
     * are answered when there is room again. */
    int under_way = 0;
    for (int i = 0; i < 100000 && weir_engine_health_of(f->engine) == WEIR_HEALTH_OK; i++) {
        weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("value")};
        under_way += weir_port_publish(f->port, &record, NULL, 1) == WEIR_OK ? 1 : 0;
        weir_port_step(f->port);
        under_way -= drain_all(f->port);
    }
    assert_int_equal(weir_engine_health_of(f->engine), WEIR_HEALTH_DISK_FULL);
    weir_engine_stats(f->engine, &before);
    disk_works(&d);
    for (int64_t end = wait_end();
         wait_goes_on(end) && (weir_engine_health_of(f->engine) != WEIR_HEALTH_OK ||
                               under_way > 0 || after.checkpoints <= before.checkpoints);) {
        weir_port_wait(f->port, 10);
        under_way -= drain_all(f->port);
        weir_engine_stats(f->engine, &after);
        if (under_way == 0 && weir_engine_health_of(f->engine) == WEIR_HEALTH_OK) {
            /* Was it a journal file's, then no checkpoint may be due yet. */
            assert_true(publish_ok(f->port, "t/k", "more") > 0);
        }
    }
    assert_int_equal(under_way, 0);
    assert_int_equal(weir_engine_health_of(f->engine), WEIR_HEALTH_OK);
    assert_true(after.checkpoints > before.checkpoints);
    assert_true(publish_ok(f->port, "t/k", "again") > 0);
    faulty_end(&d);
}

/* More of one partition than a start leaves in memory alone; a kill comes before any flush. */
static int64_t much_published(fixture *f)
{
    static uint8_t large[8000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    int64_t count = 0;
    declare(f->port, "t", WEIR_LEVEL_OS);
    for (; count < 640; count++) {
        assert_int_equal(publish_record(f->port, &record).err, WEIR_OK);
    }
    weir_stats stats = {0};
    weir_engine_stats(f->engine, &stats);
    assert_int_equal(stats.segment_bytes, 0);
    return count;
}

static void end_is(fixture *f, int64_t count)
{
    weir_completion done = fetch(f->port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.fetched.end_offset, count);
    weir_completion_drop(&done);
}

static void a_start_writes_segments_of_a_partition_it_replays_much_of(void **state)
{
    (void)state;
    fixture f;
    fixture_begin(&f);
    int64_t count = much_published(&f);
    fixture_kill(&f);
    fixture_open(&f);
    end_is(&f, count);
    weir_stats stats = {0};
    weir_engine_stats(f.engine, &stats);
    assert_true(stats.segment_bytes >= 4 << 20);
    fixture_kill(&f);
    fixture_open(&f);
    end_is(&f, count);
    fixture_end(&f);
}

static void a_start_that_cannot_write_segments_yet_goes_on(void **state)
{
    (void)state;
    fixture f;
    char path[96];
    fixture_begin(&f);
    int64_t count = much_published(&f);
    fixture_kill(&f);
    snprintf(path, sizeof(path), "%s/log/1", f.dir); /* a file where the topic's folder should be */
    FILE *file = fopen(path, "wx");
    assert_non_null(file);
    fclose(file);
    fixture_open(&f);
    assert_int_equal(weir_engine_health_of(f.engine), WEIR_HEALTH_OK);
    end_is(&f, count);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(publish_ok(f.port, "t/x", "more"), count);
    fixture_close(&f);
    fixture_open(&f);
    end_is(&f, count + 1);
    fixture_end(&f);
}

static void a_start_on_a_disk_with_little_room_makes_its_journal_first(void **state)
{
    (void)state;
    fixture f;
    fixture_begin(&f);
    int64_t count = much_published(&f);
    fixture_kill(&f);
    weir_env *env = NULL;
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    f.config.env = env;
    small_disk_begin(env);
    small_disk_room((4 << 20) + (768 << 10)); /* for what a start flushes at once, or its journal */
    fixture_open(&f);
    end_is(&f, count);
    small_disk_room(INT64_MAX / 2);
    health_becomes(&f, WEIR_HEALTH_OK);
    assert_int_equal(publish_ok(f.port, "t/x", "more"), count);
    fixture_end(&f);
    small_disk_end(env);
    weir_env_posix_destroy(env);
}

static void a_start_without_room_takes_that_of_a_spare(void **state)
{
    (void)state;
    fixture f;
    fixture_begin(&f);
    reserve_made(&f);
    publish_ok(f.port, "t/x", "live");
    fixture_kill(&f);
    weir_env *env = NULL;
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    f.config.env = env;
    small_disk_begin(env);
    small_disk_room(64 << 10);
    fixture_open(&f);
    small_disk_room(INT64_MAX / 2);
    fixture_end(&f);
    small_disk_end(env);
    weir_env_posix_destroy(env);
}

/* Each such start had taken the room of a file that it did not come to name. */
static void starts_that_were_killed_leave_their_room_to_the_next(void **state)
{
    (void)state;
    fixture f;
    char path[128];
    fixture_begin(&f);
    publish_ok(f.port, "t/x", "live");
    fixture_kill(&f);
    weir_env *env = NULL;
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    f.config.env = env;
    small_disk_begin(env);
    snprintf(path, sizeof(path), "%s/journal/0000000200000007.new", f.dir);
    weir_file *left = NULL;
    assert_int_equal(env->ops->file_open(env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE, &left),
                     WEIR_OK);
    assert_int_equal(env->ops->file_allocate(env, left, 0, 1 << 20), WEIR_OK);
    env->ops->file_close(env, left);
    small_disk_room(256 << 10);
    fixture_open(&f);
    assert_int_equal(access(path, F_OK), -1);
    small_disk_room(INT64_MAX / 2);
    fixture_end(&f);
    small_disk_end(env);
    weir_env_posix_destroy(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_records_survive_a_kill),
        cmocka_unit_test(records_survive_a_clean_stop_and_are_read_from_disk),
        cmocka_unit_test(checkpoints_and_recycled_journal_files_lose_nothing),
        cmocka_unit_test(a_topics_level_and_deletion_survive_a_kill),
        cmocka_unit_test(retained_values_survive_kill_checkpoint_and_their_topics_deletion),
        cmocka_unit_test(a_second_engine_on_the_directory_is_refused_with_the_owners_pid),
        cmocka_unit_test(a_displaced_owner_neither_appends_nor_acknowledges),
        cmocka_unit_test(a_deleted_topic_stops_no_start),
        cmocka_unit_test(a_retained_value_is_shown_when_its_record_is),
        cmocka_unit_test(a_checkpoint_that_met_a_full_disk_is_tried_again_soon),
        cmocka_unit_test(a_failed_sync_stops_acknowledging_and_a_restart_recovers),
        cmocka_unit_test(a_start_writes_segments_of_a_partition_it_replays_much_of),
        cmocka_unit_test(a_start_that_cannot_write_segments_yet_goes_on),
        cmocka_unit_test(a_start_on_a_disk_with_little_room_makes_its_journal_first),
        cmocka_unit_test(a_start_without_room_takes_that_of_a_spare),
        cmocka_unit_test(starts_that_were_killed_leave_their_room_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
