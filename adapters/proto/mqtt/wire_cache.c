/* adapters/proto/mqtt/wire_cache.c - records as PUBLISH packets, and runs of them kept for a turn.
 *
 *   | 30 + flags | remaining | name:2 text | id:2 (QoS 1) | properties (5.0) | value |
 *
 * A record is written straight behind what the output has. Its name is made in place, where it will
 * stand if the name needs no encoding and no property is long: nearly always; else it is moved.
 *
 * Fan-out: a thousand subscribers of one name get the same bytes. The first session that is handed
 * a run encodes it for itself and leaves a mark; the second encodes it into the cache, and it and
 * all later ones copy. So one-to-one traffic pays a mark, and fan-out pays one encoding. Runs are
 * told apart by chunk, first record, count, version, granted QoS and treatment of RETAIN. Not kept:
 * runs with subscription identifiers. Not used: a run with a packet over the client's maximum.
 * Packets with QoS 1 are kept with packet id 0, which deliver.c patches in the copy.
 *
 *   marks   [.][m][.][E][m]...   256, by hash; E points into `bytes`, which is emptied each turn
 *
 * [C1] An entry with bytes holds a count of its chunk, so that its address is not used again.
 * [C2] Nothing outlives the turn: remaining expiry is right for all. */
#include "adapters/proto/mqtt/state.h"
#include "adapters/proto/mqtt/wire.h"

#include <stdlib.h>

enum {
    CACHE_ENTRIES = 256, /* a power of two */
    CACHE_BYTES_MAX = 4194304,
    CACHE_BYTES_KEPT = 262144,
    NAME_ENCODED_MAX = 3, /* bytes that one byte of a key may become */
};

typedef struct cache_entry {
    const weir_chunk *chunk; /* NULL: unused */
    uint32_t first;
    uint32_t count;
    uint8_t kind; /* version, QoS, retain */
    bool filled;
    weir_chunk *kept; /* when filled */
    size_t start;
    size_t len;
    mqtt_tally tally;
} cache_entry;

struct weir_mqtt_wire_cache {
    weir_buffer bytes;
    uint32_t used_count;
    uint16_t used[CACHE_ENTRIES];
    cache_entry entries[CACHE_ENTRIES];
};

/* ---- One record ------------------------------------------------------------------------------ */

/* The headers as properties. Runs twice, first measuring: the tally counts on the second run. */
static void record_headers_put(mqtt_writer *writer, const weir_record *record, uint32_t remaining,
                               mqtt_tally *tally)
{
    weir_bytes rest = record->headers;
    weir_header header;
    uint32_t taken = 0;
    while (weir_headers_next(&rest, &header)) {
        weir_mqtt_property property;
        if (weir_mqtt_map_out(&header, remaining, &taken, &property)) {
            weir_mqtt_property_put(writer, &property);
        } else if (tally != NULL) {
            tally->headers_dropped++;
        }
    }
}

static void record_properties_put(mqtt_writer *writer, const mqtt_view *view,
                                  const weir_record *record, bool encoded, uint32_t remaining,
                                  mqtt_tally *tally)
{
    for (uint32_t i = 0; i < view->identifier_count; i++) {
        weir_mqtt_property id = {.name = WEIR_MQTT_SUBSCRIPTION_ID, .number = view->identifiers[i]};
        weir_mqtt_property_put(writer, &id);
    }
    if (encoded) {
        weir_mqtt_property mark = {.name = WEIR_MQTT_USER_PROPERTY,
                                   .text = WEIR_TEXT("weir-key-encoded"),
                                   .value = WEIR_TEXT("1")};
        weir_mqtt_property_put(writer, &mark);
    }
    if (record->header_count > 0) {
        record_headers_put(writer, record, remaining, tally);
    }
}

static bool retain_flag(const mqtt_view *view, const weir_record *record)
{
    return view->retain == MQTT_RETAIN_SET ||
           (view->retain == MQTT_RETAIN_KEEP && (record->attributes & WEIR_RECORD_RETAIN) != 0);
}

/* What is known of a packet before it is written. */
typedef struct packet_plan {
    size_t name_len;
    size_t properties_len; /* without the length in front */
    size_t remaining;
    size_t head_len;
    uint32_t expiry;
    uint8_t qos;
    bool encoded;
} packet_plan;

