/**
 * Transform domains: convolution of whole small maps, or of tiles of any map, as products of
 * transforms.
 *
 * A 3x3 convolution with stride 1 and padding 1 of an S x S map (S = 9 or 3), or of the S x S tiles
 * that a map is cut into (S = 3 or 4), becomes, behind a linear transform of each tile and each
 * kernel, one independent product a frequency:
 *
 *   Y~[f] = X~[f] W~[f]       tiles x in_channels times in_channels x out_channels
 *
 * where a frequency is real (one matrix) or complex (three real matrices, 3M below). A domain says
 * how maps and kernels are transformed; conv2d_transform.c does the rest for all of them.
 *
 * Planes. A transformed tensor is a sequence of planes [tiles][channels], one for a real frequency
 * and three for a complex one, in the order of the frequencies; results have two planes (real,
 * imaginary) for a complex one. With X = c + id, W = a + ib, D = e + ig (the transform of dy):
 *
 *              planes of the left         planes of the right           result
 *   forward    X: c, d - c, c + d         W: a + b, a, b                re = k1 - k3, im = k1 + k2
 *   by data    D: e + g, e, g             W: a, a + b, b - a            re = k1 + k3, im = k1 - k2
 *
 * k1, k2, k3 are the products of the planes of the same place: three multiplications instead of
 * four (the last row is D conj(W)). For the weights, conj(X) D needs c (e + g) = k1, (d - c) g =
 * k2, (c + d) e = k3: re = k1 + k2, im = k1 - k3, from the planes that are there.
 */
#ifndef CM_KERNELS_TRANSFORM_DOMAIN_H
#define CM_KERNELS_TRANSFORM_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/algorithms.h"
#include "kernels/isa.h"
#include "kernels/simd/simd.h"

/** Which planes a map's transform writes for a complex frequency: those of X or of D, above. Of a
 * tile: X is its inputs, with the positions around it; D its own positions only. */
typedef enum cm_plane_kind { CM_PLANES_X, CM_PLANES_D } cm_plane_kind;

typedef struct cm_frequency {
    int row, column; /* ky, kx */
    int plane;       /* first plane of a transformed map or kernel */
    int result;      /* first plane of a result */
    bool complex;
} cm_frequency;

/** Where a tile lies in its map. */
typedef struct cm_map_tile {
    ptrdiff_t step, row; /* floats from a position to the next one, and to the one below */
    int above, before;   /* rows of the map above the tile's first one, columns before it */
    int height, width;   /* the map's rows and columns from the tile's first ones on */
} cm_map_tile;

/** Sizes of the arrays that the driver has for any domain. */
enum { CM_MAX_FREQUENCIES = 52, CM_MAX_KERNEL_ROWS = 10, CM_DOMAIN_TAPS = 9 };

/** A domain. Strides are in floats; `lanes` (1 .. VF_LANES) channels of one tile at a time. */
typedef struct cm_domain {
    int side;   /* S */
    bool tiled; /* maps of any size are cut into tiles; false: a map is one tile */
    int frequencies;
    int planes;      /* of a transformed map */
    int results;     /* planes of a result */
    int kernel_rows; /* real numbers that three taps of a kernel's column become */
    int rows;        /* of frequencies */
    int fold_sums;   /* vectors of a row that `fold` makes per vector of a weight tile */

    /* Fills in all frequencies. */
    void (*list)(cm_frequency *frequency);

    /* Transforms the tile whose first position is x into planes `plane` apart. */
    void (*transform)(const float *x, const cm_map_tile *tile, int lanes, cm_plane_kind kind,
                      float *to, ptrdiff_t plane);

    /* The way back: result planes to a tile, through the epilogue of its channels. */
    void (*restore)(const float *from, ptrdiff_t plane, int lanes,
                    const cm_conv2d_epilogue *epilogue, float *y, const cm_map_tile *tile);

    /* Kernels, first half: the columns of taps w[r][s] become u[row][s]; returned as three numbers
     * that kernel_planes understands (t4, dft10: u[row][1], u[row][0] + u[row][2], u[row][0] -
     * u[row][2]). `flip` turns the kernel by 180 degrees. */
    void (*kernel_columns)(vf w[3][3], bool flip, vf u[CM_MAX_KERNEL_ROWS][3]);

    /* Second half: planes of W at one frequency for `count` floats; u[row][i] begins at
     * from + (row * 3 + i) * stride. Planes are `stride` apart as well. */
    void (*kernel_planes)(const cm_frequency *frequency, bool by_data, const float *from,
                          ptrdiff_t stride, ptrdiff_t count, float *to);

    /* Whether backward by data uses the flipped kernel (true) or by_data planes (false). It
     * multiplies planes of kind D, or, in a tiled domain, planes of kind X that dy has too. */
    bool flips;

    /* Which plane of D goes with plane `plane` of X in the products of the weights' gradient. */
    int (*partner)(int plane);

    /* The weights' gradient, one weight tile of `count` floats (a multiple of VF_LANES): the sums
     * of a row of frequencies, sums[fold_sums][count], over what each of them contributes (product
     * planes re, im). The first one, of column 0, sets them; those of a row come in order, rows in
     * any order. */
    void (*fold)(const cm_frequency *frequency, const float *re, const float *im, ptrdiff_t count,
                 float *sums);

    /* The nine taps, dw[tap * count ...], from the sums of all rows, `row` floats apart: what each
     * row contributes is added in the order of the rows. */
    void (*taps)(const float *sums, ptrdiff_t row, ptrdiff_t count, float *dw);
} cm_domain;

