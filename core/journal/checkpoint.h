/* core/journal/checkpoint.h - the files that bound replay: a base with the whole state, and deltas
 * with what has changed since the file before. The chain before is kept until the next one has been
 * begun and its base is on disk. docs/formats/checkpoint.md draws the bytes. */
#ifndef WEIR_CORE_JOURNAL_CHECKPOINT_H
#define WEIR_CORE_JOURNAL_CHECKPOINT_H

#include "weir/base.h"

#include "core/env/env.h"

/* Names a file, and proves that it is the one that was meant. */
typedef struct weir_checkpoint_link {
    uint64_t number;
    uint64_t term;
    uint32_t crc; /* of its head, which has the payload's */
} weir_checkpoint_link;

typedef struct weir_checkpoint {
    uint64_t number;      /* rising; the file's name */
    uint64_t unit;        /* all that units up to this one did is in the chain up to here */
    uint64_t replay_from; /* the first unit that replay still needs */
    uint64_t term;
    uint64_t recovery_epoch;
    int64_t engine_ms;
    bool clean;                    /* written by a clean stop, with nothing after it */
    bool delta;                    /* holds what changed since `previous`; else the whole state */
    weir_checkpoint_link previous; /* of a delta */
    weir_bytes payload;            /* the engine's objects */
} weir_checkpoint;

/* Takes one file of a chain; the payload is borrowed for the call. An error ends the loading. */
typedef weir_err (*weir_checkpoint_each)(void *arg, const weir_checkpoint *checkpoint,
                                         weir_fault *fault);

/* Finds the newest chain in `dir` ("<data>/state"; created when missing) of which every file is good
 * and hands over its files, the base first. *newest: the last one's head, without
 * payload; its number is that of the newest file there is, good or not. NOT_FOUND:
 * there is none at all (a new data directory). A chain with a bad or missing file is passed over for
 * an older one, which is logged; when files exist but no chain is good: DAMAGED. Nothing is removed.
 */
weir_err weir_checkpoint_load(weir_env *env, const char *dir, weir_checkpoint_each each, void *arg,
                              weir_checkpoint *newest, weir_fault *fault);
/* The decoder alone: pure, fuzzed. */
weir_err weir_checkpoint_decode(weir_bytes in, weir_checkpoint *checkpoint);

/* Writing one, in pieces. All may block: for background jobs, one after the other. */
typedef struct weir_checkpoint_writer weir_checkpoint_writer;
weir_err weir_checkpoint_begin(weir_env *env, const char *dir, uint64_t number, uint64_t term,
                               weir_checkpoint_writer **writer);
weir_err weir_checkpoint_add(weir_checkpoint_writer *writer, weir_bytes payload);
/* Gives it its head (number, term and payload are the writer's) and its name. Behind a base, what is
 * older than the newest good chain before it is removed; newer ones, of a newer owner, stay. *link
 * is for the delta that follows. Frees the writer, also when it fails. */
weir_err weir_checkpoint_finish(weir_checkpoint_writer *writer, const weir_checkpoint *head,
                                weir_checkpoint_link *link);
void weir_checkpoint_abandon(weir_checkpoint_writer *writer); /* NULL: nothing to do */
/* The three in one. */
weir_err weir_checkpoint_write(weir_env *env, const char *dir, const weir_checkpoint *checkpoint,
                               weir_checkpoint_link *link);

/* `replay_from` at the end of the chain before the newest, 0 when there is none: the journal keeps
 * it. */
weir_err weir_checkpoint_keep_from(weir_env *env, const char *dir, uint64_t *unit);

#endif
