/* tests/unit/bench/tally_test.c - what competing consumers have had, counted in bits. */
#include "bench/tally.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { MANY = 100000, CONSUMERS = 4 };

static void what_two_consumers_share_is_neither_lost_nor_reordered(void **state)
{
    weir_tally tally;
    uint64_t next[2] = {0, 0};
    (void)state;
    assert_int_equal(weir_tally_init(&tally, 1000), WEIR_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(weir_tally_take(&tally, &next[i / 7 % 2], i));
    }
    assert_int_equal(tally.had, 1000);
    assert_int_equal(weir_tally_lost(&tally, 1000), 0);
    assert_int_equal(tally.duplicated + tally.reordered + tally.alien, 0);
    weir_tally_fini(&tally);
}

static void what_nobody_had_is_lost(void **state)
{
    weir_tally tally;
    uint64_t next = 0;
    (void)state;
    assert_int_equal(weir_tally_init(&tally, 200), WEIR_OK);
    for (uint64_t i = 0; i < 200; i++) {
        if (i != 0 && i != 63 && i != 64 && i < 198) {
            weir_tally_take(&tally, &next, i);
        }
    }
    assert_int_equal(weir_tally_lost(&tally, 200), 5);
    assert_int_equal(weir_tally_lost(&tally, 198), 3);
    weir_tally_fini(&tally);
}

static void a_message_given_to_two_consumers_is_duplicated(void **state)
{
    weir_tally tally;
    uint64_t next[2] = {0, 0};
    (void)state;
    assert_int_equal(weir_tally_init(&tally, 10), WEIR_OK);
    assert_true(weir_tally_take(&tally, &next[0], 3));
    assert_false(weir_tally_take(&tally, &next[1], 3));
    assert_int_equal(tally.duplicated, 1);
    assert_int_equal(tally.had, 1);
    weir_tally_fini(&tally);
}

static void a_smaller_number_after_a_larger_one_is_reordered_for_one_consumer_only(void **state)
{
    weir_tally tally;
    uint64_t next[2] = {0, 0};
    (void)state;
    assert_int_equal(weir_tally_init(&tally, 10), WEIR_OK);
    weir_tally_take(&tally, &next[0], 5);
    weir_tally_take(&tally, &next[1], 2); /* another consumer's own order */
    assert_int_equal(tally.reordered, 0);
    weir_tally_take(&tally, &next[0], 4);
    assert_int_equal(tally.reordered, 1);
    weir_tally_fini(&tally);
}

static void a_number_beyond_the_capacity_is_alien(void **state)
{
    weir_tally tally;
    uint64_t next = 0;
    (void)state;
    assert_int_equal(weir_tally_init(&tally, 10), WEIR_OK);
    assert_false(weir_tally_take(&tally, &next, 10));
    assert_false(weir_tally_take(&tally, &next, UINT64_MAX));
    assert_int_equal(tally.alien, 2);
    assert_int_equal(weir_tally_lost(&tally, 12), 12);
    weir_tally_fini(&tally);
}

typedef struct worker {
    weir_tally *tally;
    uint64_t first;
} worker;

static void *every_fourth_and_the_first_hundred(void *arg)
{
    worker *own = arg;
    uint64_t next = 0;
    for (uint64_t i = 0; i < 100; i++) {
        weir_tally_take(own->tally, &next, i);
    }
    for (uint64_t i = 100 + own->first; i < MANY; i += CONSUMERS) {
        weir_tally_take(own->tally, &next, i);
    }
    return NULL;
}

static void threads_that_take_at_once_lose_no_count(void **state)
{
    weir_tally tally;
    worker workers[CONSUMERS];
    pthread_t threads[CONSUMERS];
    (void)state;
    assert_int_equal(weir_tally_init(&tally, MANY), WEIR_OK);
    for (uint64_t i = 0; i < CONSUMERS; i++) {
        workers[i] = (worker){&tally, i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, every_fourth_and_the_first_hundred, &workers[i]), 0);
    }
    for (size_t i = 0; i < CONSUMERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(tally.had, MANY);
    assert_int_equal(tally.duplicated, 100 * (CONSUMERS - 1));
    assert_int_equal(weir_tally_lost(&tally, MANY), 0);
    weir_tally_fini(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_two_consumers_share_is_neither_lost_nor_reordered),
        cmocka_unit_test(what_nobody_had_is_lost),
        cmocka_unit_test(a_message_given_to_two_consumers_is_duplicated),
        cmocka_unit_test(a_smaller_number_after_a_larger_one_is_reordered_for_one_consumer_only),
        cmocka_unit_test(a_number_beyond_the_capacity_is_alien),
        cmocka_unit_test(threads_that_take_at_once_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
