/* programs/why.c - `weir why TOPIC PARTITION OFFSET`: what became of one record, and who did it.
 *
 * Happy path: the record's head, a line for each thing that happened to it in time's order, and how
 * it stands in each group. What is not kept any more is said, never guessed. */
#include "programs/connect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIME_BYTES = 40 };

static const char *time_text(int64_t time_ms, char text[TIME_BYTES])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    size_t len = 0;
    if (gmtime_r(&seconds, &parts) != NULL) {
        len = strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    snprintf(text + len, TIME_BYTES - len, ".%03dZ", (int)(time_ms % 1000));
    return text;
}

/* ---- A table ---------------------------------------------------------------------------------- */

/* A queue's own group settled it, by its lines or, when those are not kept any more, by how it stands. */
static bool queue_settled(const weir_client_story *story, weir_bytes queue)
{
    bool settled = false;
    for (uint32_t i = 0; i < story->count; i++) {
        weir_fate fate = story->lines[i].fate;
        settled |= weir_bytes_equal(story->lines[i].group, queue) &&
                   (fate == WEIR_FATE_ACCEPTED || fate == WEIR_FATE_REJECTED ||
                    fate == WEIR_FATE_DEAD_LETTERED || fate == WEIR_FATE_DROPPED);
    }
    for (uint32_t i = 0; i < story->standing_count && story->count == 0; i++) {
        settled |= story->standings[i].kind == WEIR_STANDING_SETTLED &&
                   weir_bytes_equal(story->standings[i].group, queue);
    }
    return settled;
}

/* Why a record that is not there is gone, as far as that can be told. */
static const char *gone_text(weir_client *client, const char *topic, const weir_client_story *story)
{
    const weir_bytes name = weir_bytes_of(topic);
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(client, name, &topics);
    bool queue =
        err == WEIR_OK && topics.count == 1 && topics.topics[0].options.kind == WEIR_KIND_QUEUE;
    weir_client_topics_free(&topics);
    if (err == WEIR_NOT_FOUND) {
        return "the record is gone: its topic was deleted";
    }
    if (queue && queue_settled(story, name)) {
        return "the record is gone: it was settled, and the queue has freed it";
    }
    return queue ? "the record is gone: retention removed it (or it cannot be read)"
                 : "the record is gone: compaction or retention removed it (or it cannot be read)";
}

/* `gone`: of a record that is not there. */
static void head_print(const char *const *operands, const weir_record_head *record,
                       const char *gone)
{
    char stored[TIME_BYTES];
    weir_shown_print(stdout, weir_bytes_of(operands[0]));
    printf(" partition %s offset %s: ", operands[1], operands[2]);
    if (!record->there) {
        puts(gone);
        return;
    }
    printf("stored %s, ", time_text(record->stored_ms, stored));
    if (record->key.ptr == NULL) {
        fputs("no key", stdout);
    } else {
        fputs("key ", stdout);
        weir_json_string(stdout, record->key);
    }
    printf(", %" PRIu64 " bytes, %" PRIu32 " headers\n", record->value_bytes, record->headers);
}

typedef struct texts {
    char *items[9];
    size_t count;
} texts;

/* A copy that ends; NULL: an empty cell. */
static const char *text_add(texts *to, weir_bytes bytes)
{
    char *copy = bytes.ptr == NULL ? NULL : malloc(bytes.len + 1);
    if (copy != NULL) {
        memcpy(copy, bytes.ptr, bytes.len);
        copy[bytes.len] = '\0';
        to->items[to->count++] = copy;
    }
    return copy;
}

static const char *number_add(texts *to, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof(text), "%" PRIu32, number);
    return text_add(to, weir_bytes_of(text));
}

