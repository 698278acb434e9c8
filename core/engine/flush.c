/* core/engine/flush.c - segments and checkpoints, in the background, from the same chunks.
 *
 *   unflushed chunks (unit durable) --flush job--> segments ----------+
 *                                                                     v
 *   IDLE --due--> FLUSH --all up to the target--> SYNC --> encode --> READY --unit durable--> WRITE
 * --> IDLE
 *
 * A flush appends whole chunks of many partitions in one job and advances `flushed`. A checkpoint
 * is due after so many bytes of journal or so much time; its state counts only on segments that
 * were synced before it was encoded, so no flush runs between SYNC and the encoding [E5]. It is
 * written only when its own unit is durable: a checkpoint is never ahead of the journal. The
 * journal keeps what the older of the two checkpoints needs. A full disk pauses all this and is
 * tried again; any other error stops writing, and a restart recovers from the journal. */
#include "core/engine/ops.h"

#include "core/base/log.h"
#include "core/env/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLUSH_BYTES_MAX = 64 << 20,   /* of one job */
    FLUSH_ITEMS_MAX = 4096,       /* partitions of one job */
    FLUSH_BYTES_LEAST = 32 << 20, /* unflushed bytes that start one */
    RETRY_NS = 500 * 1000 * 1000,
    MADE_MAX = 4,
    PATH_BYTES = 4096,
};

/* ---- The flush job (background lane)
 * ---------------------------------------------------------------------- */

static weir_err make_dirs(const weir_engine *engine, uint32_t topic_id, uint32_t partition,
                          uint64_t term)
{
    const weir_env_ops *ops = engine->env->ops;
    char path[PATH_BYTES];
    char parent[PATH_BYTES];
    snprintf(parent, sizeof(parent), "%s/log", engine->data_dir);
    snprintf(path, sizeof(path), "%s/log/%u", engine->data_dir, topic_id);
    weir_err err = ops->dir_make(engine->env, parent);
    err = err == WEIR_OK ? ops->dir_make(engine->env, path) : err;
    err = err == WEIR_OK ? ops->dir_sync(engine->env, engine->data_dir) : err;
    err = err == WEIR_OK ? ops->dir_sync(engine->env, parent) : err;
    if (err != WEIR_OK) {
        return err;
    }
    snprintf(parent, sizeof(parent), "%s", path);
    weir_topics_segments_dir(engine, topic_id, partition, 0, path, sizeof(path));
    err = ops->dir_make(engine->env, path);
    err = err == WEIR_OK ? ops->dir_sync(engine->env, parent) : err;
    if (err != WEIR_OK || term == 0) {
        return err;
    }
    snprintf(parent, sizeof(parent), "%s", path);
    weir_topics_segments_dir(engine, topic_id, partition, term, path, sizeof(path));
    err = ops->dir_make(engine->env, path);
    return err == WEIR_OK ? ops->dir_sync(engine->env, parent) : err;
}

static weir_err new_segment(const weir_engine *engine, weir_flush_item *item,
                            weir_segment **current)
{
    char dir[PATH_BYTES];
    const weir_chunk *first = item->chunks[item->done_count];
    if (item->made_count == MADE_MAX) {
        return WEIR_AGAIN; /* the rest goes with the next job */
    }
    weir_err err = *current != NULL ? weir_segment_sync(*current) : WEIR_OK;
    err = err == WEIR_OK ? make_dirs(engine, item->topic_id, item->index, item->term) : err;
    weir_topics_segments_dir(engine, item->topic_id, item->index, item->term, dir, sizeof(dir));
    if (err == WEIR_OK) {
        err = weir_segment_create(engine->env, dir, item->term, first->base_offset,
                                  first->timestamp_ms, current);
    }
    if (err == WEIR_OK) {
        item->made[item->made_count++] = *current;
    }
    return err;
}

