/* core/engine/inspect_journal.c - walks the journal's files for people: what is in them, and what
 * stands behind a damaged place.
 *
 *   file    | head | block | block | xxxx damaged xxxx | block | block | zeros |
 *                   counted          ^ first bad place   looked for page by page
 *
 * Recovery has judged what counts (recover.c); here every good block is looked at, whether recovery
 * would read it or not. Files are met in the order of their numbers. Failures: what cannot be read is
 * an error; what is not good is what one came to see.
 *
 * [I1] Nothing is written: not a file, not a lock. */
#include "core/engine/group.h"
#include "core/engine/inspect_parts.h"

#include "core/base/varint.h"
#include "core/journal/block.h"
#include "core/journal/file.h"
#include "core/journal/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_RECORDS_AT = 57, BATCH_LAST_DELTA_AT = 23 };

typedef struct visit {
    weir_inspect_walk *walk;
    weir_journal_dir dir;
    weir_journal_reader reader;
    char name[64]; /* "journal/<number>.wal" */
    uint64_t number;
    uint64_t journal_id;
    bool dumps;
    weir_inspect_file *file;
    uint64_t position; /* of the block at hand */
} visit;

/* ---- Entries
 * ------------------------------------------------------------------------------------ */

static const char *type_name(uint16_t type)
{
    static const char *const NAMES[] = {
        [WEIR_ENTRY_START] = "start",
        [WEIR_ENTRY_TOPIC_CREATE] = "topic-create",
        [WEIR_ENTRY_TOPIC_LEVEL] = "topic-level",
        [WEIR_ENTRY_TOPIC_DELETE] = "topic-delete",
        [WEIR_ENTRY_BATCH] = "batch",
        [WEIR_ENTRY_LIVE_RETAINED] = "live-retained",
        [WEIR_ENTRY_TOPIC_SETTINGS] = "topic-settings",
        [WEIR_ENTRY_TOPIC_PARTITIONS] = "topic-partitions",
        [WEIR_ENTRY_TRIM] = "trim",
        [WEIR_ENTRY_REFERENCE] = "batch-reference",
        [WEIR_ENTRY_PRODUCER] = "producer",
        [WEIR_ENTRY_EXPIRE] = "expire",
        [WEIR_ENTRY_PUBLISHING] = "publishing",
        [WEIR_ENTRY_GROUP_CREATE] = "group-create",
        [WEIR_ENTRY_GROUP_CHANGE] = "group-change",
        [WEIR_ENTRY_GROUP_DELETE] = "group-delete",
        [WEIR_ENTRY_GROUP_PART] = "group-part",
        [WEIR_ENTRY_GENERATION] = "generation",
        [WEIR_ENTRY_COMMIT] = "commit",
        [WEIR_ENTRY_ACQUIRE] = "acquire",
        [WEIR_ENTRY_SETTLE] = "settle",
    };
    bool known = type < sizeof(NAMES) / sizeof(NAMES[0]) && NAMES[type] != NULL;
    return known ? NAMES[type] : "unknown";
}

/* Where a batch of the journal, or one it refers to, goes: offsets [from, to). */
static bool batch_place(const weir_journal_entry *entry, weir_inspect_lost *place,
                        uint32_t *records)
{
    weir_straight_reference reference;
    *records = 0;
    if (weir_entry_reference_decode(entry, &reference) == WEIR_OK) {
        *place = (weir_inspect_lost){reference.topic_id, reference.partition, reference.base_offset,
                                     reference.base_offset + reference.offsets};
        *records = reference.offsets;
        return true;
    }
    if (entry->type != WEIR_ENTRY_BATCH ||
        entry->body.len < WEIR_ENTRY_BATCH_HEAD_BYTES + WEIR_BATCH_HEAD_BYTES) {
        return false;
    }
    const uint8_t *batch = entry->body.ptr + WEIR_ENTRY_BATCH_HEAD_BYTES;
    int64_t base = (int64_t)weir_get_u64(batch);
    int64_t last = (int64_t)weir_get_u32(batch + BATCH_LAST_DELTA_AT);
    *place = (weir_inspect_lost){weir_get_u32(entry->body.ptr), weir_get_u32(entry->body.ptr + 4),
                                 base, base + last + 1};
    *records = weir_get_u32(batch + BATCH_RECORDS_AT);
    return base >= 0;
}

