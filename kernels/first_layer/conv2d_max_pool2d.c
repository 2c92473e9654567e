/* Convolution and max pool of a first layer without the map between them: each window's outputs are
 * computed in registers, and only their maximum is stored. The map of a 28x28x128 first layer at
 * batch 64 is 25.7 MB. Backward, the gradient of a window goes to one output only, so that the
 * weights' gradient is a sum over windows of the patch at the maximum: a ninth of the products.
 *
 * 3x3 kernels of one channel under 3x3 windows, a grey picture's first layer, have code of their
 * own: a window reads 5x5 numbers, which fit a table in registers. */
#include "kernels/batch_norm/sums.h"
#include "kernels/first_layer/patches.h"

enum {
    /* A task is an image and this many channels of it. */
    TASK_CHANNELS = 64,
    /* Vectors of channels whose chains run side by side. */
    VECTORS = 4,
    /* The special case: sides of kernel and window, of what a window reads; and numbers of each. */
    SIDE = 3,
    READ_SIDE = 5,
    TAPS = SIDE * SIDE
};

static bool is_3x3(const cm_conv2d_shape *conv, const cm_max_pool2d_shape *pool) {
    return conv->in_channels == 1 && conv->kernel_h == SIDE && conv->kernel_w == SIDE &&
           conv->stride_h == 1 && conv->stride_w == 1 && pool->kernel_h == SIDE &&
           pool->kernel_w == SIDE;
}

/* Where the patches of window `index` begin: of its first output. */
static const float *window_at(const cm_patches *p, ptrdiff_t index) {
    const cm_max_pool2d_shape *pool = p->pool;
    return p->frame + index / pool->out_width * pool->stride_h * p->row +
           index % pool->out_width * pool->stride_w * p->column;
}

static ptrdiff_t windows_of(const cm_max_pool2d_shape *pool) {
    return (ptrdiff_t)pool->out_height * pool->out_width;
}

/* Makes what the kernels read of an image: its frame and, for 3x3, a table a window. */
static void read_image(const cm_patches *p, const float *x, ptrdiff_t image) {
    cm_conv2d_pad_image(p->conv, x + image * p->in_image, p->frame);
    if (!is_3x3(p->conv, p->pool)) {
        return;
    }
    float *table = p->own + p->layout.tables;
    for (ptrdiff_t i = 0; i < windows_of(p->pool); ++i, table += CM_TABLE) {
        const float *from = window_at(p, i);
        for (int r = 0; r < READ_SIDE; ++r) {
            memcpy(table + r * READ_SIDE, from + r * p->row, READ_SIDE * sizeof *table);
        }
        memset(table + READ_SIDE * READ_SIDE, 0,
               (CM_TABLE - READ_SIDE * READ_SIDE) * sizeof *table);
    }
}

/* ---- Forward ---- */

typedef struct forward_task {
    const cm_patches *patches;
    ptrdiff_t image;
    bool relu;
    float *y;
    uint16_t *argmax;
} forward_task;

/* Weights with the batch norm folded in, then the bias; channels beyond the last are 0. */
static void fold(const cm_conv2d_max_pool2d_forward_args *args, const cm_patches *p) {
    const float *scale = args->scale;
    const ptrdiff_t channels = p->conv->out_channels, columns = (ptrdiff_t)p->layout.columns;
    float *folded = p->own + p->layout.folded;
    memset(folded, 0, (size_t)((p->patch + 1) * columns) * sizeof *folded);
    for (int t = 0; t < p->patch; ++t) {
        for (ptrdiff_t c = 0; c < channels; ++c) {
            const float w = args->weight[t * channels + c];
            folded[t * columns + c] = scale == NULL ? w : scale[c] * w;
        }
    }
    folded += p->patch * columns;
    for (ptrdiff_t c = 0; c < channels; ++c) {
        const float b = args->bias == NULL ? 0.0F : args->bias[c];
        folded[c] = scale == NULL ? b : fmaf(b, scale[c], args->shift[c]);
    }
}

/* Stores a window's maximum and its index, of n lanes from channel c. */
CM_ALWAYS_INLINE void store_window(const forward_task *task, ptrdiff_t window, ptrdiff_t c, vf best,
                                   vf index, vf bias, int n) {
    const cm_max_pool2d_shape *pool = task->patches->pool;
    const ptrdiff_t at = (task->image * windows_of(pool) + window) * pool->channels + c;
    const vf z = vf_add(best, bias);
    cm_store(task->y + at, task->relu ? cm_relu(z) : z, n);
    if (task->argmax != NULL) {
        cm_store_u16(task->argmax + at, index, n);
    }
}

/* One vector of channels of all windows. Each number that a window reads goes to all the outputs
 * whose patches hold it, so that it is loaded once for up to nine products. */
