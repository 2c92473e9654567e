/* The gradients of a first layer: a window's gradient goes to one output of the convolution only,
 * so the gradient of the weights is a sum over windows of the patch at the maximum. With 3x3
 * windows that takes a ninth of the multiply-adds of a sum over all outputs. */
#include <math.h>

#include "kernels/batch_norm/internal.h"
#include "kernels/first_layer/patches.h"
#include "kernels/isa.h"

/* Channels whose sums are joined together: the arrays are on the stack. Tuning. */
enum { GRADIENT_CHANNELS = 16 };

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

/* The sum of a run: the first one of an image begins its sum, the others are added to it. */
CM_ALWAYS_INLINE void store_run(float *to, vf sum, bool first) {
    vf_store(to, first ? sum : vf_add(vf_load(to), sum));
}

/* A run of windows, for n channels from c. */
CM_ALWAYS_INLINE void sum_windows_3x3(const backward_task *task, cm_range run, ptrdiff_t c, int n) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = cm_pool_window_count(pool), columns = (ptrdiff_t)p->layout.columns;
    const float *table = p->own + p->layout.tables + run.begin * CM_TABLE;
    const vt first = vt_load(read_index);
    ptrdiff_t at = (task->image * windows + run.begin) * pool->channels + c;
    vf sum[CM_PATCH_3X3], sum_g = vf_zero();
#pragma GCC unroll 9
    for (int t = 0; t < CM_PATCH_3X3; ++t) {
        sum[t] = vf_zero();
    }
    for (ptrdiff_t i = run.begin; i < run.end; ++i, table += CM_TABLE, at += pool->channels) {
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
        store_run(to + t * columns, sum[t], run.begin == 0);
    }
    store_run(to + CM_PATCH_3X3 * columns, sum_g, run.begin == 0);
}

/* The same for any shape, a channel at a time. */
static void sum_windows(const backward_task *task, cm_range run, ptrdiff_t c) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const ptrdiff_t windows = cm_pool_window_count(pool), columns = (ptrdiff_t)p->layout.columns;
    ptrdiff_t at = (task->image * windows + run.begin) * pool->channels + c;
    float sum[CM_MAX_PATCH + 1] = {0};
    for (ptrdiff_t i = run.begin; i < run.end; ++i, at += pool->channels) {
        const float g = task->y == NULL || task->y[at] > 0.0F ? task->dy[at] : 0.0F;
        const int output = task->argmax[at];
        const float *x = cm_patch_window(p, i) + output / pool->kernel_w * p->row +
                         output % pool->kernel_w * p->column;
        for (int t = 0; t < p->patch; ++t) {
            sum[t] = fmaf(g, x[p->offset[t]], sum[t]);
        }
        sum[p->patch] += g;
    }
    float *to = gradient_sums_of(p, task->image) + c;
    for (int t = 0; t <= p->patch; ++t) {
        to[t * columns] = run.begin == 0 ? sum[t] : to[t * columns] + sum[t];
    }
}

static void backward_run(const backward_task *task, cm_range run, ptrdiff_t begin, ptrdiff_t end) {
    const cm_patches *p = task->patches;
    ptrdiff_t c = begin;
    if (!cm_patches_are_3x3(p->conv, p->pool)) {
        for (; c < end; ++c) {
            sum_windows(task, run, c);
        }
        return;
    }
    for (; c + VF_LANES <= end; c += VF_LANES) {
        sum_windows_3x3(task, run, c, VF_LANES);
    }
    if (c < end) {
        sum_windows_3x3(task, run, c, (int)(end - c));
    }
}

static void backward_task_channels(const backward_task *task, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t windows = cm_pool_window_count(task->patches->pool);
    for (ptrdiff_t i = 0; i < windows; i += CM_RUN_WINDOWS) {
        const cm_range run = {i, windows - i < CM_RUN_WINDOWS ? windows : i + CM_RUN_WINDOWS};
        backward_run(task, run, begin, end);
    }
}

/* What is subtracted from the channels of the images where a batch norm follows: the mean of the
 * middle number of their patches. The gradients are differences of S and m G, which would cancel
 * where pictures are bright and have little contrast. */
static const float *centre_channels(const cm_conv2d_max_pool2d_backward_args *args,
                                    float *centres) {
    const cm_conv2d_shape *conv = args->conv;
    const int middle = (conv->kernel_h / 2 * conv->kernel_w + conv->kernel_w / 2);
    for (int c = 0; args->moments != NULL && c < conv->in_channels; ++c) {
        centres[c] = (float)args->moments[middle * conv->in_channels + c];
    }
    return args->moments != NULL ? centres : NULL;
}

