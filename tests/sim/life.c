/* tests/sim/life.c - starts, crashes, stops, take-overs; and reading everything there is.
 *
 *   start --> may die on its way, and is tried again --> audit --> up
 *   crash: the process is dead, the disk keeps what it may --> start
 *
 * After every start everything is read back and compared with the model; what a recovery finds must
 * survive whatever comes next. A start may be refused only while faults are planted or the disk is
 * full. The end of a run takes all faults away: what was asked is answered, what is owed is delivered,
 * and a clean stop keeps every record that was acknowledged, at whatever level. */
#include "tests/sim/sim.h"

#include "core/base/assert.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEATHS_IN_RECOVERY_MAX = 3,
    RECOVERY_CALLS = 80, /* a death in a recovery comes in one of the first so many */
    AUDIT_BYTES = 48 << 10,
    REST_NS = 120 * 1000 * 1000,
    ROUNDS_TO_REST = 400,
};

/* ---- Down
 * ----------------------------------------------------------------------------------------------- */

static void forget_all(sim_world *w)
{
    memset(w->asks, 0, sizeof(w->asks));
    w->asks_open = 0;
    world_producers_crashed(w);
    world_named_crashed(w);
    world_groups_forget(w);
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        w->model.topics[i].changing = 0;
    }
    for (uint32_t i = 0; i < SIM_READERS; i++) {
        world_reader_forget(&w->readers[i]);
    }
}

static void ports_close(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_PORTS; i++) {
        if (w->ports[i] != NULL) {
            weir_port_close(w->ports[i]);
            w->ports[i] = NULL;
        }
    }
}

static void stats_counted(sim_world *w)
{
    weir_stats stats;
    weir_engine_stats(w->engine, &stats);
    w->events[SIM_EVENT_cold_read] += stats.cold_reads;
    w->events[SIM_EVENT_segments_rewritten] += stats.segments_rewritten;
    w->events[SIM_EVENT_written_straight] += stats.straight_bytes > 0 ? 1 : 0;
}

/* The dead process leaves memory. */
static void bury(sim_world *w)
{
    ports_close(w);
    if (w->engine != NULL) {
        stats_counted(w);
        weir_engine_abandon(w->engine);
        w->engine = NULL;
    }
    forget_all(w);
    if (w->env != NULL) {
        sim_env_kill(w->env);
        sim_env_destroy(w->env);
        w->env = NULL;
    }
    if (sim_disk_open_files(w->disk) != 0) {
        model_fail(&w->model, "[P9] %u files were never closed", sim_disk_open_files(w->disk));
    }
}

/* What this crash, and those before it since the last recovery, must leave. */
static void crashed(sim_world *w, weir_level survives)
{
    w->survives = w->survives > survives ? w->survives : survives;
    model_crashed(&w->model, w->survives);
    group_model_crashed(w->groups, w->survives);
}

static void disk_crash(sim_world *w, sim_crash crash)
{
    uint64_t seed = sim_random_next(&w->chance);
    sim_random random = {seed};
    world_event(w, crash == SIM_CRASH_KILL ? SIM_EVENT_kill : SIM_EVENT_power_cut);
    world_say(w, "    crash: %s", crash == SIM_CRASH_KILL ? "kill" : "power cut");
    sim_disk_crash(w->disk, crash, sim_chooser_random(&random));
    bool cache = crash == SIM_CRASH_KILL && !w->sync_lost;
    crashed(w, cache ? WEIR_LEVEL_OS : WEIR_LEVEL_DISK);
}

void world_crash(sim_world *w, sim_crash crash)
{
    sim_env_kill(w->env);
    bury(w);
    disk_crash(w, crash);
    world_start(w);
}

