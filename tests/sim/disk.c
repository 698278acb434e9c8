/* tests/sim/disk.c - what lies on the simulated disk, and what each call does to it.
 *
 *   file    synced --changes, in order--> live      a sync applies the changes to `synced`;
 *                                                   one that fails marks them lost
 *   folder  durable --namings, in order--> names    a sync of the folder applies them
 *
 * A file's bytes and its name are made safe apart from each other: a sync of the file says nothing of
 * its name, a sync of the folder nothing of the bytes. A rename within a folder arrives whole; one
 * between folders is a name that goes and one that comes. Inodes live while a name (live or durable), a
 * pending naming or an open file refers to them.
 *
 * [D1] live is synced plus all changes; names is durable plus all namings.
 * [D2] A change that is lost stays readable and reaches `synced` by no later sync. */
#include "tests/sim/internal.h"

#include "core/base/assert.h"
#include "core/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const CALL_NAMES[SIM_CALL_COUNT] = {
#define CALL_NAME(name) #name,
    SIM_CALL_LIST(CALL_NAME)
#undef CALL_NAME
};

const char *sim_call_name(sim_call_kind kind)
{
    return CALL_NAMES[kind];
}

void *sim_alloc(void *ptr, size_t bytes)
{
    void *grown = realloc(ptr, bytes > 0 ? bytes : 1);
    WEIR_ASSERT(grown != NULL);
    return grown;
}

/* ---- Bytes
 * -------------------------------------------------------------------------------------------- */

static void bytes_reserve(sim_bytes *bytes, uint64_t len)
{
    if (len > bytes->capacity) {
        bytes->capacity = len > 2 * bytes->capacity ? len : 2 * bytes->capacity;
        bytes->ptr = sim_alloc(bytes->ptr, bytes->capacity);
    }
}

void sim_bytes_size(sim_bytes *bytes, uint64_t len)
{
    bytes_reserve(bytes, len);
    if (len > bytes->len) {
        memset(bytes->ptr + bytes->len, 0, len - bytes->len);
    }
    bytes->len = len;
}

void sim_bytes_put(sim_bytes *bytes, uint64_t offset, const uint8_t *in, uint64_t len)
{
    if (offset > bytes->len) {
        sim_bytes_size(bytes, offset);
    }
    bytes_reserve(bytes, offset + len);
    if (len > 0) {
        memcpy(bytes->ptr + offset, in, len);
    }
    bytes->len = offset + len > bytes->len ? offset + len : bytes->len;
}

/* ---- Inodes
 * ------------------------------------------------------------------------------------------- */

static sim_inode *inode_create(sim_disk *disk, const char *name, bool folder)
{
    if (disk->inode_count == disk->inode_capacity) {
        disk->inode_capacity = disk->inode_capacity * 2 + 64;
        disk->inodes = sim_alloc(disk->inodes, disk->inode_capacity * sizeof(*disk->inodes));
    }
    sim_inode *inode = sim_alloc(NULL, sizeof(*inode));
    memset(inode, 0, sizeof(*inode));
    inode->number = disk->inode_count;
    inode->folder = folder;
    (void)snprintf(inode->name, sizeof(inode->name), "%s", name);
    disk->inodes[disk->inode_count++] = inode;
    return inode;
}

void sim_changes_clear(sim_inode *inode)
{
    for (uint32_t i = 0; i < inode->change_count; i++) {
        free(inode->changes[i].data);
    }
    inode->change_count = 0;
}

static void inode_free(sim_disk *disk, sim_inode *inode)
{
    sim_changes_clear(inode);
    disk->inodes[inode->number] = NULL;
    free(inode->live.ptr);
    free(inode->synced.ptr);
    free(inode->changes);
    free(inode->names.items);
    free(inode->durable.items);
    free(inode->namings);
    free(inode);
}

void sim_inode_keep(sim_inode *inode)
{
    inode->refs++;
}

