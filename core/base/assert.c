/* core/base/assert.c - what happens when our own promise is broken: one line, then abort.
 *
 * The process stops before it can write what it no longer understands; recovery reads what was
 * durable. It writes to stderr directly, because the log's sink may be what is broken. */
#include "core/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void weir_assert_failed(const char *file, int line, const char *expression)
{
    (void)fprintf(stderr, "level=fatal room=base assertion failed at %s:%d: %s\n", file, line,
                  expression);
    abort();
}
