/* core/engine/stream_commit.c - what a stream group has done with: offsets committed, and the fate of
 * each that a commit passes.
 *
 *   25 commit   group id u32 | topic id u32 | partition u32 | flags u8 (1: metadata) | fates u8 |
 *               0 u16 | committed i64 | fates x (fate u8 (255: unmatched) | records u64) | metadata
 *
 *   committed                      to
 *   ----|--accepted--|pass|--accepted|x|----        x: accepted, or the record that was rejected
 *
 * Who may commit is decided here: the owner of the partition, in the generation in which it got it
 * or a later one, and no further than it was handed; in client-commit any member, no further than
 * the end. A commit that is not above what is committed is OK and nothing happens. A reject commits
 * behind its record and moves it to the dead-letter topic, in one unit [G4]; without such a topic
 * its fate is rejected. When the record is not in memory any more it is read first, and the settle
 * waits.
 *
 * A settle is decided as a whole before anything of it is done; ranges whose owner is another now are
 * refused, and the others done (LEASE_LOST tells).
 *
 * [G1] Of [committed, to) each offset gets one fate, or is counted as unmatched. The entry has the
 *      sums, so that a replay counts the same.
 * [C1] committed only rises, but by a reset. */
#include "core/engine/stream.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES = 24,
    FATE_BYTES = 9,
    KINDS = WEIR_FATE_COUNT + 1, /* the last one: unmatched */
    HAS_METADATA = 1,
    PASSES_LEAST = 8,
};

/* ---- Passes ----------------------------------------------------------------------------------- */

int64_t weir_stream_place(const weir_group_part *part)
{
    int64_t place = part->committed;
    for (uint32_t i = 0; part->passes != NULL && i < part->passes->count; i++) {
        const weir_pass *pass = &part->passes->items[i];
        if (pass->from > place) {
            break;
        }
        place = pass->to > place ? pass->to : place;
    }
    return place;
}

static bool passes_room(weir_group_part *part)
{
    if (part->passes == NULL) {
        part->passes = calloc(1, sizeof(*part->passes));
    }
    struct weir_passes *passes = part->passes;
    if (passes == NULL) {
        return false;
    }
    if (passes->count == WEIR_PASSES_MAX) {
        if (part->group->options.mode != WEIR_MODE_CLIENT_COMMIT) {
            return false;
        }
        passes->count /= 2; /* nobody may ever commit: the oldest will count as accepted */
        memmove(passes->items, passes->items + passes->count,
                passes->count * sizeof(*passes->items));
    }
    if (passes->count < passes->capacity) {
        return true;
    }
    uint32_t capacity = passes->capacity == 0 ? PASSES_LEAST : 2 * passes->capacity;
    weir_pass *grown = realloc(passes->items, capacity * sizeof(*grown));
    if (grown != NULL) {
        passes->items = grown;
        passes->capacity = capacity;
    }
    return grown != NULL;
}

bool weir_stream_pass(weir_group_part *part, int64_t from, int64_t to, uint8_t kind)
{
    struct weir_passes *passes = part->passes;
    weir_pass *last =
        passes != NULL && passes->count > 0 ? &passes->items[passes->count - 1] : NULL;
    if (last != NULL && last->to == from && last->kind == kind) {
        last->to = to;
        return true;
    }
    if (!passes_room(part)) {
        return false;
    }
    passes = part->passes;
    passes->items[passes->count++] = (weir_pass){from, to, kind};
    return true;
}

void weir_stream_passes_cut(weir_group_part *part, int64_t offset)
{
    struct weir_passes *passes = part->passes;
    while (passes != NULL && passes->count > 0) {
        weir_pass *last = &passes->items[passes->count - 1];
        if (last->from < offset) {
            last->to = last->to < offset ? last->to : offset;
            return;
        }
        passes->count--;
    }
}

/* Those below the offset are done with. */
static void passes_drop(weir_group_part *part, int64_t below)
{
    struct weir_passes *passes = part->passes;
    uint32_t done = 0;
    if (passes == NULL) {
        return;
    }
    while (done < passes->count && passes->items[done].to <= below) {
        done++;
    }
    passes->count -= done;
    memmove(passes->items, passes->items + done, passes->count * sizeof(*passes->items));
    if (passes->count > 0 && passes->items[0].from < below) {
        passes->items[0].from = below;
    }
}

