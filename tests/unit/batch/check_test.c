/* What weir_batch_check and the decoder refuse: every cut, every flipped bit, every rule. */
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CRC_AT = 17, ATTRIBUTES_AT = 21, SMALL_BYTES_MAX = 512 };

typedef struct small_batch {
    uint8_t bytes[SMALL_BYTES_MAX];
    size_t len;
    uint32_t positions[3];
} small_batch;

static void small_add(weir_batch_builder *builder, uint8_t attributes, weir_bytes value,
                      const weir_header *header, uint32_t *position)
{
    uint8_t rest[128];
    weir_bytes encoded = {rest, weir_record_rest_encode(value, header, header != NULL, rest)};
    assert_int_equal(weir_batch_add(builder, attributes, WEIR_TEXT("key"), encoded, position),
                     WEIR_OK);
}

static small_batch small_make(void)
{
    small_batch made = {0};
    weir_batch_builder builder;
    const weir_header header = {WEIR_TEXT("name"), WEIR_TEXT("text")};
    weir_batch_begin(&builder, made.bytes, sizeof(made.bytes));
    small_add(&builder, 0, WEIR_TEXT("first"), NULL, &made.positions[0]);
    small_add(&builder, 0, WEIR_BYTES_NULL, &header, &made.positions[1]);
    small_add(&builder, 0, WEIR_TEXT("third"), &header, &made.positions[2]);
    made.len = weir_batch_finish(&builder, 100, 1, 12345).len;
    return made;
}

static void crc_renew(uint8_t *batch, size_t len)
{
    weir_put_u32(batch + CRC_AT, weir_crc32c(0, batch + ATTRIBUTES_AT, len - ATTRIBUTES_AT));
}

/* Exactly `len` bytes on the heap, so that the sanitizer sees a read behind them. */
static weir_err check_exact(const uint8_t *bytes, size_t len, weir_batch_head *head)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, bytes, len);
    weir_err err = weir_batch_check((weir_bytes){copy, len}, head, NULL, 0);
    free(copy);
    return err;
}

static void a_batch_cut_at_any_byte_asks_for_more_and_touches_nothing(void **state)
{
    (void)state;
    small_batch small = small_make();
    weir_batch_head head, untouched;
    memset(&head, 0x5a, sizeof(head));
    memset(&untouched, 0x5a, sizeof(untouched));
    for (size_t cut = 0; cut < small.len; cut++) {
        assert_int_equal(check_exact(small.bytes, cut, &head), WEIR_MORE);
        assert_int_equal(weir_batch_head_decode((weir_bytes){small.bytes, cut}, &head), WEIR_MORE);
        assert_memory_equal(&head, &untouched, sizeof(head));
    }
    assert_int_equal(check_exact(small.bytes, small.len, &head), WEIR_OK);
    assert_int_equal(check_exact(small.bytes, small.len + 1, &head), WEIR_MALFORMED);
}

static void a_record_cut_at_any_byte_asks_for_more_and_touches_nothing(void **state)
{
    (void)state;
    small_batch small = small_make();
    weir_batch_head head;
    weir_record record, untouched;
    assert_int_equal(check_exact(small.bytes, small.len, &head), WEIR_OK);
    memset(&record, 0x5a, sizeof(record));
    memset(&untouched, 0x5a, sizeof(untouched));
    for (size_t cut = small.positions[2]; cut < small.len; cut++) {
        uint8_t *copy = malloc(cut);
        size_t used = 9;
        memcpy(copy, small.bytes, cut);
        assert_int_equal(weir_batch_record_decode((weir_bytes){copy, cut}, &head,
                                                  small.positions[2], &record, &used),
                         WEIR_MORE);
        assert_int_equal(used, 9);
        assert_memory_equal(&record, &untouched, sizeof(record));
        free(copy);
    }
}

static void a_body_shorter_than_its_fields_is_malformed(void **state)
{
    (void)state;
    small_batch small = small_make();
    weir_batch_head head;
    assert_int_equal(check_exact(small.bytes, small.len, &head), WEIR_OK);
    size_t at = small.positions[2], body_bytes = small.len - at - 1;
    for (size_t shorter = 0; shorter < body_bytes; shorter++) {
        weir_record record;
        size_t used = 9;
        small.bytes[at] = (uint8_t)(shorter * 2);
        assert_int_equal(weir_batch_record_decode((weir_bytes){small.bytes, small.len}, &head, at,
                                                  &record, &used),
                         WEIR_MALFORMED);
        assert_int_equal(used, 9);
    }
    weir_record record;
    size_t used;
    assert_int_equal(
        weir_batch_record_decode((weir_bytes){small.bytes, small.len}, &head, 0, &record, &used),
        WEIR_MALFORMED); /* inside the head */
    assert_int_equal(weir_batch_record_decode((weir_bytes){small.bytes, small.len}, &head,
                                              small.len + 1, &record, &used),
                     WEIR_MALFORMED);
    assert_int_equal(weir_batch_record_decode((weir_bytes){small.bytes, small.len}, &head,
                                              small.len, &record, &used),
                     WEIR_MORE);
}

