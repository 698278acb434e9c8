/* core/engine/sparse.c - segments of a queue topic in which little is owed: which, and what of them.
 *
 *   closed segments   | A: 3 of 900 | B: 0 of 800 | C: 700 of 700 | D: 2 of 900 |  fresh ...
 *   this look finds     A, B                                   (D: when A and B are done)
 *   the same, a look later: the compactor writes what is owed of A and B beside them, and
 *   compact.c lets that take their place
 *
 *   later             | ab | E: 0 of 900 | F: 1 of 900 | ...   ab is small, and goes along with E and F:
 *                                                              else a piece would stay of each look
 *
 * A segment whose records are settled goes with the floor of its group (life.c). One old record that
 * nobody settles would keep all behind it on disk; so what stands between such records is left out,
 * and offsets stay. Readers meet holes as compaction makes them, and nobody asks for what is settled.
 *
 * What is to stay is a copy of the ranges that are unsettled when the work begins: bounded, made by
 * the owner. Less may be owed when it is done, never more, but for a reset: then it is not used.
 *
 * [Y1] Only closed segments below what was never handed out, and sparse in two looks.
 * [Y2] What is made has every record that is owed when it takes the place of others. */
#include "core/engine/queue.h"
#include "core/engine/settlement.h"

#include <stdlib.h>

enum {
    SEGMENTS_MAX = 4096,  /* of one piece of work */
    RANGES_MAX = 32768,   /* that it copies; */
    LOOKED_MAX = 1 << 18, /* that one look goes over: half a millisecond */
    SHARE = 4,            /* sparse: less than one in four is owed */
};

/* ---- What is owed ------------------------------------------------------------------------------- */

/* The one group that a queue topic has. */
static const weir_group_part *part_of(const weir_partition *partition)
{
    const weir_link *first = partition->group_parts.next;
    if (first == &partition->group_parts || first->next != &partition->group_parts) {
        return NULL;
    }
    const weir_group_part *part = WEIR_OWNER_OF(first, const weir_group_part, partition_link);
    return part->settlement != NULL && part->group->of_queue_topic ? part : NULL;
}

weir_sparse_place *weir_sparse_place_of(const weir_partition *partition)
{
    const weir_group_part *part = part_of(partition);
    return part != NULL ? &part->queue->sparse : NULL;
}

typedef struct owed_walk {
    const weir_settlement *settlement;
    weir_settlement_walk walk;
    int64_t fresh; /* from here on all is owed; the end: that was told */
} owed_walk;

static owed_walk owed_begin(const weir_group_part *part, int64_t begin, int64_t end)
{
    owed_walk walk = {.settlement = part->settlement};
    int64_t fresh = weir_settlement_fresh(part->settlement);
    walk.fresh = fresh > begin ? fresh : begin;
    weir_settlement_walk_begin(part->settlement, begin, end, &walk.walk);
    return walk;
}

static bool owed_next(owed_walk *walk, weir_kept_range *range)
{
    int64_t end = walk->walk.end;
    if (weir_settlement_walk_next(walk->settlement, &walk->walk, &range->first, &range->last)) {
        return true;
    }
    *range = (weir_kept_range){walk->fresh, end - 1};
    walk->fresh = end;
    return range->first < end;
}

/* ---- Choosing ----------------------------------------------------------------------------------- */

bool weir_sparse_rewritten(const weir_segment_state *state)
{
    return state->term >> 32 != 0; /* the folder of a compaction */
}

/* Records that a segment has, or fewer. */
static uint64_t records_of(const weir_segment *segment, const weir_segment_state *state)
{
    uint64_t counted = weir_segment_records(segment);
    if (counted > 0) {
        return counted;
    }
    return weir_sparse_rewritten(state) ? state->head_count
                                        : (uint64_t)(state->end_offset - state->base_offset);
}

typedef enum kind {
    KIND_FULL,
    KIND_SMALL, /* goes along */
    KIND_SPARSE
} kind;

/* *ranges: of what is owed of it, when it is not full. *left: of LOOKED_MAX; 0: nobody knows. */
static kind kind_of(const weir_group_part *part, const weir_segment *segment,
                    const weir_segment_state *state, uint64_t small_bytes, uint32_t *left,
                    uint32_t *ranges)
{
    owed_walk walk = owed_begin(part, state->base_offset, state->end_offset);
    uint64_t records = records_of(segment, state);
    uint64_t owed = 0;
    bool small = state->bytes <= small_bytes;
    weir_kept_range range;
    *ranges = 0;
    while (*left > 0 && (small || records > SHARE * (owed + 1))) {
        (*left)--;
        if (!owed_next(&walk, &range)) {
            return records > SHARE * (owed + 1) ? KIND_SPARSE : KIND_SMALL;
        }
        owed += (uint64_t)(range.last - range.first) + 1;
        (*ranges)++;
    }
    return KIND_FULL;
}

