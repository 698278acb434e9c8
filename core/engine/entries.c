/* core/engine/entries.c - what the journal holds: one writer and one reader per entry type.
 *
 *   1 start           recovery epoch u64
 *   2 topic create    id u32 | partitions u32 | partition levels u32 | level u8 | nested u8 | 0 u16 |
 *                     name bytes u32 | name
 *   3 topic level     id u32 | level u8
 *   4 topic delete    id u32
 *   5 batch           topic id u32 | partition u32 | flags u8 (1: sets retained values) | 0 x 3 |
 *                     RecordBatch v2. Version 2, of one that the engine built at the unit's time:
 *                     topic id varint | partition varint | flags u8 | short head | records (short.c)
 *   6 live retained   RecordBatch v2 of one record whose key is the full name
 *   7 settings        id u32 | settings as options.c has them: those that change
 *   8 partitions      id u32 | new count u32 | old count u32 | bounds i64 x old count (change.c)
 *   9 trim            topic id u32 | partition u32 | start offset i64 | cause u8 | 0 x 3 (life.c)
 *  10 reference       topic id u32 | partition u32 | flags u8 (1: sets retained values, 2: of a
 *                     producer) | 0 x 3 | base offset i64 | offsets u32 | bytes u32 | CRC32C u32
 *                     in place of a batch that stands in a segment (straight.c)
 *  11 producer        producer id i64 (producers.c)
 *  12 expire          kind u8 | 0 x 3 | through i64, engine time (producers.c)
 *  13 publishing      topic id u32 | partition u32 | publishing id u64 | name (producers.c)
 *  20 to 23           groups: group_save.c   24, 25: stream groups: stream.c
 *  26, 27             queue groups: queue_entry.c   28: fates.c
 *
 * Big-endian; version 1 of each, and version 2 of topic create, which has settings behind the name, of
 * trim, of group delete, which has what the group counted, and of batch.
 * An unknown type or version stops the start [E6]. Replay skips what
 * the snapshot already holds, by object: an object is as it was after its own unit, which is the
 * snapshot's or a later one (saved.c). Of batches that a partition counts already, those that are not
 * in segments fill its tail. Retained values are set again from the snapshot's unit on: the last one
 * holds, however often that is done. */
#include "core/engine/group.h"

#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/base/varint.h"

#include <stdio.h>
#include <string.h>

/* ---- Writing
 * ------------------------------------------------------------------------------------------ */

void weir_entry_start(weir_engine *engine)
{
    weir_put_u64(weir_engine_entry(engine, WEIR_ENTRY_START, 8), engine->recovery_epoch);
}

void weir_entry_topic_create(weir_engine *engine, uint32_t id, weir_bytes name,
                             const weir_topic_options *options)
{
    size_t settings = weir_topic_settings_bytes(options);
    uint8_t *at = weir_engine_entry_of(engine, WEIR_ENTRY_TOPIC_CREATE, settings > 0 ? 2 : 1,
                                       WEIR_ENTRY_TOPIC_HEAD_BYTES + name.len + settings);
    weir_put_u32(at, id);
    weir_put_u32(at + 4, options->partitions);
    weir_put_u32(at + 8, options->partition_levels);
    at[12] = (uint8_t)options->level;
    at[13] = options->nested ? 1 : 0;
    at[14] = 0;
    at[15] = 0;
    weir_put_u32(at + 16, (uint32_t)name.len);
    memcpy(at + WEIR_ENTRY_TOPIC_HEAD_BYTES, name.ptr, name.len);
    weir_topic_settings_encode(options, at + WEIR_ENTRY_TOPIC_HEAD_BYTES + name.len);
}

void weir_entry_topic_level(weir_engine *engine, uint32_t id, weir_level level)
{
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_TOPIC_LEVEL, 5);
    weir_put_u32(at, id);
    at[4] = (uint8_t)level;
}

void weir_entry_topic_delete(weir_engine *engine, uint32_t id)
{
    weir_put_u32(weir_engine_entry(engine, WEIR_ENTRY_TOPIC_DELETE, 4), id);
}

