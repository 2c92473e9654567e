#include "kernels/isa.h"

#include "kernels/conv2d/direct/pass.h"

#include "convmark/trace.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/sizes.h"

/* Panels of a group at most. */
enum { GROUP_PANELS = CM_GROUP_COLUMNS / CM_TILE_COLUMNS };

/* A block of outputs, one panel of the group: region by region. */
static void run_block(const cm_direct_pass *p, const cm_filter_part *part, int panel,
                      const cm_output_block *where) {
    for (int phase_y = 0; phase_y < p->y.phases; ++phase_y) {
        for (int y_at = (int)where->ys.begin + phase_y; y_at < where->ys.end;) {
            const cm_span y = p->span_at(&part->y, y_at, (int)where->ys.end);
            for (int phase_x = 0; phase_x < p->x.phases; ++phase_x) {
                for (int x_at = (int)where->xs.begin + phase_x; x_at < where->xs.end;) {
                    const cm_span x = p->span_at(&part->x, x_at, (int)where->xs.end);
                    if (cm_direct_uses_rows(p, &y, &x)) {
                        cm_direct_run_rows(p, part, where, &y, &x);
                    } else {
                        cm_direct_run_region(p, part, panel, where, &y, &x);
                    }
                    x_at += x.count * x.step;
                }
            }
            y_at += y.count * y.step;
        }
    }
}

/* A 1x1 convolution of stride 1 without padding is a matrix product: one row of positions. */
static void flatten_pass(cm_direct_pass *p) {
    const bool product = p->y.kernel == 1 && p->x.kernel == 1 && p->y.stride == 1 &&
                         p->x.stride == 1 && p->y.padding == 0 && p->x.padding == 0;
    if (product) {
        p->x.in = p->x.out = p->batch * p->y.out * p->x.out;
        p->y.in = p->y.out = p->batch = 1;
    }
}

/* How filters are cut into parts, in the order of summation: some of their rows, or else some taps
 * of a row, or else a part of the depth of one tap. */
typedef struct filter_cut {
    ptrdiff_t rows, taps, depth; /* at most, of a part */
    ptrdiff_t y, x, d;           /* parts of the filter's rows, of a row, of the depth */
} filter_cut;

static filter_cut cut_filters(const cm_direct_pass *p, ptrdiff_t columns) {
    const ptrdiff_t fitting = CM_GROUP_FLOATS / columns;
    const ptrdiff_t taps = fitting / p->depth;
    filter_cut c = {.rows = 1, .taps = 1, .depth = p->depth};
    if (taps == 0 && p->packed == NULL) {
        c.depth = fitting; /* that is all there is room for */
    }
    if (taps >= p->x.kernel) {
        c.taps = p->x.kernel;
        c.rows = cm_smaller((int)(taps / c.taps), p->y.kernel);
    } else if (taps > 1) {
        c.taps = taps;
    }
    c.y = cm_even_parts(p->y.kernel, c.rows);
    c.x = cm_even_parts(p->x.kernel, c.taps);
    c.d = cm_even_parts(p->depth, c.depth);
    return c;
}

/* Part `index`; its filters are packed, unless all of them are already. */
static cm_filter_part part_at(const cm_direct_pass *p, const filter_cut *c, ptrdiff_t index,
                              cm_range group) {
    cm_filter_part part = {
        .r = cm_even_part(p->y.kernel, c->rows, index / c->d / c->x),
        .s = cm_even_part(p->x.kernel, c->taps, index / c->d % c->x),
        .depth = cm_even_part(p->depth, c->depth, index % c->d),
        .first = index == 0,
        .last = index == c->y * c->x * c->d - 1,
        .group = group,
    };
    part.y = cm_axis_part(p->y, (int)part.r.begin, (int)part.r.end);
    part.x = cm_axis_part(p->x, (int)part.s.begin, (int)part.s.end);
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
    p->pack(p, &part, p->panels);
    return part;
}

/* How outputs are cut into blocks. */
typedef struct output_cut {
    int images, rows, width; /* at most, of a block */
    ptrdiff_t over, down, along;
} output_cut;

