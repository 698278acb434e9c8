/* The named places cost nothing while nothing is armed, and reach the hook when something is. */
#include "core/env/failpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static weir_err count(void *arg, weir_failpoint point)
{
    unsigned *counts = arg;
    counts[point]++;
    return point == WEIR_FAILPOINT_checkpoint_written ? WEIR_IO : WEIR_OK;
}

static void a_place_reaches_the_hook_only_while_it_is_armed(void **state)
{
    unsigned counts[WEIR_FAILPOINT_COUNT] = {0};
    (void)state;
    assert_int_equal(WEIR_FAILPOINT(checkpoint_written), WEIR_OK);
    weir_failpoint_arm(count, counts);
    assert_int_equal(WEIR_FAILPOINT(checkpoint_written), WEIR_IO);
    assert_int_equal(WEIR_FAILPOINT(flush_appended), WEIR_OK);
    weir_failpoint_arm(NULL, NULL);
    assert_int_equal(WEIR_FAILPOINT(checkpoint_written), WEIR_OK);
    assert_int_equal(counts[WEIR_FAILPOINT_checkpoint_written], 1);
    assert_int_equal(counts[WEIR_FAILPOINT_flush_appended], 1);
}

static void every_place_has_a_name_of_its_own_and_says_where_it_stands(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        assert_true(strlen(weir_failpoint_name((weir_failpoint)i)) > 0);
        const char *where = weir_failpoint_where((weir_failpoint)i);
        assert_true(strncmp(where, "after ", 6) == 0 || strncmp(where, "before ", 7) == 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(weir_failpoint_name((weir_failpoint)i),
                                    weir_failpoint_name((weir_failpoint)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_reaches_the_hook_only_while_it_is_armed),
        cmocka_unit_test(every_place_has_a_name_of_its_own_and_says_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
