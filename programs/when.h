/* programs/when.h - times as people write them on a command line. Any thread. */
#ifndef WEIR_PROGRAMS_WHEN_H
#define WEIR_PROGRAMS_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* Unix time in seconds or, from 1e11 on, in milliseconds; or 2026-01-31T12:00:00, UTC. False when
 * the text is neither. */
bool weir_time_read(const char *text, int64_t *time_ms);

#endif
