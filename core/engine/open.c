/* core/engine/open.c - from a data directory to a running engine, and back.
 *
 *   owner (lock, term) -> newest good checkpoint -> journal from its replay point -> START entry
 *
 *   <data>/owner, lock-*   who owns it            <data>/journal/   units
 *   <data>/state/          checkpoints            <data>/log/<topic id>/<partition>/   segments
 *                                          (after a take-over: <partition>/<term>/)
 *
 * Nothing is deleted because something else could not be read: damage stops the start with a fault
 * that says what to do. The recovery epoch rises at every start that does not follow a clean stop.
 */
#include "core/engine/group.h"
#include "core/engine/saved.h"

#include "core/base/hash.h"
#include "core/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SYNC_EVERY_MS = 50,
    DEFAULT_PRODUCER_EXPIRY_MS = 7 * 24 * 3600 * 1000,
    DEFAULT_CHECKPOINT_EVERY_MS = 300000,
    DEFAULT_SEGMENT_FILES_MAX = 512,
    DEFAULT_CLEANUP_EVERY_MS = 10000,
    DEFAULT_COMPACTION_BYTES = 64 << 20,
    PATH_BYTES = 4096,
    PAGE_BYTES = 4096,
    RESERVE_BYTES_LEAST = 64 << 10,
    DATA_DIR_BYTES_MAX = 3000,
    SETTLE_TURNS_MAX = 100000, /* far more than memory holds jobs for */
};

/* ---- Configuration
 * -------------------------------------------------------------------------------------- */

static weir_err fault_set(weir_fault *fault, weir_err err, const char *text)
{
    fault->err = err;
    snprintf(fault->text, sizeof(fault->text), "%s", text);
    return err;
}

static void limits_default(weir_limits *limits)
{
    static const weir_limits defaults = WEIR_LIMITS_DEFAULT;
#define LIMIT_FILL(name, value, unit, least, most, metric, meaning, mqtt, weir1)                   \
    if (limits->name == 0) {                                                                       \
        limits->name = defaults.name;                                                              \
    }
    WEIR_LIMITS_LIST(LIMIT_FILL)
#undef LIMIT_FILL
}

static weir_err limits_check(const weir_limits *limits, weir_fault *fault)
{
    (void)fault;
#define LIMIT_CHECK(name, value, unit, least, most, metric, meaning, mqtt, weir1)                  \
    if (limits->name + 1 < (uint64_t)(least) + 1 || limits->name > (uint64_t)(most)) {             \
        fault->err = WEIR_INVALID;                                                                 \
        snprintf(fault->text, sizeof(fault->text),                                                 \
                 "limits.%s is %" PRIu64 ": it must be from %" PRIu64 " to %" PRIu64 " %s", #name, \
                 limits->name, (uint64_t)(least), (uint64_t)(most), (unit));                       \
        return WEIR_INVALID;                                                                       \
    }
    WEIR_LIMITS_LIST(LIMIT_CHECK)
#undef LIMIT_CHECK
    return WEIR_OK;
}

static void config_default(weir_engine_config *config)
{
    if (config->live_durability == WEIR_LEVEL_DEFAULT) {
        config->live_durability = WEIR_LEVEL_DISK;
    }
    if (config->os_sync_every_ms == 0) {
        config->os_sync_every_ms = DEFAULT_SYNC_EVERY_MS;
    }
    if (config->journal_file_bytes == 0) {
        config->journal_file_bytes = 64ull << 20;
    }
    if (config->journal_reserve_bytes == 0) {
        config->journal_reserve_bytes = config->journal_file_bytes / 4 / PAGE_BYTES * PAGE_BYTES;
    }
    if (config->journal_reserve_bytes < RESERVE_BYTES_LEAST) {
        config->journal_reserve_bytes = RESERVE_BYTES_LEAST;
    }
    if (config->journal_reserve_bytes > config->journal_file_bytes) {
        config->journal_reserve_bytes = config->journal_file_bytes;
    }
    if (config->journal_inline_bytes_max == 0) {
        config->journal_inline_bytes_max = 256 << 10;
    }
    if (config->segment_bytes_max == 0) {
        config->segment_bytes_max = 1ull << 30;
    }
    if (config->segment_files_max == 0) {
        config->segment_files_max = DEFAULT_SEGMENT_FILES_MAX;
    }
    if (config->checkpoint_bytes == 0) {
        config->checkpoint_bytes = 256ull << 20;
    }
    if (config->checkpoint_every_ms == 0) {
        config->checkpoint_every_ms = DEFAULT_CHECKPOINT_EVERY_MS;
    }
    if (config->producer_expiry_ms == 0) {
        config->producer_expiry_ms = DEFAULT_PRODUCER_EXPIRY_MS;
    }
    if (config->cleanup_every_ms == 0) {
        config->cleanup_every_ms = DEFAULT_CLEANUP_EVERY_MS;
    }
    if (config->compaction_bytes_max == 0) {
        config->compaction_bytes_max = DEFAULT_COMPACTION_BYTES;
    }
    limits_default(&config->limits);
}

