/* Statistics of repeated measurements against scipy's values (tests/oracles/samples.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/statistics/samples.h"
#include "oracles/samples_golden.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_close(double actual, double expected) {
    if (!(fabs(actual - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("%.17g is not %.17g", actual, expected);
    }
}

static void assert_interval(cm_interval interval, double low, double high) {
    assert_int_equal(interval.known, high > 0);
    if (interval.known) {
        assert_close(interval.low, low);
        assert_close(interval.high, high);
    }
}

static void test_against_scipy(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(golden_samples); ++i) {
        const double *a = golden_samples[i].a, *b = golden_samples[i].b;
        const int n = golden_samples[i].a_count, m = golden_samples[i].b_count;
        assert_close(cm_median(a, n), golden_samples[i].median);
        assert_interval(cm_median_interval(a, n, 0.95), golden_samples[i].low,
                        golden_samples[i].high);
        assert_close(cm_mann_whitney(a, n, b, m), golden_samples[i].p);
        const cm_ratio ratio = cm_sample_ratio(a, n, b, m, 0.95);
        assert_close(ratio.ratio, golden_samples[i].ratio);
        assert_close(ratio.p, golden_samples[i].p);
        if (golden_samples[i].ratio_high > 0) { /* the script leaves ties out */
            assert_interval(ratio.interval, golden_samples[i].ratio_low,
                            golden_samples[i].ratio_high);
        }
    }
}

static void test_both_sides_are_alike(void **state) {
    (void)state;
    const double *a = golden_samples[6].a, *b = golden_samples[6].b;
    const int n = golden_samples[6].a_count, m = golden_samples[6].b_count;
    const cm_ratio forth = cm_sample_ratio(a, n, b, m, 0.95);
    const cm_ratio back = cm_sample_ratio(b, m, a, n, 0.95);
    assert_close(forth.ratio, 1 / back.ratio);
    assert_close(forth.interval.low, 1 / back.interval.high);
    assert_close(forth.p, back.p);
}

static void test_what_is_not_defined(void **state) {
    (void)state;
    const double good[] = {1, 2, 3, 4, 5, 6}, bad[] = {1, NAN, 2}, zero[] = {0, 1, 2, 3, 4, 5};
    const double same[] = {2, 2, 2};
    assert_true(isnan(cm_median(good, 0)));
    assert_false(cm_median_interval(good, 5, 0.95).known);
    assert_true(cm_median_interval(good, 6, 0.95).known);
    assert_true(isnan(cm_mann_whitney(good, 0, good, 6)));
    assert_true(isnan(cm_mann_whitney(good, 6, bad, 3)));
    assert_true(isnan(cm_mann_whitney(same, 3, same, 3)));
    assert_true(isnan(cm_sample_ratio(good, 6, bad, 3, 0.95).ratio));
    assert_true(isnan(cm_sample_ratio(zero, 6, good, 6, 0.95).ratio));
    assert_false(cm_sample_ratio(zero, 6, good, 6, 0.95).interval.known);
    assert_false(cm_sample_ratio(good, 3, good, 3, 0.95).interval.known);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_scipy),
        cmocka_unit_test(test_both_sides_are_alike),
        cmocka_unit_test(test_what_is_not_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
