/* How a step walks the plan: every thread of the team runs this code, with a barrier behind each
 * stage. */
#include <string.h>

#include "network/model_internal.h"

static float *arena_at(const cm_model *model, size_t offset) {
    return offset == CM_NO_ARRAY ? NULL : model->arena + offset;
}

static double *moments_at(const cm_model *model, const cm_stage *stage) {
    return (double *)(void *)arena_at(model, stage->moments);
}

static cm_conv2d_shape conv_shape(const cm_stage *stage, int batch) {
    cm_conv2d_shape shape = stage->conv;
    shape.batch = batch;
    return shape;
}

static cm_max_pool2d_shape pool_shape(const cm_stage *stage, int batch) {
    cm_max_pool2d_shape shape = stage->pool;
    shape.batch = batch;
    return shape;
}

static cm_map_shape map_shape(const cm_stage *stage, int batch) {
    cm_map_shape shape = stage->map;
    shape.batch = batch;
    return shape;
}

static size_t map_count(const cm_map_shape *shape) {
    return (size_t)shape->batch * (size_t)shape->height * (size_t)shape->width *
           (size_t)shape->channels;
}

static cm_random_key dropout_key(const cm_step *step, const cm_stage *stage) {
    return (cm_random_key){.seed = step->seed,
                           .purpose = CM_RANDOM_DROPOUT,
                           .index = (uint32_t)stage->layer,
                           .step = (uint32_t)step->model->step_count};
}

/* PyTorch's defaults for batch norm. */
static const float batch_norm_eps = 1e-5F, batch_norm_momentum = 0.1F;

/* Scale and shift of the stage's batch norm, from the batch or from the running statistics. `x` is
 * what the batch norm reads, or what the convolution in front of it reads where that is fused. */
static void forward_coefficients(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                 const float *x) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_map_shape shape = map_shape(stage, step->batch);
    const float *gamma = model->parameters + stage->gamma;
    const float *beta = model->parameters + stage->beta;
    float *running_mean = model->statistics + stage->running_mean;
    float *running_var = model->statistics + stage->running_var;
    float *mean = arena_at(model, stage->mean), *rstd = arena_at(model, stage->rstd);
    float *scale = arena_at(model, stage->scale), *shift = arena_at(model, stage->shift);
    void *workspace = arena_at(model, model->plan.workspace);
    if (!step->training) {
        kernels->batch_norm_inference(team, shape.channels, gamma, beta, batch_norm_eps,
                                      running_mean, running_var, scale, shift);
        cm_team_barrier(team);
        return;
    }
    if (step->optimizer == NULL) { /* the model stays as it is */
        running_mean = NULL;
        running_var = NULL;
    }
    if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
        const cm_conv2d_shape conv = conv_shape(stage, step->batch);
        const cm_max_pool2d_shape pool = pool_shape(stage, step->batch);
        kernels->conv2d_batch_norm_statistics(
            team, &conv, &pool, x, model->parameters + stage->weight,
            model->parameters + stage->bias, gamma, beta, batch_norm_eps, batch_norm_momentum,
            running_mean, running_var, mean, rstd, scale, shift, moments_at(model, stage),
            workspace);
    } else {
        kernels->batch_norm_statistics(team, &shape, x, gamma, beta, batch_norm_eps,
                                       batch_norm_momentum, running_mean, running_var, mean, rstd,
                                       scale, shift, workspace);
    }
    cm_team_barrier(team);
}

/* Max pool, with what is fused in front of it. */
static void forward_max_pool2d(const cm_team *team, const cm_step *step, const cm_stage *stage,
                               const float *x, float *out) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_max_pool2d_shape shape = pool_shape(stage, step->batch);
    const float *scale = NULL, *shift = NULL;
    if (stage->batch_norm_layer >= 0) {
        forward_coefficients(team, step, stage, x);
        scale = arena_at(model, stage->scale);
        shift = arena_at(model, stage->shift);
    }
    /* Evaluation keeps no indices, also on a model that can train. */
    uint16_t *argmax = step->training ? (uint16_t *)arena_at(model, stage->argmax) : NULL;
    float *x_at_max = step->training ? arena_at(model, stage->x_at_max) : NULL;
    if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
        const cm_conv2d_shape conv = conv_shape(stage, step->batch);
        kernels->conv2d_max_pool2d_forward(
            team, &conv, &shape, x, model->parameters + stage->weight,
            model->parameters + stage->bias, scale, shift, stage->relu, out, argmax,
            arena_at(model, model->plan.workspace));
    } else {
        kernels->max_pool2d_forward(team, &shape, x, scale, shift, stage->relu, out, argmax,
                                    x_at_max);
    }
}

