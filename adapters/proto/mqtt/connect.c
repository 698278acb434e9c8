/* adapters/proto/mqtt/connect.c - from CONNECT to CONNACK, and the will that CONNECT may leave.
 *
 *   CONNECT --decode--> rules and limits --> admit() --> claim() --OK-----> CONNACK
 *      |                    |                  |            '----AGAIN--> (the old session goes)
 * --'
 *      '---- refused -------'------------------'--> CONNACK with the reason (5.0), with a return
 * code (3.1, 3.1.1) where there is one, else silence
 *
 * What a client asks for and does not get is told in CONNACK (5.0): Maximum QoS 1, Session Expiry
 * 0, no shared subscriptions. To 3.1.1, session present 0 says that there is no session; a line of
 * log says it to the operator.
 *
 * The will is copied, with its properties as they came, and published when the connection ends
 * without an orderly DISCONNECT [MQTT-3.1.2-8]. Sessions end with their connections here, so a will
 * delay is over at once (5.0 section 3.1.3.2.2). */
#include "adapters/proto/mqtt/state.h"

#include "core/base/hash.h"
#include "core/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETURN_VERSION = 1,
    RETURN_CLIENT_ID = 2,
    RETURN_UNAVAILABLE = 3,
    RETURN_BAD_USER = 4,
    RETURN_NOT_AUTHORIZED = 5,
    ASSIGNED_ID_BYTES = 40,
    CONNACK_PROPERTIES_MAX = 10,
};

/* ---- Refusing -------------------------------------------------------------------------------- */

/* The return code of 3.1 and 3.1.1; 0: there is none, the connection is closed without a word. */
static uint8_t return_code_of(uint8_t reason)
{
    switch (reason) {
    case WEIR_MQTT_UNSUPPORTED_VERSION:
        return RETURN_VERSION;
    case WEIR_MQTT_CLIENT_ID_INVALID:
        return RETURN_CLIENT_ID;
    case WEIR_MQTT_QUOTA_EXCEEDED:
    case WEIR_MQTT_SERVER_UNAVAILABLE:
    case WEIR_MQTT_SERVER_BUSY:
    case WEIR_MQTT_SHUTTING_DOWN:
    case WEIR_MQTT_QOS_NOT_SUPPORTED:
        return RETURN_UNAVAILABLE;
    case WEIR_MQTT_BAD_USER:
        return RETURN_BAD_USER;
    case WEIR_MQTT_NOT_AUTHORIZED:
        return RETURN_NOT_AUTHORIZED;
    default:
        return 0;
    }
}

static weir_err refuse(weir_mqtt_session *session, uint8_t version, uint8_t reason,
                       const char *text, weir_buffer *out)
{
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNACK};
    weir_mqtt_property why = {.name = WEIR_MQTT_REASON_STRING, .text = weir_bytes_of(text)};
    packet.reason = version >= WEIR_MQTT_5 ? reason : return_code_of(reason);
    session->context->stats.connects_refused++;
    session->version = version >= WEIR_MQTT_5 ? WEIR_MQTT_5 : version;
    if (packet.reason != 0) {
        (void)weir_mqtt_packet_write(session, &packet, &why, session->version == WEIR_MQTT_5, out);
    }
    return weir_mqtt_close(session, reason, text);
}

static weir_err refuse_undecoded(weir_mqtt_session *session, weir_err err, uint8_t version,
                                 weir_buffer *out)
{
    weir_mqtt_stats *stats = &session->context->stats;
    switch (err) {
    case WEIR_UNSUPPORTED: /* [MQTT-3.1.2-2] */
        return refuse(session, version, WEIR_MQTT_UNSUPPORTED_VERSION,
                      "MQTT 3.1, 3.1.1 and 5.0 are spoken here.", out);
    case WEIR_NAME_INVALID:
        return refuse(session, version, WEIR_MQTT_NAME_INVALID, "The will's topic is no name.",
                      out);
    case WEIR_PROTOCOL:
        stats->protocol_errors++;
        return refuse(session, version, WEIR_MQTT_PROTOCOL_ERROR, "CONNECT breaks a rule.", out);
    default:
        stats->malformed++;
        stats->connects_refused++;
        return weir_mqtt_close(session, WEIR_MQTT_MALFORMED_PACKET, "CONNECT is malformed.");
    }
}

