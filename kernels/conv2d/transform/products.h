/**
 * The multiplications of forward and backward-data in a transform domain. Include after isa.h.
 */
#ifndef CM_KERNELS_TRANSFORM_PRODUCTS_H
#define CM_KERNELS_TRANSFORM_PRODUCTS_H

#include "kernels/conv2d/transform/filters.h"
#include "kernels/conv2d/transform/job.h"

/** Planes that are multiplied by those of the filters, and where the results go. */
typedef struct cm_product_planes {
    const float *left;
    ptrdiff_t left_plane;
    float *results;
    ptrdiff_t result_plane;
} cm_product_planes;

/** All frequencies of a block of patches; `halves`: the half-transformed filters. */
void cm_multiply_planes(const cm_team *team, const cm_transform_job *job, cm_range block,
                        const cm_filter_side *side, const float *halves,
                        const cm_product_planes *planes);

#endif
