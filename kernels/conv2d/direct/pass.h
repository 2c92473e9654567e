/**
 * The pass that direct convolution's forward and backward-data are: outputs, each with a list of
 * taps (those inside the map: padding is never multiplied), each tap a small matrix product.
 * Outputs with the same taps form regions, at most an interior, four sides and four corners for
 * each phase of the stride; a tile's rows are neighbours in a region. Include after isa.h.
 *
 * pass.c cuts filters into parts and outputs into blocks; region.c and few_channels.c compute one
 * region; pack.c packs the filters of a part.
 */
#ifndef CM_KERNELS_CONV2D_DIRECT_PASS_H
#define CM_KERNELS_CONV2D_DIRECT_PASS_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/conv2d/direct/axis.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/gemm/gemm_tile.h"

/** A part of the filters, some taps and some of the depth, that is multiplied at a time, by all
 * outputs; and the group of panels (of columns) that is packed. The axes have these taps only. */
typedef struct cm_filter_part {
    cm_axis y, x;
    cm_range r, s, depth;
    bool first, last;
    cm_range group;
    const float *b;                  /* the group's filters, from its first panel on */
    ptrdiff_t b_panel, b_row, b_tap; /* floats to the next panel, filter row, tap */
} cm_filter_part;

typedef struct cm_direct_pass cm_direct_pass;

/** Packs the filters of a part: [panel][tap][depth][CM_TILE_COLUMNS], 0 beyond the last column. */
typedef void cm_direct_pack_part_fn(const cm_direct_pass *p, const cm_filter_part *part, float *to);

/** One pass over outputs of y.out x x.out positions x columns. */
struct cm_direct_pass {
    int batch;
    cm_axis y, x;
    cm_span_fn *span_at;
    int columns;
    int depth; /* channels summed over */
    const float *in;
    const float *weight, *packed; /* one is NULL; packed: all panels of all filters */
    cm_direct_pack_part_fn *pack;
    float *panels; /* where this thread packs filters */
    float *rows;   /* where it puts transposed rows of `in`; NULL: it does not (few_channels.c) */
    ptrdiff_t row_floats; /* of one channel of a transposed row */
    cm_epilogue epilogue;
    float *out;
};

/** Outputs along one axis of a region: how many, and floats from one to the next. */
typedef struct cm_extent {
    int count;
    ptrdiff_t in, out;
} cm_extent;

/** A region of outputs: tiles have their rows along `rows`. */
typedef struct cm_region {
    cm_extent rows, inner, outer;
    const float *in; /* what the first output's first tap reads */
    float *out;      /* the first output */
} cm_region;

/** A block of outputs. */
typedef struct cm_output_block {
    cm_range images, ys, xs;
} cm_output_block;

/** Runs the pass. */
void cm_direct_run_pass(const cm_team *team, cm_direct_pass *p);

/** A region of one panel of columns (region.c). */
void cm_direct_run_region(const cm_direct_pass *p, const cm_filter_part *part, int panel,
                          const cm_output_block *where, const cm_span *y, const cm_span *x);
/** A tile of this panel of filters, without operands, place and mode. */
cm_gemm_tile cm_direct_tile(const cm_direct_pass *p, int panel, const cm_gemm_term *term,
                            int terms);
/** All tiles of a region; sets a, a_row, c and c_row of `tile`. */
void cm_direct_run_tiles(cm_gemm_tile *tile, const cm_region *region);

/** Transposes the rows of `in` that a block of outputs reads (few_channels.c). */
void cm_direct_transpose_rows(const cm_direct_pass *p, const cm_output_block *where);
/** Whether a region is computed with positions as columns of tiles. */
bool cm_direct_uses_rows(const cm_direct_pass *p, const cm_span *y, const cm_span *x);
/** Such a region, all of its channels. */
void cm_direct_run_rows(const cm_direct_pass *p, const cm_filter_part *part,
                        const cm_output_block *where, const cm_span *y, const cm_span *x);

cm_direct_pack_part_fn cm_direct_pack_forward, cm_direct_pack_backward;

#endif
