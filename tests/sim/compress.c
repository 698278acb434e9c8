/* tests/sim/compress.c - a client's batch as it sends it when it compresses: lz4 or zstd. */
#include "tests/sim/sim.h"

#include "core/base/assert.h"
#include "core/base/varint.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <lz4frame.h>
#include <string.h>
#include <zstd.h>

enum { CODEC_LZ4 = 3 };

weir_bytes world_batch_compress(weir_bytes batch, uint32_t codec, uint8_t *out, size_t size)
{
    const uint8_t *from = batch.ptr + WEIR_BATCH_HEAD_BYTES;
    uint8_t *to = out + WEIR_BATCH_HEAD_BYTES;
    size_t room = size - WEIR_BATCH_HEAD_BYTES;
    size_t len = batch.len - WEIR_BATCH_HEAD_BYTES;
    len = codec == CODEC_LZ4 ? LZ4F_compressFrame(to, room, from, len, NULL)
                             : ZSTD_compress(to, room, from, len, 1);
    WEIR_ASSERT(len > 0 && len <= room); /* both say errors by numbers that are larger */
    memcpy(out, batch.ptr, WEIR_BATCH_HEAD_BYTES);
    len += WEIR_BATCH_HEAD_BYTES;
    weir_put_u32(out + HEAD_LENGTH, (uint32_t)(len - HEAD_LENGTH_END));
    out[HEAD_ATTRIBUTES + 1] |= (uint8_t)codec;
    weir_batch_seal(out, len);
    return (weir_bytes){out, len};
}
