/* The kernels of convolutions: each call goes to the functions of its algorithm. */
#include "kernels/isa.h"

#include <string.h>

#include "convmark/trace.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/functions.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/simd/vectors.h"
#include "kernels/sizes.h"
#include "kernels/sums.h"

typedef struct algorithm_functions {
    cm_conv2d_pack_pass *pack;
    cm_conv2d_forward_pass *forward;
    cm_conv2d_backward_pass *backward;
    const cm_domain *domain;
} algorithm_functions;

/* The columns of algorithms.h that depend on the instruction set. */
#define CM_DOMAIN_direct(name) NULL
#define CM_DOMAIN_transform(name) &cm_##name##_domain
#define CM_CONV2D_ROW(id, name, kind, map, patch, freqs, planes, results, halves, rows, sums) \
    [CM_CONV2D_##id] = {cm_##kind##_pack, cm_##kind##_forward, cm_##kind##_backward,          \
                        CM_DOMAIN_##kind(name)},

static const algorithm_functions functions[CM_CONV2D_ALGORITHM_COUNT] = {
    CM_CONV2D_ALGORITHM_LIST(CM_CONV2D_ROW)};

static const algorithm_functions *functions_of(const cm_conv2d_plan *plan) {
    return &functions[plan->shape.algorithm];
}

/* Sums of one image's dy over its positions: `vectors` vectors of channels, the last of n lanes. */
CM_ALWAYS_INLINE void sum_channels(const float *dy, ptrdiff_t positions, ptrdiff_t channels,
                                   int vectors, int n, double *to) {
    double sums[CM_SUM_CHANNELS] = {0};
    for (ptrdiff_t i = 0; i < positions; i += CM_RUN_POSITIONS) {
        const ptrdiff_t left = positions - i;
        vf sum[VF_SUM_VECTORS];
        cm_sum_positions(dy + i * channels, left < CM_RUN_POSITIONS ? left : CM_RUN_POSITIONS,
                         channels, vectors, n, sum);
        for (int v = 0; v < vectors; ++v) {
            vf_add_to_doubles(sum[v], sums + v * VF_LANES);
        }
    }
    memcpy(to, sums, (size_t)((vectors - 1) * VF_LANES + n) * sizeof *to);
}

/* The sums of all images: tasks are images x blocks of channels. */
static void sum_image_biases(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                             double *sums) {
    const ptrdiff_t positions = (ptrdiff_t)shape->out_height * shape->out_width;
    const ptrdiff_t channels = shape->out_channels;
    const ptrdiff_t blocks = (channels + CM_SUM_CHANNELS - 1) / CM_SUM_CHANNELS;
    const cm_range share = cm_team_share(team, shape->batch * blocks);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const float *from = dy + i / blocks * positions * channels;
        double *to = sums + i / blocks * channels;
        ptrdiff_t c = i % blocks * CM_SUM_CHANNELS;
        if (c + CM_SUM_CHANNELS <= channels) {
            sum_channels(from + c, positions, channels, VF_SUM_VECTORS, VF_LANES, to + c);
            continue;
        }
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            sum_channels(from + c, positions, channels, 1, VF_LANES, to + c);
        }
        if (c < channels) {
            sum_channels(from + c, positions, channels, 1, (int)(channels - c), to + c);
        }
    }
}

/* dbias: the images' sums, added in the order of the images. */
static void join_bias_sums(const cm_team *team, const cm_conv2d_shape *shape, double *sums,
                           float *dbias) {
    const ptrdiff_t channels = shape->out_channels;
    const cm_range parts = cm_team_share(team, cm_even_parts(channels, CM_JOIN_CHANNELS));
    for (ptrdiff_t part = parts.begin; part < parts.end; ++part) {
        const cm_range c = cm_even_part(channels, CM_JOIN_CHANNELS, part);
        cm_join_images(sums + c.begin, channels, shape->batch, 0, (int)(c.end - c.begin));
        for (ptrdiff_t i = c.begin; i < c.end; ++i) {
            dbias[i] = (float)sums[i];
        }
    }
}

/* A block of images of a call: its plan, and the floats of x, y and `kept` that precede it. */
typedef struct image_block {
    cm_conv2d_plan plan;
    ptrdiff_t x, y, kept;
} image_block;

static ptrdiff_t block_count(const cm_conv2d_plan *plan) {
    return cm_even_parts(plan->shape.batch, cm_block_images(plan->shape.batch, plan->shape.block));
}

static image_block conv2d_block_at(const cm_conv2d_plan *plan, ptrdiff_t index) {
    const cm_conv2d_shape *shape = &plan->shape;
    const ptrdiff_t images = cm_block_images(shape->batch, shape->block), first = index * images;
    const ptrdiff_t left = shape->batch - first;
    cm_conv2d_shape part = *shape;
    part.batch = (int)(left < images ? left : images);
    part.block = 0;
    return (image_block){
        .plan = cm_conv2d_plan_of(&part, plan->threads),
        .x = first * shape->height * shape->width * shape->in_channels,
        .y = first * shape->out_height * shape->out_width * shape->out_channels,
        .kept = index * (ptrdiff_t)(plan->kept / sizeof(float)) / block_count(plan),
    };
}

/* Forward and inference, block by block: planes that are kept are those of a block. */
static void run_forward(const cm_team *team, const cm_conv2d_forward_call *call) {
    const algorithm_functions *algorithm = functions_of(call->plan);
    const ptrdiff_t blocks = block_count(call->plan);
    if (blocks == 1) {
        algorithm->forward(team, call);
        return;
    }
    for (ptrdiff_t i = 0; i < blocks; ++i) {
        const image_block block = conv2d_block_at(call->plan, i);
        cm_conv2d_forward_call part = *call;
        part.plan = &block.plan;
        part.x += block.x;
        part.y += block.y;
        part.kept = call->kept == NULL ? NULL : call->kept + block.kept;
        algorithm->forward(team, &part);
        cm_team_barrier(team); /* the next one writes the workspace */
    }
}

