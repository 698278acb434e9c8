/* core/journal/checkpoint.c - what a checkpoint's file says, and which chain of them a start uses.
 *
 *   <number>-<term>.checkpoint
 *
 *   | head 128 bytes: its own CRC32C, and length and CRC32C of the payload | payload |
 *
 *   base <-- delta <-- delta        a delta's head names the file before it, with that head's CRC
 *   ^ the chain before                 ^ the newest chain
 *
 * A base has the whole state, a delta what has changed since the file before. Loading goes from the
 * newest file to the oldest and takes the first whose chain, down to its base, is there and good;
 * all its files are checked before the first is handed over, so that nothing is ever half loaded.
 * One that only a newer version can read stops it, because an older state would be a lie. The term
 * in the name keeps an older owner that wakes up from writing over a newer owner's file.
 *
 * Version 1 had a head of 96 bytes, no deltas, and one CRC32C over all at its end; it is read. */
#include "core/journal/checkpoint_files.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION_NOW = 2,
    HEAD_BYTES_1 = 96,
    TAIL_BYTES_1 = 4,
    FLAG_CLEAN = 1,
    FLAG_DELTA = 2,
    NAME_DIGITS = 16,
    PIECE_BYTES = 256 << 10,
};

static const uint8_t MAGIC[8] = {'W', 'E', 'I', 'R', 'C', 'K', 'P', 'T'};

/* Bytes. */

static size_t head_bytes(uint32_t version)
{
    return version == 1 ? HEAD_BYTES_1 : WEIR_CHECKPOINT_HEAD_BYTES;
}

void weir_checkpoint_head_encode(const weir_checkpoint *checkpoint, uint64_t payload_bytes,
                                 uint32_t payload_crc, uint8_t out[WEIR_CHECKPOINT_HEAD_BYTES])
{
    uint32_t flags = (checkpoint->clean ? FLAG_CLEAN : 0u) | (checkpoint->delta ? FLAG_DELTA : 0u);
    memset(out, 0, WEIR_CHECKPOINT_HEAD_BYTES);
    memcpy(out, MAGIC, sizeof(MAGIC));
    weir_put_u32(out + 8, VERSION_NOW);
    weir_put_u32(out + 12, VERSION_NOW); /* the least version that can read it */
    weir_put_u64(out + 16, checkpoint->number);
    weir_put_u64(out + 24, checkpoint->unit);
    weir_put_u64(out + 32, checkpoint->replay_from);
    weir_put_u64(out + 40, checkpoint->term);
    weir_put_u64(out + 48, checkpoint->recovery_epoch);
    weir_put_u64(out + 56, (uint64_t)checkpoint->engine_ms);
    weir_put_u64(out + 64, payload_bytes);
    weir_put_u32(out + 72, flags);
    weir_put_u32(out + 76, payload_crc);
    if (checkpoint->delta) {
        weir_put_u64(out + 80, checkpoint->previous.number);
        weir_put_u64(out + 88, checkpoint->previous.term);
        weir_put_u32(out + 96, checkpoint->previous.crc);
    }
    weir_put_u32(out + WEIR_CHECKPOINT_HEAD_BYTES - 4,
                 weir_crc32c(0, out, WEIR_CHECKPOINT_HEAD_BYTES - 4));
}

/* All that the head says; the name's own number and term are not looked at. */
static weir_err head_decode(weir_bytes in, weir_checkpoint_name *name)
{
    if (in.len < HEAD_BYTES_1 || memcmp(in.ptr, MAGIC, sizeof(MAGIC)) != 0) {
        return WEIR_DAMAGED;
    }
    uint32_t version = weir_get_u32(in.ptr + 8);
    size_t bytes = head_bytes(version);
    if (in.len < bytes || weir_get_u32(in.ptr + bytes - 4) != weir_crc32c(0, in.ptr, bytes - 4)) {
        return WEIR_DAMAGED;
    }
    uint32_t flags = weir_get_u32(in.ptr + 72);
    uint32_t known = version == 1 ? FLAG_CLEAN : FLAG_CLEAN | FLAG_DELTA;
    if (weir_get_u32(in.ptr + 12) > VERSION_NOW || (flags & ~known) != 0) {
        return WEIR_VERSION;
    }
    name->version = version;
    name->crc = weir_get_u32(in.ptr + bytes - 4);
    name->payload_bytes = weir_get_u64(in.ptr + 64);
    name->payload_crc = version == 1 ? 0 : weir_get_u32(in.ptr + 76);
    name->head = (weir_checkpoint){
        .number = weir_get_u64(in.ptr + 16),
        .unit = weir_get_u64(in.ptr + 24),
        .replay_from = weir_get_u64(in.ptr + 32),
        .term = weir_get_u64(in.ptr + 40),
        .recovery_epoch = weir_get_u64(in.ptr + 48),
        .engine_ms = (int64_t)weir_get_u64(in.ptr + 56),
        .clean = (flags & FLAG_CLEAN) != 0,
        .delta = (flags & FLAG_DELTA) != 0,
    };
    if (name->head.delta) {
        name->head.previous = (weir_checkpoint_link){
            weir_get_u64(in.ptr + 80), weir_get_u64(in.ptr + 88), weir_get_u32(in.ptr + 96)};
    }
    return WEIR_OK;
}

