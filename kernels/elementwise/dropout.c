#include "kernels/isa.h"
#include "kernels/simd/vectors.h"

/* The uniform numbers of CM_SPLIT_ELEMENTS elements from `first`, a multiple of that many. */
static void draw_uniform(const cm_random_key *key, ptrdiff_t first, float *uniform) {
    for (int i = 0; i < CM_SPLIT_ELEMENTS; i += 4) {
        uint32_t words[4];
        cm_philox4x32(key, (uint32_t)((first + i) / 4), words);
        for (int j = 0; j < 4; ++j) {
            uniform[i + j] = cm_uniform_from_u32(words[j]);
        }
    }
}

void cm_dropout(const cm_team *team, size_t count, const float *x, float p,
                const cm_random_key *key, float *y) {
    const vf threshold = vf_set1(p);
    const vf scale = vf_set1(1.0F / (1.0F - p));
    const cm_range range = cm_share_elements(team, count);
    for (ptrdiff_t first = range.begin; first < range.end; first += CM_SPLIT_ELEMENTS) {
        float uniform[CM_SPLIT_ELEMENTS];
        draw_uniform(key, first, uniform);
        const ptrdiff_t left = range.end - first;
        const int elements = left < CM_SPLIT_ELEMENTS ? (int)left : CM_SPLIT_ELEMENTS;
        for (int i = 0; i < elements; i += VF_LANES) {
            const int n = elements - i < VF_LANES ? elements - i : VF_LANES;
            const vm dropped = vf_gt(threshold, vf_load(uniform + i));
            const vf kept = vf_mul(cm_load(x + first + i, n), scale);
            cm_store(y + first + i, vf_select(dropped, vf_zero(), kept), n);
        }
    }
}
