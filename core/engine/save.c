/* core/engine/save.c - checkpoints and the removal of deleted topics: when, and in which order.
 *
 *   IDLE --due--> FLUSH --what is left outside segments may be carried--> SYNC
 *                                                                          | segments are on disk
 *   IDLE <-- WRITE <--newest unit in it durable-- READY <--all encoded-- ENCODE <-+ slice, written
 *            head, sync, name                                               +-----+
 *
 * A checkpoint is due after so many bytes of journal or so much time; in an idle engine too when
 * the newest began while more came in, and left that outside segments. What it holds and in which
 * slices is saved.c's business; here each slice is written by a background job while the engine goes
 * on. Its state counts only on segments that were synced before it was encoded, so no flush runs
 * between SYNC and the last slice [E5]. It gets its name only when every unit in it is durable: a
 * checkpoint is never ahead of the journal. A few segments are synced one by one, many by one call
 * for the whole volume. The journal keeps what the chain before needs. A full disk pauses all this
 * and is tried again, with a base, and without what found no room where that lets replaced segments
 * go; any other error stops writing, and a restart recovers from the journal. */
#include "core/engine/saved.h"

#include "core/env/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 4096,
    FULL_NS =
        1000 * 1000 * 1000, /* on a full disk checkpoints come so often, if there is anything new */
    STOP_FLUSHED_MAX = 64,  /* a clean stop writes out that many partitions; it carries more */
};

/* ---- The job (background lane)
 * --------------------------------------------------------------------------------- */

static weir_err remove_topic(const weir_engine *engine, weir_topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        weir_partition *partition = topic->partitions[i];
        for (uint32_t s = 0; s < partition->segment_count; s++) {
            weir_segment_remove(partition->segments[s]);
        }
    }
    weir_topics_files_remove(engine, topic->id);
    return WEIR_OK; /* what could not be removed is found and removed at the next start */
}

static weir_err save_sync(const weir_engine *engine, weir_save *save)
{
    weir_err err = WEIR_OK;
    if (save->volume) {
        weir_segment_files_volume_begin(engine->files);
        err = engine->env->ops->volume_sync(engine->env, engine->volume);
        err = err == WEIR_OK ? err : WEIR_IO;
    }
    for (uint32_t i = 0; i < save->segment_count && err == WEIR_OK; i++) {
        err = weir_segment_sync(save->segments[i]);
        err = err == WEIR_OK || err == WEIR_NO_MEMORY ? err : WEIR_IO;
    }
    err = err != WEIR_OK ? err : WEIR_FAILPOINT(checkpoint_segments_synced);
    return err; /* a sync that failed is never tried again; one that was not begun is */
}

static weir_err save_add(weir_engine *engine, weir_save *save)
{
    char dir[PATH_BYTES];
    weir_err err = WEIR_OK;
    if (save->writer == NULL) {
        snprintf(dir, sizeof(dir), "%s/state", engine->data_dir);
        err = weir_owner_compare(engine->owner_file);
        err = err == WEIR_OK ? weir_checkpoint_begin(engine->env, dir, save->checkpoint.number,
                                                     save->checkpoint.term, &save->writer)
                             : err;
    }
    err = err == WEIR_OK ? weir_checkpoint_add(save->writer, weir_buffer_bytes(&save->slice)) : err;
    err = err == WEIR_OK ? WEIR_FAILPOINT(checkpoint_added) : err;
    if (err != WEIR_OK) {
        weir_checkpoint_abandon(save->writer);
        save->writer = NULL;
    }
    return err;
}

/* Only the owner writes and removes; and only what it had when it wrote lets it release the
 * journal. */