void world_stop(sim_world *w)
{
    ports_close(w);
    weir_err err = weir_engine_close(w->engine);
    bool clean = err == WEIR_OK && !sim_env_dead(w->env);
    world_say(w, "    clean stop: %s", weir_err_name(err));
    w->engine = NULL;
    if (w->quiet && !clean && !w->model.gaps && !w->sync_lost) {
        model_fail(&w->model, "[P9] a clean stop without faults fails: %s", weir_err_name(err));
    }
    bury(w);
    if (clean) {
        world_event(w, SIM_EVENT_clean_stop);
        sim_random random = {sim_random_next(&w->chance)};
        sim_disk_crash(w->disk, SIM_CRASH_POWER, sim_chooser_random(&random));
        crashed(w, WEIR_LEVEL_MEMORY); /* nothing that was acknowledged is lost by it */
    } else {
        disk_crash(w, SIM_CRASH_KILL);
    }
    world_start(w);
}

void world_end(sim_world *w)
{
    if (w->env != NULL) {
        sim_env_kill(w->env);
    }
    bury(w);
}

/* ---- Up
 * ------------------------------------------------------------------------------------------------- */

static void latency_usual(sim_world *w)
{
    world_latency(w, (sim_latency){20000, 120000, 10000, 150000});
}

static void faults_end(sim_world *w)
{
    sim_disk_faults_clear(w->disk);
    sim_disk_capacity(w->disk, 0);
    w->faulted = false;
}