CM_ALWAYS_INLINE void forward_3x3(const forward_task *task, ptrdiff_t c, int n) {
    const cm_patches *p = task->patches;
    const float *folded = p->own + p->layout.folded + c;
    const float *table = p->own + p->layout.tables;
    vf weight[TAPS];
    for (int t = 0; t < TAPS; ++t) {
        weight[t] = vf_load(folded + t * (ptrdiff_t)p->layout.columns);
    }
    const vf bias = vf_load(folded + TAPS * (ptrdiff_t)p->layout.columns);
    const ptrdiff_t windows = windows_of(p->pool);
    for (ptrdiff_t i = 0; i < windows; ++i, table += CM_TABLE) {
        vf z[TAPS];
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; ++t) {
            z[t] = vf_zero();
        }
#pragma GCC unroll 25
        for (int at = 0; at < READ_SIDE * READ_SIDE; ++at) {
            const vf x = vf_set1(table[at]);
#pragma GCC unroll 9
            for (int output = 0; output < TAPS; ++output) {
                const int r = at / READ_SIDE - output / SIDE, s = at % READ_SIDE - output % SIDE;
                if (r >= 0 && r < SIDE && s >= 0 && s < SIDE) {
                    z[output] = vf_fma(x, weight[r * SIDE + s], z[output]);
                }
            }
        }
        vf best = z[0], index = vf_zero();
#pragma GCC unroll 9
        for (int t = 1; t < TAPS; ++t) {
            const vm greater = vf_gt(z[t], best);
            best = vf_select(greater, z[t], best);
            index = vf_select(greater, vf_set1((float)t), index);
        }
        store_window(task, i, c, best, index, bias, n);
    }
}

/* The chains of one output of any shape: `vectors` vectors of channels. */
CM_ALWAYS_INLINE void output_at(const cm_patches *p, const float *x, const float *folded,
                                int vectors, vf *z) {
    for (int v = 0; v < vectors; ++v) {
        z[v] = vf_zero();
    }
    for (int t = 0; t < p->patch; ++t, folded += p->layout.columns) {
        const vf value = vf_set1(x[p->offset[t]]);
        for (int v = 0; v < vectors; ++v) {
            z[v] = vf_fma(value, vf_load(folded + v * VF_LANES), z[v]);
        }
    }
}

/* One window of any shape: `vectors` vectors of channels, the last of n lanes. */
CM_ALWAYS_INLINE void forward_window(const forward_task *task, ptrdiff_t window, ptrdiff_t c,
                                     int vectors, int n) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const float *folded = p->own + p->layout.folded + c;
    const float *first = window_at(p, window);
    vf best[VECTORS], index[VECTORS], z[VECTORS], tap = vf_zero();
    output_at(p, first, folded, vectors, best);
    for (int v = 0; v < vectors; ++v) {
        index[v] = vf_zero();
    }
    for (int output = 1; output < pool->kernel_h * pool->kernel_w; ++output) {
        output_at(p, first + output / pool->kernel_w * p->row + output % pool->kernel_w * p->column,
                  folded, vectors, z);
        tap = vf_add(tap, vf_set1(1.0F));
        for (int v = 0; v < vectors; ++v) {
            const vm greater = vf_gt(z[v], best[v]);
            best[v] = vf_select(greater, z[v], best[v]);
            index[v] = vf_select(greater, tap, index[v]);
        }
    }
    const float *bias = folded + p->patch * (ptrdiff_t)p->layout.columns;
    for (int v = 0; v < vectors; ++v) {
        store_window(task, window, c + v * VF_LANES, best[v], index[v],
                     vf_load(bias + v * VF_LANES), n);
    }
}

static void forward_channels(const forward_task *task, ptrdiff_t begin, ptrdiff_t end) {
    const cm_patches *p = task->patches;
    ptrdiff_t c = begin;
    if (is_3x3(p->conv, p->pool)) {
        for (; c + VF_LANES <= end; c += VF_LANES) {
            forward_3x3(task, c, VF_LANES);
        }
        if (c < end) {
            forward_3x3(task, c, (int)(end - c));
        }
        return;
    }
    const ptrdiff_t windows = windows_of(p->pool);
    for (; c + VECTORS * VF_LANES <= end; c += VECTORS * VF_LANES) {
        for (ptrdiff_t i = 0; i < windows; ++i) {
            forward_window(task, i, c, VECTORS, VF_LANES);
        }
    }
    for (; c < end; c += VF_LANES) {
        const int n = end - c < VF_LANES ? (int)(end - c) : VF_LANES;
        for (ptrdiff_t i = 0; i < windows; ++i) {
            forward_window(task, i, c, 1, n);
        }
    }
}

