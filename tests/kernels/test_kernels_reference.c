/* Every kernel but convolution (test_conv2d_reference's part), scalar and the machine's best,
 * against the plain double-precision reference: equal on small integers, where float sums are
 * exact; within CM_BOUND of the largest expected element on reals in [-1, 1). Gradients are
 * test_kernels_gradients' part, threads and shapes in bulk test_kernels_bits'. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/arrays.h"
#include "support/reference.h"

/* The longest chain here has some 800 terms; 800 roundings of 2^-24 would be 5e-5 at worst. */
#define CM_BOUND 1e-5

static double bound_of(data_kind kind) {
    return kind == INTEGERS ? 0.0 : CM_BOUND;
}

/* Each test for scalar and the best instruction set, on integers and on reals. */
typedef void kernel_test(const cm_kernels *kernels, data_kind kind);

static void with_each(kernel_test *test) {
    const cm_kernels *const kernels[] = {cm_kernels_of(CM_ISA_SCALAR), cm_kernels_best()};
    for (size_t i = 0; i < CM_COUNT(kernels); ++i) {
        test(kernels[i], INTEGERS);
        test(kernels[i], REALS);
    }
}

static const cm_map_shape map_shapes[] = {
    {4, 9, 9, 128}, {16, 3, 3, 33}, {64, 1, 1, 19}, {2, 28, 28, 16}, {3, 5, 2, 1},
};

static void batch_norm_passes(const cm_kernels *kernels, const cm_map_shape *s) {
    const size_t channels = (size_t)s->channels;
    const array x = array_draw(REALS, product(s->batch, s->height, s->width, s->channels));
    const array dy = array_draw(REALS, x.count), y = array_empty(x.count),
                dx = array_empty(x.count);
    const array gamma = array_draw(REALS, channels), beta = array_draw(REALS, channels);
    const array running_mean = array_draw(REALS, channels),
                running_var = array_draw(REALS, channels);
    const array mean = array_empty(channels), rstd = array_empty(channels),
                scale = array_empty(channels), shift = array_empty(channels),
                dgamma = array_empty(channels), dbeta = array_empty(channels);
    void *workspace = array_take(cm_batch_norm_workspace(s));
    for (size_t c = 0; c < channels; ++c) {
        running_var.f[c] = fabsf(running_var.f[c]) + 0.01F;
    }
    array_adopt(running_var);
    const cm_batch_norm_inference_args inference = {.channels = s->channels,
                                                    .gamma = gamma.f,
                                                    .beta = beta.f,
                                                    .eps = 1e-5F,
                                                    .running_mean = running_mean.f,
                                                    .running_var = running_var.f,
                                                    .scale = scale.f,
                                                    .shift = shift.f};
    kernels->batch_norm_inference(&alone, &inference);
    ref_batch_norm_inference(s->channels, gamma.d, beta.d, 1e-5, running_mean.d, running_var.d,
                             scale.d, shift.d);
    array_compare("inference scale", scale, CM_BOUND);
    array_compare("inference shift", shift, CM_BOUND);
    const cm_batch_norm_statistics_args statistics = {.shape = s,
                                                      .x = x.f,
                                                      .to = {.gamma = gamma.f,
                                                             .beta = beta.f,
                                                             .eps = 1e-5F,
                                                             .momentum = 0.1F,
                                                             .running_mean = running_mean.f,
                                                             .running_var = running_var.f,
                                                             .mean = mean.f,
                                                             .rstd = rstd.f,
                                                             .scale = scale.f,
                                                             .shift = shift.f},
                                                      .workspace = workspace};
    kernels->batch_norm_statistics(&alone, &statistics);
    ref_batch_norm_statistics(s, x.d, gamma.d, beta.d, 1e-5, 0.1, running_mean.d, running_var.d,
                              mean.d, rstd.d, scale.d, shift.d);
    const array *const made[] = {&running_mean, &running_var, &mean, &rstd, &scale, &shift};
    for (size_t i = 0; i < CM_COUNT(made); ++i) {
        array_compare("batch norm statistics", *made[i], CM_BOUND);
        array_adopt(*made[i]);
    }
    kernels->batch_norm_forward(&alone, s, x.f, scale.f, shift.f, true, y.f);
    ref_batch_norm_forward(s, x.d, scale.d, shift.d, true, y.d);
    array_compare("batch norm y", y, CM_BOUND);
    array_adopt(y);
    for (int relu = 0; relu < 2; ++relu) {
        const cm_batch_norm_backward_args backward = {.shape = s,
                                                      .dy = dy.f,
                                                      .y = relu ? y.f : NULL,
                                                      .x = x.f,
                                                      .mean = mean.f,
                                                      .rstd = rstd.f,
                                                      .scale = scale.f,
                                                      .dgamma = dgamma.f,
                                                      .dbeta = dbeta.f,
                                                      .dx = dx.f,
                                                      .workspace = workspace};
        kernels->batch_norm_backward(&alone, &backward);
        ref_batch_norm_backward(s, dy.d, relu ? y.d : NULL, x.d, mean.d, rstd.d, scale.d, dgamma.d,
                                dbeta.d, dx.d);
        array_compare("batch norm dgamma", dgamma, CM_BOUND);
        array_compare("batch norm dbeta", dbeta, CM_BOUND);
        array_compare("batch norm dx", dx, CM_BOUND);
    }
    arrays_free();
}

