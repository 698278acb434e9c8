/* tests/crash/points.c - runs a workload and keeps the moment before each of its storage calls.
 *
 *   call n-1 took effect --> the disk is cloned
 *   ... the process goes on: it answers clients, it decides ...
 *   call n begins        --> point n: that clone, the call, and the model as it is now
 *
 * So whatever was acknowledged after call n-1 must survive with what calls up to n-1 left. Calls of
 * recoveries that the workload contains are points like any other. */
#include "tests/crash/crash.h"

#include "core/base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct recorder {
    crash_run *run;
    crash_points *points;
    crash_counts *counts;
    sim_disk *before;
} recorder;

static void *copy_of(const void *from, size_t bytes)
{
    void *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy == NULL) {
        abort();
    }
    if (bytes > 0) {
        memcpy(copy, from, bytes);
    }
    return copy;
}

void crash_model_copy(const sim_model *from, sim_model *to)
{
    *to = *from;
    to->sends = copy_of(from->sends, from->send_count * sizeof(*from->sends));
    to->send_capacity = from->send_count;
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            model_log *log = &to->topics[i].logs[p];
            log->slots = copy_of(log->slots, (size_t)log->count * sizeof(*log->slots));
            log->capacity = log->count;
        }
    }
}

static crash_point *point_add(crash_points *points)
{
    if (points->count == points->capacity) {
        points->capacity = points->capacity * 2 + 256;
        points->items = realloc(points->items, points->capacity * sizeof(*points->items));
        if (points->items == NULL) {
            abort();
        }
    }
    return &points->items[points->count++];
}

static void call_recorded(void *arg, const sim_call *call)
{
    recorder *r = arg;
    sim_world *w = &r->run->w;
    if (call->kind >= SIM_CALL_OPEN) {
        return;
    }
    world_say(w, "  [%u] %s %s%s%s %" PRIu64 "+%" PRIu64, r->points->count,
              sim_call_name(call->kind), call->path, call->path_to[0] != '\0' ? " to " : "",
              call->path_to, call->offset, call->bytes);
    crash_point *point = point_add(r->points);
    point->disk = r->before;
    point->call = *call;
    point->call.data = call->data != NULL ? copy_of(call->data, call->bytes) : NULL;
    crash_model_copy(&w->model, &point->model);
    group_model_copy(w->groups, point->groups);
    point->answers = w->hash + w->model.send_count;
    point->survives = w->survives;
    point->producer = r->run->producer;
    memcpy(point->retries, r->run->retries, sizeof(point->retries));
    r->before = sim_disk_clone(w->disk);
}

static weir_err failpoint_passed(void *arg, weir_failpoint point)
{
    crash_counts *counts = arg;
    counts->points[point]++;
    return WEIR_OK;
}

static void line_said(void *arg, weir_log_level level, const char *room, const char *line)
{
    (void)level;
    world_say(arg, "    %s: %s", room, line);
}

static void configure(const crash_workload *workload, sim_world *w)
{
    w->config = (weir_engine_config){
        .data_dir = "data",
        .sync = (weir_sync_mode)((w->seed + (uint64_t)(workload - CRASH_WORKLOADS)) % 3),
        .journal_file_bytes = 65536,
        .segment_bytes_max = 4096,
        .checkpoint_bytes = 24576,
        .checkpoint_every_ms = 400,
        .cleanup_every_ms = 100,
        .limits = {.tail_bytes_max = 1 << 20, .owed_runs_max = 64},
    };
    if (workload->configure != NULL) {
        workload->configure(&w->config);
    }
}

void crash_record(const crash_workload *workload, uint64_t seed, bool trace, crash_counts *counts,
                  crash_points *points)
{
    static crash_run run; /* large; one at a time */
    memset(&run, 0, sizeof(run));
    memset(points, 0, sizeof(*points));
    run.producer = -1;
    sim_world *w = &run.w;
    w->seed = seed;
    w->trace = trace;
    w->chance = (sim_random){seed * 2654435761u + 17};
    w->disk = sim_disk_create();
    model_init(&w->model);
    group_model_init(w->groups);
    configure(workload, w);
    recorder r = {.run = &run, .points = points, .counts = counts};
    r.before = sim_disk_clone(w->disk);
    sim_disk_watch(w->disk, call_recorded, &r);
    weir_failpoint_arm(failpoint_passed, counts);
    weir_log_sink(line_said, w);
    world_start(w);
    if (world_up(w)) {
        workload->run(&run);
    }
    if (!w->model.failed) {
        world_finish(w);
    }
    sim_disk_watch(w->disk, NULL, NULL);
    memcpy(points->fault, w->model.fault, sizeof(points->fault));
    points->config = w->config;
    world_end(w);
    weir_failpoint_arm(NULL, NULL);
    weir_log_sink(NULL, NULL);
    for (int i = 0; i < SIM_EVENT_COUNT; i++) {
        counts->events[i] += w->events[i];
    }
    model_fini(&w->model);
    group_model_fini(w->groups);
    sim_disk_destroy(r.before);
    sim_disk_destroy(w->disk);
}

void crash_points_fini(crash_points *points)
{
    for (uint32_t i = 0; i < points->count; i++) {
        crash_point *point = &points->items[i];
        sim_disk_destroy(point->disk);
        free(point->call.data);
        model_fini(&point->model);
        group_model_fini(point->groups);
    }
    free(points->items);
    memset(points, 0, sizeof(*points));
}
