#include "core/statistics/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cm_interval unknown = {false, NAN, NAN};

static int compare_doubles(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* A sorted copy; free() it. NULL: no memory, or nothing to sort. */
static double *sorted(const double *values, int n) {
    double *copy = n > 0 ? malloc((size_t)n * sizeof *copy) : NULL;
    if (copy != NULL) {
        memcpy(copy, values, (size_t)n * sizeof *copy);
        qsort(copy, (size_t)n, sizeof *copy, compare_doubles);
    }
    return copy;
}

static double middle(const double *ordered, size_t n) {
    return n % 2 == 1 ? ordered[n / 2] : 0.5 * (ordered[n / 2 - 1] + ordered[n / 2]);
}

double cm_median(const double *values, int n) {
    double *ordered = sorted(values, n);
    const double median = ordered == NULL ? NAN : middle(ordered, (size_t)n);
    free(ordered);
    return median;
}

cm_interval cm_median_interval(const double *values, int n, double level) {
    /* The largest k with P(fewer than k of n values lie below the median) <= (1 - level) / 2. */
    const double tail = 0.5 * (1.0 - level);
    double sum = 0.0;
    int k = 0;
    while (k < n / 2) {
        sum += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) - n * log(2.0));
        if (sum > tail) {
            break;
        }
        ++k;
    }
    double *ordered = k > 0 ? sorted(values, n) : NULL;
    if (ordered == NULL) {
        return unknown;
    }
    const cm_interval interval = {true, ordered[k - 1], ordered[n - k]};
    free(ordered);
    return interval;
}

/* ---- Ranks ---- */

/* Number of pairs with a[i] > b[j], ties counting half; and the sum of t^3 - t over ties. */
typedef struct rank_sums {
    double u, ties;
} rank_sums;

static bool rank(const double *a, int a_count, const double *b, int b_count, rank_sums *sums) {
    const int n = a_count + b_count;
    double *left = sorted(a, a_count), *right = sorted(b, b_count);
    *sums = (rank_sums){0.0, 0.0};
    const bool ok = left != NULL && right != NULL;
    for (int i = 0, j = 0; ok && i + j < n;) {
        const double value =
            j == b_count || (i < a_count && left[i] <= right[j]) ? left[i] : right[j];
        const int below = j;
        int equal_a = 0, equal_b = 0;
        for (; i < a_count && left[i] == value; ++i) {
            ++equal_a;
        }
        for (; j < b_count && right[j] == value; ++j) {
            ++equal_b;
        }
        const double equal = equal_a + equal_b;
        sums->u += equal_a * (below + 0.5 * equal_b);
        sums->ties += equal * equal * equal - equal;
    }
    free(left);
    free(right);
    return ok;
}

/* P(U = 0), P(U = 1) ... of the test without ties, by Mann and Whitney's recurrence: of i and j
 * values the largest is one of the i, with j below it, or one of the j. free() it. */
static double *exact_distribution(int a_count, int b_count) {
    const size_t size = (size_t)a_count * (size_t)b_count + 1;
    double *table = calloc(size * (size_t)(a_count + 1), sizeof *table);
    double *result = malloc(size * sizeof *result);
    if (table == NULL || result == NULL) {
        free(table);
        free(result);
        return NULL;
    }
    for (int i = 0; i <= a_count; ++i) {
        table[(size_t)i * size] = 1.0; /* no b: U = 0 */
    }
    for (int j = 1; j <= b_count; ++j) {
        for (int i = 1; i <= a_count; ++i) {
            double *now = table + (size_t)i * size; /* holds the row of j - 1 */
            const double *fewer = now - size;
            const double from_a = (double)i / (i + j), from_b = (double)j / (i + j);
            for (size_t u = size; u-- > 0;) {
                const double shifted = u >= (size_t)j ? fewer[u - (size_t)j] : 0.0;
                now[u] = from_b * now[u] + from_a * shifted;
            }
        }
    }
    memcpy(result, table + (size_t)a_count * size, size * sizeof *result);
    free(table);
    return result;
}

