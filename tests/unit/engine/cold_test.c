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

/* Fetches one partition from the offset in turn until its end or `most` fetches; where it came. */
static int64_t fetch_on(fixture *f, uint32_t partition, int64_t offset, int most)
{
    for (int i = 0; i < most; i++) {
        weir_fetch wanted = {.topic = WEIR_TEXT("t"),
                             .partition = partition,
                             .offset = offset,
                             .bytes_max = 64 << 10};
        assert_int_equal(weir_port_fetch(f->port, &wanted, NULL, 2), WEIR_OK);
        weir_completion done = next_of(f->port, WEIR_COMPLETION_FETCH);
        assert_int_equal(done.err, WEIR_OK);
        for (uint32_t r = 0; r < done.fetched.run_count; r++) {
            weir_record record;
            weir_chunk_record(done.fetched.runs[r].chunk, done.fetched.runs[r].first, &record);
            assert_int_equal(record.offset, offset);
            offset += done.fetched.runs[r].count;
        }
        bool ended = done.fetched.end_offset == offset;
        weir_completion_drop(&done);
        if (ended) {
            break;
        }
    }
    return offset;
}

static void what_a_fetch_goes_on_with_was_read_ahead(void **state)
{
    fixture f;
    (void)state;
    begin_filled(&f);
    int64_t at = fetch_on(&f, 0, 0, 1);
    assert_int_equal(cold_reads(&f), 1); /* of one alone nothing is known */
    at = fetch_on(&f, 0, at, 1);
    assert_int_equal(cold_reads(&f), 3); /* the second went on: the third is on its way */
    at = fetch_on(&f, 0, at, 1);
    assert_int_equal(cold_reads(&f), 4);
    assert_true(at < RECORDS / PARTITIONS / 2);
    fixture_end(&f); /* with one that nobody asked for */
}

static void readers_in_turn_get_every_record_once(void **state)
{
    fixture f;
    int64_t at[PARTITIONS] = {0}, before = -1, sum = 0;
    (void)state;
    begin_filled(&f);
    while (sum > before) {
        before = sum;
        sum = 0;
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            at[p] = fetch_on(&f, p, at[p], 1 + (int)p);
            sum += at[p];
        }
    }
    assert_int_equal(sum, RECORDS);
    fixture_end(&f);
}

static void a_fetch_gets_no_more_than_it_asks_for_of_what_was_read_ahead(void **state)
{
    fixture f;
    (void)state;
    begin_filled(&f);
    int64_t at = fetch_on(&f, 0, 0, 2);
    uint64_t before = cold_reads(&f);
    weir_fetch wanted = {.topic = WEIR_TEXT("t"), .offset = at, .bytes_max = 1};
    assert_int_equal(weir_port_fetch(f.port, &wanted, NULL, 2), WEIR_OK);
    weir_completion done = next_of(f.port, WEIR_COMPLETION_FETCH);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.fetched.run_count, 1);
    weir_completion_drop(&done);
    assert_true(cold_reads(&f) > before);
    fixture_end(&f);
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
        cmocka_unit_test(what_a_fetch_goes_on_with_was_read_ahead),
        cmocka_unit_test(readers_in_turn_get_every_record_once),
        cmocka_unit_test(a_fetch_gets_no_more_than_it_asks_for_of_what_was_read_ahead),
        cmocka_unit_test(four_cold_partitions_are_read_once),
        cmocka_unit_test(what_was_read_stays_while_credit_is_out),
        cmocka_unit_test(no_cold_partition_waits_until_another_has_ended),
        cmocka_unit_test(two_filters_share_what_was_read),
        cmocka_unit_test(a_deleted_topic_does_not_hold_up_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
