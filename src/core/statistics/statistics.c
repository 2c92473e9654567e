#include "core/statistics/statistics.h"

#include <float.h>
#include <math.h>

static const cm_interval unknown_interval = {false, NAN, NAN};

cm_summary cm_summarize(const double *values, int n) {
    cm_summary summary = {n, NAN, NAN, NAN, NAN};
    if (n < 1) {
        return summary;
    }
    double sum = 0;
    summary.min = summary.max = values[0];
    for (int i = 0; i < n; ++i) {
        sum += values[i];
        summary.min = values[i] < summary.min ? values[i] : summary.min;
        summary.max = values[i] > summary.max ? values[i] : summary.max;
    }
    summary.mean = sum / n;
    if (n > 1) {
        /* Two passes: the squares of the deviations do not cancel. */
        double squares = 0;
        for (int i = 0; i < n; ++i) {
            const double deviation = values[i] - summary.mean;
            squares += deviation * deviation;
        }
        summary.sd = sqrt(squares / (n - 1));
    }
    return summary;
}

/* The continued fraction of the incomplete beta function (DLMF 8.17.22) by the modified Lentz
 * method; converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b) {
    enum { MAX_TERMS = 10000 };
    const double tiny = DBL_MIN / DBL_EPSILON; /* stands for 0 in a denominator */
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double fraction = d;
    for (int m = 1; m < MAX_TERMS; ++m) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double factor = 1;
        for (int half = 0; half < 2; ++half) {
            const double term = half == 0 ? even : odd;
            d = 1 + term * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + term / c;
            c = fabs(c) < tiny ? tiny : c;
            factor = c * d; /* of the odd half: the test of convergence */
            fraction *= factor;
        }
        if (fabs(factor - 1) <= DBL_EPSILON) {
            break;
        }
    }
    return fraction;
}

/* Regularised incomplete beta function I_x(a, b); `y` is 1 - x, given because the caller knows it
 * without cancellation. */
static double beta_regularised(double x, double y, double a, double b) {
    if (x <= 0) {
        return 0;
    }
    if (y <= 0) {
        return 1;
    }
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2)) {
        return front * beta_fraction(x, a, b) / a;
    }
    return 1 - front * beta_fraction(y, b, a) / b;
}

/* P(T > t) for t >= 0. */
static double upper_tail(double t, double df) {
    if (isinf(t)) {
        return 0;
    }
    const double square = t * t;
    return beta_regularised(df / (df + square), square / (df + square), df / 2, 0.5) / 2;
}

double cm_student_t_cdf(double t, double df) {
    if (isnan(t) || !(df > 0)) {
        return NAN;
    }
    return t < 0 ? upper_tail(-t, df) : 1 - upper_tail(t, df);
}

double cm_student_t_quantile(double p, double df) {
    if (!(p >= 0 && p <= 1 && df > 0)) {
        return NAN;
    }
    const double tail = p < 0.5 ? p : 1 - p;
    double t = INFINITY;
    if (tail > 0) {
        double low = 0, high = 1;
        while (upper_tail(high, df) > tail && high < DBL_MAX / 4) {
            low = high;
            high *= 2;
        }
        /* Bisection down to neighbouring doubles: some 60 steps, and nothing that can go wrong. */
        for (t = low + (high - low) / 2; t > low && t < high; t = low + (high - low) / 2) {
            if (upper_tail(t, df) > tail) {
                low = t;
            } else {
                high = t;
            }
            if (high < DBL_MIN) {
                break;
            }
        }
    }
    return p < 0.5 ? -t : t;
}

/* center -+ t * error, with the t of a two-sided interval. */
static cm_interval t_interval(double center, double error, double df, double level) {
    const double reach = cm_student_t_quantile(1 - (1 - level) / 2, df) * error;
    return (cm_interval){true, center - reach, center + reach};
}

cm_interval cm_prediction_interval(const cm_summary *summary, double level) {
    if (summary->n < 2) {
        return unknown_interval;
    }
    const double error = summary->sd * sqrt(1 + 1.0 / summary->n);
    return t_interval(summary->mean, error, summary->n - 1, level);
}

cm_interval cm_mean_interval(const cm_summary *summary, double level) {
    if (summary->n < 2) {
        return unknown_interval;
    }
    return t_interval(summary->mean, summary->sd / sqrt(summary->n), summary->n - 1, level);
}

static cm_mean_difference t_difference(double difference, double error, double df, double level) {
    cm_mean_difference result = {difference, NAN, df, NAN, unknown_interval};
    result.interval = t_interval(difference, error, df, level);
    if (error > 0) {
        result.t = difference / error;
    } else {
        result.t = difference == 0 ? 0 : copysign(INFINITY, difference);
    }
    result.p = 2 * upper_tail(fabs(result.t), df);
    return result;
}

cm_mean_difference cm_paired_difference(const double *a, const double *b, int n, double level) {
    /* Mean and spread of a[i] - b[i], by the same two passes as cm_summarize(). */
    double sum = 0;
    for (int i = 0; i < n; ++i) {
        sum += a[i] - b[i];
    }
    const double mean = n > 0 ? sum / n : NAN;
    if (n < 2) {
        return (cm_mean_difference){mean, NAN, NAN, NAN, unknown_interval};
    }
    double squares = 0;
    for (int i = 0; i < n; ++i) {
        const double deviation = a[i] - b[i] - mean;
        squares += deviation * deviation;
    }
    return t_difference(mean, sqrt(squares / (n - 1) / n), n - 1, level);
}

cm_mean_difference cm_welch_difference(const cm_summary *a, const cm_summary *b, double level) {
    const double difference = a->mean - b->mean;
    if (a->n < 2 || b->n < 2) {
        return (cm_mean_difference){difference, NAN, NAN, NAN, unknown_interval};
    }
    const double va = a->sd * a->sd / a->n;
    const double vb = b->sd * b->sd / b->n;
    const double v = va + vb;
    /* Two constant samples: any number of degrees gives the same answer. */
    const double df =
        v > 0 ? v * v / (va * va / (a->n - 1) + vb * vb / (b->n - 1)) : a->n + b->n - 2;
    return t_difference(difference, sqrt(v), df, level);
}