static void folder_empty(sim_disk *disk, sim_inode *folder)
{
    sim_namings_clear(disk, folder);
    while (folder->names.count > 0) {
        sim_entry_unset(disk, &folder->names, folder->names.items[0].name, true);
    }
    while (folder->durable.count > 0) {
        sim_entry_unset(disk, &folder->durable, folder->durable.items[0].name, false);
    }
}

void sim_inode_drop(sim_disk *disk, sim_inode *inode)
{
    WEIR_ASSERT(inode->refs > 0);
    inode->refs--;
    if (inode->refs == 0) {
        folder_empty(disk, inode);
        inode_free(disk, inode);
    }
}

sim_inode *sim_inode_of(const sim_disk *disk, uint32_t number)
{
    return number < disk->inode_count ? disk->inodes[number] : NULL;
}

/* ---- Names
 * -------------------------------------------------------------------------------------------- */

sim_entry *sim_entry_find(const sim_entries *entries, const char *name)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->items[i].name, name) == 0) {
            return &entries->items[i];
        }
    }
    return NULL;
}

static void name_copy(char out[SIM_NAME_BYTES], const char *name)
{
    size_t len = strlen(name);
    WEIR_ASSERT(len < SIM_NAME_BYTES);
    memcpy(out, name, len + 1);
}

void sim_entry_set(sim_disk *disk, sim_entries *entries, const char *name, sim_inode *inode,
                   bool live)
{
    sim_inode_keep(inode);
    inode->live_names += live ? 1 : 0;
    sim_entry_unset(disk, entries, name, live);
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity * 2 + 8;
        entries->items = sim_alloc(entries->items, entries->capacity * sizeof(*entries->items));
    }
    sim_entry *entry = &entries->items[entries->count++];
    entry->inode = inode;
    name_copy(entry->name, name);
}

void sim_entry_unset(sim_disk *disk, sim_entries *entries, const char *name, bool live)
{
    sim_entry *entry = sim_entry_find(entries, name);
    if (entry == NULL) {
        return;
    }
    sim_inode *inode = entry->inode;
    entries->count--;
    memmove(entry, entry + 1,
            (size_t)(&entries->items[entries->count] - entry) * sizeof(*entry)); /* order stays */
    inode->live_names -= live ? 1 : 0;
    sim_inode_drop(disk, inode);
}

static sim_naming *naming_add(sim_disk *disk, sim_inode *folder, sim_inode *inode)
{
    if (folder->naming_count == folder->naming_capacity) {
        folder->naming_capacity = folder->naming_capacity * 2 + 8;
        folder->namings =
            sim_alloc(folder->namings, folder->naming_capacity * sizeof(*folder->namings));
    }
    sim_naming *naming = &folder->namings[folder->naming_count++];
    *naming = (sim_naming){.inode = inode, .call = disk->calls};
    sim_inode_keep(inode);
    return naming;
}

void sim_namings_clear(sim_disk *disk, sim_inode *inode)
{
    for (uint32_t i = 0; i < inode->naming_count; i++) {
        sim_inode_drop(disk, inode->namings[i].inode);
    }
    inode->naming_count = 0;
}

/* Walks one part of a path. */
static sim_inode *step_down(const sim_inode *folder, const char *part, size_t len)
{
    for (uint32_t i = 0; i < folder->names.count; i++) {
        const sim_entry *entry = &folder->names.items[i];
        if (strncmp(entry->name, part, len) == 0 && entry->name[len] == '\0') {
            return entry->inode;
        }
    }
    return NULL;
}

static bool part_is_here(const char *part, size_t len)
{
    return len == 0 || (len == 1 && part[0] == '.');
}

static sim_inode *walk(const sim_disk *disk, const char *path, size_t path_len)
{
    sim_inode *at = disk->root;
    const char *end = path + path_len;
    while (path < end && at != NULL) {
        size_t len = strcspn(path, "/");
        len = len > (size_t)(end - path) ? (size_t)(end - path) : len;
        if (!part_is_here(path, len)) {
            at = at->folder ? step_down(at, path, len) : NULL;
        }
        path += len;
        path += path < end ? 1 : 0;
    }
    return at;
}

