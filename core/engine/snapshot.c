/* core/engine/snapshot.c - the engine's objects as a checkpoint's payload, and back.
 *
 *   payload   version u16 (3) | object | object | ...
 *   object    kind u8 | unit u64 | body bytes u32 | body
 *   body      identity, as its kind has it | field | field | ...
 *   field     tag u16 | bytes u32 | bytes              tags rise within an object
 *
 *   kind          identity                     fields
 *   1 engine      -                            1 next topic id u32  2 next producer id i64
 *                                              3 next group id u32
 *                                              4 sums of deleted groups: u64 x 10 (groups.md)
 *   2 topic       id u32                       1 name  2 partitions u32  3 partition levels u32
 *                                              4 level u8  5 nested u8
 *                                              6 settings  7 epochs (snapshot_life.c)
 *   3 partition   topic id u32 | index u32     1 positions: start i64 | flushed i64 | next i64
 *                                              2 segments, each: base i64 | end i64 | bytes u64 |
 *                                                heads u64 | max timestamp i64 | created i64 |
 *                                                term u64
 *                                              3 tail: the batches that no segment has, each:
 *                                                bytes u32 | RecordBatch v2
 *                                              10 compacted (snapshot_life.c)
 *                                              11 of `__fates`: lines that are in no record yet
 *                                              12 trims (snapshot_life.c)
 *   4 retained    name bytes u16 | full name   1 source: topic id u32 | partition u32 | topic name
 *                                              2 the record, a RecordBatch v2 of one
 *   5 topic gone  id u32                       1 name  2 deleted unit u64
 *   6 gone        kind u8 | its identity       -
 *   7, 8          producers, publishing ids: snapshot_producers.c
 *   9, 10         groups, their parts: group_save.c     11  settlement: queue_save.c
 *
 * Big-endian. `unit`: the object is as it was after that unit, and replay skips for it what is at
 * or below. A topic stands before its partitions. An object that was already read is replaced: the
 * later one holds.
 *
 * To add something to an object, add a row to its table of fields (the next free tag; never one that
 * was used before; snapshot_fields.c has them), with a put and a take; they may stand in a file of their own. A field that
 * writes no bytes is left out, so that a default costs nothing. An older reader stops at a tag or
 * kind it does not know (VERSION): that is meant. A new kind of object: a number in
 * weir_snapshot_kind, a row in KINDS, a place in the ORDER of saved.c, a weir_saved in the object;
 * and calls of weir_saved_changed, weir_saved_loaded and weir_saved_gone where it changes, is read,
 * and goes.
 *
 * Decoding trusts nothing: every length is checked, and what does not fit is DAMAGED. Versions 1
 * and 2 are read by snapshot_old.c. */
#include "core/engine/group.h"
#include "core/engine/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SNAPSHOT_VERSION = 3,
    SNAPSHOT_VERSION_LEAST = 1,
    PARTITIONS_MOST = 16384,
    NAME_BYTES_MOST = 65535,
};

/* ---- Bytes
 * ------------------------------------------------------------------------------------------------
 */

weir_bytes weir_reader_bytes(weir_reader *from, size_t len)
{
    weir_bytes taken = {from->rest.ptr, len};
#ifdef WEIR_PLANT_SNAPSHOT /* a bug on purpose, by which the fuzzer is tested: 16 bytes too many */
    if (len > from->rest.len && len - from->rest.len <= 16) {
        from->rest.len = len;
    }
#endif
    if (from->failed || len > from->rest.len) {
        from->failed = true;
        return (weir_bytes){NULL, 0};
    }
    from->rest.ptr += len;
    from->rest.len -= len;
    return taken;
}

/* ---- Encoding
 * ----------------------------------------------------------------------------------------- */

size_t weir_snapshot_begin(weir_writer *to, weir_snapshot_kind kind, uint64_t unit)
{
    weir_writer_u8(to, (uint8_t)kind);
    weir_writer_u64(to, unit);
    weir_writer_u32(to, 0);
    return to->out->len;
}

