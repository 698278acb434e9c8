/* core/engine/life.c - how records end: retention, trimming, rolling by age, and their files.
 *
 *   walk, now and then, some partitions a turn:
 *     the last segment is old,     -> closed: the next record begins another
 *     or was compacted
 *     so is what no segment has    -> due for one, where compaction waits for it
 *     segments, chunks are too old -> unit: [9 trim: start offset]  --apply-->  start moves
 *     there are too many bytes     ->
 *     a queue's group has settled  ->
 *
 *   9 trim    topic id u32 | partition u32 | start offset i64 | cause u8 | 0 x 3     version 2
 *             cause  1 retention, and all that is like it  2 a command; version 1 has none: retention
 *
 *   trimmed:   segments | A | B | C |  tail | d | e |        start inside C
 *              settle     A, B leave the list, chunks below start leave memory
 *              removal    the files go, once no start can want them
 *
 * What is decided is the start offset alone; which files that frees is worked out from it, live and
 * after a start alike, whenever no job has the partition in hand. Readers below the start are told:
 * a fetch gets OFFSET_OUT_OF_RANGE with the bounds, a cursor a GAP, an owed run a DROPPED notice.
 *
 * Age is engine time. It runs on the monotonic clock, but begins at the wall clock: one that is
 * wrong at a start must not cost a record. So nothing is too old in the first hour after a start
 * that found more than an hour gone, nor while the wall clock is more than an hour behind.
 *
 * [F1] start <= visible, and start only rises.
 * [F2] A file goes when its trim is durable (or its replacement is in every checkpoint that is
 *      kept) and no unit behind the older of those checkpoints can refer to it.
 * [F3] Whatever is not removed, for a kill or an error, is found by the sweep (sweep.c). */
#include "core/engine/group.h"

#include "core/base/log.h"
#include "core/base/varint.h"
#include "core/env/failpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    WALK_PARTITIONS = 256,    /* looked at in one turn */
    JUMP_MS = 60 * 60 * 1000, /* what a clock may be wrong by */
};

/* ---- Trim: decide, apply, replay
 * ------------------------------------------------------------------- */

/* Why a start moves; in the journal: never change or reuse one. */
typedef enum trim_cause {
    CAUSE_RETENTION = 1,
    CAUSE_COMMAND = 2,
} trim_cause;

enum {
    TRIM_VERSION = 2,
    TRIM_BYTES_OLD = 16, /* of version 1 */
    TRIM_BYTES = 20,
};

static void apply_trim(weir_engine *engine, weir_partition *partition, int64_t start)
{
    WEIR_ASSERT(start >= partition->start_offset && start <= partition->next_offset); /* [F1] */
    partition->start_offset = start;
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    if (!weir_link_in(&partition->trimmed_link)) {
        weir_link_append(&engine->life.trimmed, &partition->trimmed_link);
    }
    for (weir_link *at = partition->cursors.next; at != &partition->cursors; at = at->next) {
        weir_subscriber_ready(WEIR_OWNER_OF(at, weir_cursor, partition_link)->filter->subscriber);
    }
}

/* The room for the stretch was asked for. */
static void apply_caused(weir_engine *engine, weir_partition *partition, int64_t start,
                         trim_cause cause, int64_t time_ms)
{
    const weir_trimmed stretch = {partition->start_offset, start, time_ms};
    apply_trim(engine, partition, start);
    if (cause == CAUSE_COMMAND && stretch.from < stretch.to) {
        weir_trims_add(partition, &stretch);
    }
}

static void trim_write(weir_engine *engine, const weir_partition *partition, int64_t start,
                       trim_cause cause)
{
    uint8_t *at = weir_engine_entry_of(engine, WEIR_ENTRY_TRIM, TRIM_VERSION, TRIM_BYTES);
    weir_put_u32(at, partition->topic->id);
    weir_put_u32(at + 4, partition->index);
    weir_put_u64(at + 8, (uint64_t)start);
    memset(at + 16, 0, 4);
    at[16] = (uint8_t)cause;
}

