/* tests/unit/journal/support.h - a folder of its own for each test, a journal in it, and a replay
 * that checks every unit against what was put in: unit n holds n % 3 + 1 entries whose bytes follow
 * from n. */
#ifndef WEIR_TESTS_UNIT_JOURNAL_SUPPORT_H
#define WEIR_TESTS_UNIT_JOURNAL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"
#include "core/env/env.h"
#include "core/journal/block.h"
#include "core/journal/journal.h"
#include "tests/unit/folder.h"

enum { TEST_FILE_BYTES = 64 * 1024, TEST_PATH_MAX = 512, TEST_ENGINE_MS = 1700000000 };

typedef struct folder {
    char path[128];
    char journal[160];
    char state[160];
} folder;

static inline void folder_make(folder *f)
{
    unit_folder_make(f->path, sizeof(f->path), "journal");
    (void)snprintf(f->journal, sizeof(f->journal), "%s/journal", f->path);
    (void)snprintf(f->state, sizeof(f->state), "%s/state", f->path);
}

static inline void folder_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char name[TEST_PATH_MAX];
        if (entry->d_name[0] != '.') {
            (void)snprintf(name, sizeof(name), "%.200s/%.255s", path, entry->d_name);
            if (unlink(name) != 0) {
                folder_empty(name);
                (void)rmdir(name);
            }
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static inline void folder_remove(folder *f)
{
    folder_empty(f->path);
    assert_int_equal(rmdir(f->path), 0);
}

/* Copies all files of one folder into another, which is emptied first. */
static inline void folder_copy(const char *from, const char *to)
{
    folder_empty(to);
    (void)mkdir(to, 0700);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char name[TEST_PATH_MAX];
        static uint8_t piece[1 << 16];
        size_t got;
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(name, sizeof(name), "%.200s/%.255s", from, entry->d_name);
        FILE *in = fopen(name, "rb");
        (void)snprintf(name, sizeof(name), "%.200s/%.255s", to, entry->d_name);
        FILE *out = fopen(name, "wb");
        assert_non_null(in);
        assert_non_null(out);
        while ((got = fread(piece, 1, sizeof(piece), in)) > 0) {
            assert_int_equal(fwrite(piece, 1, got, out), got);
        }
        (void)fclose(in);
        assert_int_equal(fclose(out), 0);
    }
    (void)closedir(dir);
}

/* The name of the newest (or oldest) file with this ending; false: there is none. */
static inline bool file_find(const char *path, const char *ending, bool newest,
                             char out[TEST_PATH_MAX])
{
    char best[256] = "";
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        size_t tail = strlen(ending);
        if (len <= tail || strcmp(entry->d_name + len - tail, ending) != 0) {
            continue;
        }
        if (best[0] == '\0' || (strcmp(entry->d_name, best) > 0) == newest) {
            (void)snprintf(best, sizeof(best), "%s", entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)snprintf(out, TEST_PATH_MAX, "%.200s/%s", path, best);
    return best[0] != '\0';
}

static inline size_t file_count(const char *path, const char *ending)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        size_t tail = strlen(ending);
        count += len > tail && strcmp(entry->d_name + len - tail, ending) == 0 ? 1 : 0;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

/* Overwrites `len` bytes at position with `value`. */
static inline void file_poke(const char *path, long position, size_t len, uint8_t value)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, position, SEEK_SET), 0);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(fputc(value, file), value);
    }
    assert_int_equal(fclose(file), 0);
}

static inline weir_journal_config config_of(weir_env *env, const folder *f)
{
    return (weir_journal_config){
        .env = env,
        .dir = f->journal,
        .file_bytes = TEST_FILE_BYTES,
        .pending_bytes_max = 4 << 20,
        .term = 1,
        .sync = WEIR_SYNC_INLINE,
    };
}

/* What most tests begin with: a folder, and its disk, through `faulty` one that fails when it is told to. */
typedef struct fixture {
    folder folder;
    weir_env *env;
    weir_env *faulty;
    weir_journal_config config; /* of a journal there, on env */
} fixture;

