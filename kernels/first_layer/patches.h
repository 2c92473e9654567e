/* What the kernels of a first layer share (conv2d_batch_norm_statistics.c, conv2d_max_pool2d.c): a
 * thread's memory, the frame of an image and where the numbers of a patch lie in it. Included after
 * isa.h by sources that are compiled once for each instruction set. */
#ifndef CM_KERNELS_PATCHES_H
#define CM_KERNELS_PATCHES_H

#include "kernels/conv2d/internal.h"
#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

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

static inline cm_patches cm_patches_of(const cm_team *team, const cm_conv2d_shape *conv,
                                       const cm_max_pool2d_shape *pool, void *workspace) {
    const ptrdiff_t frame_row =
        ((ptrdiff_t)conv->width + 2 * (ptrdiff_t)conv->padding_w) * conv->in_channels;
    cm_patches p = {.conv = conv,
                    .pool = pool,
                    .layout = cm_conv2d_pool_layout_of(conv, pool, team->count),
                    .patch = cm_conv2d_patch(conv),
                    .row = conv->stride_h * frame_row,
                    .column = (ptrdiff_t)conv->stride_w * conv->in_channels,
                    .in_image = (ptrdiff_t)conv->height * conv->width * conv->in_channels,
                    .workspace = workspace};
    p.own = p.workspace + p.layout.threads + (size_t)team->index * p.layout.thread;
    p.frame = p.own + p.layout.frame;
    const int run = conv->kernel_w * conv->in_channels; /* of one row: in one piece */
    for (int t = 0; t < p.patch; ++t) {
        p.offset[t] = t / run * frame_row + t % run;
    }
    return p;
}

/* The mean patch and the covariance in what conv2d_batch_norm_statistics leaves. */
static inline const double *cm_covariance_row(const double *moments, int patch, int row) {
    return moments + patch + (ptrdiff_t)row * patch;
}

#endif
