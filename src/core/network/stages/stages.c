#include "core/network/stages/stages.h"

#define ROW(name, prepare) \
    { cm_##name##_stage_forward, cm_##name##_stage_backward, prepare, cm_##name##_stage_infer }

const cm_stage_operations cm_stage_table[CM_STAGE_KIND_COUNT] = {
    [CM_STAGE_CONV2D] = ROW(conv2d, cm_conv2d_stage_prepare),
    [CM_STAGE_BATCH_NORM] = ROW(batch_norm, NULL),
    [CM_STAGE_MAX_POOL2D] = ROW(max_pool2d, NULL),
    [CM_STAGE_CONV2D_MAX_POOL2D] = ROW(conv2d_max_pool2d, NULL),
    [CM_STAGE_RELU] = ROW(relu, NULL),
    [CM_STAGE_DROPOUT] = ROW(dropout, NULL),
};

const float *cm_stage_input(const cm_step *step, int index) {
    const cm_plan *plan = &step->program->plan;
    for (int i = index - 1; i >= 0; --i) {
        const cm_stage *stage = &plan->stages[i];
        if (stage->out != CM_NO_ARRAY) {
            return cm_step_array(step, stage->out);
        }
    }
    return step->images;
}
