/* A full disk: publishes are refused; reading, settling, committing, trimming, altering and deleting go
 * on from the journal's reserve, and writing resumes by itself. */
#include "tests/unit/engine/group_fates.h"
#include "tests/unit/engine/group_queue.h"

static fixture *full_begin(faulty_fixture *d)
{
    fixture *f = faulty_prepare(d);
    f->config.journal_file_bytes = 256 << 10;
    f->config.journal_reserve_bytes = 256 << 10;
    fixture_open(f);
    reserve_made(f);
    return f;
}

/* No file gets larger from now on: what is published is taken until the journal's files are full. */
static void fill(faulty_fixture *d)
{
    static uint8_t large[8000];
    const weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_BYTES(large)};
    disk_full(d, WEIR_CALL_ALLOCATE);
    for (int i = 0; publish_record(d->f.port, &record).err == WEIR_OK; i++) {
        assert_true(i < 1000);
    }
    for (int i = 0; publish(d->f.port, "t/x", "small").err == WEIR_OK; i++) {
        assert_true(i < 100);
    }
    health_becomes(&d->f, WEIR_HEALTH_DISK_FULL);
    assert_int_equal(publish(d->f.port, "t/x", "small").err, WEIR_DISK_FULL);
}

static void room_again(faulty_fixture *d)
{
    disk_works(d);
    health_becomes(&d->f, WEIR_HEALTH_OK);
}

