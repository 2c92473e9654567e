/* Every backward kernel, of scalar and of the machine's best instruction set, against the numerical
 * gradient (central differences, in double) of the reference's forward pass. With random dy, the
 * loss is sum(dy * y); the networks here are small enough to move every element once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/arrays.h"
#include "support/reference.h"

/* Of the largest element of the gradient; the kernels are within 1e-5 and the differences within
 * 1e-8 of the truth. */
#define CM_BOUND 2e-5
#define CM_STEP 1e-6

/* The loss as a function of arrays that are moved one element at a time. */
typedef double loss_fn(const void *context);

/* gradient.d = d loss / d values.d; then compares the kernel's gradient.f. */
static void check(const char *what, loss_fn *loss, const void *context, array values,
                  array gradient) {
    assert_int_equal(values.count, gradient.count);
    for (size_t i = 0; i < values.count; ++i) {
        const double old = values.d[i];
        values.d[i] = old + CM_STEP;
        const double above = loss(context);
        values.d[i] = old - CM_STEP;
        const double below = loss(context);
        values.d[i] = old;
        gradient.d[i] = (above - below) / (2.0 * CM_STEP);
    }
    array_compare(what, gradient, CM_BOUND);
}

static double dot(array a, const double *b) {
    double sum = 0.0;
    for (size_t i = 0; i < a.count; ++i) {
        sum += a.d[i] * b[i];
    }
    return sum;
}

/* A test's body, for both instruction sets. */
typedef void gradient_test(const cm_kernels *kernels);

static void with_both(gradient_test *test) {
    const cm_kernels *const kernels[] = {cm_kernels_of(CM_ISA_SCALAR), cm_kernels_best()};
    for (size_t i = 0; i < CM_COUNT(kernels); ++i) {
        test(kernels[i]);
        arrays_free();
    }
}

typedef struct conv_loss {
    cm_conv2d_shape shape;
    array x, weight, bias, dy, y;
} conv_loss;

static double loss_of_conv2d(const void *context) {
    const conv_loss *l = context;
    ref_conv2d_forward(&l->shape, l->x.d, l->weight.d, l->bias.d, false, l->y.d);
    return dot(l->dy, l->y.d);
}

static void conv2d_gradients(const cm_kernels *kernels, cm_conv2d_shape shape) {
    assert_true(cm_conv2d_shape_init(&shape));
    const size_t out = (size_t)shape.out_channels, in = (size_t)shape.in_channels;
    const size_t batch = (size_t)shape.batch;
    const size_t outputs = batch * (size_t)shape.out_height * (size_t)shape.out_width * out;
    const conv_loss l = {
        .shape = shape,
        .x = array_of_reals(batch * (size_t)shape.height * (size_t)shape.width * in),
        .weight = array_of_reals((size_t)shape.kernel_h * (size_t)shape.kernel_w * in * out),
        .bias = array_of_reals(out),
        .dy = array_of_reals(outputs),
        .y = array_empty(outputs)};
    const array dx = array_empty(l.x.count), dweight = array_empty(l.weight.count),
                dbias = array_empty(out);
    const cm_conv2d_plan plan = cm_conv2d_plan_of(&shape, 1);
    const cm_conv2d_backward_args args = {.plan = &plan,
                                          .x = l.x.f,
                                          .dy = l.dy.f,
                                          .weight = l.weight.f,
                                          .dx = dx.f,
                                          .dweight = dweight.f,
                                          .dbias = dbias.f,
                                          .workspace = array_take(plan.workspace)};
    kernels->conv2d_backward_data(&alone, &args);
    kernels->conv2d_backward_weights(&alone, &args);
    check("dx", loss_of_conv2d, &l, l.x, dx);
    check("dweight", loss_of_conv2d, &l, l.weight, dweight);
    check("dbias", loss_of_conv2d, &l, l.bias, dbias);
}

