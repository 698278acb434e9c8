/* programs/dead.c - `weir group dead ls | replay | discard`, and the same of queues: what became of a
 * group's dead letters.
 *
 *     [group] --delivery_limit, reject--> [its dead-letter topic] --replay--> [the topic that it came from],
 *                                                                             at its end, or [--to TOPIC]
 *                                                                 --discard--> settled, no more shown
 *
 * Several groups may share a dead-letter topic, and its records stay by its own retention. So what
 * was replayed or discarded is remembered by a group of its own over that topic, of model queue,
 * named dead-letters.GROUP, which is never forgotten; letters of other groups are accepted in it and
 * are none of its business. No group of one's own may have a / in its name: a queue plant/jobs is
 * dead-letters.plant%2Fjobs there, and a % itself is %25, so that no two groups share one.
 *
 * A queue's topic has one group, so a replayed letter is its alone. A topic of kind log has any number:
 * what is replayed to it is a new record for all that read it, and the command names them before it
 * begins. --to publishes to another topic instead.
 *
 * Happy path: join that group, look how many letters are there, take them, publish (replay), accept.
 * Those of other groups are accepted by the lease, in stretches. Failures: killed between publishing
 * and accepting, a letter is replayed again: at least once. One whose topic the group does not read any
 * more stays, and ends the command.
 *
 *     of one lease:   others'    ours                  what came since the command began, or is
 *                     |          |                     more than was asked for
 *                     accepted   copied and accepted   given back, no failure
 *
 * [D1] A letter is accepted only after the gateway confirmed its copy.
 * [D2] One group, one memory.
 * [D3] What became a letter after the command began, a replayed one that failed again say, is not
 *      touched: it ends. */
#include "programs/connect.h"
#include "programs/group.h"
#include "programs/position.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX           "weir-dead-"
#define WEIR_DEAD_MEMORY "dead-letters."
#define ELLIPSIS         "\xe2\x80\xa6"

enum {
    TAKEN_MAX = 500,
    REPLAYED_MAX = 100, /* of a lease: they are published within its time */
    FETCH_BYTES = 1048576,
    WAIT_MS = 1000, /* for what has to be read from disk */
    PROGRESS_EVERY_MS = 200,
    NAME_MAX_BYTES = 768, /* a group's name, each byte of it as three */
    CELL_MAX = 300,       /* bytes of a table's cell */
    WHY_MAX = 256,        /* what a story keeps of a reason */
    NAMED_MAX = 8         /* groups that are told by name */
};

/* Rows of offsets of the dead-letter topic, each of one lease. */
typedef struct stretches {
    weir_settle_range ranges[TAKEN_MAX];
    uint32_t count;
} stretches;

typedef struct letters {
    weir_client *client;
    const char *group;
    const char *noun;            /* "queue" or "group": which command it is */
    bool queue;                  /* the group is a queue topic's own */
    const char *to;              /* NULL: where a letter came from */
    weir_client_groups own;      /* the group, as it is */
    char topic[NAME_MAX_BYTES];  /* the dead-letter topic */
    char memory[NAME_MAX_BYTES]; /* the group that remembers */
    long long count;             /* 0: all */
    uint64_t done;
    bool stopped;                 /* a letter cannot go where it came from; said so */
    char refused[NAME_MAX_BYTES]; /* the topic that did not take a letter; "": none did not */

    bool replay;             /* or discard */
    weir_client_groups then; /* the memory when the command began; each lag is what is left of it */
    uint64_t there;          /* letters of all groups that were to be looked at then, at most */
    uint64_t left;           /* of them */
    uint64_t member;
    uint64_t epoch;   /* of the newest lease */
    stretches others; /* of it */
    stretches discarded;
    stretches back; /* given back */
    bool progress;
    long long shown_ms;
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
    return weir_bytes_equal(why_of(record, "group"), weir_bytes_of(own->group));
}

