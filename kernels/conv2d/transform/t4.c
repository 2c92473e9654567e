/* T4: 3x3 maps with 16 multiplications, the fewest known. In one dimension, the zero-padded
 * convolution of three points with three taps,
 *
 *   y0 = w1 x0 + w2 x1,  y1 = w0 x0 + w1 x1 + w2 x2,  y2 = w0 x1 + w1 x2,
 *
 * is M_i = l_i m_i with
 *
 *   m1, m2 = x1 +- 2/3 (x0 + x2)                 m3, m4 = x1 +- 2 (x0 - x2)
 *   l1, l2 = 9/16 w1 +- 3/8 (w0 + w2)            l3, l4 = -1/16 w1 +- 1/8 (w0 - w2)
 *   y0, y2 = 2/3 (M1 - M2) -+ 2 (M3 - M4)        y1 = M1 + M2 + M3 + M4
 *
 * (multiply it out: docs/design/algorithms.md). The adjoint of the output map is the input map with
 * 3 and 4 exchanged, so backward-data is the same convolution with the filter turned by 180
 * degrees. */
#include "kernels/isa.h"

#include "kernels/conv2d/transform/domain.h"
#include "kernels/conv2d/transform/fold.h"

enum { SIDE = CM_T4_PATCH, POINTS = CM_T4_ROWS };

CM_ALWAYS_INLINE void t4_points_of(const vf x[SIDE], vf m[POINTS]) {
    const vf sum = vf_add(x[0], x[2]), difference = vf_sub(x[0], x[2]);
    m[0] = vf_fma(vf_set1(2.0F / 3.0F), sum, x[1]);
    m[1] = vf_fma(vf_set1(-2.0F / 3.0F), sum, x[1]);
    m[2] = vf_fma(vf_set1(2.0F), difference, x[1]);
    m[3] = vf_fma(vf_set1(-2.0F), difference, x[1]);
}

CM_ALWAYS_INLINE void values_of(const vf m[POINTS], vf y[SIDE]) {
    const vf e = vf_mul(vf_set1(2.0F / 3.0F), vf_sub(m[0], m[1]));
    const vf f = vf_sub(m[2], m[3]);
    y[0] = vf_fma(vf_set1(-2.0F), f, e);
    y[1] = vf_add(vf_add(m[0], m[1]), vf_add(m[2], m[3]));
    y[2] = vf_fma(vf_set1(2.0F), f, e);
}

#define ROW(row)                                                          \
    CM_REAL_FREQUENCY(POINTS, row, 0), CM_REAL_FREQUENCY(POINTS, row, 1), \
        CM_REAL_FREQUENCY(POINTS, row, 2), CM_REAL_FREQUENCY(POINTS, row, 3)
static const cm_frequency frequencies[CM_T4_FREQUENCIES] = {ROW(0), ROW(1), ROW(2), ROW(3)};
#undef ROW

CM_ALWAYS_INLINE void t4_transform_lanes(const float *x, ptrdiff_t step, bool partial, int lanes,
                                         float *to, ptrdiff_t plane) {
    vf columns[POINTS][SIDE];
    for (int q = 0; q < SIDE; ++q) {
        vf column[SIDE], m[POINTS];
        for (int p = 0; p < SIDE; ++p) {
            column[p] = cm_load_lanes(x + (p * SIDE + q) * step, partial, lanes);
        }
        t4_points_of(column, m);
        for (int i = 0; i < POINTS; ++i) {
            columns[i][q] = m[i];
        }
    }
    for (int i = 0; i < POINTS; ++i) {
        vf m[POINTS];
        t4_points_of(columns[i], m);
        for (int j = 0; j < POINTS; ++j) {
            cm_plane_store(to + (i * POINTS + j) * plane, m[j], partial, lanes);
        }
    }
}

static void t4_transform(const float *x, const cm_map_patch *patch, int lanes, cm_plane_kind kind,
                         float *to, ptrdiff_t plane) {
    const ptrdiff_t step = patch->step;
    (void)kind; /* no frequency is complex */
    if (lanes < VF_LANES) {
        t4_transform_lanes(x, step, true, lanes, to, plane);
    } else {
        t4_transform_lanes(x, step, false, lanes, to, plane);
    }
}

