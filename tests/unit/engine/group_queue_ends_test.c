/* tests/unit/engine/group_queue_ends_test.c - queue groups: records that end without an answer or wait
 * for their time, and order by key. */
#include "tests/unit/engine/group_queue.h"

#include "core/engine/queue.h"

/* ---- Records that end otherwise ----------------------------------------------------------------- */

static void what_retention_removed_has_expired(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 20);
    weir_member *member = join(&f, "m");
    take(&f, member, 5, &g);
    assert_int_equal(settle_some(&f, member, &g, 0, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(topic_trim(f.port, "q", 10), WEIR_OK);
    pass_ms(&f, 0);
    assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), 8);
    assert_int_equal(settle_some(&f, member, &g, 2, 5, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    assert_int_equal(take(&f, member, 100, &g), 10);
    assert_offsets(&g, 10, 10);
    restart(&f, true);
    assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), 8);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 2);
    queue_end(&f);
}

static void publish_header(fixture *f, const char *name, const char *value)
{
    weir_header header = {.name = weir_bytes_of(name), .value = weir_bytes_of(value)};
    weir_publish record = {
        .name = WEIR_TEXT("q/k"), .value = WEIR_TEXT("v"), .headers = &header, .header_count = 1};
    assert_int_equal(publish_record(f->port, &record).err, WEIR_OK);
}

static void a_record_whose_time_is_over_is_not_given_out(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_header(&f, "expiry", "1");
    publish_header(&f, "expiry", "100");
    pass_ms(&f, 2000);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &g), 1);
    assert_int_equal(g.offsets[0], 1);
    assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), 1);
    queue_end(&f);
}

static void a_record_for_later_is_given_out_then(void **state)
{
    fixture f;
    given g;
    char at[32];
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    int64_t now = publish(f.port, "q/k", "v").published.timestamp_ms;
    snprintf(at, sizeof(at), "%lld", (long long)now + 5000);
    publish_header(&f, "deliver-at", at);
    publish_header(&f, "delay", "3000");
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &g), 1);
    take_begin(&f, member, 10, 60000);
    assert_nothing(f.port);
    restart(&f, true);
    member = join(&f, "m");
    pass_ms(&f, 3100);
    assert_int_equal(take(&f, member, 10, &g), 1);
    assert_int_equal(g.offsets[0], 2);
    pass_ms(&f, 2000);
    assert_int_equal(take(&f, member, 10, &g), 1);
    assert_int_equal(g.offsets[0], 1);
    queue_end(&f);
}

static void a_number_beyond_all_bounds_is_the_largest_one(void **state)
{
    static const char *const numbers[] = {"1000000000000000000", "9223372036854775807",
                                          "9223372036854775808", "99999999999999999999999999"};
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        publish_header(&f, "delay", numbers[i]);
        publish_header(&f, "deliver-at", numbers[i]);
    }
    publish_header(&f, "expiry", numbers[3]);
    publish_header(&f, "delay", "00000000000000000000001");
    weir_member *member = join(&f, "m");
    pass_ms(&f, 2000);
    assert_int_equal(take(&f, member, 20, &g), 2);
    assert_int_equal(g.offsets[0], 8); /* what has so long does not expire */
    assert_int_equal(g.offsets[1], 9);
    restart(&f, true);
    weir_completion told = group_of(f.port, "g");
    assert_int_equal(told.groups.groups[0].partitions[0].delayed, 8);
    weir_completion_drop(&told);
    queue_end(&f);
}

