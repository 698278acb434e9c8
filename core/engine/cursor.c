/* core/engine/cursor.c - subscriptions that begin at a position: one cursor per partition.
 *
 * A slow reader costs a position: when it falls off the tail it reads from disk. A filter that
 * means less than whole topics looks at each record's name as it passes. A topic declared later
 * that the filter reaches is read from its first record. With until_end each cursor stops where the
 * log ended when it began, and the last one to stop tells ENDED. Who names an offset below the
 * start of a partition is told of the gap first, as a cursor is that the start has overtaken. Where
 * a time begins is looked for by a job (find.c): until it is found the cursor waits. */
#include "core/engine/ops.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 65535 };

/* Whether every record of the topic matches: "topic/#" and what is wider. */
static bool whole_topic(weir_bytes filter, weir_bytes topic)
{
    if (filter.len == 0 || filter.ptr[filter.len - 1] != '#') {
        return false;
    }
    return weir_filter_matches(filter, topic);
}

bool weir_key_matches(weir_bytes filter, weir_chunk *chunk, uint32_t index)
{
    static _Thread_local uint8_t name[NAME_MAX_BYTES];
    weir_record record;
    bool encoded = false;
    weir_chunk_record(chunk, index, &record);
    size_t len =
        weir_record_name(weir_chunk_topic(chunk), record.key, name, sizeof(name), &encoded);
    return len <= sizeof(name) && weir_filter_matches(filter, (weir_bytes){name, len});
}

/* Whether the filter may be given records of the topic: what is in a queue is for its group. */
static bool reaches(weir_bytes filter, const weir_topic *topic)
{
    weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
    return !weir_topic_is_apart(topic) && weir_filter_reaches(filter, name);
}

/* ---- Where to begin
 * ------------------------------------------------------------------------------------- */

static int64_t clamp(const weir_partition *partition, int64_t offset)
{
    if (offset < partition->start_offset) {
        return partition->start_offset;
    }
    return offset > partition->next_offset ? partition->next_offset : offset;
}

/* An offset below the start stays one: what is gone is told when the cursor advances. */
static int64_t asked_for(const weir_partition *partition, int64_t offset)
{
    return offset < partition->start_offset && offset >= 0 ? offset : clamp(partition, offset);
}

static int64_t position_for(const weir_partition *partition, const weir_op *op)
{
    const uint8_t *at = op->data + op->subscribe.filter_bytes;
    weir_bytes topic = {partition->topic->ref->name, partition->topic->ref->name_bytes};
    for (uint32_t i = 0; i < op->subscribe.position_count; i++) {
        weir_op_position position;
        memcpy(&position, at, sizeof(position));
        at += sizeof(position);
        if (position.partition == partition->index &&
            weir_bytes_equal((weir_bytes){at, position.topic_bytes}, topic)) {
            return position.offset;
        }
        at += position.topic_bytes;
    }
    return partition->next_offset;
}

static int64_t begin_at(const weir_partition *partition, const weir_op *op)
{
    switch ((weir_start_kind)op->subscribe.start) {
    case WEIR_START_BEGINNING:
        return partition->start_offset;
    case WEIR_START_OFFSET:
        return asked_for(partition, op->subscribe.value);
    case WEIR_START_LAST:
        return op->subscribe.value >= partition->next_offset
                   ? partition->start_offset
                   : clamp(partition, partition->next_offset - op->subscribe.value);
    case WEIR_START_TIME: /* not before it: until it is found the cursor waits */
        return partition->start_offset;
    case WEIR_START_POSITIONS:
        return asked_for(partition, position_for(partition, op));
    case WEIR_START_END:
        break;
    }
    return partition->next_offset;
}

/* ---- Life cycle
 * --------------------------------------------------------------------------------------------- */

static weir_err cursor_add(weir_filter *filter, weir_partition *partition, int64_t next)
{
    weir_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        return WEIR_NO_MEMORY;
    }
    cursor->filter = filter;
    cursor->partition = partition;
    cursor->next = next;
    cursor->end = filter->until_end ? partition->visible_offset : INT64_MAX;
    cursor->whole =
        whole_topic((weir_bytes){filter->text, filter->text_bytes},
                    (weir_bytes){partition->topic->ref->name, partition->topic->ref->name_bytes});
    weir_link_append(&partition->cursors, &cursor->partition_link);
    weir_link_append(&filter->cursors, &cursor->filter_link);
    weir_link_append(&filter->subscriber->cursors, &cursor->subscriber_link);
    filter->cursors_open++;
    return WEIR_OK;
}

/* What retention has removed meanwhile is no gap: the time begins behind it. */
static void begin_found(weir_cursor *cursor, int64_t offset)
{
    cursor->place = NULL;
    cursor->next = clamp(cursor->partition, offset);
    weir_subscriber_ready(cursor->filter->subscriber);
}

