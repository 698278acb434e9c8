/* bench/report.h - the figures of one row, as a table for people and as JSON lines for programs. */
#ifndef WEIR_BENCH_REPORT_H
#define WEIR_BENCH_REPORT_H

#include "bench/judge.h"

#include <stdio.h>

/* Where and with what the run was made; every JSON line has it. */
typedef struct weir_run_facts {
    char commit[80]; /* "unknown" outside a checkout; "+" at the end: with changes */
    char machine[256];
    char started[32];      /* UTC */
    char sets[512];        /* --set of Weir's subjects, with blanks between */
    char versions[2048];   /* JSON: {"mosquitto": "...", ...} */
    unsigned mqtt_version; /* 0: the row's own */
    unsigned repeats;
    unsigned measure_ms;
    unsigned warm_up_ms;
} weir_run_facts;

/* The table of a row, its goals, and what the rules say of it. */
void weir_report_row(FILE *out, const weir_row *row, const weir_cell *cells, size_t count,
                     unsigned repeats);
/* One line. `repeat` counts from 0; `voided`: the ceiling was too low. */
void weir_report_json(FILE *out, const weir_run_facts *facts, const weir_row *row,
                      const weir_cell *cell, unsigned repeat, bool voided);

#endif
