/* core/journal/block.c - turns heads, blocks, units and entries into bytes and back.
 *
 *   file    | head page | block | block | ... | zeros or blocks of an older generation |
 *   block   | magic crc span payload | sequence id generation | first unit, mark, count, flags |
 *           | unit | unit | ... | zeros to the next page |
 *   unit    | bytes, entry count, number, term, engine time | entry | entry | ... |
 *   entry   | type, version, flags, length | body |
 *
 * A block's checksum covers everything behind it up to the end of the span, padding included, so a
 * block is good only when every byte of it is. The decoder takes any bytes: it checks lengths
 * before it reads, the checksum before it believes, and the units' order before it answers OK.
 *
 * [B1] A decoded block's units are dense from first_unit, fill the payload exactly, and no length
 *      in them reaches past it.
 * [B2] Outputs are written only on WEIR_OK. */
#include "core/journal/block.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/varint.h"

#include <string.h>

enum {
    BLOCK_MAGIC = 0x57424c4b, /* "WBLK" */
    /* Where a block's head has what. */
    BLOCK_MAGIC_AT = 0,
    BLOCK_CRC_AT = 4,
    BLOCK_SPAN_AT = 8, /* the checksum begins here */
    BLOCK_PAYLOAD_AT = 12,
    BLOCK_SEQUENCE_AT = 16,
    BLOCK_ID_AT = 24,
    BLOCK_GENERATION_AT = 32,
    BLOCK_FIRST_UNIT_AT = 40,
    BLOCK_DURABLE_AT = 48,
    BLOCK_UNIT_COUNT_AT = 56,
    BLOCK_FLAGS_AT = 60,
    HEAD_CRC_AT = WEIR_JOURNAL_PAGE_BYTES - 4,
};

static const uint8_t HEAD_MAGIC[8] = {'W', 'E', 'I', 'R', 'J', 'R', 'N', 'L'};

void weir_journal_head_encode(const weir_journal_head *head, uint8_t out[WEIR_JOURNAL_PAGE_BYTES])
{
    memset(out, 0, WEIR_JOURNAL_PAGE_BYTES);
    memcpy(out, HEAD_MAGIC, sizeof(HEAD_MAGIC));
    weir_put_u32(out + 8, WEIR_JOURNAL_VERSION);
    weir_put_u32(out + 12, WEIR_JOURNAL_VERSION); /* the least version that can read it */
    weir_put_u64(out + 16, head->journal_id);
    weir_put_u64(out + 24, head->number);
    weir_put_u64(out + 32, head->file_bytes);
    weir_put_u64(out + 40, head->first_unit);
    weir_put_u64(out + 48, head->first_sequence);
    weir_put_u64(out + 56, head->durable);
    weir_put_u64(out + 64, head->term);
    weir_put_u64(out + 72, head->previous_number);
    weir_put_u64(out + 80, head->previous_end);
    weir_put_u32(out + HEAD_CRC_AT, weir_crc32c(0, out, HEAD_CRC_AT));
}

weir_err weir_journal_head_decode(weir_bytes in, weir_journal_head *head)
{
    if (in.len < WEIR_JOURNAL_PAGE_BYTES || memcmp(in.ptr, HEAD_MAGIC, sizeof(HEAD_MAGIC)) != 0 ||
        weir_get_u32(in.ptr + HEAD_CRC_AT) != weir_crc32c(0, in.ptr, HEAD_CRC_AT)) {
        return WEIR_DAMAGED;
    }
    if (weir_get_u32(in.ptr + 12) > WEIR_JOURNAL_VERSION) {
        return WEIR_VERSION;
    }
    *head = (weir_journal_head){
        .journal_id = weir_get_u64(in.ptr + 16),
        .number = weir_get_u64(in.ptr + 24),
        .file_bytes = weir_get_u64(in.ptr + 32),
        .first_unit = weir_get_u64(in.ptr + 40),
        .first_sequence = weir_get_u64(in.ptr + 48),
        .durable = weir_get_u64(in.ptr + 56),
        .term = weir_get_u64(in.ptr + 64),
        .previous_number = weir_get_u64(in.ptr + 72),
        .previous_end = weir_get_u64(in.ptr + 80),
    };
    return WEIR_OK;
}

