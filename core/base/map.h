/* core/base/map.h - a hash map from bytes to a pointer. Open addressing, grows by doubling.
 * Keys are borrowed for as long as they are in the map: the value usually holds them. */
#ifndef WEIR_CORE_BASE_MAP_H
#define WEIR_CORE_BASE_MAP_H

#include "weir/base.h"

typedef struct weir_map_slot {
    uint64_t hash; /* 0: empty; 1: removed; others as computed, never 0 or 1 */
    weir_bytes key;
    void *value;
} weir_map_slot;

typedef struct weir_map { /* zeroed is an empty map */
    weir_map_slot *slots;
    size_t capacity;
    size_t count;
    size_t used; /* count and removed ones */
} weir_map;

void weir_map_fini(weir_map *map);                       /* frees the slots, not the values */
void *weir_map_get(const weir_map *map, weir_bytes key); /* NULL: not there */
/* Replaces the value (and the borrowed key) of an equal key; value is not NULL, which get and
 * remove give for "not there". NO_MEMORY: unchanged. */
weir_err weir_map_set(weir_map *map, weir_bytes key, void *value);
/* Hints to the processor that a key with this hash is looked up soon, so that many lookups wait for memory
 * together: first the key's slot, then, when that has had time to come, what the slot points to.
 * fetch_value returns the value that is likely the key's: no key was compared. NULL: none. */
uint64_t weir_map_hash(weir_bytes key);
void weir_map_fetch(const weir_map *map, uint64_t hash);
void *weir_map_fetch_value(const weir_map *map, uint64_t hash);
void *weir_map_remove(weir_map *map, weir_bytes key); /* what was there, or NULL */
/* Walks the map: *position 0 to begin; NULL at the end. Nothing may be added meanwhile; the entry
 * just returned may be removed. */
void *weir_map_next(const weir_map *map, size_t *position);

#endif
