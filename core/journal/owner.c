/* core/journal/owner.c - sees to it that one gateway writes to a data directory, or that the older
 * one finds out.
 *
 *   owner       | magic 8 | version 4 | least reader 4 | term 8 | pid 4 | zeros | CRC32C 4 |  64
 * bytes owner.lock  held for the moment in which the two above are read and raised lock-<16 hex
 * digits of the term>   held by that term's owner until it dies
 *
 * A start takes owner.lock, reads the term, and tries that term's lock. When nobody holds it the
 * owner is dead, however it died: the system drops locks with the process. Then it locks a file of
 * the next term and writes the term. The file "owner" is never replaced, only written over, so that
 * an older owner's open descriptor reads the newer term.
 *
 * Failures: a start that dies half way leaves a term or a lock that nobody holds, which the next
 * start passes over. A damaged "owner" takes its term from the names of the lock files.
 *
 * [O1] A term is held by one process at most, and is above every term that was ever held here.
 * [O2] The lock of a term is held before the term is written: a written term without a held lock
 *      means a dead owner.
 * [O3] The data directory's name is synced in its parent before anything relies on what is in it. */
#include "core/journal/owner.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OWNER_BYTES = 64,
    OWNER_VERSION = 1,
    OWNER_CRC_AT = OWNER_BYTES - 4,
    DIR_BYTES_MAX = 3900,
    PATH_BYTES_MAX = DIR_BYTES_MAX + 32,
    TERM_DIGITS = 16,
    START_TRIES_MAX = 200, /* another start holds owner.lock for milliseconds */
    START_TRY_MS = 10,
};

static const uint8_t OWNER_MAGIC[8] = {'W', 'E', 'I', 'R', 'O', 'W', 'N', 'R'};
static const char LOCK_PREFIX[] = "lock-";

struct weir_owner {
    weir_env *env;
    weir_file *file; /* "owner" */
    weir_file *lock; /* "lock-<term>" */
    uint64_t term;
};

/* One start under way. */
typedef struct owner_start {
    weir_env *env;
    const char *dir;
    bool take_over;
    weir_fault *fault;
    weir_file *starts; /* "owner.lock" */
    weir_file *file;
    uint64_t term; /* the highest anything tells of */
    uint32_t pid;
    bool old_alive;
} owner_start;

/* Bytes. */

static void owner_encode(uint64_t term, uint32_t pid, uint8_t out[OWNER_BYTES])
{
    memset(out, 0, OWNER_BYTES);
    memcpy(out, OWNER_MAGIC, sizeof(OWNER_MAGIC));
    weir_put_u32(out + 8, OWNER_VERSION);
    weir_put_u32(out + 12, OWNER_VERSION); /* the least version that can read it */
    weir_put_u64(out + 16, term);
    weir_put_u32(out + 24, pid);
    weir_put_u32(out + OWNER_CRC_AT, weir_crc32c(0, out, OWNER_CRC_AT));
}

static weir_err owner_decode(weir_bytes in, uint64_t *term, uint32_t *pid)
{
    if (in.len < OWNER_BYTES || memcmp(in.ptr, OWNER_MAGIC, sizeof(OWNER_MAGIC)) != 0 ||
        weir_get_u32(in.ptr + OWNER_CRC_AT) != weir_crc32c(0, in.ptr, OWNER_CRC_AT)) {
        return WEIR_DAMAGED;
    }
    if (weir_get_u32(in.ptr + 12) > OWNER_VERSION) {
        return WEIR_VERSION;
    }
    *term = weir_get_u64(in.ptr + 16);
    *pid = weir_get_u32(in.ptr + 24);
    return WEIR_OK;
}

/* Names and faults. */

static void path_of(const owner_start *start, const char *name, char out[PATH_BYTES_MAX])
{
    (void)snprintf(out, PATH_BYTES_MAX, "%.*s/%s", DIR_BYTES_MAX, start->dir, name);
}

static void lock_path(const owner_start *start, uint64_t term, char out[PATH_BYTES_MAX])
{
    char name[sizeof(LOCK_PREFIX) + TERM_DIGITS];
    (void)snprintf(name, sizeof(name), "%s%016llx", LOCK_PREFIX, (unsigned long long)term);
    path_of(start, name, out);
}

