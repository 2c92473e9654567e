/**
 * A convolution of few channels fused with the max pool that follows it: the contract of its
 * kernels. kernels.h has what holds for every kernel.
 */
#ifndef CM_FIRST_LAYER_H
#define CM_FIRST_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/conv2d.h"
#include "convmark/max_pool2d.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Numbers in a patch of conv2d_max_pool2d's convolution, kernel_h * kernel_w * in_channels: at
 * most this many. */
enum { CM_MAX_PATCH = 32 };

/** Whether conv2d_max_pool2d's kernels can compute this pair and are the faster way: small patches,
 * windows that overlap little. */
bool cm_conv2d_max_pool2d_pays(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool);

/** Doubles of the moments that conv2d_batch_norm_statistics leaves for the backward pass: the mean
 * patch, then the patches' covariance. */
size_t cm_patch_moments_count(const cm_conv2d_shape *conv);

/** Scratch memory, in bytes, for up to `threads`. */
size_t cm_conv2d_max_pool2d_workspace(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
                                      int threads);

/**
 * conv2d followed by [batch norm,] [ReLU,] max pool for a first layer, whose patches are small: the
 * convolution's map never exists. A patch holds the K = kernel_h * kernel_w * in_channels numbers
 * that one output is computed from, in the order of (r, s, c), zeros outside the map; K <=
 * CM_MAX_PATCH. pool: the shape of conv's output. What is computed differs from the separate
 * kernels in rounding only.
 *
 * conv2d_batch_norm_statistics: mean and variance of an output channel w follow from the patches'
 * mean m and (biased) covariance C: w'm + bias and w'Cw. Both, [K] and [K][K], are left in
 * `moments` for the backward pass. All in double, in which products of two floats are exact: an
 * image's sums run over its outputs in CM_MOMENT_LANES interleaved chains, joined in a tree, then
 * over the images in order (docs/design/numerics.md).
 *
 * conv2d_max_pool2d_forward: weights are folded, w = scale[k] * weight and b = fma(bias, scale[k],
 * shift[k]) (scale NULL: w = weight, b = bias); z = chain over the patch of x * w; y = max of z
 * over the window, the first maximum in row-major order winning, + b, then ReLU if asked. argmax
 * (NULL: evaluation) as in max_pool2d_forward.
 *
 * conv2d_max_pool2d_backward: with g as in max_pool2d_backward, S[t] = an image's chain over the
 * windows of g * patch[t] at the maximum, G = the sum of g, both joined over the images in order in
 * double. Without batch norm (moments NULL; scale, rstd, dgamma and dbeta are not used) dweight = S
 * and dbias = G. With it dbeta = G, dgamma = rstd * (w'S - w'm G), dweight = scale * (S - m G -
 * rstd dgamma C w), in double, rounded once, and dbias = 0, which is its exact value.
 */
typedef void cm_conv2d_batch_norm_statistics_fn(
    const cm_team *team, const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
    const float *x, const float *weight, const float *bias, const float *gamma, const float *beta,
    float eps, float momentum, float *running_mean, float *running_var, float *mean, float *rstd,
    float *scale, float *shift, double *moments, void *workspace);
typedef void cm_conv2d_max_pool2d_forward_fn(const cm_team *team, const cm_conv2d_shape *conv,
                                             const cm_max_pool2d_shape *pool, const float *x,
                                             const float *weight, const float *bias,
                                             const float *scale, const float *shift, bool relu,
                                             float *y, uint16_t *argmax, void *workspace);
typedef void cm_conv2d_max_pool2d_backward_fn(const cm_team *team, const cm_conv2d_shape *conv,
                                              const cm_max_pool2d_shape *pool, const float *x,
                                              const float *weight, const float *dy, const float *y,
                                              const uint16_t *argmax, const double *moments,
                                              const float *rstd, const float *scale, float *dgamma,
                                              float *dbeta, float *dweight, float *dbias,
                                              void *workspace);

#ifdef __cplusplus
}
#endif

#endif
