/* core/engine/groups.c - consumer groups: created, altered, deleted, forgotten when nobody uses them.
 *
 *   create, a first join --> 20 create, 23 begins ... --> group --> 21 change
 *                                                           +--> 22 delete: asked for, or empty for
 *                                                                longer than expiry_ms
 *
 * Operations are decided against the state, then told to the journal, then applied; all that can
 * fail comes first. A group is made with a part for each partition that it reads, where it begins:
 * at the beginning, or at the end as it is then. What comes later it reads from its beginning
 * (group_parts.c). The group of a queue topic is made and deleted in the topic's unit. */
#include "core/engine/group.h"

#include "core/base/letters.h"
#include "core/base/trie.h"
#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    EXPIRY_LOOK_NS = 1000 * 1000 * 1000, /* between two looks for groups that are empty too long */
    EXPIRY_LOOK_MAX = 64,                /* that go in one look */
};

/* ---- The table -------------------------------------------------------------------------------- */

static weir_bytes name_of(const weir_group *group)
{
    return (weir_bytes){group->name, group->name_bytes};
}

static weir_bytes id_key(const weir_group *group)
{
    return (weir_bytes){(const uint8_t *)&group->id, sizeof(group->id)};
}

weir_err weir_groups_init(weir_engine *engine)
{
    weir_link_init(&engine->groups.all);
    weir_link_init(&engine->groups.busy);
    weir_link_init(&engine->groups.resets);
    engine->groups.id_next = 1;
    return WEIR_OK;
}

static void group_free(weir_group *group)
{
    if (group->options.model == WEIR_MODEL_QUEUE) {
        weir_queue_free(group);
    } else {
        weir_stream_free(group);
    }
    weir_link_remove(&group->saved.link);
    weir_link_remove(&group->engine_link);
    weir_link_remove(&group->busy_link);
    free(group->parts);
    free(group->words);
    free(group);
}

void weir_groups_fini(weir_engine *engine)
{
    weir_link *all = &engine->groups.all;
    while (all->next != NULL && !weir_link_empty(all)) {
        weir_group *group = WEIR_OWNER_OF(all->next, weir_group, engine_link);
        for (uint32_t i = 0; i < group->part_count; i++) {
            weir_group_part_free(engine, group->parts[i]);
        }
        group_free(group);
    }
    weir_map_fini(&engine->groups.by_name);
    weir_map_fini(&engine->groups.by_id);
}

weir_group *weir_group_find(const weir_engine *engine, weir_bytes name)
{
    return weir_map_get(&engine->groups.by_name, name);
}

weir_group *weir_group_find_id(const weir_engine *engine, uint32_t id)
{
    return weir_map_get(&engine->groups.by_id, (weir_bytes){(const uint8_t *)&id, sizeof(id)});
}

void weir_group_changed(weir_engine *engine, weir_group *group)
{
    weir_saved_changed(engine, WEIR_SNAPSHOT_GROUP, &group->saved);
}

void weir_group_busy(weir_engine *engine, weir_group *group)
{
    if (!weir_link_in(&group->busy_link)) {
        weir_link_append(&engine->groups.busy, &group->busy_link);
    }
}

static weir_err group_maps_set(weir_engine *engine, weir_group *group)
{
    weir_err err = weir_map_set(&engine->groups.by_name, name_of(group), group);
    if (err == WEIR_OK) {
        err = weir_map_set(&engine->groups.by_id, id_key(group), group);
        if (err != WEIR_OK) {
            weir_map_remove(&engine->groups.by_name, name_of(group));
        }
    }
    return err;
}

weir_err weir_group_make(weir_engine *engine, uint32_t id, weir_bytes name,
                         const weir_group_options *options, bool of_queue_topic, weir_group **out)
{
    weir_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return WEIR_NO_MEMORY;
    }
    group->id = id;
    group->of_queue_topic = of_queue_topic;
    group->empty_since_ms = engine->engine_ms;
    weir_link_init(&group->members);
    weir_link_init(&group->ready);
    weir_link_init(&group->takes);
    weir_err err = weir_group_words_set(group, name, options);
    if (err == WEIR_OK) {
        err = options->model == WEIR_MODEL_QUEUE ? weir_queue_make(engine, group)
                                                 : weir_stream_make(engine, group);
    }
    err = err == WEIR_OK ? group_maps_set(engine, group) : err;
    if (err != WEIR_OK) {
        group_free(group);
        return err;
    }
    weir_link_append(&engine->groups.all, &group->engine_link);
    engine->groups.id_next = id >= engine->groups.id_next ? id + 1 : engine->groups.id_next;
    engine->stats.groups++;
    *out = group;
    return WEIR_OK;
}

