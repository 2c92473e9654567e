/* Arrays of the tests against the reference: each as the kernels take it and as the reference does.
 * All memory is given back by arrays_free(). Included once, after cmocka.h, by a test's source. */
#ifndef CM_TESTS_ARRAYS_H
#define CM_TESTS_ARRAYS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/kernels.h"

#define CM_COUNT(array) (sizeof(array) / sizeof(array)[0])

typedef struct array {
    float *f;
    double *d;
    size_t count;
} array;

enum { MAX_BLOCKS = 512 };
static void *blocks[MAX_BLOCKS];
static int block_count;
static uint64_t drawn;
static const cm_team alone = {0, 1, NULL, NULL};

static inline void *array_take(size_t bytes) {
    assert_true(block_count < MAX_BLOCKS);
    const size_t rounded = bytes / 64 * 64 + 64;
    void *block = aligned_alloc(64, rounded);
    assert_non_null(block);
    memset(block, 0xA5, rounded);
    blocks[block_count++] = block;
    return block;
}

static inline void arrays_free(void) {
    while (block_count > 0) {
        free(blocks[--block_count]);
    }
}

static inline array array_empty(size_t count) {
    return (array){array_take(count * sizeof(float)), array_take(count * sizeof(double)), count};
}

/* Makes the float half what array_empty() left there. */
static inline void array_spoil(array a) {
    memset(a.f, 0xA5, a.count * sizeof *a.f);
}

/* Makes the double half what the float half is. */
static inline void array_adopt(array a) {
    for (size_t i = 0; i < a.count; ++i) {
        a.d[i] = (double)a.f[i];
    }
}

/* In [-1, 1). */
static inline array array_of_reals(size_t count) {
    static const cm_random_key key = {.seed = 11, .purpose = CM_RANDOM_TEST};
    const array a = array_empty(count);
    for (size_t i = 0; i < count; ++i) {
        a.f[i] = 2.0F * cm_random_uniform(&key, drawn++) - 1.0F;
    }
    array_adopt(a);
    return a;
}

/* -3 .. 3. */
static inline array array_of_integers(size_t count) {
    const array a = array_of_reals(count);
    for (size_t i = 0; i < count; ++i) {
        a.f[i] = floorf(a.f[i] * 3.5F + 0.5F);
    }
    array_adopt(a);
    return a;
}

typedef enum data_kind { INTEGERS, REALS } data_kind;

static inline array array_draw(data_kind kind, size_t count) {
    return kind == INTEGERS ? array_of_integers(count) : array_of_reals(count);
}

static inline size_t product(int a, int b, int c, int d) {
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

/* The kernel's half against the reference's: within `bound` of the largest expected element. */
static inline void array_compare(const char *what, array a, double bound) {
    double largest = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        largest = fmax(largest, fabs(a.d[i]));
    }
    for (size_t i = 0; i < a.count; ++i) {
        if (!(fabs((double)a.f[i] - a.d[i]) <= bound * largest)) {
            fail_msg("%s[%zu] of %zu is %.9g, expected %.17g (largest %g)", what, i, a.count,
                     (double)a.f[i], a.d[i], largest);
        }
    }
}

#endif
