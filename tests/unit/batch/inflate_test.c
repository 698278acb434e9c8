/* Compressed batches: what lz4 and zstd make of records comes out again, and nothing else does. */
#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

enum { RECORDS = 500, PLAIN_BYTES_MAX = 1 << 16, CODEC_GZIP = 1, CODEC_LZ4 = 3, CODEC_ZSTD = 4 };

typedef struct made {
    uint8_t plain[PLAIN_BYTES_MAX];
    size_t plain_len;
    uint8_t bytes[PLAIN_BYTES_MAX];
    size_t len;
} made;

static void plain_make(made *out)
{
    weir_batch_builder builder;
    uint8_t rest[64];
    uint32_t position;
    size_t len = weir_record_rest_encode(WEIR_TEXT("a value like many others"), NULL, 0, rest);
    weir_batch_begin(&builder, out->plain, sizeof(out->plain));
    for (int i = 0; i < RECORDS; i++) {
        uint8_t key[4];
        weir_put_u32(key, (uint32_t)i);
        assert_int_equal(
            weir_batch_add(&builder, 0, WEIR_BYTES(key), (weir_bytes){rest, len}, &position), 0);
    }
    out->plain_len = weir_batch_finish(&builder, 0, 0, 1000).len;
}

/* The head of the plain batch, before compressed records of `len` bytes. */
static void head_put(made *out, unsigned codec, size_t len)
{
    out->len = WEIR_BATCH_HEAD_BYTES + len;
    memcpy(out->bytes, out->plain, WEIR_BATCH_HEAD_BYTES);
    weir_put_u32(out->bytes + HEAD_LENGTH, (uint32_t)(out->len - HEAD_LENGTH_END));
    out->bytes[HEAD_ATTRIBUTES + 1] |= (uint8_t)codec;
    weir_put_u32(out->bytes + HEAD_CRC,
                 weir_crc32c(0, out->bytes + HEAD_ATTRIBUTES, out->len - HEAD_ATTRIBUTES));
}

static size_t compress_part(unsigned codec, uint8_t *to, size_t room, const uint8_t *from,
                            size_t len)
{
    size_t made_bytes = codec == CODEC_LZ4 ? LZ4F_compressFrame(to, room, from, len, NULL)
                                           : ZSTD_compress(to, room, from, len, 3);
    assert_true(made_bytes > 0 && made_bytes < room);
    return made_bytes;
}

/* The records as `frames` frames one behind the other. */
static void compress(made *out, unsigned codec, size_t frames)
{
    size_t records = out->plain_len - WEIR_BATCH_HEAD_BYTES;
    size_t len = 0;
    for (size_t i = 0; i < frames; i++) {
        size_t from = records * i / frames;
        size_t to = records * (i + 1) / frames;
        len += compress_part(codec, out->bytes + WEIR_BATCH_HEAD_BYTES + len,
                             sizeof(out->bytes) - WEIR_BATCH_HEAD_BYTES - len,
                             out->plain + WEIR_BATCH_HEAD_BYTES + from, to - from);
    }
    head_put(out, codec, len);
}

static weir_err inflate(const made *from, size_t bytes_max, uint8_t **plain, size_t *len)
{
    return weir_batch_inflate((weir_bytes){from->bytes, from->len}, bytes_max, plain, len);
}

static void what_was_compressed_comes_out_again(void **state)
{
    static const unsigned codecs[] = {CODEC_LZ4, CODEC_ZSTD};
    made *batch = malloc(sizeof(*batch));
    (void)state;
    plain_make(batch);
    for (size_t i = 0; i < 4; i++) {
        uint32_t positions[RECORDS];
        weir_batch_head head;
        uint8_t *plain = NULL;
        size_t len = 0;
        compress(batch, codecs[i % 2], 1 + i / 2 * 2);
        weir_bytes whole = {batch->bytes, batch->len};
        assert_int_equal(weir_batch_check(whole, &head, NULL, 0), WEIR_UNSUPPORTED);
        assert_int_equal(inflate(batch, PLAIN_BYTES_MAX, &plain, &len), WEIR_OK);
        assert_int_equal(len, batch->plain_len);
        assert_memory_equal(plain + WEIR_BATCH_HEAD_BYTES, batch->plain + WEIR_BATCH_HEAD_BYTES,
                            len - WEIR_BATCH_HEAD_BYTES);
        assert_memory_equal(plain + HEAD_ATTRIBUTES, batch->bytes + HEAD_ATTRIBUTES,
                            WEIR_BATCH_HEAD_BYTES - HEAD_ATTRIBUTES);
        assert_int_equal(
            weir_batch_check_plain((weir_bytes){plain, len}, &head, positions, RECORDS), WEIR_OK);
        free(plain);
    }
    free(batch);
}