/* What a file of this head must have in all. */
static uint64_t file_bytes(const weir_checkpoint_name *name)
{
    return head_bytes(name->version) + name->payload_bytes +
           (name->version == 1 ? TAIL_BYTES_1 : 0);
}

weir_err weir_checkpoint_decode(weir_bytes in, weir_checkpoint *checkpoint)
{
    weir_checkpoint_name found = {0};
    weir_err err = head_decode(in, &found);
    if (err != WEIR_OK) {
        return err;
    }
    size_t head = head_bytes(found.version);
    if (found.payload_bytes > in.len || file_bytes(&found) != in.len) {
        return WEIR_DAMAGED;
    }
    size_t payload_bytes = (size_t)found.payload_bytes;
    bool good = found.version == 1
                    ? weir_get_u32(in.ptr + in.len - TAIL_BYTES_1) ==
                          weir_crc32c(0, in.ptr, in.len - TAIL_BYTES_1)
                    : found.payload_crc == weir_crc32c(0, in.ptr + head, payload_bytes);
    if (!good) {
        return WEIR_DAMAGED;
    }
    *checkpoint = found.head;
    checkpoint->payload = (weir_bytes){in.ptr + head, payload_bytes};
    return WEIR_OK;
}

/* Names. */

void weir_checkpoint_path(const char *dir, uint64_t number, uint64_t term, const char *extension,
                          char out[WEIR_CHECKPOINT_PATH_BYTES])
{
    (void)snprintf(out, WEIR_CHECKPOINT_PATH_BYTES, "%.*s/%016llx-%016llx%s",
                   WEIR_CHECKPOINT_DIR_BYTES_MAX, dir, (unsigned long long)number,
                   (unsigned long long)term, extension);
}

bool weir_checkpoint_name_parse(const char *text, const char *extension, weir_checkpoint_name *out)
{
    const char *hex = "0123456789abcdef";
    if (strspn(text, hex) != NAME_DIGITS || text[NAME_DIGITS] != '-' ||
        strspn(text + NAME_DIGITS + 1, hex) != NAME_DIGITS ||
        strcmp(text + 2 * NAME_DIGITS + 1, extension) != 0) {
        return false;
    }
    *out = (weir_checkpoint_name){.number = strtoull(text, NULL, 16),
                                  .term = strtoull(text + NAME_DIGITS + 1, NULL, 16)};
    return true;
}

