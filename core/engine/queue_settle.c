/* core/engine/queue_settle.c - what members of a queue group say of records that they have.
 *
 *   ranges --those under the lease, in its epoch--> one entry 27 per partition and outcome
 *          --the others----------------------------> refused, counted: LEASE_LOST
 *
 * An answer is good as long as the record is under the lease that it names, whoever shows it: a
 * member that lost its connection and joined again settles what it has. What came too late changes
 * nothing [G2]. What is settled is in the open unit when this returns; its confirmation waits for
 * the topic's level.
 *
 * Ranges may be wide and lie over each other: one answer looks at RUNS_MAX runs of records at most, or
 * is refused (LIMIT) before any of it happens. Only when it cuts runs into pieces that its later
 * ranges look at again may what came before stand, as when the disk is full. */
#include "core/engine/queue.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 1 << 20 }; /* about 0.1 s: nobody else is served meanwhile */

typedef struct answering {
    weir_engine *engine;
    weir_member *member;
    weir_queue *queue;
    const weir_settle *settle;
    weir_settled *settled;
    /* of the ranges so far, not told yet */
    weir_group_part *part;
    uint64_t pending;
    int64_t collected; /* the last of them */
    /* what was looked up last */
    weir_bytes topic_name;
    const weir_topic *topic;
    weir_lease lease;
    uint32_t runs; /* looked at */
} answering;

static weir_group_part *part_of(answering *a, const weir_settle_range *range)
{
    if (a->topic == NULL || !weir_bytes_equal(a->topic_name, range->topic)) {
        a->topic = weir_topics_find(a->engine, range->topic);
        a->topic_name = range->topic;
    }
    return a->topic == NULL
               ? NULL
               : weir_group_part_find(a->member->group, a->topic->id, range->partition);
}

static bool lease_good(answering *a, const weir_group_part *part, uint64_t number)
{
#ifdef WEIR_PLANT_LATE_LEASE /* a bug on purpose, by which the simulation is tested */
    a->lease = (weir_lease){.number = number, .last = INT64_MAX};
    return part != NULL;
#else
    return weir_settlement_lease(part->settlement, number, &a->lease) &&
           a->lease.epoch == a->settle->epoch;
#endif
}

static bool is_under(const weir_settlement_run *run, uint64_t lease)
{
#ifdef WEIR_PLANT_LATE_LEASE /* a bug on purpose, by which the simulation is tested */
    lease = run->lease;
#endif
    return run->state == WEIR_RECORD_LEASED && !run->held && run->lease == lease;
}

/* ---- Outcomes ----------------------------------------------------------------------------------- */

static weir_settling settling_of(const answering *a)
{
    const weir_settle *settle = a->settle;
    const weir_group *group = a->member->group;
    weir_settling settling = {
        .member = a->member, .reason = settle->reason, .event = WEIR_EVENT_ACCEPTED};
    int64_t delay = settle->delay_ms > 0 ? settle->delay_ms : 0;
    switch (settle->verb) {
    case WEIR_VERB_RELEASE:
        if (settle->failed && group->options.retry_delay_ms > delay) {
            delay = group->options.retry_delay_ms;
        }
        settling.event = settle->failed ? WEIR_EVENT_FAILED : WEIR_EVENT_RELEASED;
        settling.failed = settle->failed;
#ifdef WEIR_PLANT_RELEASE_FAILS /* a bug on purpose, by which the simulation is tested */
        settling.failed = true;
#endif
        delay = delay < INT64_MAX / 2 ? delay : INT64_MAX / 2;
        settling.until = delay > 0 ? a->engine->engine_ms + delay : 0;
        break;
    case WEIR_VERB_REJECT:
        settling.event = WEIR_EVENT_REJECTED;
        break;
    default:
        settling.fate = WEIR_FATE_ACCEPTED;
        break;
    }
    return settling;
}

