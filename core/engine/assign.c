/* core/engine/assign.c - divides partitions among the members of a stream group.
 *
 *   holders now        A A A A A A A A   (8, and B has joined)
 *   quota              A 4, B 4
 *   A gives up         A . A . A . A .   every second one, so that each topic is shared
 *   B gets             A B A B A B A B
 *
 * A partition stays where it was meant to be; when that member is gone, with who still has it. Each
 * member may keep its quota: the number of partitions over the number of members, and one more for
 * as many as the division leaves over; those who have the most get that one more. What is over the
 * quota is given up: first what the member does not have yet, then evenly along its list. What
 * nobody holds goes round among those below their quota.
 *
 * [A1] Counts differ by at most one.
 * [A2] Moved are only partitions without a holder and those over a quota: no balanced assignment
 *      moves fewer.
 * Linear in partitions and members. */
#include "core/engine/assign.h"

#include "core/base/assert.h"

#include <string.h>

typedef struct division {
    weir_assign_part *parts;
    uint32_t part_count;
    uint32_t member_count;
    uint32_t *counts; /* partitions each has */
    uint32_t *quotas;
    uint32_t *before; /* its count when evenly giving up began */
    uint32_t *seen;   /* of those */
} division;

/* Where each partition is now: its target, unless that is gone. */
static void count_holders(division *of)
{
    for (uint32_t i = 0; i < of->part_count; i++) {
        weir_assign_part *part = &of->parts[i];
        part->target = part->target == WEIR_ASSIGN_NOBODY ? part->owner : part->target;
        if (part->target != WEIR_ASSIGN_NOBODY) {
            WEIR_ASSERT(part->target < of->member_count);
            of->counts[part->target]++;
        }
    }
}

static void set_quotas(division *of)
{
    uint32_t share = of->part_count / of->member_count;
    uint32_t over = of->part_count % of->member_count;
    for (uint32_t i = 0; i < of->member_count; i++) {
        bool more = of->counts[i] > share && over > 0;
        of->quotas[i] = share + (more ? 1 : 0);
        over -= more ? 1 : 0;
    }
    for (uint32_t i = 0; i < of->member_count && over > 0; i++) {
        if (of->quotas[i] == share) {
            of->quotas[i]++;
            over--;
        }
    }
}

static void give_up(division *of, weir_assign_part *part)
{
    of->counts[part->target]--;
    part->target = WEIR_ASSIGN_NOBODY;
}

/* What a member was to get and does not have yet costs nothing to take away. */
static void give_up_unowned(division *of)
{
    for (uint32_t i = of->part_count; i-- > 0;) {
        weir_assign_part *part = &of->parts[i];
        if (part->target != WEIR_ASSIGN_NOBODY && part->target != part->owner &&
            of->counts[part->target] > of->quotas[part->target]) {
            give_up(of, part);
        }
    }
}

/* Of `before` partitions the surplus goes, spread evenly over them. */
static void give_up_evenly(division *of)
{
    memcpy(of->before, of->counts, of->member_count * sizeof(*of->before));
    for (uint32_t i = 0; i < of->part_count; i++) {
        weir_assign_part *part = &of->parts[i];
        uint32_t member = part->target;
        if (member == WEIR_ASSIGN_NOBODY || of->before[member] <= of->quotas[member]) {
            continue;
        }
        uint64_t surplus = of->before[member] - of->quotas[member];
        uint64_t place = of->seen[member]++;
        if ((place + 1) * surplus / of->before[member] > place * surplus / of->before[member]) {
            give_up(of, part);
        }
    }
}

static void hand_round(division *of)
{
    uint32_t member = 0;
    for (uint32_t i = 0; i < of->part_count; i++) {
        weir_assign_part *part = &of->parts[i];
        if (part->target != WEIR_ASSIGN_NOBODY) {
            continue;
        }
        while (of->counts[member] >= of->quotas[member]) {
            member = (member + 1) % of->member_count; /* the quotas add up: one has room */
        }
        part->target = member;
        of->counts[member]++;
        member = (member + 1) % of->member_count;
    }
}

void weir_assign(weir_assign_part *parts, uint32_t part_count, uint32_t member_count,
                 uint32_t *scratch)
{
    division of = {.parts = parts, .part_count = part_count, .member_count = member_count};
    if (member_count == 0) {
        for (uint32_t i = 0; i < part_count; i++) {
            parts[i].target = WEIR_ASSIGN_NOBODY;
        }
        return;
    }
    memset(scratch, 0, (size_t)WEIR_ASSIGN_SCRATCH * member_count * sizeof(*scratch));
    of.counts = scratch;
    of.quotas = scratch + member_count;
    of.before = scratch + 2 * (size_t)member_count;
    of.seen = scratch + 3 * (size_t)member_count;
    count_holders(&of);
    set_quotas(&of);
    give_up_unowned(&of);
    give_up_evenly(&of);
    hand_round(&of);
}
