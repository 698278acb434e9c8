/* What is taken in is what a start can read: a name, a number that a checkpoint could not hold is
 * refused at the door; and what older versions let through it opens again. */
#include "tests/unit/engine/support.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/engine/ops.h"
#include "core/engine/snapshot.h"
#include "core/journal/block.h"

enum { BATCH_BYTES_MAX = 80000, CRC_AT = 17, ATTRIBUTES_AT = 21, NAME_MOST = 1024, WHOLE = 65535 };

/* ---- By the port ------------------------------------------------------------------------------ */

static weir_stats stats_of(fixture *f)
{
    weir_stats stats;
    weir_port_step(f->port);
    weir_engine_stats(f->engine, &stats);
    return stats;
}

static weir_err publish_key(fixture *f, weir_bytes key, const char *value, uint8_t attributes)
{
    weir_publish record = {.topic = WEIR_TEXT("t"),
                           .key = key,
                           .value = weir_bytes_of(value),
                           .attributes = attributes};
    return publish_record(f->port, &record).err;
}

/* A key of so many bytes of one kind. */
static weir_bytes key_of(size_t len, int byte)
{
    static uint8_t bytes[70000];
    assert_true(len <= sizeof(bytes));
    memset(bytes, byte, len);
    return (weir_bytes){bytes, len};
}

static weir_bytes key_of_levels(size_t levels)
{
    static uint8_t bytes[1000];
    for (size_t i = 0; i < 2 * levels - 1; i++) {
        bytes[i] = i % 2 == 0 ? 'a' : '/';
    }
    return (weir_bytes){bytes, 2 * levels - 1};
}

/* Once from the journal, once from a checkpoint. */
static void starts_again(fixture *f)
{
    fixture_kill(f);
    fixture_open(f);
    fixture_close(f);
    fixture_open(f);
}

static void a_retained_name_is_refused_where_a_start_could_not_read_it(void **state)
{
    const uint8_t retain = WEIR_RECORD_RETAIN;
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(publish_key(&f, key_of(NAME_MOST - 2, 'x'), "v", retain), WEIR_OK);
    assert_int_equal(publish_key(&f, key_of_levels(127), "v", retain), WEIR_OK);
    assert_int_equal(publish_key(&f, key_of(340, 0xff), "v", retain), WEIR_OK); /* %FF */
    assert_int_equal(publish_key(&f, key_of(NAME_MOST - 1, 'x'), "v", retain), WEIR_NAME_INVALID);
    assert_int_equal(publish_key(&f, key_of_levels(128), "v", retain), WEIR_NAME_INVALID);
    assert_int_equal(publish_key(&f, key_of(341, 0xff), "v", retain), WEIR_NAME_INVALID);
    assert_int_equal(publish_key(&f, key_of(WHOLE + 1, 'x'), "v", retain), WEIR_NAME_INVALID);
    assert_int_equal(publish_key(&f, key_of(70000, '+'), "v", retain), WEIR_NAME_INVALID);
    assert_int_equal(stats_of(&f).retained, 3);
    starts_again(&f);
    assert_int_equal(stats_of(&f).retained, 3);
    assert_int_equal(publish_key(&f, key_of(1, 'k'), "v", 0), WEIR_OK); /* at offset 3 */
    assert_record(f.port, "t", 3, "k", "v");
    fixture_end(&f);
}

static void a_key_of_any_length_is_stored_and_clears_what_is_not_there(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(publish_key(&f, key_of(70000, 'x'), "v", 0), WEIR_OK);
    assert_int_equal(publish_key(&f, key_of_levels(200), "v", 0), WEIR_OK);
    assert_int_equal(publish_key(&f, key_of(70000, 'x'), "", WEIR_RECORD_RETAIN), WEIR_OK);
    assert_int_equal(publish_key(&f, key_of_levels(200), "", WEIR_RECORD_RETAIN), WEIR_OK);
    starts_again(&f);
    assert_int_equal(stats_of(&f).retained, 0);
    assert_int_equal(publish_key(&f, key_of(1, 'k'), "v", 0), WEIR_OK);
    assert_record(f.port, "t", 4, "k", "v");
    fixture_end(&f);
}

static void a_headers_name_that_is_not_utf8_is_refused(void **state)
{
    const weir_header header = {WEIR_TEXT("a\xff"), WEIR_TEXT("1")};
    weir_publish record = {.name = WEIR_TEXT("t/k"), .headers = &header, .header_count = 1};
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_INVALID);
    starts_again(&f);
    assert_int_equal(publish_ok(f.port, "t/k", "v"), 0);
    fixture_end(&f);
}

