/* core/engine/stream.c - who owns which partition of a stream group, and since which generation.
 *
 *   a member comes, goes; parts come, go
 *          |
 *          v                    unit: 24 generation         durable
 *   [due] --divide (assign.c)--> targets ------------------------> told (ASSIGNED), handed out
 *
 *   a part:  no owner --granted to its target--> owned --told--> takes
 *               ^                                  | it is to go to another
 *               +-- given up, or its owner is out --+ asked back (ASSIGNED: revoked)
 *
 *   24 generation   group id u32 | saved
 *   saved           generation u64 | last member number u64 | members u32 | parts u32 |
 *                   members: number u64 | name u16 | instance u16 | origin u16 | bytes of these
 *                   parts: topic id u32 | partition u32 | index of its member u32
 *
 * What a generation says is whom each partition is meant for; it is told to members, and records are
 * handed out under it, when it has the level of the group's topics, so that its number is never used
 * for another assignment after a kill. A partition moves when its owner has given it up or is out
 * (KIP-848). What the old owner was handed and did not commit the new one is handed again.
 *
 * After a start nobody is there. Members without an instance are out: they cannot come back as who
 * they were. Static ones keep their places for a session, and a new generation begins when they do
 * not come, or do. A static member that comes a second time takes the place of the first one, which
 * is out.
 *
 * [G3] A partition has at most one owner in a generation; its successor begins at what is committed.
 * [S1] No record is handed out under a generation that is not at its level yet.
 * [S2] A partition that its owner was asked to give up is handed out to nobody, the owner included,
 *      before it was given up: a late word of giving up loses nothing. */
#include "core/engine/stream.h"

#include "core/engine/assign.h"

#include "core/base/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    SAVED_HEAD_BYTES = 24,
    SAVED_MEMBER_BYTES = 14,
    SAVED_PART_BYTES = 12,
    REVOKE_MS_LEAST = 300000, /* to give partitions up, for a member that says it is alive */
    TELL_AGAIN_NS = 10 * 1000 * 1000, /* when a port had no room */
};