sim_inode *sim_find(const sim_disk *disk, const char *path)
{
    return walk(disk, path, strlen(path));
}

sim_inode *sim_parent(const sim_disk *disk, const char *path, const char **last)
{
    const char *slash = strrchr(path, '/');
    *last = slash != NULL ? slash + 1 : path;
    sim_inode *folder = walk(disk, path, slash != NULL ? (size_t)(slash - path) : 0);
    return folder != NULL && folder->folder ? folder : NULL;
}

/* ---- What calls do
 * ------------------------------------------------------------------------------------ */

sim_inode *sim_do_create(sim_disk *disk, const char *path, bool folder)
{
    const char *last = NULL;
    sim_inode *parent = sim_parent(disk, path, &last);
    if (parent == NULL) {
        return NULL;
    }
    sim_inode *inode = inode_create(disk, last, folder);
    sim_naming *naming = naming_add(disk, parent, inode);
    name_copy(naming->to, last);
    sim_entry_set(disk, &parent->names, last, inode, true);
    return inode;
}

static sim_change *change_add(const sim_disk *disk, sim_inode *inode)
{
    if (inode->change_count == inode->change_capacity) {
        inode->change_capacity = inode->change_capacity * 2 + 8;
        inode->changes =
            sim_alloc(inode->changes, inode->change_capacity * sizeof(*inode->changes));
    }
    sim_change *change = &inode->changes[inode->change_count++];
    *change = (sim_change){.call = disk->calls};
    return change;
}

void sim_do_write(sim_disk *disk, sim_inode *inode, const uint8_t *data, uint64_t len,
                  uint64_t offset)
{
    if (len == 0) {
        return;
    }
    sim_change *change = change_add(disk, inode);
    change->offset = offset;
    change->len = len;
    change->data = sim_alloc(NULL, len);
    memcpy(change->data, data, len);
    sim_bytes_put(&inode->live, offset, data, len);
}

void sim_do_truncate(sim_disk *disk, sim_inode *inode, uint64_t bytes)
{
    sim_change *change = change_add(disk, inode);
    change->cut = true;
    change->offset = bytes;
    sim_bytes_size(&inode->live, bytes);
}

/* What a failed sync forgot must not come back over what was written and synced after it. */
static void lost_overwrite(sim_change *lost, const sim_change *newer)
{
    uint64_t from = newer->offset > lost->offset ? newer->offset : lost->offset;
    uint64_t newer_end = newer->offset + newer->len;
    uint64_t lost_end = lost->offset + lost->len;
    uint64_t end = newer_end < lost_end ? newer_end : lost_end;
    if (from < end) {
        memcpy(lost->data + (from - lost->offset), newer->data + (from - newer->offset),
               end - from);
    }
}

void sim_do_sync(sim_disk *disk, sim_inode *inode, bool fails)
{
    uint32_t kept = 0;
    disk->lost += fails ? 1 : 0;
    for (uint32_t i = 0; i < inode->change_count; i++) {
        sim_change change = inode->changes[i];
        change.lost = change.lost || (fails && !change.cut);
        if (change.lost || fails) {
            inode->changes[kept++] = change; /* [D2] */
        } else if (change.cut) {
            sim_bytes_size(&inode->synced, change.offset);
        } else {
            for (uint32_t k = 0; k < kept; k++) {
                lost_overwrite(&inode->changes[k], &change);
            }
            sim_bytes_put(&inode->synced, change.offset, change.data, change.len);
            free(change.data);
        }
    }
    inode->change_count = kept;
    if (!fails) {
        sim_bytes_size(&inode->synced, inode->live.len);
    }
}

