/* Winograd's minimal filtering on patches of M x M outputs, M = 3 or 4 (Winograd, "Arithmetic
 * complexity of computations", 1980; for convolutional networks Lavin & Gray, arXiv 1509.09308). A
 * patch's M outputs in one dimension are correlations of its N = M + 2 inputs d with three taps; N
 * multiplications give them:
 *
 *   y = A' ((G w) . (B' d))
 *
 * where ' is the transpose. The rows of the three matrices belong to points at which the
 * polynomials of taps and outputs are evaluated: +a, -a, +b, -b and infinity, and 0 where M = 4. At
 * a finite point p
 *
 *   row of G: (1, p, p^2) / product of p - q over the other finite points q
 *   row of A: (1, p, .., p^(M-1))
 *   row of B': coefficients of the product of x - q over the other finite points q, lowest first;
 *
 * at infinity: the last tap, the last output, the product over all finite points (Lavin & Gray take
 * 0, 1, -1, 2, -2). Points of both signs halve the work: p and -p share the sums of even and of odd
 * terms (Alam et al., arXiv 2201.10369, who also choose them for the smallest error). Of the points
 * k/16 tried, 3/8 and 5/4 (M = 3), 5/8 and 3/2 (M = 4) have the smallest error: less than half of
 * that of 0, 1, -1, 2 and of 0, 1, -1, 2, -2. All constants but those of G are exact.
 *
 * Backward-data is the same convolution, of dy, with the filter turned by 180 degrees.
 * Backward-weights is dw = G' ((B' d) . (A dy)). */
#include "kernels/isa.h"

#include "kernels/conv2d/transform/domain.h"
#include "kernels/conv2d/transform/fold.h"

enum { MAX_SIDE = 4, MAX_POINTS = 6, PAIRS = 4, INFINITE = 4, ZERO = 5, TAPS = 3 };

/* What is known when the code is compiled: the patch's side, a and b. */
typedef struct winograd {
    int side;
    float a, b;
} winograd;

static const winograd three = {3, 0.375F, 1.25F}, four = {4, 0.625F, 1.5F};

/* G, rows +a, -a, +b, -b, infinity, 0. */
typedef const float taps_table[MAX_POINTS][TAPS];

static taps_table three_taps = {
    {-256.0F / 273.0F, -96.0F / 273.0F, -36.0F / 273.0F},
    {256.0F / 273.0F, -96.0F / 273.0F, 36.0F / 273.0F},
    {128.0F / 455.0F, 160.0F / 455.0F, 200.0F / 455.0F},
    {-128.0F / 455.0F, 160.0F / 455.0F, -200.0F / 455.0F},
    {0.0F, 0.0F, 1.0F},
};

static taps_table four_taps = {
    {-2048.0F / 2975.0F, -1280.0F / 2975.0F, -800.0F / 2975.0F},
    {-2048.0F / 2975.0F, 1280.0F / 2975.0F, -800.0F / 2975.0F},
    {128.0F / 1071.0F, 192.0F / 1071.0F, 288.0F / 1071.0F},
    {128.0F / 1071.0F, -192.0F / 1071.0F, 288.0F / 1071.0F},
    {0.0F, 0.0F, 1.0F},
    {256.0F / 225.0F, 0.0F, 0.0F},
};

/* even +- p odd: the values at p and -p. */
CM_ALWAYS_INLINE void both_signs(float p, vf even, vf odd, vf u[2]) {
    u[0] = vf_fma(vf_set1(p), odd, even);
    u[1] = vf_fma(vf_set1(-p), odd, even);
}

/* x^4 - (a^2 + b^2) x^2 + a^2 b^2. */
CM_ALWAYS_INLINE vf all_pairs(winograd w, const vf d[5]) {
    const float squares = w.a * w.a + w.b * w.b, product = w.a * w.a * (w.b * w.b);
    return vf_fma(vf_set1(-squares), d[2], vf_fma(vf_set1(product), d[0], d[4]));
}

/* B' d. The polynomials of M = 4 are those of M = 3 times x, but for the one of 0. */
CM_ALWAYS_INLINE void points_of_inputs(winograd w, const vf d[MAX_POINTS], vf u[MAX_POINTS]) {
    const vf *e = d + (w.side - 3);
    const vf a2 = vf_set1(-(w.a * w.a)), b2 = vf_set1(-(w.b * w.b));
    both_signs(w.a, vf_fma(b2, e[1], e[3]), vf_fma(b2, e[0], e[2]), u);
    both_signs(w.b, vf_fma(a2, e[1], e[3]), vf_fma(a2, e[0], e[2]), u + 2);
    u[INFINITE] = all_pairs(w, e);
    if (w.side == 4) {
        u[ZERO] = all_pairs(w, d);
    }
}

