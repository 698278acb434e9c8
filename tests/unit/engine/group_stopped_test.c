/* Writing has stopped for good: whoever asks a group for records is told so, and is not left to think
 * that there are none. */
#include "tests/unit/engine/group_queue.h"

static void begin(faulty_fixture *d)
{
    fixture *f = faulty_prepare(d);
    fixture_open(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
}

static void writing_stops(faulty_fixture *d)
{
    const weir_publish lost = {.name = WEIR_TEXT("t/k"), .value = WEIR_TEXT("x")};
    disk_broken(d);
    assert_int_equal(weir_port_publish(d->f.port, &lost, NULL, 9), WEIR_OK);
    health_becomes(&d->f, WEIR_HEALTH_STOPPED);
}

/* What is closed must have been written: it is started once more. */
static void end(faulty_fixture *d)
{
    fixture_kill(&d->f);
    disk_works(d);
    fixture_open(&d->f);
    faulty_end(d);
}

static weir_err taken_err(fixture *f)
{
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static weir_err take_err(fixture *f, weir_member *member)
{
    take_begin(f, member, 5, 0);
    return taken_err(f);
}

static void a_queue_that_cannot_write_leases_down_says_so(void **state)
{
    faulty_fixture d;
    (void)state;
    begin(&d);
    queue_with(&d.f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    weir_member *member = join(&d.f, "m");
    publish_many(d.f.port, "q", 3);
    writing_stops(&d);
    assert_int_equal(take_err(&d.f, member), WEIR_READ_ONLY);
    weir_member *late = join(&d.f, "late");
    assert_int_equal(take_err(&d.f, late), WEIR_READ_ONLY);
    end(&d);
}

static void a_take_that_waits_is_told_when_writing_stops(void **state)
{
    faulty_fixture d;
    (void)state;
    begin(&d);
    queue_with(&d.f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
    weir_member *member = join(&d.f, "m");
    take_begin(&d.f, member, 5, 60000);
    writing_stops(&d);
    assert_int_equal(taken_err(&d.f), WEIR_READ_ONLY);
    end(&d);
}

static weir_member *join_stream(fixture *f, const char *name)
{
    weir_member *member = join_group(f->port, "s", name);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_ASSIGNED);
    weir_completion_drop(&done);
    return member;
}

static void a_stream_that_writes_nothing_reads_on(void **state)
{
    static given g;
    faulty_fixture d;
    (void)state;
    begin(&d);
    assert_int_equal(group_create(d.f.port, "s", "t", WEIR_MODEL_STREAM), WEIR_OK);
    weir_member *member = join_stream(&d.f, "m");
    publish_many(d.f.port, "t", 3);
    writing_stops(&d);
    assert_int_equal(take(&d.f, member, 5, &g), 3);
    weir_member *late = join_group(d.f.port, "s", "late"); /* it can own nothing */
    assert_int_equal(take_err(&d.f, late), WEIR_READ_ONLY);
    end(&d);
}

static void a_stream_that_accepts_before_it_hands_out_says_so(void **state)
{
    faulty_fixture d;
    (void)state;
    begin(&d);
    weir_bytes topics[] = {WEIR_TEXT("t")};
    const weir_group_options once = {.model = WEIR_MODEL_STREAM,
                                     .mode = WEIR_MODE_AT_MOST_ONCE,
                                     .topics = topics,
                                     .topic_count = 1};
    assert_int_equal(group_create_with(d.f.port, "s", &once), WEIR_OK);
    weir_member *member = join_stream(&d.f, "m");
    publish_many(d.f.port, "t", 3);
    writing_stops(&d);
    assert_int_equal(take_err(&d.f, member), WEIR_READ_ONLY);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_that_cannot_write_leases_down_says_so),
        cmocka_unit_test(a_take_that_waits_is_told_when_writing_stops),
        cmocka_unit_test(a_stream_that_writes_nothing_reads_on),
        cmocka_unit_test(a_stream_that_accepts_before_it_hands_out_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
