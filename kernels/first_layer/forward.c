/* Convolution and max pool of a first layer without the map between them: each window's outputs are
 * computed in registers, and only their maximum is stored. The map of a 28x28x128 first layer at
 * batch 64 would be 25.7 MB. */
#include <math.h>
#include <string.h>

#include "kernels/first_layer/patches.h"
#include "kernels/isa.h"

/* Vectors of channels whose chains run side by side: they cover the latency of an FMA. Tuning. */
enum { WINDOW_VECTORS = 4 };

typedef struct window_task {
    const cm_patches *patches;
    ptrdiff_t image;
    bool relu;
    float *y;
    uint16_t *argmax;
} window_task;

/* Weights with the batch norm folded in, then the bias; channels beyond the last are 0. */
static void fold_batch_norm(const cm_conv2d_max_pool2d_forward_args *args, const cm_patches *p) {
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
CM_ALWAYS_INLINE void store_window(const window_task *task, ptrdiff_t window, ptrdiff_t c, vf best,
                                   vf index, vf bias, int n) {
    const cm_max_pool2d_shape *pool = task->patches->pool;
    const ptrdiff_t at = (task->image * cm_pool_window_count(pool) + window) * pool->channels + c;
    const vf z = vf_add(best, bias);
    cm_store(task->y + at, task->relu ? cm_relu(z) : z, n);
    if (task->argmax != NULL) {
        cm_store_u16(task->argmax + at, index, n);
    }
}

/* One vector of channels of all windows. Each number that a window reads goes to all the outputs
 * whose patches hold it, so that it is loaded once for up to nine FMAs. */
CM_ALWAYS_INLINE void windows_3x3(const window_task *task, ptrdiff_t c, int n) {
    const cm_patches *p = task->patches;
    const float *folded = p->own + p->layout.folded + c;
    const float *table = p->own + p->layout.tables;
    vf weight[CM_PATCH_3X3];
    for (int t = 0; t < CM_PATCH_3X3; ++t) {
        weight[t] = vf_load(folded + t * (ptrdiff_t)p->layout.columns);
    }
    const vf bias = vf_load(folded + CM_PATCH_3X3 * (ptrdiff_t)p->layout.columns);
    const ptrdiff_t windows = cm_pool_window_count(p->pool);
    for (ptrdiff_t i = 0; i < windows; ++i, table += CM_TABLE) {
        vf z[CM_PATCH_3X3];
#pragma GCC unroll 9
        for (int t = 0; t < CM_PATCH_3X3; ++t) {
            z[t] = vf_zero();
        }
#pragma GCC unroll 25
        for (int at = 0; at < CM_READ_SIDE * CM_READ_SIDE; ++at) {
            const vf x = vf_set1(table[at]);
#pragma GCC unroll 9
            for (int output = 0; output < CM_PATCH_3X3; ++output) {
                const int r = at / CM_READ_SIDE - output / CM_SIDE,
                          s = at % CM_READ_SIDE - output % CM_SIDE;
                if (r >= 0 && r < CM_SIDE && s >= 0 && s < CM_SIDE) {
                    z[output] = vf_fma(x, weight[r * CM_SIDE + s], z[output]);
                }
            }
        }
        vf best = z[0], index = vf_zero();
#pragma GCC unroll 9
        for (int t = 1; t < CM_PATCH_3X3; ++t) {
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
CM_ALWAYS_INLINE void window_of_any_shape(const window_task *task, ptrdiff_t window, ptrdiff_t c,
                                          int vectors, int n) {
    const cm_patches *p = task->patches;
    const cm_max_pool2d_shape *pool = p->pool;
    const float *folded = p->own + p->layout.folded + c;
    const float *first = cm_patch_window(p, window);
    vf best[WINDOW_VECTORS], index[WINDOW_VECTORS], z[WINDOW_VECTORS], tap = vf_zero();
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

static void forward_task_channels(const window_task *task, ptrdiff_t begin, ptrdiff_t end) {
    const cm_patches *p = task->patches;
    ptrdiff_t c = begin;
    if (cm_patches_are_3x3(p->conv, p->pool)) {
        for (; c + VF_LANES <= end; c += VF_LANES) {
            windows_3x3(task, c, VF_LANES);
        }
        if (c < end) {
            windows_3x3(task, c, (int)(end - c));
        }
        return;
    }
    const ptrdiff_t windows = cm_pool_window_count(p->pool);
    for (; c + WINDOW_VECTORS * VF_LANES <= end; c += WINDOW_VECTORS * VF_LANES) {
        for (ptrdiff_t i = 0; i < windows; ++i) {
            window_of_any_shape(task, i, c, WINDOW_VECTORS, VF_LANES);
        }
    }
    for (; c < end; c += VF_LANES) {
        const int n = end - c < VF_LANES ? (int)(end - c) : VF_LANES;
        for (ptrdiff_t i = 0; i < windows; ++i) {
            window_of_any_shape(task, i, c, 1, n);
        }
    }
}

void cm_conv2d_max_pool2d_forward(const cm_team *team,
                                  const cm_conv2d_max_pool2d_forward_args *args) {
    const cm_conv2d_shape *conv = args->conv;
    const cm_patches p = cm_patches_of(team, conv, args->pool, args->workspace);
    const ptrdiff_t channels = conv->out_channels;
    const ptrdiff_t blocks = (channels + CM_TASK_CHANNELS - 1) / CM_TASK_CHANNELS;
    cm_deal tasks = cm_team_deal(team, conv->batch * blocks);
    window_task task = {
        .patches = &p, .image = -1, .relu = args->relu, .y = args->y, .argmax = args->argmax};
    fold_batch_norm(args, &p);
    for (ptrdiff_t i; (i = cm_deal_next(&tasks)) >= 0;) {
        if (i / blocks != task.image) {
            task.image = i / blocks;
            cm_patches_read_image(&p, args->x, task.image, NULL);
        }
        const ptrdiff_t c = i % blocks * CM_TASK_CHANNELS;
        forward_task_channels(&task, c,
                              c + CM_TASK_CHANNELS < channels ? c + CM_TASK_CHANNELS : channels);
    }
}
