/* adapters/proto/weir1/session_command.c - text commands: found by name, checked, run; and those of the session
 * itself: hello, ping, goodbye, query.
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
        return weir_v1_topics_list(session, call);
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
    {"fetch", 0, weir_v1_command_fetch},
    {"topic", 0, weir_v1_command_topic},
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
