/* core/engine/overflow.c - queues that have more than they may: max_records, max_bytes.
 *
 *   publish --refuse: is there room?--> no: QUEUE_FULL, nothing changed
 *      |
 *      v
 *   [settled | leased | waiting | fresh .. visible | not yet shown]   more than max: in a turn, the
 *                          ^ oldest that no member has                oldest of these
 *                          +--drop-oldest--> 27 dropped, "overflow"
 *                          +--dead-letter--> one unit: the dead letter, and 27 dead-lettered [G4]
 *
 * What counts is what is not settled, those with members and those not yet shown included. What a
 * member has is not taken from it, and what is not yet as durable as its topic promises is not
 * dropped: a queue may have more than max by so much, for so long. Of several partitions the one that
 * has most gives first. What is decided is journalled as any settlement is; nothing here is asked in
 * a replay.
 *
 * A record whose own expiry is over takes no place in a queue that refuses: before a publish is
 * refused, some of what waits is looked at, once in a turn, and expires then (26, as a take that gives
 * nothing tells it).
 *
 * Bytes are those of batches as they are stored. A part that has to know them keeps blocks of some
 * neighbours, in memory only, and a record that is settled takes its block's mean with it:
 *
 *   load:  | end 64, 60 records, 7 KiB | end 100, 36 records, 2 KiB | ...
 *
 * It is made when it is asked for first (a start, a setting that changes), from what segments and the
 * tail have: then a segment's mean stands for its records. */
#include "core/engine/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_RECORDS = 64, /* of which a block begins another; a batch is never divided */
    BLOCKS_LEAST = 16,
    PIECES_MAX = 64,     /* dead letters, or entries, of one turn and group */
    EXPIRY_LOOKS = 1024, /* records that one turn looks at when a queue is full */
};

/* Of offsets from where the block before it ends. */
typedef struct load_block {
    int64_t end;
    uint64_t records; /* that are not settled */
    uint64_t bytes;   /* which these take */
} load_block;

struct weir_load {
    load_block *blocks; /* a window of it */
    uint32_t first, count, capacity;
    int64_t begin; /* of the first one */
    uint64_t bytes;
};

typedef struct weir_load load_of_part;

/* ---- Settings ----------------------------------------------------------------------------------- */

static bool limited(const weir_group_options *options)
{
    return options->max_records > 0 || options->max_bytes > 0;
}

/* It takes records away, rather than to refuse some. */
static bool spills(const weir_group *group)
{
    const weir_group_options *options = &group->options;
    return limited(options) && (options->overflow == WEIR_OVERFLOW_DROP_OLDEST ||
                                options->overflow == WEIR_OVERFLOW_DEAD_LETTER);
}

weir_err weir_overflow_check(const weir_group_options *options, bool of_queue_topic)
{
    bool refuses = options->overflow != WEIR_OVERFLOW_DROP_OLDEST &&
                   options->overflow != WEIR_OVERFLOW_DEAD_LETTER;
    bool letters = options->overflow == WEIR_OVERFLOW_DEAD_LETTER;
    if (letters && options->dead_letter.len == 0) {
        return WEIR_INVALID;
    }
    if (!limited(options)) {
        return WEIR_OK;
    }
    /* Others read a log topic, too; and what a filter matches is known when it is handed out. */
    return (refuses && !of_queue_topic) || options->topic_count == 0 ? WEIR_INVALID : WEIR_OK;
}

/* ---- Bytes -------------------------------------------------------------------------------------- */

/* Of records that end before `end`; together with the block before, while there is no memory. */
static void load_add(load_of_part *load, int64_t end, uint64_t records, uint64_t bytes)
{
    load_block *last = load->count > 0 ? &load->blocks[load->first + load->count - 1] : NULL;
    load->bytes += bytes;
    if (load->first > 0 && load->first + load->count == load->capacity) {
        memmove(load->blocks, load->blocks + load->first, load->count * sizeof(*load->blocks));
        load->first = 0;
        last = load->count > 0 ? &load->blocks[load->count - 1] : NULL;
    }
    if (load->count == load->capacity) {
        load_block *grown =
            realloc(load->blocks, 2 * (size_t)load->capacity * sizeof(*load->blocks));
        if (grown != NULL) {
            load->blocks = grown;
            load->capacity *= 2;
            last = &load->blocks[load->count - 1];
        }
    }
    bool full = load->first + load->count == load->capacity;
    if (last != NULL && (full || last->records + records <= BLOCK_RECORDS)) {
        last->end = end;
        last->records += records;
        last->bytes += bytes;
        return;
    }
    load->blocks[load->first + load->count++] = (load_block){end, records, bytes};
}