static weir_err config_check(const weir_engine_config *config, weir_fault *fault)
{
    if (config->data_dir == NULL || config->data_dir[0] == '\0' ||
        strlen(config->data_dir) > DATA_DIR_BYTES_MAX) {
        return fault_set(fault, WEIR_INVALID, "name a data directory of at most 3,000 bytes");
    }
    if (config->live_durability > WEIR_LEVEL_DISK) {
        return fault_set(
            fault, WEIR_NOT_OFFERED,
            "live_durability can be memory, os or disk: no backend offers replicated yet");
    }
    if (config->journal_file_bytes < 65536 || config->journal_file_bytes % 4096 != 0) {
        return fault_set(fault, WEIR_INVALID,
                         "journal.file_bytes must be a multiple of 4096 and at least 65536");
    }
    if (config->journal_reserve_bytes % PAGE_BYTES != 0) {
        return fault_set(fault, WEIR_INVALID, "journal.reserve_bytes must be a multiple of 4096");
    }
    if (config->segment_bytes_max < 4096 || config->segment_bytes_max > (4ull << 30)) {
        return fault_set(fault, WEIR_INVALID, "segment.bytes_max must be from 4 KiB to 4 GiB");
    }
    return limits_check(&config->limits, fault);
}

/* ---- Making and freeing
 * ------------------------------------------------------------------------------------ */

void weir_engine_free(weir_engine *engine)
{
    size_t position = 0;
    weir_topic *topic = NULL;
    weir_routes_fini(engine);
    weir_groups_fini(engine);
    weir_life_fini(engine);
    weir_compact_fini(engine);
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        weir_topic_free(engine, topic);
    }
    while (engine->graves != NULL) {
        topic = engine->graves;
        engine->graves = topic->grave_next;
        weir_topic_free(engine, topic);
    }
    weir_map_fini(&engine->topics_by_name);
    weir_map_fini(&engine->topics_by_id);
    weir_producers_fini(engine);
    weir_retained_fini(engine);
    if (engine->live_topic.ref != NULL) {
        weir_partition_drop_chunks(engine, &engine->live);
        free(engine->live.notes);
        weir_topic_ref_drop(engine->live_topic.ref);
    }
    if (engine->filters != NULL) {
        weir_trie_destroy(engine->filters);
    }
    weir_straight_found_fini(engine);
    weir_ahead_fini(engine);
    weir_straight_fini(engine);
    if (engine->pool != NULL) {
        weir_chunk_pool_destroy(engine->pool);
    }
    if (engine->owner_file != NULL) {
        weir_owner_close(engine->owner_file);
    }
    weir_checkpoint_abandon(engine->save.writer);
    weir_buffer_fini(&engine->save.slice);
    weir_buffer_fini(&engine->fates.lines);
    weir_saved_fini(engine);
    weir_segment_files_destroy(engine->files);
    if (engine->volume != NULL) {
        engine->env->ops->file_close(engine->env, engine->volume);
    }
    if (engine->env_ours) {
        weir_env_posix_destroy(engine->env);
    }
    free(engine->data_dir);
    free(engine);
}

