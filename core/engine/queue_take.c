/* core/engine/queue_take.c - what a member of a queue group is given.
 *
 *   parts that are ready, in turn:   due again, the oldest first  |  then fresh ones, below visible
 *                                         v                              v
 *   each record in its chunk:        may it go out? --yes--> taken: a run of the answer
 *                                         +--no: unmatched, expired, superseded, damaged, delayed
 *
 * All of one part that a take has looked at is one entry 26, with a lease of its own. Acquisitions
 * are waited for by nobody; but at-most-once accepts in that entry, and the records leave when its
 * unit has the level of their topic [G5].
 *
 * A record that lies on disk only is read by a job; the take gives what it has, or waits. On a full
 * disk, when the journal's reserve is used up as well, it is answered at once, and says so; where writing
 * has stopped for good, member.c answers it. */
#include "core/engine/queue.h"

#include <stdlib.h>
#include <string.h>

enum { HANDED_LEAST = 64 };

/* Of a header that says when. Larger ones count as this: two of them can be added. */
#define NUMBER_MAX INT64_C(999999999999999999)

typedef struct taking {
    weir_engine *engine;
    weir_member *member;
    weir_queue *queue;
    weir_group_part *part;
    weir_chunk *chunk; /* looked at last; borrowed */
    uint64_t lease;
    uint64_t records_left;
    uint64_t fresh_left; /* of unsettled_max */
    uint64_t bytes_left;
    uint32_t examined;
    uint32_t given;
    bool keys;  /* one record of a key at a time */
    bool waits; /* a read was begun, or memory is short: no more in this take */
    bool full;  /* the disk: what it would hand out cannot be written down */
} taking;

/* ---- Headers that say when --------------------------------------------------------------------- */

static bool number_of(weir_bytes text, int64_t *number)
{
    int64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        sum = sum <= NUMBER_MAX / 10 ? sum * 10 + (text.ptr[i] - '0') : NUMBER_MAX;
    }
    *number = sum;
    return text.len > 0;
}

static bool header_number(const weir_record *record, const char *name, int64_t *number)
{
    weir_header header;
    return weir_record_header(record, name, &header) && number_of(header.value, number);
}

/* "expiry": seconds from when it came; more than can be told in milliseconds: never. */
static bool is_expired(const weir_record *record, int64_t now)
{
    int64_t seconds = 0;
    return header_number(record, "expiry", &seconds) && seconds <= INT64_MAX / 1000000 &&
           now - record->timestamp_ms > seconds * 1000;
}

bool weir_queue_expired(const weir_chunk *chunk, uint32_t index, int64_t now)
{
    weir_record record;
    weir_chunk_record(chunk, index, &record);
    return record.header_count > 0 && is_expired(&record, now);
}

/* "deliver-at": Unix milliseconds; "delay": milliseconds from when it came. 0: at once. */
static int64_t delayed_until(const weir_record *record, int64_t now)
{
    int64_t at = 0;
    if (!header_number(record, "deliver-at", &at)) {
        int64_t came = record->timestamp_ms < NUMBER_MAX ? record->timestamp_ms : NUMBER_MAX;
        at = header_number(record, "delay", &at) ? came + at : 0;
    }
    return at > now ? at : 0;
}

int64_t weir_queue_delayed(const weir_chunk *chunk, uint32_t index, int64_t now)
{
    weir_record record;
    weir_chunk_record(chunk, index, &record);
    return record.header_count > 0 ? delayed_until(&record, now) : 0;
}

/* ---- One record --------------------------------------------------------------------------------- */

/* LIMIT: it has to wait, and all behind it. */
static weir_err judge(taking *t, uint32_t index, bool fresh, weir_queue_item *item)
{
    const weir_group *group = t->member->group;
    weir_record record;
    weir_chunk_record(t->chunk, index, &record);
    item->kind = WEIR_ITEM_TAKEN;
    item->until = 0;
    if (!t->part->queue->whole && !weir_key_matches(group->options.filter, t->chunk, index)) {
        item->kind = WEIR_ITEM_UNMATCHED;
        return WEIR_OK;
    }
    if (record.header_count > 0 && is_expired(&record, t->engine->engine_ms)) {
        item->kind = WEIR_ITEM_EXPIRED;
        return WEIR_OK;
    }
    if (record.header_count > 0 && fresh) {
        item->until = delayed_until(&record, t->engine->engine_ms);
        item->kind = item->until > 0 ? WEIR_ITEM_DELAYED : item->kind;
    }
    if (t->keys && record.key.ptr != NULL) {
        bool may = true;
        weir_err err = weir_keys_ask(t->part, record.offset, record.key, &may);
        if (err != WEIR_OK || may) {
            return err;
        }
        item->kind = WEIR_ITEM_DELAYED; /* until 0: when its key is free */
    }
    return WEIR_OK;
}

