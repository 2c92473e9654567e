/* Direct convolution, backward by weights: dweight[tap] = X[tap]^T dY, a GEMM whose depth runs over
 * output positions and images. Every thread walks all images and owns a part of dweight. */
#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/micro/gemm_tile.h"

/* The depth runs along rows of outputs where they have at least this many positions, else along the
 * images of a block: part of the contract, because it is the order of summation. */
enum { MIN_ROW_RUN = 4, IMAGES_PER_BLOCK = 32, TAPS_PER_CALL = 64 };

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
    CM_FN(gemm_tile)(chain->rows, &chain->tile);
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
        CM_FN(gemm_tile)(chain->rows, &chain->tile);
        chain->taps = 0;
        return;
    }
    chain_flush(chain);
    for (int i = 0; i < chain->rows; ++i) {
        float *to = chain->dweight + i * chain->dweight_row;
        for (int j = 0; j < chain->tile.columns; ++j) {
            to[j] = to[j] + chain->partial[i * CM_TILE_COLUMNS + j];
        }
    }
    chain->started = false;
}

/* dweight tile += chain over the images [begin, end). */
static void add_block(const cm_conv2d_shape *shape, const float *x, const float *dy,
                      const weight_tile *where, cm_range images, float *dweight) {
    const ptrdiff_t in = shape->in_channels, out = shape->out_channels;
    const ptrdiff_t x_image = (ptrdiff_t)shape->height * shape->width * in;
    const ptrdiff_t dy_image = (ptrdiff_t)shape->out_height * shape->out_width * out;
    const cm_range ps = valid_outputs(where->r, shape->height, shape->out_height, shape->stride_h,
                                      shape->padding_h);
    const cm_range qs =
        valid_outputs(where->s, shape->width, shape->out_width, shape->stride_w, shape->padding_w);
    const bool along_row = shape->out_width >= MIN_ROW_RUN;
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
        .a_depth = along_row ? shape->stride_w * in : x_image,
        .b = dy + images.begin * dy_image + where->out_channels.begin,
        .b_depth = along_row ? out : dy_image,
        .depth = (int)(along_row ? qs.end - qs.begin : images.end - images.begin),
        .columns = (int)(where->out_channels.end - where->out_channels.begin),
    };
    if (qs.begin < qs.end) {
        for (ptrdiff_t p = ps.begin; p < ps.end; ++p) {
            const ptrdiff_t h = p * shape->stride_h - shape->padding_h + where->r;
            for (ptrdiff_t q = qs.begin; q < (along_row ? qs.begin + 1 : qs.end); ++q) {
                const ptrdiff_t w = q * shape->stride_w - shape->padding_w + where->s;
                chain_push(&chain, (h * shape->width + w) * in, (p * shape->out_width + q) * out);
            }
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

static void backward_tiles(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
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
    const int block = shape->out_width >= MIN_ROW_RUN ? 1 : IMAGES_PER_BLOCK;
    for (int image = 0; image < shape->batch; image += block) {
        const int end = image + block < shape->batch ? image + block : shape->batch;
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const weight_tile tile = tile_at(shape, i);
            add_block(shape, x, dy, &tile, (cm_range){image, end}, dweight);
        }
    }
}

/* Few input channels: per image the chain over its patches, then the sum over the images in order.
 * dweight is small here, so threads share out the images and the sums lie in the workspace. */
static void backward_patches(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                             const float *dy, float *dweight, float *workspace) {
    const ptrdiff_t row = (ptrdiff_t)cm_conv2d_patch_row(shape);
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const ptrdiff_t out = shape->out_channels;
    const ptrdiff_t parts = cm_even_parts(rows, VF_TILE_ROWS);
    float *sums = workspace + shape->batch * row; /* [batch][rows][out] */
    const cm_gemm_tap tap = {0, 0};
    const cm_range images = cm_team_share(team, shape->batch);
    for (ptrdiff_t image = images.begin; image < images.end; ++image) {
        float *patches = workspace + image * row;
        for (int p = 0; p < shape->out_height; ++p) {
            cm_conv2d_pack_patches(
                shape, x + image * shape->height * shape->width * shape->in_channels, p, patches);
            for (ptrdiff_t item = 0; item < parts * cm_even_parts(out, CM_TILE_COLUMNS); ++item) {
                const cm_range range = cm_even_part(rows, VF_TILE_ROWS, item % parts);
                const ptrdiff_t first = item / parts * CM_TILE_COLUMNS;
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
                CM_FN(gemm_tile)((int)(range.end - range.begin), &tile);
            }
        }
    }
    cm_team_barrier(team);
    const cm_range share = cm_team_share(team, rows * out);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        float sum = 0.0F;
        for (int image = 0; image < shape->batch; ++image) {
            sum += sums[image * rows * out + i];
        }
        dweight[i] = sum;
    }
}

void CM_FN(direct_backward_weights)(const cm_team *team, const cm_conv2d_shape *shape,
                                    const float *x, const float *dy, float *dweight,
                                    void *workspace) {
    if (cm_conv2d_uses_patches(shape)) {
        backward_patches(team, shape, x, dy, dweight, workspace);
    } else {
        backward_tiles(team, shape, x, dy, dweight);
    }
}
