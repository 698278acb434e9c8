/* core/engine/member.c - members of groups: they join, say that they are there, take, and leave.
 *
 *   join --> [member] --take--> waits --records, or its time is over--> TAKEN
 *               |  ^ beat, take, settle: it is alive
 *               |  +--------
 *               +--leave, the port closes--------------> gone; a static one: away, its place is kept
 *               +--silent for session_ms, fenced-------> out: told so, only leave is left
 *
 * Members, their takes and how long they are silent are memory only; what a group has to remember of
 * them is in its generations (stream.c) and leases (queue.c). A member is alive while its take
 * waits: the engine owes it an answer, not the other way round.
 *
 * Once a turn each group that has something to do is worked on: generations, takes in the order in
 * which they came, then what is over by time. A group where nothing came costs a look. Where writing has
 * stopped for good, a take that has to write something is answered at once, and says so; a stream's that
 * only reads goes on.
 *
 * [M1] A member has one take that waits, and each take one TAKEN.
 * [M2] Nothing of a member comes behind its LEFT: what is owed is answered before.
 * [M3] Settles of a member are done in the order in which they came, also when one has to wait for
 *      a record to be read. */
#include "core/engine/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETTLES_WAIT_MAX = 256, /* of a member, for records that are read */
    NS_PER_MS = 1000000,
};

/* A settle that waits, with its bytes. */
struct weir_settle_wait {
    struct weir_settle_wait *next;
    void *user;
    uint64_t token;
    bool no_confirm;
    weir_settle settle;   /* ranges: those that are left */
    weir_settled settled; /* of those that are done */
};

static bool is_queue(const weir_group *group)
{
    return group->options.model == WEIR_MODEL_QUEUE;
}

static uint64_t session_ns(const weir_group *group)
{
    return (uint64_t)group->options.session_ms * NS_PER_MS;
}

/* ---- What there is to do ---------------------------------------------------------------------- */

void weir_member_due(weir_member *member)
{
    member->take_due = true;
    member->group->members_work = true;
}

void weir_group_ready(weir_group *group, weir_group_part *part)
{
    if (!weir_link_in(&part->ready_link)) {
        weir_link_append(&group->ready, &part->ready_link);
    }
    if (!weir_link_empty(&group->takes)) {
        group->members_work = true;
    }
}

void weir_members_altered(weir_engine *engine, weir_group *group)
{
    for (weir_link *at = group->takes.next; at != &group->takes; at = at->next) {
        WEIR_OWNER_OF(at, weir_member, take_link)->take_due = true;
    }
    group->members_work = true;
    group->members_due_ns = group->member_count > 0 ? engine->now_ns : 0;
}

/* ---- Takes ------------------------------------------------------------------------------------ */

static void take_end(weir_member *member)
{
    weir_link_remove(&member->take_link);
    member->takes = false;
    member->take_due = false;
}

/* It is answered: from now on the member has to be heard of. */
static void take_answered(weir_engine *engine, weir_member *member)
{
    take_end(member);
    member->heard_ns = engine->now_ns;
    weir_group_due_at(member->group, member->heard_ns + session_ns(member->group));
}

/* Its next answer waits there: behind all that this port was promised before, of whatever unit. */
static void waits_for(weir_member *member, weir_level level)
{
    const weir_answers *answers = &member->port->waiting[level];
    member->answer_number = answers->left + answers->count + 1;
    member->answer_level = level;
}

void weir_member_give(weir_engine *engine, weir_member *member, weir_handed *runs, uint32_t count,
                      uint64_t unit, weir_level level)
{
    const weir_group *group = member->group;
    weir_completion done = {
        .type = WEIR_COMPLETION_TAKEN, .user = member->take_user, .token = member->take_token};
    done.taken = (weir_taken){.runs = runs,
                              .run_count = count,
                              .epoch = engine->recovery_epoch,
                              .mode = group->options.mode};
    if (is_queue(group)) {
        done.taken.lease_ms = group->options.lease_ms;
    } else {
        done.taken.generation = member->stream->told;
    }
    take_answered(engine, member);
    if (unit == 0) {
        weir_port_complete(member->port, &done);
    } else {
        waits_for(member, level);
        weir_port_answer(member->port, &done, unit, level);
    }
}

