/* bench/driver.h - who drives a subject: one table for each client library or protocol.
 *
 *   work.kind, subject  ->  weir_subject_driver  ->  available? -> run, in a process of its own
 *
 * A driver of another broker's client library (bench/drivers/) is a program of its own, so that
 * neither `weir` nor its tests are linked with that library: `run` hands it the workload and the
 * target on its standard input and takes the result from its standard output. A driver that needs
 * no foreign library is a function of this program: a line of the table in driver.c.
 *
 * Each counts what it was given back by publisher and sequence, as the MQTT generator does: the
 * first 24 bytes of a payload are  publisher u32 | run u32 | sequence u64 | intended time u64,
 * little endian. */
#ifndef WEIR_BENCH_DRIVER_H
#define WEIR_BENCH_DRIVER_H

#include "bench/workload.h"

#include <stdio.h>

typedef struct weir_driver weir_driver;

struct weir_driver {
    const char *name;
    /* False, and in `text` the line that installs or builds what is missing. Main thread. */
    bool (*available)(const weir_driver *driver, char *text, size_t size);
    /* Blocks for about warm_up_ms + measure_ms and what filling, verifying and waiting takes, at
     * most two minutes. result->err tells why there is no figure; losses are no error. Called in a
     * process of its own, which ends after it: what it leaves open is closed by that. */
    void (*run)(const weir_driver *driver, const weir_bench_workload *workload,
                const weir_bench_target *target, weir_bench_result *result);
    /* Name and version of the client library: "libnats 3.4.1". False: it has none, or cannot be
     * asked. Main thread. */
    bool (*library)(const weir_driver *driver, char *text, size_t size);
    /* The packages of a driver that is a program; NULL: it is a function of this one. */
    const char *packages;
};

/* What a driver that is a program is given on its standard input. */
typedef struct weir_bench_order {
    weir_bench_workload work;
    weir_bench_target target;
} weir_bench_order;

/* Asked with this argument, such a program says its library's name and version on one line and, on
 * another, the sizes of what it exchanges. */
#define WEIR_BENCH_ASK_LIBRARY "--version"
static inline void weir_bench_sizes(char *text, size_t size)
{
    (void)snprintf(text, size, "\norder %zu result %zu\n", sizeof(weir_bench_order),
                   sizeof(weir_bench_result));
}

/* NULL: none of that name. */
const weir_driver *weir_driver_named(const char *name);
/* All of them; *count. */
const weir_driver *const *weir_drivers(size_t *count);

#endif
