/* Idempotent producers and publishing ids: a retry is stored once, whatever happens in between. */
#include "tests/unit/engine/support.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/engine/state.h"

enum { BATCH_BYTES_MAX = 4096, CRC_AT = 17, ATTRIBUTES_AT = 21 };

typedef struct made {
    uint8_t bytes[BATCH_BYTES_MAX];
    size_t len;
} made;

/* A batch of `count` records whose values are its sequences, as a producer makes it. */
static void batch_make(made *out, int64_t producer, int16_t epoch, int32_t sequence, int count)
{
    weir_batch_builder builder;
    char value[16];
    uint8_t rest[64];
    uint32_t position;
    weir_batch_begin(&builder, out->bytes, sizeof(out->bytes));
    for (int i = 0; i < count; i++) {
        snprintf(value, sizeof(value), "%u", (unsigned)sequence + (unsigned)i);
        size_t len = weir_record_rest_encode(weir_bytes_of(value), NULL, 0, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_TEXT("k"), (weir_bytes){rest, len}, &position),
            WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1000);
    weir_batch_head head;
    assert_int_equal(weir_batch_head_decode(batch, &head), WEIR_OK);
    head.producer_id = producer;
    head.producer_epoch = epoch;
    head.base_sequence = sequence;
    weir_batch_head_encode(&head, out->bytes);
    weir_put_u32(out->bytes + CRC_AT,
                 weir_crc32c(0, out->bytes + ATTRIBUTES_AT, batch.len - ATTRIBUTES_AT));
    out->len = batch.len;
}

static weir_completion produce_to(fixture *f, const char *topic, uint32_t partition,
                                  const made *batch)
{
    assert_int_equal(weir_port_produce_batch(f->port, weir_bytes_of(topic), partition,
                                             (weir_bytes){batch->bytes, batch->len}, NULL, 5),
                     WEIR_OK);
    return next_of(f->port, WEIR_COMPLETION_BATCH);
}

static weir_completion produce(fixture *f, int64_t producer, int16_t epoch, int32_t sequence,
                               int count)
{
    made batch;
    batch_make(&batch, producer, epoch, sequence, count);
    return produce_to(f, "t", 0, &batch);
}

static void assert_stored(weir_completion done, int64_t offset)
{
    assert_int_equal(done.err, WEIR_OK);
    assert_false(done.published.duplicate);
    assert_int_equal(done.published.offset, offset);
}

static void assert_known(weir_completion done, int64_t offset)
{
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.published.duplicate);
    assert_int_equal(done.published.offset, offset);
}

static int64_t producer_open(fixture *f)
{
    assert_int_equal(weir_port_producer_open(f->port, NULL, 6), WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_PRODUCER);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.producer.epoch, 0);
    return done.producer.id;
}

static int64_t end_of(fixture *f, const char *topic)
{
    assert_int_equal(
        weir_port_offsets(f->port, weir_bytes_of(topic), WEIR_OFFSETS_BOUNDS, 0, NULL, 7), WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_OFFSETS);
    int64_t end = done.topics.topics[0].partitions[0].end_offset;
    weir_completion_drop(&done);
    return end;
}

static void begin(fixture *f)
{
    fixture_begin(f);
    declare(f->port, "t", WEIR_LEVEL_DISK);
}

static void a_retry_of_the_last_five_batches_has_the_offset_it_had(void **state)
{
    fixture f;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    for (int i = 0; i < 7; i++) {
        assert_stored(produce(&f, id, 0, 3 * i, 3), 3 * i);
    }
    for (int i = 2; i < 7; i++) {
        assert_known(produce(&f, id, 0, 3 * i, 3), 3 * i);
    }
    assert_int_equal(produce(&f, id, 0, 3, 3).err, WEIR_DUPLICATE);
    assert_stored(produce(&f, id, 0, 21, 1), 21);
    assert_int_equal(end_of(&f, "t"), 22);
    fixture_end(&f);
}

