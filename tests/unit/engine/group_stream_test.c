/* tests/unit/engine/group_stream_test.c - stream groups: who owns what, what is handed out, what is
 * committed, and what is left of it after a kill. */
#include "tests/unit/engine/group_box.h"

static group_fixture g;

static void begin(const char *topic, uint32_t partitions, const char *group)
{
    group_begin(&g);
    declare_many(g.b.port, topic, partitions, WEIR_LEVEL_DISK);
    assert_int_equal(group_create(g.b.port, group, topic, WEIR_MODEL_STREAM), WEIR_OK);
}

static void publish_values(const char *topic, int from, int to)
{
    char value[16];
    for (int i = from; i < to; i++) {
        snprintf(value, sizeof(value), "%d", i);
        box_publish(&g.b, topic, value);
    }
}

static void mode_is(const char *group, weir_mode mode)
{
    weir_group_options change = {.mode = mode};
    assert_int_equal(group_alter(g.b.port, group, &change), WEIR_OK);
}

/* ---- Ownership -------------------------------------------------------------------------------- */

static void the_first_member_owns_everything(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 3, "g");
    member_join(&a, &g.b, "g", "a");
    assigned_text text = member_assigned(&a);
    assert_string_equal(text.owned, "t/0 t/1 t/2 ");
    assert_int_equal(text.revoked_count, 0);
    assert_int_equal(text.generation, 1);
    group_end(&g);
}

static void a_partition_moves_when_its_owner_gave_it_up(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    assigned_text text = member_assigned(&b);
    assert_int_equal(text.owned_count, 0); /* not yet */
    text = member_assigned(&a);
    assert_string_equal(text.owned, "t/0 ");
    assert_string_equal(text.revoked, "t/1 ");
    box_none(&g.b, WEIR_COMPLETION_ASSIGNED, &b);
    member_revoked(&a);
    text = member_assigned(&b);
    assert_string_equal(text.owned, "t/1 ");
    assert_int_equal(text.generation, 2);
    group_end(&g);
}

static void auto_revoke_gives_up_at_once(void **state)
{
    joined_member a = {0}, b;
    weir_join join = {.group = weir_bytes_of("g"), .auto_revoke = true};
    (void)state;
    begin("t", 2, "g");
    assert_int_equal(member_join_with(&a, &g.b, &join), WEIR_OK);
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    assigned_text text = member_assigned(&a);
    assert_string_equal(text.revoked, "t/1 ");
    text = member_assigned(&b);
    if (text.owned_count == 0) {
        text = member_assigned(&b);
    }
    assert_string_equal(text.owned, "t/1 ");
    group_end(&g);
}

static void members_beyond_the_partitions_are_shown_idle(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    assert_int_equal(member_assigned(&b).owned_count, 0);
    weir_completion done = group_of(g.b.port, "g");
    assert_int_equal(done.groups.groups[0].member_count, 2);
    assert_int_equal(done.groups.groups[0].members[0].partitions, 1);
    assert_int_equal(done.groups.groups[0].members[1].partitions, 0);
    assert_true(weir_bytes_equal(done.groups.groups[0].members[1].name, weir_bytes_of("b")));
    weir_completion_drop(&done);
    group_end(&g);
}

static void what_a_member_that_left_had_goes_to_the_others(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_assigned(&a);
    member_leave(&a, true);
    assert_string_equal(member_owns(&b, 2).owned, "t/0 t/1 ");
    group_end(&g);
}

static void a_commit_of_nothing_names_a_partition_that_is_there(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    assert_int_equal(member_commits(&a, "t", 0, -1), WEIR_OK);
    assert_int_equal(member_commits(&a, "t", 1, -1), WEIR_NOT_FOUND);
    assert_int_equal(member_commits(&a, "nope", 0, -1), WEIR_NOT_FOUND);
    publish_values("t", 0, 2);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_OK);
    assert_int_equal(member_commits(&a, "t", 0, -1), WEIR_OK);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 2);
    group_end(&g);
}

static void a_silent_member_is_out_and_told_so(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    publish_values("t", 0, 2);
    member_takes(&a, 1, "0:0=0 ");
    life_turn_clock(40000);
    member_beat(&b);
    weir_port_step(g.b.port);
    life_turn_clock(6000);
    assert_true(member_fenced(&a));
    assert_string_equal(member_owns(&b, 1).owned, "t/0 ");
    member_takes(&b, 1, "0:0=0 "); /* it had not been acknowledged */
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_LEASE_LOST);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 0);
    member_take_send(&a, 1, 0);
    char text[64];
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_LEASE_LOST);
    member_leave(&a, true);
    group_end(&g);
}

static void a_member_whose_take_waits_is_alive(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    weir_group_options change = {.session_ms = 1000};
    assert_int_equal(group_alter(g.b.port, "g", &change), WEIR_OK);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 1, 30000);
    for (int i = 0; i < 10; i++) {
        weir_port_step(g.b.port);
        life_turn_clock(900);
    }
    box_none(&g.b, WEIR_COMPLETION_ASSIGNED, &a);
    publish_values("t", 0, 1);
    char text[64];
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, "0:0=0 ");
    group_end(&g);
}

