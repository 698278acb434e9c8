/* core/engine/group_port.c - operations on groups, as a port's thread submits them.
 *
 *   op.data:  | struct | array | bytes, bytes, ... |
 *                |  its spans and arrays point to the right; all of it lies in the ring until the
 *                   owner has run the operation
 *
 * What can be told without the engine's state is refused here: lengths, impossible values. */
#include "core/engine/group.h"

#include "core/base/utf8.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(weir_op, data) % 8 == 0, "structs stand in an operation's data");

/* ---- Packing ---------------------------------------------------------------------------------- */

static weir_bytes pack(uint8_t **at, weir_bytes bytes)
{
    weir_bytes packed = {bytes.ptr == NULL ? NULL : *at, bytes.len};
    if (bytes.len > 0) {
        memcpy(*at, bytes.ptr, bytes.len);
        *at += bytes.len;
    }
    return packed;
}

static size_t options_array_bytes(const weir_group_options *options)
{
    return options == NULL ? 0 : options->topic_count * sizeof(weir_bytes);
}

static size_t options_text_bytes(const weir_group_options *options)
{
    size_t bytes = 0;
    if (options != NULL) {
        bytes = options->dead_letter.len + options->filter.len;
        for (uint32_t i = 0; i < options->topic_count; i++) {
            bytes += options->topics[i].len;
        }
    }
    return bytes;
}

/* `array` has room for its topics. */
static void options_pack(weir_group_options *to, const weir_group_options *from, weir_bytes *array,
                         uint8_t **at)
{
    *to = *from;
    to->dead_letter = pack(at, from->dead_letter);
    to->filter = pack(at, from->filter);
    to->topics = from->topic_count > 0 ? array : NULL;
    for (uint32_t i = 0; i < from->topic_count; i++) {
        array[i] = pack(at, from->topics[i]);
    }
}

/* What no state can make right. */
static weir_err options_check(const weir_group_options *options)
{
    if (options == NULL) {
        return WEIR_OK;
    }
    if (options->model > WEIR_MODEL_QUEUE || options->mode > WEIR_MODE_CLIENT_COMMIT ||
        options->start > WEIR_PLACE_END || options->removed > WEIR_PLACE_ERROR ||
        (options->topic_count > 0 && options->filter.ptr != NULL)) {
        return WEIR_INVALID;
    }
    if (options->topic_count > WEIR_GROUP_TOPICS_MAX) {
        return WEIR_LIMIT;
    }
    bool fits = options->dead_letter.len <= WEIR_TOPIC_BYTES_MAX &&
                options->filter.len <= WEIR_FILTER_BYTES_MAX;
    for (uint32_t i = 0; i < options->topic_count && fits; i++) {
        fits = options->topics[i].len <= WEIR_TOPIC_BYTES_MAX;
    }
    return fits ? WEIR_OK : WEIR_NAME_INVALID;
}

/* ---- Groups ----------------------------------------------------------------------------------- */

static weir_err submit_group(weir_port *port, weir_op_type type, weir_bytes name,
                             const weir_group_options *options, bool force, void *user,
                             uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = options_check(options);
    if (err == WEIR_OK && name.len > WEIR_GROUP_BYTES_MAX) {
        err = WEIR_NAME_INVALID;
    }
    size_t array = options_array_bytes(options);
    size_t bytes = sizeof(weir_op_group) + array + name.len + options_text_bytes(options);
    err = err == WEIR_OK ? weir_port_op_begin(port, type, bytes, true, user, token, &op) : err;
    if (err != WEIR_OK) {
        return err;
    }
    weir_op_group *group = (weir_op_group *)(void *)op->data;
    uint8_t *at = op->data + sizeof(*group) + array;
    memset(group, 0, sizeof(*group));
    if (options != NULL) {
        options_pack(&group->options, options, (weir_bytes *)(void *)(group + 1), &at);
    }
    group->name = pack(&at, name);
    group->force = force;
    weir_port_op_end(port, op, true);
    return WEIR_OK;
}

weir_err weir_port_group_create(weir_port *port, weir_bytes name, const weir_group_options *options,
                                void *user, uint64_t token)
{
    return submit_group(port, WEIR_OP_GROUP_CREATE, name, options, false, user, token);
}

weir_err weir_port_group_alter(weir_port *port, weir_bytes name, const weir_group_options *change,
                               void *user, uint64_t token)
{
    return submit_group(port, WEIR_OP_GROUP_ALTER, name, change, false, user, token);
}

weir_err weir_port_group_delete(weir_port *port, weir_bytes name, bool force, void *user,
                                uint64_t token)
{
    return submit_group(port, WEIR_OP_GROUP_DELETE, name, NULL, force, user, token);
}

weir_err weir_port_groups(weir_port *port, weir_bytes name, void *user, uint64_t token)
{
    return submit_group(port, WEIR_OP_GROUPS, name, NULL, false, user, token);
}

