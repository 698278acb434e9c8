/* tests/sim/group_model.c - the rules of consumer groups: see group_model.h. */
#include "tests/sim/group_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void group_model_init(model_group *groups)
{
    memset(groups, 0, MODEL_GROUPS * sizeof(*groups));
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        groups[i].own = i >= MODEL_FREE_GROUPS;
        (void)snprintf(groups[i].name, sizeof(groups[i].name), groups[i].own ? "t%u" : "g%u",
                       groups[i].own ? i - MODEL_FREE_GROUPS : i);
    }
}

void group_model_copy(const model_group *from, model_group *to)
{
    memcpy(to, from, MODEL_GROUPS * sizeof(*to));
    for (uint32_t i = 0; i < MODEL_GROUPS * MODEL_TOPICS * MODEL_PARTITIONS; i++) {
        group_log *log = &to[i / MODEL_PARTITIONS / MODEL_TOPICS]
                              .logs[i / MODEL_PARTITIONS % MODEL_TOPICS][i % MODEL_PARTITIONS];
        const group_slot *slots = log->slots;
        if (slots == NULL) {
            continue;
        }
        log->slots = malloc((size_t)log->count * sizeof(*slots));
        if (log->slots == NULL) {
            abort();
        }
        memcpy(log->slots, slots, (size_t)log->count * sizeof(*slots));
    }
}

static void each_log(model_group *group, void (*each)(group_log *log, uint64_t arg), uint64_t arg)
{
    for (uint32_t i = 0; i < MODEL_TOPICS * MODEL_PARTITIONS; i++) {
        each(&group->logs[i / MODEL_PARTITIONS][i % MODEL_PARTITIONS], arg);
    }
}

static void log_free(group_log *log, uint64_t arg)
{
    (void)arg;
    free(log->slots);
    memset(log, 0, sizeof(*log));
}

void group_model_forget(model_group *group)
{
    each_log(group, log_free, 0);
    group->life++;
}

void group_model_fini(model_group *groups)
{
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        group_model_forget(&groups[i]);
    }
}

static group_log *log_of(model_group *group, const sim_model *model, uint32_t topic,
                         uint32_t partition)
{
    group_log *log = &group->logs[topic][partition];
    if (log->incarnation != model->topics[topic].incarnation) {
        log_free(log, 0);
        log->incarnation = model->topics[topic].incarnation;
    }
    return log;
}

group_slot *group_model_slot(model_group *group, const sim_model *model, uint32_t topic,
                             uint32_t partition, int64_t offset)
{
    group_log *log = log_of(group, model, topic, partition);
    if (offset >= log->count) {
        int64_t count = 2 * offset + 16;
        group_slot *grown = realloc(log->slots, (size_t)count * sizeof(*grown));
        if (grown == NULL) {
            abort();
        }
        memset(grown + log->count, 0, (size_t)(count - log->count) * sizeof(*grown));
        log->slots = grown;
        log->count = count;
    }
    return &log->slots[offset];
}

/* [G8] */
static void counters_check(const model_group *group, sim_model *model, const group_slot *slot,
                           const weir_handed *run, int64_t offset)
{
    int64_t leased = (int64_t)run->leased - slot->leased;
    int64_t failed = (int64_t)run->failed - slot->failed;
    bool wrong = leased < 1 || failed < 0 || failed > leased;
    wrong |= leased == 1 && slot->given == GIVEN_RELEASED && failed != 0;
    wrong |= leased == 1 && slot->given == GIVEN_FAILED && failed != 1;
    if (wrong) {
        model_fail(model,
                   "[G8] group %s: offset %" PRId64 " was leased %u times and failed %u under "
                   "%" PRIu64 "%s, and now %u and %u under %" PRIu64,
                   group->name, offset, slot->leased, slot->failed, slot->lease,
                   slot->given == GIVEN_RELEASED ? ", released"
                   : slot->given == GIVEN_FAILED ? ", failed"
                                                 : "",
                   run->leased, run->failed, run->lease);
    }
}