static void a_gap_an_old_epoch_and_a_stranger_are_refused(void **state)
{
    fixture f;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    assert_int_equal(produce(&f, id, 0, 1, 1).err, WEIR_OUT_OF_ORDER);
    assert_stored(produce(&f, id, 0, 0, 2), 0);
    assert_int_equal(produce(&f, id, 0, 3, 1).err, WEIR_OUT_OF_ORDER);
    assert_int_equal(produce(&f, id, 0, 1, 1).err, WEIR_DUPLICATE); /* a part of a stored one */
    assert_int_equal(produce(&f, id, 1, 2, 1).err, WEIR_OUT_OF_ORDER);
    assert_stored(produce(&f, id, 1, 0, 1), 2);
    assert_int_equal(produce(&f, id, 0, 2, 1).err, WEIR_PRODUCER_FENCED);
    assert_int_equal(produce(&f, id + 1, 0, 0, 1).err, WEIR_PRODUCER_UNKNOWN);
    assert_int_equal(end_of(&f, "t"), 3);
    fixture_end(&f);
}

static void sequences_begin_again_after_the_largest(void **state)
{
    fixture f;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    assert_stored(produce(&f, id, 0, 0, 1), 0);
    /* 2^31 records are too many for a test: the place is moved there by hand. */
    weir_producer *producer =
        weir_map_get(&f.engine->producers.by_id, (weir_bytes){(uint8_t *)&id, sizeof(id)});
    producer->places[0].last[0].first = INT32_MAX - 1;
    assert_stored(produce(&f, id, 0, INT32_MAX, 3), 1);
    assert_stored(produce(&f, id, 0, 2, 1), 4);
    assert_known(produce(&f, id, 0, INT32_MAX, 3), 1);
    assert_int_equal(produce(&f, id, 0, INT32_MAX - 2, 1).err, WEIR_DUPLICATE);
    fixture_end(&f);
}

static void partitions_and_producers_have_sequences_of_their_own(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    assert_int_equal(declare_with(f.port, "t", (weir_topic_options){.partitions = 3}), WEIR_OK);
    int64_t first = producer_open(&f);
    int64_t second = producer_open(&f);
    assert_true(second > first);
    made batch;
    for (uint32_t partition = 3; partition-- > 0;) {
        batch_make(&batch, first, 0, 0, 2);
        assert_stored(produce_to(&f, "t", partition, &batch), 0);
        batch_make(&batch, second, 0, 0, 2);
        assert_stored(produce_to(&f, "t", partition, &batch), 2);
    }
    batch_make(&batch, first, 0, 0, 2);
    assert_known(produce_to(&f, "t", 1, &batch), 0);
    fixture_end(&f);
}

static void sequences_survive_a_kill_a_stop_and_checkpoints(void **state)
{
    fixture f;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    for (int round = 0; round < 6; round++) {
        assert_stored(produce(&f, id, 0, 2 * round, 2), 2 * round);
        if (round % 2 == 0) {
            fixture_kill(&f);
        } else {
            fixture_close(&f); /* its checkpoint holds everything: nothing is replayed */
        }
        fixture_open(&f);
        for (int back = round > 4 ? round - 4 : 0; back <= round; back++) {
            assert_known(produce(&f, id, 0, 2 * back, 2), 2 * back);
        }
        assert_int_equal(produce(&f, id, 0, 2 * round + 3, 1).err, WEIR_OUT_OF_ORDER);
        assert_true(producer_open(&f) > id); /* no id is given out twice */
    }
    assert_int_equal(end_of(&f, "t"), 12);
    fixture_end(&f);
}

/* Found by tests/crash: only the first batch of a unit was remembered by a replay. */
static void batches_of_one_unit_are_all_remembered_after_a_kill(void **state)
{
    fixture f;
    made batch;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    for (int i = 0; i < 4; i++) {
        batch_make(&batch, id, 0, i, 1);
        assert_int_equal(weir_port_produce_batch(f.port, WEIR_TEXT("t"), 0,
                                                 (weir_bytes){batch.bytes, batch.len}, NULL, 5),
                         WEIR_OK);
    }
    for (int i = 0; i < 4; i++) {
        assert_stored(next_of(f.port, WEIR_COMPLETION_BATCH), i);
    }
    fixture_kill(&f);
    fixture_open(&f);
    for (int i = 0; i < 4; i++) {
        assert_known(produce(&f, id, 0, i, 1), i);
    }
    assert_stored(produce(&f, id, 0, 4, 1), 4);
    assert_int_equal(end_of(&f, "t"), 5);
    fixture_end(&f);
}