/* Without running statistics. */
static cm_normalization batch_statistics(array gamma, array beta, array mean, array rstd,
                                         array scale, array shift) {
    return (cm_normalization){.gamma = gamma.f,
                              .beta = beta.f,
                              .eps = 1e-5F,
                              .momentum = 0.1F,
                              .mean = mean.f,
                              .rstd = rstd.f,
                              .scale = scale.f,
                              .shift = shift.f};
}

/* The affine step alone is exact on integers, and so are means over a power of two. */
static void batch_norm_integers(const cm_kernels *kernels) {
    const cm_map_shape s = {2, 8, 4, 37};
    const array x = array_draw(INTEGERS, product(s.batch, s.height, s.width, s.channels));
    const array a = array_draw(INTEGERS, 37), b = array_draw(INTEGERS, 37),
                y = array_empty(x.count);
    const array mean = array_empty(37), rstd = array_empty(37), scale = array_empty(37),
                shift = array_empty(37);
    for (int relu = 0; relu < 2; ++relu) {
        kernels->batch_norm_forward(&alone, &s, x.f, a.f, b.f, relu != 0, y.f);
        ref_batch_norm_forward(&s, x.d, a.d, b.d, relu != 0, y.d);
        array_compare("batch norm y", y, 0.0);
    }
    const cm_batch_norm_statistics_args args = {
        .shape = &s,
        .x = x.f,
        .to = batch_statistics(a, b, mean, rstd, scale, shift),
        .workspace = array_take(cm_batch_norm_workspace(&s))};
    kernels->batch_norm_statistics(&alone, &args);
    ref_batch_norm_statistics(&s, x.d, a.d, b.d, 1e-5, 0.1, NULL, NULL, mean.d, rstd.d, scale.d,
                              shift.d);
    array_compare("batch norm mean", mean, 0.0);
    arrays_free();
}

static void test_batch_norm(const cm_kernels *kernels, data_kind kind) {
    if (kind == INTEGERS) {
        batch_norm_integers(kernels);
        return;
    }
    for (size_t i = 0; i < CM_COUNT(map_shapes); ++i) {
        batch_norm_passes(kernels, &map_shapes[i]);
    }
}

static void batch_norm(void **state) {
    (void)state;
    with_each(test_batch_norm);
}

