/* core/engine/settlement_page.c - a page of a settlement as bytes, and back.
 *
 *   page     fresh u16 | lease count u16 | leases | cell count u16 | cells
 *   lease    number u64 | epoch u64 | member u64 | mode u8        in the order of their first cells
 *   cell     settled records before it, varint | records - 1, varint | kind u8 |
 *            leased, varint | failed, varint | of kind 2: until i64, of kind 3: lease index, varint
 *   kind     1 waiting for nothing   2 waiting until   3 leased
 *
 * Big-endian; varints as Kafka's, zigzag. What is held in memory is written as if it were not: a
 * start forgets why. Reading trusts nothing: what does not fit is DAMAGED, and then nothing has
 * changed. */
#include "core/engine/settlement_parts.h"

#include "core/engine/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = WEIR_SETTLEMENT_PAGE,
    KIND_WAITING = 1,
    KIND_UNTIL = 2,
    KIND_LEASED = 3,
    LEASE_BYTES = 25,
};

typedef weir_settlement_cell cell;

/* ---- Out ---------------------------------------------------------------------------------------- */

static void put_varint(weir_writer *to, int64_t value)
{
    uint8_t bytes[WEIR_VARINT_BYTES_MAX];
    weir_writer_bytes(to, bytes, weir_varint_encode(value, bytes));
}

/* Leases get their indices in the order in which cells name them. */
static void put_leases(weir_settlement_page *page, weir_writer *to)
{
    weir_lease_table *leases = &page->settlement->leases;
    size_t count_at = to->out->len;
    uint16_t count = 0;
    leases->mark++;
    weir_writer_u16(to, 0);
    for (uint32_t i = 0; i < page->cell_count; i++) {
        if (page->cells[i].state != WEIR_RECORD_LEASED) {
            continue;
        }
        weir_lease_slot *slot = weir_leases_find(leases, page->cells[i].value);
        if (slot->mark != leases->mark) {
            slot->mark = leases->mark;
            slot->mark_index = count++;
            weir_writer_u64(to, slot->lease.number);
            weir_writer_u64(to, slot->lease.epoch);
            weir_writer_u64(to, slot->lease.member);
            weir_writer_u8(to, slot->lease.mode);
        }
    }
    if (to->err == WEIR_OK) {
        weir_put_u16(to->out->ptr + count_at, count);
    }
}

static void put_cell(weir_settlement_page *page, const cell *from, uint32_t before, weir_writer *to)
{
    bool leased = from->state == WEIR_RECORD_LEASED;
    put_varint(to, from->first - (int64_t)before);
    put_varint(to, from->last - from->first);
    weir_writer_u8(to, leased ? KIND_LEASED : from->value == 0 ? KIND_WAITING : KIND_UNTIL);
    put_varint(to, from->leased);
    put_varint(to, from->failed);
    if (leased) {
        put_varint(to, weir_leases_find(&page->settlement->leases, from->value)->mark_index);
    } else if (from->value != 0) {
        weir_writer_u64(to, from->value);
    }
}

static bool unlike(const cell *left, const cell *right)
{
    return left->last + 1 != right->first || left->state != right->state ||
           left->value != right->value || left->leased != right->leased ||
           left->failed != right->failed;
}

weir_err weir_settlement_page_encode(weir_settlement_page *page, weir_buffer *out)
{
    weir_writer to = {.out = out};
    uint32_t before = 0;
    uint16_t count = 0;
    weir_writer_u16(&to, page->fresh);
    put_leases(page, &to);
    size_t count_at = out->len;
    weir_writer_u16(&to, 0);
    for (uint32_t i = 0; i < page->cell_count && to.err == WEIR_OK; i++) {
        cell whole = page->cells[i];
        while (i + 1 < page->cell_count && !unlike(&page->cells[i], &page->cells[i + 1])) {
            whole.last = page->cells[++i].last; /* one of them is held */
        }
        put_cell(page, &whole, before, &to);
        before = whole.last + 1u;
        count++;
    }
    if (to.err == WEIR_OK) {
        weir_put_u16(out->ptr + count_at, count);
    }
    return to.err;
}

/* ---- In ----------------------------------------------------------------------------------------- */

/* A page while it is read: nothing of the settlement has changed. */
typedef struct draft {
    uint16_t fresh;
    uint16_t lease_count;
    uint16_t leases_named;
    uint16_t cell_count;
    weir_bytes leases;
    cell *cells;
} draft;

static uint64_t take_varint(weir_reader *from, uint64_t most)
{
    int64_t value = 0;
    size_t used = 0;
    if (from->failed || weir_varint_decode(from->rest, &value, &used) != WEIR_OK || value < 0 ||
        (uint64_t)value > most) {
        from->failed = true;
        return 0;
    }
    from->rest.ptr += used;
    from->rest.len -= used;
    return (uint64_t)value;
}

static weir_lease draft_lease(const draft *from, uint32_t index)
{
    const uint8_t *at = from->leases.ptr + (size_t)index * LEASE_BYTES;
    return (weir_lease){.number = weir_get_u64(at),
                        .epoch = weir_get_u64(at + 8),
                        .member = weir_get_u64(at + 16),
                        .deadline = INT64_MAX,
                        .mode = at[24]};
}

/* A new lease is the one behind those that were named. */
static uint64_t take_lease(draft *page, weir_reader *from)
{
    uint64_t index = take_varint(from, page->lease_count);
    if (from->failed || index >= page->lease_count || index > page->leases_named) {
        from->failed = true;
        return 0;
    }
    page->leases_named += index == page->leases_named ? 1 : 0;
    return draft_lease(page, (uint32_t)index).number;
}

