/* core/engine/retained.c - the last value published with RETAIN under each full name.
 *
 * A value is a chunk of one record of its own, so that it survives its topic's retention and
 * deletion. The values stand in a list by the order of their last change, each with a sequence
 * number. A new subscription walks the list with a scan that ends at the sequence number it began
 * with: what changes later reaches it as a fresh record. Scans wait when their subscriber has no
 * credit, and a value that goes away moves the scans that stand on it to the next one [R1]. */
#include "core/engine/ops.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 65535 };

static weir_retained *retained_of(const weir_link *link)
{
    return WEIR_OWNER_OF(link, weir_retained, link);
}

static weir_retained *after(const weir_engine *engine, const weir_retained *value)
{
    return value->link.next == &engine->retained_list ? NULL : retained_of(value->link.next);
}

/* [R1] */
static void scans_move_off(weir_engine *engine, weir_retained *value)
{
    for (weir_link *at = engine->scans.next; at != &engine->scans; at = at->next) {
        weir_scan *scan = WEIR_OWNER_OF(at, weir_scan, link);
        if (scan->at == value) {
            scan->at = after(engine, value);
        }
    }
}

static void retained_free(weir_engine *engine, weir_retained *value)
{
    engine->retained_bytes -= value->chunk->batch_bytes;
    engine->stats.retained = engine->retained.count;
    engine->stats.retained_bytes = engine->retained_bytes;
    weir_chunk_drop(value->chunk);
    free(value);
}

weir_err weir_retained_decide(weir_engine *engine, weir_bytes name, uint64_t bytes)
{
    const weir_retained *old = weir_map_get(&engine->retained, name);
    if (bytes == 0) {
        return WEIR_OK; /* what an older version let in can be cleared */
    }
    if (weir_name_check(name) != WEIR_OK) {
        return WEIR_NAME_INVALID; /* a key can make a longer one: no filter would spell it */
    }
    if (old == NULL && engine->retained.count >= engine->limits.retained_max) {
        engine->stats.refused_retained++;
        return WEIR_LIMIT;
    }
    uint64_t freed = old != NULL ? old->chunk->batch_bytes : 0;
    if (engine->retained_bytes - freed + bytes + name.len > engine->limits.retained_bytes_max) {
        engine->stats.refused_retained_bytes++;
        return WEIR_LIMIT;
    }
    return WEIR_OK;
}

static void retained_remove(weir_engine *engine, weir_retained *value)
{
    scans_move_off(engine, value);
    weir_link_remove(&value->link);
    retained_free(engine, value);
}

static void retained_clear(weir_engine *engine, weir_bytes name)
{
    weir_retained *old = weir_map_remove(&engine->retained, name);
    if (old != NULL) {
        weir_saved_gone(engine, WEIR_SNAPSHOT_RETAINED, &old->saved, name);
        retained_remove(engine, old);
    }
}

void weir_retained_forget(weir_engine *engine, weir_bytes name)
{
    weir_retained *old = weir_map_remove(&engine->retained, name);
    if (old != NULL) {
        weir_link_remove(&old->saved.link);
        retained_remove(engine, old);
    }
}

static void retained_set(weir_engine *engine, weir_bytes name, weir_chunk *chunk)
{
    weir_retained *value = malloc(sizeof(*value) + name.len);
    WEIR_ASSERT(value != NULL); /* a state that was decided has to be applied [E6] */
    memset(value, 0, sizeof(*value));
    value->sequence = ++engine->retained_sequence;
    value->chunk = weir_chunk_keep(chunk);
    value->name_bytes = (uint32_t)name.len;
    memcpy(value->name, name.ptr, name.len);
    weir_retained *old = weir_map_remove(&engine->retained, name);
    if (old != NULL) { /* checkpoints know the name, or not, as they did */
        value->saved.pass = old->saved.pass;
        weir_link_remove(&old->saved.link);
        retained_remove(engine, old);
    }
    weir_saved_changed(engine, WEIR_SNAPSHOT_RETAINED, &value->saved);
    weir_err err =
        weir_map_set(&engine->retained, (weir_bytes){value->name, value->name_bytes}, value);
    WEIR_ASSERT(err == WEIR_OK);
    weir_link_append(&engine->retained_list, &value->link);
    engine->retained_bytes += chunk->batch_bytes;
    engine->stats.retained = engine->retained.count;
    engine->stats.retained_bytes = engine->retained_bytes;
}

/* `chunk` has one record and may be kept as it is. */
void weir_retained_apply_chunk(weir_engine *engine, weir_chunk *chunk)
{
    static _Thread_local uint8_t name[NAME_MAX_BYTES];
    weir_record record;
    bool encoded = false;
    weir_chunk_record(chunk, 0, &record);
    size_t len =
        weir_record_name(weir_chunk_topic(chunk), record.key, name, sizeof(name), &encoded);
    weir_bytes full = {name, len < sizeof(name) ? len : sizeof(name)};
    if (record.value.len == 0) {
        retained_clear(engine, full);
    } else {
        retained_set(engine, full, chunk);
    }
}

/* What stands behind a record's key: value and headers, as they are encoded. */
static weir_bytes rest_of(weir_bytes encoded, const weir_record *record)
{
    size_t at = 0;
    for (int field = 0; field < 4; field++) { /* length, (attributes), time, offset, key length */
        int64_t value = 0;
        size_t used = 0;
        weir_err err =
            weir_varint_decode((weir_bytes){encoded.ptr + at, encoded.len - at}, &value, &used);
        WEIR_ASSERT(err == WEIR_OK); /* it was checked when its chunk was made */
        at += used + (field == 0 ? 1 : 0);
    }
    at += record->key.len;
    return (weir_bytes){encoded.ptr + at, encoded.len - at};
}

