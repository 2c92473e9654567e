/* Inputs of the error table, as tests/oracles/errors.py draws them, and how an error is measured.
 * Included once, after cmocka.h, by test_errors.c. */
#ifndef CM_TESTS_ERROR_MEASURES_H
#define CM_TESTS_ERROR_MEASURES_H

#include "oracles/errors_golden.h"
#include "support/arrays.h"

/* ---- Inputs, as errors.py draws them ---- */

static float uniform(errors_array which, size_t element) {
    const cm_random_key key = {
        .seed = ERRORS_SEED, .purpose = CM_RANDOM_TEST, .index = (uint32_t)which};
    return cm_random_uniform(&key, element);
}

/* In [-1, 1). */
static float signed_uniform(errors_array which, size_t element) {
    return 2.0F * uniform(which, element) - 1.0F;
}

/* Nearly normal: the sum of four uniform numbers. */
static float bell(errors_array which, size_t element) {
    const size_t e = 4 * element;
    return ((uniform(which, e) + uniform(which, e + 1)) +
            (uniform(which, e + 2) + uniform(which, e + 3))) -
           2.0F;
}

/* An element at place `place` of the `length` positions of its image. */
static float element_of(errors_array which, errors_data data, size_t element, size_t place,
                        size_t length) {
    const float u = data == DATA_BELL ? bell(which, element) : signed_uniform(which, element);
    switch (data) {
    case DATA_CONSTANT_0:
        return 0.3F;
    case DATA_CONSTANT_10:
        return 10.3F;
    case DATA_LARGE_MEAN:
        return 10000.0F + 1.7320508F * u;
    case DATA_TWO_VALUES:
        return u < 0.0F ? -0.7F : 0.7F;
    case DATA_HALVES:
        return u + (place >= length / 2 ? 5.0F : 0.0F);
    case DATA_EVERY_FOURTH:
        return u + (place % 4 == 0 ? 5.0F : 0.0F);
    default:
        return u;
    }
}

/* [batch][positions][channels]; where an image has one position, the batch counts as an image. */
static array draw(errors_array which, errors_data data, int batch, int positions, int channels) {
    const array a = array_empty(product(batch, positions, channels, 1));
    const size_t length = (size_t)(positions > 1 ? positions : batch);
    for (size_t i = 0; i < a.count; ++i) {
        a.f[i] = element_of(which, data, i, i / (size_t)channels % length, length);
    }
    array_adopt(a);
    return a;
}

/* factor * u + term, with u in [-1, 1). */
static array draw_scaled(errors_array which, size_t count, float factor, float term) {
    const array a = array_empty(count);
    for (size_t i = 0; i < count; ++i) {
        a.f[i] = factor * signed_uniform(which, i) + term;
    }
    array_adopt(a);
    return a;
}

/* In [0, factor). */
static array draw_positive(errors_array which, size_t count, float factor, float term) {
    const array a = array_empty(count);
    for (size_t i = 0; i < count; ++i) {
        a.f[i] = term + factor * uniform(which, i);
    }
    array_adopt(a);
    return a;
}

static array filled(size_t count, float value) {
    const array a = array_empty(count);
    for (size_t i = 0; i < count; ++i) {
        a.f[i] = value;
    }
    array_adopt(a);
    return a;
}

/* The data of dy: where it makes no gradient 0, that of x. */
static errors_data of_gradient(errors_data data) {
    return data == DATA_BELL || data == DATA_TWO_VALUES || data == DATA_HALVES ? data
                                                                               : DATA_UNIFORM;
}

static bool is_constant(errors_data data) {
    return data == DATA_CONSTANT_0 || data == DATA_CONSTANT_10;
}

/* ---- Errors ---- */

static double largest(array a) {
    double most = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        most = fmax(most, fabs(a.d[i]));
    }
    return most;
}

static double largest_difference(array a) {
    double most = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        const double off = fabs((double)a.f[i] - a.d[i]);
        most = off <= most ? most : off; /* NaN counts */
    }
    return most;
}

/* Of maps: largest difference over largest element. */
static double map_error(array a) {
    return largest_difference(a) / largest(a);
}

static double norm_of_difference(array a) {
    double squares = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        const double off = (double)a.f[i] - a.d[i];
        squares += off * off;
    }
    return sqrt(squares);
}

/* Of gradients: norm of the difference over norm. */
static double gradient_error(array a) {
    double squares = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        squares += a.d[i] * a.d[i];
    }
    return norm_of_difference(a) / sqrt(squares);
}

/* The exact dgamma of constant channels is 0: over the norm of the channels' sums of |dy|. */
static double constant_dgamma_error(array dgamma, array dy) {
    double squares = 0.0;
    for (size_t c = 0; c < dgamma.count; ++c) {
        double sum = 0.0;
        for (size_t i = c; i < dy.count; i += dgamma.count) {
            sum += fabs(dy.d[i]);
        }
        squares += sum * sum;
    }
    return norm_of_difference(dgamma) / sqrt(squares);
}

/* Of means, which may be nearly 0: over the largest root mean square of a channel, which follows
 * from the running statistics, 0 and 1 before. */
static double mean_error(array mean, array running_mean, array running_var, double factor) {
    const double momentum = (double)0.1F;
    double most = 0.0;
    for (size_t i = 0; i < mean.count; ++i) {
        const double m = running_mean.d[i] / momentum;
        most = fmax(most, m * m + (running_var.d[i] - (1.0 - momentum)) / momentum);
    }
    return largest_difference(mean) / (sqrt(most) * factor);
}

#endif
