/* Chunks: what they keep, where their memory goes, and from which thread. */
#include "core/log/chunk.h"

#include "core/base/hash.h"
#include "core/env/pages.h"
#include "core/base/varint.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static weir_chunk *chunk_make(weir_chunk_pool *pool, weir_topic_ref *topic, size_t capacity,
                              uint32_t records, int64_t base_offset)
{
    weir_chunk *chunk = NULL;
    weir_batch_builder builder;
    uint8_t rest[32];
    weir_bytes encoded = {rest, weir_record_rest_encode(WEIR_TEXT("value"), NULL, 0, rest)};
    assert_int_equal(weir_chunk_create(pool, topic, 3, capacity, records, &chunk), WEIR_OK);
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    for (uint32_t i = 0; i < records; i++) {
        assert_int_equal(
            weir_batch_add(&builder, 1, WEIR_TEXT("key"), encoded, &chunk->positions[i]), WEIR_OK);
    }
    chunk->count = records;
    chunk->base_offset = base_offset;
    chunk->timestamp_ms = 99;
    chunk->batch_bytes = (uint32_t)weir_batch_finish(&builder, base_offset, 1, 99).len;
    return chunk;
}

static void a_chunk_tells_what_was_put_in(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(7, WEIR_TEXT("sensors"));
    weir_chunk *chunk = chunk_make(pool, topic, 1000, 5, 40);
    weir_topic_ref_drop(topic); /* the chunk keeps it */
    assert_true(weir_bytes_equal(weir_chunk_topic(chunk), WEIR_TEXT("sensors")));
    assert_false(weir_chunk_is_live(chunk));
    assert_int_equal(weir_chunk_partition(chunk), 3);
    assert_int_equal(weir_chunk_base_offset(chunk), 40);
    assert_int_equal(weir_chunk_count(chunk), 5);
    for (uint32_t i = 0; i < 5; i++) {
        weir_record record;
        weir_chunk_record(chunk, i, &record);
        assert_int_equal(record.offset, 40 + i);
        assert_int_equal(record.timestamp_ms, 99);
        assert_int_equal(record.attributes, 1);
        assert_true(weir_bytes_equal(record.value, WEIR_TEXT("value")));
    }
    weir_batch_head head;
    assert_int_equal(weir_batch_check(weir_chunk_batch(chunk), &head, NULL, 0), WEIR_OK);
    assert_ptr_equal(weir_chunk_keep(chunk), chunk);
    weir_chunk_drop(chunk);
    weir_chunk_drop(chunk);
    weir_chunk_drop(NULL);
    weir_chunk_pool_destroy(pool);
}

static void live_chunks_have_an_empty_topic_that_is_not_null(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(0, WEIR_BYTES_NULL);
    weir_chunk *chunk = chunk_make(pool, topic, 100, 1, 0);
    assert_true(weir_chunk_is_live(chunk));
    assert_non_null(weir_chunk_topic(chunk).ptr);
    assert_int_equal(weir_chunk_topic(chunk).len, 0);
    weir_topic_ref_drop(topic);
    weir_chunk_drop(chunk);
    weir_chunk_pool_destroy(pool);
}

static void a_stored_batch_becomes_the_same_chunk_or_none(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(7, WEIR_TEXT("t"));
    weir_chunk *made = chunk_make(pool, topic, 1000, 20, 40), *copy = NULL;
    weir_bytes batch = weir_chunk_batch(made);
    assert_int_equal(weir_chunk_from_batch(topic, 9, batch, &copy), WEIR_OK);
    assert_int_equal(weir_chunk_partition(copy), 9);
    assert_int_equal(weir_chunk_base_offset(copy), 40);
    assert_int_equal(weir_chunk_count(copy), 20);
    assert_true(weir_bytes_equal(weir_chunk_batch(copy), batch));
    assert_memory_equal(copy->positions, made->positions, 20 * sizeof(uint32_t));
    weir_record record;
    weir_chunk_record(copy, 19, &record);
    assert_int_equal(record.offset, 59);
    assert_int_equal(record.timestamp_ms, 99);
    weir_chunk_drop(copy);
    copy = NULL;
    made->batch[batch.len - 1] ^= 1;
    assert_int_equal(weir_chunk_from_batch(topic, 9, batch, &copy), WEIR_DAMAGED);
    assert_int_equal(weir_chunk_from_batch(topic, 9, (weir_bytes){batch.ptr, batch.len - 1}, &copy),
                     WEIR_MORE);
    weir_put_u16(made->batch + 21, 4);         /* zstd, */
    weir_put_u32(made->batch + 57, INT32_MAX); /* claiming 8 GiB of positions */
    weir_put_u32(made->batch + 17, weir_crc32c(0, made->batch + 21, batch.len - 21));
    assert_int_equal(weir_chunk_from_batch(topic, 9, batch, &copy), WEIR_MALFORMED);
    weir_put_u16(made->batch + 21, 1); /* gzip */
    weir_put_u32(made->batch + 17, weir_crc32c(0, made->batch + 21, batch.len - 21));
    assert_int_equal(weir_chunk_from_batch(topic, 9, batch, &copy), WEIR_UNSUPPORTED);
    assert_null(copy);
    assert_int_equal(atomic_load(&topic->refs), 2);
    weir_chunk_drop(made);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
}

