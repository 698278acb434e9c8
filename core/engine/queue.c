/* core/engine/queue.c - queue groups: their parts and members, and what time does to records.
 *
 *   fresh --take (26)--> leased --accept (27)-----------------------------> gone
 *     |                    |  ^--renew: memory alone
 *     |                    +--release, orderly leave (27)--> waiting --take--> ...
 *     |                    +--lease over, connection lost, failed (27) --> waiting, one failure more
 *     |                    |       at delivery_limit, or rejected: dead letter, or an end (27)
 *     +--expired, superseded, unmatched, delayed (26)
 *
 * Any member may have any record. What it has is under a lease, whose deadline is in memory: a lease
 * that is over is journalled by its ranges like everything else, and a start gives each its full time
 * again. Records that retention removed before they were settled are found by a turn after the trim,
 * and expire.
 *
 * A turn costs nothing until the earliest lease or delay ends (look_ms, which may be early, never
 * late). */
#include "core/engine/queue.h"

#include <stdlib.h>
#include <string.h>

static bool whole_topic(const weir_group *group, const weir_partition *partition)
{
    weir_bytes filter = group->options.filter;
    if (group->options.topic_count > 0 || partition == NULL) {
        return true;
    }
    weir_bytes topic = {partition->topic->ref->name, partition->topic->ref->name_bytes};
    return filter.len > 0 && filter.ptr[filter.len - 1] == '#' &&
           weir_filter_matches(filter, topic);
}

/* ---- Groups and parts --------------------------------------------------------------------------- */

weir_err weir_queue_make(weir_engine *engine, weir_group *group)
{
    weir_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL) {
        return WEIR_NO_MEMORY;
    }
    queue->group = group;
    queue->lease_next = engine->groups.lease_last + 1; /* an old token is nobody's in a new group */
    queue->look_ms = INT64_MAX;
    queue->keys_max = WEIR_QUEUE_KEYS_MAX;
    queue->mover.group = group;
    queue->spiller.group = group;
    weir_link_init(&queue->moving);
    group->queue = queue;
    return WEIR_OK;
}

void weir_queue_free(weir_group *group)
{
    weir_queue *queue = group->queue;
    if (queue != NULL) {
        weir_member_reads_end(&queue->mover);
        weir_member_reads_end(&queue->spiller);
        weir_map_fini(&queue->members);
        free(queue->items.items);
        free(queue->dead.items);
        free(queue->handed);
        free(queue->numbers);
        free(queue);
        group->queue = NULL;
    }
}

weir_err weir_queue_part_make(weir_engine *engine, weir_group_part *part)
{
    weir_queue_part *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return WEIR_NO_MEMORY;
    }
    own->engine = engine;
    own->part = part;
    own->whole = whole_topic(part->group, part->partition);
    weir_link_init(&own->moves);
    weir_settlement_watch watch = {weir_queue_page_changed, weir_queue_page_gone, own};
    weir_err err = weir_settlement_create(part->start, &watch, &part->settlement);
    if (err != WEIR_OK) {
        free(own);
        return err;
    }
    part->queue = own;
    weir_queue_page_changed(own, weir_settlement_head(part->settlement));
    return WEIR_OK;
}

static void records_forgotten(weir_group_part *part)
{
    weir_queue *queue = part->group->queue;
    weir_lease lease;
    uint32_t position = 0;
    while (weir_settlement_lease_walk(part->settlement, &position, &lease)) {
        weir_queue_member_less(part->group, lease.member, lease.count);
    }
    queue->unsettled -= weir_settlement_unsettled(part->settlement);
}

void weir_queue_part_free(weir_group_part *part)
{
    if (part->queue == NULL) {
        return;
    }
    records_forgotten(part);
    weir_queue_moves_free(part->queue);
    weir_keys_free(part->queue);
    weir_overflow_forget(part->queue);
    weir_settlement_destroy(part->settlement);
    part->settlement = NULL;
    free(part->queue);
    part->queue = NULL;
}

