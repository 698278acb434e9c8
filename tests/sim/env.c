/* tests/sim/env.c - one process on the simulated disk: the table that core sees.
 *
 *   call --> is the process dead? --> does it die here? --> does a fault plan hit? --> the disk
 *
 * Every call that changes the disk is counted, hashed and, when asked, recorded with what it did, also
 * when the process was told that it failed. Lanes are queues: nothing runs by itself. A dead process
 * changes nothing and is told WEIR_IO; its jobs still run, so that its memory can be freed.
 *
 * [V1] Nothing changes the disk after sim_env_kill.
 * [V2] A lock is held by one open file at most, and ends with it or with its process. */
#include "tests/sim/internal.h"

#include "core/base/assert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct weir_event {
    bool signalled;
};

enum { TICK_NS = 40, FIRST_PROCESS_ID = 1000 };

static sim_lie planted;

void sim_env_lies(sim_lie lie)
{
    planted = lie;
}

static sim_env *of(weir_env *env)
{
    return (sim_env *)env;
}

/* ---- Before a call
 * --------------------------------------------------------------------------------------- */

typedef enum verdict { GOES, FAILS, DIES } verdict;

static bool plan_hits(sim_disk *disk, sim_call_kind kind, const char *path)
{
    sim_fault_plan *plan = &disk->faults[kind];
    if (plan->countdown == 0 || (plan->part != NULL && strstr(path, plan->part) == NULL)) {
        return false;
    }
    if (plan->countdown > 1) {
        plan->countdown--;
        return false;
    }
    plan->countdown = plan->for_good ? 1 : 0;
    disk->faulted[kind]++;
    return true;
}

static weir_err fail(weir_err err)
{
    errno = err == WEIR_DISK_FULL ? ENOSPC : EIO;
    return err;
}

/* What becomes of a call. DIES: the process is dead from here on. */
static verdict call_begins(sim_env *env, sim_call_kind kind, const char *path)
{
    if (env->dead) {
        return DIES;
    }
    if (kind < SIM_CALL_OPEN && env->dies_in > 0 && --env->dies_in == 0) {
        sim_env_kill(env);
        return DIES;
    }
    return plan_hits(env->disk, kind, path) ? FAILS : GOES;
}

static weir_err fault_of(const sim_env *env, sim_call_kind kind)
{
    weir_err err = env->disk->faults[kind].err;
    return err != WEIR_OK ? err : WEIR_IO;
}

static void path_copy(char out[SIM_PATH_BYTES], const char *path)
{
    (void)snprintf(out, SIM_PATH_BYTES, "%s", path);
}

static sim_call call_of(sim_call_kind kind, const sim_inode *inode, const char *path)
{
    sim_call call = {.kind = kind, .inode = inode != NULL ? inode->number : 0, .applied = true};
    path_copy(call.path, path);
    return call;
}

/* ---- Clock and chance
 * ------------------------------------------------------------------------------------ */

static uint64_t env_monotonic_ns(weir_env *env)
{
    return of(env)->disk->now_ns += TICK_NS;
}

int64_t sim_disk_wall_ms(const sim_disk *disk)
{
    return (int64_t)(disk->now_ns / 1000000) + disk->wall_offset_ms;
}

static int64_t env_wall_ms(weir_env *env)
{
    return sim_disk_wall_ms(of(env)->disk);
}

static void env_random(weir_env *env, void *out, size_t len)
{
    uint8_t *at = out;
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)sim_random_next(&of(env)->random);
    }
}

static uint32_t env_process_id(weir_env *env)
{
    return of(env)->process_id;
}

static uint64_t between(sim_env *env, uint64_t least, uint64_t most)
{
    return least + sim_random_below(&env->chance, most - least + 1);
}

/* ---- Files
 * -------------------------------------------------------------------------------------------- */

static weir_file *handle_create(sim_env *env, sim_inode *inode, const char *path)
{
    weir_file *file = sim_alloc(NULL, sizeof(*file));
    *file = (weir_file){.env = env, .inode = inode, .lost_told = env->disk->lost};
    path_copy(file->path, path);
    sim_inode_keep(inode);
    inode->open_files++;
    return file;
}

