/* core/engine/find.c - offsets by time: the first record of each partition at or after a moment.
 *
 *   time:  the segments' newest times, from memory ---> a segment that has it ---> its table, by a job
 *                                                  \-> none has: the tail, at once
 *
 * A table may have to be read from disk and checked, and a cold read may be at work with the same one: so
 * never in a turn. The job holds counted segments and the answer; whoever asked is answered in the turn
 * after it. What it cannot find in a table that is damaged lies, as far as can be told, behind that segment. */
#include "core/engine/ops.h"

#include <stdlib.h>

typedef struct found {
    uint32_t partition; /* of the answer's */
    int64_t start_offset;
} found;

struct weir_find {
    weir_completion done; /* OFFSETS, complete but for what the job finds */
    uint64_t unit;
    weir_level level;
    int64_t time_ms;
    found places[]; /* one for each of the read's segments */
};

static weir_segment *segment_with(const weir_partition *partition, int64_t time_ms)
{
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.max_timestamp_ms >= time_ms && state.end_offset > state.base_offset) {
            return partition->segments[i];
        }
    }
    return NULL;
}

static int64_t offset_in_tail(const weir_partition *partition, int64_t time_ms)
{
    for (uint32_t i = 0; i < partition->tail.count; i++) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i);
        if (chunk->timestamp_ms >= time_ms && chunk->base_offset < partition->visible_offset) {
            return chunk->base_offset;
        }
    }
    return partition->visible_offset;
}

static void find_run(weir_job *job)
{
    weir_read *read = WEIR_OWNER_OF(job, weir_read, job);
    weir_find *find = read->find;
    for (uint32_t i = 0; i < read->segment_count; i++) {
        int64_t offset = 0;
        if (weir_segment_find_time(read->segments[i], find->time_ms, &offset) != WEIR_OK) {
            weir_segment_state state;
            weir_segment_state_of(read->segments[i], &state);
            offset = state.end_offset;
        }
        const found *place = &find->places[i];
        find->done.topics.topics[0].partitions[place->partition].found_offset =
            offset < place->start_offset ? place->start_offset : offset;
    }
    read->err = WEIR_OK;
}

/* NULL: no memory. */
static weir_read *find_begin(weir_engine *engine, const weir_topic *topic)
{
    weir_read *read = calloc(1, sizeof(*read));
    weir_find *find = calloc(1, sizeof(*find) + topic->partition_count * sizeof(find->places[0]));
    weir_segment **segments = calloc(topic->partition_count, sizeof(weir_segment *));
    if (read == NULL || find == NULL || segments == NULL) {
        free(read);
        free(find);
        free(segments);
        return NULL;
    }
    read->job = (weir_job){.run = find_run, .done = weir_engine_job_done};
    read->engine = engine;
    read->find = find;
    read->segments = segments;
    read->topic_id = topic->id;
    read->topic = weir_topic_ref_keep(topic->ref);
    return read;
}

/* What memory tells is filled in; the segments that have to be looked into are the read's. */
static weir_err partitions_look(weir_engine *engine, const weir_topic *topic, int64_t time_ms,
                                weir_partition_info *infos, weir_read **read)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        const weir_partition *partition = topic->partitions[i];
        weir_segment *segment = segment_with(partition, time_ms);
        if (segment == NULL) {
            infos[i].found_offset = offset_in_tail(partition, time_ms);
            continue;
        }
        if (*read == NULL) {
            *read = find_begin(engine, topic);
        }
        if (*read == NULL) {
            return WEIR_NO_MEMORY;
        }
        (*read)->find->places[(*read)->segment_count] = (found){i, partition->start_offset};
        (*read)->segments[(*read)->segment_count++] = weir_segment_keep(segment);
    }
    return WEIR_OK;
}

bool weir_find_time(weir_engine *engine, weir_port *port, const weir_topic *topic, int64_t time_ms,
                    weir_completion *done, uint64_t unit, weir_level level)
{
    weir_read *read = NULL;
    done->err = partitions_look(engine, topic, time_ms, done->topics.topics[0].partitions, &read);
    if (read == NULL) {
        return false;
    }
    if (done->err != WEIR_OK) {
        weir_read_free(read);
        return false;
    }
    read->find->done = *done; /* taken */
    read->find->unit = unit;
    read->find->level = level;
    read->find->time_ms = time_ms;
    read->port = port;
    weir_link_append(&engine->reads, &read->link);
    engine->read_count++;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
    return true;
}

void weir_find_finished(weir_read *read)
{
    weir_find *find = read->find;
    if (read->port != NULL) {
        weir_port_answer(read->port, &find->done, find->unit, find->level);
    } else {
        weir_completion_drop(&find->done);
    }
}
