/* Convolution's kernels: each call goes to the algorithm of its shape. */
#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/simd/simd.h"
#include "kernels/trace.h"

static void direct_backward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                            const float *dy, const float *weight, float *dx, float *dweight,
                            void *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, 1);
    float *scratch = workspace;
    if (dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        CM_FN(direct_backward_weights)(team, shape, x, dy, dweight, scratch);
    }
    if (dx != NULL) {
        if (dweight != NULL) {
            cm_team_barrier(team); /* they share the memory of the panels */
        }
        cm_trace_phase(team, CM_PHASE_KERNELS);
        CM_FN(direct_backward_data)(team, shape, dy, weight, dx, scratch + layout.panels);
    }
}

typedef struct algorithm {
    cm_conv2d_pack_fn *pack;
    cm_conv2d_run_fn *forward;
    void (*backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                     const float *dy, const float *weight, float *dx, float *dweight,
                     void *workspace);
} algorithm;

static const algorithm algorithms[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_DIRECT] = {CM_FN(direct_pack), CM_FN(direct_forward), direct_backward},
    [CM_CONV2D_T4] = {CM_FN(transform_pack), CM_FN(transform_forward), CM_FN(transform_backward)},
    [CM_CONV2D_DFT10] = {CM_FN(transform_pack), CM_FN(transform_forward),
                         CM_FN(transform_backward)},
    [CM_CONV2D_WINOGRAD3] = {CM_FN(transform_pack), CM_FN(transform_forward),
                             CM_FN(transform_backward)},
    [CM_CONV2D_WINOGRAD4] = {CM_FN(transform_pack), CM_FN(transform_forward),
                             CM_FN(transform_backward)},
};

/* dbias: sums over the positions of an image by the image's owner, then over the images. */
static void backward_bias(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                          float *dbias, float *sums) {
    const ptrdiff_t positions = (ptrdiff_t)shape->out_height * shape->out_width;
    const ptrdiff_t out = shape->out_channels;
    const cm_range images = cm_team_share(team, shape->batch);
    for (ptrdiff_t image = images.begin; image < images.end; ++image) {
        for (ptrdiff_t k = 0; k < out; k += VF_LANES) {
            const int lanes = (int)(out - k < VF_LANES ? out - k : VF_LANES);
            const float *from = dy + image * positions * out + k;
            vf sum = vf_zero();
            for (ptrdiff_t i = 0; i < positions; ++i) {
                sum = vf_add(sum, vf_load_n(from + i * out, lanes));
            }
            vf_store_n(sums + image * out + k, sum, lanes);
        }
    }
    cm_team_barrier(team);
    const cm_range channels = cm_team_share(team, out);
    for (ptrdiff_t k = channels.begin; k < channels.end; ++k) {
        float sum = 0.0F;
        for (int image = 0; image < shape->batch; ++image) {
            sum += sums[image * out + k];
        }
        dbias[k] = sum;
    }
}

void CM_FN(conv2d_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                           const float *weight, const float *bias, bool relu, float *y,
                           void *workspace) {
    const cm_conv2d_epilogue epilogue = {.bias = bias, .relu = relu};
    algorithms[shape->algorithm].forward(team, shape, x, weight, NULL, &epilogue, y, workspace);
}

void CM_FN(conv2d_pack)(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                        float *packed) {
    algorithms[shape->algorithm].pack(team, shape, weight, packed);
}

void CM_FN(conv2d_inference)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                             const float *packed, const float *bias, const float *scale,
                             const float *shift, bool relu, float *y, void *workspace) {
    const cm_conv2d_epilogue epilogue = {bias, scale, shift, relu};
    algorithms[shape->algorithm].forward(team, shape, x, NULL, packed, &epilogue, y, workspace);
}

void CM_FN(conv2d_backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                            const float *dy, const float *weight, float *dx, float *dweight,
                            float *dbias, void *workspace) {
    if (dbias != NULL) {
        cm_trace_phase(team, CM_PHASE_BIAS);
        backward_bias(team, shape, dy, dbias,
                      (float *)workspace + cm_conv2d_layout_of(shape, 1).image_sums);
    }
    algorithms[shape->algorithm].backward(team, shape, x, dy, weight, dx, dweight, workspace);
}

void CM_FN(conv2d_backward_data)(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                                 const float *weight, float *dx, void *workspace) {
    CM_FN(conv2d_backward)(team, shape, NULL, dy, weight, dx, NULL, NULL, workspace);
}

void CM_FN(conv2d_backward_weights)(const cm_team *team, const cm_conv2d_shape *shape,
                                    const float *x, const float *dy, float *dweight, float *dbias,
                                    void *workspace) {
    CM_FN(conv2d_backward)(team, shape, x, dy, NULL, NULL, dweight, dbias, workspace);
}
