/* The gradients of a first layer: a window's gradient goes to one output of the convolution only,
 * so the gradient of the weights is a sum over windows of the patch at the maximum. With 3x3
 * windows that takes a ninth of the multiply-adds of a sum over all outputs. */
#include <math.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/first_layer/patches.h"
#include "kernels/isa.h"

typedef struct backward_task {
    const cm_patches *patches;
    ptrdiff_t image;
    const float *dy, *y;
    const uint16_t *argmax;
} backward_task;

/* Where an image has its sums: of g times each number of the patch, then of g; [patch +
 * 1][columns].
 */
static float *gradient_sums_of(const cm_patches *p, ptrdiff_t image) {
    return p->workspace + p->layout.sums + image * (p->patch + 1) * (ptrdiff_t)p->layout.columns;
}

/* The number at (r, s) of the patch of a window's output t lies at read_index[t] + 5 r + s. */
static const float read_index[CM_TABLE] = {0, 1, 2, 5, 6, 7, 10, 11, 12};

CM_ALWAYS_INLINE void sum_windows_3x3(const backward_task *task, ptrdiff_t c, int n) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = cm_pool_window_count(pool), columns = (ptrdiff_t)p->layout.columns;
    const float *table = p->own + p->layout.tables;
    const vt first = vt_load(read_index);
    ptrdiff_t at = task->image * windows * pool->channels + c;
    vf sum[CM_PATCH_3X3], sum_g = vf_zero();
#pragma GCC unroll 9
    for (int t = 0; t < CM_PATCH_3X3; ++t) {
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
        for (int t = 0; t < CM_PATCH_3X3; ++t) {
            const vf x = vt_lookup(numbers, index, t / CM_SIDE * CM_READ_SIDE + t % CM_SIDE);
            sum[t] = vf_fma(g, x, sum[t]);
        }
    }
    float *to = gradient_sums_of(p, task->image) + c;
#pragma GCC unroll 9
    for (int t = 0; t < CM_PATCH_3X3; ++t) {
        vf_store(to + t * columns, sum[t]);
    }
    vf_store(to + CM_PATCH_3X3 * columns, sum_g);
}

/* The same for any shape, a channel at a time. */
static void sum_windows(const backward_task *task, ptrdiff_t c) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = cm_pool_window_count(pool), columns = (ptrdiff_t)p->layout.columns;
    ptrdiff_t at = task->image * windows * pool->channels + c;
    float sum[CM_MAX_PATCH] = {0}, sum_g = 0.0F;
    for (ptrdiff_t i = 0; i < windows; ++i, at += pool->channels) {
        const float g = task->y == NULL || task->y[at] > 0.0F ? task->dy[at] : 0.0F;
        const int output = task->argmax[at];
        const float *x = cm_patch_window(p, i) + output / pool->kernel_w * p->row +
                         output % pool->kernel_w * p->column;
        sum_g += g;
        for (int t = 0; t < p->patch; ++t) {
            sum[t] = fmaf(g, x[p->offset[t]], sum[t]);
        }
    }
    float *to = gradient_sums_of(p, task->image) + c;
    for (int t = 0; t < p->patch; ++t) {
        to[t * columns] = sum[t];
    }
    to[p->patch * columns] = sum_g;
}

static void backward_task_channels(const backward_task *task, ptrdiff_t begin, ptrdiff_t end) {
    const cm_patches *p = task->patches;
    ptrdiff_t c = begin;
    if (!cm_patches_are_3x3(p->conv, p->pool)) {
        for (; c < end; ++c) {
            sum_windows(task, c);
        }
        return;
    }
    for (; c + VF_LANES <= end; c += VF_LANES) {
        sum_windows_3x3(task, c, VF_LANES);
    }
    if (c < end) {
        sum_windows_3x3(task, c, (int)(end - c));
    }
}

/* The gradients from S where a batch norm follows, for n channels from c (first_layer.h). */
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
        const float *from = gradient_sums_of(p, image) + c;
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
    const ptrdiff_t blocks = (channels + CM_TASK_CHANNELS - 1) / CM_TASK_CHANNELS;
    cm_deal tasks = cm_team_deal(team, conv->batch * blocks);
    backward_task task = {
        .patches = &p, .image = -1, .dy = args->dy, .y = args->y, .argmax = args->argmax};
    for (ptrdiff_t i; (i = cm_deal_next(&tasks)) >= 0;) {
        if (i / blocks != task.image) {
            task.image = i / blocks;
            cm_patches_read_image(&p, args->x, task.image);
        }
        const ptrdiff_t c = i % blocks * CM_TASK_CHANNELS;
        backward_task_channels(&task, c,
                               c + CM_TASK_CHANNELS < channels ? c + CM_TASK_CHANNELS : channels);
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