/* ---- A commit --------------------------------------------------------------------------------- */

static weir_fate_event event_of(weir_fate fate)
{
    static const weir_fate_event EVENTS[WEIR_FATE_COUNT] = {
        [WEIR_FATE_ACCEPTED] = WEIR_TOLD_ACCEPTED,
        [WEIR_FATE_REJECTED] = WEIR_TOLD_REJECTED,
        [WEIR_FATE_EXPIRED] = WEIR_TOLD_EXPIRED,
        [WEIR_FATE_DROPPED] = WEIR_TOLD_DAMAGED,
        [WEIR_FATE_DEAD_LETTERED] = WEIR_TOLD_DEAD_LETTERED,
        [WEIR_FATE_SUPERSEDED] = WEIR_TOLD_SUPERSEDED,
        [WEIR_FATE_SKIPPED] = WEIR_TOLD_SKIPPED,
        [WEIR_FATE_TOPIC_DELETED] = WEIR_TOLD_TOPIC_DELETED,
    };
    return EVENTS[fate];
}

/* Counts offsets [from, to), and tells their story where they were records. */
static void note(weir_engine *engine, const weir_stream_commit *commit, int64_t from, int64_t to,
                 uint8_t kind, uint64_t *counts)
{
    weir_group_part *part = commit->part;
    if (from >= to) {
        return;
    }
    uint64_t records = (uint64_t)(to - from);
    counts[kind == WEIR_PASS_UNMATCHED ? WEIR_FATE_COUNT : kind] += records;
    if (kind == WEIR_PASS_UNMATCHED) {
        part->unmatched += records;
    } else {
        bool handed = kind != WEIR_FATE_SUPERSEDED && kind != WEIR_FATE_DROPPED;
        bool last = to == commit->to && commit->last != WEIR_FATE_ACCEPTED;
        weir_fate_note fate = {.part = part,
                               .first = from,
                               .last = to - 1,
                               .fate = (weir_fate)kind,
                               .event = event_of((weir_fate)kind),
                               .reason = last ? commit->reason : WEIR_BYTES_NULL,
                               .letter = last ? commit->letter : (weir_letter){.offset = 0},
                               .member = handed ? commit->member : NULL,
                               .leased = handed ? 1 : 0};
        weir_fate_write(engine, &fate);
    }
}

static void note_all(weir_engine *engine, const weir_stream_commit *commit, uint64_t *counts)
{
    const struct weir_passes *passes = commit->part->passes;
    int64_t end = commit->last == WEIR_FATE_ACCEPTED ? commit->to : commit->to - 1;
    int64_t at = commit->part->committed;
    for (uint32_t i = 0; passes != NULL && i < passes->count; i++) {
        const weir_pass *pass = &passes->items[i];
        int64_t from = pass->from > at ? pass->from : at;
        int64_t to = pass->to < end ? pass->to : end;
        if (from < to) {
            note(engine, commit, at, from, WEIR_FATE_ACCEPTED, counts);
            note(engine, commit, from, to, pass->kind, counts);
            at = to;
        }
    }
    note(engine, commit, at, end, WEIR_FATE_ACCEPTED, counts);
    note(engine, commit, end, commit->to, (uint8_t)commit->last, counts);
}

static void write_entry(weir_engine *engine, const weir_stream_commit *commit,
                        const uint64_t *counts)
{
    const weir_group_part *part = commit->part;
    uint8_t fates = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        fates += counts[kind] > 0 ? 1 : 0;
    }
    size_t bytes = HEAD_BYTES + (size_t)fates * FATE_BYTES + commit->metadata_bytes;
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_COMMIT, bytes);
    weir_put_u32(at, part->group->id);
    weir_put_u32(at + 4, part->topic_id);
    weir_put_u32(at + 8, part->index);
    memset(at + 12, 0, 4);
    at[12] = commit->metadata != NULL ? HAS_METADATA : 0;
    at[13] = fates;
    weir_put_u64(at + 16, (uint64_t)commit->to);
    at += HEAD_BYTES;
    for (int kind = 0; kind < KINDS; kind++) {
        if (counts[kind] > 0) {
            at[0] = kind == WEIR_FATE_COUNT ? WEIR_PASS_UNMATCHED : (uint8_t)kind;
            weir_put_u64(at + 1, counts[kind]);
            at += FATE_BYTES;
        }
    }
    if (commit->metadata_bytes > 0) {
        memcpy(at, commit->metadata, commit->metadata_bytes);
    }
}

