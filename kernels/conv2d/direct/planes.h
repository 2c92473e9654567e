/* Direct convolution by data where the map has few channels, the first layer of a network: tiles
 * whose rows are the channels and whose columns are outputs, from planes of dy. Included after
 * isa.h by conv2d_direct.c only. */
#ifndef CM_KERNELS_CONV2D_DIRECT_PLANES_H
#define CM_KERNELS_CONV2D_DIRECT_PLANES_H

#include <string.h>

#include "kernels/conv2d/direct/pass.h"
#include "kernels/conv2d/internal.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/transpose.h"

/* Outputs of a row from which on they are columns of tiles. */
enum { MIN_COLUMNS = (CM_TILE_COLUMNS + 2) / 3 };

/* Rows of `in` that a block of outputs reads; none, where the stride passes them by. */
static inline cm_range plane_rows(const pass *p, cm_range ys) {
    const ptrdiff_t above = ys.begin + p->y.padding - (p->y.kernel - 1);
    const ptrdiff_t begin = above > 0 ? (above + p->y.stride - 1) / p->y.stride : 0;
    const ptrdiff_t end = (ys.end - 1 + p->y.padding) / p->y.stride + 1;
    return (cm_range){begin, end < p->y.in ? end : p->y.in};
}

/* Rows of `in` to planes, each with as many zeros behind it as a tile may read too much. */
static inline void fill_planes(const pass *p, const block *where) {
    const cm_range rows = plane_rows(p, where->ys);
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    for (ptrdiff_t row = rows.begin; row < rows.end; ++row) {
        float *to = p->planes + (row - rows.begin) * p->depth * p->plane_row;
        cm_transpose(p->in + (where->images.begin * p->y.in + row) * in_row, p->depth, p->x.in,
                     p->depth, to, p->plane_row);
        for (int d = 0; d < p->depth; ++d) {
            memset(to + d * p->plane_row + p->x.in, 0, CM_TILE_COLUMNS * sizeof *to);
        }
    }
}

/* Outputs along one row of a region. The other way, outputs as rows, only three of a tile's columns
 * would be in use. */
static inline void run_columns(const pass *p, cm_gemm_tile *tile, extent along, float *out) {
    const float *b = tile->b;
    float sums[CM_MAX_TILE_ROWS * CM_TILE_COLUMNS];
    for (ptrdiff_t j = 0; j < cm_even_parts(along.count, CM_TILE_COLUMNS); ++j) {
        const cm_range part = cm_even_part(along.count, CM_TILE_COLUMNS, j);
        const int rows = p->columns, count = (int)(part.end - part.begin);
        float *to = out + part.begin * along.out;
        for (int i = 0; tile->mode == CM_GEMM_CONTINUE && i < rows * CM_TILE_COLUMNS; ++i) {
            const int q = i % CM_TILE_COLUMNS;
            sums[i] = q < count ? to[q * along.out + i / CM_TILE_COLUMNS] : 0.0F;
        }
        tile->b = b + part.begin;
        tile->c = sums;
        cm_gemm_micro_kernel(rows, tile);
        for (int q = 0; q < count; ++q) {
            for (int c = 0; c < rows; ++c) {
                to[q * along.out + c] = sums[c * CM_TILE_COLUMNS + q];
            }
        }
    }
}

/* A region, all of its channels: they are one panel. */
static inline void run_plane_region(const pass *p, const kernel_part *part, const block *where,
                                    const span *y, const span *x) {
    const ptrdiff_t in_row = p->depth * p->plane_row;
    const ptrdiff_t tap_floats = (ptrdiff_t)p->columns * p->depth;
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    int taps = 0;
    for (int r = 0; r < y->taps; ++r) {
        for (int s = 0; s < x->taps; ++s) {
            const ptrdiff_t element =
                (y->tap + r * y->tap_step) * (ptrdiff_t)p->x.kernel + x->tap + s * x->tap_step;
            tap[taps++] = (cm_gemm_tap){element * tap_floats,
                                        r * y->in_tap * in_row + (ptrdiff_t)s * x->in_tap};
        }
    }
    const ptrdiff_t first = part->r.begin * p->x.kernel + part->s.begin;
    const extent along = {x->count, 0, (ptrdiff_t)x->step * p->columns};
    for (int i = 0; i < y->count; ++i) {
        cm_gemm_tile tile = {
            .a = p->weight + first * tap_floats + part->depth.begin,
            .a_row = p->depth,
            .a_depth = 1,
            .b = p->planes + (y->in + i * y->in_step - plane_rows(p, where->ys).begin) * in_row +
                 part->depth.begin * p->plane_row + x->in,
            .b_depth = p->plane_row,
            .tap = tap,
            .taps = taps,
            .depth = (int)(part->depth.end - part->depth.begin),
            .c_row = CM_TILE_COLUMNS,
            .columns = CM_TILE_COLUMNS,
            .mode = part->first ? CM_GEMM_STORE : CM_GEMM_CONTINUE,
        };
        const ptrdiff_t row = where->images.begin * p->y.out + y->begin + i * y->step;
        run_columns(p, &tile, along, p->out + (row * p->x.out + x->begin) * p->columns);
    }
}

#endif
