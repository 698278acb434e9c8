/* core/engine/produce.c - publishes become records, records become batches, batches become entries.
 *
 *   publish --route--> partition.open (one batch per partition and turn)
 *                          |  close: head and CRC, entry in the unit, apply
 *                          v
 *                        tail  [start .. flushed .. visible .. next)
 *
 * All that can fail is asked before the first change: the name, the limits, health, room in the
 * journal, memory for the batch. Then the record is in the batch, has its offset, and its answer
 * waits for the unit that was open when it was decided: a unit is never ended without closing the
 * batches that were begun in it. Live records take the same road through a partition without
 * segments or journal; one that nobody subscribes to is counted and forgotten. */
#include "core/engine/group.h"

#include "core/base/hash.h"

#include <stdlib.h>
#include <string.h>

/* ---- The open batch
 * ---------------------------------------------------------------------------------- */

static weir_err open_batch(weir_engine *engine, weir_partition *partition, weir_bytes key,
                           weir_bytes rest)
{
    size_t need = weir_batch_alone_size(key, rest.len);
    size_t capacity = partition->batch_bytes_guess > need ? partition->batch_bytes_guess : need;
    uint32_t records = partition->batch_records_guess > 0 ? partition->batch_records_guess
                                                          : (uint32_t)(capacity / 32 + 2);
    if (partition->note_capacity < records) {
        weir_note *notes = realloc(partition->notes, records * sizeof(*notes));
        if (notes == NULL) {
            return WEIR_NO_MEMORY;
        }
        partition->notes = notes;
        partition->note_capacity = records;
    }
    weir_err err = weir_tail_reserve(&partition->tail);
    if (err == WEIR_OK) {
        err = weir_chunk_create(engine->pool, partition->topic->ref, partition->index, capacity,
                                records, &partition->open);
    }
    if (err == WEIR_OK) {
        weir_batch_begin(&partition->builder, partition->open->batch, partition->open->capacity);
        partition->open_retained = false;
        weir_link_append(&engine->open_partitions, &partition->open_link);
    }
    return err;
}

/* The next batch of this partition will be about as large: a quarter more, within bounds. One record
 * alone is followed by one alone: with many topics memory is full of those. */
static void guess_next(weir_partition *partition, size_t bytes, uint32_t records)
{
    bool alone = records == 1;
    size_t guess = alone ? 0 : bytes + bytes / 4;
    partition->batch_bytes_guess =
        (uint32_t)(guess > WEIR_BATCH_BYTES_MOST ? WEIR_BATCH_BYTES_MOST : guess);
    partition->batch_records_guess = alone ? 1 : records + records / 4 + 2;
}

/* The batch's entry in the open unit: itself, or where it stands. `built`: by this turn. */
static void journal_chunk(weir_engine *engine, weir_partition *partition, bool retained,
                          weir_chunk *chunk, bool built)
{
    if (weir_straight_take(engine, partition, chunk)) {
        weir_entry_reference(engine, partition, retained, chunk);
    } else if (built) {
        weir_entry_built(engine, partition, retained, chunk);
    } else {
        weir_entry_batch(engine, partition, retained, weir_chunk_batch(chunk));
    }
}

static void close_batch(weir_engine *engine, weir_partition *partition)
{
    weir_chunk *chunk = partition->open;
    bool live = partition == &engine->live;
    chunk->base_offset = partition->next_offset;
    chunk->timestamp_ms = engine->engine_ms;
    chunk->count = (uint32_t)partition->builder.count;
    weir_bytes batch = weir_batch_finish(&partition->builder, chunk->base_offset,
                                         (int32_t)engine->recovery_epoch, engine->engine_ms);
    chunk->batch_bytes = (uint32_t)batch.len;
    guess_next(partition, batch.len, chunk->count);
    partition->open = NULL;
    weir_link_remove(&partition->open_link);
    if (!live) {
        chunk->unit = weir_engine_unit_now(engine);
        journal_chunk(engine, partition, partition->open_retained, chunk, true);
        engine->disk_wanted |= partition->topic->options.level == WEIR_LEVEL_DISK;
    }
    weir_produce_apply(engine, partition, chunk, partition->notes, partition->open_retained);
}

