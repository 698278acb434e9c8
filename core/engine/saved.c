/* core/engine/saved.c - which objects the next checkpoint writes, and in which slices.
 *
 *   changed --begin--> passing --slice, slice, ...--> passed --end--> clean
 *      ^                 ^ of a base: clean as well                     |
 *      +-------- an object that changes goes back ----------------------+
 *
 * A pass is made of slices of bounded time and bytes, with turns of the engine in between. An object
 * is written as it is when its turn comes, and says after which unit that is; replay skips for it
 * what is at or below. What changes behind it goes with the next pass. So a chain of passes holds,
 * for every object, all that units up to the newest pass's begin did to it, and replay begins behind
 * that unit. Nothing is walked that has not changed, and nothing is copied but into the slice.
 *
 * An object that is no more leaves a node with its identity, which a pass writes so that the chain
 * forgets it, too. A topic's is the topic itself, in the list of graves: replay passes through its
 * last units and needs its name.
 *
 * The order within a pass: what is no more, topics, partitions, groups and their parts, the rest. So a name that was freed
 * is free before it is taken again, and a topic is there before its partitions.
 *
 * [V1] An object that is in `passing` is written by this pass, as it is then; an object that joins
 *      or changes behind its writing is in `changed`.
 * [V2] A partition's object has every record up to its unit: in segments that are synced, or with
 *      it. One with too many outside segments stays in `changed`, and replay begins where they do.
 * [V3] After a pass that failed the next one writes everything.
 * [V4] What a checkpoint once carried is carried by the next ones until a segment has it: the journal
 *      may have let go of the units that it came with.
 * [V5] A topic that is deleted while a pass goes on is written by it (again), as one that is gone: the
 *      pass writes no more of its partitions, and replay must not look for them. */
#include "core/engine/saved.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLOCK_EVERY = 16,           /* objects between two looks at the clock */
    BASE_BYTES_LEAST = 1 << 20, /* below it, or below this part of the journal between two, */
    BASE_SHARE = 4,             /* a delta is not worth its while */
    DELTAS_MAX = 8,             /* of one base: the journal is kept for all of them */
    CHANGED_PART = 3,           /* when one of so many objects has changed, a few deltas */
    /* would be as much as a base, which lets go of the journal sooner */
};

typedef struct gone {
    weir_saved saved;
    weir_snapshot_kind kind;
    uint32_t identity_bytes;
    uint8_t identity[];
} gone;

static const weir_snapshot_kind ORDER[] = {
    WEIR_SNAPSHOT_GONE,     WEIR_SNAPSHOT_TOPIC,      WEIR_SNAPSHOT_PARTITION,
    WEIR_SNAPSHOT_GROUP,    WEIR_SNAPSHOT_GROUP_PART, WEIR_SNAPSHOT_SETTLEMENT,
    WEIR_SNAPSHOT_RETAINED, WEIR_SNAPSHOT_PRODUCER,   WEIR_SNAPSHOT_PUBLISHING,
};
enum { ORDER_COUNT = sizeof(ORDER) / sizeof(ORDER[0]) };

/* ---- Lists
 * ------------------------------------------------------------------------------------------------
 */

/* All of `from` to the front of `to`, in their order. */
static void splice(weir_link *to, weir_link *from)
{
    if (!weir_link_empty(from)) {
        from->previous->next = to->next;
        to->next->previous = from->previous;
        from->next->previous = to;
        to->next = from->next;
        weir_link_init(from);
    }
}

static void move(weir_link *to, weir_saved *saved)
{
    weir_link_remove(&saved->link);
    weir_link_append(to, &saved->link);
}

void weir_saved_init(weir_engine *engine)
{
    for (int kind = 0; kind < WEIR_SNAPSHOT_KINDS; kind++) {
        weir_saved_lists *lists = &engine->saving.lists[kind];
        weir_link_init(&lists->clean);
        weir_link_init(&lists->changed);
        weir_link_init(&lists->passing);
        weir_link_init(&lists->passed);
    }
    engine->saving.pass = 1;
    engine->saving.base_wanted = true;
}