static bool lock_name_parse(const char *name, uint64_t *term)
{
    size_t prefix = sizeof(LOCK_PREFIX) - 1;
    if (strncmp(name, LOCK_PREFIX, prefix) != 0 || strlen(name) != prefix + TERM_DIGITS ||
        strspn(name + prefix, "0123456789abcdef") != TERM_DIGITS) {
        return false;
    }
    *term = strtoull(name + prefix, NULL, 16);
    return true;
}

static weir_err fault_fill(const owner_start *start, weir_err err, const char *name,
                           const char *text)
{
    int os_errno = err == WEIR_IO || err == WEIR_DISK_FULL ? errno : 0;
    *start->fault = (weir_fault){.err = err, .os_errno = os_errno};
    (void)snprintf(start->fault->file, sizeof(start->fault->file), "%.200s/%s", start->dir, name);
    (void)snprintf(start->fault->text, sizeof(start->fault->text), "%s", text);
    return err;
}

/* What the next start makes of a file that tells no term. */
static void unreadable_fill(const owner_start *start, weir_err err, uint64_t highest_lock)
{
    const char *text =
        err == WEIR_VERSION ? "this data directory belongs to a newer version: start that version"
        : highest_lock > 0
            ? "the owner file is damaged; nothing is lost: the next start takes its term from the "
              "newest lock file, and writes it anew"
            : "the owner file is damaged: make sure that no other gateway uses this data "
              "directory, remove the file, and start again";
    (void)fault_fill(start, err, "owner", text);
}

static weir_err locked_fill(const owner_start *start)
{
    char text[WEIR_FAULT_TEXT_MAX];
    (void)snprintf(
        text, sizeof(text),
        "%.200s is owned by the gateway with pid %lu: stop it, choose another --data, or, "
        "when it hangs, start with --take-over",
        start->dir, (unsigned long)start->pid);
    return fault_fill(start, WEIR_LOCKED, "owner", text);
}

static weir_err io_fill(const owner_start *start, weir_err err, const char *name)
{
    const char *text = "the data directory cannot be used: check that it exists, who owns it, and "
                       "the disk";
    if (err == WEIR_DISK_FULL) {
        text = "the disk is full: free some space and start again";
    } else if (err == WEIR_EXISTS) {
        text = "what stands there is no directory: move it, or choose another data directory";
    }
    return fault_fill(start, err, name, text);
}

/* The steps of a start. */

/* Two starts at once: the later one waits for the earlier, which is quick. */
static weir_err starts_lock(owner_start *start)
{
    weir_env *env = start->env;
    char path[PATH_BYTES_MAX];
    weir_event *never;
    path_of(start, "owner.lock", path);
    weir_err err =
        env->ops->file_open(env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE, &start->starts);
    if (err != WEIR_OK) {
        start->starts = NULL;
        return io_fill(start, err, "owner.lock");
    }
    err = env->ops->file_lock(env, start->starts);
    if (err == WEIR_LOCKED && env->ops->event_open(env, &never) == WEIR_OK) {
        for (int i = 0; i < START_TRIES_MAX && err == WEIR_LOCKED; i++) {
            env->ops->event_wait(env, never, START_TRY_MS);
            err = env->ops->file_lock(env, start->starts);
        }
        env->ops->event_close(env, never);
    }
    if (err == WEIR_LOCKED) {
        return fault_fill(
            start, err, "owner.lock",
            "another gateway is starting in this data directory: wait for it, or stop "
            "it and start again");
    }
    return err != WEIR_OK ? io_fill(start, err, "owner.lock") : WEIR_OK;
}

static bool highest_lock_each(void *arg, const char *name)
{
    uint64_t *highest = arg;
    uint64_t term;
    if (lock_name_parse(name, &term) && term > *highest) {
        *highest = term;
    }
    return true;
}

/* The highest term that the file or a lock's name tells of: [O1]. */
static weir_err term_read(owner_start *start)
{
    weir_env *env = start->env;
    uint8_t bytes[OWNER_BYTES];
    size_t got = 0;
    uint64_t highest_lock = 0;
    char path[PATH_BYTES_MAX];
    path_of(start, "owner", path);
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE, &start->file);
    if (err != WEIR_OK) {
        start->file = NULL;
        return io_fill(start, err, "owner");
    }
    err = env->ops->file_read(env, start->file, bytes, sizeof(bytes), 0, &got);
    err = err != WEIR_OK ? err
                         : env->ops->dir_list(env, start->dir, highest_lock_each, &highest_lock);
    if (err != WEIR_OK) {
        return io_fill(start, err, "owner");
    }
    err = owner_decode((weir_bytes){bytes, got}, &start->term, &start->pid);
    if (err == WEIR_VERSION) {
        return fault_fill(start, err, "owner",
                          "this data directory belongs to a newer version: start that version");
    }
    if (err == WEIR_DAMAGED && got > 0 && highest_lock == 0) {
        unreadable_fill(start, err, 0);
        return err;
    }
    if (err == WEIR_DAMAGED && got > 0) {
        weir_log(WEIR_LOG_WARN, "journal",
                 "the owner file is damaged; its term is taken from %s%llx", LOCK_PREFIX,
                 (unsigned long long)highest_lock);
    }
    start->term = highest_lock > start->term ? highest_lock : start->term;
    return WEIR_OK;
}

