/* core/engine/fates.c - what became of records, in every group: the counters, and the lines of `__fates`.
 *
 * A fate is counted where it is applied, live and in recovery alike; the sums are metrics that
 * begin, at a start, with those of the groups that are there and of those that were deleted, whose
 * sums are kept for ever. What happened is told live, in lines of ranges (fate_lines.h):
 *
 *   note --> engine.fates.lines  [ of units that are closed | of the open unit ]
 *                 |                                              |  a unit closes: entry 28
 *                 |  they are BATCH_BYTES or more: the same unit  v
 *                 +--> a record of `__fates`, a batch as any other (entry 5); none wait then
 *
 *   28 fates   flags u8 (1: those before stand in a batch) | lines
 *
 * So a unit that settles a record has its line [G6], for a few bytes; `__fates` gets records of a size
 * worth reading, and a checkpoint has what waits, with the partition that it will go to. `__fates` is
 * made in the unit that has the first line. It is the engine's own: no wildcard reaches it, and
 * nobody publishes to it, joins it or deletes it.
 *
 * Lines never fail an operation: those of what members take and settle have their room asked for with
 * it (weir_fates_room), and with the first ones that of `__fates`, on a full disk, too; of others (a
 * topic that is deleted) what finds no room is left out, and counted (weir_fate_lines_lost_total). */
#include "core/engine/group.h"
#include "core/engine/settlement.h"
#include "core/engine/stream.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH_BYTES = 32 << 10,       /* lines that become a record */
    LINES_BYTES_MAX = 16 << 20,   /* that wait; more are lost */
    RESERVE_BYTES_MAX = 16 << 10, /* what a unit's lines that were not asked for may take of it */
    ENTRY_HEAD_BYTES = 1,
    ENTRY_BEGINS = 1,
    BATCH_ROOM_BYTES = 256,    /* of a batch and its entry, beside the lines */
    BETWEEN_LINES_MAX = 65536, /* of one part that is reset, or goes */
};

static const weir_topic_options TOPIC_OPTIONS = {.partitions = 1,
                                                 .level = WEIR_LEVEL_OS,
                                                 .cleanup = WEIR_CLEANUP_DELETE,
                                                 .retention_ms = WEIR_FATES_RETENTION_MS,
                                                 .retention_bytes = WEIR_FATES_RETENTION_BYTES,
                                                 .segment_bytes = WEIR_FATES_SEGMENT_BYTES,
                                                 .segment_ms = WEIR_FATES_SEGMENT_MS};

/* The metrics of fates stand one behind the other, in their order. */
_Static_assert(offsetof(weir_stats, fate_topic_deleted) - offsetof(weir_stats, fate_accepted) ==
                   (WEIR_FATE_TOPIC_DELETED - WEIR_FATE_ACCEPTED) * sizeof(uint64_t),
               "weir_fate_shown goes by the order of fates");

/* ---- Counters --------------------------------------------------------------------------------- */

static uint64_t *shown_of(weir_engine *engine, weir_fate fate)
{
    uint64_t *all = (uint64_t *)(void *)&engine->stats;
    return all + offsetof(weir_stats, fate_accepted) / sizeof(uint64_t) +
           (size_t)(fate - WEIR_FATE_ACCEPTED);
}

void weir_fate_shown(weir_engine *engine, weir_fate fate, uint64_t records)
{
    *shown_of(engine, fate) += records;
}

void weir_fate_count(weir_engine *engine, weir_group_part *part, weir_fate fate, uint64_t records)
{
    if (records == 0 || fate == WEIR_FATE_PENDING) {
        return;
    }
    part->fates[fate] += records;
    weir_fate_shown(engine, fate, records);
    weir_group_part_changed(engine, part);
}

void weir_fates_show(weir_engine *engine, const uint64_t *fates)
{
    for (int fate = WEIR_FATE_ACCEPTED; fate < WEIR_FATE_COUNT; fate++) {
        *shown_of(engine, (weir_fate)fate) = fates[fate];
    }
}

/* ---- Lines ------------------------------------------------------------------------------------ */

