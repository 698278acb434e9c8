/* clients/c/groups.c - groups declared, listed and reset; the story of a record.
 *
 * What the gateway tells of a group becomes one weir_group_info, whose lists and texts lie in one
 * piece of memory behind it:
 *
 *     groups[0], groups[1], .. | of each: topics | partitions | members | texts ...
 *
 * [G1] *groups and *story are written only on OK, and then hold memory of their own. */
#include "clients/c/client_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- Words out --------------------------------------------------------------------------------
 */

static bool is_yes_or_no(const weir_group_setting *row)
{
    return row->least == 1 && row->most == 2;
}

static void settings_write(weir_v1_writer *writer, const weir_group_options *options)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_group_setting_get(options, &rows[i]);
        if (value == 0) {
            continue;
        }
        value = value == WEIR_GROUP_ZERO && weir_group_setting_has_zero(&rows[i]) ? 0 : value;
        const char *word = weir_group_setting_word(&rows[i], value);
        if (word != NULL) {
            weir_client_text_member(writer, rows[i].name, weir_bytes_of(word));
        } else if (is_yes_or_no(&rows[i])) {
            weir_v1_write_raw(writer, ",\"");
            weir_v1_write_raw(writer, rows[i].name);
            weir_v1_write_raw(writer, value == 1 ? "\":true" : "\":false");
        } else {
            weir_client_integer_member(writer, rows[i].name, value);
        }
    }
}

static void topics_write(weir_v1_writer *writer, const weir_group_options *options)
{
    weir_v1_write_raw(writer, ",\"topics\":[");
    for (uint32_t i = 0; i < options->topic_count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        weir_v1_write_string(writer, options->topics[i]);
    }
    weir_v1_write_raw(writer, "]");
}

void weir_client_group_words(weir_v1_writer *writer, const weir_group_options *options)
{
    if (options->model != WEIR_MODEL_DEFAULT) {
        weir_client_text_member(writer, "model", weir_bytes_of(weir_model_name(options->model)));
    }
    if (options->mode != WEIR_MODE_DEFAULT) {
        weir_client_text_member(writer, "mode", weir_bytes_of(weir_mode_name(options->mode)));
    }
    if (options->start != WEIR_PLACE_DEFAULT) {
        weir_client_text_member(writer, "start",
                                weir_bytes_of(weir_group_place_name(options->start)));
    }
    if (options->removed != WEIR_PLACE_DEFAULT) {
        weir_client_text_member(writer, "removed",
                                weir_bytes_of(weir_group_place_name(options->removed)));
    }
    if (options->dead_letter.ptr != NULL) {
        weir_client_text_member(writer, "dead_letter", options->dead_letter);
    }
    if (options->topic_count > 0) {
        topics_write(writer, options);
    } else if (options->filter.ptr != NULL) {
        weir_client_text_member(writer, "filter", options->filter);
    }
    settings_write(writer, options);
}

bool weir_client_group_words_fit(const weir_group_options *options)
{
    bool fit = weir_v1_is_text(options->dead_letter) && weir_v1_is_text(options->filter);
    for (uint32_t i = 0; i < options->topic_count; i++) {
        fit = fit && weir_v1_is_text(options->topics[i]);
    }
    return fit;
}

/* Names that no gateway could be told. */
static weir_err words_check(weir_client *client, weir_bytes group,
                            const weir_group_options *options)
{
    if (!weir_v1_is_text(group) || (options != NULL && !weir_client_group_words_fit(options))) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "Names of groups and topics are UTF-8 text without NUL; spell "
                                "them so.");
    }
    return WEIR_OK;
}

static weir_v1_writer group_begin(weir_client *client, const char *action, weir_bytes group,
                                  uint64_t *id)
{
    weir_v1_writer writer = weir_client_begin(client, "group", id);
    weir_client_text_member(&writer, "action", weir_bytes_of(action));
    if (group.ptr != NULL) {
        weir_client_text_member(&writer, "group", group);
    }
    return writer;
}

weir_err weir_client_group_create(weir_client *client, weir_bytes group,
                                  const weir_group_options *options)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = words_check(client, group, options);
    client->group_created = false;
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = group_begin(client, "create", group, &id);
    weir_client_group_words(&writer, options);
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK) {
        (void)weir_v1_node_boolean(weir_v1_node_member(answer.root, "created"),
                                   &client->group_created);
    }
    weir_v1_document_fini(&answer);
    return err;
}