/* [D2] / and % are written as %2F and %25. */
static void memory_name(letters *own)
{
    size_t len = (size_t)snprintf(own->memory, sizeof(own->memory), WEIR_DEAD_MEMORY);
    for (const char *at = own->group; *at != '\0' && len + 4 < sizeof(own->memory); at++) {
        bool plain = *at != '/' && *at != '%';
        len += (size_t)snprintf(own->memory + len, sizeof(own->memory) - len,
                                plain ? "%c" : "%%%02X", (unsigned char)*at);
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

/* No such group, or it is no queue's and a queue's was asked for. */
static void missing_say(const letters *own, bool there)
{
    if (there) {
        weir_say(
            "%.200s is a group and no queue: `weir group dead ls %.200s` lists its dead letters",
            own->group, own->group);
    } else if (strcmp(own->noun, "queue") == 0) {
        weir_say("no queue \"%.200s\" is declared; `weir queue ls` lists those that are",
                 own->group);
    } else {
        weir_say("no group \"%.200s\" is there; `weir group ls` lists those that are", own->group);
    }
}

/* The group as it is, and whose it is. False, with the sentence printed, when it cannot be had. */
static bool group_find(letters *own, weir_exit *code)
{
    weir_topic_kind kind = WEIR_KIND_DEFAULT;
    weir_err err = topic_kind(own->client, own->group, &kind);
    own->queue = err == WEIR_OK && kind == WEIR_KIND_QUEUE;
    if (err == WEIR_OK || err == WEIR_NOT_FOUND || err == WEIR_NAME_INVALID) {
        err = weir_client_group_list(own->client, weir_bytes_of(own->group), &own->own);
    }
    bool there = err == WEIR_OK && own->own.count == 1;
    bool asked = own->queue || strcmp(own->noun, "group") == 0;
    *code = WEIR_EXIT_NOT_FOUND;
    if (err != WEIR_OK && err != WEIR_NOT_FOUND) {
        *code = weir_group_outcome(own->client, err, own->group);
    } else if (!there || !asked) {
        missing_say(own, there);
    }
    return there && asked;
}

/* Which topic they go to. False, with the sentence printed, when it cannot be had. */
static bool letters_find(letters *own, bool moves, weir_exit *code)
{
    weir_topic_kind kind;
    if (!group_find(own, code)) {
        return false;
    }
    weir_bytes topic = own->own.groups[0].options.dead_letter;
    const char *fate = own->own.groups[0].options.model == WEIR_MODEL_STREAM
                           ? "what is rejected is counted so, and kept nowhere else"
                           : "what fails too often is dropped";
    snprintf(own->topic, sizeof(own->topic), "%.*s", (int)topic.len,
             topic.ptr == NULL ? "" : (const char *)topic.ptr);
    memory_name(own);
    if (own->topic[0] == '\0') {
        weir_say("%.200s has no dead-letter topic: %s; `weir group alter %.200s --dead-letter "
                 "TOPIC` gives it one",
                 own->group, fate, own->group);
    } else if (topic_kind(own->client, own->topic, &kind) == WEIR_NOT_FOUND) {
        weir_say("the dead-letter topic of %.200s, %.200s, is not there any more: %s; `weir topic "
                 "create %.200s` makes it anew",
                 own->group, own->topic, fate, own->topic);
    } else if (moves && kind == WEIR_KIND_QUEUE) {
        *code = WEIR_EXIT_REFUSED;
        weir_say("the dead letters of %.200s are in the queue %.200s, which has one group, its "
                 "own: `weir group join %.200s` takes them; replay and discard are for dead-letter "
                 "topics of kind log",
                 own->group, own->topic, own->topic);
    } else {
        return true;
    }
    return false;
}

/* `--to` is a topic that is declared, and not the one that they are in. */
static bool to_good(const letters *own, weir_exit *code)
{
    weir_topic_kind kind;
    weir_err err = own->to != NULL ? topic_kind(own->client, own->to, &kind) : WEIR_OK;
    if (err == WEIR_OK && (own->to == NULL || strcmp(own->to, own->topic) != 0)) {
        return true;
    }
    *code = WEIR_EXIT_REFUSED;
    if (err == WEIR_OK) {
        weir_say("%.200s is where the dead letters of %.200s are: replay them to another topic",
                 own->to, own->group);
    } else {
        *code = weir_client_outcome(own->client, err, WEIR_SUBJECT_TOPIC, own->to);
    }
    return false;
}

static bool reads(const weir_group_info *group, weir_bytes topic)
{
    for (uint32_t i = 0; topic.ptr != NULL && i < group->partition_count; i++) {
        if (weir_bytes_equal(group->partitions[i].topic, topic)) {
            return true;
        }
    }
    return false;
}

/* It reads a topic that this one reads, and is no memory of dead letters. */
static bool shares(const letters *own, const weir_group_info *other)
{
    const weir_group_info *group = &own->own.groups[0];
    if (weir_bytes_equal(other->name, group->name) ||
        (other->name.len >= sizeof(WEIR_DEAD_MEMORY) - 1 &&
         memcmp(other->name.ptr, WEIR_DEAD_MEMORY, sizeof(WEIR_DEAD_MEMORY) - 1) == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < group->partition_count; i++) {
        bool same =
            i > 0 && weir_bytes_equal(group->partitions[i].topic, group->partitions[i - 1].topic);
        if (!same && reads(other, group->partitions[i].topic)) {
            return true;
        }
    }
    return false;
}

/* Who else gets what is replayed, before it is. */
static void others_say(const letters *own)
{
    weir_client_groups all = {0};
    char names[NAMED_MAX * 80] = "";
    uint32_t count = 0;
    size_t len = 0;
    if (weir_client_group_list(own->client, WEIR_BYTES_NULL, &all) != WEIR_OK) {
        all.count = 0;
    }
    for (uint32_t i = 0; i < all.count; i++) {
        weir_bytes name = all.groups[i].name;
        if (shares(own, &all.groups[i]) && count++ < NAMED_MAX) {
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s", len > 0 ? ", " : "",
                                    (int)(name.len < 64 ? name.len : 64), (const char *)name.ptr);
        }
    }
    weir_client_groups_free(&all);
    weir_say(
        "%.200s: replay publishes at the end of the topic that a letter came from, so that all "
        "who read it get it again%s%s%s; --to TOPIC publishes elsewhere",
        own->group, count > 0 ? ": " : "", names, count > NAMED_MAX ? ", ..." : "");
}

/* ---- ls ---------------------------------------------------------------------------------------
 */

/* Bytes of `text` that a table shows: whole characters, of at most four bytes each. */
static size_t cell_len(weir_bytes text)
{
    size_t len = text.len < CELL_MAX ? text.len : CELL_MAX;
    for (int i = 0; i < 3 && len < text.len && (text.ptr[len] & 0xc0) == 0x80; i++) {
        len--;
    }
    return len;
}

/* A text of one's own; a zero byte is ?. In a table what is too long ends in an ellipsis. */
static char *cell(weir_bytes bytes, bool table)
{
    size_t len = table ? cell_len(bytes) : bytes.len;
    char *text = malloc(len + sizeof(ELLIPSIS));
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = bytes.ptr[i] == 0 ? '?' : (char)bytes.ptr[i];
    }
    memcpy(text + len, len < bytes.len ? ELLIPSIS : "", len < bytes.len ? sizeof(ELLIPSIS) : 1);
    return text;
}

/* It is printed as it stands, so it is a whole number; what is none is no value. */
static const char *number_cell(const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    bool number =
        len > 0 && len < 20 && strspn(text, "0123456789") == len && (len == 1 || text[0] != '0');
    return number ? text : NULL;
}

static bool is_number(const char *name)
{
    static const char *const NUMBERS[] = {"partition", "offset", "leased", "failed"};
    bool found = false;
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        found |= strcmp(name, NUMBERS[i]) == 0;
    }
    return found;
}

