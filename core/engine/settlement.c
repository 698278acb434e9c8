/* core/engine/settlement.c - the records of one partition in one queue group: changes and questions.
 *
 *   page 7    offsets 28672 ............................. 32767
 *   cells     [leased 12]   [waiting]  [leased 13]  |
 *                                                    page.fresh
 *
 * A change of [first, last] goes page by page: the cells it cuts are split, those inside get the new
 * state (or go, when it is settled), what lies at or above page.fresh begins as a new cell; then
 * neighbours that are alike become one. What is below page.fresh and in no cell is settled, and no
 * change brings it back [G2]. That holds in a replay, too, where pages are of different ages: each
 * says up to where it was fresh, and units that it has are passed over. A page that was dropped
 * because nothing was left in it comes again when such a unit names it, and goes again with the
 * unit that settles its last record.
 *
 * Costs: a page is found in O(log pages), a cell in O(log cells of the page), and a change moves at
 * most the cells of its pages. */
#include "core/engine/settlement_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = WEIR_SETTLEMENT_PAGE,
    CELLS_LEAST = 4,
    CELLS_MOST = PAGE + 2,
    CHANGE_CELLS = 2, /* that cutting out a range adds to a page at most */
    SHRINK_LEAST = 64,
};

typedef weir_settlement_cell cell;

weir_err weir_settlement_create(int64_t start, const weir_settlement_watch *watch,
                                weir_settlement **out)
{
    weir_settlement *settlement = calloc(1, sizeof(*settlement));
    if (settlement == NULL) {
        return WEIR_NO_MEMORY;
    }
    settlement->fresh = start;
    settlement->head.number = -1;
    settlement->head.settlement = settlement;
    if (watch != NULL) {
        settlement->watch = *watch;
    }
    *out = settlement;
    return WEIR_OK;
}

void weir_settlement_destroy(weir_settlement *settlement)
{
    if (settlement == NULL) {
        return;
    }
    for (uint32_t i = 0; i < settlement->index.count; i++) {
        weir_settlement_page *page = settlement->index.pages[i];
        if (page != NULL) {
            weir_link_remove(&page->saved.link);
            free(page->cells);
            free(page);
        }
    }
    weir_link_remove(&settlement->head.saved.link);
    weir_index_fini(&settlement->index);
    weir_leases_fini(&settlement->leases);
    free(settlement);
}

/* ---- Counting ---------------------------------------------------------------------------------- */

static void account_lease(weir_settlement *settlement, const weir_settlement_page *page,
                          const cell *counted, int sign)
{
    weir_lease_slot *slot = weir_leases_find(&settlement->leases, counted->value);
    uint32_t records = (uint32_t)(counted->last - counted->first + 1);
    WEIR_ASSERT(slot != NULL); /* [Q2] */
    if (sign > 0) {
        int64_t first = page->number * PAGE + counted->first;
        int64_t last = page->number * PAGE + counted->last;
        slot->lease.count += records;
        slot->lease.first = first < slot->lease.first ? first : slot->lease.first;
        slot->lease.last = last > slot->lease.last ? last : slot->lease.last;
        return;
    }
    slot->lease.count -= records;
    if (slot->lease.count == 0) {
        weir_leases_remove(&settlement->leases, slot);
    }
}

void weir_settlement_account(weir_settlement *settlement, const weir_settlement_page *page,
                             const weir_settlement_cell *counted, int sign)
{
    uint64_t records = (uint64_t)(counted->last - counted->first + 1);
    uint64_t change = sign > 0 ? records : 0 - records;
    if (counted->state == WEIR_RECORD_LEASED) {
        settlement->leased += change;
        account_lease(settlement, page, counted, sign);
    } else {
        settlement->waiting += change;
        bool timed = counted->value != 0 && counted->value != INT64_MAX; /* or it is moved away */
        settlement->delayed += timed ? change : 0;
    }
}

int64_t weir_settlement_page_due(const weir_settlement_page *page)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < page->cell_count; i++) {
        const cell *at = &page->cells[i];
        if (at->state == WEIR_RECORD_WAITING && !at->held && (int64_t)at->value < due) {
            due = (int64_t)at->value;
        }
    }
    return due;
}

