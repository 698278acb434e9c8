/* core/engine/why.c - one record's story: what `__fates` has of it, and how it stands.
 *
 *   asked --> how it stands, now --> a job reads ------------------------------------> answered
 *             (settlements, places)   the record: when it was stored, its key
 *                                     `__fates` from then on: segments, what is in no segment,
 *                                     what is in no record
 *
 * Nothing is read on the owner's thread: the job holds counted segments and chunks and a copy of the lines
 * that wait, all of one moment. It reads a slice and lets others have the lane. A fate is never older
 * than its record, so the time tables of segments tell where to begin; of a record that is gone all is
 * read. The newest WEIR_STORY_LINES_MAX lines are told, and how many older ones were left out.
 *
 * A reset moves the place where a group begins, also over what it had settled: what stands before that place
 * has its fate when the group's newest line of it is an end. Where there is no line (any more), it is told to
 * be before.
 *
 * [W1] What is told was so after the unit that the answer waits for [E4]. */
#include "core/engine/queue.h"
#include "core/engine/stream.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLICE_BYTES = 8 << 20, /* of `__fates`, that one job reads */
    READ_BYTES = 1 << 20,
    READ_CHUNKS = 32,
    RUNS_MAX = 4096, /* looked at to tell how many records are before this one */
};

/* A line that is told, with words of its own. */
typedef struct kept {
    weir_fate_line line;
    uint8_t words[];
} kept;

typedef struct standing_note {
    weir_standing standing; /* its spans are the note's own */
    weir_bytes filter;      /* of the group; the same */
    uint32_t group_id;
    bool ended; /* by the newest line of it */
    uint8_t *words;
} standing_note;

struct weir_why_work {
    uint32_t topic_id; /* 0: no such topic now: by its name */
    uint32_t partition;
    int64_t offset;
    weir_bytes topic; /* in words */
    weir_bytes group; /* null: all */
    bool known;       /* whatever the story is */
    /* the record */
    weir_topic_ref *ref;
    weir_chunk *chunk;     /* with its offset; NULL: in the segment, or gone */
    weir_segment *segment; /* NULL */
    /* `__fates` */
    weir_topic_ref *fates;
    weir_segment **segments;
    uint32_t segment_count;
    uint32_t segment_index; /* that is read */
    weir_chunk **tail;
    uint32_t tail_count;
    weir_buffer waiting; /* lines that are in no record */
    int64_t start;
    int64_t flushed;
    int64_t next; /* offset to go on from */
    bool begun;
    bool more; /* the job is to run again */
    int64_t now_ms;
    int64_t since_ms;
    weir_fate_reader reader;
    /* found */
    kept *lines[WEIR_STORY_LINES_MAX]; /* a ring */
    uint32_t line_first;
    uint32_t line_count;
    standing_note *standings;
    uint32_t standing_count;
    weir_record_head head;
    weir_why why;
    weir_err err;
    uint64_t unit;
    weir_level level;
    uint8_t words[];
};
typedef struct weir_why_work work;

void weir_why_free(work *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->line_count; i++) {
        free(w->lines[(w->line_first + i) % WEIR_STORY_LINES_MAX]);
    }
    for (uint32_t i = 0; i < w->standing_count; i++) {
        free(w->standings[i].words);
    }
    for (uint32_t i = 0; i < w->segment_count; i++) {
        weir_segment_drop(w->segments[i]);
    }
    for (uint32_t i = 0; i < w->tail_count; i++) {
        weir_chunk_drop(w->tail[i]);
    }
    weir_chunk_drop(w->chunk);
    weir_segment_drop(w->segment);
    weir_topic_ref_drop(w->ref);
    weir_topic_ref_drop(w->fates);
    weir_fate_reader_fini(&w->reader);
    weir_buffer_fini(&w->waiting);
    free(w->standings);
    free(w->segments);
    free(w->tail);
    free(w->why.lines); /* NULL when it was answered */
    free(w);
}

/* ---- How it stands ---------------------------------------------------------------------------- */

/* Records that may be handed out now and stand before the offset; at least. */
static uint64_t due_before(const weir_settlement *settlement, int64_t offset, int64_t now)
{
    weir_settlement_run run;
    uint64_t records = 0;
    int64_t at = weir_settlement_floor(settlement);
    for (int i = 0; i < RUNS_MAX && at < offset && weir_settlement_next(settlement, at, &run) &&
                    run.first < offset;
         i++) {
        int64_t last = run.last < offset ? run.last : offset - 1;
        bool due = run.state == WEIR_RECORD_WAITING && run.until <= now;
        records += due ? (uint64_t)(last - run.first + 1) : 0;
        at = run.last + 1;
    }
    return records;
}

