/* Segments of queue topics in which little is owed: what disk they cost, and what a kill leaves. */
#include "tests/unit/engine/group_queue.h"
#include "tests/unit/engine/life.h"
#include "tests/unit/engine/small_disk.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"
#include "core/engine/inspect.h"
#include "core/engine/ops.h"
#include "core/env/failpoint.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

enum { RECORDS = 3000, OWED_EVERY = 100, OWED = RECORDS / OWED_EVERY };
enum { VALUE_BYTES = 60, AT_ONCE = 25, SEGMENTS = 30 };

static weir_err declare_queue(fixture *f)
{
    return declare_with(
        f->port, "q",
        (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS, .kind = WEIR_KIND_QUEUE});
}

/* Some at a time, as they become batches. */
static void fill(life_fixture *l, int count)
{
    char value[VALUE_BYTES + 1];
    memset(value, '.', sizeof(value) - 1);
    value[VALUE_BYTES] = '\0';
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int n = 0; n < AT_ONCE; n++) {
            weir_publish record = {.name = WEIR_TEXT("q"), .value = weir_bytes_of(value)};
            assert_int_equal(weir_port_publish(l->f.port, &record, NULL, 1), WEIR_OK);
        }
        for (int n = 0; n < AT_ONCE; n++) {
            assert_int_equal(next_of(l->f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
        }
    }
}

/* Settles all that was given but every hundredth, which go back. */
static void settle_but_some(life_fixture *l, weir_member *member, const given *all)
{
    static weir_settle_range ranges[OWED];
    for (uint32_t i = 0; i < OWED; i++) {
        ranges[i] = (weir_settle_range){.topic = WEIR_TEXT("q"),
                                        .first = (int64_t)i * OWED_EVERY + 1,
                                        .last = (int64_t)(i + 1) * OWED_EVERY - 1,
                                        .lease = all->leases[i * OWED_EVERY + 1]};
        assert_int_equal(all->leases[(i + 1) * OWED_EVERY - 1], ranges[i].lease);
    }
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = ranges, .range_count = OWED, .epoch = all->epoch};
    assert_int_equal(answer(&l->f, member, &settle).err, WEIR_OK);
    leave(&l->f, member, true);
}

/* A queue whose records are in segments, and all but every hundredth settled. */
static void long_queue(life_fixture *l)
{
    static given all;
    l->f.config.limits.tail_bytes_max = 1 << 20;
    assert_int_equal(declare_queue(&l->f), WEIR_OK);
    fill(l, RECORDS);
    life_segments(l, 1, SEGMENTS);
    weir_member *member = join_group(l->f.port, "q", "m");
    memset(&all, 0, sizeof(all));
    for (uint32_t i = 0; i < OWED; i++) { /* each hundred under one lease */
        static given some;
        take_in_all(&l->f, member, OWED_EVERY, &some);
        for (uint32_t r = 0; r < OWED_EVERY; r++) {
            all.leases[i * OWED_EVERY + r] = some.leases[r];
            assert_int_equal(some.offsets[r], i * OWED_EVERY + r);
        }
        all.epoch = some.epoch;
    }
    settle_but_some(l, member, &all);
}

static void one_step(life_fixture *l)
{
    life_turn_clock(500);
    (void)weir_port_wait(l->f.port, 1);
}

static void until_rewritten(life_fixture *l)
{
    for (int i = 0; life_stats(l).segments_rewritten == 0; i++) {
        assert_true(i < LIFE_TURNS_MAX);
        one_step(l);
    }
}

static uint64_t disk_bytes(const life_fixture *l)
{
    char command[256];
    unsigned long long bytes = 0;
    snprintf(command, sizeof(command),
             "find '%s/log/1' -name '*.log' -printf '%%s\\n' | awk '{s+=$1} END {print s+0}'",
             l->f.dir);
    FILE *lines = popen(command, "r");
    assert_non_null(lines);
    assert_int_equal(fscanf(lines, "%llu", &bytes), 1);
    pclose(lines);
    return bytes;
}

static unsigned folders(const life_fixture *l)
{
    char command[256];
    unsigned count = 0;
    snprintf(command, sizeof(command), "find '%s/log/1/0' -mindepth 1 -type d | wc -l", l->f.dir);
    FILE *lines = popen(command, "r");
    assert_non_null(lines);
    assert_int_equal(fscanf(lines, "%u", &count), 1);
    pclose(lines);
    return count;
}

