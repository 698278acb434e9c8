/* adapters/proto/mqtt/session.c - a connection's life: input packet by packet, completions, time,
 * end.
 *
 * The states are drawn in state.h. Happy path: CONNECT is taken (connect.c), CONNACK written; then
 * each packet that is whole goes to the file that knows it, and completions to the same files. An
 * orderly DISCONNECT, or the end of the socket, closes; end() publishes the will, closes the
 * subscriber, gives the client id back and waits for what is still to come.
 *
 * Failures: whatever a peer sends wrongly ends in weir_mqtt_fail, which says DISCONNECT to a 5.0
 * client and nothing to others, and is CLOSED; nothing is read after that. Memory that cannot be
 * had closes the one connection. The port being full is no failure: the packet stays in the input.
 *
 *                NEW        CLAIMING     ACTIVE                                    CLOSED
 *   CONNECT      taken      waits        0x82 [MQTT-3.1.0-2]                       ignored
 *   PUBLISH      close      waits        publish.c                                 ignored
 *   PUBACK       close      waits        deliver.c; 0x82 when nothing has that id  ignored
 *   PUBREL       close      waits        PUBCOMP 0x92: no such id is ever open     ignored
 *   SUBSCRIBE, UNSUBSCRIBE
 *                close      waits        subscribe.c                               ignored
 *   PINGREQ      close      waits        PINGRESP [MQTT-3.12.4-1]                  ignored
 *   DISCONNECT   close      waits        closed, will dropped on 0x00              ignored
 *   all others   close      waits        0x82                                      ignored */
#include "adapters/proto/mqtt/state.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

enum { REASON_PROPERTIES_MAX = 2, KEEP_ALIVE_MS = 1500 /* one and a half times [MQTT-3.1.2-22] */ };

/* ---- The context ----------------------------------------------------------------------------- */

weir_err weir_mqtt_context_init(weir_mqtt_context *context)
{
    context->id_count = 0;
    context->share_log_ms = 0;
    context->share_log_lines = 0;
    context->stats = (weir_mqtt_stats){0};
    return weir_mqtt_wire_cache_create(&context->cache);
}

void weir_mqtt_context_fini(weir_mqtt_context *context)
{
    weir_mqtt_wire_cache_destroy(context->cache);
    context->cache = NULL;
}

void weir_mqtt_context_turn_end(weir_mqtt_context *context)
{
    weir_mqtt_wire_cache_turn_end(context->cache);
}

