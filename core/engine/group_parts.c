/* core/engine/group_parts.c - the parts of a group: one for each partition that it reads.
 *
 *   topic made, grown --> 23 begins --> part --> 23 moves (a reset)
 *                                        |  9 trim: start moves up to what is left
 *   topic deleted -----> 23 ends  ------>+--> its fates are the group's for ever
 *
 *   23 part   group id u32 | event u8 (1 begins, 2 moves, 3 ends) | 0 x 3 | topic id u32 |
 *             first partition u32 | count u32 | for each: offset i64; of 2 and 3 besides records
 *             u64 | counters u64 x 10: fates, leased, failed, as they were
 *
 * Every change but a trim is an entry of its own: replay asks nothing of a topic that may be gone,
 * or further on, in the checkpoint that it began from. A trim is the partition's (entry 9), and each
 * part takes it in by itself.
 *
 * [G1] over [part.start, next) each offset has one fate or is pending. What a reset leaves behind,
 *      and what a topic had that is gone, is added to the group's own sums. */
#include "core/engine/group.h"
#include "core/engine/settlement.h"
#include "core/engine/stream.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS_LEAST = 4, TOLD_MAX = 64 };

/* ---- Places ----------------------------------------------------------------------------------- */

/* Index of the first part at or behind this place. */
static uint32_t part_index(const weir_group *group, uint32_t topic_id, uint32_t partition)
{
    uint32_t low = 0;
    uint32_t high = group->part_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const weir_group_part *part = group->parts[middle];
        bool before =
            part->topic_id < topic_id || (part->topic_id == topic_id && part->index < partition);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

weir_group_part *weir_group_part_find(const weir_group *group, uint32_t topic_id,
                                      uint32_t partition)
{
    uint32_t index = part_index(group, topic_id, partition);
    if (index == group->part_count || group->parts[index]->topic_id != topic_id ||
        group->parts[index]->index != partition) {
        return NULL;
    }
    return group->parts[index];
}

static weir_err parts_reserve(weir_group *group)
{
    if (group->part_count < group->part_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = group->part_capacity == 0 ? PARTS_LEAST : group->part_capacity * 2;
    weir_group_part **grown = realloc(group->parts, capacity * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    group->parts = grown;
    group->part_capacity = capacity;
    return WEIR_OK;
}

/* ---- Making and removing ---------------------------------------------------------------------- */

weir_err weir_group_part_make(weir_engine *engine, weir_group *group, uint32_t topic_id,
                              uint32_t partition, int64_t start, weir_group_part **out)
{
    const weir_topic *topic = weir_topics_find_id(engine, topic_id);
    weir_group_part *part = calloc(1, sizeof(*part));
    weir_err err = part == NULL ? WEIR_NO_MEMORY : parts_reserve(group);
    if (err == WEIR_OK) {
        part->group = group;
        part->topic_id = topic_id;
        part->index = partition;
        part->start = start;
        part->committed = start;
        part->handed = start;
        part->handed_durable = start;
        part->partition = topic != NULL && partition < topic->partition_count
                              ? topic->partitions[partition]
                              : NULL;
        err =
            group->options.model == WEIR_MODEL_QUEUE ? weir_queue_part_make(engine, part) : WEIR_OK;
    }
    if (err != WEIR_OK) {
        free(part);
        return err;
    }
    uint32_t index = part_index(group, topic_id, partition);
    memmove(group->parts + index + 1, group->parts + index,
            (group->part_count - index) * sizeof(weir_group_part *));
    group->parts[index] = part;
    group->part_count++;
    engine->groups.part_count++;
    if (part->partition != NULL) {
        weir_link_append(&part->partition->group_parts, &part->partition_link);
    }
    *out = part;
    return WEIR_OK;
}

void weir_group_part_free(weir_engine *engine, weir_group_part *part)
{
    if (part->group->options.model == WEIR_MODEL_QUEUE) {
        weir_queue_part_free(part);
    } else {
        weir_stream_part_free(part);
    }
    weir_link_remove(&part->partition_link);
    weir_link_remove(&part->ready_link);
    weir_link_remove(&part->saved.link);
    engine->groups.part_count--;
    free(part->metadata);
    free(part);
}

void weir_group_part_remove(weir_engine *engine, weir_group_part *part)
{
    weir_group *group = part->group;
    uint8_t identity[12];
    uint32_t index = part_index(group, part->topic_id, part->index);
    weir_put_u32(identity, group->id);
    weir_put_u32(identity + 4, part->topic_id);
    weir_put_u32(identity + 8, part->index);
    if (part->settlement != NULL) {
        weir_queue_part_gone(engine, part);
    }
    weir_saved_gone(engine, WEIR_SNAPSHOT_GROUP_PART, &part->saved, WEIR_BYTES(identity));
    group->part_count--;
    memmove(group->parts + index, group->parts + index + 1,
            (group->part_count - index) * sizeof(weir_group_part *));
    weir_group_part_free(engine, part);
}

void weir_group_part_changed(weir_engine *engine, weir_group_part *part)
{
    weir_saved_changed(engine, WEIR_SNAPSHOT_GROUP_PART, &part->saved);
}

uint64_t weir_group_part_pending(const weir_group_part *part, int64_t end)
{
    uint64_t ended = part->unmatched;
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        ended += part->fates[fate];
    }
    uint64_t all = end > part->start ? (uint64_t)(end - part->start) : 0;
    return all > ended ? all - ended : 0;
}

weir_part_told weir_group_part_told(const weir_group_part *part, int64_t offset, uint64_t count)
{
    weir_part_told told = {.offset = offset, .count = count};
    memcpy(told.counted, &part->fates[1], (WEIR_FATE_COUNT - 1) * sizeof(uint64_t));
    told.counted[WEIR_FATE_COUNT - 1] = part->leased_times;
    told.counted[WEIR_FATE_COUNT] = part->failed_times;
    return told;
}

/* What a part counted is the group's from now on, and what this did to it. The entry has it: the
 * part of the checkpoint may be further on, or gone, and the group not. */
static void group_counts(weir_engine *engine, weir_group *group, const weir_part_told *told,
                         weir_fate fate, uint64_t unit)
{
    if (group->held_unit >= unit) {
        return; /* its sums have it already */
    }
    for (int i = WEIR_FATE_PENDING + 1; i < WEIR_FATE_COUNT; i++) {
        group->fates_gone[i] += told->counted[i - 1];
    }
    group->leased_gone += told->counted[WEIR_FATE_COUNT - 1];
    group->failed_gone += told->counted[WEIR_FATE_COUNT];
    group->fates_gone[fate] += told->count;
    weir_fate_shown(engine, fate, told->count);
    weir_group_changed(engine, group);
}

/* ---- Apply: entry 23 -------------------------------------------------------------------------- */

static void part_begins(weir_engine *engine, weir_group *group, uint32_t topic_id,
                        uint32_t partition, int64_t start)
{
    weir_group_part *part = NULL;
    weir_err err = weir_group_part_make(engine, group, topic_id, partition, start, &part);
    WEIR_ASSERT(err == WEIR_OK); /* a state that was decided has to be applied [E6] */
    weir_group_part_changed(engine, part);
    weir_group_ready(group, part); /* the topic may have had records before the group came */
}

/* From the new start on everything is pending again. */
static void part_moves(weir_engine *engine, weir_group_part *part, int64_t start)
{
    memset(part->fates, 0, sizeof(part->fates));
    part->unmatched = 0;
    part->leased_times = 0;
    part->failed_times = 0;
    part->start = start;
    part->committed = start;
    part->handed = start;
    part->handed_durable = start;
    part->lost = false;
    weir_stream_passes_cut(part, 0); /* of a queue there are none */
    free(part->metadata);
    part->metadata = NULL;
    part->metadata_bytes = 0;
    weir_group_part_changed(engine, part);
    weir_group_ready(part->group, part);
}

/* Each skips what it holds: the part, its pages, the group. */
static void parts_apply(weir_engine *engine, weir_group *group, uint32_t topic_id,
                        uint32_t partition, weir_part_event event, const weir_part_told *told,
                        uint64_t unit)
{
    weir_group_part *part = weir_group_part_find(group, topic_id, partition);
    switch (event) {
    case WEIR_PART_BEGINS:
        if (part == NULL) { /* or the checkpoint has it; one that it forgot ends again later on */
            part_begins(engine, group, topic_id, partition, told->offset);
        }
        break;
    case WEIR_PART_MOVES:
        group_counts(engine, group, told, WEIR_FATE_SKIPPED, unit);
        if (part != NULL && part->settlement != NULL) {
            weir_queue_part_reset(engine, part, told->offset, unit);
        }
        if (part != NULL && part->held_unit < unit) {
            part_moves(engine, part, told->offset);
        }
        break;
    case WEIR_PART_ENDS:
        group_counts(engine, group, told, WEIR_FATE_TOPIC_DELETED, unit);
        if (part != NULL) {
            weir_group_part_remove(engine, part);
        }
        break;
    }
}

static size_t told_bytes(weir_part_event event)
{
    return event == WEIR_PART_BEGINS ? 8 : 16 + 8 * (size_t)WEIR_PART_COUNTERS;
}

static void told_encode(uint8_t *out, weir_part_event event, const weir_part_told *told)
{
    weir_put_u64(out, (uint64_t)told->offset);
    if (event != WEIR_PART_BEGINS) {
        weir_put_u64(out + 8, told->count);
        for (int i = 0; i < WEIR_PART_COUNTERS; i++) {
            weir_put_u64(out + 16 + 8 * i, told->counted[i]);
        }
    }
}

static weir_part_told told_decode(const uint8_t *in, weir_part_event event)
{
    weir_part_told told = {.offset = (int64_t)weir_get_u64(in)};
    if (event != WEIR_PART_BEGINS) {
        told.count = weir_get_u64(in + 8);
        for (int i = 0; i < WEIR_PART_COUNTERS; i++) {
            told.counted[i] = weir_get_u64(in + 16 + 8 * i);
        }
    }
    return told;
}

uint64_t weir_group_part_entry_bytes(uint32_t partitions)
{
    return WEIR_JOURNAL_ENTRY_HEAD_BYTES + WEIR_GROUP_PART_HEAD_BYTES +
           told_bytes(WEIR_PART_ENDS) * (uint64_t)partitions;
}

void weir_group_parts_tell(weir_engine *engine, weir_group *group, uint32_t topic_id,
                           uint32_t first, uint32_t count, weir_part_event event,
                           const weir_part_told *told)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_GROUP_PART,
                                    WEIR_GROUP_PART_HEAD_BYTES + told_bytes(event) * count);
    weir_put_u32(at, group->id);
    memset(at + 4, 0, 4);
    at[4] = (uint8_t)event;
    weir_put_u32(at + 8, topic_id);
    weir_put_u32(at + 12, first);
    weir_put_u32(at + 16, count);
    for (uint32_t i = 0; i < count; i++) {
        told_encode(at + WEIR_GROUP_PART_HEAD_BYTES + told_bytes(event) * i, event, &told[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        parts_apply(engine, group, topic_id, first + i, event, &told[i],
                    weir_engine_unit_now(engine));
    }
}

weir_err weir_group_parts_replay(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    if (body.len < WEIR_GROUP_PART_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    uint32_t id = weir_get_u32(body.ptr);
    uint32_t first = weir_get_u32(body.ptr + 12);
    uint32_t count = weir_get_u32(body.ptr + 16);
    weir_part_event event = (weir_part_event)body.ptr[4];
    if (body.ptr[4] < WEIR_PART_BEGINS || body.ptr[4] > WEIR_PART_ENDS || count == 0 ||
        first + count < first ||
        body.len != WEIR_GROUP_PART_HEAD_BYTES + told_bytes(event) * count) {
        return WEIR_DAMAGED;
    }
    weir_group *group = weir_group_find_id(engine, id);
    if (group == NULL) {
        return id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED; /* deleted later on */
    }
    for (uint32_t i = 0; i < count; i++) {
        weir_part_told told =
            told_decode(body.ptr + WEIR_GROUP_PART_HEAD_BYTES + told_bytes(event) * i, event);
        if (told.offset < 0) {
            return WEIR_DAMAGED;
        }
        parts_apply(engine, group, weir_get_u32(body.ptr + 8), first + i, event, &told, unit);
    }
    return WEIR_OK;
}

/* ---- Topics come, grow and go ----------------------------------------------------------------- */

/* With `topic` it is about to go, and its readers are those that have parts of it. */
static bool concerned(const weir_group *group, weir_bytes name, bool is_queue,
                      const weir_topic *topic)
{
    return topic != NULL ? weir_group_part_find(group, topic->id, 0) != NULL
                         : weir_group_reads(group, name, is_queue);
}

weir_err weir_groups_topic_room(weir_engine *engine, weir_bytes name, bool is_queue,
                                const weir_topic *topic, uint32_t partitions, uint64_t bytes)
{
    uint64_t parts = engine->groups.part_count;
    bytes += topic != NULL ? WEIR_GROUP_DELETE_BYTES : 0; /* a queue topic's group goes with it */
    for (weir_link *at = engine->groups.all.next; partitions > 0 && at != &engine->groups.all;
         at = at->next) {
        const weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        if (concerned(group, name, is_queue, topic)) {
            bytes += partitions * weir_group_part_entry_bytes(1); /* at most an entry for each */
            parts += partitions;
        }
    }
    if (topic == NULL && parts > engine->limits.group_parts_max && partitions > 0 &&
        parts > engine->groups.part_count) {
        engine->stats.refused_groups++;
        return WEIR_LIMIT;
    }
    bool makes = topic == NULL && partitions > 0;
    return makes ? weir_engine_unit(engine, bytes) : weir_engine_unit_last(engine, bytes);
}

void weir_groups_topic_grown(weir_engine *engine, weir_topic *topic, uint32_t before)
{
    weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
    static const weir_part_told zeros[TOLD_MAX];
    for (weir_link *at = engine->groups.all.next; at != &engine->groups.all; at = at->next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        if (!weir_group_reads(group, name, weir_topic_is_queue(&topic->options))) {
            continue;
        }
        for (uint32_t first = before; first < topic->partition_count; first += TOLD_MAX) {
            uint32_t left = topic->partition_count - first;
            weir_group_parts_tell(engine, group, topic->id, first,
                                  left < TOLD_MAX ? left : TOLD_MAX, WEIR_PART_BEGINS, zeros);
        }
        if (group->options.model == WEIR_MODEL_STREAM) {
            weir_stream_parts_changed(engine, group);
        }
    }
}

void weir_groups_topic_made(weir_engine *engine, weir_topic *topic)
{
    weir_groups_topic_grown(engine, topic, 0);
}

void weir_groups_topic_gone(weir_engine *engine, weir_topic *topic)
{
    for (weir_link *at = engine->groups.all.next, *next = NULL; at != &engine->groups.all;
         at = next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        bool had = false;
        next = at->next;
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            const weir_group_part *part = weir_group_part_find(group, topic->id, i);
            if (part != NULL) {
                int64_t end = topic->partitions[i]->next_offset;
                weir_part_told told =
                    weir_group_part_told(part, end, weir_group_part_pending(part, end));
                weir_fates_tell_between(engine, part, end, WEIR_TOLD_TOPIC_DELETED,
                                        WEIR_FATE_TOPIC_DELETED, NULL);
                weir_group_parts_tell(engine, group, topic->id, i, 1, WEIR_PART_ENDS, &told);
                had = true;
            }
        }
        if (had && group->options.model == WEIR_MODEL_STREAM) {
            weir_stream_parts_changed(engine, group);
        }
        if (had && group->of_queue_topic) {
            weir_group_delete(engine, group);
        }
    }
}

int64_t weir_groups_unsettled(const weir_partition *partition, uint32_t *group)
{
    int64_t floor = INT64_MAX;
    for (const weir_link *at = partition->group_parts.next; at != &partition->group_parts;
         at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, partition_link);
        int64_t settled =
            part->settlement != NULL ? weir_settlement_floor(part->settlement) : part->committed;
        if (settled < floor) {
            floor = settled;
            *group = part->group->id;
        }
    }
    return floor;
}

int64_t weir_groups_floor(const weir_partition *partition)
{
    int64_t floor = partition->group_parts.next == &partition->group_parts
                        ? partition->start_offset
                        : partition->visible_offset;
    for (const weir_link *at = partition->group_parts.next; at != &partition->group_parts;
         at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, partition_link);
        int64_t settled =
            part->settlement != NULL ? weir_settlement_floor(part->settlement) : part->committed;
        floor = settled < floor ? settled : floor;
    }
    return floor;
}

