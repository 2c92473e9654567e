/* How a training step walks its plan: every thread of the team runs this code, with a barrier
 * after each stage. */
#include "core/network/stages/stages.h"

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
        x = cm_stage_table[plan->stages[i].kind].forward(team, step, &plan->stages[i], x);
        cm_team_barrier(team);
    }
    cm_activation_gradient dy = {cm_step_array(step, plan->dlogits), NULL};
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
        cm_stage_table[plan->stages[i].kind].backward(team, step, i, &dy);
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