void weir_mqtt_context_quiet(weir_mqtt_context *context, const weir_completion *completion)
{
    if (completion->type == WEIR_COMPLETION_SETTLED) {
        context->stats.share_late += completion->settled.refused;
    } else {
        context->stats.quiet_refused += completion->err != WEIR_OK;
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

weir_err weir_mqtt_session_create(weir_mqtt_context *context, void *user,
                                  weir_mqtt_session **session)
{
    weir_mqtt_session *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->context = context;
    made->user = user;
    made->seen_ms = context->now_ms;
    made->packet_max = UINT32_MAX;
    made->receive_max = UINT16_MAX;
    *session = made;
    return WEIR_OK;
}

static void aliases_destroy(weir_mqtt_session *session)
{
    mqtt_aliases *aliases = session->aliases;
    for (uint32_t i = 0; aliases != NULL && i < aliases->count; i++) {
        free(aliases->names[i].name);
    }
    free(aliases);
    session->aliases = NULL;
}

void weir_mqtt_session_destroy(weir_mqtt_session *session)
{
    if (session == NULL) {
        return;
    }
    weir_mqtt_publish_fini(session);
    weir_mqtt_shares_fini(session);
    weir_mqtt_subscribe_fini(session);
    weir_mqtt_deliver_fini(session);
    weir_mqtt_will_forget(session);
    aliases_destroy(session);
    free(session->client_id);
    free(session);
}

static weir_err subscriber_end(weir_mqtt_session *session)
{
    const weir_mqtt_context *context = session->context;
    if (session->subscriber == NULL || session->subscriber_closed) {
        return WEIR_OK;
    }
    weir_err err = context->ops->subscriber_close(context->port, session->subscriber, session->user,
                                                  token_of(TOKEN_CLOSE, 0));
    if (err == WEIR_OK) {
        session->subscriber_closed = true;
        session->pending++;
    }
    return err;
}

weir_err weir_mqtt_session_end(weir_mqtt_session *session)
{
    const weir_mqtt_context *context = session->context;
    if (session->state != MQTT_STATE_CLOSED) {
        (void)weir_mqtt_close(session, WEIR_MQTT_UNSPECIFIED, "The client closed its connection.");
    }
    if (!session->accepted) {
        weir_mqtt_will_forget(session); /* never in force */
    }
    session->ending = true;
    weir_mqtt_deliver_fini(session);
    if (weir_mqtt_will_publish(session) != WEIR_OK || subscriber_end(session) != WEIR_OK ||
        weir_mqtt_shares_end(session) != WEIR_OK) {
        return WEIR_AGAIN;
    }
    if (session->claimed) {
        session->claimed = false;
        context->hooks->release(context->hooks_arg, session, weir_mqtt_session_client_id(session));
    }
    return session->pending == 0 ? WEIR_OK : WEIR_AGAIN;
}

/* ---- Saying no ------------------------------------------------------------------------------- */

weir_err weir_mqtt_close(weir_mqtt_session *session, uint8_t reason, const char *text)
{
    session->state = MQTT_STATE_CLOSED;
    session->close_reason = reason;
    session->close_text = text;
    session->blocked = false;
    return WEIR_CLOSED;
}

weir_err weir_mqtt_fail(weir_mqtt_session *session, uint8_t reason, const char *text,
                        weir_buffer *out)
{
    if (session->state == MQTT_STATE_ACTIVE && session->version == WEIR_MQTT_5) {
        (void)weir_mqtt_reason_write(session, WEIR_MQTT_DISCONNECT, 0, reason, text, 0, out);
    }
    return weir_mqtt_close(session, reason, text);
}

weir_err weir_mqtt_fail_decode(weir_mqtt_session *session, weir_err err, weir_buffer *out)
{
    weir_mqtt_stats *stats = &session->context->stats;
    switch (err) {
    case WEIR_PROTOCOL:
        stats->protocol_errors++;
        return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR, "A packet breaks a rule.", out);
    case WEIR_NAME_INVALID:
        stats->malformed++;
        return weir_mqtt_fail(session, WEIR_MQTT_NAME_INVALID, "A topic name has a wildcard.", out);
    default:
        stats->malformed++;
        return weir_mqtt_fail(session, WEIR_MQTT_MALFORMED_PACKET, "A packet is malformed.", out);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

weir_err weir_mqtt_packet_write(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                                const weir_mqtt_property *properties, size_t count,
                                weir_buffer *out)
{
    size_t size = weir_mqtt_encode(session->version, packet, properties, count, NULL, 0);
    WEIR_ASSERT(size > 0); /* our own packets can be said */
    if (size > session->packet_max) {
        return WEIR_TOO_LARGE;
    }
    weir_err err = weir_buffer_reserve(out, size);
    if (err == WEIR_OK) {
        (void)weir_mqtt_encode(session->version, packet, properties, count, out->ptr + out->len,
                               size);
        out->len += size;
    }
    return err;
}

/* Reason strings go into acknowledgements only when the client wants them [MQTT-3.1.2-29], and into
 * nothing that would be over its maximum [MQTT-3.4.2-2], [MQTT-3.14.2-3]. */
weir_err weir_mqtt_reason_write(weir_mqtt_session *session, uint8_t type, uint16_t id,
                                uint8_t reason, const char *text, uint8_t level, weir_buffer *out)
{
    weir_mqtt_packet packet = {.type = type, .id = id, .reason = reason};
    weir_mqtt_property list[REASON_PROPERTIES_MAX];
    size_t count = 0;
    if (level != 0) {
        list[count++] =
            (weir_mqtt_property){.name = WEIR_MQTT_USER_PROPERTY,
                                 .text = WEIR_TEXT("weir-level"),
                                 .value = weir_bytes_of(weir_level_name((weir_level)level))};
    }
    if (text != NULL && (session->problem_texts || type == WEIR_MQTT_DISCONNECT)) {
        list[count++] =
            (weir_mqtt_property){.name = WEIR_MQTT_REASON_STRING, .text = weir_bytes_of(text)};
    }
    weir_err err = weir_mqtt_packet_write(session, &packet, list, count, out);
    if (err == WEIR_TOO_LARGE) {
        err = weir_mqtt_packet_write(session, &packet, NULL, 0, out);
    }
    return err;
}

static weir_err write_two(weir_buffer *out, uint8_t first)
{
    const uint8_t bytes[] = {first, 0};
    return weir_buffer_append(out, bytes, sizeof(bytes));
}

/* ---- Packets --------------------------------------------------------------------------------- */

static weir_err protocol_error(weir_mqtt_session *session, const char *text, weir_buffer *out)
{
    session->context->stats.protocol_errors++;
    return weir_mqtt_fail(session, WEIR_MQTT_PROTOCOL_ERROR, text, out);
}

static weir_err disconnect_take(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                                weir_buffer *out)
{
    if (!session->asked_expiry &&
        weir_mqtt_number(&packet->properties, WEIR_MQTT_SESSION_EXPIRY, 0) != 0) {
        return protocol_error(session, "DISCONNECT asks for a session that CONNECT did not.", out);
    }
    if (packet->reason == WEIR_MQTT_SUCCESS) {
        weir_mqtt_will_forget(session); /* [MQTT-3.14.4-3], [MQTT-3.1.2-10] */
    }
    session->orderly = packet->reason < WEIR_MQTT_UNSPECIFIED;
    return weir_mqtt_close(session, packet->reason, "The client said DISCONNECT.");
}

static weir_err puback_take(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                            weir_buffer *out)
{
    weir_err err = weir_mqtt_share_acked(session, packet, out);
    if (err == WEIR_NOT_FOUND) {
        err = weir_mqtt_deliver_acked(session, packet->id, out); /* any reason: it is done */
    }
    return err == WEIR_PROTOCOL
               ? protocol_error(session, "PUBACK for a packet id that is not in flight.", out)
               : err;
}

static weir_err other_take(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                           weir_buffer *out)
{
    switch (packet->type) {
    case WEIR_MQTT_PUBACK:
        return puback_take(session, packet, out);
    case WEIR_MQTT_PUBREL: {
        uint8_t reason = session->version == WEIR_MQTT_5 ? WEIR_MQTT_ID_NOT_FOUND : 0;
        return weir_mqtt_reason_write(session, WEIR_MQTT_PUBCOMP, packet->id, reason, NULL, 0, out);
    }
    case WEIR_MQTT_SUBSCRIBE:
    case WEIR_MQTT_UNSUBSCRIBE:
        return weir_mqtt_subscribe_take(session, packet, out);
    case WEIR_MQTT_PINGREQ:
        return write_two(out, WEIR_MQTT_PINGRESP << 4);
    case WEIR_MQTT_DISCONNECT:
        return disconnect_take(session, packet, out);
    case WEIR_MQTT_CONNECT:
        return protocol_error(session, "A second CONNECT.", out);
    default:
        return protocol_error(session, "A packet that a client never sends here.", out);
    }
}

static weir_err decode_and_take(weir_mqtt_session *session, weir_bytes bytes, weir_buffer *out)
{
    weir_mqtt_packet packet;
    size_t used = 0;
    weir_err err = weir_mqtt_decode(bytes, session->version, &packet, &used);
    if (err != WEIR_OK) {
        bool connect = bytes.ptr[0] >> 4 == WEIR_MQTT_CONNECT;
        return connect ? protocol_error(session, "A second CONNECT.", out)
                       : weir_mqtt_fail_decode(session, err, out);
    }
    if (packet.properties.pairs > session->context->limits->headers_max) {
        session->context->stats.refused_headers++;
        return weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED,
                              "More user properties than headers_max.", out);
    }
    return other_take(session, &packet, out);
}

/* The first packet: CONNECT [MQTT-3.1.0-1], and not more bytes than limits.connect_bytes_max. */
static weir_err first_take(weir_mqtt_session *session, weir_bytes in, weir_buffer *out,
                           size_t *taken)
{
    weir_mqtt_head head;
    weir_mqtt_stats *stats = &session->context->stats;
    if (in.ptr[0] >> 4 != WEIR_MQTT_CONNECT) {
        stats->protocol_errors++;
        return weir_mqtt_close(session, WEIR_MQTT_PROTOCOL_ERROR,
                               "The first packet is no CONNECT.");
    }
    weir_err err = weir_mqtt_head_decode(in, 0, &head);
    if (err == WEIR_MORE) {
        return err;
    }
    if (err != WEIR_OK) {
        stats->malformed++;
        return weir_mqtt_close(session, WEIR_MQTT_MALFORMED_PACKET, "CONNECT is malformed.");
    }
    size_t size = head.head_bytes + (size_t)head.remaining;
    if (size > session->context->limits->connect_bytes_max) {
        stats->refused_connect_bytes++;
        return weir_mqtt_close(session, WEIR_MQTT_PACKET_TOO_LARGE,
                               "CONNECT is larger than connect_bytes_max.");
    }
    if (in.len < size) {
        return WEIR_MORE;
    }
    *taken = size;
    return weir_mqtt_connect_take(session, (weir_bytes){in.ptr, size}, out);
}

/* One packet off the front. MORE: it is not whole yet. AGAIN: it cannot be taken now. */
static weir_err packet_take(weir_mqtt_session *session, weir_bytes in, weir_buffer *out,
                            size_t *taken)
{
    weir_mqtt_head head;
    weir_err err = weir_mqtt_head_decode(in, session->version, &head);
    if (err != WEIR_OK) {
        return err == WEIR_MORE ? err : weir_mqtt_fail_decode(session, err, out);
    }
    size_t size = head.head_bytes + (size_t)head.remaining;
    if (size > session->context->limits->packet_bytes_max) {
        session->context->stats.refused_packet_bytes++;
        return weir_mqtt_fail(session, WEIR_MQTT_PACKET_TOO_LARGE,
                              "A packet is larger than packet_bytes_max.", out);
    }
    if (in.len < size) {
        return WEIR_MORE;
    }
    *taken = size;
    if (head.type == WEIR_MQTT_PUBLISH) {
        weir_bytes body = {in.ptr + head.head_bytes, head.remaining};
        return weir_mqtt_publish_take(session, head.flags, body, out);
    }
    return decode_and_take(session, (weir_bytes){in.ptr, size}, out);
}

/* ---- Verbs ----------------------------------------------------------------------------------- */

static weir_err input_packets(weir_mqtt_session *session, weir_bytes in, weir_buffer *out,
                              size_t *used)
{
    weir_err err = WEIR_OK;
    size_t at = 0;
    while (err == WEIR_OK && at < in.len) {
        if (session->state == MQTT_STATE_CLAIMING) {
            err = WEIR_AGAIN;
            break;
        }
        weir_bytes rest = {in.ptr + at, in.len - at};
        size_t taken = 0;
        err = session->state == MQTT_STATE_ACTIVE ? packet_take(session, rest, out, &taken)
                                                  : first_take(session, rest, out, &taken);
        if (err == WEIR_OK) {
            at += taken;
            session->context->stats.packets_received++;
        }
    }
    *used = at;
    return err == WEIR_MORE ? WEIR_OK : err;
}

/* Credit goes back with drained(); here it goes early, so that acknowledgements are answered in the
 * same turn. AGAIN is for drained() to tell. */
static void credit_offer(weir_mqtt_session *session, const weir_buffer *out)
{
    bool drained = out->len <= session->context->limits->output_bytes_max / 2;
    (void)weir_mqtt_credit_flush(session, drained);
}

/* Shared subscriptions do what they can; `err` is what the caller has to say. */
static weir_err shares_go_on(weir_mqtt_session *session, weir_err err, weir_buffer *out)
{
    if (session->shares == NULL) {
        return err;
    }
    bool drained = out->len <= session->context->limits->output_bytes_max / 2;
    weir_err now = weir_mqtt_shares_work(session, drained, out);
    if (now != WEIR_OK && now != WEIR_AGAIN) { /* AGAIN: drained(), or the deadline, tries again */
        return weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED, "Memory could not be had.", out);
    }
    return err;
}

weir_err weir_mqtt_session_input(weir_mqtt_session *session, weir_bytes in, weir_buffer *out,
                                 size_t *used)
{
    if (session->state == MQTT_STATE_CLOSED) {
        *used = in.len;
        return WEIR_CLOSED;
    }
    if (in.len > 0 && session->state != MQTT_STATE_NEW) {
        session->seen_ms = session->context->now_ms;
    }
    weir_err err = input_packets(session, in, out, used);
    if (err == WEIR_AGAIN) {
        session->context->stats.blocked += !session->blocked;
        session->blocked = true;
    } else {
        session->blocked = false;
    }
    if (err == WEIR_NO_MEMORY) {
        err = weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED, "Memory could not be had.", out);
    }
    if (session->state == MQTT_STATE_ACTIVE && session->subscriber != NULL) {
        credit_offer(session, out);
    }
    return session->state == MQTT_STATE_ACTIVE ? shares_go_on(session, err, out) : err;
}