/* The gradients from S where a batch norm follows, for n channels from c (first_layer.h). */
static void normalize_gradients(const cm_conv2d_max_pool2d_backward_args *to, const cm_patches *p,
                                ptrdiff_t c, int n, double sum[][GRADIENT_CHANNELS],
                                const double *sum_g) {
    const ptrdiff_t channels = p->conv->out_channels;
    const int patch = p->patch;
    const float *weight = to->weight + c;
    double dgamma[GRADIENT_CHANNELS] = {0}, mean[GRADIENT_CHANNELS] = {0};
    double m[CM_MAX_PATCH]; /* of the patches less the centres */
    float centres[CM_MAX_PATCH];
    (void)centre_channels(to, centres);
    for (int t = 0; t < patch; ++t) {
        m[t] = to->moments[t] - (double)centres[t % p->conv->in_channels];
        for (int k = 0; k < n; ++k) {
            const double w = (double)weight[t * channels + k];
            dgamma[k] += w * sum[t][k];
            mean[k] += w * m[t];
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
        double product[GRADIENT_CHANNELS] = {0};
        for (int j = 0; j < patch; ++j) {
            for (int k = 0; k < n; ++k) {
                product[k] += row[j] * (double)weight[j * channels + k];
            }
        }
        for (int k = 0; k < n; ++k) {
            const double moved = m[t] * sum_g[k] + (double)to->rstd[c + k] * dgamma[k] * product[k];
            to->dweight[t * channels + c + k] =
                (float)((double)to->scale[c + k] * (sum[t][k] - moved));
        }
    }
}

/* The sums of n <= GRADIENT_CHANNELS channels from c over images [begin, end), in double: inside a
 * block in the order of the images; more than one block is split as cm_join_images() does it. */
static void sum_block_tree(const cm_patches *p, cm_range images, ptrdiff_t c, int n,
                           double sum[][GRADIENT_CHANNELS]) {
    const ptrdiff_t block = cm_block_images(p->conv->batch, p->conv->block);
    const size_t bytes = (size_t)(p->patch + 1) * sizeof *sum;
    memset(sum, 0, bytes);
    if (images.end - images.begin <= block) {
        for (ptrdiff_t image = images.begin; image < images.end; ++image) {
            const float *from = gradient_sums_of(p, image) + c;
            for (int t = 0; t <= p->patch; ++t, from += p->layout.columns) {
                for (int k = 0; k < n; ++k) {
                    sum[t][k] += (double)from[k];
                }
            }
        }
        return;
    }
    ptrdiff_t middle = images.begin + block;
    while (middle + (middle - images.begin) < images.end) {
        middle += middle - images.begin;
    }
    double right[CM_MAX_PATCH + 1][GRADIENT_CHANNELS];
    sum_block_tree(p, (cm_range){images.begin, middle}, c, n, sum);
    sum_block_tree(p, (cm_range){middle, images.end}, c, n, right);
    for (int t = 0; t <= p->patch; ++t) {
        for (int k = 0; k < n; ++k) {
            sum[t][k] += right[t][k];
        }
    }
}

/* The gradients of n <= GRADIENT_CHANNELS channels from c. */
static void join_channels(const cm_conv2d_max_pool2d_backward_args *to, const cm_patches *p,
                          ptrdiff_t c, int n) {
    double sum[CM_MAX_PATCH + 1][GRADIENT_CHANNELS];
    const ptrdiff_t channels = p->conv->out_channels;
    sum_block_tree(p, (cm_range){0, p->conv->batch}, c, n, sum);
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
    float centres[CM_MAX_PATCH];
    const float *centre = centre_channels(args, centres);
    cm_deal tasks = cm_team_deal(team, conv->batch * blocks);
    backward_task task = {
        .patches = &p, .image = -1, .dy = args->dy, .y = args->y, .argmax = args->argmax};
    for (ptrdiff_t i; (i = cm_deal_next(&tasks)) >= 0;) {
        if (i / blocks != task.image) {
            task.image = i / blocks;
            cm_patches_read_image(&p, args->x, task.image, centre);
        }
        const ptrdiff_t c = i % blocks * CM_TASK_CHANNELS;
        backward_task_channels(&task, c,
                               c + CM_TASK_CHANNELS < channels ? c + CM_TASK_CHANNELS : channels);
    }
    cm_team_barrier(team);
    const ptrdiff_t joins = (channels + GRADIENT_CHANNELS - 1) / GRADIENT_CHANNELS;
    const cm_range share = cm_team_share(team, joins);
    for (ptrdiff_t block = share.begin; block < share.end; ++block) {
        const ptrdiff_t c = block * GRADIENT_CHANNELS;
        const ptrdiff_t left = channels - c;
        join_channels(args, &p, c, left < GRADIENT_CHANNELS ? (int)left : GRADIENT_CHANNELS);
    }
}
