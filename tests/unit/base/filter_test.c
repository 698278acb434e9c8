/* tests/unit/base/filter_test.c - MQTT 5.0 section 4.7: legal names and filters, and matching [F1].
 */
#include "core/base/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void legal_filters_are_accepted(void **state)
{
    (void)state;
    static const char *const legal[] = {
        "#",  "+",   "/",  "//",  "a",       "/a",     "a/",     "a//b", "+/+",
        "/+", "a/#", "/#", "+/#", "a/+/b/#", "$SYS/#", "$share", " ",    "k\303\274che/#"};
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++) {
        assert_int_equal(weir_filter_check(weir_bytes_of(legal[i])), WEIR_OK);
    }
}

static void misplaced_wildcards_are_refused(void **state)
{
    (void)state;
    static const char *const illegal[] = {"##",   "a#",     "#a", "a/#b", "a/b#",
                                          "#/a",  "a/#/b",  "++", "a+",   "+a",
                                          "a/+b", "a/b+/c", "+#", "#+",   "#/"};
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        assert_int_equal(weir_filter_check(weir_bytes_of(illegal[i])), WEIR_NAME_INVALID);
    }
}

static void what_is_no_name_text_is_refused_by_both_checks(void **state)
{
    (void)state;
    const weir_bytes illegal[] = {
        WEIR_BYTES_NULL,   WEIR_TEXT(""),       WEIR_TEXT("a\0b"),
        WEIR_TEXT("a\nb"), WEIR_TEXT("\x7f"),   WEIR_TEXT("\xc2\x85"),
        WEIR_TEXT("\xff"), WEIR_TEXT("a/\xc3"), WEIR_TEXT("\xed\xa0\x80")};
    for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
        assert_int_equal(weir_filter_check(illegal[i]), WEIR_NAME_INVALID);
        assert_int_equal(weir_name_check(illegal[i]), WEIR_NAME_INVALID);
    }
}

static void names_may_have_empty_levels_but_no_wildcards(void **state)
{
    (void)state;
    assert_int_equal(weir_name_check(WEIR_TEXT("a")), WEIR_OK);
    assert_int_equal(weir_name_check(WEIR_TEXT("/")), WEIR_OK);
    assert_int_equal(weir_name_check(WEIR_TEXT("a//b/")), WEIR_OK);
    assert_int_equal(weir_name_check(WEIR_TEXT("$SYS/x")), WEIR_OK);
    assert_int_equal(weir_name_check(WEIR_TEXT("a/+")), WEIR_NAME_INVALID);
    assert_int_equal(weir_name_check(WEIR_TEXT("a/#")), WEIR_NAME_INVALID);
    assert_int_equal(weir_name_check(WEIR_TEXT("a+b")), WEIR_NAME_INVALID);
}