static weir_err save_write(weir_engine *engine, weir_save *save)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/state", engine->data_dir);
    weir_err err = weir_owner_compare(engine->owner_file);
    if (err == WEIR_OK) {
        err = weir_checkpoint_finish(save->writer, &save->checkpoint, &save->link);
    } else {
        weir_checkpoint_abandon(save->writer);
    }
    save->writer = NULL;
    err = err == WEIR_OK ? WEIR_FAILPOINT(checkpoint_finished) : err;
    weir_err kept =
        err == WEIR_OK ? weir_checkpoint_keep_from(engine->env, dir, &save->keep_from) : err;
    err = kept == WEIR_NO_MEMORY ? err : kept; /* the journal stays as long as it was */
    return err == WEIR_OK ? weir_owner_compare(engine->owner_file) : err;
}

static void save_run(weir_job *job)
{
    weir_save *save = WEIR_OWNER_OF(job, weir_save, job);
    weir_engine *engine = save->engine;
    switch (save->kind) {
    case WEIR_SAVE_SYNC:
        save->err = save_sync(engine, save);
        break;
    case WEIR_SAVE_ADD:
        save->err = save_add(engine, save);
        break;
    case WEIR_SAVE_WRITE:
        save->err = save_write(engine, save);
        break;
    case WEIR_SAVE_REMOVE:
        save->err = weir_owner_compare(engine->owner_file);
        save->err = save->err == WEIR_OK ? remove_topic(engine, save->grave) : save->err;
        break;
    }
}

static void save_prepare(weir_engine *engine, weir_save_kind kind)
{
    weir_save *save = &engine->save;
    save->job = (weir_job){.run = save_run, .done = weir_engine_job_done};
    save->engine = engine;
    save->kind = kind;
    save->err = WEIR_OK;
}

static void save_submit(weir_engine *engine, weir_save_kind kind)
{
    save_prepare(engine, kind);
    engine->save.running = true;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &engine->save.job);
}

/* The clean stop: on this thread. */
static weir_err save_inline(weir_engine *engine, weir_save_kind kind)
{
    save_prepare(engine, kind);
    save_run(&engine->save.job);
    return engine->save.err;
}

/* ---- Its parts
 * ----------------------------------------------------------------------------------------------- */

static uint64_t journal_bytes(const weir_engine *engine)
{
    weir_journal_counts counts;
    weir_journal_counts_of(engine->journal, &counts);
    return counts.bytes + engine->stats.straight_bytes; /* all that a start reads */
}

static bool disk_is_full(const weir_engine *engine)
{
    return atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_DISK_FULL;
}

/* The disk is full, and another base would let go what only the chain before needs: journal, or segments
 * that others have taken the place of. */
static bool makes_room(const weir_engine *engine)
{
    if (!disk_is_full(engine)) {
        return false;
    }
    return weir_life_replaced(engine, engine->checkpoint_units_at) ||
           (engine->straight.keep_from < engine->checkpoint_units_at &&
            weir_journal_releases(engine->journal, engine->checkpoint_units_at));
}

bool weir_save_wanted(const weir_engine *engine)
{
    return engine->checkpoint_left ||
           weir_journal_last(engine->journal) != engine->checkpoint_units_at || makes_room(engine);
}

static bool checkpoint_due(const weir_engine *engine)
{
    if (engine->checkpoint_again) {
        return true;
    }
    if (!weir_save_wanted(engine)) {
        return false;
    }
    if (journal_bytes(engine) - engine->checkpoint_bytes_at >= engine->config.checkpoint_bytes) {
        return true;
    }
    if (disk_is_full(engine) && engine->now_ns - engine->checkpoint_ns >= FULL_NS) {
        return true; /* what was trimmed, deleted or settled frees disk with it */
    }
    return engine->now_ns - engine->checkpoint_ns >=
           (uint64_t)engine->config.checkpoint_every_ms * 1000000;
}

/* From this class on partitions are flushed: those below may be carried, all together. */
static uint32_t class_flushed(const weir_engine *engine)
{
    uint64_t sum = 0;
    uint32_t class = 0;
    while (weir_unflushed_class_end(class) <= weir_carried_max(engine) &&
           sum + engine->unflushed_class_bytes[class] <= weir_carried_total_max(engine)) {
        sum += engine->unflushed_class_bytes[class ++];
    }
    return class;
}

