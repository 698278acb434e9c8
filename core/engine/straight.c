/* core/engine/straight.c - large batches are written once: straight to their segment, and the
 * journal only refers to them. Large is what one partition gets of one group; at level os, where
 * no answer waits for the sync of a segment, an eighth of that in one batch.
 *
 *   close of a large batch --take--> waiting --begin--> going --write--> segment, then the block
 *                               (the unit has a            \               that refers to it
 *                                reference, not the bytes)  +-- sync: segment, then the journal
 *                                                           +-- end: counted, flushed moves
 *
 * The journal calls begin, write, sync and end (journal.h, beside), so that the order on disk is
 * its business: bytes, then the unit that refers to them, and no mark before both are synced. What
 * the segment lacks before such a batch goes in front of it, so that a segment stays dense in the
 * order of offsets; those records are in the journal as well. Only a little of that is taken along
 * (more behind a flush, so that a stream that did not stop for it can go straight again): when more
 * waits, or the partition has no segment that may be written to, the batch goes through the journal
 * like any other, and a flush is asked for, which makes the segment. So nothing here makes files,
 * and no loop waits longer than for a journal write of about the same bytes.
 *
 * Such segments stand in a folder of this owner's term, so that whoever recovers knows where the
 * batches of a unit are, by the unit's term, and no later owner cuts or replaces them.
 *
 * Failures: for want of room the block waits, with its bytes, and publishes are refused; any other
 * error stops the journal, and with it all acknowledging.
 *
 * [X1] A batch that a unit of term t refers to is in a segment of t's folder, behind all batches
 *      before it from that segment's base on.
 * [X2] While a partition has something waiting or going no flush touches it, and the other way
 *      round.
 * [X3] A segment may be removed or rewritten only when weir_straight_refers says no: no start from
 *      a checkpoint that is kept reads it by reference.
 * [X4] What a snapshot counts of a segment is synced, .heads and all, before the journal's mark
 *      reaches the snapshot's unit. */
#include "core/engine/ops.h"

#include <stdlib.h>
#include <string.h>

enum {
    TAKEN_ALONG_BYTES_MAX = 1 << 20, /* of records that the journal has as well */
    CAUGHT_UP_BYTES_MAX = 16 << 20,  /* the same, once behind a flush */
    WAITING_BYTES_MAX =
        WEIR_JOURNAL_PENDING_BYTES - WEIR_UNIT_ROOM_BYTES, /* as the journal itself */
    ITEMS_START = 8,
    CHUNKS_START = 4,
    SMALL_SHARE = 8, /* a batch of this part of journal_inline_bytes_max may be worth it */
};

/* ---- Whether
 * ---------------------------------------------------------------------------------------------- */

bool weir_straight_busy(const weir_partition *partition)
{
    return partition->straight_items > 0;
}

bool weir_straight_behind(const weir_engine *engine)
{
    return engine->straight.waiting_bytes > WAITING_BYTES_MAX;
}

uint64_t weir_straight_term(const weir_engine *engine, const weir_partition *partition)
{
    return partition->straight_wanted ? weir_owner_term(engine->owner_file) : engine->segments_term;
}

bool weir_straight_refers(const weir_engine *engine, const weir_segment *segment)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    if (state.term == 0) {
        return false; /* [X1] */
    }
    bool ours = state.term == weir_owner_term(engine->owner_file);
    uint64_t unit = ours ? weir_segment_referred(segment) : engine->straight.open_unit;
    return unit >= engine->straight.keep_from;
}

/* Where, in the tail, that begins which no segment has and nothing carries there yet. */
static uint32_t lacking_from(const weir_partition *partition)
{
    int64_t end =
        weir_straight_busy(partition) ? partition->straight_end : partition->flushed_offset;
    return weir_tail_index_of(&partition->tail, end);
}

static uint64_t taken_along_max(const weir_partition *partition)
{
    return partition->straight_behind ? CAUGHT_UP_BYTES_MAX : TAKEN_ALONG_BYTES_MAX;
}

/* The bytes of it; counted no further than taken_along_max. */
static uint64_t lacking_bytes(const weir_partition *partition)
{
    uint64_t bytes = 0;
    uint64_t most = taken_along_max(partition);
    for (uint32_t i = lacking_from(partition); i < partition->tail.count && bytes <= most; i++) {
        bytes += weir_tail_at(&partition->tail, i)->batch_bytes;
    }
    return bytes;
}

/* The segment it may go to, with room for it and for what goes before; NULL: none. */
static weir_segment *segment_for(const weir_engine *engine, const weir_partition *partition,
                                 const weir_chunk *chunk, uint64_t before)
{
    weir_topic_options options = weir_topic_in_force(engine, &partition->topic->options);
    if (partition->segment_count == 0 || !partition->segment_continues ||
        partition->flush_item != NULL || partition->segment_closed ||
        weir_life_roll_due(engine, partition, &options) || before > taken_along_max(partition)) {
        return NULL; /* [X2] */
    }
    weir_segment *last = partition->segments[partition->segment_count - 1];
    weir_segment_state state;
    weir_segment_state_of(last, &state);
    bool busy = weir_straight_busy(partition);
    uint64_t end = busy ? partition->straight_bytes : state.bytes;
    uint32_t from = lacking_from(partition);
    int64_t first = from < partition->tail.count ? weir_tail_at(&partition->tail, from)->base_offset
                                                 : chunk->base_offset;
    if (first != (busy ? partition->straight_end : state.end_offset)) {
        return NULL; /* a trim has taken what was between: the next segment begins behind it */
    }
    bool fits = state.term == weir_owner_term(engine->owner_file) &&
                end + before + chunk->batch_bytes <= (uint64_t)options.segment_bytes; /* [X1] */
    return fits ? last : NULL;
}

