/* Convolution in a transform domain: transform the maps, multiply at every frequency, transform
 * back. Three phases with a barrier between them, each split by outputs: (tile, vector of
 * channels), (frequency, panel of channels), (tile, vector of channels). A whole map is one tile,
 * or it is cut into tiles, and so many of them that the planes would not stay in the last cache are
 * taken in blocks, one after the other. Kernels are transformed in two halves: columns first, for
 * all frequencies of a row at once, then each plane of kernels in the L2 cache just before its
 * product. */
#include <assert.h>

#include "convmark/trace.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/internal.h"
#include "kernels/conv2d/transform/domain.h"
#include "kernels/conv2d/transform/job.h"
#include "kernels/conv2d/transform/kernel_side.h"
#include "kernels/conv2d/transform/weights_gradient.h"
#include "kernels/gemm/gemm_tile.h"

/* The domain of each algorithm that has one. */
static const cm_domain *const domains[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_T4] = &cm_t4_domain,
    [CM_CONV2D_DFT10] = &cm_dft10_domain,
    [CM_CONV2D_WINOGRAD3] = &cm_winograd3_domain,
    [CM_CONV2D_WINOGRAD4] = &cm_winograd4_domain,
};

/* Tiles are not kept. */
static transform_job make_job(const cm_conv2d_shape *shape, const cm_team *team, const float *kept,
                              void *workspace) {
    const cm_conv2d_tiles tiles = cm_conv2d_tiles_of(shape);
    transform_job job = {
        .domain = domains[shape->algorithm],
        .shape = shape,
        .layout = cm_conv2d_layout_of(shape, team->count),
        .tiles = tiles,
        .workspace = workspace,
        .kept = domains[shape->algorithm]->tiled ? NULL : kept,
        .x_plane = (ptrdiff_t)cm_conv2d_plane(tiles.largest, shape->in_channels),
        .y_plane = (ptrdiff_t)cm_conv2d_plane(tiles.largest, shape->out_channels),
    };
    assert(job.domain->side == tiles.side);
    assert(job.domain->kernel_rows <= CM_MAX_KERNEL_ROWS);
    assert(job.domain->frequencies <= CM_MAX_FREQUENCIES);
    assert(job.layout.sums + sums_of_row(&job) * (size_t)job.domain->rows <= job.layout.panels);
    job.domain->list(job.frequency);
    return job;
}

/* Maps to planes, or planes to maps: what one thread does of a block's (tile, vector of channels).
 */
typedef struct vector_item {
    ptrdiff_t map, plane; /* where its first float is in the maps, and in a plane */
    int channel, lanes;
    cm_map_tile tile;
} vector_item;

static ptrdiff_t vector_items(cm_range block, int channels) {
    return (block.end - block.begin) * (ptrdiff_t)((channels + VF_LANES - 1) / VF_LANES);
}

static vector_item vector_item_at(const transform_job *job, cm_range block, int channels,
                                  ptrdiff_t index) {
    const cm_conv2d_shape *shape = job->shape;
    const cm_conv2d_tiles *tiles = &job->tiles;
    const ptrdiff_t vectors = (channels + VF_LANES - 1) / VF_LANES;
    const int channel = (int)(index % vectors) * VF_LANES;
    const int left = channels - channel;
    const ptrdiff_t tile = block.begin + index / vectors;
    const ptrdiff_t image = tile / tiles->each;
    const int place = (int)(tile % tiles->each);
    const int h = place / tiles->across * tiles->side, w = place % tiles->across * tiles->side;
    return (vector_item){
        .map = ((image * shape->height + h) * shape->width + w) * channels + channel,
        .plane = plane_at(block.end - block.begin, channels, index / vectors, channel),
        .channel = channel,
        .lanes = left < VF_LANES ? left : VF_LANES,
        .tile = {.step = channels,
                 .row = (ptrdiff_t)shape->width * channels,
                 .above = h,
                 .before = w,
                 .height = shape->height - h,
                 .width = shape->width - w},
    };
}

