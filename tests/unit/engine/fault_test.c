/* Every storage call fails once, in turn, and then for good: what was acknowledged is there
 * afterwards, and nothing of ours ends in an assertion. */
#include "tests/unit/engine/background.h"

#include "weir/group.h"

#include <pthread.h>

enum { ROUNDS = 6, PER_ROUND = 40 };

static const uint32_t every_kind = (1u << WEIR_CALL_COUNT) - 1;

/* Publishes and counts what was acknowledged, until something refuses. False: the engine is no use.
 */
static bool publish_round(fixture *f, int round, int *acknowledged)
{
    char value[32];
    for (int i = 0; i < PER_ROUND; i++) {
        weir_publish record = {.name = WEIR_TEXT("t/k")};
        snprintf(value, sizeof(value), "%d", round * PER_ROUND + i);
        record.value = weir_bytes_of(value);
        if (weir_port_publish(f->port, &record, NULL, 0) != WEIR_OK) {
            return false;
        }
        weir_completion done = {0};
        if (!answered_or_ill(f, &done) || done.err != WEIR_OK) {
            return false;
        }
        assert_int_equal(done.type, WEIR_COMPLETION_PUBLISH);
        (*acknowledged)++;
    }
    return true;
}

static weir_err declare_quietly(fixture *f)
{
    weir_topic_options options = {.level = WEIR_LEVEL_DISK};
    weir_completion done = {0};
    weir_port_topic_create(f->port, WEIR_TEXT("t"), &options, NULL, 0);
    weir_err err = answered_or_ill(f, &done) ? done.err : WEIR_TIMEOUT;
    weir_completion_drop(&done);
    return err;
}

/* One life with faults: open, declare, publish with checkpoints and rolls, close. */
static void life(fixture *f, int *acknowledged)
{
    weir_fault fault;
    f->config.data_dir = f->dir;
    if (weir_engine_open(&f->config, &f->engine, &fault) != WEIR_OK) {
        assert_true(fault.text[0] != '\0'); /* whoever waits is told something */
        return;
    }
    assert_int_equal(weir_port_open(f->engine, &f->port), WEIR_OK);
    bool going = declare_quietly(f) == WEIR_OK;
    for (int round = 0; round < ROUNDS && going; round++) {
        going = publish_round(f, round, acknowledged);
    }
    weir_port_close(f->port);
    weir_engine_close(f->engine);
}

static void check(fixture *f, int acknowledged)
{
    char value[32];
    f->config.env = NULL;
    fixture_open(f);
    for (int offset = 0; offset < acknowledged;) {
        weir_completion done = fetch(f->port, "t", 0, offset, 0);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.fetched.run_count > 0);
        const weir_run *run = &done.fetched.runs[0];
        for (uint32_t i = 0; i < run->count && offset < acknowledged; i++, offset++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + i, &record);
            snprintf(value, sizeof(value), "%d", offset);
            assert_true(weir_bytes_equal(record.value, weir_bytes_of(value)));
        }
        weir_completion_drop(&done);
    }
    fixture_end(f);
}

static uint64_t one_life(uint64_t countdown, bool for_good, weir_err err, int *acknowledged)
{
    faulty_fixture d;
    fixture *f = faulty_prepare_in_memory(&d);
    f->config.journal_file_bytes = 64 << 10;
    f->config.checkpoint_bytes = 200 << 10;
    f->config.segment_bytes_max = 4096;
    weir_env_faulty_plan(d.faulty, (weir_env_fault_plan){.kinds = every_kind,
                                                         .countdown = countdown,
                                                         .for_good = for_good,
                                                         .err = err,
                                                         .os_errno = 5});
    *acknowledged = 0;
    life(f, acknowledged);
    uint64_t calls = weir_env_faulty_calls(d.faulty, every_kind);
    check(f, *acknowledged);
    faulty_env_destroy(&d);
    return calls;
}