void weir_member_give_err(weir_engine *engine, weir_member *member, weir_err err)
{
    weir_completion done = {.type = WEIR_COMPLETION_TAKEN,
                            .err = err,
                            .user = member->take_user,
                            .token = member->take_token};
    take_answered(engine, member);
    weir_port_complete(member->port, &done);
}

static void take_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_member *member = op->member.member;
    weir_completion done = {.type = WEIR_COMPLETION_TAKEN, .user = op->user, .token = op->token};
    if (member->group == NULL || member->takes) {
        done.err = member->group == NULL ? WEIR_LEASE_LOST : WEIR_PROTOCOL; /* [M1] */
        weir_port_complete(port, &done);
        return;
    }
    member->takes = true;
    member->take = op->member.take;
    member->take_user = op->user;
    member->take_token = op->token;
    member->take_deadline_ns = engine->now_ns + (uint64_t)op->member.take.wait_ms * NS_PER_MS;
    weir_link_append(&member->group->takes, &member->take_link);
    weir_group_due_at(member->group, member->take_deadline_ns);
    weir_member_due(member);
}

static void cancel_op(weir_engine *engine, weir_member *member)
{
    if (member->takes) {
        weir_member_give(engine, member, NULL, 0, 0, WEIR_LEVEL_MEMORY);
    }
}

/* ---- Settles ---------------------------------------------------------------------------------- */

static uint64_t records_of(const weir_settle *settle)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < settle->range_count; i++) {
        records += (uint64_t)(settle->ranges[i].last - settle->ranges[i].first) + 1;
    }
    return records;
}

static void settled_answer(weir_port *port, weir_completion *done, bool no_confirm, uint64_t unit)
{
    if (!no_confirm) {
        weir_level level = done->settled.level;
        level = level == WEIR_LEVEL_DEFAULT ? WEIR_LEVEL_MEMORY : level;
        weir_port_answer(port, done, unit, level); /* [E4] */
    } else if (done->err != WEIR_OK && weir_port_room(port)) {
        weir_port_unasked(port, done);
    }
}

/* Decides and applies; MORE: nothing changed, a record is being read. */
static weir_err settle_run(weir_engine *engine, weir_member *member, const weir_settle *settle,
                           weir_settled *settled, uint64_t *unit)
{
    *unit = weir_engine_unit_now(engine);
    if (member->group == NULL) {
        settled->refused = records_of(settle);
        return WEIR_LEASE_LOST;
    }
    return is_queue(member->group) ? weir_queue_settle(engine, member, settle, settled, unit)
                                   : weir_stream_settle(engine, member, settle, settled, unit);
}

static uint8_t *copy_bytes(uint8_t *at, weir_bytes *bytes)
{
    if (bytes->ptr != NULL) {
        memcpy(at, bytes->ptr, bytes->len);
        bytes->ptr = at;
        at += bytes->len;
    }
    return at;
}

/* The settle with all it points to, in one piece. */
static struct weir_settle_wait *settle_copy(const weir_op *op, const weir_settle *settle)
{
    size_t array = settle->range_count * sizeof(weir_settle_range);
    size_t bytes =
        sizeof(struct weir_settle_wait) + array + settle->reason.len + settle->metadata.len;
    for (uint32_t i = 0; i < settle->range_count; i++) {
        bytes += settle->ranges[i].topic.len;
    }
    struct weir_settle_wait *wait = calloc(1, bytes);
    if (wait == NULL) {
        return NULL;
    }
    wait->user = op->user;
    wait->token = op->token;
    wait->no_confirm = op->no_confirm;
    wait->settle = *settle;
    weir_settle_range *ranges = (weir_settle_range *)(void *)(wait + 1);
    memcpy(ranges, settle->ranges, array);
    wait->settle.ranges = ranges;
    uint8_t *at = (uint8_t *)ranges + array;
    at = copy_bytes(at, &wait->settle.reason);
    at = copy_bytes(at, &wait->settle.metadata);
    for (uint32_t i = 0; i < settle->range_count; i++) {
        at = copy_bytes(at, &ranges[i].topic);
    }
    return wait;
}

