/* programs/replay.c - `weir replay`: what is asked for, its recording and its target, and how it ended.
 *
 * Happy path: player.c plays the recording (recording_log.c, recording_file.c) by its schedule
 * (schedule.c), then everything published is confirmed and a line tells how many records went and how
 * late the latest was. Failures: a wrong source, range or target is told before anything is published.
 * What is damaged in the log is left out, told with its offsets, and makes the exit code 1.
 * After a signal, or when the gateway closes, what was sent is waited for and a line says with which
 * options to go on; after a broken connection it says how many records are confirmed. */
#include "programs/connect.h"
#include "programs/format.h"
#include "programs/player.h"
#include "programs/position.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- The end -----------------------------------------------------------------------------------
 */

/* Of several rounds: what goes on behind `rounds` whole ones and `records` of the next. */
static void rounds_text(const weir_player *own, uint64_t rounds, uint64_t records,
                        char text[WEIR_RESUME_MAX])
{
    int len = snprintf(text, WEIR_RESUME_MAX, "--loop %" PRIu64,
                       own->rounds == 0 ? 0 : own->rounds - rounds);
    if (records > 0) {
        snprintf(text + len, WEIR_RESUME_MAX - (size_t)len, " --resume %" PRIu64, records);
    }
}

static void resume_say(const weir_player *own, const char *why)
{
    char options[WEIR_RESUME_MAX];
    if (own->rounds == 1 && own->resume == 0) {
        weir_recording_resume(own->recording, own->given, options);
        weir_say("%s after %" PRIu64 " records; go on with %s", why, own->played, options);
        return;
    }
    uint64_t least = own->skip + (own->round == 0 ? own->resume : 0);
    rounds_text(own, own->round, (own->given < least ? least : own->given) - own->skip, options);
    weir_say("%s after %" PRIu64 " records, in round %" PRIu64
             "; the same options go on there with %s",
             why, own->played, own->round + 1, options);
}

/* What can be told when the connection broke: how many records of the row are certain. */
static void lost_say(const weir_player *own)
{
    char options[WEIR_RESUME_MAX];
    uint64_t answered = own->confirmed + own->failed;
    uint64_t behind = own->resume + answered;
    bool single = own->rounds == 1 && own->resume == 0;
    if (own->writer == NULL || own->confirmed == 0) {
        return;
    }
    snprintf(options, sizeof(options), "--skip %" PRIu64, own->skip + answered);
    if (!single) {
        uint64_t rounds = own->whole == 0 ? 0 : behind / own->whole;
        rounds_text(own, rounds, own->whole == 0 ? behind : behind % own->whole, options);
    }
    weir_say("%" PRIu64 " records are confirmed; with the same options, %s goes on behind them",
             own->confirmed, options);
    if (own->played > answered) {
        weir_say("%" PRIu64 " more were sent and not answered: some of them may be there already",
                 own->played - answered);
    }
}

static void dry_run_print(weir_player *own)
{
    static const char *const columns[] = {"records#", "bytes#", "first", "last", "seconds#"};
    char cells[3][32];
    char first[WEIR_TIME_TEXT_MAX];
    char last[WEIR_TIME_TEXT_MAX];
    uint64_t rounds = own->rounds == 0 ? 1 : own->rounds;
    double seconds = (double)own->due_us * (double)rounds / 1e6;
    bool timed = own->schedule.begun;
    if (own->schedule.pace == WEIR_PACE_RATE && own->played > 0) {
        seconds = (double)(own->played * rounds - 1) / own->schedule.factor;
    }
    snprintf(cells[0], sizeof(cells[0]), "%" PRIu64, own->played * rounds);
    snprintf(cells[1], sizeof(cells[1]), "%" PRIu64, own->bytes * rounds);
    snprintf(cells[2], sizeof(cells[2]), "%.3f", seconds);
    const char *row[] = {cells[0], cells[1], timed ? weir_time_text(own->first_ms, first) : NULL,
                         timed ? weir_time_text(own->last_ms, last) : NULL, cells[2]};
    weir_rows *rows = weir_rows_create(columns, 5);
    weir_rows_add(rows, row);
    weir_rows_print(rows, own->output, stdout);
    weir_rows_destroy(rows);
}