void weir_produce_close_all(weir_engine *engine)
{
    while (!weir_link_empty(&engine->open_partitions)) {
        close_batch(engine, WEIR_OWNER_OF(engine->open_partitions.next, weir_partition, open_link));
    }
    weir_publishing_write(engine);
}

/* Moves the open batch into a chunk of twice its size, so that a turn brings one batch. False: it
 * is as large as batches get, or there is no memory. */
static bool grow_batch(weir_engine *engine, weir_partition *partition, size_t record_bytes)
{
    weir_chunk *open = partition->open;
    weir_chunk *grown = NULL;
    size_t need = partition->builder.len + record_bytes + WEIR_RECORD_OVERHEAD_MAX;
    size_t capacity = 2 * (size_t)open->capacity > need ? 2 * (size_t)open->capacity : need;
    uint32_t records = 2 * open->position_max;
    if (need > WEIR_BATCH_BYTES_MOST) {
        return false;
    }
    if (partition->note_capacity < records) {
        weir_note *notes = realloc(partition->notes, records * sizeof(*notes));
        if (notes == NULL) {
            return false;
        }
        partition->notes = notes;
        partition->note_capacity = records;
    }
    if (weir_chunk_create(engine->pool, partition->topic->ref, partition->index, capacity, records,
                          &grown) != WEIR_OK) {
        return false;
    }
    memcpy(grown->batch, open->batch, partition->builder.len);
    memcpy(grown->positions, open->positions,
           (size_t)partition->builder.count * sizeof(grown->positions[0]));
    partition->builder.memory = grown->batch;
    partition->builder.capacity = grown->capacity;
    partition->open = grown;
    weir_chunk_drop(open);
    return true;
}

/* Adds one record to the partition's open batch. Fails before anything changes. */
static weir_err add_record(weir_engine *engine, weir_partition *partition, uint8_t attributes,
                           weir_bytes key, weir_bytes rest, weir_note note)
{
    uint32_t position = 0;
    weir_err err = WEIR_MORE;
    if (partition->open != NULL &&
        (uint32_t)partition->builder.count < partition->open->position_max) {
        err = weir_batch_add(&partition->builder, attributes, key, rest, &position);
    }
    if (err == WEIR_MORE) {
        bool grown = partition->open != NULL && grow_batch(engine, partition, key.len + rest.len);
        if (partition->open != NULL && !grown) {
            close_batch(engine, partition);
        }
        err = grown ? WEIR_OK : open_batch(engine, partition, key, rest);
        if (err == WEIR_OK) {
            err = weir_batch_add(&partition->builder, attributes, key, rest, &position);
            WEIR_ASSERT(err == WEIR_OK); /* the chunk was made large enough for it */
        }
    }
    if (err != WEIR_OK) {
        return err;
    }
    uint32_t index = (uint32_t)partition->builder.count - 1;
    partition->open->positions[index] = position;
    partition->notes[index] = note;
    partition->open_retained |= (attributes & WEIR_RECORD_RETAIN) != 0;
    return WEIR_OK;
}

/* ---- Publishing
 * ---------------------------------------------------------------------------------------- */

typedef struct publishing {
    const weir_op *op;
    const weir_route *route;
    weir_bytes key;  /* as it is stored */
    weir_bytes rest; /* value and headers, encoded */
    weir_completion done;
    uint64_t unit;
    weir_level level;          /* the answer waits for */
    weir_partition *partition; /* when it is chosen already */
} publishing;

