/* core/engine/sparse.c - segments of a queue topic in which little is owed: which, and what of them.
 *
 *   closed segments   | A: 3 of 900 | B: 0 of 800 | C: 700 of 700 | D: 2 of 900 |  fresh ...
 *   this look finds     A, B                                   (D: when A and B are done)
 *   the same, a look later: the compactor writes what is owed of A and B beside them, and
 *   compact.c lets that take their place
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
#include "core/engine/group.h"
#include "core/engine/settlement.h"

#include <stdlib.h>

enum {
    SEGMENTS_MAX = 4096, /* of one piece of work */
    RANGES_MAX = 32768,  /* looked at, or copied, in one turn */
    SHARE = 4,           /* sparse: less than one in four is owed */
};

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

/* The first owed range at or behind `at`, cut to [at, end). */
static bool owed_next(const weir_group_part *part, int64_t at, int64_t end, weir_kept_range *range)
{
    weir_settlement_run run;
    int64_t fresh = weir_settlement_fresh(part->settlement);
    if (weir_settlement_next(part->settlement, at, &run) && run.first < end) {
        range->first = run.first > at ? run.first : at;
        range->last = run.last < end ? run.last : end - 1;
        return true;
    }
    range->first = fresh > at ? fresh : at;
    range->last = end - 1;
    return range->first < end;
}

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

/* `left`: of RANGES_MAX. False when it is not sparse, or *left came to 0. */
static bool is_sparse(const weir_group_part *part, const weir_segment *segment,
                      const weir_segment_state *state, uint32_t *left)
{
    weir_kept_range range;
    uint64_t records = records_of(segment, state);
    uint64_t owed = 0;
    int64_t at = state->base_offset;
    while (records > SHARE * (owed + 1) && *left > 0) {
        if (!owed_next(part, at, state->end_offset, &range)) {
            return true;
        }
        owed += (uint64_t)(range.last - range.first) + 1;
        at = range.last + 1;
        (*left)--;
    }
    return false;
}

uint64_t weir_sparse_find(const weir_partition *partition, uint32_t closed, uint32_t *first,
                          uint32_t *count, int64_t *next)
{
    const weir_group_part *part = part_of(partition);
    int64_t fresh = part != NULL ? weir_settlement_fresh(part->settlement) : 0;
    uint32_t left = RANGES_MAX;
    uint64_t bytes = 0;
    int64_t from = *next;
    bool first_look = true;
    *count = 0;
    *next = 0; /* the list was seen to its end */
    for (uint32_t i = 0; i < closed && *count < SEGMENTS_MAX; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.end_offset > fresh || state.end_offset > partition->visible_offset) {
            break; /* [Y1] */
        }
        if (state.base_offset < from) {
            continue;
        }
        if (is_sparse(part, partition->segments[i], &state, &left)) {
            *first = *count == 0 ? i : *first;
            *count += 1;
            bytes += state.bytes;
        } else if (left == 0) {
            *next = first_look ? state.end_offset : state.base_offset; /* it alone is too much */
            break;
        } else if (*count > 0) {
            break;
        }
        first_look = false;
    }
    return bytes;
}

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
    for (int64_t at = begin; owed_next(part, at, end, &range); at = range.last + 1) {
        if (used > 0 && made[used - 1].last + 1 == range.first) {
            made[used - 1].last = range.last;
        } else if (used < RANGES_MAX) {
            made[used++] = range;
        } else {
            free(made);
            return WEIR_AGAIN;
        }
    }
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
    for (int64_t at = begin; owed_next(part, at, end, &range); at = range.last + 1) {
        while (i < count && ranges[i].last < range.first) {
            i++;
        }
        if (i == count || ranges[i].first > range.first || ranges[i].last < range.last) {
            return false; /* a reset */
        }
    }
    return true;
}
