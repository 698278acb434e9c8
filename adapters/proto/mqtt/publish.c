/* adapters/proto/mqtt/publish.c - PUBLISH in, and the PUBACKs that answer it, in order.
 *
 *   PUBLISH --decode--> alias, limits, headers --> port publish --completion--> PUBACK
 *                                                    QoS 0: no completion, no answer
 *
 *   acks    first                                   ring of PUBLISHes with QoS 1, by arrival
 *           [done][done][ .. ][done][ .. ]
 *            '--leave--'  ^ the engine is not done with this one: all behind it wait
 *
 * The PUBACK leaves when the engine says that the record has its topic's level, and in the order of
 * the PUBLISHes [MQTT-4.6.0-2], whatever the order of the completions: topics have different
 * levels. The ring exists only while something is in it.
 *
 * Refused: a 5.0 client is told the reason in PUBACK. MQTT 3.1.1 has no word for it: what came
 * before is answered and then the connection is closed, so nothing refused is ever acknowledged.
 * QoS 0 promises nothing: what is refused is counted. The port being full, or limits.in_flight_max
 * reached, is no refusal: the packet is left in the input (WEIR_AGAIN) until there is room. */
#include "adapters/proto/mqtt/state.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { ACKS_CAPACITY_MIN = 16, PUBACK_BYTES = 4 };

/* ---- The ring of acknowledgements ------------------------------------------------------------ */

static mqtt_ack *ack_at(mqtt_acks *acks, uint64_t number)
{
    return &acks->ring[number & (acks->capacity - 1)];
}

