/* core/engine/flush.c - segments, in the background, from the chunks that readers share.
 *
 *   unflushed chunks (unit durable) --collect--> job: append to segments --finish--> flushed moves
 *
 * A flush appends whole chunks of many partitions in one job and advances `flushed`. It begins when
 * memory holds much that no segment has, and ends with an eighth less; or when a checkpoint asks for
 * it (save.c). Partitions with the most unflushed bytes are taken first. A full disk pauses it and is
 * tried again; any other error stops writing, and a restart recovers from the journal.
 *
 * A start that replays the journal flushes on its own thread: a partition as soon as it has 4 MiB,
 * while they are still in the processor's cache, and everything when memory has no room for more.
 *
 * [F1] Of the two only the latter can fail a start: what an early flush could not write stays
 *      unflushed, and whoever flushes it next tells. Neither uses up the room of the start's own
 *      journal file, which was taken before.
 * [F2] A segment that a failed flush made and wrote nothing to goes at once: what it was made for may
 *      be gone before there is room.
 * [F3] Segments and checkpoints that find no room get that of the journal's spare files: nobody writes to
 *      those while publishes are refused, and a checkpoint gives more of them back.
 * [F4] What a flush has in hand is the tail's: nobody gives memory back beyond flushed_offset but
 *      trims and deletions, and those keep it for the flush first. */
#include "core/engine/ops.h"

#include "core/base/log.h"
#include "core/env/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLUSH_BYTES_MAX = 64 << 20,   /* of one job */
    FLUSH_ITEMS_MAX = 256,        /* partitions of one job */
    FLUSH_LOOKED_MAX = 4096,      /* partitions looked at for one */
    FLUSH_BYTES_LEAST = 96 << 20, /* unflushed bytes that start one, */
    REPLAYED_BYTES = 4 << 20,     /* of one partition: they are in the processor's cache yet */
    FLUSH_PARTS = 8, /* of which it takes one: the fullest, so that a segment gets much at once */
    FETCH_MAX = 32,  /* chunks that the processor is told of before it looks at the first */
    RETRY_NS = 500 * 1000 * 1000,
    MADE_MAX = 4,
    MADE_ALONE_MAX = 16,
    PATH_BYTES = 4096,
};

/* ---- The flush job (background lane)
 * ---------------------------------------------------------------------- */

static weir_err make_dirs(const weir_engine *engine, uint32_t topic_id, uint32_t partition,
                          uint64_t term, bool sync)
{
    const weir_env_ops *ops = engine->env->ops;
    char path[PATH_BYTES];
    char parent[PATH_BYTES];
    snprintf(parent, sizeof(parent), "%s/log", engine->data_dir);
    snprintf(path, sizeof(path), "%s/log/%u", engine->data_dir, topic_id);
    weir_err err = ops->dir_make(engine->env, parent);
    err = err == WEIR_OK ? ops->dir_make(engine->env, path) : err;
    err = err == WEIR_OK && sync ? ops->dir_sync(engine->env, engine->data_dir) : err;
    err = err == WEIR_OK && sync ? ops->dir_sync(engine->env, parent) : err;
    if (err != WEIR_OK) {
        return err;
    }
    snprintf(parent, sizeof(parent), "%s", path);
    weir_topics_segments_dir(engine, topic_id, partition, 0, path, sizeof(path));
    err = ops->dir_make(engine->env, path);
    err = err == WEIR_OK && sync ? ops->dir_sync(engine->env, parent) : err;
    if (err != WEIR_OK || term == 0) {
        return err;
    }
    snprintf(parent, sizeof(parent), "%s", path);
    weir_topics_segments_dir(engine, topic_id, partition, term, path, sizeof(path));
    err = ops->dir_make(engine->env, path);
    return err == WEIR_OK && sync ? ops->dir_sync(engine->env, parent) : err;
}

/* A few are made with a sync each; of many the state waits for the volume's, as for what is written
 * to them. In a folder of an owner's term batches may go straight to a segment, which waits for no
 * checkpoint: those are always synced. */
