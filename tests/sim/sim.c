/* tests/sim/sim.c - one run from a seed: operations, and the moves of the engine between them.
 *
 *   operation --submit--> port rings          moves: a port steps and is drained; a job of a lane runs;
 *   moves, by chance                                 time goes by
 *   operation --submit--> ...
 *
 * Nothing happens by itself: threads are moves that chance orders. Between two operations there may be
 * none, so that many requests meet in one turn. A death is looked for after every move.
 *
 * [S1] The same seed and list of operations give the same hash over every storage call and answer. */
#include "tests/sim/sim.h"

#include "core/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    DRAIN_MAX = 64,
    WAIT_MOVES_MAX = 20000,
    MOVES_MAX = 6,
    LEAST_NS = 50000,
    LATE_NS = 10000000,
    WAKE_NS = 500000
};

static const char *const EVENT_NAMES[SIM_EVENT_COUNT] = {
#define EVENT_NAME(name) #name,
    SIM_EVENT_LIST(EVENT_NAME)
#undef EVENT_NAME
};
static const char *const OP_NAMES[SIM_OP_COUNT] = {
#define OP_NAME(name, weight) #name,
    SIM_OP_LIST(OP_NAME)
#undef OP_NAME
};
static const uint32_t OP_WEIGHTS[SIM_OP_COUNT] = {
#define OP_WEIGHT(name, weight) (weight),
    SIM_OP_LIST(OP_WEIGHT)
#undef OP_WEIGHT
};

const char *sim_event_name(sim_event event)
{
    return EVENT_NAMES[event];
}

const char *sim_op_name(sim_op_kind kind)
{
    return OP_NAMES[kind];
}

bool sim_op_expected(sim_op_kind kind)
{
    return OP_WEIGHTS[kind] > 0;
}

bool sim_event_expected(sim_event event)
{
    bool once = event == SIM_EVENT_producer_opened || event == SIM_EVENT_duplicate_refused;
    return !once || sim_op_expected(SIM_OP_PRODUCE_ONCE);
}

void world_say(const sim_world *w, const char *format, ...)
{
    va_list arguments;
    if (!w->trace) {
        return;
    }
    (void)fprintf(stderr, "%10.3f ms ", (double)sim_disk_now_ns(w->disk) / 1e6);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

void world_note(sim_world *w, uint64_t value)
{
    sim_random mixed = {w->hash ^ value};
    w->hash = sim_random_next(&mixed);
}

/* ---- Asks
 * ---------------------------------------------------------------------------------------------- */

sim_ask *world_ask(sim_world *w, ask_kind kind, uint32_t port, uint64_t *token)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        uint32_t at = (w->ask_next + i) % SIM_ASKS;
        if (w->asks[at].kind == ASK_NONE) {
            w->ask_next = at + 1;
            w->asks[at] = (sim_ask){.kind = kind, .port = (uint8_t)port};
            w->asks_open++;
            *token = at;
            return &w->asks[at];
        }
    }
    return NULL;
}

void world_ask_drop(sim_world *w, sim_ask *ask)
{
    ask->kind = ASK_NONE; /* the rest stays for who waits */
    w->asks_open--;
}

/* ---- Moves
 * --------------------------------------------------------------------------------------------- */

void world_drain(sim_world *w, uint32_t port)
{
    weir_completion done[DRAIN_MAX];
    size_t count;
    do {
        count = weir_port_drain(w->ports[port], done, DRAIN_MAX);
        for (size_t i = 0; i < count; i++) {
            if (world_up(w)) { /* what a dead process had left to say nobody heard */
                world_answer(w, port, &done[i]);
            }
            weir_completion_drop(&done[i]);
        }
    } while (count == DRAIN_MAX);
}

static void health_look(sim_world *w)
{
    weir_engine_health health = weir_engine_health_of(w->engine);
    bool full = health == WEIR_HEALTH_DISK_FULL;
    if (full != w->was_full && health <= WEIR_HEALTH_DISK_FULL) {
        world_event(w, full ? SIM_EVENT_disk_full : SIM_EVENT_disk_full_over);
    }
    w->was_full = full;
}

static void step(sim_world *w, uint32_t port)
{
    if (world_up(w)) {
        weir_port_step(w->ports[port]);
        world_drain(w, port);
        health_look(w);
    }
}