static weir_err writable(const weir_engine *engine)
{
    switch (atomic_load_explicit(&engine->health, memory_order_relaxed)) {
    case WEIR_HEALTH_OK:
        return WEIR_OK;
    case WEIR_HEALTH_DISK_FULL:
        return WEIR_DISK_FULL;
    case WEIR_HEALTH_FENCED:
        return WEIR_FENCED;
    default:
        return WEIR_READ_ONLY;
    }
}

/* The name and id that make a publish effectively once; behind the record in the operation. */
static weir_bytes publishing_of(const weir_op *op, uint64_t *id)
{
    const uint8_t *at =
        op->data + op->publish.name_bytes + op->publish.key_bytes + op->publish.rest_bytes;
    memcpy(id, at, sizeof(*id));
    return (weir_bytes){at + sizeof(*id), op->publish.producer_bytes};
}

/* A record without a key goes where its producer's name says, now and after every start: a retry has to
 * come to the partition that knows its id. Without such a name any will do. */
static weir_partition *choose_partition(const weir_engine *engine, const publishing *p)
{
    weir_topic *topic = p->route->topic;
    uint32_t index = p->route->partition;
    if (index == UINT32_MAX && p->op->publish.producer_bytes > 0) {
        uint64_t id = 0;
        index = weir_partition_of_key(publishing_of(p->op, &id), topic->partition_count);
    } else if (index == UINT32_MAX) {
        uint64_t turn =
            p->op->publish.publisher != 0 ? p->op->publish.publisher : engine->stats.steps;
        index = (uint32_t)(turn % topic->partition_count);
    }
    return topic->partitions[index];
}

/* Whether a queue takes what is published; refusals are counted. */
static weir_err queue_room(weir_engine *engine, weir_partition *partition, uint64_t records,
                           uint64_t bytes)
{
    weir_err err = weir_overflow_decide(engine, partition, records, bytes);
    if (err == WEIR_QUEUE_FULL && weir_overflow_expire(engine, partition)) {
        err = weir_overflow_decide(engine, partition, records, bytes);
    }
    engine->stats.refused_queue += err == WEIR_QUEUE_FULL ? records : 0;
    return err;
}

static weir_err publish_stored(weir_engine *engine, publishing *p)
{
    const weir_op *op = p->op;
    weir_partition *partition = p->partition != NULL ? p->partition : choose_partition(engine, p);
    weir_err err = writable(engine);
    if (err == WEIR_OK && (op->attributes & WEIR_RECORD_RETAIN) != 0) {
        weir_bytes name = {p->route->name, p->route->name_bytes};
        err = weir_retained_decide(engine, name, op->publish.value_bytes);
    }
    if (err == WEIR_OK) {
        err = queue_room(engine, partition, 1, p->key.len + p->rest.len);
    }
    if (err == WEIR_OK) {
        uint64_t entries = partition->open == NULL ? 128 : 0;
        entries += op->publish.producer_bytes > 0 ? op->publish.producer_bytes + 32u : 0;
        err =
            weir_engine_unit(engine, p->key.len + p->rest.len + WEIR_RECORD_OVERHEAD_MAX + entries);
    }
    if (err == WEIR_OK) {
        weir_note note = {p->route, op->subscriber};
        err = add_record(engine, partition, op->attributes, p->key, p->rest, note);
    }
    if (err != WEIR_OK) {
        return err;
    }
    p->unit = weir_engine_unit_now(engine);
    p->level = partition->topic->options.level;
    p->done.published.level = p->level;
    p->done.published.partition = partition->index;
    p->done.published.offset = partition->next_offset + partition->builder.count - 1;
    engine->stats.records_stored++;
    return WEIR_OK;
}