static weir_err open_missing(sim_env *env, const char *path, unsigned flags, sim_inode **inode)
{
    if ((flags & WEIR_OPEN_CREATE) == 0) {
        errno = ENOENT;
        return WEIR_NOT_FOUND;
    }
    const char *last = NULL;
    if (sim_parent(env->disk, path, &last) == NULL) {
        errno = ENOENT;
        return WEIR_NOT_FOUND;
    }
    switch (call_begins(env, SIM_CALL_CREATE, path)) {
    case FAILS:
        return fail(fault_of(env, SIM_CALL_CREATE));
    case DIES:
        return fail(WEIR_IO);
    default:
        break;
    }
    *inode = sim_do_create(env->disk, path, false);
    sim_call call = call_of(SIM_CALL_CREATE, *inode, path);
    sim_call_note(env->disk, &call);
    return WEIR_OK;
}

static void open_truncates(sim_env *env, sim_inode *inode, const char *path)
{
    sim_do_truncate(env->disk, inode, 0);
    sim_call call = call_of(SIM_CALL_TRUNCATE, inode, path);
    sim_call_note(env->disk, &call);
}

static weir_err env_file_open(weir_env *table, const char *path, unsigned flags, weir_file **file)
{
    sim_env *env = of(table);
    verdict said = call_begins(env, SIM_CALL_OPEN, path);
    if (said != GOES) {
        return fail(said == FAILS ? fault_of(env, SIM_CALL_OPEN) : WEIR_IO);
    }
    sim_inode *inode = sim_find(env->disk, path);
    if (inode != NULL && ((flags & WEIR_OPEN_EXCLUSIVE) != 0 || inode->folder)) {
        errno = inode->folder ? EISDIR : EEXIST;
        return inode->folder ? WEIR_IO : WEIR_EXISTS;
    }
    bool there = inode != NULL;
    weir_err err = there ? WEIR_OK : open_missing(env, path, flags, &inode);
    if (err != WEIR_OK) {
        return err;
    }
    if (there && (flags & WEIR_OPEN_TRUNCATE) != 0 && inode->live.len > 0) {
        open_truncates(env, inode, path);
    }
    sim_call call = call_of(SIM_CALL_OPEN, inode, path);
    sim_call_note(env->disk, &call);
    *file = handle_create(env, inode, path);
    return WEIR_OK;
}

static void env_file_close(weir_env *table, weir_file *file)
{
    if (file == NULL) {
        return;
    }
    sim_inode *inode = file->inode;
    inode->locker = inode->locker == file ? NULL : inode->locker; /* [V2] */
    inode->open_files--;
    sim_inode_drop(of(table)->disk, inode);
    free(file);
}

static weir_err env_file_read(weir_env *table, weir_file *file, void *out, size_t len,
                              uint64_t offset, size_t *got)
{
    sim_env *env = of(table);
    verdict said = call_begins(env, SIM_CALL_READ, file->path);
    if (said != GOES) {
        return fail(said == FAILS ? fault_of(env, SIM_CALL_READ) : WEIR_IO);
    }
    const sim_bytes *live = &file->inode->live;
    uint64_t there = offset < live->len ? live->len - offset : 0;
    *got = there < len ? (size_t)there : len;
    if (*got > 0) {
        memcpy(out, live->ptr + offset, *got);
    }
    sim_call call = call_of(SIM_CALL_READ, file->inode, file->path);
    call.offset = offset;
    call.bytes = len;
    sim_call_note(env->disk, &call);
    return WEIR_OK;
}

static uint64_t iov_bytes(const struct iovec *iov, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

static uint8_t *iov_join(const struct iovec *iov, int count, uint64_t bytes)
{
    uint8_t *joined = sim_alloc(NULL, bytes);
    uint8_t *at = joined;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0) {
            memcpy(at, iov[i].iov_base, iov[i].iov_len);
        }
        at += iov[i].iov_len;
    }
    return joined;
}

/* Whether a file may end at `end`. */
static bool room_for(sim_disk *disk, const sim_inode *inode, uint64_t end)
{
    uint64_t more = end > inode->live.len ? end - inode->live.len : 0;
    bool room = disk->capacity == 0 || more == 0 || sim_disk_used(disk) + more <= disk->capacity;
    disk->refused += room ? 0 : 1;
    return room;
}

/* How many bytes at `offset` a full disk still takes. */
static uint64_t room_left(const sim_disk *disk, const sim_inode *inode, uint64_t offset)
{
    uint64_t used = sim_disk_used(disk);
    uint64_t free_bytes = used < disk->capacity ? disk->capacity - used : 0;
    uint64_t end = inode->live.len + free_bytes;
    return end > offset ? end - offset : 0;
}

