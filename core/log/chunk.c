/* core/log/chunk.c - the counted batch in memory: one allocation, shared by everybody, never
 * changed.
 *
 *   memory  [ struct weir_chunk | positions, 4 bytes x position_max | batch, capacity bytes    ]
 *                                 where record i begins               head, records, unused
 *
 * The engine creates one from its pool, fills it through a weir_batch_builder and publishes it; or
 * a stored batch is checked whole and copied into one. From then on it is read only. The last drop
 * sends pooled memory home and frees the other.
 *
 * A compressed batch stands as it is stored; behind it, in the same memory, its plain form, where its
 * records are read.
 *
 * Records are decoded without checks: the builder or weir_batch_check has told every position.
 *
 * [C1] positions[i], i < count, is a record that the builder or the check has placed in `plain`.
 * [C2] A chunk keeps its topic's name; live chunks have an empty one. */
#include "core/log/chunk.h"

#include "core/base/assert.h"
#include "core/log/pool.h"

#include <stdlib.h>
#include <string.h>

weir_topic_ref *weir_topic_ref_create(uint32_t id, weir_bytes name)
{
    WEIR_ASSERT(name.len <= UINT32_MAX);
    weir_topic_ref *made = malloc(sizeof(*made) + name.len);
    if (made == NULL) {
        return NULL;
    }
    atomic_init(&made->refs, 1);
    made->id = id;
    made->name_bytes = (uint32_t)name.len;
    if (name.len > 0) {
        memcpy(made->name, name.ptr, name.len);
    }
    return made;
}

weir_topic_ref *weir_topic_ref_keep(weir_topic_ref *ref)
{
    (void)atomic_fetch_add_explicit(&ref->refs, 1, memory_order_relaxed);
    return ref;
}

void weir_topic_ref_drop(weir_topic_ref *ref)
{
    if (ref != NULL && atomic_fetch_sub_explicit(&ref->refs, 1, memory_order_acq_rel) == 1) {
        free(ref);
    }
}

/* Everything but the memory's own fields. */
static void chunk_init(weir_chunk *chunk, weir_topic_ref *topic, uint32_t partition,
                       uint32_t position_max)
{
    size_t before = sizeof(*chunk) + (size_t)position_max * sizeof(chunk->positions[0]);
    atomic_init(&chunk->refs, 1);
    chunk->topic = weir_topic_ref_keep(topic); /* [C2] */
    chunk->partition = partition;
    chunk->count = 0;
    chunk->holes = 0;
    chunk->base_offset = 0;
    chunk->timestamp_ms = 0;
    chunk->unit = 0;
    chunk->batch_bytes = 0;
    chunk->position_max = position_max;
    chunk->batch = (uint8_t *)chunk + before;
    chunk->plain = chunk->batch;
    chunk->plain_bytes = 0;
    size_t rest =
        chunk->memory_bytes - before; /* what a size class gives beyond the asked is used */
    chunk->capacity = rest < INT32_MAX ? (uint32_t)rest : INT32_MAX;
}

weir_err weir_chunk_create(weir_chunk_pool *pool, weir_topic_ref *topic, uint32_t partition,
                           size_t capacity, uint32_t position_max, weir_chunk **chunk)
{
    WEIR_ASSERT(capacity <= INT32_MAX); /* no batch is larger */
    size_t bytes = sizeof(**chunk) + (size_t)position_max * sizeof(uint32_t) + capacity;
    weir_chunk *made = weir_chunk_pool_take(pool, bytes);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    chunk_init(made, topic, partition, position_max);
    *chunk = made;
    return WEIR_OK;
}

/* Without a pool: any thread. */
static weir_chunk *chunk_allocate(weir_topic_ref *topic, uint32_t partition, size_t capacity,
                                  uint32_t position_max)
{
    size_t bytes = sizeof(weir_chunk) + (size_t)position_max * sizeof(uint32_t) + capacity;
    weir_chunk *made = malloc(bytes);
    if (made != NULL) {
        made->pool = NULL;
        made->memory_bytes = bytes;
        chunk_init(made, topic, partition, position_max);
    }
    return made;
}

/* Its batch is in place. */
static void head_take(weir_chunk *chunk, const weir_batch_head *head)
{
    chunk->batch_bytes = head->batch_bytes;
    chunk->count = (uint32_t)head->record_count;
    chunk->holes = (uint32_t)(head->last_offset_delta - (head->record_count - 1));
    chunk->base_offset = head->base_offset;
    chunk->timestamp_ms = head->max_timestamp;
}

weir_err weir_chunk_plain_set(weir_chunk *chunk, const weir_batch_head *head, weir_bytes plain)
{
    size_t at = weir_chunk_plain_at(head->batch_bytes);
    WEIR_ASSERT(at + plain.len <= chunk->capacity && plain.len <= UINT32_MAX);
    chunk->plain = chunk->batch + at;
    chunk->plain_bytes = (uint32_t)plain.len;
    memcpy(chunk->plain, plain.ptr, plain.len);
    return weir_batch_check_plain(plain, head, chunk->positions, chunk->position_max); /* [C1] */
}

void weir_chunk_plain_stamp(weir_chunk *chunk)
{
    if (chunk->plain != chunk->batch) {
        weir_batch_plain_stamp(chunk->plain, chunk->batch);
    }
}

