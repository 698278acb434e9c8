/* tests/unit/engine/group_box.h - members of groups in tests: completions are kept until they are
 * asked for, whatever comes between. */
#ifndef WEIR_TESTS_ENGINE_GROUP_BOX_H
#define WEIR_TESTS_ENGINE_GROUP_BOX_H

#include "tests/unit/engine/group.h"
#include "tests/unit/engine/life.h"

enum { BOX_MAX = 512, BOX_TURNS = 2000 };

typedef struct box {
    weir_port *port;
    weir_completion kept[BOX_MAX];
    uint32_t count;
} box;

static inline void box_fill(box *b)
{
    weir_completion done;
    while (weir_port_drain(b->port, &done, 1) == 1) {
        assert_true(b->count < BOX_MAX);
        b->kept[b->count++] = done;
    }
}

/* The oldest one of this type, and with this user unless that is NULL. */
static inline bool box_find(box *b, weir_completion_type type, const void *user,
                            weir_completion *out)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->kept[i].type == type && (user == NULL || b->kept[i].user == user)) {
            *out = b->kept[i];
            memmove(&b->kept[i], &b->kept[i + 1], (b->count - i - 1) * sizeof(b->kept[0]));
            b->count--;
            return true;
        }
    }
    return false;
}

static inline weir_completion box_wait(box *b, weir_completion_type type, const void *user)
{
    weir_completion done = {0};
    for (int i = 0; !box_find(b, type, user, &done); i++) {
        if (i == BOX_TURNS) {
            fail_msg("no completion of type %d came", (int)type);
        }
        (void)weir_port_wait(b->port, 20);
        box_fill(b);
    }
    return done;
}

/* Nothing of this type comes. */
static inline void box_none(box *b, weir_completion_type type, const void *user)
{
    weir_completion done;
    for (int i = 0; i < 10; i++) {
        weir_port_step(b->port);
        box_fill(b);
    }
    assert_false(box_find(b, type, user, &done));
}

static inline void box_drop(box *b)
{
    box_fill(b);
    while (b->count > 0) {
        weir_completion_drop(&b->kept[--b->count]);
    }
}

static inline void box_declare(box *b, const char *topic)
{
    weir_topic_options options = {.partitions = 1, .level = WEIR_LEVEL_DISK};
    assert_int_equal(weir_port_topic_create(b->port, weir_bytes_of(topic), &options, b, 1),
                     WEIR_OK);
    weir_completion done = box_wait(b, WEIR_COMPLETION_TOPIC, b);
    assert_int_equal(done.err, WEIR_OK);
    weir_completion_drop(&done);
}

static inline void box_publish(box *b, const char *topic, const char *value)
{
    weir_publish record = {.name = weir_bytes_of(topic), .value = weir_bytes_of(value)};
    assert_int_equal(weir_port_publish(b->port, &record, b, 1), WEIR_OK);
    assert_int_equal(box_wait(b, WEIR_COMPLETION_PUBLISH, b).err, WEIR_OK);
}

/* ---- Members ---------------------------------------------------------------------------------- */

typedef struct joined_member {
    box *b;
    weir_member *member;
    uint64_t generation; /* of the last ASSIGNED that was looked at */
    char name[16];
} joined_member;

static inline weir_err member_join_with(joined_member *m, box *b, const weir_join *join)
{
    m->b = b;
    assert_int_equal(weir_port_member_join(b->port, join, m, 11), WEIR_OK);
    weir_completion done = box_wait(b, WEIR_COMPLETION_MEMBER, m);
    m->member = done.joined.member;
    return done.err;
}

static inline void member_join(joined_member *m, box *b, const char *group, const char *name)
{
    weir_join join = {.group = weir_bytes_of(group),
                      .name = weir_bytes_of(name),
                      .origin = weir_bytes_of("test")};
    memset(m, 0, sizeof(*m));
    assert_int_equal(member_join_with(m, b, &join), WEIR_OK);
}

/* The next ASSIGNED of the member, its partitions as "topic/partition " in order; drop nothing. */
static inline void owned_text(const weir_owned *owned, uint32_t count, char *text, size_t size)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        size_t at = strlen(text);
        snprintf(text + at, size - at, "%.*s/%u ", (int)owned[i].topic.len, owned[i].topic.ptr,
                 owned[i].partition);
    }
}

typedef struct assigned_text {
    uint64_t generation;
    uint32_t owned_count, revoked_count;
    char owned[1024], revoked[1024];
    bool fenced;
} assigned_text;

static inline assigned_text member_assigned(joined_member *m)
{
    assigned_text text = {0};
    weir_completion done = box_wait(m->b, WEIR_COMPLETION_ASSIGNED, m);
    assert_ptr_equal(done.assigned.member, m->member);
    text.generation = done.assigned.generation;
    text.owned_count = done.assigned.owned_count;
    text.revoked_count = done.assigned.revoked_count;
    text.fenced = done.assigned.fenced;
    owned_text(done.assigned.owned, done.assigned.owned_count, text.owned, sizeof(text.owned));
    owned_text(done.assigned.revoked, done.assigned.revoked_count, text.revoked,
               sizeof(text.revoked));
    m->generation = text.generation;
    weir_completion_drop(&done);
    return text;
}

