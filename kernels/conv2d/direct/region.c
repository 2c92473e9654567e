/* A region of outputs, which have the same taps, times one panel of filters. */
#include "kernels/isa.h"

#include <string.h>

#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/pass.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/sizes.h"

cm_gemm_tile cm_direct_tile(const cm_direct_pass *p, int panel, const cm_gemm_term *term,
                            int terms) {
    const int first = panel * CM_TILE_COLUMNS;
    return (cm_gemm_tile){
        .a_depth = 1,
        .b_depth = CM_TILE_COLUMNS,
        .term = term,
        .terms = terms,
        .columns = cm_smaller(p->columns - first, CM_TILE_COLUMNS),
    };
}

void cm_direct_run_tiles(cm_gemm_tile *tile, const cm_region *region) {
    const cm_extent rows = region->rows, inner = region->inner, outer = region->outer;
    const float *in = region->in;
    float *out = region->out;
    const ptrdiff_t parts = cm_even_parts(rows.count, VF_TILE_ROWS);
    tile->a_row = rows.in;
    tile->c_row = rows.out;
    for (int i = 0; i < outer.count; ++i) {
        for (int j = 0; j < inner.count; ++j) {
            for (ptrdiff_t part = 0; part < parts; ++part) {
                const cm_range range = cm_even_part(rows.count, VF_TILE_ROWS, part);
                tile->a = in + i * outer.in + j * inner.in + range.begin * rows.in;
                tile->c = out + i * outer.out + j * inner.out + range.begin * rows.out;
                cm_gemm_micro_kernel((int)(range.end - range.begin), tile);
            }
        }
    }
}

/* A region's outputs along each axis. */
typedef struct region_axes {
    cm_extent over_images, down, along;
} region_axes;

static region_axes axes_of(const cm_direct_pass *p, cm_range images, const cm_span *y,
                           const cm_span *x) {
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    const ptrdiff_t out_row = (ptrdiff_t)p->x.out * p->columns;
    return (region_axes){
        {(int)(images.end - images.begin), p->y.in * in_row, p->y.out * out_row},
        {y->count, y->in_step * in_row, y->step * out_row},
        {x->count, (ptrdiff_t)x->in_step * p->depth, (ptrdiff_t)x->step * p->columns},
    };
}

/* Outputs that no tap reaches. */
static void run_zeros(const region_axes *axes, int columns, float *out) {
    const cm_extent images = axes->over_images, ys = axes->down, xs = axes->along;
    for (int image = 0; image < images.count; ++image) {
        for (int y = 0; y < ys.count; ++y) {
            for (int x = 0; x < xs.count; ++x) {
                memset(out + image * images.out + y * ys.out + x * xs.out, 0,
                       (size_t)columns * sizeof *out);
            }
        }
    }
}

/* The axis along which a region has the fewest tiles becomes that of their rows. */
static void order_axes(const region_axes *axes, cm_region *region) {
    const cm_extent images = axes->over_images, down = axes->down, along = axes->along;
    const ptrdiff_t all = (ptrdiff_t)images.count * down.count * along.count;
    const ptrdiff_t tiles_along = cm_even_parts(along.count, VF_TILE_ROWS) * (all / along.count);
    const ptrdiff_t tiles_down = cm_even_parts(down.count, VF_TILE_ROWS) * (all / down.count);
    const ptrdiff_t tiles_over = cm_even_parts(images.count, VF_TILE_ROWS) * (all / images.count);
    if (tiles_along <= tiles_down && tiles_along <= tiles_over) {
        region->rows = along;
        region->inner = down;
        region->outer = images;
    } else if (tiles_down <= tiles_over) {
        region->rows = down;
        region->inner = along;
        region->outer = images;
    } else {
        region->rows = images;
        region->inner = along;
        region->outer = down;
    }
}

/* The terms of a region's outputs: its taps. */
static int region_terms(const cm_direct_pass *p, const cm_filter_part *part, const cm_span *y,
                        const cm_span *x, cm_gemm_term *term) {
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    int terms = 0;
    for (int r = 0; r < y->taps; ++r) {
        for (int s = 0; s < x->taps; ++s) {
            term[terms++] =
                (cm_gemm_term){r * y->in_tap * in_row + (ptrdiff_t)s * x->in_tap * p->depth,
                               (y->tap + r * y->tap_step) * part->b_row +
                                   (x->tap + s * x->tap_step) * part->b_tap};
        }
    }
    return terms;
}

void cm_direct_run_region(const cm_direct_pass *p, const cm_filter_part *part, int panel,
                          const cm_output_block *where, const cm_span *y, const cm_span *x) {
    const cm_range images = where->images;
    const ptrdiff_t first = (ptrdiff_t)panel * CM_TILE_COLUMNS;
    const region_axes axes = axes_of(p, images, y, x);
    cm_gemm_term term[CM_CONV2D_MAX_TAPS];
    const int terms = region_terms(p, part, y, x, term);
    cm_gemm_tile tile = cm_direct_tile(p, panel, term, terms);
    cm_region region = {.out = p->out + images.begin * axes.over_images.out +
                               (ptrdiff_t)y->begin * p->x.out * p->columns +
                               (ptrdiff_t)x->begin * p->columns + first};
    if (part->last) {
        tile.epilogue = cm_epilogue_at(&p->epilogue, first);
    }
    if (terms == 0 && !cm_epilogue_any(&tile.epilogue)) {
        if (part->first && panel == part->group.begin) {
            const int columns = (int)(part->group.end - part->group.begin) * CM_TILE_COLUMNS;
            run_zeros(&axes, cm_smaller(columns, p->columns - (int)first), region.out);
        }
        return;
    }
    tile.b = part->b + (panel - part->group.begin) * part->b_panel;
    tile.depth = (int)(part->depth.end - part->depth.begin);
    tile.mode = part->first ? CM_GEMM_STORE : CM_GEMM_CONTINUE;
    region.in = terms == 0 ? p->in
                           : p->in + images.begin * axes.over_images.in +
                                 (ptrdiff_t)y->in * p->x.in * p->depth +
                                 (ptrdiff_t)x->in * p->depth + part->depth.begin;
    order_axes(&axes, &region);
    cm_direct_run_tiles(&tile, &region);
}
