/* core/engine/queue_keys.c - key_ordered groups: one record of a key is out at a time, in order.
 *
 *   key A   [ 12 | 15 | 40 ]      its unsettled records that were met, in order; the first one may be
 *   key B   [ 13 ]                out, or wait for its time: the others are held back (settlement)
 *
 * A fresh record whose key has an unsettled one before it is passed as delayed, for nothing, and
 * held: it is due when all before it are settled. All of this is in memory only. After a start, or
 * when memory was short, it is learned anew before anything is given out: what is unsettled is read,
 * in order. Keys are told apart by 64 bits of a hash: two that share them are kept in one order, which
 * harms nobody.
 *
 * A key is a list of records by their offsets: first offset -> ... -> last; each record knows the
 * next one of its key. Both tables are open addressing by offset, and by hash. A part remembers
 * WEIR_QUEUE_KEYS_MAX records; what lies behind the last of them waits until some are settled.
 *
 * [K1] Every unsettled record below `known` that has a key is in the table; the first one of its key
 *      is not held, the others are. */
#include "core/engine/queue.h"

#include "core/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST = 64,
    NONE = UINT32_MAX,
};

typedef struct waiting {
    int64_t offset; /* -1: free */
    uint64_t key;
    uint32_t next;     /* of its key; of a free one: the next free one */
    uint32_t previous; /* NONE: the first */
} waiting;

typedef struct table {
    uint32_t *slots; /* index + 1 */
    uint32_t capacity;
} table;

struct weir_keys {
    int64_t known; /* below it all that is unsettled was learned */
    waiting *records;
    uint32_t used;
    uint32_t capacity;
    uint32_t count;
    uint32_t free_first;
    table by_offset;
    table last_of; /* by key: the last record of it */
};

/* ---- Tables ------------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t value)
{
    value ^= value >> 32;
    return (value * 0x9e3779b97f4a7c15u) >> 32;
}

static uint64_t word_of(const struct weir_keys *keys, const table *in, uint32_t record)
{
    return in == &keys->by_offset ? (uint64_t)keys->records[record].offset
                                  : keys->records[record].key;
}

static uint32_t slot_of(const struct weir_keys *keys, const table *in, uint64_t word)
{
    uint32_t mask = in->capacity - 1;
    uint32_t at = (uint32_t)mixed(word) & mask;
    while (in->slots[at] != 0 && word_of(keys, in, in->slots[at] - 1) != word) {
        at = (at + 1) & mask;
    }
    return at;
}

static uint32_t find(const struct weir_keys *keys, const table *in, uint64_t word)
{
    uint32_t slot = in->capacity > 0 ? in->slots[slot_of(keys, in, word)] : 0;
    return slot > 0 ? slot - 1 : NONE;
}

static void unset(const struct weir_keys *keys, table *in, uint64_t word)
{
    uint32_t mask = in->capacity - 1;
    uint32_t gap = slot_of(keys, in, word);
    in->slots[gap] = 0;
    for (uint32_t at = (gap + 1) & mask; in->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)mixed(word_of(keys, in, in->slots[at] - 1)) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            in->slots[gap] = in->slots[at];
            in->slots[at] = 0;
            gap = at;
        }
    }
}

static weir_err table_grow(struct weir_keys *keys, table *in, uint32_t capacity)
{
    table grown = {calloc(capacity, sizeof(uint32_t)), capacity};
    if (grown.slots == NULL) {
        return WEIR_NO_MEMORY;
    }
    uint32_t *before = in->slots;
    uint32_t count = in->capacity;
    *in = grown;
    for (uint32_t i = 0; i < count; i++) {
        if (before[i] != 0) {
            in->slots[slot_of(keys, in, word_of(keys, in, before[i] - 1))] = before[i];
        }
    }
    free(before);
    return WEIR_OK;
}

static weir_err reserve(const weir_group_part *part, struct weir_keys *keys)
{
    if (keys->count >= part->group->queue->keys_max) {
        return WEIR_LIMIT;
    }
    if (keys->count < keys->capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = keys->capacity < LEAST ? LEAST : 2 * keys->capacity;
    waiting *records = realloc(keys->records, capacity * sizeof(*records));
    if (records == NULL) {
        return WEIR_NO_MEMORY;
    }
    keys->records = records;
    weir_err err = table_grow(keys, &keys->by_offset, 2 * capacity);
    err = err == WEIR_OK ? table_grow(keys, &keys->last_of, 2 * capacity) : err;
    keys->capacity = err == WEIR_OK ? capacity : keys->capacity;
    return err;
}

/* ---- Records of keys ---------------------------------------------------------------------------- */