static void stand_leased(const weir_group_part *part, uint64_t number, weir_standing *standing)
{
    weir_lease lease;
    standing->kind = WEIR_STANDING_LEASED;
    standing->until_ms = -1;
    if (weir_settlement_lease(part->settlement, number, &lease)) {
        const weir_member *member = weir_queue_member_of(part->group, lease.member);
        standing->until_ms = lease.deadline == INT64_MAX ? -1 : lease.deadline;
        standing->member = weir_member_name(member);
        standing->origin = weir_member_origin(member);
    }
}

static void stand_in_queue(const weir_engine *engine, const weir_group_part *part, int64_t offset,
                           weir_standing *standing)
{
    const weir_settlement *settlement = part->settlement;
    int64_t fresh = weir_settlement_fresh(settlement);
    weir_settlement_run run;
    if (weir_settlement_next(settlement, offset, &run) && run.first <= offset) {
        standing->leased = run.leased;
        standing->failed = run.failed;
        if (run.state == WEIR_RECORD_LEASED && !run.held) {
            stand_leased(part, run.lease, standing);
        } else if (run.state == WEIR_RECORD_WAITING && run.until == WEIR_QUEUE_MOVING) {
            standing->kind = WEIR_STANDING_MOVING;
        } else if (run.state == WEIR_RECORD_WAITING && run.until > engine->engine_ms) {
            standing->kind = WEIR_STANDING_DELAYED;
            standing->until_ms = run.until;
        } else {
            standing->kind = WEIR_STANDING_WAITING;
            standing->before = due_before(settlement, offset, engine->engine_ms);
        }
    } else if (offset >= fresh) {
        standing->kind = WEIR_STANDING_WAITING;
        standing->before =
            due_before(settlement, fresh, engine->engine_ms) + (uint64_t)(offset - fresh);
    } else {
        standing->kind = WEIR_STANDING_SETTLED;
    }
}

static void stand_in_stream(const weir_group_part *part, int64_t offset, weir_standing *standing)
{
    int64_t place = weir_stream_place(part);
    int64_t handed = part->handed > place ? part->handed : place;
    standing->kind = offset < place    ? WEIR_STANDING_SETTLED
                     : offset < handed ? WEIR_STANDING_HANDED
                                       : WEIR_STANDING_WAITING;
    if (standing->kind == WEIR_STANDING_WAITING) {
        standing->before = (uint64_t)(offset - handed);
    } else if (standing->kind == WEIR_STANDING_HANDED) {
        standing->member = weir_member_name(part->owner);
        standing->origin = weir_member_origin(part->owner);
        standing->leased = 1;
    }
    for (uint32_t i = 0; part->passes != NULL && i < part->passes->count; i++) {
        const weir_pass *pass = &part->passes->items[i];
        if (pass->from <= offset && offset < pass->to) {
            standing->kind =
                pass->kind == WEIR_PASS_UNMATCHED ? WEIR_STANDING_UNMATCHED : WEIR_STANDING_SETTLED;
        }
    }
}

static weir_bytes word_copy(uint8_t **at, weir_bytes word)
{
    weir_bytes copy = {word.ptr == NULL ? NULL : *at, word.len};
    if (word.len > 0) {
        memcpy(*at, word.ptr, word.len);
        *at += word.len;
    }
    return copy;
}

static bool standing_add(const weir_engine *engine, work *w, const weir_group_part *part)
{
    weir_bytes filter =
        part->group->options.topic_count == 0 ? part->group->options.filter : WEIR_BYTES_NULL;
    weir_standing s = {.group = {part->group->name, part->group->name_bytes}};
    if (w->offset < part->start) {
        s.kind = WEIR_STANDING_BEFORE;
    } else if (part->settlement != NULL) {
        stand_in_queue(engine, part, w->offset, &s);
    } else {
        stand_in_stream(part, w->offset, &s);
    }
    standing_note *note = &w->standings[w->standing_count];
    note->words = malloc(s.group.len + s.member.len + s.origin.len + filter.len + 1);
    if (note->words == NULL) {
        return false;
    }
    uint8_t *at = note->words;
    s.group = word_copy(&at, s.group);
    s.member = word_copy(&at, s.member);
    s.origin = word_copy(&at, s.origin);
    note->group_id = part->group->id;
    note->ended = false;
    note->filter = word_copy(&at, filter);
    note->standing = s;
    w->standing_count++;
    return true;
}