void weir_queue_part_gone(weir_engine *engine, weir_group_part *part)
{
    weir_settlement_page *page;
    uint32_t position = 0;
    (void)engine;
    while ((page = weir_settlement_page_walk(part->settlement, &position)) != NULL) {
        weir_queue_page_gone(part->queue, page);
    }
    weir_queue_page_gone(part->queue, weir_settlement_head(part->settlement));
}

void weir_queue_part_reset(weir_engine *engine, weir_group_part *part, int64_t start, uint64_t unit)
{
    records_forgotten(part);
    weir_queue_moves_free(part->queue);
    weir_keys_forget(part->queue);
    weir_overflow_forget(part->queue);
    weir_settlement_reset(part->settlement, start, unit);
    part->group->queue->unsettled += weir_settlement_unsettled(part->settlement);
    part->queue->trimmed = true; /* it may begin below what is there */
    weir_queue_look_at(engine, part->group, 0);
}

uint64_t weir_queue_part_held(const weir_group_part *part)
{
    return part->queue != NULL ? part->queue->held_most : 0;
}

weir_level weir_queue_level(const weir_group_part *part)
{
    return part->partition->topic->options.level;
}

void weir_queue_look_at(weir_engine *engine, weir_group *group, int64_t time_ms)
{
    weir_queue *queue = group->queue;
    if (time_ms < queue->look_ms) {
        queue->look_ms = time_ms;
        weir_group_busy(engine, group);
    }
}

static int64_t lease_deadline(const weir_engine *engine, const weir_group *group)
{
    int64_t lease_ms = group->options.lease_ms;
    return lease_ms < 0 ? INT64_MAX : engine->engine_ms + lease_ms;
}

void weir_queue_started(weir_engine *engine, weir_group *group)
{
    int64_t deadline = lease_deadline(engine, group);
    /* Who held them may come again and show the token; an endless lease would wait for ever. */
    int64_t session = engine->engine_ms + group->options.session_ms;
    group->queue->unsettled = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_part *part = group->parts[i];
        weir_settlement_tidy(part->settlement);
        weir_settlement_leases_renew(part->settlement, deadline == INT64_MAX ? session : deadline);
        group->queue->unsettled += weir_settlement_unsettled(part->settlement);
        part->queue->trimmed = true;
        weir_queue_moves_find(part);
    }
    weir_queue_look_at(engine, group, 0);
}

/* ---- Members ------------------------------------------------------------------------------------ */

static weir_bytes number_key(const uint64_t *number)
{
    return (weir_bytes){(const uint8_t *)number, sizeof(*number)};
}

weir_member *weir_queue_member_of(const weir_group *group, uint64_t number)
{
    return weir_map_get(&group->queue->members, number_key(&number));
}

void weir_queue_member_less(weir_group *group, uint64_t number, uint64_t records)
{
    weir_member *member = weir_queue_member_of(group, number);
    if (member != NULL) {
        member->leased -= records < member->leased ? records : member->leased;
        if (member->takes) {
            weir_member_due(member); /* it may have been at leased_max */
        }
    }
}

weir_err weir_queue_join(weir_engine *engine, weir_member *member)
{
    weir_queue *queue = member->group->queue;
    member->leased = 0;
    weir_group_busy(engine, member->group);
    return weir_map_set(&queue->members, number_key(&member->number), member);
}

static void all_ready(weir_group *group)
{
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_ready(group, group->parts[i]);
    }
}

void weir_queue_altered(weir_group *group)
{
    all_ready(group);
}

/* ---- Leases that end ---------------------------------------------------------------------------- */

/* Until when records wait that failed, or were given back. */
static int64_t retry_at(const weir_engine *engine, const weir_group *group)
{
    int64_t delay = group->options.retry_delay_ms;
    return delay > 0 ? engine->engine_ms + delay : 0;
}

/* Told in pieces that an entry takes; what could not be is left as it is. */
static weir_err tell_all(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_items *items)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < items->count && err == WEIR_OK; i += WEIR_QUEUE_ITEMS_MAX) {
        uint32_t left = items->count - i;
        left = left < WEIR_QUEUE_ITEMS_MAX ? left : WEIR_QUEUE_ITEMS_MAX;
        err = weir_queue_tell(engine, part, settling, &items->items[i], left);
    }
    return err;
}

