/* core/log/chunk.h - the counted batch in memory: what include/weir/record.h promises, and its
 * making.
 *
 * Memory comes from a pool of size classes and goes home from any thread (a stack that the engine's
 * owner takes over at once), so that filling fresh pages is rare. */
#ifndef WEIR_CORE_LOG_CHUNK_H
#define WEIR_CORE_LOG_CHUNK_H

#include "weir/record.h"

#include "core/batch/batch.h"

#include <stdatomic.h>

/* A topic's name, counted: chunks outlive the topic they came from. */
typedef struct weir_topic_ref {
    atomic_uint refs;
    uint32_t id;
    uint32_t name_bytes;
    uint8_t name[];
} weir_topic_ref;
weir_topic_ref *weir_topic_ref_create(uint32_t id, weir_bytes name); /* NULL: no memory */
weir_topic_ref *weir_topic_ref_keep(weir_topic_ref *ref);
void weir_topic_ref_drop(weir_topic_ref *ref);

typedef struct weir_chunk_pool weir_chunk_pool;
/* get: owner's thread. Chunks of a destroyed pool must be gone, or go home to nothing: the pool is
 * counted by its chunks and freed with the last. */
weir_err weir_chunk_pool_create(weir_chunk_pool **pool);
void weir_chunk_pool_destroy(weir_chunk_pool *pool);
uint64_t weir_chunk_pool_bytes(const weir_chunk_pool *pool); /* held by chunks and kept for reuse */
/* Gives idle memory back to the system until at most keep_bytes are kept for reuse. Owner's thread.
 */
void weir_chunk_pool_trim(weir_chunk_pool *pool, uint64_t keep_bytes);

/* What weir_chunk_drop does, for who is the pool's owner: memory goes straight to where the next chunk
 * is taken from. */
void weir_chunk_drop_home(weir_chunk *chunk);

/* What the road of a record looks at comes first, in one line of the processor's cache. */
struct weir_chunk {
    atomic_uint refs;
    uint32_t partition;
    union {
        weir_topic_ref *topic;
        struct weir_chunk *next; /* in the pool */
    };
    weir_chunk_pool *pool;
    int64_t base_offset;
    uint64_t unit;  /* the journal's; 0 for live and for chunks read from disk */
    uint32_t count; /* records */
    uint32_t holes; /* offsets of it that have no record (any more): compaction leaves those */
    uint32_t batch_bytes;
    uint32_t capacity; /* bytes at `batch` */
    size_t memory_bytes : 63;
    size_t in_span : 1; /* the pool's */
    int64_t timestamp_ms;
    uint32_t position_max;
    uint32_t plain_bytes; /* when it is compressed; else batch_bytes tells */
    uint8_t *batch;
    uint8_t
        *plain; /* the batch, or when it is compressed the same without compression, behind it */
    uint32_t positions[]; /* of each record in `plain` */
};

/* The offset behind its last one: the next chunk of the log begins there. */
static inline int64_t weir_chunk_end(const weir_chunk *chunk)
{
    return chunk->base_offset + (int64_t)chunk->count + chunk->holes;
}
/* A hint to the processor: all of a short one is looked at soon. */
static inline void weir_chunk_fetch(const weir_chunk *chunk)
{
    for (unsigned at = 0; at < 320; at += 64) {
        __builtin_prefetch((const char *)chunk + at);
    }
}
/* The index of the first record at or after `offset`; count when there is none. Any thread. */
uint32_t weir_chunk_index_at(const weir_chunk *chunk, int64_t offset);
/* The offset of record `index`, below count. Any thread. */
int64_t weir_chunk_offset_at(const weir_chunk *chunk, uint32_t index);

/* An empty chunk with room for at least `capacity` bytes of batch (at most INT32_MAX; what its size
 * class gives beyond is in chunk->capacity) and for `position_max` records, one count. Keeps
 * `topic`. NO_MEMORY. Owner's thread only. Its maker fills `batch`, `positions`, count,
 * batch_bytes, base_offset and timestamp_ms before anybody else sees it. */
weir_err weir_chunk_create(weir_chunk_pool *pool, weir_topic_ref *topic, uint32_t partition,
                           size_t capacity, uint32_t position_max, weir_chunk **chunk);
enum { WEIR_CHUNK_PLAIN_BYTES_MAX = 256 << 20 }; /* what a stored batch may inflate to */
/* Room in a chunk for a compressed batch and its plain form, and where that begins. */
static inline size_t weir_chunk_plain_at(size_t batch_bytes)
{
    return (batch_bytes + 7) & ~(size_t)7;
}
static inline uint32_t weir_chunk_plain_bytes(const weir_chunk *chunk)
{
    return chunk->plain == chunk->batch ? chunk->batch_bytes : chunk->plain_bytes;
}
/* Puts the plain form (weir_batch_inflate) behind `batch`, which is whole; `head` is its. */
weir_err weir_chunk_plain_set(weir_chunk *chunk, const weir_batch_head *head, weir_bytes plain);
void weir_chunk_plain_stamp(weir_chunk *chunk); /* the batch was stamped: so is its plain form */

/* A chunk from stored bytes: checked whole (weir_batch_check), copied, and inflated where it is
 * compressed. Any thread (malloc, no pool). Errors as weir_batch_check and weir_batch_inflate, and
 * NO_MEMORY. */
weir_err weir_chunk_from_batch(weir_topic_ref *topic, uint32_t partition, weir_bytes batch,
                               weir_chunk **chunk);
/* The same of an uncompressed batch whose head stands apart from its records (batch_bytes: of both). */
weir_err weir_chunk_from_records(weir_topic_ref *topic, uint32_t partition,
                                 const weir_batch_head *head, weir_bytes records,
                                 weir_chunk **chunk);

#endif
