/* core/log/tail.c - the newest chunks of a partition: a ring that is pushed at one end, popped at
 * the other.
 *
 *   chunks   [ . . o o o o . . ]      capacity a power of two, indexes masked
 *                  ^head     ^head + count
 *                  oldest ... newest, offsets rising
 *
 * Readers are mostly at the newest chunk, which is tried first; others are found by binary search.
 *
 * [T1] Offsets rise: each chunk begins at or after the end of the one before it.
 * [T2] The tail has one count of each chunk in it, and `bytes` is the sum of their memory. */
#include "core/log/tail.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 8 };

static int64_t last_offset(const weir_chunk *chunk)
{
    return weir_chunk_end(chunk) - 1;
}

void weir_tail_fini(weir_tail *tail)
{
    weir_chunk *chunk;
    while ((chunk = weir_tail_pop(tail)) != NULL) {
        weir_chunk_drop(chunk);
    }
    free(tail->chunks);
    *tail = (weir_tail){0};
}

weir_chunk *weir_tail_at(const weir_tail *tail, uint32_t index)
{
    WEIR_ASSERT(index < tail->count);
    return tail->chunks[(tail->head + index) & (tail->capacity - 1)];
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
    weir_chunk **chunks = malloc(capacity * sizeof(weir_chunk *));
    if (chunks == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < tail->count; i++) {
        chunks[i] = weir_tail_at(tail, i);
    }
    free(tail->chunks);
    tail->chunks = chunks;
    tail->capacity = capacity;
    tail->head = 0;
    return WEIR_OK;
}

void weir_tail_push(weir_tail *tail, weir_chunk *chunk)
{
    WEIR_ASSERT(tail->count < tail->capacity);
    WEIR_ASSERT(tail->count == 0 ||
                chunk->base_offset > last_offset(weir_tail_at(tail, tail->count - 1))); /* [T1] */
    tail->chunks[(tail->head + tail->count) & (tail->capacity - 1)] = chunk;
    tail->count++;
    tail->bytes += chunk->memory_bytes; /* [T2] */
}

weir_chunk *weir_tail_pop(weir_tail *tail)
{
    if (tail->count == 0) {
        return NULL;
    }
    weir_chunk *chunk = weir_tail_at(tail, 0);
    tail->head = (tail->head + 1) & (tail->capacity - 1);
    tail->count--;
    tail->bytes -= chunk->memory_bytes; /* [T2] */
    return chunk;
}

uint32_t weir_tail_index_of(const weir_tail *tail, int64_t offset)
{
    uint32_t low = 0, high = tail->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (last_offset(weir_tail_at(tail, middle)) < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

weir_chunk *weir_tail_find(const weir_tail *tail, int64_t offset)
{
    if (tail->count == 0) {
        return NULL;
    }
    weir_chunk *newest = weir_tail_at(tail, tail->count - 1);
    if (offset >= newest->base_offset) {
        return offset <= last_offset(newest) ? newest : NULL;
    }
    weir_chunk *found = weir_tail_at(tail, weir_tail_index_of(tail, offset));
    return offset >= found->base_offset ? found : NULL; /* between two, or before the first */
}