static void test_conv2d(const cm_kernels *kernels) {
    for (cm_conv2d_algorithm a = CM_CONV2D_DIRECT; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
        cm_conv2d_shape shape = {.batch = 2,
                                 .in_channels = 3,
                                 .height = 5,
                                 .width = 4,
                                 .out_channels = 5,
                                 .kernel_h = 3,
                                 .kernel_w = 3,
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .padding_h = 1,
                                 .padding_w = 1,
                                 .algorithm = a};
        if (!cm_conv2d_algorithm_fits(a, &shape)) { /* whole maps of one size */
            shape.height = shape.width = a == CM_CONV2D_T4 ? 3 : 9;
        }
        conv2d_gradients(kernels, shape);
    }
    conv2d_gradients(kernels, (cm_conv2d_shape){.batch = 1,
                                                .in_channels = 9,
                                                .height = 6,
                                                .width = 5,
                                                .out_channels = 3,
                                                .kernel_h = 2,
                                                .kernel_w = 3,
                                                .stride_h = 2,
                                                .stride_w = 3,
                                                .padding_h = 0,
                                                .padding_w = 2});
    conv2d_gradients(kernels, cm_linear_shape(3, 17, 5));
}

static void conv2d(void **state) {
    (void)state;
    with_both(test_conv2d);
}

/* Batch norm in training mode, ReLU, and a max pool unless `pool` is NULL. */
typedef struct norm_loss {
    cm_map_shape map;
    const cm_max_pool2d_shape *pool;
    array x, gamma, beta, dy, y;
    double *mean, *rstd, *scale, *shift;
} norm_loss;

static double loss_of_batch_norm(const void *context) {
    const norm_loss *l = context;
    ref_batch_norm_statistics(&l->map, l->x.d, l->gamma.d, l->beta.d, 1e-5, 0.1, NULL, NULL,
                              l->mean, l->rstd, l->scale, l->shift);
    if (l->pool == NULL) {
        ref_batch_norm_forward(&l->map, l->x.d, l->scale, l->shift, true, l->y.d);
    } else {
        ref_max_pool2d_forward(l->pool, l->x.d, l->scale, l->shift, true, l->y.d, NULL, NULL);
    }
    return dot(l->dy, l->y.d);
}

