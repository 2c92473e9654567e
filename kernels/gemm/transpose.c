#include "kernels/isa.h"

#include "kernels/gemm/transpose.h"
#include "kernels/simd/simd.h"

/* to[c][r] = from[r][c], one element at a time. */
static void transpose_elements(const float *from, ptrdiff_t from_step, cm_range rows,
                               cm_range columns, float *to, ptrdiff_t to_step) {
    for (ptrdiff_t r = rows.begin; r < rows.end; ++r) {
        for (ptrdiff_t c = columns.begin; c < columns.end; ++c) {
            to[c * to_step + r] = from[r * from_step + c];
        }
    }
}

/* The columns of a cache line are transposed before the next line's: each line is read whole while
 * only VB_SIDE of them are in use, however far apart the rows are. */
void cm_transpose(const float *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns,
                  float *to, ptrdiff_t to_step) {
    const ptrdiff_t whole_rows = rows - rows % VB_SIDE;
    const ptrdiff_t whole_columns = columns - columns % VB_SIDE;
    for (ptrdiff_t line = 0; line < whole_columns; line += CM_LINE_FLOATS) {
        for (ptrdiff_t r = 0; r < whole_rows; r += VB_SIDE) {
            for (ptrdiff_t c = line; c < line + CM_LINE_FLOATS && c < whole_columns; c += VB_SIDE) {
                vb_transpose(from + r * from_step + c, from_step, to + c * to_step + r, to_step);
            }
        }
    }
    transpose_elements(from, from_step, (cm_range){whole_rows, rows}, (cm_range){0, whole_columns},
                       to, to_step);
    transpose_elements(from, from_step, (cm_range){0, rows}, (cm_range){whole_columns, columns}, to,
                       to_step);
}
