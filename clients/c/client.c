/* clients/c/client.c - one conversation with a gateway: hello, commands and their answers.
 *
 *     command -> send -> receive until its id comes back
 *                          pushed ("type") -> queue, for weir_client_next
 *                          id of a batch   -> its results
 *                          another id      -> an answer that came too late: dropped
 *
 * Failures: an error answer becomes a code and a sentence; a connection that breaks, or a message
 * that was half sent, ends the client (broken): every later call is CLOSED.
 *
 * [K1] Ids are used once. [K2] Pushed messages come out of the queue in the order they came in. */
#include "clients/c/client_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const weir_client_transport *const transports[] = {&weir_client_unix, &weir_client_inherited,
                                                          &weir_client_nng, &weir_client_websocket,
                                                          &weir_client_websocket_tls};

weir_err weir_client_fail(weir_client *client, weir_err err, const char *text)
{
    snprintf(client->error, sizeof(client->error), "%s", text != NULL ? text : weir_err_text(err));
    client->error_field[0] = 0;
    return err;
}

/* A failure of the connection: nothing after it can be trusted. */
static weir_err break_off(weir_client *client, weir_err err)
{
    if (err == WEIR_TIMEOUT) {
        return weir_client_fail(client, err, "The gateway did not answer in time.");
    }
    client->broken = true;
    return weir_client_fail(client, err,
                            err == WEIR_CLOSED ? "The gateway closed the connection; connect again."
                                               : NULL);
}

int64_t weir_client_deadline(const weir_client *client)
{
    return weir_client_now_ms() + client->timeout_ms;
}

/* ---- Commands out ------------------------------------------------------------------------------
 */

weir_v1_writer weir_client_begin(weir_client *client, const char *command, uint64_t *id)
{
    *id = ++client->id_last; /* [K1] */
    client->out.len = 0;
    weir_v1_writer writer = {&client->out, false};
    weir_v1_write_raw(&writer, "{\"cmd\":\"");
    weir_v1_write_raw(&writer, command);
    weir_v1_write_raw(&writer, "\",\"id\":");
    weir_v1_write_unsigned(&writer, *id);
    return writer;
}

weir_err weir_client_write(weir_client *client, weir_bytes message)
{
    if (client->broken) {
        return weir_client_fail(client, WEIR_CLOSED, "The connection is closed; open another.");
    }
    weir_err err = client->transport->send(client->link, message, weir_client_deadline(client));
    if (err != WEIR_OK) {
        client->broken = true; /* it may be half sent */
        return break_off(client, err);
    }
    return WEIR_OK;
}

weir_err weir_client_end(weir_client *client, weir_v1_writer *writer)
{
    weir_v1_write_raw(writer, "}\n");
    if (writer->failed) {
        return weir_client_fail(client, WEIR_NO_MEMORY, NULL);
    }
    return weir_client_write(client, weir_buffer_bytes(writer->out));
}

void weir_client_text_member(weir_v1_writer *writer, const char *member, weir_bytes text)
{
    weir_v1_write_raw(writer, ",\"");
    weir_v1_write_raw(writer, member);
    weir_v1_write_raw(writer, "\":");
    weir_v1_write_string(writer, text);
}

void weir_client_number_member(weir_v1_writer *writer, const char *member, uint64_t value)
{
    weir_v1_write_raw(writer, ",\"");
    weir_v1_write_raw(writer, member);
    weir_v1_write_raw(writer, "\":");
    weir_v1_write_unsigned(writer, value);
}

void weir_client_integer_member(weir_v1_writer *writer, const char *member, int64_t value)
{
    weir_v1_write_raw(writer, ",\"");
    weir_v1_write_raw(writer, member);
    weir_v1_write_raw(writer, "\":");
    weir_v1_write_integer(writer, value);
}

int64_t weir_client_integer(const weir_v1_node *node, const char *member)
{
    int64_t value = 0;
    weir_v1_node_integer(weir_v1_node_member(node, member), &value);
    return value;
}

/* ---- Answers in --------------------------------------------------------------------------------
 */

