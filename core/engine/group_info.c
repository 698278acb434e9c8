/* core/engine/group_info.c - what is told of groups, in one piece of memory.
 *
 *   | weir_group_info ... | partitions ... | members ... | topic lists ... | bytes ... |
 *
 * Two walks: one measures, one fills; both go through the same steps. Lag is told in records of
 * [place, visible) without an end, which reaches 0, and as the age of the oldest of them: of a
 * record whose batch is in memory or in a segment's time entries. */
#include "core/engine/group.h"
#include "core/engine/settlement.h"

#include <stdlib.h>
#include <string.h>

enum { SUMS_PARTS_MAX = 65536 }; /* that one question for sums looks at: some 10 ms */

typedef struct filling {
    weir_engine *engine;
    bool short_of_words; /* numbers alone */
    bool one;            /* group alone: what takes a walk is told as well */
    uint8_t *at;         /* of the bytes */
    weir_group_info *info;
    weir_group_partition *partitions;
    weir_group_member *members;
    weir_bytes *topics;
} filling;

typedef struct measures {
    size_t groups, partitions, members, topics, bytes;
} measures;

/* ---- Measuring -------------------------------------------------------------------------------- */

static weir_bytes topic_name(const weir_engine *engine, const weir_group_part *part)
{
    const weir_topic *topic = weir_topics_find_id(engine, part->topic_id);
    return topic == NULL ? WEIR_BYTES_NULL : (weir_bytes){topic->ref->name, topic->ref->name_bytes};
}

static void measure(const weir_engine *engine, const weir_group *group, measures *sum)
{
    const weir_group_options *options = &group->options;
    sum->groups++;
    sum->partitions += group->part_count;
    sum->topics += options->topic_count;
    sum->bytes += group->name_bytes + options->dead_letter.len + options->filter.len;
    for (uint32_t i = 0; i < options->topic_count; i++) {
        sum->bytes += options->topics[i].len;
    }
    for (uint32_t i = 0; i < group->part_count; i++) {
        sum->bytes += topic_name(engine, group->parts[i]).len + group->parts[i]->metadata_bytes;
    }
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        const weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        sum->members++;
        sum->bytes += member->name_bytes + member->instance_bytes + member->origin_bytes;
    }
}

/* ---- Filling ---------------------------------------------------------------------------------- */

static weir_bytes put(filling *to, const void *bytes, size_t len)
{
    weir_bytes out = {to->at, len};
    if (len > 0) {
        memcpy(to->at, bytes, len);
    }
    to->at += len;
    return out;
}

static weir_bytes put_bytes(filling *to, weir_bytes bytes)
{
    return bytes.ptr == NULL ? WEIR_BYTES_NULL : put(to, bytes.ptr, bytes.len);
}

/* When the oldest record at or behind the offset was stored; now: nobody knows. */
static int64_t stored_ms(const weir_engine *engine, const weir_partition *partition, int64_t offset)
{
    uint32_t index = weir_tail_index_of(&partition->tail, offset);
    if (index < partition->tail.count) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, index);
        if (chunk->base_offset <= offset || index == 0) {
            return chunk->timestamp_ms;
        }
    }
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.end_offset > offset) {
            return state.created_ms; /* at least as old */
        }
    }
    return engine->engine_ms;
}

static void fill_partition(filling *to, const weir_group_part *part, int32_t owner)
{
    weir_group_partition *info = to->partitions++;
    const weir_partition *partition = part->partition;
    int64_t end = partition != NULL ? partition->visible_offset : part->committed;
    int64_t oldest = 0; /* without an end */
    *info = (weir_group_partition){
        .partition = part->index, .start = part->start, .end = end, .owner = owner, .bytes = -1};
    memcpy(info->fates, part->fates, sizeof(info->fates));
    info->fates[WEIR_FATE_PENDING] = weir_group_part_pending(part, end);
    if (part->settlement != NULL) {
        info->committed = weir_settlement_floor(part->settlement);
        info->handed = weir_settlement_fresh(part->settlement);
        info->leased = weir_settlement_leased(part->settlement);
        info->delayed = weir_settlement_delayed(part->settlement, to->engine->engine_ms);
        info->lag = info->fates[WEIR_FATE_PENDING];
        info->bytes = to->one ? weir_overflow_bytes(part) : -1;
        oldest = info->committed;
    } else {
        weir_stream_part_info(part, info, &oldest);
    }
    if (!to->short_of_words) {
        info->topic = put_bytes(to, topic_name(to->engine, part));
        info->metadata = part->metadata == NULL ? WEIR_BYTES_NULL
                                                : put(to, part->metadata, part->metadata_bytes);
    }
    if (info->lag > 0 && partition != NULL) {
        int64_t age = to->engine->engine_ms - stored_ms(to->engine, partition, oldest);
        info->lag_ms = age > 0 ? age : 1;
    }
}

