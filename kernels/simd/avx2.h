/* AVX2 with FMA (Haswell, Zen and later). */
#ifndef CM_KERNELS_SIMD_AVX2_H
#define CM_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES 8

/* Tuning (simd.h): none of these numbers changes a bit. */
#define VF_TILE_ROWS 6
#define VF_PLANE_STRIP 16
#define VF_SUM_VECTORS 8
#define VF_REGISTERS 16

#define VD_LANES 4

typedef __m256 vf;
typedef __m256 vm;
typedef __m256d vd;
typedef __m256i vx;
typedef struct vt {
    const float *at;
} vt;

static inline __m256i vf_first_(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf vf_zero(void) {
    return _mm256_setzero_ps();
}
static inline vf vf_set1(float x) {
    return _mm256_set1_ps(x);
}
static inline vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline vf vf_load_n(const float *p, int n) {
    return _mm256_maskload_ps(p, vf_first_(n));
}
static inline void vf_store(float *p, vf a) {
    _mm256_storeu_ps(p, a);
}
static inline void vf_store_n(float *p, vf a, int n) {
    _mm256_maskstore_ps(p, vf_first_(n), a);
}
static inline vf vf_load_u16(const uint16_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline void vf_store_u16(uint16_t *p, vf a) {
    const __m256i i = _mm256_cvtps_epi32(a);
    _mm_storeu_si128((__m128i *)p,
                     _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1)));
}
static inline vf vf_load_u16_n(const uint16_t *p, int n) {
    uint16_t lanes[VF_LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vf_load_u16(lanes);
}
static inline void vf_store_u16_n(uint16_t *p, vf a, int n) {
    uint16_t lanes[VF_LANES];
    vf_store_u16(lanes, a);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}
static inline vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* In place: gcc puts every other sum of a tile into another register, and then has too few. */
static inline void vf_add_product(vf *sum, vf a, vf b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
}
/* MAXPS is defined as a > b ? a : b: its second operand on NaN and on equal zeros. */
static inline vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vm vf_gt(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
static inline vm vf_eq(vf a, vf b) {
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vm m, vf a, vf b) {
    return _mm256_blendv_ps(b, a, m);
}

static inline vd vd_zero(void) {
    return _mm256_setzero_pd();
}
static inline vd vd_load(const double *p) {
    return _mm256_loadu_pd(p);
}
static inline void vd_store(double *p, vd a) {
    _mm256_storeu_pd(p, a);
}
static inline vd vd_add(vd a, vd b) {
    return _mm256_add_pd(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return _mm256_fmadd_pd(a, b, c);
}
static inline void vf_add_to_doubles(vf a, double *to) {
    vd_store(to, vd_add(vd_load(to), _mm256_cvtps_pd(_mm256_castps256_ps128(a))));
    vd_store(to + 4, vd_add(vd_load(to + 4), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))));
}

static inline vx vx_from_u16(const uint16_t *p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
}
static inline vx vx_from_u16_n(const uint16_t *p, int n) {
    uint16_t lanes[VF_LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vx_from_u16(lanes);
}
static inline vx vx_from_whole(vf a) {
    return _mm256_cvtps_epi32(a);
}
static inline vt vt_load(const float *p) {
    return (vt){p};
}
/* Sixteen elements from `offset` on: each half by the index's low three bits; bit 3, moved to the
 * sign, chooses between them. */
static inline vf vt_lookup(vt table, vx index, int offset) {
    const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    const float *from = table.at + offset;
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(from), index),
                            _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + 8), index), bit3);
}

/* The transpose of 8x8 floats. */
#define VB_SIDE 8
#include "kernels/simd/transpose_x86.h"

#endif