static weir_err env_file_write(weir_env *table, weir_file *file, const struct iovec *iov, int count,
                               uint64_t offset)
{
    sim_env *env = of(table);
    bool dead = env->dead;
    verdict said = call_begins(env, SIM_CALL_WRITE, file->path);
    uint64_t bytes = iov_bytes(iov, count);
    bool room = dead || room_for(env->disk, file->inode, offset + bytes);
    if (dead) {
        return fail(WEIR_IO); /* [V1] */
    }
    if (!room) { /* what there is room for is written */
        uint64_t fits = room_left(env->disk, file->inode, offset);
        bytes = fits < bytes ? fits : bytes;
    }
    if (said != GOES) { /* how much of it is unknown */
        bytes = sim_random_below(&env->chance, bytes + 1);
    }
    uint8_t *joined = count > 1 ? iov_join(iov, count, iov_bytes(iov, count)) : NULL;
    uint8_t *whole = joined != NULL ? joined : count == 1 ? iov[0].iov_base : NULL;
    sim_do_write(env->disk, file->inode, whole, bytes, offset);
    sim_call call = call_of(SIM_CALL_WRITE, file->inode, file->path);
    call.offset = offset;
    call.bytes = bytes;
    call.data = whole;
    call.err = said == FAILS ? fault_of(env, SIM_CALL_WRITE) : room ? WEIR_OK : WEIR_DISK_FULL;
    call.err = said == DIES ? WEIR_IO : call.err;
    sim_call_note(env->disk, &call);
    free(joined);
    return call.err == WEIR_OK ? WEIR_OK : fail(call.err);
}

static weir_err env_file_sync(weir_env *table, weir_file *file)
{
    sim_env *env = of(table);
    verdict said = call_begins(env, SIM_CALL_SYNC, file->path);
    if (said == DIES) {
        return fail(WEIR_IO);
    }
    env->disk->now_ns += between(env, env->latency.sync_least_ns, env->latency.sync_most_ns);
    sim_call call = call_of(SIM_CALL_SYNC, file->inode, file->path);
    call.applied = planted != SIM_LIE_SYNC || strstr(file->path, "/journal/") == NULL;
    if (call.applied) {
        sim_do_sync(env->disk, file->inode, said == FAILS);
    }
    call.err = said == FAILS ? fault_of(env, SIM_CALL_SYNC) : WEIR_OK;
    sim_call_note(env->disk, &call);
    return call.err == WEIR_OK ? WEIR_OK : fail(call.err);
}

static weir_err env_volume_sync(weir_env *table, weir_file *file)
{
    sim_env *env = of(table);
    if (file == NULL) {
        return WEIR_OK; /* supported */
    }
    verdict said = call_begins(env, SIM_CALL_VOLUME_SYNC, file->path);
    if (said == DIES) {
        return fail(WEIR_IO);
    }
    env->disk->now_ns += between(env, env->latency.sync_least_ns, env->latency.sync_most_ns);
    bool lost = env->disk->lost != file->lost_told;
    sim_do_volume_sync(env->disk, said == FAILS);
    file->lost_told = env->disk->lost;
    sim_call call = call_of(SIM_CALL_VOLUME_SYNC, file->inode, file->path);
    call.err = said == FAILS ? fault_of(env, SIM_CALL_VOLUME_SYNC) : WEIR_OK;
    sim_call_note(env->disk, &call);
    if (call.err != WEIR_OK || lost) {
        return fail(call.err != WEIR_OK ? call.err : WEIR_IO);
    }
    return WEIR_OK;
}

static weir_err env_file_size(weir_env *table, weir_file *file, uint64_t *bytes)
{
    if (of(table)->dead) {
        return fail(WEIR_IO);
    }
    *bytes = file->inode->live.len;
    return WEIR_OK;
}

static weir_err env_file_truncate(weir_env *table, weir_file *file, uint64_t bytes)
{
    sim_env *env = of(table);
    verdict said = call_begins(env, SIM_CALL_TRUNCATE, file->path);
    if (said != GOES) {
        return fail(said == FAILS ? fault_of(env, SIM_CALL_TRUNCATE) : WEIR_IO);
    }
    if (!room_for(env->disk, file->inode, bytes)) {
        return fail(WEIR_DISK_FULL);
    }
    sim_do_truncate(env->disk, file->inode, bytes);
    sim_call call = call_of(SIM_CALL_TRUNCATE, file->inode, file->path);
    call.offset = bytes;
    sim_call_note(env->disk, &call);
    return WEIR_OK;
}