static void batch_norm_gradients(const cm_kernels *kernels, cm_map_shape map,
                                 const cm_max_pool2d_shape *pool) {
    const size_t channels = (size_t)map.channels;
    const size_t inputs = (size_t)map.batch * (size_t)map.height * (size_t)map.width * channels;
    const size_t outputs = pool == NULL ? inputs
                                        : (size_t)map.batch * (size_t)pool->out_height *
                                              (size_t)pool->out_width * channels;
    const norm_loss l = {.map = map,
                         .pool = pool,
                         .x = array_of_reals(inputs),
                         .gamma = array_of_reals(channels),
                         .beta = array_of_reals(channels),
                         .dy = array_of_reals(outputs),
                         .y = array_empty(outputs),
                         .mean = array_empty(channels).d,
                         .rstd = array_empty(channels).d,
                         .scale = array_empty(channels).d,
                         .shift = array_empty(channels).d};
    const array mean = array_empty(channels), rstd = array_empty(channels),
                scale = array_empty(channels), shift = array_empty(channels),
                dgamma = array_empty(channels), dbeta = array_empty(channels),
                dx = array_empty(inputs), x_at_max = array_empty(outputs);
    uint16_t *argmax = array_take(outputs * sizeof *argmax);
    void *workspace = array_take(cm_batch_norm_workspace(&map));
    const cm_batch_norm_statistics_args statistics = {.shape = &map,
                                                      .x = l.x.f,
                                                      .to = {.gamma = l.gamma.f,
                                                             .beta = l.beta.f,
                                                             .eps = 1e-5F,
                                                             .momentum = 0.1F,
                                                             .mean = mean.f,
                                                             .rstd = rstd.f,
                                                             .scale = scale.f,
                                                             .shift = shift.f},
                                                      .workspace = workspace};
    kernels->batch_norm_statistics(&alone, &statistics);
    if (pool == NULL) {
        kernels->batch_norm_forward(&alone, &map, l.x.f, scale.f, shift.f, true, l.y.f);
        const cm_batch_norm_backward_args args = {.shape = &map,
                                                  .dy = l.dy.f,
                                                  .y = l.y.f,
                                                  .x = l.x.f,
                                                  .mean = mean.f,
                                                  .rstd = rstd.f,
                                                  .scale = scale.f,
                                                  .dgamma = dgamma.f,
                                                  .dbeta = dbeta.f,
                                                  .dx = dx.f,
                                                  .workspace = workspace};
        kernels->batch_norm_backward(&alone, &args);
    } else {
        const cm_max_pool2d_forward_args forward = {.shape = pool,
                                                    .x = l.x.f,
                                                    .scale = scale.f,
                                                    .shift = shift.f,
                                                    .relu = true,
                                                    .y = l.y.f,
                                                    .argmax = argmax,
                                                    .x_at_max = x_at_max.f};
        kernels->max_pool2d_forward(&alone, &forward);
        const cm_batch_norm_max_pool2d_backward_args backward = {.shape = pool,
                                                                 .dy = l.dy.f,
                                                                 .y = l.y.f,
                                                                 .argmax = argmax,
                                                                 .x_at_max = x_at_max.f,
                                                                 .x = l.x.f,
                                                                 .mean = mean.f,
                                                                 .rstd = rstd.f,
                                                                 .scale = scale.f,
                                                                 .dgamma = dgamma.f,
                                                                 .dbeta = dbeta.f,
                                                                 .dx = dx.f,
                                                                 .workspace = workspace};
        kernels->batch_norm_max_pool2d_backward(&alone, &backward);
    }
    check("dx", loss_of_batch_norm, &l, l.x, dx);
    check("dgamma", loss_of_batch_norm, &l, l.gamma, dgamma);
    check("dbeta", loss_of_batch_norm, &l, l.beta, dbeta);
}

static const cm_max_pool2d_shape pools[] = {
    {.batch = 2,
     .height = 7,
     .width = 6,
     .channels = 3,
     .kernel_h = 3,
     .kernel_w = 3,
     .stride_h = 3,
     .stride_w = 3},
    {.batch = 2,
     .height = 5,
     .width = 6,
     .channels = 3,
     .kernel_h = 3,
     .kernel_w = 2,
     .stride_h = 1,
     .stride_w = 2},
};

static void test_batch_norm(const cm_kernels *kernels) {
    batch_norm_gradients(kernels, (cm_map_shape){3, 4, 3, 5}, NULL);
    batch_norm_gradients(kernels, (cm_map_shape){6, 1, 1, 17}, NULL);
    for (size_t i = 0; i < CM_COUNT(pools); ++i) {
        cm_max_pool2d_shape pool = pools[i];
        assert_true(cm_max_pool2d_shape_init(&pool));
        const cm_map_shape map = {pool.batch, pool.height, pool.width, pool.channels};
        batch_norm_gradients(kernels, map, &pool);
    }
}

static void batch_norm(void **state) {
    (void)state;
    with_both(test_batch_norm);
}

/* ReLU, then a max pool; the ReLU's own kernel, and the one fused into the pool. */
typedef struct pool_loss {
    cm_max_pool2d_shape shape;
    array x, dy, y;
} pool_loss;

static double loss_of_max_pool2d(const void *context) {
    const pool_loss *l = context;
    ref_max_pool2d_forward(&l->shape, l->x.d, NULL, NULL, true, l->y.d, NULL, NULL);
    return dot(l->dy, l->y.d);
}

