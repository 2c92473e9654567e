/** What a model holds. Private to src/core/network. */
#ifndef CM_CORE_NETWORK_MODEL_STATE_H
#define CM_CORE_NETWORK_MODEL_STATE_H

#include "convmark/model.h"
#include "convmark/trace.h"
#include "core/network/plan.h"

/** A plan and its memory. The model owns both. */
typedef struct cm_program {
    cm_plan plan;
    float *arena;
} cm_program;

struct cm_model {
    const cm_network *network; /* the caller's */
    const cm_kernels *kernels;
    int batch, block, threads;
    bool training;
    cm_conv2d_algorithm conv_algorithm;
    cm_trace *trace;             /* NULL, or the caller's: steps record their phases there */
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

#endif
