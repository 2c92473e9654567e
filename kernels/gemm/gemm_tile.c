#include "kernels/gemm/gemm_tile.h"

#include <assert.h>

#include "kernels/gemm/limits.h"

_Static_assert(VF_TILE_ROWS <= CM_MAX_TILE_ROWS, "CM_TILE_EACH_ROW has no more rows");
_Static_assert(CM_TILE_COLUMNS <= CM_MAX_TILE_COLUMNS, "workspaces have no wider panels");
_Static_assert(CM_A_PANEL_ROWS <= CM_MAX_A_PANEL_ROWS, "workspaces have no wider panels of A");

/* Every five rows of A are addressed from a pointer of their own, with the multiples 0 to 4 of the
 * stride; every three where steps of the depth are unrolled. With one pointer for all rows a
 * compiler keeps a register for each multiple and spills half of them, so that every step of the
 * loop loads addresses too (AVX-512, 13 rows, peak 118 GFLOP/s: 107 GFLOP/s instead of 114). The
 * compiler must not see how the pointers are related. */
enum { CM_ROW_GROUP = 5, CM_FIXED_ROW_GROUP = 3 };
#define CM_HIDE(pointer) __asm__("" : "+r"(pointer))

/* These and cm_tile_finish() write out what cm_load_lanes(), cm_store_lanes() and
 * cm_epilogue_apply() do: with those calls gcc 12 spills registers of the tile, and direct
 * convolution takes 1.1 to 1.25 times as long (AVX-512, 28x28 and 14x14 maps). */
CM_ALWAYS_INLINE vf cm_tile_load(const float *p, bool partial, int columns, int v) {
    return partial ? vf_load_n(p + v * VF_LANES, cm_tile_lanes(columns, v))
                   : vf_load(p + v * VF_LANES);
}

CM_ALWAYS_INLINE void cm_tile_store(float *p, vf value, bool partial, int columns, int v) {
    if (partial) {
        vf_store_n(p + v * VF_LANES, value, cm_tile_lanes(columns, v));
    } else {
        vf_store(p + v * VF_LANES, value);
    }
}

/* What the end of a chain needs, by value: to a compiler, a store of a vector may change what any
 * pointer points to, so that it would load all of this from the tile again for each vector. */
typedef struct cm_tile_end {
    float *c;
    const float *base;
    ptrdiff_t c_row, base_row;
    int columns;
    cm_epilogue epilogue;
} cm_tile_end;

/* The end of the chains of one vector, vector v of row `row`. */
CM_ALWAYS_INLINE void cm_tile_finish(const cm_tile_end *end, const cm_gemm_mode mode, vf value,
                                     ptrdiff_t row, bool partial, int v) {
    const int columns = end->columns;
    if (mode == CM_GEMM_ADD) {
        value = vf_add(cm_tile_load(end->base + row * end->base_row, partial, columns, v), value);
    } else if (mode == CM_GEMM_SUBTRACT) {
        value = vf_sub(cm_tile_load(end->base + row * end->base_row, partial, columns, v), value);
    } else if (mode == CM_GEMM_STORE) {
        const cm_epilogue *epilogue = &end->epilogue;
        if (epilogue->bias != NULL) {
            value = vf_add(value, cm_tile_load(epilogue->bias, partial, columns, v));
        }
        if (epilogue->scale != NULL) {
            value = vf_fma(value, cm_tile_load(epilogue->scale, partial, columns, v),
                           cm_tile_load(epilogue->shift, partial, columns, v));
        }
        if (epilogue->relu) {
            value = vf_max(vf_zero(), value);
        }
    }
    cm_tile_store(end->c + row * end->c_row, value, partial, columns, v);
}

/* Repeats a statement for each row of the tallest tile. Accumulators are named variables, because
 * neither gcc 12 nor clang 14 keeps an array of vectors in registers here (9x9 maps, AVX-512, peak
 * 228 GFLOP/s: 159 and 61 GFLOP/s with an array, 179 and 161 with named variables). */
#define CM_TILE_EACH_ROW(ROW) \
    ROW(0)                    \
    ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8) ROW(9) ROW(10) ROW(11) ROW(12) ROW(13)

/* What a tile's code is compiled for, besides its number of rows. */
typedef enum tile_kind {
    TILE_PARTIAL, /* fewer columns */
    TILE_FAR,     /* next_a and next_b are prefetched */
    TILE_NEAR,    /* any strides */
    TILE_A_ROWS,  /* the depth of A is contiguous, B is a panel */
    TILE_A_PANEL  /* A and B are panels */
} tile_kind;

