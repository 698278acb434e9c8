/* programs/recording_log.c - records of many partitions as one row, in the order of their times.
 *
 *   partition 0   [ fetched: 5 9 9 12 | still to be fetched ]      heap of partitions by the time of
 *   partition 1   [ fetched: 7 8      | still to be fetched ]  ->  their first record:  5 7 8 9 9 12
 *   partition 2   all given                                        among equals the lower index
 *
 * Happy path: bounds are asked for once, at the opening; each partition is fetched piece by piece, the
 * next piece when the last record of the one before was given. What a filter leaves out is dropped
 * when it is fetched. Failures: offsets that retention has removed since, or that are damaged, are
 * left out and told once for each piece; what breaks the connection ends it. A fetch does not tell
 * how far damage reaches; a subscription does, and is asked there.
 *
 * [R1] Of one partition records come in the order of their offsets: its time for the merge is the
 * highest so far, so a clock that was set back turns nothing around. [R2] What is held at once is
 * about FETCHED_BYTES, however many partitions there are. */
#include "programs/connect.h"
#include "programs/recording.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    FETCHED_BYTES = 64 << 20,
    FETCH_BYTES_LEAST = 16 << 10,
    FETCH_BYTES_MOST = 1 << 20,
    PARTITIONS_MAX = 100000,
    DAMAGE_CREDIT = 64, /* records that may come behind the notice of a gap */
    DAMAGE_MS_MAX = 30000,
};

typedef struct kept {
    weir_recorded record; /* spans point behind it, in the same memory */
} kept;

typedef struct cursor {
    uint32_t topic;
    uint32_t partition;
    int64_t begin;
    int64_t offset; /* where to fetch on */
    int64_t end;
    int64_t at_ms; /* of the first record, for the merge [R1] */
    kept **fetched;
    uint32_t fetched_count;
    uint32_t fetched_at;
} cursor;

typedef struct log_recording {
    weir_recording base;
    weir_client *client;
    weir_recording_range range;
    weir_client_topics topics;
    bool *whole; /* for each topic: a source is its name */
    cursor *cursors;
    uint32_t cursor_count;
    uint32_t *heap; /* indexes of cursors that have a record */
    uint32_t heap_count;
    bool given; /* the heap's first record was given */
    uint32_t fetch_bytes;
    double offsets_all;
    int64_t now_ms;     /* of the newest record given, as merged */
    uint64_t now_count; /* records given before it with the same time */
} log_recording;

/* ---- One record --------------------------------------------------------------------------------
 */

static weir_bytes put(uint8_t **at, weir_bytes bytes)
{
    weir_bytes copy = {bytes.ptr == NULL ? NULL : *at, bytes.len};
    if (bytes.len > 0) {
        memcpy(*at, bytes.ptr, bytes.len);
    }
    *at += bytes.len;
    return copy;
}

static kept *record_keep(const weir_client_record *record)
{
    size_t size = sizeof(kept) + record->header_count * sizeof(weir_header) + record->name.len +
                  record->topic.len + record->key.len + record->value.len;
    for (uint32_t i = 0; i < record->header_count; i++) {
        size += record->headers[i].name.len + record->headers[i].value.len;
    }
    kept *made = malloc(size);
    if (made == NULL) {
        return NULL;
    }
    weir_header *headers = (weir_header *)(made + 1);
    uint8_t *at = (uint8_t *)(headers + record->header_count);
    made->record = (weir_recorded){
        .name = put(&at, record->name),
        .topic = put(&at, record->topic),
        .key = put(&at, record->key),
        .value = put(&at, record->value),
        .headers = headers,
        .header_count = record->header_count,
        .placed = true,
        .partition = record->partition,
        .offset = record->offset,
        .timed = true,
        .time_ms = record->time_ms,
    };
    for (uint32_t i = 0; i < record->header_count; i++) {
        headers[i].name = put(&at, record->headers[i].name);
        headers[i].value = put(&at, record->headers[i].value);
    }
    return made;
}

