/* Direct convolution, backward by weights: dweight[tap] = X[tap]^T dY, a GEMM whose depth runs over
 * output positions and images. Every thread owns a part of dweight and walks all images.
 *
 * The two operands lie across memory, a few channels of each position. So some rows of outputs at a
 * time are copied together: x to strips as wide as a tile is high, dy to panels. A strip serves all
 * taps and output channels, a panel all taps and input channels. */
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/internal.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/simd/vectors.h"

#include <string.h>

/* TAPS_PER_CALL: of a list on the stack. PANEL_FLOATS: panels of dy that share half a first cache,
 * so that neighbouring tiles of dweight are written one after the other. */
enum { TAPS_PER_CALL = CM_MAX_CHUNK_ROWS, PANEL_FLOATS = 4096, STRIPS = 8 };

/* Images of a block where rows of outputs are short: part of the contract, because it is the order
 * of summation. */
enum { IMAGES_PER_BLOCK = 32 };

/* Floats between the positions of a strip. */
enum { STRIP = CM_TILE_STRIP };

_Static_assert((int)STRIP <= (int)CM_MAX_STRIP, "the workspace has no wider strips");
_Static_assert(2 * STRIP <= 3 * VF_TILE_ROWS, "the workspace has no wider strips");

/* Output positions [begin, end) along one axis for which tap `r` reads inside the map. */
static cm_range valid_outputs(int tap, int in, int out, int stride, int padding) {
    int begin = 0, end = out;
    while (begin < end && begin * stride - padding + tap < 0) {
        ++begin;
    }
    while (end > begin && (end - 1) * stride - padding + tap >= in) {
        --end;
    }
    return (cm_range){begin, end};
}

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) {
    return a < b ? a : b;
}

/* Rows of x that some rows of outputs read: the first, and as many as there are `step` apart. */
static cm_range rows_read(const cm_conv2d_shape *shape, cm_range ps, int step) {
    const ptrdiff_t above = ps.begin * shape->stride_h - shape->padding_h;
    const ptrdiff_t below = (ps.end - 1) * shape->stride_h - shape->padding_h + shape->kernel_h;
    const ptrdiff_t end = below < shape->height ? below : shape->height;
    ptrdiff_t begin = above;
    while (begin < 0) {
        begin += step;
    }
    return (cm_range){begin, end > begin ? begin + (end - begin + step - 1) / step : begin};
}

/* How the operands of tap s of a kernel's row are packed. Where rows are short, or a tap is all of
 * the kernel's row, each tap has a copy of its own, of the positions that it reads and of the
 * outputs that read them: rows then follow one another without a gap, and a chain is one long loop
 * (7 steps a row otherwise, and then a branch that is predicted wrongly). */
typedef struct copy {
    cm_range qs;      /* outputs of a row that read inside the map */
    int w, w_step, x; /* x: columns w, w + w_step ... of the map, x of them */
    int q, y;         /* dy: columns from q on, y of them */
} copy;

/* Some rows of outputs of one image, packed. */
typedef struct chunk {
    int image;
    cm_range ps, hs;  /* rows of outputs, and rows of x that they read */
    bool first, last; /* of the image's chunks */
    float *x, *dy;    /* [copies][strips][h][w][STRIP], [copies][panels][p][q][columns] */
} chunk;

/* What is the same for all chunks. */
typedef struct weight_pass {
    const cm_conv2d_shape *shape;
    cm_conv2d_chunk size;
    int h_step; /* rows of x that are packed: a kernel of one row reads some only */
    ptrdiff_t strips, panels, taps;
    int together; /* panels */
    const float *x, *dy;
    float *dweight;
    float *partial; /* chains of an image that has several chunks: [tap][panel][in][columns] */
} weight_pass;

static copy copy_of(const weight_pass *p, int s) {
    const cm_conv2d_shape *shape = p->shape;
    const cm_range qs =
        valid_outputs(s, shape->width, shape->out_width, shape->stride_w, shape->padding_w);
    const int count = (int)(qs.end - qs.begin);
    const int w = (int)qs.begin * shape->stride_w - shape->padding_w + s;
    if (p->size.copies < shape->kernel_w) {
        return (copy){qs, 0, 1, shape->width, 0, shape->out_width};
    }
    return (copy){qs, w, shape->stride_w, count, (int)qs.begin, count};
}

