/* The layout and the cost of a direct convolution. */
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/padding.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/gemm/limits.h"
#include "kernels/sizes.h"

static size_t larger_part(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t smaller_part(size_t a, size_t b) {
    return a < b ? a : b;
}

bool cm_direct_fits(const cm_conv2d_sizes *sizes, const cm_conv2d_shape *shape) {
    (void)sizes;
    (void)shape;
    return true;
}

/* Floats of one channel of a transposed row of dy. A tile may read CM_MAX_TILE_COLUMNS beyond the
 * last position. An odd number of lines: a power of two would put all channels of a position into a
 * few cache sets. */
static size_t transposed_row(const cm_conv2d_shape *shape) {
    const size_t lines =
        ((size_t)shape->out_width + CM_MAX_TILE_COLUMNS) / CM_SCRATCH_ALIGNMENT + 1;
    return (lines | 1) * CM_SCRATCH_ALIGNMENT;
}

/* Floats of a thread's transposed rows of dy, [rows][channels][transposed_row()]; 0: backward-data
 * does not use them. */
static size_t transposed_rows(const cm_conv2d_shape *shape, bool few_channels) {
    const size_t reach = CM_TRANSPOSED_ROWS * (size_t)shape->stride_h + (size_t)shape->kernel_h - 2;
    const size_t rows =
        smaller_part(reach / (size_t)shape->stride_h + 1, (size_t)shape->out_height);
    const size_t floats = rows * (size_t)shape->out_channels * transposed_row(shape);
    return few_channels && floats <= CM_MAX_TRANSPOSED_FLOATS ? floats : 0;
}

/* Rows of outputs of a chunk, which is also what a chain of backward-weights runs over. */
static int chunk_rows(const cm_conv2d_shape *shape) {
    const int fitting = CM_CHAIN_TERMS / shape->out_width;
    const int most = shape->out_height < CM_MAX_CHAIN_ROWS ? shape->out_height : CM_MAX_CHAIN_ROWS;
    return fitting < 1 ? 1 : fitting < most ? fitting : most;
}

/* Backward-weights along rows. The panels of x are at most one and a half times as wide as the
 * channels they hold. */
static void plan_chunk(const cm_conv2d_shape *shape, cm_conv2d_direct_plan *d) {
    const int rows = d->chunk_rows;
    const bool per_tap = shape->kernel_w == 1 || shape->out_width <= CM_SHORT_ROW;
    const size_t in = (size_t)shape->in_channels;
    const size_t reach = (size_t)(rows - 1) * (size_t)shape->stride_h + (size_t)shape->kernel_h;
    const size_t read =
        shape->kernel_h == 1 ? (size_t)rows : smaller_part(reach, (size_t)shape->height);
    const size_t width = (size_t)(per_tap ? shape->out_width : shape->width);
    d->chunk_copies = per_tap ? shape->kernel_w : 1;
    d->chunk_x =
        cm_round_up(read * width * (in + in / 2 + CM_MAX_A_PANEL_ROWS), CM_SCRATCH_ALIGNMENT);
    d->chunk_dy = cm_round_up((size_t)shape->out_channels, CM_MAX_TILE_COLUMNS) * (size_t)rows *
                  (size_t)shape->out_width;
    d->chunk = (size_t)d->chunk_copies * (d->chunk_x + d->chunk_dy);
}

size_t cm_direct_layout(const cm_conv2d_sizes *sizes, size_t used, cm_conv2d_plan *plan) {
    (void)sizes;
    const cm_conv2d_shape *shape = &plan->shape;
    cm_conv2d_direct_plan *d = &plan->direct;
    const size_t threads = (size_t)plan->threads, batch = (size_t)shape->batch;
    const size_t taps = (size_t)shape->kernel_h * (size_t)shape->kernel_w;
    const size_t in = (size_t)shape->in_channels, out = (size_t)shape->out_channels;
    const size_t packed = taps * in * cm_round_up(out, CM_MAX_TILE_COLUMNS);
    const size_t transposed = taps * out * cm_round_up(in, CM_MAX_TILE_COLUMNS);
    plan->packed = packed * sizeof(float);
    d->few_channels = shape->in_channels < CM_FEW_CHANNELS && taps * in > 1;
    d->thread_panels = smaller_part(
        cm_round_up(larger_part(packed, transposed), CM_SCRATCH_ALIGNMENT), CM_GROUP_FLOATS);
    /* Or all panels at once (forward, few channels), or the chains of dweight. */
    d->panels = cm_conv2d_take(&used, larger_part(packed, threads * d->thread_panels));
    d->row = transposed_row(shape);
    d->thread_rows = cm_round_up(transposed_rows(shape, d->few_channels), CM_SCRATCH_ALIGNMENT);
    d->rows = cm_conv2d_take(&used, threads * d->thread_rows);
    d->chunk_rows = chunk_rows(shape);
    if (d->few_channels) {
        /* Forward: padded images. Backward-weights: the sums of each image, and the patches of a
         * chunk of each thread. */
        d->patches = (size_t)d->chunk_rows * (size_t)shape->out_width * taps * in;
        d->copies =
            cm_conv2d_take(&used, larger_part(batch * cm_conv2d_padded_image(shape),
                                              batch * taps * in * out + threads * d->patches));
    } else if (shape->out_width >= CM_MIN_ROW_RUN) {
        /* Two chunks for a team: one is packed while the other is multiplied. */
        plan_chunk(shape, d);
        d->copies = cm_conv2d_take(&used, d->chunk * (threads > 1 ? 2 : 1));
    }
    return used;
}

/* Taps inside the map, summed over the outputs along one axis. */
static double valid_taps(int in, int out, int kernel, int stride, int padding) {
    double taps = 0.0;
    for (int o = 0; o < out; ++o) {
        for (int k = 0; k < kernel; ++k) {
            const int at = o * stride - padding + k;
            taps += at >= 0 && at < in;
        }
    }
    return taps;
}

cm_conv2d_cost cm_direct_cost(const cm_conv2d_sizes *sizes, const cm_conv2d_plan *plan) {
    (void)sizes;
    const cm_conv2d_shape *s = &plan->shape;
    const double taps =
        valid_taps(s->height, s->out_height, s->kernel_h, s->stride_h, s->padding_h) *
        valid_taps(s->width, s->out_width, s->kernel_w, s->stride_w, s->padding_w);
    const double channels = (double)s->in_channels * s->out_channels;
    return (cm_conv2d_cost){.multiply_adds = taps * channels * s->batch,
                            .filter_floats = (double)(plan->packed / sizeof(float))};
}
