/* bench/report.c - figures to text.
 *
 * [J1] Cells of a row are in the order of its subjects: the ceiling is cell 0.
 * [J2] Every string in a JSON line is our own or is escaped. */
#include "bench/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

double weir_figure(const weir_row *row, const weir_bench_result *result)
{
    switch (row->kind) {
    case WEIR_ROW_LATENCY:
        return (double)result->latency_p50_ns / 1e3;
    case WEIR_ROW_CONNECT:
        return result->connects_per_second;
    case WEIR_ROW_RATE:
        break;
    }
    return result->seconds > 0 ? (double)result->measured / result->seconds : 0;
}

static int doubles_compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* The median of what `of` gives for each result; of an even number, the mean of the middle two. */
static double median_of(const weir_row *row, const weir_cell *cell,
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
    return median_of(row, cell, weir_figure);
}

double weir_cell_best(const weir_row *row, const weir_cell *cell)
{
    double best = 0;
    for (unsigned i = 0; i < cell->count; i++) {
        double value = weir_figure(row, &cell->results[i]);
        bool better = row->kind == WEIR_ROW_LATENCY ? value < best : value > best;
        best = i == 0 || better ? value : best;
    }
    return best;
}

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

/* ---- The table ---------------------------------------------------------------------------------
 */

static double p50_us(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return (double)result->latency_p50_ns / 1e3;
}

static double p99_us(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return (double)result->latency_p99_ns / 1e3;
}

static double cpu_per_million(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->measured > 0 ? result->subject_cpu_s * 1e6 / (double)result->measured : 0;
}

static double generator_per_million(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->measured > 0 ? result->generator_cpu_s * 1e6 / (double)result->measured : 0;
}

static double written_per_byte(const weir_row *row, const weir_bench_result *result)
{
    double bytes = (double)result->measured /
                   (row->work.subscribers > 0 ? row->work.subscribers : 1) *
                   row->work.payload_bytes;
    return bytes > 0 ? (double)result->device_bytes / bytes : 0;
}

/* Processors that something else kept busy, or the host took. */
static double others(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->seconds > 0 ? (result->others_cpu_s + result->stolen_cpu_s) / result->seconds
                               : 0;
}

static double idle_bytes(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return result->idle_bytes;
}

static const char *number(char text[32], double value)
{
    if (value >= 1e6) {
        snprintf(text, 32, "%.2fM", value / 1e6);
    } else if (value >= 1e4) {
        snprintf(text, 32, "%.1fk", value / 1e3);
    } else {
        snprintf(text, 32, value < 100 ? "%.2f" : "%.0f", value);
    }
    return text;
}

static const char *ratio(char text[32], double over, double under)
{
    if (under > 0 && over > 0) {
        snprintf(text, 32, "%.3g", over / under);
    } else {
        snprintf(text, 32, "-");
    }
    return text;
}

static void faults_print(FILE *out, const weir_cell *cell)
{
    uint64_t lost = 0;
    uint64_t duplicated = 0;
    uint64_t reordered = 0;
    uint64_t stalls = 0;
    for (unsigned i = 0; i < cell->count; i++) {
        lost += cell->results[i].lost;
        duplicated += cell->results[i].duplicated;
        reordered += cell->results[i].reordered;
        stalls += cell->results[i].stalls;
    }
    fprintf(out, " %" PRIu64 "/%" PRIu64 "/%" PRIu64, lost, duplicated, reordered);
    if (stalls > 0) {
        fprintf(out, " stalls %" PRIu64, stalls);
    }
}

