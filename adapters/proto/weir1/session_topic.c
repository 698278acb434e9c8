/* adapters/proto/weir1/session_topic.c - topic: makes, changes, lists, trims and deletes topics, and tells
 * their offsets.
 *
 *     {"cmd":"topic","action":"create","topic":"readings", ...} -> action in the list -> its members
 *                                                               -> one call of the port -> the reply
 *
 * A member that is missing stays 0, for which the gateway has a default; one that makes no sense is
 * refused by its name before anything is submitted. */
#include "adapters/proto/weir1/session_private.h"

#include <string.h>

static weir_err durability(const weir_v1_node *command, weir_level *level, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, "durability");
    weir_bytes text;
    *level = WEIR_LEVEL_DEFAULT;
    if (node == NULL) {
        return WEIR_OK;
    }
    if (!weir_v1_node_text(node, &text) || weir_level_parse(text, level) != WEIR_OK ||
        *level == WEIR_LEVEL_DEFAULT) {
        return weir_v1_refuse(reason, WEIR_INVALID, "durability",
                              "Give durability as one of memory, os and disk.");
    }
    if (*level == WEIR_LEVEL_REPLICATED) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "durability",
                              "This gateway does not replicate: choose disk, os or memory.");
    }
    return WEIR_OK;
}

/* Members named as in WEIR_TOPIC_SETTINGS_LIST, and cleanup; what is missing stays 0. */
static weir_err settings_decode(const weir_v1_node *command, weir_topic_options *options,
                                weir_v1_reason *reason)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    const weir_v1_node *cleanup = weir_v1_node_member(command, "cleanup");
    weir_bytes text;
    if (cleanup != NULL && (!weir_v1_node_text(cleanup, &text) ||
                            weir_cleanup_parse(text, &options->cleanup) != WEIR_OK)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "cleanup",
                              "Give cleanup as one of delete, compact and compact,delete.");
    }
    for (size_t i = 0; i < count; i++) {
        const weir_v1_node *node = weir_v1_node_member(command, rows[i].name);
        int64_t value = 0;
        char word[16] = "";
        if (node != NULL && weir_topic_setting_word(&rows[i], rows[i].least) != NULL) {
            if (weir_v1_node_text(node, &text) && text.len < sizeof(word)) {
                memcpy(word, text.ptr, text.len);
            }
            if (weir_topic_setting_parse(&rows[i], word, &value) != WEIR_OK) {
                return weir_v1_refuse(reason, WEIR_INVALID, rows[i].name,
                                      "Give %s as expire or keep.", rows[i].name);
            }
        } else if (node != NULL && (!weir_v1_node_integer(node, &value) ||
                                    !weir_topic_setting_fits(&rows[i], value))) {
            return weir_v1_refuse(reason, WEIR_INVALID, rows[i].name,
                                  "Give %s as a whole number of %s from %lld to %lld%s.",
                                  rows[i].name, rows[i].unit, (long long)rows[i].least,
                                  (long long)rows[i].most,
                                  rows[i].endless ? ", or -1 for no limit" : "");
        }
        value = node != NULL ? weir_topic_setting_kept(&rows[i], value) : 0;
        weir_topic_setting_put(options, &rows[i], value);
    }
    return WEIR_OK;
}

static weir_err partitions_decode(const weir_v1_session *session, const weir_v1_node *command,
                                  int64_t missing, weir_topic_options *options,
                                  weir_v1_reason *reason)
{
    int64_t most = (int64_t)session->config.limits->partitions_max;
    int64_t partitions = 0;
    if (weir_v1_node_integer(weir_v1_node_member(command, "partitions"), &partitions) &&
        partitions > most) {
        return weir_v1_refuse(reason, WEIR_LIMIT, "partitions",
                              "Ask for at most %lld partitions (limit partitions_max).",
                              (long long)most);
    }
    weir_err err =
        weir_v1_command_number(command, "partitions", 1, most, missing, &partitions, reason);
    options->partitions = (uint32_t)partitions;
    return err;
}