static uint32_t record_bytes(const weir_chunk *chunk, uint32_t index)
{
    uint32_t end =
        index + 1 < chunk->count ? chunk->positions[index + 1] : weir_chunk_plain_bytes(chunk);
    return end - chunk->positions[index];
}

/* It becomes part of the answer: of its last run, when it follows there. */
static weir_err hand_over(taking *t, uint32_t index, const weir_queue_item *item)
{
    weir_queue *queue = t->queue;
    weir_handed *last = queue->handed_count > 0 ? &queue->handed[queue->handed_count - 1] : NULL;
    if (last != NULL && last->chunk == t->chunk && last->first + last->count == index &&
        last->lease == t->lease && last->leased == item->leased + 1 &&
        last->failed == item->failed) {
        last->count++;
        return WEIR_OK;
    }
    if (queue->handed_count == queue->handed_capacity) {
        uint32_t capacity =
            queue->handed_capacity < HANDED_LEAST ? HANDED_LEAST : 2 * queue->handed_capacity;
        weir_handed *grown = realloc(queue->handed, capacity * sizeof(*grown));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        queue->handed = grown;
        queue->handed_capacity = capacity;
    }
    queue->handed[queue->handed_count++] = (weir_handed){.chunk = weir_chunk_keep(t->chunk),
                                                         .first = index,
                                                         .count = 1,
                                                         .lease = t->lease,
                                                         .leased = item->leased + 1,
                                                         .failed = item->failed};
    return WEIR_OK;
}

/* ---- Ranges ------------------------------------------------------------------------------------- */

static bool has_room(const taking *t, bool fresh)
{
    return !t->waits && t->records_left > 0 && (!fresh || t->fresh_left > 0) &&
           t->queue->items.count < WEIR_QUEUE_ITEMS_MAX && t->examined < WEIR_QUEUE_EXAMINED_MAX;
}

/* [first, last] needs no look at records. Returns the offset behind it. */
static int64_t pass_over(taking *t, const weir_settlement_run *run, int64_t first, int64_t last,
                         weir_item_kind kind)
{
    int64_t count = last - first + 1;
    count = count < UINT32_MAX ? count : UINT32_MAX;
    weir_queue_item item = {.first = first,
                            .count = (uint32_t)count,
                            .leased = run->leased,
                            .failed = run->failed,
                            .kind = (uint8_t)kind};
    if (weir_queue_item_add(&t->queue->items, &item) != WEIR_OK) {
        t->waits = true;
        return first;
    }
    return first + count;
}

/* The record at `index`. False: it has to stay where it is. */
static bool examine(taking *t, uint32_t index, int64_t offset, const weir_settlement_run *run,
                    bool fresh)
{
    weir_queue_item item = {
        .first = offset, .count = 1, .leased = run->leased, .failed = run->failed};
    uint32_t bytes = record_bytes(t->chunk, index);
    if (t->given > 0 && bytes > t->bytes_left) {
        t->records_left = 0;
        return false;
    }
    weir_err err = judge(t, index, fresh, &item);
    if (err == WEIR_OK && item.kind == WEIR_ITEM_TAKEN) {
        err = hand_over(t, index, &item);
    }
    err = err == WEIR_OK ? weir_queue_item_add(&t->queue->items, &item) : err;
    if (err != WEIR_OK) {
        t->waits = true;
        return false;
    }
    t->examined++;
    if (item.kind == WEIR_ITEM_TAKEN) {
        t->given++;
        t->records_left--;
        t->bytes_left -= bytes < t->bytes_left ? bytes : t->bytes_left;
    }
    if (fresh && (item.kind == WEIR_ITEM_TAKEN || item.kind == WEIR_ITEM_DELAYED)) {
        t->fresh_left--;
    }
    return true;
}

/* What of the run lies in the chunk. Returns the offset behind what was dealt with. */
static int64_t examine_chunk(taking *t, const weir_settlement_run *run, int64_t at, bool fresh)
{
    int64_t end = weir_chunk_end(t->chunk);
    uint32_t index = weir_chunk_index_at(t->chunk, at);
    end = end <= run->last ? end : run->last + 1;
    while (at < end && has_room(t, fresh)) {
        int64_t offset = index < t->chunk->count ? weir_chunk_offset_at(t->chunk, index) : end;
        offset = offset < end ? offset : end;
        if (offset > at) {
            at = pass_over(t, run, at, offset - 1, WEIR_ITEM_SUPERSEDED);
        } else if (examine(t, index, at, run, fresh)) {
            index++;
            at++;
        } else {
            break;
        }
    }
    return at;
}