/* How many chunks from the item's next one on still fit the segment. */
static uint32_t chunks_that_fit(const weir_flush_item *item, uint64_t segment_bytes)
{
    uint32_t count = 0;
    while (item->done_count + count < item->chunk_count) {
        uint64_t bytes = item->chunks[item->done_count + count]->batch_bytes;
        if (segment_bytes + bytes > item->segment_bytes_max && segment_bytes + count > 0) {
            break;
        }
        segment_bytes += bytes;
        count++;
    }
    return count;
}

static weir_err flush_part(const weir_engine *engine, weir_flush_item *item, weir_segment **current)
{
    weir_segment_state state = {0};
    uint32_t count = 0;
    if (*current != NULL) {
        weir_segment_state_of(*current, &state);
        /* One of another owner's folder is left as it is: straight.c, [X1]. */
        bool old = (item->closed && *current == item->segment) || state.term != item->term;
        count = old ? 0 : chunks_that_fit(item, state.bytes);
    }
    if (count == 0) {
        weir_err err = new_segment(engine, item, current);
        if (err != WEIR_OK) {
            return err;
        }
        count = chunks_that_fit(item, 0);
    }
    weir_err err = weir_segment_append(*current, item->chunks + item->done_count, count);
    if (err == WEIR_NOT_FOUND && *current == item->segment) {
        *current =
            NULL; /* of a topic that is deleted further on in the journal: a new one will do */
        return WEIR_OK;
    }
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        const weir_chunk *chunk = item->chunks[item->done_count++];
        item->memory_bytes += chunk->memory_bytes;
        item->end_offset = weir_chunk_end(chunk);
    }
    return err != WEIR_OK ? err : WEIR_FAILPOINT(flush_appended);
}

static bool holds_nothing(const weir_segment *segment)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    return state.end_offset == state.base_offset;
}

static void flush_run(weir_job *job)
{
    weir_flush *flush = WEIR_OWNER_OF(job, weir_flush, job);
    weir_err owned = weir_owner_compare(flush->engine->owner_file);
    for (uint32_t i = 0; i < flush->item_count; i++) {
        weir_flush_item *item = &flush->items[i];
        weir_segment *current = item->segment;
        item->err = owned;
        while (item->err == WEIR_OK && item->done_count < item->chunk_count) {
            item->err = flush_part(flush->engine, item, &current);
        }
        item->err = item->err == WEIR_AGAIN ? WEIR_OK : item->err;
        bool left = item->err != WEIR_OK && owned == WEIR_OK && current != NULL;
        if (left && !holds_nothing(current) && weir_segment_sync(current) != WEIR_OK) {
            item->err = WEIR_IO; /* no checkpoint syncs it: the next flush begins another one */
        }
    }
}

/* ---- Starting and finishing a flush (owner)
 * ------------------------------------------------------------------ */

static weir_err item_fill(const weir_engine *engine, weir_flush_item *item,
                          weir_partition *partition, uint64_t mark, uint64_t *bytes)
{
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    uint32_t count = 0;
    uint64_t sum = *bytes;
    while (first + count < partition->tail.count && sum < FLUSH_BYTES_MAX &&
           weir_tail_at(&partition->tail, first + count)->unit <= mark) {
        sum += weir_tail_at(&partition->tail, first + count)->batch_bytes;
        count++;
    }
    if (count == 0) {
        return WEIR_EMPTY;
    }
    item->chunks = malloc(count * sizeof(*item->chunks));
    if (item->chunks == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        item->chunks[i] = weir_chunk_keep(weir_tail_at(&partition->tail, first + i));
    }
    item->chunk_count = count;
    item->partition = partition;
    item->term = weir_straight_term(engine, partition);
    partition->flushing = true;
    item->topic_id = partition->topic->id;
    item->index = partition->index;
    item->end_offset = partition->flushed_offset;
    weir_topic_options options = weir_topic_in_force(engine, &partition->topic->options);
    item->segment_bytes_max = (uint64_t)options.segment_bytes;
    item->closed = partition->segment_closed || weir_life_roll_due(engine, partition, &options);
    if (partition->segment_count > 0 && partition->segment_continues) {
        item->segment = weir_segment_keep(partition->segments[partition->segment_count - 1]);
    }
    *bytes = sum;
    return WEIR_OK;
}

