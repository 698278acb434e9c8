/* core/log/tail.h - the newest chunks of one partition, in offset order, found by offset.
 * A ring that grows by doubling; zeroed is empty. Owner's thread. */
#ifndef WEIR_CORE_LOG_TAIL_H
#define WEIR_CORE_LOG_TAIL_H

#include "core/log/chunk.h"

typedef struct weir_tail_slot {
    int64_t end_offset; /* weir_chunk_end of the chunk, which does not change once it is here */
    weir_chunk *chunk;
} weir_tail_slot;

typedef struct weir_tail {
    weir_tail_slot *slots;
    uint32_t capacity; /* a power of two */
    uint32_t head;     /* index of the oldest, masked */
    uint32_t count;
    uint64_t bytes; /* memory of the chunks in it */
} weir_tail;

void weir_tail_fini(weir_tail *tail);        /* drops its chunks */
weir_err weir_tail_reserve(weir_tail *tail); /* room for one push: cannot fail afterwards */
void weir_tail_push(weir_tail *tail, weir_chunk *chunk);         /* takes the caller's count */
weir_chunk *weir_tail_at(const weir_tail *tail, uint32_t index); /* 0: the oldest; borrowed */
/* The chunk that holds `offset`: borrowed, NULL when it is not here. */
weir_chunk *weir_tail_find(const weir_tail *tail, int64_t offset);
/* Index of the first chunk whose last offset is >= offset; count when none. The newest are found
 * soonest. */
uint32_t weir_tail_index_of(const weir_tail *tail, int64_t offset);
/* Hints to the processor: a chunk is pushed soon; the tail is searched soon; chunks are popped soon. */
void weir_tail_fetch_end(const weir_tail *tail);
void weir_tail_fetch_slots(const weir_tail *tail);
void weir_tail_fetch_first(const weir_tail *tail);
int64_t
weir_tail_first_end(const weir_tail *tail); /* weir_chunk_end of the oldest, which there is */
weir_chunk *weir_tail_pop(weir_tail *tail); /* the oldest, with its count; NULL: empty */

#endif