/* A y. */
CM_ALWAYS_INLINE void points_of_outputs(winograd w, const vf y[MAX_SIDE], vf u[MAX_POINTS]) {
    const float p[2] = {w.a, w.b};
    for (int i = 0; i < 2; ++i) {
        const vf square = vf_set1(p[i] * p[i]);
        both_signs(p[i], vf_fma(square, y[2], y[0]),
                   w.side == 4 ? vf_fma(square, y[3], y[1]) : y[1], u + 2 * i);
    }
    u[INFINITE] = y[w.side - 1];
    if (w.side == 4) {
        u[ZERO] = y[0];
    }
}

/* A' u. */
CM_ALWAYS_INLINE void outputs_of_points(winograd w, const vf u[MAX_POINTS], vf y[MAX_SIDE]) {
    const vf a_even = vf_add(u[0], u[1]), a_odd = vf_sub(u[0], u[1]);
    const vf b_even = vf_add(u[2], u[3]), b_odd = vf_sub(u[2], u[3]);
    const float a2 = w.a * w.a, b2 = w.b * w.b;
    y[0] = vf_add(a_even, b_even);
    y[1] = vf_fma(vf_set1(w.b), b_odd, vf_mul(vf_set1(w.a), a_odd));
    y[2] = vf_fma(vf_set1(b2), b_even, vf_mul(vf_set1(a2), a_even));
    if (w.side == 4) {
        y[0] = vf_add(y[0], u[ZERO]);
        y[3] = vf_fma(vf_set1(b2 * w.b), b_odd, vf_mul(vf_set1(a2 * w.a), a_odd));
    }
    y[w.side - 1] = vf_add(y[w.side - 1], u[INFINITE]);
}

#define ROW5(row)                                                                             \
    CM_REAL_FREQUENCY(5, row, 0), CM_REAL_FREQUENCY(5, row, 1), CM_REAL_FREQUENCY(5, row, 2), \
        CM_REAL_FREQUENCY(5, row, 3), CM_REAL_FREQUENCY(5, row, 4)
#define ROW6(row)                                                                             \
    CM_REAL_FREQUENCY(6, row, 0), CM_REAL_FREQUENCY(6, row, 1), CM_REAL_FREQUENCY(6, row, 2), \
        CM_REAL_FREQUENCY(6, row, 3), CM_REAL_FREQUENCY(6, row, 4), CM_REAL_FREQUENCY(6, row, 5)
static const cm_frequency three_frequencies[CM_WINOGRAD3_FREQUENCIES] = {ROW5(0), ROW5(1), ROW5(2),
                                                                         ROW5(3), ROW5(4)};
static const cm_frequency four_frequencies[CM_WINOGRAD4_FREQUENCIES] = {ROW6(0), ROW6(1), ROW6(2),
                                                                        ROW6(3), ROW6(4), ROW6(5)};
#undef ROW5
#undef ROW6

/* How much of a patch there is. For the compiler a constant: code for each. */
typedef enum patch_extent {
    WHOLE,  /* all lanes, every position */
    EDGE,   /* some positions are outside the map */
    PARTIAL /* not all lanes, and perhaps not all positions */
} patch_extent;

CM_ALWAYS_INLINE patch_extent extent_of(bool inside, int lanes) {
    return lanes < VF_LANES ? PARTIAL : inside ? WHOLE : EDGE;
}

/* Row or column `i` of the patch is one of the map's; `before` of them come before the patch,
 * `count` from its first one on. */
CM_ALWAYS_INLINE bool in_map(patch_extent extent, int i, int before, int count) {
    return extent == WHOLE || (i >= -before && i < count);
}

/* Column q of the patch, rows first .. first + count - 1; zeros outside the map. */
CM_ALWAYS_INLINE void load_column(patch_extent extent, const float *x, const cm_map_patch *patch,
                                  int lanes, int q, int first, int count, vf column[MAX_POINTS]) {
    const bool inside = in_map(extent, q, patch->before, patch->width);
    for (int p = 0; p < count; ++p) {
        column[p] = vf_zero();
        if (inside && in_map(extent, first + p, patch->above, patch->height)) {
            column[p] = cm_load_lanes(x + (first + p) * patch->row + q * patch->step,
                                      extent == PARTIAL, lanes);
        }
    }
}