static bool record_wanted(const log_recording *own, const cursor *from,
                          const weir_client_record *record)
{
    if (own->whole[from->topic]) {
        return true;
    }
    for (size_t i = 0; i < own->range.source_count; i++) {
        if (weir_operand_matches(weir_bytes_of(own->range.sources[i]), record->name)) {
            return true;
        }
    }
    return false;
}

/* ---- One partition -----------------------------------------------------------------------------
 */

static void cursor_clear(cursor *own)
{
    for (uint32_t i = own->fetched_at; i < own->fetched_count; i++) {
        free(own->fetched[i]);
    }
    free(own->fetched);
    own->fetched = NULL;
    own->fetched_count = 0;
    own->fetched_at = 0;
}

static void gap_say(const log_recording *own, const cursor *from, int64_t to)
{
    if (own->range.talk && to > from->offset) {
        weir_say("%s, partition %" PRIu32 ": offsets %" PRId64 " to %" PRId64
                 " could not be read: they were removed, or are damaged",
                 own->topics.topics[from->topic].name, from->partition, from->offset, to - 1);
    }
}

static weir_err client_fault(const log_recording *own, weir_err err, const char *what,
                             weir_fault *fault)
{
    char text[WEIR_PROBLEM_MAX];
    weir_problem_text(err, WEIR_SUBJECT_OTHER, what, weir_client_error(own->client), text);
    return weir_fault_fill(fault, err, NULL, 0, 0, "%s", text);
}

/* Retention was faster: goes on with the oldest that is there. */
static weir_err removed_skip(log_recording *own, cursor *from, weir_fault *fault)
{
    weir_client_topics now = {0};
    const char *name = own->topics.topics[from->topic].name;
    weir_err err =
        weir_client_topic_offsets(own->client, weir_bytes_of(name), WEIR_OFFSETS_BOUNDS, 0, &now);
    int64_t start = from->offset;
    if (err == WEIR_OK && now.count == 1 && now.topics[0].partitions != NULL &&
        from->partition < now.topics[0].options.partitions) {
        start = now.topics[0].partitions[from->partition].start_offset;
    }
    weir_client_topics_free(&now);
    if (err != WEIR_OK || start <= from->offset) {
        return client_fault(own, err == WEIR_OK ? WEIR_OFFSET_OUT_OF_RANGE : err, name, fault);
    }
    gap_say(own, from, start < from->end ? start : from->end);
    from->offset = start < from->end ? start : from->end;
    return WEIR_OK;
}

static weir_err fetched_keep(log_recording *own, cursor *from, uint32_t count, weir_fault *fault)
{
    from->fetched = calloc(count == 0 ? 1 : count, sizeof(*from->fetched));
    weir_err err = from->fetched == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        weir_client_record record;
        err = weir_client_fetch_record(own->client, i, &record);
        if (err != WEIR_OK || record.offset >= from->end || record.offset < from->offset ||
            !record_wanted(own, from, &record)) {
            continue;
        }
        from->fetched[from->fetched_count] = record_keep(&record);
        err = from->fetched[from->fetched_count] == NULL ? WEIR_NO_MEMORY : WEIR_OK;
        from->fetched_count += err == WEIR_OK ? 1 : 0;
    }
    return err == WEIR_OK ? WEIR_OK
                          : client_fault(own, err, own->topics.topics[from->topic].name, fault);
}

static bool is_damage(weir_err err)
{
    return err == WEIR_DAMAGED || err == WEIR_UNSUPPORTED || err == WEIR_VERSION;
}

/* Takes events until one tells how far the damage reaches; *to stays where it was if none does. */
static weir_err damage_hear(log_recording *own, const cursor *from, uint64_t subscription,
                            int64_t *to)
{
    long long deadline_ms = weir_now_ms() + DAMAGE_MS_MAX;
    weir_client_event event = {0};
    weir_err err = WEIR_OK;
    while (err == WEIR_OK && *to == from->offset) {
        long long left = deadline_ms - weir_now_ms();
        err = weir_client_next(own->client, left > 0 ? (int)left : 0, &event);
        if (err != WEIR_OK || event.subscription != subscription) {
            continue;
        }
        if (event.kind == WEIR_CLIENT_GAP && event.from <= from->offset && event.to > *to) {
            *to = event.to;
        } else if (event.kind == WEIR_CLIENT_ENDED) {
            break;
        }
    }
    return err;
}

