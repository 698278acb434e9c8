/* bench/usage.h - what a process and its children have used, read from /proc. */
#ifndef WEIR_BENCH_USAGE_H
#define WEIR_BENCH_USAGE_H

#include "weir/base.h"

#include <sys/types.h>

typedef struct weir_usage {
    double cpu_s;           /* user and system, children and ended children included */
    uint64_t rss_bytes;     /* of those that live */
    uint64_t written_bytes; /* sent to the storage layer; 0 where /proc/PID/io may not be read */
} weir_usage;

/* Any thread. NOT_FOUND: no such process. */
weir_err weir_usage_of(pid_t pid, weir_usage *usage);

typedef struct weir_machine_usage {
    double busy_s;          /* of all processors, since the start */
    double stolen_s;        /* wanted, and given to another guest of the host */
    uint64_t written_bytes; /* to the disks */
} weir_machine_usage;

/* Zeroes when /proc/stat cannot be read. */
weir_machine_usage weir_machine_usage_read(void);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t weir_now_ns(void);

#endif
