/* tests/sim/answers.c - what completions say to the model.
 *
 * An answer about a topic that was created or deleted since it was asked for tells nothing: it is
 * dropped. Records are always looked at; a chunk carries its topic's id, which tells incarnations
 * apart. */
#include "tests/sim/sim.h"

#include "core/log/chunk.h"

#include <inttypes.h>
#include <string.h>

/* ---- Records
 * ------------------------------------------------------------------------------------------- */

/* Which topic a chunk is of, MODEL_TOPICS for live ones, MODEL_NONE when that one is gone. */
uint32_t world_topic_of(const sim_world *w, const weir_chunk *chunk)
{
    if (weir_chunk_is_live(chunk)) {
        return MODEL_TOPICS;
    }
    uint32_t topic = model_topic_of(&w->model, weir_chunk_topic(chunk));
    bool here = topic != MODEL_NONE && w->model.topics[topic].id == chunk->topic->id;
    return here ? topic : MODEL_NONE;
}

static bool topic_same(const sim_world *w, const sim_ask *ask)
{
    const model_topic *topic = &w->model.topics[ask->topic];
    return topic->exists == TOPIC_YES && topic->incarnation == ask->incarnation;
}

static void fetched_record(sim_world *w, sim_ask *ask, const weir_record *record)
{
    const model_topic *topic = &w->model.topics[ask->topic];
    bool queue = world_is_queue(w, ask->topic);
    bool right =
        topic->compacts || queue ? record->offset >= ask->next : record->offset == ask->next;
    if (!right) {
        model_fail(&w->model,
                   "[P2] a fetch of %s/%u from %" PRId64 " gives %" PRId64 " where %" PRId64
                   " comes next",
                   topic->name, ask->partition, ask->offset, record->offset, ask->next);
        return;
    }
    if (queue) {
        world_queue_hole(w, ask->topic, ask->partition, ask->next, record->offset);
    }
    (void)model_seen(&w->model, ask->topic, ask->partition, record);
    ask->next = record->offset + 1;
    world_event(w, SIM_EVENT_record_fetched);
}

static void fetched_runs(sim_world *w, sim_ask *ask, const weir_fetched *fetched)
{
    ask->next = ask->offset;
    for (uint32_t i = 0; i < fetched->run_count; i++) {
        const weir_run *run = &fetched->runs[i];
        for (uint32_t r = 0; r < run->count && !w->model.failed; r++) {
            weir_record record;
            weir_chunk_record(run->chunk, run->first + r, &record);
            fetched_record(w, ask, &record);
        }
    }
    if (fetched->run_count == 0 && world_is_queue(w, ask->topic) && !w->model.failed) {
        int64_t end = fetched->end_offset > ask->next ? fetched->end_offset : ask->next;
        world_queue_hole(w, ask->topic, ask->partition, ask->next, end);
        ask->next = end;
    }
}

/* What the asker may count on. An engine that has stopped shows no more than it did. */
static int64_t known_end(const sim_world *w, const sim_ask *ask)
{
    return weir_engine_health_of(w->engine) >= WEIR_HEALTH_STOPPED ? 0 : ask->end;
}

