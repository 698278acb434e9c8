/* tests/unit/engine/group_fates_test.c - the story of a record: every event of its groups is a line of
 * it, once, in the unit that did it; and how it stands now. */
#include "core/base/varint.h"
#include "core/engine/queue.h"
#include "tests/unit/engine/group_fates.h"
#include "tests/unit/engine/group_queue.h"

static void an_accepted_record_names_its_member_and_front_end(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 5000});
    publish_many(f.port, "q/k", 3);
    weir_member *member = join(&f, "billing-1");
    take(&f, member, 2, &g);
    assert_int_equal(settle_some(&f, member, &g, 0, 1, WEIR_VERB_ACCEPT), WEIR_OK);
    for (int round = 0; round < 2; round++) {
        weir_completion done = why_of(f.port, "q", 0);
        const weir_fate_line *line = &done.why.lines[1];
        assert_int_equal(done.why.count, 2);
        assert_true(weir_bytes_equal(line->event, WEIR_TEXT("accepted")));
        assert_int_equal(line->fate, WEIR_FATE_ACCEPTED);
        assert_true(weir_bytes_equal(line->member, WEIR_TEXT("billing-1")));
        assert_true(weir_bytes_equal(line->origin, WEIR_TEXT("local")));
        assert_true(weir_bytes_equal(line->group, WEIR_TEXT("g")));
        assert_int_equal(line->leased, 1);
        assert_true(done.why.record.there);
        assert_true(weir_bytes_equal(done.why.record.key, WEIR_TEXT("k")));
        assert_int_equal(done.why.record.value_bytes, 1);
        assert_true(done.why.record.stored_ms <= done.why.lines[0].time_ms);
        assert_int_equal(done.why.from_ms, 0);
        weir_completion_drop(&done);
        restart_from_copy(&f);
    }
    queue_end(&f);
}

static void a_record_stands_where_it_is(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 5000});
    publish_many(f.port, "q/k", 6);
    weir_member *member = join(&f, "m");
    take(&f, member, 3, &g);
    settle_some(&f, member, &g, 0, 1, WEIR_VERB_ACCEPT);
    weir_settle later = {.verb = WEIR_VERB_RELEASE, .delay_ms = 60000};
    assert_int_equal(settle_with(&f, member, &g, 1, 2, later).err, WEIR_OK);
    story_is(f.port, "q", 0, "leased/m@local accepted/m@local ", "settled");
    story_is(f.port, "q", 1, "leased/m@local released/m@local ", "delayed");
    weir_completion done = why_of(f.port, "q", 2);
    assert_int_equal(done.why.standings[0].kind, WEIR_STANDING_LEASED);
    assert_true(weir_bytes_equal(done.why.standings[0].member, WEIR_TEXT("m")));
    assert_true(weir_bytes_equal(done.why.standings[0].origin, WEIR_TEXT("local")));
    assert_int_equal(done.why.standings[0].until_ms - done.why.lines[0].time_ms, 5000);
    weir_completion_drop(&done);
    done = why_of(f.port, "q", 5);
    assert_int_equal(done.why.count, 0);
    assert_int_equal(done.why.standings[0].kind, WEIR_STANDING_WAITING);
    assert_int_equal(done.why.standings[0].before, 2);
    weir_completion_drop(&done);
    queue_end(&f);
}

