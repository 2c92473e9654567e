/* The shapes, the layout and the cost of a convolution in a transform domain. */
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/contract.h"
#include "kernels/gemm/limits.h"
#include "kernels/sizes.h"

enum { TAPS_OF_ROW = 3 };

bool cm_transform_fits(const cm_conv2d_sizes *sizes, const cm_conv2d_shape *shape) {
    const bool map = sizes->map == 0 || (shape->height == sizes->map && shape->width == sizes->map);
    return map && shape->kernel_h == 3 && shape->kernel_w == 3 && shape->stride_h == 1 &&
           shape->stride_w == 1 && shape->padding_h == 1 && shape->padding_w == 1;
}

/* Floats from one plane [patch][channel] to the next: 64 bytes more than a plane has, because
 * planes a power of two apart share cache sets (measured: 3 times as slow). */
static size_t plane_floats(ptrdiff_t patches, int channels) {
    return cm_round_up((size_t)patches * (size_t)channels, CM_SCRATCH_ALIGNMENT) +
           CM_SCRATCH_ALIGNMENT;
}

size_t cm_transform_layout(const cm_conv2d_sizes *sizes, size_t used, cm_conv2d_plan *plan) {
    const cm_conv2d_shape *shape = &plan->shape;
    cm_conv2d_transform_plan *t = &plan->transform;
    const bool whole_maps = sizes->map > 0;
    const int widest =
        shape->in_channels > shape->out_channels ? shape->in_channels : shape->out_channels;
    t->patch_side = sizes->patch;
    t->patches_across = (shape->width + sizes->patch - 1) / sizes->patch;
    t->image_patches =
        (ptrdiff_t)t->patches_across * ((shape->height + sizes->patch - 1) / sizes->patch);
    t->patches = t->image_patches * shape->batch;

    /* `most` is what a block of this or any smaller batch can have: a smaller batch may have fewer
     * and larger blocks, and its planes must fit as well. */
    const ptrdiff_t fitting = CM_BLOCK_FLOATS / widest;
    const ptrdiff_t block = fitting > CM_MIN_BLOCK_PATCHES ? fitting : CM_MIN_BLOCK_PATCHES;
    const ptrdiff_t most = whole_maps || t->patches < block ? t->patches : block;
    t->blocks = cm_even_parts(t->patches, most);
    const ptrdiff_t largest = cm_even_parts(t->patches, t->blocks);
    t->x_plane = plane_floats(largest, shape->in_channels);
    t->y_plane = plane_floats(largest, shape->out_channels);

    const size_t plane = plane_floats(most, widest);
    const size_t depth = (size_t)widest + 1; /* one step more: kernels/conv2d/transform/filters.h */
    const size_t padded = cm_round_up((size_t)widest, CM_MAX_TILE_COLUMNS);
    const size_t halves = (size_t)sizes->halves * TAPS_OF_ROW;
    t->x_planes = cm_conv2d_take(&used, (size_t)sizes->planes * plane);
    t->dy_planes = cm_conv2d_take(&used, (size_t)sizes->planes * plane);
    t->results = cm_conv2d_take(&used, (size_t)sizes->results * plane);
    t->filters = cm_conv2d_take(&used, halves * depth * padded);
    t->sums =
        cm_conv2d_take(&used, (size_t)sizes->rows * (size_t)sizes->sums * (size_t)widest * padded);
    t->thread_filters =
        cm_round_up(TAPS_OF_ROW * depth * CM_MAX_TILE_COLUMNS, CM_SCRATCH_ALIGNMENT);
    t->filter_planes = cm_conv2d_take(&used, (size_t)plan->threads * t->thread_filters);

    plan->packed = halves * ((size_t)shape->in_channels + 1) *
                   cm_round_up((size_t)shape->out_channels, CM_MAX_TILE_COLUMNS) * sizeof(float);
    /* The planes of whole maps serve both passes. */
    plan->kept = whole_maps ? (size_t)sizes->planes * t->x_plane * sizeof(float) : 0;
    return used;
}

cm_conv2d_cost cm_transform_cost(const cm_conv2d_sizes *sizes, const cm_conv2d_plan *plan) {
    const cm_conv2d_shape *shape = &plan->shape;
    const double patches = (double)plan->transform.image_patches;
    const double channels = (double)shape->in_channels * shape->out_channels;
    return (cm_conv2d_cost){.multiply_adds = patches * sizes->planes * channels * shape->batch,
                            .planes = patches * sizes->planes,
                            .results = patches * sizes->results,
                            .filter_floats = (double)(plan->packed / sizeof(float)),
                            .sum_floats = (double)sizes->rows * sizes->sums * channels};
}
