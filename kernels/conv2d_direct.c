/* Direct convolution, forward and backward by data. Both are the same pass: each output position
 * has a list of taps (the valid ones: padding is never multiplied), each tap a small GEMM, and a
 * tile's rows are positions with the same taps: the same position of several images, or a run of
 * positions of one row where the batch would leave half a tile empty. */
#include "kernels/conv2d_algorithms.h"
#include "kernels/conv2d_internal.h"
#include "kernels/micro/gemm_tile.h"
#include "kernels/trace.h"
#include "kernels/transpose.h"

#include <string.h>

typedef int taps_at_fn(const cm_conv2d_shape *shape, int y, int x, cm_gemm_tap *tap);

/* One pass over outputs of out_height x out_width x columns. */
typedef struct pass {
    const cm_conv2d_shape *shape;
    taps_at_fn *taps_at;
    int out_height, out_width, columns;
    int depth;  /* channels summed over */
    int period; /* outputs of a row this far apart have the same taps, but for the padding */
    ptrdiff_t in_image;  /* floats of an image of the input */
    ptrdiff_t out_image; /* and of the output */
    const float *in;
    const float *panels; /* [columns / CM_TILE_COLUMNS][taps][depth][CM_TILE_COLUMNS] */
    ptrdiff_t panel;     /* floats of one panel */
    cm_conv2d_epilogue epilogue;
    float *out;
} pass;

static int taps_forward(const cm_conv2d_shape *shape, int y, int x, cm_gemm_tap *tap) {
    int taps = 0;
    for (int r = 0; r < shape->kernel_h; ++r) {
        const int h = y * shape->stride_h - shape->padding_h + r;
        if (h < 0 || h >= shape->height) {
            continue;
        }
        for (int s = 0; s < shape->kernel_w; ++s) {
            const int w = x * shape->stride_w - shape->padding_w + s;
            if (w < 0 || w >= shape->width) {
                continue;
            }
            tap[taps].a = ((ptrdiff_t)h * shape->width + w) * shape->in_channels;
            tap[taps].b =
                ((ptrdiff_t)r * shape->kernel_w + s) * shape->in_channels * CM_TILE_COLUMNS;
            ++taps;
        }
    }
    return taps;
}

static int taps_backward(const cm_conv2d_shape *shape, int y, int x, cm_gemm_tap *tap) {
    int taps = 0;
    for (int r = 0; r < shape->kernel_h; ++r) {
        const int h = y + shape->padding_h - r;
        if (h < 0 || h % shape->stride_h != 0 || h / shape->stride_h >= shape->out_height) {
            continue;
        }
        for (int s = 0; s < shape->kernel_w; ++s) {
            const int w = x + shape->padding_w - s;
            if (w < 0 || w % shape->stride_w != 0 || w / shape->stride_w >= shape->out_width) {
                continue;
            }
            const ptrdiff_t position =
                (ptrdiff_t)(h / shape->stride_h) * shape->out_width + w / shape->stride_w;
            tap[taps].a = position * shape->out_channels;
            tap[taps].b =
                ((ptrdiff_t)r * shape->kernel_w + s) * shape->out_channels * CM_TILE_COLUMNS;
            ++taps;
        }
    }
    return taps;
}

/* Weights to panels: column j of panel `panel` is output channel panel * CM_TILE_COLUMNS + j. Lanes
 * beyond the last column are 0. */
