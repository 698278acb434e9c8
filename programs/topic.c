/* programs/topic.c - `weir topic create | ls | info | describe | alter | set | trim | rm`. */
#include "programs/topic.h"

#include "programs/connect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 16384, LEVELS_MAX = 128, PENDING_MAX = 1024 };

/* --durability. False, with the sentence printed, when it is no level. */
static bool level_read(const weir_arguments *arguments, weir_level missing, weir_level *level)
{
    const char *text = weir_arguments_text(arguments, "durability");
    *level = missing;
    if (text != NULL && weir_level_parse(weir_bytes_of(text), level) != WEIR_OK) {
        weir_say("--durability takes memory, os or disk, not \"%s\"", text);
        return false;
    }
    return true;
}

/* --kind. False, with the sentence printed, when it is none. */
static bool kind_read(const weir_arguments *arguments, weir_topic_kind *kind)
{
    const char *text = weir_arguments_text(arguments, "kind");
    if (text != NULL && weir_topic_kind_parse(weir_bytes_of(text), kind) != WEIR_OK) {
        weir_say("--kind takes log or queue, not \"%s\"", text);
        return false;
    }
    return true;
}

/* The flag of a setting: "retention_ms" is --retention-ms. */
static void flag_of(const weir_topic_setting *setting, char flag[64])
{
    snprintf(flag, 64, "%s", setting->name);
    for (char *at = flag; *at != '\0'; at++) {
        *at = *at == '_' ? '-' : *at;
    }
}

/* A 0 that is no value of the setting would stand for its default, and is none either. */
static bool setting_read(const weir_topic_setting *setting, const char *text, int64_t *value)
{
    return weir_topic_setting_parse(setting, text, value) == WEIR_OK &&
           (*value != 0 || setting->least <= 0);
}

bool weir_topic_settings_read(const weir_arguments *arguments, weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    const char *cleanup = weir_arguments_text(arguments, "cleanup");
    if (cleanup != NULL &&
        weir_cleanup_parse(weir_bytes_of(cleanup), &options->cleanup) != WEIR_OK) {
        weir_say("--cleanup takes delete, compact or compact,delete, not \"%s\"", cleanup);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char flag[64];
        int64_t value = 0;
        flag_of(&rows[i], flag);
        const char *text = weir_arguments_text(arguments, flag);
        if (text != NULL && !setting_read(&rows[i], text, &value)) {
            char bounds[WEIR_TOPIC_BOUNDS_MAX];
            weir_topic_setting_bounds(&rows[i], bounds);
            bool words = weir_topic_setting_word(&rows[i], rows[i].least) != NULL;
            weir_say("--%s takes %s%s, not \"%s\"", flag, words ? "" : "a number from ", bounds,
                     text);
            return false;
        }
        weir_topic_setting_put(options, &rows[i], value);
    }
    return true;
}

static bool settings_given(const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    bool given = options->cleanup != WEIR_CLEANUP_DEFAULT;
    for (size_t i = 0; i < count; i++) {
        given = given || weir_topic_setting_get(options, &rows[i]) != 0;
    }
    return given;
}

/* Says what was done, unless --quiet. */
static weir_exit done(const weir_arguments *arguments, weir_client *client, weir_err err,
                      const char *what)
{
    const char *name = arguments->operands[0];
    weir_exit code = weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, name);
    if (err == WEIR_OK && weir_may_talk(arguments)) {
        weir_say("%s: %s", name, what);
    }
    weir_client_close(client);
    return code;
}

static void differ(char *text, const char *what, const char *is, const char *asked)
{
    size_t len = strlen(text);
    if (strcmp(is, asked) != 0) {
        snprintf(text + len, WEIR_TOPIC_DIFFERENCE_MAX - len, "%s%s %s (asked: %s)",
                 len > 0 ? ", " : "", what, is, asked);
    }
}

static void differ_number(char *text, const char *what, uint32_t is, uint32_t asked)
{
    char is_text[16];
    char asked_text[16];
    snprintf(is_text, sizeof(is_text), "%" PRIu32, is);
    snprintf(asked_text, sizeof(asked_text), "%" PRIu32, asked);
    differ(text, what, is_text, asked_text);
}

