/* clients/c/read.c - records in: subscriptions and what is pushed for them, and fetch.
 *
 *     pushed {"type":"records","records":[r0,r1,..]} -> event document -> one record per next
 *
 * A document lives until its last record was given and next is called again, so a record's spans
 * hold until the next call, and nothing is copied but base64.
 *
 * [E1] Events come in the order in which the gateway pushed them. */
#include "clients/c/client_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Subscribing -------------------------------------------------------------------------------
 */

static void write_positions(weir_v1_writer *writer, const weir_client_subscribe *subscribe)
{
    weir_v1_write_raw(writer, ",\"from\":[");
    for (uint32_t i = 0; i < subscribe->position_count; i++) {
        const weir_position *position = &subscribe->positions[i];
        weir_v1_write_raw(writer, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        weir_v1_write_string(writer, position->topic);
        weir_client_number_member(writer, "partition", position->partition);
        weir_client_number_member(writer, "offset", (uint64_t)position->offset);
        weir_v1_write_raw(writer, "}");
    }
    weir_v1_write_raw(writer, "]");
}

static void write_from(weir_v1_writer *writer, const weir_client_subscribe *subscribe)
{
    switch (subscribe->start) {
    case WEIR_START_END:
        break;
    case WEIR_START_BEGINNING:
        weir_v1_write_raw(writer, ",\"from\":\"beginning\"");
        break;
    case WEIR_START_OFFSET:
        weir_v1_write_raw(writer, ",\"from\":");
        weir_v1_write_integer(writer, subscribe->value);
        break;
    case WEIR_START_TIME:
        weir_v1_write_raw(writer, ",\"from\":{\"time\":");
        weir_v1_write_integer(writer, subscribe->value);
        weir_v1_write_raw(writer, "}");
        break;
    case WEIR_START_LAST:
        weir_v1_write_raw(writer, ",\"from\":\"last:");
        weir_v1_write_integer(writer, subscribe->value);
        weir_v1_write_raw(writer, "\"");
        break;
    case WEIR_START_POSITIONS:
        write_positions(writer, subscribe);
        break;
    }
}

static void write_subscribe(weir_v1_writer *writer, const weir_client_subscribe *subscribe)
{
    if (subscribe->filter.ptr != NULL) {
        weir_client_text_member(writer, "filter", subscribe->filter);
    }
    if (subscribe->topic.ptr != NULL) {
        weir_client_text_member(writer, "topic", subscribe->topic);
    }
    write_from(writer, subscribe);
    if (subscribe->credit > 0) {
        weir_client_number_member(writer, "credit", subscribe->credit);
    }
    weir_v1_write_raw(writer, subscribe->retained ? ",\"retained\":true" : "");
    weir_v1_write_raw(writer, subscribe->until_end ? ",\"until_end\":true" : "");
    weir_v1_write_raw(writer, subscribe->drop_when_slow ? ",\"slow\":\"drop\"" : "");
}

weir_err weir_client_subscribe_open(weir_client *client, const weir_client_subscribe *subscribe,
                                    uint64_t *subscription)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    if (!weir_v1_is_text(subscribe->filter) || !weir_v1_is_text(subscribe->topic)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "A filter is UTF-8 text without NUL; spell it so.");
    }
    weir_v1_writer writer = weir_client_begin(client, "subscribe", &id);
    write_subscribe(&writer, subscribe);
    weir_err err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK) {
        *subscription = (uint64_t)weir_client_integer(answer.root, "subscription");
        weir_v1_document_fini(&answer);
    }
    return err;
}

weir_err weir_client_credit(weir_client *client, uint64_t subscription, uint64_t records)
{
    client->out.len = 0;
    weir_v1_writer writer = {&client->out, false};
    weir_v1_write_raw(&writer, "{\"cmd\":\"credit\""); /* no id: no answer, unless it is refused */
    weir_client_number_member(&writer, "subscription", subscription);
    weir_client_number_member(&writer, "records", records);
    return weir_client_end(client, &writer);
}

weir_err weir_client_unsubscribe(weir_client *client, uint64_t subscription)
{
    uint64_t id = 0;
    weir_v1_writer writer = weir_client_begin(client, "unsubscribe", &id);
    weir_client_number_member(&writer, "subscription", subscription);
    return weir_client_run(client, &writer, id);
}

