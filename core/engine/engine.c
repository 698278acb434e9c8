/* core/engine/engine.c - the turn, and who owns the engine: one atomic word, no lock.
 *
 *          step (CAS)                     release (CAS) when no WORK came
 *   free --------------> owned by a thread ------------------------------> free
 *                          |      ^
 *                          |      | another thread's step, a lane, sets WORK and goes its way
 *                          +------+ the owner runs another turn, a bounded number of them; then it
 *                                   wakes the port that has work and lets go
 *
 * A turn takes what the ports handed over (decide, apply), ends the unit, writes and syncs the
 * journal, moves the marks, and gives out what they allow: answers, records, fetches. Then it does
 * its share of background work. On failure of the journal nothing is acknowledged any more [E4];
 * reading goes on up to the marks [E3]. */
#include "core/engine/group.h"

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/varint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TURNS_MAX = 8,                   /* turns in one step while others bring work */
    STEP_NS_MAX = 200 * 1000,        /* and how long they may take */
    HELD_BACK_EVERY_BYTES = 1 << 20, /* how often a turn looks whether memory is left */
    UNASKED_NS = 1000 * 1000, /* what nobody waits for is written so long after, at the latest */
    DISK_RETRY_NS = 500 * 1000 * 1000,
    IDLE_COMPARE_NS = 1000 * 1000 * 1000, /* and a turn is asked for at least this often */
};

/* ---- Units and marks
 * -------------------------------------------------------------------------------- */

void weir_engine_unit_end(weir_engine *engine)
{
    weir_fates_close(engine);
    engine->unit_open = false;
    engine->unit_bytes = 0;
    weir_journal_end(engine->journal);
}

static weir_err unit_open(weir_engine *engine, uint64_t bytes,
                          weir_err (*room)(weir_journal *journal, uint64_t bytes))
{
    if (engine->unit_open && engine->unit_bytes + bytes > WEIR_UNIT_BYTES_MAX &&
        engine->unit_bytes > 0) {
        weir_produce_close_all(engine); /* what was answered for this unit goes with it [E4] */
        weir_engine_unit_end(engine);
    }
    uint64_t need = engine->unit_bytes + bytes + 64;
    weir_err err = room(engine->journal, need);
    if (err != WEIR_OK) {
        return err;
    }
    if (!engine->unit_open) {
        weir_journal_begin(engine->journal, engine->engine_ms);
        engine->unit_open = true;
        engine->unit_ms = engine->engine_ms;
        engine->unit_bytes = 0;
    }
    engine->unit_bytes += bytes;
    return WEIR_OK;
}

weir_err weir_engine_unit(weir_engine *engine, uint64_t bytes)
{
    return unit_open(engine, bytes, weir_journal_room);
}

weir_err weir_engine_unit_reserve(weir_engine *engine, uint64_t bytes)
{
    return unit_open(engine, bytes, weir_journal_room_reserve);
}

weir_err weir_engine_unit_last(weir_engine *engine, uint64_t bytes)
{
    return unit_open(engine, bytes, weir_journal_room_last);
}

uint8_t *weir_engine_entry(weir_engine *engine, uint16_t type, size_t len)
{
    return weir_engine_entry_of(engine, type, 1, len);
}

uint8_t *weir_engine_entry_of(weir_engine *engine, uint16_t type, uint8_t version, size_t len)
{
    uint8_t *at = weir_journal_entry_add(engine->journal, type, version, len);
    WEIR_ASSERT(at != NULL); /* room was asked before anything changed */
    engine->unit_asked |= type != WEIR_ENTRY_ACQUIRE;
    return at;
}

uint64_t weir_engine_unit_now(const weir_engine *engine)
{
    return weir_journal_last(engine->journal) + (engine->unit_open ? 1 : 0);
}

uint64_t weir_engine_mark(const weir_engine *engine, weir_level level)
{
    switch (level) {
    case WEIR_LEVEL_OS:
        return weir_journal_written(engine->journal);
    case WEIR_LEVEL_MEMORY:
        return UINT64_MAX;
    default:
        return weir_journal_durable(engine->journal);
    }
}

/* ---- One turn
 * ---------------------------------------------------------------------------------------- */