static void a_static_member_comes_again_and_nothing_moves(void **state)
{
    joined_member a = {0}, b, c = {0};
    weir_join join = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("one")};
    (void)state;
    begin("t", 2, "g");
    assert_int_equal(member_join_with(&a, &g.b, &join), WEIR_OK);
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_assigned(&a);
    member_revoked(&a);
    assert_string_equal(member_assigned(&b).owned, "t/1 ");
    member_leave(&a, true);
    box_none(&g.b, WEIR_COMPLETION_ASSIGNED, &b);
    assert_int_equal(member_join_with(&c, &g.b, &join), WEIR_OK);
    assert_string_equal(member_assigned(&c).owned, "t/0 ");
    box_none(&g.b, WEIR_COMPLETION_ASSIGNED, &b);
    group_end(&g);
}

static void a_static_member_that_stays_away_loses_its_place(void **state)
{
    joined_member a = {0}, b;
    weir_join join = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("one")};
    (void)state;
    begin("t", 1, "g");
    assert_int_equal(member_join_with(&a, &g.b, &join), WEIR_OK);
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_leave(&a, false);
    life_turn_clock(44000);
    member_beat(&b);
    box_none(&g.b, WEIR_COMPLETION_ASSIGNED, &b);
    life_turn_clock(2000);
    assert_string_equal(member_assigned(&b).owned, "t/0 ");
    group_end(&g);
}

static void a_second_one_of_the_same_instance_fences_the_first(void **state)
{
    joined_member a = {0}, c = {0};
    weir_join join = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("one")};
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 2);
    assert_int_equal(member_join_with(&a, &g.b, &join), WEIR_OK);
    member_assigned(&a);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    assert_int_equal(member_join_with(&c, &g.b, &join), WEIR_OK);
    assert_true(member_assigned(&a).fenced);
    assert_string_equal(member_assigned(&c).owned, "t/0 ");
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_LEASE_LOST);
    member_takes(&c, 2, "0:0=0 0:1=1 ");
    assert_int_equal(member_commits(&c, "t", 0, 1), WEIR_OK);
    group_end(&g);
}

static void a_partition_asked_back_is_handed_out_to_nobody(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_assigned(&a);    /* asked for t/1 */
    member_leave(&b, true); /* it is meant for a again, which may have given it up already */
    for (int i = 0; i < 4; i++) {
        publish_values("t", i, i + 1);
    }
    char text[256];
    member_take_send(&a, 100, 0);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    assert_null(strstr(text, "1:"));
    member_revoked(&a);
    member_owns(&a, 2);
    group_end(&g);
}

static void who_never_gives_up_is_out(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_assigned(&a);
    for (int i = 0; i < 11; i++) {
        life_turn_clock(30000);
        member_beat(&a);
        member_beat(&b);
        weir_port_step(g.b.port);
    }
    assert_true(member_fenced(&a));
    member_owns(&b, 2);
    group_end(&g);
}

static void what_was_asked_for_and_taken_back_costs_nobody_its_place(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_leave(&b, true); /* as a rule before anybody was told of its generation */
    for (int i = 0; i < 11; i++) {
        life_turn_clock(30000);
        member_beat(&a);
        (void)weir_port_wait(g.b.port, 1);
        box_fill(&g.b);
        for (uint32_t k = 0; k < g.b.count; k++) {
            if (g.b.kept[k].type == WEIR_COMPLETION_ASSIGNED) {
                assert_false(g.b.kept[k].assigned.fenced);
                if (g.b.kept[k].assigned.revoked_count > 0) {
                    a.generation = g.b.kept[k].assigned.generation;
                    member_revoked(&a);
                }
            }
        }
    }
    group_end(&g);
}

static void a_new_topic_of_the_filter_is_read_from_its_beginning(void **state)
{
    joined_member a;
    (void)state;
    group_begin(&g);
    assert_int_equal(group_create_filter(g.b.port, "g", "x/#", WEIR_MODEL_STREAM), WEIR_OK);
    member_join(&a, &g.b, "g", "a");
    assert_int_equal(member_assigned(&a).owned_count, 0);
    box_declare(&g.b, "x/one");
    box_publish(&g.b, "x/one", "0");
    assert_string_equal(member_owns(&a, 1).owned, "x/one/0 ");
    member_takes(&a, 10, "0:0=0 ");
    assert_int_equal(weir_port_topic_delete(g.b.port, weir_bytes_of("x/one"), NULL, 8), WEIR_OK);
    weir_completion done = box_wait(&g.b, WEIR_COMPLETION_TOPIC, NULL);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    member_owns(&a, 0);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_TOPIC_DELETED), 1);
    group_end(&g);
}

/* ---- Takes and commits ------------------------------------------------------------------------ */

static void what_is_acknowledged_is_not_handed_out_again(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 5);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_OK);
    member_leave(&a, true);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_takes(&b, 10, "0:2=2 0:3=3 0:4=4 ");
    group_adds_up(g.b.port, "g");
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 2);
    group_end(&g);
}

static void a_commit_beyond_what_was_handed_is_refused(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 5);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    assert_int_equal(member_commits(&a, "t", 0, 2), WEIR_INVALID);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 0);
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_OK);
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_OK); /* lower: nothing happens */
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 2);
    group_end(&g);
}

static void only_the_owner_commits(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 2);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    assert_int_equal(member_commits(&b, "t", 0, 0), WEIR_LEASE_LOST);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 0);
    weir_completion done = group_of(g.b.port, "g");
    assert_int_equal(done.groups.groups[0].late_refused, 1);
    weir_completion_drop(&done);
    group_end(&g);
}

