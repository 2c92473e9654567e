/* AVX-512 F, BW, DQ, VL (every AVX-512 server CPU since Skylake-SP). */
#ifndef CM_KERNELS_SIMD_AVX512_H
#define CM_KERNELS_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 16

/* Tuning (simd.h): none of these numbers changes a bit. */
#define VF_TILE_ROWS 14
#define VF_PLANE_STRIP 0
#define VF_SUM_VECTORS 4
#define VF_REGISTERS 32

#define VD_LANES 8

typedef __m512 vf;
typedef __mmask16 vm;
typedef __m512d vd;
typedef __m512i vx;
typedef struct vt {
    __m512 low, high;
} vt;

static inline __mmask16 vf_first_(int n) {
    return (__mmask16)((1U << n) - 1U);
}

static inline vf vf_zero(void) {
    return _mm512_setzero_ps();
}
static inline vf vf_set1(float x) {
    return _mm512_set1_ps(x);
}
static inline vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline vf vf_load_n(const float *p, int n) {
    return _mm512_maskz_loadu_ps(vf_first_(n), p);
}
static inline void vf_store(float *p, vf a) {
    _mm512_storeu_ps(p, a);
}
static inline void vf_store_n(float *p, vf a, int n) {
    _mm512_mask_storeu_ps(p, vf_first_(n), a);
}
static inline vf vf_load_u16(const uint16_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)));
}
static inline vf vf_load_u16_n(const uint16_t *p, int n) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(vf_first_(n), p)));
}
static inline void vf_store_u16(uint16_t *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(a)));
}
static inline void vf_store_u16_n(uint16_t *p, vf a, int n) {
    _mm512_mask_cvtepi32_storeu_epi16(p, vf_first_(n), _mm512_cvtps_epi32(a));
}
static inline vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline void vf_add_product(vf *sum, vf a, vf b) {
    *sum = vf_fma(a, b, *sum);
}
/* MAXPS is defined as a > b ? a : b: its second operand on NaN and on equal zeros. */
static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vm vf_gt(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vm vf_eq(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vm m, vf a, vf b) {
    return _mm512_mask_blend_ps(m, b, a);
}

static inline vd vd_zero(void) {
    return _mm512_setzero_pd();
}
static inline vd vd_load(const double *p) {
    return _mm512_loadu_pd(p);
}
static inline void vd_store(double *p, vd a) {
    _mm512_storeu_pd(p, a);
}
static inline vd vd_add(vd a, vd b) {
    return _mm512_add_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm512_fmadd_pd(a, b, c);
}
static inline void vf_add_to_doubles(vf a, double *to) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    vd_store(to, vd_add(vd_load(to), _mm512_cvtps_pd(_mm512_castps512_ps256(a))));
    vd_store(to + 8, vd_add(vd_load(to + 8), _mm512_cvtps_pd(high)));
}

static inline vx vx_from_u16(const uint16_t *p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
}
static inline vx vx_from_u16_n(const uint16_t *p, int n) {
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(vf_first_(n), p));
}
static inline vx vx_from_whole(vf a) {
    return _mm512_cvtps_epi32(a);
}
static inline vt vt_load(const float *p) {
    return (vt){_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16)};
}
static inline vf vt_lookup(vt table, vx index, int offset) {
    return _mm512_permutex2var_ps(table.low, _mm512_add_epi32(index, _mm512_set1_epi32(offset)),
                                  table.high);
}

/* The transpose of 8x8 floats. */
#define VB_SIDE 8
#include "kernels/simd/transpose_x86.h"

#endif