/* A start that ended in an error, or died. */
static void start_failed(sim_world *w, weir_err err, const weir_fault *fault)
{
    bool dead = sim_env_dead(w->env);
    world_say(w, "    start: %s %s (%s)", weir_err_name(err), fault->text, dead ? "dead" : "alive");
    if (w->trace && !dead) {
        sim_disk_dump(w->disk);
    }
    bury(w);
    if (dead) {
        world_event(w, SIM_EVENT_death_in_recovery);
        disk_crash(w, sim_random_chance(&w->chance, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
    } else if (w->faulted) {
        world_event(w, SIM_EVENT_start_refused);
        faults_end(w);
        disk_crash(w, SIM_CRASH_KILL);
    } else if (w->flips && err == WEIR_DAMAGED) {
        w->damaged = true;
        world_event(w, SIM_EVENT_start_damaged);
    } else {
        model_fail(&w->model, "[P1] a start is refused: %s: %s %s at %" PRIu64, weir_err_name(err),
                   fault->text, fault->file, fault->position);
    }
}

static bool engine_open(sim_world *w, bool may_die)
{
    weir_fault fault = {0};
    w->env = sim_env_create(w->disk, sim_random_next(&w->chance));
    latency_usual(w);
    if (may_die && sim_random_chance(&w->chance, 4)) {
        sim_env_dies(w->env, 1 + sim_random_below(&w->chance, RECOVERY_CALLS));
    } else if (may_die && w->die_in_start > 0) {
        w->die_at_point = w->die_in_start;
        w->die_at_count = 1;
    } else if (may_die && sim_random_chance(&w->chance, 8)) {
        w->die_at_point = 1 + (uint32_t)sim_random_below(&w->chance, WEIR_FAILPOINT_COUNT);
        w->die_at_count = 1 + (uint32_t)sim_random_below(&w->chance, 2);
    }
    w->config.env = sim_env_table(w->env);
    weir_err err = weir_engine_open(&w->config, &w->engine, &fault);
    w->engine = err == WEIR_OK ? w->engine : NULL;
    w->die_at_point = w->die_in_start; /* or by the first who reads */
    w->die_in_start = 0;
    if (err != WEIR_OK || sim_env_dead(w->env)) {
        start_failed(w, err, &fault);
        return false;
    }
    sim_env_dies(w->env, 0);
    return true;
}

static void ports_open(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_PORTS; i++) {
        weir_err err = weir_port_open(w->engine, &w->ports[i]);
        WEIR_ASSERT(err == WEIR_OK);
    }
}

static void up(sim_world *w)
{
    ports_open(w);
    faults_end(w);
    w->model.gaps = w->flips && w->events[SIM_EVENT_bit_flipped] > 0;
    w->model.trims_gone = false;
    w->was_full = false;
    w->sync_lost = false;
    w->starts++;
    world_event(w, SIM_EVENT_recovery);
    world_segments_remember(w);
    if (world_audit(w, true)) {
        model_recovered(&w->model);
        world_named_recovered(w);
        group_model_recovered(w->groups, &w->model);
        w->events[SIM_EVENT_uncertain_kept] = w->model.uncertain_kept;
        w->events[SIM_EVENT_uncertain_lost] = w->model.uncertain_lost;
        w->events[SIM_EVENT_acknowledged_lost] = w->model.acknowledged_lost;
        w->survives = WEIR_LEVEL_DEFAULT;
        (void)world_groups_recovered(w);
    }
}

void world_start(sim_world *w)
{
    int deaths = 0;
    w->die_at_point = 0;
    w->config.take_over = false;
    while (!w->model.failed && !w->damaged) {
        if (engine_open(w, deaths++ < DEATHS_IN_RECOVERY_MAX)) {
            up(w);
            return;
        }
    }
}

/* ---- Take-over
 * ------------------------------------------------------------------------------------------- */

typedef struct old_owner {
    sim_env *env;
    weir_engine *engine;
    weir_port *ports[SIM_PORTS];
} old_owner;

/* The owner that was replaced wakes: it may write, and must not acknowledge. */
static void old_wakes(sim_world *w, old_owner *old)
{
    weir_completion done;
    for (uint32_t round = 0; round < 12; round++) {
        weir_port *port = old->ports[sim_random_below(&w->chance, SIM_PORTS)];
        weir_port_step(port);
        while (weir_port_drain(port, &done, 1) == 1) {
            bool publishes =
                done.type == WEIR_COMPLETION_PUBLISH || done.type == WEIR_COMPLETION_BATCH;
            bool stored = publishes && done.err == WEIR_OK && !done.published.live;
            if (stored && done.published.level > WEIR_LEVEL_MEMORY) {
                model_fail(&w->model,
                           "[P1] an owner that was replaced acknowledges a record at level %d",
                           done.published.level);
            }
            weir_completion_drop(&done);
        }
        sim_env_lane_run(old->env, (weir_lane)sim_random_below(&w->chance, WEIR_LANE_COUNT));
    }
    if (weir_engine_health_of(old->engine) == WEIR_HEALTH_FENCED) {
        world_event(w, SIM_EVENT_fenced);
    }
}

static void old_goes(old_owner *old)
{
    for (uint32_t i = 0; i < SIM_PORTS; i++) {
        weir_port_close(old->ports[i]);
    }
    weir_engine_abandon(old->engine);
    sim_env_destroy(old->env);
}

void world_take_over(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_PORTS; i++) {
        world_drain(w, i); /* what was answered before it was replaced */
    }
    if (w->model.failed) {
        return;
    }
    old_owner old = {.env = w->env, .engine = w->engine};
    memcpy(old.ports, w->ports, sizeof(old.ports));
    memset(w->ports, 0, sizeof(w->ports));
    w->engine = NULL;
    forget_all(w);
    crashed(w, WEIR_LEVEL_OS);
    w->die_at_point = 0;
    w->config.take_over = true;
    faults_end(w);
    weir_fault fault = {0};
    w->env = sim_env_create(w->disk, sim_random_next(&w->chance));
    latency_usual(w);
    w->config.env = sim_env_table(w->env);
    weir_err err = weir_engine_open(&w->config, &w->engine, &fault);
    if (err != WEIR_OK) {
        if (w->flips && err == WEIR_DAMAGED) {
            w->damaged = true;
            world_event(w, SIM_EVENT_start_damaged);
        } else {
            model_fail(&w->model, "[P1] a take-over is refused: %s: %s", weir_err_name(err),
                       fault.text);
        }
        w->engine = NULL;
        old_goes(&old);
        return;
    }
    world_event(w, SIM_EVENT_take_over);
    bool wakes_first = sim_random_chance(&w->chance, 2);
    if (wakes_first) {
        old_wakes(w, &old);
    }
    up(w);
    if (!wakes_first && !w->model.failed) {
        old_wakes(w, &old);
    }
    old_goes(&old);
}

