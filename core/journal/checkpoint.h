/* core/journal/checkpoint.h - whole-state snapshots that bound replay; the previous one is kept
 * until the next is proved. A file: magic, version, least reader version, head, payload, CRC32C
 * over all; written beside, synced, renamed, folder synced. docs/formats/checkpoint.md draws it. */
#ifndef WEIR_CORE_JOURNAL_CHECKPOINT_H
#define WEIR_CORE_JOURNAL_CHECKPOINT_H

#include "weir/base.h"

#include "core/env/env.h"

typedef struct weir_checkpoint {
    uint64_t number;      /* rising; the file's name */
    uint64_t unit;        /* the state is that after this unit */
    uint64_t replay_from; /* the first unit that replay still needs (appends not yet in segments) */
    uint64_t term;
    uint64_t recovery_epoch;
    int64_t engine_ms;
    bool clean;         /* written by a clean stop, with nothing after it */
    weir_bytes payload; /* the engine's objects */
} weir_checkpoint;

/* Finds the newest good checkpoint in `dir` ("<data>/state"; created when missing). NOT_FOUND:
 * there is none at all (a new data directory). A bad newest one is passed over for the previous,
 * which is logged; when files exist but none is good: DAMAGED. *memory holds the payload; free()
 * it. */
weir_err weir_checkpoint_load(weir_env *env, const char *dir, weir_checkpoint *checkpoint,
                              void **memory, weir_fault *fault);
/* Writes one and removes those before it but for the last good one; newer ones, of a newer owner,
 * stay. May block: for a background job. */
weir_err weir_checkpoint_write(weir_env *env, const char *dir, const weir_checkpoint *checkpoint);
/* The decoder alone: pure, fuzzed. */
weir_err weir_checkpoint_decode(weir_bytes in, weir_checkpoint *checkpoint);
/* `replay_from` of the older of the two kept, 0 when there is only one: the journal keeps it. */
weir_err weir_checkpoint_keep_from(weir_env *env, const char *dir, uint64_t *unit);

#endif
