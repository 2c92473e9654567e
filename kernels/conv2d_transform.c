/* Convolution in a transform domain: transform the maps, multiply at every frequency, transform
 * back. Three phases with a barrier between them, each split by outputs: (image, vector of
 * channels), (frequency, panel of channels), (image, vector of channels). Kernels are transformed
 * in two halves: columns first, for all frequencies of a row at once, then each plane of kernels in
 * the L2 cache just before its product. */
#include <assert.h>
#include <string.h>

#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/micro/gemm_tile.h"
#include "kernels/trace.h"
#include "kernels/transform/domain.h"
#include "kernels/transpose.h"

enum { TAPS = 9, PLANES_OF_COMPLEX = 3, MAX_BLOCKS = 128 };

_Static_assert(VF_PLANE_BLOCK % CM_TILE_COLUMNS == 0, "a panel's columns lie in one block");

/* The domain of each algorithm that has one. */
static const cm_domain *const domains[CM_CONV2D_ALGORITHM_COUNT] = {
    [CM_CONV2D_T4] = &CM_FN(t4_domain),
    [CM_CONV2D_DFT10] = &CM_FN(dft10_domain),
};

/* One call's constants. */
typedef struct transform_job {
    const cm_domain *domain;
    const cm_conv2d_shape *shape;
    cm_conv2d_layout layout;
    float *workspace;
    ptrdiff_t x_plane, y_plane; /* floats from plane to plane, of in_channels and out_channels */
    cm_frequency frequency[CM_MAX_FREQUENCIES];
} transform_job;

/* Channels of a block of planes of so many: planes are [block][image][channel of the block]. A
 * block is one piece of memory whatever the number of channels, so that it fills the sets of a
 * small first cache evenly. It is all channels where the instruction set asks for no smaller one,
 * or where they are not whole blocks. */
static ptrdiff_t plane_block(int channels) {
    enum { BLOCK = VF_PLANE_BLOCK };
    const bool fits = BLOCK > 0 && channels % BLOCK == 0 && channels <= BLOCK * MAX_BLOCKS;
    return fits ? BLOCK : channels;
}

static ptrdiff_t plane_at(const cm_conv2d_shape *shape, int channels, ptrdiff_t image,
                          ptrdiff_t channel) {
    const ptrdiff_t block = plane_block(channels);
    return (channel / block * shape->batch + image) * block + channel % block;
}

static transform_job make_job(const cm_conv2d_shape *shape, const cm_team *team, void *workspace) {
    transform_job job = {
        .domain = domains[shape->algorithm],
        .shape = shape,
        .layout = cm_conv2d_layout_of(shape, team->count),
        .workspace = workspace,
        .x_plane = (ptrdiff_t)cm_conv2d_plane(shape->batch, shape->in_channels),
        .y_plane = (ptrdiff_t)cm_conv2d_plane(shape->batch, shape->out_channels),
    };
    assert(job.domain->kernel_rows <= CM_MAX_KERNEL_ROWS);
    assert(job.domain->frequencies <= CM_MAX_FREQUENCIES);
    assert(job.domain->scratch <= CM_MAX_FOLD_SUMS);
    job.domain->list(job.frequency);
    return job;
}

/* Maps to planes, or planes to maps: what one thread does of (image, vector of channels). */
typedef struct vector_item {
    ptrdiff_t image;
    int channel, lanes;
} vector_item;

static ptrdiff_t vector_items(const cm_conv2d_shape *shape, int channels) {
    return shape->batch * (ptrdiff_t)((channels + VF_LANES - 1) / VF_LANES);
}

static vector_item vector_item_at(int channels, ptrdiff_t index) {
    const ptrdiff_t vectors = (channels + VF_LANES - 1) / VF_LANES;
    const int channel = (int)(index % vectors) * VF_LANES;
    const int left = channels - channel;
    return (vector_item){index / vectors, channel, left < VF_LANES ? left : VF_LANES};
}

static void transform_maps(const cm_team *team, const transform_job *job, const float *maps,
                           int channels, cm_plane_kind kind, float *planes, ptrdiff_t plane) {
    const ptrdiff_t map = (ptrdiff_t)job->domain->side * job->domain->side * channels;
    const cm_range share = cm_team_share(team, vector_items(job->shape, channels));
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const vector_item item = vector_item_at(channels, i);
        job->domain->transform(maps + item.image * map + item.channel, channels, item.lanes, kind,
                               planes + plane_at(job->shape, channels, item.image, item.channel),
                               plane);
    }
}