weir_err weir_client_code(weir_bytes code)
{
    for (weir_err err = WEIR_OK; err < WEIR_ERR_COUNT; err++) {
        if (weir_bytes_equal(code, weir_bytes_of(weir_err_name(err)))) {
            return err;
        }
    }
    return WEIR_UNSUPPORTED;
}

weir_err weir_client_error_of(weir_client *client, const weir_v1_node *answer)
{
    const weir_v1_node *error = weir_v1_node_member(answer, "error");
    weir_bytes code = WEIR_BYTES_NULL;
    weir_bytes text = WEIR_TEXT("");
    weir_bytes field = WEIR_TEXT("");
    if (error == NULL) {
        return WEIR_OK;
    }
    weir_v1_node_text(weir_v1_node_member(error, "code"), &code);
    weir_v1_node_text(weir_v1_node_member(error, "text"), &text);
    weir_v1_node_text(weir_v1_node_member(error, "field"), &field);
    snprintf(client->error, sizeof(client->error), "%.*s", (int)text.len, (const char *)text.ptr);
    snprintf(client->error_field, sizeof(client->error_field), "%.*s", (int)field.len,
             (const char *)field.ptr);
    weir_err err = weir_client_code(code);
    return err == WEIR_OK ? WEIR_MALFORMED : err;
}

/* Takes the document. */
weir_err weir_client_push_back(weir_client *client, weir_v1_document *document)
{
    weir_client_pushed *pushed = malloc(sizeof(*pushed));
    if (pushed == NULL || client->pushed_count == WEIR_CLIENT_QUEUE_MAX) {
        free(pushed);
        weir_v1_document_fini(document);
        return weir_client_fail(client, pushed == NULL ? WEIR_NO_MEMORY : WEIR_LIMIT,
                                "Too many records came unread; call weir_client_next more often.");
    }
    *pushed = (weir_client_pushed){.document = *document};
    *document = (weir_v1_document){0};
    *client->pushed_tail = pushed; /* [K2] */
    client->pushed_tail = &pushed->next;
    client->pushed_count++;
    return WEIR_OK;
}

static weir_err text_take(weir_client *client, weir_bytes message, weir_v1_document *document)
{
    char why[WEIR_V1_WHY_MAX];
    weir_v1_document got = {0};
    weir_err err = weir_v1_document_parse(message, &got, why);
    if (err != WEIR_OK) {
        client->broken = true;
        return weir_client_fail(client, err, "The gateway sent what is not JSON; connect again.");
    }
    weir_bytes type;
    if (weir_v1_node_text(weir_v1_node_member(got.root, "type"), &type)) {
        client->draining |= weir_bytes_equal(type, WEIR_TEXT("drain"));
        return weir_client_push_back(client, &got);
    }
    int64_t id = weir_client_integer(got.root, "id");
    if (id > 0 && weir_client_batch_answer(client, (uint64_t)id, got.root)) {
        weir_v1_document_fini(&got);
        return WEIR_OK;
    }
    *document = got;
    return WEIR_OK;
}

weir_err weir_client_receive(weir_client *client, int64_t deadline_ms, weir_v1_document *document,
                             weir_v1_frame *frame)
{
    weir_bytes message;
    *document = (weir_v1_document){0};
    *frame = (weir_v1_frame){0};
    if (client->broken) {
        return weir_client_fail(client, WEIR_CLOSED, "The connection is closed; open another.");
    }
    weir_err err = client->transport->receive(client->link, deadline_ms, &message);
    if (err != WEIR_OK) {
        return break_off(client, err);
    }
    if (message.ptr[0] == '{') {
        return text_take(client, message, document);
    }
    if (weir_v1_frame_decode(message, frame) != WEIR_OK) {
        return break_off(client, WEIR_MALFORMED);
    }
    return WEIR_OK;
}

/* An error that names no command: the conversation is over, and this is why. */
static bool is_farewell(const weir_v1_node *answer)
{
    return weir_v1_node_member(answer, "id") == NULL &&
           weir_v1_node_member(answer, "error") != NULL;
}

