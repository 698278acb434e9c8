/* core/log/segment_load.c - makes a segment's table of batches, at its first use, out of what is
 * sound.
 *
 *   .heads   e0   e1   XX   XX   e4 ...         XX: an entry whose CRC or place does not fit
 *   .log     b0 | b1 | b2 | b3 | b4 ...
 *                    ^ scanned ^                between the end of b1 and the start of b4, as e1
 * and e4 tell them
 *
 * Entries are taken in order while each begins where the one before it ends. Where entries are
 * missing or bad, the batches of the gap are read instead and believed by their own CRC and by
 * their offsets, which must go on densely. What even that does not explain becomes one bad place
 * with the offsets that are missing. A lost .heads file is a gap from the first batch to the last.
 * What was read from the .log is said, and the .heads of a segment that is not written to any more is
 * made again from it; of one that is written to only when somebody asks, and nobody writes.
 *
 * All of it is read without the mutex, up to the state that a load finds. When that has moved meanwhile,
 * what came behind it is read as well, until the table has all.
 *
 * [L1] The places cover [0, state.bytes) and [base_offset, end_offset) without a hole.
 * [L2] A place that is not bad was told by a good entry that fits its neighbours, or by a whole,
 *      checked batch; it is checked again, against this, whenever it is read.
 * [L3] No I/O error counts as damage: the load fails and the next use tries again. */
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"
#include "core/env/failpoint.h"
#include "core/log/segment_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PIECE_ENTRIES = 1024,
    SCAN_BATCH_BYTES_MAX =
        64 << 20, /* no batch is larger: a damaged length asks for no more memory */
    LENGTH_AT = 8,
    LENGTH_END = 12,
};

typedef struct loader {
    weir_segment *segment;
    weir_segment_state state; /* how far it goes */
    uint64_t entries;         /* of the .heads that are behind it */
    weir_heads table;
    uint64_t position; /* where the next batch must begin */
    int64_t offset;    /* its base offset */
    uint64_t missing;  /* entries since then that told nothing */
    uint64_t scanned;  /* batches that the .log told instead */
    uint64_t bad;      /* places that nothing explains */
    uint8_t *batch;    /* memory for scanning */
    size_t batch_capacity;
} loader;

static weir_err place_push(loader *load, uint64_t position, int64_t base_offset, uint32_t head_crc,
                           int64_t max_timestamp_ms, bool bad)
{
    const weir_heads_place place = {
        .position = position, .base_offset = base_offset, .head_crc = head_crc, .bad = bad};
    weir_err err = weir_heads_reserve(&load->table, 1);
    if (err == WEIR_OK) {
        weir_heads_push(&load->table, &place, max_timestamp_ms);
    }
    return err;
}

/* Scanning. */

static weir_err log_read(loader *load, uint64_t position, size_t len, size_t *got)
{
    if (len > load->batch_capacity) {
        uint8_t *batch = realloc(load->batch, len);
        if (batch == NULL) {
            return WEIR_NO_MEMORY;
        }
        load->batch = batch;
        load->batch_capacity = len;
    }
    weir_env *env = load->segment->env;
    return env->ops->file_read(env, load->segment->log, load->batch, len, position, got);
}

/* Reads the batch at `position` of the .log, which must end by `to_position`. *batch_bytes: 0 when
 * no length can be told; *sound: whether it passed every check. */
static weir_err batch_scan(loader *load, uint64_t position, uint64_t to_position,
                           size_t *batch_bytes, bool *sound, weir_batch_head *head)
{
    size_t got;
    *batch_bytes = 0;
    *sound = false;
    weir_err err = log_read(load, position, WEIR_BATCH_HEAD_BYTES, &got);
    if (err != WEIR_OK || got < WEIR_BATCH_HEAD_BYTES) {
        return err;
    }
    uint64_t len = (uint64_t)weir_get_u32(load->batch + LENGTH_AT) + LENGTH_END;
    if (len < WEIR_SEGMENT_BATCH_BYTES_MIN || len > to_position - position ||
        len > SCAN_BATCH_BYTES_MAX) {
        return WEIR_OK;
    }
    err = log_read(load, position, len, &got);
    if (err == WEIR_OK) {
        *batch_bytes = len;
        weir_err found = weir_batch_check((weir_bytes){load->batch, got}, head, NULL, 0);
        *sound = found == WEIR_OK || found == WEIR_UNSUPPORTED; /* compressed: as far as the CRC */
    }
    return err;
}

