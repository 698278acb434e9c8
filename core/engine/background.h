/* core/engine/background.h - the work that goes on behind the engine's turns: flushes, checkpoints, files
 * that go, compaction. What the owner keeps of each kind of it, and its job for a lane.
 *
 *   a turn fills the job --> a lane does what the job holds --> a later turn counts on what was done
 *
 * One job of a kind runs at a time (`running`). Until it is done, what the owner put into it for the lane
 * (items, segments, chunks, a slice) is the lane's; all else here stays the owner's. */
#ifndef WEIR_CORE_ENGINE_BACKGROUND_H
#define WEIR_CORE_ENGINE_BACKGROUND_H

#include "core/base/buffer.h"
#include "core/engine/link.h"
#include "core/env/env.h"
#include "core/journal/checkpoint.h"
#include "core/log/segment.h"

struct weir_engine;
struct weir_partition;
struct weir_topic;

/* ---- Flushes: records from tails to segments (flush.c) ---------------------------------------- */

typedef struct weir_flush_item {
    struct weir_partition *partition; /* for the owner when it is done */
    uint32_t topic_id;
    uint32_t index;        /* of the partition */
    uint64_t term;         /* names the folder of segments it may append to or make */
    weir_segment *segment; /* to append to; NULL: make one. Kept. */
    bool closed;           /* ... but it takes no more */
    uint64_t segment_bytes_max;
    weir_segment *made[4]; /* that the job made, in order */
    uint32_t made_count;
    weir_chunk **chunks; /* the tail's, or when it lets go of any, `kept` */
    uint32_t chunk_count;
    bool kept;
    int64_t begin_offset; /* the partition's flushed_offset */
    uint32_t done_count;  /* of them appended, */
    uint64_t done_bytes;  /* their batches, */
    uint64_t done_memory; /* their memory, */
    int64_t end_offset;   /* and where they end */
    weir_err err;
    bool goes_on; /* err passes, and the newest segment takes more afterwards */
} weir_flush_item;

typedef struct weir_flush {
    weir_job job;
    struct weir_engine *engine;
    bool running;
    bool early_failed; /* while the journal was replayed: [F1] */
    bool full;         /* the last one found no room */
    weir_flush_item *items;
    uint32_t item_count;
    uint64_t bytes;
} weir_flush;

/* ---- Checkpoints: what each has to hold (saved.c) ---------------------------------------------- */

/* What an object has that checkpoints hold: saved.h. */
typedef struct weir_saved {
    weir_link link;
    uint32_t pass; /* in which it was last written; 0: no checkpoint knows it */
    bool changed;  /* since it was last written */
} weir_saved;

/* The kinds of objects, as the payload has them: snapshot.c. */
typedef enum weir_snapshot_kind {
    WEIR_SNAPSHOT_ENGINE = 1,
    WEIR_SNAPSHOT_TOPIC = 2,
    WEIR_SNAPSHOT_PARTITION = 3,
    WEIR_SNAPSHOT_RETAINED = 4,
    WEIR_SNAPSHOT_TOPIC_GONE = 5,
    WEIR_SNAPSHOT_GONE = 6, /* any other object that is no more */
    WEIR_SNAPSHOT_PRODUCER = 7,
    WEIR_SNAPSHOT_PUBLISHING = 8,
    WEIR_SNAPSHOT_GROUP = 9,
    WEIR_SNAPSHOT_GROUP_PART = 10,
    WEIR_SNAPSHOT_SETTLEMENT = 11,
    WEIR_SNAPSHOT_KINDS,
} weir_snapshot_kind;

/* Every object is in one list of its kind. */
typedef struct weir_saved_lists {
    weir_link clean;   /* the chain has them as they are */
    weir_link changed; /* since */
    weir_link passing; /* to be written by the pass that is under way */
    weir_link passed;  /* written by it */
} weir_saved_lists;