/* Collects what may be written: chunks whose unit the journal has synced [E5]. */
static bool flush_collect(weir_engine *engine, uint64_t mark)
{
    weir_flush *flush = &engine->flush;
    flush->items = calloc(FLUSH_ITEMS_MAX, sizeof(*flush->items));
    flush->item_count = 0;
    flush->bytes = 0;
    if (flush->items == NULL) {
        return false;
    }
    for (weir_link *at = engine->unflushed.next;
         at != &engine->unflushed && flush->item_count < FLUSH_ITEMS_MAX &&
         flush->bytes < FLUSH_BYTES_MAX;
         at = at->next) {
        weir_partition *partition = WEIR_OWNER_OF(at, weir_partition, unflushed_link);
        weir_flush_item *item = &flush->items[flush->item_count];
        if (!weir_straight_busy(partition) &&
            item_fill(engine, item, partition, mark, &flush->bytes) == WEIR_OK) {
            flush->item_count++;
        }
    }
    if (flush->item_count == 0) {
        free(flush->items);
        flush->items = NULL;
    }
    return flush->item_count > 0;
}

static weir_err item_finish(weir_engine *engine, weir_flush_item *item)
{
    weir_partition *partition = item->partition;
    weir_err err = item->err;
    partition->flushing = false;
    for (uint32_t i = 0; i < item->made_count; i++) {
        if (holds_nothing(item->made[i])) {
            weir_segment_drop(item->made[i]); /* the next one is made in its place */
        } else if (weir_partition_segment_add(partition, item->made[i]) != WEIR_OK) {
            weir_segment_drop(item->made[i]);
            err = WEIR_NO_MEMORY; /* what it holds stays unflushed: it is written again */
            item->done_count = 0;
        } else {
            partition->segment_continues = true;
            partition->segment_closed = false;
        }
    }
    bool alive = partition->topic->deleted_unit == 0;
    if (alive && item->done_count > 0) {
        partition->flushed_offset = item->end_offset;
        engine->unflushed_bytes -= item->memory_bytes;
        if (partition->flushed_offset == partition->next_offset) {
            weir_link_remove(&partition->unflushed_link);
        }
    }
    for (uint32_t i = 0; i < item->chunk_count; i++) {
        engine->stats.segment_bytes += i < item->done_count ? item->chunks[i]->batch_bytes : 0;
        weir_chunk_drop(item->chunks[i]);
    }
    if (item->segment != NULL) {
        weir_segment_drop(item->segment);
    }
    if (err != WEIR_OK) {
        partition->segment_continues = false; /* a segment that failed takes no more */
    }
    free(item->chunks);
    return err;
}

/* Health only gets worse here: a gateway that was replaced stays so whatever fails afterwards, or it
 * would give out the answers that it holds back; one that stopped does not resume. */
static bool health_worsens(weir_engine *engine, weir_engine_health health)
{
    if (atomic_load(&engine->health) >= (int)health) {
        return false;
    }
    atomic_store(&engine->health, (int)health);
    return true;
}

/* What an error of the background means: a full disk is tried again, anything else stops writing.
 */
static void background_failed(weir_engine *engine, weir_err err, const char *what)
{
    if (err == WEIR_FENCED) {
        engine->written_compared = UINT64_MAX; /* this turn compares too, and tells */
        return;
    }
    if (err == WEIR_NO_MEMORY || err == WEIR_DISK_FULL) {
        engine->retry_ns = engine->now_ns + RETRY_NS;
        if (err == WEIR_DISK_FULL && health_worsens(engine, WEIR_HEALTH_DISK_FULL)) {
            weir_log(
                WEIR_LOG_ERROR, "engine",
                "the disk is full (%s): writing has stopped, reading goes on; free some space, "
                "writing resumes by itself",
                what);
        }
        return;
    }
    if (health_worsens(engine, WEIR_HEALTH_STOPPED)) {
        weir_log(
            WEIR_LOG_ERROR, "engine",
            "%s failed (%s): nothing more is acknowledged; check the disk, then restart weir, which "
            "recovers from the journal",
            what, weir_err_name(err));
    }
}