bool weir_save_flushes(const weir_engine *engine, uint32_t *class, uint64_t *target)
{
    *class = class_flushed(engine);
    *target = engine->checkpoint_target;
    return engine->phase == WEIR_CHECKPOINT_FLUSH;
}

bool weir_save_bars_flush(const weir_engine *engine)
{
    return engine->phase == WEIR_CHECKPOINT_SYNC || engine->phase == WEIR_CHECKPOINT_ENCODE;
}

static void drop_segments(weir_save *save)
{
    for (uint32_t i = 0; i < save->segment_count; i++) {
        weir_segment_drop(save->segments[i]);
    }
    free(save->segments);
    save->segments = NULL;
    save->segment_count = 0;
}

/* What was written to since the last one: the newest segment of each partition; older ones were
 * synced when they were left. */
static weir_err sync_collect(weir_engine *engine)
{
    weir_save *save = &engine->save;
    save->volume = engine->volume != NULL &&
                   (engine->unsynced_more || weir_segment_files_need_volume(engine->files));
    if (!save->volume && engine->unsynced_count > 0) {
        save->segments = malloc(engine->unsynced_count * sizeof(weir_segment *));
        if (save->segments == NULL) {
            return WEIR_NO_MEMORY;
        }
    }
    while (!weir_link_empty(&engine->unsynced)) {
        weir_partition *partition =
            WEIR_OWNER_OF(engine->unsynced.next, weir_partition, unsynced_link);
        weir_unsynced_remove(engine, partition);
        if (!save->volume && partition->segment_count > 0) {
            save->segments[save->segment_count++] =
                weir_segment_keep(partition->segments[partition->segment_count - 1]);
        }
    }
    engine->unsynced_more = false;
    return WEIR_OK;
}

static void encode_begin(weir_engine *engine)
{
    weir_save *save = &engine->save;
    weir_saved_begin(engine);
    save->slice.len = 0;
    save->checkpoint = (weir_checkpoint){.number = engine->checkpoint_number + 1,
                                         .term = weir_owner_term(engine->owner_file)};
    weir_writer to = {.out = &save->slice};
    weir_snapshot_put_version(&to); /* an error shows with the slice */
}

/* Fills the slice; *last: nothing is left. */
static weir_err encode_slice(weir_engine *engine, bool *last)
{
    weir_save *save = &engine->save;
    weir_writer to = {.out = &save->slice};
    WEIR_ASSERT(!engine->unit_open); /* an object is as it was after a whole unit */
    *last = weir_saved_slice(engine, &to);
    engine->saving.bytes += save->slice.len;
    return to.err;
}

static void head_fill(weir_engine *engine, bool clean)
{
    weir_save *save = &engine->save;
    const weir_saving *saving = &engine->saving;
    save->checkpoint.unit = saving->begin_unit;
    save->checkpoint.replay_from = saving->replay_from;
    save->checkpoint.recovery_epoch = engine->recovery_epoch;
    save->checkpoint.engine_ms = engine->engine_ms;
    save->checkpoint.clean = clean;
    save->checkpoint.delta = !saving->base;
    save->checkpoint.previous = save->link;
}

static void slice_relax(weir_engine *engine)
{
    weir_buffer_fini(&engine->save.slice);
    memset(&engine->save.slice, 0, sizeof(engine->save.slice));
}

static void checkpoint_done(weir_engine *engine)
{
    engine->checkpoint_number = engine->save.checkpoint.number;
    if (!engine->save.checkpoint.delta) { /* the chain that ended with the last one is kept */
        engine->checkpoint_units_before = engine->checkpoint_units_at;
    }
    engine->checkpoint_bytes_at = journal_bytes(engine);
    engine->checkpoint_units_at = engine->save.checkpoint.unit;
    engine->checkpoint_ns = engine->now_ns;
    engine->checkpoint_again = false;
    engine->checkpoint_left = engine->saving.left;
    engine->stats.checkpoints++;
    weir_saved_end(engine, true);
    slice_relax(engine);
    engine->straight.keep_from = engine->save.keep_from;
    weir_journal_release(engine->journal, engine->save.keep_from);
}

