/* programs/log.c - `weir log`: looks into a data directory that no gateway owns, and repairs it.
 *
 *     verify      every file, the first bad place, what cannot be read         0 sound, 1 damaged
 *     dump        units and entries, or the batches of a segment
 *     repair      what would be lost; with --accept-loss copies, then cuts; writes .heads files anew
 *     failpoints  names for tests
 *
 * All of it is core/engine/inspect.h, shown. Happy path: a table and exit code 0. Failures: one
 * sentence; a directory that a gateway owns is refused with the owner's pid (exit 4). */
#include "core/engine/inspect.h"

#include "programs/commands.h"
#include "programs/config.h"
#include "programs/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NUMBER_BYTES = 24, TEXT_BYTES = 512 };

typedef struct report {
    weir_output output;
    weir_rows *files;
    weir_rows *gaps;
    uint64_t lost_records; /* offsets that stand in units behind the damage */
} report;

static const char *const FILE_COLUMNS[] = {"file",  "verdict",  "bytes#",   "units#",    "last#",
                                           "mark#", "batches#", "records#", "position#", "text"};
enum { FILE_COLUMN_COUNT = 10 };
static const char *const GAP_COLUMNS[] = {"lost",  "topic", "topic_id#", "partition#",
                                          "from#", "to#",   "in"};
enum { GAP_COLUMN_COUNT = 7 };
static const char *const ENTRY_COLUMNS[] = {"file",       "position#", "unit#",   "time_ms#",
                                            "type",       "bytes#",    "topic",   "topic_id#",
                                            "partition#", "offset#",   "records#"};
enum { ENTRY_COLUMN_COUNT = 11 };

/* A number as a cell; `none` is shown as nothing. */
static const char *number(char out[NUMBER_BYTES], uint64_t value, bool shown)
{
    (void)snprintf(out, NUMBER_BYTES, "%" PRIu64, value);
    return shown ? out : NULL;
}

/* ---- Verify
 * ---------------------------------------------------------------------------------------- */

static void file_row(void *arg, const weir_inspect_file *file)
{
    static const char *const VERDICTS[] = {"sound", "torn-tail", "unused", "damaged", "missing"};
    report *to = arg;
    char cells[FILE_COLUMN_COUNT][NUMBER_BYTES];
    bool journal = strcmp(file->kind, "journal") == 0;
    bool batches = journal || strcmp(file->kind, "segment") == 0;
    bool bad = file->verdict == WEIR_INSPECT_DAMAGED || file->verdict == WEIR_INSPECT_TORN;
    bool gone = file->verdict == WEIR_INSPECT_MISSING;
    const char *const row[] = {file->path,
                               VERDICTS[file->verdict],
                               number(cells[2], file->bytes, !gone),
                               number(cells[3], file->units, journal && !gone),
                               number(cells[4], file->last_unit, file->last_unit > 0),
                               number(cells[5], file->mark, journal && !gone),
                               number(cells[6], file->batches, batches && !gone),
                               number(cells[7], file->records, batches && !gone),
                               number(cells[8], file->position, bad),
                               file->text[0] != '\0' ? file->text : NULL};
    weir_rows_add(to->files, row);
}

static void gap_row(void *arg, const weir_inspect_gap *gap)
{
    report *to = arg;
    char cells[4][NUMBER_BYTES];
    char name[256];
    (void)snprintf(name, sizeof(name), "%.*s", (int)gap->topic.len, (const char *)gap->topic.ptr);
    const char *const row[] = {"records",
                               gap->topic.len > 0 ? name : NULL,
                               number(cells[0], gap->topic_id, true),
                               number(cells[1], gap->partition, true),
                               number(cells[2], (uint64_t)gap->from, true),
                               number(cells[3], (uint64_t)gap->to, true),
                               gap->journal ? "journal" : "segment"};
    to->lost_records += gap->journal ? (uint64_t)(gap->to - gap->from) : 0;
    weir_rows_add(to->gaps, row);
}

static void ignore_file(void *arg, const weir_inspect_file *file)
{
    (void)arg, (void)file;
}

