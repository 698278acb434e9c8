/* core/engine/inspect.h - what a data directory holds, read without changing a byte of it; and what is
 * given up when its journal is damaged. For tools: the engine itself knows nothing of this.
 *
 * The directory must have no owner. All calls block; one thread. Spans and strings handed to callbacks
 * are borrowed for the call. */
#ifndef WEIR_CORE_ENGINE_INSPECT_H
#define WEIR_CORE_ENGINE_INSPECT_H

#include "weir/engine.h"

typedef enum weir_inspect_verdict {
    WEIR_INSPECT_SOUND,
    WEIR_INSPECT_TORN,    /* ends in a write that a crash interrupted: nothing of it was promised */
    WEIR_INSPECT_UNUSED,  /* a file that never came to hold anything */
    WEIR_INSPECT_DAMAGED, /* what was safely stored cannot be read */
    WEIR_INSPECT_MISSING, /* another file names it, and it is gone; counts as damaged */
} weir_inspect_verdict;

typedef struct weir_inspect_file {
    const char *path; /* below the data directory */
    const char *kind; /* "owner", "checkpoint", "journal", "segment", "heads" */
    weir_inspect_verdict verdict;
    uint64_t bytes;      /* that were looked at */
    uint64_t blocks;     /* of a journal file */
    uint64_t first_unit; /* 0: it has none, */
    uint64_t last_unit;
    uint64_t units;    /* whole ones that count; of a checkpoint: the unit of its state */
    uint64_t mark;     /* of a journal file: through which unit it tells that all was synced */
    uint64_t batches;  /* of a journal file or a segment */
    uint64_t records;  /* in these */
    uint64_t position; /* of the first bad place, unless the verdict is SOUND */
    const char *text;  /* the same in words; "" when SOUND */
} weir_inspect_file;

/* Offsets [from, to) that cannot be read. */
typedef struct weir_inspect_gap {
    weir_bytes topic; /* empty: its name is lost, too */
    uint32_t topic_id;
    uint32_t partition;
    int64_t from;
    int64_t to;   /* as far as it can be told */
    bool journal; /* they stand in units behind the damage; else in a segment */
} weir_inspect_gap;

typedef struct weir_inspect_to {
    void *arg;
    void (*file)(void *arg, const weir_inspect_file *file);
    void (*gap)(void *arg, const weir_inspect_gap *gap);
} weir_inspect_to;

typedef struct weir_inspect_sum {
    uint64_t files;
    uint64_t damaged; /* files */
    uint64_t topics;
    uint64_t batches; /* of all segments */
    uint64_t records;
    uint64_t gaps;
    uint64_t last_unit;  /* the last good one */
    uint64_t known_unit; /* the newest that anything on disk tells of */
    bool torn;
    weir_fault fault; /* of the journal or of the state; err is OK: none */
    bool repairable;  /* weir_inspect_repair would help */
    uint64_t heads;   /* damaged or missing .heads files: weir_inspect_heads would help */
} weir_inspect_sum;

/* Reads everything. OK also when it is damaged: sum->damaged, sum->gaps and sum->fault tell. LOCKED:
 * a gateway owns it, whose pid is in the fault. NOT_FOUND, IO, NO_MEMORY. */
weir_err weir_inspect_verify(const weir_engine_config *config, const weir_inspect_to *to,
                             weir_inspect_sum *sum, weir_fault *fault);

/* Copies journal and checkpoints into the folder `aside` of the data directory, syncs the copies, and
 * only then gives up what stands behind the last good unit. INVALID: there is nothing to repair, or
 * this would not help. */
weir_err weir_inspect_repair(const weir_engine_config *config, const char *aside,
                             weir_fault *fault);

/* Writes each .heads file that is damaged or missing anew out of its .log, as the directory's owner:
 * nothing is lost by it. *left: those whose .log is damaged as well stay as they are. Errors as a start's. */
weir_err weir_inspect_heads(const weir_engine_config *config, uint64_t *made, uint64_t *left,
                            weir_fault *fault);

/* One row of a dump: a unit's entry, a batch of a segment, or what was passed over. */
typedef struct weir_inspect_entry {
    const char *file;
    uint64_t position; /* of the block, or of the batch */
    uint64_t unit;     /* 0: a batch of a segment */
    int64_t time_ms;   /* engine time of the unit; the latest time of the batch */
    const char *type;
    bool
        unread; /* a stretch, or all of a file, that should hold units and cannot be read: `type` is
                  * "unreadable" or "missing", and only file, position and bytes tell anything */
    uint32_t bytes;
    bool of_topic;    /* of this one: */
    weir_bytes topic; /* its name; null: deleted since, or nothing tells */
    uint32_t topic_id;
    bool placed; /* what follows is known */
    uint32_t partition;
    int64_t base_offset; /* -1: the entry has none */
    uint32_t records;    /* 0: it cannot be told */
} weir_inspect_entry;
typedef void (*weir_inspect_each)(void *arg, const weir_inspect_entry *entry);

/* The entries of all units from..to that stand in good blocks, file by file; and what may hold others
 * of these units and was passed over. Errors as verify. */
weir_err weir_inspect_units(const weir_engine_config *config, uint64_t from, uint64_t to,
                            weir_inspect_each each, void *arg, weir_fault *fault);
/* The batches of one ".log" file, whoever owns it. DAMAGED at the first bad one, with its position. */
weir_err weir_inspect_segment(const char *path, weir_inspect_each each, void *arg,
                              weir_fault *fault);

/* Places where tests count, kill or fail, by number from 0; false: there is no such number. */
bool weir_inspect_failpoint(unsigned number, const char **name, const char **where);

#endif