static void a_commit_of_an_older_ownership_changes_nothing(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 2, "g");
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    uint64_t first = member_assigned(&a).generation;
    member_take_send(&a, 10, 1000);
    char text[256];
    member_taken(&a, text, sizeof(text));
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_assigned(&a);
    member_revoked(&a); /* t/1 is b's */
    member_assigned(&b);
    member_leave(&b, true);
    while (member_assigned(&a).owned_count < 2) {
    }
    a.generation = first; /* a word that was on its way all the time */
    int64_t handed = 1;
    assert_int_equal(member_commits(&a, "t", 1, handed - 1), WEIR_LEASE_LOST);
    assert_int_equal(group_partition(g.b.port, "g", 1).committed, 0);
    group_end(&g);
}

static void takes_go_round_the_partitions(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 2, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        publish_key(g.b.port, "t", key, "v");
    }
    char text[256], before = 0;
    for (int i = 0; i < 10; i++) {
        member_take_send(&a, 2, 1000);
        member_taken(&a, text, sizeof(text));
        assert_true(text[0] != before);
        before = text[0];
    }
    group_end(&g);
}

static void a_take_waits_for_a_record(void **state)
{
    joined_member a;
    char text[256];
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 10, 30000);
    box_none(&g.b, WEIR_COMPLETION_TAKEN, &a);
    weir_take again = {.records_max = 1, .bytes_max = 1};
    assert_int_equal(weir_port_take(g.b.port, a.member, &again, &a, 1), WEIR_OK);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_PROTOCOL);
    publish_values("t", 0, 1);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, "0:0=0 ");
    member_take_send(&a, 10, 20000);
    box_none(&g.b, WEIR_COMPLETION_TAKEN, &a);
    life_turn_clock(20001);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, "");
    member_take_send(&a, 10, 30000);
    assert_int_equal(weir_port_take_cancel(g.b.port, a.member), WEIR_OK);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    group_end(&g);
}

static void who_waits_has_a_record_before_its_publisher_is_answered(void **state)
{
    joined_member a;
    weir_publish record = {.name = WEIR_TEXT("t"), .value = WEIR_TEXT("0")};
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 1, 30000);
    box_none(&g.b, WEIR_COMPLETION_TAKEN, &a);
    assert_int_equal(weir_port_publish(g.b.port, &record, NULL, 0), WEIR_OK);
    weir_completion first = next_of(g.b.port, WEIR_COMPLETION_TAKEN);
    assert_int_equal(first.taken.run_count, 1);
    weir_completion second = next_of(g.b.port, WEIR_COMPLETION_PUBLISH);
    weir_completion_drop(&first);
    weir_completion_drop(&second);
    group_end(&g);
}

static void metadata_is_kept_with_the_commit_over_a_kill(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 3);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    weir_settle_range range = {.topic = weir_bytes_of("t"), .first = 1, .last = 1};
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                          .ranges = &range,
                          .range_count = 1,
                          .generation = a.generation,
                          .metadata = weir_bytes_of("page 7")};
    weir_completion done = member_settles(&a, &settle);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.settled.records, 2);
    assert_int_equal(done.settled.level, WEIR_LEVEL_DISK);
    for (int i = 0; i < 3; i++) {
        weir_completion told = group_of(g.b.port, "g");
        assert_true(weir_bytes_equal(told.groups.groups[0].partitions[0].metadata,
                                     weir_bytes_of("page 7")));
        assert_int_equal(told.groups.groups[0].partitions[0].committed, 2);
        assert_int_equal(told.groups.groups[0].fates[WEIR_FATE_ACCEPTED], 2);
        weir_completion_drop(&told);
        if (i == 0) {
            group_kill(&g);
        } else if (i == 1) {
            group_restart(&g);
        }
    }
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void at_least_once_hands_out_again_after_a_kill(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_OK);
    group_kill(&g);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 10, "0:1=1 0:2=2 0:3=3 ");
    group_end(&g);
}

static void at_most_once_never_hands_out_again(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    mode_is("g", WEIR_MODE_AT_MOST_ONCE);
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    group_kill(&g);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 3);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 10, "0:3=3 ");
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void at_most_once_a_commit_of_what_is_committed_changes_nothing(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    mode_is("g", WEIR_MODE_AT_MOST_ONCE);
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_OK);
    assert_int_equal(member_commits(&a, "t", 0, 2), WEIR_OK);
    assert_int_equal(member_commits(&a, "t", 0, 3), WEIR_NOT_OFFERED); /* nobody was handed it */
    assert_int_equal(member_rejects(&a, "t", 0, 1, "bad"), WEIR_NOT_OFFERED);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 3);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 3);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_REJECTED), 0);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void client_commit_takes_any_offset_of_any_member(void **state)
{
    joined_member a, b;
    (void)state;
    begin("t", 1, "g");
    mode_is("g", WEIR_MODE_CLIENT_COMMIT);
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_join(&b, &g.b, "g", "b");
    member_assigned(&b);
    member_takes(&a, 1, "0:0=0 ");
    assert_int_equal(member_commits(&b, "t", 0, 2), WEIR_OK);
    assert_int_equal(member_commits(&b, "t", 0, 4), WEIR_INVALID);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 3);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void a_new_mode_waits_for_what_was_handed_out(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 2, "0:0=0 0:1=1 ");
    mode_is("g", WEIR_MODE_AT_MOST_ONCE);
    member_takes_nothing(&a);
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_OK);
    member_takes_nothing(&a);
    member_take_send(&a, 10, 30000);
    box_none(&g.b, WEIR_COMPLETION_TAKEN, &a);
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_OK);
    char text[64];
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, "0:2=2 0:3=3 ");
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 4);
    group_end(&g);
}

