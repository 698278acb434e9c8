/* core/engine/topics.c - declared topics: creating, changing, deleting, listing.
 *
 * A name's longest declared prefix by whole levels is its topic, so topics that nest must be
 * declared so: otherwise a name that went to one would silently go to the other. Deleting takes the
 * topic out of the maps at once; its files go when the deletion is durable (the grave list). */
#include "core/engine/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64 }; /* of the processor's cache */

weir_topic *weir_topics_find(const weir_engine *engine, weir_bytes name)
{
    return weir_map_get(&engine->topics_by_name, name);
}

weir_topic *weir_topics_find_id(const weir_engine *engine, uint32_t id)
{
    return weir_map_get(&engine->topics_by_id,
                        WEIR_BYTES(((uint8_t[4]){(uint8_t)id, (uint8_t)(id >> 8),
                                                 (uint8_t)(id >> 16), (uint8_t)(id >> 24)})));
}

/* An owner that took over makes its segments in folders of its term: the older one may still be
 * alive, and nothing that it makes or removes is there. Term 0, all other owners: they begin when
 * nobody else is alive, so that a file they find in their way is a leftover. */
void weir_topics_segments_dir(const weir_engine *engine, uint32_t topic_id, uint32_t partition,
                              uint64_t term, char *out, size_t size)
{
    int len = snprintf(out, size, "%s/log/%u/%u", engine->data_dir, topic_id, partition);
    if (term != 0 && len > 0 && (size_t)len < size) {
        snprintf(out + len, size - (size_t)len, "/%016" PRIx64, term);
    }
}

typedef struct emptied {
    weir_env *env;
    const char *dir;
} emptied;

static void folder_remove(weir_env *env, const char *dir);

static bool emptied_entry(void *arg, const char *name)
{
    const emptied *at = arg;
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", at->dir, name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return true;
    }
    if (strchr(name, '.') == NULL) { /* a partition's, or a term's */
        folder_remove(at->env, path);
    } else {
        at->env->ops->unlink(at->env, path);
    }
    return true;
}

/* At most three deep: topic, partition, term. What cannot be removed stays. */
static void folder_remove(weir_env *env, const char *dir)
{
    emptied at = {env, dir};
    env->ops->dir_list(env, dir, emptied_entry, &at);
    env->ops->dir_remove(env, dir);
}

void weir_topics_files_remove(const weir_engine *engine, uint32_t topic_id)
{
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/log/%u", engine->data_dir, topic_id);
    folder_remove(engine->env, dir);
}

/* ---- Create
 * ------------------------------------------------------------------------------------------ */

static bool is_level_prefix(weir_bytes prefix, weir_bytes name)
{
    return prefix.len < name.len && memcmp(prefix.ptr, name.ptr, prefix.len) == 0 &&
           name.ptr[prefix.len] == '/';
}

static bool nests(const weir_engine *engine, weir_bytes name)
{
    size_t position = 0;
    weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        weir_bytes other = {topic->ref->name, topic->ref->name_bytes};
        if (is_level_prefix(other, name) || is_level_prefix(name, other)) {
            return true;
        }
    }
    return false;
}

static bool options_equal(const weir_topic_options *a, const weir_topic_options *b)
{
    return a->partitions == b->partitions && a->level == b->level && a->nested == b->nested &&
           a->partition_levels == b->partition_levels && weir_topic_settings_allow(a, b);
}

/* Names that begin so are for topics of the engine's own. */
static bool own_name(weir_bytes name)
{
    return name.len >= 2 && name.ptr[0] == '_' && name.ptr[1] == '_';
}