void weir_entry_batch(weir_engine *engine, const weir_partition *partition, bool retained,
                      weir_bytes batch)
{
    uint8_t *at =
        weir_engine_entry(engine, WEIR_ENTRY_BATCH, WEIR_ENTRY_BATCH_HEAD_BYTES + batch.len);
    weir_put_u32(at, partition->topic->id);
    weir_put_u32(at + 4, partition->index);
    memset(at + 8, 0, 4);
    at[8] = retained ? WEIR_ENTRY_SETS_RETAINED : 0;
    memcpy(at + WEIR_ENTRY_BATCH_HEAD_BYTES, batch.ptr, batch.len);
}

void weir_entry_built(weir_engine *engine, const weir_partition *partition, bool retained,
                      const weir_chunk *chunk)
{
    uint8_t begin[2 * WEIR_VARINT_BYTES_MAX + 1 + WEIR_BATCH_SHORT_HEAD_BYTES_MAX];
    uint8_t *at = begin;
    WEIR_ASSERT(chunk->timestamp_ms == engine->unit_ms && chunk->holes == 0);
    at += weir_varint_encode(partition->topic->id, at);
    at += weir_varint_encode(partition->index, at);
    *at++ = retained ? WEIR_ENTRY_SETS_RETAINED : 0;
    at += weir_batch_head_shorten(weir_chunk_batch(chunk), chunk->base_offset,
                                  (int32_t)engine->recovery_epoch, (int32_t)chunk->count, at);
    size_t before = (size_t)(at - begin), records = chunk->batch_bytes - WEIR_BATCH_HEAD_BYTES;
    uint8_t *entry = weir_engine_entry_of(engine, WEIR_ENTRY_BATCH, 2, before + records);
    memcpy(entry, begin, before);
    memcpy(entry + before, chunk->batch + WEIR_BATCH_HEAD_BYTES, records);
}

/* Takes a number of 32 bits off the front of *in. */
static bool number_take(weir_bytes *in, uint32_t *number)
{
    int64_t value;
    size_t used;
    if (weir_varint_decode(*in, &value, &used) != WEIR_OK || value < 0 || value > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)value;
    *in = (weir_bytes){in->ptr + used, in->len - used};
    return true;
}

static weir_err short_batch_decode(weir_bytes body, int64_t unit_ms, weir_entry_batch_parts *parts)
{
    if (!number_take(&body, &parts->topic_id) || !number_take(&body, &parts->partition) ||
        body.len == 0) {
        return WEIR_DAMAGED;
    }
    parts->flags = body.ptr[0];
    weir_bytes rest = {body.ptr + 1, body.len - 1};
    weir_err err = weir_batch_head_lengthen(rest, unit_ms, &parts->head, &parts->records);
    return err == WEIR_OK ? WEIR_OK : WEIR_DAMAGED;
}

weir_err weir_entry_batch_decode(const weir_journal_entry *entry, int64_t unit_ms,
                                 weir_entry_batch_parts *parts)
{
    weir_bytes body = entry->body;
    if (entry->type != WEIR_ENTRY_BATCH) {
        return WEIR_EMPTY;
    }
    *parts = (weir_entry_batch_parts){0};
    if (entry->version == 2) {
        return short_batch_decode(body, unit_ms, parts);
    }
    if (entry->version != 1) {
        return WEIR_VERSION;
    }
    if (body.len < WEIR_ENTRY_BATCH_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    parts->topic_id = weir_get_u32(body.ptr);
    parts->partition = weir_get_u32(body.ptr + 4);
    parts->flags = body.ptr[8];
    parts->batch = (weir_bytes){body.ptr + WEIR_ENTRY_BATCH_HEAD_BYTES,
                                body.len - WEIR_ENTRY_BATCH_HEAD_BYTES};
    return WEIR_OK;
}

void weir_entry_live_retained(weir_engine *engine, weir_bytes batch)
{
    memcpy(weir_engine_entry(engine, WEIR_ENTRY_LIVE_RETAINED, batch.len), batch.ptr, batch.len);
}

void weir_entry_reference(weir_engine *engine, const weir_partition *partition, bool retained,
                          const weir_chunk *chunk)
{
    weir_batch_head head;
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_REFERENCE, WEIR_ENTRY_REFERENCE_BYTES);
    weir_err err = weir_batch_head_decode(weir_chunk_batch(chunk), &head);
    WEIR_ASSERT(err == WEIR_OK);
    weir_put_u32(at, partition->topic->id);
    weir_put_u32(at + 4, partition->index);
    memset(at + 8, 0, 4);
    at[8] = (uint8_t)((retained ? WEIR_ENTRY_SETS_RETAINED : 0) |
                      (head.producer_id >= 0 ? WEIR_ENTRY_HAS_PRODUCER : 0));
    weir_put_u64(at + 12, (uint64_t)chunk->base_offset);
    weir_put_u32(at + 20, (uint32_t)(weir_chunk_end(chunk) - chunk->base_offset));
    weir_put_u32(at + 24, chunk->batch_bytes);
    weir_put_u32(at + 28, weir_crc32c(0, chunk->batch, chunk->batch_bytes));
}