static void a_release_hands_out_again(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 3);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    weir_settle_range range = {.topic = weir_bytes_of("t"), .first = 1, .last = 2};
    weir_settle settle = {
        .verb = WEIR_VERB_RELEASE, .ranges = &range, .range_count = 1, .generation = a.generation};
    assert_int_equal(member_settles(&a, &settle).err, WEIR_OK);
    member_takes(&a, 3, "0:1=1 0:2=2 ");
    group_end(&g);
}

static void a_reject_without_a_dead_letter_topic_is_a_fate(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    publish_values("t", 0, 3);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    assert_int_equal(member_rejects(&a, "t", 0, 1, "bad"), WEIR_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_REJECTED), 1);
        assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 1);
        assert_int_equal(group_partition(g.b.port, "g", 0).committed, 2);
        group_adds_up(g.b.port, "g");
        group_kill(&g);
    }
    group_end(&g);
}

/* ---- What is no record ------------------------------------------------------------------------ */

static void records_that_do_not_match_are_passed_over(void **state)
{
    joined_member a;
    (void)state;
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(group_create_filter(g.b.port, "g", "t/+/up", WEIR_MODEL_STREAM), WEIR_OK);
    const char *keys[] = {"a/up", "a/down", "b/up", "b/down", "c/down"};
    for (int i = 0; i < 5; i++) {
        publish_key(g.b.port, "t", keys[i], keys[i]);
    }
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 10, "0:0=a/up 0:2=b/up ");
    assert_int_equal(member_commits(&a, "t", 0, 0), WEIR_OK);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 2);
    assert_int_equal(member_commits(&a, "t", 0, 2), WEIR_OK);
    for (int i = 0; i < 2; i++) {
        weir_group_partition partition = group_partition(g.b.port, "g", 0);
        assert_int_equal(partition.committed, 5);
        assert_int_equal(partition.lag, 0);
        assert_int_equal(partition.fates[WEIR_FATE_ACCEPTED], 2);
        assert_int_equal(partition.fates[WEIR_FATE_PENDING], 0);
        group_kill(&g);
    }
    group_end(&g);
}

static void a_stretch_without_a_match_is_committed_by_itself(void **state)
{
    joined_member a;
    (void)state;
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(group_create_filter(g.b.port, "g", "t/none", WEIR_MODEL_STREAM), WEIR_OK);
    for (int i = 0; i < 1100; i++) {
        publish_key(g.b.port, "t", "other", "v");
    }
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes_nothing(&a);
    weir_group_partition partition = group_partition(g.b.port, "g", 0);
    assert_int_equal(partition.committed, 1100);
    assert_int_equal(partition.fates[WEIR_FATE_PENDING], 0);
    group_end(&g);
}

static void begin_cold(const char *dead_letter);

static void cold_records_are_read_by_a_job(void **state)
{
    joined_member a;
    (void)state;
    begin_cold(NULL);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    int64_t next = 0;
    while (next < 40) {
        weir_take take = {.records_max = 7, .bytes_max = 1 << 20, .wait_ms = 0};
        assert_int_equal(weir_port_take(g.b.port, a.member, &take, &a, 1), WEIR_OK);
        weir_completion done = box_wait(&g.b, WEIR_COMPLETION_TAKEN, &a);
        assert_int_equal(done.err, WEIR_OK);
        assert_true(done.taken.run_count > 0);
        for (uint32_t i = 0; i < done.taken.run_count; i++) {
            weir_record record;
            weir_chunk_record(done.taken.runs[i].chunk, done.taken.runs[i].first, &record);
            assert_int_equal(record.offset, next);
            next += done.taken.runs[i].count;
        }
        weir_completion_drop(&done);
    }
    group_end(&g);
}

