/* adapters/proto/weir1/session_complete.c - what comes back from the port, told to the peer.
 *
 * The token of an operation is its address; deliveries and notices carry their subscriber instead.
 * An operation ends here whatever came of it, so that a session whose connection is gone runs
 * empty.
 *
 * When the gateway waits for the disk no longer (weir_engine_stop_waiting) nobody knows whether what
 * was to be written is kept: neither an answer nor an error would be true. The conversation ends with
 * it unanswered, which clients take for just that; where each message must be answered it is `closed`.
 *
 * [S5] The operation is freed once: here, or when it was held and did not come again [S6]. */
#include "adapters/proto/weir1/session_private.h"

/* Why a fetch is not offered. */
#define QUEUE_TEXT                                                                                    \
    "It is a queue, whose records go to one member each: join its group, which is named like it, to " \
    "take them, or fetch with \"peek\":true to look without taking."
#define OWN_TOPIC_TEXT                                                                               \
    "It is a topic of the gateway's own: fetch with \"peek\":true to look at it, and ask why about " \
    "what is in __fates."

static void published(weir_v1_session *session, const weir_v1_op *op,
                      const weir_completion *completion)
{
    if (completion->err == WEIR_NAME_INVALID) {
        weir_v1_reason reason;
        (void)weir_v1_name_refuse(session, &reason);
        weir_v1_reply_error(session, &op->call, &reason);
    } else if (completion->err != WEIR_OK) {
        weir_v1_reply_err(session, &op->call, completion->err);
    } else if (!op->call.quiet) {
        weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
        weir_v1_write_raw(&writer, ",");
        weir_v1_write_published(&writer, &completion->published);
        weir_v1_reply_end(session, &writer, &op->call);
    }
}

static void published_many(weir_v1_session *session, const weir_v1_op *op,
                           const weir_completion *completion)
{
    weir_v1_result *result = &op->many->results[op->index];
    result->err = completion->err;
    result->published = completion->published;
    op->many->done++;
    weir_v1_many_done(session, op->many);
}

static void produced(weir_v1_session *session, const weir_v1_op *op,
                     const weir_completion *completion)
{
    if (completion->err != WEIR_OK) {
        weir_v1_reply_op_err(session, op, completion->err);
        return;
    }
    weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_PRODUCED,
        .request = op->call.frame_request,
        .level = completion->published.level,
        .duplicate = completion->published.duplicate,
        .partition = completion->published.partition,
        .offset = completion->published.offset,
        .time_ms = completion->published.timestamp_ms,
    };
    session->out.len = 0;
    if (weir_v1_frame_encode(&frame, &session->out) != WEIR_OK) {
        weir_v1_give_up(session);
        return;
    }
    weir_v1_emit(session, WEIR_V1_BINARY, op->call.request);
}

/* ---- fetch ------------------------------------------------------------------------------------
 */

/* Writes the records of one run from `*next` on, while the message has room; raises *next. */
static bool write_run(weir_v1_writer *writer, const weir_run *run, size_t bytes_max, bool *any,
                      int64_t *next)
{
    weir_v1_place place = {.topic = weir_chunk_topic(run->chunk),
                           .partition = weir_chunk_partition(run->chunk)};
    for (uint32_t i = 0; i < run->count; i++) {
        weir_record record;
        weir_chunk_record(run->chunk, run->first + i, &record);
        if (record.offset < *next) {
            continue;
        }
        if (writer->failed || (*any && writer->out->len >= bytes_max)) {
            return false;
        }
        weir_v1_write_raw(writer, *any ? "," : "");
        weir_v1_write_record(writer, &place, &record);
        *any = true;
        *next = record.offset + 1;
    }
    return true;
}

/* The error and the offsets that it is about; an error frame has them in its text alone. */
static void fetch_error(weir_v1_session *session, const weir_v1_op *op,
                        const weir_v1_reason *reason, const char *names[2],
                        const weir_fetched *fetched)
{
    if (op->call.frame) {
        weir_v1_reply_error(session, &op->call, reason);
        return;
    }
    weir_v1_writer writer = weir_v1_error_begin(session, &op->call, reason);
    weir_v1_write_raw(&writer, names[0]);
    weir_v1_write_integer(&writer, fetched->start_offset);
    weir_v1_write_raw(&writer, names[1]);
    weir_v1_write_integer(&writer, fetched->end_offset);
    weir_v1_reply_end(session, &writer, &op->call);
}

