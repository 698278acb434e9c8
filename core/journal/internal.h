/* core/journal/internal.h - what journal.c, writer.c and recover.c share: the open journal. */
#ifndef WEIR_CORE_JOURNAL_INTERNAL_H
#define WEIR_CORE_JOURNAL_INTERNAL_H

#include "core/journal/block.h"
#include "core/journal/file.h"

#include <stdatomic.h>

enum {
    /* As many files as a checkpoint releases at once, and more: none is thrown away whose zeros
     * were paid for, while the next ones are being written. */
    WEIR_JOURNAL_SPARES_MAX = 16,
    /* The file of a start, and one made in a hurry because no spare is ready, are no larger: they
     * are made while somebody waits. */
    WEIR_JOURNAL_SMALL_FILE_BYTES = 4 << 20,
    WEIR_JOURNAL_FILE_BYTES_MIN = 64 * 1024,
    WEIR_JOURNAL_PENDING_BYTES_MAX = 1 << 30, /* a block's span has 32 bits */
    WEIR_JOURNAL_BUFFER_KEEP_BYTES = 4 << 20, /* an empty buffer larger than that is given back */
    WEIR_JOURNAL_FILES_START = 16,
};

/* One file of the chain that is on disk, oldest first; the last one is being written. */
typedef struct weir_journal_file {
    uint64_t number;
    uint64_t bytes;
    uint64_t first_unit; /* all units of the files before are below it */
    bool ours;           /* made by this process: nobody else has it open */
} weir_journal_file;

/* A block in the making: room for its head, then units. Page-aligned, a multiple of a page. */
typedef struct weir_journal_buffer {
    uint8_t *ptr;
    size_t len; /* head included; 0: nothing begun */
    size_t capacity;
    uint64_t first_unit;
    uint32_t unit_count;
} weir_journal_buffer;

/* One write, with or without a sync, with or without a change of file; run inline or on a lane.
 * While it is under way it alone touches journal->file. */
typedef struct weir_journal_write {
    weir_job job; /* first: a job is its write */
    weir_journal *journal;
    /* What is asked. */
    weir_journal_buffer *buffer; /* NULL: only a sync */
    bool beside;                 /* the units refer to bytes in other files: these first */
    bool sync;
    bool sync_before;    /* the old file has unsynced blocks, and the file changes */
    uint64_t number;     /* of the file to change to; 0: stay */
    uint64_t spare;      /* the spare it is made from; 0: made from nothing */
    bool reserve;        /* the spare is the reserve */
    uint64_t file_bytes; /* of the new file */
    bool zeroed;         /* fill a file made from nothing with zeros */
    uint64_t position;   /* where the block goes */
    weir_journal_head head;
    weir_journal_block block;
    /* What came of it. */
    weir_err err;
    bool unchanged;   /* err came before a byte of the block was written: it may be tried again */
    bool beside_full; /* it came from the other files */
    bool sync_waits;  /* one of them could not be opened to be synced; the block is written */
    bool synced_before;
    uint64_t span_bytes;
    uint64_t took_ns;
    atomic_bool done; /* set last by the lane's thread */
} weir_journal_write;

/* A sync of what is written so far, on its own lane, while blocks go on being written. */
typedef struct weir_journal_trailing {
    weir_job job;
    weir_journal *journal;
    weir_file *file;        /* stays the journal's last one until the job is over: [W5] */
    uint64_t unit;          /* what is written when it begins, and durable when it is over */
    uint64_t sequence_next; /* of the journal when it begins */
    uint64_t group_bytes;
    uint64_t took_ns;
    weir_err err;
    bool running; /* the owner's */
    atomic_bool done;
} weir_journal_trailing;

/* Makes one spare, or the reserve, ready in the background. */
typedef struct weir_journal_prepare {
    weir_job job;
    weir_journal *journal;
    uint64_t number;
    uint64_t bytes;
    bool reserve;
    bool zeroed; /* filled with zeros */
    weir_err err;
    bool running; /* the owner's */
    atomic_bool done;
} weir_journal_prepare;

struct weir_journal {
    weir_env *env;
    weir_journal_dir dir;
    uint64_t file_bytes;
    uint64_t pending_bytes_max;
    uint64_t term;
    bool room_first;
    bool taken_over;
    weir_journal_damage damage;
    uint64_t unit_least;
    weir_sync_mode sync_mode;
    void (*wake)(void *arg);
    void *wake_arg;
    weir_journal_beside beside;
    uint64_t beside_bytes; /* of the set that was begun last */
    bool beside_unsynced;  /* something of such sets was written since the last sync */

