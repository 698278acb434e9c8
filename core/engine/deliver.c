/* core/engine/deliver.c - owed runs become deliveries, as far as credit, room and visibility go.
 *
 * Each port has a list of subscribers that may have something to get. One pass over it per turn: a
 * subscriber leaves the list when it has nothing left, or when only its own credit, a cold read or
 * visibility can change that (each of which puts it back). A port without room stays as it is and
 * says so; draining it and stepping goes on [P2].
 *
 *   owed run, cursors --need records from disk--> one read --> cold chunks --taken--> next read
 *
 * A subscriber has one cold read at a time, for one partition; the others wait for their turn.
 *
 * [P4] Cold chunks stay until no run or cursor can take a record from them: partitions that are
 *      read at once do not throw each other's away.
 * [P5] Owed runs and cursors take turns, and so do the cursors: none waits for ever. */
#include "core/engine/ops.h"

#include <string.h>

/* ---- Cold reads
 * ---------------------------------------------------------------------------------- */

static weir_chunk *cold_find(const weir_subscriber *subscriber, const weir_partition *partition,
                             int64_t offset)
{
    for (uint32_t i = 0; i < subscriber->cold_count; i++) {
        weir_chunk *chunk = subscriber->cold[i];
        if (chunk->topic == partition->topic->ref && chunk->partition == partition->index &&
            offset >= chunk->base_offset && offset < weir_chunk_end(chunk)) {
            return chunk;
        }
    }
    return NULL;
}

/* The chunk that holds `offset`: what a cold read brought, or the tail. NULL: on disk, or gone. */
weir_chunk *weir_subscriber_chunk(const weir_subscriber *subscriber,
                                  const weir_partition *partition, int64_t offset)
{
    weir_chunk *chunk = cold_find(subscriber, partition, offset);
    return chunk != NULL ? chunk : weir_tail_find(&partition->tail, offset);
}

/* The oldest owed run when its next record is visible; NULL otherwise. */
static const weir_owed *owed_next(const weir_subscriber *subscriber)
{
    const weir_owed *oldest =
        subscriber->owed_count > 0 ? &subscriber->owed[subscriber->owed_head] : NULL;
    bool due = oldest != NULL && oldest->first <= oldest->last &&
               oldest->first < oldest->partition->visible_offset;
    return due ? oldest : NULL;
}

/* [P4] Whether a run or a cursor is yet to take a record from what the cold read brought. */
static bool cold_wanted(const weir_subscriber *subscriber)
{
    const weir_owed *owed = owed_next(subscriber);
    if (owed != NULL && cold_find(subscriber, owed->partition, owed->first) != NULL) {
        return true;
    }
    const weir_link *list = &subscriber->cursors;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
        if (weir_cursor_due(cursor) &&
            cold_find(subscriber, cursor->partition, cursor->next) != NULL) {
            return true;
        }
    }
    return false;
}

static void cold_drop(weir_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->cold_count; i++) {
        weir_chunk_drop(subscriber->cold[i]);
    }
    subscriber->cold_count = 0;
}

static bool owed_read(weir_engine *engine, weir_subscriber *subscriber)
{
    const weir_owed *owed = owed_next(subscriber);
    if (owed == NULL || weir_subscriber_chunk(subscriber, owed->partition, owed->first) != NULL) {
        return false;
    }
    weir_read_start(engine, owed->partition, owed->first, subscriber, &subscriber->read);
    return true;
}

/* [P5] The cursor that reads goes behind the others. */
static bool cursor_read(weir_engine *engine, weir_subscriber *subscriber)
{
    weir_link *list = &subscriber->cursors;
    for (weir_link *at = list->next; at != list; at = at->next) {
        const weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
        if (weir_cursor_due(cursor) &&
            weir_subscriber_chunk(subscriber, cursor->partition, cursor->next) == NULL) {
            weir_read_start(engine, cursor->partition, cursor->next, subscriber, &subscriber->read);
            weir_link_remove(at);
            weir_link_append(list, at);
            return true;
        }
    }
    return false;
}

