/* tests/sim/queues.c - topics of kind queue in the workload: their groups, limits and disk.
 *
 *   topic: NO --create--> YES --delete--> NO
 *   group: NO ----------> CREATING --told what it is for--> YES ------> NO
 *
 * Nobody joins before the group was told, so that it is known from the beginning what may become of its
 * records. Publishing is what ops.c, producers.c and names.c do with any topic; members are those of
 * members.c. The rules [Q1] to [Q7] stand in group_model.h. */
#include "tests/sim/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LIMIT_MAX = 40, ROUNDS = 400, ROUND_NS = 100000000 };

static model_group *own_of(sim_world *w, uint32_t topic)
{
    return &w->groups[MODEL_FREE_GROUPS + topic];
}

static bool queue_is(const sim_world *w, uint32_t topic)
{
    return world_is_queue(w, topic) && w->model.topics[topic].exists == TOPIC_YES;
}

/* ---- Made and deleted --------------------------------------------------------------------------- */

static void forget(model_group *group)
{
    group_model_forget(group);
    group->made++;
}

static void begin(model_group *group)
{
    group->named_again = group->made > 0;
    forget(group);
    group->exists = GROUP_CREATING;
    group->model = WEIR_MODEL_QUEUE;
    group->mode = WEIR_MODE_AT_LEAST_ONCE;
    group->mode_stamp++;
    group->modes_open = 0;
    group->resets = 0;
    group->client = group->keyed = group->single = group->from_end = group->lost = false;
    group->key = 0;
    group->was_reset = false;
    group->may_refuse = group->may_drop = false;
    group->limit = 0;
    group->limits_open = 0;
}

/* What it is for is told before anybody joins. */
void world_queue_created(sim_world *w, const sim_ask *ask)
{
    uint64_t token = 0;
    uint32_t index = MODEL_FREE_GROUPS + ask->topic;
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    if (!world_is_queue(w, ask->topic)) {
        w->groups[index].exists = GROUP_NO;
        return;
    }
    model_group *group = &w->groups[index];
    world_event(w, group->made > 0 ? SIM_EVENT_queue_made_again : SIM_EVENT_queue_made);
    begin(group);
    sim_ask *next = world_ask_group(w, ASK_QUEUE_SET, index, port, &token);
    weir_group_options change = {0};
    world_group_settings(w, group, &change);
    if (one_in(w, 2)) {
        world_dead_topic(w, port);
        change.dead_letter = WEIR_TEXT("dead");
    }
    group->strict = change.delivery_limit <= 0;
    if (next == NULL) {
        group->exists = GROUP_YES;
        group->strict = false;
    } else if (weir_port_group_alter(w->ports[port], name_of(group), &change, NULL, token) !=
               WEIR_OK) {
        world_ask_drop(w, next);
        group->exists = GROUP_YES;
        group->strict = false;
    }
}

void world_queue_set(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    if (group->life == ask->incarnation && group->exists == GROUP_CREATING) {
        group->strict &= done->err == WEIR_OK;
        group->exists = GROUP_YES;
    }
}

static bool owes(const sim_world *w, uint32_t topic)
{
    const model_topic *of = &w->model.topics[topic];
    const model_group *group = &w->groups[MODEL_FREE_GROUPS + topic];
    for (uint32_t p = 0; p < of->options.partitions; p++) {
        const group_log *log = &group->logs[topic][p];
        for (int64_t at = of->logs[p].start; at < of->logs[p].count; at++) {
            bool known = at < log->count && log->incarnation == of->incarnation;
            if (!known || !log->slots[at].settled) {
                return true;
            }
        }
    }
    return false;
}

void world_queue_deleted(sim_world *w, uint32_t topic)
{
    model_group *group = own_of(w, topic);
    if (world_is_queue(w, topic)) {
        world_event(w, SIM_EVENT_queue_deleted);
        w->events[SIM_EVENT_queue_deleted_owing] += owes(w, topic) ? 1 : 0;
        forget(group);
    }
    group->exists = GROUP_NO;
}

