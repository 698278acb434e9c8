/* core/engine/state.h - the engine's state, shared by the files of this room and by nobody else.
 *
 * One thread at a time owns all of it (weir_engine.owner); what other threads touch is said so.
 *
 *   port ring --op--> decide --> entry in the open unit --> apply --> owed runs, waiting answers
 *                                       |                                   |
 *                                  journal flush ------- marks move ----> visible, delivered,
 * answered
 *
 * Invariants, cited by number where they are kept:
 * [E1] start <= flushed <= next and visible <= next in every partition.
 * [E2] A chunk leaves the tail only below `flushed`, or from the live log.
 * [E3] Nothing is delivered or fetched at or above `visible`; visible moves only with the marks.
 * [E4] A completion leaves only when its unit has reached its level.
 * [E5] Segments hold only units the journal has synced, but for what goes straight to them
 *      (straight.c); what state says of them is what counts.
 * [E6] apply reads no clock, configuration, chance or file, and cannot fail. */
#ifndef WEIR_CORE_ENGINE_STATE_H
#define WEIR_CORE_ENGINE_STATE_H

#include "weir/engine.h"
#include "weir/port.h"

#include "core/base/assert.h"
#include "core/base/buffer.h"
#include "core/base/map.h"
#include "core/base/trie.h"
#include "core/batch/batch.h"
#include "core/engine/background.h"
#include "core/engine/fate_lines.h"
#include "core/engine/link.h"
#include "core/engine/straight.h"
#include "core/env/env.h"
#include "core/journal/journal.h"
#include "core/journal/owner.h"
#include "core/log/chunk.h"
#include "core/log/files.h"
#include "core/log/segment.h"
#include "core/log/tail.h"

#include <stdatomic.h>

enum {
    WEIR_PORTS_MAX = WEIR_FIXED_io_loops,
    WEIR_COMPLETIONS_MAX = 8192,      /* slots of a port's completion ring; a power of two */
    WEIR_OPERATIONS_MAX = 6144,       /* of which operations may have reserved this many */
    WEIR_TURN_OPERATIONS_MAX = 16384, /* operations of one turn before others get theirs */
    WEIR_UNIT_BYTES_MAX = 4 << 20,    /* a unit is ended when it is this large */
    WEIR_UNIT_ROOM_BYTES =
        40 << 20, /* what a turn must have room for: two of the largest records */
    WEIR_JOURNAL_PENDING_BYTES = WEIR_FIXED_journal_pending_bytes,
    WEIR_BATCH_BYTES_MOST = 1 << 20, /* a turn that brings more makes several */
    WEIR_ROUTES_MAX = 65536,         /* names remembered with where they go */
    WEIR_ROUTE_BYTES_MAX = 64 << 20, /* what their match lists may take */
    WEIR_COLD_CHUNKS_MAX = 32,
    WEIR_COLD_BYTES = WEIR_FIXED_cold_read_bytes,
    WEIR_RETAINED_SCAN_MAX = 4096, /* retained values looked at in one turn for one subscriber */
    WEIR_LIVE_TOPIC_ID = 0,
    WEIR_SYNCED_ALONE_MAX = 16,  /* segments; of more the whole volume is synced */
    WEIR_UNFLUSHED_CLASSES = 16, /* below 2 KiB, 4 KiB, ... of batches outside segments */
};

/* Ids from here on are of the engine's own topics: no wildcard reaches them, and no client publishes to
 * them, joins them, trims or deletes them. */
#define WEIR_OWN_TOPIC_IDS  UINT32_C(0xffffff00)
#define WEIR_FATES_TOPIC_ID UINT32_C(0xffffff00)
#define WEIR_FATES_NAME     "__fates"

typedef struct weir_topic weir_topic;
typedef struct weir_partition weir_partition;
typedef struct weir_route weir_route;
typedef struct weir_filter weir_filter;
typedef struct weir_retained weir_retained;
typedef struct weir_read weir_read;
typedef struct weir_find weir_find;
typedef struct weir_found weir_found;
typedef struct weir_cursor weir_cursor;
typedef struct weir_group weir_group;
typedef struct weir_group_part weir_group_part;

/* ---- Topics and partitions (topics.c, produce.c) -------------------------------------------- */

/* What is remembered of each record of a batch that is being built. */
typedef struct weir_note {
    const weir_route *route;
    const weir_subscriber *self;
} weir_note;

