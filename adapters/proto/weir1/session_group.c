/* adapters/proto/weir1/session_group.c - group: what groups are told, and what is told of them; why.
 *
 *     {"cmd":"group","action":"create","group":"g","model":"queue","topic":"t","lease_ms":10000}
 *         -> {"ok":true,"group":{"group":"g","model":"queue","mode":"at-least-once",
 *             "topics":["t"], settings.., "members":[..],"partitions":[..],"fates":{..},"lag":0}}
 *
 * Members named as in WEIR_GROUP_SETTINGS_LIST are settings; those that stand for yes and no are
 * true and false. What is missing is not asked for. Everything is decoded before the one operation
 * is submitted, so that AGAIN is answered by running the command again. */
#include "adapters/proto/weir1/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READS_MAX = 40 };

/* ---- Words in ---------------------------------------------------------------------------------
 */

static bool is_yes_or_no(const weir_group_setting *row)
{
    return row->least == 1 && row->most == 2;
}

static weir_err setting_decode(const weir_v1_node *node, const weir_group_setting *row,
                               int64_t *value, weir_v1_reason *reason)
{
    bool yes = false;
    weir_bytes text = WEIR_BYTES_NULL;
    if (weir_group_setting_word(row, row->least) != NULL) {
        if (!weir_v1_node_text(node, &text) ||
            weir_group_setting_parse(row, text, value) != WEIR_OK) {
            return weir_v1_refuse(reason, WEIR_INVALID, row->name,
                                  "Give %s as refuse, drop-oldest or dead-letter.", row->name);
        }
        return WEIR_OK;
    }
    if (is_yes_or_no(row)) {
        if (!weir_v1_node_boolean(node, &yes)) {
            return weir_v1_refuse(reason, WEIR_INVALID, row->name, "Give %s as true or false.",
                                  row->name);
        }
        *value = yes ? 1 : 2;
        return WEIR_OK;
    }
    if (!weir_v1_node_integer(node, value) || !weir_group_setting_fits(row, *value) ||
        (*value == 0 && row->least > 0)) {
        return weir_v1_refuse(reason, WEIR_INVALID, row->name,
                              "Give %s as a whole number of %s from %lld to %lld%s.", row->name,
                              row->unit, (long long)row->least, (long long)row->most,
                              row->endless ? ", or -1 for no limit" : "");
    }
    *value = *value == 0 ? WEIR_GROUP_ZERO : *value; /* one that has it */
    return WEIR_OK;
}

static weir_err settings_decode(const weir_v1_node *command, weir_v1_group_words *words,
                                weir_v1_reason *reason)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const weir_v1_node *node = weir_v1_node_member(command, rows[i].name);
        int64_t value = 0;
        if (node == NULL) {
            continue;
        }
        weir_err err = setting_decode(node, &rows[i], &value, reason);
        if (err != WEIR_OK) {
            return err;
        }
        weir_group_setting_put(&words->options, &rows[i], value);
        words->any = true;
    }
    return WEIR_OK;
}

static weir_err topics_decode(const weir_v1_node *list, weir_v1_group_words *words,
                              weir_v1_reason *reason)
{
    size_t count = weir_v1_node_count(list);
    if (weir_v1_node_kind_of(list) != WEIR_V1_ARRAY || count == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "topics",
                              "Give topics as a list of declared topics.");
    }
    if (count > WEIR_GROUP_TOPICS_MAX) {
        return weir_v1_refuse(reason, WEIR_LIMIT, "topics",
                              "Give at most %d topics; more go by a filter.",
                              WEIR_GROUP_TOPICS_MAX);
    }
    words->topics = calloc(count, sizeof(*words->topics));
    if (words->topics == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        if (!weir_v1_node_text(weir_v1_node_at(list, i), &words->topics[i])) {
            return weir_v1_refuse(reason, WEIR_INVALID, "topics", "Give each topic as a string.");
        }
    }
    words->options.topics = words->topics;
    words->options.topic_count = (uint32_t)count;
    return WEIR_OK;
}

