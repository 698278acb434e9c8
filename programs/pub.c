/* programs/pub.c - `weir pub`: one record, a file, or each line of standard input.
 *
 * Lines are read in large pieces and sent in batches; when no more input is at hand, what was
 * gathered is pushed out, so a slow producer's lines do not wait. Happy path: everything is
 * confirmed at its topic's level, then the program ends. Failures: the first refusal is told with
 * its line; the rest is still published; the exit code is that of the first. When the connection
 * breaks, a line tells how many are confirmed, how many were sent without an answer and may be stored
 * or not, and behind which record nothing was sent.
 *
 * [P1] A line longer than LINE_BYTES_MAX is refused before it could grow memory. */
#include "programs/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_BYTES_MAX = 33554432, /* above any record_bytes_max */
    READ_BYTES = 262144,
    HEADERS_MAX = 1000,
    PROGRESS_EVERY_MS = 200,
};

typedef struct publishing {
    weir_client *client;
    const char *target; /* the operand */
    const char *delimiter;
    weir_publish record; /* what all records share */
    weir_header *headers;
    weir_output output;
    bool talk;
    bool progress;
    bool live_said;
    bool told; /* the error that ends it was printed where it arose */
    uint64_t sent;
    uint64_t confirmed;
    uint64_t stored;     /* of them, in a topic */
    weir_published last; /* of those stored; its level is the lowest that one of them reached */
    uint64_t failed;
    weir_err first_err;
    long long began_ms;
    long long shown_ms;
} publishing;

/* ---- What was confirmed ------------------------------------------------------------------------
 */

static void live_say(publishing *own)
{
    char keeping[WEIR_KEEPING_MAX];
    if (own->talk && !own->live_said) {
        own->live_said = true;
        weir_keeping_text(own->target, keeping);
        weir_say(
            "\"%s\" is under no declared topic: it reached who is subscribed now and was not kept; %s",
            own->target, keeping);
    }
}

static void published_print(const publishing *own, const weir_published *published)
{
    if (own->output == WEIR_OUTPUT_TABLE) {
        return;
    }
    if (published->live) {
        printf("{\"live\":true,\"level\":\"%s\"}\n", weir_level_name(published->level));
    } else {
        printf("{\"live\":false,\"level\":\"%s\",\"partition\":%" PRIu32 ",\"offset\":%" PRId64
               ",\"time_ms\":%" PRId64 "}\n",
               weir_level_name(published->level), published->partition, published->offset,
               published->timestamp_ms);
    }
}

/* Counts a record that was not taken; the first is told. */
static void failure_tell(publishing *own, weir_err err, uint64_t number, const char *problem)
{
    own->failed++;
    if (own->first_err == WEIR_OK) {
        own->first_err = err;
        weir_say("record %" PRIu64 ": %s", number, problem);
    }
}

static weir_subject subject_of(const publishing *own)
{
    return own->record.topic.ptr != NULL ? WEIR_SUBJECT_TOPIC : WEIR_SUBJECT_NAME;
}

static void failure_take(publishing *own, weir_err err, uint64_t number, const char *sentence)
{
    char problem[WEIR_PROBLEM_MAX];
    weir_problem_text(err, subject_of(own), own->target, sentence, problem);
    failure_tell(own, err, number, problem);
}

static void result_take(void *arg, const weir_client_result *result)
{
    publishing *own = arg;
    if (result->err == WEIR_CLOSED) {
        return; /* no answer: it is stored, or it is not */
    }
    if (result->err != WEIR_OK) {
        failure_take(own, result->err, result->token, result->text);
        return;
    }
    own->confirmed++;
    published_print(own, &result->published);
    if (result->published.live) {
        live_say(own);
    } else {
        weir_level lowest = own->stored > 0 && own->last.level < result->published.level
                                ? own->last.level
                                : result->published.level;
        own->stored++;
        own->last = result->published;
        own->last.level = lowest;
    }
}

