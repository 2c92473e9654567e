/* What an algorithm decides without regard to the instruction set: the table of algorithms.h, the
 * choice of CM_CONV2D_AUTO, plans and costs. */
#include "kernels/conv2d/algorithms.h"

#include <string.h>

#include "kernels/conv2d/contract.h"
#include "kernels/sizes.h"
#include "kernels/sums.h"

#define CM_CONV2D_ROW(id, text, kind, map, patch, freqs, planes, results, halves, rows, sums) \
    [CM_CONV2D_##id] = {#text,                                                                \
                        {map, patch, freqs, planes, results, halves, rows, sums},             \
                        cm_##kind##_fits,                                                     \
                        cm_##kind##_layout,                                                   \
                        cm_##kind##_cost},

const cm_conv2d_algorithm_row cm_conv2d_algorithms[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_AUTO] = {"auto", {0}, cm_direct_fits, NULL, NULL},
    CM_CONV2D_ALGORITHM_LIST(CM_CONV2D_ROW)};

bool cm_conv2d_algorithm_fits(cm_conv2d_algorithm algorithm, const cm_conv2d_shape *shape) {
    if (algorithm >= CM_CONV2D_ALGORITHM_COUNT) {
        return false;
    }
    const cm_conv2d_algorithm_row *row = &cm_conv2d_algorithms[algorithm];
    return row->fits(&row->sizes, shape);
}

cm_conv2d_algorithm cm_conv2d_choose(const cm_conv2d_shape *shape) {
    /* Never by the batch: blocks decide bits, and parts of a batch are to have the same ones. */
    if (cm_block_images(shape->batch, shape->block) >= CM_MIN_TRANSFORM_BATCH &&
        shape->in_channels >= CM_MIN_TRANSFORM_CHANNELS &&
        shape->out_channels >= CM_MIN_TRANSFORM_CHANNELS) {
        for (cm_conv2d_algorithm a = 0; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
            if (cm_conv2d_algorithms[a].sizes.map > 0 && cm_conv2d_algorithm_fits(a, shape)) {
                return a;
            }
        }
    }
    return CM_CONV2D_DIRECT;
}

const char *cm_conv2d_algorithm_name(cm_conv2d_algorithm algorithm) {
    return algorithm < CM_CONV2D_ALGORITHM_COUNT ? cm_conv2d_algorithms[algorithm].name : "unknown";
}

cm_conv2d_algorithm cm_conv2d_algorithm_from_name(const char *name) {
    cm_conv2d_algorithm a = 0;
    while (a < CM_CONV2D_ALGORITHM_COUNT && strcmp(cm_conv2d_algorithms[a].name, name) != 0) {
        ++a;
    }
    return a;
}

size_t cm_conv2d_take(size_t *used, size_t floats) {
    const size_t at = *used;
    *used = cm_round_up(at + floats, CM_SCRATCH_ALIGNMENT);
    return at;
}

cm_conv2d_plan cm_conv2d_plan_of(const cm_conv2d_shape *shape, int threads) {
    const cm_conv2d_algorithm_row *row = &cm_conv2d_algorithms[shape->algorithm];
    const ptrdiff_t images = cm_block_images(shape->batch, shape->block);
    const ptrdiff_t blocks = cm_even_parts(shape->batch, images);
    cm_conv2d_plan plan = {.shape = *shape, .threads = threads};
    size_t used = 0;
    plan.shape.batch = (int)images; /* blocks are computed one after the other */
    plan.bias_sums = cm_conv2d_take(&used, (size_t)images * (size_t)shape->out_channels *
                                               (sizeof(double) / sizeof(float)));
    used = row->layout(&row->sizes, used, &plan);
    plan.block_sums =
        cm_conv2d_take(&used, (size_t)cm_block_levels(blocks) * cm_conv2d_block_floats(shape));
    plan.kept *= (size_t)blocks;
    plan.workspace = used * sizeof(float);
    plan.shape.batch = shape->batch;
    return plan;
}

cm_conv2d_cost cm_conv2d_cost_of(const cm_conv2d_shape *shape) {
    const cm_conv2d_algorithm_row *row = &cm_conv2d_algorithms[shape->algorithm];
    const cm_conv2d_plan plan = cm_conv2d_plan_of(shape, 1);
    return row->cost(&row->sizes, &plan);
}