/** The domains (dft10.c, t4.c, winograd.c), of this instruction set. */
extern const cm_domain cm_dft10_domain, cm_t4_domain, cm_winograd3_domain, cm_winograd4_domain;

/* A domain's planes are so many, and so far apart, that no hardware prefetcher follows them:
 * whoever goes through them in order asks for the next line of each, to read or to write it. Into
 * the second cache: 148 lines more would drive this item's own out of the first one (AVX-512: no
 * gain; into the second cache transforms are 1.8 to 2 times as fast). */
CM_ALWAYS_INLINE vf cm_plane_load(const float *p, bool partial, int lanes) {
    __builtin_prefetch(p + CM_LINE_FLOATS, 0, CM_PREFETCH_L2);
    return partial ? vf_load_n(p, lanes) : vf_load(p);
}

CM_ALWAYS_INLINE void cm_plane_store(float *p, vf value, bool partial, int lanes) {
    __builtin_prefetch(p + CM_LINE_FLOATS, 1, CM_PREFETCH_L2);
    if (partial) {
        vf_store_n(p, value, lanes);
    } else {
        vf_store(p, value);
    }
}

CM_ALWAYS_INLINE vf cm_lanes_load(const float *p, bool partial, int lanes) {
    return partial ? vf_load_n(p, lanes) : vf_load(p);
}

CM_ALWAYS_INLINE void cm_lanes_store(float *p, vf value, bool partial, int lanes) {
    if (partial) {
        vf_store_n(p, value, lanes);
    } else {
        vf_store(p, value);
    }
}

/** An epilogue's numbers of one vector of channels. */
typedef struct cm_epilogue_vectors {
    vf bias, scale, shift;
} cm_epilogue_vectors;

CM_ALWAYS_INLINE cm_epilogue_vectors cm_epilogue_load(const cm_conv2d_epilogue *epilogue,
                                                      bool partial, int lanes) {
    cm_epilogue_vectors e = {vf_zero(), vf_zero(), vf_zero()};
    if (epilogue->bias != NULL) {
        e.bias = cm_lanes_load(epilogue->bias, partial, lanes);
    }
    if (epilogue->scale != NULL) {
        e.scale = cm_lanes_load(epilogue->scale, partial, lanes);
        e.shift = cm_lanes_load(epilogue->shift, partial, lanes);
    }
    return e;
}

CM_ALWAYS_INLINE vf cm_epilogue_apply(const cm_conv2d_epilogue *epilogue,
                                      const cm_epilogue_vectors *e, vf value) {
    value = epilogue->bias != NULL ? vf_add(value, e->bias) : value;
    value = epilogue->scale != NULL ? vf_fma(value, e->scale, e->shift) : value;
    return epilogue->relu ? vf_max(vf_zero(), value) : value;
}

#endif