static void summary_print(weir_player *own)
{
    static const char *const columns[] = {"records#", "confirmed#",          "failed#", "bytes#",
                                          "seconds#", "behind_max_seconds#", "lost#"};
    char cells[7][32];
    const char *row[7];
    const uint64_t counts[] = {own->played, own->confirmed, own->failed, own->bytes};
    for (int i = 0; i < 4; i++) {
        snprintf(cells[i], sizeof(cells[i]), "%" PRIu64, counts[i]);
    }
    snprintf(cells[4], sizeof(cells[4]), "%.3f",
             (double)(weir_player_now_us() - own->began_us) / 1e6);
    snprintf(cells[5], sizeof(cells[5]), "%.3f", (double)own->late_us_max / 1e6);
    snprintf(cells[6], sizeof(cells[6]), "%" PRIu64, own->recording->lost);
    for (int i = 0; i < 7; i++) {
        row[i] = cells[i];
    }
    if (own->output != WEIR_OUTPUT_TABLE) {
        weir_rows *rows = weir_rows_create(columns, 7);
        weir_rows_add(rows, row);
        weir_rows_print(rows, own->output, stdout);
        weir_rows_destroy(rows);
    } else if (own->talk) {
        weir_say("%s records replayed in %s s, at most %s s behind", cells[0], cells[4], cells[5]);
    }
}

static weir_exit exit_of_recording(weir_err err)
{
    return err == WEIR_EMPTY     ? WEIR_EXIT_NOT_FOUND
           : err == WEIR_INVALID ? WEIR_EXIT_USAGE
                                 : weir_exit_of(err);
}

/* It ended where nobody wanted it to. */
static weir_exit broken_say(const weir_player *own, weir_err err, const weir_fault *fault)
{
    const weir_client *client = own->writer != NULL ? own->writer : own->reader;
    const char *sentence = client != NULL ? weir_client_error(client) : "";
    if (err == WEIR_CLOSED) {
        weir_say("the gateway closed the connection"); /* of the reader or the writer */
    } else if (fault->err != WEIR_OK) {
        weir_say_fault(fault);
    } else if (own->sink == WEIR_SINK_PRINT && err == WEIR_IO) {
        weir_say("what was printed could not be written");
    } else {
        weir_say("%s", sentence[0] != '\0' ? sentence : weir_err_text(err));
    }
    lost_say(own);
    return exit_of_recording(err);
}

/* Waits for what was sent, tells how it ended, and gives the exit code. */
static weir_exit finish(weir_player *own, weir_err err, const weir_fault *fault)
{
    bool whole = err == WEIR_OK || err == WEIR_AGAIN;
    if (own->writer != NULL && (whole || fault->err != WEIR_OK)) {
        weir_err flushed = weir_client_flush(own->writer);
        if (whole && flushed != WEIR_OK && own->played != own->confirmed + own->failed) {
            whole = false; /* not only refused: never answered */
            err = flushed;
        }
    }
    weir_player_progress(own, true);
    if (!whole) {
        return broken_say(own, err, fault);
    }
    if (err == WEIR_AGAIN) {
        resume_say(own, own->draining ? "the gateway is closing: stopped" : "stopped");
        return WEIR_EXIT_ERROR;
    }
    if (own->sink == WEIR_SINK_NONE) {
        dry_run_print(own);
    } else if (own->sink != WEIR_SINK_PRINT) {
        summary_print(own);
    }
    if (own->failed > 1) {
        weir_say("%" PRIu64 " records were refused", own->failed);
    }
    if (own->recording->lost > 0) {
        weir_say("%" PRIu64 " offsets were left out: they are damaged", own->recording->lost);
    }
    bool good = fflush(stdout) == 0 && (own->recording->lost == 0 || own->first_err != WEIR_OK);
    return good ? weir_exit_of(own->first_err) : WEIR_EXIT_ERROR;
}

/* ---- What is asked for -------------------------------------------------------------------------
 */

static bool schedule_read(const weir_arguments *arguments, weir_schedule *schedule)
{
    const char *speed = weir_arguments_text(arguments, "speed");
    const char *rate = weir_arguments_text(arguments, "rate");
    long long gap_ms = 0;
    schedule->factor = 1;
    if (speed != NULL && rate != NULL) {
        weir_say("only one of --speed and --rate can be given");
        return false;
    }
    if (speed != NULL && !weir_schedule_speed(schedule, speed)) {
        weir_say("--speed takes a factor above 0, like 2x or 0.5, or max, not \"%s\"", speed);
        return false;
    }
    if (rate != NULL && !weir_schedule_rate(schedule, rate)) {
        weir_say("--rate takes records a second, like 100/s, not \"%s\"", rate);
        return false;
    }
    if (!weir_arguments_seconds(arguments, "gap-max", 1000000000, &gap_ms)) {
        return false;
    }
    schedule->gap_ms_max = gap_ms;
    return true;
}

