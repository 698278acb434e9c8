/* bench/judge.c - figures and rules.
 *
 * [J1] Cells of a row are in the order of its subjects: the ceiling is cell 0.
 * [J3] Weir's median stands against each peer's best, never against its median. */
#include "bench/judge.h"

#include <stdlib.h>
#include <string.h>

/* ---- Figures -----------------------------------------------------------------------------------
 */

double weir_cpu_per_million(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->measured > 0 ? result->subject_cpu_s * 1e6 / (double)result->measured : 0;
}

double weir_generator_per_million(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->measured > 0 ? result->generator_cpu_s * 1e6 / (double)result->measured : 0;
}

/* A message that goes to every subscriber is published once. */
static double copies(const weir_bench_workload *work)
{
    bool fans_out = work->kind == WEIR_BENCH_MQTT || work->kind == WEIR_BENCH_LIBRARY;
    return fans_out && work->subscribers > 0 ? work->subscribers : 1;
}

double weir_written_per_byte(const weir_row *row, const weir_bench_result *result)
{
    const weir_bench_workload *work = weir_row_work(row, false);
    double bytes = (double)result->measured / copies(work) * work->payload_bytes;
    return bytes > 0 ? (double)result->device_bytes / bytes : 0;
}

double weir_figure(const weir_row *row, const weir_bench_result *result)
{
    switch (row->kind) {
    case WEIR_ROW_LATENCY:
        return (double)result->latency_p50_ns / 1e3;
    case WEIR_ROW_CONNECT:
        return result->connects_per_second;
    case WEIR_ROW_CPU:
        return weir_cpu_per_million(row, result);
    case WEIR_ROW_BYTES:
        return weir_written_per_byte(row, result);
    case WEIR_ROW_RATE:
        break;
    }
    return result->seconds > 0 ? (double)result->measured / result->seconds : 0;
}

const char *weir_row_unit(const weir_row *row)
{
    static const char *const units[] = {
        [WEIR_ROW_RATE] = "messages/s",
        [WEIR_ROW_LATENCY] = "us at p50",
        [WEIR_ROW_CONNECT] = "connects/s",
        [WEIR_ROW_CPU] = "CPU seconds for a million",
        [WEIR_ROW_BYTES] = "bytes to the disks for each payload byte",
    };
    return units[row->kind];
}

bool weir_row_less_is_better(const weir_row *row)
{
    return row->kind == WEIR_ROW_LATENCY || row->kind == WEIR_ROW_CPU ||
           row->kind == WEIR_ROW_BYTES;
}

static int doubles_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

double weir_cell_median_of(const weir_row *row, const weir_cell *cell,
                           double (*of)(const weir_row *, const weir_bench_result *))
{
    double values[WEIR_REPEATS_MAX];
    if (cell->count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < cell->count; i++) {
        values[i] = of(row, &cell->results[i]);
    }
    qsort(values, cell->count, sizeof(values[0]), doubles_compare);
    return (values[(cell->count - 1) / 2] + values[cell->count / 2]) / 2;
}

double weir_cell_median(const weir_row *row, const weir_cell *cell)
{
    return weir_cell_median_of(row, cell, weir_figure);
}

double weir_cell_best(const weir_row *row, const weir_cell *cell)
{
    double best = 0;
    for (unsigned i = 0; i < cell->count; i++) {
        double value = weir_figure(row, &cell->results[i]);
        bool better = weir_row_less_is_better(row) ? value < best : value > best;
        best = i == 0 || better ? value : best;
    }
    return best;
}

/* ---- Rules -------------------------------------------------------------------------------------
 */

static bool result_is_clean(const weir_bench_result *result)
{
    return result->err == WEIR_OK && result->lost == 0 && result->duplicated == 0 &&
           result->reordered == 0 && result->refused == 0 && result->alien == 0;
}

bool weir_cell_is_clean(const weir_cell *cell)
{
    for (unsigned i = 0; i < cell->count; i++) {
        if (!result_is_clean(&cell->results[i])) {
            return false;
        }
    }
    return cell->count > 0;
}

bool weir_cell_is_generator_bound(const weir_row *row, const weir_cell *cell)
{
    return weir_cell_median_of(row, cell, weir_generator_per_million) >
           weir_cell_median_of(row, cell, weir_cpu_per_million);
}

const weir_cell *weir_cell_of_weir(const weir_cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cells[i].subject->kind == WEIR_SUBJECT_WEIR && cells[i].count > 0) {
            return &cells[i];
        }
    }
    return NULL;
}

const weir_cell *weir_cell_named(const weir_cell *cells, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (name != NULL && strcmp(cells[i].subject->name, name) == 0 && cells[i].count > 0) {
            return &cells[i];
        }
    }
    return NULL;
}

bool weir_row_is_void(const weir_row *row, const weir_cell *cells, size_t count, double *reached)
{
    const weir_cell *peer = weir_cell_named(cells, count, row->void_peer);
    double best = peer != NULL ? weir_cell_best(row, peer) : 0;
    if (count == 0 || (cells[0].count == 0 && !cells[0].absent)) {
        *reached = 0;
        return true; /* [J1] a ceiling that gave nothing */
    }
    if (best <= 0 || cells[0].count == 0) {
        return false;
    }
    *reached = weir_cell_median(row, &cells[0]) / best; /* [J3] */
    return *reached < row->void_ratio;
}

bool weir_row_fails(const weir_row *row, const weir_cell *cells, size_t count, unsigned repeats)
{
    for (size_t i = 0; i < count; i++) {
        bool judged = cells[i].subject->kind == WEIR_SUBJECT_WEIR &&
                      weir_row_source(row)->missing == NULL && !cells[i].absent;
        if (judged && (!weir_cell_is_clean(&cells[i]) || cells[i].count < repeats)) {
            return true;
        }
    }
    return false;
}
