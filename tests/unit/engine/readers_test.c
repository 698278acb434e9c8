/* Many readers, and slow ones: what a reader costs, and that whoever reads from disk holds up nobody. */
#include "tests/unit/engine/group.h"

#include "core/engine/state.h"

#include <malloc.h>
#include <pthread.h>

enum {
    READERS = 5000,
    READER_BYTES_MAX = 4096, /* a reader that waits, with its filter and its cursor */
    COLD_READERS = 20,
    RECORDS = 6000,
    VALUE_BYTES = 500,
    RECORDS_TURN = 200,
    TURNS = 50,
};

/* A disk whose reads can be held up, and that tells which thread reads. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut;
static pthread_t owner;
static uint64_t owner_reads, other_reads;
static weir_file
    *term_file; /* whose 64 bytes say who owns the directory: read in turns, by design */
static const weir_env_ops *below;
static weir_env_ops watched;

static weir_err read_behind_gate(weir_env *env, weir_file *file, void *out, size_t len,
                                 uint64_t offset, size_t *got)
{
    pthread_mutex_lock(&gate_lock);
    bool owns = pthread_equal(owner, pthread_self()) != 0;
    owner_reads += owns && file != term_file ? 1 : 0;
    other_reads += owns ? 0 : 1;
    while (gate_shut && !owns) {
        pthread_cond_wait(&gate_changed, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
    return below->file_read(env, file, out, len, offset, got);
}

static weir_err open_watched(weir_env *env, const char *path, unsigned flags, weir_file **file)
{
    weir_err err = below->file_open(env, path, flags, file);
    const char *name = strrchr(path, '/');
    if (err == WEIR_OK && name != NULL && strcmp(name, "/owner") == 0) {
        pthread_mutex_lock(&gate_lock);
        term_file = *file;
        pthread_mutex_unlock(&gate_lock);
    }
    return err;
}

static void gate_set(bool shut)
{
    pthread_mutex_lock(&gate_lock);
    gate_shut = shut;
    owner = pthread_self();
    owner_reads = 0;
    other_reads = 0;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static void reads_take(uint64_t *by_owner, uint64_t *by_others)
{
    pthread_mutex_lock(&gate_lock);
    *by_owner = owner_reads;
    *by_others = other_reads;
    pthread_mutex_unlock(&gate_lock);
}

static void fill(fixture *f, int count)
{
    static uint8_t value[VALUE_BYTES];
    memset(value, 'x', sizeof(value));
    for (int i = 0; i < count; i++) {
        weir_publish record = {
            .name = WEIR_TEXT("t/k"), .value = {value, sizeof(value)}, .no_confirm = i + 1 < count};
        assert_int_equal(weir_port_publish(f->port, &record, NULL, 1), WEIR_OK);
        if (i % RECORDS_TURN == RECORDS_TURN - 1) {
            weir_port_step(f->port);
        }
    }
    weir_completion done = next_of(f->port, WEIR_COMPLETION_PUBLISH);
    assert_int_equal(done.err, WEIR_OK);
}

/* RECORDS records that are on disk only, behind the gate, which is open. */
static weir_env *begin_filled(fixture *f)
{
    weir_env *env = NULL;
    fixture_prepare(f);
    gate_set(false); /* whatever became of the test before */
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    below = env->ops;
    watched = *below;
    watched.file_read = read_behind_gate;
    watched.file_open = open_watched;
    env->ops = &watched;
    f->config.env = env;
    f->config.segment_bytes_max = 1 << 20; /* several */
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_OS);
    fill(f, RECORDS);
    fixture_close(f);
    fixture_open(f);
    return env;
}

static void end_filled(fixture *f, weir_env *env)
{
    fixture_end(f);
    weir_env_posix_destroy(env);
}

static weir_subscriber *subscribe_from_beginning(fixture *f, uint64_t credit)
{
    weir_subscriber *subscriber = subscriber_open(f->port, credit);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f->port, subscriber, &wanted);
    return subscriber;
}

static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void five_thousand_readers_of_one_topic_each_get_every_record(void **state)
{
    static uint8_t got[READERS];
    static weir_subscriber *readers[READERS];
    fixture f;
    (void)state;
    memset(got, 0, sizeof(got));
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_OS);
    assert_int_equal(publish_ok(f.port, "t/k", "before"), 0);
    size_t before = memory_in_use();
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(weir_port_subscriber_open(f.port, &readers[i], &readers[i]), WEIR_OK);
        weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
        subscribe_with(f.port, readers[i], &wanted);
    }
    size_t each = (memory_in_use() - before) / READERS;
    print_message("a reader that waits takes %zu bytes\n", each);
    assert_true(each <= READER_BYTES_MAX);
    assert_int_equal(publish_ok(f.port, "t/k", "after"), 1);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(weir_port_credit(f.port, readers[i], 2, UINT64_MAX), WEIR_OK);
        if (i % RECORDS_TURN == 0) {
            weir_port_step(f.port);
        }
    }
    for (uint32_t count = 0; count < 2 * READERS;) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        got[(weir_subscriber **)done.user - readers] += (uint8_t)done.delivery.count;
        count += done.delivery.count;
        weir_completion_drop(&done);
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(got[i], 2);
    }
    fixture_end(&f);
}

