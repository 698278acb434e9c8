/* adapters/shared/stats.h - counters that every loop adds to and any thread reads.
 *
 * Relaxed atomics: each counter is whole, no two are of one moment. */
#ifndef WEIR_ADAPTERS_SHARED_STATS_H
#define WEIR_ADAPTERS_SHARED_STATS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t weir_counter; /* zeroed is 0 */

static inline void weir_counter_add(weir_counter *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}
static inline void weir_counter_subtract(weir_counter *counter, uint64_t less)
{
    atomic_fetch_sub_explicit(counter, less, memory_order_relaxed);
}
static inline uint64_t weir_counter_get(const weir_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
