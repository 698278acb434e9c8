/* adapters/proto/weir1/session_lease.c - what members are given: leases asked for and pushed.
 *
 *     lease  -> take in the port ------------> TAKEN -> the answer
 *     credit -> a take of the session's own -> TAKEN -> {"type":"records","member":N, ...}
 *                        ^------------------------+ as long as there is credit
 *
 * A member has one take in the port. What was taken has been handed over and is written whole,
 * however full the output is; the session takes no more until half of it has left. What members
 * say of their records is session_settle.c.
 *
 * [L1] The token of what was handed out at-most-once says so (WEIR_V1_LEASE_ONCE). */
#include "adapters/proto/weir1/session_private.h"

enum {
    LEASE_BYTES = 1024 * 1024, /* max_bytes of a lease that names none */
    PUSH_RECORDS = 1024,       /* that one take of the session's own asks for */
};

/* ---- lease ------------------------------------------------------------------------------------
 */

static weir_err take_submit(weir_v1_session *session, weir_v1_member *member, weir_v1_op_kind kind,
                            weir_take *take, uint64_t bytes_max, const weir_v1_call *call)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_op *op = weir_v1_op_begin(session, kind, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    take->bytes_max = weir_v1_fetch_budget(session, bytes_max);
    op->member = member;
    op->bytes_max = take->bytes_max;
    session->fetch_bytes += op->bytes_max;
    weir_err err = config->port_ops->take(config->port, member->member, take, config->user,
                                          weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    member->taking = op;
    session->submitted = true;
    return WEIR_OK;
}

static weir_err lease_check(const weir_v1_member *member, weir_v1_reason *reason)
{
    if (member->push) {
        return weir_v1_refuse(reason, WEIR_PROTOCOL, "member",
                              "This member's records are pushed: give credit instead.");
    }
    if (member->taking != NULL) {
        return weir_v1_refuse(reason, WEIR_PROTOCOL, "member",
                              "A member has one lease under way: wait for its answer.");
    }
    return WEIR_OK;
}

weir_err weir_v1_frame_lease(weir_v1_session *session, const weir_v1_frame *frame,
                             weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_member *member = NULL;
    if (frame->records_max == 0 || frame->bytes_max == 0) {
        return weir_v1_refuse(reason, WEIR_INVALID, NULL, "Give max records and max bytes from 1.");
    }
    weir_err err = weir_v1_member_numbered(session, frame->member, &member, reason);
    err = err ? err : weir_v1_fetch_wait_check(session, frame->wait_ms, reason);
    err = err ? err : lease_check(member, reason);
    if (err != WEIR_OK) {
        return err;
    }
    weir_take take = {.records_max = frame->records_max, .wait_ms = frame->wait_ms};
    return take_submit(session, member, WEIR_V1_OP_LEASE, &take, frame->bytes_max, call);
}

weir_err weir_v1_command_lease(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_member *member = NULL;
    int64_t records = 0;
    int64_t bytes = 0;
    int64_t wait_ms = 0;
    weir_err err = weir_v1_member_named(session, command, &member, reason);
    err = err ? err : weir_v1_command_number(command, "max", 1, UINT32_MAX, 1, &records, reason);
    err = err ? err
              : weir_v1_command_number(command, "max_bytes", 1, INT64_MAX, LEASE_BYTES, &bytes,
                                       reason);
    err = err ? err : weir_v1_command_number(command, "wait_ms", 0, INT64_MAX, 0, &wait_ms, reason);
    err = err ? err : weir_v1_fetch_wait_check(session, (uint64_t)wait_ms, reason);
    if (err != WEIR_OK) {
        return err;
    }
    err = lease_check(member, reason);
    if (err != WEIR_OK) {
        return err;
    }
    weir_take take = {.records_max = (uint32_t)records, .wait_ms = (uint32_t)wait_ms};
    return take_submit(session, member, WEIR_V1_OP_LEASE, &take, (uint64_t)bytes, call);
}

void weir_v1_push(weir_v1_session *session, weir_v1_member *member)
{
    const weir_v1_call nobody = {0};
    const weir_limits *limits = session->config.limits;
    if (member->state != WEIR_V1_MEMBER_OPEN || !member->push || member->stopped ||
        member->taking != NULL || member->credit == 0 || session->paused || session->draining ||
        session->silent || session->ended) {
        return;
    }
    weir_take take = {
        .records_max = member->credit < PUSH_RECORDS ? (uint32_t)member->credit : PUSH_RECORDS,
        .wait_ms = (uint32_t)limits->fetch_wait_ms_max,
    };
    weir_err err =
        take_submit(session, member, WEIR_V1_OP_PUSH, &take, limits->output_bytes_max / 2, &nobody);
    session->members_wanted |= err != WEIR_OK; /* a later turn has room or memory */
}

/* ---- Records out ------------------------------------------------------------------------------
 */

static uint64_t lease_of(const weir_taken *taken, const weir_handed *run)
{
    bool once = taken->mode == WEIR_MODE_AT_MOST_ONCE && run->lease != 0;
    return once ? run->lease | WEIR_V1_LEASE_ONCE : run->lease; /* [L1] */
}

static uint64_t write_runs(weir_v1_writer *writer, const weir_taken *taken)
{
    uint64_t written = 0;
    weir_v1_write_raw(writer, ",\"records\":[");
    for (uint32_t i = 0; i < taken->run_count; i++) {
        const weir_handed *run = &taken->runs[i];
        weir_v1_place place = {.topic = weir_chunk_topic(run->chunk),
                               .partition = weir_chunk_partition(run->chunk),
                               .epoch = taken->epoch,
                               .lease = lease_of(taken, run),
                               .leased = run->leased,
                               .failed = run->failed};
        for (uint32_t j = 0; j < run->count; j++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + j, &record);
            weir_v1_write_raw(writer, written > 0 ? "," : "");
            weir_v1_write_record(writer, &place, &record);
            written++;
        }
    }
    weir_v1_write_raw(writer, "]");
    return written;
}

