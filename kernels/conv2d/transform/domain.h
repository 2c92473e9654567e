/**
 * Transform domains: convolution of whole small maps, or of patches of any map, as multiplications
 * of transforms.
 *
 * A 3x3 convolution with stride 1 and padding 1 of an S x S map (S = 9 or 3), or of the S x S
 * patches that a map is cut into (S = 3 or 4), becomes, after a linear transform of each patch and
 * of each filter, one independent matrix multiplication per frequency:
 *
 *   Y~[f] = X~[f] W~[f]       patches x in_channels times in_channels x out_channels
 *
 * where a frequency is real (one matrix) or complex (three real matrices, 3M below). A domain
 * transforms patches and filters; the driver, transform.c, does the rest for all of them.
 *
 * Words. X, D and W are the transforms of the inputs x, of dy, and of the filters. A plane is a
 * matrix [patches][channels] of a transformed tensor: one for a real frequency, three for a complex
 * one, in the order of the frequencies; results have two planes (real, imaginary) for a complex
 * one. With X = c + id, D = e + ig, W = a + ib:
 *
 *                  left planes           right planes          result
 *   forward        X: c, d - c, c + d    W: a + b, a, b        re = k1 - k3, im = k1 + k2
 *   backward-data  D: e + g, e, g        W: a, a + b, b - a    re = k1 + k3, im = k1 - k2
 *
 * k1, k2, k3 are the matrix products of the planes at the same place: three instead of four
 * (backward-data computes D conj(W)). Backward-weights, conj(X) D, uses the same planes of X and D:
 * k1 = c (e + g), k2 = (d - c) g, k3 = (c + d) e; re = k1 + k2, im = k1 - k3.
 */
#ifndef CM_KERNELS_TRANSFORM_DOMAIN_H
#define CM_KERNELS_TRANSFORM_DOMAIN_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/functions.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/simd/simd.h"

/** Which planes the transform of a patch writes for a complex frequency: those of X or of D, above.
 * X is made of the patch and the positions around it, D of the patch only. */
typedef enum cm_plane_kind { CM_PLANES_X, CM_PLANES_D } cm_plane_kind;

typedef struct cm_frequency {
    int row, column; /* ky, kx */
    int plane;       /* first plane of a transformed patch or filter */
    int result;      /* first plane of a result */
    bool complex;
} cm_frequency;

/** Where a patch lies in its map. */
typedef struct cm_map_patch {
    ptrdiff_t step, row; /* floats from a position to the next one, and to the one below */
    int above, before;   /* rows of the map above the patch, columns before it */
    int height, width;   /* the map's rows and columns from the patch's first ones on */
} cm_map_patch;

/** Bounds over all domains, and the taps of a filter. */
enum { CM_MAX_HALVES = 10, CM_FILTER_TAPS = 9 };

/** A domain; its sizes are in its row of algorithms.h. Strides are in floats; `lanes` (1 ..
 * VF_LANES) channels of one patch are computed at a time. */
struct cm_domain {
    /* All frequencies, in rows: a constant table. */
    const cm_frequency *frequency;

    /* Transforms the patch whose first position is x into planes `plane` apart. */
    void (*transform)(const float *x, const cm_map_patch *patch, int lanes, cm_plane_kind kind,
                      float *to, ptrdiff_t plane);

    /* The inverse: result planes to a patch, through the epilogue of its channels. */
    void (*restore)(const float *from, ptrdiff_t plane, int lanes, const cm_epilogue *epilogue,
                    float *y, const cm_map_patch *patch);

    /* First half of a filter's transform: its columns w[r][s] become u[half][s], returned as three
     * numbers that filter_planes understands (t4, dft10: u[half][1], u[half][0] + u[half][2],
     * u[half][0] - u[half][2]). `flip` turns the filter by 180 degrees. */
    void (*filter_halves)(vf w[3][3], bool flip, vf u[CM_MAX_HALVES][3]);

    /* Second half: planes of W at one frequency, for `count` floats; u[half][i] begins at
     * from + (half * 3 + i) * stride. The planes are `stride` apart as well. */
    void (*filter_planes)(const cm_frequency *frequency, bool backward_data, const float *from,
                          ptrdiff_t stride, ptrdiff_t count, float *to);

    /* Whether backward-data uses the flipped filter (true) or filter_planes for backward_data
     * (false). It multiplies planes of kind D, or, where maps are cut into patches, planes of kind
     * X that are made of dy. */
    bool flips;

    /* Which plane of D goes with plane `plane` of X in backward-weights. */
    int (*partner)(int plane);

    /* Backward-weights, `count` floats (a multiple of VF_LANES) of a tile of dweight: adds what a
     * frequency contributes (results re, im) to the sums of its row, sums[sums][count]. The first
     * frequency of a row, column 0, sets them; those of a row come in order, rows in any order. */
    void (*fold)(const cm_frequency *frequency, const float *re, const float *im, ptrdiff_t count,
                 float *sums);

    /* The nine taps, dw[tap * count ...], from the sums of all rows, `row` floats apart: what each
     * row contributes is added in the order of the rows. */
    void (*taps)(const float *sums, ptrdiff_t row, ptrdiff_t count, float *dw);
};

/** The domains of algorithms.h: cm_t4_domain ... */
#define CM_DECLARE_direct(name)
#define CM_DECLARE_transform(name) extern const cm_domain cm_##name##_domain;
#define CM_DECLARE(id, name, kind, map, patch, freqs, planes, results, halves, rows, sums) \
    CM_DECLARE_##kind(name)
CM_CONV2D_ALGORITHM_LIST(CM_DECLARE)
#undef CM_DECLARE

/* The planes of a domain are so many, and so far apart, that no hardware prefetcher follows them: a
 * loop over planes asks for the next line of each, to read or to write it. Into the L2 cache: 148
 * more lines would evict those of the current item from the L1 cache (AVX-512: no gain; into the L2
 * cache transforms are 1.8 to 2 times as fast). */
CM_ALWAYS_INLINE vf cm_plane_load(const float *p, bool partial, int lanes) {
    __builtin_prefetch(p + CM_LINE_FLOATS, 0, CM_PREFETCH_L2);
    return cm_load_lanes(p, partial, lanes);
}

CM_ALWAYS_INLINE void cm_plane_store(float *p, vf value, bool partial, int lanes) {
    __builtin_prefetch(p + CM_LINE_FLOATS, 1, CM_PREFETCH_L2);
    cm_store_lanes(p, value, partial, lanes);
}

#endif
