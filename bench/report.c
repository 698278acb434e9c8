/* bench/report.c - figures to text.
 *
 * [J1] of judge.c: the ceiling is cell 0.
 * [J2] Every string in a JSON line is our own or is escaped. */
#include "bench/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static double rss_bytes(const weir_row *row, const weir_bench_result *result)
{
    (void)row;
    return (double)result->rss_bytes;
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
    if (value == 0) {
        snprintf(text, 32, "-");
    } else if (value >= 1e6) {
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
    /* A generator that polls for the next intended time is no limit of the subject. */
    const char *bound = row->kind == WEIR_ROW_LATENCY ? " generator-heavier" : " generator-bound";
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
        fprintf(out, " %8s", number(texts[4], weir_cell_median_of(row, cell, idle_bytes)));
    } else {
        fprintf(out, " %8s %8s %7.3f %7.3f %7s %6.2f %6.2f",
                number(texts[4], weir_cell_median_of(row, cell, p50_us)),
                number(texts[5], weir_cell_median_of(row, cell, p99_us)),
                weir_cell_median_of(row, cell, weir_cpu_per_million),
                weir_cell_median_of(row, cell, weir_generator_per_million),
                number(texts[6], weir_cell_median_of(row, cell, rss_bytes)),
                weir_cell_median_of(row, cell, weir_written_per_byte),
                weir_cell_median_of(row, cell, others));
        faults_print(out, cell);
        fprintf(out, "%s", weir_cell_is_generator_bound(row, cell) ? bound : "");
    }
    if (cell->note != NULL) {
        fprintf(out, " [%s]", cell->note);
    }
    fprintf(out, " (%s)\n", cell->subject->setting);
}

static void goal_line(FILE *out, const weir_row *row, const char *whose, double reached,
                      double goal)
{
    bool low = weir_row_less_is_better(row);
    fprintf(out, "%.3g %s, goal %s %.3g: %s", reached, whose, low ? "<=" : ">=", goal,
            (low ? reached <= goal : reached >= goal) ? "reached" : "missed");
}

static void goal_print(FILE *out, const weir_row *row, const weir_cell *cells, size_t count)
{
    const weir_cell *weir = weir_cell_of_weir(cells, count);
    const weir_cell *peer = weir_cell_named(cells, count, row->goal_peer);
    char whose[96];
    if (weir == NULL) {
        return;
    }
    if (row->goal > 0 && row->goal_is_absolute) {
        fprintf(out, "%s: ", weir->subject->name);
        goal_line(out, row, weir_row_unit(row), weir_cell_median(row, weir), row->goal);
        fprintf(out, "\n");
    } else if (row->goal > 0 && cells[0].count > 0) {
        fprintf(out, "%s: ", weir->subject->name);
        goal_line(out, row, "of the ceiling",
                  weir_cell_median(row, weir) / weir_cell_median(row, &cells[0]), row->goal);
        fprintf(out, "\n");
    }
    if (peer != NULL && weir_cell_best(row, peer) > 0) {
        snprintf(whose, sizeof(whose), "of the best of %s", row->goal_peer);
        fprintf(out, "%s: ", weir->subject->name);
        goal_line(out, row, whose, weir_cell_median(row, weir) / weir_cell_best(row, peer),
                  row->goal_peer_ratio);
        fprintf(out, "\n");
    }
}

static void rules_print(FILE *out, const weir_row *row, const weir_cell *cells, size_t count,
                        unsigned repeats)
{
    double reached = 0;
    if (weir_row_fails(row, cells, count, repeats)) {
        fprintf(out, "FAILED: messages of weir's were lost, doubled, reordered or refused, or a "
                     "repeat gave no figure\n");
    }
    if (!weir_row_is_void(row, cells, count, &reached)) {
        return;
    }
    if (reached > 0) {
        fprintf(out,
                "VOID: the ceiling is %.3g times %s's best, not %.3g: the machine is too busy, or "
                "the generator too slow, for these figures to mean anything\n",
                reached, row->void_peer, row->void_ratio);
    } else {
        fprintf(out, "VOID: the ceiling gave no figure\n");
    }
}

void weir_report_row(FILE *out, const weir_row *row, const weir_cell *cells, size_t count,
                     unsigned repeats)
{
    const weir_cell *weir = weir_cell_of_weir(cells, count);
    fprintf(out, "\nrow %s: %s, in %s\n", row->name, row->title, weir_row_unit(row));
    fprintf(out, "%-20s %8s %8s %8s %8s", "subject", "median", "best", "/ceiling", "weir/it");
    if (row->kind == WEIR_ROW_CONNECT) {
        fprintf(out, " %8s\n", "idle B");
    } else {
        fprintf(out, " %8s %8s %7s %7s %7s %6s %6s lost/doubled/reordered\n", "p50 us", "p99 us",
                "cpu/M", "gen/M", "rss", "B/B", "others");
    }
    for (size_t i = 0; i < count; i++) {
        cell_print(out, row, &cells[i], &cells[0], weir);
    }
    goal_print(out, row, cells, count); /* [J1] */
    rules_print(out, row, cells, count, repeats);
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
        } else if (c == '\n') {
            fputs("\\n", out);
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
    static const char *const kinds[WEIR_BENCH_KINDS] = {
        "mqtt",    "stream",   "catch-up", "single",     "queue-drain", "queue-paced",
        "nng-sub", "nng-pull", "nng-push", "round-trip", "library"};
    fprintf(out, "\"workload\":{");
    text_print(out, "kind", kinds[work->kind]);
    count_print(out, "messages", work->messages);
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
    const weir_bench_workload *work =
        weir_row_work(row, cell->subject->kind == WEIR_SUBJECT_CEILING);
    fprintf(out, "{\"bench\":1,");
    text_print(out, "commit", facts->commit);
    text_print(out, "build", facts->build);
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
    workload_print(out, facts, work);
    text_print(out, "from", row->from != NULL ? row->from : "");
    text_print(out, "unit", weir_row_unit(row));
    fprintf(out, "\"void\":%s,", voided ? "true" : "false");
    count_print(out, "repeat", repeat);
    text_print(out, "note", cell->note != NULL ? cell->note : "");
    if (repeat < cell->count) {
        result_print(out, &cell->results[repeat]);
        real_print(out, "cpu_s_per_million", weir_cpu_per_million(row, &cell->results[repeat]));
        real_print(out, "generator_cpu_s_per_million",
                   weir_generator_per_million(row, &cell->results[repeat]));
        real_print(out, "written_per_payload_byte",
                   weir_written_per_byte(row, &cell->results[repeat]));
        fprintf(out, "\"generator_bound\":%s,",
                weir_cell_is_generator_bound(row, cell) ? "true" : "false");
        real_print(out, "figure", weir_figure(row, &cell->results[repeat]));
    }
    fprintf(out, "\"end\":true}\n");
}