/* ---- The rules ------------------------------------------------------------------------------- */

typedef struct refusal {
    uint8_t reason; /* 0: none */
    const char *text;
} refusal;

static refusal will_check(weir_mqtt_session *session, const weir_mqtt_connect *connect)
{
    const weir_limits *limits = session->context->limits;
    uint32_t levels = 0;
    if (connect->will_qos == 2) { /* [MQTT-3.2.2-12] */
        return (refusal){WEIR_MQTT_QOS_NOT_SUPPORTED, "A will with QoS 2 is not offered."};
    }
    if (connect->will_name.len > limits->name_bytes_max) {
        session->context->stats.refused_name++;
        return (refusal){WEIR_MQTT_NAME_INVALID, "The will's topic is over name_bytes_max."};
    }
    if (weir_mqtt_name_scan(connect->will_name, &levels) == WEIR_OK &&
        levels > limits->levels_max) {
        session->context->stats.refused_levels++;
        return (refusal){WEIR_MQTT_NAME_INVALID, "The will's topic is over levels_max."};
    }
    if (connect->will_payload.len > limits->record_bytes_max) {
        return (refusal){WEIR_MQTT_QUOTA_EXCEEDED, "The will is over record_bytes_max."};
    }
    return (refusal){0};
}

static refusal client_id_check(weir_mqtt_session *session, const weir_mqtt_connect *connect)
{
    if (connect->client_id.len > session->context->limits->client_id_bytes_max) {
        session->context->stats.refused_client_id++;
        return (refusal){WEIR_MQTT_CLIENT_ID_INVALID, "The client id is over client_id_bytes_max."};
    }
    /* 3.1 has no empty ids; 3.1.1 has them for clean sessions [MQTT-3.1.3-8]; 5.0 always. */
    bool may_be_empty =
        connect->version == WEIR_MQTT_5 || (connect->version == WEIR_MQTT_3_1_1 && connect->clean);
    if (connect->client_id.len == 0 && !may_be_empty) {
        return (refusal){WEIR_MQTT_CLIENT_ID_INVALID, "The client id is empty."};
    }
    return (refusal){0};
}

static refusal connect_check(weir_mqtt_session *session, const weir_mqtt_packet *packet)
{
    const weir_mqtt_connect *connect = &packet->connect;
    uint64_t headers_max = session->context->limits->headers_max;
    if (weir_mqtt_has(&packet->properties, WEIR_MQTT_AUTH_METHOD)) { /* [MQTT-4.12.0-1] */
        return (refusal){WEIR_MQTT_BAD_AUTH_METHOD, "Enhanced authentication is not offered."};
    }
    if (packet->properties.pairs > headers_max || connect->will_properties.pairs > headers_max) {
        session->context->stats.refused_headers++;
        return (refusal){WEIR_MQTT_QUOTA_EXCEEDED, "More user properties than headers_max."};
    }
    refusal found = client_id_check(session, connect);
    return found.reason == 0 && connect->has_will ? will_check(session, connect) : found;
}

/* ---- Keeping what CONNECT said --------------------------------------------------------------- */

static weir_bytes span_copy(uint8_t **at, weir_bytes span)
{
    weir_bytes copy = {*at, span.len};
    if (span.len > 0) {
        memcpy(*at, span.ptr, span.len);
        *at += span.len;
    }
    return copy;
}

static mqtt_will *will_create(const weir_mqtt_connect *connect)
{
    weir_bytes properties =
        connect->will_properties.present != 0 ? connect->will_properties.raw : WEIR_BYTES_NULL;
    mqtt_will *will =
        malloc(sizeof(*will) + connect->will_name.len + connect->will_payload.len + properties.len);
    if (will != NULL) {
        uint8_t *at = (uint8_t *)(will + 1);
        will->name = span_copy(&at, connect->will_name);
        will->payload = span_copy(&at, connect->will_payload);
        will->properties = span_copy(&at, properties);
        will->qos = connect->will_qos;
        will->retain = connect->will_retain;
    }
    return will;
}