/* Positions `from`, `from` + step ... of one row of x to the strips [strips.begin, strips.end). */
static void pack_x_row(ptrdiff_t in, cm_range strips, const float *from, ptrdiff_t step, int count,
                       float *to, ptrdiff_t strip) {
    for (ptrdiff_t block = strips.begin; block < strips.end; block += STRIPS) {
        const int some = (int)(strips.end - block < STRIPS ? strips.end - block : STRIPS);
        ptrdiff_t channel[STRIPS];
        for (int i = 0; i < some; ++i) {
            channel[i] = cm_even_part(in, VF_TILE_ROWS, block + i).begin;
        }
        const bool whole = channel[some - 1] + STRIP <= in;
        for (int w = 0; w < count; ++w) {
            const float *values = from + w * step;
            for (int i = 0; i < some; ++i) {
                float *strip_to = to + (block + i) * strip + (ptrdiff_t)w * STRIP;
                for (int v = 0; v < STRIP; v += VF_LANES) {
                    const ptrdiff_t c = channel[i] + v;
                    vf_store(strip_to + v, cm_load_left(values + c, whole ? VF_LANES : in - c));
                }
            }
        }
    }
}

static void pack_x(const cm_team *team, const weight_pass *p, const chunk *part) {
    const cm_conv2d_shape *shape = p->shape;
    const ptrdiff_t in = shape->in_channels;
    const cm_range strips = cm_team_share(team, p->strips);
    const float *image = p->x + (ptrdiff_t)part->image * shape->height * shape->width * in;
    const ptrdiff_t rows = part->hs.end - part->hs.begin;
    for (int s = 0; s < p->size.copies; ++s) {
        const copy c = copy_of(p, s);
        for (ptrdiff_t i = 0; i < rows; ++i) {
            const ptrdiff_t h = part->hs.begin + i * p->h_step;
            pack_x_row(in, strips, image + (h * shape->width + c.w) * in, c.w_step * in, c.x,
                       part->x + s * (ptrdiff_t)p->size.x + i * c.x * STRIP, rows * c.x * STRIP);
        }
    }
}

/* Positions of one row of dy, one after the other, to the panels [panels.begin, panels.end). */
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

static void pack_dy(const cm_team *team, const weight_pass *p, const chunk *part) {
    const cm_conv2d_shape *shape = p->shape;
    const cm_range panels = cm_team_share(team, p->panels);
    const ptrdiff_t out = shape->out_channels, rows = part->ps.end - part->ps.begin;
    const float *from = p->dy + ((ptrdiff_t)part->image * shape->out_height + part->ps.begin) *
                                    shape->out_width * out;
    for (int s = 0; s < p->size.copies; ++s) {
        const copy c = copy_of(p, s);
        float *to = part->dy + s * (ptrdiff_t)p->size.dy;
        for (ptrdiff_t i = 0; i < rows; ++i) {
            pack_dy_row(out, panels, from + (i * shape->out_width + c.q) * out, c.y,
                        to + i * c.y * CM_TILE_COLUMNS, rows * c.y * CM_TILE_COLUMNS);
        }
    }
}

