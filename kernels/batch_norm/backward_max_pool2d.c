#include "kernels/batch_norm/internal.h"
#include "kernels/isa.h"
#include "kernels/max_pool2d/scatter.h"

void cm_batch_norm_max_pool2d_backward(const cm_team *team,
                                       const cm_batch_norm_max_pool2d_backward_args *args) {
    const cm_max_pool2d_shape *shape = args->shape;
    const cm_gradient_sums sums = {.dy = args->dy,
                                   .y = args->y,
                                   .x = args->x_at_max,
                                   .mean = args->mean,
                                   .rstd = args->rstd,
                                   .scale = args->scale,
                                   .batch = shape->batch,
                                   .block = args->block,
                                   .positions = (ptrdiff_t)shape->out_height * shape->out_width,
                                   .channels = shape->channels,
                                   .count = (double)shape->batch * (double)shape->height *
                                            (double)shape->width,
                                   .dgamma = args->dgamma,
                                   .dbeta = args->dbeta,
                                   .workspace = args->workspace};
    const float *coefficients = cm_sum_gradients(team, &sums);
    const cm_pool_scatter scatter = {.shape = shape,
                                     .dy = args->dy,
                                     .y = args->y,
                                     .argmax = args->argmax,
                                     .dx = args->dx,
                                     .x = args->x,
                                     .mean = args->mean,
                                     .a = args->scale,
                                     .b = coefficients,
                                     .c = coefficients + shape->channels};
    cm_scatter_gradient(team, &scatter);
}
