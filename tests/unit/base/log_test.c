/* tests/unit/base/log_test.c - one line a call, whatever a peer put into it. */
#include "core/base/log.h"

#include "core/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

typedef struct caught {
    int count;
    weir_log_level level;
    char room[32];
    char line[4096];
} caught;

static void catch_line(void *arg, weir_log_level level, const char *room, const char *line)
{
    caught *into = arg;
    into->count++;
    into->level = level;
    (void)snprintf(into->room, sizeof(into->room), "%s", room);
    (void)snprintf(into->line, sizeof(into->line), "%s", line);
}

static void lines_below_the_threshold_are_dropped(void **state)
{
    (void)state;
    caught into = {0};
    weir_log_sink(catch_line, &into);
    weir_log(WEIR_LOG_DEBUG, "base", "not seen");
    assert_int_equal(into.count, 0);
    weir_log_threshold(WEIR_LOG_DEBUG);
    weir_log(WEIR_LOG_DEBUG, "base", "seen=%d", 1);
    assert_int_equal(into.count, 1);
    assert_string_equal(into.room, "base");
    assert_string_equal(into.line, "seen=1");
    weir_log_threshold(WEIR_LOG_ERROR);
    weir_log(WEIR_LOG_WARN, "base", "not seen");
    assert_int_equal(into.count, 1);
    weir_log_threshold(WEIR_LOG_INFO);
    weir_log_sink(NULL, NULL);
}

static void one_call_is_one_line(void **state)
{
    (void)state;
    caught into = {0};
    weir_log_sink(catch_line, &into);
    weir_log(WEIR_LOG_ERROR, "base", "a\nb\rc\x1b[2J");
    assert_string_equal(into.line, "a b c [2J");
    weir_log_sink(NULL, NULL);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    caught into = {0};
    weir_log_sink(catch_line, &into);
    weir_log(WEIR_LOG_ERROR, "base", "%4000d", 7);
    size_t len = strlen(into.line);
    assert_true(len < 2048);
    assert_string_equal(into.line + len - 3, "...");
    weir_log_sink(NULL, NULL);
}

static void quoting_shows_text_and_escapes_the_rest(void **state)
{
    (void)state;
    char out[WEIR_LOG_QUOTE_MAX];
    assert_string_equal(weir_log_quote(WEIR_TEXT("a/b c"), out), "\"a/b c\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("\xc3\xa9\xe6\xb8\xa9"), out),
                        "\"\xc3\xa9\xe6\xb8\xa9\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("a\"b\\"), out), "\"a\\\"b\\\\\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("a\n\0b\x7f"), out), "\"a\\x0a\\x00b\\x7f\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("\xff\xc3"), out), "\"\\xff\\xc3\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("\xe2\x80\xae"), out), "\"\\xe2\\x80\\xae\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("\xe2\x80\xa8"), out), "\"\\xe2\\x80\\xa8\"");
    assert_string_equal(weir_log_quote(WEIR_TEXT("\xc2\x85"), out), "\"\\xc2\\x85\"");
    assert_string_equal(weir_log_quote(WEIR_BYTES_NULL, out), "\"\"");
}

static void quoting_cuts_at_128_bytes_between_code_points(void **state)
{
    (void)state;
    char out[WEIR_LOG_QUOTE_MAX];
    uint8_t in[200];
    memset(in, 'a', sizeof(in));
    assert_int_equal(strlen(weir_log_quote((weir_bytes){in, 128}, out)), 130);
    assert_int_equal(strlen(weir_log_quote((weir_bytes){in, 129}, out)), 133);
    assert_string_equal(out + 128, "a\"...");
    memcpy(in + 127, "\xc3\xa9", 2);
    assert_int_equal(strlen(weir_log_quote(WEIR_BYTES(in), out)), 132);
    memset(in, 0xff, sizeof(in));
    assert_int_equal(strlen(weir_log_quote(WEIR_BYTES(in), out)), 4 * 128 + 5);
}

static void whatever_is_quoted_is_utf8_that_fits(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int round = 0; round < 20000; round++) {
        uint8_t in[160];
        char out[WEIR_LOG_QUOTE_MAX];
        for (size_t i = 0; i < sizeof(in); i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            in[i] = (uint8_t)(random >> 40);
        }
        (void)weir_log_quote((weir_bytes){in, (size_t)(random >> 33) % sizeof(in)}, out);
        assert_true(weir_utf8_valid_name(weir_bytes_of(out)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_below_the_threshold_are_dropped),
        cmocka_unit_test(one_call_is_one_line),
        cmocka_unit_test(a_long_line_is_cut_and_says_so),
        cmocka_unit_test(quoting_shows_text_and_escapes_the_rest),
        cmocka_unit_test(quoting_cuts_at_128_bytes_between_code_points),
        cmocka_unit_test(whatever_is_quoted_is_utf8_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
