/* core/engine/compact.c - segments that others take the place of: compaction by key, and of queues.
 *
 *   walk --half of it is dirty, or tombstones are due--> candidate
 *   candidate --> slice --> pause --> slice --> ... --> swap --> next candidate
 *
 *   list   [ s0 s1 s2 | s3 s4 ]   s0..s2 were compacted to m0
 *   swap   [ m0       | s3 s4 ]   in memory; the next checkpoint names m0; s0..s2 go when every
 *                                 checkpoint that is kept does
 *
 * One partition at a time. A slice reads a little on the background lane, where it takes its turn
 * with flushes and checkpoints, and pauses as long as it took: compaction has at most half of one
 * core and leaves the disk to others as often. Which records there are is not changed by it in any
 * way that the journal knows: it holds no entry but an empty trim, which makes the next checkpoint
 * due. A crash before that checkpoint leaves the old segments in force and the new ones as
 * leftovers (sweep.c).
 *
 * Segments of a queue topic in which little is owed go the same way (sparse.c): some in the midst of
 * the list, by what its group has not settled instead of by key. On a full disk that is what may make it
 * come free, and it takes little room: it goes on then, and what failed for want of it is tried again soon.
 *
 * [X1] Only closed segments whose records are all visible, and older than min_compaction_lag_ms; all that
 *      was compacted before is among them, or when its tombstones are due would be forgotten.
 * [X2] While it runs nobody takes its sources from the list; what is appended comes behind them.
 * [X3] A queue owes nothing of its sources that is not in what took their place.
 * [X4] On a full disk no compaction by key begins: what it writes may be half of what there is. And no
 *      segment is rewritten while the files of one before wait for checkpoints. */
#include "core/engine/ops.h"

#include "core/base/log.h"
#include "core/base/varint.h"
#include "core/log/compactor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLICE_BYTES = 1 << 20,
    SOURCES_MAX = 4096, /* of one compaction: the rest waits for the next */
    FAILED_S = 600,     /* until a partition that failed is tried again; */
    ROOM_S = 60,        /* a queue's that found no room; */
    FULL_S = 5,         /* the same where the disk is known to be full: it may be what makes room */
    PATH_BYTES = 4096,
    SMALL_SHARE = 4,           /* of a queue's segments: one of less than segment_bytes / 4, */
    SMALL_BYTES_MAX = 1 << 20, /* and no more than this, goes along with a sparse one */
};

/* What a slice and its owner share; the slice's alone while it runs. */
struct weir_compaction_work {
    weir_compactor *compactor;
    weir_segment **sources; /* kept by the compactor */
    uint32_t source_count;
    uint32_t first; /* where they stand in the partition's list */
    bool by_range;  /* of a queue topic */
    weir_kept_range *kept;
    uint32_t kept_count;
    uint64_t took_ns;
    weir_err err;
    bool done;
};

/* ---- Choosing
 * ------------------------------------------------------------------------------------ */

static uint32_t closed_count(const weir_partition *partition)
{
    /* What was on its way to the last one when it was closed is still written to it. */
    bool grows = !partition->segment_closed || partition->flush_item != NULL ||
                 weir_straight_busy(partition);
    return partition->segment_count - (partition->segment_count > 0 && grows ? 1 : 0);
}

/* [X1] */
static uint32_t sources_ready(const weir_engine *engine, const weir_partition *partition,
                              const weir_topic_options *options, uint64_t *bytes, uint64_t *dirty)
{
    uint32_t closed = closed_count(partition);
    uint32_t count = 0;
    int64_t end = 0;
    *bytes = 0;
    *dirty = 0;
    while (count < closed && count < SOURCES_MAX) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[count], &state);
        if (state.end_offset > partition->visible_offset ||
            state.max_timestamp_ms > engine->engine_ms - options->min_compaction_lag_ms) {
            break;
        }
        *bytes += state.bytes;
        *dirty += state.end_offset > partition->clean_offset ? state.bytes : 0;
        end = state.end_offset;
        count++;
    }
    return end >= partition->clean_offset ? count : 0; /* the last one is being written to: later */
}

static bool disk_is_full(const weir_engine *engine)
{
    return atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_DISK_FULL;
}

