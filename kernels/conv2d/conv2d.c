/* The kernels of convolutions: each call goes to the functions of its algorithm. */
#include "kernels/isa.h"

#include "convmark/trace.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/functions.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/simd/vectors.h"
#include "kernels/sizes.h"

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
                                   int vectors, int n, float *sums) {
    vf sum[VF_SUM_VECTORS];
    cm_sum_positions(dy, positions, channels, vectors, n, sum);
    for (int v = 0; v < vectors; ++v) {
        cm_store(sums + v * VF_LANES, sum[v], n);
    }
}

/* The sums of all images: tasks are images x blocks of channels. */
static void sum_images(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                       float *sums) {
    const ptrdiff_t positions = (ptrdiff_t)shape->out_height * shape->out_width;
    const ptrdiff_t channels = shape->out_channels;
    const ptrdiff_t blocks = (channels + CM_SUM_CHANNELS - 1) / CM_SUM_CHANNELS;
    const cm_range share = cm_team_share(team, shape->batch * blocks);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const float *from = dy + i / blocks * positions * channels;
        float *to = sums + i / blocks * channels;
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
static void join_sums(const cm_team *team, const cm_conv2d_shape *shape, const float *sums,
                      float *dbias) {
    const ptrdiff_t channels = shape->out_channels;
    const cm_range share = cm_team_share(team, cm_even_parts(channels, VF_LANES));
    for (ptrdiff_t c = share.begin * VF_LANES; c < share.end * VF_LANES; c += VF_LANES) {
        const int lanes = channels - c < VF_LANES ? (int)(channels - c) : VF_LANES;
        vf sum = vf_zero();
        for (ptrdiff_t n = 0; n < shape->batch; ++n) {
            sum = vf_add(sum, cm_load(sums + n * channels + c, lanes));
        }
        cm_store(dbias + c, sum, lanes);
    }
}

void cm_conv2d_forward(const cm_team *team, const cm_conv2d_forward_args *args) {
    const algorithm_functions *algorithm = functions_of(args->plan);
    const cm_conv2d_forward_call call = {
        .plan = args->plan,
        .domain = algorithm->domain,
        .x = args->x,
        .weight = args->weight,
        .epilogue = {.bias = args->bias, .relu = args->relu},
        .y = args->y,
        .kept = args->kept,
        .workspace = args->workspace,
    };
    algorithm->forward(team, &call);
}

void cm_conv2d_pack(const cm_team *team, const cm_conv2d_plan *plan, const float *weight,
                    float *packed) {
    const algorithm_functions *algorithm = functions_of(plan);
    algorithm->pack(team, plan, algorithm->domain, weight, packed);
}

void cm_conv2d_inference(const cm_team *team, const cm_conv2d_inference_args *args) {
    const algorithm_functions *algorithm = functions_of(args->plan);
    const cm_conv2d_forward_call call = {
        .plan = args->plan,
        .domain = algorithm->domain,
        .x = args->x,
        .packed = args->packed,
        .epilogue = {args->bias, args->scale, args->shift, args->relu},
        .y = args->y,
        .workspace = args->workspace,
    };
    algorithm->forward(team, &call);
}

void cm_conv2d_backward(const cm_team *team, const cm_conv2d_backward_args *args) {
    const algorithm_functions *algorithm = functions_of(args->plan);
    if (args->dbias != NULL) {
        float *sums = (float *)args->workspace + args->plan->bias_sums;
        cm_trace_phase(team, CM_PHASE_BIAS);
        sum_images(team, &args->plan->shape, args->dy, sums);
        cm_team_barrier(team);
        join_sums(team, &args->plan->shape, sums, args->dbias);
    }
    algorithm->backward(team, algorithm->domain, args);
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