/* topics, topic or filter: one of them. */
static weir_err source_decode(const weir_v1_node *command, weir_v1_group_words *words,
                              weir_v1_reason *reason)
{
    const weir_v1_node *topics = weir_v1_node_member(command, "topics");
    const weir_v1_node *topic = weir_v1_node_member(command, "topic");
    const weir_v1_node *filter = weir_v1_node_member(command, "filter");
    if ((topics != NULL) + (topic != NULL) + (filter != NULL) > 1) {
        return weir_v1_refuse(reason, WEIR_INVALID, "topics",
                              "Give one of topics, topic and filter.");
    }
    words->any |= topics != NULL || topic != NULL || filter != NULL;
    if (topics != NULL) {
        return topics_decode(topics, words, reason);
    }
    if (filter != NULL) {
        return weir_v1_command_text(command, "filter", &words->options.filter, reason);
    }
    if (topic == NULL) {
        return WEIR_OK;
    }
    words->topics = calloc(1, sizeof(*words->topics));
    if (words->topics == NULL) {
        return WEIR_NO_MEMORY;
    }
    words->options.topics = words->topics;
    words->options.topic_count = 1;
    return weir_v1_command_text(command, "topic", &words->topics[0], reason);
}

static weir_err place_decode(const weir_v1_node *command, const char *field, bool removed,
                             weir_group_place *place, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, field);
    weir_bytes text = WEIR_BYTES_NULL;
    if (node == NULL) {
        return WEIR_OK;
    }
    weir_v1_node_text(node, &text);
    if (removed && weir_bytes_equal(text, WEIR_TEXT("earliest"))) {
        *place = WEIR_PLACE_BEGINNING;
    } else if (removed && weir_bytes_equal(text, WEIR_TEXT("latest"))) {
        *place = WEIR_PLACE_END;
    } else if (weir_group_place_parse(text, place) != WEIR_OK ||
               (!removed && *place == WEIR_PLACE_ERROR)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as one of beginning%s.", field,
                              removed ? ", end and error" : " and end");
    }
    return WEIR_OK;
}

static weir_err kinds_decode(const weir_v1_node *command, weir_group_options *options,
                             weir_v1_reason *reason)
{
    const weir_v1_node *model = weir_v1_node_member(command, "model");
    const weir_v1_node *mode = weir_v1_node_member(command, "mode");
    weir_bytes text;
    if (model != NULL &&
        (!weir_v1_node_text(model, &text) || weir_model_parse(text, &options->model) != WEIR_OK)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "model", "Give model as stream or queue.");
    }
    if (mode != NULL &&
        (!weir_v1_node_text(mode, &text) || weir_mode_parse(text, &options->mode) != WEIR_OK)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "mode",
                              "Give mode as at-most-once, at-least-once or client-commit.");
    }
    if (options->mode == WEIR_MODE_EXACTLY_ONCE) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "mode",
                              "This gateway has no transactions yet: choose at-least-once.");
    }
    return WEIR_OK;
}

weir_err weir_v1_group_words_decode(const weir_v1_node *command, weir_v1_group_words *words,
                                    weir_v1_reason *reason)
{
    static const char *const names[] = {"model", "mode", "start", "removed", "dead_letter"};
    weir_group_options *options = &words->options;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        words->any |= weir_v1_node_member(command, names[i]) != NULL;
    }
    weir_err err = kinds_decode(command, options, reason);
    err = err ? err : place_decode(command, "start", false, &options->start, reason);
    err = err ? err : place_decode(command, "removed", true, &options->removed, reason);
    if (err == WEIR_OK && weir_v1_node_member(command, "dead_letter") != NULL) {
        err = weir_v1_command_text(command, "dead_letter", &options->dead_letter, reason);
    }
    err = err ? err : source_decode(command, words, reason);
    return err ? err : settings_decode(command, words, reason);
}