weir_err weir_topics_decide_create(weir_engine *engine, weir_bytes name,
                                   weir_topic_options *options, weir_topic **existing)
{
    *existing = NULL;
    if (weir_topic_name_check(name) != WEIR_OK || own_name(name)) {
        return WEIR_NAME_INVALID;
    }
    options->partitions = options->partitions == 0 ? 1 : options->partitions;
    options->level = options->level == WEIR_LEVEL_DEFAULT ? WEIR_LEVEL_DISK : options->level;
    if (options->level == WEIR_LEVEL_REPLICATED) {
        return WEIR_NOT_OFFERED;
    }
    if (options->level >= WEIR_LEVEL_COUNT || weir_topic_settings_check(options) != WEIR_OK) {
        return WEIR_INVALID;
    }
    if (options->partitions > engine->limits.partitions_max) {
        engine->stats.refused_partitions++;
        return WEIR_LIMIT;
    }
    weir_topic *topic = weir_topics_find(engine, name);
    if (topic != NULL) {
        *existing = topic;
        return options_equal(options, &topic->options) ? WEIR_OK : WEIR_EXISTS;
    }
    if (engine->stats.topics >= engine->limits.topics_max) {
        engine->stats.refused_topics++;
        return WEIR_LIMIT;
    }
    if (!options->nested && nests(engine, name)) {
        return WEIR_NESTED;
    }
    return WEIR_OK;
}

