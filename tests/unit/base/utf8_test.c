/* tests/unit/base/utf8_test.c - the edges of RFC 3629, whole and in pieces. */
#include "core/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const char *const GOOD[] = {
    "",
    "a",
    "plain ASCII that is longer than two words of eight",
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "12345678\303\25112345678\342\202\254",
};

static const char *const BAD[] = {
    "\x80", /* a continuation alone */
    "\xbf",
    "\xc0\x80", /* overlong NUL */
    "\xc1\xbf",
    "\xe0\x9f\xbf",     /* overlong in three */
    "\xf0\x8f\xbf\xbf", /* overlong in four */
    "\xed\xa0\x80",     /* U+D800 */
    "\xed\xbf\xbf",     /* U+DFFF */
    "\xf4\x90\x80\x80", /* U+110000 */
    "\xf5\x80\x80\x80",
    "\xfe",
    "\xff",
    "\xc3(",
    "\xe2\x82(",
    "\xf0\x9f\x98(",
    "12345678\30312345678",
    "12345678123\x80",
};

static void well_formed_text_is_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        assert_true(weir_utf8_valid(weir_bytes_of(GOOD[i])));
    }
    assert_true(weir_utf8_valid(WEIR_BYTES_NULL));
    assert_true(weir_utf8_valid((weir_bytes){(const uint8_t *)"\0", 1}));
}

static void ill_formed_text_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_false(weir_utf8_valid(weir_bytes_of(BAD[i])));
    }
}

static void a_code_point_that_is_cut_is_not_valid(void **state)
{
    (void)state;
    static const char *const whole[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        for (size_t cut = 1; cut < strlen(whole[i]); cut++) {
            assert_false(weir_utf8_valid((weir_bytes){(const uint8_t *)whole[i], cut}));
        }
    }
}

/* Writes a code point as the standard says, and tells whether it may be written at all. */
static bool write_code_point(uint32_t code_point, uint8_t out[4], size_t *len)
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        *len = 1;
    } else if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | code_point >> 6);
        *len = 2;
    } else if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code_point >> 12);
        *len = 3;
    } else {
        out[0] = (uint8_t)(0xf0 | code_point >> 18);
        *len = 4;
    }
    for (size_t i = 1; i < *len; i++) {
        out[i] = (uint8_t)(0x80 | (code_point >> (6 * (*len - 1 - i)) & 0x3f));
    }
    return code_point <= 0x10ffff && (code_point < 0xd800 || code_point > 0xdfff);
}

static void every_code_point_is_judged_rightly(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point < 0x200000; code_point++) {
        uint8_t wire[4];
        size_t len;
        uint32_t read = 0;
        bool legal = write_code_point(code_point, wire, &len);
        assert_true(weir_utf8_valid((weir_bytes){wire, len}) == legal);
        assert_int_equal(weir_utf8_next((weir_bytes){wire, len}, &read), legal ? len : 0);
        assert_true(!legal || read == code_point);
    }
}

static void control_characters_are_valid_text_but_no_names(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 0x20; byte++) {
        const uint8_t name[] = {'a', (uint8_t)byte};
        assert_true(weir_utf8_valid(WEIR_BYTES(name)));
        assert_false(weir_utf8_valid_name(WEIR_BYTES(name)));
    }
    assert_false(weir_utf8_valid_name(WEIR_TEXT("\x7f")));
    assert_false(weir_utf8_valid_name(WEIR_TEXT("\xc2\x80")));
    assert_false(weir_utf8_valid_name(WEIR_TEXT("\xc2\x9f")));
    assert_false(weir_utf8_valid_name(WEIR_TEXT("\xc2")));
    assert_true(weir_utf8_valid_name(WEIR_TEXT("\xc2\xa0")));
    assert_true(weir_utf8_valid_name(WEIR_TEXT("k\303\274che / \346\270\251\345\272\246")));
}

static void text_fed_in_pieces_is_judged_as_the_whole(void **state)
{
    (void)state;
    const char *text = "12345678\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 12345678";
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        weir_utf8_check check = {0};
        assert_true(weir_utf8_feed(&check, (weir_bytes){(const uint8_t *)text, cut}));
        assert_true(weir_utf8_done(&check) == (((uint8_t)text[cut] & 0xc0) != 0x80));
        assert_true(weir_utf8_feed(&check, (weir_bytes){(const uint8_t *)text + cut, len - cut}));
        assert_true(weir_utf8_done(&check));
    }
}

static void feeding_fails_at_the_first_byte_that_cannot_be(void **state)
{
    (void)state;
    weir_utf8_check check = {0};
    assert_true(weir_utf8_feed(&check, WEIR_TEXT("ok \xed")));
    assert_false(weir_utf8_feed(&check, WEIR_TEXT("\xa0")));
    assert_false(weir_utf8_feed(&check, WEIR_TEXT("ok")));
    assert_false(weir_utf8_feed(&check, WEIR_BYTES_NULL));
    assert_false(weir_utf8_done(&check));
}

static void text_is_tamed_to_what_a_name_may_have(void **state)
{
    static const struct {
        weir_bytes in;
        size_t room;
        const char *out;
    } rows[] = {{WEIR_TEXT("k\303\274che 9"), 64, "k\303\274che 9"},
                {WEIR_TEXT("a\033[31m\n\177"), 64, "a\\x1b[31m\\x0a\\x7f"},
                {WEIR_TEXT("\302\233x\377"), 64, "\\xc2\\x9bx\\xff"},
                {WEIR_TEXT("ab\303\274"), 3, "ab"}, /* no character is cut in two */
                {WEIR_TEXT("ab\033c"), 5, "ab"},
                {WEIR_TEXT(""), 4, ""}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[64];
        weir_bytes tamed = {out, weir_utf8_tame(rows[i].in, out, rows[i].room)};
        assert_true(weir_bytes_equal(tamed, weir_bytes_of(rows[i].out)));
        assert_true(weir_utf8_valid_name(tamed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_valid),
        cmocka_unit_test(ill_formed_text_is_not),
        cmocka_unit_test(a_code_point_that_is_cut_is_not_valid),
        cmocka_unit_test(every_code_point_is_judged_rightly),
        cmocka_unit_test(control_characters_are_valid_text_but_no_names),
        cmocka_unit_test(text_fed_in_pieces_is_judged_as_the_whole),
        cmocka_unit_test(text_is_tamed_to_what_a_name_may_have),
        cmocka_unit_test(feeding_fails_at_the_first_byte_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
