/* Convolution in a transform domain: transform the maps, multiply at every frequency, transform
 * back. Three phases with a barrier between them, each split by outputs: (tile, vector of
 * channels), (frequency, panel of channels), (tile, vector of channels). A whole map is one tile,
 * or it is cut into tiles, and so many of them that the planes would not stay in the last cache are
 * taken in blocks, one after the other. Kernels are transformed in two halves: columns first, for
 * all frequencies of a row at once, then each plane of kernels in the L2 cache just before its
 * product. */
#include <assert.h>
#include <string.h>

#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/micro/gemm_tile.h"
#include "kernels/trace.h"
#include "kernels/transform/domain.h"

enum { TAPS = 9, PLANES_OF_COMPLEX = 3 };

/* The domain of each algorithm that has one. */
static const cm_domain *const domains[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_T4] = &CM_FN(t4_domain),
    [CM_CONV2D_DFT10] = &CM_FN(dft10_domain),
    [CM_CONV2D_WINOGRAD3] = &CM_FN(winograd3_domain),
    [CM_CONV2D_WINOGRAD4] = &CM_FN(winograd4_domain),
};

/* One call's constants. */
typedef struct transform_job {
    const cm_domain *domain;
    const cm_conv2d_shape *shape;
    cm_conv2d_layout layout;
    cm_conv2d_tiles tiles;
    float *workspace;
    ptrdiff_t x_plane, y_plane; /* floats from plane to plane, of in_channels and out_channels */
    cm_frequency frequency[CM_MAX_FREQUENCIES];
} transform_job;

static transform_job make_job(const cm_conv2d_shape *shape, const cm_team *team, void *workspace) {
    const cm_conv2d_tiles tiles = cm_conv2d_tiles_of(shape);
    transform_job job = {
        .domain = domains[shape->algorithm],
        .shape = shape,
        .layout = cm_conv2d_layout_of(shape, team->count),
        .tiles = tiles,
        .workspace = workspace,
        .x_plane = (ptrdiff_t)cm_conv2d_plane(tiles.largest, shape->in_channels),
        .y_plane = (ptrdiff_t)cm_conv2d_plane(tiles.largest, shape->out_channels),
    };
    assert(job.domain->side == tiles.side);
    assert(job.domain->kernel_rows <= CM_MAX_KERNEL_ROWS);
    assert(job.domain->frequencies <= CM_MAX_FREQUENCIES);
    assert(job.domain->scratch <= CM_MAX_FOLD_SUMS);
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
        .plane = index / vectors * channels + channel,
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
    const cm_range share = cm_team_share(team, vector_items(block, channels));
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const vector_item item = vector_item_at(job, block, channels, i);
        job->domain->transform(maps + item.map, &item.tile, item.lanes, kind, planes + item.plane,
                               plane);
    }
}

static void restore_maps(const cm_team *team, const transform_job *job, cm_range block,
                         const float *planes, ptrdiff_t plane, int channels,
                         const cm_conv2d_epilogue *epilogue, float *maps) {
    const cm_range share = cm_team_share(team, vector_items(block, channels));
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const vector_item item = vector_item_at(job, block, channels, i);
        const cm_conv2d_epilogue here = cm_conv2d_epilogue_at(epilogue, item.channel);
        job->domain->restore(planes + item.plane, plane, item.lanes, &here, maps + item.map,
                             &item.tile);
    }
}

/* Kernels as the right-hand side of a product: `depth` channels summed over, `columns` produced.
 * Transposed: weight[tap][column][depth], as backward by data needs them. */
typedef struct kernel_side {
    const float *weight;
    int depth, columns;
    bool transposed;
} kernel_side;