void weir_group_remove(weir_engine *engine, weir_group *group)
{
    uint8_t identity[4];
    while (group->part_count > 0) {
        weir_group_part_remove(engine, group->parts[group->part_count - 1]);
    }
    while (!weir_link_empty(&group->members)) { /* they hold nothing any more: no entry is made */
        weir_member_out(engine, WEIR_OWNER_OF(group->members.next, weir_member, group_link), true);
    }
    weir_put_u32(identity, group->id);
    weir_saved_gone(engine, WEIR_SNAPSHOT_GROUP, &group->saved, WEIR_BYTES(identity));
    weir_map_remove(&engine->groups.by_name, name_of(group));
    weir_map_remove(&engine->groups.by_id, id_key(group));
    engine->stats.groups--;
    group_free(group);
}

/* ---- Create ----------------------------------------------------------------------------------- */

/* A topic that takes dead letters, or, with `reads`, that a group may read. */
static weir_err topic_check(const weir_engine *engine, weir_bytes name, bool reads)
{
    const weir_topic *topic = weir_topics_find(engine, name);
    if (topic == NULL) {
        return WEIR_NOT_FOUND;
    }
    bool refused = weir_topic_is_own(topic) ||
                   (reads && weir_topic_is_queue(&topic->options)); /* which has one */
    return refused ? WEIR_INVALID : WEIR_OK;
}

/* A declared topic, and none that gives the letters back to the group. */
static weir_err letters_check(const weir_engine *engine, const weir_group_options *options)
{
    const weir_topic *topic = weir_topics_find(engine, options->dead_letter);
    bool passed_by = topic != NULL && options->topic_count == 0 && /* filters pass queues by */
                     weir_topic_is_queue(&topic->options);
    weir_err err = topic_check(engine, options->dead_letter, false);
    return err == WEIR_OK && !passed_by && weir_letters_return(options) ? WEIR_INVALID : err;
}

static weir_err topics_check(const weir_engine *engine, const weir_group_options *options)
{
    bool nothing = options->topic_count == 0 && weir_route_reaches_nothing(engine, options->filter);
    weir_err err = nothing ? WEIR_INVALID : WEIR_OK; /* as the queue's name among topics is */
    for (uint32_t i = 0; i < options->topic_count && err == WEIR_OK; i++) {
        err = topic_check(engine, options->topics[i], true);
    }
    return err == WEIR_OK && options->dead_letter.len > 0 ? letters_check(engine, options) : err;
}

/* Each topic that the options read, in the order of the map. */
static const weir_topic *topic_next(const weir_engine *engine, const weir_group *reader,
                                    size_t *position)
{
    const weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, position)) != NULL) {
        weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
        if (!weir_topic_is_own(topic) &&
            weir_group_reads(reader, name, weir_topic_is_queue(&topic->options))) {
            break;
        }
    }
    return topic;
}

static weir_err parts_room(weir_engine *engine, const weir_group_options *options, uint64_t *bytes)
{
    weir_group reader = {.options = *options};
    size_t position = 0;
    const weir_topic *topic = NULL;
    uint64_t parts = engine->groups.part_count;
    while ((topic = topic_next(engine, &reader, &position)) != NULL) {
        *bytes += weir_group_part_entry_bytes(topic->partition_count);
        parts += topic->partition_count;
    }
    return parts > engine->limits.group_parts_max ? WEIR_LIMIT : WEIR_OK;
}