static void engine_clock(weir_engine *engine)
{
    engine->now_ns = engine->env->ops->monotonic_ns(engine->env);
    engine->engine_ms =
        engine->engine_base_ms + (int64_t)((engine->now_ns - engine->engine_base_ns) / 1000000);
}

static void subscriber_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_subscriber *subscriber = op->subscriber;
    switch (op->type) {
    case WEIR_OP_SUBSCRIBER_OPEN:
        weir_link_append(&port->subscribers, &subscriber->port_link);
        engine->stats.subscribers++;
        break;
    case WEIR_OP_CREDIT: {
        uint64_t records = subscriber->credit_records + op->credit.records;
        subscriber->credit_records = records < op->credit.records ? UINT64_MAX : records;
        uint64_t bytes = op->credit.bytes < INT64_MAX / 2 ? op->credit.bytes : INT64_MAX / 2;
        bool endless =
            op->credit.bytes >= INT64_MAX / 2 || subscriber->credit_bytes >= INT64_MAX / 2;
        subscriber->credit_bytes = endless ? INT64_MAX : subscriber->credit_bytes + (int64_t)bytes;
        weir_subscriber_ready(subscriber);
        break;
    }
    default: {
        weir_completion done = {
            .type = WEIR_COMPLETION_CLOSED, .user = op->user, .token = op->token};
        weir_subscriber_end(engine, subscriber);
        weir_port_complete(port, &done);
    }
    }
}

static void run_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    switch (op->type) {
    case WEIR_OP_PUBLISH:
        weir_produce_op(engine, port, op);
        break;
    case WEIR_OP_BATCH:
        weir_produce_batch_op(engine, port, op);
        break;
    case WEIR_OP_FETCH:
    case WEIR_OP_FETCH_CANCEL:
        weir_fetch_op(engine, port, op);
        break;
    case WEIR_OP_SUBSCRIBER_OPEN:
    case WEIR_OP_SUBSCRIBER_CLOSE:
    case WEIR_OP_CREDIT:
        subscriber_op(engine, port, op);
        break;
    case WEIR_OP_SUBSCRIBE:
    case WEIR_OP_UNSUBSCRIBE:
        weir_subscribe_op(engine, port, op);
        break;
    case WEIR_OP_PRODUCER_OPEN:
    case WEIR_OP_PRODUCER_WHERE:
        weir_producers_op(engine, port, op);
        break;
    case WEIR_OP_GROUP_CREATE:
    case WEIR_OP_GROUP_ALTER:
    case WEIR_OP_GROUP_DELETE:
    case WEIR_OP_GROUP_RESET:
    case WEIR_OP_GROUPS:
    case WEIR_OP_GROUP_SUMS:
        weir_groups_op(engine, port, op);
        break;
    case WEIR_OP_MEMBER_JOIN:
    case WEIR_OP_MEMBER_LEAVE:
    case WEIR_OP_MEMBER_BEAT:
    case WEIR_OP_MEMBER_REVOKED:
    case WEIR_OP_MEMBER_TAKE:
    case WEIR_OP_MEMBER_TAKE_CANCEL:
    case WEIR_OP_MEMBER_SETTLE:
        weir_member_op(engine, port, op);
        break;
    case WEIR_OP_WHY:
        weir_why_op(engine, port, op);
        break;
    default:
        weir_topics_op(engine, port, op);
        break;
    }
}

/* Whether publishes have to wait: memory is over its limit, or the journal is behind. */
static bool turn_held_back(weir_engine *engine)
{
    if (engine->tail_bytes > engine->limits.tail_bytes_max &&
        engine->unflushed_bytes > engine->limits.tail_bytes_max / 8 * 7 &&
        atomic_load(&engine->health) == WEIR_HEALTH_OK) {
        engine->stats.refused_tail++;
        return true;
    }
    /* A journal that is blocked or has failed refuses by itself; everything else goes on. */
    return weir_journal_state(engine->journal) == WEIR_OK &&
           (weir_straight_behind(engine) ||
            weir_journal_behind(engine->journal, WEIR_UNIT_ROOM_BYTES));
}