/* The first calls, of opening, each in turn; of the many like ones that follow, every `step`th. */
static void run_all(weir_err err, uint64_t each, uint64_t step)
{
    int acknowledged = 0, least = ROUNDS * PER_ROUND;
    uint64_t calls = one_life(0, false, err, &acknowledged);
    assert_int_equal(acknowledged, ROUNDS * PER_ROUND);
    assert_true(calls > 300);
    for (uint64_t n = 1; n <= calls; n += n < each ? 1 : step) {
        one_life(n, n % 2 == 0, err, &acknowledged);
        least = acknowledged < least ? acknowledged : least;
    }
    assert_int_equal(least, 0); /* some of these faults came before the first acknowledgement */
}

static void no_io_error_loses_what_was_acknowledged(void **state)
{
    (void)state;
    run_all(WEIR_IO, 40, 41);
}

static void no_full_disk_loses_what_was_acknowledged(void **state)
{
    (void)state;
    run_all(WEIR_DISK_FULL, 1, 61);
}

static void no_lack_of_descriptors_loses_what_was_acknowledged(void **state)
{
    (void)state;
    run_all(WEIR_NO_MEMORY, 1, 61);
}

enum { HELD_EACH = 7, HELD_LAST = 92, HELD_PUBLISHES = 150 };

