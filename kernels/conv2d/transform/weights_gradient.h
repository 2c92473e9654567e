/* The weights' gradient in a transform domain: products of the planes of X and D, folded into sums
 * of each row of frequencies, and the taps made of them. Included after isa.h by
 * conv2d_transform.c only. */
#ifndef CM_KERNELS_TRANSFORM_WEIGHTS_GRADIENT_H
#define CM_KERNELS_TRANSFORM_WEIGHTS_GRADIENT_H

#include "kernels/conv2d/internal.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/conv2d/transform/job.h"
#include "kernels/conv2d/transform/kernel_side.h"
#include "kernels/gemm/gemm_tile.h"

/* A tile of the weights' gradient: rows of input channels, columns of output channels. */
typedef struct weight_tile {
    cm_range in_channels, out_channels;
} weight_tile;

/* Tiles of one panel: a tile's rows lie in one strip. */
static inline ptrdiff_t tiles_of_panel(const cm_conv2d_shape *shape) {
    const ptrdiff_t strip = strip_of(shape->in_channels);
    return shape->in_channels / strip * cm_even_parts(strip, VF_TILE_ROWS);
}

static inline ptrdiff_t weight_tiles(const cm_conv2d_shape *shape) {
    return tiles_of_panel(shape) * panel_count(shape->out_channels);
}

static inline weight_tile weight_tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t strip = strip_of(shape->in_channels);
    const ptrdiff_t parts = cm_even_parts(strip, VF_TILE_ROWS), tiles = tiles_of_panel(shape);
    const ptrdiff_t channel = index % tiles / parts * strip;
    const cm_range rows = cm_even_part(strip, VF_TILE_ROWS, index % parts);
    const ptrdiff_t begin = index / tiles * CM_TILE_COLUMNS, end = begin + CM_TILE_COLUMNS;
    return (weight_tile){
        {channel + rows.begin, channel + rows.end},
        {begin, end < shape->out_channels ? end : shape->out_channels},
    };
}

/* conj(X) D at one frequency for one tile of weights, summed over `count` tiles of maps: re and im
 * of the tile. */
static inline void multiply_weights(const transform_job *job, const cm_frequency *frequency,
                                    ptrdiff_t count, const weight_tile *where, float *re,
                                    float *im) {
    const cm_gemm_tap tap = {0, 0};
    const int height = (int)(where->in_channels.end - where->in_channels.begin);
    const float *x = x_planes(job) + frequency->plane * job->x_plane +
                     plane_at(count, job->shape->in_channels, 0, where->in_channels.begin);
    const float *d = job->workspace + job->layout.right +
                     job->domain->partner(frequency->plane) * job->y_plane +
                     plane_at(count, job->shape->out_channels, 0, where->out_channels.begin);
    const bool far = !in_strips(job->shape->in_channels);
    cm_gemm_tile tile = {
        .a = x,
        .a_row = 1,
        .a_depth = strip_of(job->shape->in_channels),
        .b = d,
        .b_depth = strip_of(job->shape->out_channels),
        .tap = &tap,
        .taps = 1,
        .depth = (int)count,
        .c = re,
        .c_row = CM_TILE_COLUMNS,
        .columns = (int)(where->out_channels.end - where->out_channels.begin),
        .base = re,
        .base_row = CM_TILE_COLUMNS,
        .mode = CM_GEMM_STORE,
    };
    tile.next_a_step = tile.a_depth;
    tile.next_b_step = tile.b_depth;
    tile.next_a = !far ? NULL : x + (frequency->complex ? 2 : 1) * job->x_plane;
    tile.next_b = d + job->y_plane;
    cm_gemm_micro_kernel(height, &tile); /* k1 = c (e + g) */
    if (!frequency->complex) {
        return;
    }
    tile.next_a = !far ? NULL : x + job->x_plane;
    tile.next_b = d + 2 * job->y_plane;
    tile.a = x + 2 * job->x_plane;
    tile.b = d + job->y_plane;
    tile.c = im;
    tile.mode = CM_GEMM_SUBTRACT;
    cm_gemm_micro_kernel(height, &tile); /* im = k1 - (c + d) e */
    tile.next_a = !far ? NULL : x + 3 * job->x_plane;
    tile.next_b = d + 3 * job->y_plane;
    tile.a = x + job->x_plane;
    tile.b = d + 2 * job->y_plane;
    tile.c = re;
    tile.mode = CM_GEMM_ADD;
    cm_gemm_micro_kernel(height, &tile); /* re = k1 + (d - c) g */
}

/* The end of the group of frequencies that begins at `begin`: frequencies of one row. With strips,
 * one, while the next one's planes are fetched; without, so few that their planes of X stay in the
 * L2 cache while the tiles of all panels pass. */
static inline int group_end(const transform_job *job, int begin) {
    enum { GROUP_PLANES = 15 };
    const cm_frequency *frequency = job->frequency;
    if (in_strips(job->shape->in_channels)) {
        return begin + 1;
    }
    int end = begin, planes = 0;
    while (end < job->domain->frequencies && frequency[end].row == frequency[begin].row &&
           planes + cost_of(&frequency[end]) <= GROUP_PLANES) {
        planes += cost_of(&frequency[end++]);
    }
    return end;
}