void world_queue_recovered(sim_world *w, uint32_t index, const weir_group_info *info)
{
    model_group *group = &w->groups[index];
    uint32_t topic = index - MODEL_FREE_GROUPS;
    if (queue_is(w, topic) != (info != NULL)) {
        model_fail(&w->model, "[G7] queue %s is %s, and its group is %s", group->name,
                   queue_is(w, topic) ? "there" : "gone", info != NULL ? "there" : "gone");
        return;
    }
    if (info == NULL) {
        if (group->exists != GROUP_NO) {
            forget(group);
        }
        return;
    }
    const weir_group_options *is = &info->options;
    if (group->exists == GROUP_CREATING) {
        begin(group);
        group->strict = is->delivery_limit < 0;
    }
    group->may_drop |= is->max_records > 0 && is->overflow != WEIR_OVERFLOW_REFUSE;
    group->may_refuse |= is->max_records > 0 && is->overflow == WEIR_OVERFLOW_REFUSE;
    group->limit = is->max_records > 0 ? is->max_records : 0;
    group->overflow = is->overflow;
}

/* ---- Limits ------------------------------------------------------------------------------------- */

/* The ask remembers what will be in force. */
void world_limits_choose(sim_world *w, model_group *group, sim_ask *ask,
                         weir_group_options *options)
{
    if (group->model != WEIR_MODEL_QUEUE || group->limits_open > 0 || one_in(w, 2)) {
        return;
    }
    bool none = one_in(w, 4);
    options->max_records = none ? -1 : 1 + (int64_t)below(w, LIMIT_MAX);
    options->overflow = group->own && one_in(w, 2) ? WEIR_OVERFLOW_REFUSE
                        : one_in(w, 2)             ? WEIR_OVERFLOW_DROP_OLDEST
                                                   : WEIR_OVERFLOW_DEAD_LETTER;
    if (options->overflow == WEIR_OVERFLOW_DEAD_LETTER) {
        world_dead_topic(w, ask->port);
        options->dead_letter = WEIR_TEXT("dead");
    }
    ask->end = none ? 0 : options->max_records;
    ask->next = options->overflow;
}

void world_limits_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    bool stored = weir_err_class_of(done->err) == WEIR_CLASS_STORAGE && done->err != WEIR_DISK_FULL;
    if (ask->next == 0 || group->life != ask->incarnation || stored) {
        return; /* nobody knows until the next start, if it failed */
    }
    group->limits_open -= group->limits_open > 0 ? 1 : 0;
    if (done->err == WEIR_OK) {
        group->limit = ask->end;
        group->limit_from = w->lists + 1;
        group->overflow = (weir_overflow)ask->next;
    }
}

static void refused_check(sim_world *w, uint32_t number)
{
    const model_send *send = &w->model.sends[number];
    world_event(w, SIM_EVENT_queue_refused);
    bool same = send->topic < MODEL_TOPICS && !send->loose &&
                send->incarnation == w->model.topics[send->topic].incarnation;
    if (same && !(world_is_queue(w, send->topic) && own_of(w, send->topic)->may_refuse)) {
        model_fail(&w->model, "[Q3] record %u for %s is refused, and nothing limits it", number,
                   w->model.topics[send->topic].name);
    }
}

void world_queue_refused(sim_world *w, uint32_t send)
{
    refused_check(w, send);
}

void world_queue_sent(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    const model_send *send = &w->model.sends[ask->send];
    if (done->err == WEIR_QUEUE_FULL) {
        refused_check(w, ask->send);
    } else if (done->err == WEIR_OK && world_is_queue(w, send->topic) && !send->loose) {
        world_event(w, send->batch_count > 0 ? SIM_EVENT_queue_batch : SIM_EVENT_queue_published);
    }
}

static bool list_now(sim_world *w)
{
    sim_ask *ask = world_group_list_ask(w, 0);
    return ask != NULL && world_wait(w, ask);
}

static bool any_over(const sim_world *w)
{
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        if (w->over[i] && w->groups[i].exists == GROUP_YES) {
            return true;
        }
    }
    return false;
}

