/* core/base/hash.h - checksums and hashes. Pure; the libraries behind them are named in the .c. */
#ifndef WEIR_CORE_BASE_HASH_H
#define WEIR_CORE_BASE_HASH_H

#include "weir/base.h"

/* CRC32C (Castagnoli) of `in`, continuing from `crc` (0 to begin): crc32c(0,"123456789") is
 * e3069283, and crc32c(crc32c(0,a),b) is crc32c(0,ab). */
uint32_t weir_crc32c(uint32_t crc, const void *in, size_t len);

/* XXH3-64, with a secret seed drawn once a process so that a peer cannot choose collisions.
 * Never stored. weir_hash_seed is called by whoever owns an env, before the first use; 0 else. Only
 * its first call counts: a second seed would lose every key of the maps that exist. Any thread. */
uint64_t weir_hash(weir_bytes in);
void weir_hash_seed(uint64_t seed);

/* Kafka's murmur2 (org.apache.kafka.common.utils.Utils.murmur2), and the partition it picks:
 * (murmur2 & 0x7fffffff) % partitions, where partitions is 1 or more. */
uint32_t weir_murmur2(weir_bytes in);
uint32_t weir_partition_of_key(weir_bytes key, uint32_t partitions);

#endif
