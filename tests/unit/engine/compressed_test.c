/* Compressed batches of clients: stored and fetched as they came, delivered record by record. */
#include "tests/unit/engine/support.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <lz4frame.h>
#include <zstd.h>

enum { RECORDS = 40, BYTES_MAX = 1 << 20, CODEC_LZ4 = 3, CODEC_ZSTD = 4 };

typedef struct made {
    uint8_t bytes[BYTES_MAX];
    size_t len;
} made;

static uint8_t plain[BYTES_MAX];

/* `count` records with keys and values "v0", "v1", ... */
static void batch_make(made *out, unsigned codec, int count, size_t value_bytes)
{
    static uint8_t rest[BYTES_MAX / 2];
    static char value[BYTES_MAX / 4];
    weir_batch_builder builder;
    uint32_t position;
    weir_batch_begin(&builder, plain, sizeof(plain));
    for (int i = 0; i < count; i++) {
        memset(value, 'x', value_bytes);
        int len = snprintf(value, 16, "v%d", i);
        weir_bytes whole = {(uint8_t *)value, value_bytes > 0 ? value_bytes : (size_t)len};
        size_t bytes = weir_record_rest_encode(whole, NULL, 0, rest);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_TEXT("k"), (weir_bytes){rest, bytes}, &position),
            WEIR_OK);
    }
    weir_bytes batch = weir_batch_finish(&builder, 0, 0, 1000);
    const uint8_t *from = plain + WEIR_BATCH_HEAD_BYTES;
    uint8_t *to = out->bytes + WEIR_BATCH_HEAD_BYTES;
    size_t room = sizeof(out->bytes) - WEIR_BATCH_HEAD_BYTES;
    size_t len = batch.len - WEIR_BATCH_HEAD_BYTES;
    len = codec == CODEC_LZ4 ? LZ4F_compressFrame(to, room, from, len, NULL)
                             : ZSTD_compress(to, room, from, len, 3);
    assert_true(len > 0 && len < room);
    memcpy(out->bytes, plain, WEIR_BATCH_HEAD_BYTES);
    out->len = WEIR_BATCH_HEAD_BYTES + len;
    weir_put_u32(out->bytes + HEAD_LENGTH, (uint32_t)(out->len - HEAD_LENGTH_END));
    out->bytes[HEAD_ATTRIBUTES + 1] |= (uint8_t)codec;
    weir_put_u32(out->bytes + HEAD_CRC,
                 weir_crc32c(0, out->bytes + HEAD_ATTRIBUTES, out->len - HEAD_ATTRIBUTES));
}

static int64_t produce(fixture *f, const made *batch)
{
    assert_int_equal(weir_port_produce_batch(f->port, WEIR_TEXT("t"), 0,
                                             (weir_bytes){batch->bytes, batch->len}, NULL, 5),
                     WEIR_OK);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_BATCH);
    assert_int_equal(done.err, WEIR_OK);
    return done.published.offset;
}

/* What is stored at `offset` is the client's bytes behind the head, and its records are plain. */
static void assert_stored(fixture *f, int64_t offset, const made *batch, int count)
{
    weir_completion done = fetch(f->port, "t", 0, offset, 0);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(done.fetched.run_count > 0);
    weir_chunk *chunk = done.fetched.runs[0].chunk;
    weir_bytes stored = weir_chunk_batch(chunk);
    assert_int_equal(stored.len, batch->len);
    assert_memory_equal(stored.ptr + WEIR_BATCH_HEAD_BYTES, batch->bytes + WEIR_BATCH_HEAD_BYTES,
                        batch->len - WEIR_BATCH_HEAD_BYTES);
    assert_int_equal(weir_chunk_count(chunk), count);
    for (int i = 0; i < count; i++) {
        weir_record record;
        char text[16];
        int len = snprintf(text, sizeof(text), "v%d", i);
        weir_chunk_record(chunk, (uint32_t)i, &record);
        assert_int_equal(record.offset, offset + i);
        assert_true(record.timestamp_ms > 1000); /* its ingress time, not the client's */
        assert_memory_equal(record.value.ptr, text, (size_t)len);
    }
    weir_completion_drop(&done);
}

