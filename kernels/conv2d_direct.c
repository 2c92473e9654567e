/* Direct convolution, forward and backward by data. Both are the same pass: each output position
 * has a list of taps (the valid ones: padding is never multiplied), each tap a small GEMM. Outputs
 * with the same taps form regions, at most an interior, four sides and four corners for each phase
 * of the stride, and a tile's rows are neighbours in a region: along a row, down a column, or the
 * same position of several images, whichever needs the fewest tiles. */
#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/micro/gemm_tile.h"
#include "kernels/trace.h"
#include "kernels/transpose.h"
#include "kernels/vectors.h"

#include <string.h>

/* One axis of a pass: `in` positions are read, `out` written. */
typedef struct axis {
    int in, out, kernel, stride, padding;
    int phases; /* outputs this far apart have the same taps, but for the padding */
} axis;

/* Outputs of an axis with the same taps, and where those read: output i is begin + i * step; its
 * tap j is the kernel's element tap + j * tap_step and reads in + i * in_step + j * in_tap. */
typedef struct span {
    int begin, count, step;
    int tap, taps, tap_step;
    int in, in_step, in_tap;
} span;

/* The outputs from `begin` on, before `end`, that have begin's taps. */
typedef span span_at_fn(const axis *axis, int begin, int end);

/* Memory that the A operand of a block should fit: less than half of a small second cache. And the
 * positions that a panel of weights should at least serve once it has come into the cache; outputs
 * of a map up to which the rows of tiles run over images. */
enum { BLOCK_BYTES = 131072, MIN_BLOCK_POSITIONS = 48, SMALL_MAP = 128 };

/* Panels that are packed together, and rows of weights that are fetched ahead. */
enum { PACK_PANELS = 8, PACK_AHEAD = 8 };

/* One pass over outputs of y.out x x.out x columns. */
typedef struct pass {
    const cm_conv2d_shape *shape;
    int batch;
    axis y, x;
    span_at_fn *span_at;
    int columns;
    int depth; /* channels summed over */
    const float *in;
    const float *panels; /* [columns / CM_TILE_COLUMNS][taps][depth][CM_TILE_COLUMNS] */
    cm_conv2d_epilogue epilogue;
    float *out;
} pass;

static int smaller(int a, int b) {
    return a < b ? a : b;
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static span span_forward(const axis *a, int begin, int end) {
    const int in = begin * a->stride - a->padding;
    const int first = in < 0 ? smaller(-in, a->kernel) : 0;
    const int last = larger(first, smaller(a->kernel, a->in - in));
    /* The last output whose taps are all inside; nothing is shared by those near a border. */
    const int whole = a->in + a->padding - a->kernel;
    const bool interior = last - first == a->kernel;
    return (span){.begin = begin,
                  .count = interior ? smaller(end, whole / a->stride + 1) - begin : 1,
                  .step = 1,
                  .tap = first,
                  .taps = last - first,
                  .tap_step = 1,
                  .in = in + first,
                  .in_step = a->stride,
                  .in_tap = 1};
}

/* The taps of output o: elements k = (o + padding) % stride + j * stride of the kernel, of the
 * position (o + padding) / stride - j. */
static span span_backward(const axis *a, int begin, int end) {
    const int tap = (begin + a->padding) % a->stride;
    const int in = (begin + a->padding) / a->stride;
    const int elements = tap < a->kernel ? (a->kernel - tap + a->stride - 1) / a->stride : 0;
    const int first = smaller(elements, larger(0, in - (a->in - 1)));
    const int last = larger(first, smaller(elements, in + 1));
    const int left = (end - begin + a->stride - 1) / a->stride;
    const bool interior = last - first == elements;
    return (span){.begin = begin,
                  .count = elements == 0 ? left
                           : interior    ? smaller(left, a->in - in)
                                         : 1,
                  .step = a->stride,
                  .tap = tap + first * a->stride,
                  .taps = last - first,
                  .tap_step = a->stride,
                  .in = in - first,
                  .in_step = 1,
                  .in_tap = -1};
}

/* Weights to panels: column j of panel `panel` is output channel panel * CM_TILE_COLUMNS + j. Lanes
 * beyond the last column are 0. A few panels at a time: rows of weights are far apart, often by a
 * power of two, and the fewer of them are visited again, the fewer pages and cache sets it takes.
 */
void CM_FN(direct_pack)(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                        float *panels) {
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const int columns = shape->out_channels;
    const int count = (int)cm_even_parts(columns, CM_TILE_COLUMNS);
    const cm_range share = cm_team_share(team, cm_even_parts(count, PACK_PANELS) * rows);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const int begin = (int)(i / rows) * PACK_PANELS;
        const int end = smaller(begin + PACK_PANELS, count);
        const float *from = weight + (i % rows) * columns;
        __builtin_prefetch(from + begin * CM_TILE_COLUMNS + PACK_AHEAD * (ptrdiff_t)columns);
        for (int panel = begin; panel < end; ++panel) {
            const int first = panel * CM_TILE_COLUMNS;
            float *to = panels + (panel * rows + i % rows) * CM_TILE_COLUMNS;
            for (int v = 0; v < 2; ++v) {
                const int c = first + v * VF_LANES;
                vf_store(to + v * VF_LANES, cm_load_left(from + c, columns - c));
            }
        }
    }
}

