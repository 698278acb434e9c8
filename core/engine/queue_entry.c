/* core/engine/queue_entry.c - what the journal holds of queue groups, and what it does to them.
 *
 *   26 acquire  group id u32 | topic id u32 | partition u32 | mode u8 | 0 x 3 | lease u64 |
 *               member u64 | recovery epoch u64 | item count u32 | items
 *      item     first offset i64 | records u32 | kind u8 | 0 x 3 | of kind 6: until i64
 *      kind     1 taken  2 unmatched  3 expired  4 superseded  5 damaged  6 delayed
 *
 *   27 settle   group id u32 | topic id u32 | partition u32 | event u8 | fate u8 | flags u8 (1: counts
 *               as a failure) | 0 | until i64 | item count u32 | items
 *      item     first offset i64 | records u32
 *      until    of fate 0: when they may be given out again, 0: at once; the largest i64: they are
 *               on their way to the dead-letter topic
 *
 * Big-endian. One apply for live and replay. A page, the head, and the part with its counters each
 * skip the units that their checkpoint has: so every number an entry leads to is in the entry [U1]. */
#include "core/engine/queue.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    ACQUIRE_HEAD_BYTES = 44,
    ACQUIRE_ITEM_BYTES = 16,
    SETTLE_HEAD_BYTES = 28,
    SETTLE_ITEM_BYTES = 12,
    FLAG_FAILED = 1,
    ITEMS_LEAST = 16,
};

static const weir_fate ITEM_FATES[WEIR_ITEM_KINDS] = {
    [WEIR_ITEM_EXPIRED] = WEIR_FATE_EXPIRED,
    [WEIR_ITEM_SUPERSEDED] = WEIR_FATE_SUPERSEDED,
    [WEIR_ITEM_DAMAGED] = WEIR_FATE_DROPPED,
};

static const weir_fate_event ITEM_EVENTS[WEIR_ITEM_KINDS] = {
    [WEIR_ITEM_TAKEN] = WEIR_TOLD_LEASED,          [WEIR_ITEM_EXPIRED] = WEIR_TOLD_EXPIRED,
    [WEIR_ITEM_SUPERSEDED] = WEIR_TOLD_SUPERSEDED, [WEIR_ITEM_DAMAGED] = WEIR_TOLD_DAMAGED,
    [WEIR_ITEM_DELAYED] = WEIR_TOLD_DELAYED,
};

static const weir_fate_event EVENTS[WEIR_EVENTS] = {
    [WEIR_EVENT_ACCEPTED] = WEIR_TOLD_ACCEPTED,
    [WEIR_EVENT_RELEASED] = WEIR_TOLD_RELEASED,
    [WEIR_EVENT_FAILED] = WEIR_TOLD_FAILED,
    [WEIR_EVENT_LEASE_EXPIRED] = WEIR_TOLD_LEASE_EXPIRED,
    [WEIR_EVENT_CONNECTION_LOST] = WEIR_TOLD_CONNECTION_LOST,
    [WEIR_EVENT_RETURNED] = WEIR_TOLD_RETURNED,
    [WEIR_EVENT_REJECTED] = WEIR_TOLD_REJECTED,
    [WEIR_EVENT_DEAD_LETTERED] = WEIR_TOLD_DEAD_LETTERED,
    [WEIR_EVENT_EXPIRED] = WEIR_TOLD_EXPIRED,
    [WEIR_EVENT_SUPERSEDED] = WEIR_TOLD_SUPERSEDED,
    [WEIR_EVENT_DAMAGED] = WEIR_TOLD_DAMAGED,
    [WEIR_EVENT_DROPPED] = WEIR_TOLD_DROPPED,
};

weir_err weir_queue_item_add(weir_queue_items *items, const weir_queue_item *item)
{
    weir_queue_item *last = items->count > 0 ? &items->items[items->count - 1] : NULL;
    if (last != NULL && last->first + last->count == item->first && last->kind == item->kind &&
        last->until == item->until && last->leased == item->leased &&
        last->failed == item->failed && last->count <= UINT32_MAX - item->count) {
        last->count += item->count;
        return WEIR_OK;
    }
    if (items->count == items->capacity) {
        uint32_t capacity = items->capacity < ITEMS_LEAST ? ITEMS_LEAST : 2 * items->capacity;
        weir_queue_item *grown = realloc(items->items, capacity * sizeof(*grown));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        items->items = grown;
        items->capacity = capacity;
    }
    items->items[items->count++] = *item;
    return WEIR_OK;
}