static weir_err from_compressed(weir_topic_ref *topic, uint32_t partition, weir_bytes batch,
                                const weir_batch_head *head, weir_chunk **chunk)
{
    uint8_t *memory = NULL;
    size_t len = 0;
    weir_err err = weir_batch_inflate(batch, WEIR_CHUNK_PLAIN_BYTES_MAX, &memory, &len);
    if (err != WEIR_OK) {
        return err;
    }
    weir_chunk *made = NULL;
    err = (size_t)head->record_count > len ? WEIR_MALFORMED : WEIR_OK; /* a record is some bytes */
    if (err == WEIR_OK) {
        made = chunk_allocate(topic, partition, weir_chunk_plain_at(batch.len) + len,
                              (uint32_t)head->record_count);
        err = made == NULL ? WEIR_NO_MEMORY
                           : weir_chunk_plain_set(made, head, (weir_bytes){memory, len});
    }
    free(memory);
    if (err != WEIR_OK) {
        weir_chunk_drop(made);
        return err;
    }
    memcpy(made->batch, batch.ptr, batch.len);
    head_take(made, head);
    *chunk = made;
    return WEIR_OK;
}

weir_err weir_chunk_from_batch(weir_topic_ref *topic, uint32_t partition, weir_bytes batch,
                               weir_chunk **chunk)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(batch, &head);
    if (err != WEIR_OK) {
        return err;
    }
    /* A compressed batch may claim any count: it gets its memory when the records are there. */
    bool compressed = (head.attributes & WEIR_BATCH_COMPRESSION_MASK) != 0;
    weir_chunk *made =
        compressed ? NULL
                   : chunk_allocate(topic, partition, batch.len, (uint32_t)head.record_count);
    if (!compressed && made == NULL) {
        return WEIR_NO_MEMORY;
    }
    err = weir_batch_check(batch, &head, compressed ? NULL : made->positions,
                           (uint32_t)head.record_count); /* [C1] */
    if (compressed && err == WEIR_UNSUPPORTED) {
        return from_compressed(topic, partition, batch, &head, chunk);
    }
    if (err != WEIR_OK) {
        weir_chunk_drop(made);
        return err;
    }
    memcpy(made->batch, batch.ptr, batch.len);
    head_take(made, &head);
    *chunk = made;
    return WEIR_OK;
}

weir_err weir_chunk_from_records(weir_topic_ref *topic, uint32_t partition,
                                 const weir_batch_head *head, weir_bytes records,
                                 weir_chunk **chunk)
{
    WEIR_ASSERT(head->batch_bytes == WEIR_BATCH_HEAD_BYTES + records.len);
    weir_chunk *made =
        chunk_allocate(topic, partition, head->batch_bytes, (uint32_t)head->record_count);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_batch_head checked;
    weir_batch_head_encode(head, made->batch);
    memcpy(made->batch + WEIR_BATCH_HEAD_BYTES, records.ptr, records.len);
    weir_err err = weir_batch_check((weir_bytes){made->batch, head->batch_bytes}, &checked,
                                    made->positions, (uint32_t)head->record_count); /* [C1] */
    if (err != WEIR_OK) {
        weir_chunk_drop(made);
        return err;
    }
    head_take(made, &checked);
    *chunk = made;
    return WEIR_OK;
}

int64_t weir_chunk_offset_at(const weir_chunk *chunk, uint32_t index)
{
    if (chunk->holes == 0) {
        return chunk->base_offset + index;
    }
    weir_record record;
    weir_chunk_record(chunk, index, &record);
    return record.offset;
}

uint32_t weir_chunk_index_at(const weir_chunk *chunk, int64_t offset)
{
    if (offset <= chunk->base_offset) {
        return 0;
    }
    if (offset >= weir_chunk_end(chunk)) {
        return chunk->count;
    }
    if (chunk->holes == 0) {
        return (uint32_t)(offset - chunk->base_offset);
    }
    uint32_t low = 0, high = chunk->count;
    while (low < high) { /* offsets rise from record to record */
        uint32_t middle = low + (high - low) / 2;
        if (weir_chunk_offset_at(chunk, middle) < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

weir_chunk *weir_chunk_keep(weir_chunk *chunk)
{
    (void)atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed);
    return chunk;
}

/* Whether this was the last count. Who sees 1 is alone with it: nobody is left who could keep it.
 */
static bool count_drop(weir_chunk *chunk)
{
    return atomic_load_explicit(&chunk->refs, memory_order_acquire) == 1 ||
           atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) == 1;
}

void weir_chunk_drop(weir_chunk *chunk)
{
    if (chunk == NULL || !count_drop(chunk)) {
        return;
    }
    weir_topic_ref_drop(chunk->topic);
    if (chunk->pool != NULL) {
        weir_chunk_pool_return(chunk);
    } else {
        free(chunk);
    }
}

void weir_chunk_drop_home(weir_chunk *chunk)
{
    if (chunk->pool == NULL) {
        weir_chunk_drop(chunk);
    } else if (count_drop(chunk)) {
        weir_topic_ref_drop(chunk->topic);
        weir_chunk_pool_return_home(chunk);
    }
}

weir_bytes weir_chunk_topic(const weir_chunk *chunk)
{
    return (weir_bytes){chunk->topic->name, chunk->topic->name_bytes};
}

uint32_t weir_chunk_partition(const weir_chunk *chunk)
{
    return chunk->partition;
}

int64_t weir_chunk_base_offset(const weir_chunk *chunk)
{
    return chunk->base_offset;
}

uint32_t weir_chunk_count(const weir_chunk *chunk)
{
    return chunk->count;
}

bool weir_chunk_is_live(const weir_chunk *chunk)
{
    return chunk->topic->name_bytes == 0; /* [C2] */
}

weir_bytes weir_chunk_batch(const weir_chunk *chunk)
{
    return (weir_bytes){chunk->batch, chunk->batch_bytes};
}

void weir_chunk_record(const weir_chunk *chunk, uint32_t index, weir_record *record)
{
    WEIR_ASSERT(index < chunk->count);
    weir_batch_record_trusted(chunk->plain, chunk->positions[index], chunk->base_offset,
                              chunk->timestamp_ms, record); /* [C1] */
}