static weir_err flush_take_in(weir_engine *engine)
{
    weir_err worst = WEIR_OK;
    for (uint32_t i = 0; i < engine->flush.item_count; i++) {
        weir_err err = item_finish(engine, &engine->flush.items[i]);
        worst = err != WEIR_OK ? err : worst;
    }
    free(engine->flush.items);
    engine->flush.items = NULL;
    engine->flush.item_count = 0;
    return worst;
}

void weir_flush_finished(weir_engine *engine)
{
    engine->flush.running = false;
    weir_err err = flush_take_in(engine);
    if (err != WEIR_OK) {
        background_failed(engine, err, "writing segments");
    } else {
        engine->retry_ns = 0;
    }
}

weir_err weir_flush_inline(weir_engine *engine)
{
    weir_err err = WEIR_OK;
    engine->flush.engine = engine;
    while (err == WEIR_OK && flush_collect(engine, UINT64_MAX)) {
        flush_run(&engine->flush.job);
        err = flush_take_in(engine);
    }
    weir_partition_show_all(
        engine); /* all of it is durable: let go of what memory has no room for */
    weir_tail_shrink(engine);
    return err;
}

/* ---- The save job (background lane)
 * ---------------------------------------------------------------------------- */

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

/* Only the owner writes and removes; and only what it had when it wrote lets it release the
 * journal. */
static weir_err save_write(weir_engine *engine, weir_save *save)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/state", engine->data_dir);
    weir_err err = weir_owner_compare(engine->owner_file);
    err = err == WEIR_OK ? weir_checkpoint_write(engine->env, dir, &save->checkpoint) : err;
    err = err == WEIR_OK ? WEIR_FAILPOINT(checkpoint_finished) : err;
    err = err == WEIR_OK ? weir_checkpoint_keep_from(engine->env, dir, &save->keep_from) : err;
    return err == WEIR_OK ? weir_owner_compare(engine->owner_file) : err;
}

static void save_run(weir_job *job)
{
    weir_save *save = WEIR_OWNER_OF(job, weir_save, job);
    weir_engine *engine = save->engine;
    switch (save->kind) {
    case WEIR_SAVE_SYNC:
        for (uint32_t i = 0; i < save->segment_count && save->err == WEIR_OK; i++) {
            save->err = weir_segment_sync(save->segments[i]);
        }
        save->err = save->err != WEIR_OK ? save->err : WEIR_FAILPOINT(checkpoint_segments_synced);
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

static void save_submit(weir_engine *engine, weir_save_kind kind)
{
    weir_save *save = &engine->save;
    save->job = (weir_job){.run = save_run, .done = weir_engine_job_done};
    save->engine = engine;
    save->kind = kind;
    save->err = WEIR_OK;
    save->running = true;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &save->job);
}

/* ---- Checkpoints
 * ----------------------------------------------------------------------------------------------------
 */

static uint64_t journal_bytes(const weir_engine *engine)
{
    weir_journal_counts counts;
    weir_journal_counts_of(engine->journal, &counts);
    return counts.bytes + engine->stats.straight_bytes; /* all that a start reads */
}

static bool checkpoint_due(const weir_engine *engine)
{
    if (engine->checkpoint_again) {
        return true;
    }
    if (weir_journal_last(engine->journal) == engine->checkpoint_units_at) {
        return false;
    }
    if (journal_bytes(engine) - engine->checkpoint_bytes_at >= engine->config.checkpoint_bytes) {
        return true;
    }
    return engine->now_ns - engine->checkpoint_ns >=
           (uint64_t)engine->config.checkpoint_every_ms * 1000000;
}

/* The oldest unit that holds a record no segment has. */
static uint64_t first_unflushed_unit(const weir_engine *engine)
{
    uint64_t unit = UINT64_MAX;
    for (weir_link *at = engine->unflushed.next; at != &engine->unflushed; at = at->next) {
        const weir_partition *partition = WEIR_OWNER_OF(at, weir_partition, unflushed_link);
        uint32_t index = weir_tail_index_of(&partition->tail, partition->flushed_offset);
        if (index < partition->tail.count) {
            uint64_t first = weir_tail_at(&partition->tail, index)->unit;
            unit = first < unit ? first : unit;
        }
    }
    return unit;
}

static bool collect_segments(weir_engine *engine)
{
    weir_save *save = &engine->save;
    uint64_t most = engine->stats.partitions == 0 ? 1 : engine->stats.partitions;
    save->segments = malloc(most * sizeof(*save->segments));
    save->segment_count = 0;
    if (save->segments == NULL) {
        return false;
    }
    size_t position = 0;
    weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            const weir_partition *partition = topic->partitions[i];
            if (partition->segment_count > 0) { /* older ones were synced when they were left */
                save->segments[save->segment_count++] =
                    weir_segment_keep(partition->segments[partition->segment_count - 1]);
            }
        }
    }
    return true;
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