/* Steps of the depth that are unrolled where all strides along it are constants. Addresses then
 * take no instruction: 21 instructions per step instead of 26 on AVX2 (6 rows). That is faster
 * where the core's other hardware thread is busy, with which this one shares the front end (Zen 3:
 * 72 to 81 % of the peak with 64 steps, 74 to 88 % with 512); with other strides it is not. */
enum { CM_TILE_STEPS = 4 };

/* `rows` and `kind` are constants at every call: rows beyond `rows` generate no code.
 *
 * Far: the planes of a transform domain come from the last-level cache or from memory. Without
 * prefetching the next tile's operands into the L2 cache the tiles of a training step run at 60 to
 * 70 % of the peak. With it a step of bn-16 is 1.06 times as fast on AVX-512 and 1.13 times on AVX2
 * (prefetching into the L1 cache: 1.02 times). Near operands would pay for the instructions:
 * direct convolution would be 4 to 20 % slower. */
CM_ALWAYS_INLINE void cm_gemm_tile_body(const int rows, const tile_kind kind,
                                        const cm_gemm_tile *tile) {
    const bool partial = kind == TILE_PARTIAL, far = kind == TILE_FAR;
    const bool fixed = kind == TILE_A_ROWS || kind == TILE_A_PANEL;
    const int columns = tile->columns;
    const ptrdiff_t a_row = kind == TILE_A_PANEL ? 1 : tile->a_row;
    const ptrdiff_t a_depth = kind == TILE_A_ROWS    ? 1
                              : kind == TILE_A_PANEL ? CM_A_PANEL_ROWS
                                                     : tile->a_depth;
    const int group = fixed ? CM_FIXED_ROW_GROUP : CM_ROW_GROUP;
    const ptrdiff_t b_depth = fixed ? CM_TILE_COLUMNS : tile->b_depth;
#define CM_TILE_ROW(i)                                                           \
    vf left##i = vf_zero(), right##i = vf_zero();                                \
    if (i < rows && tile->mode == CM_GEMM_CONTINUE) {                            \
        left##i = cm_tile_load(tile->c + (i)*tile->c_row, partial, columns, 0);  \
        right##i = cm_tile_load(tile->c + (i)*tile->c_row, partial, columns, 1); \
    }
    CM_TILE_EACH_ROW(CM_TILE_ROW)
#undef CM_TILE_ROW
    const float *next_a = tile->next_a, *next_b = tile->next_b;
    const ptrdiff_t next_a_step = tile->next_a_step, next_b_step = tile->next_b_step;
    for (int t = 0; t < tile->terms; ++t) {
        const float *a = tile->a + tile->term[t].a;
        const float *b = tile->b + tile->term[t].b;
#define CM_TILE_GROUP(n)                                                \
    const float *a##n = a + (rows > (n)*group ? (n)*group * a_row : 0); \
    CM_HIDE(a##n);
        CM_TILE_GROUP(0)
        CM_TILE_GROUP(1)
        CM_TILE_GROUP(2)
        CM_TILE_GROUP(3)
        CM_TILE_GROUP(4)
#undef CM_TILE_GROUP
#define CM_TILE_MOVE(steps)    \
    do {                       \
        a0 += (steps)*a_depth; \
        a1 += (steps)*a_depth; \
        a2 += (steps)*a_depth; \
        a3 += (steps)*a_depth; \
        a4 += (steps)*a_depth; \
        b += (steps)*b_depth;  \
    } while (0)
/* Step k of the depth from here. */
#define CM_TILE_STEP(k)                                              \
    do {                                                             \
        const ptrdiff_t step = (k)*a_depth;                          \
        const float *b_row = b + (k)*b_depth;                        \
        const vf b_left = cm_tile_load(b_row, partial, columns, 0);  \
        const vf b_right = cm_tile_load(b_row, partial, columns, 1); \
        CM_TILE_EACH_ROW(CM_TILE_ROW)                                \
    } while (0)
#define CM_TILE_ROW(i)                                                                      \
    if (i < rows) {                                                                         \
        const int at = (i) / group;                                                         \
        const float *from = at == 0 ? a0 : at == 1 ? a1 : at == 2 ? a2 : at == 3 ? a3 : a4; \
        const vf element = vf_set1(from[(i) % group * a_row + step]);                       \
        if (fixed) {                                                                        \
            vf_add_product(&left##i, element, b_left);                                      \
            vf_add_product(&right##i, element, b_right);                                    \
        } else {                                                                            \
            left##i = vf_fma(element, b_left, left##i);                                     \
            right##i = vf_fma(element, b_right, right##i);                                  \
        }                                                                                   \
    }
        int d = 0;
        for (; fixed && d + CM_TILE_STEPS <= tile->depth; d += CM_TILE_STEPS) {
            CM_TILE_STEP(0);
            CM_TILE_STEP(1);
            CM_TILE_STEP(2);
            CM_TILE_STEP(3);
            CM_TILE_MOVE(CM_TILE_STEPS);
        }
        for (; d < tile->depth; ++d) {
            if (far) {
                __builtin_prefetch(next_a, 0, CM_PREFETCH_L2);
                /* Adjacent rows may straddle two lines. */
                __builtin_prefetch(next_a + rows - 1, 0, CM_PREFETCH_L2);
                __builtin_prefetch(next_b, 0, CM_PREFETCH_L2);
                if (CM_TILE_COLUMNS > CM_LINE_FLOATS) {
                    __builtin_prefetch(next_b + CM_LINE_FLOATS, 0, CM_PREFETCH_L2);
                }
                next_a += next_a_step;
                next_b += next_b_step;
            }
            CM_TILE_STEP(0);
            CM_TILE_MOVE(1);
        }
#undef CM_TILE_ROW
#undef CM_TILE_STEP
#undef CM_TILE_MOVE
    }
    const cm_tile_end end = {.c = tile->c,
                             .base = tile->base,
                             .c_row = tile->c_row,
                             .base_row = tile->base_row,
                             .columns = columns,
                             .epilogue = tile->epilogue};
#define CM_TILE_ROW_AS(i, mode)                              \
    if (i < rows) {                                          \
        cm_tile_finish(&end, mode, left##i, i, partial, 0);  \
        cm_tile_finish(&end, mode, right##i, i, partial, 1); \
    }
#define CM_TILE_ROW(i) CM_TILE_ROW_AS(i, CM_GEMM_ADD)
    if (tile->mode == CM_GEMM_ADD) {
        CM_TILE_EACH_ROW(CM_TILE_ROW)
        return;
    }
#undef CM_TILE_ROW
#define CM_TILE_ROW(i) CM_TILE_ROW_AS(i, CM_GEMM_SUBTRACT)
    if (tile->mode == CM_GEMM_SUBTRACT) {
        CM_TILE_EACH_ROW(CM_TILE_ROW)
        return;
    }
#undef CM_TILE_ROW
#define CM_TILE_ROW(i) CM_TILE_ROW_AS(i, CM_GEMM_STORE)
    if (end.epilogue.bias != NULL || end.epilogue.scale != NULL || end.epilogue.relu) {
        CM_TILE_EACH_ROW(CM_TILE_ROW)
        return;
    }
#undef CM_TILE_ROW
#define CM_TILE_ROW(i) CM_TILE_ROW_AS(i, CM_GEMM_CONTINUE) /* as it is */
    CM_TILE_EACH_ROW(CM_TILE_ROW)
#undef CM_TILE_ROW
#undef CM_TILE_ROW_AS
}

void cm_gemm_micro_kernel(int rows, const cm_gemm_tile *tile) {
    assert(rows >= 1 && rows <= VF_TILE_ROWS);
    const bool panel = tile->b_depth == CM_TILE_COLUMNS;
    const tile_kind kind = tile->columns < CM_TILE_COLUMNS ? TILE_PARTIAL
                           : tile->next_a != NULL          ? TILE_FAR
                           : panel && tile->a_depth == 1   ? TILE_A_ROWS
                           : panel && tile->a_row == 1 && tile->a_depth == CM_A_PANEL_ROWS
                               ? TILE_A_PANEL
                               : TILE_NEAR;
    switch (rows) {
#define CM_TILE_KIND(i, each)                   \
    case each:                                  \
        cm_gemm_tile_body((i) + 1, each, tile); \
        break;
#define CM_TILE_ROW(i)                        \
    case (i) + 1:                             \
        if ((i) < VF_TILE_ROWS) {             \
            switch (kind) {                   \
                CM_TILE_KIND(i, TILE_PARTIAL) \
                CM_TILE_KIND(i, TILE_FAR)     \
                CM_TILE_KIND(i, TILE_NEAR)    \
                CM_TILE_KIND(i, TILE_A_ROWS)  \
                CM_TILE_KIND(i, TILE_A_PANEL) \
            }                                 \
        }                                     \
        break;
        CM_TILE_EACH_ROW(CM_TILE_ROW)
#undef CM_TILE_ROW
#undef CM_TILE_KIND
    default:
        break;
    }
}