/* What is not asked for does not differ. */
static void settings_differ(char *text, const weir_topic_options *is,
                            const weir_topic_options *asked)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    if (asked->cleanup != WEIR_CLEANUP_DEFAULT) {
        differ(text, "cleanup", weir_cleanup_name(is->cleanup), weir_cleanup_name(asked->cleanup));
    }
    if (asked->kind != WEIR_KIND_DEFAULT) {
        differ(text, "kind", weir_topic_kind_name(is->kind), weir_topic_kind_name(asked->kind));
    }
    for (size_t i = 0; i < count; i++) {
        char is_text[24];
        char asked_text[24];
        int64_t wanted = weir_topic_setting_get(asked, &rows[i]);
        int64_t there = weir_topic_setting_get(is, &rows[i]);
        const char *word = weir_topic_setting_word(&rows[i], wanted);
        const char *there_word = weir_topic_setting_word(&rows[i], there);
        snprintf(is_text, sizeof(is_text), "%" PRId64, there);
        snprintf(asked_text, sizeof(asked_text), "%" PRId64, wanted);
        if (wanted != 0) {
            differ(text, rows[i].name, there_word != NULL ? there_word : is_text,
                   word != NULL ? word : asked_text);
        }
    }
}

void weir_topic_difference(const weir_topic_options *is, const weir_topic_options *asked,
                           char text[WEIR_TOPIC_DIFFERENCE_MAX])
{
    text[0] = '\0';
    differ_number(text, "partitions", is->partitions, asked->partitions);
    differ(text, "durability", weir_level_name(is->level), weir_level_name(asked->level));
    differ(text, "nested", is->nested ? "true" : "false", asked->nested ? "true" : "false");
    differ_number(text, "partition levels", is->partition_levels, asked->partition_levels);
    settings_differ(text, is, asked);
}

void weir_topic_asked_fill(const weir_arguments *arguments, const weir_topic_options *is,
                           weir_topic_options *asked)
{
    asked->partitions =
        weir_arguments_has(arguments, "partitions") ? asked->partitions : is->partitions;
    asked->level = weir_arguments_has(arguments, "durability") ? asked->level : is->level;
    asked->nested = weir_arguments_has(arguments, "nested") ? asked->nested : is->nested;
    asked->partition_levels = weir_arguments_has(arguments, "partition-levels")
                                  ? asked->partition_levels
                                  : is->partition_levels;
}

static void flag_add(char flags[WEIR_TOPIC_DIFFERENCE_MAX], const char *flag, const char *value)
{
    size_t len = strlen(flags);
    snprintf(flags + len, WEIR_TOPIC_DIFFERENCE_MAX - len, " --%s %s", flag, value);
}

static void setting_flags(const weir_topic_options *is, const weir_topic_options *asked,
                          char flags[WEIR_TOPIC_DIFFERENCE_MAX])
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t wanted = weir_topic_setting_get(asked, &rows[i]);
        const char *word = weir_topic_setting_word(&rows[i], wanted);
        char flag[64];
        char number[24];
        flag_of(&rows[i], flag);
        snprintf(number, sizeof(number), "%" PRId64, wanted);
        if (wanted != 0 && wanted != weir_topic_setting_get(is, &rows[i])) {
            flag_add(flags, flag, word != NULL ? word : number);
        }
    }
}

bool weir_topic_alter_flags(const weir_topic_options *is, const weir_topic_options *asked,
                            char flags[WEIR_TOPIC_DIFFERENCE_MAX])
{
    char number[16];
    flags[0] = '\0';
    snprintf(number, sizeof(number), "%" PRIu32, asked->partitions);
    if (asked->partitions > is->partitions) {
        flag_add(flags, "partitions", number);
    }
    if (asked->level != is->level) {
        flag_add(flags, "durability", weir_level_name(asked->level));
    }
    if (asked->cleanup != WEIR_CLEANUP_DEFAULT && asked->cleanup != is->cleanup) {
        flag_add(flags, "cleanup", weir_cleanup_name(asked->cleanup));
    }
    setting_flags(is, asked, flags);
    return asked->nested == is->nested && asked->partition_levels == is->partition_levels &&
           asked->partitions >= is->partitions &&
           (asked->kind == WEIR_KIND_DEFAULT ||
            (asked->kind == WEIR_KIND_QUEUE) == (is->kind == WEIR_KIND_QUEUE));
}

/* A topic of that name is there: it is all that was asked, or the sentence tells what differs, and which
 * command helps. */
