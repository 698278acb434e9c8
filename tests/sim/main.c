/* tests/sim/main.c - weir_sim: many seeds on several processes, one that fails cut down to its core.
 *
 *     weir_sim --seeds FROM..TO --operations N --jobs J [--twice] [--events]
 *     weir_sim --seed N [--trace]
 *
 * Workers take seeds in turn and report each by a line through a pipe; one that dies (an assertion of
 * the engine) tells by its death. The first seed that fails is run again with fewer and fewer
 * operations, each time in a process of its own, while it still breaks the same rule; then the list that
 * is left is printed, and run once more with every answer told.
 *
 * With --must-fail a bug is planted (in the program, or by --lie in the table): the run ends with a
 * seed that finds it, and fails when none does.
 *
 * With --record seeds go piece by piece: each that holds adds a line to the file (counts.h), and is not
 * run again by who says the same once more.
 *
 * A run of --events fails when anything of the list of events, of failpoints or of operations never
 * came about in all its seeds together. */
#include "tests/sim/counts.h"

#include "core/base/hash.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS_MAX = 64,
    SHRINK_RUNS_MAX = 600,
    OPERATIONS_MAX = 100000,
    SHOWN_MAX = 60,
    PIECE_SEEDS = 250,
    KEPT_BYTES = 512 << 20
};

typedef struct options {
    uint64_t from, to;
    uint32_t operations;
    uint32_t jobs;
    bool twice;
    bool events;
    bool trace;
    bool no_shrink;
    bool must_fail; /* a bug is planted */
    const char *record;
} options;

/* What a worker sends: a seed it begins, then how it went. */
typedef struct report {
    uint64_t seed;
    bool begins;
    sim_result result;
} report;

static sim_op *ops_of(uint64_t seed, uint32_t count)
{
    sim_op *ops = malloc((size_t)count * sizeof(*ops) + 1);
    if (ops == NULL) {
        abort();
    }
    sim_ops_make(seed, ops, count);
    return ops;
}

static bool write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t part = write(fd, at, len);
        if (part <= 0 && errno != EINTR) {
            return false;
        }
        at += part > 0 ? part : 0;
        len -= part > 0 ? (size_t)part : 0;
    }
    return true;
}

static bool read_all(int fd, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        ssize_t part = read(fd, at, len);
        if (part == 0 || (part < 0 && errno != EINTR)) {
            return false;
        }
        at += part > 0 ? part : 0;
        len -= part > 0 ? (size_t)part : 0;
    }
    return true;
}

/* ---- One run in a process of its own
 * --------------------------------------------------------------------- */

static void run_apart(uint64_t seed, const sim_op *ops, uint32_t count, bool quiet,
                      sim_result *result)
{
    int ends[2];
    memset(result, 0, sizeof(*result));
    result->failed = true;
    (void)snprintf(result->fault, sizeof(result->fault), "[crash] the process died");
    if (pipe(ends) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        if (quiet && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(3);
        }
        sim_run(seed, ops, count, false, result);
        _exit(write_all(ends[1], result, sizeof(*result)) ? 0 : 3);
    }
    (void)close(ends[1]);
    sim_result told;
    if (read_all(ends[0], &told, sizeof(told))) {
        *result = told;
    }
    (void)close(ends[0]);
    (void)waitpid(child, NULL, 0);
}

/* ---- Cutting a failing list down
 * ----------------------------------------------------------------------- */

static bool same_rule(const char *a, const char *b)
{
    size_t len = strcspn(a, "]");
    return strncmp(a, b, len) == 0;
}