static void fetch_failed(weir_v1_session *session, const weir_v1_op *op,
                         const weir_completion *completion)
{
    const weir_fetched *fetched = &completion->fetched;
    weir_v1_reason reason;
    weir_err err = completion->err;
    if (err == WEIR_OFFSET_OUT_OF_RANGE) {
        (void)weir_v1_refuse(&reason, err, NULL,
                             "The partition begins at %lld and ends at %lld: fetch at an offset "
                             "within these bounds.",
                             (long long)fetched->start_offset, (long long)fetched->end_offset);
        fetch_error(session, op, &reason, (const char *[]){",\"start\":", ",\"end\":"}, fetched);
    } else if ((err == WEIR_DAMAGED || err == WEIR_IO) &&
               fetched->end_offset > fetched->start_offset) {
        (void)weir_v1_refuse(&reason, err, NULL,
                             "Offsets %lld to %lld cannot be read: fetch on at %lld, and see the "
                             "gateway's log.",
                             (long long)fetched->start_offset, (long long)fetched->end_offset - 1,
                             (long long)fetched->end_offset);
        fetch_error(session, op, &reason, (const char *[]){",\"from\":", ",\"to\":"}, fetched);
    } else if (err == WEIR_NOT_OFFERED) {
        (void)weir_v1_refuse(&reason, err, NULL, "%s", op->own_topic ? OWN_TOPIC_TEXT : QUEUE_TEXT);
        weir_v1_reply_error(session, &op->call, &reason);
    } else {
        weir_v1_reply_op_err(session, op, err);
    }
}

static void fetched(weir_v1_session *session, const weir_v1_op *op,
                    const weir_completion *completion)
{
    if (completion->err != WEIR_OK) {
        fetch_failed(session, op, completion);
        return;
    }
    const weir_fetched *result = &completion->fetched;
    size_t bytes_max = (size_t)session->config.limits->fetch_bytes_max;
    int64_t next = op->offset;
    bool any = false;
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    weir_v1_write_raw(&writer, ",\"start\":");
    weir_v1_write_integer(&writer, result->start_offset);
    weir_v1_write_raw(&writer, ",\"end\":");
    weir_v1_write_integer(&writer, result->end_offset);
    weir_v1_write_raw(&writer, ",\"records\":[");
    for (uint32_t i = 0; i < result->run_count; i++) {
        if (!write_run(&writer, &result->runs[i], bytes_max, &any, &next)) {
            break;
        }
    }
    weir_v1_write_raw(&writer, "],\"next\":");
    weir_v1_write_integer(&writer, next);
    weir_v1_reply_end(session, &writer, &op->call);
}

static size_t batches_bytes(const weir_fetched *fetched)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < fetched->run_count; i++) {
        bytes += weir_chunk_batch(fetched->runs[i].chunk).len;
    }
    return bytes;
}

static void fetched_frame(weir_v1_session *session, const weir_v1_op *op,
                          const weir_completion *completion)
{
    if (completion->err != WEIR_OK) {
        fetch_failed(session, op, completion);
        return;
    }
    weir_v1_frame frame = {
        .type = WEIR_V1_FRAME_FETCHED,
        .request = op->call.frame_request,
        .start_offset = completion->fetched.start_offset,
        .end_offset = completion->fetched.end_offset,
    };
    size_t position = 0;
    weir_buffer *out = weir_v1_emit_begin(session);
    size_t before = out->len;
    weir_err err = weir_v1_frame_begin(&frame, out, &position);
    err = err == WEIR_OK ? weir_buffer_reserve(out, batches_bytes(&completion->fetched)) : err;
    for (uint32_t i = 0; err == WEIR_OK && i < completion->fetched.run_count; i++) {
        weir_bytes batch = weir_chunk_batch(completion->fetched.runs[i].chunk);
        err = weir_buffer_append(out, batch.ptr, batch.len);
    }
    if (err != WEIR_OK) {
        out->len = before;
        weir_v1_give_up(session);
    } else {
        weir_v1_frame_end(out, position);
    }
    weir_v1_emit_end(session, out, out->len - before, op->call.request);
}