static weir_err kind_decode(const weir_v1_node *command, weir_topic_kind *kind,
                            weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, "kind");
    weir_bytes text;
    if (node != NULL &&
        (!weir_v1_node_text(node, &text) || weir_topic_kind_parse(text, kind) != WEIR_OK)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "kind", "Give kind as log or queue.");
    }
    return WEIR_OK;
}

static weir_err topic_options(const weir_v1_session *session, const weir_v1_node *command,
                              weir_topic_options *options, weir_v1_reason *reason)
{
    int64_t levels = 0;
    weir_err err = partitions_decode(session, command, 1, options, reason);
    err =
        err ? err : weir_v1_command_number(command, "partition_levels", 0, 128, 0, &levels, reason);
    err = err ? err : weir_v1_command_flag(command, "nested", &options->nested, reason);
    err = err ? err : durability(command, &options->level, reason);
    err = err ? err : kind_decode(command, &options->kind, reason);
    err = err ? err : settings_decode(command, options, reason);
    options->partition_levels = (uint32_t)levels;
    return err;
}

static bool changes_nothing(const weir_topic_options *change)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    bool nothing = change->partitions == 0 && change->level == WEIR_LEVEL_DEFAULT &&
                   change->cleanup == WEIR_CLEANUP_DEFAULT;
    for (size_t i = 0; i < count; i++) {
        nothing = nothing && weir_topic_setting_get(change, &rows[i]) == 0;
    }
    return nothing;
}

/* Refused when it names nothing to change. */
static weir_err topic_change(const weir_v1_session *session, const weir_v1_node *command,
                             weir_topic_options *change, weir_v1_reason *reason)
{
    weir_err err = partitions_decode(session, command, 0, change, reason);
    err = err ? err : durability(command, &change->level, reason);
    err = err ? err : settings_decode(command, change, reason);
    if (err == WEIR_OK && changes_nothing(change)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "durability",
                              "Give what is to change: durability, partitions, cleanup, "
                              "retention_ms or another setting.");
    }
    return err;
}

/* offsets: the instant asked for; *by_time is false when none is. */
static weir_err offsets_time(const weir_v1_node *command, bool *by_time, int64_t *time_ms,
                             weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, "time");
    weir_bytes text;
    *by_time = node != NULL;
    if (node == NULL || weir_v1_node_integer(node, time_ms)) {
        return WEIR_OK;
    }
    if (weir_v1_node_text(node, &text) && weir_v1_time_parse(text, time_ms) == WEIR_OK) {
        return WEIR_OK;
    }
    return weir_v1_refuse(reason, WEIR_INVALID, "time",
                          "Give time as Unix milliseconds or as RFC 3339 text.");
}

typedef enum topic_action {
    ACTION_CREATE,
    ACTION_ALTER,
    ACTION_DELETE,
    ACTION_LIST,
    ACTION_OFFSETS,
    ACTION_TRIM,
    ACTION_COUNT
} topic_action;

typedef struct topic_request {
    weir_bytes name;
    weir_topic_options options;
    bool by_time;
    int64_t time_ms;
    int64_t partition; /* trim */
    int64_t before;
} topic_request;

/* The records of a partition below an offset, or all of them ("end"). */
static weir_err trim_decode(const weir_v1_node *command, topic_request *request,
                            weir_v1_reason *reason)
{
    const weir_v1_node *before = weir_v1_node_member(command, "before");
    weir_bytes text;
    weir_err err =
        weir_v1_command_number(command, "partition", 0, INT32_MAX, 0, &request->partition, reason);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_v1_node_text(before, &text) && weir_bytes_equal(text, WEIR_TEXT("end"))) {
        request->before = WEIR_UNLIMITED;
        return WEIR_OK;
    }
    if (!weir_v1_node_integer(before, &request->before) || request->before < 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "before",
                              "Give before as the first offset to keep, or as end.");
    }
    return WEIR_OK;
}