/* Leaves out [at, at + len); true: it still fails the same way, and the list is shorter. */
static bool cut(uint64_t seed, sim_op *ops, uint32_t *count, uint32_t at, uint32_t len,
                sim_result *result)
{
    sim_op *fewer = malloc((size_t)*count * sizeof(*fewer) + 1);
    sim_result found;
    if (fewer == NULL) {
        abort();
    }
    memcpy(fewer, ops, at * sizeof(*ops));
    memcpy(fewer + at, ops + at + len, (*count - at - len) * sizeof(*ops));
    run_apart(seed, fewer, *count - len, true, &found);
    bool still = found.failed && same_rule(result->fault, found.fault);
    if (still) {
        *count -= len;
        memcpy(ops, fewer, *count * sizeof(*ops));
        *result = found;
    }
    free(fewer);
    return still;
}

static void shrink(uint64_t seed, sim_op *ops, uint32_t *count, sim_result *result)
{
    uint32_t runs = 0;
    uint32_t after = result->op + 1;
    if (after < *count) { /* what comes behind the failure has no part in it */
        (void)cut(seed, ops, count, after, *count - after, result);
    }
    for (uint32_t len = *count / 2 + 1; len > 0 && runs < SHRINK_RUNS_MAX; len /= 2) {
        for (uint32_t at = 0; at < *count && runs < SHRINK_RUNS_MAX; runs++) {
            uint32_t part = *count - at < len ? *count - at : len;
            at += cut(seed, ops, count, at, part, result) ? 0 : part;
        }
    }
}

static void show_failure(const options *wanted, uint64_t seed, const sim_result *result)
{
    uint32_t count = wanted->operations;
    sim_op *ops = ops_of(seed, count);
    sim_result least = *result;
    (void)printf("seed %" PRIu64 " fails at operation %u: %s\n", seed, result->op, result->fault);
    (void)printf("replay: weir_sim --seed %" PRIu64 " --operations %u --trace\n", seed, count);
    if (!wanted->no_shrink) {
        shrink(seed, ops, &count, &least);
        (void)printf("shortest list found: %u operations: %s\n", count, least.fault);
        for (uint32_t i = 0; i < count && i < SHOWN_MAX; i++) {
            (void)printf("  %u: %s %" PRIx64 "\n", i, sim_op_name(ops[i].kind), ops[i].seed);
        }
        (void)fflush(stdout);
        if (fork() == 0) { /* it may end in an assertion */
            sim_run(seed, ops, count, true, &least);
            _exit(0);
        }
        (void)wait(NULL);
    }
    (void)fflush(stdout);
    free(ops);
}

/* ---- Many seeds
 * ------------------------------------------------------------------------------------------ */

typedef struct worker {
    pid_t child;
    int fd;
    uint64_t next; /* the seed it was begun with, or works on */
    bool ended;
} worker;

static void worker_run(const options *wanted, uint64_t from, int fd)
{
    report *said = calloc(1, sizeof(*said));
    for (uint64_t seed = from; said != NULL && seed < wanted->to; seed += wanted->jobs) {
        sim_op *ops = ops_of(seed, wanted->operations);
        said->seed = seed;
        said->begins = true;
        if (!write_all(fd, said, sizeof(*said))) {
            _exit(3);
        }
        sim_run(seed, ops, wanted->operations, false, &said->result);
        if (wanted->twice && !said->result.failed) {
            uint64_t hash = said->result.hash;
            sim_run(seed, ops, wanted->operations, false, &said->result);
            if (said->result.hash != hash) {
                said->result.failed = true;
                (void)snprintf(said->result.fault, sizeof(said->result.fault),
                               "[S1] the same seed gives another hash");
            }
        }
        free(ops);
        said->begins = false;
        if (!write_all(fd, said, sizeof(*said)) || said->result.failed) {
            _exit(3);
        }
    }
    _exit(0);
}

static void worker_begin(const options *wanted, worker *of, uint64_t from)
{
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    of->next = from;
    of->fd = ends[0];
    of->child = fork();
    if (of->child == 0) {
        (void)close(ends[0]);
        worker_run(wanted, from, ends[1]);
    }
    (void)close(ends[1]);
}