/* Magic 2's CRC leaves out base offset (0 to 7) and leader epoch (12 to 15); their flips are caught
 * by the heads file of a segment. */
static bool covered(size_t at)
{
    return at >= 16 || (at >= 8 && at < 12);
}

static void every_flipped_bit_that_the_crc_covers_is_caught(void **state)
{
    (void)state;
    small_batch small = small_make();
    for (size_t bit = 0; bit < small.len * 8; bit++) {
        small.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        weir_batch_head head;
        weir_err err = check_exact(small.bytes, small.len, &head);
        if (covered(bit / 8)) {
            assert_int_not_equal(err, WEIR_OK);
        }
        if (bit / 8 >= 61) {
            assert_int_equal(err, WEIR_DAMAGED);
        }
        small.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* With the CRC repaired, no change of a byte may lead a reader outside the batch, and what is
 * accepted is read alike with and without checks. */
static void any_byte_changed_under_a_good_crc_is_refused_or_read_safely(void **state)
{
    (void)state;
    small_batch small = small_make();
    for (size_t at = ATTRIBUTES_AT; at < small.len; at++) {
        for (unsigned change = 1; change < 256; change++) {
            uint8_t *copy = malloc(small.len);
            memcpy(copy, small.bytes, small.len);
            copy[at] ^= (uint8_t)change;
            crc_renew(copy, small.len);
            weir_batch_head head;
            uint32_t positions[3];
            weir_bytes batch = {copy, small.len};
            if (weir_batch_check(batch, &head, positions, 3) == WEIR_OK) {
                for (int i = 0; i < head.record_count; i++) {
                    weir_record record, trusted;
                    size_t used;
                    assert_int_equal(
                        weir_batch_record_decode(batch, &head, positions[i], &record, &used),
                        WEIR_OK);
                    weir_batch_record_trusted(copy, positions[i], head.base_offset,
                                              head.max_timestamp, &trusted);
                    assert_int_equal(trusted.offset, record.offset);
                    assert_int_equal(trusted.timestamp_ms, record.timestamp_ms);
                    assert_ptr_equal(trusted.value.ptr, record.value.ptr);
                    assert_ptr_equal(trusted.headers.ptr, record.headers.ptr);
                    assert_int_equal(trusted.header_count, record.header_count);
                }
            }
            free(copy);
        }
    }
}

static void more_records_than_positions_is_a_limit(void **state)
{
    (void)state;
    small_batch small = small_make();
    weir_batch_head head;
    uint32_t positions[3];
    weir_bytes batch = {small.bytes, small.len};
    assert_int_equal(weir_batch_check(batch, &head, positions, 2), WEIR_LIMIT);
    assert_int_equal(weir_batch_check(batch, &head, positions, 3), WEIR_OK);
    assert_memory_equal(positions, small.positions, sizeof(positions));
}

static weir_err check_renewed(small_batch *small)
{
    weir_batch_head head;
    crc_renew(small->bytes, small->len);
    return check_exact(small->bytes, small->len, &head);
}

static void each_rule_of_the_format_has_its_error(void **state)
{
    (void)state;
    small_batch small = small_make();
    small.bytes[16] = 1;
    assert_int_equal(check_renewed(&small), WEIR_UNSUPPORTED); /* an older magic */
    small = small_make();
    small.bytes[22] |= 4;
    assert_int_equal(check_renewed(&small), WEIR_UNSUPPORTED); /* zstd */
    small = small_make();
    small.bytes[26] = 1;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* last delta below count - 1 */
    small = small_make();
    small.bytes[60] = 2;
    small.bytes[26] = 1;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* a record is left over */
    small = small_make();
    small.bytes[60] = 0;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* no record at all */
    small = small_make();
    small.bytes[57] = 0x7f;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* more than could be in it */
    small = small_make();
    small.bytes[small.positions[1] + 3] = 0;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* offset deltas do not rise */
    small = small_make();
    small.bytes[0] = 0x80;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* a negative offset */
    small = small_make();
    memset(small.bytes, 0xff, 8);
    small.bytes[0] = 0x7f;
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* its last offset would overflow */
    small = small_make();
    weir_put_u32(small.bytes + 8, 48);
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED); /* shorter than a head */
    small = small_make();
    weir_put_u32(small.bytes + 8, UINT32_MAX);
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED);
}