static weir_partition *partition_make(weir_topic *topic, uint32_t index)
{
    size_t bytes = (sizeof(weir_partition) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    weir_partition *partition = aligned_alloc(LINE_BYTES, bytes);
    if (partition == NULL) {
        return NULL;
    }
    memset(partition, 0, sizeof(*partition));
    partition->topic = topic;
    partition->index = index;
    partition->segment_continues = true;
    partition->tombstones_due_ms = INT64_MAX;
    weir_link_init(&partition->waiting);
    weir_link_init(&partition->cursors);
    weir_link_init(&partition->group_parts);
    return partition;
}

/* Grows the topic to `count` partitions. NO_MEMORY: it has as many as before. */
weir_err weir_topic_grow(weir_topic *topic, uint32_t count)
{
    weir_partition **grown = realloc(topic->partitions, count * sizeof(weir_partition *));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    topic->partitions = grown;
    for (uint32_t i = topic->partition_count; i < count; i++) {
        grown[i] = partition_make(topic, i);
        if (grown[i] == NULL) {
            while (i > topic->partition_count) {
                free(grown[--i]);
            }
            return WEIR_NO_MEMORY;
        }
    }
    topic->partition_count = count;
    return WEIR_OK;
}

static weir_topic *topic_make(uint32_t id, weir_bytes name, const weir_topic_options *options)
{
    weir_topic *topic = calloc(1, sizeof(*topic));
    if (topic == NULL) {
        return NULL;
    }
    topic->ref = weir_topic_ref_create(id, name);
    if (topic->ref == NULL || weir_topic_grow(topic, options->partitions) != WEIR_OK) {
        weir_topic_ref_drop(topic->ref);
        free(topic->partitions);
        free(topic);
        return NULL;
    }
    topic->id = id;
    topic->options = *options;
    return topic;
}

weir_topic *weir_topics_grave(const weir_engine *engine, uint32_t id)
{
    weir_topic *topic = engine->graves;
    while (topic != NULL && topic->id != id) {
        topic = topic->grave_next;
    }
    return topic;
}

weir_err weir_topics_apply_create(weir_engine *engine, uint32_t id, weir_bytes name,
                                  const weir_topic_options *options, weir_topic **out)
{
    weir_topic *topic = topic_make(id, name, options);
    if (topic == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_bytes key = {topic->ref->name, topic->ref->name_bytes};
    weir_err err = weir_map_set(&engine->topics_by_name, key, topic);
    if (err == WEIR_OK) {
        err = weir_map_set(&engine->topics_by_id, (weir_bytes){(uint8_t *)&topic->id, 4}, topic);
        if (err != WEIR_OK) {
            weir_map_remove(&engine->topics_by_name, key);
        }
    }
    if (err != WEIR_OK) {
        weir_topic_free(engine, topic);
        return err;
    }
    engine->topics_generation++;
    if (!weir_topic_is_own(topic)) {
        engine->topic_id_next = id >= engine->topic_id_next ? id + 1 : engine->topic_id_next;
        engine->stats.topics++;
        engine->stats.partitions += topic->partition_count;
    }
    weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    *out = topic;
    return WEIR_OK;
}

/* ---- Delete
 * ------------------------------------------------------------------------------------------ */

/* No checkpoint writes or syncs it any more. */
static void partition_forget(weir_engine *engine, weir_partition *partition)
{
    weir_link_remove(&partition->saved.link);
    weir_unsynced_remove(engine, partition);
}

void weir_topic_free(weir_engine *engine, weir_topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        weir_partition *partition = topic->partitions[i];
        weir_partition_drop_chunks(engine, partition);
        partition_forget(engine, partition);
        for (uint32_t s = 0; s < partition->segment_count; s++) {
            weir_segment_drop(partition->segments[s]);
        }
        free(partition->segments);
        free(partition->trims);
        free(partition->notes);
        free(partition);
    }
    weir_link_remove(&topic->saved.link);
    weir_topic_epochs_free(topic);
    weir_topic_ref_drop(topic->ref);
    free(topic->partitions);
    free(topic);
}

void weir_topics_apply_delete(weir_engine *engine, weir_topic *topic, uint64_t unit)
{
    weir_subscribers_forget_topic(engine, topic);
    weir_compact_forget(engine, topic);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        weir_partition *partition = topic->partitions[i];
        weir_fetches_end(engine, partition, NULL);
        weir_groups_partition_forget(partition);
        weir_partition_drop_chunks(engine, partition);
        weir_link_remove(&partition->hidden_link);
        partition_forget(engine, partition);
        weir_link_remove(&partition->trimmed_link);
    }
    weir_map_remove(&engine->topics_by_name,
                    (weir_bytes){topic->ref->name, topic->ref->name_bytes});
    weir_map_remove(&engine->topics_by_id, (weir_bytes){(uint8_t *)&topic->id, 4});
    engine->stats.topics--;
    engine->stats.partitions -= topic->partition_count;
    engine->topics_generation++;
    topic->deleted_unit = unit;
    weir_saved_again(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    topic->grave_next = engine->graves;
    engine->graves = topic;
}

weir_err weir_partition_segment_add(weir_partition *partition, weir_segment *segment)
{
    if (partition->segment_count == partition->segment_capacity) {
        uint32_t capacity = partition->segment_capacity == 0 ? 4 : partition->segment_capacity * 2;
        weir_segment **grown = realloc(partition->segments, capacity * sizeof(*grown));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        partition->segments = grown;
        partition->segment_capacity = capacity;
    }
    partition->segments[partition->segment_count++] = segment;
    return WEIR_OK;
}

/* ---- Answers
 * ------------------------------------------------------------------------------------------ */

/* What retention leaves for groups, and the one for which it leaves most. */
static void held_fill(const weir_engine *engine, const weir_topic *topic, weir_topic_info *info)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const weir_partition *partition = topic->partitions[i];
        const weir_group *group = weir_group_find_id(engine, partition->held_by);
        info->held_bytes += partition->held_bytes;
        if (partition->held_bytes > most && group != NULL &&
            group->name_bytes < sizeof(info->held_by)) {
            most = partition->held_bytes;
            memset(info->held_by, 0, sizeof(info->held_by));
            memcpy(info->held_by, group->name, group->name_bytes);
        }
    }
}

static weir_err info_fill(const weir_engine *engine, const weir_topic *topic, weir_topic_info *info)
{
    info->partitions = calloc(topic->partition_count, sizeof(*info->partitions));
    if (info->partitions == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(info->name, topic->ref->name, topic->ref->name_bytes);
    info->name[topic->ref->name_bytes] = '\0';
    info->id = topic->id;
    info->options = weir_topic_in_force(engine, &topic->options);
    held_fill(engine, topic, info);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        info->partitions[i].start_offset = topic->partitions[i]->start_offset;
        info->partitions[i].end_offset = topic->partitions[i]->visible_offset;
        info->partitions[i].found_offset = topic->partitions[i]->visible_offset;
    }
    return WEIR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const weir_topic_info *)a)->name, ((const weir_topic_info *)b)->name);
}