static weir_bytes topic_name(const weir_group_part *part)
{
    const weir_partition *partition = part->partition;
    return partition == NULL
               ? WEIR_BYTES_NULL
               : (weir_bytes){partition->topic->ref->name, partition->topic->ref->name_bytes};
}

static uint64_t letter_bytes(weir_bytes topic)
{
    return topic.len > 0 ? topic.len + WEIR_FATE_LETTER_BYTES_MAX : 0;
}

/* With the names, which the lines may have already: not when a unit ends in between. */
uint64_t weir_fates_room(const weir_group_part *part, const weir_member *member, weir_bytes reason,
                         uint64_t lines)
{
    size_t words =
        reason.len < WEIR_FATE_REASON_BYTES_MAX ? reason.len : WEIR_FATE_REASON_BYTES_MAX;
    size_t who = member == NULL ? 0 : (size_t)member->name_bytes + member->origin_bytes;
    return WEIR_JOURNAL_ENTRY_HEAD_BYTES + ENTRY_HEAD_BYTES + 2 * WEIR_FATE_NAMED_BYTES_MAX +
           part->group->name_bytes + topic_name(part).len + who +
           lines *
               (WEIR_FATE_LINE_BYTES_MAX + words + letter_bytes(part->group->options.dead_letter));
}

static uint64_t topic_bytes(void)
{
    return WEIR_JOURNAL_ENTRY_HEAD_BYTES + WEIR_ENTRY_TOPIC_HEAD_BYTES + sizeof(WEIR_FATES_NAME) -
           1 + weir_topic_settings_bytes(&TOPIC_OPTIONS);
}

/* With the first lines goes `__fates` itself. */
static uint64_t asked_bytes(const weir_engine *engine, uint64_t bytes, uint64_t line_bytes)
{
    bool made = weir_topics_find_id(engine, WEIR_FATES_TOPIC_ID) != NULL;
    return bytes + line_bytes + (made ? 0 : topic_bytes());
}

static weir_err unit_asked(weir_engine *engine, weir_err err, uint64_t line_bytes)
{
    engine->fates.asked += err == WEIR_OK ? line_bytes : 0;
    return err;
}

weir_err weir_fates_unit(weir_engine *engine, uint64_t bytes, uint64_t line_bytes)
{
    weir_err err = weir_engine_unit(engine, asked_bytes(engine, bytes, line_bytes));
    return unit_asked(engine, err, line_bytes);
}

weir_err weir_fates_unit_reserve(weir_engine *engine, uint64_t bytes, uint64_t line_bytes)
{
    weir_err err = weir_engine_unit_reserve(engine, asked_bytes(engine, bytes, line_bytes));
    return unit_asked(engine, err, line_bytes);
}

static uint32_t part_number(weir_engine *engine, weir_group_part *part)
{
    weir_fates *fates = &engine->fates;
    if (part->fates_round != fates->round) {
        weir_fate_part named = {.group_id = part->group->id,
                                .topic_id = part->topic_id,
                                .partition = part->index,
                                .group = {part->group->name, part->group->name_bytes},
                                .topic = topic_name(part)};
        part->fates_number = weir_fate_part_write(&fates->writer, &named, &fates->lines);
        part->fates_next = 0;
        part->fates_round = fates->round;
    }
    return part->fates_number;
}

static uint32_t member_number(weir_engine *engine, weir_member *member)
{
    weir_fates *fates = &engine->fates;
    if (member == NULL) {
        return UINT32_MAX;
    }
    if (member->fates_round != fates->round) {
        member->fates_number = weir_fate_member_write(&fates->writer, weir_member_name(member),
                                                      weir_member_origin(member), &fates->lines);
        member->fates_round = fates->round;
    }
    return member->fates_number;
}

