/* core/engine/inspect_journal.c - walks the journal's files for people: what is in them, and what
 * stands behind a damaged place.
 *
 *   file    | head | block | block | xxxx damaged xxxx | block | block | zeros |
 *                                    ^ first bad place   looked for page by page
 *   heads   1 <-ends at- 2 <-ends at- 3      the newest good head, and back: the chain
 *
 * Recovery has judged what it has read (recover.c); here every good block is looked at, whether recovery
 * would read it or not: files below the checkpoint as well, which a start passes over. Where a file of
 * the chain ends, the head of the next one tells; all of its blocks before that are good, or it is
 * damaged. A file that is named and gone is missing, unless the checkpoints had let go of it. Files are
 * met in the order of their numbers. Failures: what cannot be read is an error; what is not good is
 * what one came to see.
 *
 * [I1] Nothing is written: not a file, not a lock.
 * [I2] "Nothing is lost" is said only of what recovery did not have to read, and where the state could be
 *      read. */
#include "core/engine/group.h"
#include "core/engine/inspect_parts.h"

#include "core/base/varint.h"
#include "core/journal/block.h"
#include "core/journal/checkpoint.h"
#include "core/journal/file.h"
#include "core/journal/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 256 };

/* A file as the heads tell of it. */
typedef struct file_known {
    uint64_t number;
    bool head_good;
    weir_journal_head head;
    uint64_t end;        /* of its blocks; 0: no later file of the chain tells */
    uint64_t next_first; /* the first unit behind it; 0 likewise */
    bool names_missing;  /* the file before it should be there, and is not */
} file_known;

typedef struct visit {
    weir_inspect_walk *walk;
    weir_journal_dir dir;
    weir_journal_reader reader;
    char name[64]; /* "journal/<number>.wal" */
    char text[TEXT_BYTES];
    file_known *files; /* in the order of their numbers */
    size_t file_count;
    const file_known *at; /* the one at hand */
    uint64_t journal_id;
    bool dumps;
    bool behind_damage; /* what recovery found damaged stands here or before */
    weir_inspect_file *file;
    uint64_t position;  /* of the block at hand */
    uint64_t last_unit; /* the newest in a good block so far */
    uint64_t bad_at;    /* the first bad place before the file's known end; 0: none */
    uint64_t gap_at;    /* where what is being passed over began; 0: nothing is */
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
        [WEIR_ENTRY_FATES] = "fates",
    };
    bool known = type < sizeof(NAMES) / sizeof(NAMES[0]) && NAMES[type] != NULL;
    return known ? NAMES[type] : "unknown";
}