void group_model_released(model_group *group, const sim_model *model, uint32_t topic,
                          uint32_t partition, int64_t offset, uint64_t lease, uint64_t epoch,
                          bool failed, uint64_t until_ns)
{
    group_slot *slot = group_model_slot(group, model, topic, partition, offset);
    if (slot->lease == lease && slot->epoch == epoch) {
        slot->given = failed ? GIVEN_FAILED : GIVEN_RELEASED;
        slot->until_ns = until_ns;
    }
}

void group_model_handed(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                        int64_t offset, const weir_handed *run, uint64_t epoch, uint64_t stamp,
                        bool once)
{
    group_slot *slot = group_model_slot(group, model, topic, partition, offset);
    const char *name = model->topics[topic].name;
    if (group->client) {
        slot->times++;
        return;
    }
    if (once && slot->once) {
        model_fail(model, "[G1] group %s: %s/%u offset %" PRId64 " is handed over twice",
                   group->name, name, partition, offset);
    } else if (slot->settled &&
               (group->model == WEIR_MODEL_QUEUE ? stamp > slot->stamp : stamp >= slot->stamp)) {
        model_fail(model,
                   "[G2] group %s: %s/%u offset %" PRId64 " is handed out under %" PRIu64
                   ", and was settled under %" PRIu64 " at level %u",
                   group->name, name, partition, offset, stamp, slot->stamp, slot->level);
    }
    slot->times++;
    if (group->model == WEIR_MODEL_QUEUE && (run->lease > slot->lease || slot->epoch != epoch)) {
        if (slot->lease != 0 && slot->epoch == epoch) {
            counters_check(group, model, slot, run, offset);
        }
        slot->lease = run->lease;
        slot->epoch = epoch;
        slot->leased = run->leased;
        slot->failed = run->failed;
        slot->given = GIVEN_NOT;
        slot->until_ns = 0;
    }
    slot->answered |= once;
    if (once) {
        slot->once = true;
        slot->settled = true;
        slot->level = (uint8_t)model->topics[topic].level_low;
        slot->stamp = stamp;
    }
}

void group_model_settled(model_group *group, const sim_model *model, uint32_t topic,
                         uint32_t partition, int64_t first, int64_t last, uint64_t stamp,
                         weir_level level)
{
    for (int64_t offset = first; offset <= last; offset++) {
        group_slot *slot = group_model_slot(group, model, topic, partition, offset);
        bool better = !slot->settled || level > slot->level;
        slot->level = better ? (uint8_t)level : slot->level;
        slot->stamp = stamp > slot->stamp ? stamp : slot->stamp;
        slot->settled = true;
    }
}

void group_model_owned(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                       uint64_t generation, uint64_t member)
{
    group_log *log = log_of(group, model, topic, partition);
    if (log->owner != 0 && log->owner != member && log->owned == generation) {
        model_fail(model,
                   "[G3] group %s: %s/%u has members %" PRIu64 " and %" PRIu64
                   " as owners in generation %" PRIu64,
                   group->name, model->topics[topic].name, partition, log->owner, member,
                   generation);
    }
    if (generation >= log->owned) {
        log->owned = generation;
        log->owner = member;
    }
}

static void log_crashed(group_log *log, uint64_t survives)
{
    log->owner = 0;
    log->owned = 0;
    for (int64_t i = 0; i < log->count; i++) {
        group_slot *slot = &log->slots[i];
        if (slot->level < survives) {
            slot->settled = false;
            slot->once = false;
            slot->level = 0;
        }
        slot->lease = 0;
        slot->stamp = 0;
        slot->until_ns = 0;
    }
}

