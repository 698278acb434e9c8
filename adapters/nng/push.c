/* adapters/nng/push.c - alone responsible for what PUSH hands out next: the records of one topic,
 * each to at most one peer.
 *
 *   topic unknown --bounds--> partitions --> per partition:  idle --fetch--> FETCHING --> holding
 * runs ^    \-- not declared: asked again later             ^                              |
 *        +--- deleted, out of range: bounds again             +---- all were given ----------+
 *
 * Records are fetched, not subscribed to: the topic itself is the queue, so what nobody has room
 * for stays there. It begins at each partition's end when the front end starts; a topic that is
 * declared later is handed out whole, as all of it came after.
 *
 * Happy path: while a peer has room, each partition in turn gives one record; a partition with
 * nothing left fetches on from where it was.
 *
 * Failures: what retention removed before it was handed out is counted (push_skipped). Any other
 * error of the engine is tried again after RETRY_MS.
 *
 * [H1] A partition's offset is that of the next record to give or to fetch; a record is given only
 * once the offset has passed it: at most once. [H2] A partition has at most one fetch under way,
 * and none while it holds runs. */
#include "adapters/nng/out_private.h"

#include <stdlib.h>

enum { FETCH_BYTES = 262144, FETCH_WAIT_MS = 30000, RETRY_MS = 500 };

typedef struct push_partition {
    int64_t offset; /* [H1] */
    bool fetching;
    bool lost_place;         /* its offset is not there any more */
    uint32_t run;            /* of fetched.runs */
    uint32_t index;          /* in that run */
    weir_completion fetched; /* type 0: holds nothing */
} push_partition;

struct push_source {
    weir_sink sink; /* first */
    weir_nng_out *out;
    push_partition *partitions;
    uint32_t count;
    uint32_t turn;     /* the partition that gives next */
    uint32_t fetches;  /* under way, also those of a topic that was there before */
    uint64_t epoch;    /* of `partitions`: completions of an older one say nothing */
    bool asking;       /* bounds are under way */
    bool known;        /* the bounds of its partitions are */
    bool missed_start; /* it was not declared at start: all of it is new */
    bool failed;       /* wait for the deadline before anything else */
    bool closed;
    weir_deadline retry;
};

static weir_loop *loop_of(const push_source *source)
{
    return source->out->adapter->loop;
}

static weir_bytes topic_of(const push_source *source)
{
    return weir_bytes_of(source->out->adapter->push_topic);
}

static void retry_later(push_source *source)
{
    if (!source->closed) {
        source->failed = true;
        weir_loop_deadline_set(loop_of(source), &source->retry,
                               weir_loop_now_ms(loop_of(source)) + RETRY_MS);
    }
}

static void retry_run(weir_deadline *deadline)
{
    push_source *source = (push_source *)((char *)deadline - offsetof(push_source, retry));
    source->failed = false;
    weir_loop_kick(loop_of(source));
    weir_nng_push_work(source);
}

static void partitions_drop(push_source *source)
{
    for (uint32_t i = 0; i < source->count; i++) {
        if (source->partitions[i].fetched.type != 0) {
            weir_completion_drop(&source->partitions[i].fetched);
        }
    }
    free(source->partitions);
    source->partitions = NULL;
    source->count = 0;
    source->known = false;
    source->epoch++;
}

/* ---- Where to begin ---------------------------------------------------------------------------
 */

static void bounds_ask(push_source *source)
{
    weir_err err = weir_port_offsets(weir_loop_port(loop_of(source)), topic_of(source),
                                     WEIR_OFFSETS_BOUNDS, 0, &source->sink, 0);
    source->asking = err == WEIR_OK;
    if (err != WEIR_OK) {
        retry_later(source);
    }
}

/* A partition that kept its number goes on where it was, if that is still there. */
static void partition_place(push_source *source, push_partition *partition,
                            const weir_partition_info *info, bool fresh)
{
    if (fresh) {
        partition->offset = source->missed_start ? info->start_offset : info->end_offset;
    } else if (partition->lost_place) {
        if (partition->offset < info->start_offset) {
            weir_counter_add(&source->out->adapter->counters.push_skipped,
                             (uint64_t)(info->start_offset - partition->offset));
            partition->offset = info->start_offset;
        } else if (partition->offset > info->end_offset) {
            partition->offset = info->start_offset; /* another topic of that name */
        }
    }
    partition->lost_place = false;
}

static void bounds_take(push_source *source, const weir_completion *completion)
{
    const weir_topic_info *info = NULL;
    bool fresh = source->count == 0;
    source->asking = false;
    if (completion->err != WEIR_OK || completion->topics.count == 0) {
        if (completion->err == WEIR_NOT_FOUND) {
            source->missed_start = true;
        }
        retry_later(source);
        return;
    }
    info = &completion->topics.topics[0];
    if (fresh) {
        source->partitions = calloc(info->options.partitions, sizeof(push_partition));
        if (source->partitions == NULL) {
            retry_later(source);
            return;
        }
        source->count = info->options.partitions;
    }
    for (uint32_t i = 0; i < source->count && i < info->options.partitions; i++) {
        partition_place(source, &source->partitions[i], &info->partitions[i], fresh);
    }
    source->known = true;
}

/* ---- Fetching ---------------------------------------------------------------------------------
 */

static uint64_t fetch_token(const push_source *source, uint32_t index)
{
    return source->epoch << 32 | (index + 1);
}

