/* core/journal/recover_parts.h - a recovery as its two files share it: recover.c (finding and judging
 * the chain, reading it), recover_file.c (the new file, and what is kept). Only for them. */
#ifndef WEIR_CORE_JOURNAL_RECOVER_PARTS_H
#define WEIR_CORE_JOURNAL_RECOVER_PARTS_H

#include "core/journal/internal.h"
#include "core/journal/reader.h"

typedef struct weir_chain_link {
    weir_journal_head head;
    uint64_t end; /* where its last block ends; for the last file found by reading */
    uint64_t bytes;
} weir_chain_link;

typedef struct weir_recovery {
    weir_journal *journal;
    uint64_t from_unit;
    weir_err (*replay)(void *arg, const weir_journal_unit *unit, weir_fault *fault);
    void *arg;
    weir_fault *fault;
    weir_journal_listing listing;
    weir_journal_reader reader;
    weir_chain_link *links; /* oldest first */
    size_t link_count;
    bool older_unreadable;   /* the chain ends at a file whose head is bad, before what is needed */
    uint64_t last;           /* the newest whole unit so far */
    uint64_t sequence;       /* the next block's */
    uint64_t mark;           /* the highest durable unit anything tells of */
    uint64_t mark_without;   /* ... but for the last file's head */
    uint64_t blocks_mark;    /* the highest that a block of the file read last tells of */
    uint64_t units_end;      /* in the file read last: where its last block with units ends */
    uint64_t units_sequence; /* and the sequence of the block behind that one */
    bool cut;                /* what the unit after `last` refers to is not there */
    bool damaged;            /* found, and the fault filled */
    bool refused;            /* a unit was there and whole, and the replay would not have it */
    size_t read;      /* links that units were read from, or passed over, from the first on */
    weir_file *begun; /* the new file, before it is one; NULL: there is no room for it yet */
    uint64_t begun_number;
} weir_recovery;

/* recover.c. Both fill the fault and return `err`. */
weir_err weir_recovery_unreadable(weir_recovery *r, weir_err err, uint64_t number,
                                  uint64_t position);
weir_err weir_recovery_unwritable(weir_recovery *r, weir_err err, uint64_t number);
weir_err weir_recovery_link_add(weir_recovery *r, const weir_chain_link *link);

/* recover_file.c, in this order. begin may fail: make tries again, and tells. */
void weir_recovery_file_begin(weir_recovery *r);
weir_err weir_recovery_file_make(weir_recovery *r);
weir_err weir_recovery_files_adopt(weir_recovery *r);
void weir_recovery_leftovers_remove(weir_recovery *r);
void weir_recovery_file_give_up(weir_recovery *r); /* where it did not come to make */

#endif
