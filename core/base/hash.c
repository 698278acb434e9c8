/* core/base/hash.c - the checksum of everything stored, the hash of every map, Kafka's partitioner.
 *
 * CRC32C is ISA-L's, which leaves the first and last inversion to its caller. The hash is
 * libxxhash's XXH3, compiled in from its header: keys are mostly under 32 bytes, where a call would
 * cost as much as the hash. Murmur2 is written out here, because its result is a promise to Kafka's
 * clients.
 *
 * [H1] The seed changes at most once in a process: maps keep hashes. */
#include "core/base/hash.h"

#include "core/base/assert.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <isa-l/crc.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t hash_seed;
static atomic_flag hash_seed_taken = ATOMIC_FLAG_INIT;

uint32_t weir_crc32c(uint32_t crc, const void *in, size_t len)
{
    const uint8_t *at = in;
    uint32_t state = ~crc;
    while (len > 0) {
        size_t part = len < INT_MAX ? len : INT_MAX; /* ISA-L counts in int */
        state = crc32_iscsi((unsigned char *)at, (int)part, state);
        at += part;
        len -= part;
    }
    return ~state;
}

uint64_t weir_hash(weir_bytes in)
{
    uint64_t seed = atomic_load_explicit(&hash_seed, memory_order_relaxed);
    return XXH3_64bits_withSeed(in.ptr, in.len, seed);
}

void weir_hash_seed(uint64_t seed)
{
    if (!atomic_flag_test_and_set(&hash_seed_taken)) { /* [H1] */
        atomic_store(&hash_seed, seed);
    }
}

static uint32_t load_little_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

uint32_t weir_murmur2(weir_bytes in)
{
    const uint32_t seed = 0x9747b28c, multiplier = 0x5bd1e995;
    uint32_t hash = seed ^ (uint32_t)in.len;
    size_t whole = in.len & ~(size_t)3, tail = in.len & 3;
    for (size_t i = 0; i < whole; i += 4) {
        uint32_t word = load_little_u32(in.ptr + i) * multiplier;
        hash = hash * multiplier ^ (word ^ word >> 24) * multiplier;
    }
    for (size_t i = 0; i < tail; i++) {
        hash ^= (uint32_t)in.ptr[whole + i] << (8 * i);
    }
    if (tail > 0) {
        hash *= multiplier;
    }
    hash = (hash ^ hash >> 13) * multiplier;
    return hash ^ hash >> 15;
}

uint32_t weir_partition_of_key(weir_bytes key, uint32_t partitions)
{
    WEIR_ASSERT(partitions > 0);
    return (weir_murmur2(key) & 0x7fffffff) % partitions;
}
