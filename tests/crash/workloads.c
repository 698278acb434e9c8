/* tests/crash/workloads.c - what runs while every storage call is recorded: one workload for each part
 * of the log that moves files or counts on their order.
 *
 * A workload is steps of clients on the real engine; between them the engine gets turns that chance
 * picks. Numbers are small so that files end often: journal files of 64 KiB, segments of 4 KiB,
 * checkpoints every few dozen records. The steps are those of clients.c. */
#include "tests/crash/clients.h"

static void roll(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)i % 2, 900);
        crash_moves(run);
        if (i % 9 == 8) {
            crash_pass(run, 200);
        }
    }
}

static void checkpoint_configure(weir_engine_config *config)
{
    config->checkpoint_bytes = 8192;
    config->checkpoint_every_ms = 100;
}

static void checkpoint(crash_run *run)
{
    for (uint32_t topic = 0; topic < 4; topic++) {
        crash_topic_make(
            run, topic,
            (weir_topic_options){.partitions = 2,
                                 .level = topic % 2 == 0 ? WEIR_LEVEL_DISK : WEIR_LEVEL_OS});
    }
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)below(run, 4), 250);
        world_op(&run->w, &(sim_op){SIM_OP_PUBLISH_LIVE, 0});
        crash_moves(run);
        if (i % 6 == 5) {
            crash_pass(run, 150);
        }
    }
}

static void recycle_configure(weir_engine_config *config)
{
    config->segment_bytes_max = 65536;
    config->checkpoint_bytes = 16384;
}

static void recycle(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        crash_publish(run, (uint32_t)i % 2, (uint8_t)below(run, MODEL_KEYS), 3000, 0);
        crash_moves(run);
        if (i % 12 == 11) {
            crash_pass(run, 500);
        }
    }
}

static void straight_configure(weir_engine_config *config)
{
    config->journal_inline_bytes_max = 2048;
    config->segment_bytes_max = 24576;
}

static void straight(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        uint32_t topic = (uint32_t)i % 2;
        if (below(run, 3) == 0) {
            crash_publish_any(run, topic, 120);
        } else {
            crash_batch(run, topic, 3, 800 + (int32_t)below(run, 700));
        }
        crash_moves(run);
        if (i % 10 == 9) {
            crash_settle(run);
            crash_pass(run, 300);
        }
    }
}

static void retention(crash_run *run)
{
    weir_topic_options small = {.retention_bytes = 8192, .segment_bytes = 4096};
    crash_topic_make(run, 0, small);
    crash_topic_make(
        run, 1,
        (weir_topic_options){.retention_ms = 2000, .segment_bytes = 4096, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 80 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)i % 2, 1200);
        crash_moves(run);
        if (i % 8 == 7) {
            crash_pass(run, 450);
        }
        if (i % 16 == 15) {
            crash_settle(run);
            crash_topic_trim(run, (uint32_t)below(run, 2), 0);
        }
    }
}

static void compaction(crash_run *run)
{
    weir_topic_options keep = {
        .cleanup = WEIR_CLEANUP_COMPACT, .segment_bytes = 4096, .delete_retention_ms = 500};
    crash_topic_make(run, 0, keep);
    keep.level = WEIR_LEVEL_OS;
    crash_topic_make(run, 1, keep);
    for (int i = 0; i < 110 && world_up(&run->w); i++) {
        int32_t bytes = below(run, 8) == 0 ? -1 : 100 + (int32_t)below(run, 900);
        crash_publish(run, (uint32_t)i % 2, (uint8_t)(1 + below(run, 5)), bytes, 0);
        crash_moves(run);
        if (i % 10 == 9) {
            crash_settle(run);
            crash_pass(run, 600);
        }
    }
}

static void topics(crash_run *run)
{
    for (int i = 0; i < 60 && world_up(&run->w); i++) {
        uint32_t topic = (uint32_t)below(run, 3);
        if (crash_topic_there(run, topic) && below(run, 5) == 0) {
            crash_topic_delete(run, topic);
        } else if (!crash_topic_there(run, topic)) {
            crash_topic_make(run, topic,
                             (weir_topic_options){.partitions = 1 + (uint32_t)below(run, 2),
                                                  .level = (weir_level)(2 + below(run, 2))});
        }
        crash_publish_any(run, topic, 1500);
        crash_publish_any(run, topic, 400);
        crash_moves(run);
        if (i % 7 == 6) {
            crash_pass(run, 300);
        }
    }
}

