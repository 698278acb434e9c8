/* core/batch/batch.h - Kafka's RecordBatch v2 (magic 2): build, read, check. Pure: no allocation.
 *
 *   base offset i64 | length i32 | leader epoch i32 | magic i8 | crc u32 | attributes i16 |
 *   last offset delta i32 | base timestamp i64 | max timestamp i64 | producer id i64 |
 *   producer epoch i16 | base sequence i32 | record count i32 | records...        (61 bytes of
 * head)
 *
 *   record: length varint | attributes i8 | timestamp delta varlong | offset delta varint |
 *           key length varint, key | value length varint, value | header count varint, headers...
 *
 * All big-endian; varints are zigzag. CRC32C covers from the batch's attributes to its end.
 * Specification: kafka.apache.org/documentation/#recordbatch. */
#ifndef WEIR_CORE_BATCH_BATCH_H
#define WEIR_CORE_BATCH_BATCH_H

#include "weir/base.h"
#include "weir/record.h"

enum {
    WEIR_BATCH_HEAD_BYTES = 61,
    WEIR_BATCH_MAGIC = 2,
    WEIR_BATCH_COMPRESSION_MASK = 0x07,
    WEIR_BATCH_LOG_APPEND_TIME = 0x08,
    WEIR_BATCH_TRANSACTIONAL = 0x10,
    WEIR_BATCH_CONTROL = 0x20,
    WEIR_BATCH_DELETE_HORIZON = 0x40, /* the base timestamp is when its tombstones may go */
    WEIR_RECORD_OVERHEAD_MAX = 40, /* what a record's own fields take at most, beside its bytes */
};

typedef struct weir_batch_head {
    int64_t base_offset;
    uint32_t batch_bytes; /* the whole, head included (the length field + 12) */
    int32_t leader_epoch;
    uint32_t crc;
    uint16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
} weir_batch_head;

/* Reads the head at the front of `in`. MORE: fewer than 61 bytes, or (when whole) than batch_bytes.
 * MALFORMED: lengths or counts that cannot be. UNSUPPORTED: another magic. */
weir_err weir_batch_head_decode(weir_bytes in, weir_batch_head *head);
void weir_batch_head_encode(const weir_batch_head *head, uint8_t out[WEIR_BATCH_HEAD_BYTES]);

/* ---- Building: records are appended to memory the caller owns; the head is written at the end.
 * ---- */

typedef struct weir_batch_builder {
    uint8_t *memory; /* begins with room for the head */
    size_t capacity;
    size_t len; /* head included */
    int32_t count;
} weir_batch_builder;

/* capacity: 61 to INT32_MAX, our mistake otherwise. Marks the memory as LogAppendTime at once, so
 * that its records can be read (weir_batch_record_trusted) before the head is written. */
void weir_batch_begin(weir_batch_builder *builder, uint8_t *memory, size_t capacity);

/* The part of a record behind its key, as a port's thread prepares it: value and headers, encoded.
 * size: exact bytes; encode: writes them and returns how many. */
size_t weir_record_rest_size(weir_bytes value, const weir_header *headers, uint32_t header_count);
size_t weir_record_rest_encode(weir_bytes value, const weir_header *headers, uint32_t header_count,
                               uint8_t *out);
/* Exact bytes of a batch that has this record alone, head included. */
size_t weir_batch_alone_size(weir_bytes key, size_t rest_bytes);
/* Appends a record (timestamp delta 0, offset delta = its index) from a key and an encoded rest.
 * MORE: no room for it in the memory (nothing changed). *position: where it begins in the batch. */
weir_err weir_batch_add(weir_batch_builder *builder, uint8_t attributes, weir_bytes key,
                        weir_bytes rest, uint32_t *position);
/* Writes the head: LogAppendTime, no producer, CRC. Returns the whole batch. count > 0. */
weir_bytes weir_batch_finish(weir_batch_builder *builder, int64_t base_offset, int32_t leader_epoch,
                             int64_t timestamp_ms);

/* Sets base offset, leader epoch, LogAppendTime and max timestamp in a whole, checked batch built
 * by a client, and renews its CRC. base_offset plus its last delta must fit (our mistake
 * otherwise). */
void weir_batch_stamp(uint8_t *batch, size_t len, int64_t base_offset, int32_t leader_epoch,
                      int64_t timestamp_ms);

/* ---- Short heads: of a batch that the engine built most of the head is known ------------------
 */

enum { WEIR_BATCH_SHORT_HEAD_BYTES_MAX = 34 };