/* ---- Pages -------------------------------------------------------------------------------------- */

weir_settlement_page *weir_settlement_page_make(weir_settlement *settlement, int64_t number)
{
    weir_settlement_page *page = calloc(1, sizeof(*page));
    if (page == NULL) {
        return NULL;
    }
    page->settlement = settlement;
    page->number = number;
    if (weir_index_add(&settlement->index, page) != WEIR_OK) {
        free(page);
        return NULL;
    }
    return page;
}

void weir_settlement_page_drop(weir_settlement *settlement, weir_settlement_page *page, bool told)
{
    for (uint32_t i = 0; i < page->cell_count; i++) {
        weir_settlement_account(settlement, page, &page->cells[i], -1);
    }
    if (told && settlement->watch.gone != NULL) {
        settlement->watch.gone(settlement->watch.arg, page);
    }
    weir_link_remove(&page->saved.link);
    weir_index_remove(&settlement->index, page);
    settlement->cell_capacity -= page->cell_capacity;
    free(page->cells);
    free(page);
}

static void page_changed(weir_settlement *settlement, weir_settlement_page *page)
{
    if (settlement->watch.changed != NULL) {
        settlement->watch.changed(settlement->watch.arg, page);
    }
}

static weir_err cells_resize(weir_settlement_page *page, uint32_t capacity)
{
    cell *cells = realloc(page->cells, capacity * sizeof(*cells));
    if (cells == NULL) {
        return WEIR_NO_MEMORY;
    }
    page->settlement->cell_capacity += capacity;
    page->settlement->cell_capacity -= page->cell_capacity;
    page->cells = cells;
    page->cell_capacity = (uint16_t)capacity;
    return WEIR_OK;
}