/* A mean far from zero: one pass of sums of squares would lose the variance. */
static void batch_norm_of_large_means(void **state) {
    (void)state;
    const cm_map_shape s = {8, 9, 9, 20};
    const array x = array_draw(REALS, product(s.batch, s.height, s.width, s.channels));
    const array one = array_draw(REALS, 20), mean = array_empty(20), rstd = array_empty(20),
                scale = array_empty(20), shift = array_empty(20);
    for (size_t i = 0; i < x.count; ++i) {
        x.f[i] += 1000.0F;
    }
    array_adopt(x);
    const cm_batch_norm_statistics_args args = {
        .shape = &s,
        .x = x.f,
        .to = batch_statistics(one, one, mean, rstd, scale, shift),
        .workspace = array_take(cm_batch_norm_workspace(&s))};
    cm_kernels_best()->batch_norm_statistics(&alone, &args);
    ref_batch_norm_statistics(&s, x.d, one.d, one.d, 1e-5, 0.1, NULL, NULL, mean.d, rstd.d, scale.d,
                              shift.d);
    array_compare("mean", mean, 1e-6);
    array_compare("rstd", rstd, 1e-4);
    arrays_free();
}

static const cm_max_pool2d_shape pool_shapes[] = {
    {.batch = 2,
     .height = 28,
     .width = 28,
     .channels = 40,
     .kernel_h = 3,
     .kernel_w = 3,
     .stride_h = 3,
     .stride_w = 3},
    {.batch = 5,
     .height = 3,
     .width = 3,
     .channels = 128,
     .kernel_h = 3,
     .kernel_w = 3,
     .stride_h = 3,
     .stride_w = 3},
    {.batch = 2,
     .height = 9,
     .width = 8,
     .channels = 17,
     .kernel_h = 3,
     .kernel_w = 2,
     .stride_h = 2,
     .stride_w = 1},
    {.batch = 1,
     .height = 11,
     .width = 6,
     .channels = 5,
     .kernel_h = 2,
     .kernel_w = 1,
     .stride_h = 4,
     .stride_w = 3},
    {.batch = 3,
     .height = 7,
     .width = 10,
     .channels = 3,
     .kernel_h = 5,
     .kernel_w = 4,
     .stride_h = 1,
     .stride_w = 4},
};

static void max_pool2d_passes(const cm_kernels *kernels, const cm_max_pool2d_shape *s, bool affine,
                              bool relu, data_kind kind) {
    const size_t channels = (size_t)s->channels;
    const array x = array_draw(kind, product(s->batch, s->height, s->width, s->channels));
    const array scale = array_draw(kind, channels), shift = array_draw(kind, channels);
    const array dy = array_draw(kind, product(s->batch, s->out_height, s->out_width, s->channels));
    const array y = array_empty(dy.count), x_at_max = array_empty(dy.count),
                dx = array_empty(x.count);
    uint16_t *argmax = array_take(dy.count * sizeof *argmax),
             *expected = array_take(dy.count * sizeof *argmax);
    cm_max_pool2d_forward_args forward = {.shape = s,
                                          .x = x.f,
                                          .scale = affine ? scale.f : NULL,
                                          .shift = affine ? shift.f : NULL,
                                          .relu = relu,
                                          .y = y.f,
                                          .argmax = argmax,
                                          .x_at_max = x_at_max.f};
    kernels->max_pool2d_forward(&alone, &forward);
    ref_max_pool2d_forward(s, x.d, affine ? scale.d : NULL, affine ? shift.d : NULL, relu, y.d,
                           expected, x_at_max.d);
    array_compare("max pool y", y, bound_of(kind));
    array_compare("max pool x_at_max", x_at_max, 0.0);
    assert_memory_equal(argmax, expected, dy.count * sizeof *argmax);
    array_adopt(y);
    kernels->max_pool2d_backward(&alone, s, dy.f, relu ? y.f : NULL, argmax, dx.f);
    ref_max_pool2d_backward(s, dy.d, relu ? y.d : NULL, argmax, dx.d);
    array_compare("max pool dx", dx, bound_of(kind));
    /* Without what only training wants: the same y. */
    const array again = array_empty(y.count);
    forward.y = again.f;
    forward.argmax = NULL;
    forward.x_at_max = NULL;
    kernels->max_pool2d_forward(&alone, &forward);
    assert_memory_equal(again.f, y.f, y.count * sizeof *y.f);
    arrays_free();
}

