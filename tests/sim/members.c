/* tests/sim/members.c - members of groups in the workload: who joins, takes, answers, goes away.
 *
 *   member: NONE --join--> IN --take--> holds records --settle--> ... --leave, its port dies--> NONE
 *
 * Members are on ports of their own, which may close under them. They say nothing but by what they do,
 * so that pauses last longer than leases and sessions. What they hold they answer in any order, late,
 * or under a lease that never was. The end of a run has one member per group take and accept all there
 * is. */
#include "tests/sim/groups.h"

#include "core/base/assert.h"
#include "core/log/chunk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DRAIN_ROUNDS = 3000, WRONG = 1000000, DELAY_MS_MAX = 400 };

/* Nobody who said so long ago that it is there, or was asked back a partition, is out. */
static const uint64_t SESSION_LEAST_NS = 900u * 1000000u;
static const uint64_t REVOKE_LEAST_NS = 290u * 1000000000ull;

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

static uint8_t index_of(const sim_world *w, const sim_member *member)
{
    return (uint8_t)(member - w->members);
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

static void member_forget(sim_member *member)
{
    memset(member, 0, sizeof(*member));
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
    (void)snprintf(name, sizeof(name), "m%u", index_of(w, member));
    weir_join join = {.group = name_of(&w->groups[group]),
                      .name = weir_bytes_of(name),
                      .origin = WEIR_TEXT("local"),
                      .auto_revoke = plain || one_in(w, 3)};
    if (!plain && w->groups[group].model == WEIR_MODEL_STREAM && one_in(w, 3)) {
        (void)snprintf(name, sizeof(name), "i%u", (unsigned)below(w, 3));
        join.instance = weir_bytes_of(name);
    }
    member->quits = join.auto_revoke || join.instance.ptr != NULL;
    ask->reader = index_of(w, member);
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
    ask->reader = index_of(w, member);
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
            member_forget(&w->members[i]);
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
    ask->reader = index_of(w, member);
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

static bool item_same(const sim_world *w, const sim_item *item)
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
    if (!item_same(w, item) || group->client) {
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
    if (item_same(w, item) && (verb == WEIR_VERB_ACCEPT || verb == WEIR_VERB_REJECT)) {
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
    ask->reader = index_of(w, member);
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

static void settled(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    const sim_settle *with = &w->settles[ask - w->asks];
    model_group *group = &w->groups[ask->topic];
    if (done->err == WEIR_LEASE_LOST) {
        world_event(w, SIM_EVENT_late_answer_refused);
    }
    if ((done->err != WEIR_OK && done->err != WEIR_LEASE_LOST) ||
        !world_ask_group_current(w, ask)) {
        return;
    }
    if (with->over && !group->client && done->settled.records > 0) {
        const sim_item *item = &with->items[0];
        model_fail(&w->model,
                   "[G4] group %s: %" PRIu64 " records settle late: verb %d, topic %u/%u offset "
                   "%" PRId64 " under %" PRIu64,
                   group->name, done->settled.records, with->verb, item->topic, item->partition,
                   item->offset, item->stamp);
        return;
    }
    if (done->err != WEIR_OK) {
        return;
    }
    if (with->verb == WEIR_VERB_RELEASE) {
        world_event(w, SIM_EVENT_record_released);
        for (uint32_t i = 0; i < with->count && group->model == WEIR_MODEL_QUEUE; i++) {
            const sim_item *item = &with->items[i];
            if (item_same(w, item)) {
                group_model_released(group, &w->model, item->topic, item->partition, item->offset,
                                     item->stamp, item->epoch, with->failed, with->until_ns);
            }
        }
        return;
    }
    for (uint32_t i = 0; i < with->count && with->verb != WEIR_VERB_RENEW; i++) {
        const sim_item *item = &with->items[i];
        if (item_same(w, item)) {
            int64_t first = group->model == WEIR_MODEL_STREAM ? 0 : item->offset;
            group_model_settled(group, &w->model, item->topic, item->partition, first, item->offset,
                                item->stamp, done->settled.level);
            world_event(w, group->client ? SIM_EVENT_client_committed : SIM_EVENT_record_settled);
        }
    }
}

/* An answer says that it was one of the group when that was asked, or later. */
static void was_in(sim_member *member, const sim_ask *ask)
{
    uint64_t asked_ns = (uint64_t)ask->end;
    member->sure_ns = asked_ns > member->sure_ns ? asked_ns : member->sure_ns;
}

/* ---- What members are handed -------------------------------------------------------------------- */

static void hold(sim_world *w, sim_member *member, const sim_item *item)
{
    uint32_t at = member->held_count;
    if (at == SIM_HELD) { /* one of them is never answered */
        at = (uint32_t)(item->offset % SIM_HELD);
    } else {
        member->held_count++;
    }
    (void)w;
    member->held[at] = *item;
}

/* [G10] Two milliseconds are for what clocks round. */
static void in_time(sim_world *w, const model_group *group, const weir_record *record,
                    const model_send *send)
{
    int64_t due = send->at_ms > 0 ? send->at_ms : record->timestamp_ms + send->waits_ms;
    if (group->model != WEIR_MODEL_QUEUE || (send->at_ms == 0 && send->waits_ms == 0)) {
        return;
    }
    world_event(w, SIM_EVENT_record_waited);
    if (world_time_most_ms(w) + 2 < due) {
        model_fail(&w->model,
                   "[G10] group %s: offset %" PRId64 " is handed out at %" PRId64
                   ", and is to wait until %" PRId64,
                   group->name, record->offset, world_time_most_ms(w), due);
    }
}

static void back_in_time(sim_world *w, const model_group *group, const group_slot *slot,
                         const weir_handed *run, const weir_record *record)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    bool next = group->model == WEIR_MODEL_QUEUE && run->lease > slot->lease &&
                run->leased == slot->leased + 1;
    if (next && slot->until_ns > now + 2000000 && w->jumped_ns + 3600000000000u < slot->until_ns) {
        model_fail(&w->model,
                   "[G10] group %s: offset %" PRId64 " comes again %" PRIu64
                   " microseconds before its delay is over",
                   group->name, record->offset, (slot->until_ns - now) / 1000);
    }
}

/* [G12] Nobody who joined before it, and is in touch. */
static void alone(sim_world *w, const sim_member *member)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    for (uint32_t i = 0; i < SIM_MEMBERS && w->groups[member->group].single; i++) {
        const sim_member *other = &w->members[i];
        bool before = other->state == MEMBER_IN && !other->out && other->group == member->group &&
                      other->made == member->made && other->number < member->number;
        if (before && now - other->sure_ns < SESSION_LEAST_NS) {
            model_fail(&w->model,
                       "[G12] group %s: member %" PRIu64 " gets records, and %" PRIu64 " is active",
                       w->groups[member->group].name, member->number, other->number);
        }
    }
}

/* [G11] Where each record that is not settled must come some time. */
static void in_order(sim_world *w, model_group *group, uint32_t topic, const sim_item *item,
                     const model_send *send)
{
    const model_topic *of = &w->model.topics[topic];
    if (group->keyed && group->strict && send->key != 0 && !of->trims && !of->compacts &&
        !w->model.gaps) {
        world_event(w, SIM_EVENT_key_waited);
        group_model_key(group, &w->model, topic, item->partition, item->offset, send->key);
    }
}

static void handed(sim_world *w, const sim_ask *ask, const weir_taken *taken,
                   const weir_handed *run, uint32_t index)
{
    sim_member *member = &w->members[ask->reader];
    model_group *group = &w->groups[ask->topic];
    uint32_t topic = world_topic_of(w, run->chunk);
    weir_record record;
    bool dead = weir_bytes_equal(weir_chunk_topic(run->chunk), WEIR_TEXT("dead"));
    if (topic >= MODEL_TOPICS && !dead) {
        return;
    }
    topic = dead ? MODEL_TOPICS : topic;
    weir_chunk_record(run->chunk, run->first + index, &record);
    sim_item item = {.topic = (uint8_t)topic,
                     .partition = (uint8_t)weir_chunk_partition(run->chunk),
                     .incarnation = dead ? 0 : w->model.topics[topic].incarnation,
                     .offset = record.offset,
                     .stamp = group->model == WEIR_MODEL_QUEUE ? run->lease : taken->generation,
                     .epoch = taken->epoch};
    hold(w, member, &item);
    if (dead) {
        return;
    }
    uint32_t send = model_seen(&w->model, topic, item.partition, &record);
    if (!world_ask_group_current(w, ask) || send == MODEL_NONE) {
        return;
    }
    in_time(w, group, &record, &w->model.sends[send]);
    alone(w, member);
    bool once = ask->again && group->mode_stamp == (uint32_t)ask->offset;
    group_slot *slot = group_model_slot(group, &w->model, topic, item.partition, item.offset);
    w->events[SIM_EVENT_lease_ended] += slot->times > 0 && run->failed > slot->failed ? 1 : 0;
    back_in_time(w, group, slot, run, &record);
    group_model_handed(group, &w->model, topic, item.partition, item.offset, run, taken->epoch,
                       item.stamp, once);
    in_order(w, group, topic, &item, &w->model.sends[send]);
    world_event(w, once ? SIM_EVENT_record_taken_once : SIM_EVENT_record_taken);
}

static void taken(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_member *member = &w->members[ask->reader];
    member->takes = false;
    member->out |= done->err == WEIR_LEASE_LOST;
    if (done->err == WEIR_OFFSET_OUT_OF_RANGE) {
        w->groups[member->group].lost = true;
        world_event(w, SIM_EVENT_position_removed);
    }
    if (done->err != WEIR_OK) {
        return;
    }
    w->events[SIM_EVENT_member_came_back] += member->lapsed && done->taken.run_count > 0 ? 1 : 0;
    member->lapsed &= ask->end < (int64_t)member->lapsed_ns;
    was_in(member, ask);
    for (uint32_t i = 0; i < done->taken.run_count; i++) {
        const weir_handed *run = &done->taken.runs[i];
        world_say(w,
                  "    member %u: topic %u/%u from %" PRId64 " %u records under %" PRIu64
                  " generation %" PRIu64,
                  ask->reader, world_topic_of(w, run->chunk), weir_chunk_partition(run->chunk),
                  weir_chunk_offset_at(run->chunk, run->first), run->count, run->lease,
                  done->taken.generation);
        for (uint32_t r = 0; r < run->count && !w->model.failed; r++) {
            handed(w, ask, &done->taken, run, r);
        }
    }
}

/* [G3] What another was told to own, is in touch, and did not give up. */
static void sole_owner(sim_world *w, const sim_member *member, uint64_t generation, uint32_t topic,
                       uint32_t partition)
{
    uint64_t now = sim_disk_now_ns(w->disk);
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        const sim_member *other = &w->members[i];
        bool same = other != member && other->state == MEMBER_IN && !other->out && !other->quits &&
                    other->group == member->group && other->made == member->made;
        bool newer = other->has_in > generation; /* what `member` hears is old */
        bool has = same && !newer && (other->has[topic] >> partition & 1) != 0 &&
                   other->has_of[topic] == w->model.topics[topic].incarnation;
        bool late = now - other->sure_ns >= SESSION_LEAST_NS ||
                    (other->revoke != 0 && now - other->revoke_ns >= REVOKE_LEAST_NS);
        if (has && !late) {
            model_fail(&w->model,
                       "[G3] group %s: %s/%u goes to member %" PRIu64 ", and member %" PRIu64
                       " has it",
                       w->groups[member->group].name, w->model.topics[topic].name, partition,
                       member->number, other->number);
        }
    }
}

static void mark_owned(const sim_world *w, sim_member *member, const weir_owned *owned,
                       uint32_t count, bool asked)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t topic = model_topic_of(&w->model, owned[i].topic);
        if (topic != MODEL_NONE && owned[i].partition < MODEL_PARTITIONS &&
            w->model.topics[topic].exists == TOPIC_YES) {
            uint8_t bit = (uint8_t)(1u << owned[i].partition);
            if (!asked) {
                member->gave[topic] &= (uint8_t)~bit;
            } else if ((member->gave[topic] & bit) != 0) {
                continue; /* the engine has not heard that yet */
            }
            member->has[topic] |= bit;
            member->asked[topic] |= asked ? bit : 0;
            member->has_of[topic] = w->model.topics[topic].incarnation;
        }
    }
}