static weir_err trim_entry(weir_engine *engine, const weir_partition *partition, int64_t start,
                           trim_cause cause, bool frees)
{
    weir_err err = frees ? weir_engine_unit_last(engine, WEIR_TRIM_ENTRY_BYTES)
                         : weir_engine_unit_reserve(engine, WEIR_TRIM_ENTRY_BYTES);
    if (err == WEIR_OK) {
        trim_write(engine, partition, start, cause);
    }
    return err;
}

weir_err weir_life_note(weir_engine *engine, weir_partition *partition, bool frees)
{
    return trim_entry(engine, partition, partition->start_offset, CAUSE_RETENTION, frees);
}

static weir_err trim(weir_engine *engine, weir_partition *partition, int64_t start,
                     trim_cause cause, bool frees)
{
    weir_err err = cause == CAUSE_COMMAND ? weir_trims_reserve(partition) : WEIR_OK;
    err = err == WEIR_OK ? trim_entry(engine, partition, start, cause, frees) : err;
    if (err != WEIR_OK) {
        return err;
    }
    engine->stats.records_trimmed += (uint64_t)(start - partition->start_offset);
    apply_caused(engine, partition, start, cause, engine->engine_ms);
    weir_groups_start_moved(engine, partition, start, weir_engine_unit_now(engine));
    return WEIR_OK;
}

weir_err weir_life_trim_start(weir_bytes body, uint8_t version, int64_t *start)
{
    if (body.len != (version == 1 ? TRIM_BYTES_OLD : TRIM_BYTES)) {
        return WEIR_DAMAGED;
    }
    *start = (int64_t)weir_get_u64(body.ptr + 8);
    return WEIR_OK;
}

weir_err weir_life_replay_trim(weir_engine *engine, weir_bytes body, uint8_t version,
                               int64_t time_ms)
{
    int64_t start;
    weir_err err = weir_life_trim_start(body, version, &start);
    weir_topic *topic = err == WEIR_OK ? weir_topics_find_id(engine, weir_get_u32(body.ptr)) : NULL;
    uint32_t index = topic != NULL ? weir_get_u32(body.ptr + 4) : 0;
    if (topic == NULL || index >= topic->partition_count) {
        return WEIR_DAMAGED;
    }
    weir_partition *partition = topic->partitions[index];
    uint8_t cause = version == 1 ? CAUSE_RETENTION : body.ptr[16];
    if (start < partition->start_offset || start > partition->next_offset) {
        return WEIR_DAMAGED;
    }
    if (cause != CAUSE_RETENTION && cause != CAUSE_COMMAND) {
        return WEIR_VERSION;
    }
    err = cause == CAUSE_COMMAND ? weir_trims_reserve(partition) : WEIR_OK;
    if (err == WEIR_OK) {
        apply_caused(engine, partition, start, (trim_cause)cause, time_ms);
    }
    return err;
}

weir_err weir_life_trim_op(weir_engine *engine, const weir_op *op, weir_topic *topic)
{
    if (op->topic.partition >= topic->partition_count) {
        return WEIR_NOT_FOUND;
    }
    weir_partition *partition = topic->partitions[op->topic.partition];
    int64_t before =
        op->topic.time_ms == WEIR_UNLIMITED ? partition->visible_offset : op->topic.time_ms;
    if (before < 0 || before > partition->visible_offset) {
        return WEIR_OFFSET_OUT_OF_RANGE;
    }
    return before > partition->start_offset ? trim(engine, partition, before, CAUSE_COMMAND, true)
                                            : WEIR_OK;
}

/* ---- What a trim frees
 * ----------------------------------------------------------------------------- */

