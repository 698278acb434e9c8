/* adapters/proto/weir1/session_settle.c - what members say of what they were given: settle, commit.
 *
 *     settle {"verb":"accept","records":[{"topic","partition","offset","lease":"1-7"}, ...]}
 *     commit {"offsets":[{"topic","partition","offset"}]}: accept up to the offset before it
 *     -> settle in the port -> SETTLED -> the answer, with how many were settled and refused
 *
 * A member that is out, a lease that is over and a range that is not the member's are the port's
 * to refuse; here only what cannot be meant is.
 *
 * [S1] Records that a settle names one by one become ranges, so that the port gets few of them.
 * [S2] A settle has leases of one recovery epoch: half of a token is the settle's, half the range's.
 * [S3] Accepting what was handed out at-most-once changes nothing, and is a success without the
 * port, whatever the group's mode is by then: it was accepted before. */
#include "adapters/proto/weir1/session_private.h"

#include "core/base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* ---- settle -----------------------------------------------------------------------------------
 */

typedef struct settle_request {
    weir_v1_member *member;
    weir_settle settle;
    weir_settle_range *ranges; /* the request's */
    bool epoch_known;
    bool once; /* some were accepted when they were handed out: [S3] */
} settle_request;

/* "EPOCH-NUMBER". */
static bool token_decode(weir_bytes text, uint64_t *epoch, uint64_t *number)
{
    uint64_t parts[2] = {0, 0};
    size_t digits[2] = {0, 0};
    size_t part = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '-' && part == 0) {
            part = 1;
        } else if (byte >= '0' && byte <= '9' && digits[part] < 19) {
            parts[part] = parts[part] * 10 + (uint64_t)(byte - '0');
            digits[part]++;
        } else {
            return false;
        }
    }
    *epoch = parts[0];
    *number = parts[1];
    return digits[0] > 0 && digits[1] > 0;
}

static weir_err lease_decode(const weir_v1_node *record, settle_request *request, uint64_t *lease,
                             weir_v1_reason *reason)
{
    weir_bytes text;
    uint64_t epoch = 0;
    if (!weir_v1_node_text(weir_v1_node_member(record, "lease"), &text) ||
        !token_decode(text, &epoch, lease)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "lease",
                              "Give lease as the text that came with the record.");
    }
    if (request->epoch_known && epoch != request->settle.epoch) { /* [S2] */
        return weir_v1_refuse(reason, WEIR_INVALID, "lease",
                              "Settle leases from before and after a restart of the gateway apart: "
                              "the number before the - has to be one.");
    }
    request->epoch_known = true;
    request->settle.epoch = epoch;
    return WEIR_OK;
}

static weir_err range_decode(const weir_v1_node *record, settle_request *request,
                             weir_settle_range *range, weir_v1_reason *reason)
{
    bool one = weir_v1_node_member(record, "offset") != NULL;
    int64_t partition = 0;
    weir_err err = weir_v1_command_text(record, "topic", &range->topic, reason);
    err = err ? err
              : weir_v1_command_number(record, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err
              : weir_v1_command_number(record, one ? "offset" : "first", 0, INT64_MAX - 1, -1,
                                       &range->first, reason);
    range->last = range->first;
    if (err == WEIR_OK && !one) {
        err = weir_v1_command_number(record, "last", 0, INT64_MAX - 1, -1, &range->last, reason);
    }
    if (err == WEIR_OK && (range->first < 0 || range->last < range->first)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "records",
                              "Give each record's offset, or first and last of a row of them.");
    }
    range->partition = (uint32_t)partition;
    if (err == WEIR_OK && request->member->model == WEIR_MODEL_QUEUE) {
        err = lease_decode(record, request, &range->lease, reason);
    }
    return err;
}

/* Whether `next` goes on where `range` ends: [S1]. */
static bool continues(const weir_settle_range *range, const weir_settle_range *next)
{
    return next->first == range->last + 1 && next->partition == range->partition &&
           next->lease == range->lease && weir_bytes_equal(next->topic, range->topic);
}

