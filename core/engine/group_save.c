/* core/engine/group_save.c - groups and their parts in the journal and in checkpoints.
 *
 *   20 create   group id u32 | flags u8 (1: of a queue topic) | 0 x 3 | fields 1 to 9
 *   21 change   the same, as the group is from now on
 *   22 delete   group id u32
 *   23 part     group_parts.c
 *
 *   kind            identity                     fields
 *   9 group         id u32                       1 name  2 model u8  3 mode u8  4 start u8
 *                                                5 removed u8  6 dead letter  7 filter
 *                                                8 topics, each: bytes u16 | name
 *                                                9 settings, each: tag u16 | value i64
 *                                                10 of a queue topic u8
 *                                                20 sums: fates u64 x 8, leased u64, failed u64,
 *                                                   late refused u64, rebalances u64
 *                                                30 generation (stream.c)
 *   10 group part   group id u32 | topic id u32  1 places: start i64 | committed i64
 *                   | partition u32              2 fates u64 x 8  3 metadata  4 lost u8
 *                                                5 leased u64 | failed u64  6 unmatched u64
 *                                                7 handed, durably: i64
 *
 * Big-endian; tagged fields as snapshot.c has them. Replay passes over what an object holds already
 * (held_unit), and over groups that the checkpoint does not know any more. */
#include "core/engine/group.h"

#include "core/base/trie.h"
#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum { FLAG_QUEUE_TOPIC = 1 };

/* What is written, and what is read before the group exists. */
typedef struct group_draft {
    weir_bytes name;
    weir_group_options options;
    weir_bytes topics[WEIR_GROUP_TOPICS_MAX];
    bool of_queue_topic;
    const weir_group *group; /* put: for what stands in entries NULL */
    uint64_t sums[WEIR_FATE_COUNT + 4];
    weir_bytes generation;
} group_draft;

/* ---- Fields: what a group is told ------------------------------------------------------------- */

static void put_name(weir_engine *engine, const void *object, weir_writer *to)
{
    const group_draft *draft = object;
    (void)engine;
    weir_writer_bytes(to, draft->name.ptr, draft->name.len);
}

