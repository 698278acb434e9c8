/* core/journal/writer.c - brings what waits to the disk: one write and one sync for all of it.
 *
 *            flush                 run (inline, or on the journal's lane)
 *   waiting -------> on its way ------------------------------------------> written, durable
 *      ^                  |  no file could be made or opened: retained, tried again by poll
 *      |                  |  a write or a sync failed: READ_ONLY for good
 *      +-- units added meanwhile wait for the next
 *
 * The owner's thread plans a write (which buffer, where, into which file), a job runs it, and the
 * owner takes in what came of it: nothing but the job touches the open file meanwhile, and the job
 * touches nothing else. When the file has no room left, the same write first syncs the old file,
 * gives a spare its name, and puts the new file's head in front of the block.
 *
 * A failed sync is never tried again: the kernel may have marked the pages clean, and a second sync
 * would succeed without them. A file that could not be made for want of space, or not opened for want
 * of a descriptor, is tried again, because nothing was written. What could not even be opened to be
 * synced was not synced: that too is tried again.
 *
 * Records at `os` are synced behind: a lane syncs what is written, and blocks that nobody waits to be
 * synced go into the page cache of the same file meanwhile. What must be synced, or needs a new file,
 * waits until that is over. A large batch beside is not synced so: its files are synced with the
 * journal's own, by whoever writes.
 *
 * What units refer to in other files (journal.h, beside) is written before their block and synced
 * before the journal's own sync, by the same job.
 *
 * [W1] A head is written only after every block of the files before it is synced, and all that they
 *      refer to.
 * [W2] One write is under way at most, and blocks reach the disk in the order of their sequence.
 * [W3] What was asked for while a write was under way is remembered, the stronger wish winning.
 * [W4] No block is written before what its units refer to, and none is called synced before it.
 * [W5] While a trailing sync runs there is no other sync, and the file stays open: of two on one open
 *      file the kernel tells only one that pages were lost. */
#include "core/journal/internal.h"

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/env/failpoint.h"

#include <errno.h>
#include <string.h>

enum {
    THREAD_ABOVE_NS = 1000000,  /* AUTO: a slower disk is written on a thread */
    INLINE_BELOW_NS = 500000,   /* and inline again when it is clearly faster */
    MEAN_WEIGHT = 8,            /* one part in so many is the newest sample, */
    MEAN_TIMES_MAX = 4,         /* and counts so many times the mean at most */
    ZEROS_BELOW_BYTES = 262144, /* syncs of larger groups gain nothing from a file of zeros */
    CACHED_BYTES_MAX = 65536,   /* AUTO: an unsynced block up to this is written inline */
    RETRY_NS = 100000000,       /* between attempts to make a file on a full disk */
};

/* Running a write: on whichever thread. */

/* What units refer to, then the journal's file: [W4]. */
static weir_err run_sync(weir_journal_write *write)
{
    const weir_journal *journal = write->journal;
    weir_err err = WEIR_OK;
    if (journal->beside.sync != NULL) {
        err = journal->beside.sync(journal->beside.arg);
        write->sync_waits = err == WEIR_NO_MEMORY;
        err = err == WEIR_OK ? WEIR_FAILPOINT(straight_synced) : err;
    }
    return err == WEIR_OK ? journal->env->ops->file_sync(journal->env, journal->file) : err;
}

/* What the block's units refer to. For want of room it is tried again, together with the block. */
static weir_err run_beside(weir_journal_write *write)
{
    const weir_journal_beside *beside = &write->journal->beside;
    if (!write->beside || beside->write == NULL) {
        return WEIR_OK;
    }
    weir_err err = beside->write(beside->arg);
    write->unchanged = err == WEIR_DISK_FULL || err == WEIR_NO_MEMORY;
    write->beside_full = write->unchanged;
    return err == WEIR_OK ? WEIR_FAILPOINT(straight_written) : err;
}