/* ---- Records -----------------------------------------------------------------------------------
 */

/* "EPOCH-NUMBER"; the record's are left 0 when it has none. */
static void lease_of(const weir_v1_node *node, weir_client_record *record)
{
    weir_bytes text = WEIR_BYTES_NULL;
    uint64_t parts[2] = {0, 0};
    int part = 0;
    weir_v1_node_text(weir_v1_node_member(node, "lease"), &text);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '-' && part == 0) {
            part = 1;
        } else if (text.ptr[i] >= '0' && text.ptr[i] <= '9') {
            parts[part] = parts[part] * 10 + (uint64_t)(text.ptr[i] - '0');
        }
    }
    record->epoch = parts[0];
    record->lease = parts[1];
    record->leased = (uint32_t)weir_client_integer(node, "leased");
    record->failed = (uint32_t)weir_client_integer(node, "failed");
}

weir_mode weir_client_mode_of(const weir_v1_node *root)
{
    weir_bytes text = WEIR_BYTES_NULL;
    weir_mode mode = WEIR_MODE_DEFAULT;
    weir_v1_node_text(weir_v1_node_member(root, "mode"), &text);
    (void)weir_mode_parse(text, &mode);
    return mode;
}

static weir_err record_decode(weir_client *client, const weir_v1_node *node,
                              weir_client_record *record)
{
    weir_v1_reason reason;
    weir_v1_fields *fields = &client->fields;
    if (weir_v1_fields_decode(node, UINT64_MAX, false, fields, &reason) != WEIR_OK) {
        client->broken = true;
        return weir_client_fail(client, WEIR_MALFORMED,
                                "The gateway sent a record that cannot be read; connect again.");
    }
    *record = (weir_client_record){
        .name = fields->name,
        .topic = fields->topic,
        .key = fields->key,
        .value = fields->value,
        .partition = (uint32_t)weir_client_integer(node, "partition"),
        .offset = weir_client_integer(node, "offset"),
        .time_ms = weir_client_integer(node, "time"),
        .headers = fields->headers,
        .header_count = fields->header_count,
    };
    weir_v1_node_boolean(weir_v1_node_member(node, "live"), &record->live);
    weir_v1_node_boolean(weir_v1_node_member(node, "retained"), &record->retained);
    return WEIR_OK;
}

weir_err weir_client_record_of(weir_client *client, const weir_v1_node *node, uint64_t member,
                               weir_client_record *record)
{
    weir_err err = record_decode(client, node, record);
    if (err == WEIR_OK) {
        record->member = member;
        lease_of(node, record);
    }
    return err;
}

/* ---- Events ------------------------------------------------------------------------------------
 */

/* Makes the oldest pushed message the one whose events are given. */
static void event_take(weir_client *client)
{
    weir_client_pushed *pushed = client->pushed;
    client->pushed = pushed->next;
    if (client->pushed == NULL) {
        client->pushed_tail = &client->pushed;
    }
    client->pushed_count--;
    client->event = pushed->document;
    client->event_index = 0;
    client->event_subscription = (uint64_t)weir_client_integer(client->event.root, "subscription");
    client->event_member = (uint64_t)weir_client_integer(client->event.root, "member");
    client->event_mode = weir_client_mode_of(client->event.root);
    free(pushed);
}

static void event_done(weir_client *client)
{
    weir_v1_document_fini(&client->event);
}

static bool notice_decode(weir_client *client, const weir_v1_node *root, weir_client_event *event,
                          weir_err *err)
{
    static const struct {
        const char *type;
        weir_client_event_kind kind;
    } kinds[] = {{"dropped", WEIR_CLIENT_DROPPED},
                 {"gap", WEIR_CLIENT_GAP},
                 {"ended", WEIR_CLIENT_ENDED},
                 {"drain", WEIR_CLIENT_DRAIN}};
    weir_bytes type = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(root, "type"), &type);
    if (weir_bytes_equal(type, WEIR_TEXT("assigned"))) {
        *err = weir_client_assigned_of(client, root, event);
        return true;
    }
    if (weir_bytes_equal(type, WEIR_TEXT("stopped"))) {
        event->kind = WEIR_CLIENT_STOPPED;
        *err = weir_client_error_of(client, root);
        return true;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (weir_bytes_equal(type, weir_bytes_of(kinds[i].type))) {
            event->kind = kinds[i].kind;
            event->count = (uint64_t)weir_client_integer(root, "count");
            event->from = weir_client_integer(root, "from");
            event->to = weir_client_integer(root, "to");
            return true;
        }
    }
    return false;
}

