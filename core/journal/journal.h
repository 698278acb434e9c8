/* core/journal/journal.h - the write-ahead log: units in, a durable mark out.
 *
 * A unit is what is atomic: entries that are applied all or not at all. Units have dense
 * numbers from 1. Everything that waits is written as one block (header with length, sequence,
 * journal id, file generation, durable mark and CRC32C; 4096-byte aligned), and synced at once:
 * group commit. Files are written once before use and recycled.
 *
 * One thread at a time (the engine's owner). docs/formats/journal.md draws the bytes. */
#ifndef WEIR_CORE_JOURNAL_JOURNAL_H
#define WEIR_CORE_JOURNAL_JOURNAL_H

#include "weir/base.h"
#include "weir/engine.h"

#include "core/env/env.h"

typedef struct weir_journal weir_journal;
typedef struct weir_journal_unit weir_journal_unit;

/* Bytes that units refer to and that stand in files of somebody else: on disk before the block with
 * those units is, synced before a sync counts for them. A set of them goes with each block, and one
 * set at most is on its way. Zeroed: nothing is referred to. */
typedef struct weir_journal_beside {
    void *arg;
    /* Owner's thread: a write of all units ended so far is about to start. What they refer to, and
     * no earlier call took, is this call's set, of *bytes. NO_MEMORY: nothing is written now; asked
     * again. */
    weir_err (*begin)(void *arg, uint64_t *bytes);
    /* Writes the set, unless it did already. Any one thread. DISK_FULL, NO_MEMORY: asked again
     * later; any other error stops the journal for good. */
    weir_err (*write)(void *arg);
    /* Syncs all that write has written and no sync has synced. Any one thread. NO_MEMORY: something
     * could not be opened for it; what is not synced yet is asked for again. */
    weir_err (*sync)(void *arg);
    /* Owner's thread: the set is written, or (not OK) never will be. */
    void (*end)(void *arg, weir_err err);
    /* Recovery, before a unit is replayed: reads and checks what it refers to, and has it ready for
     * the replay. EMPTY: it is not there, or not whole; the unit is not replayed. Other errors stop
     * the start with *fault. */
    weir_err (*find)(void *arg, const weir_journal_unit *unit, weir_fault *fault);
    /* Recovery: the unit's entries with what they refer to taken in, since no mark proves it
     * synced; one entry for each. *bytes is their length, 0 when it refers to nothing; written to
     * `out` unless that is NULL. */
    weir_err (*carry)(void *arg, const weir_journal_unit *unit, uint8_t *out, size_t *bytes);
} weir_journal_beside;

/* What opening does about damage: units that were safely stored and cannot be read any more. */
typedef enum weir_journal_damage {
    WEIR_JOURNAL_REFUSE = 0, /* DAMAGED; nothing is changed on disk */
    /* The journal opens as one whose writes have failed, at the last good unit, and *fault tells
     * (OK is returned). Nothing is changed on disk. */
    WEIR_JOURNAL_STOP,
    WEIR_JOURNAL_CUT,  /* gives up what stands behind the last good unit; *fault tells as above */
    WEIR_JOURNAL_LOOK, /* as STOP, also when nothing is damaged: fault->err is OK then */
} weir_journal_damage;

typedef struct weir_journal_config {
    weir_env *env;
    const char *dir; /* "<data>/journal"; created */
    /* Size of one file: at least 64 KiB, a multiple of 4096. */
    uint64_t file_bytes;
    /* What may wait to be written: at least one unit of the largest size; at most 1 GiB. */
    uint64_t pending_bytes_max;
    uint64_t term; /* this owner's; fits 32 bits, and rises with each open */
    weir_journal_damage damage;
    uint64_t unit_least; /* the last good unit is this one or later (and there is one), or damage is
                          * refused */
    /* Kept beside the spares, in a file of its own, for units that make room when the disk is full:
     * weir_journal_room_reserve. A multiple of 4096, at least 64 KiB, at most file_bytes; 0: none. */
    uint64_t reserve_bytes;
    /* `replay` may write to the same disk: the new file's room is taken before it is called. Where opening
     * comes to nothing that is given back: a file that was begun is all that came and went, and spares
     * went where there was no room. */
    bool room_first;
    bool taken_over; /* an older owner may still be alive: recycle only files we made */
    weir_sync_mode sync;
    void (*wake)(void *arg); /* a background write has finished: call weir_journal_poll soon.
                              * Called on a lane's thread. */
    void *wake_arg;
    weir_journal_beside beside;
} weir_journal_config;

