/* What a convolution's shape decides without regard to the instruction set: its algorithm and the
 * layout of its scratch memory. */
#include <string.h>

#include "kernels/conv2d/internal.h"

static size_t round_up(size_t count, size_t multiple) {
    return (count + multiple - 1) / multiple * multiple;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* One row an algorithm. A transform domain takes 3x3 kernels, stride 1, padding 1, and square maps
 * of one size or tiles of any map. With few channels its transforms cost more than they save, so
 * that AUTO leaves these to CM_CONV2D_DIRECT (the border is the width of a vector on AVX-512), and
 * so for a single image (bn-3, inference, 1 thread: direct is 1.45 times as fast; with two images
 * it is slower). AUTO never takes tiles: they are there by name. Planes, results and kernel rows
 * are those of its cm_domain (transform/domain.h), and sums its rows
 * times its fold_sums. */
typedef struct algorithm_row {
    const char *name;
    int map;  /* the side of the maps; 0: any */
    int side; /* of a tile; 0: no domain */
    size_t planes, results, kernel_rows, sums;
} algorithm_row;

static const algorithm_row algorithm_table[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_AUTO] = {"auto", 0, 0, 0, 0, 0, 0},
    [CM_CONV2D_DIRECT] = {"direct", 0, 0, 0, 0, 0, 0},
    [CM_CONV2D_T4] = {"t4", 3, 3, 16, 16, 4, 4 * 3},
    [CM_CONV2D_DFT10] = {"dft10", 9, 9, 148, 100, 10, 6 * 6},
    [CM_CONV2D_WINOGRAD3] = {"winograd3", 0, 3, 25, 25, 5, 5 * 3},
    [CM_CONV2D_WINOGRAD4] = {"winograd4", 0, 4, 36, 36, 6, 6 * 3},
};

enum { MIN_TRANSFORM_CHANNELS = 16, MIN_TRANSFORM_BATCH = 2 };

/* Floats of a block's widest plane, and tiles of a block at least. */
enum { BLOCK_FLOATS = 32768, MIN_BLOCK = 64 };

bool cm_conv2d_algorithm_fits(cm_conv2d_algorithm algorithm, const cm_conv2d_shape *shape) {
    if (algorithm >= CM_CONV2D_ALGORITHM_COUNT) {
        return false;
    }
    const algorithm_row *row = &algorithm_table[algorithm];
    const bool map = row->map == 0 || (shape->height == row->map && shape->width == row->map);
    return row->side == 0 ||
           (map && shape->kernel_h == 3 && shape->kernel_w == 3 && shape->stride_h == 1 &&
            shape->stride_w == 1 && shape->padding_h == 1 && shape->padding_w == 1);
}

cm_conv2d_algorithm cm_conv2d_choose(const cm_conv2d_shape *shape) {
    if (shape->batch >= MIN_TRANSFORM_BATCH && shape->in_channels >= MIN_TRANSFORM_CHANNELS &&
        shape->out_channels >= MIN_TRANSFORM_CHANNELS) {
        for (cm_conv2d_algorithm a = CM_CONV2D_DIRECT + 1; a < CM_CONV2D_ALGORITHM_COUNT; ++a) {
            if (algorithm_table[a].map > 0 && cm_conv2d_algorithm_fits(a, shape)) {
                return a;
            }
        }
    }
    return CM_CONV2D_DIRECT;
}

const char *cm_conv2d_algorithm_name(cm_conv2d_algorithm algorithm) {
    return algorithm < CM_CONV2D_ALGORITHM_COUNT ? algorithm_table[algorithm].name : "unknown";
}

cm_conv2d_algorithm cm_conv2d_algorithm_from_name(const char *name) {
    cm_conv2d_algorithm a = 0;
    while (a < CM_CONV2D_ALGORITHM_COUNT && strcmp(algorithm_table[a].name, name) != 0) {
        ++a;
    }
    return a;
}

