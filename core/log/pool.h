/* core/log/pool.h - what chunk.c asks of the pool. Only for the files of core/log. */
#ifndef WEIR_CORE_LOG_POOL_H
#define WEIR_CORE_LOG_POOL_H

#include "core/log/chunk.h"

/* Memory for a chunk of at least `bytes`, struct included; only `memory_bytes` (what it really has)
 * and `pool` are set. NULL: no memory. Owner's thread. */
weir_chunk *weir_chunk_pool_take(weir_chunk_pool *pool, size_t bytes);
/* Gives it back, whether its pool still has an owner or not. Any thread. */
void weir_chunk_pool_return(weir_chunk *chunk);
/* The same on the owner's thread, before destroy. */
void weir_chunk_pool_return_home(weir_chunk *chunk);

#endif
