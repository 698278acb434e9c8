/* programs/group.c - `weir group create | alter | delete | ls | info | lag | reset`.
 *
 * Happy path: read the settings, connect, ask, print. What the gateway finds wrong is told in its
 * words, a missing group in words that say how one is made. */
#include "programs/group.h"

#include "programs/connect.h"
#include "programs/position.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 16384 };

/* ---- Settings ---------------------------------------------------------------------------------
 */

static bool words_of_kind(const weir_arguments *arguments, weir_group_options *options)
{
    const char *model = weir_arguments_text(arguments, "model");
    const char *mode = weir_arguments_text(arguments, "mode");
    if (model != NULL && weir_model_parse(weir_bytes_of(model), &options->model) != WEIR_OK) {
        weir_say("--model takes stream or queue, not \"%s\"", model);
        return false;
    }
    if (mode != NULL && weir_mode_parse(weir_bytes_of(mode), &options->mode) != WEIR_OK) {
        weir_say("--mode takes at-least-once, at-most-once or client-commit, not \"%s\"", mode);
        return false;
    }
    return true;
}

static bool words_of_places(const weir_arguments *arguments, weir_group_options *options)
{
    const char *start = weir_arguments_text(arguments, "start");
    const char *removed = weir_arguments_text(arguments, "removed");
    if (start != NULL &&
        (weir_group_place_parse(weir_bytes_of(start), &options->start) != WEIR_OK ||
         options->start == WEIR_PLACE_ERROR)) {
        weir_say("--start takes beginning or end, not \"%s\"", start);
        return false;
    }
    if (removed != NULL &&
        weir_group_place_parse(weir_bytes_of(removed), &options->removed) != WEIR_OK) {
        weir_say("--removed takes beginning, end or error, not \"%s\"", removed);
        return false;
    }
    return true;
}

static bool words_of_topics(const weir_arguments *arguments, weir_group_words *words)
{
    const char *topic;
    size_t position = 0;
    while ((topic = weir_arguments_next(arguments, "topic", &position)) != NULL) {
        if (words->options.topic_count == WEIR_GROUP_TOPICS_MAX) {
            weir_say("a group reads at most %d topics; use --filter", WEIR_GROUP_TOPICS_MAX);
            return false;
        }
        words->topics[words->options.topic_count++] = weir_bytes_of(topic);
    }
    words->options.topics = words->topics;
    words->options.filter = weir_bytes_of(weir_arguments_text(arguments, "filter"));
    if (words->options.topic_count > 0 && words->options.filter.ptr != NULL) {
        weir_say("a group reads topics or what a filter matches: --topic or --filter, not both");
        return false;
    }
    return true;
}

void weir_group_flag_of(const weir_group_setting *setting, char flag[WEIR_GROUP_FLAG_MAX])
{
    snprintf(flag, WEIR_GROUP_FLAG_MAX, "%s", setting->name);
    for (char *at = flag; *at != '\0'; at++) {
        *at = *at == '_' ? '-' : *at;
    }
}

static bool yes_or_no(const weir_arguments *arguments, const char *flag, long long *value)
{
    const char *text = weir_arguments_text(arguments, flag);
    *value = text == NULL ? 0 : strcmp(text, "yes") == 0 ? 1 : strcmp(text, "no") == 0 ? 2 : -1;
    if (*value < 0) {
        weir_say("--%s takes yes or no, not \"%s\"", flag, text);
    }
    return *value >= 0;
}

static bool word_read(const weir_arguments *arguments, const weir_group_setting *row,
                      const char *flag, weir_group_options *options)
{
    const char *text = weir_arguments_text(arguments, flag);
    int64_t value = 0;
    if (text != NULL && weir_group_setting_parse(row, weir_bytes_of(text), &value) != WEIR_OK) {
        weir_say("--%s takes refuse, drop-oldest or dead-letter, not \"%s\"", flag, text);
        return false;
    }
    weir_group_setting_put(options, row, value);
    return true;
}

