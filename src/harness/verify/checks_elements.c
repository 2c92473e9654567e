/* Checks of the kernels over flat arrays and over logits. */
#include <stdio.h>

#include "harness/verify/check_case.h"

static void draw_count(cm_check_case *c) {
    c->count = (size_t)(cm_check_draw_once_in(c, 4) ? cm_check_draw_int(c, 1, 70)
                                                    : cm_check_draw_int(c, 1, 3000));
    snprintf(c->shape, sizeof c->shape, "count %zu", c->count);
}

void cm_check_draw_relu_forward(cm_check_case *c) {
    draw_count(c);
    cm_check_add_in_place(c, "x", "y", c->count);
}

void cm_check_run_relu_forward(const cm_kernels *kernels, const cm_team *team,
                               const cm_check_case *c, void *const *a) {
    kernels->relu_forward(team, c->count, a[0], a[1]);
}

void cm_check_draw_relu_backward(cm_check_case *c) {
    draw_count(c);
    cm_check_add_in_place(c, "dy", "dx", c->count);
    cm_check_add(c, "y", CM_CHECK_INPUT, CM_CHECK_F32, c->count);
}

void cm_check_run_relu_backward(const cm_kernels *kernels, const cm_team *team,
                                const cm_check_case *c, void *const *a) {
    kernels->relu_backward(team, c->count, a[0], a[2], a[1]);
}

void cm_check_draw_dropout(cm_check_case *c) {
    draw_count(c);
    c->p = cm_check_draw_once_in(c, 4) ? 0.0F : cm_check_draw_uniform(c);
    c->dropout_key = (cm_random_key){.seed = cm_check_draw_u32(c),
                                     .purpose = CM_RANDOM_DROPOUT,
                                     .index = cm_check_draw_u32(c),
                                     .step = cm_check_draw_u32(c)};
    snprintf(c->shape, sizeof c->shape, "count %zu, p %.9g", c->count, (double)c->p);
    cm_check_add_in_place(c, "x", "y", c->count);
}

void cm_check_run_dropout(const cm_kernels *kernels, const cm_team *team, const cm_check_case *c,
                          void *const *a) {
    kernels->dropout(team, c->count, a[0], c->p, &c->dropout_key, a[1]);
}

void cm_check_draw_softmax_cross_entropy(cm_check_case *c) {
    c->map.batch = cm_check_draw_int(c, 1, 70);
    c->classes = cm_check_draw_int(c, 1, cm_check_draw_once_in(c, 4) ? 256 : 20);
    const size_t logits = (size_t)c->map.batch * (size_t)c->classes;
    const bool gradient = !cm_check_draw_once_in(c, 3);
    snprintf(c->shape, sizeof c->shape, "batch %d, classes %d", c->map.batch, c->classes);
    cm_check_add(c, "logits", CM_CHECK_INPUT, CM_CHECK_F32, logits);
    uint8_t *labels = cm_check_add(c, "labels", CM_CHECK_INPUT, CM_CHECK_U8, (size_t)c->map.batch);
    for (int i = 0; labels != NULL && i < c->map.batch; ++i) {
        labels[i] = (uint8_t)cm_check_draw_int(c, 0, c->classes - 1);
    }
    cm_check_add(c, "loss", CM_CHECK_OUTPUT, CM_CHECK_F64, 1);
    cm_check_add(c, "correct", CM_CHECK_OUTPUT, CM_CHECK_I32, 1);
    cm_check_add(c, "dlogits", CM_CHECK_OUTPUT, CM_CHECK_F32, gradient ? logits : 0);
    cm_check_add(c, "workspace", CM_CHECK_SCRATCH, CM_CHECK_U8,
                 cm_softmax_cross_entropy_workspace(c->map.batch));
}

void cm_check_run_softmax_cross_entropy(const cm_kernels *kernels, const cm_team *team,
                                        const cm_check_case *c, void *const *a) {
    const cm_softmax_cross_entropy_args args = {.batch = c->map.batch,
                                                .classes = c->classes,
                                                .logits = a[0],
                                                .labels = a[1],
                                                .loss = a[2],
                                                .correct = a[3],
                                                .dlogits = a[4],
                                                .workspace = a[5]};
    kernels->softmax_cross_entropy(team, &args);
}

void cm_check_draw_adam(cm_check_case *c) {
    draw_count(c);
    c->adam = (cm_adam_step){
        .learning_rate = (double)cm_check_draw_uniform(c),
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
        .weight_decay = cm_check_draw_once_in(c, 3) ? 0.0 : (double)cm_check_draw_uniform(c),
        .bias_correction1 = 1.0 - (double)cm_check_draw_uniform(c),
        .bias_correction2 = 1.0 - (double)cm_check_draw_uniform(c)};
    cm_check_add(c, "grad", CM_CHECK_INPUT, CM_CHECK_F32, c->count);
    cm_check_add(c, "param", CM_CHECK_IN_OUT, CM_CHECK_F32, c->count);
    cm_check_add(c, "m", CM_CHECK_IN_OUT, CM_CHECK_F32, c->count);
    float *v = cm_check_add(c, "v", CM_CHECK_IN_OUT, CM_CHECK_F32, c->count);
    for (size_t i = 0; v != NULL && i < c->count; ++i) {
        v[i] = v[i] < 0.0F ? -v[i] : v[i]; /* a mean of squares */
    }
}

void cm_check_run_adam(const cm_kernels *kernels, const cm_team *team, const cm_check_case *c,
                       void *const *a) {
    kernels->adam(team, c->count, &c->adam, a[0], a[1], a[2], a[3]);
}