static void sum_row(const report *to, const weir_inspect_sum *sum, bool sound)
{
    static const char *const COLUMNS[] = {
        "sound#",     "files#",      "damaged#",   "topics#", "batches#",  "records#", "gaps#",
        "last_unit#", "known_unit#", "torn_tail#", "file",    "position#", "text"};
    char cells[9][NUMBER_BYTES];
    bool fault = sum->fault.err != WEIR_OK;
    weir_rows *rows = weir_rows_create(COLUMNS, 13);
    const char *const row[] = {sound ? "true" : "false",
                               number(cells[0], sum->files, true),
                               number(cells[1], sum->damaged, true),
                               number(cells[2], sum->topics, true),
                               number(cells[3], sum->batches, true),
                               number(cells[4], sum->records, true),
                               number(cells[5], sum->gaps, true),
                               number(cells[6], sum->last_unit, true),
                               number(cells[7], sum->known_unit, true),
                               sum->torn ? "true" : "false",
                               fault ? sum->fault.file : NULL,
                               number(cells[8], sum->fault.position, fault),
                               fault ? sum->fault.text : NULL};
    weir_rows_add(rows, row);
    weir_rows_print(rows, to->output, stdout);
    weir_rows_destroy(rows);
}

/* People get tables and a sentence; a program gets one object with everything in it. */
static void report_print(const report *to, const weir_inspect_sum *sum, bool sound)
{
    if (to->output == WEIR_OUTPUT_JSON) {
        printf("{\"files\":");
        weir_rows_print(to->files, to->output, stdout);
        printf(",\"lost\":");
        weir_rows_print(to->gaps, to->output, stdout);
        printf(",\"sum\":");
        sum_row(to, sum, sound);
        printf("}\n");
        return;
    }
    weir_rows_print(to->files, to->output, stdout);
    if (sum->gaps > 0) {
        printf(to->output == WEIR_OUTPUT_TABLE ? "\n" : "");
        weir_rows_print(to->gaps, to->output, stdout);
    }
    if (to->output == WEIR_OUTPUT_NDJSON) {
        sum_row(to, sum, sound);
        return;
    }
    printf("\n%s: %" PRIu64 " files, %" PRIu64 " damaged or missing; %" PRIu64
           " topics; in segments %" PRIu64 " records in %" PRIu64 " batches; %" PRIu64
           " gaps; last good unit %" PRIu64 "%s\n",
           sound ? "sound" : "damaged", sum->files, sum->damaged, sum->topics, sum->records,
           sum->batches, sum->gaps, sum->last_unit,
           sum->torn ? " (behind it a write was interrupted: nothing of it had been acknowledged)"
                     : "");
}

static bool report_make(report *to, const weir_arguments *arguments)
{
    *to = (report){0};
    if (!weir_output_read(arguments, &to->output)) {
        return false;
    }
    to->files = weir_rows_create(FILE_COLUMNS, FILE_COLUMN_COUNT);
    to->gaps = weir_rows_create(GAP_COLUMNS, GAP_COLUMN_COUNT);
    return true;
}

static void report_free(report *to)
{
    weir_rows_destroy(to->files);
    weir_rows_destroy(to->gaps);
}

static weir_exit fault_exit(weir_fault *fault, weir_err err)
{
    fault->err = err;
    weir_say_fault(fault);
    return weir_exit_of(err);
}

weir_exit weir_run_log_verify(const weir_arguments *arguments)
{
    weir_config config = {0};
    weir_engine_config engine = {0};
    weir_inspect_sum sum;
    weir_fault fault = {0};
    report to;
    if (!weir_config_from_arguments(&config, arguments) || !report_make(&to, arguments)) {
        weir_config_fini(&config);
        return WEIR_EXIT_USAGE;
    }
    weir_config_engine(&config, &engine);
    const weir_inspect_to rows = {&to, file_row, gap_row};
    weir_err err = weir_inspect_verify(&engine, &rows, &sum, &fault);
    weir_exit code = WEIR_EXIT_DONE;
    if (err != WEIR_OK) {
        code = fault_exit(&fault, err);
    } else {
        bool sound = sum.damaged == 0 && sum.gaps == 0 && sum.fault.err == WEIR_OK;
        report_print(&to, &sum, sound);
        if (sum.fault.err != WEIR_OK) {
            weir_say_fault(&sum.fault);
        }
        code = sound ? WEIR_EXIT_DONE : WEIR_EXIT_ERROR;
    }
    report_free(&to);
    weir_config_fini(&config);
    return code;
}

/* ---- Dump
 * ------------------------------------------------------------------------------------------ */

typedef struct dump {
    weir_rows *rows;
    uint64_t shown;
    uint64_t unread; /* stretches and files that were passed over */
} dump;

