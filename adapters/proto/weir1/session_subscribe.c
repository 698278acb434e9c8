/* adapters/proto/weir1/session_subscribe.c - subscriptions: opened, paid for, delivered, closed.
 *
 *     subscribe -> OPENING --answer--> OPEN --unsubscribe, error, close--> CLOSING --> gone
 *
 * Each subscription is a subscriber of the engine with one filter, so that credit is its own. Two
 * accounts stand for what it may still receive:
 *
 *     credit          what the peer granted and has not been sent
 *     engine_records  what the engine was granted of that and has not delivered; at most a window
 *
 * The engine is topped up when half a window is used, never beyond the peer's credit, and not while
 * the connection's output is over its limit: so a slow peer costs a position, not memory. With
 * slow: "drop" the engine is topped up always, and what the peer cannot take is counted and told.
 *
 * [U1] slow: "pause": engine_records <= credit.
 * [U2] A subscription's records come after its answer: the engine has no credit before.
 * [U3] Once CLOSING, nothing more of it is sent; its memory goes with its CLOSED completion.
 * [U4] engine_bytes is what the engine's own account will be once it has taken in the last grant,
 *      debt included: were it kept at 0, a run larger than a window would stop the subscription. */
#include "adapters/proto/weir1/session_private.h"

#include <stdlib.h>
#include <string.h>

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t take_saturated(uint64_t from, uint64_t amount)
{
    return from > amount ? from - amount : 0;
}

/* ---- subscribe --------------------------------------------------------------------------------
 */

typedef struct subscribe_request {
    weir_subscribe subscribe;
    weir_buffer filter;       /* of a topic: topic/# */
    weir_position *positions; /* the request's */
    uint64_t credit;
    bool drop;
} subscribe_request;

