/* programs/position.h - where reading starts and ends, as a person writes it: beginning, end, 17,
 * -5, @TIME. Pure but for the sentences it prints. */
#ifndef WEIR_PROGRAMS_POSITION_H
#define WEIR_PROGRAMS_POSITION_H

#include "weir/client.h"

typedef struct weir_where {
    weir_start_kind start; /* END, BEGINNING, OFFSET, TIME or LAST */
    int64_t value;         /* an offset, Unix milliseconds, or how many */
} weir_where;

/* Unix time in seconds or milliseconds, with fractions, or 2026-01-31T12:00:00, with fractions and a
 * Z behind it as one likes, UTC. False, *time_ms untouched, when it is neither. */
bool weir_time_read(const char *text, int64_t *time_ms);
/* Unix milliseconds as 2026-01-31T12:00:00.000Z. */
enum { WEIR_TIME_TEXT_MAX = 40 };
const char *weir_time_text(int64_t time_ms, char text[WEIR_TIME_TEXT_MAX]);
/* A time as a number: 1e11 and above are milliseconds, what is below seconds. False outside
 * [0, 1e15]. */
bool weir_time_of_number(double number, int64_t *time_ms);

/* "beginning", "end", OFFSET, -N or @TIME. False, with the sentence printed, for anything else;
 * `option` ("--from") is named in it. */
bool weir_where_read(const char *option, const char *text, weir_where *where);

/* Whether a full name is among those that a filter (+ for one level, # for all further ones, and for
 * the level above as well) matches. */
bool weir_operand_matches(weir_bytes filter, weir_bytes name);

#endif
