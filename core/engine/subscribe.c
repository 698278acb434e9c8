/* core/engine/subscribe.c - subscribers: their filters, and the runs of records they are owed.
 *
 *   owed:  [plant/1, 17..42] [live, 900..900] [plant/1, 43..50] ...      oldest first, a ring
 *
 * A filter that reads from now on is in the trie: apply adds runs to its subscriber's owed list in
 * unit order, so order holds across topics. A run that continues the newest one is joined to it.
 * The list has a limit; beyond it the oldest run is dropped, counted, and told to the subscriber. A
 * filter that reads from a position in the log has cursors instead (cursor.c). */
#include "core/engine/ops.h"

#include <stdlib.h>
#include <string.h>

/* ---- Slots
 * ------------------------------------------------------------------------------------------- */

struct weir_slots *weir_slots_keep(struct weir_slots *slots)
{
    if (slots != NULL) {
        atomic_fetch_add_explicit(&slots->refs, 1, memory_order_relaxed);
    }
    return slots;
}

void weir_slots_drop(struct weir_slots *slots)
{
    if (slots != NULL && atomic_fetch_sub_explicit(&slots->refs, 1, memory_order_acq_rel) == 1) {
        free(slots);
    }
}

const uint32_t *weir_slots_list(const struct weir_slots *slots, uint32_t *count)
{
    *count = slots->count;
    return slots->slot;
}

/* ---- Owed runs
 * ------------------------------------------------------------------------------------------ */

static weir_owed *owed_at(const weir_subscriber *subscriber, uint32_t index)
{
    return &subscriber->owed[(subscriber->owed_head + index) & (subscriber->owed_capacity - 1)];
}

static uint64_t owed_records(const weir_owed *owed)
{
    return (uint64_t)(owed->last - owed->first + 1);
}

void weir_owed_pop(weir_engine *engine, weir_subscriber *subscriber)
{
    weir_owed *oldest = owed_at(subscriber, 0);
    if (oldest->partition == &engine->live) {
        engine->live_owed -= owed_records(oldest);
        subscriber->live_owed -= owed_records(oldest);
    }
    weir_slots_drop(oldest->slots);
    oldest->slots = NULL;
    subscriber->owed_head = (subscriber->owed_head + 1) & (subscriber->owed_capacity - 1);
    subscriber->owed_count--;
}

static bool owed_grow(weir_subscriber *subscriber)
{
    uint32_t capacity = subscriber->owed_capacity == 0 ? 8 : subscriber->owed_capacity * 2;
    weir_owed *grown = malloc(capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < subscriber->owed_count; i++) {
        grown[i] = *owed_at(subscriber, i);
    }
    free(subscriber->owed);
    subscriber->owed = grown;
    subscriber->owed_capacity = capacity;
    subscriber->owed_head = 0;
    return true;
}

static void owed_drop_oldest(weir_engine *engine, weir_subscriber *subscriber)
{
    uint64_t records = owed_records(owed_at(subscriber, 0));
    subscriber->dropped += records;
    engine->stats.dropped_owed += records;
    weir_owed_pop(engine, subscriber);
}

void weir_subscriber_owe(weir_engine *engine, const weir_match *match, weir_partition *partition,
                         int64_t first, int64_t last)
{
    weir_subscriber *subscriber = match->subscriber;
    bool live = partition == &engine->live;
    uint64_t records = (uint64_t)(last - first + 1);
    weir_owed *newest =
        subscriber->owed_count > 0 ? owed_at(subscriber, subscriber->owed_count - 1) : NULL;
    if (live) {
        engine->live_owed += records;
        subscriber->live_owed += records;
    }
    weir_subscriber_ready(subscriber);
    if (newest != NULL && newest->partition == partition && newest->last + 1 == first &&
        newest->slot == match->slot && newest->slots == match->slots) {
        newest->last = last;
        return;
    }
    if (subscriber->owed_count >= engine->limits.owed_runs_max ||
        (subscriber->owed_count == subscriber->owed_capacity && !owed_grow(subscriber))) {
        if (subscriber->owed_count == 0) { /* not even memory for the first */
            subscriber->dropped += records;
            engine->stats.dropped_owed += records;
            engine->live_owed -= live ? records : 0;
            subscriber->live_owed -= live ? records : 0;
            return;
        }
        owed_drop_oldest(engine, subscriber);
    }
    *owed_at(subscriber, subscriber->owed_count) =
        (weir_owed){partition, first, last, match->slot, weir_slots_keep(match->slots)};
    subscriber->owed_count++;
}

