/**
 * What the kernels of a first layer share: a thread's memory, the frame of an image and where the
 * numbers of a patch lie in it. Include it after isa.h: the functions are compiled once per
 * instruction set.
 */
#ifndef CM_KERNELS_PATCHES_H
#define CM_KERNELS_PATCHES_H

#include <string.h>

#include "kernels/isa.h"

#include "kernels/conv2d/direct/padding.h"
#include "kernels/first_layer/layout.h"
#include "kernels/simd/vectors.h"

/* All counts and offsets are in floats. */
typedef struct cm_patches {
    const cm_conv2d_shape *conv;
    const cm_max_pool2d_shape *pool;
    cm_conv2d_pool_layout layout;
    int patch;                      /* numbers in a patch */
    ptrdiff_t offset[CM_MAX_PATCH]; /* of each of them, from the patch's first */
    ptrdiff_t row, column;          /* floats of the frame from one output's patch to the next */
    ptrdiff_t in_image;             /* floats of an image */
    float *workspace, *own;         /* all of it, and this thread's part */
    float *frame;
} cm_patches;

/* The parts of this thread, with offsets of the numbers of a patch. */
cm_patches cm_patches_of(const cm_team *team, const cm_conv2d_shape *conv,
                         const cm_max_pool2d_shape *pool, void *workspace);

/* Copies an image into this thread's frame of zeros, less `centre` of each channel (NULL: nothing),
 * and, for 3x3 patches, makes the tables. */
void cm_patches_read_image(const cm_patches *p, const float *x, ptrdiff_t image,
                           const float *centre);

/* Filters of 3x3x1 under windows of 3x3, as of a grey picture's first layer, have code of their
 * own: a window reads 5x5 numbers, which fit a table in registers. */
enum { CM_SIDE = 3, CM_READ_SIDE = 5, CM_PATCH_3X3 = CM_SIDE * CM_SIDE };

static inline bool cm_patches_are_3x3(const cm_conv2d_shape *conv,
                                      const cm_max_pool2d_shape *pool) {
    return conv->in_channels == 1 && conv->kernel_h == CM_SIDE && conv->kernel_w == CM_SIDE &&
           conv->stride_h == 1 && conv->stride_w == 1 && pool->kernel_h == CM_SIDE &&
           pool->kernel_w == CM_SIDE;
}

/* Forward and backward, a task is an image and this many channels of it. Tuning. */
enum { CM_TASK_CHANNELS = 64 };

/* Windows of an image. */
static inline ptrdiff_t cm_pool_window_count(const cm_max_pool2d_shape *pool) {
    return (ptrdiff_t)pool->out_height * pool->out_width;
}

/* The patch of the first output of window `index`, in the frame. */
static inline const float *cm_patch_window(const cm_patches *p, ptrdiff_t index) {
    const cm_max_pool2d_shape *pool = p->pool;
    return p->frame + index / pool->out_width * pool->stride_h * p->row +
           index % pool->out_width * pool->stride_w * p->column;
}

/* The mean patch and the covariance in what conv2d_batch_norm_statistics leaves. */
static inline const double *cm_covariance_row(const double *moments, int patch, int row) {
    return moments + patch + (ptrdiff_t)row * patch;
}

#endif