static void answer_fetch(sim_world *w, sim_ask *ask, const weir_completion *done)
{
    const model_topic *topic = &w->model.topics[ask->topic];
    const weir_fetched *fetched = &done->fetched;
    if (!topic_same(w, ask)) {
        return;
    }
    switch (done->err) {
    case WEIR_OK:
        w->events[SIM_EVENT_queue_peeked] += world_is_queue(w, ask->topic) ? 1 : 0;
        world_start_told(w, ask->topic, ask->partition, fetched->start_offset);
        model_told(&w->model, ask->topic, ask->partition, fetched->start_offset,
                   fetched->end_offset, known_end(w, ask));
        fetched_runs(w, ask, fetched);
        break;
    case WEIR_OFFSET_OUT_OF_RANGE:
        world_start_told(w, ask->topic, ask->partition, fetched->start_offset);
        model_told(&w->model, ask->topic, ask->partition, fetched->start_offset,
                   fetched->end_offset, known_end(w, ask));
        ask->next = fetched->start_offset > ask->offset ? fetched->start_offset : ask->offset;
        if (ask->offset <= known_end(w, ask) && ask->offset >= topic->logs[ask->partition].start &&
            !topic->trims) {
            model_fail(&w->model, "[P1] %s/%u has no offset %" PRId64 ", and ended at %" PRId64,
                       topic->name, ask->partition, ask->offset, ask->end);
        }
        break;
    case WEIR_DAMAGED:
    case WEIR_IO:
        if (!w->model.gaps) {
            model_fail(&w->model, "[P3] %s/%u at %" PRId64 " cannot be read: %s", topic->name,
                       ask->partition, ask->offset, weir_err_name(done->err));
        }
        ask->next = fetched->end_offset > ask->offset ? fetched->end_offset : ask->offset + 1;
        world_event(w, SIM_EVENT_gap_told);
        break;
    default:
        model_fail(&w->model, "[P7] a fetch of %s/%u is answered %s", topic->name, ask->partition,
                   weir_err_name(done->err));
    }
}

/* ---- Deliveries
 * --------------------------------------------------------------------------------------- */

/* One that was closed, and whose port has not heard it yet, may have left its address to a new one of
 * another port. */
static sim_reader *reader_of(sim_world *w, uint32_t port, const weir_subscriber *handle)
{
    for (uint32_t i = 0; i < SIM_READERS; i++) {
        if (w->readers[i].handle == handle && w->readers[i].port == port) {
            return &w->readers[i];
        }
    }
    return NULL;
}

static void reader_meets(sim_reader *reader, uint32_t incarnation)
{
    if (reader->incarnation != incarnation) {
        reader->incarnation = incarnation;
        for (uint32_t p = 0; p < MODEL_PARTITIONS; p++) {
            reader->next[p] = -1;
            reader->last[p] = -1;
        }
    }
}

static void reader_order(sim_world *w, sim_reader *reader, uint32_t partition, int64_t offset)
{
    const model_topic *topic = &w->model.topics[reader->topic];
    reader_meets(reader, topic->incarnation);
    if (offset <= reader->last[partition]) {
        model_fail(&w->model, "[P2] a reader of %s/%u gets %" PRId64 " after %" PRId64, topic->name,
                   partition, offset, reader->last[partition]);
    }
    bool told_later = topic->trims && !reader->from_log; /* a DROPPED notice may come behind */
    /* What a trim took before the reader was there is no gap of its. */
    bool trimmed_before =
        topic->trims && reader->last[partition] < 0 && offset > reader->next[partition];
    if (reader->whole && !told_later && !trimmed_before && reader->next[partition] >= 0 &&
        offset != reader->next[partition] && !w->model.gaps && !topic->compacts) {
        model_fail(&w->model,
                   "[P2] a reader of %s/%u gets %" PRId64 " where %" PRId64 " comes next",
                   topic->name, partition, offset, reader->next[partition]);
    }
    reader->last[partition] = offset;
    reader->next[partition] = offset + 1;
}

static void delivered_record(sim_world *w, sim_reader *reader, const weir_delivery *delivery,
                             uint32_t topic, uint32_t index)
{
    weir_record record;
    weir_chunk_record(delivery->chunk, delivery->first + index, &record);
    reader->records++;
    if (delivery->retained) {
        uint32_t of = weir_chunk_is_live(delivery->chunk)
                          ? MODEL_TOPICS
                          : model_topic_of(&w->model, weir_chunk_topic(delivery->chunk));
        uint32_t number = model_seen_retained(&w->model, of, &record);
        if (reader->audit && number != MODEL_NONE) {
            model_retained_seen(&w->model, number);
        }
        return;
    }
    if (topic == MODEL_NONE) {
        return;
    }
    uint32_t partition = weir_chunk_partition(delivery->chunk);
    if (world_is_queue(w, topic)) {
        model_fail(&w->model, "[Q6] a reader gets offset %" PRId64 " of queue %s", record.offset,
                   w->model.topics[topic].name);
    }
    (void)model_seen(&w->model, topic, partition, &record);
    if (topic == reader->topic && topic < MODEL_TOPICS) {
        reader_order(w, reader, partition, record.offset);
    }
    world_event(w, reader->from_log ? SIM_EVENT_record_delivered_from_log
                                    : SIM_EVENT_record_delivered);
}