/* A record that its named producer published before is not stored again: the same answer. */
static weir_err publish_once(weir_engine *engine, publishing *p)
{
    uint64_t id = 0;
    bool duplicate = false;
    weir_publishing *last = NULL;
    weir_bytes name = publishing_of(p->op, &id);
    p->partition = choose_partition(engine, p);
    weir_err err = weir_publishing_decide(engine, p->partition, name, id, &duplicate);
    if (err == WEIR_OK && duplicate) {
        p->unit = weir_engine_unit_now(engine);
        p->level = p->partition->topic->options.level;
        p->done.published.level = p->level;
        p->done.published.partition = p->partition->index;
        p->done.published.offset = -1;
        p->done.published.duplicate = true;
        engine->written_compared = UINT64_MAX; /* and this turn compares the term */
        engine->stats.records_duplicate++;
        return WEIR_OK;
    }
    err = err == WEIR_OK ? weir_publishing_reserve(engine, p->partition, name, &last) : err;
    if (err == WEIR_OK) {
        err = publish_stored(engine, p);
        if (err == WEIR_OK) {
            weir_publishing_apply(engine, last, id);
        } else {
            weir_publishing_unreserve(engine, last);
        }
    }
    return err;
}

/* A retained value of a live name goes through the journal as a batch of one. */
static weir_err publish_live_retained(weir_engine *engine, publishing *p)
{
    weir_bytes name = {p->route->name, p->route->name_bytes};
    size_t bytes = name.len + p->rest.len + WEIR_BATCH_HEAD_BYTES + WEIR_RECORD_OVERHEAD_MAX;
    weir_chunk *chunk = NULL;
    weir_err err = writable(engine);
    err = err == WEIR_OK ? weir_retained_decide(engine, name, p->op->publish.value_bytes) : err;
    err = err == WEIR_OK ? weir_engine_unit(engine, bytes + 64) : err;
    err = err == WEIR_OK
              ? weir_chunk_create(engine->pool, engine->live_topic.ref, 0, bytes, 1, &chunk)
              : err;
    if (err != WEIR_OK) {
        return err;
    }
    weir_batch_builder builder;
    weir_batch_begin(&builder, chunk->batch, chunk->capacity);
    err = weir_batch_add(&builder, p->op->attributes, name, p->rest, &chunk->positions[0]);
    WEIR_ASSERT(err == WEIR_OK);
    chunk->count = 1;
    chunk->timestamp_ms = engine->engine_ms;
    weir_bytes batch =
        weir_batch_finish(&builder, 0, (int32_t)engine->recovery_epoch, engine->engine_ms);
    chunk->batch_bytes = (uint32_t)batch.len;
    chunk->unit = weir_engine_unit_now(engine);
    weir_entry_live_retained(engine, batch);
    weir_retained_apply_chunk(engine, chunk);
    weir_chunk_drop(chunk);
    p->unit = weir_engine_unit_now(engine);
    p->level = engine->config.live_durability;
    engine->disk_wanted |= p->level == WEIR_LEVEL_DISK;
    return WEIR_OK;
}

static weir_err publish_live(weir_engine *engine, publishing *p)
{
    p->level = WEIR_LEVEL_MEMORY;
    if ((p->op->attributes & WEIR_RECORD_RETAIN) != 0) {
        weir_err err = publish_live_retained(engine, p);
        if (err != WEIR_OK) {
            return err;
        }
    } else if (atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_FENCED) {
        return WEIR_FENCED;
    } else if (engine->fault.err != WEIR_OK) {
        return WEIR_READ_ONLY; /* the topic that the name is under may be among what is damaged */
    }
    if (p->route->match_count > 0) {
        weir_note note = {p->route, p->op->subscriber};
        /* The retained value has its own chunk: the flag of this copy stays for its subscribers. */
        weir_err err = add_record(engine, &engine->live, p->op->attributes, p->key, p->rest, note);
        if (err != WEIR_OK) {
            return err;
        }
    }
    p->done.published.live = true;
    p->done.published.level = p->level;
    engine->stats.records_live++;
    return WEIR_OK;
}