static void test_max_pool2d(const cm_kernels *kernels) {
    for (size_t i = 0; i < CM_COUNT(pools); ++i) {
        cm_max_pool2d_shape s = pools[i];
        assert_true(cm_max_pool2d_shape_init(&s));
        const size_t images = (size_t)s.batch * (size_t)s.channels;
        const size_t outputs = images * (size_t)s.out_height * (size_t)s.out_width;
        const pool_loss l = {.shape = s,
                             .x = array_of_reals(images * (size_t)s.height * (size_t)s.width),
                             .dy = array_of_reals(outputs),
                             .y = array_empty(outputs)};
        const array dx = array_empty(l.x.count), rectified = array_empty(l.x.count);
        uint16_t *argmax = array_take(outputs * sizeof *argmax);
        cm_max_pool2d_forward_args forward = {
            .shape = &s, .x = l.x.f, .relu = true, .y = l.y.f, .argmax = argmax};
        kernels->max_pool2d_forward(&alone, &forward);
        kernels->max_pool2d_backward(&alone, &s, l.dy.f, l.y.f, argmax, dx.f);
        check("fused dx", loss_of_max_pool2d, &l, l.x, dx);

        kernels->relu_forward(&alone, l.x.count, l.x.f, rectified.f);
        forward.x = rectified.f;
        forward.relu = false;
        kernels->max_pool2d_forward(&alone, &forward);
        kernels->max_pool2d_backward(&alone, &s, l.dy.f, NULL, argmax, dx.f);
        kernels->relu_backward(&alone, l.x.count, dx.f, rectified.f, dx.f);
        check("dx", loss_of_max_pool2d, &l, l.x, dx);
    }
}

static void relu_and_max_pool2d(void **state) {
    (void)state;
    with_both(test_max_pool2d);
}

typedef struct entropy_loss {
    int batch, classes;
    array logits;
    const uint8_t *labels;
} entropy_loss;

static double loss_of_logits(const void *context) {
    const entropy_loss *l = context;
    double loss;
    int correct;
    ref_softmax_cross_entropy(l->batch, l->classes, l->logits.d, l->labels, &loss, &correct, NULL);
    return loss;
}

static void test_softmax(const cm_kernels *kernels) {
    static const uint8_t labels[] = {3, 0, 9, 5, 5};
    const entropy_loss l = {5, 10, array_of_reals(50), labels};
    const array dlogits = array_empty(50);
    double loss;
    int correct;
    const cm_softmax_cross_entropy_args args = {
        .batch = l.batch,
        .classes = l.classes,
        .logits = l.logits.f,
        .labels = labels,
        .loss = &loss,
        .correct = &correct,
        .dlogits = dlogits.f,
        .workspace = array_take(cm_softmax_cross_entropy_workspace(5))};
    kernels->softmax_cross_entropy(&alone, &args);
    check("dlogits", loss_of_logits, &l, l.logits, dlogits);
}

static void softmax_cross_entropy(void **state) {
    (void)state;
    with_both(test_softmax);
}

typedef struct dropout_loss {
    cm_random_key key;
    array x, dy, y;
} dropout_loss;

static double loss_of_dropout(const void *context) {
    const dropout_loss *l = context;
    ref_dropout(l->x.count, l->x.d, 0.3F, &l->key, l->y.d);
    return dot(l->dy, l->y.d);
}

static void test_dropout(const cm_kernels *kernels) {
    const dropout_loss l = {{.seed = 9, .purpose = CM_RANDOM_DROPOUT},
                            array_of_reals(70),
                            array_of_reals(70),
                            array_empty(70)};
    const array dx = array_empty(70);
    kernels->dropout(&alone, 70, l.dy.f, 0.3F, &l.key, dx.f);
    check("dx", loss_of_dropout, &l, l.x, dx);
}

static void dropout(void **state) {
    (void)state;
    with_both(test_dropout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d),
        cmocka_unit_test(batch_norm),
        cmocka_unit_test(relu_and_max_pool2d),
        cmocka_unit_test(softmax_cross_entropy),
        cmocka_unit_test(dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
