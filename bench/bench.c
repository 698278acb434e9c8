/* bench/bench.c - rows to runs: every repeat starts every subject afresh, one after the other; only
 * RabbitMQ, which takes long to start, is kept (bench/kept.h).
 *
 *   for each row:  for each repeat:  for each subject:  start, generate, end       (interleaved)
 *                  table of the row; the rules; JSON lines
 *
 * Rules: a run is void while the null broker is too slow to count as a ceiling; a row of Weir's
 * fails when a message is lost, doubled, reordered or refused; a subject whose program is not here
 * is skipped with the line that installs it, and a row that Weir cannot serve yet says so in Weir's
 * cell.
 *
 * [B1] Whatever was started is ended, or kept and stopped, before the next starts; nothing is left
 * at the end, signals included: the handler sets a word and the loops look at it. */
#include "bench/bench.h"

#include "bench/driver.h"
#include "bench/kept.h"
#include "bench/process.h"
#include "bench/report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GENERATE_MS_MAX = 120000, /* beyond what is measured */
    KILL_MS = 100,
    ROWS_MAX = 128,
    PROGRESS_S_LEAST = 60, /* shorter sessions say nothing between their tables */
};

/* What a row gave; others may be figures of the same. */
typedef struct measured {
    const weir_row *row;
    weir_cell *cells;
    size_t count;
} measured;

typedef struct session {
    const weir_bench_options *options;
    measured measured[ROWS_MAX];
    size_t measured_count;
    double left_s; /* as estimated */
    weir_run_facts facts;
    FILE *saved;
    weir_kept kept;
    weir_bench_verdict verdict;
} session;

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* A graver verdict replaces a lighter one. */
static void verdict_raise(session *own, weir_bench_verdict verdict)
{
    own->verdict = verdict > own->verdict ? verdict : own->verdict;
}

/* ---- One run -----------------------------------------------------------------------------------
 */

typedef struct generate {
    const weir_driver *driver;
    const weir_bench_workload *work;
    const weir_bench_target *target;
    int out;
} generate;

