/* clients/c/members.c - members of groups: they join, take records, say what became of them, leave.
 *
 *     lease -> {"records":[r0,r1,..],"assigned":{..}} -> the newest lease, read record by record
 *                                        `-> an ASSIGNED event, as if it had been pushed
 *
 * [M1] A lease's records hold until the next lease: settle may be called between them, since it
 *      writes what it needs of them before anything is read.
 * [M2] An answer that is late-refused carries its counts beside the error; both are told. */
#include "clients/c/client_private.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weir_err text_check(weir_client *client, weir_bytes text)
{
    if (!weir_v1_is_text(text)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "Names, reasons and metadata are UTF-8 text without NUL; spell "
                                "them so.");
    }
    return WEIR_OK;
}

weir_err weir_client_line_check(weir_client *client, weir_bytes text)
{
    if (!weir_utf8_valid_name(text)) {
        return weir_client_fail(client, WEIR_INVALID,
                                "Members, instances and reasons are UTF-8 without control "
                                "characters, a reason is one line: spell them so.");
    }
    return WEIR_OK;
}

/* ---- Joining and leaving ----------------------------------------------------------------------
 */

static void optional_member(weir_v1_writer *writer, const char *name, weir_bytes text)
{
    if (text.ptr != NULL) {
        weir_client_text_member(writer, name, text);
    }
}

static void joined_take(const weir_v1_node *root, weir_client_joined *joined)
{
    weir_bytes model = WEIR_BYTES_NULL;
    *joined = (weir_client_joined){
        .member = (uint64_t)weir_client_integer(root, "member"),
        .generation = (uint64_t)weir_client_integer(root, "generation"),
        .lease_ms = weir_client_integer(root, "lease_ms"),
        .session_ms = weir_client_integer(root, "session_ms"),
    };
    weir_v1_node_text(weir_v1_node_member(root, "model"), &model);
    (void)weir_model_parse(model, &joined->model);
    joined->mode = weir_client_mode_of(root);
}