static weir_err cells_room(weir_settlement_page *page, uint32_t more)
{
    uint32_t wanted = page->cell_count + more;
    wanted = wanted > CELLS_MOST ? CELLS_MOST : wanted;
    if (wanted <= page->cell_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = page->cell_capacity + page->cell_capacity / 2u;
    capacity = capacity < CELLS_LEAST ? CELLS_LEAST : capacity;
    capacity = capacity < wanted ? wanted : capacity;
    return cells_resize(page, capacity > CELLS_MOST ? CELLS_MOST : capacity);
}

/* Gives back what a change of many cells left over. */
static void cells_shrink(weir_settlement_page *page)
{
    uint32_t count = page->cell_count;
    if (page->cell_capacity > SHRINK_LEAST && page->cell_capacity > count + count / 2) {
        (void)cells_resize(page, count + count / 4 + CELLS_LEAST); /* it may stay large as well */
    }
}

/* The first cell that ends at or behind the offset. */
static uint32_t cell_at(const weir_settlement_page *page, uint32_t offset)
{
    uint32_t low = 0;
    uint32_t high = page->cell_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (page->cells[middle].last < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t within(int64_t offset, int64_t number)
{
    int64_t begin = number * PAGE;
    return offset <= begin ? 0 : offset >= begin + PAGE ? PAGE - 1 : (uint32_t)(offset - begin);
}

/* ---- Room, before anything changes -------------------------------------------------------------- */

void weir_settlement_reserve_begin(weir_settlement *settlement)
{
    settlement->reservation++;
    settlement->leases_reserved = 0;
}

/* Cells that a change of [first, last] adds at most: those that it cuts, and one of what is fresh. */
static uint32_t cells_added(const weir_settlement_page *page, uint32_t first, uint32_t last)
{
    uint32_t begin = cell_at(page, first);
    uint32_t end = cell_at(page, last);
    uint32_t added = last >= page->fresh ? 1 : 0;
    added += begin < page->cell_count && page->cells[begin].first < first ? 1 : 0;
    added +=
        end < page->cell_count && page->cells[end].first <= last && page->cells[end].last > last;
    return added;
}

static weir_err page_reserve(weir_settlement *settlement, weir_settlement_page *page, int64_t first,
                             int64_t last)
{
    if (page->reservation != settlement->reservation) {
        page->reservation = settlement->reservation;
        page->reserved = 0;
        page->pending = 0;
    }
    uint32_t reserved =
        page->reserved + cells_added(page, within(first, page->number), within(last, page->number));
    reserved = reserved > CELLS_MOST ? CELLS_MOST : reserved;
    weir_err err = cells_room(page, reserved);
    if (err == WEIR_OK) {
        page->reserved = (uint16_t)reserved;
        page->pending += page->pending < UINT16_MAX ? 1 : 0;
    }
    return err;
}

weir_err weir_settlement_reserve(weir_settlement *settlement, int64_t first, int64_t last,
                                 const weir_settlement_change *change)
{
    weir_page_index *index = &settlement->index;
    weir_err err = WEIR_OK;
    if (change->to == WEIR_RECORD_LEASED) {
        err = weir_leases_reserve(&settlement->leases, ++settlement->leases_reserved);
    }
    if (change->to == WEIR_RECORD_SETTLED) { /* splits what is there, and makes nothing */
        for (uint32_t i = weir_index_place(index, first / PAGE);
             i < index->count && index->numbers[i] <= last / PAGE && err == WEIR_OK; i++) {
            err = index->pages[i] != NULL ? page_reserve(settlement, index->pages[i], first, last)
                                          : WEIR_OK;
        }
        return err;
    }
    for (int64_t number = first / PAGE; number <= last / PAGE && err == WEIR_OK; number++) {
        weir_settlement_page *page = weir_index_find(index, number);
        page = page != NULL ? page : weir_settlement_page_make(settlement, number);
        err = page != NULL ? page_reserve(settlement, page, first, last) : WEIR_NO_MEMORY;
    }
    return err;
}

/* ---- Changes ------------------------------------------------------------------------------------ */

static void cell_insert(weir_settlement_page *page, uint32_t at, const cell *made)
{
    weir_err err = cells_room(page, 1);
    WEIR_ASSERT(err == WEIR_OK); /* it was reserved */
    memmove(&page->cells[at + 1], &page->cells[at], (page->cell_count - at) * sizeof(*made));
    page->cells[at] = *made;
    page->cell_count++;
}

/* The cell at `at` ends before `offset`; what is left of it follows. */
static void cell_split(weir_settlement_page *page, uint32_t at, uint32_t offset)
{
    cell rest = page->cells[at];
    rest.first = (uint16_t)offset;
    cell_insert(page, at + 1, &rest);
    page->cells[at].last = (uint16_t)(offset - 1);
}

/* Cuts cells so that [first, last] has whole ones only: [*begin, *end). */
static void cells_cut(weir_settlement_page *page, uint32_t first, uint32_t last, uint32_t *begin,
                      uint32_t *end)
{
    uint32_t at = cell_at(page, first);
    *begin = at;
    if (at < page->cell_count && page->cells[at].first <= last && page->cells[at].first < first) {
        cell_split(page, at, first);
        *begin = ++at;
    }
    while (at < page->cell_count && page->cells[at].first <= last) {
        if (page->cells[at].last > last) {
            cell_split(page, at, last + 1);
        }
        at++;
    }
    *end = at;
}

static bool alike(const cell *left, const cell *right)
{
    return left->last + 1 == right->first && left->state == right->state &&
           left->value == right->value && left->leased == right->leased &&
           left->failed == right->failed && left->held == right->held;
}

/* [Q1] Neighbours among the cells [begin - 1, end] that are alike become one. */
static void cells_merge(weir_settlement_page *page, uint32_t begin, uint32_t end)
{
    uint32_t to = begin > 0 ? begin - 1 : 0;
    uint32_t stop = end < page->cell_count ? end + 1 : page->cell_count;
    if (stop <= to + 1) {
        return;
    }
    for (uint32_t i = to + 1; i < stop; i++) {
        if (alike(&page->cells[to], &page->cells[i])) {
            page->cells[to].last = page->cells[i].last;
        } else {
            page->cells[++to] = page->cells[i];
        }
    }
    to++;
    memmove(&page->cells[to], &page->cells[stop], (page->cell_count - stop) * sizeof(cell));
    page->cell_count = (uint16_t)(page->cell_count - (stop - to));
}

static cell cell_changed(const cell *was, const weir_settlement_change *change)
{
    cell is = *was;
    is.state = (uint8_t)change->to;
    is.held = 0;
    if (change->to == WEIR_RECORD_LEASED) {
        is.value = change->lease->number;
        is.leased += is.leased < UINT32_MAX ? 1 : 0;
    } else {
        is.value = (uint64_t)change->until;
        is.failed += change->failed && is.failed < WEIR_SETTLEMENT_FAILED_MAX ? 1 : 0;
    }
    return is;
}

/* The new lease's records are counted before those of the old: a lease that stays is not dropped. */
static void cells_change(weir_settlement *settlement, weir_settlement_page *page, uint32_t begin,
                         uint32_t end, const weir_settlement_change *change)
{
    for (uint32_t i = begin; i < end; i++) {
        cell was = page->cells[i];
        if (change->to != WEIR_RECORD_SETTLED) {
            page->cells[i] = cell_changed(&was, change);
            weir_settlement_account(settlement, page, &page->cells[i], 1);
        }
        weir_settlement_account(settlement, page, &was, -1);
    }
    if (change->to == WEIR_RECORD_SETTLED && end > begin) {
        memmove(&page->cells[begin], &page->cells[end], (page->cell_count - end) * sizeof(cell));
        page->cell_count = (uint16_t)(page->cell_count - (end - begin));
        end = begin;
    }
    cells_merge(page, begin, end);
}

/* [first, last] of what was fresh. */
static void cells_begin(weir_settlement *settlement, weir_settlement_page *page, uint32_t first,
                        uint32_t last, const weir_settlement_change *change)
{
    page->fresh = (uint16_t)(last + 1);
    if (change->to == WEIR_RECORD_SETTLED) {
        return;
    }
    cell fresh = {.first = (uint16_t)first, .last = (uint16_t)last};
    fresh = cell_changed(&fresh, change);
    weir_settlement_account(settlement, page, &fresh, 1);
    cell_insert(page, page->cell_count, &fresh);
    cells_merge(page, page->cell_count - 1u, page->cell_count);
}

static void page_apply(weir_settlement *settlement, weir_settlement_page *page, uint32_t first,
                       uint32_t last, const weir_settlement_change *change)
{
    uint32_t fresh = page->fresh;
    if (first < fresh) {
        uint32_t begin, end;
        cells_cut(page, first, last < fresh ? last : fresh - 1, &begin, &end);
        cells_change(settlement, page, begin, end, change);
    }
    if (last >= fresh) {
        cells_begin(settlement, page, first > fresh ? first : fresh, last, change);
    }
    page->pending -= page->pending > 0 ? 1 : 0;
    if (change->to == WEIR_RECORD_WAITING) {
        weir_index_due_lower(&settlement->index, page, change->until);
    }
    page_changed(settlement, page);
    if (page->cell_count == 0 && page->number < settlement->fresh / PAGE) {
        weir_settlement_page_drop(settlement, page, true);
    } else if (page->pending == 0) {
        cells_shrink(page);
    }
}

static void lease_add(weir_settlement *settlement, const weir_lease *lease)
{
    if (weir_leases_find(&settlement->leases, lease->number) == NULL) {
        weir_err err = weir_leases_reserve(&settlement->leases, 1);
        WEIR_ASSERT(err == WEIR_OK); /* it was reserved */
        weir_leases_add(&settlement->leases, lease);
    }
}

/* One that no record came under, since a replay passed all of them over. */
static void lease_drop_empty(weir_settlement *settlement, uint64_t number)
{
    weir_lease_slot *slot = weir_leases_find(&settlement->leases, number);
    if (slot != NULL && slot->lease.count == 0) {
        weir_leases_remove(&settlement->leases, slot);
    }
}

/* Settled pages that were never there need not be made; numbers of those that are there. */
static void apply_settled(weir_settlement *settlement, int64_t first, int64_t last,
                          const weir_settlement_change *change)
{
    int64_t number = first / PAGE;
    while (number <= last / PAGE) {
        uint32_t place = weir_index_place(&settlement->index, number);
        while (place < settlement->index.count && settlement->index.pages[place] == NULL) {
            place++;
        }
        if (place == settlement->index.count || settlement->index.numbers[place] > last / PAGE) {
            return;
        }
        weir_settlement_page *page = settlement->index.pages[place];
        number = page->number + 1;
        if (page->held_unit < change->unit) {
            page_apply(settlement, page, within(first, page->number), within(last, page->number),
                       change);
        }
    }
}

void weir_settlement_apply(weir_settlement *settlement, int64_t first, int64_t last,
                           const weir_settlement_change *change)
{
    if (change->to == WEIR_RECORD_SETTLED) {
        apply_settled(settlement, first, last, change);
        return;
    }
    if (change->to == WEIR_RECORD_LEASED) {
        lease_add(settlement, change->lease);
    }
    for (int64_t number = first / PAGE; number <= last / PAGE; number++) {
        weir_settlement_page *page = weir_index_find(&settlement->index, number);
        page = page != NULL ? page : weir_settlement_page_make(settlement, number);
        WEIR_ASSERT(page != NULL); /* it was reserved */
        if (page->held_unit < change->unit) {
            page_apply(settlement, page, within(first, number), within(last, number), change);
        }
    }
    if (change->to == WEIR_RECORD_LEASED) {
        lease_drop_empty(settlement, change->lease->number);
    }
}

void weir_settlement_fresh_raise(weir_settlement *settlement, int64_t fresh)
{
    if (fresh <= settlement->fresh) {
        return;
    }
    int64_t from = settlement->fresh / PAGE;
    settlement->fresh = fresh;
    page_changed(settlement, &settlement->head);
    if (fresh / PAGE > from) {
        weir_settlement_page *page = weir_index_find(&settlement->index, from);
        if (page != NULL && page->cell_count == 0) {
            weir_settlement_page_drop(settlement, page, true);
        }
    }
}

void weir_settlement_tidy(weir_settlement *settlement)
{
    int64_t end = settlement->fresh / PAGE;
    for (int64_t number = 0; number < end;) {
        uint32_t place = weir_index_place(&settlement->index, number);
        if (place == settlement->index.count) {
            return;
        }
        number = settlement->index.numbers[place] + 1;
        weir_settlement_page *page = settlement->index.pages[place];
        if (page != NULL && page->cell_count == 0 && page->number < end) {
            weir_settlement_page_drop(settlement, page, true);
        }
    }
}

void weir_settlement_reset(weir_settlement *settlement, int64_t start, uint64_t unit)
{
    for (int64_t number = 0;;) {
        uint32_t place = weir_index_place(&settlement->index, number);
        if (place == settlement->index.count) {
            break;
        }
        number = settlement->index.numbers[place] + 1;
        weir_settlement_page *page = settlement->index.pages[place];
        if (page != NULL && page->held_unit < unit) {
            weir_settlement_page_drop(settlement, page, true);
        }
    }
    if (settlement->head.held_unit < unit) {
        settlement->fresh = start;
        page_changed(settlement, &settlement->head);
    }
}

weir_err weir_settlement_hold(weir_settlement *settlement, int64_t first, int64_t last, bool held)
{
    weir_err err = WEIR_OK;
    for (int64_t number = first / PAGE; number <= last / PAGE && err == WEIR_OK; number++) {
        uint32_t begin, end;
        weir_settlement_page *page = weir_index_find(&settlement->index, number);
        err = page != NULL ? cells_room(page, CHANGE_CELLS) : WEIR_OK;
        if (page == NULL || err != WEIR_OK) {
            continue;
        }
        cells_cut(page, within(first, number), within(last, number), &begin, &end);
        for (uint32_t i = begin; i < end; i++) {
            page->cells[i].held = held ? 1 : 0;
        }
        cells_merge(page, begin, end);
        weir_index_due_lower(&settlement->index, page, weir_settlement_page_due(page));
    }
    return err;
}

void weir_settlement_lease_renew(weir_settlement *settlement, uint64_t number, int64_t deadline)
{
    weir_lease_slot *slot = weir_leases_find(&settlement->leases, number);
    if (slot != NULL) {
        weir_leases_deadline(&settlement->leases, slot, deadline);
    }
}

void weir_settlement_leases_renew(weir_settlement *settlement, int64_t deadline)
{
    weir_leases_deadline_all(&settlement->leases, deadline);
}

/* ---- Questions ---------------------------------------------------------------------------------- */

static void run_of(const weir_settlement_page *page, const cell *from, weir_settlement_run *run)
{
    bool leased = from->state == WEIR_RECORD_LEASED;
    *run = (weir_settlement_run){
        .first = page->number * PAGE + from->first,
        .last = page->number * PAGE + from->last,
        .state = (weir_record_state)from->state,
        .held = from->held != 0,
        .lease = leased ? from->value : 0,
        .until = leased ? 0 : (int64_t)from->value,
        .leased = from->leased,
        .failed = from->failed,
    };
}

int64_t weir_settlement_floor(const weir_settlement *settlement)
{
    weir_settlement_run run;
    return weir_settlement_next(settlement, 0, &run) ? run.first : settlement->fresh;
}

int64_t weir_settlement_fresh(const weir_settlement *settlement)
{
    return settlement->fresh;
}

uint64_t weir_settlement_unsettled(const weir_settlement *settlement)
{
    return settlement->leased + settlement->waiting;
}

uint64_t weir_settlement_leased(const weir_settlement *settlement)
{
    return settlement->leased;
}

static bool is_due(const cell *at, int64_t now)
{
    return at->state == WEIR_RECORD_WAITING && !at->held && (int64_t)at->value <= now;
}

/* Of one page, whose time has come though nobody has asked for them yet. */
static uint64_t page_overdue(const weir_settlement_page *page, int64_t now)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < page->cell_count; i++) {
        const cell *at = &page->cells[i];
        bool timed = at->value != 0; /* else it waited for nothing */
        records += timed && is_due(at, now) ? (uint64_t)(at->last - at->first + 1) : 0;
    }
    return records;
}

uint64_t weir_settlement_delayed(weir_settlement *settlement, int64_t now)
{
    uint64_t overdue = 0;
    uint32_t place = weir_index_due_find(&settlement->index, 0, now);
    while (place < settlement->index.count && settlement->delayed > 0) {
        const weir_settlement_page *page = settlement->index.pages[place];
        overdue += page != NULL ? page_overdue(page, now) : 0;
        place = weir_index_due_find(&settlement->index, place + 1, now);
    }
    return settlement->delayed - overdue;
}

uint32_t weir_settlement_pages(const weir_settlement *settlement)
{
    return settlement->index.count - settlement->index.gone;
}

uint32_t weir_settlement_leases(const weir_settlement *settlement)
{
    return settlement->leases.count;
}

uint64_t weir_settlement_bytes(const weir_settlement *settlement)
{
    const weir_page_index *index = &settlement->index;
    const weir_lease_table *leases = &settlement->leases;
    return sizeof(*settlement) + settlement->cell_capacity * sizeof(cell) +
           weir_settlement_pages(settlement) * sizeof(weir_settlement_page) +
           index->capacity * (uint64_t)(sizeof(*index->pages) + 3 * sizeof(int64_t)) +
           leases->capacity * (sizeof(*leases->slots) + sizeof(*leases->heap)) +
           leases->table_capacity * sizeof(*leases->table);
}

bool weir_settlement_next(const weir_settlement *settlement, int64_t offset,
                          weir_settlement_run *run)
{
    const weir_page_index *index = &settlement->index;
    offset = offset > 0 ? offset : 0;
    for (uint32_t i = weir_index_place(index, offset / PAGE); i < index->count; i++) {
        const weir_settlement_page *page = index->pages[i];
        if (page == NULL || page->cell_count == 0) {
            continue;
        }
        uint32_t at = cell_at(page, within(offset, page->number));
        if (at < page->cell_count) {
            run_of(page, &page->cells[at], run);
            return true;
        }
    }
    return false;
}

bool weir_settlement_due(weir_settlement *settlement, int64_t from, int64_t now,
                         weir_settlement_run *run)
{
    weir_page_index *index = &settlement->index;
    from = from > 0 ? from : 0;
    uint32_t place = weir_index_place(index, from / PAGE);
    while ((place = weir_index_due_find(index, place, now)) < index->count) {
        const weir_settlement_page *page = index->pages[place];
        for (uint32_t i = cell_at(page, within(from, page->number)); i < page->cell_count; i++) {
            if (is_due(&page->cells[i], now)) {
                run_of(page, &page->cells[i], run);
                run->first = run->first < from ? from : run->first;
                return true;
            }
        }
        weir_index_due_set(index, place, weir_settlement_page_due(page)); /* [Q3] */
        place++;
    }
    return false;
}

int64_t weir_settlement_due_at(weir_settlement *settlement)
{
    weir_page_index *index = &settlement->index;
    int64_t least;
    while ((least = weir_index_due_least(index)) != INT64_MAX) {
        uint32_t place = weir_index_due_find(index, 0, least);
        int64_t due = weir_settlement_page_due(index->pages[place]);
        if (due == least) {
            return due;
        }
        weir_index_due_set(index, place, due); /* [Q3] */
    }
    return INT64_MAX;
}

bool weir_settlement_lease(const weir_settlement *settlement, uint64_t number, weir_lease *lease)
{
    weir_lease_table *leases = (weir_lease_table *)(uintptr_t)&settlement->leases;
    const weir_lease_slot *slot = weir_leases_find(leases, number);
    if (slot != NULL) {
        *lease = slot->lease;
    }
    return slot != NULL;
}

bool weir_settlement_ended(const weir_settlement *settlement, int64_t now, weir_lease *lease)
{
    const weir_lease_slot *slot = weir_leases_first(&settlement->leases);
    if (slot == NULL || slot->lease.deadline > now) {
        return false;
    }
    *lease = slot->lease;
    return true;
}

int64_t weir_settlement_ends_at(const weir_settlement *settlement)
{
    const weir_lease_slot *slot = weir_leases_first(&settlement->leases);
    return slot != NULL ? slot->lease.deadline : INT64_MAX;
}

bool weir_settlement_lease_next(const weir_settlement *settlement, const weir_lease *lease,
                                int64_t from, weir_settlement_run *run)
{
    const weir_page_index *index = &settlement->index;
    from = from < lease->first ? lease->first : from;
    for (uint32_t i = weir_index_place(index, from / PAGE);
         i < index->count && index->numbers[i] <= lease->last / PAGE; i++) {
        const weir_settlement_page *page = index->pages[i];
        uint32_t at = page != NULL ? cell_at(page, within(from, page->number)) : 0;
        for (; page != NULL && at < page->cell_count; at++) {
            const cell *seen = &page->cells[at];
            if (seen->state == WEIR_RECORD_LEASED && !seen->held && seen->value == lease->number &&
                page->number * PAGE + seen->last >= from) {
                run_of(page, seen, run);
                return true;
            }
        }
    }
    return false;
}

bool weir_settlement_lease_walk(const weir_settlement *settlement, uint32_t *position,
                                weir_lease *lease)
{
    while (*position < settlement->leases.used) {
        uint32_t index = (*position)++;
        if (weir_leases_is_used(&settlement->leases, index)) {
            *lease = settlement->leases.slots[index].lease;
            return true;
        }
    }
    return false;
}

weir_settlement_page *weir_settlement_head(weir_settlement *settlement)
{
    return &settlement->head;
}

void weir_settlement_fresh_set(weir_settlement *settlement, int64_t fresh)
{
    settlement->fresh = fresh;
}

const weir_settlement_watch *weir_settlement_watch_of(const weir_settlement *settlement)
{
    return &settlement->watch;
}

weir_settlement_page *weir_settlement_page_walk(const weir_settlement *settlement,
                                                uint32_t *position)
{
    while (*position < settlement->index.count) {
        weir_settlement_page *page = settlement->index.pages[(*position)++];
        if (page != NULL) {
            return page;
        }
    }
    return NULL;
}
