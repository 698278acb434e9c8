/* Queue topics: each has its own group, which comes and goes with it; nobody else takes from it. */
#include "tests/unit/engine/group_queue.h"
#include "tests/unit/engine/life.h"

static weir_err declare_queue(fixture *f, const char *name, uint32_t partitions)
{
    weir_topic_options options = {
        .partitions = partitions, .level = WEIR_LEVEL_OS, .kind = WEIR_KIND_QUEUE};
    return declare_with(f->port, name, options);
}

static void a_queue_topic_has_a_group_that_is_named_like_it(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_queue(&f, "jobs/mail", 3), WEIR_OK);
    publish_many(f.port, "jobs/mail/x", 3);
    for (int round = 0; round < 3; round++) {
        weir_completion done = group_of(f.port, "jobs/mail");
        const weir_group_info *group = &done.groups.groups[0];
        assert_int_equal(group->options.model, WEIR_MODEL_QUEUE);
        assert_int_equal(group->options.delivery_limit, 5);
        assert_int_equal(group->partition_count, 3);
        assert_int_equal(group->fates[WEIR_FATE_PENDING], 3);
        weir_completion_drop(&done);
        assert_int_equal(weir_port_topics(f.port, weir_bytes_of("jobs/mail"), NULL, 0), WEIR_OK);
        done = next_of(f.port, WEIR_COMPLETION_TOPICS);
        assert_int_equal(done.topics.topics[0].options.kind, WEIR_KIND_QUEUE);
        assert_int_equal(done.topics.topics[0].options.retention_ms, WEIR_UNLIMITED);
        weir_completion_drop(&done);
        round == 0 ? fixture_kill(&f) : fixture_close(&f);
        fixture_open(&f);
    }
    fixture_end(&f);
}

static void its_group_goes_with_it_alone(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    assert_int_equal(group_delete(f.port, "jobs"), WEIR_INVALID);
    assert_int_equal(topic_delete(f.port, "jobs"), WEIR_OK);
    for (int round = 0; round < 2; round++) {
        weir_completion done = groups_of(f.port, "");
        assert_int_equal(done.groups.count, 0);
        weir_completion_drop(&done);
        fixture_kill(&f);
        fixture_open(&f);
    }
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    fixture_end(&f);
}

static void no_other_group_reads_it(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(group_create_filter(f.port, "before", "#", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    assert_int_equal(group_create(f.port, "other", "jobs", WEIR_MODEL_QUEUE), WEIR_INVALID);
    assert_int_equal(group_create_filter(f.port, "behind", "+/#", WEIR_MODEL_QUEUE), WEIR_OK);
    const char *names[] = {"before", "behind"};
    for (int i = 0; i < 2; i++) {
        weir_completion done = group_of(f.port, names[i]);
        assert_int_equal(done.groups.groups[0].partition_count, 0);
        weir_completion_drop(&done);
    }
    fixture_end(&f);
}

/* Created, or joined as one that is not there yet. */
static void no_group_is_made_of_a_filter_that_reaches_nothing(void **state)
{
    static const char *const none[] = {"jobs", "jobs/#", "jobs/a/+", "jobs/+"};
    const weir_group_options stream = {.model = WEIR_MODEL_STREAM};
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(group_create_filter(f.port, "g", "jobs/#", WEIR_MODEL_QUEUE), WEIR_OK);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        weir_group_options options = stream;
        const weir_join join = {.group = WEIR_TEXT("joined"), .options = &options};
        options.filter = weir_bytes_of(none[i]);
        assert_int_equal(group_create_filter(f.port, "made", none[i], WEIR_MODEL_STREAM),
                         WEIR_INVALID);
        assert_int_equal(weir_port_member_join(f.port, &join, NULL, 11), WEIR_OK);
        assert_int_equal(next_of(f.port, WEIR_COMPLETION_MEMBER).err, WEIR_INVALID);
    }
    /* What was made before stays as it is, and is found. */
    assert_int_equal(group_create_filter(f.port, "g", "jobs/#", WEIR_MODEL_QUEUE), WEIR_OK);
    assert_int_equal(declare_with(f.port, "jobs/log",
                                  (weir_topic_options){.level = WEIR_LEVEL_OS, .nested = true}),
                     WEIR_OK);
    assert_int_equal(group_create_filter(f.port, "below", "jobs/#", WEIR_MODEL_STREAM), WEIR_OK);
    fixture_end(&f);
}

static void a_name_that_a_group_has_makes_no_queue_topic(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "a", WEIR_LEVEL_OS);
    assert_int_equal(group_create(f.port, "jobs", "a", WEIR_MODEL_STREAM), WEIR_OK);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_EXISTS);
    assert_int_equal(weir_port_topics(f.port, weir_bytes_of("jobs"), NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPICS);
    assert_int_equal(done.err, WEIR_NOT_FOUND);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void a_create_tells_whether_it_made_the_topic(void **state)
{
    const weir_topic_options options = {.kind = WEIR_KIND_QUEUE};
    const weir_topic_options other = {.kind = WEIR_KIND_QUEUE, .partitions = 2};
    fixture f;
    (void)state;
    fixture_begin(&f);
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(weir_port_topic_create(f.port, WEIR_TEXT("jobs"),
                                                turn < 2 ? &options : &other, NULL, 0),
                         WEIR_OK);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
        assert_int_equal(done.err, turn < 2 ? WEIR_OK : WEIR_EXISTS);
        assert_int_equal(done.topics.created, turn == 0);
        weir_completion_drop(&done);
    }
    fixture_end(&f);
}

