/* programs/dead.c - `weir queue dead ls | replay | discard`: what became of a queue's dead letters.
 *
 *     [queue] --delivery_limit, reject--> [its dead-letter topic] --replay--> [queue], at its end
 *                                                                 --discard--> settled, no more shown
 *
 * Several queues may share a dead-letter topic, and its records stay by its own retention. So what
 * was replayed or discarded is remembered by a group of its own over that topic, of model queue,
 * named dead-letters.QUEUE, which is never forgotten; letters of other queues are accepted in it and
 * are none of its business. No group of one's own may have a / in its name: a queue plant/jobs is
 * dead-letters.plant%2Fjobs there, and a % itself is %25, so that no two queues share a group.
 *
 * Happy path: join that group, take, publish (replay), accept. Failures: killed between publishing
 * and accepting, a letter is replayed again: at least once.
 *
 * [D1] A letter is accepted only after the gateway confirmed its copy. */
#include "programs/connect.h"
#include "programs/group.h"
#include "programs/position.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "weir-dead-"

enum {
    TAKEN_MAX = 100,
    FETCH_BYTES = 1048576,
    WAIT_MS = 1000,
    NAME_MAX_BYTES = 768, /* a queue's name, each byte of it as three */
    CELL_MAX = 300,
    WHY_MAX = 256 /* what a story keeps of a reason */
};

typedef struct letters {
    weir_client *client;
    const char *queue;
    char topic[NAME_MAX_BYTES]; /* the dead-letter topic */
    char group[NAME_MAX_BYTES]; /* that remembers */
    long long count;            /* 0: all */
    uint64_t done;
} letters;

static bool says_why(weir_bytes name)
{
    return name.len >= sizeof(PREFIX) - 1 && memcmp(name.ptr, PREFIX, sizeof(PREFIX) - 1) == 0;
}

/* The value of weir-dead-NAME; null: the record has none. */
static weir_bytes why_of(const weir_client_record *record, const char *name)
{
    for (uint32_t i = 0; i < record->header_count; i++) {
        weir_bytes full = record->headers[i].name;
        size_t len = strlen(name);
        if (says_why(full) && full.len == sizeof(PREFIX) - 1 + len &&
            memcmp(full.ptr + sizeof(PREFIX) - 1, name, len) == 0) {
            return record->headers[i].value;
        }
    }
    return WEIR_BYTES_NULL;
}

static bool is_of(const letters *own, const weir_client_record *record)
{
    return weir_bytes_equal(why_of(record, "group"), weir_bytes_of(own->queue));
}

/* [D2] One queue, one group: / and % are written as %2F and %25. */
static void group_name(letters *own)
{
    size_t len = (size_t)snprintf(own->group, sizeof(own->group), "dead-letters.");
    for (const char *at = own->queue; *at != '\0' && len + 4 < sizeof(own->group); at++) {
        bool plain = *at != '/' && *at != '%';
        len += (size_t)snprintf(own->group + len, sizeof(own->group) - len, plain ? "%c" : "%%%02X",
                                (unsigned char)*at);
    }
}

/* ---- Where they are ---------------------------------------------------------------------------
 */

/* NOT_FOUND: it is not declared. */
static weir_err topic_kind(weir_client *client, const char *name, weir_topic_kind *kind)
{
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(client, weir_bytes_of(name), &topics);
    *kind = topics.count == 1 ? topics.topics[0].options.kind : WEIR_KIND_DEFAULT;
    weir_client_topics_free(&topics);
    return err;
}

/* A group of that name is there, and is no queue's: says where its dead letters are. */
static bool group_told(const letters *own)
{
    weir_client_groups groups = {0};
    bool there =
        weir_client_group_list(own->client, weir_bytes_of(own->queue), &groups) == WEIR_OK &&
        groups.count == 1;
    weir_bytes topic = there ? groups.groups[0].options.dead_letter : WEIR_BYTES_NULL;
    if (there && topic.len == 0) {
        weir_say("%.200s is a group and no queue, and has no dead-letter topic", own->queue);
    } else if (there) {
        weir_say(
            "%.200s is a group and no queue: its dead letters are in the topic %.*s, and `weir "
            "sub '%.*s/#' --from beginning -e -o ndjson` shows them",
            own->queue, (int)topic.len, (const char *)topic.ptr, (int)topic.len,
            (const char *)topic.ptr);
    }
    weir_client_groups_free(&groups);
    return there;
}

