/* core/log/compactor.h - compaction of closed segments by key: new segments beside the old ones, in
 * which every key that was looked at has its newest record only.
 *
 *   sources   [ a=1 b=1 a=2 ]  [ b=null c=1 a=3 ]         closed, oldest first
 *   made      [ b=null c=1 a=3 ]                           offsets stay; batches cover the gaps
 *
 * Or by ranges of offsets, for what a queue owes. By key, a record without a key stays, and a
 * tombstone until delete_retention_ms after the compaction that first met it. The sources are only
 * read. One thread at a time. */
#ifndef WEIR_CORE_LOG_COMPACTOR_H
#define WEIR_CORE_LOG_COMPACTOR_H

#include "core/log/segment.h"

typedef struct weir_compactor weir_compactor;

/* Offsets that stay, both included. */
typedef struct weir_kept_range {
    int64_t first;
    int64_t last;
} weir_kept_range;

typedef struct weir_compactor_plan {
    weir_env *env;
    weir_topic_ref *topic;
    uint32_t partition;
    weir_segment *const *sources; /* each ends where the next begins */
    uint32_t source_count;
    int64_t start_offset; /* records below go */
    int64_t dirty_from;   /* below it no key has two records; at most where the last source ends */
    int64_t now_ms;
    int64_t delete_retention_ms;
    uint64_t segment_bytes_max;
    uint64_t memory_bytes_max; /* for keys; what does not fit is left for the next compaction */
    const char *dir;           /* where the new ones go: a folder that only this compaction has */
    const char *parent;        /* of it: exists */
    uint64_t term;             /* names it */
    /* Not by key: what is in one of these ranges stays, all else goes. They rise, and outlive the
     * compactor, which has one pass then. */
    bool by_range;
    const weir_kept_range *kept;
    uint32_t kept_count;
} weir_compactor_plan;

typedef struct weir_compactor_result {
    weir_segment **segments; /* the compactor's, and so are their counts: keep what is to stay */
    uint32_t segment_count;
    uint32_t source_count;     /* they stand for so many sources, from the first */
    int64_t clean_to;          /* below it no key has two records now */
    int64_t tombstones_due_ms; /* when the first one may go; INT64_MAX: none */
    uint64_t records_removed;
} weir_compactor_result;

/* Keeps sources and topic, copies the strings. NO_MEMORY. */
weir_err weir_compactor_create(const weir_compactor_plan *plan, weir_compactor **compactor);
/* Goes on until about `bytes` were read. *done: the new segments are whole and synced. After an
 * error nothing of it counts: DAMAGED, UNSUPPORTED, NOT_FOUND: a source cannot be read; LIMIT: not
 * one key fits the memory; IO, DISK_FULL, NO_MEMORY. */
weir_err weir_compactor_step(weir_compactor *compactor, uint64_t bytes, bool *done);
void weir_compactor_result_of(const weir_compactor *compactor, weir_compactor_result *result);
/* Removes the files it made: they are not wanted. */
void weir_compactor_discard(weir_compactor *compactor);
void weir_compactor_destroy(weir_compactor *compactor);

/* ---- The newest offset of each key, in bounded memory (key_map.c) ------------------------------ */

typedef struct weir_key_slot {
    uint64_t hash; /* 0: empty */
    int64_t offset;
    uint32_t at; /* of the key in `keys` */
    uint32_t len;
} weir_key_slot;

typedef struct weir_key_map { /* zeroed but for bytes_max is empty */
    weir_key_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
    uint8_t *keys;
    size_t keys_len;
    size_t keys_capacity;
    size_t bytes_max;
} weir_key_map;

/* Sets the key's offset. LIMIT: it would take more than bytes_max; NO_MEMORY. Unchanged then. */
weir_err weir_key_map_put(weir_key_map *map, weir_bytes key, int64_t offset);
bool weir_key_map_get(const weir_key_map *map, weir_bytes key, int64_t *offset);
void weir_key_map_fini(weir_key_map *map);

#endif
