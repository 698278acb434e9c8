/* core/engine/straight_find.c - recovery: finds and checks the batches that units refer to.
 *
 *   unit (term t) --reference: topic, partition, base offset--> <data>/log/<topic>/<partition>/<t>/
 *       <base>.log    | batch | batch | batch | ...      the last file with base <= base offset
 *                             ^ walked by the lengths in the batches' heads, from the file's
 *                               start or from where the checkpoint's state of it ends
 *
 * A reference is satisfied when the bytes at that place have its length and checksum, are a sound
 * batch and begin and end at its offsets. They become a chunk, as the batch was when it was
 * published, and wait for the replay of their unit. Nothing is written to files of older owners:
 * what is replayed and not in a checkpoint is flushed to new segments like any other batch, and
 * the older file stays as long as a kept checkpoint may want it read again.
 *
 * Failures: what is missing or does not fit is EMPTY, and the journal judges whether it was torn
 * or is damage; a read that fails is an error of the start. */
#include "core/engine/ops.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 4096,
    DIGITS = 20,
    HEAD_LENGTH_AT = 8,
    HEAD_LENGTH_END = 12,
    HEAD_MAGIC_AT = 16,
    HEAD_LAST_DELTA_AT = 23,
};

/* ---- Places
 * ----------------------------------------------------------------------------------------------- */

typedef struct base_list {
    int64_t *bases;
    size_t count;
    size_t capacity;
    bool no_memory;
} base_list;

static bool base_each(void *arg, const char *name)
{
    base_list *list = arg;
    if (strspn(name, "0123456789") != DIGITS || strcmp(name + DIGITS, ".log") != 0) {
        return true;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        int64_t *grown = realloc(list->bases, capacity * sizeof(*grown));
        if (grown == NULL) {
            list->no_memory = true;
            return false;
        }
        list->bases = grown;
        list->capacity = capacity;
    }
    list->bases[list->count++] = (int64_t)strtoull(name, NULL, 10);
    return true;
}

static int base_order(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static weir_err bases_read(const weir_engine *engine, weir_straight_source *source)
{
    char dir[PATH_BYTES];
    base_list list = {0};
    weir_topics_segments_dir(engine, source->topic_id, source->partition, source->term, dir,
                             sizeof(dir));
    weir_err err = engine->env->ops->dir_list(engine->env, dir, base_each, &list);
    err = list.no_memory ? WEIR_NO_MEMORY : err == WEIR_NOT_FOUND ? WEIR_OK : err;
    if (err != WEIR_OK) {
        free(list.bases);
        return err;
    }
    if (list.count > 0) {
        qsort(list.bases, list.count, sizeof(*list.bases), base_order);
    }
    source->bases = list.bases;
    source->base_count = list.count;
    return WEIR_OK;
}

static weir_err source_add(weir_engine *engine, weir_straight_source source)
{
    weir_straight *straight = &engine->straight;
    if (straight->source_count == straight->source_capacity) {
        size_t capacity = straight->source_capacity == 0 ? 8 : straight->source_capacity * 2;
        weir_straight_source *grown = realloc(straight->sources, capacity * sizeof(*grown));
        if (grown == NULL) {
            return WEIR_NO_MEMORY;
        }
        straight->sources = grown;
        straight->source_capacity = capacity;
    }
    weir_err err = bases_read(engine, &source);
    if (err == WEIR_OK) {
        straight->sources[straight->source_count++] = source;
    }
    return err;
}

static weir_err source_of(weir_engine *engine, const weir_straight_reference *reference,
                          uint64_t term, weir_straight_source **out)
{
    weir_straight *straight = &engine->straight;
    for (size_t i = straight->source_count; i > 0; i--) {
        weir_straight_source *source = &straight->sources[i - 1];
        if (source->topic_id == reference->topic_id && source->term == term &&
            source->partition == reference->partition) {
            *out = source;
            return WEIR_OK;
        }
    }
    weir_straight_source made = {.topic_id = reference->topic_id,
                                 .partition = reference->partition,
                                 .term = term,
                                 .base = -1};
    weir_err err = source_add(engine, made);
    if (err == WEIR_OK) {
        *out = &straight->sources[straight->source_count - 1];
    }
    return err;
}

static void file_close(weir_engine *engine)
{
    if (engine->straight.file != NULL) {
        engine->env->ops->file_close(engine->env, engine->straight.file);
        engine->straight.file = NULL;
    }
}

/* Where the checkpoint's state of this segment ends, when the offset is not before that; else its
 * start. */
static void place_begin(const weir_engine *engine, weir_straight_source *source, int64_t base,
                        int64_t offset)
{
    const weir_topic *topic = weir_topics_find_id(engine, source->topic_id);
    source->base = base;
    source->position = 0;
    source->offset = base;
    if (topic == NULL || source->partition >= topic->partition_count) {
        return;
    }
    const weir_partition *partition = topic->partitions[source->partition];
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.term == source->term && state.base_offset == base && state.end_offset <= offset) {
            source->position = state.bytes;
            source->offset = state.end_offset;
        }
    }
}