static void remember(weir_engine *engine, weir_partition *partition, uint64_t gain)
{
    weir_compaction *compaction = &engine->compaction;
    if (compaction->next_partition == NULL || (int64_t)gain > compaction->next_dirty) {
        compaction->next_partition = partition;
        compaction->next_dirty = (int64_t)gain;
    }
}

/* On a full disk one after the other: each needs the least room, and leaves more to the next. */
static weir_sparse_look look_for_sparse(const weir_engine *engine, const weir_partition *partition,
                                        const weir_topic_options *options)
{
    const weir_sparse_place *place = weir_sparse_place_of(partition);
    bool full = disk_is_full(engine);
    uint64_t small = full ? 0 : (uint64_t)options->segment_bytes / SMALL_SHARE;
    weir_sparse_look look = {.closed = closed_count(partition),
                             .small_bytes = small < SMALL_BYTES_MAX ? small : SMALL_BYTES_MAX,
                             .most = full ? 1 : 0,
                             .next = place != NULL ? place->next : 0};
    weir_sparse_find(partition, &look);
    return look;
}

/* What two looks in a row find: what goes at the pace of a queue that works is gone by then. */
static void look_sparse(weir_engine *engine, weir_partition *partition,
                        const weir_topic_options *options)
{
    weir_sparse_place *place = weir_sparse_place_of(partition);
    if (place == NULL) {
        return;
    }
    weir_sparse_look look = look_for_sparse(engine, partition, options);
    int64_t seen = place->seen;
    place->seen = 0;
    place->next = look.next;
    if (look.count > 0) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[look.first], &state);
        place->next = state.base_offset;
        place->seen = state.base_offset + 1;
        if (place->seen == seen) {
            remember(engine, partition, look.bytes);
        }
    }
}

void weir_compact_look(weir_engine *engine, weir_partition *partition,
                       const weir_topic_options *options)
{
    bool compacts = (options->cleanup & WEIR_CLEANUP_COMPACT) != 0;
    uint64_t bytes, dirty;
    if (engine->old_alive || partition == engine->compaction.partition ||
        engine->now_ns < partition->compact_after_ns) {
        return;
    }
    if (weir_topic_is_queue(options)) {
        look_sparse(engine, partition, options);
        return;
    }
    if (!compacts || disk_is_full(engine) || /* [X4] */
        sources_ready(engine, partition, options, &bytes, &dirty) == 0) {
        return;
    }
    if ((dirty > 0 && dirty >= bytes / 2) || partition->tombstones_due_ms <= engine->engine_ms) {
        remember(engine, partition, dirty);
    }
}

void weir_compact_forget(weir_engine *engine, const weir_topic *topic)
{
    weir_compaction *compaction = &engine->compaction;
    if (compaction->partition != NULL && compaction->partition->topic == topic) {
        compaction->partition = NULL; /* the slice that runs is its last one */
    }
    if (compaction->next_partition != NULL && compaction->next_partition->topic == topic) {
        compaction->next_partition = NULL;
    }
}

/* ---- Slices (background lane)
 * -------------------------------------------------------------------- */

static uint64_t bytes_of(weir_segment *const *segments, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        weir_segment_state state;
        weir_segment_state_of(segments[i], &state);
        bytes += state.bytes;
    }
    return bytes;
}

/* What is rewritten is written plain: of compressed batches it may be more than it was. */
static bool gains(const struct weir_compaction_work *work)
{
    weir_compactor_result result;
    weir_compactor_result_of(work->compactor, &result);
    return !work->by_range || bytes_of(result.segments, result.segment_count) <
                                  bytes_of(work->sources, work->source_count);
}

/* From now on their files may be closed as those of others are. */
static void made_join(const weir_compaction *compaction)
{
    weir_compactor_result result;
    weir_compactor_result_of(compaction->work->compactor, &result);
    for (uint32_t i = 0; i < result.segment_count; i++) {
        weir_segment_files_join(compaction->engine->files, result.segments[i]);
    }
}