void group_model_crashed(model_group *groups, weir_level survives)
{
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        each_log(&groups[i], log_crashed, survives);
        groups[i].life++;
        groups[i].mode_stamp++;
        groups[i].strict &= groups[i].resets == 0;
        if (groups[i].resets > 0) {
            group_model_forget(&groups[i]);
        }
        groups[i].resets = 0;
        groups[i].modes_open = 0;
        groups[i].limits_open = 0;
        groups[i].limit_met = false;
        groups[i].limit = 0; /* told by the start */
    }
}

void group_model_recovered(model_group *groups, const sim_model *model)
{
    for (uint32_t i = 0; i < MODEL_GROUPS * MODEL_TOPICS * MODEL_PARTITIONS; i++) {
        uint32_t topic = i / MODEL_PARTITIONS % MODEL_TOPICS;
        uint32_t partition = i % MODEL_PARTITIONS;
        group_log *log = &groups[i / MODEL_PARTITIONS / MODEL_TOPICS].logs[topic][partition];
        int64_t end = model->topics[topic].logs[partition].count;
        for (int64_t offset = end; offset < log->count; offset++) {
            log->slots[offset] = (group_slot){0};
        }
    }
}

void group_model_key(model_group *group, sim_model *model, uint32_t topic, uint32_t partition,
                     int64_t offset, uint8_t key)
{
    const model_log *records = &model->topics[topic].logs[partition];
    const group_log *log = log_of(group, model, topic, partition);
    int64_t end = offset < records->count ? offset : records->count;
    end = end < log->count ? end : log->count;
    for (int64_t at = log->start; at < end; at++) {
        uint32_t number = records->slots[at].send;
        const group_slot *slot = &log->slots[at];
        const model_send *send = number == MODEL_NONE ? NULL : &model->sends[number];
        bool met = slot->times > 0 || !group->from_end;
        if (send != NULL && send->key == key && send->expires == 0 && met && !slot->answered) {
            model_fail(model,
                       "[G11] group %s: %s/%u offset %" PRId64 " of key %u is handed out, and "
                       "%" PRId64 " was not settled",
                       group->name, model->topics[topic].name, partition, offset, key, at);
            return;
        }
    }
}

int64_t group_model_committed(const group_log *log)
{
    for (int64_t at = log->count; at > 0; at--) {
        if (log->slots[at - 1].settled) {
            return at;
        }
    }
    return 0;
}

void group_model_told(model_group *group, sim_model *model, const weir_group_info *info)
{
    for (uint32_t i = 0; i < info->partition_count; i++) {
        const weir_group_partition *part = &info->partitions[i];
        uint64_t sum = 0;
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            sum += part->fates[fate];
        }
        uint64_t whole = part->end > part->start ? (uint64_t)(part->end - part->start) : 0;
        bool all = group->key != 0 || sum == whole; /* others are no records of the group */
        if (!all || sum > whole || part->fates[WEIR_FATE_PENDING] > whole) {
            model_fail(model,
                       "[G5] group %s: %.*s/%u from %" PRId64 " to %" PRId64
                       " has fates that add up to %" PRIu64 ", %" PRIu64 " of them pending",
                       group->name, (int)part->topic.len, part->topic.ptr, part->partition,
                       part->start, part->end, sum, part->fates[WEIR_FATE_PENDING]);
        }
        uint32_t topic = model_topic_of(model, part->topic);
        if (topic != MODEL_NONE && part->partition < MODEL_PARTITIONS) {
            group_log *log = log_of(group, model, topic, part->partition);
            log->start = part->start;
            log->reads = true;
        }
    }
}

