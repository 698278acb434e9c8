/* tests/sim/disk.h - a disk in memory that loses, tears and reorders what was not synced, and processes
 * on it, on a clock of their own. One thread; nothing here reads the real clock, disk or chance.
 *
 *   sim_disk    files: synced bytes | live bytes | writes and truncations not yet synced, in order
 *               folders: durable names | live names | name changes not yet synced, in order
 *   sim_env     one process on the disk: the weir_env that core sees, its lanes, its open files
 *
 * What a power cut may leave is decided thing by thing: sim_disk_pending lists what is not yet safe,
 * and sim_disk_crash asks a chooser about each. A test that enumerates crash points does so:
 *
 *     sim_disk_record(disk, &trace);                 run the workload on an engine over sim_env
 *     for each prefix: sim_disk_create, sim_disk_apply calls 0..n-1, or clone and apply one more
 *     for each choice: sim_disk_clone, sim_disk_crash(clone, SIM_CRASH_POWER, chooser)
 *     open an engine over a new sim_env on the clone and look. */
#ifndef WEIR_TESTS_SIM_DISK_H
#define WEIR_TESTS_SIM_DISK_H

#include "core/env/env.h"

typedef struct sim_disk sim_disk;
typedef struct sim_env sim_env;

enum { SIM_SECTOR = 512, SIM_NAME_BYTES = 64, SIM_PATH_BYTES = 256 };

/* ---- Chance: one stream per purpose, so that a change in one leaves the others alone. ---------- */

typedef struct sim_random {
    uint64_t state;
} sim_random;
uint64_t sim_random_next(sim_random *random);
uint64_t sim_random_below(sim_random *random, uint64_t bound); /* 0 to bound - 1; bound 0 gives 0 */
bool sim_random_chance(sim_random *random, uint32_t one_in);

/* ---- Calls: what a process asked the disk to do. ------------------------------------------------ */

#define SIM_CALL_LIST(X)                                                                           \
    X(CREATE) /* path; also an open with CREATE that made the file */                              \
    X(WRITE)                                                                                       \
    X(SYNC)                                                                                        \
    X(TRUNCATE) /* to `offset`; also an open with TRUNCATE */                                      \
    X(ALLOCATE)                                                                                    \
    X(VOLUME_SYNC) /* every file and every name */                                                 \
    X(DIR_MAKE)                                                                                    \
    X(DIR_SYNC)                                                                                    \
    X(DIR_REMOVE)                                                                                  \
    X(RENAME) /* path to path_to */                                                                \
    X(UNLINK)                                                                                      \
    X(OPEN) /* from here on: calls that change nothing on the disk */                              \
    X(READ)                                                                                        \
    X(NOTE) /* sim_disk_note: the workload's own marks */

typedef enum sim_call_kind {
#define SIM_CALL_ID(name) SIM_CALL_##name,
    SIM_CALL_LIST(SIM_CALL_ID)
#undef SIM_CALL_ID
        SIM_CALL_COUNT
} sim_call_kind;
const char *sim_call_name(sim_call_kind kind); /* "WRITE" */

typedef struct sim_call {
    sim_call_kind kind;
    uint32_t inode;  /* of the file; numbers are given in order of creation, and never again */
    uint64_t offset; /* WRITE, ALLOCATE, READ; TRUNCATE: the new size; NOTE: the value */
    uint64_t bytes;  /* WRITE, ALLOCATE, READ */
    uint8_t *data;   /* WRITE: the bytes, the trace's */
    weir_err err;    /* what the process was told */
    bool applied;    /* it took effect, whatever was told (a failed call may have) */
    char path[SIM_PATH_BYTES];    /* calls on names; for files the path it was opened by */
    char path_to[SIM_PATH_BYTES]; /* RENAME */
} sim_call;

typedef struct sim_trace {
    sim_call *calls;
    size_t count;
    size_t capacity;
} sim_trace;
void sim_trace_fini(sim_trace *trace);

/* ---- The disk ------------------------------------------------------------------------------------ */

