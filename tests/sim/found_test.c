/* What seeds found, as the shortest lists that broke a rule before the fix of the same commit. */
#include "tests/sim/sim.h"

#include "core/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_holds(uint64_t seed, const sim_op *ops, uint32_t count)
{
    static sim_result result;
    sim_run(seed, ops, count, false, &result);
    if (result.failed) {
        fail_msg("%s", result.fault);
    }
}

static void the_data_directory_itself_survives_a_power_cut(void **state)
{
    const sim_op ops[] = {{SIM_OP_POWER_CUT, 1}, {SIM_OP_POWER_CUT, 2}, {SIM_OP_POWER_CUT, 3}};
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        assert_holds(seed, ops, 3);
    }
}

static void a_mark_that_was_never_synced_is_no_damage(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_TAKE_OVER, 0x10aa3003f5fb0981},
        {SIM_OP_POWER_CUT, 0xf64ac50774c7d640},
    };
    (void)state;
    assert_holds(10, ops, 2);
}

static void a_start_that_died_behind_its_new_head_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300;
         seed += WEIR_UNIT_THIN) { /* each recovery may die in any call */
        const sim_op ops[] = {
            {SIM_OP_CREATE, seed}, {SIM_OP_SETTLE, 1},       {SIM_OP_KILL, seed},
            {SIM_OP_KILL, seed},   {SIM_OP_POWER_CUT, seed},
        };
        assert_holds(seed, ops, 5);
    }
}

static void an_alteration_of_nothing_is_answered(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_CREATE, 0xcae77a385258139b}, {SIM_OP_CREATE, 0x357927936e4933f1},
        {SIM_OP_CREATE, 0x4f01f1a9c3fd7750}, {SIM_OP_CREATE, 0x932131515878adeb},
        {SIM_OP_CREATE, 0x45b24f888b71cde3}, {SIM_OP_CREATE, 0x2241728901b722ea},
        {SIM_OP_ALTER, 0x5ffcb542f3881958},
    };
    (void)state;
    assert_holds(172, ops, 7);
}

/* A segment was closed while a batch was on its way straight to it, and compacted without it. No
 * short list does that: it takes the times of all of them. */
static void what_comes_to_a_segment_as_it_closes_is_compacted_too(void **state)
{
    enum { OPERATIONS = 2000 };
    static sim_op ops[OPERATIONS];
    (void)state;
    sim_ops_make(679, ops, OPERATIONS);
    assert_holds(679, ops, OPERATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_directory_itself_survives_a_power_cut),
        cmocka_unit_test(a_mark_that_was_never_synced_is_no_damage),
        cmocka_unit_test(a_start_that_died_behind_its_new_head_loses_nothing),
        cmocka_unit_test(an_alteration_of_nothing_is_answered),
        cmocka_unit_test(what_comes_to_a_segment_as_it_closes_is_compacted_too),
    };
    weir_hash_seed(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
