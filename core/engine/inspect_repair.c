/* core/engine/inspect_repair.c - repairs a data directory: a damaged journal by giving up what cannot be read,
 * .heads files by writing them anew.
 *
 *   repair:  verify -> copies aside, synced -> open with WEIR_DAMAGE_CUT -> close
 *   heads:   open -> each segment's .heads, if it is not good, out of its .log -> close
 *
 * Failures: where verify finds nothing that this would help, or the copies cannot be made, nothing was
 * changed. A .log that is damaged itself keeps its .heads as they are.
 *
 * [I2] Nothing is given up before copies of journal and checkpoints are on disk. */
#include "core/engine/inspect_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_BYTES = 1 << 20 };

/* ---- The journal --------------------------------------------------------------------------------- */

static weir_err file_copy(weir_env *env, const char *from, const char *to, uint8_t *memory)
{
    weir_file *in = NULL;
    weir_file *out = NULL;
    uint64_t position = 0;
    size_t got = COPY_BYTES;
    weir_err err = env->ops->file_open(env, from, WEIR_OPEN_READ, &in);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_open(env, to, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_EXCLUSIVE,
                              &out);
    while (err == WEIR_OK && got == COPY_BYTES) {
        err = env->ops->file_read(env, in, memory, COPY_BYTES, position, &got);
        if (err == WEIR_OK && got > 0) {
            struct iovec part = {memory, got};
            err = env->ops->file_write(env, out, &part, 1, position);
            position += got;
        }
    }
    err = err == WEIR_OK ? env->ops->file_sync(env, out) : err;
    env->ops->file_close(env, in);
    if (out != NULL) {
        env->ops->file_close(env, out);
    }
    return err;
}

/* One folder of the data directory, its files alone. */
static weir_err folder_copy(weir_env *env, const char *data_dir, const char *aside,
                            const char *folder)
{
    char from[WEIR_INSPECT_PATH_BYTES], to[WEIR_INSPECT_PATH_BYTES];
    char source[WEIR_INSPECT_PATH_BYTES], target[WEIR_INSPECT_PATH_BYTES];
    weir_inspect_list found;
    uint8_t *memory = malloc(COPY_BYTES);
    (void)snprintf(from, sizeof(from), "%.3000s/%s", data_dir, folder);
    (void)snprintf(to, sizeof(to), "%.3000s/%.200s/%s", data_dir, aside, folder);
    weir_err err = memory == NULL ? WEIR_NO_MEMORY : env->ops->dir_make(env, to);
    weir_err listed = weir_inspect_names(env, from, &found);
    err = err == WEIR_OK ? listed : err;
    for (size_t i = 0; i < found.count && err == WEIR_OK; i++) {
        (void)snprintf(source, sizeof(source), "%.3900s/%s", from, found.list[i]);
        (void)snprintf(target, sizeof(target), "%.3900s/%s", to, found.list[i]);
        err = strstr(found.list[i], ".spare") == NULL ? file_copy(env, source, target, memory)
                                                      : WEIR_OK;
    }
    err = err == WEIR_OK ? env->ops->dir_sync(env, to) : err;
    free(memory);
    free(found.list);
    return err;
}

/* [I2] */
static weir_err copy_aside(const char *data_dir, const char *aside)
{
    char path[WEIR_INSPECT_PATH_BYTES];
    weir_env *env = NULL;
    weir_err err = weir_env_posix_create(&env);
    if (err != WEIR_OK) {
        return err;
    }
    (void)snprintf(path, sizeof(path), "%.3000s/%.200s", data_dir, aside);
    err = env->ops->dir_make(env, path);
    err = err == WEIR_OK ? folder_copy(env, data_dir, aside, "journal") : err;
    err = err == WEIR_OK ? folder_copy(env, data_dir, aside, "state") : err;
    err = err == WEIR_OK ? env->ops->dir_sync(env, path) : err;
    err = err == WEIR_OK ? env->ops->dir_sync(env, data_dir) : err;
    weir_env_posix_destroy(env);
    return err;
}

static void file_ignore(void *arg, const weir_inspect_file *file)
{
    (void)arg, (void)file;
}

static void gap_ignore(void *arg, const weir_inspect_gap *gap)
{
    (void)arg, (void)gap;
}

weir_err weir_inspect_repair(const weir_engine_config *config, const char *aside, weir_fault *fault)
{
    static const weir_inspect_to nobody = {NULL, file_ignore, gap_ignore};
    weir_inspect_sum sum;
    weir_engine *engine = NULL;
    weir_err err = weir_inspect_verify(config, &nobody, &sum, fault);
    if (err == WEIR_OK && !sum.repairable) {
        err = WEIR_INVALID;
        *fault = (weir_fault){.err = err};
        (void)snprintf(fault->text, sizeof(fault->text), "%s",
                       sum.fault.err == WEIR_OK ? "the journal is sound: there is nothing to repair"
                                                : sum.fault.text);
    }
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_inspect_fault(fault, copy_aside(config->data_dir, aside),
                             "the damaged files cannot be copied aside, and nothing was changed");
    if (err != WEIR_OK) {
        return err;
    }
    weir_engine_config cut = *config;
    cut.damage = WEIR_DAMAGE_CUT;
    err = weir_engine_open(&cut, &engine, fault);
    if (err != WEIR_OK) {
        return err;
    }
    *fault = (weir_fault){0};
    return weir_inspect_fault(fault, weir_engine_close(engine),
                              "the last checkpoint cannot be written");
}

/* ---- Heads ---------------------------------------------------------------------------------------- */

static weir_err heads_remake(weir_engine *engine, const weir_topic *topic, uint32_t partition,
                             weir_segment *segment, uint64_t *made, uint64_t *left)
{
    char dir[WEIR_INSPECT_PATH_BYTES - 32];
    char path[WEIR_INSPECT_PATH_BYTES];
    weir_segment_state state;
    weir_inspect_file file = {0};
    bool good = false;
    weir_segment_state_of(segment, &state);
    weir_topics_segments_dir(engine, topic->id, partition, state.term, dir, sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/%020" PRId64 ".heads", dir, state.base_offset);
    weir_err err = weir_inspect_heads_check(engine->env, path, &state, &file, &good);
    if (err == WEIR_OK && !good) {
        err = weir_segment_heads_remake(segment);
        *made += err == WEIR_OK ? 1 : 0;
        *left += err == WEIR_DAMAGED ? 1 : 0;
    }
    return err == WEIR_DAMAGED ? WEIR_OK : err;
}

/* No port is open and no turn is taken, so nobody writes to a segment meanwhile. */
weir_err weir_inspect_heads(const weir_engine_config *config, uint64_t *made, uint64_t *left,
                            weir_fault *fault)
{
    size_t position = 0;
    const weir_topic *topic = NULL;
    weir_engine *engine = NULL;
    *made = *left = 0;
    weir_err err = weir_engine_open(config, &engine, fault);
    if (err != WEIR_OK) {
        return err;
    }
    while (err == WEIR_OK && (topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t p = 0; p < topic->partition_count && err == WEIR_OK; p++) {
            const weir_partition *partition = topic->partitions[p];
            for (uint32_t s = 0; s < partition->segment_count && err == WEIR_OK; s++) {
                err = heads_remake(engine, topic, p, partition->segments[s], made, left);
            }
        }
    }
    err = weir_inspect_fault(fault, err, "a .heads file cannot be written");
    weir_err closed = weir_engine_close(engine);
    return err != WEIR_OK
               ? err
               : weir_inspect_fault(fault, closed, "the last checkpoint cannot be written");
}
