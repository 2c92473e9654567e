#include "kernels/isa.h"

#include "kernels/conv2d/direct/backward_weights.h"

#include "kernels/conv2d/contract.h"

void cm_direct_backward_weights(const cm_team *team, const cm_conv2d_backward_args *args) {
    if (args->plan->direct.few_channels) {
        cm_direct_backward_weights_patches(team, args);
    } else if (args->plan->shape.out_width >= CM_MIN_ROW_RUN) {
        cm_direct_backward_weights_rows(team, args);
    } else {
        cm_direct_backward_weights_images(team, args);
    }
}