static bool group_is(const work *w, const weir_group *group)
{
    return w->group.ptr == NULL ||
           weir_bytes_equal(w->group, (weir_bytes){group->name, group->name_bytes});
}

static weir_err standings_make(const weir_engine *engine, work *w, const weir_partition *partition)
{
    const weir_link *list = &partition->group_parts;
    uint32_t count = 0;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        count++;
    }
    w->standings = calloc(count + 1, sizeof(*w->standings));
    if (w->standings == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, partition_link);
        if (group_is(w, part->group) && !standing_add(engine, w, part)) {
            return WEIR_NO_MEMORY;
        }
    }
    w->known = w->group.ptr == NULL || w->standing_count > 0;
    return WEIR_OK;
}

/* ---- What the job reads ------------------------------------------------------------------------- */

static void record_hold(work *w, const weir_partition *partition)
{
    if (w->offset < partition->start_offset) {
        return;
    }
    w->ref = weir_topic_ref_keep(partition->topic->ref);
    weir_chunk *chunk = weir_tail_find(&partition->tail, w->offset);
    if (chunk != NULL) {
        w->chunk = weir_chunk_keep(chunk);
        return;
    }
    for (uint32_t i = 0; i < partition->segment_count && w->segment == NULL; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.end_offset > w->offset) {
            w->segment = weir_segment_keep(partition->segments[i]);
        }
    }
}

static weir_err fates_hold(weir_engine *engine, work *w)
{
    const weir_topic *topic = weir_topics_find_id(engine, WEIR_FATES_TOPIC_ID);
    if (topic == NULL) {
        return WEIR_OK;
    }
    const weir_partition *partition = topic->partitions[0];
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    uint32_t chunks = partition->tail.count - first;
    w->segments = calloc(partition->segment_count + 1, sizeof(weir_segment *));
    w->tail = calloc(chunks + 1, sizeof(weir_chunk *));
    if (w->segments == NULL || w->tail == NULL) {
        return WEIR_NO_MEMORY;
    }
    w->fates = weir_topic_ref_keep(topic->ref);
    w->start = partition->start_offset;
    w->flushed = partition->flushed_offset;
    for (; w->segment_count < partition->segment_count; w->segment_count++) {
        w->segments[w->segment_count] = weir_segment_keep(partition->segments[w->segment_count]);
    }
    for (; w->tail_count < chunks; w->tail_count++) {
        w->tail[w->tail_count] =
            weir_chunk_keep(weir_tail_at(&partition->tail, first + w->tail_count));
    }
    /* Those of the open unit as well: the answer waits for it [W1]. */
    const weir_buffer *lines = &engine->fates.lines;
    return weir_buffer_append(&w->waiting, lines->ptr, lines->len);
}

/* ---- The job: the record ------------------------------------------------------------------------ */

static void record_read(work *w)
{
    weir_chunk *chunks[1];
    uint32_t count = 0;
    int64_t from = 0, to = 0;
    if (w->chunk == NULL && w->segment != NULL &&
        weir_segment_read(w->segment, w->ref, w->partition, w->offset, 1, chunks, 1, &count, &from,
                          &to) == WEIR_OK) {
        w->chunk = chunks[0];
    }
    uint32_t index = w->chunk != NULL ? weir_chunk_index_at(w->chunk, w->offset) : 0;
    w->since_ms = INT64_MIN;
    if (w->chunk == NULL || index >= w->chunk->count ||
        weir_chunk_offset_at(w->chunk, index) != w->offset) {
        return; /* gone, or cannot be read */
    }
    weir_record record;
    weir_chunk_record(w->chunk, index, &record);
    w->since_ms = record.timestamp_ms;
    w->head = (weir_record_head){.there = true,
                                 .stored_ms = record.timestamp_ms,
                                 .key = record.key,
                                 .value_bytes = record.value.len,
                                 .headers = record.header_count};
    for (uint32_t i = 0; i < w->standing_count; i++) {
        standing_note *note = &w->standings[i];
        if (note->standing.kind != WEIR_STANDING_BEFORE && note->filter.ptr != NULL &&
            !weir_key_matches(note->filter, w->chunk, index)) {
            note->standing.kind = WEIR_STANDING_UNMATCHED;
        }
    }
}

