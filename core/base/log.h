/* core/base/log.h - one line of log per call, key=value, to stderr or a sink set by the program.
 * Bytes of peers go through weir_log_quote: escaped, cut at 128 bytes. Any thread. */
#ifndef WEIR_CORE_BASE_LOG_H
#define WEIR_CORE_BASE_LOG_H

#include "weir/base.h"

typedef enum weir_log_level {
    WEIR_LOG_DEBUG,
    WEIR_LOG_INFO,
    WEIR_LOG_WARN,
    WEIR_LOG_ERROR,
} weir_log_level;

/* Lines below the threshold (INFO to begin with) are dropped. */
void weir_log_threshold(weir_log_level level);
void weir_log_sink(void (*sink)(void *arg, weir_log_level level, const char *room,
                                const char *line),
                   void *arg);
void weir_log(weir_log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes `bytes` into out (printable ASCII and well-formed UTF-8 without control, bidi or line
 * characters; quotes and backslashes with a backslash; the rest as \xNN), quoted, cut at 128 bytes
 * of input with "..." after the quote. Returns out. */
enum { WEIR_LOG_QUOTE_MAX = 560 };
const char *weir_log_quote(weir_bytes bytes, char out[WEIR_LOG_QUOTE_MAX]);

#endif