void weir_subscriber_ready(weir_subscriber *subscriber)
{
    if (!weir_link_in(&subscriber->ready_link)) {
        weir_link_append(&subscriber->port->ready, &subscriber->ready_link);
    }
}

/* Keeps the runs that are not of the deleted topic. */
static void forget_owed(weir_engine *engine, weir_subscriber *subscriber, const weir_topic *topic)
{
    for (uint32_t left = subscriber->owed_count; left > 0; left--) {
        weir_owed oldest = *owed_at(subscriber, 0);
        if (oldest.partition->topic == topic) {
            weir_owed_pop(engine, subscriber);
            continue;
        }
        subscriber->owed_head = (subscriber->owed_head + 1) & (subscriber->owed_capacity - 1);
        subscriber->owed[(subscriber->owed_head + subscriber->owed_count - 1) &
                         (subscriber->owed_capacity - 1)] = oldest;
    }
}

static void forget_cursors(weir_subscriber *subscriber, const weir_topic *topic)
{
    for (weir_link *at = subscriber->cursors.next, *next = NULL; at != &subscriber->cursors;
         at = next) {
        next = at->next;
        weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
        if (cursor->partition->topic == topic) {
            weir_cursor_stop(cursor);
        }
    }
}

void weir_subscribers_forget_topic(weir_engine *engine, weir_topic *topic)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_link *list = &engine->ports[i]->subscribers;
        for (weir_link *at = list->next; at != list; at = at->next) {
            weir_subscriber *subscriber = WEIR_OWNER_OF(at, weir_subscriber, port_link);
            forget_owed(engine, subscriber, topic);
            forget_cursors(subscriber, topic);
        }
    }
}

/* ---- Filters
 * ------------------------------------------------------------------------------------------------
 */