/* What one `trim` took, and when (trims.c). */
typedef struct weir_trimmed {
    int64_t from;
    int64_t to; /* behind the last one */
    int64_t time_ms;
} weir_trimmed;
enum { WEIR_TRIMS_MAX = 16 }; /* the newest, of a partition */

/* What every publish looks at comes first: with thousands of them the processor has none, and each line of
 * its cache is waited for. */
struct weir_partition {
    weir_topic *topic;
    uint32_t index;
    bool segment_continues; /* the last one may be appended to (not after a take-over) */
    bool segment_closed;    /* it is old: the next record begins another one */
    bool open_retained;     /* a record of the open batch sets a retained value */
    bool flush_due;         /* below flush_due_to its records are old enough for a segment */
    int64_t flushed_offset; /* everything below is in segments */
    int64_t next_offset;
    int64_t visible_offset; /* the high watermark */
    weir_tail tail;
    weir_chunk *open; /* the batch this turn builds, or NULL */
    weir_batch_builder builder;
    weir_note *notes;
    uint32_t note_capacity;
    uint32_t batch_bytes_guess;   /* of the next batch; 0: what its first record needs */
    uint32_t batch_records_guess; /* 0: nothing is known yet */
    uint32_t straight_items;      /* sets that have something of it, waiting or going */
    uint64_t group;               /* engine.straight.group when it last got a batch: */
    uint64_t group_bytes;         /* what it got in that one, */
    uint64_t group_before;        /* and in the one before it; 0: nothing */
    uint64_t unflushed_bytes;     /* of its batches that no segment has */
    weir_link unflushed_link;     /* engine.unflushed: flushed < next */
    weir_link open_link;          /* engine.open_partitions */
    weir_link hidden_link;        /* engine.hidden: visible < next */
    weir_link evictable_link;     /* engine.evictable: its tail has what segments have */
    weir_link waiting;            /* fetches that wait for a record */
    weir_link cursors;            /* cursors that read it */
    weir_link group_parts;        /* of the groups that read it (group.h) */
    weir_saved saved;

    uint64_t held_unit; /* a checkpoint gave its state after this unit: replay skips up to there */
    int64_t start_offset;
    weir_segment **segments; /* oldest first; the last one may be written to */
    uint32_t segment_count;
    uint32_t segment_capacity;
    bool straight_wanted;        /* large batches come: its segments stand in this owner's folder */
    bool straight_behind;        /* a flush went before the batches that come now */
    int64_t straight_end;        /* what is on its way straight to the segment ends here, */
    uint64_t straight_bytes;     /* and the segment's bytes will then be so many */
    int64_t clean_offset;        /* below it each key has its newest record only (those below it) */
    int64_t tombstones_due_ms;   /* when the first of those there may go; INT64_MAX: none */
    uint64_t compact_after_ns;   /* not before: it failed */
    weir_link trimmed_link;      /* engine.life.trimmed: there may be something below its start */
    weir_flush_item *flush_item; /* of the flush that has it in hand; NULL: none */
    int64_t flush_due_to;        /* see flush_due: however little they are (unflushed.c) */
    int64_t carried_end;     /* checkpoints carry what is unflushed below it: the journal may not */
    weir_link unsynced_link; /* engine.unsynced: its last segment was written to */
    uint64_t held_bytes;     /* beyond retention, when it was last looked at, */
    uint32_t held_by;        /* for this group */
    uint32_t trim_count;     /* of the trims: */
    weir_trimmed *trims;     /* oldest first; NULL: no command took anything */
};

/* Partitions were added: each that there was before, up to which offset. */
typedef struct weir_epoch {
    uint32_t partitions;
    int64_t bounds[];
} weir_epoch;

struct weir_topic {
    uint32_t id;
    weir_saved saved;
    uint64_t held_unit; /* as a partition's */
    weir_topic_options options;
    weir_topic_ref *ref;
    uint32_t round_robin;
    uint32_t partition_count;
    weir_epoch **epochs; /* oldest first */
    uint32_t epoch_count;
    weir_partition **partitions; /* each on its own: adding some moves none */
    weir_level level_before;     /* of records up to level_unit, when the level was lowered since */
    uint64_t level_unit;
    uint64_t deleted_unit; /* 0: alive */
    weir_topic *grave_next;
};

/* Where a full name goes: its topic, its key, and who gets it. Made once per name and kept while
 * neither topics nor subscriptions change. */
typedef struct weir_match {
    weir_subscriber *subscriber;
    uint32_t slot;
    struct weir_slots *slots; /* when more than one filter of the subscriber matches */
    bool no_local;
} weir_match;