weir_err weir_client_wait_any(weir_client *client, uint64_t id, int64_t deadline_ms,
                              weir_v1_document *document)
{
    for (;;) {
        weir_v1_document got;
        weir_v1_frame frame;
        weir_err err = weir_client_receive(client, deadline_ms, &got, &frame);
        if (err != WEIR_OK) {
            return err;
        }
        bool mine = weir_client_integer(got.root, "id") == (int64_t)id || is_farewell(got.root);
        if (got.root == NULL || !mine) {
            weir_v1_document_fini(&got);
            continue;
        }
        *document = got;
        return WEIR_OK;
    }
}

weir_err weir_client_wait(weir_client *client, uint64_t id, int64_t deadline_ms,
                          weir_v1_document *document)
{
    weir_v1_document got = {0};
    weir_err err = weir_client_wait_any(client, id, deadline_ms, &got);
    err = err != WEIR_OK ? err : weir_client_error_of(client, got.root);
    if (err != WEIR_OK) {
        weir_v1_document_fini(&got);
        return err;
    }
    *document = got;
    return WEIR_OK;
}

weir_err weir_client_wait_frame(weir_client *client, uint64_t request, int64_t deadline_ms,
                                weir_v1_frame *frame)
{
    for (;;) {
        weir_v1_document got;
        weir_err err = weir_client_receive(client, deadline_ms, &got, frame);
        if (err == WEIR_OK && is_farewell(got.root)) {
            err = weir_client_error_of(client, got.root);
        }
        weir_v1_document_fini(&got);
        if (err != WEIR_OK) {
            return err;
        }
        if (frame->type == 0 || frame->request != request) {
            continue;
        }
        if (frame->type == WEIR_V1_FRAME_ERROR) {
            snprintf(client->error, sizeof(client->error), "%.*s", (int)frame->text.len,
                     (const char *)frame->text.ptr);
            return weir_client_code(frame->code);
        }
        return WEIR_OK;
    }
}

weir_err weir_client_ask(weir_client *client, weir_v1_writer *writer, uint64_t id,
                         int64_t deadline_ms, weir_v1_document *answer)
{
    weir_err err = weir_client_end(client, writer);
    return err != WEIR_OK ? err : weir_client_wait(client, id, deadline_ms, answer);
}

weir_err weir_client_run(weir_client *client, weir_v1_writer *writer, uint64_t id)
{
    weir_v1_document document = {0};
    weir_err err = weir_client_ask(client, writer, id, weir_client_deadline(client), &document);
    weir_v1_document_fini(&document);
    return err;
}

/* ---- Opening and closing -----------------------------------------------------------------------
 */

static weir_err open_fault(weir_fault *fault, weir_err err, const char *text)
{
    *fault = (weir_fault){.err = err};
    snprintf(fault->text, sizeof(fault->text), "%.*s", (int)sizeof(fault->text) - 1, text);
    return err;
}

/* The transport of a url, and the address in it. NULL: none. */
static const weir_client_transport *transport_of(const char *url, const char **address)
{
    if (url[0] == '/' || url[0] == '.') {
        *address = url;
        return &weir_client_unix;
    }
    for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
        size_t len = strlen(transports[i]->scheme);
        if (strncmp(url, transports[i]->scheme, len) == 0) {
            *address = url + len;
            return transports[i];
        }
    }
    return NULL;
}

