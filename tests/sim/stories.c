/* tests/sim/stories.c - what is told of one record (`why`) and of all (the metrics of fates), against what
 * groups say and members were answered.
 *
 *   WHY: who settled it, as the model knows --asked--> lines of `__fates`, how it stands --> compared
 *   start: metrics, list of all groups, metrics --> sums in between
 *
 * A group that was reset counts anew what comes again, one of a name that was there before finds lines of
 * the other, and clients that commit what they like may go back: of these nothing is compared. The rules
 * [G14] and [G15] stand in docs/testing.md. */
#include "tests/sim/groups.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

static const model_group *told_of(const sim_world *w, weir_bytes name, uint32_t *index)
{
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        const model_group *group = &w->groups[i];
        bool compared = group->exists == GROUP_YES && !group->named_again && !group->was_reset &&
                        !group->client;
        if (compared && weir_bytes_equal(name, name_of(group))) {
            *index = i;
            return group;
        }
    }
    return NULL;
}

/* A bit of each group of which a member was told that the record is settled. */
static uint32_t settled_in(const sim_world *w, uint32_t topic, uint32_t partition, int64_t offset)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        const group_log *log = &w->groups[i].logs[topic][partition];
        bool known = log->incarnation == w->model.topics[topic].incarnation && offset < log->count;
        bits |= known && log->slots[offset].settled ? 1u << i : 0;
    }
    return bits;
}

static int64_t lives(const sim_world *w)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
        sum += w->groups[i].life;
    }
    return sum;
}

void world_why(sim_world *w)
{
    uint64_t token = 0;
    uint32_t topic = world_any_topic(w, TOPIC_YES);
    uint32_t port = (uint32_t)below(w, MODEL_PORTS);
    if (topic == MODEL_NONE) {
        return;
    }
    const model_topic *of = &w->model.topics[topic];
    uint32_t partition = (uint32_t)below(w, of->options.partitions);
    int64_t count = of->logs[partition].count;
    sim_ask *ask = count > 0 ? world_ask(w, ASK_WHY, port, &token) : NULL;
    if (ask == NULL) {
        return;
    }
    ask->topic = (uint8_t)topic;
    ask->partition = (uint8_t)partition;
    ask->incarnation = of->incarnation;
    ask->offset = (int64_t)below(w, (uint64_t)count);
    ask->send = settled_in(w, topic, partition, ask->offset);
    ask->end = lives(w);
    if (weir_port_why(w->ports[port], weir_bytes_of(of->name), partition, ask->offset,
                      WEIR_BYTES_NULL, NULL, token) != WEIR_OK) {
        world_ask_drop(w, ask);
    }
}

static uint32_t ends_of(const weir_why *why, weir_bytes group)
{
    uint32_t ends = 0;
    for (uint32_t i = 0; i < why->count; i++) {
        const weir_fate_line *line = &why->lines[i];
        ends += line->fate != WEIR_FATE_PENDING && weir_bytes_equal(line->group, group) ? 1 : 0;
    }
    return ends;
}

/* [G14] */
static void standing_check(sim_world *w, const sim_ask *ask, const weir_why *why,
                           const weir_standing *standing)
{
    uint32_t index = 0;
    const model_group *group = told_of(w, standing->group, &index);
    bool passed =
        standing->kind == WEIR_STANDING_BEFORE || standing->kind == WEIR_STANDING_UNMATCHED;
    /* Of one that is gone nobody knows whether a filter matched it. */
    if (group == NULL || passed || (group->key != 0 && !why->record.there)) {
        return;
    }
    bool settled = standing->kind == WEIR_STANDING_SETTLED;
    uint32_t ends = ends_of(why, standing->group);
    bool answered = (ask->send & (1u << index)) != 0 && ask->end == lives(w);
    /* What compaction or a trim took from before a stream will have its line in a moment. */
    bool taken = w->model.topics[ask->topic].compacts || !why->record.there;
    bool ahead = settled && ends == 0 && group->model == WEIR_MODEL_STREAM && taken;
    /* A rejected record's letter is written behind the answer. */
    bool moves = standing->kind == WEIR_STANDING_MOVING;
    if (!ahead && (ends != (settled ? 1 : 0) || (answered && !settled && !moves))) {
        model_fail(&w->model,
                   "[G14] group %s: %s/%u offset %" PRId64 " is %s, has %u lines with a fate of %u "
                   "in all, and was %s before",
                   group->name, w->model.topics[ask->topic].name, ask->partition, ask->offset,
                   weir_standing_name(standing->kind), ends, why->count,
                   answered ? "settled" : "open");
    }
    world_event(w, settled ? SIM_EVENT_story_ended : SIM_EVENT_story_open);
}

void world_why_answered(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    const model_topic *of = &w->model.topics[ask->topic];
    bool same = of->exists == TOPIC_YES && of->incarnation == ask->incarnation;
    bool whole = done->err == WEIR_OK && !done->why.damaged && done->why.from_ms == 0 &&
                 done->why.left_out == 0;
    if (!same || !whole || w->model.gaps) {
        return;
    }
    for (uint32_t i = 0; i < done->why.standing_count && !w->model.failed; i++) {
        standing_check(w, ask, &done->why, &done->why.standings[i]);
    }
}

/* ---- Sums --------------------------------------------------------------------------------------- */

void world_fates_now(const sim_world *w, uint64_t fates[WEIR_FATE_COUNT])
{
    weir_stats stats;
    weir_engine_stats(w->engine, &stats);
    memset(fates, 0, WEIR_FATE_COUNT * sizeof(*fates));
    memcpy(fates + WEIR_FATE_ACCEPTED,
           (const uint8_t *)&stats + offsetof(weir_stats, fate_accepted),
           (WEIR_FATE_COUNT - WEIR_FATE_ACCEPTED) * sizeof(*fates));
}

/* [G15] Right behind a start: nobody deleted a group in between. */
void world_fates_check(sim_world *w, const uint64_t least[WEIR_FATE_COUNT],
                       const weir_groups *groups)
{
    uint64_t most[WEIR_FATE_COUNT];
    world_fates_now(w, most);
    for (int fate = WEIR_FATE_ACCEPTED; fate < WEIR_FATE_COUNT; fate++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < groups->count; i++) {
            sum += groups->groups[i].fates[fate];
        }
        if (sum > most[fate]) { /* the metrics keep what deleted groups counted */
            model_fail(&w->model,
                       "[G15] groups tell of %" PRIu64 " records that are %s, the metrics of "
                       "%" PRIu64 ", of %" PRIu64 " before",
                       sum, weir_fate_name((weir_fate)fate), most[fate], least[fate]);
        }
        w->events[SIM_EVENT_fates_summed] += sum > 0 ? 1 : 0;
    }
}
