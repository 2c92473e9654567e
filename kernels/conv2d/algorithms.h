/**
 * The algorithms behind conv2d's kernels, of one instruction set. conv2d.c has the table of them.
 */
#ifndef CM_KERNELS_CONV2D_ALGORITHMS_H
#define CM_KERNELS_CONV2D_ALGORITHMS_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/isa.h"
#include "kernels/simd/simd.h"

/* What becomes of each sum z: z + bias[k], then fma(z, scale[k], shift[k]), then ReLU; bias, and
 * scale with shift, may be NULL. */
typedef struct cm_conv2d_epilogue {
    const float *bias, *scale, *shift;
    bool relu;
} cm_conv2d_epilogue;

/* The epilogue of the channels from `first` on. */
CM_ALWAYS_INLINE cm_conv2d_epilogue cm_conv2d_epilogue_at(const cm_conv2d_epilogue *epilogue,
                                                          ptrdiff_t first) {
    return (cm_conv2d_epilogue){
        .bias = epilogue->bias == NULL ? NULL : epilogue->bias + first,
        .scale = epilogue->scale == NULL ? NULL : epilogue->scale + first,
        .shift = epilogue->shift == NULL ? NULL : epilogue->shift + first,
        .relu = epilogue->relu,
    };
}

/* Forward of one algorithm. `packed`: what its pack function made of the weights; or NULL, then it
 * packs `weight` first, into the workspace. `kept`: as in kernels.h. */
typedef void cm_conv2d_run_fn(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                              const float *weight, const float *packed,
                              const cm_conv2d_epilogue *epilogue, float *y, float *kept,
                              void *workspace);

/* Direct (conv2d_direct.c, conv2d_direct_weights.c): as the contracts in kernels.h say. All
 * take conv2d's whole workspace. */
void cm_direct_pack(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                    float *packed);
cm_conv2d_run_fn cm_direct_forward;
void cm_direct_backward_data(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                             const float *weight, float *dx, void *workspace);
void cm_direct_backward_weights(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                                const float *dy, float *dweight, void *workspace);

/* In a transform domain (conv2d_transform.c). `dx` or `dweight` may be NULL. */
void cm_transform_pack(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                       float *packed);
cm_conv2d_run_fn cm_transform_forward;
void cm_transform_backward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                           const float *dy, const float *weight, float *dx, float *dweight,
                           const float *kept, void *workspace);

#endif
