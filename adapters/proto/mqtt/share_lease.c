/* adapters/proto/mqtt/share_lease.c - records of shared subscriptions: taken under a lease, written,
 * acknowledged, settled; and leases that are renewed while the client has its records.
 *
 *   take --> taken --QoS 1--> [id: flight] --PUBACK < 0x80--> accept     \
 *                 |                        --PUBACK >= 0x80-> reject      |-- answers, as ranges,
 *                 |--too large for the client----------------> reject    |   once for each input
 *                 |--expired meanwhile-----------------------> release  /
 *                 '--QoS 0--> accept, confirmed --> written, never again
 *
 * A record's QoS is the lower of what was granted and what it was published with [MQTT-4.8.2-3]. A
 * take asks for as many as the client's window has room for, divided among the session's shares; the
 * engine gives the members of a group their takes by turns. In a group of mode at-most-once all is
 * accepted before it comes: there is nothing to settle.
 *
 * Failures: an answer that comes when its lease is over changes nothing; it is counted. A rejected
 * record goes to no other member [MQTT-4.8.2-6]. Answers are submitted without confirmation, since
 * MQTT has nobody to tell; the engine does them in the order in which they are submitted, and what
 * it was not told when the connection broke comes again. */
#include "adapters/proto/mqtt/share.h"

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TAKE_BYTES_PARTS = 4, /* of output_bytes_max in one take */
    REASON_BYTES_MAX = 1024,
    RENEW_RANGES_MAX = 64,
};

/* ---- Where records are from ----------------------------------------------------------------- */

/* The share's newest origin is that of the chunk. */
static weir_err origin_want(mqtt_share *share, const weir_chunk *chunk)
{
    weir_bytes topic = weir_chunk_topic(chunk);
    uint32_t partition = weir_chunk_partition(chunk);
    if (share->origin != NULL && share->origin->partition == partition &&
        weir_bytes_equal(weir_mqtt_origin_topic(share->origin), topic)) {
        return WEIR_OK;
    }
    mqtt_origin *made = malloc(sizeof(*made) + topic.len);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->refs = 1;
    made->partition = partition;
    made->len = topic.len;
    memcpy(made->topic, topic.ptr, topic.len);
    weir_mqtt_origin_drop(share->origin);
    share->origin = made;
    return WEIR_OK;
}

/* ---- Telling --------------------------------------------------------------------------------- */

/* Without confirmation: AGAIN, or it will be done. */
static weir_err settle_quiet(weir_mqtt_session *session, const mqtt_share *share,
                             weir_settle *settle)
{
    const weir_mqtt_context *context = session->context;
    settle->epoch = share->epoch;
    settle->no_confirm = true;
    return context->ops->settle(context->port, share->member, settle, context->quiet_user, 0);
}

static void answers_shift(mqtt_share *share, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        weir_mqtt_origin_drop(share->answers[i].origin);
    }
    share->answer_count -= count;
    memmove(share->answers, share->answers + count,
            share->answer_count * sizeof(share->answers[0]));
}

void weir_mqtt_share_answers_drop(mqtt_share *share)
{
    answers_shift(share, share->answer_count);
}

/* The settle that answers of a kind become. */
static weir_settle settle_of(uint8_t kind)
{
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT};
    if (kind == ANSWER_TOO_LARGE) {
        settle.verb = WEIR_VERB_REJECT;
        settle.reason = WEIR_TEXT("packet-too-large");
    } else if (kind == ANSWER_EXPIRED) {
        settle.verb = WEIR_VERB_RELEASE;
        settle.delay_ms =
            SHARE_RETRY_MS; /* the engine's clock may be behind: no loop without end */
    }
    return settle;
}