static weir_err env_file_allocate(weir_env *table, weir_file *file, uint64_t offset, uint64_t bytes)
{
    sim_env *env = of(table);
    verdict said = call_begins(env, SIM_CALL_ALLOCATE, file->path);
    if (said != GOES) {
        return fail(said == FAILS ? fault_of(env, SIM_CALL_ALLOCATE) : WEIR_IO);
    }
    if (!room_for(env->disk, file->inode, offset + bytes)) {
        return fail(WEIR_DISK_FULL);
    }
    if (offset + bytes > file->inode->live.len) {
        sim_bytes_size(&file->inode->live, offset + bytes);
    }
    sim_call call = call_of(SIM_CALL_ALLOCATE, file->inode, file->path);
    call.offset = offset;
    call.bytes = bytes;
    sim_call_note(env->disk, &call);
    return WEIR_OK;
}

static weir_err env_file_lock(weir_env *table, weir_file *file)
{
    if (of(table)->dead) {
        return fail(WEIR_IO);
    }
    if (file->inode->locker != NULL && file->inode->locker != file) {
        errno = EWOULDBLOCK;
        return WEIR_LOCKED;
    }
    file->inode->locker = file;
    return WEIR_OK;
}

/* ---- Folders
 * ------------------------------------------------------------------------------------------ */

/* Begins a call on names: OK, or what the process is told. */
static weir_err name_call(sim_env *env, sim_call_kind kind, const char *path)
{
    switch (call_begins(env, kind, path)) {
    case FAILS:
        return fail(fault_of(env, kind));
    case DIES:
        return fail(WEIR_IO);
    default:
        return WEIR_OK;
    }
}

static weir_err not_found(void)
{
    errno = ENOENT;
    return WEIR_NOT_FOUND;
}

static weir_err env_dir_make(weir_env *table, const char *path)
{
    sim_env *env = of(table);
    const char *last = NULL;
    if (env->dead) {
        return fail(WEIR_IO);
    }
    const sim_inode *there = sim_find(env->disk, path);
    if (there != NULL) {
        errno = EEXIST;
        return there->folder ? WEIR_OK : WEIR_EXISTS;
    }
    if (sim_parent(env->disk, path, &last) == NULL) {
        return not_found();
    }
    weir_err err = name_call(env, SIM_CALL_DIR_MAKE, path);
    if (err == WEIR_OK) {
        sim_call call = call_of(SIM_CALL_DIR_MAKE, sim_do_create(env->disk, path, true), path);
        sim_call_note(env->disk, &call);
    }
    return err;
}

static weir_err env_dir_sync(weir_env *table, const char *path)
{
    sim_env *env = of(table);
    weir_err err = name_call(env, SIM_CALL_DIR_SYNC, path);
    if (err != WEIR_OK) {
        return err;
    }
    sim_inode *folder = sim_find(env->disk, path);
    if (folder == NULL || !folder->folder) {
        return not_found();
    }
    env->disk->now_ns += between(env, env->latency.sync_least_ns, env->latency.sync_most_ns);
    sim_call call = call_of(SIM_CALL_DIR_SYNC, folder, path);
    call.applied = planted != SIM_LIE_FOLDER;
    if (call.applied) {
        sim_do_dir_sync(env->disk, folder);
    }
    sim_call_note(env->disk, &call);
    return WEIR_OK;
}

static weir_err env_dir_list(weir_env *table, const char *path,
                             bool (*each)(void *arg, const char *name), void *arg)
{
    sim_env *env = of(table);
    if (env->dead) {
        return fail(WEIR_IO);
    }
    const sim_inode *folder = sim_find(env->disk, path);
    if (folder == NULL || !folder->folder) {
        return not_found();
    }
    uint32_t count = folder->names.count;
    uint64_t first = sim_random_below(&env->chance, count);
    char(*names)[SIM_NAME_BYTES] = sim_alloc(NULL, (size_t)count * SIM_NAME_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(names[i], folder->names.items[(first + i) % count].name, SIM_NAME_BYTES);
    }
    for (uint32_t i = 0; i < count && each(arg, names[i]); i++) {
    }
    free(names);
    return WEIR_OK;
}

