/* programs/position.c - reads where to start and to end, and matches names against filters.
 *
 * A number after @ is seconds below MILLISECONDS_FROM and milliseconds from there on: the one is
 * beyond the year 5138, the other before March 1973. */
#include "programs/position.h"

#include "programs/say.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MILLISECONDS_FROM 1e11
#define TIME_MAX          1e15

bool weir_time_of_number(double number, int64_t *time_ms)
{
    if (!(number >= 0) || number > TIME_MAX) {
        return false;
    }
    *time_ms = (int64_t)llround(number >= MILLISECONDS_FROM ? number : number * 1000);
    return true;
}

/* Behind the seconds: a fraction, a Z, both or neither; milliseconds of the fraction. */
static bool fraction_read(const char *text, int64_t *milliseconds)
{
    int64_t weight = 100;
    *milliseconds = 0;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) {
            *milliseconds += (*text - '0') * weight;
            weight /= 10;
        }
    }
    return *text == '\0' || (*text == 'Z' && text[1] == '\0');
}

const char *weir_time_text(int64_t time_ms, char text[WEIR_TIME_TEXT_MAX])
{
    time_t whole = (time_t)(time_ms / 1000);
    struct tm parts;
    size_t len = gmtime_r(&whole, &parts) == NULL
                     ? 0
                     : strftime(text, WEIR_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, WEIR_TIME_TEXT_MAX - len, ".%03dZ", (int)(time_ms % 1000));
    return text;
}

bool weir_time_read(const char *text, int64_t *time_ms)
{
    struct tm parts = {0};
    int64_t milliseconds = 0;
    char *end = NULL;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest != NULL && fraction_read(rest, &milliseconds)) {
        *time_ms = (int64_t)timegm(&parts) * 1000 + milliseconds;
        return true;
    }
    errno = 0;
    double number = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && weir_time_of_number(number, time_ms);
}

static bool whole_number(const char *text, int64_t *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= 0;
}

bool weir_where_read(const char *option, const char *text, weir_where *where)
{
    bool good = true;
    *where = (weir_where){WEIR_START_OFFSET, 0};
    if (strcmp(text, "end") == 0) {
        where->start = WEIR_START_END;
    } else if (strcmp(text, "beginning") == 0) {
        where->start = WEIR_START_BEGINNING;
    } else if (text[0] == '@') {
        where->start = WEIR_START_TIME;
        good = weir_time_read(text + 1, &where->value);
    } else if (text[0] == '-') {
        where->start = WEIR_START_LAST;
        good = whole_number(text + 1, &where->value);
    } else {
        good = whole_number(text, &where->value);
    }
    if (!good) {
        weir_say(
            "%s takes beginning, end, OFFSET, -N (the last N), or @TIME as Unix time (@1767225600, "
            "or in milliseconds) or as @2026-01-01T00:00:00, not \"%s\"",
            option, text);
    }
    return good;
}

/* Takes the first level off the front of *rest; false when there is none left. */
static bool level_take(weir_bytes *rest, weir_bytes *level)
{
    if (rest->ptr == NULL) {
        return false;
    }
    const uint8_t *slash = rest->len == 0 ? NULL : memchr(rest->ptr, '/', rest->len);
    level->ptr = rest->ptr;
    level->len = slash == NULL ? rest->len : (size_t)(slash - rest->ptr);
    *rest = slash == NULL ? WEIR_BYTES_NULL : (weir_bytes){slash + 1, rest->len - level->len - 1};
    return true;
}

bool weir_operand_matches(weir_bytes filter, weir_bytes name)
{
    weir_bytes wanted;
    weir_bytes level;
    while (level_take(&filter, &wanted)) {
        if (weir_bytes_equal(wanted, WEIR_TEXT("#"))) {
            return true;
        }
        if (!level_take(&name, &level) ||
            (!weir_bytes_equal(wanted, WEIR_TEXT("+")) && !weir_bytes_equal(wanted, level))) {
            return false;
        }
    }
    return name.ptr == NULL;
}
