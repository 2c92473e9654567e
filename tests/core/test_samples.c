/* Statistics of repeated measurements against scipy's values (tests/oracles/samples.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

static double rank_p(const double *a, int n, const double *b, int m) {
    double p;
    assert_int_equal(cm_mann_whitney(a, n, b, m, &p, NULL), CM_OK);
    return p;
}

static cm_ratio ratio_of(const double *a, int n, const double *b, int m) {
    cm_ratio ratio;
    assert_int_equal(cm_sample_ratio(a, n, b, m, 0.95, &ratio, NULL), CM_OK);
    return ratio;
}

static void test_against_scipy(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(golden_samples); ++i) {
        const double *a = golden_samples[i].a, *b = golden_samples[i].b;
        const int n = golden_samples[i].a_count, m = golden_samples[i].b_count;
        assert_close(cm_median(a, n), golden_samples[i].median);
        assert_interval(cm_median_interval(a, n, 0.95), golden_samples[i].low,
                        golden_samples[i].high);
        assert_close(rank_p(a, n, b, m), golden_samples[i].p);
        const cm_ratio ratio = ratio_of(a, n, b, m);
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
    const cm_ratio forth = ratio_of(a, n, b, m);
    const cm_ratio back = ratio_of(b, m, a, n);
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
    assert_true(isnan(cm_median(bad, 3)));
    assert_true(isnan(rank_p(good, 0, good, 6)));
    assert_true(isnan(rank_p(good, 6, bad, 3)));
    assert_true(isnan(rank_p(same, 3, same, 3)));
    assert_true(isnan(ratio_of(good, 6, bad, 3).ratio));
    assert_true(isnan(ratio_of(zero, 6, good, 6).ratio));
    assert_false(ratio_of(zero, 6, good, 6).interval.known);
    assert_false(ratio_of(good, 3, good, 3).interval.known);
}

static int by_value(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Reproducible numbers; rounded to a grid, so that there are ties. */
static double draw(uint32_t *state, double grid) {
    *state = *state * 1664525u + 1013904223u;
    const double value = (double)(*state >> 8) / (1 << 24);
    return grid > 0 ? floor(value * grid) / grid : value;
}

/* The median of all quotients and the two of the interval by sorting all of them: the same doubles
 * to the bit. Numbers of all signs and sizes, for the medians of samples. */
static void test_selection_is_sorting(void **state) {
    (void)state;
    enum { MOST = 40 };
    uint32_t seed = 1;
    for (int round = 0; round < 300; ++round) {
        double a[MOST], b[MOST], quotients[MOST * MOST];
        const int n = 1 + (int)(draw(&seed, 0) * MOST), m = 1 + (int)(draw(&seed, 0) * MOST);
        const double grid = round % 3 == 0 ? 4 : 0, scale = round % 2 == 0 ? 1 : 700;
        for (int i = 0; i < n; ++i) {
            a[i] = exp(scale * (draw(&seed, grid) - 0.5));
        }
        for (int i = 0; i < m; ++i) {
            b[i] = exp(scale * (draw(&seed, grid) - 0.4));
        }
        const int pairs = n * m;
        for (int i = 0; i < pairs; ++i) {
            quotients[i] = b[i % m] / a[i / m];
        }
        qsort(quotients, (size_t)pairs, sizeof *quotients, by_value);
        const cm_ratio ratio = ratio_of(a, n, b, m);
        const double below = quotients[(pairs - 1) / 2], above = quotients[pairs / 2];
        assert_true(ratio.ratio == (pairs % 2 == 1 ? above : sqrt(below) * sqrt(above)));
        if (ratio.interval.known) { /* its ends lie at mirrored places */
            int place = 0;
            while (quotients[place] < ratio.interval.low) {
                ++place;
            }
            while (quotients[pairs - 1 - place] > ratio.interval.high) {
                ++place;
            }
            assert_true(quotients[place] == ratio.interval.low);
            assert_true(quotients[pairs - 1 - place] == ratio.interval.high);
        }
        for (int i = 0; i < n; ++i) {
            a[i] = i % 3 == 0 ? -a[i] : i % 7 == 0 ? 0.0 : a[i];
        }
        const double median = cm_median(a, n);
        const cm_interval interval = cm_median_interval(a, n, 0.95);
        qsort(a, (size_t)n, sizeof *a, by_value);
        assert_true(median == (n % 2 == 1 ? a[n / 2] : 0.5 * (a[n / 2 - 1] + a[n / 2])));
        for (int i = 0; interval.known && i < n; ++i) {
            if (a[i] == interval.low) {
                assert_true(interval.low <= interval.high);
                break;
            }
            assert_true(a[i] < interval.low);
        }
    }
}

/* 10^10 quotients, which would be 80 GB. */
static void test_many_samples(void **state) {
    (void)state;
    enum { MANY = 100000 };
    double *a = malloc(MANY * sizeof *a), *b = malloc(MANY * sizeof *b);
    uint32_t seed = 2;
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < MANY; ++i) {
        a[i] = 1 + draw(&seed, 0);
        b[i] = 1.5 * (1 + draw(&seed, 0));
    }
    const cm_ratio ratio = ratio_of(a, MANY, b, MANY);
    assert_true(fabs(ratio.ratio - 1.5) < 0.01);
    assert_true(ratio.interval.known && ratio.interval.low < ratio.ratio);
    assert_true(ratio.interval.high > ratio.ratio && ratio.interval.high < 1.51);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_scipy),       cmocka_unit_test(test_both_sides_are_alike),
        cmocka_unit_test(test_what_is_not_defined), cmocka_unit_test(test_selection_is_sorting),
        cmocka_unit_test(test_many_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