CM_ALWAYS_INLINE void t4_restore_lanes(const float *from, ptrdiff_t plane, bool partial, int lanes,
                                       cm_epilogue epilogue, float *y, ptrdiff_t step) {
    vf rows[SIDE][POINTS];
    for (int j = 0; j < POINTS; ++j) {
        vf m[POINTS], values[SIDE];
        for (int i = 0; i < POINTS; ++i) {
            m[i] = cm_plane_load(from + (i * POINTS + j) * plane, partial, lanes);
        }
        values_of(m, values);
        for (int p = 0; p < SIDE; ++p) {
            rows[p][j] = values[p];
        }
    }
    const cm_epilogue_vectors e = cm_epilogue_load(&epilogue, 0, partial, lanes);
    for (int p = 0; p < SIDE; ++p) {
        vf values[SIDE];
        values_of(rows[p], values);
        for (int q = 0; q < SIDE; ++q) {
            const vf value = cm_epilogue_apply(&epilogue, &e, values[q]);
            cm_store_lanes(y + (p * SIDE + q) * step, value, partial, lanes);
        }
    }
}

static void t4_restore(const float *from, ptrdiff_t plane, int lanes, const cm_epilogue *epilogue,
                       float *y, const cm_map_patch *patch) {
    const ptrdiff_t step = patch->step;
    if (lanes < VF_LANES) {
        t4_restore_lanes(from, plane, true, lanes, *epilogue, y, step);
    } else {
        t4_restore_lanes(from, plane, false, lanes, *epilogue, y, step);
    }
}

static void t4_filter_halves(vf w[3][3], bool flip, vf u[CM_MAX_HALVES][3]) {
    for (int i = 0; i < POINTS; ++i) {
        vf column[3];
        for (int s = 0; s < 3; ++s) {
            const vf first = w[flip ? 2 : 0][s], last = w[flip ? 0 : 2][s];
            const bool inner = i < 2;
            const float side = (inner ? 0.375F : 0.125F) * (i % 2 == 0 ? 1.0F : -1.0F);
            const vf pair = inner ? vf_add(first, last) : vf_sub(first, last);
            column[s] =
                vf_fma(vf_set1(side), pair, vf_mul(vf_set1(inner ? 0.5625F : -0.0625F), w[1][s]));
        }
        const vf first = column[flip ? 2 : 0], last = column[flip ? 0 : 2];
        u[i][0] = column[1];
        u[i][1] = vf_add(first, last);
        u[i][2] = vf_sub(first, last);
    }
}

static void t4_filter_planes(const cm_frequency *frequency, bool backward_data, const float *from,
                             ptrdiff_t stride, ptrdiff_t count, float *to) {
    (void)backward_data;
    const bool inner = frequency->column < 2;
    const vf middle = vf_set1(inner ? 0.5625F : -0.0625F);
    const vf side =
        vf_set1((inner ? 0.375F : 0.125F) * (frequency->column % 2 == 0 ? 1.0F : -1.0F));
    const float *u = from + frequency->row * 3 * stride;
    const float *pair = u + (inner ? 1 : 2) * stride;
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        vf_store(to + i, vf_fma(side, vf_load(pair + i), vf_mul(middle, vf_load(u + i))));
    }
}

/* D is transformed as X is, where the adjoint of the output map has m3 and m4 exchanged. */
static int t4_partner(int plane) {
    static const int exchanged[POINTS] = {0, 1, 3, 2};
    return exchanged[plane / POINTS] * POINTS + exchanged[plane % POINTS];
}

/* dw of one dimension from the gradients g of l1 .. l4 is
 *   dw1 = 9/16 (g1 + g2) - 1/16 (g3 + g4),  dw0, dw2 = 3/8 (g1 - g2) +- 1/8 (g3 - g4). */
static cm_tap_factors tap_factors[POINTS] = {{0.375F, 0.5625F, 0.375F},
                                             {-0.375F, 0.5625F, -0.375F},
                                             {0.125F, -0.0625F, -0.125F},
                                             {-0.125F, -0.0625F, 0.125F}};

static void t4_fold(const cm_frequency *frequency, const float *re, const float *im,
                    ptrdiff_t count, float *sums) {
    (void)im;
    cm_fold_real(tap_factors, frequency, re, count, sums);
}

static void t4_taps(const float *sums, ptrdiff_t row, ptrdiff_t count, float *dw) {
    cm_taps_real(POINTS, tap_factors, sums, row, count, dw);
}

const cm_domain cm_t4_domain = {
    .frequency = frequencies,
    .transform = t4_transform,
    .restore = t4_restore,
    .filter_halves = t4_filter_halves,
    .filter_planes = t4_filter_planes,
    .flips = true,
    .partner = t4_partner,
    .fold = t4_fold,
    .taps = t4_taps,
};
