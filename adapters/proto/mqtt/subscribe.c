/* adapters/proto/mqtt/subscribe.c - SUBSCRIBE and UNSUBSCRIBE, and the table of the session's
 * filters.
 *
 *   SUBSCRIBE --> request: [filter: code | waiting][..]... --port--> completions --> SUBACK
 *
 *   slots   [a/#  qos 1 id 7][free][b/+ qos 0]     the index comes back with each delivery
 *
 * A request holds a code for each filter: known at once when the filter is refused here, else when
 * the engine answers. SUBACK leaves when none is missing. When the port is full in the middle, the
 * packet stays in the input and `resume` tells where to go on.
 *
 * A slot lives while the engine has the filter or an operation on it is under way. Its options are
 * in force from the submission on, since deliveries may come before the completion; if a filter
 * that was there before cannot be replaced, it gets its former options back.
 *
 * [B1] A slot is free exactly when it has no filter; then nothing is pending and it is not live. */
#include "adapters/proto/mqtt/state.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/trie.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 4, CODE_REFUSED_3_1_1 = 0x80 };
#define SLOT_NONE UINT32_MAX

/* ---- The table ------------------------------------------------------------------------------- */

const mqtt_subscription *weir_mqtt_slot(const weir_mqtt_session *session, uint32_t slot)
{
    const mqtt_subscriptions *table = session->subscriptions;
    if (table == NULL || slot >= table->capacity || table->slots[slot].filter == NULL) {
        return NULL;
    }
    return &table->slots[slot];
}

static uint32_t slot_find(const weir_mqtt_session *session, weir_bytes filter)
{
    const mqtt_subscriptions *table = session->subscriptions;
    uint32_t hash = (uint32_t)weir_hash(filter);
    for (uint32_t i = 0; table != NULL && i < table->capacity; i++) {
        const mqtt_subscription *slot = &table->slots[i];
        if (slot->filter != NULL && slot->hash == hash && slot->filter_len == filter.len &&
            memcmp(slot->filter, filter.ptr, filter.len) == 0) {
            return i;
        }
    }
    return SLOT_NONE;
}

