/* Direct convolution, forward and backward by data. Both are the same pass: each output position
 * has a list of taps (the valid ones: padding is never multiplied), each tap a small GEMM. Outputs
 * with the same taps form regions, at most an interior, four sides and four corners for each phase
 * of the stride, and a tile's rows are neighbours in a region: along a row, down a column, or the
 * same position of several images, whichever needs the fewest tiles. */
#include "convmark/trace.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/direct/pass.h"
#include "kernels/conv2d/direct/planes.h"
#include "kernels/conv2d/internal.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/transpose.h"
#include "kernels/simd/vectors.h"

#include <string.h>

/* Memory that the A operand of a block should fit: half of a small second cache, beside the weights
 * of a part of the kernel (CM_GROUP_FLOATS). And the positions that a panel of weights should at
 * least serve once it has come into the cache; outputs of a map up to which the rows of tiles run
 * over images. */
enum { BLOCK_BYTES = 262144, MIN_BLOCK_POSITIONS = 48, SMALL_MAP = 128 };

/* Panels of a group at most, and rows of weights that are fetched ahead. */
enum { GROUP_PANELS = CM_GROUP_COLUMNS / CM_TILE_COLUMNS, PACK_AHEAD = 8 };

/* Weights to panels: column j of panel i is output channel i * CM_TILE_COLUMNS + j. A group of
 * panels at a time: rows of weights are far apart, often by a power of two, and the fewer of them
 * are visited again, the fewer pages and cache sets it takes. */
static void pack_row(const float *from, int columns, ptrdiff_t left, float *to, ptrdiff_t panel) {
    for (int c = 0; c < columns; c += CM_TILE_COLUMNS, to += panel) {
        for (int v = 0; v < 2; ++v) {
            const int at = c + v * VF_LANES;
            vf_store(to + v * VF_LANES, cm_load_left(from + at, left - at));
        }
    }
}

void cm_direct_pack(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                    float *panels) {
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t columns = shape->out_channels;
    const cm_range share = cm_team_share(team, cm_even_parts(columns, CM_GROUP_COLUMNS) * rows);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t first = i / rows * CM_GROUP_COLUMNS;
        const int count =
            (int)(columns - first < CM_GROUP_COLUMNS ? columns - first : CM_GROUP_COLUMNS);
        const float *from = weight + (i % rows) * columns + first;
        __builtin_prefetch(from + PACK_AHEAD * columns);
        pack_row(from, count, columns - first, panels + first * rows + i % rows * CM_TILE_COLUMNS,
                 rows * CM_TILE_COLUMNS);
    }
}

static void pack_forward(const pass *p, const kernel_part *part, cm_range panels, float *to) {
    const ptrdiff_t first = panels.begin * CM_TILE_COLUMNS, columns = p->columns;
    const int count = (int)(panels.end - panels.begin) * CM_TILE_COLUMNS;
    for (ptrdiff_t r = part->r.begin; r < part->r.end; ++r) {
        for (ptrdiff_t s = part->s.begin; s < part->s.end; ++s) {
            const ptrdiff_t row = (r * p->x.kernel + s) * p->depth;
            for (ptrdiff_t d = part->depth.begin; d < part->depth.end; ++d) {
                const float *from = p->weight + (row + d) * columns + first;
                for (int c = 0; c < count; c += CM_LINE_FLOATS) {
                    __builtin_prefetch(from + PACK_AHEAD * columns + c);
                }
                pack_row(from, count, columns - first, to, part->b_panel);
                to += CM_TILE_COLUMNS;
            }
        }
    }
}