/* ---- Taking
 * ----------------------------------------------------------------------------------------------- */

static weir_straight_item *item_of(weir_straight_set *set, weir_partition *partition)
{
    for (uint32_t i = set->count; i > 0; i--) {
        if (set->items[i - 1].partition == partition) {
            return &set->items[i - 1];
        }
    }
    if (set->count == set->capacity) {
        uint32_t capacity = set->capacity == 0 ? ITEMS_START : set->capacity * 2;
        weir_straight_item *grown = realloc(set->items, capacity * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        set->items = grown;
        set->capacity = capacity;
    }
    weir_straight_item *item = &set->items[set->count];
    *item = (weir_straight_item){.partition = partition};
    return item; /* counted when it has something */
}

static bool chunks_reserve(weir_straight_item *item, uint32_t more)
{
    uint32_t need = item->chunk_count + more;
    if (need <= item->chunk_capacity) {
        return true;
    }
    uint32_t capacity = item->chunk_capacity == 0 ? CHUNKS_START : item->chunk_capacity * 2;
    capacity = capacity < need ? need : capacity;
    weir_chunk **grown = realloc(item->chunks, capacity * sizeof(weir_chunk *));
    if (grown != NULL) {
        item->chunks = grown;
        item->chunk_capacity = capacity;
    }
    return grown != NULL;
}

static void item_add(weir_engine *engine, weir_straight_item *item, weir_chunk *chunk)
{
    item->chunks[item->chunk_count++] = weir_chunk_keep(chunk);
    item->unit = chunk->unit;
    engine->straight.waiting_bytes += chunk->batch_bytes;
    item->partition->straight_bytes += chunk->batch_bytes;
    item->partition->straight_end = weir_chunk_end(chunk);
}

/* Everything the segment lacks before the chunk, and the chunk. False: no memory. */
static bool item_fill(weir_engine *engine, weir_partition *partition, weir_segment *segment,
                      weir_chunk *chunk)
{
    weir_straight_set *set = &engine->straight.waiting;
    weir_straight_item *item = item_of(set, partition);
    uint32_t from = lacking_from(partition);
    if (item == NULL || !chunks_reserve(item, partition->tail.count - from + 1)) {
        return false;
    }
    if (!weir_straight_busy(partition)) {
        weir_segment_state state;
        weir_segment_state_of(segment, &state);
        partition->straight_bytes = state.bytes;
    }
    if (item->segment == NULL) {
        item->segment = weir_segment_keep(segment);
        set->count++;
        partition->straight_items++;
    }
    for (uint32_t i = from; i < partition->tail.count; i++) {
        item_add(engine, item, weir_tail_at(&partition->tail, i));
    }
    item_add(engine, item, chunk);
    partition->straight_behind = false;
    engine->stats.straight_bytes += chunk->batch_bytes;
    return true;
}

/* What the partition gets of one group, this one or the one before. */
static uint64_t group_count(const weir_engine *engine, weir_partition *partition,
                            const weir_chunk *chunk)
{
    uint64_t group = engine->straight.group;
    if (partition->group != group) {
        partition->group_before = partition->group + 1 == group ? partition->group_bytes : 0;
        partition->group_bytes = 0;
        partition->group = group;
    }
    partition->group_bytes += chunk->batch_bytes;
    return partition->group_bytes > partition->group_before ? partition->group_bytes
                                                            : partition->group_before;
}

/* A segment costs a group one more sync, which much data is worth; where nobody waits for a sync, it
 * costs a system call or two. */
static bool worth_it(const weir_engine *engine, weir_partition *partition, const weir_chunk *chunk)
{
    uint64_t most = engine->config.journal_inline_bytes_max;
    uint64_t group = group_count(engine, partition, chunk);
    bool waits = partition->topic->options.level == WEIR_LEVEL_DISK;
    return chunk->batch_bytes >= most / SMALL_SHARE && (!waits || group >= most);
}

bool weir_straight_take(weir_engine *engine, weir_partition *partition, weir_chunk *chunk)
{
    if (!worth_it(engine, partition, chunk)) {
        return false;
    }
    weir_segment *segment = segment_for(engine, partition, chunk, lacking_bytes(partition));
    if (segment == NULL) {
        partition->straight_wanted = true;
        engine->straight.flush_wanted = true;
        return false;
    }
    return item_fill(engine, partition, segment, chunk);
}

/* ---- What the journal calls
 * --------------------------------------------------------------------------------- */

static weir_err straight_begin(void *arg, uint64_t *bytes)
{
    weir_engine *engine = arg;
    weir_straight *straight = &engine->straight;
    WEIR_ASSERT(straight->going.count == 0);
    uint32_t need = straight->unsynced_count + straight->waiting.count;
    if (need > straight->unsynced_capacity) {
        weir_segment **grown = realloc(straight->unsynced, need * 2 * sizeof(weir_segment *));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        straight->unsynced = grown;
        straight->unsynced_capacity = need * 2;
    }
    weir_straight_set taken = straight->waiting;
    straight->waiting = straight->going;
    straight->going = taken;
    straight->going.written = false;
    straight->group++;
    *bytes = straight->waiting_bytes;
    straight->heads_too |= engine->phase != WEIR_CHECKPOINT_IDLE; /* [X4] */
    return WEIR_OK;
}

static void unsynced_add(weir_straight *straight, weir_segment *segment)
{
    for (uint32_t i = 0; i < straight->unsynced_count; i++) {
        if (straight->unsynced[i] == segment) {
            return;
        }
    }
    WEIR_ASSERT(straight->unsynced_count < straight->unsynced_capacity);
    straight->unsynced[straight->unsynced_count++] = weir_segment_keep(segment);
}

static weir_err straight_write(void *arg)
{
    weir_straight *straight = &((weir_engine *)arg)->straight;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < straight->going.count && !straight->going.written && err == WEIR_OK;
         i++) {
        weir_straight_item *item = &straight->going.items[i];
        unsynced_add(straight, item->segment);
        err = weir_segment_write(item->segment, item->chunks, item->chunk_count);
    }
    straight->going.written = err == WEIR_OK;
    return err;
}