static void entry_row(void *arg, const weir_inspect_entry *entry)
{
    dump *to = arg;
    char cells[ENTRY_COLUMN_COUNT][NUMBER_BYTES];
    char time[NUMBER_BYTES];
    char name[256];
    bool batch = entry->base_offset >= 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)entry->topic.len,
                   (const char *)entry->topic.ptr);
    (void)snprintf(time, sizeof(time), "%" PRId64, entry->time_ms);
    const char *const row[] = {entry->file,
                               number(cells[1], entry->position, true),
                               number(cells[2], entry->unit, entry->unit > 0),
                               entry->unread ? NULL : time,
                               entry->type,
                               number(cells[5], entry->bytes, true),
                               entry->topic.len > 0 ? name : NULL,
                               number(cells[6], entry->topic_id, entry->of_topic),
                               number(cells[7], entry->partition, entry->placed),
                               number(cells[8], (uint64_t)entry->base_offset, batch),
                               number(cells[9], entry->records, batch)};
    to->shown++;
    to->unread += entry->unread ? 1 : 0;
    weir_rows_add(to->rows, row);
}

/* "100..120" or "100". False, with the sentence printed. */
static bool units_read(const char *text, uint64_t *from, uint64_t *to)
{
    char *end = NULL;
    *from = 1;
    *to = UINT64_MAX;
    if (text == NULL) {
        return true;
    }
    *from = strtoull(text, &end, 10);
    *to = *from;
    if (end != text && strncmp(end, "..", 2) == 0) {
        const char *second = end + 2;
        *to = *second == '\0' ? UINT64_MAX : strtoull(second, &end, 10);
        end = *second == '\0' ? end + 2 : end;
    }
    if (end == text || *end != '\0' || *to < *from) {
        weir_say("--unit takes FROM..TO or one number, not \"%s\"", text);
        return false;
    }
    return true;
}

weir_exit weir_run_log_dump(const weir_arguments *arguments)
{
    weir_config config = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_fault fault = {0};
    uint64_t from = 0, to = 0;
    if (!weir_output_read(arguments, &output) ||
        !units_read(weir_arguments_text(arguments, "unit"), &from, &to) ||
        !weir_config_from_arguments(&config, arguments)) {
        weir_config_fini(&config);
        return WEIR_EXIT_USAGE;
    }
    dump shown = {.rows = weir_rows_create(ENTRY_COLUMNS, ENTRY_COLUMN_COUNT)};
    weir_engine_config engine = {0};
    weir_config_engine(&config, &engine);
    weir_err err = arguments->operand_count > 0
                       ? weir_inspect_segment(arguments->operands[0], entry_row, &shown, &fault)
                       : weir_inspect_units(&engine, from, to, entry_row, &shown, &fault);
    if (err == WEIR_OK || shown.shown > 0) { /* of a damaged one what comes before the damage */
        weir_rows_print(shown.rows, output, stdout);
    }
    weir_rows_destroy(shown.rows);
    if (shown.unread > 0) {
        weir_say(
            "%" PRIu64 " places of the journal cannot be read and were passed over, where a "
            "row says `unreadable` or `missing`: `weir log verify --data %s` tells what is lost",
            shown.unread, weir_config_text(&config, WEIR_KEY_data));
    }
    weir_config_fini(&config);
    if (err != WEIR_OK) {
        return fault_exit(&fault, err);
    }
    return shown.unread > 0 ? WEIR_EXIT_ERROR : WEIR_EXIT_DONE;
}

/* ---- Repair
 * ---------------------------------------------------------------------------------------- */

static void loss_say(const report *to, const weir_inspect_sum *sum)
{
    weir_say("%s: the journal is damaged at byte %" PRIu64 ": units after %" PRIu64
             " cannot be read",
             sum->fault.file, sum->fault.position, sum->last_unit);
    weir_rows_print(to->gaps, to->output, stdout);
    if (sum->known_unit > sum->last_unit) {
        weir_say("units %" PRIu64 " to %" PRIu64 " (or later) are lost; of their records, %" PRIu64
                 " that can be told",
                 sum->last_unit + 1, sum->known_unit, to->lost_records);
    } else {
        weir_say("units after %" PRIu64 " are lost; nothing tells how many", sum->last_unit);
    }
}