weir_err weir_mqtt_share_tell(weir_mqtt_session *session, mqtt_share *share)
{
    while (share->answer_count > 0) {
        weir_settle_range ranges[SHARE_ANSWERS_MAX];
        weir_settle settle = settle_of(share->answers[0].kind);
        uint32_t count = 0;
        for (; count < share->answer_count && share->answers[count].kind == share->answers[0].kind;
             count++) {
            const mqtt_answer *answer = &share->answers[count];
            ranges[count] = (weir_settle_range){.topic = weir_mqtt_origin_topic(answer->origin),
                                                .partition = answer->origin->partition,
                                                .first = answer->first,
                                                .last = answer->last,
                                                .lease = answer->lease};
        }
        settle.ranges = ranges;
        settle.range_count = count;
        weir_err err = settle_quiet(session, share, &settle);
        if (err == WEIR_AGAIN) {
            return err;
        }
        answers_shift(share, count); /* else it cannot be told: its lease will end */
    }
    return WEIR_OK;
}

/* There is room: [H1]. */
static void answer_add(mqtt_share *share, mqtt_origin *origin, int64_t offset, uint64_t lease,
                       uint8_t kind)
{
    mqtt_answer *last = share->answer_count > 0 ? &share->answers[share->answer_count - 1] : NULL;
    if (last != NULL && last->kind == kind && last->origin == origin && last->lease == lease &&
        last->last + 1 == offset) {
        last->last = offset;
        return;
    }
    WEIR_ASSERT(share->answer_count < SHARE_ANSWERS_MAX);
    share->answers[share->answer_count++] = (mqtt_answer){.origin = weir_mqtt_origin_keep(origin),
                                                          .first = offset,
                                                          .last = offset,
                                                          .lease = lease,
                                                          .kind = kind};
}

/* ---- At hand --------------------------------------------------------------------------------- */

void weir_mqtt_share_taken_drop(mqtt_share *share)
{
    if (share->taken.runs != NULL) {
        weir_completion completion = {.type = WEIR_COMPLETION_TAKEN, .taken = share->taken};
        weir_completion_drop(&completion);
    }
    share->taken = (weir_taken){0};
    share->run = 0;
    share->record = 0;
}

static bool share_has_taken(const mqtt_share *share)
{
    return share->taken.run_count > 0;
}

static uint64_t lease_of(const mqtt_share *share, const weir_handed *run)
{
    return share->taken.mode == WEIR_MODE_AT_MOST_ONCE ? 0 : run->lease;
}

static uint8_t qos_of(const mqtt_share *share, const weir_record *record)
{
    const mqtt_view view = {.qos = share->taken_qos};
    return weir_mqtt_record_qos(&view, record);
}

/* Whether its packet is not over the client's maximum: measured where there is one. */
static bool fits_client(const weir_mqtt_session *session, const mqtt_share *share,
                        const weir_handed *run, const weir_record *record)
{
    const mqtt_view view = {.packet_max = session->packet_max,
                            .wall_ms = session->context->wall_ms,
                            .version5 = session->version == WEIR_MQTT_5,
                            .qos = share->taken_qos};
    mqtt_tally tally = {0};
    weir_buffer scratch = {0};
    if (session->packet_max == UINT32_MAX) {
        return true;
    }
    (void)weir_mqtt_record_write(&view, weir_chunk_topic(run->chunk), record, 0, &scratch, &tally);
    weir_buffer_fini(&scratch);
    return tally.too_large == 0;
}

typedef enum taken_kind {
    TAKEN_ALL,
    TAKEN_ZERO, /* goes out with QoS 0 */
    TAKEN_ONE,  /* with QoS 1 */
    TAKEN_REST, /* all that TAKEN_ZERO is not */
} taken_kind;

static bool taken_is(const weir_mqtt_session *session, const mqtt_share *share, taken_kind kind,
                     const weir_handed *run, const weir_record *record)
{
    bool one = qos_of(share, record) > 0;
    switch (kind) {
    case TAKEN_ZERO:
        return !one && fits_client(session, share, run, record);
    case TAKEN_REST:
        return one || !fits_client(session, share, run, record);
    case TAKEN_ONE:
        return one;
    default:
        return true;
    }
}