weir_err weir_stream_make(weir_engine *engine, weir_group *group)
{
    (void)engine;
    group->stream = calloc(1, sizeof(*group->stream));
    return group->stream == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

void weir_stream_free(weir_group *group)
{
    while (group->members.next != NULL && !weir_link_empty(&group->members)) {
        weir_member *member = WEIR_OWNER_OF(group->members.next, weir_member, group_link);
        WEIR_ASSERT(member->port == NULL); /* ports are closed first */
        weir_member_free(member);
    }
    if (group->stream != NULL) {
        weir_buffer_fini(&group->stream->recovered);
        free(group->stream);
        group->stream = NULL;
    }
}

weir_err weir_stream_member_make(weir_member *member)
{
    member->stream = calloc(1, sizeof(*member->stream));
    if (member->stream == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_link_init(&member->stream->parts);
    member->stream->tell = true;
    return WEIR_OK;
}

static void want_generation(weir_group *group)
{
    group->stream->due = true;
    group->members_work = true;
}

static void want_tell(weir_member *member)
{
    member->stream->tell = true;
    member->group->stream->untold = true;
    member->group->members_work = true;
}

/* ---- Owners ----------------------------------------------------------------------------------- */

static void part_grant(weir_group_part *part)
{
    weir_member *member = part->target;
    if (part->owner != NULL || member == NULL || member->port == NULL) {
        return;
    }
    part->owner = member;
    part->owned_generation = member->group->generation;
    part->asked_generation = 0;
    part->told = false;
    part->handed_mode = 0;
    part->handed = part->committed; /* [G3] */
    weir_link_append(&member->stream->parts, &part->owner_link);
    member->stream->part_count++;
    want_tell(member);
}

/* The owner has it no more: what it was handed and did not commit will be handed out again. */
static void part_release(weir_group_part *part)
{
    weir_link_remove(&part->owner_link);
    part->owner->stream->part_count--;
    part->owner = NULL;
    part->told = false;
    part->asked_generation = 0;
    part->handed = part->committed;
    weir_stream_passes_cut(part, part->committed);
}

static void release_all(weir_member *member)
{
    while (!weir_link_empty(&member->stream->parts)) {
        part_release(WEIR_OWNER_OF(member->stream->parts.next, weir_group_part, owner_link));
    }
    member->stream->revoke_deadline_ns = 0;
}

void weir_stream_part_free(weir_group_part *part)
{
    if (part->owner != NULL) {
        weir_member *owner = part->owner;
        part_release(part);
        want_tell(owner);
    }
    if (part->passes != NULL) {
        free(part->passes->items);
        free(part->passes);
        part->passes = NULL;
    }
}

void weir_stream_parts_changed(weir_engine *engine, weir_group *group)
{
    (void)engine;
    want_generation(group);
}

static bool asked_back(const weir_group_part *part)
{
    return part->asked_generation != 0 || part->target != part->owner;
}

/* Whether it has anything that it is to give up. */
static bool revokes(const weir_member *member)
{
    const weir_link *list = &member->stream->parts;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        if (asked_back(WEIR_OWNER_OF(at, const weir_group_part, owner_link))) {
            return true;
        }
    }
    return false;
}

/* Nobody waits for it when there is nothing left to give up. */
static void revoke_look(weir_member *member)
{
    if (!revokes(member)) {
        member->stream->revoke_deadline_ns = 0;
    }
}

/* What it was asked for in this generation or before. */
static void give_up_asked(weir_member *member, uint64_t generation)
{
    weir_link *list = &member->stream->parts;
    for (weir_link *at = list->next, *next = NULL; at != list; at = next) {
        weir_group_part *part = WEIR_OWNER_OF(at, weir_group_part, owner_link);
        next = at->next;
        if (part->asked_generation != 0 && part->asked_generation <= generation) {
            part_release(part);
            part_grant(part);
        }
    }
    revoke_look(member);
}

void weir_stream_revoked(weir_engine *engine, weir_member *member, uint64_t generation)
{
    (void)engine;
    give_up_asked(member, generation);
}

/* ---- Coming and going ------------------------------------------------------------------------- */

static weir_bytes instance_of(const weir_member *member)
{
    return (weir_bytes){member->words + member->name_bytes, member->instance_bytes};
}

static weir_member *find_instance(const weir_group *group, const weir_member *self)
{
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        if (member != self && member->instance_bytes == self->instance_bytes &&
            weir_bytes_equal(instance_of(member), instance_of(self))) {
            return member;
        }
    }
    return NULL;
}

/* The same static member comes again: its partitions are meant for it, as before. */
static void take_place(weir_engine *engine, weir_member *old, weir_member *member)
{
    weir_group *group = member->group;
    release_all(old);
    for (uint32_t i = 0; i < group->part_count; i++) {
        if (group->parts[i]->target == old) {
            group->parts[i]->target = member;
        }
    }
    weir_member_out(engine, old, true);
}

static void start(weir_engine *engine, weir_group *group);

weir_err weir_stream_join(weir_engine *engine, weir_member *member)
{
    weir_group *group = member->group;
    start(engine, group);
    weir_member *old = member->instance_bytes > 0 ? find_instance(group, member) : NULL;
    if (old != NULL) {
        take_place(engine, old, member);
    }
    want_generation(group);
    return WEIR_OK;
}

void weir_stream_left(weir_engine *engine, weir_member *member)
{
    weir_group *group = member->group;
    (void)engine;
    release_all(member);
    for (uint32_t i = 0; i < group->part_count; i++) {
        if (group->parts[i]->target == member) {
            group->parts[i]->target = NULL;
        }
    }
    want_generation(group);
}

void weir_stream_away(weir_engine *engine, weir_member *member)
{
    weir_link *list = &member->stream->parts;
    (void)engine;
    while (!weir_link_empty(list)) {
        weir_group_part *part = WEIR_OWNER_OF(list->next, weir_group_part, owner_link);
        part_release(part);
        if (part->target != member) {
            part_grant(part); /* it was to give that one up */
        }
    }
    member->stream->revoke_deadline_ns = 0;
}

/* ---- The bytes of a generation ---------------------------------------------------------------- */

