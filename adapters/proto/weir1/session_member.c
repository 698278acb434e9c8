/* adapters/proto/weir1/session_member.c - members of groups: they join, say that they are there, are
 * told what they own, and leave.
 *
 *     join -> JOINING --answer--> OPEN --leave, goodbye, close, fenced--> LEAVING --LEFT--> gone
 *
 * A session's members end with it: in order after goodbye and when the gateway drains, else as a
 * connection that broke, and then what they held counts as failed. A member that is out (silent for
 * too long, or another took its place) is told so once and forgotten.
 *
 * A transport that pushes nothing keeps the newest assignment until the next lease is answered.
 *
 * [M1] A leave cannot fail: it is tried again until the port has room for it.
 * [M2] Once LEAVING nothing else is submitted for the member: its handle ends with the leave. */
#include "adapters/proto/weir1/session_private.h"

#include "core/base/utf8.h"

#include <stdlib.h>

/* ---- Finding ----------------------------------------------------------------------------------
 */

weir_err weir_v1_member_numbered(const weir_v1_session *session, uint64_t number,
                                 weir_v1_member **out, weir_v1_reason *reason)
{
    for (weir_v1_member *member = session->members; member != NULL; member = member->next) {
        if (member->number == number && member->state == WEIR_V1_MEMBER_OPEN) {
            *out = member;
            return WEIR_OK;
        }
    }
    return weir_v1_refuse(reason, WEIR_NOT_FOUND, "member",
                          "There is no such member in this session now: join, and use the number "
                          "in the answer.");
}

weir_err weir_v1_member_named(const weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_member **out, weir_v1_reason *reason)
{
    int64_t number = 0;
    if (!weir_v1_node_integer(weir_v1_node_member(command, "member"), &number)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "member",
                              "Give member as the number that join answered.");
    }
    return weir_v1_member_numbered(session, number > 0 ? (uint64_t)number : 0, out, reason);
}

static weir_v1_member *member_of(const weir_v1_session *session, const weir_member *handle)
{
    weir_v1_member *member = session->members;
    while (member != NULL && (member->member != handle || member->member == NULL)) {
        member = member->next;
    }
    return member;
}

/* ---- join -------------------------------------------------------------------------------------
 */

typedef struct join_request {
    weir_join join;
    weir_v1_group_words words;
    bool push;
    uint64_t credit;
} join_request;

static weir_err limit_check(weir_v1_session *session, weir_v1_reason *reason)
{
    uint64_t most = session->config.limits->members_per_session_max;
    if (session->member_count < most) {
        return WEIR_OK;
    }
    session->counters.refused_members++;
    return weir_v1_refuse(reason, WEIR_LIMIT, NULL,
                          "Let another member leave first: a session holds at most %llu (limit "
                          "members_per_session_max).",
                          (unsigned long long)most);
}

static weir_err optional_text(const weir_v1_node *command, const char *field, size_t most,
                              weir_bytes *out, weir_v1_reason *reason)
{
    if (weir_v1_node_member(command, field) == NULL) {
        return WEIR_OK;
    }
    weir_err err = weir_v1_command_text(command, field, out, reason);
    if (err == WEIR_OK && (out->len == 0 || out->len > most || !weir_utf8_valid_name(*out))) {
        return weir_v1_refuse(reason, WEIR_INVALID, field,
                              "Give %s as 1 to %zu bytes of UTF-8 without control characters.",
                              field, most);
    }
    return err;
}

static weir_err credit_decode(const weir_v1_session *session, const weir_v1_node *command,
                              join_request *request, weir_v1_reason *reason)
{
    const weir_v1_node *credit = weir_v1_node_member(command, "credit");
    if (credit == NULL) {
        return WEIR_OK;
    }
    if (!session->config.push) {
        return weir_v1_refuse(reason, WEIR_NOT_OFFERED, "credit",
                              "This transport pushes nothing: join without credit, and ask with "
                              "lease.");
    }
    if (!weir_v1_node_amount(credit, &request->credit)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "credit",
                              "Give credit as a number of records, 0 or more.");
    }
    request->push = true;
    return WEIR_OK;
}

static weir_err join_decode(const weir_v1_session *session, const weir_v1_node *command,
                            join_request *request, weir_v1_reason *reason)
{
    weir_join *join = &request->join;
    weir_err err = weir_v1_command_text(command, "group", &join->group, reason);
    err = err ? err : optional_text(command, "member", WEIR_MEMBER_BYTES_MAX, &join->name, reason);
    err = err ? err
              : optional_text(command, "instance", WEIR_MEMBER_BYTES_MAX, &join->instance, reason);
    err = err ? err : weir_v1_command_flag(command, "auto_revoke", &join->auto_revoke, reason);
    err = err ? err : credit_decode(session, command, request, reason);
    err = err ? err : weir_v1_group_words_decode(command, &request->words, reason);
    if (err == WEIR_OK) {
        join->origin = session->config.origin == NULL ? WEIR_BYTES_NULL
                                                      : weir_bytes_of(session->config.origin);
        join->options = request->words.any ? &request->words.options : NULL;
    }
    return err;
}

