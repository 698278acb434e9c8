/* core/batch/read.c - decodes heads, records and headers where they lie; copies nothing.
 *
 *   batch   [ head | record | record | ... ]
 *   record  [ length | attributes | time delta | offset delta | key | value | n | header x n ]
 *                     ^ body: exactly `length` bytes, none of them left over
 *
 * Bytes that end early inside the head, or before the end that a record's length tells, are MORE;
 * everything else that does not fit is MALFORMED. weir_batch_record_decode believes nothing.
 * weir_batch_record_trusted believes everything: it is for positions that the check or the builder
 * gave, and costs a few loads and branches.
 *
 * [D1] No byte outside [batch.ptr, batch.ptr + batch.len) is read, whatever the bytes are.
 * [D2] A decoded record's spans lie inside its body, and its headers are exactly header_count whole
 *      ones, so that weir_headers_next ends at the last of them.
 * [D3] Outputs are written last, and only on OK. */
#include "core/batch/batch.h"

#include "core/base/assert.h"
#include "core/batch/wire.h"

static void head_read(const uint8_t *in, weir_batch_head *head)
{
    head->base_offset = (int64_t)weir_get_u64(in + HEAD_BASE_OFFSET);
    head->leader_epoch = (int32_t)weir_get_u32(in + HEAD_LEADER_EPOCH);
    head->crc = weir_get_u32(in + HEAD_CRC);
    head->attributes = weir_get_u16(in + HEAD_ATTRIBUTES);
    head->last_offset_delta = (int32_t)weir_get_u32(in + HEAD_LAST_OFFSET_DELTA);
    head->base_timestamp = (int64_t)weir_get_u64(in + HEAD_BASE_TIMESTAMP);
    head->max_timestamp = (int64_t)weir_get_u64(in + HEAD_MAX_TIMESTAMP);
    head->producer_id = (int64_t)weir_get_u64(in + HEAD_PRODUCER_ID);
    head->producer_epoch = (int16_t)weir_get_u16(in + HEAD_PRODUCER_EPOCH);
    head->base_sequence = (int32_t)weir_get_u32(in + HEAD_BASE_SEQUENCE);
    head->record_count = (int32_t)weir_get_u32(in + HEAD_RECORD_COUNT);
}

/* Counts and offsets that some batch of batch_bytes could have. */
static bool head_plausible(const weir_batch_head *head)
{
    bool compressed = (head->attributes & WEIR_BATCH_COMPRESSION_MASK) != 0;
    uint32_t records_max = (head->batch_bytes - WEIR_BATCH_HEAD_BYTES) / RECORD_BYTES_MIN;
    return head->base_offset >= 0 && head->last_offset_delta >= 0 && head->record_count >= 1 &&
           head->base_offset < INT64_MAX - head->last_offset_delta &&
           (compressed || (uint32_t)head->record_count <= records_max);
}

weir_err weir_batch_head_decode(weir_bytes in, weir_batch_head *head)
{
    if (in.len < WEIR_BATCH_HEAD_BYTES) {
        return WEIR_MORE;
    }
    if (in.ptr[HEAD_MAGIC] != WEIR_BATCH_MAGIC) {
        return WEIR_UNSUPPORTED;
    }
    uint32_t length = weir_get_u32(in.ptr + HEAD_LENGTH);
    if (length < WEIR_BATCH_HEAD_BYTES - HEAD_LENGTH_END || length > INT32_MAX - HEAD_LENGTH_END) {
        return WEIR_MALFORMED;
    }
    weir_batch_head made = {.batch_bytes = length + HEAD_LENGTH_END};
    head_read(in.ptr, &made);
    if (!head_plausible(&made)) {
        return WEIR_MALFORMED;
    }
    if (in.len < made.batch_bytes) {
        return WEIR_MORE;
    }
    *head = made; /* [D3] */
    return WEIR_OK;
}

/* [D2] `count` whole headers lie in [at, end), and nothing else. */
static bool headers_fit(const uint8_t *at, const uint8_t *end, int64_t count)
{
    weir_header header;
    for (int64_t i = 0; i < count; i++) {
        if (!wire_header_take(&at, end, &header)) {
            return false;
        }
    }
    return at == end;
}

/* The batch's own time for LogAppendTime, else the record's. */
static bool time_of(const weir_batch_head *head, int64_t delta, int64_t *timestamp_ms)
{
    if ((head->attributes & WEIR_BATCH_LOG_APPEND_TIME) != 0) {
        *timestamp_ms = head->max_timestamp;
        return true;
    }
    return !__builtin_add_overflow(head->base_timestamp, delta, timestamp_ms);
}

static inline bool value_take(const uint8_t **at, const uint8_t *end, weir_bytes *value)
{
#ifdef WEIR_PLANT_BATCH
    /* Planted, for a test of the tests: lets a value reach 16 bytes behind its record. */
    return wire_bytes_take(at, end + 16, value);
#else
    return wire_bytes_take(at, end, value);
#endif
}