static void gone_free(weir_link *list)
{
    while (!weir_link_empty(list)) {
        gone *node = WEIR_OWNER_OF(list->next, gone, saved.link);
        weir_link_remove(&node->saved.link);
        free(node);
    }
}

void weir_saved_fini(weir_engine *engine)
{
    weir_saved_lists *lists = &engine->saving.lists[WEIR_SNAPSHOT_GONE];
    if (lists->clean.next != NULL) {
        gone_free(&lists->clean);
        gone_free(&lists->changed);
        gone_free(&lists->passing);
        gone_free(&lists->passed);
    }
}

/* ---- Changes
 * ------------------------------------------------------------------------------------------------
 */

void weir_saved_changed(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved)
{
    const weir_saving *saving = &engine->saving;
    if (saved->changed) {
        return;
    }
    if (weir_link_in(&saved->link) && saving->running && saving->base &&
        saved->pass != saving->pass) {
        return; /* [V1] its turn in this pass is still to come */
    }
    saved->changed = true;
    engine->saving.changed++;
    move(&engine->saving.lists[kind].changed, saved);
}

void weir_saved_again(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved)
{
    weir_saved_lists *lists = &engine->saving.lists[kind];
    engine->saving.changed += engine->saving.running ? 0 : 1;
    saved->changed = true;
    move(engine->saving.running ? &lists->passing : &lists->changed, saved);
}

void weir_saved_loaded(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved)
{
    saved->changed = false;
    saved->pass = engine->saving.pass;
    move(&engine->saving.lists[kind].clean, saved);
}

void weir_saved_gone(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved,
                     weir_bytes identity)
{
    weir_link_remove(&saved->link);
    if (saved->pass == 0) {
        return; /* no checkpoint knows it */
    }
    gone *node = calloc(1, sizeof(*node) + identity.len);
    WEIR_ASSERT(node != NULL); /* a state that was decided has to be applied [E6] */
    node->kind = kind;
    node->identity_bytes = (uint32_t)identity.len;
    memcpy(node->identity, identity.ptr, identity.len);
    weir_saved_changed(engine, WEIR_SNAPSHOT_GONE, &node->saved);
}

/* ---- Passes
 * ------------------------------------------------------------------------------------------------
 */

static bool base_due(const weir_engine *engine)
{
    const weir_saving *saving = &engine->saving;
    uint64_t least = engine->config.checkpoint_bytes / BASE_SHARE;
    least = least < BASE_BYTES_LEAST ? least : BASE_BYTES_LEAST;
    return saving->base_wanted || saving->base_bytes < least || saving->deltas >= DELTAS_MAX ||
           saving->delta_bytes >= saving->base_bytes ||
           saving->changed * CHANGED_PART >= saving->base_objects;
}

void weir_saved_begin(weir_engine *engine)
{
    weir_saving *saving = &engine->saving;
    WEIR_ASSERT(!saving->running);
    saving->running = true;
    saving->base = base_due(engine);
    saving->changed = 0;
    saving->objects = 0;
    saving->engine_done = false;
    saving->pass++;
    saving->begin_unit = weir_journal_last(engine->journal);
    saving->replay_from = saving->begin_unit + 1;
    saving->carried_bytes = 0;
    saving->left = false;
    saving->bytes = 0;
    for (int i = 0; i < ORDER_COUNT; i++) {
        weir_saved_lists *lists = &saving->lists[ORDER[i]];
        if (saving->base) {
            splice(&lists->passing, &lists->clean);
        }
        splice(&lists->passing, &lists->changed);
    }
}