static void transform_maps(const cm_team *team, const transform_job *job, cm_range block,
                           const float *maps, int channels, cm_plane_kind kind, float *planes,
                           ptrdiff_t plane) {
    cm_deal deal = cm_team_deal(team, vector_items(block, channels));
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const vector_item item = vector_item_at(job, block, channels, i);
        job->domain->transform(maps + item.map, &item.tile, item.lanes, kind, planes + item.plane,
                               plane);
    }
}

static void restore_maps(const cm_team *team, const transform_job *job, cm_range block,
                         const float *planes, ptrdiff_t plane, int channels,
                         const cm_conv2d_epilogue *epilogue, float *maps) {
    cm_deal deal = cm_team_deal(team, vector_items(block, channels));
    for (ptrdiff_t i; (i = cm_deal_next(&deal)) >= 0;) {
        const vector_item item = vector_item_at(job, block, channels, i);
        const cm_conv2d_epilogue here = cm_conv2d_epilogue_at(epilogue, item.channel);
        job->domain->restore(planes + item.plane, plane, item.lanes, &here, maps + item.map,
                             &item.tile);
    }
}

/* The taps of a tile whose depth is the channels of one map: a strip is one tap. */
static int plane_taps(ptrdiff_t count, int channels, cm_gemm_tap *tap) {
    const ptrdiff_t strip = strip_of(channels);
    const int taps = (int)(channels / strip);
    for (int t = 0; t < taps; ++t) {
        tap[t] = (cm_gemm_tap){t * count * strip, t * strip * CM_TILE_COLUMNS};
    }
    return taps;
}

/* Where the products of a pass come from and go to. */
typedef struct product_planes {
    const float *left;
    ptrdiff_t left_plane;
    float *results;
    ptrdiff_t result_plane;
} product_planes;

/* The products of one frequency and one panel, over `count` tiles. */
static void multiply(const cm_frequency *frequency, const kernel_side *side, ptrdiff_t count,
                     const product_planes *planes, int panel, const float *kernels,
                     fetch_ahead *ahead) {
    const ptrdiff_t left_plane = planes->left_plane;
    const ptrdiff_t strip = strip_of(side->depth), row = strip_of(side->columns);
    const int first = panel * CM_TILE_COLUMNS;
    const int rest = side->columns - first;
    const bool strips = in_strips(side->depth);
    const float *a = planes->left + frequency->plane * left_plane;
    float *re = planes->results + frequency->result * planes->result_plane +
                plane_at(count, side->columns, 0, first);
    float *im = re + planes->result_plane;
    cm_gemm_tap tap[MAX_STRIPS];
    const int taps = plane_taps(count, side->depth, tap);
    for (ptrdiff_t part = 0; part < cm_even_parts(count, VF_TILE_ROWS); ++part) {
        const cm_range rows = cm_even_part(count, VF_TILE_ROWS, part);
        const int height = (int)(rows.end - rows.begin);
        cm_gemm_tile tile = {
            .a = a + rows.begin * strip,
            .a_row = strip,
            .a_depth = 1,
            .b = kernels,
            .b_depth = CM_TILE_COLUMNS,
            .tap = tap,
            .taps = taps,
            .depth = (int)strip,
            .c = re + rows.begin * row,
            .c_row = row,
            .columns = rest < CM_TILE_COLUMNS ? rest : CM_TILE_COLUMNS,
            .base = re + rows.begin * row,
            .base_row = row,
            .mode = CM_GEMM_STORE,
        };
        tile.next_a_step = CM_LINE_FLOATS; /* a tile's rows of a plane are one piece of memory */
        tile.next_b = kernels;             /* near */
        tile.next_a = strips               ? NULL
                      : frequency->complex ? tile.a + left_plane
                                           : tile.a + height * strip;
        fetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* k1 */
        if (!frequency->complex) {
            continue;
        }
        tile.a += left_plane;
        tile.next_a = strips ? NULL : tile.a + left_plane;
        tile.b += kernel_stride(side);
        tile.c = im + rows.begin * row;
        tile.mode = side->transposed ? CM_GEMM_SUBTRACT : CM_GEMM_ADD;
        fetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* im = k1 +- k2 */
        tile.a += left_plane;
        tile.b += kernel_stride(side);
        tile.c = re + rows.begin * row;
        tile.next_a = strips ? NULL : a + rows.end * strip;
        tile.mode = side->transposed ? CM_GEMM_ADD : CM_GEMM_SUBTRACT;
        fetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* re = k1 -+ k3 */
    }
}

