/* core/journal/checkpoint_write.c - writes a checkpoint beside the older ones, and removes those
 * that nobody needs.
 *
 *   begin -> <number>-<term>.new   hole for the head | payload, added piece by piece
 *   finish: head, sync, rename, folder synced -> <number>-<term>.checkpoint
 *
 * Two chains are kept: the one that grows, and the one before it, which stays until the next base
 * has its name on disk. Only a base removes anything.
 *
 * [K1] A .checkpoint was synced before it got its name.
 * [K2] Nothing is removed before the new base's name is durable, nor when no good chain is left
 *      beside it.
 * [K3] Nobody removes what is newer than his own: whoever finds it has been taken over. */
#include "core/journal/checkpoint_files.h"

#include "core/base/hash.h"
#include "core/base/varint.h"
#include "core/env/failpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct weir_checkpoint_writer {
    weir_env *env;
    weir_file *file;
    weir_checkpoint_name name;
    uint64_t payload_bytes;
    uint32_t payload_crc;
    char dir[WEIR_CHECKPOINT_DIR_BYTES_MAX + 1];
    char path_new[WEIR_CHECKPOINT_PATH_BYTES];
};

/* Removing. */

typedef struct new_search {
    uint64_t own_term;
    weir_checkpoint_name found;
    bool any;
} new_search;

static bool new_each(void *arg, const char *text)
{
    new_search *search = arg;
    weir_checkpoint_name of;
    if (!weir_checkpoint_name_parse(text, WEIR_CHECKPOINT_EXTENSION_NEW, &of) ||
        of.term > search->own_term) {
        return true; /* a newer owner may be writing it: [K3] */
    }
    search->found = of;
    search->any = true;
    return false;
}

/* What an interrupted write left behind. */
static void new_remove(weir_env *env, const char *dir, uint64_t own_term)
{
    new_search search = {.own_term = own_term};
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    if (env->ops->dir_list(env, dir, new_each, &search) == WEIR_OK && search.any) {
        weir_checkpoint_path(dir, search.found.number, search.found.term,
                             WEIR_CHECKPOINT_EXTENSION_NEW, path);
        (void)env->ops->unlink(env, path);
    }
}

/* Marks the newest good chain below the new base. What this owner wrote is good; an older owner's
 * is read before it is relied on. False: there is none. */
static bool before_mark(weir_env *env, const char *dir, weir_checkpoint_names *names,
                        const weir_checkpoint_name *base)
{
    size_t *chain = malloc((names->count + 1) * sizeof(*chain));
    bool found = false;
    for (size_t at = 0; chain != NULL && at < names->count && !found; at++) {
        size_t links = 0;
        if (weir_checkpoint_newest_first(&names->names[at], base) <= 0) {
            continue;
        }
        weir_err err = weir_checkpoint_chain_find(env, dir, names, at, base->term, chain, &links);
        found = err == WEIR_OK;
        if (err == WEIR_NO_MEMORY) {
            break; /* which says nothing about the file: it may be the very one to keep */
        }
        for (size_t i = 0; found && i < links; i++) {
            names->names[chain[i]].wanted = true;
        }
    }
    free(chain);
    return found;
}

/* What is older than this base, but for the newest good chain of it: [K2], [K3]. When none is good,
 * all stays. What stays by mistake goes the next time. */
static void others_remove(weir_env *env, const char *dir, const weir_checkpoint_name *base)
{
    weir_checkpoint_names names;
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    if (weir_checkpoint_names_read(env, dir, &names) != WEIR_OK) {
        return;
    }
    bool may = before_mark(env, dir, &names, base);
    for (size_t i = names.count; may && i > 0; i--) { /* deltas before what they stand on */
        const weir_checkpoint_name *name = &names.names[names.count - i];
        if (weir_checkpoint_newest_first(name, base) > 0 && !name->wanted) {
            weir_checkpoint_path(dir, name->number, name->term, WEIR_CHECKPOINT_EXTENSION, path);
            (void)env->ops->unlink(env, path);
        }
    }
    free(names.names);
}

/* Writing. */

weir_err weir_checkpoint_begin(weir_env *env, const char *dir, uint64_t number, uint64_t term,
                               weir_checkpoint_writer **out)
{
    if (strlen(dir) > WEIR_CHECKPOINT_DIR_BYTES_MAX) {
        return WEIR_INVALID;
    }
    weir_checkpoint_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return WEIR_NO_MEMORY;
    }
    writer->env = env;
    writer->name.number = number;
    writer->name.term = term;
    memcpy(writer->dir, dir, strlen(dir) + 1);
    weir_checkpoint_path(dir, number, term, WEIR_CHECKPOINT_EXTENSION_NEW, writer->path_new);
    weir_err err = env->ops->dir_make(env, dir);
    if (err == WEIR_OK) {
        err = env->ops->file_open(env, writer->path_new,
                                  WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_TRUNCATE,
                                  &writer->file);
    }
    if (err != WEIR_OK) {
        free(writer);
        return err;
    }
    *out = writer;
    return WEIR_OK;
}