static void fill_member(filling *to, const weir_member *member)
{
    const uint8_t *words = member->words;
    uint64_t silent_ns = to->engine->now_ns - member->heard_ns;
    weir_group_member *info = to->members++;
    *info = (weir_group_member){
        .name = put(to, words, member->name_bytes),
        .instance = member->instance_bytes == 0
                        ? WEIR_BYTES_NULL
                        : put(to, words + member->name_bytes, member->instance_bytes),
        .origin =
            put(to, words + member->name_bytes + member->instance_bytes, member->origin_bytes),
        .leased = member->leased,
        .silent_ms = (int64_t)(silent_ns / 1000000),
    };
    for (uint32_t i = 0; i < member->group->part_count; i++) {
        info->partitions += member->group->parts[i]->owner == member ? 1 : 0;
    }
}

/* Index of the member among those of the group. */
static int32_t owner_index(const weir_group *group, const weir_member *owner)
{
    int32_t index = 0;
    for (weir_link *at = group->members.next; at != &group->members; at = at->next, index++) {
        if (WEIR_OWNER_OF(at, weir_member, group_link) == owner) {
            return index;
        }
    }
    return -1;
}

static void fill_options(filling *to, const weir_group *group, weir_group_options *options)
{
    *options = group->options;
    options->dead_letter = put_bytes(to, group->options.dead_letter);
    options->filter = put_bytes(to, group->options.filter);
    options->topics = options->topic_count > 0 ? to->topics : NULL;
    for (uint32_t i = 0; i < options->topic_count; i++) {
        *to->topics++ = put_bytes(to, group->options.topics[i]);
    }
}

static void fill_group(filling *to, const weir_group *group)
{
    weir_group_info *info = to->info++;
    memset(info, 0, sizeof(*info));
    info->name = put(to, group->name, group->name_bytes);
    fill_options(to, group, &info->options);
    info->generation = group->generation;
    info->late_refused = group->late_refused;
    info->rebalances = group->rebalances;
    info->leased_times = group->leased_gone;
    info->failed_times = group->failed_gone;
    info->partitions = to->partitions;
    info->partition_count = group->part_count;
    info->members = to->members;
    memcpy(info->fates, group->fates_gone, sizeof(info->fates));
    for (uint32_t i = 0; i < group->part_count; i++) {
        const weir_group_part *part = group->parts[i];
        fill_partition(to, part, part->owner == NULL ? -1 : owner_index(group, part->owner));
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            info->fates[fate] += info->partitions[i].fates[fate];
        }
        info->stands_still += info->partitions[i].stands_still ? 1 : 0;
        info->leased_times += part->leased_times;
        info->failed_times += part->failed_times;
    }
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        fill_member(to, WEIR_OWNER_OF(at, weir_member, group_link));
        info->member_count++;
    }
}

