/**
 * A network's first layer: a convolution of few channels fused with the max pool that follows it.
 * The contract of its kernels; kernels.h says what holds for every kernel.
 *
 * The kernels compute conv2d, then [batch norm,] [ReLU and] a max pool, without storing the
 * convolution's map. They differ from the separate kernels in rounding only. `pool` is a pool of
 * the convolution's output.
 *
 * A patch holds the K = kernel_h * kernel_w * in_channels numbers that one output of the
 * convolution is computed from, in the order (r, s, c), with zeros outside the map; K is at most
 * CM_MAX_PATCH.
 */
#ifndef CM_FIRST_LAYER_H
#define CM_FIRST_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/batch_norm.h"
#include "convmark/conv2d.h"
#include "convmark/max_pool2d.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Largest K, the numbers in a patch. */
enum { CM_MAX_PATCH = 32 };

/** Whether these kernels can compute the pair and are faster than the separate ones: patches of
 * more than one and at most CM_MAX_PATCH numbers, windows that overlap little. */
bool cm_conv2d_max_pool2d_pays(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool);

/** Number of doubles in `moments`: K + K * K. */
size_t cm_patch_moments_count(const cm_conv2d_shape *conv);

/** Scratch memory of the kernels below, in bytes, for up to `threads`. */
size_t cm_conv2d_max_pool2d_workspace(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
                                      int threads);

typedef struct cm_conv2d_batch_norm_statistics_args {
    const cm_conv2d_shape *conv;
    const cm_max_pool2d_shape *pool;
    const float *x, *weight;
    const float *bias; /* [out_channels]; NULL: none */
    cm_normalization to;
    double *moments; /* written: [cm_patch_moments_count()], for the backward pass */
    void *workspace; /* cm_conv2d_max_pool2d_workspace() */
} cm_conv2d_batch_norm_statistics_args;

/**
 * Batch statistics of the convolution's output without that output. With m [K] the mean patch, C
 * [K][K] the patches' biased covariance and w the weights of an output channel, its mean is
 * w'm + bias and its variance w'Cw. m, then C, are written to `moments`. All sums are in double, in
 * which the multiplication of two floats is exact: the sums of an image run over its outputs in 8
 * interleaved chains, joined in a tree, then over the images and over blocks of images
 * (conv->block; docs/design/numerics.md). What follows from mean and variance is as in
 * batch_norm_statistics.
 */
typedef void cm_conv2d_batch_norm_statistics_fn(const cm_team *team,
                                                const cm_conv2d_batch_norm_statistics_args *args);

typedef struct cm_conv2d_max_pool2d_forward_args {
    const cm_conv2d_shape *conv;
    const cm_max_pool2d_shape *pool;
    const float *x, *weight;
    const float *bias;          /* [out_channels]; NULL: none */
    const float *scale, *shift; /* [out_channels]: a batch norm; both NULL: none */
    bool relu;
    float *y;         /* written: of the pool's output shape */
    uint16_t *argmax; /* written, as by max_pool2d_forward; NULL: evaluation */
    void *workspace;  /* cm_conv2d_max_pool2d_workspace() */
} cm_conv2d_max_pool2d_forward_args;

/**
 * The batch norm is folded into the weights: w = scale[k] * weight and b = fma(bias, scale[k],
 * shift[k]); without one w = weight and b = bias. z = chain over the patch of x * w; y = the
 * maximum of z over the window, the first in row-major order winning, + b, then ReLU if `relu`.
 */
typedef void cm_conv2d_max_pool2d_forward_fn(const cm_team *team,
                                             const cm_conv2d_max_pool2d_forward_args *args);

typedef struct cm_conv2d_max_pool2d_backward_args {
    const cm_conv2d_shape *conv;
    const cm_max_pool2d_shape *pool;
    const float *x, *weight;
    const float *dy;           /* gradient of the pool's output */
    const float *y;            /* output of the fused ReLU; NULL: none was fused */
    const uint16_t *argmax;    /* from conv2d_max_pool2d_forward */
    const double *moments;     /* from conv2d_batch_norm_statistics; NULL: no batch norm */
    const float *rstd, *scale; /* [out_channels]; with batch norm only */
    float *dgamma, *dbeta;     /* written: [out_channels]; with batch norm only */
    float *dweight, *dbias;    /* written */
    void *workspace;           /* cm_conv2d_max_pool2d_workspace() */
} cm_conv2d_max_pool2d_backward_args;

/**
 * With g as in max_pool2d_backward: S[t] = an image's chains over runs of 256 windows of g *
 * patch[t] at the window's maximum, added up, G = the sums of g in the same order, both joined over
 * the images, then over blocks of images (conv->block), in double. Without batch norm dweight = S
 * and dbias = G. With it S is made of patch[t] - u, and m[t] stands for m[t] - u, where u is the
 * mean of the channel's number in the middle of the patch as a float; dbeta = G, dgamma = rstd *
 * (w'S - w'm G), dweight = scale * (S - m G - rstd dgamma C w), in double, rounded once, and dbias
 * = 0, which is its exact value. The gradient of x is not computed: nothing precedes a first layer.
 */
typedef void cm_conv2d_max_pool2d_backward_fn(const cm_team *team,
                                              const cm_conv2d_max_pool2d_backward_args *args);

#ifdef __cplusplus
}
#endif

#endif
