/* cm_exp, cm_log and cm_cos_pi against the C library's long double functions, which have at least
 * 11 bits more. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/philox.h"
#include "kernels/elementwise/elementary.h"

enum { SAMPLES = 200 * 1000 };

static const cm_random_key key = {.seed = 7, .purpose = CM_RANDOM_TEST};

/* |found - exact| in units of the last place of a double as large as `exact`. */
static double ulps(double found, long double exact) {
    int exponent;
    frexpl(exact, &exponent);
    if (exponent < DBL_MIN_EXP) {
        exponent = DBL_MIN_EXP;
    }
    return (double)(fabsl((long double)found - exact) / ldexpl(1.0L, exponent - DBL_MANT_DIG));
}

static double uniform(uint64_t element, double lo, double hi) {
    const double high = (double)cm_random_u32(&key, 2 * element);
    const double low = (double)cm_random_u32(&key, 2 * element + 1);
    return lo + (hi - lo) * (high + low * 0x1p-32) * 0x1p-32;
}

static void exp_is_within_its_bound(void **state) {
    (void)state;
    static const double ranges[][2] = {{-0.4, 0.4}, {-20.0, 20.0}, {-708.3, 709.7}, {-1e-9, 1e-9}};
    double worst = 0.0;
    for (uint64_t i = 0; i < SAMPLES; ++i) {
        const double x = uniform(i, ranges[i % 4][0], ranges[i % 4][1]);
        worst = fmax(worst, ulps(cm_exp(x), expl((long double)x)));
    }
    print_message("exp: %.3f ulp\n", worst);
    assert_true(worst < 1.0);
    worst = 0.0;
    for (uint64_t i = 0; i < SAMPLES / 4; ++i) { /* subnormal results */
        const double x = uniform(i, -745.1, -708.4);
        worst = fmax(worst, ulps(cm_exp(x), expl((long double)x)));
    }
    assert_true(worst <= 1.0);
}

static void exp_at_its_ends(void **state) {
    (void)state;
    assert_true(cm_exp(0.0) == 1.0);
    assert_true(cm_exp(-0.0) == 1.0);
    assert_true(cm_exp((double)INFINITY) == (double)INFINITY);
    assert_true(cm_exp(710.0) == (double)INFINITY);
    assert_true(cm_exp(709.7827128933841) == (double)INFINITY); /* just above log(DBL_MAX) */
    assert_true(cm_exp(709.782712893383) <= DBL_MAX);
    assert_true(cm_exp(-(double)INFINITY) == 0.0);
    assert_true(cm_exp(-745.14) == 0.0);
    assert_true(cm_exp(-745.13) == DBL_TRUE_MIN);
    assert_true(isnan(cm_exp((double)NAN)));
}

static void log_is_within_its_bound(void **state) {
    (void)state;
    static const double ranges[][2] = {{1.0, 10.0}, {0.5, 2.0}, {0.999, 1.001}, {1e-3, 1e6}};
    double worst = 0.0;
    for (uint64_t i = 0; i < SAMPLES; ++i) {
        const double x = uniform(i, ranges[i % 4][0], ranges[i % 4][1]);
        worst = fmax(worst, ulps(cm_log(x), logl((long double)x)));
    }
    for (uint64_t i = 0; i < SAMPLES / 4; ++i) { /* every exponent */
        const int exponent = (int)(cm_random_u32(&key, i) % 2097) - 1073;
        const double x = ldexp(uniform(i, 0.5, 1.0), exponent);
        worst = fmax(worst, ulps(cm_log(x), logl((long double)x)));
    }
    print_message("log: %.3f ulp\n", worst);
    assert_true(worst < 1.0);
}

static void log_at_its_ends(void **state) {
    (void)state;
    assert_true(cm_log(1.0) == 0.0 && !signbit(cm_log(1.0)));
    assert_true(cm_log(0.0) == -(double)INFINITY);
    assert_true(cm_log(-0.0) == -(double)INFINITY);
    assert_true(cm_log((double)INFINITY) == (double)INFINITY);
    assert_true(isnan(cm_log(-1.0)));
    assert_true(isnan(cm_log(-(double)INFINITY)));
    assert_true(isnan(cm_log((double)NAN)));
    assert_true(ulps(cm_log(DBL_TRUE_MIN), logl((long double)DBL_TRUE_MIN)) < 1.0);
    assert_true(ulps(cm_log(DBL_MAX), logl((long double)DBL_MAX)) < 1.0);
}

/* The bits themselves, which every compiler and machine must give: a hash over many results. */
static void bits_are_fixed(void **state) {
    (void)state;
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a, a word at a time */
    for (uint64_t i = 0; i < 10000; ++i) {
        hash =
            (hash ^ cm_bits_of_double(cm_exp(uniform(i, -700.0, 700.0)))) * UINT64_C(1099511628211);
        hash = (hash ^ cm_bits_of_double(cm_log(uniform(i, 1e-6, 1e6)))) * UINT64_C(1099511628211);
    }
    print_message("hash %#llx\n", (unsigned long long)hash);
    assert_true(hash == UINT64_C(0x2206f4035b6d4e14));
}

static void cosine_is_within_its_bound(void **state) {
    (void)state;
    const long double pi = 3.14159265358979323846264338327950288L;
    double worst = 0.0;
    for (uint64_t i = 0; i < SAMPLES; ++i) {
        const double x = uniform(i, 0.0, 1.0);
        /* From the nearest zero or extreme, so that pi x is not rounded at its end. */
        const long double exact = x < 0.25   ? cosl(pi * x)
                                  : x < 0.75 ? sinl(pi * (0.5L - x))
                                             : -cosl(pi * (1.0L - x));
        worst = fmax(worst, ulps(cm_cos_pi(x), exact));
    }
    print_message("cos(pi x): %.3f ulp\n", worst);
    assert_true(worst < 1.0);
}

static void cosine_at_its_ends(void **state) {
    (void)state;
    assert_true(cm_cos_pi(0.0) == 1.0);
    assert_true(cm_cos_pi(0.5) == 0.0);
    assert_true(cm_cos_pi(1.0) == -1.0);
    for (uint64_t i = 0; i < 1000; ++i) {
        const double x = (double)(i + 1) / 1024.0;
        assert_true(cm_cos_pi(1.0 - x) == -cm_cos_pi(x));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_its_bound), cmocka_unit_test(exp_at_its_ends),
        cmocka_unit_test(log_is_within_its_bound), cmocka_unit_test(log_at_its_ends),
        cmocka_unit_test(bits_are_fixed),          cmocka_unit_test(cosine_is_within_its_bound),
        cmocka_unit_test(cosine_at_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