static void a_filter_passes_over_what_it_does_not_match(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    declare(f.port, "q", WEIR_LEVEL_OS);
    assert_int_equal(group_create_filter(f.port, "g", "q/+/temp", WEIR_MODEL_QUEUE), WEIR_OK);
    for (int i = 0; i < 4; i++) {
        publish_ok(f.port, "q/a/temp", "t");
        publish_ok(f.port, "q/a/rain", "r");
        publish_ok(f.port, "q/b/rain", "r");
    }
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &g), 4);
    assert_string_equal(g.text, "a/temp=t a/temp=t a/temp=t a/temp=t ");
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
    weir_completion told = group_of(f.port, "g");
    assert_int_equal(told.groups.groups[0].fates[WEIR_FATE_ACCEPTED], 4);
    assert_int_equal(told.groups.groups[0].fates[WEIR_FATE_PENDING], 0);
    weir_completion_drop(&told);
    restart(&f, true);
    told = group_of(f.port, "g");
    assert_int_equal(told.groups.groups[0].fates[WEIR_FATE_ACCEPTED], 4);
    assert_int_equal(told.groups.groups[0].fates[WEIR_FATE_PENDING], 0);
    weir_completion_drop(&told);
    queue_end(&f);
}

static void what_cannot_be_read_is_dropped_and_the_rest_is_given(void **state)
{
    enum { RECORDS = 60 };
    fixture f;
    given g;
    uint32_t count = 0;
    char command[256];
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", RECORDS);
    fixture_close(&f);
    snprintf(
        command, sizeof(command),
        "f=$(find '%s/log' -name '*.log' -size +2k | head -1); test -n \"$f\" && printf 'XXXX' | "
        "dd of=\"$f\" bs=1 seek=2000 conv=notrunc 2>/dev/null",
        f.dir);
    assert_int_equal(system(command), 0);
    fixture_open(&f);
    weir_member *member = join(&f, "m");
    for (int i = 0; i < RECORDS; i++) {
        take_begin(&f, member, RECORDS, i == 0 ? 10000 : 0);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_TAKEN);
        given_of(&done, &g);
        if (g.count > 0) {
            assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
        }
        count += g.count;
    }
    uint64_t dropped = fate_of(&f, WEIR_FATE_DROPPED);
    assert_true(dropped > 0);
    assert_int_equal(count + dropped, RECORDS);
    queue_end(&f);
}

static void a_reset_gives_all_out_again(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 10);
    weir_member *member = join(&f, "m");
    take(&f, member, 6, &g);
    assert_int_equal(settle_some(&f, member, &g, 0, 3, WEIR_VERB_ACCEPT), WEIR_OK);
    weir_reset reset = {.group = WEIR_TEXT("g"), .partition = -1, .kind = WEIR_RESET_BEGINNING};
    assert_int_equal(group_reset(f.port, &reset), WEIR_OK);
    assert_int_equal(settle_some(&f, member, &g, 3, 6, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    assert_int_equal(take(&f, member, 100, &g), 10);
    assert_offsets(&g, 0, 10);
    assert_int_equal(g.leased[0], 1);
    assert_int_equal(settle_some(&f, member, &g, 0, 8, WEIR_VERB_ACCEPT), WEIR_OK);
    restart(&f, true);
    member = join(&f, "m");
    pass_ms(&f, 31000);
    assert_int_equal(take(&f, member, 100, &g), 2);
    assert_offsets(&g, 8, 2);
    queue_end(&f);
}

static void a_topic_that_goes_takes_its_leases_along(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    publish_many(f.port, "q/k", 10);
    weir_member *member = join(&f, "m");
    take(&f, member, 6, &g);
    assert_int_equal(topic_delete(f.port, "q"), WEIR_OK);
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_TOPIC_DELETED), 10);
    assert_int_equal(take(&f, member, 6, &g), 0);
    restart(&f, true);
    assert_int_equal(group_fate(f.port, "g", WEIR_FATE_TOPIC_DELETED), 10);
    queue_end(&f);
}

/* ---- Order by key ------------------------------------------------------------------------------- */

