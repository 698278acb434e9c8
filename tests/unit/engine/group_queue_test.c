/* tests/unit/engine/group_queue_test.c - queue groups: taken, answered, late, and after a start. */
#include "tests/unit/engine/group_queue.h"

static void each_record_goes_to_one_member(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 10);
    weir_member *first = join(&f, "first"), *second = join(&f, "second");
    assert_int_equal(take(&f, first, 4, &a), 4);
    assert_int_equal(take(&f, second, 100, &b), 6);
    assert_offsets(&a, 0, 4);
    assert_offsets(&b, 4, 6);
    assert_int_equal(a.leased[0], 1);
    assert_int_equal(a.failed[0], 0);
    assert_int_equal(settle_all(&f, first, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_all(&f, second, &b, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 10);
    assert_int_equal(take(&f, first, 100, &a), 0);
    queue_end(&f);
}

static void a_take_that_waits_gets_the_next_record(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    weir_member *member = join(&f, "m");
    take_begin(&f, member, 10, 60000);
    assert_nothing(f.port);
    weir_publish record = {.name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("v")};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    weir_completion done = next_on(f.port), other = next_on(f.port);
    given_of(done.type == WEIR_COMPLETION_TAKEN ? &done : &other, &g);
    assert_offsets(&g, 0, 1);
    queue_end(&f);
}

static void records_that_were_there_before_the_group_are_given_out(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    declare(f.port, "q", WEIR_LEVEL_OS);
    publish_many(f.port, "q/k", 3);
    queue_open(&f);
    assert_int_equal(take(&f, join(&f, "m"), 10, &g), 3);
    assert_offsets(&g, 0, 3);
    queue_end(&f);
}

static void a_second_answer_is_too_late(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 3);
    weir_member *member = join(&f, "m");
    take(&f, member, 10, &g);
    assert_int_equal(settle_some(&f, member, &g, 0, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    weir_completion done =
        settle_with(&f, member, &g, 1, 3, (weir_settle){.verb = WEIR_VERB_REJECT});
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    assert_int_equal(done.settled.records, 1);
    assert_int_equal(done.settled.refused, 1);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 2);
    assert_int_equal(fate_of(&f, WEIR_FATE_REJECTED), 1);
    queue_end(&f);
}

static void what_is_named_twice_counts_once(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 3);
    weir_member *member = join(&f, "m");
    take(&f, member, 10, &g);
    weir_settle_range ranges[] = {
        {.topic = WEIR_TEXT("q"), .first = 0, .last = 1, .lease = g.leases[0]},
        {.topic = WEIR_TEXT("q"), .first = 1, .last = 2, .lease = g.leases[0]},
    };
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = ranges, .range_count = 2, .epoch = g.epoch};
    weir_completion done = answer(&f, member, &settle);
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    assert_int_equal(done.settled.records, 3);
    assert_int_equal(done.settled.refused, 1);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 3);
    queue_end(&f);
}

static void what_is_settled_again_is_told_from_what_another_has(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 4);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 3, &g), 3);
    weir_settle accept = {.verb = WEIR_VERB_ACCEPT};
    assert_int_equal(settle_with(&f, member, &g, 1, 2, accept).err, WEIR_OK);
    weir_completion again = settle_with(&f, member, &g, 1, 2, accept);
    assert_int_equal(again.err, WEIR_LEASE_LOST);
    assert_int_equal(again.settled.refused, again.settled.ended);
    assert_true(again.settled.ended > 0);
    weir_settle_range fresh = {
        .topic = WEIR_TEXT("q"), .first = 3, .last = 3, .lease = g.leases[0]};
    weir_settle early = {
        .verb = WEIR_VERB_ACCEPT, .ranges = &fresh, .range_count = 1, .epoch = g.epoch};
    again = answer(&f, member, &early);
    assert_int_equal(again.settled.refused, 1);
    assert_int_equal(again.settled.ended, 0); /* nobody has had it yet */
    queue_end(&f);
}