static weir_err complete_active(weir_mqtt_session *session, weir_completion *completion,
                                weir_buffer *out)
{
    switch (completion->type) {
    case WEIR_COMPLETION_PUBLISH:
        return weir_mqtt_publish_complete(session, completion, out);
    case WEIR_COMPLETION_SUBSCRIBE:
    case WEIR_COMPLETION_UNSUBSCRIBE:
        return weir_mqtt_subscribe_complete(session, completion, out);
    case WEIR_COMPLETION_DELIVERY: {
        weir_err err = weir_mqtt_deliver(session, &completion->delivery, out);
        if (err == WEIR_OK && out->len == 0) {
            credit_offer(session, out); /* all skipped: nothing will be written and drain */
        }
        return err;
    }
    default:
        return WEIR_OK;
    }
}

static bool is_of_share(const weir_completion *completion)
{
    return completion->type == WEIR_COMPLETION_GROUPS ||
           completion->type == WEIR_COMPLETION_MEMBER || completion->type == WEIR_COMPLETION_LEFT ||
           completion->type == WEIR_COMPLETION_TAKEN || completion->type == WEIR_COMPLETION_SETTLED;
}

weir_err weir_mqtt_session_complete(weir_mqtt_session *session, weir_completion *completion,
                                    weir_buffer *out)
{
    if (completion->type == WEIR_COMPLETION_ASSIGNED) {
        return session->state == MQTT_STATE_ACTIVE ? WEIR_OK : WEIR_CLOSED; /* of no queue group */
    }
    if (completion->type == WEIR_COMPLETION_NOTICE) {
        bool dropped = completion->notice.kind == WEIR_NOTICE_DROPPED;
        session->context->stats.dropped_owed += dropped ? completion->notice.count : 0;
    } else if (completion->type != WEIR_COMPLETION_DELIVERY) {
        WEIR_ASSERT(session->pending > 0);
        session->pending--; /* [S2] */
    }
    if (completion->type == WEIR_COMPLETION_CLOSED) {
        session->subscriber = NULL;
    }
    bool active = session->state == MQTT_STATE_ACTIVE;
    bool share = is_of_share(completion);
    weir_err err = WEIR_CLOSED;
    if (share) {
        err = weir_mqtt_share_complete(session, completion, out);
    } else if (active) {
        err = complete_active(session, completion, out);
    }
    if (!active) {
        return WEIR_CLOSED;
    }
    if (err != WEIR_OK && err != WEIR_CLOSED) {
        return weir_mqtt_fail(session, WEIR_MQTT_QUOTA_EXCEEDED, "Memory could not be had.", out);
    }
    return err == WEIR_OK && share ? shares_go_on(session, err, out) : err;
}