static bool starts_found(weir_engine *engine, weir_find *find, weir_port *port)
{
    (void)engine;
    (void)port;
    for (uint32_t i = 0; i < find->place_count; i++) {
        if (find->places[i].cursor != NULL) {
            begin_found(find->places[i].cursor, find->places[i].offset);
        }
    }
    return true;
}

/* All the cursors of the filter, which has just got them. */
static weir_err start_at_time(weir_engine *engine, weir_filter *filter, int64_t time_ms)
{
    weir_find *find = weir_find_make(engine, filter->cursors_open, time_ms);
    if (find == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (weir_link *at = filter->cursors.next; at != &filter->cursors; at = at->next) {
        weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, filter_link);
        weir_found *place = weir_find_add(find, cursor->partition);
        if (place->looked_for) {
            place->cursor = cursor;
            cursor->place = place;
        } else {
            begin_found(cursor, place->offset);
        }
    }
    if (!weir_find_go(find, filter->subscriber->port, starts_found)) {
        weir_find_free(find);
    }
    weir_subscriber_ready(filter->subscriber);
    return WEIR_OK;
}

weir_err weir_cursors_start(weir_engine *engine, weir_filter *filter, const weir_op *op)
{
    weir_bytes text = {filter->text, filter->text_bytes};
    size_t position = 0;
    weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t i = 0; reaches(text, topic) && i < topic->partition_count; i++) {
            weir_partition *partition = topic->partitions[i];
            weir_err err = cursor_add(filter, partition, begin_at(partition, op));
            if (err != WEIR_OK) {
                return err; /* the caller stops those begun */
            }
        }
    }
    if (op->subscribe.start == WEIR_START_TIME) {
        return start_at_time(engine, filter, op->subscribe.value);
    }
    weir_subscriber_ready(filter->subscriber);
    return WEIR_OK;
}

static void topic_for_subscriber(weir_subscriber *subscriber, weir_topic *topic)
{
    for (uint32_t i = 0; i < subscriber->filter_count; i++) {
        weir_filter *filter = subscriber->filters[i];
        bool wanted = filter->from_log && !filter->until_end &&
                      reaches((weir_bytes){filter->text, filter->text_bytes}, topic);
        for (uint32_t p = 0; wanted && p < topic->partition_count; p++) {
            if (cursor_add(filter, topic->partitions[p], 0) != WEIR_OK) {
                subscriber->dropped++; /* told as a loss: its records will not come */
            }
        }
    }
}

void weir_cursors_topic(weir_engine *engine, weir_topic *topic)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_link *list = &engine->ports[i]->subscribers;
        for (weir_link *at = list->next; at != list; at = at->next) {
            topic_for_subscriber(WEIR_OWNER_OF(at, weir_subscriber, port_link), topic);
        }
    }
}

/* Those filters that had read the topic from its beginning on meet its new partitions. */
static void grown_for_subscriber(weir_subscriber *subscriber, weir_topic *topic, uint32_t before)
{
    for (uint32_t i = 0; i < subscriber->filter_count; i++) {
        weir_filter *filter = subscriber->filters[i];
        bool wanted = filter->from_log && !filter->until_end &&
                      reaches((weir_bytes){filter->text, filter->text_bytes}, topic);
        for (uint32_t p = before; wanted && p < topic->partition_count; p++) {
            if (cursor_add(filter, topic->partitions[p], 0) != WEIR_OK) {
                subscriber->dropped++; /* told as a loss: its records will not come */
            }
        }
    }
}

void weir_cursors_grown(weir_engine *engine, weir_topic *topic, uint32_t before)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_link *list = &engine->ports[i]->subscribers;
        for (weir_link *at = list->next; at != list; at = at->next) {
            grown_for_subscriber(WEIR_OWNER_OF(at, weir_subscriber, port_link), topic, before);
        }
    }
}

static int64_t epoch_bound(const weir_epoch *epoch, uint32_t partition)
{
    return partition < epoch->partitions ? epoch->bounds[partition] : 0;
}

/* [V1] Whether every cursor of this filter and topic has reached its bound, or will get nothing
 * more below it. */
static bool epoch_reached(const weir_cursor *self, const weir_epoch *epoch)
{
    const weir_link *list = &self->filter->cursors;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, filter_link);
        if (cursor->partition->topic == self->partition->topic && cursor->next < cursor->end &&
            cursor->next < epoch_bound(epoch, cursor->partition->index)) {
            return false;
        }
    }
    return true;
}

int64_t weir_cursor_limit(const weir_cursor *cursor)
{
    const weir_topic *topic = cursor->partition->topic;
    for (uint32_t i = 0; i < topic->epoch_count; i++) {
        int64_t bound = epoch_bound(topic->epochs[i], cursor->partition->index);
        if (bound >= cursor->end) {
            break;
        }
        if (!epoch_reached(cursor, topic->epochs[i])) {
            return bound;
        }
    }
    return cursor->end;
}