/* The places where it begins: told, and so applied, topic by topic. */
static void parts_begin(weir_engine *engine, weir_group *group, weir_part_told *told)
{
    size_t position = 0;
    const weir_topic *topic = NULL;
    while ((topic = topic_next(engine, group, &position)) != NULL) {
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            const weir_partition *partition = topic->partitions[i];
            told[i].offset = group->options.start == WEIR_PLACE_END ? partition->next_offset
                                                                    : partition->start_offset;
        }
        weir_group_parts_tell(engine, group, topic->id, 0, topic->partition_count, WEIR_PART_BEGINS,
                              told);
    }
}

static uint32_t partitions_most(const weir_engine *engine)
{
    uint32_t most = 1;
    size_t position = 0;
    const weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        most = topic->partition_count > most ? topic->partition_count : most;
    }
    return most;
}

static weir_err create_decide(weir_engine *engine, weir_bytes name, weir_group_options *options)
{
    weir_err err = weir_group_name_check(name);
    err = err == WEIR_OK ? weir_group_options_fill(options) : err;
    err = err == WEIR_OK ? weir_overflow_check(options, false) : err;
    err = err == WEIR_OK ? topics_check(engine, options) : err;
    if (err == WEIR_OK && engine->groups.by_name.count >= engine->limits.groups_max) {
        engine->stats.refused_groups++;
        err = WEIR_LIMIT;
    }
    return err;
}

/* The options are filled in and may be. */
static weir_err create(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                       weir_group **out)
{
    weir_buffer fields = {0};
    uint64_t bytes = 64;
    weir_part_told *told = calloc(partitions_most(engine), sizeof(*told));
    weir_group *group = NULL;
    weir_err err = told == NULL ? WEIR_NO_MEMORY : parts_room(engine, options, &bytes);
    engine->stats.refused_groups += err == WEIR_LIMIT ? 1 : 0;
    err = err == WEIR_OK ? weir_group_encode(engine, name, options, &fields) : err;
    err = err == WEIR_OK ? weir_engine_unit(engine, bytes + fields.len) : err;
    uint32_t id = engine->groups.id_next;
    err = err == WEIR_OK ? weir_group_make(engine, id, name, options, false, &group) : err;
    if (err == WEIR_OK) {
        weir_group_entry(engine, WEIR_ENTRY_GROUP_CREATE, id, false, weir_buffer_bytes(&fields));
        weir_group_changed(engine, group);
        parts_begin(engine, group, told);
        if (group->queue != NULL) { /* there may be more at once than it may have */
            weir_group_busy(engine, group);
            weir_overflow_altered(engine, group);
        }
        *out = group;
    }
    weir_buffer_fini(&fields);
    free(told);
    return err;
}

weir_err weir_group_want(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                         weir_group **out)
{
    weir_group *group = weir_group_find(engine, name);
    *out = group;
    if (group != NULL) {
        bool fits = options == NULL || weir_group_options_allow(options, &group->options);
        return fits ? WEIR_OK : WEIR_EXISTS;
    }
    if (options == NULL) {
        return WEIR_NOT_FOUND;
    }
    weir_group_options filled = *options;
    weir_err err = create_decide(engine, name, &filled);
    if (err == WEIR_OK) {
        weir_produce_close_all(engine); /* where it begins is behind what came before */
        err = create(engine, name, &filled, out);
        engine->topics_unit = weir_engine_unit_now(engine);
    }
    return err;
}

/* ---- The group of a queue topic --------------------------------------------------------------- */

static weir_group_options queue_options(const weir_bytes *topic)
{
    weir_group_options options = {.model = WEIR_MODEL_QUEUE, .topics = topic, .topic_count = 1};
    weir_err err = weir_group_options_fill(&options);
    WEIR_ASSERT(err == WEIR_OK);
    return options;
}

weir_err weir_group_of_queue_decide(weir_engine *engine, weir_bytes topic, uint32_t partitions,
                                    weir_buffer *fields)
{
    weir_group_options options = queue_options(&topic);
    if (weir_group_find(engine, topic) != NULL) {
        return WEIR_EXISTS;
    }
    if (engine->groups.by_name.count >= engine->limits.groups_max ||
        engine->groups.part_count + partitions > engine->limits.group_parts_max) {
        engine->stats.refused_groups++;
        return WEIR_LIMIT;
    }
    return weir_group_encode(engine, topic, &options, fields);
}