weir_err weir_life_obsolete_reserve(weir_engine *engine, uint32_t more)
{
    weir_life *life = &engine->life;
    uint32_t capacity = life->obsolete_count + more;
    if (capacity <= life->obsolete_capacity) {
        return WEIR_OK;
    }
    capacity = capacity < 2 * life->obsolete_capacity ? 2 * life->obsolete_capacity : capacity;
    weir_obsolete *grown = realloc(life->obsolete, capacity * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    life->obsolete = grown;
    life->obsolete_capacity = capacity;
    return WEIR_OK;
}

weir_err weir_life_obsolete(weir_engine *engine, weir_segment *segment, uint64_t unit,
                            bool replaced)
{
    weir_life *life = &engine->life;
    weir_err err = weir_life_obsolete_reserve(engine, 1);
    if (err == WEIR_OK) {
        life->obsolete[life->obsolete_count++] = (weir_obsolete){segment, unit, replaced};
    }
    return err;
}

bool weir_life_replaced(const weir_engine *engine, uint64_t unit)
{
    const weir_life *life = &engine->life;
    bool waits = false;
    for (uint32_t i = 0; i < life->obsolete_count && !waits; i++) {
        const weir_obsolete *old = &life->obsolete[i];
        waits = old->replaced && old->unit > engine->checkpoint_units_before && old->unit <= unit;
    }
    return waits;
}

/* Takes the segments below the start out of the list. */
static weir_err settle_segments(weir_engine *engine, weir_partition *partition)
{
    uint32_t gone = 0;
    weir_err err = WEIR_OK;
    while (gone < partition->segment_count && err == WEIR_OK) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[gone], &state);
        bool last = gone + 1 == partition->segment_count;
        if (state.end_offset > partition->start_offset ||
            (last && partition->segment_continues && !partition->segment_closed)) {
            break; /* the last one may be written to at any moment */
        }
        err = weir_life_obsolete(engine, partition->segments[gone], weir_engine_unit_now(engine),
                                 false);
        gone += err == WEIR_OK ? 1 : 0;
    }
    if (gone > 0) {
        partition->segment_count -= gone;
        memmove(partition->segments, partition->segments + gone,
                partition->segment_count * sizeof(weir_segment *));
        weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    }
    if (partition->segment_count == 0) {
        partition->segment_closed = false;
    }
    return err;
}

static bool in_hand(const weir_engine *engine, const weir_partition *partition)
{
    return partition == engine->compaction.partition || weir_straight_busy(partition);
}

/* The room was asked for. */
void weir_life_empty(weir_engine *engine, weir_topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        weir_partition *partition = topic->partitions[i];
        trim_write(engine, partition, partition->visible_offset, CAUSE_RETENTION);
        apply_trim(engine, partition, partition->visible_offset);
        if (!engine->flush.running && !in_hand(engine, partition)) {
            partition->segment_closed = true;
            (void)settle_segments(engine,
                                  partition); /* no memory: they go with the topic's folder */
        }
    }
}

static void settle(weir_engine *engine)
{
    if (engine->flush.running) {
        return; /* it has segments and chunks in hand */
    }
    for (weir_link *at = engine->life.trimmed.next, *next = NULL; at != &engine->life.trimmed;
         at = next) {
        weir_partition *partition = WEIR_OWNER_OF(at, weir_partition, trimmed_link);
        next = at->next;
        if (in_hand(engine, partition)) {
            continue; /* they have its segments or chunks in hand */
        }
        if (settle_segments(engine, partition) != WEIR_OK) {
            return; /* no memory: next time */
        }
        weir_partition_drop_below(engine, partition);
        weir_link_remove(&partition->trimmed_link);
    }
}

/* ---- Removal (background lane)
 * --------------------------------------------------------------------- */

/* Each has a folder of its own. */
static bool of_compaction(const weir_segment *segment)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    return weir_sparse_rewritten(&state);
}

static void remove_run(weir_job *job)
{
    weir_life *life = WEIR_OWNER_OF(job, weir_life, job);
    life->err = weir_owner_compare(life->engine->owner_file);
    bool owned = life->err == WEIR_OK;
    /* One that cannot go keeps no other. */
    for (uint32_t i = 0; i < life->removing_count && owned; i++) {
        weir_err err = weir_segment_remove(life->removing[i]);
        err = err == WEIR_OK ? WEIR_FAILPOINT(segment_removed) : err;
        if (err == WEIR_OK && of_compaction(life->removing[i])) {
            weir_segment_folder_remove(life->removing[i]);
        }
        life->err = err != WEIR_OK ? err : life->err;
    }
}

void weir_life_finished(weir_engine *engine)
{
    weir_life *life = &engine->life;
    if (life->err != WEIR_OK && life->err != WEIR_FENCED) {
        weir_log(
            WEIR_LOG_WARN, "engine",
            "a segment that is not needed any more could not be removed (%s): it takes up disk "
            "until the next start",
            weir_err_name(life->err));
    }
    for (uint32_t i = 0; i < life->removing_count; i++) {
        weir_segment_drop(life->removing[i]);
    }
    life->removing_count = 0;
    life->running = false;
}

