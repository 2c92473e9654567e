/* The statistics against scipy's values (tests/oracles/statistics.py), to 1e-9 relative. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/statistics/statistics.h"
#include "oracles/statistics_golden.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_close(double actual, double expected) {
    if (!(fabs(actual - expected) <= 1e-9 * fabs(expected))) {
        fail_msg("%.17g is not %.17g", actual, expected);
    }
}

static void test_cdf(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(golden_cdf); ++i) {
        assert_close(cm_student_t_cdf(golden_cdf[i].t, golden_cdf[i].df), golden_cdf[i].cdf);
    }
    assert_true(cm_student_t_cdf(INFINITY, 3) == 1);
    assert_true(cm_student_t_cdf(-INFINITY, 3) == 0);
    assert_true(isnan(cm_student_t_cdf(NAN, 3)));
    assert_true(isnan(cm_student_t_cdf(1, 0)));
    assert_true(isnan(cm_student_t_cdf(1, -2)));
}

static void test_quantile(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(golden_quantile); ++i) {
        const double t = cm_student_t_quantile(golden_quantile[i].p, golden_quantile[i].df);
        if (golden_quantile[i].p == 0.5) {
            assert_true(fabs(t) < 1e-15); /* a relative error of zero says nothing */
        } else {
            assert_close(t, golden_quantile[i].t);
        }
    }
    assert_true(cm_student_t_quantile(0, 4) == -INFINITY);
    assert_true(cm_student_t_quantile(1, 4) == INFINITY);
    assert_true(isnan(cm_student_t_quantile(1.5, 4)));
    assert_true(isnan(cm_student_t_quantile(NAN, 4)));
    assert_true(isnan(cm_student_t_quantile(0.5, 0)));
}

static void test_summary(void **state) {
    (void)state;
    const cm_summary a = cm_summarize(sample_a, COUNT(sample_a));
    assert_int_equal(a.n, 5);
    assert_close(a.mean, golden_mean);
    assert_close(a.sd, golden_sd);
    assert_true(a.min == 0.8071875 && a.max == 0.81203125);
}

static void test_intervals(void **state) {
    (void)state;
    const cm_summary a = cm_summarize(sample_a, COUNT(sample_a));
    const cm_interval prediction = cm_prediction_interval(&a, 0.95);
    assert_true(prediction.known);
    assert_close(prediction.low, golden_prediction_low);
    assert_close(prediction.high, golden_prediction_high);
    const cm_interval mean = cm_mean_interval(&a, 0.95);
    assert_true(mean.known);
    assert_close(mean.low, golden_mean_low);
    assert_close(mean.high, golden_mean_high);
}

static void test_welch(void **state) {
    (void)state;
    const cm_summary a = cm_summarize(sample_a, COUNT(sample_a));
    const cm_summary b = cm_summarize(sample_b, COUNT(sample_b));
    const cm_mean_difference welch = cm_welch_difference(&a, &b, 0.95);
    assert_close(welch.difference, golden_welch_difference);
    assert_close(welch.t, golden_welch_t);
    assert_close(welch.df, golden_welch_df);
    assert_close(welch.p, golden_welch_p);
    assert_true(welch.interval.known);
    assert_close(welch.interval.low, golden_welch_low);
    assert_close(welch.interval.high, golden_welch_high);
}

static void test_paired(void **state) {
    (void)state;
    const cm_mean_difference paired =
        cm_paired_difference(sample_a, sample_b, COUNT(sample_a), 0.95);
    assert_close(paired.difference, golden_paired_difference);
    assert_close(paired.t, golden_paired_t);
    assert_close(paired.df, golden_paired_df);
    assert_close(paired.p, golden_paired_p);
    assert_true(paired.interval.known);
    assert_close(paired.interval.low, golden_paired_low);
    assert_close(paired.interval.high, golden_paired_high);
}

/* One value has a mean but no spread: nothing may be claimed from it. */
static void test_too_few(void **state) {
    (void)state;
    const cm_summary none = cm_summarize(sample_a, 0);
    assert_true(none.n == 0 && isnan(none.mean) && isnan(none.sd) && isnan(none.min));
    const cm_summary one = cm_summarize(sample_a, 1);
    assert_true(one.n == 1 && one.mean == sample_a[0] && isnan(one.sd));
    assert_true(one.min == sample_a[0] && one.max == sample_a[0]);
    assert_false(cm_prediction_interval(&one, 0.95).known);
    assert_false(cm_mean_interval(&one, 0.95).known);
    const cm_mean_difference paired = cm_paired_difference(sample_a, sample_b, 1, 0.95);
    assert_true(paired.difference == sample_a[0] - sample_b[0] && isnan(paired.p));
    assert_false(paired.interval.known);
    assert_true(isnan(cm_paired_difference(sample_a, sample_b, 0, 0.95).difference));
    const cm_summary five = cm_summarize(sample_a, 5);
    assert_false(cm_welch_difference(&one, &five, 0.95).interval.known);
    assert_false(cm_welch_difference(&five, &one, 0.95).interval.known);
    assert_true(isnan(cm_welch_difference(&five, &one, 0.95).p));
}

/* Samples without spread: equal ones do not differ, others differ beyond doubt; never NaN. */
static void test_constant(void **state) {
    (void)state;
    static const double low[] = {0.25, 0.25, 0.25}, high[] = {0.75, 0.75, 0.75};
    const cm_summary a = cm_summarize(high, 3), b = cm_summarize(low, 3);
    assert_true(cm_welch_difference(&a, &a, 0.95).p == 1);
    const cm_mean_difference differences[] = {cm_welch_difference(&a, &b, 0.95),
                                              cm_paired_difference(high, low, 3, 0.95)};
    for (size_t i = 0; i < COUNT(differences); ++i) {
        assert_true(differences[i].difference == 0.5 && differences[i].p == 0);
        assert_true(differences[i].interval.low == 0.5 && differences[i].interval.high == 0.5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdf),     cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_summary), cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_welch),   cmocka_unit_test(test_paired),
        cmocka_unit_test(test_too_few), cmocka_unit_test(test_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