/* `why`: of a group that the join would make; NULL: it names none. */
static weir_err refuse(weir_v1_reason *reason, weir_err err, const weir_joined *joined,
                       const weir_v1_group_why *why)
{
    const char *text = weir_err_text(err);
    switch (err) {
    case WEIR_EXISTS:
        if (joined != NULL && joined->model != WEIR_MODEL_DEFAULT) {
            return weir_v1_refuse(reason, err, "group",
                                  "The group exists as %s, %s, or with other topics or settings: "
                                  "join it without naming them; group info tells them.",
                                  weir_model_name(joined->model), weir_mode_name(joined->mode));
        }
        text = "The group exists and is another: join it without naming model, mode, topics or "
               "settings; group info tells them.";
        break;
    case WEIR_NOT_FOUND:
        text =
            why != NULL
                ? why->not_found
                : "No such group is declared: create it with group create, or name its model and "
                  "topics in join. Its topics have to be declared first.";
        break;
    case WEIR_NAME_INVALID:
        text = "Use 1 to 249 bytes of UTF-8 for a group, without + # / or control characters or a "
               "leading $.";
        break;
    case WEIR_LIMIT:
        text = "No more groups or members of this group are taken (limits groups_max, "
               "group_parts_max, group_members_max): join again later.";
        break;
    case WEIR_INVALID:
        text = why != NULL ? why->invalid
                           : "Name topics or a filter for a new group; instance is for members of "
                             "stream groups.";
        break;
    default:
        break;
    }
    return weir_v1_refuse(reason, err, NULL, "%s", text);
}

static void member_free(weir_v1_session *session, weir_v1_member *member)
{
    weir_v1_member **at = &session->members;
    while (*at != member) {
        at = &(*at)->next;
    }
    *at = member->next;
    session->member_count--;
    weir_buffer_fini(&member->assigned);
    free(member);
}

static weir_err join_submit(weir_v1_session *session, const join_request *request,
                            const weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_member *member = calloc(1, sizeof(*member));
    weir_v1_op *op = member == NULL ? NULL : weir_v1_op_begin(session, WEIR_V1_OP_JOIN, call);
    if (op == NULL) {
        free(member);
        return WEIR_NO_MEMORY;
    }
    op->member = member;
    op->why = request->words.any && request->join.instance.ptr == NULL
                  ? weir_v1_group_why_create(&request->words.options)
                  : NULL;
    weir_err err = config->port_ops->member_join(config->port, &request->join, config->user,
                                                 weir_v1_op_token(op));
    if (err != WEIR_OK) {
        (void)refuse(reason, err, NULL, op->why);
        weir_v1_op_end(session, op);
        free(member);
        return err;
    }
    member->number = ++session->member_last;
    member->state = WEIR_V1_MEMBER_JOINING;
    member->push = request->push;
    member->credit = request->credit;
    member->next = session->members;
    session->members = member;
    session->member_count++;
    session->submitted = true;
    return WEIR_OK;
}

weir_err weir_v1_command_join(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    join_request request = {0};
    weir_err err = limit_check(session, reason);
    err = err ? err : join_decode(session, command, &request, reason);
    err = err ? err : join_submit(session, &request, call, reason);
    weir_v1_group_words_fini(&request.words);
    return err;
}

static void joined_tell(weir_v1_session *session, const weir_v1_op *op, const weir_joined *joined)
{
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    weir_v1_write_raw(&writer, ",\"member\":");
    weir_v1_write_unsigned(&writer, op->member->number);
    weir_v1_write_raw(&writer, ",\"model\":");
    weir_v1_write_string(&writer, weir_bytes_of(weir_model_name(joined->model)));
    weir_v1_write_raw(&writer, ",\"mode\":");
    weir_v1_write_string(&writer, weir_bytes_of(weir_mode_name(joined->mode)));
    weir_v1_write_raw(&writer, ",\"generation\":");
    weir_v1_write_unsigned(&writer, joined->generation);
    if (joined->model == WEIR_MODEL_QUEUE) {
        weir_v1_write_raw(&writer, ",\"lease_ms\":");
        weir_v1_write_integer(&writer, joined->lease_ms);
    }
    weir_v1_write_raw(&writer, ",\"session_ms\":");
    weir_v1_write_integer(&writer, joined->session_ms);
    weir_v1_reply_end(session, &writer, &op->call);
}