static weir_err topics_fill(const weir_engine *engine, weir_topic *only, weir_topics *topics)
{
    uint32_t count = only != NULL ? 1 : (uint32_t)engine->stats.topics;
    topics->topics = calloc(count == 0 ? 1 : count, sizeof(*topics->topics));
    if (topics->topics == NULL) {
        return WEIR_NO_MEMORY;
    }
    size_t position = 0;
    for (uint32_t i = 0; i < count; i++) {
        const weir_topic *topic = only;
        while (only == NULL) {
            topic = weir_map_next(&engine->topics_by_name, &position);
            if (!weir_topic_is_own(topic)) {
                break;
            }
        }
        if (info_fill(engine, topic, &topics->topics[i]) != WEIR_OK) {
            return WEIR_NO_MEMORY; /* the completion's drop frees what there is */
        }
        topics->count = i + 1;
    }
    qsort(topics->topics, topics->count, sizeof(*topics->topics), by_name);
    return WEIR_OK;
}

/* What a queue topic is made with: its group, and the entry that tells of it. */
typedef struct queue_group {
    weir_group *group; /* NULL: the topic is a log */
    weir_buffer fields;
} queue_group;

/* All that can fail, but for the topic's own memory. */
static weir_err create_prepare(weir_engine *engine, weir_bytes name,
                               const weir_topic_options *options, queue_group *own)
{
    bool queue = weir_topic_is_queue(options);
    uint64_t bytes = WEIR_ENTRY_TOPIC_HEAD_BYTES + name.len + weir_topic_settings_bytes(options);
    weir_err err = queue
                       ? weir_group_of_queue_decide(engine, name, options->partitions, &own->fields)
                       : WEIR_OK;
    if (queue) {
        bytes += own->fields.len + options->partitions * weir_group_part_entry_bytes(1) + 64;
    }
    err = err == WEIR_OK
              ? weir_groups_topic_room(engine, name, queue, NULL, options->partitions, bytes)
              : err;
    return err == WEIR_OK && queue ? weir_group_of_queue_make(engine, name, &own->group) : err;
}

static weir_err do_create(weir_engine *engine, weir_bytes name, const weir_op *op,
                          weir_topic **topic)
{
    weir_topic_options options = op->topic.options;
    queue_group own = {0};
    weir_err err = weir_topics_decide_create(engine, name, &options, topic);
    if (err != WEIR_OK || *topic != NULL) {
        return err;
    }
    err = create_prepare(engine, name, &options, &own);
    uint32_t id = engine->topic_id_next;
    err = err == WEIR_OK ? weir_topics_apply_create(engine, id, name, &options, topic) : err;
    if (err == WEIR_OK) {
        weir_entry_topic_create(engine, id, name, &options);
        if (own.group != NULL) {
            weir_group_of_queue_tell(engine, own.group, weir_buffer_bytes(&own.fields));
        }
        weir_groups_topic_made(engine, *topic);
        weir_cursors_topic(engine, *topic);
    } else if (own.group != NULL) {
        weir_group_remove(engine, own.group);
    }
    weir_buffer_fini(&own.fields);
    return err;
}

static weir_err do_delete(weir_engine *engine, weir_topic *topic)
{
    weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
    uint64_t bytes = 16 + topic->partition_count * (uint64_t)WEIR_TRIM_ENTRY_BYTES;
    bool full = atomic_load(&engine->health) == WEIR_HEALTH_DISK_FULL;
    weir_err err =
        weir_groups_topic_room(engine, name, false, topic, topic->partition_count, bytes);
    if (err == WEIR_OK) {
        weir_groups_topic_gone(engine, topic);
        if (full) { /* its files go at once, and not with the second checkpoint from now */
            weir_life_empty(engine, topic);
        }
        weir_entry_topic_delete(engine, topic->id);
        weir_topics_apply_delete(engine, topic, weir_engine_unit_now(engine));
    }
    return err;
}