static void failures_and_dead_letters_are_told_in_order(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    declare(f.port, "dead", WEIR_LEVEL_OS);
    queue_with(&f, (weir_group_options){.lease_ms = 1000,
                                        .session_ms = 3600000,
                                        .delivery_limit = 3,
                                        .dead_letter = WEIR_TEXT("dead")});
    publish_ok(f.port, "q/k", "v");
    weir_member *member = join(&f, "m");
    take(&f, member, 1, &g);
    pass_ms(&f, 1100); /* its lease is over */
    take(&f, member, 1, &g);
    fail_all(&f, member, &g);
    weir_member *other = join(&f, "other");
    take(&f, other, 1, &g);
    leave(&f, other, false);
    for (int64_t end = wait_end(); fate_of(&f, WEIR_FATE_DEAD_LETTERED) == 0; turn(&f)) {
        assert_true(wait_goes_on(end));
    }
    const char *text = "leased/m@local lease-expired/@ leased/m@local failed/m@local "
                       "leased/other@local connection-lost/other@local dead-lettered/@ ";
    story_is(f.port, "q", 0, text, "settled");
    weir_completion done = why_of(f.port, "q", 0);
    const weir_fate_line *last = &done.why.lines[done.why.count - 1];
    assert_true(weir_bytes_equal(last->reason, WEIR_TEXT("delivery-limit")));
    assert_int_equal(last->leased, 3);
    assert_int_equal(last->failed, 3);
    weir_completion_drop(&done);
    restart_from_copy(&f);
    story_is(f.port, "q", 0, text, "settled");
    queue_end(&f);
}

static void the_reason_of_a_reject_is_kept(void **state)
{
    static char reason[2000];
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 5000});
    publish_many(f.port, "q/k", 2);
    weir_member *member = join(&f, "m");
    take(&f, member, 2, &g);
    memset(reason, 'x', sizeof(reason) - 1);
    weir_settle shortly = {.verb = WEIR_VERB_REJECT, .reason = WEIR_TEXT("no such customer")};
    weir_settle longer = {.verb = WEIR_VERB_REJECT, .reason = weir_bytes_of(reason)};
    assert_int_equal(settle_with(&f, member, &g, 0, 1, shortly).err, WEIR_OK);
    assert_int_equal(settle_with(&f, member, &g, 1, 2, longer).err, WEIR_OK);
    weir_completion done = why_of(f.port, "q", 0);
    assert_true(weir_bytes_equal(done.why.lines[1].reason, WEIR_TEXT("no such customer")));
    weir_completion_drop(&done);
    done = why_of(f.port, "q", 1);
    assert_int_equal(done.why.lines[1].reason.len, 256); /* cut */
    weir_completion_drop(&done);
    queue_end(&f);
}

static void at_most_once_is_accepted_at_hand_over(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.mode = WEIR_MODE_AT_MOST_ONCE});
    publish_ok(f.port, "q/k", "v");
    take(&f, join(&f, "m"), 1, &g);
    story_is(f.port, "q", 0, "accepted/m@local ", "settled");
    queue_end(&f);
}

/* Of the metrics: nothing that was counted once goes out of them. */
static void the_sums_keep_what_deleted_groups_counted(void **state)
{
    static given g;
    fixture f;
    weir_stats stats;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_many(f.port, "q/k", 5);
    take(&f, join(&f, "m"), 3, &g);
    settle_some(&f, join(&f, "other"), &g, 0, 2, WEIR_VERB_ACCEPT);
    settle_some(&f, join(&f, "third"), &g, 2, 3, WEIR_VERB_REJECT);
    for (int round = 0; round < 4; round++) {
        weir_port_step(f.port); /* shows them */
        weir_engine_stats(f.engine, &stats);
        assert_int_equal(stats.fate_accepted, 2);
        assert_int_equal(stats.fate_rejected, 1);
        assert_int_equal(stats.leased, 3);
        if (round == 0) {
            assert_int_equal(weir_port_group_delete(f.port, WEIR_TEXT("g"), true, NULL, 1),
                             WEIR_OK);
            weir_completion done = next_of(f.port, WEIR_COMPLETION_GROUP);
            assert_int_equal(done.err, WEIR_OK);
            weir_completion_drop(&done);
        } else if (round == 1) {
            restart_from_copy(&f); /* the journal has it */
        } else {
            restart(&f, round == 3); /* a checkpoint has it, and the journal behind that */
        }
    }
    queue_end(&f);
}

