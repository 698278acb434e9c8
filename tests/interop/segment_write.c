/* Writes a small segment into the directory that is its argument, for segment_kafka_test.py to read
 * with Kafka's own tools: batches of 1, 2, 3 ... records, with null and empty keys, values and
 * headers. Prints one line for each record: offset, time, key, value, headers (bytes as
 * hexadecimal, null as -). */
#include "core/log/segment.h"
#include "tests/interop/record_print.h"

#include <stdlib.h>

enum { BATCHES = 6, BASE_OFFSET = 4200, TIME_MS = 1700000000 };

static void must(weir_err err)
{
    if (err != WEIR_OK) {
        (void)fprintf(stderr, "segment_write: %s\n", weir_err_name(err));
        exit(1);
    }
}

static void record_add(weir_chunk *chunk, weir_batch_builder *builder, uint32_t index)
{
    static uint8_t long_value[300];
    const weir_bytes spans[] = {WEIR_TEXT("plant1/dev7"), WEIR_TEXT(""), WEIR_BYTES_NULL,
                                WEIR_BYTES(long_value)};
    const weir_header headers[] = {{WEIR_TEXT("content-type"), WEIR_TEXT("text/plain")},
                                   {WEIR_TEXT("none"), WEIR_BYTES_NULL},
                                   {WEIR_TEXT("none"), WEIR_TEXT("")}};
    uint8_t rest[512];
    weir_bytes encoded = {
        rest, weir_record_rest_encode(spans[(index + 1) % 4], headers, index % 4, rest)};
    must(weir_batch_add(builder, (uint8_t)(index % 3), spans[index % 4], encoded,
                        &chunk->positions[index]));
}

static weir_chunk *chunk_make(weir_chunk_pool *pool, weir_topic_ref *topic, int64_t base_offset,
                              uint32_t records)
{
    weir_chunk *chunk;
    weir_batch_builder builder;
    must(weir_chunk_create(pool, topic, 0, 8192, records, &chunk));
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    for (uint32_t i = 0; i < records; i++) {
        record_add(chunk, &builder, i);
    }
    chunk->count = records;
    chunk->base_offset = base_offset;
    chunk->timestamp_ms = TIME_MS + base_offset;
    chunk->batch_bytes =
        (uint32_t)weir_batch_finish(&builder, base_offset, 9, chunk->timestamp_ms).len;
    return chunk;
}

int main(int argc, char **argv)
{
    weir_env *env;
    weir_chunk_pool *pool;
    weir_segment *segment;
    weir_chunk *chunks[BATCHES];
    int64_t offset = BASE_OFFSET;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: segment_write DIRECTORY\n");
        return 2;
    }
    must(weir_env_posix_create(&env));
    must(weir_chunk_pool_create(&pool));
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    must(topic == NULL ? WEIR_NO_MEMORY : WEIR_OK);
    must(weir_segment_create(env, argv[1], 0, BASE_OFFSET, TIME_MS, &segment));
    for (uint32_t i = 0; i < BATCHES; i++) {
        chunks[i] = chunk_make(pool, topic, offset, i + 1);
        offset += chunks[i]->count;
    }
    must(weir_segment_append(segment, chunks, BATCHES));
    must(weir_segment_sync(segment));
    for (uint32_t i = 0; i < BATCHES; i++) {
        for (uint32_t index = 0; index < chunks[i]->count; index++) {
            weir_record record;
            weir_chunk_record(chunks[i], index, &record);
            record_print(record);
        }
        weir_chunk_drop(chunks[i]);
    }
    weir_segment_drop(segment);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
    weir_env_posix_destroy(env);
    return 0;
}