/* Live and in replay alike; the fates are counted by whoever calls. */
static void apply(weir_engine *engine, weir_group_part *part, int64_t to, uint8_t *metadata,
                  uint32_t metadata_bytes)
{
    part->committed = to > part->committed ? to : part->committed; /* [C1] */
    part->handed = part->handed > to ? part->handed : to;
    passes_drop(part, part->committed);
    if (metadata != NULL) {
        free(part->metadata);
        part->metadata = metadata;
        part->metadata_bytes = metadata_bytes;
    }
    weir_group_part_changed(engine, part);
}

uint64_t weir_stream_commit_room(const weir_group_part *part, const weir_member *member,
                                 weir_bytes reason)
{
    uint64_t passes = part->passes != NULL ? part->passes->count : 0;
    return weir_fates_room(part, member, WEIR_BYTES_NULL, 2 * passes + 2) + reason.len;
}

uint64_t weir_stream_commit_run(weir_engine *engine, const weir_stream_commit *commit)
{
    uint64_t counts[KINDS] = {0};
    WEIR_ASSERT(commit->to >= commit->part->committed);
    note_all(engine, commit, counts);
    write_entry(engine, commit, counts);
    apply(engine, commit->part, commit->to, commit->metadata, commit->metadata_bytes);
    return counts[WEIR_FATE_ACCEPTED];
}

/* ---- Replay ----------------------------------------------------------------------------------- */

static void replay_counts(weir_engine *engine, weir_group_part *part, const uint8_t *at,
                          uint8_t fates)
{
    for (uint8_t i = 0; i < fates; i++, at += FATE_BYTES) {
        uint64_t records = weir_get_u64(at + 1);
        if (at[0] == WEIR_PASS_UNMATCHED) {
            part->unmatched += records;
        } else {
            weir_fate_count(engine, part, (weir_fate)at[0], records);
        }
    }
}

static bool counts_good(const uint8_t *at, uint8_t fates)
{
    for (uint8_t i = 0; i < fates; i++, at += FATE_BYTES) {
        if (at[0] != WEIR_PASS_UNMATCHED &&
            (at[0] == WEIR_FATE_PENDING || at[0] >= WEIR_FATE_COUNT)) {
            return false;
        }
    }
    return true;
}

weir_err weir_stream_commit_replay(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    if (body.len < HEAD_BYTES || body.len < HEAD_BYTES + (size_t)body.ptr[13] * FATE_BYTES) {
        return WEIR_DAMAGED;
    }
    uint32_t id = weir_get_u32(body.ptr);
    uint8_t fates = body.ptr[13];
    int64_t to = (int64_t)weir_get_u64(body.ptr + 16);
    size_t metadata_bytes = body.len - HEAD_BYTES - (size_t)fates * FATE_BYTES;
    if (to < 0 || metadata_bytes > WEIR_METADATA_BYTES_MAX ||
        !counts_good(body.ptr + HEAD_BYTES, fates)) {
        return WEIR_DAMAGED;
    }
    const weir_group *group = weir_group_find_id(engine, id);
    if (group == NULL) {
        return id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED; /* deleted later on */
    }
    weir_group_part *part =
        weir_group_part_find(group, weir_get_u32(body.ptr + 4), weir_get_u32(body.ptr + 8));
    if (part == NULL || part->held_unit >= unit) {
        return WEIR_OK; /* gone later on, or the checkpoint has it */
    }
    uint8_t *metadata = NULL;
    if ((body.ptr[12] & HAS_METADATA) != 0) {
        metadata = malloc(metadata_bytes + 1);
        if (metadata == NULL) {
            return WEIR_NO_MEMORY;
        }
        memcpy(metadata, body.ptr + body.len - metadata_bytes, metadata_bytes);
    }
    replay_counts(engine, part, body.ptr + HEAD_BYTES, fates);
    apply(engine, part, to, metadata, (uint32_t)metadata_bytes);
    return WEIR_OK;
}