static weir_err slots_room(weir_mqtt_session *session)
{
    mqtt_subscriptions *table = session->subscriptions;
    if (table != NULL && table->count < table->capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = table == NULL ? SLOTS_MIN : table->capacity * 2;
    mqtt_subscriptions *more = calloc(1, sizeof(*more) + capacity * sizeof(more->slots[0]));
    if (more == NULL) {
        return WEIR_NO_MEMORY;
    }
    if (table != NULL) {
        memcpy(more->slots, table->slots, table->capacity * sizeof(table->slots[0]));
        more->count = table->count;
    }
    more->capacity = capacity;
    free(table);
    session->subscriptions = more;
    return WEIR_OK;
}

/* A free slot, made the filter's. */
static weir_err slot_take(weir_mqtt_session *session, weir_bytes filter, uint32_t *index)
{
    weir_err err = slots_room(session);
    uint8_t *copy = err == WEIR_OK ? malloc(filter.len) : NULL;
    if (copy == NULL) {
        return WEIR_NO_MEMORY;
    }
    mqtt_subscriptions *table = session->subscriptions;
    uint32_t free_slot = 0;
    while (table->slots[free_slot].filter != NULL) {
        free_slot++; /* there is one: slots_room */
    }
    memcpy(copy, filter.ptr, filter.len);
    table->slots[free_slot] = (mqtt_subscription){
        .filter = copy, .filter_len = (uint16_t)filter.len, .hash = (uint32_t)weir_hash(filter)};
    table->count++;
    *index = free_slot;
    return WEIR_OK;
}

/* Frees the slot if nobody needs it any more, and the table with its last one. */
static void slot_settle(weir_mqtt_session *session, uint32_t index)
{
    mqtt_subscriptions *table = session->subscriptions;
    mqtt_subscription *slot = &table->slots[index];
    if (slot->live || slot->pending > 0) {
        return;
    }
    free(slot->filter);
    *slot = (mqtt_subscription){0}; /* [B1] */
    if (--table->count == 0) {
        free(table);
        session->subscriptions = NULL;
    }
}

/* ---- Requests -------------------------------------------------------------------------------- */

static uint32_t requests_count(const weir_mqtt_session *session)
{
    uint32_t count = 0;
    for (const mqtt_request *r = session->requests; r != NULL; r = r->next) {
        count++;
    }
    return count;
}

static mqtt_request *request_create(weir_mqtt_session *session, const weir_mqtt_packet *packet)
{
    mqtt_request *request =
        calloc(1, sizeof(*request) + packet->filters * sizeof(request->filters[0]));
    if (request != NULL) {
        request->number = ++session->request_number;
        request->id = packet->id;
        request->type = packet->type;
        request->count = packet->filters;
        request->next = session->requests;
        session->requests = request;
    }
    return request;
}

static void request_destroy(weir_mqtt_session *session, mqtt_request *request)
{
    mqtt_request **link = &session->requests;
    while (*link != request) {
        link = &(*link)->next;
    }
    *link = request->next;
    free(request->text);
    free(request);
}

/* SUBACK or UNSUBACK, when no code is missing. */
static weir_err request_finish(weir_mqtt_session *session, mqtt_request *request, weir_buffer *out)
{
    if (request->submitted < request->count || request->waiting > 0) {
        return WEIR_OK;
    }
    uint8_t *codes = (uint8_t *)request->filters; /* packed in place: each is behind its source */
    for (uint32_t i = 0; i < request->count; i++) {
        codes[i] = request->filters[i].code;
    }
    weir_mqtt_packet packet = {.type = (uint8_t)(request->type + 1), .id = request->id};
    if (request->type == WEIR_MQTT_SUBSCRIBE || session->version == WEIR_MQTT_5) {
        packet.payload = (weir_bytes){codes, request->count};
    }
    weir_mqtt_property why = {.name = WEIR_MQTT_REASON_STRING,
                              .text = weir_bytes_of(request->text)};
    bool told = request->text != NULL && session->problem_texts; /* [MQTT-3.1.2-29] */
    weir_err err = weir_mqtt_packet_write(session, &packet, &why, told, out);
    if (err == WEIR_TOO_LARGE && told) { /* [MQTT-3.9.2-1] */
        err = weir_mqtt_packet_write(session, &packet, NULL, 0, out);
    }
    request_destroy(session, request);
    return err == WEIR_TOO_LARGE ? weir_mqtt_close(session, WEIR_MQTT_PACKET_TOO_LARGE,
                                                   "The client's Maximum Packet Size is too small "
                                                   "for an acknowledgement.")
                                 : err;
}

uint8_t weir_mqtt_subscribe_code(const weir_mqtt_session *session, weir_err err)
{
    if (session->version < WEIR_MQTT_5) {
        return CODE_REFUSED_3_1_1;
    }
    switch (err) {
    case WEIR_NAME_INVALID:
    case WEIR_NOT_FOUND: /* of a shared subscription: no such group, or another */
    case WEIR_EXISTS:
        return WEIR_MQTT_FILTER_INVALID;
    case WEIR_LIMIT:
    case WEIR_NO_MEMORY:
        return WEIR_MQTT_QUOTA_EXCEEDED;
    case WEIR_NOT_AUTHORIZED:
        return WEIR_MQTT_NOT_AUTHORIZED;
    case WEIR_NOT_OFFERED:
        return WEIR_MQTT_IMPLEMENTATION_SPECIFIC;
    default:
        return WEIR_MQTT_UNSPECIFIED;
    }
}

/* ---- One filter of a SUBSCRIBE --------------------------------------------------------------- */

static uint32_t levels_of(weir_bytes filter)
{
    uint32_t levels = 1;
    for (size_t i = 0; i < filter.len; i++) {
        levels += filter.ptr[i] == '/';
    }
    return levels;
}

/* 0, or the code with which the filter is refused before anybody else sees it. */
static uint8_t filter_refusal(weir_mqtt_session *session, weir_bytes filter)
{
    const weir_limits *limits = session->context->limits;
    bool valid = weir_mqtt_filter_is_share(filter) ? weir_mqtt_share_filter_is_valid(filter)
                                                   : weir_filter_check(filter) == WEIR_OK;
    if (filter.len > limits->name_bytes_max) {
        session->context->stats.refused_name++;
        return weir_mqtt_subscribe_code(session, WEIR_NAME_INVALID);
    }
    if (levels_of(filter) > limits->levels_max) {
        session->context->stats.refused_levels++;
        return weir_mqtt_subscribe_code(session, WEIR_NAME_INVALID);
    }
    if (!valid) { /* [MQTT-4.7.1-1], [MQTT-4.7.1-2] */
        return weir_mqtt_subscribe_code(session, WEIR_NAME_INVALID);
    }
    const mqtt_subscriptions *table = session->subscriptions;
    if (table != NULL && table->count >= limits->subscriptions_max &&
        slot_find(session, filter) == SLOT_NONE) {
        session->context->stats.refused_subscriptions++;
        return weir_mqtt_subscribe_code(session, WEIR_LIMIT);
    }
    return 0;
}

static weir_retained_mode retained_mode(const weir_mqtt_session *session, uint8_t options)
{
    if (session->version < WEIR_MQTT_5) {
        return WEIR_RETAINED_SEND; /* 3.1.1 [MQTT-3.3.1-6] */
    }
    switch ((options & WEIR_MQTT_OPTION_HANDLING) >> 4) {
    case 0:
        return WEIR_RETAINED_SEND; /* [MQTT-3.3.1-9] */
    case 1:
        return WEIR_RETAINED_SEND_IF_NEW; /* [MQTT-3.3.1-10] */
    default:
        return WEIR_RETAINED_NONE; /* [MQTT-3.3.1-11] */
    }
}

static mqtt_options options_of(uint8_t options, uint32_t identifier)
{
    return (mqtt_options){.identifier = identifier,
                          .qos = (options & WEIR_MQTT_OPTION_QOS) > 0, /* QoS 2 is granted 1 */
                          .rap = (options & WEIR_MQTT_OPTION_RAP) != 0};
}

/* AGAIN: the port is full; nothing changed. Other errors are the filter's code. */
static weir_err filter_submit(weir_mqtt_session *session, mqtt_request *request, weir_bytes filter,
                              uint8_t options, uint32_t identifier)
{
    const weir_mqtt_context *context = session->context;
    mqtt_request_filter *entry = &request->filters[request->submitted];
    uint32_t index = slot_find(session, filter);
    if (index == SLOT_NONE) {
        weir_err err = slot_take(session, filter, &index);
        if (err != WEIR_OK) {
            return err;
        }
    }
    weir_subscribe subscribe = {.filter = filter,
                                .slot = index,
                                .no_local = (options & WEIR_MQTT_OPTION_NO_LOCAL) != 0,
                                .retained = retained_mode(session, options),
                                .start = WEIR_START_END};
    weir_err err = context->ops->subscribe(
        context->port, session->subscriber, &subscribe, session->user,
        token_of(TOKEN_SUBSCRIBE, request->number << TOKEN_INDEX_BITS | request->submitted));
    if (err != WEIR_OK) {
        slot_settle(session, index);
        return err;
    }
    mqtt_subscription *slot = &session->subscriptions->slots[index];
    entry->slot = index;
    entry->previous = slot->options;
    entry->waiting = true;
    slot->options = options_of(options, identifier); /* [MQTT-3.8.4-3] */
    slot->pending++;
    request->waiting++;
    session->pending++;
    entry->code = slot->options.qos;
    return WEIR_OK;
}

/* A shared filter joins its group; one that is there takes the new options. AGAIN: nothing changed. */
static weir_err share_submit(weir_mqtt_session *session, mqtt_request *request, weir_bytes filter,
                             uint8_t options, uint32_t identifier)
{
    mqtt_request_filter *entry = &request->filters[request->submitted];
    uint64_t asked = request->number << TOKEN_INDEX_BITS | request->submitted;
    uint32_t index = slot_find(session, filter);
    if (index != SLOT_NONE) {
        mqtt_subscription *slot = &session->subscriptions->slots[index];
        if (weir_mqtt_share_is_asked(slot->share)) {
            return WEIR_AGAIN; /* the same is being joined: its answer comes first */
        }
        slot->options = options_of(options, identifier);
        entry->code = slot->options.qos;
        return WEIR_OK;
    }
    weir_err err = slot_take(session, filter, &index);
    if (err != WEIR_OK) {
        return err;
    }
    mqtt_subscription *slot = &session->subscriptions->slots[index];
    err = weir_mqtt_share_open(session, filter, index, asked, &slot->share);
    if (err != WEIR_OK) {
        slot_settle(session, index);
        return err;
    }
    entry->slot = index;
    entry->waiting = true;
    slot->options = options_of(options, identifier);
    slot->pending++;
    request->waiting++;
    entry->code = slot->options.qos;
    return WEIR_OK;
}

/* The session's subscriber, opened with the first SUBSCRIBE of a filter that is not shared. */
static weir_err subscriber_need(weir_mqtt_session *session, const weir_mqtt_packet *packet)
{
    const weir_mqtt_context *context = session->context;
    weir_bytes rest = packet->payload, filter;
    uint8_t options = 0, every = 0;
    bool plain = false;
    while (weir_mqtt_filter_next(&rest, true, &filter, &options)) {
        bool shared = weir_mqtt_filter_is_share(filter);
        every |= shared ? 0 : options & WEIR_MQTT_OPTION_QOS;
        plain = plain || !shared;
    }
    if (session->subscriber != NULL || !plain) {
        return WEIR_OK;
    }
    weir_err err =
        context->ops->subscriber_open(context->port, session->user, &session->subscriber);
    if (err != WEIR_OK) {
        return err;
    }
    weir_mqtt_credit_begin(session, every != 0);
    (void)weir_mqtt_credit_flush(session, true); /* AGAIN: drained() will try again */
    return WEIR_OK;
}

/* ---- One filter of an UNSUBSCRIBE ------------------------------------------------------------ */

/* Nothing new comes from now on; what is with the client stays until it is acknowledged. AGAIN: it
 * is being joined. */
static weir_err share_withdraw(weir_mqtt_session *session, uint32_t index)
{
    mqtt_subscription *slot = &session->subscriptions->slots[index];
    struct mqtt_share *share = slot->share;
    if (weir_mqtt_share_is_asked(share)) {
        return WEIR_AGAIN;
    }
    slot->share = NULL;
    slot->live = false;
    slot_settle(session, index);
    weir_mqtt_share_close(session, share);
    return WEIR_OK;
}

static weir_err filter_withdraw(weir_mqtt_session *session, mqtt_request *request,
                                weir_bytes filter)
{
    const weir_mqtt_context *context = session->context;
    mqtt_request_filter *entry = &request->filters[request->submitted];
    uint32_t index = slot_find(session, filter);
    if (index == SLOT_NONE) {
        entry->code = WEIR_MQTT_NO_SUBSCRIPTION_EXISTED; /* [MQTT-3.10.4-5] */
        return WEIR_OK;
    }
    if (session->subscriptions->slots[index].share != NULL) {
        return share_withdraw(session, index);
    }
    weir_err err = context->ops->unsubscribe(
        context->port, session->subscriber, filter, session->user,
        token_of(TOKEN_UNSUBSCRIBE, request->number << TOKEN_INDEX_BITS | request->submitted));
    if (err != WEIR_OK) {
        return err;
    }
    entry->slot = index;
    entry->waiting = true;
    session->subscriptions->slots[index].pending++;
    request->waiting++;
    session->pending++;
    return WEIR_OK;
}

/* ---- Whole packets --------------------------------------------------------------------------- */

static weir_err filter_take(weir_mqtt_session *session, mqtt_request *request, weir_bytes filter,
                            uint8_t options, uint32_t identifier)
{
    mqtt_request_filter *entry = &request->filters[request->submitted];
    weir_err err = WEIR_OK;
    if (request->type == WEIR_MQTT_UNSUBSCRIBE) {
        err = filter_withdraw(session, request, filter);
    } else {
        entry->code = filter_refusal(session, filter);
        if (entry->code == 0) {
            err = weir_mqtt_filter_is_share(filter)
                      ? share_submit(session, request, filter, options, identifier)
                      : filter_submit(session, request, filter, options, identifier);
        }
    }
    if (err == WEIR_AGAIN) {
        return err;
    }
    if (err != WEIR_OK) {
        entry->code = weir_mqtt_subscribe_code(session, err);
    }
    request->submitted++;
    return WEIR_OK;
}

/* Protocol errors and limits of a packet as a whole, before anything of it is done. */
static weir_err packet_check(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                             weir_buffer *out)
{
    weir_mqtt_stats *stats = &session->context->stats;
    if (packet->filters > session->context->limits->filters_per_packet_max) {
        stats->refused_filters++;
        return weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED,
                              "More filters in one packet than filters_per_packet_max.", out);
    }
    bool subscribe = packet->type == WEIR_MQTT_SUBSCRIBE;
    weir_bytes rest = packet->payload, filter;
    uint8_t options = 0;
    while (weir_mqtt_filter_next(&rest, subscribe, &filter, &options)) {
        bool shared = subscribe && weir_mqtt_filter_is_share(filter);
        if (shared && (options & WEIR_MQTT_OPTION_NO_LOCAL) != 0) {
            stats->protocol_errors++; /* [MQTT-3.8.3-4] */
            return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR,
                                  "No Local was set on a shared subscription.", out);
        }
        if (shared && session->version == WEIR_MQTT_5 && weir_mqtt_share_is_malformed(filter)) {
            stats->protocol_errors++; /* [MQTT-4.8.2-1], [MQTT-4.8.2-2] */
            return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR,
                                  "A shared subscription is $share/NAME/FILTER, NAME without + #.",
                                  out);
        }
    }
    return WEIR_OK;
}