static weir_err checkpoint_encode(weir_engine *engine, bool clean)
{
    weir_save *save = &engine->save;
    save->payload.len = 0;
    weir_err err = weir_snapshot_encode(engine, &save->payload);
    if (err != WEIR_OK) {
        return err;
    }
    uint64_t unflushed = first_unflushed_unit(engine);
    uint64_t unit = weir_journal_last(engine->journal);
    save->checkpoint = (weir_checkpoint){
        .number = engine->checkpoint_number + 1,
        .unit = unit,
        .replay_from = unflushed < unit + 1 ? unflushed : unit + 1,
        .term = weir_owner_term(engine->owner_file),
        .recovery_epoch = engine->recovery_epoch,
        .engine_ms = engine->engine_ms,
        .clean = clean,
        .payload = weir_buffer_bytes(&save->payload),
    };
    return WEIR_OK;
}

static void checkpoint_done(weir_engine *engine)
{
    engine->checkpoint_number = engine->save.checkpoint.number;
    engine->checkpoint_units_before = engine->checkpoint_units_at;
    engine->checkpoint_bytes_at = journal_bytes(engine);
    engine->checkpoint_units_at = engine->save.checkpoint.unit;
    engine->checkpoint_ns = engine->now_ns;
    engine->checkpoint_again = false;
    engine->stats.checkpoints++;
    weir_buffer_fini(&engine->save.payload);
    memset(&engine->save.payload, 0, sizeof(engine->save.payload));
    engine->straight.keep_from = engine->save.keep_from;
    weir_journal_release(engine->journal, engine->save.keep_from);
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
    if (save->kind == WEIR_SAVE_SYNC) {
        drop_segments(save);
    }
    weir_err err = save->err;
    if (err == WEIR_OK && save->kind == WEIR_SAVE_SYNC) {
        err = checkpoint_encode(engine, false);
        engine->phase = WEIR_CHECKPOINT_READY;
    } else if (err == WEIR_OK) {
        checkpoint_done(engine);
        engine->phase = WEIR_CHECKPOINT_IDLE;
        engine->retry_ns = 0;
    }
    if (err != WEIR_OK) {
        engine->phase = WEIR_CHECKPOINT_IDLE;
        engine->checkpoint_again = true; /* as soon as background_failed allows */
        background_failed(engine, err, "a checkpoint");
    }
}

/* ---- What there is to do
 * -----------------------------------------------------------------------------------------------
 */

