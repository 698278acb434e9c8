/* core/engine/queue_save.c - what checkpoints have of queue groups: their settlements, page by page.
 *
 *   kind            identity                                fields
 *   11 settlement   group id u32 | topic id u32 |           1 page (settlement_page.c)
 *                   partition u32 | page i64                2 head: fresh i64 | next lease u64
 *
 * Page -1 is the head of a part, and has field 2; the others have field 1. A page changes with each
 * entry that names one of its records; a checkpoint writes those that have changed. Each is as it
 * was after its own unit, and replay passes over what it has. */
#include "core/engine/queue.h"

#include <string.h>

enum { IDENTITY_BYTES = 20 };

void weir_queue_page_changed(void *arg, weir_settlement_page *page)
{
    const weir_queue_part *own = arg;
    weir_saved_changed(own->engine, WEIR_SNAPSHOT_SETTLEMENT, &page->saved);
}

static void identity_put(const weir_group_part *part, const weir_settlement_page *page,
                         uint8_t *out)
{
    weir_put_u32(out, part->group->id);
    weir_put_u32(out + 4, part->topic_id);
    weir_put_u32(out + 8, part->index);
    weir_put_u64(out + 12, (uint64_t)page->number);
}

void weir_queue_page_gone(void *arg, weir_settlement_page *page)
{
    const weir_queue_part *own = arg;
    uint8_t identity[IDENTITY_BYTES];
    identity_put(own->part, page, identity);
    weir_saved_gone(own->engine, WEIR_SNAPSHOT_SETTLEMENT, &page->saved, WEIR_BYTES(identity));
}

/* ---- Out ---------------------------------------------------------------------------------------- */

/* Both fields are of one page, known to its settlement, which knows its part. */
typedef struct page_of_part {
    weir_settlement_page *page;
    const weir_group_part *part;
} page_of_part;

static void put_page(weir_engine *engine, const void *object, weir_writer *to)
{
    const page_of_part *own = object;
    (void)engine;
    if (own->page->number >= 0 && to->err == WEIR_OK) {
        to->err = weir_settlement_page_encode(own->page, to->out);
    }
}

static void put_head(weir_engine *engine, const void *object, weir_writer *to)
{
    const page_of_part *own = object;
    (void)engine;
    if (own->page->number < 0) {
        weir_writer_u64(to, (uint64_t)weir_settlement_fresh(own->part->settlement));
        weir_writer_u64(to, own->part->group->queue->lease_next);
    }
}

/* ---- In ----------------------------------------------------------------------------------------- */

typedef struct draft {
    weir_bytes page;
    weir_bytes head;
} draft;

static weir_err take_page(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((draft *)object)->page = weir_reader_bytes(from, from->rest.len);
    return WEIR_OK;
}

static weir_err take_head(weir_engine *engine, void *object, weir_reader *from)
{
    (void)engine;
    ((draft *)object)->head = weir_reader_bytes(from, 16);
    return WEIR_OK;
}

static const weir_snapshot_field SETTLEMENT_FIELDS[] = {
    {1, false, put_page, take_page},
    {2, false, put_head, take_head},
};

static weir_err head_set(weir_group_part *part, weir_bytes head, uint64_t unit)
{
    weir_queue *queue = part->group->queue;
    int64_t fresh = head.len == 16 ? (int64_t)weir_get_u64(head.ptr) : -1;
    uint64_t lease_next = head.len == 16 ? weir_get_u64(head.ptr + 8) : 0;
    if (fresh < 0 || lease_next == 0 || lease_next > INT64_MAX) {
        return WEIR_DAMAGED;
    }
    weir_settlement_fresh_set(part->settlement, fresh);
    queue->lease_next = lease_next > queue->lease_next ? lease_next : queue->lease_next;
    weir_settlement_head(part->settlement)->held_unit = unit;
    return WEIR_OK;
}

/* The part, or NULL when its group or topic has gone since. */
static weir_group_part *part_take(weir_engine *engine, weir_reader *from)
{
    const weir_group *group = weir_group_find_id(engine, weir_reader_u32(from));
    uint32_t topic_id = weir_reader_u32(from);
    uint32_t partition = weir_reader_u32(from);
    weir_group_part *part =
        group != NULL && !from->failed ? weir_group_part_find(group, topic_id, partition) : NULL;
    return part != NULL && part->settlement != NULL ? part : NULL;
}

weir_err weir_snapshot_settlement_take(weir_engine *engine, uint64_t unit, weir_reader *body)
{
    draft read = {.page = {NULL, 0}};
    weir_group_part *part = part_take(engine, body);
    int64_t number = (int64_t)weir_reader_u64(body);
    weir_err err = weir_snapshot_take_fields(engine, &read, WEIR_FIELDS(SETTLEMENT_FIELDS), body);
    if (err != WEIR_OK || part == NULL) {
        return err;
    }
    weir_settlement_page *page = weir_settlement_head(part->settlement);
    if (number >= 0) {
        err = weir_settlement_page_decode(part->settlement, number, unit, read.page, &page);
    } else {
        err = number == -1 ? head_set(part, read.head, unit) : WEIR_DAMAGED;
    }
    if (err == WEIR_OK) {
        part->queue->held_most = unit > part->queue->held_most ? unit : part->queue->held_most;
        weir_saved_loaded(engine, WEIR_SNAPSHOT_SETTLEMENT, &page->saved);
    }
    return err;
}

weir_err weir_snapshot_settlement_forget(weir_engine *engine, uint64_t unit, weir_reader *identity)
{
    weir_group_part *part = part_take(engine, identity);
    int64_t number = (int64_t)weir_reader_u64(identity);
    (void)unit;
    if (part != NULL && number >= 0) {
        weir_settlement_page_forget(part->settlement, number);
    }
    return WEIR_OK;
}

void weir_snapshot_settlement_put(weir_engine *engine, const weir_saved *saved, uint64_t unit,
                                  weir_writer *to)
{
    weir_settlement_page *page = WEIR_OWNER_OF((uintptr_t)saved, weir_settlement_page, saved);
    const weir_queue_part *own = weir_settlement_watch_of(page->settlement)->arg;
    uint8_t identity[IDENTITY_BYTES];
    page_of_part object = {page, own->part};
    size_t begin = weir_snapshot_begin(to, WEIR_SNAPSHOT_SETTLEMENT, unit);
    identity_put(own->part, page, identity);
    weir_writer_bytes(to, identity, sizeof(identity));
    weir_snapshot_put_fields(engine, &object, WEIR_FIELDS(SETTLEMENT_FIELDS), to);
    weir_snapshot_end(to, begin);
}

void weir_snapshot_put_settlement(weir_engine *engine, const weir_group_part *part, uint64_t unit,
                                  weir_writer *to)
{
    weir_settlement_page *page = weir_settlement_head(part->settlement);
    uint32_t position = 0;
    while (page != NULL && to->err == WEIR_OK) {
        weir_snapshot_settlement_put(engine, &page->saved, unit, to);
        page = weir_settlement_page_walk(part->settlement, &position);
    }
}