static weir_err publish_route(weir_engine *engine, publishing *p, weir_route **mine)
{
    const weir_op *op = p->op;
    weir_bytes name = {op->data, op->publish.name_bytes};
    weir_bytes key = {op->publish.key_null ? NULL : op->data + name.len, op->publish.key_bytes};
    p->rest = (weir_bytes){op->data + name.len + key.len, op->publish.rest_bytes};
    if (op->by_topic) {
        p->route = weir_route_of_key(engine, name, key, op->publish.key_null, mine);
        p->key = key;
        if (p->route == NULL) {
            return weir_topics_find(engine, name) == NULL ? WEIR_NOT_FOUND : WEIR_NO_MEMORY;
        }
        return p->route->err;
    }
    p->route = weir_route_of_name(engine, name);
    if (p->route == NULL) {
        return name.len == 0 ? WEIR_NAME_INVALID : WEIR_NO_MEMORY;
    }
    if (!p->route->key_null) {
        p->key = (weir_bytes){name.ptr + p->route->key_at, name.len - p->route->key_at};
    }
    if (p->key.len + op->publish.bytes > engine->limits.record_bytes_max) {
        engine->records_too_large++;
        return WEIR_TOO_LARGE;
    }
    return p->route->err;
}

/* [E4] A refusal, too, tells of the state it was decided on, and waits for that. Of a disk that
 * takes nothing it tells all there is to tell: it waits for nothing that the disk holds up. */
static weir_level refusal_level(weir_err err, weir_level level)
{
    return err == WEIR_DISK_FULL || err == WEIR_READ_ONLY ? WEIR_LEVEL_MEMORY : level;
}

static void publish_refused(weir_engine *engine, weir_port *port, publishing *p, weir_err err)
{
    p->done.err = err;
    engine->stats.records_refused++;
    if (err == WEIR_NAME_INVALID) {
        bool levels = p->route != NULL && p->route->levels_over;
        engine->stats.refused_levels += levels ? 1 : 0;
        engine->names_refused += levels ? 0 : 1;
    }
    if (p->op->no_confirm) {
        if (weir_port_room(port)) {
            weir_port_unasked(port, &p->done);
        }
        return;
    }
    bool stored = p->route != NULL && p->route->topic != NULL;
    weir_level level = stored ? p->route->topic->options.level : WEIR_LEVEL_MEMORY;
    weir_port_answer(port, &p->done, weir_engine_unit_now(engine), refusal_level(err, level));
}

void weir_produce_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    publishing p = {.op = op};
    weir_route *mine = NULL;
    p.done.type = WEIR_COMPLETION_PUBLISH;
    p.done.user = op->user;
    p.done.token = op->token;
    p.done.published.timestamp_ms = engine->engine_ms;
    weir_err err = publish_route(engine, &p, &mine);
    if (err == WEIR_OK) {
        bool once = op->publish.producer_bytes > 0;
        err = p.route->topic != NULL
                  ? (once ? publish_once(engine, &p) : publish_stored(engine, &p))
                  : (once ? WEIR_NOT_OFFERED : publish_live(engine, &p));
    }
    if (err != WEIR_OK) {
        publish_refused(engine, port, &p, err);
    } else {
        engine->stats.records_received++;
        engine->stats.bytes_received += p.key.len + op->publish.rest_bytes;
        if (!op->no_confirm) {
            weir_port_answer(port, &p.done, p.unit, p.level);
        }
    }
    if (mine != NULL) {
        weir_produce_close_all(engine); /* its notes point to the route */
        weir_route_drop(engine, mine);
    }
}

/* ---- Records of the engine's own
 * --------------------------------------------------------------------------------------- */