/* The next operations together; where they end. */
static uint64_t look_ahead(const weir_engine *engine, const weir_port *port, uint64_t head,
                           uint64_t tail)
{
    const weir_op *ops[WEIR_TOGETHER_MAX];
    uint32_t count = 0;
    while (head < tail && count < WEIR_TOGETHER_MAX) {
        ops[count] = (const weir_op *)(const void *)(port->ring + (head - port->ring_base));
        head += ops[count++]->bytes;
    }
    if (count > 1) {
        weir_look_ahead(engine, ops, count);
    }
    return head;
}

static uint32_t take_from_port(weir_engine *engine, weir_port *port, uint32_t max)
{
    uint64_t tail = atomic_load_explicit(&port->ring_tail, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&port->ring_head, memory_order_relaxed);
    uint32_t count = 0;
    if (head == tail) {
        return 0; /* ring_base may be moving: it is read only while something is handed over */
    }
    uint64_t base = port->ring_base;
    uint64_t looked = head;
    uint64_t ahead = head; /* up to here what operations look at has been asked for */
    while (head < tail && count < max) {
        const weir_op *op = (const weir_op *)(const void *)(port->ring + (head - base));
        if (head == ahead) {
            ahead = look_ahead(engine, port, head, tail);
        }
        run_op(engine, port, op);
        head += op->bytes;
        count++;
        if (head - looked > HELD_BACK_EVERY_BYTES) {
            looked = head;
            if (turn_held_back(engine)) {
                break;
            }
        }
    }
    atomic_store_explicit(&port->ring_head, head, memory_order_release);
    if (head < tail) {
        engine->more_work = true;
    }
    return count;
}

static void turn_take(weir_engine *engine)
{
    uint32_t left = WEIR_TURN_OPERATIONS_MAX;
    if (turn_held_back(engine)) {
        return; /* the lane that makes room wakes us */
    }
    for (uint32_t i = 0; i < engine->port_count && left > 0; i++) {
        uint32_t index = (engine->port_first + i) % engine->port_count;
        left -= take_from_port(engine, engine->ports[index], left);
    }
    engine->port_first = engine->port_count > 0 ? (engine->port_first + 1) % engine->port_count : 0;
    engine->stats.operations += WEIR_TURN_OPERATIONS_MAX - left;
}

static void unit_end(weir_engine *engine)
{
    if (engine->unit_open) {
        weir_engine_unit_end(engine);
    }
}

static void turn_jobs(weir_engine *engine)
{
    weir_job *job = atomic_exchange(&engine->jobs_done, NULL);
    while (job != NULL) {
        weir_job *next = job->next;
        if (job == &engine->flush.job) {
            weir_flush_finished(engine);
        } else if (job == &engine->save.job) {
            weir_save_finished(engine);
        } else if (job == &engine->life.job) {
            weir_life_finished(engine);
        } else if (job == &engine->sweep.job) {
            weir_sweep_finished(engine);
        } else if (job == &engine->compaction.job) {
            weir_compact_finished(engine);
        } else {
            weir_read_finished(engine, WEIR_OWNER_OF(job, weir_read, job));
        }
        job = next;
    }
}

/* Takes that wait get what this turn showed. What is decided here is written by the next turn, which
 * comes at once, behind the answers. Nobody waits for a mere lease: it goes with what the next turn
 * writes, most often its settlement, or in a moment alone. */
static void turn_takes(weir_engine *engine)
{
    if (!engine->groups.due) {
        return;
    }
    engine->groups.due = false;
    engine->unit_asked = false;
    weir_members_work(engine);
    weir_produce_close_all(engine);
    if (engine->unit_open && !engine->unit_asked) {
        engine->unasked_ns = engine->now_ns + UNASKED_NS;
    }
    engine->more_work |= engine->unit_open && engine->unit_asked;
    unit_end(engine);
}

static void turn_give(weir_engine *engine)
{
    if (atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_FENCED) {
        engine->groups.due = false;
        return; /* nothing leaves after a newer owner was seen */
    }
    weir_partition_show(engine);
    /* Records first: a publisher that is woken by its answer would take the processor from them. */
    weir_deliver(engine);
    turn_takes(engine);
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_port_answers_release(engine, engine->ports[i]);
    }
    weir_fetches_expire(engine);
}

