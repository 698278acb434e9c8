/* core/env/env.h - the one table through which Weir reaches clock, chance, files and other threads.
 *
 * No other file of core makes a system call, reads a clock or starts a thread. The real table is
 * weir_env_posix_create()'s; the simulation and the fault tests put their own in its place. Every
 * call that can fail returns a weir_err and, on failure, leaves the operating system's reason in
 * errno.
 *
 * Threads: clock, chance, wake and job_submit from any thread; a file from one thread at a time,
 * except file_read and file_read_stream, which any number of threads may call on one open file. */
#ifndef WEIR_CORE_ENV_ENV_H
#define WEIR_CORE_ENV_ENV_H

#include "weir/base.h"

#include <sys/uio.h>

typedef struct weir_env weir_env;
typedef struct weir_file weir_file;   /* opaque, the table's own */
typedef struct weir_event weir_event; /* a wake-up with a descriptor */

enum {
    WEIR_OPEN_READ = 1,      /* read only */
    WEIR_OPEN_WRITE = 2,     /* read and write */
    WEIR_OPEN_CREATE = 4,    /* create when missing (mode 0600) */
    WEIR_OPEN_EXCLUSIVE = 8, /* with CREATE: EXISTS when it is there */
    WEIR_OPEN_TRUNCATE = 16,
};

/* Work for another thread. The caller owns the memory until `done` has been called. `run` may
 * block; `done` is called after it, on the same thread, and must only hand the job back (push,
 * wake). */
typedef struct weir_job {
    void (*run)(struct weir_job *job);
    void (*done)(struct weir_job *job);
    struct weir_job *next; /* the lane's while queued; the owner's afterwards */
} weir_job;

/* Each lane is one thread that runs its jobs in order. */
typedef enum weir_lane {
    WEIR_LANE_JOURNAL,    /* journal write and sync, when not inline */
    WEIR_LANE_SYNC,       /* syncs of the journal while writing goes on */
    WEIR_LANE_BACKGROUND, /* segment writing, checkpoints, preparing journal files */
    WEIR_LANE_READ,       /* cold reads */
    WEIR_LANE_COUNT
} weir_lane;

