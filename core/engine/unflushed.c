/* core/engine/unflushed.c - which partitions have records outside their segments, and how much.
 *
 *   class     0         1          2              5           15
 *   bytes   < 2 KiB   < 4 KiB   < 8 KiB  ...   < 64 KiB ...   the rest
 *
 * A partition with unflushed batches is in the list of its class. So a flush takes those with the
 * most bytes first, and a checkpoint knows what it would have to carry, without walking partitions.
 * One whose records are due for a segment by their age counts as one of the rest, however little it
 * has: no checkpoint carries those.
 * A partition whose tail has chunks that segments have as well is in `evictable`: memory over the
 * limit is given back from there, a little of each in turn.
 *
 * [U1] class_bytes[c] is the sum of unflushed_bytes of the partitions in list c. */
#include "core/engine/ops.h"

#include "core/base/assert.h"

enum {
    CLASS_SHIFT = 11,
    EVICTED_BYTES = 256 << 10, /* of one partition, before the next has its turn */
};

static uint32_t class_of(const weir_partition *partition, uint64_t bytes)
{
    if (partition->flush_due) {
        return WEIR_UNFLUSHED_CLASSES - 1;
    }
    uint64_t rest = bytes >> CLASS_SHIFT;
    uint32_t class = rest == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(rest);
    return class < WEIR_UNFLUSHED_CLASSES ? class : WEIR_UNFLUSHED_CLASSES - 1;
}

uint32_t weir_unflushed_class(const weir_partition *partition)
{
    return class_of(partition, partition->unflushed_bytes);
}

uint64_t weir_unflushed_class_end(uint32_t class)
{
    return class < WEIR_UNFLUSHED_CLASSES - 1 ? UINT64_C(1) << (CLASS_SHIFT + class) : UINT64_MAX;
}

/* [U1] */
static void count(weir_engine *engine, weir_partition *partition, uint64_t bytes, bool due)
{
    uint32_t before = class_of(partition, partition->unflushed_bytes);
    partition->flush_due = due;
    uint32_t now = class_of(partition, bytes);
    bool listed = weir_link_in(&partition->unflushed_link);
    engine->unflushed_class_bytes[before] -= partition->unflushed_bytes;
    engine->unflushed_class_bytes[now] += bytes;
    partition->unflushed_bytes = bytes;
    if (listed && (before != now || bytes == 0)) {
        weir_link_remove(&partition->unflushed_link);
        listed = false;
    }
    if (!listed && bytes > 0) {
        weir_link_append(&engine->unflushed[now], &partition->unflushed_link);
    }
}

void weir_unflushed_add(weir_engine *engine, weir_partition *partition, const weir_chunk *chunk)
{
    engine->unflushed_bytes += chunk->memory_bytes;
    count(engine, partition, partition->unflushed_bytes + chunk->batch_bytes, partition->flush_due);
}

void weir_unflushed_due(weir_engine *engine, weir_partition *partition)
{
    partition->flush_due_to = partition->next_offset;
    count(engine, partition, partition->unflushed_bytes, true);
}

/* So many bytes of batches are left outside segments; `more`: the tail has what segments have. */
static void settle(weir_engine *engine, weir_partition *partition, uint64_t bytes, bool more)
{
    bool due = partition->flush_due && partition->flushed_offset < partition->flush_due_to;
    if (partition->flush_due && !due && partition->segment_count > 0) {
        partition->segment_closed = true;
    }
    count(engine, partition, bytes, due);
    if (more && !weir_link_in(&partition->evictable_link)) {
        weir_link_append(&engine->evictable, &partition->evictable_link);
    }
}

void weir_unflushed_written(weir_engine *engine, weir_partition *partition, uint64_t bytes)
{
    WEIR_ASSERT(bytes <= partition->unflushed_bytes);
    settle(engine, partition, partition->unflushed_bytes - bytes, true);
}

void weir_unflushed_settle(weir_engine *engine, weir_partition *partition)
{
    const weir_tail *tail = &partition->tail;
    uint32_t first = weir_tail_index_of(tail, partition->flushed_offset);
    uint64_t bytes = 0;
    for (uint32_t i = first; i < tail->count; i++) {
        bytes += weir_tail_at(tail, i)->batch_bytes;
    }
    settle(engine, partition, bytes, first > 0);
}

weir_err weir_partition_tail_add(weir_engine *engine, weir_partition *partition, weir_chunk *chunk)
{
    const weir_tail *tail = &partition->tail;
    int64_t next = tail->count > 0 ? weir_chunk_end(weir_tail_at(tail, tail->count - 1))
                                   : partition->flushed_offset;
    int64_t end = weir_chunk_end(chunk);
    if (end <= next) {
        weir_chunk_drop(chunk); /* a segment has it, or the tail */
        return WEIR_OK;
    }
    if (chunk->base_offset != next || end > partition->next_offset) {
        weir_chunk_drop(chunk);
        return WEIR_DAMAGED;
    }
    weir_err err = weir_tail_reserve(&partition->tail);
    if (err != WEIR_OK) {
        weir_chunk_drop(chunk);
        return err;
    }
    weir_tail_push(&partition->tail, chunk);
    engine->tail_bytes += chunk->memory_bytes;
    weir_unflushed_add(engine, partition, chunk);
    return WEIR_OK;
}