weir_err weir_group_of_queue_make(weir_engine *engine, weir_bytes topic, weir_group **group)
{
    weir_group_options options = queue_options(&topic);
    return weir_group_make(engine, engine->groups.id_next, topic, &options, true, group);
}

void weir_group_of_queue_tell(weir_engine *engine, weir_group *group, weir_bytes fields)
{
    weir_group_entry(engine, WEIR_ENTRY_GROUP_CREATE, group->id, true, fields);
    weir_group_changed(engine, group);
}

/* ---- What is counted ---------------------------------------------------------------------------- */

void weir_group_sums_of(const weir_group *group, weir_group_sums *sums)
{
    memcpy(sums->fates, group->fates_gone, sizeof(sums->fates));
    sums->leased = group->leased_gone;
    sums->failed = group->failed_gone;
    for (uint32_t i = 0; i < group->part_count; i++) {
        const weir_group_part *part = group->parts[i];
        sums->leased += part->leased_times;
        sums->failed += part->failed_times;
        for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
            sums->fates[fate] += part->fates[fate];
        }
    }
    sums->fates[WEIR_FATE_PENDING] = 0; /* is no end, and counted nowhere */
}

void weir_group_sums_add(weir_group_sums *to, const weir_group_sums *sums)
{
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        to->fates[fate] += sums->fates[fate];
    }
    to->leased += sums->leased;
    to->failed += sums->failed;
}

void weir_group_sums_encode(const weir_group_sums *sums, uint8_t *at)
{
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++, at += 8) {
        weir_put_u64(at, sums->fates[fate]);
    }
    weir_put_u64(at, sums->leased);
    weir_put_u64(at + 8, sums->failed);
}

void weir_group_sums_decode(const uint8_t *at, weir_group_sums *sums)
{
    sums->fates[WEIR_FATE_PENDING] = 0;
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++, at += 8) {
        sums->fates[fate] = weir_get_u64(at);
    }
    sums->leased = weir_get_u64(at);
    sums->failed = weir_get_u64(at + 8);
}

/* ---- Alter and delete ------------------------------------------------------------------------- */

weir_err weir_group_retell(weir_engine *engine, weir_group *group,
                           const weir_group_options *options)
{
    weir_map_remove(&engine->groups.by_name, name_of(group)); /* it borrows the name */
    weir_err err = weir_group_words_set(group, name_of(group), options);
    weir_err set = weir_map_set(&engine->groups.by_name, name_of(group), group);
    WEIR_ASSERT(set == WEIR_OK); /* one was just taken out */
    return err;
}

static weir_err alter(weir_engine *engine, weir_group *group, const weir_group_options *change)
{
    weir_buffer fields = {0};
    weir_group_options merged = group->options;
    weir_err err = weir_group_options_merge(&merged, change);
    err = err == WEIR_OK ? weir_overflow_check(&merged, group->of_queue_topic) : err;
    err = err == WEIR_OK && change->dead_letter.len > 0 ? letters_check(engine, &merged) : err;
    err = err == WEIR_OK ? weir_group_encode(engine, name_of(group), &merged, &fields) : err;
    err = err == WEIR_OK ? weir_engine_unit_reserve(engine, fields.len + 64) : err;
    err = err == WEIR_OK ? weir_group_retell(engine, group, &merged) : err;
    if (err == WEIR_OK) {
        weir_group_entry(engine, WEIR_ENTRY_GROUP_CHANGE, group->id, group->of_queue_topic,
                         weir_buffer_bytes(&fields));
        weir_group_changed(engine, group);
        weir_group_busy(engine, group);
        weir_members_altered(engine, group);
        if (group->queue != NULL) {
            weir_queue_altered(group);
            weir_overflow_altered(engine, group);
        }
    }
    weir_buffer_fini(&fields);
    return err;
}

