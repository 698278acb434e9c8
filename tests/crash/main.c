/* tests/crash/main.c - weir_crash: all crash states of all workloads, counted; or one of them alone.
 *
 *   weir_crash --seeds 1..4 --choices 40 --jobs 2 --least 50000
 *   weir_crash --workload straight --seed 1 --call 118 --choice 7 --trace
 *   weir_crash --workload straight --seed 1 --list            the calls, and nothing else
 *
 * Work is (workload, seed) pairs, taken by child processes from one shared counter; what they find
 * lies in shared memory. A state counts once: by the hash of what a start would find there. The run
 * fails when a state breaks a promise, when a workload has fewer calls than it must, when there are
 * fewer distinct states than asked for, or when a named failpoint was never passed. */
#include "tests/crash/crash.h"

#include "core/base/hash.h"

#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHOICES_MAX = 160,
    JOBS_MAX = 16,
    WORKLOADS_MAX = 32,
    FAILURES_MAX = 5,
    DEATHS_ONE_IN = 151, /* of so many states one has its recovery die at call after call */
    DEATHS_MAX = 24,     /* at so many calls at most */
};
#define STATES_MAX ((uint64_t)1 << 24)

typedef struct options {
    const char *workload;
    uint64_t from, to; /* seeds, both included */
    int64_t call, choice;
    uint32_t choices;
    uint32_t jobs;
    uint32_t dies;
    uint64_t least;
    bool trace;
    bool list;
    bool no_points; /* failpoints need not all be passed */
} options;

typedef struct place {
    uint32_t workload;
    uint32_t call;
    uint64_t seed;
    uint32_t choice;
} place;

typedef struct shared {
    atomic_uint next;
    atomic_uint failures;
    _Atomic uint64_t hashes_count;
    uint32_t calls[WORKLOADS_MAX]; /* the fewest of any seed */
    crash_counts counts[JOBS_MAX];
    uint64_t by_workload[JOBS_MAX][WORKLOADS_MAX];
    place at[JOBS_MAX];
    uint64_t hashes[];
} shared;

static shared *common;

/* ---- One workload of one seed
 * --------------------------------------------------------------------------- */

static void failed(const options *wanted, const place *at, const crash_point *point,
                   const crash_choice *choice, uint32_t dies, const char *fault)
{
    char said[160];
    crash_choice_say(choice, said, sizeof(said));
    (void)fprintf(
        stderr,
        "%s seed %" PRIu64 " call %u (%s %s) choice %u: %s\n  %s\n"
        "  weir_crash --workload %s --seed %" PRIu64 " --choices %u --call %u --choice %u",
        CRASH_WORKLOADS[at->workload].name, at->seed, at->call, sim_call_name(point->call.kind),
        point->call.path, at->choice, said, fault, CRASH_WORKLOADS[at->workload].name, at->seed,
        wanted->choices, at->call, at->choice);
    (void)fprintf(stderr, dies > 0 ? " --dies %u --trace\n" : " --trace\n", dies);
    atomic_fetch_add(&common->failures, 1);
}

/* States of one run that were looked at: the same disk, judged by the same answers. */
typedef struct known_states {
    uint64_t *slots; /* 0: free */
    uint32_t count;
    uint32_t capacity; /* a power of two */
} known_states;
static known_states met;

static void known_grow(void)
{
    known_states old = met;
    met.capacity = old.capacity > 0 ? old.capacity * 2 : 4096;
    met.slots = calloc(met.capacity, sizeof(*met.slots));
    if (met.slots == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < old.capacity; i++) {
        uint64_t at = old.slots[i];
        while (old.slots[i] != 0 && met.slots[at % met.capacity] != 0) {
            at++;
        }
        if (old.slots[i] != 0) {
            met.slots[at % met.capacity] = old.slots[i];
        }
    }
    free(old.slots);
}

static bool known(uint64_t hash)
{
    if (2 * met.count >= met.capacity) {
        known_grow();
    }
    uint64_t at = hash;
    for (; met.slots[at % met.capacity] != 0; at++) {
        if (met.slots[at % met.capacity] == hash) {
            return true;
        }
    }
    met.slots[at % met.capacity] = hash;
    met.count++;
    return false;
}

static void known_forget(void)
{
    free(met.slots);
    met = (known_states){0};
}

static uint64_t judged(uint64_t content, const crash_point *point, const crash_choice *choice)
{
    bool kill = choice->kind == CHOICE_KILL || choice->kind == CHOICE_KILL_PART;
    sim_random mixed = {point->answers * 4 + (kill ? 0 : 2) + point->survives};
    uint64_t hash = content ^ sim_random_next(&mixed);
    return hash != 0 ? hash : 1;
}

