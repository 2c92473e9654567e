/* Convolution and pool without the map between them give the bits of the separate kernels. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arrays.h"
#include "kernels/kernels.h"

enum { BATCH = 5, CHANNELS = 19, THREADS = 3 };

/* Everything both ways write. */
typedef struct outputs {
    array running_mean, running_var, mean, rstd, scale, shift;
    array y, x_at_max, dgamma, dbeta, dweight, dbias;
    uint16_t *argmax;
} outputs;

typedef struct block {
    const cm_kernels *kernels;
    cm_conv2d_shape conv;
    cm_max_pool2d_shape pool;
    bool batch_norm, relu;
    array x, weight, bias, gamma, beta, dy;
    array map, dmap; /* what the fused way does without */
    void *workspace;
    outputs out;
} block;

static void run_separate(const cm_team *team, void *context) {
    const block *b = context;
    const cm_kernels *k = b->kernels;
    const outputs *o = &b->out;
    const cm_map_shape map = {BATCH, b->conv.out_height, b->conv.out_width, CHANNELS};
    const float *scale = b->batch_norm ? o->scale.f : NULL;
    k->conv2d_forward(team, &b->conv, b->x.f, b->weight.f, b->bias.f, false, b->map.f,
                      b->workspace);
    cm_team_barrier(team);
    if (b->batch_norm) {
        k->batch_norm_statistics(team, &map, b->map.f, b->gamma.f, b->beta.f, 1e-5F, 0.1F,
                                 o->running_mean.f, o->running_var.f, o->mean.f, o->rstd.f,
                                 o->scale.f, o->shift.f, b->workspace);
        cm_team_barrier(team);
    }
    k->max_pool2d_forward(team, &b->pool, b->map.f, scale, b->batch_norm ? o->shift.f : NULL,
                          b->relu, o->y.f, o->argmax, b->batch_norm ? o->x_at_max.f : NULL);
    cm_team_barrier(team);
    const float *y = b->relu ? o->y.f : NULL;
    if (b->batch_norm) {
        k->batch_norm_max_pool2d_backward(team, &b->pool, b->dy.f, y, o->argmax, o->x_at_max.f,
                                          b->map.f, o->mean.f, o->rstd.f, o->scale.f, o->dgamma.f,
                                          o->dbeta.f, b->dmap.f, b->workspace);
    } else {
        k->max_pool2d_backward(team, &b->pool, b->dy.f, y, o->argmax, b->dmap.f);
    }
    cm_team_barrier(team);
    k->conv2d_backward_weights(team, &b->conv, b->x.f, b->dmap.f, o->dweight.f, o->dbias.f,
                               b->workspace);
}

static void run_fused(const cm_team *team, void *context) {
    const block *b = context;
    const cm_kernels *k = b->kernels;
    const outputs *o = &b->out;
    if (b->batch_norm) {
        k->conv2d_batch_norm_statistics(team, &b->conv, b->x.f, b->weight.f, b->bias.f, b->gamma.f,
                                        b->beta.f, 1e-5F, 0.1F, o->running_mean.f, o->running_var.f,
                                        o->mean.f, o->rstd.f, o->scale.f, o->shift.f, b->workspace);
        cm_team_barrier(team);
    }
    k->conv2d_max_pool2d_forward(team, &b->conv, &b->pool, b->x.f, b->weight.f, b->bias.f,
                                 b->batch_norm ? o->scale.f : NULL,
                                 b->batch_norm ? o->shift.f : NULL, b->relu, o->y.f, o->argmax,
                                 b->batch_norm ? o->x_at_max.f : NULL, b->workspace);
    cm_team_barrier(team);
    k->conv2d_max_pool2d_backward(
        team, &b->conv, &b->pool, b->x.f, b->weight.f, b->bias.f, b->dy.f, b->relu ? o->y.f : NULL,
        o->argmax, b->batch_norm ? o->x_at_max.f : NULL, o->mean.f, o->rstd.f, o->scale.f,
        o->dgamma.f, o->dbeta.f, o->dweight.f, o->dbias.f, b->workspace);
}

static outputs empty_outputs(const block *b) {
    const size_t weights = b->weight.count, pooled = b->dy.count;
    outputs o = {
        .running_mean = array_empty(CHANNELS),
        .running_var = array_empty(CHANNELS),
        .mean = array_empty(CHANNELS),
        .rstd = array_empty(CHANNELS),
        .scale = array_empty(CHANNELS),
        .shift = array_empty(CHANNELS),
        .y = array_empty(pooled),
        .x_at_max = array_empty(pooled),
        .dgamma = array_empty(CHANNELS),
        .dbeta = array_empty(CHANNELS),
        .dweight = array_empty(weights),
        .dbias = array_empty(CHANNELS),
        .argmax = array_take(pooled * sizeof(uint16_t)),
    };
    for (int c = 0; c < CHANNELS; ++c) {
        o.running_mean.f[c] = 0.5F;
        o.running_var.f[c] = 2.0F;
    }
    return o;
}