static weir_err live_init(weir_engine *engine)
{
    weir_topic *topic = &engine->live_topic;
    topic->id = WEIR_LIVE_TOPIC_ID;
    topic->options = (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_MEMORY};
    topic->partition_count = 1;
    engine->live_list[0] = &engine->live;
    topic->partitions = engine->live_list;
    topic->ref = weir_topic_ref_create(WEIR_LIVE_TOPIC_ID, WEIR_TEXT(""));
    engine->live.topic = topic;
    weir_link_init(&engine->live.waiting);
    weir_link_init(&engine->live.cursors);
    weir_link_init(&engine->live.group_parts);
    return topic->ref == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

weir_err weir_engine_make(const weir_engine_config *config, weir_engine **out)
{
    weir_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return WEIR_NO_MEMORY;
    }
    engine->config = *config;
    config_default(&engine->config);
    engine->limits = engine->config.limits;
    engine->topic_id_next = 1;
    atomic_store(&engine->deadline_ns, UINT64_MAX);
    weir_link *lists[] = {&engine->retained_list, &engine->scans,     &engine->open_partitions,
                          &engine->hidden,        &engine->evictable, &engine->unsynced,
                          &engine->fetches,       &engine->reads,     &engine->life.trimmed};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        weir_link_init(lists[i]);
    }
    for (int class = 0; class < WEIR_UNFLUSHED_CLASSES; class ++) {
        weir_link_init(&engine->unflushed[class]);
    }
    weir_saved_init(engine);
    weir_producers_init(engine);
    weir_groups_init(engine);
    engine->env = config->env;
    weir_err err = engine->env == NULL ? weir_env_posix_create(&engine->env) : WEIR_OK;
    engine->env_ours = config->env == NULL && err == WEIR_OK;
    err = err == WEIR_OK ? weir_chunk_pool_create(&engine->pool) : err;
    err = err == WEIR_OK ? weir_trie_create(&engine->filters) : err;
    err = err == WEIR_OK ? live_init(engine) : err;
    if (err == WEIR_OK) {
        engine->data_dir = strdup(config->data_dir);
        err = engine->data_dir == NULL ? WEIR_NO_MEMORY : WEIR_OK;
    }
    if (err != WEIR_OK) {
        weir_engine_free(engine);
        return err;
    }
    *out = engine;
    return WEIR_OK;
}

/* ---- Recovery
 * --------------------------------------------------------------------------------------------------
 */

typedef struct recovery {
    weir_engine *engine;
    uint64_t snapshot_unit;
    uint64_t units_after; /* replayed beyond the snapshot */
} recovery;

static weir_err replay(void *arg, const weir_journal_unit *unit, weir_fault *fault)
{
    recovery *state = arg;
    state->units_after += unit->number > state->snapshot_unit ? 1 : 0;
    return weir_entry_replay(state->engine, unit, state->snapshot_unit, fault);
}

static weir_err load_one(void *arg, const weir_checkpoint *checkpoint, weir_fault *fault)
{
    weir_engine *engine = arg;
    engine->saving.begin_unit = checkpoint->unit;
    return weir_snapshot_decode(engine, checkpoint->payload, fault);
}

static weir_err load_checkpoint(weir_engine *engine, weir_checkpoint *checkpoint, weir_fault *fault)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/state", engine->data_dir);
    weir_err err = weir_checkpoint_load(engine->env, dir, load_one, engine, checkpoint, fault);
    if (err == WEIR_NOT_FOUND) {
        memset(checkpoint, 0, sizeof(*checkpoint));
        checkpoint->replay_from = 1;
        return WEIR_OK;
    }
    if (err == WEIR_OK) {
        engine->checkpoint_number = checkpoint->number;
        engine->recovery_epoch = checkpoint->recovery_epoch;
        engine->engine_base_ms = checkpoint->engine_ms;
    }
    return err;
}

/* Every record that the state counts is in a segment or in memory. */
static weir_err tails_check(const weir_engine *engine, weir_fault *fault)
{
    size_t position = 0;
    const weir_topic *topic = NULL;
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            const weir_partition *partition = topic->partitions[i];
            const weir_tail *tail = &partition->tail;
            int64_t end = tail->count > 0 ? weir_chunk_end(weir_tail_at(tail, tail->count - 1)) : 0;
            end = end > partition->flushed_offset ? end : partition->flushed_offset;
            if (end != partition->next_offset) {
                snprintf(fault->text, sizeof(fault->text),
                         "the journal lacks records of topic %.*s, partition %u, from offset "
                         "%" PRId64 " on: nothing was changed; restore the data directory from a "
                         "copy",
                         (int)topic->ref->name_bytes, (const char *)topic->ref->name, i, end);
                return fault->err = WEIR_DAMAGED;
            }
        }
    }
    return WEIR_OK;
}

/* What many segments are synced through, open from before the first write to any; and the bound on
 * their files. */
