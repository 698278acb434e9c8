/* Checkpoints of a running engine: in slices, as chains, with what segments do not have; whatever
 * fails or is damaged, nothing that was acknowledged is lost. */
#include "tests/unit/engine/life.h"

#include "core/engine/saved.h"

enum { TOPICS = 8, NAMES = 40, VALUE_BYTES = 100 };

/* What was acknowledged: records per topic, and the last value per retained name. */
typedef struct expected {
    int64_t records[TOPICS];
    bool alive[TOPICS];
    int generation[TOPICS];
    int retained[NAMES]; /* 0: none */
    int last;
} expected;

static void topic_name(const expected *e, int topic, char out[32])
{
    snprintf(out, 32, "t%d-%d", topic, e->generation[topic]);
}

static void begin(fixture *f, uint64_t checkpoint_bytes)
{
    fixture_prepare(f);
    f->config.journal_file_bytes = 64 << 10;
    f->config.checkpoint_bytes = checkpoint_bytes;
    f->config.sync = WEIR_SYNC_INLINE;
    fixture_open(f);
}

/* The answer, or IO when the engine has stopped and gives none. */
static weir_err answer(fixture *f)
{
    weir_completion done = {0};
    weir_engine_health health = WEIR_HEALTH_OK;
    while (weir_port_drain(f->port, &done, 1) == 0) {
        if (health != WEIR_HEALTH_OK) {
            return WEIR_IO;
        }
        health = weir_engine_health_of(f->engine);
        (void)weir_port_wait(f->port, health == WEIR_HEALTH_OK ? 10 : 0);
    }
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static weir_err publish_one(fixture *f, const char *name, int value, bool retain)
{
    char text[VALUE_BYTES + 1];
    snprintf(text, sizeof(text), "%0*d", VALUE_BYTES, value);
    weir_publish record = {.name = weir_bytes_of(name),
                           .attributes = retain ? WEIR_RECORD_RETAIN : 0};
    record.value = value > 0 ? weir_bytes_of(text) : (weir_bytes){(const uint8_t *)"", 0};
    assert_int_equal(weir_port_publish(f->port, &record, NULL, 0), WEIR_OK);
    return answer(f);
}

/* One random operation, and what it leaves; an error ends it. */
static weir_err operate(fixture *f, expected *e, unsigned *random)
{
    char name[64], topic_text[32];
    *random = *random * 1103515245u + 12345u;
    unsigned dice = *random >> 16;
    int topic = (int)(dice % TOPICS), value = ++e->last;
    weir_err err = WEIR_OK;
    topic_name(e, topic, topic_text);
    if (!e->alive[topic]) {
        assert_int_equal(weir_port_topic_create(f->port, weir_bytes_of(topic_text),
                                                &(weir_topic_options){.partitions = 1}, NULL, 0),
                         WEIR_OK);
        err = answer(f);
        e->alive[topic] = err == WEIR_OK;
        return err;
    }
    int which = (int)(dice / TOPICS % NAMES);
    switch (dice / 1024 % 16) {
    case 0:
        assert_int_equal(weir_port_topic_delete(f->port, weir_bytes_of(topic_text), NULL, 0),
                         WEIR_OK);
        err = answer(f);
        if (err == WEIR_OK) {
            e->alive[topic] = false;
            e->records[topic] = 0;
            e->generation[topic]++;
        }
        return err;
    case 1:
    case 2:
    case 3:
        snprintf(name, sizeof(name), "live/%d", which);
        err = publish_one(f, name, value % 5 == 0 ? 0 : value, true);
        e->retained[which] = err == WEIR_OK ? (value % 5 == 0 ? 0 : value) : e->retained[which];
        return err;
    default:
        snprintf(name, sizeof(name), "%s/k", topic_text);
        err = publish_one(f, name, value, false);
        e->records[topic] += err == WEIR_OK ? 1 : 0;
        return err;
    }
}

/* All that was acknowledged is there; of what was not, the operation that failed at most. */
static void assert_all(fixture *f, const expected *e, int64_t more)
{
    for (int topic = 0; topic < TOPICS; topic++) {
        char name[32];
        topic_name(e, topic, name);
        const weir_topic *found = weir_topics_find(f->engine, weir_bytes_of(name));
        if (e->alive[topic] && (found != NULL || more == 0)) {
            assert_non_null(found);
            int64_t next = found->partitions[0]->next_offset;
            assert_true(next >= e->records[topic] && next <= e->records[topic] + more);
            for (int64_t offset = 0; offset < next;) {
                weir_completion done = fetch(f->port, name, 0, offset, 0);
                assert_int_equal(done.err, WEIR_OK);
                assert_true(done.fetched.run_count > 0);
                assert_int_equal(weir_chunk_base_offset(done.fetched.runs[0].chunk) +
                                     done.fetched.runs[0].first,
                                 offset);
                offset += done.fetched.runs[0].count;
                weir_completion_drop(&done);
            }
        } else if (more == 0) {
            assert_null(found);
        }
    }
    for (int which = 0; which < NAMES && more == 0; which++) {
        char name[64], text[VALUE_BYTES + 1];
        snprintf(name, sizeof(name), "live/%d", which);
        const weir_retained *value = weir_map_get(&f->engine->retained, weir_bytes_of(name));
        assert_int_equal(value != NULL, e->retained[which] != 0);
        if (value != NULL) {
            weir_record record;
            snprintf(text, sizeof(text), "%0*d", VALUE_BYTES, e->retained[which]);
            weir_chunk_record(value->chunk, 0, &record);
            assert_true(weir_bytes_equal(record.value, weir_bytes_of(text)));
        }
    }
}

static void finish(fixture *f)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

static unsigned checkpoint_files(const fixture *f, char newest[512], char oldest[512])
{
    char folder[128];
    unsigned count = 0;
    snprintf(folder, sizeof(folder), "%s/state", f->dir);
    DIR *list = opendir(folder);
    const struct dirent *entry;
    newest[0] = '\0';
    oldest[0] = '\0';
    while (list != NULL && (entry = readdir(list)) != NULL) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (strstr(entry->d_name, ".checkpoint") == NULL) {
            continue;
        }
        count++;
        if (newest[0] == '\0' || strcmp(path, newest) > 0) {
            strcpy(newest, path);
        }
        if (oldest[0] == '\0' || strcmp(path, oldest) < 0) {
            strcpy(oldest, path);
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return count;
}

static void kills_between_any_two_checkpoints_lose_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 3; seed++) {
        fixture f;
        expected e = {0};
        unsigned random = seed;
        begin(&f, 12 << 10);
        for (int round = 0; round < 4; round++) {
            for (int i = 0; i < 80; i++) {
                assert_int_equal(operate(&f, &e, &random), WEIR_OK);
            }
            if (round % 2 == 0) {
                fixture_kill(&f);
            } else {
                fixture_close(&f);
            }
            fixture_open(&f);
            assert_all(&f, &e, 0);
        }
        fixture_kill(&f);
        finish(&f);
    }
}

