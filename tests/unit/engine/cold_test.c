/* Subscribers that read from disk: several partitions share one read at a time. */
#include "tests/unit/engine/support.h"

#include "core/engine/state.h"

enum { PARTITIONS = 4, RECORDS = 8000, VALUE_BYTES = 500, RECORDS_TURN = 200 };

/* RECORDS records, spread over the partitions of `topic`, that are on disk only. */
static void fill(fixture *f, const char *topic)
{
    static uint8_t value[VALUE_BYTES];
    weir_topic_options options = {.partitions = PARTITIONS, .level = WEIR_LEVEL_OS};
    assert_int_equal(declare_with(f->port, topic, options), WEIR_OK);
    memset(value, 'x', sizeof(value));
    for (int i = 0; i < RECORDS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s/k%d", topic, i);
        weir_publish record = {.name = weir_bytes_of(name),
                               .value = {value, sizeof(value)},
                               .no_confirm = i + 1 < RECORDS};
        weir_err err = weir_port_publish(f->port, &record, NULL, 1);
        assert_int_equal(err, WEIR_OK);
        if (i % RECORDS_TURN == RECORDS_TURN - 1) {
            weir_port_step(f->port);
        }
    }
    weir_completion done = next_of(f->port, WEIR_COMPLETION_PUBLISH);
    assert_int_equal(done.err, WEIR_OK);
}

static void begin_filled(fixture *f)
{
    fixture_begin(f);
    fill(f, "t");
    fixture_close(f);
    fixture_open(f);
}

static uint64_t cold_reads(fixture *f)
{
    weir_stats stats = {0};
    weir_engine_stats(f->engine, &stats);
    return stats.cold_reads;
}

static uint64_t reads_allowed(uint64_t times)
{
    uint64_t bytes = (uint64_t)RECORDS * (VALUE_BYTES + 32);
    return times * (2 * ((bytes + WEIR_COLD_BYTES - 1) / WEIR_COLD_BYTES) + PARTITIONS);
}

/* Counts a delivery's records, which must go on where their partition and slot stood. */
static uint32_t take(const weir_completion *done, int64_t next[PARTITIONS])
{
    const weir_delivery *delivery = &done->delivery;
    uint32_t partition = weir_chunk_partition(delivery->chunk);
    weir_record record;
    assert_true(partition < PARTITIONS);
    weir_chunk_record(delivery->chunk, delivery->first, &record);
    assert_int_equal(record.offset, next[partition]);
    next[partition] += delivery->count;
    return delivery->count;
}

static void four_cold_partitions_are_read_once(void **state)
{
    fixture f;
    int64_t next[PARTITIONS] = {0};
    (void)state;
    begin_filled(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, UINT64_MAX);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    for (uint32_t count = 0; count < RECORDS;) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        count += take(&done, next);
        weir_completion_drop(&done);
    }
    assert_nothing(f.port);
    assert_in_range(cold_reads(&f), PARTITIONS, reads_allowed(1));
    fixture_end(&f);
}

static void what_was_read_stays_while_credit_is_out(void **state)
{
    fixture f;
    int64_t next[PARTITIONS] = {0};
    uint32_t credit = 0;
    (void)state;
    begin_filled(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 0);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    for (uint32_t count = 0; count < RECORDS;) {
        if (count == credit) {
            credit += 100;
            assert_int_equal(weir_port_credit(f.port, subscriber, 100, UINT64_MAX), WEIR_OK);
        }
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        count += take(&done, next);
        weir_completion_drop(&done);
        assert_true(count <= credit);
    }
    assert_in_range(cold_reads(&f), PARTITIONS, reads_allowed(1));
    fixture_end(&f);
}

static void no_cold_partition_waits_until_another_has_ended(void **state)
{
    fixture f;
    int64_t next[PARTITIONS] = {0};
    (void)state;
    begin_filled(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, UINT64_MAX);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    bool all = false;
    uint32_t count = 0;
    while (!all) {
        weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        count += take(&done, next);
        weir_completion_drop(&done);
        all = next[0] > 0 && next[1] > 0 && next[2] > 0 && next[3] > 0;
    }
    assert_true(count <= RECORDS / 2);
    fixture_end(&f);
}

static void two_filters_share_what_was_read(void **state)
{
    fixture f;
    int64_t next[2][PARTITIONS] = {{0}};
    (void)state;
    begin_filled(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, UINT64_MAX);
    weir_subscribe wanted = {.filter = WEIR_TEXT("t/#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    wanted = (weir_subscribe){.filter = WEIR_TEXT("#"), .start = WEIR_START_BEGINNING, .slot = 1};
    assert_int_equal(weir_port_subscribe(f.port, subscriber, &wanted, NULL, 3), WEIR_OK);
    for (uint32_t count = 0; count < 2 * RECORDS;) {
        weir_completion done = next_on(f.port);
        if (done.type == WEIR_COMPLETION_DELIVERY) {
            count += take(&done, next[done.delivery.slot]);
        }
        weir_completion_drop(&done);
    }
    assert_in_range(cold_reads(&f), PARTITIONS, reads_allowed(2));
    fixture_end(&f);
}

static void a_deleted_topic_does_not_hold_up_the_others(void **state)
{
    fixture f;
    int64_t next[PARTITIONS] = {0};
    (void)state;
    fixture_begin(&f);
    fill(&f, "a");
    fill(&f, "t");
    fixture_close(&f);
    fixture_open(&f);
    weir_subscriber *subscriber = subscriber_open(f.port, 1);
    weir_subscribe wanted = {.filter = WEIR_TEXT("#"), .start = WEIR_START_BEGINNING};
    subscribe_with(f.port, subscriber, &wanted);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
    const char *gone =
        weir_bytes_equal(weir_chunk_topic(done.delivery.chunk), WEIR_TEXT("a")) ? "a" : "t";
    weir_completion_drop(&done);
    assert_int_equal(weir_port_topic_delete(f.port, weir_bytes_of(gone), NULL, 0), WEIR_OK);
    done = next_of(f.port, WEIR_COMPLETION_TOPIC);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
    assert_int_equal(weir_port_credit(f.port, subscriber, UINT64_MAX, UINT64_MAX), WEIR_OK);
    for (uint32_t count = 0; count < RECORDS;) {
        done = next_of(f.port, WEIR_COMPLETION_DELIVERY);
        assert_false(weir_bytes_equal(weir_chunk_topic(done.delivery.chunk), weir_bytes_of(gone)));
        count += take(&done, next);
        weir_completion_drop(&done);
    }
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_cold_partitions_are_read_once),
        cmocka_unit_test(what_was_read_stays_while_credit_is_out),
        cmocka_unit_test(no_cold_partition_waits_until_another_has_ended),
        cmocka_unit_test(two_filters_share_what_was_read),
        cmocka_unit_test(a_deleted_topic_does_not_hold_up_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