static weir_completion publish_as(fixture *f, const char *producer, uint64_t id, const char *value)
{
    weir_publish record = {.name = WEIR_TEXT("t/k"),
                           .value = weir_bytes_of(value),
                           .producer = weir_bytes_of(producer),
                           .publishing_id = id};
    return publish_record(f->port, &record);
}

static uint64_t where(fixture *f, const char *producer, bool *known)
{
    assert_int_equal(
        weir_port_producer_where(f->port, weir_bytes_of(producer), WEIR_TEXT("t"), 0, NULL, 8),
        WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_PRODUCER);
    assert_int_equal(done.err, WEIR_OK);
    *known = done.producer.known;
    return done.producer.publishing_id;
}

static void a_publishing_id_that_does_not_rise_is_not_stored_again(void **state)
{
    fixture f;
    bool known = true;
    (void)state;
    begin(&f);
    assert_int_equal(where(&f, "meter", &known), 0);
    assert_false(known);
    assert_stored(publish_as(&f, "meter", 0, "a"), 0);
    assert_stored(publish_as(&f, "meter", 10, "b"), 1);
    assert_true(publish_as(&f, "meter", 10, "b").published.duplicate);
    assert_true(publish_as(&f, "meter", 7, "late").published.duplicate);
    assert_stored(publish_as(&f, "other", 7, "c"), 2);
    assert_int_equal(where(&f, "meter", &known), 10);
    assert_true(known);
    assert_int_equal(end_of(&f, "t"), 3);
    fixture_end(&f);
}

static void publishing_ids_survive_a_kill_and_a_stop(void **state)
{
    fixture f;
    bool known = false;
    (void)state;
    begin(&f);
    for (uint64_t round = 1; round <= 6; round++) {
        assert_stored(publish_as(&f, "meter", round, "v"), (int64_t)round - 1);
        if (round % 2 == 0) {
            fixture_kill(&f);
        } else {
            fixture_close(&f);
        }
        fixture_open(&f);
        assert_true(publish_as(&f, "meter", round, "v").published.duplicate);
        assert_int_equal(where(&f, "meter", &known), round);
    }
    assert_int_equal(end_of(&f, "t"), 6);
    fixture_end(&f);
}

/* Without a key, by another connection each time. */
static weir_completion publish_keyless(fixture *f, const char *producer, uint64_t id)
{
    static uint64_t publisher = 100;
    weir_publish record = {.name = WEIR_TEXT("many"),
                           .value = WEIR_TEXT("v"),
                           .publisher = ++publisher,
                           .producer = weir_bytes_of(producer),
                           .publishing_id = id};
    weir_completion done = publish_record(f->port, &record);
    assert_int_equal(done.err, WEIR_OK);
    return done;
}

static void without_a_key_a_retry_comes_to_the_same_partition_after_a_start_too(void **state)
{
    enum { NAMES = 20, PARTITIONS = 7 };
    fixture f;
    uint32_t where_it_went[NAMES] = {0}, used = 0;
    char name[16];
    (void)state;
    begin(&f);
    weir_topic_options many = {.partitions = PARTITIONS, .level = WEIR_LEVEL_DISK};
    assert_int_equal(declare_with(f.port, "many", many), WEIR_OK);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < NAMES; i++) {
            snprintf(name, sizeof(name), "meter-%u", (unsigned)i);
            weir_completion done = publish_keyless(&f, name, 1);
            assert_int_equal(done.published.duplicate, round > 0);
            assert_true(round == 0 || done.published.partition == where_it_went[i]);
            where_it_went[i] = done.published.partition;
            used |= UINT32_C(1) << done.published.partition;
        }
        if (round == 1) {
            fixture_kill(&f);
            fixture_open(&f);
        }
    }
    assert_true((used & (used - 1)) != 0); /* not all in one */
    fixture_end(&f);
}

