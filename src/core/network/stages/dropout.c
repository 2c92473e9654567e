/* Dropout. It does nothing with p = 0, and in inference. */
#include "core/network/stages/stages.h"

static cm_random_key dropout_key(const cm_step *step, const cm_stage *stage) {
    return (cm_random_key){.seed = step->seed,
                           .purpose = CM_RANDOM_DROPOUT,
                           .index = (uint32_t)stage->layer,
                           .step = (uint32_t)step->model->step_count};
}

static void drop(const cm_team *team, const cm_step *step, const cm_stage *stage, const float *x,
                 float *out) {
    const cm_map_shape map = cm_stage_map(stage, step->batch);
    const cm_random_key key = dropout_key(step, stage);
    step->model->kernels->dropout(team, cm_map_count(&map), x, stage->p, &key, out);
}

const float *cm_dropout_stage_forward(const cm_team *team, const cm_step *step,
                                      const cm_stage *stage, const float *x) {
    if (!(stage->p > 0.0F)) {
        return x;
    }
    /* Without an array of its own it works in place, on what the stage before it wrote. */
    float *own = cm_step_array(step, stage->out), *out = own != NULL ? own : (float *)(uintptr_t)x;
    drop(team, step, stage, x, out);
    return out;
}

void cm_dropout_stage_backward(const cm_team *team, const cm_step *step, int index,
                               cm_activation_gradient *dy) {
    const cm_stage *stage = &step->program->plan.stages[index];
    if (stage->p > 0.0F) {
        drop(team, step, stage, dy->now, dy->now);
    }
}

const float *cm_dropout_stage_infer(const cm_team *team, const cm_step *step, const cm_stage *stage,
                                    int batch, const float *x) {
    (void)team;
    (void)step;
    (void)stage;
    (void)batch;
    return x;
}