/* Leaves the old file synced and journal->file at the new one. */
static weir_err run_change_file(weir_journal_write *write)
{
    weir_journal *journal = write->journal;
    weir_env *env = journal->env;
    weir_file *file;
    weir_err err;
    if (write->sync_before) { /* [W1] */
        err = run_sync(write);
        if (err != WEIR_OK) {
            write->unchanged = write->sync_waits;
            return err;
        }
        write->synced_before = true;
    }
    if (write->spare != 0) {
        err = weir_journal_spare_use(&journal->dir, write->spare, write->number, &file);
        write->unchanged = err == WEIR_NO_MEMORY;
    } else {
        err = weir_journal_file_create(&journal->dir, write->number, write->file_bytes,
                                       write->zeroed, &file);
        write->unchanged = err == WEIR_DISK_FULL || err == WEIR_NO_MEMORY;
    }
    if (err != WEIR_OK) {
        return err;
    }
    env->ops->file_close(env, journal->file);
    journal->file = file;
    return WEIR_OK;
}

static weir_err run_block(weir_journal_write *write)
{
    weir_journal *journal = write->journal;
    uint8_t page[WEIR_JOURNAL_PAGE_BYTES];
    uint8_t *ptr = write->buffer->ptr;
    uint32_t span =
        weir_journal_block_encode(ptr, journal->journal_id, write->head.number, &write->block);
    write->span_bytes = span;
    struct iovec parts[2] = {{page, sizeof(page)}, {ptr, span}};
    const weir_env_ops *ops = journal->env->ops;
    /* Nobody reads it but the next start. A small block costs more as a transfer of its own. */
    weir_err (*put)(weir_env *, weir_file *, const struct iovec *, int, uint64_t) =
        span >= CACHED_BYTES_MAX ? ops->file_write_stream : ops->file_write;
    if (write->number == 0) {
        return put(journal->env, journal->file, &parts[1], 1, write->position);
    }
    weir_journal_head_encode(&write->head, page);
    return put(journal->env, journal->file, parts, 2, 0);
}

static weir_err run_parts(weir_journal_write *write)
{
    weir_env *env = write->journal->env;
    uint64_t begun_ns = env->ops->monotonic_ns(env);
    weir_err err = run_beside(write); /* first: when it has to wait, the file has not changed */
    uint64_t beside_ns = env->ops->monotonic_ns(env) - begun_ns;
    if (err == WEIR_OK && write->number != 0) {
        err = run_change_file(write);
    }
    if (err != WEIR_OK) {
        return err;
    }
    begun_ns = env->ops->monotonic_ns(env);
    err = write->buffer != NULL ? run_block(write) : WEIR_OK;
    err = err != WEIR_OK ? err : WEIR_FAILPOINT(journal_block_written);
    if (err == WEIR_OK && write->sync) {
        err = run_sync(write);
        err = err != WEIR_OK ? err : WEIR_FAILPOINT(journal_block_synced);
    }
    write->took_ns = env->ops->monotonic_ns(env) - begun_ns + beside_ns;
    if (err == WEIR_NO_MEMORY && write->sync_waits) {
        write->sync = false; /* it is written, and waits for its sync */
        err = WEIR_OK;
    }
    return err;
}

static void write_run(weir_job *job)
{
    weir_journal_write *write = (weir_journal_write *)job;
    write->err = run_parts(write);
    if (write->err != WEIR_OK && !write->unchanged) {
        int os_errno = errno;
        weir_log(WEIR_LOG_ERROR, "journal",
                 "write failed err=%s reason=\"%s\" unit=%llu: read only",
                 weir_err_name(write->err), strerror(os_errno),
                 (unsigned long long)write->block.first_unit);
    }
}

static void write_done(weir_job *job)
{
    weir_journal *journal = ((weir_journal_write *)job)->journal;
    void (*wake)(void *arg) = journal->wake;
    void *wake_arg = journal->wake_arg;
    atomic_store_explicit(&journal->write.done, true, memory_order_release);
    if (wake != NULL) {
        wake(wake_arg);
    }
}