/* ---- topics -----------------------------------------------------------------------------------
 */

static void write_bounds(weir_v1_writer *writer, const weir_topic_info *topic, bool by_time)
{
    weir_v1_write_raw(writer, ",\"offsets\":[");
    for (uint32_t i = 0; topic->partitions != NULL && i < topic->options.partitions; i++) {
        const weir_partition_info *partition = &topic->partitions[i];
        weir_v1_write_raw(writer, i > 0 ? ",{\"partition\":" : "{\"partition\":");
        weir_v1_write_unsigned(writer, i);
        weir_v1_write_raw(writer, ",\"start\":");
        weir_v1_write_integer(writer, partition->start_offset);
        weir_v1_write_raw(writer, ",\"end\":");
        weir_v1_write_integer(writer, partition->end_offset);
        if (by_time) {
            weir_v1_write_raw(writer, ",\"found\":");
            weir_v1_write_integer(writer, partition->found_offset);
        }
        weir_v1_write_raw(writer, "}");
    }
    weir_v1_write_raw(writer, "]");
}

static void write_settings(weir_v1_writer *writer, const weir_topic_options *options)
{
    size_t count;
    const weir_topic_setting *rows = weir_topic_settings(&count);
    weir_v1_write_raw(writer, ",\"cleanup\":");
    weir_v1_write_string(writer, weir_bytes_of(weir_cleanup_name(options->cleanup)));
    for (size_t i = 0; i < count; i++) {
        weir_v1_write_raw(writer, ",\"");
        weir_v1_write_raw(writer, rows[i].name);
        weir_v1_write_raw(writer, "\":");
        int64_t value = weir_topic_setting_get(options, &rows[i]);
        const char *word = weir_topic_setting_word(&rows[i], value);
        if (word != NULL) {
            weir_v1_write_string(writer, weir_bytes_of(word));
        } else {
            weir_v1_write_integer(writer, value);
        }
    }
}

static void write_topic(weir_v1_writer *writer, const weir_topic_info *topic)
{
    weir_v1_write_raw(writer, "{\"topic\":");
    weir_v1_write_string(writer, weir_bytes_of(topic->name));
    weir_v1_write_raw(writer, ",\"partitions\":");
    weir_v1_write_unsigned(writer, topic->options.partitions);
    weir_v1_write_raw(writer, ",\"durability\":");
    weir_v1_write_string(writer, weir_bytes_of(weir_level_name(topic->options.level)));
    if (topic->options.kind == WEIR_KIND_QUEUE) {
        weir_v1_write_raw(writer, ",\"kind\":\"queue\"");
    }
    weir_v1_write_raw(writer, topic->options.nested ? ",\"nested\":true" : ",\"nested\":false");
    weir_v1_write_raw(writer, ",\"partition_levels\":");
    weir_v1_write_unsigned(writer, topic->options.partition_levels);
    write_settings(writer, &topic->options);
    if (topic->held_bytes > 0) {
        weir_v1_write_raw(writer, ",\"held_bytes\":");
        weir_v1_write_unsigned(writer, topic->held_bytes);
        weir_v1_write_raw(writer, ",\"held_by\":");
        weir_v1_write_string(writer, weir_bytes_of(topic->held_by));
    }
    if (topic->partitions != NULL) {
        write_bounds(writer, topic, false);
    }
    weir_v1_write_raw(writer, "}");
}

static void topics_listed(weir_v1_session *session, const weir_v1_op *op,
                          const weir_completion *completion)
{
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    weir_v1_write_raw(&writer, ",\"topics\":[");
    for (uint32_t i = 0; i < completion->topics.count; i++) {
        weir_v1_write_raw(&writer, i > 0 ? "," : "");
        write_topic(&writer, &completion->topics.topics[i]);
    }
    weir_v1_write_raw(&writer, "]");
    weir_v1_reply_end(session, &writer, &op->call);
}

