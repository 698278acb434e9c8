/* Subscriptions: what is owed, in which order, to whom, and what happens to the slow. */
#include "tests/unit/engine/support.h"

#include <pthread.h>

static void records_of_several_topics_and_live_names_come_in_publish_order(void **state)
{
    fixture f;
    char text[512] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "a", WEIR_LEVEL_DISK);
    declare(f.port, "b", WEIR_LEVEL_OS);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    subscribe(f.port, subscriber, "#");
    const char *names[] = {"a/1", "live", "b/1", "a/2", "live/2", "b"};
    for (int i = 0; i < 6; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        weir_publish record = {
            .name = weir_bytes_of(names[i]), .value = weir_bytes_of(value), .no_confirm = true};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
        weir_port_step(f.port);
    }
    while (strchr(text, '5') == NULL) {
        take_delivery(f.port, text, sizeof(text));
    }
    assert_string_equal(text, "a/1=0 live=1 b/1=2 a/2=3 live/2=4 b=5 ");
    fixture_end(&f);
}

static void overlapping_filters_give_one_copy_with_every_slot(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    const char *filters[] = {"a/#", "a/+", "a/b", "c"};
    for (uint32_t i = 0; i < 4; i++) {
        weir_subscribe wanted = {.filter = weir_bytes_of(filters[i]), .slot = 10 + i};
        subscribe_with(f.port, subscriber, &wanted);
    }
    weir_publish record = {.name = WEIR_TEXT("a/b"), .value = WEIR_TEXT("x"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
    uint32_t count = 0;
    const uint32_t *slots = weir_slots_list(done.delivery.slots, &count);
    assert_int_equal(count, 3);
    assert_int_equal(slots[0], 10);
    assert_int_equal(slots[1], 11);
    assert_int_equal(slots[2], 12);
    weir_completion_drop(&done);
    assert_nothing(f.port);
    fixture_end(&f);
}

static void records_are_given_out_before_their_publisher_is_answered(void **state)
{
    static const char *const names[] = {"live", "os", "disk"};
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "os", WEIR_LEVEL_OS);
    declare(f.port, "disk", WEIR_LEVEL_DISK);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    subscribe(f.port, subscriber, "#");
    for (size_t i = 0; i < 3; i++) {
        weir_publish record = {.name = weir_bytes_of(names[i]), .value = WEIR_TEXT("x")};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        weir_completion_drop(&done);
        assert_int_equal(next_of(f.port, WEIR_COMPLETION_PUBLISH).err, WEIR_OK);
    }
    fixture_end(&f);
}

static void no_local_holds_for_the_publisher_alone(void **state)
{
    fixture f;
    char text[64] = "";
    (void)state;
    fixture_begin(&f);
    weir_subscriber *one = subscriber_open(f.port, 10), *other = subscriber_open(f.port, 10);
    weir_subscribe wanted = {.filter = WEIR_TEXT("x"), .no_local = true};
    subscribe_with(f.port, one, &wanted);
    subscribe_with(f.port, other, &wanted);
    weir_publish record = {
        .name = WEIR_TEXT("x"), .value = WEIR_TEXT("1"), .no_confirm = true, .self = one};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
    assert_ptr_equal(done.delivery.subscriber, other);
    weir_completion_drop(&done);
    assert_nothing(f.port);
    (void)text;
    fixture_end(&f);
}

static void nothing_beyond_the_credit_is_delivered(void **state)
{
    fixture f;
    char text[256] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_OS);
    weir_subscriber *subscriber = subscriber_open(f.port, 2);
    subscribe(f.port, subscriber, "t/#");
    for (int i = 0; i < 5; i++) {
        weir_publish record = {
            .name = WEIR_TEXT("t/a"), .value = WEIR_TEXT("v"), .no_confirm = true};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    }
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "t/a=v t/a=v ");
    assert_nothing(f.port);
    assert_int_equal(weir_port_credit(f.port, subscriber, UINT64_MAX, UINT64_MAX), WEIR_OK);
    assert_int_equal(weir_port_credit(f.port, subscriber, UINT64_MAX, UINT64_MAX), WEIR_OK);
    text[0] = '\0';
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "t/a=v t/a=v t/a=v ");
    fixture_end(&f);
}

