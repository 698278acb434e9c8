/* tests/unit/journal/disk_env.h - a disk in memory whose power can be cut, on a clock of its own.
 *
 *   file    live bytes (what reads see) | synced bytes (what survives) | writes not yet synced
 *   names   live | durable | operations not yet made durable by a sync of the folder, in order
 *
 * disk_cut: of each unsynced write nothing, all, a part up to a sector, or any sectors arrive; of
 * the name operations a prefix arrives. A sync that is made to fail forgets the writes before it:
 * they stay readable and no later sync brings them to the disk, as Linux does it. disk->calls_left
 * counts down over all calls that change the disk; at 0 the power is off and everything fails until
 * disk_cut. Jobs of lanes are queued and run by disk_jobs_run (or lanes_drain): threads without
 * threads. A sync takes disk->sync_ns of the clock. One thread. */
#ifndef WEIR_TESTS_UNIT_JOURNAL_DISK_ENV_H
#define WEIR_TESTS_UNIT_JOURNAL_DISK_ENV_H

#include "tests/unit/journal/support.h"

#include <errno.h>

enum { DISK_FILES_MAX = 4096, DISK_NAMES_MAX = 256, DISK_OPS_MAX = 1024, DISK_SECTOR = 512 };

typedef struct disk_write {
    uint64_t offset;
    uint64_t len;
    bool lost; /* a sync failed over it */
} disk_write;

typedef struct disk_file {
    uint8_t *live;
    uint8_t *synced;
    uint64_t live_bytes;
    uint64_t synced_bytes;
    disk_write *writes;
    size_t write_count;
    size_t write_capacity;
} disk_file;

typedef struct disk_name {
    char path[160];
    disk_file *file; /* NULL in an operation: the name goes */
} disk_name;

struct weir_file {
    disk_file *file;
};

typedef struct disk_env {
    weir_env env;
    disk_file *files[DISK_FILES_MAX];
    size_t file_count;
    disk_name live[DISK_NAMES_MAX];
    size_t live_count;
    disk_name durable[DISK_NAMES_MAX];
    size_t durable_count;
    disk_name ops[DISK_OPS_MAX]; /* two in a row are a rename: `joined` */
    bool joined[DISK_OPS_MAX];
    size_t op_count;
    uint64_t calls;
    uint64_t calls_left; /* 0: no limit */
    bool off;
    uint64_t fail_sync_in; /* 1: the next */
    uint64_t fail_write_in;
    uint64_t capacity_bytes; /* 0: no limit */
    uint64_t now_ns;
    uint64_t sync_ns;
    uint64_t random_state;
    weir_job *first;
    weir_job *last;
    weir_lane last_lane;
    uint64_t journal_jobs;
} disk_env;

static inline uint64_t disk_random(disk_env *disk)
{
    disk->random_state += 0x9e3779b97f4a7c15u;
    uint64_t z = disk->random_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Names. */

static inline disk_name *disk_name_find(disk_name *names, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].path, path) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

static inline void disk_name_apply(disk_name *names, size_t *count, const disk_name *op)
{
    disk_name *found = disk_name_find(names, *count, op->path);
    if (op->file == NULL && found != NULL) {
        *found = names[--*count];
    } else if (op->file != NULL && found != NULL) {
        found->file = op->file;
    } else if (op->file != NULL) {
        assert_true(*count < DISK_NAMES_MAX);
        names[(*count)++] = *op;
    }
}

static inline void disk_op(disk_env *disk, const char *path, disk_file *file, bool joined)
{
    disk_name op = {.file = file};
    (void)snprintf(op.path, sizeof(op.path), "%s", path);
    disk_name_apply(disk->live, &disk->live_count, &op);
    assert_true(disk->op_count < DISK_OPS_MAX);
    disk->joined[disk->op_count] = joined;
    disk->ops[disk->op_count++] = op;
}

/* Files. */

static inline void disk_grow(disk_file *file, uint64_t bytes)
{
    if (bytes > file->live_bytes) {
        file->live = realloc(file->live, bytes);
        file->synced = realloc(file->synced, bytes);
        assert_true(file->live != NULL && file->synced != NULL);
        memset(file->live + file->live_bytes, 0, bytes - file->live_bytes);
        memset(file->synced + file->live_bytes, 0, bytes - file->live_bytes);
        file->live_bytes = bytes;
    }
}

