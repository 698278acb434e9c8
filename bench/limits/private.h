/* bench/limits/private.h - what the files of the machine's limits share. */
#ifndef WEIR_BENCH_LIMITS_PRIVATE_H
#define WEIR_BENCH_LIMITS_PRIVATE_H

#include "bench/limits/limits.h"

#include "bench/histogram.h"
#include "bench/meter.h"

#include <sys/types.h>

#define NS_PER_MS UINT64_C(1000000)

enum {
    LIMIT_READ_BYTES = 256 * 1024,
    LIMIT_GROUP_BYTES = 256 * 1024,       /* of one sync */
    LIMIT_FILE_BYTES = 256 * 1024 * 1024, /* written over in a circle */
    LIMIT_PATH_BYTES = 512,
};

typedef struct limit_run {
    const weir_bench_workload *work;
    const weir_bench_target *target;
    weir_bench_result *result;
    char path[LIMIT_PATH_BYTES]; /* of a file in the folder */
    pid_t pid;                   /* of the child; 0: none */
    int fd;                      /* connected to it */
    uint64_t measure_from_ns;
    uint64_t measure_to_ns;
    bool measuring;
    bool over;
    weir_meter begin;
    weir_histogram latency;
} limit_run;

/* limits.c */
/* Fills the result, once; returns err. */
weir_err limit_fail(limit_run *run, weir_err err, const char *what);
/* A child that serves one connection with `serve` until it is closed; run->fd is the other end. */
weir_err limit_serve(limit_run *run, int (*serve)(limit_run *run, int fd));
/* To be called often: begins and ends the measured time. False when it is over. */
bool limit_goes_on(limit_run *run, uint64_t now_ns);
/* Opens run->path, `bytes` long, written with zeros and synced; -1. */
int limit_file(limit_run *run, int flags, uint64_t bytes);

/* log.c */
void limit_log(limit_run *run, bool sync);
/* copy.c */
void limit_sendfile(limit_run *run);
void limit_tcp(limit_run *run);
/* file.c */
void limit_sync(limit_run *run);
void limit_write(limit_run *run, bool direct);

#endif