/* ---- Settling --------------------------------------------------------------------------------- */

typedef enum judgement {
    JUDGED_DONE,    /* nothing to do */
    JUDGED_REFUSED, /* somebody else's now */
    JUDGED_COMMIT,
    JUDGED_REWIND, /* a release: handed out again */
} judgement;

typedef struct judged {
    judgement what;
    weir_group_part *part;
    weir_chunk *chunk; /* of a reject that goes to the dead-letter topic */
    uint32_t index;
    weir_fate last;
    bool loops; /* it has been a dead letter too often, and is dropped */
} judged;

typedef struct settling {
    weir_engine *engine;
    weir_member *member;
    const weir_settle *settle;
    weir_level level;
} settling;

static weir_group_part *part_of(const settling *s, const weir_settle_range *range)
{
    const weir_topic *topic = weir_topics_find(s->engine, range->topic);
    return topic == NULL ? NULL
                         : weir_group_part_find(s->member->group, topic->id, range->partition);
}

/* What becomes of the rejected record; its chunk when it has to be moved. */
static weir_err judge_reject(const settling *s, int64_t offset, judged *to)
{
    to->last = WEIR_FATE_REJECTED;
    if (s->member->group->options.dead_letter.len == 0) {
        return WEIR_OK;
    }
    weir_partition *partition = to->part->partition;
    weir_chunk *chunk = weir_member_chunk(s->engine, s->member, partition, offset);
    if (chunk == NULL && weir_member_gap(s->member, partition, offset) <= offset) {
        return WEIR_MORE;
    }
    to->last = WEIR_FATE_DROPPED; /* damaged since */
    if (chunk != NULL) {
        uint32_t index = weir_chunk_index_at(chunk, offset);
        bool there = index < chunk->count && weir_chunk_offset_at(chunk, index) == offset;
        to->loops = there && weir_dead_letter_loops(chunk, index);
        to->last = !there      ? WEIR_FATE_SUPERSEDED
                   : to->loops ? WEIR_FATE_DROPPED
                               : WEIR_FATE_DEAD_LETTERED;
        to->chunk = there && !to->loops ? chunk : NULL;
        to->index = index;
    }
    return WEIR_OK;
}

static weir_err judge_verb(const settling *s, const weir_settle_range *range, bool any, judged *to)
{
    weir_group_part *part = to->part;
    int64_t end = any ? part->partition->visible_offset : part->handed;
    switch (s->settle->verb) {
    case WEIR_VERB_RENEW:
        return WEIR_OK; /* it was heard */
    case WEIR_VERB_RELEASE:
        to->what = range->first < part->handed ? JUDGED_REWIND : JUDGED_DONE;
        return s->settle->delay_ms > 0 ? WEIR_NOT_OFFERED : WEIR_OK;
    case WEIR_VERB_REJECT:
        if (range->first != range->last || range->last >= end) {
            return WEIR_INVALID;
        }
        if (range->last < part->committed) {
            return WEIR_OK;
        }
        to->what = JUDGED_COMMIT;
        return judge_reject(s, range->first, to);
    default:
        break;
    }
    if (range->last >= end) {
        return WEIR_INVALID;
    }
    bool word = s->settle->metadata.ptr != NULL && range->last + 1 == part->committed;
    to->what = range->last >= part->committed || word ? JUDGED_COMMIT : JUDGED_DONE;
    return WEIR_OK;
}