weir_err weir_client_group_join(weir_client *client, const weir_client_join *join,
                                weir_client_joined *joined)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = text_check(client, join->group);
    err = err != WEIR_OK ? err : weir_client_line_check(client, join->name);
    err = err != WEIR_OK ? err : weir_client_line_check(client, join->instance);
    if (err == WEIR_OK && join->options != NULL && !weir_client_group_words_fit(join->options)) {
        err = weir_client_fail(client, WEIR_NAME_INVALID,
                               "A topic's name is UTF-8 text without NUL; spell it so.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = weir_client_begin(client, "join", &id);
    weir_client_text_member(&writer, "group", join->group);
    optional_member(&writer, "member", join->name);
    optional_member(&writer, "instance", join->instance);
    if (join->options != NULL) {
        weir_client_group_words(&writer, join->options);
    }
    if (join->credit > 0) {
        weir_client_number_member(&writer, "credit", join->credit);
    }
    weir_v1_write_raw(&writer, join->auto_revoke ? ",\"auto_revoke\":true" : "");
    err = weir_client_ask(client, &writer, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK) {
        joined_take(answer.root, joined);
    }
    weir_v1_document_fini(&answer);
    return err;
}

weir_err weir_client_leave(weir_client *client, uint64_t member, bool orderly)
{
    uint64_t id = 0;
    weir_v1_writer writer = weir_client_begin(client, "leave", &id);
    weir_client_number_member(&writer, "member", member);
    weir_v1_write_raw(&writer, orderly ? "" : ",\"orderly\":false");
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_beat(weir_client *client, uint64_t member)
{
    uint64_t id = 0;
    weir_v1_writer writer = weir_client_begin(client, "beat", &id);
    weir_client_number_member(&writer, "member", member);
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_revoked(weir_client *client, uint64_t member, uint64_t generation)
{
    uint64_t id = 0;
    weir_v1_writer writer = weir_client_begin(client, "revoked", &id);
    weir_client_number_member(&writer, "member", member);
    weir_client_number_member(&writer, "generation", generation);
    return weir_client_run(client, &writer, id);
}

weir_err weir_client_member_credit(weir_client *client, uint64_t member, uint64_t records)
{
    uint64_t id = 0;
    weir_v1_writer writer = weir_client_begin(client, "credit", &id);
    weir_client_number_member(&writer, "member", member);
    weir_client_number_member(&writer, "records", records);
    return weir_client_run(client, &writer, id);
}

/* ---- What it owns -----------------------------------------------------------------------------
 */

static void owned_take(const weir_v1_node *list, weir_owned *owned, char **texts)
{
    for (size_t i = 0; i < weir_v1_node_count(list); i++) {
        const weir_v1_node *node = weir_v1_node_at(list, i);
        weir_bytes topic = WEIR_TEXT("");
        weir_v1_node_text(weir_v1_node_member(node, "topic"), &topic);
        memcpy(*texts, topic.ptr, topic.len);
        owned[i] = (weir_owned){.topic = {(const uint8_t *)*texts, topic.len},
                                .partition = (uint32_t)weir_client_integer(node, "partition")};
        *texts += topic.len;
    }
}

static size_t owned_bytes(const weir_v1_node *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < weir_v1_node_count(list); i++) {
        weir_bytes topic = WEIR_BYTES_NULL;
        weir_v1_node_text(weir_v1_node_member(weir_v1_node_at(list, i), "topic"), &topic);
        bytes += sizeof(weir_owned) + topic.len;
    }
    return bytes;
}

weir_err weir_client_assigned_of(weir_client *client, const weir_v1_node *root,
                                 weir_client_event *event)
{
    const weir_v1_node *owned = weir_v1_node_member(root, "partitions");
    const weir_v1_node *revoked = weir_v1_node_member(root, "revoked");
    size_t count = weir_v1_node_count(owned) + weir_v1_node_count(revoked);
    weir_owned *list = malloc(owned_bytes(owned) + owned_bytes(revoked) + 1);
    if (list == NULL) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    char *texts = (char *)(list + count);
    owned_take(owned, list, &texts);
    owned_take(revoked, list + weir_v1_node_count(owned), &texts);
    free(client->owned);
    client->owned = list;
    event->kind = WEIR_CLIENT_ASSIGNED;
    event->member = (uint64_t)weir_client_integer(root, "member");
    event->assigned = (weir_client_assigned){
        .generation = (uint64_t)weir_client_integer(root, "generation"),
        .owned = list,
        .owned_count = (uint32_t)weir_v1_node_count(owned),
        .revoked = list + weir_v1_node_count(owned),
        .revoked_count = (uint32_t)weir_v1_node_count(revoked),
    };
    weir_v1_node_boolean(weir_v1_node_member(root, "fenced"), &event->assigned.fenced);
    return WEIR_OK;
}

/* An assignment that came with a lease becomes an event: a message like those that are pushed. */
static weir_err assigned_queue(weir_client *client, const weir_v1_node *assigned)
{
    weir_buffer text = {0};
    weir_v1_document document = {0};
    char why[WEIR_V1_WHY_MAX];
    if (assigned == NULL) {
        return WEIR_OK;
    }
    weir_v1_writer writer = {&text, false};
    weir_v1_write_raw(&writer, "{\"type\":\"assigned\"");
    void *position = NULL;
    weir_bytes name;
    weir_v1_node *value = NULL;
    while (weir_v1_node_next(assigned, &position, &name, &value)) {
        weir_v1_write_raw(&writer, ",");
        weir_v1_write_string(&writer, name);
        weir_v1_write_raw(&writer, ":");
        weir_v1_write_node(&writer, value);
    }
    weir_v1_write_raw(&writer, "}");
    weir_err err = writer.failed ? WEIR_NO_MEMORY
                                 : weir_v1_document_parse(weir_buffer_bytes(&text), &document, why);
    weir_buffer_fini(&text);
    return err != WEIR_OK ? weir_client_fail(client, err, NULL)
                          : weir_client_push_back(client, &document);
}

/* ---- lease ------------------------------------------------------------------------------------
 */

weir_err weir_client_lease(weir_client *client, uint64_t member, const weir_take *take,
                           weir_client_leased *leased)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_v1_writer writer = weir_client_begin(client, "lease", &id);
    weir_client_number_member(&writer, "member", member);
    weir_client_number_member(&writer, "max", take->records_max > 0 ? take->records_max : 1);
    if (take->bytes_max > 0) {
        weir_client_number_member(&writer, "max_bytes", take->bytes_max);
    }
    weir_client_number_member(&writer, "wait_ms", take->wait_ms);
    weir_err err =
        weir_client_ask(client, &writer, id, weir_client_deadline(client) + take->wait_ms, &answer);
    err =
        err != WEIR_OK ? err : assigned_queue(client, weir_v1_node_member(answer.root, "assigned"));
    if (err != WEIR_OK) {
        weir_v1_document_fini(&answer);
        return err;
    }
    weir_v1_document_fini(&client->leased);
    client->leased = answer;
    client->leased_member = member;
    client->leased_mode = weir_client_mode_of(answer.root);
    *leased = (weir_client_leased){
        .record_count = (uint32_t)weir_v1_node_count(weir_v1_node_member(answer.root, "records")),
        .mode = client->leased_mode,
        .generation = (uint64_t)weir_client_integer(answer.root, "generation"),
        .lease_ms = weir_client_integer(answer.root, "lease_ms"),
    };
    return WEIR_OK;
}

weir_err weir_client_lease_record(weir_client *client, uint32_t index, weir_client_record *record)
{
    const weir_v1_node *records = weir_v1_node_member(client->leased.root, "records");
    if (index >= weir_v1_node_count(records)) {
        return weir_client_fail(client, WEIR_INVALID, "The newest lease gave fewer records.");
    }
    weir_err err = weir_client_record_of(client, weir_v1_node_at(records, index),
                                         client->leased_member, record);
    record->mode = err == WEIR_OK ? client->leased_mode : record->mode;
    return err;
}

/* ---- settle and commit ------------------------------------------------------------------------
 */

static void range_write(weir_v1_writer *writer, const weir_settle *settle,
                        const weir_settle_range *range, bool first)
{
    weir_v1_write_raw(writer, first ? "{\"topic\":" : ",{\"topic\":");
    weir_v1_write_string(writer, range->topic);
    weir_client_number_member(writer, "partition", range->partition);
    if (range->first == range->last) {
        weir_client_integer_member(writer, "offset", range->first);
    } else {
        weir_client_integer_member(writer, "first", range->first);
        weir_client_integer_member(writer, "last", range->last);
    }
    if (range->lease != 0) {
        weir_v1_write_raw(writer, ",\"lease\":\"");
        weir_v1_write_unsigned(writer, settle->epoch);
        weir_v1_write_raw(writer, "-");
        weir_v1_write_unsigned(writer, range->lease);
        weir_v1_write_raw(writer, "\"");
    }
    weir_v1_write_raw(writer, "}");
}

static void settle_write(weir_v1_writer *writer, uint64_t member, const weir_settle *settle)
{
    static const char *const verbs[] = {[WEIR_VERB_ACCEPT] = "accept",
                                        [WEIR_VERB_RELEASE] = "release",
                                        [WEIR_VERB_REJECT] = "reject",
                                        [WEIR_VERB_RENEW] = "renew"};
    weir_client_number_member(writer, "member", member);
    weir_client_text_member(writer, "verb", weir_bytes_of(verbs[settle->verb]));
    if (settle->delay_ms > 0) {
        weir_client_integer_member(writer, "delay_ms", settle->delay_ms);
    }
    weir_v1_write_raw(writer, settle->failed ? ",\"failed\":true" : "");
    optional_member(writer, "reason", settle->reason);
    optional_member(writer, "metadata", settle->metadata);
    weir_v1_write_raw(writer, settle->no_confirm ? ",\"confirm\":false" : "");
    weir_v1_write_raw(writer, ",\"records\":[");
    for (uint32_t i = 0; i < settle->range_count; i++) {
        range_write(writer, settle, &settle->ranges[i], i == 0);
    }
    weir_v1_write_raw(writer, "]");
}

/* As weir_client_wait, but the counts that come with an error are told, too: [M2]. */
static weir_err settled_wait(weir_client *client, uint64_t id, weir_settled *settled)
{
    weir_v1_document answer = {0};
    weir_err err = weir_client_wait_any(client, id, weir_client_deadline(client), &answer);
    weir_bytes level = WEIR_BYTES_NULL;
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_client_error_of(client, answer.root);
    if (settled != NULL) {
        *settled = (weir_settled){
            .records = (uint64_t)weir_client_integer(answer.root, "settled"),
            .refused = (uint64_t)weir_client_integer(answer.root, "refused"),
            .lease_ms = weir_client_integer(answer.root, "lease_ms"),
        };
        weir_v1_node_text(weir_v1_node_member(answer.root, "level"), &level);
        (void)weir_level_parse(level, &settled->level);
    }
    weir_v1_document_fini(&answer);
    return err;
}

weir_err weir_client_settle(weir_client *client, uint64_t member, const weir_settle *settle,
                            weir_settled *settled)
{
    uint64_t id = 0;
    weir_err err = weir_client_line_check(client, settle->reason);
    err = err != WEIR_OK ? err : text_check(client, settle->metadata);
    if (err == WEIR_OK && (settle->verb < WEIR_VERB_ACCEPT || settle->verb > WEIR_VERB_RENEW)) {
        err =
            weir_client_fail(client, WEIR_INVALID, "Settle with accept, release, reject or renew.");
    }
    for (uint32_t i = 0; err == WEIR_OK && i < settle->range_count; i++) {
        err = text_check(client, settle->ranges[i].topic);
    }
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = weir_client_begin(client, "settle", &id);
    settle_write(&writer, member, settle);
    err = weir_client_end(client, &writer);
    if (err != WEIR_OK || settle->no_confirm) {
        return err;
    }
    return settled_wait(client, id, settled);
}

weir_err weir_client_settle_record(weir_client *client, const weir_client_record *record,
                                   weir_verb verb, weir_settled *settled)
{
    const weir_settle_range range = {.topic = record->topic,
                                     .partition = record->partition,
                                     .first = record->offset,
                                     .last = record->offset,
                                     .lease = record->lease};
    const weir_settle settle = {
        .verb = verb, .ranges = &range, .range_count = 1, .epoch = record->epoch};
    return weir_client_settle(client, record->member, &settle, settled);
}

weir_err weir_client_commit(weir_client *client, uint64_t member, const weir_position *positions,
                            uint32_t position_count, weir_bytes metadata)
{
    uint64_t id = 0;
    weir_err err = text_check(client, metadata);
    for (uint32_t i = 0; err == WEIR_OK && i < position_count; i++) {
        err = text_check(client, positions[i].topic);
    }
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = weir_client_begin(client, "commit", &id);
    weir_client_number_member(&writer, "member", member);
    optional_member(&writer, "metadata", metadata);
    weir_v1_write_raw(&writer, ",\"offsets\":[");
    for (uint32_t i = 0; i < position_count; i++) {
        weir_v1_write_raw(&writer, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        weir_v1_write_string(&writer, positions[i].topic);
        weir_client_number_member(&writer, "partition", positions[i].partition);
        weir_client_integer_member(&writer, "offset", positions[i].offset);
        weir_v1_write_raw(&writer, "}");
    }
    weir_v1_write_raw(&writer, "]");
    return weir_client_run(client, &writer, id);
}
