/* core/log/compactor.c - one compaction: two passes over closed segments, in steps of bounded work.
 *
 *   MAP      reads what is dirty; the newest offset of each key, as far as memory goes
 *   REWRITE  reads from the first source on; writes what stays
 *
 *   sources  |  s0  |  s1  |  s2  |             dirty_from      mapped_to
 *            ^begin    ^dirty_from     ^mapped_to ...           records behind it all stay
 *   made     |  m0    |  m1       |             m0 begins where s0 did, the last ends where the last
 *                                               rewritten source did, and nothing between is missing
 *
 * A record goes when it is below the start, or when its key has a newer one below mapped_to, or
 * when it is a tombstone whose time is over. A batch that loses all of its records goes; the one
 * before it covers its offsets then, or the next, when it was the first. So whatever reads segments
 * finds every offset in some batch, as in a log that was never compacted. The last record stays until
 * a later compaction, whatever it is: who reads to the end finds one there.
 *
 * The time of a tombstone: the compaction that first lets it pass, and so removes what it deletes,
 * writes into its batch when it may go (Kafka's delete horizon). Whoever has read an older value
 * before has so long to come by.
 *
 * [Z1] Batches that are made cover [begin, end of the last source) without a hole.
 * [Z2] Offsets, times, keys, values, headers, attributes of what stays are those it had.
 * [Z3] What is made is synced before *done is told; the sources are never touched. */
#include "core/log/compactor.h"

#include "core/base/assert.h"
#include "core/env/failpoint.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 512 << 10,
    READ_CHUNKS = 64,
    SPAN_MAX = 1 << 30, /* offsets that one batch covers */
};

/* A compaction by range (plan.by_range) has the second pass alone, and mapped_to is the end. */
typedef enum phase { PHASE_MAP, PHASE_REWRITE, PHASE_DONE } phase;

struct weir_compactor {
    weir_compactor_plan plan;
    weir_segment **sources;
    char *dir;
    char *parent;
    phase phase;
    int64_t at; /* the next offset to read */
    int64_t begin;
    int64_t end; /* of what is rewritten */
    int64_t mapped_to;
    weir_key_map map;

    weir_segment **made;
    uint32_t made_count;
    bool dir_made;
    /* The newest batch, not written yet: it may have to cover more. */
    uint8_t *pending;
    size_t pending_len;
    size_t pending_capacity;
    int64_t pending_base; /* -1: there is none */
    int64_t pending_end;

    bool *keep;
    size_t keep_capacity;
    int64_t tombstones_due_ms;
    uint64_t records_removed;
    uint32_t kept_at; /* of plan.kept: those before it end before what is read next */
};

static void bounds(const weir_segment *segment, int64_t *base, int64_t *end)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    *base = state.base_offset;
    *end = state.end_offset;
}

/* ---- Life
 * ------------------------------------------------------------------------------------------------
 */

weir_err weir_compactor_create(const weir_compactor_plan *plan, weir_compactor **out)
{
    WEIR_ASSERT(plan->source_count > 0);
    int64_t ignored;
    weir_compactor *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->plan = *plan;
    made->plan.topic = weir_topic_ref_keep(plan->topic);
    made->sources = calloc(plan->source_count, sizeof(weir_segment *));
    made->dir = strdup(plan->dir);
    made->parent = strdup(plan->parent);
    if (made->sources == NULL || made->dir == NULL || made->parent == NULL) {
        made->plan.source_count = 0;
        weir_compactor_destroy(made);
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < plan->source_count; i++) {
        made->sources[i] = weir_segment_keep(plan->sources[i]);
    }
    bounds(made->sources[0], &made->begin, &ignored);
    bounds(made->sources[plan->source_count - 1], &ignored, &made->end);
    made->map.bytes_max = plan->memory_bytes_max;
    made->at = plan->dirty_from > made->begin ? plan->dirty_from : made->begin;
    made->mapped_to = made->end;
    made->pending_base = -1;
    made->tombstones_due_ms = INT64_MAX;
    if (plan->by_range) {
        made->phase = PHASE_REWRITE;
        made->at = made->begin;
    }
    *out = made;
    return WEIR_OK;
}

void weir_compactor_destroy(weir_compactor *compactor)
{
    if (compactor == NULL) {
        return;
    }
    for (uint32_t i = 0; i < compactor->plan.source_count; i++) {
        weir_segment_drop(compactor->sources[i]);
    }
    for (uint32_t i = 0; i < compactor->made_count; i++) {
        weir_segment_drop(compactor->made[i]);
    }
    weir_key_map_fini(&compactor->map);
    weir_topic_ref_drop(compactor->plan.topic);
    free(compactor->sources);
    free(compactor->made);
    free(compactor->dir);
    free(compactor->parent);
    free(compactor->pending);
    free(compactor->keep);
    free(compactor);
}