/* *first: no other record of its key is before it. There is room. */
static void add(struct weir_keys *keys, int64_t offset, uint64_t key, bool *first)
{
    uint32_t record = keys->free_first;
    if (record != NONE) {
        keys->free_first = keys->records[record].next;
    } else {
        record = keys->used++;
    }
    uint32_t last = find(keys, &keys->last_of, key);
    keys->records[record] = (waiting){.offset = offset, .key = key, .next = NONE, .previous = last};
    keys->count++;
    keys->by_offset.slots[slot_of(keys, &keys->by_offset, (uint64_t)offset)] = record + 1;
    if (last != NONE) {
        keys->records[last].next = record;
    }
    keys->last_of.slots[slot_of(keys, &keys->last_of, key)] = record + 1;
    *first = last == NONE;
}

/* It is settled. Returns the offset of who may go now; -1: nobody. */
static int64_t take_out(struct weir_keys *keys, uint32_t record)
{
    waiting gone = keys->records[record];
    int64_t freed = -1;
    if (gone.next != NONE) {
        keys->records[gone.next].previous = gone.previous;
        freed = gone.previous == NONE ? keys->records[gone.next].offset : -1;
    } else if (gone.previous != NONE) {
        keys->last_of.slots[slot_of(keys, &keys->last_of, gone.key)] = gone.previous + 1;
    } else {
        unset(keys, &keys->last_of, gone.key);
    }
    if (gone.previous != NONE) {
        keys->records[gone.previous].next = gone.next;
    }
    unset(keys, &keys->by_offset, (uint64_t)gone.offset);
    keys->records[record] = (waiting){.offset = -1, .next = keys->free_first};
    keys->free_first = record;
    keys->count--;
    return freed;
}

/* ---- Life cycle --------------------------------------------------------------------------------- */

void weir_keys_free(weir_queue_part *own)
{
    if (own->keys != NULL) {
        free(own->keys->records);
        free(own->keys->by_offset.slots);
        free(own->keys->last_of.slots);
        free(own->keys);
        own->keys = NULL;
    }
}

void weir_keys_forget(weir_queue_part *own)
{
    weir_settlement_run run;
    int64_t at = 0;
    if (own->keys == NULL) {
        return;
    }
    weir_keys_free(own);
    while (weir_settlement_next(own->part->settlement, at, &run)) {
        if (run.held) {
            weir_err err = weir_settlement_hold(own->part->settlement, run.first, run.last, false);
            WEIR_ASSERT(err == WEIR_OK); /* it cuts nothing */
        }
        at = run.last + 1;
    }
}

bool weir_keys_wanted(const weir_group_part *part)
{
    bool wanted = part->group->options.key_ordered == 1;
    if (!wanted) {
        weir_keys_forget(part->queue);
    }
    return wanted;
}

weir_err weir_keys_make(weir_group_part *part)
{
    struct weir_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return WEIR_NO_MEMORY;
    }
    keys->free_first = NONE;
    part->queue->keys = keys;
    return WEIR_OK;
}

static uint64_t hash_of(weir_bytes key)
{
    uint64_t hash = weir_hash(key);
    return hash != 0 ? hash : 1;
}

/* ---- Learning ----------------------------------------------------------------------------------- */

/* The record at `at` of an unsettled run: who is not the first of its key is held. */
static weir_err learn_one(weir_group_part *part, const weir_chunk *chunk, uint32_t index,
                          const weir_settlement_run *run)
{
    struct weir_keys *keys = part->queue->keys;
    weir_record record;
    bool first = true;
    weir_chunk_record(chunk, index, &record);
    if (record.key.ptr == NULL || run->until == WEIR_QUEUE_MOVING) {
        return WEIR_OK;
    }
    if (find(keys, &keys->by_offset, (uint64_t)record.offset) != NONE) {
        return WEIR_OK;
    }
    weir_err err = reserve(part, keys);
    if (err == WEIR_OK) {
        add(keys, record.offset, hash_of(record.key), &first);
    }
    bool hold = !first && run->state == WEIR_RECORD_WAITING;
    return err == WEIR_OK && hold
               ? weir_settlement_hold(part->settlement, record.offset, record.offset, true)
               : err;
}