static void delivered(sim_world *w, uint32_t port, const weir_delivery *delivery)
{
    sim_reader *reader = reader_of(w, port, delivery->subscriber);
    if (reader == NULL) {
        model_fail(&w->model, "[P3] a delivery for nobody");
        return;
    }
    uint32_t topic = world_topic_of(w, delivery->chunk);
    world_say(w, "    reader %u: %u records of topic %u/%u from %" PRId64 "%s",
              (unsigned)(reader - w->readers), delivery->count, topic,
              weir_chunk_partition(delivery->chunk),
              weir_chunk_offset_at(delivery->chunk, delivery->first),
              delivery->retained ? ", retained" : "");
    if (delivery->slots == NULL && delivery->slot != reader->slot) {
        model_fail(&w->model, "[P3] a delivery for slot %u, which is %u", delivery->slot,
                   reader->slot);
    }
    for (uint32_t i = 0; i < delivery->count && !w->model.failed; i++) {
        delivered_record(w, reader, delivery, topic, i);
    }
}

static bool any_trims(const sim_world *w)
{
    if (w->model.trims_gone) {
        return true;
    }
    for (uint32_t i = 0; i < MODEL_TOPICS; i++) {
        if (w->model.topics[i].trims) {
            return true;
        }
    }
    return false;
}

static void noticed(sim_world *w, uint32_t port, const weir_notice *notice)
{
    sim_reader *reader = reader_of(w, port, notice->subscriber);
    if (reader == NULL) {
        return;
    }
    world_say(w, "    reader %u: notice %d", (unsigned)(reader - w->readers), notice->kind);
    switch (notice->kind) {
    case WEIR_NOTICE_ENDED:
        reader->ended = true;
        break;
    case WEIR_NOTICE_GAP:
        world_event(w, SIM_EVENT_gap_told);
        if (!w->model.gaps && !any_trims(w)) {
            model_fail(&w->model, "[P3] a gap from %" PRId64 " to %" PRId64 " is told",
                       notice->from, notice->to);
        }
        break;
    default:
        break;
    }
    for (uint32_t p = 0; p < MODEL_PARTITIONS && notice->kind != WEIR_NOTICE_ENDED; p++) {
        reader->next[p] = -1;
    }
}

/* ---- Answers
 * ------------------------------------------------------------------------------------------- */

static void sends_counted(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    const model_send *send = &w->model.sends[ask->send];
    if (done->err == WEIR_DISK_FULL) {
        world_event(w, SIM_EVENT_disk_full_refused);
    }
    if (done->err != WEIR_OK) {
        return;
    }
    bool retain = (send->attributes & WEIR_RECORD_RETAIN) != 0;
    if (retain) {
        world_event(w, send->value_bytes > 0 ? SIM_EVENT_retained_set : SIM_EVENT_retained_cleared);
    }
    if (done->published.live) {
        world_event(w, SIM_EVENT_live_published);
        return;
    }
    static const sim_event LEVELS[WEIR_LEVEL_COUNT] = {
        [WEIR_LEVEL_MEMORY] = SIM_EVENT_acknowledged_memory,
        [WEIR_LEVEL_OS] = SIM_EVENT_acknowledged_os,
        [WEIR_LEVEL_DISK] = SIM_EVENT_acknowledged_disk,
    };
    world_event(w, LEVELS[done->published.level]);
    w->stamped_ms = done->published.timestamp_ms;
    w->events[SIM_EVENT_acknowledged_lz4] += ask->codec == 3 ? 1 : 0;
    w->events[SIM_EVENT_acknowledged_zstd] += ask->codec == 4 ? 1 : 0;
    if (send->batch_count > 0) {
        world_event(w,
                    ask->large ? SIM_EVENT_acknowledged_large_batch : SIM_EVENT_acknowledged_batch);
    }
}