/* Reads on for whoever is next, once nobody wants what the last read brought. */
static void read_on(weir_engine *engine, weir_subscriber *subscriber)
{
    if (subscriber->read != NULL || subscriber->read_lacks ||
        (subscriber->cold_count > 0 && cold_wanted(subscriber))) {
        return;
    }
    cold_drop(subscriber);
    if (!weir_subscriber_can_emit(subscriber)) {
        return;
    }
    bool owed_first = !subscriber->read_was_owed; /* [P5] they take turns */
    subscriber->read_was_owed = owed_first && owed_read(engine, subscriber);
    if (!subscriber->read_was_owed && !cursor_read(engine, subscriber)) {
        subscriber->read_was_owed = owed_read(engine, subscriber);
    }
}

/* ---- Deliveries
 * ---------------------------------------------------------------------------------- */

void weir_subscriber_emit(weir_engine *engine, weir_subscriber *subscriber, weir_chunk *chunk,
                          uint32_t first, uint32_t count, uint32_t slot, struct weir_slots *slots,
                          bool retained)
{
    weir_completion out = {.type = WEIR_COMPLETION_DELIVERY, .user = subscriber->user};
    uint64_t bytes = (uint64_t)chunk->batch_bytes * count / chunk->count;
    out.delivery = (weir_delivery){.subscriber = subscriber,
                                   .chunk = weir_chunk_keep(chunk),
                                   .first = first,
                                   .count = count,
                                   .slot = slot,
                                   .slots = weir_slots_keep(slots),
                                   .retained = retained};
    weir_port_unasked(subscriber->port, &out);
    engine->stats.records_delivered += count;
    if (subscriber->credit_records != UINT64_MAX) {
        subscriber->credit_records -= count;
    }
    if (subscriber->credit_bytes != INT64_MAX) {
        subscriber->credit_bytes -= (int64_t)bytes;
    }
}

static void tell_dropped(weir_subscriber *subscriber)
{
    if (subscriber->dropped == 0 || !weir_port_room(subscriber->port)) {
        return;
    }
    weir_completion told = {.type = WEIR_COMPLETION_NOTICE, .user = subscriber->user};
    told.notice = (weir_notice){
        .subscriber = subscriber, .kind = WEIR_NOTICE_DROPPED, .count = subscriber->dropped};
    weir_port_unasked(subscriber->port, &told);
    subscriber->dropped = 0;
}

/* Skips what left memory before it was delivered: live records, or those that retention removed. */
static void skip_lost(weir_engine *engine, weir_subscriber *subscriber, weir_owed *owed)
{
    int64_t start = owed->partition->start_offset;
    int64_t end = owed->last + 1 < start ? owed->last + 1 : start;
    uint64_t lost = (uint64_t)(end - owed->first);
    subscriber->dropped += lost;
    if (owed->partition == &engine->live) {
        engine->stats.dropped_live += lost;
        engine->live_owed -= lost;
        subscriber->live_owed -= lost;
    } else {
        engine->stats.dropped_owed += lost;
    }
    owed->first = end;
}

typedef enum outcome {
    OUTCOME_DONE,  /* nothing is owed */
    OUTCOME_WAITS, /* credit, a read: something will make it ready again */
    OUTCOME_STAYS, /* visibility or room: look again next turn */
} outcome;