/* Whether a living process holds this term. */
static weir_err term_held(const owner_start *start, uint64_t term, bool *held)
{
    weir_env *env = start->env;
    char path[PATH_BYTES_MAX];
    weir_file *lock;
    lock_path(start, term, path);
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_WRITE, &lock);
    if (err == WEIR_NOT_FOUND) {
        *held = false;
        return WEIR_OK;
    }
    if (err != WEIR_OK) {
        return io_fill(start, err, "lock");
    }
    err = env->ops->file_lock(env, lock);
    env->ops->file_close(env, lock);
    if (err != WEIR_OK && err != WEIR_LOCKED) {
        return io_fill(start, err, "lock");
    }
    *held = err == WEIR_LOCKED;
    return WEIR_OK;
}

static bool older_lock_each(void *arg, const char *name)
{
    owner_start *start = arg;
    uint64_t term;
    bool held = true;
    if (!lock_name_parse(name, &term) || term >= start->term) {
        return true;
    }
    if (term_held(start, term, &held) != WEIR_OK || held) {
        start->old_alive = true; /* it cannot be told, or it is so */
        return true;
    }
    char path[PATH_BYTES_MAX];
    lock_path(start, term, path);
    (void)start->env->ops->unlink(start->env, path); /* left behind it does no harm */
    return true;
}

/* The present owner, and those it may have been started over. */
static weir_err owners_look(owner_start *start)
{
    bool held = false;
    weir_err err = start->term > 0 ? term_held(start, start->term, &held) : WEIR_OK;
    if (err != WEIR_OK) {
        return err;
    }
    if (held && !start->take_over) {
        return locked_fill(start);
    }
    start->old_alive = held;
    err = start->env->ops->dir_list(start->env, start->dir, older_lock_each, start);
    return err != WEIR_OK ? io_fill(start, err, "") : WEIR_OK;
}

/* Locks the next term's file, then writes the term: [O2]. */
static weir_err term_raise(owner_start *start, weir_file **lock)
{
    weir_env *env = start->env;
    uint8_t bytes[OWNER_BYTES];
    char path[PATH_BYTES_MAX];
    uint64_t term = start->term + 1;
    lock_path(start, term, path);
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE, lock);
    if (err != WEIR_OK) {
        *lock = NULL;
        return io_fill(start, err, "lock");
    }
    err = env->ops->file_lock(env, *lock);
    err = err != WEIR_OK ? err : env->ops->dir_sync(env, start->dir);
    if (err == WEIR_OK) {
        owner_encode(term, env->ops->process_id(env), bytes);
        struct iovec part = {bytes, sizeof(bytes)};
        err = env->ops->file_write(env, start->file, &part, 1, 0);
    }
    err = err != WEIR_OK ? err : env->ops->file_sync(env, start->file);
    if (err != WEIR_OK) {
        env->ops->file_close(env, *lock);
        *lock = NULL;
        return io_fill(start, err, "owner");
    }
    return WEIR_OK;
}

/* The data directory's own name must outlive a power cut, or all that is synced in it is nowhere. A
 * parent that may not be read (and so was made by somebody else) is none of ours to sync: [O3]. */
static weir_err parent_sync(const owner_start *start)
{
    char parent[PATH_BYTES_MAX];
    size_t len = strlen(start->dir);
    while (len > 0 && start->dir[len - 1] == '/') {
        len--;
    }
    while (len > 0 && start->dir[len - 1] != '/') {
        len--;
    }
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)len, start->dir);
    errno = 0;
    weir_err err = start->env->ops->dir_sync(start->env, len > 0 ? parent : ".");
    bool foreign = errno == EACCES || errno == EROFS || errno == EINVAL;
    return err != WEIR_OK && foreign ? WEIR_OK : err;
}

