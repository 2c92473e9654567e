/** The parts of a model, for the files of src/network that compute on it. */
#ifndef CM_NETWORK_MODEL_INTERNAL_H
#define CM_NETWORK_MODEL_INTERNAL_H

#include "network/model.h"
#include "network/plan.h"

struct cm_model {
    const cm_network *network;
    const cm_kernels *kernels;
    int batch, threads;
    bool training;
    cm_conv2d_algorithm conv_algorithm;
    cm_plan plan;
    cm_tensor_spec *tensors;
    int tensor_count;
    /* One allocation: values, then (training) gradients and Adam's moments, of one layout. */
    float *parameters, *gradients, *moment1, *moment2;
    float *statistics;        /* running means and variances */
    int64_t *batches_tracked; /* of each layer; used by batch norm */
    float *arena;             /* activations, gradients of them, scratch */
    size_t memory;            /* bytes of all that */
    int64_t step_count;
    double beta1_power, beta2_power; /* beta^t, by repeated multiplication */
};

/** What one call computes. */
typedef struct cm_step {
    cm_model *model;
    int batch;
    const float *images;
    const uint8_t *labels;         /* NULL: no loss */
    bool training;                 /* batch statistics, dropout, backward */
    const cm_optimizer *optimizer; /* NULL: no update of the model */
    uint64_t seed;
    const float *logits; /* out */
    double loss;         /* out */
    int correct;         /* out */
} cm_step;

/** Runs the step on the model's team. */
void cm_step_run(cm_step *step);

#endif
