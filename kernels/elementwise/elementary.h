/**
 * exp, log and cos(pi x) in double, from IEEE-754 additions, multiplications, divisions and fma
 * only, so that every compiler and library gives the same bits. All are for round to nearest.
 *
 * Error: below 1 unit in the last place of the result for cm_log and cm_cos_pi, and for cm_exp
 * wherever the result is at least 2^-1022; below that, where exp rounds a second time, at most 1
 * unit of 2^-1074 (tests/kernels/test_elementary.c measures them against long double).
 */
#ifndef CM_KERNELS_ELEMENTARY_H
#define CM_KERNELS_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: the first has 21 trailing zero bits, so that its product with an exponent is
 * exact. */
#define CM_LN2_HIGH 0x1.62e42feep-1
#define CM_LN2_LOW 0x1.a39ef35793c76p-33

static inline double cm_double_from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t cm_bits_of_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* 2^k for a normal result: -1022 <= k <= 1023. */
static inline double cm_power_of_two(int k) {
    return cm_double_from_bits((uint64_t)(k + 1023) << 52);
}

/** e^x; +inf above the largest double, +0 below half the smallest, NaN of NaN. */
static inline double cm_exp(double x) {
    /* Taylor's coefficients 1/13! .. 1/1!: with |r| <= ln(2) / 2 the first term left out is below
     * 2^-57 of the result. */
    static const double coefficients[] = {0x1.6124613a86d09p-33,
                                          0x1.1eed8eff8d898p-29,
                                          0x1.ae64567f544e4p-26,
                                          0x1.27e4fb7789f5cp-22,
                                          0x1.71de3a556c734p-19,
                                          0x1.a01a01a01a01ap-16,
                                          0x1.a01a01a01a01ap-13,
                                          0x1.6c16c16c16c17p-10,
                                          0x1.1111111111111p-7,
                                          0x1.5555555555555p-5,
                                          0x1.5555555555555p-3,
                                          0.5,
                                          1.0};
    if (x != x) {
        return x;
    }
    if (x > 709.8) {
        return (double)INFINITY;
    }
    if (x < -745.2) {
        return 0.0;
    }
    /* x = k ln 2 + r. Adding 1.5 * 2^52 rounds to the nearest whole number. */
    const double k = fma(x, 0x1.71547652b82fep0, 0x1.8p52) - 0x1.8p52;
    const double r = fma(-k, CM_LN2_LOW, fma(-k, CM_LN2_HIGH, x));
    double p = coefficients[0];
    for (int i = 1; i < (int)(sizeof coefficients / sizeof coefficients[0]); ++i) {
        p = fma(p, r, coefficients[i]);
    }
    p = fma(p, r, 1.0);
    /* In two factors, since 2^k alone may be subnormal or infinite where the result is neither. */
    const int half = (int)k / 2;
    return p * cm_power_of_two(half) * cm_power_of_two((int)k - half);
}

/** Natural logarithm; -inf of 0, NaN of negative numbers and NaN. */
static inline double cm_log(double x) {
    /* 2/23 .. 2/3: log(1 + f) = f - s (f - R), s = f / (2 + f), R = z (2/3 + z (2/5 + ...)),
     * z = s^2 <= 0.0295; the first term left out is below 2^-57 of the result. */
    static const double coefficients[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17,
                                          2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9,
                                          2.0 / 7,  2.0 / 5,  2.0 / 3};
    if (x == 0.0) {
        return -(double)INFINITY;
    }
    if (!(x > 0.0)) {
        return (double)NAN;
    }
    if (x == (double)INFINITY) {
        return x;
    }
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    /* x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). */
    uint64_t bits = cm_bits_of_double(x);
    const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd);
    bits -= root_half;
    k += (int)(bits >> 52) - (bits >> 63 != 0 ? 4096 : 0);
    bits = (bits & UINT64_C(0x000fffffffffffff)) + root_half;
    const double f = cm_double_from_bits(bits) - 1.0;
    const double s = f / (2.0 + f);
    const double z = s * s;
    double p = coefficients[0];
    for (int i = 1; i < (int)(sizeof coefficients / sizeof coefficients[0]); ++i) {
        p = fma(p, z, coefficients[i]);
    }
    const double small = fma(s, f - p * z, -k * CM_LN2_LOW);
    return fma(k, CM_LN2_HIGH, f - small);
}

/** cos(pi x) for 0 <= x <= 1. */
static inline double cm_cos_pi(double x) {
    /* Taylor's coefficients 1/16! .. 1/4! and 1/17! .. 1/3!: with t <= pi / 4 the first term left
     * out is below 2^-57 of the result. */
    static const double cosines[] = {0x1.ae7f3e733b81fp-45, -0x1.93974a8c07c9dp-37,
                                     0x1.1eed8eff8d898p-29, -0x1.27e4fb7789f5cp-22,
                                     0x1.a01a01a01a01ap-16, -0x1.6c16c16c16c17p-10,
                                     0x1.5555555555555p-5};
    static const double sines[] = {0x1.952c77030ad4ap-49, -0x1.ae7f3e733b81fp-41,
                                   0x1.6124613a86d09p-33, -0x1.ae64567f544e4p-26,
                                   0x1.71de3a556c734p-19, -0x1.a01a01a01a01ap-13,
                                   0x1.1111111111111p-7,  -0x1.5555555555555p-3};
    const double sign = x > 0.5 ? -1.0 : 1.0;
    const double folded = x > 0.5 ? 1.0 - x : x; /* to 0 .. 1/2; exact, as the next difference */
    const double part = folded > 0.25 ? 0.5 - folded : folded;
    /* t + rest = pi part, with pi in two parts. */
    const double t = part * 0x1.921fb54442d18p1;
    const double rest = fma(part, 0x1.1a62633145c07p-53, fma(part, 0x1.921fb54442d18p1, -t));
    const double square = t * t;
    double p;
    if (folded > 0.25) { /* the sine of what is left to pi / 2 */
        p = sines[0];
        for (int i = 1; i < (int)(sizeof sines / sizeof sines[0]); ++i) {
            p = fma(p, square, sines[i]);
        }
        return sign * (t + fma(t * square, p, rest));
    }
    p = cosines[0];
    for (int i = 1; i < (int)(sizeof cosines / sizeof cosines[0]); ++i) {
        p = fma(p, square, cosines[i]);
    }
    /* 1 - t^2 / 2 with what rounding takes from it. */
    const double half = 0.5 * square, first = 1.0 - half;
    const double lost = fma(-t, rest, -0.5 * fma(t, t, -square)) + ((1.0 - first) - half);
    return sign * (first + fma(square * square, p, lost));
}

#endif