bool weir_client_group_created(const weir_client *client)
{
    return client->group_created;
}

weir_err weir_client_group_alter(weir_client *client, weir_bytes group,
                                 const weir_group_options *change)
{
    uint64_t id = 0;
    weir_err err = words_check(client, group, change);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = group_begin(client, "alter", group, &id);
    weir_client_group_words(&writer, change);
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_group_delete(weir_client *client, weir_bytes group, bool force)
{
    uint64_t id = 0;
    weir_err err = words_check(client, group, NULL);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = group_begin(client, "delete", group, &id);
    weir_v1_write_raw(&writer, force ? ",\"force\":true" : "");
    return weir_client_run(client, &writer, id);
}

/* ---- Lists in ---------------------------------------------------------------------------------
 */

/* Memory that is filled from its start; `at` beyond `size` means that it was too small. */
typedef struct piece {
    uint8_t *base; /* NULL: only measured */
    size_t at;
} piece;

static void *piece_take(piece *memory, size_t bytes)
{
    size_t at = memory->at;
    memory->at += (bytes + 7) & ~(size_t)7;
    return memory->base == NULL ? NULL : memory->base + at;
}

static weir_bytes piece_text(piece *memory, const weir_v1_node *node)
{
    weir_bytes text = WEIR_BYTES_NULL;
    if (!weir_v1_node_text(node, &text)) {
        return WEIR_BYTES_NULL;
    }
    uint8_t *copy = piece_take(memory, text.len + 1);
    if (copy != NULL) {
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = 0;
    }
    return (weir_bytes){copy, text.len};
}

static void fates_take(const weir_v1_node *node, uint64_t *fates)
{
    for (weir_fate fate = WEIR_FATE_PENDING; fate < WEIR_FATE_COUNT; fate++) {
        fates[fate] = (uint64_t)weir_client_integer(node, weir_fate_name(fate));
    }
}

static void partition_take(piece *memory, const weir_v1_node *node, weir_group_partition *partition)
{
    weir_bytes topic = piece_text(memory, weir_v1_node_member(node, "topic"));
    weir_bytes metadata = piece_text(memory, weir_v1_node_member(node, "metadata"));
    if (partition == NULL) {
        return;
    }
    *partition = (weir_group_partition){
        .topic = topic,
        .partition = (uint32_t)weir_client_integer(node, "partition"),
        .start = weir_client_integer(node, "start"),
        .committed = weir_client_integer(node, "committed"),
        .handed = weir_client_integer(node, "handed"),
        .end = weir_client_integer(node, "end"),
        .lag = (uint64_t)weir_client_integer(node, "lag"),
        .lag_ms = weir_client_integer(node, "lag_ms"),
        .leased = (uint64_t)weir_client_integer(node, "leased"),
        .delayed = (uint64_t)weir_client_integer(node, "delayed"),
        .bytes =
            weir_v1_node_member(node, "bytes") != NULL ? weir_client_integer(node, "bytes") : -1,
        .owner = -1,
        .metadata = metadata,
    };
    if (weir_v1_node_member(node, "owner") != NULL) {
        partition->owner = (int32_t)weir_client_integer(node, "owner");
    }
    weir_v1_node_boolean(weir_v1_node_member(node, "stands_still"), &partition->stands_still);
    fates_take(weir_v1_node_member(node, "fates"), partition->fates);
}

static void member_take(piece *memory, const weir_v1_node *node, weir_group_member *member)
{
    weir_bytes name = piece_text(memory, weir_v1_node_member(node, "member"));
    weir_bytes instance = piece_text(memory, weir_v1_node_member(node, "instance"));
    weir_bytes origin = piece_text(memory, weir_v1_node_member(node, "origin"));
    if (member != NULL) {
        *member = (weir_group_member){
            .name = name,
            .instance = instance,
            .origin = origin,
            .partitions = (uint32_t)weir_client_integer(node, "partitions"),
            .leased = (uint64_t)weir_client_integer(node, "leased"),
            .silent_ms = weir_client_integer(node, "silent_ms"),
        };
    }
}

static void settings_take(const weir_v1_node *node, weir_group_options *options)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const weir_v1_node *value = weir_v1_node_member(node, rows[i].name);
        int64_t number = 0;
        bool yes = false;
        weir_bytes text = WEIR_BYTES_NULL;
        if (weir_v1_node_boolean(value, &yes)) {
            number = yes ? 1 : 2;
        } else if (weir_v1_node_text(value, &text)) {
            (void)weir_group_setting_parse(&rows[i], text, &number);
        } else {
            weir_v1_node_integer(value, &number);
        }
        weir_group_setting_put(options, &rows[i], number);
    }
}

