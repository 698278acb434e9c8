/* core/engine/ahead.c - what a reader of the log will ask for next is read while it takes what it had.
 *
 *   fetch at 0 -----> read [0, a)              slot: a          the first tells nothing
 *   fetch at a -----> read [a, b)              slot: b, read [b, c) begins     it goes on: sequential
 *   fetch at b -----> takes [b, c)             slot: c, read [c, d) begins
 *                     running: it is answered when it ends; ended: at once
 *
 * Happy path: a fetch from disk begins where the one before it ended; the next span is read at once,
 * and waits in its slot for the fetch that wants it. Slots are few: who finds none reads without.
 *
 * Failures: a read ahead that fails is forgotten, the fetch reads by itself and meets the reason.
 *
 * [A1] A read is in its slot, or a fetch's, or nobody's: then it is freed when it ends.
 * [A2] What ended in a slot holds chunks and no segment, and not for longer than AHEAD_NS_MAX, so
 *      that it keeps no removed file and tells of no state that is long gone.
 * [A3] A fetch gets no more than it asks for: what was read with a larger bound is not given. */
#include "core/engine/ops.h"

#include <stdlib.h>

enum { AHEAD_NS_MAX = 1000 * 1000 * 1000, AHEAD_BYTES_MAX = 2 << 20 };

static weir_ahead *slot_find(weir_engine *engine, uint32_t topic_id, uint32_t partition,
                             int64_t offset)
{
    for (uint32_t i = 0; i < WEIR_AHEAD_MAX; i++) {
        weir_ahead *slot = &engine->ahead[i];
        if (slot->used && slot->topic_id == topic_id && slot->partition == partition &&
            slot->next == offset) {
            return slot;
        }
    }
    return NULL;
}

static void slot_clear(weir_ahead *slot)
{
    if (slot->read != NULL && !weir_link_in(&slot->read->link)) {
        weir_read_free(slot->read); /* one that runs is freed when it ends: [A1] */
    }
    *slot = (weir_ahead){0};
}

static weir_ahead *slot_free(weir_engine *engine)
{
    for (uint32_t i = 0; i < WEIR_AHEAD_MAX; i++) {
        if (!engine->ahead[i].used) {
            return &engine->ahead[i];
        }
    }
    return NULL;
}

weir_read *weir_ahead_take(weir_engine *engine, const weir_partition *partition, int64_t offset,
                           uint64_t bytes_max)
{
    weir_ahead *slot = slot_find(engine, partition->topic->id, partition->index, offset);
    if (slot == NULL || slot->read == NULL || slot->read->bytes_max > bytes_max) {
        return NULL; /* [A3] */
    }
    weir_read *read = slot->read;
    slot->read = NULL;
    return read;
}

void weir_ahead_go_on(weir_engine *engine, weir_partition *partition, const weir_read *read)
{
    if (partition == NULL || read->err != WEIR_OK || read->chunk_count == 0) {
        return;
    }
    weir_ahead *slot = slot_find(engine, read->topic_id, read->partition, read->offset);
    bool sequential = slot != NULL;
    if (sequential) {
        slot_clear(slot); /* another reader is at the same place */
    } else {
        slot = slot_free(engine);
    }
    int64_t next = weir_chunk_end(read->chunks[read->chunk_count - 1]);
    if (slot == NULL || slot_find(engine, read->topic_id, read->partition, next) != NULL) {
        return;
    }
    *slot = (weir_ahead){.used = true,
                         .topic_id = read->topic_id,
                         .partition = read->partition,
                         .next = next,
                         .used_ns = engine->now_ns};
    if (sequential && next < partition->flushed_offset &&
        weir_tail_find(&partition->tail, next) == NULL &&
        weir_read_start(engine, partition, next, NULL, &slot->read) == WEIR_OK) {
        slot->read->ahead = true;
        slot->read->bytes_max =
            read->bytes_max < AHEAD_BYTES_MAX ? read->bytes_max : (uint64_t)AHEAD_BYTES_MAX;
        engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &slot->read->job);
    }
}

void weir_ahead_finished(weir_engine *engine, weir_read *read)
{
    for (uint32_t i = 0; i < WEIR_AHEAD_MAX; i++) {
        weir_ahead *slot = &engine->ahead[i];
        if (slot->read == read && read->err == WEIR_OK) {
            weir_read_let_go(read); /* [A2] */
            return;
        }
        slot->read = slot->read == read ? NULL : slot->read;
    }
    weir_read_free(read);
}

void weir_ahead_expire(weir_engine *engine)
{
    for (uint32_t i = 0; i < WEIR_AHEAD_MAX; i++) {
        if (engine->ahead[i].used && engine->ahead[i].used_ns + AHEAD_NS_MAX <= engine->now_ns) {
            slot_clear(&engine->ahead[i]); /* [A2] */
        }
    }
}

void weir_ahead_fini(weir_engine *engine)
{
    for (uint32_t i = 0; i < WEIR_AHEAD_MAX; i++) {
        slot_clear(&engine->ahead[i]);
    }
}