static void write_terms(weir_v1_writer *writer, const weir_v1_member *member,
                        const weir_taken *taken)
{
    bool queue = member->model == WEIR_MODEL_QUEUE;
    weir_v1_write_raw(writer, queue ? ",\"lease_ms\":" : ",\"generation\":");
    if (queue) {
        weir_v1_write_integer(writer, taken->lease_ms);
    } else {
        weir_v1_write_unsigned(writer, taken->generation);
    }
    if (taken->mode != WEIR_MODE_DEFAULT) {
        weir_v1_write_raw(writer, ",\"mode\":");
        weir_v1_write_string(writer, weir_bytes_of(weir_mode_name(taken->mode)));
    }
}

static void leased_tell(weir_v1_session *session, const weir_v1_op *op, const weir_taken *taken)
{
    weir_v1_member *member = op->member;
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    session->counters.records_out += write_runs(&writer, taken);
    write_terms(&writer, member, taken);
    if (member->assigned.len > 0) {
        weir_v1_write_raw(&writer, ",\"assigned\":");
        weir_v1_write_span(&writer, weir_buffer_bytes(&member->assigned));
        member->assigned.len = 0;
    }
    weir_v1_reply_end(session, &writer, &op->call);
}

/* A run of records, with its batch unless the run before had the same. */
static weir_err run_put(weir_buffer *out, const weir_taken *taken, uint32_t index)
{
    const weir_handed *run = &taken->runs[index];
    const weir_handed *before = index > 0 ? run - 1 : NULL;
    weir_record first;
    weir_record last;
    weir_chunk_record(run->chunk, run->first, &first);
    weir_chunk_record(run->chunk, run->first + run->count - 1, &last);
    bool same = before != NULL && before->chunk == run->chunk;
    const weir_v1_frame_leased put = {
        .topic = weir_chunk_topic(run->chunk),
        .partition = weir_chunk_partition(run->chunk),
        .first = first.offset,
        .last = last.offset,
        .lease = lease_of(taken, run),
        .leased = run->leased,
        .failed = run->failed,
        .batch = same ? WEIR_BYTES_NULL : weir_chunk_batch(run->chunk),
    };
    return weir_v1_frame_run_put(out, &put);
}

