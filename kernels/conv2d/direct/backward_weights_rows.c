/* Direct backward-weights where rows of outputs are long enough to be the depth of a tile.
 *
 * Both operands have a few channels of each position, far apart. So some rows of outputs at a time,
 * a chunk, are packed together: x to panels as high as a tile, dy to panels as wide as a tile. */
#include "kernels/isa.h"

#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/axis.h"
#include "kernels/conv2d/direct/backward_weights.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/simd/vectors.h"
#include "kernels/sizes.h"

_Static_assert(2 * CM_A_PANEL_ROWS <= 3 * VF_TILE_ROWS, "the plan has no wider panels of x");

static ptrdiff_t smaller_count(ptrdiff_t a, ptrdiff_t b) {
    return a < b ? a : b;
}

/* Rows of x that some rows of outputs read: the first one, and the others `step` apart. */
static cm_range rows_read_by_chunk(const cm_conv2d_shape *shape, cm_range ps, int step) {
    const ptrdiff_t above = ps.begin * shape->stride_h - shape->padding_h;
    const ptrdiff_t below = (ps.end - 1) * shape->stride_h - shape->padding_h + shape->kernel_h;
    const ptrdiff_t end = below < shape->height ? below : shape->height;
    ptrdiff_t begin = above;
    while (begin < 0) {
        begin += step;
    }
    return (cm_range){begin, end > begin ? begin + (end - begin + step - 1) / step : begin};
}

/* How the operands of tap s of a filter's row are packed. Where rows are short, or the filter's row
 * is one tap, each tap has a copy of its own, of the positions that it reads and of the outputs
 * that read them: rows then follow one another without a gap, and a chain is one long loop
 * (otherwise it has 7 steps per row of a 7x7 map, and then a mispredicted branch). */
typedef struct packed_copy {
    cm_range qs;      /* outputs of a row that read inside the map */
    int w, w_step, x; /* x: columns w, w + w_step ... of the map, x of them */
    int q, y;         /* dy: columns from q on, y of them */
} packed_copy;

/* Some rows of outputs of one image, packed. */
typedef struct row_chunk {
    int image;
    cm_range ps, hs;  /* rows of outputs, and rows of x that they read */
    bool first, last; /* of the image's chunks */
    float *x, *dy;    /* [copies][x panels][h][w][rows], [copies][dy panels][p][q][columns] */
} row_chunk;

/* What is the same for all chunks. */
typedef struct rows_pass {
    const cm_conv2d_shape *shape;
    const cm_conv2d_direct_plan *plan;
    int h_step; /* of the rows of x that are packed: a filter of one row skips some */
    ptrdiff_t x_panels, dy_panels, taps;
    int together; /* panels of dy that are multiplied together */
    const float *x, *dy;
    float *dweight;
    float *partial; /* sums of an image that has several chunks: [tap][dy panel][in][columns] */
} rows_pass;

static packed_copy copy_of(const rows_pass *p, int s) {
    const cm_conv2d_shape *shape = p->shape;
    const cm_range qs =
        cm_valid_outputs(s, shape->width, shape->out_width, shape->stride_w, shape->padding_w);
    const int count = (int)(qs.end - qs.begin);
    const int w = (int)qs.begin * shape->stride_w - shape->padding_w + s;
    if (p->plan->chunk_copies < shape->kernel_w) {
        return (packed_copy){qs, 0, 1, shape->width, 0, shape->out_width};
    }
    return (packed_copy){qs, w, shape->stride_w, count, (int)qs.begin, count};
}

/* Positions `from`, `from` + step ... of one row of x to these panels, which are `panel` floats
 * apart. */