static void what_compaction_removed_is_superseded(void **state)
{
    joined_member a;
    weir_topic_options compact = {.partitions = 1, .cleanup = WEIR_CLEANUP_COMPACT};
    weir_group_options change = {.expiry_ms = -1};
    int64_t last = -1;
    (void)state;
    group_begin(&g);
    assert_int_equal(declare_with(g.b.port, "t", compact), WEIR_OK);
    assert_int_equal(group_create(g.b.port, "g", "t", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(group_alter(g.b.port, "g", &change), WEIR_OK);
    for (int i = 0; i < 300; i++) {
        char key[16], value[300];
        snprintf(key, sizeof(key), "k%d", i % 10);
        snprintf(value, sizeof(value), "%d %250s", i, "");
        publish_key(g.b.port, "t", key, value);
    }
    life_checkpoints(&g.l, 1);
    life_until_compacted(&g.l, 1);
    group_restart(&g); /* what is read are the segments */
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    for (;;) {
        weir_take take = {.records_max = 7, .bytes_max = 1 << 20};
        assert_int_equal(weir_port_take(g.b.port, a.member, &take, &a, 1), WEIR_OK);
        weir_completion done = box_wait(&g.b, WEIR_COMPLETION_TAKEN, &a);
        assert_int_equal(done.err, WEIR_OK);
        for (uint32_t i = 0; i < done.taken.run_count; i++) {
            const weir_handed *run = &done.taken.runs[i];
            for (uint32_t r = 0; r < run->count; r++) {
                weir_record record;
                weir_chunk_record(run->chunk, run->first + r, &record);
                assert_true(record.offset > last);
                last = record.offset;
            }
        }
        bool end = done.taken.run_count == 0;
        weir_completion_drop(&done);
        if (end) {
            break;
        }
        assert_int_equal(member_commits(&a, "t", 0, last), WEIR_OK);
        group_adds_up(g.b.port, "g");
    }
    weir_group_partition now = group_partition(g.b.port, "g", 0);
    assert_int_equal(now.committed, 300);
    assert_int_equal(now.lag, 0);
    assert_true(now.fates[WEIR_FATE_SUPERSEDED] > 0);
    group_kill(&g);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_SUPERSEDED),
                     now.fates[WEIR_FATE_SUPERSEDED]);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

/* Forty records of 1,000 bytes that are in segments alone. */
static void begin_cold(const char *dead_letter)
{
    weir_bytes topics[] = {weir_bytes_of("t")};
    weir_group_options options = {.model = WEIR_MODEL_STREAM,
                                  .dead_letter = weir_bytes_of(dead_letter),
                                  .topics = topics,
                                  .topic_count = 1,
                                  .expiry_ms = -1};
    weir_topic_options for_ever = {.retention_ms = WEIR_UNLIMITED};
    int number = 0;
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    declare(g.b.port, "dead", WEIR_LEVEL_DISK);
    assert_int_equal(life_alter(&g.l, "t", for_ever), WEIR_OK);
    assert_int_equal(group_create_with(g.b.port, "g", &options), WEIR_OK);
    life_fill(&g.l, "t", 40, 1000, &number);
    life_checkpoints(&g.l, 1);
    group_restart(&g);
}

/* Takes until so many were taken. */
static void take_cold(joined_member *a, uint32_t wanted)
{
    for (uint32_t taken = 0; taken < wanted;) {
        weir_take take = {.records_max = wanted - taken, .bytes_max = 1 << 20, .wait_ms = 30000};
        assert_int_equal(weir_port_take(g.b.port, a->member, &take, a, 1), WEIR_OK);
        weir_completion done = box_wait(&g.b, WEIR_COMPLETION_TAKEN, a);
        assert_int_equal(done.err, WEIR_OK);
        for (uint32_t i = 0; i < done.taken.run_count; i++) {
            taken += done.taken.runs[i].count;
        }
        weir_completion_drop(&done);
    }
}

static void what_is_damaged_is_passed_over_and_has_a_fate(void **state)
{
    joined_member a;
    char command[512];
    (void)state;
    begin_cold(NULL);
    box_drop(&g.b);
    fixture_close(&g.l.f);
    snprintf(command, sizeof(command),
             "f=$(find '%s/log/1/0' -name '*.log' | sort | sed -n 2p); test -n \"$f\" && "
             "printf 'damage' | dd of=\"$f\" bs=1 seek=500 conv=notrunc 2>/dev/null",
             g.l.f.dir);
    assert_int_equal(system(command), 0);
    fixture_open(&g.l.f);
    g.b.port = g.l.f.port;
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    int64_t last = -1;
    while (last < 39) {
        weir_take take = {.records_max = 100, .bytes_max = 1 << 20, .wait_ms = 30000};
        assert_int_equal(weir_port_take(g.b.port, a.member, &take, &a, 1), WEIR_OK);
        weir_completion done = box_wait(&g.b, WEIR_COMPLETION_TAKEN, &a);
        assert_int_equal(done.err, WEIR_OK);
        for (uint32_t i = 0; i < done.taken.run_count; i++) {
            weir_record record;
            const weir_handed *run = &done.taken.runs[i];
            weir_chunk_record(run->chunk, run->first + run->count - 1, &record);
            last = record.offset;
        }
        weir_completion_drop(&done);
    }
    assert_int_equal(member_commits(&a, "t", 0, 39), WEIR_OK);
    uint64_t dropped = group_fate(g.b.port, "g", WEIR_FATE_DROPPED);
    assert_true(dropped > 0);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 40 - dropped);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

/* ---- Dead letters ----------------------------------------------------------------------------- */

static int64_t dead_letters(void)
{
    return life_bounds(&g.l, "dead", 0).end_offset;
}

static void streams_that_give_letters_to_one_another_drop_them_in_the_end(void **state)
{
    static const char *const NAMES[] = {"t", "dead"};
    static joined_member members[2];
    (void)state;
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    declare(g.b.port, "dead", WEIR_LEVEL_DISK);
    for (int i = 0; i < 2; i++) {
        weir_bytes topics[] = {weir_bytes_of(NAMES[i])};
        weir_group_options options = {.model = WEIR_MODEL_STREAM,
                                      .dead_letter = weir_bytes_of(NAMES[1 - i]),
                                      .topics = topics,
                                      .topic_count = 1};
        assert_int_equal(group_create_with(g.b.port, i == 0 ? "g" : "back", &options), WEIR_OK);
        member_join(&members[i], &g.b, i == 0 ? "g" : "back", "a");
        member_assigned(&members[i]);
    }
    publish_values("t", 0, 1);
    for (int hop = 0; hop <= WEIR_FIXED_dead_letter_hops; hop++) {
        char taken[32];
        snprintf(taken, sizeof(taken), "0:%d=0 ", hop / 2);
        member_takes(&members[hop % 2], 1, taken);
        assert_int_equal(member_rejects(&members[hop % 2], NAMES[hop % 2], 0, hop / 2, "bad"),
                         WEIR_OK);
    }
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_DROPPED), 1);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_DEAD_LETTERED),
                     WEIR_FIXED_dead_letter_hops / 2);
    assert_int_equal(dead_letters(), WEIR_FIXED_dead_letter_hops / 2);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void a_rejected_record_is_a_dead_letter_in_the_unit_of_its_commit(void **state)
{
    joined_member a;
    weir_bytes topics[] = {weir_bytes_of("t")};
    weir_group_options options = {.model = WEIR_MODEL_STREAM,
                                  .dead_letter = weir_bytes_of("dead"),
                                  .topics = topics,
                                  .topic_count = 1};
    (void)state;
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    declare(g.b.port, "dead", WEIR_LEVEL_DISK);
    assert_int_equal(group_create_with(g.b.port, "g", &options), WEIR_OK);
    publish_values("t", 0, 4);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 3, "0:0=0 0:1=1 0:2=2 ");
    assert_int_equal(member_rejects(&a, "t", 0, 1, "bad"), WEIR_OK);
    assert_int_equal(member_rejects(&a, "t", 0, 1, "bad"), WEIR_OK); /* again: nothing happens */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dead_letters(), 1);
        assert_record(g.b.port, "dead", 0, NULL, "1");
        assert_int_equal(group_partition(g.b.port, "g", 0).committed, 2);
        assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_DEAD_LETTERED), 1);
        assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 1);
        group_adds_up(g.b.port, "g");
        group_kill(&g);
    }
    group_end(&g);
}