/* How far the damage at the cursor's offset reaches. False: that could not be told. */
static bool damage_end(log_recording *own, const cursor *from, int64_t *to)
{
    const weir_position here = {weir_bytes_of(own->topics.topics[from->topic].name),
                                from->partition, from->offset};
    const weir_client_subscribe subscribe = {.topic = here.topic,
                                             .start = WEIR_START_POSITIONS,
                                             .positions = &here,
                                             .position_count = 1,
                                             .credit = DAMAGE_CREDIT,
                                             .until_end = true};
    weir_client_event rest = {0};
    uint64_t subscription = 0;
    weir_err err = weir_client_subscribe_open(own->client, &subscribe, &subscription);
    *to = from->offset;
    if (err != WEIR_OK) {
        return false;
    }
    err = damage_hear(own, from, subscription, to);
    err = err != WEIR_OK ? err : weir_client_unsubscribe(own->client, subscription);
    while (err == WEIR_OK) {
        err = weir_client_next(own->client, 0, &rest); /* what came behind the notice */
    }
    return *to > from->offset;
}

/* Passes over what is damaged at the cursor's offset, and says so. */
static weir_err damage_skip(log_recording *own, cursor *from, weir_err err, weir_fault *fault)
{
    const char *name = own->topics.topics[from->topic].name;
    char place[320];
    int64_t to = 0;
    snprintf(place, sizeof(place), "%.249s, partition %" PRIu32 ", offset %" PRId64, name,
             from->partition, from->offset);
    client_fault(own, err, place, fault);
    if (!damage_end(own, from, &to)) {
        return err;
    }
    *fault = (weir_fault){0};
    to = to < from->end ? to : from->end;
    weir_say("%s, partition %" PRIu32 ": offsets [%" PRId64 ", %" PRId64
             ") are damaged and left out",
             name, from->partition, from->offset, to);
    own->base.lost += (uint64_t)(to - from->offset);
    from->offset = to;
    return WEIR_OK;
}

/* Fetches until there is a record to give, or the end is reached. */
static weir_err cursor_fill(log_recording *own, cursor *from, weir_fault *fault)
{
    const char *name = own->topics.topics[from->topic].name;
    while (from->fetched_count == 0 && from->offset < from->end) {
        weir_fetch fetch = {.topic = weir_bytes_of(name),
                            .partition = from->partition,
                            .offset = from->offset,
                            .bytes_max = own->fetch_bytes};
        weir_client_fetched got = {0};
        cursor_clear(from);
        weir_err err = weir_client_fetch(own->client, &fetch, &got);
        if (err == WEIR_OFFSET_OUT_OF_RANGE) {
            err = removed_skip(own, from, fault);
            if (err != WEIR_OK) {
                return err;
            }
            continue;
        }
        if (is_damage(err)) {
            err = damage_skip(own, from, err, fault);
            if (err != WEIR_OK) {
                return err;
            }
            continue;
        }
        if (err != WEIR_OK) {
            return client_fault(own, err, name, fault);
        }
        err = fetched_keep(own, from, got.record_count, fault);
        if (err != WEIR_OK) {
            return err;
        }
        if (got.next_offset <= from->offset) {
            gap_say(own, from, from->end);
            got.next_offset = from->end;
        } else if (got.record_count == 0) {
            gap_say(own, from, got.next_offset < from->end ? got.next_offset : from->end);
        }
        from->offset = got.next_offset < from->end ? got.next_offset : from->end;
    }
    return WEIR_OK;
}

static const weir_recorded *cursor_first(const cursor *from)
{
    return &from->fetched[from->fetched_at]->record;
}

/* ---- The merge ---------------------------------------------------------------------------------
 */

static bool before(const log_recording *own, uint32_t a, uint32_t b)
{
    int64_t a_ms = own->cursors[a].at_ms;
    int64_t b_ms = own->cursors[b].at_ms;
    return a_ms != b_ms ? a_ms < b_ms : a < b;
}

static void heap_sink(log_recording *own, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < own->heap_count; child++) {
            if (before(own, own->heap[child], own->heap[least])) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        uint32_t moved = own->heap[at];
        own->heap[at] = own->heap[least];
        own->heap[least] = moved;
        at = least;
    }
}

