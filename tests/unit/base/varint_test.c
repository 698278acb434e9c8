/* tests/unit/base/varint_test.c - zigzag varints [V1] and big-endian integers. */
#include "core/base/varint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t VALUES[] = {0,       -1,      1,         63,        -64,
                                 64,      -65,     8191,      -8192,     8192,
                                 -8193,   300,     INT32_MAX, INT32_MIN, 1 << 20,
                                 1 << 27, 1 << 28, INT64_MAX, INT64_MIN, INT64_MAX - 1};
enum { VALUES_COUNT = sizeof(VALUES) / sizeof(VALUES[0]) };

static void every_value_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALUES_COUNT; i++) {
        uint8_t wire[WEIR_VARINT_BYTES_MAX];
        int64_t value = 7;
        size_t used = 0, len = weir_varint_encode(VALUES[i], wire);
        assert_int_equal(len, weir_varint_size(VALUES[i]));
        assert_int_equal(weir_varint_decode((weir_bytes){wire, len}, &value, &used), WEIR_OK);
        assert_true(value == VALUES[i]);
        assert_int_equal(used, len);
    }
}

static void every_power_of_two_and_its_neighbours_come_back(void **state)
{
    (void)state;
    for (int bit = 0; bit < 63; bit++) {
        for (int64_t step = -1; step <= 1; step++) {
            uint8_t wire[WEIR_VARINT_BYTES_MAX];
            int64_t value = 0, wanted = -((int64_t)1 << bit) + step;
            size_t used, len = weir_varint_encode(wanted, wire);
            assert_int_equal(len, weir_varint_size(wanted));
            assert_int_equal(weir_varint_decode((weir_bytes){wire, len}, &value, &used), WEIR_OK);
            assert_true(value == wanted);
        }
    }
}

static void the_bytes_are_kafkas(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        uint8_t wire[3];
        size_t len;
    } known[] = {{0, {0}, 1},
                 {-1, {1}, 1},
                 {1, {2}, 1},
                 {63, {0x7e}, 1},
                 {-64, {0x7f}, 1},
                 {64, {0x80, 1}, 2},
                 {-65, {0x81, 1}, 2},
                 {8191, {0xfe, 0x7f}, 2},
                 {-8192, {0xff, 0x7f}, 2},
                 {8192, {0x80, 0x80, 1}, 3}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t wire[WEIR_VARINT_BYTES_MAX];
        assert_int_equal(weir_varint_encode(known[i].value, wire), known[i].len);
        assert_memory_equal(wire, known[i].wire, known[i].len);
    }
}

static void a_varint_cut_short_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALUES_COUNT; i++) {
        uint8_t wire[WEIR_VARINT_BYTES_MAX];
        size_t used = 9, len = weir_varint_encode(VALUES[i], wire);
        int64_t value = 7;
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_equal(weir_varint_decode((weir_bytes){wire, cut}, &value, &used), WEIR_MORE);
            assert_true(value == 7 && used == 9); /* outputs untouched unless WEIR_OK */
        }
    }
    int64_t value = 7;
    size_t used = 9;
    assert_int_equal(weir_varint_decode(WEIR_BYTES_NULL, &value, &used), WEIR_MORE);
}

static void more_than_64_bits_are_malformed(void **state)
{
    (void)state;
    const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    const uint8_t eleven[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    int64_t value = 7;
    size_t used = 9;
    assert_int_equal(weir_varint_decode(WEIR_BYTES(over), &value, &used), WEIR_MALFORMED);
    assert_int_equal(weir_varint_decode(WEIR_BYTES(eleven), &value, &used), WEIR_MALFORMED);
    assert_true(value == 7 && used == 9);
}

static void overlong_forms_are_read(void **state)
{
    (void)state;
    const uint8_t two[] = {0x82, 0x00}, four[] = {0x82, 0x80, 0x80, 0x00};
    int64_t value = 7;
    size_t used = 9;
    assert_int_equal(weir_varint_decode(WEIR_BYTES(two), &value, &used), WEIR_OK);
    assert_true(value == 1 && used == 2);
    assert_int_equal(weir_varint_decode(WEIR_BYTES(four), &value, &used), WEIR_OK);
    assert_true(value == 1 && used == 4);
}

static void only_the_varints_own_bytes_are_used(void **state)
{
    (void)state;
    const uint8_t wire[] = {0x80, 0x80, 0x01, 0xff, 0xff};
    int64_t value = 0;
    size_t used = 0;
    assert_int_equal(weir_varint_decode(WEIR_BYTES(wire), &value, &used), WEIR_OK);
    assert_true(value == 8192 && used == 3);
}

static void integers_are_big_endian(void **state)
{
    (void)state;
    uint8_t out[8];
    weir_put_u16(out, 0x0102);
    assert_memory_equal(out, "\x01\x02", 2);
    assert_int_equal(weir_get_u16(out), 0x0102);
    weir_put_u32(out, 0x01020304);
    assert_memory_equal(out, "\x01\x02\x03\x04", 4);
    assert_int_equal(weir_get_u32(out), 0x01020304);
    weir_put_u64(out, 0x0102030405060708u);
    assert_memory_equal(out, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(weir_get_u64(out) == 0x0102030405060708u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_comes_back),
        cmocka_unit_test(every_power_of_two_and_its_neighbours_come_back),
        cmocka_unit_test(the_bytes_are_kafkas),
        cmocka_unit_test(a_varint_cut_short_asks_for_more),
        cmocka_unit_test(more_than_64_bits_are_malformed),
        cmocka_unit_test(overlong_forms_are_read),
        cmocka_unit_test(only_the_varints_own_bytes_are_used),
        cmocka_unit_test(integers_are_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
