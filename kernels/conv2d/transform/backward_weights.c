#include "kernels/isa.h"

#include "kernels/conv2d/transform/backward_weights.h"

#include "kernels/conv2d/transform/filters.h"
#include "kernels/sizes.h"

/* A tile of the transformed dweight: rows of input channels, columns of output channels. */
typedef struct filter_tile {
    cm_range in_channels, out_channels;
} filter_tile;

/* Tiles of one panel: a tile's rows lie in one strip. */
static ptrdiff_t tiles_of_panel(const cm_conv2d_shape *shape) {
    const ptrdiff_t strip = cm_strip_of(shape->in_channels);
    return shape->in_channels / strip * cm_even_parts(strip, VF_TILE_ROWS);
}

static ptrdiff_t filter_tiles(const cm_conv2d_shape *shape) {
    return tiles_of_panel(shape) * cm_filter_panels(shape->out_channels);
}

static filter_tile filter_tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t strip = cm_strip_of(shape->in_channels);
    const ptrdiff_t parts = cm_even_parts(strip, VF_TILE_ROWS), tiles = tiles_of_panel(shape);
    const ptrdiff_t channel = index % tiles / parts * strip;
    const cm_range rows = cm_even_part(strip, VF_TILE_ROWS, index % parts);
    const ptrdiff_t begin = index / tiles * CM_TILE_COLUMNS, end = begin + CM_TILE_COLUMNS;
    return (filter_tile){
        {channel + rows.begin, channel + rows.end},
        {begin, end < shape->out_channels ? end : shape->out_channels},
    };
}

