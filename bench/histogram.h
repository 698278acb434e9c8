/* bench/histogram.h - counts of durations in log-linear buckets (the layout of HdrHistogram).
 *
 *   value:   0 ... 255 | 256 ... 511 | 512 ... 1023 | ...     each power of two in 128 equal parts
 *   bucket:  one each  | 128 of 2    | 128 of 4     | ...     so a bucket is at most 1/128 wide
 *
 * Pure; one thread at a time. Values are nanoseconds here, but nothing depends on it. */
#ifndef WEIR_BENCH_HISTOGRAM_H
#define WEIR_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_HISTOGRAM_PART_BITS = 7,
    WEIR_HISTOGRAM_PARTS = 1 << WEIR_HISTOGRAM_PART_BITS,
    WEIR_HISTOGRAM_BUCKETS = (64 - WEIR_HISTOGRAM_PART_BITS + 1) * WEIR_HISTOGRAM_PARTS,
};

typedef struct weir_histogram {
    uint64_t total;
    uint64_t max;
    uint64_t counts[WEIR_HISTOGRAM_BUCKETS];
} weir_histogram;

static inline size_t weir_histogram_bucket(uint64_t value)
{
    int shift;
    if (value < 2 * WEIR_HISTOGRAM_PARTS) {
        return (size_t)value;
    }
    shift = 63 - __builtin_clzll(value) - WEIR_HISTOGRAM_PART_BITS;
    return (size_t)shift * WEIR_HISTOGRAM_PARTS + (size_t)(value >> shift);
}

static inline void weir_histogram_add(weir_histogram *histogram, uint64_t value)
{
    histogram->counts[weir_histogram_bucket(value)]++;
    histogram->total++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

/* The largest value that falls into the bucket. */
uint64_t weir_histogram_bucket_top(size_t bucket);
/* The value that `parts_per_million` of all values do not exceed, rounded up to its bucket's top
 * but never above the largest value seen. 0 when nothing was added. */
uint64_t weir_histogram_quantile(const weir_histogram *histogram, uint32_t parts_per_million);

#endif
