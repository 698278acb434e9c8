/* core/engine/settlement_lease.c - the leases of a settlement: found by number, in the order of their
 * ends.
 *
 *   table   | 3 |   | 1 | 2 |   |   |      open addressing by number, index + 1
 *             |       |   |
 *   slots   [ 0 | 1 | 2 | free | 4 ]       a lease keeps its slot until it has no records left
 *             |   |   |
 *   heap    [ 2 | 0 | 1 ]                  by deadline, then number: the first one ends first
 *
 * 88 bytes of slot, about 12 of table and heap: a lease has the records of one take. */
#include "core/engine/settlement_parts.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX, LEAST = 16 };

void weir_leases_fini(weir_lease_table *leases)
{
    free(leases->slots);
    free(leases->heap);
    free(leases->table);
    memset(leases, 0, sizeof(*leases));
}

/* ---- By number ---------------------------------------------------------------------------------- */

static uint32_t home_of(const weir_lease_table *leases, uint64_t number)
{
    return (uint32_t)((number * 0x9e3779b97f4a7c15u) >> 32) & (leases->table_capacity - 1);
}

static void table_put(weir_lease_table *leases, uint32_t slot)
{
    uint32_t at = home_of(leases, leases->slots[slot].lease.number);
    while (leases->table[at] != 0) {
        at = (at + 1) & (leases->table_capacity - 1);
    }
    leases->table[at] = slot + 1;
}

static uint32_t table_at(const weir_lease_table *leases, uint64_t number)
{
    uint32_t at = home_of(leases, number);
    while (leases->table[at] != 0) {
        if (leases->slots[leases->table[at] - 1].lease.number == number) {
            return at;
        }
        at = (at + 1) & (leases->table_capacity - 1);
    }
    return NONE;
}

/* Closes the gap, so that no search stops at it. */
static void table_remove(weir_lease_table *leases, uint32_t gap)
{
    uint32_t mask = leases->table_capacity - 1;
    leases->table[gap] = 0;
    for (uint32_t at = (gap + 1) & mask; leases->table[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(leases, leases->slots[leases->table[at] - 1].lease.number);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            leases->table[gap] = leases->table[at];
            leases->table[at] = 0;
            gap = at;
        }
    }
}

static weir_err table_grow(weir_lease_table *leases, uint32_t capacity)
{
    uint32_t *table = calloc(capacity, sizeof(*table));
    if (table == NULL) {
        return WEIR_NO_MEMORY;
    }
    free(leases->table);
    leases->table = table;
    leases->table_capacity = capacity;
    for (uint32_t i = 0; i < leases->used; i++) {
        if (weir_leases_is_used(leases, i)) {
            table_put(leases, i);
        }
    }
    return WEIR_OK;
}

weir_err weir_leases_reserve(weir_lease_table *leases, uint32_t more)
{
    uint32_t wanted = leases->count + more;
    if (leases->capacity < wanted) {
        uint32_t capacity = leases->capacity + leases->capacity / 2;
        capacity = capacity < LEAST ? LEAST : capacity;
        capacity = capacity < wanted ? wanted : capacity;
        weir_lease_slot *slots = realloc(leases->slots, capacity * sizeof(*slots));
        leases->slots = slots != NULL ? slots : leases->slots;
        uint32_t *heap = realloc(leases->heap, capacity * sizeof(*heap));
        leases->heap = heap != NULL ? heap : leases->heap;
        if (slots == NULL || heap == NULL) {
            return WEIR_NO_MEMORY;
        }
        leases->free_first = leases->capacity == 0 ? NONE : leases->free_first;
        leases->capacity = capacity;
    }
    if (leases->table_capacity < 2 * wanted) {
        uint32_t capacity = leases->table_capacity < LEAST ? 2 * LEAST : leases->table_capacity;
        while (capacity < 2 * wanted) {
            capacity *= 2;
        }
        return table_grow(leases, capacity);
    }
    return WEIR_OK;
}

