/* Tests programs/position.c: times, places to start at, names against filters. */
#include "programs/position.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_time_is_read_in_each_of_its_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t time_ms;
    } rows[] = {{"0", 0},
                {"1767225600", 1767225600000},
                {"1594598735.7727768", 1594598735773},
                {"1767225600123", 1767225600123},
                {"2026-01-01T00:00:00", 1767225600000},
                {"2026-01-01T00:00:00Z", 1767225600000},
                {"2026-01-01T00:00:00.25Z", 1767225600250},
                {"2026-01-01T00:00:00.1239999", 1767225600123}};
    const char *const wrong[] = {"",
                                 "now",
                                 "-1",
                                 "1e16",
                                 "nan",
                                 "1x",
                                 "2026-01-01",
                                 "2026-01-01T00:00:00+01:00",
                                 "2026-01-01T00:00:00Zz"};
    int64_t time_ms = 7;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_false(weir_time_read(wrong[i], &time_ms));
        assert_int_equal(time_ms, 7); /* untouched */
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(weir_time_read(rows[i].text, &time_ms));
        assert_int_equal(time_ms, rows[i].time_ms);
    }
}

static void a_place_is_a_word_an_offset_a_count_or_a_time(void **state)
{
    static const struct {
        const char *text;
        weir_where where;
    } rows[] = {{"beginning", {WEIR_START_BEGINNING, 0}}, {"end", {WEIR_START_END, 0}},
                {"17", {WEIR_START_OFFSET, 17}},          {"-5", {WEIR_START_LAST, 5}},
                {"@10", {WEIR_START_TIME, 10000}},        {"@10.5", {WEIR_START_TIME, 10500}}};
    const char *const wrong[] = {"", "begin", "1.5", "-", "--5", "@", "@x", "99999999999999999999"};
    weir_where where;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(weir_where_read("--from", rows[i].text, &where));
        assert_int_equal(where.start, rows[i].where.start);
        assert_int_equal(where.value, rows[i].where.value);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_false(weir_where_read("--from", wrong[i], &where));
    }
}

static bool matches(const char *filter, const char *name)
{
    return weir_operand_matches(weir_bytes_of(filter), weir_bytes_of(name));
}

static void a_filter_matches_level_by_level(void **state)
{
    const char *const yes[][2] = {{"a", "a"},       {"a/b", "a/b"}, {"+", "a"},       {"a/+", "a/"},
                                  {"#", "a/b/c"},   {"a/#", "a"},   {"a/#", "a/b"},   {"+/+", "/"},
                                  {"+/b/#", "a/b"}, {"/a", "/a"},   {"a/+/c", "a//c"}};
    const char *const no[][2] = {{"a", "b"},    {"a", "a/b"},   {"a/b", "a"}, {"a/", "a"},
                                 {"a", "a/"},   {"+", "a/b"},   {"a/+", "a"}, {"a/#", "b/a"},
                                 {"a/#", "ab"}, {"+/b", "a/c"}, {"ab", "a"},  {"a", "ab"}};
    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++) {
        assert_true(matches(yes[i][0], yes[i][1]));
    }
    for (size_t i = 0; i < COUNT(no); i++) {
        assert_false(matches(no[i][0], no[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_read_in_each_of_its_forms),
        cmocka_unit_test(a_place_is_a_word_an_offset_a_count_or_a_time),
        cmocka_unit_test(a_filter_matches_level_by_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
