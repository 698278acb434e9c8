/* tests/sim/groups.c - consumer groups in the workload: who makes them, changes them, looks at them.
 *
 *   group: NO --create--> YES --mode, alter, reset, list--> --delete--> NO
 *
 * What is asked while a group is made anew, or goes, is told apart by its life. Its members are those of
 * members.c. */
#include "tests/sim/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DELAY_MS_MAX = 400 };

static const char DEAD[] = "dead";

static uint32_t free_group(sim_world *w)
{
    uint32_t first = (uint32_t)below(w, MODEL_FREE_GROUPS);
    for (uint32_t i = 0; i < MODEL_FREE_GROUPS; i++) {
        uint32_t group = (first + i) % MODEL_FREE_GROUPS;
        if (w->groups[group].exists == GROUP_NO) {
            return group;
        }
    }
    return MODEL_NONE;
}

/* Now and then of kind queue, which another group may not read. */
static uint32_t topic_to_read(sim_world *w)
{
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    for (uint32_t i = 0; i < 4 && topic != MODEL_NONE && world_is_queue(w, topic); i++) {
        topic = world_any_topic(w, TOPIC_YES);
    }
    return topic;
}

sim_ask *world_ask_group(sim_world *w, ask_kind kind, uint32_t group, uint32_t port,
                         uint64_t *token)
{
    sim_ask *ask = world_ask(w, kind, port, token);
    if (ask != NULL) {
        ask->topic = (uint8_t)group;
        ask->incarnation = w->groups[group].life;
    }
    return ask;
}

bool world_ask_group_current(const sim_world *w, const sim_ask *ask)
{
    const model_group *group = &w->groups[ask->topic];
    return group->exists == GROUP_YES && group->resets == 0 && group->life == ask->incarnation;
}

uint32_t world_any_group(sim_world *w, group_exists exists)
{
    uint32_t first = (uint32_t)below(w, MODEL_GROUPS);
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        uint32_t group = (first + i) % MODEL_GROUPS;
        if (w->groups[group].exists == exists) {
            return group;
        }
    }
    return MODEL_NONE;
}

bool world_is_read(const sim_world *w, uint32_t topic)
{
    bool read = false;
    for (uint32_t i = 0; i < MODEL_FREE_GROUPS; i++) {
        const group_log *log = &w->groups[i].logs[topic][0];
        read |= w->groups[i].exists == GROUP_YES && log->reads &&
                log->incarnation == w->model.topics[topic].incarnation;
    }
    return read;
}

/* ---- Groups ------------------------------------------------------------------------------------- */

void world_group_settings(sim_world *w, const model_group *group, weir_group_options *options)
{
    options->session_ms = 1000 + (int64_t)below(w, one_in(w, 2) ? 2000 : 12000);
    if (group->model == WEIR_MODEL_QUEUE) {
        options->lease_ms = one_in(w, 5) ? -1 : 100 + (int64_t)below(w, 1500);
        options->delivery_limit = one_in(w, 2) ? -1 : 1 + (int64_t)below(w, 4);
        options->retry_delay_ms = one_in(w, 3) ? 1 + (int64_t)below(w, DELAY_MS_MAX) : 0;
    }
}