/* What it has now: what it is asked for, too. */
static void mark_assigned(const sim_world *w, sim_member *member, const weir_assigned *assigned)
{
    memset(member->has, 0, sizeof(member->has));
    memset(member->asked, 0, sizeof(member->asked));
    member->has_in = assigned->generation;
    if (!assigned->fenced) {
        mark_owned(w, member, assigned->owned, assigned->owned_count, false);
        mark_owned(w, member, assigned->revoked, assigned->revoked_count, true);
    }
    if (assigned->revoked_count > 0) {
        member->revoke_ns = member->revoke == 0 ? sim_disk_now_ns(w->disk) : member->revoke_ns;
        member->revoke = assigned->generation;
    }
}

void world_groups_hear(sim_world *w)
{
    for (uint32_t i = 0; i < SIM_MEMBER_PORTS; i++) {
        world_drain(w, MODEL_PORTS + i);
    }
}

/* One that leaves has been heard last when its handle comes again, as that of who joined behind it,
 * whatever is answered first. */
static sim_member *assigned_to(sim_world *w, const weir_member *handle)
{
    sim_member *leaving = NULL;
    for (uint32_t i = 0; i < SIM_MEMBERS; i++) {
        sim_member *member = &w->members[i];
        if (member->state == MEMBER_NONE || member->handle != handle) {
            continue;
        }
        if (member->state != MEMBER_LEAVING) {
            return member;
        }
        leaving = member;
    }
    return leaving;
}

