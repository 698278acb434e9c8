/* core/log/tail.c - the newest chunks of a partition: a ring that is pushed at one end, popped at
 * the other.
 *
 *   slots    [ . . o o o o . . ]      capacity a power of two, indexes masked
 *                  ^head     ^head + count
 *                  oldest ... newest, offsets rising
 *
 * A slot has the offset that its chunk ends at beside it: with many partitions a chunk is seldom in
 * the processor's cache, and a search that had to read it would wait for memory at every step.
 * Readers are mostly at the newest chunks: a search goes back from there in doubling steps, then by
 * halves.
 *
 * [T1] Offsets rise: each chunk begins at or after the end of the one before it.
 * [T2] The tail has one count of each chunk in it, and `bytes` is the sum of their memory. */
#include "core/log/tail.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_MIN = 8,
    FETCH_AHEAD = 8, /* chunks: a pop is followed by others, each of memory not seen for long, */
    SLOTS_OF_LINE = 64 / (int)sizeof(weir_tail_slot),
    SLOTS_MOST = 64,
    SLOTS_AHEAD = 2 * FETCH_AHEAD, /* and before that the slots that tell where they are */
};

static weir_tail_slot *slot_at(const weir_tail *tail, uint32_t index)
{
    return &tail->slots[(tail->head + index) & (tail->capacity - 1)];
}

void weir_tail_fini(weir_tail *tail)
{
    weir_chunk *chunk;
    while ((chunk = weir_tail_pop(tail)) != NULL) {
        weir_chunk_drop(chunk);
    }
    free(tail->slots);
    *tail = (weir_tail){0};
}

weir_chunk *weir_tail_at(const weir_tail *tail, uint32_t index)
{
    WEIR_ASSERT(index < tail->count);
    return slot_at(tail, index)->chunk;
}

weir_err weir_tail_reserve(weir_tail *tail)
{
    if (tail->count < tail->capacity) {
        return WEIR_OK;
    }
    if (tail->capacity > UINT32_MAX / 2) {
        return WEIR_NO_MEMORY;
    }
    uint32_t capacity = tail->capacity == 0 ? CAPACITY_MIN : tail->capacity * 2;
    weir_tail_slot *slots = malloc(capacity * sizeof(*slots));
    if (slots == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < tail->count; i++) {
        slots[i] = *slot_at(tail, i);
    }
    free(tail->slots);
    tail->slots = slots;
    tail->capacity = capacity;
    tail->head = 0;
    return WEIR_OK;
}

void weir_tail_push(weir_tail *tail, weir_chunk *chunk)
{
    WEIR_ASSERT(tail->count < tail->capacity);
    WEIR_ASSERT(tail->count == 0 ||
                chunk->base_offset >= slot_at(tail, tail->count - 1)->end_offset); /* [T1] */
    *slot_at(tail, tail->count) = (weir_tail_slot){weir_chunk_end(chunk), chunk};
    tail->count++;
    tail->bytes += chunk->memory_bytes; /* [T2] */
}

void weir_tail_fetch_end(const weir_tail *tail)
{
    if (tail->count > 0) {
        __builtin_prefetch(slot_at(tail, tail->count - 1), 1);
    }
}

void weir_tail_fetch_slots(const weir_tail *tail)
{
    for (uint32_t i = 0; i < SLOTS_MOST && i < tail->count; i += SLOTS_OF_LINE) {
        __builtin_prefetch(slot_at(tail, i));
    }
}

void weir_tail_fetch_first(const weir_tail *tail)
{
    for (uint32_t i = 0; i < FETCH_AHEAD && i < tail->count; i++) {
        __builtin_prefetch(slot_at(tail, i)->chunk, 1);
    }
}

int64_t weir_tail_first_end(const weir_tail *tail)
{
    WEIR_ASSERT(tail->count > 0);
    return slot_at(tail, 0)->end_offset;
}

weir_chunk *weir_tail_pop(weir_tail *tail)
{
    if (tail->count == 0) {
        return NULL;
    }
    if (tail->count > FETCH_AHEAD) {
        __builtin_prefetch(slot_at(tail, SLOTS_AHEAD)); /* a slot of the ring, whosever */
        __builtin_prefetch(slot_at(tail, FETCH_AHEAD)->chunk, 1);
    }
    weir_chunk *chunk = weir_tail_at(tail, 0);
    tail->head = (tail->head + 1) & (tail->capacity - 1);
    tail->count--;
    tail->bytes -= chunk->memory_bytes; /* [T2] */
    return chunk;
}

uint32_t weir_tail_index_of(const weir_tail *tail, int64_t offset)
{
    uint32_t high = tail->count, step = 1;
    if (high > 0 && slot_at(tail, high - 1)->end_offset > offset) {
        high--; /* the newest is mostly the one: then the slot beside it is the last that is read */
    }
    while (step <= high && slot_at(tail, high - step)->end_offset > offset) {
        high -= step;
        step *= 2;
    }
    uint32_t low = step <= high ? high - step + 1 : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slot_at(tail, middle)->end_offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

weir_chunk *weir_tail_find(const weir_tail *tail, int64_t offset)
{
    uint32_t index = weir_tail_index_of(tail, offset);
    if (index == tail->count) {
        return NULL;
    }
    weir_chunk *found = weir_tail_at(tail, index);
    return offset >= found->base_offset ? found : NULL; /* between two, or before the first */
}