static void range_add(settle_request *request, const weir_settle_range *range)
{
    uint32_t count = request->settle.range_count;
    bool once = request->settle.verb == WEIR_VERB_ACCEPT &&
                request->member->model == WEIR_MODEL_QUEUE &&
                (range->lease & WEIR_V1_LEASE_ONCE) != 0;
    request->once |= once;
    if (once) {
        return; /* [S3] */
    }
    if (count > 0 && continues(&request->ranges[count - 1], range)) {
        request->ranges[count - 1].last = range->last;
    } else {
        request->ranges[count] = *range;
        request->settle.range_count = count + 1;
    }
}

static weir_err list_begin(const weir_v1_node *list, const char *field, settle_request *request,
                           weir_v1_reason *reason)
{
    size_t count = weir_v1_node_count(list);
    if (weir_v1_node_kind_of(list) != WEIR_V1_ARRAY || count == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, field, "Give %s as a list of at least one.",
                              field);
    }
    if (count > WEIR_V1_RECORDS_MAX) {
        return weir_v1_refuse(reason, WEIR_LIMIT, field,
                              "Give at most %d at once; send the rest in another message.",
                              WEIR_V1_RECORDS_MAX);
    }
    request->ranges = calloc(count, sizeof(*request->ranges));
    request->settle.ranges = request->ranges;
    return request->ranges == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

static weir_err records_decode(const weir_v1_node *list, settle_request *request,
                               weir_v1_reason *reason)
{
    weir_err err = list_begin(list, "records", request, reason);
    for (size_t i = 0; err == WEIR_OK && i < weir_v1_node_count(list); i++) {
        weir_settle_range range = {0};
        err = range_decode(weir_v1_node_at(list, i), request, &range, reason);
        if (err == WEIR_OK) {
            range_add(request, &range);
        }
    }
    return err;
}

static weir_err verb_decode(const weir_v1_node *command, weir_verb *verb, weir_v1_reason *reason)
{
    static const char *const names[] = {"accept", "release", "reject", "renew"};
    weir_bytes text = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(command, "verb"), &text);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (weir_bytes_equal(text, weir_bytes_of(names[i]))) {
            *verb = (weir_verb)(WEIR_VERB_ACCEPT + i);
            return WEIR_OK;
        }
    }
    return weir_v1_refuse(reason, WEIR_INVALID, "verb",
                          "Give verb as accept, release, reject or renew.");
}

static weir_err word_decode(const weir_v1_node *command, const char *field, weir_bytes *word,
                            weir_v1_reason *reason)
{
    if (weir_v1_node_member(command, field) == NULL) {
        return WEIR_OK;
    }
    weir_err err = weir_v1_command_text(command, field, word, reason);
    if (err == WEIR_OK && word->len > WEIR_METADATA_BYTES_MAX) {
        return weir_v1_refuse(reason, WEIR_TOO_LARGE, field, "Give %s as at most %d bytes.", field,
                              WEIR_METADATA_BYTES_MAX);
    }
    return err;
}

/* It is told to people, on terminals too. */
static weir_err reason_decode(const weir_v1_node *command, weir_bytes *word, weir_v1_reason *reason)
{
    weir_err err = word_decode(command, "reason", word, reason);
    if (err == WEIR_OK && !weir_utf8_valid_name(*word)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "reason",
                              "Give reason as one line of UTF-8 without control characters.");
    }
    return err;
}

/* confirm: false (or "none", as in publish). */
static weir_err confirm_decode(const weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_node *node = weir_v1_node_member(command, "confirm");
    weir_bytes text = WEIR_BYTES_NULL;
    bool confirm = true;
    bool none = weir_v1_node_text(node, &text) && weir_bytes_equal(text, WEIR_TEXT("none"));
    if (node != NULL && !none && !weir_v1_node_boolean(node, &confirm)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "confirm", "Give confirm as true or false.");
    }
    call->quiet = (none || !confirm) && session->config.push;
    return WEIR_OK;
}

