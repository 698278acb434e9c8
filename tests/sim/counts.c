/* tests/sim/counts.c - what came about in many runs: see counts.h. */
#include "tests/sim/counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 << 10,
    KILLS_FROM_SEEDS = 2000, /* so many seeds die at each failpoint */
    LEASES_PER_HUNDRED = 1,  /* operations of a hundred that end a lease or fence somebody */
};

/* Each row of the four tables, in one order. */
typedef void (*row_visit)(void *arg, const char *table, const char *name, uint64_t *value);

static void visit_all(sim_counts *counts, row_visit visit, void *arg)
{
    visit(arg, "", "seeds", &counts->seeds);
    for (int i = 0; i < SIM_OP_COUNT; i++) {
        visit(arg, "op.", sim_op_name((sim_op_kind)i), &counts->ops_done[i]);
    }
    for (int i = 0; i < SIM_EVENT_COUNT; i++) {
        visit(arg, "event.", sim_event_name((sim_event)i), &counts->events[i]);
    }
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        visit(arg, "passed.", weir_failpoint_name((weir_failpoint)i), &counts->points[i]);
    }
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        visit(arg, "killed.", weir_failpoint_name((weir_failpoint)i), &counts->kills[i]);
    }
}

void sim_counts_add_run(sim_counts *sum, const sim_result *result)
{
    sim_counts one = {.seeds = 1};
    memcpy(one.events, result->events, sizeof(one.events));
    memcpy(one.points, result->points, sizeof(one.points));
    memcpy(one.kills, result->kills, sizeof(one.kills));
    memcpy(one.ops_done, result->ops_done, sizeof(one.ops_done));
    sim_counts_add(sum, &one);
}

void sim_counts_add(sim_counts *sum, const sim_counts *more)
{
    const uint64_t *from = (const uint64_t *)more; /* all of it is counters */
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

/* ---- Told --------------------------------------------------------------------------------------- */

static uint32_t show_row(const char *name, uint64_t value, bool expected)
{
    bool never = value == 0 && expected;
    (void)printf("  %-28s %" PRIu64 "%s\n", name, value, never ? "   <-- never" : "");
    return never ? 1 : 0;
}

static uint32_t show_tables(const sim_counts *sum)
{
    uint32_t missing = 0;
    (void)printf("operations:\n");
    for (int i = 0; i < SIM_OP_COUNT; i++) {
        missing += show_row(sim_op_name((sim_op_kind)i), sum->ops_done[i],
                            sim_op_expected((sim_op_kind)i));
    }
    (void)printf("events:\n");
    for (int i = 0; i < SIM_EVENT_COUNT; i++) {
        missing += show_row(sim_event_name((sim_event)i), sum->events[i],
                            sim_event_expected((sim_event)i));
    }
    (void)printf("failpoints passed:\n");
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        missing += show_row(weir_failpoint_name((weir_failpoint)i), sum->points[i], true);
    }
    (void)printf("killed at failpoints:\n");
    for (int i = 0; i < WEIR_FAILPOINT_COUNT; i++) {
        missing += show_row(weir_failpoint_name((weir_failpoint)i), sum->kills[i],
                            sum->seeds >= KILLS_FROM_SEEDS);
    }
    return missing;
}

bool sim_counts_show(const sim_counts *sum, uint32_t operations)
{
    uint32_t missing = show_tables(sum);
    uint64_t leases = sum->events[SIM_EVENT_lease_ended] +
                      sum->events[SIM_EVENT_late_answer_refused] +
                      sum->events[SIM_EVENT_member_fenced] + sum->events[SIM_EVENT_fenced];
    uint64_t all = sum->seeds * operations;
    bool few = leases * 100 < all * LEASES_PER_HUNDRED;
    (void)printf("lease and fence events: %" PRIu64 " of %" PRIu64 " operations (%.2f %%)%s\n",
                 leases, all, all > 0 ? (double)leases * 100 / (double)all : 0,
                 few ? "   <-- too few" : "");
    if (missing > 0) {
        (void)printf("%u of these never came about: the run proves less than it says\n", missing);
    }
    return missing == 0 && !few;
}

/* ---- Kept --------------------------------------------------------------------------------------- */

static void piece_head(const sim_piece *piece, char *out, size_t size)
{
    (void)snprintf(out, size, "{\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"operations\":%u,",
                   piece->from, piece->to - 1, piece->operations);
}

typedef struct row_writer {
    FILE *to;
    bool more;
} row_writer;

static void write_row(void *arg, const char *table, const char *name, uint64_t *value)
{
    row_writer *writer = arg;
    (void)fprintf(writer->to, "%s\"%s%s\":%" PRIu64, writer->more ? "," : "", table, name, *value);
    writer->more = true;
}

bool sim_counts_keep(const char *path, const sim_piece *piece, const sim_counts *counts)
{
    char head[128];
    sim_counts copy = *counts;
    FILE *to = fopen(path, "a");
    if (to == NULL) {
        return false;
    }
    row_writer writer = {.to = to};
    piece_head(piece, head, sizeof(head));
    (void)fputs(head, to);
    visit_all(&copy, write_row, &writer);
    (void)fputs("}\n", to);
    bool kept = fflush(to) == 0 && fsync(fileno(to)) == 0;
    return fclose(to) == 0 && kept;
}

static void read_row(void *arg, const char *table, const char *name, uint64_t *value)
{
    char key[96];
    (void)snprintf(key, sizeof(key), "\"%s%s\":", table, name);
    const char *at = strstr(arg, key);
    *value = at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

bool sim_counts_kept(const char *path, const sim_piece *piece, sim_counts *sum)
{
    static char line[LINE_MAX_BYTES];
    char head[128];
    bool kept = false;
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        return false;
    }
    piece_head(piece, head, sizeof(head));
    while (!kept && fgets(line, sizeof(line), from) != NULL) {
        size_t len = strlen(line);
        bool whole = len > 1 && line[len - 2] == '}' && line[len - 1] == '\n';
        kept = whole && strncmp(line, head, strlen(head)) == 0;
    }
    (void)fclose(from);
    if (kept) {
        sim_counts one = {0};
        visit_all(&one, read_row, line);
        sim_counts_add(sum, &one);
    }
    return kept;
}