static bool sink_read(const weir_arguments *arguments, weir_player *own, bool from_file)
{
    const char *prefix = weir_arguments_text(arguments, "prefix");
    bool print = weir_arguments_has(arguments, "print");
    int given = (own->into != NULL) + (prefix != NULL) + print;
    own->prefix = prefix != NULL ? prefix : "";
    own->sink = own->into != NULL                         ? WEIR_SINK_TOPIC
                : prefix != NULL || (from_file && !print) ? WEIR_SINK_NAME
                                                          : WEIR_SINK_PRINT;
    if (given > 1) {
        weir_say("only one of --into, --prefix and --print can be given");
        return false;
    }
    if (prefix != NULL && (prefix[0] == '\0' || strlen(prefix) > WEIR_TOPIC_BYTES_MAX)) {
        weir_say("--prefix takes what is to stand before the names, like test or test/day1");
        return false;
    }
    const char *wrong = own->format == NULL ? NULL : weir_format_check(own->format);
    if (wrong == NULL && own->format != NULL && own->sink != WEIR_SINK_PRINT) {
        wrong = "--format says how to print; leave --into and --prefix away, or say --print";
    }
    if (wrong != NULL) {
        weir_say("%s", wrong);
    }
    return wrong == NULL;
}

static bool player_read(const weir_arguments *arguments, weir_player *own)
{
    long long skip = 0;
    long long resume = 0;
    long long count = 0;
    long long rounds = 1;
    bool from_file = weir_arguments_has(arguments, "file");
    own->into = weir_arguments_text(arguments, "into");
    own->format = weir_arguments_text(arguments, "format");
    own->newline = !weir_arguments_has(arguments, "no-newline");
    own->plain = weir_arguments_has(arguments, "plain");
    own->attributes = weir_arguments_has(arguments, "retain") ? WEIR_RECORD_RETAIN : 0;
    own->talk = weir_may_talk(arguments);
    if (!schedule_read(arguments, &own->schedule) || !sink_read(arguments, own, from_file) ||
        !weir_output_read(arguments, &own->output) ||
        !weir_arguments_number(arguments, "skip", 0, INT64_MAX / 4, 0, &skip) ||
        !weir_arguments_number(arguments, "resume", 0, INT64_MAX / 4, 0, &resume) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &count) ||
        !weir_arguments_number(arguments, "loop", 0, 1000000000, 1, &rounds)) {
        return false;
    }
    if (resume > 0 && weir_arguments_has(arguments, "dry-run")) {
        weir_say("--dry-run counts whole rounds: leave --resume away");
        return false;
    }
    own->skip = (uint64_t)skip;
    own->resume = (uint64_t)resume;
    own->count = (uint64_t)count;
    own->rounds = (uint64_t)rounds;
    own->progress = own->talk && isatty(STDERR_FILENO) != 0 &&
                    !(own->sink == WEIR_SINK_PRINT && isatty(STDOUT_FILENO) != 0);
    return true;
}

static bool sources_read(const weir_arguments *arguments, weir_recording_range *range,
                         weir_recording_file *file)
{
    const char *until = weir_arguments_text(arguments, "until");
    bool from_file;
    file->path = weir_arguments_text(arguments, "file");
    file->name_template = weir_arguments_text(arguments, "name-template");
    file->time_field = weir_arguments_text(arguments, "time-field");
    from_file = file->path != NULL;
    range->from_text = weir_arguments_text(arguments, "from");
    if (from_file == (arguments->operand_count > 0)) {
        weir_say("say what to replay: topics or filters, or --file FILE, and not both");
        return false;
    }
    if (from_file ? range->from_text != NULL || until != NULL
                  : file->name_template != NULL || file->time_field != NULL) {
        weir_say(from_file ? "--from and --until go with topics; a file has --skip and --count"
                           : "--name-template and --time-field go with --file");
        return false;
    }
    range->from_text = range->from_text == NULL ? "beginning" : range->from_text;
    range->sources = (const char *const *)arguments->operands;
    range->source_count = arguments->operand_count;
    range->talk = weir_may_talk(arguments);
    if (!weir_where_read("--from", range->from_text, &range->from) ||
        !weir_where_read("--until", until == NULL ? "end" : until, &range->until)) {
        return false;
    }
    if (range->from.start == WEIR_START_END) {
        weir_say("nothing is behind --from end yet: `weir sub` prints what comes");
        return false;
    }
    return true;
}

