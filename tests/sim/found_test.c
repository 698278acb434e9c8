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

/* A full queue looked for expired records where it had ended, behind which a reset had gone back. */
static void a_reset_behind_a_look_for_expired_records_settles_nothing(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_CREATE, 0xe11f5ba32b2cb958},        {SIM_OP_CREATE, 0x39135205d0d94b28},
        {SIM_OP_CREATE, 0x6cb23344baadbb78},        {SIM_OP_CREDIT, 0x4927665fc233f307},
        {SIM_OP_PUBLISH, 0xf20d72cdd7769f},         {SIM_OP_PRODUCE_ONCE, 0xbae4f11917f1863e},
        {SIM_OP_PUBLISH, 0xede607c9fb5d9b65},       {SIM_OP_PASS, 0x1a81b13ac48b1a25},
        {SIM_OP_GROUP_ALTER, 0xf8c7e3a8d8d60120},   {SIM_OP_PUBLISH, 0x72c34431748e2d8f},
        {SIM_OP_GROUP_TAKE, 0x96ed428d96e7cc4e},    {SIM_OP_PUBLISH, 0xfe96295fa8b8ac5e},
        {SIM_OP_PUBLISH_NAMED, 0x3a34cb11a6d6b96a}, {SIM_OP_PUBLISH, 0x12a12db34c0c3a3d},
        {SIM_OP_PUBLISH, 0xf4b400395a20b133},       {SIM_OP_GROUP_TAKE, 0x9eba6a4643041a25},
        {SIM_OP_PUBLISH_KEYED, 0xd0205e8fc0b5ef8b}, {SIM_OP_PUBLISH, 0x8bb9b5769a5d526c},
        {SIM_OP_PUBLISH, 0x25985a056d36dcee},       {SIM_OP_GROUP_SETTLE, 0x87756712d607c82d},
        {SIM_OP_PASS, 0x719d16f49b9b7c78},          {SIM_OP_GROUP_SETTLE, 0x2a2b3166b6ba679},
        {SIM_OP_PUBLISH, 0x3abfba255343a624},       {SIM_OP_PASS, 0x627c110b406f2a05},
        {SIM_OP_GROUP_TAKE, 0x1deb81bbefaa736d},    {SIM_OP_BATCH, 0x1cec4aec8033ab0d},
        {SIM_OP_BATCH, 0x50c6995724c5f91e},         {SIM_OP_PUBLISH, 0x9665b36a6ad0ca9f},
        {SIM_OP_CREATE, 0x72b772661153a7d2},        {SIM_OP_GROUP_TAKE, 0x129369be164c0a11},
        {SIM_OP_PRODUCE_ONCE, 0x5f5c18622e97fbf2},  {SIM_OP_PUBLISH, 0xbd5f31a9657f03e4},
        {SIM_OP_CREATE, 0x15b06060c6653892},        {SIM_OP_PUBLISH, 0xd9749bc4bc1c7960},
        {SIM_OP_PUBLISH, 0x6e5581a3debb7f16},       {SIM_OP_LEVEL, 0x1144a17ad707e7e6},
        {SIM_OP_BATCH, 0x6d2c65ea713ab988},         {SIM_OP_PUBLISH, 0x46ae7e90c0ea23df},
        {SIM_OP_CUT_STRAIGHT, 0xebdab32c269d3f09},  {SIM_OP_BATCH, 0x60a59eea0e64994},
        {SIM_OP_PASS, 0x244d4873775e5a8e},          {SIM_OP_BATCH, 0x972ec86acdda2b88},
        {SIM_OP_PUBLISH, 0x62990fa6decb4bd3},       {SIM_OP_PUBLISH, 0xd77295ca2bc584a},
        {SIM_OP_CREDIT, 0x882d2ef8fd20f2b9},        {SIM_OP_PUBLISH, 0x22fff91c36cf3335},
        {SIM_OP_PASS, 0x7b571673a088ccdf},          {SIM_OP_PUBLISH, 0x57f444afd37bf37f},
        {SIM_OP_PASS, 0x90791ff0190ef253},          {SIM_OP_GROUP_RESET, 0x8852789e5c39c09d},
        {SIM_OP_PUBLISH_KEYED, 0x796dcc0d6650e29e},
    };
    (void)state;
    assert_holds(129, ops, sizeof(ops) / sizeof(ops[0]));
}

