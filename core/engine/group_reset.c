/* core/engine/group_reset.c - a group's place is moved: to a time, an offset, the beginning, the end.
 *
 *   committed ---- skipped ----> to      what it passes over, and was pending, is skipped
 *   to <--- pending again --- committed  what it goes back over is handed out again
 *
 * Where each partition goes is decided, told in entry 23, and applied; a dry run tells it and no
 * more. A stream group has no members then, so that nobody commits over it; a queue group's leases
 * are over. What is counted so far stays in the group's sums [G1]. */
#include "core/engine/group.h"
#include "core/engine/settlement.h"

#include <stdlib.h>

uint64_t weir_group_part_between(const weir_group_part *part, int64_t to)
{
    if (part->settlement == NULL) {
        return to > part->committed ? (uint64_t)(to - part->committed) : 0;
    }
    int64_t fresh = weir_settlement_fresh(part->settlement);
    int64_t at = weir_settlement_floor(part->settlement);
    uint64_t records = to > fresh ? (uint64_t)(to - fresh) : 0;
    weir_settlement_run run;
    while (at < to && weir_settlement_next(part->settlement, at, &run) && run.first < to) {
        int64_t first = run.first > at ? run.first : at;
        int64_t last = run.last < to - 1 ? run.last : to - 1;
        records += (uint64_t)(last - first + 1);
        at = run.last + 1;
    }
    return records;
}

static int64_t place_now(const weir_group_part *part)
{
    return part->settlement != NULL ? weir_settlement_floor(part->settlement) : part->committed;
}

/* OFFSET_OUT_OF_RANGE: no such offset. */
static weir_err target(const weir_group_part *part, const weir_reset *reset, int64_t *to)
{
    const weir_partition *partition = part->partition;
    int64_t start = partition->start_offset;
    int64_t end = partition->visible_offset;
    int64_t now = place_now(part);
    switch (reset->kind) {
    case WEIR_RESET_BEGINNING:
        *to = start;
        break;
    case WEIR_RESET_END:
        *to = end;
        break;
    case WEIR_RESET_OFFSET:
        *to = reset->value;
        return *to < start || *to > end ? WEIR_OFFSET_OUT_OF_RANGE : WEIR_OK;
    case WEIR_RESET_TIME:
        *to = weir_topics_find_time(partition, reset->value);
        break;
    case WEIR_RESET_SHIFT: /* as far as there is something */
        *to = reset->value < 0 ? (reset->value < start - now ? start : now + reset->value)
                               : (reset->value > end - now ? end : now + reset->value);
        break;
    }
    *to = *to < start ? start : *to > end ? end : *to;
    return WEIR_OK;
}

static bool chosen(const weir_engine *engine, const weir_group_part *part, const weir_reset *reset)
{
    const weir_topic *topic =
        reset->topic.ptr != NULL ? weir_topics_find(engine, reset->topic) : NULL;
    return part->partition != NULL &&
           (reset->topic.ptr == NULL || (topic != NULL && topic->id == part->topic_id)) &&
           (reset->partition < 0 || part->index == (uint32_t)reset->partition);
}

static weir_err decide(const weir_engine *engine, const weir_group *group, const weir_reset *reset,
                       weir_part_told *told, uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        told[i].offset = -1;
        if (!chosen(engine, group->parts[i], reset)) {
            continue;
        }
        int64_t to = 0;
        const weir_group_part *part = group->parts[i];
        weir_err err = target(part, reset, &to);
        if (err != WEIR_OK) {
            return err;
        }
        told[i] = weir_group_part_told(part, to, weir_group_part_between(part, to));
        (*count)++;
    }
    return *count == 0 ? WEIR_NOT_FOUND : WEIR_OK;
}

static weir_err apply(weir_engine *engine, weir_group *group, const weir_part_told *told,
                      uint32_t count)
{
    weir_err err = weir_engine_unit_reserve(engine, count * weir_group_part_entry_bytes(1));
    for (uint32_t i = 0; i < group->part_count && err == WEIR_OK; i++) {
        if (told[i].offset >= 0) {
            const weir_group_part *part = group->parts[i];
            weir_group_parts_tell(engine, group, part->topic_id, part->index, 1, WEIR_PART_MOVES,
                                  &told[i]);
        }
    }
    if (err == WEIR_OK) {
        weir_group_busy(engine, group);
    }
    return err;
}

weir_err weir_group_reset_run(weir_engine *engine, weir_group *group, const weir_reset *reset,
                              weir_groups *told)
{
    uint32_t count = 0;
    if (group->options.model == WEIR_MODEL_STREAM && group->present > 0 && !reset->dry_run) {
        return WEIR_EXISTS;
    }
    weir_part_told *places = calloc(group->part_count + 1, sizeof(*places));
    weir_err err = places == NULL ? WEIR_NO_MEMORY : decide(engine, group, reset, places, &count);
    if (err == WEIR_OK && !reset->dry_run) {
        err = apply(engine, group, places, count);
    }
    err = err == WEIR_OK ? weir_groups_fill(engine, group, told) : err;
    for (uint32_t i = 0; err == WEIR_OK && reset->dry_run && i < group->part_count; i++) {
        if (places[i].offset >= 0) {
            told->groups[0].partitions[i].committed = places[i].offset;
        }
    }
    free(places);
    return err;
}

/* Those whose place was removed, and that go to the end then. */
bool weir_groups_lost_work(weir_engine *engine, weir_group *group)
{
    if (group->options.removed != WEIR_PLACE_END || group->options.model != WEIR_MODEL_STREAM) {
        return false;
    }
    for (uint32_t i = 0; i < group->part_count; i++) {
        const weir_group_part *part = group->parts[i];
        if (!part->lost || part->partition == NULL) {
            continue;
        }
        int64_t end = part->partition->visible_offset;
        weir_part_told told = weir_group_part_told(part, end, weir_group_part_between(part, end));
        if (weir_engine_unit_reserve(engine, weir_group_part_entry_bytes(1)) != WEIR_OK) {
            return true;
        }
        weir_group_parts_tell(engine, group, part->topic_id, part->index, 1, WEIR_PART_MOVES,
                              &told);
    }
    return false;
}