/* What the line and the names that it needs take, at most. */
static uint64_t line_bytes(const weir_engine *engine, const weir_fate_note *note)
{
    const weir_member *who = note->member;
    uint32_t round = engine->fates.round;
    uint64_t bytes = weir_fates_room(note->part, NULL, note->reason, 1);
    bytes = note->part->fates_round == round
                ? WEIR_FATE_LINE_BYTES_MAX + note->reason.len + letter_bytes(note->letter.topic)
                : bytes;
    bytes += who != NULL && who->fates_round != round
                 ? WEIR_FATE_NAMED_BYTES_MAX + who->name_bytes + who->origin_bytes
                 : 0;
    return bytes;
}

/* Its room was asked for, or there is some. */
static bool line_room(weir_engine *engine, const weir_fate_note *note)
{
    weir_fates *fates = &engine->fates;
    uint64_t bytes = line_bytes(engine, note);
    uint64_t open = fates->lines.len - fates->closed;
    bool asked = open + bytes <= fates->asked;
    weir_err (*room)(weir_journal *, uint64_t) =
        open + bytes <= RESERVE_BYTES_MAX ? weir_journal_room_reserve : weir_journal_room;
    return engine->unit_open && fates->lines.len + bytes <= LINES_BYTES_MAX &&
           fates->writer.parts < WEIR_FATE_NUMBERS_MAX &&
           fates->writer.members < WEIR_FATE_NUMBERS_MAX &&
           weir_buffer_reserve(&fates->lines, bytes) == WEIR_OK &&
           (asked || room(engine->journal, engine->unit_bytes + open + bytes) == WEIR_OK);
}

void weir_fate_tell(weir_engine *engine, const weir_fate_note *note)
{
    weir_fates *fates = &engine->fates;
    weir_group_part *part = (weir_group_part *)(uintptr_t)note->part;
    if (!line_room(engine, note)) {
        engine->stats.fate_lines_lost++;
        return;
    }
    weir_fate_told line = {.part = part_number(engine, part),
                           .member = member_number(engine, (weir_member *)(uintptr_t)note->member),
                           .event = note->event,
                           .fate = note->fate,
                           .first = note->first,
                           .last = note->last,
                           .time_ms = engine->engine_ms,
                           .leased = note->leased,
                           .failed = note->failed,
                           .reason = note->reason,
                           .letter = note->letter};
    weir_fate_line_write(&fates->writer, &line, &part->fates_next, &fates->lines);
    engine->stats.fate_lines++;
}

void weir_fate_write(weir_engine *engine, const weir_fate_note *note)
{
    if (note->fate != WEIR_FATE_PENDING) {
        weir_fate_count(engine, (weir_group_part *)(uintptr_t)note->part, note->fate,
                        (uint64_t)(note->last - note->first + 1));
    }
    weir_fate_tell(engine, note);
}

static bool tell_range(weir_engine *engine, weir_fate_note *note, int64_t first, int64_t last,
                       uint32_t *left)
{
    if (first > last) {
        return true;
    }
    if (*left == 0) {
        engine->stats.fate_lines_lost++;
        return false;
    }
    (*left)--;
    note->first = first;
    note->last = last;
    weir_fate_tell(engine, note);
    return true;
}

void weir_fates_tell_between(weir_engine *engine, const weir_group_part *part, int64_t to,
                             weir_fate_event event, weir_fate fate, const char *why)
{
    weir_fate_note note = {
        .part = part, .event = event, .fate = fate, .reason = weir_bytes_of(why)};
    uint32_t left = BETWEEN_LINES_MAX;
    if (part->settlement == NULL) {
        (void)tell_range(engine, &note, part->committed, to - 1, &left);
        return;
    }
    int64_t fresh = weir_settlement_fresh(part->settlement);
    int64_t at = weir_settlement_floor(part->settlement);
    weir_settlement_run run;
    while (at < to && weir_settlement_next(part->settlement, at, &run) && run.first < to) {
        int64_t last = run.last < to - 1 ? run.last : to - 1;
        note.leased = run.leased;
        note.failed = run.failed;
        if (!tell_range(engine, &note, run.first > at ? run.first : at, last, &left)) {
            return;
        }
        at = run.last + 1;
    }
    note.leased = 0;
    note.failed = 0;
    (void)tell_range(engine, &note, fresh, to - 1, &left);
}

