/**
 * Batch norm: the contract of its kernels. kernels.h says what holds for every kernel.
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

/** Sizes of images [batch][height][width][channels]; a position is one (height, width) pair. */
typedef struct cm_map_shape {
    int batch, height, width, channels;
} cm_map_shape;

/** Scratch memory of the kernels below, in bytes, for a team of any size. */
size_t cm_batch_norm_workspace(const cm_map_shape *shape);

/** The parameters of a batch norm in training mode and what its statistics become. All arrays are
 * [channels]. */
typedef struct cm_normalization {
    const float *gamma, *beta;
    float eps, momentum;
    float *running_mean, *running_var; /* updated in place; both NULL: left alone */
    float *mean, *rstd;                /* written: of the batch; rstd = 1 / sqrt(variance + eps) */
    float *scale, *shift;              /* written: y = fma(x, scale, shift) normalizes x */
} cm_normalization;

typedef struct cm_batch_norm_statistics_args {
    const cm_map_shape *shape;
    const float *x; /* of this shape */
    int block;      /* images of a block of the sums; 0: the batch is one (kernels.h) */
    cm_normalization to;
    void *workspace; /* cm_batch_norm_workspace() */
} cm_batch_norm_statistics_args;

/**
 * Batch statistics (Ioffe & Szegedy, arXiv 1502.03167) and the coefficients that training derives
 * from them, for each channel. Each image gives a mean and a sum of squared differences, from
 * differences to the mean of every fourth position, which are summed in float over runs of 32
 * positions and in double over the runs; images, then blocks of images, are joined in double (Chan,
 * Golub & LeVeque, 1983). Then rstd = 1 / sqrt(variance + eps) with the biased variance, scale =
 * gamma * rstd, shift = fma(-mean, scale, beta) in double, and the running statistics move by
 * `momentum` towards the mean and the unbiased variance.
 */
typedef void cm_batch_norm_statistics_fn(const cm_team *team,
                                         const cm_batch_norm_statistics_args *args);

/** All arrays are [channels]. */
typedef struct cm_batch_norm_inference_args {
    int channels;
    const float *gamma, *beta;
    float eps;
    const float *running_mean, *running_var;
    float *scale, *shift; /* written */
} cm_batch_norm_inference_args;

/** Evaluation mode: scale and shift by the same formulas from the running statistics. */
typedef void cm_batch_norm_inference_fn(const cm_team *team,
                                        const cm_batch_norm_inference_args *args);

/** y = fma(x, scale[c], shift[c]), then ReLU if `relu`. y may be x. */
typedef void cm_batch_norm_forward_fn(const cm_team *team, const cm_map_shape *shape,
                                      const float *x, const float *scale, const float *shift,
                                      bool relu, float *y);

typedef struct cm_batch_norm_backward_args {
    const cm_map_shape *shape;
    const float *dy;                  /* of this shape */
    const float *y;                   /* output of the fused ReLU; NULL: none was fused */
    const float *x;                   /* what the batch norm read */
    const float *mean, *rstd, *scale; /* [channels], from batch_norm_statistics */
    int block;                        /* as there */
    float *dgamma, *dbeta;            /* written: [channels] */
    float *dx;                        /* written; may be dy */
    void *workspace;                  /* cm_batch_norm_workspace() */
} cm_batch_norm_backward_args;

/**
 * Backward of statistics and forward in training mode. With g = dy, or 0 where a fused ReLU's y is
 * not > 0: dbeta = sum of g and dgamma = rstd * sum of g * (x - mean), each in float over runs of
 * 32 positions, in double over the runs of an image, the images and the blocks of images.
 * dx = fma(a, g, fma(b, x - mean, c)) with a = scale, b = -a * rstd * dgamma / M,
 * c = -a * dbeta / M and M = batch * height * width; a, b and c are computed in double
 * and rounded once.
 */
typedef void cm_batch_norm_backward_fn(const cm_team *team,
                                       const cm_batch_norm_backward_args *args);

typedef struct cm_batch_norm_max_pool2d_backward_args {
    const cm_max_pool2d_shape *shape;
    const float *dy;                  /* gradient of the pool's output */
    const float *y;                   /* output of the fused ReLU; NULL: none was fused */
    const uint16_t *argmax;           /* from max_pool2d_forward */
    const float *x_at_max;            /* from max_pool2d_forward */
    const float *x;                   /* what the batch norm read, of the pool's input shape */
    const float *mean, *rstd, *scale; /* [channels], from batch_norm_statistics */
    int block;                        /* as there */
    float *dgamma, *dbeta;            /* written: [channels] */
    float *dx;                        /* written: of the shape of x; must not be x */
    void *workspace;                  /* cm_batch_norm_workspace() of the pool's input shape */
} cm_batch_norm_max_pool2d_backward_args;

/**
 * Backward of a batch norm followed by [ReLU and] a max pool: the formulas of batch_norm_backward
 * with g as max_pool2d_backward scatters it. At all positions but the maxima g is 0, so the sums
 * run over the pooled positions in row-major order, with x_at_max in place of x.
 */
typedef void
cm_batch_norm_max_pool2d_backward_fn(const cm_team *team,
                                     const cm_batch_norm_max_pool2d_backward_args *args);

#ifdef __cplusplus
}
#endif

#endif
