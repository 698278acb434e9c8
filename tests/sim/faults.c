/* tests/sim/faults.c - the operations that are faults: crashes, failing calls, full and slow disks, damage.
 *
 * What the model may then allow is said where the fault is planted: `faulted` (a start may be refused),
 * `gaps` (reads may fail), the level that a crash must not touch. A fault that promises forgive, a lost
 * .heads file or an old owner that wakes, allows nothing. */
#include "tests/sim/internal.h"
#include "tests/sim/sim.h"

#include "core/engine/state.h"

#include <stdio.h>
#include <string.h>

enum {
    STRAIGHT_ROUNDS = 6, /* a flush makes the segment within */
    MARK_ROUNDS = 60,    /* the idle mark comes within, unless it is never idle */
};

static uint64_t below(sim_world *w, uint64_t bound)
{
    return sim_random_below(&w->chance, bound);
}

static bool one_in(sim_world *w, uint32_t n)
{
    return sim_random_chance(&w->chance, n);
}

void world_fault_kill(sim_world *w)
{
    world_crash(w, SIM_CRASH_KILL);
}

void world_fault_power_cut(sim_world *w)
{
    world_crash(w, SIM_CRASH_POWER);
}

/* What was acknowledged at `os` before the interval began is there behind it. */
void world_fault_power_cut_late(sim_world *w)
{
    if (w->faulted || weir_engine_health_of(w->engine) != WEIR_HEALTH_OK) {
        return;
    }
    model_interval_begins(&w->model);
    if (world_interval(w)) {
        uint64_t safer = model_interval_passed(&w->model);
        w->events[SIM_EVENT_power_cut_after_interval] += safer > 0 ? 1 : 0;
        world_crash(w, SIM_CRASH_POWER);
    }
}

/* A batch that may go straight to its segment. */
static void batch_straight(sim_world *w, uint32_t topic, uint32_t partition)
{
    uint32_t least = (uint32_t)w->config.journal_inline_bytes_max;
    if (least == 0) {
        world_batch_to(w, topic, partition, SIM_LARGE_RECORDS, SIM_LARGE_VALUE_BYTES);
    } else {
        world_batch_to(w, topic, partition, 1, least + least / 16);
    }
}

/* The first batch makes its partition a segment, the others go straight to that; then the power goes,
 * often when a block is written that refers to them, and nothing is synced. */
void world_fault_cut_straight(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    if (topic == MODEL_NONE) {
        return;
    }
    uint32_t partition = (uint32_t)below(w, w->model.topics[topic].options.partitions);
    batch_straight(w, topic, partition);
    (void)world_settle(w, 2000000000);
    for (int round = 0; round < STRAIGHT_ROUNDS; round++) {
        world_on(w);
    }
    if (!one_in(w, 3)) {
        w->die_at_point = 1 + WEIR_FAILPOINT_journal_block_written;
        w->die_at_count = 1 + (uint32_t)below(w, 2);
    }
    for (uint64_t more = 1 + below(w, 3); world_up(w) && more > 0; more--) {
        batch_straight(w, topic, partition);
        world_moves(w, 24);
    }
    if (!w->model.failed) {
        world_crash(w, SIM_CRASH_POWER);
    }
}

void world_fault_die_soon(sim_world *w)
{
    sim_env_dies(w->env, 1 + below(w, 40));
}

void world_fault_die_at_point(sim_world *w)
{
    w->die_at_point = 1 + (uint32_t)below(w, WEIR_FAILPOINT_COUNT);
    w->die_at_count = 1 + (uint32_t)below(w, 4);
}

void world_fault_stop(sim_world *w)
{
    world_stop(w);
}

static void fault(sim_world *w, sim_call_kind kind, uint64_t most)
{
    static const char *const PARTS[] = {NULL, "journal", "/log/", "state"};
    w->faulted = true;
    sim_disk_fault(w->disk, kind,
                   (sim_fault_plan){.countdown = 1 + below(w, most),
                                    .for_good = one_in(w, 4),
                                    .part = PARTS[below(w, 4)]});
}

void world_fault_sync_fails(sim_world *w)
{
    fault(w, SIM_CALL_SYNC, 12);
}

void world_fault_write_fails(sim_world *w)
{
    fault(w, SIM_CALL_WRITE, 20);
}

void world_fault_read_fails(sim_world *w)
{
    fault(w, SIM_CALL_READ, 6);
    w->model.gaps = true;
}

void world_fault_open_fails(sim_world *w)
{
    fault(w, SIM_CALL_OPEN, 8);
    w->model.gaps = true; /* a segment that cannot be opened cannot be read */
}

void world_fault_disk_full(sim_world *w)
{
    w->faulted = true;
    sim_disk_capacity(w->disk, sim_disk_used(w->disk) + below(w, 300000));
}

void world_fault_disk_room(sim_world *w)
{
    sim_disk_capacity(w->disk, 0);
}

void world_fault_slow(sim_world *w)
{
    uint64_t most = 1000000 + below(w, 60000000);
    world_latency(w, (sim_latency){500000, most, 100000, 2 * most});
    world_event(w, SIM_EVENT_slow_disk);
}