static void lines_print(const weir_client_story *story, weir_output output)
{
    static const char *const columns[] = {"time",   "group",   "event",   "fate",  "member",
                                          "origin", "leased#", "failed#", "reason"};
    weir_rows *rows = weir_rows_create(columns, 9);
    for (uint32_t i = 0; i < story->count; i++) {
        const weir_fate_line *line = &story->lines[i];
        char time[TIME_BYTES];
        texts made = {.count = 0};
        const char *cells[9] = {
            time_text(line->time_ms, time),
            text_add(&made, line->group),
            text_add(&made, line->event),
            line->fate == WEIR_FATE_PENDING ? NULL : weir_fate_name(line->fate),
            text_add(&made, line->member),
            text_add(&made, line->origin),
            number_add(&made, line->leased),
            number_add(&made, line->failed),
            text_add(&made, line->reason),
        };
        weir_rows_add(rows, cells);
        for (size_t text = 0; text < made.count; text++) {
            free(made.items[text]);
        }
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

static void who_print(const weir_standing *standing)
{
    if (standing->member.ptr == NULL) {
        fputs(" by a member that is gone", stdout);
        return;
    }
    fputs(" by ", stdout);
    weir_shown_print(stdout, standing->member);
    if (standing->origin.len > 0) {
        fputs(" (", stdout);
        weir_shown_print(stdout, standing->origin);
        fputc(')', stdout);
    }
}

/* Nobody is handed what is not there: the group comes to it, and goes on. */
static bool passed_over(const weir_client_story *story, const weir_standing *standing)
{
    return !story->record.there &&
           (standing->kind == WEIR_STANDING_WAITING || standing->kind == WEIR_STANDING_DELAYED);
}

static void passed_over_print(const weir_standing *standing)
{
    weir_shown_print(stdout, standing->group);
    printf(": gone; it is passed over when its turn comes");
    if (standing->kind == WEIR_STANDING_WAITING) {
        printf(" (%" PRIu64 " before it)", standing->before);
    }
    puts(", and is superseded then if compaction removed it");
}

static void standing_print(const weir_client_story *story, const weir_standing *standing)
{
    char until[TIME_BYTES];
    bool told = false;
    if (passed_over(story, standing)) {
        passed_over_print(standing);
        return;
    }
    weir_shown_print(stdout, standing->group);
    printf(": %s", weir_standing_name(standing->kind));
    for (uint32_t i = 0; i < story->count; i++) {
        told |= story->lines[i].fate != WEIR_FATE_PENDING &&
                weir_bytes_equal(story->lines[i].group, standing->group);
    }
    switch (standing->kind) {
    case WEIR_STANDING_LEASED:
        who_print(standing);
        if (standing->until_ms >= 0) {
            printf(" until %s", time_text(standing->until_ms, until));
        }
        break;
    case WEIR_STANDING_HANDED:
        fputs(", and not committed,", stdout);
        who_print(standing);
        break;
    case WEIR_STANDING_DELAYED:
        printf(" until %s", time_text(standing->until_ms, until));
        break;
    case WEIR_STANDING_WAITING:
        printf(", %" PRIu64 " before it", standing->before);
        break;
    case WEIR_STANDING_BEFORE:
        fputs(" the place where the group began, or was reset to", stdout);
        break;
    case WEIR_STANDING_UNMATCHED:
        fputs(": it is not of the group's filter", stdout);
        break;
    case WEIR_STANDING_SETTLED:
        if (!told) {
            fputs("; how is not kept any more, `weir group info` counts it", stdout);
        }
        break;
    default:
        break;
    }
    fputc('\n', stdout);
}

/* Where the dead letters stand that it became, and how their story goes on. */
static void letters_print(const weir_client_story *story)
{
    for (uint32_t i = 0; i < story->count; i++) {
        const weir_fate_line *line = &story->lines[i];
        if (line->letter_topic.ptr != NULL) {
            fputs("\nits dead letter of ", stdout);
            weir_shown_print(stdout, line->group);
            fputs(": ", stdout);
            weir_shown_print(stdout, line->letter_topic);
            printf(" partition %" PRIu32 " offset %" PRId64 "; `weir why ", line->letter_partition,
                   line->letter_offset);
            weir_shown_print(stdout, line->letter_topic);
            printf(" %" PRIu32 " %" PRId64 "` goes on\n", line->letter_partition,
                   line->letter_offset);
        }
    }
}

static void story_print(const weir_arguments *arguments, weir_client *client,
                        const weir_client_story *story)
{
    char from[TIME_BYTES];
    const char *gone =
        story->record.there ? NULL : gone_text(client, arguments->operands[0], story);
    head_print((const char *const *)arguments->operands, &story->record, gone);
    if (story->from_ms > 0) {
        printf("what happened before %s is not kept any more\n", time_text(story->from_ms, from));
    }
    if (story->left_out > 0) {
        printf("%" PRIu64 " older lines are left out\n", story->left_out);
    }
    if (story->damaged) {
        puts("some lines cannot be read: there may be more than these");
    }
    if (story->count > 0) {
        fputc('\n', stdout);
        lines_print(story, WEIR_OUTPUT_TABLE);
    }
    letters_print(story);
    fputs(story->standing_count > 0 ? "\n" : "", stdout);
    for (uint32_t i = 0; i < story->standing_count; i++) {
        standing_print(story, &story->standings[i]);
    }
    if (story->standing_count == 0 && story->count == 0) {
        puts("no group reads it");
    }
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static void json_text(const char *name, weir_bytes text)
{
    printf(",\"%s\":", name);
    if (text.ptr == NULL) {
        fputs("null", stdout);
    } else {
        weir_json_string(stdout, text);
    }
}

static void json_line(const weir_fate_line *line)
{
    printf("{\"time_ms\":%" PRId64, line->time_ms);
    json_text("group", line->group);
    json_text("event", line->event);
    json_text("fate", weir_bytes_of(weir_fate_name(line->fate)));
    json_text("member", line->member);
    json_text("origin", line->origin);
    json_text("reason", line->reason);
    printf(",\"leased\":%" PRIu32 ",\"failed\":%" PRIu32 ",\"letter\":", line->leased,
           line->failed);
    if (line->letter_topic.ptr == NULL) {
        fputs("null}", stdout);
        return;
    }
    fputs("{\"topic\":", stdout);
    weir_json_string(stdout, line->letter_topic);
    printf(",\"partition\":%" PRIu32 ",\"offset\":%" PRId64 "}}", line->letter_partition,
           line->letter_offset);
}

static void json_standing(const weir_standing *standing)
{
    fputs("{\"group\":", stdout);
    weir_json_string(stdout, standing->group);
    json_text("state", weir_bytes_of(weir_standing_name(standing->kind)));
    json_text("member", standing->member);
    json_text("origin", standing->origin);
    if (standing->kind == WEIR_STANDING_LEASED || standing->kind == WEIR_STANDING_DELAYED) {
        printf(",\"until_ms\":%" PRId64, standing->until_ms);
    }
    if (standing->kind == WEIR_STANDING_WAITING) {
        printf(",\"before\":%" PRIu64, standing->before);
    }
    printf(",\"leased\":%" PRIu32 ",\"failed\":%" PRIu32 "}", standing->leased, standing->failed);
}

static void story_json(const weir_arguments *arguments, const weir_client_story *story)
{
    fputs("{\"topic\":", stdout);
    weir_json_string(stdout, weir_bytes_of(arguments->operands[0]));
    printf(",\"partition\":%s,\"offset\":%s,\"record\":", arguments->operands[1],
           arguments->operands[2]);
    if (!story->record.there) {
        fputs("null", stdout);
    } else {
        printf("{\"stored_ms\":%" PRId64, story->record.stored_ms);
        if (story->record.key.ptr == NULL || weir_text_is_utf8(story->record.key)) {
            json_text("key", story->record.key);
        } else {
            fputs(",\"key64\":\"", stdout);
            weir_base64(stdout, story->record.key);
            fputc('"', stdout);
        }
        printf(",\"bytes\":%" PRIu64 ",\"headers\":%" PRIu32 "}", story->record.value_bytes,
               story->record.headers);
    }
    fputs(",\"lines\":[", stdout);
    for (uint32_t i = 0; i < story->count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        json_line(&story->lines[i]);
    }
    fputs("],\"groups\":[", stdout);
    for (uint32_t i = 0; i < story->standing_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        json_standing(&story->standings[i]);
    }
    printf("],\"from_ms\":%" PRId64 ",\"left_out\":%" PRIu64 ",\"damaged\":%s}\n", story->from_ms,
           story->left_out, story->damaged ? "true" : "false");
}

/* ---- The command ------------------------------------------------------------------------------ */

static bool operand_number(const char *what, const char *text, long long most, long long *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *number > most) {
        weir_say("%s is a number of the record, as `weir sub -F '%%p %%o'` shows it, not \"%s\"",
                 what, text);
        return false;
    }
    return true;
}

/* The topic is there, and has no such partition, or the group is not: says so. False: it is not that. */
static bool missing_say(const weir_arguments *arguments, weir_client *client, uint32_t partition)
{
    const char *topic = arguments->operands[0];
    const char *group = weir_arguments_text(arguments, "group");
    weir_client_topics topics = {0};
    weir_client_groups groups = {0};
    bool there = weir_client_topic_list(client, weir_bytes_of(topic), &topics) == WEIR_OK &&
                 topics.count == 1;
    uint32_t count = there ? topics.topics[0].options.partitions : 0;
    bool group_gone =
        there && group != NULL &&
        weir_client_group_list(client, weir_bytes_of(group), &groups) == WEIR_NOT_FOUND;
    if (there && partition >= count) {
        weir_say("%s has %" PRIu32 " partition%s, counted from 0: there is no partition %" PRIu32
                 ", and no story of it is kept; `weir topic info %s` shows them",
                 topic, count, count == 1 ? "" : "s", partition, topic);
    } else if (group_gone) {
        weir_say("no group \"%.200s\" is there, and no story of it is kept; `weir group ls` lists "
                 "those that are",
                 group);
    }
    weir_client_topics_free(&topics);
    weir_client_groups_free(&groups);
    return (there && partition >= count) || group_gone;
}

/* The topic that a name with its key is under; false: there is none. */
static bool under_say(weir_client *client, const char *name)
{
    weir_client_topics topics = {0};
    const char *topic = NULL;
    (void)weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    for (uint32_t i = 0; i < topics.count; i++) {
        const char *other = topics.topics[i].name;
        size_t len = strlen(other);
        bool above = strncmp(name, other, len) == 0 && name[len] == '/';
        topic = above && (topic == NULL || len > strlen(topic)) ? other : topic;
    }
    if (topic != NULL) {
        weir_say(
            "%.200s is no topic but under the topic %s: `weir why %s PARTITION OFFSET`; `weir sub "
            "'%.200s' --from beginning -e -F '%%p %%o'` shows where its records are",
            name, topic, topic, name);
    }
    weir_client_topics_free(&topics);
    return topic != NULL;
}

static weir_exit failed(const weir_arguments *arguments, weir_client *client, weir_err err,
                        uint32_t partition)
{
    const char *topic = arguments->operands[0];
    if (err == WEIR_OFFSET_OUT_OF_RANGE) {
        weir_say("%s: partition %s has no offset %s yet; see `weir topic info %s`", topic,
                 arguments->operands[1], arguments->operands[2], topic);
        return weir_exit_of(err);
    }
    if (err == WEIR_NOT_FOUND &&
        (missing_say(arguments, client, partition) || under_say(client, topic))) {
        return weir_exit_of(err);
    }
    if (err == WEIR_NOT_FOUND && weir_topic_name_check(weir_bytes_of(topic)) == WEIR_OK) {
        weir_say("%s: no such topic, partition or group, and no story of it is kept; see `weir "
                 "topic ls` and `weir group ls`",
                 topic);
        return weir_exit_of(err);
    }
    return weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, topic);
}

weir_exit weir_run_why(const weir_arguments *arguments)
{
    const char *group = weir_arguments_text(arguments, "group");
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client_story story = {.count = 0};
    weir_client *client = NULL;
    long long partition = 0;
    long long offset = 0;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_output_read(arguments, &output) ||
        !operand_number("PARTITION", arguments->operands[1], UINT32_MAX, &partition) ||
        !operand_number("OFFSET", arguments->operands[2], INT64_MAX - 1, &offset) ||
        !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err =
        weir_client_why(client, weir_bytes_of(arguments->operands[0]), (uint32_t)partition, offset,
                        group == NULL ? WEIR_BYTES_NULL : weir_bytes_of(group), &story);
    if (err != WEIR_OK) {
        code = failed(arguments, client, err, (uint32_t)partition);
    } else if (output == WEIR_OUTPUT_TABLE) {
        story_print(arguments, client, &story);
        code = WEIR_EXIT_DONE;
    } else if (output == WEIR_OUTPUT_JSON) {
        story_json(arguments, &story);
        code = WEIR_EXIT_DONE;
    } else {
        lines_print(&story, output);
        code = WEIR_EXIT_DONE;
    }
    weir_client_story_free(&story);
    weir_client_close(client);
    return code;
}