static void a_headers_name_that_is_not_utf8_is_stored_but_not_taken(void **state)
{
    (void)state;
    small_batch small = small_make();
    const char *reason = NULL;
    uint8_t *name = memmem(small.bytes, small.len, "name", 4);
    assert_non_null(name);
    name[1] = 0xff;
    assert_int_equal(check_renewed(&small), WEIR_OK);
    assert_int_equal(
        weir_batch_check_client((weir_bytes){small.bytes, small.len}, 1 << 20, 100, &reason),
        WEIR_INVALID);
}

static void a_producer_has_an_epoch_and_a_sequence_from_0_on(void **state)
{
    const struct {
        int64_t producer;
        int16_t epoch;
        int32_t sequence;
        weir_err err;
    } tried[] = {
        {0, 0, 0, WEIR_OK},
        {1, INT16_MAX, INT32_MAX, WEIR_OK},
        {-1, -1, -1, WEIR_OK}, /* none */
        {0, -1, 0, WEIR_INVALID},
        {1, 0, -1, WEIR_INVALID},
        {1, INT16_MIN, INT32_MIN, WEIR_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
        const char *reason = NULL;
        weir_batch_head head;
        small_batch small = {0};
        weir_batch_builder builder;
        weir_batch_begin(&builder, small.bytes, sizeof(small.bytes));
        small_add(&builder, 0, WEIR_TEXT("value"), NULL, &small.positions[0]);
        weir_bytes batch = weir_batch_finish(&builder, 0, -1, 1);
        assert_int_equal(weir_batch_head_decode(batch, &head), WEIR_OK);
        head.producer_id = tried[i].producer;
        head.producer_epoch = tried[i].epoch;
        head.base_sequence = tried[i].sequence;
        weir_batch_head_encode(&head, small.bytes);
        crc_renew(small.bytes, batch.len);
        assert_int_equal(weir_batch_check_client(batch, 100, 1, &reason), tried[i].err);
    }
}

static void compaction_may_leave_offsets_out_but_a_client_may_not(void **state)
{
    (void)state;
    small_batch small = small_make();
    const char *reason = NULL;
    weir_batch_head head;
    small.bytes[26] = 9; /* the last offset delta of three records */
    small.bytes[small.positions[2] + 3] = 2 * 5;
    assert_int_equal(check_renewed(&small), WEIR_OK);
    weir_bytes batch = {small.bytes, small.len};
    assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_OK);
    assert_int_equal(head.last_offset_delta, 9);
    assert_int_equal(weir_batch_check_client(batch, 1 << 20, 100, &reason), WEIR_INVALID);
    assert_non_null(reason);
    small.bytes[small.positions[2] + 3] = 2 * 10; /* behind the last one */
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED);
}

static void create_time_is_base_plus_delta_and_never_overflows(void **state)
{
    (void)state;
    small_batch small = small_make();
    small.bytes[22] = 0;                     /* CreateTime */
    small.bytes[small.positions[1] + 2] = 2; /* one millisecond later */
    small.bytes[small.positions[2] + 2] = 1; /* one earlier */
    assert_int_equal(check_renewed(&small), WEIR_OK);
    weir_batch_head head;
    weir_record record;
    size_t used;
    weir_bytes batch = {small.bytes, small.len};
    assert_int_equal(weir_batch_check(batch, &head, NULL, 0), WEIR_OK);
    assert_int_equal(weir_batch_record_decode(batch, &head, small.positions[1], &record, &used), 0);
    assert_int_equal(record.timestamp_ms, 12346);
    weir_batch_record_trusted(small.bytes, small.positions[2], 100, 1, &record);
    assert_int_equal(record.timestamp_ms, 12344);
    weir_put_u64(small.bytes + 27, INT64_MAX);
    assert_int_equal(check_renewed(&small), WEIR_MALFORMED);
}