/* Taking in what came of it: the owner. */

static void mean_update(uint64_t *mean, uint64_t sample)
{
    *mean = *mean == 0 ? sample : *mean - *mean / MEAN_WEIGHT + sample / MEAN_WEIGHT;
}

static void sync_took(weir_journal *journal, uint64_t took_ns)
{
    uint64_t *mean = &journal->counts.sync_ns_mean;
    uint64_t most = *mean * MEAN_TIMES_MAX;
    mean_update(mean, *mean > 0 && took_ns > most ? most : took_ns);
}

/* A sync of a file that was written before changes no metadata, which makes a small one a third
 * shorter; of a large group it saves nothing, and the zeros cost as much as the group itself. */
static bool zeros_pay(const weir_journal *journal)
{
    return journal->group_bytes_mean < ZEROS_BELOW_BYTES;
}

static void file_full(weir_journal *journal)
{
    if (!journal->disk_full) {
        weir_log(WEIR_LOG_WARN, "journal", "no room for another journal file: writing waits");
    }
    journal->disk_full = true;
    journal->retry_at_ns = journal->env->ops->monotonic_ns(journal->env) + RETRY_NS;
}

/* Nothing was done: it is tried again when others may have given back what they had. */
static void lacking_wait(weir_journal *journal)
{
    if (!journal->lack_told) {
        weir_log(WEIR_LOG_ERROR, "journal",
                 "memory or a file descriptor could not be had: writing waits and is tried again; "
                 "raise the limit of open files (ulimit -n, LimitNOFILE=), or close connections");
    }
    journal->lack_told = true;
    journal->retry_at_ns = journal->env->ops->monotonic_ns(journal->env) + RETRY_NS;
}

/* The spare that a write did not get to. */
static void spare_give_back(weir_journal *journal)
{
    weir_journal_write *write = &journal->write;
    if (write->reserve) {
        journal->reserve = write->spare;
        journal->reserve_taken = false;
    } else if (write->spare != 0 && journal->spare_count < WEIR_JOURNAL_SPARES_MAX) {
        journal->spares[journal->spare_count++] = write->spare;
    }
}

/* No file could be made: the block goes to the reserve, when that is there and takes it. */
static bool reserve_use(weir_journal *journal)
{
    uint64_t units = journal->retained->len - WEIR_JOURNAL_BLOCK_HEAD_BYTES;
    uint64_t bytes = WEIR_JOURNAL_PAGE_BYTES + weir_journal_block_span(units);
    journal->reserve_now = journal->reserve != 0 && bytes <= journal->reserve_size;
    return journal->reserve_now;
}

/* Other files need room for what the block refers to: the reserve's is given to them. */
static bool reserve_give(weir_journal *journal)
{
    char path[WEIR_JOURNAL_PATH_MAX];
    if (journal->reserve == 0) {
        return false;
    }
    weir_journal_path(&journal->dir, (weir_journal_name){journal->reserve, WEIR_JOURNAL_SPARE},
                      path);
    journal->reserve = 0;
    journal->reserve_taken = true;
    return journal->env->ops->unlink(journal->env, path) == WEIR_OK;
}

/* The block waits in its buffer until a file can be made, or there is room for what it refers to.
 * With the reserve it does not wait; from then on publishes are refused. */
static void finish_blocked(weir_journal *journal)
{
    weir_journal_write *write = &journal->write;
    journal->retained = write->buffer;
    journal->blocked = true;
    journal->want_write = true;
    journal->want_sync |= write->sync;
    journal->beside_full = write->beside_full;
    journal->no_memory = write->err == WEIR_NO_MEMORY;
    if (journal->no_memory) {
        lacking_wait(journal);
        spare_give_back(journal);
        return;
    }
    if (!write->beside_full) {
        file_full(journal);
        journal->retry_now = write->err == WEIR_DISK_FULL && reserve_use(journal);
        return;
    }
    journal->retry_at_ns = journal->env->ops->monotonic_ns(journal->env) + RETRY_NS;
    spare_give_back(journal);
    journal->retry_now = write->err == WEIR_DISK_FULL && reserve_give(journal);
}

