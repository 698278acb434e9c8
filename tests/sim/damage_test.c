/* A data directory with a file of every kind, and each of its files damaged at place after place: a bit
 * flipped, cut short, gone. Whatever it was, a start says clearly what is the matter, or everything that
 * was acknowledged is read back, or a reader is told which offsets are not. Nothing is lost in silence,
 * and no byte is ever served that was not sent.
 *
 *   make once: topics of each level, small batches and straight-written ones, segments, checkpoints,
 *              and a journal behind the last of them, below a mark
 *   per place: a child process takes the disk as it is in memory, damages it, starts, reads all */
#include "tests/sim/disk.h"

#include "core/base/hash.h"
#include "weir/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TOPICS = 3,
    ROUNDS = 15,
    EACH = 3,  /* small records of a topic and round */
    LARGE = 4, /* records of one turn and round that are one straight-written batch */
    LARGE_BYTES = 1500,
    RECORDS = ROUNDS * EACH + (ROUNDS + 1) / 2 * LARGE, /* of each topic */
    MOVES_MAX = 20000,
    FILES_MAX = 128,
    JOBS = 2,
};

static const weir_level LEVELS[TOPICS] = {WEIR_LEVEL_DISK, WEIR_LEVEL_OS, WEIR_LEVEL_MEMORY};
static const char *const NAMES[TOPICS] = {"td", "to", "tm"};

typedef struct process {
    sim_env *env;
    weir_engine *engine;
    weir_port *port;
} process;

typedef struct file {
    char path[SIM_PATH_BYTES];
    uint64_t bytes; /* up to its last byte that is not zero */
} file;

static sim_disk *disk;
static file files[FILES_MAX];
static uint32_t file_count;

/* ---- One process
 * -------------------------------------------------------------------------------------------- */

static weir_err process_open(process *p, weir_damage damage, weir_fault *fault)
{
    p->env = sim_env_create(disk, 5);
    weir_engine_config config = {
        .data_dir = "data",
        .env = sim_env_table(p->env),
        .damage = damage,
        .sync = WEIR_SYNC_INLINE,
        .journal_file_bytes = 65536,
        .journal_inline_bytes_max = LARGE * LARGE_BYTES / 2,
        .segment_bytes_max = 20000,
        .checkpoint_bytes = 30000,
        .limits = {.tail_bytes_max = 1 << 20},
    };
    weir_err err = weir_engine_open(&config, &p->engine, fault);
    if (err == WEIR_OK) {
        err = weir_port_open(p->engine, &p->port);
    }
    return err;
}

static void process_on(process *p)
{
    weir_port_step(p->port);
    for (int lane = 0; lane < WEIR_LANE_COUNT; lane++) {
        if (sim_env_lane_jobs(p->env, (weir_lane)lane) > 0) {
            sim_env_lane_run(p->env, (weir_lane)lane);
        }
    }
    sim_disk_pass(disk, 1000000);
}

/* The next answer; false: none comes. */
static bool process_answer(process *p, weir_completion *done)
{
    for (int i = 0; i < MOVES_MAX; i++) {
        process_on(p);
        if (weir_port_drain(p->port, done, 1) == 1) {
            return true;
        }
    }
    return false;
}

/* ---- What is stored
 * ----------------------------------------------------------------------------------------- */

static weir_bytes value_of(uint32_t topic, int64_t offset, bool large, uint8_t *memory)
{
    size_t len = large ? LARGE_BYTES : 20 + (size_t)(offset * 7 % 90);
    char text[40];
    int text_len = snprintf(text, sizeof(text), "%u/%lld", topic, (long long)offset);
    memset(memory, 'a' + (int)((offset + topic) % 26), len);
    memcpy(memory, text, (size_t)text_len < len ? (size_t)text_len : len);
    return (weir_bytes){memory, len};
}

static bool is_large(int64_t offset)
{
    int64_t in_two = offset % (2 * EACH + LARGE); /* a large batch leads each second round */
    return in_two < LARGE;
}

static void publish_all(process *p, uint32_t topic, int64_t from, int64_t to)
{
    static uint8_t value[LARGE_BYTES];
    for (int64_t offset = from; offset < to; offset++) {
        weir_publish record = {.topic = weir_bytes_of(NAMES[topic]), .key = WEIR_TEXT("k")};
        record.value = value_of(topic, offset, is_large(offset), value);
        assert_int_equal(weir_port_publish(p->port, &record, NULL, 0), WEIR_OK);
    }
    for (int64_t offset = from; offset < to; offset++) {
        weir_completion done;
        assert_true(process_answer(p, &done));
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.published.offset, offset);
        weir_completion_drop(&done);
    }
}

static void declare(process *p, const char *name, weir_level level)
{
    weir_topic_options options = {.partitions = 1, .level = level};
    weir_completion done;
    assert_int_equal(weir_port_topic_create(p->port, weir_bytes_of(name), &options, NULL, 0),
                     WEIR_OK);
    assert_true(process_answer(p, &done));
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
}