static void options_take(piece *memory, const weir_v1_node *node, weir_group_options *options)
{
    const weir_v1_node *topics = weir_v1_node_member(node, "topics");
    uint32_t count = (uint32_t)weir_v1_node_count(topics);
    weir_bytes text = WEIR_BYTES_NULL;
    weir_bytes *list = piece_take(memory, count * sizeof(*list));
    for (uint32_t i = 0; i < count; i++) {
        weir_bytes topic = piece_text(memory, weir_v1_node_at(topics, i));
        if (list != NULL) {
            list[i] = topic;
        }
    }
    *options = (weir_group_options){
        .topics = list,
        .topic_count = count,
        .filter = piece_text(memory, weir_v1_node_member(node, "filter")),
        .dead_letter = piece_text(memory, weir_v1_node_member(node, "dead_letter")),
    };
    weir_v1_node_text(weir_v1_node_member(node, "model"), &text);
    (void)weir_model_parse(text, &options->model);
    text = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(node, "mode"), &text);
    (void)weir_mode_parse(text, &options->mode);
    text = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(node, "start"), &text);
    (void)weir_group_place_parse(text, &options->start);
    text = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(node, "removed"), &text);
    (void)weir_group_place_parse(text, &options->removed);
    settings_take(node, options);
}

/* `info` is NULL while it is only measured. */
static void group_take(piece *memory, const weir_v1_node *node, weir_group_info *info)
{
    const weir_v1_node *partitions = weir_v1_node_member(node, "partitions");
    const weir_v1_node *members = weir_v1_node_member(node, "members");
    weir_group_info told = {
        .name = piece_text(memory, weir_v1_node_member(node, "group")),
        .generation = (uint64_t)weir_client_integer(node, "generation"),
        .partition_count = (uint32_t)weir_v1_node_count(partitions),
        .member_count = (uint32_t)weir_v1_node_count(members),
        .leased_times = (uint64_t)weir_client_integer(node, "leased_times"),
        .failed_times = (uint64_t)weir_client_integer(node, "failed_times"),
        .late_refused = (uint64_t)weir_client_integer(node, "late_refused"),
        .rebalances = (uint64_t)weir_client_integer(node, "rebalances"),
    };
    options_take(memory, node, &told.options);
    fates_take(weir_v1_node_member(node, "fates"), told.fates);
    told.partitions = piece_take(memory, told.partition_count * sizeof(*told.partitions));
    told.members = piece_take(memory, told.member_count * sizeof(*told.members));
    for (uint32_t i = 0; i < told.partition_count; i++) {
        partition_take(memory, weir_v1_node_at(partitions, i),
                       told.partitions == NULL ? NULL : &told.partitions[i]);
        told.stands_still += told.partitions != NULL && told.partitions[i].stands_still ? 1 : 0;
    }
    for (uint32_t i = 0; i < told.member_count; i++) {
        member_take(memory, weir_v1_node_at(members, i),
                    told.members == NULL ? NULL : &told.members[i]);
    }
    if (info != NULL) {
        *info = told;
    }
}

/* Measured first, then taken: nothing in between can fail. */
static weir_err groups_take(weir_client *client, const weir_v1_node *const *nodes, uint32_t count,
                            weir_client_groups *groups)
{
    piece memory = {NULL, 0};
    (void)piece_take(&memory, count * sizeof(weir_group_info));
    for (uint32_t i = 0; i < count; i++) {
        group_take(&memory, nodes[i], NULL);
    }
    weir_group_info *infos = calloc(1, memory.at + 1);
    if (infos == NULL) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    memory = (piece){(uint8_t *)infos, 0};
    (void)piece_take(&memory, count * sizeof(weir_group_info));
    for (uint32_t i = 0; i < count; i++) {
        group_take(&memory, nodes[i], &infos[i]);
    }
    *groups = (weir_client_groups){infos, count}; /* [G1] */
    return WEIR_OK;
}