static void take_cell(draft *page, uint32_t before, weir_reader *from, cell *into)
{
    uint64_t first = before + take_varint(from, PAGE);
    uint64_t last = first + take_varint(from, PAGE);
    uint8_t kind = weir_reader_u8(from);
    into->leased = (uint32_t)take_varint(from, UINT32_MAX);
    into->failed = (uint16_t)take_varint(from, WEIR_SETTLEMENT_FAILED_MAX);
    if (last >= page->fresh || kind < KIND_WAITING || kind > KIND_LEASED) {
        from->failed = true;
        return;
    }
    into->first = (uint16_t)first;
    into->last = (uint16_t)last;
    into->state = kind == KIND_LEASED ? WEIR_RECORD_LEASED : WEIR_RECORD_WAITING;
    into->value = kind == KIND_LEASED  ? take_lease(page, from)
                  : kind == KIND_UNTIL ? weir_reader_u64(from)
                                       : 0;
    if (kind != KIND_WAITING && (into->value == 0 || into->value > INT64_MAX)) {
        from->failed = true;
    }
}

static weir_err draft_take(weir_bytes in, draft *page)
{
    weir_reader from = {.rest = in};
    page->fresh = weir_reader_u16(&from);
    page->lease_count = weir_reader_u16(&from);
    page->leases = weir_reader_bytes(&from, (size_t)page->lease_count * LEASE_BYTES);
    page->cell_count = weir_reader_u16(&from);
    if (from.failed || page->fresh > PAGE || page->cell_count > page->fresh ||
        page->lease_count > page->cell_count) {
        return WEIR_DAMAGED;
    }
    page->cells = calloc(page->cell_count + 1u, sizeof(cell));
    if (page->cells == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < page->cell_count && !from.failed; i++) {
        take_cell(page, i > 0 ? page->cells[i - 1].last + 1u : 0, &from, &page->cells[i]);
        if (!from.failed && i > 0 && !unlike(&page->cells[i - 1], &page->cells[i])) {
            from.failed = true; /* [Q1] */
        }
    }
    bool whole = !from.failed && from.rest.len == 0 && page->leases_named == page->lease_count;
    return whole ? WEIR_OK : WEIR_DAMAGED;
}

/* The leases that the page names are there: those that were not, without records yet. False: two of
 * them have one number. */
static bool draft_leases_add(weir_settlement *settlement, const draft *page)
{
    weir_lease_table *leases = &settlement->leases;
    bool alone = true;
    leases->mark++;
    for (uint32_t i = 0; i < page->lease_count; i++) {
        weir_lease lease = draft_lease(page, i);
        weir_lease_slot *slot = weir_leases_find(leases, lease.number);
        slot = slot != NULL ? slot : weir_leases_add(leases, &lease);
        alone = alone && slot->mark != leases->mark;
        slot->mark = leases->mark;
    }
    return alone;
}

static void draft_leases_drop(weir_settlement *settlement, const draft *page)
{
    for (uint32_t i = 0; i < page->lease_count; i++) {
        weir_lease_slot *slot = weir_leases_find(&settlement->leases, draft_lease(page, i).number);
        if (slot != NULL && slot->lease.count == 0) {
            weir_leases_remove(&settlement->leases, slot);
        }
    }
}

/* Takes the draft's cells. */
static void draft_put(weir_settlement *settlement, weir_settlement_page *page, draft *from)
{
    for (uint32_t i = 0; i < from->cell_count; i++) {
        weir_settlement_account(settlement, page, &from->cells[i], 1);
    }
    for (uint32_t i = 0; i < page->cell_count; i++) {
        weir_settlement_account(settlement, page, &page->cells[i], -1);
    }
    settlement->cell_capacity += from->cell_count + 1u;
    settlement->cell_capacity -= page->cell_capacity;
    free(page->cells);
    page->cells = from->cells;
    page->cell_count = from->cell_count;
    page->cell_capacity = (uint16_t)(from->cell_count + 1u);
    page->fresh = from->fresh;
    from->cells = NULL;
    weir_index_due_set(&settlement->index, weir_index_place(&settlement->index, page->number),
                       weir_settlement_page_due(page));
}

weir_err weir_settlement_page_decode(weir_settlement *settlement, int64_t number, uint64_t unit,
                                     weir_bytes in, weir_settlement_page **out)
{
    draft from = {0};
    if (number < 0 || number > INT64_MAX / PAGE - 1) {
        return WEIR_DAMAGED;
    }
    weir_err err = draft_take(in, &from);
    err = err == WEIR_OK ? weir_leases_reserve(&settlement->leases, from.lease_count) : err;
    weir_settlement_page *page = weir_index_find(&settlement->index, number);
    if (err == WEIR_OK && !draft_leases_add(settlement, &from)) {
        draft_leases_drop(settlement, &from);
        err = WEIR_DAMAGED; /* [Q2] */
    }
    if (err == WEIR_OK && page == NULL) {
        page = weir_settlement_page_make(settlement, number);
        err = page == NULL ? WEIR_NO_MEMORY : WEIR_OK;
        if (err != WEIR_OK) {
            draft_leases_drop(settlement, &from);
        }
    }
    if (err == WEIR_OK) {
        draft_put(settlement, page, &from);
        page->held_unit = unit;
        *out = page;
    }
    free(from.cells);
    return err;
}

void weir_settlement_page_forget(weir_settlement *settlement, int64_t number)
{
    weir_settlement_page *page = weir_index_find(&settlement->index, number);
    if (page != NULL) {
        weir_settlement_page_drop(settlement, page, false);
    }
}