static void a_lease_that_is_over_gives_its_records_to_others(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 3600000});
    publish_many(f.port, "q/k", 5);
    weir_member *slow = join(&f, "slow"), *other = join(&f, "other");
    take(&f, slow, 5, &a);
    pass_ms(&f, 500);
    assert_int_equal(take(&f, other, 5, &b), 0);
    pass_ms(&f, 600);
    assert_int_equal(take(&f, other, 5, &b), 5);
    assert_int_equal(b.leased[0], 2);
    assert_int_equal(b.failed[0], 1);
    weir_completion late = settle_with(&f, slow, &a, 0, 5, (weir_settle){.verb = WEIR_VERB_ACCEPT});
    assert_int_equal(late.err, WEIR_LEASE_LOST);
    assert_int_equal(late.settled.refused, 5);
    assert_int_equal(late.settled.ended, 0); /* another has them */
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 0);
    assert_int_equal(settle_all(&f, other, &b, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 5);
    weir_completion told = group_of(f.port, "g");
    assert_int_equal(told.groups.groups[0].late_refused, 5);
    assert_int_equal(told.groups.groups[0].leased_times, 10);
    assert_int_equal(told.groups.groups[0].failed_times, 5);
    weir_completion_drop(&told);
    queue_end(&f);
}

static void ranges_over_each_other_renew_each_record_once(void **state)
{
    static given held;
    fixture f;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q", 10);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &held), 10);
    weir_settle_range ranges[] = {
        {.topic = WEIR_TEXT("q"), .first = 2, .last = 6, .lease = held.leases[0]},
        {.topic = WEIR_TEXT("q"), .first = 0, .last = 4, .lease = held.leases[0]},
        {.topic = WEIR_TEXT("q"), .first = 0, .last = 4, .lease = held.leases[0]},
        {.topic = WEIR_TEXT("q"), .first = 6, .last = 7, .lease = held.leases[0] + 1000},
    };
    weir_settle settle = {
        .verb = WEIR_VERB_RENEW, .ranges = ranges, .range_count = 3, .epoch = held.epoch};
    weir_completion done = answer(&f, member, &settle);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.settled.records, 7);
    assert_int_equal(done.settled.refused, 0);
    settle.range_count = 4;
    done = answer(&f, member, &settle);
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    assert_int_equal(done.settled.records, 7);
    assert_int_equal(done.settled.refused, 2);
    leave(&f, member, true);
    queue_end(&f);
}

static void a_lease_that_is_renewed_goes_on(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 3600000});
    publish_many(f.port, "q/k", 5);
    weir_member *slow = join(&f, "slow"), *other = join(&f, "other");
    take(&f, slow, 5, &a);
    for (int i = 0; i < 5; i++) {
        pass_ms(&f, 800);
        weir_completion done =
            settle_with(&f, slow, &a, 0, 1, (weir_settle){.verb = WEIR_VERB_RENEW});
        assert_int_equal(done.err, WEIR_OK);
        assert_int_equal(done.settled.lease_ms, 1000);
    }
    assert_int_equal(take(&f, other, 5, &b), 0);
    assert_int_equal(settle_all(&f, slow, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    queue_end(&f);
}

static void a_plain_release_is_no_failure(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.delivery_limit = 1});
    publish_many(f.port, "q/k", 1);
    weir_member *member = join(&f, "m");
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(take(&f, member, 1, &g), 1);
        assert_int_equal(g.leased[0], i);
        assert_int_equal(g.failed[0], 0);
        assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_RELEASE), WEIR_OK);
    }
    queue_end(&f);
}

static void a_released_record_waits_for_its_delay(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 2);
    weir_member *member = join(&f, "m");
    take(&f, member, 1, &g);
    weir_settle settle = {.verb = WEIR_VERB_RELEASE, .delay_ms = 5000};
    assert_int_equal(settle_with(&f, member, &g, 0, 1, settle).err, WEIR_OK);
    assert_int_equal(take(&f, member, 10, &g), 1);
    assert_int_equal(g.offsets[0], 1);
    assert_int_equal(group_partition(f.port, "g", 0).delayed, 1);
    pass_ms(&f, 5100);
    assert_int_equal(take(&f, member, 10, &g), 1);
    assert_int_equal(g.offsets[0], 0);
    queue_end(&f);
}