static int64_t last_of(const weir_queue_item *item)
{
    return item->first + item->count - 1;
}

/* ---- Apply -------------------------------------------------------------------------------------- */

static weir_settlement_change change_of_item(const weir_acquisition *acquisition,
                                             const weir_queue_item *item, uint64_t unit)
{
    weir_settlement_change change = {.to = WEIR_RECORD_SETTLED, .unit = unit};
    if (item->kind == WEIR_ITEM_DELAYED) {
        change.to = WEIR_RECORD_WAITING;
        change.until = item->until;
    } else if (item->kind == WEIR_ITEM_TAKEN && acquisition->mode != WEIR_MODE_AT_MOST_ONCE) {
        change.to = WEIR_RECORD_LEASED;
        change.lease = &acquisition->lease;
    }
    return change;
}

static weir_settlement_change change_of_settling(const weir_settling *settling, uint64_t unit)
{
    bool waits = settling->fate == WEIR_FATE_PENDING;
    return (weir_settlement_change){.to = waits ? WEIR_RECORD_WAITING : WEIR_RECORD_SETTLED,
                                    .unit = unit,
                                    .until = waits ? settling->until : 0,
                                    .failed = settling->failed};
}

/* Applies one, and keeps the sum of what the group has not settled. */
static void change(weir_group_part *part, const weir_queue_item *item,
                   const weir_settlement_change *what)
{
    weir_queue *queue = part->group->queue;
    uint64_t before = weir_settlement_unsettled(part->settlement);
    weir_settlement_apply(part->settlement, item->first, last_of(item), what);
    queue->unsettled += weir_settlement_unsettled(part->settlement) - before;
    if (what->to == WEIR_RECORD_SETTLED) {
        weir_overflow_settled(part, item->first, last_of(item));
    } else if (what->to == WEIR_RECORD_WAITING) {
        weir_overflow_look(part->queue->engine, part->group);
    }
}

/* A head that a checkpoint wrote later may have gone back since, by a reset. */
static void fresh_raise(weir_group_part *part, const weir_queue_item *item, uint64_t unit)
{
    if (unit > weir_settlement_head(part->settlement)->held_unit) {
        weir_settlement_fresh_raise(part->settlement, last_of(item) + 1);
    }
}

static weir_fate fate_of_item(const weir_acquisition *acquisition, const weir_queue_item *item)
{
    bool once = item->kind == WEIR_ITEM_TAKEN && acquisition->mode == WEIR_MODE_AT_MOST_ONCE;
    return once ? WEIR_FATE_ACCEPTED : ITEM_FATES[item->kind];
}

static void count_item(weir_engine *engine, weir_group_part *part, const weir_queue_item *item)
{
    if (item->kind == WEIR_ITEM_TAKEN) {
        part->leased_times += item->count;
        engine->stats.leased += item->count;
    }
    part->unmatched += item->kind == WEIR_ITEM_UNMATCHED ? item->count : 0;
    weir_group_part_changed(engine, part);
}

static void tell_item(weir_engine *engine, weir_group_part *part,
                      const weir_acquisition *acquisition, const weir_queue_item *item)
{
    bool taken = item->kind == WEIR_ITEM_TAKEN;
    weir_fate fate = fate_of_item(acquisition, item);
    const weir_member *who = acquisition->member;
    bool nobody = who->words == NULL; /* a reader of the engine's own */
    if (item->kind == WEIR_ITEM_UNMATCHED || (nobody && item->kind == WEIR_ITEM_DELAYED)) {
        return; /* it is none of this group's; or nothing happened to it */
    }
    weir_fate_note note = {.part = part,
                           .first = item->first,
                           .fate = fate,
                           .event = fate == WEIR_FATE_ACCEPTED ? WEIR_TOLD_ACCEPTED
                                                               : ITEM_EVENTS[item->kind],
                           .member = nobody ? NULL : who,
                           .leased = item->leased + (taken ? 1 : 0),
                           .failed = item->failed};
    while (note.first <= last_of(item)) { /* a line for each cause, of what is below the start */
        note.last = last_of(item);
        if (item->kind == WEIR_ITEM_EXPIRED) {
            note.reason = weir_bytes_of(weir_trims_reason(part->partition, note.first, &note.last));
        }
        weir_fate_write(engine, &note);
        note.first = note.last + 1;
    }
}

