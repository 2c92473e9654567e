/**
 * Backward-weights in a transform domain: the planes of X and D are multiplied, folded into sums of
 * each row of frequencies, and the taps are made of these. Include after isa.h.
 */
#ifndef CM_KERNELS_TRANSFORM_BACKWARD_WEIGHTS_H
#define CM_KERNELS_TRANSFORM_BACKWARD_WEIGHTS_H

#include "kernels/conv2d/transform/job.h"

/** Computes the sums of one block of patches. */
void cm_transform_backward_weights(const cm_team *team, const cm_transform_job *job,
                                   cm_range block);
/** Makes the nine taps of the sums; after the first block they are added to dweight. Put a barrier
 * between both calls. */
void cm_transform_store_weights(const cm_team *team, const cm_transform_job *job, cm_range block,
                                float *dweight);

/** Floats of the sums of one row of frequencies. */
size_t cm_transform_row_sums(const cm_transform_job *job);

#endif
