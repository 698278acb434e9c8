/* clients/c/publish.c - records out: one and its answer, many in batches, batches in frames.
 *
 *     send: record -> [ gathered: {"cmd":"publish","id":N,"records":[{..},{..} ]  -> full or push
 *     push: ]} -> the socket; the batch waits for its answer among at most WEIR_CLIENT_WINDOW
 *
 * A batch's answer has one result for each of its records, in their order.
 *
 * [N1] A token is told once: with its result, or with CLOSED when the connection broke before. */
#include "clients/c/client_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSING_BYTES_MAX = 32 }; /* what is still to come behind a message's records */

/* ---- One record --------------------------------------------------------------------------------
 */

static void write_bytes(weir_v1_writer *writer, const char *text_member, const char *base64_member,
                        weir_bytes bytes)
{
    bool text = weir_v1_is_text(bytes);
    weir_v1_write_raw(writer, ",\"");
    weir_v1_write_raw(writer, text ? text_member : base64_member);
    weir_v1_write_raw(writer, "\":");
    if (text) {
        weir_v1_write_string(writer, bytes);
    } else {
        weir_v1_write_base64(writer, bytes);
    }
}

static void write_headers(weir_v1_writer *writer, const weir_publish *record)
{
    weir_v1_write_raw(writer, ",\"headers\":[");
    for (uint32_t i = 0; i < record->header_count; i++) {
        weir_v1_write_raw(writer, i > 0 ? "," : "");
        weir_v1_write_header(writer, &record->headers[i]);
    }
    weir_v1_write_raw(writer, "]");
}

/* The members of a record, each after a comma. */
static void write_record(weir_v1_writer *writer, const weir_publish *record)
{
    if (record->name.ptr != NULL) {
        weir_client_text_member(writer, "name", record->name);
    }
    if (record->topic.ptr != NULL) {
        weir_client_text_member(writer, "topic", record->topic);
    }
    if (record->key.ptr != NULL) {
        write_bytes(writer, "key", "key_base64", record->key);
    }
    if (record->value.ptr == NULL) {
        weir_v1_write_raw(writer, ",\"value\":null");
    } else {
        write_bytes(writer, "value", "base64", record->value);
    }
    if (record->header_count > 0) {
        write_headers(writer, record);
    }
    if ((record->attributes & WEIR_RECORD_RETAIN) != 0) {
        weir_v1_write_raw(writer, ",\"retain\":true");
    }
    if (record->producer.ptr != NULL) {
        weir_client_text_member(writer, "producer", record->producer);
        weir_client_number_member(writer, "publishing_id", record->publishing_id);
    }
}

/* Names must be text before they are put into JSON. */
static weir_err record_check(weir_client *client, const weir_publish *record)
{
    if (!weir_v1_is_text(record->name) || !weir_v1_is_text(record->topic) ||
        !weir_v1_is_text(record->producer)) {
        return weir_client_fail(client, WEIR_NAME_INVALID,
                                "A name is UTF-8 text without NUL; spell it so.");
    }
    for (uint32_t i = 0; i < record->header_count; i++) {
        if (!weir_v1_is_text(record->headers[i].name)) {
            return weir_client_fail(client, WEIR_INVALID,
                                    "A header's name is UTF-8 text without NUL; spell it so.");
        }
    }
    return WEIR_OK;
}

/* The longest message that the gateway takes. */
static size_t message_max(const weir_client *client)
{
    uint64_t most = client->limits.packet_bytes_max;
    return most == 0 || most > SIZE_MAX ? SIZE_MAX : (size_t)most;
}

void weir_client_published_of(const weir_v1_node *answer, weir_published *published)
{
    weir_bytes level = WEIR_BYTES_NULL;
    *published = (weir_published){0};
    weir_v1_node_text(weir_v1_node_member(answer, "level"), &level);
    (void)weir_level_parse(level, &published->level);
    weir_v1_node_boolean(weir_v1_node_member(answer, "live"), &published->live);
    weir_v1_node_boolean(weir_v1_node_member(answer, "duplicate"), &published->duplicate);
    published->partition = (uint32_t)weir_client_integer(answer, "partition");
    published->offset = published->duplicate ? -1 : weir_client_integer(answer, "offset");
    published->timestamp_ms = weir_client_integer(answer, "time");
}

weir_err weir_client_publish(weir_client *client, const weir_publish *record,
                             weir_published *published)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_err err = record_check(client, record);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_writer writer = weir_client_begin(client, "publish", &id);
    write_record(&writer, record);
    if (client->out.len + CLOSING_BYTES_MAX > message_max(client)) {
        return weir_client_publish_large(client, record, published);
    }
    if (record->no_confirm) {
        weir_v1_write_raw(&writer, ",\"confirm\":\"none\"");
        return weir_client_end(client, &writer);
    }
    err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err == WEIR_OK && published != NULL) {
        weir_client_published_of(answer.root, published);
    }
    weir_v1_document_fini(&answer);
    return err;
}

