/* core/engine/trims.c - which records below a partition's start a command took, and when.
 *
 *     0            retention            trim   retention  trim         start
 *     |--------------------------------|######|----------|############|  what is there
 *                                      from   to
 *
 * Entry 9 says why the start moved. Groups find what it took from them at their own pace, a queue
 * group perhaps only after a start; so the stretches that commands took are kept with the partition,
 * in checkpoints, too (snapshot_life.c), the newest WEIR_TRIMS_MAX of them. All else below the start
 * went by retention: so do entries that an older version wrote, which had no cause.
 *
 * Happy path: room is asked for, the entry is written, the stretch is added. Failures: no memory,
 * and the trim is refused.
 *
 * [M1] Stretches rise, lie apart and below the start. */
#include "core/engine/ops.h"

#include <stdlib.h>
#include <string.h>

weir_err weir_trims_reserve(weir_partition *partition)
{
    if (partition->trims == NULL) {
        partition->trims = malloc(WEIR_TRIMS_MAX * sizeof(*partition->trims));
    }
    return partition->trims == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

void weir_trims_add(weir_partition *partition, const weir_trimmed *stretch)
{
    uint32_t count = partition->trim_count;
    WEIR_ASSERT(partition->trims != NULL); /* it was reserved */
    WEIR_ASSERT(stretch->from < stretch->to && stretch->to <= partition->start_offset);
    WEIR_ASSERT(count == 0 || partition->trims[count - 1].to <= stretch->from); /* [M1] */
    if (count == WEIR_TRIMS_MAX) {
        count--;
        memmove(partition->trims, partition->trims + 1, count * sizeof(*partition->trims));
    }
    partition->trims[count] = *stretch;
    partition->trim_count = count + 1;
}

void weir_trims_forget(weir_partition *partition)
{
    free(partition->trims);
    partition->trims = NULL;
    partition->trim_count = 0;
}

const weir_trimmed *weir_trims_find(const weir_partition *partition, int64_t offset)
{
    for (uint32_t i = 0; i < partition->trim_count; i++) {
        const weir_trimmed *stretch = &partition->trims[i];
        if (offset >= stretch->from && offset < stretch->to) {
            return stretch;
        }
    }
    return NULL;
}

/* The first offset behind `first` from which on it was another cause. */
static int64_t cause_end(const weir_partition *partition, int64_t first)
{
    const weir_trimmed *stretch = weir_trims_find(partition, first);
    if (stretch != NULL) {
        return stretch->to;
    }
    for (uint32_t i = 0; i < partition->trim_count; i++) {
        if (partition->trims[i].from > first) {
            return partition->trims[i].from;
        }
    }
    return partition->start_offset;
}

const char *weir_trims_reason(const weir_partition *partition, int64_t first, int64_t *last)
{
    if (first >= partition->start_offset) {
        return NULL;
    }
    int64_t end = cause_end(partition, first);
    *last = *last < end ? *last : end - 1;
    return weir_trims_find(partition, first) != NULL ? "trimmed" : "retention";
}