void cm_conv2d_max_pool2d_forward(const cm_team *team,
                                  const cm_conv2d_max_pool2d_forward_args *args) {
    const cm_conv2d_shape *conv = args->conv;
    const cm_patches p = cm_patches_of(team, conv, args->pool, args->workspace);
    const ptrdiff_t channels = conv->out_channels;
    const ptrdiff_t blocks = (channels + TASK_CHANNELS - 1) / TASK_CHANNELS;
    cm_deal tasks = cm_team_deal(team, conv->batch * blocks);
    forward_task task = {
        .patches = &p, .image = -1, .relu = args->relu, .y = args->y, .argmax = args->argmax};
    fold(args, &p);
    for (ptrdiff_t i; (i = cm_deal_next(&tasks)) >= 0;) {
        if (i / blocks != task.image) {
            task.image = i / blocks;
            read_image(&p, args->x, task.image);
        }
        const ptrdiff_t c = i % blocks * TASK_CHANNELS;
        forward_channels(&task, c, c + TASK_CHANNELS < channels ? c + TASK_CHANNELS : channels);
    }
}

/* ---- Backward ---- */

typedef struct backward_task {
    const cm_patches *patches;
    ptrdiff_t image;
    const float *dy, *y;
    const uint16_t *argmax;
} backward_task;

/* Where an image has its sums: of g times each number of the patch, then of g; [patch +
 * 1][columns].
 */
static float *image_sums(const cm_patches *p, ptrdiff_t image) {
    return p->workspace + p->layout.sums + image * (p->patch + 1) * (ptrdiff_t)p->layout.columns;
}

/* The number at (r, s) of the patch of a window's output t lies at read_index[t] + 5 r + s. */
static const float read_index[CM_TABLE] = {0, 1, 2, 5, 6, 7, 10, 11, 12};

CM_ALWAYS_INLINE void backward_3x3(const backward_task *task, ptrdiff_t c, int n) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = windows_of(pool), columns = (ptrdiff_t)p->layout.columns;
    const float *table = p->own + p->layout.tables;
    const vt first = vt_load(read_index);
    ptrdiff_t at = task->image * windows * pool->channels + c;
    vf sum[TAPS], sum_g = vf_zero();
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; ++t) {
        sum[t] = vf_zero();
    }
    for (ptrdiff_t i = 0; i < windows; ++i, table += CM_TABLE, at += pool->channels) {
        const vf g = cm_load_gradient(task->dy, task->y, at, n);
        const vx output =
            n == VF_LANES ? vx_from_u16(task->argmax + at) : vx_from_u16_n(task->argmax + at, n);
        const vx index = vx_from_whole(vt_lookup(first, output, 0));
        const vt numbers = vt_load(table);
        sum_g = vf_add(sum_g, g);
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; ++t) {
            const vf x = vt_lookup(numbers, index, t / SIDE * READ_SIDE + t % SIDE);
            sum[t] = vf_fma(g, x, sum[t]);
        }
    }
    float *to = image_sums(p, task->image) + c;
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; ++t) {
        vf_store(to + t * columns, sum[t]);
    }
    vf_store(to + TAPS * columns, sum_g);
}

/* The same for any shape, a channel at a time. */
static void backward_channel(const backward_task *task, ptrdiff_t c) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = windows_of(pool), columns = (ptrdiff_t)p->layout.columns;
    ptrdiff_t at = task->image * windows * pool->channels + c;
    float sum[CM_MAX_PATCH] = {0}, sum_g = 0.0F;
    for (ptrdiff_t i = 0; i < windows; ++i, at += pool->channels) {
        const float g = task->y == NULL || task->y[at] > 0.0F ? task->dy[at] : 0.0F;
        const int output = task->argmax[at];
        const float *x = window_at(p, i) + output / pool->kernel_w * p->row +
                         output % pool->kernel_w * p->column;
        sum_g += g;
        for (int t = 0; t < p->patch; ++t) {
            sum[t] = fmaf(g, x[p->offset[t]], sum[t]);
        }
    }
    float *to = image_sums(p, task->image) + c;
    for (int t = 0; t < p->patch; ++t) {
        to[t * columns] = sum[t];
    }
    to[p->patch * columns] = sum_g;
}

static void backward_channels(const backward_task *task, ptrdiff_t begin, ptrdiff_t end) {
    const cm_patches *p = task->patches;
    ptrdiff_t c = begin;
    if (!is_3x3(p->conv, p->pool)) {
        for (; c < end; ++c) {
            backward_channel(task, c);
        }
        return;
    }
    for (; c + VF_LANES <= end; c += VF_LANES) {
        backward_3x3(task, c, VF_LANES);
    }
    if (c < end) {
        backward_3x3(task, c, (int)(end - c));
    }
}