static void part_waits(weir_engine *engine, weir_group_part *part, int64_t until)
{
    if (until == 0) {
        weir_group_ready(part->group, part);
        weir_groups_due(engine);
    } else {
        weir_queue_look_at(engine, part->group, until);
    }
}

/* Records at their limit, or rejected: to the dead-letter topic, or to their end. */
static weir_err end_all(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                        const weir_queue_items *items)
{
    bool rejected = settling->event == WEIR_EVENT_REJECTED;
    weir_settling end = *settling;
    if (!weir_queue_dead_letters(engine, part->group)) {
        end.fate = rejected ? WEIR_FATE_REJECTED : WEIR_FATE_DROPPED;
        end.event = rejected ? WEIR_EVENT_REJECTED : WEIR_EVENT_DROPPED;
        end.why = rejected ? NULL : "delivery-limit";
    } else {
        end.fate = WEIR_FATE_PENDING;
        end.until = WEIR_QUEUE_MOVING;
    }
    weir_err err = tell_all(engine, part, &end, items);
    for (uint32_t i = 0; i < items->count && err == WEIR_OK; i++) {
        int64_t first = items->items[i].first;
        int64_t last = first + items->items[i].count - 1;
        if (end.fate == WEIR_FATE_PENDING) {
            weir_queue_move_add(part, first, last, settling);
        }
        weir_keys_settled(part, first, last);
    }
    weir_group_ready(part->group, part);
    return err;
}

weir_err weir_queue_fail(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_items *items)
{
    const weir_group *group = part->group;
    weir_queue *queue = group->queue;
    int64_t limit = group->options.delivery_limit;
    bool all = settling->event == WEIR_EVENT_REJECTED;
    weir_err err = WEIR_OK;
    uint32_t kept = 0;
    weir_queue_items wait = *items;
    queue->dead.count = 0;
    for (uint32_t i = 0; i < items->count && err == WEIR_OK; i++) {
        weir_queue_item item = items->items[i];
        bool over = settling->failed && limit > 0 && (int64_t)item.failed + 1 >= limit;
        if (all || over) {
            err = weir_queue_item_add(&queue->dead, &item);
        } else {
            wait.items[kept++] = item;
        }
    }
    wait.count = kept;
    err = err == WEIR_OK ? tell_all(engine, part, settling, &wait) : err;
    if (err == WEIR_OK && kept > 0) {
        part_waits(engine, part, settling->until);
    }
    return err == WEIR_OK && queue->dead.count > 0 ? end_all(engine, part, settling, &queue->dead)
                                                   : err;
}

/* All records of a lease that are there go back. False: the journal has no room now. */
static bool lease_over(weir_engine *engine, weir_group_part *part, const weir_lease *lease,
                       weir_settling *settling)
{
    weir_queue *queue = part->group->queue;
    weir_settlement_run run;
    weir_err err = WEIR_OK;
    int64_t from = 0;
    queue->items.count = 0;
    settling->until = settling->failed ? retry_at(engine, part->group) : 0;
    while (err == WEIR_OK && weir_settlement_lease_next(part->settlement, lease, from, &run)) {
        weir_queue_item item = {.first = run.first,
                                .count = (uint32_t)(run.last - run.first + 1),
                                .leased = run.leased,
                                .failed = run.failed};
        err = weir_queue_item_add(&queue->items, &item);
        from = run.last + 1;
    }
    err = err == WEIR_OK ? weir_queue_fail(engine, part, settling, &queue->items) : err;
    weir_lease left = {.count = 0};
    (void)weir_settlement_lease(part->settlement, lease->number, &left);
    weir_queue_member_less(part->group, lease->member, lease->count - left.count);
    return err == WEIR_OK;
}

static void again_at(weir_engine *engine, weir_group_part *part, int64_t delay_ms)
{
    weir_queue_look_at(engine, part->group, engine->engine_ms + delay_ms);
    if (delay_ms == 0) {
        weir_groups_due(engine);
    }
}