void weir_compactor_discard(weir_compactor *compactor)
{
    for (uint32_t i = 0; i < compactor->made_count; i++) {
        (void)weir_segment_remove(compactor->made[i]); /* the sweep finds what stays */
    }
    if (compactor->dir_made) {
        weir_env *env = compactor->plan.env;
        (void)env->ops->dir_remove(env, compactor->dir);
    }
}

void weir_compactor_result_of(const weir_compactor *compactor, weir_compactor_result *result)
{
    *result = (weir_compactor_result){
        .segments = compactor->made,
        .segment_count = compactor->made_count,
        .clean_to = compactor->mapped_to < compactor->end ? compactor->mapped_to : compactor->end,
        .tombstones_due_ms = compactor->tombstones_due_ms,
        .records_removed = compactor->records_removed,
    };
    for (uint32_t i = 0; i < compactor->plan.source_count; i++) {
        int64_t base, end;
        bounds(compactor->sources[i], &base, &end);
        result->source_count += end <= compactor->end ? 1 : 0;
    }
}

/* ---- The first pass
 * --------------------------------------------------------------------------------------- */

/* The rewriting ends with the source that holds the last mapped offset. Where nothing was dirty nothing
 * was mapped, and all of it is rewritten: tombstones may be due. */
static weir_err map_end(weir_compactor *compactor, bool full)
{
    if (full && (compactor->mapped_to <= compactor->plan.dirty_from ||
                 compactor->mapped_to <= compactor->begin)) {
        return WEIR_LIMIT;
    }
    for (uint32_t i = 0; i < compactor->plan.source_count; i++) {
        int64_t base, end;
        bounds(compactor->sources[i], &base, &end);
        if (base < compactor->mapped_to) {
            compactor->end = end;
        }
    }
    compactor->phase = PHASE_REWRITE;
    compactor->at = compactor->begin;
    return WEIR_OK;
}

/* LIMIT: memory is used up, and mapped_to says where. */
static weir_err map_chunk(weir_compactor *compactor, weir_chunk *chunk)
{
    for (uint32_t i = weir_chunk_index_at(chunk, compactor->at); i < chunk->count; i++) {
        weir_record record;
        weir_chunk_record(chunk, i, &record);
        if (record.key.ptr == NULL) {
            continue;
        }
        weir_err err = weir_key_map_put(&compactor->map, record.key, record.offset);
        if (err != WEIR_OK) {
            compactor->mapped_to = record.offset;
            return err;
        }
    }
    return WEIR_OK;
}

/* ---- The second pass: writing
 * ----------------------------------------------------------------------------- */

static weir_err folder_make(weir_compactor *compactor)
{
    weir_env *env = compactor->plan.env;
    if (compactor->dir_made) {
        return WEIR_OK;
    }
    weir_err err = env->ops->dir_make(env, compactor->dir);
    err = err == WEIR_OK ? WEIR_FAILPOINT(compaction_folder_made) : err;
    err = err == WEIR_OK ? env->ops->dir_sync(env, compactor->parent) : err;
    compactor->dir_made = err == WEIR_OK;
    return err;
}

/* The segment that a batch of `len` bytes goes to. */
static weir_err segment_for(weir_compactor *compactor, const weir_chunk *chunk, weir_segment **out)
{
    weir_segment *last =
        compactor->made_count > 0 ? compactor->made[compactor->made_count - 1] : NULL;
    if (last != NULL) {
        weir_segment_state state;
        weir_segment_state_of(last, &state);
        if (state.bytes + chunk->batch_bytes <= compactor->plan.segment_bytes_max) {
            *out = last;
            return WEIR_OK;
        }
    }
    weir_segment **grown =
        realloc(compactor->made, (compactor->made_count + 1) * sizeof(weir_segment *));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    compactor->made = grown;
    weir_err err = last != NULL ? weir_segment_sync(last) : WEIR_OK;
    err = err == WEIR_OK ? folder_make(compactor) : err;
    if (err == WEIR_OK) {
        err = weir_segment_create(compactor->plan.env, compactor->dir, compactor->plan.term,
                                  chunk->base_offset, chunk->timestamp_ms, out);
    }
    if (err == WEIR_OK) {
        compactor->made[compactor->made_count++] = *out;
    }
    return err;
}

