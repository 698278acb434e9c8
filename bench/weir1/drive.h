/* bench/weir1/drive.h - the driver `weir1` of the bench's table: kinds of workload to tasks. */
#ifndef WEIR_BENCH_WEIR1_DRIVE_H
#define WEIR_BENCH_WEIR1_DRIVE_H

#include "bench/weir1/weir1.h"

/* STREAM, CATCH_UP, SINGLE, LIBRARY, QUEUE_DRAIN, QUEUE_PACED. target->mode, words with "-" between: "ws" WebSocket instead
 * of the stream socket, "json" text instead of frames. INVALID: another kind, or another word. */
weir_err weir_weir1_work_of(const weir_bench_workload *workload, const char *mode,
                            weir_weir1_work *work);
/* The subject's folder holds `data/weir.sock`; web_port is its HTTP. */
void weir_weir1_drive(const weir_bench_workload *workload, const weir_bench_target *target,
                      weir_bench_result *result);

#endif
