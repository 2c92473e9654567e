/** The parts of a model, for the files of src/network that compute on it. */
#ifndef CM_NETWORK_MODEL_INTERNAL_H
#define CM_NETWORK_MODEL_INTERNAL_H

#include "convmark/model.h"
#include "convmark/trace.h"
#include "core/network/plan.h"

/** A plan and its memory. */
typedef struct cm_program {
    cm_plan plan;
    float *arena;
} cm_program;

struct cm_model {
    const cm_network *network;
    const cm_kernels *kernels;
    int batch, threads;
    bool training;
    cm_conv2d_algorithm conv_algorithm;
    cm_trace *trace;             /* NULL, or where steps put down what they do */
    cm_program training_program; /* empty in a model for inference only */
    cm_program inference_program;
    bool prepared; /* scales, shifts and packed weights of the inference program are up to date */
    cm_tensor_spec *tensors;
    int tensor_count;
    /* One allocation: values, then (training) gradients and Adam's moments, of one layout. */
    float *parameters, *gradients, *moment1, *moment2;
    float *statistics;        /* running means and variances */
    int64_t *batches_tracked; /* of each layer; used by batch norm */
    size_t memory;            /* bytes of all that */
    int64_t step_count;
    double beta1_power, beta2_power; /* beta^t, by repeated multiplication */
};

/** What a step does, as the number of a task in a trace: a pass over a stage, and the stage's
 * number, or its place in the step. */
static inline int32_t cm_model_task(cm_pass pass, int stage) {
    return (int32_t)pass << 16 | stage;
}

/** What one call computes. */
typedef struct cm_step {
    cm_model *model;
    const cm_program *program;
    int batch;
    const float *images;
    const uint8_t *labels;         /* NULL, in inference: no loss */
    const cm_optimizer *optimizer; /* NULL: no update of the model */
    uint64_t seed;
    bool watch;          /* inference: look for the first output that is not finite */
    int not_finite;      /* out: its stage; -1: none */
    const float *logits; /* out, inference */
    double loss;         /* out */
    int correct;         /* out */
} cm_step;

/** Whether none of the values is NaN or infinite. */
bool cm_all_finite(const float *values, size_t count);

/** Whether the output x of a stage for `batch` images, and the coefficients of its batch norm, are
 * finite. */
bool cm_step_stage_finite(const cm_step *step, int stage, int batch, const float *x);

/** Run the step on the model's team: forward in training mode, backward and update; or forward in
 * evaluation mode. They set `program`. */
void cm_step_train(cm_step *step);
void cm_step_infer(cm_step *step);

#endif
