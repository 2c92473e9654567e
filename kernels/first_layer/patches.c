#include "kernels/first_layer/patches.h"

#include <string.h>

cm_patches cm_patches_of(const cm_team *team, const cm_conv2d_shape *conv,
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

/* Grey pictures have a loop of their own, which compilers vectorize. */
static void subtract(float *values, size_t count, size_t step, float centre) {
    if (step == 1) {
        for (size_t i = 0; i < count; ++i) {
            values[i] -= centre;
        }
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        values[i * step] -= centre;
    }
}

void cm_patches_read_image(const cm_patches *p, const float *x, ptrdiff_t image,
                           const float *centre) {
    const size_t channels = (size_t)p->conv->in_channels;
    const size_t positions = cm_conv2d_padded_image(p->conv) / channels;
    cm_conv2d_pad_image(p->conv, x + image * p->in_image, p->frame);
    for (size_t c = 0; centre != NULL && c < channels; ++c) {
        subtract(p->frame + c, positions, channels, centre[c]);
    }
    if (!cm_patches_are_3x3(p->conv, p->pool)) {
        return;
    }
    float *table = p->own + p->layout.tables;
    for (ptrdiff_t i = 0; i < cm_pool_window_count(p->pool); ++i, table += CM_TABLE) {
        const float *from = cm_patch_window(p, i);
        for (int r = 0; r < CM_READ_SIDE; ++r) {
            memcpy(table + r * CM_READ_SIDE, from + r * p->row, CM_READ_SIDE * sizeof *table);
        }
        memset(table + CM_READ_SIDE * CM_READ_SIDE, 0,
               (CM_TABLE - CM_READ_SIDE * CM_READ_SIDE) * sizeof *table);
    }
}
