/* programs/player.c - takes record after record from a recording, waits until it is due, and hands it
 * to the gateway or to standard output.
 *
 *     recording -> schedule: due -> wait -> publish, print or count
 *
 * Happy path: every record of every round. A record is due by the clock of the start, not by the record
 * before. What is gathered leaves before a wait, so a slow recording's records do not wait for one
 * another; a wait looks at the connections, so pings are answered and a gateway that closes is heard.
 * Failures: the first refused record is told, the rest goes on; a connection that breaks ends it.
 *
 * [L1] Headers of the record stay, but those that begin with weir-, which only a gateway sets. A record
 * without a replay-time gets replay-topic, replay-partition, replay-offset and replay-time; one that
 * was replayed before keeps its own. */
#include "programs/player.h"

#include "programs/connect.h"
#include "programs/format.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PROGRESS_EVERY_US = 200000,
    WAIT_US_MAX = 200000, /* so often a wait looks at the connections, and shows how it goes */
};

static volatile sig_atomic_t stopped;

void weir_player_stop(int number)
{
    (void)number;
    stopped = 1;
}

int64_t weir_player_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- How it goes -------------------------------------------------------------------------------
 */

void weir_player_progress(weir_player *own, bool last)
{
    int64_t now = weir_player_now_us();
    double share = weir_recording_share(own->recording);
    if (!own->progress || (!last && now - own->shown_us < PROGRESS_EVERY_US)) {
        return;
    }
    own->shown_us = now;
    fprintf(stderr, "\r%" PRIu64 " records", own->played);
    if (share >= 0) {
        fprintf(stderr, ", %.0f %%", share * 100);
    }
    if (own->rounds != 1) {
        fprintf(stderr, ", round %" PRIu64, own->round + 1);
    }
    if (own->schedule.pace == WEIR_PACE_MAX) {
        fprintf(stderr, ", %.0f/s  ",
                (double)own->played * 1e6 / (double)(now - own->began_us + 1));
    } else {
        fprintf(stderr, ", %.1f s behind  ", (double)own->late_us / 1e6);
    }
    if (last) {
        fputc('\n', stderr);
    }
}

static void live_say(weir_player *own)
{
    char keeping[WEIR_KEEPING_MAX];
    if (own->talk && !own->live_said) {
        own->live_said = true;
        weir_keeping_text(own->name, keeping);
        weir_say(
            "\"%s\" is under no declared topic: what goes there reaches who is subscribed now and "
            "is not kept; %s",
            own->name, keeping);
    }
}

static void failure_take(weir_player *own, weir_err err, uint64_t number, const char *sentence)
{
    own->failed++;
    if (own->first_err == WEIR_OK) {
        own->first_err = err;
        weir_say("record %" PRIu64 ": %s", number,
                 sentence != NULL && sentence[0] != '\0' ? sentence : weir_err_text(err));
    }
}

void weir_player_result(void *arg, const weir_client_result *result)
{
    weir_player *own = arg;
    if (result->err == WEIR_OK) {
        own->confirmed++;
    } else if (result->err != WEIR_CLOSED) {
        failure_take(own, result->err, result->token, result->text);
    }
}

/* ---- Waiting -----------------------------------------------------------------------------------
 */

/* What was gathered leaves. */
static weir_err push(weir_player *own)
{
    if (own->writer != NULL) {
        return weir_client_push(own->writer);
    }
    return own->sink != WEIR_SINK_PRINT || fflush(stdout) == 0 ? WEIR_OK : WEIR_IO;
}

/* Takes in what a connection has to say while nothing is asked of it: pings, a close, a drain. */
static weir_err connection_hear(weir_player *own, weir_client *client)
{
    weir_client_event event = {0};
    weir_err err = weir_client_next(client, 0, &event);
    own->draining |= err == WEIR_OK && event.kind == WEIR_CLIENT_DRAIN;
    return err == WEIR_TIMEOUT ? WEIR_OK : err;
}