static weir_err settle_wait(weir_member *member, const weir_op *op, const weir_settle *settle)
{
    struct weir_settle_wait **end = &member->settles;
    if (member->settle_count >= SETTLES_WAIT_MAX) {
        return WEIR_LIMIT;
    }
    struct weir_settle_wait *wait = settle_copy(op, settle);
    if (wait == NULL) {
        return WEIR_NO_MEMORY;
    }
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = wait;
    member->settle_count++;
    member->group->settles_waiting++;
    return WEIR_OK;
}

static void settle_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_member *member = op->member.member;
    const weir_settle *settle = (const weir_settle *)(const void *)op->data;
    weir_completion done = {.type = WEIR_COMPLETION_SETTLED, .user = op->user, .token = op->token};
    uint64_t unit = weir_engine_unit_now(engine);
    member->heard_ns = engine->now_ns;
    done.err = member->settle_count > 0 ? WEIR_MORE /* [M3] */
                                        : settle_run(engine, member, settle, &done.settled, &unit);
    if (done.err == WEIR_MORE) {
        done.err = settle_wait(member, op, settle);
        if (done.err == WEIR_OK) {
            return;
        }
    }
    settled_answer(port, &done, op->no_confirm, unit);
}

static void settle_pop(weir_member *member)
{
    struct weir_settle_wait *first = member->settles;
    member->settles = first->next;
    member->settle_count--;
    if (member->group != NULL) {
        member->group->settles_waiting--;
    }
    free(first);
}

/* One range after the other, so that each needs one read at most. MORE: it waits. */
static weir_err settle_on(weir_engine *engine, weir_member *member, struct weir_settle_wait *wait,
                          uint64_t *unit)
{
    weir_err err = WEIR_OK;
    while (wait->settle.range_count > 0) {
        weir_settle one = wait->settle;
        weir_settled settled = {0};
        one.range_count = 1;
        weir_err now = settle_run(engine, member, &one, &settled, unit);
        if (now == WEIR_MORE && member->read_err == WEIR_OK) {
            return WEIR_MORE;
        }
        err = now == WEIR_MORE ? member->read_err : now != WEIR_OK ? now : err;
        member->read_err = WEIR_OK;
        wait->settled.records += settled.records;
        wait->settled.refused += settled.refused;
        wait->settled.lease_ms = settled.lease_ms;
        if (settled.level > wait->settled.level) {
            wait->settled.level = settled.level;
        }
        wait->settle.ranges++;
        wait->settle.range_count--;
    }
    return err;
}

/* Those whose records were read; or all, when the member is out: they are too late. */
static void settles_go_on(weir_engine *engine, weir_member *member)
{
    while (member->settle_count > 0) {
        struct weir_settle_wait *first = member->settles;
        uint64_t unit = 0;
        weir_err err = settle_on(engine, member, first, &unit);
        if (err == WEIR_MORE) {
            member->group->members_work |= member->read == NULL; /* none could be begun */
            return;
        }
        weir_completion done = {.type = WEIR_COMPLETION_SETTLED,
                                .err = err,
                                .user = first->user,
                                .token = first->token,
                                .settled = first->settled};
        settled_answer(member->port, &done, first->no_confirm, unit);
        settle_pop(member);
    }
}

/* ---- Going ------------------------------------------------------------------------------------ */

void weir_member_free(weir_member *member)
{
    while (member->settle_count > 0) {
        settle_pop(member);
    }
    weir_member_reads_end(member);
    weir_link_remove(&member->group_link);
    weir_link_remove(&member->port_link);
    weir_link_remove(&member->take_link);
    free(member->stream);
    free(member->words);
    free(member);
}