static void a_queue_is_not_compacted_and_stays_what_it_is(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_topic_options options = {.kind = WEIR_KIND_QUEUE, .cleanup = WEIR_CLEANUP_COMPACT};
    assert_int_equal(declare_with(f.port, "jobs", options), WEIR_INVALID);
    options.cleanup = WEIR_CLEANUP_DEFAULT;
    assert_int_equal(declare_with(f.port, "jobs", options), WEIR_OK);
    assert_int_equal(declare_with(f.port, "jobs", options), WEIR_OK);
    options.kind = WEIR_KIND_DEFAULT; /* not asked for */
    assert_int_equal(declare_with(f.port, "jobs", options), WEIR_OK);
    options.kind = WEIR_KIND_LOG;
    assert_int_equal(declare_with(f.port, "jobs", options), WEIR_EXISTS);
    declare(f.port, "log", WEIR_LEVEL_DISK);
    options.kind = WEIR_KIND_QUEUE;
    assert_int_equal(declare_with(f.port, "log", options), WEIR_EXISTS);
    weir_topic_options change = {.cleanup = WEIR_CLEANUP_COMPACT};
    assert_int_equal(weir_port_topic_alter(f.port, WEIR_TEXT("jobs"), &change, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_INVALID);
    weir_completion_drop(&done);
    change = (weir_topic_options){.kind = WEIR_KIND_LOG, .retention_ms = 1000};
    assert_int_equal(weir_port_topic_alter(f.port, WEIR_TEXT("jobs"), &change, NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.topics.topics[0].options.kind, WEIR_KIND_QUEUE);
    assert_int_equal(done.topics.topics[0].options.retention_ms, 1000);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static weir_err subscribe_err(weir_port *port, weir_subscriber *subscriber, const char *filter,
                              weir_start_kind start)
{
    weir_subscribe wanted = {.filter = weir_bytes_of(filter), .start = start};
    assert_int_equal(weir_port_subscribe(port, subscriber, &wanted, NULL, 3), WEIR_OK);
    return next_of(port, WEIR_COMPLETION_SUBSCRIBE).err;
}

static void plain_subscriptions_are_refused_and_wildcards_pass_it_by(void **state)
{
    fixture f;
    char text[256] = "";
    (void)state;
    fixture_begin(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    assert_int_equal(subscribe_err(f.port, subscriber, "#", WEIR_START_BEGINNING), WEIR_OK);
    assert_int_equal(subscribe_err(f.port, subscriber, "__fates/+", WEIR_START_END),
                     WEIR_NOT_OFFERED); /* also before it is there */
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    declare(f.port, "log", WEIR_LEVEL_OS);
    weir_subscriber *other = subscriber_open(f.port, 100);
    for (int start = WEIR_START_END; start <= WEIR_START_BEGINNING; start++) {
        assert_int_equal(subscribe_err(f.port, other, "jobs", (weir_start_kind)start),
                         WEIR_NOT_OFFERED);
        assert_int_equal(subscribe_err(f.port, other, "jobs/x", (weir_start_kind)start),
                         WEIR_NOT_OFFERED);
        assert_int_equal(subscribe_err(f.port, other, "jobs/+", (weir_start_kind)start),
                         WEIR_NOT_OFFERED);
        assert_int_equal(subscribe_err(f.port, other, "jobs/#", (weir_start_kind)start),
                         WEIR_NOT_OFFERED);
        assert_int_equal(subscribe_err(f.port, other, "jobs/x/+/y", (weir_start_kind)start),
                         WEIR_NOT_OFFERED);
        assert_int_equal(subscribe_err(f.port, other, "+/y", (weir_start_kind)start), WEIR_OK);
        assert_int_equal(subscribe_err(f.port, other, "job/#", (weir_start_kind)start), WEIR_OK);
    }
    publish_ok(f.port, "jobs/x", "1");
    publish_ok(f.port, "jobs", "2");
    assert_nothing(f.port);
    weir_publish record = {.name = weir_bytes_of("log/x"), .value = weir_bytes_of("3")};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "log/x=3 ");
    (void)next_of(f.port, WEIR_COMPLETION_PUBLISH);
    fixture_end(&f);
}

static void a_filter_that_reaches_a_nested_topic_below_a_queue_is_granted(void **state)
{
    fixture f;
    char text[256] = "";
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    assert_int_equal(declare_with(f.port, "jobs/log",
                                  (weir_topic_options){.level = WEIR_LEVEL_OS, .nested = true}),
                     WEIR_OK);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    assert_int_equal(subscribe_err(f.port, subscriber, "jobs/#", WEIR_START_END), WEIR_OK);
    publish_ok(f.port, "jobs/x", "1");
    assert_nothing(f.port);
    weir_publish record = {.name = weir_bytes_of("jobs/log/x"), .value = weir_bytes_of("3")};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    take_delivery(f.port, text, sizeof(text));
    fixture_end(&f);
}

static void a_peek_reads_without_taking(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_queue(&f, "jobs", 1), WEIR_OK);
    publish_many(f.port, "jobs", 2);
    weir_completion done = fetch(f.port, "jobs", 0, 0, 0);
    assert_int_equal(done.err, WEIR_NOT_OFFERED);
    weir_completion_drop(&done);
    weir_fetch wanted = {.topic = weir_bytes_of("jobs"), .bytes_max = 4096, .peek = true};
    assert_int_equal(weir_port_fetch(f.port, &wanted, NULL, 2), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_FETCH);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_completion_drop(&done);
    assert_int_equal(group_fate(f.port, "jobs", WEIR_FATE_PENDING), 2);
    fixture_end(&f);
}

static void disk_of_what_is_settled_is_freed(void **state)
{
    static given all;
    life_fixture l;
    (void)state;
    life_begin(&l);
    assert_int_equal(declare_queue(&l.f, "q", 1), WEIR_OK);
    int number = 0;
    life_fill(&l, "q", 100, 400, &number);
    life_checkpoints(&l, 1);
    life_segments(&l, 1, 6);
    unsigned before = life_files(&l, 1, 0, ".log");
    weir_member *member = join_group(l.f.port, "q", "m");
    take_in_all(&l.f, member, 100, &all);
    /* The first one is held: nothing may go. */
    assert_int_equal(settle_some(&l.f, member, &all, 1, 90, WEIR_VERB_ACCEPT), WEIR_OK);
    life_steps(&l, 4);
    assert_int_equal(life_bounds(&l, "q", 0).start_offset, 0);
    assert_int_equal(settle_some(&l.f, member, &all, 0, 1, WEIR_VERB_ACCEPT), WEIR_OK);
    for (int i = 0; life_files(&l, 1, 0, ".log") > before / 2; i++) {
        assert_true(i < LIFE_TURNS_MAX);
        life_steps(&l, 1);
    }
    assert_int_equal(life_bounds(&l, "q", 0).start_offset, 90);
    fixture_kill(&l.f);
    fixture_open(&l.f);
    assert_int_equal(group_fate(l.f.port, "q", WEIR_FATE_ACCEPTED), 90);
    assert_int_equal(group_fate(l.f.port, "q", WEIR_FATE_PENDING), 10);
    group_adds_up(l.f.port, "q");
    assert_int_equal(life_bounds(&l, "q", 0).start_offset, 90);
    life_end(&l);
}

/* Its group is gone under a member that holds records: that is told, and nothing else happens. */
static void assert_member_is_out(fixture *f, weir_member *member, const given *held)
{
    assert_int_equal(settle_all(f, member, held, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    take_begin(f, member, 1, 0);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
    assert_int_equal(done.err, WEIR_LEASE_LOST);
    weir_completion_drop(&done);
    leave(f, member, true);
}

static void a_queue_topic_may_be_deleted_under_its_members(void **state)
{
    static given held;
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_queue(&f, "q", 1), WEIR_OK);
    publish_many(f.port, "q", 5);
    weir_member *member = join_group(f.port, "q", "m");
    assert_int_equal(take(&f, member, 3, &held), 3);
    assert_int_equal(topic_delete(f.port, "q"), WEIR_OK);
    assert_member_is_out(&f, member, &held);
    for (int round = 0; round < 2; round++) {
        weir_completion done = groups_of(f.port, "");
        assert_int_equal(done.groups.count, 0);
        weir_completion_drop(&done);
        fixture_kill(&f);
        fixture_open(&f);
    }
    fixture_end(&f);
}

static void a_group_is_deleted_under_its_members_by_force_alone(void **state)
{
    static given held;
    fixture f;
    (void)state;
    fixture_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q", 5);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 3, &held), 3);
    assert_int_equal(group_delete(f.port, "g"), WEIR_EXISTS);
    assert_int_equal(weir_port_group_delete(f.port, weir_bytes_of("g"), true, NULL, 5), WEIR_OK);
    assert_int_equal(group_done(f.port), WEIR_OK);
    assert_member_is_out(&f, member, &held);
    restart(&f, true);
    weir_completion done = groups_of(f.port, "");
    assert_int_equal(done.groups.count, 0);
    weir_completion_drop(&done);
    fixture_end(&f);
}

static void a_log_topic_may_be_deleted_under_leases(void **state)
{
    static given held;
    fixture f;
    (void)state;
    fixture_begin(&f);
    queue_open(&f);
    declare(f.port, "other", WEIR_LEVEL_OS);
    publish_many(f.port, "q", 5);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 3, &held), 3);
    assert_int_equal(settle_some(&f, member, &held, 0, 1, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(topic_delete(f.port, "q"), WEIR_OK);
    assert_int_not_equal(settle_some(&f, member, &held, 1, 3, WEIR_VERB_ACCEPT), WEIR_OK);
    leave(&f, member, true);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_ACCEPTED), 1);
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_TOPIC_DELETED), 4);
        assert_int_equal(group_fate(f.port, "g", WEIR_FATE_PENDING), 0);
        restart(&f, true);
    }
    fixture_end(&f);
}