/* Which topic they go to. False, with the sentence printed, when it cannot be had. */
static bool letters_find(letters *own, bool moves, weir_exit *code)
{
    weir_client_groups groups = {0};
    weir_topic_kind kind;
    weir_err err = topic_kind(own->client, own->queue, &kind);
    bool queue = err == WEIR_OK && kind == WEIR_KIND_QUEUE;
    if (queue) {
        err = weir_client_group_list(own->client, weir_bytes_of(own->queue), &groups);
    }
    weir_bytes topic = groups.count == 1 ? groups.groups[0].options.dead_letter : WEIR_BYTES_NULL;
    snprintf(own->topic, sizeof(own->topic), "%.*s", (int)topic.len,
             topic.ptr == NULL ? "" : (const char *)topic.ptr);
    group_name(own);
    weir_client_groups_free(&groups);
    *code = WEIR_EXIT_NOT_FOUND;
    if (!queue && (err == WEIR_OK || err == WEIR_NOT_FOUND) && group_told(own)) {
        return false;
    }
    if (!queue && (err == WEIR_OK || err == WEIR_NOT_FOUND)) {
        weir_say("no queue \"%.200s\" is declared; `weir queue ls` lists those that are",
                 own->queue);
    } else if (err != WEIR_OK) {
        *code = weir_group_outcome(own->client, err, own->queue);
    } else if (own->topic[0] == '\0') {
        weir_say(
            "%.200s has no dead-letter topic: what fails too often is dropped; `weir group alter "
            "%.200s --dead-letter TOPIC` gives it one",
            own->queue, own->queue);
    } else if (topic_kind(own->client, own->topic, &kind) == WEIR_NOT_FOUND) {
        weir_say("the dead-letter topic of %.200s, %.200s, is not there any more: what fails too "
                 "often is dropped; `weir topic create %.200s` makes it anew",
                 own->queue, own->topic, own->topic);
    } else if (moves && kind == WEIR_KIND_QUEUE) {
        *code = WEIR_EXIT_REFUSED;
        weir_say("the dead letters of %.200s are in the queue %.200s, which has one group, its "
                 "own: `weir group join %.200s` takes them; replay and discard are for dead-letter "
                 "topics of kind log",
                 own->queue, own->topic, own->topic);
    } else {
        return true;
    }
    return false;
}

/* ---- ls ---------------------------------------------------------------------------------------
 */

/* A cell is text that ends: bytes with a NUL among them are told as they are shown. */
static const char *cell(char text[CELL_MAX], weir_bytes bytes)
{
    if (bytes.len > 0 && memchr(bytes.ptr, 0, bytes.len) != NULL) {
        weir_shown(bytes, text, CELL_MAX);
    } else {
        snprintf(text, CELL_MAX, "%.*s", (int)bytes.len,
                 bytes.ptr == NULL ? "" : (const char *)bytes.ptr);
    }
    return text;
}

static void letter_row(weir_rows *rows, const weir_client_record *record)
{
    static const char *const names[] = {"topic", "partition", "offset", "reason",
                                        "text",  "leased",    "failed", "origin"};
    char texts[9][CELL_MAX];
    char numbers[2][24];
    char time[WEIR_TIME_TEXT_MAX];
    const char *cells[12] = {numbers[0], numbers[1], weir_time_text(record->time_ms, time)};
    snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu32, record->partition);
    snprintf(numbers[1], sizeof(numbers[1]), "%" PRId64, record->offset);
    for (int i = 0; i < 8; i++) {
        cells[i + 3] = cell(texts[i], why_of(record, names[i]));
    }
    cells[11] = cell(texts[8], record->key);
    weir_rows_add(rows, cells);
}

