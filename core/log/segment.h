/* core/log/segment.h - one segment of a partition on disk: batches in "<base, 20 digits>.log", and
 * beside it ".heads" (for each batch: position u64, length u32, CRC32C of its 61-byte head u32,
 * base offset i64, max timestamp i64, offsets u32, CRC32C of this entry u32; 40 bytes, big-endian;
 * behind a 64-byte file head with magic, version, least reader version, base offset). Any Kafka
 * tool can read the .log.
 *
 * Writing: one job at a time. Reading: any thread, on a counted handle; a batch is
 * checked against its CRC, its heads entry and its place before anything of it is served. A segment
 * is as long as the engine's state says (valid bytes): bytes beyond it are not there. */
#ifndef WEIR_CORE_LOG_SEGMENT_H
#define WEIR_CORE_LOG_SEGMENT_H

#include "weir/base.h"

#include "core/env/env.h"
#include "core/log/chunk.h"

typedef struct weir_segment weir_segment; /* counted */

/* What the engine's state keeps of a segment; enough to open it again. */
typedef struct weir_segment_state {
    int64_t base_offset;
    int64_t end_offset;  /* the next one after its last batch */
    uint64_t bytes;      /* valid bytes of the .log */
    uint64_t head_count; /* valid entries of the .heads */
    int64_t max_timestamp_ms;
    int64_t created_ms; /* engine time */
    uint64_t term;      /* names its folder; the engine's, not looked at here */
} weir_segment_state;

/* Makes a new, empty one in `dir`, which must be nobody's who may still be alive: an older file of
 * that name is removed first (what it had is in the journal). `term` names that folder in the
 * state. Files and folder are synced. DISK_FULL, IO. */
weir_err weir_segment_create(weir_env *env, const char *dir, uint64_t term, int64_t base_offset,
                             int64_t now_ms, weir_segment **segment);
/* The same without a sync: neither its content nor its name is sure to be on disk before the whole
 * volume was synced. */
weir_err weir_segment_create_unsynced(weir_env *env, const char *dir, uint64_t term,
                                      int64_t base_offset, int64_t now_ms, weir_segment **segment);
/* Opens one lazily: files are opened at first use. `writable`: bytes beyond the state are cut at
 * the first append. DAMAGED/NOT_FOUND come from the first use (DAMAGED at once for a state that
 * cannot be). */
weir_err weir_segment_open(weir_env *env, const char *dir, const weir_segment_state *state,
                           bool writable, weir_segment **segment);
weir_segment *weir_segment_keep(weir_segment *segment);
void weir_segment_drop(weir_segment *segment); /* closes its files with the last count */

/* Appends whole chunks in order (dense offsets; our mistake otherwise) with one or few writes.
 * After an error nothing of the call counts and the segment takes no more (READ_ONLY), unless it was
 * NO_MEMORY before anything was written: see takes_more. Background job only. */
weir_err weir_segment_append(weir_segment *segment, weir_chunk *const *chunks, uint32_t count);
bool weir_segment_takes_more(
    const weir_segment *segment); /* whether an append may go on. Any thread */
/* Both files, where anything was written since. NO_MEMORY: one could not be opened for it, and is
 * asked for again; any other error is for good. Any one thread beside the writing one. */
weir_err weir_segment_sync(weir_segment *segment);

/* Straight-written batches: written behind what was appended, without counting them; counted later,
 * by whoever appends or owns the state, while nobody writes. Order and errors as append, but after
 * DISK_FULL and NO_MEMORY the same chunks may be written again. Any one thread. */
weir_err weir_segment_write(weir_segment *segment, weir_chunk *const *chunks, uint32_t count);
void weir_segment_count(weir_segment *segment, weir_chunk *const *chunks, uint32_t count);
weir_err weir_segment_sync_log(weir_segment *segment); /* the .log alone */
/* The newest unit that refers to a batch of it; 0: none since it was opened. The engine's owner. */
void weir_segment_refer(weir_segment *segment, uint64_t unit);
uint64_t weir_segment_referred(const weir_segment *segment);
/* What a compactor wrote to it, told before others have it; 0: nobody counted since it was opened. */
void weir_segment_records_add(weir_segment *segment, uint32_t records);
uint64_t weir_segment_records(const weir_segment *segment);
/* What was appended so far (thread-safe snapshot; bytes and offsets move together). */
void weir_segment_state_of(const weir_segment *segment, weir_segment_state *state);

/* Finds the batch that holds `offset` (or the first after it) and reads whole batches from there as
 * chunks, up to bytes_max (at least one; the window is 8 MiB at most) and at most `max` (1 or
 * more). The caller owns a count of each. EMPTY: nothing at or after it here. DAMAGED (UNSUPPORTED
 * for a batch that is sound but compressed): *bad_from and *bad_to tell the whole range of offsets
 * that cannot be served, which may begin before `offset`; the rest can be read by asking from
 * *bad_to on. Damage behind good batches is met by the next call. NOT_FOUND, IO, NO_MEMORY,
 * VERSION: try again, or give up. Any thread. */
weir_err weir_segment_read(weir_segment *segment, weir_topic_ref *topic, uint32_t partition,
                           int64_t offset, uint64_t bytes_max, weir_chunk **chunks, uint32_t max,
                           uint32_t *count, int64_t *bad_from, int64_t *bad_to);
/* The base offset of the first batch whose max timestamp is >= time_ms. EMPTY: none. Any thread. */
weir_err weir_segment_find_time(weir_segment *segment, int64_t time_ms, int64_t *offset);

/* Writes a new .heads out of the .log and what is good of the old one, and puts it in its place. DAMAGED:
 * some batch of the .log cannot be read; nothing is changed. NOT_FOUND, IO, NO_MEMORY, VERSION,
 * DISK_FULL. While nobody appends. */
weir_err weir_segment_heads_remake(weir_segment *segment);

/* The folder that it was in, when nothing is left there. */
void weir_segment_folder_remove(const weir_segment *segment);
/* Removes both files (kept handles still read). */
weir_err weir_segment_remove(weir_segment *segment);

#endif