/* ---- Producers -------------------------------------------------------------------------------- */

typedef struct made {
    uint8_t bytes[BATCH_BYTES_MAX];
    size_t len;
} made;

/* One record, in a batch as a client makes it. */
static void batch_make(made *out, weir_bytes key, const weir_header *header, uint8_t attributes)
{
    weir_batch_builder builder;
    uint8_t rest[64];
    uint32_t position;
    size_t len = weir_record_rest_encode(WEIR_TEXT("v"), header, header != NULL ? 1 : 0, rest);
    weir_batch_begin(&builder, out->bytes, sizeof(out->bytes));
    assert_int_equal(weir_batch_add(&builder, attributes, key, (weir_bytes){rest, len}, &position),
                     WEIR_OK);
    out->len = weir_batch_finish(&builder, 0, 0, 1000).len;
}

static void batch_of_producer(made *out, int64_t producer, int16_t epoch, int32_t sequence)
{
    weir_batch_head head;
    batch_make(out, WEIR_TEXT("k"), NULL, 0);
    assert_int_equal(weir_batch_head_decode((weir_bytes){out->bytes, out->len}, &head), WEIR_OK);
    head.producer_id = producer;
    head.producer_epoch = epoch;
    head.base_sequence = sequence;
    weir_batch_head_encode(&head, out->bytes);
    weir_put_u32(out->bytes + CRC_AT,
                 weir_crc32c(0, out->bytes + ATTRIBUTES_AT, out->len - ATTRIBUTES_AT));
}

static weir_err submit(fixture *f, const made *batch)
{
    return weir_port_produce_batch(f->port, WEIR_TEXT("t"), 0,
                                   (weir_bytes){batch->bytes, batch->len}, NULL, 5);
}

static weir_err produce(fixture *f, int64_t producer, int16_t epoch, int32_t sequence)
{
    made batch;
    batch_of_producer(&batch, producer, epoch, sequence);
    weir_err err = submit(f, &batch);
    return err == WEIR_OK ? next_of(f->port, WEIR_COMPLETION_BATCH).err : err;
}

/* As an older version did: nothing but what the engine itself asks. */
static void produce_unasked(fixture *f, const made *batch)
{
    weir_op *op = NULL;
    assert_int_equal(weir_port_op_begin(f->port, WEIR_OP_BATCH, 1 + batch->len, true, NULL, 5, &op),
                     WEIR_OK);
    op->batch.topic_bytes = 1;
    op->batch.batch_bytes = (uint32_t)batch->len;
    op->batch.record_count = 1;
    op->data[0] = 't';
    memcpy(op->data + 1, batch->bytes, batch->len);
    weir_port_op_end(f->port, op, true);
    assert_int_equal(next_of(f->port, WEIR_COMPLETION_BATCH).err, WEIR_OK);
}

static int64_t producer_open(fixture *f)
{
    assert_int_equal(weir_port_producer_open(f->port, NULL, 6), WEIR_OK);
    return next_of(f->port, WEIR_COMPLETION_PRODUCER).producer.id;
}

static void an_epoch_or_a_sequence_below_0_is_refused(void **state)
{
    fixture f;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    int64_t id = producer_open(&f);
    assert_int_equal(produce(&f, id, -1, 0), WEIR_INVALID);
    assert_int_equal(produce(&f, id, INT16_MIN, 0), WEIR_INVALID);
    assert_int_equal(produce(&f, id, 0, 0), WEIR_OK);
    assert_int_equal(produce(&f, id, 0, INT32_MIN + 1), WEIR_INVALID); /* 1 but for its sign */
    assert_int_equal(produce(&f, id, 0, -1), WEIR_INVALID);
    assert_int_equal(produce(&f, -1, -1, -1), WEIR_OK); /* of no producer */
    starts_again(&f);
    assert_int_equal(produce(&f, id, 0, 1), WEIR_OK);
    assert_record(f.port, "t", 2, "k", "v");
    fixture_end(&f);
}

