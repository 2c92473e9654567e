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
/** Short rows: over the images of a block. */
cm_direct_backward_weights_fn cm_direct_backward_weights_images;

/** dweight = base + the chain that has ended in the tile's C; base may be dweight. `row`: floats
 * from one row of dweight to the next. */
void cm_direct_add_chain(const cm_gemm_tile *tile, int rows, float *dweight, ptrdiff_t row);

#endif