void world_fault_fast(sim_world *w)
{
    world_latency(w, (sim_latency){10000, 60000, 1000, 20000});
}

void world_fault_take_over(sim_world *w)
{
    world_take_over(w);
}

typedef struct segments {
    const char *end; /* of their names */
    char paths[64][SIM_PATH_BYTES];
    uint64_t bytes[64];
    uint32_t count;
} segments;

static void file_each(void *arg, const char *path, uint64_t bytes)
{
    segments *found = arg;
    size_t len = strlen(path);
    size_t end = strlen(found->end);
    if (found->count < 64 && bytes > 0 && len > end && strcmp(path + len - end, found->end) == 0) {
        memcpy(found->paths[found->count], path, len + 1);
        found->bytes[found->count++] = bytes;
    }
}

/* Only the engine knows: members and readers go on meanwhile, and their writes look the same. */
static bool marked(const weir_engine *engine)
{
    return engine->marked_unit == weir_journal_last(engine->journal) &&
           !weir_journal_busy(engine->journal);
}

/* Everything is answered, and the idle mark of the journal is written. Damage is planted then: to the last
 * group, with no mark after it, it could not be told from a torn tail. */
static bool all_marked(sim_world *w)
{
    if (w->faulted || !world_settle(w, 4000000000)) {
        return false;
    }
    for (int round = 0; round < MARK_ROUNDS && world_up(w) && !marked(w->engine); round++) {
        world_on(w);
    }
    return world_up(w) && marked(w->engine) && weir_engine_health_of(w->engine) == WEIR_HEALTH_OK;
}

void world_fault_flip(sim_world *w)
{
    static segments found;
    found.count = 0;
    found.end = ".log";
    if (!w->flips || !all_marked(w)) {
        return;
    }
    sim_do_volume_sync(w->disk, false);
    sim_disk_each(w->disk, file_each, &found);
    if (found.count > 0) {
        uint64_t which = below(w, found.count);
        sim_disk_flip(w->disk, found.paths[which], below(w, found.bytes[which]),
                      (uint8_t)(1u << below(w, 8)));
        w->model.gaps = true;
        world_event(w, SIM_EVENT_bit_flipped);
    }
}

/* Up to the last byte that is not zero. */
static uint64_t written_bytes(const sim_world *w, const char *path, uint64_t bytes)
{
    static uint8_t all[1 << 20];
    size_t got = 0;
    uint64_t looked = bytes < sizeof(all) ? bytes : sizeof(all);
    (void)sim_disk_peek(w->disk, path, all, looked, 0, &got);
    while (got > 1 && all[got - 1] == 0) {
        got--;
    }
    return got;
}

/* A bit of an idle journal, whose mark is written: the next start finds it, or it did not matter. */
void world_fault_flip_journal(sim_world *w)
{
    static segments found;
    found.count = 0;
    found.end = ".wal";
    if (!w->flips || !all_marked(w)) {
        return;
    }
    sim_disk_each(w->disk, file_each, &found);
    /* The system has brought all of it to the disk, the idle mark too: a power cut that took the mark beside the
     * damage would be two faults, and the last group could not be told from a torn tail. */
    sim_env_kill(w->env);
    sim_disk_crash(w->disk, SIM_CRASH_POWER, sim_chooser_new());
    bool newest = !one_in(w, 3); /* where a torn tail must be told from damage */
    uint64_t which = below(w, found.count);
    for (uint32_t i = 0; i < found.count && newest; i++) {
        which = strcmp(found.paths[i], found.paths[which]) > 0 ? i : which;
    }
    uint64_t most = written_bytes(w, found.paths[which], found.bytes[which]);
    sim_disk_flip(w->disk, found.paths[which], below(w, most), (uint8_t)(1u << below(w, 8)));
    world_event(w, SIM_EVENT_journal_flipped);
    world_crash(w, SIM_CRASH_KILL);
}

/* A .heads file goes, is cut or is wrong: it is made again from its .log, and nothing is lost. */
void world_fault_heads(sim_world *w)
{
    static segments found;
    found.count = 0;
    found.end = ".heads";
    sim_disk_each(w->disk, file_each, &found);
    if (w->faulted || found.count == 0) {
        return;
    }
    uint64_t which = below(w, found.count);
    uint64_t at = below(w, found.bytes[which]);
    if (one_in(w, 3)) {
        weir_env *table = sim_env_table(w->env);
        (void)table->ops->unlink(table, found.paths[which]);
    } else if (one_in(w, 2)) {
        sim_disk_cut(w->disk, found.paths[which], at);
    } else {
        sim_disk_flip(w->disk, found.paths[which], at, (uint8_t)(1u << below(w, 8)));
    }
    world_event(w, SIM_EVENT_heads_lost);
    w->die_in_start = one_in(w, 3) ? 1 + WEIR_FAILPOINT_heads_rebuilt : 0;
    world_crash(w, SIM_CRASH_KILL);
}
