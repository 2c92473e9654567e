/**
 * conv2d: shapes, algorithms, and the contract of each pass. kernels.h has what holds for every
 * kernel.
 */
#ifndef CM_CONV2D_H
#define CM_CONV2D_H

#include <stdbool.h>
#include <stddef.h>

#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How a convolution is computed (docs/design/algorithms.md). Which one a shape gets is a fixed
 * table, the same on every machine, because it decides the bits of the result.
 */
typedef enum cm_conv2d_algorithm {
    CM_CONV2D_AUTO,      /* what the table says */
    CM_CONV2D_DIRECT,    /* any shape: padding is skipped */
    CM_CONV2D_T4,        /* 3x3 maps: 16 products instead of 49 */
    CM_CONV2D_DFT10,     /* 9x9 maps: 148 products instead of 625 */
    CM_CONV2D_WINOGRAD3, /* tiles of 3x3 outputs: 25 products instead of 81 */
    CM_CONV2D_WINOGRAD4, /* tiles of 4x4 outputs: 36 products instead of 144 */
    CM_CONV2D_ALGORITHM_COUNT
} cm_conv2d_algorithm;

/** out_height = (height + 2 * padding_h - kernel_h) / stride_h + 1, rounded down; same for width.
 */
typedef struct cm_conv2d_shape {
    int batch;
    int in_channels, height, width;
    int out_channels;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
    cm_conv2d_algorithm algorithm; /* AUTO becomes the table's choice in cm_conv2d_shape_init() */
    int out_height, out_width;     /* derived: set by cm_conv2d_shape_init() */
} cm_conv2d_shape;

/** Checks the sizes, derives the output size. False if a size is < 1 (padding: < 0), the kernel is
 * larger than the padded map or has more than 4096 elements, or an array would have more than
 * 2^31 - 1. */
bool cm_conv2d_shape_init(cm_conv2d_shape *shape);
/** The 1x1 convolution that a linear layer is. */
cm_conv2d_shape cm_linear_shape(int batch, int in_features, int out_features);

/** Whether `algorithm` can compute the shape. AUTO and DIRECT always can. */
bool cm_conv2d_algorithm_fits(cm_conv2d_algorithm algorithm, const cm_conv2d_shape *shape);
/** "auto", "direct" ... */
const char *cm_conv2d_algorithm_name(cm_conv2d_algorithm algorithm);
/** The algorithm called `name`; CM_CONV2D_ALGORITHM_COUNT if there is none. */
cm_conv2d_algorithm cm_conv2d_algorithm_from_name(const char *name);

/** What one pass of a convolution costs, by its algorithm. */
typedef struct cm_conv2d_cost {
    double multiply_adds;   /* of the whole batch; those that padding would add are not there */
    double planes, results; /* domains: planes of a transformed map, and of a result; else 0 */
    double kernel_floats;   /* of the weights as they are multiplied: panels, or columns */
    double sum_floats;      /* domains: sums that the weights' gradient is made of; else 0 */
} cm_conv2d_cost;

cm_conv2d_cost cm_conv2d_cost_of(const cm_conv2d_shape *shape);

/** Bytes of a convolution's weights as conv2d_pack() leaves them, for any instruction set. */
size_t cm_conv2d_packed(const cm_conv2d_shape *shape);

/** Bytes that conv2d_forward() can keep for conv2d_backward(); 0: its algorithm keeps nothing. */
size_t cm_conv2d_kept(const cm_conv2d_shape *shape);

/** Scratch memory, in bytes, enough for all passes on any instruction set by up to `threads`. */
size_t cm_conv2d_workspace(const cm_conv2d_shape *shape, int threads);

/**
 * The sequences of operations below are those of CM_CONV2D_DIRECT; the other algorithms compute the
 * same sums in another way, with an error as small (docs/design/numerics.md).
 *
 * y[n,p,q,k] = chain over (r, s, c) of x[n, p*stride-padding+r, q*stride-padding+s, c] *
 * weight[r,s,c,k], taps outside the map left out, then + bias[k] (NULL: no addition), then ReLU if
 * asked. kept (NULL: nothing): cm_conv2d_kept() bytes, 64-byte aligned, for conv2d_backward().
 */
typedef void cm_conv2d_forward_fn(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                                  const float *weight, const float *bias, bool relu, float *y,
                                  float *kept, void *workspace);

/**
 * Inference, where the weights are the same for many batches: conv2d_pack() does once what
 * conv2d_forward does with them each time. `packed` has cm_conv2d_packed() bytes, 64-byte aligned,
 * and is for this shape, whatever its batch, and this instruction set; a barrier must lie between.
 * conv2d_inference: as conv2d_forward, with fma(z, scale[k], shift[k]) between bias and ReLU where
 * scale is not NULL: a batch norm, to the same bits as batch_norm_forward.
 */
typedef void cm_conv2d_pack_fn(const cm_team *team, const cm_conv2d_shape *shape,
                               const float *weight, float *packed);
typedef void cm_conv2d_inference_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                    const float *x, const float *packed, const float *bias,
                                    const float *scale, const float *shift, bool relu, float *y,
                                    void *workspace);

/** dx[n,h,w,c] = chain over (r, s, k) of dy[n,p,q,k] * weight[r,s,c,k] for the taps that read
 * x[n,h,w,c]; 0 where there is none. */
typedef void cm_conv2d_backward_data_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                        const float *dy, const float *weight, float *dx,
                                        void *workspace);

/**
 * dweight[r,s,c,k] = sum over blocks of images of the chains over the block's (n, p, q) of
 * x[n,h,w,c] * dy[n,p,q,k]; dbias[k] (NULL: not wanted) = sum over images of the sums over (p, q).
 * Blocks, and the order inside one, depend on the shape: docs/design/numerics.md.
 */
typedef void cm_conv2d_backward_weights_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                           const float *x, const float *dy, float *dweight,
                                           float *dbias, void *workspace);

/**
 * Both backward passes at once, which share what they transform: dx as backward_data, dweight and
 * dbias as backward_weights, each bit the same. Any of the three may be NULL: not wanted. kept
 * (NULL: nothing): what conv2d_forward() kept of the same x, to the same bits without it.
 */
typedef void cm_conv2d_backward_fn(const cm_team *team, const cm_conv2d_shape *shape,
                                   const float *x, const float *dy, const float *weight, float *dx,
                                   float *dweight, float *dbias, const float *kept,
                                   void *workspace);

#ifdef __cplusplus
}
#endif

#endif
