/* core/engine/stream_take.c - records of a stream group's partitions, handed to their owners.
 *
 *   committed      place           handed                     visible
 *   ----|-----pass--|----records-----|---next take-------------|
 *       |    (superseded, unmatched, |  chunk by chunk, run by run of records that match
 *       |     damaged)               |
 *       +------- outstanding --------+
 *
 * A take goes over its member's partitions, the one that waited longest first, and gives what is in
 * memory, as far as records_max and bytes_max go. What is not in memory is read by a job, one
 * partition at a time; the others go on meanwhile. Offsets without a record for this group (holes of
 * compaction, records that the filter does not match, damage) are remembered as passes, so that a
 * commit gives each its fate; they are bounded, and beyond the bound the partition waits for a
 * commit.
 *
 * at-most-once: what is handed out is committed in a unit of the same turn, and leaves when that has
 * the topics' level [G5]. The other modes hand out first.
 *
 * When the mode was changed, a partition waits until what was handed out under the old one is
 * acknowledged, or its owner is gone. */
#include "core/engine/stream.h"

#include "core/base/trie.h"

#include <stdlib.h>
#include <string.h>

enum {
    RUNS_MAX = 1024, /* in one take */
    RUNS_LEAST = 8,
    PARTS_MAX = 1024,           /* partitions of one take */
    LOOK_MAX = 8192,            /* records that do not match, looked at in one turn for one take */
    PASSED_COMMIT_LEAST = 1024, /* passes alone are committed when they are so many */
};

typedef struct taking {
    weir_engine *engine;
    weir_member *member;
    const weir_group *group;
    weir_handed *runs;
    uint32_t count;
    uint32_t capacity;
    uint32_t records_left;
    int64_t bytes_left;
    uint32_t looks_left;
    bool once;               /* at-most-once */
    bool no_memory;          /* of one kind or another: what there is, is given */
    weir_level level;        /* of what was committed */
    weir_group_part *unread; /* the first one that has to be read from disk */
} taking;

/* ---- Which partitions ------------------------------------------------------------------------- */

static bool waits_for_mode(const weir_group_part *part, weir_mode mode)
{
    return mode != WEIR_MODE_CLIENT_COMMIT && part->handed_mode != 0 && part->handed_mode != mode &&
           weir_stream_place(part) < part->handed;
}

/* Its place was removed, and that is not settled yet; altering the group to go on from the beginning
 * settles it, too. */
static bool is_lost(const taking *t, const weir_group_part *part)
{
    return part->lost && t->group->options.removed != WEIR_PLACE_BEGINNING;
}

static bool takeable(const taking *t, const weir_group_part *part)
{
    return part->told && part->asked_generation == 0 && part->target == t->member &&
           part->partition != NULL && !is_lost(t, part) &&
           !waits_for_mode(part, t->group->options.mode);
}

static bool any_lost(const weir_member *member)
{
    const weir_link *list = &member->stream->parts;
    if (member->group->options.removed != WEIR_PLACE_ERROR) {
        return false;
    }
    for (const weir_link *at = list->next; at != list; at = at->next) {
        if (WEIR_OWNER_OF(at, const weir_group_part, owner_link)->lost) {
            return true;
        }
    }
    return false;
}

/* Whether each record of the topic is the group's. */
static bool reads_whole(const weir_group *group, const weir_partition *partition)
{
    weir_bytes filter = group->options.filter;
    const weir_topic_ref *ref = partition->topic->ref;
    return filter.len == 0 ||
           (filter.ptr[filter.len - 1] == '#' &&
            weir_filter_matches(filter, (weir_bytes){ref->name, ref->name_bytes}));
}

/* ---- Runs ------------------------------------------------------------------------------------- */

static bool full(const taking *t)
{
    return t->records_left == 0 || t->bytes_left <= 0 || t->count == RUNS_MAX || t->no_memory;
}

static bool run_room(taking *t)
{
    if (t->count < t->capacity) {
        return true;
    }
    uint32_t capacity = t->capacity == 0 ? RUNS_LEAST : 2 * t->capacity;
    weir_handed *grown = realloc(t->runs, capacity * sizeof(*grown));
    t->no_memory = grown == NULL;
    if (grown != NULL) {
        t->runs = grown;
        t->capacity = capacity;
    }
    return grown != NULL;
}

