/* Damage in the journal, wherever it is, at the engine's own door: refused, read up to there, or cut
 * there; and what was cut goes on like any other. */
#include "tests/unit/engine/support.h"

#include "core/engine/state.h"

#include <dirent.h>

enum { ROUNDS = 3, EACH = 5, PAGE = 4096, PLACES_MAX = 128, HELD_MAX = 8 };

typedef struct place {
    char file[64];
    long position;
} place;

static void shell(const char *format, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof(command), "%s '%s' '%s'", format, a, b);
    assert_int_equal(system(command), 0);
}

/* Three starts and kills, so that there are several files; no checkpoint. */
static void directory_make(fixture *f)
{
    char value[16];
    fixture_begin(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
    for (int i = 0; i < ROUNDS * EACH; i++) {
        if (i > 0 && i % EACH == 0) {
            fixture_kill(f);
            fixture_open(f);
        }
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(publish_ok(f->port, "t/k", value), i);
    }
    fixture_kill(f);
}

/* Every head and every block of the journal. */
static size_t places_find(const fixture *f, place *places)
{
    char dir[128], path[512];
    size_t count = 0;
    snprintf(dir, sizeof(dir), "%s/journal", f->dir);
    DIR *listing = opendir(dir);
    assert_non_null(listing);
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        char magic[4];
        if (strstr(entry->d_name, ".wal") == NULL) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        for (long at = 0; fseek(file, at, SEEK_SET) == 0 && fread(magic, 1, 4, file) == 4;
             at += PAGE) {
            if (at == 0 || memcmp(magic, "WBLK", 4) == 0) {
                assert_true(count < PLACES_MAX);
                snprintf(places[count].file, sizeof(places[count].file), "%.60s", entry->d_name);
                places[count++].position = at;
            }
        }
        fclose(file);
    }
    closedir(listing);
    return count;
}

static void damage(const char *dir, const place *where)
{
    char path[512];
    uint8_t byte = 0;
    snprintf(path, sizeof(path), "%.400s/journal/%.60s", dir, where->file);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, where->position + 40, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, file), 1);
    byte ^= 0x55;
    assert_int_equal(fseek(file, where->position + 40, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* How many records there are; each is what was published. */
static int64_t records_check(weir_port *port, int64_t most)
{
    char value[24];
    weir_completion done = fetch(port, "t", 0, 0, 0);
    int64_t end = done.err == WEIR_OK ? done.fetched.end_offset : 0;
    weir_completion_drop(&done);
    assert_true(end <= most);
    for (int64_t i = 0; i < end; i++) {
        snprintf(value, sizeof(value), "%lld", (long long)i);
        assert_record(port, "t", i, "k", value);
    }
    return end;
}

/* Opens the copy for reading, if there is anything to read; how many records it has, -1: refused. */
static int64_t read_only_check(fixture *copy)
{
    weir_fault fault = {0};
    copy->config.data_dir = copy->dir;
    copy->config.damage = WEIR_DAMAGE_READ_ONLY;
    weir_err err = weir_engine_open(&copy->config, &copy->engine, &fault);
    if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_DAMAGED);
        return -1;
    }
    assert_int_equal(weir_port_open(copy->engine, &copy->port), WEIR_OK);
    int64_t count = records_check(copy->port, (int64_t)ROUNDS * EACH);
    if (weir_engine_fault(copy->engine) != NULL) {
        weir_completion done = publish(copy->port, "t/k", "x");
        assert_int_equal(done.err, WEIR_READ_ONLY);
        weir_completion_drop(&done);
        assert_int_equal(weir_engine_health_of(copy->engine), WEIR_HEALTH_STOPPED);
        assert_string_not_equal(weir_engine_fault(copy->engine)->file, "");
    }
    weir_port_close(copy->port);
    assert_int_equal(weir_engine_close(copy->engine), WEIR_OK);
    return count;
}

/* Cuts the copy, goes on with it, and starts it twice more as if nothing had been. */
static void cut_check(fixture *copy, int64_t count)
{
    copy->config.damage = WEIR_DAMAGE_CUT;
    fixture_open(copy);
    copy->config.damage = WEIR_DAMAGE_REFUSE;
    declare(copy->port, "t", WEIR_LEVEL_DISK); /* it may be among what is lost */
    for (int start = 0; start < 3; start++) {
        char value[24];
        assert_int_equal(records_check(copy->port, count), count);
        assert_null(start > 0 ? weir_engine_fault(copy->engine) : NULL);
        snprintf(value, sizeof(value), "%lld", (long long)count);
        assert_int_equal(publish_ok(copy->port, "t/k", value), count);
        count++;
        if (start == 1) {
            fixture_close(copy);
        } else {
            fixture_kill(copy);
        }
        fixture_open(copy);
    }
    fixture_close(copy);
}

