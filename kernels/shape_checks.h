/**
 * What the checks of shapes share. Nothing here depends on the instruction set.
 */
#ifndef CM_KERNELS_SHAPE_CHECKS_H
#define CM_KERNELS_SHAPE_CHECKS_H

#include <stdbool.h>
#include <stddef.h>

/** Whether an array of a * b * c * d elements, all >= 1, has at most 2^31 - 1 of them. */
bool cm_array_fits(int a, int b, int c, int d);

/** Output size along one axis, (size + 2 * padding - kernel) / stride + 1 rounded down; 0 when a
 * size is out of range or the kernel is larger than the padded map. */
int cm_output_size(int size, int kernel, int stride, int padding);

/** `bytes` rounded up to whole cache lines, as all workspaces are. */
size_t cm_workspace_bytes(size_t bytes);

#endif
