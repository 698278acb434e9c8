/* tests/sim/counts.h - what came about in many runs: added up, told, and kept as a line of JSON per piece.
 *
 *   {"from":1,"to":500,"operations":2000,"seeds":500,"op.PUBLISH":153220,...,"event.kill":4210,...,
 *    "passed.checkpoint_written":24410,...,"killed.checkpoint_written":31,...}
 *
 * Pieces of different lines add up, whoever ran them, and when. */
#ifndef WEIR_TESTS_SIM_COUNTS_H
#define WEIR_TESTS_SIM_COUNTS_H

#include "tests/sim/sim.h"

typedef struct sim_counts {
    uint64_t seeds;
    uint64_t events[SIM_EVENT_COUNT];
    uint64_t points[WEIR_FAILPOINT_COUNT];
    uint64_t kills[WEIR_FAILPOINT_COUNT];
    uint64_t ops_done[SIM_OP_COUNT];
} sim_counts;

typedef struct sim_piece {
    uint64_t from, to; /* to: behind the last */
    uint32_t operations;
} sim_piece;

void sim_counts_add_run(sim_counts *sum, const sim_result *result);
void sim_counts_add(sim_counts *sum, const sim_counts *more);
/* Prints all of it. False: something never came about, or too little of what the run is for. */
bool sim_counts_show(const sim_counts *sum, uint32_t operations);
/* Appends a line, and syncs it. False: it could not be written. */
bool sim_counts_keep(const char *path, const sim_piece *piece, const sim_counts *counts);
/* Whether the file has the piece; then it is added to the sum. */
bool sim_counts_kept(const char *path, const sim_piece *piece, sim_counts *sum);

#endif
