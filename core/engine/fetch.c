/* core/engine/fetch.c - reading a partition from an offset: from the tail at once, from disk by a
 * job, or by waiting for the next record.
 *
 *   offset:  start ............ tail's first ............ visible
 *            | OUT_OF_RANGE |  a read job   |  the tail   | waits
 *
 * Cold reads never run on a loop or in the engine: a job holds counted segments and brings chunks
 * back; the subscriber or fetch that asked goes on in the turn after. What cannot be read (damage,
 * an I/O error) is a gap with offsets, told to who asked, and the rest is served. */
#include "core/engine/group.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    READS_RETRY_NS =
        100 * 1000 * 1000, /* for a subscriber, when there was no memory or descriptor */
};
static const uint64_t READS_TOLD_NS = 10000000000ULL; /* between two lines of log about that */

/* ---- Answers
 * -------------------------------------------------------------------------------------------- */

typedef struct asked {
    weir_port *port;
    void *user;
    uint64_t token;
    int64_t offset;
    uint64_t bytes_max;
} asked;

static weir_completion answer_of(const asked *fetch, const weir_partition *partition, weir_err err)
{
    weir_completion done = {
        .type = WEIR_COMPLETION_FETCH, .err = err, .user = fetch->user, .token = fetch->token};
    if (partition != NULL) {
        done.fetched.start_offset = partition->start_offset;
        done.fetched.end_offset = partition->visible_offset;
    }
    return done;
}

static void run_add(weir_engine *engine, weir_fetched *fetched, weir_chunk *chunk, int64_t offset,
                    int64_t end)
{
    uint32_t first = weir_chunk_index_at(chunk, offset);
    uint32_t stop = weir_chunk_index_at(chunk, end);
    if (first >= stop) {
        return;
    }
    fetched->runs[fetched->run_count++] = (weir_run){weir_chunk_keep(chunk), first, stop - first};
    engine->stats.records_fetched += stop - first;
}

/* Whole chunks from the tail: at least one, about bytes_max in all. */
static void complete_from_tail(weir_engine *engine, const asked *fetch, weir_partition *partition)
{
    weir_completion done = answer_of(fetch, partition, WEIR_OK);
    const weir_tail *tail = &partition->tail;
    uint32_t first = weir_tail_index_of(tail, fetch->offset);
    uint32_t count = 0;
    uint64_t bytes = 0;
    while (first + count < tail->count && (count == 0 || bytes < fetch->bytes_max) &&
           weir_tail_at(tail, first + count)->base_offset < partition->visible_offset) {
        bytes += weir_tail_at(tail, first + count)->batch_bytes;
        count++;
    }
    done.fetched.runs = malloc((count == 0 ? 1 : count) * sizeof(weir_run));
    if (done.fetched.runs == NULL) {
        done.err = WEIR_NO_MEMORY;
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        run_add(engine, &done.fetched, weir_tail_at(tail, first + i), fetch->offset,
                partition->visible_offset);
    }
    weir_port_complete(fetch->port, &done);
}

static void complete_empty(const asked *fetch, const weir_partition *partition, weir_err err)
{
    weir_completion done = answer_of(fetch, partition, err);
    weir_port_complete(fetch->port, &done);
}

/* ---- Cold reads
 * -------------------------------------------------------------------------------------------- */

static void read_run(weir_job *job)
{
    weir_read *read = WEIR_OWNER_OF(job, weir_read, job);
    read->err = WEIR_EMPTY;
    for (uint32_t i = 0; i < read->segment_count && read->err == WEIR_EMPTY; i++) {
        read->err = weir_segment_read(read->segments[i], read->topic, read->partition, read->offset,
                                      read->bytes_max, read->chunks, WEIR_COLD_CHUNKS_MAX,
                                      &read->chunk_count, &read->bad_from, &read->bad_to);
        if (read->err != WEIR_OK && read->err != WEIR_EMPTY && read->err != WEIR_DAMAGED) {
            weir_segment_state state;
            weir_segment_state_of(read->segments[i], &state);
            read->bad_from = read->offset; /* unreadable to its end */
            read->bad_to = state.end_offset;
            /* A file that is gone; the topic is not. */
            read->err = read->err == WEIR_NOT_FOUND ? WEIR_DAMAGED : read->err;
        }
    }
}