/* Record `index` of the chunk; one that follows the last one makes its run longer. */
static bool run_add(taking *t, weir_chunk *chunk, uint32_t index)
{
    weir_handed *last = t->count > 0 ? &t->runs[t->count - 1] : NULL;
    if (last != NULL && last->chunk == chunk && last->first + last->count == index) {
        last->count++;
    } else if (t->count < RUNS_MAX && run_room(t)) {
        t->runs[t->count++] =
            (weir_handed){.chunk = weir_chunk_keep(chunk), .first = index, .count = 1, .leased = 1};
    } else {
        return false;
    }
    t->records_left--;
    t->bytes_left -= chunk->batch_bytes / chunk->count + 1;
    return true;
}

/* ---- One chunk -------------------------------------------------------------------------------- */

/* Offsets up to `to` have no record for the group. */
static bool pass(taking *t, weir_group_part *part, int64_t to, uint8_t kind)
{
    if (to > part->handed && !weir_stream_pass(part, part->handed, to, kind)) {
        t->no_memory = true;
        return false;
    }
    part->handed = to > part->handed ? to : part->handed;
    return true;
}

/* The record at `offset`: handed out, or passed over. False: not now. */
static bool take_record(taking *t, weir_group_part *part, weir_chunk *chunk, uint32_t index,
                        bool whole)
{
    int64_t offset =
        chunk->holes == 0 ? chunk->base_offset + index : weir_chunk_offset_at(chunk, index);
    if (!pass(t, part, offset, WEIR_FATE_SUPERSEDED)) {
        return false;
    }
    if (!whole && !weir_key_matches(t->group->options.filter, chunk, index)) {
        if (t->looks_left == 0 || !pass(t, part, offset + 1, WEIR_PASS_UNMATCHED)) {
            return false;
        }
        t->looks_left--;
        return true;
    }
    if (full(t) || !run_add(t, chunk, index)) {
        return false;
    }
    part->handed = offset + 1;
    part->handed_mode = (uint8_t)t->group->options.mode;
    return true;
}

/* False: it is full, or waits. */
static bool take_chunk(taking *t, weir_group_part *part, weir_chunk *chunk, bool whole)
{
    int64_t visible = part->partition->visible_offset;
    int64_t end = weir_chunk_end(chunk) < visible ? weir_chunk_end(chunk) : visible;
    uint32_t stop = weir_chunk_index_at(chunk, end);
    for (uint32_t i = weir_chunk_index_at(chunk, part->handed); i < stop; i++) {
        if (!take_record(t, part, chunk, i, whole)) {
            return false;
        }
    }
    return pass(t, part, end, WEIR_FATE_SUPERSEDED);
}

/* ---- One partition ---------------------------------------------------------------------------- */

/* False: nothing more of it for now. */
static bool take_next(taking *t, weir_group_part *part, bool whole)
{
    weir_partition *partition = part->partition;
    if (part->handed >= partition->visible_offset || full(t)) {
        return false;
    }
    weir_chunk *chunk = weir_member_look(t->member, partition, part->handed);
    if (chunk != NULL) {
        return take_chunk(t, part, chunk, whole);
    }
    int64_t gap = weir_member_gap(t->member, partition, part->handed);
    if (gap > part->handed) {
        gap = gap < partition->visible_offset ? gap : partition->visible_offset;
        return pass(t, part, gap, WEIR_FATE_DROPPED);
    }
    t->unread = t->unread == NULL ? part : t->unread;
    return false;
}

static void commit(taking *t, weir_group_part *part, int64_t to)
{
    weir_level level = part->partition->topic->options.level;
    weir_stream_commit commit = {
        .part = part, .to = to, .member = t->member, .last = WEIR_FATE_ACCEPTED};
    weir_stream_commit_run(t->engine, &commit);
    t->level = level > t->level ? level : t->level;
    t->engine->disk_wanted |= level == WEIR_LEVEL_DISK;
}

