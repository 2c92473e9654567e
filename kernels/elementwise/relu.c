#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

void cm_relu_forward(const cm_team *team, size_t count, const float *x, float *y) {
    const cm_range range = cm_share_elements(team, count);
    ptrdiff_t i = range.begin;
    for (; i + VF_LANES <= range.end; i += VF_LANES) {
        vf_store(y + i, cm_relu(vf_load(x + i)));
    }
    if (i < range.end) {
        const int n = (int)(range.end - i);
        vf_store_n(y + i, cm_relu(vf_load_n(x + i, n)), n);
    }
}

void cm_relu_backward(const cm_team *team, size_t count, const float *dy, const float *y,
                      float *dx) {
    const cm_range range = cm_share_elements(team, count);
    ptrdiff_t i = range.begin;
    for (; i + VF_LANES <= range.end; i += VF_LANES) {
        vf_store(dx + i, cm_load_gradient(dy, y, i, VF_LANES));
    }
    if (i < range.end) {
        const int n = (int)(range.end - i);
        vf_store_n(dx + i, cm_load_gradient(dy, y, i, n), n);
    }
}
