/* tests/unit/base/trie_test.c - the trie against weir_filter_matches, at random and in size. */
#include "core/base/trie.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { FILTERS_COUNT = 300, MANY_COUNT = 100000 };

typedef struct one_filter {
    char text[64];
    bool present;
    int matched;
} one_filter;

static one_filter FILTERS[FILTERS_COUNT];

static uint32_t step_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

static void count_match(void *arg, void *value)
{
    (void)arg;
    ((one_filter *)value)->matched++;
}

static void count_call(void *arg, void *value)
{
    (void)value;
    ++*(size_t *)arg;
}

static size_t matches_of(const weir_trie *trie, const char *name)
{
    size_t count = 0;
    weir_trie_match(trie, weir_bytes_of(name), count_call, &count);
    return count;
}

/* A random path of few words, so that filters and names meet often. */
static void random_text(char out[64], bool filter, uint64_t *random)
{
    static const char *const words[] = {"a", "b", "c", "", "$s", "long-level"};
    size_t levels = 1 + step_random(random) % 5, len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < levels; i++) {
        const char *word = words[step_random(random) % 6];
        uint32_t dice = step_random(random) % 8;
        if (filter && dice < 2) {
            word = "+";
        } else if (filter && dice == 2) {
            word = "#";
        }
        len += (size_t)snprintf(out + len, 64 - len, "%s%s", i == 0 ? "" : "/", word);
        if (word[0] == '#') {
            break;
        }
    }
    if (len == 0) {
        strcpy(out, "/");
    }
}

static void random_name_is_matched(const weir_trie *trie, uint64_t *random)
{
    char name[64];
    random_text(name, false, random);
    for (int i = 0; i < FILTERS_COUNT; i++) {
        FILTERS[i].matched = 0;
    }
    weir_trie_match(trie, weir_bytes_of(name), count_match, NULL);
    for (int i = 0; i < FILTERS_COUNT; i++) {
        bool wanted = FILTERS[i].present &&
                      weir_filter_matches(weir_bytes_of(FILTERS[i].text), weir_bytes_of(name));
        if (FILTERS[i].matched != (wanted ? 1 : 0)) {
            fail_msg("%s against %s: %d calls", FILTERS[i].text, name, FILTERS[i].matched);
        }
    }
}

static void random_filter_changes(weir_trie *trie, uint64_t *random, size_t *present)
{
    one_filter *one = &FILTERS[step_random(random) % FILTERS_COUNT];
    if (step_random(random) % 2 == 0) {
        weir_err err = weir_trie_add(trie, weir_bytes_of(one->text), one);
        assert_int_equal(err, one->present ? WEIR_EXISTS : WEIR_OK);
        *present += one->present ? 0 : 1;
        one->present = true;
    } else {
        weir_err err = weir_trie_remove(trie, weir_bytes_of(one->text), one);
        assert_int_equal(err, one->present ? WEIR_OK : WEIR_NOT_FOUND);
        *present -= one->present ? 1 : 0;
        one->present = false;
    }
    assert_int_equal(weir_trie_count(trie), *present);
}

static void random_filters_match_as_each_would_alone(void **state)
{
    (void)state;
    weir_trie *trie;
    uint64_t random = 42;
    size_t present = 0;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (int i = 0; i < FILTERS_COUNT; i++) {
        FILTERS[i] = (one_filter){0};
        random_text(FILTERS[i].text, true, &random);
        assert_int_equal(weir_filter_check(weir_bytes_of(FILTERS[i].text)), WEIR_OK);
    }
    for (int step = 0; step < 20000; step++) {
        random_filter_changes(trie, &random, &present);
        if (step % 4 == 0) {
            random_name_is_matched(trie, &random);
        }
    }
    weir_trie_destroy(trie);
}

static void wildcards_pass_topics_that_begin_with_a_dollar(void **state)
{
    (void)state;
    static const char *const filters[] = {"#",      "+",      "+/x", "$SYS/#",
                                          "$SYS/x", "$SYS/+", "a/#", "a/+"};
    weir_trie *trie;
    int value;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        assert_int_equal(weir_trie_add(trie, weir_bytes_of(filters[i]), &value), WEIR_OK);
    }
    assert_int_equal(matches_of(trie, "$SYS/x"), 3);
    assert_int_equal(matches_of(trie, "$SYS"), 1);
    assert_int_equal(matches_of(trie, "a/$SYS"), 3); /* # a/# a/+ */
    assert_int_equal(matches_of(trie, "a"), 3);      /* # + a/# */
    assert_int_equal(matches_of(trie, "/x"), 2);     /* # +/x */
    weir_trie_destroy(trie);
}

static void what_is_no_filter_changes_nothing(void **state)
{
    (void)state;
    weir_trie *trie;
    int value;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    assert_int_equal(weir_trie_add(trie, WEIR_TEXT("a/#/b"), &value), WEIR_NAME_INVALID);
    assert_int_equal(weir_trie_add(trie, WEIR_BYTES_NULL, &value), WEIR_NAME_INVALID);
    assert_int_equal(weir_trie_remove(trie, WEIR_TEXT("a/#/b"), &value), WEIR_NOT_FOUND);
    assert_int_equal(weir_trie_remove(trie, WEIR_TEXT("a"), &value), WEIR_NOT_FOUND);
    assert_int_equal(weir_trie_count(trie), 0);
    assert_int_equal(matches_of(trie, "a"), 0);
    weir_trie_match(trie, WEIR_BYTES_NULL, count_call, NULL);
    weir_trie_destroy(trie);
    weir_trie_destroy(NULL);
}

