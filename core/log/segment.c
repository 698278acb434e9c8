/* core/log/segment.c - the life of a segment: made, opened at need, appended to, synced, removed.
 *
 *   "<base offset, 20 digits>.log"     batch | batch | batch | ...           as Kafka has it
 *   "<base offset, 20 digits>.heads"   file head | entry | entry | entry | ...   see heads.c
 *                                                                      ^ state: bytes, head_count
 *
 * One background job appends: batches to the .log, then their entries to the .heads, each by one
 * write for up to 1,024 chunks; then, under the mutex, the state moves over all of them at once.
 * Readers never look beyond the state, so they need no more than a snapshot of it. Sync is a call
 * of its own: the engine decides when.
 *
 * After a failed write nobody knows what the files have behind the state, and after a failed sync
 * not even below it: the segment takes no more, and a sync that failed is not tried again. What
 * lies behind the state of a segment opened for writing is cut before the first append; files that
 * end before it are damage, and are not appended to either.
 *
 * [S1] state.bytes and state.head_count move together, and only over what both files have.
 * [S2] Chunks are appended in dense order: each begins at state.end_offset.
 * [S3] After an error of append the segment answers READ_ONLY for good; after one of write too,
 *      unless it was for want of room: then the same chunks go to the same place again.
 * [S4] `log` does not change while it is pinned (files.c), so that a reader may use it without a
 *      mutex.
 * [S5] A file is called dirty after each write to it and clean before each sync of it: what a sync
 *      may have missed is dirty still. */
#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/log/segment_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP_MAX = 1024,            /* chunks a write */
    FETCH_AHEAD = 16,            /* chunks */
    STREAM_BYTES_PER_MS = 32768, /* a stream that would fill the page cache: 32 MiB/s, */
    STREAM_BYTES_TOLD = 4 << 20, /* looked at again after so many bytes, */
    STREAM_MS_TOLD = 100,        /* or so much time */
};

/* Life. */