static void a_slow_live_subscriber_loses_the_oldest_and_is_told(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    fixture_close(&f);
    f.config.limits.owed_runs_max = 16;
    fixture_open(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 0);
    subscribe(f.port, subscriber, "+/a");
    for (int i = 0; i < 40;
         i++) { /* alternate with a name of another match so that runs do not join */
        weir_publish record = {
            .name = WEIR_TEXT("x/a"), .value = WEIR_TEXT("v"), .no_confirm = true};
        weir_publish other = {
            .name = WEIR_TEXT("x/b"), .value = WEIR_TEXT("v"), .no_confirm = true};
        if (i == 0) {
            weir_subscriber *second = subscriber_open(f.port, UINT64_MAX);
            subscribe(f.port, second, "x/b");
        }
        weir_port_publish(f.port, &record, NULL, 0);
        weir_port_publish(f.port, &other, NULL, 0);
    }
    weir_port_credit(f.port, subscriber, 1000, UINT64_MAX);
    uint64_t delivered = 0, dropped = 0;
    while (delivered + dropped < 40) {
        weir_completion done = next_on(f.port);
        if (done.type == WEIR_COMPLETION_NOTICE) {
            assert_int_equal(done.notice.kind, WEIR_NOTICE_DROPPED);
            dropped += done.notice.count;
        } else if (done.delivery.subscriber == subscriber) {
            delivered += done.delivery.count;
        }
        weir_completion_drop(&done);
    }
    assert_int_equal(delivered, 16);
    assert_int_equal(dropped, 24);
    fixture_end(&f);
}

static void from_the_beginning_then_on_without_a_gap(void **state)
{
    fixture f;
    char text[512] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    publish_ok(f.port, "t/a", "1");
    publish_ok(f.port, "t/b", "2");
    fixture_close(&f); /* so that they are on disk only */
    fixture_open(&f);
    publish_ok(f.port, "t/a", "3");
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/a"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    while (strchr(text, '3') == NULL) {
        take_delivery(f.port, text, sizeof(text));
    }
    publish(f.port, "t/b", "4");
    weir_publish record = {.name = WEIR_TEXT("t/a"), .value = WEIR_TEXT("5"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    while (strchr(text, '5') == NULL) {
        take_delivery(f.port, text, sizeof(text));
    }
    assert_string_equal(text, "t/a=1 t/a=3 t/a=5 ");
    fixture_end(&f);
}

static void until_end_tells_when_it_is_reached_even_when_empty(void **state)
{
    fixture f;
    char text[64] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    weir_subscribe wanted = {
        .filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING, .until_end = true};
    subscribe_with(f.port, subscriber, &wanted);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_NOTICE);
    assert_int_equal(done.notice.kind, WEIR_NOTICE_ENDED);
    publish_ok(f.port, "t/x", "1");
    subscribe_with(f.port, subscriber, &wanted);
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "t/x=1 ");
    done = next_of(f.port, WEIR_COMPLETION_NOTICE);
    assert_int_equal(done.notice.kind, WEIR_NOTICE_ENDED);
    fixture_end(&f);
}

