/* core/log/files.c - the bound on open segment files.
 *
 *   in use (pins > 0)            unused: oldest <-> ... <-> newest
 *      ^------------ pin ------------------------------------|
 *      |------------ unpin ----------------------------------^      over `max`: the oldest closes
 *
 * Whoever is about to touch a segment's descriptors pins it, and they stay until he unpins. What is
 * pinned may exceed the bound: a flush, a few reads. Closing a file does not lose what was written to
 * it, but the failure of a write-back that nobody asked about may be forgotten with its inode; a sync
 * of the volume through a descriptor that was open all the time is told of it. So a file that was
 * written to is closed only where the volume is synced before the state counts on it, and the cache
 * says when that is needed.
 *
 * [F1] A pinned segment's descriptors are opened, never closed. An unpinned one's are not touched
 *      but here, under the mutex. */
#include "core/log/files.h"

#include "core/base/assert.h"
#include "core/log/segment_parts.h"

#include <stdlib.h>

struct weir_segment_files {
    pthread_mutex_t mutex;
    weir_segment *oldest, *newest; /* unused ones with a descriptor */
    uint32_t max;
    bool volume;
    atomic_uint open;
    atomic_uint epoch; /* of volume syncs */
    atomic_bool closed_dirty;
};

weir_err weir_segment_files_create(uint32_t max, bool volume, weir_segment_files **out)
{
    weir_segment_files *files = calloc(1, sizeof(*files));
    if (files == NULL) {
        return WEIR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&files->mutex, NULL);
    files->max = max;
    files->volume = volume;
    *out = files;
    return WEIR_OK;
}

void weir_segment_files_destroy(weir_segment_files *files)
{
    if (files != NULL) {
        WEIR_ASSERT(files->oldest == NULL);
        (void)pthread_mutex_destroy(&files->mutex);
        free(files);
    }
}

bool weir_segment_files_need_volume(const weir_segment_files *files)
{
    return atomic_load(&files->closed_dirty);
}

void weir_segment_files_want_volume(weir_segment_files *files)
{
    atomic_store(&files->closed_dirty, true);
}

void weir_segment_files_volume_begin(weir_segment_files *files)
{
    (void)atomic_fetch_add(&files->epoch, 1);
    atomic_store(&files->closed_dirty, false);
}

uint32_t weir_segment_files_open(const weir_segment_files *files)
{
    return atomic_load(&files->open);
}

/* ---- The list; with the mutex held -------------------------------------------------------------
 */

static void unlink_unused(weir_segment_files *files, weir_segment *segment)
{
    if (!segment->unused) {
        return;
    }
    *(segment->older != NULL ? &segment->older->newer : &files->oldest) = segment->newer;
    *(segment->newer != NULL ? &segment->newer->older : &files->newest) = segment->older;
    segment->older = NULL;
    segment->newer = NULL;
    segment->unused = false;
}

static void link_unused(weir_segment_files *files, weir_segment *segment)
{
    segment->unused = true;
    segment->older = files->newest;
    *(files->newest != NULL ? &files->newest->newer : &files->oldest) = segment;
    files->newest = segment;
}

static bool is_dirty(const weir_segment_files *files, const weir_segment *segment)
{
    bool written = atomic_load(&segment->log_dirty) || atomic_load(&segment->heads_dirty);
    return written && segment->written_epoch == atomic_load(&files->epoch);
}

static void close_one(weir_segment_files *files, weir_segment *segment, weir_file **file)
{
    if (*file != NULL) {
        segment->env->ops->file_close(segment->env, *file);
        *file = NULL;
        (void)atomic_fetch_sub(&files->open, 1);
    }
}

/* The table of batches goes along: who reads loads it again. */
static void table_forget(weir_segment *segment)
{
    (void)pthread_mutex_lock(&segment->mutex);
    weir_heads_fini(&segment->table);
    segment->loaded = false;
    (void)pthread_mutex_unlock(&segment->mutex);
}

/* The oldest that may be closed; those that may not are passed over. */
static void close_over(weir_segment_files *files)
{
    weir_segment *at = files->oldest;
    while (at != NULL && atomic_load(&files->open) > files->max) {
        weir_segment *next = at->newer;
        bool dirty = is_dirty(files, at);
        if (files->volume || !dirty) {
            if (dirty) {
                atomic_store(&files->closed_dirty, true);
            }
            unlink_unused(files, at);
            close_one(files, at, &at->log);
            close_one(files, at, &at->heads);
            table_forget(at);
        }
        at = next;
    }
}

/* ---- What segments call ------------------------------------------------------------------------
 */

void weir_segment_pin(weir_segment *segment)
{
    weir_segment_files *files = segment->files;
    if (files != NULL) {
        (void)pthread_mutex_lock(&files->mutex);
        segment->pins++;
        unlink_unused(files, segment);
        (void)pthread_mutex_unlock(&files->mutex);
    }
}

void weir_segment_unpin(weir_segment *segment)
{
    weir_segment_files *files = segment->files;
    if (files != NULL) {
        (void)pthread_mutex_lock(&files->mutex);
        WEIR_ASSERT(segment->pins > 0);
        if (--segment->pins == 0 && (segment->log != NULL || segment->heads != NULL)) {
            link_unused(files, segment);
            close_over(files);
        }
        (void)pthread_mutex_unlock(&files->mutex);
    }
}

void weir_segment_file_opened(weir_segment *segment)
{
    if (segment->files != NULL) {
        (void)atomic_fetch_add(&segment->files->open, 1);
    }
}

void weir_segment_file_close(weir_segment *segment, weir_file **file)
{
    if (*file != NULL) {
        segment->env->ops->file_close(segment->env, *file);
        *file = NULL;
        if (segment->files != NULL) {
            (void)atomic_fetch_sub(&segment->files->open, 1);
        }
    }
}

void weir_segment_written(weir_segment *segment)
{
    if (segment->files != NULL) {
        segment->written_epoch = atomic_load(&segment->files->epoch);
    }
}

void weir_segment_files_join(weir_segment_files *files, weir_segment *segment)
{
    uint32_t open = (segment->log != NULL ? 1u : 0u) + (segment->heads != NULL ? 1u : 0u);
    if (files == NULL) {
        return;
    }
    segment->files = files;
    (void)atomic_fetch_add(&files->open, open);
    if (open > 0) {
        weir_segment_written(segment);
        segment->pins = 1;
        weir_segment_unpin(segment);
    }
}

void weir_segment_leave(weir_segment *segment)
{
    if (segment->files != NULL) {
        (void)pthread_mutex_lock(&segment->files->mutex);
        unlink_unused(segment->files, segment);
        (void)pthread_mutex_unlock(&segment->files->mutex);
    }
    weir_segment_file_close(segment, &segment->log);
    weir_segment_file_close(segment, &segment->heads);
}
