/**
 * Vectors of the instruction set that this source is compiled for, and its tuning. Each header in
 * this folder defines the same small set; no other source of kernels/ contains an intrinsic.
 *
 * Tuning of an instruction set, which changes speed and no bit:
 *
 *   VF_TILE_ROWS            rows of the GEMM micro-kernel's register tile, of two vectors each
 *   VF_PLANE_STRIP          channels of a strip of a domain's planes (transform/job.h); 0: all
 *   VF_SUM_VECTORS          vectors of channels that are summed side by side over positions
 *   VF_REGISTERS            vector registers of the processor
 *
 * Vectors:
 *
 *   VF_LANES                float32 lanes of a vector
 *   vf, vm                  a vector of floats; a mask of lanes
 *   vf_zero, vf_set1        all lanes 0; all lanes x
 *   vf_load, vf_store       VF_LANES floats, unaligned
 *   vf_load_n, vf_store_n   the first n lanes only, 0 <= n <= VF_LANES; the others load as 0
 *   vf_load_u16, vf_store_u16 (and _n)   lanes as uint16_t; values are whole, 0 .. 65535
 *   vf_add, vf_sub, vf_mul, vf_div, vf_sqrt   rounded once each
 *   vf_fma(a, b, c)         a * b + c, rounded once
 *   vf_add_product(&c, a, b)  c = vf_fma(a, b, c)
 *   vf_max(a, b)            a > b ? a : b, on every instruction set (also for NaN and zeros)
 *   vf_gt, vf_eq            lane masks; false where an operand is NaN
 *   vf_select(m, a, b)      m ? a : b
 *   vd, VD_LANES            a vector of doubles, half as many lanes (scalar: one)
 *   vd_zero, vd_load, vd_store, vd_add, vd_fma   as those of floats
 *   vf_add_to_doubles(a, to)  to[i] += a[i], in double, for all VF_LANES lanes
 *   vx                      an index a lane, as many as a vf has
 *   vx_from_u16 (and _n)    from uint16_t; lanes beyond the first n are 0
 *   vx_from_whole(a)        of whole numbers in floats
 *   vt, vt_load             a table of 32 floats; on some sets a copy in registers, on others the
 *                           memory itself, which then must stay as it is
 *   vt_lookup(t, i, n)      the lanes' elements i + n of the table; i is 0 .. 15, n 0 .. 16, the
 *                           same for all lanes
 *   VB_SIDE, vb_transpose   to[c][r] = from[r][c] of a block of VB_SIDE x VB_SIDE floats in memory
 */
#ifndef CM_KERNELS_SIMD_H
#define CM_KERNELS_SIMD_H

/* The header of this instruction set, such as "kernels/simd/avx2.h": the build defines its name. */
#include CM_SIMD_HEADER

/** Floats of a cache line; and the locality that __builtin_prefetch takes for the L2 cache. */
enum { CM_LINE_FLOATS = 16, CM_PREFETCH_L2 = 2 };

/** For functions whose constant arguments must become constants in the code. */
#define CM_ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