/* Nobody holds it any more, or it is out. */
static void absent(weir_engine *engine, weir_group *group)
{
    group->present--;
    if (group->present == 0) {
        group->empty_since_ms = engine->engine_ms;
    }
}

/* It holds nothing any more, and is in no group. */
static void member_out(weir_engine *engine, weir_member *member, bool orderly)
{
    weir_group *group = member->group;
    if (is_queue(group)) {
        weir_queue_left(engine, member, orderly);
    } else {
        weir_stream_left(engine, member);
    }
    group->settles_waiting -= member->settle_count;
    group->member_count--;
    group->members_work = true;
    engine->stats.members--;
    if (member->port != NULL) {
        absent(engine, group);
    }
    weir_link_remove(&member->group_link);
    weir_member_reads_end(member);
    member->group = NULL;
}

void weir_member_out(weir_engine *engine, weir_member *member, bool orderly)
{
    bool stream = !is_queue(member->group);
    if (member->takes) {
        weir_member_give_err(engine, member, WEIR_LEASE_LOST);
    }
    member_out(engine, member, orderly);
    if (member->port == NULL) {
        weir_member_free(member);
        return;
    }
    settles_go_on(engine, member);
    if (stream) {
        member->fenced = true;
        engine->groups.untold++;
        weir_groups_due(engine);
    }
}

/* Its handle is no more. A static member of a stream keeps its place for a session. */
static void member_gone(weir_engine *engine, weir_member *member, bool orderly)
{
    weir_group *group = member->group;
    bool away = group != NULL && !is_queue(group) && member->instance_bytes > 0;
    engine->groups.untold -= member->fenced ? 1 : 0;
    if (!away) {
        if (group != NULL) {
            member_out(engine, member, orderly);
        }
        weir_member_free(member);
        return;
    }
    while (member->settle_count > 0) {
        settle_pop(member);
    }
    take_end(member);
    weir_member_reads_end(member);
    weir_stream_away(engine, member);
    weir_link_remove(&member->port_link);
    member->port = NULL;
    member->heard_ns = engine->now_ns;
    absent(engine, group);
    weir_group_due_at(group, engine->now_ns + session_ns(group));
}

void weir_member_unheard(weir_engine *engine, weir_member *member)
{
    member_gone(engine, member, false);
}

static void leave_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_member *member = op->member.member;
    weir_completion done = {.type = WEIR_COMPLETION_LEFT, .user = op->user, .token = op->token};
    if (member->takes) {
        weir_member_give_err(engine, member, WEIR_CLOSED); /* [M2] */
    }
    while (member->settle_count > 0) {
        weir_completion late = {.type = WEIR_COMPLETION_SETTLED,
                                .err = WEIR_CLOSED,
                                .user = member->settles->user,
                                .token = member->settles->token};
        settled_answer(port, &late, member->settles->no_confirm, 0);
        settle_pop(member);
    }
    member_gone(engine, member, op->member.orderly);
    weir_port_answer(port, &done, weir_engine_unit_now(engine), WEIR_LEVEL_DISK); /* [M2] */
}

void weir_members_end(weir_engine *engine, weir_port *port)
{
    while (!weir_link_empty(&port->members)) {
        weir_member *member = WEIR_OWNER_OF(port->members.next, weir_member, port_link);
        member_gone(engine, member, false);
    }
    if (engine->unit_open) { /* no turn is under way that would end it */
        weir_produce_close_all(engine);
        weir_engine_unit_end(engine);
    }
}

/* ---- Coming ----------------------------------------------------------------------------------- */

/* Never given twice: above the recovery epoch of this start. */
static uint64_t number_next(const weir_engine *engine, weir_group *group)
{
    uint64_t least = engine->recovery_epoch << 32;
    group->member_next = group->member_next < least ? least : group->member_next;
    return ++group->member_next;
}