/* Where a batch of the journal, or one it refers to, goes: offsets [from, to). */
static bool batch_place(const weir_journal_unit *unit, const weir_journal_entry *entry,
                        weir_inspect_lost *place, uint32_t *records)
{
    weir_straight_reference reference;
    *records = 0;
    if (weir_entry_reference_decode(entry, &reference) == WEIR_OK) {
        *place = (weir_inspect_lost){reference.topic_id, reference.partition, reference.base_offset,
                                     reference.base_offset + reference.offsets};
        *records = reference.offsets;
        return true;
    }
    weir_entry_batch_parts parts;
    if (weir_entry_batch_decode(entry, unit->engine_ms, &parts) != WEIR_OK ||
        (parts.batch.ptr != NULL && weir_batch_head_decode(parts.batch, &parts.head) != WEIR_OK)) {
        return false;
    }
    const weir_batch_head *head = &parts.head;
    *place = (weir_inspect_lost){parts.topic_id, parts.partition, head->base_offset,
                                 head->base_offset + head->last_offset_delta + 1};
    *records = (uint32_t)head->record_count;
    return true;
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

/* Entries about a topic begin with its id; the one that makes it has its name as well. */
static void topic_tell(const weir_journal_entry *entry, weir_inspect_entry *row)
{
    weir_bytes body = entry->body;
    switch (entry->type) {
    case WEIR_ENTRY_TOPIC_CREATE:
    case WEIR_ENTRY_TOPIC_LEVEL:
    case WEIR_ENTRY_TOPIC_DELETE:
    case WEIR_ENTRY_TOPIC_SETTINGS:
    case WEIR_ENTRY_TOPIC_PARTITIONS:
    case WEIR_ENTRY_TRIM:
        break;
    default:
        return;
    }
    row->of_topic = body.len >= sizeof(uint32_t);
    row->topic_id = row->of_topic ? weir_get_u32(body.ptr) : 0;
    if (entry->type == WEIR_ENTRY_TOPIC_CREATE && body.len >= WEIR_ENTRY_TOPIC_HEAD_BYTES) {
        uint32_t bytes = weir_get_u32(body.ptr + WEIR_ENTRY_TOPIC_HEAD_BYTES - sizeof(uint32_t));
        bool fits = bytes <= body.len - WEIR_ENTRY_TOPIC_HEAD_BYTES;
        row->topic = (weir_bytes){body.ptr + WEIR_ENTRY_TOPIC_HEAD_BYTES, fits ? bytes : 0};
    }
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
        .of_topic = place != NULL,
        .placed = place != NULL,
        .base_offset = -1,
    };
    topic_tell(entry, &row);
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
    bool batch = batch_place(unit, entry, &place, &records);
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

/* Whether blocks here count: behind a file's known end an older owner may have written. */
static bool in_file(const visit *at)
{
    return at->at->end == 0 || at->position < at->at->end;
}

static void unit_count(visit *at, uint64_t number)
{
    at->file->first_unit = at->file->units == 0 ? number : at->file->first_unit;
    at->file->last_unit = number;
    at->file->units++;
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
            unit_count(at, unit.number);
        }
        if (sum != NULL && unit.number > sum->known_unit) {
            sum->known_unit = unit.number;
        }
        while (err == WEIR_OK && weir_journal_entry_next(&entries, &entry) == WEIR_OK) {
            err = entry_visit(at, &unit, &entry);
        }
        at->last_unit = unit.number > at->last_unit ? unit.number : at->last_unit;
    }
    return err;
}

/* ---- What is passed over
 * ------------------------------------------------------------------------------ */

/* Between the newest unit that was read and `next` something is missing: of a dump, if it asked. */
static void unread_dump(const visit *at, const char *type, uint64_t position, uint64_t bytes,
                        uint64_t next)
{
    const weir_inspect_walk *walk = at->walk;
    if (at->dumps && at->last_unit < walk->to_unit && next > walk->from_unit) {
        weir_inspect_entry row = {.file = at->name,
                                  .position = position,
                                  .type = type,
                                  .unread = true,
                                  .bytes = (uint32_t)bytes,
                                  .base_offset = -1};
        walk->each(walk->each_arg, &row);
    }
}

static void gap_end(visit *at, uint64_t position, uint64_t next)
{
    if (at->gap_at != 0) {
        unread_dump(at, "unreadable", at->gap_at, position - at->gap_at, next);
        at->gap_at = 0;
    }
}

static void bad_page(visit *at)
{
    if (at->at->end != 0 && in_file(at) && at->bad_at == 0) {
        at->bad_at = at->position;
    }
    if (in_file(at) && at->gap_at == 0) {
        at->gap_at = at->position;
    }
    at->position += WEIR_JOURNAL_PAGE_BYTES;
}

static void name_set(visit *at, uint64_t number)
{
    (void)snprintf(at->name, sizeof(at->name), "journal/%016llx.wal", (unsigned long long)number);
}

/* [I2] What the state does not need, a start passes over. */
static const char *covered(const visit *at)
{
    if (!at->walk->state_read) {
        return "whether anything is lost by it cannot be told";
    }
    return at->behind_damage
               ? "it stands behind the damage that a start stops at"
               : "nothing is lost: the checkpoint covers it, and it goes when later ones are written";
}

static void file_tell(visit *at)
{
    const weir_inspect_walk *walk = at->walk;
    bool bad =
        at->file->verdict == WEIR_INSPECT_DAMAGED || at->file->verdict == WEIR_INSPECT_MISSING;
    walk->sum->files++;
    walk->sum->damaged += bad ? 1 : 0;
    walk->to->file(walk->to->arg, at->file);
}

