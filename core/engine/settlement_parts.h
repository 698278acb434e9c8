/* core/engine/settlement_parts.h - the insides of a settlement, for settlement*.c alone.
 *
 * [Q1] Cells of a page rise, do not overlap, lie below page.fresh, and no two neighbours could be
 *      one.
 * [Q2] Every number that a leased cell has is in the table of leases, with the count of its records
 *      in all pages; one without records is gone.
 * [Q3] A leaf of the tree is at or below the least `until` of its page's waiting cells. */
#ifndef WEIR_CORE_ENGINE_SETTLEMENT_PARTS_H
#define WEIR_CORE_ENGINE_SETTLEMENT_PARTS_H

#include "core/engine/settlement.h"

/* 24 bytes: a million isolated records are to fit well under 64 MiB. */
typedef struct weir_settlement_cell {
    uint64_t value; /* leased: the lease's number; waiting: until */
    uint32_t leased;
    uint16_t first; /* offsets within the page */
    uint16_t last;
    uint16_t failed;
    uint8_t state;
    uint8_t held;
} weir_settlement_cell;

/* ---- Leases (settlement_lease.c) ----------------------------------------------------------------
 */

typedef struct weir_lease_slot {
    weir_lease lease;
    uint32_t heap_at; /* of one that is not in use: the next such one, or UINT32_MAX */
    uint32_t mark;    /* settlement_page.c's own */
    uint32_t mark_index;
} weir_lease_slot;

/* All by number in a hash table, and by deadline in a heap. */
typedef struct weir_lease_table {
    weir_lease_slot *slots;
    uint32_t used; /* of slots, ever */
    uint32_t capacity;
    uint32_t free_first;
    uint32_t count;
    uint32_t *heap;  /* capacity of them; indices of slots */
    uint32_t *table; /* index + 1; 0: empty */
    uint32_t table_capacity;
    uint32_t last_found;
    uint32_t mark;
} weir_lease_table;

void weir_leases_fini(weir_lease_table *leases);
weir_err weir_leases_reserve(weir_lease_table *leases, uint32_t more);
weir_lease_slot *weir_leases_find(weir_lease_table *leases, uint64_t number); /* NULL: none */
/* One without records; there is room, and none of that number. */
weir_lease_slot *weir_leases_add(weir_lease_table *leases, const weir_lease *lease);
void weir_leases_remove(weir_lease_table *leases, weir_lease_slot *slot);
void weir_leases_deadline(weir_lease_table *leases, weir_lease_slot *slot, int64_t deadline);
void weir_leases_deadline_all(weir_lease_table *leases, int64_t deadline);
const weir_lease_slot *weir_leases_first(const weir_lease_table *leases); /* to end; NULL: none */
static inline bool weir_leases_is_used(const weir_lease_table *leases, uint32_t index)
{
    return leases->slots[index].lease.number != 0;
}

/* ---- Pages in order (settlement_index.c) --------------------------------------------------------
 */

/* Pages nearly always come at the end, and go anywhere: a place stays empty until half of them are. */
typedef struct weir_page_index {
    weir_settlement_page **pages; /* NULL: gone */
    int64_t *numbers;
    int64_t *due; /* a tree over the places, least first: due[1] is the least of all */
    uint32_t count;
    uint32_t gone;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t first;    /* places before it are empty */
    uint32_t last_found;
    bool stale; /* the tree is made anew before it is asked */
} weir_page_index;

void weir_index_fini(weir_page_index *index);
uint32_t weir_index_place(const weir_page_index *index,
                          int64_t number); /* where it is or belongs */
weir_settlement_page *weir_index_find(weir_page_index *index, int64_t number);
weir_err weir_index_add(weir_page_index *index, weir_settlement_page *page);
void weir_index_remove(weir_page_index *index, weir_settlement_page *page);
/* Sets the leaf, or lowers it to `due`. */
void weir_index_due_set(weir_page_index *index, uint32_t place, int64_t due);
void weir_index_due_lower(weir_page_index *index, const weir_settlement_page *page, int64_t due);
/* The first place at or behind `from` whose leaf is at or below `now`; count: none. */
uint32_t weir_index_due_find(weir_page_index *index, uint32_t from, int64_t now);
int64_t weir_index_due_least(weir_page_index *index);

/* ---- The whole --------------------------------------------------------------------------------
 */

struct weir_settlement {
    weir_settlement_page head;
    weir_settlement_watch watch;
    int64_t fresh;
    uint64_t leased;
    uint64_t waiting;
    uint64_t delayed;
    uint64_t cell_capacity; /* of all pages */
    uint32_t reservation;
    uint32_t leases_reserved;
    weir_lease_table leases;
    weir_page_index index;
};

weir_settlement_page *weir_settlement_page_make(weir_settlement *settlement, int64_t number);
/* Lets go of a page and of what its cells count for. */
void weir_settlement_page_drop(weir_settlement *settlement, weir_settlement_page *page, bool told);
/* `sign` 1 or -1: the cell's records are counted, or no more. A lease must be there. */
void weir_settlement_account(weir_settlement *settlement, const weir_settlement_page *page,
                             const weir_settlement_cell *cell, int sign);
int64_t weir_settlement_page_due(const weir_settlement_page *page); /* exact */

#endif