static void lane_run_due(sim_world *w, uint64_t first)
{
    for (uint64_t i = 0; i < WEIR_LANE_COUNT; i++) {
        weir_lane lane = (weir_lane)((first + i) % WEIR_LANE_COUNT);
        if (sim_env_lane_due(w->env, lane)) {
            sim_env_lane_run(w->env, lane);
            return;
        }
    }
}

static void time_to_next(sim_world *w, uint64_t most_ns)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    uint64_t next = sim_env_next_ns(w->env);
    int ms = weir_port_next_ms(w->ports[0]);
    uint64_t left = next > now ? next - now : 0;
    left = next == UINT64_MAX ? most_ns : left;
    if (ms >= 0 && (uint64_t)ms * 1000000 < left) {
        left = (uint64_t)ms * 1000000;
    }
    left =
        left < LEAST_NS ? LEAST_NS : left; /* who waits for a lane may ask to be stepped at once */
    sim_disk_pass(w->disk, left < most_ns ? left : most_ns);
}

void world_move(sim_world *w)
{
    if (!world_up(w)) {
        return;
    }
    uint64_t how = sim_random_below(&w->chance, 8);
    uint64_t which = sim_random_next(&w->chance);
    if (how < 4) {
        step(w, (uint32_t)(which % SIM_PORTS));
    } else if (how < 6) {
        lane_run_due(w, which % WEIR_LANE_COUNT);
    } else if (how < 7) {
        sim_disk_pass(w->disk, which % 300000);
    } else {
        time_to_next(w, 20000000);
    }
}

void world_moves(sim_world *w, uint32_t most)
{
    uint64_t count = sim_random_below(&w->chance, most + 1);
    for (uint64_t i = 0; i < count && world_up(w); i++) {
        world_move(w);
    }
}

/* Returns how long the host waited. */
static uint64_t world_on_within(sim_world *w, uint64_t most_ns)
{
    for (uint32_t port = 0; port < SIM_PORTS && world_up(w); port++) {
        step(w, port);
    }
    for (int i = 0; i < WEIR_LANE_COUNT && world_up(w); i++) {
        lane_run_due(w, (uint64_t)i);
    }
    if (world_up(w)) {
        uint64_t before = sim_disk_now_ns(w->disk);
        time_to_next(w, most_ns);
        return sim_disk_now_ns(w->disk) - before;
    }
    return 0;
}

void world_on(sim_world *w)
{
    (void)world_on_within(w, 50000000);
}

bool world_settle(sim_world *w, uint64_t most_ns)
{
    uint64_t until = sim_disk_now_ns(w->disk) + most_ns;
    for (int i = 0; i < WAIT_MOVES_MAX && world_up(w) && w->asks_open > 0; i++) {
        if (sim_disk_now_ns(w->disk) > until) {
            return false;
        }
        world_on(w);
    }
    return w->asks_open == 0;
}

int64_t world_time_most_ms(sim_world *w)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    int64_t wall = sim_disk_wall_ms(w->disk);
    int64_t on = w->time_ms + (int64_t)((now - w->time_ns + 999999) / 1000000);
    w->time_ms = on > wall ? on : wall;
    w->time_ns = now;
    return w->time_ms + 1;
}

void world_latency(sim_world *w, sim_latency latency)
{
    w->latency = latency;
    sim_env_latency(w->env, latency);
}

bool world_interval(sim_world *w)
{
    uint64_t begun = w->starts;
    uint64_t turns = 4 * (w->latency.sync_most_ns + w->latency.lane_most_ns) + LATE_NS;
    uint64_t now = sim_disk_now_ns(w->disk);
    uint64_t last = sim_env_last_ns(w->env); /* a sync may be among them that a slower disk has */
    uint64_t wanted = (uint64_t)w->config.os_sync_every_ms * 1000000 + turns;
    wanted += last > now ? last - now : 0;
    /* There is one thread here: while a lane's job syncs, nobody steps the engine. Elsewhere others do, so
     * only what the host waits counts. */
    for (uint64_t waited = 0; world_up(w) && waited < wanted;) {
        waited += world_on_within(w, WAKE_NS); /* what a lane has done wakes its port at once */
    }
    return world_up(w) && w->starts == begun && !w->faulted && !w->sync_lost &&
           weir_engine_health_of(w->engine) == WEIR_HEALTH_OK;
}