void weir_group_delete(weir_engine *engine, weir_group *group)
{
    weir_group_sums sums;
    weir_group_sums_of(group, &sums);
    uint8_t *at =
        weir_engine_entry_of(engine, WEIR_ENTRY_GROUP_DELETE, 2, 4 + WEIR_GROUP_SUMS_BYTES);
    weir_put_u32(at, group->id);
    weir_group_sums_encode(&sums, at + 4);
    weir_group_sums_add(&engine->groups.deleted, &sums);
    weir_group_remove(engine, group);
}

static weir_err delete_now(weir_engine *engine, weir_group *group)
{
    weir_err err = weir_engine_unit_last(
        engine, WEIR_GROUP_DELETE_BYTES); /* what retention held back for it may go */
    if (err == WEIR_OK) {
        weir_group_delete(engine, group);
    }
    return err;
}

static weir_err delete_asked(weir_engine *engine, weir_group *group, bool force)
{
    if (group->of_queue_topic) {
        return WEIR_INVALID; /* it goes with its topic */
    }
    return group->present > 0 && !force ? WEIR_EXISTS : delete_now(engine, group);
}

/* ---- Operations ------------------------------------------------------------------------------- */

static void group_run(weir_engine *engine, const weir_op *op, weir_completion *done)
{
    const weir_op_group *asked = (const weir_op_group *)(const void *)op->data;
    weir_group *group = weir_group_find(engine, asked->name);
    bool all = op->type == WEIR_OP_GROUPS && asked->name.len == 0;
    bool creates = op->type == WEIR_OP_GROUP_CREATE && group == NULL;
    if (group == NULL && op->type != WEIR_OP_GROUP_CREATE && !all) {
        done->err = WEIR_NOT_FOUND;
        return;
    }
    switch (op->type) {
    case WEIR_OP_GROUP_CREATE:
        done->err = weir_group_want(engine, asked->name, &asked->options, &group);
        break;
    case WEIR_OP_GROUP_ALTER:
        done->err = alter(engine, group, &asked->options);
        break;
    case WEIR_OP_GROUP_DELETE:
        done->err = weir_groups_fill(engine, group, &done->groups);
        done->err = done->err == WEIR_OK ? delete_asked(engine, group, asked->force) : done->err;
        return;
    default:
        break;
    }
    if (done->err == WEIR_OK || done->err == WEIR_EXISTS) {
        weir_err err = weir_groups_fill(engine, all ? NULL : group, &done->groups);
        done->groups.created = creates && done->err == WEIR_OK;
        done->err = err != WEIR_OK ? err : done->err;
    }
}

void weir_groups_answer(weir_engine *engine, weir_port *port, weir_completion *done)
{
    if (done->type != WEIR_COMPLETION_GROUPS) {
        engine->topics_unit = weir_engine_unit_now(engine);
    }
    /* [E4] as topics have it: a question waits for the last change, not for records. */
    bool told = engine->topics_unit <= weir_engine_mark(engine, WEIR_LEVEL_DISK);
    weir_port_answer(port, done, engine->topics_unit, told ? WEIR_LEVEL_MEMORY : WEIR_LEVEL_DISK);
}

void weir_groups_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.user = op->user, .token = op->token};
    if (op->type == WEIR_OP_GROUP_SUMS) { /* for whoever watches: also when no unit gets durable */
        uint32_t max = 0;
        memcpy(&max, op->data, sizeof(max));
        done.type = WEIR_COMPLETION_GROUPS;
        done.err = weir_groups_fill_sums(engine, max, &done.groups);
        engine->stats.groups_left_out =
            done.err == WEIR_OK ? done.groups.left_out : engine->stats.groups_left_out;
        weir_port_complete(port, &done);
        return;
    }
    done.type = op->type == WEIR_OP_GROUPS ? WEIR_COMPLETION_GROUPS : WEIR_COMPLETION_GROUP;
    weir_produce_close_all(engine); /* the answer is about what came before it */
    if (op->type == WEIR_OP_GROUP_RESET) {
        weir_group_reset_op(engine, port, op);
        return;
    }
    group_run(engine, op, &done);
    weir_groups_answer(engine, port, &done);
}

/* ---- Once a turn ------------------------------------------------------------------------------ */

