/* Checks of batch norm and max pool. */
#include <stdio.h>

#include "harness/verify/check_case.h"

enum { MAX_ELEMENTS = 30 * 1000 };

/* The report's maps with few images, or anything. */
static cm_map_shape draw_any_map(cm_check_case *c) {
    static const struct { int size, batch; } rows[] = {{28, 1}, {9, 5}, {3, 64}, {1, 64}};
    cm_map_shape s;
    if (cm_check_draw_once_in(c, 6)) {
        const int row = cm_check_draw_int(c, 0, 3);
        return (cm_map_shape){.batch = cm_check_draw_int(c, 1, rows[row].batch),
                              .height = rows[row].size,
                              .width = rows[row].size,
                              .channels = 128};
    }
    do {
        s = (cm_map_shape){.batch = cm_check_draw_int(c, 1, 9),
                           .height = cm_check_draw_int(c, 1, 15),
                           .width = cm_check_draw_int(c, 1, 15),
                           .channels = cm_check_draw_channels(c)};
    } while (cm_check_map_count(&s) > MAX_ELEMENTS);
    return s;
}

static cm_map_shape draw_map(cm_check_case *c) {
    cm_map_shape s = draw_any_map(c);
    cm_check_fit_map(c, &s);
    return s;
}

static void draw_map_shape(cm_check_case *c) {
    c->map = draw_map(c);
    snprintf(c->shape, sizeof c->shape, "batch %d, map %dx%d, channels %d", c->map.batch,
             c->map.height, c->map.width, c->map.channels);
}

static void draw_pool_shape(cm_check_case *c) {
    cm_max_pool2d_shape *s = &c->pool;
    do {
        const cm_map_shape map = draw_map(c);
        *s = (cm_max_pool2d_shape){.batch = map.batch,
                                   .height = map.height,
                                   .width = map.width,
                                   .channels = map.channels,
                                   .kernel_h = cm_check_draw_int(c, 1, 5),
                                   .kernel_w = cm_check_draw_int(c, 1, 5),
                                   .stride_h = cm_check_draw_int(c, 1, 5),
                                   .stride_w = cm_check_draw_int(c, 1, 5)};
        if (cm_check_draw_once_in(c, 3)) { /* the report's */
            s->kernel_h = s->kernel_w = s->stride_h = s->stride_w = 3;
        }
    } while (!cm_max_pool2d_shape_init(s));
    c->map = (cm_map_shape){s->batch, s->height, s->width, s->channels};
    snprintf(c->shape, sizeof c->shape,
             "batch %d, map %dx%d, channels %d, window %dx%d, stride %dx%d", s->batch, s->height,
             s->width, s->channels, s->kernel_h, s->kernel_w, s->stride_h, s->stride_w);
}

static void add_input(cm_check_case *c, const char *name, size_t count) {
    cm_check_add(c, name, CM_CHECK_INPUT, CM_CHECK_F32, count);
}

static void add_output(cm_check_case *c, const char *name, size_t count) {
    cm_check_add(c, name, CM_CHECK_OUTPUT, CM_CHECK_F32, count);
}

/* A variance is not negative; NaN stays. */
static void add_variance(cm_check_case *c, const char *name, cm_check_role role, size_t count) {
    float *variance = cm_check_add(c, name, role, CM_CHECK_F32, count);
    for (size_t i = 0; variance != NULL && i < count; ++i) {
        variance[i] = variance[i] < 0.0F ? -variance[i] : variance[i];
    }
}

static void add_batch_norm_workspace(cm_check_case *c) {
    cm_check_add(c, "workspace", CM_CHECK_SCRATCH, CM_CHECK_U8, cm_batch_norm_workspace(&c->map));
}