static void plan_lengths(packet_plan *plan, const mqtt_view *view, const weir_record *record)
{
    size_t properties =
        view->version5 != 0
            ? weir_mqtt_varint_size((uint32_t)plan->properties_len) + plan->properties_len
            : 0;
    plan->remaining = 2 + plan->name_len + (plan->qos > 0 ? 2 : 0) + properties + record->value.len;
    plan->head_len = plan->remaining <= WEIR_MQTT_REMAINING_MAX
                         ? 1 + weir_mqtt_varint_size((uint32_t)plan->remaining)
                         : WEIR_MQTT_HEAD_BYTES_MAX;
}

/* Writes everything but the name, which stands where it belongs. Room was made. */
static void plan_write(const packet_plan *plan, const mqtt_view *view, const weir_record *record,
                       uint16_t id, weir_buffer *out, mqtt_tally *tally)
{
    uint8_t *at = out->ptr + out->len;
    *at = (uint8_t)(WEIR_MQTT_PUBLISH << 4 | plan->qos << 1 | (retain_flag(view, record) ? 1 : 0));
    weir_mqtt_varint_encode((uint32_t)plan->remaining, at + 1);
    at += plan->head_len;
    weir_put_u16(at, (uint16_t)plan->name_len);
    at += 2 + plan->name_len;
    if (plan->qos > 0) {
        weir_put_u16(at, id);
        at += 2;
    }
    if (view->version5 != 0) {
        at += weir_mqtt_varint_encode((uint32_t)plan->properties_len, at);
        if (plan->properties_len > 0) {
            mqtt_writer writer = {.out = at, .size = plan->properties_len};
            record_properties_put(&writer, view, record, plan->encoded, plan->expiry, tally);
            at += writer.len;
        }
    }
    if (record->value.len > 0) {
        memcpy(at, record->value.ptr, record->value.len);
    }
    out->len += plan->head_len + plan->remaining;
}

/* Makes the name behind the output, where it will probably stand. LIMIT: MQTT has no such name. */
static weir_err plan_name(packet_plan *plan, const mqtt_view *view, weir_bytes topic,
                          const weir_record *record, weir_buffer *out, size_t *name_at)
{
    size_t room = topic.len + 1 + record->key.len * NAME_ENCODED_MAX + NAME_ENCODED_MAX;
    if (record->key.len > WEIR_MQTT_TEXT_BYTES_MAX) {
        return WEIR_LIMIT;
    }
    weir_err err = weir_buffer_reserve(out, WEIR_MQTT_HEAD_BYTES_MAX + 2 + room);
    if (err != WEIR_OK) {
        return err;
    }
    plan->name_len = topic.len + record->key.len + (topic.len > 0 && record->key.ptr != NULL);
    plan_lengths(plan, view, record);
    *name_at = plan->head_len + 2;
    plan->name_len =
        weir_record_name(topic, record->key, out->ptr + out->len + *name_at, room, &plan->encoded);
    return plan->name_len <= WEIR_MQTT_TEXT_BYTES_MAX ? WEIR_OK : WEIR_LIMIT;
}