static int64_t block_begin(const load_of_part *load, uint32_t index)
{
    return index == 0 ? load->begin : load->blocks[load->first + index - 1].end;
}

/* The first block that ends behind the offset. */
static uint32_t block_at(const load_of_part *load, int64_t offset)
{
    uint32_t low = 0;
    uint32_t high = load->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool before = load->blocks[load->first + middle].end <= offset;
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

static void load_less(load_of_part *load, int64_t first, int64_t last)
{
    for (uint32_t i = block_at(load, first); i < load->count; i++) {
        load_block *block = &load->blocks[load->first + i];
        int64_t begin = block_begin(load, i);
        int64_t from = first > begin ? first : begin;
        int64_t to = last + 1 < block->end ? last + 1 : block->end;
        if (from > last) {
            break;
        }
        uint64_t records = to > from ? (uint64_t)(to - from) : 0;
        records = records < block->records ? records : block->records;
        uint64_t bytes =
            records == block->records ? block->bytes : block->bytes / block->records * records;
        block->records -= records;
        block->bytes -= bytes;
        load->bytes -= bytes;
    }
    while (load->count > 0 && load->blocks[load->first].records == 0) {
        load->begin = load->blocks[load->first].end;
        load->first++;
        load->count--;
    }
    load->first = load->count == 0 ? 0 : load->first;
}

/* Of [from, to) what is not settled. */
static uint64_t unsettled_of(const weir_group_part *part, int64_t from, int64_t to)
{
    int64_t fresh = weir_settlement_fresh(part->settlement);
    int64_t begin = from > fresh ? from : fresh;
    uint64_t sum = to > begin ? (uint64_t)(to - begin) : 0;
    weir_settlement_run run;
    for (int64_t at = from;
         at < to && weir_settlement_next(part->settlement, at, &run) && run.first < to;
         at = run.last + 1) {
        int64_t first = run.first > from ? run.first : from;
        int64_t end = run.last + 1 < to ? run.last + 1 : to;
        sum += (uint64_t)(end - first);
    }
    return sum;
}

/* `all`: records that the piece has. */
static void load_piece(load_of_part *load, const weir_group_part *part, int64_t base, int64_t end,
                       uint64_t bytes, uint64_t all)
{
    int64_t from = base > load->begin ? base : load->begin;
    uint64_t records = end > from ? unsettled_of(part, from, end) : 0;
    if (records > 0) {
        double share = records < all ? (double)records / (double)all : 1;
        load_add(load, end, records, (uint64_t)((double)bytes * share));
    }
}

/* What the partition has already. NULL: no memory. */
static load_of_part *load_make(const weir_group_part *part)
{
    const weir_partition *partition = part->partition;
    load_of_part *load = calloc(1, sizeof(*load));
    load_block *blocks = calloc(BLOCKS_LEAST, sizeof(*blocks));
    if (load == NULL || blocks == NULL) {
        free(load);
        free(blocks);
        return NULL;
    }
    load->blocks = blocks;
    load->capacity = BLOCKS_LEAST;
    load->begin = weir_settlement_floor(part->settlement);
    int64_t at = load->begin;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        weir_segment_state state;
        weir_segment_state_of(partition->segments[i], &state);
        uint64_t all = weir_sparse_rewritten(&state)
                           ? state.head_count /* at least: it counts for more then */
                           : (uint64_t)(state.end_offset - state.base_offset);
        load_piece(load, part, state.base_offset, state.end_offset, state.bytes, all);
        at = state.end_offset > at ? state.end_offset : at;
    }
    for (uint32_t i = weir_tail_index_of(&partition->tail, at); i < partition->tail.count; i++) {
        const weir_chunk *chunk = weir_tail_at(&partition->tail, i);
        load_piece(load, part, chunk->base_offset, weir_chunk_end(chunk), chunk->batch_bytes,
                   chunk->count);
    }
    return load;
}

static void load_free(load_of_part *load)
{
    free(load->blocks);
    free(load);
}