static weir_err client_id_keep(weir_mqtt_session *session, weir_bytes id)
{
    char assigned[ASSIGNED_ID_BYTES];
    if (id.len == 0) { /* [MQTT-3.1.3-6], [MQTT-3.1.3-7] */
        weir_mqtt_context *context = session->context;
        int len = snprintf(assigned, sizeof(assigned), "weir-%016" PRIx64 "-%" PRIx64,
                           context->id_prefix, ++context->id_count);
        id = (weir_bytes){(const uint8_t *)assigned, (size_t)len};
        session->assigned = true;
    }
    session->client_id = malloc(id.len);
    if (session->client_id == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(session->client_id, id.ptr, id.len);
    session->client_id_len = (uint16_t)id.len;
    session->publisher = weir_hash(id) | 1; /* 0 says "none" */
    return WEIR_OK;
}

static bool wants_levels(const weir_mqtt_properties *properties)
{
    weir_bytes rest = properties->present != 0 ? properties->raw : WEIR_BYTES_NULL;
    weir_mqtt_property property;
    while (weir_mqtt_property_next(&rest, &property)) {
        if (property.name == WEIR_MQTT_USER_PROPERTY &&
            weir_bytes_equal(property.text, WEIR_TEXT("weir-levels")) &&
            weir_bytes_equal(property.value, WEIR_TEXT("1"))) {
            return true;
        }
    }
    return false;
}

static void connect_keep(weir_mqtt_session *session, const weir_mqtt_packet *packet)
{
    const weir_mqtt_connect *connect = &packet->connect;
    const weir_mqtt_properties *properties = &packet->properties;
    session->version = connect->version;
    session->keep_alive_seconds = connect->keep_alive_seconds;
    session->packet_max = weir_mqtt_number(properties, WEIR_MQTT_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    session->receive_max = (uint16_t)weir_mqtt_number(properties, WEIR_MQTT_RECEIVE_MAXIMUM, 65535);
    session->problem_texts = weir_mqtt_number(properties, WEIR_MQTT_REQUEST_PROBLEM, 1) != 0;
    session->asked_expiry = weir_mqtt_number(properties, WEIR_MQTT_SESSION_EXPIRY, 0) != 0;
    session->asked_session =
        connect->version == WEIR_MQTT_5 ? session->asked_expiry : !connect->clean;
    session->levels = connect->version == WEIR_MQTT_5 && session->problem_texts &&
                      wants_levels(properties); /* a user property in PUBACK: [MQTT-3.1.2-29] */
}

/* ---- CONNACK --------------------------------------------------------------------------------- */

static size_t connack_properties(const weir_mqtt_session *session, weir_mqtt_property *list)
{
    const weir_limits *limits = session->context->limits;
    size_t count = 0;
    list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_MAXIMUM_QOS, .number = 1};
    list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_MAXIMUM_PACKET_SIZE,
                                         .number = (uint32_t)limits->packet_bytes_max};
    if (limits->in_flight_max < 65535) {
        list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_RECEIVE_MAXIMUM,
                                             .number = (uint32_t)limits->in_flight_max};
    }
    if (limits->topic_alias_max > 0) {
        list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_TOPIC_ALIAS_MAXIMUM,
                                             .number = (uint32_t)limits->topic_alias_max};
    }
    if (session->asked_expiry) {
        list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_SESSION_EXPIRY, .number = 0};
    }
    if (session->assigned) { /* [MQTT-3.2.2-16] */
        list[count++] = (weir_mqtt_property){.name = WEIR_MQTT_ASSIGNED_CLIENT_ID,
                                             .text = weir_mqtt_session_client_id(session)};
    }
    return count;
}

/* One line for each doubling: a storm of clients does not flood the log. */
static void log_not_persistent(weir_mqtt_session *session)
{
    uint64_t times = ++session->context->stats.not_persistent;
    char shown[WEIR_LOG_QUOTE_MAX];
    if ((times & (times - 1)) == 0) {
        weir_log(WEIR_LOG_INFO, "mqtt",
                 "event=session-not-persistent client=%s times=%" PRIu64
                 " text=\"sessions end with their connection\"",
                 weir_log_quote(weir_mqtt_session_client_id(session), shown), times);
    }
}

