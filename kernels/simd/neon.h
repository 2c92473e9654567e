/* AArch64 Advanced SIMD (every ARMv8-A CPU). */
#ifndef CM_KERNELS_SIMD_NEON_H
#define CM_KERNELS_SIMD_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VF_LANES 4

/* Tuning (simd.h): none of these numbers changes a bit. */
#define VF_TILE_ROWS 12
#define VF_PLANE_STRIP 0
#define VF_SUM_VECTORS 4
#define VF_REGISTERS 32

#define VD_LANES 2

typedef float32x4_t vf;
typedef uint32x4_t vm;
typedef float64x2_t vd;
typedef int32x4_t vx;
typedef struct vt {
    const float *at;
} vt;

static inline vf vf_zero(void) {
    return vdupq_n_f32(0.0F);
}
static inline vf vf_set1(float x) {
    return vdupq_n_f32(x);
}
static inline vf vf_load(const float *p) {
    return vld1q_f32(p);
}
static inline vf vf_load_n(const float *p, int n) {
    float lanes[VF_LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vld1q_f32(lanes);
}
static inline void vf_store(float *p, vf a) {
    vst1q_f32(p, a);
}
static inline void vf_store_n(float *p, vf a, int n) {
    float lanes[VF_LANES];
    vst1q_f32(lanes, a);
    memcpy(p, lanes, (size_t)n * sizeof *p);
}
static inline vf vf_load_u16(const uint16_t *p) {
    return vcvtq_f32_u32(vmovl_u16(vld1_u16(p)));
}
static inline void vf_store_u16(uint16_t *p, vf a) {
    vst1_u16(p, vmovn_u32(vcvtnq_u32_f32(a)));
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
    return vaddq_f32(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
static inline vf vf_sqrt(vf a) {
    return vsqrtq_f32(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
static inline void vf_add_product(vf *sum, vf a, vf b) {
    *sum = vf_fma(a, b, *sum);
}
static inline vm vf_gt(vf a, vf b) {
    return vcgtq_f32(a, b);
}
static inline vm vf_eq(vf a, vf b) {
    return vceqq_f32(a, b);
}
static inline vf vf_select(vm m, vf a, vf b) {
    return vbslq_f32(m, a, b);
}
/* Not vmaxq_f32: that returns NaN when either operand is one. */
static inline vf vf_max(vf a, vf b) {
    return vf_select(vf_gt(a, b), a, b);
}

static inline vd vd_zero(void) {
    return vdupq_n_f64(0.0);
}
static inline vd vd_load(const double *p) {
    return vld1q_f64(p);
}
static inline void vd_store(double *p, vd a) {
    vst1q_f64(p, a);
}
static inline vd vd_add(vd a, vd b) {
    return vaddq_f64(a, b);
}
static inline vd vd_fma(vd a, vd b, vd c) {
    return vfmaq_f64(c, a, b);
}
static inline void vf_add_to_doubles(vf a, double *to) {
    vd_store(to, vd_add(vd_load(to), vcvt_f64_f32(vget_low_f32(a))));
    vd_store(to + 2, vd_add(vd_load(to + 2), vcvt_high_f64_f32(a)));
}

static inline vx vx_from_u16(const uint16_t *p) {
    return vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p)));
}
static inline vx vx_from_u16_n(const uint16_t *p, int n) {
    uint16_t lanes[VF_LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return vx_from_u16(lanes);
}
static inline vx vx_from_whole(vf a) {
    return vcvtnq_s32_f32(a);
}
static inline vt vt_load(const float *p) {
    return (vt){p};
}
/* Four loads: a byte table lookup would have to make sixteen indices of four. */
static inline vf vt_lookup(vt table, vx index, int offset) {
    const float *from = table.at + offset;
    vf value = vdupq_n_f32(from[vgetq_lane_s32(index, 0)]);
    value = vld1q_lane_f32(from + vgetq_lane_s32(index, 1), value, 1);
    value = vld1q_lane_f32(from + vgetq_lane_s32(index, 2), value, 2);
    return vld1q_lane_f32(from + vgetq_lane_s32(index, 3), value, 3);
}

/* The transpose of 4x4 floats: a load of four takes every fourth of sixteen numbers. */
#define VB_SIDE 4
static inline void vb_transpose(const float *from, ptrdiff_t from_step, float *to,
                                ptrdiff_t to_step) {
    float rows[16];
    for (int i = 0; i < 4; ++i) {
        vst1q_f32(rows + 4 * i, vld1q_f32(from + i * from_step));
    }
    const float32x4x4_t columns = vld4q_f32(rows);
    for (int i = 0; i < 4; ++i) {
        vst1q_f32(to + i * to_step, columns.val[i]);
    }
}

#endif
