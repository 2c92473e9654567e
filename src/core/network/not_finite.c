/* Where values that are not finite come from. */
#include <math.h>

#include "core/network/step.h"

bool cm_all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (!isfinite(values[i])) {
            return false;
        }
    }
    return true;
}

/* Elements that a stage gives for one image: what the next one takes. */
static size_t output_count(const cm_step *step, int stage) {
    const cm_plan *plan = &step->program->plan;
    const cm_network *network = step->model->network;
    if (stage + 1 == plan->stage_count) {
        return (size_t)network->classes;
    }
    const cm_layer_shape *shape = &network->layers[plan->stages[stage + 1].layer].in;
    return (size_t)shape->channels * (size_t)shape->height * (size_t)shape->width;
}

static bool coefficients_finite(const cm_step *step, const cm_stage *stage) {
    const size_t channels = (size_t)stage->map.channels;
    return stage->batch_norm_layer < 0 ||
           (cm_all_finite(cm_step_array(step, stage->scale), channels) &&
            cm_all_finite(cm_step_array(step, stage->shift), channels));
}

bool cm_step_stage_finite(const cm_step *step, int stage, int batch, const float *x) {
    return coefficients_finite(step, &step->program->plan.stages[stage]) &&
           cm_all_finite(x, (size_t)batch * output_count(step, stage));
}

/* Of the forward pass of the last training step: its outputs are kept for the backward pass. */
static int find_in_training(const cm_step *step) {
    const cm_plan *plan = &step->program->plan;
    for (int i = 0; i < plan->stage_count; ++i) {
        const float *out = cm_step_array(step, plan->stages[i].out);
        if (out != NULL && !cm_step_stage_finite(step, i, step->batch, out)) {
            return i;
        }
    }
    return -1;
}

const char *cm_model_layer_not_finite(cm_model *model, int batch, const float *images) {
    cm_step step = {
        .model = model, .batch = batch, .images = images, .watch = true, .not_finite = -1};
    if (images != NULL) {
        cm_step_infer(&step);
    } else if (model->training) {
        step.program = &model->training_program;
        step.not_finite = find_in_training(&step);
    }
    return step.not_finite < 0
               ? NULL
               : model->network->layers[step.program->plan.stages[step.not_finite].layer].name;
}

cm_status cm_model_check_finite(cm_model *model, int batch, const float *images, cm_error *error) {
    const char *kind = "tensor", *name = cm_model_tensor_not_finite(model);
    if (name == NULL) {
        kind = "output of layer";
        name = cm_model_layer_not_finite(model, batch, images);
    }
    return name == NULL ? CM_OK
                        : cm_fail(error, CM_FAILED,
                                  "the %s %s of network %s is not finite (NaN or infinite): its "
                                  "answers mean nothing, even where the loss is finite",
                                  kind, name, cm_model_network(model)->name);
}