cm_conv2d_tiles cm_conv2d_tiles_of(const cm_conv2d_shape *shape) {
    const algorithm_row *row = &algorithm_table[shape->algorithm];
    const int side = row->side;
    cm_conv2d_tiles tiles = {.side = side, .across = (shape->width + side - 1) / side};
    tiles.each = (ptrdiff_t)tiles.across * ((shape->height + side - 1) / side);
    tiles.all = tiles.each * shape->batch;
    /* Whole maps: all of them at once. */
    const int widest =
        shape->in_channels > shape->out_channels ? shape->in_channels : shape->out_channels;
    const ptrdiff_t fitting = BLOCK_FLOATS / widest > MIN_BLOCK ? BLOCK_FLOATS / widest : MIN_BLOCK;
    tiles.most = row->map > 0 || tiles.all < fitting ? tiles.all : fitting;
    tiles.blocks = cm_even_parts(tiles.all, tiles.most);
    tiles.largest = (tiles.all + tiles.blocks - 1) / tiles.blocks;
    return tiles;
}

bool cm_conv2d_uses_patches(const cm_conv2d_shape *shape) {
    return shape->in_channels < CM_PATCH_CHANNELS &&
           shape->kernel_h * shape->kernel_w * shape->in_channels > 1;
}

size_t cm_conv2d_dy_planes(const cm_conv2d_shape *shape) {
    const size_t below = CM_PLANE_ROWS * (size_t)shape->stride_h + (size_t)shape->kernel_h - 2;
    const size_t read = below / (size_t)shape->stride_h + 1;
    const size_t height = (size_t)shape->out_height;
    const size_t floats =
        (read < height ? read : height) * (size_t)shape->out_channels * cm_conv2d_plane_row(shape);
    return cm_conv2d_uses_patches(shape) && floats <= CM_MAX_PLANE_FLOATS ? floats : 0;
}

size_t cm_conv2d_patch_row(const cm_conv2d_shape *shape) {
    return (size_t)shape->out_width * (size_t)shape->kernel_h * (size_t)shape->kernel_w *
           (size_t)shape->in_channels;
}

/* The next part of the workspace, `floats` long. */
static size_t reserve(cm_conv2d_layout *layout, size_t floats) {
    const size_t at = layout->floats;
    layout->floats = round_up(at + floats, CM_SCRATCH_ALIGNMENT);
    return at;
}

/* Floats of the weights in panels, or of the kernels' columns in a domain. */
static size_t packed_floats(const cm_conv2d_shape *shape) {
    const size_t in = (size_t)shape->in_channels;
    const size_t padded = round_up((size_t)shape->out_channels, CM_MAX_TILE_COLUMNS);
    const size_t taps = (size_t)shape->kernel_h * (size_t)shape->kernel_w;
    return shape->algorithm == CM_CONV2D_DIRECT
               ? taps * in * padded
               : algorithm_table[shape->algorithm].kernel_rows * 3 * (in + 1) * padded;
}

/* Strips are at most one and a half times as wide as the channels they hold. */
cm_conv2d_chunk cm_conv2d_chunk_of(const cm_conv2d_shape *shape) {
    const int fitting = CM_CHUNK_POSITIONS / shape->out_width;
    const int most = shape->out_height < CM_MAX_CHUNK_ROWS ? shape->out_height : CM_MAX_CHUNK_ROWS;
    const int rows = fitting < 1 ? 1 : fitting < most ? fitting : most;
    const bool copies = shape->kernel_w == 1 || shape->out_width <= CM_SHORT_ROW;
    const size_t in = (size_t)shape->in_channels, width = (size_t)shape->width;
    const size_t outputs = (size_t)rows * (size_t)shape->out_width;
    const size_t reach = (size_t)(rows - 1) * (size_t)shape->stride_h + (size_t)shape->kernel_h;
    const size_t height = (size_t)shape->height;
    const size_t read = shape->kernel_h == 1 ? (size_t)rows : reach < height ? reach : height;
    cm_conv2d_chunk chunk = {.rows = rows, .copies = copies ? shape->kernel_w : 1};
    chunk.x =
        round_up(read * (copies ? (size_t)shape->out_width : width) * (in + in / 2 + CM_MAX_STRIP),
                 CM_SCRATCH_ALIGNMENT);
    chunk.dy = round_up((size_t)shape->out_channels, CM_MAX_TILE_COLUMNS) * outputs;
    chunk.floats = (size_t)chunk.copies * (chunk.x + chunk.dy);
    return chunk;
}

