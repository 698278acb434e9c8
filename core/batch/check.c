/* core/batch/check.c - says whether a batch is whole and sound, and whether a client may send it.
 *
 *   weir_batch_check          what every stored batch obeys: head, length, CRC, each record, order
 *   weir_batch_check_client   what is asked besides of a batch that comes from outside
 *
 * The CRC comes before any record is looked at: a batch with a flipped bit is DAMAGED, one that was
 * built wrong is MALFORMED. Of the head, magic 2's CRC leaves out base offset, length, leader epoch
 * and magic: a wrong length or magic does not fit here; a wrong offset or epoch is for the heads
 * file of a segment to tell.
 *
 * [K1] After OK the batch has exactly record_count records, with offset deltas that rise and end by
 * the last offset delta, and not one byte more: every position given is one that
 * weir_batch_record_trusted may be called with. Compaction leaves deltas out; a client may not.
 * [K2] Header names that come from outside are UTF-8. What is stored may have others, from before the
 * engine asked for it: a record is not lost for its header's name. */
#include "core/batch/batch.h"

#include "core/base/hash.h"
#include "core/base/utf8.h"
#include "core/batch/wire.h"

/* [K1] */
static weir_err records_check(weir_bytes batch, const weir_batch_head *head, uint32_t *positions)
{
    size_t position = WEIR_BATCH_HEAD_BYTES;
    int64_t before = head->base_offset - 1;
    for (int32_t i = 0; i < head->record_count; i++) {
        weir_record record;
        size_t used;
        weir_err err = weir_batch_record_decode(batch, head, position, &record, &used);
        if (err != WEIR_OK || record.offset <= before) {
            return WEIR_MALFORMED;
        }
        before = record.offset;
        if (positions != NULL) {
            positions[i] = (uint32_t)position;
        }
        position += used;
    }
    return position == batch.len ? WEIR_OK : WEIR_MALFORMED;
}

weir_err weir_batch_check(weir_bytes batch, weir_batch_head *head, uint32_t *positions,
                          uint32_t position_max)
{
    weir_batch_head made;
    weir_err err = weir_batch_head_decode(batch, &made);
    if (err != WEIR_OK) {
        return err;
    }
    if (batch.len != made.batch_bytes) {
        return WEIR_MALFORMED;
    }
    if (weir_crc32c(0, batch.ptr + HEAD_ATTRIBUTES, batch.len - HEAD_ATTRIBUTES) != made.crc) {
        return WEIR_DAMAGED;
    }
    bool compressed = (made.attributes & WEIR_BATCH_COMPRESSION_MASK) != 0;
    err = compressed ? WEIR_UNSUPPORTED
                     : weir_batch_check_plain(batch, &made, positions, position_max);
    if (err == WEIR_OK || compressed) {
        *head = made;
    }
    return err;
}

weir_err weir_batch_check_plain(weir_bytes plain, const weir_batch_head *head, uint32_t *positions,
                                uint32_t position_max)
{
    if (head->last_offset_delta < head->record_count - 1) {
        return WEIR_MALFORMED; /* [K1] */
    }
    if (positions != NULL && (uint32_t)head->record_count > position_max) {
        return WEIR_LIMIT;
    }
    return records_check(plain, head, positions);
}

/* NULL: nothing is wrong with the head. */
static const char *head_objection(const weir_batch_head *head)
{
    if ((head->attributes & WEIR_BATCH_CONTROL) != 0) {
        return "The batch is a control batch; only the engine writes those.";
    }
    if ((head->attributes & WEIR_BATCH_TRANSACTIONAL) != 0) {
        return "The batch is transactional, but no transaction is open for it.";
    }
    if ((head->attributes & ~(WEIR_BATCH_LOG_APPEND_TIME | WEIR_BATCH_COMPRESSION_MASK)) != 0) {
        return "The batch sets attribute bits that have no meaning.";
    }
    if (head->last_offset_delta != head->record_count - 1) {
        return "The batch leaves offsets out; number its records 0, 1, 2 and so on.";
    }
    if (head->producer_id >= 0 && (head->producer_epoch < 0 || head->base_sequence < 0)) {
        return "The batch has a producer id, but an epoch or a first sequence below 0.";
    }
    return NULL;
}

static bool name_is_reserved(weir_bytes name)
{
    static const char prefix[] = "weir-";
    return name.len >= sizeof(prefix) - 1 && memcmp(name.ptr, prefix, sizeof(prefix) - 1) == 0;
}

static const char *record_objection(const weir_record *record, uint64_t record_bytes_max,
                                    uint64_t headers_max)
{
    uint64_t bytes = (uint64_t)record->key.len + record->value.len;
    weir_bytes rest = record->headers;
    weir_header header;
    if (record->attributes != 0) {
        return "A record's attributes are not 0; they are the engine's.";
    }
    if (record->header_count > headers_max) {
        return "A record has more headers than the limit headers_max.";
    }
    while (weir_headers_next(&rest, &header)) {
        if (!weir_utf8_valid(header.name)) {
            return "A header's name is not UTF-8."; /* [K2] */
        }
        if (name_is_reserved(header.name)) {
            return "A header's name begins with weir-, which is the engine's.";
        }
        bytes += (uint64_t)header.name.len + header.value.len;
    }
    return bytes > record_bytes_max ? "A record is larger than the limit record_bytes_max." : NULL;
}

static weir_err invalid(const char *objection, const char **reason)
{
    *reason = objection;
    return WEIR_INVALID;
}

weir_err weir_batch_check_client(weir_bytes batch, uint64_t record_bytes_max, uint64_t headers_max,
                                 const char **reason)
{
    weir_batch_head head;
    if (weir_batch_head_decode(batch, &head) != WEIR_OK) {
        return invalid("The batch's head cannot be read.", reason);
    }
    const char *objection = head_objection(&head);
    size_t position = WEIR_BATCH_HEAD_BYTES;
    for (int32_t i = 0; objection == NULL && i < head.record_count; i++) {
        weir_record record;
        size_t used;
        if (weir_batch_record_decode(batch, &head, position, &record, &used) != WEIR_OK) {
            return invalid("A record of the batch cannot be read.", reason);
        }
        objection = record_objection(&record, record_bytes_max, headers_max);
        position += used;
    }
    return objection == NULL ? WEIR_OK : invalid(objection, reason);
}
