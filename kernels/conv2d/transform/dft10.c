/* DFT-10: 9x9 maps. The zero-padded 3-tap convolution of 9 points is cyclic of length 10: of the 11
 * coefficients of the linear one only the two that are not wanted fall together. So a whole map is
 * one 10x10 discrete Fourier transform of real numbers: 52 independent frequencies, 4 real and 48
 * complex, and maps need no overlapping patches.
 *
 * 10 = 2 x 5 without twiddle factors (Good's prime-factor algorithm, 1958): with u_m, v_m = x_2m +-
 * x_(2m+5), the even frequencies are the 5-point transform of u and the odd ones that of v. Forward
 * is X_k = sum x_n e^(+2 pi i k n / 10); frequencies are (ky, kx) with ky = 0 .. 5, and kx = 0 .. 5
 * for the rows ky = 0, 5, else kx = 0 .. 9; the others are conjugates of these. The weights carry
 * the inverse's scale: 1/100, doubled where a conjugate stands for a second frequency. */
#include "kernels/isa.h"

#include "kernels/conv2d/transform/domain.h"

enum { SIDE = CM_DFT10_PATCH, POINTS = 10, HALF = CM_DFT10_ROWS, COMPLEX_PLANES = 3 };

/* cos and sin of 2 pi k / 10. */
static const float cosine[POINTS] = {1.0F,
                                     0.809016994374947424F,
                                     0.309016994374947424F,
                                     -0.309016994374947424F,
                                     -0.809016994374947424F,
                                     -1.0F,
                                     -0.809016994374947424F,
                                     -0.309016994374947424F,
                                     0.309016994374947424F,
                                     0.809016994374947424F};
static const float sine[POINTS] = {0.0F,
                                   0.587785252292473129F,
                                   0.951056516295153572F,
                                   0.951056516295153572F,
                                   0.587785252292473129F,
                                   0.0F,
                                   -0.587785252292473129F,
                                   -0.951056516295153572F,
                                   -0.951056516295153572F,
                                   -0.587785252292473129F};

/* cos and sin of 2 pi / 5 and 4 pi / 5. */
#define C1 0.309016994374947424F
#define C2 (-0.809016994374947424F)
#define S1 0.951056516295153572F
#define S2 0.587785252292473129F

/* Half of the 10-point transform of real numbers (k = 0 .. 5). im[0] and im[5] are not set. */
typedef struct half_spectrum {
    vf re[HALF], im[HALF];
} half_spectrum;

/* The 5-point transform of u: real[0..2], imaginary[1..2]. */
CM_ALWAYS_INLINE void dft5(const vf u[5], vf real[3], vf imaginary[3]) {
    const vf a1 = vf_add(u[1], u[4]), b1 = vf_sub(u[1], u[4]);
    const vf a2 = vf_add(u[2], u[3]), b2 = vf_sub(u[2], u[3]);
    real[0] = vf_add(u[0], vf_add(a1, a2));
    real[1] = vf_fma(vf_set1(C2), a2, vf_fma(vf_set1(C1), a1, u[0]));
    real[2] = vf_fma(vf_set1(C1), a2, vf_fma(vf_set1(C2), a1, u[0]));
    imaginary[1] = vf_fma(vf_set1(S2), b2, vf_mul(vf_set1(S1), b1));
    imaginary[2] = vf_fma(vf_set1(-S1), b2, vf_mul(vf_set1(S2), b1));
}

CM_ALWAYS_INLINE vf negated(vf x) {
    return vf_sub(vf_zero(), x);
}

CM_ALWAYS_INLINE half_spectrum dft10(const vf x[SIDE]) {
    const vf u[5] = {vf_add(x[0], x[5]), vf_add(x[2], x[7]), x[4], vf_add(x[6], x[1]),
                     vf_add(x[8], x[3])};
    const vf v[5] = {vf_sub(x[0], x[5]), vf_sub(x[2], x[7]), x[4], vf_sub(x[6], x[1]),
                     vf_sub(x[8], x[3])};
    vf even_re[3], even_im[3], odd_re[3], odd_im[3];
    dft5(u, even_re, even_im);
    dft5(v, odd_re, odd_im);
    half_spectrum f;
    f.re[0] = even_re[0];
    f.re[1] = odd_re[1];
    f.im[1] = odd_im[1];
    f.re[2] = even_re[2];
    f.im[2] = even_im[2];
    f.re[3] = odd_re[2];
    f.im[3] = negated(odd_im[2]); /* 3 = -2 modulo 5: the conjugate */
    f.re[4] = even_re[1];
    f.im[4] = negated(even_im[1]); /* 4 = -1 */
    f.re[5] = odd_re[0];
    return f;
}