/* The operations are enough for so many; who is slow to write them is waited for. */
static void checkpoints_wait(fixture *f, uint64_t count)
{
    weir_stats stats = {0};
    for (int i = 0; stats.checkpoints < count; i++) {
        assert_true(i < LIFE_TURNS_MAX);
        (void)weir_port_wait(f->port, 5);
        weir_engine_stats(f->engine, &stats);
    }
}

/* Each life ends long before its own journal would ask for a checkpoint. */
static void lives_that_all_end_early_write_checkpoints_all_the_same(void **state)
{
    enum { LIVES = 12 };
    fixture f;
    expected e = {0};
    unsigned random = 7;
    (void)state;
    begin(&f, 256 << 10);
    for (int life = 0; life < LIVES; life++) {
        assert_int_equal(operate(&f, &e, &random), WEIR_OK);
        fixture_kill(&f);
        fixture_open(&f);
    }
    checkpoints_wait(&f, 1);
    assert_true(weir_journal_bytes_above(f.engine->journal, f.engine->checkpoint_units_at) <=
                256 << 10);
    assert_all(&f, &e, 0);
    fixture_kill(&f);
    finish(&f);
}

/* The chain is a base and deltas; each of its files in turn has a byte that is not its own. */
static void a_damaged_link_costs_replay_and_nothing_else(void **state)
{
    fixture f;
    expected e = {0};
    unsigned random = 7;
    unsigned most = 0;
    (void)state;
    begin(&f, 12 << 10);
    for (int round = 0; round < 6; round++) {
        char newest[512], oldest[512];
        for (int i = 1; i <= 100; i++) {
            assert_int_equal(operate(&f, &e, &random), WEIR_OK);
            checkpoints_wait(&f, (uint64_t)i / 20);
        }
        fixture_kill(&f);
        unsigned count = checkpoint_files(&f, newest, oldest);
        most = count > most ? count : most;
        assert_true(count >= 1);
        if (round > 0) {
            assert_true(count >= 2);
            FILE *file = fopen(newest, "r+b");
            assert_non_null(file);
            assert_int_equal(fseek(file, 140, SEEK_SET), 0);
            int byte = fgetc(file);
            assert_int_equal(fseek(file, 140, SEEK_SET), 0);
            assert_true(fputc(byte ^ 0x40, file) != EOF);
            assert_int_equal(fclose(file), 0);
        }
        fixture_open(&f);
        assert_all(&f, &e, 0);
    }
    assert_true(most > 2); /* there were deltas */
    fixture_kill(&f);
    finish(&f);
}

