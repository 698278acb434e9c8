/* bench/report.h - the figures of one row, as a table for people and as JSON lines for programs. */
#ifndef WEIR_BENCH_REPORT_H
#define WEIR_BENCH_REPORT_H

#include "bench/facts.h"
#include "bench/judge.h"

#include <stdio.h>

/* The table of a row, its goals, and what the rules say of it. */
void weir_report_row(FILE *out, const weir_row *row, const weir_cell *cells, size_t count,
                     unsigned repeats);
/* One line. `repeat` counts from 0; `voided`: the ceiling was too low. */
void weir_report_json(FILE *out, const weir_run_facts *facts, const weir_row *row,
                      const weir_cell *cell, unsigned repeat, bool voided);

#endif
