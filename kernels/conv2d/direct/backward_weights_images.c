/* Direct backward-weights where rows of outputs are short: the depth of a tile runs over the images
 * of a group, position by position. */
#include "kernels/isa.h"

#include "kernels/conv2d/contract.h"
#include "kernels/conv2d/direct/axis.h"
#include "kernels/conv2d/direct/backward_weights.h"
#include "kernels/conv2d/tuning.h"
#include "kernels/sizes.h"

/* A tile of dweight: rows of input channels, columns of output channels, one tap. */
typedef struct dweight_tile {
    int r, s;
    cm_range in_channels, out_channels;
} dweight_tile;

/* dweight tile += the chains over a group of images, each over some positions in order. */
static void add_group(const cm_conv2d_backward_args *args, const dweight_tile *where,
                      cm_range images) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const ptrdiff_t in = shape->in_channels, out = shape->out_channels;
    const ptrdiff_t x_image = (ptrdiff_t)shape->height * shape->width * in;
    const ptrdiff_t dy_image = (ptrdiff_t)shape->out_height * shape->out_width * out;
    const cm_range ps = cm_valid_outputs(where->r, shape->height, shape->out_height,
                                         shape->stride_h, shape->padding_h);
    const cm_range qs = cm_valid_outputs(where->s, shape->width, shape->out_width, shape->stride_w,
                                         shape->padding_w);
    const ptrdiff_t tap = (ptrdiff_t)where->r * shape->kernel_w + where->s;
    float *dweight =
        args->dweight + (tap * in + where->in_channels.begin) * out + where->out_channels.begin;
    const int rows = (int)(where->in_channels.end - where->in_channels.begin);
    cm_gemm_term term[CM_CHAIN_POSITIONS];
    cm_gemm_tile tile = {
        .a = args->x + images.begin * x_image + where->in_channels.begin,
        .a_row = 1,
        .a_depth = x_image,
        .b = args->dy + images.begin * dy_image + where->out_channels.begin,
        .b_depth = dy_image,
        .term = term,
        .depth = (int)(images.end - images.begin),
        .c = dweight,
        .c_row = out,
        .columns = (int)(where->out_channels.end - where->out_channels.begin),
        .base = dweight,
        .base_row = out,
        .mode = CM_GEMM_ADD,
    };
    for (ptrdiff_t p = ps.begin; p < ps.end; ++p) {
        const ptrdiff_t h = p * shape->stride_h - shape->padding_h + where->r;
        for (ptrdiff_t q = qs.begin; q < qs.end; ++q) {
            const ptrdiff_t w = q * shape->stride_w - shape->padding_w + where->s;
            term[tile.terms++] =
                (cm_gemm_term){(h * shape->width + w) * in, (p * shape->out_width + q) * out};
            if (tile.terms == CM_CHAIN_POSITIONS) {
                cm_gemm_micro_kernel(rows, &tile);
                tile.terms = 0;
            }
        }
    }
    if (tile.terms > 0) {
        cm_gemm_micro_kernel(rows, &tile);
    }
}

/* Item `index` of the tiles, ordered so that a panel of dy stays in the L1 cache while the tiles
 * of all its input channels and taps pass. */
static dweight_tile tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t taps = (ptrdiff_t)shape->kernel_h * shape->kernel_w;
    const ptrdiff_t parts = cm_even_parts(shape->in_channels, VF_TILE_ROWS);
    const ptrdiff_t tap = index % taps;
    const ptrdiff_t begin = index / taps / parts * CM_TILE_COLUMNS;
    const ptrdiff_t end = begin + CM_TILE_COLUMNS;
    return (dweight_tile){
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

void cm_direct_backward_weights_images(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    float *dweight = args->dweight;
    const ptrdiff_t tiles = cm_even_parts(shape->in_channels, VF_TILE_ROWS) * shape->kernel_h *
                            shape->kernel_w * cm_even_parts(shape->out_channels, CM_TILE_COLUMNS);
    const cm_range share = cm_team_share(team, tiles);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const dweight_tile tile = tile_at(shape, i);
        const ptrdiff_t tap = (ptrdiff_t)tile.r * shape->kernel_w + tile.s;
        for (ptrdiff_t c = tile.in_channels.begin; c < tile.in_channels.end; ++c) {
            zero(dweight + (tap * shape->in_channels + c) * shape->out_channels +
                     tile.out_channels.begin,
                 tile.out_channels.end - tile.out_channels.begin);
        }
    }
    for (int image = 0; image < shape->batch; image += CM_CHAIN_IMAGES) {
        const int left = shape->batch - image;
        const int end = image + (left < CM_CHAIN_IMAGES ? left : CM_CHAIN_IMAGES);
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const dweight_tile tile = tile_at(shape, i);
            add_group(args, &tile, (cm_range){image, end});
        }
    }
}