static void a_reset_takes_records_from_members(void **state)
{
    static given held;
    static given again;
    fixture f;
    (void)state;
    fixture_begin(&f);
    queue_open(&f);
    publish_many(f.port, "q", 6);
    weir_member *member = join(&f, "m");
    assert_int_equal(take(&f, member, 4, &held), 4);
    assert_int_equal(settle_some(&f, member, &held, 0, 2, WEIR_VERB_ACCEPT), WEIR_OK);
    weir_reset wanted = {
        .group = weir_bytes_of("g"), .partition = -1, .kind = WEIR_RESET_OFFSET, .value = 3};
    assert_int_equal(group_reset(f.port, &wanted), WEIR_OK);
    assert_int_equal(settle_some(&f, member, &held, 2, 4, WEIR_VERB_ACCEPT), WEIR_LEASE_LOST);
    assert_int_equal(fate_of(&f, WEIR_FATE_ACCEPTED), 2);
    assert_int_equal(fate_of(&f, WEIR_FATE_SKIPPED), 1);
    assert_int_equal(take(&f, member, 10, &again), 3);
    assert_offsets(&again, 3, 3);
    assert_int_equal(settle_all(&f, member, &again, WEIR_VERB_ACCEPT), WEIR_OK);
    wanted.kind = WEIR_RESET_BEGINNING;
    assert_int_equal(group_reset(f.port, &wanted), WEIR_OK);
    assert_int_equal(fate_of(&f, WEIR_FATE_PENDING), 6);
    leave(&f, member, true);
    restart(&f, true);
    assert_int_equal(fate_of(&f, WEIR_FATE_PENDING), 6);
    member = join(&f, "m");
    assert_int_equal(take(&f, member, 10, &again), 6);
    leave(&f, member, true);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_topic_has_a_group_that_is_named_like_it),
        cmocka_unit_test(its_group_goes_with_it_alone),
        cmocka_unit_test(no_other_group_reads_it),
        cmocka_unit_test(no_group_is_made_of_a_filter_that_reaches_nothing),
        cmocka_unit_test(a_name_that_a_group_has_makes_no_queue_topic),
        cmocka_unit_test(a_create_tells_whether_it_made_the_topic),
        cmocka_unit_test(a_queue_is_not_compacted_and_stays_what_it_is),
        cmocka_unit_test(plain_subscriptions_are_refused_and_wildcards_pass_it_by),
        cmocka_unit_test(a_filter_that_reaches_a_nested_topic_below_a_queue_is_granted),
        cmocka_unit_test(a_peek_reads_without_taking),
        cmocka_unit_test(disk_of_what_is_settled_is_freed),
        cmocka_unit_test(a_queue_topic_may_be_deleted_under_its_members),
        cmocka_unit_test(a_group_is_deleted_under_its_members_by_force_alone),
        cmocka_unit_test(a_log_topic_may_be_deleted_under_leases),
        cmocka_unit_test(a_reset_takes_records_from_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