typedef struct weir_env_ops {
    /* Clock and chance. */
    uint64_t (*monotonic_ns)(weir_env *env); /* never steps back; for intervals */
    int64_t (*wall_ms)(weir_env *env);       /* Unix time; may jump */
    void (*random)(weir_env *env, void *out, size_t len);

    /* Files. Paths are below the data directory or absolute; names are ours, never a client's.
     * open: NOT_FOUND, EXISTS, DISK_FULL, IO; NO_MEMORY: no memory or no descriptor, which passes. */
    weir_err (*file_open)(weir_env *env, const char *path, unsigned flags, weir_file **file);
    void (*file_close)(weir_env *env, weir_file *file);
    /* Reads up to len bytes at offset; *got < len only at the end of the file. EINTR is retried. */
    weir_err (*file_read)(weir_env *env, weir_file *file, void *out, size_t len, uint64_t offset,
                          size_t *got);
    /* The same for bytes that are read once: the system may forget them again, so that they take no
     * memory from others. */
    weir_err (*file_read_stream)(weir_env *env, weir_file *file, void *out, size_t len,
                                 uint64_t offset, size_t *got);
    /* Writes all of iov at offset, short writes continued. DISK_FULL, IO: how much was written is
     * unknown. iov is not kept. */
    weir_err (*file_write)(weir_env *env, weir_file *file, const struct iovec *iov, int count,
                           uint64_t offset);
    /* The same for bytes of a stream that few will read soon: the system may write them out at once
     * and forget them, so that they take no memory from others. Promises no more than file_write. */
    weir_err (*file_write_stream)(weir_env *env, weir_file *file, const struct iovec *iov,
                                  int count, uint64_t offset);
    weir_err (*file_sync)(weir_env *env, weir_file *file); /* fdatasync */
    /* Everything that was written to the volume `file` is on, names included, by whatever descriptor
     * and whether it is still open. Tells also when something failed to reach the disk since `file`
     * was opened or since the last call on it; UNSUPPORTED where the system cannot tell that. NULL:
     * only whether it could. */
    weir_err (*volume_sync)(weir_env *env, weir_file *file); /* syncfs */
    weir_err (*file_size)(weir_env *env, weir_file *file, uint64_t *bytes);
    weir_err (*file_truncate)(weir_env *env, weir_file *file, uint64_t bytes);
    /* Reserves space, so that later writes inside it meet no full disk. */
    weir_err (*file_allocate)(weir_env *env, weir_file *file, uint64_t offset, uint64_t bytes);
    /* An advisory lock held until close or death; LOCKED when another open file has it. */
    weir_err (*file_lock)(weir_env *env, weir_file *file);

    /* Directories. */
    weir_err (*dir_make)(weir_env *env, const char *path); /* mode 0700; an existing one is OK */
    weir_err (*dir_sync)(weir_env *env, const char *path); /* NO_MEMORY: nothing was tried yet */
    /* Calls each(arg, name) for every entry but . and .., in no order; stops when it is false. */
    weir_err (*dir_list)(weir_env *env, const char *path, bool (*each)(void *arg, const char *name),
                         void *arg);
    weir_err (*rename)(weir_env *env, const char *from, const char *to);
    weir_err (*unlink)(weir_env *env, const char *path);     /* NOT_FOUND when missing */
    weir_err (*dir_remove)(weir_env *env, const char *path); /* an empty one */
    weir_err (*space_free)(weir_env *env, const char *path, uint64_t *bytes);

    /* Other threads. */
    /* Starts the lane at need. Cannot fail: where no thread can be had, the job runs before it
     * returns. Submit under no lock that run or done takes. */
    void (*job_submit)(weir_env *env, weir_lane lane, weir_job *job);
    void (*lanes_drain)(
        weir_env *env); /* returns when no job is queued or running; not from a job */
    weir_err (*event_open)(weir_env *env, weir_event **event);
    void (*event_close)(weir_env *env, weir_event *event);
    int (*event_fd)(weir_env *env, weir_event *event); /* readable while signalled; -1: none */
    void (*event_signal)(weir_env *env, weir_event *event);
    void (*event_clear)(weir_env *env, weir_event *event);
    /* Blocks until the event is signalled or timeout_ms passed (-1: no limit). */
    void (*event_wait)(weir_env *env, weir_event *event, int timeout_ms);

    uint32_t (*process_id)(weir_env *env);
} weir_env_ops;

/* What every table's own state begins with. */
struct weir_env {
    const weir_env_ops *ops;
};

/* The real one: Linux system calls, pthread lanes. destroy drains and joins the lanes. */
weir_err weir_env_posix_create(weir_env **env);
void weir_env_posix_destroy(weir_env *env);

/* A table that passes everything on to `below` but fails chosen calls: for tests. Counts down: the
 * Nth call of the kinds in `kinds` (a bit per weir_env_call) fails with `err`, once or from then
 * on. A failed call does not reach `below`. Any thread; events, lanes, clock and chance never fail.
 */
typedef enum weir_env_call {
    WEIR_CALL_OPEN, /* file_open, file_lock */
    WEIR_CALL_READ, /* file_read, file_size */
    WEIR_CALL_WRITE,
    WEIR_CALL_SYNC,
    WEIR_CALL_TRUNCATE,
    WEIR_CALL_ALLOCATE,
    WEIR_CALL_RENAME,
    WEIR_CALL_UNLINK,
    WEIR_CALL_DIR, /* dir_make, dir_sync, dir_list, dir_remove, space_free */
    WEIR_CALL_COUNT
} weir_env_call;
typedef struct weir_env_fault_plan {
    uint32_t kinds;
    uint64_t countdown; /* 1: the next one; 0: none */
    bool for_good;
    weir_err err;
    int os_errno;
} weir_env_fault_plan;
weir_err weir_env_faulty_create(weir_env *below, weir_env **env);
void weir_env_faulty_plan(weir_env *env, weir_env_fault_plan plan);
uint64_t weir_env_faulty_calls(weir_env *env, uint32_t kinds); /* how many came so far */
void weir_env_faulty_destroy(weir_env *env);

#endif
