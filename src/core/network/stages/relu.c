/* A ReLU that is fused with nothing. */
#include "core/network/stages/stages.h"

const float *cm_relu_stage_forward(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                   const float *x) {
    return cm_relu_stage_infer(team, step, stage, step->batch, x);
}

void cm_relu_stage_backward(const cm_team *team, const cm_step *step, int index,
                            cm_activation_gradient *dy) {
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_map_shape map = cm_stage_map(stage, step->batch);
    step->model->kernels->relu_backward(team, cm_map_count(&map), dy->now,
                                        cm_step_array(step, stage->out), dy->now);
}

const float *cm_relu_stage_infer(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                 int batch, const float *x) {
    const cm_map_shape map = cm_stage_map(stage, batch);
    float *out = cm_step_array(step, stage->out);
    step->model->kernels->relu_forward(team, cm_map_count(&map), x, out);
    return out;
}