static void keys_settled(weir_group_part *part, const weir_queue_items *items)
{
    for (uint32_t i = 0; i < items->count && part->queue->keys != NULL; i++) {
        weir_keys_settled(part, items->items[i].first,
                          items->items[i].first + items->items[i].count - 1);
    }
}

/* Tells what was collected. */
static weir_err outcome(answering *a)
{
    weir_group_part *part = a->part;
    weir_settling settling = settling_of(a);
    weir_queue_items *items = &a->queue->items;
    bool full = a->queue->unsettled >= (uint64_t)part->group->options.unsettled_max;
    if (settling.fate != WEIR_FATE_ACCEPTED) {
        return weir_queue_fail(a->engine, part, &settling, items);
    }
    weir_err err = weir_queue_tell(a->engine, part, &settling, items->items, items->count);
    if (err == WEIR_OK) {
        keys_settled(part, items);
    }
    if (err == WEIR_OK && full) {
        weir_group_ready(part->group, part); /* takes may have waited for room */
        weir_groups_due(a->engine);
    }
    return err;
}

static weir_err flush(answering *a)
{
    weir_err err = WEIR_OK;
    if (a->queue->items.count > 0) {
        err = outcome(a);
        if (err == WEIR_OK) {
            a->settled->records += a->pending;
            weir_level level = weir_queue_level(a->part);
            a->settled->level = level > a->settled->level ? level : a->settled->level;
        }
    }
    a->queue->items.count = 0;
    a->pending = 0;
    a->collected = -1;
    return err;
}

/* ---- Ranges ------------------------------------------------------------------------------------- */

/* Who has them has less; before they are told, while the lease is known. */
static void member_less(answering *a, uint64_t records)
{
    weir_member *member = a->member;
    if (a->lease.member != member->number) {
        weir_queue_member_less(member->group, a->lease.member, records);
        return;
    }
    bool full = member->leased >= (uint64_t)member->group->options.leased_max;
    member->leased -= records < member->leased ? records : member->leased;
    if (full && member->takes) {
        weir_member_due(member);
    }
}

static weir_err collect(answering *a, const weir_settlement_run *run, int64_t first, int64_t last)
{
    weir_queue_item item = {.first = first,
                            .count = (uint32_t)(last - first + 1),
                            .leased = run->leased,
                            .failed = run->failed};
    weir_err err = weir_queue_item_add(&a->queue->items, &item);
    if (err == WEIR_OK) {
        a->pending += item.count;
        a->collected = last > a->collected ? last : a->collected;
        member_less(a, item.count);
    }
    return err;
}

/* The range's next records under the lease, from *at on, and behind them *at. EMPTY: no more. LIMIT. */
static weir_err range_next(answering *a, const weir_group_part *part,
                           const weir_settle_range *range, int64_t *at, weir_settlement_run *run)
{
    int64_t end = range->last < a->lease.last ? range->last : a->lease.last;
    *at = *at > a->lease.first ? *at : a->lease.first;
    while (*at <= end && weir_settlement_next(part->settlement, *at, run) && run->first <= end) {
        run->first = run->first > *at ? run->first : *at;
        run->last = run->last < end ? run->last : end;
        *at = run->last + 1;
        if (++a->runs > RUNS_MAX) {
            return WEIR_LIMIT;
        }
        if (is_under(run, range->lease)) {
            return WEIR_OK;
        }
    }
    return WEIR_EMPTY;
}

/* *good: its records that are under the lease, and were collected. */
static weir_err settle_range(answering *a, weir_group_part *part, const weir_settle_range *range,
                             uint64_t *good)
{
    weir_settlement_run run;
    int64_t at = range->first;
    weir_err err = range_next(a, part, range, &at, &run);
    while (err == WEIR_OK) {
        if (a->queue->items.count >= WEIR_QUEUE_ITEMS_MAX) {
            err = flush(a); /* the lease still has these */
        }
        err = err == WEIR_OK ? collect(a, &run, run.first, run.last) : err;
        if (err == WEIR_OK) {
            *good += (uint64_t)(run.last - run.first + 1);
            err = range_next(a, part, range, &at, &run);
        }
    }
    return err == WEIR_EMPTY ? WEIR_OK : err;
}

