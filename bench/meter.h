/* bench/meter.h - the measured part of a run: its time, and what subject, generator and machine
 * used in it.
 *
 * Two readings and their difference; any thread. */
#ifndef WEIR_BENCH_METER_H
#define WEIR_BENCH_METER_H

#include "bench/usage.h"
#include "bench/workload.h"

typedef struct weir_meter {
    uint64_t at_ns;
    double own_cpu_s; /* of the calling process */
    weir_usage subject;
    weir_machine_usage machine;
} weir_meter;

/* pid: the subject; 0: there is none, and its use is zero. */
weir_meter weir_meter_read(pid_t pid);
/* The difference, into the fields of the result that tell it. */
void weir_meter_tell(const weir_meter *begin, const weir_meter *end, weir_bench_result *result);

#endif
