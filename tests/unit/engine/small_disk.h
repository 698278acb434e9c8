/* tests/unit/engine/small_disk.h - a table of calls whose disk has only so much room: what is written
 * takes whole pages, what is removed or cut gives them back. Folders and names cost nothing. */
#ifndef WEIR_TESTS_ENGINE_SMALL_DISK_H
#define WEIR_TESTS_ENGINE_SMALL_DISK_H

#include "core/env/env.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>

enum { SMALL_DISK_PAGE = 4096 };

static const weir_env_ops *small_disk_own; /* those below, with the same env */
static weir_env_ops small_disk_ops;
static pthread_mutex_t small_disk_mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t small_disk_used; /* since small_disk_begin; less than nothing: older files went */
static int64_t small_disk_capacity;

static inline int64_t small_disk_pages(uint64_t bytes)
{
    return (int64_t)((bytes + SMALL_DISK_PAGE - 1) / SMALL_DISK_PAGE * SMALL_DISK_PAGE);
}

static inline int64_t small_disk_at(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 ? small_disk_pages((uint64_t)at.st_size) : 0;
}

static inline uint64_t small_disk_size(weir_env *env, weir_file *file)
{
    uint64_t bytes = 0;
    (void)small_disk_own->file_size(env, file, &bytes);
    return bytes;
}

/* With the mutex: how far the file may come on its way to `end`. */
static inline uint64_t small_disk_reach(weir_env *env, weir_file *file, uint64_t end)
{
    uint64_t bytes = small_disk_size(env, file);
    int64_t more = end > bytes ? small_disk_pages(end) - small_disk_pages(bytes) : 0;
    int64_t room = small_disk_capacity - small_disk_used;
    if (more > 0 && more > room) {
        more = room > 0 ? room / SMALL_DISK_PAGE * SMALL_DISK_PAGE : 0;
        end = (uint64_t)(small_disk_pages(bytes) + more);
        errno = ENOSPC;
    }
    small_disk_used += more;
    return end;
}

/* What there is room for is written, as disks do. */
static inline weir_err small_disk_write(weir_env *env, weir_file *file, const struct iovec *iov,
                                        int count, uint64_t offset)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    uint64_t len = 0;
    for (int i = 0; i < count; i++) {
        len += iov[i].iov_len;
    }
    uint64_t reach = small_disk_reach(env, file, offset + len);
    weir_err err = reach < offset + len ? WEIR_DISK_FULL
                                        : small_disk_own->file_write(env, file, iov, count, offset);
    for (int i = 0; err == WEIR_DISK_FULL && i < count && offset < reach; i++) {
        uint64_t fits = reach - offset < iov[i].iov_len ? reach - offset : iov[i].iov_len;
        const struct iovec part = {iov[i].iov_base, (size_t)fits};
        (void)small_disk_own->file_write(env, file, &part, 1, offset);
        offset += fits;
    }
    errno = err == WEIR_DISK_FULL ? ENOSPC : errno;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

static inline weir_err small_disk_allocate(weir_env *env, weir_file *file, uint64_t offset,
                                           uint64_t bytes)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    int64_t used = small_disk_used;
    bool fits = small_disk_reach(env, file, offset + bytes) == offset + bytes;
    small_disk_used = fits ? small_disk_used : used;
    weir_err err = fits ? small_disk_own->file_allocate(env, file, offset, bytes) : WEIR_DISK_FULL;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

static inline weir_err small_disk_truncate(weir_env *env, weir_file *file, uint64_t bytes)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    int64_t before = small_disk_pages(small_disk_size(env, file));
    weir_err err = small_disk_own->file_truncate(env, file, bytes);
    small_disk_used += small_disk_pages(small_disk_size(env, file)) - before;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

static inline weir_err small_disk_open(weir_env *env, const char *path, unsigned flags,
                                       weir_file **file)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    int64_t cut = (flags & WEIR_OPEN_TRUNCATE) != 0 ? small_disk_at(path) : 0;
    weir_err err = small_disk_own->file_open(env, path, flags, file);
    small_disk_used -= err == WEIR_OK ? cut : 0;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

static inline weir_err small_disk_unlink(weir_env *env, const char *path)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    int64_t bytes = small_disk_at(path);
    weir_err err = small_disk_own->unlink(env, path);
    small_disk_used -= err == WEIR_OK ? bytes : 0;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

static inline weir_err small_disk_rename(weir_env *env, const char *from, const char *to)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    int64_t bytes = small_disk_at(to);
    weir_err err = small_disk_own->rename(env, from, to);
    small_disk_used -= err == WEIR_OK ? bytes : 0;
    (void)pthread_mutex_unlock(&small_disk_mutex);
    return err;
}

/* From now on there is room for so much more; INT64_MAX / 2: for everything. */
static inline void small_disk_room(int64_t bytes)
{
    (void)pthread_mutex_lock(&small_disk_mutex);
    small_disk_capacity = small_disk_used + bytes;
    (void)pthread_mutex_unlock(&small_disk_mutex);
}

/* Puts itself in front of the table's calls; whoever destroys the env puts them back first. */
static inline void small_disk_begin(weir_env *env)
{
    small_disk_own = env->ops;
    small_disk_ops = *env->ops;
    small_disk_ops.file_open = small_disk_open;
    small_disk_ops.file_write = small_disk_write;
    small_disk_ops.file_write_stream = small_disk_write;
    small_disk_ops.file_truncate = small_disk_truncate;
    small_disk_ops.file_allocate = small_disk_allocate;
    small_disk_ops.rename = small_disk_rename;
    small_disk_ops.unlink = small_disk_unlink;
    small_disk_used = 0;
    small_disk_room(INT64_MAX / 2);
    env->ops = &small_disk_ops;
}

static inline void small_disk_end(weir_env *env)
{
    env->ops = small_disk_own;
}

#endif
