/* core/base/buffer.c - a byte buffer that grows by doubling.
 *
 *   ptr -> [ bytes: len | free: capacity - len ]
 *
 * Only reserve allocates; a failure there leaves the buffer as it was. `capacity` is 0 exactly when
 * ptr is NULL. What is appended must not lie inside the buffer itself, which may move. */
#include "core/base/buffer.h"

#include "core/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_CAPACITY_MIN = 64 };

void weir_buffer_fini(weir_buffer *buffer)
{
    free(buffer->ptr);
    *buffer = (weir_buffer){0};
}

weir_err weir_buffer_reserve(weir_buffer *buffer, size_t more)
{
    if (more <= buffer->capacity - buffer->len) {
        return WEIR_OK;
    }
    if (more > SIZE_MAX / 4 || buffer->len > SIZE_MAX / 4) {
        return WEIR_NO_MEMORY;
    }
    size_t capacity =
        buffer->capacity < BUFFER_CAPACITY_MIN ? BUFFER_CAPACITY_MIN : buffer->capacity;
    while (capacity < buffer->len + more) {
        capacity *= 2;
    }
    uint8_t *ptr = realloc(buffer->ptr, capacity);
    if (ptr == NULL) {
        return WEIR_NO_MEMORY;
    }
    buffer->ptr = ptr;
    buffer->capacity = capacity;
    return WEIR_OK;
}

weir_err weir_buffer_append(weir_buffer *buffer, const void *bytes, size_t len)
{
    weir_err err = weir_buffer_reserve(buffer, len);
    if (err != WEIR_OK || len == 0) {
        return err;
    }
    memcpy(buffer->ptr + buffer->len, bytes, len);
    buffer->len += len;
    return WEIR_OK;
}

weir_err weir_buffer_text(weir_buffer *buffer, const char *text)
{
    return weir_buffer_append(buffer, text, strlen(text));
}

static weir_err buffer_format_list(weir_buffer *buffer, const char *format, va_list values)
    __attribute__((format(printf, 2, 0)));
static weir_err buffer_format_list(weir_buffer *buffer, const char *format, va_list values)
{
    va_list again;
    va_copy(again, values);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) {
        return WEIR_INVALID;
    }
    weir_err err = weir_buffer_reserve(buffer, (size_t)len + 1); /* vsnprintf ends with a NUL */
    if (err != WEIR_OK) {
        return err;
    }
    int wrote = vsnprintf((char *)buffer->ptr + buffer->len, (size_t)len + 1, format, values);
    WEIR_ASSERT(wrote == len);
    buffer->len += (size_t)len;
    return WEIR_OK;
}

weir_err weir_buffer_format(weir_buffer *buffer, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    weir_err err = buffer_format_list(buffer, format, values);
    va_end(values);
    return err;
}

void weir_buffer_consume(weir_buffer *buffer, size_t len)
{
    WEIR_ASSERT(len <= buffer->len);
    if (len == 0) {
        return;
    }
    buffer->len -= len;
    memmove(buffer->ptr, buffer->ptr + len, buffer->len);
}

void weir_buffer_relax(weir_buffer *buffer, size_t keep)
{
    if (buffer->len == 0 && buffer->capacity > keep) {
        weir_buffer_fini(buffer);
    }
}