weir_lease_slot *weir_leases_find(weir_lease_table *leases, uint64_t number)
{
    if (leases->count == 0 || number == 0) {
        return NULL;
    }
    if (leases->last_found < leases->used &&
        leases->slots[leases->last_found].lease.number == number) {
        return &leases->slots[leases->last_found];
    }
    uint32_t at = table_at(leases, number);
    if (at == NONE) {
        return NULL;
    }
    leases->last_found = leases->table[at] - 1;
    return &leases->slots[leases->last_found];
}

/* ---- By deadline -------------------------------------------------------------------------------- */

static bool before(const weir_lease_table *leases, uint32_t a, uint32_t b)
{
    const weir_lease *left = &leases->slots[a].lease;
    const weir_lease *right = &leases->slots[b].lease;
    return left->deadline != right->deadline ? left->deadline < right->deadline
                                             : left->number < right->number;
}

static void heap_set(weir_lease_table *leases, uint32_t at, uint32_t slot)
{
    leases->heap[at] = slot;
    leases->slots[slot].heap_at = at;
}

static void heap_rise(weir_lease_table *leases, uint32_t at)
{
    uint32_t slot = leases->heap[at];
    while (at > 0 && before(leases, slot, leases->heap[(at - 1) / 2])) {
        heap_set(leases, at, leases->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(leases, at, slot);
}

static void heap_sink(weir_lease_table *leases, uint32_t at)
{
    uint32_t slot = leases->heap[at];
    for (uint32_t child = 2 * at + 1; child < leases->count; child = 2 * at + 1) {
        if (child + 1 < leases->count &&
            before(leases, leases->heap[child + 1], leases->heap[child])) {
            child++;
        }
        if (!before(leases, leases->heap[child], slot)) {
            break;
        }
        heap_set(leases, at, leases->heap[child]);
        at = child;
    }
    heap_set(leases, at, slot);
}

weir_lease_slot *weir_leases_add(weir_lease_table *leases, const weir_lease *lease)
{
    uint32_t index = leases->free_first;
    WEIR_ASSERT(leases->count < leases->capacity);
    if (index == NONE) {
        index = leases->used++;
    } else {
        leases->free_first = leases->slots[index].heap_at;
    }
    weir_lease_slot *slot = &leases->slots[index];
    memset(slot, 0, sizeof(*slot));
    slot->lease = *lease;
    slot->lease.count = 0;
    slot->lease.first = INT64_MAX;
    slot->lease.last = -1;
    table_put(leases, index);
    leases->heap[leases->count] = index;
    leases->count++;
    heap_rise(leases, leases->count - 1);
    leases->last_found = index;
    return slot;
}

void weir_leases_remove(weir_lease_table *leases, weir_lease_slot *slot)
{
    uint32_t index = (uint32_t)(slot - leases->slots);
    uint32_t at = slot->heap_at;
    table_remove(leases, table_at(leases, slot->lease.number));
    leases->count--;
    if (at < leases->count) {
        heap_set(leases, at, leases->heap[leases->count]);
        heap_rise(leases, at);
        heap_sink(leases, at);
    }
    slot->lease.number = 0;
    slot->heap_at = leases->free_first;
    leases->free_first = index;
}

void weir_leases_deadline(weir_lease_table *leases, weir_lease_slot *slot, int64_t deadline)
{
    slot->lease.deadline = deadline;
    heap_rise(leases, slot->heap_at);
    heap_sink(leases, slot->heap_at);
}

void weir_leases_deadline_all(weir_lease_table *leases, int64_t deadline)
{
    for (uint32_t i = 0; i < leases->used; i++) {
        leases->slots[i].lease.deadline = deadline;
    }
    for (uint32_t i = leases->count / 2; i > 0; i--) {
        heap_sink(leases, i - 1);
    }
}

const weir_lease_slot *weir_leases_first(const weir_lease_table *leases)
{
    return leases->count > 0 ? &leases->slots[leases->heap[0]] : NULL;
}
