/**
 * Bounds of the GEMM micro-kernel over all instruction sets, for workspaces, which serve any of
 * them.
 */
#ifndef CM_KERNELS_GEMM_LIMITS_H
#define CM_KERNELS_GEMM_LIMITS_H

enum {
    CM_MAX_TILE_COLUMNS = 32, /* two vectors of AVX-512 */
    CM_MAX_TILE_ROWS = 14,    /* AVX-512; gemm_tile.c has code up to this height */
    CM_MAX_A_PANEL_ROWS = 16  /* CM_MAX_TILE_ROWS in whole vectors */
};

#endif