/* [Z1] Writes the pending batch, which ends where the next one begins. */
static weir_err pending_write(weir_compactor *compactor, int64_t end_offset)
{
    weir_segment *segment = NULL;
    weir_chunk *chunk = NULL;
    if (compactor->pending_end != end_offset) {
        weir_batch_stretch(compactor->pending, compactor->pending_len, end_offset);
    }
    weir_bytes batch = {compactor->pending, compactor->pending_len};
    weir_err err =
        weir_chunk_from_batch(compactor->plan.topic, compactor->plan.partition, batch, &chunk);
    if (err != WEIR_OK) {
        return err;
    }
    err = segment_for(compactor, chunk, &segment);
    err = err == WEIR_OK ? weir_segment_append(segment, &chunk, 1) : err;
    if (err == WEIR_OK) {
        weir_segment_records_add(segment, chunk->count);
    }
    weir_chunk_drop(chunk);
    compactor->pending_base = -1;
    return err == WEIR_OK ? WEIR_FAILPOINT(compaction_appended) : err;
}

static weir_err pending_room(weir_compactor *compactor, size_t bytes)
{
    if (bytes <= compactor->pending_capacity) {
        return WEIR_OK;
    }
    uint8_t *grown = realloc(compactor->pending, bytes);
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    compactor->pending = grown;
    compactor->pending_capacity = bytes;
    return WEIR_OK;
}

/* Makes what stays of the chunk the pending batch. */
static weir_err chunk_emit(weir_compactor *compactor, weir_chunk *chunk, uint32_t kept,
                           int64_t horizon_ms)
{
    bool first = compactor->pending_base < 0;
    weir_err err = first ? WEIR_OK : pending_write(compactor, chunk->base_offset);
    weir_bytes batch = weir_chunk_batch(chunk);
    bool packed = chunk->plain != chunk->batch; /* compressed: what stays of it is written plain */
    weir_bytes plain = {chunk->plain, packed ? chunk->plain_bytes : chunk->batch_bytes};
    err = err == WEIR_OK
              ? pending_room(compactor, batch.len + weir_batch_filter_room(plain, chunk->count))
              : err;
    if (err != WEIR_OK) {
        return err;
    }
    const weir_batch_filter_plan plan = {
        .base_offset = first ? compactor->begin : chunk->base_offset,
        .end_offset = weir_chunk_end(chunk),
        .horizon_ms = horizon_ms,
    };
    if (kept == chunk->count && plan.base_offset == chunk->base_offset && horizon_ms == 0) {
        memcpy(compactor->pending, batch.ptr, batch.len); /* byte for byte */
        compactor->pending_len = batch.len;
    } else {
        compactor->pending_len =
            weir_batch_filter(plain, chunk->positions, compactor->keep, &plan, compactor->pending);
    }
    compactor->pending_base = plan.base_offset;
    compactor->pending_end = plan.end_offset;
    return WEIR_OK;
}

/* ---- The second pass: choosing
 * ---------------------------------------------------------------------------- */

/* What is decided about one batch. */
typedef struct verdict {
    uint32_t kept;
    bool tombstones; /* some stay that a compaction has passed */
} verdict;

static int64_t horizon_of(const weir_chunk *chunk)
{
    weir_batch_head head;
    bool has = weir_batch_head_decode(weir_chunk_batch(chunk), &head) == WEIR_OK &&
               (head.attributes & WEIR_BATCH_DELETE_HORIZON) != 0;
    return has ? head.base_timestamp : 0;
}

static bool superseded(const weir_compactor *compactor, const weir_record *record)
{
    int64_t newest;
    return weir_key_map_get(&compactor->map, record->key, &newest) && newest > record->offset;
}

static bool in_range(weir_compactor *compactor, int64_t offset)
{
    const weir_compactor_plan *plan = &compactor->plan;
    while (compactor->kept_at < plan->kept_count && plan->kept[compactor->kept_at].last < offset) {
        compactor->kept_at++;
    }
    return compactor->kept_at < plan->kept_count && plan->kept[compactor->kept_at].first <= offset;
}

static bool stays(weir_compactor *compactor, const weir_record *record, int64_t horizon_ms,
                  verdict *about)
{
    if (record->offset < compactor->plan.start_offset) {
        return false;
    }
    if (compactor->plan.by_range) {
        return in_range(compactor, record->offset);
    }
    if (record->key.ptr == NULL || record->offset >= compactor->mapped_to) {
        return true;
    }
    if (superseded(compactor, record)) {
        return false;
    }
    if (record->value.ptr == NULL) {
        if (horizon_ms != 0 && horizon_ms <= compactor->plan.now_ms) {
            return record->offset == compactor->end - 1;
        }
        about->tombstones = true;
    }
    return true;
}