/* Positions that are read along an axis, at most. */
static ptrdiff_t positions_read(const cm_axis *a) {
    const ptrdiff_t taps = (ptrdiff_t)a->out * a->kernel;
    return taps < a->in ? taps : a->in;
}

static output_cut cut_outputs(const cm_direct_pass *p, ptrdiff_t depth) {
    const bool small = p->y.out * (ptrdiff_t)p->x.out <= CM_SMALL_MAP && p->rows == NULL;
    const int images = small ? cm_smaller(p->batch, VF_TILE_ROWS) : 1;
    /* What one output position reads and its neighbours do not. */
    const ptrdiff_t bytes = (ptrdiff_t)sizeof(float) * depth * images * positions_read(&p->y) *
                            positions_read(&p->x) / ((ptrdiff_t)p->y.out * p->x.out);
    const ptrdiff_t fitting = CM_BLOCK_BYTES / (bytes > 0 ? bytes : 1);
    const int positions =
        (int)(fitting > CM_MIN_BLOCK_POSITIONS ? fitting : CM_MIN_BLOCK_POSITIONS);
    output_cut b = {.images = images,
                    .rows = cm_larger(1, positions / p->x.out),
                    .width = positions < p->x.out ? positions : p->x.out};
    if (p->rows != NULL) {
        const ptrdiff_t rows = (ptrdiff_t)CM_TRANSPOSED_ROWS * p->y.stride;
        b.rows = rows < p->y.out ? (int)rows : p->y.out;
        b.width = p->x.out;
    }
    b.over = cm_even_parts(p->batch, b.images);
    b.down = cm_even_parts(p->y.out, b.rows);
    b.along = cm_even_parts(p->x.out, b.width);
    return b;
}

static cm_output_block block_at(const cm_direct_pass *p, const output_cut *b, ptrdiff_t index) {
    return (cm_output_block){cm_even_part(p->batch, b->images, index / b->along / b->down),
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
 * they are multiplied, and stay in the thread's L2 cache with the inputs of a block. */
static void run_items(const cm_team *team, const cm_direct_pass *p, const filter_cut *c,
                      const output_cut *b, ptrdiff_t group_size, cm_range items) {
    const ptrdiff_t panels = cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t all_blocks = b->over * b->down * b->along;
    for (ptrdiff_t i = items.begin, end; i < items.end; i = end) {
        const cm_range group = cm_even_part(panels, group_size, i / all_blocks);
        end = (i / all_blocks + 1) * all_blocks;
        end = end < items.end ? end : items.end;
        for (ptrdiff_t k = 0; k < c->y * c->x * c->d; ++k) {
            cm_trace_phase(team, CM_PHASE_KERNELS);
            const cm_filter_part part = part_at(p, c, k, group);
            cm_trace_phase(team, CM_PHASE_MULTIPLY);
            for (ptrdiff_t j = i; j < end; ++j) {
                const cm_output_block where = block_at(p, b, j % all_blocks);
                if (p->rows != NULL) {
                    cm_direct_transpose_rows(p, &where);
                }
                for (ptrdiff_t panel = group.begin; panel < group.end; ++panel) {
                    run_block(p, &part, (int)panel, &where);
                }
            }
        }
    }
}

void cm_direct_run_pass(const cm_team *team, cm_direct_pass *p) {
    if (p->rows == NULL) {
        flatten_pass(p);
    }
    const ptrdiff_t panels = cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t most = panels < GROUP_PANELS ? panels : GROUP_PANELS;
    const filter_cut c = cut_filters(p, most * CM_TILE_COLUMNS);
    const output_cut b = cut_outputs(p, c.depth);
    const ptrdiff_t all_blocks = b.over * b.down * b.along;
    const ptrdiff_t group_size = group_panels(team, panels, all_blocks);
    cm_deal deal = cm_team_deal(team, cm_even_parts(panels, group_size) * all_blocks);
    for (cm_range items; cm_deal_range(&deal, &items);) {
        run_items(team, p, &c, &b, group_size, items);
    }
}
