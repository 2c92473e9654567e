/* Convolution by every algorithm that fits, scalar and the machine's best, against the plain
 * double-precision reference: equal on small integers, where float sums are exact; within 1e-5
 * of the largest expected element on reals in [-1, 1). The other kernels are
 * test_kernels_reference's part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/arrays.h"
#include "support/reference.h"

static const cm_conv2d_shape conv_shapes[] = {
    /* Several chunks of weights: rows of the kernel or single taps forward, parts of a row or of
     * the depth of backward-data. */
    {2, 300, 5, 3, 66, 3, 3, 2, 2, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 600, 3, 4, 70, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 66, 5, 4, 500, 3, 3, 2, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 70, 4, 5, 1200, 3, 2, 2, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    /* Few channels: in backward-data, outputs are columns of tiles, in one chunk and in several. */
    {2, 3, 40, 37, 20, 5, 7, 3, 2, 2, 3, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 5, 23, 60, 200, 7, 7, 2, 2, 3, 3, 0, CM_CONV2D_AUTO, 0, 0},
    {3, 4, 6, 3, 1200, 6, 4, 2, 1, 0, 1, 0, CM_CONV2D_AUTO, 0, 0},
    /* Several chunks of backward-weights: long rows, short rows with strides, a product. */
    {2, 9, 7, 70, 17, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {2, 8, 90, 14, 20, 3, 2, 2, 2, 1, 0, 0, CM_CONV2D_AUTO, 0, 0},
    {2, 30, 37, 36, 33, 1, 1, 2, 2, 0, 0, 0, CM_CONV2D_AUTO, 0, 0},
    {3, 128, 9, 9, 128, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {17, 17, 9, 9, 35, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {2, 1, 28, 28, 32, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {2, 64, 3, 3, 128, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {9, 33, 1, 1, 17, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    /* For tiles: a map smaller than a tile, a ragged map, a single channel, more than one block. */
    {1, 17, 2, 5, 1, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {3, 1, 10, 14, 17, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 1, 33, 33, 512, 3, 3, 1, 1, 1, 1, 0, CM_CONV2D_AUTO, 0, 0},
    {3, 5, 7, 11, 19, 4, 2, 2, 3, 2, 0, 0, CM_CONV2D_AUTO, 0, 0},
    {1, 17, 12, 5, 3, 1, 5, 3, 1, 0, 3, 0, CM_CONV2D_AUTO, 0, 0},
    {70, 65, 1, 1, 10, 1, 1, 1, 1, 0, 0, 0, CM_CONV2D_AUTO, 0, 0},
};

/* Programs run many times slower. */
static bool quick(void) {
    return getenv("CONVMARK_CHECK_CASES") != NULL;
}

/* The longest chain here has 7,200 terms: that many roundings of 2^-24 would be 4e-4 at worst, and
 * are not, as their signs differ. Direct convolution of small integers is exact; the transforms
 * have constants that are not. */
static double bound_of(cm_conv2d_algorithm algorithm, data_kind kind) {
    return algorithm == CM_CONV2D_DIRECT && kind == INTEGERS ? 0.0 : 1e-5;
}

/* The arrays of a convolution: what goes in, and what comes out of each pass by itself and of both
 * backward passes in one. */
typedef struct conv2d_arrays {
    array x, weight, bias, dy, y, dx, dweight, dbias, both_dx, both_dweight, both_dbias;
} conv2d_arrays;

/* Draws what goes in, and computes in double what is expected to come out. */
static conv2d_arrays conv2d_expected(const cm_conv2d_shape *s, bool relu, bool bias,
                                     data_kind kind) {
    const size_t out = (size_t)s->out_channels;
    conv2d_arrays a = {
        .x = array_draw(kind, product(s->batch, s->height, s->width, s->in_channels)),
        .weight =
            array_draw(kind, product(s->kernel_h, s->kernel_w, s->in_channels, s->out_channels)),
        .bias = array_draw(kind, out),
        .dy = array_draw(kind, product(s->batch, s->out_height, s->out_width, s->out_channels)),
        .dbias = array_empty(out),
        .both_dbias = array_empty(out)};
    a.y = array_empty(a.dy.count);
    a.dx = array_empty(a.x.count);
    a.both_dx = array_empty(a.x.count);
    a.dweight = array_empty(a.weight.count);
    a.both_dweight = array_empty(a.weight.count);
    ref_conv2d_forward(s, a.x.d, a.weight.d, bias ? a.bias.d : NULL, relu, a.y.d);
    ref_conv2d_backward_data(s, a.dy.d, a.weight.d, a.dx.d);
    ref_conv2d_backward_weights(s, a.x.d, a.dy.d, a.dweight.d, a.dbias.d);
    return a;
}

static void conv2d_passes(const cm_kernels *kernels, const cm_conv2d_shape *s,
                          const conv2d_arrays *a, bool relu, bool bias, data_kind kind) {
    const array outputs[] = {a->y,       a->dx,           a->dweight,   a->dbias,
                             a->both_dx, a->both_dweight, a->both_dbias};
    const double bound = bound_of(s->algorithm, kind);
    const cm_conv2d_plan plan = cm_conv2d_plan_of(s, 1);
    void *workspace = array_take(plan.workspace);
    float *kept = plan.kept > 0 ? array_take(plan.kept) : NULL;
    const cm_conv2d_forward_args forward = {.plan = &plan,
                                            .x = a->x.f,
                                            .weight = a->weight.f,
                                            .bias = bias ? a->bias.f : NULL,
                                            .relu = relu,
                                            .y = a->y.f,
                                            .kept = kept,
                                            .workspace = workspace};
    const cm_conv2d_backward_args separate = {.plan = &plan,
                                              .x = a->x.f,
                                              .dy = a->dy.f,
                                              .weight = a->weight.f,
                                              .dx = a->dx.f,
                                              .dweight = a->dweight.f,
                                              .dbias = bias ? a->dbias.f : NULL,
                                              .workspace = workspace};
    /* Of what was kept, x is not read. */
    const cm_conv2d_backward_args both = {.plan = &plan,
                                          .x = kept == NULL ? a->x.f : NULL,
                                          .dy = a->dy.f,
                                          .weight = a->weight.f,
                                          .dx = a->both_dx.f,
                                          .dweight = a->both_dweight.f,
                                          .dbias = bias ? a->both_dbias.f : NULL,
                                          .kept = kept,
                                          .workspace = workspace};
    for (size_t i = 0; i < CM_COUNT(outputs); ++i) {
        array_spoil(outputs[i]); /* of the algorithm before */
    }
    kernels->conv2d_forward(&alone, &forward);
    array_compare("conv2d y", a->y, bound);
    kernels->conv2d_backward_data(&alone, &separate);
    array_compare("conv2d dx", a->dx, bound);
    kernels->conv2d_backward_weights(&alone, &separate);
    array_compare("conv2d dweight", a->dweight, bound);
    kernels->conv2d_backward(&alone, &both);
    assert_memory_equal(a->both_dx.f, a->dx.f, a->dx.count * sizeof(float));
    assert_memory_equal(a->both_dweight.f, a->dweight.f, a->dweight.count * sizeof(float));
    if (bias) {
        array_compare("conv2d dbias", a->dbias, bound_of(CM_CONV2D_DIRECT, kind));
        assert_memory_equal(a->both_dbias.f, a->dbias.f, a->dbias.count * sizeof(float));
    }
}

/* Every algorithm that fits the shape, scalar and the best instruction set, against one reference:
 * computing that takes longer than all of them. */
static void conv2d_algorithms_of(cm_conv2d_shape s, bool relu, bool bias, data_kind kind) {
    s.algorithm = CM_CONV2D_DIRECT;
    assert_true(cm_conv2d_shape_init(&s));
    const conv2d_arrays arrays = conv2d_expected(&s, relu, bias, kind);
    for (cm_conv2d_algorithm a = CM_CONV2D_DIRECT; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
        s.algorithm = a;
        assert_int_equal(cm_conv2d_shape_init(&s), cm_conv2d_algorithm_fits(a, &s));
        if (cm_conv2d_algorithm_fits(a, &s)) {
            if (!quick()) { /* kernels_bits compares the two */
                conv2d_passes(cm_kernels_of(CM_ISA_SCALAR), &s, &arrays, relu, bias, kind);
            }
            conv2d_passes(cm_kernels_best(), &s, &arrays, relu, bias, kind);
        }
    }
    arrays_free();
}

static void conv2d(void **state) {
    (void)state;
    for (size_t i = 0; i < CM_COUNT(conv_shapes); ++i) {
        const bool even = i % 2 == 0;
        for (data_kind kind = INTEGERS; kind <= REALS; ++kind) {
            /* Under an emulator or a sanitizer each shape has one of the four cases. */
            if (!quick() || i % 4 == (size_t)kind) {
                conv2d_algorithms_of(conv_shapes[i], even, true, kind);
            }
            if (!quick() || i % 4 == 2 + (size_t)kind) {
                conv2d_algorithms_of(conv_shapes[i], !even, false, kind);
            }
        }
    }
}

/* The table's choice, and nothing but shapes decides it. */
static void conv2d_algorithms(void **state) {
    (void)state;
    static const struct {
        int in_channels, size, padding;
        cm_conv2d_algorithm expected;
    } rows[] = {{128, 9, 1, CM_CONV2D_DFT10},  {128, 3, 1, CM_CONV2D_T4},
                {128, 1, 1, CM_CONV2D_DIRECT}, {1, 9, 1, CM_CONV2D_DIRECT},
                {128, 9, 0, CM_CONV2D_DIRECT}, {128, 28, 1, CM_CONV2D_DIRECT},
                {128, 56, 1, CM_CONV2D_DIRECT}};
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        for (int batch = 1; batch <= 64; batch *= 2) {
            cm_conv2d_shape s = {.batch = batch,
                                 .in_channels = rows[i].in_channels,
                                 .height = rows[i].size,
                                 .width = rows[i].size,
                                 .out_channels = 128,
                                 .kernel_h = 3,
                                 .kernel_w = 3,
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .padding_h = rows[i].padding,
                                 .padding_w = rows[i].padding};
            assert_true(cm_conv2d_shape_init(&s));
            assert_int_equal(s.algorithm, batch == 1 ? CM_CONV2D_DIRECT : rows[i].expected);
        }
    }
    for (cm_conv2d_algorithm a = 0; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
        assert_int_equal(cm_conv2d_algorithm_from_name(cm_conv2d_algorithm_name(a)), a);
    }
    assert_int_equal(cm_conv2d_algorithm_from_name("fft"), CM_CONV2D_ALGORITHM_COUNT);
}

/* The scratch memory of a batch serves any smaller batch, also where fewer squares of a map make a
 * larger block: with 100 of them, and blocks of at most 256, three images make two blocks of 150
 * and two images one of 200. */
static void workspace_grows_with_the_batch(void **state) {
    (void)state;
    for (cm_conv2d_algorithm a = CM_CONV2D_DIRECT; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
        for (int size = 3; size <= 30; size += 3) {
            size_t before = 0;
            for (int batch = 1; batch <= 40; ++batch) {
                cm_conv2d_shape s = {batch, 128, size, size, 128, 3, 3, 1, 1, 1, 1, 0, a, 0, 0};
                if (cm_conv2d_shape_init(&s)) {
                    const cm_conv2d_plan plan = cm_conv2d_plan_of(&s, 2);
                    assert_true(plan.workspace >= before);
                    before = plan.workspace;
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d),
        cmocka_unit_test(conv2d_algorithms),
        cmocka_unit_test(workspace_grows_with_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
