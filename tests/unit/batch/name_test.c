/* The name under which a record is delivered: as it is when MQTT can carry it, else encoded. */
#include "core/base/utf8.h"
#include "core/batch/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_name(weir_bytes topic, weir_bytes key, const char *wanted, bool wanted_encoded)
{
    uint8_t out[256];
    bool encoded = !wanted_encoded;
    size_t len = weir_record_name(topic, key, out, sizeof(out), &encoded);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(out, wanted, len);
    assert_int_equal(encoded, wanted_encoded);
    for (size_t size = 0; size < len; size++) { /* never a byte more than there is room for */
        uint8_t *exact = size == 0 ? NULL : malloc(size);
        assert_int_equal(weir_record_name(topic, key, exact, size, &encoded), len);
        assert_true(size == 0 || memcmp(exact, wanted, size) == 0);
        free(exact);
    }
}

static void names_that_mqtt_can_carry_stay_as_they_are(void **state)
{
    (void)state;
    const weir_bytes none = WEIR_TEXT("");
    assert_name(WEIR_TEXT("a"), WEIR_BYTES_NULL, "a", false);
    assert_name(WEIR_TEXT("a"), none, "a/", false);
    assert_name(WEIR_TEXT("a"), WEIR_TEXT("/b"), "a//b", false);
    assert_name(WEIR_TEXT("sensors"), WEIR_TEXT("dev1/temp"), "sensors/dev1/temp", false);
    assert_name(none, WEIR_TEXT("x/y/z"), "x/y/z", false);
    assert_name(WEIR_TEXT("a"), WEIR_TEXT("50% of it, %25"), "a/50% of it, %25", false);
    assert_name(WEIR_TEXT("a"),
                WEIR_TEXT("gr\xc3\xbc\xc3\x9f"
                          "e/\xf0\x9f\x8c\x8a"),
                "a/gr\xc3\xbc\xc3\x9f"
                "e/\xf0\x9f\x8c\x8a",
                false);
    assert_name(WEIR_TEXT("a"), WEIR_TEXT("\xc2\xa0"), "a/\xc2\xa0", false);
}

static void what_mqtt_cannot_carry_is_percent_encoded(void **state)
{
    (void)state;
    const weir_bytes topic = WEIR_TEXT("a");
    assert_name(topic, WEIR_TEXT("50%+1"), "a/50%25%2B1", true);
    assert_name(topic, WEIR_TEXT("#"), "a/%23", true);
    assert_name(topic, WEIR_TEXT("x\0y"), "a/x%00y", true);
    assert_name(topic, WEIR_TEXT("01234567\x1f"), "a/01234567%1F", true);
    assert_name(topic, WEIR_TEXT("\x7f"), "a/%7F", true);
    assert_name(topic, WEIR_TEXT("\xc2\x85"), "a/%C2%85", true);
    assert_name(topic, WEIR_TEXT("\xff\xc3\xbc"), "a/%FF\xc3\xbc", true);
    assert_name(topic, WEIR_TEXT("\xc3"), "a/%C3", true);
    assert_name(topic, WEIR_TEXT("\xed\xa0\x80"), "a/%ED%A0%80", true); /* a surrogate */
    assert_name(WEIR_TEXT(""), WEIR_TEXT("+/x"), "%2B/x", true);
    assert_name(WEIR_TEXT(""), WEIR_TEXT(""), "%", true);
    assert_name(WEIR_TEXT(""), WEIR_BYTES_NULL, "%", true);
}

/* Every pair of bytes at every place of a word: the fast road and the slow one agree. */
static void every_pair_of_bytes_gives_a_name_that_mqtt_can_carry(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        uint8_t key[16] = "0123456789abcdef", out[64];
        size_t at = pair % 15;
        bool encoded;
        key[at] = (uint8_t)(pair >> 8);
        key[at + 1] = (uint8_t)pair;
        size_t len = weir_record_name(WEIR_TEXT("t"), WEIR_BYTES(key), out, sizeof(out), &encoded);
        weir_bytes name = {out, len};
        assert_true(weir_utf8_valid_name(name));
        assert_null(memchr(out, '+', len));
        assert_null(memchr(out, '#', len));
        bool plain = weir_utf8_valid_name(WEIR_BYTES(key)) &&
                     memchr(key, '+', sizeof(key)) == NULL && memchr(key, '#', sizeof(key)) == NULL;
        assert_int_equal(encoded, !plain);
        assert_true(encoded || (len == 18 && memcmp(out + 2, key, sizeof(key)) == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_mqtt_can_carry_stay_as_they_are),
        cmocka_unit_test(what_mqtt_cannot_carry_is_percent_encoded),
        cmocka_unit_test(every_pair_of_bytes_gives_a_name_that_mqtt_can_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
