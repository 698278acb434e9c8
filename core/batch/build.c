/* core/batch/build.c - makes batches: records appended to a caller's memory, the head written last.
 *
 *   memory  [ head, 61 bytes | record 0 | record 1 | ...            | unused ]
 *                              ^ begin                ^ len          ^ capacity
 *
 *   record  [ length | attributes | 0 | index | key length, key | value length, value | n, headers
 * ] ^ "rest": encoded beforehand, on the thread of whoever publishes
 *
 * begin, then add until MORE, then finish, which writes the head and its CRC over everything. What
 * a client built is only stamped: the fields that are the engine's are set and the CRC renewed;
 * base timestamp and the records' deltas stay the producer's.
 *
 * [B1] len <= capacity <= INT32_MAX: every length and position of a batch fits its field.
 * [B2] The deltas of offsets are dense: record i has delta i, and the last one is count - 1. */
#include "core/batch/batch.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/batch/wire.h"

void weir_batch_head_encode(const weir_batch_head *head, uint8_t out[WEIR_BATCH_HEAD_BYTES])
{
    weir_put_u64(out + HEAD_BASE_OFFSET, (uint64_t)head->base_offset);
    weir_put_u32(out + HEAD_LENGTH, head->batch_bytes - HEAD_LENGTH_END);
    weir_put_u32(out + HEAD_LEADER_EPOCH, (uint32_t)head->leader_epoch);
    out[HEAD_MAGIC] = WEIR_BATCH_MAGIC;
    weir_put_u32(out + HEAD_CRC, head->crc);
    weir_put_u16(out + HEAD_ATTRIBUTES, head->attributes);
    weir_put_u32(out + HEAD_LAST_OFFSET_DELTA, (uint32_t)head->last_offset_delta);
    weir_put_u64(out + HEAD_BASE_TIMESTAMP, (uint64_t)head->base_timestamp);
    weir_put_u64(out + HEAD_MAX_TIMESTAMP, (uint64_t)head->max_timestamp);
    weir_put_u64(out + HEAD_PRODUCER_ID, (uint64_t)head->producer_id);
    weir_put_u16(out + HEAD_PRODUCER_EPOCH, (uint16_t)head->producer_epoch);
    weir_put_u32(out + HEAD_BASE_SEQUENCE, (uint32_t)head->base_sequence);
    weir_put_u32(out + HEAD_RECORD_COUNT, (uint32_t)head->record_count);
}

void weir_batch_begin(weir_batch_builder *builder, uint8_t *memory, size_t capacity)
{
    WEIR_ASSERT(capacity >= WEIR_BATCH_HEAD_BYTES && capacity <= INT32_MAX); /* [B1] */
    weir_put_u16(memory + HEAD_ATTRIBUTES, WEIR_BATCH_LOG_APPEND_TIME);
    *builder = (weir_batch_builder){memory, capacity, WEIR_BATCH_HEAD_BYTES, 0};
}

size_t weir_record_rest_size(weir_bytes value, const weir_header *headers, uint32_t header_count)
{
    size_t size = wire_bytes_size(value) + wire_varint_size(header_count);
    for (uint32_t i = 0; i < header_count; i++) {
        size += wire_varint_size((int64_t)headers[i].name.len) + headers[i].name.len;
        size += wire_bytes_size(headers[i].value);
    }
    return size;
}

size_t weir_record_rest_encode(weir_bytes value, const weir_header *headers, uint32_t header_count,
                               uint8_t *out)
{
    uint8_t *at = wire_bytes_put(out, value);
    at = wire_varint_put(at, header_count);
    for (uint32_t i = 0; i < header_count; i++) {
        at = wire_varint_put(at, (int64_t)headers[i].name.len);
        at = wire_raw_put(at, headers[i].name.ptr, headers[i].name.len);
        at = wire_bytes_put(at, headers[i].value);
    }
    return (size_t)(at - out);
}

size_t weir_batch_alone_size(weir_bytes key, size_t rest_bytes)
{
    size_t body = 2 + wire_varint_size(0) + wire_bytes_size(key) + rest_bytes;
    return WEIR_BATCH_HEAD_BYTES + wire_varint_size((int64_t)body) + body;
}

weir_err weir_batch_add(weir_batch_builder *builder, uint8_t attributes, weir_bytes key,
                        weir_bytes rest, uint32_t *position)
{
    size_t room = builder->capacity - builder->len;
    if (key.len > room || rest.len > room) { /* so that the sums below cannot overflow */
        return WEIR_MORE;
    }
    size_t body = 2 + wire_varint_size(builder->count) + wire_bytes_size(key) + rest.len;
    if (wire_varint_size((int64_t)body) + body > room) {
        return WEIR_MORE;
    }
    uint8_t *at = wire_varint_put(builder->memory + builder->len, (int64_t)body);
    *at++ = attributes;
    *at++ = 0;
    at = wire_varint_put(at, builder->count); /* [B2] */
    at = wire_bytes_put(at, key);
    at = wire_raw_put(at, rest.ptr, rest.len);
    *position = (uint32_t)builder->len;
    builder->len = (size_t)(at - builder->memory);
    builder->count++;
    return WEIR_OK;
}

static uint32_t batch_crc(const uint8_t *batch, size_t len)
{
    return weir_crc32c(0, batch + HEAD_ATTRIBUTES, len - HEAD_ATTRIBUTES);
}

void weir_batch_seal(uint8_t *batch, size_t len)
{
    weir_put_u32(batch + HEAD_CRC, batch_crc(batch, len));
}

weir_bytes weir_batch_finish(weir_batch_builder *builder, int64_t base_offset, int32_t leader_epoch,
                             int64_t timestamp_ms)
{
    WEIR_ASSERT(builder->count > 0 && base_offset >= 0);
    weir_batch_head head = {
        .base_offset = base_offset,
        .batch_bytes = (uint32_t)builder->len,
        .leader_epoch = leader_epoch,
        .attributes = WEIR_BATCH_LOG_APPEND_TIME,
        .last_offset_delta = builder->count - 1, /* [B2] */
        .base_timestamp = timestamp_ms,
        .max_timestamp = timestamp_ms,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .record_count = builder->count,
    };
    weir_batch_head_encode(&head, builder->memory);
    weir_batch_seal(builder->memory, builder->len);
    return (weir_bytes){builder->memory, builder->len};
}

void weir_batch_stamp(uint8_t *batch, size_t len, int64_t base_offset, int32_t leader_epoch,
                      int64_t timestamp_ms)
{
    WEIR_ASSERT(len >= WEIR_BATCH_HEAD_BYTES && base_offset >= 0);
    uint16_t attributes = weir_get_u16(batch + HEAD_ATTRIBUTES) | WEIR_BATCH_LOG_APPEND_TIME;
    weir_put_u64(batch + HEAD_BASE_OFFSET, (uint64_t)base_offset);
    weir_put_u32(batch + HEAD_LEADER_EPOCH, (uint32_t)leader_epoch);
    weir_put_u16(batch + HEAD_ATTRIBUTES, attributes);
    weir_put_u64(batch + HEAD_MAX_TIMESTAMP, (uint64_t)timestamp_ms);
    weir_batch_seal(batch, len);
}
