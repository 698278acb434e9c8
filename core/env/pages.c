/* core/env/pages.c - asks for twice as much as is wanted and gives back what lies outside. */
#include "core/env/pages.h"

#include "core/base/assert.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

void *weir_span_take(void)
{
    const size_t asked = 2 * (size_t)WEIR_SPAN_BYTES;
    uint8_t *got = mmap(NULL, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)got % WEIR_SPAN_BYTES;
    size_t behind = asked - before - WEIR_SPAN_BYTES;
    int failed = before > 0 ? munmap(got, before) : 0;
    failed |= behind > 0 ? munmap(got + before + WEIR_SPAN_BYTES, behind) : 0;
    WEIR_ASSERT(failed == 0); /* the ends of a mapping of our own */
    (void)madvise(got + before, WEIR_SPAN_BYTES, MADV_HUGEPAGE); /* small pages do, too */
    return got + before;
}

void weir_span_give(void *span)
{
    int failed = munmap(span, WEIR_SPAN_BYTES);
    WEIR_ASSERT(failed == 0);
}