void sim_do_volume_sync(sim_disk *disk, bool fails)
{
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        sim_inode *inode = disk->inodes[i];
        if (inode != NULL && !inode->folder) {
            sim_do_sync(disk, inode, fails);
        }
    }
    for (uint32_t i = 0; i < disk->inode_count && !fails; i++) {
        if (disk->inodes[i] != NULL && disk->inodes[i]->folder) {
            sim_do_dir_sync(disk, disk->inodes[i]);
        }
    }
}

static void naming_arrives(sim_disk *disk, sim_inode *folder, const sim_naming *naming)
{
    const sim_entry *from = sim_entry_find(&folder->durable, naming->from);
    if (from != NULL && from->inode == naming->inode) {
        sim_entry_unset(disk, &folder->durable, naming->from, false);
    }
    if (naming->to[0] != '\0') {
        sim_entry_set(disk, &folder->durable, naming->to, naming->inode, false);
    }
}

void sim_do_dir_sync(sim_disk *disk, sim_inode *folder)
{
    for (uint32_t i = 0; i < folder->naming_count; i++) {
        naming_arrives(disk, folder, &folder->namings[i]);
    }
    sim_namings_clear(disk, folder);
}

weir_err sim_do_unlink(sim_disk *disk, const char *path, bool folder)
{
    const char *last = NULL;
    sim_inode *parent = sim_parent(disk, path, &last);
    const sim_entry *entry = parent != NULL ? sim_entry_find(&parent->names, last) : NULL;
    if (entry == NULL) {
        return WEIR_NOT_FOUND;
    }
    if (entry->inode->folder != folder || entry->inode->names.count > 0) {
        return WEIR_IO;
    }
    name_copy(naming_add(disk, parent, entry->inode)->from, last);
    sim_entry_unset(disk, &parent->names, last, true);
    return WEIR_OK;
}

weir_err sim_do_rename(sim_disk *disk, const char *from, const char *to)
{
    const char *last_from = NULL;
    const char *last_to = NULL;
    sim_inode *folder_from = sim_parent(disk, from, &last_from);
    sim_inode *folder_to = sim_parent(disk, to, &last_to);
    const sim_entry *entry =
        folder_from != NULL ? sim_entry_find(&folder_from->names, last_from) : NULL;
    if (entry == NULL || folder_to == NULL) {
        return WEIR_NOT_FOUND;
    }
    sim_inode *inode = entry->inode;
    sim_naming *naming = naming_add(disk, folder_from, inode);
    name_copy(naming->from, last_from);
    if (folder_to != folder_from) {
        naming = naming_add(disk, folder_to, inode);
    }
    name_copy(naming->to, last_to);
    sim_entry_set(disk, &folder_to->names, last_to, inode, true);
    sim_entry_unset(disk, &folder_from->names, last_from, true);
    return WEIR_OK;
}

