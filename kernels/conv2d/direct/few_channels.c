/* Direct backward-data where the map has few channels, the first layer of a network: a tile's rows
 * are the channels and its columns are outputs, from rows of dy that are transposed. With outputs
 * as rows, as in region.c, most of a tile's columns would be empty. */
#include "kernels/isa.h"

#include <string.h>

#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/pass.h"
#include "kernels/gemm/limits.h"
#include "kernels/gemm/transpose.h"
#include "kernels/sizes.h"

/* Outputs of a row from which on they are the columns of tiles: a third of a tile. */
enum { MIN_COLUMNS = (CM_TILE_COLUMNS + 2) / 3 };

bool cm_direct_uses_rows(const cm_direct_pass *p, const cm_span *y, const cm_span *x) {
    return p->rows != NULL && y->taps * x->taps > 0 && x->count >= MIN_COLUMNS;
}

/* Rows of `in` that a block of outputs reads; none where the stride skips them. */
static cm_range rows_read_by_block(const cm_direct_pass *p, cm_range ys) {
    const ptrdiff_t above = ys.begin + p->y.padding - (p->y.kernel - 1);
    const ptrdiff_t begin = above > 0 ? (above + p->y.stride - 1) / p->y.stride : 0;
    const ptrdiff_t end = (ys.end - 1 + p->y.padding) / p->y.stride + 1;
    return (cm_range){begin, end < p->y.in ? end : p->y.in};
}

/* Rows become [row][channel][position], each channel followed by as many zeros as a tile may read
 * beyond it. */
void cm_direct_transpose_rows(const cm_direct_pass *p, const cm_output_block *where) {
    const cm_range rows = rows_read_by_block(p, where->ys);
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    for (ptrdiff_t row = rows.begin; row < rows.end; ++row) {
        float *to = p->rows + (row - rows.begin) * p->depth * p->row_floats;
        cm_transpose(p->in + (where->images.begin * p->y.in + row) * in_row, p->depth, p->x.in,
                     p->depth, to, p->row_floats);
        for (int d = 0; d < p->depth; ++d) {
            memset(to + d * p->row_floats + p->x.in, 0, CM_TILE_COLUMNS * sizeof *to);
        }
    }
}

/* Outputs along one row of a region. */
static void run_columns(const cm_direct_pass *p, cm_gemm_tile *tile, cm_extent along, float *out) {
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

/* All channels are one panel. */
void cm_direct_run_rows(const cm_direct_pass *p, const cm_filter_part *part,
                        const cm_output_block *where, const cm_span *y, const cm_span *x) {
    const ptrdiff_t in_row = p->depth * p->row_floats;
    const ptrdiff_t tap_floats = (ptrdiff_t)p->columns * p->depth;
    cm_gemm_term term[CM_CONV2D_MAX_TAPS];
    int terms = 0;
    for (int r = 0; r < y->taps; ++r) {
        for (int s = 0; s < x->taps; ++s) {
            const ptrdiff_t element =
                (y->tap + r * y->tap_step) * (ptrdiff_t)p->x.kernel + x->tap + s * x->tap_step;
            term[terms++] = (cm_gemm_term){element * tap_floats,
                                           r * y->in_tap * in_row + (ptrdiff_t)s * x->in_tap};
        }
    }
    const ptrdiff_t first = part->r.begin * p->x.kernel + part->s.begin;
    const ptrdiff_t first_row = rows_read_by_block(p, where->ys).begin;
    const cm_extent along = {x->count, 0, (ptrdiff_t)x->step * p->columns};
    for (int i = 0; i < y->count; ++i) {
        cm_gemm_tile tile = {
            .a = p->weight + first * tap_floats + part->depth.begin,
            .a_row = p->depth,
            .a_depth = 1,
            .b = p->rows + (y->in + i * y->in_step - first_row) * in_row +
                 part->depth.begin * p->row_floats + x->in,
            .b_depth = p->row_floats,
            .term = term,
            .terms = terms,
            .depth = (int)(part->depth.end - part->depth.begin),
            .c_row = CM_TILE_COLUMNS,
            .columns = CM_TILE_COLUMNS,
            .mode = part->first ? CM_GEMM_STORE : CM_GEMM_CONTINUE,
        };
        const ptrdiff_t row = where->images.begin * p->y.out + y->begin + i * y->step;
        run_columns(p, &tile, along, p->out + (row * p->x.out + x->begin) * p->columns);
    }
}