void weir_v1_joined(weir_v1_session *session, const weir_v1_op *op,
                    const weir_completion *completion)
{
    weir_v1_member *member = op->member;
    const weir_joined *joined = &completion->joined;
    if (completion->err != WEIR_OK) {
        weir_v1_reason reason;
        (void)refuse(&reason, completion->err, joined, op->why);
        weir_v1_reply_error(session, &op->call, &reason);
        member_free(session, member);
        return;
    }
    joined_tell(session, op, joined);
    member->state = WEIR_V1_MEMBER_OPEN;
    member->member = joined->member;
    member->model = joined->model;
    member->mode = joined->mode;
    member->generation = joined->generation;
    if (session->closed || session->leaving) {
        weir_v1_member_close(session, member, session->leaving || session->draining, NULL);
    }
    session->members_wanted = true;
}

/* ---- Leaving ----------------------------------------------------------------------------------
 */

static void leave_submit(weir_v1_session *session, weir_v1_member *member)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_op *op = member->leaving;
    if (op == NULL) {
        const weir_v1_call nobody = {0};
        op = weir_v1_op_begin(session, WEIR_V1_OP_LEAVE_OWN, &nobody);
        if (op == NULL) {
            member->leave_wanted = session->members_wanted = true;
            return; /* [M1] a later turn has memory, or an operation that came home */
        }
        op->member = member;
        member->leaving = op;
    }
    weir_err err = config->port_ops->member_leave(config->port, member->member, member->orderly,
                                                  config->user, weir_v1_op_token(op));
    session->submitted = true;
    member->leave_wanted = err == WEIR_AGAIN;
    session->members_wanted |= member->leave_wanted;
    if (err != WEIR_OK && err != WEIR_AGAIN) {
        weir_v1_op_end(session, op); /* the port knows nothing of it: it is gone */
        weir_v1_member_closed(session, member);
    }
}

void weir_v1_member_close(weir_v1_session *session, weir_v1_member *member, bool orderly,
                          const weir_v1_call *answer)
{
    if (member->state != WEIR_V1_MEMBER_OPEN) {
        return; /* one that is joining is closed when it has joined */
    }
    member->state = WEIR_V1_MEMBER_LEAVING; /* [M2] */
    member->orderly = orderly;
    if (answer != NULL) {
        member->leaving = weir_v1_op_begin(session, WEIR_V1_OP_LEAVE, answer);
        if (member->leaving != NULL) {
            member->leaving->member = member;
        } else {
            weir_v1_reply_err(session, answer, WEIR_NO_MEMORY);
        }
    }
    leave_submit(session, member);
}

void weir_v1_member_closed(weir_v1_session *session, weir_v1_member *member)
{
    member_free(session, member);
}

void weir_v1_members_close(weir_v1_session *session, bool orderly)
{
    for (weir_v1_member *member = session->members, *next = NULL; member != NULL; member = next) {
        next = member->next;
        weir_v1_member_close(session, member, orderly, NULL);
    }
}

weir_err weir_v1_command_leave(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_member *member = NULL;
    bool orderly = true;
    const weir_v1_node *node = weir_v1_node_member(command, "orderly");
    weir_err err = weir_v1_member_named(session, command, &member, reason);
    if (err == WEIR_OK && node != NULL && !weir_v1_node_boolean(node, &orderly)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "orderly", "Give orderly as true or false.");
    }
    if (err == WEIR_OK) {
        weir_v1_member_close(session, member, orderly, call);
    }
    return err;
}

/* ---- beat, revoked, credit --------------------------------------------------------------------
 */

/* What has no completion is answered when it has an id, or has to be. */
static void quiet_ok(weir_v1_session *session, const weir_v1_call *call)
{
    if (call->id_len > 0 || !session->config.push) {
        weir_v1_reply_ok(session, call);
    }
}

weir_err weir_v1_command_beat(weir_v1_session *session, const weir_v1_node *command,
                              weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_member *member = NULL;
    weir_err err = weir_v1_member_named(session, command, &member, reason);
    err = err ? err : config->port_ops->member_beat(config->port, member->member);
    if (err == WEIR_OK) {
        session->submitted = true;
        quiet_ok(session, call);
    }
    return err;
}

