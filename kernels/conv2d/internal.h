/**
 * What the convolution's source files share. Nothing here depends on the instruction set.
 */
#ifndef CM_KERNELS_CONV2D_INTERNAL_H
#define CM_KERNELS_CONV2D_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "convmark/kernels.h"

/** The widest and the tallest tile of any instruction set: panels are padded to the width in the
 * workspace, and gemm_tile.c has code up to the height. */
enum { CM_MAX_TILE_COLUMNS = 32, CM_MAX_TILE_ROWS = 14, CM_MAX_STRIP = 16 };

/** Forward and by data, direct convolution multiplies the weights of so many columns and so many
 * floats of them at a time: each thread packs them for itself, into its second cache. */
enum { CM_GROUP_COLUMNS = 64, CM_GROUP_FLOATS = 73728 };

/** Elements of the largest kernel: the taps of one output position lie on the stack. */
enum { CM_CONV2D_MAX_TAPS = 4096 };

/** Below this many input channels maps are padded, so that the tile's depth (forward) is channels x
 * a row of taps, and the taps of a position are copied to one row of patches, so that the tile's
 * rows (backward by weights) are channels x taps. 8 is the tallest tile: fewer channels leave rows
 * of it empty. A fixed rule, because it decides whether the taps outside the map are left out or
 * multiplied as zeros. */
enum { CM_PATCH_CHANNELS = 8 };

/** The depth of the products by weights runs along rows of outputs where they have at least this
 * many positions, else along the images of a block: a fixed rule, because it is the order of
 * summation. Some rows are packed at a time, at most CM_MAX_CHUNK_ROWS and about
 * CM_CHUNK_POSITIONS: long enough to hide a tile's beginning and end, short enough for the first
 * cache. */
enum { CM_MIN_ROW_RUN = 4, CM_CHUNK_POSITIONS = 256, CM_MAX_CHUNK_ROWS = 64 };

/** Rows of outputs up to this width are packed once for each tap of a kernel's row. */
enum { CM_SHORT_ROW = 64 };

/** Scratch arrays begin at multiples of this many floats. */
enum { CM_SCRATCH_ALIGNMENT = 16 };

/** Where the parts of the workspace begin, in floats from its start; each algorithm has some. */
typedef struct cm_conv2d_layout {
    size_t image_sums; /* sums of dy, an image, that dbias is made of */
    size_t weights;    /* direct: patches, or what else backward by weights uses */
    size_t panels;     /* direct: weights in panels; domains: a panel of kernel planes a thread */
    size_t panel;      /* floats of one thread's panels */
    size_t dy_planes, dy_plane; /* direct, by data with few channels: planes of dy; of one thread */
    size_t left, right, results; /* domains: planes of X, of D, of the results */
    size_t kernels, sums;        /* domains: columns of kernels, tiles' sums of rows */
    size_t floats;               /* all of it */
} cm_conv2d_layout;

cm_conv2d_layout cm_conv2d_layout_of(const cm_conv2d_shape *shape, int threads);

/** Where the parts of the workspace of conv2d_max_pool2d's kernels begin, in floats. */
typedef struct cm_conv2d_pool_layout {
    size_t moments; /* doubles: each image's sums of patches and of their products */
    size_t sums;    /* each image's sums of g and of g times the patch, [patch + 1][columns] */
    size_t threads; /* parts of the threads, in which there are: */
    size_t frame;   /* an image in a frame of zeros */
    size_t folded;  /* weights and bias with batch norm folded in, [patch + 1][columns] */
    size_t tables;  /* the numbers that each window reads, CM_TABLE a window */
    size_t rows;    /* doubles: patches of some rows of outputs, [patch][positions] */
    size_t products;
    size_t thread;  /* floats of a thread's part */
    size_t columns; /* output channels, padded */
    size_t floats;
} cm_conv2d_pool_layout;

cm_conv2d_pool_layout cm_conv2d_pool_layout_of(const cm_conv2d_shape *conv,
                                               const cm_max_pool2d_shape *pool, int threads);

enum {
    /* The moments of patches are summed in this many interleaved chains; the products of their
     * numbers in blocks of CM_MOMENT_BLOCK x CM_MOMENT_BLOCK. */
    CM_MOMENT_LANES = 8,
    CM_MOMENT_BLOCK = 3,
    /* Patches of this many outputs, or of one row of them, are gathered at a time: in the first
     * cache. */
    CM_MOMENT_POSITIONS = 256,
    /* Floats of a window's table: what vt_load() reads. */
    CM_TABLE = 32
};

/** Rows of outputs whose patches are gathered at a time. */
static inline int cm_moment_rows(const cm_conv2d_shape *conv) {
    return conv->out_width < CM_MOMENT_POSITIONS ? CM_MOMENT_POSITIONS / conv->out_width : 1;
}

/** Numbers that one output is computed from. */
static inline int cm_conv2d_patch(const cm_conv2d_shape *conv) {
    return conv->kernel_h * conv->kernel_w * conv->in_channels;
}

/** The algorithm that CM_CONV2D_AUTO stands for. */
cm_conv2d_algorithm cm_conv2d_choose(const cm_conv2d_shape *shape);

/** How a transform domain cuts maps: into tiles of side x side positions, the last of a row or
 * column perhaps with fewer; a whole map may be one tile. The tiles of all images, in order, are
 * taken in blocks. */
typedef struct cm_conv2d_tiles {
    int side, across;          /* positions of a tile; tiles of a row */
    ptrdiff_t each, all;       /* tiles of an image, of the batch */
    ptrdiff_t largest, blocks; /* tiles of the largest block; number of blocks */
    ptrdiff_t most;            /* tiles that a block of this or of any smaller batch may have */
} cm_conv2d_tiles;