static void checkpoint_failed(weir_engine *engine)
{
    weir_checkpoint_abandon(engine->save.writer);
    engine->save.writer = NULL;
    engine->phase = WEIR_CHECKPOINT_IDLE;
    engine->checkpoint_again = true; /* as soon as weir_background_failed allows */
    weir_saved_end(engine, false);
    slice_relax(engine);
}

/* Nobody knows which of them the sync got to: all are asked again, and those that it did have nothing
 * to sync. */
static void unsynced_again(weir_engine *engine)
{
    weir_topic *topic;
    size_t position = 0;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            if (topic->partitions[i]->segment_count > 0) {
                weir_unsynced_add(engine, topic->partitions[i]);
            }
        }
    }
}

/* What the finished job leads to. */
static void save_next(weir_engine *engine)
{
    switch (engine->phase) {
    case WEIR_CHECKPOINT_SYNC:
        encode_begin(engine);
        engine->phase = WEIR_CHECKPOINT_ENCODE;
        engine->more_work = true;
        break;
    case WEIR_CHECKPOINT_ENCODE:
        engine->save.slice.len = 0;
        engine->more_work = true;
        break;
    case WEIR_CHECKPOINT_READY: /* the last slice is written */
        engine->more_work = true;
        break;
    case WEIR_CHECKPOINT_WRITE:
        checkpoint_done(engine);
        engine->phase = WEIR_CHECKPOINT_IDLE;
        if (!engine->flush.full || !engine->checkpoint_left) { /* else writing waits for a flush */
            weir_background_went_on(engine);
        }
        break;
    case WEIR_CHECKPOINT_IDLE:
    case WEIR_CHECKPOINT_FLUSH:
        break;
    }
}

void weir_save_finished(weir_engine *engine)
{
    weir_save *save = &engine->save;
    save->running = false;
    if (save->kind == WEIR_SAVE_REMOVE) {
        weir_topic_free(engine, save->grave);
        save->grave = NULL;
        return;
    }
    drop_segments(save);
    if (save->err != WEIR_OK) {
        if (save->kind == WEIR_SAVE_SYNC) {
            unsynced_again(engine);
        }
        checkpoint_failed(engine);
        weir_background_failed(engine, save->err, "a checkpoint");
    } else {
        save_next(engine);
    }
}

/* ---- What there is to do
 * -----------------------------------------------------------------------------------------------
 */

static void work_encode(weir_engine *engine)
{
    bool last = false;
    weir_err err = encode_slice(engine, &last);
    if (err != WEIR_OK) {
        checkpoint_failed(engine);
        weir_background_failed(engine, err, "a checkpoint");
        return;
    }
    if (last) {
        head_fill(engine, false);
        engine->phase = WEIR_CHECKPOINT_READY;
        engine->checkpoint_target = weir_journal_last(engine->journal);
    }
    save_submit(engine, WEIR_SAVE_ADD);
}

static void work_ready(weir_engine *engine)
{
    if (weir_journal_durable(engine->journal) >= engine->checkpoint_target) {
        engine->phase = WEIR_CHECKPOINT_WRITE;
        save_submit(engine, WEIR_SAVE_WRITE);
    } else {
        engine->disk_wanted = true;
        /* Else its end brings a turn, or the time when what waits for room is tried again. */
        engine->more_work |=
            !weir_journal_busy(engine->journal) && weir_journal_state(engine->journal) == WEIR_OK;
    }
}

static void work_sync(weir_engine *engine)
{
    if (sync_collect(engine) == WEIR_OK) {
        engine->phase = WEIR_CHECKPOINT_SYNC;
        save_submit(engine, WEIR_SAVE_SYNC);
    }
}

/* A deleted topic's files go when no checkpoint that is kept knows the topic any more: a start may
 * have to replay what came before its deletion. No job has it in hand then. */