/* conj(X) D at one frequency for one tile, summed over `count` patches: re and im of the tile. */
static void multiply_weights(const cm_transform_job *job, const cm_frequency *frequency,
                             ptrdiff_t count, const filter_tile *where, float *re, float *im) {
    const cm_gemm_term term = {0, 0};
    const int height = (int)(where->in_channels.end - where->in_channels.begin);
    const float *x = cm_x_planes(job) + frequency->plane * job->x_plane +
                     cm_plane_at(count, job->shape->in_channels, 0, where->in_channels.begin);
    const float *d = job->workspace + job->plan->dy_planes +
                     job->domain->partner(frequency->plane) * job->y_plane +
                     cm_plane_at(count, job->shape->out_channels, 0, where->out_channels.begin);
    const bool far = !cm_in_strips(job->shape->in_channels);
    cm_gemm_tile tile = {
        .a = x,
        .a_row = 1,
        .a_depth = cm_strip_of(job->shape->in_channels),
        .b = d,
        .b_depth = cm_strip_of(job->shape->out_channels),
        .term = &term,
        .terms = 1,
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
static int group_end(const cm_transform_job *job, int begin) {
    const cm_frequency *frequency = job->domain->frequency;
    if (cm_in_strips(job->shape->in_channels)) {
        return begin + 1;
    }
    int end = begin, planes = 0;
    while (end < job->sizes->frequencies && frequency[end].row == frequency[begin].row &&
           planes + cm_frequency_cost(&frequency[end]) <= CM_GROUP_PLANES) {
        planes += cm_frequency_cost(&frequency[end++]);
    }
    return end;
}

size_t cm_transform_row_sums(const cm_transform_job *job) {
    return (size_t)(job->sizes->sums * cm_filter_panels(job->shape->out_channels)) *
           CM_TILE_COLUMNS * (size_t)job->shape->in_channels;
}

/* Where a tile has its sums of a row of frequencies: [row][tile][sums][channels of the tile]. */
static float *row_sums(const cm_transform_job *job, const filter_tile *where, int row) {
    const ptrdiff_t at = where->in_channels.begin * CM_TILE_COLUMNS +
                         where->out_channels.begin * job->shape->in_channels;
    return job->workspace + job->plan->sums + (size_t)row * cm_transform_row_sums(job) +
           job->sizes->sums * at;
}

static ptrdiff_t floats_of(const filter_tile *where) {
    return (where->in_channels.end - where->in_channels.begin) * CM_TILE_COLUMNS;
}

/* Some tiles at one row of frequencies: their results, folded into the sums of the row. */
static void weights_of_row(const cm_transform_job *job, cm_range block, int row, cm_range tiles) {
    enum { TILE = VF_TILE_ROWS * CM_TILE_COLUMNS };
    const cm_conv2d_shape *shape = job->shape;
    const ptrdiff_t visits = tiles.end - tiles.begin;
    /* Columns beyond the last channel are folded too, whatever is in them. */
    _Alignas(64) float re[TILE] = {0};
    _Alignas(64) float im[TILE] = {0};
    int begin = 0, end;
    while (job->domain->frequency[begin].row < row) {
        ++begin;
    }
    for (; begin < job->sizes->frequencies && job->domain->frequency[begin].row == row;
         begin = end) {
        end = group_end(job, begin);
        cm_plane_prefetch x = cm_prefetch_planes(job, end, cm_x_planes(job), job->x_plane,
                                                 shape->in_channels, visits + 1);
        cm_plane_prefetch d = cm_prefetch_planes(job, end, job->workspace + job->plan->dy_planes,
                                                 job->y_plane, shape->out_channels, visits + 1);
        for (ptrdiff_t i = tiles.begin; i < tiles.end; ++i) {
            const filter_tile where = filter_tile_at(shape, i);
            float *sums = row_sums(job, &where, row);
            cm_prefetch_lines(&x);
            cm_prefetch_lines(&d);
            for (int f = begin; f < end; ++f) {
                multiply_weights(job, &job->domain->frequency[f], block.end - block.begin, &where,
                                 re, im);
                job->domain->fold(&job->domain->frequency[f], re, im, floats_of(&where), sums);
            }
        }
    }
}

/* The items are (row of frequencies, tile), in order. Rows are independent, so that there are items
 * for many threads. */
void cm_transform_backward_weights(const cm_team *team, const cm_transform_job *job,
                                   cm_range block) {
    const ptrdiff_t tiles = filter_tiles(job->shape);
    cm_deal deal = cm_team_deal(team, job->sizes->rows * tiles);
    for (cm_range items; cm_deal_range(&deal, &items);) {
        for (ptrdiff_t i = items.begin, end; i < items.end; i = end) {
            const ptrdiff_t row = i / tiles, first = row * tiles;
            end = first + tiles < items.end ? first + tiles : items.end;
            weights_of_row(job, block, (int)row, (cm_range){i - first, end - first});
        }
    }
}

void cm_transform_store_weights(const cm_team *team, const cm_transform_job *job, cm_range block,
                                float *dweight) {
    const ptrdiff_t in = job->shape->in_channels, out = job->shape->out_channels;
    const ptrdiff_t tiles = filter_tiles(job->shape);
    const cm_range share = cm_team_share(team, tiles);
    for (ptrdiff_t index = share.begin; index < share.end; ++index) {
        const filter_tile where = filter_tile_at(job->shape, index);
        const ptrdiff_t rows = where.in_channels.end - where.in_channels.begin;
        const ptrdiff_t columns = where.out_channels.end - where.out_channels.begin;
        const float *sums = row_sums(job, &where, 0);
        _Alignas(64) float taps[CM_FILTER_TAPS * VF_TILE_ROWS * CM_TILE_COLUMNS];
        job->domain->taps(sums, row_sums(job, &where, 1) - sums, floats_of(&where), taps);
        const float *from = taps;
        for (ptrdiff_t i = 0; i < CM_FILTER_TAPS * rows; ++i, from += CM_TILE_COLUMNS) {
            const ptrdiff_t tap = i / rows, channel = where.in_channels.begin + i % rows;
            float *to = dweight + (tap * in + channel) * out + where.out_channels.begin;
            for (ptrdiff_t j = 0; j < columns; ++j) {
                to[j] = block.begin > 0 ? to[j] + from[j] : from[j];
            }
        }
    }
}