static int64_t expires_ms(const weir_group *group)
{
    bool may = group->present == 0 && !group->of_queue_topic && group->options.expiry_ms > 0;
    return may ? group->empty_since_ms + group->options.expiry_ms : INT64_MAX;
}

static void expire(weir_engine *engine)
{
    uint32_t gone = 0;
    if (engine->now_ns - engine->groups.looked_ns < EXPIRY_LOOK_NS) {
        return;
    }
    engine->groups.looked_ns = engine->now_ns;
    if (atomic_load_explicit(&engine->health, memory_order_relaxed) != WEIR_HEALTH_OK) {
        return; /* nothing can be told: next time */
    }
    for (weir_link *at = engine->groups.all.next, *next = NULL;
         at != &engine->groups.all && gone < EXPIRY_LOOK_MAX; at = next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        next = at->next;
        if (expires_ms(group) <= engine->engine_ms) {
            if (delete_now(engine, group) != WEIR_OK) {
                return; /* no room in the journal: next time */
            }
            gone++;
        }
    }
}

/* Whether a turn has nothing more to do for it. */
static bool idle(const weir_engine *engine, const weir_group *group)
{
    bool queue = group->options.model == WEIR_MODEL_QUEUE;
    return group->member_count == 0 && (!queue || weir_queue_deadline(engine, group) == UINT64_MAX);
}

void weir_groups_work(weir_engine *engine)
{
    expire(engine);
    weir_group_resets_work(engine);
    for (weir_link *at = engine->groups.busy.next, *next = NULL; at != &engine->groups.busy;
         at = next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, busy_link);
        next = at->next;
        bool left = weir_groups_lost_work(engine, group);
        if (group->options.model == WEIR_MODEL_QUEUE) {
            weir_queue_work(engine, group);
        }
        if (!left && idle(engine, group)) {
            weir_link_remove(&group->busy_link);
        }
    }
    weir_members_work(engine);
}

uint64_t weir_groups_deadline(const weir_engine *engine)
{
    uint64_t deadline = UINT64_MAX;
    if (!weir_link_empty(&engine->groups.all)) {
        deadline = engine->groups.looked_ns + EXPIRY_LOOK_NS;
    }
    for (weir_link *at = engine->groups.busy.next; at != &engine->groups.busy; at = at->next) {
        const weir_group *group = WEIR_OWNER_OF(at, weir_group, busy_link);
        uint64_t due = weir_members_deadline(engine, group);
        deadline = due < deadline ? due : deadline;
        if (group->options.model == WEIR_MODEL_QUEUE) {
            due = weir_queue_deadline(engine, group);
            deadline = due < deadline ? due : deadline;
        }
    }
    return deadline;
}

/* What these groups counted is shown from the beginning, with what deleted ones did; empty groups have
 * their full time again. */
void weir_groups_started(weir_engine *engine)
{
    weir_group_sums all = engine->groups.deleted;
    weir_fates_started(engine);
    for (weir_link *at = engine->groups.all.next; at != &engine->groups.all; at = at->next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        weir_group_sums sums;
        weir_group_sums_of(group, &sums);
        weir_group_sums_add(&all, &sums);
        group->empty_since_ms = engine->engine_ms;
        for (uint32_t i = 0; i < group->part_count; i++) {
            weir_group_ready(group, group->parts[i]);
        }
        if (group->options.model == WEIR_MODEL_QUEUE) {
            weir_queue_started(engine, group);
        }
        weir_group_busy(engine, group);
    }
    engine->stats.leased = all.leased;
    engine->stats.failed = all.failed;
    weir_fates_show(engine, all.fates);
}

uint64_t weir_groups_unit_least(const weir_engine *engine)
{
    uint64_t least = 0;
    for (const weir_link *at = engine->groups.all.next; at != &engine->groups.all; at = at->next) {
        const weir_group *group = WEIR_OWNER_OF(at, const weir_group, engine_link);
        least = group->held_unit > least ? group->held_unit : least;
        for (uint32_t i = 0; i < group->part_count; i++) {
            uint64_t held = group->parts[i]->held_unit;
            least = held > least ? held : least;
            held = weir_queue_part_held(group->parts[i]);
            least = held > least ? held : least;
        }
    }
    return least;
}