static void state_counted(uint64_t hash)
{
    uint64_t at = atomic_fetch_add(&common->hashes_count, 1);
    if (at < STATES_MAX) {
        common->hashes[at] = hash;
    }
}

static bool one_state(const options *wanted, const crash_points *points, const place *at,
                      const crash_choice *choice, sim_disk *disk, uint32_t dies,
                      crash_counts *counts, uint32_t *calls)
{
    char fault[MODEL_FAULT_BYTES];
    const crash_point *point = &points->items[at->call];
    bool trace = wanted->trace && wanted->call >= 0;
    bool held = crash_check(points, point, choice, disk, dies, trace, counts, calls, fault);
    if (!held) {
        failed(wanted, at, point, choice, dies, fault);
    }
    return held;
}

/* The same state, and the recovery dies right after its first call, its second, and so on. */
static void deaths(const options *wanted, const crash_points *points, const place *at,
                   const crash_choice *choice, uint32_t calls, crash_counts *counts)
{
    uint32_t most = calls < DEATHS_MAX ? calls : DEATHS_MAX;
    bool held = true;
    for (uint32_t dies = 1; dies <= most && held; dies++) {
        uint32_t unused = 0;
        sim_disk *disk = crash_disk(&points->items[at->call], choice);
        held = one_state(wanted, points, at, choice, disk, dies, counts, &unused);
    }
}

static void one_point(const options *wanted, const crash_points *points, place *at, uint32_t job)
{
    crash_choice choices[CHOICES_MAX];
    crash_counts *counts = &common->counts[job];
    const crash_point *point = &points->items[at->call];
    uint32_t count = crash_choices(point, at->seed * 100003 + at->call, choices, wanted->choices);
    for (uint32_t i = 0; i < count; i++) {
        bool alone = wanted->choice >= 0;
        at->choice = i;
        common->at[job] = *at;
        if ((alone && wanted->choice != i) || atomic_load(&common->failures) >= FAILURES_MAX) {
            continue;
        }
        uint32_t calls = 0;
        sim_disk *disk = crash_disk(point, &choices[i]);
        uint64_t hash = sim_disk_content(disk);
        if (known(judged(hash, point, &choices[i]))) {
            sim_disk_destroy(disk);
            continue;
        }
        state_counted(hash);
        common->by_workload[job][at->workload]++;
        bool held = one_state(wanted, points, at, &choices[i], disk, wanted->dies, counts, &calls);
        if (held && !alone && hash % DEATHS_ONE_IN == 0) {
            deaths(wanted, points, at, &choices[i], calls, counts);
        }
    }
}

static void list_calls(const crash_points *points)
{
    for (uint32_t i = 0; i < points->count; i++) {
        const sim_call *call = &points->items[i].call;
        size_t pending = sim_disk_pending(points->items[i].disk, NULL, 0);
        (void)printf("%5u %-11s %s%s%s %" PRIu64 "+%" PRIu64 "  (%zu pending)\n", i,
                     sim_call_name(call->kind), call->path, call->path_to[0] != '\0' ? " to " : "",
                     call->path_to, call->offset, call->bytes, pending);
    }
}

static void calls_counted(uint32_t workload, uint32_t calls)
{
    uint32_t least = common->calls[workload];
    common->calls[workload] = least == 0 || calls < least ? calls : least;
}

static void one_run(const options *wanted, uint32_t workload, uint64_t seed, uint32_t job)
{
    crash_points points;
    place at = {.workload = workload, .seed = seed, .call = UINT32_MAX};
    common->at[job] = at;
    crash_record(&CRASH_WORKLOADS[workload], seed, wanted->trace && wanted->call < 0,
                 &common->counts[job], &points);
    calls_counted(workload, points.count);
    if (points.fault[0] != '\0') {
        (void)fprintf(stderr, "%s seed %" PRIu64 ": the workload itself: %s\n",
                      CRASH_WORKLOADS[workload].name, seed, points.fault);
        atomic_fetch_add(&common->failures, 1);
    }
    if (wanted->list) {
        list_calls(&points);
    }
    for (uint32_t call = 0; call < points.count && !wanted->list; call++) {
        if (wanted->call < 0 || wanted->call == call) {
            at.call = call;
            one_point(wanted, &points, &at, job);
        }
    }
    crash_points_fini(&points);
    known_forget();
}

