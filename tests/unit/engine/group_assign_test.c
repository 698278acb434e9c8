/* tests/unit/engine/group_assign_test.c - partitions are divided evenly, and few are moved. */
#include "core/engine/assign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PARTS_MAX = 200, MEMBERS_MAX = 40, ROUNDS = 20000 };

static uint32_t scratch[WEIR_ASSIGN_SCRATCH * MEMBERS_MAX];

static uint32_t state_of_chance = 1;
static uint32_t chance(uint32_t below)
{
    state_of_chance = state_of_chance * 1664525u + 1013904223u;
    return (state_of_chance >> 8) % below;
}

static void counts_of(const weir_assign_part *parts, uint32_t count, uint32_t *counts)
{
    memset(counts, 0, MEMBERS_MAX * sizeof(*counts));
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].target != WEIR_ASSIGN_NOBODY) {
            counts[parts[i].target]++;
        }
    }
}

static void without_members_nobody_gets_any(void **state)
{
    weir_assign_part parts[2] = {{WEIR_ASSIGN_NOBODY, WEIR_ASSIGN_NOBODY}, {0, 0}};
    (void)state;
    weir_assign(parts, 2, 0, scratch);
    assert_int_equal(parts[0].target, WEIR_ASSIGN_NOBODY);
    assert_int_equal(parts[1].target, WEIR_ASSIGN_NOBODY);
}

static void one_member_gets_all(void **state)
{
    weir_assign_part parts[5];
    (void)state;
    memset(parts, 0xff, sizeof(parts));
    weir_assign(parts, 5, 1, scratch);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(parts[i].target, 0);
    }
}

static void a_second_member_takes_every_second_partition(void **state)
{
    weir_assign_part parts[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        parts[i] = (weir_assign_part){0, 0};
    }
    weir_assign(parts, 8, 2, scratch);
    for (uint32_t i = 0; i < 8; i++) { /* two topics of four: two of each move */
        assert_int_equal(parts[i].target, i % 2);
    }
}

static void members_beyond_the_partitions_are_idle(void **state)
{
    weir_assign_part parts[2] = {{0, 0}, {1, 1}};
    (void)state;
    weir_assign(parts, 2, 4, scratch);
    assert_int_equal(parts[0].target, 0);
    assert_int_equal(parts[1].target, 1);
}

static void what_is_not_owned_yet_moves_first(void **state)
{
    /* 0 has two and was to get two more of 1, who is to have none of them: 2 joins. */
    weir_assign_part parts[4] = {{0, 0}, {0, 0}, {1, 0}, {1, 0}};
    (void)state;
    weir_assign(parts, 4, 2, scratch);
    assert_int_equal(parts[0].target, 0);
    assert_int_equal(parts[1].target, 0);
    assert_int_equal(parts[2].target, 1);
    assert_int_equal(parts[3].target, 1);
}

static void a_partition_whose_target_left_stays_with_its_owner(void **state)
{
    weir_assign_part parts[2] = {{0, WEIR_ASSIGN_NOBODY}, {1, 1}};
    (void)state;
    weir_assign(parts, 2, 2, scratch);
    assert_int_equal(parts[0].target, 0);
    assert_int_equal(parts[1].target, 1);
}

/* The fewest that any balanced assignment moves: those without a holder, and what is over when the
 * largest holders keep one more. */
static uint32_t least_moved(const uint32_t *held, uint32_t members, uint32_t parts)
{
    uint32_t share = parts / members;
    uint32_t over = parts % members;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < members; i++) {
        bool more = held[i] > share && over > 0;
        uint32_t quota = share + (more ? 1 : 0);
        over -= more ? 1 : 0;
        kept += held[i] < quota ? held[i] : quota;
    }
    return parts - kept;
}

static void any_division_is_balanced_and_moves_the_fewest(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        weir_assign_part parts[PARTS_MAX];
        uint32_t before[PARTS_MAX], held[MEMBERS_MAX], counts[MEMBERS_MAX];
        uint32_t count = chance(PARTS_MAX + 1);
        uint32_t members = 1 + chance(MEMBERS_MAX);
        state_of_chance = round * 2654435761u + 1;
        for (uint32_t i = 0; i < count; i++) {
            parts[i].owner = chance(3) == 0 ? WEIR_ASSIGN_NOBODY : chance(members);
            parts[i].target = chance(4) == 0   ? WEIR_ASSIGN_NOBODY
                              : chance(2) == 0 ? parts[i].owner
                                               : chance(1 + chance(members));
            before[i] = parts[i].target == WEIR_ASSIGN_NOBODY ? parts[i].owner : parts[i].target;
        }
        memset(held, 0, sizeof(held));
        for (uint32_t i = 0; i < count; i++) {
            if (before[i] != WEIR_ASSIGN_NOBODY) {
                held[before[i]]++;
            }
        }
        weir_assign(parts, count, members, scratch);
        counts_of(parts, count, counts);
        uint32_t least = UINT32_MAX, most = 0, moved = 0;
        for (uint32_t i = 0; i < members; i++) {
            least = counts[i] < least ? counts[i] : least;
            most = counts[i] > most ? counts[i] : most;
        }
        for (uint32_t i = 0; i < count; i++) {
            assert_true(parts[i].target < members);
            moved += parts[i].target != before[i] ? 1 : 0;
        }
        if (most - least > 1 || moved != least_moved(held, members, count)) {
            fail_msg("round %u: %u to %u partitions each, %u moved", round, least, most, moved);
        }
    }
}

static void a_balanced_division_does_not_change(void **state)
{
    (void)state;
    weir_assign_part parts[PARTS_MAX];
    memset(parts, 0xff, sizeof(parts));
    weir_assign(parts, PARTS_MAX, 7, scratch);
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        parts[i].owner = parts[i].target;
    }
    weir_assign(parts, PARTS_MAX, 7, scratch);
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        assert_int_equal(parts[i].target, parts[i].owner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_members_nobody_gets_any),
        cmocka_unit_test(one_member_gets_all),
        cmocka_unit_test(a_second_member_takes_every_second_partition),
        cmocka_unit_test(members_beyond_the_partitions_are_idle),
        cmocka_unit_test(what_is_not_owned_yet_moves_first),
        cmocka_unit_test(a_partition_whose_target_left_stays_with_its_owner),
        cmocka_unit_test(any_division_is_balanced_and_moves_the_fewest),
        cmocka_unit_test(a_balanced_division_does_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