static void what_a_reset_leaves_behind_has_its_fate_still(void **state)
{
    fixture f;
    given g;
    (void)state;
    weir_bytes topics[] = {WEIR_TEXT("q")};
    const weir_group_options options = {
        .model = WEIR_MODEL_QUEUE, .start = WEIR_PLACE_END, .topics = topics, .topic_count = 1};
    queue_begin(&f);
    declare(f.port, "q", WEIR_LEVEL_OS);
    publish_many(f.port, "q", 1);
    assert_int_equal(group_create_with(f.port, "g", &options), WEIR_OK);
    publish_many(f.port, "q", 3);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 1, &g), 1);
    assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
    weir_reset reset = {.group = WEIR_TEXT("g"), .partition = -1, .kind = WEIR_RESET_END};
    assert_int_equal(group_reset(f.port, &reset), WEIR_OK);
    story_is(f.port, "q", 0, "", "before"); /* it was never the group's */
    story_is(f.port, "q", 1, "leased/m@local accepted/m@local ", "settled");
    story_is(f.port, "q", 2, "skipped/@ ", "settled");
    reset.kind = WEIR_RESET_BEGINNING;
    assert_int_equal(group_reset(f.port, &reset), WEIR_OK);
    story_is(f.port, "q", 1, "leased/m@local accepted/m@local reset/@ ", "waiting");
    reset.kind = WEIR_RESET_END; /* it came again, and is passed over */
    assert_int_equal(group_reset(f.port, &reset), WEIR_OK);
    story_is(f.port, "q", 1, "leased/m@local accepted/m@local reset/@ skipped/@ ", "settled");
    queue_end(&f);
}

static void a_reset_and_a_deleted_topic_are_told(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_many(f.port, "q/k", 5);
    weir_member *member = join(&f, "m");
    take(&f, member, 2, &g);
    settle_some(&f, member, &g, 0, 1, WEIR_VERB_ACCEPT);
    weir_reset end = {.group = WEIR_TEXT("g"), .partition = -1, .kind = WEIR_RESET_END};
    assert_int_equal(group_reset(f.port, &end), WEIR_OK);
    story_is(f.port, "q", 0, "leased/m@local accepted/m@local ", "settled");
    story_is(f.port, "q", 1, "leased/m@local skipped/@ ", "settled");
    story_is(f.port, "q", 4, "skipped/@ ", "settled");
    assert_int_equal(fate_of(&f, WEIR_FATE_SKIPPED), 4);
    publish_many(f.port, "q/k", 2);
    assert_int_equal(topic_delete(f.port, "q"), WEIR_OK);
    story_is(f.port, "q", 5, "topic-deleted/@ ", "");
    story_is(f.port, "q", 0, "leased/m@local accepted/m@local ", "");
    restart_from_copy(&f);
    story_is(f.port, "q", 6, "topic-deleted/@ ", "");
    weir_completion done = why_begin(f.port, "q", 0, 7, NULL);
    assert_int_equal(done.err, WEIR_NOT_FOUND);
    queue_end(&f);
}

/* In both groups. */
static void gone_for(fixture *f, int64_t offset, const char *reason)
{
    weir_completion done = why_of(f->port, "q", offset);
    assert_int_equal(done.why.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(done.why.lines[i].fate, WEIR_FATE_EXPIRED);
        assert_true(weir_bytes_equal(done.why.lines[i].event, WEIR_TEXT("expired")));
        assert_true(weir_bytes_equal(done.why.lines[i].reason, weir_bytes_of(reason)));
    }
    assert_false(done.why.record.there);
    weir_completion_drop(&done);
}