/* Takes one report; false: the worker has come to its end. *failed: the seed broke a rule. */
static bool worker_report(worker *one, sim_counts *sum, sim_result *failed, uint64_t *seed)
{
    static report said;
    if (!read_all(one->fd, &said, sizeof(said))) {
        int status = 0;
        (void)close(one->fd);
        (void)waitpid(one->child, &status, 0);
        if (WIFSIGNALED(status)) {
            failed->failed = true;
            *seed = one->next;
            (void)snprintf(failed->fault, sizeof(failed->fault), "[crash] signal %d",
                           WTERMSIG(status));
            failed->op = UINT32_MAX - 1;
        }
        one->ended = true;
        return false;
    }
    one->next = said.seed;
    if (!said.begins && said.result.failed) {
        *failed = said.result;
        *seed = said.seed;
    } else if (!said.begins) {
        sim_counts_add_run(sum, &said.result);
    }
    return true;
}

/* Who looks for a planted bug has found it: the others need not go on. */
static void workers_end(worker *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!workers[i].ended) {
            (void)kill(workers[i].child, SIGKILL);
            (void)waitpid(workers[i].child, NULL, 0);
            (void)close(workers[i].fd);
            workers[i].ended = true;
        }
    }
}

static bool run_seeds(const options *wanted, sim_counts *sum)
{
    worker workers[JOBS_MAX] = {0};
    static sim_result failed;
    uint64_t seed = 0;
    memset(&failed, 0, sizeof(failed));
    for (uint32_t i = 0; i < wanted->jobs; i++) {
        worker_begin(wanted, &workers[i], wanted->from + i);
    }
    uint32_t open = wanted->jobs;
    while (open > 0) {
        for (uint32_t i = 0; i < wanted->jobs; i++) {
            sim_result one = {0};
            uint64_t of = 0;
            if (!workers[i].ended && !worker_report(&workers[i], sum, &one, &of)) {
                open--;
            }
            if (one.failed && (!failed.failed || of < seed)) {
                failed = one;
                seed = of;
            }
        }
        if (failed.failed && wanted->must_fail) {
            workers_end(workers, wanted->jobs);
            open = 0;
        }
    }
    if (failed.failed) {
        show_failure(wanted, seed, &failed);
    }
    return !failed.failed;
}

/* ---- Piece by piece ----------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void progress(const options *wanted, uint64_t done, double begun, uint64_t ran)
{
    double took = seconds_now() - begun;
    double rate = took > 0 ? (double)ran / took : 0;
    double left = rate > 0 ? (double)(wanted->to - wanted->from - done) / rate / 60 : 0;
    (void)fprintf(stderr,
                  "%" PRIu64 " of %" PRIu64 " seeds hold, %.1f a second, %.0f minutes left\n", done,
                  wanted->to - wanted->from, rate, left);
}

/* Pieces that the file has are not run again. One that fails is told, and left out of it. */
static bool run_pieces(const options *wanted, sim_counts *sum)
{
    double begun = seconds_now();
    uint64_t ran = 0;
    bool held = true;
    for (uint64_t from = wanted->from; from < wanted->to; from += PIECE_SEEDS) {
        options part = *wanted;
        part.from = from;
        part.to = wanted->to - from < PIECE_SEEDS ? wanted->to : from + PIECE_SEEDS;
        sim_piece piece = {part.from, part.to, part.operations};
        sim_counts counts = {0};
        if (sim_counts_kept(wanted->record, &piece, sum)) {
            continue;
        }
        bool piece_held = run_seeds(&part, &counts);
        ran += part.to - part.from;
        held &= piece_held;
        if (piece_held && !sim_counts_keep(wanted->record, &piece, &counts)) {
            perror(wanted->record);
            return false;
        }
        if (piece_held) {
            sim_counts_add(sum, &counts);
            progress(wanted, part.to - wanted->from, begun, ran);
        }
    }
    return held;
}

static bool show_totals(const options *wanted, const sim_counts *sum)
{
    (void)printf("%" PRIu64 " seeds of %u operations\n", sum->seeds, wanted->operations);
    return !wanted->events || sim_counts_show(sum, wanted->operations);
}

