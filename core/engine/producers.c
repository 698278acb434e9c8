/* core/engine/producers.c - who stored what last: idempotent producers, and publishing ids.
 *
 * An idempotent producer (Kafka's KIP-98) numbers the records it sends to a partition; its batches
 * carry producer id, epoch and first sequence in their heads. Of each (producer, partition) the
 * last five batches are remembered:
 *
 *     ... stored        last[4] .. last[0]      next = last[0].first + last[0].count
 *     ----------------|---------------------|---------------------------------------->
 *     DUPLICATE         the same answer again   next: stored; beyond: OUT_OF_ORDER
 *
 * A retry is answered with the offset it has; one that is too old to tell is refused, never stored
 * twice. A producer that is not known here, since it never was or has expired, is refused as well:
 * its retries cannot be told from new batches. A newer epoch begins again at sequence 0; an older
 * one is fenced.
 *
 * A publishing id is for producers with a name and a position of their own: it rises, gaps are
 * allowed, and of each (name, partition) the last one is kept in the unit of its record. Lower or
 * equal ones are duplicates. One entry per name, partition and unit is enough: it is written when
 * the batches of the unit are closed.
 *
 * Both are forgotten when they were not used for producer_expiry_ms of engine time. The journal
 * holds "expire through T", so that replay forgets the same ones [E6].
 *
 * [P1] After a decision that is OK, applying it cannot fail: memory is reserved by the decision.
 * [P2] used_ms never falls along a list of use: the oldest is always at its front. */
#include "core/engine/ops.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum { EXPIRE_PRODUCERS = 1 };

#define SEQUENCE_MASK 0x7fffffffu /* after the largest comes 0 */

void weir_producers_init(weir_engine *engine)
{
    weir_producers *all = &engine->producers;
    all->id_next = 1;
    weir_link_init(&all->used);
    weir_link_init(&all->publishing_used);
    weir_link_init(&all->unwritten);
}

static weir_bytes id_key(const weir_producer *producer)
{
    return (weir_bytes){(const uint8_t *)&producer->id, sizeof(producer->id)};
}

static weir_producer *producer_find(const weir_engine *engine, int64_t id)
{
    return weir_map_get(&engine->producers.by_id, (weir_bytes){(uint8_t *)&id, sizeof(id)});
}

static void producer_forget(weir_engine *engine, weir_producer *producer)
{
    weir_map_remove(&engine->producers.by_id, id_key(producer));
    weir_link_remove(&producer->used_link);
    weir_link_remove(&producer->saved.link);
    engine->producers.place_count -= producer->place_count;
    engine->stats.producers--;
    free(producer->places);
    free(producer);
}

static void publishing_forget(weir_engine *engine, weir_publishing *publishing)
{
    weir_map_remove(&engine->producers.publishing,
                    (weir_bytes){publishing->key, publishing->key_bytes});
    weir_link_remove(&publishing->used_link);
    weir_link_remove(&publishing->unwritten_link);
    weir_link_remove(&publishing->saved.link);
    engine->stats.publishing_names--;
    free(publishing);
}

void weir_producers_fini(weir_engine *engine)
{
    weir_producers *all = &engine->producers;
    while (!weir_link_empty(&all->used)) {
        producer_forget(engine, WEIR_OWNER_OF(all->used.next, weir_producer, used_link));
    }
    while (!weir_link_empty(&all->publishing_used)) {
        publishing_forget(engine,
                          WEIR_OWNER_OF(all->publishing_used.next, weir_publishing, used_link));
    }
    weir_map_fini(&all->by_id);
    weir_map_fini(&all->publishing);
}

/* ---- Producer ids ----------------------------------------------------------------------------- */

static weir_producer *producer_make(int64_t id)
{
    weir_producer *producer = calloc(1, sizeof(*producer));
    if (producer != NULL) {
        producer->id = id;
    }
    return producer;
}

static weir_err producer_add(weir_engine *engine, weir_producer *producer, int64_t used_ms,
                             uint64_t unit)
{
    weir_err err = weir_map_set(&engine->producers.by_id, id_key(producer), producer);
    if (err == WEIR_OK) {
        producer->used_ms = used_ms;
        producer->unit = unit;
        weir_link_append(&engine->producers.used, &producer->used_link);
        weir_saved_changed(engine, WEIR_SNAPSHOT_PRODUCER, &producer->saved);
        engine->stats.producers++;
    }
    return err;
}

