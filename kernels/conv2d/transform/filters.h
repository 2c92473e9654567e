/**
 * The filters of a convolution in a transform domain. They are transformed in two halves: first
 * all of them along their columns (cm_transform_filters()), then each plane in the L2 cache just
 * before it is multiplied (cm_domain.filter_planes). Include after isa.h.
 */
#ifndef CM_KERNELS_TRANSFORM_FILTERS_H
#define CM_KERNELS_TRANSFORM_FILTERS_H

#include "kernels/conv2d/transform/domain.h"
#include "kernels/gemm/gemm_tile.h"

/** Filters as the right-hand side of a multiplication: `depth` channels summed over, `columns`
 * produced. Transposed: weight[tap][column][depth], as backward-data needs them. */
typedef struct cm_filter_side {
    const float *weight;
    int depth, columns;
    bool transposed;
} cm_filter_side;

static inline ptrdiff_t cm_filter_panels(int columns) {
    return (columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
}

/** Floats from one number of the half-transformed filters to the next, and from plane to plane of a
 * panel: one step of the depth more than they have, so that they are not a power of two apart. */
static inline ptrdiff_t cm_filter_stride(const cm_filter_side *side) {
    return ((ptrdiff_t)side->depth + 1) * CM_TILE_COLUMNS;
}

/** First half of the transform: to_halves[panel][half][3][depth][CM_TILE_COLUMNS]. `halves`: the
 * domain's number of them. */
void cm_transform_filters(const cm_team *team, const cm_domain *domain, int halves,
                          const cm_filter_side *side, float *to_halves);

#endif