static weir_err letter_row(weir_rows *rows, const weir_client_record *record, bool table)
{
    static const char *const names[] = {"topic", "partition", "offset", "reason",
                                        "text",  "leased",    "failed", "origin"};
    char *texts[9];
    char numbers[2][24];
    char time[WEIR_TIME_TEXT_MAX];
    const char *cells[12] = {numbers[0], numbers[1], weir_time_text(record->time_ms, time)};
    bool whole = true;
    snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu32, record->partition);
    snprintf(numbers[1], sizeof(numbers[1]), "%" PRId64, record->offset);
    for (int i = 0; i < 9; i++) {
        texts[i] = cell(i < 8 ? why_of(record, names[i]) : record->key, table);
        cells[i + 3] = i < 8 && is_number(names[i]) ? number_cell(texts[i]) : texts[i];
        whole = whole && texts[i] != NULL;
    }
    if (whole) {
        weir_rows_add(rows, cells);
    }
    for (int i = 0; i < 9; i++) {
        free(texts[i]);
    }
    return whole ? WEIR_OK : WEIR_NO_MEMORY;
}

static weir_err partition_list(letters *own, uint32_t partition, int64_t from, int64_t end,
                               weir_rows *rows, bool table)
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
                err = letter_row(rows, &record, table);
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