void weir_v1_group_words_fini(weir_v1_group_words *words)
{
    free(words->topics);
    *words = (weir_v1_group_words){0};
}

static weir_err to_refuse(weir_v1_reason *reason)
{
    return weir_v1_refuse(reason, WEIR_INVALID, "to",
                          "Give to as \"beginning\", \"end\", an offset, {\"time\":..} or "
                          "{\"shift\":N}.");
}

static weir_err to_decode(const weir_v1_node *to, weir_reset *reset, weir_v1_reason *reason)
{
    const weir_v1_node *time = weir_v1_node_member(to, "time");
    weir_bytes text;
    if (weir_v1_node_text(to, &text)) {
        reset->kind =
            weir_bytes_equal(text, WEIR_TEXT("end")) ? WEIR_RESET_END : WEIR_RESET_BEGINNING;
        return reset->kind == WEIR_RESET_END || weir_bytes_equal(text, WEIR_TEXT("beginning"))
                   ? WEIR_OK
                   : to_refuse(reason);
    }
    if (weir_v1_node_integer(to, &reset->value)) {
        reset->kind = WEIR_RESET_OFFSET;
        return reset->value >= 0 ? WEIR_OK : to_refuse(reason);
    }
    if (weir_v1_node_integer(weir_v1_node_member(to, "shift"), &reset->value)) {
        reset->kind = WEIR_RESET_SHIFT;
        return WEIR_OK;
    }
    reset->kind = WEIR_RESET_TIME;
    if (weir_v1_node_integer(time, &reset->value) ||
        (weir_v1_node_text(time, &text) && weir_v1_time_parse(text, &reset->value) == WEIR_OK)) {
        return WEIR_OK;
    }
    return to_refuse(reason);
}

static weir_err reset_decode(const weir_v1_node *command, weir_reset *reset, weir_v1_reason *reason)
{
    weir_err err = to_decode(weir_v1_node_member(command, "to"), reset, reason);
    if (err == WEIR_OK && weir_v1_node_member(command, "topic") != NULL) {
        err = weir_v1_command_text(command, "topic", &reset->topic, reason);
    }
    err = err ? err
              : weir_v1_command_number(command, "partition", 0, UINT32_MAX, -1, &reset->partition,
                                       reason);
    err = err ? err : weir_v1_command_flag(command, "dry_run", &reset->dry_run, reason);
    if (err == WEIR_OK && reset->partition >= 0 && reset->topic.ptr == NULL) {
        return weir_v1_refuse(reason, WEIR_INVALID, "topic", "Give the topic of the partition.");
    }
    return err;
}

/* ---- The command ------------------------------------------------------------------------------
 */

typedef enum group_action {
    ACTION_CREATE,
    ACTION_ALTER,
    ACTION_DELETE,
    ACTION_LIST,
    ACTION_INFO,
    ACTION_RESET,
    ACTION_COUNT
} group_action;

typedef struct group_request {
    weir_bytes name;
    weir_v1_group_words words;
    bool force;
    weir_reset reset;
} group_request;