weir_err weir_entry_reference_decode(const weir_journal_entry *entry,
                                     weir_straight_reference *reference)
{
    const uint8_t *at = entry->body.ptr;
    if (entry->type != WEIR_ENTRY_REFERENCE) {
        return WEIR_EMPTY;
    }
    if (entry->version != 1) {
        return WEIR_VERSION;
    }
    if (entry->body.len != WEIR_ENTRY_REFERENCE_BYTES) {
        return WEIR_DAMAGED;
    }
    weir_straight_reference read = {
        .topic_id = weir_get_u32(at),
        .partition = weir_get_u32(at + 4),
        .flags = at[8],
        .base_offset = (int64_t)weir_get_u64(at + 12),
        .offsets = weir_get_u32(at + 20),
        .bytes = weir_get_u32(at + 24),
        .crc = weir_get_u32(at + 28),
    };
    if (read.base_offset < 0 || read.offsets == 0 || read.bytes < WEIR_BATCH_HEAD_BYTES ||
        read.bytes > INT32_MAX || read.base_offset > INT64_MAX - read.offsets) {
        return WEIR_DAMAGED;
    }
    *reference = read;
    return WEIR_OK;
}

uint8_t *weir_entry_batch_encode(uint8_t *out, const weir_straight_reference *reference)
{
    uint8_t *at = out + WEIR_JOURNAL_ENTRY_HEAD_BYTES;
    weir_journal_entry_encode(out, WEIR_ENTRY_BATCH, 1,
                              WEIR_ENTRY_BATCH_HEAD_BYTES + reference->bytes);
    weir_put_u32(at, reference->topic_id);
    weir_put_u32(at + 4, reference->partition);
    memset(at + 8, 0, 4);
    at[8] = (reference->flags & WEIR_ENTRY_SETS_RETAINED) != 0 ? 1 : 0;
    return at + WEIR_ENTRY_BATCH_HEAD_BYTES;
}

/* ---- Replaying
 * ------------------------------------------------------------------------------------------ */

/* What an entry is measured by. Of a snapshot that was made while the engine went on, an object may
 * be newer than the snapshot: held_unit. */
typedef struct replaying {
    const weir_journal_unit *unit;
    uint64_t snapshot_unit;
} replaying;

/* The snapshot has all of it, whatever it is about. */
static bool is_old(const replaying *at)
{
    return at->unit->number <= at->snapshot_unit;
}

/* Its topic was deleted in a unit that the snapshot knows; nothing else may be missing. */
static weir_err replay_missing(const weir_engine *engine, uint32_t id, const replaying *at)
{
    const weir_topic *grave = weir_topics_grave(engine, id);
    bool gone = grave != NULL && grave->deleted_unit >= at->unit->number;
    return is_old(at) || gone ? WEIR_OK : WEIR_DAMAGED;
}