static weir_exit there_already(const weir_arguments *arguments, const weir_topic_options *is,
                               const weir_topic_options *asked_before)
{
    const char *name = arguments->operands[0];
    char text[WEIR_TOPIC_DIFFERENCE_MAX];
    char flags[WEIR_TOPIC_DIFFERENCE_MAX];
    weir_topic_options asked = *asked_before;
    weir_topic_asked_fill(arguments, is, &asked);
    weir_topic_difference(is, &asked, text);
    if (text[0] == '\0') {
        if (weir_may_talk(arguments)) {
            weir_say("%s: is there already, unchanged", name);
        }
        return WEIR_EXIT_DONE;
    }
    if (weir_topic_alter_flags(is, &asked, flags)) {
        weir_say("%s is there already, with other settings: %s; `weir topic alter %s%s` changes it",
                 name, text, name, flags);
    } else {
        weir_say(
            "%s is there already, with other settings: %s; kind, nested, partition levels and "
            "partitions to fewer never change: take another name, or `weir topic rm %s` first, "
            "which removes its records",
            name, text, name);
    }
    return WEIR_EXIT_REFUSED;
}

/* False: what is there cannot be told. */
static bool there_told(const weir_arguments *arguments, weir_client *client,
                       const weir_topic_options *asked, weir_exit *code)
{
    weir_client_topics topics = {0};
    bool told =
        weir_client_topic_list(client, weir_bytes_of(arguments->operands[0]), &topics) == WEIR_OK &&
        topics.count == 1;
    if (told) {
        *code = there_already(arguments, &topics.topics[0].options, asked);
    }
    weir_client_topics_free(&topics);
    return told;
}

/* A queue of that name is there, and no kind was said: it is no log topic. */
static bool queue_say(weir_client *client, const char *name)
{
    weir_client_topics topics = {0};
    bool queue = weir_client_topic_list(client, weir_bytes_of(name), &topics) == WEIR_OK &&
                 topics.count == 1 && topics.topics[0].options.kind == WEIR_KIND_QUEUE;
    if (queue) {
        weir_say("%s is there already, as a queue and not a topic of kind log; `weir queue info "
                 "%s` shows it",
                 name, name);
    }
    weir_client_topics_free(&topics);
    return queue;
}

void weir_topic_compact_say(const char *queue)
{
    weir_say(
        "%s is a queue, and a queue is not compacted: its records go when its group has settled "
        "them; leave --cleanup out, or keep the newest of each key in a topic of kind log: "
        "`weir topic create NAME --cleanup compact`",
        queue);
}