/* The transposed weights: column j of a panel is input channel panel * CM_TILE_COLUMNS + j. */
static void pack_backward(const pass *p, const kernel_part *part, cm_range panels, float *to) {
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

/* Tiles of one panel: all but their first operand and their place. */
static cm_gemm_tile tile_of(const pass *p, int panel, const cm_gemm_tap *tap, int taps) {
    const int first = panel * CM_TILE_COLUMNS;
    return (cm_gemm_tile){
        .a_depth = 1,
        .b_depth = CM_TILE_COLUMNS,
        .tap = tap,
        .taps = taps,
        .columns = smaller(p->columns - first, CM_TILE_COLUMNS),
    };
}

/* Tiles along `rows`, for each output of the other two axes; `in` and `out` of the first output and
 * of the panel's first column. */
static void run_tiles(cm_gemm_tile *tile, extent rows, extent inner, extent outer, const float *in,
                      float *out) {
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

/* Outputs that no tap reaches. */
static void run_zeros(extent images, extent ys, extent xs, int columns, float *out) {
    for (int image = 0; image < images.count; ++image) {
        for (int y = 0; y < ys.count; ++y) {
            for (int x = 0; x < xs.count; ++x) {
                memset(out + image * images.out + y * ys.out + x * xs.out, 0,
                       (size_t)columns * sizeof *out);
            }
        }
    }
}

/* A region of the images [images.begin, images.end), one panel of the group. */
static void run_region(const pass *p, const kernel_part *part, cm_range group, int panel,
                       cm_range images, const span *y, const span *x) {
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    const ptrdiff_t out_row = (ptrdiff_t)p->x.out * p->columns;
    const extent over_images = {(int)(images.end - images.begin), p->y.in * in_row,
                                p->y.out * out_row};
    const extent down = {y->count, y->in_step * in_row, y->step * out_row};
    const extent along = {x->count, (ptrdiff_t)x->in_step * p->depth,
                          (ptrdiff_t)x->step * p->columns};
    float *out = p->out + images.begin * over_images.out + y->begin * out_row +
                 (ptrdiff_t)x->begin * p->columns + (ptrdiff_t)panel * CM_TILE_COLUMNS;
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    int taps = 0;
    for (int r = 0; r < y->taps; ++r) {
        for (int s = 0; s < x->taps; ++s) {
            tap[taps++] =
                (cm_gemm_tap){r * y->in_tap * in_row + (ptrdiff_t)s * x->in_tap * p->depth,
                              (y->tap + r * y->tap_step) * part->b_row +
                                  (x->tap + s * x->tap_step) * part->b_tap};
        }
    }
    cm_gemm_tile tile = tile_of(p, panel, tap, taps);
    if (part->last) {
        tile.epilogue = cm_conv2d_epilogue_at(&p->epilogue, (ptrdiff_t)panel * CM_TILE_COLUMNS);
    }
    const bool ends =
        tile.epilogue.bias != NULL || tile.epilogue.scale != NULL || tile.epilogue.relu;
    if (taps == 0 && !ends) {
        if (part->first && panel == group.begin) {
            const int columns = (int)(group.end - group.begin) * CM_TILE_COLUMNS;
            run_zeros(over_images, down, along,
                      smaller(columns, p->columns - panel * CM_TILE_COLUMNS), out);
        }
        return;
    }
    tile.b = part->b + (panel - group.begin) * part->b_panel;
    tile.depth = (int)(part->depth.end - part->depth.begin);
    tile.mode = part->first ? CM_GEMM_STORE : CM_GEMM_CONTINUE;
    const float *in = taps == 0 ? p->in
                                : p->in + images.begin * over_images.in + y->in * in_row +
                                      (ptrdiff_t)x->in * p->depth + part->depth.begin;
    const ptrdiff_t all = (ptrdiff_t)over_images.count * down.count * along.count;
    const ptrdiff_t tiles_along = cm_even_parts(along.count, VF_TILE_ROWS) * (all / along.count);
    const ptrdiff_t tiles_down = cm_even_parts(down.count, VF_TILE_ROWS) * (all / down.count);
    const ptrdiff_t tiles_over =
        cm_even_parts(over_images.count, VF_TILE_ROWS) * (all / over_images.count);
    if (tiles_along <= tiles_down && tiles_along <= tiles_over) {
        run_tiles(&tile, along, down, over_images, in, out);
    } else if (tiles_down <= tiles_over) {
        run_tiles(&tile, down, along, over_images, in, out);
    } else {
        run_tiles(&tile, over_images, along, down, in, out);
    }
}

/* A block of outputs, one panel of the group: region by region. */
static void run_block(const pass *p, const kernel_part *part, cm_range group, int panel,
                      const block *where) {
    for (int phase_y = 0; phase_y < p->y.phases; ++phase_y) {
        for (int y_at = (int)where->ys.begin + phase_y; y_at < where->ys.end;) {
            const span y = p->span_at(&part->y, y_at, (int)where->ys.end);
            for (int phase_x = 0; phase_x < p->x.phases; ++phase_x) {
                for (int x_at = (int)where->xs.begin + phase_x; x_at < where->xs.end;) {
                    const span x = p->span_at(&part->x, x_at, (int)where->xs.end);
                    if (p->planes != NULL && y.taps * x.taps > 0 && x.count >= MIN_COLUMNS) {
                        run_plane_region(p, part, where, &y, &x);
                    } else {
                        run_region(p, part, group, panel, where->images, &y, &x);
                    }
                    x_at += x.count * x.step;
                }
            }
            y_at += y.count * y.step;
        }
    }
}

/* A 1x1 convolution of stride 1 without padding is a matrix product: one row of positions. */
static void flatten(pass *p) {
    const bool product = p->y.kernel == 1 && p->x.kernel == 1 && p->y.stride == 1 &&
                         p->x.stride == 1 && p->y.padding == 0 && p->x.padding == 0;
    if (product) {
        p->x.in = p->x.out = p->batch * p->y.out * p->x.out;
        p->y.in = p->y.out = p->batch = 1;
    }
}

/* How a kernel is cut into parts, in the order of summation: some of its rows, or else some taps
 * of a row, or else a part of the depth of one tap. */
typedef struct cut {
    ptrdiff_t rows, taps, depth; /* at most, of a part */
    ptrdiff_t y, x, d;           /* parts of the kernel's rows, of a row, of the depth */
} cut;

static cut cut_kernel(const pass *p, ptrdiff_t columns) {
    const ptrdiff_t fitting = CM_GROUP_FLOATS / columns;
    const ptrdiff_t taps = fitting / p->depth;
    cut c = {.rows = 1, .taps = 1, .depth = p->depth};
    if (taps == 0 && p->packed == NULL) {
        c.depth = fitting; /* that is all there is room for */
    }
    if (taps >= p->x.kernel) {
        c.taps = p->x.kernel;
        c.rows = smaller((int)(taps / c.taps), p->y.kernel);
    } else if (taps > 1) {
        c.taps = taps;
    }
    c.y = cm_even_parts(p->y.kernel, c.rows);
    c.x = cm_even_parts(p->x.kernel, c.taps);
    c.d = cm_even_parts(p->depth, c.depth);
    return c;
}

/* Part `index`; its weights are packed, unless all of them are already. */
static kernel_part part_at(const pass *p, const cut *c, ptrdiff_t index, cm_range group) {
    kernel_part part = {
        .r = cm_even_part(p->y.kernel, c->rows, index / c->d / c->x),
        .s = cm_even_part(p->x.kernel, c->taps, index / c->d % c->x),
        .depth = cm_even_part(p->depth, c->depth, index % c->d),
        .first = index == 0,
        .last = index == c->y * c->x * c->d - 1,
    };
    part.y = axis_part(p->y, (int)part.r.begin, (int)part.r.end);
    part.x = axis_part(p->x, (int)part.s.begin, (int)part.s.end);
    if (p->packed != NULL) {
        const ptrdiff_t element = part.r.begin * p->x.kernel + part.s.begin;
        part.b_tap = (ptrdiff_t)p->depth * CM_TILE_COLUMNS;
        part.b_row = p->x.kernel * part.b_tap;
        part.b_panel = p->y.kernel * part.b_row;
        part.b = p->packed + group.begin * part.b_panel + element * part.b_tap +
                 part.depth.begin * CM_TILE_COLUMNS;
        return part;
    }
    part.b_tap = (part.depth.end - part.depth.begin) * CM_TILE_COLUMNS;
    part.b_row = part.x.kernel * part.b_tap;
    part.b_panel = part.y.kernel * part.b_row;
    part.b = p->panels;
    p->pack(p, &part, group, p->panels);
    return part;
}

/* How outputs are cut into blocks. */
typedef struct blocks {
    int images, rows, width; /* at most, of a block */
    ptrdiff_t over, down, along;
} blocks;

/* Positions that are read along an axis, at most. */
static ptrdiff_t positions_read(const axis *a) {
    const ptrdiff_t taps = (ptrdiff_t)a->out * a->kernel;
    return taps < a->in ? taps : a->in;
}

static blocks cut_outputs(const pass *p, ptrdiff_t depth) {
    const bool small = p->y.out * (ptrdiff_t)p->x.out <= SMALL_MAP && p->planes == NULL;
    const int images = small ? smaller(p->batch, VF_TILE_ROWS) : 1;
    /* What one output position reads, without its neighbours' part. */
    const ptrdiff_t bytes = (ptrdiff_t)sizeof(float) * depth * images * positions_read(&p->y) *
                            positions_read(&p->x) / ((ptrdiff_t)p->y.out * p->x.out);
    const ptrdiff_t fitting = BLOCK_BYTES / (bytes > 0 ? bytes : 1);
    const int positions = (int)(fitting > MIN_BLOCK_POSITIONS ? fitting : MIN_BLOCK_POSITIONS);
    blocks b = {.images = images,
                .rows = larger(1, positions / p->x.out),
                .width = positions < p->x.out ? positions : p->x.out};
    if (p->planes != NULL) {
        const ptrdiff_t rows = (ptrdiff_t)CM_PLANE_ROWS * p->y.stride;
        b.rows = rows < p->y.out ? (int)rows : p->y.out;
        b.width = p->x.out;
    }
    b.over = cm_even_parts(p->batch, b.images);
    b.down = cm_even_parts(p->y.out, b.rows);
    b.along = cm_even_parts(p->x.out, b.width);
    return b;
}

static block block_at(const pass *p, const blocks *b, ptrdiff_t index) {
    return (block){cm_even_part(p->batch, b->images, index / b->along / b->down),
                   cm_even_part(p->y.out, b->rows, index / b->along % b->down),
                   cm_even_part(p->x.out, b->width, index % b->along)};
}

/* The panels of a group: as many as fit, or fewer where that shortens the longest share by a tenth.
 */
static ptrdiff_t group_panels(const cm_team *team, ptrdiff_t panels, ptrdiff_t all_blocks) {
    ptrdiff_t best = 0, least = 0;
    for (ptrdiff_t size = panels < GROUP_PANELS ? panels : GROUP_PANELS; size > 0; size /= 2) {
        const ptrdiff_t items = cm_even_parts(panels, size) * all_blocks;
        const ptrdiff_t longest = cm_even_parts(items, team->count) * size;
        if (best == 0 || longest * 10 < least * 9) {
            best = size;
            least = longest;
        }
    }
    return best;
}

/* Items (group of panels, block of outputs), in order. The panels of a group are packed just before
 * they are multiplied, and both stay in the thread's second cache. */
static void run_items(const cm_team *team, const pass *p, const cut *c, const blocks *b,
                      ptrdiff_t group_size, cm_range items) {
    const ptrdiff_t panels = cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t all_blocks = b->over * b->down * b->along;
    for (ptrdiff_t i = items.begin, end; i < items.end; i = end) {
        const cm_range group = cm_even_part(panels, group_size, i / all_blocks);
        end = (i / all_blocks + 1) * all_blocks;
        end = end < items.end ? end : items.end;
        for (ptrdiff_t k = 0; k < c->y * c->x * c->d; ++k) {
            cm_trace_phase(team, CM_PHASE_KERNELS);
            const kernel_part part = part_at(p, c, k, group);
            cm_trace_phase(team, CM_PHASE_MULTIPLY);
            for (ptrdiff_t j = i; j < end; ++j) {
                const block where = block_at(p, b, j % all_blocks);
                if (p->planes != NULL) {
                    fill_planes(p, &where);
                }
                for (ptrdiff_t panel = group.begin; panel < group.end; ++panel) {
                    run_block(p, &part, group, (int)panel, &where);
                }
            }
        }
    }
}

static void run_pass(const cm_team *team, pass *p) {
    if (p->planes == NULL) {
        flatten(p);
    }
    const ptrdiff_t panels = cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t most = panels < GROUP_PANELS ? panels : GROUP_PANELS;
    const cut c = cut_kernel(p, most * CM_TILE_COLUMNS);
    const blocks b = cut_outputs(p, c.depth);
    const ptrdiff_t all_blocks = b.over * b.down * b.along;
    const ptrdiff_t group_size = group_panels(team, panels, all_blocks);
    cm_deal deal = cm_team_deal(team, cm_even_parts(panels, group_size) * all_blocks);
    for (cm_range items; cm_deal_range(&deal, &items);) {
        run_items(team, p, &c, &b, group_size, items);
    }
}

/* Rows of outputs, of all images, from padded images: a row of the kernel is one tap, whose depth
 * kernel_w x channels lies in one piece of memory; tile rows are runs of positions. */
static void run_padded_rows(const pass *p, const float *padded, cm_range rows) {
    const cm_conv2d_shape *shape = p->shape;
    const int panels = (int)cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t row = (ptrdiff_t)(shape->width + 2 * shape->padding_w) * shape->in_channels;
    const ptrdiff_t frame = (ptrdiff_t)cm_conv2d_padded_image(shape);
    const extent along = {shape->out_width, (ptrdiff_t)shape->stride_w * shape->in_channels,
                          p->columns};
    const extent one = {1, 0, 0};
    const ptrdiff_t depth = (ptrdiff_t)shape->kernel_w * shape->in_channels;
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    for (int r = 0; r < shape->kernel_h; ++r) {
        tap[r] = (cm_gemm_tap){r * row, r * depth * CM_TILE_COLUMNS};
    }
    for (ptrdiff_t i = rows.begin; i < rows.end; ++i) {
        const float *in =
            padded + i / shape->out_height * frame + i % shape->out_height * shape->stride_h * row;
        for (int panel = 0; panel < panels; ++panel) {
            const ptrdiff_t first = (ptrdiff_t)panel * CM_TILE_COLUMNS;
            cm_gemm_tile tile = tile_of(p, panel, tap, shape->kernel_h);
            tile.b = p->packed + first * shape->kernel_h * depth;
            tile.depth = (int)depth;
            tile.epilogue = cm_conv2d_epilogue_at(&p->epilogue, first);
            tile.mode = CM_GEMM_STORE;
            run_tiles(&tile, along, one, one, in,
                      p->out + i * shape->out_width * p->columns + first);
        }
    }
}

/* Forward for few input channels. */
static void forward_padded(const cm_team *team, const pass *p, float *padded) {
    const cm_conv2d_shape *shape = p->shape;
    const ptrdiff_t image = (ptrdiff_t)shape->height * shape->width * shape->in_channels;
    const cm_range share = cm_team_share(team, shape->batch);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        cm_conv2d_pad_image(shape, p->in + i * image,
                            padded + i * (ptrdiff_t)cm_conv2d_padded_image(shape));
    }
    cm_team_barrier(team);
    cm_deal deal = cm_team_deal(team, (ptrdiff_t)shape->batch * shape->out_height);
    for (cm_range rows; cm_deal_range(&deal, &rows);) {
        run_padded_rows(p, padded, rows);
    }
}

void cm_direct_forward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                       const float *weight, const float *packed, const cm_conv2d_epilogue *epilogue,
                       float *y, float *kept, void *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, team->count);
    (void)kept; /* it keeps nothing */
    float *panels = (float *)workspace + layout.panels;
    pass p = {
        .shape = shape,
        .batch = shape->batch,
        .y = {shape->height, shape->out_height, shape->kernel_h, shape->stride_h, shape->padding_h,
              1},
        .x = {shape->width, shape->out_width, shape->kernel_w, shape->stride_w, shape->padding_w,
              1},
        .span_at = span_forward,
        .columns = shape->out_channels,
        .depth = shape->in_channels,
        .in = x,
        .weight = weight,
        .packed = packed,
        .pack = pack_forward,
        .panels = panels + (size_t)team->index * layout.panel,
        .epilogue = *epilogue,
        .out = y,
    };
    if (!cm_conv2d_uses_patches(shape)) {
        run_pass(team, &p);
        return;
    }
    if (packed == NULL) {
        cm_trace_phase(team, CM_PHASE_KERNELS);
        cm_direct_pack(team, shape, weight, panels);
        p.packed = panels;
    }
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    forward_padded(team, &p, (float *)workspace + layout.weights);
}

void cm_direct_backward_data(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                             const float *weight, float *dx, void *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, team->count);
    pass p = {
        .shape = shape,
        .batch = shape->batch,
        .y = {shape->out_height, shape->height, shape->kernel_h, shape->stride_h, shape->padding_h,
              shape->stride_h},
        .x = {shape->out_width, shape->width, shape->kernel_w, shape->stride_w, shape->padding_w,
              shape->stride_w},
        .span_at = span_backward,
        .columns = shape->in_channels,
        .depth = shape->out_channels,
        .in = dy,
        .weight = weight,
        .pack = pack_backward,
        .panels = (float *)workspace + layout.panels + (size_t)team->index * layout.panel,
        .plane_row = (ptrdiff_t)cm_conv2d_plane_row(shape),
        .out = dx,
    };
    if (layout.dy_plane > 0 && shape->in_channels <= smaller(VF_TILE_ROWS, CM_TILE_COLUMNS)) {
        p.planes = (float *)workspace + layout.dy_planes + (size_t)team->index * layout.dy_plane;
    }
    run_pass(team, &p);
}
