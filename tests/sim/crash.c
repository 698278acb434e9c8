/* tests/sim/crash.c - what is left of the simulated disk when a process or the power goes.
 *
 * Of everything pending a chooser says what arrived, thing by thing: files by number, the changes of
 * each in order and then its size; then folders by number. The result is both synced and live.
 *
 * [C1] What was synced, and not changed since, is there whatever the chooser says.
 * [C2] A file is never longer than it was live, but for a truncation that did not arrive. */
#include "tests/sim/internal.h"

#include "core/base/assert.h"

#include <stdlib.h>
#include <string.h>

/* ---- Listing what is pending
 * ------------------------------------------------------------------------- */

static bool any_cut(const sim_inode *inode)
{
    for (uint32_t i = 0; i < inode->change_count; i++) {
        if (inode->changes[i].cut) {
            return true;
        }
    }
    return false;
}

static sim_pending pending_of_change(const sim_inode *inode, const sim_change *change)
{
    return (sim_pending){
        .kind = change->cut ? SIM_PENDING_CUT : SIM_PENDING_WRITE,
        .inode = inode->number,
        .offset = change->offset,
        .bytes = change->len,
        .call = change->call,
        .lost = change->lost,
        .name = inode->name,
    };
}

static sim_pending pending_of_size(const sim_inode *inode, const sim_bytes *bytes)
{
    return (sim_pending){
        .kind = SIM_PENDING_SIZE,
        .inode = inode->number,
        .offset = bytes->len,
        .bytes = inode->live.len,
        .name = inode->name,
    };
}

static sim_pending pending_of_naming(const sim_inode *folder, const sim_naming *naming)
{
    return (sim_pending){
        .kind = SIM_PENDING_NAME,
        .inode = folder->number,
        .call = naming->call,
        .name = naming->to[0] != '\0' ? naming->to : naming->from,
    };
}

typedef struct listing {
    sim_pending *out;
    size_t max;
    size_t count;
} listing;

static void list_add(listing *list, sim_pending pending)
{
    pending.index = (uint32_t)list->count;
    if (list->count < list->max) {
        list->out[list->count] = pending;
    }
    list->count++;
}

size_t sim_disk_pending(const sim_disk *disk, sim_pending *out, size_t max)
{
    listing list = {.out = out, .max = max};
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        const sim_inode *inode = disk->inodes[i];
        for (uint32_t c = 0; inode != NULL && c < inode->change_count; c++) {
            list_add(&list, pending_of_change(inode, &inode->changes[c]));
        }
        if (inode != NULL && !any_cut(inode) && inode->live.len > inode->synced.len) {
            list_add(&list, pending_of_size(inode, &inode->synced));
        }
    }
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        const sim_inode *inode = disk->inodes[i];
        for (uint32_t n = 0; inode != NULL && n < inode->naming_count; n++) {
            list_add(&list, pending_of_naming(inode, &inode->namings[n]));
        }
    }
    return list.count;
}

/* ---- A power cut
 * ------------------------------------------------------------------------------------- */

typedef struct asking {
    sim_chooser chooser;
    uint32_t index;
} asking;

static sim_outcome ask(asking *ask_of, sim_pending pending)
{
    pending.index = ask_of->index++;
    return ask_of->chooser.choose(ask_of->chooser.arg, &pending);
}

static void write_sectors(sim_inode *inode, const sim_change *change, uint64_t seed)
{
    sim_random random = {seed};
    uint64_t at = change->offset;
    uint64_t end = change->offset + change->len;
    while (at < end) {
        uint64_t next = (at / SIM_SECTOR + 1) * SIM_SECTOR;
        next = next < end ? next : end;
        if (sim_random_chance(&random, 2)) {
            sim_bytes_put(&inode->synced, at, change->data + (at - change->offset), next - at);
        }
        at = next;
    }
}