/* ---- The job: lines ------------------------------------------------------------------------------- */

static bool line_fits(const work *w, const weir_fate_told *told)
{
    const weir_fate_part *part = &w->reader.named[told->part];
    if (w->offset < told->first || w->offset > told->last || part->partition != w->partition) {
        return false;
    }
    bool topic =
        w->topic_id != 0 ? part->topic_id == w->topic_id : weir_bytes_equal(part->topic, w->topic);
    return topic && (w->group.ptr == NULL || weir_bytes_equal(part->group, w->group));
}

static weir_err line_keep(work *w, const weir_fate_told *told)
{
    const weir_fate_part *part = &w->reader.named[told->part];
    const struct weir_fate_who *who =
        told->member == UINT32_MAX ? NULL : &w->reader.members[told->member];
    weir_bytes name = who == NULL ? WEIR_BYTES_NULL : who->name;
    weir_bytes origin = who == NULL ? WEIR_BYTES_NULL : who->origin;
    kept *line = malloc(sizeof(*line) + part->group.len + name.len + origin.len + told->reason.len +
                        told->letter.topic.len + 1);
    if (line == NULL) {
        return WEIR_NO_MEMORY;
    }
    uint8_t *at = line->words;
    line->line = (weir_fate_line){.time_ms = told->time_ms,
                                  .group = word_copy(&at, part->group),
                                  .fate = told->fate,
                                  .event = weir_bytes_of(weir_fate_event_name(told->event)),
                                  .reason = word_copy(&at, told->reason),
                                  .member = word_copy(&at, name),
                                  .origin = word_copy(&at, origin),
                                  .leased = told->leased,
                                  .failed = told->failed,
                                  .letter_topic = word_copy(&at, told->letter.topic),
                                  .letter_partition = told->letter.partition,
                                  .letter_offset = told->letter.offset};
    if (w->line_count == WEIR_STORY_LINES_MAX) {
        free(w->lines[w->line_first]);
        w->lines[w->line_first] = line;
        w->line_first = (w->line_first + 1) % WEIR_STORY_LINES_MAX;
        w->why.left_out++;
        return WEIR_OK;
    }
    w->lines[(w->line_first + w->line_count++) % WEIR_STORY_LINES_MAX] = line;
    return WEIR_OK;
}

/* Of a group that was deleted, and has the name of another now, it says nothing. */
static void line_ends(work *w, const weir_fate_told *told)
{
    uint32_t group_id = w->reader.named[told->part].group_id;
    for (uint32_t i = 0; i < w->standing_count; i++) {
        if (w->standings[i].group_id == group_id) {
            w->standings[i].ended = told->fate != WEIR_FATE_PENDING;
        }
    }
}

static weir_err lines_read(work *w, weir_bytes value)
{
    weir_fate_told told;
    weir_err err = WEIR_OK;
    weir_fate_reader_begin(&w->reader, value);
    while (err == WEIR_OK) {
        err = weir_fate_reader_next(&w->reader, &told);
        if (err == WEIR_OK && line_fits(w, &told)) {
            line_ends(w, &told);
            err = line_keep(w, &told);
        }
    }
    w->why.damaged |= err == WEIR_DAMAGED || err == WEIR_VERSION;
    return err == WEIR_NO_MEMORY ? err : WEIR_OK;
}

static weir_err chunk_read(work *w, weir_chunk *chunk)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < chunk->count && err == WEIR_OK; i++) {
        weir_record record;
        weir_chunk_record(chunk, i, &record);
        err = lines_read(w, record.value);
    }
    return err;
}

static int64_t first_of(work *w, weir_bytes value, int64_t otherwise)
{
    weir_fate_told told;
    weir_fate_reader_begin(&w->reader, value);
    return weir_fate_reader_next(&w->reader, &told) == WEIR_OK ? told.time_ms : otherwise;
}

/* The time of the first line that is kept. */
static int64_t first_time(work *w)
{
    weir_chunk *chunk = w->segment_count == 0 && w->tail_count > 0 ? w->tail[0] : NULL;
    weir_chunk *chunks[1] = {NULL};
    uint32_t count = 0;
    int64_t from = 0, to = 0;
    if (chunk == NULL && w->segment_count > 0 &&
        weir_segment_read(w->segments[0], w->fates, 0, w->start, 1, chunks, 1, &count, &from,
                          &to) == WEIR_OK) {
        chunk = chunks[0];
    }
    int64_t time_ms = first_of(w, weir_buffer_bytes(&w->waiting), w->now_ms);
    if (chunk != NULL && chunk->count > 0) {
        weir_record record;
        weir_chunk_record(chunk, 0, &record);
        time_ms = first_of(w, record.value, chunk->timestamp_ms);
    }
    weir_chunk_drop(chunks[0]);
    return time_ms;
}