static weir_err acks_room(mqtt_acks *acks)
{
    if (acks->count < acks->capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = acks->capacity == 0 ? ACKS_CAPACITY_MIN : acks->capacity * 2;
    mqtt_ack *ring = malloc(capacity * sizeof(*ring));
    if (ring == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint64_t n = acks->first; n < acks->first + acks->count; n++) {
        ring[n & (capacity - 1)] = *ack_at(acks, n);
    }
    free(acks->ring);
    acks->ring = ring;
    acks->capacity = capacity;
    return WEIR_OK;
}

void weir_mqtt_publish_fini(weir_mqtt_session *session)
{
    free(session->acks.ring);
    session->acks.ring = NULL;
    session->acks.capacity = 0;
    session->acks.count = 0;
}

static weir_err puback_write(weir_mqtt_session *session, const mqtt_ack *ack, weir_buffer *out)
{
    uint8_t level = session->levels ? ack->level : 0;
    if (ack->reason != WEIR_MQTT_SUCCESS || level != 0) {
        return weir_mqtt_reason_write(session, WEIR_MQTT_PUBACK, ack->id, ack->reason, ack->text,
                                      level, out);
    }
    weir_err err = weir_buffer_reserve(out, PUBACK_BYTES);
    if (err == WEIR_OK) {
        uint8_t *at = out->ptr + out->len;
        at[0] = WEIR_MQTT_PUBACK << 4;
        at[1] = 2;
        at[2] = (uint8_t)(ack->id >> 8);
        at[3] = (uint8_t)ack->id;
        out->len += PUBACK_BYTES;
    }
    return err;
}

/* Lets go what is done at the front. CLOSED: a 3.1.1 client's publish was refused. */
static weir_err acks_flush(weir_mqtt_session *session, weir_buffer *out)
{
    mqtt_acks *acks = &session->acks;
    while (acks->count > 0 && ack_at(acks, acks->first)->done) {
        const mqtt_ack *ack = ack_at(acks, acks->first);
        if (ack->reason >= WEIR_MQTT_UNSPECIFIED) {
            session->context->stats.publishes_refused++;
            if (session->version < WEIR_MQTT_5) {
                return weir_mqtt_close(session, ack->reason, ack->text);
            }
        }
        weir_err err = puback_write(session, ack, out);
        if (err != WEIR_OK) {
            return err;
        }
        acks->first++;
        acks->count--;
    }
    if (acks->count == 0) {
        weir_mqtt_publish_fini(session);
    }
    return WEIR_OK;
}

static uint8_t reason_of(weir_err err)
{
    switch (err) {
    case WEIR_OK:
        return WEIR_MQTT_SUCCESS;
    case WEIR_TOO_LARGE: /* 0x95 may not stand in PUBACK (5.0 table 3-4) */
    case WEIR_LIMIT:
    case WEIR_QUEUE_FULL:
    case WEIR_DISK_FULL:
    case WEIR_READ_ONLY:
    case WEIR_NO_MEMORY:
        return WEIR_MQTT_QUOTA_EXCEEDED;
    case WEIR_NAME_INVALID:
    case WEIR_NOT_FOUND: /* weir-key, and the name is no declared topic */
    case WEIR_NESTED:
        return WEIR_MQTT_NAME_INVALID;
    case WEIR_NOT_AUTHORIZED:
        return WEIR_MQTT_NOT_AUTHORIZED;
    case WEIR_NOT_OFFERED: /* weir-id, and the name is live */
        return WEIR_MQTT_IMPLEMENTATION_SPECIFIC;
    default:
        return WEIR_MQTT_UNSPECIFIED;
    }
}

/* A literal; NULL: it was not refused. */
static const char *text_of(weir_err err)
{
    if (err == WEIR_NOT_AUTHORIZED) {
        return "Names that begin with $ are the gateway's own: nobody can publish to one.";
    }
    if (err == WEIR_NAME_INVALID) {
        return "A name has at most 1024 bytes and 128 levels, without control characters; so has "
               "that of a retained message with its weir-key.";
    }
    return err == WEIR_OK ? NULL : weir_err_text(err);
}

/* A publish that came to nothing before the engine saw it. */
static weir_err refuse(weir_mqtt_session *session, const weir_mqtt_publish *publish, uint8_t reason,
                       const char *text, weir_buffer *out)
{
    if (publish->qos == 0) {
        session->context->stats.quiet_refused++;
        return WEIR_OK;
    }
    weir_err err = acks_room(&session->acks);
    if (err != WEIR_OK) {
        return err;
    }
    mqtt_acks *acks = &session->acks;
    *ack_at(acks, acks->first + acks->count) =
        (mqtt_ack){.text = text, .id = publish->id, .done = true, .reason = reason};
    acks->count++;
    return acks_flush(session, out);
}

/* ---- Submitting ------------------------------------------------------------------------------ */

static weir_err submit_quiet(weir_mqtt_session *session, weir_publish *record)
{
    weir_mqtt_context *context = session->context;
    record->no_confirm = true;
    weir_err err = context->ops->publish(context->port, record, context->quiet_user, 0);
    if (err == WEIR_AGAIN) {
        return err;
    }
    context->stats.publishes_received++;
    context->stats.quiet_refused += err != WEIR_OK;
    return WEIR_OK;
}

static weir_err submit_confirmed(weir_mqtt_session *session, const weir_mqtt_publish *publish,
                                 const weir_publish *record, weir_buffer *out)
{
    const weir_mqtt_context *context = session->context;
    mqtt_acks *acks = &session->acks;
    weir_err err = acks_room(acks);
    if (err != WEIR_OK) {
        return err;
    }
    uint64_t number = acks->first + acks->count;
    err = context->ops->publish(context->port, record, session->user,
                                token_of(TOKEN_PUBLISH, number));
    if (err == WEIR_AGAIN) {
        return err;
    }
    session->context->stats.publishes_received++;
    if (err != WEIR_OK) {
        return refuse(session, publish, reason_of(err), text_of(err), out);
    }
    *ack_at(acks, number) = (mqtt_ack){.id = publish->id};
    acks->count++;
    session->pending++; /* [S2] */
    return WEIR_OK;
}

/* Fills in what is the same for every record and hands it on. */
static weir_err submit(weir_mqtt_session *session, const weir_mqtt_publish *publish,
                       weir_publish *record, weir_buffer *out)
{
    record->value = publish->payload;
    record->attributes = (uint8_t)((publish->qos + 1) | (publish->retain ? WEIR_RECORD_RETAIN : 0));
    record->publisher = session->publisher;
    record->self = session->subscriber;
    return publish->qos == 0 ? submit_quiet(session, record)
                             : submit_confirmed(session, publish, record, out);
}

/* NULL, or which limit the name is over. */
static const char *name_over_limit(weir_mqtt_session *session, size_t len, uint32_t levels)
{
    const weir_limits *limits = session->context->limits;
    if (len > limits->name_bytes_max) {
        session->context->stats.refused_name++;
        return "The topic name is longer than name_bytes_max.";
    }
    if (levels > limits->levels_max) {
        session->context->stats.refused_levels++;
        return "The topic name has more levels than levels_max.";
    }
    return NULL;
}

/* ---- Topic aliases (5.0 section 3.3.2.3.4) --------------------------------------------------- */

static weir_err alias_set(weir_mqtt_session *session, uint32_t alias,
                          const weir_mqtt_publish *publish)
{
    uint32_t most = (uint32_t)session->context->limits->topic_alias_max;
    if (session->aliases == NULL) {
        mqtt_aliases *made = calloc(1, sizeof(*made) + most * sizeof(session->aliases->names[0]));
        if (made == NULL) {
            return WEIR_NO_MEMORY;
        }
        made->count = most;
        session->aliases = made;
    }
    uint8_t *name = malloc(publish->name.len);
    if (name == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(name, publish->name.ptr, publish->name.len);
    free(session->aliases->names[alias - 1].name);
    session->aliases->names[alias - 1].name = name;
    session->aliases->names[alias - 1].len = (uint32_t)publish->name.len;
    session->aliases->names[alias - 1].levels = publish->levels;
    return WEIR_OK;
}

/* Puts the name of an alias into the publish, or keeps the name under it. */
static weir_err alias_resolve(weir_mqtt_session *session, uint32_t alias,
                              weir_mqtt_publish *publish, weir_buffer *out)
{
    if (alias == 0 || alias > session->context->limits->topic_alias_max) {
        session->context->stats.refused_topic_alias++; /* [MQTT-3.3.2-8], [MQTT-3.3.2-9] */
        return weir_mqtt_fail(session, WEIR_MQTT_TOPIC_ALIAS_INVALID,
                              "A topic alias is outside 1 to Topic Alias Maximum.", out);
    }
    if (publish->name.len > 0) {
        return alias_set(session, alias, publish);
    }
    if (session->aliases == NULL || session->aliases->names[alias - 1].name == NULL) {
        session->context->stats.protocol_errors++;
        return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR,
                              "A topic alias was used before it was given a name.", out);
    }
    publish->name = (weir_bytes){session->aliases->names[alias - 1].name,
                                 session->aliases->names[alias - 1].len};
    publish->levels = session->aliases->names[alias - 1].levels;
    return WEIR_OK;
}

/* ---- PUBLISH --------------------------------------------------------------------------------- */

static weir_err publish_mapped(weir_mqtt_session *session, const weir_mqtt_publish *publish,
                               weir_bytes raw, weir_buffer *out)
{
    mqtt_mapped mapped; /* 32 KiB that only PUBLISHes with properties touch, in part */
    const char *refused = weir_mqtt_map_in(raw, &mapped);
    if (refused != NULL) {
        return refuse(session, publish, WEIR_MQTT_IMPLEMENTATION_SPECIFIC, refused, out);
    }
    weir_publish record = {.headers = mapped.headers, .header_count = mapped.count};
    if (mapped.has_id && session->assigned) {
        return refuse(session, publish, WEIR_MQTT_IMPLEMENTATION_SPECIFIC,
                      "weir-id numbers a client's publishes: connect with a client id of your own.",
                      out);
    }
    if (mapped.has_id) {
        record.producer = weir_mqtt_session_client_id(session);
        record.publishing_id = mapped.id;
    }
    if (mapped.has_key) {
        record.topic = publish->name;
        record.key = mapped.key;
    } else {
        record.name = publish->name;
    }
    return submit(session, publish, &record, out);
}

static weir_err publish_with_properties(weir_mqtt_session *session, weir_mqtt_publish *publish,
                                        const weir_mqtt_properties *properties, weir_buffer *out)
{
    const weir_limits *limits = session->context->limits;
    if (weir_mqtt_has(properties, WEIR_MQTT_SUBSCRIPTION_ID)) { /* [MQTT-3.3.4-6] */
        session->context->stats.protocol_errors++;
        return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR,
                              "A client's PUBLISH had a Subscription Identifier.", out);
    }
    if (properties->pairs > limits->headers_max) {
        session->context->stats.refused_headers++;
        return weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED,
                              "More user properties than headers_max.", out);
    }
    const char *over = name_over_limit(session, publish->name.len, publish->levels);
    if (over != NULL) {
        return refuse(session, publish, WEIR_MQTT_NAME_INVALID, over, out);
    }
    if (weir_mqtt_has(properties, WEIR_MQTT_TOPIC_ALIAS)) {
        weir_err err = alias_resolve(
            session, weir_mqtt_number(properties, WEIR_MQTT_TOPIC_ALIAS, 0), publish, out);
        if (err != WEIR_OK) {
            return err;
        }
    }
    return publish_mapped(session, publish, properties->raw, out);
}