/* The frequency with this plane; `near` is one that may be before it, or -1. */
static int frequency_at(const transform_job *job, int plane, int near) {
    int f = near >= 0 && job->frequency[near].plane <= plane ? near : 0;
    while (f + 1 < job->domain->frequencies && job->frequency[f + 1].plane <= plane) {
        ++f;
    }
    return f;
}

/* All products: the items (frequency, panel), in order, are dealt out by their cost. */
static void multiply_all(const cm_team *team, const transform_job *job, cm_range block,
                         const kernel_side *side, const float *columns,
                         const product_planes *planes) {
    const cm_domain *domain = job->domain;
    const ptrdiff_t panels = panel_count(side->columns);
    const ptrdiff_t stride = kernel_stride(side);
    const ptrdiff_t tiles = panels * cm_even_parts(block.end - block.begin, VF_TILE_ROWS);
    float *kernels = job->workspace + job->layout.panels + (size_t)team->index * job->layout.panel;
    /* A unit is a product; the first one of an item stands for all of it. */
    cm_deal units = cm_team_deal(team, panels * domain->planes);
    fetch_ahead ahead = {.lines = 0};
    int last = -1;
    for (ptrdiff_t unit; (unit = cm_deal_next(&units)) >= 0;) {
        const int f = frequency_at(job, (int)(unit / panels), last);
        const cm_frequency *frequency = &job->frequency[f];
        const ptrdiff_t place = unit - frequency->plane * panels;
        if (place % cost_of(frequency) != 0) {
            continue;
        }
        if (f != last) {
            ahead = fetch_planes(job, f + 1, planes->left, planes->left_plane, side->depth,
                                 tiles * cost_of(frequency));
            last = f;
        }
        const ptrdiff_t panel = place / cost_of(frequency);
        domain->kernel_planes(frequency, side->transposed,
                              columns + panel * domain->kernel_rows * 3 * stride, stride,
                              (ptrdiff_t)side->depth * CM_TILE_COLUMNS, kernels);
        multiply(frequency, side, block.end - block.begin, planes, (int)panel, kernels, &ahead);
    }
}

void cm_transform_pack(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                       float *packed) {
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    transform_columns(team, domains[shape->algorithm], &side, packed);
}

/* A convolution, or with transposed kernels its backward pass by data: maps of side->depth channels
 * to maps of side->columns, by way of the planes `left`. `columns`: of the kernels, transformed; or
 * NULL, then they are first. */
static void convolve(const cm_team *team, const transform_job *job, const float *maps,
                     cm_plane_kind kind, float *left, const kernel_side *side, const float *columns,
                     const cm_conv2d_epilogue *epilogue, float *to) {
    float *results = job->workspace + job->layout.results;
    const ptrdiff_t left_plane = side->transposed ? job->y_plane : job->x_plane;
    const ptrdiff_t result_plane = side->transposed ? job->x_plane : job->y_plane;
    for (ptrdiff_t i = 0; i < job->tiles.blocks; ++i) {
        const cm_range block = cm_conv2d_block(&job->tiles, i);
        cm_trace_phase(team, CM_PHASE_TRANSFORM);
        transform_maps(team, job, block, maps, side->depth, kind, left, left_plane);
        if (columns == NULL) {
            float *made = job->workspace + job->layout.kernels;
            cm_trace_phase(team, CM_PHASE_KERNELS);
            transform_columns(team, job->domain, side, made);
            columns = made;
        }
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_MULTIPLY);
        const product_planes planes = {left, left_plane, results, result_plane};
        multiply_all(team, job, block, side, columns, &planes);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_RESTORE);
        restore_maps(team, job, block, results, result_plane, side->columns, epilogue, to);
    }
}