static void of_a_key_one_record_is_out_at_a_time_and_in_order(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.key_ordered = 1});
    for (int i = 0; i < 3; i++) {
        publish_ok(f.port, "q/a", "1");
        publish_ok(f.port, "q/b", "1");
    }
    weir_member *first = join(&f, "first"), *second = join(&f, "second");
    assert_int_equal(take(&f, first, 10, &a), 2);
    assert_int_equal(a.offsets[0], 0);
    assert_int_equal(a.offsets[1], 1);
    assert_int_equal(take(&f, second, 10, &b), 0);
    assert_int_equal(settle_some(&f, first, &a, 0, 1, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(take(&f, second, 10, &b), 1);
    assert_int_equal(b.offsets[0], 2);
    weir_settle delayed = {.verb = WEIR_VERB_RELEASE, .delay_ms = 5000};
    assert_int_equal(settle_with(&f, second, &b, 0, 1, delayed).err, WEIR_OK);
    assert_int_equal(take(&f, second, 10, &b), 0); /* it blocks its key */
    assert_int_equal(settle_some(&f, first, &a, 1, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(take(&f, second, 10, &b), 1);
    assert_int_equal(b.offsets[0], 3);
    pass_ms(&f, 5100);
    assert_int_equal(take(&f, first, 10, &a), 1);
    assert_int_equal(a.offsets[0], 2);
    queue_end(&f);
}

static void who_waits_for_its_key_goes_when_order_is_given_up(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.key_ordered = 1});
    for (int i = 0; i < 3; i++) {
        publish_ok(f.port, "q/a", "1");
    }
    weir_member *first = join(&f, "first"), *second = join(&f, "second");
    assert_int_equal(take(&f, first, 10, &a), 1);
    assert_int_equal(take(&f, second, 10, &b), 0);
    take_begin(&f, second, 10, 60000);
    weir_group_options change = {.key_ordered = 2};
    assert_int_equal(weir_port_group_alter(f.port, WEIR_TEXT("g"), &change, NULL, 5), WEIR_OK);
    weir_completion done[2] = {next_on(f.port), next_on(f.port)};
    bool alter_first = done[0].type == WEIR_COMPLETION_GROUP;
    given_of(&done[alter_first ? 1 : 0], &b);
    weir_completion_drop(&done[alter_first ? 0 : 1]);
    assert_offsets(&b, 1, 2);
    assert_int_equal(settle_all(&f, second, &b, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_all(&f, first, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    queue_end(&f);
}

static void after_a_kill_keys_are_in_order_still(void **state)
{
    fixture f;
    given a, b;
    (void)state;
    queue_start(&f, (weir_group_options){.key_ordered = 1, .lease_ms = 1000});
    for (int i = 0; i < 3; i++) {
        publish_ok(f.port, "q/a", "1");
        publish_ok(f.port, "q/b", "1");
    }
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 1, &a), 1);
    assert_int_equal(take(&f, member, 10, &b), 1);
    assert_int_equal(settle_all(&f, member, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    fixture_kill(&f);
    fixture_open(&f);
    pass_ms(&f, 1100);
    member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &a), 2);
    assert_int_equal(a.offsets[0], 1);
    assert_int_equal(a.offsets[1], 2);
    assert_int_equal(take(&f, member, 10, &b), 0);
    assert_int_equal(settle_all(&f, member, &a, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(take(&f, member, 10, &b), 2);
    assert_int_equal(b.offsets[0], 3);
    assert_int_equal(b.offsets[1], 4);
    queue_end(&f);
}

static void more_keys_than_are_remembered_wait_and_all_go_in_order(void **state)
{
    fixture f;
    given g;
    uint32_t accepted = 0;
    (void)state;
    queue_start(
        &f, (weir_group_options){
                .mode = WEIR_MODE_DEFAULT}); /* not in order yet: many are taken and given back */
    for (int i = 0; i < 10; i++) {
        publish_ok(f.port, "q/a", "1");
        publish_ok(f.port, "q/b", "1");
    }
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 12, &g), 12);
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_RELEASE), WEIR_OK);
    weir_group_options change = {.key_ordered = 1};
    assert_int_equal(group_alter(f.port, "g", &change), WEIR_OK);
    weir_group_find(f.engine, WEIR_TEXT("g"))->queue->keys_max = 5;
    int64_t last = -1;
    while (accepted < 20) {
        take_begin(&f, member, 100, 60000);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_TAKEN);
        given_of(&done, &g);
        assert_true(g.count > 0 && g.count <= 2);
        for (uint32_t i = 0; i < g.count; i++) {
            assert_true(g.offsets[i] > last - 1);
            last = g.offsets[i] > last ? g.offsets[i] : last;
        }
        assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
        accepted += g.count;
    }
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 20);
    queue_end(&f);
}

