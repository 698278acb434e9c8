/* core/batch/inflate.c - a compressed batch as the same batch without compression.
 *
 *   stored   [ head, codec in its attributes | compressed records ]
 *   plain    [ the same head but its length  | records            ]     memory of its own
 *
 * Kafka's codecs: 3 is the LZ4 frame format, 4 is zstd; both may come in several frames, and neither
 * has to say how long it gets. So the memory grows as bytes come out, up to the caller's bound: what
 * a head claims is never believed. 1 (gzip) and 2 (snappy) are not offered.
 *
 * [I1] Never more than bytes_max bytes are held, whatever the input promises.
 * [I2] All input is used, and the last frame is whole: anything else is MALFORMED. */
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { CODEC_LZ4 = 3, CODEC_ZSTD = 4, GROWTH_BYTES_MIN = 4096 };

typedef struct output {
    uint8_t *memory;
    size_t len;
    size_t capacity;
    size_t bytes_max;
} output;

/* Room for at least one more byte. TOO_LARGE [I1], NO_MEMORY. */
static weir_err output_room(output *out)
{
    if (out->len < out->capacity) {
        return WEIR_OK;
    }
    if (out->capacity >= out->bytes_max) {
        return WEIR_TOO_LARGE;
    }
    size_t capacity = out->capacity * 2 < GROWTH_BYTES_MIN ? GROWTH_BYTES_MIN : out->capacity * 2;
    capacity = capacity > out->bytes_max ? out->bytes_max : capacity;
    uint8_t *memory = realloc(out->memory, capacity);
    if (memory == NULL) {
        return WEIR_NO_MEMORY;
    }
    out->memory = memory;
    out->capacity = capacity;
    return WEIR_OK;
}

static weir_err lz4_run(LZ4F_dctx *context, weir_bytes in, output *out)
{
    size_t hint = 1; /* 0: the frame has ended */
    size_t at = 0;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && (at < in.len || hint != 0)) {
        size_t took = in.len - at;
        size_t len_before = out->len;
        err = output_room(out);
        if (err != WEIR_OK) {
            break;
        }
        size_t made = out->capacity - out->len;
        hint = LZ4F_decompress(context, out->memory + out->len, &made, in.ptr + at, &took, NULL);
        if (LZ4F_isError(hint)) {
            return WEIR_MALFORMED;
        }
        at += took;
        out->len += made;
        if (took == 0 && out->len == len_before) {
            return WEIR_MALFORMED; /* [I2] it waits for bytes that are not there */
        }
    }
    return err;
}

static weir_err lz4_inflate(weir_bytes in, output *out)
{
    LZ4F_dctx *context = NULL;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = lz4_run(context, in, out);
    (void)LZ4F_freeDecompressionContext(context);
    return err;
}

static weir_err zstd_run(ZSTD_DCtx *context, weir_bytes in, output *out)
{
    ZSTD_inBuffer input = {in.ptr, in.len, 0};
    size_t hint = 1; /* 0: the frame has ended */
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && (input.pos < input.size || hint != 0)) {
        size_t at = input.pos;
        size_t len_before = out->len;
        err = output_room(out);
        if (err != WEIR_OK) {
            break;
        }
        ZSTD_outBuffer target = {out->memory, out->capacity, out->len};
        hint = ZSTD_decompressStream(context, &target, &input);
        if (ZSTD_isError(hint)) {
            return WEIR_MALFORMED;
        }
        out->len = target.pos;
        if (input.pos == at && out->len == len_before) {
            return WEIR_MALFORMED; /* [I2] */
        }
    }
    return err;
}

static weir_err zstd_inflate(weir_bytes in, output *out)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = zstd_run(context, in, out);
    (void)ZSTD_freeDCtx(context);
    return err;
}

weir_err weir_batch_inflate(weir_bytes batch, size_t bytes_max, uint8_t **plain,
                            size_t *plain_bytes)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(batch, &head);
    if (err != WEIR_OK) {
        return err;
    }
    weir_bytes in = {batch.ptr + WEIR_BATCH_HEAD_BYTES, head.batch_bytes - WEIR_BATCH_HEAD_BYTES};
    output out = {.bytes_max = bytes_max, .len = WEIR_BATCH_HEAD_BYTES};
    out.capacity = WEIR_BATCH_HEAD_BYTES + (in.len < GROWTH_BYTES_MIN ? GROWTH_BYTES_MIN : in.len);
    out.capacity = out.capacity > bytes_max ? bytes_max : out.capacity;
    if (bytes_max < WEIR_BATCH_HEAD_BYTES) {
        return WEIR_TOO_LARGE;
    }
    out.memory = malloc(out.capacity);
    if (out.memory == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(out.memory, batch.ptr, WEIR_BATCH_HEAD_BYTES);
    switch (head.attributes & WEIR_BATCH_COMPRESSION_MASK) {
    case CODEC_LZ4:
        err = lz4_inflate(in, &out);
        break;
    case CODEC_ZSTD:
        err = zstd_inflate(in, &out);
        break;
    default:
        err = WEIR_UNSUPPORTED;
        break;
    }
    if (err != WEIR_OK) {
        free(out.memory);
        return err;
    }
    weir_put_u32(out.memory + HEAD_LENGTH, (uint32_t)(out.len - HEAD_LENGTH_END));
    *plain = out.memory;
    *plain_bytes = out.len;
    return WEIR_OK;
}

void weir_batch_plain_stamp(uint8_t *plain, const uint8_t *batch)
{
    memcpy(plain + HEAD_ATTRIBUTES, batch + HEAD_ATTRIBUTES,
           WEIR_BATCH_HEAD_BYTES - HEAD_ATTRIBUTES);
}