static void without_its_dead_letter_topic_a_reject_changes_nothing(void **state)
{
    joined_member a;
    (void)state;
    begin_cold("dead");
    assert_int_equal(topic_delete(g.b.port, "dead"), WEIR_OK);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    take_cold(&a, 3);
    assert_int_equal(member_rejects(&a, "t", 0, 1, "bad"), WEIR_NOT_FOUND);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 0);
    assert_int_equal(member_commits(&a, "t", 0, 1), WEIR_OK);
    group_end(&g);
}

static void a_reject_of_a_record_on_disk_waits_and_later_settles_behind_it(void **state)
{
    joined_member a;
    weir_settle_range rejected[] = {
        {.topic = weir_bytes_of("t"), .first = 1, .last = 1},
        {.topic = weir_bytes_of("t"), .first = 15, .last = 15},
    };
    weir_settle_range accepted = {.topic = weir_bytes_of("t"), .first = 20, .last = 20};
    (void)state;
    begin_cold("dead");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    take_cold(&a, 40);
    weir_settle settle = {.verb = WEIR_VERB_REJECT,
                          .ranges = rejected,
                          .range_count = 2,
                          .generation = a.generation,
                          .reason = weir_bytes_of("bad")};
    assert_int_equal(weir_port_settle(g.b.port, a.member, &settle, &a, 1), WEIR_OK);
    settle = (weir_settle){.verb = WEIR_VERB_ACCEPT,
                           .ranges = &accepted,
                           .range_count = 1,
                           .generation = a.generation};
    assert_int_equal(weir_port_settle(g.b.port, a.member, &settle, &a, 2), WEIR_OK);
    weir_completion done = box_wait(&g.b, WEIR_COMPLETION_SETTLED, &a);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.token, 1);
    assert_int_equal(done.settled.records, 16);
    done = box_wait(&g.b, WEIR_COMPLETION_SETTLED, &a);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.token, 2);
    assert_int_equal(dead_letters(), 2);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, 21);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_DEAD_LETTERED), 2);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void a_member_that_waits_costs_no_turns(void **state)
{
    joined_member a;
    (void)state;
    begin("t", 1, "g");
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 10, 30000);
    for (int i = 0; i < 20; i++) {
        weir_port_step(g.b.port);
        box_fill(&g.b);
    }
    uint64_t turns = life_stats(&g.l).steps;
    weir_port_step(g.b.port);
    assert_true(life_stats(&g.l).steps <= turns + 1);
    assert_true(weir_port_next_ms(g.b.port) > 0);
    group_end(&g);
}

/* ---- Positions that are removed --------------------------------------------------------------- */

