#include "kernels/micro/gemm_tile.h"

#include <assert.h>

#include "kernels/conv2d_internal.h"

_Static_assert(VF_TILE_ROWS <= CM_MAX_TILE_ROWS, "CM_TILE_EACH_ROW has no more rows");
_Static_assert(CM_TILE_COLUMNS <= CM_MAX_TILE_COLUMNS, "workspaces have no wider panels");

/* Rows of A are addressed from one pointer for every five of them, with the multiples 0 to 4 of the
 * stride. From one pointer for all, a compiler keeps a register for each multiple and spills half
 * of them: every step of the loop then loads addresses as well (AVX-512, 13 rows: 107 GFLOP/s of a
 * peak of 118, so 114). The compiler must not see how the pointers are related. */
enum { CM_ROW_GROUP = 5 };
#define CM_HIDE(pointer) __asm__("" : "+r"(pointer))

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

/* What the end of a chain needs, by value: a store of a vector may change what any pointer points
 * to, so that from the tile all of it would be loaded again for each vector. */
typedef struct cm_tile_end {
    float *c;
    const float *base;
    ptrdiff_t c_row, base_row;
    int columns;
    cm_conv2d_epilogue epilogue;
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
        const cm_conv2d_epilogue *epilogue = &end->epilogue;
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
 * neither gcc 12 nor clang 14 keeps an array of vectors in registers here (9x9 maps, AVX-512: 159
 * and 61 GFLOP/s with an array, 179 and 161 with names, of a peak of 228). */
#define CM_TILE_EACH_ROW(ROW) \
    ROW(0)                    \
    ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8) ROW(9) ROW(10) ROW(11) ROW(12) ROW(13)

/* `rows`, `partial` and `far` are constants at every call: a row beyond them leaves no code behind.
 *
 * Far: the planes of a domain come from the last cache or from memory, and without prefetching the
 * next tile's operands into the second cache the tiles of a training step run at 60 to 70 % of the
 * peak (with it a step of bn-16 is 1.06 times as fast on AVX-512, 1.13 times on AVX2; prefetching
 * into the first cache: 1.02). Near operands would pay for it: direct convolution is 4 to 20 %
 * slower. */
CM_ALWAYS_INLINE void cm_gemm_tile_body(const int rows, const bool partial, const bool far,
                                        const cm_gemm_tile *tile) {
    const int columns = tile->columns;
    const ptrdiff_t a_row = tile->a_row, a_depth = tile->a_depth, b_depth = tile->b_depth;
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
    for (int t = 0; t < tile->taps; ++t) {
        const float *a = tile->a + tile->tap[t].a;
        const float *b = tile->b + tile->tap[t].b;
        const float *middle = rows > CM_ROW_GROUP ? a + CM_ROW_GROUP * a_row : a;
        const float *last = rows > 2 * CM_ROW_GROUP ? middle + CM_ROW_GROUP * a_row : a;
        CM_HIDE(middle);
        CM_HIDE(last);
        for (int d = 0; d < tile->depth; ++d) {
            if (far) {
                __builtin_prefetch(next_a, 0, CM_PREFETCH_L2);
                /* Where the rows are neighbours, they may straddle two lines. */
                __builtin_prefetch(next_a + rows - 1, 0, CM_PREFETCH_L2);
                __builtin_prefetch(next_b, 0, CM_PREFETCH_L2);
                if (CM_TILE_COLUMNS > CM_LINE_FLOATS) {
                    __builtin_prefetch(next_b + CM_LINE_FLOATS, 0, CM_PREFETCH_L2);
                }
                next_a += next_a_step;
                next_b += next_b_step;
            }
            const vf b_left = cm_tile_load(b, partial, columns, 0);
            const vf b_right = cm_tile_load(b, partial, columns, 1);
#define CM_TILE_ROW(i)                                                                        \
    if (i < rows) {                                                                           \
        const float *group = (i) < CM_ROW_GROUP ? a : (i) < 2 * CM_ROW_GROUP ? middle : last; \
        const vf element = vf_set1(group[(i) % CM_ROW_GROUP * a_row]);                        \
        left##i = vf_fma(element, b_left, left##i);                                           \
        right##i = vf_fma(element, b_right, right##i);                                        \
    }
            CM_TILE_EACH_ROW(CM_TILE_ROW)
#undef CM_TILE_ROW
            a += a_depth;
            middle += a_depth;
            last += a_depth;
            b += b_depth;
        }
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

void CM_FN(gemm_tile)(int rows, const cm_gemm_tile *tile) {
    assert(rows >= 1 && rows <= VF_TILE_ROWS);
    const bool partial = tile->columns < CM_TILE_COLUMNS;
    const bool far = tile->next_a != NULL;
    switch (rows) {
#define CM_TILE_ROW(i)                                          \
    case (i) + 1:                                               \
        if ((i) < VF_TILE_ROWS) {                               \
            if (partial) {                                      \
                cm_gemm_tile_body((i) + 1, true, false, tile);  \
            } else if (far) {                                   \
                cm_gemm_tile_body((i) + 1, false, true, tile);  \
            } else {                                            \
                cm_gemm_tile_body((i) + 1, false, false, tile); \
            }                                                   \
        }                                                       \
        break;
        CM_TILE_EACH_ROW(CM_TILE_ROW)
#undef CM_TILE_ROW
    default:
        break;
    }
}