static weir_err settle_refuse(weir_v1_reason *reason, weir_err err, const weir_settled *settled)
{
    const char *text = weir_err_text(err);
    switch (err) {
    case WEIR_LEASE_LOST:
        text =
            settled->ended > 0 && settled->ended == settled->refused
                ? "These records are settled already: by this member before, or, after its lease "
                  "was over, by another. What became of them stays. Settle each once."
                : "Some leases were over, or the partition is another member's: those records "
                  "may be with another member now. Settle sooner, or renew.";
        break;
    case WEIR_INVALID:
        text = "Settle only what this member was handed; a commit goes no further than that.";
        break;
    case WEIR_NOT_OFFERED:
        text = "The group's mode or model has nothing to settle so: at-most-once accepts before it "
               "hands over; streams take accept, reject, commit, and release without delay_ms, "
               "since what is behind a record cannot pass it.";
        break;
    case WEIR_NOT_FOUND:
        text = "The group does not read this partition: settle what it handed over.";
        break;
    case WEIR_LIMIT:
        text = "Too many rejected records of this member wait to be read: settle again later.";
        break;
    default:
        break;
    }
    return weir_v1_refuse(reason, err, NULL, "%s", text);
}

/* All of it was accepted before: [S3]. The member was heard all the same. */
static weir_err settle_once(weir_v1_session *session, const settle_request *request,
                            const weir_v1_call *call)
{
    const weir_v1_session_config *config = &session->config;
    const weir_v1_op op = {.kind = WEIR_V1_OP_SETTLE, .call = *call};
    const weir_completion done = {.type = WEIR_COMPLETION_SETTLED};
    weir_err err = config->port_ops->member_beat(config->port, request->member->member);
    if (err == WEIR_OK) {
        session->submitted = true;
        weir_v1_settled(session, &op, &done);
    }
    return err;
}