struct weir_route {
    uint64_t topics_generation;
    uint64_t filters_generation;
    weir_err err;      /* the name is refused */
    bool levels_over;  /* because of limits.levels_max */
    weir_topic *topic; /* NULL: live */
    bool key_null;
    uint32_t key_at;    /* the key is name[key_at..] */
    uint32_t partition; /* UINT32_MAX: chosen per publish (null key) */
    weir_match *matches;
    uint32_t match_count;
    uint32_t match_capacity;
    uint32_t name_bytes;
    uint8_t name[];
};

/* ---- Producers (producers.c) ------------------------------------------------------------------ */

enum { WEIR_SEQUENCES_KEPT = 5, WEIR_PUBLISHING_HEAD_BYTES = 8 };

typedef struct weir_sequence {
    int32_t first;
    int32_t count;
    int64_t offset; /* of the record that has `first` */
} weir_sequence;

/* What one producer stored last in one partition. */
typedef struct weir_producer_place {
    uint32_t topic_id;
    uint32_t partition;
    int16_t epoch;
    uint16_t kept;
    weir_sequence last[WEIR_SEQUENCES_KEPT]; /* the newest first */
} weir_producer_place;

typedef struct weir_producer {
    int64_t id;
    weir_saved saved;
    int64_t used_ms;      /* engine time of its newest batch */
    weir_link used_link;  /* producers.used, by used_ms */
    uint64_t unit;        /* of its last change; replay skips what is at or below it */
    uint32_t place_count; /* sorted by topic and partition */
    uint32_t place_capacity;
    weir_producer_place *places;
} weir_producer;

/* The last publishing id of one named producer in one partition. */
typedef struct weir_publishing {
    weir_link used_link; /* producers.publishing_used, by used_ms */
    weir_saved saved;
    weir_link unwritten_link; /* producers.unwritten: the open unit has no entry of it yet */
    int64_t used_ms;
    uint64_t unit;
    uint64_t last;
    uint32_t key_bytes;
    uint8_t key[]; /* topic id u32, partition u32, name */
} weir_publishing;

typedef struct weir_producers {
    weir_map by_id; /* key: the id in the producer itself */
    weir_link used;
    int64_t id_next;
    uint64_t place_count; /* of all producers */
    weir_map publishing;
    weir_link publishing_used;
    weir_link unwritten;
} weir_producers;

/* ---- Retained values (retained.c) ------------------------------------------------------------ */

struct weir_retained {
    weir_saved saved;
    weir_link link;    /* engine.retained_list, by sequence */
    uint64_t sequence; /* of its last change */
    weir_chunk *chunk; /* one record */
    uint32_t name_bytes;
    uint8_t name[];
};

/* A filter that still has retained values to hand out. */
typedef struct weir_scan {
    weir_link link; /* engine.scans */
    weir_link subscriber_link;
    weir_subscriber *subscriber;
    weir_filter *filter;
    weir_retained *at; /* NULL: done */
    uint64_t end_sequence;
} weir_scan;

/* ---- Subscribers (subscribe.c, deliver.c, cursor.c) -------------------------------------------
 */

struct weir_slots {
    atomic_uint refs;
    uint32_t count;
    uint32_t slot[];
};

struct weir_filter {
    weir_subscriber *subscriber;
    uint32_t slot;
    bool no_local;
    bool from_log; /* served by cursors, not by owed runs */
    weir_scan *scan;
    weir_link cursors;     /* of this filter */
    uint32_t cursors_open; /* until_end: cursors that have not reached their end */
    bool until_end;
    uint32_t text_bytes;
    uint8_t text[];
};

typedef struct weir_owed {
    weir_partition *partition;
    int64_t first;
    int64_t last;
    uint32_t slot;
    struct weir_slots *slots;
} weir_owed;

struct weir_cursor {
    weir_link partition_link;
    weir_link filter_link;
    weir_link subscriber_link;
    weir_filter *filter;
    weir_partition *partition;
    int64_t next;
    int64_t end; /* until_end: stop here; INT64_MAX otherwise */
    bool whole;  /* every record of the topic matches */
    bool ended;
    weir_found *place; /* where it begins is being looked for: it waits; NULL: it is known */
};