static void a_head_and_records_become_the_same_chunk_or_none(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(7, WEIR_TEXT("t"));
    weir_chunk *made = chunk_make(pool, topic, 1000, 20, 40), *copy = NULL;
    weir_bytes batch = weir_chunk_batch(made);
    weir_bytes records = {batch.ptr + WEIR_BATCH_HEAD_BYTES, batch.len - WEIR_BATCH_HEAD_BYTES};
    weir_batch_head head;
    assert_int_equal(weir_batch_head_decode(batch, &head), WEIR_OK);
    assert_int_equal(weir_chunk_from_records(topic, 9, &head, records, &copy), WEIR_OK);
    assert_int_equal(weir_chunk_partition(copy), 9);
    assert_int_equal(weir_chunk_base_offset(copy), 40);
    assert_int_equal(weir_chunk_count(copy), 20);
    assert_int_equal(copy->timestamp_ms, 99);
    assert_true(weir_bytes_equal(weir_chunk_batch(copy), batch));
    assert_memory_equal(copy->positions, made->positions, 20 * sizeof(uint32_t));
    weir_chunk_drop(copy);
    copy = NULL;
    head.crc ^= 1;
    assert_int_equal(weir_chunk_from_records(topic, 9, &head, records, &copy), WEIR_DAMAGED);
    assert_null(copy);
    assert_int_equal(atomic_load(&topic->refs), 2);
    weir_chunk_drop(made);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
}

static void memory_is_reused_within_its_size_class(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    const size_t capacities[] = {61, 4000, 5000, 60000, 1 << 20, 3 << 20};
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        weir_chunk *first, *second;
        assert_int_equal(weir_chunk_create(pool, topic, 0, capacities[i], 16, &first), WEIR_OK);
        assert_true(first->capacity >= capacities[i]);
        assert_true(first->memory_bytes >= 256 && first->memory_bytes <= 4 << 20);
        size_t asked = sizeof(*first) + 16 * sizeof(uint32_t) + capacities[i];
        assert_true(asked <= 256 || first->memory_bytes - asked < asked / 4);
        memset(first->batch, 0xaa, first->capacity);
        weir_chunk_drop(first);
        uint64_t bytes = weir_chunk_pool_bytes(pool);
        assert_int_equal(weir_chunk_create(pool, topic, 0, capacities[i], 16, &second), WEIR_OK);
        assert_ptr_equal(second, first);
        assert_int_equal(weir_chunk_pool_bytes(pool), bytes);
        assert_int_equal(second->count, 0);
        weir_chunk_drop(second);
    }
    weir_chunk_pool_trim(pool, 8192);
    assert_true(weir_chunk_pool_bytes(pool) <= 8192);
    weir_chunk_pool_trim(pool, 0);
    assert_int_equal(weir_chunk_pool_bytes(pool), 0);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
}

static void memory_above_the_largest_class_is_not_kept(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    weir_chunk *chunk;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    assert_int_equal(weir_chunk_create(pool, topic, 0, 5 << 20, 16, &chunk), WEIR_OK);
    assert_true(weir_chunk_pool_bytes(pool) > 5 << 20);
    weir_chunk_drop(chunk);
    assert_int_equal(weir_chunk_pool_bytes(pool), 0);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
}

static void a_chunk_outlives_its_pool(void **state)
{
    (void)state;
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    weir_chunk *small = chunk_make(pool, topic, 100, 1, 0);
    weir_chunk *large = chunk_make(pool, topic, 5 << 20, 1, 1);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
    weir_record record;
    weir_chunk_record(small, 0, &record);
    assert_true(weir_bytes_equal(record.key, WEIR_TEXT("key")));
    weir_chunk_drop(small);
    weir_chunk_drop(large); /* the sanitizers tell whether anything is left, or freed twice */
}

/* Whether its span, one large page, is still there. */
static bool span_is_there(uintptr_t chunk)
{
    unsigned char in_memory;
    void *span = (void *)(chunk & ~((uintptr_t)WEIR_SPAN_BYTES - 1));
    return mincore(span, 1, &in_memory) == 0;
}

enum { SMALL_BYTES = 200, SMALLS = 16384 }; /* 5 MiB of them */

/* Fills `chunks`; every one can be written to without another's getting it. */
static void smalls_make(weir_chunk_pool *pool, weir_topic_ref *topic, weir_chunk *chunks[SMALLS])
{
    for (int i = 0; i < SMALLS; i++) {
        assert_int_equal(weir_chunk_create(pool, topic, 0, SMALL_BYTES, 1, &chunks[i]), WEIR_OK);
        memset(chunks[i]->batch, i, chunks[i]->capacity);
        chunks[i]->base_offset = i;
    }
    for (int i = 0; i < SMALLS; i++) {
        assert_int_equal(chunks[i]->base_offset, i);
        assert_int_equal(chunks[i]->batch[chunks[i]->capacity - 1], (uint8_t)i);
    }
}