static void until_no_folder(life_fixture *l)
{
    for (int64_t end = wait_end(); folders(l) > 0;) {
        assert_true(wait_goes_on(end));
        (void)weir_port_wait(l->f.port, 5);
    }
}

/* What is owed is handed out, each once, with its own value; and then all is settled. */
static void owed_comes_once(life_fixture *l)
{
    given *got = calloc(1, sizeof(*got));
    assert_non_null(got);
    life_steps(l, 40); /* leases that a kill left are over */
    weir_member *member = join_group(l->f.port, "q", "n");
    take_in_all(&l->f, member, OWED, got);
    for (uint32_t i = 0; i < OWED; i++) {
        assert_int_equal(got->offsets[i], (int64_t)i * OWED_EVERY);
    }
    for (uint32_t i = 0; i < OWED; i++) {
        weir_settle_range range = {.topic = WEIR_TEXT("q"),
                                   .first = got->offsets[i],
                                   .last = got->offsets[i],
                                   .lease = got->leases[i]};
        weir_settle settle = {
            .verb = WEIR_VERB_ACCEPT, .ranges = &range, .range_count = 1, .epoch = got->epoch};
        assert_int_equal(answer(&l->f, member, &settle).err, WEIR_OK);
    }
    assert_int_equal(take(&l->f, member, 10, got), 0);
    free(got);
    leave(&l->f, member, true);
    assert_int_equal(group_fate(l->f.port, "q", WEIR_FATE_ACCEPTED), RECORDS);
    group_adds_up(l->f.port, "q");
}

static void disk_falls_to_what_is_owed_and_that_comes_once(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    long_queue(&l);
    uint64_t before = disk_bytes(&l);
    for (int i = 0; disk_bytes(&l) > before / 10; i++) {
        assert_true(i < LIFE_LOOKS_MAX);
        life_steps(&l, 20);
    }
    assert_true(life_stats(&l).segments_rewritten > 20);
    assert_true(life_stats(&l).segments_freed_bytes > before / 2);
    assert_int_equal(life_bounds(&l, "q", 0).start_offset, 0);
    assert_int_equal(group_fate(l.f.port, "q", WEIR_FATE_PENDING), OWED);
    fixture_close(&l.f);
    fixture_open(&l.f);
    owed_comes_once(&l);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(group_fate(l.f.port, "q", WEIR_FATE_ACCEPTED), RECORDS);
    life_end(&l);
}

static void file_seen(void *arg, const weir_inspect_file *file)
{
    (void)arg;
    assert_true(file->verdict != WEIR_INSPECT_DAMAGED && file->verdict != WEIR_INSPECT_MISSING);
}

static void gap_seen(void *arg, const weir_inspect_gap *gap)
{
    (void)arg;
    (void)gap;
    fail();
}

static void is_sound(const life_fixture *l, uint64_t records_most)
{
    weir_engine_config config = {.data_dir = l->f.dir};
    weir_inspect_to to = {.file = file_seen, .gap = gap_seen};
    weir_inspect_sum sum;
    weir_fault fault;
    assert_int_equal(weir_inspect_verify(&config, &to, &sum, &fault), WEIR_OK);
    assert_int_equal(sum.damaged, 0);
    assert_int_equal(sum.gaps, 0);
    assert_in_range(sum.records, OWED, records_most);
}

static void what_was_rewritten_is_sound_and_leaves_no_other_files(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    long_queue(&l);
    for (int i = 0; life_files(&l, 1, 0, ".log") > 6; i++) {
        assert_true(i < LIFE_LOOKS_MAX);
        life_steps(&l, 20);
    }
    assert_true(folders(&l) < 6); /* of the segments that they made in place of others */
    fixture_close(&l.f);
    is_sound(&l, 20 * OWED);
    fixture_open(&l.f);
    owed_comes_once(&l);
    life_end(&l);
}