/* The time of the cursor's first record, for the merge [R1]. */
static void cursor_rank(cursor *from)
{
    int64_t time_ms = cursor_first(from)->time_ms;
    from->at_ms = time_ms > from->at_ms ? time_ms : from->at_ms;
}

/* Moves the heap's first partition to its next record. */
static weir_err heap_step(log_recording *own, weir_fault *fault)
{
    cursor *from = &own->cursors[own->heap[0]];
    own->given = false;
    free(from->fetched[from->fetched_at++]);
    if (from->fetched_at == from->fetched_count) {
        cursor_clear(from);
        weir_err err = cursor_fill(own, from, fault);
        if (err != WEIR_OK) {
            return err;
        }
    }
    if (from->fetched_count == 0) {
        own->heap[0] = own->heap[--own->heap_count];
    } else {
        cursor_rank(from);
    }
    heap_sink(own, 0);
    return WEIR_OK;
}

static weir_err log_next(weir_recording *recording, const weir_recorded **record, weir_fault *fault)
{
    log_recording *own = (log_recording *)recording;
    if (own->given) {
        weir_err err = heap_step(own, fault);
        if (err != WEIR_OK) {
            return err;
        }
    }
    if (own->heap_count == 0) {
        return WEIR_EMPTY;
    }
    const cursor *from = &own->cursors[own->heap[0]];
    own->now_count = from->at_ms == own->now_ms ? own->now_count + 1 : 0;
    own->now_ms = from->at_ms;
    own->given = true;
    *record = cursor_first(from);
    return WEIR_OK;
}

static weir_err log_rewind(weir_recording *recording, weir_fault *fault)
{
    log_recording *own = (log_recording *)recording;
    own->heap_count = 0;
    own->given = false;
    own->now_ms = INT64_MIN;
    for (uint32_t i = 0; i < own->cursor_count; i++) {
        cursor *from = &own->cursors[i];
        cursor_clear(from);
        from->offset = from->begin;
        from->at_ms = INT64_MIN;
        weir_err err = cursor_fill(own, from, fault);
        if (err != WEIR_OK) {
            return err;
        }
        if (from->fetched_count > 0) {
            cursor_rank(from);
            own->heap[own->heap_count++] = i;
        }
    }
    for (uint32_t at = own->heap_count / 2; at > 0; at--) {
        heap_sink(own, at - 1);
    }
    return WEIR_OK;
}

static double log_share(const weir_recording *recording)
{
    const log_recording *own = (const log_recording *)recording;
    double given = 0;
    for (uint32_t i = 0; i < own->cursor_count; i++) {
        const cursor *from = &own->cursors[i];
        given += (double)((from->fetched_count > 0 ? cursor_first(from)->offset : from->offset) -
                          from->begin);
    }
    return own->offsets_all > 0 ? given / own->offsets_all : 1;
}

/* One partition has an offset. Of many, the time says where, as merged, and --skip how many records of
 * that very millisecond were given. Partitions that started at offsets of their own do not start at
 * one time: those are read again from there, and skipped. */
static void log_resume(const weir_recording *recording, uint64_t count, char text[WEIR_RESUME_MAX])
{
    const log_recording *own = (const log_recording *)recording;
    bool by_time =
        own->range.from.start == WEIR_START_BEGINNING || own->range.from.start == WEIR_START_TIME;
    if (own->cursor_count == 1 && own->heap_count == 1) {
        snprintf(text, WEIR_RESUME_MAX, "--from %" PRId64, cursor_first(&own->cursors[0])->offset);
    } else if (by_time) {
        snprintf(text, WEIR_RESUME_MAX, "--from @%" PRId64 ".%03d --skip %" PRIu64,
                 own->now_ms / 1000, (int)(own->now_ms % 1000), own->now_count);
    } else {
        snprintf(text, WEIR_RESUME_MAX, "--from %.60s --skip %" PRIu64, own->range.from_text,
                 count);
    }
}