void weir_read_let_go(weir_read *read)
{
    for (uint32_t i = 0; i < read->segment_count; i++) {
        weir_segment_drop(read->segments[i]);
    }
    read->segment_count = 0;
}

void weir_read_free(weir_read *read)
{
    weir_read_let_go(read);
    for (uint32_t i = 0; i < read->chunk_count; i++) {
        weir_chunk_drop(read->chunks[i]);
    }
    weir_topic_ref_drop(read->topic);
    if (read->find != NULL) {
        free(read->find->asked);
        free(read->find);
    }
    weir_why_free(read->why);
    free(read->segments);
    free(read);
}

/* The segments that may hold records at or after `offset`, kept; two are enough for one read. */
static weir_err read_segments(weir_read *read, const weir_partition *partition)
{
    read->segments = malloc(2 * sizeof(*read->segments));
    if (read->segments == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < partition->segment_count && read->segment_count < 2; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        if (state.end_offset > read->offset) {
            read->segments[read->segment_count++] = weir_segment_keep(partition->segments[i]);
        }
    }
    return WEIR_OK;
}

weir_err weir_read_start(weir_engine *engine, weir_partition *partition, int64_t offset,
                         weir_subscriber *subscriber, weir_read **out)
{
    weir_read *read = calloc(1, sizeof(*read));
    if (read == NULL) {
        return WEIR_NO_MEMORY;
    }
    read->job = (weir_job){.run = read_run, .done = weir_engine_job_done};
    read->engine = engine;
    read->subscriber = subscriber;
    read->topic_id = partition->topic->id;
    read->partition = partition->index;
    read->offset = offset;
    read->bytes_max = WEIR_COLD_BYTES;
    read->topic = weir_topic_ref_keep(partition->topic->ref);
    if (read_segments(read, partition) != WEIR_OK) {
        weir_read_free(read);
        return WEIR_NO_MEMORY;
    }
    weir_link_append(&engine->reads, &read->link);
    engine->read_count++;
    engine->stats.cold_reads++;
    *out = read;
    if (subscriber != NULL) {
        engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
    }
    return WEIR_OK;
}

static weir_partition *partition_by_id(const weir_engine *engine, const weir_read *read)
{
    weir_topic *topic = weir_topics_find_id(engine, read->topic_id);
    return topic != NULL ? topic->partitions[read->partition] : NULL;
}

/* What could not be read is passed over, and said. */
static void subscriber_gap(weir_engine *engine, weir_subscriber *subscriber, const weir_read *read)
{
    weir_partition *partition = partition_by_id(engine, read);
    int64_t to = read->bad_to > read->offset ? read->bad_to : read->offset + 1;
    for (weir_link *at = subscriber->cursors.next; at != &subscriber->cursors; at = at->next) {
        weir_cursor *cursor = WEIR_OWNER_OF(at, weir_cursor, subscriber_link);
        if (cursor->partition == partition && cursor->next >= read->offset && cursor->next < to) {
            cursor->next = to;
        }
    }
    weir_owed *oldest =
        subscriber->owed_count > 0 ? &subscriber->owed[subscriber->owed_head] : NULL;
    if (oldest != NULL && oldest->partition == partition && oldest->first >= read->offset &&
        oldest->first < to) {
        oldest->first = to <= oldest->last ? to : oldest->last + 1;
    }
    if (weir_port_room(subscriber->port)) {
        weir_completion told = {.type = WEIR_COMPLETION_NOTICE, .user = subscriber->user};
        told.notice = (weir_notice){.subscriber = subscriber,
                                    .kind = WEIR_NOTICE_GAP,
                                    .count = (uint64_t)(to - read->offset),
                                    .from = read->offset,
                                    .to = to};
        weir_port_unasked(subscriber->port, &told);
    }
}

