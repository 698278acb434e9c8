/* tests/sim/told.c - what members of groups are told: which records are handed to them, which partitions
 * they own, what became of what they asked. The model hears of all of it, and objects.
 *
 *   taken ------> records: held by the member, [G1] [G2] [G8] [G10] [G11] [G12]
 *   settled ----> the model's slots, [G4]
 *   assigned ---> partitions the member has, [G3]; fenced: it is out
 *
 * Answers may come late: what an ask was about, and when it was made, stands in the ask. */
#include "tests/sim/groups.h"

#include "core/log/chunk.h"

#include <inttypes.h>
#include <string.h>

/* Nobody is out who was asked back a partition less than this ago. */
static const uint64_t REVOKE_LEAST_NS = 290u * 1000000000ull;

/* An answer says that it was one of the group when that was asked, or later. */
static void was_in(sim_member *member, const sim_ask *ask)
{
    uint64_t asked_ns = (uint64_t)ask->end;
    member->sure_ns = asked_ns > member->sure_ns ? asked_ns : member->sure_ns;
}

/* ---- What was settled ---------------------------------------------------------------------------- */

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
            if (world_item_same(w, item)) {
                group_model_released(group, &w->model, item->topic, item->partition, item->offset,
                                     item->stamp, item->epoch, with->failed, with->until_ns);
            }
        }
        return;
    }
    for (uint32_t i = 0; i < with->count && with->verb != WEIR_VERB_RENEW; i++) {
        const sim_item *item = &with->items[i];
        if (world_item_same(w, item)) {
            int64_t first = group->model == WEIR_MODEL_STREAM ? 0 : item->offset;
            group_model_settled(group, &w->model, item->topic, item->partition, first, item->offset,
                                item->stamp, done->settled.level);
            world_event(w, group->client ? SIM_EVENT_client_committed : SIM_EVENT_record_settled);
        }
    }
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

/* ---- What members own ---------------------------------------------------------------------------- */

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

/* Also of a topic that is being made, or goes: what a member was asked back and gave up it does not
 * have any more, whatever is answered of the topic later on. */
static void mark_owned(const sim_world *w, sim_member *member, const weir_owned *owned,
                       uint32_t count, bool asked)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t topic = model_topic_of(&w->model, owned[i].topic);
        if (topic != MODEL_NONE && owned[i].partition < MODEL_PARTITIONS &&
            w->model.topics[topic].exists != TOPIC_NO) {
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
              member_index(w, member), assigned->generation, assigned->owned_count,
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
            memset(member, 0, sizeof(*member));
        }
        break;
    case ASK_LEAVE:
        memset(member, 0, sizeof(*member));
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