/* Writes how many bytes followed the length that ends at `begin`. */
void weir_snapshot_end(weir_writer *to, size_t begin)
{
    size_t len = to->out->len - begin;
    if (to->err == WEIR_OK && len > UINT32_MAX) {
        to->err = WEIR_TOO_LARGE;
    }
    if (to->err == WEIR_OK) {
        weir_put_u32(to->out->ptr + begin - 4, (uint32_t)len);
    }
}

void weir_snapshot_put_fields(weir_engine *engine, const void *object,
                              const weir_snapshot_field *fields, size_t count, weir_writer *to)
{
    for (size_t i = 0; i < count && to->err == WEIR_OK; i++) {
        size_t before = to->out->len;
        weir_writer_u16(to, fields[i].tag);
        weir_writer_u32(to, 0);
        size_t begin = to->out->len;
        fields[i].put(engine, object, to);
        if (to->err == WEIR_OK && to->out->len == begin && !fields[i].required) {
            to->out->len = before;
        } else {
            weir_snapshot_end(to, begin);
        }
    }
}

static void put_topic(weir_engine *engine, const weir_saved *saved, uint64_t unit, weir_writer *to)
{
    const weir_topic *topic = WEIR_OWNER_OF(saved, weir_topic, saved);
    bool gone = topic->deleted_unit != 0;
    size_t begin =
        weir_snapshot_begin(to, gone ? WEIR_SNAPSHOT_TOPIC_GONE : WEIR_SNAPSHOT_TOPIC, unit);
    weir_writer_u32(to, topic->id);
    if (gone) {
        weir_snapshot_put_fields(engine, topic, WEIR_FIELDS_OF(weir_snapshot_topic_gone_fields),
                                 to);
    } else {
        weir_snapshot_put_fields(engine, topic, WEIR_FIELDS_OF(weir_snapshot_topic_fields), to);
    }
    weir_snapshot_end(to, begin);
}

static void put_partition(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                          weir_writer *to)
{
    const weir_partition *partition = WEIR_OWNER_OF(saved, weir_partition, saved);
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_PARTITION, unit);
    weir_writer_u32(to, partition->topic->id);
    weir_writer_u32(to, partition->index);
    weir_snapshot_put_fields(engine, partition, WEIR_FIELDS_OF(weir_snapshot_partition_fields), to);
    weir_snapshot_end(to, begin);
}

static void put_retained(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                         weir_writer *to)
{
    const weir_retained *value = WEIR_OWNER_OF(saved, weir_retained, saved);
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_RETAINED, unit);
    weir_writer_u16(to, (uint16_t)value->name_bytes);
    weir_writer_bytes(to, value->name, value->name_bytes);
    weir_snapshot_put_fields(engine, value, WEIR_FIELDS_OF(weir_snapshot_retained_fields), to);
    weir_snapshot_end(to, begin);
}

void weir_snapshot_put_gone(weir_snapshot_kind kind, weir_bytes identity, uint64_t unit,
                            weir_writer *to)
{
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_GONE, unit);
    weir_writer_u8(to, (uint8_t)kind);
    weir_writer_bytes(to, identity.ptr, identity.len);
    weir_snapshot_end(to, begin);
}

void weir_snapshot_put_version(weir_writer *to)
{
    weir_writer_u16(to, SNAPSHOT_VERSION);
}

void weir_snapshot_put_engine(weir_engine *engine, uint64_t unit, weir_writer *to)
{
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_ENGINE, unit);
    weir_snapshot_put_fields(engine, engine, WEIR_FIELDS_OF(weir_snapshot_engine_fields), to);
    weir_snapshot_end(to, begin);
}

