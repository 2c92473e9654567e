/**
 * The statistics of the report: summaries, Student's t, Welch's test, intervals. For presentation
 * only: unlike the results of training, the last bits may depend on the machine's libm.
 *
 * Where something is undefined (the standard deviation of one value, say) the result is NAN, or an
 * interval with known == false.
 */
#ifndef CM_CORE_STATISTICS_STATISTICS_H
#define CM_CORE_STATISTICS_STATISTICS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_summary {
    int n;
    double mean;
    double sd; /* n - 1 in the denominator; NAN when n < 2 */
    double min, max;
} cm_summary;

typedef struct cm_interval {
    bool known; /* false: too few values; low and high are then NAN */
    double low, high;
} cm_interval;

/** A difference of means with its test of "no difference" and its interval. */
typedef struct cm_mean_difference {
    double difference; /* NAN when a side is empty */
    double t, df;      /* Student's t and its degrees of freedom; NAN when unknown */
    double p;          /* two-sided; NAN when unknown */
    cm_interval interval;
} cm_mean_difference;

/** Mean, standard deviation and extremes of n values; all NAN for n == 0. */
cm_summary cm_summarize(const double *values, int n);

/** P(T <= t) of Student's t distribution with df > 0 degrees of freedom (not necessarily whole), by
 * the regularised incomplete beta function. Relative error below 1e-9 in both tails for df <= 1e4.
 */
double cm_student_t_cdf(double t, double df);

/** The t for which cm_student_t_cdf() is p; infinite for p == 0 or 1, NAN outside [0, 1]. */
double cm_student_t_quantile(double p, double df);

/** Where one further value will lie with probability `level`, if values are normal:
 * mean -+ t(n - 1) sd sqrt(1 + 1/n). Needs n >= 2. */
cm_interval cm_prediction_interval(const cm_summary *summary, double level);

/** Where the true mean lies with confidence `level`: mean -+ t(n - 1) sd / sqrt(n). n >= 2. */
cm_interval cm_mean_interval(const cm_summary *summary, double level);

/** mean(a) - mean(b) of n pairs (a[i] belongs to b[i]), from the n differences. The interval needs
 * n >= 2. */
cm_mean_difference cm_paired_difference(const double *a, const double *b, int n, double level);

/** mean(a) - mean(b) of independent samples of unequal variance: Welch's t-test, degrees of freedom
 * by Welch and Satterthwaite. Needs two values a side. */
cm_mean_difference cm_welch_difference(const cm_summary *a, const cm_summary *b, double level);

#ifdef __cplusplus
}
#endif

#endif