static void partitions(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 75 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)i % 2, 700);
        crash_moves(run);
        if (i % 25 == 12) {
            crash_topic_grow(run, 0, 2 + (uint32_t)i / 25);
            crash_topic_grow(run, 1, 2 + (uint32_t)i / 25);
        }
        if (i % 9 == 8) {
            crash_pass(run, 300);
        }
    }
}

/* Clients that lose answers: what was sent is sent again, with everything else that is remembered. */
static void producers(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_producer_open(run);
    for (int i = 0; i < 75 && world_up(&run->w); i++) {
        crash_batch_numbered(run, 0, 1 + (uint32_t)below(run, 3), 60 + (int32_t)below(run, 500));
        crash_moves(run);
        if (i % CRASH_RETRIES ==
            CRASH_RETRIES - 1) { /* no more are under way than are remembered */
            crash_settle(run);
            crash_retries_send(run);
        }
        if (i % 10 == 9) {
            crash_pass(run, 300);
        }
    }
}

static void names(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 2});
    for (int i = 0; i < 85 && world_up(&run->w); i++) {
        crash_publish_named(run, 0, 60 + (int32_t)below(run, 500));
        crash_moves(run);
        if (i % 7 == 6) {
            crash_settle(run);
            crash_retries_send(run);
        }
        if (i % 10 == 9) {
            crash_pass(run, 300);
        }
    }
}

static void levels(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 2});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_MEMORY});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)i % 2, 600);
        crash_moves(run);
        if (i % 8 == 7) {
            crash_topic_level(run, (uint32_t)below(run, 2), (weir_level)(1 + below(run, 3)));
        }
        if (i % 10 == 9) {
            crash_pass(run, 300);
        }
    }
}

/* Stops, kills and power cuts on the way: the calls of their recoveries are points as well. */
static void restarts(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 1});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 2, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 60 && world_up(&run->w); i++) {
        if (below(run, 4) == 0) {
            crash_batch(run, (uint32_t)i % 2, 3, 900);
        } else {
            crash_publish_any(run, (uint32_t)i % 2, 700);
        }
        crash_moves(run);
        if (i % 10 == 4) {
            world_crash(&run->w, i % 20 == 4 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        } else if (i % 20 == 19) {
            world_stop(&run->w);
        }
    }
}

static void mixed(crash_run *run)
{
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 2});
    crash_topic_make(run, 1, (weir_topic_options){.retention_bytes = 8192, .level = WEIR_LEVEL_OS});
    crash_topic_make(run, 2,
                     (weir_topic_options){.cleanup = WEIR_CLEANUP_COMPACT, .segment_bytes = 4096});
    crash_producer_open(run);
    crash_topic_make(run, 3, (weir_topic_options){.partitions = 1});
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        switch (below(run, 6)) {
        case 0:
            crash_batch(run, (uint32_t)below(run, 2), 3, 900);
            break;
        case 1:
            crash_publish(run, 2, (uint8_t)(1 + below(run, 4)), (int32_t)below(run, 700), 0);
            break;
        default:
            crash_publish_any(run, (uint32_t)below(run, 2), 500);
            break;
        }
        crash_moves(run);
        if (i % 15 == 14) {
            crash_settle(run);
            crash_pass(run, 400);
        }
    }
}

static void op(crash_run *run, sim_op_kind kind)
{
    if (world_up(&run->w)) {
        world_op(&run->w, &(sim_op){kind, 0});
    }
}

/* What members do; now and then something that is rare. */
static void members_do(crash_run *run, int i, const sim_op_kind rare[8])
{
    op(run, i % 9 < 2 ? SIM_OP_GROUP_JOIN : SIM_OP_GROUP_TAKE);
    op(run, SIM_OP_GROUP_SETTLE);
    crash_moves(run);
    op(run, SIM_OP_GROUP_SETTLE);
    if (i % 4 == 3) {
        op(run, rare[below(run, 8)]);
    }
    if (i % 10 == 9) {
        crash_pass(run, 400);
    }
}