/* [F2] */
static bool removable(const weir_engine *engine, const weir_obsolete *old)
{
    if (weir_straight_refers(engine, old->segment)) {
        return false;
    }
    return old->replaced ? engine->checkpoint_units_before >= old->unit
                         : old->unit <= weir_journal_durable(engine->journal);
}

static void work_removal(weir_engine *engine)
{
    weir_life *life = &engine->life;
    if (life->running || life->obsolete_count == 0) {
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < life->obsolete_count; i++) {
        if (life->removing_count < WEIR_REMOVING_MAX && removable(engine, &life->obsolete[i])) {
            life->removing[life->removing_count++] = life->obsolete[i].segment;
        } else {
            life->obsolete[kept++] = life->obsolete[i];
        }
    }
    life->obsolete_count = kept;
    if (life->removing_count > 0) {
        life->job = (weir_job){.run = remove_run, .done = weir_engine_job_done};
        life->engine = engine;
        life->running = true;
        engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &life->job);
    }
}

/* ---- Retention and rolling
 * ------------------------------------------------------------------------- */

/* Whether records may be called old: see the head of this file. */
static bool clock_trusted(weir_engine *engine)
{
    weir_life *life = &engine->life;
    if (life->held_until_ms > engine->engine_ms) {
        return false;
    }
    bool behind = engine->env->ops->wall_ms(engine->env) < engine->engine_ms - JUMP_MS;
    if (behind && !life->clock_told) {
        weir_log(
            WEIR_LOG_WARN, "engine",
            "the clock is more than an hour behind the records: nothing expires by age until it "
            "has caught up; check the clock");
    }
    life->clock_told = behind;
    return !behind;
}

/* The end of what is too old: whole segments, then chunks that no segment has yet. */
static int64_t expired_by_time(const weir_partition *partition, int64_t before_ms)
{
    int64_t start = partition->start_offset;
    weir_segment_state state;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state_of(partition->segments[i], &state);
        if (state.max_timestamp_ms >= before_ms) {
            return start;
        }
        start = state.end_offset > start ? state.end_offset : start;
    }
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    for (uint32_t i = first; i < partition->tail.count; i++) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i);
        if (chunk->timestamp_ms >= before_ms) {
            break;
        }
        start = weir_chunk_end(chunk) > start ? weir_chunk_end(chunk) : start;
    }
    return start;
}

/* What segments and memory hold. While a flush has the last segment in hand, part of what it writes
 * would count twice: what no segment has counts at the next look. */
static uint64_t bytes_held(const weir_partition *partition, bool *unflushed_too)
{
    uint64_t sum = 0;
    weir_segment_state state = {0};
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state_of(partition->segments[i], &state);
        sum += state.bytes;
    }
    *unflushed_too = state.end_offset <= partition->flushed_offset;
    return sum + (*unflushed_too ? partition->unflushed_bytes : 0);
}

/* The end of what is too much: whole segments, then chunks that no segment has yet; never the newest
 * of all. */
static int64_t expired_by_bytes(const weir_partition *partition, uint64_t bytes_max)
{
    int64_t start = partition->start_offset;
    bool unflushed_too;
    uint64_t sum = bytes_held(partition, &unflushed_too);
    weir_segment_state state;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state_of(partition->segments[i], &state);
        if (sum < state.bytes + bytes_max) {
            return start;
        }
        sum -= state.bytes;
        start = state.end_offset > start ? state.end_offset : start;
    }
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    for (uint32_t i = first; i < partition->tail.count && unflushed_too; i++) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i);
        if (sum < chunk->batch_bytes + bytes_max) {
            break;
        }
        sum -= chunk->batch_bytes;
        start = weir_chunk_end(chunk) > start ? weir_chunk_end(chunk) : start;
    }
    return start;
}

/* From where on retention leaves records that groups have not settled: whole segments and batches, the
 * newest, within the limit. */
