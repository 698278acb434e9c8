/* core/batch/filter.c - a batch with some of its records left out, as compaction writes it.
 *
 *   whole     base 10 | delta 0..4 | r0 r1 r2 r3 r4
 *   filtered  base 10 | delta 0..4 | r0       r3       the gaps stay: every offset is covered
 *
 * Records keep their offsets: their deltas are counted from the new base, which may lie below the
 * old one, and the last offset delta reaches to where the next batch will begin. Their bytes behind
 * the deltas are copied as they are. All of the head that is the producer's stays.
 *
 * Kafka's delete horizon: attribute bit 6 says that the base timestamp is the time from which on
 * the batch's tombstones may go; time deltas are counted from it then, so that times stay. */
#include "core/batch/batch.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/batch/wire.h"

/* Takes a varint that is known to be whole. */
static int64_t whole_varint(const uint8_t **at, const uint8_t *end)
{
    int64_t value = 0;
    bool whole = wire_varint_take(at, end, &value);
    WEIR_ASSERT(whole);
    return value;
}

static uint8_t *record_copy(uint8_t *out, weir_bytes batch, uint32_t position, int64_t offset_shift,
                            int64_t time_shift)
{
    const uint8_t *at = batch.ptr + position;
    const uint8_t *end = batch.ptr + batch.len;
    int64_t body = whole_varint(&at, end);
    end = at + body;
    uint8_t attributes = *at++;
    int64_t time_delta = whole_varint(&at, end) + time_shift;
    int64_t offset_delta = whole_varint(&at, end) + offset_shift;
    size_t rest = (size_t)(end - at);
    size_t len = 1 + wire_varint_size(time_delta) + wire_varint_size(offset_delta) + rest;
    out = wire_varint_put(out, (int64_t)len);
    *out++ = attributes;
    out = wire_varint_put(out, time_delta);
    out = wire_varint_put(out, offset_delta);
    return wire_raw_put(out, at, rest);
}

size_t weir_batch_filter_room(weir_bytes batch, uint32_t count)
{
    return batch.len + (size_t)count * 2 * WEIR_VARINT_BYTES_MAX; /* deltas may get longer */
}

size_t weir_batch_filter(weir_bytes batch, const uint32_t *positions, const bool *keep,
                         const weir_batch_filter_plan *plan, uint8_t *out)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(batch, &head);
    WEIR_ASSERT(err == WEIR_OK);
    int32_t whole = head.record_count;
    int64_t offset_shift = head.base_offset - plan->base_offset;
    int64_t horizon = plan->horizon_ms;
    int64_t time_shift = horizon != 0 ? head.base_timestamp - horizon : 0;
    WEIR_ASSERT(offset_shift >= 0 && plan->end_offset - plan->base_offset <= INT32_MAX);
    uint8_t *at = out + WEIR_BATCH_HEAD_BYTES;
    head.record_count = 0;
    head.attributes &= (uint16_t)~WEIR_BATCH_COMPRESSION_MASK; /* what is written is plain */
    for (int32_t i = 0; i < whole; i++) {
        if (keep[i]) {
            at = record_copy(at, batch, positions[i], offset_shift, time_shift);
            head.record_count++;
        }
    }
    WEIR_ASSERT(head.record_count > 0);
    if (horizon != 0) {
        head.base_timestamp = horizon;
        head.attributes |= WEIR_BATCH_DELETE_HORIZON;
    }
    head.base_offset = plan->base_offset;
    head.last_offset_delta = (int32_t)(plan->end_offset - plan->base_offset - 1);
    head.batch_bytes = (uint32_t)(at - out);
    weir_batch_head_encode(&head, out);
    weir_batch_seal(out, head.batch_bytes);
    return head.batch_bytes;
}

void weir_batch_stretch(uint8_t *batch, size_t len, int64_t end_offset)
{
    int64_t base_offset = (int64_t)weir_get_u64(batch + HEAD_BASE_OFFSET);
    WEIR_ASSERT(end_offset > base_offset && end_offset - base_offset <= INT32_MAX);
    weir_put_u32(batch + HEAD_LAST_OFFSET_DELTA, (uint32_t)(end_offset - base_offset - 1));
    weir_batch_seal(batch, len);
}
