/**
 * Statistics of repeated measurements, which have outliers and no known distribution: by ranks
 * only. Where something is undefined the result is NAN, or an interval with known == false, as in
 * statistics.h. "No memory" is a status and never one of these values: a caller that judges by them
 * must not judge then.
 */
#ifndef CM_CORE_STATISTICS_SAMPLES_H
#define CM_CORE_STATISTICS_SAMPLES_H

#include "convmark/status.h"
#include "core/statistics/statistics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The middle value, or the mean of the two middle ones; NAN for n == 0 or a value that is NAN.
 * O(n), without memory. */
double cm_median(const double *values, int n);

/**
 * Where the true median lies with confidence of at least `level`: between two order statistics,
 * chosen by the binomial distribution (e.g. Hahn & Meeker, Statistical Intervals, 1991, ch. 5).
 * Six values are needed for 95 %. O(n), without memory.
 */
cm_interval cm_median_interval(const double *values, int n, double level);

/**
 * Two-sided p of the Mann-Whitney U test (1947) of "neither sample tends to larger values": exact
 * for up to CM_EXACT_RANKS values a side without ties, else by the normal approximation with the
 * correction for ties and continuity. *p is NAN when a side is empty, a value is not finite or all
 * values are equal. O(n log n) in time and O(n) in memory. CM_FAILED: no memory.
 */
CM_MUST_CHECK cm_status cm_mann_whitney(const double *a, int a_count, const double *b, int b_count,
                                        double *p, cm_error *error);

enum { CM_EXACT_RANKS = 30 };

/** By how much b is larger than a: the factor, and the test of "no difference". */
typedef struct cm_ratio {
    double ratio;         /* NAN where a side is empty or a value is not > 0 */
    cm_interval interval; /* of the factor */
    double p;             /* of cm_mann_whitney() */
} cm_ratio;

/**
 * The Hodges-Lehmann estimator (1963) of a shift, on logarithms: the median of all b[j] / a[i],
 * with the interval that the rank test inverts to (Moses; see Hollander & Wolfe, Nonparametric
 * Statistical Methods, ch. 4). The same doubles as sorting all quotients would give, by counting
 * them: O(n log n) in time and O(n) in memory for samples of n values. CM_FAILED: no memory.
 */
CM_MUST_CHECK cm_status cm_sample_ratio(const double *a, int a_count, const double *b, int b_count,
                                        double level, cm_ratio *ratio, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