static weir_err open_files(weir_engine *engine)
{
    char path[PATH_BYTES];
    const weir_env_ops *ops = engine->env->ops;
    weir_err err = WEIR_OK;
    if (!engine->looks && ops->volume_sync != NULL &&
        ops->volume_sync(engine->env, NULL) == WEIR_OK) {
        snprintf(path, sizeof(path), "%s/log", engine->data_dir);
        err = ops->dir_make(engine->env, path);
        snprintf(path, sizeof(path), "%s/log/volume", engine->data_dir);
        err = err == WEIR_OK ? ops->file_open(engine->env, path, WEIR_OPEN_WRITE | WEIR_OPEN_CREATE,
                                              &engine->volume)
                             : err;
    } /* else they are synced one by one */
    return err == WEIR_OK ? weir_segment_files_create(engine->config.segment_files_max,
                                                      engine->volume != NULL, &engine->files)
                          : err;
}

static weir_journal_damage damage_of(const weir_engine *engine)
{
    if (engine->looks) {
        return WEIR_JOURNAL_LOOK;
    }
    switch (engine->config.damage) {
    case WEIR_DAMAGE_READ_ONLY:
        return WEIR_JOURNAL_STOP;
    case WEIR_DAMAGE_CUT:
        return WEIR_JOURNAL_CUT;
    case WEIR_DAMAGE_REFUSE:
        break;
    }
    return WEIR_JOURNAL_REFUSE;
}

/* What the checkpoint holds is whole only together with the units up to the newest of its objects;
 * and units that are written later must be above it, or a replay would pass them over. */
static uint64_t unit_least(const weir_engine *engine, const weir_checkpoint *checkpoint)
{
    uint64_t least = weir_groups_unit_least(engine);
    least = least > checkpoint->unit ? least : checkpoint->unit;
    size_t position = 0;
    const weir_topic *topic = NULL;
    for (topic = engine->graves; topic != NULL; topic = topic->grave_next) {
        least = topic->deleted_unit > least ? topic->deleted_unit : least;
    }
    while ((topic = weir_map_next(&engine->topics_by_name, &position)) != NULL) {
        least = topic->held_unit > least ? topic->held_unit : least;
        for (uint32_t i = 0; i < topic->partition_count; i++) {
            uint64_t held = topic->partitions[i]->held_unit;
            least = held > least ? held : least;
        }
    }
    return least;
}

