/* Batches as they are built: what goes in comes out, into exactly the memory there is. */
#include "core/base/hash.h"
#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY_BYTES = 65536 };

static weir_err add(weir_batch_builder *builder, weir_bytes key, weir_bytes value,
                    const weir_header *headers, uint32_t header_count, uint32_t *position)
{
    uint8_t *rest = malloc(weir_record_rest_size(value, headers, header_count));
    size_t len = weir_record_rest_encode(value, headers, header_count, rest);
    assert_int_equal(len, weir_record_rest_size(value, headers, header_count));
    weir_err err = weir_batch_add(builder, 0, key, (weir_bytes){rest, len}, position);
    free(rest);
    return err;
}

static void assert_same(weir_bytes got, weir_bytes wanted)
{
    assert_true(weir_bytes_equal(got, wanted));
    assert_true((got.ptr == NULL) == (wanted.ptr == NULL));
}

static void null_and_empty_keys_and_values_come_back_as_they_were(void **state)
{
    (void)state;
    const weir_bytes spans[] = {WEIR_BYTES_NULL, WEIR_TEXT(""), WEIR_TEXT("x"), WEIR_TEXT("a\0b")};
    static uint8_t memory[MEMORY_BYTES];
    uint32_t positions[16];
    weir_batch_builder builder;
    weir_batch_begin(&builder, memory, sizeof(memory));
    for (int i = 0; i < 16; i++) {
        assert_int_equal(add(&builder, spans[i / 4], spans[i % 4], NULL, 0, &positions[i]),
                         WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 1000, 3, 77);
    weir_batch_head head;
    uint32_t checked[16];
    assert_int_equal(weir_batch_check(batch, &head, checked, 16), WEIR_OK);
    assert_memory_equal(checked, positions, sizeof(positions));
    for (int i = 0; i < 16; i++) {
        weir_record record, trusted;
        size_t used;
        assert_int_equal(weir_batch_record_decode(batch, &head, positions[i], &record, &used),
                         WEIR_OK);
        weir_batch_record_trusted(batch.ptr, positions[i], 1000, 77, &trusted);
        assert_same(record.key, spans[i / 4]);
        assert_same(record.value, spans[i % 4]);
        assert_same(trusted.key, spans[i / 4]);
        assert_same(trusted.value, spans[i % 4]);
        assert_int_equal(record.offset, 1000 + i);
        assert_int_equal(trusted.offset, 1000 + i);
        assert_int_equal(record.timestamp_ms, 77);
        assert_int_equal(trusted.timestamp_ms, 77);
        assert_int_equal(record.header_count, 0);
    }
}

static void headers_come_back_in_order_with_nulls_and_repeats(void **state)
{
    (void)state;
    const uint32_t counts[] = {0, 1, 64};
    static uint8_t memory[MEMORY_BYTES];
    char names[64][16];
    weir_header headers[64];
    for (int i = 0; i < 64; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i / 2); /* each name twice */
        headers[i].name = weir_bytes_of(names[i]);
        headers[i].value = i % 3 == 0   ? WEIR_BYTES_NULL
                           : i % 3 == 1 ? WEIR_TEXT("")
                                        : weir_bytes_of(names[i]);
    }
    for (size_t c = 0; c < 3; c++) {
        weir_batch_builder builder;
        uint32_t position;
        weir_batch_begin(&builder, memory, sizeof(memory));
        assert_int_equal(
            add(&builder, WEIR_TEXT("k"), WEIR_TEXT("v"), headers, counts[c], &position), WEIR_OK);
        weir_bytes batch = weir_batch_finish(&builder, 0, 0, 0);
        weir_batch_head head;
        assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_OK);
        weir_record record;
        size_t used;
        assert_int_equal(weir_batch_record_decode(batch, &head, position, &record, &used), WEIR_OK);
        assert_int_equal(record.header_count, counts[c]);
        weir_bytes rest = record.headers;
        weir_header each;
        for (uint32_t i = 0; i < counts[c]; i++) {
            assert_true(weir_headers_next(&rest, &each));
            assert_same(each.name, headers[i].name);
            assert_same(each.value, headers[i].value);
        }
        assert_false(weir_headers_next(&rest, &each));
        assert_true(weir_record_header(&record, "n0", &each) == (counts[c] > 0));
        assert_false(weir_record_header(&record, "n", &each));
        if (counts[c] == 64) {
            assert_true(weir_record_header(&record, "n1", &each));
            assert_same(each.value, headers[2].value); /* the first of that name */
        }
    }
}