/* Other threads read a copy, so that the counters themselves cost the owner nothing. */
static void show_stats(weir_engine *engine)
{
    weir_journal_counts counts;
    weir_journal_counts_of(engine->journal, &counts);
    engine->stats.units = counts.units;
    engine->stats.journal_bytes = counts.bytes;
    engine->stats.journal_writes = counts.writes;
    engine->stats.journal_syncs = counts.syncs;
    engine->stats.journal_reserve = weir_journal_reserve_left(engine->journal);
    engine->stats.tail_bytes = engine->tail_bytes;
    engine->stats.refused_record_bytes =
        engine->records_too_large + atomic_load(&engine->refused_record_bytes);
    engine->stats.paused_port = atomic_load(&engine->paused_port);
    engine->stats.refused_batch_plain = atomic_load(&engine->refused_batch_plain);
    engine->stats.refused_headers = atomic_load(&engine->refused_headers);
    engine->stats.refused_name = engine->names_refused + atomic_load(&engine->refused_name);
    const uint64_t *from = (const uint64_t *)(const void *)&engine->stats;
    for (size_t i = 0; i < WEIR_STATS_COUNT; i++) {
        atomic_store_explicit(&engine->stats_shown[i], from[i], memory_order_relaxed);
    }
}

void weir_engine_turn(weir_engine *engine)
{
    engine_clock(engine);
    engine->more_work = false;
    engine->groups.due = false;
    engine->stats.steps++;
    turn_jobs(engine);
    weir_journal_poll(engine->journal);
    weir_routes_trim(engine);
    weir_turn_term(engine); /* level memory is answered while operations are taken */
    turn_take(engine);
    weir_producers_expire(engine);
    weir_groups_work(engine);
    weir_produce_close_all(engine);
    weir_life_work(engine);
    unit_end(engine);
    weir_turn_write(engine);
    weir_turn_mark(engine);
    weir_reads_retry(engine);
    turn_give(engine);
    weir_tail_shrink(engine);
    weir_flush_work(engine);
    show_stats(engine);
}

/* What only an engine that writes does. One that has stopped does none of it ever again: a time that
 * has passed would have it turn for ever. What failed for want of room or memory waits for its retry. */
static uint64_t writing_deadline(const weir_engine *engine)
{
    if (atomic_load_explicit(&engine->health, memory_order_relaxed) > WEIR_HEALTH_DISK_FULL) {
        return UINT64_MAX;
    }
    uint64_t deadline = weir_life_deadline(engine);
    uint64_t checkpoint =
        engine->checkpoint_ns + (uint64_t)engine->config.checkpoint_every_ms * 1000000;
    checkpoint = checkpoint < engine->retry_ns ? engine->retry_ns : checkpoint;
    bool due = weir_save_wanted(engine) && engine->phase == WEIR_CHECKPOINT_IDLE;
    return due && checkpoint < deadline ? checkpoint : deadline;
}

/* When a fetch that waits gets what there is: never after a newer owner was seen. */
static uint64_t fetches_deadline(const weir_engine *engine)
{
    uint64_t deadline = UINT64_MAX;
    if (atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_FENCED) {
        return UINT64_MAX;
    }
    for (const weir_link *at = engine->fetches.next; at != &engine->fetches; at = at->next) {
        const weir_waiting_fetch *fetch = WEIR_OWNER_OF(at, const weir_waiting_fetch, engine_link);
        deadline = fetch->deadline_ns < deadline ? fetch->deadline_ns : deadline;
    }
    return deadline;
}

