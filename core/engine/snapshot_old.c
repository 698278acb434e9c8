/* core/engine/snapshot_old.c - reads a checkpoint's payload of version 1 or 2, which had the whole
 * state in one piece.
 *
 *   version u16 (1, 2) | next topic id u32 | topics u32
 *     each: id u32 | partitions u32 | partition levels u32 | level u8 | nested u8 |
 *           name bytes u16 | name
 *       each partition: start i64 | flushed i64 | next i64 | segments u32
 *         each segment: base i64 | end i64 | bytes u64 | heads u64 | max timestamp i64 |
 *                       created i64 | term u64 (version 1 had none: 0)
 *   retained values u32
 *     each: topic id u32 | name bytes u16 | topic name | partition u32 | batch bytes u32 |
 *           RecordBatch v2
 *
 * Big-endian. The objects are as they were after the checkpoint's unit, which the caller has put into
 * engine.saving.begin_unit. */
#include "core/engine/snapshot.h"

static weir_err old_segment(weir_engine *engine, uint16_t version, weir_reader *from,
                            weir_partition *partition, bool last)
{
    weir_segment_state state;
    weir_snapshot_segment_take(from, version > 1, &state);
    return from->failed ? WEIR_DAMAGED : weir_snapshot_segment_add(engine, partition, &state, last);
}

static weir_err old_partition(weir_engine *engine, uint16_t version, weir_reader *from,
                              weir_partition *partition)
{
    partition->start_offset = (int64_t)weir_reader_u64(from);
    partition->flushed_offset = (int64_t)weir_reader_u64(from);
    partition->next_offset = (int64_t)weir_reader_u64(from);
    uint32_t segments = weir_reader_u32(from);
    if (from->failed || partition->start_offset < 0 ||
        partition->flushed_offset < partition->start_offset ||
        partition->next_offset < partition->flushed_offset) {
        return WEIR_DAMAGED; /* [E1] */
    }
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < segments && err == WEIR_OK; i++) {
        err = old_segment(engine, version, from, partition, i + 1 == segments);
    }
    partition->segment_continues = !engine->old_alive && partition->segment_count == segments;
    partition->held_unit = engine->saving.begin_unit;
    weir_saved_loaded(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    return err;
}

static weir_err old_topic(weir_engine *engine, uint16_t version, weir_reader *from)
{
    weir_topic *topic = NULL;
    uint32_t id = weir_reader_u32(from);
    weir_topic_options options = {0};
    options.partitions = weir_reader_u32(from);
    options.partition_levels = weir_reader_u32(from);
    options.level = (weir_level)weir_reader_u8(from);
    options.nested = weir_reader_u8(from) != 0;
    weir_bytes name = weir_reader_bytes(from, weir_reader_u16(from));
    weir_err err =
        from->failed ? WEIR_DAMAGED : weir_snapshot_options_check(engine, id, name, &options);
    if (err == WEIR_OK && weir_topics_find_id(engine, id) != NULL) {
        err = WEIR_DAMAGED;
    }
    err = err == WEIR_OK ? weir_topics_apply_create(engine, id, name, &options, &topic) : err;
    if (err == WEIR_OK) {
        topic->held_unit = engine->saving.begin_unit;
        weir_saved_loaded(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    }
    for (uint32_t i = 0; err == WEIR_OK && i < options.partitions; i++) {
        err = old_partition(engine, version, from, topic->partitions[i]);
    }
    return err;
}

static weir_err old_retained(weir_engine *engine, weir_reader *from)
{
    uint32_t id = weir_reader_u32(from);
    weir_bytes topic = weir_reader_bytes(from, weir_reader_u16(from));
    uint32_t partition = weir_reader_u32(from);
    weir_bytes batch = weir_reader_bytes(from, weir_reader_u32(from));
    return from->failed ? WEIR_DAMAGED
                        : weir_snapshot_retained_add(engine, id, topic, partition, batch, NULL);
}

weir_err weir_snapshot_old_decode(weir_engine *engine, uint16_t version, weir_reader *from)
{
    weir_err err = WEIR_OK;
    engine->topic_id_next = weir_reader_u32(from);
    uint32_t topics = weir_reader_u32(from);
    for (uint32_t i = 0; i < topics && err == WEIR_OK; i++) {
        err = old_topic(engine, version, from);
    }
    uint32_t retained = err == WEIR_OK ? weir_reader_u32(from) : 0;
    for (uint32_t i = 0; i < retained && err == WEIR_OK; i++) {
        err = old_retained(engine, from);
    }
    return err == WEIR_OK && (from->failed || from->rest.len > 0) ? WEIR_DAMAGED : err;
}
