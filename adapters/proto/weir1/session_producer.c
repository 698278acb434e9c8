/* adapters/proto/weir1/session_producer.c - producer: an id for idempotent batches, or how far a
 * named producer got.
 *
 *     {"cmd":"producer","action":"open"}                              -> {"producer_id":7,"epoch":0}
 *     {"cmd":"producer","action":"where","producer":"meter-12",
 *      "topic":"readings","partition":0}                              -> {"publishing_id":41}
 */
#include "adapters/proto/weir1/session_private.h"

static weir_err where_submit(weir_v1_session *session, const weir_v1_node *command, weir_v1_op *op,
                             weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_bytes producer = WEIR_BYTES_NULL;
    weir_bytes topic = WEIR_BYTES_NULL;
    int64_t partition = 0;
    weir_err err = weir_v1_command_text(command, "producer", &producer, reason);
    err = err ? err : weir_v1_command_text(command, "topic", &topic, reason);
    err = err ? err
              : weir_v1_command_number(command, "partition", 0, UINT32_MAX, 0, &partition, reason);
    op->partition = (uint32_t)partition;
    if (err == WEIR_OK) {
        err = config->port_ops->producer_where(config->port, producer, topic, (uint32_t)partition,
                                               config->user, weir_v1_op_token(op));
        if (err == WEIR_INVALID) {
            weir_v1_refuse(reason, err, "producer", "Give producer as 1 to %d bytes of text.",
                           WEIR_PRODUCER_NAME_BYTES_MAX);
        }
    }
    return err;
}

weir_err weir_v1_command_producer(weir_v1_session *session, const weir_v1_node *command,
                                  weir_v1_call *call, weir_v1_reason *reason)
{
    const weir_v1_session_config *config = &session->config;
    weir_bytes action = WEIR_BYTES_NULL;
    weir_v1_node_text(weir_v1_node_member(command, "action"), &action);
    bool open = weir_bytes_equal(action, WEIR_TEXT("open"));
    if (!open && !weir_bytes_equal(action, WEIR_TEXT("where"))) {
        return weir_v1_refuse(reason, WEIR_INVALID, "action", "Give action as open or where.");
    }
    weir_v1_op *op = weir_v1_op_begin(
        session, open ? WEIR_V1_OP_PRODUCER_OPEN : WEIR_V1_OP_PRODUCER_WHERE, call);
    if (op == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err =
        open ? config->port_ops->producer_open(config->port, config->user, weir_v1_op_token(op))
             : where_submit(session, command, op, reason);
    if (err != WEIR_OK) {
        weir_v1_op_end(session, op);
        return err;
    }
    session->submitted = true;
    return WEIR_OK;
}

void weir_v1_producer_told(weir_v1_session *session, const weir_v1_op *op,
                           const weir_completion *completion)
{
    const weir_producer_info *info = &completion->producer;
    if (completion->err != WEIR_OK) {
        weir_v1_reply_op_err(session, op, completion->err);
        return;
    }
    weir_v1_writer writer = weir_v1_reply_begin(session, &op->call);
    if (op->kind == WEIR_V1_OP_PRODUCER_OPEN) {
        weir_v1_write_raw(&writer, ",\"producer_id\":");
        weir_v1_write_integer(&writer, info->id);
        weir_v1_write_raw(&writer, ",\"epoch\":");
        weir_v1_write_integer(&writer, info->epoch);
    } else {
        weir_v1_write_raw(&writer, ",\"publishing_id\":");
        if (info->known) {
            weir_v1_write_unsigned(&writer, info->publishing_id);
        } else {
            weir_v1_write_raw(&writer, "null");
        }
    }
    weir_v1_reply_end(session, &writer, &op->call);
}