static bool is_file_of(const weir_fault *fault, const char *name)
{
    size_t len = strlen(name), have = strlen(fault->file);
    return fault->err != WEIR_OK && have >= len && strcmp(fault->file + have - len, name) == 0;
}

/* The one before the file at hand, which is gone. */
static void missing_tell(visit *at)
{
    weir_inspect_file file = {
        .path = at->name, .kind = "journal", .verdict = WEIR_INSPECT_MISSING, .text = at->text};
    name_set(at, at->at->number);
    at->behind_damage |= at->walk->damage != NULL && is_file_of(at->walk->damage, at->name);
    (void)snprintf(at->text, sizeof(at->text),
                   "the file behind it (%016llx.wal) names it, and it is gone; %s",
                   (unsigned long long)at->at->number, covered(at));
    name_set(at, at->at->head.previous_number);
    at->file = &file;
    if (at->dumps) {
        unread_dump(at, "missing", 0, 0, at->at->head.first_unit);
    } else {
        file_tell(at);
    }
}

/* ---- Files
 * -------------------------------------------------------------------------------------- */

/* Good blocks wherever they stand. */
static weir_err blocks_visit(visit *at)
{
    bool good_so_far = true;
    weir_err err = WEIR_OK;
    at->bad_at = 0;
    at->gap_at = 0;
    for (at->position = WEIR_JOURNAL_PAGE_BYTES;
         err == WEIR_OK && at->position + WEIR_JOURNAL_BLOCK_HEAD_BYTES <= at->reader.bytes;) {
        weir_journal_block block;
        err = weir_journal_reader_block(&at->reader, at->journal_id, at->position, at->reader.bytes,
                                        &block);
        if (err == WEIR_DAMAGED) {
            good_so_far = false;
            bad_page(at);
            err = WEIR_OK;
            continue;
        }
        if (err == WEIR_OK) {
            bool counts = at->at->end == 0 ? good_so_far : in_file(at);
            uint64_t next = block.unit_count > 0 ? block.first_unit : at->last_unit + 1;
            gap_end(at, at->position, in_file(at) ? next : at->at->next_first);
            at->file->blocks += counts ? 1 : 0;
            at->file->mark = block.durable > at->file->mark ? block.durable : at->file->mark;
            err = block_visit(at, &block, counts);
            at->position += block.span_bytes;
        }
    }
    if (at->at->end > at->position && at->bad_at == 0) { /* it was cut short */
        at->bad_at = at->position;
        at->gap_at = at->gap_at == 0 ? at->position : at->gap_at;
    }
    if (at->at->end != 0) { /* of the last file nothing tells what should be there */
        gap_end(at, at->at->end, at->at->next_first);
    }
    return err;
}

static void file_judge(visit *at)
{
    const weir_inspect_walk *walk = at->walk;
    weir_inspect_file *file = at->file;
    const file_known *known = at->at;
    if (walk->damage != NULL && is_file_of(walk->damage, at->name)) {
        file->verdict = WEIR_INSPECT_DAMAGED;
        file->position = walk->damage->position;
        file->text = walk->damage->text;
    } else if (walk->torn_number == known->number) {
        file->verdict = WEIR_INSPECT_TORN;
        file->position = walk->torn_position;
        file->text = "a write was interrupted here; nothing in it had been acknowledged as synced";
    } else if (at->bad_at != 0 || (!known->head_good && known->end != 0)) {
        file->verdict = WEIR_INSPECT_DAMAGED;
        file->position = known->head_good ? at->bad_at : 0;
        (void)snprintf(at->text, sizeof(at->text), "%s of the journal is damaged; %s",
                       known->head_good ? "a block" : "the head of this file", covered(at));
        file->text = at->text;
    } else if (!known->head_good) {
        file->verdict = WEIR_INSPECT_UNUSED;
        file->text = "it has no head: nothing in it counts";
    }
}