/* When the home port should step next, though nobody submits anything. */
static void set_deadline(weir_engine *engine)
{
    uint64_t deadline = UINT64_MAX;
    if (engine->os_since_ns != 0 && !weir_journal_busy(engine->journal)) {
        deadline = engine->os_since_ns + (uint64_t)engine->config.os_sync_every_ms * 1000000;
    }
    uint64_t fetches = fetches_deadline(engine);
    deadline = fetches < deadline ? fetches : deadline;
    uint64_t settled = engine->settled_ns + WEIR_SETTLED_NS;
    if (engine->settled_ns != 0 && engine->now_ns < settled && settled < deadline) {
        deadline = settled;
    }
    if (engine->unasked_ns != 0 && engine->unasked_ns < deadline) {
        deadline = engine->unasked_ns;
    }
    if (engine->mark_due_ns != 0 && engine->mark_due_ns < deadline) {
        deadline = engine->mark_due_ns;
    }
    if (engine->retry_ns > engine->now_ns && engine->retry_ns < deadline) {
        deadline = engine->retry_ns; /* of one that has passed, this turn tried what it could */
    }
    if (engine->reads_retry_ns != 0 && engine->reads_retry_ns < deadline) {
        deadline = engine->reads_retry_ns;
    }
    uint64_t writing = writing_deadline(engine);
    deadline = writing < deadline ? writing : deadline;
    uint64_t groups = weir_groups_deadline(engine);
    deadline = groups < deadline ? groups : deadline;
    uint64_t compare = engine->compared_ns + IDLE_COMPARE_NS;
    deadline = compare < deadline ? compare : deadline;
    if (atomic_load_explicit(&engine->health, memory_order_relaxed) == WEIR_HEALTH_DISK_FULL) {
        uint64_t again = engine->now_ns + DISK_RETRY_NS;
        deadline = again < deadline ? again : deadline;
    }
    bool again = engine->more_work || engine->groups.due;
    atomic_store_explicit(&engine->deadline_ns, again ? 0 : deadline, memory_order_relaxed);
}

/* ---- Ownership
 * ----------------------------------------------------------------------------------------- */

static bool engine_try_own(weir_engine *engine)
{
    unsigned seen = atomic_load(&engine->owner);
    for (;;) {
        if ((seen & WEIR_OWNED) != 0) {
            if (atomic_compare_exchange_weak(&engine->owner, &seen, seen | WEIR_WORK)) {
                return false; /* the owner sees WORK before it lets go */
            }
        } else if (atomic_compare_exchange_weak(&engine->owner, &seen, WEIR_OWNED)) {
            return true;
        }
    }
}

static void wake_ports(weir_engine *engine, const weir_port *self)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_port *port = engine->ports[i];
        if (port->wake && port != self) {
            weir_port_wake(port);
        }
        port->wake = false;
    }
}

/* Lets go. Work that came meanwhile is left to a port that has some: it is woken to step. */
static void engine_let_go(weir_engine *engine, const weir_port *self)
{
    weir_port *next = NULL;
    for (uint32_t i = 0; i < engine->port_count && next == NULL; i++) {
        weir_port *port = engine->ports[i];
        bool work = atomic_load(&port->ring_tail) != atomic_load(&port->ring_head);
        next = work && port != self ? port : NULL;
    }
    weir_port *home = engine->port_count > 0 ? engine->ports[0] : NULL;
    unsigned seen = atomic_exchange(&engine->owner, 0);
    if ((seen & WEIR_WORK) != 0 && (next != NULL || home != self)) {
        weir_port *chosen = next != NULL ? next : home;
        if (chosen != NULL) {
            weir_port_wake(chosen);
        }
    } else if ((seen & WEIR_WORK) != 0) {
        atomic_store(&engine->deadline_ns, 0); /* only this thread has anything: soon again */
    }
}

static void engine_run(weir_engine *engine, const weir_port *self)
{
    uint64_t began = 0;
    for (int turn = 0;; turn++) {
        weir_engine_turn(engine);
        set_deadline(engine);
        wake_ports(engine, self);
        began = began == 0 ? engine->now_ns : began;
        bool over = turn >= TURNS_MAX || engine->now_ns - began > STEP_NS_MAX;
        if (engine->groups.due && !over) {
            continue; /* a take that waits gets the records of this turn */
        }
        unsigned owned = WEIR_OWNED;
        if (atomic_compare_exchange_strong(&engine->owner, &owned, 0)) {
            return;
        }
        if (over) {
            engine_let_go(engine, self);
            return;
        }
        atomic_store(&engine->owner, WEIR_OWNED); /* WORK is taken in by the next turn */
    }
}

/* Waits until nobody else owns the engine: opening and closing only. */
static void engine_own(weir_engine *engine, weir_event *pause)
{
    while (!engine_try_own(engine)) {
        engine->env->ops->event_wait(engine->env, pause, 1);
    }
}

void weir_engine_wake(weir_engine *engine)
{
    atomic_fetch_or(&engine->owner, WEIR_WORK);
    /* The home port cannot go away while a job is under way: its close waits for the lanes. */
    weir_port *home = atomic_load(&engine->home);
    if (home != NULL) {
        weir_port_wake(home);
    }
}