static int64_t hold(weir_partition *partition, const weir_topic_options *options, int64_t start)
{
    uint64_t most = options->retention_unsettled_bytes == WEIR_UNLIMITED
                        ? UINT64_MAX
                        : (uint64_t)options->retention_unsettled_bytes;
    uint32_t by = 0;
    bool more = options->retention_unsettled == WEIR_UNSETTLED_KEEP;
    int64_t floor = more ? weir_groups_unsettled(partition, &by) : start; /* a look at each group */
    int64_t from = start;
    uint64_t held = 0;
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    for (uint32_t i = partition->tail.count; i > first && more && from > floor; i--) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i - 1);
        if (chunk->base_offset < start && chunk->base_offset >= partition->flushed_offset) {
            more = held + chunk->batch_bytes <= most;
            held += more ? chunk->batch_bytes : 0;
            from = more ? chunk->base_offset : from;
        }
    }
    for (uint32_t i = partition->segment_count; i > 0 && more && from > floor; i--) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i - 1], &state);
        if (state.base_offset < start && state.end_offset > partition->start_offset) {
            more = held + state.bytes <= most;
            held += more ? state.bytes : 0;
            from = more ? state.base_offset : from;
        }
    }
    partition->held_bytes = held;
    partition->held_by = by;
    return from > partition->start_offset ? from : partition->start_offset;
}

static bool frees_segment(const weir_partition *partition, int64_t start)
{
    weir_segment_state state;
    if (partition->segment_count == 0) {
        return false;
    }
    weir_segment_state_of(partition->segments[0], &state);
    return state.end_offset <= start;
}

static void retain(weir_engine *engine, weir_partition *partition,
                   const weir_topic_options *options)
{
    if ((options->cleanup & WEIR_CLEANUP_DELETE) == 0) {
        return;
    }
    int64_t start = partition->start_offset;
    if (options->retention_ms != WEIR_UNLIMITED && clock_trusted(engine)) {
        start = expired_by_time(partition, engine->engine_ms - options->retention_ms);
    }
    if (options->retention_bytes != WEIR_UNLIMITED) {
        int64_t by_bytes = expired_by_bytes(partition, (uint64_t)options->retention_bytes);
        start = by_bytes > start ? by_bytes : start;
    }
    start = start > partition->visible_offset ? partition->visible_offset : start;
    start = hold(partition, options, start);
    if (weir_topic_is_queue(options)) { /* what is settled is needed no more */
        int64_t settled = weir_groups_floor(partition);
        start = settled > start ? settled : start;
    }
    start = start > partition->visible_offset ? partition->visible_offset : start; /* [F1] */
    if (start > partition->start_offset) { /* no room in the journal: next time */
        (void)trim(engine, partition, start, CAUSE_RETENTION, frees_segment(partition, start));
    }
}

bool weir_life_roll_due(const weir_engine *engine, const weir_partition *partition,
                        const weir_topic_options *options)
{
    weir_segment_state state;
    if (partition->segment_count == 0) {
        return false;
    }
    weir_segment_state_of(partition->segments[partition->segment_count - 1], &state);
    return options->segment_ms != WEIR_UNLIMITED && state.end_offset > state.base_offset &&
           engine->engine_ms - state.created_ms >= options->segment_ms;
}

/* Checkpoints carry what is little, for any time. Compaction takes it from segments alone, so where
 * there is compaction a segment's age is its age. */
static bool flush_due(const weir_engine *engine, const weir_partition *partition,
                      const weir_topic_options *options)
{
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    return (options->cleanup & WEIR_CLEANUP_COMPACT) != 0 && !partition->flush_due &&
           options->segment_ms != WEIR_UNLIMITED && first < partition->tail.count &&
           engine->engine_ms - weir_tail_at(&partition->tail, first)->timestamp_ms >=
               options->segment_ms;
}

/* One that became due while a checkpoint was written, which had passed it by, needs another one. */
static void flush_when_due(weir_engine *engine, weir_partition *partition,
                           const weir_topic_options *options)
{
    if (flush_due(engine, partition, options)) {
        weir_unflushed_due(engine, partition);
    }
    if (partition->flush_due && !weir_save_wanted(engine)) {
        (void)weir_life_note(engine, partition, false); /* makes the next checkpoint due */
    }
}

static int64_t segment_end(const weir_partition *partition, uint32_t index)
{
    weir_segment_state state;
    weir_segment_state_of(partition->segments[index], &state);
    return state.end_offset;
}