static void index_members(const weir_group *group)
{
    uint32_t index = 0;
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        WEIR_OWNER_OF(at, weir_member, group_link)->stream->index = index++;
    }
}

static void put_member(const weir_member *member, weir_writer *to)
{
    weir_writer_u64(to, member->number);
    weir_writer_u16(to, (uint16_t)member->name_bytes);
    weir_writer_u16(to, (uint16_t)member->instance_bytes);
    weir_writer_u16(to, (uint16_t)member->origin_bytes);
    weir_writer_bytes(to, member->words,
                      (size_t)member->name_bytes + member->instance_bytes + member->origin_bytes);
}

/* `targets`: of each part of the group, by the members' indexes. */
static void put_generation(const weir_group *group, uint64_t generation,
                           const weir_assign_part *targets, weir_writer *to)
{
    uint32_t meant = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        meant += targets[i].target != WEIR_ASSIGN_NOBODY ? 1 : 0;
    }
    weir_writer_u64(to, generation);
    weir_writer_u64(to, group->member_next);
    weir_writer_u32(to, group->member_count);
    weir_writer_u32(to, meant);
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        put_member(WEIR_OWNER_OF(at, const weir_member, group_link), to);
    }
    for (uint32_t i = 0; i < group->part_count; i++) {
        if (targets[i].target != WEIR_ASSIGN_NOBODY) {
            weir_writer_u32(to, group->parts[i]->topic_id);
            weir_writer_u32(to, group->parts[i]->index);
            weir_writer_u32(to, targets[i].target);
        }
    }
}

/* How things are, for assign.c; NULL: no memory. */
static weir_assign_part *parts_as_they_are(const weir_group *group)
{
    weir_assign_part *parts = malloc((group->part_count + 1) * sizeof(*parts));
    if (parts == NULL) {
        return NULL;
    }
    index_members(group);
    for (uint32_t i = 0; i < group->part_count; i++) {
        const weir_group_part *part = group->parts[i];
        parts[i].owner = part->owner != NULL ? part->owner->stream->index : WEIR_ASSIGN_NOBODY;
        parts[i].target = part->target != NULL ? part->target->stream->index : WEIR_ASSIGN_NOBODY;
    }
    return parts;
}

void weir_stream_put(weir_engine *engine, const weir_group *group, weir_writer *to)
{
    (void)engine;
    if (!group->stream->started && group->stream->recovered.len > 0) {
        weir_writer_bytes(to, group->stream->recovered.ptr, group->stream->recovered.len);
        return;
    }
    weir_assign_part *parts = parts_as_they_are(group);
    if (parts == NULL) {
        to->err = to->err == WEIR_OK ? WEIR_NO_MEMORY : to->err;
        return;
    }
    put_generation(group, group->generation, parts, to);
    free(parts);
}

/* Reads one member; what join it would be, with its number. */
static weir_join get_member(weir_reader *from, uint64_t *number)
{
    *number = weir_reader_u64(from);
    uint16_t name = weir_reader_u16(from);
    uint16_t instance = weir_reader_u16(from);
    uint16_t origin = weir_reader_u16(from);
    weir_join join = {.name = weir_reader_bytes(from, name)};
    join.instance = weir_reader_bytes(from, instance);
    join.origin = weir_reader_bytes(from, origin);
    return join;
}

/* DAMAGED: these bytes are no generation. */
static weir_err check_saved(weir_bytes saved, uint64_t *generation, uint64_t *member_next)
{
    weir_reader from = {.rest = saved};
    *generation = weir_reader_u64(&from);
    *member_next = weir_reader_u64(&from);
    uint32_t members = weir_reader_u32(&from);
    uint32_t parts = weir_reader_u32(&from);
    for (uint32_t i = 0; i < members && !from.failed; i++) {
        uint64_t number = 0;
        (void)get_member(&from, &number);
    }
    for (uint32_t i = 0; i < parts && !from.failed; i++) {
        (void)weir_reader_u64(&from);
        from.failed |= weir_reader_u32(&from) >= members;
    }
    return from.failed || from.rest.len > 0 ? WEIR_DAMAGED : WEIR_OK;
}