static weir_err filter_decode(const weir_v1_node *command, subscribe_request *request,
                              weir_v1_reason *reason)
{
    const weir_v1_node *filter = weir_v1_node_member(command, "filter");
    const weir_v1_node *topic = weir_v1_node_member(command, "topic");
    weir_bytes name;
    if ((filter == NULL) == (topic == NULL)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "filter", "Give either filter or topic.");
    }
    if (filter != NULL) {
        return weir_v1_command_text(command, "filter", &request->subscribe.filter, reason);
    }
    weir_err err = weir_v1_command_text(command, "topic", &name, reason);
    if (err == WEIR_OK && (name.len == 0 || memchr(name.ptr, '+', name.len) != NULL ||
                           memchr(name.ptr, '#', name.len) != NULL)) {
        return weir_v1_refuse(reason, WEIR_NAME_INVALID, "topic",
                              "Give topic as a topic's name; patterns go in filter.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_buffer_append(&request->filter, name.ptr, name.len);
    err = err != WEIR_OK ? err : weir_buffer_text(&request->filter, "/#");
    request->subscribe.filter = weir_buffer_bytes(&request->filter);
    return err;
}

static weir_err from_refuse(weir_v1_reason *reason)
{
    return weir_v1_refuse(reason, WEIR_INVALID, "from",
                          "Give from as \"end\", \"beginning\", \"last:N\", an offset, "
                          "{\"time\":..} or a list of positions.");
}

/* "last:25": 25. */
static bool last_decode(weir_bytes text, int64_t *count)
{
    int64_t sum = 0;
    if (text.len < 6 || text.len > 5 + 18 || memcmp(text.ptr, "last:", 5) != 0) {
        return false;
    }
    for (size_t i = 5; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (text.ptr[i] - '0');
    }
    *count = sum;
    return sum > 0;
}

static weir_err from_text(weir_bytes text, weir_subscribe *subscribe, weir_v1_reason *reason)
{
    if (weir_bytes_equal(text, WEIR_TEXT("end"))) {
        subscribe->start = WEIR_START_END;
    } else if (weir_bytes_equal(text, WEIR_TEXT("beginning"))) {
        subscribe->start = WEIR_START_BEGINNING;
    } else if (last_decode(text, &subscribe->value)) {
        subscribe->start = WEIR_START_LAST;
    } else {
        return from_refuse(reason);
    }
    return WEIR_OK;
}

static weir_err from_time(const weir_v1_node *from, weir_subscribe *subscribe,
                          weir_v1_reason *reason)
{
    const weir_v1_node *time = weir_v1_node_member(from, "time");
    weir_bytes text;
    subscribe->start = WEIR_START_TIME;
    if (weir_v1_node_integer(time, &subscribe->value)) {
        return WEIR_OK;
    }
    if (weir_v1_node_text(time, &text) && weir_v1_time_parse(text, &subscribe->value) == WEIR_OK) {
        return WEIR_OK;
    }
    return weir_v1_refuse(reason, WEIR_INVALID, "from",
                          "Give time as Unix milliseconds or as RFC 3339 text, such as "
                          "2026-01-31T12:00:00Z.");
}

static weir_err position_decode(const weir_v1_node *node, weir_position *position,
                                weir_v1_reason *reason)
{
    int64_t partition = 0;
    weir_err err = weir_v1_command_text(node, "topic", &position->topic, reason);
    err =
        err ? err : weir_v1_command_number(node, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err
              : weir_v1_command_number(node, "offset", 0, INT64_MAX, -1, &position->offset, reason);
    if (err == WEIR_OK && position->offset < 0) {
        return from_refuse(reason);
    }
    position->partition = (uint32_t)partition;
    return err;
}

static weir_err from_positions(const weir_v1_node *from, subscribe_request *request,
                               weir_v1_reason *reason)
{
    size_t count = weir_v1_node_count(from);
    if (count == 0) {
        return from_refuse(reason);
    }
    if (count > WEIR_V1_RECORDS_MAX) {
        return weir_v1_refuse(reason, WEIR_LIMIT, "from",
                              "Give at most %d positions; subscribe again for the rest.",
                              WEIR_V1_RECORDS_MAX);
    }
    request->positions = calloc(count, sizeof(*request->positions));
    if (request->positions == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        weir_err err = position_decode(weir_v1_node_at(from, i), &request->positions[i], reason);
        if (err != WEIR_OK) {
            return err;
        }
    }
    request->subscribe.start = WEIR_START_POSITIONS;
    request->subscribe.positions = request->positions;
    request->subscribe.position_count = (uint32_t)count;
    return WEIR_OK;
}

static weir_err from_decode(const weir_v1_node *command, subscribe_request *request,
                            weir_v1_reason *reason)
{
    const weir_v1_node *from = weir_v1_node_member(command, "from");
    weir_subscribe *subscribe = &request->subscribe;
    weir_bytes text;
    switch (weir_v1_node_kind_of(from)) {
    case WEIR_V1_ABSENT:
        subscribe->start = WEIR_START_END;
        return WEIR_OK;
    case WEIR_V1_STRING:
        weir_v1_node_text(from, &text);
        return from_text(text, subscribe, reason);
    case WEIR_V1_OBJECT:
        return from_time(from, subscribe, reason);
    case WEIR_V1_ARRAY:
        return from_positions(from, request, reason);
    default:
        subscribe->start = WEIR_START_OFFSET;
        if (!weir_v1_node_integer(from, &subscribe->value) || subscribe->value < 0) {
            return from_refuse(reason);
        }
        return WEIR_OK;
    }
}

static weir_err amounts_decode(const weir_v1_node *command, subscribe_request *request,
                               weir_v1_reason *reason)
{
    const weir_v1_node *credit = weir_v1_node_member(command, "credit");
    const weir_v1_node *slow = weir_v1_node_member(command, "slow");
    weir_bytes policy = WEIR_TEXT("pause");
    request->credit = UINT64_MAX;
    if (credit != NULL && !weir_v1_node_amount(credit, &request->credit)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "credit",
                              "Give credit as a number of records, 0 or more.");
    }
    if ((slow != NULL && !weir_v1_node_text(slow, &policy)) ||
        (!weir_bytes_equal(policy, WEIR_TEXT("pause")) &&
         !weir_bytes_equal(policy, WEIR_TEXT("drop")))) {
        return weir_v1_refuse(reason, WEIR_INVALID, "slow", "Give slow as \"pause\" or \"drop\".");
    }
    request->drop = policy.len == 4;
    return WEIR_OK;
}

static weir_err request_decode(const weir_v1_node *command, subscribe_request *request,
                               weir_v1_reason *reason)
{
    bool retained = false;
    weir_subscribe *subscribe = &request->subscribe;
    weir_err err = filter_decode(command, request, reason);
    err = err ? err : from_decode(command, request, reason);
    err = err ? err : amounts_decode(command, request, reason);
    err = err ? err : weir_v1_command_flag(command, "retained", &retained, reason);
    err = err ? err : weir_v1_command_flag(command, "until_end", &subscribe->until_end, reason);
    if (err == WEIR_OK && subscribe->until_end && subscribe->start == WEIR_START_END) {
        return weir_v1_refuse(reason, WEIR_INVALID, "until_end",
                              "Say where to begin with from: from the end, nothing is before it.");
    }
    subscribe->retained = retained ? WEIR_RETAINED_SEND : WEIR_RETAINED_NONE;
    return err;
}

/* A slot of the table: a hole, or one more. */
static weir_err slot_find(weir_v1_session *session, uint32_t *slot)
{
    for (uint32_t i = 0; i < session->subscription_slots; i++) {
        if (session->subscriptions[i] == NULL) {
            *slot = i;
            return WEIR_OK;
        }
    }
    uint32_t count = session->subscription_slots == 0 ? 4 : session->subscription_slots * 2;
    weir_v1_subscription **table = realloc(session->subscriptions, count * sizeof(*table));
    if (table == NULL) {
        return WEIR_NO_MEMORY;
    }
    memset(table + session->subscription_slots, 0,
           (count - session->subscription_slots) * sizeof(*table));
    *slot = session->subscription_slots;
    session->subscriptions = table;
    session->subscription_slots = count;
    return WEIR_OK;
}

static weir_err subscription_create(weir_v1_session *session, const subscribe_request *request,
                                    weir_v1_subscription **out)
{
    const weir_v1_session_config *config = &session->config;
    uint32_t slot = 0;
    weir_err err = slot_find(session, &slot);
    weir_v1_subscription *subscription = err ? NULL : calloc(1, sizeof(*subscription));
    if (subscription == NULL) {
        return WEIR_NO_MEMORY;
    }
    err = config->port_ops->subscriber_open(config->port, config->user, &subscription->subscriber);
    if (err != WEIR_OK) {
        free(subscription);
        return err;
    }
    subscription->number = ++session->subscription_last;
    subscription->slot = slot;
    subscription->state = WEIR_V1_SUBSCRIPTION_OPENING;
    subscription->credit = request->credit;
    subscription->drop = request->drop;
    session->subscriptions[slot] = subscription;
    session->subscription_count++;
    *out = subscription;
    return WEIR_OK;
}

static weir_err limit_check(const weir_v1_session *session, weir_v1_reason *reason)
{
    uint64_t most = session->config.limits->subscriptions_max;
    if (session->subscription_count >= most) {
        return weir_v1_refuse(reason, WEIR_LIMIT, NULL,
                              "Unsubscribe from something first: a session holds at most %llu "
                              "(limit subscriptions_max).",
                              (unsigned long long)most);
    }
    return WEIR_OK;
}

/* AGAIN: the subscriber exists and is kept for the next try. */
static weir_err subscribe_submit(weir_v1_session *session, subscribe_request *request,
                                 const weir_v1_call *call)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_subscription *subscription = session->parked_subscription;
    weir_err err = WEIR_OK;
    if (subscription == NULL) {
        err = subscription_create(session, request, &subscription);
        if (err != WEIR_OK) {
            return err;
        }
    }
    session->parked_subscription = NULL;
    request->subscribe.slot = subscription->slot;
    weir_v1_op *op = weir_v1_op_begin(session, WEIR_V1_OP_SUBSCRIBE, call);
    if (op == NULL) {
        weir_v1_subscription_close(session, subscription, NULL);
        return WEIR_NO_MEMORY;
    }
    op->subscription = subscription;
    err = config->port_ops->subscribe(config->port, subscription->subscriber, &request->subscribe,
                                      config->user, weir_v1_op_token(op));
    if (err == WEIR_OK) {
        session->submitted = true;
        return WEIR_OK;
    }
    weir_v1_op_end(session, op);
    if (err == WEIR_AGAIN) {
        session->parked_subscription = subscription;
    } else {
        weir_v1_subscription_close(session, subscription, NULL);
    }
    return err;
}