static void what_is_due_again_goes_first_and_the_oldest_of_it(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 10);
    weir_member *member = join(&f, "m");
    take(&f, member, 6, &a);
    assert_int_equal(settle_some(&f, member, &a, 4, 5, WEIR_VERB_RELEASE), WEIR_OK);
    assert_int_equal(settle_some(&f, member, &a, 1, 2, WEIR_VERB_RELEASE), WEIR_OK);
    assert_int_equal(take(&f, member, 3, &b), 3);
    assert_int_equal(b.offsets[0], 1);
    assert_int_equal(b.offsets[1], 4);
    assert_int_equal(b.offsets[2], 6);
    queue_end(&f);
}

static void a_connection_that_broke_counts_as_a_failure_and_a_leave_does_not(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 4);
    weir_member *polite = join(&f, "polite"), *other = join(&f, "other");
    take(&f, polite, 2, &g);
    leave(&f, polite, true);
    assert_int_equal(take(&f, other, 2, &g), 2);
    assert_int_equal(g.failed[0], 0);
    leave(&f, other, false);
    weir_member *third = join(&f, "third");
    assert_int_equal(take(&f, third, 4, &g), 4);
    assert_offsets(&g, 0, 4);
    assert_int_equal(g.failed[0], 1);
    assert_int_equal(g.leased[0], 3);
    assert_int_equal(g.failed[2], 0);
    queue_end(&f);
}

static void past_its_limit_a_record_is_dropped_where_there_is_no_dead_letter_topic(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.delivery_limit = 3});
    publish_many(f.port, "q/k", 1);
    weir_member *member = join(&f, "m");
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(take(&f, member, 1, &g), 1);
        assert_int_equal(g.failed[0], i);
        assert_int_equal(fail_all(&f, member, &g), WEIR_OK);
    }
    assert_int_equal(take(&f, member, 1, &g), 0);
    assert_int_equal(fate_of(&f, WEIR_FATE_DROPPED), 1);
    queue_end(&f);
}

/* ---- Dead letters ------------------------------------------------------------------------------- */

static void dead_letters_open(fixture *f)
{
    declare(f->port, "dead", WEIR_LEVEL_OS);
    queue_with(f, (weir_group_options){.dead_letter = WEIR_TEXT("dead"),
                                       .delivery_limit = 2,
                                       .session_ms = 3600000,
                                       .lease_ms = 1000});
}

/* The dead-letter topic has so many records; the first one's header. */
static void assert_dead(fixture *f, int64_t count, const char *name, const char *value)
{
    if (count > 0) { /* it is visible when it is as durable as its topic */
        weir_completion last = fetch(f->port, "dead", 0, count - 1, WAIT_MS);
        weir_completion_drop(&last);
    }
    weir_completion done = fetch(f->port, "dead", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.fetched.end_offset, count);
    if (count > 0) {
        weir_record record;
        weir_header header;
        weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &record);
        assert_true(weir_bytes_equal(record.key, WEIR_TEXT("k")));
        assert_true(weir_record_header(&record, name, &header));
        assert_true(weir_bytes_equal(header.value, weir_bytes_of(value)));
    }
    weir_completion_drop(&done);
}

