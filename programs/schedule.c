/* programs/schedule.c - the intended time of each record.
 *
 *   recorded ms   1000   1400   1350   9000        gap_ms_max 2000, factor 2
 *   played ms        0    400    400   2400        sums of what was recorded, in whole milliseconds
 *   due us           0 200000 200000 1200000       played * 1000 / factor
 *
 * [C1] Due is computed from all that was played, not from the record before: what is late, or
 * rounded, never shifts what follows. [C2] Due never goes back. */
#include "programs/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FACTOR_MIN 1e-6
#define FACTOR_MAX 1e9
#define DUE_US_MAX 4e18

static bool factor_read(const char *text, const char *unit, double *factor)
{
    char *end = NULL;
    errno = 0;
    double number = strtod(text, &end);
    if (errno != 0 || end == text || (*end != '\0' && strcmp(end, unit) != 0) ||
        !(number >= FACTOR_MIN) || number > FACTOR_MAX) {
        return false;
    }
    *factor = number;
    return true;
}

bool weir_schedule_speed(weir_schedule *schedule, const char *text)
{
    if (strcmp(text, "max") == 0) {
        schedule->pace = WEIR_PACE_MAX;
        return true;
    }
    schedule->pace = WEIR_PACE_RECORDED;
    return factor_read(text, "x", &schedule->factor);
}

bool weir_schedule_rate(weir_schedule *schedule, const char *text)
{
    schedule->pace = WEIR_PACE_RATE;
    return factor_read(text, "/s", &schedule->factor);
}

/* Adds the time since the record before to what was played. */
static void play(weir_schedule *schedule, int64_t time_ms)
{
    int64_t gap = 0;
    if (schedule->begun && time_ms > schedule->last_ms &&
        !__builtin_sub_overflow(time_ms, schedule->last_ms, &gap) && schedule->gap_ms_max > 0 &&
        gap > schedule->gap_ms_max) {
        gap = schedule->gap_ms_max;
    }
    if (__builtin_add_overflow(schedule->played_ms, gap, &schedule->played_ms)) {
        schedule->played_ms = INT64_MAX;
    }
    if (!schedule->begun || time_ms > schedule->last_ms) {
        schedule->last_ms = time_ms; /* [C2] a time that went back is waited for once */
    }
    schedule->begun = true;
}

static int64_t due_of(double microseconds)
{
    return microseconds > DUE_US_MAX ? (int64_t)DUE_US_MAX : (int64_t)microseconds;
}

int64_t weir_schedule_next(weir_schedule *schedule, int64_t time_ms)
{
    uint64_t index = schedule->count++;
    switch (schedule->pace) {
    case WEIR_PACE_RECORDED:
        play(schedule, time_ms);
        return due_of((double)schedule->played_ms * 1000 / schedule->factor); /* [C1] */
    case WEIR_PACE_RATE:
        return due_of((double)index * 1e6 / schedule->factor); /* [C1] */
    case WEIR_PACE_MAX:
        break;
    }
    return 0;
}

void weir_schedule_round(weir_schedule *schedule)
{
    schedule->begun = false;
}