static weir_err settle_submit(weir_v1_session *session, const settle_request *request,
                              weir_v1_op_kind kind, const weir_v1_call *call,
                              weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    if (request->once && request->settle.range_count == 0) {
        return settle_once(session, request, call);
    }
    weir_v1_op *op = weir_v1_op_begin(session, kind, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->member = request->member;
    op->offset = request->settle.verb == WEIR_VERB_RENEW;
    weir_err err = config->port_ops->settle(config->port, request->member->member, &request->settle,
                                            config->user, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err == WEIR_AGAIN ? err : settle_refuse(reason, err, &(weir_settled){0});
    }
    session->submitted = true;
    return WEIR_OK;
}

/* What a stream's member saw: the newest generation, unless it names an older one. */
static weir_err generation_decode(const weir_v1_node *command, settle_request *request,
                                  weir_v1_reason *reason)
{
    int64_t generation = 0;
    weir_err err =
        weir_v1_command_number(command, "generation", 0, INT64_MAX,
                               (int64_t)request->member->generation, &generation, reason);
    request->settle.generation = (uint64_t)generation;
    return err;
}

static weir_err settle_decode(const weir_v1_session *session, const weir_v1_node *command,
                              settle_request *request, weir_v1_call *call, weir_v1_reason *reason)
{
    weir_settle *settle = &request->settle;
    weir_err err = weir_v1_member_named(session, command, &request->member, reason);
    err = err ? err : verb_decode(command, &settle->verb, reason);
    err = err ? err : generation_decode(command, request, reason);
    err = err ? err
              : weir_v1_command_number(command, "delay_ms", 0, INT64_MAX, 0, &settle->delay_ms,
                                       reason);
    err = err ? err : weir_v1_command_flag(command, "failed", &settle->failed, reason);
    err = err ? err : reason_decode(command, &settle->reason, reason);
    err = err ? err : word_decode(command, "metadata", &settle->metadata, reason);
    err = err ? err : confirm_decode(session, command, call, reason);
    return err ? err : records_decode(weir_v1_node_member(command, "records"), request, reason);
}

weir_err weir_v1_command_settle(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason)
{
    settle_request request = {0};
    weir_err err = settle_decode(session, command, &request, call, reason);
    err = err ? err : settle_submit(session, &request, WEIR_V1_OP_SETTLE, call, reason);
    free(request.ranges);
    return err;
}

static weir_err frame_ranges(const weir_v1_frame *frame, settle_request *request,
                             weir_v1_reason *reason)
{
    if (frame->range_count == 0 || frame->range_count > WEIR_V1_RECORDS_MAX) {
        return weir_v1_refuse(reason, frame->range_count == 0 ? WEIR_INVALID : WEIR_LIMIT, NULL,
                              "Give 1 to %d ranges in one frame.", WEIR_V1_RECORDS_MAX);
    }
    request->ranges = calloc(frame->range_count, sizeof(*request->ranges));
    if (request->ranges == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_settle_range range = {0};
    for (weir_bytes rest = frame->ranges; weir_v1_frame_range_take(&rest, &range) == WEIR_OK;) {
        if (range.first < 0 || range.last < range.first || range.last == INT64_MAX) {
            return weir_v1_refuse(reason, WEIR_INVALID, NULL,
                                  "Give ranges with first from 0 and last not below it.");
        }
        range_add(request, &range);
    }
    request->settle.ranges = request->ranges;
    return WEIR_OK;
}

weir_err weir_v1_frame_settle(weir_v1_session *session, const weir_v1_frame *frame,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    settle_request request = {
        .settle = {.verb = (weir_verb)frame->verb,
                   .epoch = frame->epoch,
                   .generation = frame->generation,
                   .delay_ms = frame->delay_ms,
                   .failed = (frame->flags & WEIR_V1_FRAME_FAILED) != 0,
                   .reason = frame->reason.len > 0 ? frame->reason : WEIR_BYTES_NULL}};
    if (frame->verb < WEIR_VERB_ACCEPT || frame->verb > WEIR_VERB_RENEW || frame->delay_ms < 0 ||
        frame->reason.len > WEIR_METADATA_BYTES_MAX || !weir_utf8_valid_name(frame->reason)) {
        return weir_v1_refuse(reason, WEIR_INVALID, NULL,
                              "Give verb from 1 to 4, delay ms from 0, and reason as at most %d "
                              "bytes of UTF-8 without control characters.",
                              WEIR_METADATA_BYTES_MAX);
    }
    call->quiet = (frame->flags & WEIR_V1_FRAME_QUIET) != 0 && session->config.push;
    weir_err err = weir_v1_member_numbered(session, frame->member, &request.member, reason);
    err = err ? err : frame_ranges(frame, &request, reason);
    err = err ? err : settle_submit(session, &request, WEIR_V1_OP_SETTLE, call, reason);
    free(request.ranges);
    return err;
}

/* ---- commit -----------------------------------------------------------------------------------
 */

/* One offset: all before it are accepted. All have the same metadata. */
static weir_err offset_decode(const weir_v1_node *node, settle_request *request,
                              weir_settle_range *range, weir_v1_reason *reason)
{
    weir_bytes metadata = request->settle.metadata;
    int64_t partition = 0;
    int64_t next = -1;
    weir_err err = weir_v1_command_text(node, "topic", &range->topic, reason);
    err =
        err ? err : weir_v1_command_number(node, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err : weir_v1_command_number(node, "offset", 0, INT64_MAX - 1, -1, &next, reason);
    err = err ? err : word_decode(node, "metadata", &metadata, reason);
    if (err == WEIR_OK && next < 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, "offset",
                              "Give offset as the next one to read.");
    }
    if (err == WEIR_OK && request->settle.metadata.ptr != NULL &&
        !weir_bytes_equal(metadata, request->settle.metadata)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "metadata",
                              "Give offsets with other metadata in a commit of their own.");
    }
    request->settle.metadata = metadata;
    range->partition = (uint32_t)partition;
    range->first = range->last = next - 1; /* -1: none, and the partition has to be there */
    return err;
}

static weir_err commit_decode(const weir_v1_session *session, const weir_v1_node *command,
                              settle_request *request, weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_node *list = weir_v1_node_member(command, "offsets");
    weir_err err = weir_v1_member_named(session, command, &request->member, reason);
    if (err == WEIR_OK && request->member->model == WEIR_MODEL_QUEUE) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "member",
                              "This is a queue group: settle its records by their leases.");
    }
    err = err ? err : generation_decode(command, request, reason);
    err = err ? err : word_decode(command, "metadata", &request->settle.metadata, reason);
    err = err ? err : confirm_decode(session, command, call, reason);
    err = err ? err : list_begin(list, "offsets", request, reason);
    for (size_t i = 0; err == WEIR_OK && i < weir_v1_node_count(list); i++) {
        weir_settle_range range = {0};
        err = offset_decode(weir_v1_node_at(list, i), request, &range, reason);
        if (err == WEIR_OK) {
            request->ranges[request->settle.range_count++] = range;
        }
    }
    request->settle.verb = WEIR_VERB_ACCEPT;
    return err;
}