static inline void disk_write_note(disk_file *file, uint64_t offset, uint64_t len)
{
    if (file->write_count == file->write_capacity) {
        file->write_capacity = file->write_capacity * 2 + 16;
        file->writes = realloc(file->writes, file->write_capacity * sizeof(*file->writes));
        assert_non_null(file->writes);
    }
    file->writes[file->write_count++] = (disk_write){offset, len, false};
}

static inline uint64_t disk_used(const disk_env *disk)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < disk->live_count; i++) {
        sum += disk->live[i].file->live_bytes;
    }
    return sum;
}

/* Counts a call that changes the disk; false: the power went with it. */
static inline bool disk_powered(disk_env *disk)
{
    disk->calls++;
    if (!disk->off && disk->calls_left > 0 && --disk->calls_left == 0) {
        disk->off = true;
    }
    errno = disk->off ? EIO : errno;
    return !disk->off;
}

static inline disk_env *disk_of(weir_env *env)
{
    return (disk_env *)env;
}

static inline uint64_t disk_monotonic_ns(weir_env *env)
{
    return disk_of(env)->now_ns += 1000;
}

static inline int64_t disk_wall_ms(weir_env *env)
{
    (void)env;
    return TEST_ENGINE_MS;
}

static inline void disk_random_fill(weir_env *env, void *out, size_t len)
{
    uint8_t *at = out;
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)disk_random(disk_of(env));
    }
}

static inline weir_err disk_file_open(weir_env *env, const char *path, unsigned flags,
                                      weir_file **file)
{
    disk_env *disk = disk_of(env);
    disk_name *name = disk_name_find(disk->live, disk->live_count, path);
    if (disk->off) {
        return WEIR_IO;
    }
    if (name != NULL && (flags & WEIR_OPEN_EXCLUSIVE) != 0) {
        return WEIR_EXISTS;
    }
    if (name == NULL && (flags & WEIR_OPEN_CREATE) == 0) {
        return WEIR_NOT_FOUND;
    }
    disk_file *found = name != NULL ? name->file : NULL;
    if (found == NULL) {
        if (!disk_powered(disk)) {
            return WEIR_IO;
        }
        assert_true(disk->file_count < DISK_FILES_MAX);
        found = calloc(1, sizeof(*found));
        assert_non_null(found);
        disk->files[disk->file_count++] = found;
        disk_op(disk, path, found, false);
    }
    *file = malloc(sizeof(**file));
    assert_non_null(*file);
    (*file)->file = found;
    return WEIR_OK;
}

static inline void disk_file_close(weir_env *env, weir_file *file)
{
    (void)env;
    free(file);
}

static inline weir_err disk_file_read(weir_env *env, weir_file *file, void *out, size_t len,
                                      uint64_t offset, size_t *got)
{
    const disk_file *from = file->file;
    if (disk_of(env)->off) {
        return WEIR_IO;
    }
    uint64_t there = offset < from->live_bytes ? from->live_bytes - offset : 0;
    *got = there < len ? (size_t)there : len;
    if (*got > 0) {
        memcpy(out, from->live + offset, *got);
    }
    return WEIR_OK;
}

