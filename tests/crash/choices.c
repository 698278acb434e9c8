/* tests/crash/choices.c - what a kill or a power cut may leave of a disk, as a list that is counted off.
 *
 * With n things pending the disk could keep any of 2^n subsets, and more with torn writes. The list
 * has those that stores get wrong, in this order: killed; killed inside a write; all, none; names
 * without bytes, bytes without names; the last write torn at ends of sectors and at odd bytes; each
 * thing alone, each thing missing; pairs; and then by chance until the bound is met. */
#include "tests/crash/crash.h"

#include "core/base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const uint64_t ODD_BYTES[] = {1, 7, 23, 61, 511, 513, 1021};
enum { ODD_COUNT = sizeof(ODD_BYTES) / sizeof(ODD_BYTES[0]), TORN_SECTORS_MAX = 8 };

typedef struct list {
    crash_choice *out;
    uint32_t max;
    uint32_t count;
} list;

static void add(list *l, choice_kind kind, uint32_t first, uint32_t second, uint64_t bytes)
{
    if (l->count < l->max) {
        l->out[l->count++] =
            (crash_choice){.kind = kind, .first = first, .second = second, .bytes = bytes};
    }
}

static void add_kills(list *l, const crash_point *point)
{
    add(l, CHOICE_KILL, 0, 0, 0);
    uint64_t bytes = point->call.kind == SIM_CALL_WRITE ? point->call.bytes : 0;
    if (bytes > 1) {
        add(l, CHOICE_KILL_PART, 0, 0, bytes / 2);
        add(l, CHOICE_KILL_PART, 0, 0, bytes - 1);
    }
    if (bytes > SIM_SECTOR) {
        add(l, CHOICE_KILL_PART, 0, 0, SIM_SECTOR);
    }
}

/* The newest write that is pending. */
static const sim_pending *last_write(const sim_pending *pending, uint32_t count)
{
    const sim_pending *last = NULL;
    for (uint32_t i = 0; i < count; i++) {
        bool later = last == NULL || pending[i].call >= last->call;
        last = pending[i].kind == SIM_PENDING_WRITE && later ? &pending[i] : last;
    }
    return last;
}

static void add_torn(list *l, const sim_pending *write)
{
    uint64_t sectors = write->bytes / SIM_SECTOR;
    uint64_t step = sectors / TORN_SECTORS_MAX + 1;
    uint64_t lead = (SIM_SECTOR - write->offset % SIM_SECTOR) % SIM_SECTOR;
    for (uint64_t at = lead > 0 ? lead : SIM_SECTOR; at < write->bytes; at += step * SIM_SECTOR) {
        add(l, CHOICE_TORN_NEW, write->index, 0, at);
        add(l, CHOICE_TORN_OLD, write->index, 0, at);
    }
    for (uint32_t i = 0; i < ODD_COUNT; i++) {
        if (ODD_BYTES[i] < write->bytes) {
            add(l, CHOICE_TORN_NEW, write->index, 0, ODD_BYTES[i]);
        }
    }
    if (write->bytes > 1) {
        add(l, CHOICE_TORN_NEW, write->index, 0, write->bytes - 1);
    }
}

static void add_pairs(list *l, uint32_t count, uint64_t seed)
{
    uint64_t pairs = (uint64_t)count * (count - 1) / 2;
    bool every = pairs <= 24;
    sim_random random = {seed};
    for (uint32_t i = 0; i < count && every; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            add(l, CHOICE_PAIR, i, j, 0);
        }
    }
    for (int i = 0; i < 12 && !every; i++) {
        add(l, CHOICE_PAIR, (uint32_t)sim_random_below(&random, count),
            (uint32_t)sim_random_below(&random, count), 0);
    }
}