static weir_err start_run(owner_start *start, weir_file **lock)
{
    if (strlen(start->dir) > DIR_BYTES_MAX) {
        return fault_fill(start, WEIR_INVALID, "", "the data directory's path is too long");
    }
    weir_err err = start->env->ops->dir_make(start->env, start->dir);
    err = err != WEIR_OK ? err : parent_sync(start);
    if (err != WEIR_OK) {
        return io_fill(start, err, "");
    }
    err = starts_lock(start);
    err = err != WEIR_OK ? err : term_read(start);
    err = err != WEIR_OK ? err : owners_look(start);
    return err != WEIR_OK ? err : term_raise(start, lock);
}

weir_err weir_owner_open(weir_env *env, const char *data_dir, bool take_over, weir_owner **owner,
                         bool *old_alive, weir_fault *fault)
{
    weir_fault unwanted;
    owner_start start = {
        .env = env,
        .dir = data_dir,
        .take_over = take_over,
        .fault = fault != NULL ? fault : &unwanted,
    };
    weir_file *lock = NULL;
    weir_owner *made = calloc(1, sizeof(*made));
    weir_err err = made != NULL ? start_run(&start, &lock)
                                : fault_fill(&start, WEIR_NO_MEMORY, "", "there is no memory left");
    if (start.starts != NULL) {
        env->ops->file_close(env, start.starts);
    }
    if (err != WEIR_OK) {
        if (start.file != NULL) {
            env->ops->file_close(env, start.file);
        }
        free(made);
        return err;
    }
    *made = (weir_owner){.env = env, .file = start.file, .lock = lock, .term = start.term + 1};
    *owner = made;
    *old_alive = start.old_alive;
    return WEIR_OK;
}

weir_err weir_owner_look(weir_env *env, const char *data_dir, uint64_t *term, weir_fault *fault)
{
    owner_start start = {.env = env, .dir = data_dir, .fault = fault};
    uint8_t bytes[OWNER_BYTES];
    size_t got = 0;
    bool held = false;
    char path[PATH_BYTES_MAX];
    *term = 0;
    *fault = (weir_fault){0};
    path_of(&start, "", path);
    weir_err err = env->ops->dir_list(env, path, highest_lock_each, &start.term);
    if (err != WEIR_OK) {
        return fault_fill(&start, err, "",
                          "there is no data directory that can be read: name one with --data");
    }
    path_of(&start, "owner", path);
    err = env->ops->file_open(env, path, WEIR_OPEN_READ, &start.file);
    if (err == WEIR_NOT_FOUND) {
        return fault_fill(&start, err, "owner", "this is no data directory: name one with --data");
    }
    if (err == WEIR_OK) {
        uint64_t written = 0;
        err = env->ops->file_read(env, start.file, bytes, sizeof(bytes), 0, &got);
        env->ops->file_close(env, start.file);
        weir_err read = owner_decode((weir_bytes){bytes, got}, &written, &start.pid);
        if (err == WEIR_OK && read != WEIR_OK && got > 0) {
            unreadable_fill(&start, read, start.term);
        }
        start.term = written > start.term ? written : start.term;
    }
    if (err != WEIR_OK) {
        return io_fill(&start, err, "owner");
    }
    err = start.term > 0 ? term_held(&start, start.term, &held) : WEIR_OK;
    if (err == WEIR_OK && held) {
        err = locked_fill(&start);
    }
    *term = start.term;
    return err;
}

void weir_owner_close(weir_owner *owner)
{
    if (owner != NULL) {
        owner->env->ops->file_close(owner->env, owner->file);
        owner->env->ops->file_close(owner->env, owner->lock);
        free(owner);
    }
}

uint64_t weir_owner_term(const weir_owner *owner)
{
    return owner->term;
}

weir_err weir_owner_compare(weir_owner *owner)
{
    enum { TRIES = 2 }; /* a newer owner may be writing it at this moment */
    uint8_t bytes[OWNER_BYTES];
    for (int i = 0; i < TRIES; i++) {
        size_t got;
        uint64_t term;
        uint32_t pid;
        weir_err err =
            owner->env->ops->file_read(owner->env, owner->file, bytes, sizeof(bytes), 0, &got);
        if (err != WEIR_OK) {
            return WEIR_IO;
        }
        if (owner_decode((weir_bytes){bytes, got}, &term, &pid) == WEIR_OK) {
            return term == owner->term ? WEIR_OK : WEIR_FENCED;
        }
    }
    return WEIR_IO;
}