static void retention_is(fixture *f, int64_t retention_ms)
{
    weir_topic_options change = {.retention_ms = retention_ms};
    assert_int_equal(weir_port_topic_alter(f->port, WEIR_TEXT("q"), &change, NULL, 1), WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
}

static void a_trim_is_told_apart_from_retention(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    fixture_close(&f);
    f.config.cleanup_every_ms = 1;
    fixture_open(&f);
    queue_with(&f, (weir_group_options){.lease_ms = 50000});
    assert_int_equal(group_create(f.port, "s", "q", WEIR_MODEL_STREAM), WEIR_OK);
    publish_many(f.port, "q/k", 2);
    retention_is(&f, 1000);
    for (int64_t end = wait_end(); fate_of(&f, WEIR_FATE_EXPIRED) < 2; turn(&f)) {
        assert_true(wait_goes_on(end));
        pass_ms(&f, 500);
    }
    retention_is(&f, WEIR_UNLIMITED);
    publish_many(f.port, "q/k", 3);
    assert_int_equal(topic_trim(f.port, "q", 4), WEIR_OK);
    pass_ms(&f, 1);
    for (int round = 0; round < 2; round++) {
        gone_for(&f, 0, "retention");
        gone_for(&f, 1, "retention");
        gone_for(&f, 2, "trimmed");
        gone_for(&f, 3, "trimmed");
        assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), 4);
        restart_from_copy(&f);
    }
    weir_completion done = why_begin(f.port, "q", 0, 1, "s");
    assert_int_equal(done.why.count, 1);
    assert_int_equal(done.why.standing_count, 1);
    weir_completion_drop(&done);
    queue_end(&f);
}

/* Entry 9, applied as a start applies it: `cause` 1 retention, 2 a command. */
static void start_moves(fixture *f, int64_t start, uint8_t cause)
{
    uint8_t body[20] = {0};
    weir_put_u32(body, weir_topics_find(f->engine, WEIR_TEXT("q"))->id);
    weir_put_u64(body + 8, (uint64_t)start);
    body[16] = cause;
    assert_int_equal(weir_life_replay_trim(f->engine, (weir_bytes){body, 20}, 2, 1), WEIR_OK);
}

static void reason_is(fixture *f, int64_t offset, const char *reason)
{
    weir_completion done = why_of(f->port, "q", offset);
    assert_int_equal(done.why.count, 1);
    assert_int_equal(done.why.lines[0].fate, WEIR_FATE_EXPIRED);
    assert_true(weir_bytes_equal(done.why.lines[0].reason, weir_bytes_of(reason)));
    weir_completion_drop(&done);
}

/* As after a start that finds several moves which a group had not told yet: by its look, or by a take. */
static void what_went_for_several_causes_is_told_of_each(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        fixture f;
        given g;
        queue_start(&f, (weir_group_options){.lease_ms = 50000});
        publish_many(f.port, "q/k", 6);
        weir_member *member = join(&f, "m");
        start_moves(&f, 2, 1);
        start_moves(&f, 4, 2);
        start_moves(&f, 5, 1);
        if (taken == 0) {
            weir_group *group = weir_group_find(f.engine, WEIR_TEXT("g"));
            weir_queue_start_moved(f.engine, group->parts[0], WEIR_FATE_EXPIRED);
            pass_ms(&f, 1);
        }
        assert_int_equal(take(&f, member, 6, &g), 1); /* offset 5 */
        for (int64_t offset = 0; offset < 5; offset++) {
            reason_is(&f, offset, offset == 2 || offset == 3 ? "trimmed" : "retention");
        }
        assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), 5);
        queue_end(&f);
    }
}

/* Stream groups with long names: a trim tells lines of them for which no room was asked. */
static void streams_make(fixture *f, int count)
{
    char name[256];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%0200d", i);
        assert_int_equal(group_create(f->port, name, "q", WEIR_MODEL_STREAM), WEIR_OK);
    }
}

/* Of so many every other one is left, leased. */
static void every_other_is_accepted(fixture *f, uint32_t records)
{
    static given g;
    weir_member *member = join(f, "m");
    publish_many(f->port, "q/k", (int)records);
    assert_int_equal(take(f, member, records, &g), records);
    for (uint32_t i = 0; i < records; i += 2) {
        assert_int_equal(settle_some(f, member, &g, i, i + 1, WEIR_VERB_ACCEPT), WEIR_OK);
    }
}

