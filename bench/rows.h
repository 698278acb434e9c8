/* bench/rows.h - the rows of the performance table: workload, subjects, goal. Nothing but data. */
#ifndef WEIR_BENCH_ROWS_H
#define WEIR_BENCH_ROWS_H

#include "bench/workload.h"

enum { WEIR_ROW_SUBJECTS_MAX = 12 };

typedef enum weir_row_kind {
    WEIR_ROW_RATE,    /* deliveries a second: more is better */
    WEIR_ROW_LATENCY, /* microseconds, p50: less is better */
    WEIR_ROW_CONNECT, /* connects a second, and bytes of an idle connection */
} weir_row_kind;

typedef struct weir_row {
    const char *name; /* "1", "3b": the number of the table, and a letter for a further part */
    const char *title;
    weir_row_kind kind;
    weir_bench_workload work; /* warm_up_ms and measure_ms are the run's */
    /* The ceiling first; of Weir, the one that is held to the goal first. NULL at the end. */
    const char *subjects[WEIR_ROW_SUBJECTS_MAX];
    double goal;           /* of the ceiling: at least, or for latency at most */
    const char *missing;   /* what Weir still lacks for this row; NULL: nothing */
    const char *void_peer; /* the ceiling must reach void_ratio times this peer's best */
    double void_ratio;
} weir_row;

const weir_row *weir_rows_all(size_t *count);
const weir_row *weir_row_named(const char *name); /* NULL: none */

#endif
