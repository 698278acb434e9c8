/* core/engine/group_reset.c - a group's place is moved: to a time, an offset, the beginning, the end.
 *
 *   committed ---- skipped ----> to      what it passes over, and was pending, is skipped
 *   to <--- pending again --- committed  what it goes back over is handed out again
 *
 * Where each partition goes is decided, told in entry 23, and applied; a dry run tells it and no
 * more. To a time goes in two steps: a job looks for it in segments' tables (find.c), and the reset
 * is decided in the turn after it, for those partitions that there were when it was asked. A stream group has no members then, so that nobody commits over it; a queue group's leases
 * are over. What is counted so far stays in the group's sums [G1]. */
#include "core/engine/group.h"
#include "core/engine/settlement.h"

#include <stdlib.h>
#include <string.h>

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
static weir_err target(const weir_group_part *part, const weir_reset *reset,
                       const weir_found *found, int64_t *to)
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
        *to = found->offset;
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

/* Both lists are sorted by topic id and partition; `at` goes along. NULL: it was not there. */
static const weir_found *found_for(const weir_find *find, const weir_group_part *part, uint32_t *at)
{
    while (*at < find->place_count) {
        const weir_found *place = &find->places[*at];
        bool before = place->topic_id < part->topic_id ||
                      (place->topic_id == part->topic_id && place->partition < part->index);
        if (!before) {
            bool same = place->topic_id == part->topic_id && place->partition == part->index;
            return same ? place : NULL;
        }
        (*at)++;
    }
    return NULL;
}

/* `find`: of WEIR_RESET_TIME. */
static weir_err decide(const weir_engine *engine, const weir_group *group, const weir_reset *reset,
                       const weir_find *find, weir_part_told *told, uint32_t *count)
{
    uint32_t place = 0;
    *count = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        told[i].offset = -1;
        const weir_group_part *part = group->parts[i];
        const weir_found *found = find != NULL ? found_for(find, part, &place) : NULL;
        if (!chosen(engine, part, reset) || (find != NULL && found == NULL)) {
            continue;
        }
        int64_t to = 0;
        weir_err err = target(part, reset, found, &to);
        if (err != WEIR_OK) {
            return err;
        }
        told[i] = weir_group_part_told(part, to, weir_group_part_between(part, to));
        (*count)++;
    }
    return *count == 0 ? WEIR_NOT_FOUND : WEIR_OK;
}

/* What was handed out or settled from `to` on comes again, whatever became of it: a line. */
static void tell_again(weir_engine *engine, const weir_group_part *part, int64_t to)
{
    int64_t end =
        part->settlement != NULL ? weir_settlement_fresh(part->settlement) : part->committed;
    if (to < end) {
        const weir_fate_note note = {
            .part = part, .event = WEIR_TOLD_RESET, .first = to, .last = end - 1};
        weir_fate_tell(engine, &note);
    }
}

static weir_err apply(weir_engine *engine, weir_group *group, const weir_part_told *told,
                      uint32_t count)
{
    weir_err err = weir_engine_unit_reserve(engine, count * weir_group_part_entry_bytes(1));
    for (uint32_t i = 0; i < group->part_count && err == WEIR_OK; i++) {
        if (told[i].offset >= 0) {
            const weir_group_part *part = group->parts[i];
            weir_fates_tell_between(engine, part, told[i].offset, WEIR_TOLD_SKIPPED,
                                    WEIR_FATE_SKIPPED, "reset");
            tell_again(engine, part, told[i].offset);
            weir_group_parts_tell(engine, group, part->topic_id, part->index, 1, WEIR_PART_MOVES,
                                  &told[i]);
        }
    }
    if (err == WEIR_OK) {
        weir_group_busy(engine, group);
    }
    if (err == WEIR_OK &&
        group->queue != NULL) { /* what comes again may be more than it may have */
        weir_overflow_altered(engine, group);
    }
    return err;
}

/* Somebody could commit over it. */
static bool has_members(const weir_group *group, const weir_reset *reset)
{
    return group->options.model == WEIR_MODEL_STREAM && group->present > 0 && !reset->dry_run;
}