/* From the call on that is counted out nothing reaches the disk: the engine stops, and is killed. */
static void a_disk_that_fails_at_any_call_loses_nothing(void **state)
{
    const uint32_t all = (1u << WEIR_CALL_COUNT) - 1;
    bool reached = true;
    (void)state;
    for (uint64_t call = 1; reached; call += 1 + call / 8) {
        faulty_fixture d;
        fixture *f = faulty_prepare_in_memory(&d);
        expected e = {0};
        unsigned random = 3;
        f->config.journal_file_bytes = 64 << 10;
        f->config.checkpoint_bytes = 6 << 10;
        f->config.segment_bytes_max = 8 << 10;
        fixture_open(f);
        weir_env_faulty_plan(d.faulty, (weir_env_fault_plan){all, call, true, WEIR_IO, 5});
        weir_err err = WEIR_OK;
        for (int i = 0; i < 70 && err == WEIR_OK; i++) {
            err = operate(f, &e, &random);
        }
        reached = err != WEIR_OK || weir_engine_health_of(f->engine) != WEIR_HEALTH_OK;
        fixture_kill(f);
        f->config.env = NULL;
        fixture_open(f);
        assert_all(f, &e, err == WEIR_OK ? 0 : 1);
        fixture_kill(f);
        finish(f);
        faulty_env_destroy(&d);
    }
}

/* 200 partitions with one record each: a stop carries them, and makes no file of any. */
static void partitions_with_little_outside_segments_are_carried(void **state)
{
    fixture f;
    char name[128];
    (void)state;
    begin(&f, 64 << 20);
    weir_topic_options options = {
        .partitions = 200, .level = WEIR_LEVEL_DISK, .partition_levels = 0};
    assert_int_equal(declare_with(f.port, "wide", options), WEIR_OK);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "wide/%d", i);
        assert_int_equal(publish_one(&f, name, i + 1, false), WEIR_OK);
    }
    fixture_close(&f);
    snprintf(name, sizeof(name), "%s/log/1", f.dir);
    assert_int_not_equal(access(name, F_OK), 0);
    fixture_open(&f);
    int64_t records = 0;
    const weir_topic *topic = weir_topics_find(f.engine, WEIR_TEXT("wide"));
    assert_non_null(topic);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const weir_partition *partition = topic->partitions[i];
        assert_int_equal(partition->visible_offset, partition->next_offset);
        records += partition->next_offset;
        if (partition->next_offset > 0) {
            weir_completion done = fetch(f.port, "wide", i, 0, 0);
            assert_int_equal(done.err, WEIR_OK);
            assert_true(done.fetched.run_count > 0);
            weir_completion_drop(&done);
        }
    }
    assert_int_equal(records, 2000);
    fixture_end(&f);
}

