/**
 * Constants of a first layer's kernels that decide bits: the order in which the moments of patches
 * are summed (docs/design/numerics.md). A change needs new golden hashes (CONTRIBUTING.md).
 */
#ifndef CM_KERNELS_FIRST_LAYER_CONTRACT_H
#define CM_KERNELS_FIRST_LAYER_CONTRACT_H

#include "convmark/conv2d.h"

/** The moments of patches are summed in this many interleaved chains: the lanes of an AVX-512
 * vector of doubles. */
enum { CM_MOMENT_LANES = 8 };

/** Chains run over the patches of this many outputs, or of one row of them, before they are joined:
 * so few that the patches stay in the L1 cache. */
enum { CM_MOMENT_POSITIONS = 256 };

/** Backward: the gradients of an image are summed in chains over this many windows of the pool,
 * which are then added up. The 9x9 windows of the report's first layer are one. */
enum { CM_RUN_WINDOWS = 256 };

/** Rows of outputs whose patches are summed together. */
static inline int cm_moment_rows(const cm_conv2d_shape *conv) {
    return conv->out_width < CM_MOMENT_POSITIONS ? CM_MOMENT_POSITIONS / conv->out_width : 1;
}

#endif