static weir_err list_into(letters *own, weir_rows *rows, bool table)
{
    weir_client_groups groups = {0};
    weir_client_topics bounds = {0};
    weir_err err = weir_client_group_list(own->client, weir_bytes_of(own->memory), &groups);
    if (err == WEIR_OK || err == WEIR_NOT_FOUND) {
        err = weir_client_topic_offsets(own->client, weir_bytes_of(own->topic), WEIR_OFFSETS_BOUNDS,
                                        0, &bounds);
    }
    for (uint32_t i = 0;
         err == WEIR_OK && bounds.count == 1 && bounds.topics[0].partitions != NULL &&
         i < bounds.topics[0].options.partitions;
         i++) {
        const weir_partition_info *part = &bounds.topics[0].partitions[i];
        err = partition_list(own, i, from_of(&groups, i, part->start_offset), part->end_offset,
                             rows, table);
    }
    weir_client_groups_free(&groups);
    weir_client_topics_free(&bounds);
    return err;
}

static weir_exit letters_list(letters *own, weir_output output)
{
    static const char *const columns[] = {"partition#",    "offset#",    "time",   "of_topic",
                                          "of_partition#", "of_offset#", "reason", "text",
                                          "leased#",       "failed#",    "origin", "key"};
    weir_rows *rows = weir_rows_create(columns, 12);
    weir_err err = list_into(own, rows, output == WEIR_OUTPUT_TABLE);
    if (err == WEIR_OK) {
        weir_rows_print(rows, output, stdout);
    }
    weir_rows_destroy(rows);
    return weir_group_outcome(own->client, err, own->topic);
}

/* ---- replay and discard -----------------------------------------------------------------------
 */

/* The record as it was, at the end of the topic. */
static weir_err letter_publish(letters *own, const weir_client_record *record, weir_bytes topic,
                               weir_published *where)
{
    weir_header *headers = calloc(record->header_count + 1, sizeof(*headers));
    weir_publish copy = {
        .topic = topic, .key = record->key, .value = record->value, .headers = headers};
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

/* Where it is to go; null, with the sentence printed: the group would not get it there. */
static weir_bytes letter_goes(letters *own, const weir_client_record *record)
{
    weir_bytes topic = own->to != NULL ? weir_bytes_of(own->to) : why_of(record, "topic");
    if (own->to == NULL && !reads(&own->own.groups[0], topic)) {
        weir_say(
            "the dead letter at partition %" PRIu32 " offset %" PRId64
            " came from %.*s, which %.200s does not read any more: it stays; replay --to TOPIC "
            "publishes it elsewhere, discard is done with it",
            record->partition, record->offset, (int)topic.len,
            topic.ptr == NULL ? "" : (const char *)topic.ptr, own->group);
        own->stopped = true;
        topic = WEIR_BYTES_NULL;
    }
    return topic;
}

/* EMPTY: it stays. `why`: what its story tells. */
static weir_err letter_replay(letters *own, const weir_client_record *record, char why[WHY_MAX])
{
    weir_published where = {.offset = -1};
    weir_bytes topic = letter_goes(own, record);
    char name[NAME_MAX_BYTES];
    if (topic.ptr == NULL) {
        return WEIR_EMPTY;
    }
    /* its spans are valid until the publish */
    snprintf(name, sizeof(name), "%.*s", (int)topic.len, (const char *)topic.ptr);
    weir_err err = letter_publish(own, record, weir_bytes_of(name), &where);
    snprintf(own->refused, sizeof(own->refused), "%s", err != WEIR_OK ? name : "");
    snprintf(why, WHY_MAX, "replayed: %.200s %" PRIu32 " %" PRId64, name, where.partition,
             where.offset);
    return err;
}

static void progress_show(letters *own, bool last)
{
    long long now = weir_now_ms();
    if (!own->progress || (!last && now - own->shown_ms < PROGRESS_EVERY_MS)) {
        return;
    }
    own->shown_ms = now;
    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " letters looked at, %" PRIu64 " %s  %s",
            own->there - own->left, own->there, own->done, own->replay ? "replayed" : "discarded",
            last ? "\n" : "");
}

static void stretch_add(letters *own, stretches *to, const weir_client_record *record)
{
    weir_settle_range *last = to->count > 0 ? &to->ranges[to->count - 1] : NULL;
    if (last != NULL && last->partition == record->partition && last->lease == record->lease &&
        last->last + 1 == record->offset) {
        last->last++;
        return;
    }
    to->ranges[to->count++] = (weir_settle_range){.topic = weir_bytes_of(own->topic),
                                                  .partition = record->partition,
                                                  .first = record->offset,
                                                  .last = record->offset,
                                                  .lease = record->lease};
}