/* The request of this packet: a new one, or the one that was interrupted. */
static weir_err request_of(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                           weir_buffer *out, mqtt_request **request)
{
    *request = session->resume;
    if (*request != NULL) {
        return WEIR_OK;
    }
    weir_err err = packet_check(session, packet, out);
    if (err != WEIR_OK) {
        return err;
    }
    if (requests_count(session) >= REQUESTS_MAX) {
        return WEIR_AGAIN;
    }
    if (packet->type == WEIR_MQTT_SUBSCRIBE) {
        err = subscriber_need(session, packet);
    }
    if (err == WEIR_OK) {
        *request = request_create(session, packet);
        err = *request != NULL ? WEIR_OK : WEIR_NO_MEMORY;
    }
    return err;
}

weir_err weir_mqtt_subscribe_take(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                                  weir_buffer *out)
{
    mqtt_request *request = NULL;
    weir_err err = request_of(session, packet, out, &request);
    if (err != WEIR_OK) {
        return err;
    }
    uint32_t identifier = weir_mqtt_number(&packet->properties, WEIR_MQTT_SUBSCRIPTION_ID, 0);
    weir_bytes rest = packet->payload, filter;
    uint8_t options = 0;
    uint32_t index = 0;
    while (weir_mqtt_filter_next(&rest, packet->type == WEIR_MQTT_SUBSCRIBE, &filter, &options)) {
        if (index++ < request->submitted) {
            continue; /* done before it was interrupted */
        }
        if (filter_take(session, request, filter, options, identifier) == WEIR_AGAIN) {
            session->resume = request; /* [S4] */
            return WEIR_AGAIN;
        }
    }
    session->resume = NULL;
    return request_finish(session, request, out);
}

