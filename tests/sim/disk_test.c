/* The simulated disk is itself tested: what it must keep, what it may lose, and whether it catches
 * stores that forget a sync. */
#include "tests/sim/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 300, ROUNDS = 6, VALUE_BYTES = 3000 };

typedef struct world {
    sim_disk *disk;
    sim_env *env;
    weir_env *table;
} world;

static world world_open(sim_disk *disk, uint64_t seed)
{
    world w = {.disk = disk, .env = sim_env_create(disk, seed)};
    w.table = sim_env_table(w.env);
    return w;
}

static world world_begin(uint64_t seed)
{
    return world_open(sim_disk_create(), seed);
}

static void world_end(world *w)
{
    sim_env_destroy(w->env);
    sim_disk_destroy(w->disk);
}

/* The process dies, this happens to the disk, and another begins. */
static void world_crash(world *w, sim_crash crash, sim_chooser chooser)
{
    sim_env_kill(w->env);
    sim_disk_crash(w->disk, crash, chooser);
    sim_env_destroy(w->env);
    *w = world_open(w->disk, 1);
}

static weir_file *file_open(world *w, const char *path, unsigned flags)
{
    weir_file *file = NULL;
    assert_int_equal(w->table->ops->file_open(w->table, path, flags, &file), WEIR_OK);
    return file;
}

static weir_err file_put(world *w, weir_file *file, const char *text, uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    return w->table->ops->file_write(w->table, file, &part, 1, offset);
}

static void text_at(world *w, const char *path, char *out, size_t size)
{
    size_t got = 0;
    memset(out, 0, size);
    if (sim_disk_peek(w->disk, path, (uint8_t *)out, size - 1, 0, &got) != WEIR_OK) {
        (void)snprintf(out, size, "(none)");
    }
}

static void assert_text(world *w, const char *path, const char *expected)
{
    char text[64];
    text_at(w, path, text, sizeof(text));
    assert_string_equal(text, expected);
}

/* ---- What the disk keeps ------------------------------------------------------------------------ */