static bool names_each(void *arg, const char *text)
{
    weir_checkpoint_names *list = arg;
    weir_checkpoint_name found;
    if (!weir_checkpoint_name_parse(text, WEIR_CHECKPOINT_EXTENSION, &found)) {
        return true;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        weir_checkpoint_name *grown = realloc(list->names, capacity * sizeof(*grown));
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

int weir_checkpoint_newest_first(const void *left, const void *right)
{
    const weir_checkpoint_name *a = left;
    const weir_checkpoint_name *b = right;
    if (a->number != b->number) {
        return a->number > b->number ? -1 : 1;
    }
    return a->term == b->term ? 0 : a->term > b->term ? -1 : 1;
}

weir_err weir_checkpoint_names_read(weir_env *env, const char *dir, weir_checkpoint_names *list)
{
    *list = (weir_checkpoint_names){0};
    weir_err err = env->ops->dir_list(env, dir, names_each, list);
    err = list->no_memory ? WEIR_NO_MEMORY : err;
    if (err != WEIR_OK) {
        free(list->names);
        *list = (weir_checkpoint_names){0};
        return err;
    }
    if (list->count > 0) {
        qsort(list->names, list->count, sizeof(*list->names), weir_checkpoint_newest_first);
    }
    return WEIR_OK;
}

/* Reading. */

/* The sum over what stands from `position` on, in pieces. *whole: that many bytes were there, and no
 * more. */
static weir_err sum_read(weir_env *env, weir_file *file, uint64_t position, uint64_t bytes,
                         uint32_t *crc, bool *whole)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    weir_err err = piece == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    size_t got = 1;
    uint64_t sum = 0;
    while (err == WEIR_OK && got > 0 && sum < bytes) {
        size_t want = bytes - sum < PIECE_BYTES ? (size_t)(bytes - sum) : PIECE_BYTES;
        err = env->ops->file_read(env, file, piece, want, position + sum, &got);
        if (err == WEIR_OK) {
            *crc = weir_crc32c(*crc, piece, got);
            sum += got;
        }
    }
    free(piece);
    *whole = sum == bytes;
    return err;
}

static weir_err payload_check(weir_env *env, weir_file *file, weir_checkpoint_name *name)
{
    uint64_t size = 0;
    uint32_t crc = 0;
    bool whole = false;
    size_t head = head_bytes(name->version);
    weir_err err = env->ops->file_size(env, file, &size);
    if (err != WEIR_OK) {
        return err;
    }
    if (name->payload_bytes > size || size != file_bytes(name)) {
        return WEIR_DAMAGED;
    }
    if (name->version > 1) {
        err = sum_read(env, file, head, name->payload_bytes, &crc, &whole);
        return err == WEIR_OK && (!whole || crc != name->payload_crc) ? WEIR_DAMAGED : err;
    }
    uint8_t tail[TAIL_BYTES_1];
    size_t got = 0;
    err = sum_read(env, file, 0, head + name->payload_bytes, &crc, &whole);
    if (err == WEIR_OK) {
        err = env->ops->file_read(env, file, tail, sizeof(tail), head + name->payload_bytes, &got);
    }
    bool good = err == WEIR_OK && whole && got == sizeof(tail) && weir_get_u32(tail) == crc;
    return err == WEIR_OK && !good ? WEIR_DAMAGED : err;
}

weir_err weir_checkpoint_name_read(weir_env *env, const char *dir, weir_checkpoint_name *name,
                                   bool whole)
{
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    uint8_t head[WEIR_CHECKPOINT_HEAD_BYTES];
    size_t got = 0;
    weir_file *file;
    if (name->found != WEIR_CHECKPOINT_UNREAD) {
        return name->found == WEIR_CHECKPOINT_GOOD ? WEIR_OK : WEIR_DAMAGED;
    }
    weir_checkpoint_path(dir, name->number, name->term, WEIR_CHECKPOINT_EXTENSION, path);
    weir_err err = env->ops->file_open(env, path, WEIR_OPEN_READ, &file);
    if (err == WEIR_OK) {
        err = env->ops->file_read(env, file, head, sizeof(head), 0, &got);
        err = err == WEIR_OK ? head_decode((weir_bytes){head, got}, name) : err;
        if (err == WEIR_OK &&
            (name->head.number != name->number || name->head.term != name->term)) {
            err = WEIR_DAMAGED;
        }
        err = err == WEIR_OK && whole ? payload_check(env, file, name) : err;
        env->ops->file_close(env, file);
    }
    err = err == WEIR_NOT_FOUND ? WEIR_DAMAGED : err;
    if (err == WEIR_OK && whole) {
        name->found = WEIR_CHECKPOINT_GOOD;
    } else if (err == WEIR_DAMAGED) {
        name->found = WEIR_CHECKPOINT_BAD;
        weir_log(WEIR_LOG_ERROR, "journal",
                 "checkpoint file=%s is damaged: what was written before it is used", path);
    }
    return err;
}

static size_t name_find(const weir_checkpoint_names *names, const weir_checkpoint_link *link)
{
    size_t at = 0;
    while (at < names->count &&
           (names->names[at].number != link->number || names->names[at].term != link->term)) {
        at++;
    }
    return at;
}

weir_err weir_checkpoint_chain_find(weir_env *env, const char *dir, weir_checkpoint_names *names,
                                    size_t at, uint64_t trusted, size_t *chain, size_t *links)
{
    size_t count = 0;
    for (;;) {
        weir_checkpoint_name *name = &names->names[at];
        weir_err err = weir_checkpoint_name_read(env, dir, name, name->term != trusted);
        if (err != WEIR_OK) {
            return err;
        }
        if (chain != NULL) {
            chain[count] = at;
        }
        count++;
        if (!name->head.delta) {
            *links = count;
            return WEIR_OK;
        }
        size_t before = name_find(names, &name->head.previous);
        if (before >= names->count || before <= at) { /* numbers fall towards the base */
            return WEIR_DAMAGED;
        }
        err = weir_checkpoint_name_read(env, dir, &names->names[before],
                                        names->names[before].term != trusted);
        if (err != WEIR_OK || names->names[before].crc != name->head.previous.crc) {
            return err != WEIR_OK ? err : WEIR_DAMAGED;
        }
        at = before;
    }
}

/* Loading. */

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

static weir_err read_fault(weir_fault *fault, weir_err err, const char *dir,
                           const weir_checkpoint_name *name)
{
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    weir_checkpoint_path(dir, name->number, name->term, WEIR_CHECKPOINT_EXTENSION, path);
    return fault_fill(
        fault, err, path,
        err == WEIR_VERSION ? "this checkpoint was written by a newer version: start that version; "
                              "nothing was changed"
        : err == WEIR_NO_MEMORY
            ? "there is no memory or file descriptor to load this checkpoint; give the gateway "
              "more (ulimit -n)"
            : "this checkpoint cannot be read; check the disk and the file's owner");
}

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

static weir_err one_load(weir_env *env, const char *dir, const weir_checkpoint_name *name,
                         weir_checkpoint_each each, void *arg, weir_fault *fault)
{
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    void *memory = NULL;
    size_t len = 0;
    weir_checkpoint checkpoint;
    weir_checkpoint_path(dir, name->number, name->term, WEIR_CHECKPOINT_EXTENSION, path);
    weir_err err = file_take(env, path, &memory, &len);
    err = err == WEIR_OK ? weir_checkpoint_decode((weir_bytes){memory, len}, &checkpoint) : err;
    if (err != WEIR_OK) { /* it was good a moment ago */
        free(memory);
        return read_fault(fault, err, dir, name);
    }
    err = each(arg, &checkpoint, fault);
    free(memory);
    return err;
}

static weir_err chain_load(weir_env *env, const char *dir, const weir_checkpoint_names *names,
                           const size_t *chain, size_t links, weir_checkpoint_each each, void *arg,
                           weir_fault *fault)
{
    weir_err err = WEIR_OK;
    for (size_t i = links; i > 0 && err == WEIR_OK; i--) {
        err = one_load(env, dir, &names->names[chain[i - 1]], each, arg, fault);
    }
    return err;
}

static weir_err newest_load(weir_env *env, const char *dir, weir_checkpoint_names *names,
                            weir_checkpoint_each each, void *arg, weir_checkpoint *newest,
                            weir_fault *fault)
{
    char path[WEIR_CHECKPOINT_PATH_BYTES];
    if (names->count == 0) {
        return fault_fill(fault, WEIR_NOT_FOUND, dir, "there is no checkpoint");
    }
    size_t *chain = malloc(names->count * sizeof(*chain));
    weir_err err = chain == NULL ? WEIR_NO_MEMORY : WEIR_DAMAGED;
    size_t links = 0, at = 0;
    while (err == WEIR_DAMAGED && at < names->count) {
        err = weir_checkpoint_chain_find(env, dir, names, at, UINT64_MAX, chain, &links);
        at += err == WEIR_DAMAGED ? 1 : 0;
    }
    if (err == WEIR_OK) {
        *newest = names->names[at].head;
        newest->number = names->names[0].number; /* the next one's is above all */
        err = chain_load(env, dir, names, chain, links, each, arg, fault);
        free(chain);
        return err;
    }
    free(chain);
    if (err != WEIR_DAMAGED) {
        return read_fault(fault, err, dir, &names->names[at < names->count ? at : 0]);
    }
    weir_checkpoint_path(dir, names->names[0].number, names->names[0].term,
                         WEIR_CHECKPOINT_EXTENSION, path);
    return fault_fill(
        fault, WEIR_DAMAGED, path,
        "every checkpoint is damaged: restore this file from a backup and start again; "
        "nothing was changed");
}

weir_err weir_checkpoint_load(weir_env *env, const char *dir, weir_checkpoint_each each, void *arg,
                              weir_checkpoint *newest, weir_fault *fault)
{
    weir_fault unwanted;
    weir_checkpoint_names names;
    fault = fault != NULL ? fault : &unwanted;
    if (strlen(dir) > WEIR_CHECKPOINT_DIR_BYTES_MAX) {
        return fault_fill(fault, WEIR_INVALID, dir, "the data directory's path is too long");
    }
    weir_err err = env->ops->dir_make(env, dir);
    err = err != WEIR_OK ? err : weir_checkpoint_names_read(env, dir, &names);
    if (err != WEIR_OK) {
        return fault_fill(
            fault, err, dir,
            "the folder of checkpoints cannot be used; check who owns it, and the disk");
    }
    err = newest_load(env, dir, &names, each, arg, newest, fault);
    free(names.names);
    return err;
}
