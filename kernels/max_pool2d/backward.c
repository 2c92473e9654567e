#include "kernels/isa.h"
#include "kernels/max_pool2d/scatter.h"
#include "kernels/simd/vectors.h"

/* Stores element `at` of dx, of channel `channel`, given its scattered gradient g. batch_norm is a
 * constant: whether s->a is not NULL. */
CM_ALWAYS_INLINE void store_gradient(const cm_pool_scatter *s, bool batch_norm, ptrdiff_t at,
                                     ptrdiff_t channel, vf g, int n) {
    if (batch_norm) {
        const vf centred = vf_sub(cm_load(s->x + at, n), cm_load(s->mean + channel, n));
        const vf rest = vf_fma(cm_load(s->b + channel, n), centred, cm_load(s->c + channel, n));
        g = vf_fma(cm_load(s->a + channel, n), g, rest);
    }
    cm_store(s->dx + at, g, n);
}

/* Windows that do not overlap: a gradient goes to the cell of one window, the elements from its
 * first row and column to the next window's; the last window's cell reaches to the map's edge. */
typedef struct pool_cell {
    ptrdiff_t source;        /* of the window in dy, y and argmax */
    ptrdiff_t target;        /* of the cell's first element in dx */
    int height, width;       /* of the cell */
    int kernel_h, kernel_w;  /* of the window in it */
    ptrdiff_t row, channels; /* steps of dx */
} pool_cell;

CM_ALWAYS_INLINE void scatter_cell(const cm_pool_scatter *s, const pool_cell *cell, bool batch_norm,
                                   ptrdiff_t channel, int n) {
    /* + 0: a sum that starts at +0, as where windows overlap, has no -0. */
    const vf g = vf_add(vf_zero(), cm_load_gradient(s->dy, s->y, cell->source + channel, n));
    const vf index = cm_load_u16(s->argmax + cell->source + channel, n);
    for (int r = 0; r < cell->height; ++r) {
        ptrdiff_t at = cell->target + r * cell->row + channel;
        for (int q = 0; q < cell->width; ++q, at += cell->channels) {
            vf value = vf_zero();
            if (r < cell->kernel_h && q < cell->kernel_w) {
                const vf tap = vf_set1((float)(r * cell->kernel_w + q));
                value = vf_select(vf_eq(index, tap), g, value);
            }
            store_gradient(s, batch_norm, at, channel, value, n);
        }
    }
}

CM_ALWAYS_INLINE void scatter_apart(const cm_team *team, const cm_pool_scatter *s,
                                    bool batch_norm) {
    const cm_max_pool2d_shape *shape = s->shape;
    const ptrdiff_t channels = shape->channels;
    const int rows = shape->out_height, columns = shape->out_width;
    const cm_range range = cm_team_share(team, (ptrdiff_t)shape->batch * rows * columns);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const int q = (int)(i % columns), p = (int)(i / columns % rows);
        const ptrdiff_t image = i / columns / rows;
        const int h = p * shape->stride_h, w = q * shape->stride_w;
        const pool_cell cell = {.source = i * channels,
                                .target =
                                    ((image * shape->height + h) * shape->width + w) * channels,
                                .height = p + 1 < rows ? shape->stride_h : shape->height - h,
                                .width = q + 1 < columns ? shape->stride_w : shape->width - w,
                                .kernel_h = shape->kernel_h,
                                .kernel_w = shape->kernel_w,
                                .row = shape->width * channels,
                                .channels = channels};
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            scatter_cell(s, &cell, batch_norm, c, VF_LANES);
        }
        if (c < channels) {
            scatter_cell(s, &cell, batch_norm, c, (int)(channels - c));
        }
    }
}

/* Windows that overlap: an element gathers from the windows that contain it. */
typedef struct element_windows {
    ptrdiff_t source;                   /* of the image's first window */
    int h, w;                           /* the element */
    int p_begin, p_end, q_begin, q_end; /* the windows */
} element_windows;

CM_ALWAYS_INLINE void gather_element(const cm_pool_scatter *s, const element_windows *windows,
                                     bool batch_norm, ptrdiff_t at, ptrdiff_t channel, int n) {
    const cm_max_pool2d_shape *shape = s->shape;
    vf sum = vf_zero();
    for (int p = windows->p_begin; p < windows->p_end; ++p) {
        for (int q = windows->q_begin; q < windows->q_end; ++q) {
            const ptrdiff_t from =
                windows->source + ((ptrdiff_t)p * shape->out_width + q) * shape->channels + channel;
            const int tap = (windows->h - p * shape->stride_h) * shape->kernel_w + windows->w -
                            q * shape->stride_w;
            const vm here = vf_eq(cm_load_u16(s->argmax + from, n), vf_set1((float)tap));
            const vf g = cm_load_gradient(s->dy, s->y, from, n);
            sum = vf_select(here, vf_add(sum, g), sum);
        }
    }
    store_gradient(s, batch_norm, at, channel, sum, n);
}

/* The windows along one axis that contain position `at`. */
CM_ALWAYS_INLINE void windows_containing(int at, int kernel, int stride, int count, int *begin,
                                         int *end) {
    *begin = at < kernel ? 0 : (at - kernel) / stride + 1;
    *end = at / stride + 1 < count ? at / stride + 1 : count;
}

CM_ALWAYS_INLINE void scatter_overlapping(const cm_team *team, const cm_pool_scatter *s,
                                          bool batch_norm) {
    const cm_max_pool2d_shape *shape = s->shape;
    const ptrdiff_t channels = shape->channels;
    const ptrdiff_t image_outputs = (ptrdiff_t)shape->out_height * shape->out_width * channels;
    const cm_range range =
        cm_team_share(team, (ptrdiff_t)shape->batch * shape->height * shape->width);
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        element_windows windows;
        windows.w = (int)(i % shape->width);
        windows.h = (int)(i / shape->width % shape->height);
        windows.source = i / shape->width / shape->height * image_outputs;
        windows_containing(windows.h, shape->kernel_h, shape->stride_h, shape->out_height,
                           &windows.p_begin, &windows.p_end);
        windows_containing(windows.w, shape->kernel_w, shape->stride_w, shape->out_width,
                           &windows.q_begin, &windows.q_end);
        const ptrdiff_t at = i * channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            gather_element(s, &windows, batch_norm, at + c, c, VF_LANES);
        }
        if (c < channels) {
            gather_element(s, &windows, batch_norm, at + c, c, (int)(channels - c));
        }
    }
}

CM_ALWAYS_INLINE void scatter_all(const cm_team *team, const cm_pool_scatter *s, bool batch_norm) {
    const cm_max_pool2d_shape *shape = s->shape;
    if (shape->stride_h >= shape->kernel_h && shape->stride_w >= shape->kernel_w) {
        scatter_apart(team, s, batch_norm);
    } else {
        scatter_overlapping(team, s, batch_norm);
    }
}

void cm_scatter_gradient(const cm_team *team, const cm_pool_scatter *scatter) {
    const cm_pool_scatter s = *scatter; /* a copy, which no store can change */
    if (s.a != NULL) {
        scatter_all(team, &s, true);
    } else {
        scatter_all(team, &s, false);
    }
}

void cm_max_pool2d_backward(const cm_team *team, const cm_max_pool2d_shape *shape, const float *dy,
                            const float *y, const uint16_t *argmax, float *dx) {
    const cm_pool_scatter scatter = {.shape = shape, .dy = dy, .y = y, .argmax = argmax, .dx = dx};
    cm_scatter_gradient(team, &scatter);
}
