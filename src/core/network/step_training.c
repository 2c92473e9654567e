/* How a training step walks its plan: every thread of the team runs this code, with a barrier
 * after each stage. */
#include "core/network/step.h"

static cm_random_key dropout_key(const cm_step *step, const cm_stage *stage) {
    return (cm_random_key){.seed = step->seed,
                           .purpose = CM_RANDOM_DROPOUT,
                           .index = (uint32_t)stage->layer,
                           .step = (uint32_t)step->model->step_count};
}

/* PyTorch's default. */
static const float batch_norm_momentum = 0.1F;

/* Scale and shift of the stage's batch norm from the batch. `x` is what the batch norm reads, or
 * what the convolution before it reads where that is fused. */
static void forward_coefficients(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                 const float *x) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_map_shape shape = cm_stage_map(stage, step->batch);
    const bool update = step->optimizer != NULL; /* else the model stays as it is */
    const cm_normalization to = {
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
    if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
        const cm_conv2d_shape conv = cm_stage_conv(stage, step->batch);
        const cm_max_pool2d_shape pool = cm_stage_pool(stage, step->batch);
        const cm_conv2d_batch_norm_statistics_args args = {.conv = &conv,
                                                           .pool = &pool,
                                                           .x = x,
                                                           .weight =
                                                               model->parameters + stage->weight,
                                                           .bias = model->parameters + stage->bias,
                                                           .to = to,
                                                           .moments = cm_step_moments(step, stage),
                                                           .workspace = cm_step_workspace(step)};
        kernels->conv2d_batch_norm_statistics(team, &args);
    } else {
        const cm_batch_norm_statistics_args args = {.shape = &shape,
                                                    .x = x,
                                                    .block = model->block,
                                                    .to = to,
                                                    .workspace = cm_step_workspace(step)};
        kernels->batch_norm_statistics(team, &args);
    }
    cm_team_barrier(team);
}

/* Max pool, with what is fused before it. */
static void forward_max_pool2d(const cm_team *team, const cm_step *step, const cm_stage *stage,
                               const float *x, float *out) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_max_pool2d_shape shape = cm_stage_pool(stage, step->batch);
    const float *scale = NULL, *shift = NULL;
    if (stage->batch_norm_layer >= 0) {
        forward_coefficients(team, step, stage, x);
        scale = cm_step_array(step, stage->scale);
        shift = cm_step_array(step, stage->shift);
    }
    uint16_t *argmax = (uint16_t *)cm_step_array(step, stage->argmax);
    if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
        const cm_conv2d_shape conv = cm_stage_conv(stage, step->batch);
        const cm_conv2d_max_pool2d_forward_args args = {.conv = &conv,
                                                        .pool = &shape,
                                                        .x = x,
                                                        .weight = model->parameters + stage->weight,
                                                        .bias = model->parameters + stage->bias,
                                                        .scale = scale,
                                                        .shift = shift,
                                                        .relu = stage->relu,
                                                        .y = out,
                                                        .argmax = argmax,
                                                        .workspace = cm_step_workspace(step)};
        kernels->conv2d_max_pool2d_forward(team, &args);
    } else {
        const cm_max_pool2d_forward_args args = {.shape = &shape,
                                                 .x = x,
                                                 .scale = scale,
                                                 .shift = shift,
                                                 .relu = stage->relu,
                                                 .y = out,
                                                 .argmax = argmax,
                                                 .x_at_max = cm_step_array(step, stage->x_at_max)};
        kernels->max_pool2d_forward(team, &args);
    }
}

/* Runs one stage on x; returns its output. The caller has the barrier. */
static const float *forward_stage(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                  const float *x) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    float *out = cm_step_array(step, stage->out);
    switch (stage->kind) {
    case CM_STAGE_CONV2D: {
        cm_conv2d_plan smaller;
        const cm_conv2d_forward_args args = {
            .plan = cm_stage_conv_plan(stage, step->batch, &smaller),
            .x = x,
            .weight = model->parameters + stage->weight,
            .bias = model->parameters + stage->bias,
            .relu = stage->relu,
            .y = out,
            .kept = cm_step_array(step, stage->kept),
            .workspace = cm_step_workspace(step),
        };
        kernels->conv2d_forward(team, &args);
        return out;
    }
    case CM_STAGE_BATCH_NORM: {
        const cm_map_shape shape = cm_stage_map(stage, step->batch);
        forward_coefficients(team, step, stage, x);
        kernels->batch_norm_forward(team, &shape, x, cm_step_array(step, stage->scale),
                                    cm_step_array(step, stage->shift), stage->relu, out);
        return out;
    }
    case CM_STAGE_MAX_POOL2D:
    case CM_STAGE_CONV2D_MAX_POOL2D:
        forward_max_pool2d(team, step, stage, x, out);
        return out;
    case CM_STAGE_RELU: {
        const cm_map_shape shape = cm_stage_map(stage, step->batch);
        kernels->relu_forward(team, cm_map_count(&shape), x, out);
        return out;
    }
    case CM_STAGE_DROPOUT:
        break;
    }
    if (!(stage->p > 0.0F)) {
        return x;
    }
    const cm_map_shape shape = cm_stage_map(stage, step->batch);
    const cm_random_key key = dropout_key(step, stage);
    /* Without an array of its own it works in place, on what the stage before it wrote. */
    out = out != NULL ? out : (float *)(uintptr_t)x;
    kernels->dropout(team, cm_map_count(&shape), x, stage->p, &key, out);
    return out;
}