/* The transposed weights: column j of a panel is input channel panel * CM_TILE_COLUMNS + j. */
static void pack_backward(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                          float *panels) {
    const ptrdiff_t taps = (ptrdiff_t)shape->kernel_h * shape->kernel_w;
    const int columns = shape->in_channels, depth = shape->out_channels;
    const ptrdiff_t count = (columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
    const cm_range share = cm_team_share(team, count * taps);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const int first = (int)(i / taps) * CM_TILE_COLUMNS;
        const float *from = weight + (i % taps) * columns * depth;
        float *to = panels + i * depth * CM_TILE_COLUMNS;
        const int valid = columns - first < CM_TILE_COLUMNS ? columns - first : CM_TILE_COLUMNS;
        cm_transpose(from + (ptrdiff_t)first * depth, depth, valid, depth, to, CM_TILE_COLUMNS);
        for (int d = 0; valid < CM_TILE_COLUMNS && d < depth; ++d) {
            for (int j = valid; j < CM_TILE_COLUMNS; ++j) {
                to[(ptrdiff_t)d * CM_TILE_COLUMNS + j] = 0.0F;
            }
        }
    }
}

/* Tiles of one panel: all but their first operand and their place. */
static cm_gemm_tile tile_of(const pass *p, int panel, const cm_gemm_tap *tap, int taps) {
    const int first = panel * CM_TILE_COLUMNS;
    const ptrdiff_t panel_floats =
        (ptrdiff_t)p->y.kernel * p->x.kernel * p->depth * CM_TILE_COLUMNS;
    return (cm_gemm_tile){
        .a_depth = 1,
        .b = p->panels + panel * panel_floats,
        .b_depth = CM_TILE_COLUMNS,
        .tap = tap,
        .taps = taps,
        .depth = p->depth,
        .columns = smaller(p->columns - first, CM_TILE_COLUMNS),
        .epilogue = cm_conv2d_epilogue_at(&p->epilogue, first),
        .mode = CM_GEMM_STORE,
    };
}

/* Outputs along one axis of a region: how many, and floats from one to the next. */
typedef struct line {
    int count;
    ptrdiff_t in, out;
} line;

/* Tiles along `rows`, for each output of the other two axes; `in` and `out` of the first output and
 * of the panel's first column. */
static void run_tiles(cm_gemm_tile *tile, line rows, line inner, line outer, const float *in,
                      float *out) {
    const ptrdiff_t parts = cm_even_parts(rows.count, VF_TILE_ROWS);
    tile->a_row = rows.in;
    tile->c_row = rows.out;
    for (int i = 0; i < outer.count; ++i) {
        for (int j = 0; j < inner.count; ++j) {
            for (ptrdiff_t part = 0; part < parts; ++part) {
                const cm_range range = cm_even_part(rows.count, VF_TILE_ROWS, part);
                tile->a = in + i * outer.in + j * inner.in + range.begin * rows.in;
                tile->c = out + i * outer.out + j * inner.out + range.begin * rows.out;
                CM_FN(gemm_tile)((int)(range.end - range.begin), tile);
            }
        }
    }
}

/* Outputs that no tap reaches, all columns of them. */
static void run_zeros(const pass *p, line images, line ys, line xs, float *out) {
    for (int image = 0; image < images.count; ++image) {
        for (int y = 0; y < ys.count; ++y) {
            for (int x = 0; x < xs.count; ++x) {
                memset(out + image * images.out + y * ys.out + x * xs.out, 0,
                       (size_t)p->columns * sizeof *out);
            }
        }
    }
}

