/* core/engine/queue_move.c - records of queue groups on their way to the dead-letter topic.
 *
 *   rejected, or at delivery_limit --27: MOVING--> [move] --content at hand--> one unit:
 *                                                                  the record in the dead-letter
 *                                                                  topic, and 27 dead-lettered [G4]
 *
 * A record that waits here is under no lease and is never handed out again, also after a start: that
 * it moves is in its state. What it holds may have to be read from disk first; a member of the
 * queue's own, that nobody sees, reads it. Why it moves is told from its counters then, and the
 * reason that a member gave is in memory alone. A record that has been a dead letter too often is
 * dropped instead: groups whose letters go to one another do not pass it on for ever. When the dead-letter topic is gone, or none is set
 * any more, the record ends where it is: rejected, or dropped by the limit. */
#include "core/engine/queue.h"

#include <stdlib.h>
#include <string.h>

bool weir_queue_dead_letters(const weir_engine *engine, const weir_group *group)
{
    return group->options.dead_letter.len > 0 &&
           weir_topics_find(engine, group->options.dead_letter) != NULL;
}

void weir_queue_moves_free(weir_queue_part *own)
{
    while (!weir_link_empty(&own->moves)) {
        weir_move *move = WEIR_OWNER_OF(own->moves.next, weir_move, link);
        weir_link_remove(&move->link);
        free(move);
    }
    weir_link_remove(&own->moving_link);
}

void weir_queue_move_add(weir_group_part *part, int64_t first, int64_t last,
                         const weir_settling *settling)
{
    weir_queue_part *own = part->queue;
    weir_bytes reason = settling != NULL ? settling->reason : WEIR_BYTES_NULL;
    weir_move *move = calloc(1, sizeof(*move) + reason.len);
    if (move == NULL) { /* found again by a walk over the states */
        weir_queue_look_at(own->engine, part->group, 0);
        own->moves_lost = true;
    } else {
        move->first = first;
        move->last = last;
        move->member = settling != NULL && settling->member != NULL ? settling->member->number : 0;
        move->reason_bytes = (uint32_t)reason.len;
        if (reason.len > 0) {
            memcpy(move->reason, reason.ptr, reason.len);
        }
        weir_link_append(&own->moves, &move->link);
    }
    if (!weir_link_in(&own->moving_link)) {
        weir_link_append(&part->group->queue->moving, &own->moving_link);
    }
    weir_queue_look_at(own->engine, part->group, 0);
    weir_groups_due(own->engine);
}

void weir_queue_moves_find(weir_group_part *part)
{
    weir_settlement_run run;
    int64_t at = 0;
    weir_queue_moves_free(part->queue);
    part->queue->moves_lost = false;
    while (weir_settlement_next(part->settlement, at, &run)) {
        if (run.state == WEIR_RECORD_WAITING && run.until == WEIR_QUEUE_MOVING) {
            weir_queue_move_add(part, run.first, run.last, NULL);
        }
        at = run.last + 1;
    }
}

/* ---- One record --------------------------------------------------------------------------------- */

static const char *cause_of(const weir_group_part *part, const weir_queue_item *item)
{
    int64_t limit = part->group->options.delivery_limit;
    return limit > 0 && (int64_t)item->failed >= limit ? "delivery-limit" : "rejected";
}

/* It ends without a dead letter. */
static weir_err end_here(weir_engine *engine, weir_group_part *part, const weir_queue_item *item,
                         weir_queue_event event, weir_fate fate, const char *why)
{
    weir_settling settling = {.event = event, .fate = fate, .why = why};
    return weir_queue_tell(engine, part, &settling, item, 1);
}

static weir_err end_undead(weir_engine *engine, weir_group_part *part, const weir_queue_item *item)
{
    const char *cause = cause_of(part, item);
    bool rejected = strcmp(cause, "rejected") == 0;
    return end_here(engine, part, item, rejected ? WEIR_EVENT_REJECTED : WEIR_EVENT_DROPPED,
                    rejected ? WEIR_FATE_REJECTED : WEIR_FATE_DROPPED, cause);
}

/* It has gone round often enough. */
static weir_err end_loop(weir_engine *engine, weir_group_part *part, const weir_queue_item *item,
                         const weir_member *member)
{
    weir_settling settling = {.event = WEIR_EVENT_DROPPED,
                              .fate = WEIR_FATE_DROPPED,
                              .member = member,
                              .why = WEIR_DEAD_LETTER_LOOP};
    weir_err err = weir_queue_tell(engine, part, &settling, item, 1);
    engine->stats.dead_letter_loops += err == WEIR_OK ? 1 : 0;
    return err;
}

/* [G4] The room for both is asked for before either is written. */
weir_err weir_queue_bury(weir_engine *engine, weir_group_part *part, weir_chunk *chunk,
                         uint32_t index, const weir_queue_item *item, const char *why,
                         weir_bytes reason, const weir_member *member)
{
    weir_settling settling = {.event = WEIR_EVENT_DEAD_LETTERED,
                              .fate = WEIR_FATE_DEAD_LETTERED,
                              .member = member,
                              .why = why};
    if (weir_queue_dead_letters(engine, part->group) && weir_dead_letter_loops(chunk, index)) {
        return end_loop(engine, part, item, member);
    }
    weir_err err = weir_queue_tell_room(engine, part, &settling, item, 1,
                                        weir_dead_letter_bytes(chunk, index));
    err = err == WEIR_OK ? weir_dead_letter_room(engine, part->group, chunk, index) : err;
#ifdef WEIR_PLANT_TWO_UNITS    /* a bug on purpose, by which the simulation is tested */
    static int64_t alone = -1; /* has a letter, in a unit before the one that settles it */
    bool settles = alone == item->first;
    alone = settles || err != WEIR_OK ? -1 : item->first;
    if (err == WEIR_OK && settles) {
        weir_queue_tell_now(engine, part, &settling, item, 1);
    } else if (err == WEIR_OK) {
        weir_dead_letter_write(engine, part, chunk, index, why, reason, member, item->leased,
                               item->failed);
        err = WEIR_MORE;
    }
    return err;
#else
    if (err == WEIR_OK) {
        settling.letter = weir_dead_letter_write(engine, part, chunk, index, why, reason, member,
                                                 item->leased, item->failed);
        weir_queue_tell_now(engine, part, &settling, item, 1);
    }
    return err;
#endif
}

