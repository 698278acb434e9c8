/* core/log/key_map.c - the newest offset of each key, for one compaction.
 *
 *   slots   [ . | hash offset at len | . | ... ]     open addressing, at most 3/4 full
 *   keys    k0 k1 k2 ...                             back to back; a slot points into it
 *
 * Keys are kept whole and compared: two keys of one hash must never cost a record. Memory has a
 * limit, so the map may refuse a key; whoever fills it stops there.
 *
 * [M1] slots and keys together take at most bytes_max. */
#include "core/log/compactor.h"

#include "core/base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_LEAST = 1024, KEYS_LEAST = 16384 };

static uint64_t hash_of(weir_bytes key)
{
    uint64_t hash = weir_hash(key);
    return hash == 0 ? 1 : hash;
}

/* The slot of the key, or the empty one where it would go. */
static weir_key_slot *slot_find(const weir_key_map *map, uint64_t hash, weir_bytes key)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        weir_key_slot *slot = &map->slots[i];
        bool same = slot->hash == hash && slot->len == key.len &&
                    (key.len == 0 || memcmp(map->keys + slot->at, key.ptr, key.len) == 0);
        if (slot->hash == 0 || same) {
            return slot;
        }
    }
}

static weir_err slots_grow(weir_key_map *map)
{
    size_t capacity = map->capacity == 0 ? SLOTS_LEAST : map->capacity * 2;
    if ((capacity + map->capacity) * sizeof(weir_key_slot) + map->keys_capacity > map->bytes_max) {
        return WEIR_LIMIT; /* [M1] both tables are there while it grows */
    }
    weir_key_slot *slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].hash != 0) {
            size_t at = (size_t)map->slots[i].hash & (capacity - 1);
            while (slots[at].hash != 0) {
                at = (at + 1) & (capacity - 1);
            }
            slots[at] = map->slots[i];
        }
    }
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return WEIR_OK;
}

static weir_err keys_grow(weir_key_map *map, size_t more)
{
    size_t capacity = map->keys_capacity == 0 ? KEYS_LEAST : map->keys_capacity * 2;
    capacity = capacity < map->keys_len + more ? map->keys_len + more : capacity;
    if (map->capacity * sizeof(weir_key_slot) + capacity > map->bytes_max ||
        capacity > UINT32_MAX) {
        return WEIR_LIMIT; /* [M1] */
    }
    uint8_t *keys = realloc(map->keys, capacity);
    if (keys == NULL) {
        return WEIR_NO_MEMORY;
    }
    map->keys = keys;
    map->keys_capacity = capacity;
    return WEIR_OK;
}

weir_err weir_key_map_put(weir_key_map *map, weir_bytes key, int64_t offset)
{
    uint64_t hash = hash_of(key);
    weir_err err = WEIR_OK;
    if (map->capacity > 0) {
        weir_key_slot *slot = slot_find(map, hash, key);
        if (slot->hash != 0) {
            slot->offset = offset;
            return WEIR_OK;
        }
    }
    if ((map->count + 1) * 4 > map->capacity * 3) {
        err = slots_grow(map);
    }
    if (err == WEIR_OK && (map->keys == NULL || map->keys_capacity - map->keys_len < key.len)) {
        err = keys_grow(map, key.len);
    }
    if (err != WEIR_OK) {
        return err;
    }
    *slot_find(map, hash, key) =
        (weir_key_slot){hash, offset, (uint32_t)map->keys_len, (uint32_t)key.len};
    if (key.len > 0) {
        memcpy(map->keys + map->keys_len, key.ptr, key.len);
    }
    map->keys_len += key.len;
    map->count++;
    return WEIR_OK;
}

bool weir_key_map_get(const weir_key_map *map, weir_bytes key, int64_t *offset)
{
    if (map->count == 0) {
        return false;
    }
    const weir_key_slot *slot = slot_find(map, hash_of(key), key);
    if (slot->hash == 0) {
        return false;
    }
    *offset = slot->offset;
    return true;
}

void weir_key_map_fini(weir_key_map *map)
{
    free(map->slots);
    free(map->keys);
    *map = (weir_key_map){.bytes_max = map->bytes_max};
}