static void a_topic_declared_later_is_read_from_its_first_record(void **state)
{
    fixture f;
    char text[64] = "";
    (void)state;
    fixture_begin(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    weir_subscribe wanted = {.filter = WEIR_TEXT("new/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    declare(f.port, "new", WEIR_LEVEL_DISK);
    weir_publish record = {.name = WEIR_TEXT("new/a"), .value = WEIR_TEXT("1"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    take_delivery(f.port, text, sizeof(text));
    assert_string_equal(text, "new/a=1 ");
    fixture_end(&f);
}

static void a_waiting_fetch_ends_with_the_record_or_with_its_time(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_completion done = fetch(f.port, "t", 0, 0, 30);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.fetched.run_count, 0);
    weir_completion_drop(&done);
    weir_fetch wanted = {.topic = WEIR_TEXT("t"), .bytes_max = 1000, .wait_ms = 9000};
    assert_int_equal(weir_port_fetch(f.port, &wanted, NULL, 7), WEIR_OK);
    weir_publish record = {.name = WEIR_TEXT("t/a"), .value = WEIR_TEXT("1"), .no_confirm = true};
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_FETCH);
    assert_int_equal(done.token, 7);
    assert_int_equal(done.fetched.run_count, 1);
    weir_completion_drop(&done);
    done = fetch(f.port, "t", 0, 5, 0);
    assert_int_equal(done.err, WEIR_OFFSET_OUT_OF_RANGE);
    weir_completion_drop(&done);
    fixture_end(&f);
}

/* ---- Several threads
 * ---------------------------------------------------------------------------------- */

enum { THREADS = 3, EACH = 3000, IDLE_MS = 2000 };

typedef struct worker {
    weir_engine *engine;
    pthread_barrier_t *all_subscribed;
    uint64_t received;
    bool failed;
} worker;

/* Publishes EACH records with a window, and counts what its subscription to everything brings. */
static void *work(void *arg)
{
    worker *me = arg;
    weir_port *port = NULL;
    weir_subscriber *subscriber = NULL;
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#")};
    int sent = 0, answered = 0, idle = 0;
    me->failed = weir_port_open(me->engine, &port) != WEIR_OK ||
                 weir_port_subscriber_open(port, NULL, &subscriber) != WEIR_OK ||
                 weir_port_subscribe(port, subscriber, &wanted, NULL, 0) != WEIR_OK;
    weir_port_credit(port, subscriber, UINT64_MAX, UINT64_MAX);
    me->failed = me->failed || next_of(port, WEIR_COMPLETION_SUBSCRIBE).err != WEIR_OK;
    pthread_barrier_wait(me->all_subscribed); /* nobody misses a record */
    while (!me->failed && idle < WAIT_MS / IDLE_MS &&
           (answered < EACH || me->received < THREADS * EACH)) {
        weir_publish record = {.name = WEIR_TEXT("t/x"), .value = WEIR_TEXT("value")};
        while (sent < EACH && sent - answered < 64 &&
               weir_port_publish(port, &record, NULL, (uint64_t)sent) == WEIR_OK) {
            sent++;
        }
        idle = weir_port_wait(port, IDLE_MS) == WEIR_TIMEOUT ? idle + 1 : 0;
        weir_completion done;
        while (weir_port_drain(port, &done, 1) == 1) {
            me->failed |= done.err != WEIR_OK;
            answered += done.type == WEIR_COMPLETION_PUBLISH ? 1 : 0;
            me->received += done.type == WEIR_COMPLETION_DELIVERY ? done.delivery.count : 0;
            weir_completion_drop(&done);
        }
    }
    me->failed |= answered != EACH;
    weir_port_close(port);
    return NULL;
}

static void run_threads(weir_sync_mode mode, weir_level level)
{
    fixture f;
    pthread_t threads[THREADS];
    worker workers[THREADS];
    pthread_barrier_t all_subscribed;
    pthread_barrier_init(&all_subscribed, NULL, THREADS);
    fixture_begin(&f);
    fixture_close(&f);
    f.config.sync = mode;
    fixture_open(&f);
    declare(f.port, "t", level);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.engine = f.engine, .all_subscribed = &all_subscribed};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    /* This thread's port is the home port: it has to be stepped. */
    bool running = true;
    int64_t end = 0;
    for (int64_t wait = wait_end(); running && wait_goes_on(wait);) {
        weir_port_wait(f.port, 10);
        weir_completion done = fetch(f.port, "t", 0, 0, 0);
        end = done.fetched.end_offset;
        weir_completion_drop(&done);
        running = end < THREADS * EACH;
    }
    assert_int_equal(end, THREADS * EACH);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(workers[i].failed);
        assert_int_equal(workers[i].received, THREADS * EACH);
    }
    pthread_barrier_destroy(&all_subscribed);
    fixture_end(&f);
}

static void threads_share_the_engine_without_a_lost_wake_up(void **state)
{
    (void)state;
    run_threads(WEIR_SYNC_INLINE, WEIR_LEVEL_OS);
    run_threads(WEIR_SYNC_INLINE, WEIR_LEVEL_DISK);
    run_threads(WEIR_SYNC_THREAD, WEIR_LEVEL_DISK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_several_topics_and_live_names_come_in_publish_order),
        cmocka_unit_test(overlapping_filters_give_one_copy_with_every_slot),
        cmocka_unit_test(records_are_given_out_before_their_publisher_is_answered),
        cmocka_unit_test(no_local_holds_for_the_publisher_alone),
        cmocka_unit_test(nothing_beyond_the_credit_is_delivered),
        cmocka_unit_test(a_slow_live_subscriber_loses_the_oldest_and_is_told),
        cmocka_unit_test(from_the_beginning_then_on_without_a_gap),
        cmocka_unit_test(until_end_tells_when_it_is_reached_even_when_empty),
        cmocka_unit_test(a_topic_declared_later_is_read_from_its_first_record),
        cmocka_unit_test(a_waiting_fetch_ends_with_the_record_or_with_its_time),
        cmocka_unit_test(threads_share_the_engine_without_a_lost_wake_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