/* One unit as recovery reads it; borrowed for the call. */
struct weir_journal_unit {
    uint64_t number;
    uint64_t term;
    int64_t engine_ms;  /* engine time, Unix milliseconds */
    weir_bytes entries; /* walk with weir_journal_entry_next */
};

typedef struct weir_journal_entry {
    uint16_t type;
    uint8_t version;
    weir_bytes body;
} weir_journal_entry;

/* Takes the next entry off the front of *rest (begin with unit->entries). EMPTY at the end;
 * DAMAGED when the lengths do not fit (cannot happen behind a good CRC, but is checked). */
weir_err weir_journal_entry_next(weir_bytes *rest, weir_journal_entry *entry);
enum { WEIR_JOURNAL_ENTRY_HEAD_BYTES = 8 };
/* Writes an entry's head; its body begins ENTRY_HEAD_BYTES further. */
void weir_journal_entry_encode(uint8_t *out, uint16_t type, uint8_t version, uint32_t body_bytes);

/* Reads every whole unit with number >= from_unit in order, stops at the first bad block, tells a
 * torn tail (cut) from damage (WEIR_DAMAGED, nothing changed on disk), starts a new file whose
 * header says where the older ones end, and re-writes the tail that no mark proves synced before it
 * returns. The tail up to the last whole unit counts as durable when open returns. MISSING units
 * between from_unit and the first one found are damage. `replay` may refuse (VERSION, DAMAGED,
 * NO_MEMORY): open stops with that error and fault. */
weir_err weir_journal_open(const weir_journal_config *config, uint64_t from_unit,
                           weir_err (*replay)(void *arg, const weir_journal_unit *unit,
                                              weir_fault *fault),
                           void *arg, weir_journal **journal, weir_fault *fault);
/* Writes and syncs what waits (unless it has failed), writes a last mark, and frees. Returns what
 * state() would. May block, and drains the lanes: never from a job. */
weir_err weir_journal_close(weir_journal *journal);
/* Frees without writing anything more. Drains the lanes: never from a job. */
void weir_journal_abandon(weir_journal *journal);

/* Whether a unit of about `bytes` can be begun: OK; AGAIN (too much waits to be written: flush and
 * poll first); DISK_FULL (no file could be prepared; tried again by weir_journal_poll);
 * READ_ONLY (a write or sync failed: for good); TOO_LARGE (more than may ever wait); NO_MEMORY.
 * `bytes` are bodies and 8 for each entry. Decide with this before anything changes. */
weir_err weir_journal_room(weir_journal *journal, uint64_t bytes);
/* The same for a unit that only settles or commits: on a full disk it may use what the reserve has
 * left, but for its last part. DISK_FULL: that is used up, too. */
weir_err weir_journal_room_reserve(weir_journal *journal, uint64_t bytes);
/* The same for a unit that frees disk (a trim, a deletion, settings that shorten what is kept): it may
 * use the last part as well: a quarter of the reserve, at most WEIR_JOURNAL_LAST_BYTES_MAX. */
weir_err weir_journal_room_last(weir_journal *journal, uint64_t bytes);
enum { WEIR_JOURNAL_LAST_BYTES_MAX = 64 << 10 };
/* What such units have left when the disk is full: of the reserve, and of the file it became. */
uint64_t weir_journal_reserve_left(const weir_journal *journal);

/* Whether so much waits to be written that `bytes` more would be too much: take in less, flush and
 * poll first. Asks for no memory. */
bool weir_journal_behind(const weir_journal *journal, uint64_t bytes);

/* A unit is begun, filled with entries, and ended. entry returns where `len` bytes of body go,
 * valid until the next call; NULL when memory could not be had (room() was not asked).
 * A unit with no entry is taken back by end, which then returns the previous number. */
