/**
 * Copies of images and of their patches that hold the zeros of the padding, for convolutions of few
 * channels.
 */
#ifndef CM_KERNELS_CONV2D_PADDING_H
#define CM_KERNELS_CONV2D_PADDING_H

#include <stddef.h>

#include "convmark/conv2d.h"

/** Floats of one image in a frame of zeros as wide as the padding. */
size_t cm_conv2d_padded_image(const cm_conv2d_shape *shape);

/** Copies one image into its frame of zeros. */
void cm_conv2d_pad_image(const cm_conv2d_shape *shape, const float *image, float *padded);

/** Copies what each output of row p of one image is computed from: patches[q][r][s][c], 0 outside
 * the map. */
void cm_conv2d_copy_patches(const cm_conv2d_shape *shape, const float *image, int p,
                            float *patches);

#endif