bool world_queues_within(sim_world *w)
{
    for (int round = 0; round < ROUNDS && any_over(w); round++) {
        sim_disk_pass(w->disk, ROUND_NS);
        world_on(w);
        if (!world_up(w) || !list_now(w)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        if (w->groups[i].exists == GROUP_YES && w->over[i]) {
            model_fail(&w->model, "[Q5] group %s keeps more than its %" PRId64 " records",
                       w->groups[i].name, w->groups[i].limit);
        }
        bool kept = w->groups[i].exists == GROUP_YES && w->groups[i].limit > 0;
        w->events[SIM_EVENT_limit_kept] += kept ? 1 : 0;
    }
    return !w->model.failed;
}

/* ---- Their disk --------------------------------------------------------------------------------- */

void world_start_told(sim_world *w, uint32_t topic, uint32_t partition, int64_t start)
{
    int64_t from = w->model.topics[topic].logs[partition].start;
    w->events[SIM_EVENT_queue_start_moved] += start > from && world_is_queue(w, topic) ? 1 : 0;
    group_model_start_moved(w->groups, &w->model, topic, partition, from, start);
}

void world_queue_hole(sim_world *w, uint32_t topic, uint32_t partition, int64_t from, int64_t to)
{
    w->events[SIM_EVENT_queue_hole] +=
        group_model_hole(own_of(w, topic), &w->model, topic, partition, from, to);
}

static uint64_t path_hash(const char *path)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *at = path; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 1099511628211u;
    }
    return hash;
}

static bool segment_named(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".log") == 0;
}

static void segment_before(void *arg, const char *path, uint64_t bytes)
{
    sim_world *w = arg;
    (void)bytes;
    if (segment_named(path) && w->segments_before_count < SIM_SEGMENTS) {
        w->segments_before[w->segments_before_count++] = path_hash(path);
    }
}

void world_segments_remember(sim_world *w)
{
    w->segments_before_count = 0;
    sim_disk_each(w->disk, segment_before, w);
}

/* What a life before left above what it had flushed may stay until a start: core/engine/sweep.c [W2]. */
static bool was_before(const sim_world *w, const char *path)
{
    uint64_t hash = path_hash(path);
    for (uint32_t i = 0; i < w->segments_before_count; i++) {
        if (w->segments_before[i] == hash) {
            return true;
        }
    }
    return w->segments_before_count == SIM_SEGMENTS; /* nobody knows */
}

typedef struct segments {
    const sim_world *w;
    char folder[32];
    uint32_t count;
} segments;

static void segment_seen(void *arg, const char *path, uint64_t bytes)
{
    segments *of = arg;
    bool here = segment_named(path) && strncmp(path, of->folder, strlen(of->folder)) == 0;
    (void)bytes;
    of->count += here && !was_before(of->w, path) ? 1 : 0;
}

static bool freed(const sim_world *w, uint32_t topic)
{
    const model_topic *of = &w->model.topics[topic];
    segments left = {.w = w};
    bool all = true;
    for (uint32_t p = 0; p < of->options.partitions; p++) {
        all &= of->logs[p].start == of->logs[p].end;
    }
    (void)snprintf(left.folder, sizeof(left.folder), "data/log/%u/", of->id);
    sim_disk_each(w->disk, segment_seen, &left);
    return all && left.count == 0;
}

/* Queues of which nothing is owed begin where they end, and have no segments. */
bool world_queues_freed(sim_world *w)
{
    for (uint32_t topic = 0; topic < MODEL_TOPICS; topic++) {
        uint32_t index = MODEL_FREE_GROUPS + topic;
        bool done =
            !queue_is(w, topic) || w->groups[index].exists != GROUP_YES || w->pending[index] > 0;
        for (int round = 0; round < ROUNDS && !done; round++) {
            if (!world_up(w) || !world_offsets_ask(w, topic, false)) {
                return false;
            }
            done = freed(w, topic);
            w->events[SIM_EVENT_queue_freed] += done ? 1 : 0;
            sim_disk_pass(w->disk, done ? 0 : ROUND_NS);
            world_on(w);
        }
        if (!done && world_up(w) && weir_engine_health_of(w->engine) == WEIR_HEALTH_OK) {
            model_fail(
                &w->model,
                "[Q2] all of queue %s is settled, and it does not begin at its end, or keeps "
                "segments",
                w->model.topics[topic].name);
        }
    }
    return world_up(w);
}