static void cell_print(FILE *out, const weir_row *row, const weir_cell *cell,
                       const weir_cell *ceiling, const weir_cell *weir)
{
    char texts[10][32];
    double own = weir_cell_median(row, cell);
    double subject_cpu = median_of(row, cell, cpu_per_million);
    double generator_cpu = median_of(row, cell, generator_per_million);
    fprintf(out, "%-20s", cell->subject->name);
    if (cell->count == 0) {
        fprintf(out, " %s\n", cell->note != NULL ? cell->note : "-");
        return;
    }
    fprintf(out, " %8s %8s %8s %8s", number(texts[0], own),
            number(texts[1], weir_cell_best(row, cell)),
            ratio(texts[2], own, weir_cell_median(row, ceiling)),
            cell == weir || weir == NULL
                ? "-"
                : ratio(texts[3], weir_cell_median(row, weir), weir_cell_best(row, cell)));
    if (row->kind == WEIR_ROW_CONNECT) {
        fprintf(out, " %8s", number(texts[4], median_of(row, cell, idle_bytes)));
    } else {
        fprintf(out, " %8s %8s %7.3f %7.3f %6.2f %6.2f",
                number(texts[4], median_of(row, cell, p50_us)),
                number(texts[5], median_of(row, cell, p99_us)), subject_cpu, generator_cpu,
                median_of(row, cell, written_per_byte), median_of(row, cell, others));
        faults_print(out, cell);
        fprintf(out, "%s",
                row->kind == WEIR_ROW_RATE && generator_cpu > subject_cpu ? " generator-bound"
                                                                          : "");
    }
    if (cell->note != NULL) {
        fprintf(out, " [%s]", cell->note);
    }
    fprintf(out, " (%s)\n", cell->subject->setting);
}

static const weir_cell *weir_cell_of(const weir_cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cells[i].subject->kind == WEIR_SUBJECT_WEIR && cells[i].count > 0) {
            return &cells[i];
        }
    }
    return NULL;
}

static void goal_print(FILE *out, const weir_row *row, const weir_cell *ceiling,
                       const weir_cell *weir)
{
    bool low = row->kind == WEIR_ROW_LATENCY;
    double reached;
    if (row->missing != NULL) {
        fprintf(out, "weir lacks %s\n", row->missing);
        return;
    }
    if (weir == NULL || ceiling->count == 0) {
        return;
    }
    reached = weir_cell_median(row, weir) / weir_cell_median(row, ceiling);
    fprintf(out, "%s: %.3g of the ceiling, goal %s %.2f: %s%s\n", weir->subject->name, reached,
            low ? "<=" : ">=", row->goal,
            (low ? reached <= row->goal : reached >= row->goal) ? "reached" : "missed",
            weir_cell_is_clean(weir) ? ""
                                     : "; FAILED: lost, doubled, reordered or refused messages");
}

void weir_report_row(FILE *out, const weir_row *row, const weir_cell *cells, size_t count)
{
    const weir_cell *weir = weir_cell_of(cells, count);
    fprintf(out, "\nrow %s: %s, in %s\n", row->name, row->title,
            row->kind == WEIR_ROW_RATE      ? "deliveries/s"
            : row->kind == WEIR_ROW_LATENCY ? "us at p50"
                                            : "connects/s");
    fprintf(out, "%-20s %8s %8s %8s %8s", "subject", "median", "best", "/ceiling", "weir/it");
    if (row->kind == WEIR_ROW_CONNECT) {
        fprintf(out, " %8s\n", "idle B");
    } else {
        fprintf(out, " %8s %8s %7s %7s %6s %6s lost/doubled/reordered\n", "p50 us", "p99 us",
                "cpu/M", "gen/M", "B/B", "others");
    }
    for (size_t i = 0; i < count; i++) {
        cell_print(out, row, &cells[i], &cells[0], weir);
    }
    goal_print(out, row, &cells[0], weir); /* [J1] */
    fflush(out);
}

/* ---- JSON lines --------------------------------------------------------------------------------
 */

/* [J2] */
static void text_print(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":\"", name);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c >= 0x7f) {
            fputc('?', out);
        } else {
            fputc(c, out);
        }
    }
    fprintf(out, "\",");
}

static void count_print(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "\"%s\":%" PRIu64 ",", name, value);
}

static void real_print(FILE *out, const char *name, double value)
{
    fprintf(out, "\"%s\":%.9g,", name, value);
}