weir_err weir_v1_command_revoked(weir_v1_session *session, const weir_v1_node *command,
                                 weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_v1_member *member = NULL;
    int64_t generation = 0;
    weir_err err = weir_v1_member_named(session, command, &member, reason);
    if (err == WEIR_OK &&
        (!weir_v1_node_integer(weir_v1_node_member(command, "generation"), &generation) ||
         generation < 0)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "generation",
                              "Give generation as the assigned message told it.");
    }
    err =
        err ? err
            : config->port_ops->member_revoked(config->port, member->member, (uint64_t)generation);
    if (err == WEIR_OK) {
        session->submitted = true;
        quiet_ok(session, call);
    }
    return err;
}

weir_err weir_v1_member_credit(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    weir_v1_member *member = NULL;
    uint64_t records = 0;
    weir_err err = weir_v1_member_named(session, command, &member, reason);
    if (err == WEIR_OK && !member->push) {
        return weir_v1_refuse(reason, WEIR_PROTOCOL, "member",
                              "This member joined without credit: ask with lease, or join again "
                              "with credit.");
    }
    if (err == WEIR_OK && !weir_v1_node_amount(weir_v1_node_member(command, "records"), &records)) {
        return weir_v1_refuse(reason, WEIR_INVALID, "records",
                              "Give records as a number, 0 or more.");
    }
    if (err != WEIR_OK) {
        return err;
    }
    member->credit = records > UINT64_MAX - member->credit ? UINT64_MAX : member->credit + records;
    member->stopped = false;
    quiet_ok(session, call);
    weir_v1_push(session, member);
    return WEIR_OK;
}

/* ---- What a member owns -----------------------------------------------------------------------
 */

static void write_owned(weir_v1_writer *writer, const char *name, const weir_owned *owned,
                        uint32_t count)
{
    weir_v1_write_raw(writer, name);
    for (uint32_t i = 0; i < count; i++) {
        weir_v1_write_raw(writer, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        weir_v1_write_string(writer, owned[i].topic);
        weir_v1_write_raw(writer, ",\"partition\":");
        weir_v1_write_unsigned(writer, owned[i].partition);
        weir_v1_write_raw(writer, "}");
    }
    weir_v1_write_raw(writer, "]");
}

/* {"type":"assigned",...}, with `type` only when it is pushed. */
static void write_assigned(weir_v1_writer *writer, const weir_v1_member *member, bool pushed,
                           const weir_assigned *assigned)
{
    weir_v1_write_raw(writer, pushed ? "{\"type\":\"assigned\",\"member\":" : "{\"member\":");
    weir_v1_write_unsigned(writer, member->number);
    weir_v1_write_raw(writer, ",\"generation\":");
    weir_v1_write_unsigned(writer, assigned->generation);
    write_owned(writer, ",\"partitions\":[", assigned->owned, assigned->owned_count);
    write_owned(writer, ",\"revoked\":[", assigned->revoked, assigned->revoked_count);
    weir_v1_write_raw(writer, assigned->fenced ? ",\"fenced\":true}" : ",\"fenced\":false}");
}

/* Told at once, or with the next lease. */
static void assigned_tell(weir_v1_session *session, weir_v1_member *member,
                          const weir_assigned *assigned)
{
    bool push = session->config.push;
    weir_buffer *out = push ? &session->out : &member->assigned;
    out->len = 0;
    weir_v1_writer writer = {out, false};
    write_assigned(&writer, member, push, assigned);
    if (writer.failed) {
        weir_v1_give_up(session);
    } else if (push) {
        weir_v1_emit(session, WEIR_V1_TEXT, 0);
    }
}

void weir_v1_member_fenced(weir_v1_session *session, weir_v1_member *member, bool told)
{
    const weir_assigned out = {.generation = member->generation, .fenced = true};
    if (!told && session->config.push) {
        assigned_tell(session, member, &out);
    }
    weir_v1_member_close(session, member, false, NULL);
}

void weir_v1_assigned(weir_v1_session *session, const weir_assigned *assigned)
{
    weir_v1_member *member = member_of(session, assigned->member);
    if (member == NULL || member->state != WEIR_V1_MEMBER_OPEN) {
        return;
    }
    if (!assigned->fenced) {
        member->generation = assigned->generation;
        assigned_tell(session, member, assigned);
    } else if (session->config.push) {
        weir_v1_member_fenced(session, member, false);
    } /* else its next lease is refused and tells it */
}

/* ---- Turns ------------------------------------------------------------------------------------
 */

void weir_v1_members_turn(weir_v1_session *session)
{
    session->members_wanted = false;
    for (weir_v1_member *member = session->members, *next = NULL; member != NULL; member = next) {
        next = member->next;
        if (member->leave_wanted) {
            leave_submit(session, member);
        } else {
            weir_v1_push(session, member);
        }
    }
}