static void slice_run(weir_job *job)
{
    weir_compaction *compaction = WEIR_OWNER_OF(job, weir_compaction, job);
    struct weir_compaction_work *work = compaction->work;
    weir_env *env = compaction->engine->env;
    uint64_t began = env->ops->monotonic_ns(env);
    work->err = weir_owner_compare(compaction->engine->owner_file);
    if (work->err == WEIR_OK) {
        work->err = weir_compactor_step(work->compactor, SLICE_BYTES, &work->done);
        work->err = work->err == WEIR_OK && work->done && !gains(work) ? WEIR_AGAIN : work->err;
    }
    if (work->err == WEIR_OK && work->done) {
        made_join(compaction);
    }
    if (work->err != WEIR_OK && work->err != WEIR_FENCED) {
        weir_compactor_discard(work->compactor);
    }
    work->took_ns = env->ops->monotonic_ns(env) - began;
}

static void slice_submit(weir_engine *engine)
{
    weir_compaction *compaction = &engine->compaction;
    compaction->job = (weir_job){.run = slice_run, .done = weir_engine_job_done};
    compaction->engine = engine;
    compaction->running = true;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &compaction->job);
}

static void work_free(weir_compaction *compaction)
{
    if (compaction->work != NULL) {
        weir_compactor_destroy(compaction->work->compactor);
        free(compaction->work->sources);
        free(compaction->work->kept);
        free(compaction->work);
    }
    compaction->work = NULL;
    compaction->partition = NULL;
}

void weir_compact_fini(weir_engine *engine)
{
    work_free(&engine->compaction);
}

/* ---- Beginning
 * ----------------------------------------------------------------------------------- */

static weir_err compactor_make(weir_engine *engine, weir_partition *partition,
                               const weir_topic_options *options, struct weir_compaction_work *work)
{
    char dir[PATH_BYTES];
    char parent[PATH_BYTES];
    weir_compaction *compaction = &engine->compaction;
    /* Each start has another term, so no folder of this name was there before. */
    uint64_t term =
        (++compaction->generation << 32) | (uint32_t)weir_owner_term(engine->owner_file);
    weir_topics_segments_dir(engine, partition->topic->id, partition->index, 0, parent,
                             sizeof(parent));
    weir_topics_segments_dir(engine, partition->topic->id, partition->index, term, dir,
                             sizeof(dir));
    const weir_compactor_plan plan = {
        .env = engine->env,
        .topic = partition->topic->ref,
        .partition = partition->index,
        .sources = work->sources,
        .source_count = work->source_count,
        .start_offset = partition->start_offset,
        .dirty_from = partition->clean_offset,
        .now_ms = engine->engine_ms,
        .delete_retention_ms = options->delete_retention_ms,
        .segment_bytes_max = (uint64_t)options->segment_bytes,
        .memory_bytes_max = engine->config.compaction_bytes_max,
        .dir = dir,
        .parent = parent,
        .term = term,
        .by_range = work->by_range,
        .kept = work->kept,
        .kept_count = work->kept_count,
    };
    return weir_compactor_create(&plan, &work->compactor);
}

/* [begin, end) of the sources. */
static void span_of(const struct weir_compaction_work *work, int64_t *begin, int64_t *end)
{
    weir_segment_state state;
    weir_segment_state_of(work->sources[0], &state);
    *begin = state.base_offset;
    weir_segment_state_of(work->sources[work->source_count - 1], &state);
    *end = state.end_offset;
}

static weir_err work_fill(weir_engine *engine, weir_partition *partition,
                          const weir_topic_options *options, struct weir_compaction_work *work)
{
    int64_t begin, end;
    weir_err err = WEIR_OK;
    work->sources = malloc(work->source_count * sizeof(weir_segment *));
    if (work->sources == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(work->sources, partition->segments + work->first,
           work->source_count * sizeof(weir_segment *));
    if (work->by_range) {
        span_of(work, &begin, &end);
        err = weir_sparse_ranges(partition, begin, end, &work->kept, &work->kept_count);
    }
    return err == WEIR_OK ? compactor_make(engine, partition, options, work) : err;
}

static bool begin(weir_engine *engine, weir_partition *partition)
{
    weir_compaction *compaction = &engine->compaction;
    weir_topic_options options = weir_topic_in_force(engine, &partition->topic->options);
    uint64_t bytes, dirty;
    bool by_range = weir_topic_is_queue(&options);
    weir_sparse_look look = {0};
    if (by_range) {
        look = look_for_sparse(engine, partition, &options);
    }
    uint32_t count =
        by_range ? look.count : sources_ready(engine, partition, &options, &bytes, &dirty);
    if (count == 0 || weir_link_in(&partition->trimmed_link) ||
        (disk_is_full(engine) &&
         (!by_range || weir_life_replaced(engine, UINT64_MAX)))) { /* [X4] */
        return false; /* it has changed since it was chosen, or is about to */
    }
    struct weir_compaction_work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        return false;
    }
    compaction->work = work;
    work->first = look.first;
    work->source_count = count;
    work->by_range = by_range;
    if (work_fill(engine, partition, &options, work) != WEIR_OK) {
        work_free(compaction);
        return false;
    }
    compaction->partition = partition;
    return true;
}