static weir_err judge(settling *s, const weir_settle_range *range, judged *to)
{
    const weir_group *group = s->member->group;
    weir_group_part *part = part_of(s, range);
    *to = (judged){.what = JUDGED_DONE, .part = part, .last = WEIR_FATE_ACCEPTED};
    if (part == NULL || part->partition == NULL) {
        return WEIR_NOT_FOUND;
    }
    if (range->last < 0) {
        return WEIR_OK; /* offset 0: nothing was read */
    }
    weir_level level = part->partition->topic->options.level;
    s->level = level > s->level ? level : s->level;
    bool any = group->options.mode == WEIR_MODE_CLIENT_COMMIT;
    bool mine = part->owner == s->member && s->settle->generation >= part->owned_generation;
    if (!any && !mine) {
        to->what = JUDGED_REFUSED;
        return WEIR_OK;
    }
    bool said = s->settle->verb == WEIR_VERB_ACCEPT && range->last < part->committed;
    if (group->options.mode == WEIR_MODE_AT_MOST_ONCE && !said &&
        weir_stream_place(part) >= part->handed) {
        return WEIR_NOT_OFFERED; /* a commit of what is committed is none: a worker's loop runs on */
    }
    return judge_verb(s, range, any, to);
}

static weir_bytes reason_of(const settling *s, const judged *one)
{
    weir_bytes said = s->settle->verb == WEIR_VERB_REJECT ? s->settle->reason : WEIR_BYTES_NULL;
    return one->loops ? weir_bytes_of(WEIR_DEAD_LETTER_LOOP) : said;
}

/* All that can fail; nothing changes. */
static weir_err room(const settling *s, const judged *all)
{
    weir_err err = WEIR_OK;
    uint64_t bytes = 0;
    uint64_t lines = 0;
    bool letters = false;
    for (uint32_t i = 0; i < s->settle->range_count && err == WEIR_OK; i++) {
        letters |= all[i].chunk != NULL;
        if (all[i].what == JUDGED_COMMIT) {
            bytes += WEIR_COMMIT_BYTES_MAX + s->settle->metadata.len;
            weir_bytes reason = all[i].loops ? reason_of(s, &all[i]) : s->settle->reason;
            lines += weir_stream_commit_room(all[i].part, s->member, reason);
        }
        if (all[i].chunk != NULL) {
            err = weir_dead_letter_room(s->engine, s->member->group, all[i].chunk, all[i].index);
            bytes += weir_dead_letter_bytes(all[i].chunk, all[i].index);
        }
    }
    if (err != WEIR_OK || bytes == 0) {
        return err;
    }
    return letters ? weir_fates_unit(s->engine, bytes, lines)
                   : weir_fates_unit_reserve(s->engine, bytes, lines);
}

/* Behind the record, and behind what follows it and is none. */
static int64_t commit_to(const weir_group_part *part, int64_t next)
{
    for (uint32_t i = 0; part->passes != NULL && i < part->passes->count; i++) {
        const weir_pass *pass = &part->passes->items[i];
        if (pass->from <= next && pass->to > next) {
            next = pass->to;
        }
    }
    return next;
}

static weir_letter move_dead_letter(const settling *s, const judged *one)
{
    return one->chunk == NULL
               ? (weir_letter){.offset = 0}
               : weir_dead_letter_write(s->engine, one->part, one->chunk, one->index, "rejected",
                                        s->settle->reason, s->member, 1, 0);
}

static uint64_t run_commit(const settling *s, const judged *one, int64_t next, uint8_t *metadata)
{
    weir_stream_commit commit = {
        .part = one->part,
        .to = one->last == WEIR_FATE_ACCEPTED ? commit_to(one->part, next) : next,
        .member = s->member,
        .last = one->last,
        .reason = reason_of(s, one),
        .metadata = metadata,
        .metadata_bytes = metadata != NULL ? (uint32_t)s->settle->metadata.len : 0,
    };
    if (commit.to < one->part->committed) {
        commit.to = one->part->committed; /* a range before it went further */
    }
    commit.letter = move_dead_letter(s, one); /* [G4] */
    s->engine->stats.dead_letter_loops += one->loops ? 1 : 0;
    uint64_t done = weir_stream_commit_run(s->engine, &commit);
    weir_group_ready(one->part->group, one->part); /* it may have waited for this */
    return done + (one->last != WEIR_FATE_ACCEPTED ? 1 : 0);
}