weir_err weir_v1_filter_refuse(const weir_v1_session *session, weir_v1_reason *reason)
{
    const weir_limits *limits = session->config.limits;
    return weir_v1_refuse(reason, WEIR_NAME_INVALID, NULL,
                          "This is no filter: # stands alone in the last level (a/#), + alone in "
                          "its level (a/+/b); at most %llu bytes and %llu levels.",
                          (unsigned long long)limits->name_bytes_max,
                          (unsigned long long)limits->levels_max);
}

weir_err weir_v1_command_subscribe(weir_v1_session *session, const weir_v1_node *command,
                                   weir_v1_call *call, weir_v1_reason *reason)
{
    subscribe_request request = {0};
    weir_err err = request_decode(command, &request, reason);
    if (err == WEIR_OK && session->parked_subscription == NULL) {
        err = limit_check(session, reason);
    }
    if (err == WEIR_OK) {
        err = subscribe_submit(session, &request, call);
        if (err == WEIR_NAME_INVALID) {
            err = weir_v1_filter_refuse(session, reason);
        }
    }
    free(request.positions);
    weir_buffer_fini(&request.filter);
    return err;
}

/* ---- credit and unsubscribe -------------------------------------------------------------------
 */

static weir_err subscription_named(const weir_v1_session *session, const weir_v1_node *command,
                                   weir_v1_subscription **out, weir_v1_reason *reason)
{
    int64_t number = 0;
    if (!weir_v1_node_integer(weir_v1_node_member(command, "subscription"), &number)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "subscription",
                              "Give subscription as the number that subscribe answered.");
    }
    for (uint32_t slot = 0; slot < session->subscription_slots; slot++) {
        weir_v1_subscription *subscription = session->subscriptions[slot];
        if (subscription != NULL && number > 0 && subscription->number == (uint64_t)number &&
            subscription->state == WEIR_V1_SUBSCRIPTION_OPEN) {
            *out = subscription;
            return WEIR_OK;
        }
    }
    return weir_v1_refuse(reason, WEIR_NOT_FOUND, "subscription",
                          "There is no such subscription now: subscribe first, and use the number "
                          "in the answer.");
}