void weir_engine_stop_waiting(weir_engine *engine)
{
    atomic_store(&engine->no_waiting, true);
    weir_engine_wake(engine);
}

void weir_engine_job_done(weir_job *job)
{
    /* Every job's first words are the job and then its engine. */
    weir_engine *engine = *(weir_engine **)(void *)(job + 1);
    job->next = atomic_load(&engine->jobs_done);
    while (!atomic_compare_exchange_weak(&engine->jobs_done, &job->next, job)) {
    }
    weir_engine_wake(engine);
}

/* ---- Ports: open, step, close
 * ----------------------------------------------------------------------------- */

static void port_free(weir_port *port)
{
    weir_env *env = port->engine->env;
    for (int level = 0; level < WEIR_LEVEL_COUNT; level++) {
        free(port->waiting[level].items);
    }
    if (port->event != NULL) {
        env->ops->event_close(env, port->event);
    }
    free(port->ring);
    free(port->completions);
    free(port);
}

static weir_err port_make(weir_engine *engine, weir_port **out)
{
    weir_port *port = calloc(1, sizeof(*port));
    if (port == NULL) {
        return WEIR_NO_MEMORY;
    }
    port->engine = engine;
    port->ring_bytes = engine->limits.port_bytes_max;
    uint64_t least = 2 * engine->limits.record_bytes_max + 65536;
    port->ring_bytes = port->ring_bytes < least ? least : port->ring_bytes;
    port->ring = malloc(port->ring_bytes); /* pages are touched as they are used */
    port->completions = malloc(WEIR_COMPLETIONS_MAX * sizeof(*port->completions));
    bool ok = port->ring != NULL && port->completions != NULL;
    for (int level = WEIR_LEVEL_MEMORY; level < WEIR_LEVEL_COUNT && ok; level++) {
        port->waiting[level].items = malloc(WEIR_COMPLETIONS_MAX * sizeof(weir_answer));
        ok = port->waiting[level].items != NULL;
    }
    weir_err err = ok ? engine->env->ops->event_open(engine->env, &port->event) : WEIR_NO_MEMORY;
    if (err != WEIR_OK) {
        port_free(port);
        return err;
    }
    weir_link_init(&port->subscribers);
    weir_link_init(&port->ready);
    weir_link_init(&port->members);
    *out = port;
    return WEIR_OK;
}

weir_err weir_port_open(weir_engine *engine, weir_port **out)
{
    weir_port *port = NULL;
    weir_err err = port_make(engine, &port);
    if (err != WEIR_OK) {
        return err;
    }
    engine_own(engine, port->event);
    bool room = engine->port_count < WEIR_PORTS_MAX;
    if (room) {
        port->index = engine->port_count;
        engine->ports[engine->port_count++] = port;
        atomic_store(&engine->home, engine->ports[0]);
    }
    engine_let_go(engine, port);
    if (!room) {
        port_free(port);
        return WEIR_LIMIT;
    }
    *out = port;
    return WEIR_OK;
}

/* Drops what the port's thread never drained or the engine never answered. */
static void port_drop_all(weir_port *port)
{
    weir_completion completion;
    while (weir_port_drain(port, &completion, 1) == 1) {
        weir_completion_drop(&completion);
    }
    for (int level = WEIR_LEVEL_MEMORY; level < WEIR_LEVEL_COUNT; level++) {
        weir_answers *answers = &port->waiting[level];
        for (uint32_t i = 0; i < answers->count; i++) {
            weir_completion_drop(
                &answers->items[(answers->head + i) & (WEIR_COMPLETIONS_MAX - 1)].completion);
        }
        answers->count = 0;
    }
}