static void workload_print(FILE *out, const weir_run_facts *facts, const weir_bench_workload *work)
{
    fprintf(out, "\"workload\":{");
    count_print(out, "version", facts->mqtt_version != 0 ? facts->mqtt_version : work->version);
    count_print(out, "qos", work->qos);
    count_print(out, "publishers", work->publishers);
    count_print(out, "subscribers", work->subscribers);
    count_print(out, "payload_bytes", work->payload_bytes);
    count_print(out, "window", work->window);
    count_print(out, "in_flight", work->in_flight);
    count_print(out, "rate_per_second", work->rate_per_second);
    count_print(out, "connections", work->connections);
    fprintf(out, "\"kept_sessions\":%s,", work->kept_sessions ? "true" : "false");
    fprintf(out, "\"own_names\":%s,", work->own_names ? "true" : "false");
    fprintf(out, "\"websocket\":%s},", work->websocket ? "true" : "false");
}

static void result_print(FILE *out, const weir_bench_result *result)
{
    text_print(out, "error", result->text);
    real_print(out, "seconds", result->seconds);
    count_print(out, "sent", result->sent);
    count_print(out, "delivered", result->delivered);
    count_print(out, "measured", result->measured);
    count_print(out, "acked", result->acked);
    count_print(out, "lost", result->lost);
    count_print(out, "duplicated", result->duplicated);
    count_print(out, "reordered", result->reordered);
    count_print(out, "alien", result->alien);
    count_print(out, "refused", result->refused);
    count_print(out, "stalls", result->stalls);
    count_print(out, "reads", result->reads);
    count_print(out, "latency_p50_ns", result->latency_p50_ns);
    count_print(out, "latency_p90_ns", result->latency_p90_ns);
    count_print(out, "latency_p99_ns", result->latency_p99_ns);
    count_print(out, "latency_p999_ns", result->latency_p999_ns);
    count_print(out, "latency_max_ns", result->latency_max_ns);
    count_print(out, "late_p50_ns", result->late_p50_ns);
    count_print(out, "late_p99_ns", result->late_p99_ns);
    real_print(out, "connects_per_second", result->connects_per_second);
    real_print(out, "idle_bytes", result->idle_bytes);
    count_print(out, "rss_bytes", result->rss_bytes);
    real_print(out, "subject_cpu_s", result->subject_cpu_s);
    real_print(out, "generator_cpu_s", result->generator_cpu_s);
    real_print(out, "others_cpu_s", result->others_cpu_s);
    real_print(out, "stolen_cpu_s", result->stolen_cpu_s);
    count_print(out, "written_bytes", result->written_bytes);
    count_print(out, "device_bytes", result->device_bytes);
}

void weir_report_json(FILE *out, const weir_run_facts *facts, const weir_row *row,
                      const weir_cell *cell, unsigned repeat, bool voided)
{
    const char *config = cell->subject->config;
    const char *settings = config != NULL ? weir_peers_file(config) : NULL;
    fprintf(out, "{\"bench\":1,");
    text_print(out, "commit", facts->commit);
    text_print(out, "machine", facts->machine);
    text_print(out, "started", facts->started);
    fprintf(out, "\"versions\":%s,", facts->versions);
    count_print(out, "repeats", facts->repeats);
    count_print(out, "measure_ms", facts->measure_ms);
    count_print(out, "warm_up_ms", facts->warm_up_ms);
    text_print(out, "row", row->name);
    text_print(out, "title", row->title);
    text_print(out, "subject", cell->subject->name);
    text_print(out, "setting", cell->subject->setting);
    text_print(out, "config", config != NULL ? config : "");
    text_print(out, "settings", settings != NULL ? settings : "");
    text_print(out, "sets", cell->subject->kind == WEIR_SUBJECT_WEIR ? facts->sets : "");
    workload_print(out, facts, &row->work);
    fprintf(out, "\"void\":%s,", voided ? "true" : "false");
    count_print(out, "repeat", repeat);
    text_print(out, "note", cell->note != NULL ? cell->note : "");
    if (repeat < cell->count) {
        result_print(out, &cell->results[repeat]);
        real_print(out, "figure", weir_figure(row, &cell->results[repeat]));
    }
    fprintf(out, "\"end\":true}\n");
}
