#include "convmark/max_pool2d.h"
#include "kernels/shape_checks.h"

/* argmax is a uint16_t. */
enum { MAX_WINDOW = 65535 };

bool cm_max_pool2d_shape_init(cm_max_pool2d_shape *shape) {
    shape->out_height = cm_output_size(shape->height, shape->kernel_h, shape->stride_h, 0);
    shape->out_width = cm_output_size(shape->width, shape->kernel_w, shape->stride_w, 0);
    if (shape->batch < 1 || shape->channels < 1 || shape->out_height < 1 || shape->out_width < 1) {
        return false;
    }
    /* The outputs are never more than the inputs. */
    return (int64_t)shape->kernel_h * shape->kernel_w <= MAX_WINDOW &&
           cm_array_fits(shape->batch, shape->height, shape->width, shape->channels);
}