static weir_err keep_room(weir_compactor *compactor, uint32_t count)
{
    if (count <= compactor->keep_capacity) {
        return WEIR_OK;
    }
    bool *grown = realloc(compactor->keep, count * sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    compactor->keep = grown;
    compactor->keep_capacity = count;
    return WEIR_OK;
}

/* Whether a batch of which nothing would stay has to leave a record, so that something covers. */
static bool must_cover(const weir_compactor *compactor, const weir_chunk *chunk)
{
    int64_t from = compactor->pending_base >= 0 ? compactor->pending_base : compactor->begin;
    bool nothing = compactor->pending_base < 0 && weir_chunk_end(chunk) >= compactor->end;
    return nothing || weir_chunk_end(chunk) - from > SPAN_MAX;
}

static weir_err rewrite_chunk(weir_compactor *compactor, weir_chunk *chunk)
{
    verdict about = {0};
    int64_t horizon_ms = horizon_of(chunk);
    weir_err err = keep_room(compactor, chunk->count);
    for (uint32_t i = 0; i < chunk->count && err == WEIR_OK; i++) {
        weir_record record;
        weir_chunk_record(chunk, i, &record);
        compactor->keep[i] = stays(compactor, &record, horizon_ms, &about);
        about.kept += compactor->keep[i] ? 1 : 0;
    }
    if (err == WEIR_OK && about.kept == 0 && must_cover(compactor, chunk)) {
        compactor->keep[chunk->count - 1] = true;
        about.kept = 1;
    }
    if (err != WEIR_OK) {
        return err;
    }
    compactor->records_removed += chunk->count - about.kept;
    int64_t due_ms = INT64_MAX;
    int64_t set_ms = 0;
    if (about.tombstones && weir_chunk_end(chunk) <= compactor->mapped_to) {
        due_ms = horizon_ms != 0 ? horizon_ms
                                 : compactor->plan.now_ms + compactor->plan.delete_retention_ms;
        set_ms = horizon_ms != 0 ? 0 : due_ms;
    }
    compactor->tombstones_due_ms =
        due_ms < compactor->tombstones_due_ms ? due_ms : compactor->tombstones_due_ms;
    return about.kept > 0 ? chunk_emit(compactor, chunk, about.kept, set_ms) : WEIR_OK;
}

static weir_err rewrite_end(weir_compactor *compactor)
{
    weir_err err = pending_write(compactor, compactor->end);
    err = err == WEIR_OK ? weir_segment_sync(compactor->made[compactor->made_count - 1]) : err;
    err = err == WEIR_OK ? WEIR_FAILPOINT(compaction_synced) : err;
    compactor->phase = err == WEIR_OK ? PHASE_DONE : compactor->phase; /* [Z3] */
    return err;
}

/* ---- Steps
 * ------------------------------------------------------------------------------------------------
 */

static weir_segment *source_of(const weir_compactor *compactor, int64_t offset)
{
    for (uint32_t i = 0; i < compactor->plan.source_count; i++) {
        int64_t base, end;
        bounds(compactor->sources[i], &base, &end);
        if (offset < end) {
            return compactor->sources[i];
        }
    }
    return NULL;
}

static weir_err chunks_take(weir_compactor *compactor, weir_chunk **chunks, uint32_t count,
                            uint64_t *bytes)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        if (weir_chunk_end(chunks[i]) <= compactor->at || compactor->at >= compactor->end) {
            continue;
        }
        err = compactor->phase == PHASE_MAP ? map_chunk(compactor, chunks[i])
                                            : rewrite_chunk(compactor, chunks[i]);
        compactor->at = weir_chunk_end(chunks[i]);
        *bytes += chunks[i]->batch_bytes;
    }
    return err;
}

/* Reads on from `at`, and takes what came. */
static weir_err read_on(weir_compactor *compactor, uint64_t *bytes)
{
    weir_chunk *chunks[READ_CHUNKS];
    uint32_t count = 0;
    int64_t bad_from, bad_to;
    weir_segment *source = source_of(compactor, compactor->at);
    WEIR_ASSERT(source != NULL);
    weir_err err =
        weir_segment_read(source, compactor->plan.topic, compactor->plan.partition, compactor->at,
                          READ_BYTES, chunks, READ_CHUNKS, &count, &bad_from, &bad_to);
    if (err != WEIR_OK) {
        return err == WEIR_EMPTY ? WEIR_DAMAGED : err; /* the sources have no holes */
    }
    err = chunks_take(compactor, chunks, count, bytes);
    for (uint32_t i = 0; i < count; i++) {
        weir_chunk_drop(chunks[i]);
    }
    return err;
}

weir_err weir_compactor_step(weir_compactor *compactor, uint64_t bytes, bool *done)
{
    uint64_t read = 0;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && compactor->phase != PHASE_DONE && read < bytes) {
        bool more = compactor->at < compactor->end;
        if (more) {
            err = read_on(compactor, &read);
        }
        bool full = compactor->phase == PHASE_MAP && err == WEIR_LIMIT;
        if (compactor->phase == PHASE_MAP && (full || (err == WEIR_OK && !more))) {
            err = map_end(compactor, full);
        } else if (err == WEIR_OK && !more) {
            err = rewrite_end(compactor);
        }
    }
    *done = err == WEIR_OK && compactor->phase == PHASE_DONE;
    return err;
}
