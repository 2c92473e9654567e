/**
 * The algorithms behind conv2d's kernels, of one instruction set. conv2d.c has the table of them.
 */
#ifndef CM_KERNELS_CONV2D_ALGORITHMS_H
#define CM_KERNELS_CONV2D_ALGORITHMS_H

#include "kernels/isa.h"

/* Direct (conv2d_direct.c, conv2d_direct_weights.c): as the contracts in kernels.h say. forward
 * takes conv2d's whole workspace, the other two their parts of it. */
cm_conv2d_forward_fn CM_FN(direct_forward);
cm_conv2d_backward_data_fn CM_FN(direct_backward_data);
void CM_FN(direct_backward_weights)(const cm_team *team, const cm_conv2d_shape *shape,
                                    const float *x, const float *dy, float *dweight,
                                    void *workspace);

/* In a transform domain (conv2d_transform.c). `dx` or `dweight` may be NULL. */
cm_conv2d_forward_fn CM_FN(transform_forward);
void CM_FN(transform_backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                               const float *dy, const float *weight, float *dx, float *dweight,
                               void *workspace);

#endif