static weir_err take_name(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->name = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static void put_model(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u8(to, (uint8_t)((const group_draft *)object)->options.model);
}

static weir_err take_model(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.model = (weir_model)weir_reader_u8(from);
    return WEIR_OK;
}

static void put_mode(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u8(to, (uint8_t)((const group_draft *)object)->options.mode);
}

static weir_err take_mode(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.mode = (weir_mode)weir_reader_u8(from);
    return WEIR_OK;
}

static void put_start(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u8(to, (uint8_t)((const group_draft *)object)->options.start);
}

static weir_err take_start(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.start = (weir_group_place)weir_reader_u8(from);
    return WEIR_OK;
}

static void put_removed(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    weir_writer_u8(to, (uint8_t)((const group_draft *)object)->options.removed);
}

static weir_err take_removed(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.removed = (weir_group_place)weir_reader_u8(from);
    return WEIR_OK;
}

static void put_dead_letter(weir_engine *engine, const void *object, weir_writer *to)
{
    weir_bytes name = ((const group_draft *)object)->options.dead_letter;
    (void)engine;
    weir_writer_bytes(to, name.ptr, name.len);
}

static weir_err take_dead_letter(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.dead_letter = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static void put_filter(weir_engine *engine, const void *object, weir_writer *to)
{
    weir_bytes filter = ((const group_draft *)object)->options.filter;
    (void)engine;
    weir_writer_bytes(to, filter.ptr, filter.len);
}

static weir_err take_filter(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->options.filter = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static void put_topics(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group_options *options = &((const group_draft *)object)->options;
    (void)engine;
    for (uint32_t i = 0; i < options->topic_count; i++) {
        weir_writer_u16(to, (uint16_t)options->topics[i].len);
        weir_writer_bytes(to, options->topics[i].ptr, options->topics[i].len);
    }
}

static weir_err take_topics(weir_engine *engine, void *object, weir_reader *from)
{
    group_draft *draft = object;
    uint32_t count = 0;
    (void)engine;
    while (!from->failed && from->rest.len > 0) {
        if (count == WEIR_GROUP_TOPICS_MAX) {
            return WEIR_DAMAGED;
        }
        draft->topics[count++] = weir_reader_bytes(from, weir_reader_u16(from));
    }
    draft->options.topics = draft->topics;
    draft->options.topic_count = count;
    return WEIR_OK;
}

static void put_settings(weir_engine *engine, const void *object, weir_writer *to)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    (void)engine;
    for (size_t i = 0; i < count; i++) {
        int64_t value =
            weir_group_setting_get(&((const group_draft *)object)->options, &settings[i]);
        if (value != 0) {
            weir_writer_u16(to, settings[i].tag);
            weir_writer_u64(to, (uint64_t)value);
        }
    }
}

static weir_err take_settings(weir_engine *engine, void *object, weir_reader *from)
{
    size_t count = 0;
    const weir_group_setting *settings = weir_group_settings(&count);
    (void)engine;
    while (!from->failed && from->rest.len > 0) {
        uint16_t tag = weir_reader_u16(from);
        int64_t value = (int64_t)weir_reader_u64(from);
        size_t i = 0;
        while (i < count && settings[i].tag != tag) {
            i++;
        }
        if (i == count) {
            return WEIR_VERSION;
        }
        if (!weir_group_setting_fits(&settings[i], value)) {
            return WEIR_DAMAGED;
        }
        weir_group_setting_put(&((group_draft *)object)->options, &settings[i], value);
    }
    return WEIR_OK;
}

static void put_queue_topic(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    if (((const group_draft *)object)->of_queue_topic) {
        weir_writer_u8(to, 1);
    }
}

static weir_err take_queue_topic(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->of_queue_topic = weir_reader_u8(from) != 0;
    return WEIR_OK;
}

/* ---- Fields: what became of it ---------------------------------------------------------------- */

static void put_sums(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group *group = ((const group_draft *)object)->group;
    (void)engine;
    if (group == NULL) {
        return;
    }
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        weir_writer_u64(to, group->fates_gone[fate]);
    }
    weir_writer_u64(to, group->leased_gone);
    weir_writer_u64(to, group->failed_gone);
    weir_writer_u64(to, group->late_refused);
    weir_writer_u64(to, group->rebalances);
}

static weir_err take_sums(weir_engine *engine, void *object, weir_reader *from)
{
    uint64_t *sums = ((group_draft *)object)->sums;
    (void)engine;
    for (int i = WEIR_FATE_PENDING + 1; i < WEIR_FATE_COUNT + 4; i++) {
        sums[i] = weir_reader_u64(from);
    }
    return WEIR_OK;
}

static void put_generation(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group *group = ((const group_draft *)object)->group;
    if (group != NULL && group->options.model == WEIR_MODEL_STREAM) {
        weir_stream_put(engine, group, to);
    }
}

static weir_err take_generation(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((group_draft *)object)->generation = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static const weir_snapshot_field GROUP_FIELDS[] = {
    {1, true, put_name, take_name},          {2, true, put_model, take_model},
    {3, true, put_mode, take_mode},          {4, true, put_start, take_start},
    {5, true, put_removed, take_removed},    {6, false, put_dead_letter, take_dead_letter},
    {7, false, put_filter, take_filter},     {8, false, put_topics, take_topics},
    {9, false, put_settings, take_settings}, {10, false, put_queue_topic, take_queue_topic},
    {20, false, put_sums, take_sums},        {30, false, put_generation, take_generation},
};

/* Bytes of a peer's: nothing of it is taken for granted. */
static weir_err draft_check(const group_draft *draft)
{
    const weir_group_options *options = &draft->options;
    bool sound = draft->name.len > 0 && draft->name.len <= WEIR_GROUP_BYTES_MAX &&
                 (options->model == WEIR_MODEL_STREAM || options->model == WEIR_MODEL_QUEUE) &&
                 options->mode > WEIR_MODE_DEFAULT && options->mode <= WEIR_MODE_CLIENT_COMMIT &&
                 options->start > WEIR_PLACE_DEFAULT && options->start <= WEIR_PLACE_END &&
                 options->removed > WEIR_PLACE_DEFAULT && options->removed <= WEIR_PLACE_ERROR &&
                 options->dead_letter.len <= WEIR_TOPIC_BYTES_MAX &&
                 (options->topic_count > 0) != (options->filter.ptr != NULL) &&
                 (options->filter.ptr == NULL || weir_filter_check(options->filter) == WEIR_OK);
    return sound ? WEIR_OK : WEIR_DAMAGED;
}

/* ---- Group: a snapshot's object --------------------------------------------------------------- */

void weir_snapshot_group_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                             weir_writer *to)
{
    const weir_group *group = WEIR_OWNER_OF(saved, weir_group, saved);
    group_draft draft = {.name = {group->name, group->name_bytes},
                         .options = group->options,
                         .of_queue_topic = group->of_queue_topic,
                         .group = group};
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_GROUP, unit);
    weir_writer_u32(to, group->id);
    weir_snapshot_put_fields(engine, &draft, WEIR_FIELDS(GROUP_FIELDS), to);
    weir_snapshot_end(to, begin);
}

