/* core/engine/lookahead.c - what the next operations will look at is asked of memory before they run.
 *
 *   name --hash--> slot of engine.routes --> route --> partition --> slots of its tail
 *        step 1                    step 2       step 3          step 4
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

enum { LINE_BYTES = 64, PARTITION_LINES = (int)(sizeof(weir_partition) / LINE_BYTES) };

static bool looks_up(const weir_op *op)
{
    return op->type == WEIR_OP_PUBLISH && !op->by_topic;
}

static weir_bytes name_of(const weir_op *op)
{
    return (weir_bytes){op->data, op->publish.name_bytes};
}

static const weir_partition *partition_of(const weir_engine *engine, const weir_op *op)
{
    const weir_route *route = weir_map_get(&engine->routes, name_of(op));
    if (route == NULL || route->topics_generation != engine->topics_generation ||
        route->topic == NULL) {
        return NULL; /* [A1] */
    }
    const weir_topic *topic = route->topic;
    uint32_t index = route->partition == UINT32_MAX ? 0 : route->partition;
    return index < topic->partition_count ? topic->partitions[index] : NULL;
}

void weir_look_ahead(const weir_engine *engine, const weir_op *const *ops, uint32_t count)
{
    const weir_partition *partitions[WEIR_TOGETHER_MAX] = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (looks_up(ops[i])) {
            weir_map_fetch(&engine->routes, name_of(ops[i]));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (looks_up(ops[i])) {
            weir_map_fetch_value(&engine->routes, name_of(ops[i]));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        partitions[i] = looks_up(ops[i]) ? partition_of(engine, ops[i]) : NULL;
        for (int line = 0; partitions[i] != NULL && line < PARTITION_LINES; line++) {
            __builtin_prefetch((const char *)partitions[i] + (size_t)line * LINE_BYTES, 1);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (partitions[i] != NULL) {
            weir_tail_fetch_end(&partitions[i]->tail);
        }
    }
}