static weir_err straight_sync(void *arg)
{
    weir_straight *straight = &((weir_engine *)arg)->straight;
    weir_err err = WEIR_OK;
    while (straight->unsynced_count > 0 && err == WEIR_OK) {
        weir_segment *segment = straight->unsynced[straight->unsynced_count - 1];
        err = straight->heads_too ? weir_segment_sync(segment) : weir_segment_sync_log(segment);
        if (err == WEIR_OK) {
            weir_segment_drop(segment);
            straight->unsynced_count--;
        }
    }
    straight->heads_too = straight->heads_too && err != WEIR_OK;
    return err == WEIR_DISK_FULL ? WEIR_IO : err; /* a sync is never tried again */
}

static void item_drop(weir_engine *engine, weir_straight_item *item)
{
    for (uint32_t i = 0; i < item->chunk_count; i++) {
        engine->straight.waiting_bytes -= item->chunks[i]->batch_bytes;
        weir_chunk_drop(item->chunks[i]);
    }
    weir_segment_drop(item->segment);
    free(item->chunks);
}

/* It is in the segment: counted, and flushed. */
static void item_count(weir_engine *engine, const weir_straight_item *item)
{
    weir_partition *partition = item->partition;
    weir_segment_count(item->segment, item->chunks, item->chunk_count);
    weir_segment_refer(item->segment, item->unit);
    bool alive = partition->topic->deleted_unit == 0;
    for (uint32_t i = 0; i < item->chunk_count; i++) {
        const weir_chunk *chunk = item->chunks[i];
        engine->stats.segment_bytes += chunk->batch_bytes;
        if (alive && chunk->base_offset >= partition->flushed_offset) { /* else a trim took it */
            partition->flushed_offset = weir_chunk_end(chunk);
            engine->unflushed_bytes -= chunk->memory_bytes;
        }
    }
    if (alive) {
        weir_unflushed_settle(engine, partition);
        weir_unsynced_add(engine, partition); /* the .heads: [X4] */
        weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    }
}

static void straight_end(void *arg, weir_err err)
{
    weir_engine *engine = arg;
    weir_straight_set *set = &engine->straight.going;
    for (uint32_t i = 0; i < set->count; i++) {
        if (err == WEIR_OK) {
            item_count(engine, &set->items[i]);
        } else {
            set->items[i].partition->segment_continues = false;
        }
        set->items[i].partition->straight_items--;
        item_drop(engine, &set->items[i]);
    }
    set->count = 0;
    set->written = false;
}

weir_journal_beside weir_straight_beside(weir_engine *engine)
{
    return (weir_journal_beside){
        .arg = engine,
        .begin = straight_begin,
        .write = straight_write,
        .sync = straight_sync,
        .end = straight_end,
        .find = weir_straight_find,
        .carry = weir_straight_carry,
    };
}

static void set_fini(weir_engine *engine, weir_straight_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        item_drop(engine, &set->items[i]);
    }
    free(set->items);
    *set = (weir_straight_set){0};
}

void weir_straight_fini(weir_engine *engine)
{
    weir_straight *straight = &engine->straight;
    set_fini(engine, &straight->waiting);
    set_fini(engine, &straight->going);
    for (uint32_t i = 0; i < straight->unsynced_count; i++) {
        weir_segment_drop(straight->unsynced[i]);
    }
    free(straight->unsynced);
    weir_straight_found_fini(engine);
    *straight = (weir_straight){0};
}
