/* core/engine/member_read.c - records for takes: from the tail at once, from disk by a job.
 *
 *   offset --in the tail--> chunk
 *          --in the member's cold chunks--> chunk
 *          --neither--> one read job --> cold chunks, or a range that cannot be had (a gap)
 *
 * A member has one read at a time, and keeps what the last one brought: whole chunks of one
 * partition, in order. Nothing is read on the engine's thread. What is damaged is told as a gap with
 * offsets, and whoever hands out passes over it and gives it a fate; an error that may pass (I/O, no
 * memory) ends the take with it, and nothing is passed over. */
#include "core/engine/group.h"

#include <string.h>

static weir_chunk *cold_find(const weir_member *member, const weir_partition *partition,
                             int64_t offset)
{
    for (uint32_t i = 0; i < member->cold_count; i++) {
        weir_chunk *chunk = member->cold[i];
        if (chunk->topic == partition->topic->ref && chunk->partition == partition->index &&
            offset >= chunk->base_offset && offset < weir_chunk_end(chunk)) {
            return chunk;
        }
    }
    return NULL;
}

weir_chunk *weir_member_look(const weir_member *member, const weir_partition *partition,
                             int64_t offset)
{
    weir_chunk *chunk = weir_tail_find(&partition->tail, offset);
    return chunk != NULL ? chunk : cold_find(member, partition, offset);
}

int64_t weir_member_gap(const weir_member *member, const weir_partition *partition, int64_t offset)
{
    bool bad = member->bad_topic_id == partition->topic->id &&
               member->bad_partition == partition->index && offset >= member->bad_from &&
               offset < member->bad_to;
    return bad ? member->bad_to : 0;
}

static void cold_drop(weir_member *member)
{
    for (uint32_t i = 0; i < member->cold_count; i++) {
        weir_chunk_drop(member->cold[i]);
    }
    member->cold_count = 0;
}

weir_chunk *weir_member_chunk(weir_engine *engine, weir_member *member, weir_partition *partition,
                              int64_t offset)
{
    weir_chunk *chunk = weir_member_look(member, partition, offset);
    if (chunk != NULL || member->read != NULL ||
        weir_member_gap(member, partition, offset) > offset) {
        return chunk;
    }
    weir_read *read = NULL;
    cold_drop(member);
    member->bad_topic_id = 0;
    member->read_err = WEIR_OK;
    if (weir_read_start(engine, partition, offset, NULL, &read) == WEIR_OK) {
        read->member = member;
        member->read = read;
        engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
    }
    return NULL;
}

/* Nothing of it will ever be read. */
static bool is_damage(weir_err err)
{
    return err == WEIR_DAMAGED || err == WEIR_UNSUPPORTED || err == WEIR_VERSION;
}

void weir_member_read_done(weir_engine *engine, weir_read *read)
{
    weir_member *member = read->member;
    member->read = NULL;
    cold_drop(member);
    member->cold_count = read->chunk_count;
    memcpy(member->cold, read->chunks, read->chunk_count * sizeof(read->chunks[0]));
    read->chunk_count = 0; /* taken */
    if (is_damage(read->err)) {
        member->bad_topic_id = read->topic_id;
        member->bad_partition = read->partition;
        member->bad_from = read->offset;
        member->bad_to = read->bad_to > read->offset ? read->bad_to : read->offset + 1;
    } else if (read->err != WEIR_OK && read->err != WEIR_EMPTY) {
        member->read_err = read->err;
        if (member->takes) {
            weir_member_give_err(engine, member, read->err);
        }
    }
    if (member->group != NULL) {
        weir_member_due(member);
    }
    if (member->takes) { /* no end was looked for while it read */
        weir_group_due_at(member->group, member->take_deadline_ns);
    }
    weir_groups_due(engine);
}

void weir_member_reads_end(weir_member *member)
{
    if (member->read != NULL) {
        member->read->member = NULL;
        member->read = NULL;
    }
    cold_drop(member);
    member->bad_topic_id = 0;
}
