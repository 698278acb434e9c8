/* programs/queue.c - `weir queue create | ls | info | peek`: topics of kind queue, each with the one
 * group that is named like it.
 *
 * Happy path: the topic is declared, which makes its group; the group's settings follow. Records
 * are taken with `weir group join NAME`. What is there already is never changed by `create`.
 *
 * Failures: what can be seen to be wrong is refused before anything is made; when the gateway refuses
 * the settings all the same, the topic that this command made is taken away again.
 *
 * [Q1] A refused `create` leaves nothing behind, and takes nothing away that it did not make. */
#include "programs/connect.h"
#include "programs/format.h"
#include "programs/group.h"
#include "programs/topic.h"

#include <inttypes.h>
#include <string.h>

enum { PARTITIONS_MAX = 16384, PEEK_BYTES_MAX = 1048576, CELLS = 7 };

/* ---- Creating ---------------------------------------------------------------------------------
 */

/* A topic of that name is there: it is what was asked, or the sentence tells what differs. Nothing
 * is changed. */
static weir_exit there_already(const weir_arguments *arguments, weir_client *client,
                               const weir_topic_options *is, const weir_topic_options *asked_before,
                               const weir_group_words *words)
{
    const char *name = arguments->operands[0];
    char text[WEIR_TOPIC_DIFFERENCE_MAX];
    char flags[WEIR_TOPIC_DIFFERENCE_MAX];
    weir_topic_options asked = *asked_before;
    weir_client_groups groups = {0};
    if (strncmp(name, "__", 2) == 0) {
        return weir_client_outcome(client, WEIR_NAME_INVALID, WEIR_SUBJECT_TOPIC, name);
    }
    if (is->kind != WEIR_KIND_QUEUE) {
        weir_say("%s is there as a topic of kind log, which a queue cannot take the place of: see "
                 "`weir topic describe %s`; `weir group create GROUP --model queue --topic %s` "
                 "hands its records out as a queue does",
                 name, name, name);
        return WEIR_EXIT_REFUSED;
    }
    weir_topic_asked_fill(arguments, is, &asked);
    weir_topic_difference(is, &asked, text);
    if (text[0] != '\0' && weir_topic_alter_flags(is, &asked, flags)) {
        weir_say("%s is there already, with other settings: %s; `weir topic alter %s%s` changes it",
                 name, text, name, flags);
        return WEIR_EXIT_REFUSED;
    }
    if (text[0] != '\0') {
        weir_say("%s is there already, with other settings: %s; a queue is given more partitions, "
                 "never fewer: take another name, or `weir topic rm %s` first, which removes its "
                 "records",
                 name, text, name);
        return WEIR_EXIT_REFUSED;
    }
    weir_err err = weir_client_group_list(client, weir_bytes_of(name), &groups);
    bool same = groups.count == 1 && weir_group_agrees(&words->options, &groups.groups[0].options);
    weir_client_groups_free(&groups);
    if (err == WEIR_OK && !same) {
        return weir_group_refused(client, WEIR_EXISTS, name, &words->options, WEIR_GROUP_CREATES);
    }
    if (err == WEIR_OK && weir_may_talk(arguments)) {
        weir_say("%s: is there already, unchanged", name);
    }
    return weir_group_outcome(client, err, name);
}

/* Nobody has published to it, and nobody is its member. */
static bool is_untouched(weir_client *client, const char *name)
{
    weir_client_topics bounds = {0};
    weir_client_groups groups = {0};
    const weir_bytes topic = weir_bytes_of(name);
    bool untouched =
        weir_client_topic_offsets(client, topic, WEIR_OFFSETS_BOUNDS, 0, &bounds) == WEIR_OK &&
        bounds.count == 1 && bounds.topics[0].partitions != NULL &&
        weir_client_group_list(client, topic, &groups) == WEIR_OK && groups.count == 1 &&
        groups.groups[0].member_count == 0;
    for (uint32_t i = 0; untouched && i < bounds.topics[0].options.partitions; i++) {
        untouched = bounds.topics[0].partitions[i].end_offset == 0;
    }
    weir_client_topics_free(&bounds);
    weir_client_groups_free(&groups);
    return untouched;
}

