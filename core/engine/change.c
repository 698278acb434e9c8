/* core/engine/change.c - changing a topic that lives: its level, its settings, more partitions.
 *
 *   alter --decide--> unit: [3 level] [7 settings] [8 partitions]   all of it or nothing
 *
 *   epoch    partition   0        1        2 (added)
 *                     ...|... ...|...     |...          | the bound: next offset when it was added
 *
 * Adding partitions sends keys to other partitions from then on, old ones among them. So it marks
 * an epoch: the next offset of each partition there was. A key's records below the bounds lie in
 * one partition, those at or above them in one, and all below are older. Who reads the whole topic
 * (a filter from the log, cursor.c) is handed everything below the bounds before anything at or
 * above them [V1]; a fetch names its partition and gets what it asks for.
 *
 * [V1] A cursor stands at the bound of an epoch until every cursor of its filter and topic has
 *      reached its own.
 * [V2] apply grows the topic without moving a partition: cursors, runs and jobs point to them. */
#include "core/engine/group.h"

#include "core/base/varint.h"

#include <stdlib.h>

enum { EPOCHS_MAX = 64, PARTITIONS_MOST = 16384, PARTITIONS_HEAD_BYTES = 12 };

/* ---- Level
 * ---------------------------------------------------------------------------------------- */

static weir_err level_check(weir_level level)
{
    if (level == WEIR_LEVEL_REPLICATED) {
        return WEIR_NOT_OFFERED;
    }
    return level < WEIR_LEVEL_COUNT ? WEIR_OK : WEIR_INVALID;
}

static void level_change(weir_engine *engine, weir_topic *topic, weir_level level)
{
    weir_entry_topic_level(engine, topic->id, level);
    bool pending = topic->level_unit > weir_journal_durable(engine->journal);
    topic->level_before = pending && topic->level_before > topic->options.level
                              ? topic->level_before
                              : topic->options.level;
    topic->level_unit = weir_engine_unit_now(engine);
    topic->options.level = level;
    weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
}

/* ---- Partitions
 * ----------------------------------------------------------------------------------- */

void weir_topic_epochs_free(weir_topic *topic)
{
    for (uint32_t i = 0; i < topic->epoch_count; i++) {
        free(topic->epochs[i]);
    }
    free(topic->epochs);
    topic->epochs = NULL;
    topic->epoch_count = 0;
}

weir_err weir_topic_epoch_add(weir_topic *topic, uint32_t partitions, weir_epoch **out)
{
    weir_epoch **grown = realloc(topic->epochs, (topic->epoch_count + 1) * sizeof(weir_epoch *));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    topic->epochs = grown;
    weir_epoch *epoch = calloc(1, sizeof(*epoch) + partitions * sizeof(epoch->bounds[0]));
    if (epoch == NULL) {
        return WEIR_NO_MEMORY;
    }
    epoch->partitions = partitions;
    topic->epochs[topic->epoch_count++] = epoch;
    *out = epoch;
    return WEIR_OK;
}

/* Epochs of which nothing is left below the bounds hold nobody back any more. */
static void epochs_forget(weir_topic *topic)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < topic->epoch_count; i++) {
        weir_epoch *epoch = topic->epochs[i];
        bool passed = true;
        for (uint32_t p = 0; p < epoch->partitions && passed; p++) {
            passed = topic->partitions[p]->start_offset >= epoch->bounds[p];
        }
        if (passed) {
            free(epoch);
        } else {
            topic->epochs[kept++] = epoch;
        }
    }
    topic->epoch_count = kept;
}

static weir_err partitions_check(weir_engine *engine, weir_topic *topic, uint32_t count)
{
    if (count < topic->partition_count) {
        return WEIR_INVALID;
    }
    epochs_forget(topic);
    if (count > engine->limits.partitions_max || topic->epoch_count >= EPOCHS_MAX) {
        engine->stats.refused_partitions++;
        return WEIR_LIMIT;
    }
    return WEIR_OK;
}

/* [V2] NO_MEMORY: nothing has changed. The epoch's bounds are 0. */
static weir_err apply_partitions(weir_engine *engine, weir_topic *topic, uint32_t count,
                                 weir_epoch **out)
{
    uint32_t before = topic->partition_count;
    weir_epoch *epoch = NULL;
    weir_err err = weir_topic_epoch_add(topic, before, &epoch);
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_topic_grow(topic, count);
    if (err != WEIR_OK) {
        free(epoch);
        topic->epoch_count--;
        return err;
    }
    topic->options.partitions = count;
    weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    engine->stats.partitions += count - before;
    engine->topics_generation++; /* keys go elsewhere now */
    weir_cursors_grown(engine, topic, before);
    *out = epoch;
    return WEIR_OK;
}

/* ---- The operation
 * --------------------------------------------------------------------------------- */