static void subscriber_read(weir_engine *engine, weir_read *read)
{
    weir_subscriber *subscriber = read->subscriber;
    subscriber->read = NULL;
    for (uint32_t i = 0; i < subscriber->cold_count; i++) {
        weir_chunk_drop(subscriber->cold[i]);
    }
    subscriber->cold_count = read->chunk_count;
    memcpy(subscriber->cold, read->chunks, read->chunk_count * sizeof(read->chunks[0]));
    read->chunk_count = 0;             /* taken */
    if (read->err == WEIR_NO_MEMORY) { /* it passes: nothing is passed over */
        subscriber->read_lacks = true;
        engine->reads_retry_ns = engine->now_ns + READS_RETRY_NS;
    } else if (read->err != WEIR_OK && read->err != WEIR_EMPTY) {
        subscriber_gap(engine, subscriber, read);
    }
    weir_subscriber_ready(subscriber);
}

void weir_reads_retry(weir_engine *engine)
{
    if (engine->reads_retry_ns == 0 || engine->now_ns < engine->reads_retry_ns) {
        return;
    }
    engine->reads_retry_ns = 0;
    for (uint32_t i = 0; i < engine->port_count; i++) {
        weir_link *list = &engine->ports[i]->subscribers;
        for (weir_link *at = list->next; at != list; at = at->next) {
            weir_subscriber *subscriber = WEIR_OWNER_OF(at, weir_subscriber, port_link);
            if (subscriber->read_lacks) {
                subscriber->read_lacks = false;
                weir_subscriber_ready(subscriber);
            }
        }
    }
}

static void start_cold(weir_engine *engine, const asked *fetch, weir_partition *partition);

/* Compaction has left nothing from the offset to the end of what was read: the records that answer
 * the fetch lie behind it. False: they do not. */
static bool fetch_on(weir_engine *engine, const weir_read *read, const asked *fetch,
                     weir_partition *partition)
{
    int64_t end = read->chunk_count > 0 ? weir_chunk_end(read->chunks[read->chunk_count - 1]) : 0;
    if (end <= fetch->offset || end >= partition->visible_offset) {
        return false;
    }
    for (uint32_t i = 0; i < read->chunk_count; i++) {
        if (weir_chunk_index_at(read->chunks[i], fetch->offset) < read->chunks[i]->count) {
            return false;
        }
    }
    asked further = *fetch;
    further.offset = end;
    if (weir_tail_find(&partition->tail, end) != NULL) {
        complete_from_tail(engine, &further, partition);
    } else {
        start_cold(engine, &further, partition);
    }
    return true;
}

static void fetch_read(weir_engine *engine, weir_read *read)
{
    weir_partition *partition = partition_by_id(engine, read);
    asked fetch = {read->port, read->user, read->token, read->offset, read->bytes_max};
    if (partition != NULL && read->err == WEIR_OK && fetch_on(engine, read, &fetch, partition)) {
        return;
    }
    weir_err err = read->err == WEIR_EMPTY ? WEIR_OK : read->err;
    err = partition == NULL ? WEIR_NOT_FOUND : err;
    weir_completion done = answer_of(&fetch, partition, err);
    if (err == WEIR_OK) {
        done.fetched.runs = malloc((read->chunk_count + 1) * sizeof(weir_run));
        done.err = done.fetched.runs == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    } else if (partition != NULL && err != WEIR_NO_MEMORY) {
        done.fetched.start_offset = read->bad_from; /* the gap: [start_offset, end_offset) */
        done.fetched.end_offset = read->bad_to;
    }
    for (uint32_t i = 0; i < read->chunk_count && done.err == WEIR_OK; i++) {
        run_add(engine, &done.fetched, read->chunks[i], read->offset, partition->visible_offset);
    }
    weir_port_complete(read->port, &done);
}