weir_err weir_mqtt_record_write(const mqtt_view *view, weir_bytes topic, const weir_record *record,
                                uint16_t id, weir_buffer *out, mqtt_tally *tally)
{
    packet_plan plan = {.qos = weir_mqtt_record_qos(view, record)};
    size_t name_at = 0;
    if (weir_mqtt_map_expired(record, view->wall_ms, &plan.expiry)) {
        tally->expired++;
        return WEIR_OK;
    }
    weir_err err = plan_name(&plan, view, topic, record, out, &name_at);
    if (err == WEIR_NO_MEMORY) {
        return err;
    }
    if (err == WEIR_OK && view->version5 != 0 &&
        (plan.encoded || record->header_count > 0 || view->identifier_count > 0)) {
        mqtt_writer measure = {0};
        record_properties_put(&measure, view, record, plan.encoded, plan.expiry, NULL);
        plan.properties_len = measure.len;
    }
    plan_lengths(&plan, view, record);
    size_t total = plan.head_len + plan.remaining;
    if (err != WEIR_OK || plan.remaining > WEIR_MQTT_REMAINING_MAX || total > view->packet_max) {
        tally->too_large++; /* [MQTT-3.1.2-24], [MQTT-3.1.2-25] */
        return WEIR_OK;
    }
    if (weir_buffer_reserve(out, total) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    if (plan.head_len + 2 != name_at) {
        uint8_t *at = out->ptr + out->len;
        memmove(at + plan.head_len + 2, at + name_at, plan.name_len);
    }
    plan_write(&plan, view, record, id, out, tally);
    tally->sent++;
    tally->acknowledged += plan.qos;
    tally->packet_bytes_max =
        total > tally->packet_bytes_max ? (uint32_t)total : tally->packet_bytes_max;
    return WEIR_OK;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static uint8_t kind_of(const mqtt_view *view)
{
    return (uint8_t)(view->version5 | view->qos << 1 | view->retain << 2);
}

static cache_entry *entry_at(weir_mqtt_wire_cache *cache, const mqtt_view *view,
                             const weir_delivery *delivery, uint16_t *index)
{
    uint64_t hash = (uint64_t)(uintptr_t)delivery->chunk >> 4;
    hash = (hash ^ (uint64_t)delivery->first << 20 ^ kind_of(view)) * 0x9e3779b97f4a7c15u;
    *index = (uint16_t)(hash >> 56);
    return &cache->entries[*index];
}

static bool entry_is(const cache_entry *entry, const mqtt_view *view, const weir_delivery *delivery)
{
    return entry->chunk == delivery->chunk && entry->first == delivery->first &&
           entry->count == delivery->count && entry->kind == kind_of(view);
}

static void entry_mark(weir_mqtt_wire_cache *cache, uint16_t index, const mqtt_view *view,
                       const weir_delivery *delivery)
{
    cache_entry *entry = &cache->entries[index];
    if (entry->chunk == NULL) {
        cache->used[cache->used_count++] = index;
    }
    weir_chunk_drop(entry->kept);
    *entry = (cache_entry){.chunk = delivery->chunk,
                           .first = delivery->first,
                           .count = delivery->count,
                           .kind = kind_of(view)};
}

static bool entry_fill(weir_mqtt_wire_cache *cache, cache_entry *entry, const mqtt_view *view,
                       const weir_delivery *delivery)
{
    mqtt_view whole = *view;
    whole.packet_max = UINT32_MAX;
    size_t start = cache->bytes.len;
    weir_bytes topic = weir_chunk_topic(delivery->chunk);
    mqtt_tally tally = {0};
    for (uint32_t i = 0; i < delivery->count && cache->bytes.len <= CACHE_BYTES_MAX; i++) {
        weir_record record;
        weir_chunk_record(delivery->chunk, delivery->first + i, &record);
        if (weir_mqtt_record_write(&whole, topic, &record, 0, &cache->bytes, &tally) != WEIR_OK) {
            cache->bytes.len = CACHE_BYTES_MAX + 1;
        }
    }
    if (cache->bytes.len > CACHE_BYTES_MAX) {
        cache->bytes.len = start;
        return false;
    }
    entry->start = start;
    entry->len = cache->bytes.len - start;
    entry->tally = tally;
    entry->kept = weir_chunk_keep(delivery->chunk); /* [C1] */
    entry->filled = true;
    return true;
}

bool weir_mqtt_wire_cache_write(weir_mqtt_wire_cache *cache, const mqtt_view *view,
                                const weir_delivery *delivery, uint32_t ids_free, weir_buffer *out,
                                mqtt_tally *tally)
{
    uint16_t index = 0;
    if (view->identifier_count > 0) {
        return false;
    }
    cache_entry *entry = entry_at(cache, view, delivery, &index);
    if (!entry_is(entry, view, delivery)) {
        entry_mark(cache, index, view, delivery);
        return false;
    }
    if (!entry->filled && !entry_fill(cache, entry, view, delivery)) {
        return false;
    }
    if (entry->tally.packet_bytes_max > view->packet_max || entry->tally.acknowledged > ids_free) {
        return false;
    }
    if (weir_buffer_append(out, cache->bytes.ptr + entry->start, entry->len) != WEIR_OK) {
        return false;
    }
    *tally = entry->tally;
    return true;
}

weir_err weir_mqtt_wire_cache_create(weir_mqtt_wire_cache **cache)
{
    *cache = calloc(1, sizeof(**cache));
    return *cache != NULL ? WEIR_OK : WEIR_NO_MEMORY;
}

void weir_mqtt_wire_cache_turn_end(weir_mqtt_wire_cache *cache)
{
    for (uint32_t i = 0; i < cache->used_count; i++) {
        cache_entry *entry = &cache->entries[cache->used[i]];
        weir_chunk_drop(entry->kept);
        *entry = (cache_entry){0};
    }
    cache->used_count = 0;
    cache->bytes.len = 0;
    weir_buffer_relax(&cache->bytes, CACHE_BYTES_KEPT);
}

void weir_mqtt_wire_cache_destroy(weir_mqtt_wire_cache *cache)
{
    if (cache != NULL) {
        weir_mqtt_wire_cache_turn_end(cache);
        weir_buffer_fini(&cache->bytes);
        free(cache);
    }
}
