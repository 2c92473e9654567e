/* What the passes of direct convolution are made of: both are the same pass over outputs. Included
 * by conv2d_direct.c only. */
#ifndef CM_KERNELS_CONV2D_DIRECT_PASS_H
#define CM_KERNELS_CONV2D_DIRECT_PASS_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/direct/axis.h"

/* A part of the kernel and of the depth, whose weights are multiplied at a time, by all outputs.
 * Its axes have that part of the kernel only. */
typedef struct kernel_part {
    axis y, x;
    cm_range r, s, depth;
    bool first, last;
    const float *b;                  /* the group's weights, from its first panel on */
    ptrdiff_t b_panel, b_row, b_tap; /* floats to the next panel, kernel row, tap */
} kernel_part;

typedef struct pass pass;

/* Weights of a part to panels: [panel][taps][depth][CM_TILE_COLUMNS], 0 beyond the last column. */
typedef void pack_fn(const pass *p, const kernel_part *part, cm_range panels, float *to);

/* One pass over outputs of y.out x x.out x columns. */
struct pass {
    const cm_conv2d_shape *shape;
    int batch;
    axis y, x;
    span_at_fn *span_at;
    int columns;
    int depth; /* channels summed over */
    const float *in;
    const float *weight, *packed; /* one is NULL; packed: all panels of the whole kernel */
    pack_fn *pack;
    float *panels; /* where this thread packs weights */
    float *planes; /* not NULL: where it puts planes of `in`, [rows][depth][plane_row] */
    ptrdiff_t plane_row;
    cm_conv2d_epilogue epilogue;
    float *out;
};

/* Outputs along one axis of a region: how many, and floats from one to the next. */
typedef struct extent {
    int count;
    ptrdiff_t in, out;
} extent;

/* A block of outputs. */
typedef struct block {
    cm_range images, ys, xs;
} block;

#endif