/* Groups of a model over the first two topics, and what their members do. */
static void groups_of(crash_run *run, weir_model model)
{
    static const sim_op_kind RARE[8] = {
        SIM_OP_GROUP_MODE,  SIM_OP_GROUP_RESET,        SIM_OP_GROUP_ALTER,  SIM_OP_GROUP_DIE,
        SIM_OP_GROUP_LEAVE, SIM_OP_GROUP_SETTLE_WRONG, SIM_OP_GROUP_DELETE, SIM_OP_GROUP_CREATE};
    crash_topic_make(run, 0, (weir_topic_options){.partitions = 2});
    crash_topic_make(run, 1, (weir_topic_options){.partitions = 1, .level = WEIR_LEVEL_OS});
    for (int i = 0; i < 3 && world_up(&run->w); i++) {
        world_group_make(&run->w, model);
        crash_settle(run);
    }
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        crash_publish_any(run, (uint32_t)i % 2, 300);
        members_do(run, i, RARE);
    }
}

static void streams(crash_run *run)
{
    groups_of(run, WEIR_MODEL_STREAM);
}

static void queues(crash_run *run)
{
    groups_of(run, WEIR_MODEL_QUEUE);
}

/* Topics of kind queue: limits, members, dead letters, disk that is freed; one goes with all it owes, and
 * is made again. */
static void queue_topics(crash_run *run)
{
    static const sim_op_kind RARE[8] = {
        SIM_OP_GROUP_ALTER, SIM_OP_GROUP_LEAVE, SIM_OP_GROUP_ALTER, SIM_OP_GROUP_DIE,
        SIM_OP_GROUP_MODE,  SIM_OP_GROUP_ALTER, SIM_OP_GROUP_JOIN,  SIM_OP_GROUP_SETTLE_WRONG};
    weir_topic_options first = {.kind = WEIR_KIND_QUEUE, .partitions = 2, .segment_bytes = 4096};
    weir_topic_options second = {.kind = WEIR_KIND_QUEUE, .level = WEIR_LEVEL_OS};
    crash_topic_make(run, 0, first);
    crash_topic_make(run, 1, second);
    crash_settle(run);
    for (int i = 0; i < 70 && world_up(&run->w); i++) {
        if (i % 5 == 2) {
            crash_batch(run, (uint32_t)i % 2, 3, 900);
        } else {
            crash_publish_any(run, (uint32_t)i % 2, 300);
        }
        members_do(run, i, RARE);
        if (i == 30) {
            crash_topic_delete(run, 1);
            crash_topic_make(run, 1, second);
            crash_settle(run);
        }
    }
}

/* A queue whose first record waits, and nearly all behind it is settled: its segments are rewritten. */
static void queue_sparse(crash_run *run)
{
    weir_stats stats = {0};
    crash_topic_make(run, 0, (weir_topic_options){.kind = WEIR_KIND_QUEUE, .segment_bytes = 4096});
    crash_settle(run);
    run->waits =
        true; /* the model is not told: the clock of a state may be behind that of the run */
    crash_publish(run, 0, 0, 20, 0);
    run->waits = false;
    crash_settle(run);
    for (int i = 0; i < 90 && world_up(&run->w); i++) {
        if (i < 40) {
            crash_batch(run, 0, 4, 200);
        }
        op(run, i % 12 == 0 ? SIM_OP_GROUP_JOIN : SIM_OP_GROUP_TAKE);
        op(run, SIM_OP_GROUP_SETTLE);
        crash_moves(run);
        op(run, SIM_OP_GROUP_SETTLE);
        if (i % 5 == 4) {
            crash_pass(run, 150);
        }
    }
    if (world_up(&run->w)) {
        weir_engine_stats(run->w.engine, &stats);
        if (stats.segments_rewritten == 0) {
            model_fail(&run->w.model, "no segment was rewritten");
        }
    }
}

const crash_workload CRASH_WORKLOADS[] = {
    {"roll", NULL, roll},
    {"checkpoint", checkpoint_configure, checkpoint},
    {"recycle", recycle_configure, recycle},
    {"straight", straight_configure, straight},
    {"retention", NULL, retention},
    {"compaction", NULL, compaction},
    {"topics", NULL, topics},
    {"partitions", NULL, partitions},
    {"producers", NULL, producers},
    {"names", NULL, names},
    {"levels", NULL, levels},
    {"restarts", straight_configure, restarts},
    {"mixed", straight_configure, mixed},
    {"streams", checkpoint_configure, streams},
    {"queues", checkpoint_configure, queues},
    {"queue-topics", checkpoint_configure, queue_topics},
    {"queue-sparse", checkpoint_configure, queue_sparse},
};

uint32_t crash_workload_count(void)
{
    return sizeof(CRASH_WORKLOADS) / sizeof(CRASH_WORKLOADS[0]);
}