static void file_found(void *arg, const char *path, uint64_t bytes)
{
    static uint8_t all[1 << 17];
    size_t got = 0;
    (void)arg;
    assert_true(file_count < FILES_MAX && bytes <= sizeof(all));
    (void)snprintf(files[file_count].path, SIM_PATH_BYTES, "%s", path);
    assert_int_equal(sim_disk_peek(disk, path, all, bytes, 0, &got), WEIR_OK);
    while (got > 0 && all[got - 1] == 0) {
        got--;
    }
    files[file_count++].bytes = got;
}

/* Ends as a kill does; two records of another topic see to it that all before is below a mark. */
static int directory_make(void **state)
{
    process p = {0};
    weir_fault fault = {0};
    (void)state;
    disk = sim_disk_create();
    assert_int_equal(process_open(&p, WEIR_DAMAGE_REFUSE, &fault), WEIR_OK);
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        declare(&p, NAMES[topic], LEVELS[topic]);
    }
    declare(&p, "tz", WEIR_LEVEL_DISK);
    int64_t offset = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t to = offset + (round % 2 == 0 ? LARGE : 0);
        for (uint32_t topic = 0; topic < TOPICS; topic++) {
            publish_all(&p, topic, offset, to);
            publish_all(&p, topic, to, to + EACH);
        }
        offset = to + EACH;
    }
    assert_int_equal(offset, RECORDS);
    for (int last = 0; last < 2; last++) {
        weir_publish record = {.topic = WEIR_TEXT("tz"), .value = WEIR_TEXT("behind it")};
        weir_completion done;
        assert_int_equal(weir_port_publish(p.port, &record, NULL, 0), WEIR_OK);
        assert_true(process_answer(&p, &done));
        assert_int_equal(done.err, WEIR_OK);
    }
    weir_stats stats;
    weir_engine_stats(p.engine, &stats);
    assert_true(stats.checkpoints >= 2 && stats.straight_bytes > 0);
    sim_env_kill(p.env);
    weir_port_close(p.port);
    weir_engine_abandon(p.engine);
    sim_env_destroy(p.env);
    sim_disk_crash(disk, SIM_CRASH_KILL, sim_chooser_new());
    sim_disk_each(disk, file_found, NULL);
    return 0;
}

static int directory_drop(void **state)
{
    (void)state;
    sim_disk_destroy(disk);
    return 0;
}

/* ---- One place, in a process of its own
 * --------------------------------------------------------------------- */

typedef enum outcome {
    ALL_THERE = 0,
    REFUSED,   /* the start; with a file and a sentence */
    READ_ONLY, /* up to the damage, and said */
    GAP_TOLD,
    SILENT, /* from here on: a promise is broken */
    WRONG,
    STUCK,
    OUTCOMES,
} outcome;
static const char *const OUTCOME_TEXTS[OUTCOMES] = {
    "all is there",
    "the start is refused",
    "read-only",
    "a gap is told",
    "records are gone and nobody says so",
    "other bytes than were sent, or an answer that tells nothing",
    "no answer",
};

typedef enum harm { FLIP, CUT, REMOVE, HARMS } harm;

static void damage_do(const file *of, harm what, uint64_t at)
{
    if (what == FLIP) {
        sim_disk_flip(disk, of->path, at, (uint8_t)(1u << (at * 2654435761u >> 7) % 8));
    } else if (what == CUT) {
        sim_disk_cut(disk, of->path, at);
    } else {
        sim_env *env = sim_env_create(disk, 1);
        (void)sim_env_table(env)->ops->unlink(sim_env_table(env), of->path);
        sim_env_destroy(env);
    }
}

static bool record_right(uint32_t topic, const weir_record *record)
{
    static uint8_t memory[LARGE_BYTES];
    weir_bytes value = value_of(topic, record->offset, is_large(record->offset), memory);
    return weir_bytes_equal(record->value, value) && weir_bytes_equal(record->key, WEIR_TEXT("k"));
}

/* Records of one answer; returns what comes next, -1 when one is not what was sent. */
static int64_t records_look(uint32_t topic, int64_t next, const weir_fetched *fetched)
{
    for (uint32_t i = 0; i < fetched->run_count; i++) {
        const weir_run *run = &fetched->runs[i];
        for (uint32_t r = 0; r < run->count; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            if (record.offset != next || !record_right(topic, &record)) {
                return -1;
            }
            next++;
        }
    }
    return next;
}