/* Of an answer: `groups`, or the one `group`. */
static weir_err answer_take(weir_client *client, const weir_v1_node *root,
                            weir_client_groups *groups)
{
    const weir_v1_node *one = weir_v1_node_member(root, "group");
    const weir_v1_node *list = weir_v1_node_member(root, "groups");
    uint32_t count = (uint32_t)weir_v1_node_count(list);
    if (one != NULL) {
        return groups_take(client, &one, 1, groups);
    }
    const weir_v1_node **nodes = calloc(count + 1, sizeof(*nodes));
    if (nodes == NULL) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        nodes[i] = weir_v1_node_at(list, i);
    }
    weir_err err = groups_take(client, nodes, count, groups);
    free(nodes);
    return err;
}

weir_err weir_client_group_list(weir_client *client, weir_bytes group, weir_client_groups *groups)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = words_check(client, group, NULL);
    if (err == WEIR_OK && group.ptr != NULL && group.len == 0) { /* the gateway would tell all */
        err = weir_client_fail(client, WEIR_NOT_FOUND, "No group has an empty name.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = group_begin(client, "list", group, &id);
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &answer);
    err = err != WEIR_OK ? err : answer_take(client, answer.root, groups);
    weir_v1_document_fini(&answer);
    return err;
}

void weir_client_groups_free(weir_client_groups *groups)
{
    free(groups->groups);
    *groups = (weir_client_groups){0};
}

/* ---- reset ------------------------------------------------------------------------------------
 */

static void to_write(weir_v1_writer *writer, const weir_reset *reset)
{
    switch (reset->kind) {
    case WEIR_RESET_BEGINNING:
        weir_v1_write_raw(writer, ",\"to\":\"beginning\"");
        break;
    case WEIR_RESET_END:
        weir_v1_write_raw(writer, ",\"to\":\"end\"");
        break;
    case WEIR_RESET_OFFSET:
        weir_client_integer_member(writer, "to", reset->value);
        break;
    case WEIR_RESET_TIME:
        weir_v1_write_raw(writer, ",\"to\":{\"time\":");
        weir_v1_write_integer(writer, reset->value);
        weir_v1_write_raw(writer, "}");
        break;
    case WEIR_RESET_SHIFT:
        weir_v1_write_raw(writer, ",\"to\":{\"shift\":");
        weir_v1_write_integer(writer, reset->value);
        weir_v1_write_raw(writer, "}");
        break;
    }
}

weir_err weir_client_group_reset(weir_client *client, const weir_reset *reset,
                                 weir_client_groups *groups)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = words_check(client, reset->group, NULL);
    err = err != WEIR_OK ? err : words_check(client, reset->topic, NULL);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = group_begin(client, "reset", reset->group, &id);
    if (reset->topic.ptr != NULL) {
        weir_client_text_member(&writer, "topic", reset->topic);
    }
    if (reset->partition >= 0) {
        weir_client_integer_member(&writer, "partition", reset->partition);
    }
    to_write(&writer, reset);
    weir_v1_write_raw(&writer, reset->dry_run ? ",\"dry_run\":true" : "");
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK && groups != NULL) {
        err = answer_take(client, answer.root, groups);
    }
    weir_v1_document_fini(&answer);
    return err;
}

/* ---- why --------------------------------------------------------------------------------------
 */

static void line_take(piece *memory, const weir_v1_node *node, weir_fate_line *line)
{
    weir_bytes fate = WEIR_BYTES_NULL;
    const weir_v1_node *letter = weir_v1_node_member(node, "letter");
    weir_fate_line told = {
        .time_ms = weir_client_integer(node, "time"),
        .group = piece_text(memory, weir_v1_node_member(node, "group")),
        .event = piece_text(memory, weir_v1_node_member(node, "event")),
        .reason = piece_text(memory, weir_v1_node_member(node, "reason")),
        .member = piece_text(memory, weir_v1_node_member(node, "member")),
        .origin = piece_text(memory, weir_v1_node_member(node, "origin")),
        .leased = (uint32_t)weir_client_integer(node, "leased"),
        .failed = (uint32_t)weir_client_integer(node, "failed"),
    };
    if (letter != NULL) {
        told.letter_topic = piece_text(memory, weir_v1_node_member(letter, "topic"));
        told.letter_partition = (uint32_t)weir_client_integer(letter, "partition");
        told.letter_offset = weir_client_integer(letter, "offset");
    }
    weir_v1_node_text(weir_v1_node_member(node, "fate"), &fate);
    (void)weir_fate_parse(fate, &told.fate);
    if (line != NULL) {
        *line = told;
    }
}