static weir_err lost_add(weir_inspect_walk *walk, const weir_inspect_lost *place)
{
    for (size_t i = 0; i < walk->lost_count; i++) {
        weir_inspect_lost *lost = &walk->lost[i];
        if (lost->topic_id == place->topic_id && lost->partition == place->partition) {
            lost->from = place->from < lost->from ? place->from : lost->from;
            lost->to = place->to > lost->to ? place->to : lost->to;
            return WEIR_OK;
        }
    }
    weir_inspect_lost *grown =
        realloc(walk->lost, (walk->lost_count + 1) * sizeof(weir_inspect_lost));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    walk->lost = grown;
    walk->lost[walk->lost_count++] = *place;
    return WEIR_OK;
}

static void entry_dump(const visit *at, const weir_journal_unit *unit,
                       const weir_journal_entry *entry, const weir_inspect_lost *place,
                       uint32_t records)
{
    weir_inspect_entry row = {
        .file = at->name,
        .position = at->position,
        .unit = unit->number,
        .time_ms = unit->engine_ms,
        .type = type_name(entry->type),
        .bytes = (uint32_t)entry->body.len,
        .placed = place != NULL,
        .base_offset = -1,
    };
    if (place != NULL) {
        row.topic_id = place->topic_id;
        row.partition = place->partition;
        row.base_offset = place->from;
        row.records = records;
    }
    at->walk->each(at->walk->each_arg, &row);
}

static weir_err entry_visit(visit *at, const weir_journal_unit *unit,
                            const weir_journal_entry *entry)
{
    weir_inspect_lost place;
    uint32_t records;
    weir_inspect_walk *walk = at->walk;
    bool batch = batch_place(entry, &place, &records);
    if (at->dumps) {
        if (unit->number >= walk->from_unit && unit->number <= walk->to_unit) {
            entry_dump(at, unit, entry, batch ? &place : NULL, records);
        }
        return WEIR_OK;
    }
    at->file->batches += batch ? 1 : 0;
    at->file->records += batch ? records : 0;
    bool lost = batch && walk->damage->err != WEIR_OK && unit->number > walk->sum->last_unit;
    return lost ? lost_add(walk, &place) : WEIR_OK;
}

static weir_err block_visit(visit *at, const weir_journal_block *block, bool counts)
{
    weir_bytes rest = block->units;
    weir_journal_unit unit;
    weir_journal_entry entry;
    weir_inspect_sum *sum = at->walk->sum;
    weir_err err = WEIR_OK;
    if (sum != NULL && block->durable > sum->known_unit) {
        sum->known_unit = block->durable;
    }
    while (err == WEIR_OK && weir_journal_unit_next(&rest, &unit) == WEIR_OK) {
        weir_bytes entries = unit.entries;
        if (counts) {
            at->file->first_unit = at->file->units == 0 ? unit.number : at->file->first_unit;
            at->file->last_unit = unit.number;
            at->file->units++;
        }
        if (sum != NULL && unit.number > sum->known_unit) {
            sum->known_unit = unit.number;
        }
        while (err == WEIR_OK && weir_journal_entry_next(&entries, &entry) == WEIR_OK) {
            err = entry_visit(at, &unit, &entry);
        }
    }
    return err;
}

/* ---- Files
 * -------------------------------------------------------------------------------------- */

/* Good blocks wherever they stand. */
static weir_err blocks_visit(visit *at)
{
    bool good_so_far = true;
    weir_err err = WEIR_OK;
    for (at->position = WEIR_JOURNAL_PAGE_BYTES;
         err == WEIR_OK && at->position + WEIR_JOURNAL_BLOCK_HEAD_BYTES <= at->reader.bytes;) {
        weir_journal_block block;
        err = weir_journal_reader_block(&at->reader, at->journal_id, at->position, at->reader.bytes,
                                        &block);
        if (err == WEIR_DAMAGED) {
            good_so_far = false;
            at->position += WEIR_JOURNAL_PAGE_BYTES;
            err = WEIR_OK;
            continue;
        }
        if (err == WEIR_OK) {
            at->file->blocks += good_so_far ? 1 : 0;
            at->file->mark = block.durable > at->file->mark ? block.durable : at->file->mark;
            err = block_visit(at, &block, good_so_far);
            at->position += block.span_bytes;
        }
    }
    return err;
}