static weir_exit repair_do(const weir_config *config, const weir_engine_config *engine)
{
    char aside[64];
    struct tm at;
    weir_fault fault = {0};
    time_t now = time(NULL);
    gmtime_r(&now, &at);
    (void)strftime(aside, sizeof(aside), "repair-%Y%m%dT%H%M%SZ", &at);
    weir_err err = weir_inspect_repair(engine, aside, &fault);
    if (err != WEIR_OK) {
        return fault_exit(&fault, err);
    }
    weir_say(
        "the journal is cut behind its last good unit; what there was is in %s/%s; `weir serve "
        "--data %s` starts as usual",
        weir_config_text(config, WEIR_KEY_data), aside, weir_config_text(config, WEIR_KEY_data));
    return WEIR_EXIT_DONE;
}

/* Nothing is lost by this, so that nobody is asked. */
static weir_exit heads_do(const weir_config *config, const weir_engine_config *engine)
{
    weir_fault fault = {0};
    uint64_t made = 0, left = 0;
    weir_err err = weir_inspect_heads(engine, &made, &left, &fault);
    if (made > 0) {
        weir_say("%" PRIu64 " .heads files were made again from their .log: nothing is lost", made);
    }
    if (left > 0) {
        weir_say("%" PRIu64 " .heads files stay as they are, since their .log is damaged as well: "
                 "`weir log verify --data %s` tells which offsets cannot be read",
                 left, weir_config_text(config, WEIR_KEY_data));
    }
    if (err != WEIR_OK) {
        return fault_exit(&fault, err);
    }
    return left > 0 ? WEIR_EXIT_ERROR : WEIR_EXIT_DONE;
}

/* The journal needs no repair. */
static weir_exit others_repair(const weir_config *config, const weir_engine_config *engine,
                               const weir_inspect_sum *sum)
{
    bool elsewhere = sum->gaps > 0 || sum->damaged > sum->heads;
    if (elsewhere || sum->heads == 0) {
        weir_say(
            "the journal is sound as far as it is needed: there is nothing to repair in it%s%s%s",
            elsewhere ? " (`weir log verify --data " : "",
            elsewhere ? weir_config_text(config, WEIR_KEY_data) : "",
            elsewhere ? "` shows what is damaged elsewhere)" : "");
    }
    return sum->heads > 0 ? heads_do(config, engine) : WEIR_EXIT_DONE;
}

static weir_exit repair(const weir_arguments *arguments, const weir_config *config, report *to)
{
    weir_engine_config engine = {0};
    weir_inspect_sum sum;
    weir_fault fault = {0};
    weir_config_engine(config, &engine);
    const weir_inspect_to rows = {to, ignore_file, gap_row};
    weir_err err = weir_inspect_verify(&engine, &rows, &sum, &fault);
    if (err != WEIR_OK) {
        return fault_exit(&fault, err);
    }
    if (sum.fault.err == WEIR_OK) {
        return others_repair(config, &engine, &sum);
    }
    if (!sum.repairable) {
        return fault_exit(&sum.fault, sum.fault.err);
    }
    loss_say(to, &sum);
    if (!weir_arguments_has(arguments, "accept-loss")) {
        weir_say(
            "nothing was changed: `weir log repair --accept-loss --data %s` copies journal and "
            "checkpoints aside, and cuts the journal there",
            weir_config_text(config, WEIR_KEY_data));
        return WEIR_EXIT_ERROR;
    }
    return repair_do(config, &engine);
}

weir_exit weir_run_log_repair(const weir_arguments *arguments)
{
    weir_config config = {0};
    report to;
    if (!weir_config_from_arguments(&config, arguments) || !report_make(&to, arguments)) {
        weir_config_fini(&config);
        return WEIR_EXIT_USAGE;
    }
    weir_exit code = repair(arguments, &config, &to);
    report_free(&to);
    weir_config_fini(&config);
    return code;
}

/* ---- Failpoints
 * ------------------------------------------------------------------------------------ */

weir_exit weir_run_log_failpoints(const weir_arguments *arguments)
{
    static const char *const COLUMNS[] = {"name", "where"};
    weir_output output = WEIR_OUTPUT_TABLE;
    const char *row[2];
    if (!weir_output_read(arguments, &output)) {
        return WEIR_EXIT_USAGE;
    }
    weir_rows *rows = weir_rows_create(COLUMNS, 2);
    for (unsigned i = 0; weir_inspect_failpoint(i, &row[0], &row[1]); i++) {
        weir_rows_add(rows, row);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
    return WEIR_EXIT_DONE;
}