/* Runs one stage on x; returns its output. The caller has the barrier. */
static const float *forward_stage(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                  const float *x) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    float *out = arena_at(model, stage->out);
    switch (stage->kind) {
    case CM_STAGE_CONV2D: {
        const cm_conv2d_shape shape = conv_shape(stage, step->batch);
        kernels->conv2d_forward(team, &shape, x, model->parameters + stage->weight,
                                model->parameters + stage->bias, stage->relu, out,
                                arena_at(model, model->plan.workspace));
        return out;
    }
    case CM_STAGE_BATCH_NORM: {
        const cm_map_shape shape = map_shape(stage, step->batch);
        forward_coefficients(team, step, stage, x);
        kernels->batch_norm_forward(team, &shape, x, arena_at(model, stage->scale),
                                    arena_at(model, stage->shift), stage->relu, out);
        return out;
    }
    case CM_STAGE_MAX_POOL2D:
    case CM_STAGE_CONV2D_MAX_POOL2D:
        forward_max_pool2d(team, step, stage, x, out);
        return out;
    case CM_STAGE_RELU: {
        const cm_map_shape shape = map_shape(stage, step->batch);
        kernels->relu_forward(team, map_count(&shape), x, out);
        return out;
    }
    case CM_STAGE_DROPOUT:
        break;
    }
    if (!step->training || !(stage->p > 0.0F)) {
        return x;
    }
    const cm_map_shape shape = map_shape(stage, step->batch);
    const cm_random_key key = dropout_key(step, stage);
    /* Without an array of its own it works in place, on what the stage before it wrote. */
    out = out != NULL ? out : (float *)(uintptr_t)x;
    kernels->dropout(team, map_count(&shape), x, stage->p, &key, out);
    return out;
}