static void settings_entry(weir_engine *engine, uint32_t id, const weir_topic_options *change,
                           size_t bytes)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_TOPIC_SETTINGS, 4 + bytes);
    weir_put_u32(at, id);
    weir_topic_settings_encode(change, at + 4);
}

/* Fills in the bounds: where each partition ends now. */
static void partitions_entry(weir_engine *engine, const weir_topic *topic, weir_epoch *epoch)
{
    size_t bytes = PARTITIONS_HEAD_BYTES + 8 * (size_t)epoch->partitions;
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_TOPIC_PARTITIONS, bytes);
    weir_put_u32(at, topic->id);
    weir_put_u32(at + 4, topic->partition_count);
    weir_put_u32(at + 8, epoch->partitions);
    at += PARTITIONS_HEAD_BYTES;
    for (uint32_t i = 0; i < epoch->partitions; i++, at += 8) {
        epoch->bounds[i] = topic->partitions[i]->next_offset;
        weir_put_u64(at, (uint64_t)epoch->bounds[i]);
    }
}

weir_err weir_topics_alter(weir_engine *engine, const weir_topic_options *asked, weir_topic *topic)
{
    weir_topic_options wanted = *asked;
    const weir_topic_options *change = &wanted;
    wanted.kind = topic->options.kind; /* is never changed; and a queue is not compacted */
    bool grows = change->partitions != 0 && change->partitions != topic->partition_count;
    size_t settings = 0;
    size_t bounds = grows ? 8 * (size_t)topic->partition_count : 0;
    weir_epoch *epoch = NULL;
    weir_err err = level_check(change->level);
    err = err == WEIR_OK ? weir_topic_settings_check(change) : err;
    wanted.kind = WEIR_KIND_DEFAULT;
    settings = weir_topic_settings_bytes(change);
    if (err == WEIR_OK && !grows && settings == 0 && change->level == WEIR_LEVEL_DEFAULT) {
        return WEIR_OK; /* nothing to change: no unit */
    }
    err = err == WEIR_OK && grows ? partitions_check(engine, topic, change->partitions) : err;
    if (err == WEIR_OK && !grows && settings == 0 && change->level == WEIR_LEVEL_DEFAULT) {
        return WEIR_OK; /* no unit for nothing: its answer would wait for the next one */
    }
    weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
    uint32_t before = topic->partition_count;
    uint32_t more = grows ? change->partitions - before : 0;
    err = err == WEIR_OK
              ? weir_groups_topic_room(engine, name, weir_topic_is_queue(&topic->options), NULL,
                                       more, 96 + settings + bounds)
              : err;
    err =
        err == WEIR_OK && grows ? apply_partitions(engine, topic, change->partitions, &epoch) : err;
    if (err != WEIR_OK) {
        return err;
    }
    if (grows) {
        partitions_entry(engine, topic, epoch);
        weir_groups_topic_grown(engine, topic, before);
    }
    if (change->level != WEIR_LEVEL_DEFAULT) {
        level_change(engine, topic, change->level);
    }
    if (settings > 0) {
        settings_entry(engine, topic->id, change, settings);
        weir_topic_settings_merge(&topic->options, change);
        weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    }
    return WEIR_OK;
}

/* ---- Replaying
 * ------------------------------------------------------------------------------------- */

weir_err weir_change_replay_settings(weir_engine *engine, weir_bytes body)
{
    weir_topic *topic = body.len >= 4 ? weir_topics_find_id(engine, weir_get_u32(body.ptr)) : NULL;
    weir_topic_options change = {0};
    if (topic == NULL) {
        return WEIR_DAMAGED;
    }
    weir_err err = weir_topic_settings_decode((weir_bytes){body.ptr + 4, body.len - 4}, &change);
    if (err == WEIR_OK) {
        weir_topic_settings_merge(&topic->options, &change);
        weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    }
    return err;
}

weir_err weir_change_replay_partitions(weir_engine *engine, weir_bytes body)
{
    bool whole = body.len >= PARTITIONS_HEAD_BYTES;
    weir_topic *topic = whole ? weir_topics_find_id(engine, weir_get_u32(body.ptr)) : NULL;
    uint32_t count = topic != NULL ? weir_get_u32(body.ptr + 4) : 0;
    uint32_t before = topic != NULL ? weir_get_u32(body.ptr + 8) : 0;
    weir_epoch *epoch = NULL;
    if (topic == NULL || before != topic->partition_count || count <= before ||
        count > PARTITIONS_MOST || body.len != PARTITIONS_HEAD_BYTES + 8 * (size_t)before) {
        return WEIR_DAMAGED;
    }
    epochs_forget(topic);
    weir_err err = apply_partitions(engine, topic, count, &epoch);
    for (uint32_t i = 0; i < before && err == WEIR_OK; i++) {
        epoch->bounds[i] = (int64_t)weir_get_u64(body.ptr + PARTITIONS_HEAD_BYTES + 8 * (size_t)i);
    }
    return err;
}
