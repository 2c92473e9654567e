/* Max pool, with a batch norm, a ReLU or both fused before it. */
#include "core/network/stages/stages.h"

const float *cm_max_pool2d_stage_forward(const cm_team *team, const cm_step *step,
                                         const cm_stage *stage, const float *x) {
    const cm_max_pool2d_shape shape = cm_stage_pool(stage, step->batch);
    if (stage->batch_norm_layer >= 0) {
        cm_stage_batch_statistics(team, step, stage, x);
    }
    const cm_max_pool2d_forward_args args = {
        .shape = &shape,
        .x = x,
        .scale = cm_stage_coefficients(step, stage, stage->scale),
        .shift = cm_stage_coefficients(step, stage, stage->shift),
        .relu = stage->relu,
        .y = cm_step_array(step, stage->out),
        .argmax = (uint16_t *)cm_step_array(step, stage->argmax),
        .x_at_max = cm_step_array(step, stage->x_at_max),
    };
    step->model->kernels->max_pool2d_forward(team, &args);
    return args.y;
}

void cm_max_pool2d_stage_backward(const cm_team *team, const cm_step *step, int index,
                                  cm_activation_gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_max_pool2d_shape shape = cm_stage_pool(stage, step->batch);
    const float *y = cm_stage_relu_output(step, stage);
    const uint16_t *argmax = (const uint16_t *)cm_step_array(step, stage->argmax);
    if (stage->batch_norm_layer >= 0) {
        const cm_batch_norm_max_pool2d_backward_args args = {
            .shape = &shape,
            .dy = dy->now,
            .y = y,
            .argmax = argmax,
            .x_at_max = cm_step_array(step, stage->x_at_max),
            .x = cm_stage_input(step, index),
            .mean = cm_step_array(step, stage->mean),
            .rstd = cm_step_array(step, stage->rstd),
            .scale = cm_step_array(step, stage->scale),
            .block = model->block,
            .dgamma = model->gradients + stage->gamma,
            .dbeta = model->gradients + stage->beta,
            .dx = dy->other,
            .workspace = cm_step_workspace(step)};
        kernels->batch_norm_max_pool2d_backward(team, &args);
    } else {
        kernels->max_pool2d_backward(team, &shape, dy->now, y, argmax, dy->other);
    }
    cm_gradient_swap(dy);
}

const float *cm_max_pool2d_stage_infer(const cm_team *team, const cm_step *step,
                                       const cm_stage *stage, int batch, const float *x) {
    const cm_max_pool2d_shape shape = cm_stage_pool(stage, batch);
    const cm_max_pool2d_forward_args args = {
        .shape = &shape,
        .x = x,
        .scale = cm_stage_coefficients(step, stage, stage->scale),
        .shift = cm_stage_coefficients(step, stage, stage->shift),
        .relu = stage->relu,
        .y = cm_step_array(step, stage->out),
    };
    step->model->kernels->max_pool2d_forward(team, &args);
    return args.y;
}