weir_err weir_v1_command_commit(weir_v1_session *session, const weir_v1_node *command,
                                weir_v1_call *call, weir_v1_reason *reason)
{
    settle_request request = {0};
    weir_err err = commit_decode(session, command, &request, call, reason);
    err = err ? err : settle_submit(session, &request, WEIR_V1_OP_COMMIT, call, reason);
    free(request.ranges);
    return err;
}

/* ---- Their answers ----------------------------------------------------------------------------
 */

static void write_settled(weir_v1_writer *writer, const weir_v1_op *op, const weir_settled *settled)
{
    if (op->kind == WEIR_V1_OP_SETTLE) {
        weir_v1_write_raw(writer, ",\"settled\":");
        weir_v1_write_unsigned(writer, settled->records);
    }
    weir_v1_write_raw(writer, ",\"refused\":");
    weir_v1_write_unsigned(writer, settled->refused);
    if (op->offset != 0) {
        weir_v1_write_raw(writer, ",\"lease_ms\":");
        weir_v1_write_integer(writer, settled->lease_ms);
    } else if (settled->level != WEIR_LEVEL_DEFAULT) {
        weir_v1_write_raw(writer, ",\"level\":");
        weir_v1_write_string(writer, weir_bytes_of(weir_level_name(settled->level)));
    }
}

/* What was refused stands in it: it needs no error. */
static void settled_frame(weir_v1_session *session, const weir_v1_op *op,
                          const weir_settled *settled)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_SETTLED,
                                 .request = op->call.frame_request,
                                 .level = settled->level,
                                 .settled = settled->records,
                                 .refused = settled->refused,
                                 .lease_ms = settled->lease_ms};
    session->out.len = 0;
    if (weir_v1_frame_encode(&frame, &session->out) != WEIR_OK) {
        weir_v1_give_up(session);
        return;
    }
    weir_v1_emit(session, WEIR_V1_BINARY, op->call.request);
}

void weir_v1_settled(weir_v1_session *session, const weir_v1_op *op,
                     const weir_completion *completion)
{
    weir_v1_reason reason;
    bool counted = completion->err == WEIR_OK || completion->err == WEIR_LEASE_LOST;
    if (op->call.frame && counted) {
        if (!op->call.quiet || completion->err != WEIR_OK) {
            settled_frame(session, op, &completion->settled);
        }
        return;
    }
    if (completion->err == WEIR_OK) {
        if (!op->call.quiet) {
            weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
            write_settled(&writer, op, &completion->settled);
            weir_v1_reply_end(session, &writer, &op->call);
        }
        return;
    }
    (void)settle_refuse(&reason, completion->err, &completion->settled);
    if (completion->err != WEIR_LEASE_LOST) {
        weir_v1_reply_error(session, &op->call, &reason);
        return;
    }
    weir_v1_writer writer = weir_v1_error_begin(session, &op->call, &reason);
    write_settled(&writer, op, &completion->settled);
    weir_v1_reply_end(session, &writer, &op->call);
}