static bool made_alone(const weir_engine *engine, const weir_flush_item *item)
{
    return engine->volume == NULL || item->term != 0 || engine->flush.item_count <= MADE_ALONE_MAX;
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
    bool alone = made_alone(engine, item);
    err = err == WEIR_OK ? make_dirs(engine, item->topic_id, item->index, item->term, alone) : err;
    weir_topics_segments_dir(engine, item->topic_id, item->index, item->term, dir, sizeof(dir));
    if (err == WEIR_OK) {
        err = (alone ? weir_segment_create : weir_segment_create_unsynced)(
            engine->env, dir, item->term, first->base_offset, first->timestamp_ms, current);
    }
    if (err == WEIR_OK) {
        if (!alone) {
            weir_segment_files_want_volume(engine->files);
        }
        weir_segment_files_join(engine->files, *current);
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
        /* What a trim has taken from memory leaves a hole, which no segment has inside. */
        bool hole = state.end_offset != item->chunks[item->done_count]->base_offset;
        count = old || hole ? 0 : chunks_that_fit(item, state.bytes);
    }
    if (count == 0) {
        weir_err err = new_segment(engine, item, current);
        if (err != WEIR_OK) {
            return err;
        }
        count = chunks_that_fit(item, 0);
    }
    weir_err err = weir_segment_append(*current, item->chunks + item->done_count, count);
    if ((err == WEIR_NOT_FOUND || err == WEIR_DAMAGED) && *current == item->segment) {
        /* Of a topic that is deleted further on in the journal, or cut short: a new one will do. */
        *current = NULL;
        return WEIR_OK;
    }
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        const weir_chunk *chunk = item->chunks[item->done_count++];
        item->done_bytes += chunk->batch_bytes;
        item->done_memory += chunk->memory_bytes;
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
        for (uint32_t next = 0; next < item->chunk_count && next < FETCH_MAX; next++) {
            weir_chunk_fetch(item->chunks[next]);
        }
        item->err = owned;
        while (item->err == WEIR_OK && item->done_count < item->chunk_count) {
            item->err = flush_part(flush->engine, item, &current);
        }
        item->err = item->err == WEIR_AGAIN ? WEIR_OK : item->err;
        item->goes_on = item->err == WEIR_NO_MEMORY && current != NULL &&
                        weir_segment_takes_more(current); /* its sync is the next checkpoint's */
        bool left = item->err != WEIR_OK && owned == WEIR_OK && current != NULL && !item->goes_on;
        if (left && !holds_nothing(current) && weir_segment_sync(current) != WEIR_OK) {
            item->err = WEIR_IO; /* no checkpoint syncs it: the next flush begins another one */
        }
        bool made = item->made_count > 0 && current == item->made[item->made_count - 1];
        if ((left || item->goes_on) && made && holds_nothing(current)) {
            (void)weir_segment_remove(current); /* [F2] */
        }
    }
}

/* ---- Starting and finishing a flush (owner)
 * ------------------------------------------------------------------ */

/* How many chunks from `first` on the journal has synced [E5], and their bytes. Mostly it has the newest,
 * and nothing else of them is looked at: with many partitions the processor has not seen them for
 * long. */
static uint32_t chunks_ready(const weir_partition *partition, uint32_t first, uint64_t mark,
                             uint64_t room, uint64_t *bytes)
{
    const weir_tail *tail = &partition->tail;
    uint32_t count = 0;
    uint64_t sum = 0;
    if (first < tail->count && partition->unflushed_bytes <= room &&
        weir_tail_at(tail, tail->count - 1)->unit <= mark) {
        *bytes += partition->unflushed_bytes;
        return tail->count - first;
    }
    while (first + count < tail->count && sum < room &&
           weir_tail_at(tail, first + count)->unit <= mark) {
        sum += weir_tail_at(tail, first + count)->batch_bytes;
        count++;
    }
    *bytes += sum;
    return count;
}