CM_ALWAYS_INLINE void winograd_points_of(winograd w, cm_plane_kind kind,
                                         const vf values[MAX_POINTS], vf u[MAX_POINTS]) {
    if (kind == CM_PLANES_X) {
        points_of_inputs(w, values, u);
    } else {
        points_of_outputs(w, values, u);
    }
}

CM_ALWAYS_INLINE void transform_patch(winograd w, cm_plane_kind kind, patch_extent extent,
                                      const float *x, const cm_map_patch *patch, int lanes,
                                      float *to, ptrdiff_t plane) {
    const int points = w.side + 2;
    const int first = kind == CM_PLANES_X ? -1 : 0;
    const int count = kind == CM_PLANES_X ? points : w.side;
    vf columns[MAX_POINTS][MAX_POINTS];
    for (int q = 0; q < count; ++q) {
        vf column[MAX_POINTS], u[MAX_POINTS];
        load_column(extent, x, patch, lanes, first + q, first, count, column);
        winograd_points_of(w, kind, column, u);
        for (int i = 0; i < points; ++i) {
            columns[i][q] = u[i];
        }
    }
    for (int i = 0; i < points; ++i) {
        vf u[MAX_POINTS];
        winograd_points_of(w, kind, columns[i], u);
        for (int j = 0; j < points; ++j) {
            cm_plane_store(to + (i * points + j) * plane, u[j], extent == PARTIAL, lanes);
        }
    }
}

CM_ALWAYS_INLINE void transform_kind(winograd w, cm_plane_kind kind, const float *x,
                                     const cm_map_patch *patch, int lanes, float *to,
                                     ptrdiff_t plane) {
    const int border = kind == CM_PLANES_X ? 1 : 0;
    const bool inside = patch->above >= border && patch->before >= border &&
                        patch->height >= w.side + border && patch->width >= w.side + border;
    switch (extent_of(inside, lanes)) {
    case WHOLE:
        transform_patch(w, kind, WHOLE, x, patch, lanes, to, plane);
        break;
    case EDGE:
        transform_patch(w, kind, EDGE, x, patch, lanes, to, plane);
        break;
    case PARTIAL:
        transform_patch(w, kind, PARTIAL, x, patch, lanes, to, plane);
        break;
    }
}

CM_ALWAYS_INLINE void winograd_transform(winograd w, const float *x, const cm_map_patch *patch,
                                         int lanes, cm_plane_kind kind, float *to,
                                         ptrdiff_t plane) {
    if (kind == CM_PLANES_X) {
        transform_kind(w, CM_PLANES_X, x, patch, lanes, to, plane);
    } else {
        transform_kind(w, CM_PLANES_D, x, patch, lanes, to, plane);
    }
}

CM_ALWAYS_INLINE void restore_patch(winograd w, patch_extent extent, const float *from,
                                    ptrdiff_t plane, const cm_map_patch *patch, int lanes,
                                    cm_epilogue epilogue, float *y) {
    const int points = w.side + 2;
    vf rows[MAX_SIDE][MAX_POINTS];
    for (int j = 0; j < points; ++j) {
        vf u[MAX_POINTS], values[MAX_SIDE];
        for (int i = 0; i < points; ++i) {
            u[i] = cm_plane_load(from + (i * points + j) * plane, extent == PARTIAL, lanes);
        }
        outputs_of_points(w, u, values);
        for (int p = 0; p < w.side; ++p) {
            rows[p][j] = values[p];
        }
    }
    const cm_epilogue_vectors e = cm_epilogue_load(&epilogue, 0, extent == PARTIAL, lanes);
    for (int p = 0; p < w.side && in_map(extent, p, 0, patch->height); ++p) {
        vf values[MAX_SIDE];
        outputs_of_points(w, rows[p], values);
        for (int q = 0; q < w.side && in_map(extent, q, 0, patch->width); ++q) {
            cm_store_lanes(y + p * patch->row + q * patch->step,
                           cm_epilogue_apply(&epilogue, &e, values[q]), extent == PARTIAL, lanes);
        }
    }
}