static void sums_set(weir_group *group, const uint64_t *sums)
{
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        group->fates_gone[fate] = sums[fate];
    }
    group->leased_gone = sums[WEIR_FATE_COUNT];
    group->failed_gone = sums[WEIR_FATE_COUNT + 1];
    group->late_refused = sums[WEIR_FATE_COUNT + 2];
    group->rebalances = sums[WEIR_FATE_COUNT + 3];
}

static weir_err retell(weir_engine *engine, weir_group *group, const group_draft *draft)
{
    weir_bytes name = {group->name, group->name_bytes};
    bool same = draft->options.model == group->options.model && weir_bytes_equal(name, draft->name);
    return same ? weir_group_retell(engine, group, &draft->options) : WEIR_DAMAGED;
}

weir_err weir_snapshot_group_take(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    group_draft draft = {0};
    uint32_t id = weir_reader_u32(body);
    weir_err err = weir_snapshot_take_fields(engine, &draft, WEIR_FIELDS(GROUP_FIELDS), body);
    err = err == WEIR_OK ? draft_check(&draft) : err;
    if (err != WEIR_OK || id == 0 || id == UINT32_MAX) {
        return err != WEIR_OK ? err : WEIR_DAMAGED;
    }
    weir_group *group = weir_group_find_id(engine, id);
    if (group == NULL && weir_group_find(engine, draft.name) != NULL) {
        return WEIR_DAMAGED;
    }
    err = group == NULL ? weir_group_make(engine, id, draft.name, &draft.options,
                                          draft.of_queue_topic, &group)
                        : retell(engine, group, &draft);
    if (err != WEIR_OK) {
        return err;
    }
    group->held_unit = unit;
    sums_set(group, draft.sums);
    weir_saved_loaded(engine, WEIR_SNAPSHOT_GROUP, &group->saved);
    if (draft.generation.len == 0) {
        return WEIR_OK;
    }
    weir_reader generation = {.rest = draft.generation};
    err = weir_stream_take_saved(engine, group, &generation);
    return err == WEIR_OK && (generation.failed || generation.rest.len > 0) ? WEIR_DAMAGED : err;
}

weir_err weir_snapshot_group_forget(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    weir_group *group = weir_group_find_id(engine, weir_reader_u32(identity));
    (void)unit;
    if (group != NULL) {
        weir_group_remove(engine, group);
    }
    return WEIR_OK;
}

/* ---- Part: a snapshot's object ---------------------------------------------------------------- */

static void put_places(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group_part *part = object;
    (void)engine;
    weir_writer_u64(to, (uint64_t)part->start);
    weir_writer_u64(to, (uint64_t)part->committed);
}

static weir_err take_places(weir_engine *engine, void *object, weir_reader *from)
{
    weir_group_part *part = object;
    (void)engine;
    part->start = (int64_t)weir_reader_u64(from);
    part->committed = (int64_t)weir_reader_u64(from);
    part->handed = part->committed;
    part->handed_durable = part->committed;
    return part->start >= 0 && part->committed >= part->start ? WEIR_OK : WEIR_DAMAGED;
}

static void put_fates(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group_part *part = object;
    (void)engine;
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        weir_writer_u64(to, part->fates[fate]);
    }
}

static weir_err take_fates(weir_engine *engine, void *object, weir_reader *from)
{
    weir_group_part *part = object;
    (void)engine;
    for (int fate = WEIR_FATE_PENDING + 1; fate < WEIR_FATE_COUNT; fate++) {
        part->fates[fate] = weir_reader_u64(from);
    }
    return WEIR_OK;
}

static void put_metadata(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group_part *part = object;
    (void)engine;
    weir_writer_bytes(to, part->metadata, part->metadata_bytes);
}

static weir_err take_metadata(weir_engine *engine, void *object, weir_reader *from)
{
    weir_group_part *part = object;
    weir_bytes bytes = weir_reader_bytes(from, from->rest.len);
    (void)engine;
    if (bytes.len > WEIR_METADATA_BYTES_MAX) {
        return WEIR_DAMAGED;
    }
    uint8_t *copy = malloc(bytes.len + 1);
    if (copy == NULL) {
        return WEIR_NO_MEMORY;
    }
    memcpy(copy, bytes.ptr, bytes.len);
    free(part->metadata);
    part->metadata = copy;
    part->metadata_bytes = (uint32_t)bytes.len;
    return WEIR_OK;
}