/* [V2] Whether its unflushed batches go along; when not, it will be written again. */
static void carry_decide(weir_engine *engine, weir_partition *partition)
{
    weir_saving *saving = &engine->saving;
    uint64_t bytes = partition->unflushed_bytes;
    bool fits = bytes <= weir_carried_max(engine) &&
                saving->carried_bytes + bytes <= weir_carried_total_max(engine);
    saving->left |= !fits;
    saving->carry = fits || partition->flushed_offset < partition->carried_end; /* [V4] */
    if (saving->carry) {
        saving->carried_bytes += bytes;
        partition->carried_end = partition->next_offset;
        return;
    }
    uint32_t first = weir_tail_index_of(&partition->tail, partition->flushed_offset);
    if (first < partition->tail.count) {
        uint64_t unit = weir_tail_at(&partition->tail, first)->unit;
        saving->replay_from = unit < saving->replay_from ? unit : saving->replay_from;
    }
}

static void gone_put(gone *node, uint64_t unit, weir_writer *to)
{
    weir_snapshot_put_gone(node->kind, (weir_bytes){node->identity, node->identity_bytes}, unit,
                           to);
    weir_link_remove(&node->saved.link);
    free(node);
}

static void put(weir_engine *engine, weir_snapshot_kind kind, weir_saved *saved, weir_writer *to)
{
    weir_saving *saving = &engine->saving;
    uint64_t unit = weir_journal_last(engine->journal);
    if (kind == WEIR_SNAPSHOT_GONE) {
        gone_put(WEIR_OWNER_OF(saved, gone, saved), unit, to);
        return;
    }
    bool again = false;
    if (kind == WEIR_SNAPSHOT_PARTITION) {
        carry_decide(engine, WEIR_OWNER_OF(saved, weir_partition, saved));
        again = !saving->carry;
    }
    weir_snapshot_put(engine, kind, saved, unit, to);
    saving->objects++;
    saving->changed += again ? 1 : 0;
    saved->pass = saving->pass;
    saved->changed = again;
    bool grave =
        kind == WEIR_SNAPSHOT_TOPIC && WEIR_OWNER_OF(saved, weir_topic, saved)->deleted_unit != 0;
    if (grave) {
        weir_link_remove(&saved->link); /* written once */
    } else {
        move(again ? &saving->lists[kind].changed : &saving->lists[kind].passed, saved);
    }
}

bool weir_saved_slice(weir_engine *engine, weir_writer *to)
{
    weir_saving *saving = &engine->saving;
    const weir_env_ops *ops = engine->env->ops;
    uint64_t end_ns = ops->monotonic_ns(engine->env) + WEIR_SAVED_SLICE_NS;
    uint32_t count = 0;
    if (!saving->engine_done) {
        weir_snapshot_put_engine(engine, weir_journal_last(engine->journal), to);
        saving->engine_done = true;
    }
    for (int i = 0; i < ORDER_COUNT; i++) {
        weir_link *passing = &saving->lists[ORDER[i]].passing;
        while (!weir_link_empty(passing)) {
            bool late = ++count % CLOCK_EVERY == 0 && ops->monotonic_ns(engine->env) >= end_ns;
            if (late || to->out->len >= WEIR_SAVED_SLICE_BYTES || to->err != WEIR_OK) {
                return false;
            }
            put(engine, ORDER[i], WEIR_OWNER_OF(passing->next, weir_saved, link), to);
        }
    }
    return true;
}

void weir_saved_end(weir_engine *engine, bool written)
{
    weir_saving *saving = &engine->saving;
    if (!saving->running) {
        return;
    }
    for (int i = 0; i < ORDER_COUNT; i++) {
        weir_saved_lists *lists = &saving->lists[ORDER[i]];
        splice(&lists->clean, &lists->passed);
        splice(&lists->changed, &lists->passing);
    }
    saving->running = false;
    saving->base_wanted = !written; /* [V3] */
    if (written && saving->base) {
        saving->base_bytes = saving->bytes;
        saving->base_objects = saving->objects;
        saving->delta_bytes = 0;
        saving->deltas = 0;
    } else if (written) {
        saving->delta_bytes += saving->bytes;
        saving->deltas++;
    }
}
