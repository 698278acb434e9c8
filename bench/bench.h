/* bench/bench.h - the yardstick's one door: run rows of the performance table and print them.
 *
 * Main thread only; starts and ends processes, nothing else may wait for children meanwhile. */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include "weir/base.h"

#include <stdio.h>

enum { WEIR_BENCH_SETS_MAX = 16 };

typedef struct weir_bench_options {
    char *const *rows; /* names of rows ("1", "3b"); none: what `all` or `list` say */
    size_t row_count;
    bool all;
    bool list;             /* print the rows and subjects, run nothing */
    const char *only;      /* subjects, separated by commas; NULL: those of the row */
    const char *save;      /* folder that gets the raw results as one JSON-lines file; NULL: none */
    bool json;             /* the raw results to `out` instead of the table */
    unsigned mqtt_version; /* 4 or 5; 0: the row's own, which is 4 */
    unsigned repeats;      /* 0: 5 */
    unsigned measure_ms;   /* 0: 2000, with `all` 1000 */
    unsigned warm_up_ms;   /* 0: 500, with `all` 300 */
    char *const *sets;     /* KEY=VALUE for `weir serve --set`; at most WEIR_BENCH_SETS_MAX */
    size_t set_count;
    const char *weir_program; /* path of the weir to measure */
    FILE *out;
} weir_bench_options;

typedef enum weir_bench_verdict {
    WEIR_BENCH_DONE = 0,
    WEIR_BENCH_FAILED, /* a row of Weir's lost, doubled or reordered a message, or gave no figure */
    WEIR_BENCH_VOID,   /* the ceiling is too low to count as one: the figures mean nothing */
    WEIR_BENCH_USAGE,  /* no such row or subject; said on standard error */
    WEIR_BENCH_STOPPED, /* by a signal; what was started is ended */
} weir_bench_verdict;

weir_bench_verdict weir_bench(const weir_bench_options *options);

/* The commit this was built from; "+" at the end: with changes; "unknown": outside a checkout. */
const char *weir_bench_commit(void);

#endif
