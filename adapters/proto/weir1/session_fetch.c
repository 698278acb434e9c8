/* adapters/proto/weir1/session_fetch.c - fetch: records of a partition from an offset on, and what keeps
 * fetches from filling the memory of a gateway whose peer does not read.
 *
 *     {"cmd":"fetch","topic":"readings","offset":7,"wait_ms":500} -> {"records":[...],"next":9,...}
 *
 *     submitted --records--> the output is full? --yes--> held --it has room--> submitted again
 *                                                --no---> answered
 *
 * How many wait is bounded (fetches_max), how much they may bring together, too (fetch_bytes_max): one that
 * comes late is given less. A fetch that is held keeps where it reads, and none of its records: [S6]. */
#include "adapters/proto/weir1/session_private.h"

#include <stdlib.h>
#include <string.h>

/* What is still to be given to a peer that does not read must be bounded, so fetches that wait
 * together share one fetch_bytes_max. */
uint32_t weir_v1_fetch_budget(const weir_v1_session *session, uint64_t bytes_max)
{
    uint64_t most = session->config.limits->fetch_bytes_max;
    uint64_t left = most > session->fetch_bytes ? most - session->fetch_bytes : 0;
    left = left > WEIR_V1_FETCH_BYTES_LEAST ? left : WEIR_V1_FETCH_BYTES_LEAST;
    left = left < most ? left : most;
    return (uint32_t)(bytes_max < left ? bytes_max : left);
}

weir_err weir_v1_fetch_submit(weir_v1_session *session, weir_v1_op_kind kind, weir_fetch *fetch,
                              uint64_t bytes_max, const weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    if (session->fetches >= config->limits->fetches_max) {
        session->counters.refused_fetches++;
        return weir_v1_refuse(reason, WEIR_LIMIT, NULL,
                              "Wait for an earlier fetch to be answered: %llu may wait at once "
                              "(limit fetches_max).",
                              (unsigned long long)config->limits->fetches_max);
    }
    fetch->bytes_max = weir_v1_fetch_budget(session, bytes_max);
    weir_v1_op *op = weir_v1_op_begin(session, kind, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    op->offset = fetch->offset;
    op->partition = fetch->partition;
    op->own_topic = fetch->topic.len >= 2 && memcmp(fetch->topic.ptr, "__", 2) == 0;
    op->bytes_max = fetch->bytes_max;
    session->fetch_bytes += op->bytes_max;
    weir_err err = config->port_ops->fetch(config->port, fetch, config->user, weir_v1_op_token(op));
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    session->counters.narrowed_fetch += op->bytes_max < bytes_max;
    session->submitted = true;
    return WEIR_OK;
}

/* Only a fetch that found records is held: it needs no more than where it reads. */
bool weir_v1_fetch_hold(weir_v1_session *session, weir_v1_op *op, const weir_fetched *fetched)
{
    bool full = session->paused && session->config.push;
    if (!full || session->ended || op->again || fetched->run_count == 0) {
        return false;
    }
    weir_bytes topic = weir_chunk_topic(fetched->runs[0].chunk);
    char *copy = malloc(topic.len + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, topic.ptr, topic.len);
    copy[topic.len] = 0;
    op->held_topic = copy;
    op->held_partition = weir_chunk_partition(fetched->runs[0].chunk);
    session->held++;
    return true;
}

void weir_v1_fetches_again(weir_v1_session *session)
{
    const weir_v1_session_config *config = &session->config;
    if (session->held == 0 || session->held_under_way || session->paused || session->closed) {
        return;
    }
    weir_v1_op *oldest = NULL;
    for (weir_v1_op *op = session->ops; op != NULL; op = op->next) {
        oldest = op->held_topic != NULL ? op : oldest;
    }
    weir_fetch fetch = {.topic = weir_bytes_of(oldest->held_topic),
                        .partition = oldest->held_partition,
                        .offset = oldest->offset,
                        .bytes_max = oldest->bytes_max};
    weir_err err =
        config->port_ops->fetch(config->port, &fetch, config->user, weir_v1_op_token(oldest));
    if (err == WEIR_AGAIN) {
        return;
    }
    if (err != WEIR_OK) {
        weir_v1_reply_err(session, &oldest->call, err);
        weir_v1_op_end(session, oldest);
        return;
    }
    free(oldest->held_topic);
    oldest->held_topic = NULL;
    oldest->again = true;
    session->held--;
    session->held_under_way = true;
    session->submitted = true;
}

/* Waits of `wait_ms` are allowed; beyond the limit they are refused and counted. */
weir_err weir_v1_fetch_wait_check(weir_v1_session *session, uint64_t wait_ms,
                                  weir_v1_reason *reason)
{
    uint64_t most = session->config.limits->fetch_wait_ms_max;
    if (wait_ms <= most) {
        return WEIR_OK;
    }
    session->counters.refused_wait++;
    return weir_v1_refuse(reason, WEIR_INVALID, "wait_ms",
                          "Wait at most %llu ms (limit fetch_wait_ms_max).",
                          (unsigned long long)most);
}

weir_err weir_v1_command_fetch(weir_v1_session *session, const weir_v1_node *command,
                               weir_v1_call *call, weir_v1_reason *reason)
{
    weir_fetch fetch = {0};
    int64_t partition = 0;
    int64_t bytes_max = 0;
    int64_t wait_ms = 0;
    weir_err err = weir_v1_command_text(command, "topic", &fetch.topic, reason);
    err = err ? err
              : weir_v1_command_number(command, "partition", 0, UINT32_MAX, 0, &partition, reason);
    err = err ? err
              : weir_v1_command_number(command, "offset", 0, INT64_MAX, 0, &fetch.offset, reason);
    err = err ? err
              : weir_v1_command_number(command, "max_bytes", 1, INT64_MAX, WEIR_V1_FETCH_BYTES,
                                       &bytes_max, reason);
    err = err ? err : weir_v1_command_number(command, "wait_ms", 0, INT64_MAX, 0, &wait_ms, reason);
    err = err ? err : weir_v1_fetch_wait_check(session, (uint64_t)wait_ms, reason);
    err = err ? err : weir_v1_command_flag(command, "peek", &fetch.peek, reason);
    if (err != WEIR_OK) {
        return err;
    }
    fetch.partition = (uint32_t)partition;
    fetch.wait_ms = (uint32_t)wait_ms;
    return weir_v1_fetch_submit(session, WEIR_V1_OP_FETCH, &fetch, (uint64_t)bytes_max, call,
                                reason);
}
