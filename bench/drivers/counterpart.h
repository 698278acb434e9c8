/* bench/drivers/counterpart.h - the other side of a library without a broker: a process of its own.
 *
 *   driver  -- fork -->  counterpart (its own CPU and memory are the subject's)
 *      \_____ shared: ready, sent, had _____/
 *
 * What it has counted, and how far the client has come, is in memory that both share: a sender that
 * must not overrun its client looks at `had`. It is killed when the driver ends. */
#ifndef WEIR_BENCH_COUNTERPART_H
#define WEIR_BENCH_COUNTERPART_H

#include "bench/drivers/drive.h"

typedef struct weir_counterpart {
    _Atomic uint32_t port;  /* once it listens */
    _Atomic uint64_t sent;  /* by whichever side sends */
    _Atomic uint64_t had;   /* by whichever side receives, each once */
    _Atomic bool connected; /* the client is */
    _Atomic bool stopping;  /* send nothing more */
    _Atomic bool stopped;   /* nothing more will be sent: `sent` is final */
    _Atomic uint64_t lost;  /* the receiving counterpart's counts, kept up to date */
    _Atomic uint64_t duplicated;
    _Atomic uint64_t reordered;
    _Atomic uint64_t alien;
} weir_counterpart;

/* Forks `body`, whose own pid becomes target.pid, and waits until it listens. NULL: failed, told. */
weir_counterpart *weir_counterpart_start(weir_drive *own,
                                         void (*body)(weir_drive *own, weir_counterpart *shared));
void weir_counterpart_end(weir_drive *own);

#endif
