/**
 * The register tile: a small matrix product whose sums stay in registers. Its fields have the names
 * of kernels/gemm/gemm_tile.h, of which this is the core.
 */
#ifndef TUTORIAL_TILE_H
#define TUTORIAL_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "examples/tutorial/steps.h"
#include "kernels/simd/simd.h"

/* A tile is two vectors wide. */
#define TILE_COLUMNS (2 * VF_LANES)

/* Offsets, in floats, of what one filter element reads: inputs in a, weights in b. */
typedef struct tap {
    ptrdiff_t a, b;
} tap;

/* c[i][j] = sum over the taps, then over d = 0 .. depth-1, of
 * a[tap.a + i * a_row + d] * b[tap.b + d * b_depth + j], for TILE_COLUMNS columns j. */
typedef struct tile {
    const float *a, *b;
    ptrdiff_t a_row, b_depth;
    const tap *tap;
    int taps, depth;
    float *c;
    ptrdiff_t c_row;
    bool continues; /* the sums start from c instead of +0 */
} tile;

#define run_tile STEP_FN(run_tile)
#define run_row STEP_FN(run_row)

/* Computes a tile of 1 .. VF_TILE_ROWS rows. */
void run_tile(int rows, const tile *t);

/* Row p of an output map, TILE_COLUMNS channels of it, from the filter rows `rows`; y is its first
 * output. `from` has b, b_depth and continues; b begins with filter row b_first, and the weights of
 * a filter element begin b_tap floats after those of the previous one. */
void run_row(const conv *s, const tile *from, ptrdiff_t b_tap, int b_first, taps rows, int p,
             const float *image, float *y);

#endif
