/* Short heads: what the engine built comes back byte for byte, and what is damaged is not taken for it. */
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY_BYTES = 65536, TIME_MS = 1795984362 };

static uint8_t memory[MEMORY_BYTES];

static weir_bytes batch_made(int32_t count, int64_t base_offset, int32_t epoch, int64_t time_ms)
{
    uint8_t rest[64];
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (int32_t i = 0; i < count; i++) {
        uint32_t position;
        size_t len = weir_record_rest_encode(WEIR_TEXT("value"), NULL, 0, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, len}, &position),
            WEIR_OK);
    }
    return weir_batch_finish(&builder, base_offset, epoch, time_ms);
}

/* The short head and the records, in memory of exactly that length; the caller frees it. */
static weir_bytes shortened(weir_bytes batch, int64_t base_offset, int32_t epoch, int32_t count)
{
    uint8_t head[WEIR_BATCH_SHORT_HEAD_BYTES_MAX];
    size_t len = weir_batch_head_shorten(batch, base_offset, epoch, count, head);
    assert_true(len <= sizeof(head));
    size_t records = batch.len - WEIR_BATCH_HEAD_BYTES;
    uint8_t *out = malloc(len + records);
    memcpy(out, head, len);
    memcpy(out + len, batch.ptr + WEIR_BATCH_HEAD_BYTES, records);
    return (weir_bytes){out, len + records};
}

static void what_the_engine_built_comes_back(void **state)
{
    (void)state;
    const int64_t offsets[] = {0, 1, 300, INT32_MAX, INT64_MAX - 2000};
    const int32_t counts[] = {1, 2, 1000}, epochs[] = {0, 1, INT32_MAX};
    const int64_t times[] = {TIME_MS, 0, INT64_MIN, INT64_MAX};
    for (int i = 0; i < 5 * 3 * 3 * 4; i++) {
        int64_t time_ms = times[i / 45], offset = offsets[i / 3 % 5];
        int32_t count = counts[i % 3], epoch = epochs[i / 15 % 3];
        weir_bytes batch = batch_made(count, offset, epoch, time_ms), records;
        weir_bytes in = shortened(batch, offset, epoch, count);
        weir_batch_head head;
        uint8_t again[WEIR_BATCH_HEAD_BYTES];
        assert_int_equal(weir_batch_head_lengthen(in, time_ms, &head, &records), WEIR_OK);
        weir_batch_head_encode(&head, again);
        assert_memory_equal(again, batch.ptr, sizeof(again));
        assert_int_equal(records.len, batch.len - sizeof(again));
        assert_memory_equal(records.ptr, batch.ptr + sizeof(again), records.len);
        free((void *)(uintptr_t)in.ptr);
    }
}

static void of_one_record_it_takes_a_few_bytes(void **state)
{
    (void)state;
    uint8_t head[WEIR_BATCH_SHORT_HEAD_BYTES_MAX];
    weir_bytes batch = batch_made(1, 900, 3, TIME_MS);
    assert_int_equal(weir_batch_head_shorten(batch, 900, 3, 1, head), 8);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    weir_bytes records;
    weir_batch_head head;
    weir_bytes whole = shortened(batch_made(1, 900, 3, TIME_MS), 900, 3, 1);
    for (size_t len = 0; len < whole.len;
         len++) { /* in memory of its own: a byte too far is seen */
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, whole.ptr, len);
        weir_err err = weir_batch_head_lengthen((weir_bytes){cut, len}, TIME_MS, &head, &records);
        assert_true(err == WEIR_MALFORMED || records.len < whole.len - 8);
        free(cut);
    }
    const struct {
        int64_t base_offset, epoch, count;
    } wrong[] = {{-1, 0, 1},
                 {INT64_MAX, 0, 1},
                 {0, (int64_t)INT32_MAX + 1, 1},
                 {0, (int64_t)INT32_MIN - 1, 1},
                 {0, 0, 0},
                 {0, 0, -1},
                 {0, 0, 3}, /* three records have 21 bytes at least */
                 {0, 0, INT64_MAX}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t in[3 * WEIR_VARINT_BYTES_MAX + 4 + 20] = {0};
        size_t at = weir_varint_encode(wrong[i].base_offset, in);
        at += weir_varint_encode(wrong[i].epoch, in + at);
        at += weir_varint_encode(wrong[i].count, in + at);
        assert_int_equal(
            weir_batch_head_lengthen((weir_bytes){in, at + 4 + 20}, TIME_MS, &head, &records),
            WEIR_MALFORMED);
    }
    free((void *)(uintptr_t)whole.ptr);
}

/* [H1] */
static void another_time_or_a_flipped_bit_does_not_fit_the_crc(void **state)
{
    (void)state;
    weir_bytes batch = batch_made(3, 900, 3, TIME_MS), records;
    weir_bytes in = shortened(batch, 900, 3, 3);
    uint8_t *bytes = (uint8_t *)(uintptr_t)in.ptr;
    weir_batch_head head;
    assert_int_equal(weir_batch_head_lengthen(in, TIME_MS + 1, &head, &records), WEIR_OK);
    weir_batch_head_encode(&head, memory);
    assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_DAMAGED);
    for (size_t bit = 8 * (in.len - records.len - 4); bit < 8 * in.len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(weir_batch_head_lengthen(in, TIME_MS, &head, &records), WEIR_OK);
        weir_batch_head_encode(&head, memory);
        memcpy(memory + WEIR_BATCH_HEAD_BYTES, records.ptr, records.len);
        assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_engine_built_comes_back),
        cmocka_unit_test(of_one_record_it_takes_a_few_bytes),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(another_time_or_a_flipped_bit_does_not_fit_the_crc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