/* What is at hand of a kind and not written, as ranges. */
static uint32_t taken_ranges(const weir_mqtt_session *session, const mqtt_share *share,
                             taken_kind kind, weir_settle_range ranges[SHARE_TAKE_RECORDS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = share->run; i < share->taken.run_count; i++) {
        const weir_handed *run = &share->taken.runs[i];
        for (uint32_t j = i == share->run ? share->record : 0; j < run->count; j++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + j, &record);
            weir_settle_range *last = count > 0 ? &ranges[count - 1] : NULL;
            if (!taken_is(session, share, kind, run, &record)) {
                continue;
            }
            if (last != NULL && j > 0 && last->lease == run->lease &&
                last->last + 1 == record.offset) {
                last->last = record.offset;
                continue;
            }
            WEIR_ASSERT(count < SHARE_TAKE_RECORDS_MAX);
            ranges[count++] = (weir_settle_range){.topic = weir_chunk_topic(run->chunk),
                                                  .partition = weir_chunk_partition(run->chunk),
                                                  .first = record.offset,
                                                  .last = record.offset,
                                                  .lease = run->lease};
        }
    }
    return count;
}

weir_err weir_mqtt_share_return(weir_mqtt_session *session, mqtt_share *share)
{
    weir_settle_range ranges[SHARE_TAKE_RECORDS_MAX];
    weir_settle settle = {.verb = WEIR_VERB_RELEASE, .ranges = ranges};
    weir_err err = WEIR_OK;
    if (!share_has_taken(share) || share->accepting) {
        return WEIR_OK; /* what is being accepted is the client's, or lost */
    }
    if (share->taken.mode != WEIR_MODE_AT_MOST_ONCE) {
        taken_kind unsettled = share->accept_due  ? TAKEN_ALL
                               : share->zero_sent ? TAKEN_ONE
                                                  : TAKEN_REST;
        settle.range_count = taken_ranges(session, share, unsettled, ranges);
        err = settle.range_count > 0 ? settle_quiet(session, share, &settle) : WEIR_OK;
    }
    if (err != WEIR_AGAIN) {
        weir_mqtt_share_taken_drop(share);
    }
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

weir_err weir_mqtt_share_blame(weir_mqtt_session *session, mqtt_share *share)
{
    const mqtt_flight *flight = weir_mqtt_flight_oldest(session);
    if (session->shares->blamed || flight == NULL || flight->share != share) {
        return WEIR_OK;
    }
    const weir_settle_range range = {.topic = weir_mqtt_origin_topic(flight->origin),
                                     .partition = flight->origin->partition,
                                     .first = flight->offset,
                                     .last = flight->offset,
                                     .lease = flight->lease};
    weir_settle settle = {.verb = WEIR_VERB_RELEASE,
                          .ranges = &range,
                          .range_count = 1,
                          .failed = true,
                          .reason = WEIR_TEXT("connection-lost")};
    weir_err err = settle_quiet(session, share, &settle);
    session->shares->blamed = err != WEIR_AGAIN;
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

/* What goes out with QoS 0 is the client's before it is written: at most once. */
static weir_err zero_accept(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    weir_settle_range ranges[SHARE_TAKE_RECORDS_MAX];
    weir_settle settle = {.verb = WEIR_VERB_ACCEPT, .ranges = ranges, .epoch = share->epoch};
    settle.range_count = taken_ranges(session, share, TAKEN_ZERO, ranges);
    share->accept_due = false;
    if (share->taken.mode == WEIR_MODE_AT_MOST_ONCE || settle.range_count == 0) {
        return WEIR_OK;
    }
    weir_err err = context->ops->settle(context->port, share->member, &settle, session->user,
                                        token_of(TOKEN_SHARE, share->number));
    if (err == WEIR_OK) {
        share->accepting = true;
        session->pending++; /* [H4] */
    }
    share->accept_due = err == WEIR_AGAIN;
    share->zero_lost = err != WEIR_OK && err != WEIR_AGAIN;
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

void weir_mqtt_share_settled(weir_mqtt_session *session, mqtt_share *share,
                             const weir_completion *completion)
{
    share->accepting = false;
    share->zero_lost = completion->err != WEIR_OK;
    if (completion->err == WEIR_LEASE_LOST) {
        session->context->stats.share_late += completion->settled.refused;
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

static mqtt_view view_of(const weir_mqtt_session *session, const mqtt_share *share,
                         uint32_t *identifier)
{
    const mqtt_subscription *slot = weir_mqtt_slot(session, share->slot);
    mqtt_view view = {.packet_max = session->packet_max,
                      .wall_ms = session->context->wall_ms,
                      .version5 = session->version == WEIR_MQTT_5,
                      .qos = share->taken_qos,
                      .retain = MQTT_RETAIN_CLEAR};
    WEIR_ASSERT(slot != NULL); /* a share without one is draining, and writes nothing */
    view.retain = slot->options.rap ? MQTT_RETAIN_KEEP : MQTT_RETAIN_CLEAR;
    *identifier = slot->options.identifier;
    view.identifiers = identifier;
    view.identifier_count = *identifier != 0;
    return view;
}

/* What becomes of a record that was not written, unless it is settled already. */
static void record_kept_back(const weir_mqtt_session *session, mqtt_share *share,
                             const weir_record *record, uint64_t lease, const mqtt_tally *tally)
{
    bool measured = tally->too_large > 0 && session->packet_max < UINT32_MAX;
    if (lease != 0 && (qos_of(share, record) > 0 || measured)) {
        answer_add(share, share->origin, record->offset, lease,
                   tally->too_large > 0 ? ANSWER_TOO_LARGE : ANSWER_EXPIRED);
    }
}

/* LIMIT: no packet id is free. */
static weir_err record_send(weir_mqtt_session *session, mqtt_share *share, const mqtt_view *view,
                            const weir_handed *run, const weir_record *record, weir_buffer *out)
{
    uint64_t lease = lease_of(share, run);
    mqtt_tally tally = {0};
    uint16_t id = 0;
    if (weir_mqtt_record_qos(view, record) > 0) {
        weir_err err =
            weir_mqtt_ids_free(session) > 0 ? weir_mqtt_flights_room(session->shares) : WEIR_LIMIT;
        err = err == WEIR_OK ? weir_mqtt_window_take(&session->window, &id) : err;
        if (err != WEIR_OK) {
            return err;
        }
    } else if (share->zero_lost) {
        return WEIR_OK; /* another member may have it */
    }
    weir_err err =
        weir_mqtt_record_write(view, weir_chunk_topic(run->chunk), record, id, out, &tally);
    if (id != 0 && tally.sent == 0) {
        weir_mqtt_window_untake(&session->window);
    } else if (id != 0) {
        const mqtt_flight flight = {.share = share,
                                    .origin = weir_mqtt_origin_keep(share->origin),
                                    .offset = record->offset,
                                    .lease = lease,
                                    .id = id};
        weir_mqtt_flight_add(session->shares, &flight);
    }
    if (err == WEIR_OK && tally.sent == 0) {
        record_kept_back(session, share, record, lease, &tally);
    }
    weir_mqtt_stats *stats = &session->context->stats;
    stats->publishes_sent += tally.sent;
    stats->expired += tally.expired;
    stats->over_client_maximum += tally.too_large;
    stats->headers_dropped += tally.headers_dropped;
    return err;
}

/* What is accepted does not wait for packet ids: it would be lost with the connection. */
static weir_err zero_send(weir_mqtt_session *session, mqtt_share *share, const mqtt_view *view,
                          weir_buffer *out)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < share->taken.run_count && err == WEIR_OK; i++) {
        const weir_handed *run = &share->taken.runs[i];
        err = origin_want(share, run->chunk);
        for (uint32_t j = 0; j < run->count && err == WEIR_OK; j++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + j, &record);
            if (qos_of(share, &record) == 0) {
                err = record_send(session, share, view, run, &record, out);
            }
        }
    }
    share->zero_sent = true;
    return err;
}

/* As much of what is at hand as the window has room for. */
static weir_err taken_send(weir_mqtt_session *session, mqtt_share *share, weir_buffer *out)
{
    uint32_t identifier = 0;
    const mqtt_view view = view_of(session, share, &identifier);
    weir_err sent = share->zero_sent ? WEIR_OK : zero_send(session, share, &view, out);
    if (sent != WEIR_OK) {
        return sent;
    }
    for (; share->run < share->taken.run_count; share->run++, share->record = 0) {
        const weir_handed *run = &share->taken.runs[share->run];
        weir_err err = origin_want(share, run->chunk);
        for (; err == WEIR_OK && share->record < run->count; share->record++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + share->record, &record);
            if (qos_of(share, &record) > 0) {
                err = record_send(session, share, &view, run, &record, out);
            }
            if (err != WEIR_OK) {
                break;
            }
        }
        if (err != WEIR_OK) {
            return err == WEIR_LIMIT ? WEIR_OK : err;
        }
    }
    weir_mqtt_share_taken_drop(share);
    return WEIR_OK;
}

static weir_err share_send(weir_mqtt_session *session, mqtt_share *share, weir_buffer *out)
{
    if (!share_has_taken(share) || share->accepting || share->accept_due || out == NULL) {
        return WEIR_OK;
    }
    return taken_send(session, share, out);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

/* How many more this share may have: its part of the window. */
static uint32_t share_room(const weir_mqtt_session *session, const mqtt_share *share)
{
    uint32_t part = weir_mqtt_window_size(session) / session->shares->attached;
    uint32_t most = part > 0 ? part : 1;
    uint32_t room = most > share->flights ? most - share->flights : 0;
    return room < SHARE_TAKE_RECORDS_MAX ? room : SHARE_TAKE_RECORDS_MAX;
}

static weir_err share_take(weir_mqtt_session *session, mqtt_share *share, bool drained)
{
    const weir_mqtt_context *context = session->context;
    uint32_t room = share_room(session, share);
    if (share->taking || share_has_taken(share) || share->answer_count > 0 || room == 0 ||
        !drained || context->now_ms < share->take_at_ms) {
        return WEIR_OK; /* [H1] */
    }
    const weir_take take = {.records_max = room,
                            .bytes_max =
                                (uint32_t)(context->limits->output_bytes_max / TAKE_BYTES_PARTS),
                            .wait_ms = (uint32_t)context->limits->fetch_wait_ms_max};
    weir_err err = context->ops->take(context->port, share->member, &take, session->user,
                                      token_of(TOKEN_SHARE, share->number));
    if (err == WEIR_OK) {
        share->taking = true;
        share->cancelled = false;
        session->pending++; /* [H4] */
    }
    return err;
}

static uint64_t care_ms(const mqtt_share *share)
{
    int64_t least = share->session_ms;
    least = share->lease_ms > 0 && share->lease_ms < least ? share->lease_ms : least;
    return (uint64_t)(least / SHARE_CARE_PARTS) + 1;
}

/* MQTT has no word for it while the connection lives, and the subscription comes to life again by
 * itself: the log has it, once for a share. */
static void take_refused(weir_mqtt_session *session, mqtt_share *share, weir_err err)
{
    char client[WEIR_LOG_QUOTE_MAX];
    char group[WEIR_LOG_QUOTE_MAX];
    share->take_at_ms = session->context->now_ms + SHARE_RETRY_MS;
    if (!share->take_told) {
        weir_log(WEIR_LOG_ERROR, "mqtt",
                 "event=share-not-served client=%s group=%s error=%s why=\"%s\"",
                 weir_log_quote(weir_mqtt_session_client_id(session), client),
                 weir_log_quote(weir_mqtt_share_group(share), group), weir_err_name(err),
                 weir_err_text(err));
    }
    share->take_told = true;
}

weir_err weir_mqtt_share_taken(weir_mqtt_session *session, mqtt_share *share,
                               weir_completion *completion)
{
    const weir_mqtt_context *context = session->context;
    share->taking = false;
    if (share->state != SHARE_OPEN || session->state != MQTT_STATE_ACTIVE) {
        return WEIR_OK; /* what it holds goes back with the member */
    }
    if (completion->err == WEIR_LEASE_LOST) {
        weir_mqtt_share_out(session, share);
        return WEIR_OK;
    }
    if (completion->err != WEIR_OK) {
        take_refused(session, share, completion->err);
        return WEIR_OK;
    }
    share->take_told = false;
    if (completion->taken.run_count == 0) {
        return WEIR_OK;
    }
    share->taken = completion->taken;
    completion->taken = (weir_taken){0}; /* taken */
    share->run = 0;
    share->record = 0;
    share->epoch = share->taken.epoch;
    share->lease_ms = share->taken.lease_ms;
    share->zero_lost = false;
    share->zero_sent = false;
    uint64_t care_at_ms = context->now_ms + care_ms(share);
    share->care_at_ms = care_at_ms < share->care_at_ms ? care_at_ms : share->care_at_ms;
    const mqtt_subscription *slot = weir_mqtt_slot(session, share->slot);
    share->taken_qos = slot != NULL ? slot->options.qos : 0;
    if (!share->draining) {
        (void)zero_accept(session, share); /* AGAIN: work tries again */
    }
    return WEIR_OK;
}

/* ---- Renewing -------------------------------------------------------------------------------- */

typedef struct renewal {
    weir_mqtt_session *session;
    const mqtt_share *share;
    weir_settle_range ranges[RENEW_RANGES_MAX];
    uint32_t count;
} renewal;

static weir_err renewal_flush(renewal *r)
{
    weir_settle settle = {.verb = WEIR_VERB_RENEW, .ranges = r->ranges, .range_count = r->count};
    weir_err err = r->count > 0 ? settle_quiet(r->session, r->share, &settle) : WEIR_OK;
    r->count = 0;
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

/* One record renews its whole lease; that the one before named it already is seen, which is nearly
 * always enough. */
static weir_err renewal_add(renewal *r, weir_bytes topic, uint32_t partition, int64_t offset,
                            uint64_t lease)
{
    const weir_settle_range *last = r->count > 0 ? &r->ranges[r->count - 1] : NULL;
    if (last != NULL && last->lease == lease && last->partition == partition &&
        weir_bytes_equal(last->topic, topic)) {
        return WEIR_OK;
    }
    weir_err err = r->count == RENEW_RANGES_MAX ? renewal_flush(r) : WEIR_OK;
    if (err == WEIR_OK) {
        r->ranges[r->count++] = (weir_settle_range){.topic = topic,
                                                    .partition = partition,
                                                    .first = offset,
                                                    .last = offset,
                                                    .lease = lease};
    }
    return err;
}

static weir_err renew_flights(renewal *r)
{
    const struct mqtt_shares *shares = r->session->shares;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < shares->capacity && err == WEIR_OK; i++) {
        const mqtt_flight *flight = &shares->flights[i];
        if (flight->id != 0 && flight->share == r->share && flight->lease != 0) {
            err = renewal_add(r, weir_mqtt_origin_topic(flight->origin), flight->origin->partition,
                              flight->offset, flight->lease);
        }
    }
    return err;
}

/* What waits for packet ids. With QoS 0 it is accepted: nothing to renew. */
static weir_err renew_taken(renewal *r)
{
    const mqtt_share *share = r->share;
    weir_settle_range ranges[SHARE_TAKE_RECORDS_MAX];
    uint32_t count = share->taken.mode != WEIR_MODE_AT_MOST_ONCE
                         ? taken_ranges(r->session, share, TAKEN_ONE, ranges)
                         : 0;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        err =
            renewal_add(r, ranges[i].topic, ranges[i].partition, ranges[i].first, ranges[i].lease);
    }
    return err;
}

/* The client is there, and so is the member; what it has stays with it: [H3]. */
static weir_err share_care(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    renewal r = {.session = session, .share = share};
    if (context->now_ms < share->care_at_ms) {
        return WEIR_OK;
    }
    weir_err err = renew_flights(&r);
    err = err == WEIR_OK ? renew_taken(&r) : err;
    err = err == WEIR_OK ? renewal_flush(&r) : err;
    err = err == WEIR_OK ? context->ops->member_beat(context->port, share->member) : err;
    if (err == WEIR_OK) {
        share->care_at_ms = context->now_ms + care_ms(share);
    }
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

/* ---- Work ------------------------------------------------------------------------------------ */

/* Unsubscribed: nothing more is taken; it leaves when nothing is in flight. */
static weir_err share_drain(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    weir_err err = weir_mqtt_share_return(session, share);
    if (err == WEIR_OK && share->taking && !share->cancelled) {
        err = context->ops->take_cancel(context->port, share->member);
        share->cancelled = err == WEIR_OK;
    }
    if (err == WEIR_OK && share->flights == 0 && !share->accepting) {
        weir_mqtt_share_leave(session, share, true);
        err = share->submitted ? WEIR_OK : WEIR_AGAIN;
    }
    return err;
}

weir_err weir_mqtt_share_work(weir_mqtt_session *session, mqtt_share *share, bool drained,
                              weir_buffer *out)
{
    weir_err err = weir_mqtt_share_tell(session, share);
    if (err == WEIR_OK && share->accept_due && !share->draining) {
        err = zero_accept(session, share);
    }
    weir_err failed = share->draining ? WEIR_OK : share_send(session, share, out);
    if (failed != WEIR_OK) {
        return failed;
    }
    err = err == WEIR_OK ? weir_mqtt_share_tell(session, share) : err; /* what was kept back */
    err = err == WEIR_OK ? share_care(session, share) : err;
    if (err == WEIR_OK) {
        err = share->draining ? share_drain(session, share) : share_take(session, share, drained);
    }
    return err;
}

/* ---- PUBACK ---------------------------------------------------------------------------------- */

/* "0x97", or "0x97: what the client says"; control characters in that as \xNN, a reason has none. */
static weir_bytes reject_reason(const weir_mqtt_packet *packet, char text[REASON_BYTES_MAX])
{
    weir_bytes said = weir_mqtt_text(&packet->properties, WEIR_MQTT_REASON_STRING);
    size_t len = (size_t)snprintf(text, REASON_BYTES_MAX, "0x%02x", packet->reason);
    if (said.len > 0) {
        memcpy(text + len, ": ", 2);
        len += 2;
        len += weir_utf8_tame(said, (uint8_t *)text + len, REASON_BYTES_MAX - len);
    }
    return (weir_bytes){(const uint8_t *)text, len};
}

static weir_err flight_reject(weir_mqtt_session *session, const mqtt_flight *flight,
                              const weir_mqtt_packet *packet)
{
    char text[REASON_BYTES_MAX];
    const weir_settle_range range = {.topic = weir_mqtt_origin_topic(flight->origin),
                                     .partition = flight->origin->partition,
                                     .first = flight->offset,
                                     .last = flight->offset,
                                     .lease = flight->lease};
    weir_settle settle = {.verb = WEIR_VERB_REJECT,
                          .ranges = &range,
                          .range_count = 1,
                          .reason = reject_reason(packet, text)};
    weir_err err = settle_quiet(session, flight->share, &settle);
    session->context->stats.share_rejected += err != WEIR_AGAIN;
    return err == WEIR_AGAIN ? err : WEIR_OK;
}

/* AGAIN: nothing changed. */
static weir_err flight_answer(weir_mqtt_session *session, const mqtt_flight *flight,
                              const weir_mqtt_packet *packet)
{
    mqtt_share *share = flight->share;
    if (share == NULL || flight->lease == 0 || share->state != SHARE_OPEN) {
        return WEIR_OK; /* settled, or lost, before */
    }
    if (packet->reason >= WEIR_MQTT_UNSPECIFIED) {
        return flight_reject(session, flight, packet);
    }
    if (share->answer_count >= SHARE_PUBACKS_MAX) {
        weir_err err = weir_mqtt_share_tell(session, share);
        if (err != WEIR_OK) {
            return err;
        }
    }
    answer_add(share, flight->origin, flight->offset, flight->lease, ANSWER_ACCEPT);
    return WEIR_OK;
}

weir_err weir_mqtt_share_acked(weir_mqtt_session *session, const weir_mqtt_packet *packet,
                               weir_buffer *out)
{
    mqtt_flight *flight = weir_mqtt_flight_find(session->shares, packet->id);
    if (flight == NULL) {
        return WEIR_NOT_FOUND;
    }
    weir_err err = flight_answer(session, flight, packet);
    if (err != WEIR_OK) {
        return err;
    }
    mqtt_share *share = flight->share;
    weir_mqtt_flight_remove(session->shares, flight);
    (void)weir_mqtt_window_release(&session->window, packet->id);
    if (share != NULL && share->state == SHARE_OPEN && !share->draining) {
        err = share_send(session, share, out); /* the id was a share's: shares come first */
    }
    return err == WEIR_OK ? weir_mqtt_deliver_held(session, out) : err;
}