static bool run_one(const options *wanted)
{
    static sim_result result;
    sim_op *ops = ops_of(wanted->from, wanted->operations);
    sim_run(wanted->from, ops, wanted->operations, wanted->trace, &result);
    (void)printf("seed %" PRIu64 " hash %016" PRIx64 " %s%s\n", wanted->from, result.hash,
                 result.failed ? "fails: " : "holds", result.fault);
    free(ops);
    return !result.failed;
}

/* ---- The command line
 * ----------------------------------------------------------------------------------- */

static const struct option LONG[] = {
    {"seeds", required_argument, NULL, 's'},
    {"seed", required_argument, NULL, 'S'},
    {"operations", required_argument, NULL, 'n'},
    {"jobs", required_argument, NULL, 'j'},
    {"twice", no_argument, NULL, '2'},
    {"events", no_argument, NULL, 'e'},
    {"trace", no_argument, NULL, 't'},
    {"no-shrink", no_argument, NULL, 'k'},
    {"record", required_argument, NULL, 'r'},
    {"must-fail", no_argument, NULL, 'm'},
    {"lie", required_argument, NULL, 'l'},
    {NULL, 0, NULL, 0},
};

static bool range_parse(const char *text, options *wanted)
{
    char *end = NULL;
    wanted->from = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) != 0) {
        return false;
    }
    wanted->to = strtoull(end + 2, &end, 10) + 1;
    return *end == '\0' && wanted->to > wanted->from;
}

static bool option_take(int option, options *wanted)
{
    switch (option) {
    case 's':
        return range_parse(optarg, wanted);
    case 'S':
        wanted->from = strtoull(optarg, NULL, 10);
        wanted->to = wanted->from;
        return true;
    case 'n':
        wanted->operations = (uint32_t)strtoul(optarg, NULL, 10);
        return wanted->operations <= OPERATIONS_MAX;
    case 'j':
        wanted->jobs = (uint32_t)strtoul(optarg, NULL, 10);
        return wanted->jobs > 0 && wanted->jobs <= JOBS_MAX;
    case '2':
        wanted->twice = true;
        return true;
    case 'e':
        wanted->events = true;
        return true;
    case 't':
        wanted->trace = true;
        return true;
    case 'k':
        wanted->no_shrink = true;
        return true;
    case 'r':
        wanted->record = optarg;
        return true;
    case 'm':
        wanted->must_fail = true;
        wanted->no_shrink = true;
        return true;
    case 'l':
        sim_env_lies(strcmp(optarg, "sync") == 0 ? SIM_LIE_SYNC : SIM_LIE_FOLDER);
        return strcmp(optarg, "sync") == 0 || strcmp(optarg, "folder") == 0;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    options wanted = {.from = 1, .to = 101, .operations = 2000, .jobs = 2};
    sim_counts sum = {0};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        if (!option_take(option, &wanted)) {
            (void)fprintf(stderr, "usage: weir_sim --seeds FROM..TO [--operations N] [--jobs J] "
                                  "[--twice] [--events] [--record FILE] [--no-shrink]\n"
                                  "       weir_sim --seed N [--operations N] [--trace]\n"
                                  "with a planted bug: --must-fail, --lie sync | folder\n");
            return 2;
        }
    }
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* engines come and go: their pages stay */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    weir_hash_seed(0x5eed); /* the order of maps is part of a run */
    if (wanted.from == wanted.to) {
        return run_one(&wanted) ? 0 : 1;
    }
    bool held = wanted.record != NULL ? run_pieces(&wanted, &sum) : run_seeds(&wanted, &sum);
    if (wanted.must_fail) {
        (void)printf(held ? "a bug is planted, and no seed finds it\n"
                          : "the planted bug is found\n");
        return held ? 1 : 0;
    }
    return show_totals(&wanted, &sum) && held ? 0 : 1;
}