void cm_check_draw_batch_norm_statistics(cm_check_case *c) {
    draw_map_shape(c);
    const size_t channels = (size_t)c->map.channels;
    const bool running = cm_check_draw_once_in(c, 2);
    c->eps = 1e-5F;
    c->momentum = 0.1F;
    add_input(c, "x", cm_check_map_count(&c->map));
    add_input(c, "gamma", channels);
    add_input(c, "beta", channels);
    cm_check_add(c, "running_mean", CM_CHECK_IN_OUT, CM_CHECK_F32, running ? channels : 0);
    add_variance(c, "running_var", CM_CHECK_IN_OUT, running ? channels : 0);
    add_output(c, "mean", channels);
    add_output(c, "rstd", channels);
    add_output(c, "scale", channels);
    add_output(c, "shift", channels);
    add_batch_norm_workspace(c);
}

void cm_check_run_batch_norm_statistics(const cm_kernels *kernels, const cm_team *team,
                                        const cm_check_case *c, void *const *a) {
    const cm_batch_norm_statistics_args args = {.shape = &c->map,
                                                .x = a[0],
                                                .to = {.gamma = a[1],
                                                       .beta = a[2],
                                                       .eps = c->eps,
                                                       .momentum = c->momentum,
                                                       .running_mean = a[3],
                                                       .running_var = a[4],
                                                       .mean = a[5],
                                                       .rstd = a[6],
                                                       .scale = a[7],
                                                       .shift = a[8]},
                                                .workspace = a[9]};
    kernels->batch_norm_statistics(team, &args);
}

void cm_check_draw_batch_norm_inference(cm_check_case *c) {
    draw_map_shape(c);
    const size_t channels = (size_t)c->map.channels;
    c->eps = 1e-5F;
    add_input(c, "gamma", channels);
    add_input(c, "beta", channels);
    add_input(c, "running_mean", channels);
    add_variance(c, "running_var", CM_CHECK_INPUT, channels);
    add_output(c, "scale", channels);
    add_output(c, "shift", channels);
}

void cm_check_run_batch_norm_inference(const cm_kernels *kernels, const cm_team *team,
                                       const cm_check_case *c, void *const *a) {
    const cm_batch_norm_inference_args args = {.channels = c->map.channels,
                                               .gamma = a[0],
                                               .beta = a[1],
                                               .eps = c->eps,
                                               .running_mean = a[2],
                                               .running_var = a[3],
                                               .scale = a[4],
                                               .shift = a[5]};
    kernels->batch_norm_inference(team, &args);
}

void cm_check_draw_batch_norm_forward(cm_check_case *c) {
    draw_map_shape(c);
    c->relu = cm_check_draw_once_in(c, 2);
    cm_check_add_in_place(c, "x", "y", cm_check_map_count(&c->map));
    add_input(c, "scale", (size_t)c->map.channels);
    add_input(c, "shift", (size_t)c->map.channels);
}

void cm_check_run_batch_norm_forward(const cm_kernels *kernels, const cm_team *team,
                                     const cm_check_case *c, void *const *a) {
    kernels->batch_norm_forward(team, &c->map, a[0], a[2], a[3], c->relu, a[1]);
}

void cm_check_draw_batch_norm_backward(cm_check_case *c) {
    draw_map_shape(c);
    const size_t count = cm_check_map_count(&c->map), channels = (size_t)c->map.channels;
    cm_check_add_in_place(c, "dy", "dx", count);
    cm_check_add_optional(c, "y", count);
    add_input(c, "x", count);
    add_input(c, "mean", channels);
    add_input(c, "rstd", channels);
    add_input(c, "scale", channels);
    add_output(c, "dgamma", channels);
    add_output(c, "dbeta", channels);
    add_batch_norm_workspace(c);
}

void cm_check_run_batch_norm_backward(const cm_kernels *kernels, const cm_team *team,
                                      const cm_check_case *c, void *const *a) {
    const cm_batch_norm_backward_args args = {.shape = &c->map,
                                              .dy = a[0],
                                              .y = a[2],
                                              .x = a[3],
                                              .mean = a[4],
                                              .rstd = a[5],
                                              .scale = a[6],
                                              .dgamma = a[7],
                                              .dbeta = a[8],
                                              .dx = a[1],
                                              .workspace = a[9]};
    kernels->batch_norm_backward(team, &args);
}

