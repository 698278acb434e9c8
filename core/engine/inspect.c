/* core/engine/inspect.c - reads a whole data directory without changing a byte.
 *
 *   owner free? -> checkpoints, one by one -> state up to the last good unit (open.c)
 *               -> journal files (inspect_journal.c) -> segments and their .heads -> what is missing
 *
 * Happy path: every file is told of, and nothing is damaged. Failures: what is damaged is told with
 * its first bad place; only what keeps one from looking (an owner, a disk that does not answer, memory)
 * is an error.
 *
 * [I1] Looking goes through a table of calls of which those that change files refuse.
 * [I2] Missing is only what somebody may still ask for: a segment below the start that the journal tells
 *      of may have been removed after the checkpoint that names it. */
#include "core/engine/inspect_parts.h"

#include "core/base/varint.h"
#include "core/env/failpoint.h"
#include "core/journal/checkpoint.h"
#include "core/journal/owner.h"
#include "core/log/heads.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAMES_MAX = 4096,
    READ_BYTES = 4 << 20,
    READ_CHUNKS = 64,
    BATCH_BYTES_MAX = 1 << 30,
    BATCH_LENGTH_AT = 8,
    BATCH_LENGTH_END = 12,
    BATCH_TIME_AT = 35, /* the latest */
    BATCH_COUNT_AT = 57,
};

typedef struct inspection {
    weir_env *env;
    weir_env_ops ops; /* [I1] */
    const weir_env_ops *ops_before;
    const char *data_dir;
    const weir_inspect_to *to;
    weir_inspect_sum *sum;
    weir_fault *fault;
    weir_engine *engine;
} inspection;

/* ---- A table that changes nothing
 * ------------------------------------------------------------------------------------ */

static weir_err refuse_write(weir_env *env, weir_file *file, const struct iovec *iov, int count,
                             uint64_t offset)
{
    (void)env, (void)file, (void)iov, (void)count, (void)offset;
    return WEIR_READ_ONLY;
}

static weir_err refuse_truncate(weir_env *env, weir_file *file, uint64_t bytes)
{
    (void)env, (void)file, (void)bytes;
    return WEIR_READ_ONLY;
}

static weir_err refuse_allocate(weir_env *env, weir_file *file, uint64_t offset, uint64_t bytes)
{
    (void)env, (void)file, (void)offset, (void)bytes;
    return WEIR_READ_ONLY;
}

static weir_err refuse_path(weir_env *env, const char *path)
{
    (void)env, (void)path;
    return WEIR_READ_ONLY;
}

static weir_err refuse_rename(weir_env *env, const char *from, const char *to)
{
    (void)env, (void)from, (void)to;
    return WEIR_READ_ONLY;
}

static weir_err made_already(weir_env *env, const char *path)
{
    (void)env, (void)path;
    return WEIR_OK; /* a folder that is missing shows at the first look into it */
}

static weir_err guard(inspection *at)
{
    weir_err err = weir_env_posix_create(&at->env);
    if (err != WEIR_OK) {
        return err;
    }
    at->ops_before = at->env->ops;
    at->ops = *at->env->ops;
    at->ops.file_write = refuse_write;
    at->ops.file_write_stream = refuse_write;
    at->ops.file_truncate = refuse_truncate;
    at->ops.file_allocate = refuse_allocate;
    at->ops.volume_sync = NULL;
    at->ops.dir_make = made_already;
    at->ops.dir_sync = made_already;
    at->ops.rename = refuse_rename;
    at->ops.unlink = refuse_path;
    at->ops.dir_remove = refuse_path;
    at->env->ops = &at->ops;
    return WEIR_OK;
}

static void unguard(inspection *at)
{
    if (at->env != NULL) {
        at->env->ops = at->ops_before;
        weir_env_posix_destroy(at->env);
    }
}

/* ---- Small parts
 * -------------------------------------------------------------------------------------- */

static void tell(inspection *at, const weir_inspect_file *file)
{
    at->sum->files++;
    bool bad = file->verdict == WEIR_INSPECT_DAMAGED || file->verdict == WEIR_INSPECT_MISSING;
    at->sum->damaged += bad ? 1 : 0;
    at->to->file(at->to->arg, file);
}

static void tell_gap(inspection *at, const weir_inspect_gap *gap)
{
    at->sum->gaps++;
    at->to->gap(at->to->arg, gap);
}

