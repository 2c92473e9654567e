#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

CM_ALWAYS_INLINE void normalize_vector(const float *x, const float *scale, const float *shift,
                                       bool relu, float *y, int n) {
    const vf z = vf_fma(cm_load(x, n), cm_load(scale, n), cm_load(shift, n));
    cm_store(y, relu ? cm_relu(z) : z, n);
}

CM_ALWAYS_INLINE void normalize_positions(cm_range range, ptrdiff_t channels, const float *x,
                                          const float *scale, const float *shift, bool relu,
                                          float *y) {
    for (ptrdiff_t i = range.begin; i < range.end; ++i) {
        const float *from = x + i * channels;
        float *to = y + i * channels;
        ptrdiff_t c = 0;
        for (; c + VF_LANES <= channels; c += VF_LANES) {
            normalize_vector(from + c, scale + c, shift + c, relu, to + c, VF_LANES);
        }
        if (c < channels) {
            normalize_vector(from + c, scale + c, shift + c, relu, to + c, (int)(channels - c));
        }
    }
}

void cm_batch_norm_forward(const cm_team *team, const cm_map_shape *shape, const float *x,
                           const float *scale, const float *shift, bool relu, float *y) {
    const cm_range range =
        cm_team_share(team, (ptrdiff_t)shape->batch * shape->height * shape->width);
    if (relu) {
        normalize_positions(range, shape->channels, x, scale, shift, true, y);
    } else {
        normalize_positions(range, shape->channels, x, scale, shift, false, y);
    }
}