static void subscribe_settle(weir_mqtt_session *session, mqtt_request_filter *entry, weir_err err)
{
    mqtt_subscription *slot = &session->subscriptions->slots[entry->slot];
    if (err == WEIR_OK) {
        slot->live = true;
    } else {
        entry->code = weir_mqtt_subscribe_code(session, err);
        if (slot->pending == 0) {
            slot->options = entry->previous;
        }
    }
}

static void unsubscribe_settle(weir_mqtt_session *session, mqtt_request_filter *entry,
                               const weir_completion *completion)
{
    if (completion->err == WEIR_OK) {
        session->subscriptions->slots[entry->slot].live = false;
        entry->code = completion->existed ? WEIR_MQTT_SUCCESS : WEIR_MQTT_NO_SUBSCRIPTION_EXISTED;
    } else {
        entry->code = WEIR_MQTT_UNSPECIFIED;
    }
}

/* The filter, of a request, that waits for an answer: no longer. */
static mqtt_request *answered(weir_mqtt_session *session, uint64_t value,
                              mqtt_request_filter **entry)
{
    uint32_t index = (uint32_t)(value & ((1u << TOKEN_INDEX_BITS) - 1));
    mqtt_request *request = session->requests;
    while (request != NULL && request->number != value >> TOKEN_INDEX_BITS) {
        request = request->next;
    }
    WEIR_ASSERT(request != NULL && index < request->submitted); /* one completion for each: [S2] */
    *entry = &request->filters[index];
    WEIR_ASSERT((*entry)->waiting);
    (*entry)->waiting = false;
    request->waiting--;
    session->subscriptions->slots[(*entry)->slot].pending--;
    return request;
}

