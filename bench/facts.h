/* bench/facts.h - where and with what a run is made: every result has it. */
#ifndef WEIR_BENCH_FACTS_H
#define WEIR_BENCH_FACTS_H

#include "bench/bench.h"

typedef struct weir_run_facts {
    /* That the measured weir was built from; "+" at the end: with changes; "unknown": outside a
     * checkout, or another program was given with --weir. */
    char commit[80];
    char build[64];      /* "Release, GNU 12.2.0" */
    char machine[256];   /* processors, memory, kernel, file system of the temporary folders */
    char started[32];    /* UTC */
    char sets[512];      /* --set of Weir's subjects, with blanks between */
    char versions[2048]; /* JSON: servers, client libraries, weir: {"mosquitto": "...", ...}; "" for
                          * what is not here */
    unsigned mqtt_version; /* 0: the row's own */
    unsigned repeats;
    unsigned measure_ms;
    unsigned warm_up_ms;
} weir_run_facts;

/* Starts each peer's program, and each driver, to ask for its version. Main thread. */
void weir_run_facts_read(const weir_bench_options *options, weir_run_facts *facts);

#endif
