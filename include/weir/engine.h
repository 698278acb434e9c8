/* include/weir/engine.h - the log-and-queue engine: open a data directory, look at it, close it.
 *
 * The engine has no thread of its own for its state: whichever thread steps a port while nobody
 * else does owns it for that moment (include/weir/port.h). It has helper threads for slow file
 * work. */
#ifndef WEIR_ENGINE_H
#define WEIR_ENGINE_H

#include "weir/base.h"
#include "weir/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_engine weir_engine;
struct weir_env; /* core's table for clock, chance and files; tests bring their own */

typedef enum weir_sync_mode {
    WEIR_SYNC_AUTO =
        0, /* inline while the disk syncs fast, on a thread of its own when it does not */
    WEIR_SYNC_INLINE,
    WEIR_SYNC_THREAD,
} weir_sync_mode;

/* What opening does when the journal is damaged behind the last checkpoint: records that were safely
 * stored cannot be read any more. */
typedef enum weir_damage {
    WEIR_DAMAGE_REFUSE = 0, /* DAMAGED; journal and checkpoints stay as they are */
    /* Opens at the last good unit for reading alone: every write is READ_ONLY, journal and
     * checkpoints stay as they are, and weir_engine_fault tells what is damaged. */
    WEIR_DAMAGE_READ_ONLY,
    WEIR_DAMAGE_CUT, /* gives up what stands behind the last good unit, for good */
} weir_damage;

/* Zeroed fields take the default named. */
typedef struct weir_engine_config {
    const char *data_dir;        /* created when missing, mode 0700; borrowed */
    struct weir_env *env;        /* NULL: the real one */
    bool take_over;              /* replace an owner that hangs */
    weir_damage damage;          /* REFUSE */
    weir_sync_mode sync;         /* AUTO */
    weir_level live_durability;  /* DISK: retained values of live names */
    uint32_t os_sync_every_ms;   /* 50: how long `os` records may stay unsynced */
    uint64_t journal_file_bytes; /* 64 MiB */
    /* A quarter of that: kept in a file of its own for settling, committing, trimming and deleting on
     * a full disk. At least 64 KiB; at most journal_file_bytes. */
    uint64_t journal_reserve_bytes;
    /* 256 KiB: batches of this size or more are written once, straight to their segment, and the
     * journal refers to them. */
    uint64_t journal_inline_bytes_max;
    uint64_t segment_bytes_max;    /* 1 GiB */
    uint32_t segment_files_max;    /* 512 descriptors of segments, when more are not in use */
    uint64_t checkpoint_bytes;     /* 256 MiB of journal between checkpoints */
    uint32_t checkpoint_every_ms;  /* 300,000; a checkpoint when anything changed */
    uint32_t cleanup_every_ms;     /* 10,000; between two looks for what retention removes */
    uint64_t compaction_bytes_max; /* 64 MiB: memory for the keys of one compaction */
    uint64_t producer_expiry_ms;   /* 604,800,000: producers not used for so long are forgotten */
    weir_limits limits;            /* a field that is 0 takes its default */
} weir_engine_config;

/* Opens or creates the data directory, recovers it, and owns it until close. Blocks; fills *fault
 * on failure. LOCKED: another process owns it (its pid is in the fault's text). DAMAGED, VERSION,
 * DISK_FULL, IO. The thread that opens may be any; close it from any, once every port is closed. */
WEIR_API weir_err weir_engine_open(const weir_engine_config *config, weir_engine **engine,
                                   weir_fault *fault);
/* Syncs, checkpoints and gives the directory back. The engine is gone whatever is returned.
 * An error tells that the last checkpoint could not be written: the journal still has everything.
 */
WEIR_API weir_err weir_engine_close(weir_engine *engine);
/* The host is stopping, or its engine has (WEIR_HEALTH_STOPPED), and waits no longer: what the disk
 * holds up, now or later, is answered at once with CLOSED, which says that nobody knows whether it
 * will be kept. What the journal has already written is still acknowledged. Any thread, once or
 * often. */
WEIR_API void weir_engine_stop_waiting(weir_engine *engine);
/* The process is about to die: gives up everything at once, as kill -9 would. For tests. */
WEIR_API void weir_engine_abandon(weir_engine *engine);

