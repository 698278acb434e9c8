/* core/journal/checkpoint.c - writes the whole state beside the older ones, and finds the newest
 * good one again.
 *
 *   <number>-<term>.new --sync, rename, folder synced--> <number>-<term>.checkpoint
 *
 *   | head 96 bytes, with a CRC32C of its own | payload | CRC32C over head and payload |
 *
 * Two are kept: the one just written and the one before, which stays until the newer one has its
 * name on disk. Loading goes from the newest to the oldest and takes the first whose checksum is
 * right; one that only a newer version can read stops it, because an older state would be a lie.
 * The term in the name keeps an older owner that wakes up from writing over a newer owner's file.
 *
 * [K1] A .checkpoint was synced before it got its name.
 * [K2] None is removed before the new one's name is durable.
 * [K3] Nobody removes what is newer than his own: whoever finds it has been taken over. */
#include "core/journal/checkpoint.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"
#include "core/env/failpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECKPOINT_VERSION = 1,
    HEAD_BYTES = 96,
    HEAD_CRC_AT = HEAD_BYTES - 4,
    TAIL_BYTES = 4,
    FLAG_CLEAN = 1,
    NAME_DIGITS = 16,
    DIR_BYTES_MAX = 3900,
    PATH_BYTES_MAX = DIR_BYTES_MAX + 64,
};

static const uint8_t MAGIC[8] = {'W', 'E', 'I', 'R', 'C', 'K', 'P', 'T'};
static const char EXTENSION[] = ".checkpoint";
static const char EXTENSION_NEW[] = ".new";

typedef struct name {
    uint64_t number;
    uint64_t term;
} name;

typedef struct name_list {
    name *names; /* newest first once sorted */
    size_t count;
    size_t capacity;
    bool no_memory;
} name_list;

/* Bytes. */

static void head_encode(const weir_checkpoint *checkpoint, uint8_t out[HEAD_BYTES])
{
    memset(out, 0, HEAD_BYTES);
    memcpy(out, MAGIC, sizeof(MAGIC));
    weir_put_u32(out + 8, CHECKPOINT_VERSION);
    weir_put_u32(out + 12, CHECKPOINT_VERSION); /* the least version that can read it */
    weir_put_u64(out + 16, checkpoint->number);
    weir_put_u64(out + 24, checkpoint->unit);
    weir_put_u64(out + 32, checkpoint->replay_from);
    weir_put_u64(out + 40, checkpoint->term);
    weir_put_u64(out + 48, checkpoint->recovery_epoch);
    weir_put_u64(out + 56, (uint64_t)checkpoint->engine_ms);
    weir_put_u64(out + 64, checkpoint->payload.len);
    weir_put_u32(out + 72, checkpoint->clean ? FLAG_CLEAN : 0);
    weir_put_u32(out + HEAD_CRC_AT, weir_crc32c(0, out, HEAD_CRC_AT));
}

/* All but the payload's bytes; *payload_bytes is what the head says of them. */
static weir_err head_decode(weir_bytes in, weir_checkpoint *checkpoint, uint64_t *payload_bytes)
{
    if (in.len < HEAD_BYTES || memcmp(in.ptr, MAGIC, sizeof(MAGIC)) != 0 ||
        weir_get_u32(in.ptr + HEAD_CRC_AT) != weir_crc32c(0, in.ptr, HEAD_CRC_AT)) {
        return WEIR_DAMAGED;
    }
    if (weir_get_u32(in.ptr + 12) > CHECKPOINT_VERSION ||
        (weir_get_u32(in.ptr + 72) & ~(uint32_t)FLAG_CLEAN) != 0) {
        return WEIR_VERSION;
    }
    *checkpoint = (weir_checkpoint){
        .number = weir_get_u64(in.ptr + 16),
        .unit = weir_get_u64(in.ptr + 24),
        .replay_from = weir_get_u64(in.ptr + 32),
        .term = weir_get_u64(in.ptr + 40),
        .recovery_epoch = weir_get_u64(in.ptr + 48),
        .engine_ms = (int64_t)weir_get_u64(in.ptr + 56),
        .clean = (weir_get_u32(in.ptr + 72) & FLAG_CLEAN) != 0,
    };
    *payload_bytes = weir_get_u64(in.ptr + 64);
    return WEIR_OK;
}

