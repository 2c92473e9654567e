/* What the elementwise kernels share: partial vectors, the split of flat arrays, and the mask of a
 * fused ReLU. Included after isa.h by sources that are compiled once for each instruction set. */
#ifndef CM_KERNELS_VECTORS_H
#define CM_KERNELS_VECTORS_H

#include "convmark/kernels.h"
#include "kernels/simd/simd.h"

/* Bodies take the number of lanes as an argument that is a constant at the call for full vectors;
 * only inlining (CM_ALWAYS_INLINE) makes it one. */

/* Flat arrays are split at multiples of this many elements: whole cache lines, so that two threads
 * do not write the same one, and whole Philox blocks. */
enum { CM_SPLIT_ELEMENTS = 64 };

/* Where it is known when the code is compiled whether a vector is partial; lanes counts then only.
 */
CM_ALWAYS_INLINE vf cm_load_lanes(const float *p, bool partial, int lanes) {
    return partial ? vf_load_n(p, lanes) : vf_load(p);
}

CM_ALWAYS_INLINE void cm_store_lanes(float *p, vf a, bool partial, int lanes) {
    if (partial) {
        vf_store_n(p, a, lanes);
    } else {
        vf_store(p, a);
    }
}

CM_ALWAYS_INLINE vf cm_load(const float *p, int n) {
    return cm_load_lanes(p, n != VF_LANES, n);
}

/* The same of what is left, which may be more than a vector or nothing; zeros beyond it. */
CM_ALWAYS_INLINE vf cm_load_left(const float *p, ptrdiff_t left) {
    return left >= VF_LANES ? vf_load(p) : left > 0 ? vf_load_n(p, (int)left) : vf_zero();
}

CM_ALWAYS_INLINE void cm_store(float *p, vf a, int n) {
    cm_store_lanes(p, a, n != VF_LANES, n);
}

CM_ALWAYS_INLINE vf cm_load_u16(const uint16_t *p, int n) {
    return n == VF_LANES ? vf_load_u16(p) : vf_load_u16_n(p, n);
}

CM_ALWAYS_INLINE void cm_store_u16(uint16_t *p, vf a, int n) {
    if (n == VF_LANES) {
        vf_store_u16(p, a);
    } else {
        vf_store_u16_n(p, a, n);
    }
}

CM_ALWAYS_INLINE vf cm_relu(vf x) {
    return vf_max(vf_zero(), x);
}

/* The gradient of a ReLU's input, y being its output: dy where y > 0, else 0; dy when y is NULL. */
CM_ALWAYS_INLINE vf cm_load_gradient(const float *dy, const float *y, ptrdiff_t at, int n) {
    const vf g = cm_load(dy + at, n);
    return y == NULL ? g : vf_select(vf_gt(cm_load(y + at, n), vf_zero()), g, vf_zero());
}

/* Channels that are summed side by side: enough chains to hide the latency of an addition, and so
 * much of each position that the cache's prefetchers keep up. */
enum { CM_SUM_CHANNELS = VF_SUM_VECTORS * VF_LANES };

/* Sums over the positions of an image, in order: `vectors` vectors of channels, the last of n
 * lanes. */
CM_ALWAYS_INLINE void cm_sum_positions(const float *x, ptrdiff_t positions, ptrdiff_t channels,
                                       int vectors, int n, vf *sum) {
    for (int v = 0; v < vectors; ++v) {
        sum[v] = vf_zero();
    }
    for (ptrdiff_t i = 0; i < positions; ++i, x += channels) {
        for (int v = 0; v < vectors; ++v) {
            sum[v] = vf_add(sum[v], cm_load(x + v * VF_LANES, n));
        }
    }
}

/* The team mate's elements of a flat array. */
CM_ALWAYS_INLINE cm_range cm_share_elements(const cm_team *team, size_t count) {
    const ptrdiff_t blocks = (ptrdiff_t)((count + CM_SPLIT_ELEMENTS - 1) / CM_SPLIT_ELEMENTS);
    cm_range range = cm_team_share(team, blocks);
    range.begin *= CM_SPLIT_ELEMENTS;
    range.end *= CM_SPLIT_ELEMENTS;
    if (range.end > (ptrdiff_t)count) {
        range.end = (ptrdiff_t)count;
    }
    return range;
}

#endif
