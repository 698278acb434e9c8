/* core/engine/find.c - offsets by time: the first record of a partition at or after a moment.
 *
 *   time:  the segments' newest times, from memory ---> a segment that has it ---> its table, by a
 *                                                  |    job, and told in the turn after it
 *                                                  \-> none has: the tail, at once
 *
 * A table may have to be read from disk and checked, and a cold read may be at work with the same
 * one: so never in a turn. One job looks for all the places of whoever asks: a question about a
 * topic's offsets (here), the cursors of a subscription (cursor.c), a group's reset (group_reset.c).
 * What it cannot find in a table that is damaged lies, as far as can be told, behind that segment. */
#include "core/engine/ops.h"

#include <stdlib.h>

weir_find *weir_find_make(weir_engine *engine, uint32_t places, int64_t time_ms)
{
    weir_read *read = calloc(1, sizeof(*read));
    weir_find *find = calloc(1, sizeof(*find) + places * sizeof(find->places[0]));
    weir_segment **segments = calloc(places == 0 ? 1 : places, sizeof(*segments));
    if (read == NULL || find == NULL || segments == NULL) {
        free(read);
        free(find);
        free(segments);
        return NULL;
    }
    find->read = read;
    find->time_ms = time_ms;
    read->engine = engine;
    read->find = find;
    read->segments = segments;
    return find;
}

void weir_find_free(weir_find *find)
{
    if (find != NULL) {
        weir_read_free(find->read); /* and the find with it */
    }
}

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
        if (chunk->timestamp_ms >= time_ms) {
            return chunk->base_offset;
        }
    }
    return partition->next_offset;
}

weir_found *weir_find_add(weir_find *find, const weir_partition *partition)
{
    weir_read *read = find->read;
    weir_found *place = &find->places[find->place_count++];
    weir_segment *segment = segment_with(partition, find->time_ms);
    *place = (weir_found){.topic_id = partition->topic->id, .partition = partition->index};
    if (segment == NULL) {
        place->offset = offset_in_tail(partition, find->time_ms);
    } else {
        place->looked_for = true;
        read->segments[read->segment_count++] = weir_segment_keep(segment);
    }
    return place;
}

static void find_run(weir_job *job)
{
    weir_read *read = WEIR_OWNER_OF(job, weir_read, job);
    weir_find *find = read->find;
    uint32_t next = 0; /* of the segments: each place that is looked for has one, in order */
    for (uint32_t i = 0; i < find->place_count; i++) {
        weir_found *place = &find->places[i];
        if (!place->looked_for) {
            continue;
        }
        weir_segment *segment = read->segments[next++];
        if (weir_segment_find_time(segment, find->time_ms, &place->offset) != WEIR_OK) {
            weir_segment_state state;
            weir_segment_state_of(segment, &state);
            place->offset = state.end_offset;
        }
    }
    read->err = WEIR_OK;
}

bool weir_find_go(weir_find *find, weir_port *port, weir_found_fn *found)
{
    weir_read *read = find->read;
    weir_engine *engine = read->engine;
    if (read->segment_count == 0) {
        return false;
    }
    read->job = (weir_job){.run = find_run, .done = weir_engine_job_done};
    read->port = port;
    find->found = found;
    weir_link_append(&engine->reads, &read->link);
    engine->read_count++;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
    return true;
}

bool weir_find_finished(weir_read *read)
{
    return read->find->found(read->engine, read->find, read->port);
}

/* ---- Questions about offsets ------------------------------------------------------------------ */

typedef struct question {
    weir_completion done; /* OFFSETS, complete but for what is found */
    uint64_t unit;
    weir_level level;
} question;

static void question_fill(const weir_find *find, const question *asked)
{
    for (uint32_t i = 0; i < find->place_count; i++) {
        weir_partition_info *info = &asked->done.topics.topics[0].partitions[i];
        int64_t offset = find->places[i].offset;
        offset = offset < info->start_offset ? info->start_offset : offset;
        info->found_offset = offset > info->end_offset ? info->end_offset : offset;
    }
}

static bool question_found(weir_engine *engine, weir_find *find, weir_port *port)
{
    question *asked = find->asked;
    (void)engine;
    question_fill(find, asked);
    if (port != NULL) {
        weir_port_answer(port, &asked->done, asked->unit, asked->level);
    } else {
        weir_completion_drop(&asked->done);
    }
    return true;
}

bool weir_find_offsets(weir_engine *engine, weir_port *port, const weir_topic *topic,
                       int64_t time_ms, weir_completion *done, uint64_t unit, weir_level level)
{
    uint32_t count = topic->partition_count;
    weir_find *find = weir_find_make(engine, count, time_ms);
    question *asked = calloc(1, sizeof(*asked));
    if (find == NULL || asked == NULL) {
        weir_find_free(find);
        free(asked);
        done->err = WEIR_NO_MEMORY;
        return false;
    }
    *asked = (question){.done = *done, .unit = unit, .level = level};
    find->asked = asked;
    for (uint32_t i = 0; i < count; i++) {
        (void)weir_find_add(find, topic->partitions[i]);
    }
    bool looks = weir_find_go(find, port, question_found);
    if (!looks) {
        question_fill(find, asked);
        weir_find_free(find);
    }
    return looks;
}