static void a_directory_with_places_below_0_opens_and_goes_on(void **state)
{
    fixture f;
    made batch;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    int64_t id = producer_open(&f);
    batch_of_producer(&batch, id, -1, 0);
    produce_unasked(&f, &batch);
    int64_t other = producer_open(&f);
    assert_int_equal(produce(&f, other, 0, 0), WEIR_OK);
    batch_of_producer(&batch, other, 0, INT32_MIN + 1);
    produce_unasked(&f, &batch);
    starts_again(&f);
    starts_again(&f);
    assert_record(f.port, "t", 0, "k", "v");
    assert_record(f.port, "t", 2, "k", "v");
    assert_int_equal(produce(&f, id, 0, 0), WEIR_OK);    /* a newer epoch */
    assert_int_equal(produce(&f, other, 0, 2), WEIR_OK); /* the next one */
    starts_again(&f);
    assert_int_equal(produce(&f, id, 0, 1), WEIR_OK);
    fixture_end(&f);
}

static void a_record_whose_headers_name_is_not_utf8_is_read_after_a_start(void **state)
{
    const weir_header header = {WEIR_TEXT("a\xff"), WEIR_TEXT("1")};
    fixture f;
    made batch;
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    batch_make(&batch, WEIR_TEXT("k"), &header, 0);
    assert_int_equal(submit(&f, &batch), WEIR_INVALID);
    produce_unasked(&f, &batch);
    starts_again(&f);
    assert_record(f.port, "t", 0, "k", "v");
    fixture_end(&f);
}

/* ---- What older versions retained ------------------------------------------------------------- */

static weir_engine *engine_made(void)
{
    weir_engine_config config = {.data_dir = "/nonexistent"};
    weir_engine *engine = NULL;
    config.limits = (weir_limits)WEIR_LIMITS_DEFAULT;
    assert_int_equal(weir_engine_make(&config, &engine), WEIR_OK);
    return engine;
}

static void retained_put(weir_writer *to, weir_bytes name, weir_bytes key)
{
    made batch;
    batch_make(&batch, key, NULL, WEIR_RECORD_RETAIN);
    weir_writer_u16(to, 3); /* the payload's version */
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_RETAINED, 1);
    weir_writer_u16(to, (uint16_t)name.len);
    weir_writer_bytes(to, name.ptr, name.len);
    weir_writer_u16(to, 1);
    weir_writer_u32(to, 9);
    weir_writer_u32(to, 7); /* the topic's id */
    weir_writer_u32(to, 0);
    weir_writer_bytes(to, (const uint8_t *)"t", 1);
    weir_writer_u16(to, 2);
    weir_writer_u32(to, (uint32_t)batch.len);
    weir_writer_bytes(to, batch.bytes, batch.len);
    weir_snapshot_end(to, begin);
    assert_int_equal(to->err, WEIR_OK);
}

static weir_err decode(weir_engine *engine, const weir_buffer *payload)
{
    weir_fault fault = {0};
    return weir_snapshot_decode(engine, weir_buffer_bytes(payload), &fault);
}

/* What was read is written and read again. */
static void assert_kept(weir_engine *engine, weir_bytes name)
{
    weir_buffer again = {0};
    weir_engine *other = engine_made();
    assert_non_null(weir_map_get(&engine->retained, name));
    assert_int_equal(weir_snapshot_encode(engine, &again), WEIR_OK);
    assert_int_equal(decode(other, &again), WEIR_OK);
    assert_int_equal(other->retained.count, 1);
    assert_non_null(weir_map_get(&other->retained, name));
    weir_engine_free(other);
    weir_buffer_fini(&again);
}

/* The name under which a key was retained; no more bytes than the format has room for. */
static weir_bytes name_of(weir_bytes key)
{
    static uint8_t name[WHOLE];
    bool encoded;
    size_t len = weir_record_name(WEIR_TEXT("t"), key, name, sizeof(name), &encoded);
    return (weir_bytes){name, len < sizeof(name) ? len : sizeof(name)};
}

