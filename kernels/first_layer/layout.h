/**
 * Where the parts of the workspace of a first layer's kernels begin. Nothing here depends on the
 * instruction set.
 */
#ifndef CM_KERNELS_FIRST_LAYER_LAYOUT_H
#define CM_KERNELS_FIRST_LAYER_LAYOUT_H

#include <stddef.h>

#include "convmark/first_layer.h"
#include "kernels/first_layer/contract.h"

/** Where the parts of the workspace of conv2d_max_pool2d's kernels begin, in floats. */
typedef struct cm_conv2d_pool_layout {
    size_t moments; /* doubles: each image's sums of patches and of the squares and cross terms */
    size_t sums;    /* each image's sums of g and of g times the patch, [patch + 1][columns] */
    size_t threads; /* parts of the threads, in which there are: */
    size_t frame;   /* an image in a frame of zeros */
    size_t folded;  /* weights and bias with batch norm folded in, [patch + 1][columns] */
    size_t tables;  /* the numbers that each window reads, CM_TABLE a window */
    size_t rows;    /* doubles: patches of some rows of outputs, [patch][positions] */
    size_t products;
    size_t thread;  /* floats of a thread's part */
    size_t columns; /* output channels, padded */
    size_t floats;
} cm_conv2d_pool_layout;

cm_conv2d_pool_layout cm_conv2d_pool_layout_of(const cm_conv2d_shape *conv,
                                               const cm_max_pool2d_shape *pool, int threads);

/** Tuning: the cross terms of a patch's numbers are summed in blocks of this side. */
enum { CM_MOMENT_BLOCK = 3 };

/** Tuning: floats of a window's table, which is what vt_load() reads. */
enum { CM_TABLE = 32 };

/** Numbers that one output is computed from. */
static inline int cm_conv2d_patch(const cm_conv2d_shape *conv) {
    return conv->kernel_h * conv->kernel_w * conv->in_channels;
}

#endif
