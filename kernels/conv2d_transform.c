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
#include "kernels/transform/kernel_side.h"

enum { PLANES_OF_COMPLEX = 3, MAX_STRIPS = 128 };

_Static_assert(VF_PLANE_STRIP % CM_TILE_COLUMNS == 0, "a panel's columns lie in one strip");

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
    const float *kept;          /* the planes of X where the caller has them, or NULL */
    ptrdiff_t x_plane, y_plane; /* floats from plane to plane, of in_channels and out_channels */
    cm_frequency frequency[CM_MAX_FREQUENCIES];
} transform_job;

/* Channels of a strip: planes of a block's tiles are [strip][tile][channel of the strip]. A strip
 * is one piece of memory whatever the number of channels, so that it fills the sets of a small
 * first cache evenly. It is all channels where the instruction set asks for no narrower one, or
 * where they are not whole strips. */
static ptrdiff_t strip_of(int channels) {
    enum { STRIP = VF_PLANE_STRIP };
    const bool fits = STRIP > 0 && channels % STRIP == 0 && channels <= STRIP * MAX_STRIPS;
    return fits ? STRIP : channels;
}

/* Whether planes of so many channels are more than one strip. */
static bool in_strips(int channels) {
    return strip_of(channels) < channels;
}

/* Where a channel of a tile is in a plane of `count` tiles. */
static ptrdiff_t plane_at(ptrdiff_t count, int channels, ptrdiff_t tile, ptrdiff_t channel) {
    const ptrdiff_t strip = strip_of(channels);
    return (channel / strip * count + tile) * strip + channel % strip;
}

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
    assert(job.domain->scratch <= CM_MAX_FOLD_SUMS);
    job.domain->list(job.frequency);
    return job;
}