void cm_check_draw_max_pool2d_forward(cm_check_case *c) {
    draw_pool_shape(c);
    const size_t pooled = cm_check_pooled_count(&c->pool), channels = (size_t)c->pool.channels;
    c->relu = cm_check_draw_once_in(c, 2);
    const bool affine = cm_check_draw_once_in(c, 2);
    const bool argmax = !cm_check_draw_once_in(c, 3), x_at_max = cm_check_draw_once_in(c, 2);
    add_input(c, "x", cm_check_map_count(&c->map));
    add_input(c, "scale", affine ? channels : 0);
    add_input(c, "shift", affine ? channels : 0);
    add_output(c, "y", pooled);
    cm_check_add(c, "argmax", CM_CHECK_OUTPUT, CM_CHECK_U16, argmax ? pooled : 0);
    add_output(c, "x_at_max", x_at_max ? pooled : 0);
}

void cm_check_run_max_pool2d_forward(const cm_kernels *kernels, const cm_team *team,
                                     const cm_check_case *c, void *const *a) {
    const cm_max_pool2d_forward_args args = {.shape = &c->pool,
                                             .x = a[0],
                                             .scale = a[1],
                                             .shift = a[2],
                                             .relu = c->relu,
                                             .y = a[3],
                                             .argmax = a[4],
                                             .x_at_max = a[5]};
    kernels->max_pool2d_forward(team, &args);
}

static void draw_argmax(cm_check_case *c) {
    const size_t count = cm_check_pooled_count(&c->pool);
    const int last = c->pool.kernel_h * c->pool.kernel_w - 1;
    uint16_t *argmax = cm_check_add(c, "argmax", CM_CHECK_INPUT, CM_CHECK_U16, count);
    for (size_t i = 0; argmax != NULL && i < count; ++i) {
        argmax[i] = (uint16_t)cm_check_draw_int(c, 0, last);
    }
}

void cm_check_draw_max_pool2d_backward(cm_check_case *c) {
    draw_pool_shape(c);
    add_input(c, "dy", cm_check_pooled_count(&c->pool));
    cm_check_add_optional(c, "y", cm_check_pooled_count(&c->pool));
    draw_argmax(c);
    add_output(c, "dx", cm_check_map_count(&c->map));
}

void cm_check_run_max_pool2d_backward(const cm_kernels *kernels, const cm_team *team,
                                      const cm_check_case *c, void *const *a) {
    kernels->max_pool2d_backward(team, &c->pool, a[0], a[1], a[2], a[3]);
}

void cm_check_draw_batch_norm_max_pool2d_backward(cm_check_case *c) {
    draw_pool_shape(c);
    const size_t pooled = cm_check_pooled_count(&c->pool), channels = (size_t)c->pool.channels;
    add_input(c, "dy", pooled);
    cm_check_add_optional(c, "y", pooled);
    draw_argmax(c);
    add_input(c, "x_at_max", pooled);
    add_input(c, "x", cm_check_map_count(&c->map));
    add_input(c, "mean", channels);
    add_input(c, "rstd", channels);
    add_input(c, "scale", channels);
    add_output(c, "dgamma", channels);
    add_output(c, "dbeta", channels);
    add_output(c, "dx", cm_check_map_count(&c->map));
    add_batch_norm_workspace(c);
}

void cm_check_run_batch_norm_max_pool2d_backward(const cm_kernels *kernels, const cm_team *team,
                                                 const cm_check_case *c, void *const *a) {
    const cm_batch_norm_max_pool2d_backward_args args = {.shape = &c->pool,
                                                         .dy = a[0],
                                                         .y = a[1],
                                                         .argmax = a[2],
                                                         .x_at_max = a[3],
                                                         .x = a[4],
                                                         .mean = a[5],
                                                         .rstd = a[6],
                                                         .scale = a[7],
                                                         .dgamma = a[8],
                                                         .dbeta = a[9],
                                                         .dx = a[10],
                                                         .workspace = a[11]};
    kernels->batch_norm_max_pool2d_backward(team, &args);
}
