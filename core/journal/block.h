/* core/journal/block.h - the journal's bytes: file heads, blocks, units, entries. Pure; any thread.
 * docs/formats/journal.md draws them. Integers are big-endian. */
#ifndef WEIR_CORE_JOURNAL_BLOCK_H
#define WEIR_CORE_JOURNAL_BLOCK_H

#include "core/journal/journal.h"

enum {
    WEIR_JOURNAL_PAGE_BYTES = 4096, /* blocks begin and end at multiples of it */
    WEIR_JOURNAL_BLOCK_HEAD_BYTES = 64,
    WEIR_JOURNAL_UNIT_HEAD_BYTES = 32,
    WEIR_JOURNAL_VERSION = 1,
};

/* What the first page of a file says. A file's number is its generation: it rises with every use
 * and reuse of any file, and every block of that use carries it. */
typedef struct weir_journal_head {
    uint64_t journal_id; /* random, made with the first file, kept for ever */
    uint64_t number;
    uint64_t file_bytes;
    uint64_t first_unit;      /* the first unit expected here */
    uint64_t first_sequence;  /* of the first block expected here */
    uint64_t durable;         /* every unit through it was synced before this page was written */
    uint64_t term;            /* of the owner that wrote it */
    uint64_t previous_number; /* 0: this is the journal's first file */
    uint64_t previous_end;    /* where that file's last block ends; what is past it is not read */
} weir_journal_head;

/* Fills the whole page. */
void weir_journal_head_encode(const weir_journal_head *head, uint8_t out[WEIR_JOURNAL_PAGE_BYTES]);
/* DAMAGED: not a good head, which a spare and a torn first write are not either. VERSION: good,
 * but for newer readers. */
weir_err weir_journal_head_decode(weir_bytes in, weir_journal_head *head);

/* The bytes on disk of a block with this payload. */
static inline uint64_t weir_journal_block_span(uint64_t payload_bytes)
{
    uint64_t bytes = WEIR_JOURNAL_BLOCK_HEAD_BYTES + payload_bytes;
    return (bytes + WEIR_JOURNAL_PAGE_BYTES - 1) / WEIR_JOURNAL_PAGE_BYTES *
           WEIR_JOURNAL_PAGE_BYTES;
}
/* Writes the head in front of block->units.len bytes that stand at out + BLOCK_HEAD_BYTES already,
 * zeroes the rest of the span and seals it. `out` has room for the span, which is returned. */
uint32_t weir_journal_block_encode(uint8_t *out, uint64_t journal_id, uint64_t generation,
                                   const weir_journal_block *block);
/* Reads the head alone and trusts nothing: magic, id, generation and lengths agree, the checksum is
 * not looked at. MORE: fewer than BLOCK_HEAD_BYTES. DAMAGED. */
weir_err weir_journal_block_peek(weir_bytes in, uint64_t journal_id, uint64_t generation,
                                 weir_journal_block *block);
/* Writes a unit's head in front of its entries. */
void weir_journal_unit_encode(uint8_t *out, const weir_journal_unit *unit, uint32_t entry_count);
/* Takes the next unit off the front of *rest. EMPTY at the end; DAMAGED. */
weir_err weir_journal_unit_next(weir_bytes *rest, weir_journal_unit *unit);

#endif
