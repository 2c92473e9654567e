/* Filters to panels. */
#include "kernels/isa.h"

#include <string.h>

#include "kernels/conv2d/direct/pass.h"
#include "kernels/conv2d/functions.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/gemm/transpose.h"
#include "kernels/simd/vectors.h"
#include "kernels/sizes.h"

/* One row of filters to the panels of a group, `panel` floats apart: column j of panel i is output
 * channel i * CM_TILE_COLUMNS + j. A group at a time: rows are far apart, often by a power of two,
 * and the fewer of them are visited again, the fewer pages and cache sets are in use. */
static void pack_row(const float *from, int columns, ptrdiff_t left, float *to, ptrdiff_t panel) {
    for (int c = 0; c < columns; c += CM_TILE_COLUMNS, to += panel) {
        for (int v = 0; v < 2; ++v) {
            const int at = c + v * VF_LANES;
            vf_store(to + v * VF_LANES, cm_load_left(from + at, left - at));
        }
    }
}

void cm_direct_pack(const cm_team *team, const cm_conv2d_plan *plan, const cm_domain *domain,
                    const float *weight, float *panels) {
    (void)domain;
    const cm_conv2d_shape *shape = &plan->shape;
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t columns = shape->out_channels;
    const cm_range share = cm_team_share(team, cm_even_parts(columns, CM_GROUP_COLUMNS) * rows);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t first = i / rows * CM_GROUP_COLUMNS;
        const int count =
            (int)(columns - first < CM_GROUP_COLUMNS ? columns - first : CM_GROUP_COLUMNS);
        const float *from = weight + (i % rows) * columns + first;
        __builtin_prefetch(from + CM_PACK_AHEAD * columns);
        pack_row(from, count, columns - first, panels + first * rows + i % rows * CM_TILE_COLUMNS,
                 rows * CM_TILE_COLUMNS);
    }
}

void cm_direct_pack_forward(const cm_direct_pass *p, const cm_filter_part *part, float *to) {
    const cm_range panels = part->group;
    const ptrdiff_t first = panels.begin * CM_TILE_COLUMNS, columns = p->columns;
    const int count = (int)(panels.end - panels.begin) * CM_TILE_COLUMNS;
    for (ptrdiff_t r = part->r.begin; r < part->r.end; ++r) {
        for (ptrdiff_t s = part->s.begin; s < part->s.end; ++s) {
            const ptrdiff_t row = (r * p->x.kernel + s) * p->depth;
            for (ptrdiff_t d = part->depth.begin; d < part->depth.end; ++d) {
                const float *from = p->weight + (row + d) * columns + first;
                for (int c = 0; c < count; c += CM_LINE_FLOATS) {
                    __builtin_prefetch(from + CM_PACK_AHEAD * columns + c);
                }
                pack_row(from, count, columns - first, to, part->b_panel);
                to += CM_TILE_COLUMNS;
            }
        }
    }
}

/* The transposed filters: column j of a panel is input channel panel * CM_TILE_COLUMNS + j. */
void cm_direct_pack_backward(const cm_direct_pass *p, const cm_filter_part *part, float *to) {
    const cm_range panels = part->group;
    const ptrdiff_t rows = part->depth.end - part->depth.begin;
    const ptrdiff_t all = p->depth;
    for (ptrdiff_t panel = panels.begin; panel < panels.end; ++panel) {
        const ptrdiff_t first = panel * CM_TILE_COLUMNS;
        const int valid =
            (int)(p->columns - first < CM_TILE_COLUMNS ? p->columns - first : CM_TILE_COLUMNS);
        for (ptrdiff_t r = part->r.begin; r < part->r.end; ++r) {
            for (ptrdiff_t s = part->s.begin; s < part->s.end; ++s) {
                const float *from = p->weight + ((r * p->x.kernel + s) * p->columns + first) * all +
                                    part->depth.begin;
                cm_transpose(from, all, valid, rows, to, CM_TILE_COLUMNS);
                for (ptrdiff_t d = 0; valid < CM_TILE_COLUMNS && d < rows; ++d) {
                    for (int j = valid; j < CM_TILE_COLUMNS; ++j) {
                        to[d * CM_TILE_COLUMNS + j] = 0.0F;
                    }
                }
                to += rows * CM_TILE_COLUMNS;
            }
        }
    }
}
