/**
 * What becomes of each sum z of a convolution before it is stored: z + bias, then fma(z, scale,
 * shift), then ReLU. Include after isa.h, in sources that are compiled per instruction set.
 */
#ifndef CM_KERNELS_GEMM_EPILOGUE_H
#define CM_KERNELS_GEMM_EPILOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/simd/vectors.h"

/** bias, and scale with shift, are NULL where that step is left out; all zero: z as it is. */
typedef struct cm_epilogue {
    const float *bias, *scale, *shift; /* one number per output channel */
    bool relu;
} cm_epilogue;

/** An epilogue's numbers of one vector of channels. */
typedef struct cm_epilogue_vectors {
    vf bias, scale, shift;
} cm_epilogue_vectors;

/** Whether it changes anything. */
CM_ALWAYS_INLINE bool cm_epilogue_any(const cm_epilogue *epilogue) {
    return epilogue->bias != NULL || epilogue->scale != NULL || epilogue->relu;
}

/** The epilogue of the channels from `first` on. */
CM_ALWAYS_INLINE cm_epilogue cm_epilogue_at(const cm_epilogue *epilogue, ptrdiff_t first) {
    return (cm_epilogue){
        .bias = epilogue->bias == NULL ? NULL : epilogue->bias + first,
        .scale = epilogue->scale == NULL ? NULL : epilogue->scale + first,
        .shift = epilogue->shift == NULL ? NULL : epilogue->shift + first,
        .relu = epilogue->relu,
    };
}

/** Loads the numbers of the vector of channels that begins `first` channels from the epilogue's. */
CM_ALWAYS_INLINE cm_epilogue_vectors cm_epilogue_load(const cm_epilogue *epilogue, ptrdiff_t first,
                                                      bool partial, int lanes) {
    cm_epilogue_vectors e = {vf_zero(), vf_zero(), vf_zero()};
    if (epilogue->bias != NULL) {
        e.bias = cm_load_lanes(epilogue->bias + first, partial, lanes);
    }
    if (epilogue->scale != NULL) {
        e.scale = cm_load_lanes(epilogue->scale + first, partial, lanes);
        e.shift = cm_load_lanes(epilogue->shift + first, partial, lanes);
    }
    return e;
}

CM_ALWAYS_INLINE vf cm_epilogue_apply(const cm_epilogue *epilogue, const cm_epilogue_vectors *e,
                                      vf z) {
    z = epilogue->bias != NULL ? vf_add(z, e->bias) : z;
    z = epilogue->scale != NULL ? vf_fma(z, e->scale, e->shift) : z;
    return epilogue->relu ? cm_relu(z) : z;
}

#endif
