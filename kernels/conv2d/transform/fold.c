#include "kernels/isa.h"

#include "kernels/conv2d/transform/fold.h"

void cm_fold_real(cm_tap_factors *factors, const cm_frequency *frequency, const float *product,
                  ptrdiff_t count, float *sums) {
    const bool first = frequency->column == 0;
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        const vf g = vf_load(product + i);
        for (int s = 0; s < 3; ++s) {
            float *sum = sums + s * count + i;
            const vf factor = vf_set1(factors[frequency->column][s]);
            vf_store(sum, first ? vf_mul(factor, g) : vf_fma(factor, g, vf_load(sum)));
        }
    }
}

void cm_taps_real(int points, cm_tap_factors *factors, const float *sums, ptrdiff_t row,
                  ptrdiff_t count, float *dw) {
    for (ptrdiff_t i = 0; i < 3 * count; i += VF_LANES) {
        for (int r = 0; r < 3; ++r) {
            vf sum = vf_mul(vf_set1(factors[0][r]), vf_load(sums + i));
            for (int ky = 1; ky < points; ++ky) {
                sum = vf_fma(vf_set1(factors[ky][r]), vf_load(sums + ky * row + i), sum);
            }
            vf_store(dw + 3 * r * count + i, sum);
        }
    }
}
