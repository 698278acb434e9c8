/* tests/unit/base/map_test.c - the map against a plain array, with removals [M1] [M2]. */
#include "core/base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

enum { KEYS_COUNT = 500, STEPS_COUNT = 200000 };

typedef struct entry {
    char name[16];
    bool present;
    bool seen;
} entry;

static entry ENTRIES[KEYS_COUNT];

static int entries_prepare(void **state)
{
    (void)state;
    for (int i = 0; i < KEYS_COUNT; i++) {
        ENTRIES[i] = (entry){0};
        (void)snprintf(ENTRIES[i].name, sizeof(ENTRIES[i].name), "key-%d", i);
    }
    return 0;
}

static weir_bytes key_of(const entry *one)
{
    return weir_bytes_of(one->name);
}

static uint32_t step_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    weir_map map = {0};
    size_t position = 0;
    assert_null(weir_map_get(&map, WEIR_TEXT("a")));
    assert_null(weir_map_remove(&map, WEIR_TEXT("a")));
    assert_null(weir_map_next(&map, &position));
    weir_map_fini(&map);
    weir_map_fini(&map);
}

static void setting_again_replaces_value_and_key(void **state)
{
    (void)state;
    weir_map map = {0};
    char first[] = "a", second[] = "a";
    int one, two;
    assert_int_equal(weir_map_set(&map, weir_bytes_of(first), &one), WEIR_OK);
    assert_int_equal(weir_map_set(&map, weir_bytes_of(second), &two), WEIR_OK);
    first[0] = 'z'; /* no longer borrowed */
    assert_ptr_equal(weir_map_get(&map, WEIR_TEXT("a")), &two);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(weir_map_remove(&map, WEIR_TEXT("a")), &two);
    assert_null(weir_map_get(&map, WEIR_TEXT("a")));
    weir_map_fini(&map);
}

static void null_and_empty_are_two_keys(void **state)
{
    (void)state;
    weir_map map = {0};
    int one, two;
    assert_int_equal(weir_map_set(&map, WEIR_BYTES_NULL, &one), WEIR_OK);
    assert_int_equal(weir_map_set(&map, WEIR_TEXT(""), &two), WEIR_OK);
    assert_ptr_equal(weir_map_get(&map, WEIR_BYTES_NULL), &one);
    assert_ptr_equal(weir_map_get(&map, WEIR_TEXT("")), &two);
    weir_map_fini(&map);
}

static void map_agrees(const weir_map *map, size_t present)
{
    assert_int_equal(map->count, present);
    assert_true(map->count <= map->used && map->used * 4 <= map->capacity * 3); /* [M2] */
    assert_true((map->capacity & (map->capacity - 1)) == 0);                    /* [M1] */
    for (int i = 0; i < KEYS_COUNT; i++) {
        entry *wanted = ENTRIES[i].present ? &ENTRIES[i] : NULL;
        assert_ptr_equal(weir_map_get(map, key_of(&ENTRIES[i])), wanted);
    }
}

static void random_sets_and_removals_agree_with_an_array(void **state)
{
    (void)state;
    weir_map map = {0};
    uint64_t random = 1;
    size_t present = 0;
    for (int step = 0; step < STEPS_COUNT; step++) {
        entry *one = &ENTRIES[step_random(&random) % KEYS_COUNT];
        bool filling = step / 5000 % 2 == 0; /* the map fills up and runs empty in turn */
        if (step_random(&random) % 4 < (filling ? 3u : 1u)) {
            assert_int_equal(weir_map_set(&map, key_of(one), one), WEIR_OK);
            present += one->present ? 0 : 1;
            one->present = true;
        } else {
            assert_ptr_equal(weir_map_remove(&map, key_of(one)), one->present ? one : NULL);
            present -= one->present ? 1 : 0;
            one->present = false;
        }
        if (step % 1000 == 0) {
            map_agrees(&map, present);
        }
    }
    weir_map_fini(&map);
}

static void coming_and_going_does_not_make_it_grow(void **state)
{
    (void)state;
    weir_map map = {0};
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 10; i++) {
            entry *one = &ENTRIES[(round * 7 + i) % KEYS_COUNT];
            assert_int_equal(weir_map_set(&map, key_of(one), one), WEIR_OK);
        }
        for (int i = 0; i < 10; i++) {
            assert_non_null(weir_map_remove(&map, key_of(&ENTRIES[(round * 7 + i) % KEYS_COUNT])));
        }
    }
    assert_true(map.capacity <= 64);
    weir_map_fini(&map);
}

static void a_walk_sees_each_once_while_it_removes_them(void **state)
{
    (void)state;
    weir_map map = {0};
    for (int i = 0; i < KEYS_COUNT; i++) {
        assert_int_equal(weir_map_set(&map, key_of(&ENTRIES[i]), &ENTRIES[i]), WEIR_OK);
    }
    size_t position = 0, seen = 0;
    for (entry *one; (one = weir_map_next(&map, &position)) != NULL; seen++) {
        assert_false(one->seen);
        one->seen = true;
        assert_ptr_equal(weir_map_remove(&map, key_of(one)), one);
    }
    assert_int_equal(seen, KEYS_COUNT);
    assert_int_equal(map.count, 0);
    weir_map_fini(&map);
}

static void what_is_fetched_is_what_a_lookup_finds(void **state)
{
    weir_map map = {0};
    (void)state;
    assert_null(weir_map_fetch_value(&map, weir_map_hash(key_of(&ENTRIES[0]))));
    for (int i = 0; i < KEYS_COUNT; i += 2) {
        assert_int_equal(weir_map_set(&map, key_of(&ENTRIES[i]), &ENTRIES[i]), WEIR_OK);
    }
    for (int i = 0; i < KEYS_COUNT; i += 4) {
        assert_ptr_equal(weir_map_remove(&map, key_of(&ENTRIES[i])), &ENTRIES[i]);
    }
    for (int i = 0; i < KEYS_COUNT; i++) {
        uint64_t hash = weir_map_hash(key_of(&ENTRIES[i]));
        weir_map_fetch(&map, hash);
        assert_ptr_equal(weir_map_fetch_value(&map, hash), weir_map_get(&map, key_of(&ENTRIES[i])));
    }
    weir_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_map_has_nothing, entries_prepare),
        cmocka_unit_test_setup(setting_again_replaces_value_and_key, entries_prepare),
        cmocka_unit_test_setup(null_and_empty_are_two_keys, entries_prepare),
        cmocka_unit_test_setup(random_sets_and_removals_agree_with_an_array, entries_prepare),
        cmocka_unit_test_setup(coming_and_going_does_not_make_it_grow, entries_prepare),
        cmocka_unit_test_setup(what_is_fetched_is_what_a_lookup_finds, entries_prepare),
        cmocka_unit_test_setup(a_walk_sees_each_once_while_it_removes_them, entries_prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