weir_err weir_checkpoint_decode(weir_bytes in, weir_checkpoint *checkpoint)
{
    weir_checkpoint found;
    uint64_t payload_bytes;
    weir_err err = head_decode(in, &found, &payload_bytes);
    if (err != WEIR_OK) {
        return err;
    }
    if (in.len < HEAD_BYTES + TAIL_BYTES || payload_bytes != in.len - HEAD_BYTES - TAIL_BYTES ||
        weir_get_u32(in.ptr + in.len - TAIL_BYTES) != weir_crc32c(0, in.ptr, in.len - TAIL_BYTES)) {
        return WEIR_DAMAGED;
    }
    found.payload = (weir_bytes){in.ptr + HEAD_BYTES, (size_t)payload_bytes};
    *checkpoint = found;
    return WEIR_OK;
}

/* Names. */

static void path_of(const char *dir, name of, const char *extension, char out[PATH_BYTES_MAX])
{
    (void)snprintf(out, PATH_BYTES_MAX, "%.*s/%016llx-%016llx%s", DIR_BYTES_MAX, dir,
                   (unsigned long long)of.number, (unsigned long long)of.term, extension);
}

static bool name_parse(const char *text, const char *extension, name *out)
{
    const char *hex = "0123456789abcdef";
    if (strspn(text, hex) != NAME_DIGITS || text[NAME_DIGITS] != '-' ||
        strspn(text + NAME_DIGITS + 1, hex) != NAME_DIGITS ||
        strcmp(text + 2 * NAME_DIGITS + 1, extension) != 0) {
        return false;
    }
    out->number = strtoull(text, NULL, 16);
    out->term = strtoull(text + NAME_DIGITS + 1, NULL, 16);
    return true;
}

static bool list_each(void *arg, const char *text)
{
    name_list *list = arg;
    name found;
    if (!name_parse(text, EXTENSION, &found)) {
        return true;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        name *grown = realloc(list->names, capacity * sizeof(*grown));
        if (grown == NULL) {
            list->no_memory = true;
            return false;
        }
        list->names = grown;
        list->capacity = capacity;
    }
    list->names[list->count++] = found;
    return true;
}

static int newest_first(const void *left, const void *right)
{
    const name *a = left;
    const name *b = right;
    if (a->number != b->number) {
        return a->number > b->number ? -1 : 1;
    }
    return a->term == b->term ? 0 : a->term > b->term ? -1 : 1;
}

static weir_err list_read(weir_env *env, const char *dir, name_list *list)
{
    *list = (name_list){0};
    weir_err err = env->ops->dir_list(env, dir, list_each, list);
    err = list->no_memory ? WEIR_NO_MEMORY : err;
    if (err != WEIR_OK) {
        free(list->names);
        *list = (name_list){0};
        return err;
    }
    if (list->count > 0) {
        qsort(list->names, list->count, sizeof(*list->names), newest_first);
    }
    return WEIR_OK;
}

/* Reading. */

/* The whole file in memory of its own. */
static weir_err file_take(weir_env *env, const char *path, void **memory, size_t *len)
{
    weir_file *file;
    uint64_t bytes;
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_READ, &file);
    if (err != WEIR_OK) {
        return err;
    }
    err = env->ops->file_size(env, file, &bytes);
    void *taken = err == WEIR_OK ? malloc((size_t)bytes + 1) : NULL;
    if (err == WEIR_OK) {
        err = taken == NULL ? WEIR_NO_MEMORY
                            : env->ops->file_read(env, file, taken, (size_t)bytes, 0, len);
    }
    env->ops->file_close(env, file);
    if (err != WEIR_OK) {
        free(taken);
        return err;
    }
    *memory = taken;
    return WEIR_OK;
}

static weir_err fault_fill(weir_fault *fault, weir_err err, const char *path, const char *text)
{
    int os_errno = err == WEIR_IO ? errno : 0;
    size_t len = strlen(path);
    size_t skip = len >= sizeof(fault->file) ? len - sizeof(fault->file) + 1 : 0;
    *fault = (weir_fault){.err = err, .os_errno = os_errno};
    memcpy(fault->file, path + skip, len - skip + 1); /* of a long path the end tells more */
    (void)snprintf(fault->text, sizeof(fault->text), "%s", text);
    return err;
}

