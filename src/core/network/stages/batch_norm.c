/* Batch norm, with a fused ReLU; and the batch statistics of stages that begin with one. */
#include "core/network/stages/stages.h"

/* PyTorch's default. */
static const float batch_norm_momentum = 0.1F;

cm_normalization cm_stage_normalization(const cm_step *step, const cm_stage *stage) {
    const cm_model *model = step->model;
    const bool update = step->optimizer != NULL; /* else the model stays as it is */
    return (cm_normalization){
        .gamma = model->parameters + stage->gamma,
        .beta = model->parameters + stage->beta,
        .eps = CM_BATCH_NORM_EPS,
        .momentum = batch_norm_momentum,
        .running_mean = update ? model->statistics + stage->running_mean : NULL,
        .running_var = update ? model->statistics + stage->running_var : NULL,
        .mean = cm_step_array(step, stage->mean),
        .rstd = cm_step_array(step, stage->rstd),
        .scale = cm_step_array(step, stage->scale),
        .shift = cm_step_array(step, stage->shift),
    };
}

void cm_stage_batch_statistics(const cm_team *team, const cm_step *step, const cm_stage *stage,
                               const float *x) {
    const cm_map_shape shape = cm_stage_map(stage, step->batch);
    const cm_batch_norm_statistics_args args = {.shape = &shape,
                                                .x = x,
                                                .block = step->model->block,
                                                .to = cm_stage_normalization(step, stage),
                                                .workspace = cm_step_workspace(step)};
    step->model->kernels->batch_norm_statistics(team, &args);
    cm_team_barrier(team);
}

const float *cm_batch_norm_stage_forward(const cm_team *team, const cm_step *step,
                                         const cm_stage *stage, const float *x) {
    cm_stage_batch_statistics(team, step, stage, x);
    return cm_batch_norm_stage_infer(team, step, stage, step->batch, x);
}

void cm_batch_norm_stage_backward(const cm_team *team, const cm_step *step, int index,
                                  cm_activation_gradient *dy) {
    const cm_model *model = step->model;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_map_shape shape = cm_stage_map(stage, step->batch);
    const cm_batch_norm_backward_args args = {.shape = &shape,
                                              .dy = dy->now,
                                              .y = cm_stage_relu_output(step, stage),
                                              .x = cm_stage_input(step, index),
                                              .mean = cm_step_array(step, stage->mean),
                                              .rstd = cm_step_array(step, stage->rstd),
                                              .scale = cm_step_array(step, stage->scale),
                                              .block = model->block,
                                              .dgamma = model->gradients + stage->gamma,
                                              .dbeta = model->gradients + stage->beta,
                                              .dx = dy->now,
                                              .workspace = cm_step_workspace(step)};
    model->kernels->batch_norm_backward(team, &args);
}

const float *cm_batch_norm_stage_infer(const cm_team *team, const cm_step *step,
                                       const cm_stage *stage, int batch, const float *x) {
    const cm_map_shape shape = cm_stage_map(stage, batch);
    float *out = cm_step_array(step, stage->out);
    step->model->kernels->batch_norm_forward(team, &shape, x, cm_step_array(step, stage->scale),
                                             cm_step_array(step, stage->shift), stage->relu, out);
    return out;
}