static void what_cannot_be_published_once_is_refused(void **state)
{
    fixture f;
    char name[WEIR_PRODUCER_NAME_BYTES_MAX + 2];
    (void)state;
    begin(&f);
    weir_publish live = {.name = WEIR_TEXT("nobody/declared"),
                         .value = WEIR_TEXT("v"),
                         .producer = WEIR_TEXT("meter"),
                         .publishing_id = 1};
    assert_int_equal(publish_record(f.port, &live).err, WEIR_NOT_OFFERED);
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    live.producer = weir_bytes_of(name);
    assert_int_equal(weir_port_publish(f.port, &live, NULL, 1), WEIR_INVALID);
    live.producer = WEIR_TEXT("");
    assert_int_equal(weir_port_publish(f.port, &live, NULL, 1), WEIR_INVALID);
    fixture_end(&f);
}

static void limits_refuse_new_producers_and_never_drop_one(void **state)
{
    fixture f;
    (void)state;
    begin(&f);
    fixture_close(&f);
    f.config.limits.producers_max = 2;
    f.config.limits.publishing_names_max = 1;
    fixture_open(&f);
    int64_t id = producer_open(&f);
    producer_open(&f);
    assert_int_equal(weir_port_producer_open(f.port, NULL, 6), WEIR_OK);
    assert_int_equal(next_of(f.port, WEIR_COMPLETION_PRODUCER).err, WEIR_LIMIT);
    assert_stored(produce(&f, id, 0, 0, 1), 0);
    assert_stored(publish_as(&f, "meter", 1, "v"), 1);
    assert_int_equal(publish_as(&f, "other", 1, "v").err, WEIR_LIMIT);
    assert_stored(publish_as(&f, "meter", 2, "v"), 2);
    weir_stats stats;
    weir_engine_stats(f.engine, &stats);
    assert_int_equal(stats.producers, 2);
    assert_int_equal(stats.publishing_names, 1);
    assert_int_equal(stats.refused_producers, 2);
    fixture_end(&f);
}

static void what_was_not_used_for_long_is_forgotten_also_by_a_replay(void **state)
{
    fixture f;
    bool known = true;
    (void)state;
    begin(&f);
    int64_t id = producer_open(&f);
    assert_stored(produce(&f, id, 0, 0, 1), 0);
    assert_stored(publish_as(&f, "meter", 1, "v"), 1);
    fixture_close(&f);
    f.config.producer_expiry_ms = 50;
    fixture_open(&f);
    weir_stats stats = {.producers = 1};
    int64_t wait = wait_end();
    while (stats.producers + stats.publishing_names > 0 && wait_goes_on(wait)) {
        weir_port_wait(f.port, 20);
        weir_engine_stats(f.engine, &stats);
    }
    assert_int_equal(stats.producers + stats.publishing_names, 0);
    assert_int_equal(produce(&f, id, 0, 1, 1).err, WEIR_PRODUCER_UNKNOWN);
    f.config.producer_expiry_ms = 0;
    fixture_kill(&f);
    fixture_open(&f);
    assert_int_equal(produce(&f, id, 0, 0, 1).err, WEIR_PRODUCER_UNKNOWN);
    where(&f, "meter", &known);
    assert_false(known);
    assert_int_equal(end_of(&f, "t"), 2);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_of_the_last_five_batches_has_the_offset_it_had),
        cmocka_unit_test(a_gap_an_old_epoch_and_a_stranger_are_refused),
        cmocka_unit_test(sequences_begin_again_after_the_largest),
        cmocka_unit_test(partitions_and_producers_have_sequences_of_their_own),
        cmocka_unit_test(sequences_survive_a_kill_a_stop_and_checkpoints),
        cmocka_unit_test(batches_of_one_unit_are_all_remembered_after_a_kill),
        cmocka_unit_test(a_publishing_id_that_does_not_rise_is_not_stored_again),
        cmocka_unit_test(publishing_ids_survive_a_kill_and_a_stop),
        cmocka_unit_test(without_a_key_a_retry_comes_to_the_same_partition_after_a_start_too),
        cmocka_unit_test(what_cannot_be_published_once_is_refused),
        cmocka_unit_test(limits_refuse_new_producers_and_never_drop_one),
        cmocka_unit_test(what_was_not_used_for_long_is_forgotten_also_by_a_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