static void change_arrives(sim_inode *inode, const sim_change *change, sim_outcome outcome)
{
    if (outcome.fate == SIM_OLD) {
        return;
    }
    if (change->cut) {
        sim_bytes_size(&inode->synced, change->offset);
    } else if (outcome.fate == SIM_SECTORS) {
        write_sectors(inode, change, outcome.bytes);
    } else {
        bool part = outcome.fate == SIM_PART && outcome.bytes < change->len;
        sim_bytes_put(&inode->synced, change->offset, change->data,
                      part ? outcome.bytes : change->len);
    }
}

static void size_arrives(sim_inode *inode, sim_outcome outcome)
{
    if (outcome.fate == SIM_OLD) {
        return;
    }
    uint64_t size = outcome.fate == SIM_PART ? outcome.bytes : inode->live.len;
    if (size > inode->synced.len && size <= inode->live.len) { /* [C2] */
        sim_bytes_size(&inode->synced, size);
    }
}

static void file_cut(sim_inode *inode, asking *ask_of)
{
    bool grown = !any_cut(inode) && inode->live.len > inode->synced.len;
    sim_pending size = pending_of_size(inode, &inode->synced);
    for (uint32_t i = 0; i < inode->change_count; i++) {
        const sim_change *change = &inode->changes[i];
        change_arrives(inode, change, ask(ask_of, pending_of_change(inode, change)));
    }
    if (grown) {
        size_arrives(inode, ask(ask_of, size));
    }
    sim_changes_clear(inode);
    sim_bytes_size(&inode->live, inode->synced.len);
    if (inode->synced.len > 0) {
        memcpy(inode->live.ptr, inode->synced.ptr, inode->synced.len);
    }
}

static void naming_cut(sim_disk *disk, sim_inode *folder, const sim_naming *naming, asking *ask_of)
{
    if (ask(ask_of, pending_of_naming(folder, naming)).fate == SIM_OLD) {
        return;
    }
    const sim_entry *from = sim_entry_find(&folder->durable, naming->from);
    if (from != NULL && from->inode == naming->inode) {
        sim_entry_unset(disk, &folder->durable, naming->from, false);
    }
    if (naming->to[0] != '\0') {
        sim_entry_set(disk, &folder->durable, naming->to, naming->inode, false);
    }
}

/* Live names become those that are durable. */
static void names_revert(sim_disk *disk, sim_inode *folder)
{
    sim_entries before = folder->names;
    folder->names = (sim_entries){0};
    for (uint32_t i = 0; i < folder->durable.count; i++) {
        const sim_entry *entry = &folder->durable.items[i];
        sim_entry_set(disk, &folder->names, entry->name, entry->inode, true);
    }
    while (before.count > 0) {
        sim_entry_unset(disk, &before, before.items[0].name, true);
    }
    free(before.items);
}

static void power_cut(sim_disk *disk, asking *ask_of)
{
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        if (disk->inodes[i] != NULL && !disk->inodes[i]->folder) {
            file_cut(disk->inodes[i], ask_of);
        }
    }
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        sim_inode *folder = disk->inodes[i];
        for (uint32_t n = 0; folder != NULL && n < folder->naming_count; n++) {
            naming_cut(disk, folder, &folder->namings[n], ask_of);
        }
    }
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        sim_inode *folder = disk->inodes[i];
        if (folder != NULL && folder->folder) {
            sim_inode_keep(folder);
            names_revert(disk, folder);
            sim_namings_clear(disk, folder);
            sim_inode_drop(disk, folder);
        }
    }
}

/* ---- A kill
 * --------------------------------------------------------------------------------------- */