static int generate_body(void *arg)
{
    const generate *task = arg;
    weir_bench_result result;
    task->driver->run(task->driver, task->work, task->target, &result);
    return write(task->out, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1;
}

/* The generator has a process of its own: its CPU is its own, and a crash is told. */
static void generate_run(const weir_driver *driver, const weir_bench_workload *work,
                         const weir_bench_target *target, weir_bench_result *result)
{
    int ends[2];
    pid_t pid = 0;
    generate task = {.driver = driver, .work = work, .target = target};
    struct pollfd wait;
    int left_ms = (int)(work->measure_ms + work->warm_up_ms) + GENERATE_MS_MAX;
    *result = (weir_bench_result){.err = WEIR_IO, .text = "the generator ended without a result"};
    if (pipe(ends) != 0) {
        return;
    }
    task.out = ends[1];
    if (weir_process_fork(generate_body, &task, &pid) == WEIR_OK) {
        close(ends[1]);
        wait = (struct pollfd){.fd = ends[0], .events = POLLIN};
        for (int ready = 0; ready <= 0 && left_ms > 0 && stopped == 0; left_ms -= KILL_MS) {
            ready = poll(&wait, 1, KILL_MS);
        }
        if (wait.revents != 0 &&
            read(ends[0], result, sizeof(*result)) != (ssize_t)sizeof(*result)) {
            result->err = WEIR_IO;
        }
        weir_process_end(pid, KILL_MS);
    } else {
        close(ends[1]);
    }
    close(ends[0]);
}

static void cell_note(weir_cell *cell, const char *text)
{
    snprintf(cell->note_text, sizeof(cell->note_text), "%s", text);
    cell->note = cell->note_text;
}

/* Connects and idle memory are those of a server that has done nothing yet. */
static bool is_kept(const weir_row *row, const weir_subject *subject)
{
    return weir_kept_suits(subject) && row->kind != WEIR_ROW_CONNECT;
}

static weir_err subject_begin(session *own, const weir_row *row, const weir_subject *subject,
                              weir_subject_run *run)
{
    const weir_subject_weir weir = {own->options->weir_program, own->options->sets,
                                    own->options->set_count};
    return is_kept(row, subject) ? weir_kept_wake(&own->kept, subject, &weir, run)
                                 : weir_subject_start(subject, &weir, run);
}

/* After a failure the next run begins with a fresh one. */
static void subject_finish(session *own, const weir_row *row, const weir_subject *subject,
                           weir_subject_run *run, bool good)
{
    if (!is_kept(row, subject)) {
        weir_subject_end(subject, run);
    } else if (good) {
        weir_kept_rest(&own->kept);
    } else {
        weir_kept_end(&own->kept);
    }
}

static void cell_run(session *own, const weir_row *row, weir_cell *cell)
{
    bool ceiling = cell->subject->kind == WEIR_SUBJECT_CEILING;
    weir_bench_workload work = *weir_row_work(row, ceiling);
    weir_bench_target target;
    weir_subject_run run;
    weir_bench_result result;
    if (own->options->mqtt_version != 0) {
        work.version = (uint8_t)own->options->mqtt_version;
    }
    work.warm_up_ms = own->facts.warm_up_ms;
    work.measure_ms = own->facts.measure_ms;
    if (ceiling) {
        work.websocket = false; /* the ceiling is TCP's: rows say so */
    }
    if (subject_begin(own, row, cell->subject, &run) != WEIR_OK) {
        cell_note(cell, run.text);
        return;
    }
    weir_subject_target(cell->subject, &run, &work, &target);
    generate_run(weir_subject_driver(cell->subject, work.kind), &work, &target, &result);
    subject_finish(own, row, cell->subject, &run, result.err == WEIR_OK);
    if (stopped != 0) {
        return;
    }
    if (result.err != WEIR_OK) {
        cell_note(cell, result.text);
    } else {
        cell->results[cell->count++] = result;
    }
}

/* ---- One row -----------------------------------------------------------------------------------
 */

/* True when `name` is one of the words of a list with commas. */
static bool listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Why the subject will not be run in this row. False: it will be. */
static bool absence(const weir_row *row, const weir_subject *subject, char *text, size_t size)
{
    bool ceiling = subject->kind == WEIR_SUBJECT_CEILING;
    const weir_driver *driver = weir_subject_driver(subject, weir_row_work(row, ceiling)->kind);
    if (subject->kind == WEIR_SUBJECT_WEIR && row->missing != NULL) {
        snprintf(text, size, "%s", row->missing);
        return true;
    }
    if (driver == NULL) {
        snprintf(text, size, "nobody drives it with this workload yet");
        return true;
    }
    return !weir_subject_there(subject, text, size) || !driver->available(driver, text, size);
}

static size_t cells_make(const session *own, const weir_row *row, weir_cell *cells)
{
    size_t count = 0;
    for (size_t i = 0; i < WEIR_ROW_SUBJECTS_MAX && row->subjects[i] != NULL; i++) {
        const weir_subject *subject = weir_subject_named(row->subjects[i]);
        char text[WEIR_BENCH_TEXT_MAX];
        weir_cell *cell = &cells[count];
        bool ceiling = i == 0; /* always there: nothing can be read without it */
        if (!ceiling && own->options->only != NULL && !listed(own->options->only, subject->name)) {
            continue;
        }
        *cell = (weir_cell){.subject = subject};
        if (absence(row, subject, text, sizeof(text))) {
            cell_note(cell, text);
            cell->absent = true;
        }
        count++;
    }
    return count;
}

static void row_write(const session *own, const weir_row *row, const weir_cell *cells, size_t count,
                      bool voided)
{
    FILE *files[2] = {own->options->json ? own->options->out : NULL, own->saved};
    for (size_t f = 0; f < 2; f++) {
        for (size_t i = 0; files[f] != NULL && i < count; i++) {
            unsigned lines = cells[i].count > 0 ? cells[i].count : 1; /* a skipped one says why */
            for (unsigned repeat = 0; repeat < lines; repeat++) {
                weir_report_json(files[f], &own->facts, row, &cells[i], repeat, voided);
            }
        }
        if (files[f] != NULL) {
            fflush(files[f]);
        }
    }
}

/* ---- How long it will take ---------------------------------------------------------------------
 */

/* Of one run beside warm-up and measured time: start, connects, fill, drain, reading back, end. */
static double run_extra_s(const weir_row *row, const weir_subject *subject)
{
    static const double of_kind[WEIR_BENCH_KINDS] = {
        [WEIR_BENCH_MQTT] = 0.2,       [WEIR_BENCH_STREAM] = 1.5,
        [WEIR_BENCH_CATCH_UP] = 2.0,   [WEIR_BENCH_SINGLE] = 0.4,
        [WEIR_BENCH_SUB] = 0.3,        [WEIR_BENCH_PULL] = 0.3,
        [WEIR_BENCH_PUSH] = 0.3,       [WEIR_BENCH_LIBRARY] = 0.3,
        [WEIR_BENCH_ROUND_TRIP] = 0.3, [WEIR_BENCH_QUEUE_DRAIN] = 1.5,
        [WEIR_BENCH_QUEUE_PACED] = 0.5};
    double start = is_kept(row, subject) ? 0.5 : weir_kept_suits(subject) ? 12.0 : 0.2;
    return start + of_kind[weir_row_work(row, false)->kind];
}

static double row_estimate_s(const session *own, const weir_row *row)
{
    weir_cell *cells = calloc(WEIR_ROW_SUBJECTS_MAX, sizeof(*cells));
    double run_s = (own->facts.warm_up_ms + own->facts.measure_ms) / 1e3;
    double sum = 0;
    size_t count = cells != NULL && row->from == NULL ? cells_make(own, row, cells) : 0;
    for (size_t i = 0; i < count; i++) {
        sum += cells[i].absent ? 0 : run_s + run_extra_s(row, cells[i].subject);
    }
    free(cells);
    return sum * own->facts.repeats;
}

/* On standard error, where it is no part of a table or of JSON lines. */
static void progress_print(const session *own, const weir_row *row, unsigned repeat)
{
    if (own->left_s > PROGRESS_S_LEAST) {
        fprintf(stderr, "row %s, repeat %u of %u; about %.0f min left\n", row->name, repeat + 1,
                own->facts.repeats, own->left_s / 60);
    }
}

/* ---- Running rows ------------------------------------------------------------------------------
 */

static void repeats_run(session *own, const weir_row *row, weir_cell *cells, size_t count)
{
    double repeat_s = row_estimate_s(own, row) / own->facts.repeats;
    for (unsigned repeat = 0; repeat < own->facts.repeats && stopped == 0; repeat++) {
        progress_print(own, row, repeat);
        for (size_t i = 0; i < count && stopped == 0; i++) {
            if (cells[i].note == NULL) {
                cell_run(own, row, &cells[i]);
            }
        }
        own->left_s -= repeat_s;
    }
}

/* The results of a row: those it was run for already, or fresh ones. NULL: no memory, or stopped. */
static const measured *row_measure(session *own, const weir_row *row)
{
    measured *slot = NULL;
    for (size_t i = 0; i < own->measured_count && slot == NULL; i++) {
        slot = own->measured[i].row == row ? &own->measured[i] : NULL;
    }
    if (slot != NULL) {
        return slot;
    }
    slot = &own->measured[own->measured_count];
    *slot = (measured){.row = row, .cells = calloc(WEIR_ROW_SUBJECTS_MAX, sizeof(*slot->cells))};
    if (slot->cells == NULL) {
        verdict_raise(own, WEIR_BENCH_FAILED);
        return NULL;
    }
    own->measured_count++;
    slot->count = cells_make(own, row, slot->cells);
    repeats_run(own, row, slot->cells, slot->count);
    return stopped == 0 ? slot : NULL;
}

static void row_run(session *own, const weir_row *row)
{
    const measured *had = row_measure(own, weir_row_source(row));
    double reached;
    bool voided;
    if (had == NULL) {
        return;
    }
    if (!own->options->json) {
        weir_report_row(own->options->out, row, had->cells, had->count, own->facts.repeats);
    }
    voided = weir_row_is_void(row, had->cells, had->count, &reached);
    if (voided) {
        verdict_raise(own, WEIR_BENCH_VOID);
    }
    if (weir_row_fails(row, had->cells, had->count, own->facts.repeats)) {
        verdict_raise(own, WEIR_BENCH_FAILED);
    }
    row_write(own, row, had->cells, had->count, voided);
}

/* ---- The session -------------------------------------------------------------------------------
 */

/* The folder and those above it; what cannot be made shows when a file there is opened. */
static void folders_make(const char *folder)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    (void)mkdir(path, 0777);
}

