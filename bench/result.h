/* bench/result.h - figures and failures into a result, the same for every generator and driver. */
#ifndef WEIR_BENCH_RESULT_H
#define WEIR_BENCH_RESULT_H

#include "bench/account.h"
#include "bench/histogram.h"
#include "bench/tally.h"
#include "bench/workload.h"

/* The first failure wins. Returns err. One thread. */
weir_err weir_result_fail(weir_bench_result *result, weir_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds what an account says: lost of `sent`, doubled, reordered. */
void weir_result_account(weir_bench_result *result, const weir_account *account, uint64_t sent);
/* What competing consumers had of `sent`: delivered, lost, doubled, reordered, alien. */
void weir_result_tally(weir_bench_result *result, const weir_tally *tally, uint64_t sent);
void weir_result_latency(weir_bench_result *result, const weir_histogram *latency);

#endif