/* Each round's unit is larger than the last one's: in some of them a line between two of the entry's
 * items makes the journal take a larger buffer. */
static void lines_that_need_room_leave_the_entry_they_tell_of_whole(void **state)
{
    enum { ROUNDS = 8, RUNS = 100, STREAMS = 50 };
    static const uint8_t value[3000];
    const weir_publish large = {
        .name = WEIR_TEXT("written/a"), .value = WEIR_BYTES(value), .no_confirm = true};
    fixture f;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 3600000, .session_ms = 3600000});
    streams_make(&f, STREAMS);
    for (int round = 1; round <= ROUNDS; round++) {
        every_other_is_accepted(&f, 2 * RUNS);
        for (int i = 1; i < round; i++) {
            assert_int_equal(weir_port_publish(f.port, &large, NULL, 1), WEIR_OK);
        }
        assert_int_equal(topic_trim(f.port, "q", (int64_t)2 * RUNS * round), WEIR_OK);
        restart_from_copy(&f);
        assert_int_equal(fate_of(&f, WEIR_FATE_EXPIRED), RUNS * round);
        assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), RUNS * round);
    }
    queue_end(&f);
}

static void questions_that_make_no_sense_are_refused(void **state)
{
    fixture f;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_ok(f.port, "q/k", "v");
    assert_int_equal(why_begin(f.port, "q", 0, 1, NULL).err, WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(why_begin(f.port, "q", 0, -1, NULL).err, WEIR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(why_begin(f.port, "q", 7, 0, NULL).err, WEIR_NOT_FOUND);
    assert_int_equal(why_begin(f.port, "none", 0, 0, NULL).err, WEIR_NOT_FOUND);
    assert_int_equal(why_begin(f.port, "q", 0, 0, "nobody").err, WEIR_NOT_FOUND);
    assert_int_equal(why_begin(f.port, "__fates", 0, 0, NULL).err, WEIR_NOT_FOUND);
    queue_end(&f);
}

static void a_record_of_a_topic_that_no_group_reads_has_a_head_and_no_story(void **state)
{
    fixture f;
    (void)state;
    queue_begin(&f);
    publish_ok(f.port, "written/a", "value");
    weir_completion done = why_of(f.port, "written", 0);
    assert_int_equal(done.why.count + done.why.standing_count, 0);
    assert_int_equal(done.why.record.value_bytes, 5);
    weir_completion_drop(&done);
    queue_end(&f);
}

static void what_is_not_of_the_filter_is_said_to_be_so(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    declare(f.port, "q", WEIR_LEVEL_OS);
    assert_int_equal(group_create_filter(f.port, "g", "q/+/red", WEIR_MODEL_QUEUE), WEIR_OK);
    publish_ok(f.port, "q/a/blue", "v");
    publish_ok(f.port, "q/a/red", "v");
    take(&f, join(&f, "m"), 5, &g);
    story_is(f.port, "q", 0, "", "unmatched");
    story_is(f.port, "q", 1, "leased/m@local ", "leased");
    queue_end(&f);
}

/* ---- `__fates` ----------------------------------------------------------------------------------- */

static void lines_become_records_and_all_are_found(void **state)
{
    enum { RECORDS = 4000 };
    fixture f;
    static given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_many(f.port, "q/k", RECORDS);
    weir_member *member = join(&f, "m");
    for (int64_t at = 0; at < RECORDS; at += g.count) { /* a unit or two for each record */
        take(&f, member, 1, &g);
        assert_int_equal(g.count, 1);
        assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_ACCEPT), WEIR_OK);
    }
    weir_completion done = fetch(f.port, "__fates", 0, 0, 0);
    assert_int_equal(done.err, WEIR_NOT_OFFERED); /* not by a plain fetch */
    for (int round = 0; round < 3; round++) {
        for (int64_t offset = 0; offset < RECORDS; offset += 333) {
            story_is(f.port, "q", offset, "leased/m@local accepted/m@local ", "settled");
        }
        if (round == 0) {
            restart_from_copy(&f);
        } else {
            restart(&f, false);
        }
    }
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_int_equal(stats.fate_lines_lost, 0);
    queue_end(&f);
}

