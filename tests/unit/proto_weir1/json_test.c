/* JSON as weir.v1 reads and writes it: what is refused, what comes back, encodings. */
#include "adapters/proto/weir1/json.h"
#include "adapters/proto/weir1/record_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static weir_err parse(const char *text, size_t len)
{
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX] = "";
    weir_err err = weir_v1_document_parse((weir_bytes){(const uint8_t *)text, len}, &document, why);
    if (err != WEIR_OK) {
        assert_true(strlen(why) > 0); /* every refusal says something */
    }
    weir_v1_document_fini(&document);
    return err;
}

#define PARSE(literal) parse(literal, sizeof(literal) - 1)

static void what_is_not_one_strict_object_is_refused(void **state)
{
    (void)state;
    assert_int_equal(PARSE("{\"a\":1}"), WEIR_OK);
    assert_int_equal(PARSE("{\"a\":1}\r\n"), WEIR_OK);
    assert_int_equal(PARSE(""), WEIR_MALFORMED);
    assert_int_equal(PARSE("{"), WEIR_MALFORMED);
    assert_int_equal(PARSE("[1]"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":1}x"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":1,\"a\":2}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"\0\"}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"\\u0000\"}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"\xff\"}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"\xc0\x80\"}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"\\ud800\"}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":NaN}"), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":1e999}"), WEIR_MALFORMED);
}

static void nesting_is_bounded_before_it_is_parsed(void **state)
{
    char text[4096] = "{\"a\":";
    (void)state;
    for (int depth = WEIR_V1_DEPTH_MAX; depth <= WEIR_V1_DEPTH_MAX + 1; depth++) {
        char *at = text + 5;
        memset(at, '[', (size_t)depth - 1);
        memset(at + depth - 1, ']', (size_t)depth - 1);
        strcpy(at + 2 * (depth - 1), "}");
        assert_int_equal(parse(text, strlen(text)),
                         depth == WEIR_V1_DEPTH_MAX ? WEIR_OK : WEIR_MALFORMED);
    }
    memset(text, '[', sizeof(text));
    text[0] = '{';
    assert_int_equal(parse(text, sizeof(text)), WEIR_MALFORMED);
    assert_int_equal(PARSE("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"), WEIR_OK);
    assert_int_equal(PARSE("{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"), WEIR_OK);
}

static void so_many_objects_and_arrays_pass_and_one_more_does_not(void **state)
{
    static char text[2 * WEIR_V1_CONTAINERS_MAX * 2 + 64];
    (void)state;
    for (int inner = WEIR_V1_CONTAINERS_MAX - 2; inner < WEIR_V1_CONTAINERS_MAX; inner++) {
        char *at = text + sprintf(text, "{\"a\":[");
        for (int i = 0; i < inner; i++) {
            at += sprintf(at, i > 0 ? ",[]" : "[]");
        }
        at += sprintf(at, "]}");
        assert_int_equal(parse(text, (size_t)(at - text)),
                         inner == WEIR_V1_CONTAINERS_MAX - 2 ? WEIR_OK : WEIR_MALFORMED);
    }
}

/* The member v of the text, as an amount. */
static uint64_t amount(const char *text)
{
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX];
    uint64_t value = 12345;
    assert_int_equal(weir_v1_document_parse(weir_bytes_of(text), &document, why), WEIR_OK);
    if (!weir_v1_node_amount(weir_v1_node_member(document.root, "v"), &value)) {
        value = 99999;
    }
    weir_v1_document_fini(&document);
    return value;
}

static void amounts_stop_at_the_largest_value(void **state)
{
    (void)state;
    assert_int_equal(amount("{\"v\":0}"), 0);
    assert_int_equal(amount("{\"v\":9223372036854775807}"), INT64_MAX);
    assert_true(amount("{\"v\":9223372036854775808}") == UINT64_MAX);
    assert_true(amount("{\"v\":18446744073709551616}") == UINT64_MAX);
    assert_true(amount("{\"v\":1e300}") == UINT64_MAX);
    assert_int_equal(amount("{\"v\":-1}"), 99999);
    assert_int_equal(amount("{\"v\":-9223372036854775809}"), 99999);
    assert_int_equal(amount("{\"v\":1.5}"), 99999);
    assert_int_equal(amount("{\"v\":\"1\"}"), 99999);
    assert_int_equal(amount("{}"), 99999);
}

static void assert_rewritten(const char *text, const char *want)
{
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX];
    weir_buffer out = {0};
    weir_v1_writer writer = {&out, false};
    assert_int_equal(weir_v1_document_parse(weir_bytes_of(text), &document, why), WEIR_OK);
    weir_v1_write_node(&writer, document.root);
    assert_false(writer.failed);
    assert_int_equal(out.len, strlen(want));
    assert_memory_equal(out.ptr, want, out.len);
    weir_buffer_fini(&out);
    weir_v1_document_fini(&document);
}