static weir_err env_rename(weir_env *table, const char *from, const char *to)
{
    sim_env *env = of(table);
    weir_err err = name_call(env, SIM_CALL_RENAME, from);
    err = err == WEIR_OK ? sim_do_rename(env->disk, from, to) : err;
    if (err == WEIR_OK) {
        sim_call call = call_of(SIM_CALL_RENAME, NULL, from);
        path_copy(call.path_to, to);
        sim_call_note(env->disk, &call);
    }
    errno = err == WEIR_NOT_FOUND ? ENOENT : errno;
    return err;
}

static weir_err remove_name(sim_env *env, sim_call_kind kind, const char *path)
{
    weir_err err = name_call(env, kind, path);
    err = err == WEIR_OK ? sim_do_unlink(env->disk, path, kind == SIM_CALL_DIR_REMOVE) : err;
    if (err == WEIR_OK) {
        sim_call call = call_of(kind, NULL, path);
        sim_call_note(env->disk, &call);
    }
    errno = err == WEIR_NOT_FOUND ? ENOENT : errno;
    return err;
}

static weir_err env_unlink(weir_env *table, const char *path)
{
    return remove_name(of(table), SIM_CALL_UNLINK, path);
}

static weir_err env_dir_remove(weir_env *table, const char *path)
{
    return remove_name(of(table), SIM_CALL_DIR_REMOVE, path);
}

static weir_err env_space_free(weir_env *table, const char *path, uint64_t *bytes)
{
    const sim_disk *disk = of(table)->disk;
    (void)path;
    if (of(table)->dead) {
        return fail(WEIR_IO);
    }
    uint64_t used = disk->capacity > 0 ? sim_disk_used(disk) : 0;
    *bytes = disk->capacity == 0      ? (uint64_t)1 << 40
             : disk->capacity <= used ? 0
                                      : disk->capacity - used;
    return WEIR_OK;
}

/* ---- Lanes and events
 * ------------------------------------------------------------------------------------ */

static void env_job_submit(weir_env *table, weir_lane which, weir_job *job)
{
    sim_env *env = of(table);
    sim_lane *lane = &env->lanes[which];
    WEIR_ASSERT(lane->count < SIM_LANE_JOBS_MAX);
    uint32_t at = (lane->head + lane->count++) % SIM_LANE_JOBS_MAX;
    lane->jobs[at] = job;
    lane->due_ns[at] =
        env->disk->now_ns + between(env, env->latency.lane_least_ns, env->latency.lane_most_ns);
}

void sim_env_lane_run(sim_env *env, weir_lane which)
{
    sim_lane *lane = &env->lanes[which];
    if (lane->count == 0) {
        return;
    }
    weir_job *job = lane->jobs[lane->head];
    lane->head = (lane->head + 1) % SIM_LANE_JOBS_MAX;
    lane->count--;
    job->run(job);
    job->done(job);
}

/* One job of a lane that has any; false: none has. */
static bool run_any(sim_env *env)
{
    uint64_t first = sim_random_below(&env->chance, WEIR_LANE_COUNT);
    for (uint64_t i = 0; i < WEIR_LANE_COUNT; i++) {
        weir_lane which = (weir_lane)((first + i) % WEIR_LANE_COUNT);
        if (env->lanes[which].count > 0) {
            sim_env_lane_run(env, which);
            return true;
        }
    }
    return false;
}

static void env_lanes_drain(weir_env *table)
{
    while (run_any(of(table))) {
    }
}

static weir_err env_event_open(weir_env *table, weir_event **event)
{
    (void)table;
    *event = sim_alloc(NULL, sizeof(**event));
    (*event)->signalled = false;
    return WEIR_OK;
}

static void env_event_close(weir_env *table, weir_event *event)
{
    (void)table;
    free(event);
}

static int env_event_fd(weir_env *table, weir_event *event)
{
    (void)table;
    (void)event;
    return -1;
}

static void env_event_signal(weir_env *table, weir_event *event)
{
    (void)table;
    event->signalled = true;
}

static void env_event_clear(weir_env *table, weir_event *event)
{
    (void)table;
    event->signalled = false;
}

/* Nobody else runs: a job does, or time goes by. */
static void env_event_wait(weir_env *table, weir_event *event, int timeout_ms)
{
    sim_env *env = of(table);
    if ((event != NULL && event->signalled) || run_any(env)) {
        return;
    }
    WEIR_ASSERT(timeout_ms >= 0); /* it would wait for ever */
    env->disk->now_ns += (uint64_t)timeout_ms * 1000000;
}