/* Of the engine's own: it is shown, and how long it is kept can be set. */
static bool own_offered(const weir_op *op)
{
    const weir_topic_options *options = &op->topic.options;
    return op->type == WEIR_OP_TOPICS || op->type == WEIR_OP_OFFSETS ||
           (op->type == WEIR_OP_TOPIC_ALTER && options->partitions == 0 &&
            options->level == WEIR_LEVEL_DEFAULT && options->cleanup == WEIR_CLEANUP_DEFAULT);
}

static void topic_op_run(weir_engine *engine, const weir_op *op, weir_completion *done)
{
    weir_bytes name = {op->data, op->topic.name_bytes};
    weir_topic *topic = weir_topics_find(engine, name);
    bool all = op->type == WEIR_OP_TOPICS && name.len == 0;
    bool creates = op->type == WEIR_OP_TOPIC_CREATE && topic == NULL;
    if (topic == NULL && op->type != WEIR_OP_TOPIC_CREATE && !all) {
        done->err = WEIR_NOT_FOUND;
        return;
    }
    if (topic != NULL && weir_topic_is_own(topic) && !own_offered(op)) {
        done->err = WEIR_NOT_OFFERED;
        return;
    }
    switch (op->type) {
    case WEIR_OP_TOPIC_CREATE:
        done->err = do_create(engine, name, op, &topic);
        break;
    case WEIR_OP_TOPIC_ALTER:
        done->err = weir_topics_alter(engine, &op->topic.options, topic);
        break;
    case WEIR_OP_TOPIC_TRIM:
        done->err = weir_life_trim_op(engine, op, topic);
        break;
    case WEIR_OP_TOPIC_DELETE:
        done->err = topics_fill(engine, topic, &done->topics);
        done->err = done->err == WEIR_OK ? do_delete(engine, topic) : done->err;
        return;
    default:
        break;
    }
    if (done->err == WEIR_OK || done->err == WEIR_EXISTS) {
        weir_err err = topics_fill(engine, all ? NULL : topic, &done->topics);
        done->topics.created = creates && done->err == WEIR_OK;
        done->err = err != WEIR_OK ? err : done->err;
    }
}

void weir_topics_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.user = op->user, .token = op->token};
    done.type = op->type == WEIR_OP_TOPICS    ? WEIR_COMPLETION_TOPICS
                : op->type == WEIR_OP_OFFSETS ? WEIR_COMPLETION_OFFSETS
                                              : WEIR_COMPLETION_TOPIC;
    weir_produce_close_all(engine); /* the answer is about what came before it */
    topic_op_run(engine, op, &done);
    if (op->type != WEIR_OP_TOPICS && op->type != WEIR_OP_OFFSETS) {
        engine->topics_unit = weir_engine_unit_now(engine);
    }
    /* [E4] What it tells of must be durable before it is told, an answer "no" included. A question
     * waits for the last change of topics, not for records that a full disk may hold back. */
    bool told = engine->topics_unit <= weir_engine_mark(engine, WEIR_LEVEL_DISK);
    weir_level level = told ? WEIR_LEVEL_MEMORY : WEIR_LEVEL_DISK;
    bool by_time = op->type == WEIR_OP_OFFSETS && op->topic.offsets_kind == WEIR_OFFSETS_TIME;
    if (by_time && done.err == WEIR_OK &&
        weir_find_offsets(engine, port,
                          weir_topics_find(engine, (weir_bytes){op->data, op->topic.name_bytes}),
                          op->topic.time_ms, &done, engine->topics_unit, level)) {
        return; /* the job answers */
    }
    weir_port_answer(port, &done, engine->topics_unit, level);
}
