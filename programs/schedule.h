/* programs/schedule.h - when each record of a replay is due. Pure: no clock.
 *
 *     weir_schedule schedule = {.pace = WEIR_PACE_RECORDED, .factor = 2};
 *     due_us = weir_schedule_next(&schedule, record_time_ms);      after the start of the replay
 */
#ifndef WEIR_PROGRAMS_SCHEDULE_H
#define WEIR_PROGRAMS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum weir_pace {
    WEIR_PACE_RECORDED, /* the times between records as recorded, divided by factor */
    WEIR_PACE_RATE,     /* factor records a second, whatever was recorded */
    WEIR_PACE_MAX,      /* all at once */
} weir_pace;

typedef struct weir_schedule {
    weir_pace pace;
    double factor;
    int64_t gap_ms_max; /* a longer silence in the recording counts as so much; 0: as it is */
    /* What follows is the schedule's own; begin with zeros. */
    bool begun;
    int64_t last_ms;
    int64_t played_ms; /* of the recording */
    uint64_t count;
} weir_schedule;

/* "2", "2x", "0.5", "max". False: no such speed. */
bool weir_schedule_speed(weir_schedule *schedule, const char *text);
/* "100", "100/s". False: no such rate. */
bool weir_schedule_rate(weir_schedule *schedule, const char *text);

/* When the next record, recorded at time_ms, is due: microseconds after the start. Never less than
 * for the record before: a time that goes back counts as no time. */
int64_t weir_schedule_next(weir_schedule *schedule, int64_t time_ms);
/* The recording begins anew: its first record is due with the last one of the round before (at a
 * rate, one interval after it). */
void weir_schedule_round(weir_schedule *schedule);

#endif