static void handed_all(model_group *group, sim_model *model, uint32_t topic,
                       const weir_group_partition *part)
{
    const model_topic *of = &model->topics[topic];
    for (int64_t offset = part->start; offset < part->end && !of->removes && !of->compacts;
         offset++) {
        uint32_t number = offset < of->logs[part->partition].count
                              ? of->logs[part->partition].slots[offset].send
                              : MODEL_NONE;
        const model_send *send = number == MODEL_NONE ? NULL : &model->sends[number];
        if (group->key != 0 && (send == NULL || send->key != group->key)) {
            continue;
        }
        /* One that expired before anybody saw it, in a queue that is past it, has no number. */
        bool unseen = send == NULL && part->fates[WEIR_FATE_EXPIRED] > 0;
        if (unseen || (send != NULL && send->expires > 0)) {
            continue;
        }
        if (group_model_slot(group, model, topic, part->partition, offset)->times == 0) {
            model_fail(model, "[G6] group %s: %s/%u offset %" PRId64 " was never handed over",
                       group->name, of->name, part->partition, offset);
        }
    }
}

uint64_t group_model_owed(const model_group *group, const sim_model *model,
                          const weir_group_partition *part)
{
    uint64_t owed = 0;
    uint32_t topic = model_topic_of(model, part->topic);
    bool passes = group->model == WEIR_MODEL_STREAM && group->key != 0;
    if (!passes) {
        return part->fates[WEIR_FATE_PENDING];
    }
    if (topic == MODEL_NONE || part->partition >= MODEL_PARTITIONS ||
        model->topics[topic].compacts) { /* nobody knows what compaction left */
        return 0;
    }
    const model_log *log = &model->topics[topic].logs[part->partition];
    int64_t end = part->end < log->count ? part->end : log->count;
    for (int64_t at = part->committed; at < end; at++) {
        uint32_t number = at >= log->start ? log->slots[at].send : MODEL_NONE;
        owed += number != MODEL_NONE && model->sends[number].key == group->key ? 1 : 0;
    }
    return owed;
}

/* Behind the last record that somebody may have committed. */
static int64_t answered_to(const group_log *log)
{
    for (int64_t at = log->count; at > 0; at--) {
        if (log->slots[at - 1].answered) {
            return at;
        }
    }
    return 0;
}

static void start_check(const model_group *group, sim_model *model, uint32_t topic,
                        uint32_t partition, int64_t from, int64_t to)
{
    const model_log *records = &model->topics[topic].logs[partition];
    const group_log *log = &group->logs[topic][partition];
    int64_t committed = group->model == WEIR_MODEL_STREAM ? answered_to(log) : 0;
    for (int64_t at = from > committed ? from : committed; at < to && at < records->count; at++) {
        uint32_t number = records->slots[at].send;
        const model_send *send = number == MODEL_NONE ? NULL : &model->sends[number];
        bool queue = group->model == WEIR_MODEL_QUEUE;
        bool over = send == NULL || (queue && send->expires > 0) ||
                    (queue && at < log->count && log->slots[at].answered);
        if (!over) {
            model_fail(model,
                       "[%s] group %s: %s/%u begins at %" PRId64 ", began at %" PRId64
                       ", and nobody settled %" PRId64,
                       group->own ? "Q1" : "Q7", group->name, model->topics[topic].name, partition,
                       to, from, at);
            return;
        }
    }
}

void group_model_start_moved(model_group *groups, sim_model *model, uint32_t topic,
                             uint32_t partition, int64_t from, int64_t to)
{
    const model_topic *of = &model->topics[topic];
    bool queue = of->options.kind == WEIR_KIND_QUEUE;
    if (to <= from || model->gaps || of->compacts || (queue ? of->removes : !of->keeps)) {
        return;
    }
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        const model_group *group = &groups[i];
        const group_log *log = &group->logs[topic][partition];
        bool concerned = queue ? i == MODEL_FREE_GROUPS + topic
                               : log->reads && log->incarnation == of->incarnation;
        bool known = group->exists == GROUP_YES && group->strict && !group->may_drop &&
                     group->key == 0 && group->resets == 0;
        if (concerned && known) {
            start_check(group, model, topic, partition, from > log->start ? from : log->start, to);
        }
    }
}

