/**
 * One step on a model: what it computes, and where its arrays and shapes are. For the files that
 * walk a plan (step_training.c, step_inference.c, not_finite.c) and for stages/.
 */
#ifndef CM_CORE_NETWORK_STEP_H
#define CM_CORE_NETWORK_STEP_H

#include "core/network/model_state.h"

/** What a step does, as the number of a task in a trace: a pass over a stage, and the stage's
 * number, or its place in the step. */
static inline int32_t cm_model_task(cm_pass pass, int stage) {
    return (int32_t)pass << 16 | stage;
}

/** What one call computes. */
typedef struct cm_step {
    cm_model *model;
    const cm_program *program;
    int batch;
    const float *images;
    const uint8_t *labels;         /* NULL, in inference: no loss */
    const cm_optimizer *optimizer; /* NULL: no update of the model */
    uint64_t seed;
    bool watch;          /* inference: look for the first output that is not finite */
    int not_finite;      /* out: its stage; -1: none */
    const float *logits; /* out, inference */
    double loss;         /* out */
    int correct;         /* out */
} cm_step;

/** Whether none of the values is NaN or infinite. */
bool cm_all_finite(const float *values, size_t count);

/** Whether the output x of a stage for `batch` images, and the coefficients of its batch norm, are
 * finite. */
bool cm_step_stage_finite(const cm_step *step, int stage, int batch, const float *x);

/** Run the step on the model's team: forward in training mode, backward and update; or forward in
 * evaluation mode. They set `program`. */
void cm_step_train(cm_step *step);
void cm_step_infer(cm_step *step);

/** PyTorch's default for batch norm. */
#define CM_BATCH_NORM_EPS 1e-5F

static inline float *cm_step_array(const cm_step *step, size_t offset) {
    return offset == CM_NO_ARRAY ? NULL : step->program->arena + offset;
}

static inline float *cm_step_workspace(const cm_step *step) {
    return cm_step_array(step, step->program->plan.workspace);
}

static inline cm_conv2d_shape cm_stage_conv(const cm_stage *stage, int batch) {
    cm_conv2d_shape shape = stage->conv.shape;
    shape.batch = batch;
    return shape;
}

static inline cm_max_pool2d_shape cm_stage_pool(const cm_stage *stage, int batch) {
    cm_max_pool2d_shape shape = stage->pool;
    shape.batch = batch;
    return shape;
}

static inline cm_map_shape cm_stage_map(const cm_stage *stage, int batch) {
    cm_map_shape shape = stage->map;
    shape.batch = batch;
    return shape;
}

static inline size_t cm_map_count(const cm_map_shape *shape) {
    return (size_t)shape->batch * (size_t)shape->height * (size_t)shape->width *
           (size_t)shape->channels;
}

#endif
