/* bench/tally.h - what several competing consumers have had of one publisher: a bit a message.
 *
 *   sequence:  0 1 2 3 4 5 6 7        bits: 1 1 0 1 1 1 0 0     had 5, sent 8: lost 3
 *
 * Each message goes to one consumer, so none of them sees the whole row of numbers, and order is
 * only kept within what one consumer has: a consumer counts a number that is below its last one and
 * is had for the first time as reordered.
 *
 * Any thread takes; the capacity is fixed. Zeroed is empty: everything is alien. */
#ifndef WEIR_BENCH_TALLY_H
#define WEIR_BENCH_TALLY_H

#include "weir/base.h"

typedef struct weir_tally {
    _Atomic uint64_t *bits;
    uint64_t capacity; /* in messages */
    _Atomic uint64_t had;
    _Atomic uint64_t duplicated;
    _Atomic uint64_t reordered;
    _Atomic uint64_t alien; /* numbers at or above the capacity */
} weir_tally;

/* NO_MEMORY. */
weir_err weir_tally_init(weir_tally *tally, uint64_t capacity);
void weir_tally_fini(weir_tally *tally);
/* True when it is had for the first time. *next is the consumer's own: 0 at first. */
bool weir_tally_take(weir_tally *tally, uint64_t *next, uint64_t sequence);
/* Of the numbers below `sent`, those that nobody had. After the last take. */
uint64_t weir_tally_lost(const weir_tally *tally, uint64_t sent);

#endif