static void a_rejected_record_stands_in_the_dead_letter_topic_and_nowhere_else(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    dead_letters_open(&f);
    publish_many(f.port, "q/k", 3);
    weir_member *member = join(&f, "m");
    take(&f, member, 3, &g);
    weir_settle settle = {.verb = WEIR_VERB_REJECT, .reason = WEIR_TEXT("not a number")};
    assert_int_equal(settle_with(&f, member, &g, 1, 2, settle).err, WEIR_OK);
    pass_ms(&f, 0);
    assert_dead(&f, 1, "weir-dead-text", "not a number");
    assert_dead(&f, 1, "weir-dead-reason", "rejected");
    assert_dead(&f, 1, "weir-dead-offset", "1");
    assert_dead(&f, 1, "weir-dead-member", "m");
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 1);
    assert_int_equal(settle_some(&f, member, &g, 1, 2, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    queue_end(&f);
}

static void what_is_shown_of_members_has_no_control_characters(void **state)
{
    static const char *const wrong[] = {"\033[31m", "a\nb", "\302\233", "\177", "\377"};
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q/k", 1);
    weir_member *member = join(&f, "m");
    take(&f, member, 1, &g);
    const weir_settle_range range = {
        .topic = WEIR_TEXT("q"), .first = g.offsets[0], .last = g.offsets[0], .lease = g.leases[0]};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const weir_bytes word = weir_bytes_of(wrong[i]);
        const weir_join joins[] = {{.group = WEIR_TEXT("g"), .name = word},
                                   {.group = WEIR_TEXT("g"), .instance = word},
                                   {.group = WEIR_TEXT("g"), .origin = word}};
        const weir_settle settle = {.verb = WEIR_VERB_REJECT,
                                    .ranges = &range,
                                    .range_count = 1,
                                    .epoch = g.epoch,
                                    .reason = word};
        for (size_t k = 0; k < sizeof(joins) / sizeof(joins[0]); k++) {
            assert_int_equal(weir_port_member_join(f.port, &joins[k], NULL, 11), WEIR_INVALID);
        }
        assert_int_equal(weir_port_settle(f.port, member, &settle, NULL, 12), WEIR_INVALID);
    }
    assert_int_equal(settle_some(&f, member, &g, 0, 1, WEIR_VERB_ACCEPT), WEIR_OK);
    queue_end(&f);
}

static void past_its_limit_a_record_is_a_dead_letter(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    dead_letters_open(&f);
    publish_many(f.port, "q/k", 1);
    weir_member *member = join(&f, "m");
    take(&f, member, 1, &g);
    assert_int_equal(fail_all(&f, member, &g), WEIR_OK);
    take(&f, member, 1, &g);
    pass_ms(&f, 1100); /* its lease is over: the second failure */
    pass_ms(&f, 0);
    assert_dead(&f, 1, "weir-dead-reason", "delivery-limit");
    assert_dead(&f, 1, "weir-dead-failed", "2");
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 1);
    queue_end(&f);
}

static void a_kill_loses_no_dead_letter_and_doubles_none(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    dead_letters_open(&f);
    publish_many(f.port, "q/k", 40);
    restart(&f, false); /* what it holds is on disk only */
    weir_member *member = join(&f, "m");
    take_in_all(&f, member, 40, &g);
    assert_int_equal(settle_some(&f, member, &g, 0, 35, WEIR_VERB_REJECT), WEIR_OK);
    restart_from_copy(&f);
    for (int i = 0; i < 1000 && group_fate(f.port, "g", WEIR_FATE_DEAD_LETTERED) < 35; i++) {
        assert_true(weir_port_wait(f.port, 10) == WEIR_TIMEOUT);
        pass_ms(&f, 1);
    }
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 35);
    assert_dead(&f, 35, "weir-dead-reason", "rejected");
    restart_from_copy(&f);
    pass_ms(&f, 1100);
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 35);
    member = join(&f, "m");
    take_in_all(&f, member, 5, &g);
    assert_offsets(&g, 35, 5);
    queue_end(&f);
}

static void where_the_dead_letter_topic_is_gone_a_rejected_record_ends_rejected(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    dead_letters_open(&f);
    publish_many(f.port, "q/k", 2);
    weir_member *member = join(&f, "m");
    take(&f, member, 2, &g);
    assert_int_equal(topic_delete(f.port, "dead"), WEIR_OK);
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_REJECT), WEIR_OK);
    pass_ms(&f, 0);
    assert_int_equal(fate_of(&f, WEIR_FATE_REJECTED), 2);
    queue_end(&f);
}