/* What went into stage `index` in the forward pass: the nearest output before it. */
static const float *stage_input(const cm_step *step, int index) {
    const cm_plan *plan = &step->program->plan;
    for (int i = index - 1; i >= 0; --i) {
        const cm_stage *stage = &plan->stages[i];
        if (stage->out != CM_NO_ARRAY) {
            return cm_step_array(step, stage->out);
        }
    }
    return step->images;
}

/* The two buffers that gradients of activations alternate between. */
typedef struct gradient {
    float *now, *other;
} gradient;

static void gradient_swap(gradient *dy) {
    float *now = dy->now;
    dy->now = dy->other;
    dy->other = now;
}

static void backward_conv2d(const cm_team *team, const cm_step *step, int index, gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &step->program->plan.stages[index];
    cm_conv2d_plan smaller;
    const cm_conv2d_plan *plan = cm_stage_conv_plan(stage, step->batch, &smaller);
    if (stage->relu) {
        const cm_conv2d_shape *shape = &plan->shape;
        const size_t count = (size_t)shape->batch * (size_t)shape->out_height *
                             (size_t)shape->out_width * (size_t)shape->out_channels;
        kernels->relu_backward(team, count, dy->now, cm_step_array(step, stage->out), dy->now);
        cm_team_barrier(team);
    }
    float *dx = index > 0 ? dy->other : NULL; /* nobody asks for the gradient of the images */
    const cm_conv2d_backward_args args = {
        .plan = plan,
        .x = stage_input(step, index),
        .dy = dy->now,
        .weight = model->parameters + stage->weight,
        .dx = dx,
        .dweight = model->gradients + stage->weight,
        .dbias = model->gradients + stage->bias,
        .kept = cm_step_array(step, stage->kept),
        .workspace = cm_step_workspace(step),
    };
    kernels->conv2d_backward(team, &args);
    if (dx != NULL) {
        gradient_swap(dy);
    }
}