static void a_record_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    uint8_t rest[64];
    size_t rest_len = weir_record_rest_encode(WEIR_TEXT("0123456789"), NULL, 0, rest);
    const weir_bytes encoded = {rest, rest_len};
    const size_t record_bytes = 1 + 1 + 1 + 1 + 2 + rest_len; /* with the key "k" */
    for (size_t room = 0; room <= record_bytes; room++) {
        uint8_t *memory =
            malloc(WEIR_BATCH_HEAD_BYTES + room); /* exact: a byte more is an overflow */
        weir_batch_builder builder;
        uint32_t position = 7;
        weir_batch_begin(&builder, memory, WEIR_BATCH_HEAD_BYTES + room);
        weir_err err = weir_batch_add(&builder, 0, WEIR_TEXT("k"), encoded, &position);
        assert_int_equal(err, room < record_bytes ? WEIR_MORE : WEIR_OK);
        assert_int_equal(position, room < record_bytes ? 7 : WEIR_BATCH_HEAD_BYTES);
        assert_int_equal(builder.count, room < record_bytes ? 0 : 1);
        assert_int_equal(builder.len, WEIR_BATCH_HEAD_BYTES + (room < record_bytes ? 0 : room));
        free(memory);
    }
    weir_batch_builder builder;
    uint8_t memory[128];
    uint32_t position;
    weir_batch_begin(&builder, memory, sizeof(memory));
    assert_int_equal(weir_batch_add(&builder, 0, (weir_bytes){rest, SIZE_MAX}, encoded, &position),
                     WEIR_MORE);
    assert_int_equal(
        weir_batch_add(&builder, 0, WEIR_BYTES_NULL, (weir_bytes){rest, SIZE_MAX}, &position),
        WEIR_MORE);
}

static void a_record_takes_no_more_than_its_bytes_and_the_named_overhead(void **state)
{
    (void)state;
    static uint8_t memory[1 << 22], value[1 << 20];
    weir_batch_builder builder;
    uint32_t position;
    weir_batch_begin(&builder, memory, sizeof(memory));
    builder.count = INT32_MAX - 2; /* the longest delta */
    size_t before = builder.len;
    assert_int_equal(add(&builder, (weir_bytes){value, sizeof(value)},
                         (weir_bytes){value, sizeof(value)}, NULL, 0, &position),
                     WEIR_OK);
    assert_true(builder.len - before <= 2 * sizeof(value) + WEIR_RECORD_OVERHEAD_MAX);
}

static void the_attributes_byte_is_kept_as_given(void **state)
{
    (void)state;
    for (unsigned attributes = 0; attributes < 256; attributes++) {
        uint8_t memory[128], rest[8];
        weir_batch_builder builder;
        uint32_t position;
        weir_bytes encoded = {rest, weir_record_rest_encode(WEIR_BYTES_NULL, NULL, 0, rest)};
        weir_batch_begin(&builder, memory, sizeof(memory));
        assert_int_equal(
            weir_batch_add(&builder, (uint8_t)attributes, WEIR_BYTES_NULL, encoded, &position),
            WEIR_OK);
        weir_record record;
        weir_batch_record_trusted(memory, position, 5, 9, &record); /* before the head is there */
        assert_int_equal(record.attributes, attributes);
        assert_int_equal(record.timestamp_ms, 9);
        weir_bytes batch = weir_batch_finish(&builder, 5, 0, 9);
        weir_batch_head head;
        size_t used;
        assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_OK);
        assert_int_equal(weir_batch_record_decode(batch, &head, position, &record, &used), WEIR_OK);
        assert_int_equal(record.attributes, attributes);
    }
}

static void the_head_is_written_as_kafka_lays_it_out(void **state)
{
    (void)state;
    uint8_t memory[128];
    weir_batch_builder builder;
    uint32_t position;
    weir_batch_begin(&builder, memory, sizeof(memory));
    assert_int_equal(add(&builder, WEIR_TEXT("k"), WEIR_TEXT("v"), NULL, 0, &position), WEIR_OK);
    weir_bytes batch = weir_batch_finish(&builder, 0x0102030405060708, 0x11121314, 0x2122232425);
    const uint8_t wanted[] = {
        1,    2,    3,    4,    5,    6,    7,    8,                /* base offset */
        0,    0,    0,    58,                                       /* length behind itself */
        0x11, 0x12, 0x13, 0x14, 2,                                  /* leader epoch, magic */
        0,    0,    0,    0,                                        /* CRC: below */
        0,    8,    0,    0,    0,    0,                            /* LogAppendTime, last delta */
        0,    0,    0,    0x21, 0x22, 0x23, 0x24, 0x25,             /* base timestamp */
        0,    0,    0,    0x21, 0x22, 0x23, 0x24, 0x25,             /* max timestamp */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* producer id, epoch */
        0xff, 0xff, 0xff, 0xff, 0,    0,    0,    1,                /* sequence, count */
        16,   0,    0,    0,    2,    'k',  2,    'v',  0,          /* the record */
    };
    assert_int_equal(batch.len, sizeof(wanted));
    assert_memory_equal(batch.ptr, wanted, 17);
    assert_memory_equal(batch.ptr + 21, wanted + 21, sizeof(wanted) - 21);
    uint32_t crc = weir_crc32c(0, wanted + 21, sizeof(wanted) - 21);
    const uint8_t crc_bytes[] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                                 (uint8_t)crc};
    assert_memory_equal(batch.ptr + 17, crc_bytes, 4);
}