static void assert_read(weir_bytes key)
{
    weir_buffer payload = {0};
    weir_writer to = {.out = &payload};
    weir_engine *engine = engine_made();
    retained_put(&to, name_of(key), key);
    assert_int_equal(decode(engine, &payload), WEIR_OK);
    assert_kept(engine, name_of(key));
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

static void a_checkpoint_with_a_retained_name_of_any_length_is_read(void **state)
{
    (void)state;
    assert_read(key_of(1100, 'x'));
    assert_read(key_of_levels(200));
    assert_read(key_of(400, 0xff));
    assert_read(key_of(WHOLE - 2, 'x'));
    assert_read(key_of(70000, 'x'));
}

static void a_retained_name_that_is_not_its_records_is_damage(void **state)
{
    weir_buffer payload = {0};
    weir_writer to = {.out = &payload};
    weir_engine *engine = engine_made();
    (void)state;
    retained_put(&to, WEIR_TEXT("t/other"), WEIR_TEXT("k"));
    assert_int_equal(decode(engine, &payload), WEIR_DAMAGED);
    weir_engine_free(engine);
    weir_buffer_fini(&payload);
}

/* A unit that declares a topic and has a retained record in it. */
static void unit_put(weir_buffer *entries, weir_bytes key)
{
    made batch;
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_DISK};
    uint8_t *at;
    batch_make(&batch, key, NULL, WEIR_RECORD_RETAIN);
    size_t create = WEIR_ENTRY_TOPIC_HEAD_BYTES + 1;
    size_t record = WEIR_ENTRY_BATCH_HEAD_BYTES + batch.len;
    assert_int_equal(
        weir_buffer_reserve(entries, 2 * WEIR_JOURNAL_ENTRY_HEAD_BYTES + create + record), WEIR_OK);
    at = entries->ptr;
    memset(at, 0, WEIR_JOURNAL_ENTRY_HEAD_BYTES + create);
    weir_journal_entry_encode(at, WEIR_ENTRY_TOPIC_CREATE, 1, (uint32_t)create);
    at += WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    weir_put_u32(at, 7);
    weir_put_u32(at + 4, options.partitions);
    at[12] = (uint8_t)options.level;
    weir_put_u32(at + 16, 1);
    at[WEIR_ENTRY_TOPIC_HEAD_BYTES] = 't';
    at += create;
    weir_journal_entry_encode(at, WEIR_ENTRY_BATCH, 1, (uint32_t)record);
    at += WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    memset(at, 0, WEIR_ENTRY_BATCH_HEAD_BYTES);
    weir_put_u32(at, 7);
    at[8] = 1; /* sets retained values */
    memcpy(at + WEIR_ENTRY_BATCH_HEAD_BYTES, batch.bytes, batch.len);
    entries->len = 2 * WEIR_JOURNAL_ENTRY_HEAD_BYTES + create + record;
}

static void assert_replayed(weir_bytes key)
{
    weir_buffer entries = {0};
    weir_fault fault = {0};
    weir_engine *engine = engine_made();
    unit_put(&entries, key);
    const weir_journal_unit unit = {.number = 1, .entries = weir_buffer_bytes(&entries)};
    assert_int_equal(weir_entry_replay(engine, &unit, 0, &fault), WEIR_OK);
    assert_kept(engine, name_of(key));
    weir_engine_free(engine);
    weir_buffer_fini(&entries);
}

static void a_journal_with_a_retained_name_of_any_length_is_replayed(void **state)
{
    (void)state;
    assert_replayed(key_of(1100, 'x'));
    assert_replayed(key_of_levels(200));
    assert_replayed(key_of(70000, 'x'));
}

enum { SHORT_MS = 77 };

/* A unit that has a topic in it and, of this version, a batch with a short head, `cut` bytes too short. */
static weir_err short_replayed(uint8_t version, int64_t unit_ms, size_t cut)
{
    uint8_t memory[256], rest[64], bytes[512] = {0};
    uint8_t *at = bytes + WEIR_JOURNAL_ENTRY_HEAD_BYTES, *entry;
    const size_t create = WEIR_ENTRY_TOPIC_HEAD_BYTES + 1;
    weir_batch_builder builder;
    weir_fault fault = {0};
    uint32_t position;
    weir_batch_begin(&builder, memory, sizeof(memory));
    size_t len = weir_record_rest_encode(WEIR_TEXT("v"), NULL, 0, rest);
    assert_int_equal(
        weir_batch_add(&builder, 0, WEIR_TEXT("k"), (weir_bytes){rest, len}, &position), WEIR_OK);
    weir_bytes batch = weir_batch_finish(&builder, 0, 3, SHORT_MS);
    weir_journal_entry_encode(bytes, WEIR_ENTRY_TOPIC_CREATE, 1, (uint32_t)create);
    weir_put_u32(at, 7);
    weir_put_u32(at + 4, 1);
    at[12] = WEIR_LEVEL_DISK;
    weir_put_u32(at + 16, 1);
    at[WEIR_ENTRY_TOPIC_HEAD_BYTES] = 't';
    entry = at + create;
    at = entry + WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    at += weir_varint_encode(7, at);
    at += weir_varint_encode(0, at);
    *at++ = 0;
    at += weir_batch_head_shorten(batch, 0, 3, 1, at);
    memcpy(at, batch.ptr + WEIR_BATCH_HEAD_BYTES, batch.len - WEIR_BATCH_HEAD_BYTES);
    at += batch.len - WEIR_BATCH_HEAD_BYTES - cut;
    weir_journal_entry_encode(entry, WEIR_ENTRY_BATCH, version,
                              (uint32_t)(at - entry - WEIR_JOURNAL_ENTRY_HEAD_BYTES));
    const weir_journal_unit unit = {
        .number = 1, .engine_ms = unit_ms, .entries = {bytes, (size_t)(at - bytes)}};
    weir_engine *engine = engine_made();
    weir_err err = weir_entry_replay(engine, &unit, 0, &fault);
    const weir_topic *topic = weir_topics_find(engine, WEIR_TEXT("t"));
    assert_non_null(topic);
    assert_int_equal(topic->partitions[0]->next_offset, err == WEIR_OK ? 1 : 0);
    if (err == WEIR_OK) {
        const weir_chunk *chunk = weir_tail_at(&topic->partitions[0]->tail, 0);
        assert_true(weir_bytes_equal(weir_chunk_batch(chunk), batch));
    }
    weir_engine_free(engine);
    return err;
}