static void log_close(weir_recording *recording)
{
    log_recording *own = (log_recording *)recording;
    for (uint32_t i = 0; i < own->cursor_count; i++) {
        cursor_clear(&own->cursors[i]);
    }
    weir_client_topics_free(&own->topics);
    free(own->cursors);
    free(own->heap);
    free(own->whole);
    free(own);
}

static const weir_recording_ops log_ops = {log_next, log_rewind, log_share, log_resume, log_close};

/* ---- The range ---------------------------------------------------------------------------------
 */

/* The offset that `where` means in a partition, within what is there. */
static int64_t offset_of(weir_where where, const weir_partition_info *bounds,
                         const weir_partition_info *found)
{
    int64_t offset = bounds->start_offset;
    switch (where.start) {
    case WEIR_START_END:
        offset = bounds->end_offset;
        break;
    case WEIR_START_OFFSET:
        offset = where.value;
        break;
    case WEIR_START_TIME:
        offset = found->found_offset;
        break;
    case WEIR_START_LAST:
        offset = where.value < bounds->end_offset ? bounds->end_offset - where.value : 0;
        break;
    default:
        break;
    }
    offset = offset < bounds->start_offset ? bounds->start_offset : offset;
    return offset > bounds->end_offset ? bounds->end_offset : offset;
}

static weir_err offsets_ask(log_recording *own, const weir_topic_info *topic, weir_where where,
                            weir_client_topics *answer, weir_fault *fault)
{
    bool by_time = where.start == WEIR_START_TIME;
    weir_err err = weir_client_topic_offsets(own->client, weir_bytes_of(topic->name),
                                             by_time ? WEIR_OFFSETS_TIME : WEIR_OFFSETS_BOUNDS,
                                             by_time ? where.value : 0, answer);
    if (err == WEIR_OK && (answer->count != 1 || answer->topics[0].partitions == NULL)) {
        err = WEIR_NOT_FOUND;
    }
    return err == WEIR_OK ? WEIR_OK : client_fault(own, err, topic->name, fault);
}

static weir_err cursors_add(log_recording *own, uint32_t index, const weir_topic_info *from,
                            const weir_topic_info *until)
{
    uint32_t partitions = from->options.partitions < until->options.partitions
                              ? from->options.partitions
                              : until->options.partitions;
    cursor *grown;
    if (partitions > PARTITIONS_MAX - own->cursor_count) {
        return WEIR_LIMIT;
    }
    grown = reallocarray(own->cursors, own->cursor_count + partitions, sizeof(*grown));
    if (grown == NULL) {
        return WEIR_NO_MEMORY;
    }
    own->cursors = grown;
    for (uint32_t i = 0; i < partitions; i++) {
        int64_t begin = offset_of(own->range.from, &from->partitions[i], &from->partitions[i]);
        int64_t end = offset_of(own->range.until, &until->partitions[i], &until->partitions[i]);
        own->cursors[own->cursor_count++] = (cursor){
            .topic = index, .partition = i, .begin = begin, .end = end < begin ? begin : end};
        own->offsets_all += end < begin ? 0 : (double)(end - begin);
    }
    return WEIR_OK;
}

static weir_err topic_add(log_recording *own, uint32_t index, weir_fault *fault)
{
    weir_client_topics from = {0};
    weir_client_topics until = {0};
    const weir_topic_info *topic = &own->topics.topics[index];
    weir_err err = offsets_ask(own, topic, own->range.from, &from, fault);
    err = err != WEIR_OK ? err : offsets_ask(own, topic, own->range.until, &until, fault);
    if (err == WEIR_OK) {
        err = cursors_add(own, index, &from.topics[0], &until.topics[0]);
        if (err != WEIR_OK) {
            client_fault(own, err, topic->name, fault);
        }
    }
    weir_client_topics_free(&from);
    weir_client_topics_free(&until);
    return err;
}

static weir_err queue_fault(const char *queue, weir_fault *fault)
{
    return weir_fault_fill(
        fault, WEIR_NOT_OFFERED, NULL, 0, 0,
        "%.160s is a queue, whose records go to one member each and are not replayed: look with `weir "
        "queue peek %.160s`, or take them with `weir group join %.160s`",
        queue, queue, queue);
}