static void backward_batch_norm(const cm_team *team, const cm_step *step, int index,
                                const gradient *dy) {
    const cm_model *model = step->model;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_map_shape shape = cm_stage_map(stage, step->batch);
    const cm_batch_norm_backward_args args = {.shape = &shape,
                                              .dy = dy->now,
                                              .y = stage->relu ? cm_step_array(step, stage->out)
                                                               : NULL,
                                              .x = stage_input(step, index),
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

static void backward_max_pool2d(const cm_team *team, const cm_step *step, int index, gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_max_pool2d_shape shape = cm_stage_pool(stage, step->batch);
    const float *y = stage->relu ? cm_step_array(step, stage->out) : NULL;
    const uint16_t *argmax = (const uint16_t *)cm_step_array(step, stage->argmax);
    if (stage->batch_norm_layer >= 0) {
        const cm_batch_norm_max_pool2d_backward_args args = {
            .shape = &shape,
            .dy = dy->now,
            .y = y,
            .argmax = argmax,
            .x_at_max = cm_step_array(step, stage->x_at_max),
            .x = stage_input(step, index),
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
    gradient_swap(dy);
}

/* The first stage of a network, so that there is no gradient to hand on. */
static void backward_conv2d_max_pool2d(const cm_team *team, const cm_step *step, int index,
                                       const gradient *dy) {
    const cm_model *model = step->model;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_conv2d_shape conv = cm_stage_conv(stage, step->batch);
    const cm_max_pool2d_shape pool = cm_stage_pool(stage, step->batch);
    const cm_conv2d_max_pool2d_backward_args args = {
        .conv = &conv,
        .pool = &pool,
        .x = stage_input(step, index),
        .weight = model->parameters + stage->weight,
        .dy = dy->now,
        .y = stage->relu ? cm_step_array(step, stage->out) : NULL,
        .argmax = (const uint16_t *)cm_step_array(step, stage->argmax),
        .moments = cm_step_moments(step, stage),
        .rstd = cm_step_array(step, stage->rstd),
        .scale = cm_step_array(step, stage->scale),
        .dgamma = model->gradients + stage->gamma,
        .dbeta = model->gradients + stage->beta,
        .dweight = model->gradients + stage->weight,
        .dbias = model->gradients + stage->bias,
        .workspace = cm_step_workspace(step)};
    model->kernels->conv2d_max_pool2d_backward(team, &args);
}

/* Turns the gradient of the stage's output into that of its input, and writes those of its
 * parameters. The caller has the barrier. */
static void backward_stage(const cm_team *team, const cm_step *step, int index, gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &step->program->plan.stages[index];
    const cm_map_shape map = cm_stage_map(stage, step->batch);
    switch (stage->kind) {
    case CM_STAGE_CONV2D:
        backward_conv2d(team, step, index, dy);
        return;
    case CM_STAGE_MAX_POOL2D:
        backward_max_pool2d(team, step, index, dy);
        return;
    case CM_STAGE_CONV2D_MAX_POOL2D:
        backward_conv2d_max_pool2d(team, step, index, dy);
        return;
    case CM_STAGE_BATCH_NORM:
        backward_batch_norm(team, step, index, dy);
        return;
    case CM_STAGE_RELU:
        kernels->relu_backward(team, cm_map_count(&map), dy->now, cm_step_array(step, stage->out),
                               dy->now);
        return;
    case CM_STAGE_DROPOUT:
        if (stage->p > 0.0F) {
            const cm_random_key key = dropout_key(step, stage);
            kernels->dropout(team, cm_map_count(&map), dy->now, stage->p, &key, dy->now);
        }
        return;
    }
}

static void update(const cm_team *team, const cm_step *step) {
    const cm_model *model = step->model;
    const cm_optimizer *optimizer = step->optimizer;
    const cm_adam_step adam = {
        .learning_rate = optimizer->learning_rate,
        .beta1 = optimizer->beta1,
        .beta2 = optimizer->beta2,
        .epsilon = optimizer->epsilon,
        .weight_decay = optimizer->weight_decay,
        .bias_correction1 = 1.0 - model->beta1_power,
        .bias_correction2 = 1.0 - model->beta2_power,
    };
    model->kernels->adam(team, step->program->plan.parameter_floats, &adam, model->gradients,
                         model->parameters, model->moment1, model->moment2);
}

static void training_step_body(const cm_team *team, void *context) {
    cm_step *step = context;
    const cm_model *model = step->model;
    const cm_plan *plan = &step->program->plan;
    const float *x = step->images;
    for (int i = 0; i < plan->stage_count; ++i) {
        cm_trace_task(team, cm_model_task(CM_PASS_FORWARD, i));
        x = forward_stage(team, step, &plan->stages[i], x);
        cm_team_barrier(team);
    }
    gradient dy = {cm_step_array(step, plan->dlogits), NULL};
    cm_trace_task(team, cm_model_task(CM_PASS_LOSS, 0));
    const cm_softmax_cross_entropy_args loss = {.batch = step->batch,
                                                .classes = model->network->classes,
                                                .block = model->block,
                                                .logits = x,
                                                .labels = step->labels,
                                                .loss = &step->loss,
                                                .correct = &step->correct,
                                                .dlogits = dy.now,
                                                .workspace = cm_step_workspace(step)};
    model->kernels->softmax_cross_entropy(team, &loss);
    cm_team_barrier(team);
    dy.other = cm_step_array(step, plan->gradient[0]);
    for (int i = plan->stage_count - 1; i >= 0; --i) {
        cm_trace_task(team, cm_model_task(CM_PASS_BACKWARD, i));
        backward_stage(team, step, i, &dy);
        cm_team_barrier(team);
        if (dy.other == cm_step_array(step, plan->dlogits)) { /* too small for what comes now */
            dy.other = cm_step_array(step, plan->gradient[1]);
        }
    }
    if (step->optimizer != NULL) {
        cm_trace_task(team, cm_model_task(CM_PASS_UPDATE, 0));
        update(team, step);
    }
    cm_trace_phase(team, CM_PHASE_BARRIER); /* of the parallel region's end */
}

/* Adam's powers and the batch counters move before and after the parallel region. */
void cm_step_train(cm_step *step) {
    cm_model *model = step->model;
    const cm_plan *plan = &model->training_program.plan;
    step->program = &model->training_program;
    if (step->optimizer != NULL) {
        model->prepared = false;
        model->beta1_power *= step->optimizer->beta1;
        model->beta2_power *= step->optimizer->beta2;
        for (int i = 0; i < plan->stage_count; ++i) {
            if (plan->stages[i].batch_norm_layer >= 0) {
                ++model->batches_tracked[plan->stages[i].batch_norm_layer];
            }
        }
    }
    cm_team_run_traced(model->threads, training_step_body, step, model->trace);
    if (step->optimizer != NULL) {
        ++model->step_count;
    }
}
