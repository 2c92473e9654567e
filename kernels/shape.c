#include <limits.h>

#include "convmark/kernels.h"
#include "kernels/conv2d/internal.h"

enum { CM_WORKSPACE_ALIGNMENT = 64, CM_MAX_POOL_WINDOW = 65535 };

/* Whether a * b * c * d, all >= 1, is at most 2^31 - 1. */
static bool fits(int a, int b, int c, int d) {
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

/* Output size along one axis; 0 when the sizes make no sense. */
static int output_size(int size, int kernel, int stride, int padding) {
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

static size_t aligned(size_t bytes) {
    return (bytes + CM_WORKSPACE_ALIGNMENT - 1) / CM_WORKSPACE_ALIGNMENT * CM_WORKSPACE_ALIGNMENT;
}

bool cm_conv2d_shape_init(cm_conv2d_shape *shape) {
    shape->out_height =
        output_size(shape->height, shape->kernel_h, shape->stride_h, shape->padding_h);
    shape->out_width =
        output_size(shape->width, shape->kernel_w, shape->stride_w, shape->padding_w);
    if (shape->batch < 1 || shape->in_channels < 1 || shape->out_channels < 1 ||
        shape->out_height < 1 || shape->out_width < 1) {
        return false;
    }
    if (shape->algorithm == CM_CONV2D_AUTO) {
        shape->algorithm = cm_conv2d_choose(shape);
    }
    return cm_conv2d_algorithm_fits(shape->algorithm, shape) &&
           (int64_t)shape->kernel_h * shape->kernel_w <= CM_CONV2D_MAX_TAPS &&
           fits(shape->batch, shape->height, shape->width, shape->in_channels) &&
           fits(shape->kernel_h, shape->kernel_w, shape->in_channels, shape->out_channels) &&
           fits(shape->batch, shape->out_height, shape->out_width, shape->out_channels);
}

bool cm_max_pool2d_shape_init(cm_max_pool2d_shape *shape) {
    shape->out_height = output_size(shape->height, shape->kernel_h, shape->stride_h, 0);
    shape->out_width = output_size(shape->width, shape->kernel_w, shape->stride_w, 0);
    if (shape->batch < 1 || shape->channels < 1 || shape->out_height < 1 || shape->out_width < 1) {
        return false;
    }
    /* The outputs are never more than the inputs. */
    return (int64_t)shape->kernel_h * shape->kernel_w <= CM_MAX_POOL_WINDOW &&
           fits(shape->batch, shape->height, shape->width, shape->channels);
}

cm_conv2d_shape cm_linear_shape(int batch, int in_features, int out_features) {
    return (cm_conv2d_shape){.batch = batch,
                             .in_channels = in_features,
                             .height = 1,
                             .width = 1,
                             .out_channels = out_features,
                             .kernel_h = 1,
                             .kernel_w = 1,
                             .stride_h = 1,
                             .stride_w = 1,
                             .padding_h = 0,
                             .padding_w = 0,
                             .algorithm = CM_CONV2D_DIRECT,
                             .out_height = 1,
                             .out_width = 1};
}

/* Two partial results an image, [batch][2][channels], and two coefficients a channel. */
size_t cm_batch_norm_workspace(const cm_map_shape *shape) {
    return aligned(((size_t)shape->batch + 1) * 2 * (size_t)shape->channels * sizeof(float));
}

/* A double and a count an image. */
size_t cm_softmax_cross_entropy_workspace(int batch) {
    return aligned((size_t)batch * 16);
}