static void a_compressed_batch_is_stored_as_it_came_and_read_plain(void **state)
{
    static const unsigned codecs[] = {CODEC_LZ4, CODEC_ZSTD};
    fixture f;
    made *batches = calloc(2, sizeof(made));
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    for (int i = 0; i < 2; i++) {
        batch_make(&batches[i], codecs[i], RECORDS, 0);
        assert_int_equal(produce(&f, &batches[i]), i * RECORDS);
    }
    for (int round = 0; round < 3; round++) { /* from memory, from the journal, from a segment */
        for (int i = 0; i < 2; i++) {
            assert_stored(&f, i * RECORDS, &batches[i], RECORDS);
        }
        if (round == 0) {
            fixture_kill(&f);
        } else {
            fixture_close(&f);
        }
        fixture_open(&f);
    }
    fixture_end(&f);
    free(batches);
}

static void a_subscriber_gets_the_records_of_a_compressed_batch(void **state)
{
    fixture f;
    made *batch = calloc(1, sizeof(made));
    char text[256] = "";
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    weir_subscriber *subscriber = subscriber_open(f.port, 100);
    subscribe(f.port, subscriber, "t/+");
    batch_make(batch, CODEC_ZSTD, 3, 0);
    assert_int_equal(weir_port_produce_batch(f.port, WEIR_TEXT("t"), 0,
                                             (weir_bytes){batch->bytes, batch->len}, NULL, 5),
                     WEIR_OK);
    for (int i = 0; i < 2; i++) { /* the answer and the delivery, in either order */
        weir_completion done = next_on(f.port);
        for (uint32_t r = 0; done.type == WEIR_COMPLETION_DELIVERY && r < done.delivery.count;
             r++) {
            weir_record record;
            weir_chunk_record(done.delivery.chunk, done.delivery.first + r, &record);
            size_t at = strlen(text);
            snprintf(text + at, sizeof(text) - at, "%.*s ", (int)record.value.len,
                     record.value.ptr);
        }
        weir_completion_drop(&done);
    }
    assert_string_equal(text, "v0 v1 v2 ");
    fixture_end(&f);
    free(batch);
}

static void a_batch_that_inflates_beyond_the_limit_is_too_large(void **state)
{
    fixture f;
    made *batch = calloc(1, sizeof(made));
    (void)state;
    fixture_begin(&f);
    declare(f.port, "t", WEIR_LEVEL_DISK);
    fixture_close(&f);
    f.config.limits.batch_plain_bytes_max = 1 << 20;
    f.config.limits.record_bytes_max = 1024;
    fixture_open(&f);
    batch_make(batch, CODEC_LZ4, 4, 2000); /* its records are over their own limit */
    weir_bytes bytes = {batch->bytes, batch->len};
    assert_int_equal(weir_port_produce_batch(f.port, WEIR_TEXT("t"), 0, bytes, NULL, 5),
                     WEIR_INVALID);
    batch_make(batch, CODEC_LZ4, 1, 0);
    static uint8_t zeros[2 << 20], packed[3 << 20];
    size_t len = LZ4F_compressFrame(packed, sizeof(packed), zeros, sizeof(zeros), NULL);
    assert_true(len + WEIR_BATCH_HEAD_BYTES < sizeof(batch->bytes));
    memcpy(batch->bytes + WEIR_BATCH_HEAD_BYTES, packed, len);
    batch->len = WEIR_BATCH_HEAD_BYTES + len;
    weir_put_u32(batch->bytes + HEAD_LENGTH, (uint32_t)(batch->len - HEAD_LENGTH_END));
    weir_put_u32(batch->bytes + HEAD_CRC,
                 weir_crc32c(0, batch->bytes + HEAD_ATTRIBUTES, batch->len - HEAD_ATTRIBUTES));
    bytes.len = batch->len;
    assert_int_equal(weir_port_produce_batch(f.port, WEIR_TEXT("t"), 0, bytes, NULL, 5),
                     WEIR_TOO_LARGE);
    fixture_end(&f);
    free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compressed_batch_is_stored_as_it_came_and_read_plain),
        cmocka_unit_test(a_subscriber_gets_the_records_of_a_compressed_batch),
        cmocka_unit_test(a_batch_that_inflates_beyond_the_limit_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