static void a_reader_that_stops_holds_no_more_than_one_cold_read(void **state)
{
    fixture f;
    (void)state;
    weir_env *env = begin_filled(&f);
    size_t before = memory_in_use();
    weir_subscriber *readers[COLD_READERS];
    for (int i = 0; i < COLD_READERS; i++) {
        readers[i] = subscribe_from_beginning(&f, 0);
    }
    for (int i = 0; i < COLD_READERS; i++) { /* no delivery comes between two answers */
        assert_int_equal(weir_port_credit(f.port, readers[i], 1, UINT64_MAX), WEIR_OK);
    }
    for (int i = 0; i < COLD_READERS; i++) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        assert_int_equal(done.delivery.count, 1);
        weir_completion_drop(&done);
    }
    assert_nothing(f.port);
    size_t each = (memory_in_use() - before) / COLD_READERS;
    print_message("a reader that stopped amid old records holds %zu bytes\n", each);
    assert_true(each <= 2 * (size_t)WEIR_COLD_BYTES); /* memory comes in classes of size */
    end_filled(&f, env);
}

static void a_reader_that_reads_from_disk_holds_up_no_other(void **state)
{
    fixture f;
    uint64_t by_owner = 0, by_others = 0;
    (void)state;
    weir_env *env = begin_filled(&f);
    weir_subscriber *live = subscriber_open(f.port, UINT64_MAX);
    subscribe(f.port, live, "t/#");
    gate_set(true);
    subscribe_from_beginning(&f, UINT64_MAX);
    assert_int_equal(
        weir_port_publish(
            f.port, &(weir_publish){.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("new")}, NULL, 1),
        WEIR_OK);
    bool answered = false, delivered = false;
    while (!answered || !delivered) { /* the other one's read is held up meanwhile */
        weir_completion done = next_on(f.port);
        answered |= done.type == WEIR_COMPLETION_PUBLISH && done.err == WEIR_OK;
        delivered |= done.type == WEIR_COMPLETION_DELIVERY && done.delivery.subscriber == live;
        weir_completion_drop(&done);
    }
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    gate_set(false);
    for (uint32_t count = 0; count < RECORDS + 1;) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        assert_true(done.delivery.subscriber != live);
        count += done.delivery.count;
        weir_completion_drop(&done);
    }
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    assert_true(by_others > 0);
    end_filled(&f, env);
}

static void offsets_by_time_are_looked_up_on_no_loops_thread(void **state)
{
    fixture f;
    uint64_t by_owner = 0, by_others = 0;
    (void)state;
    weir_env *env = begin_filled(&f);
    gate_set(true);
    assert_int_equal(weir_port_offsets(f.port, WEIR_TEXT("t"), WEIR_OFFSETS_TIME, 1, NULL, 7),
                     WEIR_OK);
    assert_int_equal(publish_ok(f.port, "t/k", "meanwhile"), RECORDS); /* the engine goes on */
    for (int turn = 0; turn < TURNS; turn++) {
        weir_completion done;
        weir_port_step(f.port);
        assert_int_equal(weir_port_drain(f.port, &done, 1), 0);
    }
    gate_set(false);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_OFFSETS);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.token, 7);
    assert_int_equal(done.topics.topics[0].partitions[0].found_offset, 0);
    assert_int_equal(done.topics.topics[0].partitions[0].end_offset, RECORDS);
    weir_completion_drop(&done);
    assert_int_equal(
        weir_port_offsets(f.port, WEIR_TEXT("t"), WEIR_OFFSETS_TIME, INT64_MAX, NULL, 8), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_OFFSETS);
    assert_int_equal(done.topics.topics[0].partitions[0].found_offset, RECORDS + 1);
    weir_completion_drop(&done);
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    end_filled(&f, env);
}

static void deliveries_take(fixture *f, const weir_subscriber *subscriber, int64_t first,
                            uint32_t records)
{
    for (uint32_t count = 0; count < records;) {
        weir_completion done = next_of(f->port, WEIR_COMPLETION_DELIVERY);
        assert_ptr_equal(done.delivery.subscriber, subscriber);
        if (count == 0) {
            assert_int_equal(weir_chunk_offset_at(done.delivery.chunk, done.delivery.first), first);
        }
        count += done.delivery.count;
        weir_completion_drop(&done);
    }
}

static weir_subscriber *subscribe_from_time(fixture *f, int64_t time_ms)
{
    weir_subscriber *subscriber = subscriber_open(f->port, UINT64_MAX);
    weir_subscribe wanted = {
        .filter = WEIR_TEXT("t/#"), .start = WEIR_START_TIME, .value = time_ms};
    subscribe_with(f->port, subscriber, &wanted);
    return subscriber;
}

