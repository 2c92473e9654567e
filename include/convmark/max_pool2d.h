/**
 * Max pooling: the contract of its kernels. kernels.h says what holds for every kernel.
 */
#ifndef CM_MAX_POOL2D_H
#define CM_MAX_POOL2D_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/team.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Windows of kernel_h x kernel_w positions never reach outside the map (floor mode, no padding).
 * Inputs are [batch][height][width][channels], outputs [batch][out_height][out_width][channels]. */
typedef struct cm_max_pool2d_shape {
    int batch, height, width, channels;
    int kernel_h, kernel_w; /* of the window */
    int stride_h, stride_w;
    int out_height, out_width; /* derived: set by cm_max_pool2d_shape_init() */
} cm_max_pool2d_shape;

/** Checks the sizes and derives the output size. False if a size is < 1, the window is larger than
 * the map or has more than 65,535 elements, or an array would have more than 2^31 - 1 elements. */
bool cm_max_pool2d_shape_init(cm_max_pool2d_shape *shape);

typedef struct cm_max_pool2d_forward_args {
    const cm_max_pool2d_shape *shape;
    const float *x;             /* of the input shape */
    const float *scale, *shift; /* [channels]: a batch norm before the pool; both NULL: none */
    bool relu;                  /* after the pool */
    float *y;                   /* written: of the output shape */
    uint16_t *argmax;           /* written: of the output shape; NULL: evaluation */
    float *x_at_max;            /* written: of the output shape; NULL: not wanted */
} cm_max_pool2d_forward_args;

/**
 * Max pool of z, where z = x, or fma(x, scale[c], shift[c]) when scale is not NULL (the map of the
 * batch norm is not stored); then ReLU if `relu`. The first maximum in row-major order of the
 * window wins: a later element must be greater. argmax is its index in the window, x_at_max the x
 * there.
 */
typedef void cm_max_pool2d_forward_fn(const cm_team *team, const cm_max_pool2d_forward_args *args);

/**
 * dx[n,h,w,c] = sum of g over the windows whose argmax it is, in row-major order of the windows,
 * from +0. g = dy, or 0 where a fused ReLU's y is not > 0 (y NULL: none was fused). dy, y and
 * argmax have the output shape, dx the input shape.
 */
typedef void cm_max_pool2d_backward_fn(const cm_team *team, const cm_max_pool2d_shape *shape,
                                       const float *dy, const float *y, const uint16_t *argmax,
                                       float *dx);

#ifdef __cplusplus
}
#endif

#endif