/* ---- Many --------------------------------------------------------------------------------------
 */

void weir_client_on_result(weir_client *client, weir_client_result_fn fn, void *arg)
{
    client->result_fn = fn;
    client->result_arg = arg;
}

static void result_tell(weir_client *client, const weir_client_result *result)
{
    if (result->err != WEIR_OK && client->first_failure == WEIR_OK) {
        client->first_failure = result->err;
        snprintf(client->first_text, sizeof(client->first_text), "%s", result->text);
    }
    if (client->result_fn != NULL) {
        client->result_fn(client->result_arg, result);
    }
}

/* The same result for all of a batch. */
static void batch_fail(weir_client *client, weir_client_batch *batch, weir_err err,
                       const char *text)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        result_tell(client, &(weir_client_result){batch->tokens[i], err, text, {0}}); /* [N1] */
    }
    batch->id = 0;
    batch->count = 0;
    client->batch_count--;
}

/* Nothing will be answered any more. */
static void batches_fail(weir_client *client)
{
    for (size_t i = 0; client->batches != NULL && i <= WEIR_CLIENT_WINDOW; i++) {
        if (client->batches[i].id != 0 && &client->batches[i] != client->gathering) {
            batch_fail(client, &client->batches[i], WEIR_CLOSED,
                       "The connection closed before an answer."); /* [N1] */
        }
    }
}

bool weir_client_batch_answer(weir_client *client, uint64_t id, const weir_v1_node *answer)
{
    weir_client_batch *batch = NULL;
    for (size_t i = 0; client->batches != NULL && i <= WEIR_CLIENT_WINDOW; i++) {
        if (client->batches[i].id == id) {
            batch = &client->batches[i];
        }
    }
    if (batch == NULL) {
        return false;
    }
    weir_err err = weir_client_error_of(client, answer);
    const weir_v1_node *results = weir_v1_node_member(answer, "results");
    if (err == WEIR_OK && weir_v1_node_count(results) != batch->count) {
        err = weir_client_fail(client, WEIR_MALFORMED,
                               "The gateway's answer has not one result for "
                               "each record.");
    }
    if (err != WEIR_OK) {
        batch_fail(client, batch, err, client->error);
        return true;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const weir_v1_node *node = weir_v1_node_at(results, i);
        weir_client_result result = {.token = batch->tokens[i], .text = client->error};
        result.err = weir_client_error_of(client, node);
        weir_client_published_of(node, &result.published);
        result_tell(client, &result); /* [N1] */
    }
    batch->id = 0;
    batch->count = 0;
    client->batch_count--;
    return true;
}

/* Receives until fewer than `most` batches are under way. */
static weir_err window_wait(weir_client *client, uint32_t most)
{
    int64_t deadline_ms = weir_client_deadline(client);
    while (client->batch_count >= most) {
        weir_v1_document got;
        weir_v1_frame frame;
        uint32_t before = client->batch_count;
        weir_err err = weir_client_receive(client, deadline_ms, &got, &frame);
        if (err == WEIR_OK && weir_v1_node_member(got.root, "id") == NULL) {
            err = weir_client_error_of(client, got.root);
            client->broken |= err != WEIR_OK;
        }
        weir_v1_document_fini(&got);
        if (err != WEIR_OK) {
            if (client->broken) {
                batches_fail(client);
            }
            return err;
        }
        if (client->batch_count < before) {
            deadline_ms = weir_client_deadline(client); /* it answers: wait on */
        }
    }
    return WEIR_OK;
}

