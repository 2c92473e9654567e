/* How inference walks its plan. What depends on the parameters only is computed once, by the first
 * step after they changed; a batch then goes through the stages a chunk at a time. */
#include <string.h>

#include "core/network/stages/stages.h"

static void prepare_stage(const cm_team *team, const cm_step *step, const cm_stage *stage) {
    const cm_model *model = step->model;
    if (stage->batch_norm_layer >= 0) {
        const cm_batch_norm_inference_args args = {
            .channels = stage->map.channels,
            .gamma = model->parameters + stage->gamma,
            .beta = model->parameters + stage->beta,
            .eps = CM_BATCH_NORM_EPS,
            .running_mean = model->statistics + stage->running_mean,
            .running_var = model->statistics + stage->running_var,
            .scale = cm_step_array(step, stage->scale),
            .shift = cm_step_array(step, stage->shift)};
        model->kernels->batch_norm_inference(team, &args);
    }
    if (cm_stage_table[stage->kind].prepare != NULL) {
        cm_stage_table[stage->kind].prepare(team, step, stage);
    }
}

/* One thread looks at what all have written. */
static void watch_stage(const cm_team *team, cm_step *step, int stage, int batch, const float *x) {
    if (team->index == 0 && step->not_finite < 0 && !cm_step_stage_finite(step, stage, batch, x)) {
        step->not_finite = stage;
    }
    cm_team_barrier(team);
}

/* Logits of the images from `first` on, as many as a chunk has or are left. */
static void infer_chunk(const cm_team *team, cm_step *step, int first) {
    const cm_plan *plan = &step->program->plan;
    const cm_layer_shape *input = &step->model->network->input;
    const size_t image = (size_t)input->channels * (size_t)input->height * (size_t)input->width;
    const size_t classes = (size_t)step->model->network->classes;
    const int left = step->batch - first;
    const int batch = left < plan->chunk ? left : plan->chunk;
    const float *x = step->images + (size_t)first * image;
    for (int i = 0; i < plan->stage_count; ++i) {
        cm_trace_task(team, cm_model_task(CM_PASS_FORWARD, i));
        x = cm_stage_table[plan->stages[i].kind].infer(team, step, &plan->stages[i], batch, x);
        cm_team_barrier(team);
        if (step->watch) {
            watch_stage(team, step, i, batch, x);
        }
    }
    if (team->index == 0) {
        memcpy(cm_step_array(step, plan->logits) + (size_t)first * classes, x,
               (size_t)batch * classes * sizeof(float));
    }
    cm_team_barrier(team); /* the next chunk's arrays may lie where x is */
}

static void inference_step_body(const cm_team *team, void *context) {
    cm_step *step = context;
    const cm_model *model = step->model;
    const cm_plan *plan = &step->program->plan;
    if (!model->prepared) {
        for (int i = 0; i < plan->stage_count; ++i) {
            cm_trace_task(team, cm_model_task(CM_PASS_PREPARE, i));
            prepare_stage(team, step, &plan->stages[i]);
        }
        cm_team_barrier(team);
    }
    for (int first = 0; first < step->batch; first += plan->chunk) {
        infer_chunk(team, step, first);
    }
    cm_trace_task(team, cm_model_task(CM_PASS_LOSS, 0));
    if (step->labels != NULL) {
        const cm_softmax_cross_entropy_args args = {.batch = step->batch,
                                                    .classes = model->network->classes,
                                                    .block = model->block,
                                                    .logits = cm_step_array(step, plan->logits),
                                                    .labels = step->labels,
                                                    .loss = &step->loss,
                                                    .correct = &step->correct,
                                                    .workspace = cm_step_workspace(step)};
        model->kernels->softmax_cross_entropy(team, &args);
    }
    cm_trace_phase(team, CM_PHASE_BARRIER); /* of the parallel region's end */
}

void cm_step_infer(cm_step *step) {
    cm_model *model = step->model;
    step->program = &model->inference_program;
    step->logits = cm_step_array(step, step->program->plan.logits);
    cm_team_run_traced(model->threads, inference_step_body, step, model->trace);
    model->prepared = true;
}