static bool is_file_of(const weir_fault *fault, const char *name)
{
    size_t len = strlen(name), have = strlen(fault->file);
    return fault->err != WEIR_OK && have >= len && strcmp(fault->file + have - len, name) == 0;
}

static void file_judge(const visit *at, bool head_good)
{
    const weir_inspect_walk *walk = at->walk;
    weir_inspect_file *file = at->file;
    if (walk->damage != NULL && is_file_of(walk->damage, at->name)) {
        file->verdict = WEIR_INSPECT_DAMAGED;
        file->position = walk->damage->position;
        file->text = walk->damage->text;
    } else if (walk->torn_number == at->number) {
        file->verdict = WEIR_INSPECT_TORN;
        file->position = walk->torn_position;
        file->text = "a write was interrupted here; nothing in it had been acknowledged as synced";
    } else if (!head_good) {
        file->verdict = WEIR_INSPECT_UNUSED;
        file->text = "it has no head: nothing in it counts";
    }
}

static weir_err file_visit(visit *at)
{
    weir_bytes page;
    weir_journal_head head;
    weir_inspect_file file = {.path = at->name, .kind = "journal", .text = ""};
    at->file = &file;
    (void)snprintf(at->name, sizeof(at->name), "journal/%016llx.wal",
                   (unsigned long long)at->number);
    weir_err err = weir_journal_reader_open(&at->reader, at->number);
    err = err == WEIR_OK ? weir_journal_reader_span(&at->reader, 0, WEIR_JOURNAL_PAGE_BYTES, &page)
                         : err;
    if (err != WEIR_OK) {
        return err;
    }
    bool head_good = weir_journal_head_decode(page, &head) == WEIR_OK && head.number == at->number;
    if (head_good) {
        at->journal_id = head.journal_id;
        file.mark = head.durable;
    }
    file.bytes = at->reader.bytes;
    err = blocks_visit(at);
    if (err == WEIR_OK && !at->dumps) {
        file_judge(at, head_good);
        at->walk->sum->files++;
        at->walk->sum->damaged += file.verdict == WEIR_INSPECT_DAMAGED ? 1 : 0;
        at->walk->to->file(at->walk->to->arg, &file);
    }
    return err;
}

/* The id of the newest good head: a file whose own head is damaged is read by it. */
static weir_err id_find(visit *at, const weir_journal_listing *listing)
{
    for (size_t i = listing->count; i > 0 && at->journal_id == 0; i--) {
        weir_bytes page;
        weir_journal_head head;
        if (listing->names[i - 1].kind != WEIR_JOURNAL_WAL) {
            continue;
        }
        weir_err err = weir_journal_reader_open(&at->reader, listing->names[i - 1].number);
        err = err == WEIR_OK
                  ? weir_journal_reader_span(&at->reader, 0, WEIR_JOURNAL_PAGE_BYTES, &page)
                  : err;
        if (err != WEIR_OK) {
            return err;
        }
        if (weir_journal_head_decode(page, &head) == WEIR_OK) {
            at->journal_id = head.journal_id;
        }
    }
    return WEIR_OK;
}

static weir_err walk_files(weir_inspect_walk *walk, bool dumps)
{
    visit at = {.walk = walk, .dumps = dumps, .dir = {.env = walk->env}};
    weir_journal_listing listing = {0};
    (void)snprintf(at.dir.path, sizeof(at.dir.path), "%.3800s/journal", walk->data_dir);
    at.reader.dir = &at.dir;
    weir_err err = weir_journal_listing_read(&at.dir, &listing);
    err = err == WEIR_OK ? id_find(&at, &listing) : err;
    for (size_t i = 0; i < listing.count && err == WEIR_OK; i++) {
        if (listing.names[i].kind == WEIR_JOURNAL_WAL) {
            at.number = listing.names[i].number;
            err = file_visit(&at);
        }
    }
    weir_journal_reader_fini(&at.reader);
    weir_journal_listing_fini(&listing);
    return err;
}

weir_err weir_inspect_journal(weir_inspect_walk *walk)
{
    return walk_files(walk, false);
}

weir_err weir_inspect_journal_dump(weir_inspect_walk *walk)
{
    return walk_files(walk, true);
}