/* Tiles of one tap: all but their operands' strip and panel and their place in dweight. */
static cm_gemm_tile tap_tile(const weight_pass *p, const chunk *part, int r, int s,
                             cm_gemm_tap *tap) {
    const cm_conv2d_shape *shape = p->shape;
    const copy c = copy_of(p, s);
    const bool own = p->size.copies == shape->kernel_w;
    const cm_range ps =
        valid_outputs(r, shape->height, shape->out_height, shape->stride_h, shape->padding_h);
    const ptrdiff_t begin = ps.begin > part->ps.begin ? ps.begin : part->ps.begin;
    const ptrdiff_t end = ps.end < part->ps.end ? ps.end : part->ps.end;
    const ptrdiff_t count = c.qs.end - c.qs.begin;
    const ptrdiff_t w = own ? 0 : c.qs.begin * shape->stride_w - shape->padding_w + s;
    const ptrdiff_t q = own ? 0 : c.qs.begin;
    cm_gemm_tile tile = {
        .a = part->x + (own ? s : 0) * (ptrdiff_t)p->size.x,
        .a_row = 1,
        .a_depth = (own ? 1 : shape->stride_w) * STRIP,
        .b = part->dy + (own ? s : 0) * (ptrdiff_t)p->size.dy,
        .b_depth = CM_TILE_COLUMNS,
        .tap = tap,
        .depth = (int)count,
    };
    for (ptrdiff_t i = begin; i < end && count > 0; ++i) {
        const ptrdiff_t h = i * shape->stride_h - shape->padding_h + r - part->hs.begin;
        tap[tile.taps++] = (cm_gemm_tap){(h / p->h_step * c.x + w) * STRIP,
                                         ((i - part->ps.begin) * c.y + q) * CM_TILE_COLUMNS};
    }
    if (own && p->h_step == shape->stride_h && tile.taps > 0) {
        tile.depth *= tile.taps;
        tile.taps = 1;
    }
    return tile;
}

/* dweight = base + the chain, which has ended in the tile; base may be dweight. */
static void add_partial(const cm_gemm_tile *tile, int rows, float *dweight, ptrdiff_t row) {
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < tile->columns; ++j) {
            dweight[i * row + j] =
                tile->base[i * tile->base_row + j] + tile->c[i * tile->c_row + j];
        }
    }
}

/* Items [items.begin, items.end) of some strips and panels, panels inside, of tap `element`. `tile`
 * is tap_tile's; it is changed. */
static void run_tap(const weight_pass *p, const chunk *part, cm_gemm_tile *tile, ptrdiff_t element,
                    ptrdiff_t strip, ptrdiff_t panel, ptrdiff_t panels, cm_range items) {
    static const float zeros[CM_TILE_COLUMNS];
    const ptrdiff_t in = p->shape->in_channels, out = p->shape->out_channels;
    const copy c = copy_of(p, (int)(element % p->shape->kernel_w));
    const ptrdiff_t strip_floats = (part->hs.end - part->hs.begin) * c.x * STRIP;
    const ptrdiff_t panel_floats = (part->ps.end - part->ps.begin) * c.y * CM_TILE_COLUMNS;
    const float *a = tile->a + strip * strip_floats;
    const float *b = tile->b + panel * panel_floats;
    const bool once = part->first && part->last;
    ptrdiff_t j = items.begin % panels, i = items.begin / panels;
    tile->c_row = once ? out : CM_TILE_COLUMNS;
    tile->base_row = part->image == 0 ? 0 : out;
    tile->mode = once ? CM_GEMM_ADD : part->first ? CM_GEMM_STORE : CM_GEMM_CONTINUE;
    for (ptrdiff_t item = items.begin; item < items.end; ++i, j = 0) {
        const cm_range channels = cm_even_part(in, VF_TILE_ROWS, strip + i);
        const int rows = (int)(channels.end - channels.begin);
        tile->a = a + i * strip_floats;
        for (; j < panels && item < items.end; ++j, ++item) {
            const ptrdiff_t k = (panel + j) * CM_TILE_COLUMNS;
            float *dweight = p->dweight + (element * in + channels.begin) * out + k;
            float *partial =
                p->partial +
                ((element * p->panels + panel + j) * in + channels.begin) * CM_TILE_COLUMNS;
            tile->b = b + j * panel_floats;
            tile->c = once ? dweight : partial;
            tile->base = part->image == 0 ? zeros : dweight;
            tile->columns = (int)(out - k < CM_TILE_COLUMNS ? out - k : CM_TILE_COLUMNS);
            cm_gemm_micro_kernel(rows, tile);
            if (part->last && !once) {
                add_partial(tile, rows, dweight, out);
            }
        }
    }
}

/* Tiles [share.begin, share.end) of dweight, in the order: some panels, some strips, all taps,
 * these strips, these panels. */