static outcome deliver_run(weir_engine *engine, weir_subscriber *subscriber, weir_owed *owed)
{
    weir_partition *partition = owed->partition;
    if (owed->first < partition->start_offset) {
        skip_lost(engine, subscriber, owed);
    }
    while (owed->first <= owed->last) {
        if (subscriber->credit_records == 0 || subscriber->credit_bytes <= 0) {
            return OUTCOME_WAITS;
        }
        int64_t end =
            owed->last + 1 < partition->visible_offset ? owed->last + 1 : partition->visible_offset;
        if (owed->first >= end || !weir_port_room(subscriber->port)) {
            return OUTCOME_STAYS; /* [E3] */
        }
        weir_chunk *chunk = weir_subscriber_chunk(subscriber, partition, owed->first);
        if (chunk == NULL) {
            return OUTCOME_WAITS;
        }
        int64_t to = weir_chunk_end(chunk) < end ? weir_chunk_end(chunk) : end;
        uint32_t first = weir_chunk_index_at(chunk, owed->first);
        uint32_t count = weir_chunk_index_at(chunk, to) - first;
        if (count > subscriber->credit_records) {
            count = (uint32_t)subscriber->credit_records;
            to = weir_chunk_offset_at(chunk, first + count);
        }
        if (count > 0) { /* compaction may have left nothing of it */
            weir_subscriber_emit(engine, subscriber, chunk, first, count, owed->slot, owed->slots,
                                 false);
        }
        owed->first = to;
        if (partition == &engine->live) {
            engine->live_owed -= count;
            subscriber->live_owed -= count;
        }
    }
    return OUTCOME_DONE;
}

static outcome deliver_owed(weir_engine *engine, weir_subscriber *subscriber)
{
    while (subscriber->owed_count > 0) {
        weir_owed *oldest = &subscriber->owed[subscriber->owed_head];
        outcome result = deliver_run(engine, subscriber, oldest);
        if (result != OUTCOME_DONE) {
            return result;
        }
        weir_owed_pop(engine, subscriber); /* first > last: nothing of it is counted any more */
    }
    return OUTCOME_DONE;
}

static outcome deliver_subscriber(weir_engine *engine, weir_subscriber *subscriber)
{
    tell_dropped(subscriber);
    for (weir_link *at = subscriber->scans.next, *next = NULL; at != &subscriber->scans;
         at = next) {
        next = at->next;
        if (!weir_scan_deliver(engine, WEIR_OWNER_OF(at, weir_scan, subscriber_link))) {
            bool credit = subscriber->credit_records > 0 && subscriber->credit_bytes > 0;
            return credit ? OUTCOME_STAYS : OUTCOME_WAITS;
        }
    }
    outcome result = deliver_owed(engine, subscriber);
    bool cursors_wait = !weir_cursors_deliver(engine, subscriber);
    read_on(engine, subscriber);
    if (result == OUTCOME_WAITS || (cursors_wait && result == OUTCOME_DONE)) {
        bool credit = subscriber->credit_records > 0 && subscriber->credit_bytes > 0;
        result = credit && subscriber->read == NULL ? OUTCOME_STAYS : OUTCOME_WAITS;
    }
    return subscriber->dropped > 0 ? OUTCOME_STAYS : result;
}

static void deliver_port(weir_engine *engine, weir_port *port)
{
    for (weir_link *at = port->ready.next, *next = NULL; at != &port->ready; at = next) {
        next = at->next;
        weir_subscriber *subscriber = WEIR_OWNER_OF(at, weir_subscriber, ready_link);
        if (!weir_port_room(port)) {
            break;
        }
        if (deliver_subscriber(engine, subscriber) != OUTCOME_STAYS) {
            weir_link_remove(&subscriber->ready_link);
        }
    }
    bool blocked = !weir_port_room(port) && !weir_link_empty(&port->ready);
    if (blocked != atomic_load_explicit(&port->blocked, memory_order_relaxed)) {
        atomic_store_explicit(&port->blocked, blocked, memory_order_relaxed);
    }
    if (blocked) { /* whoever was not reached comes first next time */
        weir_link *first = port->ready.next;
        weir_link_remove(first);
        weir_link_append(&port->ready, first);
    }
}

void weir_deliver(weir_engine *engine)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        deliver_port(engine, engine->ports[i]);
    }
}