/* Of a batch that weir_batch_finish made with these: writes them (varints) and its CRC (u32), and
 * returns their bytes. */
size_t weir_batch_head_shorten(weir_bytes batch, int64_t base_offset, int32_t leader_epoch,
                               int32_t record_count, uint8_t out[WEIR_BATCH_SHORT_HEAD_BYTES_MAX]);
/* The head of the batch whose short head `in` begins with, whose records (borrowed) are the rest of it,
 * and which was made with this time. MALFORMED: that cannot be. Whether it is the batch that was, its
 * CRC tells, and nobody has looked at that yet. */
weir_err weir_batch_head_lengthen(weir_bytes in, int64_t timestamp_ms, weir_batch_head *head,
                                  weir_bytes *records);

/* ---- Filtering: what compaction leaves of a batch ----------------------------------------------
 */

typedef struct weir_batch_filter_plan {
    int64_t base_offset; /* at or below the batch's own */
    int64_t end_offset;  /* behind its last offset; at most INT32_MAX above base_offset */
    int64_t horizon_ms;  /* when its tombstones may go; 0: as the batch has it */
} weir_batch_filter_plan;

/* Bytes that weir_batch_filter may write. */
size_t weir_batch_filter_room(weir_bytes batch, uint32_t count);
/* Writes the records of a checked, uncompressed batch for which keep[i] is true, at least one, as a
 * batch of their own to `out`, and returns its bytes. Offsets, times and all else stay. */
size_t weir_batch_filter(weir_bytes batch, const uint32_t *positions, const bool *keep,
                         const weir_batch_filter_plan *plan, uint8_t *out);
/* The batch covers the offsets up to `end_offset` from now on; renews its CRC. */
void weir_batch_stretch(uint8_t *batch, size_t len, int64_t end_offset);
/* Renews the CRC. */
void weir_batch_seal(uint8_t *batch, size_t len);

/* ---- Reading --------------------------------------------------------------------------------- */

/* Decodes the record at `position` of a batch (base offset and times from its head). *used: its
 * bytes, length field included. MORE or MALFORMED when it does not fit; outputs only on OK. */
weir_err weir_batch_record_decode(weir_bytes batch, const weir_batch_head *head, size_t position,
                                  weir_record *record, size_t *used);
/* The same without a single check, for a position that weir_batch_check or weir_batch_add has told:
 * the batch's own head gives only the kind of time. `log_append_ms` is a LogAppendTime batch's. */
void weir_batch_record_trusted(const uint8_t *batch, size_t position, int64_t base_offset,
                               int64_t log_append_ms, weir_record *record);

/* The whole check of one stored batch: head, CRC, every record, rising offset deltas, nothing left
 * over. `positions` (may be NULL) gets the byte position of each record, at
 * most position_max; LIMIT when there are more. Its contents are undefined unless OK. DAMAGED: the
 * CRC does not fit. UNSUPPORTED: compressed, and sound as far as that can be told; its records are
 * looked at by weir_batch_check_plain. */
weir_err weir_batch_check(weir_bytes batch, weir_batch_head *head, uint32_t *positions,
                          uint32_t position_max);
/* The records of a compressed batch, whose head and CRC weir_batch_check has found sound, where
 * weir_batch_inflate has laid them: `plain` begins with the head. Otherwise as above. */
weir_err weir_batch_check_plain(weir_bytes plain, const weir_batch_head *head, uint32_t *positions,
                                uint32_t position_max);
/* A compressed batch without its compression: the head with its new length, then the records, in memory that
 * is the caller's to free. UNSUPPORTED: a codec other than lz4 and zstd, or none. MALFORMED: broken
 * data. TOO_LARGE: more than bytes_max. NO_MEMORY. Any thread. */
weir_err weir_batch_inflate(weir_bytes batch, size_t bytes_max, uint8_t **plain,
                            size_t *plain_bytes);
/* The batch was stamped: so is its plain form. */
void weir_batch_plain_stamp(uint8_t *plain, const uint8_t *batch);
/* Further rules for a batch from a client (`batch` may be a plain one): no control, transactional or unknown
 * bit, with a producer id neither epoch nor first sequence below 0, record attributes 0, at most
 * headers_max headers, their names UTF-8 and none that begins with "weir-",
 * the bytes of key, value, header names and header values together within record_bytes_max. INVALID
 * with *reason (a sentence, static). Run weir_batch_check, or weir_batch_check_plain, first. */
weir_err weir_batch_check_client(weir_bytes batch, uint64_t record_bytes_max, uint64_t headers_max,
                                 const char **reason);

#endif