uint32_t crash_choices(const crash_point *point, uint64_t seed, crash_choice *out, uint32_t max)
{
    sim_pending pending[CRASH_PENDING_MAX];
    list l = {.out = out, .max = max};
    size_t all = sim_disk_pending(point->disk, pending, CRASH_PENDING_MAX);
    uint32_t count = (uint32_t)(all < CRASH_PENDING_MAX ? all : CRASH_PENDING_MAX);
    add_kills(&l, point);
    add(&l, CHOICE_ALL, 0, 0, 0);
    if (count == 0) {
        return l.count; /* nothing is pending: one state */
    }
    add(&l, CHOICE_NONE, 0, 0, 0);
    add(&l, CHOICE_NAMES, 0, 0, 0);
    add(&l, CHOICE_BYTES, 0, 0, 0);
    /* Each by itself, the newest first: where there are many, old ones had their turn before. */
    for (uint32_t i = 0; i < count && i < 12; i++) {
        add(&l, CHOICE_ONLY, count - 1 - i, 0, 0);
        add(&l, CHOICE_BUT, count - 1 - i, 0, 0);
    }
    const sim_pending *write = last_write(pending, count);
    if (write != NULL) {
        add_torn(&l, write);
    }
    if (count > 2) {
        add_pairs(&l, count, seed);
    }
    for (uint64_t i = 0; count > 1 && i < 12; i++) {
        add(&l, CHOICE_RANDOM, 0, 0, seed * 1000003 + i);
    }
    return l.count;
}

/* ---- Choosers
 * ---------------------------------------------------------------------------------------------- */

static sim_outcome torn(const crash_choice *choice, const sim_pending *pending, sim_fate others)
{
    if (pending->index == choice->first) {
        return (sim_outcome){SIM_PART, choice->bytes};
    }
    return (sim_outcome){others, 0};
}

static sim_outcome choose(void *arg, const sim_pending *pending)
{
    const crash_choice *choice = arg;
    bool first = pending->index == choice->first;
    bool name = pending->kind == SIM_PENDING_NAME;
    switch (choice->kind) {
    case CHOICE_ALL:
        return (sim_outcome){SIM_NEW, 0};
    case CHOICE_ONLY:
        return (sim_outcome){first ? SIM_NEW : SIM_OLD, 0};
    case CHOICE_BUT:
        return (sim_outcome){first ? SIM_OLD : SIM_NEW, 0};
    case CHOICE_PAIR:
        return (sim_outcome){first || pending->index == choice->second ? SIM_NEW : SIM_OLD, 0};
    case CHOICE_TORN_NEW:
        return torn(choice, pending, SIM_NEW);
    case CHOICE_TORN_OLD:
        return torn(choice, pending, SIM_OLD);
    case CHOICE_NAMES:
        return (sim_outcome){name || pending->kind == SIM_PENDING_SIZE ? SIM_NEW : SIM_OLD, 0};
    case CHOICE_BYTES:
        return (sim_outcome){name ? SIM_OLD : SIM_NEW, 0};
    default:
        return (sim_outcome){SIM_OLD, 0};
    }
}

sim_disk *crash_disk(const crash_point *point, const crash_choice *choice)
{
    sim_disk *disk = sim_disk_clone(point->disk);
    if (choice->kind == CHOICE_KILL_PART) {
        sim_call part = point->call;
        part.bytes = choice->bytes;
        part.err = WEIR_OK;
        sim_disk_apply(disk, &part);
    }
    if (choice->kind == CHOICE_KILL || choice->kind == CHOICE_KILL_PART) {
        sim_disk_crash(disk, SIM_CRASH_KILL, sim_chooser_new());
        return disk;
    }
    crash_choice own = *choice;
    sim_random random = {choice->bytes};
    sim_chooser chooser = {choose, &own};
    sim_disk_crash(disk, SIM_CRASH_POWER,
                   choice->kind == CHOICE_RANDOM ? sim_chooser_random(&random) : chooser);
    return disk;
}

void crash_choice_say(const crash_choice *choice, char *out, size_t size)
{
    static const char *const NAMES[] = {
        [CHOICE_KILL] = "killed before it",
        [CHOICE_KILL_PART] = "killed inside it, bytes written",
        [CHOICE_ALL] = "power cut, all arrived",
        [CHOICE_NONE] = "power cut, only what was synced",
        [CHOICE_ONLY] = "power cut, only what was synced and thing",
        [CHOICE_BUT] = "power cut, all but thing",
        [CHOICE_PAIR] = "power cut, only what was synced and things",
        [CHOICE_TORN_NEW] = "power cut, all arrived but the last write, torn: thing",
        [CHOICE_TORN_OLD] = "power cut, only what was synced and the last write, torn: thing",
        [CHOICE_NAMES] = "power cut, all names and sizes, no bytes",
        [CHOICE_BYTES] = "power cut, all bytes, no names",
        [CHOICE_RANDOM] = "power cut, by chance",
    };
    (void)snprintf(out, size, "%s (%u, %u, %" PRIu64 ")", NAMES[choice->kind], choice->first,
                   choice->second, choice->bytes);
}
