/* bench/account.h - what one subscriber has had from one publisher: lost, doubled, out of order.
 *
 *   sequence:  0 1 2 . . 5 6 . 8          gaps: [3,5) [7,8)       expected: 9
 *
 * The usual case is one comparison. A number above `expected` leaves a gap; one inside a gap is
 * late (reordered) and closes its part of it; one that is in no gap was there before (duplicated).
 * Pure; zeroed is empty. */
#ifndef WEIR_BENCH_ACCOUNT_H
#define WEIR_BENCH_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

enum { WEIR_ACCOUNT_GAPS_MAX = 4096 };

typedef struct weir_account_gap {
    uint64_t from;
    uint64_t to; /* exclusive */
} weir_account_gap;

typedef struct weir_account {
    uint64_t expected;
    weir_account_gap *gaps; /* rising, disjoint, never empty */
    uint32_t gap_count;
    uint32_t gap_capacity;
    uint64_t forgotten; /* numbers of gaps that found no room: they stay lost */
    uint64_t duplicated;
    uint64_t reordered;
} weir_account;

/* Takes a number that is not the expected one. */
void weir_account_irregular(weir_account *account, uint64_t sequence);

/* True when it is the first time that this number comes, as far as is known. */
static inline bool weir_account_take(weir_account *account, uint64_t sequence)
{
    uint64_t duplicated = account->duplicated;
    if (sequence == account->expected) {
        account->expected++;
        return true;
    }
    weir_account_irregular(account, sequence);
    return account->duplicated == duplicated;
}

/* Numbers below `expected` that have not come. */
uint64_t weir_account_missing(const weir_account *account);
/* The same below `sent`, the count of what the publisher has sent: what is lost at the end. */
uint64_t weir_account_lost(const weir_account *account, uint64_t sent);
void weir_account_fini(weir_account *account);

#endif