weir_err weir_mqtt_connack_accept(weir_mqtt_session *session, weir_buffer *out)
{
    weir_mqtt_property list[CONNACK_PROPERTIES_MAX];
    weir_mqtt_packet packet = {.type = WEIR_MQTT_CONNACK}; /* [MQTT-3.2.2-2], [MQTT-3.2.2-3] */
    size_t count = session->version == WEIR_MQTT_5 ? connack_properties(session, list) : 0;
    weir_err err = weir_mqtt_packet_write(session, &packet, list, count, out);
    if (err != WEIR_OK) {
        session->context->stats.connects_refused++;
        return weir_mqtt_close(session, WEIR_MQTT_PACKET_TOO_LARGE,
                               "The client's Maximum Packet Size has no room for CONNACK.");
    }
    session->state = MQTT_STATE_ACTIVE;
    session->accepted = true;
    session->context->stats.connects++;
    if (session->asked_session) {
        log_not_persistent(session);
    }
    return WEIR_OK;
}

/* ---- CONNECT --------------------------------------------------------------------------------- */

static weir_err connect_claim(weir_mqtt_session *session, weir_buffer *out)
{
    const weir_mqtt_context *context = session->context;
    weir_err err =
        context->hooks->claim(context->hooks_arg, session, weir_mqtt_session_client_id(session));
    if (err != WEIR_OK && err != WEIR_AGAIN) {
        return refuse(session, session->version, WEIR_MQTT_SERVER_UNAVAILABLE, weir_err_text(err),
                      out);
    }
    session->claimed = true;
    if (err == WEIR_AGAIN) {
        session->state = MQTT_STATE_CLAIMING; /* the packet is used; what follows waits */
        return WEIR_OK;
    }
    return weir_mqtt_connack_accept(session, out);
}

weir_err weir_mqtt_connect_take(weir_mqtt_session *session, weir_bytes bytes, weir_buffer *out)
{
    weir_mqtt_packet packet;
    const weir_mqtt_context *context = session->context;
    size_t used = 0;
    packet.connect.version = 0;
    weir_err err = weir_mqtt_decode(bytes, 0, &packet, &used);
    if (err != WEIR_OK) {
        return refuse_undecoded(session, err, packet.connect.version, out);
    }
    refusal found = connect_check(session, &packet);
    if (found.reason == 0) {
        found.reason = context->hooks->admit(context->hooks_arg, session, &packet.connect);
        found.text = "The server does not admit this client.";
    }
    if (found.reason != 0) {
        return refuse(session, packet.connect.version, found.reason, found.text, out);
    }
    session->will = packet.connect.has_will ? will_create(&packet.connect) : NULL;
    err = client_id_keep(session, packet.connect.client_id);
    if (err != WEIR_OK || (packet.connect.has_will && session->will == NULL)) {
        return refuse(session, packet.connect.version, WEIR_MQTT_SERVER_UNAVAILABLE,
                      "Memory could not be had.", out);
    }
    connect_keep(session, &packet);
    return connect_claim(session, out);
}

/* ---- The will -------------------------------------------------------------------------------- */

void weir_mqtt_will_forget(weir_mqtt_session *session)
{
    free(session->will);
    session->will = NULL;
}

weir_err weir_mqtt_will_publish(weir_mqtt_session *session)
{
    weir_mqtt_context *context = session->context;
    const mqtt_will *will = session->will;
    if (will == NULL) {
        return WEIR_OK;
    }
    mqtt_mapped mapped;
    weir_err err = WEIR_INVALID;
    if (weir_mqtt_map_in(will->properties, &mapped) == NULL) {
        weir_publish record = {.value = will->payload,
                               .headers = mapped.headers,
                               .header_count = mapped.count,
                               .no_confirm = true,
                               .publisher = session->publisher,
                               .self = session->subscriber};
        record.attributes = (uint8_t)((will->qos + 1) | (will->retain ? WEIR_RECORD_RETAIN : 0));
        if (mapped.has_key) {
            record.topic = will->name;
            record.key = mapped.key;
        } else {
            record.name = will->name;
        }
        err = context->ops->publish(context->port, &record, context->quiet_user, 0);
    }
    if (err == WEIR_AGAIN) {
        return err;
    }
    context->stats.wills += err == WEIR_OK;
    context->stats.quiet_refused += err != WEIR_OK;
    weir_mqtt_will_forget(session);
    return WEIR_OK;
}
