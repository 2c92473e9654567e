#include "core/network/plan.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

/* Arrays start 64-byte aligned and 64 bytes further on than a multiple of 4 KiB would be, so that
 * arrays that are walked side by side do not fall into the same cache sets. */
enum { ALIGN_FLOATS = 16, PAGE_FLOATS = 1024 };

/* A cursor over a block of floats that remembers whether a size overflowed. */
typedef struct cm_block {
    size_t floats;
    bool overflow;
} cm_block;

static size_t reserve(cm_block *block, size_t count) {
    const size_t limit = SIZE_MAX / sizeof(float) / 4;
    size_t at = block->floats;
    if (count > limit || at > limit) {
        block->overflow = true;
        return 0;
    }
    if (at % PAGE_FLOATS == 0) {
        at += ALIGN_FLOATS;
    }
    block->floats = (at + count + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    return at;
}

static size_t reserve_bytes(cm_block *block, size_t bytes) {
    return reserve(block, (bytes + sizeof(float) - 1) / sizeof(float));
}

static size_t larger_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t shape_count(const cm_layer_shape *shape) {
    return (size_t)shape->channels * (size_t)shape->height * (size_t)shape->width;
}

typedef struct cm_planner {
    const cm_network *network;
    const cm_model_options *options;
    bool training;
    int batch; /* of a chunk */
    cm_plan *plan;
    cm_block parameters, statistics, arena;
    size_t kept;        /* bytes that convolutions keep so far */
    size_t largest;     /* floats of the largest activation or gradient of one */
    size_t workspace;   /* bytes */
    int outputs;        /* stages with an output of their own so far */
    size_t rotating[2]; /* inference: they write these in turn */
} cm_planner;

static const cm_layer *layer_at(const cm_planner *planner, int index) {
    return index < planner->network->layer_count ? &planner->network->layers[index] : NULL;
}

static bool is_kind(const cm_planner *planner, int index, cm_layer_kind kind) {
    const cm_layer *layer = layer_at(planner, index);
    return layer != NULL && layer->kind == kind;
}

static cm_map_shape map_of(const cm_layer_shape *shape, int batch) {
    return (cm_map_shape){batch, shape->height, shape->width, shape->channels};
}

static bool plan_conv2d(cm_planner *planner, const cm_layer *layer, cm_stage *stage) {
    const int batch = planner->batch;
    cm_conv2d_shape shape;
    if (layer->kind == CM_LAYER_LINEAR) {
        shape = cm_linear_shape(batch, layer->in.channels, layer->out.channels);
    } else {
        shape = (cm_conv2d_shape){
            .batch = batch,
            .in_channels = layer->in.channels,
            .height = layer->in.height,
            .width = layer->in.width,
            .out_channels = layer->out.channels,
            .kernel_h = layer->kernel_h,
            .kernel_w = layer->kernel_w,
            .stride_h = layer->stride_h,
            .stride_w = layer->stride_w,
            .padding_h = layer->padding_h,
            .padding_w = layer->padding_w,
        };
    }
    /* Inference sums nothing over images, and has chunks of its own. */
    shape.block = planner->training ? cm_block_of(planner->options) : 0;
    /* A forced algorithm computes the layers that it can; the table decides about the others. */
    shape.algorithm = planner->options->conv_algorithm;
    if (shape.algorithm >= CM_CONV2D_ALGORITHM_COUNT ||
        !cm_conv2d_algorithm_fits(shape.algorithm, &shape)) {
        shape.algorithm = CM_CONV2D_AUTO;
    }
    if (!cm_conv2d_shape_init(&shape)) {
        return false;
    }
    const size_t taps = (size_t)shape.kernel_h * (size_t)shape.kernel_w;
    const size_t out = (size_t)shape.out_channels;
    stage->weight = reserve(&planner->parameters, taps * (size_t)shape.in_channels * out);
    stage->bias = reserve(&planner->parameters, out);
    stage->conv = cm_conv2d_plan_of(&shape, planner->options->threads);
    planner->workspace = larger_size(planner->workspace, stage->conv.workspace);
    return true;
}

static void plan_batch_norm(cm_planner *planner, int layer, cm_stage *stage) {
    const cm_layer_shape *shape = &planner->network->layers[layer].in;
    const size_t channels = (size_t)shape->channels;
    stage->batch_norm_layer = layer;
    stage->map = map_of(shape, planner->batch);
    stage->gamma = reserve(&planner->parameters, channels);
    stage->beta = reserve(&planner->parameters, channels);
    stage->running_mean = reserve(&planner->statistics, channels);
    stage->running_var = reserve(&planner->statistics, channels);
    if (planner->training) {
        stage->mean = reserve(&planner->arena, channels);
        stage->rstd = reserve(&planner->arena, channels);
    }
    stage->scale = reserve(&planner->arena, channels);
    stage->shift = reserve(&planner->arena, channels);
    planner->workspace = larger_size(planner->workspace, cm_batch_norm_workspace(&stage->map));
}

static bool plan_pool_shape(const cm_planner *planner, const cm_layer *layer,
                            cm_max_pool2d_shape *pool) {
    *pool = (cm_max_pool2d_shape){
        .batch = planner->batch,
        .height = layer->in.height,
        .width = layer->in.width,
        .channels = layer->in.channels,
        .kernel_h = layer->kernel_h,
        .kernel_w = layer->kernel_w,
        .stride_h = layer->stride_h,
        .stride_w = layer->stride_w,
    };
    return cm_max_pool2d_shape_init(pool);
}

/* What a max pool keeps for the backward pass. */
static void plan_pool_arrays(cm_planner *planner, const cm_layer *layer, cm_stage *stage) {
    if (!planner->training) {
        return;
    }
    const size_t count = (size_t)planner->batch * shape_count(&layer->out);
    stage->argmax = reserve_bytes(&planner->arena, count * sizeof(uint16_t));
    if (stage->batch_norm_layer < 0) {
        return;
    }
    if (stage->kind == CM_STAGE_CONV2D_MAX_POOL2D) {
        stage->moments = reserve_bytes(&planner->arena,
                                       cm_patch_moments_count(&stage->conv.shape) * sizeof(double));
    } else {
        stage->x_at_max = reserve(&planner->arena, count);
    }
}

/* Makes the stage that begins with the convolution at `layer` take the pool after it too, if that
 * pays, and what lies between them; returns the layers it then takes, or else 0. Only at the front
 * of a network, where nobody asks for the gradient of the images. */
static int take_pool(cm_planner *planner, int layer, cm_stage *stage) {
    int next = layer + 1;
    const int batch_norm = is_kind(planner, next, CM_LAYER_BATCH_NORM) ? next++ : 0;
    const bool relu = is_kind(planner, next, CM_LAYER_RELU);
    next += relu ? 1 : 0;
    if (planner->plan->stage_count > 0 || !is_kind(planner, next, CM_LAYER_MAX_POOL2D) ||
        !plan_pool_shape(planner, layer_at(planner, next), &stage->pool) ||
        !cm_conv2d_max_pool2d_pays(&stage->conv.shape, &stage->pool)) {
        return 0;
    }
    stage->kind = CM_STAGE_CONV2D_MAX_POOL2D;
    stage->relu = relu;
    if (batch_norm > 0) {
        plan_batch_norm(planner, batch_norm, stage);
    }
    planner->workspace = larger_size(
        planner->workspace, cm_conv2d_max_pool2d_workspace(&stage->conv.shape, &stage->pool,
                                                           planner->options->threads));
    plan_pool_arrays(planner, layer_at(planner, next), stage);
    return next + 1 - layer;
}

/* Whether there is a max pool at `layer`, or after the ReLU there: both are cheaper in the pool,
 * on fewer elements, as is a batch norm before them. */
static bool pool_follows(const cm_planner *planner, int layer) {
    const int relu = is_kind(planner, layer, CM_LAYER_RELU) ? 1 : 0;
    return is_kind(planner, layer + relu, CM_LAYER_MAX_POOL2D);
}

/* What the forward pass of a convolution keeps for the backward one (its gain:
 * docs/design/performance.md), up to so many bytes of a model: all that the eight variants have at
 * batch 64. Larger batches would keep more than any cache holds. */
static void plan_kept(cm_planner *planner, cm_stage *stage) {
    const size_t limit = (size_t)64 << 20;
    const size_t bytes = stage->conv.kept;
    if (bytes > 0 && bytes <= limit - planner->kept) {
        stage->kept = reserve_bytes(&planner->arena, bytes);
        planner->kept += bytes;
    }
}

/* Convolution, or linear, and what is fused with it. */
static int plan_conv2d_stage(cm_planner *planner, int layer, cm_stage *stage) {
    stage->kind = CM_STAGE_CONV2D;
    if (!plan_conv2d(planner, layer_at(planner, layer), stage)) {
        return 0;
    }
    const int taken = take_pool(planner, layer, stage);
    if (taken > 0) {
        return taken;
    }
    int next = layer + 1;
    if (planner->training) {
        plan_kept(planner, stage);
    } else {
        stage->packed = reserve_bytes(&planner->arena, stage->conv.packed);
        const bool batch_norm = is_kind(planner, next, CM_LAYER_BATCH_NORM);
        if (batch_norm && !pool_follows(planner, next + 1)) {
            plan_batch_norm(planner, next++, stage);
        }
    }
    if (is_kind(planner, next, CM_LAYER_RELU) && !pool_follows(planner, next)) {
        stage->relu = true;
        ++next;
    }
    return next - layer;
}

/* Plans the stage that begins at `layer`; returns the layers it takes, 0 when a shape is refused.
 */
static int plan_stage(cm_planner *planner, int layer, cm_stage *stage) {
    const cm_layer *first = layer_at(planner, layer);
    *stage = (cm_stage){.layer = layer,
                        .batch_norm_layer = -1,
                        .out = CM_NO_ARRAY,
                        .argmax = CM_NO_ARRAY,
                        .x_at_max = CM_NO_ARRAY,
                        .packed = CM_NO_ARRAY,
                        .kept = CM_NO_ARRAY,
                        .moments = CM_NO_ARRAY};
    int next = layer;
    if (first->kind == CM_LAYER_DROPOUT) {
        stage->kind = CM_STAGE_DROPOUT;
        stage->p = first->p;
        stage->map = map_of(&first->in, planner->batch);
        return 1;
    }
    if (first->kind == CM_LAYER_CONV2D || first->kind == CM_LAYER_LINEAR) {
        return plan_conv2d_stage(planner, layer, stage);
    }
    if (is_kind(planner, next, CM_LAYER_BATCH_NORM)) {
        plan_batch_norm(planner, next++, stage);
        stage->kind = CM_STAGE_BATCH_NORM;
    }
    if (is_kind(planner, next, CM_LAYER_RELU)) {
        stage->relu = true;
        stage->kind = next == layer ? CM_STAGE_RELU : CM_STAGE_BATCH_NORM;
        stage->map = map_of(&first->in, planner->batch);
        ++next;
    }
    if (is_kind(planner, next, CM_LAYER_MAX_POOL2D)) {
        stage->kind = CM_STAGE_MAX_POOL2D;
        if (!plan_pool_shape(planner, layer_at(planner, next), &stage->pool)) {
            return 0;
        }
        plan_pool_arrays(planner, layer_at(planner, next), stage);
        ++next;
    }
    return next - layer;
}

/* Gives the stage its output. Inference needs no activation twice, so there two buffers serve in
 * turn, and `out` is first the buffer's number. */
static void plan_output(cm_planner *planner, const cm_layer *last, cm_stage *stage) {
    const size_t count = (size_t)planner->batch * shape_count(&last->out);
    const int before = planner->outputs;
    planner->largest = larger_size(planner->largest, count);
    /* Dropout does nothing in inference or with p = 0, and works in place elsewhere: what it
     * zeroes, the ReLU before it need not see again. Only the caller's images are not its own. */
    if (stage->kind == CM_STAGE_DROPOUT &&
        (before > 0 || !planner->training || !(stage->p > 0.0F))) {
        return;
    }
    ++planner->outputs;
    if (planner->training) {
        stage->out = reserve(&planner->arena, count);
    } else {
        stage->out = (size_t)(before % 2);
        planner->rotating[stage->out] = larger_size(planner->rotating[stage->out], count);
    }
}

/* Training: gradients of activations, beside the activations that all stages keep. */
static void plan_training_memory(cm_planner *planner, size_t logits) {
    cm_plan *plan = planner->plan;
    for (int i = 0; i < 2; ++i) {
        plan->gradient[i] = reserve(&planner->arena, planner->largest);
    }
    plan->dlogits = reserve(&planner->arena, logits);
}

/* Inference: two activations that the stages write in turn. */
static void plan_inference_memory(cm_planner *planner, size_t logits) {
    cm_plan *plan = planner->plan;
    size_t at[2];
    for (int i = 0; i < 2; ++i) {
        at[i] = reserve(&planner->arena, planner->rotating[i]);
    }
    for (int i = 0; i < plan->stage_count; ++i) {
        cm_stage *stage = &plan->stages[i];
        stage->out = stage->out == CM_NO_ARRAY ? CM_NO_ARRAY : at[stage->out];
    }
    plan->logits = reserve(&planner->arena, logits);
}

static cm_status plan_memory(cm_planner *planner, cm_error *error) {
    cm_plan *plan = planner->plan;
    const size_t logits = (size_t)planner->options->batch * (size_t)planner->network->classes;
    planner->workspace = larger_size(planner->workspace,
                                     cm_softmax_cross_entropy_workspace(planner->options->batch));
    plan->workspace = reserve_bytes(&planner->arena, planner->workspace);
    if (planner->training) {
        plan_training_memory(planner, logits);
    } else {
        plan_inference_memory(planner, logits);
    }
    plan->parameter_floats = planner->parameters.floats;
    plan->statistics_floats = planner->statistics.floats;
    plan->arena_floats = planner->arena.floats;
    if (planner->parameters.overflow || planner->statistics.overflow || planner->arena.overflow) {
        return cm_fail(error, CM_USAGE,
                       "network %s at batch %d needs more memory than can be addressed; use a "
                       "smaller batch",
                       planner->network->name, planner->options->batch);
    }
    return CM_OK;
}

/* Images of a chunk in inference: enough for the rows of all tiles, few enough that the planes of a
 * 9x9 layer, 124 KB an image with 128 channels, stay in the last-level cache; and, where there are
 * many threads, some images for each. */
static int inference_chunk(const cm_model_options *options) {
    enum { IMAGES = 64, IMAGES_PER_THREAD = 8 };
    const int threads = options->threads < INT_MAX / IMAGES_PER_THREAD
                            ? options->threads
                            : INT_MAX / IMAGES_PER_THREAD;
    const int wanted = threads * IMAGES_PER_THREAD;
    const int chunk = wanted > IMAGES ? wanted : IMAGES;
    return chunk < options->batch ? chunk : options->batch;
}

cm_status cm_plan_create(const cm_network *network, const cm_model_options *options, bool training,
                         cm_plan *plan, cm_error *error) {
    assert(options->batch >= 1 && options->threads >= 1);
    *plan = (cm_plan){.chunk = training ? options->batch : inference_chunk(options)};
    plan->stages = calloc((size_t)network->layer_count, sizeof *plan->stages);
    if (plan->stages == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for the plan of network %s", network->name);
    }
    cm_planner planner = {.network = network,
                          .options = options,
                          .training = training,
                          .batch = plan->chunk,
                          .plan = plan};
    planner.largest = (size_t)plan->chunk * shape_count(&network->input);
    int layer = 0;
    while (layer < network->layer_count) {
        if (network->layers[layer].kind == CM_LAYER_FLATTEN) {
            ++layer; /* only a change of view: activations are contiguous */
            continue;
        }
        cm_stage *stage = &plan->stages[plan->stage_count];
        const int layers = plan_stage(&planner, layer, stage);
        if (layers == 0) {
            const char *name = network->layers[layer].name;
            cm_plan_free(plan);
            return cm_fail(error, CM_USAGE,
                           "layer %s of network %s is too large for batch %d; use a smaller batch",
                           name, network->name, options->batch);
        }
        layer += layers;
        plan_output(&planner, &network->layers[layer - 1], stage);
        ++plan->stage_count;
    }
    const cm_status status = plan_memory(&planner, error);
    if (status != CM_OK) {
        cm_plan_free(plan);
    }
    return status;
}

void cm_plan_free(cm_plan *plan) {
    free(plan->stages);
    *plan = (cm_plan){0};
}
