/**
 * Direct backward-weights: dweight[tap] = X[tap]' dY, a matrix product whose depth runs over output
 * positions and images. Every thread owns tiles of dweight and all threads walk through the images
 * together. The shape decides along what the depth runs (contract.h). Include after isa.h.
 */
#ifndef CM_KERNELS_CONV2D_DIRECT_BACKWARD_WEIGHTS_H
#define CM_KERNELS_CONV2D_DIRECT_BACKWARD_WEIGHTS_H

#include "kernels/gemm/gemm_tile.h"

typedef void cm_direct_backward_weights_fn(const cm_team *team,
                                           const cm_conv2d_backward_args *args);

/** One of the three below. */
cm_direct_backward_weights_fn cm_direct_backward_weights;
/** Few input channels: along the patches of an image. */
cm_direct_backward_weights_fn cm_direct_backward_weights_patches;
/** Along rows of outputs, image by image. */
cm_direct_backward_weights_fn cm_direct_backward_weights_rows;
/** Short rows: over groups of images. */
cm_direct_backward_weights_fn cm_direct_backward_weights_images;

#endif