/* One record stays, and so many come and are settled. */
static void settle_all_but_the_first(life_fixture *l, uint32_t count)
{
    static given all;
    uint64_t rewritten = life_stats(l).segments_rewritten;
    fill(l, (int)count);
    weir_member *member = join_group(l->f.port, "q", "m");
    take_in_all(&l->f, member, count + (life_bounds(l, "q", 0).end_offset > count ? 1 : 0), &all);
    assert_int_equal(all.offsets[0], 0);
    assert_int_equal(settle_some(&l->f, member, &all, 1, all.count, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_some(&l->f, member, &all, 0, 1, WEIR_VERB_RELEASE), WEIR_OK);
    leave(&l->f, member, true);
    for (int i = 0; life_stats(l).segments_rewritten == rewritten; i++) {
        assert_true(i < LIFE_LOOKS_MAX);
        life_steps(l, 20);
    }
}

static void what_is_left_of_many_rewritings_does_not_pile_up(void **state)
{
    enum { ROUNDS = 12 };
    life_fixture l;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_queue(&l.f), WEIR_OK);
    for (int round = 0; round < ROUNDS; round++) {
        settle_all_but_the_first(&l, 500);
    }
    for (int i = 0; life_files(&l, 1, 0, ".log") > 5 || folders(&l) > 3; i++) {
        assert_true(i < LIFE_LOOKS_MAX);
        life_steps(&l, 20);
    }
    life_end(&l);
}

/* ---- What does not work out ---------------------------------------------------------------------- */

static atomic_int full_times;

static weir_err disk_is_full(void *arg, weir_failpoint point)
{
    (void)arg;
    bool here = point == WEIR_FAILPOINT_compaction_appended;
    return here && atomic_fetch_sub(&full_times, 1) > 0 ? WEIR_DISK_FULL : WEIR_OK;
}

static void a_full_disk_in_the_midst_of_it_costs_nothing(void **state)
{
    life_fixture l;
    (void)state;
    full_times = 1;
    weir_failpoint_arm(disk_is_full, NULL);
    life_begin(&l);
    long_queue(&l);
    for (int64_t end = wait_end(); full_times > 0;) {
        assert_true(wait_goes_on(end));
        life_steps(&l, 1);
    }
    until_no_folder(&l);
    assert_int_equal(life_stats(&l).segments_rewritten,
                     0); /* nothing of it is left beside the segments' own */
    assert_int_equal(weir_engine_health_of(l.f.engine), WEIR_HEALTH_OK);
    life_turn_clock(601 * 1000); /* it is tried again */
    until_rewritten(&l);
    owed_comes_once(&l);
    life_end(&l);
    weir_failpoint_arm(NULL, NULL);
}

/* There is room for what stays of a segment, and none for a batch that has to go to one: no checkpoint
 * could wait for that. */
static void little_room(life_fixture *l)
{
    static uint8_t large[100000];
    const weir_publish record = {.name = WEIR_TEXT("t"), .value = WEIR_BYTES(large)};
    declare(l->f.port, "t", WEIR_LEVEL_DISK);
    while (weir_journal_spare_give(l->f.engine->journal)) {
    }
    small_disk_room(64 << 10);
    assert_int_equal(publish_record(l->f.port, &record).err, WEIR_OK);
    for (int64_t end = wait_end(); weir_engine_health_of(l->f.engine) != WEIR_HEALTH_DISK_FULL;) {
        assert_true(wait_goes_on(end));
        (void)weir_port_wait(l->f.port, 5);
    }
}

static void a_full_disk_comes_free_segment_by_segment(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    fixture_close(&l.f);
    small_disk_begin(l.env);
    fixture_open(&l.f);
    long_queue(&l);
    fixture_close(&l.f); /* all of it is in segments then */
    fixture_open(&l.f);
    reserve_made(&l.f);
    uint64_t before = disk_bytes(&l);
    little_room(&l);
    for (int i = 0; disk_bytes(&l) > before / 10; i++) {
        assert_true(i < LIFE_LOOKS_MAX);
        life_steps(&l, 20);
    }
    small_disk_room(INT64_MAX / 2);
    life_turn_clock(5000);
    health_becomes(&l.f, WEIR_HEALTH_OK);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    owed_comes_once(&l);
    weir_completion done = fetch(l.f.port, "t", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.fetched.end_offset, 1);
    weir_completion_drop(&done);
    life_end(&l);
}

/* ---- Compressed batches ------------------------------------------------------------------------- */

enum { PACKED = 100, PACKED_MAX = 64 << 10, ZSTD = 4 };

