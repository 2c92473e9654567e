#include "core/statistics/samples.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const cm_interval unknown = {false, NAN, NAN};

static cm_status out_of_memory(cm_error *error) {
    return cm_fail(error, CM_FAILED, "statistics: out of memory; close other programs");
}

/* ---- Selection ---- */

/* Doubles in the order of whole numbers: the next number up is the next key up. */
static uint64_t key_of(double value) {
    const uint64_t sign = UINT64_C(1) << 63;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & sign) != 0 ? ~bits : bits | sign;
}

static double value_of(uint64_t key) {
    const uint64_t sign = UINT64_C(1) << 63;
    const uint64_t bits = (key & sign) != 0 ? key & ~sign : ~key;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The smallest number in [low, high] that at least `place` members of a collection do not exceed:
 * its member of this place, counted from 1. Bisection of the keys, so that 64 counts are enough
 * whatever the collection is, and nothing is allocated. */
static double select_place(uint64_t (*count)(const void *collection, double limit),
                           const void *collection, uint64_t place, double low, double high) {
    uint64_t from = key_of(low), to = key_of(high);
    while (from < to) {
        const uint64_t middle = from + (to - from) / 2;
        if (count(collection, value_of(middle)) >= place) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    return value_of(to);
}

typedef struct number_list {
    const double *values;
    int n;
    double low, high;
} number_list;

static uint64_t count_numbers(const void *collection, double limit) {
    const number_list *list = collection;
    uint64_t count = 0;
    for (int i = 0; i < list->n; ++i) {
        count += list->values[i] <= limit;
    }
    return count;
}

/* False when there is no value, or one that is not a number. */
static bool make_list(const double *values, int n, number_list *list) {
    *list = (number_list){values, n, INFINITY, -INFINITY};
    bool numbers = n > 0;
    for (int i = 0; i < n; ++i) {
        numbers = numbers && !isnan(values[i]);
        list->low = values[i] < list->low ? values[i] : list->low;
        list->high = values[i] > list->high ? values[i] : list->high;
    }
    return numbers;
}

static double number_at(const number_list *list, int place) {
    return select_place(count_numbers, list, (uint64_t)place, list->low, list->high);
}

double cm_median(const double *values, int n) {
    number_list list;
    if (!make_list(values, n, &list)) {
        return NAN;
    }
    const double upper = number_at(&list, n / 2 + 1);
    return n % 2 == 1 ? upper : 0.5 * (number_at(&list, n / 2) + upper);
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
    number_list list;
    if (k == 0 || !make_list(values, n, &list)) {
        return unknown;
    }
    return (cm_interval){true, number_at(&list, k), number_at(&list, n + 1 - k)};
}

/* ---- Ranks ---- */

static int compare_doubles(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorted copies of two samples. */
typedef struct sorted_pair {
    double *a, *b;
    int a_count, b_count;
} sorted_pair;

static double *sorted(const double *values, int n) {
    double *copy = malloc((size_t)n * sizeof *copy);
    if (copy != NULL) {
        memcpy(copy, values, (size_t)n * sizeof *copy);
        qsort(copy, (size_t)n, sizeof *copy, compare_doubles);
    }
    return copy;
}

/* Neither is empty. Free with free_pair(), whatever the result. False: no memory. */
static bool sort_pair(const double *a, int a_count, const double *b, int b_count,
                      sorted_pair *pair) {
    *pair = (sorted_pair){sorted(a, a_count), sorted(b, b_count), a_count, b_count};
    return pair->a != NULL && pair->b != NULL;
}

static void free_pair(sorted_pair *pair) {
    free(pair->a);
    free(pair->b);
}

/* Number of pairs with a[i] > b[j], ties counting half; and the sum of t^3 - t over ties. */
typedef struct rank_sums {
    double u, ties;
} rank_sums;

static rank_sums rank(const sorted_pair *pair) {
    const double *left = pair->a, *right = pair->b;
    const int a_count = pair->a_count, b_count = pair->b_count;
    rank_sums sums = {0.0, 0.0};
    for (int i = 0, j = 0; i < a_count || j < b_count;) {
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
        const double equal = (double)equal_a + equal_b;
        sums.u += equal_a * (below + 0.5 * equal_b);
        sums.ties += equal * equal * equal - equal;
    }
    return sums;
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

static cm_status rank_test(const sorted_pair *pair, double *p, cm_error *error) {
    const rank_sums sums = rank(pair);
    if (sums.ties > 0.0 || !is_small(pair->a_count, pair->b_count)) {
        *p = normal_p(&sums, pair->a_count, pair->b_count);
        return CM_OK;
    }
    double *distribution = exact_distribution(pair->a_count, pair->b_count);
    if (distribution == NULL) {
        return out_of_memory(error);
    }
    const double pairs = (double)pair->a_count * pair->b_count;
    const double smaller = fmin(sums.u, pairs - sums.u);
    double tail = 0.0;
    for (int u = 0; u <= (int)smaller; ++u) {
        tail += distribution[u];
    }
    free(distribution);
    *p = fmin(1.0, 2.0 * tail);
    return CM_OK;
}

cm_status cm_mann_whitney(const double *a, int a_count, const double *b, int b_count, double *p,
                          cm_error *error) {
    *p = NAN;
    if (!samples_are_finite(a, a_count) || !samples_are_finite(b, b_count)) {
        return CM_OK;
    }
    sorted_pair pair;
    const cm_status status = sort_pair(a, a_count, b, b_count, &pair) ? rank_test(&pair, p, error)
                                                                      : out_of_memory(error);
    free_pair(&pair);
    return status;
}

/* ---- Quotients ---- */

/* How many quotients b / a do not exceed `limit`. Division rounds monotonically: where a grows, a
 * quotient does not, so that one walk along the edge counts all. */
static uint64_t count_quotients(const void *collection, double limit) {
    const sorted_pair *pair = collection;
    uint64_t count = 0;
    int below = 0;
    for (int i = 0; i < pair->a_count; ++i) {
        while (below < pair->b_count && pair->b[below] / pair->a[i] <= limit) {
            ++below;
        }
        count += (uint64_t)below;
    }
    return count;
}

static double quotient_at(const sorted_pair *pair, uint64_t place) {
    return select_place(count_quotients, pair, place, pair->b[0] / pair->a[pair->a_count - 1],
                        pair->b[pair->b_count - 1] / pair->a[0]);
}

/* The smallest U that the test accepts: the interval begins at the quotient of this place, counted
 * from 1. 0: it accepts all. */
static cm_status first_accepted(int a_count, int b_count, double level, uint64_t *place,
                                cm_error *error) {
    const double tail = 0.5 * (1.0 - level), pairs = (double)a_count * b_count;
    if (!is_small(a_count, b_count)) {
        const double z = -cm_student_t_quantile(tail, 1e9);
        const double edge =
            0.5 * pairs - z * sqrt(pairs * ((double)a_count + b_count + 1.0) / 12.0);
        *place = edge >= 0.0 ? (uint64_t)edge + 1 : 0;
        return CM_OK;
    }
    double *distribution = exact_distribution(a_count, b_count);
    if (distribution == NULL) {
        return out_of_memory(error);
    }
    uint64_t k = 0;
    double sum = distribution[0];
    while (sum <= tail && (double)k < 0.5 * pairs) {
        sum += distribution[++k];
    }
    free(distribution);
    *place = k;
    return CM_OK;
}

static bool all_positive(const double *values, int n) {
    for (int i = 0; i < n; ++i) {
        if (!(values[i] > 0.0 && isfinite(values[i]))) {
            return false;
        }
    }
    return n > 0;
}

static cm_status ratio_of(const sorted_pair *pair, double level, cm_ratio *ratio, cm_error *error) {
    const uint64_t pairs = (uint64_t)pair->a_count * (uint64_t)pair->b_count;
    uint64_t place = 0;
    cm_status status = rank_test(pair, &ratio->p, error);
    if (status == CM_OK) {
        status = first_accepted(pair->a_count, pair->b_count, level, &place, error);
    }
    if (status != CM_OK) {
        return status;
    }
    /* The median on logarithms. */
    const double upper = quotient_at(pair, pairs / 2 + 1);
    ratio->ratio = pairs % 2 == 1 ? upper : sqrt(quotient_at(pair, pairs / 2)) * sqrt(upper);
    if (place > 0) {
        ratio->interval =
            (cm_interval){true, quotient_at(pair, place), quotient_at(pair, pairs + 1 - place)};
    }
    return CM_OK;
}

cm_status cm_sample_ratio(const double *a, int a_count, const double *b, int b_count, double level,
                          cm_ratio *ratio, cm_error *error) {
    *ratio = (cm_ratio){NAN, unknown, NAN};
    if (!all_positive(a, a_count) || !all_positive(b, b_count)) {
        return cm_mann_whitney(a, a_count, b, b_count, &ratio->p, error);
    }
    sorted_pair pair;
    const cm_status status = sort_pair(a, a_count, b, b_count, &pair)
                                 ? ratio_of(&pair, level, ratio, error)
                                 : out_of_memory(error);
    free_pair(&pair);
    return status;
}