static void finish_file(weir_journal *journal)
{
    weir_journal_write *write = &journal->write;
    WEIR_ASSERT(journal->file_count < journal->file_capacity);
    journal->files[journal->file_count++] = (weir_journal_file){
        .number = write->number,
        .bytes = write->file_bytes,
        .first_unit = write->head.first_unit,
        .ours = true,
    };
    journal->counts.files_created += write->spare == 0 ? 1 : 0;
    journal->position = WEIR_JOURNAL_PAGE_BYTES;
    journal->disk_full = write->spare == 0 ? false : journal->disk_full;
}

static void finish_block(weir_journal *journal)
{
    weir_journal_write *write = &journal->write;
    weir_journal_buffer *buffer = write->buffer;
    journal->position += write->span_bytes;
    journal->sequence_next++;
    journal->file_unsynced = true;
    journal->last_mark = write->block.durable;
    if (buffer->unit_count > 0) {
        journal->written = buffer->first_unit + buffer->unit_count - 1;
        journal->beside_unsynced |= journal->beside_bytes > 0;
    }
    journal->counts.bytes += write->span_bytes;
    journal->group_bytes += write->span_bytes;
    journal->counts.writes++;
    if (buffer->capacity > WEIR_JOURNAL_BUFFER_KEEP_BYTES && buffer->len < buffer->capacity / 4) {
        weir_journal_buffer_fini(buffer);
    }
    buffer->len = 0;
    buffer->unit_count = 0;
}

static void beside_end(weir_journal *journal, weir_err err)
{
    if (journal->write.beside && journal->beside.end != NULL) {
        journal->beside.end(journal->beside.arg, err);
    }
}

/* After a write that went well, but perhaps for its sync. */
static void finish_lack(weir_journal *journal)
{
    const weir_journal_write *write = &journal->write;
    journal->no_memory = false;
    journal->sync_waits = write->sync_waits || (journal->sync_waits && !write->sync);
    if (write->sync_waits) {
        journal->want_sync = true;
        lacking_wait(journal);
    }
    if (journal->lack_told && !journal->sync_waits) {
        weir_log(WEIR_LOG_INFO, "journal",
                 "memory and file descriptors can be had: writing goes on");
        journal->lack_told = false;
    }
}

static void write_finish(weir_journal *journal)
{
    weir_journal_write *write = &journal->write;
    journal->busy = false;
    if (journal->failed || (write->err != WEIR_OK && !write->unchanged)) {
        journal->failed = true; /* [J3]; or a trailing sync has failed meanwhile */
        beside_end(journal, write->err != WEIR_OK ? write->err : WEIR_IO);
        return;
    }
    if (write->synced_before) {
        journal->file_unsynced = false;
        journal->beside_unsynced = false;
        journal->durable = journal->written; /* [J1] */
        journal->counts.syncs++;
    }
    if (write->err != WEIR_OK && write->buffer == &journal->mark) {
        lacking_wait(journal); /* a mark is worth no second attempt */
        spare_give_back(journal);
        return;
    }
    if (write->err != WEIR_OK) {
        finish_blocked(journal);
        return;
    }
    finish_lack(journal);
    journal->blocked = false;
    journal->beside_full = false;
    journal->retained = NULL;
    beside_end(journal, WEIR_OK);
    if (write->number != 0) {
        finish_file(journal);
    }
    if (write->buffer != NULL) {
        finish_block(journal);
    }
    if (write->sync) {
        journal->file_unsynced = false;
        journal->beside_unsynced = false;
        journal->durable = journal->written; /* [J1] */
        journal->counts.syncs++;
        sync_took(journal, write->took_ns);
        mean_update(&journal->group_bytes_mean, journal->group_bytes);
        journal->group_bytes = 0;
    }
}

/* Planning a write: the owner. */

