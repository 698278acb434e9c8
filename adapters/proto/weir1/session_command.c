/* adapters/proto/weir1/session_command.c - text commands: found by name, checked, run.
 *
 *     {"cmd":"fetch","id":1, ...} -> id -> cmd in the table -> allowed now? -> its function
 *
 * A command's function checks all members before it submits, and submits once: so AGAIN can be
 * answered by running it again, and a refusal changed nothing.
 *
 * [C1] A command is refused before hello, and every refusal is answered.
 * [C2] An integer that was rounded while reading reaches only commands whose numbers saturate. */
#include "adapters/proto/weir1/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Members ----------------------------------------------------------------------------------
 */

weir_err weir_v1_command_text(const weir_v1_node *command, const char *field, weir_bytes *out,
                              weir_v1_reason *reason)
{
    if (!weir_v1_node_text(weir_v1_node_member(command, field), out)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as a string.", field);
    }
    return WEIR_OK;
}

weir_err weir_v1_command_number(const weir_v1_node *command, const char *field, int64_t least,
                                int64_t most, int64_t fallback, int64_t *out,
                                weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, field);
    int64_t value = fallback;
    if (node != NULL && (!weir_v1_node_integer(node, &value) || value < least || value > most)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field,
                              "Give %s as a whole number from %lld to %lld.", field,
                              (long long)least, (long long)most);
    }
    *out = value;
    return WEIR_OK;
}

weir_err weir_v1_command_flag(const weir_v1_node *command, const char *field, bool *out,
                              weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, field);
    *out = false;
    if (node != NULL && !weir_v1_node_boolean(node, out)) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as true or false.", field);
    }
    return WEIR_OK;
}

weir_err weir_v1_command_allowed(const weir_v1_session *session, weir_v1_reason *reason)
{
    if (!session->greeted) { /* [C1] */
        return weir_v1_refuse(reason, WEIR_PROTOCOL, "cmd",
                              "Say hello first: {\"cmd\":\"hello\",\"version\":1}.");
    }
    if (session->draining) {
        return weir_v1_refuse(reason, WEIR_CLOSED, NULL,
                              "The gateway is closing: connect again later.");
    }
    return WEIR_OK;
}

/* ---- hello, ping, goodbye ---------------------------------------------------------------------
 */

static void write_limits(weir_v1_writer *writer, const weir_limits *limits, bool all)
{
    static const char *const told[] = {"record_bytes_max",  "packet_bytes_max",  "headers_max",
                                       "name_bytes_max",    "in_flight_max",     "fetches_max",
                                       "subscriptions_max", "fetch_wait_ms_max", "fetch_bytes_max"};
    const struct {
        const char *name;
        uint64_t value;
    } table[] = {
#define LIMIT_ROW(name, value, unit, least, most, metric, meaning, mqtt, weir1)                    \
    {#name, limits->name},
        WEIR_LIMITS_LIST(LIMIT_ROW)
#undef LIMIT_ROW
    };
    const char *between = "";
    weir_v1_write_raw(writer, ",\"limits\":{");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        bool wanted = all;
        for (size_t j = 0; !wanted && j < sizeof(told) / sizeof(told[0]); j++) {
            wanted = strcmp(told[j], table[i].name) == 0;
        }
        if (wanted) {
            weir_v1_write_raw(writer, between);
            weir_v1_write_string(writer, weir_bytes_of(table[i].name));
            weir_v1_write_raw(writer, ":");
            weir_v1_write_unsigned(writer, table[i].value);
            between = ",";
        }
    }
    weir_v1_write_raw(writer, "}");
}