/* ---- The swap
 * ------------------------------------------------------------------------------------ */

/* The new list, when the sources still stand in the old one. */
static weir_err list_make(const weir_partition *partition, uint32_t first,
                          const weir_compactor_result *result, weir_segment ***list,
                          uint32_t *count)
{
    uint32_t behind = first + result->source_count;
    uint32_t rest = partition->segment_count - behind;
    *count = first + result->segment_count + rest;
    *list = malloc(*count * sizeof(weir_segment *));
    if (*list == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(*list, partition->segments, first * sizeof(weir_segment *));
    for (uint32_t i = 0; i < result->segment_count; i++) {
        (*list)[first + i] = weir_segment_keep(result->segments[i]);
    }
    memcpy(*list + first + result->segment_count, partition->segments + behind,
           rest * sizeof(weir_segment *));
    return WEIR_OK;
}

static bool sources_stand(const weir_partition *partition, const struct weir_compaction_work *work)
{
    return partition->segment_count >= work->first + work->source_count &&
           memcmp(partition->segments + work->first, work->sources,
                  work->source_count * sizeof(weir_segment *)) == 0; /* [X2] */
}

/* [X3] */
static bool still_covers(const weir_partition *partition, const struct weir_compaction_work *work)
{
    int64_t begin, end;
    span_of(work, &begin, &end);
    return !work->by_range ||
           weir_sparse_covers(partition, begin, end, work->kept, work->kept_count);
}

static void swap_count(weir_engine *engine, weir_partition *partition,
                       const struct weir_compaction_work *work, const weir_compactor_result *result)
{
    if (work->by_range) {
        uint64_t before = bytes_of(work->sources, result->source_count);
        uint64_t behind = bytes_of(result->segments, result->segment_count);
        engine->stats.segments_rewritten += result->source_count;
        engine->stats.segments_freed_bytes += before > behind ? before - behind : 0;
        return;
    }
    partition->clean_offset = result->clean_to;
    partition->tombstones_due_ms = result->tombstones_due_ms;
    engine->stats.compactions++;
    engine->stats.records_compacted += result->records_removed;
}

static weir_err swap(weir_engine *engine, weir_partition *partition,
                     const struct weir_compaction_work *work)
{
    weir_compactor_result result;
    weir_segment **list = NULL;
    uint32_t count = 0;
    weir_compactor_result_of(work->compactor, &result);
    bool stands = sources_stand(partition, work) && still_covers(partition, work);
    weir_err err = stands ? WEIR_OK : WEIR_AGAIN;
    err = err == WEIR_OK ? weir_life_obsolete_reserve(engine, result.source_count) : err;
    err = err == WEIR_OK ? weir_life_note(engine, partition, work->by_range) : err;
    err = err == WEIR_OK ? list_make(partition, work->first, &result, &list, &count) : err;
    if (err != WEIR_OK) {
        return err;
    }
    for (uint32_t i = 0; i < result.source_count; i++) {
        (void)weir_life_obsolete(engine, work->sources[i], weir_engine_unit_now(engine),
                                 true); /* room was reserved */
    }
    if (work->first + result.source_count == partition->segment_count) {
        partition->segment_continues = false; /* what comes next begins a segment of its own */
        partition->segment_closed = true;
    }
    free(partition->segments);
    partition->segments = list;
    partition->segment_count = count;
    partition->segment_capacity = count;
    swap_count(engine, partition, work, &result);
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    return WEIR_OK;
}

/* It was made in vain: its files go as those of a trim do. */
static void made_remove(weir_engine *engine, const struct weir_compaction_work *work)
{
    weir_compactor_result result;
    weir_compactor_result_of(work->compactor, &result);
    if (weir_life_obsolete_reserve(engine, result.segment_count) != WEIR_OK) {
        return; /* the sweep of the next start finds them */
    }
    for (uint32_t i = 0; i < result.segment_count; i++) {
        (void)weir_life_obsolete(engine, weir_segment_keep(result.segments[i]), 0, false);
    }
}

static int retry_s(const weir_engine *engine, const struct weir_compaction_work *work, weir_err err)
{
    if (!work->by_range || err != WEIR_DISK_FULL) {
        return FAILED_S;
    }
    return disk_is_full(engine) ? FULL_S : ROOM_S;
}

static void failed(weir_engine *engine, weir_partition *partition,
                   const struct weir_compaction_work *work, weir_err err)
{
    int64_t begin, end;
    int seconds = retry_s(engine, work, err);
    if (seconds == FULL_S) {
        (void)weir_journal_spare_give(engine->journal);
    }
    partition->compact_after_ns = engine->now_ns + (uint64_t)seconds * 1000000000;
    weir_sparse_place *place = work->by_range ? weir_sparse_place_of(partition) : NULL;
    if (place != NULL) { /* others first, then */
        span_of(work, &begin, &end);
        place->next = end;
    }
    if (err != WEIR_FENCED && err != WEIR_AGAIN && seconds != FULL_S) {
        weir_log(
            WEIR_LOG_WARN, "engine",
            "compaction of topic %.*s, partition %u, failed (%s): its records stay as they are; "
            "it is tried again in %d seconds",
            (int)partition->topic->ref->name_bytes, (const char *)partition->topic->ref->name,
            partition->index, weir_err_name(err), seconds);
    }
}

void weir_compact_finished(weir_engine *engine)
{
    weir_compaction *compaction = &engine->compaction;
    compaction->running = false;
    compaction->next_ns = engine->now_ns + compaction->work->took_ns;
}

/* Takes in what the last slice came to; the swap makes a unit, so it is the turn's to say when. */
static void take_in(weir_engine *engine)
{
    weir_compaction *compaction = &engine->compaction;
    struct weir_compaction_work *work = compaction->work;
    weir_partition *partition = compaction->partition;
    if (work != NULL && partition == NULL) {
        work_free(compaction); /* its topic is deleted, and the files go with it */
    } else if (work != NULL && (work->done || work->err != WEIR_OK)) {
        weir_err err = work->err != WEIR_OK ? work->err : swap(engine, partition, work);
        if (err != WEIR_OK && work->err == WEIR_OK) {
            made_remove(engine, work);
        }
        if (err != WEIR_OK) {
            failed(engine, partition, work, err);
        }
        work_free(compaction);
        engine->life.walk_ns = engine->now_ns; /* who is next? */
    }
}

void weir_compact_abandon(weir_engine *engine)
{
    engine->compaction.running = false;
    work_free(&engine->compaction);
}

/* ---- What there is to do
 * --------------------------------------------------------------------------- */

void weir_compact_work(weir_engine *engine)
{
    weir_compaction *compaction = &engine->compaction;
    int health = atomic_load_explicit(&engine->health, memory_order_relaxed);
    if (!compaction->running) {
        take_in(engine);
    }
    if (compaction->running || engine->now_ns < compaction->next_ns ||
        health > WEIR_HEALTH_DISK_FULL) {
        return;
    }
    if (compaction->partition == NULL && compaction->next_partition != NULL) {
        weir_partition *next = compaction->next_partition;
        compaction->next_partition = NULL;
        if (!begin(engine, next)) {
            return;
        }
    }
    if (compaction->partition != NULL) {
        slice_submit(engine);
    }
}

uint64_t weir_compact_deadline(const weir_engine *engine)
{
    const weir_compaction *compaction = &engine->compaction;
    bool waits = compaction->partition != NULL || compaction->next_partition != NULL;
    return waits && !compaction->running ? compaction->next_ns : UINT64_MAX;
}