static void produce_packed(life_fixture *l)
{
    static uint8_t plain[PACKED_MAX], out[PACKED_MAX];
    uint8_t rest[256];
    char value[151];
    uint32_t position;
    weir_batch_builder builder;
    weir_batch_begin(&builder, plain, sizeof(plain));
    memset(value, '.', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < PACKED; i++) {
        size_t len = weir_record_rest_encode(weir_bytes_of(value), NULL, 0, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position),
            WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1000);
    size_t head = WEIR_BATCH_HEAD_BYTES;
    size_t len =
        head + ZSTD_compress(out + head, sizeof(out) - head, plain + head, batch.len - head, 3);
    assert_true(len < batch.len);
    memcpy(out, plain, head);
    weir_put_u32(out + HEAD_LENGTH, (uint32_t)(len - HEAD_LENGTH_END));
    out[HEAD_ATTRIBUTES + 1] |= ZSTD;
    weir_put_u32(out + HEAD_CRC, weir_crc32c(0, out + HEAD_ATTRIBUTES, len - HEAD_ATTRIBUTES));
    assert_int_equal(
        weir_port_produce_batch(l->f.port, WEIR_TEXT("q"), 0, (weir_bytes){out, len}, NULL, 5),
        WEIR_OK);
    assert_int_equal(next_of(l->f.port, WEIR_COMPLETION_BATCH).err, WEIR_OK);
}

static atomic_int appended;

static weir_err count_appended(void *arg, weir_failpoint point)
{
    (void)arg;
    appended += point == WEIR_FAILPOINT_compaction_appended;
    return WEIR_OK;
}

/* A tenth of each batch is owed: plain it is more than the whole batch was. */
static void what_would_be_more_than_it_was_stays(void **state)
{
    enum { BATCHES = 60, LEFT = 10 };
    static given all;
    life_fixture l;
    (void)state;
    appended = 0;
    weir_failpoint_arm(count_appended, NULL);
    life_begin(&l);
    l.f.config.limits.tail_bytes_max = 1 << 20;
    assert_int_equal(declare_queue(&l.f), WEIR_OK);
    weir_member *member = join_group(l.f.port, "q", "m");
    for (int i = 0; i < BATCHES; i++) {
        produce_packed(&l);
        take_in_all(&l.f, member, PACKED, &all);
        assert_int_equal(settle_some(&l.f, member, &all, LEFT, PACKED, WEIR_VERB_ACCEPT), WEIR_OK);
    }
    leave(&l.f, member, true); /* what it has goes back */
    life_segments(&l, 1, 2);
    for (int64_t end = wait_end(); appended == 0;) {
        assert_true(wait_goes_on(end));
        life_steps(&l, 1);
    }
    until_no_folder(&l);
    life_steps(&l, 20);
    assert_int_equal(life_stats(&l).segments_rewritten, 0);
    member = join_group(l.f.port, "q", "n");
    take_in_all(&l.f, member, BATCHES * LEFT, &all);
    life_end(&l);
    weir_failpoint_arm(NULL, NULL);
}

static void a_peek_passes_over_what_is_gone(void **state)
{
    life_fixture l;
    int64_t at = 0, met = 0;
    (void)state;
    life_begin(&l);
    long_queue(&l);
    until_rewritten(&l);
    life_checkpoints(&l, 2);
    fixture_close(&l.f);
    fixture_open(&l.f);
    while (at < RECORDS) {
        weir_fetch wanted = {
            .topic = WEIR_TEXT("q"), .offset = at, .bytes_max = 1 << 16, .peek = true};
        assert_int_equal(weir_port_fetch(l.f.port, &wanted, NULL, 2), WEIR_OK);
        weir_completion done = next_of(l.f.port, WEIR_COMPLETION_FETCH);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.fetched.run_count > 0);
        for (uint32_t i = 0; i < done.fetched.run_count; i++) {
            const weir_run *run = &done.fetched.runs[i];
            for (uint32_t n = 0; n < run->count; n++) {
                weir_record record;
                weir_chunk_record(run->chunk, run->first + n, &record);
                assert_true(record.offset >= at);
                met += record.offset % OWED_EVERY == 0;
                at = record.offset + 1;
            }
        }
        weir_completion_drop(&done);
    }
    assert_int_equal(met, OWED);
    life_end(&l);
}

static void a_queue_that_is_not_settled_stays_as_it_is(void **state)
{
    life_fixture l;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_queue(&l.f), WEIR_OK);
    fill(&l, 300);
    life_segments(&l, 1, 3);
    life_steps(&l, 20);
    assert_int_equal(life_stats(&l).segments_rewritten, 0);
    life_end(&l);
}

/* ---- Kills --------------------------------------------------------------------------------------
 */

typedef struct death {
    weir_failpoint at;
    int times;   /* it is passed so often before */
    bool behind; /* counted once segments were rewritten */
} death;