static bool whole_number(const char *text, int64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool number_read(const char *text, const weir_group_setting *row, const char *flag,
                        weir_group_options *options)
{
    int64_t value = 0;
    bool number = whole_number(text, &value);
    bool zero = number && value == 0 && row->least > 0;
    if (!number || zero || !weir_group_setting_fits(row, value)) {
        weir_say("--%s: %.64s is not from %lld to %lld %s%s%s", flag, text, (long long)row->least,
                 (long long)row->most, row->unit, row->endless ? ", or -1 for no limit" : "",
                 zero ? "; leave it out for what is in force, or the default" : "");
        return false;
    }
    weir_group_setting_put(options, row, value == 0 ? WEIR_GROUP_ZERO : value);
    return true;
}

static bool setting_read(const weir_arguments *arguments, const weir_group_setting *row,
                         weir_group_options *options)
{
    char flag[WEIR_GROUP_FLAG_MAX];
    long long value = 0;
    weir_group_flag_of(row, flag);
    if (weir_group_setting_word(row, row->least) != NULL) {
        return word_read(arguments, row, flag, options);
    }
    if (row->least == 1 && row->most == 2) {
        bool good = yes_or_no(arguments, flag, &value);
        weir_group_setting_put(options, row, good ? value : 0);
        return good;
    }
    const char *text = weir_arguments_text(arguments, flag);
    return text == NULL || number_read(text, row, flag, options);
}

static bool any_given(const weir_group_options *options)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    bool given = options->model != WEIR_MODEL_DEFAULT || options->mode != WEIR_MODE_DEFAULT ||
                 options->start != WEIR_PLACE_DEFAULT || options->removed != WEIR_PLACE_DEFAULT ||
                 options->dead_letter.ptr != NULL || options->topic_count > 0 ||
                 options->filter.ptr != NULL;
    for (size_t i = 0; i < count; i++) {
        given = given || weir_group_setting_get(options, &rows[i]) != 0;
    }
    return given;
}

bool weir_group_words_read(const weir_arguments *arguments, weir_group_words *words)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    memset(words, 0, sizeof(*words));
    if (!words_of_kind(arguments, &words->options) ||
        !words_of_places(arguments, &words->options) || !words_of_topics(arguments, words)) {
        return false;
    }
    words->options.dead_letter = weir_bytes_of(weir_arguments_text(arguments, "dead-letter"));
    for (size_t i = 0; i < count; i++) {
        if (!setting_read(arguments, &rows[i], &words->options)) {
            return false;
        }
    }
    words->given = any_given(&words->options);
    return true;
}

bool weir_group_words_fit(const weir_group_words *words, const char *group, weir_model model)
{
    size_t count;
    const weir_group_options *options = &words->options;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        if ((rows[i].models & (unsigned)model) == 0 &&
            weir_group_setting_get(options, &rows[i]) != 0) {
            char flag[WEIR_GROUP_FLAG_MAX];
            weir_group_flag_of(&rows[i], flag);
            weir_say("--%s is for queue groups, and %s is to be a stream group", flag, group);
            return false;
        }
    }
    if (model == WEIR_MODEL_QUEUE && options->mode == WEIR_MODE_CLIENT_COMMIT) {
        weir_say("--mode client-commit is for stream groups: a queue group is at-least-once or "
                 "at-most-once");
        return false;
    }
    if (model == WEIR_MODEL_QUEUE && options->removed != WEIR_PLACE_DEFAULT) {
        weir_say("--removed is for stream groups: what was removed has expired in a queue group, "
                 "which goes on with what is left");
        return false;
    }
    return true;
}

/* ---- Answers ----------------------------------------------------------------------------------
 */

void weir_group_say(weir_err err, const char *group, const char *sentence)
{
    if (err == WEIR_NAME_INVALID && weir_group_name_check(weir_bytes_of(group)) != WEIR_OK) {
        weir_say("\"%.160s\" is no group name: it has 1 to %d bytes without +, #, / and control "
                 "characters, and does not begin with $",
                 group, WEIR_GROUP_BYTES_MAX);
    } else if (err != WEIR_OK) {
        weir_say("%.200s: %.500s", group, sentence[0] != '\0' ? sentence : weir_err_text(err));
    }
}