static bool fetch(push_source *source, uint32_t index)
{
    const weir_limits *limits = source->out->adapter->host->limits;
    push_partition *partition = &source->partitions[index];
    uint64_t wait_ms =
        limits->fetch_wait_ms_max < FETCH_WAIT_MS ? limits->fetch_wait_ms_max : FETCH_WAIT_MS;
    const weir_fetch asked = {.topic = topic_of(source),
                              .partition = index,
                              .offset = partition->offset,
                              .bytes_max = FETCH_BYTES,
                              .wait_ms = (uint32_t)wait_ms};
    weir_err err = weir_port_fetch(weir_loop_port(loop_of(source)), &asked, &source->sink,
                                   fetch_token(source, index));
    if (err != WEIR_OK) {
        retry_later(source);
        return false;
    }
    partition->fetching = true; /* [H2] */
    source->fetches++;
    return true;
}

static void fetch_failed(push_source *source, push_partition *partition, weir_err err)
{
    if (err == WEIR_NOT_FOUND) {
        partitions_drop(source); /* the topic is gone; one of that name will be a new one */
        source->missed_start = true;
    } else if (err == WEIR_OFFSET_OUT_OF_RANGE) {
        partition->lost_place = true;
        source->known = false;
        return; /* the bounds are asked for at once */
    }
    retry_later(source);
}

static void fetch_take(push_source *source, weir_completion *completion)
{
    uint32_t index = (uint32_t)completion->token - 1;
    push_partition *partition = NULL;
    source->fetches--;
    if (source->closed || completion->token >> 32 != (uint32_t)source->epoch) {
        return;
    }
    partition = &source->partitions[index];
    partition->fetching = false;
    if (completion->err != WEIR_OK) {
        fetch_failed(source, partition, completion->err);
    } else if (completion->fetched.run_count > 0) {
        partition->fetched = *completion; /* [H2] kept */
        partition->run = 0;
        partition->index = 0;
        completion->fetched = (weir_fetched){0};
    } else if (source->out->adapter->host->limits->fetch_wait_ms_max == 0) {
        retry_later(source); /* nothing waits for us: look again later */
    }
}

static void complete(weir_sink *sink, weir_completion *completion)
{
    push_source *source = (push_source *)sink;
    if (completion->type == WEIR_COMPLETION_FETCH) {
        fetch_take(source, completion);
    } else {
        bounds_take(source, completion);
    }
    weir_loop_at_turn_end(loop_of(source), &source->out->turn_end);
}

/* ---- Giving -----------------------------------------------------------------------------------
 */

/* Moves past what was given; drops the answer when it is used up. */
static void partition_advance(push_partition *partition, int64_t given)
{
    const weir_fetched *fetched = &partition->fetched.fetched;
    partition->offset = given + 1; /* [H1] */
    partition->index++;
    if (partition->index == fetched->runs[partition->run].count) {
        partition->index = 0;
        partition->run++;
    }
    if (partition->run == fetched->run_count) {
        weir_completion_drop(&partition->fetched);
        partition->fetched = (weir_completion){0};
    }
}

static void partition_give(push_source *source, push_partition *partition)
{
    weir_run run = partition->fetched.fetched.runs[partition->run];
    weir_chunk *chunk = weir_chunk_keep(run.chunk); /* advance may drop the last count */
    weir_record record;
    weir_chunk_record(chunk, run.first + partition->index, &record);
    partition_advance(partition, record.offset);
    weir_nng_out_record(source->out, weir_chunk_topic(chunk), &record);
    weir_chunk_drop(chunk);
}

/* One record of the next partition that has any. False: none has. */
static bool give_one(push_source *source)
{
    for (uint32_t i = 0; i < source->count; i++) {
        push_partition *partition = &source->partitions[(source->turn + i) % source->count];
        if (partition->fetched.type != 0) {
            source->turn = (source->turn + i + 1) % source->count;
            partition_give(source, partition);
            return true;
        }
    }
    return false;
}

static void fetch_all(push_source *source)
{
    for (uint32_t i = 0; i < source->count; i++) {
        const push_partition *partition = &source->partitions[i];
        if (!partition->fetching && partition->fetched.type == 0 && !fetch(source, i)) {
            return;
        }
    }
}

void weir_nng_push_work(push_source *source)
{
    if (source->closed || source->out->stopped || topic_of(source).len == 0) {
        return;
    }
    if (!source->failed && !source->asking && !source->known) {
        bounds_ask(source);
    }
    weir_nng_out_flush(source->out); /* what nobody took the last time */
    while (weir_nng_out_wanted(source->out) && give_one(source)) {
        /* until nobody has room, or nothing is there */
    }
    weir_nng_out_flush(source->out);
    if (source->known && !source->failed && weir_nng_out_wanted(source->out)) {
        fetch_all(source);
    }
}

/* ---- Life -------------------------------------------------------------------------------------
 */

weir_err weir_nng_push_create(weir_nng_out *out, push_source **source)
{
    push_source *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return WEIR_NO_MEMORY;
    }
    made->sink.complete = complete;
    made->retry.run = retry_run;
    made->out = out;
    *source = made;
    return WEIR_OK;
}

void weir_nng_push_run(push_source *source)
{
    weir_nng_push_work(source); /* the bounds of now: before anybody is connected */
}

void weir_nng_push_close(push_source *source)
{
    weir_port *port = weir_loop_port(loop_of(source));
    source->closed = true;
    weir_loop_deadline_cancel(loop_of(source), &source->retry);
    for (uint32_t i = 0; i < source->count; i++) {
        if (source->partitions[i].fetching) {
            /* AGAIN is no harm: it ends by itself at its wait's end. */
            (void)weir_port_fetch_cancel(port, &source->sink, fetch_token(source, i));
        }
    }
}

bool weir_nng_push_idle(const push_source *source)
{
    return source->fetches == 0 && !source->asking;
}

void weir_nng_push_destroy(push_source *source)
{
    if (source != NULL) {
        partitions_drop(source);
        free(source);
    }
}