static weir_err topic_decode(const weir_v1_session *session, const weir_v1_node *command,
                             topic_action action, topic_request *request, weir_v1_reason *reason)
{
    weir_err err = WEIR_OK;
    if (action != ACTION_LIST || weir_v1_node_member(command, "topic") != NULL) {
        err = weir_v1_command_text(command, "topic", &request->name, reason);
    }
    if (err != WEIR_OK) {
        return err;
    }
    switch (action) {
    case ACTION_CREATE:
        return topic_options(session, command, &request->options, reason);
    case ACTION_ALTER:
        return topic_change(session, command, &request->options, reason);
    case ACTION_TRIM:
        return trim_decode(command, request, reason);
    case ACTION_OFFSETS:
        return offsets_time(command, &request->by_time, &request->time_ms, reason);
    default:
        return WEIR_OK;
    }
}

static weir_err topic_submit(weir_v1_session *session, topic_action action,
                             const topic_request *request, weir_v1_op *op)
{
    const weir_v1_session_config *config = &session->config;
    const weir_v1_port_ops *ops = config->port_ops;
    uint64_t token = weir_v1_op_token(op);
    switch (action) {
    case ACTION_CREATE:
        return ops->topic_create(config->port, request->name, &request->options, config->user,
                                 token);
    case ACTION_ALTER:
        return ops->topic_alter(config->port, request->name, &request->options, config->user,
                                token);
    case ACTION_TRIM:
        return ops->topic_trim(config->port, request->name, (uint32_t)request->partition,
                               request->before, config->user, token);
    case ACTION_DELETE:
        return ops->topic_delete(config->port, request->name, config->user, token);
    case ACTION_OFFSETS:
        return ops->offsets(config->port, request->name,
                            request->by_time ? WEIR_OFFSETS_TIME : WEIR_OFFSETS_BOUNDS,
                            request->time_ms, config->user, token);
    default:
        return ops->topics(config->port, request->name, config->user, token);
    }
}

static weir_err topic_run(weir_v1_session *session, topic_action action,
                          const topic_request *request, const weir_v1_call *call)
{
    static const weir_v1_op_kind kinds[ACTION_COUNT] = {WEIR_V1_OP_TOPIC,        WEIR_V1_OP_TOPIC,
                                                        WEIR_V1_OP_TOPIC_DELETE, WEIR_V1_OP_TOPICS,
                                                        WEIR_V1_OP_OFFSETS,      WEIR_V1_OP_TOPIC};
    weir_v1_op *op = weir_v1_op_begin(session, kinds[action], call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->offset = request->by_time;
    op->partition = (uint32_t)request->partition;
    weir_err err = topic_submit(session, action, request, op);
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    session->submitted = true;
    return WEIR_OK;
}

weir_err weir_v1_command_topic(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    static const char *const names[ACTION_COUNT] = {"create", "alter",   "delete",
                                                    "list",   "offsets", "trim"};
    weir_bytes text = WEIR_BYTES_NULL;
    topic_action action = ACTION_CREATE;
    topic_request request = {0};
    weir_v1_node_text(weir_v1_node_member(command, "action"), &text);
    while (action < ACTION_COUNT && !weir_bytes_equal(text, weir_bytes_of(names[action]))) {
        action++;
    }
    if (action == ACTION_COUNT) {
        return weir_v1_refuse(reason, WEIR_INVALID, "action",
                              "Give action as create, alter, delete, list, offsets or trim.");
    }
    weir_err err = topic_decode(session, command, action, &request, reason);
    return err != WEIR_OK ? err : topic_run(session, action, &request, call);
}

weir_err weir_v1_topics_list(weir_v1_session *session, const weir_v1_call *call)
{
    const topic_request all = {0};
    return topic_run(session, ACTION_LIST, &all, call);
}
