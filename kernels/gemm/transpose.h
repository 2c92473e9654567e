/**
 * The transpose of a matrix in memory. Include after isa.h.
 */
#ifndef CM_KERNELS_GEMM_TRANSPOSE_H
#define CM_KERNELS_GEMM_TRANSPOSE_H

#include <stddef.h>

/** to[c][r] = from[r][c], for `rows` x `columns` of `from`; steps are floats from row to row. */
void cm_transpose(const float *from, ptrdiff_t from_step, ptrdiff_t rows, ptrdiff_t columns,
                  float *to, ptrdiff_t to_step);

#endif