static weir_err set_recovered(weir_group *group, weir_bytes saved)
{
    uint64_t generation = 0, member_next = 0;
    weir_err err = check_saved(saved, &generation, &member_next);
    weir_buffer *recovered = &group->stream->recovered;
    err = err == WEIR_OK ? weir_buffer_reserve(recovered, saved.len) : err;
    if (err != WEIR_OK) {
        return err;
    }
    recovered->len = 0;
    err = weir_buffer_append(recovered, saved.ptr, saved.len);
    group->generation = generation;
    group->member_next = member_next;
    group->members_work = true; /* the first turn takes it up */
    return err;
}

weir_err weir_stream_take_saved(weir_engine *engine, weir_group *group, weir_reader *from)
{
    (void)engine;
    weir_bytes saved = from->rest;
    from->rest = (weir_bytes){saved.ptr + saved.len, 0};
    return set_recovered(group, saved);
}

static weir_err replay_generation(weir_engine *engine, weir_bytes body, uint64_t unit)
{
    if (body.len < 4 + SAVED_HEAD_BYTES) {
        return WEIR_DAMAGED;
    }
    uint32_t id = weir_get_u32(body.ptr);
    weir_group *group = weir_group_find_id(engine, id);
    if (group == NULL) {
        return id < engine->groups.id_next ? WEIR_OK : WEIR_DAMAGED; /* deleted later on */
    }
    if (group->held_unit >= unit) {
        return WEIR_OK;
    }
    if (group->options.model != WEIR_MODEL_STREAM) {
        return WEIR_DAMAGED;
    }
    weir_group_changed(engine, group);
    group->rebalances++;
    return set_recovered(group, (weir_bytes){body.ptr + 4, body.len - 4});
}

weir_err weir_stream_replay(weir_engine *engine, uint16_t type, uint8_t version, weir_bytes body,
                            const weir_journal_unit *unit, uint64_t snapshot_unit)
{
    if (version != 1) {
        return WEIR_VERSION;
    }
    if (unit->number <= snapshot_unit) {
        return WEIR_OK;
    }
    return type == WEIR_ENTRY_GENERATION ? replay_generation(engine, body, unit->number)
                                         : weir_stream_commit_replay(engine, body, unit->number);
}

/* ---- After a start ---------------------------------------------------------------------------- */

/* The static members of the last generation have their places; *seat: one of them, or NULL. */
static weir_err seat_make(weir_engine *engine, weir_group *group, weir_reader *from,
                          weir_member **seat)
{
    uint64_t number = 0;
    weir_join join = get_member(from, &number);
    *seat = NULL;
    if (join.instance.len == 0) {
        return WEIR_OK;
    }
    weir_err err = weir_member_make(engine, group, &join, number, seat);
    if (err == WEIR_OK) {
        weir_member_add(engine, *seat);
    }
    return err;
}

static void seats_take(weir_engine *engine, weir_group *group)
{
    weir_reader from = {.rest = weir_buffer_bytes(&group->stream->recovered)};
    (void)weir_reader_bytes(&from, 16);
    uint32_t members = weir_reader_u32(&from);
    uint32_t parts = weir_reader_u32(&from);
    weir_member **seats = calloc((size_t)members + 1, sizeof(weir_member *));
    weir_err err = seats == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (uint32_t i = 0; i < members && err == WEIR_OK; i++) {
        err = seat_make(engine, group, &from, &seats[i]);
    }
    for (uint32_t i = 0; i < parts && err == WEIR_OK; i++) {
        uint32_t topic_id = weir_reader_u32(&from);
        uint32_t partition = weir_reader_u32(&from);
        weir_member *seat = seats[weir_reader_u32(&from)];
        weir_group_part *part = weir_group_part_find(group, topic_id, partition);
        if (part != NULL && seat != NULL) {
            part->target = seat;
        }
    }
    group->stream->seats = members;
    free(seats);
}

/* Once, when the clock runs: before anything is done for the group. */
static void start(weir_engine *engine, weir_group *group)
{
    struct weir_stream *stream = group->stream;
    if (stream->started) {
        return;
    }
    stream->started = true;
    if (stream->recovered.len > 0) {
        seats_take(engine, group);
        weir_buffer_fini(&stream->recovered);
        stream->recovered = (weir_buffer){0};
        stream->due = stream->seats > 0;
    }
}

