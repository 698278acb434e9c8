/* Dead letters: what cannot be processed stands in the group's dead-letter topic, once, and says why;
 * the unit that puts it there settles it [G4]. */
#include "tests/unit/engine/group_queue.h"

static void setup(fixture *f, int64_t delivery_limit)
{
    fixture_begin(f);
    weir_topic_options dead = {.partitions = 1, .level = WEIR_LEVEL_OS};
    assert_int_equal(declare_with(f->port, "dead", dead), WEIR_OK);
    queue_with(f, (weir_group_options){.dead_letter = WEIR_TEXT("dead"),
                                       .delivery_limit = delivery_limit});
}

static void header_is(const weir_record *record, const char *name, const char *value)
{
    weir_header header;
    assert_true(weir_record_header(record, name, &header));
    if (!weir_bytes_equal(header.value, weir_bytes_of(value))) {
        fail_msg("%s: %.*s, not %s", name, (int)header.value.len, header.value.ptr, value);
    }
}

static int64_t dead_count(fixture *f)
{
    assert_int_equal(weir_port_offsets(f->port, WEIR_TEXT("dead"), WEIR_OFFSETS_BOUNDS, 0, NULL, 0),
                     WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_OFFSETS);
    int64_t end = done.topics.topics[0].partitions[0].end_offset;
    weir_completion_drop(&done);
    return end;
}

/* What is asked for comes when its turn does. */
static void wait_dead(fixture *f, int64_t count)
{
    for (int64_t end = wait_end(); dead_count(f) < count; turn(f)) {
        assert_true(wait_goes_on(end));
    }
    assert_int_equal(dead_count(f), count);
}

/* What a member of the group rejects at the oldest place of the topic. */
static void reject_one(fixture *f, weir_member *member, const char *topic)
{
    static given held;
    take_in_all(f, member, 1, &held);
    weir_settle_range range = {.topic = weir_bytes_of(topic),
                               .first = held.offsets[0],
                               .last = held.offsets[0],
                               .lease = held.leases[0]};
    weir_settle settle = {
        .verb = WEIR_VERB_REJECT, .ranges = &range, .range_count = 1, .epoch = held.epoch};
    assert_int_equal(answer(f, member, &settle).err, WEIR_OK);
}

static void a_rejected_record_says_why_it_is_dead(void **state)
{
    static given held;
    fixture f;
    (void)state;
    setup(&f, 5);
    weir_header own = {WEIR_TEXT("colour"), WEIR_TEXT("red")};
    weir_publish record = {.topic = WEIR_TEXT("q"),
                           .key = WEIR_TEXT("k"),
                           .value = WEIR_TEXT("v"),
                           .headers = &own,
                           .header_count = 1};
    assert_int_equal(publish_record(f.port, &record).err, WEIR_OK);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 1, &held), 1);
    weir_settle settle = {.verb = WEIR_VERB_REJECT, .reason = WEIR_TEXT("no such colour")};
    assert_int_equal(settle_with(&f, member, &held, 0, 1, settle).err, WEIR_OK);
    wait_dead(&f, 1);
    for (int round = 0; round < 2; round++) {
        weir_completion done = fetch(f.port, "dead", 0, 0, 0);
        weir_record letter;
        weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &letter);
        assert_true(weir_bytes_equal(letter.key, WEIR_TEXT("k")));
        assert_true(weir_bytes_equal(letter.value, WEIR_TEXT("v")));
        header_is(&letter, "colour", "red");
        header_is(&letter, "weir-dead-topic", "q");
        header_is(&letter, "weir-dead-partition", "0");
        header_is(&letter, "weir-dead-offset", "0");
        header_is(&letter, "weir-dead-group", "g");
        header_is(&letter, "weir-dead-reason", "rejected");
        header_is(&letter, "weir-dead-text", "no such colour");
        header_is(&letter, "weir-dead-leased", "1");
        header_is(&letter, "weir-dead-failed", "0");
        weir_completion_drop(&done);
        assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 1);
        assert_int_equal(fate_of(&f, WEIR_FATE_PENDING), 0);
        if (round == 0) {
            leave(&f, member, true);
            restart(&f, true);
        }
    }
    assert_int_equal(dead_count(&f), 1);
    fixture_end(&f);
}

