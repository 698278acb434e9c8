/* adapters/proto/weir1/session_publish.c - publish: one record, or many with one answer.
 *
 *     {"cmd":"publish","name":"a/b","value":"x"}
 *     {"cmd":"publish","topic":"t","records":[{"key":"k","value":"x"}, ...]}
 *
 * Of many, each record stands for itself: a wrong one is refused in its result and the others go
 * on. topic, name, retain and confirm of the command hold for its records; a record's own topic or
 * name comes first. When the port has no room in the middle, the command is parked with its
 * results, and goes on from the first record that was not submitted.
 *
 * [P1] many->submitted records have a result or an operation in flight; the answer leaves when
 *      done == count. */
#include "adapters/proto/weir1/session_private.h"

#include <stdlib.h>
#include <string.h>

/* Where a record goes: exactly one of name and topic. */
static weir_err target_check(const weir_v1_fields *fields, weir_v1_reason *reason)
{
    if ((fields->name.ptr != NULL) == (fields->topic.ptr != NULL)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "name",
                              "Give name (a full name such as sensors/dev1), or topic with a key.");
    }
    if (fields->name.ptr != NULL && fields->key.ptr != NULL) {
        return weir_v1_refuse(reason, WEIR_INVALID, "key",
                              "Give key with topic only: a name spells its key itself.");
    }
    if ((fields->producer.ptr != NULL) != fields->has_publishing_id) {
        return weir_v1_refuse(reason, WEIR_INVALID,
                              fields->has_publishing_id ? "producer" : "publishing_id",
                              "Give producer (a name) and publishing_id (a number that rises) "
                              "together.");
    }
    if (fields->producer.ptr != NULL &&
        (fields->producer.len == 0 || fields->producer.len > WEIR_PRODUCER_NAME_BYTES_MAX)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "producer",
                              "Give producer as 1 to %d bytes of text.",
                              WEIR_PRODUCER_NAME_BYTES_MAX);
    }
    return WEIR_OK;
}

weir_err weir_v1_name_refuse(const weir_v1_session *session, weir_v1_reason *reason)
{
    const weir_limits *limits = session->config.limits;
    return weir_v1_refuse(
        reason, WEIR_NAME_INVALID, NULL,
        "This is no name to publish or to retain under: topic and key together "
        "have at most %llu bytes and %llu levels (name_bytes_max, levels_max), in "
        "UTF-8 without + # or control characters; of them a topic has at most "
        "249 bytes.",
        (unsigned long long)limits->name_bytes_max, (unsigned long long)limits->levels_max);
}

static weir_err submit(weir_v1_session *session, weir_v1_op *op)
{
    const weir_v1_session_config *config = &session->config;
    const weir_v1_fields *fields = &session->fields;
    weir_publish publish = {
        .name = fields->name,
        .topic = fields->topic,
        .key = fields->key,
        .value = fields->value,
        .headers = fields->headers,
        .header_count = fields->header_count,
        .attributes = fields->retain ? WEIR_RECORD_RETAIN : 0,
        .producer = fields->producer,
        .publishing_id = fields->publishing_id,
    };
    weir_err err =
        config->port_ops->publish(config->port, &publish, config->user, weir_v1_op_token(op));
    if (err == WEIR_OK) {
        session->submitted = true;
        session->counters.records_in++;
    }
    return err;
}

/* "level" (or nothing) answers with the level reached; "none" answers only an error. */
static weir_err confirm_decode(const weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, "confirm");
    weir_bytes text = WEIR_TEXT("level");
    if ((node != NULL && !weir_v1_node_text(node, &text)) ||
        (!weir_bytes_equal(text, WEIR_TEXT("level")) &&
         !weir_bytes_equal(text, WEIR_TEXT("none")))) {
        return weir_v1_refuse(reason, WEIR_INVALID, "confirm",
                              "Give confirm as \"level\" or \"none\".");
    }
    call->quiet = session->config.push && text.len == 4;
    return WEIR_OK;
}

static weir_err publish_one(weir_v1_session *session, const weir_v1_node *command,
                            weir_v1_call *call, weir_v1_reason *reason)
{
    weir_err err = weir_v1_fields_decode(command, session->config.limits->headers_max, true,
                                         &session->fields, reason);
    err = err != WEIR_OK ? err : target_check(&session->fields, reason);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_op *op = weir_v1_op_begin(session, WEIR_V1_OP_PUBLISH, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    err = submit(session, op);
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
    }
    return err == WEIR_NAME_INVALID ? weir_v1_name_refuse(session, reason) : err;
}

/* ---- Many -------------------------------------------------------------------------------------
 */

void weir_v1_many_destroy(weir_v1_many *many)
{
    for (uint32_t i = 0; i < many->count; i++) {
        free(many->results[i].reason);
    }
    free(many);
}

static void write_result(const weir_v1_session *session, weir_v1_writer *writer,
                         const weir_v1_result *result)
{
    weir_v1_write_raw(writer, "{");
    if (result->err == WEIR_OK) {
        weir_v1_write_published(writer, &result->published);
    } else {
        weir_v1_reason plain;
        weir_v1_reason_of(&plain, result->err);
        if (result->err == WEIR_NAME_INVALID) {
            (void)weir_v1_name_refuse(session, &plain);
        }
        weir_v1_write_raw(writer, "\"error\":");
        weir_v1_write_reason(writer, result->reason != NULL ? result->reason : &plain);
    }
    weir_v1_write_raw(writer, "}");
}

static uint32_t failed_count(const weir_v1_many *many)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < many->count; i++) {
        failed += many->results[i].err != WEIR_OK;
    }
    return failed;
}