weir_err weir_snapshot_encode(weir_engine *engine, weir_buffer *payload)
{
    uint64_t unit = engine->journal != NULL ? weir_journal_last(engine->journal) : 0;
    weir_writer to = {.out = payload};
    weir_snapshot_put_version(&to);
    weir_snapshot_put_engine(engine, unit, &to);
    engine->saving.carry = true;
    size_t position = 0;
    const weir_topic *topic = NULL;
    while (to.err == WEIR_OK &&
           (topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        put_topic(engine, &topic->saved, unit, &to);
        for (uint32_t i = 0; i < topic->partition_count && to.err == WEIR_OK; i++) {
            put_partition(engine, &topic->partitions[i]->saved, unit, &to);
        }
    }
    weir_snapshot_put_groups(engine, unit, &to);
    for (weir_link *at = engine->retained_list.next;
         at != &engine->retained_list && to.err == WEIR_OK; at = at->next) {
        put_retained(engine, &WEIR_OWNER_OF(at, weir_retained, link)->saved, unit, &to);
    }
    return to.err;
}

/* ---- Decoding
 * ----------------------------------------------------------------------------------------- */

weir_err weir_snapshot_segment_add(weir_engine *engine, weir_partition *partition,
                                   const weir_segment_state *state, bool last)
{
    char dir[4096];
    weir_segment *segment = NULL;
    if (state->base_offset < 0 || state->end_offset < state->base_offset ||
        state->end_offset > partition->flushed_offset) {
        return WEIR_DAMAGED;
    }
    if (state->end_offset == state->base_offset) {
        return WEIR_OK; /* it holds nothing, and its name may be made again */
    }
    weir_topics_segments_dir(engine, partition->topic->id, partition->index, state->term, dir,
                             sizeof(dir));
    weir_err err = weir_segment_open(engine->env, dir, state, last && !engine->old_alive, &segment);
    if (err == WEIR_OK) {
        weir_segment_files_join(engine->files, segment);
        err = weir_partition_segment_add(partition, segment);
        if (err != WEIR_OK) {
            weir_segment_drop(segment);
        }
    }
    return err;
}

weir_err weir_snapshot_options_check(const weir_engine *engine, uint32_t id, weir_bytes name,
                                     const weir_topic_options *options)
{
    bool good = options->partitions > 0 && options->partitions <= PARTITIONS_MOST &&
                options->level != WEIR_LEVEL_DEFAULT && options->level < WEIR_LEVEL_COUNT &&
                weir_topic_name_check(name) == WEIR_OK;
    const weir_topic *named = good ? weir_topics_find(engine, name) : NULL;
    return good && (named == NULL || named->id == id) ? WEIR_OK : WEIR_DAMAGED;
}

/* The full name under which a chunk of one record is retained. */
static bool name_is(const weir_chunk *chunk, weir_bytes name)
{
    static _Thread_local uint8_t made[NAME_BYTES_MOST];
    weir_record record;
    bool encoded = false;
    weir_chunk_record(chunk, 0, &record);
    size_t whole =
        weir_record_name(weir_chunk_topic(chunk), record.key, made, sizeof(made), &encoded);
    size_t len = whole < sizeof(made) ? whole : sizeof(made); /* as retained.c has it */
    return len == name.len && memcmp(made, name.ptr, len) == 0;
}

/* The value that was set last, unless the chunk cleared one. */
static void retained_loaded(weir_engine *engine, const weir_chunk *chunk)
{
    if (!weir_link_empty(&engine->retained_list)) {
        weir_retained *value = WEIR_OWNER_OF(engine->retained_list.previous, weir_retained, link);
        if (value->chunk == chunk) {
            weir_saved_loaded(engine, WEIR_SNAPSHOT_RETAINED, &value->saved);
        }
    }
}

weir_err weir_snapshot_retained_add(weir_engine *engine, uint32_t topic_id, weir_bytes topic_name,
                                    uint32_t partition, weir_bytes batch, const weir_bytes *name)
{
    weir_topic *topic = weir_topics_find_id(engine, topic_id);
    if (topic == NULL && topic_id != WEIR_LIVE_TOPIC_ID &&
        weir_topic_name_check(topic_name) != WEIR_OK) {
        return WEIR_DAMAGED;
    }
    weir_topic_ref *ref = topic_id == WEIR_LIVE_TOPIC_ID
                              ? weir_topic_ref_keep(engine->live_topic.ref)
                          : topic != NULL ? weir_topic_ref_keep(topic->ref)
                                          : weir_topic_ref_create(topic_id, topic_name);
    weir_chunk *chunk = NULL;
    weir_err err =
        ref == NULL ? WEIR_NO_MEMORY : weir_chunk_from_batch(ref, partition, batch, &chunk);
    if (err == WEIR_OK && (chunk->count != 1 || (name != NULL && !name_is(chunk, *name)))) {
        err = WEIR_DAMAGED;
    }
    if (err == WEIR_OK) {
        weir_retained_apply_chunk(engine, chunk);
        retained_loaded(engine, chunk);
    }
    weir_chunk_drop(chunk);
    weir_topic_ref_drop(ref);
    return err == WEIR_OK || err == WEIR_NO_MEMORY ? err : WEIR_DAMAGED;
}

static const weir_snapshot_field *field_of(const weir_snapshot_field *fields, size_t count,
                                           uint16_t tag)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].tag == tag) {
            return &fields[i];
        }
    }
    return NULL;
}