static weir_err command_hello(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    int64_t version = 0;
    if (session->greeted) {
        return weir_v1_refuse(reason, WEIR_PROTOCOL, "cmd", "Say hello once in a session.");
    }
    if (!weir_v1_node_integer(weir_v1_node_member(command, "version"), &version)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "version",
                              "Give version as the newest you speak, a whole number.");
    }
    if (version < WEIR_V1_VERSION) {
        return weir_v1_refuse(reason, WEIR_VERSION, "version", "This gateway speaks version %d.",
                              WEIR_V1_VERSION);
    }
    session->greeted = true;
    weir_v1_writer writer = weir_v1_reply_begin(session, call);
    weir_v1_write_raw(&writer, ",\"version\":1,\"server\":\"weir ");
    weir_v1_write_raw(&writer, weir_version());
    weir_v1_write_raw(&writer, "\",\"session\":");
    weir_v1_write_string(&writer, weir_bytes_of(session->name));
    if (weir_v1_node_member(command, "resume") != NULL) {
        weir_v1_write_raw(&writer, ",\"resumed\":false");
    }
    weir_v1_write_raw(&writer, session->config.push ? ",\"push\":true" : ",\"push\":false");
    write_limits(&writer, session->config.limits, false);
    weir_v1_write_raw(&writer, ",\"durability\":[\"memory\",\"os\",\"disk\"]");
    weir_v1_reply_end(session, &writer, call);
    return WEIR_OK;
}

static weir_err command_ping(weir_v1_session *session, const weir_v1_node *command,
                             weir_v1_call *call, weir_v1_reason *reason)
{
    (void)command;
    (void)reason;
    weir_v1_reply_ok(session, call);
    return WEIR_OK;
}

static weir_err command_goodbye(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason)
{
    (void)command;
    (void)reason;
    session->goodbye = *call;
    session->leaving = true;
    for (weir_v1_op *op = session->ops; op != NULL; op = op->next) {
        op->cancel_wanted = op->kind == WEIR_V1_OP_FETCH || op->kind == WEIR_V1_OP_FETCH_FRAME;
    }
    weir_v1_fetches_cancel(session);
    weir_v1_subscriptions_close(session);
    weir_v1_members_close(session, true);
    weir_v1_goodbye_check(session);
    return WEIR_OK;
}

/* ---- fetch ------------------------------------------------------------------------------------
 */

/* What is still to be given to a peer that does not read must be bounded, so fetches that wait
 * together share one fetch_bytes_max. */
uint32_t weir_v1_fetch_budget(const weir_v1_session *session, uint64_t bytes_max)
{
    uint64_t most = session->config.limits->fetch_bytes_max;
    uint64_t left = most > session->fetch_bytes ? most - session->fetch_bytes : 0;
    left = left > WEIR_V1_FETCH_BYTES_LEAST ? left : WEIR_V1_FETCH_BYTES_LEAST;
    left = left < most ? left : most;
    return (uint32_t)(bytes_max < left ? bytes_max : left);
}

