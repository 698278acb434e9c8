/* bench/result.c - sentences, sums and quantiles. */
#include "bench/result.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

weir_err weir_result_fail(weir_bench_result *result, weir_err err, const char *format, ...)
{
    va_list arguments;
    if (result->err == WEIR_OK) {
        result->err = err;
        va_start(arguments, format);
        vsnprintf(result->text, sizeof(result->text), format, arguments);
        va_end(arguments);
    }
    return err;
}

void weir_result_account(weir_bench_result *result, const weir_account *account, uint64_t sent)
{
    result->lost += weir_account_lost(account, sent);
    result->duplicated += account->duplicated;
    result->reordered += account->reordered;
}

void weir_result_tally(weir_bench_result *result, const weir_tally *tally, uint64_t sent)
{
    result->delivered += atomic_load(&tally->had) + atomic_load(&tally->duplicated);
    result->lost += weir_tally_lost(tally, sent);
    result->duplicated += atomic_load(&tally->duplicated);
    result->reordered += atomic_load(&tally->reordered);
    result->alien += atomic_load(&tally->alien);
}

void weir_result_latency(weir_bench_result *result, const weir_histogram *latency)
{
    result->latency_p50_ns = weir_histogram_quantile(latency, 500000);
    result->latency_p90_ns = weir_histogram_quantile(latency, 900000);
    result->latency_p99_ns = weir_histogram_quantile(latency, 990000);
    result->latency_p999_ns = weir_histogram_quantile(latency, 999000);
    result->latency_max_ns = latency->max;
}