/* For people; a program asks for JSON. */
static void stored_say(const publishing *own)
{
    if (!own->talk || own->output != WEIR_OUTPUT_TABLE || own->stored == 0) {
        return;
    }
    if (own->stored == 1) {
        weir_say("stored at %s, partition %" PRIu32 " offset %" PRId64,
                 weir_level_name(own->last.level), own->last.partition, own->last.offset);
    } else {
        weir_say("%" PRIu64 " records stored at %s, the last in partition %" PRIu32
                 " at offset %" PRId64,
                 own->stored, weir_level_name(own->last.level), own->last.partition,
                 own->last.offset);
    }
}

static void progress_show(publishing *own, bool last)
{
    long long now = weir_now_ms();
    if (!own->progress || (!last && now - own->shown_ms < PROGRESS_EVERY_MS)) {
        return;
    }
    own->shown_ms = now;
    fprintf(stderr, "\r%" PRIu64 " sent, %" PRIu64 " confirmed, %" PRIu64 "/s ", own->sent,
            own->confirmed, own->sent * 1000 / (uint64_t)(now - own->began_ms + 1));
    if (last) {
        fputc('\n', stderr);
    }
}

/* ---- What is published -------------------------------------------------------------------------
 */

/* Queues one record. An error here is the connection's, or a record that can never be sent. */
static weir_err record_send(publishing *own, weir_bytes key, weir_bytes value)
{
    weir_publish record = own->record;
    weir_err err;
    record.value = value;
    if (record.topic.ptr != NULL) {
        record.key = key;
    }
    own->sent++;
    if (record.no_confirm) {
        err = weir_client_publish(own->client, &record, NULL);
    } else {
        err = weir_client_send(own->client, &record, own->sent);
    }
    if (err != WEIR_OK && weir_err_class_of(err) == WEIR_CLASS_CALLER && err != WEIR_CLOSED) {
        failure_take(own, err, own->sent, weir_client_error(own->client));
        return WEIR_OK;
    }
    return err;
}

static weir_err line_send(publishing *own, weir_bytes line)
{
    weir_bytes key = own->record.key;
    if (own->delimiter != NULL) {
        size_t len = strlen(own->delimiter);
        const uint8_t *at = memmem(line.ptr, line.len, own->delimiter, len);
        if (at == NULL) {
            char text[128];
            snprintf(text, sizeof(text), "the line has no \"%.32s\" between a key and a value",
                     own->delimiter);
            failure_tell(own, WEIR_MALFORMED, ++own->sent, text);
            return WEIR_OK;
        }
        key = (weir_bytes){line.ptr, (size_t)(at - line.ptr)};
        line = (weir_bytes){at + len, line.len - key.len - len};
    }
    return record_send(own, key, line);
}

/* Sends the whole lines at the front of `bytes`; *used tells how far they reach. */
static weir_err lines_send(publishing *own, weir_bytes bytes, size_t *used)
{
    weir_err err = WEIR_OK;
    *used = 0;
    while (err == WEIR_OK && *used < bytes.len) {
        const uint8_t *line = bytes.ptr + *used;
        const uint8_t *end = memchr(line, '\n', bytes.len - *used);
        if (end == NULL) {
            break;
        }
        err = line_send(own, (weir_bytes){line, (size_t)(end - line)});
        *used += (size_t)(end - line) + 1;
    }
    return err;
}

static bool more_at_hand(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) > 0;
}

typedef struct input {
    uint8_t *bytes;
    size_t room;
    size_t len;
} input;

/* Reads once, making room first. *end is set at the end of the input. */
static weir_err input_read(publishing *own, input *in, int fd, bool *end)
{
    ssize_t got;
    if (in->room - in->len < READ_BYTES) {
        size_t room = in->room == 0 ? 2 * (size_t)READ_BYTES : 2 * in->room;
        uint8_t *grown = in->len > LINE_BYTES_MAX ? NULL : realloc(in->bytes, room);
        if (grown == NULL) {
            own->told = true;
            weir_say("a line is too long: more than %zu bytes", in->len); /* [P1] */
            return WEIR_TOO_LARGE;
        }
        in->bytes = grown;
        in->room = room;
    }
    got = read(fd, in->bytes + in->len, READ_BYTES);
    if (got < 0 && errno != EINTR) {
        own->told = true;
        weir_say("the input cannot be read: %s", strerror(errno));
        return WEIR_IO;
    }
    *end = got == 0;
    in->len += got > 0 ? (size_t)got : 0;
    return WEIR_OK;
}

