/* core/base/buffer.h - a growing byte buffer. Zeroed is empty; fini of a zeroed one is harmless. */
#ifndef WEIR_CORE_BASE_BUFFER_H
#define WEIR_CORE_BASE_BUFFER_H

#include "weir/base.h"

typedef struct weir_buffer {
    uint8_t *ptr;
    size_t len;
    size_t capacity;
} weir_buffer;

void weir_buffer_fini(weir_buffer *buffer);
/* Makes room for `more` bytes past len (doubling). NO_MEMORY: unchanged. */
weir_err weir_buffer_reserve(weir_buffer *buffer, size_t more);
weir_err weir_buffer_append(weir_buffer *buffer, const void *bytes, size_t len);
weir_err weir_buffer_text(weir_buffer *buffer, const char *text);
weir_err weir_buffer_format(weir_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `len` bytes, moving the rest to the front. */
void weir_buffer_consume(weir_buffer *buffer, size_t len);
/* Gives memory back when it is larger than `keep` and empty: idle connections own no buffers. */
void weir_buffer_relax(weir_buffer *buffer, size_t keep);
static inline weir_bytes weir_buffer_bytes(const weir_buffer *buffer)
{
    return (weir_bytes){buffer->ptr, buffer->len};
}

#endif