/* Which topics the sources mean; each source has to mean one. Filters pass queues by. */
static weir_err topics_choose(log_recording *own, bool *chosen, weir_fault *fault)
{
    for (size_t s = 0; s < own->range.source_count; s++) {
        const char *source = own->range.sources[s];
        bool wild = strpbrk(source, "+#") != NULL;
        const char *queue = NULL;
        bool any = false;
        bool named = false;
        for (uint32_t i = 0; i < own->topics.count; i++) {
            named |= strcmp(source, own->topics.topics[i].name) == 0;
        }
        for (uint32_t i = 0; i < own->topics.count; i++) {
            const char *topic = own->topics.topics[i].name;
            bool meant = named ? strcmp(source, topic) == 0 : weir_operand_reaches(source, topic);
            if (meant && own->topics.topics[i].options.kind == WEIR_KIND_QUEUE) {
                queue = topic;
                meant = false;
            }
            own->whole[i] |= named && meant;
            chosen[i] |= meant;
            any |= meant;
        }
        if (queue != NULL && (!any || !wild)) {
            return queue_fault(queue, fault);
        }
        if (!any && strncmp(source, "__", 2) == 0) {
            return weir_fault_fill(
                fault, WEIR_NOT_OFFERED, NULL, 0, 0,
                "%.160s is the gateway's own, and is not replayed: `weir why` tells "
                "what is in __fates",
                source);
        }
        if (!any) {
            return weir_fault_fill(
                fault, WEIR_NOT_FOUND, NULL, 0, 0,
                "no declared topic has names that \"%.160s\" matches; `weir topic ls` lists those "
                "that are declared",
                source);
        }
    }
    return WEIR_OK;
}

static weir_err range_empty(const log_recording *own, weir_fault *fault)
{
    const cursor *first = &own->cursors[0];
    return weir_fault_fill(fault, WEIR_EMPTY, NULL, 0, 0,
                           "nothing is in this range; `weir topic info %.160s` tells which offsets "
                           "there are",
                           own->topics.topics[first->topic].name);
}

static weir_err range_resolve(log_recording *own, weir_fault *fault)
{
    weir_err err = weir_client_topic_list(own->client, WEIR_BYTES_NULL, &own->topics);
    bool *chosen = calloc(own->topics.count + 1, sizeof(*chosen));
    own->whole = calloc(own->topics.count + 1, sizeof(*own->whole));
    if (err == WEIR_OK && (chosen == NULL || own->whole == NULL)) {
        err = WEIR_NO_MEMORY;
    }
    if (err != WEIR_OK) {
        free(chosen);
        return client_fault(own, err, "the topics", fault);
    }
    err = topics_choose(own, chosen, fault);
    for (uint32_t i = 0; i < own->topics.count && err == WEIR_OK; i++) {
        err = chosen[i] ? topic_add(own, i, fault) : WEIR_OK;
    }
    free(chosen);
    if (err == WEIR_OK && own->offsets_all == 0) {
        err = range_empty(own, fault);
    }
    return err;
}

weir_err weir_recording_of_log(weir_client *client, const weir_recording_range *range,
                               weir_recording **recording, weir_fault *fault)
{
    log_recording *own = calloc(1, sizeof(*own));
    if (own == NULL) {
        return weir_fault_fill(fault, WEIR_NO_MEMORY, NULL, 0, 0, "memory ran out");
    }
    own->base.ops = &log_ops;
    own->client = client;
    own->range = *range;
    weir_err err = range_resolve(own, fault);
    if (err == WEIR_OK) {
        uint32_t share = FETCHED_BYTES / own->cursor_count; /* [R2] */
        own->fetch_bytes = share < FETCH_BYTES_LEAST  ? FETCH_BYTES_LEAST
                           : share > FETCH_BYTES_MOST ? FETCH_BYTES_MOST
                                                      : share;
        own->heap = calloc(own->cursor_count, sizeof(*own->heap));
        err = own->heap == NULL ? WEIR_NO_MEMORY : log_rewind(&own->base, fault);
    }
    if (err != WEIR_OK) {
        log_close(&own->base);
        return err;
    }
    *recording = &own->base;
    return WEIR_OK;
}