/* The whole file, the caller's to free. */
static weir_err file_load(weir_env *env, const char *path, uint8_t **out, size_t *len)
{
    weir_file *file = NULL;
    uint64_t bytes = 0;
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_READ, &file);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_size(env, file, &bytes);
    uint8_t *memory = err == WEIR_OK ? malloc((size_t)bytes + 1) : NULL;
    err = err == WEIR_OK && memory == NULL ? WEIR_NO_MEMORY : err;
    err = err == WEIR_OK ? env->ops->file_read(env, file, memory, (size_t)bytes, 0, len) : err;
    env->ops->file_close(env, file);
    if (err != WEIR_OK) {
        free(memory);
        return err;
    }
    *out = memory;
    return WEIR_OK;
}

static bool name_add(void *arg, const char *name)
{
    weir_inspect_list *found = arg;
    if (found->count < NAMES_MAX && strlen(name) < WEIR_INSPECT_NAME_BYTES) {
        (void)snprintf(found->list[found->count++], WEIR_INSPECT_NAME_BYTES, "%s", name);
    }
    return true;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

weir_err weir_inspect_names(weir_env *env, const char *dir, weir_inspect_list *found)
{
    *found = (weir_inspect_list){.list = calloc(NAMES_MAX, WEIR_INSPECT_NAME_BYTES)};
    if (found->list == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_err err = env->ops->dir_list(env, dir, name_add, found);
    qsort(found->list, found->count, WEIR_INSPECT_NAME_BYTES, name_compare);
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

/* ---- Checkpoints
 * -------------------------------------------------------------------------------------- */

static weir_err checkpoint_look(inspection *at, const char *name)
{
    char path[WEIR_INSPECT_PATH_BYTES];
    char shown[WEIR_INSPECT_NAME_BYTES + 8];
    uint8_t *memory = NULL;
    size_t len = 0;
    weir_checkpoint checkpoint;
    (void)snprintf(shown, sizeof(shown), "state/%s", name);
    (void)snprintf(path, sizeof(path), "%.3800s/%s", at->data_dir, shown);
    weir_err err = file_load(at->env, path, &memory, &len);
    if (err != WEIR_OK) {
        return err;
    }
    weir_inspect_file file = {.path = shown, .kind = "checkpoint", .bytes = len, .text = ""};
    err = weir_checkpoint_decode((weir_bytes){memory, len}, &checkpoint);
    if (err == WEIR_OK) {
        file.last_unit = checkpoint.unit;
    } else {
        file.verdict = WEIR_INSPECT_DAMAGED;
        file.text = err == WEIR_VERSION
                        ? "it was written by a newer version"
                        : "it is damaged: a start passes it over for the one before";
    }
    free(memory);
    tell(at, &file);
    return WEIR_OK;
}

static weir_err checkpoints_look(inspection *at)
{
    char dir[WEIR_INSPECT_PATH_BYTES];
    weir_inspect_list found;
    static const char END[] = ".checkpoint";
    (void)snprintf(dir, sizeof(dir), "%.3800s/state", at->data_dir);
    weir_err err = weir_inspect_names(at->env, dir, &found);
    for (size_t i = 0; i < found.count && err == WEIR_OK; i++) {
        size_t len = strlen(found.list[i]);
        if (len > sizeof(END) && strcmp(found.list[i] + len - sizeof(END) + 1, END) == 0) {
            err = checkpoint_look(at, found.list[i]);
        }
    }
    free(found.list);
    return err;
}

/* ---- Segments
 * -------------------------------------------------------------------------------------- */

/* A .log that is read batch by batch, each in place of the one before. */
typedef struct scanned_log {
    weir_env *env;
    weir_file *file;
    uint8_t *memory;
    size_t capacity;
} scanned_log;

/* The batch at `position`, of no more than `most` bytes. Null: what stands there is no good one. */
static weir_err batch_read(scanned_log *log, uint64_t position, uint64_t most, weir_bytes *batch)
{
    const weir_env_ops *ops = log->env->ops;
    uint8_t head[WEIR_BATCH_HEAD_BYTES];
    size_t got = 0;
    weir_batch_head told;
    *batch = WEIR_BYTES_NULL;
    weir_err err = ops->file_read(log->env, log->file, head, sizeof(head), position, &got);
    uint64_t len =
        got == sizeof(head) ? (uint64_t)weir_get_u32(head + BATCH_LENGTH_AT) + BATCH_LENGTH_END : 0;
    if (err != WEIR_OK || len < sizeof(head) || len > BATCH_BYTES_MAX || len > most) {
        return err;
    }
    if (len > log->capacity) {
        free(log->memory);
        log->memory = malloc((size_t)len);
        log->capacity = log->memory == NULL ? 0 : (size_t)len;
    }
    err = log->memory == NULL
              ? WEIR_NO_MEMORY
              : ops->file_read(log->env, log->file, log->memory, (size_t)len, position, &got);
    if (err == WEIR_OK) {
        weir_err checked = weir_batch_check((weir_bytes){log->memory, got}, &told, NULL, 0);
        bool good = checked == WEIR_OK || checked == WEIR_UNSUPPORTED;
        *batch = good ? (weir_bytes){log->memory, (size_t)len} : WEIR_BYTES_NULL;
    }
    return err;
}

/* The bytes of the .log up to its state's: where the first bad batch stands. *verdict: OK, DAMAGED, or
 * NOT_FOUND when the file is gone. */
static weir_err log_scan(weir_env *env, const char *path, uint64_t bytes, weir_inspect_each each,
                         void *arg, uint64_t *position, weir_err *verdict)
{
    scanned_log log = {.env = env};
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_READ, &log.file);
    *verdict = err == WEIR_NOT_FOUND ? WEIR_NOT_FOUND : WEIR_OK;
    *position = 0;
    while (err == WEIR_OK && *position < bytes && *verdict == WEIR_OK) {
        weir_bytes batch;
        err = batch_read(&log, *position, bytes - *position, &batch);
        if (batch.ptr == NULL) {
            *verdict = WEIR_DAMAGED;
            break;
        }
        weir_inspect_entry row = {.file = path,
                                  .position = *position,
                                  .time_ms = (int64_t)weir_get_u64(batch.ptr + BATCH_TIME_AT),
                                  .type = "batch",
                                  .bytes = (uint32_t)batch.len,
                                  .base_offset = (int64_t)weir_get_u64(batch.ptr),
                                  .records = weir_get_u32(batch.ptr + BATCH_COUNT_AT)};
        if (each != NULL) {
            each(arg, &row);
        }
        *position += batch.len;
    }
    free(log.memory);
    if (log.file != NULL) {
        env->ops->file_close(env, log.file);
    }
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

/* Reads every batch as a reader would; what it would not get is a gap. */
static weir_err segment_read(inspection *at, const weir_topic *topic, weir_partition *partition,
                             weir_segment *segment, const weir_segment_state *state,
                             weir_inspect_file *file)
{
    weir_chunk *chunks[READ_CHUNKS];
    int64_t offset =
        state->base_offset > partition->start_offset ? state->base_offset : partition->start_offset;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && offset < state->end_offset) {
        uint32_t count = 0;
        int64_t from = offset, to = state->end_offset;
        err = weir_segment_read(segment, topic->ref, partition->index, offset, READ_BYTES, chunks,
                                READ_CHUNKS, &count, &from, &to);
        for (uint32_t i = 0; err == WEIR_OK && i < count; i++) {
            weir_batch_head head;
            if (weir_batch_head_decode(weir_chunk_batch(chunks[i]), &head) == WEIR_OK) {
                file->records += (uint64_t)head.record_count;
            }
            file->batches++;
            offset = weir_chunk_end(chunks[i]);
            weir_chunk_drop(chunks[i]);
        }
        if (err == WEIR_UNSUPPORTED && to > offset) {
            offset = to; /* sound, but compressed */
            err = WEIR_OK;
        } else if (err == WEIR_DAMAGED || err == WEIR_NOT_FOUND) {
            from = err == WEIR_DAMAGED && from > offset ? from : offset;
            to = err == WEIR_DAMAGED && to > offset ? to : state->end_offset;
            tell_gap(at, &(weir_inspect_gap){.topic = {topic->ref->name, topic->ref->name_bytes},
                                             .topic_id = topic->id,
                                             .partition = partition->index,
                                             .from = from,
                                             .to = to});
            offset = to;
            err = WEIR_OK;
        }
    }
    return err == WEIR_EMPTY ? WEIR_OK : err;
}

weir_err weir_inspect_heads_check(weir_env *env, const char *path, const weir_segment_state *state,
                                  weir_inspect_file *file, bool *good)
{
    uint8_t *memory = NULL;
    size_t len = 0;
    int64_t base = 0;
    weir_heads_entry entry;
    weir_err err = file_load(env, path, &memory, &len);
    *good = err == WEIR_OK && len >= WEIR_HEADS_FILE_HEAD_BYTES &&
            weir_heads_file_head_decode(memory, &base) == WEIR_OK;
    file->bytes = len;
    for (uint64_t i = 0; *good && i < state->head_count; i++) {
        uint64_t entry_at = WEIR_HEADS_FILE_HEAD_BYTES + i * WEIR_HEADS_ENTRY_BYTES;
        *good = entry_at + WEIR_HEADS_ENTRY_BYTES <= len &&
                weir_heads_entry_decode(memory + entry_at, &entry) == WEIR_OK;
        file->position = *good ? 0 : entry_at;
    }
    free(memory);
    file->verdict = *good                   ? WEIR_INSPECT_SOUND
                    : err == WEIR_NOT_FOUND ? WEIR_INSPECT_MISSING
                                            : WEIR_INSPECT_DAMAGED;
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

static weir_err heads_look(inspection *at, const char *path, const char *shown,
                           const weir_segment_state *state)
{
    bool good = false;
    weir_inspect_file file = {.path = shown, .kind = "heads", .text = ""};
    weir_err err = weir_inspect_heads_check(at->env, path, state, &file, &good);
    if (err == WEIR_OK && !good) {
        at->sum->heads++;
        file.text =
            "an index: its batches are found in the .log instead, and nothing is lost by it; "
            "`weir log repair` makes it again";
    }
    if (err == WEIR_OK) {
        tell(at, &file);
    }
    return err;
}

/* [I2] Its .log goes first. */
static bool was_removed(const inspection *at, const weir_partition *partition,
                        const weir_segment_state *state, const char *path)
{
    weir_file *file = NULL;
    bool below = state->end_offset <= partition->start_offset;
    weir_err err =
        below ? at->env->ops->file_open(at->env, path, WEIR_OPEN_READ, &file) : WEIR_EMPTY;
    if (err == WEIR_OK) {
        at->env->ops->file_close(at->env, file);
    }
    return err == WEIR_NOT_FOUND;
}

static weir_err segment_look(inspection *at, const weir_topic *topic, weir_partition *partition,
                             weir_segment *segment)
{
    char dir[WEIR_INSPECT_PATH_BYTES - 32];
    char path[WEIR_INSPECT_PATH_BYTES];
    weir_segment_state state;
    weir_err verdict = WEIR_OK;
    weir_segment_state_of(segment, &state);
    weir_topics_segments_dir(at->engine, topic->id, partition->index, state.term, dir, sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/%020" PRId64 ".log", dir, state.base_offset);
    const char *shown = path + strlen(at->data_dir) + 1;
    weir_inspect_file file = {.path = shown, .kind = "segment", .bytes = state.bytes, .text = ""};
    uint64_t gaps = at->sum->gaps;
    if (was_removed(at, partition, &state, path)) {
        return WEIR_OK;
    }
    weir_err err = log_scan(at->env, path, state.bytes, NULL, NULL, &file.position, &verdict);
    err = err == WEIR_OK ? segment_read(at, topic, partition, segment, &state, &file) : err;
    if (err != WEIR_OK) {
        return err;
    }
    if (verdict == WEIR_OK && at->sum->gaps == gaps) {
        file.position = 0;
    } else if (verdict == WEIR_NOT_FOUND) {
        file.verdict = WEIR_INSPECT_MISSING;
        file.text = "its records are gone: readers are told of the gap, the rest is served";
    } else {
        file.verdict = WEIR_INSPECT_DAMAGED;
        file.text = "a batch cannot be read: readers are told of the gap, the rest is served";
    }
    at->sum->batches += file.batches;
    at->sum->records += file.records;
    tell(at, &file);
    (void)snprintf(path, sizeof(path), "%s/%020" PRId64 ".heads", dir, state.base_offset);
    return heads_look(at, path, shown, &state);
}

static weir_err segments_look(inspection *at)
{
    size_t position = 0;
    weir_topic *topic = NULL;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK &&
           (topic = weir_map_next(&at->engine->topics_by_name, &position)) != NULL) {
        at->sum->topics++;
        for (uint32_t p = 0; p < topic->partition_count && err == WEIR_OK; p++) {
            weir_partition *partition = topic->partitions[p];
            for (uint32_t s = 0; s < partition->segment_count && err == WEIR_OK; s++) {
                err = segment_look(at, topic, partition, partition->segments[s]);
            }
        }
    }
    return err;
}

/* ---- What is missing
 * ---------------------------------------------------------------------------------- */

static void lost_tell(inspection *at, const weir_inspect_walk *walk)
{
    for (size_t i = 0; i < walk->lost_count; i++) {
        const weir_inspect_lost *lost = &walk->lost[i];
        const weir_topic *topic =
            at->engine == NULL ? NULL : weir_topics_find_id(at->engine, lost->topic_id);
        bool known = topic != NULL && lost->partition < topic->partition_count;
        weir_inspect_gap gap = {.topic_id = lost->topic_id,
                                .partition = lost->partition,
                                .from = known ? topic->partitions[lost->partition]->next_offset : 0,
                                .to = lost->to,
                                .journal = true};
        if (topic != NULL) {
            gap.topic = (weir_bytes){topic->ref->name, topic->ref->name_bytes};
        }
        if (gap.from < gap.to) {
            tell_gap(at, &gap);
        }
    }
}

static weir_err journal_look(inspection *at)
{
    weir_inspect_walk walk = {.env = at->env,
                              .data_dir = at->data_dir,
                              .to = at->to,
                              .sum = at->sum,
                              .damage = &at->sum->fault,
                              .state_read = at->engine != NULL};
    if (at->engine != NULL) {
        at->sum->torn =
            weir_journal_torn(at->engine->journal, &walk.torn_number, &walk.torn_position);
    }
    weir_err err = weir_inspect_journal(&walk);
    if (err == WEIR_OK) {
        lost_tell(at, &walk);
    }
    free(walk.lost);
    return err;
}

/* ---- Verify
 * ---------------------------------------------------------------------------------------- */

static bool state_is_bad(weir_err err)
{
    return err == WEIR_DAMAGED || err == WEIR_VERSION;
}

/* The state up to the last good unit. What makes a start impossible is what one came to see. */
static weir_err state_look(inspection *at, const weir_engine_config *config)
{
    weir_engine_config look = *config;
    weir_fault fault = {0};
    look.env = at->env;
    look.limits.tail_bytes_max = 0;
    weir_err err = weir_engine_look(&look, &at->engine, &fault);
    if (err != WEIR_OK && !state_is_bad(err)) {
        *at->fault = fault;
        return err;
    }
    at->sum->fault = fault;
    at->sum->repairable = err == WEIR_OK && fault.err != WEIR_OK;
    if (err != WEIR_OK) {
        at->engine = NULL;
        return WEIR_OK;
    }
    at->sum->last_unit = weir_journal_last(at->engine->journal);
    at->sum->known_unit = at->sum->last_unit;
    return WEIR_OK;
}

static weir_err owner_look(inspection *at)
{
    uint64_t term = 0;
    weir_err err = weir_owner_look(at->env, at->data_dir, &term, at->fault);
    if (err == WEIR_OK) {
        weir_inspect_file file = {
            .path = "owner", .kind = "owner", .bytes = 64, .text = at->fault->text};
        file.verdict = at->fault->err == WEIR_OK ? WEIR_INSPECT_SOUND : WEIR_INSPECT_DAMAGED;
        tell(at, &file);
        *at->fault = (weir_fault){0};
    }
    return err;
}

static weir_err verify(inspection *at, const weir_engine_config *config)
{
    weir_err err = owner_look(at);
    err = err == WEIR_OK ? checkpoints_look(at) : err;
    err = err == WEIR_OK ? state_look(at, config) : err;
    err = err == WEIR_OK ? journal_look(at) : err;
    return err == WEIR_OK && at->engine != NULL ? segments_look(at) : err;
}

weir_err weir_inspect_fault(weir_fault *fault, weir_err err, const char *text)
{
    if (err != WEIR_OK && fault->err == WEIR_OK) {
        fault->err = err;
        (void)snprintf(fault->text, sizeof(fault->text), "%s: %s", text, weir_err_text(err));
    }
    return err;
}

weir_err weir_inspect_verify(const weir_engine_config *config, const weir_inspect_to *to,
                             weir_inspect_sum *sum, weir_fault *fault)
{
    inspection at = {.data_dir = config->data_dir, .to = to, .sum = sum, .fault = fault};
    *sum = (weir_inspect_sum){0};
    *fault = (weir_fault){0};
    weir_err err = guard(&at);
    err = err == WEIR_OK ? verify(&at, config) : err;
    if (at.engine != NULL) {
        weir_engine_abandon(at.engine);
    }
    unguard(&at);
    return weir_inspect_fault(fault, err, "the data directory cannot be read");
}

/* ---- Dumps
 * ---------------------------------------------------------------------------------------- */

typedef struct naming {
    const weir_engine *engine; /* NULL: the state cannot be read, and no topic has a name */
    weir_inspect_each each;
    void *arg;
} naming;

static void each_named(void *arg, const weir_inspect_entry *entry)
{
    const naming *own = arg;
    weir_inspect_entry named = *entry;
    const weir_topic *topic = entry->of_topic && own->engine != NULL
                                  ? weir_topics_find_id(own->engine, entry->topic_id)
                                  : NULL;
    if (topic != NULL) {
        named.topic = (weir_bytes){topic->ref->name, topic->ref->name_bytes};
    }
    own->each(own->arg, &named);
}

/* Names come from the state at the journal's end, if that can be had. */
static void names_look(inspection *at, const weir_engine_config *config, weir_inspect_sum *sum)
{
    weir_fault none = {0};
    weir_fault *fault = at->fault;
    at->fault = &none;
    at->sum = sum;
    (void)state_look(at, config);
    at->fault = fault;
}

weir_err weir_inspect_units(const weir_engine_config *config, uint64_t from, uint64_t to,
                            weir_inspect_each each, void *arg, weir_fault *fault)
{
    const char *data_dir = config->data_dir;
    inspection at = {.data_dir = data_dir, .fault = fault};
    weir_inspect_sum sum = {0};
    uint64_t term = 0;
    *fault = (weir_fault){0};
    weir_err err = guard(&at);
    err = err == WEIR_OK ? weir_owner_look(at.env, data_dir, &term, fault) : err;
    if (err == WEIR_OK) {
        *fault = (weir_fault){0}; /* a damaged owner's file is none of a dump's */
        names_look(&at, config, &sum);
        naming own = {at.engine, each, arg};
        weir_inspect_walk walk = {.env = at.env,
                                  .data_dir = data_dir,
                                  .from_unit = from,
                                  .to_unit = to,
                                  .each = each_named,
                                  .each_arg = &own};
        err = weir_inspect_journal_dump(&walk);
    }
    if (at.engine != NULL) {
        weir_engine_abandon(at.engine);
    }
    unguard(&at);
    return weir_inspect_fault(fault, err, "the journal cannot be read");
}

weir_err weir_inspect_segment(const char *path, weir_inspect_each each, void *arg,
                              weir_fault *fault)
{
    inspection at = {0};
    weir_err verdict = WEIR_OK;
    uint64_t bytes = 0;
    weir_file *file = NULL;
    *fault = (weir_fault){0};
    weir_err err = guard(&at);
    err = err == WEIR_OK ? at.env->ops->file_open(at.env, path, WEIR_OPEN_READ, &file) : err;
    if (err != WEIR_OK) {
        *fault = (weir_fault){.err = err, .os_errno = err == WEIR_IO ? errno : 0};
        (void)snprintf(fault->text, sizeof(fault->text), "%s",
                       err == WEIR_NOT_FOUND ? "there is no such file" : "it cannot be opened");
    } else {
        err = at.env->ops->file_size(at.env, file, &bytes);
        at.env->ops->file_close(at.env, file);
    }
    err =
        err == WEIR_OK ? log_scan(at.env, path, bytes, each, arg, &fault->position, &verdict) : err;
    unguard(&at);
    err = err == WEIR_OK ? verdict : err;
    if (err != WEIR_OK) {
        (void)snprintf(fault->file, sizeof(fault->file), "%.250s", path);
    }
    return weir_inspect_fault(fault, err, "this is no good batch");
}

bool weir_inspect_failpoint(unsigned number, const char **name, const char **where)
{
    if (number >= WEIR_FAILPOINT_COUNT) {
        return false;
    }
    *name = weir_failpoint_name((weir_failpoint)number);
    *where = weir_failpoint_where((weir_failpoint)number);
    return true;
}