static void dropped_tell(weir_v1_session *session, weir_v1_subscription *subscription);

weir_err weir_v1_command_credit(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_subscription *subscription = NULL;
    uint64_t records = 0;
    if (weir_v1_node_member(command, "member") != NULL) {
        return weir_v1_member_credit(session, command, call, reason);
    }
    weir_err err = subscription_named(session, command, &subscription, reason);
    if (err == WEIR_OK && !weir_v1_node_amount(weir_v1_node_member(command, "records"), &records)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "records",
                              "Give records as a number, 0 or more.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    subscription->credit = add_saturated(subscription->credit, records);
    session->grants_wanted = true;
    if (call->id_len > 0 || !session->config.push) {
        weir_v1_reply_ok(session, call);
    }
    dropped_tell(session, subscription);
    weir_v1_subscriptions_turn(session);
    return WEIR_OK;
}

weir_err weir_v1_command_unsubscribe(weir_v1_session *session, const weir_v1_node *command,
                                     weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_subscription *subscription = NULL;
    weir_err err = subscription_named(session, command, &subscription, reason);
    if (err != WEIR_OK) {
        return err;
    }
    weir_v1_subscription_close(session, subscription, call);
    return WEIR_OK;
}

/* ---- Closing ----------------------------------------------------------------------------------
 */

static void close_submit(weir_v1_session *session, weir_v1_subscription *subscription)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_op *op = subscription->closing;
    if (op == NULL) {
        const weir_v1_call nobody = {0};
        op = weir_v1_op_begin(session, WEIR_V1_OP_CLOSE, &nobody);
        if (op == NULL) {
            subscription->close_wanted = session->closes_wanted = true;
            return; /* a later turn has memory, or an operation that came home */
        }
        op->subscription = subscription;
        subscription->closing = op;
    }
    weir_err err = config->port_ops->subscriber_close(config->port, subscription->subscriber,
                                                      config->user, weir_v1_op_token(op));
    session->submitted = true;
    subscription->close_wanted = err == WEIR_AGAIN;
    session->closes_wanted |= subscription->close_wanted;
    if (err != WEIR_OK && err != WEIR_AGAIN) {
        weir_v1_op_end(session, op); /* the port knows nothing of it: it is gone */
        weir_v1_subscription_closed(session, subscription);
    }
}