/* y_m = base + p cos(2 pi m / 5) + q cos(4 pi m / 5) + r sin(2 pi m / 5) + s sin(4 pi m / 5). */
CM_ALWAYS_INLINE void series5(vf base, vf p, vf q, vf r, vf s, vf y[5]) {
    const vf t1 = vf_fma(vf_set1(C2), q, vf_fma(vf_set1(C1), p, base));
    const vf t2 = vf_fma(vf_set1(C1), q, vf_fma(vf_set1(C2), p, base));
    const vf s1 = vf_fma(vf_set1(S2), s, vf_mul(vf_set1(S1), r));
    const vf s2 = vf_fma(vf_set1(-S1), s, vf_mul(vf_set1(S2), r));
    y[0] = vf_add(base, vf_add(p, q));
    y[1] = vf_add(t1, s1);
    y[4] = vf_sub(t1, s1);
    y[2] = vf_add(t2, s2);
    y[3] = vf_sub(t2, s2);
}

/* The inverse times 10 of a half spectrum whose k = 1 .. 4 are doubled. */
CM_ALWAYS_INLINE void inverse10(const half_spectrum *f, vf x[SIDE]) {
    vf even[5], odd[5];
    series5(vf_add(f->re[0], f->re[5]), vf_add(f->re[1], f->re[4]), vf_add(f->re[2], f->re[3]),
            vf_sub(f->im[1], f->im[4]), vf_sub(f->im[2], f->im[3]), even);
    /* For n = 2m + 5 the terms of k = 1, 4 change their sign. */
    series5(vf_sub(f->re[0], f->re[5]), vf_sub(f->re[4], f->re[1]), vf_sub(f->re[2], f->re[3]),
            negated(vf_add(f->im[1], f->im[4])), vf_add(f->im[2], f->im[3]), odd);
    x[0] = even[0];
    x[2] = even[1];
    x[4] = even[2];
    x[6] = even[3];
    x[8] = even[4];
    x[5] = odd[0];
    x[7] = odd[1];
    x[1] = odd[3];
    x[3] = odd[4];
}

static bool real_row(int row) {
    return row == 0 || row == POINTS / 2;
}

/* The frequencies of a real row (0 and 5: column 0 and 5 are real) and of a complex row, whose
 * planes and results begin at `p` and `r`. */
#define COMPLEX(row, column, p, r) \
    { row, column, p, r, true }
#define REAL_ROW(row, p, r)                                                                      \
    {row, 0, p, r, false}, COMPLEX(row, 1, (p) + 1, (r) + 1), COMPLEX(row, 2, (p) + 4, (r) + 3), \
        COMPLEX(row, 3, (p) + 7, (r) + 5), COMPLEX(row, 4, (p) + 10, (r) + 7), {                 \
        row, 5, (p) + 13, (r) + 9, false                                                         \
    }
#define COMPLEX_ROW(row, p, r)                                                                   \
    COMPLEX(row, 0, p, r), COMPLEX(row, 1, (p) + 3, (r) + 2), COMPLEX(row, 2, (p) + 6, (r) + 4), \
        COMPLEX(row, 3, (p) + 9, (r) + 6), COMPLEX(row, 4, (p) + 12, (r) + 8),                   \
        COMPLEX(row, 5, (p) + 15, (r) + 10), COMPLEX(row, 6, (p) + 18, (r) + 12),                \
        COMPLEX(row, 7, (p) + 21, (r) + 14), COMPLEX(row, 8, (p) + 24, (r) + 16),                \
        COMPLEX(row, 9, (p) + 27, (r) + 18)
static const cm_frequency frequencies[CM_DFT10_FREQUENCIES] = {
    REAL_ROW(0, 0, 0),      COMPLEX_ROW(1, 14, 10),  COMPLEX_ROW(2, 44, 30),
    COMPLEX_ROW(3, 74, 50), COMPLEX_ROW(4, 104, 70), REAL_ROW(5, 134, 90),
};
#undef COMPLEX
#undef REAL_ROW
#undef COMPLEX_ROW

/* Where the planes of one vector of channels go. */
typedef struct plane_writer {
    float *to;
    ptrdiff_t plane;
    cm_plane_kind kind;
    bool partial;
    int lanes;
} plane_writer;

CM_ALWAYS_INLINE void write_real(const plane_writer *w, int plane, vf re) {
    cm_plane_store(w->to + plane * w->plane, re, w->partial, w->lanes);
}

