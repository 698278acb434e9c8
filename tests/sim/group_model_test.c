/* What the rules of groups may count on: answers that come by several ports, late and in any order. */
#include "tests/sim/group_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 3 };

static sim_model the_model;
static model_group groups[MODEL_GROUPS];

/* A queue whose publishes are refused beyond its limit. */
static model_group *limited_queue(void)
{
    memset(&the_model, 0, sizeof(the_model));
    group_model_init(groups);
    model_group *group = &groups[MODEL_FREE_GROUPS];
    group->exists = GROUP_YES;
    group->model = WEIR_MODEL_QUEUE;
    group->limit = LIMIT;
    group->overflow = WEIR_OVERFLOW_REFUSE;
    group->limit_from = 1;
    return group;
}

static bool list_breaks(model_group *group, uint64_t pending, uint32_t list, uint32_t lists)
{
    weir_group_info info = {.fates[WEIR_FATE_PENDING] = pending};
    group_model_limits(group, &the_model, &info, list, lists);
    return the_model.failed;
}

static void what_was_listed_before_a_limit_was_met_breaks_nothing(void **state)
{
    model_group *group = limited_queue();
    (void)state;
    assert_false(list_breaks(group, LIMIT + 1, 1, 3)); /* the limit was lowered */
    assert_false(list_breaks(group, LIMIT, 3, 3));
    assert_false(list_breaks(group, LIMIT + 1, 2, 3)); /* it waited in its port */
    group_model_fini(groups);
}

static void a_queue_that_grows_beyond_a_limit_it_met_is_found(void **state)
{
    model_group *group = limited_queue();
    (void)state;
    assert_false(list_breaks(group, LIMIT, 1, 1));
    assert_false(list_breaks(group, LIMIT, 2, 2));
    assert_true(list_breaks(group, LIMIT + 1, 3, 3));
    group_model_fini(groups);
}

static void a_list_of_the_limit_before_does_not_meet_this_one(void **state)
{
    model_group *group = limited_queue();
    (void)state;
    group->limit_from = 2;
    assert_false(list_breaks(group, LIMIT, 1, 1));
    assert_false(list_breaks(group, LIMIT + 1, 2, 2));
    group_model_fini(groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_listed_before_a_limit_was_met_breaks_nothing),
        cmocka_unit_test(a_queue_that_grows_beyond_a_limit_it_met_is_found),
        cmocka_unit_test(a_list_of_the_limit_before_does_not_meet_this_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
