/* tests/unit/base/hash_test.c - CRC32C, the seeded hash [H1], and Kafka's murmur2. */
#include "core/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void crc32c_has_the_published_values(void **state)
{
    (void)state;
    uint8_t block[32];
    assert_int_equal(weir_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(weir_crc32c(0, "", 0), 0);
    memset(block, 0, sizeof(block)); /* RFC 3720 appendix B.4 */
    assert_int_equal(weir_crc32c(0, block, sizeof(block)), 0x8a9136aa);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(weir_crc32c(0, block, sizeof(block)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = (uint8_t)i;
    }
    assert_int_equal(weir_crc32c(0, block, sizeof(block)), 0x46dd794e);
}

static uint32_t crc32c_by_bits(const uint8_t *in, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= in[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

static void crc32c_continues_over_every_cut(void **state)
{
    (void)state;
    uint8_t block[300];
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = (uint8_t)(i * 7 + 3);
    }
    uint32_t whole = crc32c_by_bits(block, sizeof(block));
    for (size_t cut = 0; cut <= sizeof(block); cut++) {
        assert_int_equal(weir_crc32c(0, block, cut), crc32c_by_bits(block, cut));
        uint32_t crc = weir_crc32c(weir_crc32c(0, block, cut), block + cut, sizeof(block) - cut);
        assert_int_equal(crc, whole);
    }
}

static void murmur2_is_what_kafkas_own_tests_expect(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_int_equal((int32_t)weir_murmur2(weir_bytes_of(known[i].key)), known[i].hash);
    }
}

static void the_partition_ignores_the_hashs_sign(void **state)
{
    (void)state;
    assert_int_equal(weir_partition_of_key(WEIR_TEXT("21"), 10), (-973932308 & 0x7fffffff) % 10);
    assert_int_equal(weir_partition_of_key(WEIR_TEXT("abc"), 7), 479470107 % 7);
    assert_int_equal(weir_partition_of_key(WEIR_TEXT("abc"), 1), 0);
}

static void the_first_seed_changes_the_hash_and_later_ones_do_not(void **state)
{
    (void)state;
    weir_bytes key = WEIR_TEXT("sensors/kitchen/temperature");
    uint64_t unseeded = weir_hash(key);
    weir_hash_seed(12345);
    uint64_t seeded = weir_hash(key);
    assert_true(seeded != unseeded);
    weir_hash_seed(99); /* [H1] */
    assert_true(weir_hash(key) == seeded);
    assert_true(weir_hash(WEIR_BYTES_NULL) == weir_hash(WEIR_TEXT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_the_published_values),
        cmocka_unit_test(crc32c_continues_over_every_cut),
        cmocka_unit_test(murmur2_is_what_kafkas_own_tests_expect),
        cmocka_unit_test(the_partition_ignores_the_hashs_sign),
        cmocka_unit_test(the_first_seed_changes_the_hash_and_later_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