void weir_v1_subscription_close(weir_v1_session *session, weir_v1_subscription *subscription,
                                const weir_v1_call *answer)
{
    if (subscription->state == WEIR_V1_SUBSCRIPTION_CLOSING) {
        return;
    }
    subscription->state = WEIR_V1_SUBSCRIPTION_CLOSING; /* [U3] */
    if (answer != NULL) {
        subscription->closing = weir_v1_op_begin(session, WEIR_V1_OP_UNSUBSCRIBE, answer);
        if (subscription->closing != NULL) {
            subscription->closing->subscription = subscription;
        } else {
            weir_v1_reply_err(session, answer, WEIR_NO_MEMORY);
        }
    }
    close_submit(session, subscription);
}

void weir_v1_subscription_closed(weir_v1_session *session, weir_v1_subscription *subscription)
{
    session->subscriptions[subscription->slot] = NULL;
    session->subscription_count--;
    free(subscription);
}

void weir_v1_subscriptions_close(weir_v1_session *session)
{
    for (uint32_t slot = 0; slot < session->subscription_slots; slot++) {
        if (session->subscriptions[slot] != NULL) {
            weir_v1_subscription_close(session, session->subscriptions[slot], NULL);
        }
    }
}

/* ---- Credit to the engine ---------------------------------------------------------------------
 */

static int64_t window_bytes(const weir_v1_session *session)
{
    return (int64_t)(session->config.limits->output_bytes_max / 2);
}

/* Tops the engine up when less than half of a window is left with it. */
static void grant(weir_v1_session *session, weir_v1_subscription *subscription)
{
    const weir_v1_session_config *config = &session->config;
    uint64_t records = WEIR_V1_WINDOW_RECORDS;
    int64_t window = window_bytes(session);
    if (!subscription->drop) {
        records = subscription->credit < records ? subscription->credit : records; /* [U1] */
    }
    bool records_low =
        subscription->engine_records < records && subscription->engine_records <= records / 2;
    bool bytes_low = subscription->engine_bytes <= window / 2;
    if ((!records_low && !bytes_low) || (session->paused && !subscription->drop)) {
        return;
    }
    records = take_saturated(records, subscription->engine_records);
    int64_t bytes =
        subscription->engine_bytes < window ? window - subscription->engine_bytes : 0; /* [U4] */
    weir_err err =
        config->port_ops->credit(config->port, subscription->subscriber, records, (uint64_t)bytes);
    if (err != WEIR_OK) {
        session->grants_wanted = true;
        return;
    }
    session->submitted = true;
    subscription->engine_records += records;
    subscription->engine_bytes += bytes;
}

void weir_v1_subscriptions_turn(weir_v1_session *session)
{
    session->grants_wanted = false;
    session->closes_wanted = false;
    for (uint32_t slot = 0; slot < session->subscription_slots; slot++) {
        weir_v1_subscription *subscription = session->subscriptions[slot];
        if (subscription == NULL) {
            continue;
        }
        if (subscription->state == WEIR_V1_SUBSCRIPTION_OPEN) {
            grant(session, subscription);
        } else if (subscription->close_wanted) {
            close_submit(session, subscription);
        }
    }
}

/* ---- Delivery ---------------------------------------------------------------------------------
 */

static weir_v1_subscription *subscription_of(const weir_v1_session *session,
                                             const weir_subscriber *subscriber, uint32_t slot)
{
    if (slot < session->subscription_slots && session->subscriptions[slot] != NULL &&
        session->subscriptions[slot]->subscriber == subscriber) {
        return session->subscriptions[slot];
    }
    for (uint32_t i = 0; i < session->subscription_slots; i++) {
        if (session->subscriptions[i] != NULL &&
            session->subscriptions[i]->subscriber == subscriber) {
            return session->subscriptions[i];
        }
    }
    return NULL;
}

/* {"type":"..","subscription":N; the caller appends members and sends it. */
static weir_v1_writer notice_begin(weir_v1_session *session,
                                   const weir_v1_subscription *subscription, const char *type)
{
    session->out.len = 0;
    weir_v1_writer writer = {&session->out, false};
    weir_v1_write_raw(&writer, "{\"type\":\"");
    weir_v1_write_raw(&writer, type);
    weir_v1_write_raw(&writer, "\",\"subscription\":");
    weir_v1_write_unsigned(&writer, subscription->number);
    return writer;
}

static void notice_end(weir_v1_session *session, weir_v1_writer *writer)
{
    const weir_v1_call nobody = {0};
    weir_v1_reply_end(session, writer, &nobody);
}