weir_err weir_mqtt_session_claimed(weir_mqtt_session *session, weir_buffer *out)
{
    return session->state == MQTT_STATE_CLAIMING ? weir_mqtt_connack_accept(session, out)
                                                 : WEIR_CLOSED;
}

weir_err weir_mqtt_session_drained(weir_mqtt_session *session, size_t pending_bytes)
{
    if (session->state != MQTT_STATE_ACTIVE) {
        return WEIR_OK;
    }
    bool drained = pending_bytes <= session->context->limits->output_bytes_max / 2;
    weir_err shares = weir_mqtt_shares_work(session, drained, NULL);
    weir_err err = weir_mqtt_credit_flush(session, drained);
    return err != WEIR_OK ? err : shares;
}

static uint64_t silence_deadline_ms(const weir_mqtt_session *session)
{
    switch ((mqtt_state)session->state) {
    case MQTT_STATE_NEW:
    case MQTT_STATE_CLAIMING:
        return session->seen_ms + session->context->limits->connect_ms_max;
    case MQTT_STATE_ACTIVE:
        return session->keep_alive_seconds == 0
                   ? UINT64_MAX
                   : session->seen_ms + (uint64_t)session->keep_alive_seconds * KEEP_ALIVE_MS;
    case MQTT_STATE_CLOSED:
        break;
    }
    return UINT64_MAX;
}