/* All fields of `body`, in the order of their tags, and each that is required. */
weir_err weir_snapshot_take_fields(weir_engine *engine, void *object,
                                   const weir_snapshot_field *fields, size_t count,
                                   weir_reader *body)
{
    uint16_t before = 0;
    size_t required = 0;
    for (size_t i = 0; i < count; i++) {
        required += fields[i].required ? 1 : 0;
    }
    while (!body->failed && body->rest.len > 0) {
        uint16_t tag = weir_reader_u16(body);
        weir_reader inside = {.rest = weir_reader_bytes(body, weir_reader_u32(body))};
        const weir_snapshot_field *field = field_of(fields, count, tag);
        if (body->failed || tag <= before) {
            return WEIR_DAMAGED;
        }
        if (field == NULL) {
            return WEIR_VERSION;
        }
        weir_err err = field->take(engine, object, &inside);
        if (err == WEIR_OK && (inside.failed || inside.rest.len > 0)) {
            err = WEIR_DAMAGED;
        }
        if (err != WEIR_OK) {
            return err;
        }
        required -= field->required ? 1 : 0;
        before = tag;
    }
    return body->failed || required > 0 ? WEIR_DAMAGED : WEIR_OK;
}

static weir_err decode_topic(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    weir_topic_draft draft = {0};
    uint32_t id = weir_reader_u32(body);
    weir_err err =
        weir_snapshot_take_fields(engine, &draft, WEIR_FIELDS_OF(weir_snapshot_topic_fields), body);
    if (err != WEIR_OK || id == WEIR_LIVE_TOPIC_ID) {
        return err != WEIR_OK ? err : WEIR_DAMAGED;
    }
    err = weir_snapshot_options_check(engine, id, draft.name, &draft.options);
    weir_topic *topic = weir_topics_find_id(engine, id);
    if (err == WEIR_OK && topic == NULL) {
        err = weir_topics_apply_create(engine, id, draft.name, &draft.options, &topic);
    } else if (err == WEIR_OK && (topic->partition_count > draft.options.partitions ||
                                  weir_topics_find(engine, draft.name) != topic)) {
        err = WEIR_DAMAGED;
    } else if (err == WEIR_OK) {
        uint32_t more = draft.options.partitions - topic->partition_count;
        err = more > 0 ? weir_topic_grow(topic, draft.options.partitions) : WEIR_OK;
        engine->stats.partitions += err == WEIR_OK ? more : 0;
        topic->options = draft.options;
    }
    err = err == WEIR_OK ? weir_snapshot_epochs_set(topic, draft.epochs) : err;
    if (err == WEIR_OK) {
        topic->held_unit = unit;
        weir_saved_loaded(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    }
    return err;
}

/* Replay may pass through its last units: it waits with the graves until no checkpoint knows it. */
static weir_err decode_topic_gone(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    weir_topic_draft draft = {0};
    uint32_t id = weir_reader_u32(body);
    weir_err err = weir_snapshot_take_fields(engine, &draft,
                                             WEIR_FIELDS_OF(weir_snapshot_topic_gone_fields), body);
    if (err != WEIR_OK) {
        return err;
    }
    if (id == WEIR_LIVE_TOPIC_ID || draft.deleted_unit == 0 || draft.deleted_unit > unit ||
        weir_topics_grave(engine, id) != NULL || weir_topic_name_check(draft.name) != WEIR_OK) {
        return WEIR_DAMAGED;
    }
    weir_topic *topic = weir_topics_find_id(engine, id);
    if (topic == NULL && weir_topics_find(engine, draft.name) != NULL) {
        return WEIR_DAMAGED;
    }
    if (topic == NULL) {
        weir_topic_options none = {.level = WEIR_LEVEL_DISK};
        err = weir_topics_apply_create(engine, id, draft.name, &none, &topic);
    }
    if (err == WEIR_OK) {
        weir_topics_apply_delete(engine, topic, draft.deleted_unit);
        weir_link_remove(&topic->saved.link);
    }
    return err;
}

/* As it was when its topic was made: what is read next replaces all of it. */
static void partition_empty(weir_engine *engine, weir_partition *partition)
{
    weir_partition_drop_chunks(engine, partition);
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_drop(partition->segments[i]);
    }
    partition->segment_count = 0;
    partition->segment_continues = true;
    partition->start_offset = 0;
    partition->flushed_offset = 0;
    partition->next_offset = 0;
    partition->clean_offset = 0;
    partition->tombstones_due_ms = INT64_MAX;
    weir_trims_forget(partition);
    weir_fates_forget(engine, partition);
}