/* ---- A unit closes ---------------------------------------------------------------------------- */

/* Its room was asked for with that of lines, or there is some. */
static bool topic_room(weir_engine *engine)
{
    const weir_fates *fates = &engine->fates;
    uint64_t bytes = engine->unit_bytes + (fates->lines.len - fates->closed) + topic_bytes() + 64;
    return fates->asked > 0 || weir_journal_room_reserve(engine->journal, bytes) == WEIR_OK;
}

static weir_topic *topic_make(weir_engine *engine)
{
    weir_topic *topic = NULL;
    weir_bytes name = weir_bytes_of(WEIR_FATES_NAME);
    if (weir_topics_find(engine, name) != NULL || /* somebody's, of an older version */
        !topic_room(engine) ||
        weir_topics_apply_create(engine, WEIR_FATES_TOPIC_ID, name, &TOPIC_OPTIONS, &topic) !=
            WEIR_OK) {
        return NULL;
    }
    weir_entry_topic_create(engine, WEIR_FATES_TOPIC_ID, name, &TOPIC_OPTIONS);
    engine->unit_bytes += topic_bytes();
    return topic;
}

/* Those of the open unit are as if they had never been. */
static void lines_drop(weir_engine *engine)
{
    weir_fates *fates = &engine->fates;
    engine->stats.fate_lines_lost++;
    fates->lines.len = fates->closed;
    fates->writer = fates->before;
    fates->round++; /* parts and members are named again */
}

static void entry_write(weir_engine *engine, uint8_t flags, weir_bytes lines)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_FATES, ENTRY_HEAD_BYTES + lines.len);
    at[0] = flags;
    if (lines.len > 0) {
        memcpy(at + ENTRY_HEAD_BYTES, lines.ptr, lines.len);
    }
}

static void lines_begin(weir_fates *fates)
{
    fates->lines.len = 0;
    fates->closed = 0;
    fates->writer = (weir_fate_writer){0};
    fates->before = fates->writer;
    fates->round++;
}

/* A chunk of one record, with all lines; NULL: no memory. */
static weir_chunk *chunk_make(weir_engine *engine, const weir_partition *partition)
{
    weir_bytes value = weir_buffer_bytes(&engine->fates.lines);
    size_t bytes = weir_record_rest_size(value, NULL, 0);
    uint8_t *rest = malloc(bytes);
    weir_chunk *chunk = NULL;
    if (rest == NULL || weir_chunk_create(engine->pool, partition->topic->ref, 0,
                                          bytes + WEIR_BATCH_HEAD_BYTES + WEIR_RECORD_OVERHEAD_MAX,
                                          1, &chunk) != WEIR_OK) {
        free(rest);
        return NULL;
    }
    weir_record_rest_encode(value, NULL, 0, rest);
    weir_batch_builder builder;
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    weir_err err = weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, bytes},
                                  &chunk->positions[0]);
    WEIR_ASSERT(err == WEIR_OK); /* the chunk was made large enough for it */
    chunk->count = 1;
    chunk->base_offset = partition->next_offset;
    chunk->timestamp_ms = engine->engine_ms;
    weir_bytes batch = weir_batch_finish(&builder, chunk->base_offset,
                                         (int32_t)engine->recovery_epoch, engine->engine_ms);
    chunk->batch_bytes = (uint32_t)batch.len;
    chunk->unit = weir_engine_unit_now(engine);
    free(rest);
    return chunk;
}

/* All lines become a record of `__fates`. False: not now. */
static bool batch_write(weir_engine *engine, weir_partition *partition)
{
    weir_fates *fates = &engine->fates;
    uint64_t bytes = fates->lines.len + BATCH_ROOM_BYTES;
    if (weir_tail_reserve(&partition->tail) != WEIR_OK ||
        weir_journal_room(engine->journal, engine->unit_bytes + bytes) != WEIR_OK) {
        return false;
    }
    weir_chunk *chunk = chunk_make(engine, partition);
    if (chunk == NULL) {
        return false;
    }
    weir_entry_batch(engine, partition, false, weir_chunk_batch(chunk));
    entry_write(engine, ENTRY_BEGINS, WEIR_BYTES_NULL);
    weir_produce_apply(engine, partition, chunk, NULL, false);
    lines_begin(fates);
    return true;
}

