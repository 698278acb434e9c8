/* Fuzzes everything that reads batches from outside: the check, the client's rules, the record
 * decoder, the walk over headers, short heads.
 *
 * The input is a batch. Its length, magic and CRC are repaired first, because chance would never
 * find them, unless its first byte (of the base offset, otherwise of no use here) has its lowest
 * bit set: then it is used as it is. The copy has exactly the input's length, so that reading one
 * byte behind it is seen. */
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <stdlib.h>
#include <string.h>

static volatile uint8_t sink;

static void touch(weir_bytes in)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < in.len; i++) {
        sum ^= in.ptr[i];
    }
    sink = sum;
}

static void record_touch(const weir_record *record)
{
    weir_bytes rest = record->headers;
    weir_header header;
    uint32_t count = 0;
    uint8_t name[64];
    bool encoded;
    touch(record->key);
    touch(record->value);
    while (weir_headers_next(&rest, &header)) {
        touch(header.name);
        touch(header.value);
        count++;
    }
    if (count != record->header_count || rest.len != 0) {
        abort();
    }
    (void)weir_record_header(record, "name", &header);
    (void)weir_record_name(WEIR_TEXT("t"), record->key, name, sizeof(name), &encoded);
}

static void records_touch(weir_bytes batch)
{
    weir_batch_head head;
    if (weir_batch_head_decode(batch, &head) != WEIR_OK) {
        return;
    }
    size_t position = WEIR_BATCH_HEAD_BYTES, used;
    weir_record record;
    while (weir_batch_record_decode(batch, &head, position, &record, &used) == WEIR_OK) {
        record_touch(&record);
        position += used;
    }
}

/* What the check lets pass may be read without checks, and says the same. */
static void trusted_compare(weir_bytes batch, const weir_batch_head *head, uint32_t position)
{
    weir_record record, trusted;
    size_t used;
    if (weir_batch_record_decode(batch, head, position, &record, &used) != WEIR_OK) {
        abort();
    }
    weir_batch_record_trusted(batch.ptr, position, head->base_offset, head->max_timestamp,
                              &trusted);
    if (trusted.offset != record.offset || trusted.timestamp_ms != record.timestamp_ms ||
        trusted.value.ptr != record.value.ptr || trusted.value.len != record.value.len ||
        trusted.header_count != record.header_count || trusted.headers.ptr != record.headers.ptr ||
        trusted.headers.len != record.headers.len) {
        abort();
    }
}

/* A compressed one: never more than the bound, and then the same rules. */
static void inflate_touch(weir_bytes batch, const weir_batch_head *head, uint32_t *positions,
                          uint32_t position_max)
{
    enum { PLAIN_BYTES_MAX = 1 << 18 };
    uint8_t *memory = NULL;
    size_t len = 0;
    if (weir_batch_inflate(batch, PLAIN_BYTES_MAX, &memory, &len) != WEIR_OK) {
        return;
    }
    weir_bytes plain = {memory, len};
    if (len > PLAIN_BYTES_MAX) {
        abort();
    }
    if (weir_batch_check_plain(plain, head, positions, position_max) == WEIR_OK) {
        for (int32_t i = 0; i < head->record_count; i++) {
            trusted_compare(plain, head, positions[i]);
        }
    }
    free(memory);
}

/* Any bytes as a short head with its records: what comes of them is checked as any batch is, and what
 * passes has that head. */
static void short_touch(weir_bytes in)
{
    const int64_t time_ms = 1700000000000;
    weir_batch_head head, checked, again;
    weir_bytes records;
    if (weir_batch_head_lengthen(in, time_ms, &head, &records) != WEIR_OK) {
        return;
    }
    uint8_t *batch = malloc(head.batch_bytes);
    uint8_t *shorter = malloc(WEIR_BATCH_SHORT_HEAD_BYTES_MAX + records.len);
    if (batch == NULL || shorter == NULL) {
        free(batch);
        free(shorter);
        return;
    }
    weir_bytes whole = {batch, head.batch_bytes};
    weir_batch_head_encode(&head, batch);
    memcpy(batch + WEIR_BATCH_HEAD_BYTES, records.ptr, records.len);
    weir_batch_seal(batch, head.batch_bytes); /* chance would never find it */
    if (weir_batch_check(whole, &checked, NULL, 0) == WEIR_OK) {
        uint8_t encoded[WEIR_BATCH_HEAD_BYTES];
        size_t len = weir_batch_head_shorten(whole, checked.base_offset, checked.leader_epoch,
                                             checked.record_count, shorter);
        memcpy(shorter + len, records.ptr, records.len);
        if (weir_batch_head_lengthen((weir_bytes){shorter, len + records.len}, time_ms, &again,
                                     &records) != WEIR_OK) {
            abort();
        }
        weir_batch_head_encode(&again, encoded);
        if (memcmp(encoded, batch, sizeof(encoded)) != 0) {
            abort();
        }
    }
    free(batch);
    free(shorter);
}

static void batch_repair(uint8_t *batch, size_t len)
{
    weir_put_u32(batch + 8, (uint32_t)(len - 12));
    batch[16] = WEIR_BATCH_MAGIC;
    weir_put_u32(batch + 17, weir_crc32c(0, batch + 21, len - 21));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { POSITION_MAX = 1024 };
    static uint32_t positions[POSITION_MAX];
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    weir_bytes batch = {copy, size};
    if (copy == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (size >= WEIR_BATCH_HEAD_BYTES && (copy[0] & 1) == 0) {
        batch_repair(copy, size);
    }
    short_touch(batch);
    weir_batch_head head;
    const char *reason;
    weir_err err = weir_batch_check(batch, &head, positions, POSITION_MAX);
    if (err == WEIR_UNSUPPORTED && size >= WEIR_BATCH_HEAD_BYTES) {
        inflate_touch(batch, &head, positions, POSITION_MAX);
    }
    if (err == WEIR_OK) {
        for (int32_t i = 0; i < head.record_count; i++) {
            trusted_compare(batch, &head, positions[i]);
        }
    }
    (void)weir_batch_check_client(batch, 1 << 20, 64, &reason);
    records_touch(batch);
    for (weir_bytes rest = batch; rest.len > 0;) { /* any bytes at all as headers */
        weir_header header;
        if (!weir_headers_next(&rest, &header)) {
            break;
        }
        touch(header.name);
        touch(header.value);
    }
    free(copy);
    return 0;
}