uint32_t weir_journal_block_encode(uint8_t *out, uint64_t journal_id, uint64_t generation,
                                   const weir_journal_block *block)
{
    uint64_t span = weir_journal_block_span(block->units.len);
    WEIR_ASSERT(span <= UINT32_MAX);
    size_t used = WEIR_JOURNAL_BLOCK_HEAD_BYTES + block->units.len;
    memset(out + used, 0, (size_t)span - used);
    weir_put_u32(out + BLOCK_MAGIC_AT, BLOCK_MAGIC);
    weir_put_u32(out + BLOCK_SPAN_AT, (uint32_t)span);
    weir_put_u32(out + BLOCK_PAYLOAD_AT, (uint32_t)block->units.len);
    weir_put_u64(out + BLOCK_SEQUENCE_AT, block->sequence);
    weir_put_u64(out + BLOCK_ID_AT, journal_id);
    weir_put_u64(out + BLOCK_GENERATION_AT, generation);
    weir_put_u64(out + BLOCK_FIRST_UNIT_AT, block->first_unit);
    weir_put_u64(out + BLOCK_DURABLE_AT, block->durable);
    weir_put_u32(out + BLOCK_UNIT_COUNT_AT, block->unit_count);
    weir_put_u32(out + BLOCK_FLAGS_AT, 0);
    weir_put_u32(out + BLOCK_CRC_AT,
                 weir_crc32c(0, out + BLOCK_SPAN_AT, (size_t)span - BLOCK_SPAN_AT));
    return (uint32_t)span;
}

weir_err weir_journal_block_peek(weir_bytes in, uint64_t journal_id, uint64_t generation,
                                 weir_journal_block *block)
{
    if (in.len < WEIR_JOURNAL_BLOCK_HEAD_BYTES) {
        return WEIR_MORE;
    }
    uint32_t span = weir_get_u32(in.ptr + BLOCK_SPAN_AT);
    uint32_t payload = weir_get_u32(in.ptr + BLOCK_PAYLOAD_AT);
    weir_journal_block peeked = {
        .sequence = weir_get_u64(in.ptr + BLOCK_SEQUENCE_AT),
        .first_unit = weir_get_u64(in.ptr + BLOCK_FIRST_UNIT_AT),
        .unit_count = weir_get_u32(in.ptr + BLOCK_UNIT_COUNT_AT),
        .durable = weir_get_u64(in.ptr + BLOCK_DURABLE_AT),
        .span_bytes = span,
    };
    bool empty = payload == 0;
    if (weir_get_u32(in.ptr + BLOCK_MAGIC_AT) != BLOCK_MAGIC ||
        weir_get_u64(in.ptr + BLOCK_ID_AT) != journal_id ||
        weir_get_u64(in.ptr + BLOCK_GENERATION_AT) != generation ||
        weir_get_u32(in.ptr + BLOCK_FLAGS_AT) != 0 || span != weir_journal_block_span(payload) ||
        empty != (peeked.first_unit == 0) || empty != (peeked.unit_count == 0)) {
        return WEIR_DAMAGED;
    }
    peeked.units = (weir_bytes){in.ptr + WEIR_JOURNAL_BLOCK_HEAD_BYTES, payload};
    *block = peeked;
    return WEIR_OK;
}

/* [B1] */
static bool units_fit(const weir_journal_block *block)
{
    weir_bytes rest = block->units;
    weir_journal_unit unit;
    for (uint64_t i = 0; i < block->unit_count; i++) {
        if (weir_journal_unit_next(&rest, &unit) != WEIR_OK ||
            unit.number != block->first_unit + i) {
            return false;
        }
    }
    return rest.len == 0;
}

