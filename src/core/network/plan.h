/**
 * The plan of a model: its layers fused into stages, where each of their arrays lies, and how much
 * memory that takes. Made once; a step only walks it.
 */
#ifndef CM_CORE_NETWORK_PLAN_H
#define CM_CORE_NETWORK_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/kernels.h"
#include "convmark/model.h"
#include "convmark/network.h"
#include "convmark/status.h"

typedef enum cm_stage_kind {
    CM_STAGE_CONV2D,            /* conv2d or linear, (inference) [batch norm], [ReLU] */
    CM_STAGE_BATCH_NORM,        /* batch norm, [ReLU] */
    CM_STAGE_MAX_POOL2D,        /* [batch norm], [ReLU], max pool */
    CM_STAGE_CONV2D_MAX_POOL2D, /* conv2d, [batch norm], [ReLU], max pool: the map is not kept */
    CM_STAGE_RELU,
    CM_STAGE_DROPOUT,
    CM_STAGE_KIND_COUNT
} cm_stage_kind;

/** Offset, in floats, of an array that a stage does not have. */
#define CM_NO_ARRAY SIZE_MAX

/** One stage. Offsets are in floats: of parameters into the parameter blocks (values, gradients and
 * Adam's moments have one layout), of statistics into the block of running statistics, all others
 * into the arena. Sizes are for the plan's batch; a smaller batch uses the front of each array. */
typedef struct cm_stage {
    cm_stage_kind kind;
    int layer;            /* first layer of the stage */
    bool relu;            /* a ReLU is fused */
    int batch_norm_layer; /* -1: none */
    cm_conv2d_plan conv;
    cm_max_pool2d_shape pool;
    cm_map_shape map;    /* input of batch norm, ReLU, dropout */
    float p;             /* dropout */
    size_t weight, bias; /* conv2d, linear */
    size_t gamma, beta;  /* batch norm */
    size_t running_mean, running_var;
    size_t mean, rstd; /* training */
    size_t scale, shift;
    size_t packed;   /* inference: the weights as conv2d_inference reads them */
    size_t kept;     /* training: what conv2d_forward keeps for conv2d_backward */
    size_t out;      /* activations; CM_NO_ARRAY: in place */
    size_t argmax;   /* max pool, training: uint16_t */
    size_t x_at_max; /* max pool after a batch norm, training */
    size_t
        moments; /* of the patches, doubles: CM_STAGE_CONV2D_MAX_POOL2D with batch norm, training */
} cm_stage;

typedef struct cm_plan {
    int stage_count;
    cm_stage *stages;
    size_t parameter_floats, statistics_floats, arena_floats;
    int chunk;          /* images that pass through the stages at a time; training: the batch */
    size_t gradient[2]; /* two buffers that the gradients of activations alternate between */
    size_t workspace;   /* scratch of the kernels */
    size_t logits;      /* inference: of the whole batch */
    size_t dlogits;     /* training */
} cm_plan;

/** Images of a block with these options. */
static inline int cm_block_of(const cm_model_options *options) {
    return options->block > 0 ? options->block : CM_DEFAULT_BLOCK;
}

/** Plans training, or inference, of `network` for batches up to options->batch. Parameters and
 * statistics have the same offsets in both plans. In inference a batch norm after a convolution is
 * folded into it, what depends on the parameters only has a place of its own (scale, shift,
 * packed), and a large batch goes through the stages in chunks, so that their arrays stay in the
 * cache. Free with cm_plan_free(); on failure *plan is empty. */
cm_status cm_plan_create(const cm_network *network, const cm_model_options *options, bool training,
                         cm_plan *plan, cm_error *error);
void cm_plan_free(cm_plan *plan);

#endif