/* Where the look goes on next time, when it could not end: behind a segment that alone is too much. */
static int64_t resume_at(const weir_partition *partition, const weir_sparse_look *look, uint32_t at,
                         uint32_t begun)
{
    weir_segment_state state;
    weir_segment_state_of(partition->segments[look->count > 0 ? look->first : at], &state);
    return look->count == 0 && at == begun ? state.end_offset : state.base_offset;
}

void weir_sparse_find(const weir_partition *partition, weir_sparse_look *look)
{
    const weir_group_part *part = part_of(partition);
    int64_t fresh = part != NULL ? weir_settlement_fresh(part->settlement) : 0;
    int64_t from = look->next;
    uint32_t left = LOOKED_MAX;
    uint32_t begun = look->closed;
    uint32_t most = look->most > 0 ? look->most : SEGMENTS_MAX;
    uint32_t all = 0;
    bool worth = false;
    look->count = 0;
    look->bytes = 0;
    look->next = 0; /* the list was seen to its end */
    for (uint32_t i = 0; i < look->closed && look->count < most; i++) {
        weir_segment_state state;
        uint32_t ranges = 0;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.end_offset > fresh || state.end_offset > partition->visible_offset) {
            break; /* [Y1] */
        }
        if (state.base_offset < from) {
            continue;
        }
        begun = i < begun ? i : begun;
        kind is = kind_of(part, partition->segments[i], &state, look->small_bytes, &left, &ranges);
        if (left == 0 && !worth) {
            look->next = resume_at(partition, look, i, begun);
            look->count = 0;
            return;
        }
        bool fits = is != KIND_FULL && all + ranges <= RANGES_MAX;
        if (!fits && worth) {
            return;
        }
        if (!fits || look->count == 0) { /* it begins here, or behind */
            all = 0;
            look->first = i;
            look->count = 0;
            look->bytes = 0;
        }
        if (is != KIND_FULL && ranges <= RANGES_MAX) {
            all += ranges;
            look->count++;
            look->bytes += state.bytes;
            worth |= is == KIND_SPARSE;
        }
    }
    look->count = worth ? look->count : 0;
}

/* ---- What is to stay ---------------------------------------------------------------------------- */

weir_err weir_sparse_ranges(const weir_partition *partition, int64_t begin, int64_t end,
                            weir_kept_range **ranges, uint32_t *count)
{
    const weir_group_part *part = part_of(partition);
    weir_kept_range *made = part != NULL ? malloc(RANGES_MAX * sizeof(*made)) : NULL;
    weir_kept_range range;
    uint32_t used = 0;
    if (made == NULL) {
        return part != NULL ? WEIR_NO_MEMORY : WEIR_AGAIN;
    }
    owed_walk walk = owed_begin(part, begin, end);
    while (owed_next(&walk, &range)) {
        if (used > 0 && made[used - 1].last + 1 == range.first) {
            made[used - 1].last = range.last;
        } else if (used < RANGES_MAX) {
            made[used++] = range;
        } else {
            free(made);
            return WEIR_AGAIN;
        }
    }
#ifdef WEIR_PLANT_OWED_FORGOTTEN /* a bug on purpose, by which the simulation is tested */
    used -= used > 1 ? 1 : 0;
#endif
    *ranges = made;
    *count = used;
    return WEIR_OK;
}

bool weir_sparse_covers(const weir_partition *partition, int64_t begin, int64_t end,
                        const weir_kept_range *ranges, uint32_t count)
{
    const weir_group_part *part = part_of(partition);
    weir_kept_range range;
    uint32_t i = 0;
    if (part == NULL) {
        return false;
    }
    owed_walk walk = owed_begin(part, begin, end);
    while (owed_next(&walk, &range)) {
        while (i < count && ranges[i].last < range.first) {
            i++;
        }
#ifndef WEIR_PLANT_OWED_FORGOTTEN
        if (i == count || ranges[i].first > range.first || ranges[i].last < range.last) {
            return false; /* a reset */
        }
#endif
    }
    return true;
}