typedef struct weir_saving {
    weir_saved_lists lists[WEIR_SNAPSHOT_KINDS];
    uint32_t pass;
    bool running;
    bool base;        /* the pass writes everything */
    bool base_wanted; /* the next one has to */
    bool engine_done; /* the engine's own object is written */
    bool carry;       /* the partition that is being written takes its unflushed batches along */
    bool left;        /* one had more of them than may be carried: segments should have them */
    uint64_t begin_unit;
    uint64_t replay_from;
    uint64_t carried_bytes; /* in this pass */
    uint64_t bytes;         /* of this pass */
    uint64_t base_bytes;    /* of the chain's base, */
    uint64_t delta_bytes;   /* and of all deltas on it */
    uint32_t deltas;
    uint64_t objects;      /* written by this pass so far, */
    uint64_t base_objects; /* and by the chain's base */
    uint64_t changed;      /* that the next pass has to write, if it is a delta */
} weir_saving;

/* ---- Checkpoints: how one is made (save.c) ----------------------------------------------------- */

typedef enum weir_checkpoint_phase {
    WEIR_CHECKPOINT_IDLE,
    WEIR_CHECKPOINT_FLUSH,  /* until what is left outside segments may be carried */
    WEIR_CHECKPOINT_SYNC,   /* segments; no flush from here on, until all is encoded */
    WEIR_CHECKPOINT_ENCODE, /* slice by slice */
    WEIR_CHECKPOINT_READY,  /* encoded; the newest unit in it is not durable yet */
    WEIR_CHECKPOINT_WRITE,
} weir_checkpoint_phase;

typedef enum weir_save_kind {
    WEIR_SAVE_SYNC,   /* segments, before the state that counts on them is written */
    WEIR_SAVE_ADD,    /* a slice of the checkpoint */
    WEIR_SAVE_WRITE,  /* its head and its name */
    WEIR_SAVE_REMOVE, /* a deleted topic's files */
} weir_save_kind;

typedef struct weir_save {
    weir_job job;
    struct weir_engine *engine;
    bool running;
    weir_save_kind kind;
    bool volume;             /* all that was written is synced at once, */
    weir_segment **segments; /* or these */
    uint32_t segment_count;
    weir_checkpoint checkpoint;
    weir_checkpoint_writer *writer;
    weir_checkpoint_link link; /* of the newest one written since the start */
    weir_buffer slice;
    uint64_t keep_from; /* the journal must keep units from here on */
    struct weir_topic *grave;
    weir_err err;
} weir_save;

/* ---- Files that go, and compaction (life.c, sweep.c, compact.c) --------------------------------- */

/* A segment that is in no partition's list any more. */
typedef struct weir_obsolete {
    weir_segment *segment; /* kept */
    uint64_t unit;         /* of the trim, or when others took its place */
    bool replaced;
} weir_obsolete;

enum { WEIR_REMOVING_MAX = 32 };

typedef struct weir_life {
    weir_job job;
    struct weir_engine *engine;
    bool running; /* files are removed */
    weir_segment *removing[WEIR_REMOVING_MAX];
    uint32_t removing_count;
    weir_err err;
    weir_link trimmed;
    weir_obsolete *obsolete;
    uint32_t obsolete_count;
    uint32_t obsolete_capacity;
    size_t walk_position;  /* in topics_by_name */
    uint64_t walk_ns;      /* when the next walk begins */
    int64_t held_until_ms; /* nothing is old before that */
    bool clock_told;
    uint64_t recovered_unit; /* the last one at the start */
} weir_life;

typedef struct weir_sweep {
    weir_job job;
    struct weir_engine *engine;
    bool running;
    bool done; /* once since the start */
    struct weir_sweep_item *items;
    uint32_t item_count;
    size_t position; /* in topics_by_name */
    const struct weir_topic *topic;
    uint64_t generation; /* topics_generation when `topic` was taken */
    uint32_t partition;
} weir_sweep;

struct weir_compaction_work; /* compact.c */

typedef struct weir_compaction {
    weir_job job;
    struct weir_engine *engine;
    bool running;                     /* a slice is under way */
    struct weir_partition *partition; /* whose turn it is; NULL: none */
    struct weir_compaction_work *work;
    uint64_t generation; /* names its folder */
    uint64_t next_ns;    /* when the next slice may run */
    struct weir_partition *next_partition;
    int64_t next_dirty; /* how much it would gain */
} weir_compaction;

#endif