typedef enum weir_engine_health {
    WEIR_HEALTH_OK = 0,
    WEIR_HEALTH_DISK_FULL, /* writing has stopped; it resumes by itself */
    /* A write or sync failed: restart to recover. What was under way has no answer until
     * weir_engine_stop_waiting. Or the journal is damaged: weir_engine_fault. */
    WEIR_HEALTH_STOPPED,
    WEIR_HEALTH_FENCED, /* taken over by a newer owner: this process must exit */
} weir_engine_health;

/* Any thread. */
WEIR_API weir_engine_health weir_engine_health_of(const weir_engine *engine);
/* The damage that open met and went on with (WEIR_DAMAGE_READ_ONLY, WEIR_DAMAGE_CUT); NULL: none.
 * The engine's, and the same until close. Any thread. */
WEIR_API const weir_fault *weir_engine_fault(const weir_engine *engine);
WEIR_API const weir_limits *weir_engine_limits(const weir_engine *engine);
WEIR_API uint64_t weir_engine_term(const weir_engine *engine);

/* Counters, by name. X(field, metric name, help). They only rise, but for those named "gauge". */
#define WEIR_STATS_LIST(X)                                                                         \
    X(records_received, "weir_records_received_total", "Records decided, stored or live.")         \
    X(records_stored, "weir_records_stored_total", "Records appended to declared topics.")         \
    X(records_live, "weir_records_live_total", "Records published on live names.")                 \
    X(records_duplicate, "weir_records_duplicate_total",                                           \
      "Records of retries that were stored already, and not stored again.")                        \
    X(records_delivered, "weir_records_delivered_total", "Records handed to subscribers.")         \
    X(records_fetched, "weir_records_fetched_total", "Records handed out by fetch.")               \
    X(records_refused, "weir_records_refused_total", "Publishes refused, whatever the reason.")    \
    X(bytes_received, "weir_bytes_received_total", "Bytes of keys, values and headers decided.")   \
    X(dropped_owed, "weir_dropped_owed_total", "Records dropped for slow subscribers.")            \
    X(dropped_live, "weir_dropped_live_total", "Live records that left memory before delivery.")   \
    X(units, "weir_journal_units_total", "Units written to the journal.")                          \
    X(journal_bytes, "weir_journal_bytes_total", "Bytes written to the journal.")                  \
    X(journal_writes, "weir_journal_writes_total", "Writes to the journal.")                       \
    X(journal_syncs, "weir_journal_syncs_total", "Syncs of the journal.")                          \
    X(journal_reserve, "weir_journal_reserve_bytes",                                               \
      "gauge: what settling, trimming and deleting have left of the journal on a full disk.")      \
    X(segment_bytes, "weir_segment_bytes_total", "Bytes written to segments.")                     \
    X(straight_bytes, "weir_straight_bytes_total", "Bytes of batches the journal only refers to.") \
    X(checkpoints, "weir_checkpoints_total", "Checkpoints completed.")                             \
    X(records_trimmed, "weir_records_trimmed_total", "Offsets given up by retention or trim.")     \
    X(compactions, "weir_compactions_total", "Partitions compacted.")                              \
    X(records_compacted, "weir_records_compacted_total", "Records that compaction removed.")       \
    X(segments_rewritten, "weir_segments_rewritten_total",                                         \
      "Segments of queue topics rewritten without what was settled.")                              \
    X(segments_freed_bytes, "weir_segments_rewritten_freed_bytes_total",                           \
      "Bytes of disk that rewriting segments of queue topics frees.")                              \
    X(cold_reads, "weir_cold_reads_total", "Reads that went to disk.")                             \
    X(steps, "weir_engine_steps_total", "Turns of the engine.")                                    \
    X(operations, "weir_engine_operations_total", "Operations taken from ports.")                  \
    X(topics, "weir_topics", "gauge: declared topics.")                                            \
    X(partitions, "weir_partitions", "gauge: partitions of declared topics.")                      \
    X(subscribers, "weir_subscribers", "gauge: open subscribers.")                                 \
    X(filters, "weir_subscriptions", "gauge: filters subscribed to.")                              \
    X(retained, "weir_retained", "gauge: retained values.")                                        \
    X(retained_bytes, "weir_retained_bytes", "gauge: bytes of retained values.")                   \
    X(producers, "weir_producers", "gauge: idempotent producers remembered.")                      \
    X(publishing_names, "weir_publishing_names", "gauge: publishing ids remembered.")              \
    X(tail_bytes, "weir_tail_bytes", "gauge: memory of the newest records.")                       \
    X(refused_record_bytes, "weir_refused_record_bytes_total", "Limit record_bytes_max.")          \
    X(refused_name, "weir_refused_name_total", "Limit name_bytes_max.")                            \
    X(refused_levels, "weir_refused_levels_total", "Limit levels_max.")                            \
    X(refused_headers, "weir_refused_headers_total", "Limit headers_max.")                         \
    X(refused_subscriptions, "weir_refused_subscriptions_total", "Limit subscriptions_max.")       \
    X(refused_topics, "weir_refused_topics_total", "Limit topics_max.")                            \
    X(refused_partitions, "weir_refused_partitions_total", "Limit partitions_max.")                \
    X(refused_retained, "weir_refused_retained_total", "Limit retained_max.")                      \
    X(refused_retained_bytes, "weir_refused_retained_bytes_total", "Limit retained_bytes_max.")    \
    X(refused_tail, "weir_refused_tail_total", "Limit tail_bytes_max.")                            \
    X(refused_batch_plain, "weir_refused_batch_plain_total", "Limit batch_plain_bytes_max.")       \
    X(refused_producers, "weir_refused_producers_total",                                           \
      "Limits producers_max, producer_partitions_max, publishing_names_max.")                      \
    X(groups, "weir_groups", "gauge: consumer groups.")                                            \
    X(groups_left_out, "weir_consumer_groups_left_out",                                            \
      "gauge: groups without series of their own: limit metrics_groups_max.")                      \
    X(members, "weir_group_members", "gauge: members of consumer groups.")                         \
    X(leased, "weir_group_leased_total", "Records handed out under leases.")                       \
    X(failed, "weir_group_failed_total", "Failures of records handed out under leases.")           \
    X(late_refused, "weir_group_late_refused_total", "Answers refused: their lease was over.")     \
    X(rebalances, "weir_group_rebalances_total", "Generations of stream groups.")                  \
    X(fate_accepted, "weir_fate_accepted_total", "Records whose fate in a group is accepted.")     \
    X(fate_rejected, "weir_fate_rejected_total", "Records whose fate in a group is rejected.")     \
    X(fate_expired, "weir_fate_expired_total", "Records whose fate in a group is expired.")        \
    X(fate_dropped, "weir_fate_dropped_total", "Records whose fate in a group is dropped.")        \
    X(fate_dead_lettered, "weir_fate_dead_lettered_total",                                         \
      "Records moved to a dead-letter topic.")                                                     \
    X(fate_superseded, "weir_fate_superseded_total", "Records that compaction took from a group.") \
    X(fate_skipped, "weir_fate_skipped_total", "Records that a reset of a group passed over.")     \
    X(fate_topic_deleted, "weir_fate_topic_deleted_total", "Records deleted with their topic.")    \
    X(fate_lines, "weir_fate_lines_total", "Lines of records' stories written: weir why.")         \
    X(fate_lines_lost, "weir_fate_lines_lost_total", "Lines that there was no room for.")          \
    X(dead_letter_loops, "weir_group_dead_letter_loops_total",                                     \
      "Limit dead_letter_hops: records that were dropped on their way round.")                     \
    X(overflowed, "weir_group_overflow_total",                                                     \
      "Records that overflow took from queues: dropped, or dead letters.")                         \
    X(refused_queue, "weir_refused_queue_total", "Limits max_records, max_bytes of a queue.")      \
    X(refused_groups, "weir_refused_groups_total", "Limits groups_max, group_parts_max.")          \
    X(refused_members, "weir_refused_members_total", "Limit group_members_max.")                   \
    X(paused_port, "weir_paused_port_total", "Times a port was full: limit port_bytes_max.")

typedef struct weir_stats {
#define WEIR_STATS_FIELD(field, metric, help) uint64_t field;
    WEIR_STATS_LIST(WEIR_STATS_FIELD)
#undef WEIR_STATS_FIELD
} weir_stats;

/* A snapshot. Any thread; each counter is whole, they need not be of one moment. */
WEIR_API void weir_engine_stats(const weir_engine *engine, weir_stats *stats);

/* Which prefixes of a full name are topics decides where it goes; these checks need no engine. */
enum { WEIR_TOPIC_BYTES_MAX = 249 };
/* 1 to 249 bytes of UTF-8, no + # NUL control characters, no empty level, no leading $. */
WEIR_API weir_err weir_topic_name_check(weir_bytes name);

#ifdef __cplusplus
}
#endif

#endif