static void lines_close(weir_engine *engine)
{
    weir_fates *fates = &engine->fates;
    weir_topic *topic = weir_topics_find_id(engine, WEIR_FATES_TOPIC_ID);
    topic = topic == NULL ? topic_make(engine) : topic;
    if (topic == NULL) {
        lines_drop(engine);
        return;
    }
    weir_partition *partition = topic->partitions[0];
    if (fates->lines.len >= BATCH_BYTES && batch_write(engine, partition)) {
        return;
    }
    weir_bytes open = {fates->lines.ptr + fates->closed, fates->lines.len - fates->closed};
    entry_write(engine, fates->closed == 0 ? ENTRY_BEGINS : 0, open);
    fates->closed = fates->lines.len;
    fates->before = fates->writer;
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
}

void weir_fates_close(weir_engine *engine)
{
    weir_fates *fates = &engine->fates;
    if (fates->lines.len > fates->closed) {
        lines_close(engine);
    }
    fates->asked = 0;
}

/* ---- Recovery --------------------------------------------------------------------------------- */

weir_err weir_fates_replay(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    weir_fates *fates = &engine->fates;
    const weir_topic *topic = weir_topics_find_id(engine, WEIR_FATES_TOPIC_ID);
    if (body.len < ENTRY_HEAD_BYTES || topic == NULL) {
        return WEIR_DAMAGED;
    }
    weir_partition *partition = topic->partitions[0];
    if (partition->held_unit >= unit) {
        return WEIR_OK;
    }
    if ((body.ptr[0] & ENTRY_BEGINS) != 0) {
        fates->lines.len = 0;
    }
    weir_err err =
        weir_buffer_append(&fates->lines, body.ptr + ENTRY_HEAD_BYTES, body.len - ENTRY_HEAD_BYTES);
    fates->closed = fates->lines.len;
    weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    return err;
}

void weir_fates_forget(weir_engine *engine, const weir_partition *partition)
{
    if (partition->topic->id == WEIR_FATES_TOPIC_ID) {
        engine->fates.lines.len = 0;
        engine->fates.closed = 0;
    }
}

void weir_snapshot_put_fates(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    if (partition->topic->id == WEIR_FATES_TOPIC_ID) {
        weir_writer_bytes(to, engine->fates.lines.ptr, engine->fates.closed);
    }
}

weir_err weir_snapshot_take_fates(weir_engine *engine, void *object, weir_reader *from)
{
    const weir_partition *partition = object;
    weir_bytes lines = weir_reader_bytes(from, from->rest.len);
    if (partition->topic->id != WEIR_FATES_TOPIC_ID || partition->index != 0) {
        return WEIR_DAMAGED;
    }
    weir_fates_forget(engine, partition);
    weir_err err = weir_buffer_append(&engine->fates.lines, lines.ptr, lines.len);
    engine->fates.closed = engine->fates.lines.len;
    return err;
}

/* What waits goes on where it ended; parts and members are named again. */
void weir_fates_started(weir_engine *engine)
{
    weir_fates *fates = &engine->fates;
    weir_fate_reader reader = {.begun = false};
    weir_fate_told line;
    weir_err err = WEIR_OK;
    fates->round = 1;
    weir_fate_reader_begin(&reader, weir_buffer_bytes(&fates->lines));
    while (err == WEIR_OK) {
        err = weir_fate_reader_next(&reader, &line);
    }
    fates->writer = reader.so_far;
    if (err != WEIR_EMPTY) {
        weir_log(WEIR_LOG_ERROR, "engine",
                 "the newest lines of " WEIR_FATES_NAME
                 " cannot be read (%s): weir why goes without them",
                 weir_err_name(err));
        engine->stats.fate_lines_lost++;
        lines_begin(fates);
    }
    fates->before = fates->writer;
    weir_fate_reader_fini(&reader);
}