/* ---- Life and queries
 * ------------------------------------------------------------------------------------ */

static const weir_env_ops OPS = {
    .monotonic_ns = env_monotonic_ns,
    .wall_ms = env_wall_ms,
    .random = env_random,
    .file_open = env_file_open,
    .file_close = env_file_close,
    .file_read = env_file_read,
    .file_read_stream = env_file_read,
    .file_write = env_file_write,
    .file_write_stream = env_file_write, /* what a cut leaves of a write is any part of it anyway */
    .file_sync = env_file_sync,
    .volume_sync = env_volume_sync,
    .file_size = env_file_size,
    .file_truncate = env_file_truncate,
    .file_allocate = env_file_allocate,
    .file_lock = env_file_lock,
    .dir_make = env_dir_make,
    .dir_sync = env_dir_sync,
    .dir_list = env_dir_list,
    .rename = env_rename,
    .unlink = env_unlink,
    .dir_remove = env_dir_remove,
    .space_free = env_space_free,
    .job_submit = env_job_submit,
    .lanes_drain = env_lanes_drain,
    .event_open = env_event_open,
    .event_close = env_event_close,
    .event_fd = env_event_fd,
    .event_signal = env_event_signal,
    .event_clear = env_event_clear,
    .event_wait = env_event_wait,
    .process_id = env_process_id,
};

sim_env *sim_env_create(sim_disk *disk, uint64_t seed)
{
    sim_env *env = sim_alloc(NULL, sizeof(*env));
    memset(env, 0, sizeof(*env));
    env->table.ops = &OPS;
    env->disk = disk;
    env->random.state = seed;
    env->chance.state = sim_random_next(&(sim_random){seed ^ 0x5eed});
    env->latency = (sim_latency){20000, 80000, 10000, 100000};
    env->process_id =
        FIRST_PROCESS_ID + (disk->envs != NULL ? disk->envs->process_id % 1000 + 1 : 0);
    env->next = disk->envs;
    disk->envs = env;
    return env;
}

void sim_env_destroy(sim_env *env)
{
    sim_env **at = &env->disk->envs;
    for (int lane = 0; lane < WEIR_LANE_COUNT; lane++) {
        WEIR_ASSERT(env->lanes[lane].count == 0);
    }
    while (*at != env) {
        at = &(*at)->next;
    }
    *at = env->next;
    free(env);
}

weir_env *sim_env_table(sim_env *env)
{
    return &env->table;
}

void sim_env_latency(sim_env *env, sim_latency latency)
{
    env->latency = latency;
}

void sim_env_kill(sim_env *env)
{
    sim_disk *disk = env->disk;
    env->dead = true;
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        sim_inode *inode = disk->inodes[i];
        if (inode != NULL && inode->locker != NULL && inode->locker->env == env) {
            inode->locker = NULL; /* [V2] */
        }
    }
}

void sim_env_dies(sim_env *env, uint64_t countdown)
{
    env->dies_in = countdown;
}

bool sim_env_dead(const sim_env *env)
{
    return env->dead;
}

bool sim_env_lane_due(const sim_env *env, weir_lane which)
{
    const sim_lane *lane = &env->lanes[which];
    return lane->count > 0 && lane->due_ns[lane->head] <= env->disk->now_ns;
}

uint32_t sim_env_lane_jobs(const sim_env *env, weir_lane which)
{
    return env->lanes[which].count;
}

uint64_t sim_env_next_ns(const sim_env *env)
{
    uint64_t next = UINT64_MAX;
    for (int which = 0; which < WEIR_LANE_COUNT; which++) {
        const sim_lane *lane = &env->lanes[which];
        if (lane->count > 0 && lane->due_ns[lane->head] < next) {
            next = lane->due_ns[lane->head];
        }
    }
    return next;
}

uint64_t sim_env_last_ns(const sim_env *env)
{
    uint64_t last = 0;
    for (int which = 0; which < WEIR_LANE_COUNT; which++) {
        const sim_lane *lane = &env->lanes[which];
        for (uint32_t i = 0; i < lane->count; i++) {
            uint64_t due = lane->due_ns[(lane->head + i) % SIM_LANE_JOBS_MAX];
            last = due > last ? due : last;
        }
    }
    return last;
}
