/**
 * The register-blocked micro-kernel that every matrix-like loop runs on: a batch-reduce GEMM tile
 * (Georganas et al., "Harnessing deep learning via a single building block", IPDPS'20).
 *
 *   C[i][j] = sum over terms t, then over d = 0 .. depth-1, of A_t[i][d] * B_t[d][j]
 *
 *        A_t = a + term[t].a               B_t = b + term[t].b           C = c
 *        element i*a_row + d*a_depth       row d at d*b_depth            row i at i*c_row
 *
 * for `rows` <= VF_TILE_ROWS rows and `columns` <= CM_TILE_COLUMNS contiguous columns. Each C[i][j]
 * is one chain of fma in this order, in one register: tiles, blocking and threads cannot change it.
 *
 * The tile is two vectors wide; its rows are data of the instruction set (VF_TILE_ROWS): the
 * accumulators must cover the latency of FMA times its throughput (8 chains on current x86 cores)
 * and fit beside two vectors of B and one broadcast of A. 14 rows on AVX-512 and 12 on NEON (32
 * registers), 6 on AVX2 (16 registers).
 */
#ifndef CM_KERNELS_GEMM_TILE_H
#define CM_KERNELS_GEMM_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/isa.h"

#include "kernels/gemm/epilogue.h"
#include "kernels/simd/simd.h"

#define CM_TILE_COLUMNS (2 * VF_LANES)

/** Rows of a panel of A, which are the floats from one depth to the next: a tile's, in whole
 * vectors. */
#define CM_A_PANEL_ROWS ((VF_TILE_ROWS + VF_LANES - 1) / VF_LANES * VF_LANES)

/** Offsets, in floats, of the two operands of one term. */
typedef struct cm_gemm_term {
    ptrdiff_t a, b;
} cm_gemm_term;

/** Where the chains start and what becomes of their ends. */
typedef enum cm_gemm_mode {
    CM_GEMM_STORE,    /* from +0; C = chain, then the epilogue */
    CM_GEMM_ADD,      /* from +0; C = base + chain */
    CM_GEMM_SUBTRACT, /* from +0; C = base - chain */
    CM_GEMM_CONTINUE  /* from C; C = chain, then the epilogue */
} cm_gemm_mode;

typedef struct cm_gemm_tile {
    const float *a;
    ptrdiff_t a_row, a_depth;
    const float *b;
    ptrdiff_t b_depth;
    const cm_gemm_term *term;
    int terms, depth;
    float *c;
    ptrdiff_t c_row;
    int columns;       /* 1 .. CM_TILE_COLUMNS; fewer: B is read, and C written, no further */
    const float *base; /* ADD and SUBTRACT: may be C */
    ptrdiff_t base_row;
    cm_epilogue epilogue; /* of `columns` floats; STORE and CONTINUE */
    cm_gemm_mode mode;
    /* Where the next tile's operands are in the last-level cache or in memory: at each step of the
     * depth a line of `a` and a row of `b` from here are prefetched. NULL, NULL: no prefetch. */
    const float *next_a, *next_b;
    ptrdiff_t next_a_step, next_b_step;
} cm_gemm_tile;

/** Valid lanes of a tile's vector v where `columns` of its columns are valid. */
CM_ALWAYS_INLINE int cm_tile_lanes(int columns, int v) {
    const int left = columns - v * VF_LANES;
    return left <= 0 ? 0 : left < VF_LANES ? left : VF_LANES;
}

/** Computes one tile; 1 <= rows <= VF_TILE_ROWS. */
void cm_gemm_micro_kernel(int rows, const cm_gemm_tile *tile);

#endif