bool world_wait(sim_world *w, const sim_ask *ask)
{
    for (int i = 0; i < WAIT_MOVES_MAX && world_up(w); i++) {
        if (ask->kind == ASK_NONE) {
            return true;
        }
        world_on(w);
    }
    if (world_up(w) && ask->kind != ASK_NONE) {
        model_fail(&w->model, "[P9] a request of kind %d is not answered", ask->kind);
    }
    return ask->kind == ASK_NONE && !w->model.failed;
}

/* ---- A run
 * --------------------------------------------------------------------------------------------- */

/* Every seed leaves some kinds out, so that the others meet more often. */
void sim_ops_make(uint64_t seed, sim_op *ops, uint32_t count)
{
    sim_random random = {seed * 2 + 1};
    uint32_t weights[SIM_OP_COUNT];
    uint32_t sum = 0;
    for (int kind = 0; kind < SIM_OP_COUNT; kind++) {
        bool out = kind > SIM_OP_PUBLISH && sim_random_chance(&random, 5);
        weights[kind] = out ? 0 : OP_WEIGHTS[kind] * (sim_random_chance(&random, 6) ? 4 : 1);
        sum += weights[kind];
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pick = sim_random_below(&random, sum);
        int kind = 0;
        while (pick >= weights[kind]) {
            pick -= weights[kind++];
        }
        ops[i] = (sim_op){(sim_op_kind)kind, sim_random_next(&random)};
    }
}

static weir_err point_passed(void *arg, weir_failpoint point)
{
    sim_world *w = arg;
    w->points[point]++;
    if (w->die_at_point == (uint32_t)point + 1 && --w->die_at_count == 0) {
        w->die_at_point = 0;
        world_event(w, SIM_EVENT_death_at_a_failpoint);
        w->kills[point]++;
        sim_env_kill(w->env);
    }
    return WEIR_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text);
    size_t end_len = strlen(end);
    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* Events that the storage calls tell. */
static void call_seen(void *arg, const sim_call *call)
{
    sim_world *w = arg;
    if (w->trace && call->kind < SIM_CALL_OPEN) {
        world_say(w, "      %s %s%s%s %" PRIu64 "+%" PRIu64 "%s", sim_call_name(call->kind),
                  call->path, call->path_to[0] != '\0' ? " to " : "", call->path_to, call->offset,
                  call->bytes, call->err != WEIR_OK ? " fails" : "");
    }
    if (call->kind == SIM_CALL_RENAME && ends_with(call->path_to, ".wal")) {
        world_event(w, SIM_EVENT_journal_file);
    } else if (call->kind == SIM_CALL_RENAME && ends_with(call->path, ".wal")) {
        world_event(w, SIM_EVENT_journal_recycled);
    } else if (call->kind == SIM_CALL_RENAME && ends_with(call->path_to, ".checkpoint")) {
        world_event(w, SIM_EVENT_checkpoint);
    } else if (call->kind == SIM_CALL_CREATE && ends_with(call->path, ".log")) {
        bool first = ends_with(call->path, "/00000000000000000000.log");
        world_event(w, first ? SIM_EVENT_segment_made : SIM_EVENT_segment_rolled);
    } else if (call->kind == SIM_CALL_WRITE && call->err != WEIR_OK) {
        world_event(w, call->err == WEIR_IO ? SIM_EVENT_write_failed : SIM_EVENT_disk_full_write);
        w->events[SIM_EVENT_write_cut_short] += call->bytes > 0 ? 1 : 0;
    } else if ((call->kind == SIM_CALL_SYNC || call->kind == SIM_CALL_VOLUME_SYNC) &&
               call->err != WEIR_OK) {
        world_event(w, SIM_EVENT_sync_failed);
        w->sync_lost = true;
    }
}

static void line_seen(void *arg, weir_log_level level, const char *room, const char *line)
{
    sim_world *w = arg;
    (void)level;
    if (strstr(line, "torn tail cut") != NULL) {
        world_event(w, SIM_EVENT_torn_tail);
    } else if (strstr(line, "refers to a batch that is not whole") != NULL) {
        world_event(w, SIM_EVENT_reference_torn);
    }
    world_say(w, "    %s: %s", room, line);
}

