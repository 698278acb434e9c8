/* tests/unit/engine/group_queue.h - queue groups in tests: members, takes, answers, and a clock that
 * can be moved on. By itself it goes slowly, so that no lease runs out because the machine is busy. */
#ifndef WEIR_TESTS_ENGINE_GROUP_QUEUE_H
#define WEIR_TESTS_ENGINE_GROUP_QUEUE_H

#include "tests/unit/engine/group.h"

#include <stdatomic.h>

enum { TAKEN_MAX = 4096, SLOWER = 10 };

static _Atomic uint64_t moved_ns; /* by which the clock was moved on; lanes read it */
static uint64_t begun_ns;
static int64_t begun_wall_ms;
static const weir_env_ops *ops_below;

static uint64_t moved_monotonic_ns(weir_env *env)
{
    return begun_ns + (ops_below->monotonic_ns(env) - begun_ns) / SLOWER + moved_ns;
}

static int64_t moved_wall_ms(weir_env *env)
{
    return begun_wall_ms + (ops_below->wall_ms(env) - begun_wall_ms) / SLOWER +
           (int64_t)(moved_ns / 1000000);
}

static inline void queue_begin(fixture *f)
{
    static weir_env_ops ops;
    weir_env *env = NULL;
    fixture_prepare(f);
    moved_ns = 0;
    assert_int_equal(weir_env_posix_create(&env), WEIR_OK);
    ops_below = env->ops;
    begun_ns = ops_below->monotonic_ns(env);
    begun_wall_ms = ops_below->wall_ms(env);
    ops = *env->ops;
    ops.monotonic_ns = moved_monotonic_ns;
    ops.wall_ms = moved_wall_ms;
    env->ops = &ops;
    f->config.env = env;
    fixture_open(f);
    declare(f->port, "written", WEIR_LEVEL_OS);
}

static inline void queue_end(fixture *f)
{
    weir_env *env = f->config.env;
    fixture_end(f);
    env->ops = ops_below;
    weir_env_posix_destroy(env);
}

/* Time passes, and the engine sees it. */
static inline void pass_ms(fixture *f, int64_t ms)
{
    moved_ns += (uint64_t)ms * 1000000;
    for (int i = 0; i < 4; i++) {
        weir_port_step(f->port);
    }
}

/* What lanes have under way is done, and the engine sees it. */
static inline void turn(fixture *f)
{
    weir_port_step(f->port);
    f->config.env->ops->lanes_drain(f->config.env);
    weir_port_step(f->port);
}

static inline void restart(fixture *f, bool killed)
{
    if (killed) {
        fixture_kill(f);
    } else {
        fixture_close(f);
    }
    fixture_open(f);
}

/* As if the process had been killed while its members were there: the files as they are now, in
 * another directory. To be opened. */
static inline void kill_into_copy(fixture *f)
{
    char command[256], copy[sizeof(f->dir)];
    snprintf(copy, sizeof(copy), "/tmp/weir-engine-XXXXXX");
    assert_non_null(mkdtemp(copy));
    snprintf(command, sizeof(command), "rm -rf '%s'; cp -r '%s' '%s' 2>/dev/null", copy, f->dir,
             copy);
    publish_ok(f->port, "written", "all before this"); /* nobody waits for an acquisition */
    int left = 100; /* a file that the journal has just renamed is not there under its old name */
    while (system(command) != 0) {
        assert_true(left-- > 0);
    }
    fixture_kill(f);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
    memcpy(f->dir, copy, sizeof(f->dir));
}

static inline void restart_from_copy(fixture *f)
{
    kill_into_copy(f);
    fixture_open(f);
}

static inline void queue_with(fixture *f, weir_group_options options)
{
    weir_bytes topics[] = {WEIR_TEXT("q")};
    declare(f->port, "q", WEIR_LEVEL_OS);
    options.model = WEIR_MODEL_QUEUE;
    options.expiry_ms = -1;
    options.topics = topics;
    options.topic_count = 1;
    assert_int_equal(group_create_with(f->port, "g", &options), WEIR_OK);
}

/* Both: a directory, an engine, topic q and its group g. */
static inline void queue_start(fixture *f, weir_group_options options)
{
    queue_begin(f);
    queue_with(f, options);
}

static inline void queue_open(fixture *f)
{
    queue_with(f, (weir_group_options){.mode = WEIR_MODE_DEFAULT});
}

static inline weir_member *join_group(weir_port *port, const char *group, const char *name)
{
    weir_join join = {
        .group = weir_bytes_of(group), .name = weir_bytes_of(name), .origin = WEIR_TEXT("local")};
    assert_int_equal(weir_port_member_join(port, &join, NULL, 11), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_MEMBER);
    assert_int_equal(done.err, WEIR_OK);
    return done.joined.member;
}

static inline weir_member *join(fixture *f, const char *name)
{
    return join_group(f->port, "g", name);
}

