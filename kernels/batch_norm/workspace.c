#include "convmark/batch_norm.h"
#include "kernels/shape_checks.h"

/* cm_batch_norm_partial() in internal.h says what lies where: two partial results per image,
 * [batch][2][channels], then two coefficients per channel. */
size_t cm_batch_norm_workspace(const cm_map_shape *shape) {
    return cm_workspace_bytes(((size_t)shape->batch + 1) * 2 * (size_t)shape->channels *
                              sizeof(float));
}