void world_group_assigned(sim_world *w, const weir_assigned *assigned)
{
    sim_member *member = assigned_to(w, assigned->member);
    if (member == NULL) { /* an engine that has stopped answers a join by an error */
        if (weir_engine_health_of(w->engine) < WEIR_HEALTH_STOPPED) {
            model_fail(&w->model, "[G3] an assignment%s for nobody at health %d",
                       assigned->fenced ? " that fences" : "", weir_engine_health_of(w->engine));
        }
        return;
    }
    world_say(w, "    member %u: assigned in generation %" PRIu64 ": %u owned, %u asked back%s",
              index_of(w, member), assigned->generation, assigned->owned_count,
              assigned->revoked_count, assigned->fenced ? ", fenced" : "");
    world_event(w, assigned->fenced ? SIM_EVENT_member_fenced : SIM_EVENT_rebalanced);
    member->out |= assigned->fenced;
    mark_assigned(w, member, assigned);
    model_group *group = &w->groups[member->group];
    for (uint32_t i = 0; i < assigned->owned_count && group->made == member->made; i++) {
        const weir_owned *owned = &assigned->owned[i];
        uint32_t topic = model_topic_of(&w->model, owned->topic);
        if (topic != MODEL_NONE && owned->partition < MODEL_PARTITIONS && !assigned->fenced) {
            if (w->model.topics[topic].exists == TOPIC_YES && member->state == MEMBER_IN) {
                sole_owner(w, member, assigned->generation, topic, owned->partition);
            }
            group_model_owned(group, &w->model, topic, owned->partition, assigned->generation,
                              member->number);
        }
    }
}

/* ---- Answers ------------------------------------------------------------------------------------ */

void world_member_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    sim_member *member = &w->members[ask->reader];
    switch (ask->kind) {
    case ASK_JOIN:
        if (done->err == WEIR_OK) {
            member->state = MEMBER_IN;
            was_in(member, ask);
            member->handle = done->joined.member;
            member->number = done->joined.number;
            member->made = w->groups[member->group].made;
            world_event(w, SIM_EVENT_member_joined);
        } else {
            member_forget(member);
        }
        break;
    case ASK_LEAVE:
        member_forget(member);
        break;
    case ASK_TAKE:
        taken(w, ask, done);
        break;
    case ASK_SETTLE:
        if (done->err == WEIR_OK) {
            was_in(member, ask);
        }
        settled(w, ask, done);
        break;
    default:
        break;
    }
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
    for (int round = 0; round < DRAIN_ROUNDS && world_up(w) && owes(w); round++) {
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
