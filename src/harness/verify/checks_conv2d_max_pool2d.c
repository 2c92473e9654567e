/* Checks of the kernels that compute convolution and pool without the map between them. */
#include <stdio.h>

#include "harness/verify/check_case.h"

enum { MAX_IN_CHANNELS = 4, MAX_SIDE = 13 };

static bool allowed(cm_conv2d_shape *s) {
    return cm_conv2d_shape_init(s) && s->kernel_h * s->kernel_w * s->in_channels <= CM_MAX_PATCH;
}

/* Every other case is the one that has code of its own: 3x3 filters of one channel, 3x3 windows. */
static void draw_shapes(cm_check_case *c) {
    cm_conv2d_shape *s = &c->conv;
    cm_max_pool2d_shape *pool = &c->pool;
    const bool special = cm_check_draw_once_in(c, 2);
    do {
        *s = (cm_conv2d_shape){.batch = cm_check_draw_int(c, 1, 9),
                               .in_channels = cm_check_draw_int(c, 1, MAX_IN_CHANNELS),
                               .height = cm_check_draw_int(c, 1, MAX_SIDE),
                               .width = cm_check_draw_int(c, 1, MAX_SIDE),
                               .out_channels = cm_check_draw_channels(c),
                               .kernel_h = cm_check_draw_int(c, 1, 4),
                               .kernel_w = cm_check_draw_int(c, 1, 4),
                               .stride_h = cm_check_draw_int(c, 1, 2),
                               .stride_w = cm_check_draw_int(c, 1, 2),
                               .padding_h = cm_check_draw_int(c, 0, 2),
                               .padding_w = cm_check_draw_int(c, 0, 2)};
        if (special) {
            s->in_channels = s->stride_h = s->stride_w = 1;
            s->kernel_h = s->kernel_w = 3;
        }
        *pool = (cm_max_pool2d_shape){0};
        if (!allowed(s)) {
            continue;
        }
        cm_check_fit_conv2d(c, s);
        *pool = (cm_max_pool2d_shape){.batch = s->batch,
                                      .height = s->out_height,
                                      .width = s->out_width,
                                      .channels = s->out_channels,
                                      .kernel_h = cm_check_draw_int(c, 1, 4),
                                      .kernel_w = cm_check_draw_int(c, 1, 4),
                                      .stride_h = cm_check_draw_int(c, 1, 4),
                                      .stride_w = cm_check_draw_int(c, 1, 4)};
        if (special) {
            pool->kernel_h = pool->kernel_w = 3;
        }
    } while (!cm_max_pool2d_shape_init(pool));
    snprintf(c->shape, sizeof c->shape,
             "batch %d, channels %d -> %d, map %dx%d, kernel %dx%d, stride %dx%d, padding %dx%d, "
             "window %dx%d, stride %dx%d",
             s->batch, s->in_channels, s->out_channels, s->height, s->width, s->kernel_h,
             s->kernel_w, s->stride_h, s->stride_w, s->padding_h, s->padding_w, pool->kernel_h,
             pool->kernel_w, pool->stride_h, pool->stride_w);
}

static void add(cm_check_case *c, const char *name, cm_check_role role, size_t count) {
    cm_check_add(c, name, role, CM_CHECK_F32, count);
}

static void add_convolution(cm_check_case *c) {
    add(c, "x", CM_CHECK_INPUT, cm_check_x_count(&c->conv));
    add(c, "weight", CM_CHECK_INPUT, cm_check_weight_count(&c->conv));
    add(c, "bias", CM_CHECK_INPUT, (size_t)c->conv.out_channels);
}

static void add_first_layer_workspace(cm_check_case *c) {
    cm_check_add(c, "workspace", CM_CHECK_SCRATCH, CM_CHECK_U8,
                 cm_conv2d_max_pool2d_workspace(&c->conv, &c->pool, c->threads));
}

void cm_check_draw_conv2d_batch_norm_statistics(cm_check_case *c) {
    draw_shapes(c);
    const size_t channels = (size_t)c->conv.out_channels;
    const bool running = cm_check_draw_once_in(c, 2);
    c->eps = 1e-5F;
    c->momentum = 0.1F;
    add_convolution(c);
    add(c, "gamma", CM_CHECK_INPUT, channels);
    add(c, "beta", CM_CHECK_INPUT, channels);
    add(c, "running_mean", CM_CHECK_IN_OUT, running ? channels : 0);
    add(c, "running_var", CM_CHECK_IN_OUT, running ? channels : 0);
    add(c, "mean", CM_CHECK_OUTPUT, channels);
    add(c, "rstd", CM_CHECK_OUTPUT, channels);
    add(c, "scale", CM_CHECK_OUTPUT, channels);
    add(c, "shift", CM_CHECK_OUTPUT, channels);
    cm_check_add(c, "moments", CM_CHECK_OUTPUT, CM_CHECK_F64, cm_patch_moments_count(&c->conv));
    add_first_layer_workspace(c);
}