sim_disk *sim_disk_create(void);
void sim_disk_destroy(sim_disk *disk); /* every sim_env on it is destroyed before */
/* Contents, names and what is pending; not open files, faults, nor recording. */
sim_disk *sim_disk_clone(const sim_disk *disk);

/* Records every call from now on, oldest first; NULL stops. The trace is the caller's. */
void sim_disk_record(sim_disk *disk, sim_trace *trace);
/* Called after every call, recorded or not; NULL stops. */
void sim_disk_watch(sim_disk *disk, void (*watch)(void *arg, const sim_call *call), void *arg);
/* Puts the workload's own mark in the trace (an acknowledgement, say). */
void sim_disk_note(sim_disk *disk, uint64_t value);
/* Does to the disk what a recorded call did. Calls that were not applied, and those that change
 * nothing, do nothing. A disk that got the calls of a trace in order has the same inode numbers. */
void sim_disk_apply(sim_disk *disk, const sim_call *call);
/* Changing calls so far, and a hash over all calls: the same run gives the same. */
uint64_t sim_disk_calls(const sim_disk *disk);
uint64_t sim_disk_hash(const sim_disk *disk);
/* A hash over what a start would find: live names, sizes and bytes. Two crash states that are equal
 * here are the same state. */
uint64_t sim_disk_content(const sim_disk *disk);

/* ---- Crashes --------------------------------------------------------------------------------------
 */

typedef enum sim_pending_kind {
    SIM_PENDING_WRITE, /* `bytes` at `offset` of a file */
    SIM_PENDING_CUT,   /* a truncation to `offset` */
    SIM_PENDING_SIZE,  /* the file has grown from `offset` to `bytes` */
    SIM_PENDING_NAME,  /* a create, make, rename (whole), unlink or remove in a folder */
} sim_pending_kind;

/* One thing that is not safe yet. */
typedef struct sim_pending {
    sim_pending_kind kind;
    uint32_t index; /* among all that is pending, as sim_disk_pending lists them */
    uint32_t inode; /* the file's, or the folder's */
    uint64_t offset;
    uint64_t bytes;
    uint64_t call;    /* sim_disk_calls() when it was made */
    bool lost;        /* a sync that failed forgot it: no later sync brings it to the disk */
    const char *name; /* of the file (the first it had); NAME: the name that changes. Borrowed. */
} sim_pending;

typedef enum sim_fate {
    SIM_OLD,     /* nothing of it arrived */
    SIM_NEW,     /* all of it */
    SIM_PART,    /* WRITE: the first `bytes`; SIZE: the file ends at `bytes` */
    SIM_SECTORS, /* WRITE: each sector of 512 bytes by itself, by the seed in `bytes` */
} sim_fate;
typedef struct sim_outcome {
    sim_fate fate;
    uint64_t bytes;
} sim_outcome;

typedef struct sim_chooser {
    sim_outcome (*choose)(void *arg, const sim_pending *pending);
    void *arg;
} sim_chooser;
sim_chooser sim_chooser_old(void);                  /* only what was synced */
sim_chooser sim_chooser_new(void);                  /* all of it */
sim_chooser sim_chooser_random(sim_random *random); /* anything at all */

/* Fills up to `max` of what is pending; returns how many there are. */
size_t sim_disk_pending(const sim_disk *disk, sim_pending *out, size_t max);

typedef enum sim_crash {
    SIM_CRASH_KILL, /* the page cache survives; the chooser is asked only about `lost` writes, whose
                      * pages may have left it: OLD, or still there */
    SIM_CRASH_POWER, /* the chooser is asked about everything pending, files first, in order */
} sim_crash;
/* Every process on the disk must be dead (sim_env_dead) or destroyed. Nothing is pending after a
 * power cut. */
void sim_disk_crash(sim_disk *disk, sim_crash crash, sim_chooser chooser);

/* ---- Faults ---------------------------------------------------------------------------------------
 */

/* The `countdown`th call of that kind (1: the next) on a path that contains `part` (NULL: any) fails
 * with `err` (WEIR_IO, WEIR_DISK_FULL), once or for good. A failed WRITE leaves a part of its bytes, by
 * the random stream; a failed SYNC forgets what it should have kept, as Linux does: readable, never
 * written; calls on names fail without effect. `part` is borrowed. One plan per kind. */