static void only_what_was_synced_survives_the_worst_power_cut(void **state)
{
    world w = world_begin(1);
    (void)state;
    weir_file *kept = file_open(&w, "kept", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    weir_file *unnamed = file_open(&w, "x", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(file_put(&w, kept, "first", 0), WEIR_OK);
    assert_int_equal(w.table->ops->file_sync(w.table, kept), WEIR_OK);
    assert_int_equal(w.table->ops->unlink(w.table, "x"), WEIR_OK);
    assert_int_equal(w.table->ops->dir_sync(w.table, "."), WEIR_OK);
    weir_file *late = file_open(&w, "late", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(file_put(&w, late, "late", 0), WEIR_OK);
    assert_int_equal(w.table->ops->file_sync(w.table, late), WEIR_OK);
    assert_int_equal(file_put(&w, kept, "SECOND", 0), WEIR_OK);
    w.table->ops->file_close(w.table, kept);
    w.table->ops->file_close(w.table, unnamed);
    w.table->ops->file_close(w.table, late);
    sim_disk *whole = sim_disk_clone(w.disk);
    world_crash(&w, SIM_CRASH_POWER, sim_chooser_old());
    assert_text(&w, "kept", "first");
    assert_text(&w, "late", "(none)"); /* its bytes were synced, its name was not */
    world_end(&w);
    w = world_open(whole, 1);
    world_crash(&w, SIM_CRASH_POWER, sim_chooser_new());
    assert_text(&w, "kept", "SECOND");
    assert_text(&w, "late", "late");
    world_end(&w);
}

static void a_kill_loses_nothing_that_was_written(void **state)
{
    world w = world_begin(1);
    (void)state;
    weir_file *file = file_open(&w, "a", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(file_put(&w, file, "text", 0), WEIR_OK);
    w.table->ops->file_close(w.table, file);
    world_crash(&w, SIM_CRASH_KILL, sim_chooser_old());
    assert_text(&w, "a", "text");
    world_crash(&w, SIM_CRASH_POWER, sim_chooser_old()); /* it was in the cache only */
    assert_text(&w, "a", "(none)");
    world_end(&w);
}

static void a_failed_sync_forgets_and_a_second_one_does_not_bring_it_back(void **state)
{
    world w = world_begin(1);
    (void)state;
    weir_file *file = file_open(&w, "a", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    assert_int_equal(file_put(&w, file, "....", 0), WEIR_OK);
    assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_OK);
    assert_int_equal(w.table->ops->dir_sync(w.table, ""), WEIR_OK);
    assert_int_equal(file_put(&w, file, "text", 0), WEIR_OK);
    sim_disk_fault(w.disk, SIM_CALL_SYNC, (sim_fault_plan){.countdown = 1});
    assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_IO);
    assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_OK);
    assert_text(&w, "a", "text"); /* readable meanwhile */
    w.table->ops->file_close(w.table, file);
    assert_int_equal(sim_disk_faulted(w.disk, SIM_CALL_SYNC), 1);
    world_crash(&w, SIM_CRASH_POWER, sim_chooser_old());
    assert_text(&w, "a", "....");
    world_end(&w);
}

static void a_torn_write_is_torn_at_sectors(void **state)
{
    static char ones[4 * SIM_SECTOR + 1];
    uint8_t out[4 * SIM_SECTOR];
    size_t got = 0;
    bool torn = false;
    (void)state;
    memset(ones, '1', sizeof(ones) - 1);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        world w = world_begin(seed);
        sim_random random = {seed};
        weir_file *file = file_open(&w, "a", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
        assert_int_equal(w.table->ops->file_allocate(w.table, file, 0, sizeof(out)), WEIR_OK);
        assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_OK);
        assert_int_equal(w.table->ops->dir_sync(w.table, "/"), WEIR_OK);
        assert_int_equal(file_put(&w, file, ones, 0), WEIR_OK);
        w.table->ops->file_close(w.table, file);
        world_crash(&w, SIM_CRASH_POWER, sim_chooser_random(&random));
        assert_int_equal(sim_disk_peek(w.disk, "a", out, sizeof(out), 0, &got), WEIR_OK);
        assert_int_equal(got, sizeof(out));
        for (size_t i = 1; i < sizeof(out); i++) {
            assert_true(out[i] == out[i - 1] || i % SIM_SECTOR == 0);
            torn = torn || out[i] != out[i - 1];
        }
        world_end(&w);
    }
    assert_true(torn);
}

static void a_full_disk_refuses_what_does_not_fit(void **state)
{
    world w = world_begin(1);
    uint64_t bytes = 0;
    (void)state;
    weir_file *file = file_open(&w, "a", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    sim_disk_capacity(w.disk, 8);
    assert_int_equal(file_put(&w, file, "12345", 0), WEIR_OK);
    assert_int_equal(file_put(&w, file, "67890", 5), WEIR_DISK_FULL);
    assert_int_equal(file_put(&w, file, "678", 5), WEIR_OK);
    assert_int_equal(w.table->ops->space_free(w.table, ".", &bytes), WEIR_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(w.table->ops->file_allocate(w.table, file, 0, 9), WEIR_DISK_FULL);
    w.table->ops->file_close(w.table, file);
    world_end(&w);
}

/* Damage is for good, also to bytes that are not synced yet. */
static void a_flipped_bit_stays_flipped(void **state)
{
    (void)state;
    for (int synced = 0; synced < 2; synced++) {
        world w = world_begin(1);
        weir_file *file = file_open(&w, "file", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
        assert_int_equal(w.table->ops->dir_sync(w.table, "."), WEIR_OK);
        assert_int_equal(file_put(&w, file, "aaaa", 0), WEIR_OK);
        assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_OK);
        assert_int_equal(file_put(&w, file, "AAAAAA", 2), WEIR_OK);
        sim_disk_flip(w.disk, "file", 3, 1);
        assert_text(&w, "file", "aaA@AAAA");
        if (synced == 1) {
            assert_int_equal(w.table->ops->file_sync(w.table, file), WEIR_OK);
        }
        w.table->ops->file_close(w.table, file);
        world_crash(&w, SIM_CRASH_POWER, sim_chooser_old());
        assert_text(&w, "file", synced == 1 ? "aaA@AAAA" : "aaa`");
        world_end(&w);
    }
}

static void a_lock_ends_with_its_process(void **state)
{
    world w = world_begin(1);
    world other = world_open(w.disk, 2);
    (void)state;
    weir_file *mine = file_open(&w, "lock", WEIR_OPEN_WRITE | WEIR_OPEN_CREATE);
    weir_file *theirs = file_open(&other, "lock", WEIR_OPEN_WRITE);
    assert_int_equal(w.table->ops->file_lock(w.table, mine), WEIR_OK);
    assert_int_equal(other.table->ops->file_lock(other.table, theirs), WEIR_LOCKED);
    sim_env_kill(w.env);
    assert_int_equal(other.table->ops->file_lock(other.table, theirs), WEIR_OK);
    assert_int_equal(w.table->ops->file_sync(w.table, mine), WEIR_IO);
    w.table->ops->file_close(w.table, mine);
    other.table->ops->file_close(other.table, theirs);
    assert_int_equal(sim_disk_open_files(w.disk), 0);
    sim_env_destroy(other.env);
    world_end(&w);
}

/* ---- Toy stores: one value, replaced as a whole, acknowledged when put returns ------------------- */

typedef struct toy_faults {
    bool no_file_sync;
    bool no_folder_sync;
    bool rename_first; /* the file is synced only after it has its name */
} toy_faults;

static void value_fill(char *out, int round)
{
    memset(out, 'a' + round, VALUE_BYTES);
    out[VALUE_BYTES] = '\0';
}

/* Crashes at any call: WEIR_OK is the acknowledgement. */
static weir_err toy_put(world *w, const toy_faults *toy, int round)
{
    static char value[VALUE_BYTES + 1];
    const weir_env_ops *ops = w->table->ops;
    weir_file *file = NULL;
    value_fill(value, round);
    weir_err err = ops->file_open(w->table, "store/new",
                                  WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_TRUNCATE, &file);
    if (err != WEIR_OK) {
        return err;
    }
    err = file_put(w, file, value, 0);
    if (err == WEIR_OK && !toy->no_file_sync && !toy->rename_first) {
        err = ops->file_sync(w->table, file);
    }
    err = err == WEIR_OK ? ops->rename(w->table, "store/new", "store/value") : err;
    if (err == WEIR_OK && !toy->no_folder_sync) {
        err = ops->dir_sync(w->table, "store");
    }
    if (err == WEIR_OK && toy->rename_first) {
        err = ops->file_sync(w->table, file);
    }
    ops->file_close(w->table, file);
    return err;
}

/* The round whose value is there; -1: none; -2: something that nobody ever put. */
static int toy_get(world *w)
{
    static char found[VALUE_BYTES + 2];
    static char value[VALUE_BYTES + 1];
    size_t got = 0;
    if (sim_disk_peek(w->disk, "store/value", (uint8_t *)found, sizeof(found) - 1, 0, &got) !=
        WEIR_OK) {
        return -1;
    }
    found[got] = '\0';
    value_fill(value, found[0] - 'a');
    return strcmp(found, value) == 0 && found[0] >= 'a' ? found[0] - 'a' : -2;
}

/* Puts, crashes at a call chosen by the seed; false: an acknowledged value is gone, or never was. */
static bool toy_survives(const toy_faults *toy, uint64_t seed)
{
    world w = world_begin(seed);
    sim_random random = {seed};
    int acknowledged = -1;
    int tried = -1;
    assert_int_equal(w.table->ops->dir_make(w.table, "store"), WEIR_OK);
    assert_int_equal(w.table->ops->dir_sync(w.table, ""), WEIR_OK);
    sim_env_dies(w.env, 1 + sim_random_below(&random, 5 * ROUNDS));
    for (int round = 0; round < ROUNDS && !sim_env_dead(w.env); round++) {
        tried = round;
        acknowledged = toy_put(&w, toy, round) == WEIR_OK ? round : acknowledged;
    }
    world_crash(&w, SIM_CRASH_POWER, sim_chooser_random(&random));
    int found = toy_get(&w);
    world_end(&w);
    return found == acknowledged || (found >= acknowledged && found <= tried);
}

static int failures(const toy_faults *toy)
{
    int count = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        count += toy_survives(toy, seed) ? 0 : 1;
    }
    return count;
}

static void a_store_that_syncs_file_and_folder_loses_nothing(void **state)
{
    (void)state;
    assert_int_equal(failures(&(toy_faults){0}), 0);
}

static void a_store_that_forgets_the_file_sync_is_caught(void **state)
{
    (void)state;
    assert_true(failures(&(toy_faults){.no_file_sync = true}) > 0);
}

static void a_store_that_forgets_the_folder_sync_is_caught(void **state)
{
    (void)state;
    assert_true(failures(&(toy_faults){.no_folder_sync = true}) > 0);
}

static void a_store_that_renames_before_it_syncs_is_caught(void **state)
{
    (void)state;
    assert_true(failures(&(toy_faults){.rename_first = true}) > 0);
}

/* ---- Traces ---------------------------------------------------------------------------------------
 */

static void a_trace_done_again_gives_the_same_disk(void **state)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        world w = world_begin(seed);
        sim_trace trace = {0};
        sim_disk *again = sim_disk_create();
        sim_disk_record(w.disk, &trace);
        (void)w.table->ops->dir_make(w.table, "store");
        (void)w.table->ops->dir_sync(w.table, "");
        sim_disk_fault(w.disk, SIM_CALL_WRITE, (sim_fault_plan){.countdown = 3});
        sim_disk_fault(w.disk, SIM_CALL_SYNC, (sim_fault_plan){.countdown = 2});
        for (int round = 0; round < ROUNDS; round++) {
            (void)toy_put(&w, &(toy_faults){.no_folder_sync = round % 2 == 1}, round);
            sim_disk_note(w.disk, (uint64_t)round);
        }
        for (size_t i = 0; i < trace.count; i++) {
            sim_disk_apply(again, &trace.calls[i]);
        }
        assert_true(sim_disk_content(again) == sim_disk_content(w.disk));
        assert_int_equal(sim_disk_pending(again, NULL, 0), sim_disk_pending(w.disk, NULL, 0));
        sim_random one = {seed};
        sim_random two = {seed};
        sim_env_kill(w.env);
        sim_disk_crash(again, SIM_CRASH_POWER, sim_chooser_random(&one));
        sim_disk_crash(w.disk, SIM_CRASH_POWER, sim_chooser_random(&two));
        assert_true(sim_disk_content(again) == sim_disk_content(w.disk));
        assert_int_equal(sim_disk_pending(w.disk, NULL, 0), 0);
        sim_trace_fini(&trace);
        sim_disk_destroy(again);
        world_end(&w);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_synced_survives_the_worst_power_cut),
        cmocka_unit_test(a_kill_loses_nothing_that_was_written),
        cmocka_unit_test(a_failed_sync_forgets_and_a_second_one_does_not_bring_it_back),
        cmocka_unit_test(a_torn_write_is_torn_at_sectors),
        cmocka_unit_test(a_full_disk_refuses_what_does_not_fit),
        cmocka_unit_test(a_flipped_bit_stays_flipped),
        cmocka_unit_test(a_lock_ends_with_its_process),
        cmocka_unit_test(a_store_that_syncs_file_and_folder_loses_nothing),
        cmocka_unit_test(a_store_that_forgets_the_file_sync_is_caught),
        cmocka_unit_test(a_store_that_forgets_the_folder_sync_is_caught),
        cmocka_unit_test(a_store_that_renames_before_it_syncs_is_caught),
        cmocka_unit_test(a_trace_done_again_gives_the_same_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