static void a_head_that_is_encoded_decodes_to_the_same(void **state)
{
    (void)state;
    const weir_batch_head wanted = {
        .base_offset = INT64_C(1) << 60,
        .batch_bytes = WEIR_BATCH_HEAD_BYTES + 70,
        .leader_epoch = -1,
        .crc = 0xdeadbeef,
        .attributes = WEIR_BATCH_TRANSACTIONAL,
        .last_offset_delta = 8,
        .base_timestamp = -5,
        .max_timestamp = INT64_MAX,
        .producer_id = 12345678901,
        .producer_epoch = 32767,
        .base_sequence = INT32_MAX,
        .record_count = 9,
    };
    uint8_t bytes[WEIR_BATCH_HEAD_BYTES + 70] = {0};
    weir_batch_head head;
    memset(&head, 0, sizeof(head));
    weir_batch_head_encode(&wanted, bytes);
    assert_int_equal(weir_batch_head_decode(WEIR_BYTES(bytes), &head), WEIR_OK);
    uint8_t again[WEIR_BATCH_HEAD_BYTES];
    weir_batch_head_encode(&head, again);
    assert_memory_equal(again, bytes, sizeof(again));
    assert_int_equal(head.producer_epoch, 32767);
    assert_int_equal(head.leader_epoch, -1);
    assert_int_equal(head.base_offset, INT64_C(1) << 60);
}

static void stamping_sets_the_engines_fields_and_no_other(void **state)
{
    (void)state;
    uint8_t memory[256];
    weir_batch_builder builder;
    uint32_t positions[2];
    weir_batch_begin(&builder, memory, sizeof(memory));
    assert_int_equal(add(&builder, WEIR_TEXT("a"), WEIR_TEXT("b"), NULL, 0, &positions[0]), 0);
    assert_int_equal(add(&builder, WEIR_TEXT("c"), WEIR_TEXT("d"), NULL, 0, &positions[1]), 0);
    weir_bytes batch = weir_batch_finish(&builder, 0, -1, 500);
    memory[22] = 0; /* CreateTime, as a producer builds it */
    uint8_t before[256];
    memcpy(before, memory, sizeof(before));
    weir_batch_stamp(memory, batch.len, 42, 7, 9000);
    weir_batch_head head;
    assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_OK);
    assert_int_equal(head.base_offset, 42);
    assert_int_equal(head.leader_epoch, 7);
    assert_int_equal(head.attributes, WEIR_BATCH_LOG_APPEND_TIME);
    assert_int_equal(head.base_timestamp, 500);
    assert_int_equal(head.max_timestamp, 9000);
    weir_record record;
    size_t used;
    assert_int_equal(weir_batch_record_decode(batch, &head, positions[1], &record, &used), WEIR_OK);
    assert_int_equal(record.offset, 43);
    assert_int_equal(record.timestamp_ms, 9000);
    assert_memory_equal(memory + 43, before + 43, batch.len - 43);
    assert_memory_equal(memory + 23, before + 23, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_and_empty_keys_and_values_come_back_as_they_were),
        cmocka_unit_test(headers_come_back_in_order_with_nulls_and_repeats),
        cmocka_unit_test(a_record_that_does_not_fit_changes_nothing),
        cmocka_unit_test(a_record_takes_no_more_than_its_bytes_and_the_named_overhead),
        cmocka_unit_test(the_attributes_byte_is_kept_as_given),
        cmocka_unit_test(the_head_is_written_as_kafka_lays_it_out),
        cmocka_unit_test(a_head_that_is_encoded_decodes_to_the_same),
        cmocka_unit_test(stamping_sets_the_engines_fields_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