void weir_cursor_stop(weir_cursor *cursor)
{
    weir_link_remove(&cursor->partition_link);
    weir_link_remove(&cursor->filter_link);
    weir_link_remove(&cursor->subscriber_link);
    if (!cursor->ended) {
        cursor->filter->cursors_open--;
    }
    if (cursor->place != NULL) {
        cursor->place->cursor = NULL; /* the job ends by itself */
    }
    weir_subscriber_ready(cursor->filter->subscriber); /* others may have waited for its read */
    free(cursor);
}

/* ---- Delivering
 * ------------------------------------------------------------------------------------------------
 */

static void tell(weir_subscriber *subscriber, weir_notice_kind kind, const weir_cursor *cursor,
                 int64_t from, int64_t to)
{
    weir_completion told = {.type = WEIR_COMPLETION_NOTICE, .user = subscriber->user};
    told.notice = (weir_notice){.subscriber = subscriber,
                                .kind = kind,
                                .count = (uint64_t)(to - from),
                                .slot = cursor->filter->slot,
                                .from = from,
                                .to = to};
    weir_port_unasked(subscriber->port, &told);
}

/* Hands out [next, end) of one chunk, run by run of records that match. */
static void deliver_chunk(weir_engine *engine, weir_cursor *cursor, weir_chunk *chunk, int64_t end)
{
    weir_subscriber *subscriber = cursor->filter->subscriber;
    weir_bytes filter = {cursor->filter->text, cursor->filter->text_bytes};
    while (cursor->next < end && weir_subscriber_can_emit(subscriber)) {
        uint32_t first = weir_chunk_index_at(chunk, cursor->next);
        uint32_t stop = weir_chunk_index_at(chunk, end);
        while (first < stop && !cursor->whole && !weir_key_matches(filter, chunk, first)) {
            first++;
        }
        uint32_t last = first;
        while (last < stop && last - first < subscriber->credit_records &&
               (cursor->whole || weir_key_matches(filter, chunk, last))) {
            last++;
        }
        if (last > first) {
            weir_subscriber_emit(engine, subscriber, chunk, first, last - first,
                                 cursor->filter->slot, NULL, false);
        }
        cursor->next = last < stop ? weir_chunk_offset_at(chunk, last) : end;
    }
}

/* False: it waits for credit, room, a record to become visible, or a read. */
static bool advance(weir_engine *engine, weir_cursor *cursor)
{
    weir_subscriber *subscriber = cursor->filter->subscriber;
    weir_partition *partition = cursor->partition;
    int64_t limit = weir_cursor_limit(cursor);
    int64_t end = partition->visible_offset < limit ? partition->visible_offset : limit;
    if (cursor->place != NULL || cursor->next >= end || !weir_subscriber_can_emit(subscriber)) {
        return false;
    }
    if (cursor->next < partition->start_offset) {
        tell(subscriber, WEIR_NOTICE_GAP, cursor, cursor->next, partition->start_offset);
        cursor->next = partition->start_offset;
        return true;
    }
    weir_chunk *chunk = weir_subscriber_chunk(subscriber, partition, cursor->next);
    if (chunk == NULL) {
        return false;
    }
    int64_t chunk_end = weir_chunk_end(chunk);
    deliver_chunk(engine, cursor, chunk, chunk_end < end ? chunk_end : end);
    return true;
}

static void end_if_reached(weir_cursor *cursor)
{
    weir_subscriber *subscriber = cursor->filter->subscriber;
    if (cursor->ended || cursor->next < cursor->end || cursor->end == INT64_MAX ||
        !weir_port_room(subscriber->port)) {
        return;
    }
    cursor->ended = true;
    cursor->filter->cursors_open--;
}

static void tell_ended(weir_subscriber *subscriber)
{
    for (uint32_t i = 0; i < subscriber->filter_count; i++) {
        weir_filter *filter = subscriber->filters[i];
        if (filter->until_end && filter->cursors_open == 0 && weir_port_room(subscriber->port)) {
            weir_cursor none = {.filter = filter};
            tell(subscriber, WEIR_NOTICE_ENDED, &none, 0, 0);
            filter->until_end = false;
        }
    }
}

bool weir_cursors_deliver(weir_engine *engine, weir_subscriber *subscriber)
{
    bool more = true;
    while (more) {
        more = false;
        for (weir_link *at = subscriber->cursors.next; at != &subscriber->cursors; at = at->next) {
            weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
            more |= advance(engine, cursor);
            end_if_reached(cursor);
        }
    }
    tell_ended(subscriber);
    /* Waiting for records to become visible is not work: showing them makes it ready again. */
    for (weir_link *at = subscriber->cursors.next; at != &subscriber->cursors; at = at->next) {
        const weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
        if (weir_cursor_due(cursor)) {
            return false;
        }
    }
    return true;
}
