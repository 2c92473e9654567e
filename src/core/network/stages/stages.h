/**
 * What each kind of stage does in a step: one row per kind, one file per operation. The table is
 * the only place that lists them. A new operation is a file here, a row in stages.c, a member of
 * cm_stage_kind, and its place in plan.c.
 *
 * Every thread of the team calls these functions; the caller has a barrier after each.
 */
#ifndef CM_CORE_NETWORK_STAGES_H
#define CM_CORE_NETWORK_STAGES_H

#include "core/network/step.h"

/** The two buffers that gradients of activations alternate between. */
typedef struct cm_activation_gradient {
    float *now, *other;
} cm_activation_gradient;

/** After a stage has written `other`. */
static inline void cm_gradient_swap(cm_activation_gradient *dy) {
    float *now = dy->now;
    dy->now = dy->other;
    dy->other = now;
}

/** Training: runs the stage on x, the whole batch; returns its output. */
typedef const float *cm_stage_forward_fn(const cm_team *team, const cm_step *step,
                                         const cm_stage *stage, const float *x);
/** Turns the gradient of stage `index`'s output into that of its input, and writes those of its
 * parameters. */
typedef void cm_stage_backward_fn(const cm_team *team, const cm_step *step, int index,
                                  cm_activation_gradient *dy);
/** Inference: what depends on the stage's parameters only. */
typedef void cm_stage_prepare_fn(const cm_team *team, const cm_step *step, const cm_stage *stage);
/** Inference: runs the stage on `batch` images of a chunk; returns its output. */
typedef const float *cm_stage_infer_fn(const cm_team *team, const cm_step *step,
                                       const cm_stage *stage, int batch, const float *x);

typedef struct cm_stage_operations {
    cm_stage_forward_fn *forward;
    cm_stage_backward_fn *backward;
    cm_stage_prepare_fn *prepare; /* NULL: nothing but a batch norm's scale and shift */
    cm_stage_infer_fn *infer;
} cm_stage_operations;

extern const cm_stage_operations cm_stage_table[CM_STAGE_KIND_COUNT];

cm_stage_forward_fn cm_conv2d_stage_forward, cm_batch_norm_stage_forward,
    cm_max_pool2d_stage_forward, cm_conv2d_max_pool2d_stage_forward, cm_relu_stage_forward,
    cm_dropout_stage_forward;
cm_stage_backward_fn cm_conv2d_stage_backward, cm_batch_norm_stage_backward,
    cm_max_pool2d_stage_backward, cm_conv2d_max_pool2d_stage_backward, cm_relu_stage_backward,
    cm_dropout_stage_backward;
cm_stage_prepare_fn cm_conv2d_stage_prepare;
cm_stage_infer_fn cm_conv2d_stage_infer, cm_batch_norm_stage_infer, cm_max_pool2d_stage_infer,
    cm_conv2d_max_pool2d_stage_infer, cm_relu_stage_infer, cm_dropout_stage_infer;

/** What went into stage `index` in the forward pass: the nearest output before it. */
const float *cm_stage_input(const cm_step *step, int index);

/** What the stage's batch norm gets from the step and writes in training. */
cm_normalization cm_stage_normalization(const cm_step *step, const cm_stage *stage);
/** Scale and shift of the stage's batch norm from the batch x, with a barrier at the end. */
void cm_stage_batch_statistics(const cm_team *team, const cm_step *step, const cm_stage *stage,
                               const float *x);

/** An array of the stage's batch norm; NULL where it has none. */
static inline float *cm_stage_coefficients(const cm_step *step, const cm_stage *stage,
                                           size_t offset) {
    return stage->batch_norm_layer < 0 ? NULL : cm_step_array(step, offset);
}

/** The output of a fused ReLU, which its gradient is masked by; NULL where none is fused. */
static inline const float *cm_stage_relu_output(const cm_step *step, const cm_stage *stage) {
    return stage->relu ? cm_step_array(step, stage->out) : NULL;
}

#endif