/* What an error says about a change of topics: it did not happen, or nobody knows before a restart. */
static bool did_not_happen(weir_err err)
{
    return weir_err_class_of(err) != WEIR_CLASS_STORAGE || err == WEIR_DISK_FULL;
}

static void answer_create(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_topic *topic = &w->model.topics[ask->topic];
    if (done->err == WEIR_OK && topic->exists == TOPIC_CREATING) {
        const weir_topic_info *info = &done->topics.topics[0];
        model_topic_created(&w->model, ask->topic, &info->options, info->id);
        if (info->options.partitions != ask->options.partitions ||
            info->options.level != ask->options.level) {
            model_fail(&w->model, "[P7] topic %s is created with other options", topic->name);
        }
        world_event(w, topic->incarnation > 0 ? SIM_EVENT_topic_created_again
                                              : SIM_EVENT_topic_created);
        world_queue_created(w, ask);
    } else if (topic->exists == TOPIC_CREATING && did_not_happen(done->err)) {
        topic->exists = TOPIC_NO;
        w->groups[MODEL_FREE_GROUPS + ask->topic].exists = GROUP_NO;
    }
}

static void answer_delete(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_topic *topic = &w->model.topics[ask->topic];
    model_group *own = &w->groups[MODEL_FREE_GROUPS + ask->topic];
    if (done->err == WEIR_OK) {
        w->events[SIM_EVENT_topic_deleted_under_group] += world_is_read(w, ask->topic) ? 1 : 0;
        world_queue_deleted(w, ask->topic);
        model_topic_deleted(&w->model, ask->topic);
        world_event(w, SIM_EVENT_topic_deleted);
    } else if (done->err == WEIR_NOT_FOUND) {
        model_fail(&w->model, "[P7] topic %s is to be deleted and not there", topic->name);
    } else if (did_not_happen(done->err)) {
        topic->exists = TOPIC_YES;
        if (own->exists == GROUP_DELETING) {
            own->exists = GROUP_YES;
            own->strict = false; /* what was handed over meanwhile was not counted */
        }
    }
}

static void answer_level(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_topic *topic = &w->model.topics[ask->topic];
    if (!topic_same(w, ask)) {
        return;
    }
    if (done->err == WEIR_OK) {
        model_topic_level(&w->model, ask->topic, ask->options.level);
        world_event(w, SIM_EVENT_level_changed);
    } else if (did_not_happen(done->err)) {
        topic->level_next = WEIR_LEVEL_DEFAULT;
    }
}

static void answer_alter(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    model_topic *topic = &w->model.topics[ask->topic];
    topic->changing--;
    if (!topic_same(w, ask)) {
        return;
    }
    if (done->err == WEIR_OK && ask->options.partitions > 0) {
        model_topic_partitions(&w->model, ask->topic, ask->options.partitions);
        world_event(w, SIM_EVENT_partitions_added);
    } else if (done->err == WEIR_OK) {
        world_event(w, SIM_EVENT_retention_changed);
    } else if (did_not_happen(done->err)) {
        topic->partitions_next = 0;
    }
}

static void answer_trim(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    w->model.topics[ask->topic].changing--;
    if (topic_same(w, ask) && done->err == WEIR_OK) {
        model_topic_trimmed(&w->model, ask->topic, ask->partition, ask->offset);
        world_event(w, SIM_EVENT_trimmed);
    }
}

static void answer_offsets(sim_world *w, const sim_ask *ask, const weir_completion *done)
{
    if (!topic_same(w, ask) || done->err != WEIR_OK) {
        return;
    }
    const weir_topic_info *info = &done->topics.topics[0];
    for (uint32_t p = 0; p < info->options.partitions && p < MODEL_PARTITIONS; p++) {
        int64_t start = info->partitions[p].start_offset;
        int64_t end = info->partitions[p].end_offset;
        bool moved = start > w->model.topics[ask->topic].logs[p].start;
        w->events[SIM_EVENT_start_moved] += moved ? 1 : 0;
        world_start_told(w, ask->topic, p, start);
        if (ask->settle) {
            model_bounds(&w->model, ask->topic, p, start, end);
        } else {
            model_told(&w->model, ask->topic, p, start, end,
                       p == ask->partition ? known_end(w, ask) : 0);
        }
    }
}

