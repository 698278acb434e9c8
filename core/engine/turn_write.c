/* core/engine/turn_write.c - what a turn writes, what it has synced, and what that says of the engine's health.
 *
 *   unit ended --> block written --+-- somebody waits for the disk --> synced now
 *                                  +-- only settlements do ----------> with the next publish's sync
 *                                  +-- records at `os` are due ------> synced on a lane, writing goes on
 *                                  +-- nobody waits -----------------> later
 *
 * After each write and each sync the owner's file is compared, before any answer leaves. A full disk is
 * told and gets over by itself, as does a lack of descriptors; a failed write or sync, or a newer owner,
 * is for good.
 *
 * [W1] What is written at `os` is synced at the latest an interval and one sync later. */
#include "core/engine/group.h"

#include "core/base/log.h"

enum {
    ROOM_LEAST_BYTES = 4096, /* with less room than this for a unit the disk is full */
    SYNCS_SHARED_NS =
        400 * 1000,  /* settlements wait for syncs of others that come at least so often */
    MEAN_WEIGHT = 8, /* one part in so many is the newest sample */
    IDLE_MARK_NS = 100 * 1000 * 1000,
    COMPARE_NS = 10 * 1000 * 1000, /* the term is compared this often in turns that write nothing */
};

static void health_set(weir_engine *engine, weir_engine_health health, const char *why)
{
    int before = atomic_exchange(&engine->health, (int)health);
    if (before != (int)health) {
        weir_groups_due(engine); /* takes that wait may have to be told */
        weir_log(health == WEIR_HEALTH_OK ? WEIR_LOG_INFO : WEIR_LOG_ERROR, "engine", "%s", why);
    }
}

static void turn_health(weir_engine *engine, weir_err state)
{
    int now = atomic_load(&engine->health);
    if (state == WEIR_OK &&
        weir_journal_room(engine->journal, ROOM_LEAST_BYTES) == WEIR_DISK_FULL) {
        state = WEIR_DISK_FULL; /* nothing is blocked yet, but the next publish would be refused */
    }
    if (now == WEIR_HEALTH_FENCED || now == WEIR_HEALTH_STOPPED) {
        return;
    }
    if (state == WEIR_READ_ONLY) {
        health_set(
            engine, WEIR_HEALTH_STOPPED,
            "a write or sync of the journal failed: nothing more is acknowledged; check the disk, "
            "then restart weir, which recovers");
    } else if (state == WEIR_DISK_FULL && weir_journal_lacks_memory(engine->journal)) {
        health_set(
            engine, WEIR_HEALTH_DISK_FULL,
            "memory or file descriptors lack: writing has stopped, reading goes on; raise the "
            "limit of open files (ulimit -n, LimitNOFILE=), writing resumes by itself");
    } else if (state == WEIR_DISK_FULL) {
        health_set(
            engine, WEIR_HEALTH_DISK_FULL,
            "the disk is full: writing has stopped; reading, settling, trimming and deleting go on; "
            "free some space, writing resumes by itself");
    } else if (now == WEIR_HEALTH_DISK_FULL && engine->retry_ns == 0) {
        health_set(engine, WEIR_HEALTH_OK, "there is room on the disk again: writing has resumed");
    }
}

/* Is this still our directory? Asked after each write and each sync, before any answer leaves: a
 * newer owner raises the term before it reads the journal, so what was written before the term was
 * seen unchanged is what it reads. Asked now and then besides, for level memory and for an idle
 * gateway that was stopped and woken. */
void weir_turn_term(weir_engine *engine)
{
    uint64_t written = weir_journal_written(engine->journal);
    uint64_t durable = weir_journal_durable(engine->journal);
    if (durable == engine->durable_compared && written == engine->written_compared &&
        engine->now_ns - engine->compared_ns < COMPARE_NS) {
        return;
    }
    weir_err err = weir_owner_compare(engine->owner_file);
    if (err == WEIR_FENCED) {
        health_set(engine, WEIR_HEALTH_FENCED,
                   "a newer gateway has taken this data directory over: this one stops");
    } else if (err != WEIR_OK) {
        health_set(engine, WEIR_HEALTH_FENCED,
                   "the owner file cannot be read, so that nobody knows whose this data directory "
                   "is: nothing more is acknowledged; check the disk, then restart weir");
    }
    engine->written_compared = written;
    engine->durable_compared = durable;
    engine->compared_ns = engine->now_ns;
}