/* Floats of the sums of one row of frequencies. */
static inline size_t sums_of_row(const transform_job *job) {
    return (size_t)(job->domain->fold_sums * panel_count(job->shape->out_channels)) *
           CM_TILE_COLUMNS * (size_t)job->shape->in_channels;
}

/* Where a tile has its sums of a row of frequencies: [row][tile][sums][channels of the tile]. */
static inline float *row_sums(const transform_job *job, const weight_tile *where, int row) {
    const ptrdiff_t at = where->in_channels.begin * CM_TILE_COLUMNS +
                         where->out_channels.begin * job->shape->in_channels;
    return job->workspace + job->layout.sums + (size_t)row * sums_of_row(job) +
           job->domain->fold_sums * at;
}

static inline ptrdiff_t floats_of(const weight_tile *where) {
    return (where->in_channels.end - where->in_channels.begin) * CM_TILE_COLUMNS;
}

/* Some tiles of the weights' gradient at one row of frequencies: their products, folded into the
 * sums of the row. */
static inline void weights_of_row(const transform_job *job, cm_range block, int row,
                                  cm_range tiles) {
    enum { TILE = VF_TILE_ROWS * CM_TILE_COLUMNS };
    const cm_conv2d_shape *shape = job->shape;
    const ptrdiff_t visits = tiles.end - tiles.begin;
    /* Columns beyond the last channel are folded too, whatever is in them. */
    _Alignas(64) float re[TILE] = {0};
    _Alignas(64) float im[TILE] = {0};
    int begin = 0, end;
    while (job->frequency[begin].row < row) {
        ++begin;
    }
    for (; begin < job->domain->frequencies && job->frequency[begin].row == row; begin = end) {
        end = group_end(job, begin);
        fetch_ahead x =
            fetch_planes(job, end, x_planes(job), job->x_plane, shape->in_channels, visits + 1);
        fetch_ahead d = fetch_planes(job, end, job->workspace + job->layout.right, job->y_plane,
                                     shape->out_channels, visits + 1);
        for (ptrdiff_t i = tiles.begin; i < tiles.end; ++i) {
            const weight_tile where = weight_tile_at(shape, i);
            float *sums = row_sums(job, &where, row);
            fetch_lines(&x);
            fetch_lines(&d);
            for (int f = begin; f < end; ++f) {
                multiply_weights(job, &job->frequency[f], block.end - block.begin, &where, re, im);
                job->domain->fold(&job->frequency[f], re, im, floats_of(&where), sums);
            }
        }
    }
}

/* What one block adds to the weights' gradient, as sums: the items (row of frequencies, tile), in
 * order. Rows are independent, so that there are items for many threads. */
static inline void backward_weights(const cm_team *team, const transform_job *job, cm_range block) {
    const ptrdiff_t tiles = weight_tiles(job->shape);
    cm_deal deal = cm_team_deal(team, job->domain->rows * tiles);
    for (cm_range items; cm_deal_range(&deal, &items);) {
        for (ptrdiff_t i = items.begin, end; i < items.end; i = end) {
            const ptrdiff_t row = i / tiles, first = row * tiles;
            end = first + tiles < items.end ? first + tiles : items.end;
            weights_of_row(job, block, (int)row, (cm_range){i - first, end - first});
        }
    }
}

/* The sums of all rows to the nine taps of the gradient; after the first block added to what is
 * there. Behind a barrier. */
static inline void store_weights(const cm_team *team, const transform_job *job, cm_range block,
                                 float *dweight) {
    const ptrdiff_t in = job->shape->in_channels, out = job->shape->out_channels;
    const ptrdiff_t tiles = weight_tiles(job->shape);
    const cm_range share = cm_team_share(team, tiles);
    for (ptrdiff_t index = share.begin; index < share.end; ++index) {
        const weight_tile where = weight_tile_at(job->shape, index);
        const ptrdiff_t rows = where.in_channels.end - where.in_channels.begin;
        const ptrdiff_t columns = where.out_channels.end - where.out_channels.begin;
        const float *sums = row_sums(job, &where, 0);
        _Alignas(64) float taps[TAPS * VF_TILE_ROWS * CM_TILE_COLUMNS];
        job->domain->taps(sums, row_sums(job, &where, 1) - sums, floats_of(&where), taps);
        const float *from = taps;
        for (ptrdiff_t i = 0; i < TAPS * rows; ++i, from += CM_TILE_COLUMNS) {
            const ptrdiff_t tap = i / rows, channel = where.in_channels.begin + i % rows;
            float *to = dweight + (tap * in + channel) * out + where.out_channels.begin;
            for (ptrdiff_t j = 0; j < columns; ++j) {
                to[j] = block.begin > 0 ? to[j] + from[j] : from[j];
            }
        }
    }
}

#endif
