/* Steps 3 and 4: vectors of output channels, then tiles of them. */
#include <stddef.h>

#include "examples/tutorial/steps.h"
#include "examples/tutorial/tile.h"
#include "kernels/simd/simd.h"

/* step 3 */
void step_vectors(const cm_team *team, const conv *s, const float *x, const float *weight, float *y,
                  float *panels) {
    (void)team, (void)panels;
    const int padding = s->size / 2;
    for (int n = 0; n < s->images; ++n) {
        for (int p = 0; p < s->height; ++p) {
            for (int q = 0; q < s->width; ++q, y += s->out_channels) {
                const taps rows = taps_at(p, s->height, s->size);
                const taps columns = taps_at(q, s->width, s->size);
                for (int k = 0; k < s->out_channels; k += VF_LANES) {
                    vf sum = vf_zero();
                    for (int r = rows.begin; r < rows.end; ++r) {
                        for (int t = columns.begin; t < columns.end; ++t) {
                            const int h = p + r - padding, w = q + t - padding;
                            const float *in = x + (((ptrdiff_t)n * s->height + h) * s->width + w) *
                                                      s->in_channels;
                            const float *row =
                                weight +
                                ((ptrdiff_t)r * s->size + t) * s->in_channels * s->out_channels + k;
                            for (int c = 0; c < s->in_channels; ++c, row += s->out_channels) {
                                sum = vf_fma(vf_set1(in[c]), vf_load(row), sum);
                            }
                        }
                    }
                    vf_store(y + k, sum);
                }
            }
        }
    }
}
/* end of step 3 */

/* the tile */
/* gcc keeps the sums in registers only where it is told to unroll the loops over them; clang does
 * it by itself, and does not where it is told. */
#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 14")
#endif

CM_ALWAYS_INLINE void tile_body(const int rows, const tile *t) {
    vf left[VF_TILE_ROWS], right[VF_TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; ++i) {
        left[i] = t->continues ? vf_load(t->c + i * t->c_row) : vf_zero();
        right[i] = t->continues ? vf_load(t->c + i * t->c_row + VF_LANES) : vf_zero();
    }
    for (int n = 0; n < t->taps; ++n) {
        const float *a = t->a + t->tap[n].a;
        const float *b = t->b + t->tap[n].b;
        for (int d = 0; d < t->depth; ++d, b += t->b_depth) {
            const vf b_left = vf_load(b), b_right = vf_load(b + VF_LANES);
            UNROLL
            for (int i = 0; i < rows; ++i) {
                const vf element = vf_set1(a[i * t->a_row + d]);
                left[i] = vf_fma(element, b_left, left[i]);
                right[i] = vf_fma(element, b_right, right[i]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < rows; ++i) {
        vf_store(t->c + i * t->c_row, left[i]);
        vf_store(t->c + i * t->c_row + VF_LANES, right[i]);
    }
}

/* A constant number of rows at each call: tile_body() becomes straight code for it. */
void run_tile(int rows, const tile *t) {
#define ROWS(n)                               \
    if ((n) <= VF_TILE_ROWS && rows == (n)) { \
        tile_body(n, t);                      \
    }
    ROWS(1)
    ROWS(2)
    ROWS(3)
    ROWS(4)
    ROWS(5)
    ROWS(6)
    ROWS(7)
    ROWS(8)
    ROWS(9)
    ROWS(10)
    ROWS(11)
    ROWS(12)
    ROWS(13)
    ROWS(14)
#undef ROWS
}
/* end of the tile */

/* the row */
enum { LARGEST_FILTER = 49 };

void run_row(const conv *s, const tile *from, ptrdiff_t b_tap, int b_first, taps rows, int p,
             const float *image, float *y) {
    const int padding = s->size / 2;
    for (int q = 0, end; q < s->width; q = end) {
        /* Outputs that read nothing of the padding have the same taps: they are the rows of tiles.
         * An output at the border is a tile of one row. */
        const taps columns = taps_at(q, s->width, s->size);
        end = columns.end - columns.begin == s->size ? s->width - padding : q + 1;
        tap list[LARGEST_FILTER];
        int count = 0;
        for (int r = rows.begin; r < rows.end; ++r) {
            for (int t = columns.begin; t < columns.end; ++t) {
                list[count++] =
                    (tap){((ptrdiff_t)(r - padding) * s->width + t - padding) * s->in_channels,
                          ((ptrdiff_t)(r - b_first) * s->size + t) * b_tap};
            }
        }
        /* 26 outputs in tiles of at most 14 rows are 13 + 13, not 14 + 12. */
        const int parts = (end - q + VF_TILE_ROWS - 1) / VF_TILE_ROWS;
        for (int part = 0; part < parts; ++part) {
            const int first = q + (end - q) * part / parts;
            const int last = q + (end - q) * (part + 1) / parts;
            tile t = *from;
            t.a = image + ((ptrdiff_t)p * s->width + first) * s->in_channels;
            t.a_row = s->in_channels;
            t.tap = list;
            t.taps = count;
            t.depth = s->in_channels;
            t.c = y + (ptrdiff_t)first * s->out_channels;
            t.c_row = s->out_channels;
            run_tile(last - first, &t);
        }
    }
}
/* end of the row */

/* step 4 */
void step_tile(const cm_team *team, const conv *s, const float *x, const float *weight, float *y,
               float *panels) {
    (void)team, (void)panels;
    const ptrdiff_t row = (ptrdiff_t)s->width * s->in_channels;
    for (int n = 0; n < s->images; ++n) {
        const float *image = x + n * s->height * row;
        for (int p = 0; p < s->height; ++p, y += (ptrdiff_t)s->width * s->out_channels) {
            for (int k = 0; k < s->out_channels; k += TILE_COLUMNS) {
                const tile from = {.b = weight + k, .b_depth = s->out_channels};
                run_row(s, &from, (ptrdiff_t)s->in_channels * s->out_channels, 0,
                        taps_at(p, s->height, s->size), p, image, y + k);
            }
        }
    }
}
/* end of step 4 */