static weir_err move_now(weir_engine *engine, weir_group_part *part, weir_chunk *chunk,
                         uint32_t index, const weir_move *move, const weir_queue_item *item)
{
    weir_bytes reason = {move->reason_bytes > 0 ? move->reason : NULL, move->reason_bytes};
    weir_err err = weir_queue_bury(engine, part, chunk, index, item, cause_of(part, item), reason,
                                   weir_queue_member_of(part->group, move->member));
    return err == WEIR_NOT_FOUND ? end_undead(engine, part, item) : err;
}

/* The record at move->first. MORE: it is read from disk meanwhile. */
static weir_err move_one(weir_engine *engine, weir_group_part *part, weir_move *move,
                         const weir_queue_item *item)
{
    weir_queue *queue = part->group->queue;
    weir_partition *partition = part->partition;
    int64_t offset = item->first;
    if (offset < partition->start_offset) {
        int64_t last = offset;
        return end_here(engine, part, item, WEIR_EVENT_EXPIRED, WEIR_FATE_EXPIRED,
                        weir_trims_reason(partition, offset, &last));
    }
    if (!weir_queue_dead_letters(engine, part->group)) {
        return end_undead(engine, part, item);
    }
    if (queue->mover.read == NULL && queue->mover.read_err != WEIR_OK) {
        weir_err err = queue->mover.read_err; /* again, but not at once */
        queue->mover.read_err = WEIR_OK;
        return err;
    }
    weir_chunk *chunk = weir_member_chunk(engine, &queue->mover, partition, offset);
    if (chunk == NULL) {
        return weir_member_gap(&queue->mover, partition, offset) > offset
                   ? end_here(engine, part, item, WEIR_EVENT_DAMAGED, WEIR_FATE_DROPPED, "damaged")
                   : WEIR_MORE;
    }
    uint32_t index = weir_chunk_index_at(chunk, offset);
    if (index == chunk->count || weir_chunk_offset_at(chunk, index) != offset) {
        return end_here(engine, part, item, WEIR_EVENT_SUPERSEDED, WEIR_FATE_SUPERSEDED, NULL);
    }
    return move_now(engine, part, chunk, index, move, item);
}

/* ---- Once a turn -------------------------------------------------------------------------------- */

/* The next record of the move that is still on its way. False: none is. */
static bool next_of(const weir_group_part *part, weir_move *move, weir_queue_item *item)
{
    weir_settlement_run run;
    while (move->first <= move->last && weir_settlement_next(part->settlement, move->first, &run) &&
           run.first <= move->last) {
        move->first = run.first > move->first ? run.first : move->first;
        if (run.state == WEIR_RECORD_WAITING && run.until == WEIR_QUEUE_MOVING) {
            *item = (weir_queue_item){
                .first = move->first, .count = 1, .leased = run.leased, .failed = run.failed};
            return true;
        }
        move->first = run.last + 1;
    }
    return false;
}

/* MORE: it waits for a read; OK: the part has no more. */
static weir_err part_moves(weir_engine *engine, weir_group_part *part, uint32_t *left)
{
    weir_queue_part *own = part->queue;
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && !weir_link_empty(&own->moves)) {
        weir_move *move = WEIR_OWNER_OF(own->moves.next, weir_move, link);
        weir_queue_item item;
        if (!next_of(part, move, &item)) {
            weir_link_remove(&move->link);
            free(move);
            continue;
        }
        if ((*left)-- == 0) {
            *left = 0;
            return WEIR_AGAIN;
        }
        err = move_one(engine, part, move, &item);
    }
    return err;
}

void weir_queue_moves_work(weir_engine *engine, weir_group *group)
{
    weir_queue *queue = group->queue;
    uint32_t left = WEIR_QUEUE_MOVES_MAX;
    for (weir_link *at = queue->moving.next, *next = NULL; at != &queue->moving; at = next) {
        weir_queue_part *own = WEIR_OWNER_OF(at, weir_queue_part, moving_link);
        next = at->next;
        if (own->moves_lost) {
            weir_queue_moves_find(own->part);
        }
        if (own->part->partition == NULL) {
            weir_link_remove(at);
            continue;
        }
        weir_err err = part_moves(engine, own->part, &left);
        if (err == WEIR_OK && !own->moves_lost) {
            weir_link_remove(&own->moving_link);
        } else if (err == WEIR_AGAIN) {
            weir_queue_look_at(engine, group, engine->engine_ms);
            weir_groups_due(engine);
            return;
        } else { /* a read that ends makes a turn, which looks again */
            weir_queue_look_at(engine, group,
                               engine->engine_ms + (err == WEIR_MORE ? 1 : WEIR_QUEUE_RETRY_MS));
            return;
        }
    }
    if (weir_link_empty(&queue->moving)) {
        weir_member_reads_end(&queue->mover); /* lets go of what it read */
    }
}