static void read_lack_say(weir_engine *engine)
{
    if (engine->reads_told_ns == 0 || engine->now_ns - engine->reads_told_ns >= READS_TOLD_NS) {
        engine->reads_told_ns = engine->now_ns;
        weir_log(
            WEIR_LOG_ERROR, "engine",
            "a segment cannot be read: memory or a file descriptor could not be had; raise the "
            "limit of open files (ulimit -n, LimitNOFILE=), or close connections");
    }
}

/* A fetch's read has ended; frees it. */
static void fetch_finish(weir_engine *engine, weir_read *read)
{
    weir_ahead_go_on(engine, partition_by_id(engine, read), read);
    fetch_read(engine, read);
    weir_read_free(read);
}

void weir_read_finished(weir_engine *engine, weir_read *read)
{
    weir_link_remove(&read->link);
    engine->read_count--;
    if (read->ahead) {
        weir_ahead_finished(engine, read);
        return;
    }
    if (read->why != NULL) {
        weir_why_finished(engine, read);
        return;
    }
    if (read->err == WEIR_NO_MEMORY) {
        read_lack_say(engine);
    } else if (read->err != WEIR_OK && read->err != WEIR_EMPTY) {
        weir_log(
            WEIR_LOG_ERROR, "engine",
            "records %lld to %lld of topic %.*s, partition %u, cannot be read (%s): readers are told "
            "of the gap; restore the segment from a copy to have them back",
            (long long)read->bad_from, (long long)read->bad_to - 1, (int)read->topic->name_bytes,
            (const char *)read->topic->name, read->partition, weir_err_name(read->err));
    }
    if (read->find != NULL) {
        if (!weir_find_finished(read)) {
            return;
        }
    } else if (read->subscriber != NULL) {
        subscriber_read(engine, read);
    } else if (read->member != NULL) {
        weir_member_read_done(engine, read);
    } else if (read->port != NULL) {
        fetch_finish(engine, read);
        return;
    }
    weir_read_free(read);
}

/* ---- The operation
 * ------------------------------------------------------------------------------------------ */

static weir_err wait_for_record(weir_engine *engine, const weir_op *op, const asked *fetch,
                                weir_partition *partition)
{
    weir_waiting_fetch *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL) {
        return WEIR_NO_MEMORY;
    }
    waiting->partition = partition;
    waiting->port = fetch->port;
    waiting->user = fetch->user;
    waiting->token = fetch->token;
    waiting->offset = fetch->offset;
    waiting->bytes_max = (uint32_t)fetch->bytes_max;
    waiting->deadline_ns = engine->now_ns + (uint64_t)op->fetch.wait_ms * 1000000;
    weir_link_append(&partition->waiting, &waiting->partition_link);
    weir_link_append(&engine->fetches, &waiting->engine_link);
    return WEIR_OK;
}

static void start_cold(weir_engine *engine, const asked *fetch, weir_partition *partition)
{
    weir_read *read = weir_ahead_take(engine, partition, fetch->offset, fetch->bytes_max);
    bool begun = read != NULL;
    weir_err err = begun ? WEIR_OK : weir_read_start(engine, partition, fetch->offset, NULL, &read);
    if (err != WEIR_OK) {
        complete_empty(fetch, partition, err);
        return;
    }
    read->ahead = false;
    read->port = fetch->port;
    read->user = fetch->user;
    read->token = fetch->token;
    if (!begun) {
        read->bytes_max = fetch->bytes_max;
        engine->env->ops->job_submit(engine->env, WEIR_LANE_READ, &read->job);
    } else if (!weir_link_in(&read->link)) {
        fetch_finish(engine, read); /* it has ended */
    }
}

static void serve(weir_engine *engine, const weir_op *op, const asked *fetch,
                  weir_partition *partition)
{
    if (fetch->offset < partition->start_offset || fetch->offset > partition->next_offset) {
        complete_empty(fetch, partition, WEIR_OFFSET_OUT_OF_RANGE);
    } else if (fetch->offset >= partition->visible_offset) {
        weir_err err =
            op->fetch.wait_ms > 0 ? wait_for_record(engine, op, fetch, partition) : WEIR_OK;
        if (op->fetch.wait_ms == 0 || err != WEIR_OK) {
            complete_empty(fetch, partition, err);
        }
    } else if (weir_tail_find(&partition->tail, fetch->offset) != NULL) {
        complete_from_tail(engine, fetch, partition);
    } else {
        start_cold(engine, fetch, partition);
    }
}

