/* tests/unit/bench/account_test.c - the counts of bench/account.c against a plain list of numbers.
 */
#include "bench/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void in_order_nothing_is_counted(void **state)
{
    weir_account account = {0};
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(weir_account_take(&account, i));
    }
    assert_int_equal(weir_account_lost(&account, 1000), 0);
    assert_int_equal(account.duplicated + account.reordered, 0);
}

static void what_never_comes_is_lost_at_the_front_inside_and_at_the_end(void **state)
{
    weir_account account = {0};
    const uint64_t had[] = {2, 3, 6, 7};
    (void)state;
    for (size_t i = 0; i < sizeof(had) / sizeof(had[0]); i++) {
        assert_true(weir_account_take(&account, had[i]));
    }
    assert_int_equal(weir_account_missing(&account), 4);  /* 0 1 4 5 */
    assert_int_equal(weir_account_lost(&account, 10), 6); /* and 8 9 */
    assert_int_equal(account.duplicated + account.reordered, 0);
    weir_account_fini(&account);
}

static void a_late_one_is_reordered_and_not_lost(void **state)
{
    weir_account account = {0};
    (void)state;
    weir_account_take(&account, 4);
    assert_true(weir_account_take(&account, 2)); /* splits the gap */
    assert_true(weir_account_take(&account, 0));
    assert_true(weir_account_take(&account, 3));
    assert_int_equal(weir_account_missing(&account), 1);
    assert_true(weir_account_take(&account, 1));
    assert_int_equal(account.reordered, 4);
    assert_int_equal(account.gap_count, 0);
    assert_int_equal(weir_account_lost(&account, 5), 0);
    weir_account_fini(&account);
}

static void a_second_one_is_a_duplicate_wherever_it_comes(void **state)
{
    weir_account account = {0};
    (void)state;
    weir_account_take(&account, 0);
    weir_account_take(&account, 3);
    assert_false(weir_account_take(&account, 3));
    assert_false(weir_account_take(&account, 0));
    assert_true(weir_account_take(&account, 1));
    assert_false(weir_account_take(&account, 1));
    assert_int_equal(account.duplicated, 3);
    assert_int_equal(account.reordered, 1);
    assert_int_equal(weir_account_lost(&account, 4), 1);
    weir_account_fini(&account);
}

static void more_gaps_than_there_is_room_for_are_still_lost(void **state)
{
    weir_account account = {0};
    const uint64_t numbers = 4 * WEIR_ACCOUNT_GAPS_MAX;
    (void)state;
    for (uint64_t i = 1; i < numbers; i += 2) {
        weir_account_take(&account, i);
    }
    assert_int_equal(weir_account_lost(&account, numbers), numbers / 2); /* [C2] */
    assert_true(account.forgotten > 0);
    weir_account_fini(&account);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_nothing_is_counted),
        cmocka_unit_test(what_never_comes_is_lost_at_the_front_inside_and_at_the_end),
        cmocka_unit_test(a_late_one_is_reordered_and_not_lost),
        cmocka_unit_test(a_second_one_is_a_duplicate_wherever_it_comes),
        cmocka_unit_test(more_gaps_than_there_is_room_for_are_still_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