/* A region of the images [images.begin, images.end), one panel. */
static void run_region(const pass *p, int panel, cm_range images, const span *y, const span *x) {
    const ptrdiff_t in_row = (ptrdiff_t)p->x.in * p->depth;
    const ptrdiff_t out_row = (ptrdiff_t)p->x.out * p->columns;
    const line over_images = {(int)(images.end - images.begin), p->y.in * in_row,
                              p->y.out * out_row};
    const line down = {y->count, y->in_step * in_row, y->step * out_row};
    const line along = {x->count, (ptrdiff_t)x->in_step * p->depth,
                        (ptrdiff_t)x->step * p->columns};
    float *out = p->out + images.begin * over_images.out + y->begin * out_row +
                 (ptrdiff_t)x->begin * p->columns;
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    int taps = 0;
    for (int r = 0; r < y->taps; ++r) {
        for (int s = 0; s < x->taps; ++s) {
            const ptrdiff_t element =
                (ptrdiff_t)(y->tap + r * y->tap_step) * p->x.kernel + x->tap + s * x->tap_step;
            tap[taps++] =
                (cm_gemm_tap){r * y->in_tap * in_row + (ptrdiff_t)s * x->in_tap * p->depth,
                              element * p->depth * CM_TILE_COLUMNS};
        }
    }
    if (taps == 0 && p->epilogue.bias == NULL && p->epilogue.scale == NULL) {
        if (panel == 0) {
            run_zeros(p, over_images, down, along, out);
        }
        return;
    }
    cm_gemm_tile tile = tile_of(p, panel, tap, taps);
    const float *in = taps == 0 ? p->in
                                : p->in + images.begin * over_images.in + y->in * in_row +
                                      (ptrdiff_t)x->in * p->depth;
    const ptrdiff_t all = (ptrdiff_t)over_images.count * down.count * along.count;
    const ptrdiff_t tiles_along = cm_even_parts(along.count, VF_TILE_ROWS) * (all / along.count);
    const ptrdiff_t tiles_down = cm_even_parts(down.count, VF_TILE_ROWS) * (all / down.count);
    const ptrdiff_t tiles_over =
        cm_even_parts(over_images.count, VF_TILE_ROWS) * (all / over_images.count);
    out += panel * CM_TILE_COLUMNS;
    if (tiles_along <= tiles_down && tiles_along <= tiles_over) {
        run_tiles(&tile, along, down, over_images, in, out);
    } else if (tiles_down <= tiles_over) {
        run_tiles(&tile, down, along, over_images, in, out);
    } else {
        run_tiles(&tile, over_images, along, down, in, out);
    }
}

/* A block of outputs, one panel: region by region. */
static void run_block(const pass *p, int panel, cm_range images, cm_range ys, cm_range xs) {
    for (int phase_y = 0; phase_y < p->y.phases; ++phase_y) {
        for (int y_at = (int)ys.begin + phase_y; y_at < ys.end;) {
            const span y = p->span_at(&p->y, y_at, (int)ys.end);
            for (int phase_x = 0; phase_x < p->x.phases; ++phase_x) {
                for (int x_at = (int)xs.begin + phase_x; x_at < xs.end;) {
                    const span x = p->span_at(&p->x, x_at, (int)xs.end);
                    run_region(p, panel, images, &y, &x);
                    x_at += x.count * x.step;
                }
            }
            y_at += y.count * y.step;
        }
    }
}

/* A 1x1 convolution of stride 1 without padding is a matrix product: one row of positions. */
static void flatten(pass *p) {
    const bool product = p->y.kernel == 1 && p->x.kernel == 1 && p->y.stride == 1 &&
                         p->x.stride == 1 && p->y.padding == 0 && p->x.padding == 0;
    if (product) {
        p->x.in = p->x.out = p->batch * p->y.out * p->x.out;
        p->y.in = p->y.out = p->batch = 1;
    }
}

static void run_pass(const cm_team *team, pass *p) {
    flatten(p);
    const int panels = (int)cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const bool small = p->y.out * (ptrdiff_t)p->x.out <= SMALL_MAP;
    const int images = small ? smaller(p->batch, VF_TILE_ROWS) : 1;
    /* What one output position reads, without its neighbours' part. */
    const ptrdiff_t bytes = (ptrdiff_t)sizeof(float) * p->depth * images * p->y.in * p->x.in /
                            ((ptrdiff_t)p->y.out * p->x.out);
    const ptrdiff_t fitting = BLOCK_BYTES / (bytes > 0 ? bytes : 1);
    const int positions = (int)(fitting > MIN_BLOCK_POSITIONS ? fitting : MIN_BLOCK_POSITIONS);
    const int rows = larger(1, positions / p->x.out);
    const int width = positions < p->x.out ? positions : p->x.out;
    const ptrdiff_t over = cm_even_parts(p->batch, images);
    const ptrdiff_t down = cm_even_parts(p->y.out, rows);
    const ptrdiff_t along = cm_even_parts(p->x.out, width);
    const cm_range share = cm_team_share(team, over * down * along * panels);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t block = i / panels;
        run_block(p, (int)(i % panels), cm_even_part(p->batch, images, block / along / down),
                  cm_even_part(p->y.out, rows, block / along % down),
                  cm_even_part(p->x.out, width, block % along));
    }
}

