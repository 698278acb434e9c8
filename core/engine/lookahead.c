/* core/engine/lookahead.c - what the next operations will look at is asked of memory before they run.
 *
 *   name --hash--> slot of engine.routes --> route --> topic --> its partitions --> partition --> slots of its tail,
 *                                                                and its name                     notes
 *        step 1                    step 2    step 3          step 4           step 5          step 6
 *
 * With thousands of topics each of these is in memory that the processor has not seen for a while, and
 * each tells where the next one is: a publish that walks them alone waits four times. Here a few
 * operations walk together, a step at a time, so that their waits fall into one.
 *
 * Nothing is changed and nothing is decided; what is found may be out of date when the operation runs.
 *
 * [A1] What a pointer leads to is read only while it cannot have gone: a route's topic, when the route
 *      is of this generation of topics. */
#include "core/engine/ops.h"

enum {
    LINE_BYTES = 64,
    PARTITION_LINES = (int)((offsetof(weir_partition, held_unit) + LINE_BYTES - 1) / LINE_BYTES),
};

static bool looks_up(const weir_op *op)
{
    return op->type == WEIR_OP_PUBLISH && !op->by_topic;
}

static weir_bytes name_of(const weir_op *op)
{
    return (weir_bytes){op->data, op->publish.name_bytes};
}

/* Whether it leads to a stored topic. */
static bool leads_on(const weir_engine *engine, const weir_route *route)
{
    return route != NULL && route->topics_generation == engine->topics_generation &&
           route->topic != NULL; /* [A1] */
}

static uint32_t index_of(const weir_route *route)
{
    return route->partition == UINT32_MAX ? 0 : route->partition;
}

static const weir_partition *partition_of(const weir_route *route)
{
    const weir_topic *topic = route->topic;
    return index_of(route) < topic->partition_count ? topic->partitions[index_of(route)] : NULL;
}

void weir_look_ahead(const weir_engine *engine, const weir_op *const *ops, uint32_t count)
{
    uint64_t hashes[WEIR_TOGETHER_MAX];
    const weir_route
        *routes[WEIR_TOGETHER_MAX]; /* by their hash alone: another name's may be told */
    const weir_partition *partitions[WEIR_TOGETHER_MAX];
    for (uint32_t i = 0; i < count; i++) {
        if (looks_up(ops[i])) {
            hashes[i] = weir_map_hash(name_of(ops[i]));
            weir_map_fetch(&engine->routes, hashes[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        routes[i] = looks_up(ops[i]) ? weir_map_fetch_value(&engine->routes, hashes[i]) : NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        routes[i] = leads_on(engine, routes[i]) ? routes[i] : NULL;
        if (routes[i] != NULL) {
            __builtin_prefetch(&routes[i]->topic->partition_count);
            __builtin_prefetch(&routes[i]->topic->partitions);
            __builtin_prefetch(&routes[i]->topic->options);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (routes[i] != NULL) {
            __builtin_prefetch(&routes[i]->topic->partitions[index_of(routes[i])]);
            __builtin_prefetch(routes[i]->topic->ref, 1);
            __builtin_prefetch(routes[i]->matches);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        partitions[i] = routes[i] != NULL ? partition_of(routes[i]) : NULL;
        for (int line = 0; partitions[i] != NULL && line < PARTITION_LINES; line++) {
            __builtin_prefetch((const char *)partitions[i] + (size_t)line * LINE_BYTES, 1);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (partitions[i] != NULL) {
            weir_tail_fetch_end(&partitions[i]->tail);
            __builtin_prefetch(partitions[i]->notes, 1);
        }
    }
}