static weir_err learn_run(weir_engine *engine, weir_member *member, weir_group_part *part,
                          const weir_settlement_run *run)
{
    weir_partition *partition = part->partition;
    struct weir_keys *keys = part->queue->keys;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && keys->known <= run->last) {
        int64_t at = keys->known;
        if (at < partition->start_offset) {
            keys->known = partition->start_offset;
            continue;
        }
        const weir_chunk *chunk = weir_member_chunk(engine, member, partition, at);
        int64_t gap = chunk == NULL ? weir_member_gap(member, partition, at) : 0;
        if (chunk == NULL && gap <= at) {
            return WEIR_MORE;
        }
        uint32_t index = chunk != NULL ? weir_chunk_index_at(chunk, at) : 0;
        if (chunk == NULL || index == chunk->count) {
            keys->known = chunk == NULL ? gap : weir_chunk_end(chunk);
            continue;
        }
        int64_t offset = weir_chunk_offset_at(chunk, index);
        err = offset <= run->last ? learn_one(part, chunk, index, run) : WEIR_OK;
        keys->known = err == WEIR_OK ? offset + (offset <= run->last ? 1 : 0) : at;
    }
    return err;
}

weir_err weir_keys_learn(weir_engine *engine, weir_member *member, weir_group_part *part,
                         int64_t *known)
{
    weir_settlement_run run;
    weir_err err = part->queue->keys == NULL ? weir_keys_make(part) : WEIR_OK;
    int64_t fresh = weir_settlement_fresh(part->settlement);
    while (err == WEIR_OK && part->queue->keys->known < fresh) {
        struct weir_keys *keys = part->queue->keys;
        if (!weir_settlement_next(part->settlement, keys->known, &run)) {
            keys->known = fresh;
            break;
        }
        keys->known = run.first > keys->known ? run.first : keys->known;
        err = learn_run(engine, member, part, &run);
    }
    *known = err == WEIR_OK ? INT64_MAX : part->queue->keys != NULL ? part->queue->keys->known : 0;
    return err;
}

/* ---- Asking ------------------------------------------------------------------------------------- */

weir_err weir_keys_ask(weir_group_part *part, int64_t offset, weir_bytes key, bool *may)
{
    struct weir_keys *keys = part->queue->keys;
    uint32_t known = find(keys, &keys->by_offset, (uint64_t)offset);
    if (known != NONE) {
        *may = keys->records[known].previous == NONE;
        return WEIR_OK;
    }
    weir_err err = reserve(part, keys);
    if (err == WEIR_OK) {
        add(keys, offset, hash_of(key), may);
        keys->known = offset + 1 > keys->known ? offset + 1 : keys->known;
    }
    return err;
}

void weir_keys_told(weir_group_part *part, const weir_queue_items *items, bool once)
{
    struct weir_keys *keys = part->queue->keys;
    int64_t fresh = weir_settlement_fresh(part->settlement);
    keys->known = fresh > keys->known ? fresh : keys->known;
    for (uint32_t i = 0; i < items->count; i++) {
        const weir_queue_item *item = &items->items[i];
        if (item->kind == WEIR_ITEM_DELAYED && item->until == 0) {
            weir_err err = weir_settlement_hold(part->settlement, item->first,
                                                item->first + item->count - 1, true);
            WEIR_ASSERT(err == WEIR_OK); /* it cuts nothing */
        }
    }
    for (uint32_t i = 0; i < items->count; i++) { /* what these free is held by then */
        const weir_queue_item *item = &items->items[i];
        if (item->kind != WEIR_ITEM_DELAYED && (item->kind != WEIR_ITEM_TAKEN || once)) {
            weir_keys_settled(part, item->first, item->first + item->count - 1);
        }
    }
}

void weir_keys_settled(weir_group_part *part, int64_t first, int64_t last)
{
    struct weir_keys *keys = part->queue->keys;
    if (keys == NULL || keys->count == 0) {
        return;
    }
    bool few = last - first < (int64_t)keys->count;
    if (keys->count >= part->group->queue->keys_max) {
        weir_group_ready(part->group, part); /* takes may have waited for room */
        weir_groups_due(part->queue->engine);
    }
    for (uint32_t i = 0; !few && i < keys->used; i++) {
        int64_t offset = keys->records[i].offset;
        if (offset >= first && offset <= last) {
            weir_keys_settled(part, offset, offset);
        }
    }
    for (int64_t at = first; few && at <= last; at++) {
        uint32_t record = find(keys, &keys->by_offset, (uint64_t)at);
        int64_t freed = record != NONE ? take_out(keys, record) : -1;
        if (freed >= 0) {
            weir_err err = weir_settlement_hold(part->settlement, freed, freed, false);
            WEIR_ASSERT(err == WEIR_OK);
            weir_group_ready(part->group, part);
            weir_groups_due(part->queue->engine);
        }
    }
}