static void walk_partition(weir_engine *engine, weir_partition *partition,
                           const weir_topic_options *options)
{
    uint32_t count = partition->segment_count;
    retain(engine, partition, options);
    int64_t over = partition->start_offset; /* what ends there takes no more, also after a start */
    over = over < partition->clean_offset ? partition->clean_offset : over;
    if (count > 0 && (weir_life_roll_due(engine, partition, options) ||
                      segment_end(partition, count - 1) <= over)) {
        partition->segment_closed = true;
    }
    if (count > 0 && segment_end(partition, 0) <= partition->start_offset &&
        !weir_link_in(&partition->trimmed_link)) {
        weir_link_append(&engine->life.trimmed, &partition->trimmed_link);
    }
    flush_when_due(engine, partition, options);
    weir_compact_look(engine, partition, options);
}

/* Files that others have taken the place of wait for two checkpoints: where nothing else happens, an
 * empty unit makes the second one due. */
static void nudge(weir_engine *engine)
{
    weir_topic *topic = NULL;
    size_t position = 0;
    bool waits = false;
    for (uint32_t i = 0; i < engine->life.obsolete_count && !waits; i++) {
        waits = engine->life.obsolete[i].unit <= engine->checkpoint_units_at;
    }
    engine->saving.base_wanted |=
        waits; /* a chain that ends with a delta keeps its base in force */
    if (waits && weir_journal_last(engine->journal) == engine->checkpoint_units_at &&
        (topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        (void)weir_life_note(engine, topic->partitions[0], true);
    }
}

/* A slice of the walk over all partitions. Topics that come or go meanwhile may be missed, or met
 * twice: the next walk is near. */
static void walk(weir_engine *engine)
{
    weir_life *life = &engine->life;
    if (engine->now_ns < life->walk_ns ||
        atomic_load_explicit(&engine->health, memory_order_relaxed) > WEIR_HEALTH_DISK_FULL) {
        return;
    }
    weir_topic *topic = NULL;
    for (uint32_t left = WALK_PARTITIONS; left > 0;) {
        topic = weir_map_next(&engine->topics_by_name, &life->walk_position);
        if (topic == NULL) {
            if (atomic_load(&engine->health) == WEIR_HEALTH_OK) {
                nudge(engine); /* a full disk asks for checkpoints by itself: save.c */
            }
            life->walk_position = 0;
            life->walk_ns = engine->now_ns + (uint64_t)engine->config.cleanup_every_ms * 1000000;
            return;
        }
        weir_topic_options options = weir_topic_in_force(engine, &topic->options);
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            walk_partition(engine, topic->partitions[i], &options);
        }
        left -= topic->partition_count < left ? topic->partition_count : left;
    }
    engine->more_work = true;
}

/* ---- What there is to do
 * --------------------------------------------------------------------------- */

void weir_life_work(weir_engine *engine)
{
    walk(engine);
    settle(engine);
    work_removal(engine);
    weir_sweep_work(engine);
    weir_compact_work(engine);
}

uint64_t weir_life_deadline(const weir_engine *engine)
{
    uint64_t compaction = weir_compact_deadline(engine);
    if (engine->topics_by_name.count == 0) {
        return UINT64_MAX;
    }
    return engine->life.walk_ns < compaction ? engine->life.walk_ns : compaction;
}

void weir_life_start(weir_engine *engine, int64_t journalled_ms)
{
    weir_life *life = &engine->life;
    life->recovered_unit = weir_journal_last(engine->journal);
    if (journalled_ms > 0 && engine->engine_ms - journalled_ms > JUMP_MS) {
        life->held_until_ms = engine->engine_ms + JUMP_MS;
        weir_log(WEIR_LOG_INFO, "engine",
                 "%" PRId64
                 " ms passed since this data directory was last written: nothing expires "
                 "by age for an hour, in case the clock is wrong",
                 engine->engine_ms - journalled_ms);
    }
    settle(engine);
}

void weir_life_fini(weir_engine *engine)
{
    weir_life *life = &engine->life;
    for (uint32_t i = 0; i < life->obsolete_count; i++) {
        weir_segment_drop(life->obsolete[i].segment);
    }
    for (uint32_t i = 0; i < life->removing_count; i++) {
        weir_segment_drop(life->removing[i]);
    }
    free(life->obsolete);
    weir_sweep_fini(engine);
}