typedef struct sim_fault_plan {
    uint64_t countdown; /* 0: none */
    bool for_good;
    weir_err err;
    const char *part;
} sim_fault_plan;
void sim_disk_fault(sim_disk *disk, sim_call_kind kind, sim_fault_plan plan);
void sim_disk_faults_clear(sim_disk *disk);
uint64_t sim_disk_faulted(const sim_disk *disk, sim_call_kind kind); /* how many failed so far */

/* What all live files may take together; 0: no limit. Beyond it DISK_FULL. */
void sim_disk_capacity(sim_disk *disk, uint64_t bytes);
uint64_t sim_disk_used(const sim_disk *disk);
uint64_t sim_disk_refused(const sim_disk *disk); /* calls that met the limit */

/* Files as they lie there, for tests that damage them: the bytes are live and synced at once. */
weir_err sim_disk_peek(const sim_disk *disk, const char *path, uint8_t *out, size_t len,
                       uint64_t offset, size_t *got);
weir_err sim_disk_size(const sim_disk *disk, const char *path, uint64_t *bytes);
void sim_disk_flip(sim_disk *disk, const char *path, uint64_t offset, uint8_t mask);
void sim_disk_cut(sim_disk *disk, const char *path, uint64_t bytes); /* shortens, durably */
/* Every live file, in order of its inode. */
void sim_disk_each(const sim_disk *disk, void (*each)(void *arg, const char *path, uint64_t bytes),
                   void *arg);
uint32_t sim_disk_open_files(const sim_disk *disk); /* handles that were not closed */
void sim_disk_dump(const sim_disk *disk);           /* to standard error, for a person */

/* ---- Time ------------------------------------------------------------------------------------------
 */

uint64_t sim_disk_now_ns(const sim_disk *disk);
void sim_disk_pass(sim_disk *disk, uint64_t ns); /* time goes by */
int64_t sim_disk_wall_ms(const sim_disk *disk);
void sim_disk_wall_jump(sim_disk *disk, int64_t by_ms); /* the wall clock alone */

/* ---- Processes -------------------------------------------------------------------------------------
 */

/* Planted, to test the tests: every process's table says OK, and does not do it. */
typedef enum sim_lie {
    SIM_LIE_NONE,
    SIM_LIE_SYNC,   /* of the journal's files: what is acknowledged was never synced */
    SIM_LIE_FOLDER, /* of folders */
} sim_lie;
void sim_env_lies(sim_lie lie);

sim_env *sim_env_create(sim_disk *disk, uint64_t seed);
void sim_env_destroy(sim_env *env); /* its files are closed and its lanes are empty */
weir_env *sim_env_table(sim_env *env);

/* How long a sync takes, and a job waits for its lane, each from `least` to `most`. */
typedef struct sim_latency {
    uint64_t sync_least_ns, sync_most_ns;
    uint64_t lane_least_ns, lane_most_ns;
} sim_latency;
void sim_env_latency(sim_env *env, sim_latency latency);

/* From this moment the process is dead: its calls return WEIR_IO and change nothing, so that what is
 * left of it in memory can be freed. sim_env_dies arms the same at the `countdown`th changing call
 * (1: the next), which then takes no effect, or (a write) a part; 0 disarms. */
void sim_env_kill(sim_env *env);
void sim_env_dies(sim_env *env, uint64_t countdown);
bool sim_env_dead(const sim_env *env);

/* Lanes: jobs run when the test says so, or in lanes_drain and event_wait, in the order that the
 * random stream picks among lanes. */
bool sim_env_lane_due(const sim_env *env, weir_lane lane); /* its first job's time has come */
uint32_t sim_env_lane_jobs(const sim_env *env, weir_lane lane);
void sim_env_lane_run(sim_env *env, weir_lane lane); /* the first job, due or not */
uint64_t sim_env_next_ns(const sim_env *env); /* when the next job is due; UINT64_MAX: none */
uint64_t sim_env_last_ns(const sim_env *env); /* when all that wait now are due; 0: none */

#endif