static weir_err pause_us(weir_player *own, int64_t most_us)
{
    weir_client *clients[2] = {own->reader, own->writer};
    struct pollfd wait[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int64_t us = most_us < WAIT_US_MAX ? most_us : WAIT_US_MAX;
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    weir_err err = WEIR_OK;
    for (int i = 0; i < 2; i++) {
        wait[i].fd = clients[i] == NULL ? -1 : weir_client_fd(clients[i]);
    }
    if (ppoll(wait, 2, &time, NULL) <= 0) {
        return WEIR_OK; /* it is time, or a signal came */
    }
    for (int i = 0; i < 2 && err == WEIR_OK; i++) {
        err = wait[i].revents != 0 ? connection_hear(own, clients[i]) : WEIR_OK;
    }
    return err;
}

/* Waits until own->due_us; less long when it is to stop. */
static weir_err due_wait(weir_player *own)
{
    weir_err err = WEIR_OK;
    int64_t left = own->began_us + own->due_us - weir_player_now_us();
    if (left > 0) {
        err = push(own);
    }
    while (err == WEIR_OK && left > 0 && stopped == 0 && !own->draining) {
        own->late_us = 0;
        weir_player_progress(own, false);
        err = pause_us(own, left);
        left = own->began_us + own->due_us - weir_player_now_us();
    }
    own->late_us = left < 0 && own->schedule.pace != WEIR_PACE_MAX ? -left : 0;
    own->late_us_max = own->late_us > own->late_us_max ? own->late_us : own->late_us_max;
    return err;
}

/* ---- One record --------------------------------------------------------------------------------
 */

static weir_bytes number_text(char text[24], int64_t number)
{
    snprintf(text, 24, "%" PRId64, number);
    return weir_bytes_of(text);
}

static void header_put(weir_player *own, weir_publish *publish, weir_bytes name, weir_bytes value)
{
    own->headers[publish->header_count++] = (weir_header){name, value};
}

static void headers_make(weir_player *own, const weir_recorded *record, weir_publish *publish)
{
    bool replayed = own->plain;
    uint32_t count = record->header_count < WEIR_PLAYER_HEADERS_MAX ? record->header_count
                                                                    : WEIR_PLAYER_HEADERS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        weir_header header = record->headers[i];
        if (header.name.len >= 5 && memcmp(header.name.ptr, "weir-", 5) == 0) {
            continue; /* [L1] */
        }
        replayed |= weir_bytes_equal(header.name, WEIR_TEXT("replay-time"));
        header_put(own, publish, header.name, header.value);
    }
    publish->headers = own->headers;
    if (replayed) {
        return; /* [L1] */
    }
    if (record->topic.ptr != NULL) {
        header_put(own, publish, WEIR_TEXT("replay-topic"), record->topic);
    }
    if (record->placed) {
        header_put(own, publish, WEIR_TEXT("replay-partition"),
                   number_text(own->digits[0], record->partition));
        header_put(own, publish, WEIR_TEXT("replay-offset"),
                   number_text(own->digits[1], record->offset));
    }
    if (record->timed) {
        header_put(own, publish, WEIR_TEXT("replay-time"),
                   number_text(own->digits[2], record->time_ms));
    }
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool weir_player_declared(const weir_player *own, const char *topic)
{
    return own->declared_count > 0 && bsearch(&topic, own->declared, own->declared_count,
                                              sizeof(*own->declared), text_compare) != NULL;
}

/* own->name: the prefix, a / when there is one, and `rest`. False: too long, or no text. */
static bool name_make(weir_player *own, weir_bytes rest)
{
    int len = snprintf(own->name, sizeof(own->name), "%s%s%.*s", own->prefix,
                       own->prefix[0] != '\0' ? "/" : "", (int)rest.len, (const char *)rest.ptr);
    return rest.ptr != NULL && len > 0 && (size_t)len < sizeof(own->name);
}

/* Where the record goes. With a declared topic its key goes along byte for byte, and a null one stays
 * null; a name alone could not say that. */
static bool target_make(weir_player *own, const weir_recorded *record, weir_publish *publish)
{
    if (own->sink == WEIR_SINK_TOPIC) {
        publish->topic = weir_bytes_of(own->into);
        publish->key = record->topic.ptr != NULL ? record->key : record->name;
        return true;
    }
    if (record->topic.ptr != NULL && record->topic.len <= WEIR_TOPIC_BYTES_MAX &&
        name_make(own, record->topic) && weir_player_declared(own, own->name)) {
        publish->topic = weir_bytes_of(own->name);
        publish->key = record->key;
        return true;
    }
    if (!name_make(own, record->name)) {
        return false;
    }
    publish->name = weir_bytes_of(own->name);
    return true;
}

/* Whether some declared topic is a prefix of own->name by whole levels. */
static bool name_is_kept(weir_player *own)
{
    bool kept = weir_player_declared(own, own->name);
    for (char *slash = strrchr(own->name, '/'); slash != NULL && !kept;) {
        *slash = '\0';
        kept = weir_player_declared(own, own->name);
        char *above = strrchr(own->name, '/');
        *slash = '/';
        slash = above;
    }
    return kept;
}

static weir_err record_publish(weir_player *own, const weir_recorded *record)
{
    weir_publish publish = {.value = record->value, .attributes = own->attributes};
    if (!target_make(own, record, &publish)) {
        failure_take(own, WEIR_NAME_INVALID, own->played, "it has no name to publish it under");
        return WEIR_OK;
    }
    if (publish.name.ptr != NULL && !own->live_said && !name_is_kept(own)) {
        live_say(own);
    }
    headers_make(own, record, &publish);
    weir_err err = weir_client_send(own->writer, &publish, own->played);
    if (err != WEIR_OK && weir_err_class_of(err) == WEIR_CLASS_CALLER && err != WEIR_CLOSED) {
        failure_take(own, err, own->played, weir_client_error(own->writer));
        return WEIR_OK;
    }
    return err;
}

static weir_err record_print(weir_player *own, const weir_recorded *record)
{
    weir_client_record shown = {
        .name = record->name.ptr != NULL ? record->name : WEIR_TEXT(""),
        .topic = record->topic,
        .key = record->key,
        .value = record->value,
        .partition = record->partition,
        .offset = record->offset,
        .time_ms = record->time_ms,
        .live = record->topic.ptr == NULL,
        .headers = record->headers,
        .header_count = record->header_count,
    };
    if (own->output != WEIR_OUTPUT_TABLE) {
        weir_format_json(&shown, stdout);
    } else {
        weir_format_print(own->format != NULL ? own->format : "%s", &shown, stdout);
    }
    if (own->newline || own->output != WEIR_OUTPUT_TABLE) {
        fputc('\n', stdout);
    }
    return ferror(stdout) ? WEIR_IO : WEIR_OK;
}

static weir_err record_play(weir_player *own, const weir_recorded *record)
{
    own->played++;
    own->bytes += record->key.len + record->value.len;
    if (own->played == 1) {
        own->first_ms = record->time_ms;
    }
    own->last_ms = record->time_ms;
    switch (own->sink) {
    case WEIR_SINK_PRINT:
        return record_print(own, record);
    case WEIR_SINK_NONE:
        return WEIR_OK;
    default:
        return record_publish(own, record);
    }
}

/* ---- Rounds ------------------------------------------------------------------------------------
 */

static weir_err record_due(weir_player *own, const weir_recorded *record, weir_fault *fault)
{
    if (!record->timed && own->schedule.pace == WEIR_PACE_RECORDED) {
        return weir_fault_fill(
            fault, WEIR_INVALID, NULL, 0, 0,
            "the records have no time: name its member with --time-field, or say "
            "--rate N or --speed max");
    }
    own->due_us = weir_schedule_next(&own->schedule, record->time_ms);
    return own->sink == WEIR_SINK_NONE ? WEIR_OK : due_wait(own);
}

/* One time through the recording. AGAIN: it was stopped, and the newest record was not played. */
static weir_err round_play(weir_player *own, weir_fault *fault)
{
    uint64_t resume = own->round == 0 ? own->resume : 0;
    uint64_t wanted = own->count == 0 ? UINT64_MAX : own->skip + own->count;
    own->given = 0;
    while (own->given < wanted) {
        const weir_recorded *record = NULL;
        weir_err err = weir_recording_next(own->recording, &record, fault);
        if (err == WEIR_AGAIN && stopped == 0) {
            continue;
        }
        if (err != WEIR_OK) {
            return err == WEIR_EMPTY ? WEIR_OK : err;
        }
        if (own->given < own->skip + resume) {
            own->given++;
            continue;
        }
        err = record_due(own, record, fault);
        if (err == WEIR_OK && (stopped != 0 || own->draining)) {
            return WEIR_AGAIN;
        }
        err = err != WEIR_OK ? err : record_play(own, record);
        if (err != WEIR_OK) {
            return err;
        }
        own->given++;
        weir_player_progress(own, false);
    }
    return WEIR_OK;
}

weir_err weir_player_play(weir_player *own, weir_fault *fault)
{
    weir_err err = WEIR_OK;
    uint64_t rounds = own->sink == WEIR_SINK_NONE ? 1 : own->rounds; /* a dry run multiplies */
    for (own->round = 0; err == WEIR_OK && (rounds == 0 || own->round < rounds); own->round++) {
        uint64_t before = own->played;
        if (own->round > 0) {
            err = weir_recording_rewind(own->recording, fault);
            weir_schedule_round(&own->schedule);
        }
        err = err != WEIR_OK ? err : round_play(own, fault);
        if (err != WEIR_OK || (own->played == before && (own->round > 0 || own->resume == 0))) {
            break; /* a round without a record would be followed by many, in no time */
        }
        own->whole = own->round == 0 ? own->resume + own->played : own->whole;
    }
    return err;
}

/* ---- The gateway's topics ---------------------------------------------------------------------
 */

weir_err weir_player_topics_load(weir_player *own)
{
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(own->writer, WEIR_BYTES_NULL, &topics);
    if (err == WEIR_OK) {
        own->declared = calloc((size_t)topics.count + 1, sizeof(*own->declared));
        err = own->declared == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    }
    for (uint32_t i = 0; i < topics.count && err == WEIR_OK; i++) {
        own->declared[i] = strdup(topics.topics[i].name);
        err = own->declared[i] == NULL ? WEIR_NO_MEMORY : WEIR_OK;
        own->declared_count += err == WEIR_OK ? 1 : 0;
    }
    weir_client_topics_free(&topics);
    if (own->declared_count > 0) {
        qsort(own->declared, own->declared_count, sizeof(*own->declared), text_compare);
    }
    return err;
}