/* The lease of these records begins anew, with all that is under it: in memory alone. */
static weir_err renew_range(answering *a, weir_group_part *part, const weir_settle_range *range,
                            uint64_t *good)
{
    weir_settlement_run run;
    weir_err err = WEIR_OK;
    int64_t at = range->first;
    int64_t lease_ms = part->group->options.lease_ms;
    while ((err = range_next(a, part, range, &at, &run)) == WEIR_OK) {
        *good += (uint64_t)(run.last - run.first + 1);
    }
    if (*good > 0) {
        int64_t deadline = lease_ms < 0 ? INT64_MAX : a->engine->engine_ms + lease_ms;
        weir_settlement_lease_renew(part->settlement, range->lease, deadline);
        weir_queue_look_at(a->engine, part->group, deadline);
        a->settled->lease_ms = lease_ms;
        a->settled->records += *good;
    }
    return err == WEIR_EMPTY ? WEIR_OK : err;
}

/* Whether the range is one of this group's, and its lease is held. */
static bool range_good(answering *a, const weir_group_part *part, const weir_settle_range *range)
{
    return part != NULL && part->partition != NULL && range->first >= 0 &&
           lease_good(a, part, range->lease);
}

/* LIMIT: as it is now, all of it would look at more runs than one answer may. So many records cannot
 * be more runs: most answers are not even looked at. */
static weir_err ranges_few(answering *a)
{
    uint64_t records = 0;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < a->settle->range_count && records <= RUNS_MAX; i++) {
        const weir_settle_range *range = &a->settle->ranges[i];
        records += (uint64_t)(range->last - range->first) + 1;
    }
    for (uint32_t i = 0; records > RUNS_MAX && i < a->settle->range_count && err != WEIR_LIMIT;
         i++) {
        const weir_settle_range *range = &a->settle->ranges[i];
        const weir_group_part *part = part_of(a, range);
        weir_settlement_run run;
        int64_t at = range->first;
        err = range_good(a, part, range) ? WEIR_OK : WEIR_EMPTY;
        while (err == WEIR_OK) {
            err = range_next(a, part, range, &at, &run);
        }
    }
    a->runs = 0;
    return err == WEIR_LIMIT ? err : WEIR_OK;
}

/* All of it has an end: somebody settled it, or it was removed. */
static bool range_ended(const weir_group_part *part, const weir_settle_range *range)
{
    weir_settlement_run run;
    if (part == NULL || part->partition == NULL || range->first < part->start ||
        range->last >= weir_settlement_fresh(part->settlement)) {
        return false;
    }
    return !weir_settlement_next(part->settlement, range->first, &run) || run.first > range->last;
}

static weir_err one_range(answering *a, const weir_settle_range *range)
{
    weir_group_part *part = part_of(a, range);
    uint64_t records = weir_settle_range_records(part, range);
    uint64_t good = 0;
    weir_err err = WEIR_OK;
    if (part != a->part || range->first <= a->collected) { /* or what is named twice counts twice */
        err = flush(a);
        a->part = part;
    }
    if (err == WEIR_OK && range_good(a, part, range)) {
        err = a->settle->verb == WEIR_VERB_RENEW ? renew_range(a, part, range, &good)
                                                 : settle_range(a, part, range, &good);
    }
    a->settled->refused += records > good ? records - good : 0;
    a->settled->ended += good == 0 && range_ended(part, range) ? records : 0;
    return err;
}

/* ---- Renewals ----------------------------------------------------------------------------------- */