    uint64_t journal_id;
    uint64_t number_next; /* the next name to give; above every name in the folder */
    weir_journal_file *files;
    size_t file_count;
    size_t file_capacity;
    uint64_t spares[WEIR_JOURNAL_SPARES_MAX];
    size_t spare_count;

    uint64_t reserve_bytes; /* 0: none is wanted */
    uint64_t reserve; /* a spare of so many bytes that units which make room may use; 0: none, */
    uint64_t reserve_size; /* of that file: more when a spare stands in for it */
    bool reserve_taken;    /* and it was used since it was there last */
    bool reserve_now;      /* the next file is made from it */
    bool retry_now;        /* what is blocked is tried again at once */
    bool spare_asked;      /* the first spare was begun */

    weir_file *file; /* the last of files[] */
    uint64_t position;
    uint64_t sequence_next;
    bool file_unsynced;        /* blocks were written to it since its last sync */
    uint64_t group_bytes;      /* written since the last sync */
    uint64_t group_bytes_mean; /* moving mean of what one sync covers */

    weir_journal_buffer buffers[2];
    weir_journal_buffer mark;      /* one page: a block without units */
    weir_journal_buffer *active;   /* units are added here */
    weir_journal_buffer *retained; /* could not be written for want of a file: goes first */
    bool unit_open;
    bool unit_failed; /* memory could not be had for it */
    size_t unit_at;   /* in active */
    uint32_t entry_count;
    int64_t unit_engine_ms;

    uint64_t last;
    uint64_t written;
    uint64_t durable;
    uint64_t last_mark; /* the newest mark on disk */

    bool want_write;
    bool want_sync;
    bool want_trailing; /* what is written is to be synced while writing goes on */
    bool busy;
    bool lanes_used;  /* a job was submitted: its lane may still be about to wake somebody */
    bool threaded;    /* AUTO's present choice */
    bool failed;      /* [J3] */
    bool blocked;     /* a write waits for a file, */
    bool beside_full; /* or for room in the files beside */
    bool no_memory;   /* what is blocked lacks memory or descriptors, not room */
    bool sync_waits;  /* something beside could not be opened to be synced: it is asked for again */
    bool lack_told;   /* and the log was told so */
    bool disk_full;   /* the last attempt to make a file found no room */
    uint64_t retry_at_ns;
    weir_journal_write write;
    weir_journal_trailing trailing;
    weir_journal_prepare prepare;
    uint64_t torn_number; /* the file whose tail recovery found torn; 0: none */
    uint64_t torn_position;
    weir_journal_counts counts;
};

/* recover.c: reads what is there, replays, and leaves the journal with a new file to write to. */
weir_err weir_journal_recover(weir_journal *journal, uint64_t from_unit,
                              weir_err (*replay)(void *arg, const weir_journal_unit *unit,
                                                 weir_fault *fault),
                              void *arg, weir_fault *fault);

/* carry.c: a block as it goes into the new file, with only units up to `last`, and with what they
 * refer to taken in. *span: its bytes on disk; 0 when no unit is left; *same: it is the block as it
 * stands. `out`, unless NULL, has room for the span and gets the units behind BLOCK_HEAD_BYTES,
 * which *carried then tells of. */
weir_err weir_journal_carry_block(const weir_journal_beside *beside,
                                  const weir_journal_block *block, uint64_t last, uint8_t *out,
                                  weir_journal_block *carried, uint64_t *span, bool *same);

/* journal.c */
/* Room for one more file in files[]. NO_MEMORY. */
weir_err weir_journal_files_reserve(weir_journal *journal);
/* Makes room for `more` bytes and the padding. NO_MEMORY: unchanged. */
weir_err weir_journal_buffer_reserve(weir_journal_buffer *buffer, size_t more);
void weir_journal_buffer_fini(weir_journal_buffer *buffer);

/* writer.c */
/* Begins to make a spare when there is none, none is on its way, and the time to try again has
 * come. */
void weir_journal_prepare_start(weir_journal *journal);
/* Writes an empty block with the mark now, and syncs when `sync`. Nothing may be under way. False: there
 * is no room for it in the file, and no spare. */
bool weir_journal_mark_write(weir_journal *journal, bool sync);

#endif