/* ---- Audits
 * ---------------------------------------------------------------------------------------------- */

static bool ask_topics(sim_world *w, bool recovered)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_TOPICS, 0, &token);
    ask->settle = recovered;
    ask->stale = !recovered && world_topics_change(w);
    if (weir_port_topics(w->ports[0], WEIR_BYTES_NULL, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return false;
    }
    return world_wait(w, ask);
}

bool world_offsets_ask(sim_world *w, uint32_t topic, bool recovered)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_OFFSETS, 0, &token);
    ask->settle = recovered;
    ask->topic = (uint8_t)topic;
    ask->incarnation = w->model.topics[topic].incarnation;
    if (weir_port_offsets(w->ports[0], weir_bytes_of(w->model.topics[topic].name),
                          WEIR_OFFSETS_BOUNDS, 0, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return false;
    }
    return world_wait(w, ask);
}

/* One fetch; returns what comes next, or -1. */
static int64_t fetch_from(sim_world *w, uint32_t topic, uint32_t partition, int64_t offset)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_FETCH, 0, &token);
    ask->topic = (uint8_t)topic;
    ask->partition = (uint8_t)partition;
    ask->incarnation = w->model.topics[topic].incarnation;
    ask->offset = offset;
    ask->end = w->model.topics[topic].logs[partition].end;
    ask->next = offset;
    weir_fetch wanted = {.topic = weir_bytes_of(w->model.topics[topic].name),
                         .partition = partition,
                         .offset = offset,
                         .bytes_max = AUDIT_BYTES,
                         .peek = true};
    if (weir_port_fetch(w->ports[0], &wanted, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return -1;
    }
    return world_wait(w, ask) ? ask->next : -1;
}

static bool read_partition(sim_world *w, uint32_t topic, uint32_t partition, bool recovered)
{
    const model_topic *of = &w->model.topics[topic];
    const model_log *log = &of->logs[partition];
    int64_t at = log->start;
    while (at < log->end && !w->model.failed) {
        int64_t next = fetch_from(w, topic, partition, at);
        if (next < 0) {
            return false;
        }
        if (next == at && log->start <= at) { /* retention may have been there meanwhile */
            model_fail(&w->model,
                       "[P1] %s/%u ends at %" PRId64 ", and nothing is given from %" PRId64,
                       of->name, partition, log->end, at);
        }
        at = next > log->start ? next : log->start;
    }
    if (!w->model.failed) {
        model_read_whole(&w->model, topic, partition, recovered);
    }
    return !w->model.failed;
}

static bool close_reader(sim_world *w, sim_reader *reader)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_CLOSE, reader->port, &token);
    ask->reader = (uint8_t)(reader - w->readers);
    reader->closing = true;
    if (weir_port_subscriber_close(w->ports[reader->port], reader->handle, NULL, token) !=
        WEIR_OK) {
        world_ask_drop(w, ask);
        return false;
    }
    return world_wait(w, ask);
}

static bool read_retained(sim_world *w)
{
    weir_subscribe wanted = {.filter = WEIR_TEXT("#"), .retained = WEIR_RETAINED_SEND};
    sim_reader *reader = world_reader_open(w, 0, &wanted, MODEL_TOPICS);
    if (reader == NULL) {
        return false;
    }
    reader->audit = true;
    model_retained_begin(&w->model);
    (void)weir_port_credit(w->ports[0], reader->handle, UINT64_MAX, UINT64_MAX);
    for (int round = 0; round < 4 && world_up(w); round++) {
        world_on(w);
    }
    if (!world_up(w) || !close_reader(w, reader)) {
        return false;
    }
    model_retained_end(&w->model);
    world_event(w, SIM_EVENT_retained_compared);
    return !w->model.failed;
}