static weir_err lines_publish(publishing *own)
{
    input in = {0};
    bool end = false;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && !end) {
        size_t used = 0;
        err = input_read(own, &in, STDIN_FILENO, &end);
        if (err == WEIR_OK) {
            err = lines_send(own, (weir_bytes){in.bytes, in.len}, &used);
            in.len -= used;
            memmove(in.bytes, in.bytes + used, in.len);
        }
        if (err == WEIR_OK && end && in.len > 0) {
            err = line_send(own,
                            (weir_bytes){in.bytes, in.len}); /* a last line without its newline */
        }
        if (err == WEIR_OK && !more_at_hand(STDIN_FILENO)) {
            err = weir_client_push(own->client);
        }
        progress_show(own, false);
    }
    free(in.bytes);
    return err;
}

static weir_err file_publish(publishing *own, const char *path)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    input in = {0};
    bool end = false;
    weir_err err = WEIR_OK;
    if (fd < 0) {
        own->told = true;
        weir_say("%s cannot be read: %s", path, strerror(errno));
        return WEIR_IO;
    }
    while (err == WEIR_OK && !end) {
        err = input_read(own, &in, fd, &end);
    }
    if (err == WEIR_OK) {
        err = record_send(own, own->record.key, (weir_bytes){in.bytes, in.len});
    }
    if (fd != STDIN_FILENO) {
        close(fd);
    }
    free(in.bytes);
    return err;
}

/* ---- The command -------------------------------------------------------------------------------
 */

/* Of a header that queues go by, when its value says nothing to them. */
static void timing_note(const weir_arguments *arguments, const weir_header *header)
{
    static const char *const NAMES[] = {"delay", "deliver-at", "expiry"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (!weir_bytes_equal(header->name, weir_bytes_of(NAMES[i]))) {
            continue;
        }
        size_t digits = 0;
        while (digits < header->value.len && header->value.ptr[digits] >= '0' &&
               header->value.ptr[digits] <= '9') {
            digits++;
        }
        if ((digits == 0 || digits < header->value.len) && weir_may_talk(arguments)) {
            weir_say("--header %s=%.*s: queues take whole numbers of %s, and no notice of this one",
                     NAMES[i], (int)header->value.len, (const char *)header->value.ptr,
                     i < 2 ? "milliseconds" : "seconds");
        }
    }
}

static bool headers_read(const weir_arguments *arguments, publishing *own)
{
    size_t position = 0;
    const char *pair;
    while ((pair = weir_arguments_next(arguments, "header", &position)) != NULL) {
        const char *equals = strchr(pair, '=');
        if (equals == NULL || equals == pair || own->record.header_count == HEADERS_MAX) {
            weir_say("--header takes NAME=VALUE, at most %d times, not \"%s\"", HEADERS_MAX, pair);
            return false;
        }
        own->headers[own->record.header_count++] = (weir_header){
            {(const uint8_t *)pair, (size_t)(equals - pair)}, weir_bytes_of(equals + 1)};
        timing_note(arguments, &own->headers[own->record.header_count - 1]);
    }
    own->record.headers = own->headers;
    return true;
}