/* The planes of X that the weights' gradient is made of. */
static const float *x_planes(const transform_job *job) {
    return job->kept != NULL ? job->kept : job->workspace + job->layout.left;
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

/* Cost of a frequency in real products. */
static int cost_of(const cm_frequency *frequency) {
    return frequency->complex ? PLANES_OF_COMPLEX : 1;
}

/* Lines that are fetched into the second cache a few at a time, beside other work: `runs` pieces of
 * `floats`, `step` apart. */
typedef struct line_stream {
    const float *run;
    ptrdiff_t step, floats, at;
    int runs;
} line_stream;

static void fetch_lines(line_stream *stream, ptrdiff_t lines) {
    for (; lines > 0 && stream->runs > 0; --lines) {
        __builtin_prefetch(stream->run + stream->at, 0, CM_PREFETCH_L2);
        stream->at += CM_LINE_FLOATS;
        if (stream->at >= stream->floats) {
            stream->at = 0;
            stream->run += stream->step;
            --stream->runs;
        }
    }
}

/* What is fetched while the tiles of a frequency pass, so many lines for each: with strips, the
 * next frequency's planes. Without them each tile fetches its successor's operands (gemm_tile.h).
 */
typedef struct fetch_ahead {
    line_stream stream;
    ptrdiff_t lines;
} fetch_ahead;

static fetch_ahead fetch_planes(const transform_job *job, int next, const float *planes,
                                ptrdiff_t plane, int channels, ptrdiff_t tiles) {
    fetch_ahead ahead = {.lines = 0};
    if (next < job->domain->frequencies && in_strips(channels)) {
        const cm_frequency *frequency = &job->frequency[next];
        ahead.stream.run = planes + frequency->plane * plane;
        ahead.stream.floats = cost_of(frequency) * plane;
        ahead.stream.runs = 1;
        ahead.lines = ahead.stream.floats / CM_LINE_FLOATS / tiles + 1;
    }
    return ahead;
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
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* k1 */
        if (!frequency->complex) {
            continue;
        }
        tile.a += left_plane;
        tile.next_a = strips ? NULL : tile.a + left_plane;
        tile.b += kernel_stride(side);
        tile.c = im + rows.begin * row;
        tile.mode = side->transposed ? CM_GEMM_SUBTRACT : CM_GEMM_ADD;
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* im = k1 +- k2 */
        tile.a += left_plane;
        tile.b += kernel_stride(side);
        tile.c = re + rows.begin * row;
        tile.next_a = strips ? NULL : a + rows.end * strip;
        tile.mode = side->transposed ? CM_GEMM_ADD : CM_GEMM_SUBTRACT;
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* re = k1 -+ k3 */
    }
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
    const cm_range share = cm_team_share(team, panels * domain->planes);
    ptrdiff_t cost = 0;
    for (int f = 0; f < domain->frequencies; ++f) {
        const cm_frequency *frequency = &job->frequency[f];
        fetch_ahead ahead = fetch_planes(job, f + 1, planes->left, planes->left_plane, side->depth,
                                         tiles * cost_of(frequency));
        for (ptrdiff_t panel = 0; panel < panels; ++panel) {
            if (cost >= share.begin && cost < share.end) {
                domain->kernel_planes(frequency, side->transposed,
                                      columns + panel * domain->kernel_rows * 3 * stride, stride,
                                      (ptrdiff_t)side->depth * CM_TILE_COLUMNS, kernels);
                multiply(frequency, side, block.end - block.begin, planes, (int)panel, kernels,
                         &ahead);
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

void CM_FN(transform_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                              const float *weight, const float *packed,
                              const cm_conv2d_epilogue *epilogue, float *y, float *kept,
                              void *workspace) {
    const transform_job job = make_job(shape, team, kept, workspace);
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    float *left = job.kept != NULL ? kept : job.workspace + job.layout.left;
    convolve(team, &job, x, CM_PLANES_X, left, &side, packed, epilogue, y);
}

/* A tile of the weights' gradient: rows of input channels, columns of output channels. */
typedef struct weight_tile {
    cm_range in_channels, out_channels;
} weight_tile;

/* Tiles of one panel: a tile's rows lie in one strip. */
static ptrdiff_t tiles_of_panel(const cm_conv2d_shape *shape) {
    const ptrdiff_t strip = strip_of(shape->in_channels);
    return shape->in_channels / strip * cm_even_parts(strip, VF_TILE_ROWS);
}

static weight_tile weight_tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
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
static void multiply_weights(const transform_job *job, const cm_frequency *frequency,
                             ptrdiff_t count, const weight_tile *where, float *re, float *im) {
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
    CM_FN(gemm_tile)(height, &tile); /* k1 = c (e + g) */
    if (!frequency->complex) {
        return;
    }
    tile.next_a = !far ? NULL : x + job->x_plane;
    tile.next_b = d + 2 * job->y_plane;
    tile.a = x + 2 * job->x_plane;
    tile.b = d + job->y_plane;
    tile.c = im;
    tile.mode = CM_GEMM_SUBTRACT;
    CM_FN(gemm_tile)(height, &tile); /* im = k1 - (c + d) e */
    tile.next_a = !far ? NULL : x + 3 * job->x_plane;
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

/* One tile at one frequency: its products, folded into its sums. */
static void weights_of_tile(const transform_job *job, cm_range block, ptrdiff_t index, int f,
                            float *re, float *im, float *dweight) {
    const cm_conv2d_shape *shape = job->shape;
    const cm_domain *domain = job->domain;
    const weight_tile where = weight_tile_at(shape, index);
    const ptrdiff_t count = (where.in_channels.end - where.in_channels.begin) * CM_TILE_COLUMNS;
    const ptrdiff_t at =
        where.in_channels.begin * CM_TILE_COLUMNS + where.out_channels.begin * shape->in_channels;
    float *taps = job->workspace + job->layout.taps + TAPS * at;
    float *sums = job->workspace + job->layout.sums + domain->scratch * at;
    multiply_weights(job, &job->frequency[f], block.end - block.begin, &where, re, im);
    domain->fold(&job->frequency[f], re, im, count, sums, taps);
    if (f == domain->frequencies - 1) {
        store_taps(shape, &where, block.begin > 0, taps, dweight);
    }
}

/* What one block adds to the weights' gradient. With strips: frequencies outside, tiles inside,
 * while the next frequency's planes are fetched. Without: groups of frequencies of a row, so few
 * that their planes of X stay in the second cache while the tiles of all panels pass. Each tile's
 * sums over a row, and its taps, wait in the workspace from visit to visit. */
static void backward_weights(const cm_team *team, const transform_job *job, cm_range block,
                             float *dweight) {
    enum { TILE = VF_TILE_ROWS * CM_TILE_COLUMNS };
    const cm_conv2d_shape *shape = job->shape;
    const int frequencies = job->domain->frequencies;
    const bool strips = in_strips(shape->in_channels);
    _Alignas(64) float re[TILE];
    _Alignas(64) float im[TILE];
    memset(re, 0, sizeof re); /* columns beyond the last channel are folded too */
    memset(im, 0, sizeof im);
    const cm_range share =
        cm_team_share(team, tiles_of_panel(shape) * panel_count(shape->out_channels));
    int end = 0;
    for (int begin = 0; begin < frequencies; begin = end) {
        end = strips ? begin + 1 : group_end(job, begin);
        fetch_ahead x = fetch_planes(job, end, x_planes(job), job->x_plane, shape->in_channels,
                                     share.end - share.begin + 1);
        fetch_ahead d = fetch_planes(job, end, job->workspace + job->layout.right, job->y_plane,
                                     shape->out_channels, share.end - share.begin + 1);
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            fetch_lines(&x.stream, x.lines);
            fetch_lines(&d.stream, d.lines);
            for (int f = begin; f < end; ++f) {
                weights_of_tile(job, block, i, f, re, im, dweight);
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
        convolve(team, job, dy, CM_PLANES_X, left, side, NULL, &nothing, dx);
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
                               const float *kept, void *workspace) {
    const transform_job job = make_job(shape, team, kept, workspace);
    const kernel_side side = {weight, shape->out_channels, shape->in_channels, true};
    if (job.domain->tiled) {
        backward_of_tiles(team, &job, x, dy, &side, dx, dweight);
    } else {
        backward_of_maps(team, &job, x, dy, &side, dx, dweight);
    }
}
