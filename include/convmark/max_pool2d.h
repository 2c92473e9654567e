/**
 * Max pooling: the contract of its kernels. kernels.h has what holds for every kernel.
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

/** Windows never reach outside the map (floor mode, no padding). */
typedef struct cm_max_pool2d_shape {
    int batch, height, width, channels;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int out_height, out_width; /* derived: set by cm_max_pool2d_shape_init() */
} cm_max_pool2d_shape;

/** Checks the sizes, derives the output size. False if a size is < 1, the window is larger than the
 * map or has more than 65,535 elements, or an array would have more than 2^31 - 1 elements. */
bool cm_max_pool2d_shape_init(cm_max_pool2d_shape *shape);

/**
 * Max pool of z, where z = x, or fma(x, scale[c], shift[c]) when scale is not NULL (a batch norm in
 * front, not written to memory); then ReLU if asked. The first maximum in row-major window order
 * wins (a later element must be greater). argmax: index in the window, [batch][out_height]
 * [out_width][channels] (NULL: evaluation). x_at_max: x at this index (NULL: not wanted).
 */
typedef void cm_max_pool2d_forward_fn(const cm_team *team, const cm_max_pool2d_shape *shape,
                                      const float *x, const float *scale, const float *shift,
                                      bool relu, float *y, uint16_t *argmax, float *x_at_max);

/**
 * dx[n,h,w,c] = sum, in row-major order of the outputs, of g over the windows whose argmax it is; g
 * = dy, or 0 where y is not > 0 when a ReLU was fused (y: NULL when not). Sums start at +0.
 */
typedef void cm_max_pool2d_backward_fn(const cm_team *team, const cm_max_pool2d_shape *shape,
                                       const float *dy, const float *y, const uint16_t *argmax,
                                       float *dx);

#ifdef __cplusplus
}
#endif

#endif
