#include "kernels/shape_checks.h"

#include <limits.h>
#include <stdint.h>

enum { WORKSPACE_ALIGNMENT = 64 };

bool cm_array_fits(int a, int b, int c, int d) {
    int64_t product = (int64_t)a * b;
    if (product > INT_MAX) {
        return false;
    }
    product *= c;
    if (product > INT_MAX) {
        return false;
    }
    return product * d <= INT_MAX;
}

int cm_output_size(int size, int kernel, int stride, int padding) {
    if (size < 1 || kernel < 1 || stride < 1 || padding < 0) {
        return 0;
    }
    const int64_t padded = (int64_t)size + 2 * (int64_t)padding;
    if (kernel > padded) {
        return 0;
    }
    const int64_t output = (padded - kernel) / stride + 1;
    return output > INT_MAX ? 0 : (int)output;
}

size_t cm_workspace_bytes(size_t bytes) {
    return (bytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}
