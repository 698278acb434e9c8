/* adapters/shared/descriptors.c - counts the descriptors of connections against one bound.
 *
 *   accepted --> take --within--> served --> closed --> give
 *                     --beyond-------------> closed --> give
 *
 * Atomic counts of the process, since its table of descriptors is the process's, and since some are
 * given back on threads of libraries, later than whatever else they belonged to.
 *
 * [D1] What is given was taken. */
#include "adapters/shared/descriptors.h"

#include "core/base/assert.h"

#include <stdatomic.h>

static _Atomic uint64_t taken;
static _Atomic uint64_t taken_max;

void weir_descriptors_max_set(uint64_t count)
{
    atomic_store_explicit(&taken_max, count, memory_order_relaxed);
}

bool weir_descriptors_take(uint64_t count)
{
    uint64_t most = atomic_load_explicit(&taken_max, memory_order_relaxed);
    uint64_t before = atomic_fetch_add_explicit(&taken, count, memory_order_relaxed);
    return most == 0 || before + count <= most;
}

void weir_descriptors_give(uint64_t count)
{
    uint64_t before = atomic_fetch_sub_explicit(&taken, count, memory_order_relaxed);
    WEIR_ASSERT(before >= count); /* [D1] */
}