static weir_err stretches_settle(letters *own, const stretches *all, weir_verb verb,
                                 const char *why)
{
    const weir_settle settle = {.verb = verb,
                                .ranges = all->ranges,
                                .range_count = all->count,
                                .epoch = own->epoch,
                                .reason = weir_bytes_of(why)};
    return all->count == 0 ? WEIR_OK : weir_client_settle(own->client, own->member, &settle, NULL);
}

/* Of the partition, as it was when the command began; NULL: it was not there. */
static weir_group_partition *then_of(const letters *own, uint32_t partition)
{
    for (uint32_t i = 0; own->then.count == 1 && i < own->then.groups[0].partition_count; i++) {
        if (own->then.groups[0].partitions[i].partition == partition) {
            return &own->then.groups[0].partitions[i];
        }
    }
    return NULL;
}

/* [D3] Whether it was there when the command began; if so it counts as looked at. A partition gives
 * its letters in order: behind its end then, none of those is left there. */
static bool was_there(letters *own, const weir_client_record *record)
{
    weir_group_partition *then = then_of(own, record->partition);
    if (then == NULL) {
        return false;
    }
    bool there = record->offset < then->end;
    uint64_t seen = there && then->lag > 0 ? 1 : there ? 0 : then->lag;
    then->lag -= seen;
    own->left -= seen;
    return there;
}

/* How many of its own letters it may still deal with, of one lease. */
static uint32_t ours_max(const letters *own)
{
    uint64_t most = own->replay ? REPLAYED_MAX : TAKEN_MAX;
    uint64_t left = own->count == 0 ? most : (uint64_t)own->count - own->done;
    return (uint32_t)(left < most ? left : most);
}

/* Which of a lease's records are what. ours[]: indexes of its own. `looked`: any of them was there when
 * the command began. */
static weir_err lease_sort(letters *own, uint32_t count, uint32_t ours[TAKEN_MAX],
                           uint32_t *ours_count, bool *looked)
{
    uint32_t max = ours_max(own);
    own->others.count = own->discarded.count = own->back.count = 0;
    *ours_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        weir_client_record record;
        weir_err err = weir_client_lease_record(own->client, i, &record);
        if (err != WEIR_OK) {
            return err;
        }
        bool mine = is_of(own, &record);
        own->epoch = record.epoch;
        if ((mine && *ours_count == max) || !was_there(own, &record)) {
            stretch_add(own, &own->back, &record);
            continue;
        }
        *looked = true;
        if (!mine) {
            stretch_add(own, &own->others, &record);
            continue;
        }
        ours[(*ours_count)++] = i;
        if (!own->replay) {
            stretch_add(own, &own->discarded, &record);
        }
    }
    return WEIR_OK;
}

/* Replays one of a lease, and is done with it. */
static weir_err ours_replay(letters *own, uint32_t index)
{
    char why[WHY_MAX];
    weir_client_record record;
    weir_err err = weir_client_lease_record(own->client, index, &record);
    err = err == WEIR_OK ? letter_replay(own, &record, why) : err;
    own->done += err == WEIR_OK;
    err = err == WEIR_OK ? weir_client_lease_record(own->client, index, &record) : err;
    err = err == WEIR_OK ? letter_accept(own, &record, why) : err;
    progress_show(own, false);
    return err;
}

static weir_err lease_settle(letters *own, uint32_t count, uint32_t *ours_count, bool *looked)
{
    uint32_t ours[TAKEN_MAX];
    weir_err err = lease_sort(own, count, ours, ours_count, looked);
    err = err == WEIR_OK ? stretches_settle(own, &own->back, WEIR_VERB_RELEASE, NULL) : err;
    err = err == WEIR_OK ? stretches_settle(own, &own->others, WEIR_VERB_ACCEPT, "another group's")
                         : err;
    err = err == WEIR_OK ? stretches_settle(own, &own->discarded, WEIR_VERB_ACCEPT, "discarded")
                         : err;
    if (!own->replay) {
        own->done += err == WEIR_OK ? *ours_count : 0;
        return err;
    }
    for (uint32_t i = 0; i < *ours_count && err == WEIR_OK; i++) {
        err = ours_replay(own, ours[i]);
    }
    return err;
}

