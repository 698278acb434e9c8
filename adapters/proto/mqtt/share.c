/* adapters/proto/mqtt/share.c - shared subscriptions: their names, how a session comes to be a
 * member of the queue group that is meant, and how it leaves.
 *
 *   $share/workers/jobs/#      the group `workers`, declared with the filter jobs/# or the topic jobs
 *   $queue/jobs                the group of the queue topic `jobs`
 *
 * The states are drawn in share.h. Happy path: the engine tells what the group is, it is the one
 * that is meant, the session joins it, SUBACK leaves; what comes then is share_lease.c's. An
 * UNSUBSCRIBE takes the filter away at once; the member stays until what is with the client is
 * acknowledged [MQTT-3.10.4-3]. The end of the session is the end of its members, which give back
 * what they hold. Without DISCONNECT, unless the gateway drains, the oldest record that the client
 * has not answered fails before: it may have been at that one.
 *
 * Failures: a group that is not there, that has another filter, or is no queue is refused with 0x8F
 * ("correctly formed but not allowed for this Client"): 0x87 would say that somebody else may have
 * it, 0x9E that there are no shared subscriptions here. The Reason String says what to do; so does
 * the log, since MQTT 3.1.1 has no words. A member that is put out while its connection lives joins
 * again; when its group is gone, the connection is closed, which the client notices. */
#include "adapters/proto/mqtt/share.h"

#include "core/base/assert.h"
#include "core/base/log.h"
#include "core/base/trie.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARE_LOG_MS = 1000, SHARE_LOG_LINES = 4, SHARE_RETRY_SOON_MS = 2 };

/* ---- Names ----------------------------------------------------------------------------------- */

static bool begins_with(weir_bytes filter, weir_bytes head)
{
    return filter.len >= head.len && memcmp(filter.ptr, head.ptr, head.len) == 0;
}

bool weir_mqtt_filter_is_share(weir_bytes filter)
{
    return begins_with(filter, WEIR_TEXT("$share/")) || begins_with(filter, WEIR_TEXT("$queue/"));
}

static weir_bytes behind(weir_bytes bytes, size_t from)
{
    return (weir_bytes){bytes.ptr + from, bytes.len - from};
}

/* [MQTT-4.8.2-1], [MQTT-4.8.2-2] */
bool weir_mqtt_share_is_malformed(weir_bytes filter)
{
    if (!begins_with(filter, WEIR_TEXT("$share/"))) {
        return false;
    }
    weir_bytes rest = behind(filter, WEIR_TEXT("$share/").len);
    size_t at = 0;
    while (at < rest.len && rest.ptr[at] != '/') {
        if (rest.ptr[at] == '+' || rest.ptr[at] == '#') {
            return true;
        }
        at++;
    }
    return at == 0 || at + 1 >= rest.len;
}

/* "t" of "t/#" and of "t". */
static weir_bytes topic_of(weir_bytes filter)
{
    bool all = filter.len > 2 && memcmp(filter.ptr + filter.len - 2, "/#", 2) == 0;
    return (weir_bytes){filter.ptr, filter.len - (all ? 2 : 0)};
}

/* The filter is not malformed. */
static mqtt_share_name name_of(weir_bytes filter)
{
    mqtt_share_name name = {.queue = begins_with(filter, WEIR_TEXT("$queue/"))};
    weir_bytes rest = behind(filter, WEIR_TEXT("$share/").len);
    if (name.queue) {
        name.filter = rest;
        name.group = topic_of(rest);
        return name;
    }
    const uint8_t *slash = memchr(rest.ptr, '/', rest.len);
    name.group = (weir_bytes){rest.ptr, (size_t)(slash - rest.ptr)};
    name.filter = behind(rest, name.group.len + 1);
    return name;
}

bool weir_mqtt_share_filter_is_valid(weir_bytes filter)
{
    return !weir_mqtt_share_is_malformed(filter) &&
           weir_filter_check(name_of(filter).filter) == WEIR_OK;
}

/* ---- Its memory ------------------------------------------------------------------------------ */

