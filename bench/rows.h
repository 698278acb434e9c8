/* bench/rows.h - the rows of the performance table: workload, subjects, goals. Nothing but data. */
#ifndef WEIR_BENCH_ROWS_H
#define WEIR_BENCH_ROWS_H

#include "bench/workload.h"

enum { WEIR_ROW_SUBJECTS_MAX = 12 };

typedef enum weir_row_kind {
    WEIR_ROW_RATE,    /* deliveries a second: more is better */
    WEIR_ROW_LATENCY, /* microseconds, p50: less is better */
    WEIR_ROW_CONNECT, /* connects a second, and bytes of an idle connection */
    WEIR_ROW_CPU,     /* CPU seconds of the subject for a million: less is better */
    WEIR_ROW_BYTES,   /* bytes to the disks for each payload byte: less is better */
} weir_row_kind;

typedef struct weir_row {
    const char *name; /* "1", "3b": the number of the table, and a letter for a further part */
    const char *title;
    weir_row_kind kind;
    weir_bench_workload work; /* warm_up_ms and measure_ms are the run's */
    /* What the ceiling is given instead, where it does not speak what the others do; zeroed: the
     * same. */
    weir_bench_workload ceiling_work;
    /* The ceiling first; of Weir, the one that is held to the goal first. NULL at the end. */
    const char *subjects[WEIR_ROW_SUBJECTS_MAX];
    const char *from;      /* another figure of that row's results: it is not run again */
    double goal;           /* at least, or at most where less is better; 0: none */
    bool goal_is_absolute; /* else: of the ceiling */
    const char *goal_peer; /* a second goal: of this peer's best */
    double goal_peer_ratio;
    const char *missing;   /* what Weir still lacks for this row; NULL: nothing */
    const char *void_peer; /* the ceiling must reach void_ratio times this peer's best */
    double void_ratio;
} weir_row;

const weir_row *weir_rows_all(size_t *count);
const weir_row *weir_row_named(const char *name); /* NULL: none */
/* The row whose results it shows: itself, or that of `from`. */
const weir_row *weir_row_source(const weir_row *row);
/* What the ceiling, or anybody else, is asked to do. */
const weir_bench_workload *weir_row_work(const weir_row *row, bool ceiling);

#endif
