/* core/batch/name.c - the MQTT name under which a record is delivered.
 *
 *   topic   key        name                 encoded
 *   a       null       a                    no
 *   a       (empty)    a/                   no
 *   a       b/c        a/b/c                no
 *   a       50%        a/50%                no      nothing in it needs encoding: it stays as it is
 *   a       50%+1      a/50%25%2B1          yes     something does: % is encoded with it
 *   (live)  x/y        x/y                  no
 *   (live)  (empty)    %                    yes     no name may be empty
 *
 * A key needs encoding when it has one of these, and then each of their bytes, and each %, becomes
 * % and two capital hexadecimal digits:
 *
 *   00-1f, 7f                 NUL and the control characters U+0001 to U+001F, U+007F
 *   23 '#', 2b '+'            the wildcards
 *   c2 followed by 80-9f      the control characters U+0080 to U+009F (both bytes)
 *   bytes of no whole, well-formed UTF-8 code point (RFC 3629), one by one
 *
 * All other bytes, '/' and '$' among them, stay. The topic's own name is one that MQTT can carry:
 * it was checked when it was declared. Without encoding the name maps back to (topic, key) byte for
 * byte. Encoding is one way: the name may look like another key's ("a+" and "a%2B" both give
 * "a%2B"), which is why the record then says so.
 *
 * [N1] At most `size` bytes are written; the result is the length of the whole name all the same.
 */
#include "core/base/utf8.h"
#include "core/batch/batch.h"
#include "core/batch/wire.h"

#include <string.h>

/* Every byte of the word repeated; and for each byte of a word, its high bit if the byte is 0. */
#define REPEATED(byte) (0x0101010101010101u * (uint64_t)(byte))

static uint64_t zero_bytes(uint64_t word)
{
    return (word - REPEATED(0x01)) & ~word & REPEATED(0x80);
}

/* Eight bytes of 20-7e without + and #. May be false for some that are: the slow road decides then.
 */
static bool word_plain(uint64_t word)
{
    uint64_t bad = (word - REPEATED(0x20)) | word; /* below 20, or from 80 on */
    bad |= zero_bytes(word ^ REPEATED('+')) | zero_bytes(word ^ REPEATED('#'));
    bad |= zero_bytes(word ^ REPEATED(0x7f));
    return (bad & REPEATED(0x80)) == 0;
}

/* How many bytes at the front of `in` are one code point that a name may hold; 0: none. */
static size_t plain_next(weir_bytes in)
{
    uint8_t byte = in.ptr[0];
    uint32_t code_point;
    if (byte < 0x80) {
        return byte >= 0x20 && byte != 0x7f && byte != '+' && byte != '#' ? 1 : 0;
    }
    size_t len = weir_utf8_next(in, &code_point);
    return len > 0 && code_point >= 0xa0 ? len : 0;
}

static bool key_plain(weir_bytes key)
{
    size_t at = 0;
    while (at < key.len) {
        uint64_t word;
        if (key.len - at >= sizeof(word)) {
            memcpy(&word, key.ptr + at, sizeof(word));
            if (word_plain(word)) {
                at += sizeof(word);
                continue;
            }
        }
        size_t len = plain_next((weir_bytes){key.ptr + at, key.len - at});
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

/* Where a name is written: what does not fit is only counted. */
typedef struct name_output {
    uint8_t *out;
    size_t size;
    size_t len;
} name_output;

static void put(name_output *name, const uint8_t *bytes, size_t len)
{
    if (name->len < name->size && len > 0) { /* [N1] */
        size_t room = name->size - name->len;
        memcpy(name->out + name->len, bytes, len < room ? len : room);
    }
    name->len += len;
}

static void put_encoded(name_output *name, weir_bytes key)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    while (at < key.len) {
        size_t len = plain_next((weir_bytes){key.ptr + at, key.len - at});
        if (len > 0 && key.ptr[at] != '%') {
            put(name, key.ptr + at, len);
            at += len;
            continue;
        }
        uint8_t byte = key.ptr[at++];
        put(name, (uint8_t[]){'%', (uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15]}, 3);
    }
}

size_t weir_record_name(weir_bytes topic, weir_bytes key, uint8_t *out, size_t size, bool *encoded)
{
    name_output name = {out, size, 0};
    put(&name, topic.ptr, topic.len);
    if (topic.len > 0 && key.ptr != NULL) {
        put(&name, (const uint8_t *)"/", 1);
    }
    *encoded = false;
    if (key_plain(key)) {
        put(&name, key.ptr, key.len);
    } else {
        put_encoded(&name, key);
        *encoded = true;
    }
    if (name.len == 0) {
        put(&name, (const uint8_t *)"%", 1);
        *encoded = true;
    }
    return name.len;
}