static inline int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    folder_make(&f->folder);
    assert_int_equal(weir_env_posix_create(&f->env), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(f->env, &f->faulty), WEIR_OK);
    f->config = config_of(f->env, &f->folder);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    weir_env_faulty_destroy(f->faulty);
    weir_env_posix_destroy(f->env);
    folder_remove(&f->folder);
    free(f);
    return 0;
}

/* Unit n of this size: what goes in, and what must come out. */
static inline uint8_t unit_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number * 31 + i * 7 + 1);
}

static inline uint64_t unit_add(weir_journal *journal, size_t body_bytes)
{
    uint64_t number = weir_journal_last(journal) + 1;
    uint64_t entries = number % 3 + 1;
    assert_int_equal(weir_journal_room_reserve(journal, body_bytes * entries), WEIR_OK);
    weir_journal_begin(journal, TEST_ENGINE_MS + (int64_t)number);
    for (uint64_t entry = 0; entry < entries; entry++) {
        uint8_t *body = weir_journal_entry_add(journal, (uint16_t)(number % 1000), 1, body_bytes);
        assert_non_null(body);
        for (size_t i = 0; i < body_bytes; i++) {
            body[i] = unit_byte(number, i);
        }
    }
    assert_int_equal(weir_journal_end(journal), number);
    return number;
}

typedef struct replayed {
    uint64_t first;
    uint64_t last;
    uint64_t count;
    weir_err refuse; /* answered for the unit `refuse_at` */
    uint64_t refuse_at;
} replayed;

static inline weir_err replay_check(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    replayed *seen = arg;
    (void)fault;
    if (seen->refuse_at == unit->number && seen->refuse != WEIR_OK) {
        return seen->refuse;
    }
    assert_true(seen->count == 0 || unit->number == seen->last + 1);
    assert_int_equal(unit->engine_ms, TEST_ENGINE_MS + (int64_t)unit->number);
    seen->first = seen->count == 0 ? unit->number : seen->first;
    seen->last = unit->number;
    seen->count++;
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    uint64_t entries = 0;
    while (weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        assert_int_equal(entry.type, unit->number % 1000);
        assert_int_equal(entry.version, 1);
        for (size_t i = 0; i < entry.body.len; i++) {
            assert_int_equal(entry.body.ptr[i], unit_byte(unit->number, i));
        }
        entries++;
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(entries, unit->number % 3 + 1);
    return WEIR_OK;
}

/* Opens and checks; the units seen are in *seen. */
static inline weir_journal *journal_open_from(const weir_journal_config *config, uint64_t from_unit,
                                              replayed *seen)
{
    weir_journal *journal = NULL;
    weir_fault fault = {0};
    *seen = (replayed){0};
    weir_err err = weir_journal_open(config, from_unit, replay_check, seen, &journal, &fault);
    if (err != WEIR_OK) {
        print_error("open: %s: %s (%s at %llu)\n", weir_err_name(err), fault.text, fault.file,
                    (unsigned long long)fault.position);
    }
    assert_int_equal(err, WEIR_OK);
    assert_int_equal(weir_journal_durable(journal), weir_journal_last(journal));
    return journal;
}

static inline weir_journal *journal_open(const weir_journal_config *config, replayed *seen)
{
    return journal_open_from(config, 1, seen);
}

/* What open answers when it is refused. */
static inline weir_err journal_refusal(const weir_journal_config *config, uint64_t from_unit,
                                       weir_fault *fault)
{
    weir_journal *journal = NULL;
    replayed seen = {0};
    weir_err err = weir_journal_open(config, from_unit, replay_check, &seen, &journal, fault);
    if (err == WEIR_OK) {
        weir_journal_abandon(journal);
    }
    return err;
}

static inline void log_quiet(void *arg, weir_log_level level, const char *room, const char *line)
{
    (void)arg;
    (void)level;
    (void)room;
    (void)line;
}

#endif