void weir_journal_begin(weir_journal *journal, int64_t engine_ms);
uint8_t *weir_journal_entry_add(weir_journal *journal, uint16_t type, uint8_t version, size_t len);
uint64_t weir_journal_end(weir_journal *journal);

/* Writes everything that waits, and syncs it when `sync`. Inline: done on return, unless a trailing
 * sync is under way. On a thread: returns at once, and poll tells. Calling it while a write is under
 * way is harmless: what waits goes with the next. Never between begin and end, and neither are poll
 * and mark. Returns the state as room() does. */
weir_err weir_journal_flush(weir_journal *journal, bool sync);
/* Writes everything that waits, and has what is written synced on a lane while writing goes on: poll
 * tells. With such a sync under way it writes nothing, and the next one begins when that is over: so
 * what is not synced has a bound. A flush that syncs instead, where the mode is inline or a large
 * batch stands beside. Returns the state as room() does. */
weir_err weir_journal_sync_trailing(weir_journal *journal);
/* Takes in what finished in the background; starts what a flush asked for meanwhile. */
weir_err weir_journal_poll(weir_journal *journal);
/* Writes an empty block that carries the durable mark, when the last block's mark is older than the
 * durable unit: to be called when idle. Not synced by itself. AGAIN: it is not written, something else
 * is under way, or there is no file that it fits into now; else the state as room() does. */
weir_err weir_journal_mark(weir_journal *journal);

/* Whether recovery cut a torn tail: a write that a crash interrupted, of nothing that was synced. */
bool weir_journal_torn(const weir_journal *journal, uint64_t *file_number, uint64_t *position);

uint64_t weir_journal_last(const weir_journal *journal);    /* the newest unit ended */
uint64_t weir_journal_written(const weir_journal *journal); /* through which units are written */
uint64_t weir_journal_durable(const weir_journal *journal); /* through which they are synced */
/* Through which units they are, or will be when the trailing sync that is under way is over. */
uint64_t weir_journal_covered(const weir_journal *journal);
bool weir_journal_busy(const weir_journal *journal); /* a background write or sync is under way */
weir_err weir_journal_state(const weir_journal *journal); /* OK, DISK_FULL, READ_ONLY */
/* Of DISK_FULL: it is memory or file descriptors that lack, not room on the disk. */
bool weir_journal_lacks_memory(const weir_journal *journal);

/* Bytes of files, as they stand on the disk, that have units above `unit`. */
uint64_t weir_journal_bytes_above(const weir_journal *journal, uint64_t unit);
/* Whether releasing `unit` lets any file go. */
bool weir_journal_releases(const weir_journal *journal, uint64_t unit);
/* Others found the disk full: one of the files that were made beforehand goes, and for two seconds none
 * is made in its place, so that they have its room. Never the reserve, nor what must stand in for it.
 * False: there is none to go. */
bool weir_journal_spare_give(weir_journal *journal);
/* Files whose units are all below `unit` may be recycled or removed. */
void weir_journal_release(weir_journal *journal, uint64_t unit);

typedef struct weir_journal_counts {
    uint64_t units, bytes, writes, syncs, files_created, files_recycled;
    uint64_t sync_ns_mean; /* moving mean of a write and its sync */
} weir_journal_counts;
void weir_journal_counts_of(const weir_journal *journal, weir_journal_counts *counts);

/* What the block decoder sees; pure, fuzzed. `in` starts at a block boundary.
 * OK: *block filled. MORE: in ends inside. DAMAGED: not a good block of this journal and
 * generation. */
typedef struct weir_journal_block {
    uint64_t sequence;   /* dense over the whole journal */
    uint64_t first_unit; /* 0 when it has none */
    uint32_t unit_count;
    uint64_t durable;    /* the mark */
    uint32_t span_bytes; /* aligned length on disk, header included */
    weir_bytes units;
} weir_journal_block;
weir_err weir_journal_block_decode(weir_bytes in, uint64_t journal_id, uint64_t generation,
                                   weir_journal_block *block);

#endif