static void apply_acquire(weir_engine *engine, weir_group_part *part,
                          const weir_acquisition *acquisition, const weir_queue_item *item,
                          uint64_t unit)
{
    weir_settlement_change what = change_of_item(acquisition, item, unit);
    bool live = acquisition->member != NULL;
    change(part, item, &what);
    fresh_raise(part, item, unit);
    if (live || unit > part->held_unit) {
        count_item(engine, part, item);
    }
    if (live) {
        tell_item(engine, part, acquisition, item);
    } else if (unit > part->held_unit) {
        weir_fate_count(engine, part, fate_of_item(acquisition, item), item->count);
    }
}

/* Numbers are not given twice, though nothing but the head may say so in a checkpoint; in one epoch not
 * by a group that is made anew by the same name, either. */
static void lease_given(weir_group_part *part, uint64_t number)
{
    weir_queue *queue = part->group->queue;
    weir_group_table *groups = &part->queue->engine->groups;
    groups->lease_last = number > groups->lease_last ? number : groups->lease_last;
    if (number >= queue->lease_next) {
        queue->lease_next = number + 1;
        weir_settlement_page *head = weir_settlement_head(part->settlement);
        weir_queue_page_changed(part->queue, head);
    }
}

static void apply_settle(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_item *item, uint64_t unit)
{
    weir_settlement_change what = change_of_settling(settling, unit);
    change(part, item, &what);
    fresh_raise(part, item, unit);
    if (settling->failed && unit > part->held_unit) {
        part->failed_times += item->count;
        engine->stats.failed += item->count;
        weir_group_part_changed(engine, part);
    }
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static uint64_t acquire_bytes(const weir_queue_items *items)
{
    uint64_t bytes = ACQUIRE_HEAD_BYTES;
    for (uint32_t i = 0; i < items->count; i++) {
        bytes += ACQUIRE_ITEM_BYTES + (items->items[i].kind == WEIR_ITEM_DELAYED ? 8 : 0);
    }
    return bytes;
}

static void acquire_write(weir_engine *engine, const weir_group_part *part,
                          const weir_acquisition *acquisition, const weir_queue_items *items)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_ACQUIRE, acquire_bytes(items));
    weir_put_u32(at, part->group->id);
    weir_put_u32(at + 4, part->topic_id);
    weir_put_u32(at + 8, part->index);
    memset(at + 12, 0, 4);
    at[12] = acquisition->mode;
    weir_put_u64(at + 16, acquisition->lease.number);
    weir_put_u64(at + 24, acquisition->lease.member);
    weir_put_u64(at + 32, acquisition->lease.epoch);
    weir_put_u32(at + 40, items->count);
    at += ACQUIRE_HEAD_BYTES;
    for (uint32_t i = 0; i < items->count; i++) {
        const weir_queue_item *item = &items->items[i];
        weir_put_u64(at, (uint64_t)item->first);
        weir_put_u32(at + 8, item->count);
        memset(at + 12, 0, 4);
        at[12] = item->kind;
        at += ACQUIRE_ITEM_BYTES;
        if (item->kind == WEIR_ITEM_DELAYED) {
            weir_put_u64(at, (uint64_t)item->until);
            at += 8;
        }
    }
}

weir_err weir_queue_acquire(weir_engine *engine, weir_group_part *part,
                            const weir_acquisition *acquisition, const weir_queue_items *items)
{
    uint64_t lines = weir_fates_room(part, acquisition->member, WEIR_BYTES_NULL,
                                     items->count + 2 * (uint64_t)part->partition->trim_count);
    weir_err err = weir_fates_unit_reserve(
        engine, acquire_bytes(items) + WEIR_JOURNAL_ENTRY_HEAD_BYTES, lines);
    uint64_t unit = weir_engine_unit_now(engine);
    weir_settlement_reserve_begin(part->settlement);
    for (uint32_t i = 0; i < items->count && err == WEIR_OK; i++) {
        weir_settlement_change what = change_of_item(acquisition, &items->items[i], unit);
        err = weir_settlement_reserve(part->settlement, items->items[i].first,
                                      last_of(&items->items[i]), &what);
    }
    if (err != WEIR_OK) {
        return err;
    }
    acquire_write(engine, part, acquisition, items);
    lease_given(part, acquisition->lease.number);
    for (uint32_t i = 0; i < items->count; i++) {
        apply_acquire(engine, part, acquisition, &items->items[i], unit);
    }
    return WEIR_OK;
}