/* ---- Processes
 * ------------------------------------------------------------------------------------------ */

static bool workload_wanted(const options *wanted, uint32_t workload)
{
    return wanted->workload == NULL ||
           strcmp(wanted->workload, CRASH_WORKLOADS[workload].name) == 0;
}

static void work(const options *wanted, uint32_t job)
{
    uint32_t workloads = crash_workload_count();
    uint32_t runs = (uint32_t)(wanted->to - wanted->from + 1) * workloads;
    uint32_t next = atomic_fetch_add(&common->next, 1);
    for (; next < runs; next = atomic_fetch_add(&common->next, 1)) {
        if (workload_wanted(wanted, next % workloads) &&
            atomic_load(&common->failures) < FAILURES_MAX) {
            one_run(wanted, next % workloads, wanted->from + next / workloads, job);
        }
    }
}

static bool work_in_children(const options *wanted)
{
    pid_t children[JOBS_MAX];
    bool held = true;
    for (uint32_t job = 0; job < wanted->jobs; job++) {
        children[job] = fork();
        if (children[job] == 0) {
            work(wanted, job);
            exit(0);
        }
    }
    for (uint32_t job = 0; job < wanted->jobs; job++) {
        int status = 0;
        if (children[job] < 0 || waitpid(children[job], &status, 0) < 0 || status != 0) {
            const place *at = &common->at[job];
            (void)fprintf(stderr,
                          "a process ended with status %x at\n  weir_crash --workload %s --seed "
                          "%" PRIu64 " --choices %u --call %d --choice %u --trace\n",
                          (unsigned)status, CRASH_WORKLOADS[at->workload].name, at->seed,
                          wanted->choices, (int)at->call, at->choice);
            held = false;
        }
    }
    return held;
}

/* ---- What there was
 * -------------------------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t distinct(void)
{
    uint64_t all = atomic_load(&common->hashes_count);
    uint64_t count = all < STATES_MAX ? all : STATES_MAX;
    uint64_t different = count > 0 ? 1 : 0;
    qsort(common->hashes, count, sizeof(*common->hashes), by_value);
    for (uint64_t i = 1; i < count; i++) {
        different += common->hashes[i] != common->hashes[i - 1] ? 1 : 0;
    }
    return different;
}

static crash_counts sum_of(const options *wanted)
{
    crash_counts sum = {0};
    for (uint32_t job = 0; job < wanted->jobs; job++) {
        const uint64_t *from = (const uint64_t *)&common->counts[job];
        uint64_t *to = (uint64_t *)&sum; /* all of it is counters */
        for (size_t i = 0; i < sizeof(sum) / sizeof(*to); i++) {
            to[i] += from[i];
        }
    }
    return sum;
}

static uint32_t workloads_said(const options *wanted)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < crash_workload_count(); i++) {
        uint64_t states = 0;
        for (uint32_t job = 0; job < wanted->jobs; job++) {
            states += common->by_workload[job][i];
        }
        bool few = common->calls[i] < CRASH_CALLS_LEAST;
        if (workload_wanted(wanted, i)) {
            (void)printf("  %-12s %5u calls %7" PRIu64 " states%s\n", CRASH_WORKLOADS[i].name,
                         common->calls[i], states, few ? "   <-- too few calls" : "");
            wrong += few ? 1 : 0;
        }
    }
    return wrong;
}

/* What only damaged files lead to: sim.seeds counts these. */
static const weir_failpoint SIMULATION_ONLY[] = {WEIR_FAILPOINT_heads_rebuilt};

static bool simulation_only(int point)
{
    for (size_t i = 0; i < sizeof(SIMULATION_ONLY) / sizeof(SIMULATION_ONLY[0]); i++) {
        if ((int)SIMULATION_ONLY[i] == point) {
            return true;
        }
    }
    return false;
}

static uint32_t points_said(const crash_counts *sum)
{
    uint32_t missing = 0;
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        bool never = sum->points[i] == 0 && !simulation_only(i);
        (void)printf("  %-28s %" PRIu64 "%s\n", weir_failpoint_name((weir_failpoint)i),
                     sum->points[i], never ? "   <-- never" : "");
        missing += never ? 1 : 0;
    }
    return missing;
}