/* ---- Starts ------------------------------------------------------------------------------------- */

static void after_a_kill_a_token_is_still_good(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 1000, .session_ms = 3600000});
    publish_many(f.port, "q/k", 6);
    weir_member *member = join(&f, "m");
    take(&f, member, 6, &a);
    assert_int_equal(settle_some(&f, member, &a, 0, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    pass_ms(&f, 900);
    restart_from_copy(&f);
    pass_ms(&f, 900); /* each lease has its full time again */
    member = join(&f, "m");
    assert_int_equal(take(&f, member, 6, &b), 0);
    assert_int_equal(settle_some(&f, member, &a, 2, 4, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_some(&f, member, &a, 0, 2, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    pass_ms(&f, 200);
    assert_int_equal(settle_some(&f, member, &a, 4, 5, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    take_in_all(&f, member, 2, &b);
    assert_offsets(&b, 4, 2);
    assert_int_equal(b.leased[0], 2);
    assert_int_equal(b.failed[0], 1);
    assert_true(b.leases[0] > a.leases[0]);
    assert_true(b.epoch > a.epoch);
    queue_end(&f);
}

static void a_token_of_a_deleted_group_settles_nothing_of_the_next_one(void **state)
{
    fixture f;
    given old, new;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    weir_member *member = join(&f, "m");
    publish_ok(f.port, "q", "old");
    assert_int_equal(take(&f, member, 1, &old), 1);
    leave(&f, member, true);
    assert_int_equal(group_delete(f.port, "g"), WEIR_OK);
    assert_int_equal(topic_delete(f.port, "q"), WEIR_OK);
    queue_with(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    member = join(&f, "m");
    publish_ok(f.port, "q", "new");
    assert_int_equal(take(&f, member, 1, &new), 1);
    assert_int_equal(new.epoch, old.epoch);
    assert_int_equal(settle_all(&f, member, &old, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    assert_int_equal(settle_all(&f, member, &new, WEIR_VERB_ACCEPT), WEIR_OK);
    restart(&f, true);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 1);
    queue_end(&f);
}

static void a_record_that_kills_the_broker_reaches_its_limit(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 1000, .delivery_limit = 3});
    publish_many(f.port, "q/k", 1);
    for (uint32_t i = 0; i < 3; i++) {
        weir_member *member = join(&f, "m");
        take_in_all(&f, member, 1, &g);
        assert_int_equal(g.leased[0], i + 1);
        assert_int_equal(g.failed[0], i);
        restart_from_copy(&f);
        pass_ms(&f, 1100);
    }
    assert_int_equal(fate_of(&f, WEIR_FATE_DROPPED), 1);
    queue_end(&f);
}

static void nothing_that_was_settled_comes_again_after_a_kill(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 1000});
    publish_many(f.port, "q/k", 100);
    weir_member *member = join(&f, "m");
    take(&f, member, 60, &a);
    assert_int_equal(settle_some(&f, member, &a, 0, 50, WEIR_VERB_ACCEPT), WEIR_OK);
    for (uint32_t round = 0; round < 3; round++) {
        if (round == 1) {
            restart(&f, false); /* its port closes: what the member has is given back at once */
        } else {
            restart_from_copy(&f);
        }
        pass_ms(&f, 1100);
        member = join(&f, "m");
        take_in_all(&f, member, 50, &b);
        assert_offsets(&b, 50, 50);
        assert_int_equal(b.leased[0], 2 + round);
        assert_int_equal(b.failed[0], 1 + round);
        assert_int_equal(b.leased[49], 1 + round);
        assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 50);
    }
    queue_end(&f);
}

/* ---- At most once ------------------------------------------------------------------------------- */

static void at_most_once_nothing_is_given_twice(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_AT_MOST_ONCE});
    publish_many(f.port, "q/k", 10);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 6, &g), 6);
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_NOT_OFFERED);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 6);
    restart(&f, true);
    member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &g), 4);
    assert_offsets(&g, 6, 4);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 10);
    queue_end(&f);
}

