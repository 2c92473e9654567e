#include <math.h>

#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* The step's constants, each rounded to float once. */
typedef struct adam_constants {
    vf rate, gradient_weight1, beta2, gradient_weight2, root_correction2, epsilon, weight_decay;
} adam_constants;

CM_ALWAYS_INLINE void update_parameters(const adam_constants *k, const float *grad, float *param,
                                        float *m, float *v, int n) {
    const vf old = cm_load(param, n);
    const vf g = vf_fma(k->weight_decay, old, cm_load(grad, n));
    const vf old_m = cm_load(m, n);
    const vf new_m = vf_fma(k->gradient_weight1, vf_sub(g, old_m), old_m);
    const vf decayed = vf_mul(k->beta2, cm_load(v, n));
    const vf new_v = vf_fma(k->gradient_weight2, vf_mul(g, g), decayed);
    const vf root = vf_div(vf_sqrt(new_v), k->root_correction2);
    const vf ratio = vf_div(new_m, vf_add(root, k->epsilon));
    cm_store(m, new_m, n);
    cm_store(v, new_v, n);
    cm_store(param, vf_fma(k->rate, ratio, old), n);
}

void cm_adam(const cm_team *team, size_t count, const cm_adam_step *step, const float *grad,
             float *param, float *m, float *v) {
    const adam_constants k = {
        .rate = vf_set1((float)(-step->learning_rate / step->bias_correction1)),
        .gradient_weight1 = vf_set1((float)(1.0 - step->beta1)),
        .beta2 = vf_set1((float)step->beta2),
        .gradient_weight2 = vf_set1((float)(1.0 - step->beta2)),
        .root_correction2 = vf_set1((float)sqrt(step->bias_correction2)),
        .epsilon = vf_set1((float)step->epsilon),
        .weight_decay = vf_set1((float)step->weight_decay),
    };
    const cm_range range = cm_share_elements(team, count);
    ptrdiff_t i = range.begin;
    for (; i + VF_LANES <= range.end; i += VF_LANES) {
        update_parameters(&k, grad + i, param + i, m + i, v + i, VF_LANES);
    }
    if (i < range.end) {
        update_parameters(&k, grad + i, param + i, m + i, v + i, (int)(range.end - i));
    }
}