struct weir_subscriber {
    weir_port *port;
    void *user;
    weir_link port_link;
    weir_link ready_link; /* port.ready: there may be something to deliver */
    weir_filter **filters;
    uint32_t filter_count;
    uint32_t filter_capacity;
    uint64_t credit_records;
    int64_t credit_bytes; /* below 0 after a run that was larger; INT64_MAX: without end */
    weir_owed *owed;      /* a ring */
    uint32_t owed_capacity;
    uint32_t owed_head;
    uint32_t owed_count;
    uint64_t live_owed;   /* live records in owed */
    uint64_t match_stamp; /* engine.match_stamp when it is in the list being made, ... */
    uint32_t match_index; /* ... and where */
    uint64_t dropped;     /* told with the next notice */
    weir_link scans;
    weir_link cursors;
    weir_read *read;                        /* a cold read is under way for it */
    weir_chunk *cold[WEIR_COLD_CHUNKS_MAX]; /* what a cold read brought */
    uint32_t cold_count;
    bool read_was_owed; /* the last cold read was for the owed runs */
    bool read_lacks;    /* it found no memory or descriptor: another one when reads are due again */
};

/* ---- Fetches and cold reads (fetch.c) ---------------------------------------------------------
 */

typedef struct weir_waiting_fetch {
    weir_link partition_link; /* partition.waiting */
    weir_link engine_link;    /* engine.fetches */
    weir_partition *partition;
    weir_port *port;
    void *user;
    uint64_t token;
    int64_t offset;
    uint32_t bytes_max;
    uint64_t deadline_ns;
} weir_waiting_fetch;

/* A read from disk, for a subscriber or a fetch. The job owns the counts it holds. */
struct weir_read {
    weir_job job;
    weir_engine *engine;
    weir_link link;              /* engine.reads */
    weir_subscriber *subscriber; /* NULL: a fetch, a take, or given up */
    weir_member *member;         /* whose take reads; NULL: none, or given up */
    weir_port *port;             /* a fetch's; NULL: given up */
    weir_find *find; /* find.c: it looks for a time, and brings no records; NULL: it reads */
    struct weir_why_work *why; /* why.c: it looks for a record's story; NULL */
    void *user;
    uint64_t token;
    uint32_t topic_id;
    uint32_t partition;
    int64_t offset;
    uint64_t bytes_max;
    weir_topic_ref *topic;
    weir_segment **segments;
    uint32_t segment_count;
    weir_chunk *chunks[WEIR_COLD_CHUNKS_MAX];
    uint32_t chunk_count;
    weir_err err;
    int64_t bad_from, bad_to;
    bool ahead; /* nobody has asked for it yet: ahead.c */
};

/* One partition's offset by time. */
struct weir_found {
    uint32_t topic_id;
    uint32_t partition;
    bool looked_for; /* by the job; otherwise the offset was known at once */
    int64_t offset;
    weir_cursor *cursor; /* that begins there; NULL: none, or it has stopped */
};

/* In the turn after the job, before anything else of it: no unit may be begun. port NULL: it has
 * closed. False: the find is kept, and its keeper's to free. */
typedef bool weir_found_fn(weir_engine *engine, weir_find *find, weir_port *port);

/* Offsets by time that one job looks for (find.c). */
struct weir_find {
    weir_read *read;
    weir_found_fn *found;
    void *asked; /* by whom it was made: freed with it */
    int64_t time_ms;
    uint32_t place_count;
    weir_found places[];
};

/* Where a reader from disk goes on, and what was read for it already. */
enum { WEIR_AHEAD_MAX = 8 };
typedef struct weir_ahead {
    bool used;
    uint32_t topic_id;
    uint32_t partition;
    int64_t next;
    uint64_t used_ns;
    weir_read *read; /* from `next` on, running or ended; NULL: none */
} weir_ahead;

/* ---- Ports (port.c) ---------------------------------------------------------------------------
 */

typedef struct weir_answer {
    weir_completion completion;
    uint64_t unit;
} weir_answer;

/* Completions that wait for their unit; one queue per level. */
typedef struct weir_answers {
    weir_answer *items; /* COMPLETIONS_MAX of them */
    uint32_t head, count;
    uint64_t left; /* that have gone, ever */
} weir_answers;

/* dark --a waker--> lighting --the same, when the event is lit--> lit --a step--> dark */
typedef enum weir_signal {
    WEIR_SIGNAL_DARK = 0,
    WEIR_SIGNAL_LIGHTING,
    WEIR_SIGNAL_LIT,
} weir_signal;