static inline void leave(fixture *f, weir_member *member, bool orderly)
{
    assert_int_equal(weir_port_member_leave(f->port, member, orderly, NULL, 12), WEIR_OK);
    next_of(f->port, WEIR_COMPLETION_LEFT);
}

/* What a take gave, record by record. */
typedef struct given {
    uint32_t count;
    uint64_t epoch;
    int64_t offsets[TAKEN_MAX];
    uint64_t leases[TAKEN_MAX];
    uint32_t leased[TAKEN_MAX];
    uint32_t failed[TAKEN_MAX];
    char text[256]; /* of the first ones: "name=value " */
} given;

static inline void given_add(given *g, const weir_handed *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        weir_record record;
        weir_chunk_record(run->chunk, run->first + i, &record);
        assert_true(g->count < TAKEN_MAX);
        g->offsets[g->count] = record.offset;
        g->leases[g->count] = run->lease;
        g->leased[g->count] = run->leased;
        g->failed[g->count] = run->failed;
        size_t at = strlen(g->text);
        snprintf(g->text + at, sizeof(g->text) - at, "%.*s=%.*s ", (int)record.key.len,
                 record.key.ptr, (int)record.value.len, record.value.ptr);
        g->count++;
    }
}

static inline void given_of(weir_completion *done, given *g)
{
    memset(g, 0, sizeof(*g));
    assert_int_equal(done->type, WEIR_COMPLETION_TAKEN);
    assert_int_equal(done->err, WEIR_OK);
    g->epoch = done->taken.epoch;
    for (uint32_t i = 0; i < done->taken.run_count; i++) {
        given_add(g, &done->taken.runs[i]);
    }
    weir_completion_drop(done);
}

static inline void take_begin(fixture *f, weir_member *member, uint32_t records, uint32_t wait_ms)
{
    weir_take take = {.records_max = records, .bytes_max = 1 << 20, .wait_ms = wait_ms};
    assert_int_equal(weir_port_take(f->port, member, &take, NULL, 13), WEIR_OK);
}

static inline uint32_t take(fixture *f, weir_member *member, uint32_t records, given *g)
{
    take_begin(f, member, records, 0);
    weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
    given_of(&done, g);
    return g->count;
}

/* So many in all, however many takes that needs: what is read from disk comes in pieces. */
static inline void take_in_all(fixture *f, weir_member *member, uint32_t records, given *g)
{
    static given one;
    memset(g, 0, sizeof(*g));
    for (int i = 0; i < 1000 && g->count < records; i++) {
        take_begin(f, member, records - g->count, 60000);
        weir_completion done = next_of(f->port, WEIR_COMPLETION_TAKEN);
        given_of(&done, &one);
        for (uint32_t r = 0; r < one.count; r++, g->count++) {
            g->offsets[g->count] = one.offsets[r];
            g->leases[g->count] = one.leases[r];
            g->leased[g->count] = one.leased[r];
            g->failed[g->count] = one.failed[r];
        }
        g->epoch = one.epoch;
    }
    assert_int_equal(g->count, records);
}

static inline weir_completion answer(fixture *f, weir_member *member, const weir_settle *settle)
{
    assert_int_equal(weir_port_settle(f->port, member, settle, NULL, 14), WEIR_OK);
    return next_of(f->port, WEIR_COMPLETION_SETTLED);
}

/* Of the take's records [from, to): one range each, as a client that answers one by one. */
static inline weir_completion settle_with(fixture *f, weir_member *member, const given *g,
                                          uint32_t from, uint32_t to, weir_settle settle)
{
    static weir_settle_range ranges[TAKEN_MAX];
    for (uint32_t i = from; i < to; i++) {
        ranges[i - from] = (weir_settle_range){.topic = WEIR_TEXT("q"),
                                               .first = g->offsets[i],
                                               .last = g->offsets[i],
                                               .lease = g->leases[i]};
    }
    settle.ranges = ranges;
    settle.range_count = to - from;
    settle.epoch = g->epoch;
    return answer(f, member, &settle);
}

static inline weir_err settle_some(fixture *f, weir_member *member, const given *g, uint32_t from,
                                   uint32_t to, weir_verb verb)
{
    return settle_with(f, member, g, from, to, (weir_settle){.verb = verb}).err;
}

static inline weir_err settle_all(fixture *f, weir_member *member, const given *g, weir_verb verb)
{
    return settle_some(f, member, g, 0, g->count, verb);
}

static inline weir_err fail_all(fixture *f, weir_member *member, const given *g)
{
    weir_settle settle = {.verb = WEIR_VERB_RELEASE, .failed = true};
    return settle_with(f, member, g, 0, g->count, settle).err;
}

static inline uint64_t fate_of(fixture *f, weir_fate fate)
{
    group_adds_up(f->port, "g");
    return group_fate(f->port, "g", fate);
}

static inline void assert_offsets(const given *g, int64_t first, uint32_t count)
{
    assert_int_equal(g->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(g->offsets[i], first + i);
    }
}

#endif
