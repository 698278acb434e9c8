/* bench/tally.c - the bits. A take is one atomic `or`; whoever finds the bit set has a duplicate. */
#include "bench/tally.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { WORD_BITS = 64 };

weir_err weir_tally_init(weir_tally *tally, uint64_t capacity)
{
    size_t words = (size_t)(capacity / WORD_BITS + 1);
    _Atomic uint64_t *bits = calloc(words, sizeof(*bits));
    if (bits == NULL) {
        return WEIR_NO_MEMORY;
    }
    *tally = (weir_tally){.bits = bits, .capacity = capacity};
    return WEIR_OK;
}

void weir_tally_fini(weir_tally *tally)
{
    free(tally->bits);
    *tally = (weir_tally){0};
}

bool weir_tally_take(weir_tally *tally, uint64_t *next, uint64_t sequence)
{
    uint64_t bit = (uint64_t)1 << (sequence % WORD_BITS);
    if (sequence >= tally->capacity) {
        atomic_fetch_add(&tally->alien, 1);
        return false;
    }
    if ((atomic_fetch_or(&tally->bits[sequence / WORD_BITS], bit) & bit) != 0) {
        atomic_fetch_add(&tally->duplicated, 1);
        return false;
    }
    if (sequence < *next) {
        atomic_fetch_add(&tally->reordered, 1);
    } else {
        *next = sequence + 1;
    }
    atomic_fetch_add(&tally->had, 1);
    return true;
}

uint64_t weir_tally_lost(const weir_tally *tally, uint64_t sent)
{
    uint64_t lost = sent > tally->capacity ? sent - tally->capacity : 0;
    for (uint64_t i = 0; i < sent && i < tally->capacity; i++) {
        uint64_t word = atomic_load(&tally->bits[i / WORD_BITS]);
        lost += (word >> (i % WORD_BITS) & 1) == 0 ? 1 : 0;
    }
    return lost;
}
