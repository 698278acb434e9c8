/* core/env/posix.c - the real table: Linux behind every call of env.h. Lanes are in lanes.c.
 *
 * Each function is one system call and what it takes to make it whole: short reads and writes go
 * on, EINTR is retried where that is safe, and the reason becomes one of a few codes:
 *
 *   ENOENT -> NOT_FOUND   EEXIST -> EXISTS   ENOSPC, EDQUOT -> DISK_FULL
 *   ENOMEM, EMFILE, ENFILE -> NO_MEMORY      EWOULDBLOCK of a lock -> LOCKED
 *   all others -> IO
 *
 * errno still holds the reason when a call has returned. A sync is not retried, whatever stopped
 * it: after a failed one the kernel may have forgotten the pages it could not write, and a second
 * would report a success that is none.
 *
 * [E1] Every descriptor is close-on-exec; files are made 0600, directories 0700.
 * [E2] Nothing is allocated but at open, and then before the system call.
 * [E3] A call that needs a descriptor and gets none (EMFILE, ENFILE) has done nothing and may be made
 *      again: NO_MEMORY, which passes. A sync that ran and failed never says that. */
#include "core/env/env.h"

#include "core/base/assert.h"
#include "core/env/lanes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    NS_PER_SECOND = 1000000000,
    NS_PER_MS = 1000000,
    MS_PER_SECOND = 1000,
    PAGE_BYTES = 4096,
    STREAM_SPANS_MAX = 1024, /* a flush of single records has a span for each */
    RW_DONTCACHE = 0x80,     /* RWF_DONTCACHE, since Linux 6.14; libc may not name it yet */
};

typedef struct posix_env {
    weir_env env;
    weir_lanes *lanes;
    atomic_bool
        drops_nothing; /* the file system, or the kernel, has no uncached reads and writes */
} posix_env;

struct weir_file {
    int fd;
};

struct weir_event {
    int fd;
};

static weir_err err_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOENT:
        return WEIR_NOT_FOUND;
    case EEXIST:
        return WEIR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return WEIR_DISK_FULL;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return WEIR_NO_MEMORY; /* [E3] */
    default:
        return WEIR_IO;
    }
}

/* The answer of a call that returns -1 and errno. */
static weir_err answer(int result)
{
    return result == 0 ? WEIR_OK : err_of_errno(errno);
}

static void close_keeping_errno(int fd)
{
    int kept = errno;
    (void)close(fd);
    errno = kept;
}

/* Clock and chance. */

static struct timespec clock_read(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    WEIR_ASSERT(failed == 0);
    return now;
}