weir_err weir_v1_fetch_submit(weir_v1_session *session, weir_v1_op_kind kind, weir_fetch *fetch,
                              uint64_t bytes_max, const weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    if (session->fetches >= config->limits->fetches_max) {
        session->counters.refused_fetches++;
        return weir_v1_refuse(reason, WEIR_LIMIT, NULL,
                              "Wait for an earlier fetch to be answered: %llu may wait at once "
                              "(limit fetches_max).",
                              (unsigned long long)config->limits->fetches_max);
    }
    fetch->bytes_max = weir_v1_fetch_budget(session, bytes_max);
    weir_v1_op *op = weir_v1_op_begin(session, kind, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->offset = fetch->offset;
    op->partition = fetch->partition;
    op->own_topic = fetch->topic.len >= 2 && memcmp(fetch->topic.ptr, "__", 2) == 0;
    op->bytes_max = fetch->bytes_max;
    session->fetch_bytes += op->bytes_max;
    weir_err err = config->port_ops->fetch(config->port, fetch, config->user, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    session->counters.narrowed_fetch += op->bytes_max < bytes_max;
    session->submitted = true;
    return WEIR_OK;
}

/* Only a fetch that found records is held: it needs no more than where it reads. */
bool weir_v1_fetch_hold(weir_v1_session *session, weir_v1_op *op, const weir_fetched *fetched)
{
    bool full = session->paused && session->config.push;
    if (!full || session->ended || op->again || fetched->run_count == 0) {
        return false;
    }
    weir_bytes topic = weir_chunk_topic(fetched->runs[0].chunk);
    char *copy = malloc(topic.len + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, topic.ptr, topic.len);
    copy[topic.len] = 0;
    op->held_topic = copy;
    op->held_partition = weir_chunk_partition(fetched->runs[0].chunk);
    session->held++;
    return true;
}

void weir_v1_fetches_again(weir_v1_session *session)
{
    const weir_v1_session_config *config = &session->config;
    if (session->held == 0 || session->held_under_way || session->paused || session->closed) {
        return;
    }
    weir_v1_op *oldest = NULL;
    for (weir_v1_op *op = session->ops; op != NULL; op = op->next) {
        oldest = op->held_topic != NULL ? op : oldest;
    }
    weir_fetch fetch = {.topic = weir_bytes_of(oldest->held_topic),
                        .partition = oldest->held_partition,
                        .offset = oldest->offset,
                        .bytes_max = oldest->bytes_max};
    weir_err err =
        config->port_ops->fetch(config->port, &fetch, config->user, weir_v1_op_token(oldest));
    if (err == WEIR_AGAIN) {
        return;
    }
    if (err != WEIR_OK) {
        weir_v1_reply_err(session, &oldest->call, err);
        weir_v1_op_end(session, oldest);
        return;
    }
    free(oldest->held_topic);
    oldest->held_topic = NULL;
    oldest->again = true;
    session->held--;
    session->held_under_way = true;
    session->submitted = true;
}

/* Waits of `wait_ms` are allowed; beyond the limit they are refused and counted. */
weir_err weir_v1_fetch_wait_check(weir_v1_session *session, uint64_t wait_ms,
                                  weir_v1_reason *reason)
{
    uint64_t most = session->config.limits->fetch_wait_ms_max;
    if (wait_ms <= most) {
        return WEIR_OK;
    }
    session->counters.refused_wait++;
    return weir_v1_refuse(reason, WEIR_INVALID, "wait_ms",
                          "Wait at most %llu ms (limit fetch_wait_ms_max).",
                          (unsigned long long)most);
}

static weir_err command_fetch(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    weir_fetch fetch = {0};
    int64_t partition = 0;
    int64_t bytes_max = 0;
    int64_t wait_ms = 0;
    weir_err err = weir_v1_command_text(command, "topic", &fetch.topic, reason);
    err = err ? err
              : weir_v1_command_number(command, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err
              : weir_v1_command_number(command, "offset", 0, INT64_MAX, 0, &fetch.offset, reason);
    err = err ? err
              : weir_v1_command_number(command, "max_bytes", 1, INT64_MAX, WEIR_V1_FETCH_BYTES,
                                       &bytes_max, reason);
    err = err ? err : weir_v1_command_number(command, "wait_ms", 0, INT64_MAX, 0, &wait_ms, reason);
    err = err ? err : weir_v1_fetch_wait_check(session, (uint64_t)wait_ms, reason);
    err = err ? err : weir_v1_command_flag(command, "peek", &fetch.peek, reason);
    if (err != WEIR_OK) {
        return err;
    }
    fetch.partition = (uint32_t)partition;
    fetch.wait_ms = (uint32_t)wait_ms;
    return weir_v1_fetch_submit(session, WEIR_V1_OP_FETCH, &fetch, (uint64_t)bytes_max, call,
                                reason);
}

/* ---- topic ------------------------------------------------------------------------------------
 */

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

static weir_err command_topic(weir_v1_session *session, const weir_v1_node *command,
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

/* ---- query ------------------------------------------------------------------------------------
 */

/* One of a front end: {"metric{adapter=\"nng\"}": value}, as /metrics calls it. */
static void counter_write(void *arg, const char *adapter, const char *metric, uint64_t value)
{
    weir_v1_writer *writer = arg;
    char name[160];
    int len = snprintf(name, sizeof(name), "%.100s{adapter=\"%.40s\"}", metric, adapter);
    weir_v1_write_raw(writer, ",");
    weir_v1_write_string(writer, (weir_bytes){(const uint8_t *)name, (size_t)len});
    weir_v1_write_raw(writer, ":");
    weir_v1_write_unsigned(writer, value);
}

static void reply_stats(weir_v1_session *session, const weir_v1_call *call)
{
    weir_stats stats = {0};
    session->config.port_ops->stats(session->config.port, &stats);
    const struct {
        const char *metric;
        uint64_t value;
    } rows[] = {
#define STATS_ROW(field, metric, help) {metric, stats.field},
        WEIR_STATS_LIST(STATS_ROW)
#undef STATS_ROW
    };
    weir_v1_writer writer = weir_v1_reply_begin(session, call);
    weir_v1_write_raw(&writer, ",\"stats\":{");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weir_v1_write_raw(&writer, i > 0 ? "," : "");
        weir_v1_write_string(&writer, weir_bytes_of(rows[i].metric));
        weir_v1_write_raw(&writer, ":");
        weir_v1_write_unsigned(&writer, rows[i].value);
    }
    weir_host *host = session->config.host;
    if (host != NULL && host->ops->counters != NULL) {
        host->ops->counters(host, counter_write, &writer);
    }
    weir_v1_write_raw(&writer, "}");
    weir_v1_reply_end(session, &writer, call);
}

static void reply_health(weir_v1_session *session, const weir_v1_call *call)
{
    static const char *const names[] = {[WEIR_HEALTH_OK] = "ok",
                                        [WEIR_HEALTH_DISK_FULL] = "disk-full",
                                        [WEIR_HEALTH_STOPPED] = "stopped",
                                        [WEIR_HEALTH_FENCED] = "fenced"};
    weir_engine_health health = session->config.port_ops->health(session->config.port);
    weir_v1_writer writer = weir_v1_reply_begin(session, call);
    weir_v1_write_raw(&writer, ",\"health\":");
    weir_v1_write_string(&writer, weir_bytes_of(names[health]));
    weir_v1_reply_end(session, &writer, call);
}

static weir_err command_query(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    weir_bytes what = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(command, "what"), &what);
    if (weir_bytes_equal(what, WEIR_TEXT("stats"))) {
        reply_stats(session, call);
    } else if (weir_bytes_equal(what, WEIR_TEXT("health"))) {
        reply_health(session, call);
    } else if (weir_bytes_equal(what, WEIR_TEXT("limits"))) {
        weir_v1_writer writer = weir_v1_reply_begin(session, call);
        write_limits(&writer, session->config.limits, true);
        weir_v1_reply_end(session, &writer, call);
    } else if (weir_bytes_equal(what, WEIR_TEXT("topics"))) {
        const topic_request all = {0};
        return topic_run(session, ACTION_LIST, &all, call);
    } else {
        return weir_v1_refuse(reason, WEIR_INVALID, "what",
                              "Give what as stats, limits, topics or health.");
    }
    return WEIR_OK;
}

/* ---- Dispatch ---------------------------------------------------------------------------------
 */

/* Flags: what a command needs, and what it bears. */
enum {
    EARLY = 1,    /* allowed before hello */
    LATE = 2,     /* allowed while the gateway drains */
    PUSHES = 4,   /* needs a transport that pushes */
    SATURATES = 8 /* [C2] takes rounded integers */
};

static const struct command_row {
    const char *name;
    unsigned flags;
    weir_v1_command run; /* NULL: not offered yet */
} commands[] = {
    {"hello", EARLY, command_hello},
    {"publish", 0, weir_v1_command_publish},
    {"subscribe", PUSHES | SATURATES, weir_v1_command_subscribe},
    {"credit", LATE | PUSHES | SATURATES, weir_v1_command_credit},
    {"unsubscribe", LATE | PUSHES, weir_v1_command_unsubscribe},
    {"fetch", 0, command_fetch},
    {"topic", 0, command_topic},
    {"producer", 0, weir_v1_command_producer},
    {"query", LATE, command_query},
    {"ping", LATE, command_ping},
    {"goodbye", LATE, command_goodbye},
    {"group", 0, weir_v1_command_group},
    {"join", SATURATES, weir_v1_command_join},
    {"lease", 0, weir_v1_command_lease},
    {"settle", LATE, weir_v1_command_settle},
    {"commit", LATE, weir_v1_command_commit},
    {"beat", LATE, weir_v1_command_beat},
    {"revoked", LATE, weir_v1_command_revoked},
    {"leave", LATE, weir_v1_command_leave},
    {"why", LATE, weir_v1_command_why},
    {"begin", 0, NULL},
    {"abort", 0, NULL},
    {"request", 0, NULL},
};

static const struct command_row *row_find(weir_bytes name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (weir_bytes_equal(name, weir_bytes_of(commands[i].name))) {
            return &commands[i];
        }
    }
    return NULL;
}

static weir_err row_check(const weir_v1_session *session, const struct command_row *row,
                          bool rounded, weir_v1_reason *reason)
{
    if ((row->flags & EARLY) == 0) {
        weir_err err = weir_v1_command_allowed(session, reason);
        if (err != WEIR_OK && !(err == WEIR_CLOSED && (row->flags & LATE) != 0)) {
            return err;
        }
    }
    if (row->run == NULL) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "cmd",
                              "This gateway does not offer %s: publish and settle without "
                              "transactions, and answer requests by publishing.",
                              row->name);
    }
    if ((row->flags & PUSHES) != 0 && !session->config.push) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "cmd",
                              "This transport pushes nothing, so it has no %s: ask with fetch, or "
                              "lease, and wait_ms.",
                              row->name);
    }
    if (rounded && (row->flags & SATURATES) == 0) {
        return weir_v1_refuse(reason, WEIR_MALFORMED, NULL,
                              "Send integers within 64 bits with a sign; larger ones go as a "
                              "string.");
    }
    return WEIR_OK;
}