static weir_bytes why_of(const weir_settling *settling)
{
    return settling->why != NULL ? weir_bytes_of(settling->why) : settling->reason;
}

weir_err weir_queue_tell_room(weir_engine *engine, weir_group_part *part,
                              const weir_settling *settling, const weir_queue_item *items,
                              uint32_t count, uint64_t more_bytes)
{
    uint64_t lines = weir_fates_room(part, settling->member, why_of(settling), count);
    uint64_t bytes = SETTLE_HEAD_BYTES + SETTLE_ITEM_BYTES * (uint64_t)count +
                     WEIR_JOURNAL_ENTRY_HEAD_BYTES + more_bytes;
    weir_err err = more_bytes > 0 ? weir_fates_unit(engine, bytes, lines)
                                  : weir_fates_unit_reserve(engine, bytes, lines);
    weir_settlement_change what = change_of_settling(settling, 0);
    weir_settlement_reserve_begin(part->settlement);
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        err = weir_settlement_reserve(part->settlement, items[i].first, last_of(&items[i]), &what);
    }
    return err;
}

static void settle_write(weir_engine *engine, const weir_group_part *part,
                         const weir_settling *settling, const weir_queue_item *items,
                         uint32_t count)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_SETTLE,
                                    SETTLE_HEAD_BYTES + SETTLE_ITEM_BYTES * (size_t)count);
    weir_put_u32(at, part->group->id);
    weir_put_u32(at + 4, part->topic_id);
    weir_put_u32(at + 8, part->index);
    at[12] = (uint8_t)settling->event;
    at[13] = (uint8_t)settling->fate;
    at[14] = settling->failed ? FLAG_FAILED : 0;
    at[15] = 0;
    weir_put_u64(at + 16, (uint64_t)settling->until);
    weir_put_u32(at + 24, count);
    at += SETTLE_HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++, at += SETTLE_ITEM_BYTES) {
        weir_put_u64(at, (uint64_t)items[i].first);
        weir_put_u32(at + 8, items[i].count);
    }
}

/* The entry is whole before the first line is told: a line may ask the journal for room, and what the
 * journal gave to write to is good until it is asked again. */
void weir_queue_tell_now(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_item *items, uint32_t count)
{
    settle_write(engine, part, settling, items, count);
    for (uint32_t i = 0; i < count; i++) {
        apply_settle(engine, part, settling, &items[i], weir_engine_unit_now(engine));
        weir_fate_write(engine,
                        &(weir_fate_note){.part = part,
                                          .first = items[i].first,
                                          .last = last_of(&items[i]),
                                          .fate = settling->fate,
                                          .event = EVENTS[settling->event],
                                          .reason = why_of(settling),
                                          .member = settling->member,
                                          .leased = items[i].leased,
                                          .failed = items[i].failed + (settling->failed ? 1 : 0),
                                          .letter = settling->letter});
    }
}

weir_err weir_queue_tell(weir_engine *engine, weir_group_part *part, const weir_settling *settling,
                         const weir_queue_item *items, uint32_t count)
{
    weir_err err = weir_queue_tell_room(engine, part, settling, items, count, 0);
    if (err == WEIR_OK) {
        weir_queue_tell_now(engine, part, settling, items, count);
    }
    return err;
}

/* ---- Replay ------------------------------------------------------------------------------------- */

/* The part that an entry speaks of; NULL: it is gone by a later unit, or none ever was. */
static weir_err replay_part(weir_engine *engine, weir_bytes body, weir_group_part **part)
{
    uint32_t id = weir_get_u32(body.ptr);
    const weir_group *group = weir_group_find_id(engine, id);
    *part = NULL;
    if (group == NULL) {
        return id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED;
    }
    *part = weir_group_part_find(group, weir_get_u32(body.ptr + 4), weir_get_u32(body.ptr + 8));
    return *part == NULL || (*part)->settlement != NULL ? WEIR_OK : WEIR_DAMAGED;
}

/* Records that are not in the log are in no state. */
static bool item_sound(const weir_group_part *part, const weir_queue_item *item)
{
    return item->first >= 0 && item->count > 0 && part->partition != NULL &&
           item->first < part->partition->next_offset &&
           item->count <= part->partition->next_offset - item->first;
}