weir_exit weir_group_outcome(const weir_client *client, weir_err err, const char *group)
{
    weir_group_say(err, group, weir_client_error(client));
    return weir_exit_of(err);
}

/* For what asks for a group that must be there. */
static weir_exit named_outcome(weir_client *client, weir_err err, const char *group)
{
    return weir_group_refused(client, err, group, NULL, WEIR_GROUP_LOOKS);
}

static weir_exit done(const weir_arguments *arguments, weir_client *client, weir_exit code,
                      const char *what)
{
    if (code == WEIR_EXIT_DONE && weir_may_talk(arguments)) {
        weir_say("%s: %s", arguments->operands[0], what);
    }
    weir_client_close(client);
    return code;
}

weir_exit weir_run_group_create(const weir_arguments *arguments)
{
    weir_group_words words;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_group_words_read(arguments, &words)) {
        return code;
    }
    if (words.options.model != WEIR_MODEL_DEFAULT && /* else it is as a group that is there */
        !weir_group_words_fit(&words, arguments->operands[0], words.options.model)) {
        return code;
    }
    if (words.options.topic_count == 0 && words.options.filter.ptr == NULL) {
        weir_say("say what the group reads: --topic TOPIC (may be repeated) or --filter FILTER");
        return code;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err =
        weir_client_group_create(client, weir_bytes_of(arguments->operands[0]), &words.options);
    return done(
        arguments, client,
        weir_group_refused(client, err, arguments->operands[0], &words.options, WEIR_GROUP_CREATES),
        weir_client_group_created(client) ? "created" : "is there already, unchanged");
}

weir_exit weir_run_group_alter(const weir_arguments *arguments)
{
    weir_group_words words;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_group_words_read(arguments, &words)) {
        return code;
    }
    if (!words.given) {
        weir_say("nothing to change: say --mode MODE, --lease-ms MS or another setting");
        return code;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err =
        weir_client_group_alter(client, weir_bytes_of(arguments->operands[0]), &words.options);
    return done(
        arguments, client,
        weir_group_refused(client, err, arguments->operands[0], &words.options, WEIR_GROUP_ALTERS),
        "changed");
}

weir_exit weir_run_group_delete(const weir_arguments *arguments)
{
    bool force = weir_arguments_has(arguments, "force");
    weir_client *client = NULL;
    weir_exit code;
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_group_delete(client, weir_bytes_of(arguments->operands[0]), force);
    return done(arguments, client,
                weir_group_refused(client, err, arguments->operands[0], NULL, WEIR_GROUP_DELETES),
                "deleted");
}

/* ---- What is shown ----------------------------------------------------------------------------
 */

/* What helps those that stand still. */
static void still_say(const weir_client_groups *groups)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        const weir_group_info *group = &groups->groups[i];
        char name[WEIR_GROUP_BYTES_MAX + 1];
        char text[WEIR_GROUP_STILL_MAX];
        if (group->stands_still > 0) {
            snprintf(name, sizeof(name), "%.*s", (int)group->name.len,
                     (const char *)group->name.ptr);
            weir_group_still_put(text, name);
            weir_say("%s", text);
        }
    }
}

/* Lists the groups, or the one that the operand names. */
static weir_exit list(const weir_arguments *arguments,
                      void (*print)(const weir_client_groups *groups, weir_output output))
{
    const char *name = arguments->operand_count > 0 ? arguments->operands[0] : NULL;
    weir_client_groups groups = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_group_list(client, weir_bytes_of(name), &groups);
    code = name != NULL ? named_outcome(client, err, name)
                        : weir_client_outcome(client, err, WEIR_SUBJECT_OTHER, "groups");
    if (err == WEIR_OK) {
        print(&groups, output);
        if (weir_may_talk(arguments)) {
            still_say(&groups);
        }
    }
    weir_client_groups_free(&groups);
    weir_client_close(client);
    return code;
}

static void info_print(const weir_client_groups *groups, weir_output output)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        weir_group_info_print(&groups->groups[i], false, output);
    }
}

weir_exit weir_run_group_ls(const weir_arguments *arguments)
{
    return list(arguments, weir_groups_print);
}