/* ---- Calls: counted, hashed, recorded, done again
 * --------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    sim_random random = {hash ^ value};
    return sim_random_next(&random);
}

void sim_call_note(sim_disk *disk, const sim_call *call)
{
    disk->calls += call->kind < SIM_CALL_OPEN ? 1 : 0;
    uint64_t what = (uint64_t)call->kind << 48 | (uint64_t)call->err << 32 | call->inode;
    disk->hash = mix(mix(mix(disk->hash, what), call->offset), call->bytes);
    if (call->data != NULL) {
        disk->hash = mix(disk->hash, weir_crc32c(0, call->data, call->bytes));
    }
    if (disk->watch != NULL) {
        disk->watch(disk->watch_arg, call);
    }
    sim_trace *trace = disk->trace;
    if (trace == NULL) {
        return;
    }
    if (trace->count == trace->capacity) {
        trace->capacity = trace->capacity * 2 + 256;
        trace->calls = sim_alloc(trace->calls, trace->capacity * sizeof(*trace->calls));
    }
    sim_call *kept = &trace->calls[trace->count++];
    *kept = *call;
    if (call->data != NULL) {
        kept->data = sim_alloc(NULL, call->bytes);
        memcpy(kept->data, call->data, call->bytes);
    }
}

void sim_trace_fini(sim_trace *trace)
{
    for (size_t i = 0; i < trace->count; i++) {
        free(trace->calls[i].data);
    }
    free(trace->calls);
    *trace = (sim_trace){0};
}

void sim_disk_record(sim_disk *disk, sim_trace *trace)
{
    disk->trace = trace;
}

void sim_disk_watch(sim_disk *disk, void (*watch)(void *arg, const sim_call *call), void *arg)
{
    disk->watch = watch;
    disk->watch_arg = arg;
}

void sim_disk_note(sim_disk *disk, uint64_t value)
{
    sim_call call = {.kind = SIM_CALL_NOTE, .offset = value, .applied = true};
    sim_call_note(disk, &call);
}

static void apply_file(sim_disk *disk, sim_inode *inode, const sim_call *call)
{
    switch (call->kind) {
    case SIM_CALL_WRITE:
        sim_do_write(disk, inode, call->data, call->bytes, call->offset);
        break;
    case SIM_CALL_SYNC:
        sim_do_sync(disk, inode, call->err != WEIR_OK);
        break;
    case SIM_CALL_TRUNCATE:
        sim_do_truncate(disk, inode, call->offset);
        break;
    default:
        if (call->offset + call->bytes > inode->live.len) {
            sim_bytes_size(&inode->live, call->offset + call->bytes);
        }
    }
}

static void apply_name(sim_disk *disk, const sim_call *call)
{
    switch (call->kind) {
    case SIM_CALL_CREATE:
    case SIM_CALL_DIR_MAKE:
        (void)sim_do_create(disk, call->path, call->kind == SIM_CALL_DIR_MAKE);
        break;
    case SIM_CALL_DIR_SYNC:
        if (sim_find(disk, call->path) != NULL) {
            sim_do_dir_sync(disk, sim_find(disk, call->path));
        }
        break;
    case SIM_CALL_VOLUME_SYNC:
        sim_do_volume_sync(disk, call->err != WEIR_OK);
        break;
    case SIM_CALL_RENAME:
        (void)sim_do_rename(disk, call->path, call->path_to);
        break;
    default:
        (void)sim_do_unlink(disk, call->path, call->kind == SIM_CALL_DIR_REMOVE);
    }
}

void sim_disk_apply(sim_disk *disk, const sim_call *call)
{
    if (call->kind >= SIM_CALL_OPEN) {
        return;
    }
    bool of_file = call->kind == SIM_CALL_WRITE || call->kind == SIM_CALL_SYNC ||
                   call->kind == SIM_CALL_TRUNCATE || call->kind == SIM_CALL_ALLOCATE;
    sim_inode *inode = of_file ? sim_inode_of(disk, call->inode) : NULL;
    disk->calls++;
    if (call->applied && inode != NULL) {
        apply_file(disk, inode, call);
    } else if (call->applied && !of_file) {
        apply_name(disk, call);
    }
}

uint64_t sim_disk_calls(const sim_disk *disk)
{
    return disk->calls;
}

uint64_t sim_disk_hash(const sim_disk *disk)
{
    return disk->hash;
}

static uint64_t content_of(const sim_inode *inode)
{
    uint64_t sum = mix(inode->live.len, weir_crc32c(0, inode->live.ptr, inode->live.len));
    for (uint32_t i = 0; i < inode->names.count; i++) {
        const sim_entry *entry = &inode->names.items[i];
        uint64_t name = weir_crc32c(0, entry->name, strlen(entry->name));
        sum += mix(mix(name, 1), content_of(entry->inode)); /* whatever their order */
    }
    return sum;
}

uint64_t sim_disk_content(const sim_disk *disk)
{
    return content_of(disk->root);
}

/* ---- Life, faults, looks, time
 * ------------------------------------------------------------------------ */