void weir_overflow_forget(weir_queue_part *own)
{
    if (own->load != NULL) {
        load_free(own->load);
        own->load = NULL;
    }
}

int64_t weir_overflow_bytes(const weir_group_part *part)
{
    load_of_part *kept = part->queue->load;
    load_of_part *load = kept == NULL && part->partition != NULL ? load_make(part) : kept;
    int64_t bytes = load != NULL ? (int64_t)load->bytes : -1;
    if (load != NULL && load != kept) {
        load_free(load); /* it costs memory for each block, and no limit asked for it */
    }
    return bytes;
}

/* ---- How much there is -------------------------------------------------------------------------- */

typedef struct sum {
    uint64_t records;
    uint64_t bytes;
} sum;

static sum sum_of(weir_group *group)
{
    bool bytes = group->options.max_bytes > 0;
    sum all = {0};
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_group_part *part = group->parts[i];
        weir_partition *partition = part->partition;
        if (partition == NULL) {
            continue;
        }
        int64_t fresh = weir_settlement_fresh(part->settlement);
        all.records += weir_settlement_unsettled(part->settlement);
        all.records +=
            partition->next_offset > fresh ? (uint64_t)(partition->next_offset - fresh) : 0;
        if (bytes && part->queue->load == NULL) {
            part->queue->load = load_make(part);
        }
        all.bytes += bytes && part->queue->load != NULL ? part->queue->load->bytes : 0;
        if (partition->open != NULL) {
            all.records += (uint64_t)partition->builder.count;
            all.bytes += partition->builder.len;
        }
    }
    return all;
}

static sum over_of(const weir_group_options *options, const sum *is)
{
    uint64_t records = options->max_records > 0 ? (uint64_t)options->max_records : UINT64_MAX;
    uint64_t bytes = options->max_bytes > 0 ? (uint64_t)options->max_bytes : UINT64_MAX;
    return (sum){.records = is->records > records ? is->records - records : 0,
                 .bytes = is->bytes > bytes ? is->bytes - bytes : 0};
}

weir_err weir_overflow_decide(weir_engine *engine, weir_partition *partition, uint64_t records,
                              uint64_t bytes)
{
    const weir_link *list = &partition->group_parts;
    if (!weir_topic_is_queue(&partition->topic->options) || weir_link_empty(list)) {
        return WEIR_OK;
    }
    weir_group *group = WEIR_OWNER_OF(list->next, weir_group_part, partition_link)->group;
    weir_queue *queue = group->queue;
    if (!limited(&group->options) || spills(group)) {
        return WEIR_OK;
    }
    if (queue->sum_turn != engine->stats.steps) {
        sum is = sum_of(group);
        queue->sum_records = is.records;
        queue->sum_bytes = is.bytes;
        queue->sum_turn = engine->stats.steps;
    }
    sum then = {queue->sum_records + records, queue->sum_bytes + bytes};
    sum over = over_of(&group->options, &then);
    if (over.records > 0 || over.bytes > 0) {
        return WEIR_QUEUE_FULL;
    }
    queue->sum_records = then.records;
    queue->sum_bytes = then.bytes;
    return WEIR_OK;
}

/* ---- What is told by others --------------------------------------------------------------------- */

void weir_overflow_look(weir_engine *engine, weir_group *group)
{
    if (spills(group)) {
        weir_queue_look_at(engine, group, 0);
        weir_groups_due(engine);
    }
}

void weir_overflow_altered(weir_engine *engine, weir_group *group)
{
    group->queue->sum_turn = 0;
    weir_overflow_look(engine, group);
}

void weir_overflow_appended(weir_engine *engine, weir_partition *partition, const weir_chunk *chunk)
{
    for (weir_link *at = partition->group_parts.next; at != &partition->group_parts;
         at = at->next) {
        weir_group_part *part = WEIR_OWNER_OF(at, weir_group_part, partition_link);
        if (part->queue == NULL) {
            continue;
        }
        if (part->queue->load != NULL) {
            load_add(part->queue->load, weir_chunk_end(chunk), chunk->count, chunk->batch_bytes);
        }
        weir_overflow_look(engine, part->group);
    }
}

void weir_overflow_settled(weir_group_part *part, int64_t first, int64_t last)
{
    part->group->queue->sum_turn = 0;
    if (part->queue->load != NULL) {
        load_less(part->queue->load, first, last);
    }
}

/* ---- What is taken away ------------------------------------------------------------------------- */

