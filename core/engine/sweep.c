/* core/engine/sweep.c - finds and removes segment files that nothing refers to any more.
 *
 *   log/<topic>/<partition>/             00000000000000000000.log .heads     (term 0)
 *   log/<topic>/<partition>/<16 hex>/    00000000000000000000.log .heads     (a term)
 *
 * A kill between the unit that frees a segment and the removal of its files, or in the midst of a
 * compaction, leaves files behind. Once since each start, when a checkpoint of this run stands
 * beside the one it started from, every partition's folders are listed, some in each job: what is
 * neither in the partition's list nor waiting for its removal goes.
 *
 * [W1] Only names that a segment can have are looked at; anything else stays.
 * [W2] Files at or above the flushed offset stay: they may be made just now.
 * [W3] Segments are made on the same lane as this job runs on, one after the other, or above
 *      the flushed offset: what was listed as unknown cannot have become known. */
#include "core/engine/ops.h"

#include "core/env/failpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SWEEP_PARTITIONS = 64,
    PATH_BYTES = 4096,
    FOUND_MAX = 256,
    NAME_DIGITS = 20,
    TERM_DIGITS = 16
};

typedef struct weir_sweep_name {
    uint64_t term;
    int64_t base_offset;
} weir_sweep_name;

struct weir_sweep_item {
    uint32_t topic_id;
    uint32_t partition;
    int64_t flushed_offset;
    weir_sweep_name *known;
    uint32_t known_count;
};

/* What one folder has. */
typedef struct listing {
    const struct weir_sweep_item *item;
    uint64_t term;
    weir_sweep_name files[FOUND_MAX];
    bool heads[FOUND_MAX];
    uint32_t file_count;
    uint64_t terms[FOUND_MAX];
    uint32_t term_count;
} listing;

static bool known(const struct weir_sweep_item *item, uint64_t term, int64_t base_offset)
{
    for (uint32_t i = 0; i < item->known_count; i++) {
        if (item->known[i].term == term && item->known[i].base_offset == base_offset) {
            return true;
        }
    }
    return false;
}

/* [W1] "<20 digits>.log" or ".heads". */
static bool segment_name(const char *name, int64_t *base_offset, bool *heads)
{
    char *end = NULL;
    if (strspn(name, "0123456789") != NAME_DIGITS) {
        return false;
    }
    *base_offset = strtoll(name, &end, 10);
    *heads = strcmp(end, ".heads") == 0;
    return *heads || strcmp(end, ".log") == 0;
}

static bool listing_entry(void *arg, const char *name)
{
    listing *found = arg;
    int64_t base_offset = 0;
    bool heads = false;
    if (segment_name(name, &base_offset, &heads)) {
        if (!known(found->item, found->term, base_offset) &&
            base_offset < found->item->flushed_offset && found->file_count < FOUND_MAX) { /* [W2] */
            found->heads[found->file_count] = heads;
            found->files[found->file_count++] = (weir_sweep_name){found->term, base_offset};
        }
    } else if (found->term == 0 && strlen(name) == TERM_DIGITS &&
               strspn(name, "0123456789abcdef") == TERM_DIGITS && found->term_count < FOUND_MAX) {
        found->terms[found->term_count++] = strtoull(name, NULL, 16);
    }
    return true;
}

static void folder_sweep(weir_engine *engine, listing *found)
{
    char dir[PATH_BYTES];
    char path[PATH_BYTES + NAME_DIGITS + 16];
    found->file_count = 0;
    weir_topics_segments_dir(engine, found->item->topic_id, found->item->partition, found->term,
                             dir, sizeof(dir));
    if (engine->env->ops->dir_list(engine->env, dir, listing_entry, found) != WEIR_OK) {
        return; /* no folder: nothing was left in it */
    }
    for (uint32_t i = 0; i < found->file_count; i++) {
        snprintf(path, sizeof(path), "%s/%020" PRId64 ".%s", dir, found->files[i].base_offset,
                 found->heads[i] ? "heads" : "log");
        (void)engine->env->ops->unlink(engine->env, path);
        (void)WEIR_FAILPOINT(sweep_unlinked);
    }
    if (found->term != 0 && found->term != engine->segments_term) {
        (void)engine->env->ops->dir_remove(engine->env, dir); /* when it is empty */
    }
}

