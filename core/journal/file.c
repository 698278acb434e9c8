/* core/journal/file.c - names the journal's files and makes them ready before they are used.
 *
 *   prepare:  <n>.new --zeros, sync--> <n>.spare --rename, folder synced--> <m>.wal --> blocks
 *   create:   <n>.new --sync--> <n>.wal                               (no spare of that size is ready)
 *   release:  <k>.wal --rename--> <n>.spare                                   (not filled again)
 *
 * A file is written once before blocks go into it: a sync of a file that only had its space
 * reserved must also record that the space is now in use, and takes as long as one that grows.
 *
 * [F1] Nothing is written to a .wal whose name has not been made durable by a sync of the folder.
 * [F2] A .spare and a .wal have their full size; a spare holds zeros or blocks of generations below its own number. */
#include "core/journal/file.h"

#include "core/base/assert.h"
#include "core/env/failpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_DIGITS = 16,
    ZERO_BYTES = 64 * 1024,
    ZERO_SPANS = 64,            /* so many times that at once at most, */
    ZERO_SPANS_LEAST = 4,       /* and where it is synced on the way so few to begin with: */
    ZERO_SYNC_NS = 4 * 1000000, /* twice as many when that took longer, on a disk of slow syncs */
};

static const char *const EXTENSION[WEIR_JOURNAL_KIND_COUNT] = {
    [WEIR_JOURNAL_WAL] = ".wal",
    [WEIR_JOURNAL_SPARE] = ".spare",
    [WEIR_JOURNAL_NEW] = ".new",
};

void weir_journal_path(const weir_journal_dir *dir, weir_journal_name name,
                       char out[WEIR_JOURNAL_PATH_MAX])
{
    int len = snprintf(out, WEIR_JOURNAL_PATH_MAX, "%s/%016llx%s", dir->path,
                       (unsigned long long)name.number, EXTENSION[name.kind]);
    WEIR_ASSERT(len > 0 && len < WEIR_JOURNAL_PATH_MAX);
}

/* Listing. */

static bool digit_of(char c, uint64_t *digit)
{
    if (c >= '0' && c <= '9') {
        *digit = (uint64_t)(c - '0');
        return true;
    }
    *digit = (uint64_t)(c - 'a') + 10;
    return c >= 'a' && c <= 'f';
}

static bool name_parse(const char *text, weir_journal_name *name)
{
    uint64_t number = 0;
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        uint64_t digit;
        if (!digit_of(text[i], &digit)) {
            return false; /* the end of a short name is no digit either */
        }
        number = number << 4 | digit;
    }
    for (int kind = 0; kind < WEIR_JOURNAL_KIND_COUNT; kind++) {
        if (strcmp(text + NUMBER_DIGITS, EXTENSION[kind]) == 0) {
            *name = (weir_journal_name){number, (weir_journal_kind)kind};
            return true;
        }
    }
    return false;
}

typedef struct listing_walk {
    weir_journal_listing *listing;
    bool no_memory;
} listing_walk;

static bool listing_each(void *arg, const char *text)
{
    listing_walk *walk = arg;
    weir_journal_listing *listing = walk->listing;
    weir_journal_name name;
    if (!name_parse(text, &name)) {
        return true;
    }
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 16 : listing->capacity * 2;
        weir_journal_name *grown = realloc(listing->names, capacity * sizeof(*grown));
        if (grown == NULL) {
            walk->no_memory = true;
            return false;
        }
        listing->names = grown;
        listing->capacity = capacity;
    }
    listing->names[listing->count++] = name;
    return true;
}

static int name_order(const void *left, const void *right)
{
    const weir_journal_name *a = left;
    const weir_journal_name *b = right;
    if (a->number != b->number) {
        return a->number < b->number ? -1 : 1;
    }
    return (int)a->kind - (int)b->kind;
}

weir_err weir_journal_listing_read(const weir_journal_dir *dir, weir_journal_listing *listing)
{
    *listing = (weir_journal_listing){0};
    listing_walk walk = {.listing = listing};
    weir_err err = dir->env->ops->dir_list(dir->env, dir->path, listing_each, &walk);
    err = walk.no_memory ? WEIR_NO_MEMORY : err;
    if (err != WEIR_OK) {
        weir_journal_listing_fini(listing);
        return err;
    }
    if (listing->count > 0) {
        qsort(listing->names, listing->count, sizeof(*listing->names), name_order);
    }
    return WEIR_OK;
}

void weir_journal_listing_fini(weir_journal_listing *listing)
{
    free(listing->names);
    *listing = (weir_journal_listing){0};
}

/* Making files. */

/* As many zeros from `at` on as fit `spans_max` spans; *end: where they end. */
static weir_err zeros_step(weir_env *env, weir_file *file, uint64_t at, uint64_t bytes,
                           int spans_max, uint64_t *end)
{
    static uint8_t zeros[ZERO_BYTES];
    struct iovec spans[ZERO_SPANS];
    int count = 0;
    *end = at;
    while (count < spans_max && *end < bytes) {
        size_t len = bytes - *end < ZERO_BYTES ? (size_t)(bytes - *end) : ZERO_BYTES;
        spans[count++] = (struct iovec){zeros, len};
        *end += len;
    }
    return env->ops->file_write(env, file, spans, count, at);
}

/* Writes zeros over the whole file; `sync_on_the_way` keeps other syncs of the disk from waiting
 * behind all of it: they wait for what is on its way to the disk, whosever it is. */