/* Whether a sound batch may stand at load->offset; behind a bad stretch, which has at least one
 * record, only the order can be asked for. */
static bool batch_fits(const loader *load, const weir_batch_head *head, bool after_bad,
                       int64_t to_offset)
{
    return (after_bad ? head->base_offset > load->offset : head->base_offset == load->offset) &&
           head->last_offset_delta < to_offset - head->base_offset;
}

/* Fills [load->position, to_position) from the .log. */
static weir_err gap_scan(loader *load, uint64_t to_position, int64_t to_offset)
{
    uint64_t at = load->position;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && at < to_position) {
        size_t batch_bytes;
        bool sound, after_bad = at > load->position;
        weir_batch_head head;
        err = batch_scan(load, at, to_position, &batch_bytes, &sound, &head);
        if (err != WEIR_OK || batch_bytes == 0) {
            break;
        }
        if (sound && batch_fits(load, &head, after_bad, to_offset)) {
            if (after_bad) {
                err = place_push(load, load->position, load->offset, 0, INT64_MIN, true);
                load->bad++;
            }
            if (err == WEIR_OK) {
                load->scanned++;
                uint32_t crc = weir_crc32c(0, load->batch, WEIR_BATCH_HEAD_BYTES);
                err = place_push(load, at, head.base_offset, crc, head.max_timestamp, false);
            }
            load->position = at + batch_bytes;
            load->offset = head.base_offset + head.last_offset_delta + 1;
        }
        at += batch_bytes;
    }
    return err;
}

/* [L1] Everything up to here gets its places, good or bad. */
static weir_err gap_fill(loader *load, uint64_t to_position, int64_t to_offset)
{
    weir_err err = gap_scan(load, to_position, to_offset);
    if (err == WEIR_OK && (load->position != to_position || load->offset != to_offset)) {
        err = place_push(load, load->position, load->offset, 0, INT64_MIN, true);
        load->bad++;
    }
    load->position = to_position;
    load->offset = to_offset;
    load->missing = 0;
    return err;
}

/* Entries. */

/* [L2] Begins where the last one ended, or, behind a gap, not before the missing ones can have
 * ended; and ends within the state. */
static bool entry_fits(const loader *load, const weir_heads_entry *entry)
{
    const weir_segment_state *state = &load->state;
    if (entry->batch_bytes < WEIR_SEGMENT_BATCH_BYTES_MIN || entry->offsets == 0 ||
        entry->position < load->position || entry->position > state->bytes ||
        entry->batch_bytes > state->bytes - entry->position || entry->base_offset < load->offset ||
        entry->base_offset > state->end_offset ||
        entry->offsets > (uint64_t)(state->end_offset - entry->base_offset)) {
        return false;
    }
    if (load->missing == 0) {
        return entry->position == load->position && entry->base_offset == load->offset;
    }
    return (entry->position - load->position) / WEIR_SEGMENT_BATCH_BYTES_MIN >= load->missing &&
           (uint64_t)(entry->base_offset - load->offset) >= load->missing;
}

static weir_err entry_take(loader *load, const uint8_t *bytes)
{
    weir_heads_entry entry;
    if (weir_heads_entry_decode(bytes, &entry) != WEIR_OK || !entry_fits(load, &entry)) {
        load->missing++;
        return WEIR_OK;
    }
    weir_err err = WEIR_OK;
    if (load->missing > 0) {
        err = gap_fill(load, entry.position, entry.base_offset);
    }
    if (err == WEIR_OK) {
        err = place_push(load, entry.position, entry.base_offset, entry.head_crc,
                         entry.max_timestamp_ms, false);
    }
    load->position = entry.position + entry.batch_bytes;
    load->offset = entry.base_offset + entry.offsets;
    return err;
}

/* OK also when the head is damaged, since every entry has its own check. */
static weir_err file_head_check(loader *load)
{
    uint8_t head[WEIR_HEADS_FILE_HEAD_BYTES];
    size_t got;
    int64_t base_offset;
    weir_segment *segment = load->segment;
    weir_err err =
        segment->env->ops->file_read(segment->env, segment->heads, head, sizeof(head), 0, &got);
    if (err == WEIR_OK && got == sizeof(head)) {
        err = weir_heads_file_head_decode(head, &base_offset);
    }
    return err == WEIR_DAMAGED ? WEIR_OK : err;
}