/* A little that is not synced goes to the page cache, which is not worth two wake-ups. */
static bool thread_chosen(weir_journal *journal)
{
    const weir_journal_write *write = &journal->write;
    uint64_t bytes = write->block.units.len + (write->beside ? journal->beside_bytes : 0);
    bool little = !write->sync && write->number == 0 && bytes < CACHED_BYTES_MAX;
    if (journal->sync_mode == WEIR_SYNC_AUTO && little) {
        return false;
    }
    if (journal->sync_mode != WEIR_SYNC_AUTO) {
        return journal->sync_mode == WEIR_SYNC_THREAD;
    }
    uint64_t limit = journal->threaded ? INLINE_BELOW_NS : THREAD_ABOVE_NS;
    journal->threaded = journal->counts.sync_ns_mean > limit;
    return journal->threaded;
}

/* The block does not fit: says which file comes next. */
static void plan_file(weir_journal *journal, weir_journal_write *write, uint64_t span)
{
    uint64_t need = WEIR_JOURNAL_PAGE_BYTES + span;
    write->number = journal->number_next++;
    write->sync_before = journal->file_unsynced;
    write->file_bytes = journal->file_bytes;
    if (journal->reserve_now) {
        write->spare = journal->reserve;
        write->reserve = true;
        write->file_bytes = journal->reserve_size;
        journal->reserve = 0;
        journal->reserve_taken = true;
    } else if (need > journal->file_bytes) {
        write->file_bytes = need; /* a file of its own, filled by this very write */
    } else if (journal->spare_count > 0) {
        write->spare = journal->spares[--journal->spare_count];
    } else {
        if (write->file_bytes > WEIR_JOURNAL_SMALL_FILE_BYTES) {
            write->file_bytes = WEIR_JOURNAL_SMALL_FILE_BYTES;
        }
        write->file_bytes = need > write->file_bytes ? need : write->file_bytes;
        write->zeroed = zeros_pay(journal);
    }
    write->head = (weir_journal_head){
        .journal_id = journal->journal_id,
        .number = write->number,
        .file_bytes = write->file_bytes,
        .first_unit = journal->written + 1,
        .first_sequence = journal->sequence_next,
        .durable = journal->written, /* [W1] */
        .term = journal->term,
        .previous_number = journal->files[journal->file_count - 1].number,
        .previous_end = journal->position,
    };
}

/* How the write job is laid out before a run; what a run answers is reset. */
static void plan(weir_journal *journal, weir_journal_buffer *buffer, bool sync)
{
    weir_journal_write *write = &journal->write;
    const weir_journal_file *file = &journal->files[journal->file_count - 1];
    *write = (weir_journal_write){
        .job = {.run = write_run, .done = write_done},
        .journal = journal,
        .buffer = buffer,
        .sync = sync,
        .position = journal->position,
        .head = {.number = file->number},
    };
    journal->blocked = journal->blocked && !journal->retry_now;
    if (buffer == NULL) {
        return;
    }
    bool units = buffer->unit_count > 0;
    write->beside = units;
    size_t payload = units ? buffer->len - WEIR_JOURNAL_BLOCK_HEAD_BYTES : 0;
    uint64_t span = weir_journal_block_span(payload);
    write->block = (weir_journal_block){
        .sequence = journal->sequence_next,
        .first_unit = units ? buffer->first_unit : 0,
        .unit_count = buffer->unit_count,
        .durable = journal->durable, /* [J2] */
        .units = {buffer->ptr + WEIR_JOURNAL_BLOCK_HEAD_BYTES, payload},
    };
    if (journal->position + span > file->bytes) {
        plan_file(journal, write, span);
        write->block.durable = journal->written;
    }
    journal->reserve_now = false;
    journal->retry_now = false;
}

/* Runs or submits what was planned. */
static void launch(weir_journal *journal)
{
    journal->busy = true;
    if (thread_chosen(journal)) {
        journal->lanes_used = true;
        journal->env->ops->job_submit(journal->env, WEIR_LANE_JOURNAL, &journal->write.job);
        return;
    }
    write_run(&journal->write.job);
    write_finish(journal);
}

