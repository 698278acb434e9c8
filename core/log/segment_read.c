/* core/log/segment_read.c - reads batches of a segment, and serves none that is not proved.
 *
 *   table    p0   p1   p2   p3 ...        a plan is a copy of some places, made under the mutex;
 *                [ plan   ]               the file is read without it
 *   .log     b0 | b1 | b2 | b3 | ...
 *                [ window ]               read at once, then each batch is checked and copied
 *
 * A batch is served when its 61-byte head has the CRC of its place, the batch is as long as its
 * place, passes weir_batch_check, and has the offsets that its place tells. The first that does not
 * ends the call: it is an error only when nothing came before it, so that the next call, which asks
 * from there, meets it first.
 *
 * [R1] Nothing of a batch leaves before all of it has been checked.
 * [R2] The mutex is held for memory only: whoever asks for the state waits for no disk.
 * [R3] On an error no chunk is left with the caller. */
#include "core/base/assert.h"
#include "core/base/hash.h"
#include "core/log/segment_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    PLAN_BYTES_MAX = 8 << 20, /* a call gives no more, unless one batch has more */
    WINDOW_BYTES_MAX = 256 << 10,
};

/* Places to read; one more tells where the last of them ends. */
typedef struct read_plan {
    weir_heads_place *places;
    size_t count;
} read_plan;

typedef struct reader {
    weir_segment *segment;
    weir_topic_ref *topic;
    uint32_t partition;
    uint8_t *window;
    size_t window_capacity;
} reader;

/* The place behind the last one begins where the state ends. */
static weir_heads_place place_at(const weir_segment *segment, size_t index)
{
    if (index < segment->table.count) {
        return segment->table.places[index];
    }
    return (weir_heads_place){
        .position = segment->state.bytes, .base_offset = segment->state.end_offset, .bad = true};
}

/* How many places from `index` on are good, and within `bytes_max` and `max`; one at least. */
static size_t plan_count(const weir_segment *segment, size_t index, uint64_t bytes_max, size_t max)
{
    const uint64_t from = place_at(segment, index).position;
    size_t count = 1;
    while (count < max && !place_at(segment, index + count).bad &&
           place_at(segment, index + count + 1).position - from <= bytes_max) {
        count++;
    }
    return count;
}

/* With the mutex held and the table loaded. */
static weir_err plan_make(const weir_segment *segment, int64_t offset, uint64_t bytes_max,
                          uint32_t max, read_plan *plan, int64_t *bad_from, int64_t *bad_to)
{
    if (offset >= segment->state.end_offset) {
        return WEIR_EMPTY;
    }
    size_t index = weir_heads_find_offset(&segment->table, offset);
    if (place_at(segment, index).bad) {
        *bad_from = place_at(segment, index).base_offset;
        *bad_to = place_at(segment, index + 1).base_offset;
        return WEIR_DAMAGED;
    }
    bytes_max = bytes_max < PLAN_BYTES_MAX ? bytes_max : PLAN_BYTES_MAX;
    size_t count = plan_count(segment, index, bytes_max, max);
    plan->places = malloc((count + 1) * sizeof(weir_heads_place));
    if (plan->places == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i <= count; i++) {
        plan->places[i] = place_at(segment, index + i);
    }
    plan->count = count;
    return WEIR_OK;
}

/* [R1] `bytes` is what the file has of the batch, which may be less than its place says. */
static weir_err batch_serve(const reader *from, const weir_heads_place *place, weir_bytes bytes,
                            weir_chunk **chunk)
{
    weir_chunk *made;
    if (bytes.len != place[1].position - place->position || bytes.len < WEIR_BATCH_HEAD_BYTES ||
        weir_crc32c(0, bytes.ptr, WEIR_BATCH_HEAD_BYTES) != place->head_crc) {
        return WEIR_DAMAGED;
    }
    weir_err err = weir_chunk_from_batch(from->topic, from->partition, bytes, &made);
    if (err != WEIR_OK) {
        return err == WEIR_NO_MEMORY || err == WEIR_UNSUPPORTED ? err : WEIR_DAMAGED;
    }
    if (made->base_offset != place->base_offset || weir_chunk_end(made) != place[1].base_offset) {
        weir_chunk_drop(made);
        return WEIR_DAMAGED;
    }
    *chunk = made;
    return WEIR_OK;
}