static void begin_removed(weir_group_place removed)
{
    weir_bytes topics[] = {weir_bytes_of("t")};
    weir_group_options options = {
        .model = WEIR_MODEL_STREAM, .removed = removed, .topics = topics, .topic_count = 1};
    group_begin(&g);
    declare(g.b.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(group_create_with(g.b.port, "g", &options), WEIR_OK);
    publish_values("t", 0, 6);
}

/* In the group's own words and in those of its partition. */
static void stands_still(uint32_t partitions)
{
    weir_completion done = group_of(g.b.port, "g");
    assert_int_equal(done.groups.groups[0].stands_still, partitions);
    assert_int_equal(done.groups.groups[0].partitions[0].stands_still, partitions > 0);
    weir_completion_drop(&done);
}

static void a_removed_place_goes_to_the_earliest_left(void **state)
{
    joined_member a;
    (void)state;
    begin_removed(WEIR_PLACE_BEGINNING);
    assert_int_equal(topic_trim(g.b.port, "t", 3), WEIR_OK);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 2, "0:3=3 0:4=4 ");
    assert_int_equal(member_commits(&a, "t", 0, 3), WEIR_OK);
    group_adds_up(g.b.port, "g");
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_EXPIRED), 3);
    assert_int_equal(topic_trim(g.b.port, "t", 5), WEIR_OK);
    group_adds_up(g.b.port, "g");
    assert_int_equal(member_commits(&a, "t", 0, 4), WEIR_OK); /* it has expired: nothing happens */
    group_kill(&g);
    group_adds_up(g.b.port, "g");
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_EXPIRED), 4);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_ACCEPTED), 1);
    group_end(&g);
}

static void a_removed_place_goes_to_the_end(void **state)
{
    joined_member a;
    (void)state;
    begin_removed(WEIR_PLACE_END);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    assert_int_equal(topic_trim(g.b.port, "t", 3), WEIR_OK);
    member_takes_nothing(&a);
    publish_values("t", 6, 7);
    member_takes(&a, 2, "0:6=6 ");
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_EXPIRED), 3);
    assert_int_equal(group_fate(g.b.port, "g", WEIR_FATE_SKIPPED), 3);
    group_adds_up(g.b.port, "g");
    group_end(&g);
}

static void a_removed_place_is_an_error_until_a_reset(void **state)
{
    joined_member a;
    char text[64];
    (void)state;
    begin_removed(WEIR_PLACE_ERROR);
    assert_int_equal(topic_trim(g.b.port, "t", 3), WEIR_OK);
    stands_still(1);
    group_kill(&g);
    stands_still(1);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 1, 1000);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OFFSET_OUT_OF_RANGE);
    weir_reset reset = {.group = weir_bytes_of("g"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    assert_int_equal(group_reset(g.b.port, &reset), WEIR_EXISTS);
    member_leave(&a, true);
    assert_int_equal(group_reset(g.b.port, &reset), WEIR_OK);
    stands_still(0);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_takes(&a, 1, "0:3=3 ");
    group_end(&g);
}

static void a_removed_place_is_an_error_until_the_group_is_altered(void **state)
{
    joined_member a;
    char text[64];
    weir_group_options change = {.removed = WEIR_PLACE_BEGINNING};
    (void)state;
    begin_removed(WEIR_PLACE_ERROR);
    assert_int_equal(topic_trim(g.b.port, "t", 3), WEIR_OK);
    group_kill(&g);
    member_join(&a, &g.b, "g", "a");
    member_assigned(&a);
    member_take_send(&a, 1, 1000);
    assert_int_equal(member_taken(&a, text, sizeof(text)), WEIR_OFFSET_OUT_OF_RANGE);
    stands_still(1);
    assert_int_equal(group_alter(g.b.port, "g", &change), WEIR_OK);
    stands_still(0);
    member_takes(&a, 1, "0:3=3 ");
    group_end(&g);
}

/* ---- Starts ----------------------------------------------------------------------------------- */

static void a_static_member_has_its_partitions_again_after_a_kill(void **state)
{
    joined_member a = {0}, b = {0};
    weir_join one = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("one")};
    weir_join two = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("two")};
    (void)state;
    begin("t", 4, "g");
    assert_int_equal(member_join_with(&a, &g.b, &one), WEIR_OK);
    member_assigned(&a);
    assert_int_equal(member_join_with(&b, &g.b, &two), WEIR_OK);
    member_assigned(&b);
    char owned[1024];
    strcpy(owned, member_assigned(&a).owned);
    uint64_t generation = a.generation;
    for (int i = 0; i < 2; i++) {
        i == 0 ? group_kill(&g) : group_restart(&g);
        memset(&a, 0, sizeof(a));
        assert_int_equal(member_join_with(&a, &g.b, &one), WEIR_OK);
        assigned_text text = member_assigned(&a);
        assert_string_equal(text.owned, owned);
        assert_true(text.generation > generation);
        generation = text.generation;
    }
    life_turn_clock(46000); /* two does not come */
    member_beat(&a);
    assert_int_equal(member_assigned(&a).owned_count, 4);
    group_end(&g);
}

static void the_generation_rises_over_a_kill(void **state)
{
    joined_member a;
    uint64_t generation = 0;
    (void)state;
    begin("t", 1, "g");
    for (int i = 0; i < 4; i++) {
        member_join(&a, &g.b, "g", "a");
        assert_true(member_assigned(&a).generation > generation);
        generation = a.generation;
        group_kill(&g);
    }
    group_end(&g);
}

