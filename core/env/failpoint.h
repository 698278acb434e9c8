/* core/env/failpoint.h - named places between two storage calls, where tests count, kill or fail.
 *
 *     WEIR_FAILPOINT(checkpoint_written);             count or kill here
 *     err = WEIR_FAILPOINT(checkpoint_written);       or fail here, with what the hook returns
 *
 * Every name stands in WEIR_FAILPOINT_LIST: add a line there, then use it. A name without a line does
 * not compile, and tests/sim fails on a line that no run ever reaches. Nothing is armed outside tests:
 * a place then costs one relaxed load and a branch that is never taken. */
#ifndef WEIR_CORE_ENV_FAILPOINT_H
#define WEIR_CORE_ENV_FAILPOINT_H

#include "weir/base.h"

#include <stdatomic.h>

/* X(name, where it stands: "after ..." or "before ..."). By room, then in the order of the road. */
#define WEIR_FAILPOINT_LIST(X)                                                                     \
    X(journal_block_written, "after a block is written, before its sync")                          \
    X(journal_block_synced, "after a block's sync, before anybody is told")                        \
    X(straight_written, "after what units refer to is written, before their block")                \
    X(straight_synced, "after what units refer to is synced, before the journal's own sync")       \
    X(journal_file_prepared, "after a journal file got its bytes, before its name is durable")     \
    X(checkpoint_added, "after a slice of a checkpoint is written")                                   \
    X(checkpoint_written, "after a checkpoint's bytes are written, before their sync")             \
    X(checkpoint_renamed, "after a checkpoint has its name, before the folder's sync")             \
    X(flush_appended, "after a job appended chunks to a segment")                                  \
    X(checkpoint_segments_synced, "after the segments a checkpoint counts on are synced")          \
    X(checkpoint_finished, "after a checkpoint is durable, before the journal is released")        \
    X(segment_removed, "after a segment that is not needed any more is removed")                   \
    X(sweep_unlinked, "after a leftover of an earlier run is removed")                             \
    X(compaction_folder_made, "after a compaction's folder is made, before it is durable")         \
    X(compaction_appended, "after a compaction wrote a batch, before it is synced")                \
    X(compaction_synced, "after all that a compaction made is synced, before it counts")           \
    X(heads_rebuilt, "after a .heads file is made again, before it has its name")

typedef enum weir_failpoint {
#define WEIR_FAILPOINT_ID(name, where) WEIR_FAILPOINT_##name,
    WEIR_FAILPOINT_LIST(WEIR_FAILPOINT_ID)
#undef WEIR_FAILPOINT_ID
        WEIR_FAILPOINT_COUNT
} weir_failpoint;

/* Called at every place that is passed while armed, on the thread that passes it. WEIR_OK: go on.
 * Another code is what the place's WEIR_FAILPOINT() evaluates to. */
typedef weir_err (*weir_failpoint_hook)(void *arg, weir_failpoint point);

/* Arms all places, or disarms them (NULL). Only while no engine runs; one hook per process. */
void weir_failpoint_arm(weir_failpoint_hook hook, void *arg);

const char *weir_failpoint_name(weir_failpoint point);  /* "checkpoint_written" */
const char *weir_failpoint_where(weir_failpoint point); /* the sentence of the list */

/* What the macro needs. */
extern atomic_bool weir_failpoint_armed;
weir_err weir_failpoint_reached(weir_failpoint point);

static inline weir_err weir_failpoint_pass(weir_failpoint point)
{
    if (__builtin_expect(atomic_load_explicit(&weir_failpoint_armed, memory_order_relaxed), 0)) {
        return weir_failpoint_reached(point);
    }
    return WEIR_OK;
}

#define WEIR_FAILPOINT(name) weir_failpoint_pass(WEIR_FAILPOINT_##name)

#endif