void cm_check_run_conv2d_batch_norm_statistics(const cm_kernels *kernels, const cm_team *team,
                                               const cm_check_case *c, void *const *a) {
    const cm_conv2d_batch_norm_statistics_args args = {.conv = &c->conv,
                                                       .pool = &c->pool,
                                                       .x = a[0],
                                                       .weight = a[1],
                                                       .bias = a[2],
                                                       .to = {.gamma = a[3],
                                                              .beta = a[4],
                                                              .eps = c->eps,
                                                              .momentum = c->momentum,
                                                              .running_mean = a[5],
                                                              .running_var = a[6],
                                                              .mean = a[7],
                                                              .rstd = a[8],
                                                              .scale = a[9],
                                                              .shift = a[10]},
                                                       .moments = a[11],
                                                       .workspace = a[12]};
    kernels->conv2d_batch_norm_statistics(team, &args);
}

void cm_check_draw_conv2d_max_pool2d_forward(cm_check_case *c) {
    draw_shapes(c);
    const size_t pooled = cm_check_pooled_count(&c->pool), channels = (size_t)c->conv.out_channels;
    c->relu = cm_check_draw_once_in(c, 2);
    const bool batch_norm = cm_check_draw_once_in(c, 2), training = cm_check_draw_once_in(c, 2);
    add_convolution(c);
    add(c, "scale", CM_CHECK_INPUT, batch_norm ? channels : 0);
    add(c, "shift", CM_CHECK_INPUT, batch_norm ? channels : 0);
    add(c, "y", CM_CHECK_OUTPUT, pooled);
    cm_check_add(c, "argmax", CM_CHECK_OUTPUT, CM_CHECK_U16, training ? pooled : 0);
    add_first_layer_workspace(c);
}

void cm_check_run_conv2d_max_pool2d_forward(const cm_kernels *kernels, const cm_team *team,
                                            const cm_check_case *c, void *const *a) {
    const cm_conv2d_max_pool2d_forward_args args = {.conv = &c->conv,
                                                    .pool = &c->pool,
                                                    .x = a[0],
                                                    .weight = a[1],
                                                    .bias = a[2],
                                                    .scale = a[3],
                                                    .shift = a[4],
                                                    .relu = c->relu,
                                                    .y = a[5],
                                                    .argmax = a[6],
                                                    .workspace = a[7]};
    kernels->conv2d_max_pool2d_forward(team, &args);
}

void cm_check_draw_conv2d_max_pool2d_backward(cm_check_case *c) {
    draw_shapes(c);
    const size_t pooled = cm_check_pooled_count(&c->pool);
    const bool batch_norm = cm_check_draw_once_in(c, 2);
    const size_t channels = batch_norm ? (size_t)c->conv.out_channels : 0;
    const int last = c->pool.kernel_h * c->pool.kernel_w - 1;
    add(c, "x", CM_CHECK_INPUT, cm_check_x_count(&c->conv));
    add(c, "weight", CM_CHECK_INPUT, cm_check_weight_count(&c->conv));
    add(c, "dy", CM_CHECK_INPUT, pooled);
    cm_check_add_optional(c, "y", pooled);
    uint16_t *argmax = cm_check_add(c, "argmax", CM_CHECK_INPUT, CM_CHECK_U16, pooled);
    for (size_t i = 0; argmax != NULL && i < pooled; ++i) {
        argmax[i] = (uint16_t)cm_check_draw_int(c, 0, last);
    }
    double *moments = cm_check_add(c, "moments", CM_CHECK_INPUT, CM_CHECK_F64,
                                   batch_norm ? cm_patch_moments_count(&c->conv) : 0);
    for (size_t i = 0; moments != NULL && i < cm_patch_moments_count(&c->conv); ++i) {
        moments[i] = cm_check_draw_int(c, -1000, 1000) / 512.0;
    }
    add(c, "rstd", CM_CHECK_INPUT, channels);
    add(c, "scale", CM_CHECK_INPUT, channels);
    add(c, "dgamma", CM_CHECK_OUTPUT, channels);
    add(c, "dbeta", CM_CHECK_OUTPUT, channels);
    add(c, "dweight", CM_CHECK_OUTPUT, cm_check_weight_count(&c->conv));
    add(c, "dbias", CM_CHECK_OUTPUT, (size_t)c->conv.out_channels);
    add_first_layer_workspace(c);
}

void cm_check_run_conv2d_max_pool2d_backward(const cm_kernels *kernels, const cm_team *team,
                                             const cm_check_case *c, void *const *a) {
    const cm_conv2d_max_pool2d_backward_args args = {.conv = &c->conv,
                                                     .pool = &c->pool,
                                                     .x = a[0],
                                                     .weight = a[1],
                                                     .dy = a[2],
                                                     .y = a[3],
                                                     .argmax = a[4],
                                                     .moments = a[5],
                                                     .rstd = a[6],
                                                     .scale = a[7],
                                                     .dgamma = a[8],
                                                     .dbeta = a[9],
                                                     .dweight = a[10],
                                                     .dbias = a[11],
                                                     .workspace = a[12]};
    kernels->conv2d_max_pool2d_backward(team, &args);
}