sim_disk *sim_disk_create(void)
{
    sim_disk *disk = sim_alloc(NULL, sizeof(*disk));
    memset(disk, 0, sizeof(*disk));
    disk->now_ns = 1000000000;
    disk->wall_offset_ms = 1700000000000;
    disk->root = inode_create(disk, "", true);
    sim_inode_keep(disk->root);
    return disk;
}

void sim_disk_destroy(sim_disk *disk)
{
    WEIR_ASSERT(disk->envs == NULL);
    sim_inode_drop(disk, disk->root);
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        WEIR_ASSERT(disk->inodes[i] == NULL);
    }
    free(disk->inodes);
    free(disk);
}

static void bytes_clone(sim_bytes *to, const sim_bytes *from)
{
    *to = (sim_bytes){0};
    if (from->len > 0) {
        sim_bytes_put(to, 0, from->ptr, from->len);
    }
}

static void inode_clone(sim_disk *disk, const sim_inode *from)
{
    sim_inode *to = disk->inodes[from->number];
    bytes_clone(&to->live, &from->live);
    bytes_clone(&to->synced, &from->synced);
    for (uint32_t i = 0; i < from->change_count; i++) {
        sim_change *change = change_add(disk, to);
        *change = from->changes[i];
        if (change->len > 0) {
            change->data = sim_alloc(NULL, change->len);
            memcpy(change->data, from->changes[i].data, change->len);
        }
    }
    for (uint32_t i = 0; i < from->names.count; i++) {
        const sim_entry *entry = &from->names.items[i];
        sim_entry_set(disk, &to->names, entry->name, disk->inodes[entry->inode->number], true);
    }
    for (uint32_t i = 0; i < from->durable.count; i++) {
        const sim_entry *entry = &from->durable.items[i];
        sim_entry_set(disk, &to->durable, entry->name, disk->inodes[entry->inode->number], false);
    }
    for (uint32_t i = 0; i < from->naming_count; i++) {
        sim_inode *of = disk->inodes[from->namings[i].inode->number];
        sim_naming *naming = naming_add(disk, to, of);
        *naming = from->namings[i];
        naming->inode = of;
    }
}

sim_disk *sim_disk_clone(const sim_disk *from)
{
    sim_disk *disk = sim_disk_create();
    for (uint32_t i = 1; i < from->inode_count; i++) {
        const sim_inode *inode = from->inodes[i];
        sim_inode *made = inode_create(disk, inode != NULL ? inode->name : "", false);
        made->folder = inode != NULL && inode->folder;
        sim_inode_keep(made); /* until all names are there */
    }
    for (uint32_t i = 0; i < from->inode_count; i++) {
        if (from->inodes[i] != NULL) {
            inode_clone(disk, from->inodes[i]);
        }
    }
    for (uint32_t i = 1; i < from->inode_count; i++) {
        sim_inode_drop(disk, disk->inodes[i]);
    }
    disk->now_ns = from->now_ns;
    disk->wall_offset_ms = from->wall_offset_ms;
    disk->calls = from->calls;
    return disk;
}

void sim_disk_fault(sim_disk *disk, sim_call_kind kind, sim_fault_plan plan)
{
    disk->faults[kind] = plan;
}

void sim_disk_faults_clear(sim_disk *disk)
{
    memset(disk->faults, 0, sizeof(disk->faults));
}

uint64_t sim_disk_faulted(const sim_disk *disk, sim_call_kind kind)
{
    return disk->faulted[kind];
}

void sim_disk_capacity(sim_disk *disk, uint64_t bytes)
{
    disk->capacity = bytes;
}

uint64_t sim_disk_used(const sim_disk *disk)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        const sim_inode *inode = disk->inodes[i];
        sum += inode != NULL && inode->live_names + inode->open_files > 0 ? inode->live.len : 0;
    }
    return sum;
}

uint64_t sim_disk_refused(const sim_disk *disk)
{
    return disk->refused;
}