/* ---- The target --------------------------------------------------------------------------------
 */

/* Whether `name`, or a topic above it, is one of the sources' topics: the longest declared one counts. */
static bool is_source(const weir_player *own, const weir_recording_range *range, const char *name)
{
    char above[WEIR_TOPIC_BYTES_MAX + 1];
    snprintf(above, sizeof(above), "%s", name);
    while (!weir_player_declared(own, above)) {
        char *slash = strrchr(above, '/');
        if (slash == NULL) {
            return false;
        }
        *slash = '\0';
    }
    for (size_t i = 0; i < range->source_count; i++) {
        bool named = weir_player_declared(own, range->sources[i]);
        if (named ? strcmp(range->sources[i], above) == 0
                  : weir_operand_reaches(range->sources[i], above)) {
            return true;
        }
    }
    return false;
}

/* The target must be there, and must not be what is read. */
static bool target_check(weir_player *own, const weir_recording_range *range, weir_exit *code)
{
    const char *target = own->sink == WEIR_SINK_TOPIC ? own->into : own->prefix;
    weir_err err = weir_player_topics_load(own);
    if (err == WEIR_OK && own->sink == WEIR_SINK_TOPIC && !weir_player_declared(own, own->into)) {
        err = weir_topic_name_check(weir_bytes_of(own->into)) == WEIR_OK ? WEIR_NOT_FOUND
                                                                         : WEIR_NAME_INVALID;
    }
    if (err == WEIR_OK && own->sink == WEIR_SINK_NAME && target[0] != '\0' &&
        weir_topic_name_check(weir_bytes_of(target)) != WEIR_OK) {
        err = WEIR_NAME_INVALID;
    }
    *code = weir_client_outcome(own->writer, err, WEIR_SUBJECT_TOPIC, target);
    if (err == WEIR_OK && range->source_count > 0 && is_source(own, range, target)) {
        weir_say("\"%s\" is in what is replayed: the records would stand there twice; name another",
                 target);
        *code = WEIR_EXIT_USAGE;
    }
    return *code == WEIR_EXIT_DONE;
}

/* ---- The command -------------------------------------------------------------------------------
 */

static bool recording_open(const weir_arguments *arguments, weir_player *own, weir_exit *code)
{
    weir_recording_range range = {0};
    weir_recording_file file = {.values =
                                    own->sink == WEIR_SINK_TOPIC || own->sink == WEIR_SINK_PRINT};
    weir_fault fault = {0};
    weir_err err;
    *code = WEIR_EXIT_USAGE;
    if (!sources_read(arguments, &range, &file)) {
        return false;
    }
    bool publishes = own->sink == WEIR_SINK_TOPIC || own->sink == WEIR_SINK_NAME;
    if ((file.path == NULL && !weir_connect(arguments, &own->reader, code)) ||
        (publishes &&
         (!weir_connect(arguments, &own->writer, code) || !target_check(own, &range, code)))) {
        return false;
    }
    err = file.path == NULL ? weir_recording_of_log(own->reader, &range, &own->recording, &fault)
                            : weir_recording_of_file(&file, &own->recording, &fault);
    if (err != WEIR_OK) {
        weir_say_fault(&fault);
        *code = exit_of_recording(err);
    }
    return err == WEIR_OK;
}

static void player_close(weir_player *own)
{
    weir_recording_close(own->recording);
    weir_client_close(own->reader);
    weir_client_close(own->writer);
    for (uint32_t i = 0; i < own->declared_count; i++) {
        free(own->declared[i]);
    }
    free(own->declared);
}

weir_exit weir_run_replay(const weir_arguments *arguments)
{
    static weir_player own;
    const struct sigaction action = {.sa_handler = weir_player_stop};
    weir_fault fault = {0};
    weir_exit code = WEIR_EXIT_USAGE;
    if (player_read(arguments, &own) && recording_open(arguments, &own, &code)) {
        if (weir_arguments_has(arguments, "dry-run")) {
            own.sink = WEIR_SINK_NONE;
        }
        if (own.writer != NULL) {
            weir_client_on_result(own.writer, weir_player_result, &own);
        }
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        own.began_us = weir_player_now_us();
        weir_err err = weir_player_play(&own, &fault);
        code = finish(&own, err, &fault);
    }
    player_close(&own);
    return code;
}
