/* bench/limits/limits.h - what the machine allows at most, measured in the run that is judged by it.
 *
 * The least that anything could do which does the same: no names, no formats, no promises. The
 * mode of the target says which:
 *
 *   "ingest"      STREAM: a null log: receive, CRC32C of each message, append, acknowledge. Over
 *                 loopback TCP, a process of its own. A window of 0 is WEIR_LIMITS_WINDOW
 *   "ingest-sync" the same, synced before it is acknowledged, in groups of at most 256 KiB
 *   "synced"      SINGLE: the same, one message at a time
 *   "sendfile"    CATCH_UP: a cached file of `messages` messages to loopback TCP, again and again
 *   "tcp"         LIBRARY: 64 KiB writev calls of one vector for each message, over loopback TCP
 *   "sync"        SINGLE: write payload_bytes into a file of fixed size and fdatasync; the latency
 *   "write"       STREAM: sequential writes of payload_bytes through the page cache, one sync at
 *                 the end of each GiB
 *   "write-direct"  the same with O_DIRECT and no sync
 *
 * `measured` counts messages of payload_bytes. */
#ifndef WEIR_BENCH_LIMITS_H
#define WEIR_BENCH_LIMITS_H

#include "bench/workload.h"

enum { WEIR_LIMITS_WINDOW = 20000 };

/* Files lie in target->folder. INVALID in the result: no such mode, or a workload it does not fit.
 */
void weir_limits_drive(const weir_bench_workload *workload, const weir_bench_target *target,
                       weir_bench_result *result);

#endif