static bool save_open(session *own)
{
    char path[512];
    if (own->options->save == NULL) {
        return true;
    }
    folders_make(own->options->save);
    snprintf(path, sizeof(path), "%s/%s-%.12s.jsonl", own->options->save, own->facts.started,
             own->facts.commit);
    own->saved = fopen(path, "we");
    if (own->saved == NULL) {
        fprintf(stderr, "weir: %s cannot be written: %s; start it in a folder where it can\n", path,
                strerror(errno));
    }
    return own->saved != NULL;
}

/* Of a build without optimisation, or with checks, a figure means nothing. */
static void build_warn(const session *own)
{
    if (strncmp(own->facts.build, "Release", strlen("Release")) != 0 &&
        strcmp(own->facts.build, "unknown") != 0) {
        fprintf(stderr, "this weir is no release build (%s): its figures mean nothing\n",
                own->facts.build);
    }
}

static bool names_check(const weir_bench_options *options)
{
    char list[512];
    char *rest = list;
    char *name;
    for (size_t i = 0; i < options->row_count; i++) {
        if (weir_row_named(options->rows[i]) == NULL) {
            fprintf(stderr, "weir: there is no row \"%s\"; `weir bench --list` shows them\n",
                    options->rows[i]);
            return false;
        }
    }
    snprintf(list, sizeof(list), "%s", options->only != NULL ? options->only : "ceiling");
    while ((name = strsep(&rest, ",")) != NULL) {
        if (weir_subject_named(name) == NULL) {
            fprintf(stderr, "weir: there is no subject \"%s\"; `weir bench --list` shows them\n",
                    name);
            return false;
        }
    }
    return options->row_count <= ROWS_MAX && options->repeats <= WEIR_REPEATS_MAX &&
           options->set_count <= WEIR_BENCH_SETS_MAX;
}