void CM_FN(direct_pack)(const cm_team *team, const cm_conv2d_shape *shape, const float *weight,
                        float *panels) {
    const ptrdiff_t rows = (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels;
    const int columns = shape->out_channels;
    const ptrdiff_t count = (columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
    const cm_range share = cm_team_share(team, count * rows);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const int first = (int)(i / rows) * CM_TILE_COLUMNS;
        const float *from = weight + (i % rows) * columns + first;
        for (int v = 0; v < 2; ++v) {
            const int lanes = cm_tile_lanes(columns - first, v);
            vf_store(panels + i * CM_TILE_COLUMNS + v * VF_LANES,
                     lanes == 0 ? vf_zero() : vf_load_n(from + v * VF_LANES, lanes));
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

/* A tile of the pass: `rows` outputs from (image, y, x) on, `in_row` and `out_row` apart. */
static void run_tile(const pass *p, int rows, int panel, int image, int y, int x, ptrdiff_t in_row,
                     ptrdiff_t out_row, const cm_gemm_tap *tap, int taps) {
    const int first = panel * CM_TILE_COLUMNS;
    const int left = p->columns - first;
    const ptrdiff_t position = (ptrdiff_t)y * p->out_width + x;
    const cm_gemm_tile tile = {
        .a = p->in + image * p->in_image,
        .a_row = in_row,
        .a_depth = 1,
        .b = p->panels + panel * p->panel,
        .b_depth = CM_TILE_COLUMNS,
        .tap = tap,
        .taps = taps,
        .depth = p->depth,
        .c = p->out + image * p->out_image + position * p->columns + first,
        .c_row = out_row,
        .columns = left < CM_TILE_COLUMNS ? left : CM_TILE_COLUMNS,
        .epilogue = cm_conv2d_epilogue_at(&p->epilogue, first),
        .mode = CM_GEMM_STORE,
    };
    CM_FN(gemm_tile)(rows, &tile);
}

/* Row y of the outputs of images [begin, end), one panel: tiles over the images. */
static void run_row_over_images(const pass *p, int panel, cm_range images, int y) {
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    const int rows = (int)(images.end - images.begin);
    for (int x = 0; x < p->out_width; ++x) {
        const int taps = p->taps_at(p->shape, y, x, tap);
        run_tile(p, rows, panel, (int)images.begin, y, x, p->in_image, p->out_image, tap, taps);
    }
}

/* Whether b is a with every operand of A moved on by `step`. */
static bool same_taps(const cm_gemm_tap *a, const cm_gemm_tap *b, int taps, ptrdiff_t step) {
    for (int t = 0; t < taps; ++t) {
        if (b[t].a != a[t].a + step || b[t].b != a[t].b) {
            return false;
        }
    }
    return true;
}

/* Every period-th output of row y of one image from `x` on, one panel: tiles over runs of positions
 * with the same taps. */
static void run_row_over_positions(const pass *p, int panel, int image, int y, int x,
                                   ptrdiff_t step) {
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS], next[CM_CONV2D_MAX_TAPS];
    while (x < p->out_width) {
        const int taps = p->taps_at(p->shape, y, x, tap);
        int run = 1;
        while (x + run * p->period < p->out_width &&
               p->taps_at(p->shape, y, x + run * p->period, next) == taps &&
               same_taps(tap, next, taps, run * step)) {
            ++run;
        }
        const ptrdiff_t parts = cm_even_parts(run, VF_TILE_ROWS);
        for (ptrdiff_t part = 0; part < parts; ++part) {
            const cm_range range = cm_even_part(run, VF_TILE_ROWS, part);
            for (int t = 0; t < taps; ++t) {
                next[t].a = tap[t].a + range.begin * step;
                next[t].b = tap[t].b;
            }
            run_tile(p, (int)(range.end - range.begin), panel, image, y,
                     x + (int)range.begin * p->period, step, (ptrdiff_t)p->period * p->columns,
                     next, taps);
        }
        x += run * p->period;
    }
}

/* `step`: floats of the input between outputs of a row that are a period apart. */
static void run_pass(const cm_team *team, const pass *p, ptrdiff_t step) {
    const int batch = p->shape->batch;
    const ptrdiff_t panels = (p->columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
    const bool over_images = batch >= (VF_TILE_ROWS + 1) / 2;
    const ptrdiff_t blocks = over_images ? cm_even_parts(batch, VF_TILE_ROWS) : batch;
    const cm_range share = cm_team_share(team, blocks * panels * p->out_height);
    for (ptrdiff_t i = share.begin; i < share.end; ++i) {
        const ptrdiff_t block = i / (panels * p->out_height);
        const int panel = (int)(i / p->out_height % panels);
        const int y = (int)(i % p->out_height);
        if (over_images) {
            run_row_over_images(p, panel, cm_even_part(batch, VF_TILE_ROWS, block), y);
        } else {
            for (int x = 0; x < p->period && x < p->out_width; ++x) {
                run_row_over_positions(p, panel, (int)block, y, x, step);
            }
        }
    }
}

/* Forward for few input channels: from a padded image, a row of the kernel is one tap, whose depth
 * kernel_w x channels lies in one piece of memory; tile rows are runs of positions. */
static void forward_padded(const cm_team *team, const pass *p, float *padded) {
    const cm_conv2d_shape *shape = p->shape;
    const ptrdiff_t panels = (p->columns + CM_TILE_COLUMNS - 1) / CM_TILE_COLUMNS;
    const ptrdiff_t row = (ptrdiff_t)(shape->width + 2 * shape->padding_w) * shape->in_channels;
    const ptrdiff_t step = (ptrdiff_t)shape->stride_w * shape->in_channels;
    const cm_range images = cm_team_share(team, shape->batch);
    cm_gemm_tap tap[CM_CONV2D_MAX_TAPS];
    pass positions = *p;
    positions.depth = shape->kernel_w * shape->in_channels;
    positions.in_image = 0;
    for (int r = 0; r < shape->kernel_h; ++r) {
        tap[r] = (cm_gemm_tap){r * row, (ptrdiff_t)r * positions.depth * CM_TILE_COLUMNS};
    }
    for (ptrdiff_t image = images.begin; image < images.end; ++image) {
        float *frame = padded + image * (ptrdiff_t)cm_conv2d_padded_image(shape);
        cm_conv2d_pad_image(shape, p->in + image * p->in_image, frame);
        for (int y = 0; y < shape->out_height; ++y) {
            for (ptrdiff_t part = 0; part < cm_even_parts(shape->out_width, VF_TILE_ROWS); ++part) {
                const cm_range range = cm_even_part(shape->out_width, VF_TILE_ROWS, part);
                positions.in = frame + (ptrdiff_t)y * shape->stride_h * row + range.begin * step;
                for (int panel = 0; panel < panels; ++panel) {
                    run_tile(&positions, (int)(range.end - range.begin), panel, (int)image, y,
                             (int)range.begin, step, p->columns, tap, shape->kernel_h);
                }
            }
        }
    }
}

void CM_FN(direct_forward)(const cm_team *team, const cm_conv2d_shape *shape, const float *x,
                           const float *weight, const float *packed,
                           const cm_conv2d_epilogue *epilogue, float *y, void *workspace) {
    const cm_conv2d_layout layout = cm_conv2d_layout_of(shape, 1);
    const ptrdiff_t panel =
        (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->in_channels * CM_TILE_COLUMNS;
    if (packed == NULL) {
        float *panels = (float *)workspace + layout.panels;
        cm_trace_phase(team, CM_PHASE_KERNELS);
        CM_FN(direct_pack)(team, shape, weight, panels);
        cm_team_barrier(team);
        packed = panels;
    }
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    const pass p = {
        .shape = shape,
        .taps_at = taps_forward,
        .out_height = shape->out_height,
        .out_width = shape->out_width,
        .columns = shape->out_channels,
        .depth = shape->in_channels,
        .period = 1,
        .in_image = (ptrdiff_t)shape->height * shape->width * shape->in_channels,
        .out_image = (ptrdiff_t)shape->out_height * shape->out_width * shape->out_channels,
        .in = x,
        .panels = packed,
        .panel = panel,
        .epilogue = *epilogue,
        .out = y,
    };
    if (cm_conv2d_uses_patches(shape)) {
        forward_padded(team, &p, (float *)workspace + layout.weights);
    } else {
        run_pass(team, &p, (ptrdiff_t)shape->stride_w * shape->in_channels);
    }
}

void CM_FN(direct_backward_data)(const cm_team *team, const cm_conv2d_shape *shape, const float *dy,
                                 const float *weight, float *dx, void *workspace) {
    float *panels = workspace;
    pack_backward(team, shape, weight, panels);
    cm_team_barrier(team);
    cm_trace_phase(team, CM_PHASE_MULTIPLY);
    const pass p = {
        .shape = shape,
        .taps_at = taps_backward,
        .out_height = shape->height,
        .out_width = shape->width,
        .columns = shape->in_channels,
        .depth = shape->out_channels,
        .period = shape->stride_w,
        .in_image = (ptrdiff_t)shape->out_height * shape->out_width * shape->out_channels,
        .out_image = (ptrdiff_t)shape->height * shape->width * shape->in_channels,
        .in = dy,
        .panels = panels,
        .panel =
            (ptrdiff_t)shape->kernel_h * shape->kernel_w * shape->out_channels * CM_TILE_COLUMNS,
        .out = dx,
    };
    run_pass(team, &p, shape->out_channels);
}