static weir_err entries_take(loader *load)
{
    const weir_segment *segment = load->segment;
    const uint64_t head_count = load->state.head_count;
    uint8_t *piece = malloc((size_t)PIECE_ENTRIES * WEIR_HEADS_ENTRY_BYTES);
    weir_err err = piece == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    size_t got = (size_t)PIECE_ENTRIES * WEIR_HEADS_ENTRY_BYTES;
    for (uint64_t done = load->entries; err == WEIR_OK && done < head_count;
         done += PIECE_ENTRIES) {
        uint64_t left = head_count - done;
        size_t wanted = (size_t)(left < PIECE_ENTRIES ? left : PIECE_ENTRIES);
        uint64_t at = WEIR_HEADS_FILE_HEAD_BYTES + done * WEIR_HEADS_ENTRY_BYTES;
        err = segment->env->ops->file_read(segment->env, segment->heads, piece,
                                           wanted * WEIR_HEADS_ENTRY_BYTES, at, &got);
        size_t whole = err == WEIR_OK ? got / WEIR_HEADS_ENTRY_BYTES : 0;
        for (size_t i = 0; err == WEIR_OK && i < whole; i++) {
            err = entry_take(load, piece + i * WEIR_HEADS_ENTRY_BYTES);
        }
        if (whole < wanted) {
            break; /* the file is too short: the rest is a gap */
        }
    }
    free(piece);
    return err;
}

/* From where the table ends to where the state does. */
static weir_err table_make(loader *load)
{
    weir_segment *segment = load->segment;
    weir_err err = weir_segment_heads_open(segment);
    if (err == WEIR_OK) {
        err = file_head_check(load);
        if (err == WEIR_OK) {
            err = entries_take(load);
        }
    } else if (err == WEIR_NOT_FOUND) {
        err = WEIR_OK; /* all of it is a gap */
    }
    if (err == WEIR_OK &&
        (load->position != load->state.bytes || load->offset != load->state.end_offset)) {
        err = gap_fill(load, load->state.bytes, load->state.end_offset);
    }
    load->entries = load->state.head_count;
    return err;
}

/* ---- The .heads made again ----------------------------------------------------------------------
 */

static weir_heads_entry entry_of(const loader *load, size_t index)
{
    const weir_heads_place *place = &load->table.places[index];
    bool last = index + 1 == load->table.count;
    uint64_t end = last ? load->state.bytes : place[1].position;
    int64_t end_offset = last ? load->state.end_offset : place[1].base_offset;
    return (weir_heads_entry){
        .position = place->position,
        .batch_bytes = (uint32_t)(end - place->position),
        .head_crc = place->head_crc,
        .base_offset = place->base_offset,
        .max_timestamp_ms = place->time_max, /* times never fall within a partition */
        .offsets = (uint32_t)(end_offset - place->base_offset),
    };
}

static weir_err heads_write(const loader *load, weir_file *file)
{
    const weir_segment *segment = load->segment;
    size_t bytes = WEIR_HEADS_FILE_HEAD_BYTES + load->table.count * WEIR_HEADS_ENTRY_BYTES;
    uint8_t *whole = malloc(bytes);
    if (whole == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_heads_file_head_encode(load->state.base_offset, whole);
    for (size_t i = 0; i < load->table.count; i++) {
        weir_heads_entry entry = entry_of(load, i);
        weir_heads_entry_encode(&entry,
                                whole + WEIR_HEADS_FILE_HEAD_BYTES + i * WEIR_HEADS_ENTRY_BYTES);
    }
    const struct iovec iov = {whole, bytes};
    weir_err err = segment->env->ops->file_write(segment->env, file, &iov, 1, 0);
    free(whole);
    return err == WEIR_OK ? segment->env->ops->file_sync(segment->env, file) : err;
}

/* Beside the old one, then in its place. */
static weir_err heads_replace(const loader *load)
{
    const weir_segment *segment = load->segment;
    const weir_env_ops *ops = segment->env->ops;
    char path[4096];
    weir_file *file = NULL;
    int len = snprintf(path, sizeof(path), "%s.new", segment->heads_path);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return WEIR_TOO_LARGE;
    }
    weir_err err = ops->file_open(segment->env, path,
                                  WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_TRUNCATE, &file);
    if (err != WEIR_OK) {
        return err;
    }
    err = heads_write(load, file);
    ops->file_close(segment->env, file);
    err = err == WEIR_OK ? WEIR_FAILPOINT(heads_rebuilt) : err;
    err = err == WEIR_OK ? ops->rename(segment->env, path, segment->heads_path) : err;
    return err == WEIR_OK ? ops->dir_sync(segment->env, segment->dir) : err;
}