/* Opens the file that has the offset, with the place at or before it. EMPTY: there is none. */
static weir_err file_seek(weir_engine *engine, weir_straight_source *source, int64_t offset)
{
    weir_straight *straight = &engine->straight;
    size_t index = (size_t)(source - straight->sources);
    size_t at = source->base_count;
    while (at > 0 && source->bases[at - 1] > offset) {
        at--;
    }
    if (at == 0) {
        return WEIR_EMPTY;
    }
    int64_t base = source->bases[at - 1];
    bool opened = straight->file != NULL && straight->file_source == index && source->base == base;
    if (source->base != base || source->offset > offset) {
        place_begin(engine, source, base, offset);
    }
    if (opened) {
        return WEIR_OK;
    }
    char dir[PATH_BYTES];
    char path[PATH_BYTES + 32];
    file_close(engine);
    weir_topics_segments_dir(engine, source->topic_id, source->partition, source->term, dir,
                             sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/%0*" PRId64 ".log", dir, DIGITS, base);
    weir_err err = engine->env->ops->file_open(engine->env, path, WEIR_OPEN_READ, &straight->file);
    if (err != WEIR_OK) {
        straight->file = NULL;
        return err == WEIR_NOT_FOUND ? WEIR_EMPTY : err;
    }
    straight->file_source = index;
    return WEIR_OK;
}

/* Steps over the batches before the offset. EMPTY: they do not lead there. */
static weir_err place_walk(weir_engine *engine, weir_straight_source *source, int64_t offset)
{
    while (source->offset < offset) {
        uint8_t head[WEIR_BATCH_HEAD_BYTES];
        size_t got = 0;
        weir_err err = engine->env->ops->file_read(engine->env, engine->straight.file, head,
                                                   sizeof(head), source->position, &got);
        if (err != WEIR_OK) {
            return err;
        }
        uint32_t length = got == sizeof(head) ? weir_get_u32(head + HEAD_LENGTH_AT) : 0;
        uint32_t delta = got == sizeof(head) ? weir_get_u32(head + HEAD_LAST_DELTA_AT) : 0;
        if (length < WEIR_BATCH_HEAD_BYTES - HEAD_LENGTH_END || length > INT32_MAX ||
            delta > INT32_MAX || head[HEAD_MAGIC_AT] != WEIR_BATCH_MAGIC ||
            (int64_t)weir_get_u64(head) != source->offset) {
            source->base = -1;
            return WEIR_EMPTY;
        }
        source->position += (uint64_t)length + HEAD_LENGTH_END;
        source->offset += (int64_t)delta + 1;
    }
    return source->offset == offset ? WEIR_OK : WEIR_EMPTY;
}

/* ---- Bytes
 * ------------------------------------------------------------------------------------------------ */

/* Reads the batch into `out`, which has room for it. EMPTY: it is not there, or not whole. */
static weir_err batch_read(weir_engine *engine, const weir_straight_reference *reference,
                           uint64_t term, uint8_t *out)
{
    weir_straight_source *source = NULL;
    size_t got = 0;
    weir_err err = source_of(engine, reference, term, &source);
    err = err == WEIR_OK ? file_seek(engine, source, reference->base_offset) : err;
    err = err == WEIR_OK ? place_walk(engine, source, reference->base_offset) : err;
    if (err == WEIR_OK) {
        err = engine->env->ops->file_read(engine->env, engine->straight.file, out, reference->bytes,
                                          source->position, &got);
    }
    if (err != WEIR_OK) {
        return err;
    }
    if (got != reference->bytes || weir_crc32c(0, out, got) != reference->crc) {
        return WEIR_EMPTY;
    }
    source->position += reference->bytes;
    source->offset += reference->offsets;
    return WEIR_OK;
}

static weir_err chunk_load(weir_engine *engine, const weir_straight_reference *reference,
                           uint64_t term, weir_chunk **out)
{
    const weir_topic *topic = weir_topics_find_id(engine, reference->topic_id);
    if (topic == NULL) { /* what it retained keeps its name */
        topic = weir_topics_grave(engine, reference->topic_id);
    }
    weir_topic_ref *ref = topic != NULL ? weir_topic_ref_keep(topic->ref)
                                        : weir_topic_ref_create(reference->topic_id, WEIR_TEXT(""));
    uint8_t *bytes = malloc(reference->bytes);
    weir_chunk *chunk = NULL;
    weir_err err = ref == NULL || bytes == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    err = err == WEIR_OK ? batch_read(engine, reference, term, bytes) : err;
    if (err == WEIR_OK) {
        err = weir_chunk_from_batch(ref, reference->partition,
                                    (weir_bytes){bytes, reference->bytes}, &chunk);
        err = err == WEIR_OK || err == WEIR_NO_MEMORY ? err : WEIR_EMPTY;
    }
    free(bytes);
    weir_topic_ref_drop(ref);
    if (err == WEIR_OK && (chunk->base_offset != reference->base_offset ||
                           weir_chunk_end(chunk) != reference->base_offset + reference->offsets)) {
        weir_chunk_drop(chunk);
        err = WEIR_EMPTY;
    }
    if (err == WEIR_OK) {
        *out = chunk;
    }
    return err;
}

/* ---- What the journal calls
 * --------------------------------------------------------------------------------- */

/* Whether the state has it already: in its segments, with nothing else in it that a replay wants;
 * or its topic is gone. */
static bool not_needed(const weir_engine *engine, const weir_straight_reference *reference,
                       uint64_t unit)
{
    const weir_topic *topic = weir_topics_find_id(engine, reference->topic_id);
    if (topic == NULL || reference->partition >= topic->partition_count) {
        return unit <= engine->straight.snapshot_unit;
    }
    return reference->flags == 0 && reference->base_offset + reference->offsets <=
                                        topic->partitions[reference->partition]->flushed_offset;
}

static void found_forget(weir_straight *straight)
{
    while (straight->found_taken < straight->found_count) {
        weir_chunk_drop(straight->found[straight->found_taken++]);
    }
    straight->found_count = 0;
    straight->found_taken = 0;
}

static weir_err found_add(weir_straight *straight, weir_chunk *chunk)
{
    if (straight->found_count == straight->found_capacity) {
        size_t capacity = straight->found_capacity == 0 ? 8 : straight->found_capacity * 2;
        weir_chunk **grown = realloc(straight->found, capacity * sizeof(weir_chunk *));
        if (grown == NULL) {
            weir_chunk_drop(chunk);
            return WEIR_NO_MEMORY;
        }
        straight->found = grown;
        straight->found_capacity = capacity;
    }
    straight->found[straight->found_count++] = chunk;
    return WEIR_OK;
}

static weir_err one_find(weir_engine *engine, const weir_journal_unit *unit,
                         const weir_journal_entry *entry, weir_fault *fault)
{
    weir_straight_reference reference;
    weir_chunk *chunk = NULL;
    if (weir_entry_reference_decode(entry, &reference) != WEIR_OK ||
        not_needed(engine, &reference, unit->number)) {
        return WEIR_OK; /* the replay says what it thinks of an entry that cannot be read */
    }
    weir_err err = chunk_load(engine, &reference, unit->term, &chunk);
    if (err == WEIR_OK) {
        return found_add(&engine->straight, chunk);
    }
#ifdef WEIR_PLANT_UNCHECKED_REFERENCE /* a bug on purpose, by which the simulation is tested */
    err = err == WEIR_EMPTY ? WEIR_OK : err;
#endif
    if (err == WEIR_EMPTY) {
        weir_log(WEIR_LOG_WARN, "engine",
                 "unit=%" PRIu64 " refers to a batch that is not whole: topic_id=%u partition=%u "
                 "offset=%" PRId64 " bytes=%u term=%" PRIu64,
                 unit->number, reference.topic_id, reference.partition, reference.base_offset,
                 reference.bytes, unit->term);
        return err;
    }
    *fault = (weir_fault){.err = err};
    (void)snprintf(fault->text, sizeof(fault->text),
                   "a segment that unit %" PRIu64 " of the journal refers to cannot be read: %s "
                   "Nothing is lost: mend that and start again",
                   unit->number, weir_err_text(err));
    return err;
}

weir_err weir_straight_find(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    weir_engine *engine = arg;
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    weir_err err = WEIR_OK;
    if (engine->straight.found_count > 0) {
        found_forget(&engine->straight);
    }
    while (err == WEIR_OK && weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        if (entry.type == WEIR_ENTRY_REFERENCE) {
            err = one_find(engine, unit, &entry, fault);
        }
    }
    return err;
}

weir_chunk *weir_straight_found(weir_engine *engine, const weir_straight_reference *reference)
{
    weir_straight *straight = &engine->straight;
    if (straight->found_taken == straight->found_count) {
        return NULL;
    }
    weir_chunk *chunk = straight->found[straight->found_taken];
    if (chunk->topic->id != reference->topic_id || chunk->partition != reference->partition ||
        chunk->base_offset != reference->base_offset) {
        return NULL;
    }
    straight->found_taken++;
    return chunk;
}

weir_err weir_straight_carry(void *arg, const weir_journal_unit *unit, uint8_t *out, size_t *bytes)
{
    weir_engine *engine = arg;
    weir_bytes rest = unit->entries;
    weir_journal_entry entry;
    size_t len = 0;
    bool refers = false;
    *bytes = 0;
    if (unit->number <= engine->straight.snapshot_unit) {
        return WEIR_OK; /* a checkpoint counts on it: it was synced */
    }
    while (weir_journal_entry_next(&rest, &entry) == WEIR_OK) {
        weir_straight_reference reference;
        uint8_t *at = out == NULL ? NULL : out + len;
        if (weir_entry_reference_decode(&entry, &reference) != WEIR_OK) {
            len += WEIR_JOURNAL_ENTRY_HEAD_BYTES + entry.body.len;
            if (at != NULL) {
                weir_journal_entry_encode(at, entry.type, entry.version, (uint32_t)entry.body.len);
                memcpy(at + WEIR_JOURNAL_ENTRY_HEAD_BYTES, entry.body.ptr, entry.body.len);
            }
            continue;
        }
        refers = true;
        len += WEIR_JOURNAL_ENTRY_HEAD_BYTES + WEIR_ENTRY_BATCH_HEAD_BYTES + reference.bytes;
        if (at != NULL) {
            uint8_t *batch = weir_entry_batch_encode(at, &reference);
            weir_err err = batch_read(engine, &reference, unit->term, batch);
            if (err != WEIR_OK) {
                return err == WEIR_EMPTY ? WEIR_IO : err; /* it was there a moment ago */
            }
        }
    }
    *bytes = refers ? len : 0;
    return WEIR_OK;
}

void weir_straight_found_fini(weir_engine *engine)
{
    weir_straight *straight = &engine->straight;
    file_close(engine);
    found_forget(straight);
    free(straight->found);
    straight->found = NULL;
    straight->found_capacity = 0;
    for (size_t i = 0; i < straight->source_count; i++) {
        free(straight->sources[i].bases);
    }
    free(straight->sources);
    straight->sources = NULL;
    straight->source_count = 0;
    straight->source_capacity = 0;
}