/* Gives out the next id: journalled, so that none is ever given out twice. */
static weir_err producer_open(weir_engine *engine, weir_producer_info *info)
{
    weir_producers *all = &engine->producers;
    if (all->by_id.count >= engine->limits.producers_max) {
        engine->stats.refused_producers++;
        return WEIR_LIMIT;
    }
    weir_producer *producer = producer_make(all->id_next);
    weir_err err = producer == NULL ? WEIR_NO_MEMORY : weir_engine_unit(engine, 64);
    if (err == WEIR_OK) {
        err = producer_add(engine, producer, engine->engine_ms, weir_engine_unit_now(engine));
    }
    if (err != WEIR_OK) {
        free(producer);
        return err;
    }
    weir_put_u64(weir_engine_entry(engine, WEIR_ENTRY_PRODUCER, 8), (uint64_t)producer->id);
    all->id_next++;
    engine->disk_wanted = true;
    info->id = producer->id;
    info->epoch = 0;
    return WEIR_OK;
}

weir_err weir_producers_replay_open(weir_engine *engine, weir_bytes body,
                                    const weir_journal_unit *unit)
{
    int64_t id = body.len == 8 ? (int64_t)weir_get_u64(body.ptr) : 0;
    if (id <= 0 || id == INT64_MAX) {
        return WEIR_DAMAGED;
    }
    if (producer_find(engine, id) != NULL) {
        return WEIR_OK; /* the snapshot has it; one that it has no more is forgotten again below */
    }
    weir_producer *producer = producer_make(id);
    weir_err err = producer == NULL ? WEIR_NO_MEMORY
                                    : producer_add(engine, producer, unit->engine_ms, unit->number);
    if (err != WEIR_OK) {
        free(producer);
        return err;
    }
    engine->producers.id_next =
        id >= engine->producers.id_next ? id + 1 : engine->producers.id_next;
    return WEIR_OK;
}

/* ---- Sequences -------------------------------------------------------------------------------- */

