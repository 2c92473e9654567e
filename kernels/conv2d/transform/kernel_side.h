/* The kernels of a convolution in a transform domain, and the first half of their transform.
 * Included after isa.h by conv2d_transform.c and its parts only. */
#ifndef CM_KERNELS_TRANSFORM_KERNEL_SIDE_H
#define CM_KERNELS_TRANSFORM_KERNEL_SIDE_H

#include <string.h>

#include "kernels/conv2d/internal.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/transpose.h"

enum { TAPS = CM_DOMAIN_TAPS };

/* Kernels as the right-hand side of a product: `depth` channels summed over, `columns` produced.
 * Transposed: weight[tap][column][depth], as backward by data needs them. */
typedef struct kernel_side {
    const float *weight;
    int depth, columns;
    bool transposed;
} kernel_side;

static inline ptrdiff_t panel_count(int columns) {
    return (columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
}

/* Steps of the depth whose kernels are gathered at a time: whole blocks of a transpose. */
enum { DEPTH_GROUP = 8 };
_Static_assert(DEPTH_GROUP % VB_SIDE == 0, "transposes have no rest in the middle of a depth");

/* The nine taps of kernels [columns from `first` on] at `count` depths from d on:
 * rows[tap][DEPTH_GROUP][CM_TILE_COLUMNS]. */
static inline void gather_taps(const kernel_side *side, ptrdiff_t first, ptrdiff_t d,
                               ptrdiff_t count, float *rows) {
    const ptrdiff_t left = side->columns - first;
    const ptrdiff_t columns = left < CM_TILE_COLUMNS ? left : CM_TILE_COLUMNS;
    const ptrdiff_t tap_size = (ptrdiff_t)side->depth * side->columns;
    if (columns < CM_TILE_COLUMNS) {
        memset(rows, 0, sizeof(float) * TAPS * DEPTH_GROUP * CM_TILE_COLUMNS);
    }
    for (int tap = 0; tap < TAPS; ++tap) {
        const float *from = side->weight + tap * tap_size;
        float *to = rows + tap * DEPTH_GROUP * CM_TILE_COLUMNS;
        if (side->transposed) {
            cm_transpose(from + first * side->depth + d, side->depth, columns, count, to,
                         CM_TILE_COLUMNS);
            continue;
        }
        for (ptrdiff_t i = 0; i < count; ++i, to += CM_TILE_COLUMNS) {
            memcpy(to, from + (d + i) * side->columns + first, (size_t)columns * sizeof *to);
        }
    }
}

/* Floats from one row of the kernels' columns to the next, and from plane to plane of a panel: one
 * step of the depth more than they have, against powers of two (cm_conv2d_plane()). */
static inline ptrdiff_t kernel_stride(const kernel_side *side) {
    return ((ptrdiff_t)side->depth + 1) * CM_TILE_COLUMNS;
}

/* First half of the kernels' transform: [panel][row][3][depth][CM_TILE_COLUMNS]. */
static inline void transform_columns(const cm_team *team, const cm_domain *domain,
                                     const kernel_side *side, float *columns) {
    const int rows = domain->kernel_rows;
    const ptrdiff_t stride = kernel_stride(side);
    const ptrdiff_t groups = cm_even_parts(side->depth, DEPTH_GROUP);
    cm_deal deal = cm_team_deal(team, panel_count(side->columns) * groups);
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const ptrdiff_t panel = i / groups, d = i % groups * DEPTH_GROUP;
        const ptrdiff_t count = side->depth - d < DEPTH_GROUP ? side->depth - d : DEPTH_GROUP;
        float taps[TAPS * DEPTH_GROUP * CM_TILE_COLUMNS];
        gather_taps(side, panel * CM_TILE_COLUMNS, d, count, taps);
        for (ptrdiff_t v = 0; v < count * CM_TILE_COLUMNS; v += VF_LANES) {
            vf w[3][3], u[CM_MAX_KERNEL_ROWS][3];
            for (int tap = 0; tap < TAPS; ++tap) {
                w[tap / 3][tap % 3] = vf_load(taps + tap * DEPTH_GROUP * CM_TILE_COLUMNS + v);
            }
            domain->kernel_columns(w, side->transposed && domain->flips, u);
            float *to = columns + panel * rows * 3 * stride + d * CM_TILE_COLUMNS + v;
            for (int row = 0; row < rows * 3; ++row) {
                vf_store(to + row * stride, u[row / 3][row % 3]);
            }
        }
    }
}

#endif