static uint32_t filter_index(const weir_subscriber *subscriber, weir_bytes text)
{
    for (uint32_t i = 0; i < subscriber->filter_count; i++) {
        const weir_filter *filter = subscriber->filters[i];
        if (weir_bytes_equal((weir_bytes){filter->text, filter->text_bytes}, text)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void filter_detach(weir_engine *engine, weir_filter *filter)
{
    if (filter->scan != NULL) {
        weir_scan_stop(filter->scan);
    }
    while (!weir_link_empty(&filter->cursors)) {
        weir_cursor_stop(WEIR_OWNER_OF(filter->cursors.next, weir_cursor, filter_link));
    }
    if (!filter->from_log) {
        weir_trie_remove(engine->filters, (weir_bytes){filter->text, filter->text_bytes}, filter);
        engine->filters_generation++;
    }
}

static void filter_remove(weir_engine *engine, weir_subscriber *subscriber, uint32_t index)
{
    weir_filter *filter = subscriber->filters[index];
    filter_detach(engine, filter);
    subscriber->filters[index] = subscriber->filters[--subscriber->filter_count];
    engine->stats.filters--;
    free(filter);
}

static weir_err filter_room(weir_engine *engine, weir_subscriber *subscriber)
{
    if (subscriber->filter_count >= engine->limits.subscriptions_max) {
        engine->stats.refused_subscriptions++;
        return WEIR_LIMIT;
    }
    if (subscriber->filter_count < subscriber->filter_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = subscriber->filter_capacity == 0 ? 1 : subscriber->filter_capacity * 2;
    weir_filter **grown = realloc(subscriber->filters, capacity * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    subscriber->filters = grown;
    subscriber->filter_capacity = capacity;
    return WEIR_OK;
}

static weir_err filter_check(weir_engine *engine, weir_bytes text)
{
    size_t levels = 1;
    for (size_t i = 0; i < text.len; i++) {
        levels += text.ptr[i] == '/' ? 1 : 0;
    }
    if (levels > engine->limits.levels_max) {
        engine->stats.refused_levels++;
        return WEIR_NAME_INVALID;
    }
    if (text.len > engine->limits.name_bytes_max || weir_filter_check(text) != WEIR_OK) {
        engine->names_refused++;
        return WEIR_NAME_INVALID;
    }
    return WEIR_OK;
}

static weir_filter *filter_make(weir_subscriber *subscriber, const weir_op *op)
{
    weir_filter *filter = calloc(1, sizeof(*filter) + op->subscribe.filter_bytes);
    if (filter != NULL) {
        filter->subscriber = subscriber;
        filter->slot = op->subscribe.slot;
        filter->no_local = op->subscribe.no_local;
        filter->until_end = op->subscribe.until_end;
        filter->from_log = op->subscribe.start != WEIR_START_END || op->subscribe.until_end;
        filter->text_bytes = op->subscribe.filter_bytes;
        memcpy(filter->text, op->data, op->subscribe.filter_bytes);
        weir_link_init(&filter->cursors);
    }
    return filter;
}

static weir_err filter_add(weir_engine *engine, weir_subscriber *subscriber, const weir_op *op,
                           weir_filter **out)
{
    weir_filter *filter = filter_make(subscriber, op);
    if (filter == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = WEIR_OK;
    if (filter->from_log) {
        err = weir_cursors_start(engine, filter, op);
    } else {
        err =
            weir_trie_add(engine->filters, (weir_bytes){filter->text, filter->text_bytes}, filter);
    }
    if (err != WEIR_OK) {
        while (!weir_link_empty(&filter->cursors)) {
            weir_cursor_stop(WEIR_OWNER_OF(filter->cursors.next, weir_cursor, filter_link));
        }
        free(filter);
        return err;
    }
    subscriber->filters[subscriber->filter_count++] = filter;
    engine->filters_generation++;
    engine->stats.filters++;
    *out = filter;
    return WEIR_OK;
}

static weir_err do_subscribe(weir_engine *engine, weir_subscriber *subscriber, const weir_op *op,
                             bool *existed)
{
    weir_bytes text = {op->data, op->subscribe.filter_bytes};
    weir_err err = filter_check(engine, text);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_route_reaches_nothing(engine, text)) {
        return WEIR_NOT_OFFERED;
    }
    uint32_t old = filter_index(subscriber, text);
    *existed = old != UINT32_MAX;
    if (*existed) {
        filter_remove(engine, subscriber, old); /* what it is owed already stays owed */
    }
    err = filter_room(engine, subscriber);
    weir_filter *filter = NULL;
    err = err == WEIR_OK ? filter_add(engine, subscriber, op, &filter) : err;
    if (err != WEIR_OK) {
        return err;
    }
    bool wanted = op->subscribe.retained == WEIR_RETAINED_SEND ||
                  (op->subscribe.retained == WEIR_RETAINED_SEND_IF_NEW && !*existed);
    if (wanted) {
        weir_scan_start(engine, filter);
    }
    return WEIR_OK;
}

void weir_subscribe_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_subscriber *subscriber = op->subscriber;
    weir_completion done = {.user = op->user, .token = op->token};
    weir_produce_close_all(
        engine); /* records before this operation are not for it; those after are */
    if (op->type == WEIR_OP_SUBSCRIBE) {
        done.type = WEIR_COMPLETION_SUBSCRIBE;
        done.err = do_subscribe(engine, subscriber, op, &done.existed);
    } else {
        uint32_t index =
            filter_index(subscriber, (weir_bytes){op->data, op->subscribe.filter_bytes});
        done.type = WEIR_COMPLETION_UNSUBSCRIBE;
        done.existed = index != UINT32_MAX;
        if (done.existed) {
            filter_remove(engine, subscriber, index);
        }
    }
    weir_port_complete(port, &done);
}

/* ---- The end
 * --------------------------------------------------------------------------------------------------
 */

void weir_subscriber_end(weir_engine *engine, weir_subscriber *subscriber)
{
    weir_produce_close_all(engine); /* open batches may point to it */
    while (subscriber->filter_count > 0) {
        filter_remove(engine, subscriber, subscriber->filter_count - 1);
    }
    while (subscriber->owed_count > 0) {
        weir_owed_pop(engine, subscriber);
    }
    for (uint32_t i = 0; i < subscriber->cold_count; i++) {
        weir_chunk_drop(subscriber->cold[i]);
    }
    if (subscriber->read != NULL) {
        subscriber->read->subscriber = NULL; /* the job ends by itself */
    }
    weir_link_remove(&subscriber->ready_link);
    weir_link_remove(&subscriber->port_link);
    engine->stats.subscribers--;
    free(subscriber->filters);
    free(subscriber->owed);
    free(subscriber);
}
