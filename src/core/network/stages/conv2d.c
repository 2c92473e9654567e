/* conv2d and linear, with a fused ReLU, and in inference a batch norm. */
#include "core/network/stages/stages.h"

/* The plan of the stage's convolution for `batch` images: the stage's own, or for a smaller batch,
 * such as the last one of a data set, one that is made in `smaller`. */
static const cm_conv2d_plan *plan_for_batch(const cm_stage *stage, int batch,
                                            cm_conv2d_plan *smaller) {
    if (batch == stage->conv.shape.batch) {
        return &stage->conv;
    }
    const cm_conv2d_shape shape = cm_stage_conv(stage, batch);
    *smaller = cm_conv2d_plan_of(&shape, stage->conv.threads);
    return smaller;
}

const float *cm_conv2d_stage_forward(const cm_team *team, const cm_step *step,
                                     const cm_stage *stage, const float *x) {
    const cm_model *model = step->model;
    cm_conv2d_plan smaller;
    const cm_conv2d_forward_args args = {
        .plan = plan_for_batch(stage, step->batch, &smaller),
        .x = x,
        .weight = model->parameters + stage->weight,
        .bias = model->parameters + stage->bias,
        .relu = stage->relu,
        .y = cm_step_array(step, stage->out),
        .kept = cm_step_array(step, stage->kept),
        .workspace = cm_step_workspace(step),
    };
    model->kernels->conv2d_forward(team, &args);
    return args.y;
}

void cm_conv2d_stage_backward(const cm_team *team, const cm_step *step, int index,
                              cm_activation_gradient *dy) {
    const cm_model *model = step->model;
    const cm_kernels *kernels = model->kernels;
    const cm_stage *stage = &step->program->plan.stages[index];
    cm_conv2d_plan smaller;
    const cm_conv2d_plan *plan = plan_for_batch(stage, step->batch, &smaller);
    if (stage->relu) {
        const cm_conv2d_shape *shape = &plan->shape;
        const cm_map_shape out = {shape->batch, shape->out_height, shape->out_width,
                                  shape->out_channels};
        kernels->relu_backward(team, cm_map_count(&out), dy->now, cm_step_array(step, stage->out),
                               dy->now);
        cm_team_barrier(team);
    }
    float *dx = index > 0 ? dy->other : NULL; /* nobody asks for the gradient of the images */
    const cm_conv2d_backward_args args = {
        .plan = plan,
        .x = cm_stage_input(step, index),
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
        cm_gradient_swap(dy);
    }
}

void cm_conv2d_stage_prepare(const cm_team *team, const cm_step *step, const cm_stage *stage) {
    const cm_model *model = step->model;
    model->kernels->conv2d_pack(team, &stage->conv, model->parameters + stage->weight,
                                cm_step_array(step, stage->packed));
}

const float *cm_conv2d_stage_infer(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                   int batch, const float *x) {
    const cm_model *model = step->model;
    cm_conv2d_plan smaller;
    const cm_conv2d_inference_args args = {
        .plan = plan_for_batch(stage, batch, &smaller),
        .x = x,
        .packed = cm_step_array(step, stage->packed),
        .bias = model->parameters + stage->bias,
        .scale = cm_stage_coefficients(step, stage, stage->scale),
        .shift = cm_stage_coefficients(step, stage, stage->shift),
        .relu = stage->relu,
        .y = cm_step_array(step, stage->out),
        .workspace = cm_step_workspace(step),
    };
    model->kernels->conv2d_inference(team, &args);
    return args.y;
}