uint64_t weir_mqtt_session_deadline_ms(const weir_mqtt_session *session)
{
    uint64_t silence = silence_deadline_ms(session);
    uint64_t shares =
        session->state == MQTT_STATE_ACTIVE ? weir_mqtt_shares_deadline_ms(session) : UINT64_MAX;
    return silence < shares ? silence : shares;
}

weir_err weir_mqtt_session_tick(weir_mqtt_session *session, weir_buffer *out)
{
    weir_mqtt_stats *stats = &session->context->stats;
    if (session->state == MQTT_STATE_CLOSED) {
        return WEIR_CLOSED;
    }
    if (session->state == MQTT_STATE_ACTIVE && session->blocked) {
        session->seen_ms = session->context->now_ms; /* we do not listen: it is not silent */
    }
    if (session->context->now_ms < silence_deadline_ms(session)) {
        return session->state == MQTT_STATE_ACTIVE ? shares_go_on(session, WEIR_OK, out) : WEIR_OK;
    }
    if (session->state == MQTT_STATE_ACTIVE) {
        stats->keep_alive_timeouts++;
        return weir_mqtt_fail(session, WEIR_MQTT_KEEP_ALIVE_TIMEOUT,
                              "Nothing came for one and a half times the Keep Alive.", out);
    }
    stats->refused_connect_slow++;
    return weir_mqtt_close(session, WEIR_MQTT_UNSPECIFIED, "No CONNECT within connect_ms_max.");
}