/* A pass of many objects comes in slices, each bounded in bytes, and engine and pass go on. */
static void a_pass_is_made_of_bounded_slices(void **state)
{
    fixture f;
    (void)state;
    begin(&f, 256 << 20);
    for (int i = 0; i < 3000; i++) {
        char name[64];
        snprintf(name, sizeof(name), "live/%d", i);
        weir_publish record = {
            .name = weir_bytes_of(name), .value = WEIR_TEXT("x"), .attributes = WEIR_RECORD_RETAIN};
        while (weir_port_publish(f.port, &record, NULL, 0) == WEIR_AGAIN) {
            weir_port_step(f.port);
        }
    }
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(next_of(f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
    }
    weir_buffer slice = {0};
    bool last = false;
    unsigned slices = 0;
    weir_saved_begin(f.engine);
    for (; !last; slices++) {
        weir_writer to = {.out = &slice};
        slice.len = 0;
        last = weir_saved_slice(f.engine, &to);
        assert_int_equal(to.err, WEIR_OK);
        assert_true(slice.len < WEIR_SAVED_SLICE_BYTES + 1024);
        assert_int_equal(publish(f.port, "live/0", "y").err, WEIR_OK); /* in between */
    }
    assert_true(slices > 5);
    weir_saved_end(f.engine, true);
    weir_buffer_fini(&slice);
    fixture_end(&f);
}

enum { MANY = 80 };

static void publish_to(life_fixture *l, int topics)
{
    for (int i = 0; i < topics; i++) {
        char name[32];
        snprintf(name, sizeof(name), "many%d/k", i);
        publish_ok(l->f.port, name, "value");
    }
}

/* Then the journal need not be kept for a chain, and the next one may let it go. */
static void a_checkpoint_writes_all_when_much_has_changed(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    fixture_close(&l.f);
    l.f.config.checkpoint_bytes = 1 << 20;
    fixture_open(&l.f);
    const weir_saving *saving = &l.f.engine->saving;
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "many%d", i);
        declare(l.f.port, name, WEIR_LEVEL_DISK);
    }
    publish_to(&l, MANY);
    life_checkpoints(&l, 1);
    l.f.engine->saving.base_bytes = 1 << 20; /* as if it were large enough to be worth a delta */
    publish_to(&l, 1);
    life_checkpoints(&l, 1);
    assert_int_equal(saving->deltas, 1);
    publish_to(&l, MANY);
    life_checkpoints(&l, 1);
    assert_int_equal(saving->deltas, 0);
    life_end(&l);
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (list != NULL && readdir(list) != NULL) {
        count++;
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return count;
}

static void segment_files_stay_within_their_bound(void **state)
{
    fixture f;
    char name[64];
    static const uint8_t value[400]; /* 12,000 of them are more than memory may hold */
    (void)state;
    begin(&f, 64 << 10);
    fixture_kill(&f);
    f.config.segment_files_max = 16;
    f.config.limits.tail_bytes_max = 1 << 20; /* so that most is read from disk */
    fixture_open(&f);
    unsigned before = descriptors();
    weir_topic_options options = {.partitions = 100, .level = WEIR_LEVEL_DISK};
    assert_int_equal(declare_with(f.port, "wide", options), WEIR_OK);
    for (int i = 0; i < 12000; i++) {
        snprintf(name, sizeof(name), "wide/%d", i);
        weir_publish record = {.name = weir_bytes_of(name), .value = WEIR_BYTES(value)};
        while (weir_port_publish(f.port, &record, NULL, 0) == WEIR_AGAIN) {
            weir_port_step(f.port);
        }
        if (i % 1000 == 999) {
            for (int k = 0; k < 1000; k++) {
                assert_int_equal(next_of(f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
            }
        }
    }
    const weir_topic *topic = weir_topics_find(f.engine, WEIR_TEXT("wide"));
    unsigned flushed = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        flushed += topic->partitions[i]->segment_count > 0 ? 1 : 0;
        for (int64_t offset = 0; offset < topic->partitions[i]->next_offset;) {
            weir_completion done = fetch(f.port, "wide", i, offset, 0);
            assert_int_equal(done.err, WEIR_OK);
            assert_true(done.fetched.run_count > 0);
            offset += done.fetched.runs[0].count;
            weir_completion_drop(&done);
        }
    }
    assert_true(flushed > 50);
    assert_true(weir_segment_files_open(f.engine->files) <= 16);
    assert_true(descriptors() <= before + 16 + 8);
    fixture_end(&f);
}

static unsigned volume_syncs;

static weir_err volume_sync_counted(weir_env *env, weir_file *file)
{
    volume_syncs++;
    return life_own->volume_sync(env, file);
}

/* Those that were told apart may all go with their topics: the others have to be synced still. */
static void what_is_not_listed_is_synced_whatever_becomes_of_what_is(void **state)
{
    life_fixture l;
    int number = 0;
    (void)state;
    life_begin(&l);
    life_ops.volume_sync = volume_sync_counted;
    weir_topic_options options = {.partitions = WEIR_SYNCED_ALONE_MAX + 4};
    assert_int_equal(declare_with(l.f.port, "wide", options), WEIR_OK);
    life_checkpoints(&l, 1);
    life_fill(&l, "wide/a", 1, 100, &number);
    const weir_topic *topic = weir_topics_find(l.f.engine, WEIR_TEXT("wide"));
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        weir_unsynced_add(l.f.engine, topic->partitions[i]);
    }
    for (uint32_t i = 0; i < WEIR_SYNCED_ALONE_MAX; i++) {
        weir_unsynced_remove(l.f.engine, topic->partitions[i]);
    }
    volume_syncs = 0;
    life_checkpoints(&l, 1);
    assert_true(volume_syncs > 0);
    volume_syncs = 0;
    life_fill(&l, "wide/a", 1, 100, &number);
    life_checkpoints(&l, 1);
    assert_int_equal(volume_syncs, 0); /* few are synced by themselves */
    life_end(&l);
}