static void run_chunk(const weight_pass *p, const chunk *part, cm_range share) {
    cm_gemm_tap tap[CM_MAX_CHUNK_ROWS];
    for (ptrdiff_t i = share.begin; i < share.end;) {
        const ptrdiff_t panel = i / (p->strips * p->taps * p->together) * p->together;
        const ptrdiff_t panels = smaller(p->together, p->panels - panel);
        const ptrdiff_t in_panels = i - panel * p->strips * p->taps;
        const ptrdiff_t strip = in_panels / (panels * p->taps * STRIPS) * STRIPS;
        const ptrdiff_t tiles = smaller(STRIPS, p->strips - strip) * panels;
        const ptrdiff_t item = in_panels - strip * panels * p->taps;
        const ptrdiff_t element = item / tiles, begin = item % tiles;
        const cm_range items = {begin, smaller(tiles, begin + share.end - i)};
        cm_gemm_tile tile = tap_tile(p, part, (int)(element / p->shape->kernel_w),
                                     (int)(element % p->shape->kernel_w), tap);
        run_tap(p, part, &tile, element, strip, panel, panels, items);
        i += items.end - items.begin;
    }
}

static void backward_rows(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                          const float *dy, float *dweight, float *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, team->count);
    const cm_conv2d_chunk size = cm_conv2d_chunk_of(shape);
    const ptrdiff_t chunks = cm_even_parts(shape->out_height, size.rows);
    const ptrdiff_t panel = (ptrdiff_t)size.rows * shape->out_width * CM_TILE_COLUMNS;
    const weight_pass p = {
        .shape = shape,
        .size = size,
        .h_step = shape->kernel_h == 1 ? shape->stride_h : 1,
        .strips = cm_even_parts(shape->in_channels, VF_TILE_ROWS),
        .panels = cm_even_parts(shape->out_channels, CM_TILE_COLUMNS),
        .taps = (ptrdiff_t)shape->kernel_h * shape->kernel_w,
        .together = panel < PANEL_FLOATS ? (int)(PANEL_FLOATS / panel) : 1,
        .x = x,
        .dy = dy,
        .dweight = dweight,
        .partial = workspace + layout.panels,
    };
    const cm_range share = cm_team_share(team, p.strips * p.panels * p.taps);
    /* With two buffers one barrier a chunk is enough: who packs the next one uses the other. */
    const int buffers = team->count > 1 ? 2 : 1;
    for (ptrdiff_t i = 0; i < shape->batch * chunks; ++i) {
        float *buffer = workspace + layout.weights + (size_t)(i % buffers) * size.floats;
        chunk part = {.image = (int)(i / chunks),
                      .ps = cm_even_part(shape->out_height, size.rows, i % chunks),
                      .first = i % chunks == 0,
                      .last = i % chunks == chunks - 1,
                      .x = buffer,
                      .dy = buffer + (size_t)size.copies * size.x};
        part.hs = rows_read(shape, part.ps, p.h_step);
        pack_x(team, &p, &part);
        pack_dy(team, &p, &part);
        cm_team_barrier(team);
        run_chunk(&p, &part, share);
    }
}

/* A tile of dweight: rows of input channels, columns of output channels, one tap. */
typedef struct weight_tile {
    int r, s;
    cm_range in_channels, out_channels;
} weight_tile;

/* The chain of one tile over one block: a list of taps, run in calls of TAPS_PER_CALL. A chain that
 * fits one call is added to dweight from registers; a longer one is carried on in `partial`. */
typedef struct weight_chain {
    cm_gemm_tile tile;
    int rows;
    float *dweight; /* the tile's first element */
    ptrdiff_t dweight_row;
    cm_gemm_tap tap[TAPS_PER_CALL];
    int taps;
    bool started; /* part of the chain is in `partial` */
    float partial[VF_TILE_ROWS * CM_TILE_COLUMNS];
} weight_chain;

static void chain_flush(weight_chain *chain) {
    if (chain->taps == 0) {
        return;
    }
    chain->tile.tap = chain->tap;
    chain->tile.taps = chain->taps;
    chain->tile.c = chain->partial;
    chain->tile.c_row = CM_TILE_COLUMNS;
    chain->tile.mode = chain->started ? CM_GEMM_CONTINUE : CM_GEMM_STORE;
    cm_gemm_micro_kernel(chain->rows, &chain->tile);
    chain->started = true;
    chain->taps = 0;
}

static void chain_push(weight_chain *chain, ptrdiff_t a, ptrdiff_t b) {
    if (chain->taps == TAPS_PER_CALL) {
        chain_flush(chain);
    }
    chain->tap[chain->taps++] = (cm_gemm_tap){a, b};
}