/* All of a topic, from its beginning to its end. */
static outcome topic_read(process *p, uint32_t topic)
{
    bool said = weir_engine_fault(p->engine) != NULL;
    outcome found = ALL_THERE;
    for (int64_t next = 0; next < RECORDS;) {
        weir_fetch wanted = {
            .topic = weir_bytes_of(NAMES[topic]), .offset = next, .bytes_max = 1 << 20};
        weir_completion done;
        if (weir_port_fetch(p->port, &wanted, NULL, 0) != WEIR_OK || !process_answer(p, &done)) {
            return STUCK;
        }
        int64_t before = next;
        weir_err err = done.err;
        if (err == WEIR_OK) {
            next = records_look(topic, next, &done.fetched);
        } else if (err == WEIR_DAMAGED || err == WEIR_IO) {
            next = done.fetched.end_offset;
            found = GAP_TOLD;
        } else if (said) {
            return READ_ONLY; /* the topic, or its end, lies behind the damage */
        } else {
            return SILENT;
        }
        weir_completion_drop(&done);
        if (next < 0) {
            return WRONG;
        }
        if (next <= before) {
            return said ? READ_ONLY : SILENT;
        }
    }
    return found;
}

static outcome place_look(const file *of, harm what, uint64_t at)
{
    process p = {0};
    weir_fault fault = {0};
    damage_do(of, what, at);
    weir_err err = process_open(&p, WEIR_DAMAGE_READ_ONLY, &fault);
    if (err != WEIR_OK) {
        return fault.text[0] != '\0' && fault.file[0] != '\0' ? REFUSED : WRONG;
    }
    outcome worst = weir_engine_fault(p.engine) != NULL ? READ_ONLY : ALL_THERE;
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        outcome one = topic_read(&p, topic);
        worst = one > worst ? one : worst;
    }
    return worst;
}

/* ---- All places
 * ---------------------------------------------------------------------------------------------- */

static uint32_t counts[HARMS][OUTCOMES];
static uint32_t running;

static pid_t of_child[JOBS];
static char child_text[JOBS][SIM_PATH_BYTES + 64];
static harm child_harm[JOBS];

static void child_wait(uint32_t slot)
{
    int status = 0;
    if (of_child[slot] == 0) {
        return;
    }
    assert_int_equal(waitpid(of_child[slot], &status, 0), of_child[slot]);
    of_child[slot] = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) >= OUTCOMES) {
        fail_msg("%s: the process died (status %x)", child_text[slot], (unsigned)status);
    }
    if (WEXITSTATUS(status) >= SILENT) {
        fail_msg("%s: %s", child_text[slot], OUTCOME_TEXTS[WEXITSTATUS(status)]);
    }
    counts[child_harm[slot]][WEXITSTATUS(status)]++;
}

static void place_try(const file *of, harm what, uint64_t at)
{
    static const char *const HARM_TEXTS[HARMS] = {"a bit flipped at", "cut to", "removed"};
    uint32_t slot = running++ % JOBS;
    child_wait(slot);
    (void)snprintf(child_text[slot], sizeof(child_text[slot]), "%s, %s %llu", of->path,
                   HARM_TEXTS[what], (unsigned long long)at);
    child_harm[slot] = what;
    (void)fflush(NULL);
    of_child[slot] = fork();
    assert_true(of_child[slot] >= 0);
    if (of_child[slot] == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(OUTCOMES);
        }
        _exit(place_look(of, what, at));
    }
}

static void each_place(harm what, uint64_t step)
{
    for (uint32_t i = 0; i < file_count; i++) {
        uint64_t most = what == REMOVE ? 1 : files[i].bytes;
        for (uint64_t at = 0; at < most; at += step) {
            place_try(&files[i], what, at);
        }
    }
    for (uint32_t slot = 0; slot < JOBS; slot++) {
        child_wait(slot);
    }
    for (int i = 0; i < OUTCOMES; i++) {
        if (counts[what][i] > 0) {
            (void)printf("  %-40s %u\n", OUTCOME_TEXTS[i], counts[what][i]);
        }
    }
}

static void a_bit_flipped_anywhere_is_told_or_changes_nothing(void **state)
{
    (void)state;
    each_place(FLIP, WEIR_DAMAGE_STEP);
    assert_true(counts[FLIP][ALL_THERE] > 0);
    assert_true(counts[FLIP][READ_ONLY] > 0);
    assert_true(counts[FLIP][GAP_TOLD] > 0);
}

static void a_file_cut_anywhere_is_told_or_changes_nothing(void **state)
{
    (void)state;
    each_place(CUT, WEIR_DAMAGE_STEP);
    assert_true(counts[CUT][READ_ONLY] + counts[CUT][REFUSED] > 0);
    assert_true(counts[CUT][GAP_TOLD] > 0);
}

static void a_file_that_is_gone_is_told_or_changes_nothing(void **state)
{
    (void)state;
    each_place(REMOVE, 1);
    assert_true(counts[REMOVE][ALL_THERE] > 0);
    assert_true(counts[REMOVE][GAP_TOLD] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_flipped_anywhere_is_told_or_changes_nothing),
        cmocka_unit_test(a_file_cut_anywhere_is_told_or_changes_nothing),
        cmocka_unit_test(a_file_that_is_gone_is_told_or_changes_nothing),
    };
    weir_hash_seed(0x5eed);
    return cmocka_run_group_tests(tests, directory_make, directory_drop);
}