static void a_checkpoint_has_commits_and_generation(void **state)
{
    joined_member a = {0};
    weir_join one = {.group = weir_bytes_of("g"), .instance = weir_bytes_of("one")};
    (void)state;
    begin("t", 2, "g");
    weir_group_options change = {.expiry_ms = -1};
    weir_topic_options for_ever = {.retention_ms = WEIR_UNLIMITED};
    assert_int_equal(group_alter(g.b.port, "g", &change), WEIR_OK);
    assert_int_equal(life_alter(&g.l, "t", for_ever), WEIR_OK);
    assert_int_equal(member_join_with(&a, &g.b, &one), WEIR_OK);
    uint64_t generation = member_assigned(&a).generation;
    for (int i = 0; i < 20; i++) {
        publish_values("t", i, i + 1);
    }
    char text[1024];
    member_take_send(&a, 100, 0);
    member_taken(&a, text, sizeof(text));
    weir_group_partition before = group_partition(g.b.port, "g", 0);
    if (before.handed > 0) {
        assert_int_equal(member_commits(&a, "t", 0, before.handed - 1), WEIR_OK);
    }
    box_drop(&g.b);
    for (int i = 0; i < 3; i++) {
        weir_stats stats = life_stats(&g.l);
        for (int turn = 0; life_stats(&g.l).checkpoints == stats.checkpoints; turn++) {
            assert_true(turn < LIFE_TURNS_MAX);
            publish_values("t", 0, 1);
            life_turn_clock(61000);
            (void)weir_port_wait(g.b.port, 1);
            box_drop(&g.b);
        }
    }
    group_kill(&g);
    assert_int_equal(group_partition(g.b.port, "g", 0).committed, before.handed);
    group_adds_up(g.b.port, "g");
    assert_int_equal(member_join_with(&a, &g.b, &one), WEIR_OK);
    assert_true(member_assigned(&a).generation > generation);
    group_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_member_owns_everything),
        cmocka_unit_test(a_partition_moves_when_its_owner_gave_it_up),
        cmocka_unit_test(auto_revoke_gives_up_at_once),
        cmocka_unit_test(members_beyond_the_partitions_are_shown_idle),
        cmocka_unit_test(what_a_member_that_left_had_goes_to_the_others),
        cmocka_unit_test(a_commit_of_nothing_names_a_partition_that_is_there),
        cmocka_unit_test(a_silent_member_is_out_and_told_so),
        cmocka_unit_test(a_member_whose_take_waits_is_alive),
        cmocka_unit_test(a_static_member_comes_again_and_nothing_moves),
        cmocka_unit_test(a_static_member_that_stays_away_loses_its_place),
        cmocka_unit_test(a_second_one_of_the_same_instance_fences_the_first),
        cmocka_unit_test(a_partition_asked_back_is_handed_out_to_nobody),
        cmocka_unit_test(who_never_gives_up_is_out),
        cmocka_unit_test(what_was_asked_for_and_taken_back_costs_nobody_its_place),
        cmocka_unit_test(a_new_topic_of_the_filter_is_read_from_its_beginning),
        cmocka_unit_test(what_is_acknowledged_is_not_handed_out_again),
        cmocka_unit_test(a_commit_beyond_what_was_handed_is_refused),
        cmocka_unit_test(only_the_owner_commits),
        cmocka_unit_test(a_commit_of_an_older_ownership_changes_nothing),
        cmocka_unit_test(takes_go_round_the_partitions),
        cmocka_unit_test(a_take_waits_for_a_record),
        cmocka_unit_test(who_waits_has_a_record_before_its_publisher_is_answered),
        cmocka_unit_test(metadata_is_kept_with_the_commit_over_a_kill),
        cmocka_unit_test(at_least_once_hands_out_again_after_a_kill),
        cmocka_unit_test(at_most_once_never_hands_out_again),
        cmocka_unit_test(at_most_once_a_commit_of_what_is_committed_changes_nothing),
        cmocka_unit_test(client_commit_takes_any_offset_of_any_member),
        cmocka_unit_test(a_new_mode_waits_for_what_was_handed_out),
        cmocka_unit_test(a_release_hands_out_again),
        cmocka_unit_test(a_reject_without_a_dead_letter_topic_is_a_fate),
        cmocka_unit_test(streams_that_give_letters_to_one_another_drop_them_in_the_end),
        cmocka_unit_test(records_that_do_not_match_are_passed_over),
        cmocka_unit_test(a_stretch_without_a_match_is_committed_by_itself),
        cmocka_unit_test(cold_records_are_read_by_a_job),
        cmocka_unit_test(what_compaction_removed_is_superseded),
        cmocka_unit_test(what_is_damaged_is_passed_over_and_has_a_fate),
        cmocka_unit_test(a_rejected_record_is_a_dead_letter_in_the_unit_of_its_commit),
        cmocka_unit_test(without_its_dead_letter_topic_a_reject_changes_nothing),
        cmocka_unit_test(a_reject_of_a_record_on_disk_waits_and_later_settles_behind_it),
        cmocka_unit_test(a_member_that_waits_costs_no_turns),
        cmocka_unit_test(a_removed_place_goes_to_the_earliest_left),
        cmocka_unit_test(a_removed_place_goes_to_the_end),
        cmocka_unit_test(a_removed_place_is_an_error_until_a_reset),
        cmocka_unit_test(a_removed_place_is_an_error_until_the_group_is_altered),
        cmocka_unit_test(a_static_member_has_its_partitions_again_after_a_kill),
        cmocka_unit_test(the_generation_rises_over_a_kill),
        cmocka_unit_test(a_checkpoint_has_commits_and_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