static void more_than_the_bound_is_too_large_whatever_was_promised(void **state)
{
    static const unsigned codecs[] = {CODEC_LZ4, CODEC_ZSTD};
    made *batch = malloc(sizeof(*batch));
    uint8_t *zeros = calloc(1, 8 << 20);
    uint8_t *packed = malloc(9 << 20);
    uint8_t *plain = NULL;
    size_t len = 0;
    (void)state;
    plain_make(batch);
    for (size_t i = 0; i < 2; i++) {
        compress(batch, codecs[i], 1);
        assert_int_equal(inflate(batch, batch->plain_len - 1, &plain, &len), WEIR_TOO_LARGE);
        assert_int_equal(inflate(batch, batch->plain_len, &plain, &len), WEIR_OK);
        free(plain);
        assert_int_equal(inflate(batch, 10, &plain, &len), WEIR_TOO_LARGE);
        size_t bomb = compress_part(codecs[i], packed, 9 << 20, zeros, 8 << 20);
        assert_true(bomb < sizeof(batch->bytes) - WEIR_BATCH_HEAD_BYTES);
        memcpy(batch->bytes + WEIR_BATCH_HEAD_BYTES, packed, bomb);
        head_put(batch, codecs[i], bomb);
        assert_int_equal(inflate(batch, 1 << 20, &plain, &len), WEIR_TOO_LARGE);
    }
    free(packed);
    free(zeros);
    free(batch);
}

static void broken_data_is_malformed(void **state)
{
    static const unsigned codecs[] = {CODEC_LZ4, CODEC_ZSTD};
    made *batch = malloc(sizeof(*batch));
    uint8_t *plain = NULL;
    size_t len = 0;
    (void)state;
    plain_make(batch);
    for (size_t i = 0; i < 2; i++) {
        compress(batch, codecs[i], 1);
        size_t whole = batch->len - WEIR_BATCH_HEAD_BYTES;
        for (size_t cut = 1; cut < whole; cut += 7) {
            head_put(batch, codecs[i], cut);
            assert_int_equal(inflate(batch, PLAIN_BYTES_MAX, &plain, &len), WEIR_MALFORMED);
        }
        memset(batch->bytes + WEIR_BATCH_HEAD_BYTES, 0x5a, whole);
        head_put(batch, codecs[i], whole);
        assert_int_equal(inflate(batch, PLAIN_BYTES_MAX, &plain, &len), WEIR_MALFORMED);
    }
    free(batch);
}

static void codecs_that_are_not_offered_are_told_apart(void **state)
{
    made *batch = malloc(sizeof(*batch));
    uint8_t *plain = NULL;
    size_t len = 0;
    (void)state;
    plain_make(batch);
    memcpy(batch->bytes, batch->plain, batch->plain_len);
    for (unsigned codec = 0; codec < 8; codec++) {
        if (codec != CODEC_LZ4 && codec != CODEC_ZSTD) {
            head_put(batch, codec, batch->plain_len - WEIR_BATCH_HEAD_BYTES);
            assert_int_equal(inflate(batch, PLAIN_BYTES_MAX, &plain, &len), WEIR_UNSUPPORTED);
        }
    }
    free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_compressed_comes_out_again),
        cmocka_unit_test(more_than_the_bound_is_too_large_whatever_was_promised),
        cmocka_unit_test(broken_data_is_malformed),
        cmocka_unit_test(codecs_that_are_not_offered_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