static ptrdiff_t panel_count(int columns) {
    return (columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
}

/* The nine taps of kernels [columns from `first` on] at depth d, one row of CM_TILE_COLUMNS each.
 */
static void gather_taps(const kernel_side *side, int first, int d, float *rows) {
    const int left = side->columns - first;
    const int count = left < CM_TILE_COLUMNS ? left : CM_TILE_COLUMNS;
    const ptrdiff_t tap_size = (ptrdiff_t)side->depth * side->columns;
    const ptrdiff_t step = side->transposed ? side->depth : 1;
    const ptrdiff_t begin = side->transposed ? (ptrdiff_t)first * side->depth + d
                                             : (ptrdiff_t)d * side->columns + first;
    for (int tap = 0; tap < TAPS; ++tap) {
        const float *from = side->weight + tap * tap_size + begin;
        float *row = rows + tap * CM_TILE_COLUMNS;
        for (int j = 0; j < count; ++j) {
            row[j] = from[j * step];
        }
        for (int j = count; j < CM_TILE_COLUMNS; ++j) {
            row[j] = 0.0F;
        }
    }
}

/* First half of the kernels' transform: [panel][row][3][depth][CM_TILE_COLUMNS]. */
static void transform_columns(const cm_team *team, const cm_domain *domain, const kernel_side *side,
                              float *columns) {
    const int rows = domain->kernel_rows;
    const ptrdiff_t stride = (ptrdiff_t)side->depth * CM_TILE_COLUMNS;
    const cm_range share = cm_team_share(team, panel_count(side->columns) * side->depth);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t panel = i / side->depth, d = i % side->depth;
        float taps[TAPS * CM_TILE_COLUMNS];
        gather_taps(side, (int)panel * CM_TILE_COLUMNS, (int)d, taps);
        for (int v = 0; v < CM_TILE_COLUMNS; v += VF_LANES) {
            vf w[3][3], u[CM_MAX_KERNEL_ROWS][3];
            for (int tap = 0; tap < TAPS; ++tap) {
                w[tap / 3][tap % 3] = vf_load(taps + tap * CM_TILE_COLUMNS + v);
            }
            domain->kernel_columns(w, side->transposed && domain->flips, u);
            float *to = columns + panel * rows * 3 * stride + d * CM_TILE_COLUMNS + v;
            for (int row = 0; row < rows * 3; ++row) {
                vf_store(to + row * stride, u[row / 3][row % 3]);
            }
        }
    }
}

/* Cost of a frequency in real products. */
static int cost_of(const cm_frequency *frequency) {
    return frequency->complex ? PLANES_OF_COMPLEX : 1;
}

/* The products of one frequency and one panel, over `count` tiles. */
static void multiply(const cm_frequency *frequency, const kernel_side *side, ptrdiff_t count,
                     const float *left, ptrdiff_t left_plane, int panel, const float *kernels,
                     float *results, ptrdiff_t result_plane) {
    const ptrdiff_t kernel_plane = (ptrdiff_t)side->depth * CM_TILE_COLUMNS;
    const cm_gemm_tap tap = {0, 0};
    const int first = panel * CM_TILE_COLUMNS;
    const int rest = side->columns - first;
    const float *a = left + frequency->plane * left_plane;
    float *re = results + frequency->result * result_plane + first;
    float *im = re + result_plane;
    for (ptrdiff_t part = 0; part < cm_even_parts(count, VF_TILE_ROWS); ++part) {
        const cm_range rows = cm_even_part(count, VF_TILE_ROWS, part);
        const int height = (int)(rows.end - rows.begin);
        cm_gemm_tile tile = {
            .a = a + rows.begin * side->depth,
            .a_row = side->depth,
            .a_depth = 1,
            .b = kernels,
            .b_depth = CM_TILE_COLUMNS,
            .tap = &tap,
            .taps = 1,
            .depth = side->depth,
            .c = re + rows.begin * side->columns,
            .c_row = side->columns,
            .columns = rest < CM_TILE_COLUMNS ? rest : CM_TILE_COLUMNS,
            .base = re + rows.begin * side->columns,
            .base_row = side->columns,
            .mode = CM_GEMM_STORE,
        };
        tile.next_a_step = CM_LINE_FLOATS; /* a tile's rows of a plane are one piece of memory */
        tile.next_b = kernels;             /* near */
        tile.next_a = frequency->complex ? tile.a + left_plane : tile.a + height * side->depth;
        CM_FN(gemm_tile)(height, &tile); /* k1 */
        if (!frequency->complex) {
            continue;
        }
        tile.a += left_plane;
        tile.next_a = tile.a + left_plane;
        tile.b += kernel_plane;
        tile.c = im + rows.begin * side->columns;
        tile.mode = side->transposed ? CM_GEMM_SUBTRACT : CM_GEMM_ADD;
        CM_FN(gemm_tile)(height, &tile); /* im = k1 +- k2 */
        tile.a += left_plane;
        tile.b += kernel_plane;
        tile.c = re + rows.begin * side->columns;
        tile.next_a = a + rows.end * side->depth;
        tile.mode = side->transposed ? CM_GEMM_ADD : CM_GEMM_SUBTRACT;
        CM_FN(gemm_tile)(height, &tile); /* re = k1 -+ k3 */
    }
}