static void progress_start(const session *own, size_t rows)
{
    if (own->left_s > PROGRESS_S_LEAST) {
        fprintf(stderr,
                "%zu rows, %u repeats of %.3g s and %.3g s of warm-up: about %.0f min; --repeats, "
                "--seconds and --only make it shorter\n",
                rows, own->facts.repeats, own->facts.measure_ms / 1e3, own->facts.warm_up_ms / 1e3,
                own->left_s / 60);
    }
}

static void list_print(FILE *out)
{
    size_t count;
    const weir_row *rows = weir_rows_all(&count);
    const weir_subject *all;
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%-4s %s%s%s%s\n", rows[i].name, rows[i].title,
                rows[i].missing != NULL ? " (weir: " : "",
                rows[i].missing != NULL ? rows[i].missing : "", rows[i].missing != NULL ? ")" : "");
    }
    fprintf(out, "\n");
    all = weir_subjects(&count);
    for (size_t i = 0; i < count; i++) {
        char text[WEIR_BENCH_TEXT_MAX] = "";
        const weir_driver *driver = all[i].driver != NULL ? weir_driver_named(all[i].driver) : NULL;
        if (weir_subject_there(&all[i], text, sizeof(text)) && driver != NULL) {
            (void)driver->available(driver, text, sizeof(text));
        }
        fprintf(out, "%-20s %s%s%s\n", all[i].name, all[i].setting, text[0] != '\0' ? "; " : "",
                text);
    }
}

weir_bench_verdict weir_bench(const weir_bench_options *options)
{
    session own = {.options = options};
    struct sigaction action = {.sa_handler = on_signal};
    size_t count;
    const weir_row *rows = weir_rows_all(&count);
    if (options->list) {
        list_print(options->out);
        return WEIR_BENCH_DONE;
    }
    if (!names_check(options)) {
        return WEIR_BENCH_USAGE;
    }
    stopped = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    weir_run_facts_read(options, &own.facts);
    build_warn(&own);
    if (!save_open(&own)) {
        return WEIR_BENCH_USAGE;
    }
    if (!options->all) {
        count = options->row_count;
    }
    for (size_t i = 0; i < count; i++) {
        const weir_row *row = options->all ? &rows[i] : weir_row_named(options->rows[i]);
        own.left_s += row_estimate_s(&own, row);
    }
    progress_start(&own, count);
    for (size_t i = 0; i < count && stopped == 0; i++) {
        row_run(&own, options->all ? &rows[i] : weir_row_named(options->rows[i]));
    }
    weir_kept_end(&own.kept);
    for (size_t i = 0; i < own.measured_count; i++) {
        free(own.measured[i].cells);
    }
    if (own.saved != NULL) {
        fclose(own.saved);
    }
    return stopped != 0 ? WEIR_BENCH_STOPPED : own.verdict;
}