static int by_name(const void *a, const void *b)
{
    weir_bytes left = ((const weir_group_info *)a)->name;
    weir_bytes right = ((const weir_group_info *)b)->name;
    size_t len = left.len < right.len ? left.len : right.len;
    int order = len > 0 ? memcmp(left.ptr, right.ptr, len) : 0;
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

weir_err weir_groups_fill(weir_engine *engine, const weir_group *only, weir_groups *groups)
{
    measures sum = {0};
    const weir_link *all = &engine->groups.all;
    for (const weir_link *at = all->next; only == NULL && at != all; at = at->next) {
        measure(engine, WEIR_OWNER_OF(at, const weir_group, engine_link), &sum);
    }
    if (only != NULL) {
        measure(engine, only, &sum);
    }
    size_t fixed = sum.groups * sizeof(weir_group_info) +
                   sum.partitions * sizeof(weir_group_partition) +
                   sum.members * sizeof(weir_group_member) + sum.topics * sizeof(weir_bytes);
    weir_group_info *info = malloc(fixed + sum.bytes + 1);
    if (info == NULL) {
        return WEIR_NO_MEMORY;
    }
    filling to = {.engine = engine, .one = only != NULL, .info = info};
    to.partitions = (weir_group_partition *)(void *)(info + sum.groups);
    to.members = (weir_group_member *)(void *)(to.partitions + sum.partitions);
    to.topics = (weir_bytes *)(void *)(to.members + sum.members);
    to.at = (uint8_t *)(to.topics + sum.topics);
    for (const weir_link *at = all->next; only == NULL && at != all; at = at->next) {
        fill_group(&to, WEIR_OWNER_OF(at, const weir_group, engine_link));
    }
    if (only != NULL) {
        fill_group(&to, only);
    }
    qsort(info, sum.groups, sizeof(*info), by_name);
    groups->groups = info;
    groups->count = (uint32_t)sum.groups;
    return WEIR_OK;
}

/* ---- In short ----------------------------------------------------------------------------------- */

/* Without words: what they say is not asked for. */
static void sum_add(weir_group_partition *sum, const weir_group_partition *part)
{
    sum->lag += part->lag;
    sum->lag_ms = part->lag_ms > sum->lag_ms ? part->lag_ms : sum->lag_ms;
    sum->leased += part->leased;
    sum->delayed += part->delayed;
    for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
        sum->fates[fate] += part->fates[fate];
    }
}

static void fill_sums(filling *to, const weir_group *group)
{
    weir_group_info *info = to->info++;
    weir_group_partition *sum = to->partitions++;
    weir_group_sums times;
    weir_group_sums_of(group, &times);
    memset(info, 0, sizeof(*info));
    *sum = (weir_group_partition){.owner = -1, .bytes = -1};
    info->name = put(to, group->name, group->name_bytes);
    info->options.model = group->options.model;
    info->options.mode = group->options.mode;
    info->leased_times = times.leased;
    info->failed_times = times.failed;
    info->late_refused = group->late_refused;
    info->rebalances = group->rebalances;
    info->member_count = group->present;
    info->partitions = sum;
    info->partition_count = 1;
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_partition one;
        filling alone = {.engine = to->engine, .partitions = &one, .short_of_words = true};
        fill_partition(&alone, group->parts[i], -1);
        sum_add(sum, &one);
        info->stands_still += one.stands_still ? 1 : 0;
    }
    memcpy(info->fates, times.fates, sizeof(info->fates));
    info->fates[WEIR_FATE_PENDING] = sum->fates[WEIR_FATE_PENDING];
}

weir_err weir_groups_fill_sums(weir_engine *engine, uint32_t max, weir_groups *groups)
{
    const weir_link *all = &engine->groups.all;
    uint64_t parts = 0;
    size_t count = 0;
    size_t bytes = 0;
    const weir_link *end = all->next;
    for (; end != all && count < max; end = end->next) {
        const weir_group *group = WEIR_OWNER_OF(end, const weir_group, engine_link);
        parts += group->part_count;
        if (parts > SUMS_PARTS_MAX) {
            break;
        }
        bytes += group->name_bytes;
        count++;
    }
    weir_group_info *info =
        malloc(count * (sizeof(weir_group_info) + sizeof(weir_group_partition)) + bytes + 1);
    if (info == NULL) {
        return WEIR_NO_MEMORY;
    }
    filling to = {.engine = engine, .info = info};
    to.partitions = (weir_group_partition *)(void *)(info + count);
    to.at = (uint8_t *)(to.partitions + count);
    for (const weir_link *at = all->next; at != end; at = at->next) {
        fill_sums(&to, WEIR_OWNER_OF(at, const weir_group, engine_link));
    }
    groups->groups = info;
    groups->count = (uint32_t)count;
    groups->left_out = (uint32_t)engine->stats.groups - (uint32_t)count;
    return WEIR_OK;
}