static weir_err request_decode(const weir_v1_node *command, group_action action,
                               group_request *request, weir_v1_reason *reason)
{
    weir_err err = WEIR_OK;
    if (action != ACTION_LIST || weir_v1_node_member(command, "group") != NULL) {
        err = weir_v1_command_text(command, "group", &request->name, reason);
    }
    if (err == WEIR_OK && action == ACTION_INFO && request->name.len == 0) {
        err = weir_v1_refuse(reason, WEIR_NAME_INVALID, "group", /* of none it would be of all */
                             "Give the group's name: list tells all that are there.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    switch (action) {
    case ACTION_CREATE:
    case ACTION_ALTER:
        err = weir_v1_group_words_decode(command, &request->words, reason);
        if (err == WEIR_OK && action == ACTION_ALTER && !request->words.any) {
            err = weir_v1_refuse(reason, WEIR_INVALID, "mode",
                                 "Give what is to change: mode, dead_letter, lease_ms or another "
                                 "setting.");
        }
        return err;
    case ACTION_DELETE:
        return weir_v1_command_flag(command, "force", &request->force, reason);
    case ACTION_RESET:
        request->reset.group = request->name;
        return reset_decode(command, &request->reset, reason);
    default:
        return WEIR_OK;
    }
}

static weir_err submit(weir_v1_session *session, group_action action, const group_request *request,
                       uint64_t token)
{
    const weir_v1_session_config *config = &session->config;
    const weir_v1_port_ops *ops = config->port_ops;
    switch (action) {
    case ACTION_CREATE:
        return ops->group_create(config->port, request->name, &request->words.options, config->user,
                                 token);
    case ACTION_ALTER:
        return ops->group_alter(config->port, request->name, &request->words.options, config->user,
                                token);
    case ACTION_DELETE:
        return ops->group_delete(config->port, request->name, request->force, config->user, token);
    case ACTION_RESET:
        return ops->group_reset(config->port, &request->reset, config->user, token);
    default:
        return ops->groups(config->port, request->name, config->user, token);
    }
}

/* The sentence that tells what to do about the error of an operation on a group. */
static weir_err refuse(weir_v1_reason *reason, weir_err err, bool reset,
                       const weir_v1_group_why *why)
{
    const char *text = weir_err_text(err);
    switch (err) {
    case WEIR_NOT_FOUND:
        text = why != NULL ? why->not_found
                           : "No such group is declared, or it does not read this topic and "
                             "partition: look with group list and group info.";
        break;
    case WEIR_NAME_INVALID:
        text = "Use 1 to 249 bytes of UTF-8 for a group, without + # / or control characters or a "
               "leading $; a filter is as in subscribe.";
        break;
    case WEIR_EXISTS:
        text = reset ? "The group has members: let them leave first, then reset it."
                     : "The group exists and is another, or has members: look with group info, "
                       "change it with group alter, or delete it with force.";
        break;
    case WEIR_INVALID:
        text = why != NULL ? why->invalid
               : reset     ? text
                       : "It is the group of a queue, and goes with it: delete the topic of this "
                         "name.";
        break;
    case WEIR_LIMIT:
        text = "Too many groups, or too many partitions that groups read (limits groups_max, "
               "group_parts_max): delete groups that are not needed.";
        break;
    case WEIR_OFFSET_OUT_OF_RANGE:
        text =
            "A partition has no such offset (topic offsets tells the bounds of each): nothing was "
            "moved. Reset to beginning or end, or name one partition by topic and partition.";
        break;
    default:
        break;
    }
    return weir_v1_refuse(reason, err, NULL, "%s", text);
}

static weir_err group_run(weir_v1_session *session, group_action action,
                          const group_request *request, const weir_v1_call *call,
                          weir_v1_reason *reason)
{
    static const weir_v1_op_kind kinds[ACTION_COUNT] = {WEIR_V1_OP_GROUP,        WEIR_V1_OP_GROUP,
                                                        WEIR_V1_OP_GROUP_DELETE, WEIR_V1_OP_GROUPS,
                                                        WEIR_V1_OP_GROUP,        WEIR_V1_OP_GROUP};
    weir_v1_op *op = weir_v1_op_begin(session, kinds[action], call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->offset = action == ACTION_RESET;
    op->why = action == ACTION_CREATE ? weir_v1_group_why_create(&request->words.options)
              : action == ACTION_ALTER
                  ? weir_v1_group_why_alter(request->name, &request->words.options)
                  : NULL;
    weir_err err = submit(session, action, request, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        (void)refuse(reason, err, action == ACTION_RESET, op->why);
        weir_v1_op_end(session, op);
        return err;
    }
    session->submitted = true;
    return WEIR_OK;
}

weir_err weir_v1_command_group(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    static const char *const names[ACTION_COUNT] = {"create", "alter", "delete",
                                                    "list",   "info",  "reset"};
    weir_bytes text = WEIR_BYTES_NULL;
    group_action action = ACTION_CREATE;
    group_request request = {.reset.partition = -1};
    weir_v1_node_text(weir_v1_node_member(command, "action"), &text);
    while (action < ACTION_COUNT && !weir_bytes_equal(text, weir_bytes_of(names[action]))) {
        action++;
    }
    if (action == ACTION_COUNT) {
        return weir_v1_refuse(reason, WEIR_INVALID, "action",
                              "Give action as create, alter, delete, list, info or reset.");
    }
    weir_err err = request_decode(command, action, &request, reason);
    err = err ? err : group_run(session, action, &request, call, reason);
    weir_v1_group_words_fini(&request.words);
    return err;
}

/* ---- What is told -----------------------------------------------------------------------------
 */

static void put_name(weir_v1_writer *writer, const char *name)
{
    weir_v1_write_raw(writer, ",\"");
    weir_v1_write_raw(writer, name);
    weir_v1_write_raw(writer, "\":");
}

static void put_integer(weir_v1_writer *writer, const char *name, int64_t value)
{
    put_name(writer, name);
    weir_v1_write_integer(writer, value);
}

static void put_amount(weir_v1_writer *writer, const char *name, uint64_t value)
{
    put_name(writer, name);
    weir_v1_write_unsigned(writer, value);
}

static void put_flag(weir_v1_writer *writer, const char *name, bool value)
{
    put_name(writer, name);
    weir_v1_write_raw(writer, value ? "true" : "false");
}

/* Nothing when it is null. */
static void put_text(weir_v1_writer *writer, const char *name, weir_bytes text)
{
    if (text.ptr != NULL && text.len > 0 && weir_v1_is_text(text)) {
        put_name(writer, name);
        weir_v1_write_string(writer, text);
    }
}

static void put_fates(weir_v1_writer *writer, const uint64_t *fates)
{
    put_name(writer, "fates");
    for (weir_fate fate = WEIR_FATE_PENDING; fate < WEIR_FATE_COUNT; fate++) {
        weir_v1_write_raw(writer, fate > 0 ? ",\"" : "{\"");
        weir_v1_write_raw(writer, weir_fate_name(fate));
        weir_v1_write_raw(writer, "\":");
        weir_v1_write_unsigned(writer, fates[fate]);
    }
    weir_v1_write_raw(writer, "}");
}

static void write_source(weir_v1_writer *writer, const weir_group_options *options)
{
    if (options->topic_count == 0) {
        put_text(writer, "filter", options->filter);
        return;
    }
    put_name(writer, "topics");
    for (uint32_t i = 0; i < options->topic_count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "[");
        weir_v1_write_string(writer, options->topics[i]);
    }
    weir_v1_write_raw(writer, "]");
}

static void write_settings(weir_v1_writer *writer, const weir_group_options *options)
{
    size_t count;
    const weir_group_setting *rows = weir_group_settings(&count);
    unsigned model = options->model == WEIR_MODEL_QUEUE ? 2 : 1;
    for (size_t i = 0; i < count; i++) {
        int64_t value = weir_group_setting_get(options, &rows[i]);
        if ((rows[i].models & model) == 0) {
            continue;
        }
        const char *word = weir_group_setting_word(&rows[i], value);
        put_name(writer, rows[i].name);
        if (word != NULL) {
            weir_v1_write_string(writer, weir_bytes_of(word));
        } else if (is_yes_or_no(&rows[i])) {
            weir_v1_write_raw(writer, value == 1 ? "true" : "false");
        } else {
            weir_v1_write_integer(writer, value);
        }
    }
}

static void write_partition(weir_v1_writer *writer, const weir_group_partition *partition,
                            weir_model model)
{
    weir_v1_write_raw(writer, "{\"topic\":");
    weir_v1_write_string(writer, partition->topic);
    put_amount(writer, "partition", partition->partition);
    put_integer(writer, "start", partition->start);
    put_integer(writer, "committed", partition->committed);
    put_integer(writer, "handed", partition->handed);
    put_integer(writer, "end", partition->end);
    put_amount(writer, "lag", partition->lag);
    put_integer(writer, "lag_ms", partition->lag_ms);
    if (model == WEIR_MODEL_QUEUE) {
        put_amount(writer, "leased", partition->leased);
        put_amount(writer, "delayed", partition->delayed);
        if (partition->bytes >= 0) {
            put_integer(writer, "bytes", partition->bytes);
        }
    } else {
        put_integer(writer, "owner", partition->owner);
        put_flag(writer, "stands_still", partition->stands_still);
    }
    put_text(writer, "metadata", partition->metadata);
    put_fates(writer, partition->fates);
    weir_v1_write_raw(writer, "}");
}

static void write_member(weir_v1_writer *writer, const weir_group_member *member)
{
    weir_v1_write_raw(writer, "{\"member\":");
    weir_v1_write_string(writer, member->name);
    put_text(writer, "instance", member->instance);
    put_text(writer, "origin", member->origin);
    put_amount(writer, "partitions", member->partitions);
    put_amount(writer, "leased", member->leased);
    put_integer(writer, "silent_ms", member->silent_ms);
    weir_v1_write_raw(writer, "}");
}

static void write_lists(weir_v1_writer *writer, const weir_group_info *info)
{
    uint64_t lag = 0;
    int64_t lag_ms = 0;
    weir_v1_write_raw(writer, ",\"members\":[");
    for (uint32_t i = 0; i < info->member_count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        write_member(writer, &info->members[i]);
    }
    weir_v1_write_raw(writer, "],\"partitions\":[");
    for (uint32_t i = 0; i < info->partition_count; i++) {
        const weir_group_partition *partition = &info->partitions[i];
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        write_partition(writer, partition, info->options.model);
        lag += partition->lag;
        lag_ms = partition->lag_ms > lag_ms ? partition->lag_ms : lag_ms;
    }
    weir_v1_write_raw(writer, "]");
    put_amount(writer, "lag", lag);
    put_integer(writer, "lag_ms", lag_ms);
}

static void write_group(weir_v1_writer *writer, const weir_group_info *info)
{
    const weir_group_options *options = &info->options;
    weir_v1_write_raw(writer, "{\"group\":");
    weir_v1_write_string(writer, info->name);
    put_text(writer, "model", weir_bytes_of(weir_model_name(options->model)));
    put_text(writer, "mode", weir_bytes_of(weir_mode_name(options->mode)));
    write_source(writer, options);
    put_text(writer, "start", weir_bytes_of(weir_group_place_name(options->start)));
    put_text(writer, "removed", weir_bytes_of(weir_group_place_name(options->removed)));
    put_text(writer, "dead_letter", options->dead_letter);
    write_settings(writer, options);
    put_amount(writer, "generation", info->generation);
    write_lists(writer, info);
    put_fates(writer, info->fates);
    put_amount(writer, "leased_times", info->leased_times);
    put_amount(writer, "failed_times", info->failed_times);
    put_amount(writer, "late_refused", info->late_refused);
    put_amount(writer, "rebalances", info->rebalances);
    if (options->model == WEIR_MODEL_STREAM) {
        put_flag(writer, "stands_still", info->stands_still > 0);
    }
    weir_v1_write_raw(writer, "}");
}

/* "orders, bills", or the filter; where that is long, how many there are. */
static void reads_put(char text[READS_MAX], const weir_group_options *options)
{
    const weir_bytes *names = options->topic_count > 0 ? options->topics : &options->filter;
    uint32_t count = options->topic_count > 0 ? options->topic_count : 1;
    size_t len = 0;
    for (uint32_t i = 0; i < count && len < READS_MAX; i++) {
        len += (size_t)snprintf(text + len, READS_MAX - len, "%s%.*s", i > 0 ? ", " : "",
                                (int)names[i].len, (const char *)names[i].ptr);
    }
    if (len >= READS_MAX) {
        snprintf(text, READS_MAX, "%u topics or filters", count);
    }
}

/* What is in force, when the completion tells. */
static void exists_refuse(weir_v1_reason *reason, const weir_groups *groups,
                          const weir_v1_group_why *why)
{
    char reads[READS_MAX];
    char differs[WEIR_V1_WHY_MAX] = "";
    if (groups->count > 0 && groups->groups != NULL) {
        const weir_group_options *options = &groups->groups[0].options;
        if (why != NULL) {
            weir_v1_group_why_exists(why, options, differs);
        }
        if (differs[0] != '\0') {
            weir_v1_refuse(reason, WEIR_EXISTS, "group", "%s", differs);
            return;
        }
        reads_put(reads, options);
        weir_v1_refuse(reason, WEIR_EXISTS, "group",
                       "It is a %s group, %s, of %s, or has other settings: see group info; "
                       "group alter changes mode and settings.",
                       weir_model_name(options->model), weir_mode_name(options->mode), reads);
    }
}

void weir_v1_groups_told(weir_v1_session *session, const weir_v1_op *op,
                         const weir_completion *completion)
{
    const weir_groups *groups = &completion->groups;
    if (completion->err != WEIR_OK) {
        weir_v1_reason reason;
        bool reset = op->offset != 0;
        (void)refuse(&reason, completion->err, reset, op->why);
        if (completion->err == WEIR_EXISTS && op->kind == WEIR_V1_OP_GROUP && !reset) {
            exists_refuse(&reason, groups, op->why);
        }
        weir_v1_reply_error(session, &op->call, &reason);
        return;
    }
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    if (op->kind == WEIR_V1_OP_GROUPS) {
        weir_v1_write_raw(&writer, ",\"groups\":[");
        for (uint32_t i = 0; i < groups->count; i++) {
            weir_v1_write_raw(&writer, i > 0 ? "," : "");
            write_group(&writer, &groups->groups[i]);
        }
        weir_v1_write_raw(&writer, "]");
    } else if (op->kind == WEIR_V1_OP_GROUP && groups->count > 0 && groups->groups != NULL) {
        weir_v1_write_raw(&writer, ",\"group\":");
        write_group(&writer, &groups->groups[0]);
        weir_v1_write_raw(&writer, groups->created ? ",\"created\":true" : "");
    }
    weir_v1_reply_end(session, &writer, &op->call);
}

/* ---- why --------------------------------------------------------------------------------------
 */

weir_err weir_v1_command_why(weir_v1_session *session, const weir_v1_node *command,
                             weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_bytes topic = WEIR_BYTES_NULL;
    weir_bytes group = WEIR_BYTES_NULL;
    int64_t partition = 0;
    int64_t offset = 0;
    weir_err err = weir_v1_command_text(command, "topic", &topic, reason);
    err = err ? err
              : weir_v1_command_number(command, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err : weir_v1_command_number(command, "offset", 0, INT64_MAX, -1, &offset, reason);
    if (err == WEIR_OK && weir_v1_node_member(command, "group") != NULL) {
        err = weir_v1_command_text(command, "group", &group, reason);
    }
    if (err == WEIR_OK && offset < 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "offset", "Give the offset of the record.");
    }
    weir_v1_op *op = err ? NULL : weir_v1_op_begin(session, WEIR_V1_OP_WHY, call);
    if (op == NULL) {
        return err ? err : WEIR_NO_MEMORY;
    }
    err = config->port_ops->why(config->port, topic, (uint32_t)partition, offset, group,
                                config->user, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    session->submitted = true;
    return WEIR_OK;
}

static void write_line(weir_v1_writer *writer, const weir_fate_line *line)
{
    weir_v1_write_raw(writer, "{\"time\":");
    weir_v1_write_integer(writer, line->time_ms);
    put_text(writer, "group", line->group);
    put_text(writer, "event", line->event);
    put_text(writer, "fate", weir_bytes_of(weir_fate_name(line->fate)));
    put_text(writer, "reason", line->reason);
    put_text(writer, "member", line->member);
    put_text(writer, "origin", line->origin);
    put_amount(writer, "leased", line->leased);
    put_amount(writer, "failed", line->failed);
    if (line->letter_topic.ptr != NULL) {
        weir_v1_write_raw(writer, ",\"letter\":{\"topic\":");
        weir_v1_write_string(writer, line->letter_topic);
        put_amount(writer, "partition", line->letter_partition);
        put_integer(writer, "offset", line->letter_offset);
        weir_v1_write_raw(writer, "}");
    }
    weir_v1_write_raw(writer, "}");
}

static void write_standing(weir_v1_writer *writer, const weir_standing *standing)
{
    weir_v1_write_raw(writer, "{\"state\":");
    weir_v1_write_string(writer, weir_bytes_of(weir_standing_name(standing->kind)));
    put_text(writer, "group", standing->group);
    put_text(writer, "member", standing->member);
    put_text(writer, "origin", standing->origin);
    if (standing->kind == WEIR_STANDING_LEASED || standing->kind == WEIR_STANDING_DELAYED) {
        put_integer(writer, "until", standing->until_ms);
    }
    if (standing->kind == WEIR_STANDING_WAITING) {
        put_amount(writer, "before", standing->before);
    }
    put_amount(writer, "leased", standing->leased);
    put_amount(writer, "failed", standing->failed);
    weir_v1_write_raw(writer, "}");
}

static void write_head(weir_v1_writer *writer, const weir_record_head *record)
{
    put_name(writer, "record");
    if (!record->there) {
        weir_v1_write_raw(writer, "null");
        return;
    }
    weir_v1_write_raw(writer, "{\"stored\":");
    weir_v1_write_integer(writer, record->stored_ms);
    weir_v1_write_key(writer, record->key);
    put_amount(writer, "bytes", record->value_bytes);
    put_amount(writer, "headers", record->headers);
    weir_v1_write_raw(writer, "}");
}

static void write_story(weir_v1_writer *writer, const weir_why *why)
{
    weir_v1_write_raw(writer, ",\"lines\":[");
    for (uint32_t i = 0; i < why->count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        write_line(writer, &why->lines[i]);
    }
    weir_v1_write_raw(writer, "],\"groups\":[");
    for (uint32_t i = 0; i < why->standing_count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        write_standing(writer, &why->standings[i]);
    }
    weir_v1_write_raw(writer, "]");
    write_head(writer, &why->record);
    put_integer(writer, "from", why->from_ms);
    put_amount(writer, "left_out", why->left_out);
    if (why->damaged) {
        weir_v1_write_raw(writer, ",\"damaged\":true");
    }
}

void weir_v1_why_told(weir_v1_session *session, const weir_v1_op *op,
                      const weir_completion *completion)
{
    if (completion->err != WEIR_OK) {
        weir_v1_reason reason;
        const char *text = weir_err_text(completion->err);
        if (completion->err == WEIR_NOT_FOUND) {
            text = "No such topic, partition or group is there, and no story of it is kept: look "
                   "with topic offsets and group list.";
        } else if (completion->err == WEIR_OFFSET_OUT_OF_RANGE) {
            text = "No record has this offset yet: look with topic offsets.";
        } else if (completion->err == WEIR_NOT_OFFERED) {
            text = "This gateway keeps no stories of these records.";
        }
        weir_v1_refuse(&reason, completion->err, NULL, "%s", text);
        weir_v1_reply_error(session, &op->call, &reason);
        return;
    }
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    write_story(&writer, &completion->why);
    weir_v1_reply_end(session, &writer, &op->call);
}