static weir_err file_visit(visit *at)
{
    weir_inspect_file file = {.path = at->name, .kind = "journal", .text = ""};
    if (at->at->names_missing) {
        missing_tell(at);
    }
    at->file = &file;
    name_set(at, at->at->number);
    at->behind_damage |= at->walk->damage != NULL && is_file_of(at->walk->damage, at->name);
    weir_err err = weir_journal_reader_open(&at->reader, at->at->number);
    if (err != WEIR_OK) {
        return err;
    }
    if (at->at->head_good) {
        file.mark = at->at->head.durable;
        at->last_unit = at->at->head.first_unit - 1;
    }
    file.bytes = at->reader.bytes;
    err = blocks_visit(at);
    if (err == WEIR_OK && !at->dumps) {
        file_judge(at);
        file_tell(at);
    }
    return err;
}

/* ---- The chain
 * ---------------------------------------------------------------------------------- */

static weir_err heads_read(visit *at, const weir_journal_listing *listing)
{
    at->files = calloc(listing->count + 1, sizeof(file_known));
    if (at->files == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < listing->count; i++) {
        weir_bytes page;
        file_known *file = &at->files[at->file_count];
        if (listing->names[i].kind != WEIR_JOURNAL_WAL) {
            continue;
        }
        file->number = listing->names[i].number;
        weir_err err = weir_journal_reader_open(&at->reader, file->number);
        err = err == WEIR_OK
                  ? weir_journal_reader_span(&at->reader, 0, WEIR_JOURNAL_PAGE_BYTES, &page)
                  : err;
        if (err != WEIR_OK) {
            return err;
        }
        file->head_good = weir_journal_head_decode(page, &file->head) == WEIR_OK &&
                          file->head.number == file->number && file->head.first_unit > 0;
        at->journal_id = file->head_good ? file->head.journal_id : at->journal_id;
        at->file_count++;
    }
    return WEIR_OK;
}

/* The journal is kept from this unit on, whatever the checkpoints are. UINT64_MAX: it cannot be told. */
static weir_err keep_from_read(const visit *at, uint64_t *unit)
{
    char dir[WEIR_INSPECT_PATH_BYTES];
    (void)snprintf(dir, sizeof(dir), "%.3800s/state", at->walk->data_dir);
    weir_err err = weir_checkpoint_keep_from(at->walk->env, dir, unit);
    bool bad = at->walk->sum != NULL && at->walk->sum->damaged > 0 && *unit == 0;
    *unit = err != WEIR_OK || bad ? UINT64_MAX : *unit;
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

static file_known *known_find(const visit *at, uint64_t number)
{
    for (size_t i = 0; i < at->file_count; i++) {
        if (at->files[i].number == number) {
            return &at->files[i];
        }
    }
    return NULL;
}

/* From the newest good head back: where each file ends, and whether the first one's is missing. */
static weir_err chain_follow(visit *at)
{
    uint64_t keep_from = 0;
    weir_err err = keep_from_read(at, &keep_from);
    size_t last = at->file_count;
    while (last > 0 && !at->files[last - 1].head_good) {
        last--;
    }
    file_known *file = last > 0 ? &at->files[last - 1] : NULL;
    while (err == WEIR_OK && file != NULL && file->head_good && file->head.previous_number != 0 &&
           file->head.previous_number < file->number) {
        file_known *before = known_find(at, file->head.previous_number);
        if (before == NULL) {
            file->names_missing = file->head.first_unit > keep_from;
        } else {
            before->end = file->head.previous_end;
            before->next_first = file->head.first_unit;
        }
        file = before;
    }
    return err;
}

static weir_err walk_files(weir_inspect_walk *walk, bool dumps)
{
    visit at = {.walk = walk, .dumps = dumps, .dir = {.env = walk->env}};
    weir_journal_listing listing = {0};
    (void)snprintf(at.dir.path, sizeof(at.dir.path), "%.3800s/journal", walk->data_dir);
    at.reader.dir = &at.dir;
    weir_err err = weir_journal_listing_read(&at.dir, &listing);
    err = err == WEIR_OK ? heads_read(&at, &listing) : err;
    err = err == WEIR_OK ? chain_follow(&at) : err;
    for (size_t i = 0; i < at.file_count && err == WEIR_OK; i++) {
        at.at = &at.files[i];
        err = file_visit(&at);
    }
    weir_journal_reader_fini(&at.reader);
    weir_journal_listing_fini(&listing);
    free(at.files);
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