/* DAMAGED without a fault: this one is bad, another may do. */
static weir_err one_load(weir_env *env, const char *path, weir_checkpoint *checkpoint,
                         void **memory, weir_fault *fault)
{
    void *taken;
    size_t len;
    weir_err err = file_take(env, path, &taken, &len);
    if (err != WEIR_OK) {
        return fault_fill(
            fault, err, path,
            err == WEIR_NO_MEMORY
                ? "there is no memory to load this checkpoint; give the gateway more"
                : "this checkpoint cannot be read; check the disk and the file's owner");
    }
    err = weir_checkpoint_decode((weir_bytes){taken, len}, checkpoint);
    if (err != WEIR_OK) {
        free(taken);
    }
    if (err == WEIR_VERSION) {
        return fault_fill(fault, err, path,
                          "this checkpoint was written by a newer version: start that version; "
                          "nothing was changed");
    }
    if (err == WEIR_OK) {
        *memory = taken;
    }
    return err;
}

static weir_err newest_load(weir_env *env, const char *dir, const name_list *list,
                            weir_checkpoint *checkpoint, void **memory, weir_fault *fault)
{
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < list->count; i++) {
        path_of(dir, list->names[i], EXTENSION, path);
        weir_err err = one_load(env, path, checkpoint, memory, fault);
        if (err != WEIR_DAMAGED) {
            return err;
        }
        weir_log(WEIR_LOG_ERROR, "journal", "checkpoint file=%s is damaged: the one before is used",
                 path);
    }
    if (list->count == 0) {
        return fault_fill(fault, WEIR_NOT_FOUND, dir, "there is no checkpoint");
    }
    path_of(dir, list->names[0], EXTENSION, path);
    return fault_fill(
        fault, WEIR_DAMAGED, path,
        "every checkpoint is damaged: restore this file from a backup and start again; "
        "nothing was changed");
}

weir_err weir_checkpoint_load(weir_env *env, const char *dir, weir_checkpoint *checkpoint,
                              void **memory, weir_fault *fault)
{
    weir_fault unwanted;
    name_list list;
    fault = fault != NULL ? fault : &unwanted;
    if (strlen(dir) > DIR_BYTES_MAX) {
        return fault_fill(fault, WEIR_INVALID, dir, "the data directory's path is too long");
    }
    weir_err err = env->ops->dir_make(env, dir);
    err = err != WEIR_OK ? err : list_read(env, dir, &list);
    if (err != WEIR_OK) {
        return fault_fill(
            fault, err, dir,
            "the folder of checkpoints cannot be used; check who owns it, and the disk");
    }
    err = newest_load(env, dir, &list, checkpoint, memory, fault);
    free(list.names);
    return err;
}

/* Writing. */

static weir_err new_write(weir_env *env, const char *path, const weir_checkpoint *checkpoint)
{
    uint8_t head[HEAD_BYTES];
    uint8_t tail[TAIL_BYTES];
    weir_file *file;
    weir_bytes payload = checkpoint->payload;
    head_encode(checkpoint, head);
    uint32_t crc = weir_crc32c(0, head, sizeof(head));
    weir_put_u32(tail, weir_crc32c(crc, payload.ptr, payload.len));
    weir_err err = env->ops->file_open(
        env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE | WEIR_OPEN_TRUNCATE, &file);
    if (err != WEIR_OK) {
        return err;
    }
    struct iovec parts[] = {
        {head, sizeof(head)},
        {(void *)(uintptr_t)payload.ptr, payload.len},
        {tail, sizeof(tail)},
    };
    err = env->ops->file_write(env, file, parts, 3, 0);
    err = err != WEIR_OK ? err : WEIR_FAILPOINT(checkpoint_written);
    err = err != WEIR_OK ? err : env->ops->file_sync(env, file);
    env->ops->file_close(env, file);
    return err;
}

typedef struct new_search {
    uint64_t own_term;
    name found;
    bool any;
} new_search;