/* Bytes of whole maps' planes, which both passes use. */
static size_t kept_bytes(const cm_conv2d_shape *shape) {
    const algorithm_row *row = &algorithm_table[shape->algorithm];
    return row->map == 0
               ? 0
               : row->planes * cm_conv2d_plane(shape->batch, shape->in_channels) * sizeof(float);
}

static void direct_layout(const cm_conv2d_shape *shape, int threads, cm_conv2d_layout *layout) {
    const size_t taps = (size_t)shape->kernel_h * (size_t)shape->kernel_w;
    const size_t in = (size_t)shape->in_channels, out = (size_t)shape->out_channels;
    const size_t forward = taps * in * round_up(out, CM_MAX_TILE_COLUMNS);
    const size_t all = larger(forward, taps * out * round_up(in, CM_MAX_TILE_COLUMNS));
    layout->panel = all < CM_GROUP_FLOATS ? round_up(all, CM_SCRATCH_ALIGNMENT) : CM_GROUP_FLOATS;
    /* By weights, the chains of all of dweight; with few channels, forward, all panels. */
    layout->panels = reserve(layout, larger(forward, (size_t)threads * layout->panel));
    layout->dy_plane = round_up(cm_conv2d_dy_planes(shape), CM_SCRATCH_ALIGNMENT);
    layout->dy_planes = reserve(layout, (size_t)threads * layout->dy_plane);
    if (cm_conv2d_uses_patches(shape)) {
        /* Forward: padded images. By weights: each image's sums, each thread's patches of a row. */
        const size_t padded = (size_t)shape->batch * cm_conv2d_padded_image(shape);
        const size_t sums = (size_t)shape->batch * taps * in * out;
        const size_t patches = (size_t)threads * cm_conv2d_patch_row(shape);
        layout->weights = reserve(layout, larger(padded, sums + patches));
    } else if (shape->out_width >= CM_MIN_ROW_RUN) {
        /* Two chunks: one is packed while the other is multiplied. */
        layout->weights = reserve(layout, cm_conv2d_chunk_of(shape).floats * (threads > 1 ? 2 : 1));
    }
}

static void transform_layout(const cm_conv2d_shape *shape, int threads, cm_conv2d_layout *layout) {
    const algorithm_row *row = &algorithm_table[shape->algorithm];
    const size_t widest = larger((size_t)shape->in_channels, (size_t)shape->out_channels);
    const size_t padded = round_up(widest, CM_MAX_TILE_COLUMNS);
    /* A smaller batch may have fewer and larger blocks; its planes must fit as well. */
    const size_t plane = cm_conv2d_plane(cm_conv2d_tiles_of(shape).most, (int)widest);
    layout->left = reserve(layout, row->planes * plane);
    layout->right = reserve(layout, row->planes * plane);
    layout->results = reserve(layout, row->results * plane);
    layout->kernels = reserve(layout, row->kernel_rows * 3 * (widest + 1) * padded);
    layout->sums = reserve(layout, row->sums * widest * padded);
    layout->panel = round_up(3 * (widest + 1) * CM_MAX_TILE_COLUMNS, CM_SCRATCH_ALIGNMENT);
    layout->panels = reserve(layout, (size_t)threads * layout->panel);
}

cm_conv2d_layout cm_conv2d_layout_of(const cm_conv2d_shape *shape, int threads) {
    cm_conv2d_layout layout = {0};
    layout.image_sums = reserve(&layout, (size_t)shape->batch * (size_t)shape->out_channels);
    if (shape->algorithm == CM_CONV2D_DIRECT) {
        direct_layout(shape, threads, &layout);
    } else {
        transform_layout(shape, threads, &layout);
    }
    return layout;
}

