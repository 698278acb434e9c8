/* core/engine/fates.c - what became of records, in every group: the counters.
 *
 * A fate is counted where it is applied, live and in recovery alike; the sums are metrics that go on
 * where they were before a start. */
#include "core/engine/group.h"

void weir_fate_count(weir_engine *engine, weir_group_part *part, weir_fate fate, uint64_t records)
{
    uint64_t *shown = &engine->stats.fate_accepted; /* one behind the other, as the fates are */
    if (records == 0 || fate == WEIR_FATE_PENDING) {
        return;
    }
    part->fates[fate] += records;
    shown[fate - 1] += records;
    weir_group_part_changed(engine, part);
}

void weir_fate_shown(weir_engine *engine, weir_fate fate, uint64_t records)
{
    (&engine->stats.fate_accepted)[fate - 1] += records;
}

void weir_fates_show(weir_engine *engine, const uint64_t *fates)
{
    uint64_t *shown = &engine->stats.fate_accepted;
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        shown[fate - 1] = fates[fate];
    }
}

void weir_fate_write(weir_engine *engine, const weir_fate_note *note)
{
    if (note->fate != WEIR_FATE_PENDING) {
        weir_fate_count(engine, (weir_group_part *)(uintptr_t)note->part, note->fate,
                        (uint64_t)(note->last - note->first + 1));
    }
}

void weir_fates_close(weir_engine *engine)
{
    (void)engine;
}

weir_err weir_dead_letter_room(weir_engine *engine, const weir_group *group,
                               const weir_chunk *chunk, uint32_t index)
{
    (void)chunk;
    (void)index;
    bool there = group->options.dead_letter.len > 0 &&
                 weir_topics_find(engine, group->options.dead_letter) != NULL;
    return there ? WEIR_NOT_OFFERED : WEIR_NOT_FOUND;
}

void weir_dead_letter_write(weir_engine *engine, const weir_group_part *part, weir_chunk *chunk,
                            uint32_t index, const char *reason_code, weir_bytes reason,
                            const weir_member *member, uint32_t leased, uint32_t failed)
{
    (void)engine;
    (void)part;
    (void)chunk;
    (void)index;
    (void)reason_code;
    (void)reason;
    (void)member;
    (void)leased;
    (void)failed;
}

void weir_why_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {
        .type = WEIR_COMPLETION_WHY, .err = WEIR_NOT_OFFERED, .user = op->user, .token = op->token};
    weir_port_answer(port, &done, weir_engine_unit_now(engine), WEIR_LEVEL_MEMORY);
}
