#include "convmark/batch_norm.h"
#include "kernels/shape_checks.h"

/* cm_batch_norm_sums() in internal.h says what lies where: two sums per image and channel, then two
 * coefficients per channel. */
size_t cm_batch_norm_workspace(const cm_map_shape *shape) {
    return cm_workspace_bytes(((size_t)shape->batch * sizeof(double) + sizeof(float)) * 2 *
                              (size_t)shape->channels);
}