/* ---- Giving memory back
 * ----------------------------------------------------------------------------------- */

static void pop_chunk(weir_engine *engine, weir_partition *partition)
{
    weir_chunk *chunk = weir_tail_pop(&partition->tail);
    engine->tail_bytes -= chunk->memory_bytes;
    if (partition == &engine->live) {
        engine->live_bytes -= chunk->memory_bytes;
        partition->start_offset = weir_chunk_end(chunk);
    }
    weir_chunk_drop_home(chunk);
}

/* Live records go as soon as nobody is owed any, or when they take more than a quarter of the
 * limit. */
static void shrink_live(weir_engine *engine)
{
    weir_partition *live = &engine->live;
    bool owed = engine->live_owed > 0;
    uint64_t most = engine->limits.tail_bytes_max / 4;
    while (live->tail.count > 0 && (!owed || engine->live_bytes > most)) {
        pop_chunk(engine, live);
    }
}

static bool evictable(const weir_partition *partition)
{
    if (partition->tail.count == 0) {
        return false;
    }
    int64_t end = weir_tail_first_end(&partition->tail);
    return end <= partition->flushed_offset && end <= partition->visible_offset; /* [E2] */
}

static bool tail_is_over(const weir_engine *engine)
{
    return engine->tail_bytes > engine->limits.tail_bytes_max;
}

static void shrink_partition(weir_engine *engine, weir_partition *partition)
{
    uint64_t before = engine->tail_bytes;
    weir_tail_fetch_first(&partition->tail);
    while (tail_is_over(engine) && evictable(partition) &&
           before - engine->tail_bytes < EVICTED_BYTES) {
        pop_chunk(engine, partition);
    }
}

/* The partitions behind this one: what the first of them points to, and the second itself. */
static void fetch_evictable(const weir_engine *engine, const weir_link *at)
{
    const weir_link *first = at->next;
    if (first == &engine->evictable) {
        return;
    }
    weir_tail_fetch_slots(&WEIR_OWNER_OF(first, const weir_partition, evictable_link)->tail);
    if (first->next != &engine->evictable) {
        const weir_partition *second =
            WEIR_OWNER_OF(first->next, const weir_partition, evictable_link);
        __builtin_prefetch(&second->evictable_link, 1);
        __builtin_prefetch(&second->tail, 1);
        __builtin_prefetch(&second->flushed_offset);
    }
}

void weir_tail_shrink(weir_engine *engine)
{
    shrink_live(engine);
    if (!tail_is_over(engine)) {
        return;
    }
    while (tail_is_over(engine) && !weir_link_empty(&engine->evictable)) {
        weir_partition *partition =
            WEIR_OWNER_OF(engine->evictable.next, weir_partition, evictable_link);
        fetch_evictable(engine, engine->evictable.next);
        shrink_partition(engine, partition);
        bool more = evictable(partition);
        if (more && !tail_is_over(engine)) {
            break; /* the next turn goes on here, where the processor has been */
        }
        weir_link_remove(&partition->evictable_link);
        if (more) {
            weir_link_append(&engine->evictable, &partition->evictable_link);
        }
    }
    weir_chunk_pool_trim(engine->pool, engine->limits.tail_bytes_max / 8);
}

void weir_partition_drop_below(weir_engine *engine, weir_partition *partition)
{
    while (partition->tail.count > 0) {
        const weir_chunk *oldest = weir_tail_at(&partition->tail, 0);
        if (weir_chunk_end(oldest) > partition->start_offset) {
            break;
        }
        if (oldest->base_offset >= partition->flushed_offset) {
            engine->unflushed_bytes -= oldest->memory_bytes;
        }
        weir_flush_keep(partition);
        pop_chunk(engine, partition);
    }
    int64_t first = partition->tail.count > 0 ? weir_tail_at(&partition->tail, 0)->base_offset
                                              : partition->next_offset;
    int64_t flushed = first < partition->start_offset ? first : partition->start_offset;
    if (flushed > partition->flushed_offset) {
        partition->flushed_offset = flushed; /* nothing below it will be read, or written */
    }
    weir_unflushed_settle(engine, partition);
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
}

/* A deleted topic, or the end: nothing of it is kept in memory. */
void weir_partition_drop_chunks(weir_engine *engine, weir_partition *partition)
{
    weir_flush_keep(partition);
    while (partition->tail.count > 0) {
        weir_chunk *oldest = weir_tail_at(&partition->tail, 0);
        if (oldest->base_offset >= partition->flushed_offset && partition != &engine->live) {
            engine->unflushed_bytes -= oldest->memory_bytes;
        }
        pop_chunk(engine, partition);
    }
    if (partition != &engine->live) {
        count(engine, partition, 0, false);
    }
    weir_link_remove(&partition->evictable_link);
    weir_tail_fini(&partition->tail);
}