static weir_err partition_list(letters *own, uint32_t partition, int64_t from, int64_t end,
                               weir_rows *rows)
{
    weir_fetch fetch = {.topic = weir_bytes_of(own->topic),
                        .partition = partition,
                        .offset = from,
                        .bytes_max = FETCH_BYTES,
                        .peek = true};
    while (fetch.offset < end) {
        weir_client_fetched fetched = {0};
        weir_err err = weir_client_fetch(own->client, &fetch, &fetched);
        for (uint32_t i = 0; i < fetched.record_count && err == WEIR_OK; i++) {
            weir_client_record record;
            err = weir_client_fetch_record(own->client, i, &record);
            if (err == WEIR_OK && record.offset >= fetch.offset && is_of(own, &record)) {
                letter_row(rows, &record);
            }
        }
        if (err != WEIR_OK || fetched.next_offset <= fetch.offset) {
            return err;
        }
        fetch.offset = fetched.next_offset;
    }
    return WEIR_OK;
}

/* Behind what was replayed or discarded; without the group, all that is there. */
static int64_t from_of(const weir_client_groups *groups, uint32_t partition, int64_t start)
{
    for (uint32_t i = 0; groups->count == 1 && i < groups->groups[0].partition_count; i++) {
        const weir_group_partition *part = &groups->groups[0].partitions[i];
        if (part->partition == partition && part->committed > start) {
            return part->committed;
        }
    }
    return start;
}

static weir_err list_into(letters *own, weir_rows *rows)
{
    weir_client_groups groups = {0};
    weir_client_topics bounds = {0};
    weir_err err = weir_client_group_list(own->client, weir_bytes_of(own->group), &groups);
    if (err == WEIR_OK || err == WEIR_NOT_FOUND) {
        err = weir_client_topic_offsets(own->client, weir_bytes_of(own->topic), WEIR_OFFSETS_BOUNDS,
                                        0, &bounds);
    }
    for (uint32_t i = 0;
         err == WEIR_OK && bounds.count == 1 && bounds.topics[0].partitions != NULL &&
         i < bounds.topics[0].options.partitions;
         i++) {
        const weir_partition_info *part = &bounds.topics[0].partitions[i];
        err =
            partition_list(own, i, from_of(&groups, i, part->start_offset), part->end_offset, rows);
    }
    weir_client_groups_free(&groups);
    weir_client_topics_free(&bounds);
    return err;
}

static weir_exit letters_list(letters *own, weir_output output)
{
    static const char *const columns[] = {"partition#",   "offset#",   "time",   "of_topic",
                                          "of_partition", "of_offset", "reason", "text",
                                          "leased",       "failed",    "origin", "key"};
    weir_rows *rows = weir_rows_create(columns, 12);
    weir_err err = list_into(own, rows);
    if (err == WEIR_OK) {
        weir_rows_print(rows, output, stdout);
    }
    weir_rows_destroy(rows);
    return weir_group_outcome(own->client, err, own->topic);
}

/* ---- replay and discard -----------------------------------------------------------------------
 */

/* The record as it was, at the end of its queue. */
static weir_err letter_publish(letters *own, const weir_client_record *record,
                               weir_published *where)
{
    weir_header *headers = calloc(record->header_count + 1, sizeof(*headers));
    weir_publish copy = {.topic = weir_bytes_of(own->queue),
                         .key = record->key,
                         .value = record->value,
                         .headers = headers};
    if (headers == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (!says_why(record->headers[i].name)) {
            headers[copy.header_count++] = record->headers[i];
        }
    }
    weir_err err = weir_client_publish(own->client, &copy, where);
    free(headers);
    return err;
}