static weir_err paths_make(weir_segment *segment, const char *dir, int64_t base_offset)
{
    const size_t name_bytes = sizeof("/01234567890123456789.heads");
    size_t dir_bytes = strlen(dir) + 1, path_bytes = dir_bytes + name_bytes;
    segment->dir = malloc(dir_bytes + 2 * path_bytes);
    if (segment->dir == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(segment->dir, dir, dir_bytes);
    segment->log_path = segment->dir + dir_bytes;
    segment->heads_path = segment->log_path + path_bytes;
    (void)snprintf(segment->log_path, path_bytes, "%s/%020" PRId64 ".log", dir, base_offset);
    (void)snprintf(segment->heads_path, path_bytes, "%s/%020" PRId64 ".heads", dir, base_offset);
    return WEIR_OK;
}

weir_err weir_segment_open(weir_env *env, const char *dir, const weir_segment_state *state,
                           bool writable, weir_segment **segment)
{
    if (state->base_offset < 0 || state->end_offset < state->base_offset) {
        return WEIR_DAMAGED; /* the state comes from a disk */
    }
    weir_segment *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = paths_make(made, dir, state->base_offset);
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    atomic_init(&made->refs, 1);
    (void)pthread_mutex_init(&made->disk_mutex, NULL);
    (void)pthread_mutex_init(&made->mutex, NULL);
    (void)pthread_mutex_init(&made->sync_mutex, NULL);
    made->env = env;
    made->state = *state;
    made->writable = writable;
    *segment = made;
    return WEIR_OK;
}

weir_segment *weir_segment_keep(weir_segment *segment)
{
    (void)atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
    return segment;
}

void weir_segment_drop(weir_segment *segment)
{
    if (segment == NULL ||
        atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    weir_segment_leave(segment);
    weir_heads_fini(&segment->table);
    (void)pthread_mutex_destroy(&segment->disk_mutex);
    (void)pthread_mutex_destroy(&segment->mutex);
    (void)pthread_mutex_destroy(&segment->sync_mutex);
    free(segment->dir);
    free(segment);
}

static weir_err file_open_once(weir_segment *segment, const char *path, weir_file **file)
{
    if (*file != NULL) {
        return WEIR_OK; /* [S4] */
    }
    unsigned flags = segment->writable ? WEIR_OPEN_WRITE : WEIR_OPEN_READ;
    weir_err err = segment->env->ops->file_open(segment->env, path, flags, file);
    if (err == WEIR_OK) {
        weir_segment_file_opened(segment);
    }
    return err;
}

weir_err weir_segment_log_open(weir_segment *segment)
{
    return file_open_once(segment, segment->log_path, &segment->log);
}

weir_err weir_segment_heads_open(weir_segment *segment)
{
    return file_open_once(segment, segment->heads_path, &segment->heads);
}

void weir_segment_state_of(const weir_segment *segment, weir_segment_state *state)
{
    weir_segment *locked = (weir_segment *)segment; /* only its mutex */
    (void)pthread_mutex_lock(&locked->mutex);
    *state = segment->state; /* [S1] */
    (void)pthread_mutex_unlock(&locked->mutex);
}

/* Making. */

static weir_err file_forget(weir_env *env, const char *path)
{
    weir_err err = env->ops->unlink(env, path);
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

static weir_err files_make(weir_segment *segment, bool sync)
{
    weir_env *env = segment->env;
    const unsigned flags = WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_EXCLUSIVE;
    uint8_t head[WEIR_HEADS_FILE_HEAD_BYTES];
    const struct iovec iov = {head, sizeof(head)};
    weir_heads_file_head_encode(segment->state.base_offset, head);
    weir_err err = env->ops->file_open(env, segment->log_path, flags, &segment->log);
    if (err == WEIR_OK) {
        err = env->ops->file_open(env, segment->heads_path, flags, &segment->heads);
    }
    if (err == WEIR_OK) {
        err = env->ops->file_write(env, segment->heads, &iov, 1, 0);
    }
    if (!sync) {
        atomic_store(&segment->log_dirty, true);
        atomic_store(&segment->heads_dirty, true);
        return err;
    }
    if (err == WEIR_OK) {
        err = env->ops->file_sync(env, segment->log);
    }
    if (err == WEIR_OK) {
        err = env->ops->file_sync(env, segment->heads);
    }
    return err == WEIR_OK ? env->ops->dir_sync(env, segment->dir) : err;
}

static weir_err segment_make(weir_env *env, const char *dir, uint64_t term, int64_t base_offset,
                             int64_t now_ms, bool sync, weir_segment **segment)
{
    const weir_segment_state state = {
        .base_offset = base_offset,
        .end_offset = base_offset,
        .max_timestamp_ms = INT64_MIN,
        .created_ms = now_ms,
        .term = term,
    };
    weir_segment *made;
    weir_err err = weir_segment_open(env, dir, &state, true, &made);
    if (err != WEIR_OK) {
        return err;
    }
    made->loaded = true; /* there is nothing to load, */
    made->cut = true;    /* and nothing to cut */
    err = file_forget(env, made->log_path);
    if (err == WEIR_OK) {
        err = file_forget(env, made->heads_path);
    }
    if (err == WEIR_OK) {
        err = files_make(made, sync);
    }
    if (err != WEIR_OK) {
        (void)file_forget(env, made->log_path); /* the next create would remove them too */
        (void)file_forget(env, made->heads_path);
        weir_segment_drop(made);
        return err;
    }
    *segment = made;
    return WEIR_OK;
}

weir_err weir_segment_create(weir_env *env, const char *dir, uint64_t term, int64_t base_offset,
                             int64_t now_ms, weir_segment **segment)
{
    return segment_make(env, dir, term, base_offset, now_ms, true, segment);
}

weir_err weir_segment_create_unsynced(weir_env *env, const char *dir, uint64_t term,
                                      int64_t base_offset, int64_t now_ms, weir_segment **segment)
{
    return segment_make(env, dir, term, base_offset, now_ms, false, segment);
}

/* Appending. */

/* What one append works with; too large for a stack. */
typedef struct append_scratch {
    struct iovec iov[GROUP_MAX];
    uint8_t entries[GROUP_MAX * WEIR_HEADS_ENTRY_BYTES];
} append_scratch;

static weir_err file_cut(weir_segment *segment, weir_file *file, uint64_t bytes)
{
    uint64_t size;
    weir_err err = segment->env->ops->file_size(segment->env, file, &size);
    if (err != WEIR_OK || size == bytes) {
        return err;
    }
    if (size < bytes) {
        return WEIR_DAMAGED; /* appending would leave a hole */
    }
    atomic_store(file == segment->log ? &segment->log_dirty : &segment->heads_dirty, true);
    weir_segment_written(segment);
    return segment->env->ops->file_truncate(segment->env, file, bytes);
}

static uint64_t heads_bytes(uint64_t head_count)
{
    return WEIR_HEADS_FILE_HEAD_BYTES + head_count * WEIR_HEADS_ENTRY_BYTES;
}

/* A .heads file that is gone is begun again: what it had is found in the .log. With the
 * disk_mutex held. */
static weir_err heads_open_or_make(weir_segment *segment)
{
    weir_err err = weir_segment_heads_open(segment);
    if (err != WEIR_NOT_FOUND || !segment->writable) {
        return err;
    }
    err = segment->env->ops->file_open(segment->env, segment->heads_path,
                                       WEIR_OPEN_WRITE | WEIR_OPEN_CREATE, &segment->heads);
    if (err == WEIR_OK) {
        weir_segment_file_opened(segment);
    }
    return err;
}

/* One that is too short gets zeros for what it lacks, which no entry is. */
static weir_err heads_cut(weir_segment *segment)
{
    weir_env *env = segment->env;
    uint64_t bytes = heads_bytes(segment->state.head_count);
    uint64_t size = 0;
    weir_err err = env->ops->file_size(env, segment->heads, &size);
    if (err == WEIR_OK && size < bytes) {
        uint8_t head[WEIR_HEADS_FILE_HEAD_BYTES];
        const struct iovec iov = {head, sizeof(head)};
        weir_heads_file_head_encode(segment->state.base_offset, head);
        atomic_store(&segment->heads_dirty, true);
        weir_segment_written(segment);
        err = env->ops->file_write(env, segment->heads, &iov, 1, 0);
        return err == WEIR_OK ? env->ops->file_truncate(env, segment->heads, bytes) : err;
    }
    return err == WEIR_OK ? file_cut(segment, segment->heads, bytes) : err;
}

/* Files open and cut, room in the table: what can fail before the first byte is written. */
static weir_err append_prepare(weir_segment *segment, uint32_t count)
{
    (void)pthread_mutex_lock(&segment->disk_mutex);
    weir_err err = weir_segment_log_open(segment);
    if (err == WEIR_OK) {
        err = heads_open_or_make(segment);
    }
    (void)pthread_mutex_unlock(&segment->disk_mutex);
    (void)pthread_mutex_lock(&segment->mutex);
    if (err == WEIR_OK && segment->loaded) {
        err = weir_heads_reserve(&segment->table, count);
    }
    (void)pthread_mutex_unlock(&segment->mutex);
    if (err == WEIR_OK && !segment->cut) {
        err = file_cut(segment, segment->log, segment->state.bytes);
        if (err == WEIR_OK) {
            err = heads_cut(segment);
        }
        segment->cut = err == WEIR_OK;
    }
    return err;
}

/* The entry of a chunk that goes to state's end, and the state behind it. */
static weir_heads_entry state_advance(weir_segment_state *state, const weir_chunk *chunk)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(weir_chunk_batch(chunk), &head);
    WEIR_ASSERT(err == WEIR_OK && head.batch_bytes == chunk->batch_bytes);
    WEIR_ASSERT(head.base_offset == state->end_offset); /* [S2] */
    WEIR_ASSERT(head.base_offset + head.last_offset_delta + 1 == weir_chunk_end(chunk));
    weir_heads_entry entry = {
        .position = state->bytes,
        .batch_bytes = head.batch_bytes,
        .head_crc = weir_crc32c(0, chunk->batch, WEIR_BATCH_HEAD_BYTES),
        .base_offset = head.base_offset,
        .max_timestamp_ms = head.max_timestamp,
        .offsets = (uint32_t)head.last_offset_delta + 1,
    };
    state->bytes += head.batch_bytes;
    state->end_offset = weir_chunk_end(chunk);
    state->head_count++;
    if (head.max_timestamp > state->max_timestamp_ms) {
        state->max_timestamp_ms = head.max_timestamp;
    }
    return entry;
}

/* By the time at which the records came, not at which they are written: a flush writes at once what
 * came slowly. */
static bool stream_tell(weir_segment *segment, weir_chunk *const *chunks, uint32_t count,
                        uint64_t bytes)
{
    if (segment->stream_bytes == 0) {
        segment->stream_ms = chunks[0]->timestamp_ms;
    }
    segment->stream_bytes += bytes;
    int64_t took_ms = chunks[count - 1]->timestamp_ms - segment->stream_ms;
    if (segment->stream_bytes >= STREAM_BYTES_TOLD || took_ms >= STREAM_MS_TOLD) {
        segment->streams = (double)segment->stream_bytes >= (double)took_ms * STREAM_BYTES_PER_MS;
        segment->stream_bytes = 0;
    }
    return segment->streams;
}

/* Writes up to GROUP_MAX chunks behind `state` and moves it. */
static weir_err group_write(weir_segment *segment, weir_chunk *const *chunks, uint32_t count,
                            append_scratch *scratch, weir_segment_state *state)
{
    const uint64_t log_at = state->bytes, heads_at = heads_bytes(state->head_count);
    for (uint32_t i = 0; i < count; i++) {
        if (i + FETCH_AHEAD < count) {
            weir_chunk_fetch(chunks[i + FETCH_AHEAD]);
        }
        weir_heads_entry entry = state_advance(state, chunks[i]);
        weir_heads_entry_encode(&entry, scratch->entries + (size_t)i * WEIR_HEADS_ENTRY_BYTES);
        scratch->iov[i] = (struct iovec){chunks[i]->batch, chunks[i]->batch_bytes};
    }
    const struct iovec entries = {scratch->entries, (size_t)count * WEIR_HEADS_ENTRY_BYTES};
    weir_env *env = segment->env;
    bool streams = stream_tell(segment, chunks, count, state->bytes - log_at);
    weir_err err = (streams ? env->ops->file_write_stream : env->ops->file_write)(
        env, segment->log, scratch->iov, (int)count, log_at);
    atomic_store(&segment->log_dirty, true); /* [S5] */
    err = err == WEIR_OK ? env->ops->file_write(env, segment->heads, &entries, 1, heads_at) : err;
    atomic_store(&segment->heads_dirty, true);
    weir_segment_written(segment);
    return err;
}

static weir_err groups_write(weir_segment *segment, weir_chunk *const *chunks, uint32_t count,
                             weir_segment_state *state)
{
    append_scratch *scratch = malloc(sizeof(*scratch));
    weir_err err = scratch == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (uint32_t done = 0; err == WEIR_OK && done < count; done += GROUP_MAX) {
        uint32_t group = count - done < GROUP_MAX ? count - done : GROUP_MAX;
        err = group_write(segment, chunks + done, group, scratch, state);
    }
    free(scratch);
    return err;
}

/* The room is there. */
static void table_extend(weir_segment *segment, const weir_heads_entry *entry)
{
    const weir_heads_place place = {.position = entry->position,
                                    .base_offset = entry->base_offset,
                                    .head_crc = entry->head_crc};
    weir_heads_push(&segment->table, &place, entry->max_timestamp_ms);
}

/* Everything is in the files: readers may see it. Cannot fail: a table that a reader has loaded
 * since append_prepare, and that cannot grow now, is forgotten and loaded again by the next reader.
 */
static void append_publish(weir_segment *segment, weir_chunk *const *chunks, uint32_t count)
{
    (void)pthread_mutex_lock(&segment->mutex);
    if (segment->loaded && weir_heads_reserve(&segment->table, count) != WEIR_OK) {
        weir_heads_fini(&segment->table);
        segment->loaded = false;
    }
    for (uint32_t i = 0; i < count; i++) {
        weir_heads_entry entry = state_advance(&segment->state, chunks[i]); /* [S1] */
        if (segment->loaded) {
            table_extend(segment, &entry);
        }
    }
    (void)pthread_mutex_unlock(&segment->mutex);
}

/* *begun: bytes may have been written. */
static weir_err segment_write(weir_segment *segment, weir_chunk *const *chunks, uint32_t count,
                              bool *begun)
{
    if (!segment->writable || atomic_load(&segment->refused)) {
        return WEIR_READ_ONLY; /* [S3] */
    }
    weir_segment_state state = segment->state; /* whoever changes it does so while nobody writes */
    weir_segment_pin(segment);
    weir_err err = append_prepare(segment, count);
    *begun = err == WEIR_OK;
    if (err == WEIR_OK) {
        err = groups_write(segment, chunks, count, &state);
    }
    weir_segment_unpin(segment);
    if (err != WEIR_OK && err != WEIR_DISK_FULL && err != WEIR_NO_MEMORY) {
        atomic_store(&segment->refused, true); /* [S3] */
    }
    return err;
}

weir_err weir_segment_write(weir_segment *segment, weir_chunk *const *chunks, uint32_t count)
{
    bool begun = false;
    return segment_write(segment, chunks, count, &begun);
}

void weir_segment_count(weir_segment *segment, weir_chunk *const *chunks, uint32_t count)
{
    append_publish(segment, chunks, count);
}

weir_err weir_segment_append(weir_segment *segment, weir_chunk *const *chunks, uint32_t count)
{
    if (count == 0 && segment->writable && !atomic_load(&segment->refused)) {
        return WEIR_OK;
    }
    bool begun = false;
    weir_err err = segment_write(segment, chunks, count, &begun);
    if (err == WEIR_OK) {
        append_publish(segment, chunks, count);
    } else if (err != WEIR_NO_MEMORY || begun) {
        atomic_store(&segment->refused, true); /* [S3] */
    }
    return err;
}

bool weir_segment_takes_more(const weir_segment *segment)
{
    return segment->writable && !atomic_load(&segment->refused);
}

void weir_segment_refer(weir_segment *segment, uint64_t unit)
{
    segment->referred = unit > segment->referred ? unit : segment->referred;
}

void weir_segment_records_add(weir_segment *segment, uint32_t records)
{
    segment->records += records;
}

uint64_t weir_segment_records(const weir_segment *segment)
{
    return segment->records;
}

uint64_t weir_segment_referred(const weir_segment *segment)
{
    return segment->referred;
}

/* Syncing. */

/* Pinned. One that was closed meanwhile is opened again: what it has to sync is the file's. */
static weir_err file_sync(weir_segment *segment, weir_file **file, const char *path,
                          atomic_bool *dirty)
{
    if (segment->sync_failed) {
        return WEIR_READ_ONLY;
    }
    if (!atomic_load(dirty)) {
        return WEIR_OK;
    }
    (void)pthread_mutex_lock(&segment->disk_mutex);
    weir_err err = file_open_once(segment, path, file);
    (void)pthread_mutex_unlock(&segment->disk_mutex);
    if (err == WEIR_NO_MEMORY) {
        return err; /* nothing was tried: it is dirty yet, and may be synced later */
    }
    atomic_store(dirty, false); /* [S5] */
    err = err == WEIR_OK ? segment->env->ops->file_sync(segment->env, *file) : err;
    err = err == WEIR_NO_MEMORY ? WEIR_IO : err;
    if (err != WEIR_OK) {
        segment->sync_failed = true;
        atomic_store(&segment->refused, true);
    }
    return err;
}

weir_err weir_segment_sync_log(weir_segment *segment)
{
    weir_segment_pin(segment);
    (void)pthread_mutex_lock(&segment->sync_mutex);
    weir_err err = file_sync(segment, &segment->log, segment->log_path, &segment->log_dirty);
    (void)pthread_mutex_unlock(&segment->sync_mutex);
    weir_segment_unpin(segment);
    return err;
}

weir_err weir_segment_sync(weir_segment *segment)
{
    weir_segment_pin(segment);
    (void)pthread_mutex_lock(&segment->sync_mutex);
    weir_err err = file_sync(segment, &segment->log, segment->log_path, &segment->log_dirty);
    err = err == WEIR_OK
              ? file_sync(segment, &segment->heads, segment->heads_path, &segment->heads_dirty)
              : err;
    (void)pthread_mutex_unlock(&segment->sync_mutex);
    weir_segment_unpin(segment);
    return err;
}

weir_err weir_segment_remove(weir_segment *segment)
{
    weir_env *env = segment->env;
    if (atomic_load_explicit(&segment->refs, memory_order_acquire) > 1) {
        /* Who keeps a handle still reads: from files that are open, and stay so. If they cannot be
         * opened now, it could not have read them before either. */
        weir_segment_pin(segment);
        (void)weir_segment_load(segment);
    }
    weir_err err = file_forget(env, segment->log_path);
    if (err == WEIR_OK) {
        err = file_forget(env, segment->heads_path);
    }
    err = err == WEIR_OK ? env->ops->dir_sync(env, segment->dir) : err;
    return err == WEIR_NOT_FOUND ? WEIR_OK : err; /* a life before removed the folder, too */
}

void weir_segment_folder_remove(const weir_segment *segment)
{
    (void)segment->env->ops->dir_remove(segment->env, segment->dir);
}