static void both_limits_are_exact(void **state)
{
    (void)state;
    uint8_t text[WEIR_FILTER_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    assert_int_equal(weir_filter_check((weir_bytes){text, WEIR_FILTER_BYTES_MAX}), WEIR_OK);
    assert_int_equal(weir_name_check((weir_bytes){text, WEIR_FILTER_BYTES_MAX}), WEIR_OK);
    assert_int_equal(weir_filter_check((weir_bytes){text, sizeof(text)}), WEIR_NAME_INVALID);
    assert_int_equal(weir_name_check((weir_bytes){text, sizeof(text)}), WEIR_NAME_INVALID);
    memset(text, '/', sizeof(text)); /* n slashes are n + 1 levels */
    assert_int_equal(weir_filter_check((weir_bytes){text, WEIR_LEVELS_MAX - 1}), WEIR_OK);
    assert_int_equal(weir_name_check((weir_bytes){text, WEIR_LEVELS_MAX - 1}), WEIR_OK);
    assert_int_equal(weir_filter_check((weir_bytes){text, WEIR_LEVELS_MAX}), WEIR_NAME_INVALID);
    assert_int_equal(weir_name_check((weir_bytes){text, WEIR_LEVELS_MAX}), WEIR_NAME_INVALID);
}

static void matching_follows_the_specifications_examples(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        const char *name;
        bool matches;
    } known[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true}, /* 4.7.1.2 */
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player2", false},
        {"sport/#", "sport", true},
        {"a/#", "a", true},
        {"a/#", "ab", false},
        {"a/#", "a/", true},
        {"#", "a/b/c", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true}, /* 4.7.1.3 */
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+", "finance", true},
        {"+/b", "/b", true},
        {"a/+/b", "a//b", true},
        {"+/+/+", "//", true},
        {"#", "$SYS/monitor", false}, /* 4.7.2 */
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"+", "$SYS", false},
        {"$SYS/#", "$SYS", true},
        {"$SYS/#", "$SYS/monitor", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"a/+", "a/$SYS", true},
        {"a/#", "a/$SYS/b", true},
        {"ACCOUNTS", "Accounts", false}, /* 4.7.3 */
        {"a", "a", true},
        {"a", "/a", false},
        {"a/", "a", false},
        {"a", "a/", false},
        {"a/b", "a", false},
        {"a", "a/b", false},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        bool found =
            weir_filter_matches(weir_bytes_of(known[i].filter), weir_bytes_of(known[i].name));
        if (found != known[i].matches) {
            fail_msg("%s against %s", known[i].filter, known[i].name);
        }
    }
}

static void null_matches_nothing(void **state)
{
    (void)state;
    assert_false(weir_filter_matches(WEIR_BYTES_NULL, WEIR_TEXT("a")));
    assert_false(weir_filter_matches(WEIR_TEXT("#"), WEIR_BYTES_NULL));
    assert_false(weir_filter_reaches(WEIR_TEXT("#"), WEIR_BYTES_NULL));
    assert_false(weir_filter_has_wildcard(WEIR_BYTES_NULL));
}

static void a_filter_reaches_a_topic_when_it_can_match_it_or_a_name_below(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        const char *topic;
        bool reaches;
    } known[] = {
        {"#", "sensors", true},
        {"#", "$internal", false},
        {"+", "$internal", false},
        {"+/a", "$internal", false},
        {"$internal/#", "$internal", true},
        {"+", "sensors", true},
        {"+", "sensors/raw", false},
        {"sensors", "sensors", true},
        {"sensors/#", "sensors", true},
        {"sensors/+/temperature", "sensors", true},
        {"sensors/kitchen", "sensors", true},
        {"sensors", "sensors/raw", false},
        {"sensors/#", "sensors/raw", true},
        {"sensors/+", "sensors/raw", true},
        {"+/raw/#", "sensors/raw", true},
        {"sensors/cooked/#", "sensors/raw", false},
        {"sensor/#", "sensors", false},
        {"+/+/x", "sensors/raw", true},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        bool found =
            weir_filter_reaches(weir_bytes_of(known[i].filter), weir_bytes_of(known[i].topic));
        if (found != known[i].reaches) {
            fail_msg("%s reaching %s", known[i].filter, known[i].topic);
        }
    }
}

static void wildcards_are_noticed(void **state)
{
    (void)state;
    assert_true(weir_filter_has_wildcard(WEIR_TEXT("a/+")));
    assert_true(weir_filter_has_wildcard(WEIR_TEXT("#")));
    assert_false(weir_filter_has_wildcard(WEIR_TEXT("a/b")));
    assert_false(weir_filter_has_wildcard(WEIR_TEXT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_filters_are_accepted),
        cmocka_unit_test(misplaced_wildcards_are_refused),
        cmocka_unit_test(what_is_no_name_text_is_refused_by_both_checks),
        cmocka_unit_test(names_may_have_empty_levels_but_no_wildcards),
        cmocka_unit_test(both_limits_are_exact),
        cmocka_unit_test(matching_follows_the_specifications_examples),
        cmocka_unit_test(null_matches_nothing),
        cmocka_unit_test(a_filter_reaches_a_topic_when_it_can_match_it_or_a_name_below),
        cmocka_unit_test(wildcards_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