static weir_err topic_alter(fixture *f, const char *name, const weir_topic_options *options)
{
    assert_int_equal(weir_port_topic_alter(f->port, weir_bytes_of(name), options, NULL, 0),
                     WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static void records_are_taken_and_settled(fixture *f, weir_member *member, given *held)
{
    assert_int_equal(settle_some(f, member, held, 0, 3, WEIR_VERB_ACCEPT), WEIR_OK);
    assert_int_equal(settle_some(f, member, held, 3, 5, WEIR_VERB_RELEASE), WEIR_OK);
    assert_int_equal(take(f, member, 4, held), 4);
    assert_int_equal(held->offsets[0], 3);
    assert_int_equal(settle_some(f, member, held, 0, 1, WEIR_VERB_REJECT), WEIR_OK);
    assert_int_equal(settle_some(f, member, held, 1, 4, WEIR_VERB_ACCEPT), WEIR_OK);
}

static void what_makes_room_goes_on_when_the_disk_is_full(void **state)
{
    static given held;
    faulty_fixture d;
    fixture *f = full_begin(&d);
    (void)state;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    declare(f->port, "gone", WEIR_LEVEL_DISK);
    declare(f->port, "cut", WEIR_LEVEL_DISK);
    publish_many(f->port, "gone", 5);
    publish_many(f->port, "cut", 5);
    queue_with(f, (weir_group_options){.delivery_limit = 3});
    publish_many(f->port, "q", 10);
    assert_int_equal(group_create(f->port, "other", "cut", WEIR_MODEL_STREAM), WEIR_OK);
    weir_member *member = join(f, "m");
    assert_int_equal(take(f, member, 5, &held), 5);
    fill(&d);
    records_are_taken_and_settled(f, member, &held);
    assert_int_equal(topic_trim(f->port, "cut", 3), WEIR_OK);
    weir_topic_options shorter = {.retention_ms = 1000000};
    assert_int_equal(topic_alter(f, "cut", &shorter), WEIR_OK);
    weir_group_options lease = {.lease_ms = 777};
    assert_int_equal(group_alter(f->port, "g", &lease), WEIR_OK);
    assert_int_equal(topic_delete(f->port, "gone"), WEIR_OK);
    assert_int_equal(group_delete(f->port, "other"), WEIR_OK);
    weir_topic_options new_one = {.partitions = 1};
    assert_int_equal(declare_with(f->port, "new", new_one), WEIR_DISK_FULL);
    assert_int_equal(publish(f->port, "q", "refused").err, WEIR_DISK_FULL);
    fixture_kill(f);
    disk_works(&d);
    fixture_open(f);
    assert_int_equal(fate_of(f, WEIR_FATE_ACCEPTED), 6);
    assert_int_equal(fate_of(f, WEIR_FATE_REJECTED), 1);
    weir_completion done = group_of(f->port, "g");
    assert_int_equal(done.groups.groups[0].options.lease_ms, 777);
    weir_completion_drop(&done);
    done = fetch(f->port, "cut", 0, 0, 0);
    assert_int_equal(done.err, WEIR_OFFSET_OUT_OF_RANGE);
    weir_completion_drop(&done);
    done = fetch(f->port, "gone", 0, 0, 0);
    assert_int_equal(done.err, WEIR_NOT_FOUND);
    weir_completion_drop(&done);
    faulty_end(&d);
}

static void a_reserve_that_is_used_up_refuses_and_comes_back(void **state)
{
    static given held;
    faulty_fixture d;
    fixture *f = full_begin(&d);
    weir_stats stats;
    uint32_t settled = 0;
    (void)state;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    declare(f->port, "cut", WEIR_LEVEL_DISK);
    declare(f->port, "gone", WEIR_LEVEL_DISK);
    publish_many(f->port, "cut", 5);
    queue_with(f, (weir_group_options){.delivery_limit = 3});
    publish_many(f->port, "q", 600);
    weir_member *member = join(f, "m");
    assert_int_equal(take(f, member, 600, &held), 600);
    fill(&d);
    weir_err err = WEIR_OK;
    while (settled < 600 && (err = settle_some(f, member, &held, settled, settled + 1,
                                               WEIR_VERB_ACCEPT)) == WEIR_OK) {
        settled++;
    }
    assert_int_equal(err, WEIR_DISK_FULL);
    assert_true(settled > 30 && settled < 600);
    weir_engine_stats(f->engine, &stats);
    assert_true(stats.journal_reserve >= 64 << 10 && stats.journal_reserve < 80 << 10);
    assert_record(f->port, "q", 0, NULL, "v"); /* reading goes on all the same */
    weir_group_options lease = {.lease_ms = 777};
    assert_int_equal(group_alter(f->port, "g", &lease), WEIR_DISK_FULL);
    for (int64_t before = 1; before < 5; before++) { /* its last part is for what frees disk */
        assert_int_equal(topic_trim(f->port, "cut", before), WEIR_OK);
    }
    weir_topic_options shorter = {.retention_ms = 1000000};
    assert_int_equal(topic_alter(f, "cut", &shorter), WEIR_OK);
    assert_int_equal(topic_delete(f->port, "gone"), WEIR_OK);
    assert_int_equal(settle_some(f, member, &held, settled, settled + 1, WEIR_VERB_ACCEPT),
                     WEIR_DISK_FULL);
    room_again(&d);
    assert_int_equal(settle_some(f, member, &held, settled, 600, WEIR_VERB_ACCEPT), WEIR_OK);
    (void)publish_ok(f->port, "t/x", "taken again");
    fixture_kill(f);
    fixture_open(f);
    assert_int_equal(fate_of(f, WEIR_FATE_ACCEPTED), 600);
    faulty_end(&d);
}

static void a_take_that_cannot_be_written_down_is_refused_at_once(void **state)
{
    static given held;
    faulty_fixture d;
    fixture *f = full_begin(&d);
    (void)state;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    queue_with(f, (weir_group_options){.delivery_limit = 3});
    publish_many(f->port, "q", 600);
    weir_member *member = join(f, "m");
    fill(&d);
    weir_err err = WEIR_OK;
    for (int i = 0; err == WEIR_OK; i++) {
        assert_true(i < 600);
        take_begin(f, member, 1, 60000);
        weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
        err = done.err;
        weir_completion_drop(&done);
    }
    assert_int_equal(err, WEIR_DISK_FULL);
    room_again(&d);
    assert_int_equal(take(f, member, 600, &held) > 0, true);
    faulty_end(&d);
}

static void members_come_and_go_and_take_what_is_left(void **state)
{
    static given held;
    faulty_fixture d;
    fixture *f = full_begin(&d);
    (void)state;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    queue_with(f, (weir_group_options){.delivery_limit = 3});
    publish_many(f->port, "q", 10);
    weir_member *first = join(f, "first");
    assert_int_equal(take(f, first, 5, &held), 5);
    fill(&d);
    leave(f, first, true); /* what it held is given back, and goes to another */
    weir_member *second = join(f, "second");
    assert_int_equal(take(f, second, 10, &held), 10);
    assert_int_equal(settle_all(f, second, &held, WEIR_VERB_ACCEPT), WEIR_OK);
    room_again(&d);
    assert_int_equal(fate_of(f, WEIR_FATE_ACCEPTED), 10);
    faulty_end(&d);
}

/* The files are full now, too. */
static void reserve_is_taken(fixture *f)
{
    weir_stats stats;
    weir_engine_stats(f->engine, &stats);
    uint64_t whole = stats.journal_reserve;
    for (int i = 0; stats.journal_reserve >= whole; i++) {
        weir_group_options lease = {.lease_ms = 700 + i};
        assert_true(i < 100);
        assert_int_equal(group_alter(f->port, "g", &lease), WEIR_OK);
        weir_engine_stats(f->engine, &stats);
    }
}

/* `__fates` is made with its first lines, from the reserve. */
static void the_first_story_of_all_begins_on_a_full_disk(void **state)
{
    static given held;
    faulty_fixture d;
    fixture *f = full_begin(&d);
    weir_stats stats;
    (void)state;
    declare(f->port, "t", WEIR_LEVEL_DISK);
    queue_with(f, (weir_group_options){.delivery_limit = 3});
    publish_many(f->port, "q", 1);
    weir_member *member = join(f, "m");
    fill(&d);
    reserve_is_taken(f);
    assert_int_equal(take(f, member, 1, &held), 1);
    assert_int_equal(settle_all(f, member, &held, WEIR_VERB_ACCEPT), WEIR_OK);
    story_is(f->port, "q", 0, "leased/m@local accepted/m@local ", "settled");
    weir_engine_stats(f->engine, &stats);
    assert_int_equal(stats.fate_lines_lost, 0);
    fixture_kill(f);
    disk_works(&d);
    fixture_open(f);
    story_is(f->port, "q", 0, "leased/m@local accepted/m@local ", "settled");
    faulty_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_room_goes_on_when_the_disk_is_full),
        cmocka_unit_test(a_reserve_that_is_used_up_refuses_and_comes_back),
        cmocka_unit_test(a_take_that_cannot_be_written_down_is_refused_at_once),
        cmocka_unit_test(members_come_and_go_and_take_what_is_left),
        cmocka_unit_test(the_first_story_of_all_begins_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
