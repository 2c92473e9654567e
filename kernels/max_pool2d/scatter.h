/**
 * Max pool's backward scatter, alone or fused with the last step of a batch norm's backward pass.
 * Include it after isa.h: the function is compiled once per instruction set.
 */
#ifndef CM_KERNELS_MAX_POOL2D_SCATTER_H
#define CM_KERNELS_MAX_POOL2D_SCATTER_H

#include "kernels/isa.h"

typedef struct cm_pool_scatter {
    const cm_max_pool2d_shape *shape;
    const float *dy, *y; /* y: NULL when no ReLU was fused */
    const uint16_t *argmax;
    float *dx;
    /* With a batch norm before the pool dx = fma(a, g, fma(b, x - mean, c)), g being the scattered
     * gradient and mean, a, b, c [channels]; a NULL: none, dx = g. */
    const float *x, *mean, *a, *b, *c;
} cm_pool_scatter;

/* Writes all of dx. */
void cm_scatter_gradient(const cm_team *team, const cm_pool_scatter *scatter);

#endif