/* What went into stage `index` in the forward pass: the nearest output before it. */
static const float *stage_input(const cm_step *step, int index) {
    const cm_plan *plan = &step->model->plan;
    for (int i = index - 1; i >= 0; --i) {
        const cm_stage *stage = &plan->stages[i];
        if (stage->out != CM_NO_ARRAY) {
            return arena_at(step->model, stage->out);
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
    const cm_stage *stage = &model->plan.stages[index];
    const cm_conv2d_shape shape = conv_shape(stage, step->batch);
    if (stage->relu) {
        const size_t count = (size_t)shape.batch * (size_t)shape.out_height *
                             (size_t)shape.out_width * (size_t)shape.out_channels;
        kernels->relu_backward(team, count, dy->now, arena_at(model, stage->out), dy->now);
        cm_team_barrier(team);
    }
    float *dx = index > 0 ? dy->other : NULL; /* nobody asks for the gradient of the images */
    kernels->conv2d_backward(team, &shape, stage_input(step, index), dy->now,
                             model->parameters + stage->weight, dx,
                             model->gradients + stage->weight, model->gradients + stage->bias,
                             arena_at(model, model->plan.workspace));
    if (dx != NULL) {
        gradient_swap(dy);
    }
}

static void backward_max_pool2d(const cm_team *team, const cm_step *step, int index, gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &model->plan.stages[index];
    const cm_max_pool2d_shape shape = pool_shape(stage, step->batch);
    const float *y = stage->relu ? arena_at(model, stage->out) : NULL;
    const uint16_t *argmax = (const uint16_t *)arena_at(model, stage->argmax);
    if (stage->batch_norm_layer >= 0) {
        kernels->batch_norm_max_pool2d_backward(
            team, &shape, dy->now, y, argmax, arena_at(model, stage->x_at_max),
            stage_input(step, index), arena_at(model, stage->mean), arena_at(model, stage->rstd),
            arena_at(model, stage->scale), model->gradients + stage->gamma,
            model->gradients + stage->beta, dy->other, arena_at(model, model->plan.workspace));
    } else {
        kernels->max_pool2d_backward(team, &shape, dy->now, y, argmax, dy->other);
    }
    gradient_swap(dy);
}

/* The first stage of a network, so that there is no gradient to hand on. */
static void backward_conv2d_max_pool2d(const cm_team *team, const cm_step *step, int index,
                                       const gradient *dy) {
    const cm_model *model = step->model;
    const cm_stage *stage = &model->plan.stages[index];
    const cm_conv2d_shape conv = conv_shape(stage, step->batch);
    const cm_max_pool2d_shape pool = pool_shape(stage, step->batch);
    model->kernels->conv2d_max_pool2d_backward(
        team, &conv, &pool, stage_input(step, index), model->parameters + stage->weight, dy->now,
        stage->relu ? arena_at(model, stage->out) : NULL,
        (const uint16_t *)arena_at(model, stage->argmax), moments_at(model, stage),
        arena_at(model, stage->rstd), arena_at(model, stage->scale),
        model->gradients + stage->gamma, model->gradients + stage->beta,
        model->gradients + stage->weight, model->gradients + stage->bias,
        arena_at(model, model->plan.workspace));
}

/* Turns the gradient of the stage's output into that of its input, and writes those of its
 * parameters. The caller has the barrier. */
static void backward_stage(const cm_team *team, const cm_step *step, int index, gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &model->plan.stages[index];
    const cm_map_shape map = map_shape(stage, step->batch);
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
        kernels->batch_norm_backward(
            team, &map, dy->now, stage->relu ? arena_at(model, stage->out) : NULL,
            stage_input(step, index), arena_at(model, stage->mean), arena_at(model, stage->rstd),
            arena_at(model, stage->scale), model->gradients + stage->gamma,
            model->gradients + stage->beta, dy->now, arena_at(model, model->plan.workspace));
        return;
    case CM_STAGE_RELU:
        kernels->relu_backward(team, map_count(&map), dy->now, arena_at(model, stage->out),
                               dy->now);
        return;
    case CM_STAGE_DROPOUT:
        if (stage->p > 0.0F) {
            const cm_random_key key = dropout_key(step, stage);
            kernels->dropout(team, map_count(&map), dy->now, stage->p, &key, dy->now);
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
    model->kernels->adam(team, model->plan.parameter_floats, &adam, model->gradients,
                         model->parameters, model->moment1, model->moment2);
}

static void step_body(const cm_team *team, void *context) {
    cm_step *step = context;
    const cm_model *model = step->model;
    const cm_plan *plan = &model->plan;
    const float *x = step->images;
    for (int i = 0; i < plan->stage_count; ++i) {
        x = forward_stage(team, step, &plan->stages[i], x);
        cm_team_barrier(team);
    }
    if (team->index == 0) {
        step->logits = x;
    }
    if (step->labels == NULL) {
        return;
    }
    gradient dy = {arena_at(model, plan->dlogits), NULL};
    model->kernels->softmax_cross_entropy(
        team, step->batch, model->network->classes, x, step->labels, &step->loss, &step->correct,
        step->training ? dy.now : NULL, arena_at(model, plan->workspace));
    if (!step->training) {
        return;
    }
    cm_team_barrier(team);
    dy.other = arena_at(model, plan->gradient[0]);
    for (int i = plan->stage_count - 1; i >= 0; --i) {
        backward_stage(team, step, i, &dy);
        cm_team_barrier(team);
        if (dy.other == arena_at(model, plan->dlogits)) { /* too small for what comes now */
            dy.other = arena_at(model, plan->gradient[1]);
        }
    }
    if (step->optimizer != NULL) {
        update(team, step);
    }
}

/* Adam's powers and the batch counters move before and after the parallel region. */
void cm_step_run(cm_step *step) {
    cm_model *model = step->model;
    if (step->optimizer != NULL) {
        model->beta1_power *= step->optimizer->beta1;
        model->beta2_power *= step->optimizer->beta2;
        for (int i = 0; i < model->plan.stage_count; ++i) {
            if (model->plan.stages[i].batch_norm_layer >= 0) {
                ++model->batches_tracked[model->plan.stages[i].batch_norm_layer];
            }
        }
    }
    cm_team_run(model->threads, step_body, step);
    if (step->optimizer != NULL) {
        ++model->step_count;
    }
}