weir_exit weir_run_topic_create(const weir_arguments *arguments)
{
    weir_topic_options options = {.nested = weir_arguments_has(arguments, "nested")};
    long long partitions = 1;
    long long levels = 0;
    weir_client *client = NULL;
    weir_exit code;
    weir_err err;
    if (!weir_arguments_number(arguments, "partitions", 1, PARTITIONS_MAX, 1, &partitions) ||
        !weir_arguments_number(arguments, "partition-levels", 0, LEVELS_MAX, 0, &levels) ||
        !level_read(arguments, WEIR_LEVEL_DISK, &options.level) ||
        !kind_read(arguments, &options.kind) || !weir_topic_settings_read(arguments, &options)) {
        return WEIR_EXIT_USAGE;
    }
    options.partitions = (uint32_t)partitions;
    options.partition_levels = (uint32_t)levels;
    if (options.kind == WEIR_KIND_QUEUE && (options.cleanup & WEIR_CLEANUP_COMPACT) != 0) {
        weir_topic_compact_say(arguments->operands[0]);
        return WEIR_EXIT_REFUSED;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    if (options.kind != WEIR_KIND_QUEUE && queue_say(client, arguments->operands[0])) {
        weir_client_close(client);
        return WEIR_EXIT_REFUSED;
    }
    err = weir_client_topic_create(client, weir_bytes_of(arguments->operands[0]), &options);
    if (err == WEIR_EXISTS && there_told(arguments, client, &options, &code)) {
        weir_client_close(client);
        return code;
    }
    return done(arguments, client, err,
                weir_client_topic_created(client) ? "declared" : "is there already, unchanged");
}

/* What of a change can never be. False: that cannot be told. */
static bool change_refused_say(weir_client *client, const char *name,
                               const weir_topic_options *change)
{
    weir_client_topics topics = {0};
    bool there = weir_client_topic_list(client, weir_bytes_of(name), &topics) == WEIR_OK &&
                 topics.count == 1;
    bool queue = there && topics.topics[0].options.kind == WEIR_KIND_QUEUE;
    uint32_t partitions = there ? topics.topics[0].options.partitions : 0;
    bool compacts = queue && (change->cleanup & WEIR_CLEANUP_COMPACT) != 0;
    bool shrinks = change->partitions > 0 && change->partitions < partitions;
    weir_client_topics_free(&topics);
    if (compacts) {
        weir_topic_compact_say(name);
    } else if (shrinks) {
        weir_say("%s has %" PRIu32 " partitions, and a topic can be given more, not fewer", name,
                 partitions);
    }
    return compacts || shrinks;
}

/* A topic before it is given more partitions. */
typedef struct growth {
    uint32_t partitions; /* 0: it cannot be told */
    bool compacted;
    bool filled; /* it has records, whose keys may move */
} growth;

static growth growth_look(weir_client *client, const char *name)
{
    growth before = {.partitions = 0};
    const weir_bytes topic = weir_bytes_of(name);
    weir_client_topics topics = {0};
    weir_client_topics bounds = {0};
    if (weir_client_topic_list(client, topic, &topics) == WEIR_OK && topics.count == 1 &&
        weir_client_topic_offsets(client, topic, WEIR_OFFSETS_BOUNDS, 0, &bounds) == WEIR_OK &&
        bounds.count == 1 && bounds.topics[0].partitions != NULL) {
        const weir_topic_info *all = &bounds.topics[0];
        before.partitions = topics.topics[0].options.partitions;
        before.compacted = (topics.topics[0].options.cleanup & WEIR_CLEANUP_COMPACT) != 0;
        for (uint32_t i = 0; i < all->options.partitions; i++) {
            before.filled |= all->partitions[i].end_offset > all->partitions[i].start_offset;
        }
    }
    weir_client_topics_free(&topics);
    weir_client_topics_free(&bounds);
    return before;
}

/* What comes of keys that are in another partition from now on. */
static void growth_say(const char *name, const growth *before, const weir_topic_options *change)
{
    bool compacted = before->compacted || (change->cleanup & WEIR_CLEANUP_COMPACT) != 0;
    if (before->partitions == 0 || change->partitions <= before->partitions ||
        (!compacted && !before->filled)) {
        return;
    }
    weir_say(
        "%s: keys move: newer records of a key may go to another partition than its older ones. "
        "%s; see docs/promises.md, \"Adding partitions\"",
        name,
        compacted ? "Compaction looks at each partition by itself: a key that moved keeps its "
                    "older value beside the newer one, also behind a tombstone"
                  : "Groups look at each partition by itself, so that both may be with members "
                    "at once");
}

weir_exit weir_run_topic_set(const weir_arguments *arguments)
{
    weir_topic_options change = {0};
    weir_client *client = NULL;
    long long partitions = 0;
    weir_exit code;
    weir_err err;
    if (!level_read(arguments, WEIR_LEVEL_DEFAULT, &change.level) ||
        !weir_arguments_number(arguments, "partitions", 1, PARTITIONS_MAX, 0, &partitions) ||
        !weir_topic_settings_read(arguments, &change)) {
        return WEIR_EXIT_USAGE;
    }
    change.partitions = (uint32_t)partitions;
    if (change.level == WEIR_LEVEL_DEFAULT && partitions == 0 && !settings_given(&change)) {
        weir_say("nothing to change: say --durability LEVEL, --partitions N, --retention-ms MS or "
                 "another setting");
        return WEIR_EXIT_USAGE;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    growth before = {.partitions = 0};
    if (partitions > 0 && weir_may_talk(arguments)) {
        before = growth_look(client, arguments->operands[0]);
    }
    err = weir_client_topic_change(client, weir_bytes_of(arguments->operands[0]), &change);
    if (err == WEIR_OK) {
        growth_say(arguments->operands[0], &before, &change);
    }
    if (err == WEIR_INVALID && change_refused_say(client, arguments->operands[0], &change)) {
        weir_client_close(client);
        return weir_exit_of(err);
    }
    return done(arguments, client, err, "changed");
}

/* A topic that is there has no such partition: says how many it has. False: that is not what is wrong. */
static bool partition_missing_say(weir_client *client, const char *name, uint32_t partition)
{
    weir_client_topics topics = {0};
    bool missing = weir_client_topic_list(client, weir_bytes_of(name), &topics) == WEIR_OK &&
                   topics.count == 1 && partition >= topics.topics[0].options.partitions;
    if (missing) {
        weir_say("no partition %" PRIu32 "; %s has %" PRIu32, partition, name,
                 topics.topics[0].options.partitions);
    }
    weir_client_topics_free(&topics);
    return missing;
}

/* The partition has no such offset: says which it has. False: its bounds cannot be had. */
static bool bounds_say(weir_client *client, const char *name, uint32_t partition, long long offset)
{
    weir_client_topics bounds = {0};
    weir_bytes topic = weir_bytes_of(name);
    bool told =
        weir_client_topic_offsets(client, topic, WEIR_OFFSETS_BOUNDS, 0, &bounds) == WEIR_OK &&
        bounds.count == 1 && partition < bounds.topics[0].options.partitions;
    if (told) {
        const weir_partition_info *is = &bounds.topics[0].partitions[partition];
        weir_say("--before %lld is outside of partition %" PRIu32
                 ", which has offsets from %" PRId64 " to %" PRId64
                 " (its end); `weir topic info %s` shows all partitions",
                 offset, partition, is->start_offset, is->end_offset, name);
    }
    weir_client_topics_free(&bounds);
    return told;
}

weir_exit weir_run_topic_trim(const weir_arguments *arguments)
{
    const char *before = weir_arguments_text(arguments, "before");
    weir_client *client = NULL;
    long long partition = 0;
    long long offset = WEIR_UNLIMITED;
    weir_exit code;
    if (before == NULL) {
        weir_say("say which records go: --before OFFSET, or --before end");
        return WEIR_EXIT_USAGE;
    }
    if (!weir_arguments_number(arguments, "partition", 0, PARTITIONS_MAX - 1, 0, &partition) ||
        (strcmp(before, "end") != 0 &&
         !weir_arguments_number(arguments, "before", 0, INT64_MAX, 0, &offset))) {
        return WEIR_EXIT_USAGE;
    }
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_topic_trim(client, weir_bytes_of(arguments->operands[0]),
                                          (uint32_t)partition, offset);
    bool said = (err == WEIR_NOT_FOUND &&
                 partition_missing_say(client, arguments->operands[0], (uint32_t)partition)) ||
                (err == WEIR_OFFSET_OUT_OF_RANGE &&
                 bounds_say(client, arguments->operands[0], (uint32_t)partition, offset));
    if (said) {
        weir_client_close(client);
        return weir_exit_of(err);
    }
    return done(arguments, client, err, "trimmed");
}

/* Whose dead letters went to a topic that is deleted now. */
static void letters_say(weir_client *client, const char *name)
{
    weir_client_groups groups = {0};
    weir_err err = weir_client_group_list(client, WEIR_BYTES_NULL, &groups);
    for (uint32_t i = 0; err == WEIR_OK && i < groups.count; i++) {
        const weir_group_info *group = &groups.groups[i];
        if (weir_bytes_equal(group->options.dead_letter, weir_bytes_of(name))) {
            bool stream = group->options.model == WEIR_MODEL_STREAM;
            weir_say("%s was the dead-letter topic of %.*s: what %s there is kept nowhere until a "
                     "topic of this name is created",
                     name, (int)group->name.len, (const char *)group->name.ptr,
                     stream ? "is rejected" : "fails too often or is rejected");
        }
    }
    weir_client_groups_free(&groups);
}

/* What each group has not settled of a topic: "; 3 were pending in mail, 5 in billing"; "": nothing. */
static void pending_text(weir_client *client, const char *name, char text[PENDING_MAX])
{
    weir_client_groups groups = {0};
    size_t len = 0;
    bool first = true;
    text[0] = '\0';
    weir_err err = weir_client_group_list(client, WEIR_BYTES_NULL, &groups);
    for (uint32_t i = 0; err == WEIR_OK && i < groups.count; i++) {
        const weir_group_info *group = &groups.groups[i];
        uint64_t pending = 0;
        for (uint32_t k = 0; k < group->partition_count; k++) {
            bool of_it = weir_bytes_equal(group->partitions[k].topic, weir_bytes_of(name));
            pending += of_it ? group->partitions[k].lag : 0;
        }
        if (pending == 0) {
            continue;
        }
        if (len + group->name.len + 64 > PENDING_MAX) {
            (void)snprintf(text + len, PENDING_MAX - len, ", ...");
            break;
        }
        len += (size_t)snprintf(text + len, PENDING_MAX - len, "%s%" PRIu64 " %sin %.*s",
                                first ? "; " : ", ", pending,
                                !first         ? ""
                                : pending == 1 ? "was pending "
                                               : "were pending ",
                                (int)group->name.len, (const char *)group->name.ptr);
        first = false;
    }
    weir_client_groups_free(&groups);
}

weir_exit weir_run_topic_rm(const weir_arguments *arguments)
{
    const char *name = arguments->operands[0];
    weir_client *client = NULL;
    weir_exit code;
    weir_err err;
    char pending[PENDING_MAX] = "";
    char answer[PENDING_MAX + 32];
    if (!weir_connect(arguments, &client, &code)) {
        return code;
    }
    if (weir_may_talk(arguments)) {
        pending_text(client, name, pending);
    }
    err = weir_client_topic_delete(client, weir_bytes_of(name));
    if (err == WEIR_OK && weir_may_talk(arguments)) {
        letters_say(client, name);
    }
    snprintf(answer, sizeof(answer), "deleted, with its records%s", pending);
    return done(arguments, client, err, answer);
}

static void topics_print(const weir_client_topics *topics, weir_output output)
{
    static const char *const columns[] = {"topic",      "kind",    "partitions#",
                                          "durability", "nested#", "partition_levels#",
                                          "held_bytes#"};
    weir_rows *rows = weir_rows_create(columns, 7);
    for (uint32_t i = 0; i < topics->count; i++) {
        const weir_topic_info *topic = &topics->topics[i];
        char partitions[16];
        char levels[16];
        char held[24];
        const char *cells[] = {topic->name,
                               weir_topic_kind_name(topic->options.kind == WEIR_KIND_QUEUE
                                                        ? WEIR_KIND_QUEUE
                                                        : WEIR_KIND_LOG),
                               partitions,
                               weir_level_name(topic->options.level),
                               topic->options.nested ? "true" : "false",
                               levels,
                               held};
        snprintf(held, sizeof(held), "%" PRIu64, topic->held_bytes);
        snprintf(partitions, sizeof(partitions), "%" PRIu32, topic->options.partitions);
        snprintf(levels, sizeof(levels), "%" PRIu32, topic->options.partition_levels);
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

weir_exit weir_run_topic_ls(const weir_arguments *arguments)
{
    weir_client_topics topics = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    weir_err err;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    err = weir_client_topic_list(client, WEIR_BYTES_NULL, &topics);
    code = weir_client_outcome(client, err, WEIR_SUBJECT_OTHER, "topics");
    if (err == WEIR_OK) {
        topics_print(&topics, output);
        weir_client_topics_free(&topics);
    }
    weir_client_close(client);
    return code;
}

static void info_print(const weir_topic_info *topic, const weir_topic_info *bounds,
                       weir_output output)
{
    static const char *const columns[] = {"topic",  "durability", "nested#", "partition#",
                                          "start#", "end#",       "records#"};
    weir_rows *rows = weir_rows_create(columns, 7);
    for (uint32_t i = 0; i < topic->options.partitions && bounds->partitions != NULL; i++) {
        const weir_partition_info *partition = &bounds->partitions[i];
        char number[16];
        char start[24];
        char end[24];
        char records[24];
        const char *cells[] = {topic->name,
                               weir_level_name(topic->options.level),
                               topic->options.nested ? "true" : "false",
                               number,
                               start,
                               end,
                               records};
        snprintf(number, sizeof(number), "%" PRIu32, i);
        snprintf(start, sizeof(start), "%" PRId64, partition->start_offset);
        snprintf(end, sizeof(end), "%" PRId64, partition->end_offset);
        snprintf(records, sizeof(records), "%" PRId64,
                 partition->end_offset - partition->start_offset);
        weir_rows_add(rows, cells);
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
    if (output == WEIR_OUTPUT_TABLE && (topic->options.cleanup & WEIR_CLEANUP_COMPACT) != 0) {
        puts("\nrecords is from start to end: with those that compaction has removed");
    }
}

weir_exit weir_run_topic_info(const weir_arguments *arguments)
{
    weir_bytes name = weir_bytes_of(arguments->operands[0]);
    weir_client_topics topics = {0};
    weir_client_topics bounds = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    weir_err err;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    err = weir_client_topic_list(client, name, &topics);
    if (err == WEIR_OK) {
        err = weir_client_topic_offsets(client, name, WEIR_OFFSETS_BOUNDS, 0, &bounds);
    }
    code = weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, arguments->operands[0]);
    if (err == WEIR_OK && topics.count == 1 && bounds.count == 1 &&
        bounds.topics[0].options.partitions >= topics.topics[0].options.partitions) {
        info_print(&topics.topics[0], &bounds.topics[0], output);
    }
    weir_client_topics_free(&topics);
    weir_client_topics_free(&bounds);
    weir_client_close(client);
    return code;
}

static void describe_row(weir_rows *rows, const char *name, const char *value, const char *unit)
{
    const char *cells[] = {name, value, unit};
    weir_rows_add(rows, cells);
}

static void describe_number(weir_rows *rows, const char *name, int64_t value, const char *unit)
{
    char text[24];
    const char *cells[] = {name, text, unit};
    snprintf(text, sizeof(text), "%" PRId64, value);
    weir_rows_add_plain(rows, cells);
}

/* A person reads "unlimited", a program -1. */
static void describe_setting(weir_rows *rows, const weir_topic_setting *setting, int64_t value,
                             weir_output output)
{
    const char *word = weir_topic_setting_word(setting, value);
    if (word != NULL) {
        describe_row(rows, setting->name, word, "");
    } else if (value == WEIR_UNLIMITED && setting->endless && output == WEIR_OUTPUT_TABLE) {
        describe_row(rows, setting->name, "unlimited", "");
    } else {
        describe_number(rows, setting->name, value, setting->unit);
    }
}

static void describe_print(const weir_topic_info *topic, weir_output output)
{
    static const char *const columns[] = {"setting", "value?", "unit"};
    const weir_topic_options *options = &topic->options;
    size_t count;
    const weir_topic_setting *settings = weir_topic_settings(&count);
    weir_rows *rows = weir_rows_create(columns, 3);
    describe_row(rows, "topic", topic->name, "");
    describe_number(rows, "partitions", options->partitions, "");
    describe_row(
        rows, "kind",
        weir_topic_kind_name(options->kind == WEIR_KIND_QUEUE ? WEIR_KIND_QUEUE : WEIR_KIND_LOG),
        "");
    describe_row(rows, "durability", weir_level_name(options->level), "");
    const char *nested[] = {"nested", options->nested ? "true" : "false", ""};
    weir_rows_add_plain(rows, nested);
    describe_number(rows, "partition_levels", options->partition_levels, "levels");
    describe_row(rows, "cleanup", weir_cleanup_name(options->cleanup), "");
    for (size_t i = 0; i < count; i++) {
        describe_setting(rows, &settings[i], weir_topic_setting_get(options, &settings[i]), output);
    }
    if (options->retention_unsettled == WEIR_UNSETTLED_KEEP) {
        describe_number(rows, "held_bytes", (int64_t)topic->held_bytes, "bytes");
        describe_row(rows, "held_by", topic->held_by, "");
    }
    weir_rows_print(rows, output, stdout);
    weir_rows_destroy(rows);
}

weir_exit weir_run_topic_describe(const weir_arguments *arguments)
{
    weir_client_topics topics = {0};
    weir_output output = WEIR_OUTPUT_TABLE;
    weir_client *client = NULL;
    weir_exit code = WEIR_EXIT_USAGE;
    if (!weir_output_read(arguments, &output) || !weir_connect(arguments, &client, &code)) {
        return code;
    }
    weir_err err = weir_client_topic_list(client, weir_bytes_of(arguments->operands[0]), &topics);
    code = weir_client_outcome(client, err, WEIR_SUBJECT_TOPIC, arguments->operands[0]);
    if (err == WEIR_OK && topics.count == 1) {
        describe_print(&topics.topics[0], output);
    }
    weir_client_topics_free(&topics);
    weir_client_close(client);
    return code;
}
