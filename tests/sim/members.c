/* tests/sim/members.c - members of groups in the workload: who joins, takes, answers, goes away.
 *
 *   member: NONE --join--> IN --take--> holds records --settle--> ... --leave, its port dies--> NONE
 *
 * Members are on ports of their own, which may close under them. They say nothing but by what they do,
 * so that pauses last longer than leases and sessions. What they hold they answer in any order, late,
 * or under a lease that never was. The end of a run has one member per group take and accept all there
 * is. What they are told is told.c's. */
#include "tests/sim/groups.h"

#include "core/base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DRAIN_ROUNDS = 3000, WRONG = 1000000, DELAY_MS_MAX = 400 };

static sim_member *any_member(sim_world *w, bool holds)
{
    uint32_t first = (uint32_t)below(w, SIM_MEMBERS);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        sim_member *member = &w->members[(first + i) % SIM_MEMBERS];
        if (member->state == MEMBER_IN && (!holds || member->held_count > 0)) {
            return member;
        }
    }
    return NULL;
}

/* ---- Members ------------------------------------------------------------------------------------ */

static sim_member *member_free(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        if (w->members[i].state == MEMBER_NONE) {
            return &w->members[i];
        }
    }
    return NULL;
}

static void join_group(sim_world *w, uint32_t group, bool plain)
{
    uint64_t token = 0;
    char name[8];
    sim_member *member = member_free(w);
    uint32_t port = MODEL_PORTS + (uint32_t)below(w, SIM_MEMBER_PORTS);
    sim_ask *ask = member == NULL ? NULL : world_ask_group(w, ASK_JOIN, group, port, &token);
    if (ask == NULL) {
        return;
    }
    (void)snprintf(name, sizeof(name), "m%u", member_index(w, member));
    weir_join join = {.group = name_of(&w->groups[group]),
                      .name = weir_bytes_of(name),
                      .origin = WEIR_TEXT("local"),
                      .auto_revoke = plain || one_in(w, 3)};
    if (!plain && w->groups[group].model == WEIR_MODEL_STREAM && one_in(w, 3)) {
        (void)snprintf(name, sizeof(name), "i%u", (unsigned)below(w, 3));
        join.instance = weir_bytes_of(name);
    }
    member->quits = join.auto_revoke || join.instance.ptr != NULL;
    ask->reader = member_index(w, member);
    if (weir_port_member_join(w->ports[port], &join, member, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    world_say(w, "    member %u of %s on port %u%s, ask %u", ask->reader, w->groups[group].name,
              port, join.instance.ptr != NULL ? " static" : "", (unsigned)token);
    ask->end = (int64_t)sim_disk_now_ns(w->disk);
    member->state = MEMBER_JOINING;
    member->heard_ns = sim_disk_now_ns(w->disk);
    member->port = (uint8_t)port;
    member->group = (uint8_t)group;
}

void world_group_join(sim_world *w)
{
    uint32_t group = world_any_group(w, GROUP_YES);
    if (group != MODEL_NONE) {
        join_group(w, group, false);
    } else {
        world_group_create(w);
    }
}

static void leave(sim_world *w, sim_member *member)
{
    uint64_t token = 0;
    sim_ask *ask = world_ask_group(w, ASK_LEAVE, member->group, member->port, &token);
    if (ask == NULL) {
        return;
    }
    ask->reader = member_index(w, member);
    if (weir_port_member_leave(w->ports[member->port], member->handle, one_in(w, 2), NULL, token) !=
        WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    member->state = MEMBER_LEAVING;
    world_say(w, "    member %u leaves, ask %u", ask->reader, (unsigned)token);
}

void world_group_leave(sim_world *w)
{
    sim_member *member = any_member(w, false);
    if (member != NULL) {
        leave(w, member);
    }
}

/* A port closes: what was asked there is not answered any more, and its members are gone. */
static void port_dies(sim_world *w, uint32_t port)
{
    for (uint32_t i = 0; i < SIM_ASKS; i++) {
        if (w->asks[i].kind != ASK_NONE && w->asks[i].port == port) {
            world_ask_drop(w, &w->asks[i]);
        }
    }
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        if (w->members[i].state != MEMBER_NONE && w->members[i].port == port) {
            memset(&w->members[i], 0, sizeof(w->members[i]));
            world_event(w, SIM_EVENT_member_died);
        }
    }
    weir_port_close(w->ports[port]);
    w->ports[port] = NULL;
    weir_err err = weir_port_open(w->engine, &w->ports[port]);
    WEIR_ASSERT(err == WEIR_OK);
}

void world_group_die(sim_world *w)
{
    port_dies(w, MODEL_PORTS + (uint32_t)below(w, SIM_MEMBER_PORTS));
}

/* It said something. Whether it is out for what it did not say before, an answer will tell. */
static void heard(const sim_world *w, sim_member *member)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    if (now - member->heard_ns >= SESSION_LEAST_NS) {
        member->lapsed = true;
        member->lapsed_ns = now;
    }
    member->heard_ns = now;
}

void world_group_beat(sim_world *w)
{
    sim_member *member = any_member(w, false);
    if (member != NULL) {
        (void)weir_port_member_beat(w->ports[member->port], member->handle);
        heard(w, member);
    }
}

/* It gives up what it is asked for. */
static void give_up(sim_world *w, sim_member *member)
{
    (void)weir_port_member_revoked(w->ports[member->port], member->handle, member->revoke);
    member->revoke = 0;
    for (uint32_t topic = 0; topic < MODEL_TOPICS; topic++) {
        member->has[topic] &= (uint8_t)~member->asked[topic];
        member->gave[topic] |= member->asked[topic];
        member->asked[topic] = 0;
    }
}

static void take(sim_world *w, sim_member *member, const weir_take *wanted)
{
    uint64_t token = 0;
    const model_group *group = &w->groups[member->group];
    if (member->revoke != 0 && (w->draining || !one_in(w, 4))) {
        give_up(w, member);
    }
    sim_ask *ask =
        member->takes ? NULL : world_ask_group(w, ASK_TAKE, member->group, member->port, &token);
    if (ask == NULL) {
        return;
    }
    ask->reader = member_index(w, member);
    ask->end = (int64_t)sim_disk_now_ns(w->disk);
    ask->again = group->mode == WEIR_MODE_AT_MOST_ONCE && group->modes_open == 0;
    ask->offset = group->mode_stamp;
    if (weir_port_take(w->ports[member->port], member->handle, wanted, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
        return;
    }
    member->takes = true;
    heard(w, member);
}

void world_group_take(sim_world *w)
{
    sim_member *member = any_member(w, false);
    weir_take wanted = {.records_max = 1 + (uint32_t)below(w, 12),
                        .bytes_max = 1u << below(w, 16),
                        .wait_ms = one_in(w, 2) ? (uint32_t)below(w, 400) : 0};
    if (member != NULL && member->out) {
        leave(w, member);
    } else if (member != NULL && member->takes && one_in(w, 8)) {
        (void)weir_port_take_cancel(w->ports[member->port], member->handle);
    } else if (member != NULL) {
        take(w, member, &wanted);
    } else {
        world_group_join(w);
    }
}

/* ---- Answers of members ------------------------------------------------------------------------- */

static void held_drop(sim_member *member, uint32_t index)
{
    member->held[index] = member->held[--member->held_count];
}

bool world_item_same(const sim_world *w, const sim_item *item)
{
    if (item->topic >= MODEL_TOPICS) {
        return false; /* a dead letter that is read by a group */
    }
    const model_topic *topic = &w->model.topics[item->topic];
    return topic->exists == TOPIC_YES && topic->incarnation == item->incarnation;
}

/* [G4] What is known to be over: settled before, or handed out again; a partition that another has. */
static bool item_over(sim_world *w, const sim_member *member, const sim_item *item)
{
    model_group *group = &w->groups[member->group];
    if (!world_item_same(w, item) || group->client) {
        return false;
    }
    if (group->model == WEIR_MODEL_STREAM) {
        const group_log *log = &group->logs[item->topic][item->partition];
        return log->incarnation == item->incarnation && log->owner != 0 &&
               log->owner != member->number && log->owned > item->stamp;
    }
    const group_slot *slot =
        group_model_slot(group, &w->model, item->topic, item->partition, item->offset);
    bool again = slot->lease > item->stamp && slot->epoch == item->epoch;
    return again || (slot->settled && slot->stamp == item->stamp && slot->epoch == item->epoch);
}

static weir_bytes topic_of(const sim_world *w, const sim_item *item)
{
    return item->topic < MODEL_TOPICS ? weir_bytes_of(w->model.topics[item->topic].name)
                                      : WEIR_TEXT("dead");
}

static void mark_answered(sim_world *w, const sim_member *member, const sim_item *item,
                          weir_verb verb)
{
    if (world_item_same(w, item) && (verb == WEIR_VERB_ACCEPT || verb == WEIR_VERB_REJECT)) {
        group_model_slot(&w->groups[member->group], &w->model, item->topic, item->partition,
                         item->offset)
            ->answered = true;
    }
}

/* `over`: nobody may settle it so. */
static void settle_items(sim_world *w, sim_member *member, const sim_settle *with, bool over)
{
    uint64_t token = 0;
    weir_settle_range ranges[SIM_ITEMS];
    sim_ask *ask = world_ask_group(w, ASK_SETTLE, member->group, member->port, &token);
    if (ask == NULL) {
        return;
    }
    sim_settle *kept = &w->settles[ask - w->asks];
    *kept = *with;
    kept->over = over || world_ask_group_current(w, ask);
    for (uint32_t i = 0; i < with->count; i++) {
        const sim_item *item = &with->items[i];
        kept->over &= over || item_over(w, member, item);
        mark_answered(w, member, item, with->verb);
        ranges[i] = (weir_settle_range){.topic = topic_of(w, item),
                                        .partition = item->partition,
                                        .first = item->offset,
                                        .last = item->offset,
                                        .lease = item->stamp};
    }
    weir_settle settle = {.verb = with->verb,
                          .ranges = ranges,
                          .range_count = with->count,
                          .epoch = with->items[0].epoch,
                          .generation = with->items[0].stamp,
                          .delay_ms = one_in(w, 3) ? (int64_t)below(w, DELAY_MS_MAX) : 0,
                          .failed = one_in(w, 3)};
    kept->failed = settle.failed;
    kept->until_ns = sim_disk_now_ns(w->disk) + (uint64_t)settle.delay_ms * 1000000;
    if (w->groups[member->group].model == WEIR_MODEL_STREAM) {
        settle.delay_ms = 0;
    }
    ask->end = (int64_t)sim_disk_now_ns(w->disk);
    ask->reader = member_index(w, member);
    weir_err err = weir_port_settle(w->ports[member->port], member->handle, &settle, NULL, token);
    world_say(w,
              "    member %u: verb %d of %u from topic %u/%u offset %" PRId64 " under %" PRIu64
              ": %s, ask %u%s",
              ask->reader, with->verb, with->count, with->items[0].topic, with->items[0].partition,
              with->items[0].offset, with->items[0].stamp, weir_err_name(err), (unsigned)token,
              kept->over ? ", over" : "");
    if (err != WEIR_OK) {
        world_ask_drop(w, ask);
    } else {
        heard(w, member);
    }
}

/* Of a stream most rejects are of what was committed past, and bury nothing: it has more of them. */
static weir_verb any_verb(sim_world *w, const sim_member *member)
{
    bool stream = member != NULL && w->groups[member->group].model == WEIR_MODEL_STREAM;
    uint64_t which = below(w, 20);
    return which < (stream ? 9 : 13)    ? WEIR_VERB_ACCEPT
           : which < (stream ? 11 : 16) ? WEIR_VERB_RELEASE
           : which < 18                 ? WEIR_VERB_REJECT
                                        : WEIR_VERB_RENEW;
}

void world_group_settle(sim_world *w)
{
    sim_member *member = any_member(w, true);
    sim_settle with = {.verb = any_verb(w, member)};
    if (member == NULL) {
        world_group_take(w);
        return;
    }
    bool stream = w->groups[member->group].model == WEIR_MODEL_STREAM;
    uint32_t most = stream ? 1 : 1 + (uint32_t)below(w, SIM_ITEMS);
    bool keeps = with.verb == WEIR_VERB_RENEW || one_in(w, 10); /* it answers again, too late */
    while (with.count < most && member->held_count > 0) {
        uint32_t at = (uint32_t)below(w, member->held_count);
        sim_item item = member->held[at];
        if (with.count > 0 && item.epoch != with.items[0].epoch) {
            break;
        }
        with.items[with.count++] = item;
        if (!keeps) {
            held_drop(member, at);
        }
    }
    settle_items(w, member, &with, false);
}

/* Under a lease that never was. */
void world_group_settle_wrong(sim_world *w)
{
    sim_member *member = any_member(w, true);
    sim_settle with = {.verb = any_verb(w, member), .count = 1};
    if (member == NULL) {
        return;
    }
    with.items[0] = member->held[below(w, member->held_count)];
    bool queue = w->groups[member->group].model == WEIR_MODEL_QUEUE;
    if (queue && one_in(w, 2)) {
        with.items[0].stamp += WRONG;
    } else if (queue) {
        with.items[0].epoch += WRONG;
    }
    settle_items(w, member, &with, queue);
}

/* ---- Crashes ------------------------------------------------------------------------------------ */

void world_groups_forget(sim_world *w)
{
    memset(w->members, 0, sizeof(w->members));
}

/* ---- The end ------------------------------------------------------------------------------------ */

static sim_member *member_of(sim_world *w, uint32_t group)
{
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        if (w->members[i].state != MEMBER_NONE && w->members[i].group == group) {
            return &w->members[i];
        }
    }
    return NULL;
}

static void accept_all(sim_world *w, sim_member *member)
{
    while (member->held_count > 0 && world_up(w)) {
        sim_settle with = {.verb = WEIR_VERB_ACCEPT, .count = 1, .items[0] = member->held[0]};
        held_drop(member, 0);
        settle_items(w, member, &with, false);
    }
}

static void drain_one(sim_world *w, uint32_t group)
{
    weir_take wanted = {.records_max = SIM_HELD, .bytes_max = 1 << 20};
    sim_member *member = member_of(w, group);
    bool lost = w->groups[group].lost;
    if (member == NULL && lost) {
        world_group_find_place(w, group);
    } else if (member == NULL) {
        join_group(w, group, true);
    } else if (member->state == MEMBER_IN && (member->out || lost)) {
        leave(w, member);
    } else if (member->state == MEMBER_IN && !member->takes) {
        accept_all(w, member);
        take(w, member, &wanted);
    }
}

static bool owes(const sim_world *w)
{
    bool any = false;
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        any |= w->groups[i].exists == GROUP_YES && w->pending[i] > 0;
    }
    return any;
}

static bool list_now(sim_world *w)
{
    sim_ask *ask = world_group_list_ask(w, 0);
    return ask != NULL && world_wait(w, ask);
}

/* A dead letter is a record of its topic once it is as safe as that promises: a moment after the record
 * that it was is settled. */
static bool letters_under_way(sim_world *w)
{
    (void)world_interval(w);
    return world_up(w) && list_now(w) && owes(w);
}

void world_groups_drain(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_MEMBER_PORTS; i++) {
        port_dies(w, MODEL_PORTS + i);
    }
    if (w->model.gaps || w->sync_lost || !list_now(w)) {
        return;
    }
    if (!world_queues_within(w)) {
        return;
    }
    w->draining = true;
    for (int round = 0; round < DRAIN_ROUNDS && world_up(w) && (owes(w) || letters_under_way(w));
         round++) {
        for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
            if (w->groups[i].exists == GROUP_YES && w->pending[i] > 0) {
                drain_one(w, i);
            }
        }
        world_on(w);
        if (round % 8 == 7 && !list_now(w)) {
            return;
        }
    }
    w->drained = true;
    if (world_up(w) && world_letters_check(w) && world_queues_freed(w)) {
        (void)list_now(w);
        (void)world_settle(w, 2000000000);
    }
}
