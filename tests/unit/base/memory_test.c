/* tests/unit/base/memory_test.c - every allocation of the containers fails once, in turn: the call
 * says NO_MEMORY, nothing has changed, and the same call works when there is memory again.
 *
 * The sources are compiled into this program, with their allocator replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int countdown; /* 1: the next allocation fails; 0: none does */

static bool allocation_fails(void)
{
    return countdown > 0 && --countdown == 0;
}

static void *planned_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : calloc(count, size);
}

static void *planned_realloc(void *ptr, size_t size)
{
    return allocation_fails() ? NULL : realloc(ptr, size);
}

#define calloc  planned_calloc
#define realloc planned_realloc
#include "core/base/buffer.c"
#include "core/base/map.c"
#include "core/base/trie.c"
#include "core/base/value_set.c"
#undef calloc
#undef realloc

enum { ITEMS_COUNT = 200, ALLOCATIONS_MAX = 12 };

static char NAMES[ITEMS_COUNT][32];

/* Filters that need several nodes, nodes that others share, and one filter with many values. */
static int names_prepare(void **state)
{
    (void)state;
    for (int i = 0; i < ITEMS_COUNT; i++) {
        if (i % 4 == 0) {
            (void)snprintf(NAMES[i], sizeof(NAMES[i]), "a/b%d/c/d", i);
        } else if (i % 4 == 1) {
            (void)snprintf(NAMES[i], sizeof(NAMES[i]), "a/+/b%d/#", i);
        } else {
            (void)snprintf(NAMES[i], sizeof(NAMES[i]), "alerts");
        }
    }
    return 0;
}

static void count_value(void *arg, void *value)
{
    (void)value;
    ++*(size_t *)arg;
}

static size_t count_alerts(const weir_trie *trie)
{
    size_t count = 0;
    weir_trie_match(trie, WEIR_TEXT("alerts"), count_value, &count);
    return count;
}

static void a_trie_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    weir_trie *trie = NULL;
    for (int nth = 1; nth <= 2; nth++) {
        countdown = nth;
        assert_int_equal(weir_trie_create(&trie), WEIR_NO_MEMORY);
        assert_null(trie);
    }
    assert_int_equal(weir_trie_create(&trie), WEIR_OK);
    for (int i = 0; i < ITEMS_COUNT; i++) {
        weir_bytes filter = weir_bytes_of(NAMES[i]);
        size_t alerts = count_alerts(trie), edges = trie->edges_count;
        weir_err err = WEIR_NO_MEMORY;
        for (int nth = 1; err != WEIR_OK; nth++) {
            assert_true(nth <= ALLOCATIONS_MAX);
            countdown = nth;
            err = weir_trie_add(trie, filter, NAMES[i]);
            countdown = 0;
            if (err != WEIR_OK) {
                assert_int_equal(err, WEIR_NO_MEMORY);
                assert_int_equal(weir_trie_count(trie), i);
                assert_int_equal(trie->edges_count, edges);
                assert_int_equal(count_alerts(trie), alerts);
                assert_int_equal(weir_trie_remove(trie, filter, NAMES[i]), WEIR_NOT_FOUND);
            }
        }
        assert_int_equal(weir_trie_count(trie), i + 1);
    }
    for (int i = 0; i < ITEMS_COUNT; i++) {
        countdown = i % 2; /* giving memory back must not need any */
        assert_int_equal(weir_trie_remove(trie, weir_bytes_of(NAMES[i]), NAMES[i]), WEIR_OK);
    }
    countdown = 0;
    assert_true(trie->edges_count == 0 && node_is_empty(trie->root)); /* [T1] */
    weir_trie_destroy(trie);
}

static void a_map_without_memory_stays_as_it_was(void **state)
{
    static char keys[ITEMS_COUNT][16];
    weir_map map = {0};
    (void)state;
    for (int i = 0; i < ITEMS_COUNT; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
        countdown = 1;
        weir_err err = weir_map_set(&map, weir_bytes_of(keys[i]), keys[i]);
        countdown = 0;
        if (err != WEIR_OK) {
            assert_int_equal(err, WEIR_NO_MEMORY);
            assert_int_equal(map.count, i);
            assert_null(weir_map_get(&map, weir_bytes_of(keys[i])));
            assert_int_equal(weir_map_set(&map, weir_bytes_of(keys[i]), keys[i]), WEIR_OK);
        }
        for (int j = 0; j <= i; j++) {
            assert_ptr_equal(weir_map_get(&map, weir_bytes_of(keys[j])), keys[j]);
        }
    }
    weir_map_fini(&map);
}

static void a_buffer_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    weir_buffer buffer = {0};
    countdown = 1;
    assert_int_equal(weir_buffer_text(&buffer, "first"), WEIR_NO_MEMORY);
    assert_null(buffer.ptr);
    assert_int_equal(weir_buffer_text(&buffer, "first"), WEIR_OK);
    countdown = 1;
    assert_int_equal(weir_buffer_format(&buffer, "%1000d", 1), WEIR_NO_MEMORY);
    assert_int_equal(buffer.len, 5);
    assert_memory_equal(buffer.ptr, "first", 5);
    countdown = 0;
    weir_buffer_fini(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_trie_without_memory_stays_as_it_was, names_prepare),
        cmocka_unit_test(a_map_without_memory_stays_as_it_was),
        cmocka_unit_test(a_buffer_without_memory_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