void cm_transform_forward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                          const float *weight, const float *packed,
                          const cm_conv2d_epilogue *epilogue, float *y, float *kept,
                          void *workspace) {
    const transform_job job = make_job(shape, team, kept, workspace);
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    float *left = job.kept != NULL ? kept : job.workspace + job.layout.left;
    convolve(team, &job, x, CM_PLANES_X, left, &side, packed, epilogue, y);
}

/* Whole maps, all at once: the planes of dy are for both passes. */
static void backward_of_maps(const cm_team *team, const transform_job *job, const float *x,
                             const float *dy, const kernel_side *side, float *dx, float *dweight) {
    const cm_conv2d_shape *shape = job->shape;
    const cm_range all = cm_conv2d_block(&job->tiles, 0);
    float *right = job->workspace + job->layout.right,
          *results = job->workspace + job->layout.results;
    cm_trace_phase(team, CM_PHASE_TRANSFORM);
    transform_maps(team, job, all, dy, shape->out_channels, CM_PLANES_D, right, job->y_plane);
    if (dweight != NULL && job->kept == NULL) {
        transform_maps(team, job, all, x, shape->in_channels, CM_PLANES_X,
                       job->workspace + job->layout.left, job->x_plane);
    }
    float *columns = job->workspace + job->layout.kernels;
    if (dx != NULL) {
        cm_trace_phase(team, CM_PHASE_KERNELS);
        transform_columns(team, job->domain, side, columns);
    }
    cm_team_barrier(team);
    if (dx != NULL) {
        cm_trace_phase(team, CM_PHASE_MULTIPLY);
        const product_planes planes = {right, job->y_plane, results, job->x_plane};
        multiply_all(team, job, all, side, columns, &planes);
    }
    if (dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        backward_weights(team, job, all);
    }
    cm_team_barrier(team);
    if (dweight != NULL) {
        store_weights(team, job, all, dweight);
    }
    if (dx != NULL) {
        const cm_conv2d_epilogue nothing = {.relu = false};
        cm_trace_phase(team, CM_PHASE_RESTORE);
        restore_maps(team, job, all, results, job->x_plane, shape->in_channels, &nothing, dx);
    }
}

/* Tiles: by data, dy has the positions around a tile as well; by weights it has not. */
static void backward_of_tiles(const cm_team *team, const transform_job *job, const float *x,
                              const float *dy, const kernel_side *side, float *dx, float *dweight) {
    const cm_conv2d_shape *shape = job->shape;
    float *left = job->workspace + job->layout.left, *right = job->workspace + job->layout.right;
    if (dx != NULL) {
        const cm_conv2d_epilogue nothing = {.relu = false};
        convolve(team, job, dy, CM_PLANES_X, left, side, NULL, &nothing, dx);
    }
    for (ptrdiff_t i = 0; dweight != NULL && i < job->tiles.blocks; ++i) {
        const cm_range block = cm_conv2d_block(&job->tiles, i);
        cm_trace_phase(team, CM_PHASE_TRANSFORM);
        transform_maps(team, job, block, dy, shape->out_channels, CM_PLANES_D, right, job->y_plane);
        transform_maps(team, job, block, x, shape->in_channels, CM_PLANES_X, left, job->x_plane);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        backward_weights(team, job, block);
        cm_team_barrier(team);
        store_weights(team, job, block, dweight);
    }
}

void cm_transform_backward(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                           const float *dy, const float *weight, float *dx, float *dweight,
                           const float *kept, void *workspace) {
    const transform_job job = make_job(shape, team, kept, workspace);
    const kernel_side side = {weight, shape->out_channels, shape->in_channels, true};
    if (job.domain->tiled) {
        backward_of_tiles(team, &job, x, dy, &side, dx, dweight);
    } else {
        backward_of_maps(team, &job, x, dy, &side, dx, dweight);
    }
}