/* Passes that nobody will acknowledge, since no record stands before them. */
static void commit_passed(taking *t, weir_group_part *part)
{
    int64_t place = weir_stream_place(part);
    if (place - part->committed >= PASSED_COMMIT_LEAST &&
        (t->once || weir_fates_unit_reserve(
                        t->engine, WEIR_COMMIT_BYTES_MAX,
                        weir_stream_commit_room(part, t->member, WEIR_BYTES_NULL)) == WEIR_OK)) {
        commit(t, part, place);
    }
}

static void take_part(taking *t, weir_group_part *part)
{
    bool whole = reads_whole(t->group, part->partition);
    uint32_t before = t->records_left;
    if (weir_stream_place(part) >= part->handed) {
        part->handed_mode = (uint8_t)t->group->options.mode;
    }
    while (take_next(t, part, whole)) {
    }
    if (t->once && t->records_left < before) {
        commit(t, part, part->handed); /* [G5] */
    } else {
        commit_passed(t, part);
    }
}

/* ---- The take --------------------------------------------------------------------------------- */

/* The next read, unless there is something left of the last one. */
static void read_on(const taking *t)
{
    const weir_link *list = &t->member->stream->parts;
    if (t->unread == NULL || t->member->read != NULL) {
        return;
    }
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, owner_link);
        if (takeable(t, part) && part->handed < part->partition->visible_offset &&
            weir_tail_find(&part->partition->tail, part->handed) == NULL &&
            weir_member_look(t->member, part->partition, part->handed) != NULL) {
            return;
        }
    }
    weir_member_chunk(t->engine, t->member, t->unread->partition, t->unread->handed);
}

static void take_parts(taking *t)
{
    weir_link *list = &t->member->stream->parts;
    uint32_t parts = t->member->stream->part_count;
    for (uint32_t i = parts < PARTS_MAX ? parts : PARTS_MAX; i > 0 && !full(t); i--) {
        weir_group_part *part = WEIR_OWNER_OF(list->next, weir_group_part, owner_link);
        weir_link_remove(&part->owner_link); /* it waits for the others now */
        weir_link_append(list, &part->owner_link);
        if (takeable(t, part)) {
            take_part(t, part);
        }
    }
}

/* Room for all that an at-most-once take commits. */
static weir_err commits_room(const taking *t)
{
    uint32_t parts = t->member->stream->part_count;
    const weir_link *list = &t->member->stream->parts;
    uint64_t lines = 0;
    parts = parts < PARTS_MAX ? parts : PARTS_MAX;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        lines += weir_stream_commit_room(WEIR_OWNER_OF(at, const weir_group_part, owner_link),
                                         t->member, WEIR_BYTES_NULL);
    }
    return weir_fates_unit_reserve(t->engine, (uint64_t)parts * WEIR_COMMIT_BYTES_MAX, lines);
}

bool weir_stream_take(weir_engine *engine, weir_member *member)
{
    taking t = {.engine = engine, .member = member, .group = member->group};
    t.records_left = member->take.records_max;
    t.bytes_left = member->take.bytes_max > 0 ? member->take.bytes_max : 1;
    t.looks_left = LOOK_MAX;
    t.once = t.group->options.mode == WEIR_MODE_AT_MOST_ONCE;
    if (any_lost(member)) {
        weir_member_give_err(engine, member, WEIR_OFFSET_OUT_OF_RANGE);
        return true;
    }
    weir_err err = t.once && member->stream->part_count > 0 ? commits_room(&t) : WEIR_OK;
    if (err != WEIR_OK) {
        weir_member_give_err(engine, member, err);
        return true;
    }
    take_parts(&t);
    read_on(&t);
    if (t.looks_left == 0) {
        weir_member_due(member); /* it looks on in the next turn */
        weir_groups_due(engine);
    }
    if (t.count == 0) {
        free(t.runs);
        return false;
    }
    uint64_t unit = t.once ? weir_engine_unit_now(engine) : 0;
#ifdef WEIR_PLANT_LATE_COMMIT /* a bug on purpose, by which the simulation is tested */
    unit = 0;
#endif
    weir_member_give(engine, member, t.runs, t.count, unit, t.level);
    return true;
}