/* Returns the offset behind what was dealt with: at or before run->last when something is missing. */
static int64_t examine_run(taking *t, const weir_settlement_run *run, bool fresh)
{
    weir_partition *partition = t->part->partition;
    int64_t at = run->first;
    while (at <= run->last && has_room(t, fresh)) {
        if (at < partition->start_offset) {
            int64_t last =
                run->last < partition->start_offset ? run->last : partition->start_offset - 1;
            at = pass_over(t, run, at, last, WEIR_ITEM_EXPIRED);
            continue;
        }
        t->chunk = weir_member_chunk(t->engine, t->member, partition, at);
        if (t->chunk != NULL) {
            int64_t next = examine_chunk(t, run, at, fresh);
            if (next == at) {
                break;
            }
            at = next;
            continue;
        }
        int64_t gap = weir_member_gap(t->member, partition, at);
        if (gap <= at) {
            t->waits = true;
            break;
        }
        at = pass_over(t, run, at, gap - 1 < run->last ? gap - 1 : run->last, WEIR_ITEM_DAMAGED);
    }
    return at;
}

/* ---- Parts -------------------------------------------------------------------------------------- */

static void forget_handed(weir_queue *queue, uint32_t from)
{
    for (uint32_t i = from; i < queue->handed_count; i++) {
        weir_chunk_drop(queue->handed[i].chunk);
    }
    queue->handed_count = from;
}

static weir_err acquire(taking *t)
{
    const weir_group *group = t->member->group;
    int64_t lease_ms = group->options.lease_ms;
    weir_acquisition acquisition = {
        .mode = (uint8_t)group->options.mode,
        .lease = {.number = t->lease,
                  .epoch = t->engine->recovery_epoch,
                  .member = t->member->number,
                  .deadline = lease_ms < 0 ? INT64_MAX : t->engine->engine_ms + lease_ms,
                  .mode = (uint8_t)group->options.mode},
        .member = t->member};
    weir_err err = weir_queue_acquire(t->engine, t->part, &acquisition, &t->queue->items);
    if (err == WEIR_OK && acquisition.mode != WEIR_MODE_AT_MOST_ONCE) {
        weir_queue_look_at(t->engine, t->part->group, acquisition.lease.deadline);
    }
    return err;
}

/* All that it looked at, in one entry. False: nothing of it happened. */
static bool part_end(taking *t, uint32_t handed_before, uint32_t given_before)
{
    weir_group_part *part = t->part;
    if (t->queue->items.count == 0) {
        return true;
    }
    weir_err err = acquire(t);
    if (err != WEIR_OK) {
        forget_handed(t->queue, handed_before);
        t->full |= err == WEIR_DISK_FULL;
        t->given = given_before;
        t->waits = true;
        if (t->keys) {
            weir_keys_forget(part->queue);
        }
        weir_queue_look_at(t->engine, part->group, t->engine->engine_ms + WEIR_QUEUE_RETRY_MS);
        return false;
    }
    if (t->member->group->options.mode != WEIR_MODE_AT_MOST_ONCE) {
        t->member->leased += t->given - given_before;
    }
    if (t->keys) {
        weir_keys_told(part, &t->queue->items,
                       t->member->group->options.mode == WEIR_MODE_AT_MOST_ONCE);
    }
    return true;
}

/* Whether there is nothing left to give of it now: it is ready again when something changes. */
static bool part_empty(taking *t)
{
    weir_settlement *settlement = t->part->settlement;
    int64_t due = weir_settlement_due_at(settlement);
    if (due <= t->engine->engine_ms ||
        weir_settlement_fresh(settlement) < t->part->partition->visible_offset) {
        return false;
    }
    weir_queue_look_at(t->engine, t->part->group, due);
    return true;
}