/* The next records of the part, from `at` on, that no member has, and that nobody moves already. */
static bool next_of(const weir_group_part *part, int64_t at, weir_queue_item *item)
{
    int64_t fresh = weir_settlement_fresh(part->settlement);
    int64_t visible = part->partition->visible_offset;
    weir_settlement_run run;
    if (weir_settlement_unsettled(part->settlement) == weir_settlement_leased(part->settlement)) {
        at = at > fresh ? at : fresh; /* members have all before it */
    }
    for (; weir_settlement_next(part->settlement, at, &run); at = run.last + 1) {
        if (run.state == WEIR_RECORD_WAITING && run.until != WEIR_QUEUE_MOVING) {
            *item = (weir_queue_item){.first = run.first,
                                      .count = (uint32_t)(run.last - run.first + 1),
                                      .leased = run.leased,
                                      .failed = run.failed};
            return true;
        }
    }
    int64_t from = at > fresh ? at : fresh;
    uint64_t count = visible > from ? (uint64_t)(visible - from) : 0;
    *item = (weir_queue_item){.first = from,
                              .count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX};
    return count > 0;
}

/* What no member has of the part. */
static uint64_t free_of(const weir_group_part *part)
{
    const weir_partition *partition = part->partition;
    if (partition == NULL) {
        return 0;
    }
    int64_t fresh = weir_settlement_fresh(part->settlement);
    uint64_t ahead =
        partition->visible_offset > fresh ? (uint64_t)(partition->visible_offset - fresh) : 0;
    return ahead + weir_settlement_unsettled(part->settlement) -
           weir_settlement_leased(part->settlement);
}

/* The part that has most to give; NULL: none has anything. */
static weir_group_part *fullest(const weir_group *group)
{
    weir_group_part *most = NULL;
    uint64_t best = 0;
    for (uint32_t i = 0; i < group->part_count; i++) {
        weir_queue_item item;
        uint64_t has = free_of(group->parts[i]);
        if (has > best && next_of(group->parts[i], 0, &item)) {
            most = group->parts[i];
            best = has;
        }
    }
    return most;
}

/* How many of them have to go, at least one; `over` is less then by what they take: of bytes by their
 * block's mean, and what lies in the next block is another piece. */
static uint32_t needed(const weir_group_part *part, const weir_queue_item *item, sum *over)
{
    const load_of_part *load = part->queue->load;
    uint64_t count = over->records;
    uint32_t index = load != NULL ? block_at(load, item->first) : 0;
    uint64_t mean = over->bytes;
    if (load != NULL && index < load->count && load->blocks[load->first + index].records > 0) {
        const load_block *block = &load->blocks[load->first + index];
        uint64_t rest = (uint64_t)(block->end - item->first);
        mean = block->bytes / block->records + 1;
        uint64_t more = (over->bytes + mean - 1) / mean;
        more = more < rest ? more : rest;
        count = more > count ? more : count;
    }
    count = count > 0 ? count : 1;
    count = count < item->count ? count : item->count;
    over->records -= count < over->records ? count : over->records;
    over->bytes -= count * mean < over->bytes ? count * mean : over->bytes;
    return (uint32_t)count;
}

static weir_err drop(weir_engine *engine, weir_group_part *part, const weir_queue_item *items,
                     uint32_t count, const char *why)
{
    weir_settling settling = {.event = WEIR_EVENT_DROPPED, .fate = WEIR_FATE_DROPPED, .why = why};
    return weir_queue_tell(engine, part, &settling, items, count);
}

static void taken_away(weir_engine *engine, weir_group_part *part, const weir_queue_item *item)
{
    engine->stats.overflowed += item->count;
    weir_keys_settled(part, item->first, item->first + item->count - 1);
    weir_group_ready(part->group, part); /* who waited behind a key may go */
}

/* The oldest of this part, as many as have to go. */
static weir_err drop_oldest(weir_engine *engine, weir_group_part *part, sum over)
{
    weir_queue_items *items = &part->group->queue->items;
    weir_queue_item item;
    weir_err err = WEIR_OK;
    int64_t at = 0;
    items->count = 0;
    while (err == WEIR_OK && (over.records > 0 || over.bytes > 0) &&
           items->count < WEIR_QUEUE_ITEMS_MAX && next_of(part, at, &item)) {
        if (at > item.first) { /* some of this run are in the list */
            item.count -= (uint32_t)(at - item.first);
            item.first = at;
        }
        item.count = needed(part, &item, &over);
        at = item.first + item.count;
        err = weir_queue_item_add(items, &item);
    }
    err = err == WEIR_OK ? drop(engine, part, items->items, items->count, "overflow") : err;
    for (uint32_t i = 0; i < items->count && err == WEIR_OK; i++) {
        taken_away(engine, part, &items->items[i]);
    }
    return err;
}