void cm_conv2d_forward(const cm_team *team, const cm_conv2d_forward_args *args) {
    const cm_conv2d_forward_call call = {
        .plan = args->plan,
        .domain = functions_of(args->plan)->domain,
        .x = args->x,
        .weight = args->weight,
        .epilogue = {.bias = args->bias, .relu = args->relu},
        .y = args->y,
        .kept = args->kept,
        .workspace = args->workspace,
    };
    run_forward(team, &call);
}

void cm_conv2d_pack(const cm_team *team, const cm_conv2d_plan *plan, const float *weight,
                    float *packed) {
    const algorithm_functions *algorithm = functions_of(plan);
    algorithm->pack(team, plan, algorithm->domain, weight, packed);
}

void cm_conv2d_inference(const cm_team *team, const cm_conv2d_inference_args *args) {
    const cm_conv2d_forward_call call = {
        .plan = args->plan,
        .domain = functions_of(args->plan)->domain,
        .x = args->x,
        .packed = args->packed,
        .epilogue = {args->bias, args->scale, args->shift, args->relu},
        .y = args->y,
        .workspace = args->workspace,
    };
    run_forward(team, &call);
}

/* All gradients of one block. */
static void backward_block(const cm_team *team, const cm_conv2d_backward_args *args) {
    const algorithm_functions *algorithm = functions_of(args->plan);
    if (args->dbias != NULL) {
        double *sums = (double *)(void *)((float *)args->workspace + args->plan->bias_sums);
        cm_trace_phase(team, CM_PHASE_BIAS);
        sum_image_biases(team, &args->plan->shape, args->dy, sums);
        cm_team_barrier(team);
        join_bias_sums(team, &args->plan->shape, sums, args->dbias);
    }
    algorithm->backward(team, algorithm->domain, args);
}

/* left += right, split over the team; NULL: not wanted. */
static void add_gradients(const cm_team *team, ptrdiff_t count, const float *right, float *left) {
    const cm_range share = cm_share_elements(team, left == NULL ? 0 : (size_t)count);
    for (ptrdiff_t i = share.begin; i < share.end; i += VF_LANES) {
        const int n = share.end - i < VF_LANES ? (int)(share.end - i) : VF_LANES;
        vf_store_n(left + i, vf_add(vf_load_n(left + i, n), vf_load_n(right + i, n)), n);
    }
}

/* Where node `level` of the tree has its gradients: the lowest in the caller's arrays, those above
 * it in the workspace, [level][weights, biases]. */
static cm_conv2d_backward_args gradients_at(const cm_conv2d_backward_args *args, int level) {
    const cm_conv2d_plan *plan = args->plan;
    cm_conv2d_backward_args node = *args;
    if (level > 0) {
        float *base = (float *)args->workspace + plan->block_sums +
                      (size_t)(level - 1) * cm_conv2d_block_floats(&plan->shape);
        node.dweight = args->dweight == NULL ? NULL : base;
        node.dbias = args->dbias == NULL ? NULL : base + cm_conv2d_weights(&plan->shape);
    }
    return node;
}

/* Joins the upper `joins` nodes with those below them. */
static void join_upper_nodes(const cm_team *team, const cm_conv2d_backward_args *args, int level,
                             int joins) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    for (; joins > 0; --joins, --level) {
        const cm_conv2d_backward_args left = gradients_at(args, level - 1);
        const cm_conv2d_backward_args right = gradients_at(args, level);
        add_gradients(team, (ptrdiff_t)cm_conv2d_weights(shape), right.dweight, left.dweight);
        add_gradients(team, shape->out_channels, right.dbias, left.dbias);
    }
}

/* Block by block. The tree is that of cm_join_images(), whose nodes are joined as soon as both are
 * complete, as a binary counter carries. */
void cm_conv2d_backward(const cm_team *team, const cm_conv2d_backward_args *args) {
    const ptrdiff_t blocks = block_count(args->plan);
    if (blocks == 1) {
        backward_block(team, args);
        return;
    }
    int level = 0;
    for (ptrdiff_t i = 0; i < blocks; ++i) {
        const image_block block = conv2d_block_at(args->plan, i);
        const int joins = cm_block_joins(i, blocks);
        cm_conv2d_backward_args part = gradients_at(args, level);
        part.plan = &block.plan;
        part.x = args->x == NULL ? NULL : args->x + block.x;
        part.dy = args->dy + block.y;
        part.dx = args->dx == NULL ? NULL : args->dx + block.x;
        part.kept = args->kept == NULL ? NULL : args->kept + block.kept;
        backward_block(team, &part);
        cm_team_barrier(team); /* the next block writes the workspace, the joins read it */
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        join_upper_nodes(team, args, level, joins);
        level += 1 - joins;
        cm_team_barrier(team);
    }
}

void cm_conv2d_backward_data(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_backward_args data = {.plan = args->plan,
                                          .dy = args->dy,
                                          .weight = args->weight,
                                          .dx = args->dx,
                                          .workspace = args->workspace};
    cm_conv2d_backward(team, &data);
}

void cm_conv2d_backward_weights(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_backward_args weights = {.plan = args->plan,
                                             .x = args->x,
                                             .dy = args->dy,
                                             .dweight = args->dweight,
                                             .dbias = args->dbias,
                                             .workspace = args->workspace};
    cm_conv2d_backward(team, &weights);
}