static weir_err open_journal(weir_engine *engine, const weir_checkpoint *checkpoint,
                             recovery *state, weir_fault *fault)
{
    char dir[PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/journal", engine->data_dir);
    weir_journal_config config = {
        .env = engine->env,
        .dir = dir,
        .file_bytes = engine->config.journal_file_bytes,
        .reserve_bytes = engine->config.journal_reserve_bytes,
        .pending_bytes_max = WEIR_JOURNAL_PENDING_BYTES,
        .term = engine->looks ? 0 : weir_owner_term(engine->owner_file),
        .room_first = true, /* flush.c, [F1] */
        .taken_over = engine->old_alive,
        .damage = damage_of(engine),
        .unit_least = unit_least(engine, checkpoint),
        .sync = engine->config.sync,
        .wake = (void (*)(void *))weir_engine_wake,
        .wake_arg = engine,
        .beside = weir_straight_beside(engine),
    };
    engine->straight.snapshot_unit = checkpoint->unit;
    *state = (recovery){.engine = engine, .snapshot_unit = checkpoint->unit};
    return weir_journal_open(&config, checkpoint->replay_from, replay, state, &engine->journal,
                             fault);
}

/* The first unit of this owner: the new recovery epoch, unless the last stop was clean. */
static weir_err begin_epoch(weir_engine *engine, bool clean)
{
    if (clean && engine->recovery_epoch > 0) {
        return WEIR_OK;
    }
    weir_err err = weir_engine_unit(engine, 16);
    if (err != WEIR_OK) {
        return err;
    }
    engine->recovery_epoch++;
    weir_entry_start(engine);
    weir_journal_end(engine->journal);
    engine->unit_open = false;
    engine->unit_bytes = 0;
    engine->disk_wanted = true;
    return WEIR_OK;
}

static void start_clock(weir_engine *engine)
{
    int64_t wall = engine->env->ops->wall_ms(engine->env);
    engine->engine_base_ms = wall > engine->engine_base_ms ? wall : engine->engine_base_ms;
    engine->engine_base_ns = engine->env->ops->monotonic_ns(engine->env);
    engine->now_ns = engine->engine_base_ns;
    engine->engine_ms = engine->engine_base_ms;
    engine->checkpoint_ns = engine->now_ns;
}

typedef struct orphans {
    weir_engine *engine;
    uint32_t ids[64];
    uint32_t count;
} orphans;

static bool orphan_seen(void *arg, const char *name)
{
    orphans *found = arg;
    char *end = NULL;
    unsigned long id = strtoul(name, &end, 10);
    if (*end == '\0' && id > 0 && id < found->engine->topic_id_next &&
        weir_topics_find_id(found->engine, (uint32_t)id) == NULL &&
        weir_topics_grave(found->engine, (uint32_t)id) == NULL && found->count < 64) {
        found->ids[found->count++] = (uint32_t)id;
    }
    return true;
}

/* Files of topics whose deletion is in the recovered state: a kill came before they were removed.
 */
static void remove_orphans(weir_engine *engine)
{
    char dir[PATH_BYTES];
    orphans found = {.engine = engine};
    snprintf(dir, sizeof(dir), "%s/log", engine->data_dir);
    if (engine->old_alive ||
        engine->env->ops->dir_list(engine->env, dir, orphan_seen, &found) != WEIR_OK) {
        return;
    }
    for (uint32_t i = 0; i < found.count; i++) {
        weir_topics_files_remove(engine, found.ids[i]);
    }
}

/* Up to the last good unit, for reading alone. */
static void start_reading(weir_engine *engine)
{
    atomic_store(&engine->health, WEIR_HEALTH_STOPPED);
    if (!engine->looks) {
        weir_log(WEIR_LOG_ERROR, "engine",
                 "data=%s is damaged, and served for reading alone: file=%s position=%" PRIu64,
                 engine->data_dir, engine->fault.file,
                 engine->fault.position); /* who opened it has the rest */
    }
}

static weir_err recover(weir_engine *engine, weir_fault *fault)
{
    weir_checkpoint checkpoint = {0};
    recovery state = {0};
    weir_err err = open_files(engine);
    err = err == WEIR_OK ? load_checkpoint(engine, &checkpoint, fault) : err;
    err = err == WEIR_OK ? open_journal(engine, &checkpoint, &state, fault) : err;
    err = err == WEIR_OK ? tails_check(engine, fault) : err;
    if (err != WEIR_OK) {
        return err;
    }
    engine->fault = *fault;
    engine->straight.open_unit = weir_journal_last(engine->journal);
    weir_straight_found_fini(engine);
    int64_t journalled_ms = engine->engine_base_ms;
    start_clock(engine);
    weir_partition_show_all(engine);
    engine->checkpoint_units_at = checkpoint.unit;
    if (state.units_after > 0) { /* or many lives, each of them short, would never write one */
        engine->checkpoint_bytes_at =
            0 - weir_journal_bytes_above(engine->journal, checkpoint.unit);
    }
    if (weir_journal_state(engine->journal) == WEIR_READ_ONLY) {
        start_reading(engine);
        return WEIR_OK;
    }
    bool clean = checkpoint.clean && state.units_after == 0 && fault->err == WEIR_OK;
    err = begin_epoch(engine, clean);
    if (err == WEIR_OK && engine->disk_wanted) {
        err = weir_journal_flush(engine->journal, true);
        engine->disk_wanted = false;
    }
    if (err != WEIR_OK) {
        return fault_set(fault, err, weir_err_text(err));
    }
    remove_orphans(engine);
    weir_life_start(engine, journalled_ms);
    weir_groups_started(engine);
    weir_log(WEIR_LOG_INFO, "engine",
             "data=%s term=%" PRIu64 " epoch=%" PRIu64 " topics=%zu units_replayed=%" PRIu64,
             engine->data_dir, weir_engine_term(engine), engine->recovery_epoch,
             (size_t)engine->stats.topics, state.units_after);
    return WEIR_OK;
}

static weir_err engine_open(const weir_engine_config *config, bool looks, weir_engine **out,
                            weir_fault *fault)
{
    weir_fault ignored;
    weir_engine_config filled = *config;
    fault = fault != NULL ? fault : &ignored;
    memset(fault, 0, sizeof(*fault));
    config_default(&filled);
    weir_err err = config_check(&filled, fault);
    if (err != WEIR_OK) {
        return err;
    }
    weir_engine *engine = NULL;
    err = weir_engine_make(&filled, &engine);
    if (err != WEIR_OK) {
        return fault_set(fault, err, weir_err_text(err));
    }
    uint64_t seed = 0;
    engine->env->ops->random(engine->env, &seed, sizeof(seed));
    weir_hash_seed(seed);
    engine->looks = looks;
    err = looks ? WEIR_OK
                : weir_owner_open(engine->env, engine->data_dir, config->take_over,
                                  &engine->owner_file, &engine->old_alive, fault);
    if (err == WEIR_OK && (engine->old_alive || config->take_over)) {
        engine->segments_term = weir_owner_term(engine->owner_file);
    }
    err = err == WEIR_OK ? recover(engine, fault) : err;
    if (err != WEIR_OK) {
        fault->err = err;
        if (fault->text[0] == '\0') {
            snprintf(fault->text, sizeof(fault->text), "%s", weir_err_text(err));
        }
        weir_engine_abandon(engine);
        return err;
    }
    *out = engine;
    return WEIR_OK;
}

weir_err weir_engine_open(const weir_engine_config *config, weir_engine **out, weir_fault *fault)
{
    return engine_open(config, false, out, fault);
}

weir_err weir_engine_look(const weir_engine_config *config, weir_engine **out, weir_fault *fault)
{
    return engine_open(config, true, out, fault);
}

/* ---- The end
 * -------------------------------------------------------------------------------------------------------
 */

/* Lets every background job end and takes in what it did: a flush of many partitions is many jobs,
 * and what one has written must be known before anybody else writes. */
static void settle(weir_engine *engine)
{
    engine->env->ops->lanes_drain(engine->env);
    for (int i = 0; i < SETTLE_TURNS_MAX; i++) {
        weir_engine_turn(engine);
        engine->env->ops->lanes_drain(engine->env);
        if (!engine->flush.running && !engine->save.running &&
            !weir_journal_busy(engine->journal) && engine->read_count == 0) {
            break;
        }
    }
}

static void drop_jobs(weir_engine *engine)
{
    weir_job *job = atomic_exchange(&engine->jobs_done, NULL);
    while (job != NULL) {
        weir_job *next = job->next;
        if (job == &engine->life.job) {
            weir_life_finished(engine);
        } else if (job == &engine->sweep.job) {
            weir_sweep_finished(engine);
        } else if (job == &engine->compaction.job) {
            weir_compact_abandon(engine);
        } else if (job != &engine->flush.job && job != &engine->save.job) {
            weir_read_finished(engine, WEIR_OWNER_OF(job, weir_read, job));
        } else if (job == &engine->flush.job) {
            weir_flush_finished(engine);
        } else {
            engine->phase = WEIR_CHECKPOINT_IDLE;
            weir_save_finished(engine);
        }
        job = next;
    }
}

void weir_engine_abandon(weir_engine *engine)
{
    WEIR_ASSERT(engine->port_count == 0);
    engine->env->ops->lanes_drain(engine->env);
    if (engine->journal != NULL) {
        drop_jobs(engine);
        engine->env->ops->lanes_drain(engine->env);
        drop_jobs(engine);
        weir_journal_abandon(engine->journal);
    }
    weir_engine_free(engine);
}

weir_err weir_engine_close(weir_engine *engine)
{
    WEIR_ASSERT(engine->port_count == 0);
    settle(engine);
    if (engine->fault.err != WEIR_OK && weir_engine_health_of(engine) == WEIR_HEALTH_STOPPED) {
        weir_engine_abandon(engine); /* opened for reading alone: there is nothing to write */
        return WEIR_OK;
    }
    if (weir_engine_health_of(engine) != WEIR_HEALTH_OK) {
        weir_engine_abandon(engine);
        return WEIR_READ_ONLY;
    }
    weir_err err = weir_journal_flush(engine->journal, true);
    while (weir_journal_busy(engine->journal)) { /* a checkpoint counts on what is synced */
        engine->env->ops->lanes_drain(engine->env);
        err = weir_journal_poll(engine->journal);
    }
    if (err == WEIR_OK && weir_owner_compare(engine->owner_file) == WEIR_OK) {
        err = weir_flush_everything(engine);
    }
    drop_jobs(engine);
    weir_err closed = weir_journal_close(engine->journal);
    weir_engine_free(engine);
    return err != WEIR_OK ? err : closed;
}

weir_err weir_topic_name_check(weir_bytes name)
{
    if (name.len == 0 || name.len > WEIR_TOPIC_BYTES_MAX || name.ptr[0] == '$' ||
        name.ptr[0] == '/' || name.ptr[name.len - 1] == '/' || weir_name_check(name) != WEIR_OK) {
        return WEIR_NAME_INVALID;
    }
    for (size_t i = 1; i < name.len; i++) {
        if (name.ptr[i] == '/' && name.ptr[i - 1] == '/') {
            return WEIR_NAME_INVALID;
        }
    }
    return WEIR_OK;
}