static void work_flush(weir_engine *engine)
{
    uint64_t least = engine->limits.tail_bytes_max / 4;
    least = least < FLUSH_BYTES_LEAST ? least : FLUSH_BYTES_LEAST;
    bool wanted = engine->unflushed_bytes > least || engine->straight.flush_wanted ||
                  engine->phase == WEIR_CHECKPOINT_FLUSH;
    bool may = !engine->flush.running && engine->phase != WEIR_CHECKPOINT_SYNC &&
               engine->now_ns >= engine->retry_ns;
    if (!wanted || !may || weir_link_empty(&engine->unflushed)) {
        return;
    }
    if (!flush_collect(engine, weir_journal_durable(engine->journal))) {
        engine->disk_wanted = true; /* what is not synced yet is not written to segments */
        engine->more_work |=
            weir_journal_last(engine->journal) > weir_journal_durable(engine->journal);
        return;
    }
    engine->flush.job = (weir_job){.run = flush_run, .done = weir_engine_job_done};
    engine->flush.engine = engine;
    engine->flush.running = true;
    engine->straight.flush_wanted = false;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &engine->flush.job);
}

static void work_checkpoint(weir_engine *engine)
{
    switch (engine->phase) {
    case WEIR_CHECKPOINT_IDLE:
        if (engine->now_ns >= engine->retry_ns && checkpoint_due(engine)) {
            engine->phase = WEIR_CHECKPOINT_FLUSH;
            engine->checkpoint_target = weir_journal_last(engine->journal);
        }
        break;
    case WEIR_CHECKPOINT_FLUSH:
        if (!engine->flush.running && !engine->save.running &&
            first_unflushed_unit(engine) > engine->checkpoint_target && collect_segments(engine)) {
            engine->phase = WEIR_CHECKPOINT_SYNC;
            save_submit(engine, WEIR_SAVE_SYNC);
        }
        break;
    case WEIR_CHECKPOINT_READY:
        if (weir_journal_durable(engine->journal) >= engine->save.checkpoint.unit) {
            engine->phase = WEIR_CHECKPOINT_WRITE;
            save_submit(engine, WEIR_SAVE_WRITE);
        } else {
            engine->disk_wanted = true;
            engine->more_work = true;
        }
        break;
    case WEIR_CHECKPOINT_SYNC:
    case WEIR_CHECKPOINT_WRITE:
        break;
    }
}

/* A deleted topic's files go when no checkpoint that is kept knows the topic any more: a start may
 * have to replay what came before its deletion. No job has it in hand then. */
static void work_graves(weir_engine *engine)
{
    if (engine->save.running || engine->flush.running || engine->phase == WEIR_CHECKPOINT_READY) {
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

void weir_flush_work(weir_engine *engine)
{
    int health = atomic_load_explicit(&engine->health, memory_order_relaxed);
    if (health == WEIR_HEALTH_STOPPED || health == WEIR_HEALTH_FENCED) {
        return;
    }
    work_checkpoint(engine);
    work_flush(engine);
    work_graves(engine);
}

/* The clean stop: everything into segments, and a checkpoint after which nothing has to be
 * replayed. */
weir_err weir_flush_everything(weir_engine *engine)
{
    weir_save *save = &engine->save;
    weir_err err = weir_flush_inline(engine);
    save->engine = engine;
    save->err = err == WEIR_OK && !collect_segments(engine) ? WEIR_NO_MEMORY : err;
    if (save->err == WEIR_OK) {
        save->kind = WEIR_SAVE_SYNC;
        save_run(&save->job);
    }
    drop_segments(save);
    if (save->err == WEIR_OK) {
        save->err = checkpoint_encode(engine, true);
    }
    if (save->err == WEIR_OK) {
        save->kind = WEIR_SAVE_WRITE;
        save_run(&save->job);
    }
    weir_buffer_fini(&save->payload);
    memset(&save->payload, 0, sizeof(save->payload));
    return save->err;
}
