/* bench/judge.h - the rules: which figure a result gives, which counts, and when a row is void or
 * failed. Pure.
 *
 * A row is void while its ceiling is no ceiling; it fails when a message of Weir's is lost, doubled,
 * reordered or refused, or when a repeat of Weir's has no figure. Peers' losses judge nobody. */
#ifndef WEIR_BENCH_JUDGE_H
#define WEIR_BENCH_JUDGE_H

#include "bench/rows.h"
#include "bench/subject.h"

enum { WEIR_REPEATS_MAX = 100 };

/* One subject in one row. */
typedef struct weir_cell {
    const weir_subject *subject;
    const char *note; /* why there is no figure, or not each; NULL: there are results */
    char note_text[WEIR_BENCH_TEXT_MAX];
    bool absent;    /* it was not run: not installed, not built, or Weir lacks it */
    unsigned count; /* results */
    weir_bench_result results[WEIR_REPEATS_MAX];
} weir_cell;

/* The row's own figure of a result; weir_row_unit says in what. */
double weir_figure(const weir_row *row, const weir_bench_result *result);
const char *weir_row_unit(const weir_row *row);
bool weir_row_less_is_better(const weir_row *row);

/* The median of what `of` gives for each result; of an even number, the mean of the middle two. 0
 * without results. */
double weir_cell_median_of(const weir_row *row, const weir_cell *cell,
                           double (*of)(const weir_row *, const weir_bench_result *));
double weir_cell_median(const weir_row *row, const weir_cell *cell);
double weir_cell_best(const weir_row *row, const weir_cell *cell);

/* CPU seconds for a million of what is measured; bytes to the disks for each payload byte. */
double weir_cpu_per_million(const weir_row *row, const weir_bench_result *result);
double weir_generator_per_million(const weir_row *row, const weir_bench_result *result);
double weir_written_per_byte(const weir_row *row, const weir_bench_result *result);

/* True when every result has a figure and nothing was lost, doubled, reordered or refused. */
bool weir_cell_is_clean(const weir_cell *cell);
/* True when the generator needed more CPU than the subject, by the medians. */
bool weir_cell_is_generator_bound(const weir_row *row, const weir_cell *cell);
/* The first of Weir's cells that has results; the cell named, when it has. NULL: none. */
const weir_cell *weir_cell_of_weir(const weir_cell *cells, size_t count);
const weir_cell *weir_cell_named(const weir_cell *cells, size_t count, const char *name);

/* *reached: how often the ceiling's median holds the peer's best, when that is too low. */
bool weir_row_is_void(const weir_row *row, const weir_cell *cells, size_t count, double *reached);
bool weir_row_fails(const weir_row *row, const weir_cell *cells, size_t count, unsigned repeats);

#endif