static void assert_same(const char *what, array a, array b) {
    for (size_t i = 0; i < a.count; ++i) {
        if (memcmp(&a.f[i], &b.f[i], sizeof(float)) != 0) {
            fail_msg("%s[%zu] is %.9g and %.9g", what, i, (double)a.f[i], (double)b.f[i]);
        }
    }
}

static void compare(const cm_kernels *kernels, cm_conv2d_shape conv, int window, int stride,
                    bool batch_norm, bool relu) {
    assert_true(cm_conv2d_shape_init(&conv));
    block b = {.kernels = kernels, .conv = conv, .batch_norm = batch_norm, .relu = relu};
    b.pool = (cm_max_pool2d_shape){.batch = BATCH,
                                   .height = conv.out_height,
                                   .width = conv.out_width,
                                   .channels = CHANNELS,
                                   .kernel_h = window,
                                   .kernel_w = window,
                                   .stride_h = stride,
                                   .stride_w = stride};
    assert_true(cm_max_pool2d_shape_init(&b.pool));
    const size_t map = (size_t)(BATCH * conv.out_height * conv.out_width * CHANNELS);
    const size_t pooled = (size_t)(BATCH * b.pool.out_height * b.pool.out_width * CHANNELS);
    b.x = array_of_reals((size_t)(BATCH * conv.height * conv.width * conv.in_channels));
    b.weight = array_of_reals(
        (size_t)(conv.kernel_h * conv.kernel_w * conv.in_channels * conv.out_channels));
    b.bias = array_of_reals(CHANNELS);
    b.gamma = array_of_reals(CHANNELS);
    b.beta = array_of_reals(CHANNELS);
    b.dy = array_of_reals(pooled);
    b.map = array_empty(map);
    b.dmap = array_empty(map);
    const cm_map_shape map_shape = {BATCH, conv.out_height, conv.out_width, CHANNELS};
    const size_t separate =
        cm_conv2d_workspace(&conv, THREADS) + cm_batch_norm_workspace(&map_shape);
    const size_t fused = cm_conv2d_max_pool2d_workspace(&conv, THREADS);
    b.workspace = array_take(separate > fused ? separate : fused);
    const outputs first = empty_outputs(&b), second = empty_outputs(&b);
    b.out = first;
    cm_team_run(1, run_separate, &b);
    b.out = second;
    cm_team_run(THREADS, run_fused, &b);
    assert_same("y", second.y, first.y);
    assert_memory_equal(second.argmax, first.argmax, pooled * sizeof(uint16_t));
    assert_same("dweight", second.dweight, first.dweight);
    assert_same("dbias", second.dbias, first.dbias);
    float largest = 0.0F;
    for (size_t i = 0; i < first.dweight.count; ++i) {
        largest = fmaxf(largest, fabsf(first.dweight.f[i]));
    }
    assert_true(largest > 0.0F); /* zeros would agree as well */
    if (batch_norm) {
        assert_same("running_mean", second.running_mean, first.running_mean);
        assert_same("running_var", second.running_var, first.running_var);
        assert_same("mean", second.mean, first.mean);
        assert_same("scale", second.scale, first.scale);
        assert_same("shift", second.shift, first.shift);
        assert_same("x_at_max", second.x_at_max, first.x_at_max);
        assert_same("dgamma", second.dgamma, first.dgamma);
        assert_same("dbeta", second.dbeta, first.dbeta);
    }
    arrays_free();
}

static void test_same_bits_as_separate_kernels(void **state) {
    (void)state;
    const cm_kernels *const kernels[] = {cm_kernels_of(CM_ISA_SCALAR), cm_kernels_best()};
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; ++i) {
        for (int bits = 0; bits < 8; ++bits) {
            const bool batch_norm = (bits & 1) != 0, relu = (bits & 2) != 0;
            const bool few = (bits & 4) != 0; /* channels: patches, or not */
            const cm_conv2d_shape conv = {.batch = BATCH,
                                          .in_channels = few ? 1 : 9,
                                          .height = 13,
                                          .width = 10,
                                          .out_channels = CHANNELS,
                                          .kernel_h = 3,
                                          .kernel_w = 3,
                                          .stride_h = 1,
                                          .stride_w = 1,
                                          .padding_h = 1,
                                          .padding_w = 1};
            compare(kernels[i], conv, 3, 3, batch_norm, relu); /* rows and columns left over */
            compare(kernels[i], conv, 3, 2, batch_norm, relu); /* windows that overlap */
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits_as_separate_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