CM_ALWAYS_INLINE void write_complex(const plane_writer *w, int plane, vf re, vf im) {
    const vf sum = vf_add(re, im);
    const bool x = w->kind == CM_PLANES_X;
    write_real(w, plane, x ? re : sum);
    write_real(w, plane + 1, x ? vf_sub(im, re) : re);
    write_real(w, plane + 2, x ? sum : im);
}

/* First plane of row `row`: 14 planes for each of the rows 0 and 5, 30 for the others. */
static int row_plane(int row) {
    return row == 0 ? 0 : 14 + 30 * (row - 1);
}

CM_ALWAYS_INLINE void transform_real_row(const plane_writer *w, int row, const vf line[SIDE]) {
    const half_spectrum f = dft10(line);
    const int plane = row_plane(row);
    write_real(w, plane, f.re[0]);
    for (int k = 1; k < 5; ++k) {
        write_complex(w, plane + 1 + COMPLEX_PLANES * (k - 1), f.re[k], f.im[k]);
    }
    write_real(w, plane + 13, f.re[5]);
}

/* A row of complex numbers: the spectra A, B of its parts give A + iB at k and conj(A) + i conj(B)
 * at 10 - k. */
CM_ALWAYS_INLINE void transform_complex_row(const plane_writer *w, int row, const vf re[SIDE],
                                            const vf im[SIDE]) {
    const half_spectrum a = dft10(re), b = dft10(im);
    const int plane = row_plane(row);
    write_complex(w, plane, a.re[0], b.re[0]);
    for (int k = 1; k < 5; ++k) {
        write_complex(w, plane + COMPLEX_PLANES * k, vf_sub(a.re[k], b.im[k]),
                      vf_add(b.re[k], a.im[k]));
        write_complex(w, plane + COMPLEX_PLANES * (POINTS - k), vf_add(a.re[k], b.im[k]),
                      vf_sub(b.re[k], a.im[k]));
    }
    write_complex(w, plane + COMPLEX_PLANES * 5, a.re[5], b.re[5]);
}

CM_ALWAYS_INLINE void dft10_transform_lanes(const float *x, ptrdiff_t step, const plane_writer *w) {
    vf re[HALF][SIDE], im[HALF][SIDE];
    for (int q = 0; q < SIDE; ++q) {
        vf column[SIDE];
        for (int p = 0; p < SIDE; ++p) {
            column[p] = cm_load_lanes(x + (p * SIDE + q) * step, w->partial, w->lanes);
        }
        const half_spectrum f = dft10(column);
        for (int k = 0; k < HALF; ++k) {
            re[k][q] = f.re[k];
            if (!real_row(k)) {
                im[k][q] = f.im[k];
            }
        }
    }
    transform_real_row(w, 0, re[0]);
    for (int row = 1; row < 5; ++row) {
        transform_complex_row(w, row, re[row], im[row]);
    }
    transform_real_row(w, 5, re[5]);
}

static void dft10_transform(const float *x, const cm_map_patch *patch, int lanes,
                            cm_plane_kind kind, float *to, ptrdiff_t plane) {
    const ptrdiff_t step = patch->step;
    /* Four copies of the code, each without a branch inside. */
    if (lanes < VF_LANES) {
        const plane_writer w = {to, plane, kind, true, lanes};
        dft10_transform_lanes(x, step, &w);
    } else if (kind == CM_PLANES_X) {
        const plane_writer w = {to, plane, CM_PLANES_X, false, lanes};
        dft10_transform_lanes(x, step, &w);
    } else {
        const plane_writer w = {to, plane, CM_PLANES_D, false, lanes};
        dft10_transform_lanes(x, step, &w);
    }
}

/* First result plane of row `row`: 10 for each of the rows 0 and 5, 20 for the others. */
static int row_result(int row) {
    return row == 0 ? 0 : 10 + 20 * (row - 1);
}

CM_ALWAYS_INLINE void restore_real_row(const float *from, ptrdiff_t plane, bool partial, int lanes,
                                       vf line[SIDE]) {
    half_spectrum f;
    f.re[0] = cm_plane_load(from, partial, lanes);
    for (int k = 1; k < 5; ++k) {
        f.re[k] = cm_plane_load(from + (2 * k - 1) * plane, partial, lanes);
        f.im[k] = cm_plane_load(from + 2 * k * plane, partial, lanes);
    }
    f.re[5] = cm_plane_load(from + 9 * plane, partial, lanes);
    inverse10(&f, line);
}

/* Real and imaginary parts of the row from F_k and F_(10-k): twice their half spectra are
 * F_k + conj(F_(10-k)) and -i (F_k - conj(F_(10-k))). */