weir_err weir_produce_own(weir_engine *engine, weir_topic *topic, uint8_t attributes,
                          weir_bytes key, weir_bytes rest, uint32_t *where, int64_t *offset)
{
    static const weir_route nobody; /* of a key that names another topic: no filter is asked */
    weir_bytes name = {topic->ref->name, topic->ref->name_bytes};
    weir_route *mine = NULL;
    bool null = key.ptr == NULL;
    const weir_route *route = weir_route_of_key(engine, name, key, null, &mine);
    bool own = route != NULL && route->err == WEIR_OK && route->topic == topic;
    uint32_t index = null  ? (uint32_t)(engine->stats.steps % topic->partition_count)
                     : own ? route->partition
                           : weir_partition_of_key(key, topic->partition_count);
    weir_note note = {own ? route : &nobody, NULL};
    weir_err err = add_record(engine, topic->partitions[index], attributes, key, rest, note);
    engine->stats.records_stored += err == WEIR_OK ? 1 : 0;
    if (err == WEIR_OK) { /* nothing comes before what the open batch has */
        const weir_partition *partition = topic->partitions[index];
        *where = index;
        *offset = partition->next_offset + partition->builder.count - 1;
    }
    if (mine != NULL) {
        weir_produce_close_all(engine); /* its notes point to the route */
        weir_route_drop(engine, mine);
    }
    return err;
}

/* ---- Batches built by a client
 * --------------------------------------------------------------------------- */

static weir_bytes batch_of(const weir_op *op)
{
    return (weir_bytes){op->data + op->batch.topic_bytes, op->batch.batch_bytes};
}

/* A chunk with the batch, and with its records plain where it is compressed; it has no place yet. */
static weir_err batch_chunk(weir_engine *engine, const weir_op *op, const weir_partition *partition,
                            weir_batch_head *head, weir_chunk **out)
{
    weir_bytes batch = batch_of(op);
    weir_bytes plain = {batch.ptr + batch.len, op->batch.plain_bytes};
    size_t capacity = plain.len > 0 ? weir_chunk_plain_at(batch.len) + plain.len : batch.len;
    weir_chunk *chunk = NULL;
    weir_err err = weir_chunk_create(engine->pool, partition->topic->ref, partition->index,
                                     capacity, op->batch.record_count, &chunk);
    if (err != WEIR_OK) {
        return err;
    }
    memcpy(chunk->batch, batch.ptr, batch.len);
    err = plain.len > 0 ? weir_chunk_plain_set(chunk, head, plain)
                        : weir_batch_check((weir_bytes){chunk->batch, batch.len}, head,
                                           chunk->positions, op->batch.record_count);
    if (err != WEIR_OK) {
        weir_chunk_drop(chunk);
        return err; /* cannot happen: it was checked when it was submitted */
    }
    chunk->count = op->batch.record_count;
    chunk->batch_bytes = (uint32_t)batch.len;
    *out = chunk;
    return WEIR_OK;
}

/* Its records are the partition's next ones. Takes the chunk; the open unit has room. */
static void batch_append(weir_engine *engine, weir_partition *partition, weir_chunk *chunk)
{
    weir_batch_stamp(chunk->batch, chunk->batch_bytes, partition->next_offset,
                     (int32_t)engine->recovery_epoch, engine->engine_ms);
    weir_chunk_plain_stamp(chunk);
    chunk->base_offset = partition->next_offset;
    chunk->timestamp_ms = engine->engine_ms;
    chunk->unit = weir_engine_unit_now(engine);
    journal_chunk(engine, partition, false, chunk, false);
    engine->disk_wanted |= partition->topic->options.level == WEIR_LEVEL_DISK;
    weir_produce_apply(engine, partition, chunk, NULL, false);
    weir_producers_apply(engine, partition, chunk);
}