struct weir_port {
    weir_engine *engine;
    weir_event *event;
    atomic_int signal;       /* weir_signal: of the event */
    atomic_bool step_wanted; /* the engine asks this port's thread to step */
    /* The submission ring: written by the port's thread, read by the owner. */
    uint8_t *ring;
    uint64_t ring_bytes;
    uint64_t ring_base;         /* position of ring[0]; moves only while the ring is empty */
    uint64_t ring_filled;       /* the port's thread's own: what was submitted */
    bool ring_full;             /* the port's thread's own: the last operation found no room */
    _Atomic uint64_t ring_tail; /* what was handed over */
    _Atomic uint64_t ring_head; /* what was taken */
    /* The completion ring: written by the owner, read by the port's thread. */
    weir_completion *completions;
    _Atomic uint64_t completion_tail;
    _Atomic uint64_t completion_head;
    uint64_t reserved_submitted;       /* the port's thread's own: slots it has reserved ... */
    _Atomic uint64_t reserved_drained; /* ... and got back */
    /* The owner's. */
    uint32_t index;
    weir_answers waiting[WEIR_LEVEL_COUNT];
    weir_link subscribers;
    weir_link ready;
    weir_link members; /* that joined groups on it (group.h) */
    bool wake;
    atomic_bool blocked; /* deliveries wait for room in the completion ring: drain, then step */
};

/* ---- Consumer groups (group.h) -----------------------------------------------------------------
 */

/* What one group, or many, counted for ever. */
typedef struct weir_group_sums {
    uint64_t fates[WEIR_FATE_COUNT];
    uint64_t leased;
    uint64_t failed;
} weir_group_sums;

typedef struct weir_group_table {
    weir_map by_name;
    weir_map by_id; /* key: the id in the group itself */
    weir_link all;
    weir_link busy;   /* with members, or leases or delays that end: weir_group_busy */
    weir_link resets; /* reads: to a time, which was found in this turn */
    uint32_t id_next;
    uint64_t part_count;     /* of all groups */
    uint64_t lease_last;     /* the highest number of a lease of any group, deleted ones as well */
    uint64_t looked_ns;      /* when expiry was last looked for */
    bool due;                /* a take may be answered now: another turn follows at once */
    bool stopped;            /* writing has stopped for good, and takes that waited were told */
    uint32_t untold;         /* members that are out and were not told */
    weir_group_sums deleted; /* what groups that were deleted had counted */
    uint64_t deleted_unit;   /* of a checkpoint: all up to this unit is in `deleted` */
} weir_group_table;

/* Lines of records' stories that stand in no record of `__fates` yet (fates.c). */
typedef struct weir_fates {
    weir_buffer lines;
    size_t closed;           /* of units that have ended; then those of the open one */
    weir_fate_writer writer; /* what the lines have, */
    weir_fate_writer before; /* and had when the last unit ended */
    uint32_t round;          /* which lines these are: parts and members are named once in them */
    uint64_t asked;          /* bytes of the open unit's room that are for them */
} weir_fates;

/* ---- The engine --------------------------------------------------------------------------------
 */

enum {
    WEIR_OWNED = 1,
    WEIR_WORK = 2,
    WEIR_STATS_COUNT = sizeof(weir_stats) / sizeof(uint64_t),
};

struct weir_engine {
    weir_env *env;
    bool env_ours;
    weir_engine_config config;
    char *data_dir;
    weir_limits limits;
    bool looks;       /* reads a data directory that it neither owns nor changes */
    weir_fault fault; /* the damage that it was opened with; err is OK: none */
    weir_owner *owner_file;
    weir_journal *journal;
    weir_chunk_pool *pool;

    atomic_uint owner;            /* WEIR_OWNED, WEIR_WORK */
    _Atomic uint64_t deadline_ns; /* when the home port should step; UINT64_MAX: no need */
    atomic_int health;
    atomic_bool no_waiting;        /* answers wait for no mark: weir_engine_stop_waiting */
    _Atomic(weir_job *) jobs_done; /* a stack, pushed from lanes */

    _Atomic(weir_port *) home; /* the port whose thread is woken by lanes; ports[0] */
    weir_port *ports[WEIR_PORTS_MAX];
    uint32_t port_count;
    uint32_t port_first; /* which one begins the next turn */

    uint64_t recovery_epoch;
    bool old_alive;
    uint64_t segments_term; /* names the folders of new segments: see weir_topics_segments_dir */
    uint64_t now_ns;
    int64_t engine_ms; /* engine time of this turn */
    int64_t engine_base_ms;
    uint64_t engine_base_ns;