static void work_graves(weir_engine *engine)
{
    bool idle = engine->phase == WEIR_CHECKPOINT_IDLE || engine->phase == WEIR_CHECKPOINT_FLUSH;
    if (engine->save.running || engine->flush.running || !idle) {
        return;
    }
    for (weir_topic **at = &engine->graves; *at != NULL; at = &(*at)->grave_next) {
        weir_topic *topic = *at;
        if (topic->deleted_unit <= engine->checkpoint_units_before) {
            *at = topic->grave_next;
            engine->save.grave = topic;
            save_submit(engine, WEIR_SAVE_REMOVE);
            return;
        }
    }
}

/* Or it found no room, and what the checkpoint lets go of may make some: what stays outside segments is
 * replayed, as is what comes in while one is written. */
static bool flush_over(const weir_engine *engine)
{
    bool done = engine->flush_empty && engine->now_ns >= engine->retry_ns;
    bool waits = engine->flush.full && weir_life_replaced(engine, UINT64_MAX);
    return !engine->flush.running && (done || waits);
}

/* Behind the flush's turn: when it found nothing more to write, the checkpoint goes on. */
void weir_save_work(weir_engine *engine)
{
    if (engine->save.running) {
        return;
    }
    switch (engine->phase) {
    case WEIR_CHECKPOINT_IDLE:
        if (engine->now_ns >= engine->retry_ns && checkpoint_due(engine)) {
            engine->saving.base_wanted |= makes_room(engine);
            engine->phase = WEIR_CHECKPOINT_FLUSH;
            engine->flush.full = false;
            engine->checkpoint_target = weir_journal_last(engine->journal);
            engine->more_work = true;
        }
        break;
    case WEIR_CHECKPOINT_FLUSH:
        if (flush_over(engine)) {
            work_sync(engine);
        }
        break;
    case WEIR_CHECKPOINT_ENCODE:
        work_encode(engine);
        break;
    case WEIR_CHECKPOINT_READY:
        work_ready(engine);
        break;
    case WEIR_CHECKPOINT_SYNC:
    case WEIR_CHECKPOINT_WRITE:
        break;
    }
    work_graves(engine);
}

static weir_err stop_encode(weir_engine *engine)
{
    bool last = false;
    weir_err err = WEIR_OK;
    encode_begin(engine);
    while (err == WEIR_OK && !last) {
        err = encode_slice(engine, &last);
        err = err == WEIR_OK ? save_inline(engine, WEIR_SAVE_ADD) : err;
        engine->save.slice.len = 0;
    }
    head_fill(engine, true);
    return err;
}

/* The clean stop: few partitions are written to their segments, of many what may be carried is; and
 * a checkpoint after which nothing has to be replayed. */
weir_err weir_flush_everything(weir_engine *engine)
{
    if (engine->phase != WEIR_CHECKPOINT_IDLE) {
        checkpoint_failed(engine); /* one that was under way */
    }
    engine->checkpoint_target = UINT64_MAX;
    uint32_t partitions = 0;
    for (int class = 0; class < WEIR_UNFLUSHED_CLASSES; class ++) {
        for (weir_link *at = engine->unflushed[class].next;
             at != &engine->unflushed[class] && partitions <= STOP_FLUSHED_MAX; at = at->next) {
            partitions++;
        }
    }
    uint32_t class = partitions <= STOP_FLUSHED_MAX ? 0 : class_flushed(engine);
    weir_err err = weir_flush_inline(engine, class);
    err = err == WEIR_OK ? sync_collect(engine) : err;
    err = err == WEIR_OK ? save_inline(engine, WEIR_SAVE_SYNC) : err;
    drop_segments(&engine->save);
    err = err == WEIR_OK ? stop_encode(engine) : err;
    err = err == WEIR_OK ? save_inline(engine, WEIR_SAVE_WRITE) : err;
    weir_checkpoint_abandon(engine->save.writer);
    engine->save.writer = NULL;
    weir_saved_end(engine, err == WEIR_OK);
    slice_relax(engine);
    return err;
}