/* create, alter, delete and offsets: about one topic, or none when there is nothing to tell. */
static void topic_told(weir_v1_session *session, const weir_v1_op *op,
                       const weir_completion *completion)
{
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    if (completion->topics.count > 0 && completion->topics.topics != NULL) {
        const weir_topic_info *topic = &completion->topics.topics[0];
        if (op->kind == WEIR_V1_OP_OFFSETS) {
            weir_v1_write_raw(&writer, ",\"topic\":");
            weir_v1_write_string(&writer, weir_bytes_of(topic->name));
            write_bounds(&writer, topic, op->offset != 0);
        } else if (op->kind == WEIR_V1_OP_TOPIC) {
            weir_v1_write_raw(&writer, ",\"topic\":");
            write_topic(&writer, topic);
            weir_v1_write_raw(&writer, completion->topics.created ? ",\"created\":true" : "");
        }
    }
    weir_v1_reply_end(session, &writer, &op->call);
}

static void topics(weir_v1_session *session, const weir_v1_op *op,
                   const weir_completion *completion)
{
    if (completion->err == WEIR_INVALID) {
        weir_v1_reason reason;
        weir_v1_refuse(
            &reason, WEIR_INVALID, NULL,
            "A queue is not compacted: leave cleanup out, or make a topic of kind log. A topic that "
            "is there is given more partitions, never fewer.");
        weir_v1_reply_error(session, &op->call, &reason);
    } else if (completion->err != WEIR_OK) {
        weir_v1_reply_op_err(session, op, completion->err);
    } else if (op->kind == WEIR_V1_OP_TOPICS) {
        topics_listed(session, op, completion);
    } else {
        topic_told(session, op, completion);
    }
}

/* ---- subscriptions ----------------------------------------------------------------------------
 */

static void subscribed(weir_v1_session *session, const weir_v1_op *op,
                       const weir_completion *completion)
{
    weir_v1_subscription *subscription = op->subscription;
    if (completion->err == WEIR_NAME_INVALID) {
        weir_v1_reason reason;
        (void)weir_v1_filter_refuse(session, &reason);
        weir_v1_reply_error(session, &op->call, &reason);
        weir_v1_subscription_close(session, subscription, NULL);
        return;
    }
    if (completion->err != WEIR_OK) {
        weir_v1_reply_err(session, &op->call, completion->err);
        weir_v1_subscription_close(session, subscription, NULL);
        return;
    }
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    weir_v1_write_raw(&writer, ",\"subscription\":");
    weir_v1_write_unsigned(&writer, subscription->number);
    weir_v1_reply_end(session, &writer, &op->call);
    if (subscription->state == WEIR_V1_SUBSCRIPTION_OPENING) {
        subscription->state = WEIR_V1_SUBSCRIPTION_OPEN;
        session->grants_wanted = true;
    }
}

/* ---- What nobody waits for any longer ----------------------------------------------------------
 */

/* The member's own leave ended it: nothing came of it, and the gateway has said so. */
static bool is_left(const weir_v1_op *op)
{
    return op->member != NULL && op->member->state == WEIR_V1_MEMBER_LEAVING;
}

static bool changes(const weir_v1_op *op)
{
    switch (op->kind) {
    case WEIR_V1_OP_PUBLISH:
    case WEIR_V1_OP_PUBLISH_MANY:
    case WEIR_V1_OP_PRODUCE:
    case WEIR_V1_OP_TOPIC:
    case WEIR_V1_OP_TOPIC_DELETE:
    case WEIR_V1_OP_GROUP:
    case WEIR_V1_OP_GROUP_DELETE:
    case WEIR_V1_OP_SETTLE:
    case WEIR_V1_OP_COMMIT:
        return true;
    default:
        return false;
    }
}

