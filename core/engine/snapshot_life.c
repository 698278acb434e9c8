/* core/engine/snapshot_life.c - fields of a snapshot about how records end.
 *
 *   topic 6       settings   as options.c has them
 *   topic 7       epochs     each: partitions u32 | bounds i64 x partitions       oldest first
 *   partition 10  compacted  through i64 | tombstones due i64 (engine time; INT64_MAX: none)
 *
 *   partition 12  trims      each: from i64 | to i64 | when i64 (Unix ms)         oldest first
 *
 * Big-endian. A topic that was told nothing, never grew, and was never compacted or trimmed by a command
 * has none of them. */
#include "core/engine/snapshot.h"

void weir_snapshot_put_settings(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_topic_options *options = &((const weir_topic *)object)->options;
    size_t bytes = weir_topic_settings_bytes(options);
    (void)engine;
    if (to->err == WEIR_OK) {
        to->err = weir_buffer_reserve(to->out, bytes);
    }
    if (to->err == WEIR_OK && bytes > 0) {
        weir_topic_settings_encode(options, to->out->ptr + to->out->len);
        to->out->len += bytes;
    }
}

weir_err weir_snapshot_take_settings(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    return weir_topic_settings_decode(weir_reader_bytes(from, from->rest.len),
                                      &((weir_topic_draft *)object)->options);
}

void weir_snapshot_put_epochs(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_topic *topic = object;
    (void)engine;
    for (uint32_t i = 0; i < topic->epoch_count; i++) {
        weir_writer_u32(to, topic->epochs[i]->partitions);
        for (uint32_t p = 0; p < topic->epochs[i]->partitions; p++) {
            weir_writer_u64(to, (uint64_t)topic->epochs[i]->bounds[p]);
        }
    }
}

weir_err weir_snapshot_take_epochs(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_topic_draft *)object)->epochs = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

weir_err weir_snapshot_epochs_set(weir_topic *topic, weir_bytes epochs)
{
    weir_reader from = {.rest = epochs};
    weir_topic_epochs_free(topic);
    while (from.rest.len > 0) {
        uint32_t partitions = weir_reader_u32(&from);
        weir_epoch *epoch = NULL;
        if (from.failed || partitions == 0 || partitions >= topic->partition_count ||
            (uint64_t)partitions * 8 > from.rest.len) {
            return WEIR_DAMAGED;
        }
        weir_err err = weir_topic_epoch_add(topic, partitions, &epoch);
        if (err != WEIR_OK) {
            return err;
        }
        for (uint32_t i = 0; i < partitions; i++) {
            epoch->bounds[i] = (int64_t)weir_reader_u64(&from);
        }
    }
    return WEIR_OK;
}

void weir_snapshot_put_compacted(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    (void)engine;
    if (partition->clean_offset > 0) {
        weir_writer_u64(to, (uint64_t)partition->clean_offset);
        weir_writer_u64(to, (uint64_t)partition->tombstones_due_ms);
    }
}

weir_err weir_snapshot_take_compacted(weir_engine *engine, void *object, weir_reader *from)
{
    weir_partition *partition = object;
    (void)engine;
    partition->clean_offset = (int64_t)weir_reader_u64(from);
    partition->tombstones_due_ms = (int64_t)weir_reader_u64(from);
    return from->failed || partition->clean_offset < 0 ||
                   partition->clean_offset > partition->next_offset
               ? WEIR_DAMAGED
               : WEIR_OK;
}

void weir_snapshot_put_trims(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_partition *partition = object;
    (void)engine;
    for (uint32_t i = 0; i < partition->trim_count; i++) {
        weir_writer_u64(to, (uint64_t)partition->trims[i].from);
        weir_writer_u64(to, (uint64_t)partition->trims[i].to);
        weir_writer_u64(to, (uint64_t)partition->trims[i].time_ms);
    }
}

weir_err weir_snapshot_take_trims(weir_engine *engine, void *object, weir_reader *from)
{
    weir_partition *partition = object;
    int64_t least = 0;
    (void)engine;
    while (from->rest.len > 0) {
        weir_trimmed stretch;
        stretch.from = (int64_t)weir_reader_u64(from);
        stretch.to = (int64_t)weir_reader_u64(from);
        stretch.time_ms = (int64_t)weir_reader_u64(from);
        if (from->failed || stretch.from < least || stretch.to <= stretch.from ||
            stretch.to > partition->start_offset || partition->trim_count == WEIR_TRIMS_MAX) {
            return WEIR_DAMAGED; /* [M1] */
        }
        if (weir_trims_reserve(partition) != WEIR_OK) {
            return WEIR_NO_MEMORY;
        }
        weir_trims_add(partition, &stretch);
        least = stretch.to;
    }
    return WEIR_OK;
}
