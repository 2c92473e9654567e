#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* One vector of one window. `from`: its first element in x; `to`: its output. */
CM_ALWAYS_INLINE void pool_window(const cm_max_pool2d_forward_args *a, bool affine, bool record,
                                  ptrdiff_t from, ptrdiff_t to, ptrdiff_t channel, int n) {
    const cm_max_pool2d_shape *shape = a->shape;
    const ptrdiff_t channels = shape->channels;
    const vf scale = affine ? cm_load(a->scale + channel, n) : vf_zero();
    const vf shift = affine ? cm_load(a->shift + channel, n) : vf_zero();
    vf x_best = cm_load(a->x + from, n);
    vf best = affine ? vf_fma(x_best, scale, shift) : x_best;
    vf index = vf_zero(), tap = vf_zero();
    const vf one = vf_set1(1.0F);
    for (int r = 0; r < shape->kernel_h; ++r) {
        const float *p = a->x + from + (ptrdiff_t)r * shape->width * channels;
        for (int s = 0; s < shape->kernel_w; ++s, p += channels) {
            /* The first element meets itself, which is not greater. */
            const vf x = cm_load(p, n);
            const vf z = affine ? vf_fma(x, scale, shift) : x;
            const vm greater = vf_gt(z, best);
            best = vf_select(greater, z, best);
            if (record) {
                index = vf_select(greater, tap, index);
                x_best = vf_select(greater, x, x_best);
                tap = vf_add(tap, one);
            }
        }
    }
    cm_store(a->y + to, a->relu ? cm_relu(best) : best, n);
    if (record && a->argmax != NULL) {
        cm_store_u16(a->argmax + to, index, n);
    }
    if (record && a->x_at_max != NULL) {
        cm_store(a->x_at_max + to, x_best, n);
    }
}

CM_ALWAYS_INLINE void pool_windows(const cm_max_pool2d_forward_args *a, cm_range range, bool affine,
                                   bool record) {
    const cm_max_pool2d_shape *shape = a->shape;
    const ptrdiff_t channels = shape->channels;
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const ptrdiff_t q = i % shape->out_width, p = i / shape->out_width % shape->out_height;
        const ptrdiff_t row =
            i / shape->out_width / shape->out_height * shape->height + p * shape->stride_h;
        const ptrdiff_t from = (row * shape->width + q * shape->stride_w) * channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            pool_window(a, affine, record, from + c, i * channels + c, c, VF_LANES);
        }
        if (c < channels) {
            pool_window(a, affine, record, from + c, i * channels + c, c, (int)(channels - c));
        }
    }
}

void cm_max_pool2d_forward(const cm_team *team, const cm_max_pool2d_forward_args *args) {
    const cm_max_pool2d_forward_args a = *args; /* a copy, which no store can change */
    const cm_max_pool2d_shape *shape = a.shape;
    const cm_range range =
        cm_team_share(team, (ptrdiff_t)shape->batch * shape->out_height * shape->out_width);
    const bool record = a.argmax != NULL || a.x_at_max != NULL;
    if (a.scale != NULL) {
        if (record) {
            pool_windows(&a, range, true, true);
        } else {
            pool_windows(&a, range, true, false);
        }
    } else if (record) {
        pool_windows(&a, range, false, true);
    } else {
        pool_windows(&a, range, false, false);
    }
}