static bool new_each(void *arg, const char *text)
{
    new_search *search = arg;
    name of;
    if (!name_parse(text, EXTENSION_NEW, &of) || of.term > search->own_term) {
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
    char path[PATH_BYTES_MAX];
    if (env->ops->dir_list(env, dir, new_each, &search) == WEIR_OK && search.any) {
        path_of(dir, search.found, EXTENSION_NEW, path);
        (void)env->ops->unlink(env, path);
    }
}

/* One that this owner wrote is good; an older owner's is read before it is relied on. */
static bool is_good(weir_env *env, const char *dir, name of, uint64_t own_term)
{
    char path[PATH_BYTES_MAX];
    void *memory;
    size_t len;
    weir_checkpoint checkpoint;
    if (of.term == own_term) {
        return true;
    }
    path_of(dir, of, EXTENSION, path);
    if (file_take(env, path, &memory, &len) != WEIR_OK) {
        return false;
    }
    weir_err err = weir_checkpoint_decode((weir_bytes){memory, len}, &checkpoint);
    free(memory);
    return err == WEIR_OK;
}

/* Those below this one, but for the newest good one of them: [K2], [K3]. When none is good, all
 * stay. What stays by mistake goes the next time. */
static void others_remove(weir_env *env, const char *dir, name kept)
{
    name_list list;
    if (list_read(env, dir, &list) != WEIR_OK) {
        return;
    }
    size_t before = 0;
    while (before < list.count && (newest_first(&list.names[before], &kept) <= 0 ||
                                   !is_good(env, dir, list.names[before], kept.term))) {
        before++;
    }
    for (size_t i = 0; i < list.count; i++) {
        int order = newest_first(&list.names[i], &kept);
        if (order <= 0 || i == before || before == list.count) {
            continue;
        }
        char path[PATH_BYTES_MAX];
        path_of(dir, list.names[i], EXTENSION, path);
        (void)env->ops->unlink(env, path);
    }
    free(list.names);
    new_remove(env, dir, kept.term);
}

weir_err weir_checkpoint_write(weir_env *env, const char *dir, const weir_checkpoint *checkpoint)
{
    name of = {checkpoint->number, checkpoint->term};
    char path[PATH_BYTES_MAX];
    char path_new[PATH_BYTES_MAX];
    if (strlen(dir) > DIR_BYTES_MAX) {
        return WEIR_INVALID;
    }
    path_of(dir, of, EXTENSION_NEW, path_new);
    path_of(dir, of, EXTENSION, path);
    weir_err err = env->ops->dir_make(env, dir);
    err = err != WEIR_OK ? err : new_write(env, path_new, checkpoint); /* [K1] */
    err = err != WEIR_OK ? err : env->ops->rename(env, path_new, path);
    if (err != WEIR_OK) {
        int kept = errno;
        (void)env->ops->unlink(env, path_new);
        errno = kept;
        return err;
    }
    err = WEIR_FAILPOINT(checkpoint_renamed);
    err = err != WEIR_OK ? err : env->ops->dir_sync(env, dir);
    if (err == WEIR_OK) {
        others_remove(env, dir, of);
    }
    return err;
}

weir_err weir_checkpoint_keep_from(weir_env *env, const char *dir, uint64_t *unit)
{
    name_list list;
    uint64_t keep_from = 0;
    if (strlen(dir) > DIR_BYTES_MAX) {
        return WEIR_INVALID;
    }
    weir_err err = list_read(env, dir, &list);
    if (err == WEIR_OK && list.count > 1) {
        uint8_t head[HEAD_BYTES];
        size_t got = 0;
        char path[PATH_BYTES_MAX];
        weir_file *file;
        weir_checkpoint older;
        uint64_t payload_bytes;
        path_of(dir, list.names[1], EXTENSION, path);
        err = env->ops->file_open(env, path, WEIR_OPEN_READ, &file);
        if (err == WEIR_OK) {
            err = env->ops->file_read(env, file, head, sizeof(head), 0, &got);
            env->ops->file_close(env, file);
        }
        if (err == WEIR_OK &&
            head_decode((weir_bytes){head, got}, &older, &payload_bytes) == WEIR_OK) {
            keep_from = older.replay_from;
        }
    }
    free(list.names);
    if (err == WEIR_OK) {
        *unit = keep_from;
    }
    return err;
}