/* The buffer to be written next: the one that waited for a file, or what was added since. */
static weir_journal_buffer *buffer_next(weir_journal *journal)
{
    if (journal->retained != NULL) {
        return journal->retained;
    }
    if (journal->active->unit_count == 0) {
        return NULL;
    }
    weir_journal_buffer *full = journal->active;
    journal->active = full == &journal->buffers[0] ? &journal->buffers[1] : &journal->buffers[0];
    return full;
}

/* What waits is larger than a spare: it needs a file of its own. */
static bool retained_is_large(const weir_journal *journal)
{
    uint64_t span = weir_journal_block_span(journal->retained->len - WEIR_JOURNAL_BLOCK_HEAD_BYTES);
    return WEIR_JOURNAL_PAGE_BYTES + span > journal->file_bytes;
}

/* No file could be made or opened a moment ago, and no spare would help. */
static bool retry_waits(const weir_journal *journal)
{
    bool blocked = journal->blocked && !journal->retry_now &&
                   (journal->spare_count == 0 || journal->beside_full || journal->no_memory ||
                    retained_is_large(journal));
    return (blocked || journal->sync_waits) &&
           journal->env->ops->monotonic_ns(journal->env) < journal->retry_at_ns;
}

/* Takes what the units of the next block refer to. False: there is no memory; another time. */
static bool beside_begin(weir_journal *journal)
{
    if (journal->beside.begin == NULL || journal->retained != NULL ||
        journal->active->unit_count == 0) {
        return true; /* a block that waited has its set */
    }
    return journal->beside.begin(journal->beside.arg, &journal->beside_bytes) == WEIR_OK;
}

/* The trailing sync. */

static void trailing_run(weir_job *job)
{
    weir_journal_trailing *trailing = (weir_journal_trailing *)job;
    weir_env *env = trailing->journal->env;
    uint64_t begun_ns = env->ops->monotonic_ns(env);
    weir_err err = env->ops->file_sync(env, trailing->file);
    int os_errno = errno;
    err = err == WEIR_OK ? WEIR_FAILPOINT(journal_block_synced) : err;
    trailing->err = err;
    trailing->took_ns = env->ops->monotonic_ns(env) - begun_ns;
    if (err != WEIR_OK) {
        weir_log(WEIR_LOG_ERROR, "journal", "sync failed err=%s reason=\"%s\" unit=%llu: read only",
                 weir_err_name(err), strerror(os_errno), (unsigned long long)trailing->unit);
    }
}

static void trailing_done(weir_job *job)
{
    weir_journal *journal = ((weir_journal_trailing *)job)->journal;
    void (*wake)(void *arg) = journal->wake;
    void *wake_arg = journal->wake_arg;
    atomic_store_explicit(&journal->trailing.done, true, memory_order_release);
    if (wake != NULL) {
        wake(wake_arg);
    }
}

static void trailing_take_in(weir_journal *journal)
{
    weir_journal_trailing *trailing = &journal->trailing;
    if (!trailing->running || !atomic_load_explicit(&trailing->done, memory_order_acquire)) {
        return;
    }
    trailing->running = false;
    if (trailing->err != WEIR_OK) {
        journal->failed = true; /* [J3] */
        return;
    }
    journal->durable = trailing->unit; /* [J1] */
    journal->file_unsynced = journal->sequence_next != trailing->sequence_next;
    journal->counts.syncs++;
    sync_took(journal, trailing->took_ns);
    mean_update(&journal->group_bytes_mean, trailing->group_bytes);
    journal->group_bytes -= trailing->group_bytes;
}

static void trailing_start(weir_journal *journal)
{
    journal->trailing = (weir_journal_trailing){
        .job = {.run = trailing_run, .done = trailing_done},
        .journal = journal,
        .file = journal->file,
        .unit = journal->written,
        .sequence_next = journal->sequence_next,
        .group_bytes = journal->group_bytes,
        .running = true,
    };
    journal->lanes_used = true;
    journal->env->ops->job_submit(journal->env, WEIR_LANE_SYNC, &journal->trailing.job);
}