static weir_err reset_run(weir_engine *engine, weir_group *group, const weir_reset *reset,
                          const weir_find *find, weir_groups *told)
{
    uint32_t count = 0;
    if (group == NULL) {
        return WEIR_NOT_FOUND;
    }
    if (has_members(group, reset)) {
        return WEIR_EXISTS;
    }
    weir_part_told *places = calloc(group->part_count + 1, sizeof(*places));
    weir_err err =
        places == NULL ? WEIR_NO_MEMORY : decide(engine, group, reset, find, places, &count);
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

/* ---- To a time -------------------------------------------------------------------------------- */

typedef struct reset_asked {
    weir_reset reset; /* its topic's name points behind it */
    uint32_t group_id;
    void *user;
    uint64_t token;
    uint8_t topic[];
} reset_asked;

/* A reset makes a unit, so it is the turn's to say when. Without a port nobody waits for it. */
static bool reset_found(weir_engine *engine, weir_find *find, weir_port *port)
{
    if (port == NULL) {
        return true;
    }
    weir_link_append(&engine->groups.resets, &find->read->link);
    return false;
}

void weir_group_resets_work(weir_engine *engine)
{
    weir_link *list = &engine->groups.resets;
    while (!weir_link_empty(list)) {
        weir_read *read = WEIR_OWNER_OF(list->next, weir_read, link);
        const reset_asked *asked = read->find->asked;
        weir_completion done = {
            .type = WEIR_COMPLETION_GROUP, .user = asked->user, .token = asked->token};
        weir_link_remove(&read->link);
        weir_produce_close_all(engine); /* the answer is about what came before it */
        done.err = reset_run(engine, weir_group_find_id(engine, asked->group_id), &asked->reset,
                             read->find, &done.groups);
        weir_groups_answer(engine, read->port, &done);
        weir_find_free(read->find);
    }
}

/* NULL: no memory. */
static weir_find *find_make(weir_engine *engine, const weir_group *group, const weir_op *op)
{
    const weir_reset *reset = (const weir_reset *)(const void *)op->data;
    weir_find *find = weir_find_make(engine, group->part_count, reset->value);
    reset_asked *asked = calloc(1, sizeof(*asked) + reset->topic.len);
    if (find == NULL || asked == NULL) {
        weir_find_free(find);
        free(asked);
        return NULL;
    }
    *asked =
        (reset_asked){.reset = *reset, .group_id = group->id, .user = op->user, .token = op->token};
    asked->reset.group = WEIR_BYTES_NULL;
    if (reset->topic.ptr != NULL) {
        memcpy(asked->topic, reset->topic.ptr, reset->topic.len);
        asked->reset.topic.ptr = asked->topic;
    }
    find->asked = asked;
    return find;
}

/* True: a job looks, and answers then. */
static bool reset_to_time(weir_engine *engine, weir_port *port, weir_group *group,
                          const weir_op *op, weir_completion *done)
{
    const weir_reset *reset = (const weir_reset *)(const void *)op->data;
    weir_find *find = find_make(engine, group, op);
    if (find == NULL) {
        done->err = WEIR_NO_MEMORY;
        return false;
    }
    for (uint32_t i = 0; i < group->part_count; i++) {
        if (chosen(engine, group->parts[i], reset)) {
            (void)weir_find_add(find, group->parts[i]->partition);
        }
    }
    if (weir_find_go(find, port, reset_found)) {
        return true;
    }
    done->err = reset_run(engine, group, reset, find, &done->groups);
    weir_find_free(find);
    return false;
}

void weir_group_reset_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    const weir_reset *reset = (const weir_reset *)(const void *)op->data;
    weir_group *group = weir_group_find(engine, reset->group);
    weir_completion done = {.type = WEIR_COMPLETION_GROUP, .user = op->user, .token = op->token};
    if (group == NULL || reset->kind != WEIR_RESET_TIME || has_members(group, reset)) {
        done.err = reset_run(engine, group, reset, NULL, &done.groups);
    } else if (reset_to_time(engine, port, group, op, &done)) {
        return;
    }
    weir_groups_answer(engine, port, &done);
}

/* ---- Places that were removed ----------------------------------------------------------------- */

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
        weir_fates_tell_between(engine, part, end, WEIR_TOLD_SKIPPED, WEIR_FATE_SKIPPED, "removed");
        weir_group_parts_tell(engine, group, part->topic_id, part->index, 1, WEIR_PART_MOVES,
                              &told);
    }
    return false;
}