/* INVALID when there is an id that cannot be echoed. */
static weir_err id_decode(const weir_v1_node *command, weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_node *id = weir_v1_node_member(command, "id");
    weir_bytes text = WEIR_BYTES_NULL;
    if (id == NULL) {
        return WEIR_OK;
    }
    if (weir_v1_node_kind_of(id) != WEIR_V1_INTEGER &&
        (!weir_v1_node_text(id, &text) || text.len > WEIR_V1_ID_TEXT_MAX)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "id",
                              "Give id as an integer or a string of at most %d bytes.",
                              WEIR_V1_ID_TEXT_MAX);
    }
    weir_buffer json = {0};
    weir_v1_writer writer = {&json, false};
    weir_v1_write_node(&writer, id);
    if (!writer.failed) {
        memcpy(call->id, json.ptr, json.len); /* at most 6 bytes for each of 64, and the quotes */
        call->id_len = (uint16_t)json.len;
    }
    weir_buffer_fini(&json);
    return writer.failed ? WEIR_NO_MEMORY : WEIR_OK;
}

static weir_err command_find(const weir_v1_session *session, const weir_v1_document *document,
                             const struct command_row **row, weir_v1_reason *reason)
{
    weir_bytes name = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(document->root, "cmd"), &name);
    const struct command_row *found = row_find(name);
    if (found == NULL && session->greeted) {
        weir_v1_refuse(
            reason, WEIR_UNSUPPORTED, "cmd",
            "Send a known command as cmd: publish, subscribe, credit, unsubscribe, fetch, group, "
            "join, lease, settle, commit, topic, query, ping or goodbye.");
        reason->code = "unknown-command";
        return WEIR_UNSUPPORTED;
    }
    if (found == NULL) {
        return weir_v1_command_allowed(session, reason);
    }
    *row = found;
    if (session->parked) {
        return WEIR_OK; /* it was allowed when it was taken, and may be half done */
    }
    return row_check(session, found, document->rounded, reason);
}

weir_err weir_v1_command_run(weir_v1_session *session, const weir_v1_document *document,
                             uint64_t request)
{
    weir_v1_call call = {.request = request};
    weir_v1_reason reason = {0};
    const struct command_row *row = NULL;
    weir_err err = id_decode(document->root, &call, &reason);
    err = err != WEIR_OK ? err : command_find(session, document, &row, &reason);
    err = err != WEIR_OK ? err : row->run(session, document->root, &call, &reason);
    if (err == WEIR_AGAIN) {
        return WEIR_AGAIN;
    }
    if (err != WEIR_OK && reason.text[0] != 0) {
        weir_v1_reply_error(session, &call, &reason);
    } else if (err != WEIR_OK) {
        weir_v1_reply_err(session, &call, err);
    }
    return WEIR_OK;
}