static weir_err words_make(weir_member *member, const weir_join *join)
{
    char made[48];
    weir_bytes name = join->name;
    if (name.len == 0) {
        snprintf(made, sizeof(made), "member-%llu", (unsigned long long)member->number);
        name = weir_bytes_of(made);
    }
    member->words = malloc(name.len + join->instance.len + join->origin.len + 1);
    if (member->words == NULL) {
        return WEIR_NO_MEMORY;
    }
    member->name_bytes = (uint32_t)name.len;
    member->instance_bytes = (uint32_t)join->instance.len;
    member->origin_bytes = (uint32_t)join->origin.len;
    uint8_t *at = member->words;
    at = copy_bytes(at, &name);
    at = copy_bytes(at, &(weir_bytes){join->instance.ptr, join->instance.len});
    copy_bytes(at, &(weir_bytes){join->origin.ptr, join->origin.len});
    return WEIR_OK;
}

weir_err weir_member_make(weir_engine *engine, weir_group *group, const weir_join *join,
                          uint64_t number, weir_member **out)
{
    weir_member *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        return WEIR_NO_MEMORY;
    }
    member->group = group;
    member->number = number;
    member->auto_revoke = join->auto_revoke;
    member->heard_ns = engine->now_ns;
    weir_err err = words_make(member, join);
    if (err == WEIR_OK && !is_queue(group)) {
        err = weir_stream_member_make(member);
    }
    if (err != WEIR_OK) {
        free(member->words);
        free(member);
        return err;
    }
    *out = member;
    return WEIR_OK;
}

void weir_member_add(weir_engine *engine, weir_member *member)
{
    weir_group *group = member->group;
    weir_link_append(&group->members, &member->group_link);
    group->member_count++;
    group->members_work = true;
    engine->stats.members++;
    if (member->port != NULL) {
        group->present++;
        group->empty_since_ms = 0;
    }
    weir_group_due_at(group, engine->now_ns + session_ns(group));
    weir_group_busy(engine, group);
}

static weir_err join_run(weir_engine *engine, weir_port *port, const weir_op *op, weir_group *group,
                         weir_member **out)
{
    const weir_join *join = &((const weir_op_join *)(const void *)op->data)->join;
    weir_member *member = NULL;
    if (is_queue(group) && join->instance.len > 0) {
        return WEIR_INVALID;
    }
    if (group->member_count >= engine->limits.group_members_max) {
        engine->stats.refused_members++;
        return WEIR_LIMIT;
    }
    weir_err err = weir_member_make(engine, group, join, number_next(engine, group), &member);
    if (err != WEIR_OK) {
        return err;
    }
    member->port = port;
    member->user = op->user;
    weir_link_append(&port->members, &member->port_link);
    weir_member_add(engine, member);
    err = is_queue(group) ? weir_queue_join(engine, member) : weir_stream_join(engine, member);
    if (err != WEIR_OK) {
        member_out(engine, member, true);
        weir_member_free(member);
        return err;
    }
    weir_group_changed(engine, group);
    *out = member;
    return WEIR_OK;
}

static void join_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    const weir_op_join *asked = (const weir_op_join *)(const void *)op->data;
    weir_completion done = {.type = WEIR_COMPLETION_MEMBER, .user = op->user, .token = op->token};
    weir_group *group = NULL;
    weir_member *member = NULL;
    done.err = weir_group_want(engine, asked->join.group, asked->join.options, &group);
    if (done.err == WEIR_OK) {
        done.err = join_run(engine, port, op, group, &member);
    }
    if (group != NULL) { /* refused: what is in force is told */
        done.joined = (weir_joined){
            .member = member,
            .model = group->options.model,
            .mode = group->options.mode,
            .number = member != NULL ? member->number : 0,
            .generation = group->generation,
            .lease_ms = is_queue(group) ? group->options.lease_ms : 0,
            .session_ms = group->options.session_ms,
        };
    }
    /* [E4] a group that was just made is told of when it is durable. */
    bool told = engine->topics_unit <= weir_engine_mark(engine, WEIR_LEVEL_DISK);
    weir_level level = told ? WEIR_LEVEL_MEMORY : WEIR_LEVEL_DISK;
    if (member != NULL) {
        waits_for(member, level);
    }
    weir_port_answer(port, &done, engine->topics_unit, level);
}