/* Where to begin: a line of the record is in a batch that is as new as the record, or newer. */
static void place_find(work *w)
{
    w->next = w->start;
    while (w->segment_index < w->segment_count) {
        weir_segment *segment = w->segments[w->segment_index];
        weir_segment_state state;
        int64_t offset = 0;
        weir_segment_state_of(segment, &state);
        if (state.end_offset > w->start && state.max_timestamp_ms >= w->since_ms) {
            if (weir_segment_find_time(segment, w->since_ms, &offset) == WEIR_OK &&
                offset > w->next) {
                w->next = offset;
            }
            return;
        }
        w->segment_index++;
    }
}

static void work_begin(work *w)
{
    record_read(w);
    place_find(w);
    if (w->start > 0) {
        int64_t first_ms = first_time(w);
        w->why.from_ms = w->since_ms >= first_ms ? 0 : first_ms;
    }
    w->begun = true;
}

/* One read of a segment. False: there is nothing more in it. */
static bool segment_read(work *w, weir_segment *segment, uint64_t *bytes)
{
    weir_chunk *chunks[READ_CHUNKS];
    uint32_t count = 0;
    int64_t from = w->next, to = w->next;
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    if (w->next >= w->flushed || w->next >= state.end_offset) {
        return false;
    }
    weir_err err = weir_segment_read(segment, w->fates, 0, w->next, READ_BYTES, chunks, READ_CHUNKS,
                                     &count, &from, &to);
    if (err != WEIR_OK) {
        w->why.damaged |= err != WEIR_EMPTY;
        w->next = err == WEIR_DAMAGED && to > w->next ? to : state.end_offset;
        return err == WEIR_DAMAGED;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (w->err == WEIR_OK && chunks[i]->base_offset < w->flushed) {
            w->err = chunk_read(w, chunks[i]);
        }
        *bytes += chunks[i]->batch_bytes;
        w->next = weir_chunk_end(chunks[i]);
        weir_chunk_drop(chunks[i]);
    }
    return w->err == WEIR_OK;
}

/* ---- The job: the answer -------------------------------------------------------------------------- */

static size_t words_measure(const work *w)
{
    size_t bytes = w->head.key.len;
    for (uint32_t i = 0; i < w->line_count; i++) {
        const weir_fate_line *line = &w->lines[i]->line;
        bytes += line->group.len + line->reason.len + line->member.len + line->origin.len +
                 line->letter_topic.len;
    }
    for (uint32_t i = 0; i < w->standing_count; i++) {
        const weir_standing *s = &w->standings[i].standing;
        bytes += s->group.len + s->member.len + s->origin.len;
    }
    return bytes;
}