static inline weir_err disk_file_write(weir_env *env, weir_file *file, const struct iovec *iov,
                                       int count, uint64_t offset)
{
    disk_env *disk = disk_of(env);
    bool was_off = disk->off;
    bool powered = disk_powered(disk);
    bool fails = disk->fail_write_in > 0 && --disk->fail_write_in == 0;
    uint64_t begin = offset;
    for (int i = 0; i < count && !was_off; i++) {
        disk_grow(file->file, offset + iov[i].iov_len);
        memcpy(file->file->live + offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    if (offset > begin) {
        disk_write_note(file->file, begin, offset - begin);
    }
    return powered && !fails ? WEIR_OK : WEIR_IO;
}

static inline weir_err disk_file_sync(weir_env *env, weir_file *file)
{
    disk_env *disk = disk_of(env);
    disk_file *of = file->file;
    size_t kept = 0;
    if (!disk_powered(disk)) {
        return WEIR_IO;
    }
    disk->now_ns += disk->sync_ns;
    bool fails = disk->fail_sync_in > 0 && --disk->fail_sync_in == 0;
    for (size_t i = 0; i < of->write_count; i++) {
        disk_write *write = &of->writes[i];
        write->lost = write->lost || fails;
        if (write->lost) {
            of->writes[kept++] = *write;
        } else {
            memcpy(of->synced + write->offset, of->live + write->offset, write->len);
        }
    }
    of->write_count = kept;
    of->synced_bytes = fails ? of->synced_bytes : of->live_bytes;
    errno = fails ? EIO : errno;
    return fails ? WEIR_IO : WEIR_OK;
}

static inline weir_err disk_file_size(weir_env *env, weir_file *file, uint64_t *bytes)
{
    *bytes = file->file->live_bytes;
    return disk_of(env)->off ? WEIR_IO : WEIR_OK;
}

static inline weir_err disk_file_truncate(weir_env *env, weir_file *file, uint64_t bytes)
{
    (void)env;
    (void)file;
    (void)bytes;
    return WEIR_IO; /* the journal never does */
}

static inline weir_err disk_file_allocate(weir_env *env, weir_file *file, uint64_t offset,
                                          uint64_t bytes)
{
    disk_env *disk = disk_of(env);
    if (!disk_powered(disk)) {
        return WEIR_IO;
    }
    if (disk->capacity_bytes > 0 && disk_used(disk) + bytes > disk->capacity_bytes) {
        errno = ENOSPC;
        return WEIR_DISK_FULL;
    }
    disk_grow(file->file, offset + bytes);
    return WEIR_OK;
}

static inline weir_err disk_file_lock(weir_env *env, weir_file *file)
{
    (void)env;
    (void)file;
    return WEIR_OK;
}

static inline weir_err disk_dir_make(weir_env *env, const char *path)
{
    (void)path;
    return disk_of(env)->off ? WEIR_IO : WEIR_OK;
}

static inline weir_err disk_dir_sync(weir_env *env, const char *path)
{
    disk_env *disk = disk_of(env);
    (void)path;
    if (!disk_powered(disk)) {
        return WEIR_IO;
    }
    memcpy(disk->durable, disk->live, sizeof(disk->live));
    disk->durable_count = disk->live_count;
    disk->op_count = 0;
    return WEIR_OK;
}

static inline weir_err disk_dir_list(weir_env *env, const char *path,
                                     bool (*each)(void *arg, const char *name), void *arg)
{
    disk_env *disk = disk_of(env);
    size_t len = strlen(path);
    if (disk->off) {
        return WEIR_IO;
    }
    for (size_t i = 0; i < disk->live_count; i++) {
        if (strncmp(disk->live[i].path, path, len) == 0 && disk->live[i].path[len] == '/' &&
            !each(arg, disk->live[i].path + len + 1)) {
            break;
        }
    }
    return WEIR_OK;
}

static inline weir_err disk_rename(weir_env *env, const char *from, const char *to)
{
    disk_env *disk = disk_of(env);
    disk_name *name = disk_name_find(disk->live, disk->live_count, from);
    if (!disk_powered(disk)) {
        return WEIR_IO;
    }
    if (name == NULL) {
        return WEIR_NOT_FOUND;
    }
    disk_file *file = name->file;
    disk_op(disk, from, NULL, false);
    disk_op(disk, to, file, true);
    return WEIR_OK;
}

static inline weir_err disk_unlink(weir_env *env, const char *path)
{
    disk_env *disk = disk_of(env);
    if (!disk_powered(disk)) {
        return WEIR_IO;
    }
    if (disk_name_find(disk->live, disk->live_count, path) == NULL) {
        return WEIR_NOT_FOUND;
    }
    disk_op(disk, path, NULL, false);
    return WEIR_OK;
}

static inline weir_err disk_dir_remove(weir_env *env, const char *path)
{
    (void)env;
    (void)path;
    return WEIR_OK;
}

static inline weir_err disk_space_free(weir_env *env, const char *path, uint64_t *bytes)
{
    (void)path;
    *bytes = disk_of(env)->capacity_bytes - disk_used(disk_of(env));
    return WEIR_OK;
}

/* Lanes. */

static inline void disk_job_submit(weir_env *env, weir_lane lane, weir_job *job)
{
    disk_env *disk = disk_of(env);
    job->next = NULL;
    if (disk->first == NULL) {
        disk->first = job;
    } else {
        disk->last->next = job;
    }
    disk->last = job;
    disk->last_lane = lane;
    disk->journal_jobs += lane == WEIR_LANE_JOURNAL ? 1 : 0;
}

static inline void disk_jobs_run(weir_env *env)
{
    disk_env *disk = disk_of(env);
    while (disk->first != NULL) {
        weir_job *job = disk->first;
        disk->first = job->next;
        job->run(job);
        job->done(job);
    }
}

static inline uint32_t disk_process_id(weir_env *env)
{
    (void)env;
    return 1;
}

static const weir_env_ops DISK_OPS = {
    .monotonic_ns = disk_monotonic_ns,
    .wall_ms = disk_wall_ms,
    .random = disk_random_fill,
    .file_open = disk_file_open,
    .file_close = disk_file_close,
    .file_read = disk_file_read,
    .file_read_stream = disk_file_read,
    .file_write = disk_file_write,
    .file_write_stream = disk_file_write,
    .file_sync = disk_file_sync,
    .file_size = disk_file_size,
    .file_truncate = disk_file_truncate,
    .file_allocate = disk_file_allocate,
    .file_lock = disk_file_lock,
    .dir_make = disk_dir_make,
    .dir_sync = disk_dir_sync,
    .dir_list = disk_dir_list,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .dir_remove = disk_dir_remove,
    .space_free = disk_space_free,
    .job_submit = disk_job_submit,
    .lanes_drain = disk_jobs_run,
    .process_id = disk_process_id,
};

static inline disk_env *disk_create(uint64_t seed)
{
    disk_env *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    disk->env.ops = &DISK_OPS;
    disk->random_state = seed;
    disk->sync_ns = 100000;
    return disk;
}

static inline void disk_destroy(disk_env *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        free(disk->files[i]->live);
        free(disk->files[i]->synced);
        free(disk->files[i]->writes);
        free(disk->files[i]);
    }
    free(disk);
}

/* What arrives of one unsynced write. */
static inline void disk_write_arrives(disk_env *disk, disk_file *file, const disk_write *write)
{
    uint64_t how = write->lost ? 0 : disk_random(disk) % 4;
    uint64_t sectors = (write->len + DISK_SECTOR - 1) / DISK_SECTOR;
    uint64_t torn_at = disk_random(disk) % (sectors + 1);
    for (uint64_t i = 0; i < sectors && how > 0; i++) {
        bool arrives =
            how == 1 || (how == 2 && i < torn_at) || (how == 3 && disk_random(disk) % 2 == 0);
        uint64_t at = write->offset + i * DISK_SECTOR;
        uint64_t end = write->offset + write->len;
        uint64_t len = end - at < DISK_SECTOR ? end - at : DISK_SECTOR;
        if (arrives) {
            memcpy(file->synced + at, file->live + at, len);
            file->synced_bytes = at + len > file->synced_bytes ? at + len : file->synced_bytes;
        }
    }
}

static inline void disk_cut(disk_env *disk)
{
    for (size_t i = 0; i < disk->file_count; i++) {
        disk_file *file = disk->files[i];
        for (size_t w = 0; w < file->write_count; w++) {
            disk_write_arrives(disk, file, &file->writes[w]);
        }
        file->write_count = 0;
        if (disk_random(disk) % 2 == 0) {
            file->synced_bytes = file->live_bytes; /* grown, with zeros */
        }
        file->live_bytes = file->synced_bytes;
        if (file->live_bytes > 0) {
            memcpy(file->live, file->synced, file->live_bytes);
        }
    }
    size_t arrived = disk_random(disk) % (disk->op_count + 1);
    while (arrived < disk->op_count && disk->joined[arrived]) {
        arrived++; /* a rename arrives whole */
    }
    for (size_t i = 0; i < arrived; i++) {
        disk_name_apply(disk->durable, &disk->durable_count, &disk->ops[i]);
    }
    memcpy(disk->live, disk->durable, sizeof(disk->live));
    disk->live_count = disk->durable_count;
    disk->op_count = 0;
    disk->off = false;
    disk->calls_left = 0;
    disk->first = NULL;
}

/* The process dies, the machine goes on: nothing on the disk is lost. */
static inline void disk_restart(disk_env *disk)
{
    disk->off = false;
    disk->calls_left = 0;
    disk->first = NULL;
}

#endif