/* ---- Operations ------------------------------------------------------------------------------- */

void weir_member_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    weir_member *member = op->type == WEIR_OP_MEMBER_JOIN ? NULL : op->member.member;
    if (member != NULL) {
        member->heard_ns = engine->now_ns;
    }
    switch (op->type) {
    case WEIR_OP_MEMBER_JOIN:
        join_op(engine, port, op);
        break;
    case WEIR_OP_MEMBER_LEAVE:
        leave_op(engine, port, op);
        break;
    case WEIR_OP_MEMBER_REVOKED:
        if (member->group != NULL && !is_queue(member->group)) {
            weir_stream_revoked(engine, member, op->member.generation);
        }
        break;
    case WEIR_OP_MEMBER_TAKE:
        take_op(engine, port, op);
        break;
    case WEIR_OP_MEMBER_TAKE_CANCEL:
        cancel_op(engine, member);
        break;
    case WEIR_OP_MEMBER_SETTLE:
        settle_op(engine, port, op);
        break;
    default:
        break; /* a beat: it was heard */
    }
}

/* ---- Once a turn ------------------------------------------------------------------------------ */

/* Why writing has stopped until the next start; OK: it has not, though the disk may be full. */
static weir_err stopped_by(const weir_engine *engine)
{
    int health = atomic_load_explicit(&engine->health, memory_order_relaxed);
    weir_err stopped = health == WEIR_HEALTH_FENCED ? WEIR_FENCED : WEIR_READ_ONLY;
    return health <= WEIR_HEALTH_DISK_FULL ? WEIR_OK : stopped;
}

/* Whether there is nothing that this member can be given unless something is written: a lease, what
 * at-most-once accepts, or the generation in which it would own anything. */
static bool take_writes(const weir_member *member)
{
    const weir_group *group = member->group;
    return is_queue(group) || group->options.mode == WEIR_MODE_AT_MOST_ONCE ||
           member->stream->part_count == 0;
}

/* Takes that wait when writing stops are answered then: waiting would help nobody. */
static void stop_look(weir_engine *engine)
{
    bool stopped = stopped_by(engine) != WEIR_OK;
    const weir_link *busy = &engine->groups.busy;
    if (stopped && !engine->groups.stopped) {
        for (weir_link *at = busy->next; at != busy; at = at->next) {
            weir_members_altered(engine, WEIR_OWNER_OF(at, weir_group, busy_link));
        }
    }
    engine->groups.stopped = stopped;
}

/* A stream's parts that became ready: their owners' takes are worth a try. */
static void ready_owners(weir_group *group)
{
    while (!weir_link_empty(&group->ready)) {
        weir_group_part *part = WEIR_OWNER_OF(group->ready.next, weir_group_part, ready_link);
        weir_link_remove(&part->ready_link);
        if (part->owner != NULL) {
            part->owner->take_due = true;
        }
    }
}

static void takes_work(weir_engine *engine, weir_group *group)
{
    bool queue = is_queue(group);
    weir_err stopped = stopped_by(engine);
    for (weir_link *at = group->takes.next, *next = NULL; at != &group->takes; at = next) {
        weir_member *member = WEIR_OWNER_OF(at, weir_member, take_link);
        next = at->next;
        if (!member->take_due && !(queue && !weir_link_empty(&group->ready))) {
            continue;
        }
        member->take_due = false;
        if (stopped != WEIR_OK && take_writes(member)) {
            weir_member_give_err(engine, member, stopped);
            continue;
        }
        bool given = queue ? weir_queue_take(engine, member) : weir_stream_take(engine, member);
        if (!given && member->read == NULL && member->take_deadline_ns <= engine->now_ns &&
            !member->take_due) {
            weir_member_give(engine, member, NULL, 0, 0, WEIR_LEVEL_MEMORY);
        }
    }
}