/* A member gave up what it was asked back of a topic whose making was not answered yet. The engine had
 * not heard that when it told it of the next generation, and gave the partition to another then. */
static void what_was_given_up_of_a_topic_in_the_making_is_not_had(void **state)
{
    const sim_op ops[] = {
        {SIM_OP_PRODUCE_ONCE, 0xa81fea7a92254cc8}, {SIM_OP_CREATE, 0x60936e0241876cc4},
        {SIM_OP_SETTLE, 0x52a5b25dd9d6cd48},       {SIM_OP_PUBLISH, 0xf12bdee3ca87da23},
        {SIM_OP_PUBLISH, 0x6453227983712e4a},      {SIM_OP_PUBLISH, 0xa11f3ede016f24b9},
        {SIM_OP_GROUP_CREATE, 0x5472771cfcba34dc}, {SIM_OP_GROUP_BEAT, 0xdfe48e82a686c16},
        {SIM_OP_PUBLISH, 0x8ddd22a04ad806c9},      {SIM_OP_GROUP_SETTLE, 0xe27146a21dfaaf54},
        {SIM_OP_PRODUCE_ONCE, 0x5e5a66112f900bb3}, {SIM_OP_GROUP_TAKE, 0x879e977d5e023d80},
        {SIM_OP_PUBLISH, 0x9bd8d0394c3cc804},      {SIM_OP_READ_FAILS, 0x3d7bf259e00acb81},
        {SIM_OP_CREDIT, 0x3f28aa4125f762b1},       {SIM_OP_PUBLISH, 0x8aed4abf2b0f3154},
        {SIM_OP_GROUP_SETTLE, 0xd61cccdfa8866e12}, {SIM_OP_GROUP_TAKE, 0xf75f028489769eff},
        {SIM_OP_BATCH, 0x2bcf8437165f3bb0},        {SIM_OP_GROUP_SETTLE, 0xac5fb42ea9a2c59},
        {SIM_OP_LEVEL, 0xca242d6b7ba31ef2},        {SIM_OP_PRODUCE_ONCE, 0xa09d149355e1ee80},
        {SIM_OP_GROUP_TAKE, 0xe96098cc19fd025f},   {SIM_OP_CREATE, 0xb7dc6ca06bcf75db},
        {SIM_OP_SETTLE, 0x376bc84280301f72},       {SIM_OP_CREATE, 0xca6ada373f128029},
        {SIM_OP_GROUP_SETTLE, 0x5650dea2c5f64fcc}, {SIM_OP_PUBLISH, 0x89ca887b533fe26f},
    };
    (void)state;
    assert_holds(81486, ops, sizeof(ops) / sizeof(ops[0]));
}

/* At the end of a run the last lease was over, and its record became a dead letter that another group
 * reads: settled in the one already, and not yet shown to the other. It takes the times of all of them. */
static void a_dead_letter_that_comes_at_the_end_is_handed_out(void **state)
{
    enum { OPERATIONS = 2000 };
    static sim_op ops[OPERATIONS];
    (void)state;
    sim_ops_make(36529, ops, OPERATIONS);
    assert_holds(36529, ops, OPERATIONS);
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
        cmocka_unit_test(a_reset_behind_a_look_for_expired_records_settles_nothing),
        cmocka_unit_test(what_was_given_up_of_a_topic_in_the_making_is_not_had),
        cmocka_unit_test(a_dead_letter_that_comes_at_the_end_is_handed_out),
    };
    weir_hash_seed(0x5eed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