static void each_lease_keeps_its_mode(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 10);
    weir_member *member = join(&f, "m");
    take(&f, member, 4, &a);
    weir_group_options change = {.mode = WEIR_MODE_AT_MOST_ONCE};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_OK);
    take(&f, member, 4, &b);
    assert_offsets(&b, 4, 4);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 4);
    assert_int_equal(settle_some(&f, member, &a, 0, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_some(&f, member, &a, 2, 4, WEIR_VERB_RELEASE), WEIR_OK);
    assert_int_equal(take(&f, member, 2, &b), 2);
    assert_offsets(&b, 2, 2);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 8);
    queue_end(&f);
}

/* ---- Bounds ------------------------------------------------------------------------------------- */

static void a_member_holds_no_more_than_it_may(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.leased_max = 5});
    publish_many(f.port, "q/k", 20);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 20, &a), 5);
    assert_int_equal(take(&f, member, 20, &b), 0);
    take_begin(&f, member, 20, 60000);
    assert_nothing(f.port);
    weir_settle_range range = {
        .topic = WEIR_TEXT("q"), .first = 0, .last = 2, .lease = a.leases[0]};
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                          .ranges = &range,
                          .range_count = 1,
                          .epoch = a.epoch,
                          .no_confirm = true};
    assert_int_equal(weir_port_settle(f.port, member, &settle, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TAKEN);
    given_of(&done, &b);
    assert_offsets(&b, 5, 3);
    queue_end(&f);
}

static void the_window_counts_records_and_not_their_span(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.unsettled_max = 10});
    publish_many(f.port, "q/k", 100);
    weir_member *holds = join(&f, "holds"), *works = join(&f, "works");
    assert_int_equal(take(&f, holds, 1, &a), 1);
    for (int i = 0; i < 11; i++) {
        assert_int_equal(take(&f, works, 100, &b), 9);
        assert_int_equal(settle_all(&f, works, &b, WEIR_VERB_ACCEPT), WEIR_OK);
    }
    assert_int_equal(take(&f, works, 100, &b), 0);
    assert_int_equal(settle_all(&f, holds, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 100);
    assert_int_equal(group_partition(f.port, "g", 0).lag, 0);
    queue_end(&f);
}

static void a_record_that_is_held_for_an_hour_stops_nobody(void **state)
{
    enum { RECORDS = 9000 };
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 3600000, .session_ms = 3600000});
    for (int i = 0; i < RECORDS; i++) {
        weir_publish record = {.name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("v")};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
        if (i % 1000 == 999) {
            for (int done = 0; done < 1000; done++) {
                assert_int_equal(next_of(f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
            }
        }
    }
    weir_member *holds = join(&f, "holds"), *works = join(&f, "works");
    assert_int_equal(take(&f, holds, 1, &a), 1);
    for (uint32_t accepted = 0; accepted < RECORDS - 1; accepted += b.count) {
        assert_true(take(&f, works, 1000, &b) > 0);
        weir_settle_range range = {.topic = WEIR_TEXT("q"),
                                   .first = b.offsets[0],
                                   .last = b.offsets[b.count - 1],
                                   .lease = b.leases[0]};
        weir_settle settle = {
            .verb = WEIR_VERB_ACCEPT, .ranges = &range, .range_count = 1, .epoch = b.epoch};
        assert_int_equal(answer(&f, works, &settle).settled.records, b.count);
    }
    weir_group_partition told = group_partition(f.port, "g", 0);
    assert_int_equal(told.committed, 0);
    assert_int_equal(told.handed, RECORDS);
    assert_int_equal(told.lag, 1);
    restart_from_copy(&f);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &b), 0);
    pass_ms(&f, 3600100);
    member = join(&f, "m");
    take_in_all(&f, member, 1, &b);
    assert_int_equal(b.offsets[0], 0);
    assert_int_equal(b.failed[0], 1);
    assert_int_equal(settle_all(&f, member, &b, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), RECORDS);
    queue_end(&f);
}