/* Begins one that is wished for, unless a write is under way. */
static void trailing_try(weir_journal *journal)
{
    if (!journal->want_trailing || journal->busy || journal->trailing.running || journal->failed) {
        return;
    }
    journal->want_trailing = false;
    if (journal->beside_unsynced) {
        journal->want_sync = true;
    } else if (journal->durable < journal->written) {
        trailing_start(journal);
    }
}

/* [W5] Whether the next write syncs, or changes the file, while a trailing sync runs. */
static bool trailing_bars(const weir_journal *journal)
{
    const weir_journal_buffer *next =
        journal->retained != NULL ? journal->retained : journal->active;
    if (!journal->trailing.running || journal->want_sync || next->unit_count == 0) {
        return journal->trailing.running;
    }
    uint64_t span = weir_journal_block_span(next->len - WEIR_JOURNAL_BLOCK_HEAD_BYTES);
    return journal->position + span > journal->files[journal->file_count - 1].bytes;
}

/* Starts what is wished for, until nothing is, or a write is under way, or none can be. */
static void pump(weir_journal *journal)
{
    WEIR_ASSERT(!journal->unit_open);
    trailing_try(journal); /* first: one write after the other may be under way */
    while (!journal->busy && !journal->failed && (journal->want_write || journal->want_sync) &&
           !trailing_bars(journal) && !retry_waits(journal) &&
           weir_journal_files_reserve(journal) == WEIR_OK && beside_begin(journal)) {
        bool sync = journal->want_sync;
        bool more_waits = journal->retained != NULL && journal->active->unit_count > 0;
        weir_journal_buffer *buffer = buffer_next(journal);
        if (!more_waits) { /* [W3] */
            journal->want_write = false;
            journal->want_sync = false;
        }
        if (buffer != NULL || (sync && journal->durable < journal->written)) {
            plan(journal, buffer, sync);
            launch(journal);
        }
    }
}

/* Spares. */

static void prepare_run(weir_job *job)
{
    weir_journal_prepare *prepare = (weir_journal_prepare *)job;
    prepare->err = weir_journal_spare_prepare(&prepare->journal->dir, prepare->number,
                                              prepare->bytes, prepare->zeroed);
}

static void prepare_done(weir_job *job)
{
    weir_journal *journal = ((weir_journal_prepare *)job)->journal;
    void (*wake)(void *arg) = journal->wake;
    void *wake_arg = journal->wake_arg;
    atomic_store_explicit(&journal->prepare.done, true, memory_order_release);
    if (wake != NULL) {
        wake(wake_arg);
    }
}

/* A spare stands in for the reserve that cannot be made: publishes have what is left of the file. A
 * disk that has no room for either counts as full. */
static void reserve_promote(weir_journal *journal)
{
    if (!journal->prepare.reserve) {
        return;
    }
    if (journal->spare_count > 0) {
        journal->reserve = journal->spares[--journal->spare_count];
        journal->reserve_size = journal->file_bytes;
    }
    journal->reserve_taken = journal->reserve == 0;
}

static void prepare_take_in(weir_journal *journal)
{
    weir_journal_prepare *prepare = &journal->prepare;
    if (!prepare->running || !atomic_load_explicit(&prepare->done, memory_order_acquire)) {
        return;
    }
    prepare->running = false;
    if (prepare->err == WEIR_OK && prepare->reserve) {
        journal->reserve = prepare->number;
        journal->reserve_size = prepare->bytes;
        journal->reserve_taken = false;
    } else if (prepare->err == WEIR_OK) {
        WEIR_ASSERT(journal->spare_count < WEIR_JOURNAL_SPARES_MAX);
        journal->spares[journal->spare_count++] = prepare->number;
        journal->counts.files_created++;
        journal->disk_full = false;
    } else if (prepare->err == WEIR_DISK_FULL) {
        file_full(journal);
        reserve_promote(journal);
    } else {
        weir_log(WEIR_LOG_WARN, "journal", "a spare file could not be made err=%s: tried again",
                 weir_err_name(prepare->err));
        journal->retry_at_ns = journal->env->ops->monotonic_ns(journal->env) + RETRY_NS;
    }
}