/* Ends a block: dweight = dweight + chain. */
static void chain_end(weight_chain *chain) {
    if (!chain->started) { /* all of it fits in one call: no detour through `partial` */
        chain->tile.tap = chain->tap;
        chain->tile.taps = chain->taps;
        chain->tile.c = chain->dweight;
        chain->tile.c_row = chain->dweight_row;
        chain->tile.base = chain->dweight;
        chain->tile.base_row = chain->dweight_row;
        chain->tile.mode = CM_GEMM_ADD;
        cm_gemm_micro_kernel(chain->rows, &chain->tile);
        chain->taps = 0;
        return;
    }
    chain_flush(chain);
    chain->tile.base = chain->dweight;
    chain->tile.base_row = chain->dweight_row;
    add_partial(&chain->tile, chain->rows, chain->dweight, chain->dweight_row);
    chain->started = false;
}

/* Short rows of outputs: dweight tile += chain over the images [begin, end) of a block. */
static void add_block(const cm_conv2d_shape *shape, const float *x, const float *dy,
                      const weight_tile *where, cm_range images, float *dweight) {
    const ptrdiff_t in = shape->in_channels, out = shape->out_channels;
    const ptrdiff_t x_image = (ptrdiff_t)shape->height * shape->width * in;
    const ptrdiff_t dy_image = (ptrdiff_t)shape->out_height * shape->out_width * out;
    const cm_range ps = valid_outputs(where->r, shape->height, shape->out_height, shape->stride_h,
                                      shape->padding_h);
    const cm_range qs =
        valid_outputs(where->s, shape->width, shape->out_width, shape->stride_w, shape->padding_w);
    const ptrdiff_t tap = (ptrdiff_t)where->r * shape->kernel_w + where->s;
    weight_chain chain;
    chain.taps = 0;
    chain.started = false;
    chain.rows = (int)(where->in_channels.end - where->in_channels.begin);
    chain.dweight =
        dweight + (tap * in + where->in_channels.begin) * out + where->out_channels.begin;
    chain.dweight_row = out;
    chain.tile = (cm_gemm_tile){
        .a = x + images.begin * x_image + where->in_channels.begin,
        .a_row = 1,
        .a_depth = x_image,
        .b = dy + images.begin * dy_image + where->out_channels.begin,
        .b_depth = dy_image,
        .depth = (int)(images.end - images.begin),
        .columns = (int)(where->out_channels.end - where->out_channels.begin),
    };
    for (ptrdiff_t p = ps.begin; p < ps.end; ++p) {
        const ptrdiff_t h = p * shape->stride_h - shape->padding_h + where->r;
        for (ptrdiff_t q = qs.begin; q < qs.end; ++q) {
            const ptrdiff_t w = q * shape->stride_w - shape->padding_w + where->s;
            chain_push(&chain, (h * shape->width + w) * in, (p * shape->out_width + q) * out);
        }
    }
    chain_end(&chain);
}

/* Item `index` of the tiles, ordered so that a panel of dy stays in the L1 cache while the tiles
 * of all its input channels and taps pass. */
static weight_tile tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t taps = (ptrdiff_t)shape->kernel_h * shape->kernel_w;
    const ptrdiff_t parts = cm_even_parts(shape->in_channels, VF_TILE_ROWS);
    const ptrdiff_t tap = index % taps;
    const ptrdiff_t begin = index / taps / parts * CM_TILE_COLUMNS;
    const ptrdiff_t end = begin + CM_TILE_COLUMNS;
    return (weight_tile){
        .r = (int)(tap / shape->kernel_w),
        .s = (int)(tap % shape->kernel_w),
        .in_channels = cm_even_part(shape->in_channels, VF_TILE_ROWS, index / taps % parts),
        .out_channels = {begin, end < shape->out_channels ? end : shape->out_channels},
    };
}

static void zero(float *values, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        values[i] = 0.0F;
    }
}

