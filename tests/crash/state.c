/* tests/crash/state.c - one crash state: recovered, compared with what had been promised, used again.
 *
 *   the disk --> recovery (it may die at a call of its own, and is tried again) --> read whole
 *            --> what producers remember is sent again: nothing may be stored twice
 *            --> something is appended everywhere and answered --> the power is cut --> read whole
 *
 * The model (tests/sim/model.h) judges each step; here nothing is judged. */
#include "tests/crash/crash.h"

#include "core/base/log.h"

#include <inttypes.h>
#include <string.h>

enum { DRAINED_ONE_IN = 3 }; /* states: members take and settle all there is */

static crash_run run; /* large; one at a time */
static uint32_t recovery_calls;
static uint32_t recovery_dies;

static void call_seen(void *arg, const sim_call *call)
{
    sim_world *w = arg;
    if (call->kind >= SIM_CALL_OPEN) {
        return;
    }
    world_say(w, "      %s %s%s%s %" PRIu64 "+%" PRIu64, sim_call_name(call->kind), call->path,
              call->path_to[0] != '\0' ? " to " : "", call->path_to, call->offset, call->bytes);
    recovery_calls++;
    if (recovery_dies == recovery_calls && w->env != NULL) {
        sim_env_kill(w->env);
    }
}

static weir_err failpoint_passed(void *arg, weir_failpoint point)
{
    crash_counts *counts = arg;
    counts->points[point]++;
    return WEIR_OK;
}

static void line_said(void *arg, weir_log_level level, const char *room, const char *line)
{
    sim_world *w = arg;
    (void)level;
    if (strstr(line, "torn tail cut") != NULL) {
        world_event(w, SIM_EVENT_torn_tail);
    }
    world_say(w, "    %s: %s", room, line);
}

static void begin(const crash_points *points, const crash_point *point, const crash_choice *choice,
                  sim_disk *disk)
{
    sim_world *w = &run.w;
    memset(&run, 0, sizeof(run));
    w->disk = disk;
    w->config = points->config;
    w->config.take_over = false;
    w->chance = (sim_random){sim_disk_content(disk)};
    w->seed = w->chance.state;
    crash_model_copy(&point->model, &w->model);
    group_model_copy(point->groups, w->groups);
    run.producer = point->producer;
    memcpy(run.retries, point->retries, sizeof(run.retries));
    bool kill = choice->kind == CHOICE_KILL || choice->kind == CHOICE_KILL_PART;
    weir_level survives = kill ? WEIR_LEVEL_OS : WEIR_LEVEL_DISK;
    w->survives = point->survives > survives ? point->survives : survives;
    model_crashed(&w->model, w->survives);
    group_model_crashed(w->groups, w->survives);
}

static void use(uint32_t *calls)
{
    sim_world *w = &run.w;
    world_start(w);
    *calls = recovery_calls;
    recovery_dies = 0;
    crash_retries_send(&run);
    if (world_up(w)) {
        crash_appends(&run);
    }
    if (world_up(w) && w->seed % DRAINED_ONE_IN == 0) {
        world_groups_drain(w);
    }
    if (world_up(w)) {
        world_crash(w, SIM_CRASH_POWER);
    }
}

static void count(crash_counts *counts, const crash_choice *choice)
{
    bool kill = choice->kind == CHOICE_KILL || choice->kind == CHOICE_KILL_PART;
    bool torn = choice->kind == CHOICE_TORN_NEW || choice->kind == CHOICE_TORN_OLD;
    counts->states++;
    counts->kills += kill ? 1 : 0;
    counts->power_cuts += kill ? 0 : 1;
    counts->torn += torn ? 1 : 0;
    counts->recovery_deaths += run.w.events[SIM_EVENT_death_in_recovery];
    counts->retries += run.retried;
    for (int i = 0; i < SIM_EVENT_COUNT; i++) {
        counts->events[i] += run.w.events[i];
    }
}

bool crash_check(const crash_points *points, const crash_point *point, const crash_choice *choice,
                 sim_disk *disk, uint32_t dies, bool trace, crash_counts *counts, uint32_t *calls,
                 char fault[MODEL_FAULT_BYTES])
{
    sim_world *w = &run.w;
    begin(points, point, choice, disk);
    w->trace = trace;
    recovery_calls = 0;
    recovery_dies = dies;
    sim_disk_watch(disk, call_seen, w);
    weir_failpoint_arm(failpoint_passed, counts);
    weir_log_sink(line_said, w);
    use(calls);
    bool held = !w->model.failed;
    memcpy(fault, w->model.fault, MODEL_FAULT_BYTES);
    world_end(w);
    weir_failpoint_arm(NULL, NULL);
    weir_log_sink(NULL, NULL);
    count(counts, choice);
    model_fini(&w->model);
    group_model_fini(w->groups);
    sim_disk_destroy(disk);
    return held;
}