static bool body_decode(const uint8_t *at, const uint8_t *end, const weir_batch_head *head,
                        weir_record *record)
{
    int64_t time_delta, offset_delta, header_count;
    record->attributes = *at++; /* the caller has seen RECORD_BODY_BYTES_MIN */
    if (!wire_varint_take(&at, end, &time_delta) || !wire_varint_take(&at, end, &offset_delta) ||
        !wire_bytes_take(&at, end, &record->key) || !value_take(&at, end, &record->value) ||
        !wire_varint_take(&at, end, &header_count)) {
        return false;
    }
    if (offset_delta < 0 || offset_delta > head->last_offset_delta || header_count < 0 ||
        header_count > (end - at) / HEADER_BYTES_MIN || !headers_fit(at, end, header_count)) {
        return false;
    }
    record->offset = head->base_offset + offset_delta;
    record->header_count = (uint32_t)header_count;
    record->headers = (weir_bytes){at, (size_t)(end - at)};
    return time_of(head, time_delta, &record->timestamp_ms);
}

weir_err weir_batch_record_decode(weir_bytes batch, const weir_batch_head *head, size_t position,
                                  weir_record *record, size_t *used)
{
    if (position < WEIR_BATCH_HEAD_BYTES || position > batch.len) {
        return WEIR_MALFORMED;
    }
    int64_t body_bytes;
    size_t length_bytes;
    weir_bytes rest = {batch.ptr + position, batch.len - position};
    weir_err err = weir_varint_decode(rest, &body_bytes, &length_bytes);
    if (err != WEIR_OK) {
        return err;
    }
    if (body_bytes < RECORD_BODY_BYTES_MIN || body_bytes > INT32_MAX) {
        return WEIR_MALFORMED;
    }
    if ((uint64_t)body_bytes > rest.len - length_bytes) {
        return WEIR_MORE; /* [D1] */
    }
    const uint8_t *body = rest.ptr + length_bytes;
    weir_record made;
    if (!body_decode(body, body + body_bytes, head, &made)) {
        return WEIR_MALFORMED;
    }
    *record = made; /* [D3] */
    *used = length_bytes + (size_t)body_bytes;
    return WEIR_OK;
}

/* Takes a varint that is known to be whole. */
static inline int64_t trusted_varint(const uint8_t **at)
{
    int64_t value;
    size_t used;
    weir_bytes in = {*at, WEIR_VARINT_BYTES_MAX}; /* a bound that is never met */
    weir_err err = weir_varint_decode(in, &value, &used);
    WEIR_ASSERT(err == WEIR_OK);
    *at += used;
    return value;
}

static inline weir_bytes trusted_bytes(const uint8_t **at)
{
    int64_t len = trusted_varint(at);
    if (len < 0) {
        return WEIR_BYTES_NULL;
    }
    weir_bytes out = {*at, (size_t)len};
    *at += len;
    return out;
}

void weir_batch_record_trusted(const uint8_t *batch, size_t position, int64_t base_offset,
                               int64_t log_append_ms, weir_record *record)
{
    const uint8_t *at = batch + position;
    int64_t body_bytes = trusted_varint(&at);
    const uint8_t *end = at + body_bytes;
    record->attributes = *at++;
    int64_t time_delta = trusted_varint(&at);
    record->offset = base_offset + trusted_varint(&at);
    record->key = trusted_bytes(&at);
    record->value = trusted_bytes(&at);
    record->header_count = (uint32_t)trusted_varint(&at);
    record->headers = (weir_bytes){at, (size_t)(end - at)};
    record->timestamp_ms = log_append_ms;
    if ((batch[HEAD_ATTRIBUTES + 1] & WEIR_BATCH_LOG_APPEND_TIME) == 0) {
        uint64_t base_ms = weir_get_u64(batch + HEAD_BASE_TIMESTAMP);
        record->timestamp_ms = (int64_t)(base_ms + (uint64_t)time_delta);
    }
}

bool weir_headers_next(weir_bytes *rest, weir_header *header)
{
    const uint8_t *at = rest->ptr, *end = rest->ptr + rest->len;
    weir_header made;
    if (rest->len == 0 || !wire_header_take(&at, end, &made)) {
        return false;
    }
    *header = made;
    *rest = (weir_bytes){at, (size_t)(end - at)};
    return true;
}

bool weir_record_header(const weir_record *record, const char *name, weir_header *header)
{
    weir_bytes rest = record->headers, wanted = weir_bytes_of(name);
    weir_header each;
    while (weir_headers_next(&rest, &each)) {
        if (weir_bytes_equal(each.name, wanted)) {
            *header = each;
            return true;
        }
    }
    return false;
}