static weir_err zeros_write(weir_env *env, weir_file *file, uint64_t bytes, bool sync_on_the_way)
{
    int spans = sync_on_the_way ? ZERO_SPANS_LEAST : ZERO_SPANS;
    for (uint64_t at = 0, end = 0; at < bytes; at = end) {
        uint64_t begun_ns = env->ops->monotonic_ns(env);
        weir_err err = zeros_step(env, file, at, bytes, spans, &end);
        if (err == WEIR_OK && sync_on_the_way) {
            err = env->ops->file_sync(env, file);
        }
        if (err != WEIR_OK) {
            return err;
        }
        bool slow = env->ops->monotonic_ns(env) - begun_ns > ZERO_SYNC_NS;
        spans = slow && spans < ZERO_SPANS ? 2 * spans : spans;
    }
    return WEIR_OK;
}

static void file_close_keeping_errno(weir_env *env, weir_file *file)
{
    int kept = errno;
    env->ops->file_close(env, file);
    errno = kept;
}

/* Closes and removes what could not be finished; errno stays that of the failure. */
static void file_take_back(weir_env *env, weir_file *file, const char *path)
{
    int kept = errno;
    env->ops->file_close(env, file);
    (void)env->ops->unlink(env, path);
    errno = kept;
}

weir_err weir_journal_spare_prepare(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                    bool zeroed)
{
    weir_env *env = dir->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    char spare_path[WEIR_JOURNAL_PATH_MAX];
    weir_file *file;
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_NEW}, path);
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_SPARE}, spare_path);
    weir_err err = env->ops->file_open(
        env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_EXCLUSIVE, &file);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_allocate(env, file, 0, bytes);
    err = err == WEIR_OK && zeroed ? zeros_write(env, file, bytes, true) : err;
    err = err != WEIR_OK ? err : env->ops->file_sync(env, file);
    err = err != WEIR_OK ? err : env->ops->rename(env, path, spare_path); /* [F2] */
    if (err != WEIR_OK) {
        file_take_back(env, file, path);
        return err;
    }
    env->ops->file_close(env, file);
    return WEIR_OK;
}

weir_err weir_journal_spare_use(const weir_journal_dir *dir, uint64_t spare, uint64_t number,
                                weir_file **file)
{
    weir_env *env = dir->env;
    char from[WEIR_JOURNAL_PATH_MAX];
    char to[WEIR_JOURNAL_PATH_MAX];
    weir_journal_path(dir, (weir_journal_name){spare, WEIR_JOURNAL_SPARE}, from);
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_WAL}, to);
    weir_file *opened;
    weir_err err = env->ops->file_open(env, from, WEIR_OPEN_WRITE, &opened);
    if (err != WEIR_OK) {
        return err; /* before its name changes: it may be tried again */
    }
    err = env->ops->rename(env, from, to);
    weir_err named = err;
    err = err != WEIR_OK ? err : env->ops->dir_sync(env, dir->path); /* [F1] */
    if (err == WEIR_OK) {
        *file = opened;
        return WEIR_OK;
    }
    file_close_keeping_errno(env, opened);
    if (named == WEIR_OK && err == WEIR_NO_MEMORY && env->ops->rename(env, to, from) != WEIR_OK) {
        err = WEIR_IO; /* it is a spare no more, and nobody knows for how long */
    }
    return err;
}

weir_err weir_journal_file_begin(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                 weir_file **file)
{
    weir_env *env = dir->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    weir_file *begun;
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_NEW}, path);
    weir_err err = env->ops->file_open(
        env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_EXCLUSIVE, &begun);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_allocate(env, begun, 0, bytes);
    if (err != WEIR_OK) {
        file_take_back(env, begun, path);
        return err;
    }
    *file = begun;
    return WEIR_OK;
}

void weir_journal_file_give_up(const weir_journal_dir *dir, uint64_t number, weir_file *file)
{
    char path[WEIR_JOURNAL_PATH_MAX];
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_NEW}, path);
    file_take_back(dir->env, file, path);
}

weir_err weir_journal_file_end(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                               bool zeroed, weir_file *file)
{
    weir_env *env = dir->env;
    char path[WEIR_JOURNAL_PATH_MAX];
    char wal_path[WEIR_JOURNAL_PATH_MAX];
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_NEW}, path);
    weir_journal_path(dir, (weir_journal_name){number, WEIR_JOURNAL_WAL}, wal_path);
    bool named = false;
    weir_err err = zeroed ? zeros_write(env, file, bytes, false) : WEIR_OK;
    err = err != WEIR_OK ? err : env->ops->file_sync(env, file); /* [F2] */
    err = err != WEIR_OK ? err : WEIR_FAILPOINT(journal_file_prepared);
    if (err == WEIR_OK) {
        err = env->ops->rename(env, path, wal_path);
        named = err == WEIR_OK;
    }
    err = err != WEIR_OK ? err : env->ops->dir_sync(env, dir->path); /* [F1] */
    if (err != WEIR_OK) {
        file_take_back(env, file, named ? wal_path : path);
    }
    return err;
}

weir_err weir_journal_file_create(const weir_journal_dir *dir, uint64_t number, uint64_t bytes,
                                  bool zeroed, weir_file **file)
{
    weir_file *created = NULL;
    weir_err err = weir_journal_file_begin(dir, number, bytes, &created);
    err = err == WEIR_OK ? weir_journal_file_end(dir, number, bytes, zeroed, created) : err;
    if (err == WEIR_OK) {
        *file = created;
    }
    return err;
}