static void kept_counted(sim_world *w, const weir_topics *topics)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        w->events[SIM_EVENT_unsettled_kept] += topics->topics[i].held_bytes > 0 ? 1 : 0;
    }
}

static void answer_asked(sim_world *w, sim_ask *ask, weir_completion *done)
{
    switch (ask->kind) {
    case ASK_SENDS:
        model_answered(&w->model, ask->send, done);
        sends_counted(w, ask, done);
        world_queue_sent(w, ask, done);
        break;
    case ASK_ONCE:
        world_queue_sent(w, ask, done);
        if (!ask->again) {
            model_answered(&w->model, ask->send, done);
        }
        world_producer_answered(w, ask, done);
        break;
    case ASK_PRODUCER:
        world_producer_opened(w, ask, done);
        break;
    case ASK_NAMED:
        world_queue_sent(w, ask, done);
        if (!ask->again) {
            model_answered(&w->model, ask->send, done);
        }
        world_named_answered(w, ask, done);
        break;
    case ASK_WHERE:
        world_where_answered(w, ask, done);
        break;
    case ASK_WHY:
        world_why_answered(w, ask, done);
        break;
    case ASK_FETCH:
        answer_fetch(w, ask, done);
        break;
    case ASK_CREATE:
        world_groups_hear(w);
        answer_create(w, ask, done);
        break;
    case ASK_DELETE:
        world_groups_hear(w);
        answer_delete(w, ask, done);
        break;
    case ASK_LEVEL:
        answer_level(w, ask, done);
        break;
    case ASK_ALTER:
        answer_alter(w, ask, done);
        break;
    case ASK_TRIM:
        answer_trim(w, ask, done);
        break;
    case ASK_TOPICS:
        if (done->err == WEIR_OK && !ask->stale) {
            kept_counted(w, &done->topics);
            model_topics(&w->model, &done->topics, ask->settle);
        }
        break;
    case ASK_OFFSETS:
        answer_offsets(w, ask, done);
        break;
    case ASK_SUBSCRIBE:
        if (done->err != WEIR_OK) {
            w->readers[ask->reader].ended = true; /* it will get nothing */
        }
        break;
    case ASK_CLOSE:
        world_reader_forget(&w->readers[ask->reader]);
        break;
    default:
        world_group_answered(w, ask, done);
        break;
    }
}

void world_answer(sim_world *w, uint32_t port, weir_completion *done)
{
    world_note(w, (uint64_t)done->type << 32 | (uint64_t)done->err << 16 | port);
    if (done->type == WEIR_COMPLETION_DELIVERY) {
        delivered(w, port, &done->delivery);
    } else if (done->type == WEIR_COMPLETION_NOTICE) {
        noticed(w, port, &done->notice);
    } else if (done->type == WEIR_COMPLETION_ASSIGNED) {
        world_group_assigned(w, &done->assigned);
    } else if ((done->token & SIM_UNASKED) != 0) {
        model_refused(&w->model, (uint32_t)done->token, done);
        if (done->err == WEIR_QUEUE_FULL) {
            world_queue_refused(w, (uint32_t)done->token);
        }
    } else {
        sim_ask *ask = &w->asks[done->token % SIM_ASKS];
        if (ask->kind == ASK_NONE) {
            model_fail(&w->model, "[P9] something is answered twice, or was never asked");
            return;
        }
        world_say(w, "    port %u: answer to %u: %s", port, (unsigned)(done->token % SIM_ASKS),
                  weir_err_name(done->err));
        ask->err = done->err;
        answer_asked(w, ask, done);
        world_ask_drop(w, ask);
    }
}