/* Expired before anybody was handed it. */
static bool unknown_may_expire(const sim_model *model, uint32_t topic)
{
    for (uint32_t i = 0; i < model->send_count; i++) {
        const model_send *send = &model->sends[i];
        bool may_be_here = send->topic == topic && send->offset < 0 &&
                           (send->loose || send->incarnation == model->topics[topic].incarnation);
        if (may_be_here && send->expires > 0 && send->state != SENT_REFUSED &&
            send->state != SENT_LOST) {
            return true;
        }
    }
    return false;
}

uint64_t group_model_hole(const model_group *group, sim_model *model, uint32_t topic,
                          uint32_t partition, int64_t from, int64_t to)
{
    const model_log *records = &model->topics[topic].logs[partition];
    const group_log *log = &group->logs[topic][partition];
    bool known = group->exists == GROUP_YES && group->strict && !group->may_drop &&
                 group->resets == 0 && !model->gaps;
    bool same = log->incarnation == model->topics[topic].incarnation;
    uint64_t gone = 0;
    for (int64_t at = from > records->start ? from : records->start; at < to; at++) {
        uint32_t number = at < records->count ? records->slots[at].send : MODEL_NONE;
        const model_send *send = number == MODEL_NONE ? NULL : &model->sends[number];
        bool answered = same && at < log->count && log->slots[at].answered;
        bool over = send == NULL ? unknown_may_expire(model, topic) : send->expires > 0 || answered;
        gone += send != NULL ? 1 : 0;
        if (known && !over) {
            model_fail(model, "[Q8] queue %s/%u has no record %" PRId64 ", and nobody settled it",
                       model->topics[topic].name, partition, at);
            return gone;
        }
    }
    return gone;
}

void group_model_limits(model_group *group, sim_model *model, const weir_group_info *info,
                        uint32_t list, uint32_t lists)
{
    uint64_t pending = info->fates[WEIR_FATE_PENDING];
    bool refuses = group->limit > 0 && group->limits_open == 0 && group->resets == 0 &&
                   group->overflow == WEIR_OVERFLOW_REFUSE;
    if (group->own && !group->may_drop && group->strict && !model->gaps &&
        info->fates[WEIR_FATE_DROPPED] > 0) {
        model_fail(model, "[Q5] queue %s dropped %" PRIu64 " records, and nothing may", group->name,
                   info->fates[WEIR_FATE_DROPPED]);
    }
    if (group->own && !group->was_reset && !model->gaps && info->fates[WEIR_FATE_SUPERSEDED] > 0) {
        model_fail(model, "[Q9] queue %s owed %" PRIu64 " records that are gone", group->name,
                   info->fates[WEIR_FATE_SUPERSEDED]);
    }
    if (!group->own || !refuses) {
        return;
    }
    if (list < group->limit_from) {
        return; /* answers come by several ports: it may tell of a time before that */
    }
    if (group->limit_met && pending > (uint64_t)group->limit) {
        model_fail(model, "[Q4] queue %s has %" PRIu64 " records, of %" PRId64 " that it may have",
                   group->name, pending, group->limit);
    }
    if (!group->limit_met && pending <= (uint64_t)group->limit) {
        group->limit_met = true;
        group->limit_from = lists + 1;
    }
}

void group_model_drained(model_group *group, sim_model *model, const weir_group_info *info)
{
    for (uint32_t i = 0; i < info->partition_count; i++) {
        const weir_group_partition *part = &info->partitions[i];
        uint32_t topic = model_topic_of(model, part->topic);
        if (group_model_owed(group, model, part) > 0) {
            model_fail(model,
                       "[G6] group %s: %.*s/%u has %" PRIu64 " records pending at the end "
                       "(committed %" PRId64 ", end %" PRId64 ", leased %" PRIu64
                       ", delayed %" PRIu64 ")",
                       group->name, (int)part->topic.len, part->topic.ptr, part->partition,
                       group_model_owed(group, model, part), part->committed, part->end,
                       part->leased, part->delayed);
        } else if (group->strict && topic != MODEL_NONE) {
            handed_all(group, model, topic, part);
        }
    }
}