/* One record for each partition of `wide`, in few turns; waits for their answers. */
static void one_for_each_partition(fixture *f, uint32_t partitions)
{
    static uint8_t memory[2048];
    static uint8_t rest[1024 + WEIR_RECORD_OVERHEAD_MAX];
    static const uint8_t value[900];
    weir_batch_builder builder;
    uint32_t position = 0;
    size_t len = weir_record_rest_encode(WEIR_BYTES(value), NULL, 0, rest);
    weir_batch_begin(&builder, memory, sizeof(memory));
    assert_int_equal(
        weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position), WEIR_OK);
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1);
    uint32_t answers = 0;
    for (uint32_t i = 0; i < partitions; i++) {
        while (weir_port_produce_batch(f->port, WEIR_TEXT("wide"), i, batch, NULL, 0) ==
               WEIR_AGAIN) {
            weir_completion done = next_of(f->port, WEIR_COMPLETION_BATCH);
            assert_int_equal(done.err, WEIR_OK);
            answers++;
        }
    }
    for (; answers < partitions; answers++) {
        assert_int_equal(next_of(f->port, WEIR_COMPLETION_BATCH).err, WEIR_OK);
    }
}

/* So many partitions that what is flushed of them is dozens of jobs. */
static void a_stop_in_the_middle_of_a_large_flush_writes_nothing_twice(void **state)
{
    enum { PARTITIONS = 8000 };
    fixture f;
    (void)state;
    begin(&f, 64 << 20);
    fixture_kill(&f);
    f.config.limits.partitions_max = PARTITIONS;
    f.config.limits.port_bytes_max = 32 << 20;
    f.config.limits.tail_bytes_max = 8 << 20; /* above 3/4 of it a flush begins */
    fixture_open(&f);
    weir_topic_options options = {.partitions = PARTITIONS, .level = WEIR_LEVEL_OS};
    assert_int_equal(declare_with(f.port, "wide", options), WEIR_OK);
    one_for_each_partition(&f, PARTITIONS);
    assert_true(f.engine->flush.running);
    fixture_close(&f);
    fixture_open(&f);
    const weir_topic *topic = weir_topics_find(f.engine, WEIR_TEXT("wide"));
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(topic->partitions[i]->next_offset, 1);
        assert_true(topic->partitions[i]->segment_count <= 1);
    }
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kills_between_any_two_checkpoints_lose_nothing),
        cmocka_unit_test(lives_that_all_end_early_write_checkpoints_all_the_same),
        cmocka_unit_test(a_damaged_link_costs_replay_and_nothing_else),
        cmocka_unit_test(a_disk_that_fails_at_any_call_loses_nothing),
        cmocka_unit_test(partitions_with_little_outside_segments_are_carried),
        cmocka_unit_test(a_pass_is_made_of_bounded_slices),
        cmocka_unit_test(a_checkpoint_writes_all_when_much_has_changed),
        cmocka_unit_test(segment_files_stay_within_their_bound),
        cmocka_unit_test(what_is_not_listed_is_synced_whatever_becomes_of_what_is),
        cmocka_unit_test(a_stop_in_the_middle_of_a_large_flush_writes_nothing_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