/* By where they are and under which lease, then by offset. */
static int lease_compare(const weir_settle_range *a, const weir_settle_range *b)
{
    size_t len = a->topic.len < b->topic.len ? a->topic.len : b->topic.len;
    int order = len > 0 ? memcmp(a->topic.ptr, b->topic.ptr, len) : 0;
    if (order == 0 && a->topic.len != b->topic.len) {
        order = a->topic.len < b->topic.len ? -1 : 1;
    }
    if (order == 0 && a->partition != b->partition) {
        order = a->partition < b->partition ? -1 : 1;
    }
    if (order == 0 && a->lease != b->lease) {
        order = a->lease < b->lease ? -1 : 1;
    }
    return order;
}

static int range_compare(const void *a, const void *b)
{
    const weir_settle_range *left = *(const weir_settle_range *const *)a;
    const weir_settle_range *right = *(const weir_settle_range *const *)b;
    int order = lease_compare(left, right);
    return order != 0 ? order : (left->first > right->first) - (left->first < right->first);
}

/* A renewal leaves its records where they are, so that ranges over each other find them again: each
 * record counts once. */
static weir_err renew_all(answering *a)
{
    uint32_t count = a->settle->range_count;
    const weir_settle_range **order = malloc((count + 1) * sizeof(*order));
    int64_t seen = -1; /* the last offset of the same lease that was looked at */
    weir_err err = order == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        order[i] = &a->settle->ranges[i];
    }
    if (err == WEIR_OK) {
        qsort(order, count, sizeof(*order), range_compare);
    }
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_settle_range range = *order[i];
        seen = i > 0 && lease_compare(order[i - 1], order[i]) == 0 ? seen : -1;
        range.first = range.first > seen ? range.first : seen + 1;
        if (range.first <= range.last) {
            err = one_range(a, &range);
            seen = range.last;
        }
    }
    free(order);
    return err;
}

/* ---- The answer --------------------------------------------------------------------------------- */

static bool ranges_sound(const weir_settle *settle)
{
    bool sound = settle->verb >= WEIR_VERB_ACCEPT && settle->verb <= WEIR_VERB_RENEW;
    for (uint32_t i = 0; i < settle->range_count && sound; i++) {
        const weir_settle_range *range = &settle->ranges[i];
        sound = range->first >= 0 && range->last >= range->first && range->last < INT64_MAX;
    }
    return sound;
}

static void leased_recount(weir_member *member)
{
    const weir_group *group = member->group;
    member->leased = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_lease lease;
        uint32_t position = 0;
        while (weir_settlement_lease_walk(group->parts[i]->settlement, &position, &lease)) {
            member->leased += lease.member == member->number ? lease.count : 0;
        }
    }
}

weir_err weir_queue_settle(weir_engine *engine, weir_member *member, const weir_settle *settle,
                           weir_settled *settled, uint64_t *unit)
{
    weir_group *group = member->group;
    answering a = {.engine = engine,
                   .member = member,
                   .queue = group->queue,
                   .settle = settle,
                   .settled = settled,
                   .collected = -1};
    weir_err err = ranges_sound(settle) ? WEIR_OK : WEIR_INVALID;
    err = err == WEIR_OK ? ranges_few(&a) : err;
    a.queue->items.count = 0;
    bool renews = settle->verb == WEIR_VERB_RENEW;
    err = err == WEIR_OK && renews ? renew_all(&a) : err;
    for (uint32_t i = 0; i < settle->range_count && err == WEIR_OK && !renews; i++) {
        err = one_range(&a, &settle->ranges[i]);
    }
    err = err == WEIR_OK ? flush(&a) : err;
    a.queue->items.count = 0;
    if (err != WEIR_OK) {
        leased_recount(member); /* some of it may not have been told */
    }
    *unit = weir_engine_unit_now(engine);
    if (err == WEIR_OK && settled->refused > 0) {
        group->late_refused += settled->refused;
        engine->stats.late_refused += settled->refused;
        bool nothing = group->options.mode == WEIR_MODE_AT_MOST_ONCE && settled->records == 0;
        err = nothing ? WEIR_NOT_OFFERED : WEIR_LEASE_LOST;
    }
    return err;
}
