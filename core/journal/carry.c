/* core/journal/carry.c - a block of the unproven tail as it goes into the new file of a recovery.
 *
 *   as it was      | unit 7 | unit 8: refers to bytes in another file | unit 9 |
 *   carried over   | unit 7 | unit 8: with those bytes in it |                      last = 8
 *
 * No mark proves that these units were synced, nor what they refer to: so the new file gets both,
 * and is synced before it counts. Units behind the last that counts are left out. Most blocks need
 * neither and are copied as they stand.
 *
 * [Y1] Units keep their number, term, engine time and count of entries. */
#include "core/journal/internal.h"

#include "core/base/assert.h"
#include "core/base/varint.h"

#include <string.h>

enum { UNIT_ENTRY_COUNT_AT = 4 };

/* The unit's entries as they are carried: *bytes; *taken_in when they are not those that stand. */
static weir_err entries_size(const weir_journal_beside *beside, const weir_journal_unit *unit,
                             size_t *bytes, bool *taken_in)
{
    *bytes = 0;
    weir_err err = WEIR_OK;
    if (beside->carry != NULL) {
        err = beside->carry(beside->arg, unit, NULL, bytes);
    }
    *taken_in = err == WEIR_OK && *bytes > 0;
    *bytes = *taken_in ? *bytes : unit->entries.len;
    return err;
}

static weir_err entries_write(const weir_journal_beside *beside, const weir_journal_unit *unit,
                              bool taken_in, uint8_t *out, size_t bytes)
{
    if (!taken_in) {
        memcpy(out, unit->entries.ptr, unit->entries.len);
        return WEIR_OK;
    }
    size_t written = 0;
    weir_err err = beside->carry(beside->arg, unit, out, &written);
    WEIR_ASSERT(err != WEIR_OK || written == bytes);
    return err;
}

weir_err weir_journal_carry_block(const weir_journal_beside *beside,
                                  const weir_journal_block *block, uint64_t last, uint8_t *out,
                                  weir_journal_block *carried, uint64_t *span, bool *same)
{
    weir_bytes rest = block->units;
    weir_journal_unit unit;
    size_t len = WEIR_JOURNAL_BLOCK_HEAD_BYTES;
    uint32_t count = 0;
    bool changed = false;
    const uint8_t *at = rest.ptr;
    while (weir_journal_unit_next(&rest, &unit) == WEIR_OK && unit.number <= last) {
        size_t bytes;
        bool taken_in;
        weir_err err = entries_size(beside, &unit, &bytes, &taken_in);
        if (err == WEIR_OK && out != NULL) {
            uint8_t *entries = out + len + WEIR_JOURNAL_UNIT_HEAD_BYTES;
            err = entries_write(beside, &unit, taken_in, entries, bytes);
            unit.entries = (weir_bytes){entries, bytes};
            weir_journal_unit_encode(out + len, &unit, weir_get_u32(at + UNIT_ENTRY_COUNT_AT));
        }
        if (err != WEIR_OK) {
            return err;
        }
        len += WEIR_JOURNAL_UNIT_HEAD_BYTES + bytes;
        count++;
        changed = changed || taken_in;
        at = rest.ptr;
    }
    *same = !changed && count == block->unit_count;
    *span = count > 0 ? weir_journal_block_span(len - WEIR_JOURNAL_BLOCK_HEAD_BYTES) : 0;
    *carried = *block;
    carried->unit_count = count;
    carried->first_unit = count > 0 ? block->first_unit : 0;
    carried->units = (weir_bytes){out == NULL ? NULL : out + WEIR_JOURNAL_BLOCK_HEAD_BYTES,
                                  len - WEIR_JOURNAL_BLOCK_HEAD_BYTES};
    return WEIR_OK;
}