/* The first that is told. No memory: it goes without. */
static void text_keep(mqtt_request *request, const char *text)
{
    size_t bytes = text != NULL ? strlen(text) + 1 : 0;
    if (bytes > 0 && request->text == NULL) {
        request->text = malloc(bytes);
        if (request->text != NULL) {
            memcpy(request->text, text, bytes);
        }
    }
}

weir_err weir_mqtt_subscribe_answer(weir_mqtt_session *session, uint64_t asked, uint8_t code,
                                    const char *text, weir_buffer *out)
{
    mqtt_request_filter *entry = NULL;
    mqtt_request *request = answered(session, asked, &entry);
    mqtt_subscription *slot = &session->subscriptions->slots[entry->slot];
    slot->live = code == 0;
    if (code != 0) {
        slot->share = NULL;
        entry->code = code;
        text_keep(request, text);
        slot_settle(session, entry->slot);
    }
    return request_finish(session, request, out);
}

weir_err weir_mqtt_subscribe_complete(weir_mqtt_session *session, const weir_completion *completion,
                                      weir_buffer *out)
{
    uint64_t value = completion->token & (((uint64_t)1 << TOKEN_KIND_SHIFT) - 1);
    mqtt_request_filter *entry = NULL;
    mqtt_request *request = answered(session, value, &entry);
    if (request->type == WEIR_MQTT_SUBSCRIBE) {
        subscribe_settle(session, entry, completion->err);
    } else {
        unsubscribe_settle(session, entry, completion);
    }
    slot_settle(session, entry->slot);
    return request_finish(session, request, out);
}

void weir_mqtt_subscribe_fini(weir_mqtt_session *session)
{
    mqtt_subscriptions *table = session->subscriptions;
    for (uint32_t i = 0; table != NULL && i < table->capacity; i++) {
        free(table->slots[i].filter);
    }
    free(table);
    session->subscriptions = NULL;
    while (session->requests != NULL) {
        request_destroy(session, session->requests);
    }
    session->resume = NULL;
}