void world_dead_topic(sim_world *w, uint32_t port)
{
    uint64_t token = 0;
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_OS};
    sim_ask *ask = world_ask(w, ASK_GROUP_DEAD, port, &token);
    if (ask != NULL && weir_port_topic_create(w->ports[port], weir_bytes_of(DEAD), &options, NULL,
                                              token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

/* Over a topic, over all, or over a key of all. */
static void filter_choose(sim_world *w, model_group *group, uint32_t topic, char *out, size_t size)
{
    uint64_t how = below(w, 4);
    if (how == 0) {
        (void)snprintf(out, size, "#");
    } else if (how == 1) {
        group->key = (uint8_t)(2 + below(w, MODEL_KEYS - 2));
        weir_bytes key = model_key(group->key);
        (void)snprintf(out, size, "+/%.*s", (int)key.len, key.ptr);
    } else {
        (void)snprintf(out, size, "%s/#", w->model.topics[topic].name);
    }
}

/* What the group is for as long as it lives. */
static void kind_choose(sim_world *w, model_group *group, weir_group_options *options)
{
    if (options->model == WEIR_MODEL_QUEUE) {
        options->key_ordered = one_in(w, 4) ? 1 : 2;
        options->single_active = one_in(w, 5) ? 1 : 2;
    } else {
        options->mode = one_in(w, 6) ? WEIR_MODE_CLIENT_COMMIT : options->mode;
        options->removed = (weir_group_place)below(w, 4);
    }
    options->start = one_in(w, 5) ? WEIR_PLACE_END : WEIR_PLACE_DEFAULT;
    group->client = options->mode == WEIR_MODE_CLIENT_COMMIT;
    group->keyed = options->key_ordered == 1;
    group->single = options->single_active == 1;
    group->from_end = options->start == WEIR_PLACE_END;
    group->lost = false;
}

void world_group_create(sim_world *w)
{
    world_group_make(w, one_in(w, 2) ? WEIR_MODEL_QUEUE : WEIR_MODEL_STREAM);
}

void world_group_make(sim_world *w, weir_model model)
{
    uint64_t token = 0;
    char filter[16] = "";
    uint32_t index = free_group(w);
    uint32_t topic = topic_to_read(w);
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    sim_ask *ask = index == MODEL_NONE || topic == MODEL_NONE
                       ? NULL
                       : world_ask_group(w, ASK_GROUP_CREATE, index, port, &token);
    if (ask == NULL) {
        return;
    }
    model_group *group = &w->groups[index];
    uint32_t other = topic_to_read(w);
    weir_bytes topics[] = {weir_bytes_of(w->model.topics[topic].name),
                           weir_bytes_of(w->model.topics[other].name)};
    weir_group_options options = {.mode = one_in(w, 3) ? WEIR_MODE_AT_MOST_ONCE
                                                       : WEIR_MODE_AT_LEAST_ONCE,
                                  .model = model,
                                  .expiry_ms = -1};
    group->model = options.model;
    group->was_reset = false;
    group->named_again = group->made > 0 && one_in(w, 2);
    if (!group->named_again) {
        (void)snprintf(group->name, sizeof(group->name), "g%u.%u", index, group->names++);
    }
    world_group_settings(w, group, &options);
    group->may_drop = false;
    group->limit = 0;
    group->key = 0;
    if (one_in(w, 3)) {
        filter_choose(w, group, topic, filter, sizeof(filter));
        options.filter = weir_bytes_of(filter);
    } else {
        options.topics = topics;
        options.topic_count = topic != other ? 2 : 1;
    }
    kind_choose(w, group, &options);
    bool letters = one_in(w, 2); /* of "#" and "+/KEY" they would come back to the group itself */
    if (letters && (options.topic_count > 0 || (filter[0] != '#' && filter[0] != '+'))) {
        world_dead_topic(w, port);
        options.dead_letter = weir_bytes_of(DEAD);
    }
    group->strict = options.mode == WEIR_MODE_AT_LEAST_ONCE && options.delivery_limit <= 0;
    group->mode = options.mode;
    weir_err err = weir_port_group_create(w->ports[port], name_of(group), &options, NULL, token);
    world_say(w, "    group %s model %d mode %d%s%s topic %u and %u, or %s: %s, ask %u",
              group->name, options.model, options.mode, group->keyed ? " ordered" : "",
              group->single ? " single" : "", topic, other,
              options.topic_count > 0 ? "none" : filter, weir_err_name(err), (unsigned)token);
    if (err == WEIR_OK) {
        group->exists = GROUP_CREATING;
    } else {
        world_ask_drop(w, ask);
    }
}

void world_group_delete(sim_world *w)
{
    uint64_t token = 0;
    uint32_t index = world_any_group(w, GROUP_YES);
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    sim_ask *ask =
        index == MODEL_NONE ? NULL : world_ask_group(w, ASK_GROUP_DELETE, index, port, &token);
    if (ask == NULL) {
        return;
    }
    model_group *group = &w->groups[index];
    if (weir_port_group_delete(w->ports[port], name_of(group), one_in(w, 2), NULL, token) !=
        WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    /* That of a queue topic is there as long as the topic. */
    group->exists = group->own ? GROUP_YES : GROUP_DELETING;
}

static void group_reset(sim_world *w, uint32_t index, weir_reset_kind kind, int64_t value)
{
    uint64_t token = 0;
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    sim_ask *ask =
        index == MODEL_NONE ? NULL : world_ask_group(w, ASK_GROUP_RESET, index, port, &token);
    if (ask == NULL) {
        return;
    }
    model_group *group = &w->groups[index];
    weir_reset reset = {.group = name_of(group), .partition = -1, .kind = kind, .value = value};
    if (weir_port_group_reset(w->ports[port], &reset, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    group->resets++;
    group->was_reset = true;
    group->strict = false; /* what it passes over nobody is handed */
}

void world_group_reset(sim_world *w)
{
    uint32_t index = world_any_group(w, GROUP_YES);
    if (one_in(w, 3)) {
        group_reset(w, index, WEIR_RESET_SHIFT, (int64_t)below(w, 40) - 20);
    } else {
        group_reset(w, index, one_in(w, 2) ? WEIR_RESET_BEGINNING : WEIR_RESET_END, 0);
    }
}

void world_group_find_place(sim_world *w, uint32_t index)
{
    w->groups[index].lost = false;
    group_reset(w, index, WEIR_RESET_BEGINNING, 0);
}

void world_group_mode(sim_world *w)
{
    uint64_t token = 0;
    uint32_t index = world_any_group(w, GROUP_YES);
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    /* Of two that are under way nobody could say which is in force. */
    bool one = index != MODEL_NONE && w->groups[index].modes_open == 0;
    sim_ask *ask = one ? world_ask_group(w, ASK_GROUP_MODE, index, port, &token) : NULL;
    if (ask == NULL) {
        return;
    }
    model_group *group = &w->groups[index];
    weir_group_options change = {.mode = one_in(w, 3) ? WEIR_MODE_AT_MOST_ONCE
                                                      : WEIR_MODE_AT_LEAST_ONCE};
    if (group->model == WEIR_MODEL_STREAM && one_in(w, 6)) {
        change.mode = WEIR_MODE_CLIENT_COMMIT;
        group->client = true;
        group->strict = false;
    }
    ask->offset = change.mode;
    if (weir_port_group_alter(w->ports[port], name_of(group), &change, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    group->strict &= change.mode != WEIR_MODE_AT_MOST_ONCE;
    group->mode_stamp++;
    group->modes_open++;
}

void world_group_alter(sim_world *w)
{
    uint64_t token = 0;
    uint32_t index = world_any_group(w, GROUP_YES);
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    sim_ask *ask =
        index == MODEL_NONE ? NULL : world_ask_group(w, ASK_GROUP_ALTER, index, port, &token);
    if (ask == NULL) {
        return;
    }
    model_group *group = &w->groups[index];
    weir_group_options change = {0};
    world_group_settings(w, group, &change);
    world_limits_choose(w, group, ask, &change);
    if (weir_port_group_alter(w->ports[port], name_of(group), &change, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    group->strict &= change.delivery_limit <= 0;
    if (change.overflow != WEIR_OVERFLOW_DEFAULT) {
        group->limits_open++;
        group->limit_met = false;
        group->may_refuse |= change.overflow == WEIR_OVERFLOW_REFUSE;
        group->may_drop |= change.overflow != WEIR_OVERFLOW_REFUSE;
        group->strict &= !group->may_drop;
    }
}

static bool groups_change(const sim_world *w)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        if (w->asks[i].kind == ASK_GROUP_CREATE || w->asks[i].kind == ASK_GROUP_DELETE) {
            return true;
        }
    }
    return false;
}

static int64_t lives(const sim_world *w)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        sum += w->groups[i].life;
    }
    return sum;
}

sim_ask *world_group_list_ask(sim_world *w, uint32_t port)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask(w, ASK_GROUP_LIST, port, &token);
    if (ask != NULL) {
        ask->stale = groups_change(w);
        ask->send = ++w->lists;
        ask->end = lives(w);
    }
    if (ask != NULL && weir_port_groups(w->ports[port], WEIR_BYTES_NULL, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return NULL;
    }
    return ask;
}

void world_group_list(sim_world *w)
{
    (void)world_group_list_ask(w, (uint32_t)below(w, MODEL_PORTS));
}

/* ---- Answers ------------------------------------------------------------------------------------ */

static bool did_not_happen(weir_err err)
{
    return weir_err_class_of(err) != WEIR_CLASS_STORAGE || err == WEIR_DISK_FULL;
}

static void created(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    if (done->err == WEIR_OK) {
        group_model_forget(group);
        group->made++;
        group->exists = GROUP_YES;
        world_event(w, SIM_EVENT_group_created);
    } else if (did_not_happen(done->err)) {
        group->exists = GROUP_NO;
    }
}

static void deleted(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    if (group->own) {
        if (done->err == WEIR_OK) {
            model_fail(&w->model, "[G7] the group of queue %s is deleted", group->name);
        }
    } else if (done->err == WEIR_OK) {
        group_model_forget(group);
        group->made++;
        group->exists = GROUP_NO;
        world_event(w, SIM_EVENT_group_deleted);
    } else if (done->err == WEIR_NOT_FOUND) {
        model_fail(&w->model, "[G7] group %s is to be deleted and not there", group->name);
    } else if (did_not_happen(done->err)) {
        group->exists = GROUP_YES;
        group->strict = false; /* what was handed over meanwhile was not counted */
    }
}

static void reset_done(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    group->resets -= group->resets > 0 ? 1 : 0;
    group_model_forget(group);
    group->limit_met = false;
    group->limit_from = w->lists + 1;
    w->events[SIM_EVENT_group_reset] += done->err == WEIR_OK ? 1 : 0;
}

static void mode_done(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_group *group = &w->groups[ask->topic];
    group->modes_open -= group->modes_open > 0 ? 1 : 0;
    group->mode_stamp++;
    if (done->err == WEIR_OK) {
        group->mode = (weir_mode)ask->offset;
        world_event(w, SIM_EVENT_mode_changed);
    } else if (!did_not_happen(done->err)) {
        group->modes_open++; /* nobody knows until the next start */
    }
}

static const weir_group_info *info_of(const weir_groups *groups, const model_group *group)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        if (weir_bytes_equal(groups->groups[i].name, name_of(group))) {
            return &groups->groups[i];
        }
    }
    return NULL;
}

/* [G13] */
static void commits_check(sim_world *w, const model_group *group, const weir_group_info *info)
{
    for (uint32_t i = 0; i < info->partition_count && group->model == WEIR_MODEL_STREAM; i++) {
        const weir_group_partition *part = &info->partitions[i];
        uint32_t topic = model_topic_of(&w->model, part->topic);
        bool known = topic != MODEL_NONE && part->partition < MODEL_PARTITIONS &&
                     w->model.topics[topic].exists == TOPIC_YES;
        const group_log *log = known ? &group->logs[topic][part->partition] : NULL;
        bool same = known && log->incarnation == w->model.topics[topic].incarnation;
        if (same && group_model_committed(log) > part->committed) {
            model_fail(&w->model,
                       "[G13] group %s: %s/%u is committed up to %" PRId64 ", and was up to "
                       "%" PRId64,
                       group->name, w->model.topics[topic].name, part->partition, part->committed,
                       group_model_committed(log));
        }
    }
}

/* Of what no member holds. */
static bool over_limit(const model_group *group, const weir_group_info *info)
{
    uint64_t leased = 0;
    for (uint32_t i = 0; i < info->partition_count; i++) {
        leased += info->partitions[i].leased;
    }
    uint64_t least = leased > (uint64_t)group->limit ? leased : (uint64_t)group->limit;
    return group->overflow != WEIR_OVERFLOW_REFUSE && info->fates[WEIR_FATE_PENDING] > least;
}

static void listed_one(sim_world *w, uint32_t index, const weir_group_info *info,
                       const sim_ask *ask)
{
    model_group *group = &w->groups[index];
    bool settle = ask->settle;
    bool wrong = group->exists == GROUP_YES  ? info == NULL
                 : group->exists == GROUP_NO ? info != NULL
                                             : false;
    if (wrong) {
        model_fail(&w->model, "[G7] group %s is %s", group->name,
                   info == NULL ? "gone" : "there, and was deleted or never created");
    }
    if (info == NULL || w->model.failed) {
        if (settle && group->own) {
            world_queue_recovered(w, index, NULL);
        } else if (settle) {
            group_model_forget(group); /* the next of its name is another */
        }
        group->exists = settle ? GROUP_NO : group->exists;
        w->pending[index] = 0;
        return;
    }
    if (settle && group->own) {
        world_queue_recovered(w, index, info);
    }
    if (settle) {
        group->strict &= group->exists != GROUP_DELETING;
        group->exists = GROUP_YES;
        group->mode = info->options.mode;
        group->model = info->options.model;
    }
    if (group->exists == GROUP_YES) {
        group_model_told(group, &w->model, info);
        group_model_limits(group, &w->model, info, ask->send, w->lists);
        w->events[SIM_EVENT_overflow_dropped] +=
            group->may_drop && info->fates[WEIR_FATE_DROPPED] > 0 ? 1 : 0;
        w->over[index] = group->limit > 0 && group->limits_open == 0 && over_limit(group, info);
        w->events[SIM_EVENT_record_expired] += info->fates[WEIR_FATE_EXPIRED] > 0 ? 1 : 0;
        w->events[SIM_EVENT_record_superseded] += info->fates[WEIR_FATE_SUPERSEDED] > 0 ? 1 : 0;
    }
    if (group->exists == GROUP_YES && settle && group->resets == 0) {
        commits_check(w, group, info);
    }
    w->pending[index] = 0;
    for (uint32_t i = 0; i < info->partition_count; i++) {
        w->pending[index] += group_model_owed(group, &w->model, &info->partitions[i]);
    }
    w->letter_fates[index] = info->fates[WEIR_FATE_DEAD_LETTERED];
    if (w->drained && group->exists == GROUP_YES) {
        group_model_drained(group, &w->model, info);
        world_event(w, SIM_EVENT_group_drained);
    }
}

static void listed(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    bool stale = ask->stale || groups_change(w) || lives(w) != ask->end;
    if (done->err != WEIR_OK || (stale && !ask->settle)) {
        return;
    }
    if (ask->settle) {
        world_fates_check(w, w->fates, &done->groups);
    }
    for (uint32_t i = 0; i < MODEL_GROUPS && !w->model.failed; i++) {
        listed_one(w, i, info_of(&done->groups, &w->groups[i]), ask);
    }
}

void world_group_answered(sim_world *w, sim_ask *ask, const weir_completion *done)
{
    switch (ask->kind) {
    case ASK_GROUP_CREATE:
        created(w, ask, done);
        break;
    case ASK_GROUP_DELETE:
        deleted(w, ask, done);
        break;
    case ASK_GROUP_RESET:
        reset_done(w, ask, done);
        break;
    case ASK_GROUP_MODE:
        mode_done(w, ask, done);
        break;
    case ASK_GROUP_ALTER:
        w->events[SIM_EVENT_group_altered] += done->err == WEIR_OK ? 1 : 0;
        world_limits_answered(w, ask, done);
        break;
    case ASK_QUEUE_SET:
        world_queue_set(w, ask, done);
        break;
    case ASK_GROUP_LIST:
        listed(w, ask, done);
        break;
    case ASK_LETTERS:
        world_letters_fetched(w, done);
        break;
    default:
        world_member_answered(w, ask, done);
        break;
    }
}

/* ---- Crashes ------------------------------------------------------------------------------------ */

bool world_groups_recovered(sim_world *w)
{
    world_fates_now(w, w->fates);
    sim_ask *ask = world_group_list_ask(w, 0);
    if (ask == NULL) {
        return false;
    }
    ask->settle = true;
    return world_wait(w, ask) && world_letters_check(w);
}