void weir_port_close(weir_port *port)
{
    weir_engine *engine = port->engine;
    /* What was submitted is decided before the port goes: nothing half done. */
    atomic_store_explicit(&port->ring_tail, port->ring_filled, memory_order_release);
    engine_own(engine, port->event);
    for (int turn = 0; turn < 64 && atomic_load(&port->ring_head) != atomic_load(&port->ring_tail);
         turn++) {
        weir_engine_turn(engine);
        port_drop_all(port);
    }
    weir_fetches_end(engine, NULL, port);
    weir_members_end(engine, port);
    while (!weir_link_empty(&port->subscribers)) {
        weir_subscriber_end(engine,
                            WEIR_OWNER_OF(port->subscribers.next, weir_subscriber, port_link));
    }
    for (weir_link *at = engine->reads.next; at != &engine->reads; at = at->next) {
        weir_read *read = WEIR_OWNER_OF(at, weir_read, link);
        read->port = read->port == port ? NULL : read->port;
    }
    if (port == engine->ports[0]) {
        engine->env->ops->lanes_drain(engine->env); /* lanes wake port 0 */
    }
    engine->port_count--;
    engine->ports[port->index] = engine->ports[engine->port_count];
    engine->ports[port->index]->index = port->index;
    engine->ports[engine->port_count] = NULL;
    engine->port_first = 0;
    atomic_store(&engine->home, engine->ports[0]);
    wake_ports(engine, port);
    if (engine->port_count > 0) {
        weir_port_wake(engine->ports[0]); /* it may be the home port now */
    }
    engine_let_go(engine, port);
    port_drop_all(port);
    port_free(port);
}

void weir_port_step(weir_port *port)
{
    weir_engine *engine = port->engine;
    atomic_store_explicit(&port->ring_tail, port->ring_filled, memory_order_release);
    if (atomic_load_explicit(&port->signal, memory_order_acquire) == WEIR_SIGNAL_LIT) {
        engine->env->ops->event_clear(engine->env, port->event);
        atomic_store(&port->signal, WEIR_SIGNAL_DARK);
    }
    if (engine_try_own(engine)) {
        engine_run(engine, port);
    }
}

int weir_port_next_ms(const weir_port *port)
{
    weir_engine *engine = port->engine;
    if (atomic_load_explicit(&port->blocked, memory_order_relaxed)) {
        return 0;
    }
    uint64_t deadline = atomic_load_explicit(&engine->deadline_ns, memory_order_relaxed);
    if (deadline == 0) {
        return 0;
    }
    if (deadline == UINT64_MAX ||
        atomic_load_explicit(&engine->home, memory_order_relaxed) != port) {
        return -1;
    }
    uint64_t now = engine->env->ops->monotonic_ns(engine->env);
    return deadline <= now ? 0 : (int)((deadline - now) / 1000000 + 1);
}

static bool port_has_something(const weir_port *port)
{
    return atomic_load_explicit(&port->completion_tail, memory_order_acquire) !=
           atomic_load_explicit(&port->completion_head, memory_order_relaxed);
}

weir_err weir_port_wait(weir_port *port, int timeout_ms)
{
    weir_env *env = port->engine->env;
    uint64_t end =
        timeout_ms < 0 ? UINT64_MAX : env->ops->monotonic_ns(env) + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        weir_port_step(port);
        if (port_has_something(port)) {
            return WEIR_OK;
        }
        uint64_t now = env->ops->monotonic_ns(env);
        if (now >= end) {
            return WEIR_TIMEOUT;
        }
        int next = weir_port_next_ms(port);
        uint64_t left = (end - now) / 1000000 + 1;
        int wait = end == UINT64_MAX || left > 3600000 ? 3600000 : (int)left;
        wait = next >= 0 && next < wait ? next : wait;
        env->ops->event_wait(env, port->event, wait);
    }
}

/* ---- Queries of any thread
 * ------------------------------------------------------------------------------------ */

weir_engine_health weir_engine_health_of(const weir_engine *engine)
{
    return (weir_engine_health)atomic_load(&engine->health);
}

const weir_fault *weir_engine_fault(const weir_engine *engine)
{
    return engine->fault.err != WEIR_OK ? &engine->fault : NULL;
}

const weir_limits *weir_engine_limits(const weir_engine *engine)
{
    return &engine->limits;
}

uint64_t weir_engine_term(const weir_engine *engine)
{
    return weir_owner_term(engine->owner_file);
}

void weir_engine_stats(const weir_engine *engine, weir_stats *stats)
{
    uint64_t *to = (uint64_t *)(void *)stats;
    for (size_t i = 0; i < WEIR_STATS_COUNT; i++) {
        to[i] = atomic_load_explicit(&engine->stats_shown[i], memory_order_relaxed);
    }
}