/* The record alone, as a batch of one with its own offset and time. */
static weir_chunk *copy_of(const weir_chunk *chunk, const weir_record *record, weir_engine *engine)
{
    uint32_t index = (uint32_t)(record->offset - chunk->base_offset);
    size_t begin = chunk->positions[index];
    size_t end =
        index + 1 < chunk->count ? chunk->positions[index + 1] : weir_chunk_plain_bytes(chunk);
    weir_chunk *copy = NULL;
    weir_err err =
        weir_chunk_create(engine->pool, chunk->topic, chunk->partition,
                          end - begin + WEIR_BATCH_HEAD_BYTES + WEIR_RECORD_OVERHEAD_MAX, 1, &copy);
    WEIR_ASSERT(err == WEIR_OK);
    weir_batch_builder builder;
    weir_batch_begin(&builder, copy->batch, copy->capacity);
    weir_bytes rest = rest_of((weir_bytes){chunk->plain + begin, end - begin}, record);
    err = weir_batch_add(&builder, record->attributes, record->key, rest, &copy->positions[0]);
    WEIR_ASSERT(err == WEIR_OK);
    copy->count = 1;
    copy->unit = chunk->unit;
    copy->base_offset = record->offset;
    copy->timestamp_ms = record->timestamp_ms;
    copy->batch_bytes =
        (uint32_t)weir_batch_finish(&builder, record->offset, 0, record->timestamp_ms).len;
    return copy;
}

void weir_retained_apply(weir_engine *engine, weir_chunk *chunk, const weir_record *record)
{
    weir_chunk *own = copy_of(chunk, record, engine);
    weir_retained_apply_chunk(engine, own);
    weir_chunk_drop(own);
}

void weir_retained_fini(weir_engine *engine)
{
    size_t position = 0;
    weir_retained *value = NULL;
    while ((value = weir_map_next(&engine->retained, &position)) != NULL) {
        weir_chunk_drop(value->chunk);
        free(value);
    }
    weir_map_fini(&engine->retained);
}

/* ---- Scans
 * ---------------------------------------------------------------------------------------------- */

void weir_scan_start(weir_engine *engine, weir_filter *filter)
{
    if (filter->scan != NULL) {
        weir_scan_stop(filter->scan);
    }
    if (weir_link_empty(&engine->retained_list)) {
        return;
    }
    weir_scan *scan = calloc(1, sizeof(*scan));
    if (scan == NULL) {
        return; /* without memory the retained values are not sent; the subscription stands */
    }
    scan->subscriber = filter->subscriber;
    scan->filter = filter;
    scan->end_sequence = engine->retained_sequence;
    scan->at = retained_of(engine->retained_list.next);
    filter->scan = scan;
    weir_link_append(&engine->scans, &scan->link);
    weir_link_append(&filter->subscriber->scans, &scan->subscriber_link);
    weir_subscriber_ready(filter->subscriber);
}

void weir_scan_stop(weir_scan *scan)
{
    weir_link_remove(&scan->link);
    weir_link_remove(&scan->subscriber_link);
    scan->filter->scan = NULL;
    free(scan);
}

/* A value is shown when the record that set it is: [E3] holds for it as well. */
static bool shown(const weir_engine *engine, const weir_retained *value)
{
    uint32_t id = value->chunk->topic->id;
    const weir_topic *topic = weir_topics_find_id(engine, id);
    weir_level level = id == WEIR_LIVE_TOPIC_ID ? engine->config.live_durability
                       : topic != NULL          ? topic->options.level
                                                : WEIR_LEVEL_DISK;
    return value->chunk->unit <= weir_engine_mark(engine, level);
}

/* A filter without wildcards has one value at most. */
static bool deliver_exact(weir_engine *engine, weir_scan *scan)
{
    weir_filter *filter = scan->filter;
    const weir_retained *value =
        weir_map_get(&engine->retained, (weir_bytes){filter->text, filter->text_bytes});
    if (value != NULL && value->sequence <= scan->end_sequence) {
        if (!shown(engine, value) || !weir_subscriber_can_emit(scan->subscriber)) {
            return false;
        }
        weir_subscriber_emit(engine, scan->subscriber, value->chunk, 0, 1, filter->slot, NULL,
                             true);
    }
    weir_scan_stop(scan);
    return true;
}

bool weir_scan_deliver(weir_engine *engine, weir_scan *scan)
{
    weir_bytes filter = {scan->filter->text, scan->filter->text_bytes};
    if (!weir_filter_has_wildcard(filter)) {
        return deliver_exact(engine, scan);
    }
    uint32_t looked = 0;
    while (scan->at != NULL && scan->at->sequence <= scan->end_sequence) {
        weir_retained *value = scan->at;
        if (++looked > WEIR_RETAINED_SCAN_MAX) {
            engine->more_work = true; /* others get their turn in between */
            return false;
        }
        if (weir_filter_matches(filter, (weir_bytes){value->name, value->name_bytes})) {
            if (!shown(engine, value) || !weir_subscriber_can_emit(scan->subscriber)) {
                return false;
            }
            weir_subscriber_emit(engine, scan->subscriber, value->chunk, 0, 1, scan->filter->slot,
                                 NULL, true);
        }
        scan->at = after(engine, value);
    }
    weir_scan_stop(scan);
    return true;
}
