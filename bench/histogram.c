/* bench/histogram.c - reading a log-linear histogram: from counts back to values.
 *
 * [H1] Every value falls into one bucket, and a bucket's top is at most 1/128 above its bottom.
 * [H2] A quantile is never below the true one, and never above the largest value. */
#include "bench/histogram.h"

uint64_t weir_histogram_bucket_top(size_t bucket)
{
    size_t shift;
    uint64_t part;
    if (bucket < 2 * WEIR_HISTOGRAM_PARTS) {
        return bucket;
    }
    shift = bucket / WEIR_HISTOGRAM_PARTS - 1;
    part = bucket - shift * WEIR_HISTOGRAM_PARTS;
    return ((part + 1) << shift) - 1; /* wraps to UINT64_MAX for the last one, as it should */
}

uint64_t weir_histogram_quantile(const weir_histogram *histogram, uint32_t parts_per_million)
{
    /* How many values must lie at or below the answer; rounded up, at least one. */
    uint64_t wanted = histogram->total / 1000000 * parts_per_million +
                      (histogram->total % 1000000 * parts_per_million + 999999) / 1000000;
    uint64_t seen = 0;
    if (histogram->total == 0) {
        return 0;
    }
    wanted = wanted > 0 ? wanted : 1;
    for (size_t i = 0; i < WEIR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted) {
            uint64_t top = weir_histogram_bucket_top(i);
            return top < histogram->max ? top : histogram->max;
        }
    }
    return histogram->max;
}