/* Publishes until one is held up; how many were asked. */
static int publish_until_held(fixture *f, int asked, int *answered)
{
    static uint8_t large[3000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    for (int i = 0; i < HELD_PUBLISHES && weir_engine_health_of(f->engine) == WEIR_HEALTH_OK; i++) {
        weir_completion done = {0};
        if (weir_port_publish(f->port, &record, NULL, 0) != WEIR_OK) {
            break;
        }
        asked++;
        while (weir_port_drain(f->port, &done, 1) == 0 &&
               weir_engine_health_of(f->engine) == WEIR_HEALTH_OK) {
            weir_port_wait(f->port, 5);
        }
        if (done.type == WEIR_COMPLETION_PUBLISH) {
            (*answered)++;
            assert_true(done.err == WEIR_OK || done.err == WEIR_DISK_FULL);
            asked -= done.err == WEIR_OK ? 0 : 1;
            *answered -= done.err == WEIR_OK ? 0 : 1;
        }
    }
    return asked;
}

/* From the nth opening on there is no descriptor, for whatever is to be opened. */
static void life_without_descriptors(uint64_t nth)
{
    fixture f;
    weir_env *below = NULL, *faulty = NULL;
    int answered = 0;
    memset(&f, 0, sizeof(f));
    assert_int_equal(weir_env_posix_create(&below), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(below, &faulty), WEIR_OK);
    unit_folder_make(f.dir, sizeof(f.dir), "engine");
    f.config.env = faulty;
    f.config.journal_file_bytes = 64 << 10;
    f.config.checkpoint_bytes = 100 << 10;
    f.config.segment_bytes_max = 65536;
    f.config.segment_files_max = 16;
    fixture_open(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_env_faulty_plan(faulty,
                         (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_OPEN | 1u << WEIR_CALL_DIR,
                                               .countdown = nth,
                                               .for_good = true,
                                               .err = WEIR_NO_MEMORY,
                                               .os_errno = 24});
    int asked = publish_until_held(&f, 0, &answered);
    assert_true(nth > 1 || weir_engine_health_of(f.engine) == WEIR_HEALTH_DISK_FULL);
    weir_env_faulty_plan(faulty, (weir_env_fault_plan){0});
    for (; answered < asked; answered++) {
        assert_int_equal(next_of(f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
    }
    health_becomes(&f, WEIR_HEALTH_OK);
    for (int i = 0; i < 40; i++, asked++) {
        publish_ok(f.port, "t/x", "later");
    }
    fixture_kill(&f);
    f.config.env = NULL;
    fixture_open(&f);
    assert_int_equal(publish_ok(f.port, "t/x", "last"), asked);
    assert_record(f.port, "t", asked, "x", "last");
    fixture_end(&f);
    weir_env_faulty_destroy(faulty);
    weir_env_posix_destroy(below);
}

static void descriptors_that_run_out_stop_nothing_for_good(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < HELD_LAST; nth += HELD_EACH) {
        life_without_descriptors(nth);
    }
}

static void a_read_that_finds_no_descriptor_passes_over_nothing(void **state)
{
    enum { RECORDS = 20 };
    fixture f;
    weir_env *below = NULL, *faulty = NULL;
    (void)state;
    memset(&f, 0, sizeof(f));
    assert_int_equal(weir_env_posix_create(&below), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(below, &faulty), WEIR_OK);
    unit_folder_make(f.dir, sizeof(f.dir), "engine");
    f.config.env = faulty;
    fixture_open(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    for (int i = 0; i < RECORDS; i++) {
        publish_ok(f.port, "t/x", "value");
    }
    fixture_close(&f);
    fixture_open(&f); /* all is in segments, and none is open */
    weir_env_faulty_plan(faulty, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_OPEN,
                                                       .countdown = 1,
                                                       .for_good = true,
                                                       .err = WEIR_NO_MEMORY,
                                                       .os_errno = 24});
    weir_completion done = fetch(f.port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_NO_MEMORY);
    weir_completion_drop(&done);
    weir_subscriber *subscriber = subscriber_open(f.port, UINT64_MAX);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    assert_nothing(f.port);
    weir_env_faulty_plan(faulty, (weir_env_fault_plan){0});
    for (uint32_t got = 0; got < RECORDS;) {
        done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        got += done.delivery.count;
        weir_completion_drop(&done);
    }
    fixture_end(&f);
    weir_env_faulty_destroy(faulty);
    weir_env_posix_destroy(below);
}

/* A disk that can take its time to say that it is full. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_shut;
static const weir_env_ops *gate_below;
static weir_env_ops gate_ops;

static weir_err allocate_behind_gate(weir_env *env, weir_file *file, uint64_t offset,
                                     uint64_t bytes)
{
    pthread_mutex_lock(&gate_lock);
    while (gate_shut) {
        pthread_cond_wait(&gate_changed, &gate_lock);
    }
    pthread_mutex_unlock(&gate_lock);
    return gate_below->file_allocate(env, file, offset, bytes);
}

/* A journal's lane that begins nothing before it is told to. */
static bool journal_lane_shut;
static weir_job *journal_job;

static void submit_behind_gate(weir_env *env, weir_lane lane, weir_job *job)
{
    if (lane == WEIR_LANE_JOURNAL && journal_lane_shut) {
        assert_null(journal_job);
        journal_job = job;
    } else {
        gate_below->job_submit(env, lane, job);
    }
}

static void journal_lane_open(weir_env *env)
{
    journal_lane_shut = false;
    assert_non_null(journal_job);
    gate_below->job_submit(env, WEIR_LANE_JOURNAL, journal_job);
    journal_job = NULL;
}

static void gate_set(bool shut)
{
    pthread_mutex_lock(&gate_lock);
    gate_shut = shut;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

/* An engine on a disk that can fail, with the topic t and its record "kept". */
static fixture *disk_begin_with(faulty_fixture *d, weir_sync_mode sync, uint64_t tail_bytes_max)
{
    fixture *f = faulty_prepare_in_memory(d);
    gate_below = d->faulty->ops;
    gate_ops = *gate_below;
    gate_ops.file_allocate = allocate_behind_gate;
    gate_ops.job_submit = submit_behind_gate;
    d->faulty->ops = &gate_ops;
    f->config.sync = sync;
    f->config.journal_file_bytes = 64 << 10;
    f->config.limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    f->config.limits.port_bytes_max = 64 << 20;
    f->config.limits.tail_bytes_max =
        tail_bytes_max != 0 ? tail_bytes_max : f->config.limits.tail_bytes_max;
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(publish_ok(f->port, "t/x", "kept"), 0);
    reserve_made(f);
    background_rests(
        f); /* else a spare that cannot be made says before the test that the disk is full */
    return f;
}

static fixture *disk_begin(faulty_fixture *d, weir_sync_mode sync)
{
    return disk_begin_with(d, sync, 0);
}

/* What needs a journal file of its own is held up from now on. */
static void disk_fill(faulty_fixture *d)
{
    disk_full(d, WEIR_CALL_ALLOCATE);
}

static void disk_has_room(faulty_fixture *d)
{
    disk_works(d);
    health_becomes(&d->f, WEIR_HEALTH_OK);
}

/* A host that stops must get every operation back; what it can be told is only that nobody knows. */
static void what_a_full_disk_holds_up_is_answered_once_nobody_waits(void **state)
{
    static uint8_t large[100000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    faulty_fixture d;
    fixture *f = disk_begin(&d, WEIR_SYNC_INLINE);
    (void)state;
    disk_fill(&d);
    assert_int_equal(weir_port_publish(f->port, &record, NULL, 7), WEIR_OK);
    assert_nothing(f->port);
    assert_int_equal(weir_engine_health_of(f->engine), WEIR_HEALTH_DISK_FULL);
    weir_completion done = publish(f->port, "t/x", "refused"); /* at once: it waits for no disk */
    assert_int_equal(done.err, WEIR_DISK_FULL);
    weir_engine_stop_waiting(f->engine);
    done = next_of(f->port, WEIR_COMPLETION_PUBLISH);
    assert_int_equal(done.token, 7);
    assert_int_equal(done.err, WEIR_CLOSED);
    done = publish(f->port, "t/x", "late");
    assert_int_equal(done.err, WEIR_DISK_FULL);
    disk_has_room(&d);
    assert_int_equal(publish_ok(f->port, "t/x", "after"), 2); /* what was held up is kept */
    faulty_end(&d);
}

static void join_held_up(fixture *f, uint64_t token)
{
    weir_bytes topics[] = {WEIR_TEXT("t")};
    weir_group_options options = {.model = WEIR_MODEL_STREAM, .topics = topics, .topic_count = 1};
    weir_join join = {.group = WEIR_TEXT("g"), .instance = WEIR_TEXT("i"), .options = &options};
    assert_int_equal(weir_port_member_join(f->port, &join, f, token), WEIR_OK);
}

/* The second one takes the place of the first, which would be told so: but nobody has its handle. */
static void a_member_whose_join_ended_in_an_error_is_told_nothing(void **state)
{
    static uint8_t large[100000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    faulty_fixture d;
    fixture *f = disk_begin(&d, WEIR_SYNC_INLINE);
    (void)state;
    disk_fill(&d);
    assert_int_equal(weir_port_publish(f->port, &record, NULL, 7), WEIR_OK);
    join_held_up(f, 8);
    join_held_up(f, 9);
    assert_nothing(f->port);
    weir_engine_stop_waiting(f->engine);
    assert_int_equal(next_of(f->port, WEIR_COMPLETION_PUBLISH).err, WEIR_CLOSED);
    for (uint64_t token = 8; token <= 9; token++) {
        weir_completion done = next_of(f->port, WEIR_COMPLETION_MEMBER);
        assert_int_equal(done.token, token);
        assert_int_equal(done.err, WEIR_CLOSED);
        assert_null(done.joined.member);
    }
    assert_nothing(f->port);
    disk_has_room(&d);
    assert_nothing(f->port);
    join_held_up(f, 10); /* the place is free for the one that comes again */
    weir_completion done = next_of(f->port, WEIR_COMPLETION_MEMBER);
    const weir_member *member = done.joined.member;
    assert_int_equal(done.err, WEIR_OK);
    done = next_of(f->port, WEIR_COMPLETION_ASSIGNED);
    assert_ptr_equal(done.assigned.member, member);
    assert_int_equal(done.assigned.owned_count, 1);
    weir_completion_drop(&done);
    faulty_end(&d);
}

/* A journal that is merely behind makes every operation wait; one that is blocked would for ever. */
static void a_blocked_journal_that_is_full_holds_back_no_reads(void **state)
{
    enum { RECORDS = 30, FULL = 24 }; /* FULL: together what a turn may leave in its memory */
    static uint8_t large[1000000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    faulty_fixture d;
    fixture *f = disk_begin(&d, WEIR_SYNC_THREAD);
    weir_subscriber *subscriber = NULL;
    int held_up = 0;
    (void)state;
    disk_fill(&d);
    gate_set(true);
    for (int i = 0; i < 1 + RECORDS; i++) {
        assert_int_equal(weir_port_publish(f->port, &record, NULL, 7), WEIR_OK);
        weir_port_step(f->port); /* the first is on its way, and the others gather behind it */
    }
    gate_set(false);
    health_becomes(f, WEIR_HEALTH_DISK_FULL);
    weir_engine_stop_waiting(f->engine);
    for (int i = 0; i < 1 + RECORDS; i++) {
        weir_completion done = next_of(f->port, WEIR_COMPLETION_PUBLISH);
        held_up += done.err == WEIR_CLOSED;
        assert_true(done.err == WEIR_CLOSED || done.err == WEIR_DISK_FULL);
    }
    assert_true(held_up > FULL && held_up < 1 + RECORDS);
    assert_record(f->port, "t", 0, "x", "kept");
    subscriber = subscriber_open(f->port, 10);
    subscribe(f->port, subscriber, "t/#");
    weir_completion done = publish(f->port, "t/x", "refused");
    assert_int_equal(done.err, WEIR_DISK_FULL);
    disk_has_room(&d);
    faulty_end(&d);
}

static uint64_t flushed_bytes(const fixture *f)
{
    weir_stats stats;
    weir_engine_stats(f->engine, &stats);
    return stats.segment_bytes;
}

/* The end of the sync brings the next turn; turning until then would take a processor from others. */
static void a_flush_that_waits_for_a_sync_on_its_lane_asks_for_no_turn(void **state)
{
    enum { RECORDS = 12, TAIL_BYTES = 16 << 20 }; /* 3/8 of it outside segments: a flush is due */
    static uint8_t large[1000000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    faulty_fixture d;
    fixture *f = disk_begin_with(&d, WEIR_SYNC_THREAD, TAIL_BYTES);
    (void)state;
    journal_lane_shut = true;
    for (int i = 0; i < RECORDS; i++) {
        assert_int_equal(weir_port_publish(f->port, &record, NULL, 7), WEIR_OK);
        weir_port_step(f->port);
    }
    for (int64_t end = wait_end(); flushed_bytes(f) == 0 && wait_goes_on(end);) {
        weir_port_wait(f->port, 5); /* "kept" is all that is synced */
    }
    assert_int_not_equal(flushed_bytes(f), 0);
    assert_int_not_equal(weir_port_next_ms(f->port), 0);
    journal_lane_open(d.faulty);
    for (int i = 0; i < RECORDS; i++) {
        assert_int_equal(next_of(f->port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
    }
    faulty_end(&d);
}

/* What a checkpoint counts on has to be in the journal: the next start would miss it there. */
static void a_stop_whose_last_sync_fails_writes_no_checkpoint(void **state)
{
    faulty_fixture d;
    fixture *f = disk_begin(&d, WEIR_SYNC_THREAD);
    (void)state;
    declare(f->port, "u", WEIR_LEVEL_OS);
    weir_env_faulty_plan(d.faulty, (weir_env_fault_plan){.kinds = 1u << WEIR_CALL_SYNC,
                                                         .countdown = 1,
                                                         .err = WEIR_IO,
                                                         .os_errno = 5});
    assert_int_equal(publish_ok(f->port, "u/x", "written"), 0);
    uint64_t renamed = weir_env_faulty_calls(d.faulty, 1u << WEIR_CALL_RENAME);
    weir_port_close(f->port);
    assert_int_equal(weir_engine_close(f->engine), WEIR_READ_ONLY);
    assert_int_equal(weir_env_faulty_calls(d.faulty, 1u << WEIR_CALL_RENAME), renamed);
    fixture_open(f);
    assert_record(f->port, "t", 0, "x", "kept");
    assert_record(f->port, "u", 0, "x", "written");
    faulty_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_io_error_loses_what_was_acknowledged),
        cmocka_unit_test(no_full_disk_loses_what_was_acknowledged),
        cmocka_unit_test(no_lack_of_descriptors_loses_what_was_acknowledged),
        cmocka_unit_test(descriptors_that_run_out_stop_nothing_for_good),
        cmocka_unit_test(a_read_that_finds_no_descriptor_passes_over_nothing),
        cmocka_unit_test(what_a_full_disk_holds_up_is_answered_once_nobody_waits),
        cmocka_unit_test(a_member_whose_join_ended_in_an_error_is_told_nothing),
        cmocka_unit_test(a_blocked_journal_that_is_full_holds_back_no_reads),
        cmocka_unit_test(a_flush_that_waits_for_a_sync_on_its_lane_asks_for_no_turn),
        cmocka_unit_test(a_stop_whose_last_sync_fails_writes_no_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