/** A fixed rule: the weights' gradient is summed up block by block. */
cm_conv2d_tiles cm_conv2d_tiles_of(const cm_conv2d_shape *shape);

/** Floats from one plane [tiles][channels] to the next: 64 bytes more than a plane has, because
 * planes a power of two apart fall into the same cache sets (measured: 3 times as slow). */
static inline size_t cm_conv2d_plane(ptrdiff_t tiles, int channels) {
    const size_t count = (size_t)tiles * (size_t)channels;
    return (count + CM_SCRATCH_ALIGNMENT - 1) / CM_SCRATCH_ALIGNMENT * CM_SCRATCH_ALIGNMENT +
           CM_SCRATCH_ALIGNMENT;
}

bool cm_conv2d_uses_patches(const cm_conv2d_shape *shape);

/** By data with few input channels, where positions are the columns of tiles: rows of outputs that
 * are computed at a time, over the stride, and memory for the planes of what they read at most. */
enum { CM_PLANE_ROWS = 4, CM_MAX_PLANE_FLOATS = 1 << 20 };

/** Floats of a row of a plane: what a tile reads beyond its last position is there. An odd number
 * of lines, because a power of two puts all channels of a position into a few cache sets. */
static inline size_t cm_conv2d_plane_row(const cm_conv2d_shape *shape) {
    const size_t lines =
        ((size_t)shape->out_width + CM_MAX_TILE_COLUMNS) / CM_SCRATCH_ALIGNMENT + 1;
    return (lines | 1) * CM_SCRATCH_ALIGNMENT;
}

/** Floats of a thread's planes, [rows of dy][channels][plane row]; 0: not in this way. */
size_t cm_conv2d_dy_planes(const cm_conv2d_shape *shape);

/** What the pass by weights packs at a time (conv2d_direct_weights.c): some rows of outputs of one
 * image, `copies` times. */
typedef struct cm_conv2d_chunk {
    int rows, copies;
    size_t x, dy;  /* floats of a copy, for any instruction set */
    size_t floats; /* all of it */
} cm_conv2d_chunk;

cm_conv2d_chunk cm_conv2d_chunk_of(const cm_conv2d_shape *shape);

/** Floats of one image in a frame of zeros as wide as the padding. */
static inline size_t cm_conv2d_padded_image(const cm_conv2d_shape *shape) {
    return ((size_t)shape->height + 2 * (size_t)shape->padding_h) *
           ((size_t)shape->width + 2 * (size_t)shape->padding_w) * (size_t)shape->in_channels;
}

/** Puts one image into its frame of zeros. */
static inline void cm_conv2d_pad_image(const cm_conv2d_shape *shape, const float *image,
                                       float *padded) {
    const size_t row = (size_t)shape->width * (size_t)shape->in_channels;
    const size_t side = (size_t)shape->padding_w * (size_t)shape->in_channels;
    memset(padded, 0, cm_conv2d_padded_image(shape) * sizeof(float));
    float *to = padded + (size_t)shape->padding_h * (row + 2 * side) + side;
    for (int h = 0; h < shape->height; ++h) {
        memcpy(to + (size_t)h * (row + 2 * side), image + (size_t)h * row, row * sizeof(float));
    }
}

/** Floats of the patches of one row of outputs. */
size_t cm_conv2d_patch_row(const cm_conv2d_shape *shape);

/** Part `index` of `items` cut into the fewest parts of at most `largest`, sizes differing by one
 * at most (9 rows on tiles of 8 become 5 + 4, not 8 + 1). */
static inline cm_range cm_even_part(ptrdiff_t items, ptrdiff_t largest, ptrdiff_t index) {
    const ptrdiff_t parts = (items + largest - 1) / largest;
    return (cm_range){items * index / parts, items * (index + 1) / parts};
}

static inline ptrdiff_t cm_even_parts(ptrdiff_t items, ptrdiff_t largest) {
    return (items + largest - 1) / largest;
}

/** The tiles of block `index`. */
static inline cm_range cm_conv2d_block(const cm_conv2d_tiles *tiles, ptrdiff_t index) {
    return (cm_range){tiles->all * index / tiles->blocks, tiles->all * (index + 1) / tiles->blocks};
}

/** Copies the patches of output row p of one image: patches[q][r][s][c], 0 outside the map. */
static inline void cm_conv2d_pack_patches(const cm_conv2d_shape *shape, const float *image, int p,
                                          float *patches) {
    const int channels = shape->in_channels, kernel = shape->kernel_w;
    const size_t run = (size_t)kernel * (size_t)channels;
    for (int q = 0; q < shape->out_width; ++q) {
        const int w = q * shape->stride_w - shape->padding_w;
        const int begin = w < 0 ? (-w < kernel ? -w : kernel) : 0;
        const int right = shape->width - w < kernel ? shape->width - w : kernel;
        const int end = right > begin ? right : begin;
        for (int r = 0; r < shape->kernel_h; ++r, patches += run) {
            const int h = p * shape->stride_h - shape->padding_h + r;
            if (h < 0 || h >= shape->height || begin == end) {
                memset(patches, 0, run * sizeof(float));
                continue;
            }
            const float *from = image + ((ptrdiff_t)h * shape->width + w + begin) * channels;
            memset(patches, 0, (size_t)(begin * channels) * sizeof(float));
            memcpy(patches + (ptrdiff_t)begin * channels, from,
                   (size_t)((end - begin) * channels) * sizeof(float));
            memset(patches + (ptrdiff_t)end * channels, 0,
                   (size_t)((kernel - end) * channels) * sizeof(float));
        }
    }
}

#endif