static void a_subscription_from_a_time_waits_for_its_start_on_no_loops_thread(void **state)
{
    fixture f;
    uint64_t by_owner = 0, by_others = 0;
    (void)state;
    weir_env *env = begin_filled(&f);
    gate_set(true);
    weir_subscriber *reader = subscribe_from_time(&f, 1);
    weir_subscriber *ended = subscribe_from_time(&f, 1);
    assert_int_equal(publish_ok(f.port, "t/k", "meanwhile"), RECORDS); /* the engine goes on */
    /* while its start is looked for */
    assert_int_equal(weir_port_subscriber_close(f.port, ended, NULL, 9), WEIR_OK);
    (void)next_of(f.port, WEIR_COMPLETION_CLOSED);
    assert_nothing(f.port);
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    gate_set(false);
    deliveries_take(&f, reader, 0, RECORDS + 1);
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    assert_true(by_others > 0);
    end_filled(&f, env);
}

static void a_subscription_from_a_time_to_come_gets_what_comes_then(void **state)
{
    fixture f;
    (void)state;
    weir_env *env = begin_filled(&f);
    weir_subscriber *reader = subscribe_from_time(&f, INT64_MAX);
    assert_nothing(f.port);
    weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("now"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    deliveries_take(&f, reader, RECORDS, 1);
    end_filled(&f, env);
}

static void a_topic_may_go_while_a_time_is_looked_for_in_it(void **state)
{
    fixture f;
    (void)state;
    weir_env *env = begin_filled(&f);
    gate_set(true);
    (void)subscribe_from_time(&f, 1);
    assert_int_equal(weir_port_topic_delete(f.port, WEIR_TEXT("t"), NULL, 9), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    gate_set(false);
    assert_nothing(f.port);
    end_filled(&f, env);
}

static void reset_ask(fixture *f, int64_t time_ms, bool dry_run, uint64_t token)
{
    weir_reset wanted = {.group = WEIR_TEXT("g"),
                         .partition = -1,
                         .kind = WEIR_RESET_TIME,
                         .value = time_ms,
                         .dry_run = dry_run};
    assert_int_equal(weir_port_group_reset(f->port, &wanted, NULL, token), WEIR_OK);
}

static void reset_told(fixture *f, uint64_t token, weir_err err, int64_t committed)
{
    weir_completion done = next_of(f->port, WEIR_COMPLETION_GROUP);
    assert_int_equal(done.token, token);
    assert_int_equal(done.err, err);
    if (err == WEIR_OK) {
        assert_int_equal(done.groups.groups[0].partitions[0].committed, committed);
    }
    weir_completion_drop(&done);
}

static void a_reset_to_a_time_is_looked_up_on_no_loops_thread(void **state)
{
    fixture f;
    uint64_t by_owner = 0, by_others = 0;
    (void)state;
    weir_env *env = begin_filled(&f);
    assert_int_equal(group_create(f.port, "g", "t", WEIR_MODEL_STREAM), WEIR_OK);
    reset_ask(&f, INT64_MAX, false, 1); /* nothing is looked for in a table */
    reset_told(&f, 1, WEIR_OK, RECORDS);
    gate_set(true);
    reset_ask(&f, 1, true, 2);
    assert_int_equal(publish_ok(f.port, "t/k", "meanwhile"), RECORDS); /* the engine goes on */
    assert_nothing(f.port);
    gate_set(false);
    reset_told(&f, 2, WEIR_OK, 0);
    assert_int_equal(group_partition(f.port, "g", 0).committed, RECORDS); /* it was a dry run */
    reset_ask(&f, 1, false, 3);
    reset_told(&f, 3, WEIR_OK, 0);
    reset_ask(&f, INT64_MAX, true, 4);
    reset_told(&f, 4, WEIR_OK, RECORDS + 1);
    gate_set(true);
    reset_ask(&f, 1, false, 5);
    assert_int_equal(weir_port_group_delete(f.port, WEIR_TEXT("g"), false, NULL, 6), WEIR_OK);
    reset_told(&f, 6, WEIR_OK, 0);
    gate_set(false);
    reset_told(&f, 5, WEIR_NOT_FOUND, 0);
    reads_take(&by_owner, &by_others);
    assert_int_equal(by_owner, 0);
    end_filled(&f, env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_thousand_readers_of_one_topic_each_get_every_record),
        cmocka_unit_test(a_reader_that_stops_holds_no_more_than_one_cold_read),
        cmocka_unit_test(a_reader_that_reads_from_disk_holds_up_no_other),
        cmocka_unit_test(offsets_by_time_are_looked_up_on_no_loops_thread),
        cmocka_unit_test(a_subscription_from_a_time_waits_for_its_start_on_no_loops_thread),
        cmocka_unit_test(a_subscription_from_a_time_to_come_gets_what_comes_then),
        cmocka_unit_test(a_topic_may_go_while_a_time_is_looked_for_in_it),
        cmocka_unit_test(a_reset_to_a_time_is_looked_up_on_no_loops_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
