/* core/base/value_set.c - the values of one filter: an array to walk, and an index to find one in
 * it.
 *
 *   values   [ a | b | c | ... ]                     dense: matching walks it
 *   places   [ 0 | 2 | 0 | 1 | 3 | ... ]             1 + where in values; 0 is empty
 *
 * A filter that many sessions share ("alerts") holds 100,000 values, and each comes and goes alone,
 * so finding one must not walk the array. Small sets have no index, and a set of one, which is what
 * most filters have, no array either: `values` points at `only`, where matching finds it beside the
 * node. `places` is open addressing with linear probing; a removal moves later entries of its run
 * back, so that no mark of it stays. Allocation is the only failure and comes before any change.
 *
 * [S1] places_capacity is 0, or a power of two at least twice count.
 * [S2] With an index, every value has exactly one place. */
#include "core/base/value_set.h"

#include <stdlib.h>

enum { SET_CAPACITY_MIN = 4, SET_WALK_MAX = 16, SET_COUNT_MAX = 1 << 30 };

#define SET_NOT_FOUND UINT32_MAX

static uint32_t value_home(const void *value, uint32_t capacity)
{
    uint64_t mixed = (uint64_t)(uintptr_t)value * 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed >> 32) & (capacity - 1);
}

void weir_value_set_fini(weir_value_set *set)
{
    if (set->values != &set->only) {
        free(set->values);
    }
    free(set->places);
    *set = (weir_value_set){0};
}

/* Where in places the value's entry is, or the empty one where it would go. */
static uint32_t place_of(const weir_value_set *set, const void *value)
{
    uint32_t mask = set->places_capacity - 1;
    uint32_t at = value_home(value, set->places_capacity);
    while (set->places[at] != 0 && set->values[set->places[at] - 1] != value) {
        at = (at + 1) & mask;
    }
    return at;
}

static uint32_t index_of(const weir_value_set *set, const void *value)
{
    if (set->places_capacity > 0) {
        uint32_t entry = set->places[place_of(set, value)];
        return entry == 0 ? SET_NOT_FOUND : entry - 1;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->values[i] == value) {
            return i;
        }
    }
    return SET_NOT_FOUND;
}

bool weir_value_set_has(const weir_value_set *set, void *value)
{
    return index_of(set, value) != SET_NOT_FOUND;
}

static weir_err values_make_room(weir_value_set *set)
{
    if (set->count < set->capacity) {
        return WEIR_OK;
    }
    if (set->capacity == 0) {
        set->values = &set->only;
        set->capacity = 1;
        return WEIR_OK;
    }
    bool inside = set->values == &set->only;
    uint32_t capacity = inside ? SET_CAPACITY_MIN : set->capacity * 2;
    void **values = realloc(inside ? NULL : set->values, capacity * sizeof(*values));
    if (values == NULL) {
        return WEIR_NO_MEMORY;
    }
    if (inside) {
        values[0] = set->only;
    }
    set->values = values;
    set->capacity = capacity;
    return WEIR_OK;
}

static weir_err places_make_room(weir_value_set *set)
{
    if (set->count < SET_WALK_MAX || (set->count + 1) * 2 <= set->places_capacity) {
        return WEIR_OK;
    }
    uint32_t capacity = set->places_capacity == 0 ? SET_WALK_MAX * 4 : set->places_capacity * 2;
    uint32_t *places = calloc(capacity, sizeof(*places));
    if (places == NULL) {
        return WEIR_NO_MEMORY;
    }
    free(set->places);
    set->places = places;
    set->places_capacity = capacity;
    for (uint32_t i = 0; i < set->count; i++) {
        set->places[place_of(set, set->values[i])] = i + 1;
    }
    return WEIR_OK;
}

weir_err weir_value_set_add(weir_value_set *set, void *value)
{
    if (weir_value_set_has(set, value)) {
        return WEIR_EXISTS;
    }
    if (set->count == SET_COUNT_MAX) {
        return WEIR_LIMIT;
    }
    if (values_make_room(set) != WEIR_OK || places_make_room(set) != WEIR_OK) {
        return WEIR_NO_MEMORY;
    }
    if (set->places_capacity > 0) {
        set->places[place_of(set, value)] = set->count + 1;
    }
    set->values[set->count++] = value;
    return WEIR_OK;
}

/* Empties a place and closes the gap: an entry further on moves here unless its home lies between.
 */
static void place_clear(weir_value_set *set, uint32_t gap)
{
    uint32_t mask = set->places_capacity - 1;
    for (uint32_t at = (gap + 1) & mask; set->places[at] != 0; at = (at + 1) & mask) {
        uint32_t home = value_home(set->values[set->places[at] - 1], set->places_capacity);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            set->places[gap] = set->places[at];
            gap = at;
        }
    }
    set->places[gap] = 0;
}

static void set_shrink(weir_value_set *set)
{
    if (set->count == 0) {
        weir_value_set_fini(set);
    } else if (set->places_capacity > 0 && set->count <= SET_WALK_MAX / 2) {
        free(set->places);
        set->places = NULL;
        set->places_capacity = 0;
    }
}

weir_err weir_value_set_remove(weir_value_set *set, void *value)
{
    uint32_t index = index_of(set, value);
    if (index == SET_NOT_FOUND) {
        return WEIR_NOT_FOUND;
    }
    uint32_t last = set->count - 1;
    if (set->places_capacity > 0) {
        place_clear(set, place_of(set, value)); /* while values still holds every home: [S2] */
        if (index != last) {
            set->places[place_of(set, set->values[last])] = index + 1; /* it fills the hole */
        }
    }
    set->values[index] = set->values[last];
    set->count--;
    set_shrink(set);
    return WEIR_OK;
}