/* False: there are more, or there is no room now. */
static bool leases_work(weir_engine *engine, weir_group_part *part)
{
    weir_lease lease;
    weir_settling settling = {.event = WEIR_EVENT_LEASE_EXPIRED, .failed = true};
    uint32_t records = 0;
    while (weir_settlement_ended(part->settlement, engine->engine_ms, &lease)) {
        if (records >= WEIR_QUEUE_ENDED_MAX || !lease_over(engine, part, &lease, &settling)) {
            again_at(engine, part, records >= WEIR_QUEUE_ENDED_MAX ? 0 : WEIR_QUEUE_RETRY_MS);
            return false;
        }
        records += lease.count;
    }
    return true;
}

/* The leases of a member, by number: they change while they are given back. */
static weir_err numbers_collect(weir_queue *queue, const weir_group_part *part, uint64_t member,
                                uint32_t *count)
{
    weir_lease lease;
    uint32_t position = 0;
    *count = 0;
    while (weir_settlement_lease_walk(part->settlement, &position, &lease)) {
        if (lease.member != member) {
            continue;
        }
        if (*count == queue->number_capacity) {
            uint32_t capacity = *count < 64 ? 64 : 2 * *count;
            uint64_t *grown = realloc(queue->numbers, capacity * sizeof(*grown));
            if (grown == NULL) {
                return WEIR_NO_MEMORY;
            }
            queue->numbers = grown;
            queue->number_capacity = capacity;
        }
        queue->numbers[(*count)++] = lease.number;
    }
    return WEIR_OK;
}

static void part_left(weir_engine *engine, weir_group_part *part, const weir_member *member,
                      bool orderly)
{
    weir_queue *queue = part->group->queue;
    weir_lease lease;
    uint32_t count = 0;
    weir_err err = numbers_collect(queue, part, member->number, &count);
    for (uint32_t i = 0; i < count; i++) {
        weir_settling settling = {.event =
                                      orderly ? WEIR_EVENT_RETURNED : WEIR_EVENT_CONNECTION_LOST,
                                  .failed = !orderly,
                                  .member = member};
        if (weir_settlement_lease(part->settlement, queue->numbers[i], &lease) &&
            (err != WEIR_OK || !lease_over(engine, part, &lease, &settling))) {
            /* No room to say so: it ends by time instead, at once. */
            weir_settlement_lease_renew(part->settlement, queue->numbers[i], engine->engine_ms);
            weir_queue_look_at(engine, part->group, engine->engine_ms + WEIR_QUEUE_RETRY_MS);
        }
    }
}

void weir_queue_left(weir_engine *engine, weir_member *member, bool orderly)
{
    weir_group *group = member->group;
    for (uint32_t i = 0; i < group->part_count && member->leased > 0; i++) {
        if (weir_settlement_leases(group->parts[i]->settlement) > 0) {
            part_left(engine, group->parts[i], member, orderly);
        }
    }
    member->leased = 0;
    weir_map_remove(&group->queue->members, number_key(&member->number));
    all_ready(group); /* of a single active one another takes the place */
    weir_groups_due(engine);
}

/* ---- Records that retention passed -------------------------------------------------------------- */

void weir_queue_start_moved(weir_engine *engine, weir_group_part *part, weir_fate fate)
{
    (void)fate;
    part->queue->trimmed = true;
    weir_queue_look_at(engine, part->group, 0);
}

/* What is unsettled below the partition's start and went for the same cause as the first of it, in runs,
 * at most ITEMS_MAX; then what is fresh. *why: the cause; NULL: there is nothing. */