/* [Q1] The settings were refused. */
static void made_undo(weir_client *client, const char *name)
{
    bool gone = is_untouched(client, name) &&
                weir_client_topic_delete(client, weir_bytes_of(name)) == WEIR_OK;
    if (!gone) {
        weir_say("%s is declared now, without these settings: `weir topic rm %s` removes it, `weir "
                 "group alter %s` gives it others",
                 name, name, name);
    }
}

static weir_exit create(const weir_arguments *arguments, weir_client *client,
                        const weir_topic_options *topic, const weir_group_words *words)
{
    const char *name = arguments->operands[0];
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(client, weir_bytes_of(name), &topics);
    if (err == WEIR_OK && topics.count == 1) {
        weir_exit code = there_already(arguments, client, &topics.topics[0].options, topic, words);
        weir_client_topics_free(&topics);
        return code;
    }
    weir_client_topics_free(&topics);
    weir_exit code = WEIR_EXIT_DONE;
    if (words->given && !weir_queue_possible(client, name, &words->options, &code)) {
        return code;
    }
    err = weir_client_topic_create(client, weir_bytes_of(name), topic);
    if (err != WEIR_OK) {
        return weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, name);
    }
    bool made = weir_client_topic_created(client);
    if (words->given) {
        err = weir_client_group_alter(client, weir_bytes_of(name), &words->options);
    }
    if (err != WEIR_OK) {
        code = weir_group_refused(client, err, name, &words->options, WEIR_GROUP_ALTERS);
        if (made && err != WEIR_CLOSED && err != WEIR_TIMEOUT) {
            made_undo(client, name);
        }
        return code;
    }
    if (err == WEIR_OK && weir_may_talk(arguments)) {
        weir_say("%s: declared; publish with `weir pub %s`, take with `weir group join %s`", name,
                 name, name);
    }
    return weir_group_outcome(client, err, name);
}

weir_exit weir_run_queue_create(const weir_arguments *arguments)
{
    const char *level = weir_arguments_text(arguments, "durability");
    weir_topic_options topic = {.kind = WEIR_KIND_QUEUE, .level = WEIR_LEVEL_DISK};
    weir_group_words words;
    weir_client *client = NULL;
    long long partitions = 1;
    weir_exit code = WEIR_EXIT_USAGE;
    if (level != NULL && weir_level_parse(weir_bytes_of(level), &topic.level) != WEIR_OK) {
        weir_say("--durability takes memory, os or disk, not \"%s\"", level);
        return code;
    }
    if (!weir_arguments_number(arguments, "partitions", 1, PARTITIONS_MAX, 1, &partitions) ||
        !weir_topic_settings_read(arguments, &topic) || !weir_group_words_read(arguments, &words) ||
        !weir_group_words_fit(&words, arguments->operands[0], WEIR_MODEL_QUEUE)) {
        return code;
    }
    if (weir_bytes_equal(words.options.dead_letter, weir_bytes_of(arguments->operands[0]))) {
        weir_say(
            "--dead-letter %s: the queue cannot take its own dead letters, they would come back "
            "to it for ever; name another topic",
            arguments->operands[0]);
        return code;
    }
    if ((topic.cleanup & WEIR_CLEANUP_COMPACT) != 0) {
        weir_topic_compact_say(arguments->operands[0]);
        return WEIR_EXIT_REFUSED;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    topic.partitions = (uint32_t)partitions;
    code = create(arguments, client, &topic, &words);
    weir_client_close(client);
    return code;
}

/* ---- Listing ----------------------------------------------------------------------------------
 */

static const weir_group_info *group_named(const weir_client_groups *groups, const char *name)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        if (weir_bytes_equal(groups->groups[i].name, weir_bytes_of(name))) {
            return &groups->groups[i];
        }
    }
    return NULL;
}