static void many_small_chunks_are_in_spans_that_go_back(void **state)
{
    (void)state;
    static weir_chunk *chunks[SMALLS];
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    smalls_make(pool, topic, chunks);
    assert_false(chunks[0]->in_span); /* a few are not worth it */
    assert_true(chunks[SMALLS - 1]->in_span);
    uintptr_t last = (uintptr_t)chunks[SMALLS - 1];
    for (int i = 0; i < SMALLS; i += 2) {
        weir_chunk_drop(chunks[i]);
    }
    weir_chunk_pool_trim(pool, 0); /* half of each span */
    assert_int_equal(weir_chunk_pool_bytes(pool), (uint64_t)SMALLS / 2 * chunks[1]->memory_bytes);
    for (int i = 0; i < SMALLS; i += 2) { /* and again in the same places */
        assert_int_equal(weir_chunk_create(pool, topic, 0, SMALL_BYTES, 1, &chunks[i]), WEIR_OK);
    }
    assert_true(span_is_there(last));
    for (int i = 0; i < SMALLS; i++) {
        weir_chunk_drop_home(chunks[i]);
    }
    assert_true(span_is_there(last)); /* idle */
    weir_chunk_pool_trim(pool, 0);
    assert_int_equal(weir_chunk_pool_bytes(pool), 0);
    assert_false(span_is_there(last));
    assert_int_equal(atomic_load(&topic->refs), 1);
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
}

static void small_chunks_outlive_their_pool(void **state)
{
    (void)state;
    static weir_chunk *chunks[SMALLS];
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    smalls_make(pool, topic, chunks);
    uintptr_t last = (uintptr_t)chunks[SMALLS - 1];
    for (int i = 0; i < SMALLS / 2; i++) {
        weir_chunk_drop_home(chunks[i]);
    }
    weir_topic_ref_drop(topic);
    weir_chunk_pool_destroy(pool);
    for (int i = SMALLS / 2; i < SMALLS; i++) {
        assert_int_equal(chunks[i]->base_offset, i);
        assert_true(span_is_there(last));
        weir_chunk_drop(chunks[i]);
    }
    assert_false(span_is_there(last));
}

/* The owner makes chunks with two counts and hands them round; other threads drop them. */
enum { DROPPERS = 4, ROUNDS = 20000, SLOTS = 64 };

typedef struct exchange {
    _Atomic(weir_chunk *) slots[SLOTS];
    atomic_bool done;
} exchange;

static void *dropper_run(void *arg)
{
    exchange *shared = arg;
    bool last = false;
    while (!last) {
        last = atomic_load(&shared->done);
        for (int i = 0; i < SLOTS; i++) {
            weir_chunk *chunk = atomic_exchange(&shared->slots[i], NULL);
            if (chunk != NULL) {
                weir_record record;
                weir_chunk_record(chunk, 0, &record);
                last = last && record.value.len == 5;
                weir_chunk_drop(chunk);
            }
        }
    }
    return NULL;
}

static void chunks_come_home_from_several_threads(void **state)
{
    (void)state;
    static exchange shared;
    pthread_t threads[DROPPERS];
    weir_chunk_pool *pool;
    assert_int_equal(weir_chunk_pool_create(&pool), WEIR_OK);
    weir_topic_ref *topic = weir_topic_ref_create(1, WEIR_TEXT("t"));
    for (int i = 0; i < DROPPERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, dropper_run, &shared), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        weir_chunk *chunk = chunk_make(pool, topic, (size_t)100 << (i % 8), 1, i);
        weir_chunk_drop(atomic_exchange(&shared.slots[i % SLOTS], weir_chunk_keep(chunk)));
        weir_chunk_drop(chunk);
    }
    /* The largest of the 3 classes used, for every chunk that can have been out at once. */
    assert_true(weir_chunk_pool_bytes(pool) <= UINT64_C(3) * 16384 * (SLOTS + DROPPERS + 1));
    weir_chunk_pool_destroy(pool); /* while they still drop */
    atomic_store(&shared.done, true);
    for (int i = 0; i < DROPPERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&topic->refs), 1);
    weir_topic_ref_drop(topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_tells_what_was_put_in),
        cmocka_unit_test(live_chunks_have_an_empty_topic_that_is_not_null),
        cmocka_unit_test(a_stored_batch_becomes_the_same_chunk_or_none),
        cmocka_unit_test(a_head_and_records_become_the_same_chunk_or_none),
        cmocka_unit_test(memory_is_reused_within_its_size_class),
        cmocka_unit_test(memory_above_the_largest_class_is_not_kept),
        cmocka_unit_test(a_chunk_outlives_its_pool),
        cmocka_unit_test(many_small_chunks_are_in_spans_that_go_back),
        cmocka_unit_test(small_chunks_outlive_their_pool),
        cmocka_unit_test(chunks_come_home_from_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