static void the_topic_of_fates_is_the_engines_before_it_is_there(void **state)
{
    static const char *const under[] = {"__fates", "__fates/x"};
    fixture f;
    (void)state;
    queue_begin(&f);
    for (size_t i = 0; i < sizeof(under) / sizeof(under[0]); i++) {
        assert_int_equal(publish(f.port, under[i], "v").err, WEIR_NOT_OFFERED);
        assert_int_equal(group_create_filter(f.port, "g", under[i], WEIR_MODEL_STREAM),
                         WEIR_INVALID);
    }
    assert_int_equal(publish(f.port, "__fatesx", "v").err, WEIR_OK); /* live */
    queue_end(&f);
}

static void nobody_else_touches_the_topic_of_fates(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_ok(f.port, "q/k", "v");
    take(&f, join(&f, "m"), 1, &g);
    weir_publish record = {.name = WEIR_TEXT("__fates"), .value = WEIR_TEXT("v")};
    assert_int_equal(publish_record(f.port, &record).err, WEIR_NOT_OFFERED);
    weir_publish keyed = {
        .topic = WEIR_TEXT("__fates"), .key = WEIR_TEXT("k"), .value = WEIR_TEXT("v")};
    assert_int_equal(publish_record(f.port, &keyed).err, WEIR_NOT_OFFERED);
    keyed.key = WEIR_BYTES_NULL;
    assert_int_equal(publish_record(f.port, &keyed).err, WEIR_NOT_OFFERED);
    assert_int_equal(topic_delete(f.port, "__fates"), WEIR_NOT_OFFERED);
    assert_int_equal(topic_trim(f.port, "__fates", 0), WEIR_NOT_OFFERED);
    assert_int_equal(group_create(f.port, "x", "__fates", WEIR_MODEL_QUEUE), WEIR_INVALID);
    assert_int_equal(group_create_filter(f.port, "all", "#", WEIR_MODEL_QUEUE), WEIR_OK);
    weir_completion done = group_of(f.port, "all");
    assert_int_equal(done.groups.groups[0].partition_count, 2); /* of written and q */
    weir_completion_drop(&done);
    weir_topic_options topic = {.partitions = 1};
    assert_int_equal(declare_with(f.port, "__mine", topic), WEIR_NAME_INVALID);
    assert_int_equal(weir_port_topics(f.port, WEIR_BYTES_NULL, NULL, 1), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPICS);
    for (uint32_t i = 0; i < done.topics.count; i++) {
        assert_string_not_equal(done.topics.topics[i].name, "__fates");
    }
    weir_completion_drop(&done);
    queue_end(&f);
}

static void how_long_fates_are_kept_can_be_set(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_ok(f.port, "q/k", "v");
    take(&f, join(&f, "m"), 1, &g);
    weir_topic_options change = {.retention_ms = 3600000};
    assert_int_equal(weir_port_topic_alter(f.port, WEIR_TEXT("__fates"), &change, NULL, 1),
                     WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.topics.topics[0].options.retention_ms, 3600000);
    assert_int_equal(done.topics.topics[0].options.retention_bytes, 1 << 30);
    weir_completion_drop(&done);
    queue_end(&f);
}