static void world_configure(sim_world *w)
{
    sim_random random = {w->seed ^ 0xc0f1};
    w->config = (weir_engine_config){
        .data_dir = "data",
        .sync = (weir_sync_mode)sim_random_below(&random, 3),
        .journal_file_bytes = 65536u << (sim_random_chance(&random, 8) ? 1 : 0),
        .segment_bytes_max = 4096u << sim_random_below(&random, 5),
        .checkpoint_bytes = 8192u << sim_random_below(&random, 6),
        .cleanup_every_ms = 50u << sim_random_below(&random, 6),
        .checkpoint_every_ms = 200u << sim_random_below(&random, 6),
        .os_sync_every_ms = 5u << sim_random_below(&random, 5),
        .limits = {.tail_bytes_max = 1 << 20, .owed_runs_max = 64},
    };
    w->flips = sim_random_chance(&random, 5);
    if (sim_random_chance(&random, 4)) { /* segments have room for the largest batches, */
        w->config.segment_bytes_max <<= 6;
    } else { /* or smaller ones go straight too */
        w->config.journal_inline_bytes_max = 512u << sim_random_below(&random, 3);
    }
}

static void world_look_after(sim_world *w)
{
    if (w->model.failed || w->damaged) {
        return;
    }
    if (sim_env_dead(w->env)) {
        world_event(w, SIM_EVENT_death_in_a_call);
        world_crash(w, sim_random_chance(&w->chance, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
    } else if (weir_engine_health_of(w->engine) >= WEIR_HEALTH_STOPPED &&
               sim_random_chance(&w->chance, 12)) {
        world_event(w, SIM_EVENT_engine_stopped);
        world_crash(w, sim_random_chance(&w->chance, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
    }
}

static uint32_t world_run(sim_world *w, const sim_op *ops, uint32_t count)
{
    w->chance = (sim_random){w->seed ^ 0xbe91};
    world_start(w);
    uint32_t at = 0;
    while (at < count && !w->model.failed && !w->damaged) {
        w->chance = (sim_random){ops[at].seed};
        world_say(w, "%u: %s", at, sim_op_name(ops[at].kind));
        world_op(w, &ops[at]);
        w->ops_done[ops[at].kind]++;
        if (sim_random_chance(&w->chance, 2)) {
            world_moves(w, MOVES_MAX);
        }
        world_look_after(w);
        at++;
    }
    if (!w->model.failed) {
        w->chance = (sim_random){w->seed ^ 0xf191};
        world_finish(w);
    }
    return at;
}

void sim_run(uint64_t seed, const sim_op *ops, uint32_t count, bool trace, sim_result *result)
{
    static sim_world w; /* large; one run at a time */
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    w.trace = trace;
    w.disk = sim_disk_create();
    sim_disk_watch(w.disk, call_seen, &w);
    model_init(&w.model);
    group_model_init(w.groups);
    world_configure(&w);
    weir_failpoint_arm(point_passed, &w);
    weir_log_sink(line_seen, &w);
    memset(result, 0, sizeof(*result));
    result->op = world_run(&w, ops, count);
    result->failed = w.model.failed;
    memcpy(result->fault, w.model.fault, sizeof(result->fault));
    world_end(&w);
    weir_failpoint_arm(NULL, NULL);
    weir_log_sink(NULL, NULL);
    w.events[SIM_EVENT_read_failed] = sim_disk_faulted(w.disk, SIM_CALL_READ);
    w.events[SIM_EVENT_open_failed] = sim_disk_faulted(w.disk, SIM_CALL_OPEN);
    world_note(&w, sim_disk_hash(w.disk));
    result->hash = w.hash;
    memcpy(result->events, w.events, sizeof(result->events));
    memcpy(result->points, w.points, sizeof(result->points));
    memcpy(result->kills, w.kills, sizeof(result->kills));
    memcpy(result->ops_done, w.ops_done, sizeof(result->ops_done));
    model_fini(&w.model);
    group_model_fini(w.groups);
    sim_disk_destroy(w.disk);
}
