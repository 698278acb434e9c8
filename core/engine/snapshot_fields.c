/* core/engine/snapshot_fields.c - the fields of the engine's own objects in a checkpoint: how each is written, and read
 * back. snapshot.c draws them and puts objects together; a kind of object is a table here, a field a row of it.
 *
 * Happy path: put writes what the object has, or nothing where that is the default; take reads all of it.
 * Failures: what cannot be is DAMAGED, and nothing is trusted but lengths that the reader has checked. */
#include "core/engine/group.h"
#include "core/engine/snapshot.h"

#include <string.h>

enum { SEGMENT_BYTES = 56 };

/* ---- Fields: engine
 * --------------------------------------------------------------------------------------- */

static void put_topic_id_next(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)object;
    weir_writer_u32(to, engine->topic_id_next);
}

static weir_err take_topic_id_next(weir_engine *engine, void *object, weir_reader *from)
{
    (void)object;
    engine->topic_id_next = weir_reader_u32(from);
    return WEIR_OK;
}

static void put_producer_id_next(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)object;
    if (engine->producers.id_next > 1) {
        weir_writer_u64(to, (uint64_t)engine->producers.id_next);
    }
}

static weir_err take_producer_id_next(weir_engine *engine, void *object, weir_reader *from)
{
    (void)object;
    engine->producers.id_next = (int64_t)weir_reader_u64(from);
    return engine->producers.id_next > 0 ? WEIR_OK : WEIR_DAMAGED;
}

static void put_group_id_next(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)object;
    if (engine->groups.id_next > 1) {
        weir_writer_u32(to, engine->groups.id_next);
    }
}

static weir_err take_group_id_next(weir_engine *engine, void *object, weir_reader *from)
{
    (void)object;
    uint32_t next = weir_reader_u32(from);
    if (next > engine->groups.id_next) { /* no group that was read has it, whatever the order */
        engine->groups.id_next = next;
    }
    return next > 0 ? WEIR_OK : WEIR_DAMAGED;
}

static void put_deleted_groups(weir_engine *engine, const void *object, weir_writer *to)
{
    static const weir_group_sums none;
    uint8_t bytes[WEIR_GROUP_SUMS_BYTES];
    (void)object;
    if (memcmp(&engine->groups.deleted, &none, sizeof(none)) != 0) {
        weir_group_sums_encode(&engine->groups.deleted, bytes);
        weir_writer_bytes(to, bytes, sizeof(bytes));
    }
}

static weir_err take_deleted_groups(weir_engine *engine, void *object, weir_reader *from)
{
    weir_bytes bytes = weir_reader_bytes(from, WEIR_GROUP_SUMS_BYTES);
    (void)object;
    if (from->failed) {
        return WEIR_DAMAGED;
    }
    weir_group_sums_decode(bytes.ptr, &engine->groups.deleted);
    return WEIR_OK;
}

static const weir_snapshot_field ENGINE_FIELDS[] = {
    {1, true, put_topic_id_next, take_topic_id_next},
    {2, false, put_producer_id_next, take_producer_id_next},
    {3, false, put_group_id_next, take_group_id_next},
    {4, false, put_deleted_groups, take_deleted_groups},
};

/* ---- Fields: topic
 * ---------------------------------------------------------------------------------------- */

static void put_name(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_topic *topic = object;
    (void)engine;
    weir_writer_bytes(to, topic->ref->name, topic->ref->name_bytes);
}

static weir_err take_name(weir_engine *engine, void *object, weir_reader *from)
{
    weir_topic_draft *draft = object;
    (void)engine;
    draft->name = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static void put_partitions(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u32(to, ((const weir_topic *)object)->partition_count);
}

static weir_err take_partitions(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->options.partitions = weir_reader_u32(from);
    return WEIR_OK;
}

static void put_levels(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_topic *topic = object;
    (void)engine;
    if (topic->options.partition_levels > 0) {
        weir_writer_u32(to, topic->options.partition_levels);
    }
}

static weir_err take_levels(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->options.partition_levels = weir_reader_u32(from);
    return WEIR_OK;
}

static void put_level(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u8(to, (uint8_t)((const weir_topic *)object)->options.level);
}

static weir_err take_level(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->options.level = (weir_level)weir_reader_u8(from);
    return WEIR_OK;
}

static void put_nested(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    if (((const weir_topic *)object)->options.nested) {
        weir_writer_u8(to, 1);
    }
}

static weir_err take_nested(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->options.nested = weir_reader_u8(from) != 0;
    return WEIR_OK;
}

static const weir_snapshot_field TOPIC_FIELDS[] = {
    {1, true, put_name, take_name},
    {2, true, put_partitions, take_partitions},
    {3, false, put_levels, take_levels},
    {4, true, put_level, take_level},
    {5, false, put_nested, take_nested},
    {6, false, weir_snapshot_put_settings, weir_snapshot_take_settings},
    {7, false, weir_snapshot_put_epochs, weir_snapshot_take_epochs},
};

/* ---- Fields: partition
 * ------------------------------------------------------------------------------------ */

static void put_positions(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    (void)engine;
    weir_writer_u64(to, (uint64_t)partition->start_offset);
    weir_writer_u64(to, (uint64_t)partition->flushed_offset);
    weir_writer_u64(to, (uint64_t)partition->next_offset);
}

static weir_err take_positions(weir_engine *engine, void *object, weir_reader *from)
{
    weir_partition *partition = object;
    int64_t start = (int64_t)weir_reader_u64(from);
    int64_t flushed = (int64_t)weir_reader_u64(from);
    int64_t next = (int64_t)weir_reader_u64(from);
    (void)engine;
    if (from->failed || start < 0 || flushed < 0 || next < flushed || next < start) {
        return WEIR_DAMAGED; /* [E1] */
    }
    partition->start_offset = start;
    partition->flushed_offset = flushed;
    partition->next_offset = next;
    return WEIR_OK;
}

static void put_segments(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    (void)engine;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        weir_writer_u64(to, (uint64_t)state.base_offset);
        weir_writer_u64(to, (uint64_t)state.end_offset);
        weir_writer_u64(to, state.bytes);
        weir_writer_u64(to, state.head_count);
        weir_writer_u64(to, (uint64_t)state.max_timestamp_ms);
        weir_writer_u64(to, (uint64_t)state.created_ms);
        weir_writer_u64(to, state.term);
    }
}