static void test_max_pool2d(const cm_kernels *kernels, data_kind kind) {
    for (size_t i = 0; i < CM_COUNT(pool_shapes); ++i) {
        cm_max_pool2d_shape s = pool_shapes[i];
        assert_true(cm_max_pool2d_shape_init(&s));
        for (int flags = 0; flags < 4; ++flags) {
            max_pool2d_passes(kernels, &s, (flags & 1) != 0, (flags & 2) != 0, kind);
        }
    }
}

static void max_pool2d(void **state) {
    (void)state;
    with_each(test_max_pool2d);
}

/* The fused backward pass is batch norm's after max pool's scatter. */
static void test_fused_backward(const cm_kernels *kernels, data_kind kind) {
    for (size_t i = 0; i < CM_COUNT(pool_shapes); ++i) {
        cm_max_pool2d_shape s = pool_shapes[i];
        assert_true(cm_max_pool2d_shape_init(&s));
        const cm_map_shape map = {s.batch, s.height, s.width, s.channels};
        const size_t channels = (size_t)s.channels;
        const array x = array_draw(kind, product(s.batch, s.height, s.width, s.channels));
        const array one = array_draw(REALS, channels), mean = array_empty(channels),
                    rstd = array_empty(channels), scale = array_empty(channels),
                    shift = array_empty(channels), dgamma = array_empty(channels),
                    dbeta = array_empty(channels), dx = array_empty(x.count),
                    scattered = array_empty(x.count);
        const array dy = array_draw(kind, product(s.batch, s.out_height, s.out_width, s.channels));
        const array y = array_empty(dy.count), x_at_max = array_empty(dy.count);
        uint16_t *argmax = array_take(dy.count * sizeof *argmax);
        void *workspace = array_take(cm_batch_norm_workspace(&map));
        const cm_batch_norm_statistics_args statistics = {
            .shape = &map,
            .x = x.f,
            .to = batch_statistics(one, one, mean, rstd, scale, shift),
            .workspace = workspace};
        kernels->batch_norm_statistics(&alone, &statistics);
        const cm_max_pool2d_forward_args forward = {.shape = &s,
                                                    .x = x.f,
                                                    .scale = scale.f,
                                                    .shift = shift.f,
                                                    .relu = true,
                                                    .y = y.f,
                                                    .argmax = argmax,
                                                    .x_at_max = x_at_max.f};
        kernels->max_pool2d_forward(&alone, &forward);
        const array *const made[] = {&mean, &rstd, &scale, &y};
        for (size_t j = 0; j < CM_COUNT(made); ++j) {
            array_adopt(*made[j]);
        }
        const cm_batch_norm_max_pool2d_backward_args backward = {.shape = &s,
                                                                 .dy = dy.f,
                                                                 .y = y.f,
                                                                 .argmax = argmax,
                                                                 .x_at_max = x_at_max.f,
                                                                 .x = x.f,
                                                                 .mean = mean.f,
                                                                 .rstd = rstd.f,
                                                                 .scale = scale.f,
                                                                 .dgamma = dgamma.f,
                                                                 .dbeta = dbeta.f,
                                                                 .dx = dx.f,
                                                                 .workspace = workspace};
        kernels->batch_norm_max_pool2d_backward(&alone, &backward);
        ref_max_pool2d_backward(&s, dy.d, y.d, argmax, scattered.d);
        ref_batch_norm_backward(&map, scattered.d, NULL, x.d, mean.d, rstd.d, scale.d, dgamma.d,
                                dbeta.d, dx.d);
        array_compare("fused dgamma", dgamma, CM_BOUND);
        array_compare("fused dbeta", dbeta, CM_BOUND);
        array_compare("fused dx", dx, CM_BOUND);
        arrays_free();
    }
}

static void batch_norm_max_pool2d(void **state) {
    (void)state;
    with_each(test_fused_backward);
}

