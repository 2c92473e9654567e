#include "kernels/batch_norm/sums.h"
#include "kernels/isa.h"
#include "kernels/max_pool2d/scatter.h"

void cm_batch_norm_max_pool2d_backward(const cm_team *team, const cm_max_pool2d_shape *shape,
                                       const float *dy, const float *y, const uint16_t *argmax,
                                       const float *x_at_max, const float *x, const float *mean,
                                       const float *rstd, const float *scale, float *dgamma,
                                       float *dbeta, float *dx, void *workspace) {
    const cm_gradient_sums sums = {.dy = dy,
                                   .y = y,
                                   .x = x_at_max,
                                   .mean = mean,
                                   .rstd = rstd,
                                   .positions = (ptrdiff_t)shape->out_height * shape->out_width,
                                   .channels = shape->channels,
                                   .workspace = workspace};
    const double count = (double)shape->batch * (double)shape->height * (double)shape->width;
    cm_sum_gradients(team, &sums, shape->batch);
    cm_team_barrier(team);
    cm_join_gradients(team, &sums, shape->batch, count, scale, dgamma, dbeta);
    cm_team_barrier(team);
    const float *b = cm_batch_norm_partial(workspace, shape->batch, sums.channels);
    const cm_pool_scatter scatter = {.shape = shape,
                                     .dy = dy,
                                     .y = y,
                                     .argmax = argmax,
                                     .dx = dx,
                                     .x = x,
                                     .a = scale,
                                     .b = b,
                                     .c = b + sums.channels};
    cm_scatter(team, &scatter, true);
}