static void put_lost(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    if (((const weir_group_part *)object)->lost) {
        weir_writer_u8(to, 1);
    }
}

static weir_err take_lost(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_group_part *)object)->lost = weir_reader_u8(from) != 0;
    return WEIR_OK;
}

static void put_times(weir_engine *engine, const void *object, weir_writer *to)
{
    const weir_group_part *part = object;
    (void)engine;
    if (part->leased_times > 0) {
        weir_writer_u64(to, part->leased_times);
        weir_writer_u64(to, part->failed_times);
    }
}

static weir_err take_times(weir_engine *engine, void *object, weir_reader *from)
{
    weir_group_part *part = object;
    (void)engine;
    part->leased_times = weir_reader_u64(from);
    part->failed_times = weir_reader_u64(from);
    return WEIR_OK;
}

static void put_unmatched(weir_engine *engine, const void *object, weir_writer *to)
{
    (void)engine;
    if (((const weir_group_part *)object)->unmatched > 0) {
        weir_writer_u64(to, ((const weir_group_part *)object)->unmatched);
    }
}

static weir_err take_unmatched(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((weir_group_part *)object)->unmatched = weir_reader_u64(from);
    return WEIR_OK;
}

static const weir_snapshot_field PART_FIELDS[] = {
    {1, true, put_places, take_places},      {2, true, put_fates, take_fates},
    {3, false, put_metadata, take_metadata}, {4, false, put_lost, take_lost},
    {5, false, put_times, take_times},       {6, false, put_unmatched, take_unmatched},
};

void weir_snapshot_group_part_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to)
{
    const weir_group_part *part = WEIR_OWNER_OF(saved, weir_group_part, saved);
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_GROUP_PART, unit);
    weir_writer_u32(to, part->group->id);
    weir_writer_u32(to, part->topic_id);
    weir_writer_u32(to, part->index);
    weir_snapshot_put_fields(engine, part, WEIR_FIELDS(PART_FIELDS), to);
    weir_snapshot_end(to, begin);
}

/* As it was before any field was read: what is left out has its default. */
static void part_empty(weir_group_part *part)
{
    free(part->metadata);
    part->metadata = NULL;
    part->metadata_bytes = 0;
    part->lost = false;
    part->leased_times = 0;
    part->failed_times = 0;
    part->unmatched = 0;
}

weir_err weir_snapshot_group_part_take(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    weir_group_part read = {0};
    uint32_t group_id = weir_reader_u32(body);
    uint32_t topic_id = weir_reader_u32(body);
    uint32_t index = weir_reader_u32(body);
    weir_group *group = weir_group_find_id(engine, group_id);
    weir_err err = weir_snapshot_take_fields(engine, &read, WEIR_FIELDS(PART_FIELDS), body);
    if (err == WEIR_OK && group == NULL) {
        err = WEIR_DAMAGED;
    }
    weir_group_part *part = err == WEIR_OK ? weir_group_part_find(group, topic_id, index) : NULL;
    if (err == WEIR_OK && part == NULL) {
        err = weir_group_part_make(engine, group, topic_id, index, read.start, &part);
    }
    if (err != WEIR_OK) {
        free(read.metadata);
        return err;
    }
    part_empty(part);
    part->start = read.start;
    part->committed = read.committed;
    part->handed = read.handed;
    part->handed_durable = read.handed_durable;
    part->metadata = read.metadata;
    part->metadata_bytes = read.metadata_bytes;
    part->lost = read.lost;
    part->leased_times = read.leased_times;
    part->failed_times = read.failed_times;
    part->unmatched = read.unmatched;
    memcpy(part->fates, read.fates, sizeof(part->fates));
    part->held_unit = unit;
    weir_saved_loaded(engine, WEIR_SNAPSHOT_GROUP_PART, &part->saved);
    return WEIR_OK;
}

weir_err weir_snapshot_group_part_forget(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    weir_group *group = weir_group_find_id(engine, weir_reader_u32(identity));
    uint32_t topic_id = weir_reader_u32(identity);
    uint32_t index = weir_reader_u32(identity);
    weir_group_part *part = group != NULL ? weir_group_part_find(group, topic_id, index) : NULL;
    (void)unit;
    if (part != NULL) {
        weir_group_part_remove(engine, part);
    }
    return WEIR_OK;
}