static void a_story_longer_than_the_limit_says_what_it_left_out(void **state)
{
    enum { ROUNDS = 700 };
    fixture f;
    given g;
    (void)state;
    queue_start(&f, (weir_group_options){.lease_ms = 50000});
    publish_ok(f.port, "q/k", "v");
    weir_member *member = join(&f, "m");
    for (int i = 0; i < ROUNDS; i++) {
        take(&f, member, 1, &g);
        assert_int_equal(settle_all(&f, member, &g, WEIR_VERB_RELEASE), WEIR_OK);
    }
    take(&f, member, 1, &g);
    weir_completion done = why_of(f.port, "q", 0);
    assert_int_equal(done.why.count, WEIR_STORY_LINES_MAX);
    assert_int_equal(done.why.left_out, 2 * ROUNDS + 1 - WEIR_STORY_LINES_MAX);
    assert_int_equal(done.why.lines[done.why.count - 1].leased, ROUNDS + 1); /* the newest */
    weir_completion_drop(&done);
    queue_end(&f);
}

static void what_is_not_kept_any_more_is_said(void **state)
{
    fixture f;
    given g;
    (void)state;
    queue_begin(&f);
    fixture_close(&f);
    f.config.cleanup_every_ms = 1;
    fixture_open(&f);
    queue_with(&f, (weir_group_options){.lease_ms = 3600000, .session_ms = 3600000});
    publish_many(f.port, "q/k", 4000);
    weir_member *member = join(&f, "m");
    take(&f, member, 1, &g);
    settle_all(&f, member, &g, WEIR_VERB_ACCEPT);
    weir_topic_options change = {.retention_ms = 1000, .segment_bytes = 65536, .segment_ms = 1000};
    assert_int_equal(weir_port_topic_alter(f.port, WEIR_TEXT("__fates"), &change, NULL, 1),
                     WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    bool gone = false;
    for (int i = 1; i < 4000 && !gone; i++) {
        take(&f, member, 1, &g);
        settle_all(&f, member, &g, WEIR_VERB_ACCEPT);
        if (i % 500 == 0) {
            pass_ms(&f, 5000);
            restart(&f, false); /* what is in memory goes to segments, which grow old */
            member = join(&f, "m");
            pass_ms(&f, 5000);
            done = why_of(f.port, "q", 0);
            gone = done.why.count == 0;
            assert_true(!gone || done.why.from_ms > done.why.record.stored_ms);
            assert_int_equal(done.why.standings[0].kind, WEIR_STANDING_SETTLED);
            weir_completion_drop(&done);
        }
    }
    assert_true(gone);
    queue_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_record_names_its_member_and_front_end),
        cmocka_unit_test(a_record_stands_where_it_is),
        cmocka_unit_test(failures_and_dead_letters_are_told_in_order),
        cmocka_unit_test(the_reason_of_a_reject_is_kept),
        cmocka_unit_test(at_most_once_is_accepted_at_hand_over),
        cmocka_unit_test(the_sums_keep_what_deleted_groups_counted),
        cmocka_unit_test(what_a_reset_leaves_behind_has_its_fate_still),
        cmocka_unit_test(a_reset_and_a_deleted_topic_are_told),
        cmocka_unit_test(a_trim_is_told_apart_from_retention),
        cmocka_unit_test(what_went_for_several_causes_is_told_of_each),
        cmocka_unit_test(lines_that_need_room_leave_the_entry_they_tell_of_whole),
        cmocka_unit_test(questions_that_make_no_sense_are_refused),
        cmocka_unit_test(a_record_of_a_topic_that_no_group_reads_has_a_head_and_no_story),
        cmocka_unit_test(what_is_not_of_the_filter_is_said_to_be_so),
        cmocka_unit_test(lines_become_records_and_all_are_found),
        cmocka_unit_test(the_topic_of_fates_is_the_engines_before_it_is_there),
        cmocka_unit_test(nobody_else_touches_the_topic_of_fates),
        cmocka_unit_test(how_long_fates_are_kept_can_be_set),
        cmocka_unit_test(a_story_longer_than_the_limit_says_what_it_left_out),
        cmocka_unit_test(what_is_not_kept_any_more_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