static uint64_t posix_monotonic_ns(weir_env *env)
{
    (void)env;
    struct timespec now = clock_read(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static int64_t posix_wall_ms(weir_env *env)
{
    (void)env;
    struct timespec now = clock_read(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS;
}

static void posix_random(weir_env *env, void *out, size_t len)
{
    (void)env;
    uint8_t *at = out;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        WEIR_ASSERT(got > 0 || errno == EINTR); /* with flags 0 it waits, it does not fail */
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}

static uint32_t posix_process_id(weir_env *env)
{
    (void)env;
    return (uint32_t)getpid();
}

/* Files. */

static int open_flags(unsigned flags)
{
    int os_flags = O_CLOEXEC | ((flags & WEIR_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY);
    os_flags |= (flags & WEIR_OPEN_CREATE) != 0 ? O_CREAT : 0;
    os_flags |= (flags & WEIR_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    os_flags |= (flags & WEIR_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    return os_flags;
}

static int open_retrying(const char *path, int os_flags)
{
    int fd;
    do {
        fd = open(path, os_flags, 0600); /* [E1] */
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static weir_err posix_file_open(weir_env *env, const char *path, unsigned flags, weir_file **file)
{
    (void)env;
    weir_file *opened = malloc(sizeof(*opened)); /* [E2] */
    if (opened == NULL) {
        return WEIR_NO_MEMORY;
    }
    opened->fd = open_retrying(path, open_flags(flags));
    if (opened->fd < 0) {
        int kept = errno;
        free(opened);
        errno = kept;
        return err_of_errno(kept);
    }
    *file = opened;
    return WEIR_OK;
}

static void posix_file_close(weir_env *env, weir_file *file)
{
    (void)env;
    if (file != NULL) {
        (void)close(file->fd); /* what had to be kept was synced */
        free(file);
    }
}

/* *drops: asks for it, and forgets that when it cannot be had. */
static weir_err read_all(weir_file *file, void *out, size_t len, uint64_t offset, size_t *got,
                         bool *drops)
{
    size_t sum = 0;
    while (sum < len) {
        const struct iovec rest = {(uint8_t *)out + sum, len - sum};
        ssize_t part =
            preadv2(file->fd, &rest, 1, (off_t)(offset + sum), *drops ? RW_DONTCACHE : 0);
        if (part < 0 && errno == EOPNOTSUPP && *drops) {
            *drops = false;
            continue;
        }
        if (part < 0 && errno != EINTR) {
            return err_of_errno(errno);
        }
        if (part == 0) {
            break; /* the end of the file */
        }
        sum += part > 0 ? (size_t)part : 0;
    }
    *got = sum;
    return WEIR_OK;
}

static weir_err posix_file_read(weir_env *env, weir_file *file, void *out, size_t len,
                                uint64_t offset, size_t *got)
{
    (void)env;
    bool drops = false;
    return read_all(file, out, len, offset, got, &drops);
}

static weir_err posix_file_read_stream(weir_env *env, weir_file *file, void *out, size_t len,
                                       uint64_t offset, size_t *got)
{
    posix_env *posix = (posix_env *)env;
    bool drops = !atomic_load(&posix->drops_nothing), asked = drops;
    weir_err err = read_all(file, out, len, offset, got, &drops);
    if (asked && !drops) {
        atomic_store(&posix->drops_nothing, true);
    }
    return err;
}

/* Where a write stands: spans before `index` are written, and `done` bytes of that one. */
typedef struct write_position {
    int index;
    size_t done;
    uint64_t offset;
} write_position;

static void write_advance(write_position *at, const struct iovec *iov, int count, size_t bytes)
{
    at->offset += bytes;
    at->done += bytes;
    while (at->index < count && at->done >= iov[at->index].iov_len) {
        at->done -= iov[at->index].iov_len;
        at->index++;
    }
}

/* One system call: all spans from here on, or the rest of one that was cut. */
static ssize_t write_some(int fd, const struct iovec *iov, int count, const write_position *at)
{
    const struct iovec *next = &iov[at->index];
    if (at->done > 0) {
        return pwrite(fd, (const uint8_t *)next->iov_base + at->done, next->iov_len - at->done,
                      (off_t)at->offset);
    }
    int left = count - at->index;
    return pwritev(fd, next, left < IOV_MAX ? left : IOV_MAX, (off_t)at->offset);
}

/* What a write answered: OK, also when it is to be tried again. */
static weir_err write_took(ssize_t part)
{
    if (part == 0) {
        errno = EIO; /* it took nothing and said nothing: going on would never end */
        return WEIR_IO;
    }
    return part < 0 && errno != EINTR ? err_of_errno(errno) : WEIR_OK;
}

static weir_err posix_file_write(weir_env *env, weir_file *file, const struct iovec *iov, int count,
                                 uint64_t offset)
{
    (void)env;
    write_position at = {.offset = offset};
    write_advance(&at, iov, count, 0); /* past empty spans */
    while (at.index < count) {
        ssize_t part = write_some(file->fd, iov, count, &at);
        weir_err err = write_took(part);
        if (err != WEIR_OK) {
            return err;
        }
        write_advance(&at, iov, count, part > 0 ? (size_t)part : 0);
    }
    return WEIR_OK;
}

/* Copies into `spans` what is left from `at` on, up to the offset `end`; how many there are. */
static int write_spans(const struct iovec *iov, int count, const write_position *at, uint64_t end,
                       struct iovec spans[STREAM_SPANS_MAX])
{
    uint64_t left = end - at->offset;
    int used = 0;
    for (int i = at->index; i < count && used < STREAM_SPANS_MAX && left > 0; i++) {
        size_t done = i == at->index ? at->done : 0;
        size_t len = iov[i].iov_len - done < left ? iov[i].iov_len - done : (size_t)left;
        spans[used++] = (struct iovec){(uint8_t *)iov[i].iov_base + done, len};
        left -= len;
    }
    return used;
}

/* The pages go to the disk at once and are dropped when they are there. The last one, if it is not
 * full, is not: the next append would have to read it again. */
static weir_err posix_file_write_stream(weir_env *env, weir_file *file, const struct iovec *iov,
                                        int count, uint64_t offset)
{
    posix_env *posix = (posix_env *)env;
    write_position at = {.offset = offset};
    uint64_t end = offset;
    for (int i = 0; i < count; i++) {
        end += iov[i].iov_len;
    }
    const uint64_t whole = end / PAGE_BYTES * PAGE_BYTES;
    write_advance(&at, iov, count, 0); /* past empty spans */
    while (at.index < count) {
        struct iovec spans[STREAM_SPANS_MAX];
        bool drops = at.offset < whole && !atomic_load(&posix->drops_nothing);
        int used = write_spans(iov, count, &at, at.offset < whole ? whole : end, spans);
        ssize_t part = pwritev2(file->fd, spans, used, (off_t)at.offset, drops ? RW_DONTCACHE : 0);
        if (part < 0 && errno == EOPNOTSUPP && drops) {
            atomic_store(&posix->drops_nothing, true);
            continue;
        }
        weir_err err = write_took(part);
        if (err != WEIR_OK) {
            return err;
        }
        write_advance(&at, iov, count, part > 0 ? (size_t)part : 0);
    }
    return WEIR_OK;
}

static weir_err posix_file_sync(weir_env *env, weir_file *file)
{
    (void)env;
    return answer(fdatasync(file->fd));
}

/* Before 5.8 syncfs told of no failure but its own. */
static bool syncfs_tells(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

static weir_err posix_volume_sync(weir_env *env, weir_file *file)
{
    (void)env;
    if (!syncfs_tells()) {
        return WEIR_UNSUPPORTED;
    }
    return file == NULL ? WEIR_OK : answer(syncfs(file->fd));
}

static weir_err posix_file_size(weir_env *env, weir_file *file, uint64_t *bytes)
{
    (void)env;
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        return err_of_errno(errno);
    }
    *bytes = (uint64_t)status.st_size;
    return WEIR_OK;
}

static weir_err posix_file_truncate(weir_env *env, weir_file *file, uint64_t bytes)
{
    (void)env;
    int result;
    do {
        result = ftruncate(file->fd, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    return answer(result);
}

static weir_err posix_file_allocate(weir_env *env, weir_file *file, uint64_t offset, uint64_t bytes)
{
    (void)env;
    if (bytes == 0) {
        return WEIR_OK;
    }
    int failed; /* this call returns its reason instead of setting errno */
    do {
        failed = posix_fallocate(file->fd, (off_t)offset, (off_t)bytes);
    } while (failed == EINTR);
    errno = failed != 0 ? failed : errno;
    return failed == 0 ? WEIR_OK : err_of_errno(failed);
}

/* flock, because it belongs to the open file: it also tells two opens of one process apart, and
 * closing another descriptor of the same file does not drop it. */
static weir_err posix_file_lock(weir_env *env, weir_file *file)
{
    (void)env;
    if (flock(file->fd, LOCK_EX | LOCK_NB) == 0) {
        return WEIR_OK;
    }
    return errno == EWOULDBLOCK ? WEIR_LOCKED : err_of_errno(errno);
}

/* Directories. */

static weir_err posix_dir_make(weir_env *env, const char *path)
{
    (void)env;
    struct stat status;
    if (mkdir(path, 0700) == 0) { /* [E1] */
        return WEIR_OK;
    }
    if (errno == EEXIST && stat(path, &status) == 0) {
        errno = EEXIST;
        return S_ISDIR(status.st_mode) ? WEIR_OK : WEIR_EXISTS;
    }
    return err_of_errno(errno);
}

static weir_err posix_dir_sync(weir_env *env, const char *path)
{
    (void)env;
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_of_errno(errno);
    }
    weir_err err = answer(fsync(fd));
    close_keeping_errno(fd);
    return err == WEIR_NO_MEMORY ? WEIR_IO : err; /* it could not be opened, or it was not synced */
}

static bool name_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static weir_err posix_dir_list(weir_env *env, const char *path,
                               bool (*each)(void *arg, const char *name), void *arg)
{
    (void)env;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return err_of_errno(errno);
    }
    int reason = 0;
    bool more = true;
    while (more) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            reason = errno; /* 0: the end */
            break;
        }
        more = name_is_dots(entry->d_name) || each(arg, entry->d_name);
    }
    (void)closedir(directory);
    errno = reason;
    return reason == 0 ? WEIR_OK : err_of_errno(reason);
}

static weir_err posix_rename(weir_env *env, const char *from, const char *to)
{
    (void)env;
    return answer(rename(from, to));
}

static weir_err posix_unlink(weir_env *env, const char *path)
{
    (void)env;
    return answer(unlink(path));
}

static weir_err posix_dir_remove(weir_env *env, const char *path)
{
    (void)env;
    return answer(rmdir(path));
}

static weir_err posix_space_free(weir_env *env, const char *path, uint64_t *bytes)
{
    (void)env;
    struct statvfs status;
    if (statvfs(path, &status) != 0) {
        return err_of_errno(errno);
    }
    *bytes = (uint64_t)status.f_bavail * status.f_frsize; /* without the superuser's reserve */
    return WEIR_OK;
}

/* Other threads. */

static void posix_job_submit(weir_env *env, weir_lane lane, weir_job *job)
{
    weir_lanes_submit(((posix_env *)env)->lanes, lane, job);
}

static void posix_lanes_drain(weir_env *env)
{
    weir_lanes_drain(((posix_env *)env)->lanes);
}

static weir_err posix_event_open(weir_env *env, weir_event **event)
{
    (void)env;
    weir_event *opened = malloc(sizeof(*opened));
    if (opened == NULL) {
        return WEIR_NO_MEMORY;
    }
    opened->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (opened->fd < 0) {
        int kept = errno;
        free(opened);
        errno = kept;
        return err_of_errno(kept);
    }
    *event = opened;
    return WEIR_OK;
}

static void posix_event_close(weir_env *env, weir_event *event)
{
    (void)env;
    if (event != NULL) {
        (void)close(event->fd);
        free(event);
    }
}

static int posix_event_fd(weir_env *env, weir_event *event)
{
    (void)env;
    return event->fd;
}

static void posix_event_signal(weir_env *env, weir_event *event)
{
    (void)env;
    uint64_t one = 1;
    ssize_t wrote;
    do {
        wrote = write(event->fd, &one, sizeof(one));
    } while (wrote < 0 && errno == EINTR);
    WEIR_ASSERT(wrote == (ssize_t)sizeof(one) || errno == EAGAIN); /* full: it is signalled */
}

static void posix_event_clear(weir_env *env, weir_event *event)
{
    (void)env;
    uint64_t count;
    ssize_t got;
    do {
        got = read(event->fd, &count, sizeof(count));
    } while (got < 0 && errno == EINTR);
    WEIR_ASSERT(got == (ssize_t)sizeof(count) || errno == EAGAIN); /* it was not signalled */
}

static int ms_until(weir_env *env, uint64_t deadline_ns)
{
    uint64_t now_ns = posix_monotonic_ns(env);
    if (now_ns >= deadline_ns) {
        return 0;
    }
    return (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void posix_event_wait(weir_env *env, weir_event *event, int timeout_ms)
{
    struct pollfd watched = {.fd = event->fd, .events = POLLIN};
    if (timeout_ms <= 0) {
        while (poll(&watched, 1, timeout_ms) < 0 && errno == EINTR) {
        }
        return;
    }
    uint64_t deadline_ns = posix_monotonic_ns(env) + (uint64_t)timeout_ms * NS_PER_MS;
    while (poll(&watched, 1, timeout_ms) < 0 && errno == EINTR) {
        timeout_ms = ms_until(env, deadline_ns);
    }
}

static const weir_env_ops POSIX_OPS;

weir_err weir_env_posix_create(weir_env **env)
{
    posix_env *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = weir_lanes_create(&made->lanes);
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    made->env.ops = &POSIX_OPS;
    *env = &made->env;
    return WEIR_OK;
}

void weir_env_posix_destroy(weir_env *env)
{
    if (env != NULL) {
        posix_env *posix = (posix_env *)env;
        weir_lanes_destroy(posix->lanes);
        free(posix);
    }
}

static const weir_env_ops POSIX_OPS = {
    .monotonic_ns = posix_monotonic_ns,
    .wall_ms = posix_wall_ms,
    .random = posix_random,
    .file_open = posix_file_open,
    .file_close = posix_file_close,
    .file_read = posix_file_read,
    .file_read_stream = posix_file_read_stream,
    .file_write = posix_file_write,
    .file_write_stream = posix_file_write_stream,
    .file_sync = posix_file_sync,
    .volume_sync = posix_volume_sync,
    .file_size = posix_file_size,
    .file_truncate = posix_file_truncate,
    .file_allocate = posix_file_allocate,
    .file_lock = posix_file_lock,
    .dir_make = posix_dir_make,
    .dir_sync = posix_dir_sync,
    .dir_list = posix_dir_list,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .dir_remove = posix_dir_remove,
    .space_free = posix_space_free,
    .job_submit = posix_job_submit,
    .lanes_drain = posix_lanes_drain,
    .event_open = posix_event_open,
    .event_close = posix_event_close,
    .event_fd = posix_event_fd,
    .event_signal = posix_event_signal,
    .event_clear = posix_event_clear,
    .event_wait = posix_event_wait,
    .process_id = posix_process_id,
};