/* The next event of the current message. False: it has none left. */
static bool event_step(weir_client *client, weir_client_event *event, weir_err *err)
{
    const weir_v1_node *root = client->event.root;
    const weir_v1_node *records = weir_v1_node_member(root, "records");
    if (root == NULL) {
        return false;
    }
    event->subscription = client->event_subscription;
    event->member = client->event_member;
    if (client->event_index < weir_v1_node_count(records)) {
        event->kind = WEIR_CLIENT_RECORD;
        *err = weir_client_record_of(client, weir_v1_node_at(records, client->event_index++),
                                     client->event_member, &event->record);
        event->record.subscription = client->event_subscription;
        event->record.mode = client->event_mode;
        return true;
    }
    bool notice = records == NULL && notice_decode(client, root, event, err);
    event_done(client);
    return notice;
}

weir_err weir_client_next(weir_client *client, int timeout_ms, weir_client_event *event)
{
    int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : weir_client_now_ms() + timeout_ms;
    for (;;) {
        weir_err err = WEIR_OK;
        *event = (weir_client_event){0};
        if (event_step(client, event, &err)) {
            return err; /* [E1] */
        }
        if (client->pushed != NULL) {
            event_take(client);
            continue;
        }
        weir_v1_document got;
        weir_v1_frame frame;
        err = weir_client_receive(client, deadline_ms, &got, &frame);
        if (err == WEIR_OK && got.root != NULL) {
            err = weir_client_error_of(client, got.root); /* of a credit, or what ends all */
            weir_v1_document_fini(&got);
        }
        if (err != WEIR_OK) {
            return err;
        }
    }
}

/* ---- Fetch -------------------------------------------------------------------------------------
 */

weir_err weir_client_fetch(weir_client *client, const weir_fetch *fetch,
                           weir_client_fetched *fetched)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    if (!weir_v1_is_text(fetch->topic)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "A topic's name is UTF-8 text without NUL; spell it so.");
    }
    weir_v1_writer writer = weir_client_begin(client, "fetch", &id);
    weir_client_text_member(&writer, "topic", fetch->topic);
    weir_client_number_member(&writer, "partition", fetch->partition);
    weir_v1_write_raw(&writer, ",\"offset\":");
    weir_v1_write_integer(&writer, fetch->offset);
    if (fetch->bytes_max > 0) {
        weir_client_number_member(&writer, "max_bytes", fetch->bytes_max);
    }
    weir_client_number_member(&writer, "wait_ms", fetch->wait_ms);
    weir_v1_write_raw(&writer, fetch->peek ? ",\"peek\":true" : "");
    weir_err err = weir_client_end(client, &writer);
    int64_t deadline_ms = weir_client_deadline(client) + fetch->wait_ms;
    err = err != WEIR_OK ? err : weir_client_wait(client, id, deadline_ms, &answer);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_document_fini(&client->fetched);
    client->fetched = answer;
    *fetched = (weir_client_fetched){
        .start_offset = weir_client_integer(answer.root, "start"),
        .end_offset = weir_client_integer(answer.root, "end"),
        .next_offset = weir_client_integer(answer.root, "next"),
        .record_count = (uint32_t)weir_v1_node_count(weir_v1_node_member(answer.root, "records")),
    };
    return WEIR_OK;
}

weir_err weir_client_fetch_record(weir_client *client, uint32_t index, weir_client_record *record)
{
    const weir_v1_node *records = weir_v1_node_member(client->fetched.root, "records");
    if (index >= weir_v1_node_count(records)) {
        return weir_client_fail(client, WEIR_INVALID, "The newest fetch gave fewer records.");
    }
    return record_decode(client, weir_v1_node_at(records, index), record);
}
