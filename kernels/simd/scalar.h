/* One lane in plain C: the reference of every other instruction set. */
#ifndef CM_KERNELS_SIMD_SCALAR_H
#define CM_KERNELS_SIMD_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VF_LANES 1

/* Tuning (simd.h): none of these numbers changes a bit. */
#define VF_TILE_ROWS 4
#define VF_PLANE_STRIP 0
#define VF_SUM_VECTORS 4
#define VF_REGISTERS 16

#define VD_LANES 1

typedef float vf;
typedef bool vm;
typedef double vd;
typedef int vx;
typedef struct vt {
    const float *at;
} vt;

static inline vf vf_zero(void) {
    return 0.0F;
}
static inline vf vf_set1(float x) {
    return x;
}
static inline vf vf_load(const float *p) {
    return *p;
}
static inline vf vf_load_n(const float *p, int n) {
    return n > 0 ? *p : 0.0F;
}
static inline void vf_store(float *p, vf a) {
    *p = a;
}
static inline void vf_store_n(float *p, vf a, int n) {
    if (n > 0) {
        *p = a;
    }
}
static inline vf vf_load_u16(const uint16_t *p) {
    return (float)*p;
}
static inline vf vf_load_u16_n(const uint16_t *p, int n) {
    return n > 0 ? (float)*p : 0.0F;
}
static inline void vf_store_u16(uint16_t *p, vf a) {
    *p = (uint16_t)a;
}
static inline void vf_store_u16_n(uint16_t *p, vf a, int n) {
    if (n > 0) {
        *p = (uint16_t)a;
    }
}
static inline vf vf_add(vf a, vf b) {
    return a + b;
}
static inline vf vf_sub(vf a, vf b) {
    return a - b;
}
static inline vf vf_mul(vf a, vf b) {
    return a * b;
}
static inline vf vf_div(vf a, vf b) {
    return a / b;
}
static inline vf vf_sqrt(vf a) {
    return sqrtf(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return fmaf(a, b, c);
}
static inline void vf_add_product(vf *sum, vf a, vf b) {
    *sum = vf_fma(a, b, *sum);
}
static inline vf vf_max(vf a, vf b) {
    return a > b ? a : b;
}
static inline vm vf_gt(vf a, vf b) {
    return a > b;
}
static inline vm vf_eq(vf a, vf b) {
    return a == b;
}
static inline vf vf_select(vm m, vf a, vf b) {
    return m ? a : b;
}

static inline vd vd_zero(void) {
    return 0.0;
}
static inline vd vd_load(const double *p) {
    return *p;
}
static inline void vd_store(double *p, vd a) {
    *p = a;
}
static inline vd vd_add(vd a, vd b) {
    return a + b;
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return fma(a, b, c);
}
static inline void vf_add_to_doubles(vf a, double *to) {
    *to += (double)a;
}

static inline vx vx_from_u16(const uint16_t *p) {
    return *p;
}
static inline vx vx_from_u16_n(const uint16_t *p, int n) {
    return n > 0 ? *p : 0;
}
static inline vx vx_from_whole(vf a) {
    return (int)a;
}
static inline vt vt_load(const float *p) {
    return (vt){p};
}
static inline vf vt_lookup(vt table, vx index, int offset) {
    return table.at[offset + index];
}

#define VB_SIDE 1
static inline void vb_transpose(const float *from, ptrdiff_t from_step, float *to,
                                ptrdiff_t to_step) {
    (void)from_step;
    (void)to_step;
    *to = *from;
}

#endif