static weir_err gather_begin(weir_client *client)
{
    if (client->batches == NULL) {
        client->batches = calloc(WEIR_CLIENT_WINDOW + 1, sizeof(*client->batches));
        if (client->batches == NULL) {
            return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
        }
    }
    weir_client_batch *batch = client->batches;
    while (batch->id != 0) {
        batch++; /* at most WINDOW are under way, and there is one more */
    }
    batch->id = ++client->id_last;
    batch->count = 0;
    client->gathering = batch;
    client->gathered.len = 0;
    weir_v1_writer writer = {&client->gathered, false};
    weir_v1_write_raw(&writer, "{\"cmd\":\"publish\",\"id\":");
    weir_v1_write_unsigned(&writer, batch->id);
    weir_v1_write_raw(&writer, ",\"records\":[");
    if (writer.failed) {
        batch->id = 0;
        client->gathering = NULL;
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    return WEIR_OK;
}

weir_err weir_client_push(weir_client *client)
{
    weir_client_batch *batch = client->gathering;
    if (batch == NULL) {
        return WEIR_OK;
    }
    weir_err err = window_wait(client, WEIR_CLIENT_WINDOW);
    if (err == WEIR_TIMEOUT) {
        return err; /* still gathered: push again */
    }
    client->gathering = NULL;
    client->batch_count++;
    weir_v1_writer writer = {&client->gathered, false};
    weir_v1_write_raw(&writer, "]}\n");
    if (err == WEIR_OK && writer.failed) {
        err = weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    err = err != WEIR_OK ? err : weir_client_write(client, weir_buffer_bytes(&client->gathered));
    if (err != WEIR_OK) {
        batches_fail(client);
    }
    return err;
}

/* Appends the record to the batch that is gathered. */
static weir_err gather_add(weir_client *client, const weir_publish *record, uint64_t token)
{
    weir_client_batch *batch = client->gathering;
    size_t before = client->gathered.len;
    weir_v1_writer writer = {&client->gathered, false};
    weir_v1_write_raw(&writer, batch->count > 0 ? "," : "");
    size_t at = client->gathered.len;
    write_record(&writer, record);
    weir_v1_write_raw(&writer, "}");
    if (writer.failed) {
        client->gathered.len = before;
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    client->gathered.ptr[at] = '{'; /* over the comma before its first member */
    batch->tokens[batch->count++] = token;
    return WEIR_OK;
}

static size_t record_bytes(const weir_publish *record)
{
    return record->name.len + record->topic.len + record->key.len + record->value.len;
}

static bool gathered_fits(const weir_client *client)
{
    return client->gathered.len + CLOSING_BYTES_MAX <= message_max(client);
}

/* Adds the record to what is gathered, or to what is gathered next. */
static weir_err gather(weir_client *client, const weir_publish *record, uint64_t token)
{
    weir_err err = client->gathering == NULL ? gather_begin(client) : WEIR_OK;
    size_t before = client->gathered.len;
    err = err != WEIR_OK ? err : gather_add(client, record, token);
    if (err != WEIR_OK || gathered_fits(client) || client->gathering->count == 1) {
        return err;
    }
    client->gathered.len = before; /* too much with the others: they go first */
    client->gathering->count--;
    err = weir_client_push(client);
    err = err != WEIR_OK ? err : gather_begin(client);
    return err != WEIR_OK ? err : gather_add(client, record, token);
}

/* The one record gathered fits no message: it goes as a frame, and its result is told now. */
static weir_err gathered_large(weir_client *client, const weir_publish *record, uint64_t token)
{
    weir_client_result result = {.token = token};
    client->gathering->id = 0;
    client->gathering->count = 0;
    client->gathering = NULL;
    result.err = weir_client_publish_large(client, record, &result.published);
    result.text = client->error;
    result_tell(client, &result); /* [N1] */
    return client->broken ? result.err : WEIR_OK;
}

weir_err weir_client_send(weir_client *client, const weir_publish *record, uint64_t token)
{
    weir_err err = record_check(client, record);
    if (err == WEIR_OK && client->gathering != NULL &&
        client->gathered.len + record_bytes(record) > WEIR_CLIENT_BATCH_BYTES) {
        err = weir_client_push(client);
    }
    err = err != WEIR_OK ? err : gather(client, record, token);
    if (err != WEIR_OK) {
        return err;
    }
    if (!gathered_fits(client)) {
        return gathered_large(client, record, token);
    }
    return client->gathering->count < WEIR_CLIENT_BATCH_RECORDS ? WEIR_OK
                                                                : weir_client_push(client);
}

weir_err weir_client_flush(weir_client *client)
{
    weir_err err = weir_client_push(client);
    err = err != WEIR_OK ? err : window_wait(client, 1);
    if (err == WEIR_OK && client->first_failure != WEIR_OK) {
        err = weir_client_fail(client, client->first_failure, client->first_text);
    }
    client->first_failure = WEIR_OK;
    return err;
}

/* ---- Frames ------------------------------------------------------------------------------------
 */

weir_err weir_client_produce(weir_client *client, weir_bytes topic, uint32_t partition,
                             weir_bytes batch, weir_published *published)
{
    weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_PRODUCE,
        .topic = topic,
        .partition = partition,
        .request = ++client->id_last,
        .batches = batch,
    };
    client->out.len = 0;
    weir_err err = weir_v1_frame_encode(&frame, &client->out);
    if (err != WEIR_OK) {
        return weir_client_fail(client, err, NULL);
    }
    weir_v1_frame answer;
    err = weir_client_write(client, weir_buffer_bytes(&client->out));
    err = err != WEIR_OK ? err
                         : weir_client_wait_frame(client, frame.request,
                                                  weir_client_deadline(client), &answer);
    if (err == WEIR_OK && published != NULL) {
        *published = (weir_published){.level = answer.level,
                                      .partition = answer.partition,
                                      .duplicate = answer.duplicate,
                                      .offset = answer.offset,
                                      .timestamp_ms = answer.time_ms};
    }
    return err;
}