CM_ALWAYS_INLINE void restore_complex_row(const float *from, ptrdiff_t plane, bool partial,
                                          int lanes, vf re[SIDE], vf im[SIDE]) {
    half_spectrum a, b;
    a.re[0] = cm_plane_load(from, partial, lanes);
    b.re[0] = cm_plane_load(from + plane, partial, lanes);
    for (int k = 1; k < 5; ++k) {
        const vf fr = cm_plane_load(from + 2 * k * plane, partial, lanes);
        const vf fi = cm_plane_load(from + (2 * k + 1) * plane, partial, lanes);
        const vf gr = cm_plane_load(from + 2 * (POINTS - k) * plane, partial, lanes);
        const vf gi = cm_plane_load(from + (2 * (POINTS - k) + 1) * plane, partial, lanes);
        a.re[k] = vf_add(fr, gr);
        a.im[k] = vf_sub(fi, gi);
        b.re[k] = vf_add(fi, gi);
        b.im[k] = vf_sub(gr, fr);
    }
    a.re[5] = cm_plane_load(from + 10 * plane, partial, lanes);
    b.re[5] = cm_plane_load(from + 11 * plane, partial, lanes);
    inverse10(&a, re);
    inverse10(&b, im);
}

CM_ALWAYS_INLINE void dft10_restore_lanes(const float *from, ptrdiff_t plane, bool partial,
                                          int lanes, cm_epilogue epilogue, float *y,
                                          ptrdiff_t step) {
    vf re[HALF][SIDE], im[HALF][SIDE];
    restore_real_row(from, plane, partial, lanes, re[0]);
    for (int row = 1; row < 5; ++row) {
        restore_complex_row(from + row_result(row) * plane, plane, partial, lanes, re[row],
                            im[row]);
    }
    restore_real_row(from + row_result(5) * plane, plane, partial, lanes, re[5]);
    const cm_epilogue_vectors e = cm_epilogue_load(&epilogue, 0, partial, lanes);
    for (int q = 0; q < SIDE; ++q) {
        half_spectrum f;
        for (int k = 0; k < HALF; ++k) {
            f.re[k] = re[k][q];
            if (!real_row(k)) {
                f.im[k] = im[k][q];
            }
        }
        vf column[SIDE];
        inverse10(&f, column);
        for (int p = 0; p < SIDE; ++p) {
            const vf value = cm_epilogue_apply(&epilogue, &e, column[p]);
            cm_store_lanes(y + (p * SIDE + q) * step, value, partial, lanes);
        }
    }
}

static void dft10_restore(const float *from, ptrdiff_t plane, int lanes,
                          const cm_epilogue *epilogue, float *y, const cm_map_patch *patch) {
    const ptrdiff_t step = patch->step;
    if (lanes < VF_LANES) {
        dft10_restore_lanes(from, plane, true, lanes, *epilogue, y, step);
    } else {
        dft10_restore_lanes(from, plane, false, lanes, *epilogue, y, step);
    }
}

/* The inverse's factor of a frequency's row; the columns 1 .. 4 of real rows count twice more. */
static float row_scale(int row) {
    return real_row(row) ? 0.01F : 0.02F;
}

/* u of row ky is w1 + (w0 + w2) cos + i (w0 - w2) sin: rows 0, 5 are real, then come the real and
 * the imaginary part of ky = 1 .. 4. */
static void dft10_filter_halves(vf w[3][3], bool flip, vf u[CM_MAX_HALVES][3]) {
    (void)flip;
    for (int ky = 0; ky < HALF; ++ky) {
        const vf scale = vf_set1(row_scale(ky));
        vf re[3], im[3];
        for (int s = 0; s < 3; ++s) {
            const vf sum = vf_add(w[0][s], w[2][s]), difference = vf_sub(w[0][s], w[2][s]);
            re[s] = vf_mul(scale, vf_fma(vf_set1(cosine[ky]), sum, w[1][s]));
            im[s] = vf_mul(scale, vf_mul(vf_set1(sine[ky]), difference));
        }
        const int row = ky == 0 ? 0 : ky == 5 ? 1 : 2 * ky;
        u[row][0] = re[1];
        u[row][1] = vf_add(re[0], re[2]);
        u[row][2] = vf_sub(re[0], re[2]);
        if (!real_row(ky)) {
            u[row + 1][0] = im[1];
            u[row + 1][1] = vf_add(im[0], im[2]);
            u[row + 1][2] = vf_sub(im[0], im[2]);
        }
    }
}

