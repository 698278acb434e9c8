/* bench/report.h - the figures of one row, as a table for people and as JSON lines for programs. */
#ifndef WEIR_BENCH_REPORT_H
#define WEIR_BENCH_REPORT_H

#include "bench/rows.h"
#include "bench/subject.h"

#include <stdio.h>

enum { WEIR_REPEATS_MAX = 100 };

/* One subject in one row. */
typedef struct weir_cell {
    const weir_subject *subject;
    const char *note; /* why there is no figure; NULL: there are results */
    char note_text[WEIR_BENCH_TEXT_MAX];
    unsigned count; /* results */
    weir_bench_result results[WEIR_REPEATS_MAX];
} weir_cell;

/* Where and with what the run was made; every JSON line has it. */
typedef struct weir_run_facts {
    char commit[80]; /* "unknown" outside a checkout; "+" at the end: with changes */
    char machine[256];
    char started[32];      /* UTC */
    char sets[512];        /* --set of Weir's subjects, with blanks between */
    char versions[1024];   /* JSON: {"mosquitto": "...", ...} */
    unsigned mqtt_version; /* 0: the row's own */
    unsigned repeats;
    unsigned measure_ms;
    unsigned warm_up_ms;
} weir_run_facts;

/* The row's own figure of a result: deliveries/s, p50 in us, or connects/s. */
double weir_figure(const weir_row *row, const weir_bench_result *result);
double weir_cell_median(const weir_row *row, const weir_cell *cell);
double weir_cell_best(const weir_row *row, const weir_cell *cell);
/* True when every result has a figure and nothing was lost, doubled, reordered or refused. */
bool weir_cell_is_clean(const weir_cell *cell);

void weir_report_row(FILE *out, const weir_row *row, const weir_cell *cells, size_t count);
/* One line. `repeat` counts from 0; `voided`: the ceiling was too low. */
void weir_report_json(FILE *out, const weir_run_facts *facts, const weir_row *row,
                      const weir_cell *cell, unsigned repeat, bool voided);

#endif