void weir_snapshot_segment_take(weir_reader *from, bool has_term, weir_segment_state *state)
{
    state->base_offset = (int64_t)weir_reader_u64(from);
    state->end_offset = (int64_t)weir_reader_u64(from);
    state->bytes = weir_reader_u64(from);
    state->head_count = weir_reader_u64(from);
    state->max_timestamp_ms = (int64_t)weir_reader_u64(from);
    state->created_ms = (int64_t)weir_reader_u64(from);
    state->term = has_term ? weir_reader_u64(from) : 0;
}

static weir_err take_segments(weir_engine *engine, void *object, weir_reader *from)
{
    weir_partition *partition = object;
    size_t count = from->rest.len / SEGMENT_BYTES;
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_segment_state state;
        weir_snapshot_segment_take(from, true, &state);
        err = weir_snapshot_segment_add(engine, partition, &state, i + 1 == count);
    }
    partition->segment_continues = !engine->old_alive && partition->segment_count == count;
    return err;
}

static void put_tail(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    if (!engine->saving.carry) {
        return; /* replay brings them */
    }
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    for (uint32_t i = first; i < partition->tail.count; i++) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i);
        weir_writer_u32(to, chunk->batch_bytes);
        weir_writer_bytes(to, chunk->batch, chunk->batch_bytes);
    }
}

static weir_err take_tail(weir_engine *engine, void *object, weir_reader *from)
{
    weir_partition *partition = object;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && !from->failed && from->rest.len > 0) {
        weir_chunk *chunk = NULL;
        weir_bytes batch = weir_reader_bytes(from, weir_reader_u32(from));
        if (from->failed) {
            return WEIR_DAMAGED;
        }
        err = weir_chunk_from_batch(partition->topic->ref, partition->index, batch, &chunk);
        if (err == WEIR_OK) {
            chunk->unit = partition->held_unit;
            int64_t end = weir_chunk_end(chunk);
            err = weir_partition_tail_add(engine, partition, chunk);
            partition->carried_end = err == WEIR_OK ? end : partition->carried_end;
        }
    }
    return err == WEIR_OK || err == WEIR_NO_MEMORY ? err : WEIR_DAMAGED;
}

static const weir_snapshot_field PARTITION_FIELDS[] = {
    {1, true, put_positions, take_positions},
    {2, false, put_segments, take_segments},
    {3, false, put_tail, take_tail},
    {10, false, weir_snapshot_put_compacted, weir_snapshot_take_compacted},
    {11, false, weir_snapshot_put_fates, weir_snapshot_take_fates},
    {12, false, weir_snapshot_put_trims, weir_snapshot_take_trims},
};

/* ---- Fields: topic that is no more
 * ------------------------------------------------------------------------- */

static void put_deleted_unit(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u64(to, ((const weir_topic *)object)->deleted_unit);
}

static weir_err take_deleted_unit(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->deleted_unit = weir_reader_u64(from);
    return WEIR_OK;
}

static const weir_snapshot_field TOPIC_GONE_FIELDS[] = {
    {1, true, put_name, take_name},
    {2, true, put_deleted_unit, take_deleted_unit},
};

/* ---- Fields: retained value
 * ------------------------------------------------------------------------------- */

static void put_source(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_chunk *chunk = ((const weir_retained *)object)->chunk;
    weir_bytes topic = weir_chunk_topic(chunk);
    (void)engine;
    weir_writer_u32(to, chunk->topic->id);
    weir_writer_u32(to, chunk->partition);
    weir_writer_bytes(to, topic.ptr, topic.len);
}

static weir_err take_source(weir_engine *engine, void *object, weir_reader *from)
{
    weir_retained_draft *draft = object;
    (void)engine;
    draft->topic_id = weir_reader_u32(from);
    draft->partition = weir_reader_u32(from);
    draft->topic = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static void put_record(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_chunk *chunk = ((const weir_retained *)object)->chunk;
    (void)engine;
    weir_writer_bytes(to, chunk->batch, chunk->batch_bytes);
}

static weir_err take_record(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_retained_draft *)object)->batch = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static const weir_snapshot_field RETAINED_FIELDS[] = {
    {1, true, put_source, take_source},
    {2, true, put_record, take_record},
};

/* ---- The tables
 * -------------------------------------------------------------------------------------------- */

const weir_snapshot_fields weir_snapshot_engine_fields = {WEIR_FIELDS(ENGINE_FIELDS)};
const weir_snapshot_fields weir_snapshot_topic_fields = {WEIR_FIELDS(TOPIC_FIELDS)};
const weir_snapshot_fields weir_snapshot_partition_fields = {WEIR_FIELDS(PARTITION_FIELDS)};
const weir_snapshot_fields weir_snapshot_topic_gone_fields = {WEIR_FIELDS(TOPIC_GONE_FIELDS)};
const weir_snapshot_fields weir_snapshot_retained_fields = {WEIR_FIELDS(RETAINED_FIELDS)};