static void sweep_run(weir_job *job)
{
    weir_sweep *sweep = WEIR_OWNER_OF(job, weir_sweep, job);
    listing *found = malloc(sizeof(*found));
    if (found == NULL || weir_owner_compare(sweep->engine->owner_file) != WEIR_OK) {
        free(found);
        return;
    }
    for (uint32_t i = 0; i < sweep->item_count; i++) {
        found->item = &sweep->items[i];
        found->term_count = 0;
        found->term = 0;
        folder_sweep(sweep->engine, found);
        for (uint32_t t = 0; t < found->term_count; t++) {
            found->term = found->terms[t];
            folder_sweep(sweep->engine, found);
        }
    }
    free(found);
}

static void items_free(weir_sweep *sweep)
{
    for (uint32_t i = 0; i < sweep->item_count; i++) {
        free(sweep->items[i].known);
    }
    free(sweep->items);
    sweep->items = NULL;
    sweep->item_count = 0;
}

void weir_sweep_finished(weir_engine *engine)
{
    items_free(&engine->sweep);
    engine->sweep.running = false;
}

void weir_sweep_fini(weir_engine *engine)
{
    items_free(&engine->sweep);
}

static void known_add(struct weir_sweep_item *item, const weir_segment *segment)
{
    weir_segment_state state;
    weir_segment_state_of(segment, &state);
    item->known[item->known_count++] = (weir_sweep_name){state.term, state.base_offset};
}

static bool item_fill(const weir_engine *engine, const weir_partition *partition,
                      struct weir_sweep_item *item)
{
    const weir_life *life = &engine->life;
    uint32_t most = partition->segment_count + life->obsolete_count + life->removing_count;
    item->known = malloc((most + 1) * sizeof(*item->known));
    if (item->known == NULL) {
        return false;
    }
    item->topic_id = partition->topic->id;
    item->partition = partition->index;
    item->flushed_offset = partition->flushed_offset;
    for (uint32_t i = 0; i < partition->segment_count; i++) {
        known_add(item, partition->segments[i]);
    }
    for (uint32_t i = 0; i < life->obsolete_count; i++) { /* of others too: that keeps more */
        known_add(item, life->obsolete[i].segment);
    }
    for (uint32_t i = 0; i < life->removing_count; i++) {
        known_add(item, life->removing[i]);
    }
    return true;
}

/* The next topics, as whole ones; false at the end. */
static bool items_collect(weir_engine *engine)
{
    weir_sweep *sweep = &engine->sweep;
    uint32_t capacity = SWEEP_PARTITIONS;
    sweep->items = calloc(capacity, sizeof(*sweep->items));
    while (sweep->items != NULL && sweep->item_count < SWEEP_PARTITIONS) {
        if (sweep->topic == NULL) {
            sweep->topic = weir_map_next(&engine->topics_by_name, &sweep->position);
            sweep->generation = engine->topics_generation;
            sweep->partition = 0;
        }
        if (sweep->topic == NULL) {
            return sweep->item_count > 0;
        }
        if (sweep->generation != engine->topics_generation ||
            sweep->partition >= sweep->topic->partition_count) {
            sweep->topic = NULL; /* done, or topics came and went: its rest waits for a start */
            continue;
        }
        const weir_partition *partition = sweep->topic->partitions[sweep->partition++];
        if (!item_fill(engine, partition, &sweep->items[sweep->item_count])) {
            break;
        }
        sweep->item_count++;
    }
    return sweep->item_count > 0;
}

void weir_sweep_work(weir_engine *engine)
{
    weir_sweep *sweep = &engine->sweep;
    bool due = !sweep->done && !sweep->running && !engine->flush.running && !engine->old_alive &&
               engine->compaction.partition == NULL && engine->stats.checkpoints > 0 &&
               engine->straight.keep_from > engine->life.recovered_unit;
    if (!due) {
        return;
    }
    if (!items_collect(engine)) {
        items_free(sweep);
        sweep->done = true;
        return;
    }
    sweep->job = (weir_job){.run = sweep_run, .done = weir_engine_job_done};
    sweep->engine = engine;
    sweep->running = true;
    engine->env->ops->job_submit(engine->env, WEIR_LANE_BACKGROUND, &sweep->job);
}