/* Where the place of (topic, partition) is, or belongs. */
static uint32_t place_index(const weir_producer *producer, uint32_t topic_id, uint32_t partition)
{
    uint32_t low = 0;
    uint32_t high = producer->place_count;
    uint64_t wanted = (uint64_t)topic_id << 32 | partition;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const weir_producer_place *place = &producer->places[middle];
        if (((uint64_t)place->topic_id << 32 | place->partition) < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static weir_producer_place *place_find(const weir_producer *producer, uint32_t topic_id,
                                       uint32_t partition)
{
    uint32_t index = place_index(producer, topic_id, partition);
    if (index == producer->place_count || producer->places[index].topic_id != topic_id ||
        producer->places[index].partition != partition) {
        return NULL;
    }
    return &producer->places[index];
}

weir_err weir_producer_reserve(weir_producer *producer)
{
    if (producer->place_count < producer->place_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = producer->place_capacity == 0 ? 1 : 2 * producer->place_capacity;
    weir_producer_place *places = realloc(producer->places, capacity * sizeof(*places));
    if (places == NULL) {
        return WEIR_NO_MEMORY;
    }
    producer->places = places;
    producer->place_capacity = capacity;
    return WEIR_OK;
}

static weir_producer_place *place_add(weir_engine *engine, weir_producer *producer,
                                      uint32_t topic_id, uint32_t partition)
{
    uint32_t index = place_index(producer, topic_id, partition);
    WEIR_ASSERT(producer->place_count < producer->place_capacity); /* [P1] */
    memmove(&producer->places[index + 1], &producer->places[index],
            (producer->place_count - index) * sizeof(*producer->places));
    producer->place_count++;
    engine->producers.place_count++;
    weir_producer_place *place = &producer->places[index];
    memset(place, 0, sizeof(*place));
    place->topic_id = topic_id;
    place->partition = partition;
    return place;
}

static uint32_t sequence_after(const weir_sequence *sequence)
{
    return ((uint32_t)sequence->first + (uint32_t)sequence->count) & SEQUENCE_MASK;
}

/* A batch of the epoch in force against what is remembered. */
static weir_err sequence_judge(const weir_producer_place *place, const weir_batch_head *head,
                               bool *duplicate, int64_t *offset)
{
    for (uint32_t i = 0; i < place->kept; i++) {
        const weir_sequence *known = &place->last[i];
        if (known->first == head->base_sequence && known->count == head->record_count) {
            *duplicate = true;
            *offset = known->offset;
            return WEIR_OK;
        }
    }
    uint32_t next = sequence_after(&place->last[0]);
    uint32_t behind = (next - (uint32_t)head->base_sequence) & SEQUENCE_MASK;
    if (behind == 0) {
        return WEIR_OK;
    }
    return behind <= SEQUENCE_MASK / 2 ? WEIR_DUPLICATE : WEIR_OUT_OF_ORDER;
}

weir_err weir_producers_decide(weir_engine *engine, const weir_partition *partition,
                               const weir_batch_head *head, bool *duplicate, int64_t *offset)
{
    *duplicate = false;
    if (head->producer_id < 0) {
        return WEIR_OK;
    }
    weir_producer *producer = producer_find(engine, head->producer_id);
    if (producer == NULL) {
        return WEIR_PRODUCER_UNKNOWN;
    }
    const weir_producer_place *place = place_find(producer, partition->topic->id, partition->index);
    bool fresh = place == NULL || head->producer_epoch > place->epoch;
    if (place != NULL && head->producer_epoch < place->epoch) {
        return WEIR_PRODUCER_FENCED;
    }
    weir_err err = fresh ? (head->base_sequence == 0 ? WEIR_OK : WEIR_OUT_OF_ORDER)
                         : sequence_judge(place, head, duplicate, offset);
    if (err != WEIR_OK || *duplicate || place != NULL) {
        return err;
    }
    if (engine->producers.place_count >= engine->limits.producer_partitions_max) {
        engine->stats.refused_producers++;
        return WEIR_LIMIT;
    }
    return weir_producer_reserve(producer); /* [P1] */
}

static void producer_apply(weir_engine *engine, weir_producer *producer,
                           const weir_partition *partition, const weir_batch_head *head,
                           int64_t time_ms, uint64_t unit)
{
    weir_producer_place *place = place_find(producer, partition->topic->id, partition->index);
    if (place == NULL) {
        place = place_add(engine, producer, partition->topic->id, partition->index);
    }
    if (place->kept == 0 || place->epoch != head->producer_epoch) {
        place->epoch = head->producer_epoch;
        place->kept = 0;
    }
    memmove(&place->last[1], &place->last[0], (WEIR_SEQUENCES_KEPT - 1) * sizeof(place->last[0]));
    place->last[0] = (weir_sequence){head->base_sequence, head->record_count, head->base_offset};
    place->kept += place->kept < WEIR_SEQUENCES_KEPT ? 1 : 0;
    producer->used_ms = time_ms;
    producer->unit = unit;
    weir_link_remove(&producer->used_link);
    weir_link_append(&engine->producers.used, &producer->used_link); /* [P2] */
    weir_saved_changed(engine, WEIR_SNAPSHOT_PRODUCER, &producer->saved);
}

void weir_producers_apply(weir_engine *engine, const weir_partition *partition,
                          const weir_chunk *chunk)
{
    weir_batch_head head;
    if (weir_batch_head_decode(weir_chunk_batch(chunk), &head) == WEIR_OK &&
        head.producer_id >= 0) {
        weir_producer *producer = producer_find(engine, head.producer_id);
        WEIR_ASSERT(producer != NULL); /* decided a moment ago */
        producer_apply(engine, producer, partition, &head, chunk->timestamp_ms, chunk->unit);
    }
}

/* Whether a batch of a unit is part of the producer's state. One unit may have many of its batches. */
static bool producer_holds(const weir_producer *producer, const weir_partition *partition,
                           const weir_batch_head *head, uint64_t unit)
{
    if (unit != producer->unit) {
        return unit < producer->unit;
    }
    const weir_producer_place *place = place_find(producer, partition->topic->id, partition->index);
    return place != NULL && place->kept > 0 && place->last[0].offset >= head->base_offset;
}

weir_err weir_producers_replay_batch(weir_engine *engine, const weir_partition *partition,
                                     const weir_chunk *chunk)
{
    weir_batch_head head;
    weir_err err = weir_batch_head_decode(weir_chunk_batch(chunk), &head);
    if (err != WEIR_OK || head.producer_id < 0) {
        return err;
    }
    weir_producer *producer = producer_find(engine, head.producer_id);
    if (producer == NULL || producer_holds(producer, partition, &head, chunk->unit)) {
        return WEIR_OK; /* the snapshot has it, or it has expired since */
    }
    err = weir_producer_reserve(producer);
    if (err == WEIR_OK) {
        producer_apply(engine, producer, partition, &head, chunk->timestamp_ms, chunk->unit);
    }
    return err;
}

/* ---- Publishing ids --------------------------------------------------------------------------- */

static size_t publishing_key(uint8_t *out, uint32_t topic_id, uint32_t partition, weir_bytes name)
{
    weir_put_u32(out, topic_id);
    weir_put_u32(out + 4, partition);
    memcpy(out + WEIR_PUBLISHING_HEAD_BYTES, name.ptr, name.len);
    return WEIR_PUBLISHING_HEAD_BYTES + name.len;
}

static weir_publishing *publishing_find(const weir_engine *engine, const weir_partition *partition,
                                        weir_bytes name)
{
    uint8_t key[WEIR_PUBLISHING_HEAD_BYTES + WEIR_PRODUCER_NAME_BYTES_MAX];
    size_t len = publishing_key(key, partition->topic->id, partition->index, name);
    return weir_map_get(&engine->producers.publishing, (weir_bytes){key, len});
}

static weir_err publishing_make(weir_engine *engine, weir_bytes key, weir_publishing **out)
{
    weir_publishing *made = calloc(1, sizeof(*made) + key.len);
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->key_bytes = (uint32_t)key.len;
    memcpy(made->key, key.ptr, key.len);
    weir_err err =
        weir_map_set(&engine->producers.publishing, (weir_bytes){made->key, made->key_bytes}, made);
    if (err != WEIR_OK) {
        free(made);
        return err;
    }
    weir_link_append(&engine->producers.publishing_used, &made->used_link);
    engine->stats.publishing_names++;
    *out = made;
    return WEIR_OK;
}

weir_err weir_publishing_decide(weir_engine *engine, const weir_partition *partition,
                                weir_bytes name, uint64_t id, bool *duplicate)
{
    const weir_publishing *known = publishing_find(engine, partition, name);
    *duplicate = known != NULL && id <= known->last;
    if (known != NULL) {
        return WEIR_OK;
    }
    if (engine->producers.publishing.count >= engine->limits.publishing_names_max) {
        engine->stats.refused_producers++;
        return WEIR_LIMIT;
    }
    return WEIR_OK;
}

weir_err weir_publishing_reserve(weir_engine *engine, const weir_partition *partition,
                                 weir_bytes name, weir_publishing **out)
{
    uint8_t key[WEIR_PUBLISHING_HEAD_BYTES + WEIR_PRODUCER_NAME_BYTES_MAX];
    *out = publishing_find(engine, partition, name);
    if (*out != NULL) {
        return WEIR_OK;
    }
    size_t len = publishing_key(key, partition->topic->id, partition->index, name);
    return publishing_make(engine, (weir_bytes){key, len}, out);
}

static void publishing_apply(weir_engine *engine, weir_publishing *publishing, uint64_t id,
                             int64_t time_ms, uint64_t unit)
{
    publishing->last = id;
    publishing->used_ms = time_ms;
    publishing->unit = unit;
    weir_link_remove(&publishing->used_link);
    weir_link_append(&engine->producers.publishing_used, &publishing->used_link); /* [P2] */
    weir_saved_changed(engine, WEIR_SNAPSHOT_PUBLISHING, &publishing->saved);
}

void weir_publishing_apply(weir_engine *engine, weir_publishing *publishing, uint64_t id)
{
    publishing_apply(engine, publishing, id, engine->engine_ms, weir_engine_unit_now(engine));
    if (!weir_link_in(&publishing->unwritten_link)) {
        weir_link_append(&engine->producers.unwritten, &publishing->unwritten_link);
    }
}

void weir_publishing_unreserve(weir_engine *engine, weir_publishing *publishing)
{
    if (publishing->unit == 0) {
        publishing_forget(engine, publishing); /* made for a record that was refused */
    }
}

/* topic id u32 | partition u32 | publishing id u64 | name */
void weir_publishing_write(weir_engine *engine)
{
    weir_link *unwritten = &engine->producers.unwritten;
    while (!weir_link_empty(unwritten)) {
        weir_publishing *at = WEIR_OWNER_OF(unwritten->next, weir_publishing, unwritten_link);
        weir_link_remove(&at->unwritten_link);
        uint8_t *to = weir_engine_entry(engine, WEIR_ENTRY_PUBLISHING, at->key_bytes + 8);
        memcpy(to, at->key, WEIR_PUBLISHING_HEAD_BYTES);
        weir_put_u64(to + WEIR_PUBLISHING_HEAD_BYTES, at->last);
        memcpy(to + WEIR_PUBLISHING_HEAD_BYTES + 8, at->key + WEIR_PUBLISHING_HEAD_BYTES,
               at->key_bytes - WEIR_PUBLISHING_HEAD_BYTES);
    }
}

weir_err weir_producers_replay_publishing(weir_engine *engine, weir_bytes body,
                                          const weir_journal_unit *unit)
{
    uint8_t key[WEIR_PUBLISHING_HEAD_BYTES + WEIR_PRODUCER_NAME_BYTES_MAX];
    if (body.len <= WEIR_PUBLISHING_HEAD_BYTES + 8 ||
        body.len > WEIR_PUBLISHING_HEAD_BYTES + 8 + WEIR_PRODUCER_NAME_BYTES_MAX) {
        return WEIR_DAMAGED;
    }
    weir_bytes name = {body.ptr + WEIR_PUBLISHING_HEAD_BYTES + 8,
                       body.len - WEIR_PUBLISHING_HEAD_BYTES - 8};
    size_t len = publishing_key(key, weir_get_u32(body.ptr), weir_get_u32(body.ptr + 4), name);
    weir_bytes whole = {key, len};
    weir_publishing *known = weir_map_get(&engine->producers.publishing, whole);
    if (known != NULL && unit->number <= known->unit) {
        return WEIR_OK;
    }
    weir_err err = known == NULL ? publishing_make(engine, whole, &known) : WEIR_OK;
    if (err == WEIR_OK) {
        publishing_apply(engine, known, weir_get_u64(body.ptr + WEIR_PUBLISHING_HEAD_BYTES),
                         unit->engine_ms, unit->number);
    }
    return err;
}

/* ---- From a snapshot -------------------------------------------------------------------------- */

/* Behind the last one that was used no later [P2]. */
static void link_by_use(weir_link *list, weir_link *link, int64_t used_ms,
                        int64_t (*used_of)(const weir_link *link))
{
    weir_link *before = list->previous;
    while (before != list && used_of(before) > used_ms) {
        before = before->previous;
    }
    link->previous = before;
    link->next = before->next;
    before->next->previous = link;
    before->next = link;
}

static int64_t producer_used(const weir_link *link)
{
    return WEIR_OWNER_OF(link, const weir_producer, used_link)->used_ms;
}

static int64_t publishing_used(const weir_link *link)
{
    return WEIR_OWNER_OF(link, const weir_publishing, used_link)->used_ms;
}

weir_err weir_producer_put(weir_engine *engine, weir_producer *producer, uint64_t unit)
{
    weir_producer *before = producer_find(engine, producer->id);
    if (before != NULL) {
        producer_forget(engine, before);
    }
    weir_err err = weir_map_set(&engine->producers.by_id, id_key(producer), producer);
    if (err == WEIR_OK) {
        producer->unit = unit;
        link_by_use(&engine->producers.used, &producer->used_link, producer->used_ms,
                    producer_used);
        engine->producers.place_count += producer->place_count;
        if (producer->id >= engine->producers.id_next) {
            engine->producers.id_next = producer->id + 1;
        }
        weir_saved_loaded(engine, WEIR_SNAPSHOT_PRODUCER, &producer->saved);
        engine->stats.producers++;
    }
    return err;
}

void weir_producer_drop(weir_engine *engine, int64_t id)
{
    weir_producer *producer = producer_find(engine, id);
    if (producer != NULL) {
        producer_forget(engine, producer);
    }
}

void weir_publishing_drop(weir_engine *engine, weir_bytes key)
{
    weir_publishing *publishing = weir_map_get(&engine->producers.publishing, key);
    if (publishing != NULL) {
        publishing_forget(engine, publishing);
    }
}

weir_err weir_publishing_put(weir_engine *engine, weir_bytes key, uint64_t last, int64_t used_ms,
                             uint64_t unit)
{
    weir_publishing *publishing = weir_map_get(&engine->producers.publishing, key);
    weir_err err = publishing == NULL ? publishing_make(engine, key, &publishing) : WEIR_OK;
    if (err == WEIR_OK) {
        publishing->last = last;
        publishing->used_ms = used_ms;
        publishing->unit = unit;
        weir_link_remove(&publishing->used_link);
        link_by_use(&engine->producers.publishing_used, &publishing->used_link, used_ms,
                    publishing_used);
        weir_saved_loaded(engine, WEIR_SNAPSHOT_PUBLISHING, &publishing->saved);
    }
    return err;
}

/* ---- Expiry ----------------------------------------------------------------------------------- */

static void producer_expire(weir_engine *engine, weir_producer *producer)
{
    uint8_t identity[8];
    weir_put_u64(identity, (uint64_t)producer->id);
    weir_saved_gone(engine, WEIR_SNAPSHOT_PRODUCER, &producer->saved, WEIR_BYTES(identity));
    producer_forget(engine, producer);
}

static void publishing_expire(weir_engine *engine, weir_publishing *publishing)
{
    weir_saved_gone(engine, WEIR_SNAPSHOT_PUBLISHING, &publishing->saved,
                    (weir_bytes){publishing->key, publishing->key_bytes});
    publishing_forget(engine, publishing);
}

static void expire_through(weir_engine *engine, int64_t time_ms, uint64_t unit)
{
    weir_producers *all = &engine->producers;
    while (!weir_link_empty(&all->used)) {
        weir_producer *oldest = WEIR_OWNER_OF(all->used.next, weir_producer, used_link);
        if (oldest->used_ms > time_ms || oldest->unit >= unit) {
            break;
        }
        producer_expire(engine, oldest);
    }
    while (!weir_link_empty(&all->publishing_used)) {
        weir_publishing *oldest =
            WEIR_OWNER_OF(all->publishing_used.next, weir_publishing, used_link);
        if (oldest->used_ms > time_ms || oldest->unit >= unit) {
            break;
        }
        publishing_expire(engine, oldest);
    }
}

static int64_t oldest_use(const weir_producers *all)
{
    int64_t oldest = INT64_MAX;
    if (!weir_link_empty(&all->used)) {
        oldest = WEIR_OWNER_OF(all->used.next, weir_producer, used_link)->used_ms;
    }
    if (!weir_link_empty(&all->publishing_used)) {
        int64_t used =
            WEIR_OWNER_OF(all->publishing_used.next, weir_publishing, used_link)->used_ms;
        oldest = used < oldest ? used : oldest;
    }
    return oldest;
}

/* kind u8 | 0 x 3 | through i64, engine time */
void weir_producers_expire(weir_engine *engine)
{
    int64_t through = engine->engine_ms - (int64_t)engine->config.producer_expiry_ms;
    if (oldest_use(&engine->producers) > through ||
        atomic_load_explicit(&engine->health, memory_order_relaxed) != WEIR_HEALTH_OK ||
        weir_engine_unit(engine, 64) != WEIR_OK) {
        return;
    }
    uint8_t *at = weir_engine_entry(engine, WEIR_ENTRY_EXPIRE, 12);
    memset(at, 0, 4);
    at[0] = EXPIRE_PRODUCERS;
    weir_put_u64(at + 4, (uint64_t)through);
    expire_through(engine, through, weir_engine_unit_now(engine));
}

weir_err weir_producers_replay_expire(weir_engine *engine, weir_bytes body,
                                      const weir_journal_unit *unit)
{
    if (body.len != 12 || body.ptr[0] != EXPIRE_PRODUCERS) {
        return WEIR_DAMAGED;
    }
    expire_through(engine, (int64_t)weir_get_u64(body.ptr + 4), unit->number);
    return WEIR_OK;
}

/* ---- Operations ------------------------------------------------------------------------------- */

static weir_err where_was_i(const weir_engine *engine, const weir_op *op, weir_producer_info *info)
{
    weir_bytes topic_name = {op->data, op->producer.topic_bytes};
    weir_bytes name = {op->data + topic_name.len, op->producer.name_bytes};
    const weir_topic *topic = weir_topics_find(engine, topic_name);
    if (topic == NULL || op->producer.partition >= topic->partition_count) {
        return WEIR_NOT_FOUND;
    }
    const weir_publishing *known =
        publishing_find(engine, topic->partitions[op->producer.partition], name);
    info->known = known != NULL;
    info->publishing_id = known != NULL ? known->last : 0;
    return WEIR_OK;
}

void weir_producers_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_completion done = {.type = WEIR_COMPLETION_PRODUCER, .user = op->user, .token = op->token};
    done.err = op->type == WEIR_OP_PRODUCER_OPEN ? producer_open(engine, &done.producer)
                                                 : where_was_i(engine, op, &done.producer);
    weir_port_answer(port, &done, weir_engine_unit_now(engine), WEIR_LEVEL_DISK); /* [E4] */
}