/* S becomes the gradient behind a batch norm, for n channels from c: see kernels.h. */
static void normalize_gradients(const cm_conv2d_max_pool2d_backward_args *to, const cm_patches *p,
                                ptrdiff_t c, int n, double sum[][CM_JOIN_CHANNELS],
                                const double *sum_g) {
    const ptrdiff_t channels = p->conv->out_channels;
    const int patch = p->patch;
    const float *weight = to->weight + c;
    double dgamma[CM_JOIN_CHANNELS] = {0}, mean[CM_JOIN_CHANNELS] = {0};
    for (int t = 0; t < patch; ++t) {
        for (int k = 0; k < n; ++k) {
            const double w = (double)weight[t * channels + k];
            dgamma[k] += w * sum[t][k];
            mean[k] += w * to->moments[t];
        }
    }
    for (int k = 0; k < n; ++k) {
        dgamma[k] = (double)to->rstd[c + k] * (dgamma[k] - mean[k] * sum_g[k]);
        to->dgamma[c + k] = (float)dgamma[k];
        to->dbeta[c + k] = (float)sum_g[k];
        to->dbias[c + k] = 0.0F;
    }
    for (int t = 0; t < patch; ++t) {
        const double *row = cm_covariance_row(to->moments, patch, t);
        double product[CM_JOIN_CHANNELS] = {0};
        for (int j = 0; j < patch; ++j) {
            for (int k = 0; k < n; ++k) {
                product[k] += row[j] * (double)weight[j * channels + k];
            }
        }
        for (int k = 0; k < n; ++k) {
            const double moved =
                to->moments[t] * sum_g[k] + (double)to->rstd[c + k] * dgamma[k] * product[k];
            to->dweight[t * channels + c + k] =
                (float)((double)to->scale[c + k] * (sum[t][k] - moved));
        }
    }
}

/* Joins the images' sums, in order, of n <= CM_JOIN_CHANNELS channels from c. */
static void join_channels(const cm_conv2d_max_pool2d_backward_args *to, const cm_patches *p,
                          ptrdiff_t c, int n) {
    double sum[CM_MAX_PATCH + 1][CM_JOIN_CHANNELS] = {{0}};
    const ptrdiff_t channels = p->conv->out_channels;
    for (ptrdiff_t image = 0; image < p->conv->batch; ++image) {
        const float *from = image_sums(p, image) + c;
        for (int t = 0; t <= p->patch; ++t, from += p->layout.columns) {
            for (int k = 0; k < n; ++k) {
                sum[t][k] += (double)from[k];
            }
        }
    }
    if (to->moments != NULL) {
        normalize_gradients(to, p, c, n, sum, sum[p->patch]);
        return;
    }
    for (int k = 0; k < n; ++k) {
        for (int t = 0; t < p->patch; ++t) {
            to->dweight[t * channels + c + k] = (float)sum[t][k];
        }
        to->dbias[c + k] = (float)sum[p->patch][k];
    }
}

void cm_conv2d_max_pool2d_backward(const cm_team *team,
                                   const cm_conv2d_max_pool2d_backward_args *args) {
    const cm_conv2d_shape *conv = args->conv;
    const cm_patches p = cm_patches_of(team, conv, args->pool, args->workspace);
    const ptrdiff_t channels = conv->out_channels;
    const ptrdiff_t blocks = (channels + TASK_CHANNELS - 1) / TASK_CHANNELS;
    cm_deal tasks = cm_team_deal(team, conv->batch * blocks);
    backward_task task = {
        .patches = &p, .image = -1, .dy = args->dy, .y = args->y, .argmax = args->argmax};
    for (ptrdiff_t i; (i = cm_deal_next(&tasks)) >= 0;) {
        if (i / blocks != task.image) {
            task.image = i / blocks;
            read_image(&p, args->x, task.image);
        }
        const ptrdiff_t c = i % blocks * TASK_CHANNELS;
        backward_channels(&task, c, c + TASK_CHANNELS < channels ? c + TASK_CHANNELS : channels);
    }
    cm_team_barrier(team);
    const ptrdiff_t joins = (channels + CM_JOIN_CHANNELS - 1) / CM_JOIN_CHANNELS;
    const cm_range share = cm_team_share(team, joins);
    for (ptrdiff_t block = share.begin; block < share.end; ++block) {
        const ptrdiff_t c = block * CM_JOIN_CHANNELS;
        const ptrdiff_t left = channels - c;
        join_channels(args, &p, c, left < CM_JOIN_CHANNELS ? (int)left : CM_JOIN_CHANNELS);
    }
}