/* The oldest one. MORE: it is read from disk meanwhile. */
static weir_err bury(weir_engine *engine, weir_group_part *part)
{
    weir_member *reader = &part->group->queue->spiller;
    weir_queue_item item = {0};
    (void)next_of(part, 0, &item);
    item.count = 1;
    if (reader->read == NULL && reader->read_err != WEIR_OK) {
        weir_err err = reader->read_err; /* again, but not at once */
        reader->read_err = WEIR_OK;
        return err;
    }
    weir_chunk *chunk = weir_member_chunk(engine, reader, part->partition, item.first);
    if (chunk == NULL) {
        bool damaged = weir_member_gap(reader, part->partition, item.first) > item.first;
        return damaged ? drop(engine, part, &item, 1, "damaged") : WEIR_MORE;
    }
    uint32_t index = weir_chunk_index_at(chunk, item.first);
    if (index == chunk->count || weir_chunk_offset_at(chunk, index) != item.first) {
        weir_settling gone = {.event = WEIR_EVENT_SUPERSEDED, .fate = WEIR_FATE_SUPERSEDED};
        return weir_queue_tell(engine, part, &gone, &item, 1);
    }
    weir_err err =
        weir_queue_bury(engine, part, chunk, index, &item, "overflow", WEIR_BYTES_NULL, NULL);
    err = err == WEIR_NOT_FOUND ? drop(engine, part, &item, 1, "overflow") : err;
    if (err == WEIR_OK) {
        taken_away(engine, part, &item);
    }
    return err;
}

/* ---- What has expired of a full queue ----------------------------------------------------------- */

/* What becomes of one record: expired, or, when nobody had it yet, it waits from now on as one that
 * was given back, so that the walk goes on behind it. */
static weir_err expiry_look(weir_engine *engine, const weir_group_part *part,
                            const weir_chunk *chunk, uint32_t index, const weir_queue_item *run)
{
    int64_t now = engine->engine_ms;
    bool fresh = run->first >= weir_settlement_fresh(part->settlement);
    weir_queue_item item = {.first = weir_chunk_offset_at(chunk, index),
                            .count = 1,
                            .leased = run->leased,
                            .failed = run->failed,
                            .kind = WEIR_ITEM_EXPIRED};
    if (!weir_queue_expired(chunk, index, now)) {
        int64_t until = weir_queue_delayed(chunk, index, now);
        item.kind = WEIR_ITEM_DELAYED;
        item.until = until > 0 ? until : now;
    }
    return item.kind == WEIR_ITEM_EXPIRED || fresh
               ? weir_queue_item_add(&part->group->queue->items, &item)
               : WEIR_OK;
}

/* The run's records in the chunk. False: no further in this look. */
static bool expiry_chunk(weir_engine *engine, weir_group_part *part, const weir_chunk *chunk,
                         const weir_queue_item *run, int64_t *at, uint32_t *left)
{
    const weir_queue_items *items = &part->group->queue->items;
    int64_t end = run->first + run->count;
    uint32_t index = weir_chunk_index_at(chunk, *at);
    while (*at < end && *at < weir_chunk_end(chunk)) {
        if (*left == 0 || items->count >= WEIR_QUEUE_ITEMS_MAX || index >= chunk->count ||
            weir_chunk_offset_at(chunk, index) != *at || /* a hole: a take tells of it */
            expiry_look(engine, part, chunk, index, run) != WEIR_OK) {
            return false;
        }
        (*left)--;
        (*at)++;
        index++;
    }
    return true;
}

