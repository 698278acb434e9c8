/* tests/fuzz/journal_block_fuzz.c - any bytes as a journal block, as a file head, as entries, and
 * as a checkpoint.
 *
 * The input is read as it is, and once more sealed: with the magic, the lengths' rounding and the
 * checksums put right, so that what stands behind a checksum is reached as well. Every body that a
 * decoder hands out is read to its end, for the sanitizer to see. */
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/journal/block.h"
#include "core/journal/checkpoint.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES_MAX = 64 * 1024, CHECKPOINT_HEAD_BYTES = 96 };

static volatile uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void bytes_read(weir_bytes bytes)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = (uint8_t)(sum + bytes.ptr[i]);
    }
    sink = sum;
}

static void entries_read(weir_bytes rest)
{
    weir_journal_entry entry;
    while (weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        bytes_read(entry.body);
    }
}

static void block_read(weir_bytes in)
{
    weir_journal_block block;
    weir_journal_unit unit;
    if (in.len < WEIR_JOURNAL_BLOCK_HEAD_BYTES) {
        return;
    }
    uint64_t id = weir_get_u64(in.ptr + 24);
    uint64_t generation = weir_get_u64(in.ptr + 32);
    if (weir_journal_block_decode(in, id, generation, &block) == WEIR_OK) {
        while (weir_journal_unit_next(&block.units, &unit) == WEIR_OK) {
            entries_read(unit.entries);
        }
    }
}

/* A block of what stands there: whole pages, its payload's length kept when it fits. */
static void block_seal(uint8_t *bytes, size_t len)
{
    uint32_t payload = weir_get_u32(bytes + 12);
    size_t room = len - WEIR_JOURNAL_BLOCK_HEAD_BYTES;
    payload = payload > room ? (uint32_t)room : payload;
    uint32_t span = (uint32_t)weir_journal_block_span(payload);
    weir_put_u32(bytes, 0x57424c4b);
    weir_put_u32(bytes + 8, span);
    weir_put_u32(bytes + 12, payload);
    weir_put_u32(bytes + 60, 0);
    weir_put_u32(bytes + 4, weir_crc32c(0, bytes + 8, span - 8));
}

static void checkpoint_read(weir_bytes in)
{
    weir_checkpoint checkpoint;
    if (weir_checkpoint_decode(in, &checkpoint) == WEIR_OK) {
        bytes_read(checkpoint.payload);
    }
}

static void checkpoint_seal(uint8_t *bytes, size_t len)
{
    memcpy(bytes, "WEIRCKPT", 8);
    weir_put_u32(bytes + CHECKPOINT_HEAD_BYTES - 4,
                 weir_crc32c(0, bytes, CHECKPOINT_HEAD_BYTES - 4));
    weir_put_u32(bytes + len - 4, weir_crc32c(0, bytes, len - 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    weir_bytes in = {data, size};
    weir_journal_head head;
    entries_read(in);
    block_read(in);
    checkpoint_read(in);
    (void)weir_journal_head_decode(in, &head);

    size_t padded = (size_t)weir_journal_block_span(size);
    uint8_t *copy = calloc(1, padded);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    block_seal(copy, padded);
    block_read((weir_bytes){copy, padded});
    if (size >= CHECKPOINT_HEAD_BYTES + 4) {
        memcpy(copy, data, size);
        checkpoint_seal(copy, size);
        checkpoint_read((weir_bytes){copy, size});
    }
    free(copy);
    return 0;
}