/* Says what was read from the .log for want of good entries, and keeps it for the next start. A
 * segment that is written to keeps its file as it is. */
static void heads_mend(const loader *load)
{
    const weir_segment *segment = load->segment;
    if (load->scanned == 0) {
        return;
    }
    bool whole =
        !segment->writable && load->bad == 0 && load->table.count == load->state.head_count;
    weir_err err = whole ? heads_replace(load) : WEIR_READ_ONLY;
    weir_log(WEIR_LOG_WARN, "log",
             "%s is an index, and was missing or wrong for %" PRIu64 " batches: they were found in "
             "the .log, and nothing is lost; %s",
             segment->heads_path, load->scanned,
             err == WEIR_OK          ? "the file was made again"
             : err == WEIR_READ_ONLY ? "the file stays as it is (`weir log repair` makes it again)"
                                     : "the file could not be made again");
}

/* False, and there is more to read: the state has moved. */
static bool table_take(loader *load)
{
    weir_segment *segment = load->segment;
    (void)pthread_mutex_lock(&segment->mutex);
    bool whole = segment->state.head_count == load->entries;
    if (whole) {
        segment->table = load->table;
        segment->loaded = true;
    }
    load->state = segment->state;
    (void)pthread_mutex_unlock(&segment->mutex);
    return whole;
}

/* Whether the table is there; the state of the moment. */
static bool loaded_already(weir_segment *segment, weir_segment_state *state)
{
    (void)pthread_mutex_lock(&segment->mutex);
    bool loaded = segment->loaded;
    *state = segment->state;
    (void)pthread_mutex_unlock(&segment->mutex);
    return loaded;
}

/* With the disk_mutex held. */
static weir_err load_held(weir_segment *segment)
{
    loader load = {.segment = segment};
    weir_err err = weir_segment_log_open(segment);
    if (err != WEIR_OK || loaded_already(segment, &load.state)) {
        return err;
    }
    load.offset = load.state.base_offset;
    do {
        err = table_make(&load);
    } while (err == WEIR_OK && !table_take(&load));
    free(load.batch);
    if (!segment->writable && segment->heads != NULL) {
        weir_segment_file_close(segment, &segment->heads); /* one descriptor is enough */
    }
    if (err != WEIR_OK) {
        weir_heads_fini(&load.table); /* [L3] */
        return err;
    }
    heads_mend(&load);
    return WEIR_OK;
}

weir_err weir_segment_load(weir_segment *segment)
{
    (void)pthread_mutex_lock(&segment->disk_mutex);
    weir_err err = load_held(segment);
    (void)pthread_mutex_unlock(&segment->disk_mutex);
    return err;
}

static bool table_whole(const loader *load)
{
    bool whole = load->table.count == load->state.head_count;
    for (size_t i = 0; i < load->table.count && whole; i++) {
        whole = !load->table.places[i].bad;
    }
    return whole;
}

weir_err weir_segment_heads_remake(weir_segment *segment)
{
    weir_segment_pin(segment);
    (void)pthread_mutex_lock(&segment->disk_mutex);
    weir_err err = load_held(segment);
    if (err == WEIR_OK) { /* nobody appends: neither changes */
        const loader load = {.segment = segment, .state = segment->state, .table = segment->table};
        err = table_whole(&load) ? heads_replace(&load) : WEIR_DAMAGED;
    }
    if (segment->heads != NULL) {
        weir_segment_file_close(segment, &segment->heads); /* the old one */
    }
    (void)pthread_mutex_unlock(&segment->disk_mutex);
    weir_segment_unpin(segment);
    return err;
}