static void run_one(const settling *s, const judged *one, const weir_settle_range *range,
                    uint8_t **metadata, weir_settled *settled)
{
    switch (one->what) {
    case JUDGED_REFUSED:
        settled->refused += weir_settle_range_records(one->part, range);
        break;
    case JUDGED_REWIND:
        one->part->handed =
            range->first > one->part->committed ? range->first : one->part->committed;
        weir_stream_passes_cut(one->part, one->part->handed);
        weir_group_ready(one->part->group, one->part);
        break;
    case JUDGED_COMMIT:
        if (one->last == WEIR_FATE_ACCEPTED || range->last >= one->part->committed) {
            settled->records += run_commit(s, one, range->last + 1, *metadata);
            *metadata = NULL; /* taken */
        }
        break;
    case JUDGED_DONE:
        break;
    }
}

/* A copy of the metadata for each range; NO_MEMORY: none. */
static weir_err copies(const weir_settle *settle, uint8_t **out)
{
    for (uint32_t i = 0; i < settle->range_count && settle->metadata.ptr != NULL; i++) {
        out[i] = malloc(settle->metadata.len + 1);
        if (out[i] == NULL) {
            return WEIR_NO_MEMORY;
        }
        memcpy(out[i], settle->metadata.ptr, settle->metadata.len);
    }
    return WEIR_OK;
}

weir_err weir_stream_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                            weir_settled *settled, uint64_t *unit)
{
    settling s = {engine, member, settle, WEIR_LEVEL_DEFAULT};
    judged *all = calloc(settle->range_count, sizeof(*all));
    uint8_t **metadata = calloc(settle->range_count, sizeof(uint8_t *));
    weir_err err = all == NULL || metadata == NULL ? WEIR_NO_MEMORY : copies(settle, metadata);
    for (uint32_t i = 0; i < settle->range_count && err == WEIR_OK; i++) {
        err = judge(&s, &settle->ranges[i], &all[i]);
    }
    settled->level = s.level;
    err = err == WEIR_OK ? room(&s, all) : err;
#ifdef WEIR_PLANT_TWO_UNITS_STREAM /* a bug on purpose, by which the simulation is tested */
    static int64_t letters[64];    /* of a member: behind the record whose letter went out alone */
    int64_t *alone = &letters[member->number % 64];
    if (err == WEIR_OK && settle->range_count == 1 && all[0].chunk != NULL) {
        bool settles = *alone == settle->ranges[0].first + 1;
        *alone = settles ? 0 : settle->ranges[0].first + 1;
        if (!settles) {
            move_dead_letter(&s, &all[0]);
            err = WEIR_MORE;
        }
        all[0].chunk = NULL;
    }
#endif
    for (uint32_t i = 0; i < settle->range_count && err == WEIR_OK; i++) {
        run_one(&s, &all[i], &settle->ranges[i], &metadata[i], settled);
    }
    *unit = weir_engine_unit_now(engine);
    for (uint32_t i = 0; i < settle->range_count && metadata != NULL; i++) {
        free(metadata[i]);
    }
    free(metadata);
    free(all);
    if (err == WEIR_OK && settled->refused > 0) {
        member->group->late_refused += settled->refused;
        engine->stats.late_refused += settled->refused;
        return WEIR_LEASE_LOST;
    }
    return err;
}

/* ---- What is told ----------------------------------------------------------------------------- */

void weir_stream_part_info(const weir_group_part *part, weir_group_partition *info, int64_t *oldest)
{
    int64_t place = weir_stream_place(part);
    int64_t end = part->partition != NULL ? part->partition->visible_offset : place;
    info->committed = part->committed;
    info->handed = part->handed;
    info->stands_still = part->lost && part->group->options.removed == WEIR_PLACE_ERROR;
    info->lag = end > place ? (uint64_t)(end - place) : 0;
    for (uint32_t i = 0; part->passes != NULL && i < part->passes->count; i++) {
        const weir_pass *pass = &part->passes->items[i];
        if (pass->from >= place && pass->to <= end) {
            info->lag -= (uint64_t)(pass->to - pass->from);
        }
    }
    info->metadata = part->metadata == NULL ? WEIR_BYTES_NULL
                                            : (weir_bytes){part->metadata, part->metadata_bytes};
    *oldest = place;
}