/* When the member is out, or its take is over. */
static uint64_t member_deadline(const weir_member *member)
{
    uint64_t deadline = UINT64_MAX;
    if (!member->takes) {
        deadline = member->heard_ns + session_ns(member->group);
    } else if (member->read == NULL) { /* what it reads, it gets */
        deadline = member->take_deadline_ns;
    }
    if (member->stream != NULL && member->stream->revoke_deadline_ns != 0 &&
        member->stream->revoke_deadline_ns < deadline) {
        deadline = member->stream->revoke_deadline_ns;
    }
    return deadline;
}

static void times_over(weir_engine *engine, weir_group *group)
{
    uint64_t least = 0;
    for (weir_link *at = group->members.next, *next = NULL; at != &group->members; at = next) {
        weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        next = at->next;
        if (member->takes && member->read == NULL && member->take_deadline_ns <= engine->now_ns &&
            !member->take_due) {
            weir_member_give(engine, member, NULL, 0, 0, WEIR_LEVEL_MEMORY);
        }
        uint64_t deadline = member_deadline(member);
        if (deadline <= engine->now_ns && !member->takes) {
            weir_member_out(engine, member, false);
        } else if (deadline <= engine->now_ns && member->take_deadline_ns > engine->now_ns) {
            weir_member_out(engine, member, false); /* it does not give up what it was asked to */
        } else if (least == 0 || deadline < least) {
            least = deadline;
        }
    }
    group->members_due_ns = least == UINT64_MAX ? 0 : least;
}

static void settles_work(weir_engine *engine, weir_group *group)
{
    for (weir_link *at = group->members.next; at != &group->members && group->settles_waiting > 0;
         at = at->next) {
        weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        if (member->read == NULL) {
            settles_go_on(engine, member);
        }
    }
}

static void group_work(weir_engine *engine, weir_group *group)
{
    group->members_work = false;
    settles_work(engine, group);
    if (!is_queue(group)) {
        weir_stream_work(engine, group);
        ready_owners(group);
    }
    takes_work(engine, group);
    if (group->members_due_ns != 0 && group->members_due_ns <= engine->now_ns) {
        times_over(engine, group);
        if (!is_queue(group)) {
            weir_stream_work(engine, group); /* who is out makes a generation */
        }
    }
}

/* Those that are out and have not been told yet. */
static void tell_fenced(weir_engine *engine)
{
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_port *port = engine->ports[i];
        for (weir_link *at = port->members.next; at != &port->members; at = at->next) {
            weir_member *member = WEIR_OWNER_OF(at, weir_member, port_link);
            if (member->fenced && weir_member_answered(engine, member) && weir_port_room(port)) {
                weir_completion told = {.type = WEIR_COMPLETION_ASSIGNED, .user = member->user};
                told.assigned = (weir_assigned){.member = member, .fenced = true};
                weir_port_unasked(port, &told);
                member->fenced = false;
                engine->groups.untold--;
            }
        }
    }
}

bool weir_member_answered(weir_engine *engine, weir_member *member)
{
    const weir_answers *answers = &member->port->waiting[member->answer_level];
    if (answers->left >= member->answer_number) {
        return true;
    }
    if (answers->count > 0 &&
        answers->items[answers->head].unit <= weir_engine_mark(engine, member->answer_level)) {
        weir_groups_due(engine); /* some of them leave in this turn */
    }
    return false;
}

void weir_members_work(weir_engine *engine)
{
    stop_look(engine);
    for (weir_link *at = engine->groups.busy.next, *next = NULL; at != &engine->groups.busy;
         at = next) {
        weir_group *group = WEIR_OWNER_OF(at, weir_group, busy_link);
        next = at->next;
        if (group->members_work ||
            (group->members_due_ns != 0 && group->members_due_ns <= engine->now_ns)) {
            group_work(engine, group);
        }
    }
    if (engine->groups.untold > 0) {
        tell_fenced(engine);
    }
}

uint64_t weir_members_deadline(const weir_engine *engine, const weir_group *group)
{
    (void)engine;
    return group->members_due_ns == 0 ? UINT64_MAX : group->members_due_ns;
}
