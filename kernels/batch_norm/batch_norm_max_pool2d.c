#include "kernels/batch_norm/sums.h"
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
                                   .positions = (ptrdiff_t)shape->out_height * shape->out_width,
                                   .channels = shape->channels,
                                   .workspace = args->workspace};
    const double count = (double)shape->batch * (double)shape->height * (double)shape->width;
    cm_sum_gradients(team, &sums, shape->batch);
    cm_team_barrier(team);
    cm_join_gradients(team, &sums, shape->batch, count, args->scale, args->dgamma, args->dbeta);
    cm_team_barrier(team);
    const float *b = cm_batch_norm_partial(args->workspace, shape->batch, sums.channels);
    const cm_pool_scatter scatter = {.shape = shape,
                                     .dy = args->dy,
                                     .y = args->y,
                                     .argmax = args->argmax,
                                     .dx = args->dx,
                                     .x = args->x,
                                     .a = args->scale,
                                     .b = b,
                                     .c = b + sums.channels};
    cm_scatter(team, &scatter, true);
}