/* Places from the first on that are read at once. */
static size_t window_count(const weir_heads_place *places, size_t left)
{
    size_t count = 1;
    while (count < left && places[count + 1].position - places[0].position <= WINDOW_BYTES_MAX) {
        count++;
    }
    return count;
}

static weir_err window_read(reader *from, uint64_t position, size_t len, size_t *got)
{
    if (len > from->window_capacity) {
        free(from->window); /* what it had is not needed */
        from->window = malloc(len);
        from->window_capacity = from->window == NULL ? 0 : len;
    }
    if (from->window == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_env *env = from->segment->env;
    return env->ops->file_read(env, from->segment->log, from->window, len, position, got);
}

/* Reads and serves `count` places; *served tells how many, also when it fails. */
static weir_err window_serve(reader *from, const weir_heads_place *places, size_t count,
                             weir_chunk **chunks, size_t *served)
{
    size_t len = (size_t)(places[count].position - places[0].position), got;
    weir_err err = window_read(from, places[0].position, len, &got);
    for (*served = 0; err == WEIR_OK && *served < count; *served += err == WEIR_OK) {
        const weir_heads_place *place = &places[*served];
        size_t begin = (size_t)(place->position - places[0].position);
        size_t end = (size_t)(place[1].position - places[0].position);
        begin = begin < got ? begin : got;
        end = end < got ? end : got;
        err = batch_serve(from, place, (weir_bytes){from->window + begin, end - begin},
                          &chunks[*served]);
    }
    return err;
}

/* Reads the plan in windows; stops at the first batch that cannot be served. */
static weir_err plan_serve(reader *from, const read_plan *plan, weir_chunk **chunks, size_t *served)
{
    weir_err err = WEIR_OK;
    *served = 0;
    while (err == WEIR_OK && *served < plan->count) {
        size_t part;
        size_t count = window_count(plan->places + *served, plan->count - *served);
        err = window_serve(from, plan->places + *served, count, chunks + *served, &part);
        *served += part;
    }
    return err;
}

/* Pinned. OK: the table is loaded, and the mutex held. */
static weir_err table_lock(weir_segment *segment)
{
    weir_err err = weir_segment_load(segment);
    if (err != WEIR_OK) {
        return err;
    }
    (void)pthread_mutex_lock(&segment->mutex); /* [R2] */
    if (!segment->loaded) {                    /* it could not grow: the next use tries again */
        (void)pthread_mutex_unlock(&segment->mutex);
        return WEIR_NO_MEMORY;
    }
    return WEIR_OK;
}

weir_err weir_segment_read(weir_segment *segment, weir_topic_ref *topic, uint32_t partition,
                           int64_t offset, uint64_t bytes_max, weir_chunk **chunks, uint32_t max,
                           uint32_t *count, int64_t *bad_from, int64_t *bad_to)
{
    WEIR_ASSERT(max > 0);
    read_plan plan = {0};
    weir_segment_pin(segment);
    weir_err err = table_lock(segment);
    if (err == WEIR_OK) {
        err = plan_make(segment, offset, bytes_max, max, &plan, bad_from, bad_to);
        (void)pthread_mutex_unlock(&segment->mutex);
    }
    if (err != WEIR_OK) {
        weir_segment_unpin(segment);
        return err;
    }
    reader from = {.segment = segment, .topic = topic, .partition = partition};
    size_t served;
    err = plan_serve(&from, &plan, chunks, &served);
    weir_segment_unpin(segment);
    if (served > 0) {
        *count = (uint32_t)served; /* [R3] an error behind them is met by the next call */
        err = WEIR_OK;
    } else if (err == WEIR_DAMAGED || err == WEIR_UNSUPPORTED) {
        *bad_from = plan.places[0].base_offset;
        *bad_to = plan.places[1].base_offset;
    }
    free(from.window);
    free(plan.places);
    return err;
}

weir_err weir_segment_find_time(weir_segment *segment, int64_t time_ms, int64_t *offset)
{
    weir_segment_pin(segment);
    weir_err err = table_lock(segment);
    if (err == WEIR_OK) {
        size_t index = weir_heads_find_time(&segment->table, time_ms);
        if (index == segment->table.count) {
            err = WEIR_EMPTY;
        } else {
            *offset = segment->table.places[index].base_offset;
        }
        (void)pthread_mutex_unlock(&segment->mutex);
    }
    weir_segment_unpin(segment);
    return err;
}
