/* The first layer with its pool: conv2d, batch norm, ReLU and max pool without the map between. */
#include "core/network/stages/stages.h"

static double *patch_moments(const cm_step *step, const cm_stage *stage) {
    return (double *)(void *)cm_step_array(step, stage->moments);
}

static void patch_statistics(const cm_team *team, const cm_step *step, const cm_stage *stage,
                             const float *x) {
    const cm_model *model = step->model;
    const cm_conv2d_shape conv = cm_stage_conv(stage, step->batch);
    const cm_max_pool2d_shape pool = cm_stage_pool(stage, step->batch);
    const cm_conv2d_batch_norm_statistics_args args = {
        .conv = &conv,
        .pool = &pool,
        .x = x,
        .weight = model->parameters + stage->weight,
        .bias = model->parameters + stage->bias,
        .to = cm_stage_normalization(step, stage),
        .moments = patch_moments(step, stage),
        .workspace = cm_step_workspace(step),
    };
    model->kernels->conv2d_batch_norm_statistics(team, &args);
    cm_team_barrier(team);
}

/* `argmax`: NULL in inference. */
static const float *convolve_and_pool(const cm_team *team, const cm_step *step,
                                      const cm_stage *stage, int batch, const float *x,
                                      uint16_t *argmax) {
    const cm_model *model = step->model;
    const cm_conv2d_shape conv = cm_stage_conv(stage, batch);
    const cm_max_pool2d_shape pool = cm_stage_pool(stage, batch);
    const cm_conv2d_max_pool2d_forward_args args = {
        .conv = &conv,
        .pool = &pool,
        .x = x,
        .weight = model->parameters + stage->weight,
        .bias = model->parameters + stage->bias,
        .scale = cm_stage_coefficients(step, stage, stage->scale),
        .shift = cm_stage_coefficients(step, stage, stage->shift),
        .relu = stage->relu,
        .y = cm_step_array(step, stage->out),
        .argmax = argmax,
        .workspace = cm_step_workspace(step),
    };
    model->kernels->conv2d_max_pool2d_forward(team, &args);
    return args.y;
}

const float *cm_conv2d_max_pool2d_stage_forward(const cm_team *team, const cm_step *step,
                                                const cm_stage *stage, const float *x) {
    if (stage->batch_norm_layer >= 0) {
        patch_statistics(team, step, stage, x);
    }
    return convolve_and_pool(team, step, stage, step->batch, x,
                             (uint16_t *)cm_step_array(step, stage->argmax));
}

/* The first stage of a network, so that there is no gradient to hand on. */
void cm_conv2d_max_pool2d_stage_backward(const cm_team *team, const cm_step *step, int index,
                                         cm_activation_gradient *dy) {
    const cm_model *model = step->model;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_conv2d_shape conv = cm_stage_conv(stage, step->batch);
    const cm_max_pool2d_shape pool = cm_stage_pool(stage, step->batch);
    const cm_conv2d_max_pool2d_backward_args args = {
        .conv = &conv,
        .pool = &pool,
        .x = cm_stage_input(step, index),
        .weight = model->parameters + stage->weight,
        .dy = dy->now,
        .y = cm_stage_relu_output(step, stage),
        .argmax = (const uint16_t *)cm_step_array(step, stage->argmax),
        .moments = patch_moments(step, stage),
        .rstd = cm_stage_coefficients(step, stage, stage->rstd),
        .scale = cm_stage_coefficients(step, stage, stage->scale),
        .dgamma = model->gradients + stage->gamma,
        .dbeta = model->gradients + stage->beta,
        .dweight = model->gradients + stage->weight,
        .dbias = model->gradients + stage->bias,
        .workspace = cm_step_workspace(step)};
    model->kernels->conv2d_max_pool2d_backward(team, &args);
}

const float *cm_conv2d_max_pool2d_stage_infer(const cm_team *team, const cm_step *step,
                                              const cm_stage *stage, int batch, const float *x) {
    return convolve_and_pool(team, step, stage, batch, x, NULL);
}
