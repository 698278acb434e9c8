/* core/log/segment_parts.h - a segment as its three files share it: segment.c (life, appending),
 * segment_load.c (the table of batches), segment_read.c (reading). Only for them. */
#ifndef WEIR_CORE_LOG_SEGMENT_PARTS_H
#define WEIR_CORE_LOG_SEGMENT_PARTS_H

#include "core/log/heads.h"
#include "core/log/segment.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WEIR_SEGMENT_BATCH_BYTES_MIN = WEIR_BATCH_HEAD_BYTES + 7 }; /* a head and the least record */

struct weir_segment {
    atomic_uint refs;
    weir_env *env;
    char *dir; /* the three paths are one allocation, freed with `dir` */
    char *log_path;
    char *heads_path;
    bool writable;

    /* Held while files are opened and the table is loaded; taken before `mutex`. The engine's owner
     * never waits for it. */
    pthread_mutex_t disk_mutex;
    weir_file *log;   /* NULL until the first use, or closed by files.c */
    weir_file *heads; /* of a writable segment: the same; else only while it is loaded */

    pthread_mutex_t mutex; /* for memory only; guards what follows, up to the next empty line */
    weir_segment_state state;
    bool loaded; /* `table` has every batch of `state` */
    weir_heads table;

    uint64_t referred; /* the engine's owner's */
    uint64_t records;  /* its compactor's, then the owner's */

    /* files.c's: `log` and `heads` above may be closed while `pins` is 0. */
    struct weir_segment_files *files; /* NULL: they stay */
    struct weir_segment *older, *newer;
    uint32_t pins;
    bool unused; /* in the cache's list */
    uint32_t written_epoch;

    /* The writing job's alone. */
    bool cut;              /* the files end where the state does */
    bool streams;          /* it grows by STREAM_BYTES_PER_MS or more */
    uint64_t stream_bytes; /* counted for that */
    int64_t stream_ms;     /* since then */

    atomic_bool log_dirty; /* written since the last sync */
    atomic_bool heads_dirty;
    atomic_bool refused;        /* an append failed: READ_ONLY from then on */
    pthread_mutex_t sync_mutex; /* who finds nothing to sync has waited for the sync under way */
    bool sync_failed;           /* guarded by it: no sync is tried again */
};

/* files.c. Around every use of `log` and `heads`; may be nested. */
void weir_segment_pin(weir_segment *segment);
void weir_segment_unpin(weir_segment *segment);
void weir_segment_file_opened(weir_segment *segment); /* counts it */
void weir_segment_file_close(weir_segment *segment, weir_file **file);
void weir_segment_written(weir_segment *segment);
void weir_segment_leave(weir_segment *segment); /* the end: closes both */

/* segment.c. Both with the disk_mutex held, and pinned. */
weir_err weir_segment_log_open(weir_segment *segment);
weir_err weir_segment_heads_open(weir_segment *segment);
/* segment_load.c. Opens the .log and makes the table, once. Pinned; no mutex held. NOT_FOUND, IO,
 * VERSION, NO_MEMORY: nothing is kept, the next use tries again. Damage is no error here: what
 * cannot be served is a bad place in the table. */
weir_err weir_segment_load(weir_segment *segment);

#endif
