/* Sizes of the convolution's scratch memory: one answer for every instruction set. */
#include "kernels/conv2d_internal.h"
#include "kernels/kernels.h"

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t round_up(size_t count, size_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

size_t cm_conv2d_workspace(const cm_conv2d_shape *shape) {
    const size_t taps = (size_t)shape->kernel_h * (size_t)shape->kernel_w;
    const size_t in = (size_t)shape->in_channels, out = (size_t)shape->out_channels;
    const size_t batch = (size_t)shape->batch;
    /* Forward and backward by data: the weights in panels. */
    size_t floats = max_size(taps * in * round_up(out, CM_MAX_TILE_COLUMNS),
                             taps * out * round_up(in, CM_MAX_TILE_COLUMNS));
    if (cm_conv2d_uses_patches(shape)) {
        floats += batch * cm_conv2d_patch_row(shape); /* forward: beside the panels */
        floats = max_size(floats, batch * (cm_conv2d_patch_row(shape) + taps * in * out));
    }
    /* Backward by weights: behind all that, sums of dy, an image. */
    floats += batch * out;
    return round_up(floats * sizeof(float), 64);
}