static void a_batch_with_a_short_head_is_replayed_as_it_was_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(short_replayed(2, SHORT_MS, 0), WEIR_OK);
    assert_int_equal(short_replayed(2, SHORT_MS + 1, 0), WEIR_DAMAGED); /* its CRC tells */
    for (size_t cut = 1; cut <= 9; cut++) {
        assert_int_equal(short_replayed(2, SHORT_MS, cut), WEIR_DAMAGED);
    }
    assert_int_equal(short_replayed(3, SHORT_MS, 0), WEIR_VERSION);
}

static void a_record_that_comes_alone_takes_little_more_than_itself_of_the_journal(void **state)
{
    enum { TOPICS = 50, VALUE_BYTES = 128, ENTRY_BYTES_MOST = VALUE_BYTES + 32 };
    uint8_t value[VALUE_BYTES] = {0};
    char name[16];
    fixture f;
    weir_journal_counts before, after;
    (void)state;
    fixture_begin(&f);
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        declare(f.port, name, WEIR_LEVEL_DISK);
    }
    weir_journal_counts_of(f.engine->journal, &before);
    for (int i = 0; i < TOPICS; i++) { /* all of one turn */
        snprintf(name, sizeof(name), "t%d", i);
        weir_publish record = {.name = weir_bytes_of(name), .value = {value, sizeof(value)}};
        assert_int_equal(weir_port_publish(f.port, &record, NULL, 1), WEIR_OK);
    }
    for (int got = 0; got < TOPICS;) {
        weir_completion done;
        assert_int_equal(weir_port_wait(f.port, WAIT_MS), WEIR_OK);
        while (weir_port_drain(f.port, &done, 1) == 1) {
            assert_int_equal(done.err, WEIR_OK);
            weir_completion_drop(&done);
            got++;
        }
    }
    weir_journal_counts_of(f.engine->journal, &after);
    assert_true(after.bytes - before.bytes <=
                weir_journal_block_span(TOPICS * ENTRY_BYTES_MOST + WEIR_JOURNAL_UNIT_HEAD_BYTES));
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retained_name_is_refused_where_a_start_could_not_read_it),
        cmocka_unit_test(a_key_of_any_length_is_stored_and_clears_what_is_not_there),
        cmocka_unit_test(a_headers_name_that_is_not_utf8_is_refused),
        cmocka_unit_test(an_epoch_or_a_sequence_below_0_is_refused),
        cmocka_unit_test(a_directory_with_places_below_0_opens_and_goes_on),
        cmocka_unit_test(a_record_whose_headers_name_is_not_utf8_is_read_after_a_start),
        cmocka_unit_test(a_checkpoint_with_a_retained_name_of_any_length_is_read),
        cmocka_unit_test(a_retained_name_that_is_not_its_records_is_damage),
        cmocka_unit_test(a_journal_with_a_retained_name_of_any_length_is_replayed),
        cmocka_unit_test(a_batch_with_a_short_head_is_replayed_as_it_was_or_not_at_all),
        cmocka_unit_test(a_record_that_comes_alone_takes_little_more_than_itself_of_the_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
