/* core/base/assert.h - assertions for our own mistakes; they stay on in release builds.
 *
 * Bytes from a peer, a disk or a command line never reach one: they get an error. */
#ifndef WEIR_CORE_BASE_ASSERT_H
#define WEIR_CORE_BASE_ASSERT_H

_Noreturn void weir_assert_failed(const char *file, int line, const char *expression);

#define WEIR_ASSERT(expression)                                                                    \
    ((expression) ? (void)0 : weir_assert_failed(__FILE__, __LINE__, #expression))

#endif