static weir_err produce_batch(weir_engine *engine, const weir_op *op, weir_completion *done,
                              weir_partition **out)
{
    weir_bytes name = {op->data, op->batch.topic_bytes};
    weir_bytes batch = batch_of(op);
    weir_topic *topic = weir_topics_find(engine, name);
    if (topic == NULL || op->batch.partition >= topic->partition_count) {
        return WEIR_NOT_FOUND;
    }
    if (weir_topic_is_own(topic)) {
        return WEIR_NOT_OFFERED;
    }
    weir_partition *partition = topic->partitions[op->batch.partition];
    *out = partition;
    weir_chunk *chunk = NULL;
    weir_batch_head head;
    weir_err err = writable(engine);
    err = err == WEIR_OK ? weir_batch_head_decode(batch, &head) : err;
    if (err == WEIR_OK) {
        err = weir_producers_decide(engine, partition, &head, &done->published.duplicate,
                                    &done->published.offset);
        if (done->published.duplicate) {
            done->published.partition = partition->index;
            engine->written_compared =
                UINT64_MAX; /* nothing is written: this turn compares the term all the same */
            return err;
        }
    }
    err = err == WEIR_OK ? queue_room(engine, partition, op->batch.record_count, batch.len) : err;
    err = err == WEIR_OK ? weir_engine_unit(engine, batch.len + 128) : err;
    err = err == WEIR_OK ? weir_tail_reserve(&partition->tail) : err;
    err = err == WEIR_OK ? batch_chunk(engine, op, partition, &head, &chunk) : err;
    if (err != WEIR_OK) {
        return err;
    }
    done->published.offset = partition->next_offset;
    done->published.partition = partition->index;
    batch_append(engine, partition, chunk);
    return WEIR_OK;
}

void weir_produce_batch_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.type = WEIR_COMPLETION_BATCH, .user = op->user, .token = op->token};
    weir_partition *partition = NULL;
    weir_produce_close_all(engine); /* offsets of this turn so far come first */
    done.published.timestamp_ms = engine->engine_ms;
    done.err = produce_batch(engine, op, &done, &partition);
    weir_level level = partition != NULL ? partition->topic->options.level : WEIR_LEVEL_DISK;
    done.published.level = level;
    if (done.err == WEIR_OK && done.published.duplicate) {
        engine->stats.records_duplicate += op->batch.record_count;
    } else if (done.err == WEIR_OK) {
        engine->stats.records_received += op->batch.record_count;
        engine->stats.records_stored += op->batch.record_count;
        engine->stats.bytes_received += op->batch.batch_bytes;
    } else {
        engine->stats.records_refused += op->batch.record_count;
    }
    weir_port_answer(port, &done, weir_engine_unit_now(engine), refusal_level(done.err, level));
}

/* ---- Apply
 * -------------------------------------------------------------------------------------------------
 */

static void owe_route(weir_engine *engine, weir_partition *partition, weir_note note, int64_t first,
                      int64_t last)
{
    const weir_route *route = note.route;
    for (uint32_t i = 0; i < route->match_count; i++) {
        const weir_match *match = &route->matches[i];
        if (match->no_local && match->subscriber == note.self) {
            continue;
        }
        weir_subscriber_owe(engine, match, partition, first, last);
    }
}

static void owe_notes(weir_engine *engine, weir_partition *partition, const weir_chunk *chunk,
                      const weir_note *notes)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i <= chunk->count; i++) {
        if (i < chunk->count && notes[i].route == notes[first].route &&
            notes[i].self == notes[first].self) {
            continue;
        }
        owe_route(engine, partition, notes[first], chunk->base_offset + first,
                  chunk->base_offset + i - 1);
        first = i;
    }
}

static void owe_unnoted(weir_engine *engine, weir_partition *partition, const weir_chunk *chunk)
{
    weir_bytes topic = weir_chunk_topic(chunk);
    for (uint32_t i = 0; i < chunk->count && weir_trie_count(engine->filters) > 0; i++) {
        weir_record record;
        weir_route *mine = NULL;
        weir_chunk_record(chunk, i, &record);
        const weir_route *route =
            weir_route_of_key(engine, topic, record.key, record.key.ptr == NULL, &mine);
        if (route != NULL) {
            owe_route(engine, partition, (weir_note){route, NULL}, record.offset, record.offset);
        }
        weir_route_drop(engine, mine);
    }
}

void weir_produce_apply_retained(weir_engine *engine, weir_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->count; i++) {
        weir_record record;
        weir_chunk_record(chunk, i, &record);
        if ((record.attributes & WEIR_RECORD_RETAIN) != 0) {
            weir_retained_apply(engine, chunk, &record);
        }
    }
}