    weir_map topics_by_name;
    weir_map topics_by_id; /* key: the id in the topic itself */
    uint32_t topic_id_next;
    uint64_t topics_generation;
    weir_topic *graves; /* deleted, files still there */
    weir_partition live;
    weir_topic live_topic;
    weir_partition *live_list[1]; /* its partitions */
    uint64_t live_owed;           /* live records owed to anybody */

    weir_trie *filters;
    uint64_t filters_generation;
    weir_map routes;
    uint64_t route_bytes; /* of all match lists */
    uint64_t match_stamp; /* of the match list that is being made */
    bool routes_full;

    weir_producers producers;
    weir_group_table groups;
    weir_fates fates;

    weir_map retained;
    weir_link retained_list;
    weir_link scans;
    uint64_t retained_sequence;
    uint64_t retained_bytes;

    bool unit_open;
    uint64_t unit_bytes;
    int64_t unit_ms;           /* the open one's engine time */
    uint64_t marked_unit;      /* the journal carries a mark for this unit */
    uint64_t mark_due_ns;      /* when an idle journal writes its mark; 0: nothing to mark */
    uint64_t topics_unit;      /* the newest one that may have changed topics */
    uint64_t written_compared; /* the term was compared after this unit was written, */
    uint64_t durable_compared; /* after this one was synced, */
    uint64_t compared_ns;      /* and at this time */
    bool disk_wanted;          /* something of the units not yet synced waits for the disk */
    uint64_t settled_ns;       /* since when a settlement waits for the disk; 0: none does */
    uint64_t disk_asked_ns;    /* when others waited for the disk last, */
    uint64_t disk_asked_mean;  /* and how much time is between two such turns: a moving mean */
    uint64_t os_since_ns;      /* when the oldest unit was written that no sync covers; 0: none */
    uint64_t os_covered;       /* through which units one did when that was last looked at */
    uint64_t unasked_ns;       /* when units that nobody waits for are to be written; 0: none */
    bool unit_asked;           /* somebody waits for an entry that was made since takes are given */
    weir_link open_partitions;
    weir_link hidden;
    weir_link unflushed[WEIR_UNFLUSHED_CLASSES]; /* by how much they have */
    uint64_t unflushed_class_bytes[WEIR_UNFLUSHED_CLASSES];
    weir_link evictable;
    weir_link unsynced;
    uint64_t unsynced_count;
    bool unsynced_more;        /* there are others, which are not listed: the volume is synced */
    weir_segment_files *files; /* the bound on open segment files */
    weir_file *volume;         /* open since the start: see weir_env_ops.volume_sync */
    uint64_t tail_bytes;
    uint64_t live_bytes;
    uint64_t unflushed_bytes;

    weir_link fetches;
    weir_link reads;
    uint32_t read_count;
    weir_ahead ahead[WEIR_AHEAD_MAX];

    weir_straight straight;
    weir_flush flush;
    bool flush_going; /* until an eighth of what started it is written */
    bool flush_empty; /* this turn found nothing to write */
    weir_save save;
    weir_saving saving;
    weir_life life;
    weir_sweep sweep;
    weir_compaction compaction;
    weir_checkpoint_phase phase;
    uint64_t checkpoint_number;
    uint64_t checkpoint_target;       /* flush everything up to this unit */
    uint64_t checkpoint_bytes_at;     /* journal bytes at the last one */
    uint64_t checkpoint_units_at;     /* the unit of the newest checkpoint ... */
    uint64_t checkpoint_units_before; /* ... and of the one before, which is kept as well */
    bool checkpoint_again;            /* the last attempt failed */
    bool checkpoint_left;             /* the newest left records behind that segments should have */
    uint64_t checkpoint_ns;           /* when the last one was made */
    uint64_t retry_ns;                /* after a full disk, or a lack of memory or descriptors */
    bool lack_told;                   /* of the latter the log knows */
    uint64_t reads_retry_ns;          /* cold reads of subscribers that lacked them; 0: none */
    uint64_t reads_told_ns;           /* when the log was told of such a read */
    bool more_work;                   /* another turn is wanted soon */

    weir_stats stats;           /* the owner's */
    uint64_t records_too_large; /* by the owner */
    uint64_t names_refused;     /* by the owner */
    _Atomic uint64_t stats_shown[WEIR_STATS_COUNT];
    _Atomic uint64_t refused_record_bytes; /* at submission, by the ports' threads */
    _Atomic uint64_t paused_port;
    _Atomic uint64_t refused_batch_plain;
    _Atomic uint64_t refused_headers;
    _Atomic uint64_t refused_name;
};

#endif
