/* core/log/heads.c - the ".heads" file: what magic 2's own CRC leaves out, and where each batch is.
 *
 *   file head, 64 bytes   "WEIRHEAD" | version u16 | least reader u16 | 0 u32 | base offset i64 |
 *                         0 x 36 | CRC32C of the 60 before u32
 *   entry, 40 bytes       position u64 | length u32 | head CRC32C u32 | base offset i64 |
 *                         max timestamp i64 | offsets u32 | CRC32C of the 36 before u32
 *
 * All big-endian. Entries are in the order of the batches and nothing lies between them, so entry n
 * is at 64 + 40 n, and a batch that lacks its entry can be found between its neighbours'.
 *
 * The table in memory has a place for every batch. A place ends where the next begins: lengths and
 * counts are differences.
 *
 * [E1] An entry or a file head whose CRC does not fit tells nothing.
 * [E2] Positions, base offsets and time_max never fall from one place to the next. */
#include "core/log/heads.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILE_VERSION = 8,
    FILE_READER_MIN = 10,
    FILE_BASE_OFFSET = 16,
    FILE_CRC = 60,
    ENTRY_POSITION = 0,
    ENTRY_LENGTH = 8,
    ENTRY_HEAD_CRC = 12,
    ENTRY_BASE_OFFSET = 16,
    ENTRY_MAX_TIMESTAMP = 24,
    ENTRY_OFFSETS = 32,
    ENTRY_CRC = 36,
    PLACES_MIN = 64,
};

static const uint8_t MAGIC[8] = {'W', 'E', 'I', 'R', 'H', 'E', 'A', 'D'};

void weir_heads_file_head_encode(int64_t base_offset, uint8_t out[WEIR_HEADS_FILE_HEAD_BYTES])
{
    memset(out, 0, WEIR_HEADS_FILE_HEAD_BYTES);
    memcpy(out, MAGIC, sizeof(MAGIC));
    weir_put_u16(out + FILE_VERSION, WEIR_HEADS_VERSION);
    weir_put_u16(out + FILE_READER_MIN, WEIR_HEADS_READER_MIN);
    weir_put_u64(out + FILE_BASE_OFFSET, (uint64_t)base_offset);
    weir_put_u32(out + FILE_CRC, weir_crc32c(0, out, FILE_CRC));
}

weir_err weir_heads_file_head_decode(const uint8_t *in, int64_t *base_offset)
{
    if (memcmp(in, MAGIC, sizeof(MAGIC)) != 0 ||
        weir_get_u32(in + FILE_CRC) != weir_crc32c(0, in, FILE_CRC)) {
        return WEIR_DAMAGED; /* [E1] */
    }
    if (weir_get_u16(in + FILE_READER_MIN) > WEIR_HEADS_VERSION) {
        return WEIR_VERSION;
    }
    *base_offset = (int64_t)weir_get_u64(in + FILE_BASE_OFFSET);
    return WEIR_OK;
}

void weir_heads_entry_encode(const weir_heads_entry *entry, uint8_t out[WEIR_HEADS_ENTRY_BYTES])
{
    weir_put_u64(out + ENTRY_POSITION, entry->position);
    weir_put_u32(out + ENTRY_LENGTH, entry->batch_bytes);
    weir_put_u32(out + ENTRY_HEAD_CRC, entry->head_crc);
    weir_put_u64(out + ENTRY_BASE_OFFSET, (uint64_t)entry->base_offset);
    weir_put_u64(out + ENTRY_MAX_TIMESTAMP, (uint64_t)entry->max_timestamp_ms);
    weir_put_u32(out + ENTRY_OFFSETS, entry->offsets);
    weir_put_u32(out + ENTRY_CRC, weir_crc32c(0, out, ENTRY_CRC));
}

weir_err weir_heads_entry_decode(const uint8_t *in, weir_heads_entry *entry)
{
    if (weir_get_u32(in + ENTRY_CRC) != weir_crc32c(0, in, ENTRY_CRC)) {
        return WEIR_DAMAGED; /* [E1] */
    }
    entry->position = weir_get_u64(in + ENTRY_POSITION);
    entry->batch_bytes = weir_get_u32(in + ENTRY_LENGTH);
    entry->head_crc = weir_get_u32(in + ENTRY_HEAD_CRC);
    entry->base_offset = (int64_t)weir_get_u64(in + ENTRY_BASE_OFFSET);
    entry->max_timestamp_ms = (int64_t)weir_get_u64(in + ENTRY_MAX_TIMESTAMP);
    entry->offsets = weir_get_u32(in + ENTRY_OFFSETS);
    return WEIR_OK;
}

void weir_heads_fini(weir_heads *heads)
{
    free(heads->places);
    *heads = (weir_heads){0};
}

weir_err weir_heads_reserve(weir_heads *heads, size_t more)
{
    size_t needed = heads->count + more;
    if (needed <= heads->capacity) {
        return WEIR_OK;
    }
    size_t capacity = heads->capacity * 2 > PLACES_MIN ? heads->capacity * 2 : PLACES_MIN;
    capacity = capacity > needed ? capacity : needed;
    weir_heads_place *places = reallocarray(heads->places, capacity, sizeof(*places));
    if (places == NULL) {
        return WEIR_NO_MEMORY;
    }
    heads->places = places;
    heads->capacity = capacity;
    return WEIR_OK;
}

void weir_heads_push(weir_heads *heads, const weir_heads_place *place, int64_t max_timestamp_ms)
{
    const weir_heads_place *last = heads->count > 0 ? &heads->places[heads->count - 1] : NULL;
    WEIR_ASSERT(heads->count < heads->capacity);
    WEIR_ASSERT(last == NULL || (place->position >= last->position &&
                                 place->base_offset >= last->base_offset)); /* [E2] */
    weir_heads_place *made = &heads->places[heads->count++];
    *made = *place;
    made->time_max = max_timestamp_ms;
    if (last != NULL && last->time_max > made->time_max) {
        made->time_max = last->time_max; /* [E2] */
    }
}

size_t weir_heads_find_offset(const weir_heads *heads, int64_t offset)
{
    size_t low = 0, high = heads->count; /* the first place that begins behind `offset` */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (heads->places[middle].base_offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : low - 1;
}

size_t weir_heads_find_time(const weir_heads *heads, int64_t time_ms)
{
    size_t low = 0, high = heads->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (heads->places[middle].time_max < time_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