weir_err sim_disk_peek(const sim_disk *disk, const char *path, uint8_t *out, size_t len,
                       uint64_t offset, size_t *got)
{
    const sim_inode *inode = sim_find(disk, path);
    if (inode == NULL || inode->folder) {
        return WEIR_NOT_FOUND;
    }
    uint64_t there = offset < inode->live.len ? inode->live.len - offset : 0;
    *got = there < len ? (size_t)there : len;
    if (*got > 0) {
        memcpy(out, inode->live.ptr + offset, *got);
    }
    return WEIR_OK;
}

weir_err sim_disk_size(const sim_disk *disk, const char *path, uint64_t *bytes)
{
    const sim_inode *inode = sim_find(disk, path);
    if (inode == NULL || inode->folder) {
        return WEIR_NOT_FOUND;
    }
    *bytes = inode->live.len;
    return WEIR_OK;
}

void sim_disk_flip(sim_disk *disk, const char *path, uint64_t offset, uint8_t mask)
{
    const sim_inode *inode = sim_find(disk, path);
    WEIR_ASSERT(inode != NULL && offset < inode->live.len);
    inode->live.ptr[offset] ^= mask;
    if (offset < inode->synced.len) {
        inode->synced.ptr[offset] ^= mask;
    }
    for (uint32_t i = 0; i < inode->change_count; i++) { /* no later sync or crash undoes it */
        const sim_change *change = &inode->changes[i];
        if (!change->cut && offset >= change->offset && offset - change->offset < change->len) {
            change->data[offset - change->offset] ^= mask;
        }
    }
}

void sim_disk_cut(sim_disk *disk, const char *path, uint64_t bytes)
{
    sim_inode *inode = sim_find(disk, path);
    WEIR_ASSERT(inode != NULL && bytes <= inode->live.len);
    sim_do_sync(disk, inode, false);
    sim_changes_clear(inode);
    sim_bytes_size(&inode->live, bytes);
    sim_bytes_size(&inode->synced, bytes);
}

static void each_in(const sim_inode *folder, const char *path,
                    void (*each)(void *arg, const char *path, uint64_t bytes), void *arg)
{
    for (uint32_t i = 0; i < folder->names.count; i++) {
        const sim_entry *entry = &folder->names.items[i];
        char below[SIM_PATH_BYTES];
        (void)snprintf(below, sizeof(below), "%.180s%s%s", path, path[0] != '\0' ? "/" : "",
                       entry->name);
        if (entry->inode->folder) {
            each_in(entry->inode, below, each, arg);
        } else {
            each(arg, below, entry->inode->live.len);
        }
    }
}

void sim_disk_each(const sim_disk *disk, void (*each)(void *arg, const char *path, uint64_t bytes),
                   void *arg)
{
    each_in(disk->root, "", each, arg);
}

uint32_t sim_disk_open_files(const sim_disk *disk)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        count += disk->inodes[i] != NULL ? disk->inodes[i]->open_files : 0;
    }
    return count;
}

static void dump_one(void *arg, const char *path, uint64_t bytes)
{
    const sim_disk *disk = arg;
    const sim_inode *inode = sim_find(disk, path);
    (void)fprintf(stderr, "  #%u %s: %llu bytes, %llu synced, %u changes\n", inode->number, path,
                  (unsigned long long)bytes, (unsigned long long)inode->synced.len,
                  inode->change_count);
}

void sim_disk_dump(const sim_disk *disk)
{
    sim_disk_each(disk, dump_one, (void *)(uintptr_t)disk);
}

uint64_t sim_disk_now_ns(const sim_disk *disk)
{
    return disk->now_ns;
}

void sim_disk_pass(sim_disk *disk, uint64_t ns)
{
    disk->now_ns += ns;
}

void sim_disk_wall_jump(sim_disk *disk, int64_t by_ms)
{
    disk->wall_offset_ms += by_ms;
}