/* All products: the items (frequency, panel), in order, are dealt out by their cost. */
static void multiply_all(const cm_team *team, const transform_job *job, cm_range block,
                         const kernel_side *side, const float *columns, const float *left,
                         ptrdiff_t left_plane, float *results, ptrdiff_t result_plane) {
    const cm_domain *domain = job->domain;
    const ptrdiff_t panels = panel_count(side->columns);
    const ptrdiff_t stride = (ptrdiff_t)side->depth * CM_TILE_COLUMNS;
    float *kernels = job->workspace + job->layout.panels + (size_t)team->index * job->layout.panel;
    const cm_range share = cm_team_share(team, panels * domain->planes);
    ptrdiff_t cost = 0;
    for (int f = 0; f < domain->frequencies; ++f) {
        const cm_frequency *frequency = &job->frequency[f];
        for (ptrdiff_t panel = 0; panel < panels; ++panel) {
            if (cost >= share.begin && cost < share.end) {
                domain->kernel_planes(frequency, side->transposed,
                                      columns + panel * domain->kernel_rows * 3 * stride, stride,
                                      stride, kernels);
                multiply(frequency, side, block.end - block.begin, left, left_plane, (int)panel,
                         kernels, results, result_plane);
            }
            cost += cost_of(frequency);
        }
    }
}

void CM_FN(transform_pack)(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                           float *packed) {
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    transform_columns(team, domains[shape->algorithm], &side, packed);
}

/* A convolution, or with transposed kernels its backward pass by data: maps of side->depth channels
 * to maps of side->columns. `columns`: of the kernels, transformed; or NULL, then they are first.
 */
static void convolve(const cm_team *team, const transform_job *job, const float *maps,
                     cm_plane_kind kind, const kernel_side *side, const float *columns,
                     const cm_conv2d_epilogue *epilogue, float *to) {
    float *left = job->workspace + job->layout.left,
          *results = job->workspace + job->layout.results;
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
        multiply_all(team, job, block, side, columns, left, left_plane, results, result_plane);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_RESTORE);
        restore_maps(team, job, block, results, result_plane, side->columns, epilogue, to);
    }
}

void CM_FN(transform_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                              const float *weight, const float *packed,
                              const cm_conv2d_epilogue *epilogue, float *y, void *workspace) {
    const transform_job job = make_job(shape, team, workspace);
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    convolve(team, &job, x, CM_PLANES_X, &side, packed, epilogue, y);
}

/* A tile of the weights' gradient: rows of input channels, columns of output channels. */
typedef struct weight_tile {
    cm_range in_channels, out_channels;
} weight_tile;

static weight_tile weight_tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t parts = cm_even_parts(shape->in_channels, VF_TILE_ROWS);
    const ptrdiff_t begin = index / parts * CM_TILE_COLUMNS, end = begin + CM_TILE_COLUMNS;
    return (weight_tile){
        cm_even_part(shape->in_channels, VF_TILE_ROWS, index % parts),
        {begin, end < shape->out_channels ? end : shape->out_channels},
    };
}

/* conj(X) D at one frequency for one tile of weights, summed over `count` tiles of maps: re and im
 * of the tile. */