bool world_audit(sim_world *w, bool recovered)
{
    w->model.reading++;
    if (!ask_topics(w, recovered)) {
        return false;
    }
    for (uint32_t topic = 0; topic < MODEL_TOPICS; topic++) {
        const model_topic *of = &w->model.topics[topic];
        if (of->exists != TOPIC_YES) {
            continue;
        }
        if (!world_offsets_ask(w, topic, recovered)) {
            return false;
        }
        for (uint32_t p = 0; p < of->options.partitions; p++) {
            if (!read_partition(w, topic, p, recovered)) {
                return false;
            }
        }
    }
    return !recovered || read_retained(w);
}

/* ---- The end
 * --------------------------------------------------------------------------------------------- */

static bool reader_is_behind(const sim_world *w, const sim_reader *reader)
{
    if (reader->handle == NULL || !reader->from_log || !reader->whole || reader->until_end ||
        reader->ended || reader->topic >= MODEL_TOPICS) {
        return false;
    }
    const model_topic *topic = &w->model.topics[reader->topic];
    for (uint32_t p = 0; p < topic->options.partitions; p++) {
        bool same = topic->exists == TOPIC_YES && reader->incarnation == topic->incarnation;
        int64_t start = topic->logs[p].start; /* what a trim took comes no more */
        int64_t next = reader->next[p] > start ? reader->next[p] : start;
        if (same && !topic->compacts && reader->next[p] >= 0 && next < topic->logs[p].end) {
            return true;
        }
    }
    return false;
}

static bool any_reader_is_behind(const sim_world *w)
{
    for (uint32_t i = 0; i < SIM_READERS; i++) {
        if (reader_is_behind(w, &w->readers[i])) {
            return true;
        }
    }
    return false;
}

static void readers_catch_up(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_READERS; i++) {
        if (w->readers[i].handle != NULL && !w->readers[i].closing) {
            (void)weir_port_credit(w->ports[w->readers[i].port], w->readers[i].handle, UINT64_MAX,
                                   UINT64_MAX);
        }
    }
    for (int round = 0; round < ROUNDS_TO_REST && world_up(w); round++) {
        world_on(w);
        if (round > 8 && !any_reader_is_behind(w)) {
            return;
        }
    }
    if (world_up(w)) {
        model_fail(&w->model, "[P9] a reader with credit does not reach the end");
    }
}

void world_finish(sim_world *w)
{
    if (w->damaged) {
        return;
    }
    w->die_at_point = 0;
    sim_env_dies(w->env, 0);
    faults_end(w);
    for (int round = 0; round < 16 && world_up(w); round++) {
        world_on(w); /* what failed before is told now */
    }
    if (w->model.failed) {
        return;
    }
    if (sim_env_dead(w->env) || weir_engine_health_of(w->engine) >= WEIR_HEALTH_STOPPED) {
        world_crash(w, SIM_CRASH_KILL);
    }
    if (w->model.failed || w->damaged) {
        return;
    }
    w->quiet = true;
    latency_usual(w);
    if (!world_settle(w, (uint64_t)REST_NS * 1000) && !w->model.failed) {
        model_fail(&w->model, "[P9] %u requests are not answered", w->asks_open);
    }
    uint64_t until = sim_disk_now_ns(w->disk) + (uint64_t)REST_NS * 1000;
    do {
        world_on(w);
    } while (world_up(w) && sim_disk_now_ns(w->disk) < until &&
             weir_engine_health_of(w->engine) != WEIR_HEALTH_OK);
    if (world_up(w) && weir_engine_health_of(w->engine) != WEIR_HEALTH_OK) {
        model_fail(&w->model, "[P9] the faults are over, and health is %d",
                   weir_engine_health_of(w->engine));
    }
    if (world_up(w) && world_audit(w, false)) {
        readers_catch_up(w);
    }
    if (world_up(w)) {
        world_groups_drain(w);
    }
    if (world_up(w)) {
        world_stop(w);
    }
}
