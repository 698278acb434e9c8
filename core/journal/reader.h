/* core/journal/reader.h - reads blocks of one journal file through a window of memory. */
#ifndef WEIR_CORE_JOURNAL_READER_H
#define WEIR_CORE_JOURNAL_READER_H

#include "core/journal/block.h"
#include "core/journal/file.h"

typedef struct weir_journal_reader {
    const weir_journal_dir *dir;
    weir_file *file;
    uint64_t number; /* of the file, and so the generation of its blocks */
    uint64_t bytes;  /* its size */
    uint8_t *ptr;    /* the window */
    size_t capacity;
    size_t len;
    uint64_t start; /* where the window begins in the file */
} weir_journal_reader;

/* Opens file `number`, closing the one before. NOT_FOUND, IO, NO_MEMORY. */
weir_err weir_journal_reader_open(weir_journal_reader *reader, uint64_t number);
void weir_journal_reader_fini(weir_journal_reader *reader); /* a zeroed one is harmless */
/* *bytes: up to `len` bytes at position, fewer only at the end of the file; valid until the next
 * call, and the caller may write to them. IO, NO_MEMORY. */
weir_err weir_journal_reader_span(weir_journal_reader *reader, uint64_t position, size_t len,
                                  weir_bytes *bytes);
/* The block at position, which ends at `end` at the latest. DAMAGED: no good one of this journal
 * and file stands there. IO, NO_MEMORY. */
weir_err weir_journal_reader_block(weir_journal_reader *reader, uint64_t journal_id,
                                   uint64_t position, uint64_t end, weir_journal_block *block);
/* As above, but a block of any journal. */
weir_err weir_journal_reader_block_any(weir_journal_reader *reader, uint64_t position,
                                       weir_journal_block *block);

#endif
