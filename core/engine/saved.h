/* core/engine/saved.h - which objects a checkpoint has to write: what changed since they were written.
 *
 * An object that checkpoints hold embeds a weir_saved, and whoever changes it says so. A new kind
 * needs a number in weir_snapshot_kind, a row in snapshot.c, and a place in saved.c's order. */
#ifndef WEIR_CORE_ENGINE_SAVED_H
#define WEIR_CORE_ENGINE_SAVED_H

#include "core/engine/snapshot.h"

enum {
    WEIR_SAVED_SLICE_BYTES = 64 << 10, /* a turn ends its slice behind so many, */
    WEIR_SAVED_SLICE_NS = 200 * 1000,  /* or after so long */
    WEIR_CARRIED_BYTES_MAX =
        64 << 10, /* a partition's unflushed batches that a checkpoint takes, */
    WEIR_CARRIED_TOTAL_BYTES_MAX = 16 << 20, /* and those of all; */
    WEIR_CARRIED_SHARE = 4, /* at most this part of the journal between two checkpoints */
};

static inline uint64_t weir_carried_total_max(const weir_engine *engine)
{
    uint64_t share = engine->config.checkpoint_bytes / WEIR_CARRIED_SHARE;
    return share < WEIR_CARRIED_TOTAL_BYTES_MAX ? share : WEIR_CARRIED_TOTAL_BYTES_MAX;
}

static inline uint64_t weir_carried_max(const weir_engine *engine)
{
    uint64_t total = weir_carried_total_max(engine);
    return total < WEIR_CARRIED_BYTES_MAX ? total : WEIR_CARRIED_BYTES_MAX;
}

void weir_saved_init(weir_engine *engine);
void weir_saved_fini(weir_engine *engine);

/* Begins a pass: what has changed, or everything when a base is due. */
void weir_saved_begin(weir_engine *engine);
/* Writes objects until the slice is full; false: there are more. */
bool weir_saved_slice(weir_engine *engine, weir_writer *to);
/* The pass is on disk, or it failed: then the next one is a base. */
void weir_saved_end(weir_engine *engine, bool written);

#endif