static bool publishing_read(const weir_arguments *arguments, publishing *own)
{
    static const char *const sources[] = {"message", "lines", "file", "null"};
    const char *key = weir_arguments_text(arguments, "key");
    long long qos = 1;
    int given = 0;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        given += weir_arguments_has(arguments, sources[i]) ? 1 : 0;
    }
    if (given != 1) {
        weir_say(given == 0 ? "say what to publish with one of -m TEXT, -l, -f FILE, -n"
                            : "only one of -m, -l, -f and -n can be given");
        return false;
    }
    own->target = arguments->operands[0];
    own->delimiter = weir_arguments_text(arguments, "key-delimiter");
    if (own->delimiter != NULL &&
        (own->delimiter[0] == '\0' || !weir_arguments_has(arguments, "lines"))) {
        weir_say("--key-delimiter takes at least one character, and goes with --lines");
        return false;
    }
    if (key != NULL || own->delimiter != NULL) {
        own->record.topic = weir_bytes_of(own->target);
        own->record.key = weir_bytes_of(key);
    } else {
        own->record.name = weir_bytes_of(own->target);
    }
    own->talk = weir_may_talk(arguments);
    own->progress =
        own->talk && weir_arguments_has(arguments, "lines") && isatty(STDERR_FILENO) != 0;
    own->record.attributes = weir_arguments_has(arguments, "retain") ? WEIR_RECORD_RETAIN : 0;
    if (!weir_arguments_number(arguments, "qos", 0, 1, 1, &qos) ||
        !weir_output_read(arguments, &own->output)) {
        return false;
    }
    own->record.no_confirm = qos == 0;
    return headers_read(arguments, own);
}

static weir_err publish_all(publishing *own, const weir_arguments *arguments)
{
    const char *text = weir_arguments_text(arguments, "message");
    const char *file = weir_arguments_text(arguments, "file");
    bool stored = true;
    if (own->record.no_confirm && own->record.name.ptr != NULL &&
        weir_filter_is_stored(own->client, own->target, &stored) == WEIR_OK && !stored) {
        live_say(own); /* no answer will tell */
    }
    if (weir_arguments_has(arguments, "lines")) {
        return lines_publish(own);
    }
    if (file != NULL) {
        return file_publish(own, file);
    }
    return record_send(own, own->record.key, weir_bytes_of(text)); /* no text: -n, a null value */
}

/* The connection broke: what is known of what was to be published. */
static void broken_say(const publishing *own)
{
    if (own->record.no_confirm || own->sent < 2) {
        return;
    }
    uint64_t unknown = own->sent - own->confirmed - own->failed;
    weir_say("of %" PRIu64 " records %" PRIu64 " are confirmed, and %" PRIu64
             " are unknown: no answer came; what stands behind record %" PRIu64 " was not sent",
             own->sent, own->confirmed, unknown, own->sent);
    if (unknown > 0) {
        weir_say(
            "look with `weir sub` which of the unknown are stored before you publish them again: "
            "sent twice, they stand there twice");
    }
}

static weir_exit published_exit(const publishing *own, weir_err err)
{
    bool answered = err == WEIR_OK || own->sent == own->confirmed + own->failed;
    if (own->failed > 1) {
        weir_say("%" PRIu64 " records were refused", own->failed);
    }
    if (own->first_err != WEIR_OK && answered) {
        return weir_exit_of(own->first_err);
    }
    if (own->told) {
        return weir_exit_of(err);
    }
    if (!answered && err == WEIR_CLOSED) {
        weir_say("the gateway closed the connection");
    } else {
        (void)weir_client_outcome(own->client, err, subject_of(own), own->target);
    }
    if (!answered) {
        broken_say(own);
    }
    return weir_exit_of(err);
}

weir_exit weir_run_pub(const weir_arguments *arguments)
{
    weir_header headers[HEADERS_MAX];
    publishing own = {.headers = headers};
    weir_exit code;
    weir_err err;
    if (!publishing_read(arguments, &own)) {
        return WEIR_EXIT_USAGE;
    }
    if (!weir_connect(arguments, &own.client, &code)) {
        return code;
    }
    own.began_ms = weir_now_ms();
    weir_client_on_result(own.client, result_take, &own);
    err = publish_all(&own, arguments);
    if (err == WEIR_OK) {
        err = weir_client_flush(own.client);
    }
    progress_show(&own, true);
    stored_say(&own);
    code = published_exit(&own, err);
    weir_client_close(own.client);
    return code;
}