static void limits_take(weir_client *client, const weir_v1_node *hello)
{
    const weir_v1_node *limits = weir_v1_node_member(hello, "limits");
#define LIMIT_TAKE(name, value, unit, least, most, metric, meaning, mqtt, weir1)                   \
    client->limits.name = (uint64_t)weir_client_integer(limits, #name);
    WEIR_LIMITS_LIST(LIMIT_TAKE)
#undef LIMIT_TAKE
}

static weir_err hello(weir_client *client, const weir_client_options *options)
{
    uint64_t id = 0;
    weir_v1_document answer = {0};
    weir_v1_writer writer = weir_client_begin(client, "hello", &id);
    weir_client_number_member(&writer, "version", 1);
    weir_client_text_member(&writer, "client",
                            weir_bytes_of(options->name != NULL ? options->name : "weir-client"));
    if (options->token != NULL) {
        weir_client_text_member(&writer, "token", weir_bytes_of(options->token));
    }
    weir_err err = weir_client_end(client, &writer);
    err =
        err != WEIR_OK ? err : weir_client_wait(client, id, weir_client_deadline(client), &answer);
    if (err != WEIR_OK) {
        return err;
    }
    weir_bytes server = WEIR_TEXT("");
    weir_v1_node_text(weir_v1_node_member(answer.root, "server"), &server);
    snprintf(client->server, sizeof(client->server), "%.*s", (int)server.len,
             (const char *)server.ptr);
    limits_take(client, answer.root);
    weir_v1_document_fini(&answer);
    return WEIR_OK;
}

static void client_free(weir_client *client)
{
    client->transport->close(client->link);
    while (client->pushed != NULL) {
        weir_client_pushed *pushed = client->pushed;
        client->pushed = pushed->next;
        weir_v1_document_fini(&pushed->document);
        free(pushed);
    }
    weir_v1_document_fini(&client->event);
    weir_v1_document_fini(&client->fetched);
    weir_v1_document_fini(&client->leased);
    weir_client_lease_state_fini(&client->lease);
    free(client->owned);
    weir_v1_fields_fini(&client->fields);
    weir_buffer_fini(&client->out);
    weir_buffer_fini(&client->decoded);
    weir_buffer_fini(&client->gathered);
    free(client->batches);
    free(client);
}

weir_err weir_client_open(const char *url, const weir_client_options *options, weir_client **out,
                          weir_fault *fault)
{
    const weir_client_options defaults = {0};
    weir_fault ignored;
    const char *address = NULL;
    const weir_client_transport *transport = transport_of(url, &address);
    fault = fault != NULL ? fault : &ignored;
    options = options != NULL ? options : &defaults;
    if (transport == NULL) {
        return open_fault(fault, WEIR_INVALID,
                          "give the gateway as unix:/path/weir.sock, as the socket's path, as "
                          "ws://127.0.0.1:9347/v1, or as nng+tcp://127.0.0.1:9348");
    }
    weir_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return open_fault(fault, WEIR_NO_MEMORY, "the client needs more memory");
    }
    client->transport = transport;
    client->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : WEIR_CLIENT_TIMEOUT_MS;
    client->pushed_tail = &client->pushed;
    weir_err err = transport->open(address, weir_client_deadline(client), &client->link, fault);
    if (err != WEIR_OK) {
        free(client);
        return err;
    }
    err = hello(client, options);
    if (err != WEIR_OK) {
        open_fault(fault, err, client->error);
        client_free(client);
        return err;
    }
    *out = client;
    return WEIR_OK;
}

void weir_client_close(weir_client *client)
{
    if (client == NULL) {
        return;
    }
    if (!client->broken) {
        uint64_t id = 0;
        client->timeout_ms = 1000;
        weir_v1_writer writer = weir_client_begin(client, "goodbye", &id);
        (void)weir_client_run(client, &writer, id);
    }
    client_free(client);
}

/* ---- Queries -----------------------------------------------------------------------------------
 */

const char *weir_client_error(const weir_client *client)
{
    return client->error;
}

const char *weir_client_error_field(const weir_client *client)
{
    return client->error_field;
}

int weir_client_fd(const weir_client *client)
{
    return client->transport->fd(client->link);
}

bool weir_client_pending(const weir_client *client)
{
    return client->pushed != NULL || client->event.root != NULL ||
           client->transport->pending(client->link);
}

const char *weir_client_server(const weir_client *client)
{
    return client->server;
}

const weir_limits *weir_client_limits(const weir_client *client)
{
    return &client->limits;
}

bool weir_client_draining(const weir_client *client)
{
    return client->draining;
}

void weir_client_timeout(weir_client *client, uint32_t timeout_ms)
{
    client->timeout_ms = timeout_ms;
}
