#include "convmark/kernels.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/contract.h"
#include "kernels/shape_checks.h"

bool cm_conv2d_shape_init(cm_conv2d_shape *shape) {
    shape->out_height =
        cm_output_size(shape->height, shape->kernel_h, shape->stride_h, shape->padding_h);
    shape->out_width =
        cm_output_size(shape->width, shape->kernel_w, shape->stride_w, shape->padding_w);
    if (shape->batch < 1 || shape->in_channels < 1 || shape->out_channels < 1 ||
        shape->out_height < 1 || shape->out_width < 1) {
        return false;
    }
    if (shape->algorithm == CM_CONV2D_AUTO) {
        shape->algorithm = cm_conv2d_choose(shape);
    }
    return cm_conv2d_algorithm_fits(shape->algorithm, shape) &&
           (int64_t)shape->kernel_h * shape->kernel_w <= CM_CONV2D_MAX_TAPS &&
           cm_array_fits(shape->batch, shape->height, shape->width, shape->in_channels) &&
           cm_array_fits(shape->kernel_h, shape->kernel_w, shape->in_channels,
                         shape->out_channels) &&
           cm_array_fits(shape->batch, shape->out_height, shape->out_width, shape->out_channels);
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
