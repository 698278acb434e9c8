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

/* A topic's last batch went straight to its segment, set a retained value, and was replayed behind a
 * checkpoint that knew the topic as deleted: the value came back without a name. */
static void what_a_deleted_topic_retained_keeps_its_name(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_CREATE, 0xd37b6f07f767ae8d},        {SIM_OP_CREATE, 0xc3c4bf06d9cbaa81},
        {SIM_OP_PASS, 0xb6cdfed563c35aff},          {SIM_OP_FAST, 0x1fc5c94a71748ac9},
        {SIM_OP_SUBSCRIBE, 0x586dadae6870d0e2},     {SIM_OP_LEVEL, 0xf64fd51002d4dbab},
        {SIM_OP_PUBLISH, 0xec8fbd3cea59a04e},       {SIM_OP_SETTLE, 0x39cd632a5dc6a342},
        {SIM_OP_PUBLISH_KEYED, 0x98836f06930485e5}, {SIM_OP_PASS, 0x2bb4b7787871487a},
        {SIM_OP_PUBLISH_NAMED, 0xdd3e9e32601f7054}, {SIM_OP_CREDIT, 0x366ea8d1b12fdf3f},
        {SIM_OP_CREDIT, 0x34f9bb8582d355f2},        {SIM_OP_PUBLISH, 0x5528383d05a69c72},
        {SIM_OP_DELETE, 0xa8f16454d2049e1d},        {SIM_OP_CUT_STRAIGHT, 0x3bcef8fc7a7d0766},
    };
    (void)state;
    assert_holds(3038, ops, sizeof(ops) / sizeof(ops[0]));
}

/* What an owner that was replaced wrote has the number of what the new one did. */
static void a_file_whose_units_were_synced_had_a_head(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_CREATE, 0xa6d0379a82b7c13e},
        {SIM_OP_PUBLISH, 0x5a20398740e255a8},
        {SIM_OP_TAKE_OVER, 0x8a3afe08d9430232},
        {SIM_OP_FLIP_JOURNAL, 0x34a0cb254810bdf3},
    };
    (void)state;
    assert_holds(3135, ops, sizeof(ops) / sizeof(ops[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_directory_itself_survives_a_power_cut),
        cmocka_unit_test(a_mark_that_was_never_synced_is_no_damage),
        cmocka_unit_test(a_start_that_died_behind_its_new_head_loses_nothing),
        cmocka_unit_test(an_alteration_of_nothing_is_answered),
        cmocka_unit_test(a_file_whose_units_were_synced_had_a_head),
        cmocka_unit_test(what_comes_to_a_segment_as_it_closes_is_compacted_too),
        cmocka_unit_test(what_a_deleted_topic_retained_keeps_its_name),
    };
    weir_hash_seed(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