void weir_snapshot_put_groups(weir_engine *engine, uint64_t unit, weir_writer *to)
{
    for (weir_link *at = engine->groups.all.next; at != &engine->groups.all; at = at->next) {
        const weir_group *group = WEIR_OWNER_OF(at, weir_group, engine_link);
        weir_snapshot_group_put(engine, &group->saved, unit, to);
        for (uint32_t i = 0; i < group->part_count; i++) {
            weir_snapshot_group_part_put(engine, &group->parts[i]->saved, unit, to);
            if (group->parts[i]->settlement != NULL) {
                weir_snapshot_put_settlement(engine, group->parts[i], unit, to);
            }
        }
    }
}

/* ---- The journal ------------------------------------------------------------------------------ */

weir_err weir_group_encode(weir_engine *engine, weir_bytes name, const weir_group_options *options,
                           weir_buffer *out)
{
    group_draft draft = {.name = name, .options = *options};
    weir_writer to = {.out = out};
    weir_snapshot_put_fields(engine, &draft, WEIR_FIELDS(GROUP_FIELDS), &to);
    return to.err;
}

void weir_group_entry(weir_engine *engine, uint16_t type, uint32_t id, bool of_queue_topic,
                      weir_bytes fields)
{
    uint8_t *at = weir_engine_entry(engine, type, WEIR_GROUP_ENTRY_HEAD_BYTES + fields.len);
    weir_put_u32(at, id);
    memset(at + 4, 0, 4);
    at[4] = of_queue_topic ? FLAG_QUEUE_TOPIC : 0;
    memcpy(at + WEIR_GROUP_ENTRY_HEAD_BYTES, fields.ptr, fields.len);
}

static weir_err replay_told(weir_engine *engine, uint16_t type, weir_bytes body, uint64_t unit)
{
    if (body.len < WEIR_GROUP_ENTRY_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    uint32_t id = weir_get_u32(body.ptr);
    group_draft draft = {0};
    weir_reader from = {
        .rest = {body.ptr + WEIR_GROUP_ENTRY_HEAD_BYTES, body.len - WEIR_GROUP_ENTRY_HEAD_BYTES}};
    weir_err err = weir_snapshot_take_fields(engine, &draft, WEIR_FIELDS(GROUP_FIELDS), &from);
    err = err == WEIR_OK ? draft_check(&draft) : err;
    weir_group *group = weir_group_find_id(engine, id);
    if (err != WEIR_OK || (group != NULL && group->held_unit >= unit)) {
        return err;
    }
    if (type == WEIR_ENTRY_GROUP_CREATE && group == NULL) {
        if (weir_group_find(engine, draft.name) != NULL) {
            return WEIR_DAMAGED;
        }
        bool queue_topic = (body.ptr[4] & FLAG_QUEUE_TOPIC) != 0;
        err = weir_group_make(engine, id, draft.name, &draft.options, queue_topic, &group);
    } else if (group == NULL) {
        return id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED; /* deleted later on */
    } else {
        err = retell(engine, group, &draft);
    }
    if (err == WEIR_OK) {
        weir_group_changed(engine, group);
    }
    return err;
}

/* Version 1 did not tell what the group had counted. */
static weir_err replay_delete(weir_engine *engine, uint8_t version, weir_bytes body, uint64_t unit)
{
    if (body.len != (version == 1 ? 4 : 4 + WEIR_GROUP_SUMS_BYTES)) {
        return WEIR_DAMAGED;
    }
    uint32_t id = weir_get_u32(body.ptr);
    weir_group *group = weir_group_find_id(engine, id);
    if (version > 1 && unit > engine->groups.deleted_unit) {
        weir_group_sums sums;
        weir_group_sums_decode(body.ptr + 4, &sums);
        weir_group_sums_add(&engine->groups.deleted, &sums);
    }
    if (group != NULL) {
        weir_group_remove(engine, group);
    }
    return group != NULL || id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED;
}

weir_err weir_group_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                           const weir_journal_unit *unit, uint64_t snapshot_unit)
{
    if (version != 1 && (type != WEIR_ENTRY_GROUP_DELETE || version != 2)) {
        return WEIR_VERSION;
    }
    if (unit->number <= snapshot_unit) {
        return WEIR_OK;
    }
    switch (type) {
    case WEIR_ENTRY_GROUP_CREATE:
    case WEIR_ENTRY_GROUP_CHANGE:
        return replay_told(engine, type, body, unit->number);
    case WEIR_ENTRY_GROUP_DELETE:
        return replay_delete(engine, version, body, unit->number);
    default:
        return weir_group_parts_replay(engine, body, unit->number);
    }
}