static void one_place_check(const fixture *f, const place *where, int *read, int *refused)
{
    fixture copy = {.config = f->config};
    weir_fault fault = {0};
    snprintf(copy.dir, sizeof(copy.dir), "%.50s-copy", f->dir);
    shell("cp -r", f->dir, copy.dir);
    damage(copy.dir, where);
    copy.config.data_dir = copy.dir;
    copy.config.damage = WEIR_DAMAGE_REFUSE;
    weir_err err = weir_engine_open(&copy.config, &copy.engine, &fault);
    if (err == WEIR_OK) { /* a torn tail, or a file that nothing needs */
        weir_engine_abandon(copy.engine);
    } else {
        assert_int_equal(err, WEIR_DAMAGED);
        int64_t count = read_only_check(&copy);
        assert_int_equal(weir_engine_open(&copy.config, &copy.engine, &fault),
                         count < 0 ? WEIR_DAMAGED : WEIR_OK); /* it changed nothing */
        if (count >= 0) {
            weir_engine_abandon(copy.engine);
            cut_check(&copy, count);
        }
        *read += count >= 0 ? 1 : 0;
        *refused += count < 0 ? 1 : 0;
    }
    shell("rm -rf", copy.dir, copy.dir);
}

static void damage_anywhere_is_refused_or_read_up_to_there_or_cut_there(void **state)
{
    fixture f;
    place places[PLACES_MAX];
    int read = 0, refused = 0;
    (void)state;
    directory_make(&f);
    size_t count = places_find(&f, places);
    for (size_t i = 0; i < count; i++) {
        one_place_check(&f, &places[i], &read, &refused);
    }
    assert_true(count > ROUNDS * EACH);
    assert_true(read >= EACH);
    shell("rm -rf", f.dir, f.dir);
}

/* A lane for background work that begins nothing before it is told to: no file is made beforehand. */
static const weir_env_ops *lanes_below;
static bool background_held;
static weir_job *held[HELD_MAX];
static uint32_t held_count;

static void submit_held(weir_env *env, weir_lane lane, weir_job *job)
{
    if (lane == WEIR_LANE_BACKGROUND && background_held) {
        assert_true(held_count < HELD_MAX);
        held[held_count++] = job;
    } else {
        lanes_below->job_submit(env, lane, job);
    }
}

static void background_goes_on(weir_env *env)
{
    background_held = false;
    for (uint32_t i = 0; i < held_count; i++) {
        lanes_below->job_submit(env, WEIR_LANE_BACKGROUND, held[i]);
    }
}

static uint64_t journal_writes(const fixture *f)
{
    weir_stats stats;
    weir_engine_stats(f->engine, &stats);
    return stats.journal_writes;
}

/* A group that is larger than a file has one of its own, which it fills to the end. */
static void last_group_fill(fixture *f)
{
    static uint8_t large[100000];
    const weir_publish record = {.name = WEIR_TEXT("t/k"), .value = WEIR_BYTES(large)};
    assert_int_equal(publish_record(f->port, &record).err, WEIR_OK);
    weir_port_step(f->port); /* shows how often it wrote */
}

static void the_mark_of_an_idle_journal_waits_for_a_file_to_stand_in(void **state)
{
    fixture f;
    weir_env *env = NULL;
    (void)state;
    fixture_prepare(&f);
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    lanes_below = env->ops;
    weir_env_ops ops = *env->ops;
    ops.job_submit = submit_held;
    background_held = true;
    env->ops = &ops;
    f.config.env = env;
    f.config.sync = WEIR_SYNC_INLINE;
    f.config.journal_file_bytes = 64 << 10;
    fixture_open(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    last_group_fill(&f);
    uint64_t writes = journal_writes(&f);
    uint64_t until = f.engine->now_ns + (uint64_t)500 * 1000000;
    while (f.engine->now_ns < until) { /* it is idle, and its mark is due */
        (void)weir_port_wait(f.port, 50);
    }
    assert_int_equal(journal_writes(&f), writes);
    background_goes_on(env);
    for (int i = 0; i < WAIT_MS / 50 && journal_writes(&f) == writes; i++) {
        (void)weir_port_wait(f.port, 50);
    }
    assert_int_equal(journal_writes(&f), writes + 1);
    fixture_end(&f);
    env->ops = lanes_below;
    weir_env_posix_destroy(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_anywhere_is_refused_or_read_up_to_there_or_cut_there),
        cmocka_unit_test(the_mark_of_an_idle_journal_waits_for_a_file_to_stand_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