weir_exit weir_run_group_lag(const weir_arguments *arguments)
{
    return list(arguments, weir_groups_lag_print);
}

weir_exit weir_run_group_info(const weir_arguments *arguments)
{
    return list(arguments, info_print);
}

/* ---- Reset ------------------------------------------------------------------------------------
 */

static bool to_read(const char *text, weir_reset *reset)
{
    bool good = text != NULL;
    if (!good) {
        weir_say("say where to: --to beginning, end, OFFSET, @TIME, +N or -N");
        return false;
    }
    if (strcmp(text, "beginning") == 0) {
        reset->kind = WEIR_RESET_BEGINNING;
    } else if (strcmp(text, "end") == 0) {
        reset->kind = WEIR_RESET_END;
    } else if (text[0] == '@') {
        reset->kind = WEIR_RESET_TIME;
        good = weir_time_read(text + 1, &reset->value);
    } else {
        reset->kind = text[0] == '+' || text[0] == '-' ? WEIR_RESET_SHIFT : WEIR_RESET_OFFSET;
        good = whole_number(text, &reset->value);
    }
    if (!good) {
        weir_say("--to takes beginning, end, OFFSET, @TIME (Unix time, or 2026-01-31T12:00:00), +N "
                 "or -N (from where it is), not \"%s\"",
                 text);
    }
    return good;
}

static bool reset_read(const weir_arguments *arguments, weir_reset *reset)
{
    long long partition = -1;
    memset(reset, 0, sizeof(*reset));
    reset->group = weir_bytes_of(arguments->operands[0]);
    reset->topic = weir_bytes_of(weir_arguments_text(arguments, "topic"));
    reset->dry_run = weir_arguments_has(arguments, "dry-run");
    if (!to_read(weir_arguments_text(arguments, "to"), reset) ||
        !weir_arguments_number(arguments, "partition", 0, PARTITIONS_MAX - 1, -1, &partition)) {
        return false;
    }
    if (partition >= 0 && reset->topic.ptr == NULL) {
        weir_say("--partition needs the topic it is of: --topic TOPIC");
        return false;
    }
    reset->partition = partition;
    return true;
}

/* How many offsets come again, and how many are passed over. A queue group has settled some behind the
 * first that it has not: what it owes is counted, not how far it is. Between its two ends it is told the
 * most that it can be. */
static void reset_counts(const weir_group_partition *before, bool queue, int64_t to, int64_t *again,
                         int64_t *skipped)
{
    int64_t from = before->committed;
    int64_t owed = (int64_t)before->lag;
    int64_t given = before->handed > to ? before->handed - to : 0;
    *again = to < from ? from - to : 0;
    *skipped = to > from ? to - from : 0;
    if (queue) {
        *again = to <= from ? before->end - to - owed : given;
        *again = *again > 0 ? *again : 0;
        *skipped = *skipped < owed ? *skipped : owed;
    }
}

/* What is not moved is not shown. */
static void reset_rows(weir_rows *rows, const weir_reset *reset, const weir_group_info *before,
                       const weir_group_info *after)
{
    for (uint32_t i = 0; i < after->partition_count && i < before->partition_count; i++) {
        const weir_group_partition *part = &after->partitions[i];
        char topic[WEIR_GROUP_FILTER_BYTES_MAX];
        int64_t from = before->partitions[i].committed;
        int64_t again = 0;
        int64_t skipped = 0;
        char texts[5][24];
        const char *cells[] = {topic, texts[0], texts[1], texts[2], texts[3], texts[4]};
        if ((reset->topic.ptr != NULL && !weir_bytes_equal(reset->topic, part->topic)) ||
            (reset->partition >= 0 && reset->partition != part->partition)) {
            continue;
        }
        snprintf(topic, sizeof(topic), "%.*s", (int)part->topic.len, (const char *)part->topic.ptr);
        snprintf(texts[0], sizeof(texts[0]), "%" PRIu32, part->partition);
        snprintf(texts[1], sizeof(texts[1]), "%" PRId64, from);
        snprintf(texts[2], sizeof(texts[2]), "%" PRId64, part->committed);
        reset_counts(&before->partitions[i], before->options.model == WEIR_MODEL_QUEUE,
                     part->committed, &again, &skipped);
        snprintf(texts[3], sizeof(texts[3]), "%" PRId64, again);
        snprintf(texts[4], sizeof(texts[4]), "%" PRId64, skipped);
        weir_rows_add(rows, cells);
    }
}