/* Until all that was there is looked at, or what is left of it does not come: others have it. */
static weir_err letters_settle(letters *own)
{
    uint32_t ours_count = 1;
    long long looked_ms = weir_now_ms();
    while (own->left > 0 && ours_max(own) > 0 && weir_now_ms() - looked_ms <= WAIT_MS) {
        uint64_t most = ours_count > 0 ? ours_max(own) : TAKEN_MAX;
        const weir_take take = {.records_max = (uint32_t)(own->left < most ? own->left : most),
                                .wait_ms = WAIT_MS};
        weir_client_leased leased = {0};
        bool looked = false;
        weir_err err = weir_client_lease(own->client, own->member, &take, &leased);
        uint32_t count = leased.record_count < TAKEN_MAX ? leased.record_count : TAKEN_MAX;
        if (err == WEIR_OK && count > 0) {
            err = lease_settle(own, count, &ours_count, &looked);
        }
        if (err != WEIR_OK || leased.record_count == 0) {
            return err;
        }
        looked_ms = looked ? weir_now_ms() : looked_ms;
        progress_show(own, false);
    }
    return WEIR_OK;
}

/* Joins the group that remembers, and sees what is there. */
static weir_err letters_join(letters *own)
{
    const weir_bytes topic = weir_bytes_of(own->topic);
    const weir_group_options options = {.model = WEIR_MODEL_QUEUE,
                                        .mode = WEIR_MODE_AT_LEAST_ONCE,
                                        .topics = &topic,
                                        .topic_count = 1,
                                        .expiry_ms = -1,
                                        .delivery_limit = -1};
    const weir_client_join join = {.group = weir_bytes_of(own->memory), .options = &options};
    weir_client_joined joined;
    int64_t age_ms;
    weir_err err = weir_client_group_join(own->client, &join, &joined);
    if (err == WEIR_OK) {
        own->member = joined.member;
        err = weir_client_group_list(own->client, join.group, &own->then);
    }
    if (err == WEIR_OK && own->then.count == 1) {
        own->there = own->left = weir_group_lag(&own->then.groups[0], &age_ms);
    }
    return err;
}

static weir_exit letters_move(letters *own, bool talk)
{
    own->progress = talk && isatty(STDERR_FILENO) != 0;
    weir_err err = letters_join(own);
    err = err == WEIR_OK ? letters_settle(own) : err;
    if (own->there > 0) {
        progress_show(own, true);
    }
    weir_exit code = WEIR_EXIT_NOT_FOUND;
    if (own->refused[0] != '\0') {
        code = weir_client_outcome(own->client, err, WEIR_SUBJECT_TOPIC, own->refused);
    } else if (!own->stopped) {
        code = weir_group_outcome(own->client, err, own->memory);
    }
    if (talk) {
        weir_say("%s: %" PRIu64 " dead letter%s %s", own->group, own->done,
                 own->done == 1 ? "" : "s", own->replay ? "replayed" : "discarded");
    }
    return code;
}

static weir_exit letters_run(letters *own, bool list, const weir_arguments *arguments,
                             weir_output output)
{
    weir_exit code = WEIR_EXIT_DONE;
    if (!letters_find(own, !list, &code) || !to_good(own, &code)) {
        return code;
    }
    if (list) {
        return letters_list(own, output);
    }
    if (own->replay && own->to == NULL && !own->queue && weir_may_talk(arguments)) {
        others_say(own);
    }
    return letters_move(own, weir_may_talk(arguments));
}

static weir_exit dead_run(const weir_arguments *arguments, const char *noun)
{
    const char *action = arguments->operands[0];
    bool list = strcmp(action, "ls") == 0;
    bool replay = strcmp(action, "replay") == 0;
    letters own = {.group = arguments->operands[1],
                   .noun = noun,
                   .to = weir_arguments_text(arguments, "to"),
                   .replay = replay};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!list && !replay && strcmp(action, "discard") != 0) {
        weir_say("say what of the dead letters: ls, replay or discard, not \"%s\"", action);
        return code;
    }
    if (own.to != NULL && !replay) {
        weir_say("--to is where replay publishes; %s publishes nothing", action);
        return code;
    }
    if (!weir_output_read(arguments, &output) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 0, &own.count) ||
        !weir_connect(arguments, &own.client, &code)) {
        return code;
    }
    code = letters_run(&own, list, arguments, output);
    weir_client_groups_free(&own.own);
    weir_client_groups_free(&own.then);
    weir_client_close(own.client);
    return code;
}

weir_exit weir_run_queue_dead(const weir_arguments *arguments)
{
    return dead_run(arguments, "queue");
}

weir_exit weir_run_group_dead(const weir_arguments *arguments)
{
    return dead_run(arguments, "group");
}