/* Each is a process of its own, and a start after it: that takes seconds. */
static const death DEATHS[] = {
    {WEIR_FAILPOINT_compaction_folder_made, 1, false},
    {WEIR_FAILPOINT_compaction_appended, 9, false},
    {WEIR_FAILPOINT_compaction_synced, 1, false},
    {WEIR_FAILPOINT_checkpoint_added, 1, true},
    {WEIR_FAILPOINT_checkpoint_written, 1, true},
    {WEIR_FAILPOINT_checkpoint_renamed, 1, true},
    {WEIR_FAILPOINT_checkpoint_finished, 1, true},
    {WEIR_FAILPOINT_segment_removed, 7, true},
};

static atomic_bool dying;
static atomic_int left;

static weir_err die(void *arg, weir_failpoint point)
{
    const death *how = arg;
    if (point == how->at && dying && atomic_fetch_sub(&left, 1) == 1) {
        (void)kill(getpid(), SIGKILL);
    }
    return WEIR_OK;
}

/* In a process of its own, which tells its folder and does not return. */
static void live_until_killed(const death *how, int told)
{
    life_fixture l;
    death copy = *how;
    dying = !how->behind;
    left = how->times;
    weir_failpoint_arm(die, &copy);
    life_begin(&l);
    assert_int_equal(write(told, l.f.dir, sizeof(l.f.dir)), sizeof(l.f.dir));
    long_queue(&l);
    until_rewritten(&l);
    dying = true;
    for (int i = 0; i < LIFE_TURNS_MAX; i++) {
        one_step(&l);
    }
    _exit(1); /* it was not passed */
}

static void killed(const death *how, char *dir, size_t size)
{
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        live_until_killed(how, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], dir, size), size);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_kill_at_any_step_loses_nothing_that_is_owed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(DEATHS) / sizeof(DEATHS[0]); i++) {
        life_fixture l;
        char dir[sizeof(l.f.dir)] = "";
        killed(&DEATHS[i], dir, sizeof(dir));
        life_begin(&l);
        fixture_end(&l.f); /* its own folder */
        memcpy(l.f.dir, dir, sizeof(dir));
        fixture_open(&l.f);
        owed_comes_once(&l);
        life_end(&l);
    }
}

/* ---- A reset in the midst of it -----------------------------------------------------------------
 */

static atomic_bool writes, goes_on;

static weir_err wait_there(void *arg, weir_failpoint point)
{
    (void)arg;
    if (point == WEIR_FAILPOINT_compaction_appended) {
        writes = true;
        while (!goes_on) {
            sched_yield();
        }
    }
    return WEIR_OK;
}

static void a_reset_in_the_midst_of_it_has_every_record_again(void **state)
{
    static given all;
    life_fixture l;
    (void)state;
    writes = false;
    goes_on = false;
    weir_failpoint_arm(wait_there, NULL);
    life_begin(&l);
    long_queue(&l);
    for (int i = 0; !writes; i++) {
        assert_true(i < LIFE_TURNS_MAX);
        one_step(&l);
    }
    weir_reset reset = {.group = WEIR_TEXT("q"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    assert_int_equal(group_reset(l.f.port, &reset), WEIR_OK);
    goes_on = true;
    life_steps(&l, 50);
    assert_int_equal(life_stats(&l).segments_rewritten, 0);
    until_no_folder(&l); /* what was made in vain goes */
    weir_member *member = join_group(l.f.port, "q", "n");
    take_in_all(&l.f, member, RECORDS, &all);
    assert_offsets(&all, 0, RECORDS);
    group_adds_up(l.f.port, "q");
    life_end(&l);
    weir_failpoint_arm(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_falls_to_what_is_owed_and_that_comes_once),
        cmocka_unit_test(what_was_rewritten_is_sound_and_leaves_no_other_files),
        cmocka_unit_test(what_is_left_of_many_rewritings_does_not_pile_up),
        cmocka_unit_test(a_full_disk_in_the_midst_of_it_costs_nothing),
        cmocka_unit_test(a_full_disk_comes_free_segment_by_segment),
        cmocka_unit_test(what_would_be_more_than_it_was_stays),
        cmocka_unit_test(a_peek_passes_over_what_is_gone),
        cmocka_unit_test(a_queue_that_is_not_settled_stays_as_it_is),
        cmocka_unit_test(a_kill_at_any_step_loses_nothing_that_is_owed),
        cmocka_unit_test(a_reset_in_the_midst_of_it_has_every_record_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