static void pack_x_row(ptrdiff_t in, cm_range panels, const float *from, ptrdiff_t step, int count,
                       float *to, ptrdiff_t panel) {
    for (ptrdiff_t first = panels.begin; first < panels.end; first += CM_PANELS_TOGETHER) {
        const int some = (int)smaller_count(panels.end - first, CM_PANELS_TOGETHER);
        ptrdiff_t channel[CM_PANELS_TOGETHER];
        for (int i = 0; i < some; ++i) {
            channel[i] = cm_even_part(in, VF_TILE_ROWS, first + i).begin;
        }
        const bool whole = channel[some - 1] + CM_A_PANEL_ROWS <= in;
        for (int w = 0; w < count; ++w) {
            const float *values = from + w * step;
            for (int i = 0; i < some; ++i) {
                float *panel_to = to + (first + i) * panel + (ptrdiff_t)w * CM_A_PANEL_ROWS;
                for (int v = 0; v < CM_A_PANEL_ROWS; v += VF_LANES) {
                    const ptrdiff_t c = channel[i] + v;
                    vf_store(panel_to + v, cm_load_left(values + c, whole ? VF_LANES : in - c));
                }
            }
        }
    }
}

static void pack_x(const cm_team *team, const rows_pass *p, const row_chunk *chunk) {
    const cm_conv2d_shape *shape = p->shape;
    const ptrdiff_t in = shape->in_channels;
    const cm_range panels = cm_team_share(team, p->x_panels);
    const float *image = p->x + (ptrdiff_t)chunk->image * shape->height * shape->width * in;
    const ptrdiff_t rows = chunk->hs.end - chunk->hs.begin;
    for (int s = 0; s < p->plan->chunk_copies; ++s) {
        const packed_copy c = copy_of(p, s);
        for (ptrdiff_t i = 0; i < rows; ++i) {
            const ptrdiff_t h = chunk->hs.begin + i * p->h_step;
            pack_x_row(in, panels, image + (h * shape->width + c.w) * in, c.w_step * in, c.x,
                       chunk->x + s * (ptrdiff_t)p->plan->chunk_x + i * c.x * CM_A_PANEL_ROWS,
                       rows * c.x * CM_A_PANEL_ROWS);
        }
    }
}

/* `count` positions of one row of dy to these panels, which are `panel` floats apart. */
static void pack_dy_row(ptrdiff_t out, cm_range panels, const float *from, int count, float *to,
                        ptrdiff_t panel) {
    for (int q = 0; q < count; ++q) {
        for (ptrdiff_t i = panels.begin; i < panels.end; ++i) {
            const float *values = from + q * out + i * CM_TILE_COLUMNS;
            float *panel_to = to + i * panel + (ptrdiff_t)q * CM_TILE_COLUMNS;
            const ptrdiff_t left = out - i * CM_TILE_COLUMNS;
            for (int v = 0; v < 2; ++v) {
                vf_store(panel_to + v * VF_LANES,
                         cm_load_left(values + v * VF_LANES, left - v * VF_LANES));
            }
        }
    }
}

static void pack_dy(const cm_team *team, const rows_pass *p, const row_chunk *chunk) {
    const cm_conv2d_shape *shape = p->shape;
    const cm_range panels = cm_team_share(team, p->dy_panels);
    const ptrdiff_t out = shape->out_channels, rows = chunk->ps.end - chunk->ps.begin;
    const float *from = p->dy + ((ptrdiff_t)chunk->image * shape->out_height + chunk->ps.begin) *
                                    shape->out_width * out;
    for (int s = 0; s < p->plan->chunk_copies; ++s) {
        const packed_copy c = copy_of(p, s);
        float *to = chunk->dy + s * (ptrdiff_t)p->plan->chunk_dy;
        for (ptrdiff_t i = 0; i < rows; ++i) {
            pack_dy_row(out, panels, from + (i * shape->out_width + c.q) * out, c.y,
                        to + i * c.y * CM_TILE_COLUMNS, rows * c.y * CM_TILE_COLUMNS);
        }
    }
}