static weir_err item_fill(const weir_engine *engine, weir_flush_item *item,
                          weir_partition *partition, uint64_t mark, uint64_t *bytes)
{
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    uint64_t sum = *bytes;
    uint32_t count = chunks_ready(partition, first, mark, FLUSH_BYTES_MAX - sum, &sum);
    if (count == 0) {
        return WEIR_EMPTY;
    }
    *item = (weir_flush_item){0};
    item->chunks = malloc(count * sizeof(*item->chunks));
    if (item->chunks == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        item->chunks[i] = weir_tail_at(&partition->tail, first + i);
    }
    item->chunk_count = count;
    item->partition = partition;
    item->term = weir_straight_term(engine, partition);
    partition->flush_item = item;
    item->topic_id = partition->topic->id;
    item->index = partition->index;
    item->begin_offset = partition->flushed_offset;
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

void weir_flush_keep(const weir_partition *partition)
{
    weir_flush_item *item = partition->flush_item;
    if (item == NULL || item->kept) {
        return;
    }
    for (uint32_t i = 0; i < item->chunk_count; i++) {
        (void)weir_chunk_keep(item->chunks[i]);
    }
    item->kept = true; /* [F4] */
}

/* Whether a checkpoint with this target needs it in segments. */
static bool wanted_below(const weir_partition *partition, uint64_t target)
{
    if (target == UINT64_MAX) {
        return true;
    }
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    return first < partition->tail.count && weir_tail_at(&partition->tail, first)->unit <= target;
}

/* It is the next one of its list: what it points to came with the one before. */
static void fetch_partition(const weir_link *list, const weir_link *next)
{
    if (next == list) {
        return;
    }
    const weir_partition *first = WEIR_OWNER_OF(next, const weir_partition, unflushed_link);
    weir_tail_fetch_end(&first->tail);
    weir_tail_fetch_slots(&first->tail);
    if (next->next != list) {
        const weir_partition *second =
            WEIR_OWNER_OF(next->next, const weir_partition, unflushed_link);
        __builtin_prefetch(next->next);
        __builtin_prefetch(&second->tail);
        __builtin_prefetch(&second->flushed_offset);
    }
}

/* From one class; what is not taken goes to its end, so that others are looked at the next time. */
static void collect_class(weir_engine *engine, uint32_t class, uint64_t mark, uint64_t target,
                          uint32_t *looked)
{
    weir_flush *flush = &engine->flush;
    weir_link *list = &engine->unflushed[class];
    weir_link *last = list->previous;
    for (weir_link *at = list->next, *next = NULL;
         at != list && flush->item_count < FLUSH_ITEMS_MAX && flush->bytes < FLUSH_BYTES_MAX &&
         *looked < FLUSH_LOOKED_MAX;
         at = next) {
        weir_partition *partition = WEIR_OWNER_OF(at, weir_partition, unflushed_link);
        weir_flush_item *item = &flush->items[flush->item_count];
        next = at == last ? list : at->next;
        fetch_partition(list, next);
        (*looked)++;
        if (!weir_straight_busy(partition) && wanted_below(partition, target) &&
            item_fill(engine, item, partition, mark, &flush->bytes) == WEIR_OK) {
            flush->item_count++;
        } else {
            weir_link_remove(at);
            weir_link_append(list, at);
        }
    }
}

/* Collects what may be written: chunks whose unit the journal has synced [E5], of partitions of this
 * class and those above. */
static bool flush_collect(weir_engine *engine, uint64_t mark, uint32_t class_least, uint64_t target)
{
    weir_flush *flush = &engine->flush;
    uint32_t looked = 0;
    flush->item_count = 0;
    flush->bytes = 0;
    flush->items = malloc(FLUSH_ITEMS_MAX * sizeof(*flush->items));
    if (flush->items == NULL) {
        return false;
    }
    for (uint32_t class = WEIR_UNFLUSHED_CLASSES; class > class_least; class --) {
        collect_class(engine, class - 1, mark, target, &looked);
    }
    if (flush->item_count == 0) {
        free(flush->items);
        flush->items = NULL;
    }
    return flush->item_count > 0;
}

void weir_unsynced_remove(weir_engine *engine, weir_partition *partition)
{
    if (weir_link_in(&partition->unsynced_link)) {
        weir_link_remove(&partition->unsynced_link);
        engine->unsynced_count--;
    }
}

void weir_unsynced_add(weir_engine *engine, weir_partition *partition)
{
    if (weir_link_in(&partition->unsynced_link)) {
        return;
    }
    if (engine->volume != NULL && engine->unsynced_count == WEIR_SYNCED_ALONE_MAX) {
        engine->unsynced_more = true; /* they are not told apart */
        return;
    }
    weir_link_append(&engine->unsynced, &partition->unsynced_link);
    engine->unsynced_count++;
}

/* Segments that the job made join the partition's. Returns the job's error, or that one did not. */
static weir_err made_join(weir_partition *partition, weir_flush_item *item)
{
    weir_err err = item->err;
    for (uint32_t i = 0; i < item->made_count; i++) {
        if (holds_nothing(item->made[i])) {
            weir_segment_drop(item->made[i]); /* [F2] */
        } else if (weir_partition_segment_add(partition, item->made[i]) != WEIR_OK) {
            weir_segment_drop(item->made[i]);
            err = WEIR_NO_MEMORY; /* what it holds stays unflushed: it is written again */
            item->done_count = 0;
            item->goes_on = false;
        } else {
            partition->segment_continues = true;
            partition->segment_closed = false;
        }
    }
    return err;
}

/* What of the chunks that the job appended is in memory, where a trim may have taken some. */
static uint64_t memory_left(const weir_partition *partition, const weir_flush_item *item)
{
    uint64_t memory = 0;
    for (uint32_t i = 0; i < item->done_count; i++) {
        bool there = item->chunks[i]->base_offset >= partition->flushed_offset;
        memory += there ? item->chunks[i]->memory_bytes : 0;
    }
    return memory;
}

/* The chunks that the job appended are in segments from now on. */
static void flushed_move(weir_engine *engine, weir_partition *partition,
                         const weir_flush_item *item)
{
    bool whole = !item->kept && partition->flushed_offset == item->begin_offset;
    engine->unflushed_bytes -= whole ? item->done_memory : memory_left(partition, item);
    if (item->end_offset > partition->flushed_offset) {
        partition->flushed_offset = item->end_offset;
    }
    if (whole) {
        weir_unflushed_written(engine, partition, item->done_bytes);
    } else {
        weir_unflushed_settle(engine, partition);
    }
    weir_unsynced_add(engine, partition);
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
}

static weir_err item_finish(weir_engine *engine, weir_flush_item *item)
{
    weir_partition *partition = item->partition;
    partition->flush_item = NULL;
    partition->straight_behind = partition->straight_wanted;
    weir_err err = made_join(partition, item);
    bool alive = partition->topic->deleted_unit == 0;
    if (alive && item->done_count > 0) {
        flushed_move(engine, partition, item);
    }
    engine->stats.segment_bytes += item->done_count > 0 ? item->done_bytes : 0;
    for (uint32_t i = 0; item->kept && i < item->chunk_count; i++) {
        weir_chunk_drop_home(item->chunks[i]);
    }
    if (item->segment != NULL) {
        weir_segment_drop(item->segment);
    }
    if (err != WEIR_OK && !item->goes_on) {
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

void weir_background_failed(weir_engine *engine, weir_err err, const char *what)
{
    if (err == WEIR_FENCED) {
        engine->written_compared = UINT64_MAX; /* this turn compares too, and tells */
        return;
    }
    if (err == WEIR_NO_MEMORY || err == WEIR_DISK_FULL) {
        engine->retry_ns = engine->now_ns + RETRY_NS;
        if (err == WEIR_DISK_FULL) {
            (void)weir_journal_spare_give(engine->journal); /* [F3] */
        }
        if (err == WEIR_NO_MEMORY && !engine->lack_told) {
            engine->lack_told = true;
            weir_log(
                WEIR_LOG_ERROR, "engine",
                "%s waits: memory or a file descriptor could not be had; it is tried again, and "
                "nothing is lost; raise the limit of open files (ulimit -n, LimitNOFILE=), or close "
                "connections",
                what);
        }
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

void weir_background_went_on(weir_engine *engine)
{
    engine->retry_ns = 0;
    if (engine->lack_told) {
        engine->lack_told = false;
        weir_log(WEIR_LOG_INFO, "engine",
                 "memory and file descriptors can be had: what waited for them goes on");
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
    engine->flush.full = err == WEIR_DISK_FULL;
    if (err != WEIR_OK) {
        weir_background_failed(engine, err, "writing segments");
    } else {
        weir_background_went_on(engine);
    }
}

weir_err weir_flush_inline(weir_engine *engine, uint32_t class_least)
{
    weir_err err = WEIR_OK;
    engine->flush.engine = engine;
    while (err == WEIR_OK && flush_collect(engine, UINT64_MAX, class_least, UINT64_MAX)) {
        flush_run(&engine->flush.job);
        err = flush_take_in(engine);
    }
    weir_partition_show_all(
        engine); /* all of it is durable: let go of what memory has no room for */
    weir_tail_shrink(engine);
    return err;
}

/* [F1] */
weir_err weir_flush_replayed(weir_engine *engine, const weir_partition *partition)
{
    if (engine->unflushed_bytes > engine->limits.tail_bytes_max / 2) {
        return weir_flush_inline(engine, 0);
    }
    bool early = partition->unflushed_bytes >= REPLAYED_BYTES && !engine->flush.early_failed;
    if (early && !engine->looks &&
        weir_flush_inline(engine, weir_unflushed_class(partition)) != WEIR_OK) {
        engine->flush.early_failed = true; /* once is enough */
    }
    return WEIR_OK;
}

/* ---- What there is to do
 * -----------------------------------------------------------------------------------------------
 */

static bool flush_wanted(weir_engine *engine, uint32_t *class_least, uint64_t *target)
{
    uint64_t most = engine->limits.tail_bytes_max / 4 * 3;
    most = most < FLUSH_BYTES_LEAST ? most : FLUSH_BYTES_LEAST;
    engine->flush_going = engine->unflushed_bytes >
                          (engine->flush_going ? most / FLUSH_PARTS * (FLUSH_PARTS - 1) : most);
    if (weir_save_flushes(engine, class_least, target)) {
        return true; /* up to its target only, so that it comes to its end while more comes in */
    }
    *class_least = 0;
    *target = UINT64_MAX;
    return engine->flush_going || engine->straight.flush_wanted;
}

/* Nothing to write was found: what waits for the journal's sync, or nothing at all. A write that is
 * under way on its lane brings the next turn by itself: asking for one would be turning until it
 * ends, on a processor that others want. */
static void flush_found_nothing(weir_engine *engine, uint64_t target)
{
    uint64_t durable = weir_journal_durable(engine->journal);
    uint64_t last = weir_journal_last(engine->journal);
    bool waits = last > durable && target > durable;
    engine->flush_empty = !waits;
    engine->flush.full &= waits;
    engine->disk_wanted |= waits;
    /* One that waits for room is tried again in time: turns meanwhile would only turn. */
    engine->more_work |= waits && !weir_journal_busy(engine->journal) &&
                         weir_journal_state(engine->journal) == WEIR_OK;
}

void weir_flush_work(weir_engine *engine)
{
    uint32_t class_least = 0;
    uint64_t target = 0;
    int health = atomic_load_explicit(&engine->health, memory_order_relaxed);
    if (health == WEIR_HEALTH_STOPPED || health == WEIR_HEALTH_FENCED) {
        return;
    }
    bool may = !engine->flush.running && !weir_save_bars_flush(engine) &&
               engine->now_ns >= engine->retry_ns;
    engine->flush_empty = false;
    if (may && flush_wanted(engine, &class_least, &target)) {
        if (!flush_collect(engine, weir_journal_durable(engine->journal), class_least, target)) {
            flush_found_nothing(engine, target);
        } else {
            engine->flush.job = (weir_job){.run = flush_run, .done = weir_engine_job_done};
            engine->flush.engine = engine;
            engine->flush.running = true;
            engine->straight.flush_wanted = false;
            engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &engine->flush.job);
        }
    }
    weir_save_work(engine);
}