void weir_produce_apply(weir_engine *engine, weir_partition *partition, weir_chunk *chunk,
                        const weir_note *notes, bool retained)
{
    bool live = partition == &engine->live;
    WEIR_ASSERT(chunk->base_offset == partition->next_offset); /* offsets are dense [E1] */
    partition->next_offset = weir_chunk_end(chunk);
    weir_tail_push(&partition->tail, chunk);
    engine->tail_bytes += chunk->memory_bytes;
    if (live) {
        engine->live_bytes += chunk->memory_bytes;
    } else {
        weir_unflushed_add(engine, partition, chunk);
        weir_overflow_appended(engine, partition, chunk);
        weir_saved_changed(engine, WEIR_SNAPSHOT_PARTITION, &partition->saved);
    }
    if (!weir_link_in(&partition->hidden_link)) {
        weir_link_append(&engine->hidden, &partition->hidden_link);
    }
    if (notes != NULL) {
        owe_notes(engine, partition, chunk, notes);
    } else if (!live) {
        owe_unnoted(engine, partition, chunk);
    }
    if (retained && !live) {
        weir_produce_apply_retained(engine, chunk);
    }
}

/* ---- Visibility and memory
 * ----------------------------------------------------------------------------------- */

/* What a chunk has to reach before it is shown: the level its topic had when it was published. */
static weir_level level_of(const weir_topic *topic, const weir_chunk *chunk)
{
    bool before = chunk->unit <= topic->level_unit && topic->level_before > topic->options.level;
    return before ? topic->level_before : topic->options.level;
}

static bool show_partition(weir_engine *engine, weir_partition *partition)
{
    uint32_t index = weir_tail_index_of(&partition->tail, partition->visible_offset);
    int64_t before = partition->visible_offset;
    while (index < partition->tail.count) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, index);
        if (chunk->unit > weir_engine_mark(engine, level_of(partition->topic, chunk))) {
            break;
        }
        partition->visible_offset = weir_chunk_end(chunk);
        index++;
    }
    return partition->visible_offset > before;
}

/* The next ones of the list: what the first points to, and the second itself. */
static void fetch_hidden(const weir_engine *engine, const weir_link *first)
{
    if (first == &engine->hidden) {
        return;
    }
    weir_tail_fetch_end(&WEIR_OWNER_OF(first, const weir_partition, hidden_link)->tail);
    if (first->next != &engine->hidden) {
        const weir_partition *second =
            WEIR_OWNER_OF(first->next, const weir_partition, hidden_link);
        __builtin_prefetch(&second->hidden_link, 1);
        __builtin_prefetch(&second->tail);
        __builtin_prefetch(&second->visible_offset, 1);
        __builtin_prefetch(&second->cursors);
    }
}

void weir_partition_show(weir_engine *engine)
{
    for (weir_link *at = engine->hidden.next, *next = NULL; at != &engine->hidden; at = next) {
        next = at->next;
        fetch_hidden(engine, next);
        weir_partition *partition = WEIR_OWNER_OF(at, weir_partition, hidden_link);
        if (!show_partition(engine, partition)) {
            continue;
        }
        if (partition->visible_offset == partition->next_offset) {
            weir_link_remove(at);
        }
        weir_fetches_ready(engine, partition);
        weir_groups_shown(engine, partition);
        for (weir_link *c = partition->cursors.next; c != &partition->cursors; c = c->next) {
            weir_subscriber_ready(
                WEIR_OWNER_OF(c, weir_cursor, partition_link)->filter->subscriber);
        }
    }
}

/* Everything recovered is durable, so all of it is visible. */
void weir_partition_show_all(weir_engine *engine)
{
    size_t position = 0;
    weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            weir_partition *partition = topic->partitions[i];
            partition->visible_offset = partition->next_offset;
            weir_link_remove(&partition->hidden_link);
        }
    }
}