weir_err weir_mqtt_publish_take(weir_mqtt_session *session, uint8_t flags, weir_bytes body,
                                weir_buffer *out)
{
    weir_mqtt_publish publish;
    weir_mqtt_properties properties;
    const weir_limits *limits = session->context->limits;
    weir_err err = weir_mqtt_publish_decode(flags, body, session->version, &publish, &properties);
    if (err != WEIR_OK) {
        return weir_mqtt_fail_decode(session, err, out);
    }
    if (publish.qos == 2) { /* told in CONNACK: [MQTT-3.2.2-11] */
        return weir_mqtt_fail(session, WEIR_MQTT_QOS_NOT_SUPPORTED, "QoS 2 is not offered.", out);
    }
    if (publish.qos == 1 && session->acks.count >= limits->in_flight_max) {
        session->context->stats.paused_in_flight += !session->blocked;
        return WEIR_AGAIN;
    }
    if (properties.present != 0) {
        return publish_with_properties(session, &publish, &properties, out);
    }
    if (publish.name.len > limits->name_bytes_max || publish.levels > limits->levels_max) {
        const char *over = name_over_limit(session, publish.name.len, publish.levels);
        return refuse(session, &publish, WEIR_MQTT_NAME_INVALID, over, out);
    }
    weir_publish record = {.name = publish.name};
    return submit(session, &publish, &record, out);
}

weir_err weir_mqtt_publish_complete(weir_mqtt_session *session, const weir_completion *completion,
                                    weir_buffer *out)
{
    mqtt_acks *acks = &session->acks;
    uint64_t number = completion->token & (((uint64_t)1 << TOKEN_KIND_SHIFT) - 1);
    WEIR_ASSERT(number - acks->first < acks->count); /* one completion for each: [S2] */
    mqtt_ack *ack = ack_at(acks, number);
    WEIR_ASSERT(!ack->done);
    if (completion->err == WEIR_CLOSED) { /* it may be kept: neither yes nor no would be true */
        return weir_mqtt_fail(session, WEIR_MQTT_SHUTTING_DOWN,
                              "The server stops, or cannot write any more.", out);
    }
    ack->done = true;
    ack->reason = reason_of(completion->err);
    ack->text = text_of(completion->err);
    ack->level = completion->err == WEIR_OK ? (uint8_t)completion->published.level : 0;
    return acks_flush(session, out);
}