static bool crc_fits(weir_bytes in, uint32_t span_bytes)
{
#ifdef WEIR_PLANT_SKIP_CRC /* a bug on purpose, by which the simulation is tested */
    return in.len >= span_bytes;
#else
    uint32_t crc = weir_crc32c(0, in.ptr + BLOCK_SPAN_AT, span_bytes - BLOCK_SPAN_AT);
    return weir_get_u32(in.ptr + BLOCK_CRC_AT) == crc;
#endif
}

weir_err weir_journal_block_decode(weir_bytes in, uint64_t journal_id, uint64_t generation,
                                   weir_journal_block *block)
{
    weir_journal_block found;
    weir_err err = weir_journal_block_peek(in, journal_id, generation, &found);
    if (err != WEIR_OK) {
        return err;
    }
    if (found.span_bytes > in.len) {
        return WEIR_MORE;
    }
    if (!crc_fits(in, found.span_bytes) || !units_fit(&found)) {
        return WEIR_DAMAGED;
    }
    *block = found;
    return WEIR_OK;
}

void weir_journal_unit_encode(uint8_t *out, const weir_journal_unit *unit, uint32_t entry_count)
{
    weir_put_u32(out, (uint32_t)(WEIR_JOURNAL_UNIT_HEAD_BYTES + unit->entries.len));
    weir_put_u32(out + 4, entry_count);
    weir_put_u64(out + 8, unit->number);
    weir_put_u64(out + 16, unit->term);
    weir_put_u64(out + 24, (uint64_t)unit->engine_ms);
}

weir_err weir_journal_unit_next(weir_bytes *rest, weir_journal_unit *unit)
{
    if (rest->len == 0) {
        return WEIR_EMPTY;
    }
    if (rest->len < WEIR_JOURNAL_UNIT_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    uint32_t bytes = weir_get_u32(rest->ptr);
    if (bytes < WEIR_JOURNAL_UNIT_HEAD_BYTES || bytes > rest->len) {
        return WEIR_DAMAGED;
    }
    *unit = (weir_journal_unit){
        .number = weir_get_u64(rest->ptr + 8),
        .term = weir_get_u64(rest->ptr + 16),
        .engine_ms = (int64_t)weir_get_u64(rest->ptr + 24),
        .entries = {rest->ptr + WEIR_JOURNAL_UNIT_HEAD_BYTES, bytes - WEIR_JOURNAL_UNIT_HEAD_BYTES},
    };
    *rest = (weir_bytes){rest->ptr + bytes, rest->len - bytes};
    return WEIR_OK;
}

void weir_journal_entry_encode(uint8_t *out, uint16_t type, uint8_t version, uint32_t body_bytes)
{
    weir_put_u16(out, type);
    out[2] = version;
    out[3] = 0; /* flags: none so far */
    weir_put_u32(out + 4, body_bytes);
}

static bool body_fits(uint32_t body_bytes, size_t room)
{
#ifdef WEIR_PLANT_JOURNAL /* a bug on purpose, by which the fuzzer is tested */
    (void)room;
    return body_bytes < UINT32_MAX;
#else
    return body_bytes <= room;
#endif
}

weir_err weir_journal_entry_next(weir_bytes *rest, weir_journal_entry *entry)
{
    if (rest->len == 0) {
        return WEIR_EMPTY;
    }
    if (rest->len < WEIR_JOURNAL_ENTRY_HEAD_BYTES || rest->ptr[3] != 0) {
        return WEIR_DAMAGED;
    }
    const uint8_t *body = rest->ptr + WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    size_t room = rest->len - WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    uint32_t body_bytes = weir_get_u32(rest->ptr + 4);
    if (!body_fits(body_bytes, room)) {
        return WEIR_DAMAGED;
    }
    *entry = (weir_journal_entry){
        .type = weir_get_u16(rest->ptr),
        .version = rest->ptr[2],
        .body = {body, body_bytes},
    };
    *rest = (weir_bytes){body + body_bytes, room - body_bytes};
    return WEIR_OK;
}
