/* tests/crash/crash.h - every storage call of recorded workloads as a moment at which everything ends.
 *
 *   workload --the real engine on tests/sim's disk--> points: the disk before a call, the call, and
 *                                                     what clients had been told by then (the model)
 *   point --choices--> crash states: what a kill or a power cut at that call may leave
 *   state --> recovered, read whole, compared; written to; retried; crashed again; read again
 *
 * A state is named by four numbers: workload, seed, call, choice. Each can be run alone:
 * weir_crash --workload straight --seed 1 --call 118 --choice 7 --trace. */
#ifndef WEIR_TESTS_CRASH_CRASH_H
#define WEIR_TESTS_CRASH_CRASH_H

#include "tests/sim/sim.h"

enum {
    CRASH_RETRIES = 5,       /* the batches that a producer may send again */
    CRASH_PENDING_MAX = 192, /* things not safe yet that choices tell apart; the rest go as one */
    CRASH_CALLS_LEAST = 200, /* of each workload */
};

/* A batch with a producer's sequence, or a record with a publishing id, that may be sent again. */
typedef struct crash_retry {
    uint32_t first; /* of its sends */
    uint32_t count; /* 0: none */
    uint32_t incarnation;
    uint8_t topic;
    uint8_t partition;
    bool named; /* by a publishing id, which is first + 1 */
    int32_t sequence;
} crash_retry;

/* A workload that runs: a world, and what its producers remember. */
typedef struct crash_run {
    sim_world w;
    int64_t producer; /* its id; -1: none */
    int32_t sequence; /* that comes next */
    crash_retry retries[CRASH_RETRIES];
    uint32_t retried; /* how many were sent again */
    bool waits;       /* what is published now has a delay */
} crash_run;

typedef struct crash_workload {
    const char *name;
    void (*configure)(weir_engine_config *config);
    void (*run)(crash_run *run);
} crash_workload;
extern const crash_workload CRASH_WORKLOADS[];
uint32_t crash_workload_count(void);

/* A moment: just before a storage call. */
typedef struct crash_point {
    sim_disk *disk;
    sim_call call; /* its data are the point's */
    sim_model model;
    model_group groups[MODEL_GROUPS];
    uint64_t answers;    /* a hash over all that clients were told by then */
    weir_level survives; /* of crashes before it, after which no recovery has been read */
    int64_t producer;
    crash_retry retries[CRASH_RETRIES];
} crash_point;

typedef struct crash_points {
    crash_point *items;
    uint32_t count;
    uint32_t capacity;
    weir_engine_config config;
    char fault[MODEL_FAULT_BYTES]; /* of the workload itself; empty: none */
} crash_points;

/* What may be left at a point. */
typedef enum choice_kind {
    CHOICE_KILL,      /* the page cache survives */
    CHOICE_KILL_PART, /* so does the first part of the write that was under way */
    CHOICE_ALL,       /* the power: everything arrived */
    CHOICE_NONE,      /* only what was synced */
    CHOICE_ONLY,      /* and one thing more */
    CHOICE_BUT,       /* all but one */
    CHOICE_PAIR,      /* two things */
    CHOICE_TORN_NEW,  /* the last write in part, all else arrived */
    CHOICE_TORN_OLD,  /* the last write in part, nothing else */
    CHOICE_NAMES,     /* all names, and no bytes that were not synced: files of zeros, or empty */
    CHOICE_BYTES,     /* all bytes, and no names */
    CHOICE_RANDOM,    /* anything, by a seed */
} choice_kind;

typedef struct crash_choice {
    choice_kind kind;
    uint32_t first; /* among what is pending */
    uint32_t second;
    uint64_t bytes; /* of a write in part; the seed of RANDOM */
} crash_choice;

/* Counted over all states, by one process. */
typedef struct crash_counts {
    uint64_t states; /* tried */
    uint64_t kills;
    uint64_t power_cuts;
    uint64_t torn;
    uint64_t recovery_deaths; /* recoveries that died at a call of their own */
    uint64_t retries;         /* batches sent again after a recovery */
    uint64_t events[SIM_EVENT_COUNT];
    uint64_t points[WEIR_FAILPOINT_COUNT];
} crash_counts;

/* clients.c. What state.c also does after a recovery. */
void crash_appends(crash_run *run);      /* something new to every topic */
void crash_retries_send(crash_run *run); /* all that is remembered, again */

/* points.c. Runs a workload and keeps a point for every call; the points are the caller's. */
void crash_record(const crash_workload *workload, uint64_t seed, bool trace, crash_counts *counts,
                  crash_points *points);
void crash_points_fini(crash_points *points);
void crash_model_copy(const sim_model *from, sim_model *to); /* `to` is model_fini's */

/* choices.c. Fills up to `max`; returns how many. The same for the same point and max. */
uint32_t crash_choices(const crash_point *point, uint64_t seed, crash_choice *out, uint32_t max);
/* A new disk as that choice leaves it. */
sim_disk *crash_disk(const crash_point *point, const crash_choice *choice);
void crash_choice_say(const crash_choice *choice, char *out, size_t size);

/* state.c. Takes the disk. `dies`: the recovery dies right after that many calls of its own (0: as
 * chance says). False: a promise is broken; fault[] says which. *calls: what the first recovery took. */
bool crash_check(const crash_points *points, const crash_point *point, const crash_choice *choice,
                 sim_disk *disk, uint32_t dies, bool trace, crash_counts *counts, uint32_t *calls,
                 char fault[MODEL_FAULT_BYTES]);

#endif