/* Forward for few input channels: from a padded image, a row of the kernel is one tap, whose depth
 * kernel_w x channels lies in one piece of memory; tile rows are runs of positions. */
static void forward_padded(const cm_team *team, const pass *p, float *padded) {
    const cm_conv2d_shape *shape = p->shape;
    const int panels = (int)cm_even_parts(p->columns, CM_TILE_COLUMNS);
    const ptrdiff_t row = (ptrdiff_t)(shape->width + 2 * shape->padding_w) * shape->in_channels;
    const ptrdiff_t frame = (ptrdiff_t)cm_conv2d_padded_image(shape);
    const line along = {shape->out_width, (ptrdiff_t)shape->stride_w * shape->in_channels,
                        p->columns};
    const line one = {1, 0, 0};
    const cm_range images = cm_team_share(team, shape->batch);
    for (ptrdiff_t image = images.begin; image < images.end; ++image) {
        cm_conv2d_pad_image(shape,
                            p->in + image * shape->height * shape->width * shape->in_channels,
                            padded + image * frame);
    }
    cm_team_barrier(team);
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    pass rows = *p;
    rows.x.kernel = 1;
    rows.depth = shape->kernel_w * shape->in_channels;
    for (int r = 0; r < shape->kernel_h; ++r) {
        tap[r] = (cm_gemm_tap){r * row, (ptrdiff_t)r * rows.depth * CM_TILE_COLUMNS};
    }
    const cm_range share = cm_team_share(team, (ptrdiff_t)shape->batch * shape->out_height);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const float *in =
            padded + i / shape->out_height * frame + i % shape->out_height * shape->stride_h * row;
        for (int panel = 0; panel < panels; ++panel) {
            cm_gemm_tile tile = tile_of(&rows, panel, tap, shape->kernel_h);
            run_tiles(&tile, along, one, one, in,
                      p->out + i * shape->out_width * p->columns + panel * CM_TILE_COLUMNS);
        }
    }
}

void CM_FN(direct_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                           const float *weight, const float *packed,
                           const cm_conv2d_epilogue *epilogue, float *y, float *kept,
                           void *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, 1);
    (void)kept; /* it keeps nothing */
    if (packed == NULL) {
        float *panels = (float *)workspace + layout.panels;
        cm_trace_phase(team, CM_PHASE_KERNELS);
        CM_FN(direct_pack)(team, shape, weight, panels);
        cm_team_barrier(team);
        packed = panels;
    }
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    pass p = {
        .shape = shape,
        .batch = shape->batch,
        .y = {shape->height, shape->out_height, shape->kernel_h, shape->stride_h, shape->padding_h,
              1},
        .x = {shape->width, shape->out_width, shape->kernel_w, shape->stride_w, shape->padding_w,
              1},
        .span_at = span_forward,
        .columns = shape->out_channels,
        .depth = shape->in_channels,
        .in = x,
        .panels = packed,
        .epilogue = *epilogue,
        .out = y,
    };
    if (cm_conv2d_uses_patches(shape)) {
        forward_padded(team, &p, (float *)workspace + layout.weights);
    } else {
        run_pass(team, &p);
    }
}

void CM_FN(direct_backward_data)(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                                 const float *weight, float *dx, void *workspace) {
    float *panels = workspace;
    pack_backward(team, shape, weight, panels);
    cm_team_barrier(team);
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    pass p = {
        .shape = shape,
        .batch = shape->batch,
        .y = {shape->out_height, shape->height, shape->kernel_h, shape->stride_h, shape->padding_h,
              shape->stride_h},
        .x = {shape->out_width, shape->width, shape->kernel_w, shape->stride_w, shape->padding_w,
              shape->stride_w},
        .span_at = span_backward,
        .columns = shape->in_channels,
        .depth = shape->out_channels,
        .in = dy,
        .panels = panels,
        .out = dx,
    };
    run_pass(team, &p);
}