static weir_err decode_partition(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    uint32_t id = weir_reader_u32(body);
    uint32_t index = weir_reader_u32(body);
    weir_topic *topic = weir_topics_find_id(engine, id);
    if (!body->failed && topic == NULL && weir_topics_grave(engine, id) != NULL) {
        return WEIR_OK; /* it was written before its topic went */
    }
    if (body->failed || topic == NULL || index >= topic->partition_count) {
        return WEIR_DAMAGED;
    }
    weir_partition *partition = topic->partitions[index];
    partition_empty(engine, partition);
    partition->held_unit = unit;
    weir_err err = weir_snapshot_take_fields(engine, partition,
                                             WEIR_FIELDS_OF(weir_snapshot_partition_fields), body);
    weir_saved_loaded(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    return err;
}

/* The name is its record's, whatever that is: an older version retained under any key. */
static weir_err decode_retained(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    (void)unit;
    weir_retained_draft draft = {0};
    draft.name = weir_reader_bytes(body, weir_reader_u16(body));
    weir_err err = weir_snapshot_take_fields(engine, &draft,
                                             WEIR_FIELDS_OF(weir_snapshot_retained_fields), body);
    return err != WEIR_OK ? err
                          : weir_snapshot_retained_add(engine, draft.topic_id, draft.topic,
                                                       draft.partition, draft.batch, &draft.name);
}

static weir_err forget_retained(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    (void)unit;
    weir_bytes name = weir_reader_bytes(identity, identity->rest.len);
    weir_retained_forget(engine, name);
    return WEIR_OK;
}

static weir_err decode_engine(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    engine->groups.deleted_unit = unit;
    return weir_snapshot_take_fields(engine, engine, WEIR_FIELDS_OF(weir_snapshot_engine_fields),
                                     body);
}

/* How objects of each kind are written, read, and forgotten. */
typedef struct object_kind {
    void (*put)(weir_engine *engine, const weir_saved *saved, uint64_t unit, weir_writer *to);
    weir_err (*take)(weir_engine *engine, uint64_t unit, weir_reader *body);
    /* One that is no more; NULL: of this kind none is told so. */
    weir_err (*forget)(weir_engine *engine, uint64_t unit, weir_reader *identity);
} object_kind;

static const object_kind KINDS[WEIR_SNAPSHOT_KINDS] = {
    [WEIR_SNAPSHOT_ENGINE] = {NULL, decode_engine, NULL},
    [WEIR_SNAPSHOT_TOPIC] = {put_topic, decode_topic, NULL},
    [WEIR_SNAPSHOT_PARTITION] = {put_partition, decode_partition, NULL},
    [WEIR_SNAPSHOT_RETAINED] = {put_retained, decode_retained, forget_retained},
    [WEIR_SNAPSHOT_TOPIC_GONE] = {NULL, decode_topic_gone, NULL},
    [WEIR_SNAPSHOT_PRODUCER] = {weir_snapshot_producer_put, weir_snapshot_producer_take,
                                weir_snapshot_producer_forget},
    [WEIR_SNAPSHOT_PUBLISHING] = {weir_snapshot_publishing_put, weir_snapshot_publishing_take,
                                  weir_snapshot_publishing_forget},
    [WEIR_SNAPSHOT_GROUP] = {weir_snapshot_group_put, weir_snapshot_group_take,
                             weir_snapshot_group_forget},
    [WEIR_SNAPSHOT_GROUP_PART] = {weir_snapshot_group_part_put, weir_snapshot_group_part_take,
                                  weir_snapshot_group_part_forget},
    [WEIR_SNAPSHOT_SETTLEMENT] = {weir_snapshot_settlement_put, weir_snapshot_settlement_take,
                                  weir_snapshot_settlement_forget},
};

void weir_snapshot_put(weir_engine *engine, weir_snapshot_kind kind, const weir_saved *saved,
                       uint64_t unit, weir_writer *to)
{
    WEIR_ASSERT(KINDS[kind].put != NULL);
    KINDS[kind].put(engine, saved, unit, to);
}

static weir_err decode_object(weir_engine *engine, weir_reader *from)
{
    uint8_t kind = weir_reader_u8(from);
    uint64_t unit = weir_reader_u64(from);
    weir_reader body = {.rest = weir_reader_bytes(from, weir_reader_u32(from))};
    if (from->failed) {
        return WEIR_DAMAGED;
    }
    if (kind == WEIR_SNAPSHOT_GONE) {
        kind = weir_reader_u8(&body);
        bool known = !body.failed && kind < WEIR_SNAPSHOT_KINDS && KINDS[kind].forget != NULL;
        weir_err err = known ? KINDS[kind].forget(engine, unit, &body) : WEIR_VERSION;
        return err == WEIR_OK && (body.failed || body.rest.len > 0) ? WEIR_DAMAGED : err;
    }
    if (kind >= WEIR_SNAPSHOT_KINDS || KINDS[kind].take == NULL) {
        return WEIR_VERSION;
    }
    return KINDS[kind].take(engine, unit, &body);
}

static weir_err decode(weir_engine *engine, weir_reader *from)
{
    uint16_t version = weir_reader_u16(from);
    if (from->failed) {
        return WEIR_DAMAGED;
    }
    if (version < SNAPSHOT_VERSION_LEAST || version > SNAPSHOT_VERSION) {
        return WEIR_VERSION;
    }
    if (version < SNAPSHOT_VERSION) {
        return weir_snapshot_old_decode(engine, version, from);
    }
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && from->rest.len > 0) {
        err = decode_object(engine, from);
    }
    return err;
}

weir_err weir_snapshot_decode(weir_engine *engine, weir_bytes payload, weir_fault *fault)
{
    weir_reader from = {.rest = payload};
    weir_err err = decode(engine, &from);
    if (err != WEIR_OK) {
        fault->err = err;
        snprintf(fault->text, sizeof(fault->text),
                 "the checkpoint's content cannot be used (%s): nothing was changed; %s",
                 weir_err_name(err),
                 err == WEIR_VERSION ? "start the version of weir that wrote it"
                                     : "restore the data directory from a copy");
    }
    return err;
}