/* ---- A new generation ------------------------------------------------------------------------- */

static weir_level level_of(const weir_group *group)
{
    weir_level level = WEIR_LEVEL_DEFAULT;
    for (uint32_t i = 0; i < group->part_count; i++) {
        const weir_partition *partition = group->parts[i]->partition;
        if (partition != NULL && partition->topic->options.level > level) {
            level = partition->topic->options.level;
        }
    }
    return level == WEIR_LEVEL_DEFAULT ? WEIR_LEVEL_DISK : level;
}

static void set_targets(weir_group *group, const weir_assign_part *parts, weir_member **members)
{
    for (uint32_t i = 0; i < group->part_count; i++) {
        uint32_t target = parts[i].target;
        group->parts[i]->target = target != WEIR_ASSIGN_NOBODY ? members[target] : NULL;
    }
}

/* What has no owner goes to whom it is meant for; what others have is asked back. */
static void settle_owners(weir_group *group)
{
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_part *part = group->parts[i];
#ifdef WEIR_PLANT_TWO_OWNERS /* a bug on purpose, by which the simulation is tested */
        if (part->owner != NULL && part->target != part->owner) {
            part_release(part);
        }
#endif
        part_grant(part);
        if (part->owner != NULL && part->target != part->owner && part->asked_generation == 0) {
            want_tell(part->owner);
        }
    }
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        const weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        group->stream->untold |= member->stream->tell;
    }
}

static void apply_generation(weir_engine *engine, weir_group *group, const weir_assign_part *parts,
                             weir_member **members)
{
    struct weir_stream *stream = group->stream;
    group->generation++;
    group->rebalances++;
    engine->stats.rebalances++;
    set_targets(group, parts, members);
    stream->seats = group->member_count;
    stream->unit = weir_engine_unit_now(engine);
    stream->level = level_of(group);
    engine->disk_wanted |= stream->level == WEIR_LEVEL_DISK;
    settle_owners(group);
    weir_group_changed(engine, group);
}

static weir_err decide_generation(weir_engine *engine, const weir_group *group,
                                  weir_assign_part *parts, weir_buffer *entry)
{
    uint32_t *scratch =
        malloc(((size_t)WEIR_ASSIGN_SCRATCH * group->member_count + 1) * sizeof(*scratch));
    if (scratch == NULL) {
        return WEIR_NO_MEMORY;
    }
    weir_assign(parts, group->part_count, group->member_count, scratch);
    free(scratch);
    weir_writer to = {.out = entry};
    weir_writer_u32(&to, group->id);
    put_generation(group, group->generation + 1, parts, &to);
    return to.err == WEIR_OK ? weir_engine_unit_reserve(engine, entry->len + 16) : to.err;
}

/* What cannot be done now is tried again: it stays due. */
static void make_generation(weir_engine *engine, weir_group *group)
{
    weir_buffer entry = {0};
    weir_assign_part *parts = parts_as_they_are(group);
    weir_member **members = malloc((group->member_count + (size_t)1) * sizeof(weir_member *));
    weir_err err = parts == NULL || members == NULL
                       ? WEIR_NO_MEMORY
                       : decide_generation(engine, group, parts, &entry);
    if (err == WEIR_OK) {
        memcpy(weir_engine_entry(engine, WEIR_ENTRY_GENERATION, entry.len), entry.ptr, entry.len);
        for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
            weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
            members[member->stream->index] = member;
        }
        apply_generation(engine, group, parts, members);
        group->stream->due = false;
        weir_groups_due(engine);
    } else {
        group->members_work = true;
    }
    weir_buffer_fini(&entry);
    free(parts);
    free(members);
}

/* ---- Telling ---------------------------------------------------------------------------------- */

static weir_bytes topic_of(const weir_group_part *part)
{
    const weir_topic_ref *ref = part->partition->topic->ref;
    return (weir_bytes){ref->name, ref->name_bytes};
}