static void restore_maps(const cm_team *team, const transform_job *job, const float *planes,
                         ptrdiff_t plane, int channels, const cm_conv2d_epilogue *epilogue,
                         float *maps) {
    const ptrdiff_t map = (ptrdiff_t)job->domain->side * job->domain->side * channels;
    const cm_range share = cm_team_share(team, vector_items(job->shape, channels));
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const vector_item item = vector_item_at(channels, i);
        const cm_conv2d_epilogue here = cm_conv2d_epilogue_at(epilogue, item.channel);
        job->domain->restore(planes + plane_at(job->shape, channels, item.image, item.channel),
                             plane, item.lanes, &here, maps + item.image * map + item.channel,
                             channels);
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

/* Steps of the depth whose kernels are gathered at a time: whole blocks of a transpose. */
enum { DEPTH_GROUP = 8 };
_Static_assert(DEPTH_GROUP % VB_SIDE == 0, "transposes have no rest in the middle of a depth");

/* The nine taps of kernels [columns from `first` on] at `count` depths from d on:
 * rows[tap][DEPTH_GROUP][CM_TILE_COLUMNS]. */
static void gather_taps(const kernel_side *side, ptrdiff_t first, ptrdiff_t d, ptrdiff_t count,
                        float *rows) {
    const ptrdiff_t left = side->columns - first;
    const ptrdiff_t columns = left < CM_TILE_COLUMNS ? left : CM_TILE_COLUMNS;
    const ptrdiff_t tap_size = (ptrdiff_t)side->depth * side->columns;
    if (columns < CM_TILE_COLUMNS) {
        memset(rows, 0, sizeof(float) * TAPS * DEPTH_GROUP * CM_TILE_COLUMNS);
    }
    for (int tap = 0; tap < TAPS; ++tap) {
        const float *from = side->weight + tap * tap_size;
        float *to = rows + tap * DEPTH_GROUP * CM_TILE_COLUMNS;
        if (side->transposed) {
            cm_transpose(from + first * side->depth + d, side->depth, columns, count, to,
                         CM_TILE_COLUMNS);
            continue;
        }
        for (ptrdiff_t i = 0; i < count; ++i, to += CM_TILE_COLUMNS) {
            memcpy(to, from + (d + i) * side->columns + first, (size_t)columns * sizeof *to);
        }
    }
}

/* Floats from one row of the kernels' columns to the next, and from plane to plane of a panel: one
 * step of the depth more than they have, against powers of two (cm_conv2d_plane()). */
static ptrdiff_t kernel_stride(const kernel_side *side) {
    return ((ptrdiff_t)side->depth + 1) * CM_TILE_COLUMNS;
}

/* First half of the kernels' transform: [panel][row][3][depth][CM_TILE_COLUMNS]. */
static void transform_columns(const cm_team *team, const cm_domain *domain, const kernel_side *side,
                              float *columns) {
    const int rows = domain->kernel_rows;
    const ptrdiff_t stride = kernel_stride(side);
    const ptrdiff_t groups = cm_even_parts(side->depth, DEPTH_GROUP);
    const cm_range share = cm_team_share(team, panel_count(side->columns) * groups);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t panel = i / groups, d = i % groups * DEPTH_GROUP;
        const ptrdiff_t count = side->depth - d < DEPTH_GROUP ? side->depth - d : DEPTH_GROUP;
        float taps[TAPS * DEPTH_GROUP * CM_TILE_COLUMNS];
        gather_taps(side, panel * CM_TILE_COLUMNS, d, count, taps);
        for (ptrdiff_t v = 0; v < count * CM_TILE_COLUMNS; v += VF_LANES) {
            vf w[3][3], u[CM_MAX_KERNEL_ROWS][3];
            for (int tap = 0; tap < TAPS; ++tap) {
                w[tap / 3][tap % 3] = vf_load(taps + tap * DEPTH_GROUP * CM_TILE_COLUMNS + v);
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

/* What is fetched while the tiles of a frequency pass, so many lines for each: with blocks, the
 * next frequency's planes. Without them each tile fetches its successor's operands (gemm_tile.h).
 */
typedef struct fetch_ahead {
    line_stream stream;
    ptrdiff_t lines;
} fetch_ahead;

static fetch_ahead fetch_planes(const transform_job *job, int next, const float *planes,
                                ptrdiff_t plane, int channels, ptrdiff_t tiles) {
    fetch_ahead ahead = {.lines = 0};
    if (next < job->domain->frequencies && plane_block(channels) < channels) {
        const cm_frequency *frequency = &job->frequency[next];
        ahead.stream.run = planes + frequency->plane * plane;
        ahead.stream.floats = cost_of(frequency) * plane;
        ahead.stream.runs = 1;
        ahead.lines = ahead.stream.floats / CM_LINE_FLOATS / tiles + 1;
    }
    return ahead;
}

/* The taps of a tile whose depth is the channels of one image: a block is one tap. */
static int plane_taps(const cm_conv2d_shape *shape, int channels, cm_gemm_tap *tap) {
    const ptrdiff_t block = plane_block(channels);
    const int taps = (int)(channels / block);
    for (int t = 0; t < taps; ++t) {
        tap[t] = (cm_gemm_tap){t * shape->batch * block, t * block * CM_TILE_COLUMNS};
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

/* The products of one frequency and one panel, over all images. */
static void multiply(const transform_job *job, const cm_frequency *frequency,
                     const kernel_side *side, const product_planes *planes, int panel,
                     const float *kernels, fetch_ahead *ahead) {
    const ptrdiff_t batch = job->shape->batch, left_plane = planes->left_plane;
    const ptrdiff_t block = plane_block(side->depth), row = plane_block(side->columns);
    const int first = panel * CM_TILE_COLUMNS;
    const int rest = side->columns - first;
    const bool blocks = block < side->depth;
    const float *a = planes->left + frequency->plane * left_plane;
    float *re = planes->results + frequency->result * planes->result_plane +
                plane_at(job->shape, side->columns, 0, first);
    float *im = re + planes->result_plane;
    cm_gemm_tap tap[MAX_BLOCKS];
    const int taps = plane_taps(job->shape, side->depth, tap);
    for (ptrdiff_t part = 0; part < cm_even_parts(batch, VF_TILE_ROWS); ++part) {
        const cm_range rows = cm_even_part(batch, VF_TILE_ROWS, part);
        const int height = (int)(rows.end - rows.begin);
        cm_gemm_tile tile = {
            .a = a + rows.begin * block,
            .a_row = block,
            .a_depth = 1,
            .b = kernels,
            .b_depth = CM_TILE_COLUMNS,
            .tap = tap,
            .taps = taps,
            .depth = (int)block,
            .c = re + rows.begin * row,
            .c_row = row,
            .columns = rest < CM_TILE_COLUMNS ? rest : CM_TILE_COLUMNS,
            .base = re + rows.begin * row,
            .base_row = row,
            .mode = CM_GEMM_STORE,
        };
        tile.next_a_step = CM_LINE_FLOATS; /* a tile's rows of a plane are one piece of memory */
        tile.next_b = kernels;             /* near */
        tile.next_a = blocks               ? NULL
                      : frequency->complex ? tile.a + left_plane
                                           : tile.a + height * block;
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* k1 */
        if (!frequency->complex) {
            continue;
        }
        tile.a += left_plane;
        tile.next_a = blocks ? NULL : tile.a + left_plane;
        tile.b += kernel_stride(side);
        tile.c = im + rows.begin * row;
        tile.mode = side->transposed ? CM_GEMM_SUBTRACT : CM_GEMM_ADD;
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* im = k1 +- k2 */
        tile.a += left_plane;
        tile.b += kernel_stride(side);
        tile.c = re + rows.begin * row;
        tile.next_a = blocks ? NULL : a + rows.end * block;
        tile.mode = side->transposed ? CM_GEMM_ADD : CM_GEMM_SUBTRACT;
        fetch_lines(&ahead->stream, ahead->lines);
        CM_FN(gemm_tile)(height, &tile); /* re = k1 -+ k3 */
    }
}

/* All products: the items (frequency, panel), in order, are dealt out by their cost. */
static void multiply_all(const cm_team *team, const transform_job *job, const kernel_side *side,
                         const float *columns, const product_planes *planes) {
    const cm_domain *domain = job->domain;
    const ptrdiff_t panels = panel_count(side->columns);
    const ptrdiff_t stride = kernel_stride(side);
    const ptrdiff_t tiles = panels * cm_even_parts(job->shape->batch, VF_TILE_ROWS);
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
                multiply(job, frequency, side, planes, (int)panel, kernels, &ahead);
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

void CM_FN(transform_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                              const float *weight, const float *packed,
                              const cm_conv2d_epilogue *epilogue, float *y, void *workspace) {
    const transform_job job = make_job(shape, team, workspace);
    const kernel_side side = {weight, shape->in_channels, shape->out_channels, false};
    float *left = job.workspace + job.layout.left, *results = job.workspace + job.layout.results;
    cm_trace_phase(team, CM_PHASE_TRANSFORM);
    transform_maps(team, &job, x, shape->in_channels, CM_PLANES_X, left, job.x_plane);
    if (packed == NULL) {
        float *columns = job.workspace + job.layout.kernels;
        cm_trace_phase(team, CM_PHASE_KERNELS);
        transform_columns(team, job.domain, &side, columns);
        packed = columns;
    }
    cm_team_barrier(team);
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    const product_planes planes = {left, job.x_plane, results, job.y_plane};
    multiply_all(team, &job, &side, packed, &planes);
    cm_team_barrier(team);
    cm_trace_phase(team, CM_PHASE_RESTORE);
    restore_maps(team, &job, results, job.y_plane, shape->out_channels, epilogue, y);
}

/* A tile of the weights' gradient: rows of input channels, columns of output channels. */
typedef struct weight_tile {
    cm_range in_channels, out_channels;
} weight_tile;

/* Tiles of one panel: a tile's rows lie in one block. */
static ptrdiff_t tiles_of_panel(const cm_conv2d_shape *shape) {
    const ptrdiff_t block = plane_block(shape->in_channels);
    return shape->in_channels / block * cm_even_parts(block, VF_TILE_ROWS);
}

static weight_tile weight_tile_at(const cm_conv2d_shape *shape, ptrdiff_t index) {
    const ptrdiff_t block = plane_block(shape->in_channels);
    const ptrdiff_t parts = cm_even_parts(block, VF_TILE_ROWS), tiles = tiles_of_panel(shape);
    const ptrdiff_t channel = index % tiles / parts * block;
    const cm_range rows = cm_even_part(block, VF_TILE_ROWS, index % parts);
    const ptrdiff_t begin = index / tiles * CM_TILE_COLUMNS, end = begin + CM_TILE_COLUMNS;
    return (weight_tile){
        {channel + rows.begin, channel + rows.end},
        {begin, end < shape->out_channels ? end : shape->out_channels},
    };
}

/* conj(X) D at one frequency for one tile, summed over the images: re and im of the tile. */
static void multiply_weights(const transform_job *job, const cm_frequency *frequency,
                             const weight_tile *where, float *re, float *im) {
    const cm_gemm_tap tap = {0, 0};
    const int height = (int)(where->in_channels.end - where->in_channels.begin);
    const float *x = job->workspace + job->layout.left + frequency->plane * job->x_plane +
                     plane_at(job->shape, job->shape->in_channels, 0, where->in_channels.begin);
    const float *d = job->workspace + job->layout.right +
                     job->domain->partner(frequency->plane) * job->y_plane +
                     plane_at(job->shape, job->shape->out_channels, 0, where->out_channels.begin);
    const bool far = plane_block(job->shape->in_channels) == job->shape->in_channels;
    cm_gemm_tile tile = {
        .a = x,
        .a_row = 1,
        .a_depth = plane_block(job->shape->in_channels),
        .b = d,
        .b_depth = plane_block(job->shape->out_channels),
        .tap = &tap,
        .taps = 1,
        .depth = job->shape->batch,
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

static void store_taps(const cm_conv2d_shape *shape, const weight_tile *where, const float *taps,
                       float *dweight) {
    const ptrdiff_t rows = where->in_channels.end - where->in_channels.begin;
    const ptrdiff_t columns = where->out_channels.end - where->out_channels.begin;
    for (int tap = 0; tap < TAPS; ++tap) {
        for (ptrdiff_t i = 0; i < rows; ++i) {
            const ptrdiff_t channel = where->in_channels.begin + i;
            memcpy(dweight + (tap * (ptrdiff_t)shape->in_channels + channel) * shape->out_channels +
                       where->out_channels.begin,
                   taps + (tap * rows + i) * CM_TILE_COLUMNS, (size_t)columns * sizeof(float));
        }
    }
}

/* One tile at one frequency: its products, folded into its sums. */
static void weights_of_tile(const transform_job *job, ptrdiff_t index, int f, float *re, float *im,
                            float *dweight) {
    const cm_conv2d_shape *shape = job->shape;
    const cm_domain *domain = job->domain;
    const weight_tile where = weight_tile_at(shape, index);
    const ptrdiff_t count = (where.in_channels.end - where.in_channels.begin) * CM_TILE_COLUMNS;
    const ptrdiff_t at =
        where.in_channels.begin * CM_TILE_COLUMNS + where.out_channels.begin * shape->in_channels;
    float *taps = job->workspace + job->layout.taps + TAPS * at;
    float *sums = job->workspace + job->layout.sums + domain->scratch * at;
    multiply_weights(job, &job->frequency[f], &where, re, im);
    domain->fold(&job->frequency[f], re, im, count, sums, taps);
    if (f == domain->frequencies - 1) {
        store_taps(shape, &where, taps, dweight);
    }
}

/* The end of the frequencies from `begin` on that are in the same row, `most` at most. */
static int group_end(const transform_job *job, int begin, int most) {
    int end = begin + 1;
    while (end < job->domain->frequencies && end < begin + most &&
           job->frequency[end].row == job->frequency[begin].row) {
        ++end;
    }
    return end;
}

/* With blocks: frequencies outside, tiles inside, while the next frequency's planes are fetched.
 * Without: groups of frequencies of a row, so few that their planes of X stay in the second cache
 * while the tiles of all panels pass. Each tile's sums over a row, and its taps, wait in the
 * workspace from visit to visit. */
static void backward_weights(const cm_team *team, const transform_job *job, float *dweight) {
    enum { TILE = VF_TILE_ROWS * CM_TILE_COLUMNS, GROUP = 5 };
    const cm_conv2d_shape *shape = job->shape;
    const int frequencies = job->domain->frequencies;
    const bool blocks = plane_block(shape->in_channels) < shape->in_channels;
    _Alignas(64) float re[TILE];
    _Alignas(64) float im[TILE];
    memset(re, 0, sizeof re); /* columns beyond the last channel are folded too */
    memset(im, 0, sizeof im);
    const cm_range share =
        cm_team_share(team, tiles_of_panel(shape) * panel_count(shape->out_channels));
    int end = 0;
    for (int begin = 0; begin < frequencies; begin = end) {
        end = blocks ? begin + 1 : group_end(job, begin, GROUP);
        fetch_ahead x = fetch_planes(job, end, job->workspace + job->layout.left, job->x_plane,
                                     shape->in_channels, share.end - share.begin + 1);
        fetch_ahead d = fetch_planes(job, end, job->workspace + job->layout.right, job->y_plane,
                                     shape->out_channels, share.end - share.begin + 1);
        for (ptrdiff_t i = share.begin; i < share.end; ++i) {
            fetch_lines(&x.stream, x.lines);
            fetch_lines(&d.stream, d.lines);
            for (int f = begin; f < end; ++f) {
                weights_of_tile(job, i, f, re, im, dweight);
            }
        }
    }
}

void CM_FN(transform_backward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                               const float *dy, const float *weight, float *dx, float *dweight,
                               void *workspace) {
    const transform_job job = make_job(shape, team, workspace);
    const kernel_side side = {weight, shape->out_channels, shape->in_channels, true};
    float *right = job.workspace + job.layout.right, *results = job.workspace + job.layout.results;
    cm_trace_phase(team, CM_PHASE_TRANSFORM);
    transform_maps(team, &job, dy, shape->out_channels, CM_PLANES_D, right, job.y_plane);
    if (dweight != NULL) {
        transform_maps(team, &job, x, shape->in_channels, CM_PLANES_X,
                       job.workspace + job.layout.left, job.x_plane);
    }
    float *columns = job.workspace + job.layout.kernels;
    if (dx != NULL) {
        cm_trace_phase(team, CM_PHASE_KERNELS);
        transform_columns(team, job.domain, &side, columns);
    }
    cm_team_barrier(team);
    if (dx != NULL) {
        cm_trace_phase(team, CM_PHASE_MULTIPLY);
        const product_planes planes = {right, job.y_plane, results, job.x_plane};
        multiply_all(team, &job, &side, columns, &planes);
    }
    if (dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        backward_weights(team, &job, dweight);
    }
    if (dx != NULL) {
        const cm_conv2d_epilogue nothing = {.relu = false};
        cm_team_barrier(team);
        cm_trace_phase(team, CM_PHASE_RESTORE);
        restore_maps(team, &job, results, job.x_plane, shape->in_channels, &nothing, dx);
    }
}