static void a_record_that_fails_too_often_is_dead_once(void **state)
{
    static given held;
    fixture f;
    (void)state;
    setup(&f, 2);
    publish_many(f.port, "q/k", 1);
    weir_member *member = join(&f, "m");
    for (int i = 0; i < 2; i++) {
        take_in_all(&f, member, 1, &held);
        assert_int_equal(held.failed[0], i);
        assert_int_equal(fail_all(&f, member, &held), WEIR_OK);
    }
    wait_dead(&f, 1);
    assert_int_equal(take(&f, member, 1, &held), 0);
    weir_completion done = fetch(f.port, "dead", 0, 0, 0);
    weir_record letter;
    weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &letter);
    header_is(&letter, "weir-dead-reason", "delivery-limit");
    header_is(&letter, "weir-dead-leased", "2");
    header_is(&letter, "weir-dead-failed", "2");
    weir_completion_drop(&done);
    leave(&f, member, true);
    restart(&f, true);
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), 1);
    assert_int_equal(dead_count(&f), 1);
    fixture_end(&f);
}

static void a_dead_letter_that_dies_again_says_the_new_reason_alone(void **state)
{
    static given held;
    fixture f;
    (void)state;
    setup(&f, 5);
    declare(f.port, "grave", WEIR_LEVEL_OS);
    weir_bytes topics[] = {WEIR_TEXT("dead")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .topics = topics,
                                  .topic_count = 1,
                                  .dead_letter = WEIR_TEXT("grave")};
    assert_int_equal(group_create_with(f.port, "undertaker", &options), WEIR_OK);
    publish_many(f.port, "q", 1);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 1, &held), 1);
    assert_int_equal(settle_all(&f, member, &held, WEIR_VERB_REJECT), WEIR_OK);
    wait_dead(&f, 1);
    weir_member *other = join_group(f.port, "undertaker", "u");
    reject_one(&f, other, "dead");
    weir_completion done = fetch(f.port, "grave", 0, 0, 60000);
    assert_int_equal(done.fetched.run_count, 1);
    weir_record letter;
    weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &letter);
    header_is(&letter, "weir-dead-topic", "dead");
    header_is(&letter, "weir-dead-group", "undertaker");
    weir_bytes rest = letter.headers;
    weir_header header;
    int topics_told = 0;
    while (weir_headers_next(&rest, &header)) {
        topics_told += weir_bytes_equal(header.name, WEIR_TEXT("weir-dead-topic")) ? 1 : 0;
    }
    assert_int_equal(topics_told, 1);
    weir_completion_drop(&done);
    leave(&f, member, true);
    leave(&f, other, true);
    fixture_end(&f);
}

static void letters_that_go_to_one_another_do_not_go_round_for_ever(void **state)
{
    fixture f;
    (void)state;
    setup(&f, 5);
    weir_bytes topics[] = {WEIR_TEXT("dead")};
    weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                  .topics = topics,
                                  .topic_count = 1,
                                  .dead_letter = WEIR_TEXT("q")};
    assert_int_equal(group_create_with(f.port, "back", &options), WEIR_OK);
    publish_many(f.port, "q", 1);
    weir_member *there = join(&f, "m");
    weir_member *back = join_group(f.port, "back", "b");
    for (int hop = 0; hop < WEIR_FIXED_dead_letter_hops; hop++) {
        reject_one(&f, hop % 2 == 0 ? there : back, hop % 2 == 0 ? "q" : "dead");
    }
    assert_int_equal(fate_of(&f, WEIR_FATE_DROPPED), 0);
    reject_one(&f, there, "q");
    for (int64_t end = wait_end(); fate_of(&f, WEIR_FATE_DROPPED) == 0; turn(&f)) {
        assert_true(wait_goes_on(end));
    }
    assert_int_equal(fate_of(&f, WEIR_FATE_DEAD_LETTERED), WEIR_FIXED_dead_letter_hops / 2);
    assert_int_equal(fate_of(&f, WEIR_FATE_PENDING), 0);
    assert_int_equal(dead_count(&f), WEIR_FIXED_dead_letter_hops / 2);
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_int_equal(stats.dead_letter_loops, 1);
    weir_completion done = fetch(f.port, "dead", 0, 0, 0);
    weir_record letter;
    weir_chunk_record(done.fetched.runs[0].chunk, done.fetched.runs[0].first, &letter);
    header_is(&letter, "weir-dead-hops", "1");
    weir_completion_drop(&done);
    leave(&f, there, true);
    leave(&f, back, true);
    restart(&f, true);
    assert_int_equal(fate_of(&f, WEIR_FATE_DROPPED), 1);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rejected_record_says_why_it_is_dead),
        cmocka_unit_test(a_record_that_fails_too_often_is_dead_once),
        cmocka_unit_test(a_dead_letter_that_dies_again_says_the_new_reason_alone),
        cmocka_unit_test(letters_that_go_to_one_another_do_not_go_round_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
