/* core/engine/snapshot.c - the engine's objects as a checkpoint's payload, and back.
 *
 *   version u16 (2) | next topic id u32 | topics u32
 *     each: id u32 | partitions u32 | partition levels u32 | level u8 | nested u8 |
 *           name bytes u16 | name
 *       each partition: start i64 | flushed i64 | next i64 | segments u32
 *         each segment: base i64 | end i64 | bytes u64 | heads u64 | max timestamp i64 |
 *                       created i64 | term u64 (version 1 had none: 0)
 *   retained values u32
 *     each: topic id u32 | name bytes u16 | topic name | partition u32 | batch bytes u32 |
 *           RecordBatch v2
 *
 * Big-endian. Decoding trusts nothing: every length is checked, and what does not fit is DAMAGED.
 */
#include "core/engine/ops.h"

#include "core/base/varint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_VERSION = 2, SNAPSHOT_VERSION_LEAST = 1, PARTITIONS_MOST = 16384 };

/* ---- Encoding
 * ----------------------------------------------------------------------------------------- */

static weir_err put16(weir_buffer *out, uint16_t value)
{
    uint8_t bytes[2];
    weir_put_u16(bytes, value);
    return weir_buffer_append(out, bytes, sizeof(bytes));
}

static weir_err put32(weir_buffer *out, uint32_t value)
{
    uint8_t bytes[4];
    weir_put_u32(bytes, value);
    return weir_buffer_append(out, bytes, sizeof(bytes));
}

static weir_err put64(weir_buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    weir_put_u64(bytes, value);
    return weir_buffer_append(out, bytes, sizeof(bytes));
}

static weir_err encode_segment(weir_buffer *out, const weir_segment *segment)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    const uint64_t fields[] = {
        (uint64_t)state.base_offset,      (uint64_t)state.end_offset, state.bytes, state.head_count,
        (uint64_t)state.max_timestamp_ms, (uint64_t)state.created_ms, state.term};
    weir_err err = WEIR_OK;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && err == WEIR_OK; i++) {
        err = put64(out, fields[i]);
    }
    return err;
}

static weir_err encode_partition(weir_buffer *out, const weir_partition *partition)
{
    weir_err err = put64(out, (uint64_t)partition->start_offset);
    err = err == WEIR_OK ? put64(out, (uint64_t)partition->flushed_offset) : err;
    err = err == WEIR_OK ? put64(out, (uint64_t)partition->next_offset) : err;
    err = err == WEIR_OK ? put32(out, partition->segment_count) : err;
    for (uint32_t i = 0; i < partition->segment_count && err == WEIR_OK; i++) {
        err = encode_segment(out, partition->segments[i]);
    }
    return err;
}

static weir_err encode_topic(weir_buffer *out, const weir_topic *topic)
{
    uint8_t flags[2] = {(uint8_t)topic->options.level, topic->options.nested ? 1 : 0};
    weir_err err = put32(out, topic->id);
    err = err == WEIR_OK ? put32(out, topic->partition_count) : err;
    err = err == WEIR_OK ? put32(out, topic->options.partition_levels) : err;
    err = err == WEIR_OK ? weir_buffer_append(out, flags, sizeof(flags)) : err;
    err = err == WEIR_OK ? put16(out, (uint16_t)topic->ref->name_bytes) : err;
    err = err == WEIR_OK ? weir_buffer_append(out, topic->ref->name, topic->ref->name_bytes) : err;
    for (uint32_t i = 0; i < topic->partition_count && err == WEIR_OK; i++) {
        err = encode_partition(out, topic->partitions[i]);
    }
    return err;
}

static weir_err encode_retained(weir_buffer *out, const weir_retained *value)
{
    const weir_chunk *chunk = value->chunk;
    weir_bytes topic = weir_chunk_topic(chunk);
    weir_err err = put32(out, chunk->topic->id);
    err = err == WEIR_OK ? put16(out, (uint16_t)topic.len) : err;
    err = err == WEIR_OK ? weir_buffer_append(out, topic.ptr, topic.len) : err;
    err = err == WEIR_OK ? put32(out, chunk->partition) : err;
    err = err == WEIR_OK ? put32(out, chunk->batch_bytes) : err;
    return err == WEIR_OK ? weir_buffer_append(out, chunk->batch, chunk->batch_bytes) : err;
}