/* One record with these, as a client would send it. */
static weir_err client_check(uint16_t batch_attributes, uint8_t attributes, const char *header_name,
                             uint64_t bytes_max, uint64_t headers_max, const char **reason)
{
    small_batch small = {0};
    weir_batch_builder builder;
    const weir_header header = {weir_bytes_of(header_name), WEIR_TEXT("12")};
    weir_batch_begin(&builder, small.bytes, sizeof(small.bytes));
    small_add(&builder, attributes, WEIR_TEXT("value"), header_name != NULL ? &header : NULL,
              &small.positions[0]);
    small.len = weir_batch_finish(&builder, 0, -1, 1).len;
    weir_put_u16(small.bytes + ATTRIBUTES_AT, batch_attributes);
    crc_renew(small.bytes, small.len);
    return weir_batch_check_client((weir_bytes){small.bytes, small.len}, bytes_max, headers_max,
                                   reason);
}

static void a_clients_batch_obeys_the_further_rules(void **state)
{
    (void)state;
    const char *reason = NULL;
    assert_int_equal(client_check(0, 0, "name", 14, 1, &reason), WEIR_OK);
    assert_int_equal(client_check(WEIR_BATCH_LOG_APPEND_TIME, 0, NULL, 8, 0, &reason), WEIR_OK);
    assert_int_equal(client_check(0, 0, "weir", 100, 1, &reason), WEIR_OK);
    assert_null(reason); /* untouched unless INVALID */
    const struct {
        uint16_t batch_attributes;
        uint8_t attributes;
        const char *header_name;
        uint64_t bytes_max;
        uint64_t headers_max;
        const char *says;
    } refused[] = {
        {WEIR_BATCH_CONTROL, 0, NULL, 100, 1, "control"},
        {WEIR_BATCH_TRANSACTIONAL, 0, NULL, 100, 1, "transactional"},
        {0x40, 0, NULL, 100, 1, "no meaning"},
        {0, 1, NULL, 100, 1, "attributes are not 0"},
        {0, 0, "weir-key", 100, 1, "weir-"},
        {0, 0, "weir-", 100, 1, "weir-"},
        {0, 0, "name", 13, 1, "record_bytes_max"},
        {0, 0, "name", 100, 0, "headers_max"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        reason = NULL;
        assert_int_equal(client_check(refused[i].batch_attributes, refused[i].attributes,
                                      refused[i].header_name, refused[i].bytes_max,
                                      refused[i].headers_max, &reason),
                         WEIR_INVALID);
        assert_non_null(reason);
        assert_non_null(strstr(reason, refused[i].says));
    }
    assert_int_equal(weir_batch_check_client(WEIR_TEXT("short"), 1, 1, &reason), WEIR_INVALID);
}

static void headers_that_are_cut_end_the_walk(void **state)
{
    (void)state;
    const uint8_t whole[] = {4, 'a', 'b', 2, 'c'};
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        uint8_t *copy = malloc(sizeof(whole));
        memcpy(copy + sizeof(whole) - cut, whole, cut); /* at the very end of the block */
        weir_bytes rest = {copy + sizeof(whole) - cut, cut};
        weir_header header = {0};
        assert_false(weir_headers_next(&rest, &header));
        assert_null(header.name.ptr);
        free(copy);
    }
    const uint8_t null_name[] = {1, 0};
    weir_bytes rest = WEIR_BYTES(null_name);
    weir_header header;
    assert_false(weir_headers_next(&rest, &header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_cut_at_any_byte_asks_for_more_and_touches_nothing),
        cmocka_unit_test(a_record_cut_at_any_byte_asks_for_more_and_touches_nothing),
        cmocka_unit_test(a_body_shorter_than_its_fields_is_malformed),
        cmocka_unit_test(every_flipped_bit_that_the_crc_covers_is_caught),
        cmocka_unit_test(any_byte_changed_under_a_good_crc_is_refused_or_read_safely),
        cmocka_unit_test(more_records_than_positions_is_a_limit),
        cmocka_unit_test(each_rule_of_the_format_has_its_error),
        cmocka_unit_test(compaction_may_leave_offsets_out_but_a_client_may_not),
        cmocka_unit_test(create_time_is_base_plus_delta_and_never_overflows),
        cmocka_unit_test(a_clients_batch_obeys_the_further_rules),
        cmocka_unit_test(a_headers_name_that_is_not_utf8_is_stored_but_not_taken),
        cmocka_unit_test(a_producer_has_an_epoch_and_a_sequence_from_0_on),
        cmocka_unit_test(headers_that_are_cut_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