static double normal_p(const rank_sums *sums, double a_count, double b_count) {
    const double n = a_count + b_count, pairs = a_count * b_count;
    const double variance = pairs / 12.0 * (n + 1.0 - sums->ties / (n * (n - 1.0)));
    const double distance = fabs(sums->u - 0.5 * pairs) - 0.5;
    return variance > 0.0 ? fmin(1.0, erfc(fmax(0.0, distance) / sqrt(2.0 * variance))) : NAN;
}

static bool is_small(int a_count, int b_count) {
    return a_count <= CM_EXACT_RANKS && b_count <= CM_EXACT_RANKS;
}

static bool samples_are_finite(const double *values, int n) {
    for (int i = 0; i < n; ++i) {
        if (!isfinite(values[i])) {
            return false;
        }
    }
    return n > 0;
}

double cm_mann_whitney(const double *a, int a_count, const double *b, int b_count) {
    rank_sums sums;
    if (!samples_are_finite(a, a_count) || !samples_are_finite(b, b_count) ||
        !rank(a, a_count, b, b_count, &sums)) {
        return NAN;
    }
    if (sums.ties > 0.0 || !is_small(a_count, b_count)) {
        return normal_p(&sums, a_count, b_count);
    }
    double *distribution = exact_distribution(a_count, b_count);
    if (distribution == NULL) {
        return NAN;
    }
    const double pairs = (double)a_count * b_count;
    const double smaller = fmin(sums.u, pairs - sums.u);
    double tail = 0.0;
    for (int u = 0; u <= (int)smaller; ++u) {
        tail += distribution[u];
    }
    free(distribution);
    return fmin(1.0, 2.0 * tail);
}

/* The smallest U that the test accepts: the interval begins at the ratio of this place, counted
 * from
 * 1. 0: it accepts all. */
static size_t first_accepted(int a_count, int b_count, double level) {
    const double tail = 0.5 * (1.0 - level), pairs = (double)a_count * b_count;
    double *distribution = is_small(a_count, b_count) ? exact_distribution(a_count, b_count) : NULL;
    if (distribution == NULL) {
        const double z = -cm_student_t_quantile(tail, 1e9);
        const double edge = 0.5 * pairs - z * sqrt(pairs * (a_count + b_count + 1.0) / 12.0);
        return edge >= 0.0 ? (size_t)edge + 1 : 0;
    }
    size_t k = 0;
    double sum = distribution[0];
    while (sum <= tail && (double)k < 0.5 * pairs) {
        sum += distribution[++k];
    }
    free(distribution);
    return k;
}

static bool all_positive(const double *values, int n) {
    for (int i = 0; i < n; ++i) {
        if (!(values[i] > 0.0 && isfinite(values[i]))) {
            return false;
        }
    }
    return n > 0;
}

cm_ratio cm_sample_ratio(const double *a, int a_count, const double *b, int b_count, double level) {
    cm_ratio result = {NAN, unknown, cm_mann_whitney(a, a_count, b, b_count)};
    if (!all_positive(a, a_count) || !all_positive(b, b_count)) {
        return result;
    }
    const size_t pairs = (size_t)a_count * (size_t)b_count;
    double *ratios = malloc(pairs * sizeof *ratios);
    if (ratios == NULL) {
        return result;
    }
    for (size_t i = 0; i < pairs; ++i) {
        ratios[i] = b[i % (size_t)b_count] / a[i / (size_t)b_count];
    }
    qsort(ratios, pairs, sizeof *ratios, compare_doubles);
    /* The median on logarithms. */
    result.ratio =
        pairs % 2 == 1 ? ratios[pairs / 2] : sqrt(ratios[pairs / 2 - 1]) * sqrt(ratios[pairs / 2]);
    const size_t k = first_accepted(a_count, b_count, level);
    if (k > 0) {
        result.interval = (cm_interval){true, ratios[k - 1], ratios[pairs - k]};
    }
    free(ratios);
    return result;
}