static void reset_print(const weir_reset *reset, const weir_client_groups *before,
                        const weir_client_groups *after, weir_output output)
{
    static const char *const columns[] = {"topic", "partition#", "from#",
                                          "to#",   "again#",     "skipped#"};
    weir_rows *rows = weir_rows_create(columns, 6);
    if (before->count == 1 && after->count == 1) {
        reset_rows(rows, reset, &before->groups[0], &after->groups[0]);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

/* The first partition that has no such offset, with those that it has. False: its bounds cannot be had,
 * or it has it by now. */
static bool bounds_told(weir_client *client, const weir_reset *reset, const weir_group_info *group)
{
    for (uint32_t i = 0; i < group->partition_count; i++) {
        const weir_group_partition *part = &group->partitions[i];
        if ((reset->topic.ptr != NULL && !weir_bytes_equal(reset->topic, part->topic)) ||
            (reset->partition >= 0 && reset->partition != part->partition)) {
            continue;
        }
        weir_client_topics bounds = {0};
        bool out = false;
        if (weir_client_topic_offsets(client, part->topic, WEIR_OFFSETS_BOUNDS, 0, &bounds) ==
                WEIR_OK &&
            bounds.count == 1 && part->partition < bounds.topics[0].options.partitions) {
            const weir_partition_info *is = &bounds.topics[0].partitions[part->partition];
            out = reset->value < is->start_offset || reset->value > is->end_offset;
            if (out) {
                weir_say("--to %" PRId64 " is outside of %.*s partition %" PRIu32
                         ", which has offsets from %" PRId64 " to %" PRId64
                         " (its end): nothing was moved; --to beginning and --to end go as far as "
                         "there is something, --topic and --partition name one alone",
                         reset->value, (int)part->topic.len, (const char *)part->topic.ptr,
                         part->partition, is->start_offset, is->end_offset);
            }
        }
        weir_client_topics_free(&bounds);
        if (out) {
            return true;
        }
    }
    return false;
}

/* NOT_FOUND: the group is there, so it is the topic or the partition that it does not read. */
static weir_exit reset_refused(weir_client *client, weir_err err, const weir_reset *reset,
                               const char *name, const weir_client_groups *groups)
{
    if (err == WEIR_OFFSET_OUT_OF_RANGE && groups->count == 1 &&
        bounds_told(client, reset, &groups->groups[0])) {
        return weir_exit_of(err);
    }
    if (err != WEIR_NOT_FOUND || groups->count != 1) {
        return weir_group_refused(client, err, name, NULL, WEIR_GROUP_LOOKS);
    }
    if (reset->topic.ptr == NULL) {
        weir_say("%s reads no partition yet: there is nothing to move", name);
    } else {
        weir_say("%s does not read that: `weir group lag %s` lists the topics and partitions that "
                 "it does",
                 name, name);
    }
    return weir_exit_of(err);
}

weir_exit weir_run_group_reset(const weir_arguments *arguments)
{
    const char *name = arguments->operands[0];
    weir_client_groups before = {0};
    weir_client_groups after = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    weir_reset reset;
    if (!reset_read(arguments, &reset) || !weir_output_read(arguments, &output) ||
        !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_group_list(client, reset.group, &before);
    code = named_outcome(client, err, name);
    if (err == WEIR_OK) {
        err = weir_client_group_reset(client, &reset, &after);
        code = reset_refused(client, err, &reset, name, &before);
    }
    if (err == WEIR_OK) {
        reset_print(&reset, &before, &after, output);
        if (reset.dry_run && weir_may_talk(arguments)) {
            weir_say("%s: nothing was changed; leave --dry-run out to do it", name);
        }
    }
    weir_client_groups_free(&before);
    weir_client_groups_free(&after);
    weir_client_close(client);
    return code;
}
