/* Convolution's kernels: each call goes to the algorithm of its shape. */
#include "convmark/trace.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/internal.h"
#include "kernels/simd/vectors.h"

static void direct_backward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                            const float *dy, const float *weight, float *dx, float *dweight,
                            const float *kept, void *workspace) {
    (void)kept; /* it keeps nothing */
    float *scratch = workspace;
    if (dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        cm_direct_backward_weights(team, shape, x, dy, dweight, scratch);
    }
    if (dx != NULL) {
        if (dweight != NULL) {
            cm_team_barrier(team); /* they share the memory of the panels */
        }
        cm_trace_phase(team, CM_PHASE_KERNELS);
        cm_direct_backward_data(team, shape, dy, weight, dx, scratch);
    }
}

typedef struct algorithm {
    void (*pack)(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                 float *packed);
    cm_conv2d_run_fn *forward;
    void (*backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                     const float *dy, const float *weight, float *dx, float *dweight,
                     const float *kept, void *workspace);
} algorithm;

static const algorithm algorithms[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_DIRECT] = {cm_direct_pack, cm_direct_forward, direct_backward},
    [CM_CONV2D_T4] = {cm_transform_pack, cm_transform_forward, cm_transform_backward},
    [CM_CONV2D_DFT10] = {cm_transform_pack, cm_transform_forward, cm_transform_backward},
    [CM_CONV2D_WINOGRAD3] = {cm_transform_pack, cm_transform_forward, cm_transform_backward},
    [CM_CONV2D_WINOGRAD4] = {cm_transform_pack, cm_transform_forward, cm_transform_backward},
};

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
    const cm_conv2d_epilogue epilogue = {.bias = args->bias, .relu = args->relu};
    const cm_conv2d_shape *shape = &args->plan->shape;
    algorithms[shape->algorithm].forward(team, shape, args->x, args->weight, NULL, &epilogue,
                                         args->y, args->kept, args->workspace);
}

void cm_conv2d_pack(const cm_team *team, const cm_conv2d_plan *plan, const float *weight,
                    float *packed) {
    algorithms[plan->shape.algorithm].pack(team, &plan->shape, weight, packed);
}

void cm_conv2d_inference(const cm_team *team, const cm_conv2d_inference_args *args) {
    const cm_conv2d_epilogue epilogue = {args->bias, args->scale, args->shift, args->relu};
    const cm_conv2d_shape *shape = &args->plan->shape;
    algorithms[shape->algorithm].forward(team, shape, args->x, NULL, args->packed, &epilogue,
                                         args->y, NULL, args->workspace);
}

void cm_conv2d_backward(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    if (args->dbias != NULL) {
        float *sums = (float *)args->workspace + cm_conv2d_layout_of(shape, 1).image_sums;
        cm_trace_phase(team, CM_PHASE_BIAS);
        sum_images(team, shape, args->dy, sums);
        cm_team_barrier(team);
        join_sums(team, shape, sums, args->dbias);
    }
    algorithms[shape->algorithm].backward(team, shape, args->x, args->dy, args->weight, args->dx,
                                          args->dweight, args->kept, args->workspace);
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
