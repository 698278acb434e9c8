/* core/batch/short.c - the head of a batch that the engine built, in a few bytes.
 *
 *   head, 61 bytes:  base offset | length | leader epoch | magic | crc | attributes | ... | count
 *   short head:      base offset varint | leader epoch varint | record count varint | crc u32
 *
 * What weir_batch_finish writes follows from these, the time, and how many bytes the records have. Where many
 * topics get one record each, the head is a third of what has to be written.
 *
 * [H1] The CRC covers all of the long head that is made again, but what the short one has (base offset,
 *      epoch) and what does not vary or follows from the records (magic, length): a batch that passes
 *      weir_batch_check afterwards is the one that was shortened. */
#include "core/batch/batch.h"

#include "core/batch/wire.h"

size_t weir_batch_head_shorten(weir_bytes batch, int64_t base_offset, int32_t leader_epoch,
                               int32_t record_count, uint8_t out[WEIR_BATCH_SHORT_HEAD_BYTES_MAX])
{
    uint8_t *at = wire_varint_put(out, base_offset);
    at = wire_varint_put(at, leader_epoch);
    at = wire_varint_put(at, record_count);
    memcpy(at, batch.ptr + HEAD_CRC, sizeof(uint32_t));
    return (size_t)(at - out) + sizeof(uint32_t);
}

weir_err weir_batch_head_lengthen(weir_bytes in, int64_t timestamp_ms, weir_batch_head *head,
                                  weir_bytes *records)
{
    const uint8_t *at = in.ptr, *end = in.ptr + in.len;
    int64_t base, epoch, count;
    if (!wire_varint_take(&at, end, &base) || !wire_varint_take(&at, end, &epoch) ||
        !wire_varint_take(&at, end, &count) || (size_t)(end - at) < sizeof(uint32_t)) {
        return WEIR_MALFORMED;
    }
    uint32_t crc = weir_get_u32(at);
    weir_bytes rest = {at + sizeof(uint32_t), (size_t)(end - at) - sizeof(uint32_t)};
    bool fits = rest.len <= INT32_MAX - WEIR_BATCH_HEAD_BYTES && count > 0 &&
                (uint64_t)count <= rest.len / RECORD_BYTES_MIN && epoch >= INT32_MIN &&
                epoch <= INT32_MAX && base >= 0 && base <= INT64_MAX - count;
    if (!fits) {
        return WEIR_MALFORMED;
    }
    *head = (weir_batch_head){
        .base_offset = base,
        .batch_bytes = (uint32_t)(WEIR_BATCH_HEAD_BYTES + rest.len),
        .leader_epoch = (int32_t)epoch,
        .crc = crc,
        .attributes = WEIR_BATCH_LOG_APPEND_TIME,
        .last_offset_delta = (int32_t)count - 1,
        .base_timestamp = timestamp_ms,
        .max_timestamp = timestamp_ms,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .record_count = (int32_t)count,
    };
    *records = rest;
    return WEIR_OK;
}