static void the_deepest_filters_and_deeper_names_are_matched(void **state)
{
    (void)state;
    char plus[2 * WEIR_LEVELS_MAX], name[2 * WEIR_LEVELS_MAX + 400];
    weir_trie *trie;
    int value;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (int i = 0; i < WEIR_LEVELS_MAX; i++) {
        memcpy(plus + 2 * i, i == WEIR_LEVELS_MAX - 1 ? "+" : "+/", 2);
        memcpy(name + 2 * i, i == WEIR_LEVELS_MAX - 1 ? "a" : "a/", 2);
    }
    assert_int_equal(weir_trie_add(trie, weir_bytes_of(plus), &value), WEIR_OK);
    assert_int_equal(weir_trie_add(trie, weir_bytes_of(name), &value), WEIR_OK);
    plus[2 * (WEIR_LEVELS_MAX - 1)] = '#';
    assert_int_equal(weir_trie_add(trie, weir_bytes_of(plus), &value), WEIR_OK);
    assert_int_equal(matches_of(trie, name), 3);
    for (int i = 0; i < 100; i++) {
        strcat(name, "/b"); /* longer than any filter: only # is left */
    }
    assert_int_equal(matches_of(trie, name), 1);
    weir_trie_destroy(trie);
}

/* Every filter of + and a over 12 levels: 4,096 of them fit one name, and each is given once. */
static void filters_that_fork_at_every_level_are_given_once_each(void **state)
{
    (void)state;
    weir_trie *trie;
    int value;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (unsigned bits = 0; bits < 1u << 12; bits++) {
        char filter[24];
        for (unsigned i = 0; i < 12; i++) {
            filter[2 * i] = (bits >> i & 1) != 0 ? '+' : 'a';
            filter[2 * i + 1] = '/';
        }
        filter[23] = '\0';
        assert_int_equal(weir_trie_add(trie, weir_bytes_of(filter), &value), WEIR_OK);
    }
    assert_int_equal(matches_of(trie, "a/a/a/a/a/a/a/a/a/a/a/a"), 1 << 12);
    weir_trie_destroy(trie);
}

static void a_filter_holds_many_values_and_gives_each_back(void **state)
{
    (void)state;
    static uint8_t values[MANY_COUNT];
    weir_trie *trie;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (int i = 0; i < MANY_COUNT; i++) {
        assert_int_equal(weir_trie_add(trie, WEIR_TEXT("alerts/#"), &values[i]), WEIR_OK);
    }
    assert_int_equal(weir_trie_add(trie, WEIR_TEXT("alerts/#"), &values[7]), WEIR_EXISTS);
    assert_int_equal(matches_of(trie, "alerts"), MANY_COUNT);
    for (int i = 0; i < MANY_COUNT; i++) {
        int one = (int)((uint64_t)i * 7919 % MANY_COUNT); /* each once, out of order */
        assert_int_equal(weir_trie_remove(trie, WEIR_TEXT("alerts/#"), &values[one]), WEIR_OK);
        assert_int_equal(weir_trie_remove(trie, WEIR_TEXT("alerts/#"), &values[one]),
                         WEIR_NOT_FOUND);
    }
    assert_int_equal(weir_trie_count(trie), 0);
    weir_trie_destroy(trie);
}

static void device_filter(char out[64], int i)
{
    static const char *const tails[] = {"temperature", "+", "#", "state/+/set"};
    (void)snprintf(out, 64, "site-%d/device-%d/%s", i % 100, i, tails[i % 4]);
}

static void a_hundred_thousand_filters_match_and_leave_nothing_behind(void **state)
{
    (void)state;
    weir_trie *trie;
    char filter[64];
    int value;
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < MANY_COUNT; i++) {
        device_filter(filter, i);
        assert_int_equal(weir_trie_add(trie, weir_bytes_of(filter), &value), WEIR_OK);
    }
    assert_int_equal(weir_trie_count(trie), MANY_COUNT);
    for (int i = 0; i < MANY_COUNT; i += 4) {
        (void)snprintf(filter, sizeof(filter), "site-%d/device-%d/temperature", i % 100, i);
        assert_int_equal(matches_of(trie, filter), 1);
    }
    for (int i = 0; i < MANY_COUNT; i++) {
        device_filter(filter, i);
        assert_int_equal(weir_trie_remove(trie, weir_bytes_of(filter), &value), WEIR_OK);
    }
    assert_int_equal(weir_trie_count(trie), 0);
    assert_true(mallinfo2().uordblks <= before + 4096); /* [T1]; the table's smallest size stays */
    weir_trie_destroy(trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_filters_match_as_each_would_alone),
        cmocka_unit_test(wildcards_pass_topics_that_begin_with_a_dollar),
        cmocka_unit_test(what_is_no_filter_changes_nothing),
        cmocka_unit_test(the_deepest_filters_and_deeper_names_are_matched),
        cmocka_unit_test(filters_that_fork_at_every_level_are_given_once_each),
        cmocka_unit_test(a_filter_holds_many_values_and_gives_each_back),
        cmocka_unit_test(a_hundred_thousand_filters_match_and_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