/* ASSIGNED comes when anything changed: this is about the one that has so many partitions. */
static inline assigned_text member_owns(joined_member *m, uint32_t count)
{
    assigned_text text = member_assigned(m);
    for (int i = 0; text.owned_count != count; i++) {
        assert_true(i < 100);
        text = member_assigned(m);
    }
    return text;
}

static inline bool member_fenced(joined_member *m)
{
    for (int i = 0; i < 100; i++) {
        if (member_assigned(m).fenced) {
            return true;
        }
    }
    return false;
}

static inline void member_take_send(joined_member *m, uint32_t records_max, uint32_t wait_ms)
{
    weir_take take = {.records_max = records_max, .bytes_max = 1 << 20, .wait_ms = wait_ms};
    assert_int_equal(weir_port_take(m->b->port, m->member, &take, m, 12), WEIR_OK);
}

/* What was taken, as "partition:offset=value ". */
static inline weir_err member_taken(joined_member *m, char *text, size_t size)
{
    weir_completion done = box_wait(m->b, WEIR_COMPLETION_TAKEN, m);
    text[0] = '\0';
    for (uint32_t i = 0; i < done.taken.run_count; i++) {
        const weir_handed *run = &done.taken.runs[i];
        for (uint32_t r = 0; r < run->count; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            size_t at = strlen(text);
            snprintf(text + at, size - at, "%u:%lld=%.*s ", weir_chunk_partition(run->chunk),
                     (long long)record.offset, (int)record.value.len, record.value.ptr);
        }
    }
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline void member_takes(joined_member *m, uint32_t records_max, const char *expected)
{
    char text[4096];
    member_take_send(m, records_max, 30000);
    assert_int_equal(member_taken(m, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, expected);
}

static inline void member_takes_nothing(joined_member *m)
{
    char text[4096];
    member_take_send(m, 100, 0);
    assert_int_equal(member_taken(m, text, sizeof(text)), WEIR_OK);
    assert_string_equal(text, "");
}

static inline weir_completion member_settles(joined_member *m, const weir_settle *settle)
{
    assert_int_equal(weir_port_settle(m->b->port, m->member, settle, m, 13), WEIR_OK);
    return box_wait(m->b, WEIR_COMPLETION_SETTLED, m);
}

/* stream: everything through `last`. */
static inline weir_err member_commits(joined_member *m, const char *topic, uint32_t partition,
                                      int64_t last)
{
    weir_settle_range range = {
        .topic = weir_bytes_of(topic), .partition = partition, .first = last, .last = last};
    weir_settle settle = {
        .verb = WEIR_VERB_ACCEPT, .ranges = &range, .range_count = 1, .generation = m->generation};
    return member_settles(m, &settle).err;
}

static inline weir_err member_rejects(joined_member *m, const char *topic, uint32_t partition,
                                      int64_t offset, const char *reason)
{
    weir_settle_range range = {
        .topic = weir_bytes_of(topic), .partition = partition, .first = offset, .last = offset};
    weir_settle settle = {.verb = WEIR_VERB_REJECT,
                          .ranges = &range,
                          .range_count = 1,
                          .generation = m->generation,
                          .reason = weir_bytes_of(reason)};
    return member_settles(m, &settle).err;
}

static inline void member_revoked(joined_member *m)
{
    assert_int_equal(weir_port_member_revoked(m->b->port, m->member, m->generation), WEIR_OK);
}

static inline void member_beat(joined_member *m)
{
    assert_int_equal(weir_port_member_beat(m->b->port, m->member), WEIR_OK);
}

static inline void member_leave(joined_member *m, bool orderly)
{
    assert_int_equal(weir_port_member_leave(m->b->port, m->member, orderly, m, 14), WEIR_OK);
    weir_completion done = box_wait(m->b, WEIR_COMPLETION_LEFT, m);
    assert_int_equal(done.err, WEIR_OK);
}

/* ---- An engine with a clock that is turned by hand, and its box ------------------------------- */

typedef struct group_fixture {
    life_fixture l;
    box b;
} group_fixture;

static inline void group_begin(group_fixture *g)
{
    memset(g, 0, sizeof(*g));
    life_begin(&g->l);
    g->b.port = g->l.f.port;
}

static inline void group_end(group_fixture *g)
{
    box_drop(&g->b);
    life_end(&g->l);
}

static inline void group_kill(group_fixture *g)
{
    box_drop(&g->b);
    fixture_kill(&g->l.f);
    fixture_open(&g->l.f);
    g->b.port = g->l.f.port;
}

static inline void group_restart(group_fixture *g)
{
    box_drop(&g->b);
    fixture_close(&g->l.f);
    fixture_open(&g->l.f);
    g->b.port = g->l.f.port;
}

static inline void declare_many(weir_port *port, const char *name, uint32_t partitions,
                                weir_level level)
{
    weir_topic_options options = {.partitions = partitions, .level = level};
    assert_int_equal(declare_with(port, name, options), WEIR_OK);
}

static inline int64_t publish_key(weir_port *port, const char *topic, const char *key,
                                  const char *value)
{
    weir_publish record = {
        .topic = weir_bytes_of(topic), .key = weir_bytes_of(key), .value = weir_bytes_of(value)};
    weir_completion done = publish_record(port, &record);
    assert_int_equal(done.err, WEIR_OK);
    return done.published.offset;
}

#endif