static void dropped_tell(weir_v1_session *session, weir_v1_subscription *subscription)
{
    if (subscription->dropped == 0) {
        return;
    }
    weir_v1_writer writer = notice_begin(session, subscription, "dropped");
    weir_v1_write_raw(&writer, ",\"count\":");
    weir_v1_write_unsigned(&writer, subscription->dropped);
    subscription->dropped = 0;
    notice_end(session, &writer);
}

static void gather_begin(weir_v1_session *session, weir_v1_writer *writer,
                         const weir_v1_subscription *subscription)
{
    if (session->gather.len > 0 && session->gather_number == subscription->number) {
        weir_v1_write_raw(writer, ",");
        return;
    }
    weir_v1_gather_end(session);
    session->gather_number = subscription->number;
    weir_v1_write_raw(writer, "{\"type\":\"records\",\"subscription\":");
    weir_v1_write_unsigned(writer, subscription->number);
    weir_v1_write_raw(writer, ",\"records\":[");
}

/* Whether the peer takes a record now; if not, it is counted as dropped. Only slow: "drop" asks:
 * for the others the engine never has more than the peer's credit. */
static bool takes(weir_v1_session *session, weir_v1_subscription *subscription)
{
    if (!subscription->drop || (subscription->credit > 0 && !session->paused)) {
        return true;
    }
    subscription->dropped++;
    session->counters.dropped++;
    return false;
}

static void deliver_record(weir_v1_session *session, weir_v1_subscription *subscription,
                           const weir_v1_place *place, const weir_record *record)
{
    if (subscription->dropped > 0) {
        dropped_tell(session, subscription);
    }
    weir_v1_writer writer = {&session->gather, false};
    gather_begin(session, &writer, subscription);
    weir_v1_write_record(&writer, place, record);
    if (writer.failed) {
        weir_v1_give_up(session);
        return;
    }
    if (subscription->credit != UINT64_MAX) {
        subscription->credit = take_saturated(subscription->credit, 1);
    }
    session->counters.records_out++;
    if (session->gather.len >= WEIR_V1_GATHER_BYTES) {
        weir_v1_gather_end(session);
    }
}

void weir_v1_deliver(weir_v1_session *session, const weir_delivery *delivery)
{
    weir_v1_subscription *subscription =
        subscription_of(session, delivery->subscriber, delivery->slot);
    if (subscription == NULL || subscription->state != WEIR_V1_SUBSCRIPTION_OPEN) {
        return; /* [U3] */
    }
    weir_v1_place place = {.topic = weir_chunk_topic(delivery->chunk),
                           .partition = weir_chunk_partition(delivery->chunk),
                           .retained = delivery->retained};
    uint64_t bytes = (uint64_t)weir_chunk_batch(delivery->chunk).len * delivery->count /
                     weir_chunk_count(delivery->chunk); /* as the engine counts them */
    for (uint32_t i = 0; i < delivery->count && !session->ended; i++) {
        weir_record record;
        weir_chunk_record(delivery->chunk, delivery->first + i, &record);
        if (takes(session, subscription)) {
            deliver_record(session, subscription, &place, &record);
        }
    }
    subscription->engine_records = take_saturated(subscription->engine_records, delivery->count);
    subscription->engine_bytes -= (int64_t)bytes; /* [U4] */
    session->grants_wanted = true;
}

void weir_v1_notice(weir_v1_session *session, const weir_notice *notice)
{
    weir_v1_subscription *subscription = subscription_of(session, notice->subscriber, notice->slot);
    if (subscription == NULL || subscription->state != WEIR_V1_SUBSCRIPTION_OPEN) {
        return;
    }
    if (notice->kind == WEIR_NOTICE_DROPPED) {
        subscription->dropped = add_saturated(subscription->dropped, notice->count);
        dropped_tell(session, subscription);
        return;
    }
    dropped_tell(session, subscription);
    bool gap = notice->kind == WEIR_NOTICE_GAP;
    weir_v1_writer writer = notice_begin(session, subscription, gap ? "gap" : "ended");
    if (gap) {
        weir_v1_write_raw(&writer, ",\"from\":");
        weir_v1_write_integer(&writer, notice->from);
        weir_v1_write_raw(&writer, ",\"to\":");
        weir_v1_write_integer(&writer, notice->to);
    }
    notice_end(session, &writer);
}
