/* core/engine/straight.h - batches that are written once, straight to their segment: what the engine
 * keeps of them on their way. straight.c tells the story. */
#ifndef WEIR_CORE_ENGINE_STRAIGHT_H
#define WEIR_CORE_ENGINE_STRAIGHT_H

#include "core/journal/journal.h"
#include "core/log/segment.h"

struct weir_partition;
struct weir_engine;

/* What goes to one partition's segment with one block: all that the segment lacks, in order, up to
 * a batch that the block refers to. */
typedef struct weir_straight_item {
    struct weir_partition *partition;
    weir_segment *segment; /* kept */
    weir_chunk **chunks;   /* kept */
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint64_t unit; /* of its newest chunk */
} weir_straight_item;

typedef struct weir_straight_set {
    weir_straight_item *items;
    uint32_t count;
    uint32_t capacity;
    bool written;
} weir_straight_set;

/* Recovery: where the batches of one partition stand that one owner wrote. */
typedef struct weir_straight_source {
    uint32_t topic_id;
    uint32_t partition;
    uint64_t term;
    int64_t *bases; /* of the segments in the folder, rising */
    size_t base_count;
    int64_t base;      /* of the segment that was read last; -1: none */
    uint64_t position; /* in it, where the batch with `offset` begins */
    int64_t offset;
} weir_straight_source;

typedef struct weir_straight {
    weir_straight_set waiting; /* the owner's */
    /* The writing job's, from begin to end. */
    weir_straight_set going;
    weir_segment **unsynced; /* kept: written to since the last sync */
    uint32_t unsynced_count;
    uint32_t unsynced_capacity;
    bool heads_too; /* a checkpoint is being made: it counts on the .heads as well */
    /* The owner's. */
    uint64_t waiting_bytes; /* of both sets */
    uint64_t group;         /* how many blocks with units were begun: names the next one's group */
    bool flush_wanted;      /* a partition lacks a segment that its batches may go to */
    uint64_t open_unit;     /* the newest one that was recovered */
    uint64_t keep_from;     /* what the older checkpoint that is kept may replay begins here */
    /* Recovery's. */
    uint64_t snapshot_unit;
    weir_straight_source *sources;
    size_t source_count;
    size_t source_capacity;
    weir_file *file;    /* the segment that was read last, */
    size_t file_source; /* of this source */
    weir_chunk **found; /* for the replay of the unit that comes next */
    size_t found_count;
    size_t found_capacity;
    size_t found_taken;
} weir_straight;

#endif