CM_ALWAYS_INLINE void winograd_restore(winograd w, const float *from, ptrdiff_t plane, int lanes,
                                       const cm_epilogue *epilogue, float *y,
                                       const cm_map_patch *patch) {
    switch (extent_of(patch->height >= w.side && patch->width >= w.side, lanes)) {
    case WHOLE:
        restore_patch(w, WHOLE, from, plane, patch, lanes, *epilogue, y);
        break;
    case EDGE:
        restore_patch(w, EDGE, from, plane, patch, lanes, *epilogue, y);
        break;
    case PARTIAL:
        restore_patch(w, PARTIAL, from, plane, patch, lanes, *epilogue, y);
        break;
    }
}

CM_ALWAYS_INLINE vf weighted(const float factor[TAPS], vf first, vf middle, vf last) {
    return vf_fma(vf_set1(factor[2]), last,
                  vf_fma(vf_set1(factor[1]), middle, vf_mul(vf_set1(factor[0]), first)));
}

static void winograd_filter_halves(int points, taps_table taps, vf w[3][3], bool flip,
                                   vf u[CM_MAX_HALVES][3]) {
    for (int i = 0; i < points; ++i) {
        for (int s = 0; s < TAPS; ++s) {
            const int from = flip ? 2 - s : s;
            u[i][s] = weighted(taps[i], w[flip ? 2 : 0][from], w[1][from], w[flip ? 0 : 2][from]);
        }
    }
}

static void winograd_filter_planes(taps_table taps, const cm_frequency *frequency,
                                   const float *from, ptrdiff_t stride, ptrdiff_t count,
                                   float *to) {
    const float *u = from + frequency->row * TAPS * stride;
    const float *factor = taps[frequency->column];
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        vf_store(to + i, weighted(factor, vf_load(u + i), vf_load(u + stride + i),
                                  vf_load(u + 2 * stride + i)));
    }
}

/* X and D have their planes at the same points. */
static int winograd_partner(int plane) {
    return plane;
}

/* The functions of one patch size, and its domain. */
#define CM_WINOGRAD(name, m)                                                                       \
    static void name##_transform(const float *x, const cm_map_patch *patch, int lanes,             \
                                 cm_plane_kind kind, float *to, ptrdiff_t plane) {                 \
        winograd_transform(name, x, patch, lanes, kind, to, plane);                                \
    }                                                                                              \
    static void name##_restore(const float *from, ptrdiff_t plane, int lanes,                      \
                               const cm_epilogue *epilogue, float *y, const cm_map_patch *patch) { \
        winograd_restore(name, from, plane, lanes, epilogue, y, patch);                            \
    }                                                                                              \
    static void name##_filter_halves(vf w[3][3], bool flip, vf u[CM_MAX_HALVES][3]) {              \
        winograd_filter_halves((m) + 2, name##_taps, w, flip, u);                                  \
    }                                                                                              \
    static void name##_filter_planes(const cm_frequency *frequency, bool backward_data,            \
                                     const float *from, ptrdiff_t stride, ptrdiff_t count,         \
                                     float *to) {                                                  \
        (void)backward_data;                                                                       \
        winograd_filter_planes(name##_taps, frequency, from, stride, count, to);                   \
    }                                                                                              \
    static void name##_fold(const cm_frequency *frequency, const float *re, const float *im,       \
                            ptrdiff_t count, float *sums) {                                        \
        (void)im;                                                                                  \
        cm_fold_real(name##_taps, frequency, re, count, sums);                                     \
    }                                                                                              \
    static void name##_all_taps(const float *sums, ptrdiff_t row, ptrdiff_t count, float *dw) {    \
        cm_taps_real((m) + 2, name##_taps, sums, row, count, dw);                                  \
    }

CM_WINOGRAD(three, 3)
CM_WINOGRAD(four, 4)
#undef CM_WINOGRAD

const cm_domain cm_winograd3_domain = {
    .frequency = three_frequencies,
    .transform = three_transform,
    .restore = three_restore,
    .filter_halves = three_filter_halves,
    .filter_planes = three_filter_planes,
    .flips = true,
    .partner = winograd_partner,
    .fold = three_fold,
    .taps = three_all_taps,
};

const cm_domain cm_winograd4_domain = {
    .frequency = four_frequencies,
    .transform = four_transform,
    .restore = four_restore,
    .filter_halves = four_filter_halves,
    .filter_planes = four_filter_planes,
    .flips = true,
    .partner = winograd_partner,
    .fold = four_fold,
    .taps = four_all_taps,
};
