/* core/base/log.c - one line per call, whole, whatever a peer put into it.
 *
 *   level=warn room=journal segment=00000017 damaged at 40960
 *
 * A line is put together on the stack, cut at LOG_LINE_MAX, and handed over in one piece: to the
 * sink, or to stderr, which libc locks for the call. Control bytes that slipped into a line turn
 * into spaces, so that one call can never print two lines. Nothing here fails or allocates.
 *
 * The sink is set by the program before its threads start; the threshold may change at any time. */
#include "core/base/log.h"

#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LOG_LINE_MAX = 2048, LOG_QUOTE_INPUT_MAX = 128 };

static _Atomic int log_threshold = WEIR_LOG_INFO;
static void (*log_sink)(void *arg, weir_log_level level, const char *room, const char *line);
static void *log_sink_arg;

void weir_log_threshold(weir_log_level level)
{
    atomic_store_explicit(&log_threshold, (int)level, memory_order_relaxed);
}

void weir_log_sink(void (*sink)(void *arg, weir_log_level level, const char *room,
                                const char *line),
                   void *arg)
{
    log_sink = sink;
    log_sink_arg = arg;
}

static const char *level_word(weir_log_level level)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    return (unsigned)level < sizeof(words) / sizeof(words[0]) ? words[level] : "unknown";
}

static void line_flatten(char *line, int len)
{
    if (len >= LOG_LINE_MAX) {
        memcpy(line + LOG_LINE_MAX - 4, "...", 4);
    }
    for (char *at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = ' ';
        }
    }
}

void weir_log(weir_log_level level, const char *room, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&log_threshold, memory_order_relaxed)) {
        return;
    }
    char line[LOG_LINE_MAX];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    if (len < 0) {
        line[0] = '\0';
    }
    line_flatten(line, len);
    if (log_sink != NULL) {
        log_sink(log_sink_arg, level, room, line);
    } else {
        (void)fprintf(stderr, "level=%s room=%s %s\n", level_word(level), room, line);
    }
}

/* Whether a terminal or a log reader shows it as itself: no control, no direction, no line, and no
 * character that is not seen at all. */
static bool code_point_is_plain(uint32_t code_point)
{
    bool control = code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
    bool hidden = code_point == 0xad || code_point == 0x61c || code_point == 0x180e ||
                  (code_point >= 0x200b && code_point <= 0x200f) ||
                  (code_point >= 0x2028 && code_point <= 0x202e) ||
                  (code_point >= 0x2060 && code_point <= 0x206f) || code_point == 0xfeff ||
                  (code_point >= 0xfff9 && code_point <= 0xfffb) ||
                  (code_point >= 0xe0000 && code_point <= 0xe0fff);
    return !control && !hidden;
}

static char *quote_escape(char *at, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    *at++ = '\\';
    *at++ = 'x';
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
    return at;
}

/* Writes what stands at the front of `in` and tells how many bytes of it that was. */
static size_t quote_one(char **at, weir_bytes in)
{
    uint32_t code_point = 0;
    size_t len = weir_utf8_next(in, &code_point);
    bool plain = len > 0 && code_point_is_plain(code_point);
    if (len == 0) {
        len = 1; /* not UTF-8: this byte alone */
    }
    if (plain && (code_point == '"' || code_point == '\\')) {
        *(*at)++ = '\\';
    }
    for (size_t i = 0; i < len; i++) {
        if (plain) {
            *(*at)++ = (char)in.ptr[i];
        } else {
            *at = quote_escape(*at, in.ptr[i]);
        }
    }
    return len;
}

const char *weir_log_quote(weir_bytes bytes, char out[WEIR_LOG_QUOTE_MAX])
{
    char *at = out;
    size_t done = 0;
    *at++ = '"';
    while (done < bytes.len && done < LOG_QUOTE_INPUT_MAX) {
        uint32_t code_point;
        weir_bytes rest = {bytes.ptr + done, bytes.len - done};
        if (done + weir_utf8_next(rest, &code_point) > LOG_QUOTE_INPUT_MAX) {
            break; /* a code point is not cut in two */
        }
        done += quote_one(&at, rest);
    }
    *at++ = '"';
    if (done < bytes.len) {
        memcpy(at, "...", 3);
        at += 3;
    }
    *at = '\0';
    return out;
}
