/* tests/unit/bench/histogram_test.c - [H1] and [H2] of bench/histogram.c. */
#include "bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

static void every_value_lies_in_its_bucket_within_a_128th(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int offset = -1; offset <= 1; offset++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)(int64_t)offset;
            size_t bucket = weir_histogram_bucket(value);
            uint64_t top = weir_histogram_bucket_top(bucket);
            assert_true(bucket < WEIR_HISTOGRAM_BUCKETS);
            assert_true(value <= top); /* [H1] */
            assert_true(top - value <= value / 128);
            assert_true(bucket == 0 || weir_histogram_bucket_top(bucket - 1) < value);
        }
    }
    assert_true(weir_histogram_bucket(UINT64_MAX) < WEIR_HISTOGRAM_BUCKETS);
}

static void quantiles_are_not_below_the_true_ones(void **state)
{
    weir_histogram *histogram = calloc(1, sizeof(*histogram));
    (void)state;
    for (uint64_t value = 1; value <= 1000000; value += 7) {
        weir_histogram_add(histogram, value);
    }
    for (uint32_t part = 1000; part <= 999000; part += 1000) {
        uint64_t got = weir_histogram_quantile(histogram, part);
        assert_true(got + 7 >= part && got <= part + part / 100 + 8); /* [H2] */
    }
    assert_int_equal(weir_histogram_quantile(histogram, 1000000), histogram->max);
    free(histogram);
}

static void an_empty_one_says_nought(void **state)
{
    weir_histogram *histogram = calloc(1, sizeof(*histogram));
    (void)state;
    assert_int_equal(weir_histogram_quantile(histogram, 500000), 0);
    weir_histogram_add(histogram, 42);
    assert_int_equal(weir_histogram_quantile(histogram, 1), 42);
    free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_lies_in_its_bucket_within_a_128th),
        cmocka_unit_test(quantiles_are_not_below_the_true_ones),
        cmocka_unit_test(an_empty_one_says_nought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