static void end_waiting(weir_engine *engine, weir_waiting_fetch *waiting, bool answer)
{
    asked fetch = {waiting->port, waiting->user, waiting->token, waiting->offset,
                   waiting->bytes_max};
    weir_link_remove(&waiting->partition_link);
    weir_link_remove(&waiting->engine_link);
    if (answer && waiting->offset < waiting->partition->visible_offset) {
        complete_from_tail(engine, &fetch, waiting->partition);
    } else if (answer) {
        complete_empty(&fetch, waiting->partition, WEIR_OK);
    }
    free(waiting);
}

static void cancel(weir_engine *engine, const weir_port *port, const weir_op *op)
{
    for (weir_link *at = engine->fetches.next, *next = NULL; at != &engine->fetches; at = next) {
        next = at->next;
        weir_waiting_fetch *waiting = WEIR_OWNER_OF(at, weir_waiting_fetch, engine_link);
        if (waiting->port == port && waiting->user == op->user && waiting->token == op->token) {
            end_waiting(engine, waiting, true);
        }
    }
}

void weir_fetch_op(weir_engine *engine, weir_port *port, const weir_op *op)
{
    if (op->type == WEIR_OP_FETCH_CANCEL) {
        cancel(engine, port, op);
        return;
    }
    asked fetch = {port, op->user, op->token, op->fetch.offset, op->fetch.bytes_max};
    weir_topic *topic = weir_topics_find(engine, (weir_bytes){op->data, op->fetch.topic_bytes});
    if (topic == NULL || op->fetch.partition >= topic->partition_count) {
        complete_empty(&fetch, NULL, WEIR_NOT_FOUND);
        return;
    }
    if (weir_topic_is_apart(topic) && !op->fetch.peek) {
        complete_empty(&fetch, topic->partitions[op->fetch.partition], WEIR_NOT_OFFERED);
        return;
    }
    serve(engine, op, &fetch, topic->partitions[op->fetch.partition]);
}

void weir_fetches_ready(weir_engine *engine, weir_partition *partition)
{
    for (weir_link *at = partition->waiting.next, *next = NULL; at != &partition->waiting;
         at = next) {
        next = at->next;
        weir_waiting_fetch *waiting = WEIR_OWNER_OF(at, weir_waiting_fetch, partition_link);
        if (waiting->offset < partition->visible_offset) {
            end_waiting(engine, waiting, true);
        }
    }
}

void weir_fetches_expire(weir_engine *engine)
{
    weir_ahead_expire(engine);
    for (weir_link *at = engine->fetches.next, *next = NULL; at != &engine->fetches; at = next) {
        next = at->next;
        weir_waiting_fetch *waiting = WEIR_OWNER_OF(at, weir_waiting_fetch, engine_link);
        if (waiting->deadline_ns <= engine->now_ns) {
            end_waiting(engine, waiting, true);
        }
    }
}

/* Ends the fetches of a deleted topic's partition (they are told), or of a port that closes. */
void weir_fetches_end(weir_engine *engine, weir_partition *partition, weir_port *port)
{
    for (weir_link *at = engine->fetches.next, *next = NULL; at != &engine->fetches; at = next) {
        next = at->next;
        weir_waiting_fetch *waiting = WEIR_OWNER_OF(at, weir_waiting_fetch, engine_link);
        if (partition != NULL && waiting->partition == partition) {
            asked fetch = {waiting->port, waiting->user, waiting->token, 0, 0};
            complete_empty(&fetch, NULL, WEIR_NOT_FOUND);
            end_waiting(engine, waiting, false);
        } else if (port != NULL && waiting->port == port) {
            end_waiting(engine, waiting, false);
        }
    }
}