/* An idle journal writes its durable mark, so that its last group can be told from a torn tail. */
void weir_turn_mark(weir_engine *engine)
{
    uint64_t last = weir_journal_last(engine->journal);
    if (last > weir_journal_durable(engine->journal) || engine->marked_unit == last) {
        engine->mark_due_ns = 0;
    } else if (engine->mark_due_ns == 0) {
        engine->mark_due_ns = engine->now_ns + IDLE_MARK_NS;
    } else if (engine->now_ns >= engine->mark_due_ns) {
        bool later = weir_journal_mark(engine->journal) == WEIR_AGAIN;
        engine->marked_unit = later ? engine->marked_unit : last;
        engine->mark_due_ns = later ? engine->now_ns + IDLE_MARK_NS : 0;
    }
}

/* Since when there is something written that no sync covers. */
static void turn_uncovered(weir_engine *engine)
{
    const weir_journal *journal = engine->journal;
    uint64_t covered = weir_journal_covered(journal);
    bool all = covered >= weir_journal_written(journal);
    if (all || weir_journal_state(journal) == WEIR_READ_ONLY) {
        engine->os_since_ns = 0;
    } else if (engine->os_since_ns == 0 || covered > engine->os_covered) {
        engine->os_since_ns = engine->now_ns; /* a sync that begins covers all that was written */
    }
    engine->os_covered = covered;
}

/* Whether settlements wait for the sync of a publish that will come in a moment, rather than have one
 * of their own, for which that publish would have to wait. */
static bool settled_waits(const weir_engine *engine)
{
    uint64_t since_ns = engine->now_ns - engine->disk_asked_ns;
    return engine->disk_asked_mean < SYNCS_SHARED_NS && since_ns < 2 * engine->disk_asked_mean &&
           engine->now_ns - engine->settled_ns < WEIR_SETTLED_NS;
}

/* Whether a sync is wanted now by those that wait for the disk. */
static bool turn_wants_sync(weir_engine *engine)
{
    bool durable = weir_journal_durable(engine->journal) >= weir_journal_last(engine->journal);
    if (engine->disk_wanted && !durable) {
        const uint64_t most_ns = 2 * SYNCS_SHARED_NS;
        uint64_t since_ns = engine->now_ns - engine->disk_asked_ns;
        uint64_t mean = engine->disk_asked_ns == 0 ? most_ns : engine->disk_asked_mean;
        since_ns = since_ns < most_ns ? since_ns : most_ns;
        engine->disk_asked_mean = mean - mean / MEAN_WEIGHT + since_ns / MEAN_WEIGHT;
        engine->disk_asked_ns = engine->now_ns;
    }
    return !durable && (engine->disk_wanted || (engine->settled_ns != 0 && !settled_waits(engine)));
}

/* Writes what waits; no unit is open. It is synced when somebody waits for the disk; records at `os`
 * are when they are due, and then nobody waits for that. */
void weir_turn_write(weir_engine *engine)
{
    weir_journal *journal = engine->journal;
    turn_uncovered(engine);
    uint64_t last = weir_journal_last(journal);
    uint64_t interval_ns = (uint64_t)engine->config.os_sync_every_ms * 1000000;
#ifdef WEIR_PLANT_NO_INTERVAL /* a bug on purpose, by which the simulation is tested */
    interval_ns = UINT64_MAX;
#endif
    bool due = engine->os_since_ns != 0 && engine->now_ns - engine->os_since_ns >= interval_ns;
    bool sync = turn_wants_sync(engine);
    weir_err state = WEIR_OK;
    if (sync || (!due && last > weir_journal_written(journal))) {
        state = weir_journal_flush(journal, sync);
    } else {
        state = due ? weir_journal_sync_trailing(journal) : weir_journal_poll(journal);
    }
    engine->unasked_ns = 0;
    weir_turn_term(engine);
    turn_health(engine, state);
    bool durable = weir_journal_durable(journal) >= last;
    engine->disk_wanted = engine->disk_wanted && !durable;
    engine->settled_ns = durable ? 0 : engine->settled_ns;
    turn_uncovered(engine);
}