static weir_err replay_create(weir_engine *engine, weir_bytes body, uint8_t version,
                              const replaying *at)
{
    if (body.len < WEIR_ENTRY_TOPIC_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    weir_bytes rest = {body.ptr + WEIR_ENTRY_TOPIC_HEAD_BYTES,
                       body.len - WEIR_ENTRY_TOPIC_HEAD_BYTES};
    weir_bytes name = {rest.ptr, weir_get_u32(body.ptr + 16)};
    if (name.len > rest.len || (version == 1 && name.len != rest.len)) {
        return WEIR_DAMAGED;
    }
    weir_topic_options options = {.partitions = weir_get_u32(body.ptr + 4),
                                  .partition_levels = weir_get_u32(body.ptr + 8),
                                  .level = (weir_level)body.ptr[12],
                                  .nested = body.ptr[13] != 0};
    uint32_t id = weir_get_u32(body.ptr);
    const weir_topic *known = weir_topics_find_id(engine, id);
    if (is_old(at) || (known != NULL && known->held_unit >= at->unit->number) ||
        (known == NULL && weir_topics_grave(engine, id) != NULL)) {
        return WEIR_OK;
    }
    weir_err err = weir_topic_settings_decode(
        (weir_bytes){rest.ptr + name.len, rest.len - name.len}, &options);
    if (err != WEIR_OK) {
        return err;
    }
    if (weir_topic_name_check(name) != WEIR_OK || options.partitions == 0 ||
        options.partitions > 16384 || weir_topics_find(engine, name) != NULL ||
        weir_topics_find_id(engine, id) != NULL) {
        return WEIR_DAMAGED;
    }
    weir_topic *topic = NULL;
    return weir_topics_apply_create(engine, id, name, &options, &topic);
}

static weir_err replay_level(weir_engine *engine, weir_bytes body, const replaying *at)
{
    weir_topic *topic = body.len == 5 ? weir_topics_find_id(engine, weir_get_u32(body.ptr)) : NULL;
    if (topic == NULL && body.len == 5) {
        return replay_missing(engine, weir_get_u32(body.ptr), at);
    }
    if (topic != NULL && topic->held_unit >= at->unit->number) {
        return WEIR_OK;
    }
    if (topic == NULL || body.ptr[4] == WEIR_LEVEL_DEFAULT || body.ptr[4] >= WEIR_LEVEL_COUNT) {
        return WEIR_DAMAGED;
    }
    topic->options.level = (weir_level)body.ptr[4];
    weir_saved_changed(engine, WEIR_SNAPSHOT_TOPIC, &topic->saved);
    return WEIR_OK;
}

static weir_err replay_delete(weir_engine *engine, weir_bytes body, const replaying *at)
{
    weir_topic *topic = body.len == 4 ? weir_topics_find_id(engine, weir_get_u32(body.ptr)) : NULL;
    if (topic == NULL) {
        return body.len == 4 ? replay_missing(engine, weir_get_u32(body.ptr), at) : WEIR_DAMAGED;
    }
    if (topic->held_unit >= at->unit->number) {
        return WEIR_DAMAGED; /* it was written as alive behind its deletion */
    }
    weir_topics_apply_delete(engine, topic, at->unit->number);
    return WEIR_OK;
}

/* Takes the chunk. */
static weir_err replay_chunk(weir_engine *engine, weir_partition *partition, weir_chunk *chunk,
                             bool retained, const replaying *at)
{
    chunk->unit = at->unit->number;
    weir_err err = weir_producers_replay_batch(engine, partition, chunk);
    if (err != WEIR_OK) {
        weir_chunk_drop(chunk);
        return err;
    }
    if (at->unit->number <= partition->held_unit) {
        if (retained && !is_old(at)) { /* its value may be older than its partition */
            weir_produce_apply_retained(engine, chunk);
        }
        return weir_partition_tail_add(engine, partition, chunk);
    }
    if (chunk->base_offset != partition->next_offset ||
        weir_tail_reserve(&partition->tail) != WEIR_OK) {
        weir_chunk_drop(chunk);
        return WEIR_DAMAGED;
    }
    weir_produce_apply(engine, partition, chunk, NULL, retained);
    return weir_flush_replayed(engine, partition);
}

/* Where a batch goes; *partition NULL: its topic is no more, of which *name is left when the
 * snapshot does not have yet what the batch retained. */
static weir_err replay_place(const weir_engine *engine, uint32_t topic_id, uint32_t index,
                             const replaying *at, weir_partition **partition, weir_topic_ref **name)
{
    const weir_topic *topic = weir_topics_find_id(engine, topic_id);
    *partition = NULL;
    *name = NULL;
    if (topic == NULL) {
        const weir_topic *grave = weir_topics_grave(engine, topic_id);
        *name = grave != NULL && !is_old(at) ? grave->ref : NULL;
        return replay_missing(engine, topic_id, at);
    }
    if (index >= topic->partition_count) {
        return WEIR_DAMAGED;
    }
    *partition = topic->partitions[index];
    *name = topic->ref;
    return WEIR_OK;
}

/* Takes the chunk of a topic that is no more: what it retained stays. */
static weir_err replay_gone(weir_engine *engine, weir_chunk *chunk, bool retained)
{
    if (retained) {
        weir_produce_apply_retained(engine, chunk);
    }
    weir_chunk_drop(chunk);
    return WEIR_OK;
}

static weir_err replay_batch(weir_engine *engine, const weir_journal_entry *entry,
                             const replaying *at)
{
    weir_partition *partition = NULL;
    weir_topic_ref *name = NULL;
    weir_entry_batch_parts parts;
    weir_err err = weir_entry_batch_decode(entry, at->unit->engine_ms, &parts);
    if (err == WEIR_OK) {
        err = replay_place(engine, parts.topic_id, parts.partition, at, &partition, &name);
    }
    if (err != WEIR_OK || name == NULL) {
        return err;
    }
    weir_chunk *chunk = NULL;
    err = parts.batch.ptr != NULL
              ? weir_chunk_from_batch(name, parts.partition, parts.batch, &chunk)
              : weir_chunk_from_records(name, parts.partition, &parts.head, parts.records, &chunk);
    if (err != WEIR_OK) {
        return err == WEIR_NO_MEMORY ? err : WEIR_DAMAGED;
    }
    bool retained = parts.flags != 0;
    return partition == NULL ? replay_gone(engine, chunk, retained)
                             : replay_chunk(engine, partition, chunk, retained, at);
}

/* The journal had the batch found before; what was not looked for the state has. */
static weir_err replay_reference(weir_engine *engine, const weir_journal_entry *entry,
                                 const replaying *at)
{
    weir_straight_reference reference;
    weir_partition *partition = NULL;
    weir_topic_ref *name = NULL;
    weir_err err = weir_entry_reference_decode(entry, &reference);
    if (err == WEIR_OK) {
        err = replay_place(engine, reference.topic_id, reference.partition, at, &partition, &name);
    }
    if (err != WEIR_OK || name == NULL) {
        return err;
    }
    weir_chunk *chunk = weir_straight_found(engine, &reference);
    bool retained = (reference.flags & WEIR_ENTRY_SETS_RETAINED) != 0;
    return chunk == NULL       ? WEIR_OK
           : partition == NULL ? replay_gone(engine, chunk, retained)
                               : replay_chunk(engine, partition, chunk, retained, at);
}

static weir_err replay_live_retained(weir_engine *engine, weir_bytes body)
{
    weir_chunk *chunk = NULL;
    weir_err err = weir_chunk_from_batch(engine->live_topic.ref, 0, body, &chunk);
    if (err == WEIR_OK) {
        weir_retained_apply_chunk(engine, chunk);
        weir_chunk_drop(chunk);
    }
    return err == WEIR_NO_MEMORY || err == WEIR_OK ? err : WEIR_DAMAGED;
}

/* A change of a topic, or of one of its partitions; each is skipped by whoever holds it already. */
static weir_err replay_change(weir_engine *engine, const weir_journal_entry *entry,
                              const replaying *at)
{
    weir_bytes body = entry->body;
    if (body.len < 8) {
        return WEIR_DAMAGED;
    }
    const weir_topic *topic = weir_topics_find_id(engine, weir_get_u32(body.ptr));
    if (topic == NULL) {
        return replay_missing(engine, weir_get_u32(body.ptr), at);
    }
    uint64_t held = topic->held_unit;
    if (entry->type == WEIR_ENTRY_TRIM) {
        uint32_t index = weir_get_u32(body.ptr + 4);
        int64_t start;
        if (index >= topic->partition_count ||
            weir_life_trim_start(body, entry->version, &start) != WEIR_OK) {
            return WEIR_DAMAGED;
        }
        held = topic->partitions[index]->held_unit;
        weir_groups_start_moved(engine, topic->partitions[index], start, at->unit->number);
    }
    if (held >= at->unit->number) {
        return WEIR_OK;
    }
    return entry->type == WEIR_ENTRY_TRIM
               ? weir_life_replay_trim(engine, body, entry->version, at->unit->engine_ms)
           : entry->type == WEIR_ENTRY_TOPIC_SETTINGS ? weir_change_replay_settings(engine, body)
                                                      : weir_change_replay_partitions(engine, body);
}

static weir_err replay_entry(weir_engine *engine, const weir_journal_entry *entry,
                             const replaying *at)
{
    bool old = is_old(at);
    bool second = entry->version == 2 &&
                  (entry->type == WEIR_ENTRY_TOPIC_CREATE || entry->type == WEIR_ENTRY_TRIM ||
                   entry->type == WEIR_ENTRY_BATCH || entry->type == WEIR_ENTRY_GROUP_DELETE);
    if (entry->version != 1 && !second) {
        return WEIR_VERSION;
    }
    switch (entry->type) {
    case WEIR_ENTRY_BATCH:
        return replay_batch(engine, entry, at);
    case WEIR_ENTRY_REFERENCE:
        return replay_reference(engine, entry, at);
    case WEIR_ENTRY_START:
        if (entry->body.len != 8) {
            return WEIR_DAMAGED;
        }
        engine->recovery_epoch = old ? engine->recovery_epoch : weir_get_u64(entry->body.ptr);
        return WEIR_OK;
    case WEIR_ENTRY_TOPIC_CREATE:
        return replay_create(engine, entry->body, entry->version, at);
    case WEIR_ENTRY_TOPIC_LEVEL:
        return old ? WEIR_OK : replay_level(engine, entry->body, at);
    case WEIR_ENTRY_TOPIC_DELETE:
        return old ? WEIR_OK : replay_delete(engine, entry->body, at);
    case WEIR_ENTRY_TOPIC_SETTINGS:
    case WEIR_ENTRY_TOPIC_PARTITIONS:
    case WEIR_ENTRY_TRIM:
        return old ? WEIR_OK : replay_change(engine, entry, at);
    case WEIR_ENTRY_PRODUCER:
        return weir_producers_replay_open(engine, entry->body, at->unit);
    case WEIR_ENTRY_EXPIRE:
        return weir_producers_replay_expire(engine, entry->body, at->unit);
    case WEIR_ENTRY_PUBLISHING:
        return weir_producers_replay_publishing(engine, entry->body, at->unit);
    case WEIR_ENTRY_LIVE_RETAINED:
        return old ? WEIR_OK : replay_live_retained(engine, entry->body);
    case WEIR_ENTRY_GROUP_CREATE:
    case WEIR_ENTRY_GROUP_CHANGE:
    case WEIR_ENTRY_GROUP_DELETE:
    case WEIR_ENTRY_GROUP_PART:
        return old ? WEIR_OK
                   : weir_group_replay(engine, entry->type, entry->version, entry->body, at->unit,
                                       at->snapshot_unit);
    case WEIR_ENTRY_GENERATION:
    case WEIR_ENTRY_COMMIT:
        return old ? WEIR_OK
                   : weir_stream_replay(engine, entry->type, entry->version, entry->body, at->unit,
                                        at->snapshot_unit);
    case WEIR_ENTRY_ACQUIRE:
    case WEIR_ENTRY_SETTLE:
        return old ? WEIR_OK
                   : weir_queue_replay(engine, entry->type, entry->version, entry->body, at->unit,
                                       at->snapshot_unit);
    case WEIR_ENTRY_FATES:
        return old ? WEIR_OK : weir_fates_replay(engine, entry->body, at->unit->number);
    default:
        return WEIR_VERSION;
    }
}

weir_err weir_entry_replay(weir_engine *engine, const weir_journal_unit *unit,
                           uint64_t snapshot_unit, weir_fault *fault)
{
    const replaying at = {unit, snapshot_unit};
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && (err = weir_journal_entry_next(&rest, &entry)) == WEIR_OK) {
        err = replay_entry(engine, &entry, &at);
    }
    if (err == WEIR_EMPTY) {
        engine->engine_base_ms =
            unit->engine_ms > engine->engine_base_ms ? unit->engine_ms : engine->engine_base_ms;
        return WEIR_OK;
    }
    fault->err = err;
    if (err != WEIR_VERSION && err != WEIR_DAMAGED) {
        snprintf(
            fault->text, sizeof(fault->text),
            "while replaying unit %llu of the journal: %s Nothing is lost: mend that and start "
            "again",
            (unsigned long long)unit->number, weir_err_text(err));
        return err;
    }
    snprintf(
        fault->text, sizeof(fault->text),
        err == WEIR_VERSION
            ? "unit %llu of the journal has an entry (type %u) that this version does not know: "
              "start the version of weir that wrote it"
            : "unit %llu of the journal (entry type %u) does not fit the state before it: nothing "
              "was changed; restore the data directory from a copy",
        (unsigned long long)unit->number, entry.type);
    return err;
}