static void queue_row(weir_rows *rows, const char *name, const weir_group_info *group)
{
    uint64_t numbers[CELLS] = {0};
    int64_t age_ms = 0;
    char texts[CELLS][24];
    const char *cells[CELLS + 1] = {name};
    if (group != NULL) {
        numbers[0] = weir_group_lag(group, &age_ms);
        numbers[3] = group->fates[WEIR_FATE_ACCEPTED];
        numbers[4] = group->fates[WEIR_FATE_DEAD_LETTERED];
        numbers[5] = group->fates[WEIR_FATE_DROPPED];
        numbers[6] = group->member_count;
    }
    for (uint32_t i = 0; group != NULL && i < group->partition_count; i++) {
        numbers[1] += group->partitions[i].leased;
        numbers[2] += group->partitions[i].delayed;
    }
    for (int i = 0; i < CELLS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%" PRIu64, numbers[i]);
        cells[i + 1] = texts[i];
    }
    weir_rows_add(rows, cells);
}

static void queues_print(const weir_client_topics *topics, const weir_client_groups *groups,
                         weir_output output)
{
    static const char *const columns[] = {"queue",     "pending#",       "leased#",  "delayed#",
                                          "accepted#", "dead_lettered#", "dropped#", "members#"};
    weir_rows *rows = weir_rows_create(columns, CELLS + 1);
    for (uint32_t i = 0; i < topics->count; i++) {
        if (topics->topics[i].options.kind == WEIR_KIND_QUEUE) {
            queue_row(rows, topics->topics[i].name, group_named(groups, topics->topics[i].name));
        }
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

weir_exit weir_run_queue_ls(const weir_arguments *arguments)
{
    weir_client_topics topics = {0};
    weir_client_groups groups = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    if (err == WEIR_OK) {
        err = weir_client_group_list(client, WEIR_BYTES_NULL, &groups);
    }
    code = weir_client_outcome(client, err, WEIR_SUBJECT_OTHER, "queues");
    if (err == WEIR_OK) {
        queues_print(&topics, &groups, output);
    }
    weir_client_topics_free(&topics);
    weir_client_groups_free(&groups);
    weir_client_close(client);
    return code;
}

/* No queue is called so; something else may be. */
static weir_exit none_say(weir_client *client, const char *name)
{
    weir_client_topics topics = {0};
    weir_client_groups groups = {0};
    char text[WEIR_PROBLEM_MAX];
    bool own = strncmp(name, "__", 2) == 0;
    bool wrong = weir_topic_name_check(weir_bytes_of(name)) != WEIR_OK;
    bool topic = weir_client_topic_list(client, weir_bytes_of(name), &topics) == WEIR_OK;
    bool group = weir_client_group_list(client, weir_bytes_of(name), &groups) == WEIR_OK;
    if (own || wrong) {
        weir_problem_text(own && topic ? WEIR_NOT_OFFERED : WEIR_NOT_FOUND, WEIR_SUBJECT_TOPIC,
                          name, "", text);
        weir_say("%s", text);
    } else if (topic) {
        weir_say(
            "%s is a topic of kind log and no queue: `weir sub '%s/#' --from beginning -e` shows "
            "its records, `weir group create GROUP --model queue --topic %s` hands them out as a "
            "queue does",
            name, name, name);
    } else if (group) {
        weir_say("%s is a group and no queue: `weir group info %s` shows it", name, name);
    } else {
        weir_say(
            "no queue \"%.200s\" is declared; `weir queue ls` lists those that are, `weir queue "
            "create %.200s` declares it",
            name, name);
    }
    weir_client_topics_free(&topics);
    weir_client_groups_free(&groups);
    return WEIR_EXIT_NOT_FOUND;
}

/* The topic of kind queue that is called so. NOT_FOUND: there is none, or it is of another kind. */
static weir_err queue_find(weir_client *client, const char *name, uint32_t *partitions)
{
    weir_client_topics topics = {0};
    weir_err err = weir_client_topic_list(client, weir_bytes_of(name), &topics);
    if (err == WEIR_OK && (topics.count != 1 || topics.topics[0].options.kind != WEIR_KIND_QUEUE)) {
        err = WEIR_NOT_FOUND;
    }
    *partitions = err == WEIR_OK ? topics.topics[0].options.partitions : 0;
    weir_client_topics_free(&topics);
    return err;
}

weir_exit weir_run_queue_info(const weir_arguments *arguments)
{
    const char *name = arguments->operands[0];
    weir_client_groups groups = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    uint32_t partitions = 0;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = queue_find(client, name, &partitions);
    if (err == WEIR_OK) {
        err = weir_client_group_list(client, weir_bytes_of(name), &groups);
    }
    code = err == WEIR_NOT_FOUND ? none_say(client, name) : weir_group_outcome(client, err, name);
    if (err == WEIR_OK && groups.count == 1) {
        weir_group_info_print(&groups.groups[0], true, output);
    }
    weir_client_groups_free(&groups);
    weir_client_close(client);
    return code;
}

/* ---- Peeking ----------------------------------------------------------------------------------
 */

typedef struct peeking {
    const char *format;
    bool json;
    long long left; /* records still to be shown */
} peeking;

static weir_err fetched_print(weir_client *client, peeking *own, uint32_t count, int64_t from)
{
    for (uint32_t i = 0; i < count && own->left > 0; i++) {
        weir_client_record record;
        weir_err err = weir_client_fetch_record(client, i, &record);
        if (err != WEIR_OK) {
            return err;
        }
        if (record.offset < from) {
            continue; /* a batch is given whole */
        }
        if (own->json) {
            weir_format_json(&record, stdout);
        } else {
            weir_format_print(own->format != NULL ? own->format : "%s", &record, stdout);
        }
        fputc('\n', stdout);
        own->left--;
    }
    return WEIR_OK;
}

static weir_err partition_peek(weir_client *client, const char *name, peeking *own,
                               const weir_group_partition *part)
{
    weir_fetch fetch = {.topic = weir_bytes_of(name),
                        .partition = part->partition,
                        .offset = part->committed,
                        .bytes_max = PEEK_BYTES_MAX,
                        .peek = true};
    while (own->left > 0 && fetch.offset < part->end) {
        weir_client_fetched fetched = {0};
        weir_err err = weir_client_fetch(client, &fetch, &fetched);
        if (err == WEIR_OK) {
            err = fetched_print(client, own, fetched.record_count, fetch.offset);
        }
        if (err != WEIR_OK) {
            return err;
        }
        if (fetched.next_offset <= fetch.offset) {
            break;
        }
        fetch.offset = fetched.next_offset;
    }
    return WEIR_OK;
}

static bool peeking_read(const weir_arguments *arguments, peeking *own)
{
    weir_output output = WEIR_OUTPUT_TABLE;
    const char *wrong;
    own->format = weir_arguments_text(arguments, "format");
    wrong = own->format == NULL ? NULL : weir_format_check(own->format);
    if (wrong != NULL) {
        weir_say("%s", wrong);
        return false;
    }
    if (!weir_output_read(arguments, &output) ||
        !weir_arguments_number(arguments, "count", 1, INT64_MAX, 10, &own->left)) {
        return false;
    }
    own->json = output != WEIR_OUTPUT_TABLE;
    return true;
}

weir_exit weir_run_queue_peek(const weir_arguments *arguments)
{
    const char *name = arguments->operands[0];
    weir_client_groups groups = {0};
    weir_client *client = NULL;
    uint32_t partitions = 0;
    peeking own = {0};
    weir_exit code = WEIR_EXIT_USAGE;
    if (!peeking_read(arguments, &own) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = queue_find(client, name, &partitions);
    if (err == WEIR_OK) {
        err = weir_client_group_list(client, weir_bytes_of(name), &groups);
    }
    for (uint32_t i = 0;
         err == WEIR_OK && groups.count == 1 && i < groups.groups[0].partition_count; i++) {
        err = partition_peek(client, name, &own, &groups.groups[0].partitions[i]);
    }
    code = err == WEIR_NOT_FOUND ? none_say(client, name) : weir_group_outcome(client, err, name);
    weir_client_groups_free(&groups);
    weir_client_close(client);
    return code;
}
