/* tests/unit/engine/group_held_test.c - one record that is held for an hour while millions of later
 * ones are settled past it: little state, a short restart, and then it is handed out once more.
 *
 *     WEIR_HELD_RECORDS=10000000 build/release/tests/unit_engine_group_held     the whole measure
 *
 * Prints a line of figures for each; the tests run it with few. */
#include "tests/unit/engine/group_queue.h"

#include "core/batch/batch.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum {
    RECORDS = 100000, /* unless the environment says more */
    BATCH = 1000,
    TENTH = 10,
    WORKERS = 4,
    BEATS = 120,
    BEAT_MS = 30000, /* an hour in all */
    LEASE_MS = 2 * 3600 * 1000,
    STATE_BYTES_MAX = 64 << 20,
    PATH_BYTES = 512,
};

static int64_t records_wanted(void)
{
    const char *text = getenv("WEIR_HELD_RECORDS");
    int64_t records = text != NULL ? strtoll(text, NULL, 10) : RECORDS;
    return records / (BATCH * BEATS) * (BATCH * BEATS) + BATCH * BEATS;
}

static void batch_publish(fixture *f)
{
    static uint8_t memory[BATCH * 32];
    static uint8_t rest[64];
    static weir_bytes batch;
    if (batch.len == 0) {
        weir_batch_builder builder;
        uint32_t position;
        size_t len = weir_record_rest_encode(WEIR_TEXT("value"), NULL, 0, rest);
        weir_batch_begin(&builder, memory, sizeof(memory));
        for (int i = 0; i < BATCH; i++) {
            assert_int_equal(
                weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position),
                WEIR_OK);
        }
        batch = weir_batch_finish(&builder, 0, 0, 1);
    }
    assert_int_equal(weir_port_produce_batch(f->port, WEIR_TEXT("q"), 0, batch, NULL, 1), WEIR_OK);
    assert_int_equal(next_of(f->port, WEIR_COMPLETION_BATCH).err, WEIR_OK);
}

/* Takes a batch and settles all of it, or all but each tenth record. */
static void batch_settle(fixture *f, weir_member *member, bool tenth)
{
    static given g;
    weir_settle_range ranges[BATCH / TENTH];
    uint32_t step = tenth ? TENTH : BATCH;
    take_in_all(f, member, BATCH, &g);
    for (uint32_t i = 0; i < BATCH / step; i++) {
        ranges[i] = (weir_settle_range){.topic = WEIR_TEXT("q"),
                                        .first = g.offsets[i * step] + (tenth ? 1 : 0),
                                        .last = g.offsets[(i + 1) * step - 1],
                                        .lease = g.leases[0]};
    }
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = ranges, .range_count = BATCH / step, .epoch = g.epoch};
    assert_int_equal(answer(f, member, &settle).err, WEIR_OK);
}

static void time_passes(fixture *f, weir_member *const *members, int count)
{
    pass_ms(f, BEAT_MS);
    for (int i = 0; i < count; i++) {
        assert_int_equal(weir_port_member_beat(f->port, members[i]), WEIR_OK);
    }
    weir_port_step(f->port);
}

/* The record at offset 0 is held by the first member; the others settle what comes behind it. */
static void an_hour(fixture *f, int64_t records, bool tenth)
{
    weir_member *members[1 + WORKERS];
    static given first;
    for (int i = 0; i <= WORKERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", i);
        members[i] = join(f, name);
    }
    publish_ok(f->port, "q", "held");
    assert_int_equal(take(f, members[0], 1, &first), 1);
    for (int64_t i = 0; i < records / BATCH; i++) {
        batch_publish(f);
        batch_settle(f, members[1 + i * WORKERS / (records / BATCH)], tenth);
        if (i % (records / BATCH / BEATS) == 0) {
            time_passes(f, members, 1 + WORKERS);
        }
    }
}

static uint64_t state_bytes(const fixture *f)
{
    char path[PATH_BYTES];
    struct stat info;
    uint64_t most = 0;
    snprintf(path, sizeof(path), "%s/state", f->dir);
    DIR *list = opendir(path);
    const struct dirent *entry;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        snprintf(path, sizeof(path), "%s/state/%.200s", f->dir, entry->d_name);
        if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size > most) {
            most = (uint64_t)info.st_size;
        }
    }
    if (list != NULL) {
        (void)closedir(list);
    }
    return most;
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double reopen(fixture *f)
{
    double began = seconds_now();
    fixture_open(f);
    return seconds_now() - began;
}

/* Everything that is left is handed out, each once, and settled. */
static void the_rest_is_had_once(fixture *f, int64_t left)
{
    static given g;
    weir_member *last = join(f, "last");
    int64_t next = 0;
    for (int64_t had = 0; had < left; had += g.count) {
        take_begin(f, last, BATCH, 60000);
        weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
        given_of(&done, &g);
        for (uint32_t i = 0; i < g.count; i++) {
            assert_true(g.offsets[i] >= next); /* in order, so that none comes twice */
            next = g.offsets[i] + 1;
            assert_int_equal(g.leased[i], 2);
        }
        assert_int_equal(settle_all(f, last, &g, WEIR_VERB_ACCEPT), WEIR_OK);
    }
    assert_int_equal(take(f, last, BATCH, &g), 0);
}

static void held(bool tenth)
{
    fixture f;
    int64_t records = records_wanted();
    int64_t left = 1 + (tenth ? records / TENTH : 0);
    queue_begin(&f);
    fixture_close(&f);
    f.config.journal_file_bytes = 64 << 20;
    fixture_open(&f);
    queue_with(&f, (weir_group_options){.lease_ms = LEASE_MS, .leased_max = 1000000});
    an_hour(&f, records, tenth);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), records + 1 - left);
    kill_into_copy(&f);
    double killed = reopen(&f);
    fixture_close(&f);
    uint64_t bytes = state_bytes(&f);
    double stopped = reopen(&f);
    printf("held records=%lld unsettled=%lld restart_after_kill_s=%.2f restart_after_stop_s=%.2f "
           "checkpoint_mib=%.1f\n",
           (long long)records, (long long)left, killed, stopped, (double)bytes / (1 << 20));
    assert_true(bytes < STATE_BYTES_MAX);
    pass_ms(&f, LEASE_MS + 1000);
    the_rest_is_had_once(&f, left);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), records + 1);
    queue_end(&f);
}

static void one_record_is_held_for_an_hour_while_all_later_ones_are_settled(void **state)
{
    (void)state;
    held(false);
}

static void each_tenth_record_is_held_for_an_hour_and_then_handed_out_once(void **state)
{
    (void)state;
    held(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_is_held_for_an_hour_while_all_later_ones_are_settled),
        cmocka_unit_test(each_tenth_record_is_held_for_an_hour_and_then_handed_out_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
