/* core/base/map.c - a hash map from bytes to a pointer, for everything found by name.
 *
 *   slots   [ 0 | h,k,v | 1 | h,k,v | 0 | ... ]    linear probing from hash & (capacity - 1)
 *
 * A lookup walks from the key's own slot to the first empty one; removed slots (1) keep such walks
 * whole. A removal in front of an empty slot needs no mark, and clears the marks before it as well.
 * Growing copies the slots to a new array whose size follows from `count`, so removed ones vanish.
 * The only failure is that allocation, and it comes before any change.
 *
 * [M1] capacity is 0 or a power of two.  [M2] count <= used <= 3/4 capacity: every walk ends. */
#include "core/base/map.h"

#include "core/base/assert.h"
#include "core/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_EMPTY = 0, SLOT_REMOVED = 1, SLOT_LIVE_MIN = 2, MAP_CAPACITY_MIN = 8 };

uint64_t weir_map_hash(weir_bytes key)
{
    uint64_t hash = weir_hash(key);
    return hash < SLOT_LIVE_MIN ? hash + SLOT_LIVE_MIN : hash;
}

void weir_map_fini(weir_map *map)
{
    free(map->slots);
    *map = (weir_map){0};
}

static weir_map_slot *slot_find(const weir_map *map, weir_bytes key, uint64_t hash)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask; map->slots[i].hash != SLOT_EMPTY; i = (i + 1) & mask) {
        if (map->slots[i].hash == hash && weir_bytes_equal(map->slots[i].key, key)) {
            return &map->slots[i];
        }
    }
    return NULL;
}

static weir_map_slot *slot_first_empty(weir_map_slot *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i].hash != SLOT_EMPTY) {
        i = (i + 1) & (capacity - 1);
    }
    return &slots[i];
}

void *weir_map_get(const weir_map *map, weir_bytes key)
{
    if (map->count == 0) {
        return NULL;
    }
    weir_map_slot *slot = slot_find(map, key, weir_map_hash(key));
    return slot == NULL ? NULL : slot->value;
}

void weir_map_fetch(const weir_map *map, uint64_t hash)
{
    if (map->count > 0) {
        const weir_map_slot *slot = &map->slots[hash & (map->capacity - 1)];
        __builtin_prefetch(slot);
        __builtin_prefetch((const char *)(slot + 1) - 1); /* it may lie across two lines */
    }
}

void *weir_map_fetch_value(const weir_map *map, uint64_t hash)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->capacity - 1;
    size_t i = hash & mask;
    while (map->slots[i].hash != SLOT_EMPTY && map->slots[i].hash != hash) {
        i = (i + 1) & mask;
    }
    __builtin_prefetch(map->slots[i].key.ptr);
    __builtin_prefetch(map->slots[i].value);
    return map->slots[i].value; /* of an empty one NULL */
}

/* Makes sure that one more fits: [M2]. */
static weir_err map_make_room(weir_map *map)
{
    if ((map->used + 1) * 4 <= map->capacity * 3) {
        return WEIR_OK;
    }
    size_t capacity = MAP_CAPACITY_MIN;
    while (capacity < (map->count + 1) * 2) {
        capacity *= 2;
    }
    weir_map_slot *slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].hash >= SLOT_LIVE_MIN) {
            *slot_first_empty(slots, capacity, map->slots[i].hash) = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    map->used = map->count;
    return WEIR_OK;
}

weir_err weir_map_set(weir_map *map, weir_bytes key, void *value)
{
    WEIR_ASSERT(value != NULL); /* get tells "not there" by NULL */
    uint64_t hash = weir_map_hash(key);
    weir_map_slot *slot = slot_find(map, key, hash);
    if (slot != NULL) {
        slot->key = key;
        slot->value = value;
        return WEIR_OK;
    }
    weir_err err = map_make_room(map);
    if (err != WEIR_OK) {
        return err;
    }
    *slot_first_empty(map->slots, map->capacity, hash) = (weir_map_slot){hash, key, value};
    map->count++;
    map->used++;
    return WEIR_OK;
}

void *weir_map_remove(weir_map *map, weir_bytes key)
{
    weir_map_slot *slot = slot_find(map, key, weir_map_hash(key));
    if (slot == NULL) {
        return NULL;
    }
    void *value = slot->value;
    size_t mask = map->capacity - 1;
    size_t i = (size_t)(slot - map->slots);
    *slot = (weir_map_slot){.hash = SLOT_REMOVED};
    map->count--;
    if (map->slots[(i + 1) & mask].hash == SLOT_EMPTY) {
        for (; map->slots[i].hash == SLOT_REMOVED; i = (i - 1) & mask) {
            map->slots[i].hash = SLOT_EMPTY;
            map->used--;
        }
    }
    return value;
}

void *weir_map_next(const weir_map *map, size_t *position)
{
    while (*position < map->capacity) {
        const weir_map_slot *slot = &map->slots[(*position)++];
        if (slot->hash >= SLOT_LIVE_MIN) {
            return slot->value;
        }
    }
    return NULL;
}