static void multiply_weights(const transform_job *job, const cm_frequency *frequency,
                             ptrdiff_t count, const weight_tile *where, float *re, float *im) {
    const cm_gemm_tap tap = {0, 0};
    const int height = (int)(where->in_channels.end - where->in_channels.begin);
    const float *x = job->workspace + job->layout.left + frequency->plane * job->x_plane +
                     where->in_channels.begin;
    const float *d = job->workspace + job->layout.right +
                     job->domain->partner(frequency->plane) * job->y_plane +
                     where->out_channels.begin;
    cm_gemm_tile tile = {
        .a = x,
        .a_row = 1,
        .a_depth = job->shape->in_channels,
        .b = d,
        .b_depth = job->shape->out_channels,
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
    tile.next_a = x + (frequency->complex ? 2 : 1) * job->x_plane;
    tile.next_b = d + job->y_plane;
    CM_FN(gemm_tile)(height, &tile); /* k1 = c (e + g) */
    if (!frequency->complex) {
        return;
    }
    tile.next_a = x + job->x_plane;
    tile.next_b = d + 2 * job->y_plane;
    tile.a = x + 2 * job->x_plane;
    tile.b = d + job->y_plane;
    tile.c = im;
    tile.mode = CM_GEMM_SUBTRACT;
    CM_FN(gemm_tile)(height, &tile); /* im = k1 - (c + d) e */
    tile.next_a = x + 3 * job->x_plane;
    tile.next_b = d + 3 * job->y_plane;
    tile.a = x + job->x_plane;
    tile.b = d + 2 * job->y_plane;
    tile.c = re;
    tile.mode = CM_GEMM_ADD;
    CM_FN(gemm_tile)(height, &tile); /* re = k1 + (d - c) g */
}

/* A tile's taps to their place; after the first block added to what is there. */
static void store_taps(const cm_conv2d_shape *shape, const weight_tile *where, bool add,
                       const float *taps, float *dweight) {
    const ptrdiff_t rows = where->in_channels.end - where->in_channels.begin;
    const ptrdiff_t columns = where->out_channels.end - where->out_channels.begin;
    for (int tap = 0; tap < TAPS; ++tap) {
        for (ptrdiff_t i = 0; i < rows; ++i) {
            const ptrdiff_t channel = where->in_channels.begin + i;
            const float *from = taps + (tap * rows + i) * CM_TILE_COLUMNS;
            float *to = dweight +
                        (tap * (ptrdiff_t)shape->in_channels + channel) * shape->out_channels +
                        where->out_channels.begin;
            for (ptrdiff_t j = 0; j < columns; ++j) {
                to[j] = add ? to[j] + from[j] : from[j];
            }
        }
    }
}

/* The end of the group of frequencies that begins at `begin`: frequencies of one row, so few that
 * their planes of X stay in the L2 cache while the tiles of all panels pass. */
static int group_end(const transform_job *job, int begin) {
    enum { GROUP_PLANES = 15 };
    const cm_frequency *frequency = job->frequency;
    int end = begin, planes = 0;
    while (end < job->domain->frequencies && frequency[end].row == frequency[begin].row &&
           planes + cost_of(&frequency[end]) <= GROUP_PLANES) {
        planes += cost_of(&frequency[end++]);
    }
    return end;
}

/* What one block adds to the weights' gradient. Groups of frequencies outside, tiles inside; each
 * tile's sums over a row, and its taps, wait in the workspace from group to group. */
static void backward_weights(const cm_team *team, const transform_job *job, cm_range block,
                             float *dweight) {
    enum { TILE = VF_TILE_ROWS * CM_TILE_COLUMNS };
    const cm_conv2d_shape *shape = job->shape;
    const cm_domain *domain = job->domain;
    float re[TILE], im[TILE];
    memset(re, 0, sizeof re); /* columns beyond the last channel are folded too */
    memset(im, 0, sizeof im);
    const ptrdiff_t tiles =
        cm_even_parts(shape->in_channels, VF_TILE_ROWS) * panel_count(shape->out_channels);
    const cm_range share = cm_team_share(team, tiles);
    int end = 0;
    for (int begin = 0; begin < domain->frequencies; begin = end) {
        end = group_end(job, begin);
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            const weight_tile where = weight_tile_at(shape, i);
            const ptrdiff_t count =
                (where.in_channels.end - where.in_channels.begin) * CM_TILE_COLUMNS;
            const ptrdiff_t at = where.in_channels.begin * CM_TILE_COLUMNS +
                                 where.out_channels.begin * shape->in_channels;
            float *taps = job->workspace + job->layout.taps + TAPS * at;
            float *sums = job->workspace + job->layout.sums + domain->scratch * at;
            for (int f = begin; f < end; ++f) {
                multiply_weights(job, &job->frequency[f], block.end - block.begin, &where, re, im);
                domain->fold(&job->frequency[f], re, im, count, sums, taps);
            }
            if (end == domain->frequencies) {
                store_taps(shape, &where, block.begin > 0, taps, dweight);
            }
        }
    }
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
    if (dweight != NULL) {
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
        multiply_all(team, job, all, side, columns, right, job->y_plane, results, job->x_plane);
    }
    if (dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        backward_weights(team, job, all, dweight);
    }
    if (dx != NULL) {
        const cm_conv2d_epilogue nothing = {.relu = false};
        cm_team_barrier(team);
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
        convolve(team, job, dy, CM_PLANES_X, side, NULL, &nothing, dx);
    }
    for (ptrdiff_t i = 0; dweight != NULL && i < job->tiles.blocks; ++i) {
        const cm_range block = cm_conv2d_block(&job->tiles, i);
        if (i > 0) {
            cm_team_barrier(team); /* the planes of the last block are read until here */
        }
        cm_trace_phase(team, CM_PHASE_TRANSFORM);
        transform_maps(team, job, block, dy, shape->out_channels, CM_PLANES_D, right, job->y_plane);
        transform_maps(team, job, block, x, shape->in_channels, CM_PLANES_X, left, job->x_plane);
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        backward_weights(team, job, block, dweight);
    }
}

void CM_FN(transform_backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                               const float *dy, const float *weight, float *dx, float *dweight,
                               void *workspace) {
    const transform_job job = make_job(shape, team, workspace);
    const kernel_side side = {weight, shape->out_channels, shape->in_channels, true};
    if (job.domain->tiled) {
        backward_of_tiles(team, &job, x, dy, &side, dx, dweight);
    } else {
        backward_of_maps(team, &job, x, dy, &side, dx, dweight);
    }
}