static weir_err replay_reserve(weir_group_part *part, const weir_queue_item *item,
                               const weir_settlement_change *what)
{
    weir_settlement_reserve_begin(part->settlement);
    return weir_settlement_reserve(part->settlement, item->first, last_of(item), what);
}

static weir_err acquire_item_take(weir_reader *from, weir_queue_item *item)
{
    *item = (weir_queue_item){.first = (int64_t)weir_reader_u64(from),
                              .count = weir_reader_u32(from),
                              .kind = weir_reader_u8(from)};
    (void)weir_reader_bytes(from, 3);
    item->until = item->kind == WEIR_ITEM_DELAYED ? (int64_t)weir_reader_u64(from) : 0;
    bool sound = !from->failed && item->kind >= WEIR_ITEM_TAKEN && item->kind < WEIR_ITEM_KINDS &&
                 item->until >= 0;
    return sound ? WEIR_OK : WEIR_DAMAGED;
}

static weir_err replay_acquire(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    weir_group_part *part = NULL;
    weir_reader from = {.rest = body};
    if (body.len < ACQUIRE_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    weir_err err = replay_part(engine, body, &part);
    (void)weir_reader_bytes(&from, ACQUIRE_HEAD_BYTES);
    weir_acquisition acquisition = {.mode = body.ptr[12],
                                    .lease = {.number = weir_get_u64(body.ptr + 16),
                                              .member = weir_get_u64(body.ptr + 24),
                                              .epoch = weir_get_u64(body.ptr + 32),
                                              .deadline = INT64_MAX,
                                              .mode = body.ptr[12]}};
    uint32_t count = weir_get_u32(body.ptr + 40);
    if (acquisition.lease.number == 0 || acquisition.lease.number > INT64_MAX) {
        return WEIR_DAMAGED;
    }
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_queue_item item;
        err = acquire_item_take(&from, &item);
        if (err != WEIR_OK || part == NULL || part->partition == NULL) {
            continue;
        }
        weir_settlement_change what = change_of_item(&acquisition, &item, unit);
        err = item_sound(part, &item) ? replay_reserve(part, &item, &what) : WEIR_DAMAGED;
        if (err == WEIR_OK) {
            apply_acquire(engine, part, &acquisition, &item, unit);
        }
    }
    if (err == WEIR_OK && part != NULL) {
        lease_given(part, acquisition.lease.number);
    }
    return err == WEIR_OK && from.rest.len > 0 ? WEIR_DAMAGED : err;
}

static weir_err replay_settle(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    weir_group_part *part = NULL;
    weir_reader from = {.rest = body};
    if (body.len < SETTLE_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    weir_err err = replay_part(engine, body, &part);
    (void)weir_reader_bytes(&from, SETTLE_HEAD_BYTES);
    weir_settling settling = {.event = (weir_queue_event)body.ptr[12],
                              .fate = (weir_fate)body.ptr[13],
                              .failed = (body.ptr[14] & FLAG_FAILED) != 0,
                              .until = (int64_t)weir_get_u64(body.ptr + 16)};
    uint32_t count = weir_get_u32(body.ptr + 24);
    if (settling.event < WEIR_EVENT_ACCEPTED || settling.event >= WEIR_EVENTS ||
        settling.fate >= WEIR_FATE_COUNT || settling.until < 0) {
        return WEIR_DAMAGED;
    }
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_queue_item item = {.first = (int64_t)weir_reader_u64(&from),
                                .count = weir_reader_u32(&from)};
        err = from.failed ? WEIR_DAMAGED : WEIR_OK;
        if (err != WEIR_OK || part == NULL || part->partition == NULL) {
            continue;
        }
        weir_settlement_change what = change_of_settling(&settling, unit);
        err = item_sound(part, &item) ? replay_reserve(part, &item, &what) : WEIR_DAMAGED;
        if (err == WEIR_OK) {
            apply_settle(engine, part, &settling, &item, unit);
            if (unit > part->held_unit) {
                weir_fate_count(engine, part, settling.fate, item.count);
            }
        }
    }
    return err == WEIR_OK && from.rest.len > 0 ? WEIR_DAMAGED : err;
}

weir_err weir_queue_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit)
{
    (void)snapshot_unit;
    if (version != 1) {
        return WEIR_VERSION;
    }
    return type == WEIR_ENTRY_ACQUIRE ? replay_acquire(engine, body, unit->number)
                                      : replay_settle(engine, body, unit->number);
}
