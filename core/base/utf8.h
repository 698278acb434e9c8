/* core/base/utf8.h - UTF-8 well-formedness (RFC 3629). Pure. */
#ifndef WEIR_CORE_BASE_UTF8_H
#define WEIR_CORE_BASE_UTF8_H

#include "weir/base.h"

/* True for well-formed UTF-8: no overlong forms, surrogates, or code points above U+10FFFF. */
bool weir_utf8_valid(weir_bytes in);
/* The same, and without U+0000 to U+001F, U+007F to U+009F: what names may hold. */
bool weir_utf8_valid_name(weir_bytes in);

/* The bytes of the code point at the front of `in`, 1 to 4; 0 when there is no whole, well-formed
 * one. */
size_t weir_utf8_next(weir_bytes in, uint32_t *code_point);

/* Writes `in` as a name may have it: what is not well formed and what weir_utf8_valid_name refuses as
 * \xNN, byte for byte; as much as fits in `room` bytes, no character cut in two. Returns the bytes. */
size_t weir_utf8_tame(weir_bytes in, uint8_t *out, size_t room);

/* A check that can be fed in pieces (a WebSocket text message in fragments). Zeroed is the start.
 * feed is false as soon as the bytes cannot become UTF-8; done is true between code points. */
typedef struct weir_utf8_check {
    uint32_t state;
} weir_utf8_check;
bool weir_utf8_feed(weir_utf8_check *check, weir_bytes in);
bool weir_utf8_done(const weir_utf8_check *check);

#endif