/* Pages that a failed sync marked clean may leave memory: what is read then is what the disk has. */
static void file_evict(sim_inode *inode, asking *ask_of)
{
    uint32_t kept = 0;
    bool evicted = false;
    for (uint32_t i = 0; i < inode->change_count; i++) {
        sim_change change = inode->changes[i];
        if (change.lost && ask(ask_of, pending_of_change(inode, &change)).fate == SIM_OLD) {
            free(change.data);
            evicted = true;
        } else {
            inode->changes[kept++] = change;
        }
    }
    inode->change_count = kept;
    if (!evicted) {
        return;
    }
    uint64_t len = inode->live.len;
    sim_bytes_size(&inode->live, 0);
    sim_bytes_put(&inode->live, 0, inode->synced.ptr, inode->synced.len);
    for (uint32_t i = 0; i < kept; i++) {
        const sim_change *change = &inode->changes[i];
        if (change->cut) {
            sim_bytes_size(&inode->live, change->offset);
        } else {
            sim_bytes_put(&inode->live, change->offset, change->data, change->len);
        }
    }
    sim_bytes_size(&inode->live, len);
}

void sim_disk_crash(sim_disk *disk, sim_crash crash, sim_chooser chooser)
{
    asking asked = {.chooser = chooser};
    for (const sim_env *env = disk->envs; env != NULL; env = env->next) {
        WEIR_ASSERT(env->dead || crash == SIM_CRASH_KILL);
    }
    if (crash == SIM_CRASH_POWER) {
        power_cut(disk, &asked);
        return;
    }
    for (uint32_t i = 0; i < disk->inode_count; i++) {
        if (disk->inodes[i] != NULL && !disk->inodes[i]->folder) {
            file_evict(disk->inodes[i], &asked);
        }
    }
}

/* ---- Choosers
 * ----------------------------------------------------------------------------------------- */

static sim_outcome choose_old(void *arg, const sim_pending *pending)
{
    (void)arg;
    (void)pending;
    return (sim_outcome){SIM_OLD, 0};
}

static sim_outcome choose_new(void *arg, const sim_pending *pending)
{
    (void)arg;
    (void)pending;
    return (sim_outcome){SIM_NEW, 0};
}

/* Half of all things whole, the rest in parts; where in parts makes no sense, old or new. */
static sim_outcome choose_random(void *arg, const sim_pending *pending)
{
    sim_random *random = arg;
    uint64_t how = sim_random_below(random, 4);
    uint64_t chance = sim_random_next(random);
    if (how < 2 || pending->kind == SIM_PENDING_NAME || pending->kind == SIM_PENDING_CUT) {
        return (sim_outcome){how % 2 == 0 ? SIM_OLD : SIM_NEW, 0};
    }
    if (pending->kind == SIM_PENDING_SIZE) {
        return (sim_outcome){SIM_PART,
                             pending->offset + chance % (pending->bytes - pending->offset + 1)};
    }
    if (how == 2) {
        return (sim_outcome){SIM_SECTORS, chance};
    }
    uint64_t first = pending->offset / SIM_SECTOR;
    uint64_t sectors = (pending->offset + pending->bytes) / SIM_SECTOR - first;
    uint64_t torn = chance % (sectors + 1); /* that many ends of sectors are passed */
    uint64_t bytes = torn == 0 ? 0 : (first + torn) * SIM_SECTOR - pending->offset;
    return (sim_outcome){SIM_PART, bytes};
}

static sim_outcome choose_mostly_old(void *arg, const sim_pending *pending)
{
    return sim_random_chance(arg, 6) ? choose_random(arg, pending) : (sim_outcome){SIM_OLD, 0};
}

static sim_outcome choose_mostly_new(void *arg, const sim_pending *pending)
{
    return sim_random_chance(arg, 6) ? choose_random(arg, pending) : (sim_outcome){SIM_NEW, 0};
}

sim_chooser sim_chooser_old(void)
{
    return (sim_chooser){choose_old, NULL};
}

sim_chooser sim_chooser_new(void)
{
    return (sim_chooser){choose_new, NULL};
}

sim_chooser sim_chooser_random(sim_random *random)
{
    switch (sim_random_below(random, 5)) {
    case 0:
        return sim_chooser_old();
    case 1:
        return (sim_chooser){choose_mostly_old, random};
    case 2:
        return (sim_chooser){choose_mostly_new, random};
    default:
        return (sim_chooser){choose_random, random};
    }
}
