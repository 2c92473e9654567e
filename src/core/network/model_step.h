/** Where the arrays and shapes of a step are, for the files that walk the plans. */
#ifndef CM_NETWORK_MODEL_STEP_H
#define CM_NETWORK_MODEL_STEP_H

#include "core/network/model_internal.h"

/** PyTorch's default for batch norm. */
#define CM_BATCH_NORM_EPS 1e-5F

static inline float *cm_step_array(const cm_step *step, size_t offset) {
    return offset == CM_NO_ARRAY ? NULL : step->program->arena + offset;
}

static inline float *cm_step_workspace(const cm_step *step) {
    return cm_step_array(step, step->program->plan.workspace);
}

static inline double *cm_step_moments(const cm_step *step, const cm_stage *stage) {
    return (double *)(void *)cm_step_array(step, stage->moments);
}

static inline cm_conv2d_shape cm_stage_conv(const cm_stage *stage, int batch) {
    cm_conv2d_shape shape = stage->conv.shape;
    shape.batch = batch;
    return shape;
}

/** The plan of the stage's convolution for `batch` images: the stage's own, or for a smaller batch,
 * such as the last one of an epoch, one that is made in `smaller`. */
static inline const cm_conv2d_plan *cm_stage_conv_plan(const cm_stage *stage, int batch,
                                                       cm_conv2d_plan *smaller) {
    if (batch == stage->conv.shape.batch) {
        return &stage->conv;
    }
    const cm_conv2d_shape shape = cm_stage_conv(stage, batch);
    *smaller = cm_conv2d_plan_of(&shape, stage->conv.threads);
    return smaller;
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