void weir_groups_partition_forget(weir_partition *partition)
{
    while (!weir_link_empty(&partition->group_parts)) {
        weir_group_part *part =
            WEIR_OWNER_OF(partition->group_parts.next, weir_group_part, partition_link);
        weir_link_remove(&part->partition_link);
        part->partition = NULL;
    }
}

/* ---- Starts that move, records that are shown ------------------------------------------------- */

/* A stream's place was removed: what it had not committed has expired. */
static void stream_start_moved(weir_engine *engine, weir_group_part *part, int64_t start)
{
    if (part->committed >= start) {
        return;
    }
    weir_fate_note note = {.part = part,
                           .first = part->committed,
                           .last = start - 1,
                           .fate = WEIR_FATE_EXPIRED,
                           .event = WEIR_TOLD_EXPIRED};
    weir_fate_count(engine, part, WEIR_FATE_EXPIRED, (uint64_t)(start - part->committed));
    if (engine->unit_open) { /* live; what was below the start before is committed: one cause */
        note.reason = weir_bytes_of(weir_trims_reason(part->partition, note.first, &note.last));
        weir_fate_tell(engine, &note);
    }
    part->committed = start;
    part->handed = part->handed > start ? part->handed : start;
    part->handed_durable = part->handed_durable > start ? part->handed_durable : start;
    part->lost = part->group->options.removed != WEIR_PLACE_BEGINNING;
    if (part->lost && part->group->options.removed == WEIR_PLACE_END) {
        weir_group_busy(engine, part->group); /* it goes to the end: weir_groups_lost_work */
    }
    weir_group_part_changed(engine, part);
}

void weir_groups_start_moved(weir_engine *engine, weir_partition *partition, int64_t start,
                             uint64_t unit)
{
    for (weir_link *at = partition->group_parts.next, *next = NULL; at != &partition->group_parts;
         at = next) {
        weir_group_part *part = WEIR_OWNER_OF(at, weir_group_part, partition_link);
        next = at->next;
        if (part->held_unit >= unit) {
            continue;
        }
        if (part->settlement != NULL) {
            weir_queue_start_moved(engine, part, WEIR_FATE_EXPIRED);
            weir_group_busy(engine, part->group);
        } else {
            stream_start_moved(engine, part, start);
        }
        weir_group_ready(part->group, part);
    }
}

void weir_groups_shown(weir_engine *engine, weir_partition *partition)
{
    for (weir_link *at = partition->group_parts.next; at != &partition->group_parts;
         at = at->next) {
        weir_group_part *part = WEIR_OWNER_OF(at, weir_group_part, partition_link);
        weir_group_ready(part->group, part);
        if (!weir_link_empty(&part->group->takes)) {
            weir_groups_due(engine);
        }
        if (part->queue != NULL) {
            weir_overflow_altered(engine, part->group); /* what was not shown may go now */
        }
    }
}