static void json_is_rewritten_compactly_and_exactly(void **state)
{
    (void)state;
    assert_rewritten("{ \"b\" : 1 , \"a\" : [ true, false, null, {} ] }",
                     "{\"b\":1,\"a\":[true,false,null,{}]}");
    assert_rewritten("{\"x\":0.1,\"y\":1e100,\"z\":-9223372036854775808}",
                     "{\"x\":0.1,\"y\":1e+100,\"z\":-9223372036854775808}");
    assert_rewritten("{\"s\":\"\\u0001\\n\\\"\\\\\\u20ac\\ud83d\\ude00/\"}",
                     "{\"s\":\"\\u0001\\n\\\"\\\\\xe2\x82\xac\xf0\x9f\x98\x80/\"}");
}

static void base64_comes_back_and_wrong_base64_is_refused(void **state)
{
    static const char *const wrong[] = {"a",    "ab",   "abc",      "a===", "ab=c", "ab\n=",
                                        "====", "=abc", "ab==abcd", "ab-_", "aB==", "aaB="};
    uint8_t bytes[256];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        weir_buffer out = {0};
        weir_v1_writer writer = {&out, false};
        uint8_t back[260];
        size_t back_len = 0;
        weir_v1_write_base64(&writer, (weir_bytes){bytes, len});
        assert_int_equal(
            weir_v1_base64_decode((weir_bytes){out.ptr + 1, out.len - 2}, back, &back_len),
            WEIR_OK);
        assert_int_equal(back_len, len);
        assert_memory_equal(back, bytes, len);
        weir_buffer_fini(&out);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        size_t len = 0;
        assert_int_equal(weir_v1_base64_decode(weir_bytes_of(wrong[i]), bytes, &len), WEIR_INVALID);
    }
}

static void times_are_read_as_rfc_3339_has_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } right[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1985-04-12T23:20:50.52Z", 482196050520},
        {"1996-12-19T16:39:57-08:00", 851042397000},
        {"2000-02-29t12:00:00.1239z", 951825600123},
        {"1937-01-01T12:00:27.87+00:20", -1041337172130},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };
    static const char *const wrong[] = {"",
                                        "2020",
                                        "2020-13-01T00:00:00Z",
                                        "2021-02-29T00:00:00Z",
                                        "2020-01-01T24:00:00Z",
                                        "2020-01-01T00:00:00",
                                        "2020-01-01T00:00:00.Z",
                                        "2020-01-01T00:00:00Zx",
                                        "2020-01-01T00:00:00+1:00",
                                        "2020-00-10T00:00:00Z",
                                        "2020-01-32T00:00:00Z"};
    int64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(weir_v1_time_parse(weir_bytes_of(right[i].text), &ms), WEIR_OK);
        assert_int_equal(ms, right[i].ms);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(weir_v1_time_parse(weir_bytes_of(wrong[i]), &ms), WEIR_INVALID);
    }
}

static void text_is_utf8_without_nul(void **state)
{
    (void)state;
    assert_true(weir_v1_is_text(WEIR_TEXT("")));
    assert_true(weir_v1_is_text(WEIR_TEXT("a\xc3\xa9\x7f\n")));
    assert_false(weir_v1_is_text(WEIR_TEXT("a\0b")));
    assert_false(weir_v1_is_text(WEIR_TEXT("\xff")));
    assert_false(weir_v1_is_text(WEIR_TEXT("\xed\xa0\x80")));
}

static void a_headers_name_is_written_as_json_whatever_is_stored(void **state)
{
    const weir_header headers[] = {{WEIR_TEXT("a"), WEIR_TEXT("1")},
                                   {WEIR_TEXT("b\xff"), WEIR_TEXT("2")}};
    weir_buffer out = {0};
    weir_v1_writer writer = {.out = &out};
    (void)state;
    weir_v1_write_header(&writer, &headers[0]);
    weir_v1_write_header(&writer, &headers[1]);
    assert_false(writer.failed);
    assert_true(
        weir_bytes_equal(weir_buffer_bytes(&out), WEIR_TEXT("[\"a\",\"1\"][\"b\\\\xff\",\"2\"]")));
    weir_buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_one_strict_object_is_refused),
        cmocka_unit_test(nesting_is_bounded_before_it_is_parsed),
        cmocka_unit_test(so_many_objects_and_arrays_pass_and_one_more_does_not),
        cmocka_unit_test(amounts_stop_at_the_largest_value),
        cmocka_unit_test(json_is_rewritten_compactly_and_exactly),
        cmocka_unit_test(base64_comes_back_and_wrong_base64_is_refused),
        cmocka_unit_test(times_are_read_as_rfc_3339_has_them),
        cmocka_unit_test(text_is_utf8_without_nul),
        cmocka_unit_test(a_headers_name_is_written_as_json_whatever_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
