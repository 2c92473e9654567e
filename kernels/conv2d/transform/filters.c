#include "kernels/isa.h"

#include "kernels/conv2d/transform/filters.h"

#include <string.h>

#include "kernels/conv2d/tuning.h"
#include "kernels/gemm/transpose.h"
#include "kernels/sizes.h"

_Static_assert(CM_FILTER_DEPTHS % VB_SIDE == 0, "transposes have no rest in the middle of a depth");

/* The nine taps of the filters of a panel, whose first column is `first`, at `count` depths from d:
 * rows[tap][CM_FILTER_DEPTHS][CM_TILE_COLUMNS]. */
static void gather_taps(const cm_filter_side *side, ptrdiff_t first, ptrdiff_t d, ptrdiff_t count,
                        float *rows) {
    const ptrdiff_t left = side->columns - first;
    const ptrdiff_t columns = left < CM_TILE_COLUMNS ? left : CM_TILE_COLUMNS;
    const ptrdiff_t tap_size = (ptrdiff_t)side->depth * side->columns;
    if (columns < CM_TILE_COLUMNS) {
        memset(rows, 0, sizeof(float) * CM_FILTER_TAPS * CM_FILTER_DEPTHS * CM_TILE_COLUMNS);
    }
    for (int tap = 0; tap < CM_FILTER_TAPS; ++tap) {
        const float *from = side->weight + tap * tap_size;
        float *to = rows + tap * CM_FILTER_DEPTHS * CM_TILE_COLUMNS;
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

void cm_transform_filters(const cm_team *team, const cm_domain *domain, int halves,
                          const cm_filter_side *side, float *to_halves) {
    const ptrdiff_t stride = cm_filter_stride(side);
    const ptrdiff_t groups = cm_even_parts(side->depth, CM_FILTER_DEPTHS);
    cm_deal deal = cm_team_deal(team, cm_filter_panels(side->columns) * groups);
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const ptrdiff_t panel = i / groups, d = i % groups * CM_FILTER_DEPTHS;
        const ptrdiff_t count =
            side->depth - d < CM_FILTER_DEPTHS ? side->depth - d : CM_FILTER_DEPTHS;
        float taps[CM_FILTER_TAPS * CM_FILTER_DEPTHS * CM_TILE_COLUMNS];
        gather_taps(side, panel * CM_TILE_COLUMNS, d, count, taps);
        for (ptrdiff_t v = 0; v < count * CM_TILE_COLUMNS; v += VF_LANES) {
            vf w[3][3], u[CM_MAX_HALVES][3];
            for (int tap = 0; tap < CM_FILTER_TAPS; ++tap) {
                w[tap / 3][tap % 3] = vf_load(taps + tap * CM_FILTER_DEPTHS * CM_TILE_COLUMNS + v);
            }
            domain->filter_halves(w, side->transposed && domain->flips, u);
            float *to = to_halves + panel * halves * 3 * stride + d * CM_TILE_COLUMNS + v;
            for (int half = 0; half < halves * 3; ++half) {
                vf_store(to + half * stride, u[half / 3][half % 3]);
            }
        }
    }
}