/* The member's parts, those asked back or the others, with their topics' names in one piece. */
static weir_err list_parts(const weir_member *member, bool revoked, weir_owned **out,
                           uint32_t *count)
{
    const weir_link *list = &member->stream->parts;
    size_t bytes = 0;
    uint32_t found = 0;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, owner_link);
        if (asked_back(part) == revoked && part->partition != NULL) {
            bytes += topic_of(part).len;
            found++;
        }
    }
    weir_owned *owned = malloc(found * sizeof(*owned) + bytes + 1);
    if (owned == NULL) {
        return WEIR_NO_MEMORY;
    }
    uint8_t *names = (uint8_t *)(owned + found);
    *out = owned;
    *count = found;
    for (const weir_link *at = list->next; at != list; at = at->next) {
        const weir_group_part *part = WEIR_OWNER_OF(at, const weir_group_part, owner_link);
        if (asked_back(part) == revoked && part->partition != NULL) {
            weir_bytes topic = topic_of(part);
            memcpy(names, topic.ptr, topic.len);
            *owned++ = (weir_owned){{names, topic.len}, part->index};
            names += topic.len;
        }
    }
    return WEIR_OK;
}

/* From now on it has so long to give up what it was asked to. */
static void revoke_begins(weir_engine *engine, weir_member *member)
{
    uint64_t session = (uint64_t)member->group->options.session_ms;
    uint64_t wait_ms = session > REVOKE_MS_LEAST ? session : REVOKE_MS_LEAST;
    revoke_look(member); /* what it was to give up may be gone */
    if (member->stream->revoke_deadline_ns == 0 && revokes(member)) {
        member->stream->revoke_deadline_ns = engine->now_ns + wait_ms * 1000000;
        weir_group_due_at(member->group, member->stream->revoke_deadline_ns);
    }
}

static void told(weir_engine *engine, weir_member *member)
{
    weir_link *list = &member->stream->parts;
    uint64_t generation = member->group->generation;
    for (weir_link *at = list->next; at != list; at = at->next) {
        weir_group_part *part = WEIR_OWNER_OF(at, weir_group_part, owner_link);
        part->told = true;
        if (part->asked_generation == 0 && part->target != part->owner) {
            part->asked_generation = generation;
        }
    }
    member->stream->told = generation;
    member->stream->tell = false;
    revoke_begins(engine, member);
    if (member->auto_revoke) {
        give_up_asked(member, generation);
    }
    if (member->takes) {
        weir_member_due(member);
    }
}

/* False: later. */
static bool tell(weir_engine *engine, weir_member *member)
{
    if (!weir_member_answered(engine, member) || !weir_port_room(member->port)) {
        return false;
    }
    weir_completion done = {.type = WEIR_COMPLETION_ASSIGNED, .user = member->user};
    done.assigned = (weir_assigned){.member = member, .generation = member->group->generation};
    if (list_parts(member, false, &done.assigned.owned, &done.assigned.owned_count) != WEIR_OK ||
        list_parts(member, true, &done.assigned.revoked, &done.assigned.revoked_count) != WEIR_OK) {
        weir_completion_drop(&done);
        return false;
    }
    weir_port_unasked(member->port, &done);
    told(engine, member);
    return true;
}

static void tell_all(weir_engine *engine, weir_group *group)
{
    struct weir_stream *stream = group->stream;
    if (stream->unit > weir_engine_mark(engine, stream->level)) {
        group->members_work = true; /* [S1] looked at in each turn */
        return;
    }
    stream->untold = false;
    for (weir_link *at = group->members.next; at != &group->members; at = at->next) {
        weir_member *member = WEIR_OWNER_OF(at, weir_member, group_link);
        if (member->port != NULL && member->stream->tell && !tell(engine, member)) {
            stream->untold = true;
            group->members_work = true;
            weir_group_due_at(group, engine->now_ns + TELL_AGAIN_NS);
        }
    }
}

void weir_stream_work(weir_engine *engine, weir_group *group)
{
    struct weir_stream *stream = group->stream;
    start(engine, group);
    if (stream->due && (group->member_count > 0 || stream->seats > 0)) {
        make_generation(engine, group);
    }
    stream->due = stream->due && group->member_count > 0;
    if (stream->untold) {
        tell_all(engine, group);
    }
}