weir_err weir_checkpoint_add(weir_checkpoint_writer *writer, weir_bytes payload)
{
    struct iovec part = {(void *)(uintptr_t)payload.ptr, payload.len};
    if (payload.len == 0) {
        return WEIR_OK;
    }
    weir_err err = writer->env->ops->file_write(writer->env, writer->file, &part, 1,
                                                WEIR_CHECKPOINT_HEAD_BYTES + writer->payload_bytes);
    if (err == WEIR_OK) {
        writer->payload_bytes += payload.len;
        writer->payload_crc = weir_crc32c(writer->payload_crc, payload.ptr, payload.len);
    }
    return err;
}

static void writer_free(weir_checkpoint_writer *writer, bool remove)
{
    int kept = errno;
    if (writer->file != NULL) {
        writer->env->ops->file_close(writer->env, writer->file);
    }
    if (remove) {
        (void)writer->env->ops->unlink(writer->env, writer->path_new);
    }
    free(writer);
    errno = kept;
}

void weir_checkpoint_abandon(weir_checkpoint_writer *writer)
{
    if (writer != NULL) {
        writer_free(writer, true);
    }
}

/* The head, and all of it on disk: [K1]. */
static weir_err head_write(weir_checkpoint_writer *writer, const weir_checkpoint *head,
                           weir_checkpoint_link *link)
{
    uint8_t bytes[WEIR_CHECKPOINT_HEAD_BYTES];
    weir_checkpoint full = *head;
    struct iovec part = {bytes, sizeof(bytes)};
    weir_env *env = writer->env;
    full.number = writer->name.number;
    full.term = writer->name.term;
    weir_checkpoint_head_encode(&full, writer->payload_bytes, writer->payload_crc, bytes);
    *link = (weir_checkpoint_link){full.number, full.term,
                                   weir_get_u32(bytes + WEIR_CHECKPOINT_HEAD_BYTES - 4)};
    weir_err err = env->ops->file_write(env, writer->file, &part, 1, 0);
    err = err != WEIR_OK ? err : WEIR_FAILPOINT(checkpoint_written);
    err = err != WEIR_OK ? err : env->ops->file_sync(env, writer->file);
    env->ops->file_close(env, writer->file);
    writer->file = NULL;
    return err;
}

weir_err weir_checkpoint_finish(weir_checkpoint_writer *writer, const weir_checkpoint *head,
                                weir_checkpoint_link *link)
{
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    weir_checkpoint_link made;
    weir_env *env = writer->env;
    weir_checkpoint_path(writer->dir, writer->name.number, writer->name.term,
                         WEIR_CHECKPOINT_EXTENSION, path);
    weir_err err = head_write(writer, head, &made);
    err = err != WEIR_OK ? err : env->ops->rename(env, writer->path_new, path);
    if (err != WEIR_OK) {
        writer_free(writer, true);
        return err;
    }
    err = WEIR_FAILPOINT(checkpoint_renamed);
    err = err != WEIR_OK ? err : env->ops->dir_sync(env, writer->dir);
    if (err == WEIR_OK) {
        if (!head->delta) {
            others_remove(env, writer->dir, &writer->name);
        }
        new_remove(env, writer->dir, writer->name.term);
        *link = made;
    }
    writer_free(writer, false);
    return err;
}

weir_err weir_checkpoint_write(weir_env *env, const char *dir, const weir_checkpoint *checkpoint,
                               weir_checkpoint_link *link)
{
    weir_checkpoint_writer *writer = NULL;
    weir_err err = weir_checkpoint_begin(env, dir, checkpoint->number, checkpoint->term, &writer);
    if (err != WEIR_OK) {
        return err;
    }
    err = weir_checkpoint_add(writer, checkpoint->payload);
    if (err != WEIR_OK) {
        weir_checkpoint_abandon(writer);
        return err;
    }
    return weir_checkpoint_finish(writer, checkpoint, link);
}

/* Of the newest chain the heads are enough: it was written or read by whoever asks. */
weir_err weir_checkpoint_keep_from(weir_env *env, const char *dir, uint64_t *unit)
{
    weir_checkpoint_names names;
    uint64_t keep_from = 0;
    if (strlen(dir) > WEIR_CHECKPOINT_DIR_BYTES_MAX) {
        return WEIR_INVALID;
    }
    weir_err err = weir_checkpoint_names_read(env, dir, &names);
    if (err != WEIR_OK) {
        return err;
    }
    size_t at = 0;
    while (at < names.count &&
           (err = weir_checkpoint_name_read(env, dir, &names.names[at], false)) == WEIR_OK &&
           names.names[at].head.delta) {
        at++;
    }
    if (err != WEIR_NO_MEMORY && at + 1 < names.count &&
        (err = weir_checkpoint_name_read(env, dir, &names.names[at + 1], false)) == WEIR_OK) {
        keep_from = names.names[at + 1].head.replay_from;
    }
    free(names.names);
    if (err == WEIR_NO_MEMORY) {
        return err; /* which says nothing about the files */
    }
    *unit = keep_from;
    return WEIR_OK;
}
