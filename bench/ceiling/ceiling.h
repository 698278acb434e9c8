/* bench/ceiling/ceiling.h - the null broker: the least a process can do and still serve the
 * generator.
 *
 * Parse, forward every PUBLISH to every subscriber, acknowledge. No names, no sessions, no limits;
 * not for anything but measuring. Its figures are the ceiling of every row. */
#ifndef WEIR_BENCH_CEILING_H
#define WEIR_BENCH_CEILING_H

#include "weir/base.h"

typedef struct weir_ceiling_options {
    int listener; /* taken: bound and listening */
    bool append;  /* what was published is appended to a file in `folder` */
    bool sync;    /* and synced, once for all that came in one turn, before it is acknowledged */
    bool polling; /* never sleeps */
    const char *folder;
} weir_ceiling_options;

/* Serves until the process is ended; returns only on a failure of the system, with its sentence on
 * standard error. */
weir_err weir_ceiling_run(const weir_ceiling_options *options);

#endif
