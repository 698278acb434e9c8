/* adapters/mqtt/submit.c - alone responsible for knowing that a session has submitted, and how much
 * of it is outstanding. Sessions call these with the port alone, which knows neither loop nor
 * client: the one is told by a mark of the thread's, the other by the operation's user.
 *
 * Invariants
 * [U1] outstanding rises only for operations that always complete, and falls with each completion.
 */
#include "adapters/mqtt/submit.h"

static _Thread_local bool submitted; /* a loop's thread steps what this says */

bool weir_mqtt_submitted(void)
{
    bool was = submitted;
    submitted = false;
    return was;
}

void weir_mqtt_submit_done(weir_mqtt_submitter *submitter, const weir_completion *completion)
{
    bool counted = completion->type == WEIR_COMPLETION_PUBLISH ||
                   completion->type == WEIR_COMPLETION_SUBSCRIBE ||
                   completion->type == WEIR_COMPLETION_UNSUBSCRIBE ||
                   completion->type == WEIR_COMPLETION_GROUPS ||
                   completion->type == WEIR_COMPLETION_MEMBER;
    if (counted && submitter->outstanding > 0) {
        submitter->outstanding--; /* [U1] */
    }
}

/* counted: the submitter, or NULL. */
static weir_err submitted_note(weir_err err, void *counted)
{
    submitted = true;
    if (err == WEIR_OK && counted != NULL) {
        ((weir_mqtt_submitter *)counted)->outstanding++; /* [U1] */
    }
    return err;
}

static weir_err port_publish(weir_port *port, const weir_publish *publish, void *user,
                             uint64_t token)
{
    return submitted_note(weir_port_publish(port, publish, user, token),
                          publish->no_confirm ? NULL : user);
}

static weir_err port_subscriber_open(weir_port *port, void *user, weir_subscriber **subscriber)
{
    return submitted_note(weir_port_subscriber_open(port, user, subscriber), NULL);
}

static weir_err port_subscriber_close(weir_port *port, weir_subscriber *subscriber, void *user,
                                      uint64_t token)
{
    return submitted_note(weir_port_subscriber_close(port, subscriber, user, token), NULL);
}

static weir_err port_subscribe(weir_port *port, weir_subscriber *subscriber,
                               const weir_subscribe *subscribe, void *user, uint64_t token)
{
    return submitted_note(weir_port_subscribe(port, subscriber, subscribe, user, token), user);
}

static weir_err port_unsubscribe(weir_port *port, weir_subscriber *subscriber, weir_bytes filter,
                                 void *user, uint64_t token)
{
    return submitted_note(weir_port_unsubscribe(port, subscriber, filter, user, token), user);
}

static weir_err port_credit(weir_port *port, weir_subscriber *subscriber, uint64_t records,
                            uint64_t bytes)
{
    return submitted_note(weir_port_credit(port, subscriber, records, bytes), NULL);
}

static weir_err port_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    return submitted_note(weir_port_groups(port, name, user, token), user);
}

static weir_err port_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    return submitted_note(weir_port_member_join(port, join, user, token), user);
}

static weir_err port_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                           uint64_t token)
{
    return submitted_note(weir_port_member_leave(port, member, orderly, user, token), NULL);
}

static weir_err port_beat(weir_port *port, weir_member *member)
{
    return submitted_note(weir_port_member_beat(port, member), NULL);
}

static weir_err port_take(weir_port *port, weir_member *member, const weir_take *take, void *user,
                          uint64_t token)
{
    return submitted_note(weir_port_take(port, member, take, user, token), NULL);
}

static weir_err port_take_cancel(weir_port *port, weir_member *member)
{
    return submitted_note(weir_port_take_cancel(port, member), NULL);
}

static weir_err port_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                            void *user, uint64_t token)
{
    return submitted_note(weir_port_settle(port, member, settle, user, token), NULL);
}

const weir_mqtt_port_ops weir_mqtt_submit_ops = {
    .publish = port_publish,
    .subscriber_open = port_subscriber_open,
    .subscriber_close = port_subscriber_close,
    .subscribe = port_subscribe,
    .unsubscribe = port_unsubscribe,
    .credit = port_credit,
    .groups = port_groups,
    .member_join = port_join,
    .member_leave = port_leave,
    .member_beat = port_beat,
    .take = port_take,
    .take_cancel = port_take_cancel,
    .settle = port_settle,
};
