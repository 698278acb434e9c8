/* tests/unit/engine/life.h - for tests of how records end: an engine whose clock is turned by hand,
 * small segments, and checkpoints on demand. */
#ifndef WEIR_TESTS_ENGINE_LIFE_H
#define WEIR_TESTS_ENGINE_LIFE_H

#include "tests/unit/engine/support.h"

#include <dirent.h>

enum { LIFE_TURNS_MAX = 20000, LIFE_LOOKS_MAX = 1000, LIFE_PATIENCE = 200 };

typedef struct life_fixture {
    fixture f;
    weir_env *below;
    weir_env *env;
    const weir_env_ops *own;
} life_fixture;

static _Atomic int64_t life_ahead_ms;      /* how far both clocks were turned */
static _Atomic int64_t life_wall_ahead_ms; /* and the wall's alone */
static weir_env_ops life_ops;
static const weir_env_ops *life_own;

static inline int64_t life_wall(weir_env *env)
{
    return life_own->wall_ms(env) + life_ahead_ms + life_wall_ahead_ms;
}

static inline uint64_t life_monotonic(weir_env *env)
{
    return life_own->monotonic_ns(env) + (uint64_t)life_ahead_ms * 1000000;
}

static inline void life_begin(life_fixture *l)
{
    memset(l, 0, sizeof(*l));
    fixture_prepare(&l->f);
    life_ahead_ms = 0;
    life_wall_ahead_ms = 0;
    assert_int_equal(weir_env_posix_create(&l->below), WEIR_OK);
    assert_int_equal(weir_env_faulty_create(l->below, &l->env), WEIR_OK);
    l->own = l->env->ops;
    life_own = l->own;
    life_ops = *l->own;
    life_ops.wall_ms = life_wall;
    life_ops.monotonic_ns = life_monotonic;
    l->env->ops = &life_ops;
    l->f.config.env = l->env;
    l->f.config.segment_bytes_max = 4096;
    l->f.config.checkpoint_every_ms = 60000;
    l->f.config.checkpoint_bytes = 8192; /* so that it carries nothing: all goes to segments */
    l->f.config.cleanup_every_ms = 1000;
    fixture_open(&l->f);
}

static inline void life_end(life_fixture *l)
{
    fixture_end(&l->f);
    l->env->ops = l->own;
    weir_env_faulty_destroy(l->env);
    weir_env_posix_destroy(l->below);
}

static inline void life_turn_clock(int64_t ms)
{
    life_ahead_ms += ms;
}

static inline weir_stats life_stats(const life_fixture *l)
{
    weir_stats stats;
    weir_engine_stats(l->f.engine, &stats);
    return stats;
}

/* Steps until `count` more checkpoints are there; each gets something to be about. */
static inline void life_checkpoints(life_fixture *l, uint64_t count)
{
    uint64_t wanted = life_stats(l).checkpoints + count;
    int64_t end = wait_end();
    for (int i = 0; life_stats(l).checkpoints < wanted; i++) {
        assert_true(wait_goes_on(end));
        if (i % LIFE_PATIENCE == 0) { /* not at every look: who is slow must not see hours pass */
            life_turn_clock(61000);
        }
        (void)weir_port_wait(l->f.port, 1);
    }
}

static inline unsigned life_files(const life_fixture *l, unsigned topic_id, unsigned partition,
                                  const char *ending);
/* Steps until the partition has at least so many segments. */
static inline void life_segments(life_fixture *l, unsigned topic_id, unsigned count)
{
    for (int64_t end = wait_end(); life_files(l, topic_id, 0, ".log") < count;) {
        assert_true(wait_goes_on(end));
        life_turn_clock(5000);
        (void)weir_port_wait(l->f.port, 1);
    }
}

static inline void life_steps(life_fixture *l, int count)
{
    for (int i = 0; i < count; i++) {
        life_turn_clock(1001);
        (void)weir_port_wait(l->f.port, 1);
    }
}

/* Records of t/k0 to t/k9, whose values begin with "ROUND.KEY ". */
enum { LIFE_KEYS = 10 };
static inline void life_fill_keys(life_fixture *l, int first_round, int rounds)
{
    for (int r = first_round; r < first_round + rounds; r++) {
        for (int k = 0; k < LIFE_KEYS; k++) {
            char name[32], value[300];
            snprintf(name, sizeof(name), "t/k%d", k);
            snprintf(value, sizeof(value), "%d.%d %250s", r, k, "");
            publish_ok(l->f.port, name, value);
        }
    }
}

/* Steps until there were so many compactions since the start. */
static inline void life_until_compacted(life_fixture *l, uint64_t count)
{
    for (int64_t end = wait_end(); life_stats(l).compactions < count;) {
        assert_true(wait_goes_on(end));
        life_turn_clock(500);
        (void)weir_port_wait(l->f.port, 1);
    }
}

static inline weir_partition_info life_bounds(life_fixture *l, const char *topic,
                                              uint32_t partition)
{
    assert_int_equal(
        weir_port_offsets(l->f.port, weir_bytes_of(topic), WEIR_OFFSETS_BOUNDS, 0, NULL, 4),
        WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_OFFSETS);
    assert_int_equal(done.err, WEIR_OK);
    assert_true(partition < done.topics.topics[0].options.partitions);
    weir_partition_info info = done.topics.topics[0].partitions[partition];
    weir_completion_drop(&done);
    return info;
}

static inline weir_err life_alter(life_fixture *l, const char *topic, weir_topic_options change)
{
    assert_int_equal(weir_port_topic_alter(l->f.port, weir_bytes_of(topic), &change, NULL, 5),
                     WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline weir_err life_trim(life_fixture *l, const char *topic, int64_t before)
{
    assert_int_equal(weir_port_topic_trim(l->f.port, weir_bytes_of(topic), 0, before, NULL, 6),
                     WEIR_OK);
    weir_completion done = next_of(l->f.port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

/* Files of a partition whose names end so, in all its folders. */
static inline unsigned life_files(const life_fixture *l, unsigned topic_id, unsigned partition,
                                  const char *ending)
{
    char command[256];
    unsigned count = 0;
    snprintf(command, sizeof(command), "find '%s/log/%u/%u' -name '*%s' 2>/dev/null | wc -l",
             l->f.dir, topic_id, partition, ending);
    FILE *lines = popen(command, "r");
    assert_non_null(lines);
    assert_int_equal(fscanf(lines, "%u", &count), 1);
    pclose(lines);
    return count;
}

/* Publishes `count` records of about `bytes`; values are numbered on from *number. */
static inline void life_fill(life_fixture *l, const char *name, int count, size_t bytes,
                             int *number)
{
    char value[4096];
    for (int i = 0; i < count; i++) {
        memset(value, '.', bytes);
        value[bytes] = '\0';
        snprintf(value, bytes, "%d", (*number)++);
        weir_publish record = {.name = weir_bytes_of(name),
                               .value = {(const uint8_t *)value, bytes}};
        weir_completion done = publish_record(l->f.port, &record);
        assert_int_equal(done.err, WEIR_OK);
    }
}

#endif