static mqtt_share *share_numbered(const weir_mqtt_session *session, uint64_t number)
{
    mqtt_share *share = session->shares != NULL ? session->shares->list : NULL;
    while (share != NULL && share->number != number) {
        share = share->next;
    }
    return share;
}

static mqtt_share *share_make(weir_mqtt_session *session, weir_bytes filter)
{
    mqtt_share_name name = name_of(filter);
    if (session->shares == NULL) {
        session->shares = calloc(1, sizeof(*session->shares));
    }
    if (session->shares == NULL) {
        return NULL;
    }
    mqtt_share *share = calloc(1, sizeof(*share) + name.group.len + name.filter.len);
    if (share == NULL) {
        return NULL;
    }
    memcpy(share->words, name.group.ptr, name.group.len);
    memcpy(share->words + name.group.len, name.filter.ptr, name.filter.len);
    share->group_len = (uint32_t)name.group.len;
    share->filter_len = (uint32_t)name.filter.len;
    share->queue = name.queue;
    share->state = SHARE_CHECKING;
    share->slot = SHARE_SLOT_NONE;
    share->number = ++session->shares->number;
    share->next = session->shares->list;
    session->shares->list = share;
    return share;
}

static void share_detach(weir_mqtt_session *session, mqtt_share *share)
{
    if (share->slot != SHARE_SLOT_NONE) {
        share->slot = SHARE_SLOT_NONE;
        session->shares->attached--;
    }
}

static void share_destroy(mqtt_share *share)
{
    weir_mqtt_share_taken_drop(share);
    weir_mqtt_share_answers_drop(share);
    weir_mqtt_origin_drop(share->origin);
    free(share);
}

static void share_free(weir_mqtt_session *session, mqtt_share *share)
{
    mqtt_share **link = &session->shares->list;
    while (*link != share) {
        link = &(*link)->next;
    }
    *link = share->next;
    share_detach(session, share);
    weir_mqtt_share_unlease(session, share);
    share_destroy(share);
}

void weir_mqtt_shares_fini(weir_mqtt_session *session)
{
    struct mqtt_shares *shares = session->shares;
    if (shares == NULL) {
        return;
    }
    weir_mqtt_flights_fini(shares);
    while (shares->list != NULL) {
        mqtt_share *share = shares->list;
        shares->list = share->next;
        share_destroy(share);
    }
    free(shares);
    session->shares = NULL;
}