static bool told(const options *wanted)
{
    crash_counts sum = sum_of(wanted);
    uint64_t states = distinct();
    (void)printf("%" PRIu64 " distinct crash states (%" PRIu64 " recovered: %" PRIu64
                 " kills, %" PRIu64 " power cuts, %" PRIu64 " of them with a torn write)\n",
                 states, sum.states, sum.kills, sum.power_cuts, sum.torn);
    (void)printf("%" PRIu64 " recoveries died on their way; %" PRIu64
                 " batches and records sent again; torn tails %" PRIu64 ", kept %" PRIu64
                 " and lost %" PRIu64 " that nobody had been told of\n",
                 sum.recovery_deaths, sum.retries, sum.events[SIM_EVENT_torn_tail],
                 sum.events[SIM_EVENT_uncertain_kept], sum.events[SIM_EVENT_uncertain_lost]);
    uint32_t few = workloads_said(wanted);
    uint32_t missing = points_said(&sum);
    if (states < wanted->least) {
        (void)printf("fewer than %" PRIu64 " distinct states: the run proves less than it says\n",
                     wanted->least);
    }
    return few == 0 && states >= wanted->least && (missing == 0 || wanted->no_points);
}

/* ---- The command line
 * ------------------------------------------------------------------------------------ */

static const struct option LONG[] = {
    {"workload", required_argument, NULL, 'w'},
    {"seed", required_argument, NULL, 's'},
    {"seeds", required_argument, NULL, 'S'},
    {"call", required_argument, NULL, 'c'},
    {"choice", required_argument, NULL, 'o'},
    {"choices", required_argument, NULL, 'n'},
    {"jobs", required_argument, NULL, 'j'},
    {"least", required_argument, NULL, 'l'},
    {"dies", required_argument, NULL, 'd'},
    {"trace", no_argument, NULL, 't'},
    {"list", no_argument, NULL, 'L'},
    {"some-failpoints", no_argument, NULL, 'p'},
    {NULL, 0, NULL, 0},
};

static bool number_take(int option, options *wanted)
{
    char *end = NULL;
    uint64_t value = strtoull(optarg, &end, 10);
    switch (option) {
    case 's':
        wanted->from = wanted->to = value;
        return true;
    case 'S':
        wanted->from = value;
        wanted->to = strncmp(end, "..", 2) == 0 ? strtoull(end + 2, NULL, 10) : 0;
        return wanted->to >= wanted->from;
    case 'c':
        wanted->call = (int64_t)value;
        return true;
    case 'o':
        wanted->choice = (int64_t)value;
        return true;
    case 'n':
        wanted->choices = (uint32_t)value;
        return value > 0 && value <= CHOICES_MAX;
    case 'j':
        wanted->jobs = (uint32_t)value;
        return value > 0 && value <= JOBS_MAX;
    case 'd':
        wanted->dies = (uint32_t)value;
        return true;
    default:
        wanted->least = value;
        return true;
    }
}

static bool option_take(int option, options *wanted)
{
    switch (option) {
    case 'w':
        wanted->workload = optarg;
        return true;
    case 't':
        wanted->trace = true;
        return true;
    case 'L':
        wanted->list = true;
        return true;
    case 'p':
        wanted->no_points = true;
        return true;
    case '?':
        return false;
    default:
        return number_take(option, wanted);
    }
}

static bool run_alone(const options *wanted)
{
    work(wanted, 0);
    bool held = atomic_load(&common->failures) == 0;
    if (!wanted->list) {
        (void)printf("%" PRIu64 " states: %s\n", common->counts[0].states,
                     held ? "all held" : "a promise is broken");
    }
    return held;
}

int main(int argc, char **argv)
{
    options wanted = {
        .from = 1, .to = 1, .call = -1, .choice = -1, .choices = 40, .jobs = 2, .no_points = false};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        if (!option_take(option, &wanted)) {
            (void)fprintf(stderr,
                          "usage: weir_crash [--workload W] [--seeds FROM..TO] [--choices N] "
                          "[--jobs J] [--least N] [--some-failpoints]\n"
                          "       weir_crash --workload W --seed N [--list | --call N [--choice N] "
                          "[--dies N] [--trace]]\n");
            return 2;
        }
    }
    size_t bytes = sizeof(shared) + STATES_MAX * sizeof(uint64_t);
    common = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (common == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20); /* disks come and go: their pages stay */
    (void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
    weir_hash_seed(0x5eed); /* the order of maps is part of a run */
    if (wanted.list || wanted.trace || wanted.call >= 0) {
        return run_alone(&wanted) ? 0 : 1;
    }
    bool held = work_in_children(&wanted) && atomic_load(&common->failures) == 0;
    return told(&wanted) && held ? 0 : 1;
}