/* A tile of tap (r, s), without its panels and its place in dweight. */
static cm_gemm_tile tap_tile(const rows_pass *p, const row_chunk *chunk, int r, int s,
                             cm_gemm_term *term) {
    const cm_conv2d_shape *shape = p->shape;
    const packed_copy c = copy_of(p, s);
    const bool own = p->plan->chunk_copies == shape->kernel_w;
    const cm_range ps =
        cm_valid_outputs(r, shape->height, shape->out_height, shape->stride_h, shape->padding_h);
    const ptrdiff_t begin = ps.begin > chunk->ps.begin ? ps.begin : chunk->ps.begin;
    const ptrdiff_t end = ps.end < chunk->ps.end ? ps.end : chunk->ps.end;
    const ptrdiff_t count = c.qs.end - c.qs.begin;
    const ptrdiff_t w = own ? 0 : c.qs.begin * shape->stride_w - shape->padding_w + s;
    const ptrdiff_t q = own ? 0 : c.qs.begin;
    cm_gemm_tile tile = {
        .a = chunk->x + (own ? s : 0) * (ptrdiff_t)p->plan->chunk_x,
        .a_row = 1,
        .a_depth = (own ? 1 : shape->stride_w) * CM_A_PANEL_ROWS,
        .b = chunk->dy + (own ? s : 0) * (ptrdiff_t)p->plan->chunk_dy,
        .b_depth = CM_TILE_COLUMNS,
        .term = term,
        .depth = (int)count,
    };
    for (ptrdiff_t i = begin; i < end && count > 0; ++i) {
        const ptrdiff_t h = i * shape->stride_h - shape->padding_h + r - chunk->hs.begin;
        term[tile.terms++] = (cm_gemm_term){(h / p->h_step * c.x + w) * CM_A_PANEL_ROWS,
                                            ((i - chunk->ps.begin) * c.y + q) * CM_TILE_COLUMNS};
    }
    if (own && p->h_step == shape->stride_h && tile.terms > 0) {
        tile.depth *= tile.terms;
        tile.terms = 1;
    }
    return tile;
}

/* dweight = dweight + the image's sum, which is in the tile's C; of the first image, the sum. */
static void add_image(const cm_gemm_tile *tile, int rows, bool first, float *dweight,
                      ptrdiff_t row) {
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < tile->columns; ++j) {
            const float base = first ? 0.0F : dweight[i * row + j];
            dweight[i * row + j] = base + tile->c[i * tile->c_row + j];
        }
    }
}

/* The tiles `items` of tap `element`: of the panels of x from x_panel on and `panels` panels of dy
 * from dy_panel on, those of dy inside. `tile` is tap_tile()'s; it is changed. */
static void run_tap(const rows_pass *p, const row_chunk *chunk, cm_gemm_tile *tile,
                    ptrdiff_t element, ptrdiff_t x_panel, ptrdiff_t dy_panel, ptrdiff_t panels,
                    cm_range items) {
    static const float zeros[CM_TILE_COLUMNS];
    const ptrdiff_t in = p->shape->in_channels, out = p->shape->out_channels;
    const packed_copy c = copy_of(p, (int)(element % p->shape->kernel_w));
    const ptrdiff_t x_panel_floats = (chunk->hs.end - chunk->hs.begin) * c.x * CM_A_PANEL_ROWS;
    const ptrdiff_t dy_panel_floats = (chunk->ps.end - chunk->ps.begin) * c.y * CM_TILE_COLUMNS;
    const float *a = tile->a + x_panel * x_panel_floats;
    const float *b = tile->b + dy_panel * dy_panel_floats;
    const bool once = chunk->first && chunk->last;
    ptrdiff_t j = items.begin % panels, i = items.begin / panels;
    tile->c_row = once ? out : CM_TILE_COLUMNS;
    tile->mode = once || !chunk->first ? CM_GEMM_ADD : CM_GEMM_STORE;
    for (ptrdiff_t item = items.begin; item < items.end; ++i, j = 0) {
        const cm_range channels = cm_even_part(in, VF_TILE_ROWS, x_panel + i);
        const int rows = (int)(channels.end - channels.begin);
        tile->a = a + i * x_panel_floats;
        for (; j < panels && item < items.end; ++j, ++item) {
            const ptrdiff_t k = (dy_panel + j) * CM_TILE_COLUMNS;
            float *dweight = p->dweight + (element * in + channels.begin) * out + k;
            float *partial =
                p->partial +
                ((element * p->dy_panels + dy_panel + j) * in + channels.begin) * CM_TILE_COLUMNS;
            tile->b = b + j * dy_panel_floats;
            tile->c = once ? dweight : partial;
            tile->base = once ? (chunk->image == 0 ? zeros : dweight) : partial;
            tile->base_row = !once ? CM_TILE_COLUMNS : chunk->image == 0 ? 0 : out;
            tile->columns = (int)(out - k < CM_TILE_COLUMNS ? out - k : CM_TILE_COLUMNS);
            cm_gemm_micro_kernel(rows, tile);
            if (chunk->last && !once) {
                add_image(tile, rows, chunk->image == 0, dweight, out);
            }
        }
    }
}