static const char *stop_text(uint8_t reason)
{
    switch (reason) {
    case WEIR_MQTT_TAKEN_OVER:
        return "Another connection came with this client id.";
    case WEIR_MQTT_SHUTTING_DOWN:
        return "The server is shutting down.";
    default:
        return "The server ended the connection.";
    }
}

weir_err weir_mqtt_session_stop(weir_mqtt_session *session, uint8_t reason, weir_buffer *out)
{
    if (session->state == MQTT_STATE_CLOSED) {
        return WEIR_CLOSED;
    }
    session->context->stats.takeovers += reason == WEIR_MQTT_TAKEN_OVER;
    session->orderly = reason == WEIR_MQTT_SHUTTING_DOWN;
    return weir_mqtt_fail(session, reason, stop_text(reason), out);
}

/* ---- Queries --------------------------------------------------------------------------------- */

weir_bytes weir_mqtt_session_client_id(const weir_mqtt_session *session)
{
    return (weir_bytes){session->client_id, session->client_id_len};
}

uint8_t weir_mqtt_session_version(const weir_mqtt_session *session)
{
    return session->version;
}

void *weir_mqtt_session_user(const weir_mqtt_session *session)
{
    return session->user;
}

const char *weir_mqtt_session_close_text(const weir_mqtt_session *session, uint8_t *reason)
{
    *reason = session->close_reason;
    return session->close_text;
}

size_t weir_mqtt_session_memory_bytes(const weir_mqtt_session *session)
{
    size_t bytes = sizeof(*session) + session->client_id_len;
    bytes += session->acks.capacity * sizeof(session->acks.ring[0]);
    bytes += session->window.capacity / 8;
    if (session->will != NULL) {
        bytes += sizeof(*session->will) + session->will->name.len + session->will->payload.len +
                 session->will->properties.len;
    }
    if (session->held != NULL) {
        bytes += sizeof(*session->held) + session->held->capacity * sizeof(session->held->runs[0]);
    }
    if (session->aliases != NULL) {
        bytes += session->aliases->count * sizeof(session->aliases->names[0]);
    }
    bytes += weir_mqtt_shares_memory_bytes(session);
    const mqtt_subscriptions *table = session->subscriptions;
    for (uint32_t i = 0; table != NULL && i < table->capacity; i++) {
        bytes += sizeof(table->slots[i]) + table->slots[i].filter_len;
    }
    return bytes;
}