/* Done with, in words that `weir why` tells of the letter. */
static weir_err letter_accept(letters *own, const weir_client_record *record, const char *why)
{
    const weir_settle_range range = {.topic = record->topic,
                                     .partition = record->partition,
                                     .first = record->offset,
                                     .last = record->offset,
                                     .lease = record->lease};
    const weir_settle settle = {.verb = WEIR_VERB_ACCEPT,
                                .ranges = &range,
                                .range_count = 1,
                                .epoch = record->epoch,
                                .reason = weir_bytes_of(why)};
    return weir_client_settle(own->client, record->member, &settle, NULL);
}

static weir_err letter_settle(letters *own, uint32_t index, bool replay)
{
    char why[WHY_MAX] = "another queue's";
    weir_client_record record;
    weir_err err = weir_client_lease_record(own->client, index, &record);
    if (err == WEIR_OK && is_of(own, &record)) {
        weir_published where = {.offset = -1};
        err = replay ? letter_publish(own, &record, &where) : WEIR_OK;
        own->done += err == WEIR_OK;
        snprintf(why, sizeof(why), "discarded");
        if (replay) {
            snprintf(why, sizeof(why), "replayed: %.200s %" PRIu32 " %" PRId64, own->queue,
                     where.partition, where.offset);
        }
        /* its spans were valid until the publish */
        err = err == WEIR_OK ? weir_client_lease_record(own->client, index, &record) : err;
    }
    return err == WEIR_OK ? letter_accept(own, &record, why) : err;
}

/* Until nothing more comes: what is not in memory has WAIT_MS to be read. */
static weir_err letters_settle(letters *own, uint64_t member, bool replay)
{
    for (;;) {
        uint64_t left = own->count == 0 ? TAKEN_MAX : (uint64_t)own->count - own->done;
        const weir_take take = {.records_max = (uint32_t)(left < TAKEN_MAX ? left : TAKEN_MAX),
                                .wait_ms = WAIT_MS};
        weir_client_leased leased = {0};
        weir_err err = left == 0 ? WEIR_OK : weir_client_lease(own->client, member, &take, &leased);
        if (err != WEIR_OK || leased.record_count == 0) {
            return err;
        }
        for (uint32_t i = 0; i < leased.record_count && err == WEIR_OK; i++) {
            err = letter_settle(own, i, replay);
        }
        if (err != WEIR_OK) {
            return err;
        }
    }
}

static weir_exit letters_move(letters *own, bool replay, bool talk)
{
    const weir_bytes topic = weir_bytes_of(own->topic);
    const weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                        .mode = WEIR_MODE_AT_LEAST_ONCE,
                                        .topics = &topic,
                                        .topic_count = 1,
                                        .expiry_ms = -1,
                                        .delivery_limit = -1};
    const weir_client_join join = {.group = weir_bytes_of(own->group), .options = &options};
    weir_client_joined joined;
    weir_err err = weir_client_group_join(own->client, &join, &joined);
    if (err == WEIR_OK) {
        err = letters_settle(own, joined.member, replay);
    }
    weir_exit code = weir_group_outcome(own->client, err, own->group);
    if (talk) {
        weir_say("%s: %" PRIu64 " dead letters %s", own->queue, own->done,
                 replay ? "replayed" : "discarded");
    }
    return code;
}

weir_exit weir_run_queue_dead(const weir_arguments *arguments)
{
    const char *action = arguments->operands[0];
    bool list = strcmp(action, "ls") == 0;
    bool replay = strcmp(action, "replay") == 0;
    letters own = {.queue = arguments->operands[1]};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!list && !replay && strcmp(action, "discard") != 0) {
        weir_say("say what of the dead letters: ls, replay or discard, not \"%s\"", action);
        return code;
    }
    if (!weir_output_read(arguments, &output) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &own.count) ||
        !weir_connect(arguments, &own.client, &code)) {
        return code;
    }
    if (letters_find(&own, !list, &code)) {
        code = list ? letters_list(&own, output)
                    : letters_move(&own, replay, weir_may_talk(arguments));
    }
    weir_client_close(own.client);
    return code;
}