/* The tiles `share` of dweight, in the order: some panels of dy, some panels of x, all taps, these
 * panels of x, these panels of dy. A panel of x serves all taps and output channels, one of dy all
 * taps and input channels. */
static void multiply_chunk(const rows_pass *p, const row_chunk *chunk, cm_range share) {
    cm_gemm_term term[CM_MAX_CHAIN_ROWS];
    for (ptrdiff_t i = share.begin; i < share.end;) {
        const ptrdiff_t dy_panel = i / (p->x_panels * p->taps * p->together) * p->together;
        const ptrdiff_t panels = smaller_count(p->together, p->dy_panels - dy_panel);
        const ptrdiff_t in_panels = i - dy_panel * p->x_panels * p->taps;
        const ptrdiff_t x_panel =
            in_panels / (panels * p->taps * CM_PANELS_TOGETHER) * CM_PANELS_TOGETHER;
        const ptrdiff_t tiles = smaller_count(CM_PANELS_TOGETHER, p->x_panels - x_panel) * panels;
        const ptrdiff_t item = in_panels - x_panel * panels * p->taps;
        const ptrdiff_t element = item / tiles, begin = item % tiles;
        const cm_range items = {begin, smaller_count(tiles, begin + share.end - i)};
        cm_gemm_tile tile = tap_tile(p, chunk, (int)(element / p->shape->kernel_w),
                                     (int)(element % p->shape->kernel_w), term);
        run_tap(p, chunk, &tile, element, x_panel, dy_panel, panels, items);
        i += items.end - items.begin;
    }
}

void cm_direct_backward_weights_rows(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const cm_conv2d_direct_plan *plan = &args->plan->direct;
    float *workspace = args->workspace;
    const ptrdiff_t chunks = cm_even_parts(shape->out_height, plan->chunk_rows);
    const ptrdiff_t panel = (ptrdiff_t)plan->chunk_rows * shape->out_width * CM_TILE_COLUMNS;
    const rows_pass p = {
        .shape = shape,
        .plan = plan,
        .h_step = shape->kernel_h == 1 ? shape->stride_h : 1,
        .x_panels = cm_even_parts(shape->in_channels, VF_TILE_ROWS),
        .dy_panels = cm_even_parts(shape->out_channels, CM_TILE_COLUMNS),
        .taps = (ptrdiff_t)shape->kernel_h * shape->kernel_w,
        .together = panel < CM_TOGETHER_FLOATS ? (int)(CM_TOGETHER_FLOATS / panel) : 1,
        .x = args->x,
        .dy = args->dy,
        .dweight = args->dweight,
        .partial = workspace + plan->panels,
    };
    const cm_range share = cm_team_share(team, p.x_panels * p.dy_panels * p.taps);
    /* With two buffers one barrier per chunk is enough: threads that pack the next chunk write the
     * other buffer. */
    const int buffers = team->count > 1 ? 2 : 1;
    for (ptrdiff_t i = 0; i < shape->batch * chunks; ++i) {
        float *buffer = workspace + plan->copies + (size_t)(i % buffers) * plan->chunk;
        row_chunk chunk = {.image = (int)(i / chunks),
                           .ps = cm_even_part(shape->out_height, plan->chunk_rows, i % chunks),
                           .first = i % chunks == 0,
                           .last = i % chunks == chunks - 1,
                           .x = buffer,
                           .dy = buffer + (size_t)plan->chunk_copies * plan->chunk_x};
        chunk.hs = rows_read_by_chunk(shape, chunk.ps, p.h_step);
        pack_x(team, &p, &chunk);
        pack_dy(team, &p, &chunk);
        cm_team_barrier(team);
        multiply_chunk(&p, &chunk, share);
    }
}
