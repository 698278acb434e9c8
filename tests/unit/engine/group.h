/* tests/unit/engine/group.h - for tests of consumer groups: asked, told, and what must add up. */
#ifndef WEIR_TESTS_ENGINE_GROUP_H
#define WEIR_TESTS_ENGINE_GROUP_H

#include "tests/unit/engine/support.h"

#include "weir/group.h"

static inline weir_err group_done(weir_port *port)
{
    weir_completion done = next_of(port, WEIR_COMPLETION_GROUP);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline weir_err group_create_with(weir_port *port, const char *name,
                                         const weir_group_options *options)
{
    assert_int_equal(weir_port_group_create(port, weir_bytes_of(name), options, NULL, 5), WEIR_OK);
    return group_done(port);
}

/* Of one topic, from its beginning. */
static inline weir_err group_create(weir_port *port, const char *name, const char *topic,
                                    weir_model model)
{
    weir_bytes topics[] = {weir_bytes_of(topic)};
    weir_group_options options = {.model = model, .topics = topics, .topic_count = 1};
    return group_create_with(port, name, &options);
}

static inline weir_err group_create_filter(weir_port *port, const char *name, const char *filter,
                                           weir_model model)
{
    weir_group_options options = {.model = model, .filter = weir_bytes_of(filter)};
    return group_create_with(port, name, &options);
}

static inline weir_err group_alter(weir_port *port, const char *name,
                                   const weir_group_options *change)
{
    assert_int_equal(weir_port_group_alter(port, weir_bytes_of(name), change, NULL, 5), WEIR_OK);
    return group_done(port);
}

static inline weir_err group_delete(weir_port *port, const char *name)
{
    assert_int_equal(weir_port_group_delete(port, weir_bytes_of(name), false, NULL, 5), WEIR_OK);
    return group_done(port);
}

/* The groups, or the one; drop it. */
static inline weir_completion groups_of(weir_port *port, const char *name)
{
    assert_int_equal(weir_port_groups(port, weir_bytes_of(name), NULL, 6), WEIR_OK);
    return next_of(port, WEIR_COMPLETION_GROUPS);
}

static inline weir_completion group_of(weir_port *port, const char *name)
{
    weir_completion done = groups_of(port, name);
    assert_int_equal(done.err, WEIR_OK);
    assert_int_equal(done.groups.count, 1);
    return done;
}

static inline weir_err group_reset(weir_port *port, const weir_reset *reset)
{
    assert_int_equal(weir_port_group_reset(port, reset, NULL, 7), WEIR_OK);
    return group_done(port);
}

static inline weir_group_partition group_partition(weir_port *port, const char *name,
                                                   uint32_t index)
{
    weir_completion done = group_of(port, name);
    assert_true(index < done.groups.groups[0].partition_count);
    weir_group_partition partition = done.groups.groups[0].partitions[index];
    partition.topic = WEIR_BYTES_NULL;
    partition.metadata = WEIR_BYTES_NULL;
    weir_completion_drop(&done);
    return partition;
}

static inline uint64_t group_fate(weir_port *port, const char *name, weir_fate fate)
{
    weir_completion done = group_of(port, name);
    uint64_t records = done.groups.groups[0].fates[fate];
    weir_completion_drop(&done);
    return records;
}

/* [G1] over every partition: each record of [start, end) has one fate, or none yet. */
static inline void group_adds_up(weir_port *port, const char *name)
{
    weir_completion done = group_of(port, name);
    const weir_group_info *group = &done.groups.groups[0];
    uint64_t sums[WEIR_FATE_COUNT] = {0};
    for (uint32_t i = 0; i < group->partition_count; i++) {
        const weir_group_partition *partition = &group->partitions[i];
        uint64_t sum = 0;
        for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
            sum += partition->fates[fate];
            sums[fate] += partition->fates[fate];
        }
        assert_int_equal(sum, partition->end - partition->start);
    }
    for (int fate = 0; fate < WEIR_FATE_COUNT; fate++) {
        assert_true(group->fates[fate] >= sums[fate]); /* and what is gone */
    }
    weir_completion_drop(&done);
}

static inline weir_err topic_delete(weir_port *port, const char *name)
{
    assert_int_equal(weir_port_topic_delete(port, weir_bytes_of(name), NULL, 8), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline weir_err topic_trim(weir_port *port, const char *name, int64_t before)
{
    assert_int_equal(weir_port_topic_trim(port, weir_bytes_of(name), 0, before, NULL, 8), WEIR_OK);
    weir_completion done = next_of(port, WEIR_COMPLETION_TOPIC);
    weir_err err = done.err;
    weir_completion_drop(&done);
    return err;
}

static inline void publish_many(weir_port *port, const char *name, int count)
{
    for (int i = 0; i < count; i++) {
        publish_ok(port, name, "v");
    }
}

#endif
