/* Direct convolution, backward: dweight, then dx. */
#include "kernels/isa.h"

#include "convmark/trace.h"
#include "kernels/conv2d/direct/backward_weights.h"
#include "kernels/conv2d/direct/pass.h"
#include "kernels/conv2d/functions.h"

static void backward_data(const cm_team *team, const cm_conv2d_backward_args *args) {
    const cm_conv2d_shape *shape = &args->plan->shape;
    const cm_conv2d_direct_plan *plan = &args->plan->direct;
    float *workspace = args->workspace;
    cm_direct_pass p = {
        .batch = shape->batch,
        .y = {shape->out_height, shape->height, shape->kernel_h, shape->stride_h, shape->padding_h,
              shape->stride_h},
        .x = {shape->out_width, shape->width, shape->kernel_w, shape->stride_w, shape->padding_w,
              shape->stride_w},
        .span_at = cm_span_backward,
        .columns = shape->in_channels,
        .depth = shape->out_channels,
        .in = args->dy,
        .weight = args->weight,
        .pack = cm_direct_pack_backward,
        .panels = workspace + plan->panels + (size_t)team->index * plan->thread_panels,
        .row_floats = (ptrdiff_t)plan->row,
        .out = args->dx,
    };
    if (plan->thread_rows > 0 && shape->in_channels <= cm_smaller(VF_TILE_ROWS, CM_TILE_COLUMNS)) {
        p.rows = workspace + plan->rows + (size_t)team->index * plan->thread_rows;
    }
    cm_direct_run_pass(team, &p);
}

void cm_direct_backward(const cm_team *team, const cm_domain *domain,
                        const cm_conv2d_backward_args *args) {
    (void)domain;
    if (args->dweight != NULL) {
        cm_trace_phase(team, CM_PHASE_WEIGHTS);
        cm_direct_backward_weights(team, args);
    }
    if (args->dx != NULL) {
        if (args->dweight != NULL) {
            cm_team_barrier(team); /* they share the memory of the panels */
        }
        cm_trace_phase(team, CM_PHASE_KERNELS);
        backward_data(team, args);
    }
}