/* From where the last look ended. *at: where the next one begins; 0: all was looked at. */
static void expiry_walk(weir_engine *engine, weir_group_part *part, int64_t *at, uint32_t *left)
{
    weir_member *reader = &part->group->queue->spiller;
    weir_queue_item run;
    while (*left > 0) {
        if (!next_of(part, *at, &run)) {
            *at = 0;
            weir_member_reads_end(reader);
            return;
        }
        if (*at > run.first) {
            run.count -= (uint32_t)(*at - run.first);
            run.first = *at;
        }
        *at = run.first;
        weir_chunk *chunk = weir_member_chunk(engine, reader, part->partition, *at);
        if (chunk == NULL || !expiry_chunk(engine, part, chunk, &run, at, left)) {
            return; /* it is read meanwhile */
        }
    }
}

/* All that it looked at, as a take that gives nothing; *any: some expired. */
static weir_err expiry_tell(weir_engine *engine, weir_group_part *part, bool *any)
{
    weir_queue *queue = part->group->queue;
    const weir_acquisition nobody = {.member = &queue->spiller, /* live, and nobody's */
                                     .mode = (uint8_t)part->group->options.mode,
                                     .lease = {.number = queue->lease_next,
                                               .epoch = engine->recovery_epoch,
                                               .mode = (uint8_t)part->group->options.mode}};
    weir_err err = queue->items.count > 0 ? weir_queue_acquire(engine, part, &nobody, &queue->items)
                                          : WEIR_EMPTY;
    if (err != WEIR_OK) {
        return err == WEIR_EMPTY ? WEIR_OK : err;
    }
    for (uint32_t i = 0; i < queue->items.count; i++) {
        *any |= queue->items.items[i].kind == WEIR_ITEM_EXPIRED;
    }
    if (part->queue->keys != NULL) {
        weir_keys_forget(part->queue); /* they are learned anew */
    }
    weir_group_ready(part->group, part);
    weir_groups_due(engine);
    return WEIR_OK;
}

bool weir_overflow_expire(weir_engine *engine, weir_partition *partition)
{
    const weir_link *list = &partition->group_parts;
    weir_group *group = WEIR_OWNER_OF(list->next, weir_group_part, partition_link)->group;
    weir_queue *queue = group->queue;
    uint32_t left = EXPIRY_LOOKS;
    bool any = false;
    if (queue->expire_turn == engine->stats.steps) {
        return false; /* each publish of a turn is not to look at all of them */
    }
    queue->expire_turn = engine->stats.steps;
    for (uint32_t i = 0; i < group->part_count && left > 0; i++) {
        weir_group_part *part = group->parts[i];
        int64_t fresh = weir_settlement_fresh(part->settlement);
        int64_t at = part->queue->expire_at; /* a reset goes back behind it */
        at = at < fresh ? at : fresh;        /* nothing fresh is passed over: it would be settled */
        queue->items.count = 0;
        if (part->partition != NULL) {
            expiry_walk(engine, part, &at, &left);
        }
        if (expiry_tell(engine, part, &any) == WEIR_OK) {
            part->queue->expire_at = at;
        }
    }
    queue->items.count = 0;
    return any;
}

/* ---- Once a turn -------------------------------------------------------------------------------- */

/* A piece. AGAIN: there may be more; OK: nothing is beyond, or nothing of it can go now. */
static weir_err take_away(weir_engine *engine, weir_group *group)
{
    bool letters = group->options.overflow == WEIR_OVERFLOW_DEAD_LETTER &&
                   weir_queue_dead_letters(engine, group);
    sum is = sum_of(group);
    sum over = over_of(&group->options, &is);
    weir_group_part *part = over.records > 0 || over.bytes > 0 ? fullest(group) : NULL;
    if (part == NULL) {
        return WEIR_OK;
    }
    weir_err err = letters ? bury(engine, part) : drop_oldest(engine, part, over);
    return err == WEIR_OK ? WEIR_AGAIN : err;
}

void weir_overflow_work(weir_engine *engine, weir_group *group)
{
    weir_err err = WEIR_AGAIN;
    if (!spills(group)) {
        return;
    }
    for (uint32_t left = PIECES_MAX; err == WEIR_AGAIN && left > 0; left--) {
        err = take_away(engine, group);
    }
    if (err == WEIR_OK) {
        weir_member_reads_end(&group->queue->spiller);
    } else if (err == WEIR_AGAIN) {
        weir_overflow_look(engine, group);
    } else { /* a read that ends makes a turn, which looks again */
        weir_queue_look_at(engine, group,
                           engine->engine_ms + (err == WEIR_MORE ? 1 : WEIR_QUEUE_RETRY_MS));
    }
}
