/* core/engine/snapshot_producers.c - producers and publishing ids as objects of a snapshot.
 *
 *   kind            identity                          fields
 *   7 producer      id i64                            1 used: engine time i64
 *                                                     2 places, each: topic id u32 | partition u32 |
 *                                                       epoch i16 | kept u16 | kept x (first i32 |
 *                                                       count i32 | offset i64), the newest first
 *   8 publishing    topic id u32 | partition u32 |    1 last: publishing id u64 | engine time i64
 *                   name, to the object's fields:
 *                   name bytes u16 before it
 *
 * Both are written in the order of their use, the oldest first, and read so. */
#include "core/engine/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE_BYTES = 12, SEQUENCE_BYTES = 16 };

/* ---- Producer --------------------------------------------------------------------------------- */

static void put_used(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u64(to, (uint64_t)((const weir_producer *)object)->used_ms);
}

static weir_err take_used(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_producer *)object)->used_ms = (int64_t)weir_reader_u64(from);
    return WEIR_OK;
}

static void put_places(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_producer *producer = object;
    (void)engine;
    for (uint32_t i = 0; i < producer->place_count; i++) {
        const weir_producer_place *place = &producer->places[i];
        weir_writer_u32(to, place->topic_id);
        weir_writer_u32(to, place->partition);
        weir_writer_u16(to, (uint16_t)place->epoch);
        weir_writer_u16(to, place->kept);
        for (uint32_t k = 0; k < place->kept; k++) {
            weir_writer_u32(to, (uint32_t)place->last[k].first);
            weir_writer_u32(to, (uint32_t)place->last[k].count);
            weir_writer_u64(to, (uint64_t)place->last[k].offset);
        }
    }
}

/* Epochs and sequences may be below 0: an older version took what clients sent. */
static bool place_sound(const weir_producer_place *place, const weir_producer_place *before)
{
    bool sound = before == NULL || before->topic_id < place->topic_id ||
                 (before->topic_id == place->topic_id && before->partition < place->partition);
    for (uint32_t k = 0; k < place->kept && sound; k++) {
        sound = place->last[k].count > 0 && place->last[k].offset >= 0;
    }
    return sound;
}

static weir_err take_place(weir_producer *producer, weir_reader *from)
{
    weir_producer_place place = {.topic_id = weir_reader_u32(from),
                                 .partition = weir_reader_u32(from),
                                 .epoch = (int16_t)weir_reader_u16(from),
                                 .kept = weir_reader_u16(from)};
    if (from->failed || place.kept == 0 || place.kept > WEIR_SEQUENCES_KEPT) {
        return WEIR_DAMAGED;
    }
    for (uint32_t k = 0; k < place.kept; k++) {
        place.last[k].first = (int32_t)weir_reader_u32(from);
        place.last[k].count = (int32_t)weir_reader_u32(from);
        place.last[k].offset = (int64_t)weir_reader_u64(from);
    }
    const weir_producer_place *before =
        producer->place_count > 0 ? &producer->places[producer->place_count - 1] : NULL;
    if (from->failed || !place_sound(&place, before)) {
        return WEIR_DAMAGED;
    }
    weir_err err = weir_producer_reserve(producer);
    if (err == WEIR_OK) {
        producer->places[producer->place_count++] = place;
    }
    return err;
}

static weir_err take_places(weir_engine *engine, void *object, weir_reader *from)
{
    weir_producer *producer = object;
    weir_err err = WEIR_OK;
    (void)engine;
    while (err == WEIR_OK && from->rest.len > 0) {
        err = take_place(producer, from);
    }
    return err;
}

static const weir_snapshot_field PRODUCER_FIELDS[] = {
    {1, true, put_used, take_used},
    {2, false, put_places, take_places},
};

void weir_snapshot_producer_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                weir_writer *to)
{
    const weir_producer *producer = WEIR_OWNER_OF(saved, weir_producer, saved);
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_PRODUCER, unit);
    weir_writer_u64(to, (uint64_t)producer->id);
    weir_snapshot_put_fields(engine, producer, WEIR_FIELDS(PRODUCER_FIELDS), to);
    weir_snapshot_end(to, begin);
}

weir_err weir_snapshot_producer_take(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    weir_producer *producer = calloc(1, sizeof(*producer));
    if (producer == NULL) {
        return WEIR_NO_MEMORY;
    }
    producer->id = (int64_t)weir_reader_u64(body);
    weir_err err = weir_snapshot_take_fields(engine, producer, WEIR_FIELDS(PRODUCER_FIELDS), body);
    if (err == WEIR_OK && (producer->id <= 0 || producer->id == INT64_MAX)) {
        err = WEIR_DAMAGED;
    }
    if (err == WEIR_OK) {
        err = weir_producer_put(engine, producer, unit);
    }
    if (err != WEIR_OK) {
        free(producer->places);
        free(producer);
    }
    return err;
}

weir_err weir_snapshot_producer_forget(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    (void)unit;
    weir_producer_drop(engine, (int64_t)weir_reader_u64(identity));
    return WEIR_OK;
}

/* ---- Publishing ids --------------------------------------------------------------------------- */

static void put_last(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_publishing *publishing = object;
    (void)engine;
    weir_writer_u64(to, publishing->last);
    weir_writer_u64(to, (uint64_t)publishing->used_ms);
}

typedef struct last_draft {
    uint64_t last;
    int64_t used_ms;
} last_draft;

static weir_err take_last(weir_engine *engine, void *object, weir_reader *from)
{
    last_draft *draft = object;
    (void)engine;
    draft->last = weir_reader_u64(from);
    draft->used_ms = (int64_t)weir_reader_u64(from);
    return WEIR_OK;
}

static const weir_snapshot_field PUBLISHING_FIELDS[] = {
    {1, true, put_last, take_last},
};

void weir_snapshot_publishing_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to)
{
    const weir_publishing *publishing = WEIR_OWNER_OF(saved, weir_publishing, saved);
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_PUBLISHING, unit);
    weir_writer_u16(to, (uint16_t)publishing->key_bytes);
    weir_writer_bytes(to, publishing->key, publishing->key_bytes);
    weir_snapshot_put_fields(engine, publishing, WEIR_FIELDS(PUBLISHING_FIELDS), to);
    weir_snapshot_end(to, begin);
}

weir_err weir_snapshot_publishing_take(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    last_draft draft = {0};
    weir_bytes key = weir_reader_bytes(body, weir_reader_u16(body));
    weir_err err = weir_snapshot_take_fields(engine, &draft, WEIR_FIELDS(PUBLISHING_FIELDS), body);
    if (err == WEIR_OK && (key.len <= WEIR_PUBLISHING_HEAD_BYTES ||
                           key.len > WEIR_PUBLISHING_HEAD_BYTES + WEIR_PRODUCER_NAME_BYTES_MAX)) {
        err = WEIR_DAMAGED;
    }
    return err != WEIR_OK ? err : weir_publishing_put(engine, key, draft.last, draft.used_ms, unit);
}

weir_err weir_snapshot_publishing_forget(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    (void)unit;
    weir_publishing_drop(engine, weir_reader_bytes(identity, identity->rest.len));
    return WEIR_OK;
}