static void leased_frame(weir_v1_session *session, const weir_v1_op *op, const weir_taken *taken)
{
    const weir_v1_frame frame = {.type = WEIR_V1_FRAME_LEASED,
                                 .request = op->call.frame_request,
                                 .epoch = taken->epoch,
                                 .generation = taken->generation,
                                 .lease_ms = taken->lease_ms};
    size_t position = 0;
    session->out.len = 0;
    weir_err err = weir_v1_frame_begin(&frame, &session->out, &position);
    for (uint32_t i = 0; err == WEIR_OK && i < taken->run_count; i++) {
        err = run_put(&session->out, taken, i);
        session->counters.records_out += taken->runs[i].count;
    }
    if (err != WEIR_OK) {
        weir_v1_give_up(session);
        return;
    }
    weir_v1_frame_end(&session->out, position);
    weir_v1_emit(session, WEIR_V1_BINARY, op->call.request);
}

static void pushed_tell(weir_v1_session *session, weir_v1_member *member, const weir_taken *taken)
{
    const weir_v1_call nobody = {0};
    if (taken->run_count == 0) {
        return;
    }
    session->out.len = 0;
    weir_v1_writer writer = {&session->out, false};
    weir_v1_write_raw(&writer, "{\"type\":\"records\",\"member\":");
    weir_v1_write_unsigned(&writer, member->number);
    uint64_t written = write_runs(&writer, taken);
    write_terms(&writer, member, taken);
    weir_v1_reply_end(session, &writer, &nobody);
    session->counters.records_out += written;
    if (member->credit != UINT64_MAX) {
        member->credit = member->credit > written ? member->credit - written : 0;
    }
}

static void refuse_take(weir_v1_reason *reason, weir_err err)
{
    const char *text = weir_err_text(err);
    switch (err) {
    case WEIR_LEASE_LOST:
        text =
            "The member is out: it said nothing for session_ms, another took its place, or its "
            "group was deleted (a queue's goes with its topic). Join again, and beat more often.";
        break;
    case WEIR_OFFSET_OUT_OF_RANGE:
        text = "Retention removed what the group would read next, and it is to stop then: reset it "
               "with group reset.";
        break;
    case WEIR_CLOSED:
        text = "The member left before records came.";
        break;
    case WEIR_DISK_FULL:
        text =
            "The gateway's disk is full, and who has which record could not be written down: free "
            "some space (trim or delete a topic, say), then lease again.";
        break;
    case WEIR_READ_ONLY:
        text =
            "The gateway only reads: its journal is damaged, or a write failed, and who has which "
            "record could not be written down. See its log and /readyz; lease again after it was "
            "mended and started.";
        break;
    case WEIR_FENCED:
        text = "Another gateway has taken this one's data directory over, and this one hands out "
               "nothing more: join the group there.";
        break;
    default:
        break;
    }
    weir_v1_refuse(reason, err, NULL, "%s", text);
}

/* A push that ended in an error is told, and begins again with new credit. */
static void stopped_tell(weir_v1_session *session, weir_v1_member *member,
                         const weir_v1_reason *reason)
{
    const weir_v1_call nobody = {0};
    member->stopped = true;
    session->out.len = 0;
    weir_v1_writer writer = {&session->out, false};
    weir_v1_write_raw(&writer, "{\"type\":\"stopped\",\"member\":");
    weir_v1_write_unsigned(&writer, member->number);
    weir_v1_write_raw(&writer, ",\"error\":");
    weir_v1_write_reason(&writer, reason);
    weir_v1_reply_end(session, &writer, &nobody);
}

static void take_failed(weir_v1_session *session, const weir_v1_op *op, weir_err err)
{
    weir_v1_member *member = op->member;
    bool asked = op->kind == WEIR_V1_OP_LEASE;
    weir_v1_reason reason;
    refuse_take(&reason, err);
    if (asked) {
        weir_v1_reply_error(session, &op->call, &reason);
    }
    if (err == WEIR_LEASE_LOST) {
        weir_v1_member_fenced(session, member, asked);
    } else if (!asked && member->state == WEIR_V1_MEMBER_OPEN) {
        stopped_tell(session, member, &reason);
    }
}

void weir_v1_taken(weir_v1_session *session, const weir_v1_op *op,
                   const weir_completion *completion)
{
    weir_v1_member *member = op->member;
    member->taking = NULL;
    session->members_wanted = true;
    if (completion->err != WEIR_OK) {
        take_failed(session, op, completion->err);
        return;
    }
    if (op->kind == WEIR_V1_OP_PUSH) {
        pushed_tell(session, member, &completion->taken);
    } else if (op->call.frame) {
        leased_frame(session, op, &completion->taken);
    } else {
        leased_tell(session, op, &completion->taken);
    }
}