static weir_err answer_make(work *w)
{
    size_t fixed =
        w->line_count * sizeof(weir_fate_line) + w->standing_count * sizeof(weir_standing);
    uint8_t *block = malloc(fixed + words_measure(w) + 1);
    if (block == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_why *why = &w->why;
    why->lines = (weir_fate_line *)(void *)block;
    why->standings = (weir_standing *)(void *)(why->lines + w->line_count);
    uint8_t *at = block + fixed;
    for (uint32_t i = 0; i < w->line_count; i++) {
        weir_fate_line line = w->lines[(w->line_first + i) % WEIR_STORY_LINES_MAX]->line;
        line.group = word_copy(&at, line.group);
        line.reason = word_copy(&at, line.reason);
        line.member = word_copy(&at, line.member);
        line.origin = word_copy(&at, line.origin);
        line.letter_topic = word_copy(&at, line.letter_topic);
        why->lines[why->count++] = line;
    }
    for (uint32_t i = 0; i < w->standing_count; i++) {
        weir_standing s = w->standings[i].standing;
        bool settled = s.kind == WEIR_STANDING_BEFORE && w->standings[i].ended;
        s.kind = settled ? WEIR_STANDING_SETTLED : s.kind;
        s.group = word_copy(&at, s.group);
        s.member = word_copy(&at, s.member);
        s.origin = word_copy(&at, s.origin);
        why->standings[why->standing_count++] = s;
    }
    why->record = w->head;
    why->record.key = word_copy(&at, w->head.key);
    return WEIR_OK;
}

static void why_run(weir_job *job)
{
    weir_read *read = WEIR_OWNER_OF(job, weir_read, job);
    work *w = read->why;
    uint64_t bytes = 0;
    read->err = WEIR_OK;
    w->more = false;
    if (!w->begun) {
        work_begin(w);
    }
    while (w->segment_index < w->segment_count && w->err == WEIR_OK) {
        if (bytes >= SLICE_BYTES) {
            w->more = true;
            return;
        }
        if (!segment_read(w, w->segments[w->segment_index], &bytes)) {
            w->segment_index++;
        }
    }
    for (uint32_t i = 0; i < w->tail_count && w->err == WEIR_OK; i++) {
        if (w->tail[i]->timestamp_ms >= w->since_ms) {
            w->err = chunk_read(w, w->tail[i]);
        }
    }
    w->err = w->err == WEIR_OK ? lines_read(w, weir_buffer_bytes(&w->waiting)) : w->err;
    w->err = w->err == WEIR_OK ? answer_make(w) : w->err;
}

/* ---- The operation -------------------------------------------------------------------------------- */

static void read_submit(weir_engine *engine, weir_read *read)
{
    weir_link_append(&engine->reads, &read->link);
    engine->read_count++;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
}

void weir_why_finished(weir_engine *engine, weir_read *read)
{
    work *w = read->why;
    if (w->more && read->port != NULL) {
        read_submit(engine, read);
        return;
    }
    if (read->port != NULL) {
        weir_completion done = {
            .type = WEIR_COMPLETION_WHY, .err = w->err, .user = read->user, .token = read->token};
        if (done.err == WEIR_OK && !w->known && w->line_count == 0) {
            done.err = WEIR_NOT_FOUND;
        }
        if (done.err == WEIR_OK) {
            done.why = w->why;
            w->why.lines = NULL; /* taken */
        }
        weir_port_answer(read->port, &done, w->unit, w->level);
    }
    weir_read_free(read);
}

static work *work_make(const weir_op_why *asked)
{
    work *w = calloc(1, sizeof(*w) + asked->topic.len + asked->group.len);
    if (w != NULL) {
        uint8_t *at = w->words;
        w->partition = asked->partition;
        w->offset = asked->offset;
        w->topic = word_copy(&at, asked->topic);
        w->group = asked->group.len == 0 ? WEIR_BYTES_NULL : word_copy(&at, asked->group);
        w->level = WEIR_LEVEL_DISK;
    }
    return w;
}

/* All that is of this moment. */
static weir_err work_fill(weir_engine *engine, work *w)
{
    const weir_topic *topic = weir_topics_find(engine, w->topic);
    bool there = topic != NULL && w->partition < topic->partition_count;
    weir_err err = WEIR_OK;
    if (topic != NULL && weir_topic_is_own(topic)) {
        return WEIR_NOT_OFFERED;
    }
    if (w->offset < 0 || (there && w->offset >= topic->partitions[w->partition]->next_offset)) {
        return WEIR_OFFSET_OUT_OF_RANGE;
    }
    if (topic != NULL) {
        w->topic_id = topic->id;
        w->level = topic->options.level;
    }
    if (there) {
        record_hold(w, topic->partitions[w->partition]);
        err = standings_make(engine, w, topic->partitions[w->partition]);
    }
    w->unit = weir_engine_unit_now(engine);
    w->now_ms = engine->engine_ms;
    return err == WEIR_OK ? fates_hold(engine, w) : err;
}

void weir_why_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.type = WEIR_COMPLETION_WHY, .user = op->user, .token = op->token};
    weir_read *read = calloc(1, sizeof(*read));
    work *w = work_make((const weir_op_why *)(const void *)op->data);
    weir_produce_close_all(engine); /* records of this turn have their offsets */
    done.err = read == NULL || w == NULL ? WEIR_NO_MEMORY : work_fill(engine, w);
    if (done.err != WEIR_OK) {
        weir_level level = w != NULL ? w->level : WEIR_LEVEL_MEMORY;
        weir_why_free(w);
        free(read);
        weir_port_answer(port, &done, weir_engine_unit_now(engine), level);
        return;
    }
    read->job = (weir_job){.run = why_run, .done = weir_engine_job_done};
    read->engine = engine;
    read->why = w;
    read->port = port;
    read->user = op->user;
    read->token = op->token;
    read_submit(engine, read);
}