/* Every second of [1, 2048] is under one lease still, and 0 and 2049 are under another (*wide). */
static weir_member *many_runs(fixture *f, given *wide)
{
    static given one, many;
    static weir_settle_range ranges[1024];
    queue_with(f, (weir_group_options){.leased_max = 10000});
    publish_many(f->port, "q", 2050);
    weir_member *member = join(f, "m");
    assert_int_equal(take(f, member, 1, &one), 1);
    take_in_all(f, member, 2048, &many);
    for (uint32_t i = 0; i < 1024; i++) {
        ranges[i] = (weir_settle_range){.topic = WEIR_TEXT("q"),
                                        .first = many.offsets[2 * i],
                                        .last = many.offsets[2 * i],
                                        .lease = many.leases[2 * i]};
    }
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = ranges, .range_count = 1024, .epoch = many.epoch};
    assert_int_equal(answer(f, member, &settle).settled.records, 1024);
    assert_int_equal(settle_all(f, member, &one, WEIR_VERB_RELEASE), WEIR_OK);
    take_in_all(f, member, 2, wide);
    assert_int_equal(wide->offsets[0], 0);
    assert_int_equal(wide->offsets[1], 2049);
    assert_int_equal(wide->leases[0], wide->leases[1]);
    return member;
}

/* The first range is of record 0; `count` more lie over all that others have. */
static weir_completion settle_wide(fixture *f, weir_member *member, const given *wide,
                                   weir_verb verb, uint32_t count)
{
    static weir_settle_range ranges[2001];
    for (uint32_t i = 0; i <= count; i++) {
        ranges[i] = (weir_settle_range){.topic = WEIR_TEXT("q"),
                                        .first = i == 0 ? 0 : 1,
                                        .last = i == 0 ? 0 : 2048,
                                        .lease = wide->leases[0]};
    }
    weir_settle settle = {
        .verb = verb, .ranges = ranges, .range_count = count + 1, .epoch = wide->epoch};
    return answer(f, member, &settle);
}

static void an_answer_that_would_look_at_too_much_is_refused_and_changes_nothing(void **state)
{
    static given wide;
    fixture f;
    (void)state;
    queue_begin(&f);
    weir_member *member = many_runs(&f, &wide);
    assert_int_equal(settle_wide(&f, member, &wide, WEIR_VERB_ACCEPT, 2000).err, WEIR_LIMIT);
    assert_int_equal(settle_wide(&f, member, &wide, WEIR_VERB_RENEW, 2000).err, WEIR_LIMIT);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 1024);
    weir_completion done = settle_wide(&f, member, &wide, WEIR_VERB_ACCEPT, 500);
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    assert_int_equal(done.settled.records, 1);
    assert_int_equal(settle_some(&f, member, &wide, 1, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 1026);
    queue_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_retention_removed_has_expired),
        cmocka_unit_test(a_record_whose_time_is_over_is_not_given_out),
        cmocka_unit_test(a_record_for_later_is_given_out_then),
        cmocka_unit_test(a_number_beyond_all_bounds_is_the_largest_one),
        cmocka_unit_test(a_filter_passes_over_what_it_does_not_match),
        cmocka_unit_test(what_cannot_be_read_is_dropped_and_the_rest_is_given),
        cmocka_unit_test(a_reset_gives_all_out_again),
        cmocka_unit_test(a_topic_that_goes_takes_its_leases_along),
        cmocka_unit_test(of_a_key_one_record_is_out_at_a_time_and_in_order),
        cmocka_unit_test(who_waits_for_its_key_goes_when_order_is_given_up),
        cmocka_unit_test(after_a_kill_keys_are_in_order_still),
        cmocka_unit_test(more_keys_than_are_remembered_wait_and_all_go_in_order),
        cmocka_unit_test(an_answer_that_would_look_at_too_much_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