static void part_take(taking *t)
{
    weir_settlement *settlement = t->part->settlement;
    weir_settlement_run run = {.first = 0};
    uint32_t handed = t->queue->handed_count;
    uint32_t given = t->given;
    int64_t from = 0;
    int64_t known = INT64_MAX;
    t->queue->items.count = 0;
    t->lease = t->queue->lease_next;
    t->keys = weir_keys_wanted(t->part);
    weir_err err = t->keys ? weir_keys_learn(t->engine, t->member, t->part, &known) : WEIR_OK;
    if (err != WEIR_OK && err != WEIR_LIMIT) {
        t->waits = true;
        return;
    }
    while (has_room(t, false) &&
           weir_settlement_due(settlement, from, t->engine->engine_ms, &run) && run.first < known) {
        run.last = run.last < known ? run.last : known - 1;
        from = examine_run(t, &run, false);
        if (from <= run.last) {
            break;
        }
    }
    int64_t fresh = weir_settlement_fresh(settlement);
    int64_t visible = t->part->partition->visible_offset;
    if (has_room(t, true) && fresh < visible && known == INT64_MAX) {
        run = (weir_settlement_run){.first = fresh, .last = visible - 1};
        (void)examine_run(t, &run, true);
    }
    (void)part_end(t, handed, given);
}

/* ---- The take ----------------------------------------------------------------------------------- */

static bool may_take(const weir_member *member)
{
    const weir_group *group = member->group;
    const weir_member *first = WEIR_OWNER_OF(group->members.next, weir_member, group_link);
    return group->options.single_active != 1 || first == member;
}

static void limits_of(taking *t)
{
    const weir_group *group = t->member->group;
    uint64_t leased_max = (uint64_t)group->options.leased_max;
    uint64_t unsettled_max = (uint64_t)group->options.unsettled_max;
    bool once = group->options.mode == WEIR_MODE_AT_MOST_ONCE;
    uint64_t free = leased_max > t->member->leased ? leased_max - t->member->leased : 0;
    t->records_left =
        once || t->member->take.records_max < free ? t->member->take.records_max : free;
    t->fresh_left = unsettled_max > t->queue->unsettled ? unsettled_max - t->queue->unsettled : 0;
    t->fresh_left = once ? UINT64_MAX : t->fresh_left;
    t->bytes_left = t->member->take.bytes_max;
}

static bool give(taking *t, weir_level level)
{
    weir_queue *queue = t->queue;
    bool once = t->member->group->options.mode == WEIR_MODE_AT_MOST_ONCE;
    weir_handed *runs = malloc(queue->handed_count * sizeof(*runs));
    if (runs == NULL) { /* they are under their lease, or accepted, and nobody got them */
        forget_handed(queue, 0);
        weir_member_give_err(t->engine, t->member, WEIR_NO_MEMORY);
        return true;
    }
    memcpy(runs, queue->handed, queue->handed_count * sizeof(*runs));
    uint32_t count = queue->handed_count;
    queue->handed_count = 0;
#ifdef WEIR_PLANT_LATE_COMMIT /* a bug on purpose, by which the simulation is tested */
    once = false;
#endif
    if (once) {
        t->engine->unit_asked = true;
        t->engine->disk_wanted |= level == WEIR_LEVEL_DISK;
        weir_member_give(t->engine, t->member, runs, count, weir_engine_unit_now(t->engine), level);
    } else {
        weir_member_give(t->engine, t->member, runs, count, 0, WEIR_LEVEL_MEMORY);
    }
    return true;
}

bool weir_queue_take(weir_engine *engine, weir_member *member)
{
    weir_group *group = member->group;
    taking t = {.engine = engine, .member = member, .queue = group->queue};
    weir_level level = WEIR_LEVEL_MEMORY;
    weir_link *end = NULL; /* each part has one turn */
    if (!may_take(member)) {
        return false;
    }
    limits_of(&t);
    for (weir_link *at = group->ready.next, *next = NULL;
         at != &group->ready && at != end && has_room(&t, false); at = next) {
        next = at->next;
        t.part = WEIR_OWNER_OF(at, weir_group_part, ready_link);
        uint32_t given = t.given;
        if (t.part->partition != NULL) {
            part_take(&t);
        }
        if (t.given > given && weir_queue_level(t.part) > level) {
            level = weir_queue_level(t.part);
        }
        if (t.waits && t.given == given) {
            break; /* its turn is not over: what is read for it would be for nothing */
        }
        weir_link_remove(at);
        if (t.part->partition != NULL && !part_empty(&t)) {
            weir_link_append(&group->ready, at); /* others first */
            end = end == NULL ? at : end;
        }
    }
    if (t.queue->handed_count == 0 && t.full) { /* waiting would help nobody, and say nothing */
        weir_member_give_err(engine, member, WEIR_DISK_FULL);
        return true;
    }
    if (t.queue->handed_count == 0) {
        if (t.examined > 0 && !t.waits) {
            weir_groups_due(engine); /* all of these were passed over: on in the next turn */
            weir_member_due(member);
        }
        return false;
    }
    return give(&t, level);
}