cm_conv2d_plan cm_conv2d_plan_of(const cm_conv2d_shape *shape, int threads) {
    return (cm_conv2d_plan){.shape = *shape,
                            .threads = threads,
                            .workspace = cm_conv2d_layout_of(shape, threads).floats * sizeof(float),
                            .packed = packed_floats(shape) * sizeof(float),
                            .kept = kept_bytes(shape)};
}

bool cm_conv2d_max_pool2d_pays(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool) {
    const int patch = cm_conv2d_patch(conv);
    /* Where windows overlap, outputs are computed for each. */
    return patch > 1 && patch <= CM_MAX_PATCH && pool->kernel_h <= 2 * pool->stride_h &&
           pool->kernel_w <= 2 * pool->stride_w;
}

cm_conv2d_pool_layout cm_conv2d_pool_layout_of(const cm_conv2d_shape *conv,
                                               const cm_max_pool2d_shape *pool, int threads) {
    const size_t doubles = sizeof(double) / sizeof(float);
    const size_t patch = (size_t)cm_conv2d_patch(conv);
    const size_t padded_patch = round_up(patch, CM_MOMENT_BLOCK);
    const size_t positions =
        round_up((size_t)cm_moment_rows(conv) * (size_t)conv->out_width, CM_MOMENT_LANES);
    const size_t batch = (size_t)conv->batch;
    cm_conv2d_pool_layout layout = {.columns =
                                        round_up((size_t)conv->out_channels, CM_SCRATCH_ALIGNMENT)};
    const size_t weights = (patch + 1) * layout.columns;
    layout.sums = round_up(batch * doubles * (patch + patch * patch), CM_SCRATCH_ALIGNMENT);
    layout.threads = layout.sums + batch * weights;
    layout.folded = round_up(cm_conv2d_padded_image(conv), CM_SCRATCH_ALIGNMENT);
    layout.tables = layout.folded + weights;
    layout.rows =
        layout.tables + (size_t)pool->out_height * (size_t)pool->out_width * (size_t)CM_TABLE;
    layout.products =
        layout.rows + round_up(doubles * padded_patch * positions, CM_SCRATCH_ALIGNMENT);
    layout.thread =
        layout.products +
        round_up(doubles * (padded_patch + padded_patch * padded_patch) * CM_MOMENT_LANES,
                 CM_SCRATCH_ALIGNMENT);
    layout.floats = layout.threads + (size_t)threads * layout.thread;
    return layout;
}

size_t cm_conv2d_max_pool2d_workspace(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool,
                                      int threads) {
    return cm_conv2d_pool_layout_of(conv, pool, threads).floats * sizeof(float);
}

size_t cm_patch_moments_count(const cm_conv2d_shape *conv) {
    const size_t patch = (size_t)cm_conv2d_patch(conv);
    return patch + patch * patch;
}

/* Taps inside the map, summed over the outputs along one axis. */
static double valid_taps(int in, int out, int kernel, int stride, int padding) {
    double taps = 0.0;
    for (int o = 0; o < out; ++o) {
        for (int k = 0; k < kernel; ++k) {
            const int at = o * stride - padding + k;
            taps += at >= 0 && at < in;
        }
    }
    return taps;
}

cm_conv2d_cost cm_conv2d_cost_of(const cm_conv2d_shape *shape) {
    const algorithm_row *row = &algorithm_table[shape->algorithm];
    const bool direct = row->side == 0;
    const double tiles = direct ? 0.0 : (double)cm_conv2d_tiles_of(shape).each;
    const double channels = (double)shape->in_channels * shape->out_channels;
    const double products = direct ? valid_taps(shape->height, shape->out_height, shape->kernel_h,
                                                shape->stride_h, shape->padding_h) *
                                         valid_taps(shape->width, shape->out_width, shape->kernel_w,
                                                    shape->stride_w, shape->padding_w)
                                   : tiles * (double)row->planes;
    return (cm_conv2d_cost){.multiply_adds = products * channels * shape->batch,
                            .planes = tiles * (double)row->planes,
                            .results = tiles * (double)row->results,
                            .kernel_floats = (double)packed_floats(shape),
                            .sum_floats = (double)row->sums * channels};
}