static void one_of_many_is_active_and_the_next_takes_its_place(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.single_active = 1});
    publish_many(f.port, "q/k", 4);
    weir_member *first = join(&f, "first"), *second = join(&f, "second");
    assert_int_equal(take(&f, second, 4, &b), 0);
    assert_int_equal(take(&f, first, 2, &a), 2);
    take_begin(&f, second, 4, 60000);
    assert_nothing(f.port);
    assert_int_equal(weir_port_member_leave(f.port, first, true, NULL, 12), WEIR_OK);
    weir_completion done = next_on(f.port), other = next_on(f.port);
    given_of(done.type == WEIR_COMPLETION_TAKEN ? &done : &other, &b);
    assert_offsets(&b, 0, 4);
    queue_end(&f);
}

static void offsets_that_are_not_there_are_not_counted_as_refused(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    weir_member *member = join(&f, "m");
    publish_ok(f.port, "q/k", "v");
    take(&f, member, 1, &g);
    weir_settle_range ranges[3];
    for (int i = 0; i < 3; i++) {
        ranges[i] = (weir_settle_range){
            .topic = WEIR_TEXT("q"), .last = INT64_MAX - 1, .lease = g.leases[0] + 9};
    }
    ranges[2].first = 1000;
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = ranges, .range_count = 3, .epoch = g.epoch};
    weir_completion done = answer(&f, member, &settle);
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    assert_int_equal(done.settled.refused, 3);
    queue_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_that_are_not_there_are_not_counted_as_refused),
        cmocka_unit_test(each_record_goes_to_one_member),
        cmocka_unit_test(a_take_that_waits_gets_the_next_record),
        cmocka_unit_test(records_that_were_there_before_the_group_are_given_out),
        cmocka_unit_test(a_second_answer_is_too_late),
        cmocka_unit_test(what_is_named_twice_counts_once),
        cmocka_unit_test(what_is_settled_again_is_told_from_what_another_has),
        cmocka_unit_test(a_lease_that_is_over_gives_its_records_to_others),
        cmocka_unit_test(a_lease_that_is_renewed_goes_on),
        cmocka_unit_test(ranges_over_each_other_renew_each_record_once),
        cmocka_unit_test(a_plain_release_is_no_failure),
        cmocka_unit_test(a_released_record_waits_for_its_delay),
        cmocka_unit_test(what_is_due_again_goes_first_and_the_oldest_of_it),
        cmocka_unit_test(a_connection_that_broke_counts_as_a_failure_and_a_leave_does_not),
        cmocka_unit_test(past_its_limit_a_record_is_dropped_where_there_is_no_dead_letter_topic),
        cmocka_unit_test(a_rejected_record_stands_in_the_dead_letter_topic_and_nowhere_else),
        cmocka_unit_test(what_is_shown_of_members_has_no_control_characters),
        cmocka_unit_test(past_its_limit_a_record_is_a_dead_letter),
        cmocka_unit_test(a_kill_loses_no_dead_letter_and_doubles_none),
        cmocka_unit_test(where_the_dead_letter_topic_is_gone_a_rejected_record_ends_rejected),
        cmocka_unit_test(after_a_kill_a_token_is_still_good),
        cmocka_unit_test(a_token_of_a_deleted_group_settles_nothing_of_the_next_one),
        cmocka_unit_test(a_record_that_kills_the_broker_reaches_its_limit),
        cmocka_unit_test(nothing_that_was_settled_comes_again_after_a_kill),
        cmocka_unit_test(at_most_once_nothing_is_given_twice),
        cmocka_unit_test(each_lease_keeps_its_mode),
        cmocka_unit_test(a_member_holds_no_more_than_it_may),
        cmocka_unit_test(the_window_counts_records_and_not_their_span),
        cmocka_unit_test(a_record_that_is_held_for_an_hour_stops_nobody),
        cmocka_unit_test(one_of_many_is_active_and_the_next_takes_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