static void dft10_filter_planes(const cm_frequency *frequency, bool backward_data,
                                const float *from, ptrdiff_t stride, ptrdiff_t count, float *to) {
    const int ky = frequency->row;
    const bool row_is_real = real_row(ky);
    const vf cos_x = vf_set1(cosine[frequency->column]), sin_x = vf_set1(sine[frequency->column]);
    const float *u = from + (ky == 0 ? 0 : ky == 5 ? 1 : 2 * ky) * 3 * stride;
    const float *v = u + 3 * stride; /* the imaginary parts of a complex row */
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        vf re = vf_fma(cos_x, vf_load(u + stride + i), vf_load(u + i));
        if (!frequency->complex) {
            vf_store(to + i, re);
            continue;
        }
        vf im = vf_mul(sin_x, vf_load(u + 2 * stride + i));
        if (row_is_real) {
            re = vf_add(re, re);
            im = vf_add(im, im);
        } else {
            re = vf_sub(re, vf_mul(sin_x, vf_load(v + 2 * stride + i)));
            im = vf_add(im, vf_fma(cos_x, vf_load(v + stride + i), vf_load(v + i)));
        }
        const vf sum = vf_add(re, im);
        vf_store(to + i, backward_data ? re : sum);
        vf_store(to + stride + i, backward_data ? sum : re);
        vf_store(to + 2 * stride + i, backward_data ? vf_sub(im, re) : im);
    }
}

static int dft10_partner(int plane) {
    return plane; /* the driver pairs the three planes of a complex frequency itself */
}

/* Sums over the columns of one row: g, g cos and g sin, each real and imaginary. A frequency that
 * stands for its conjugate too counts twice. */
static void dft10_fold(const cm_frequency *frequency, const float *re, const float *im,
                       ptrdiff_t count, float *sums) {
    const int column = frequency->column;
    const float twice = real_row(frequency->row) && !real_row(column) ? 2.0F : 1.0F;
    const vf factor[3] = {vf_set1(twice), vf_set1(twice * cosine[column]),
                          vf_set1(twice * sine[column])};
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        const vf g[2] = {vf_load(re + i), frequency->complex ? vf_load(im + i) : vf_zero()};
        for (int j = 0; j < 3; ++j) {
            for (int part = 0; part < 2; ++part) {
                float *sum = sums + (2 * j + part) * count + i;
                vf_store(sum, column == 0 ? vf_mul(factor[j], g[part])
                                          : vf_fma(factor[j], g[part], vf_load(sum)));
            }
        }
    }
}

/* The taps of column s = 1 are the sums of g, those of s = 0, 2 those of g (cos -+ i sin), and in
 * the same way over the rows. */
static void dft10_taps(const float *sums, ptrdiff_t row, ptrdiff_t count, float *dw) {
    for (ptrdiff_t i = 0; i < count; i += VF_LANES) {
        vf tap[CM_FILTER_TAPS];
        for (int ky = 0; ky < HALF; ++ky) {
            const vf scale = vf_set1(row_scale(ky));
            const vf cos_y = vf_set1(row_scale(ky) * cosine[ky]);
            const vf sin_y = vf_set1(row_scale(ky) * sine[ky]);
            vf sum[3][2];
            for (int k = 0; k < 6; ++k) {
                sum[k / 2][k % 2] = vf_load(sums + ky * row + k * count + i);
            }
            const vf tap_re[3] = {vf_add(sum[1][0], sum[2][1]), sum[0][0],
                                  vf_sub(sum[1][0], sum[2][1])};
            const vf tap_im[3] = {vf_sub(sum[1][1], sum[2][0]), sum[0][1],
                                  vf_add(sum[1][1], sum[2][0])};
            for (int s = 0; s < 3; ++s) {
                const vf level = vf_mul(cos_y, tap_re[s]), slope = vf_mul(sin_y, tap_im[s]);
                const vf add[3] = {vf_add(level, slope), vf_mul(scale, tap_re[s]),
                                   vf_sub(level, slope)};
                for (int r = 0; r < 3; ++r) {
                    tap[3 * r + s] = ky == 0 ? add[r] : vf_add(tap[3 * r + s], add[r]);
                }
            }
        }
        for (int t = 0; t < CM_FILTER_TAPS; ++t) {
            vf_store(dw + t * count + i, tap[t]);
        }
    }
}

const cm_domain cm_dft10_domain = {
    .frequency = frequencies,
    .transform = dft10_transform,
    .restore = dft10_restore,
    .filter_halves = dft10_filter_halves,
    .filter_planes = dft10_filter_planes,
    .flips = false,
    .partner = dft10_partner,
    .fold = dft10_fold,
    .taps = dft10_taps,
};