static void backward_images(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                            const float *dy, float *dweight) {
    const ptrdiff_t tiles = cm_even_parts(shape->in_channels, VF_TILE_ROWS) * shape->kernel_h *
                            shape->kernel_w * cm_even_parts(shape->out_channels, CM_TILE_COLUMNS);
    const cm_range share = cm_team_share(team, tiles);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const weight_tile tile = tile_at(shape, i);
        const ptrdiff_t tap = (ptrdiff_t)tile.r * shape->kernel_w + tile.s;
        for (ptrdiff_t c = tile.in_channels.begin; c < tile.in_channels.end; ++c) {
            zero(dweight + (tap * shape->in_channels + c) * shape->out_channels +
                     tile.out_channels.begin,
                 tile.out_channels.end - tile.out_channels.begin);
        }
    }
    for (int image = 0; image < shape->batch; image += IMAGES_PER_BLOCK) {
        const int left = shape->batch - image;
        const int end = image + (left < IMAGES_PER_BLOCK ? left : IMAGES_PER_BLOCK);
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const weight_tile tile = tile_at(shape, i);
            add_block(shape, x, dy, &tile, (cm_range){image, end}, dweight);
        }
    }
}

/* Few input channels: per image the chain over its patches, then the sum over the images in order.
 * dweight is small here: the images' sums lie in the workspace, and threads share out the panels of
 * all images. Each copies the patches that it needs, a row of outputs at a time. */
static void backward_patches(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                             const float *dy, float *dweight, float *workspace) {
    const ptrdiff_t row = (ptrdiff_t)cm_conv2d_patch_row(shape);
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t out = shape->out_channels;
    const ptrdiff_t parts = cm_even_parts(rows, VF_TILE_ROWS);
    const ptrdiff_t panels = cm_even_parts(out, CM_TILE_COLUMNS);
    float *sums = workspace; /* [batch][rows][out] */
    float *patches = workspace + shape->batch * rows * out + team->index * row;
    const cm_gemm_tap tap = {0, 0};
    const cm_range share = cm_team_share(team, shape->batch * panels);
    for (ptrdiff_t i = share.begin; i < share.end;) {
        const ptrdiff_t image = i / panels;
        const ptrdiff_t end = (image + 1) * panels < share.end ? (image + 1) * panels : share.end;
        for (int p = 0; p < shape->out_height; ++p) {
            cm_conv2d_pack_patches(
                shape, x + image * shape->height * shape->width * shape->in_channels, p, patches);
            for (ptrdiff_t item = 0; item < parts * (end - i); ++item) {
                const cm_range range = cm_even_part(rows, VF_TILE_ROWS, item % parts);
                const ptrdiff_t first = (i % panels + item / parts) * CM_TILE_COLUMNS;
                const cm_gemm_tile tile = {
                    .a = patches + range.begin,
                    .a_row = 1,
                    .a_depth = rows,
                    .b = dy + (image * shape->out_height + p) * shape->out_width * out + first,
                    .b_depth = out,
                    .tap = &tap,
                    .taps = 1,
                    .depth = shape->out_width,
                    .c = sums + (image * rows + range.begin) * out + first,
                    .c_row = out,
                    .columns = (int)(out - first < CM_TILE_COLUMNS ? out - first : CM_TILE_COLUMNS),
                    .mode = p == 0 ? CM_GEMM_STORE : CM_GEMM_CONTINUE,
                };
                cm_gemm_micro_kernel((int)(range.end - range.begin), &tile);
            }
        }
        i = end;
    }
    cm_team_barrier(team);
    const cm_range elements = cm_team_share(team, rows * out);
    for (ptrdiff_t i = elements.begin; i < elements.end; ++i) {
        float sum = 0.0F;
        for (int image = 0; image < shape->batch; ++image) {
            sum += sums[image * rows * out + i];
        }
        dweight[i] = sum;
    }
}

void cm_direct_backward_weights(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                                const float *dy, float *dweight, void *workspace) {
    if (cm_conv2d_uses_patches(shape)) {
        backward_patches(team, shape, x, dy, dweight,
                         (float *)workspace + cm_conv2d_layout_of(shape, team->count).weights);
    } else if (shape->out_width >= CM_MIN_ROW_RUN) {
        backward_rows(team, shape, x, dy, dweight, workspace);
    } else {
        backward_images(team, shape, x, dy, dweight);
    }
}