size_t weir_mqtt_shares_memory_bytes(const weir_mqtt_session *session)
{
    const struct mqtt_shares *shares = session->shares;
    size_t bytes = 0;
    if (shares != NULL) {
        bytes = sizeof(*shares) + shares->capacity * sizeof(shares->flights[0]);
        for (const mqtt_share *share = shares->list; share != NULL; share = share->next) {
            bytes += sizeof(*share) + share->group_len + share->filter_len;
        }
    }
    return bytes;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static weir_err submitted(weir_mqtt_session *session, mqtt_share *share, weir_err err)
{
    if (err == WEIR_OK) {
        share->submitted = true;
        session->pending++; /* [H4] */
    }
    return err;
}

static weir_err check_submit(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    return submitted(session, share,
                     context->ops->groups(context->port, weir_mqtt_share_group(share),
                                          session->user, token_of(TOKEN_SHARE, share->number)));
}

/* For people: the client id, as much of it as a member's name may have. A client id may hold control
 * characters, which a member's name may not: they stand there as \xNN. */
static weir_bytes member_name(const weir_mqtt_session *session, uint8_t name[WEIR_MEMBER_BYTES_MAX])
{
    size_t len = weir_utf8_tame(weir_mqtt_session_client_id(session), name, WEIR_MEMBER_BYTES_MAX);
    return (weir_bytes){name, len};
}

static weir_err join_submit(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    uint8_t name[WEIR_MEMBER_BYTES_MAX];
    const weir_join join = {.group = weir_mqtt_share_group(share),
                            .name = member_name(session, name),
                            .origin = WEIR_TEXT("mqtt")};
    return submitted(session, share,
                     context->ops->member_join(context->port, &join, session->user,
                                               token_of(TOKEN_SHARE, share->number)));
}

static weir_err leave_submit(weir_mqtt_session *session, mqtt_share *share)
{
    const weir_mqtt_context *context = session->context;
    return submitted(session, share,
                     context->ops->member_leave(context->port, share->member, share->orderly,
                                                session->user,
                                                token_of(TOKEN_SHARE, share->number)));
}

void weir_mqtt_share_leave(weir_mqtt_session *session, mqtt_share *share, bool orderly)
{
    share->state = SHARE_LEAVING;
    share->submitted = false;
    share->orderly = orderly;
    weir_mqtt_share_taken_drop(share);  /* all that it holds goes back */
    (void)leave_submit(session, share); /* AGAIN: tried again by work, or end */
}

void weir_mqtt_share_out(weir_mqtt_session *session, mqtt_share *share)
{
    weir_mqtt_share_unlease(session, share);
    weir_mqtt_share_answers_drop(share);
    share->again = !share->draining;
    weir_mqtt_share_leave(session, share, false);
}

weir_err weir_mqtt_share_open(weir_mqtt_session *session, weir_bytes filter, uint32_t slot,
                              uint64_t asked, struct mqtt_share **out)
{
    mqtt_share *share = share_make(session, filter);
    if (share == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = check_submit(session, share);
    if (err != WEIR_OK) {
        share_free(session, share);
        return err;
    }
    share->asked = asked;
    share->slot = slot;
    session->shares->attached++;
    *out = share;
    return WEIR_OK;
}

bool weir_mqtt_share_is_asked(const struct mqtt_share *share)
{
    return share->asked != 0;
}

void weir_mqtt_share_close(weir_mqtt_session *session, struct mqtt_share *share)
{
    share->draining = true;
    share->again = false;
    share_detach(session, share);
    if (share->state == SHARE_OPEN) {
        (void)weir_mqtt_share_work(session, share, true, NULL); /* AGAIN: it is called again */
    }
}

/* ---- Refusing -------------------------------------------------------------------------------- */

typedef struct share_words { /* a name, or a stand-in when it is long */
    int len;
    const char *ptr;
} share_words;

static share_words words_of(weir_bytes name, const char *instead)
{
    return name.len <= SHARE_TEXT_NAME_MAX ? (share_words){(int)name.len, (const char *)name.ptr}
                                           : (share_words){(int)strlen(instead), instead};
}

static void text_undeclared(const mqtt_share *share, char text[SHARE_TEXT_BYTES])
{
    share_words group = words_of(weir_mqtt_share_group(share), "NAME");
    share_words filter = words_of(weir_mqtt_share_filter(share), "FILTER");
    if (share->queue) {
        snprintf(
            text, SHARE_TEXT_BYTES,
            "No queue topic \"%.*s\" is declared. Declare it: weir queue create '%.*s'. Over a "
            "log topic: weir group create NAME --model queue --topic TOPIC, and subscribe to "
            "$share/NAME/TOPIC",
            group.len, group.ptr, group.len, group.ptr);
        return;
    }
    snprintf(text, SHARE_TEXT_BYTES,
             "No queue group \"%.*s\" is declared. Declare it: weir group create '%.*s' --model "
             "queue --filter '%.*s'",
             group.len, group.ptr, group.len, group.ptr, filter.len, filter.ptr);
}

static void text_of_model(const mqtt_share *share, char text[SHARE_TEXT_BYTES])
{
    share_words group = words_of(weir_mqtt_share_group(share), "NAME");
    share_words filter = words_of(weir_mqtt_share_filter(share), "FILTER");
    snprintf(text, SHARE_TEXT_BYTES,
             "The group \"%.*s\" is a stream group, and a shared subscription joins queue groups. "
             "Declare one by another name: weir group create NAME --model queue --filter '%.*s'",
             group.len, group.ptr, filter.len, filter.ptr);
}

static void text_of_filter(const mqtt_share *share, const weir_group_options *options,
                           char text[SHARE_TEXT_BYTES])
{
    share_words group = words_of(weir_mqtt_share_group(share), "NAME");
    weir_bytes reads = options->topic_count == 1 ? options->topics[0] : options->filter;
    share_words named = words_of(reads, "FILTER");
    if (options->topic_count > 1) {
        snprintf(text, SHARE_TEXT_BYTES,
                 "The group \"%.*s\" reads several topics, and a shared subscription has one "
                 "filter: join it by weir.v1, or declare a group with a filter.",
                 group.len, group.ptr);
        return;
    }
    snprintf(text, SHARE_TEXT_BYTES,
             "The group \"%.*s\" is declared with %s '%.*s': subscribe to $share/%.*s/%.*s%s",
             group.len, group.ptr, options->topic_count == 1 ? "the topic" : "the filter",
             named.len, named.ptr, group.len, group.ptr, named.len, named.ptr,
             options->topic_count == 1 ? "/#" : "");
}

static bool reads_as_asked(const mqtt_share *share, const weir_group_options *options)
{
    weir_bytes filter = weir_mqtt_share_filter(share);
    if (options->topic_count == 0) {
        return !share->queue && weir_bytes_equal(filter, options->filter);
    }
    return options->topic_count == 1 && weir_bytes_equal(topic_of(filter), options->topics[0]);
}

/* Four lines at most of a second, which begins with the first: what was mistyped in several filters is
 * told at once, and a client that tries for ever does not fill the disk. */
static void refusal_log(weir_mqtt_session *session, const mqtt_share *share, uint8_t code,
                        const char *why)
{
    weir_mqtt_context *context = session->context;
    char client[WEIR_LOG_QUOTE_MAX];
    char group[WEIR_LOG_QUOTE_MAX];
    char filter[WEIR_LOG_QUOTE_MAX];
    context->stats.shares_refused++;
    if (context->now_ms >= context->share_log_ms) {
        context->share_log_ms = context->now_ms + SHARE_LOG_MS;
        context->share_log_lines = 0;
    }
    if (context->share_log_lines < SHARE_LOG_LINES) {
        context->share_log_lines++;
        weir_log(WEIR_LOG_INFO, "mqtt",
                 "event=share-refused client=%s group=%s filter=%s code=0x%02x why=\"%s\"",
                 weir_log_quote(weir_mqtt_session_client_id(session), client),
                 weir_log_quote(weir_mqtt_share_group(share), group),
                 weir_log_quote(weir_mqtt_share_filter(share), filter), code, why);
    }
}

/* Why a share is not to be had: `why` for the log, a literal; `text` for the client. */
typedef struct share_refusal {
    weir_err err;
    const char *why;
    char text[SHARE_TEXT_BYTES];
} share_refusal;

static void refusal_of_err(share_refusal *refusal, const mqtt_share *share, weir_err err)
{
    refusal->err = err;
    if (err == WEIR_NOT_FOUND || err == WEIR_NAME_INVALID) {
        refusal->why = share->queue ? "No such queue topic: weir queue create TOPIC."
                                    : "No such group: weir group create GROUP --model queue "
                                      "--filter FILTER.";
        text_undeclared(share, refusal->text);
        return;
    }
    refusal->why = weir_err_text(err);
    snprintf(refusal->text, SHARE_TEXT_BYTES, "%s", refusal->why);
}

static void refusal_of_model(share_refusal *refusal, const mqtt_share *share)
{
    refusal->err = WEIR_EXISTS;
    refusal->why = "It is a stream group: a shared subscription joins queue groups.";
    text_of_model(share, refusal->text);
}

static void refusal_of_filter(share_refusal *refusal, const mqtt_share *share,
                              const weir_group_options *options)
{
    refusal->err = WEIR_EXISTS;
    refusal->why = "The group is declared with another filter: weir group info GROUP.";
    text_of_filter(share, options, refusal->text);
}

/* The share is over before it began; who asked for it is told. One that was in force takes the
 * connection with it: there is no other word for it. */
static weir_err share_refuse(weir_mqtt_session *session, mqtt_share *share,
                             const share_refusal *refusal, weir_buffer *out)
{
    uint8_t code = weir_mqtt_subscribe_code(session, refusal->err);
    uint64_t asked = share->asked;
    bool told = session->state == MQTT_STATE_ACTIVE && share->slot != SHARE_SLOT_NONE;
    if (told) {
        refusal_log(session, share, code, refusal->why);
    }
    share->asked = 0;
    if (share->member == NULL) {
        share_free(session, share);
    } else {
        weir_mqtt_share_close(session, share);
    }
    if (!told) {
        return WEIR_OK;
    }
    if (asked == 0) {
        return weir_mqtt_fail(session, WEIR_MQTT_ADMINISTRATIVE,
                              "The queue group of a shared subscription is not there any more.",
                              out);
    }
    return weir_mqtt_subscribe_answer(session, asked, code, refusal->text, out);
}

/* ---- Completions ----------------------------------------------------------------------------- */

static weir_err checked(weir_mqtt_session *session, mqtt_share *share,
                        const weir_completion *completion, weir_buffer *out)
{
    const weir_group_info *info = completion->groups.count > 0 ? completion->groups.groups : NULL;
    weir_err err = completion->err == WEIR_OK && info == NULL ? WEIR_NOT_FOUND : completion->err;
    share_refusal refusal = {.err = WEIR_OK};
    if (session->state != MQTT_STATE_ACTIVE || share->draining) {
        share_free(session, share);
        return WEIR_OK;
    }
    if (err != WEIR_OK) {
        refusal_of_err(&refusal, share, err);
    } else if (info->options.model != WEIR_MODEL_QUEUE) {
        refusal_of_model(&refusal, share);
    } else if (!reads_as_asked(share, &info->options)) {
        refusal_of_filter(&refusal, share, &info->options);
    }
    if (refusal.err != WEIR_OK) {
        return share_refuse(session, share, &refusal, out);
    }
    share->state = SHARE_JOINING;
    (void)join_submit(session, share); /* AGAIN: work tries again */
    return WEIR_OK;
}

static weir_err joined(weir_mqtt_session *session, mqtt_share *share,
                       const weir_completion *completion, weir_buffer *out)
{
    const weir_joined *told = &completion->joined;
    share_refusal refusal = {.err = WEIR_OK};
    if (completion->err != WEIR_OK) {
        refusal_of_err(&refusal, share, completion->err);
        return share_refuse(session, share, &refusal, out);
    }
    share->member = told->member;
    share->state = SHARE_OPEN;
    share->lease_ms = told->lease_ms;
    share->session_ms = told->session_ms;
    share->care_at_ms = session->context->now_ms; /* soon: work sets it on */
    if (session->state != MQTT_STATE_ACTIVE) {
        return WEIR_OK; /* end() leaves */
    }
    if (told->model != WEIR_MODEL_QUEUE) { /* made anew as another between the two questions */
        refusal_of_model(&refusal, share);
        return share_refuse(session, share, &refusal, out);
    }
    uint64_t asked = share->asked;
    share->asked = 0;
    return asked != 0 ? weir_mqtt_subscribe_answer(session, asked, 0, NULL, out) : WEIR_OK;
}

static weir_err left(weir_mqtt_session *session, mqtt_share *share)
{
    share->member = NULL;
    if (!share->again || session->state != MQTT_STATE_ACTIVE) {
        share_free(session, share);
        return WEIR_OK;
    }
    share->again = false;
    share->taking = false;
    share->cancelled = false;
    share->accepting = false;
    share->accept_due = false;
    share->state = SHARE_CHECKING;
    (void)check_submit(session, share);
    return WEIR_OK;
}

weir_err weir_mqtt_share_complete(weir_mqtt_session *session, weir_completion *completion,
                                  weir_buffer *out)
{
    uint64_t number = completion->token & (((uint64_t)1 << TOKEN_KIND_SHIFT) - 1);
    mqtt_share *share = share_numbered(session, number);
    WEIR_ASSERT(share != NULL); /* [H4] */
    switch (completion->type) {
    case WEIR_COMPLETION_GROUPS:
        share->submitted = false;
        return checked(session, share, completion, out);
    case WEIR_COMPLETION_MEMBER:
        share->submitted = false;
        return joined(session, share, completion, out);
    case WEIR_COMPLETION_LEFT:
        share->submitted = false;
        return left(session, share);
    case WEIR_COMPLETION_TAKEN:
        return weir_mqtt_share_taken(session, share, completion);
    default:
        weir_mqtt_share_settled(session, share, completion);
        return WEIR_OK;
    }
}

/* ---- All of a session's ---------------------------------------------------------------------- */

/* Whatever the share's state waits for room to ask. */
static weir_err share_ask(weir_mqtt_session *session, mqtt_share *share)
{
    if (share->submitted || share->state == SHARE_OPEN) {
        return WEIR_OK;
    }
    switch ((mqtt_share_state)share->state) {
    case SHARE_CHECKING:
        return check_submit(session, share);
    case SHARE_JOINING:
        return join_submit(session, share);
    default:
        return leave_submit(session, share);
    }
}

weir_err weir_mqtt_shares_work(weir_mqtt_session *session, bool drained, weir_buffer *out)
{
    struct mqtt_shares *shares = session->shares;
    weir_err waits = WEIR_OK;
    if (shares == NULL) {
        return WEIR_OK;
    }
    for (mqtt_share *share = shares->list; share != NULL; share = share->next) {
        weir_err err = share->state == SHARE_OPEN
                           ? weir_mqtt_share_work(session, share, drained, out)
                           : share_ask(session, share);
        if (err == WEIR_AGAIN) {
            waits = err;
        } else if (err != WEIR_OK) {
            return err;
        }
    }
    shares->retry = waits == WEIR_AGAIN;
    return waits;
}

/* One of an ending session. AGAIN: it could not go yet. */
static weir_err share_end(weir_mqtt_session *session, mqtt_share *share)
{
    if (share->submitted) {
        return WEIR_OK; /* its completion is pending */
    }
    if (share->state == SHARE_CHECKING || share->state == SHARE_JOINING) {
        share_free(session, share);
        return WEIR_OK;
    }
    if (share->state == SHARE_LEAVING) {
        return leave_submit(session, share);
    }
    weir_err err = weir_mqtt_share_tell(session, share);
    if (err == WEIR_OK && !session->orderly) {
        err = weir_mqtt_share_blame(session, share);
    }
    if (err == WEIR_OK) {
        weir_mqtt_share_leave(session, share, true); /* the rest goes back, as no failure */
        err = share->submitted ? WEIR_OK : WEIR_AGAIN;
    }
    return err;
}

weir_err weir_mqtt_shares_end(weir_mqtt_session *session)
{
    weir_err waits = WEIR_OK;
    mqtt_share *next = NULL;
    for (mqtt_share *share = session->shares != NULL ? session->shares->list : NULL; share != NULL;
         share = next) {
        next = share->next;
        waits = share_end(session, share) == WEIR_AGAIN ? WEIR_AGAIN : waits;
    }
    return waits;
}

uint64_t weir_mqtt_shares_deadline_ms(const weir_mqtt_session *session)
{
    const struct mqtt_shares *shares = session->shares;
    uint64_t now_ms = session->context->now_ms;
    uint64_t due_ms = UINT64_MAX;
    if (shares == NULL) {
        return due_ms;
    }
    if (shares->retry) {
        return now_ms + SHARE_RETRY_SOON_MS;
    }
    for (const mqtt_share *share = shares->list; share != NULL; share = share->next) {
        if (share->state != SHARE_OPEN) {
            continue;
        }
        due_ms = share->care_at_ms < due_ms ? share->care_at_ms : due_ms;
        if (share->take_at_ms > now_ms && share->take_at_ms < due_ms) {
            due_ms = share->take_at_ms;
        }
    }
    return due_ms;
}