/* What is told of an operation that was given up; the conversation may end. */
static weir_err given_up(weir_v1_session *session, const weir_v1_op *op)
{
    if (is_left(op)) {
        return WEIR_CLOSED;
    }
    if (changes(op)) {
        if (session->config.push) {
            weir_v1_session_fail(
                session, WEIR_CLOSED,
                "The gateway cannot write any more: whether what is unanswered was "
                "stored, nobody knows until it was started again.");
        }
        return WEIR_CLOSED;
    }
    /* A question, or what leaves nothing behind. */
    return session->draining ? WEIR_CLOSED : WEIR_READ_ONLY;
}

/* ---- Dispatch ---------------------------------------------------------------------------------
 */

static void op_complete(weir_v1_session *session, const weir_v1_op *op,
                        const weir_completion *completion)
{
    switch (op->kind) {
    case WEIR_V1_OP_PUBLISH:
        published(session, op, completion);
        break;
    case WEIR_V1_OP_PUBLISH_MANY:
        published_many(session, op, completion);
        break;
    case WEIR_V1_OP_PRODUCE:
        produced(session, op, completion);
        break;
    case WEIR_V1_OP_FETCH:
        fetched(session, op, completion);
        break;
    case WEIR_V1_OP_FETCH_FRAME:
        fetched_frame(session, op, completion);
        break;
    case WEIR_V1_OP_SUBSCRIBE:
        subscribed(session, op, completion);
        break;
    case WEIR_V1_OP_UNSUBSCRIBE:
        weir_v1_reply_ok(session, &op->call);
        weir_v1_subscription_closed(session, op->subscription);
        break;
    case WEIR_V1_OP_CLOSE:
        weir_v1_subscription_closed(session, op->subscription);
        break;
    case WEIR_V1_OP_TOPIC:
    case WEIR_V1_OP_TOPIC_DELETE:
    case WEIR_V1_OP_TOPICS:
    case WEIR_V1_OP_OFFSETS:
        topics(session, op, completion);
        break;
    case WEIR_V1_OP_PRODUCER_OPEN:
    case WEIR_V1_OP_PRODUCER_WHERE:
        weir_v1_producer_told(session, op, completion);
        break;
    case WEIR_V1_OP_GROUP:
    case WEIR_V1_OP_GROUP_DELETE:
    case WEIR_V1_OP_GROUPS:
        weir_v1_groups_told(session, op, completion);
        break;
    case WEIR_V1_OP_JOIN:
        weir_v1_joined(session, op, completion);
        break;
    case WEIR_V1_OP_LEAVE:
        weir_v1_reply_ok(session, &op->call);
        weir_v1_member_closed(session, op->member);
        break;
    case WEIR_V1_OP_LEAVE_OWN:
        weir_v1_member_closed(session, op->member);
        break;
    case WEIR_V1_OP_LEASE:
    case WEIR_V1_OP_PUSH:
        weir_v1_taken(session, op, completion);
        break;
    case WEIR_V1_OP_SETTLE:
    case WEIR_V1_OP_COMMIT:
        weir_v1_settled(session, op, completion);
        break;
    case WEIR_V1_OP_WHY:
        weir_v1_why_told(session, op, completion);
        break;
    }
}

void weir_v1_session_completion(weir_v1_session *session, const weir_completion *completion)
{
    if (completion->type == WEIR_COMPLETION_DELIVERY) {
        weir_v1_deliver(session, &completion->delivery);
        return;
    }
    if (completion->type == WEIR_COMPLETION_NOTICE) {
        weir_v1_notice(session, &completion->notice);
        return;
    }
    if (completion->type == WEIR_COMPLETION_ASSIGNED) {
        weir_v1_assigned(session, &completion->assigned);
        return;
    }
    weir_v1_op *op = (weir_v1_op *)(uintptr_t)completion->token;
    if (completion->type == WEIR_COMPLETION_FETCH && completion->err == WEIR_OK &&
        weir_v1_fetch_hold(session, op, &completion->fetched)) {
        return; /* [S6] */
    }
    weir_completion told = *completion; /* borrowed, as what it is a copy of */
    told.err = told.err == WEIR_CLOSED ? given_up(session, op) : told.err;
    op_complete(session, op, &told);
    weir_v1_op_end(session, op);
    weir_v1_goodbye_check(session);
}