static bool reserve_due(const weir_journal *journal)
{
    return journal->reserve_bytes > 0 && journal->reserve == 0;
}

/* The first one at once; later ones when a quarter of the file is full, so that a journal that grows
 * slowly does not pay for zeros that it may never need. */
static bool spare_due(const weir_journal *journal)
{
    if (journal->spare_count > 0 || !journal->spare_asked || journal->file_count == 0) {
        return journal->spare_count == 0;
    }
    const weir_journal_file *file = &journal->files[journal->file_count - 1];
    return file->bytes < journal->file_bytes || journal->position >= file->bytes / 4;
}

/* The reserve first: it is what a full disk needs most. */
void weir_journal_prepare_start(weir_journal *journal)
{
    weir_journal_prepare *prepare = &journal->prepare;
    bool reserve = reserve_due(journal);
    if (prepare->running || journal->failed || (!reserve && !spare_due(journal)) ||
        journal->env->ops->monotonic_ns(journal->env) < journal->retry_at_ns) {
        return;
    }
    *prepare = (weir_journal_prepare){
        .job = {.run = prepare_run, .done = prepare_done},
        .journal = journal,
        .number = journal->number_next++,
        .bytes = reserve ? journal->reserve_bytes : journal->file_bytes,
        .reserve = reserve,
        .zeroed = reserve || zeros_pay(journal),
        .running = true,
    };
    journal->spare_asked |= !reserve;
    journal->lanes_used = true;
    journal->env->ops->job_submit(journal->env, WEIR_LANE_BACKGROUND, &prepare->job);
}

/* The public verbs. */

weir_err weir_journal_poll(weir_journal *journal)
{
    if (journal->busy && atomic_load_explicit(&journal->write.done, memory_order_acquire)) {
        write_finish(journal);
    }
    trailing_take_in(journal);
    prepare_take_in(journal);
    pump(journal);
    weir_journal_prepare_start(journal);
    return weir_journal_state(journal);
}

weir_err weir_journal_flush(weir_journal *journal, bool sync)
{
    journal->want_write = true;
    journal->want_sync |= sync;
    return weir_journal_poll(journal);
}

weir_err weir_journal_sync_trailing(weir_journal *journal)
{
    if (journal->sync_mode == WEIR_SYNC_INLINE) {
        return weir_journal_flush(journal, true);
    }
    if (!journal->trailing.running) { /* else blocks wait: what is unsynced has a bound */
        (void)weir_journal_flush(journal, false);
    }
    journal->want_trailing = true;
    return weir_journal_poll(journal);
}

bool weir_journal_mark_write(weir_journal *journal, bool sync)
{
    const weir_journal_file *file = &journal->files[journal->file_count - 1];
    bool fits = journal->position + WEIR_JOURNAL_PAGE_BYTES <= file->bytes;
    if ((!fits && (journal->spare_count == 0 || journal->trailing.running)) ||
        weir_journal_files_reserve(journal) != WEIR_OK) {
        return false; /* a mark is worth no new file: the next file's head says as much */
    }
    plan(journal, &journal->mark, sync);
    launch(journal);
    return true;
}

weir_err weir_journal_mark(weir_journal *journal)
{
    (void)weir_journal_poll(journal);
    if (journal->failed || journal->last_mark >= journal->durable) {
        return weir_journal_state(journal);
    }
    bool idle = !journal->busy && !journal->blocked && journal->active->unit_count == 0;
    return idle && weir_journal_mark_write(journal, false) ? weir_journal_state(journal)
                                                           : WEIR_AGAIN;
}