static void standing_take(piece *memory, const weir_v1_node *node, weir_standing *standing)
{
    weir_bytes kind = WEIR_BYTES_NULL;
    weir_standing told = {
        .group = piece_text(memory, weir_v1_node_member(node, "group")),
        .until_ms = weir_client_integer(node, "until"),
        .before = (uint64_t)weir_client_integer(node, "before"),
        .member = piece_text(memory, weir_v1_node_member(node, "member")),
        .origin = piece_text(memory, weir_v1_node_member(node, "origin")),
        .leased = (uint32_t)weir_client_integer(node, "leased"),
        .failed = (uint32_t)weir_client_integer(node, "failed"),
    };
    weir_v1_node_text(weir_v1_node_member(node, "state"), &kind);
    (void)weir_standing_parse(kind, &told.kind);
    if (standing != NULL) {
        *standing = told;
    }
}

/* The record's key: text, or bytes in base64. */
static weir_bytes key_take(piece *memory, const weir_v1_node *record)
{
    const weir_v1_node *base64 = weir_v1_node_member(record, "key_base64");
    weir_bytes text = WEIR_BYTES_NULL;
    if (base64 == NULL) {
        return piece_text(memory, weir_v1_node_member(record, "key"));
    }
    weir_v1_node_text(base64, &text);
    uint8_t *bytes = piece_take(memory, text.len + 1);
    size_t len = text.len;
    if (bytes == NULL || weir_v1_base64_decode(text, bytes, &len) != WEIR_OK) {
        return WEIR_BYTES_NULL;
    }
    return (weir_bytes){bytes, len};
}

/* Measures with memory that is not there yet, then fills. */
static void story_fill(piece *memory, const weir_v1_node *root, weir_client_story *story)
{
    const weir_v1_node *lines = weir_v1_node_member(root, "lines");
    const weir_v1_node *groups = weir_v1_node_member(root, "groups");
    const weir_v1_node *record = weir_v1_node_member(root, "record");
    story->count = (uint32_t)weir_v1_node_count(lines);
    story->standing_count = (uint32_t)weir_v1_node_count(groups);
    story->lines = piece_take(memory, story->count * sizeof(*story->lines));
    story->standings = piece_take(memory, story->standing_count * sizeof(*story->standings));
    for (uint32_t i = 0; i < story->count; i++) {
        line_take(memory, weir_v1_node_at(lines, i),
                  story->lines == NULL ? NULL : &story->lines[i]);
    }
    for (uint32_t i = 0; i < story->standing_count; i++) {
        standing_take(memory, weir_v1_node_at(groups, i),
                      story->standings == NULL ? NULL : &story->standings[i]);
    }
    story->from_ms = weir_client_integer(root, "from");
    story->left_out = (uint64_t)weir_client_integer(root, "left_out");
    (void)weir_v1_node_boolean(weir_v1_node_member(root, "damaged"), &story->damaged);
    story->record.there = weir_v1_node_member(record, "stored") != NULL;
    story->record.stored_ms = weir_client_integer(record, "stored");
    story->record.value_bytes = (uint64_t)weir_client_integer(record, "bytes");
    story->record.headers = (uint32_t)weir_client_integer(record, "headers");
    story->record.key = key_take(memory, record);
}

static weir_err story_take(weir_client *client, const weir_v1_node *root, weir_client_story *story)
{
    weir_client_story told = {.count = 0};
    piece memory = {NULL, 0};
    story_fill(&memory, root, &told);
    uint8_t *block = calloc(1, memory.at + 1);
    if (block == NULL) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    memory = (piece){block, 0};
    told = (weir_client_story){.count = 0};
    story_fill(&memory, root, &told);
    told.lines = (weir_fate_line *)(void *)block; /* what free takes, lines or none */
    *story = told;                                /* [G1] */
    return WEIR_OK;
}

weir_err weir_client_why(weir_client *client, weir_bytes topic, uint32_t partition, int64_t offset,
                         weir_bytes group, weir_client_story *story)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = words_check(client, group, NULL);
    err = err != WEIR_OK ? err : words_check(client, topic, NULL);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = weir_client_begin(client, "why", &id);
    weir_client_text_member(&writer, "topic", topic);
    weir_client_number_member(&writer, "partition", partition);
    weir_client_integer_member(&writer, "offset", offset);
    if (group.ptr != NULL) {
        weir_client_text_member(&writer, "group", group);
    }
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &answer);
    err = err != WEIR_OK ? err : story_take(client, answer.root, story);
    weir_v1_document_fini(&answer);
    return err;
}

void weir_client_story_free(weir_client_story *story)
{
    free(story->lines);
    *story = (weir_client_story){0};
}
