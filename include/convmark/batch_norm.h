/**
 * Batch norm: the contract of its kernels. kernels.h has what holds for every kernel.
 */
#ifndef CM_BATCH_NORM_H
#define CM_BATCH_NORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/max_pool2d.h"
#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Images: [batch][height][width][channels]. */
typedef struct cm_map_shape {
    int batch, height, width, channels;
} cm_map_shape;

/** Scratch memory, in bytes, for any number of threads. */
size_t cm_batch_norm_workspace(const cm_map_shape *shape);

/**
 * Batch statistics (Ioffe & Szegedy, arXiv 1502.03167) and what training needs of them, a channel:
 * per image, mean and sum of squared differences (two passes, float); joined over the images in
 * order in double (Chan, Golub & LeVeque, 1983). Writes mean and rstd = 1 / sqrt(variance + eps),
 * scale = gamma * rstd, shift = fma(-mean, scale, beta), and moves the running statistics by
 * `momentum` towards the mean and the unbiased variance (running_*: NULL, NULL leaves them).
 */
typedef void cm_batch_norm_statistics_fn(const cm_team *team, const cm_map_shape *shape,
                                         const float *x, const float *gamma, const float *beta,
                                         float eps, float momentum, float *running_mean,
                                         float *running_var, float *mean, float *rstd, float *scale,
                                         float *shift, void *workspace);

/** Evaluation mode: the same scale and shift from the running statistics. */
typedef void cm_batch_norm_inference_fn(const cm_team *team, int channels, const float *gamma,
                                        const float *beta, float eps, const float *running_mean,
                                        const float *running_var, float *scale, float *shift);

/** y = fma(x, scale[c], shift[c]), then ReLU if asked. y may be x. */
typedef void cm_batch_norm_forward_fn(const cm_team *team, const cm_map_shape *shape,
                                      const float *x, const float *scale, const float *shift,
                                      bool relu, float *y);

/**
 * Backward of statistics + forward in training mode. With g = dy, or 0 where a ReLU followed and
 * its output y is not > 0 (y: NULL when none did): dbeta = sum g, dgamma = sum g * xhat with xhat =
 * (x - mean) * rstd, each as float sums over an image's positions, joined over images in order in
 * double; dx = fma(a, g, fma(b, x, c)) with a = scale, b = -a * rstd * dgamma / M, c = -a * dbeta /
 * M - b * mean, M = batch * height * width (a, b, c computed in double, rounded once). dx may be
 * dy.
 */
typedef void cm_batch_norm_backward_fn(const cm_team *team, const cm_map_shape *shape,
                                       const float *dy, const float *y, const float *x,
                                       const float *mean, const float *rstd, const float *scale,
                                       float *dgamma, float *dbeta, float *dx, void *workspace);

/**
 * Backward of statistics + max_pool2d_forward with a batch norm in front: the same formulas as
 * batch_norm_backward with g as max_pool2d_backward scatters it (sums over the pooled positions in
 * row-major order, with x_at_max in place of x). `x` is the batch norm's input; dx has its shape
 * and must not be x.
 */
typedef void cm_batch_norm_max_pool2d_backward_fn(
    const cm_team *team, const cm_max_pool2d_shape *shape, const float *dy, const float *y,
    const uint16_t *argmax, const float *x_at_max, const float *x, const float *mean,
    const float *rstd, const float *scale, float *dgamma, float *dbeta, float *dx, void *workspace);

#ifdef __cplusplus
}
#endif

#endif