weir_err weir_snapshot_encode(weir_engine *engine, weir_buffer *payload)
{
    weir_err err = put16(payload, SNAPSHOT_VERSION);
    err = err == WEIR_OK ? put32(payload, engine->topic_id_next) : err;
    err = err == WEIR_OK ? put32(payload, (uint32_t)engine->topics_by_name.count) : err;
    size_t position = 0;
    const weir_topic *topic = NULL;
    while (err == WEIR_OK && (topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        err = encode_topic(payload, topic);
    }
    err = err == WEIR_OK ? put32(payload, (uint32_t)engine->retained.count) : err;
    for (weir_link *at = engine->retained_list.next; at != &engine->retained_list && err == WEIR_OK;
         at = at->next) {
        err = encode_retained(payload, WEIR_OWNER_OF(at, weir_retained, link));
    }
    return err;
}

/* ---- Decoding
 * ----------------------------------------------------------------------------------------- */

/* A reader that remembers that it ran out: one check at the end of each object. */
typedef struct reader {
    weir_bytes rest;
    uint16_t version;
    bool failed;
} reader;

static weir_bytes take(reader *in, size_t len)
{
    weir_bytes taken = {in->rest.ptr, len};
    if (in->failed || len > in->rest.len) {
        in->failed = true;
        return (weir_bytes){NULL, 0};
    }
    in->rest.ptr += len;
    in->rest.len -= len;
    return taken;
}

static uint16_t take16(reader *in)
{
    weir_bytes bytes = take(in, 2);
    return in->failed ? 0 : weir_get_u16(bytes.ptr);
}

static uint32_t take32(reader *in)
{
    weir_bytes bytes = take(in, 4);
    return in->failed ? 0 : weir_get_u32(bytes.ptr);
}

static uint64_t take64(reader *in)
{
    weir_bytes bytes = take(in, 8);
    return in->failed ? 0 : weir_get_u64(bytes.ptr);
}

static weir_err decode_segment(weir_engine *engine, reader *in, weir_partition *partition,
                               bool last)
{
    char dir[4096];
    weir_segment_state state = {.base_offset = (int64_t)take64(in),
                                .end_offset = (int64_t)take64(in),
                                .bytes = take64(in),
                                .head_count = take64(in),
                                .max_timestamp_ms = (int64_t)take64(in),
                                .created_ms = (int64_t)take64(in),
                                .term = in->version > 1 ? take64(in) : 0};
    weir_segment *segment = NULL;
    if (in->failed || state.base_offset < 0 || state.end_offset < state.base_offset ||
        state.end_offset > partition->flushed_offset) {
        return WEIR_DAMAGED;
    }
    if (state.end_offset == state.base_offset) {
        return WEIR_OK; /* it holds nothing, and its name may be made again */
    }
    weir_topics_segments_dir(engine, partition->topic->id, partition->index, state.term, dir,
                             sizeof(dir));
    weir_err err =
        weir_segment_open(engine->env, dir, &state, last && !engine->old_alive, &segment);
    if (err == WEIR_OK) {
        err = weir_partition_segment_add(partition, segment);
        if (err != WEIR_OK) {
            weir_segment_drop(segment);
        }
    }
    return err;
}

static weir_err decode_partition(weir_engine *engine, reader *in, weir_partition *partition)
{
    partition->start_offset = (int64_t)take64(in);
    partition->flushed_offset = (int64_t)take64(in);
    partition->next_offset = (int64_t)take64(in);
    uint32_t segments = take32(in);
    if (in->failed || partition->start_offset < 0 ||
        partition->flushed_offset < partition->start_offset ||
        partition->next_offset < partition->flushed_offset) {
        return WEIR_DAMAGED; /* [E1] */
    }
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < segments && err == WEIR_OK; i++) {
        err = decode_segment(engine, in, partition, i + 1 == segments);
    }
    partition->segment_continues = !engine->old_alive && partition->segment_count == segments;
    return err;
}

static weir_err decode_topic(weir_engine *engine, reader *in)
{
    weir_topic *topic = NULL;
    uint32_t id = take32(in);
    weir_topic_options options = {.partitions = take32(in), .partition_levels = take32(in)};
    weir_bytes flags = take(in, 2);
    weir_bytes name = take(in, take16(in));
    if (in->failed || options.partitions == 0 || options.partitions > PARTITIONS_MOST ||
        flags.ptr[0] == WEIR_LEVEL_DEFAULT || flags.ptr[0] >= WEIR_LEVEL_COUNT ||
        weir_topic_name_check(name) != WEIR_OK || weir_topics_find(engine, name) != NULL ||
        weir_topics_find_id(engine, id) != NULL) {
        return WEIR_DAMAGED;
    }
    options.level = (weir_level)flags.ptr[0];
    options.nested = flags.ptr[1] != 0;
    weir_err err = weir_topics_apply_create(engine, id, name, &options, &topic);
    for (uint32_t i = 0; i < options.partitions && err == WEIR_OK; i++) {
        err = decode_partition(engine, in, topic->partitions[i]);
    }
    return err;
}

static weir_err decode_retained(weir_engine *engine, reader *in)
{
    uint32_t id = take32(in);
    weir_bytes name = take(in, take16(in));
    uint32_t partition = take32(in);
    weir_bytes batch = take(in, take32(in));
    if (in->failed) {
        return WEIR_DAMAGED;
    }
    weir_topic *topic = weir_topics_find_id(engine, id);
    weir_topic_ref *ref = id == WEIR_LIVE_TOPIC_ID ? weir_topic_ref_keep(engine->live_topic.ref)
                          : topic != NULL          ? weir_topic_ref_keep(topic->ref)
                                                   : weir_topic_ref_create(id, name);
    weir_chunk *chunk = NULL;
    weir_err err =
        ref == NULL ? WEIR_NO_MEMORY : weir_chunk_from_batch(ref, partition, batch, &chunk);
    if (err == WEIR_OK && chunk->count != 1) {
        err = WEIR_DAMAGED;
    }
    if (err == WEIR_OK) {
        weir_retained_apply_chunk(engine, chunk);
    }
    weir_chunk_drop(chunk);
    weir_topic_ref_drop(ref);
    return err;
}

weir_err weir_snapshot_decode(weir_engine *engine, weir_bytes payload, weir_fault *fault)
{
    reader in = {.rest = payload};
    in.version = take16(&in);
    weir_err err = in.version >= SNAPSHOT_VERSION_LEAST && in.version <= SNAPSHOT_VERSION
                       ? WEIR_OK
                       : WEIR_VERSION;
    engine->topic_id_next = take32(&in);
    uint32_t topics = take32(&in);
    for (uint32_t i = 0; i < topics && err == WEIR_OK; i++) {
        err = decode_topic(engine, &in);
    }
    uint32_t retained = err == WEIR_OK ? take32(&in) : 0;
    for (uint32_t i = 0; i < retained && err == WEIR_OK; i++) {
        err = decode_retained(engine, &in);
    }
    if (err == WEIR_OK && (in.failed || in.rest.len > 0)) {
        err = WEIR_DAMAGED;
    }
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