static weir_err trimmed_collect(weir_group_part *part, weir_queue_items *items, const char **why)
{
    int64_t last_gone = INT64_MAX - 1;
    *why = weir_trims_reason(part->partition, weir_settlement_floor(part->settlement), &last_gone);
    if (*why == NULL) {
        return WEIR_OK;
    }
    int64_t start = last_gone + 1;
    weir_settlement_run run;
    weir_err err = WEIR_OK;
    int64_t at = 0;
    while (err == WEIR_OK && items->count < WEIR_QUEUE_ITEMS_MAX - 1 && at < start &&
           weir_settlement_next(part->settlement, at, &run) && run.first < start) {
        int64_t last = run.last < start ? run.last : start - 1;
        weir_queue_item item = {.first = run.first,
                                .count = (uint32_t)(last - run.first + 1),
                                .leased = run.leased,
                                .failed = run.failed};
        if (run.state == WEIR_RECORD_LEASED) {
            weir_lease lease;
            (void)weir_settlement_lease(part->settlement, run.lease, &lease);
            weir_queue_member_less(part->group, lease.member, item.count);
        }
        err = weir_queue_item_add(items, &item);
        at = last + 1;
    }
    int64_t fresh = weir_settlement_fresh(part->settlement);
    bool all = items->count < WEIR_QUEUE_ITEMS_MAX - 1;
    if (err == WEIR_OK && all && fresh < start) {
        int64_t count = start - fresh < UINT32_MAX ? start - fresh : UINT32_MAX;
        weir_queue_item item = {.first = fresh, .count = (uint32_t)count};
        err = weir_queue_item_add(items, &item);
    }
    return err;
}

/* An entry in a turn, until nothing is left. */
static void trimmed_work(weir_engine *engine, weir_group_part *part)
{
    weir_queue *queue = part->group->queue;
    weir_settling settling = {.event = WEIR_EVENT_EXPIRED, .fate = WEIR_FATE_EXPIRED};
    if (!part->queue->trimmed || part->partition == NULL) {
        return;
    }
    queue->items.count = 0;
    weir_err err = trimmed_collect(part, &queue->items, &settling.why);
    if (err == WEIR_OK && queue->items.count > 0) {
        err = tell_all(engine, part, &settling, &queue->items);
        weir_keys_settled(part, 0, part->partition->start_offset - 1);
        weir_group_ready(part->group, part);
        again_at(engine, part, err == WEIR_OK ? 0 : WEIR_QUEUE_RETRY_MS);
    } else if (err == WEIR_OK) {
        part->queue->trimmed = false;
    }
}

/* ---- Once a turn -------------------------------------------------------------------------------- */

/* Settling goes on when the disk is full: the journal has a reserve for it. */
static bool writable(const weir_engine *engine)
{
    return atomic_load_explicit(&engine->health, memory_order_relaxed) <= WEIR_HEALTH_DISK_FULL;
}

/* When something of the part ends next; what is due already, is given to whoever takes. */
static int64_t part_next(const weir_engine *engine, weir_group_part *part)
{
    int64_t ends = weir_settlement_ends_at(part->settlement);
    int64_t due = weir_settlement_due_at(part->settlement);
    if (due <= engine->engine_ms) {
        weir_group_ready(part->group, part);
        due = INT64_MAX; /* what waits longer is looked at when these are taken */
    }
    return ends < due ? ends : due;
}

void weir_queue_work(weir_engine *engine, weir_group *group)
{
    weir_queue *queue = group->queue;
    if (engine->engine_ms < queue->look_ms) {
        return;
    }
    if (!writable(engine)) {
        queue->look_ms = engine->engine_ms + WEIR_QUEUE_RETRY_MS;
        return;
    }
    queue->look_ms = INT64_MAX;
    weir_queue_moves_work(engine, group);
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_part *part = group->parts[i];
        trimmed_work(engine, part);
        if (leases_work(engine, part)) {
            weir_queue_look_at(engine, group, part_next(engine, part));
        }
    }
    weir_overflow_work(engine, group); /* what retention took is told by now */
}

uint64_t weir_queue_deadline(const weir_engine *engine, const weir_group *group)
{
    int64_t look_ms = group->queue->look_ms;
    if (look_ms == INT64_MAX) {
        return UINT64_MAX;
    }
    int64_t ahead = look_ms - engine->engine_base_ms;
    return engine->engine_base_ns + (ahead > 0 ? (uint64_t)ahead * 1000000 : 0);
}