static void test_elements(const cm_kernels *kernels, data_kind kind) {
    static const size_t counts[] = {1, 15, 16, 63, 64, 65, 1000};
    const cm_random_key key = {.seed = 3, .purpose = CM_RANDOM_DROPOUT, .index = 1, .step = 2};
    for (size_t i = 0; i < CM_COUNT(counts); ++i) {
        const array x = array_draw(kind, counts[i]), dy = array_draw(kind, counts[i]);
        const array y = array_empty(counts[i]), dx = array_empty(counts[i]);
        kernels->relu_forward(&alone, counts[i], x.f, y.f);
        ref_relu_forward(counts[i], x.d, y.d);
        array_compare("relu y", y, 0.0);
        kernels->relu_backward(&alone, counts[i], dy.f, y.f, dx.f);
        ref_relu_backward(counts[i], dy.d, y.d, dx.d);
        array_compare("relu dx", dx, 0.0);
        static const float rates[] = {0.0F, 0.5F, 0.1F};
        for (size_t r = 0; r < CM_COUNT(rates); ++r) {
            kernels->dropout(&alone, counts[i], x.f, rates[r], &key, y.f);
            ref_dropout(counts[i], x.d, rates[r], &key, y.d);
            /* 1 / (1 - p) is exact for 0 and 1/2. */
            array_compare("dropout y", y, r < 2 ? 0.0 : CM_BOUND);
        }
        arrays_free();
    }
}

static void relu_and_dropout(void **state) {
    (void)state;
    with_each(test_elements);
}

static void test_loss(const cm_kernels *kernels, data_kind kind) {
    static const int sizes[][2] = {{64, 10}, {1, 1}, {7, 256}, {3, 2}};
    for (size_t i = 0; i < CM_COUNT(sizes); ++i) {
        const int batch = sizes[i][0], classes = sizes[i][1];
        const array z = array_draw(kind, (size_t)batch * (size_t)classes),
                    dz = array_empty(z.count);
        uint8_t *labels = array_take((size_t)batch);
        for (int n = 0; n < batch; ++n) {
            labels[n] = (uint8_t)(n * 7 % classes);
        }
        double loss, expected_loss;
        int correct, expected_correct;
        const cm_softmax_cross_entropy_args args = {
            .batch = batch,
            .classes = classes,
            .logits = z.f,
            .labels = labels,
            .loss = &loss,
            .correct = &correct,
            .dlogits = dz.f,
            .workspace = array_take(cm_softmax_cross_entropy_workspace(batch))};
        kernels->softmax_cross_entropy(&alone, &args);
        ref_softmax_cross_entropy(batch, classes, z.d, labels, &expected_loss, &expected_correct,
                                  dz.d);
        assert_true(fabs(loss - expected_loss) <= 1e-14 * fmax(1.0, expected_loss));
        assert_int_equal(correct, expected_correct);
        array_compare("dlogits", dz, 1e-7);
        arrays_free();
    }
}

static void softmax_cross_entropy(void **state) {
    (void)state;
    with_each(test_loss);
}

static void test_adam(const cm_kernels *kernels, data_kind kind) {
    const size_t count = 131;
    const array param = array_draw(kind, count), m = array_empty(count), v = array_empty(count);
    memset(m.f, 0, count * sizeof *m.f);
    memset(v.f, 0, count * sizeof *v.f);
    array_adopt(m);
    array_adopt(v);
    double power1 = 1.0, power2 = 1.0;
    for (int t = 1; t <= 5; ++t) {
        const array grad = array_draw(kind, count);
        power1 *= 0.9;
        power2 *= 0.999;
        const cm_adam_step step = {1e-3, 0.9, 0.999, 1e-8, 1e-2, 1.0 - power1, 1.0 - power2};
        kernels->adam(&alone, count, &step, grad.f, param.f, m.f, v.f);
        ref_adam(count, &step, grad.d, param.d, m.d, v.d);
        array_compare("adam m", m, CM_BOUND);
        array_compare("adam v", v, CM_BOUND);
        array_compare("adam param", param, CM_BOUND);
    }
    arrays_free();
}

static void adam(void **state) {
    (void)state;
    with_each(test_adam);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm),
        cmocka_unit_test(batch_norm_of_large_means),
        cmocka_unit_test(max_pool2d),
        cmocka_unit_test(batch_norm_max_pool2d),
        cmocka_unit_test(relu_and_dropout),
        cmocka_unit_test(softmax_cross_entropy),
        cmocka_unit_test(adam),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
