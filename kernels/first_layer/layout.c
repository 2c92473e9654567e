#include "kernels/first_layer/layout.h"

#include "kernels/conv2d/direct/padding.h"
#include "kernels/sizes.h"

bool cm_conv2d_max_pool2d_pays(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool) {
    const int patch = cm_conv2d_patch(conv);
    /* Where windows overlap, outputs are computed for each. */
    return patch > 1 && patch <= CM_MAX_PATCH && pool->kernel_h <= 2 * pool->stride_h &&
           pool->kernel_w <= 2 * pool->stride_w;
}

cm_conv2d_pool_layout cm_conv2d_pool_layout_of(const cm_conv2d_shape *conv,
                                               const cm_max_pool2d_shape *pool, int threads) {
    const size_t doubles = sizeof(double) / sizeof(float);
    const size_t patch = (size_t)cm_conv2d_patch(conv);
    const size_t padded_patch = cm_round_up(patch, CM_MOMENT_BLOCK);
    const size_t positions =
        cm_round_up((size_t)cm_moment_rows(conv) * (size_t)conv->out_width, CM_MOMENT_LANES);
    const size_t batch = (size_t)conv->batch;
    cm_conv2d_pool_layout layout = {
        .columns = cm_round_up((size_t)conv->out_channels, CM_SCRATCH_ALIGNMENT)};
    const size_t weights = (patch + 1) * layout.columns;
    layout.sums = cm_round_up(batch * doubles * (patch + patch * patch), CM_SCRATCH_ALIGNMENT);
    layout.threads = layout.sums + batch * weights;
    layout.folded = cm_round_up(cm_conv2d_padded_image(conv), CM_SCRATCH_ALIGNMENT);
    layout.tables = layout.folded + weights;
    layout.rows =
        layout.tables + (size_t)pool->out_height * (size_t)pool->out_width * (size_t)CM_TABLE;
    layout.products =
        layout.rows + cm_round_up(doubles * padded_patch * positions, CM_SCRATCH_ALIGNMENT);
    layout.thread =
        layout.products +
        cm_round_up(doubles * (padded_patch + padded_patch * padded_patch) * CM_MOMENT_LANES,
                    CM_SCRATCH_ALIGNMENT);
    layout.floats = layout.threads + (size_t)threads * layout.thread;
    return layout;
}

size_t cm_conv2d_max_pool2d_workspace(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
                                      int threads) {
    return cm_conv2d_pool_layout_of(conv, pool, threads).floats * sizeof(float);
}

size_t cm_patch_moments_count(const cm_conv2d_shape *conv) {
    const size_t patch = (size_t)cm_conv2d_patch(conv);
    return patch + patch * patch;
}
