/* adapters/proto/weir1/real_port.c - the session's port table, filled with the real port.
 *
 * It stands in a file of its own so that a program that brings another table needs no engine. */
#include "adapters/proto/weir1/session.h"

static void stats(weir_port *port, weir_stats *out)
{
    weir_engine_stats(weir_port_engine(port), out);
}

static weir_engine_health health(weir_port *port)
{
    return weir_engine_health_of(weir_port_engine(port));
}

const weir_v1_port_ops weir_v1_port_real = {
    .publish = weir_port_publish,
    .produce_batch = weir_port_produce_batch,
    .producer_open = weir_port_producer_open,
    .producer_where = weir_port_producer_where,
    .fetch = weir_port_fetch,
    .fetch_cancel = weir_port_fetch_cancel,
    .subscriber_open = weir_port_subscriber_open,
    .subscriber_close = weir_port_subscriber_close,
    .subscribe = weir_port_subscribe,
    .credit = weir_port_credit,
    .topic_create = weir_port_topic_create,
    .topic_alter = weir_port_topic_alter,
    .topic_trim = weir_port_topic_trim,
    .topic_delete = weir_port_topic_delete,
    .topics = weir_port_topics,
    .offsets = weir_port_offsets,
    .group_create = weir_port_group_create,
    .group_alter = weir_port_group_alter,
    .group_delete = weir_port_group_delete,
    .groups = weir_port_groups,
    .group_reset = weir_port_group_reset,
    .member_join = weir_port_member_join,
    .member_leave = weir_port_member_leave,
    .member_beat = weir_port_member_beat,
    .member_revoked = weir_port_member_revoked,
    .take = weir_port_take,
    .take_cancel = weir_port_take_cancel,
    .settle = weir_port_settle,
    .why = weir_port_why,
    .stats = stats,
    .health = health,
};