static void many_answer(weir_v1_session *session, const weir_v1_many *many)
{
    uint32_t failed = failed_count(many);
    if (many->call.quiet && failed == 0) {
        return;
    }
    session->counters.refused += failed > 0;
    weir_v1_writer writer = weir_v1_reply_begin(session, &many->call);
    if (failed > 0) {
        writer.out->len -= strlen("true");
        weir_v1_write_raw(&writer, "false,\"failed\":");
        weir_v1_write_unsigned(&writer, failed);
    }
    weir_v1_write_raw(&writer, ",\"results\":[");
    for (uint32_t i = 0; i < many->count; i++) {
        weir_v1_write_raw(&writer, i > 0 ? "," : "");
        write_result(session, &writer, &many->results[i]);
    }
    weir_v1_write_raw(&writer, "]");
    weir_v1_reply_end(session, &writer, &many->call);
}

void weir_v1_many_done(weir_v1_session *session, weir_v1_many *many)
{
    if (many->done == many->count) {
        many_answer(session, many);
        weir_v1_many_destroy(many);
    }
}

static void result_refuse(weir_v1_many *many, weir_err err, const weir_v1_reason *reason)
{
    weir_v1_result *result = &many->results[many->submitted++];
    result->err = err;
    if (reason->text[0] != 0) {
        result->reason = malloc(sizeof(*reason));
        if (result->reason != NULL) {
            *result->reason = *reason;
        }
    }
    many->done++;
}

/* The record's own fields, and the command's where it has none. */
static weir_err record_decode(weir_v1_session *session, const weir_v1_node *command,
                              const weir_v1_node *record, weir_v1_reason *reason)
{
    weir_v1_fields *fields = &session->fields;
    weir_err err =
        weir_v1_fields_decode(record, session->config.limits->headers_max, true, fields, reason);
    if (err != WEIR_OK) {
        return err;
    }
    if (fields->name.ptr == NULL && fields->topic.ptr == NULL) {
        weir_v1_node_text(weir_v1_node_member(command, "name"), &fields->name);
        weir_v1_node_text(weir_v1_node_member(command, "topic"), &fields->topic);
    }
    if (fields->producer.ptr == NULL) {
        weir_v1_node_text(weir_v1_node_member(command, "producer"), &fields->producer);
    }
    if (weir_v1_node_member(record, "retain") == NULL) {
        weir_v1_node_boolean(weir_v1_node_member(command, "retain"), &fields->retain);
    }
    return target_check(fields, reason);
}

/* One record of many. AGAIN: no room for it now. */
static weir_err many_step(weir_v1_session *session, const weir_v1_node *command,
                          const weir_v1_node *records, weir_v1_many *many)
{
    weir_v1_reason reason = {0};
    if (session->in_flight >= session->config.limits->in_flight_max) {
        return WEIR_AGAIN;
    }
    const weir_v1_node *record = weir_v1_node_at(records, many->submitted);
    weir_err err = record_decode(session, command, record, &reason);
    if (err != WEIR_OK) {
        result_refuse(many, err, &reason);
        return WEIR_OK;
    }
    weir_v1_op *op = weir_v1_op_begin(session, WEIR_V1_OP_PUBLISH_MANY, &many->call);
    err = op == NULL ? WEIR_NO_MEMORY : submit(session, op);
    if (err == WEIR_OK) {
        op->many = many;
        op->index = many->submitted++;
        return WEIR_OK;
    }
    if (op != NULL) {
        weir_v1_op_end(session, op);
    }
    if (err != WEIR_AGAIN) {
        result_refuse(many, err, &reason);
        return WEIR_OK;
    }
    return WEIR_AGAIN;
}

static weir_err many_begin(weir_v1_session *session, const weir_v1_node *records,
                           const weir_v1_call *call, weir_v1_reason *reason)
{
    size_t count = weir_v1_node_count(records);
    if (weir_v1_node_kind_of(records) != WEIR_V1_ARRAY || count == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "records",
                              "Give records as a list of at least one object.");
    }
    if (count > WEIR_V1_RECORDS_MAX) {
        return weir_v1_refuse(reason, WEIR_LIMIT, "records",
                              "Send at most %d records in one publish; the rest in another.",
                              WEIR_V1_RECORDS_MAX);
    }
    weir_v1_many *many = calloc(1, sizeof(*many) + count * sizeof(many->results[0]));
    if (many == NULL) {
        return WEIR_NO_MEMORY;
    }
    many->call = *call;
    many->count = (uint32_t)count;
    session->parked_many = many;
    return WEIR_OK;
}

static weir_err publish_many(weir_v1_session *session, const weir_v1_node *command,
                             const weir_v1_node *records, const weir_v1_call *call,
                             weir_v1_reason *reason)
{
    if (session->parked_many == NULL) {
        weir_err err = many_begin(session, records, call, reason);
        if (err != WEIR_OK) {
            return err;
        }
    }
    weir_v1_many *many = session->parked_many;
    while (many->submitted < many->count) {
        if (many_step(session, command, records, many) == WEIR_AGAIN) {
            return WEIR_AGAIN;
        }
    }
    session->parked_many = NULL;
    weir_v1_many_done(session, many); /* [P1] every record may have been refused */
    return WEIR_OK;
}

weir_err weir_v1_command_publish(weir_v1_session *session, const weir_v1_node *command,
                                 weir_v1_call *call, weir_v1_reason *reason)
{
    weir_err err = confirm_decode(session, command, call, reason);
    if (err != WEIR_OK) {
        return err;
    }
    const weir_v1_node *records = weir_v1_node_member(command, "records");
    return records == NULL ? publish_one(session, command, call, reason)
                           : publish_many(session, command, records, call, reason);
}