weir_err weir_port_group_sums(weir_port *port, uint32_t max, void *user, uint64_t token)
{
    weir_op *op = NULL;
    weir_err err =
        weir_port_op_begin(port, WEIR_OP_GROUP_SUMS, sizeof(max), true, user, token, &op);
    if (err == WEIR_OK) {
        memcpy(op->data, &max, sizeof(max));
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_group_reset(weir_port *port, const weir_reset *reset, void *user, uint64_t token)
{
    weir_op *op = NULL;
    if (reset->kind < WEIR_RESET_BEGINNING || reset->kind > WEIR_RESET_SHIFT ||
        reset->partition < -1 || reset->partition > UINT32_MAX ||
        (reset->partition >= 0 && reset->topic.ptr == NULL)) {
        return WEIR_INVALID;
    }
    if (reset->group.len > WEIR_GROUP_BYTES_MAX || reset->topic.len > WEIR_TOPIC_BYTES_MAX) {
        return WEIR_NOT_FOUND;
    }
    size_t bytes = sizeof(weir_reset) + reset->group.len + reset->topic.len;
    weir_err err = weir_port_op_begin(port, WEIR_OP_GROUP_RESET, bytes, true, user, token, &op);
    if (err == WEIR_OK) {
        weir_reset *to = (weir_reset *)(void *)op->data;
        uint8_t *at = op->data + sizeof(*to);
        *to = *reset;
        to->group = pack(&at, reset->group);
        to->topic = pack(&at, reset->topic);
        weir_port_op_end(port, op, true);
    }
    return err;
}

/* ---- Members ---------------------------------------------------------------------------------- */

/* What is shown of members to people, on terminals too. */
static bool is_member_word(weir_bytes word)
{
    return word.len <= WEIR_MEMBER_BYTES_MAX && weir_utf8_valid_name(word);
}

weir_err weir_port_member_join(weir_port *port, const weir_join *join, void *user, uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = options_check(join->options);
    if (err == WEIR_OK && join->group.len > WEIR_GROUP_BYTES_MAX) {
        err = WEIR_NAME_INVALID;
    }
    if (err == WEIR_OK && (!is_member_word(join->name) || !is_member_word(join->instance) ||
                           !is_member_word(join->origin))) {
        err = WEIR_INVALID;
    }
    size_t array = options_array_bytes(join->options);
    size_t bytes = sizeof(weir_op_join) + array + join->group.len + join->name.len +
                   join->instance.len + join->origin.len + options_text_bytes(join->options);
    err = err == WEIR_OK
              ? weir_port_op_begin(port, WEIR_OP_MEMBER_JOIN, bytes, true, user, token, &op)
              : err;
    if (err != WEIR_OK) {
        return err;
    }
    weir_op_join *to = (weir_op_join *)(void *)op->data;
    uint8_t *at = op->data + sizeof(*to) + array;
    memset(to, 0, sizeof(*to));
    to->join = *join;
    to->join.options = NULL;
    if (join->options != NULL) {
        options_pack(&to->options, join->options, (weir_bytes *)(void *)(to + 1), &at);
        to->join.options = &to->options;
    }
    to->join.group = pack(&at, join->group);
    to->join.name = pack(&at, join->name);
    to->join.instance = pack(&at, join->instance);
    to->join.origin = pack(&at, join->origin);
    weir_port_op_end(port, op, true);
    return WEIR_OK;
}

/* An operation of a member that is nothing but a few numbers. */
static weir_err member_begin(weir_port *port, weir_op_type type, weir_member *member, bool reserve,
                             void *user, uint64_t token, weir_op **op)
{
    weir_err err = weir_port_op_begin(port, type, 0, reserve, user, token, op);
    if (err == WEIR_OK) {
        (*op)->member.member = member;
    }
    return err;
}

weir_err weir_port_member_leave(weir_port *port, weir_member *member, bool orderly, void *user,
                                uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = member_begin(port, WEIR_OP_MEMBER_LEAVE, member, true, user, token, &op);
    if (err == WEIR_OK) {
        op->member.orderly = orderly;
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_member_beat(weir_port *port, weir_member *member)
{
    weir_op *op = NULL;
    weir_err err = member_begin(port, WEIR_OP_MEMBER_BEAT, member, false, NULL, 0, &op);
    if (err == WEIR_OK) {
        weir_port_op_end(port, op, false);
    }
    return err;
}

weir_err weir_port_member_revoked(weir_port *port, weir_member *member, uint64_t generation)
{
    weir_op *op = NULL;
    weir_err err = member_begin(port, WEIR_OP_MEMBER_REVOKED, member, false, NULL, 0, &op);
    if (err == WEIR_OK) {
        op->member.generation = generation;
        weir_port_op_end(port, op, false);
    }
    return err;
}

weir_err weir_port_take(weir_port *port, weir_member *member, const weir_take *take, void *user,
                        uint64_t token)
{
    weir_op *op = NULL;
    if (take->records_max == 0 || take->wait_ms > port->engine->limits.fetch_wait_ms_max) {
        return WEIR_INVALID;
    }
    weir_err err = member_begin(port, WEIR_OP_MEMBER_TAKE, member, true, user, token, &op);
    if (err == WEIR_OK) {
        op->member.take = *take;
        weir_port_op_end(port, op, true);
    }
    return err;
}

weir_err weir_port_take_cancel(weir_port *port, weir_member *member)
{
    weir_op *op = NULL;
    weir_err err = member_begin(port, WEIR_OP_MEMBER_TAKE_CANCEL, member, false, NULL, 0, &op);
    if (err == WEIR_OK) {
        weir_port_op_end(port, op, false);
    }
    return err;
}

/* What a commit of offset 0 accepts: nothing, of a partition that has to be there. */
static bool is_nothing(const weir_settle *settle, const weir_settle_range *range)
{
    return settle->verb == WEIR_VERB_ACCEPT && range->first == -1 && range->last == -1;
}

static weir_err settle_check(const weir_settle *settle)
{
    if (settle->verb < WEIR_VERB_ACCEPT || settle->verb > WEIR_VERB_RENEW || settle->delay_ms < 0 ||
        settle->range_count == 0 || settle->reason.len > WEIR_METADATA_BYTES_MAX ||
        !weir_utf8_valid_name(settle->reason) || settle->metadata.len > WEIR_METADATA_BYTES_MAX) {
        return WEIR_INVALID;
    }
    for (uint32_t i = 0; i < settle->range_count; i++) {
        const weir_settle_range *range = &settle->ranges[i];
        bool some = range->first >= 0 && range->last >= range->first && range->last < INT64_MAX;
        if (!some && !is_nothing(settle, range)) {
            return WEIR_INVALID;
        }
    }
    return WEIR_OK;
}

weir_err weir_port_settle(weir_port *port, weir_member *member, const weir_settle *settle,
                          void *user, uint64_t token)
{
    weir_op *op = NULL;
    weir_err err = settle_check(settle);
    size_t array = settle->range_count * sizeof(weir_settle_range);
    size_t bytes = sizeof(weir_settle) + array + settle->reason.len + settle->metadata.len;
    for (uint32_t i = 0; i < settle->range_count; i++) {
        bytes += settle->ranges[i].topic.len;
    }
    err = err == WEIR_OK ? weir_port_op_begin(port, WEIR_OP_MEMBER_SETTLE, bytes,
                                              !settle->no_confirm, user, token, &op)
                         : err;
    if (err != WEIR_OK) {
        return err;
    }
    op->no_confirm = settle->no_confirm;
    op->member.member = member;
    weir_settle *to = (weir_settle *)(void *)op->data;
    weir_settle_range *ranges = (weir_settle_range *)(void *)(to + 1);
    uint8_t *at = op->data + sizeof(*to) + array;
    *to = *settle;
    to->ranges = ranges;
    for (uint32_t i = 0; i < settle->range_count; i++) {
        ranges[i] = settle->ranges[i];
        /* Ranges of one topic in a row share its name. */
        bool same = i > 0 && weir_bytes_equal(ranges[i].topic, ranges[i - 1].topic);
        ranges[i].topic = same ? ranges[i - 1].topic : pack(&at, settle->ranges[i].topic);
    }
    to->reason = pack(&at, settle->reason);
    to->metadata = pack(&at, settle->metadata);
    weir_port_op_end(port, op, !settle->no_confirm);
    return WEIR_OK;
}

weir_err weir_port_why(weir_port *port, weir_bytes topic, uint32_t partition, int64_t offset,
                       weir_bytes group, void *user, uint64_t token)
{
    weir_op *op = NULL;
    if (topic.len > WEIR_TOPIC_BYTES_MAX || group.len > WEIR_GROUP_BYTES_MAX) {
        return WEIR_NOT_FOUND;
    }
    size_t bytes = sizeof(weir_op_why) + topic.len + group.len;
    weir_err err = weir_port_op_begin(port, WEIR_OP_WHY, bytes, true, user, token, &op);
    if (err == WEIR_OK) {
        weir_op_why *to = (weir_op_why *)(void *)op->data;
        uint8_t *at = op->data + sizeof(*to);
        *to = (weir_op_why){.offset = offset, .partition = partition};
        to->topic = pack(&at, topic);
        to->group = pack(&at, group);
        weir_port_op_end(port, op, true);
    }
    return err;
}

/* ---- Completions ------------------------------------------------------------------------------ */

void weir_group_completion_drop(weir_completion *completion)
{
    switch ((unsigned)completion->type) {
    case WEIR_COMPLETION_GROUP:
    case WEIR_COMPLETION_GROUPS:
        free(completion->groups.groups);
        break;
    case WEIR_COMPLETION_ASSIGNED:
        free(completion->assigned.owned);
        free(completion->assigned.revoked);
        break;
    case WEIR_COMPLETION_TAKEN:
        for (uint32_t i = 0; i < completion->taken.run_count; i++) {
            weir_chunk_drop(completion->taken.runs[i].chunk);
        }
        free(completion->taken.runs);
        break;
    case WEIR_COMPLETION_WHY:
        free(completion->why.lines);
        break;
    default:
        break;
    }
}
